//! Everything that a caller can be told, as one type. How it looks on the wire is decided in one
//! table, [`crate::grpc::status`].

use proofgrid_core::crypto::bls::BlsError;
use proofgrid_core::crypto::secp::SecpError;
use proofgrid_core::ids::{Address, BlobDigest, ChainId, JobId, Nonce, ProgramId, TaskId};
use proofgrid_core::network::{EvolveError, Refusal};
use proofgrid_core::units::UnixSeconds;
use proofgrid_core::vote::VoteError;
use proofgrid_proto::convert::ConvertError;
use proofgrid_store::blob::BlobError;
use proofgrid_store::journal::JournalError;
use thiserror::Error;

use crate::compaction::SnapshotError;
use crate::config::ConfigError;

/// Why a call or message was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EdgeError {
    /// The message does not convert.
    #[error(transparent)]
    Malformed(#[from] ConvertError),
    /// The wallet signature is wrong.
    #[error("{0}; sign with the right key for this chain and contract")]
    WalletSignature(#[from] SecpError),
    /// The BLS signature is wrong.
    #[error("{0}; sign with the key that the epoch table lists")]
    BlsSignature(#[from] BlsError),
    /// A vote or attestation does not verify.
    #[error("{0}")]
    Vote(#[from] VoteError),
    /// The request is over.
    #[error("the request expired at {expires}, it is {now}; sign a new one")]
    Expired {
        /// Its end.
        expires: UnixSeconds,
        /// The dispatcher's clock.
        now: UnixSeconds,
    },
    /// The request would be good for too long.
    #[error("the request expires at {expires}, at most {max_s} s ahead are accepted; sign anew")]
    ExpiresTooFar {
        /// Its end.
        expires: UnixSeconds,
        /// How far ahead it may lie.
        max_s: u64,
    },
    /// Another home chain.
    #[error(
        "the job names home chain {got}, this network's is {expected}; name and sign that, or ask another"
    )]
    WrongNetwork {
        /// This network's.
        expected: ChainId,
        /// The job's.
        got: ChainId,
    },
    /// No such program.
    #[error("no program {0} here; ask GetNetwork for the list")]
    UnknownProgram(ProgramId),
    /// No such job.
    #[error("no job {0} here; check the id, or list your jobs")]
    UnknownJob(JobId),
    /// No such task.
    #[error("no task {0} here; explain its job for the ids")]
    UnknownTask(TaskId),
    /// No such blob.
    #[error("no blob {0} here or with a connected verifier; check the digest, or upload it first")]
    UnknownBlob(BlobDigest),
    /// No such peer.
    #[error("{0} is not connected; list the sessions, or wait until it dials in")]
    UnknownNode(Address),
    /// The administrator's nonce was used, or could have been before a restart.
    #[error("nonce {got} is not above {last}; take the present time in Unix milliseconds")]
    AdminNonce {
        /// The call's.
        got: Nonce,
        /// The last one of this administrator, or the highest that may have been used before this
        /// process started.
        last: Nonce,
    },
    /// A size or count above its bound.
    #[error("{what}: {got}, at most {max}")]
    Limit {
        /// What.
        what: &'static str,
        /// How much.
        got: u64,
        /// How much is allowed.
        max: u64,
    },
    /// A queue or budget is full.
    #[error("{0}; try again later")]
    Busy(&'static str),
    /// Not possible now.
    #[error("{0}")]
    WrongState(String),
    /// Never possible for this caller.
    #[error("{0}")]
    NotAllowed(String),
    /// The operator is in no live epoch.
    #[error(
        "operator {0} is a member of no live epoch; register, bond and wait for the next snapshot"
    )]
    NotInEpoch(Address),
    /// Nothing is known of the home chain yet.
    #[error("no epoch is known yet; the oracle of the home chain has not reported one, try again")]
    NoEpochYet,
    /// A message out of order.
    #[error("{0}")]
    Protocol(&'static str),
    /// The state machine refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The blob store refused or failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It took too long.
    #[error("{0} took too long; try again")]
    TimedOut(&'static str),
    /// A newer session of the same identity.
    #[error("a newer session of the same identity replaced this one; run one process per key")]
    Replaced,
    /// The dispatcher ends.
    #[error("the dispatcher is shutting down; connect again")]
    ShuttingDown,
    /// A fault of this process.
    #[error("{0}; this is a fault of the dispatcher, see its log")]
    Internal(String),
}

/// Why a dispatcher did not start or ended.
#[derive(Debug, Error)]
pub enum DispatcherError {
    /// The settings contradict themselves.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; choose another address or port")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server failed.
    #[error("the gRPC server failed: {0}")]
    Server(#[from] tonic::transport::Error),
    /// The reflection service does not start.
    #[error("the file descriptor set is unusable: {0}; rebuild the binary")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The journal failed; nothing was acknowledged that is not in it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A journal entry does not decode.
    #[error("journal record {sequence}: {source}")]
    Fact {
        /// Its place.
        sequence: u64,
        /// Why.
        source: proofgrid_core::network::FactDecodeError,
    },
    /// The journal contradicts itself.
    #[error("journal record {sequence} does not fit: {source}; restore the journal from a copy")]
    Replay {
        /// Its place.
        sequence: u64,
        /// Why.
        source: EvolveError,
    },
    /// There is no thread to write snapshots.
    #[error("cannot start the thread that writes snapshots: {0}; raise the limit of threads")]
    Thread(std::io::Error),
    /// Snapshots and journal cannot be used together.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The state machine refused its own decision; the process stops before it does harm.
    #[error("halted before anything of the batch was written: {0}")]
    Halted(Refusal),
    /// A task of the dispatcher panicked.
    #[error("{0} ended unexpectedly; see the log, then start again")]
    TaskEnded(&'static str),
}
