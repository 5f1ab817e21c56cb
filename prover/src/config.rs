//! The worker's settings: every field has a default where one makes sense, a unit in its name where
//! it is a quantity, and an unknown field is an error instead of a silent typo.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use proofgrid_core::ids::{Address, ChainId, NetworkId};
use proofgrid_core::units::ByteCount;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::backend::DeviceKind;

/// Most tasks that one worker takes at the same time; each owns a pool of threads.
pub const SLOTS_MAX: u32 = 64;
/// Most threads of one pool.
pub const THREADS_MAX: u32 = 1024;
/// Heartbeats slower than this would be taken for death: a quarter of the network's 30 s.
pub const HEARTBEAT_INTERVAL_MS_MAX: u64 = 7_500;

/// Settings of one zkProver worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProverConfig {
    /// Where the dispatcher listens, e.g. `https://dispatcher.example:7401`.
    pub dispatcher_url: String,
    /// The dispatcher's address. A login challenge from anyone else is refused.
    #[serde(with = "text")]
    pub dispatcher_identity: Address,
    /// Chain id of the home chain.
    pub home_chain_id: u64,
    /// The `EpochTable` contract on the home chain: the network's name in every signature.
    #[serde(with = "text")]
    pub epoch_table: Address,
    /// The worker's own directory: finished proofs, inputs, the bench file. One process each.
    pub data_dir: PathBuf,
    /// Settings for an `https` dispatcher.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Allows `http` to an address that is not this machine. Logins are signed either way, but
    /// inputs and proofs then travel in the clear.
    #[serde(default)]
    pub plaintext_allowed: bool,
    /// What proves.
    #[serde(default)]
    pub device: DeviceKind,
    /// Tasks proved at the same time, 1 to 64. One is right for large segments: a proof uses every
    /// thread.
    #[serde(default = "default_slots")]
    pub slots: u32,
    /// Threads of each slot's pool; 0 means one per core.
    #[serde(default)]
    pub threads: u32,
    /// Most memory that proofs may take together, in bytes; 0 means what the machine has.
    #[serde(default)]
    pub memory_bytes_max: u64,
    /// Memory that is left to the rest of the machine, in bytes.
    #[serde(default = "default_memory_reserve_bytes")]
    pub memory_reserve_bytes: u64,
    /// Most disk that cached inputs may take, in bytes.
    #[serde(default = "default_input_cache_bytes_max")]
    pub input_cache_bytes_max: u64,
    /// Time between heartbeats, in milliseconds; at most 7 500.
    #[serde(default = "default_heartbeat_interval_ms")]
    pub heartbeat_interval_ms: u64,
    /// Time between two progress reports of one task, in milliseconds.
    #[serde(default = "default_progress_interval_ms")]
    pub progress_interval_ms: u64,
    /// Time that a connection or login may take, in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// First pause before a new connection, in milliseconds; doubles, with jitter.
    #[serde(default = "default_reconnect_delay_ms_min")]
    pub reconnect_delay_ms_min: u64,
    /// Longest pause before a new connection, in milliseconds.
    #[serde(default = "default_reconnect_delay_ms_max")]
    pub reconnect_delay_ms_max: u64,
    /// Time without an answer after which a finished proof is offered again, in milliseconds.
    #[serde(default = "default_offer_again_ms")]
    pub offer_again_ms: u64,
    /// Time that running tasks have to finish once the worker drains, in milliseconds.
    #[serde(default = "default_drain_timeout_ms")]
    pub drain_timeout_ms: u64,
}

/// How the dispatcher's certificate is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file with the authorities that may have signed the dispatcher's certificate. Required
    /// for `https`: no authority is trusted by default.
    pub ca_certificate_path: Option<PathBuf>,
    /// Name that the certificate must carry, if it is not the host in the URL.
    pub server_name: Option<String>,
}

const fn default_slots() -> u32 {
    1
}

const fn default_memory_reserve_bytes() -> u64 {
    512 << 20
}

const fn default_input_cache_bytes_max() -> u64 {
    1 << 30
}

const fn default_heartbeat_interval_ms() -> u64 {
    5_000
}

const fn default_progress_interval_ms() -> u64 {
    1_000
}

const fn default_connect_timeout_ms() -> u64 {
    10_000
}

const fn default_reconnect_delay_ms_min() -> u64 {
    250
}

const fn default_reconnect_delay_ms_max() -> u64 {
    15_000
}

const fn default_offer_again_ms() -> u64 {
    30_000
}

const fn default_drain_timeout_ms() -> u64 {
    30 * 60 * 1000
}

/// Why settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("{field} must be from {min} to {max}, got {got}")]
    Range {
        /// The field.
        field: &'static str,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Value given.
        got: u64,
    },
    /// The dispatcher's URL cannot be used.
    #[error("dispatcher_url {url:?} cannot be used: {problem}; write https://host:port")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Plain text to another machine.
    #[error(
        "dispatcher_url {url:?} is plain text to another machine; \
         use https, or set plaintext_allowed = true if the network between is yours"
    )]
    Plaintext {
        /// The URL.
        url: String,
    },
    /// `https` without an authority to check it.
    #[error("tls.ca_certificate_path is missing; an https dispatcher is checked against it")]
    NoAuthority,
}

impl ProverConfig {
    /// Settings with every default, for a network and a dispatcher.
    #[must_use]
    pub fn new(
        dispatcher_url: String,
        dispatcher_identity: Address,
        network: NetworkId,
        data_dir: PathBuf,
    ) -> Self {
        Self {
            dispatcher_url,
            dispatcher_identity,
            home_chain_id: network.home_chain.get(),
            epoch_table: network.epoch_table,
            data_dir,
            tls: TlsConfig::default(),
            plaintext_allowed: false,
            device: DeviceKind::default(),
            slots: default_slots(),
            threads: 0,
            memory_bytes_max: 0,
            memory_reserve_bytes: default_memory_reserve_bytes(),
            input_cache_bytes_max: default_input_cache_bytes_max(),
            heartbeat_interval_ms: default_heartbeat_interval_ms(),
            progress_interval_ms: default_progress_interval_ms(),
            connect_timeout_ms: default_connect_timeout_ms(),
            reconnect_delay_ms_min: default_reconnect_delay_ms_min(),
            reconnect_delay_ms_max: default_reconnect_delay_ms_max(),
            offer_again_ms: default_offer_again_ms(),
            drain_timeout_ms: default_drain_timeout_ms(),
        }
    }

    /// Checks every range and the dispatcher's URL.
    ///
    /// # Errors
    /// [`ConfigError`] names the field and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("slots", 1, u64::from(SLOTS_MAX), u64::from(self.slots)),
            ("threads", 0, u64::from(THREADS_MAX), u64::from(self.threads)),
            ("heartbeat_interval_ms", 10, HEARTBEAT_INTERVAL_MS_MAX, self.heartbeat_interval_ms),
            ("progress_interval_ms", 10, 60_000, self.progress_interval_ms),
            ("connect_timeout_ms", 100, 120_000, self.connect_timeout_ms),
            ("reconnect_delay_ms_min", 1, 60_000, self.reconnect_delay_ms_min),
            (
                "reconnect_delay_ms_max",
                self.reconnect_delay_ms_min,
                600_000,
                self.reconnect_delay_ms_max,
            ),
            ("offer_again_ms", 10, 600_000, self.offer_again_ms),
        ];
        for (field, min, max, got) in ranges {
            if got < min || got > max {
                return Err(ConfigError::Range { field, min, max, got });
            }
        }
        self.check_url()
    }

    fn check_url(&self) -> Result<(), ConfigError> {
        let url = &self.dispatcher_url;
        let refuse = |problem| ConfigError::Url { url: url.clone(), problem };
        let uri: tonic::codegen::http::Uri = url.parse().map_err(|_| refuse("it is no URL"))?;
        let host = uri.host().ok_or_else(|| refuse("it names no host"))?;
        match uri.scheme_str() {
            Some("https") if self.tls.ca_certificate_path.is_none() => {
                Err(ConfigError::NoAuthority)
            }
            Some("https") => Ok(()),
            Some("http") if self.plaintext_allowed || is_loopback(host) => Ok(()),
            Some("http") => Err(ConfigError::Plaintext { url: url.clone() }),
            _ => Err(refuse("its scheme is neither https nor http")),
        }
    }

    /// The network that every signature names.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        NetworkId { home_chain: ChainId::new(self.home_chain_id), epoch_table: self.epoch_table }
    }

    /// Threads of each slot's pool, with 0 resolved to the machine's cores.
    #[must_use]
    pub fn num_threads(&self) -> usize {
        match usize::try_from(self.threads) {
            Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
            Ok(threads) => threads,
        }
    }

    /// The memory bound, if one is set.
    #[must_use]
    pub fn memory_max(&self) -> Option<ByteCount> {
        (self.memory_bytes_max > 0).then(|| ByteCount::new(self.memory_bytes_max))
    }

    /// Time that a connection or login may take.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// Time between heartbeats.
    #[must_use]
    pub const fn heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.heartbeat_interval_ms)
    }

    /// Time between two progress reports of one task.
    #[must_use]
    pub const fn progress_interval(&self) -> Duration {
        Duration::from_millis(self.progress_interval_ms)
    }

    /// Time without an answer after which a finished proof is offered again.
    #[must_use]
    pub const fn offer_again(&self) -> Duration {
        Duration::from_millis(self.offer_again_ms)
    }

    /// Time that running tasks have to finish once the worker drains.
    #[must_use]
    pub const fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// Whether a URL's host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Identities as their usual text.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> ProverConfig {
        let network = NetworkId {
            home_chain: ChainId::new(31_337),
            epoch_table: Address::from_bytes([7; 20]),
        };
        ProverConfig::new(url.into(), Address::from_bytes([9; 20]), network, "data".into())
    }

    #[test]
    fn plain_text_leaves_the_machine_only_when_told_so() {
        for url in ["http://127.0.0.1:7401", "http://localhost:7401", "http://[::1]:7401"] {
            assert_eq!(config(url).check(), Ok(()), "{url}");
        }
        let mut remote = config("http://10.0.0.7:7401");
        assert!(matches!(remote.check(), Err(ConfigError::Plaintext { .. })));
        remote.plaintext_allowed = true;
        assert_eq!(remote.check(), Ok(()));
    }

    #[test]
    fn https_needs_an_authority() {
        let mut secure = config("https://dispatcher.example:7401");
        assert_eq!(secure.check(), Err(ConfigError::NoAuthority));
        secure.tls.ca_certificate_path = Some("ca.pem".into());
        assert_eq!(secure.check(), Ok(()));
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["ftp://127.0.0.1:1", "127.0.0.1", "http://", "not a url"] {
            assert!(matches!(config(url).check(), Err(ConfigError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn ranges_are_checked_and_named() {
        type Change = fn(&mut ProverConfig);
        let changes: [(&str, Change); 5] = [
            ("slots", |c| c.slots = 0),
            ("slots", |c| c.slots = SLOTS_MAX + 1),
            ("threads", |c| c.threads = THREADS_MAX + 1),
            ("heartbeat_interval_ms", |c| c.heartbeat_interval_ms = 30_000),
            ("reconnect_delay_ms_max", |c| c.reconnect_delay_ms_max = 1),
        ];
        for (name, change) in changes {
            let mut changed = config("http://127.0.0.1:7401");
            change(&mut changed);
            match changed.check() {
                Err(ConfigError::Range { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_file_with_the_least_is_enough_and_a_typo_is_an_error() {
        let least = format!(
            "dispatcher_url = \"http://127.0.0.1:7401\"\n\
             dispatcher_identity = \"{}\"\nhome_chain_id = 31337\n\
             epoch_table = \"{}\"\ndata_dir = \"data\"\n",
            Address::from_bytes([9; 20]),
            Address::from_bytes([7; 20]),
        );
        let read: ProverConfig = toml::from_str(&least).expect("the least is enough");
        assert_eq!(read, config("http://127.0.0.1:7401"));
        let error = toml::from_str::<ProverConfig>(&format!("{least}slot = 2\n"))
            .expect_err("slot is a typo");
        assert!(error.to_string().contains("unknown field `slot`"), "{error}");
        let written = toml::to_string(&read).expect("settings can be written");
        assert_eq!(toml::from_str::<ProverConfig>(&written).expect("and read"), read);
    }
}
