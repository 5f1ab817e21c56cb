//! The zkVerifier: judges proofs itself, writes each verdict down, then signs it.
//!
//! It dials a dispatcher and believes nothing that it says: epochs, manifests and verifying keys
//! come from its own [`chain_view`], proofs are named by digests that it recomputes, and every
//! proof is judged in its own sandboxed child. A statement's verdict goes to the [`vote_log`] and to
//! the disk before anything is signed, at most one per statement, over any number of restarts.
//!
//! It keeps the proofs that it judged and gives them to whoever misses them: to the dispatcher when
//! that asks, and to anybody when its operator opens a mirror.
//!
//! What it refuses to do: sign a verdict that it did not reach, a second verdict for a statement, a
//! batch that differs from its log in one leaf, or anything under an epoch or manifest that its
//! own view of the chain does not confirm. When judging does not finish it abstains and signs
//! nothing.

mod archive;
pub mod chain_view;
pub mod config;
mod epochs;
mod evaluate;
pub mod fetch;
mod give;
pub mod limits;
mod mirror;
mod node;
mod offer;
mod segments;
mod session;
pub mod signer;
pub mod status;
pub mod vote_log;

#[cfg(test)]
mod testing;

pub use self::archive::ArchiveError;
pub use self::config::{Retention, VerifierConfig};
pub use self::epochs::ConfirmedEpoch;
pub use self::node::{Verifier, VerifierError, VerifierHandle};
pub use self::segments::ProofJudge;
