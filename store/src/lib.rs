//! Durable state behind two ports: the [`journal`] of facts and the [`blob`] store.
//!
//! The journal is the network's memory: small records in one total order, each acknowledged only
//! after it is on the disk. Everything else that a dispatcher knows is derived from it by replay, so
//! moving to another engine is an export and an import. Blobs (inputs, proofs) are large, immutable
//! and named by their Keccak-256 digest; they never enter the journal.
//!
//! What this crate refuses to do: it never answers before a flush, never retries a failed flush,
//! never skips or repairs a damaged record, and never builds a path from a foreign string.

pub mod blob;
pub mod blocking;
pub mod journal;
pub mod limits;
pub mod lock;
