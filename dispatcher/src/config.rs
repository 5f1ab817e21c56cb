//! What an operator sets. Every duration and size has its unit in its name; unknown keys are
//! refused; secrets come by file path only.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, ChainContract, ChainId, NetworkId};
use proofgrid_core::network::{NetworkConfig, RetentionError, Workforce};
use proofgrid_core::units::ByteCount;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// Why a configuration was refused before anything was started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Plain text where others can listen.
    #[error(
        "listen = {listen} is not a loopback address and there is no [tls]; \
         add certificate and key, or set allow_plaintext = true behind a TLS proxy"
    )]
    PlaintextRefused {
        /// The address.
        listen: SocketAddr,
    },
    /// A certificate or key file cannot be read.
    #[error("cannot read {path}: {problem}; check the path and who may read it")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Heartbeats that would kill every peer.
    #[error(
        "heartbeat_interval_ms = {interval_ms} and dead_after_ms = {dead_after_ms}: \
         the interval must be at least 1 and dead_after at least three times as long"
    )]
    Heartbeat {
        /// The interval.
        interval_ms: u64,
        /// The silence.
        dead_after_ms: u64,
    },
    /// The key is of another account than the one that is published.
    #[error(
        "server = {server}, but the dispatcher's key is that of {got}; \
         start it with the key of the published address, or publish the other one"
    )]
    ServerKey {
        /// The published address.
        server: Address,
        /// The key's.
        got: Address,
    },
    /// Results could go nowhere.
    #[error("targets is empty; name at least one chain with its contracts")]
    NoTargets,
    /// One chain named twice.
    #[error("targets names chain {chain} twice; keep one entry")]
    TargetTwice {
        /// The chain.
        chain: ChainId,
    },
    /// Something would be forgotten while it could still be asked for.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// A bound that would stop everything.
    #[error("{key} = 0 would refuse everything; set at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
}

/// A dispatcher's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatcherConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; plain text without.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Allows plain text on an address that others can reach (behind a TLS proxy, in a closed net).
    #[serde(default)]
    pub allow_plaintext: bool,
    /// This dispatcher's own address, published by its operator: peers bind their logins to it, and it
    /// signs commit sets. It must be the address of the key that the dispatcher is started with.
    #[serde(deserialize_with = "parsed")]
    pub server: Address,
    /// The chain where the stake lives.
    pub home: HomeConfig,
    /// Chains that results can go to.
    pub targets: Vec<TargetConfig>,
    /// Who may connect as oracle of which chain.
    #[serde(default)]
    pub oracles: Vec<OracleConfig>,
    /// Provers that may connect; all if absent.
    #[serde(default, deserialize_with = "addresses")]
    pub prover_allow_list: Option<BTreeSet<Address>>,
    /// Administrators.
    #[serde(default, deserialize_with = "addresses")]
    pub administrators: Option<BTreeSet<Address>>,
    /// How often peers send a heartbeat.
    #[serde(default = "defaults::heartbeat_interval_ms")]
    pub heartbeat_interval_ms: u64,
    /// Silence after which a peer counts as dead.
    #[serde(default = "defaults::dead_after_ms")]
    pub dead_after_ms: u64,
    /// Judge every proof at intake, so that a bad one is its prover's fault and no verifier's work.
    /// Verifiers do not rely on it. Off only to test that they do not.
    #[serde(default = "defaults::yes")]
    pub judge_at_intake: bool,
    /// Bond that is asked of a prover for a lease of a contract job in assigned mode, in wei of the
    /// job's chain; 0 asks for none.
    #[serde(default)]
    pub lease_bond_wei: u64,
    /// Connections at a time.
    #[serde(default = "defaults::connections_max")]
    pub connections_max: usize,
    /// Connections at a time from one IPv4 address or one IPv6 network of 64 bits.
    #[serde(default = "defaults::connections_per_ip_max")]
    pub connections_per_ip_max: usize,
    /// Bytes that one requester may store before a job names them.
    #[serde(default = "defaults::unclaimed_bytes_per_requester_max")]
    pub unclaimed_bytes_per_requester_max: u64,
    /// Bytes that all together may store before a job names them.
    #[serde(default = "defaults::unclaimed_bytes_max")]
    pub unclaimed_bytes_max: u64,
    /// How long one verifier may take to begin giving back a blob that is gone here, before the next
    /// one is asked.
    #[serde(default = "defaults::recall_timeout_ms")]
    pub recall_timeout_ms: u64,
    /// Memory that the planner may expect of a prover while none is connected.
    #[serde(default = "defaults::planning_memory_bytes")]
    pub planning_memory_bytes: u64,
    /// Provers that the planner expects while none is connected.
    #[serde(default = "defaults::planning_provers")]
    pub planning_provers: u32,
    /// Snapshots of the state.
    #[serde(default)]
    pub snapshots: SnapshotConfig,
    /// Timing of the state machine; absent keys keep their defaults.
    #[serde(default)]
    pub timing: TimingConfig,
}

/// Certificate and key, PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain.
    pub certificate_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
    /// Authority of client certificates; if set, every client must show one.
    #[serde(default)]
    pub client_authority_file: Option<PathBuf>,
}

/// The chain where the stake lives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeConfig {
    /// EVM chain id.
    pub chain_id: u64,
    /// `EpochTable`.
    #[serde(deserialize_with = "parsed")]
    pub epoch_table: Address,
    /// `OperatorRegistrar`.
    #[serde(deserialize_with = "parsed")]
    pub operator_registrar: Address,
}

/// A chain that results can go to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// EVM chain id.
    pub chain_id: u64,
    /// `ProofRegistry`.
    #[serde(deserialize_with = "parsed")]
    pub proof_registry: Address,
    /// `TaskManager`.
    #[serde(deserialize_with = "parsed")]
    pub task_manager: Address,
}

/// An oracle that may connect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleConfig {
    /// The chain that it may speak for.
    pub chain_id: u64,
    /// Its wallet address.
    #[serde(deserialize_with = "parsed")]
    pub address: Address,
}

/// Snapshots of the state: a restart reads the newest one and the records after it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotConfig {
    /// Where they are kept. Absent: beside the journal, or nowhere if that is in memory; without one
    /// the journal is kept whole.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Fewest records between two snapshots; a large one waits for one record per KiB that it has.
    #[serde(default = "defaults::snapshot_every_records")]
    pub every_records: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self { directory: None, every_records: defaults::snapshot_every_records() }
    }
}

/// Timing of the state machine. Each absent key keeps the default of `NetworkConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingConfig {
    /// Longest that one lease may run.
    pub lease_max_ms: Option<u64>,
    /// How long a direct job waits for its input.
    pub input_wait_ms: Option<u64>,
    /// Longest that a statement waits for company in its batch.
    pub batch_window_ms: Option<u64>,
    /// How long verifiers may take to attest a batch before it is split.
    pub attest_timeout_ms: Option<u64>,
    /// How long a batch that has 2/3 waits for the rest.
    pub attest_linger_ms: Option<u64>,
    /// How long voting may take before the job is held.
    pub vote_timeout_ms: Option<u64>,
    /// How long a vote waits for further commitments once 2/3 of the stake have committed.
    pub commit_linger_ms: Option<u64>,
    /// Longest that the commitments of a vote are waited for.
    pub commit_cap_ms: Option<u64>,
    /// Longest that the votes of a commit set are waited for.
    pub reveal_cap_ms: Option<u64>,
    /// How long the previous epoch may still attest.
    pub epoch_grace_ms: Option<u64>,
    /// How long past its deadline a direct job is kept.
    pub deadline_grace_ms: Option<u64>,
    /// How long the blobs of an ended job are kept.
    pub blob_retention_ms: Option<u64>,
    /// How long an ended job is known, from its end or its deadline on.
    pub job_retention_ms: Option<u64>,
    /// How long votes are kept after their job's end.
    pub evidence_retention_ms: Option<u64>,
    /// How long a prover is known that did nothing.
    pub worker_retention_ms: Option<u64>,
}

mod defaults {
    pub(super) const fn heartbeat_interval_ms() -> u64 {
        5_000
    }
    pub(super) const fn dead_after_ms() -> u64 {
        30_000
    }
    pub(super) const fn yes() -> bool {
        true
    }
    pub(super) const fn connections_max() -> usize {
        4_096
    }
    pub(super) const fn connections_per_ip_max() -> usize {
        256
    }
    pub(super) const fn unclaimed_bytes_per_requester_max() -> u64 {
        256 << 20
    }
    pub(super) const fn unclaimed_bytes_max() -> u64 {
        4 << 30
    }
    pub(super) const fn recall_timeout_ms() -> u64 {
        5_000
    }
    pub(super) const fn snapshot_every_records() -> u64 {
        200_000
    }
    pub(super) const fn planning_memory_bytes() -> u64 {
        2 << 30
    }
    pub(super) const fn planning_provers() -> u32 {
        2
    }
}

fn parsed<'de, D: Deserializer<'de>>(source: D) -> Result<Address, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn addresses<'de, D: Deserializer<'de>>(source: D) -> Result<Option<BTreeSet<Address>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(source)?;
    let parse = |text: String| text.parse().map_err(serde::de::Error::custom);
    texts.map(|texts| texts.into_iter().map(parse).collect()).transpose()
}

impl DispatcherConfig {
    /// Checks what can be checked without touching the network.
    ///
    /// # Errors
    /// [`ConfigError`] names the key and what to set instead.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !self.allow_plaintext {
            return Err(ConfigError::PlaintextRefused { listen: self.listen });
        }
        let interval_ms = self.heartbeat_interval_ms;
        if interval_ms == 0 || self.dead_after_ms < interval_ms.saturating_mul(3) {
            let dead_after_ms = self.dead_after_ms;
            return Err(ConfigError::Heartbeat { interval_ms, dead_after_ms });
        }
        if self.targets.is_empty() {
            return Err(ConfigError::NoTargets);
        }
        let mut chains = BTreeSet::new();
        for target in &self.targets {
            if !chains.insert(target.chain_id) {
                return Err(ConfigError::TargetTwice { chain: ChainId::new(target.chain_id) });
            }
        }
        if self.snapshots.every_records == 0 {
            return Err(ConfigError::Zero { key: "snapshots.every_records" });
        }
        if self.recall_timeout_ms == 0 {
            return Err(ConfigError::Zero { key: "recall_timeout_ms" });
        }
        for (key, value) in [
            ("connections_max", self.connections_max),
            ("connections_per_ip_max", self.connections_per_ip_max),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { key });
            }
        }
        Ok(())
    }

    /// Checks that a key is that of the published address.
    ///
    /// # Errors
    /// [`ConfigError::ServerKey`].
    pub fn check_key(&self, key: &WalletKey) -> Result<(), ConfigError> {
        let (server, got) = (self.server, key.address());
        if got == server { Ok(()) } else { Err(ConfigError::ServerKey { server, got }) }
    }

    /// The network that every signature is bound to.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        NetworkId {
            home_chain: ChainId::new(self.home.chain_id),
            epoch_table: self.home.epoch_table,
        }
    }

    /// The chains that an oracle with this address may speak for.
    pub fn chains_of_oracle(&self, address: Address) -> impl Iterator<Item = ChainId> + '_ {
        let is_its = move |oracle: &&OracleConfig| oracle.address == address;
        self.oracles.iter().filter(is_its).map(|oracle| ChainId::new(oracle.chain_id))
    }

    /// Most bytes that may be stored before a job names them, of one requester.
    #[must_use]
    pub const fn unclaimed_per_requester(&self) -> ByteCount {
        ByteCount::new(self.unclaimed_bytes_per_requester_max)
    }

    /// Whom the planner cuts for while no prover is connected.
    #[must_use]
    pub const fn expected_workforce(&self) -> Workforce {
        let memory = ByteCount::new(self.planning_memory_bytes);
        Workforce { provers: self.planning_provers, memory_least: memory, memory_most: memory }
    }

    /// The state machine's settings.
    ///
    /// # Errors
    /// [`ConfigError::NoTargets`], or [`ConfigError::Retention`].
    pub fn state_machine(&self) -> Result<NetworkConfig, ConfigError> {
        let registry = |target: &TargetConfig| ChainContract {
            chain: ChainId::new(target.chain_id),
            contract: target.proof_registry,
        };
        let first = self.targets.first().ok_or(ConfigError::NoTargets)?;
        let mut config = NetworkConfig::new(ChainId::new(self.home.chain_id), registry(first));
        config.targets = self.targets.iter().map(registry).collect();
        config.judge_at_intake = self.judge_at_intake;
        config.heartbeat_dead_after_ms = self.dead_after_ms;
        let timing = &self.timing;
        for (setting, key) in [
            (&mut config.lease_max_ms, timing.lease_max_ms),
            (&mut config.input_wait_ms, timing.input_wait_ms),
            (&mut config.batch_window_ms, timing.batch_window_ms),
            (&mut config.attest_timeout_ms, timing.attest_timeout_ms),
            (&mut config.attest_linger_ms, timing.attest_linger_ms),
            (&mut config.vote_timeout_ms, timing.vote_timeout_ms),
            (&mut config.commit_linger_ms, timing.commit_linger_ms),
            (&mut config.commit_cap_ms, timing.commit_cap_ms),
            (&mut config.reveal_cap_ms, timing.reveal_cap_ms),
            (&mut config.epoch_grace_ms, timing.epoch_grace_ms),
            (&mut config.deadline_grace_ms, timing.deadline_grace_ms),
            (&mut config.blob_retention_ms, timing.blob_retention_ms),
            (&mut config.job_retention_ms, timing.job_retention_ms),
            (&mut config.evidence_retention_ms, timing.evidence_retention_ms),
            (&mut config.worker_retention_ms, timing.worker_retention_ms),
        ] {
            *setting = key.unwrap_or(*setting);
        }
        config.check_retention()?;
        Ok(config)
    }
}
