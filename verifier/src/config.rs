//! What a verifier needs to be told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proofgrid_core::ids::{Address, NetworkId};
use tonic::transport::Endpoint;

/// Configuration of one verifier.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// The dispatcher, with TLS already set up where it is wanted.
    pub dispatcher: Endpoint,
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
    /// Version text of the build, at most 64 bytes.
    pub version: String,
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
}
