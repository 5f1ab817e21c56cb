//! An oracle's settings, as they stand in its TOML file. Unknown keys are refused; every duration,
//! amount and count has its unit in the key.

use std::path::PathBuf;
use std::time::Duration;

use proofgrid_core::ids::{Address, ChainId, NetworkId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::contracts::ContractAddresses;
use crate::finality::FinalityPolicy;
use crate::rpc::RpcSettings;
use crate::submit::fees::FeeBounds;

/// Most blocks that one `eth_getLogs` may cover; public endpoints refuse more.
pub const SCAN_BLOCKS_MAX: u64 = 10_000;
/// Most endpoints of one chain.
pub const RPC_URLS_MAX: usize = 8;
/// Most mirrors that are asked for a proof.
pub const MIRROR_URLS_MAX: usize = 8;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("`{key}` is {got}, it must be from {min} to {max}")]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        got: u64,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// The dispatcher would be dialled in plain text across a network.
    #[error(
        "`dispatcher_url` is plain http to another machine; use https, or set `allow_plaintext = \
         true` if the network between is trusted"
    )]
    Plaintext,
}

/// One oracle: one chain, one key, one dispatcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleConfig {
    /// The chain that this oracle reads and posts to.
    pub chain_id: u64,
    /// JSON-RPC addresses of nodes of that chain, the preferred one first. Two or more let the
    /// oracle compare final blocks and survive the loss of one.
    pub rpc_urls: Vec<String>,
    /// `finalized` (default), `safe` or `depth=N`.
    #[serde(default)]
    pub finality: FinalityPolicy,
    /// First block that is read: the one in which the contracts were deployed.
    pub start_block: u64,
    /// Our contracts on the chain.
    pub contracts: ContractsConfig,
    /// The dispatcher's address, `http://` or `https://`.
    pub dispatcher_url: String,
    /// The dispatcher's own account; another one is hung up on. Unset: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatcher_address: Option<HexAddress>,
    /// PEM file with the authority that signed the dispatcher's certificate, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatcher_ca_file: Option<PathBuf>,
    /// Allows `http` to another machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Folder for the cursor and the submissions; one per chain and key.
    pub data_directory: PathBuf,
    /// Pause between two looks at the chain.
    #[serde(default = "defaults::poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// Longest wait for one answer of an endpoint.
    #[serde(default = "defaults::request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// Rounds over all endpoints after the first one failed.
    #[serde(default = "defaults::request_retries_max")]
    pub request_retries_max: u32,
    /// Most blocks per log query.
    #[serde(default = "defaults::scan_blocks_max")]
    pub scan_blocks_max: u64,
    /// Makes new epochs when they are due. Anybody may; one oracle of a network has to.
    #[serde(default = "defaults::roll_epochs")]
    pub roll_epochs: bool,
    /// Hands verifiers' pay to the restaking core when it is due. Anybody may; one oracle of a network
    /// has to.
    #[serde(default = "defaults::distribute_rewards")]
    pub distribute_rewards: bool,
    /// Verifiers' mirrors, where proofs are read that the chain shall judge itself because their job
    /// is due before its certificate is hard, and that somebody demands on the chain. None: the chain
    /// is never asked to, and demands are left to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror_urls: Vec<String>,
    /// What transactions may cost.
    #[serde(default)]
    pub fees: FeesConfig,
}

/// Our contracts on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractsConfig {
    /// `OperatorRegistrar`.
    pub operator_registrar: HexAddress,
    /// `EpochTable`.
    pub epoch_table: HexAddress,
    /// `TaskManager`.
    pub task_manager: HexAddress,
    /// `ProofRegistry`.
    pub proof_registry: HexAddress,
}

/// What transactions may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeesConfig {
    /// Tip that is offered where the node suggests less, in wei per gas.
    pub tip_min_wei: u64,
    /// Most that is ever offered, in wei per gas.
    pub max_fee_cap_wei: u64,
    /// Blocks without inclusion after which the offer is raised.
    pub raise_after_blocks: u64,
    /// Transactions that may be under way at once.
    pub in_flight_max: u32,
}

impl Default for FeesConfig {
    fn default() -> Self {
        Self {
            tip_min_wei: 1_000_000_000,
            max_fee_cap_wei: 500_000_000_000,
            raise_after_blocks: 3,
            in_flight_max: 16,
        }
    }
}

impl FeesConfig {
    /// The ladder's bounds.
    #[must_use]
    pub fn bounds(&self) -> FeeBounds {
        FeeBounds {
            tip_min_wei: u128::from(self.tip_min_wei),
            max_fee_cap_wei: u128::from(self.max_fee_cap_wei),
        }
    }
}

mod defaults {
    pub const fn roll_epochs() -> bool {
        true
    }
    pub const fn distribute_rewards() -> bool {
        true
    }
    pub const fn poll_interval_ms() -> u64 {
        1_000
    }
    pub const fn request_timeout_ms() -> u64 {
        10_000
    }
    pub const fn request_retries_max() -> u32 {
        5
    }
    pub const fn scan_blocks_max() -> u64 {
        1_000
    }
}

/// An address as 0x and 40 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HexAddress(pub Address);

impl Serialize for HexAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HexAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl OracleConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |key, got, min, max| {
            if (min..=max).contains(&got) {
                Ok(())
            } else {
                Err(ConfigError::Range { key, got, min, max })
            }
        };
        range("rpc_urls (count)", self.rpc_urls.len() as u64, 1, RPC_URLS_MAX as u64)?;
        range("mirror_urls (count)", self.mirror_urls.len() as u64, 0, MIRROR_URLS_MAX as u64)?;
        range("poll_interval_ms", self.poll_interval_ms, 50, 600_000)?;
        range("request_timeout_ms", self.request_timeout_ms, 100, 120_000)?;
        range("request_retries_max", u64::from(self.request_retries_max), 0, 100)?;
        range("scan_blocks_max", self.scan_blocks_max, 1, SCAN_BLOCKS_MAX)?;
        range("fees.raise_after_blocks", self.fees.raise_after_blocks, 1, 1_000)?;
        range("fees.in_flight_max", u64::from(self.fees.in_flight_max), 1, 64)?;
        range("fees.max_fee_cap_wei", self.fees.max_fee_cap_wei, 1, u64::MAX)?;
        if self.plaintext_to_another_machine() && !self.allow_plaintext {
            return Err(ConfigError::Plaintext);
        }
        Ok(())
    }

    fn plaintext_to_another_machine(&self) -> bool {
        let Some(rest) = self.dispatcher_url.strip_prefix("http://") else {
            return false;
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, _)) => host,
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        !loopback && host != "localhost"
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        ChainId::new(self.chain_id)
    }

    /// The network that logins name. The chain is the home chain until targets elsewhere exist.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        NetworkId { home_chain: self.chain(), epoch_table: self.contracts.epoch_table.0 }
    }

    /// Our contracts.
    #[must_use]
    pub const fn addresses(&self) -> ContractAddresses {
        ContractAddresses {
            operator_registrar: self.contracts.operator_registrar.0,
            epoch_table: self.contracts.epoch_table.0,
            task_manager: self.contracts.task_manager.0,
            proof_registry: self.contracts.proof_registry.0,
        }
    }

    /// How the chain is reached.
    #[must_use]
    pub fn rpc(&self) -> RpcSettings {
        RpcSettings {
            chain: self.chain(),
            urls: self.rpc_urls.clone(),
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            retries_max: usize::try_from(self.request_retries_max).unwrap_or(usize::MAX),
        }
    }

    /// Pause between two looks at the chain.
    #[must_use]
    pub const fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json() -> serde_json::Value {
        let address = "0x00000000000000000000000000000000000000aa";
        serde_json::json!({
            "chain_id": 31337,
            "rpc_urls": ["http://127.0.0.1:8545"],
            "start_block": 1,
            "contracts": {
                "operator_registrar": address,
                "epoch_table": address,
                "task_manager": address,
                "proof_registry": address,
            },
            "dispatcher_url": "http://127.0.0.1:7000",
            "data_directory": "data/oracle",
        })
    }

    fn with(key: &str, value: serde_json::Value) -> Result<OracleConfig, serde_json::Error> {
        let mut json = json();
        json[key] = value;
        serde_json::from_value(json)
    }

    #[test]
    fn the_shortest_configuration_is_complete_and_round_trips() {
        let config: OracleConfig = serde_json::from_value(json()).unwrap();
        config.check().unwrap();
        assert_eq!(config.finality, FinalityPolicy::Finalized);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<OracleConfig>(&text).unwrap(), config);
    }

    #[test]
    fn unknown_keys_latest_and_bad_addresses_are_refused() {
        assert!(with("pol_interval_ms", 5.into()).is_err());
        let latest = with("finality", "latest".into()).unwrap_err().to_string();
        assert!(latest.contains("can still be undone"), "{latest}");
        assert!(with("dispatcher_address", "0x12".into()).is_err());
    }

    #[test]
    fn ranges_and_plain_text_are_checked() {
        let cases = [
            ("poll_interval_ms", serde_json::json!(0)),
            ("scan_blocks_max", serde_json::json!(0)),
            ("rpc_urls", serde_json::json!([])),
        ];
        for (key, value) in cases {
            let error = with(key, value).unwrap().check().unwrap_err();
            assert!(matches!(error, ConfigError::Range { .. }), "{key}: {error}");
        }
        for url in ["http://10.0.0.5:7000", "http://dispatcher:7000"] {
            let config = with("dispatcher_url", url.into()).unwrap();
            assert_eq!(config.check(), Err(ConfigError::Plaintext), "{url}");
        }
        for url in ["https://dispatcher:7000", "http://localhost:7000", "http://[::1]:7000"] {
            with("dispatcher_url", url.into()).unwrap().check().unwrap();
        }
    }
}
