//! Configuration files of the roles: one TOML file each, every value overridable by environment.
//!
//! `PROOFGRID_<SECTION>__<KEY>` overrides a key: `PROOFGRID_PROVER__SLOTS=2`. Unknown keys are
//! refused, durations and sizes carry their unit in the key, and secrets are named by path only.

mod blobs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use proofgrid_core::ids::{Address, NetworkId};
use proofgrid_core::ids::{ChainContract, ChainId};
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_dispatcher::config::DispatcherConfig;
use proofgrid_judge::JudgeConfig;
use proofgrid_oracle::config::HexAddress;
use proofgrid_oracle::config::{ContractsConfig, OracleConfig};
use proofgrid_oracle::contracts::ContractAddresses;
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::rpc::{Chain, RpcObserver, RpcSettings};
use proofgrid_oracle::view::ChainViewClient;
use proofgrid_proto::dial::Dialer;
use proofgrid_prover::config::ProverConfig;
use proofgrid_store::journal::EngineKind;
use proofgrid_verifier::config::{Retention, VerifierConfig};
use proofgrid_verifier::limits::{KEPT_AT_LEAST, MIRRORS_MAX};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

pub use self::blobs::{BlobsSection, BucketSection};
use crate::node_api::NodeApiSection;

/// The hidden command that makes this binary a judge's child.
pub const JUDGE_CHILD_COMMAND: &str = "judge-child";

/// A key file and the file with its password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The encrypted key.
    pub file: PathBuf,
    /// Its password, in a file that only this user can read.
    pub password_file: PathBuf,
}

/// Where the dispatcher keeps what it knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Directory of the journal and of blobs, or of those on their way to a bucket; one process
    /// each.
    pub data_dir: PathBuf,
    /// Engine of the journal.
    #[serde(default = "default_engine")]
    pub engine: String,
    /// Where whole blobs lie.
    #[serde(default)]
    pub blobs: BlobsSection,
}

fn default_engine() -> String {
    EngineKind::DEFAULT.name().to_owned()
}

/// Limits of the judge's child processes, below those of each program's manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeSection {
    /// Children that may run at the same time.
    pub children_max: usize,
    /// Longest that one child may run, in milliseconds; a slower proof is abstained on.
    pub time_ms_max: u64,
    /// Most memory of one child, in bytes.
    pub memory_bytes_max: u64,
}

impl Default for JudgeSection {
    fn default() -> Self {
        Self { children_max: 2, time_ms_max: u64::MAX >> 1, memory_bytes_max: u64::MAX >> 1 }
    }
}

impl JudgeSection {
    /// The judge of this process: its children are this same binary.
    ///
    /// # Errors
    /// When the binary's own path is unknown.
    pub fn build(&self) -> anyhow::Result<JudgeConfig> {
        let mut config = JudgeConfig::own_binary(JUDGE_CHILD_COMMAND)
            .context("this binary does not know its own path")?;
        config.parallel_max = self.children_max;
        config.time_max = Millis::new(self.time_ms_max);
        config.memory_bytes_max = ByteCount::new(self.memory_bytes_max);
        Ok(config)
    }
}

/// `dispatcher.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatcherFile {
    /// The wallet whose address is published as `server`; it signs commit sets.
    pub key: KeyConfig,
    /// Journal and blobs.
    pub store: StoreConfig,
    /// Sandbox of intake.
    #[serde(default)]
    pub judge: JudgeSection,
    /// Services, limits and the network's rules.
    pub dispatcher: DispatcherConfig,
}

/// `prover.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProverFile {
    /// The wallet that is paid.
    pub key: KeyConfig,
    /// The worker.
    pub prover: ProverConfig,
    /// What it may put at stake for a lease; nothing if absent.
    #[serde(default)]
    pub bond: Option<BondSection>,
    /// The races that it may take part in; none if absent.
    #[serde(default)]
    pub race: Option<RaceSection>,
    /// Node API and metrics; not served if absent.
    #[serde(default)]
    pub node_api: Option<NodeApiSection>,
}

/// A prover's bond: its node delivers on the chain itself, so the wallet needs coins for gas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BondSection {
    /// EVM chain id.
    pub chain_id: u64,
    /// JSON-RPC addresses, the preferred one first.
    pub rpc_urls: Vec<String>,
    /// The chain's `TaskManager`, which every acceptance is bound to.
    pub task_manager: HexAddress,
    /// Most that one lease may lock, in wei.
    pub amount_wei_max: u64,
    /// Longest wait for one answer, in milliseconds.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
}

impl BondSection {
    /// What acceptances are bound to.
    #[must_use]
    pub const fn task_manager(&self) -> ChainContract {
        ChainContract { chain: ChainId::new(self.chain_id), contract: self.task_manager.0 }
    }

    /// The chain.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn chain(&self) -> anyhow::Result<Chain> {
        chain_of(self.chain_id, &self.rpc_urls, self.request_timeout_ms)
    }
}

/// A prover's races: its node commits and reveals on the chain itself, so the wallet needs a bond and
/// coins for gas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaceSection {
    /// EVM chain id.
    pub chain_id: u64,
    /// JSON-RPC addresses, the preferred one first.
    pub rpc_urls: Vec<String>,
    /// The chain's `TaskManager`, whose jobs are raced for.
    pub task_manager: HexAddress,
    /// When a commitment is final: `finalized` (default), `safe` or `depth=N`.
    #[serde(default)]
    pub finality: FinalityPolicy,
    /// Most that one race may put at stake, in wei.
    pub bond_wei_max: u64,
    /// Longest wait for one answer, in milliseconds.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
}

impl RaceSection {
    /// Whose jobs are raced for.
    #[must_use]
    pub const fn task_manager(&self) -> ChainContract {
        ChainContract { chain: ChainId::new(self.chain_id), contract: self.task_manager.0 }
    }

    /// The chain.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn chain(&self) -> anyhow::Result<Chain> {
        chain_of(self.chain_id, &self.rpc_urls, self.request_timeout_ms)
    }
}

fn chain_of(chain_id: u64, urls: &[String], request_timeout_ms: u64) -> anyhow::Result<Chain> {
    Ok(Chain::new(&RpcSettings {
        chain: ChainId::new(chain_id),
        urls: urls.to_vec(),
        request_timeout: Duration::from_millis(request_timeout_ms),
        retries_max: 5,
    })?)
}

/// The home chain as a verifier reads it: its own node's word, never the dispatcher's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSection {
    /// EVM chain id.
    pub chain_id: u64,
    /// JSON-RPC addresses, the preferred one first.
    pub rpc_urls: Vec<String>,
    /// `finalized` (default), `safe` or `depth=N`.
    #[serde(default)]
    pub finality: FinalityPolicy,
    /// Longest wait for one answer, in milliseconds.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// The network's contracts.
    pub contracts: ContractsConfig,
}

const fn default_request_timeout_ms() -> u64 {
    10_000
}

impl ChainSection {
    /// The network's contracts.
    #[must_use]
    pub const fn addresses(&self) -> ContractAddresses {
        ContractAddresses {
            operator_registrar: self.contracts.operator_registrar.0,
            epoch_table: self.contracts.epoch_table.0,
            task_manager: self.contracts.task_manager.0,
            proof_registry: self.contracts.proof_registry.0,
        }
    }

    /// What signatures are bound to.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        let epoch_table: Address = self.contracts.epoch_table.0;
        NetworkId { home_chain: ChainId::new(self.chain_id), epoch_table }
    }

    /// The reader of epochs and manifests; `observer` hears of its requests.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn view(&self, observer: Option<Arc<dyn RpcObserver>>) -> anyhow::Result<ChainViewClient> {
        let settings = RpcSettings {
            chain: ChainId::new(self.chain_id),
            urls: self.rpc_urls.clone(),
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            retries_max: 5,
        };
        let chain = Chain::observed(&settings, observer)?;
        Ok(ChainViewClient::new(chain, self.addresses(), self.finality))
    }
}

/// `verifier.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierFile {
    /// The BLS key that votes.
    pub key: KeyConfig,
    /// Sandbox of every judgement.
    #[serde(default)]
    pub judge: JudgeSection,
    /// The verifier's own, read-only view of the home chain.
    pub chain: ChainSection,
    /// The verifier.
    pub verifier: VerifierSection,
    /// Node API and metrics; not served if absent.
    #[serde(default)]
    pub node_api: Option<NodeApiSection>,
}

/// How a verifier takes part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierSection {
    /// Where the dispatcher listens.
    pub dispatcher_url: String,
    /// The dispatcher's own address; a server with another one is hung up on.
    #[serde(default)]
    pub dispatcher_address: Option<HexAddress>,
    /// PEM file with the authority of the dispatcher's certificate; needed for `https`.
    #[serde(default)]
    pub dispatcher_ca_file: Option<PathBuf>,
    /// The operator that the epoch table lists for this key.
    pub operator: HexAddress,
    /// Vote log and judged proofs; one process each. Never delete it while the key is in use.
    pub data_dir: PathBuf,
    /// How long to wait for the own node to show an epoch before abstaining, in milliseconds.
    #[serde(default = "default_chain_patience_ms")]
    pub chain_patience_ms: u64,
    /// How long judged proofs are kept after their statement was attested, in hours; at least 24.
    #[serde(default = "default_proof_retention_hours")]
    pub proof_retention_hours: u64,
    /// Bytes of kept proofs above which the oldest go earlier, none of them within 24 hours and none
    /// of a statement that is judged and not attested.
    #[serde(default = "default_proof_bytes_max")]
    pub proof_bytes_max: u64,
    /// Where anybody may read the kept proofs by digest, in plain text; nowhere if absent.
    #[serde(default)]
    pub mirror_listen: Option<SocketAddr>,
    /// Mirrors of other verifiers, tried in this order when the dispatcher has no proof.
    #[serde(default)]
    pub mirror_urls: Vec<String>,
}

fn default_proof_retention_hours() -> u64 {
    Retention::default().time.as_secs() / 3_600
}

fn default_proof_bytes_max() -> u64 {
    Retention::default().bytes_max.get()
}

const fn default_chain_patience_ms() -> u64 {
    60_000
}

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pings that keep a session alive through address translators, and how long one may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(35));

impl VerifierSection {
    /// The verifier's settings in `network`.
    ///
    /// # Errors
    /// When the URL or the authority's file cannot be used.
    pub fn build(&self, network: NetworkId) -> anyhow::Result<VerifierConfig> {
        let (interval, timeout) = KEEP_ALIVE;
        let mut dispatcher = Endpoint::from_shared(self.dispatcher_url.clone())
            .with_context(|| format!("dispatcher_url {:?}", self.dispatcher_url))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(interval)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if self.dispatcher_url.starts_with("https") {
            let path = self.dispatcher_ca_file.as_ref().context(
                "an https dispatcher needs dispatcher_ca_file: no authority is trusted by default",
            )?;
            let pem =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            dispatcher = dispatcher.tls_config(tls).context("dispatcher_ca_file")?;
        }
        let retention = Duration::from_secs(self.proof_retention_hours.saturating_mul(3_600));
        anyhow::ensure!(
            retention >= KEPT_AT_LEAST,
            "proof_retention_hours = {}: proofs are kept for at least {} hours",
            self.proof_retention_hours,
            KEPT_AT_LEAST.as_secs() / 3_600
        );
        anyhow::ensure!(
            self.mirror_urls.len() <= MIRRORS_MAX,
            "mirror_urls has {} entries, at most {MIRRORS_MAX} are asked",
            self.mirror_urls.len()
        );
        Ok(VerifierConfig {
            dispatcher,
            heartbeat_thread: true,
            dialer: Dialer::tcp(),
            server: self.dispatcher_address.map(|address| address.0),
            network,
            operator: self.operator.0,
            data_directory: self.data_dir.clone(),
            chain_patience: Duration::from_millis(self.chain_patience_ms),
            mirrors: self.mirror_urls.iter().map(|url| mirror(url)).collect::<Result<_, _>>()?,
            mirror_listen: self.mirror_listen,
            retention: Retention {
                time: retention,
                bytes_max: ByteCount::new(self.proof_bytes_max),
            },
            version: crate::VERSION.chars().take(64).collect(),
        })
    }
}

/// A mirror that proofs are read from. Their digests are checked, so plain text is as good as TLS.
fn mirror(url: &str) -> anyhow::Result<Endpoint> {
    anyhow::ensure!(
        url.starts_with("http://"),
        "mirror_urls {url:?}: mirrors are read in plain text; write http://host:port"
    );
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("mirror_urls {url:?}: write http://host:port"))?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}

/// `oracle.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleFile {
    /// The wallet that pays for its transactions.
    pub key: KeyConfig,
    /// The oracle.
    pub oracle: OracleConfig,
}

/// Reads a role's file with the environment laid over it.
///
/// # Errors
/// When the file is missing, a key is unknown or a value has the wrong form; the message names it.
pub fn load<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    anyhow::ensure!(path.exists(), "there is no configuration file {}", path.display());
    Figment::new()
        .merge(Toml::file_exact(path))
        .merge(Env::prefixed("PROOFGRID_").filter(|key| key.as_str().contains("__")).split("__"))
        .extract()
        .with_context(|| format!("{} cannot be used", path.display()))
}
