//! The pure rules of Proofgrid: identities, digests, signatures, the job and task state machine,
//! scheduling, leases, quorum and certificates.
//!
//! Nothing in this crate does IO, reads a clock or draws randomness: time and nonces come in as
//! arguments, decisions go out as values. Every function is total over its typed inputs; bytes from
//! outside are parsed at the edge into these types.

pub mod batch;
pub mod bond;
pub mod borsh_u256;
pub mod certificate;
pub mod crypto;
pub mod epoch;
pub mod ids;
pub mod job;
pub mod limits;
pub mod manifest;
pub mod merkle;
pub mod network;
pub mod quorum;
pub mod race;
pub mod sealed;
pub mod statement;
pub mod units;
pub mod vote;

#[cfg(test)]
mod fixtures;
