//! What a verifier needs to be told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proofgrid_core::ids::{Address, NetworkId};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::dial::Dialer;
use tonic::transport::Endpoint;

#[cfg(doc)]
use crate::limits::{KEPT_AT_LEAST, MIRRORS_MAX, OPEN_AT_MOST};

/// Configuration of one verifier.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// The dispatcher, with TLS already set up where it is wanted.
    pub dispatcher: Endpoint,
    /// How it and the mirrors are dialled.
    pub dialer: Dialer,
    /// The dispatcher's own address; a server with another one is hung up on. `None` accepts any:
    /// LOGIN binds whatever address it names, so a login cannot be passed on either way.
    pub server: Option<Address>,
    /// The network; a dispatcher of another one is refused.
    pub network: NetworkId,
    /// The operator that the epoch table lists.
    pub operator: Address,
    /// Data directory: the vote log and the judged proofs. One process at a time.
    pub data_directory: PathBuf,
    /// How long to wait for the own chain view to show an epoch before abstaining.
    pub chain_patience: Duration,
    /// Other verifiers, by address, that proofs are read from when the dispatcher has none; at most
    /// [`MIRRORS_MAX`]. A mirror can withhold a proof, not change it.
    pub mirrors: Vec<Endpoint>,
    /// Where anybody may read this verifier's kept proofs by digest; nowhere if `None`.
    pub mirror_listen: Option<SocketAddr>,
    /// How long proofs are kept.
    pub retention: Retention,
    /// Whether heartbeats come from a thread of their own, so that no work delays them; else from the
    /// runtime, as a simulation needs.
    pub heartbeat_thread: bool,
    /// Version text of the build, at most 64 bytes.
    pub version: String,
}

/// How long judged proofs are kept. Whatever is set here, a proof stays for [`KEPT_AT_LEAST`], and as
/// long as a statement over it is judged but not attested, up to [`OPEN_AT_MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long after the last statement over a proof was attested.
    pub time: Duration,
    /// Bytes above which the oldest go earlier.
    pub bytes_max: ByteCount,
}

impl Default for Retention {
    /// A week, as long as a dispatcher keeps blobs, and 64 GiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(7 * 24 * 3_600), bytes_max: ByteCount::new(64 << 30) }
    }
}

impl VerifierConfig {
    /// Where the vote log lies.
    #[must_use]
    pub fn vote_log_path(&self) -> PathBuf {
        self.data_directory.join("votes.log")
    }

    /// Where proofs lie.
    #[must_use]
    pub fn proofs_directory(&self) -> PathBuf {
        Path::new(&self.data_directory).join("proofs")
    }

    /// Where it is noted which statements need which proofs.
    #[must_use]
    pub fn statements_directory(&self) -> PathBuf {
        self.data_directory.join("statements")
    }
}
