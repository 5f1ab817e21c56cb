//! `keccak`: the Keccak table of a block.
//!
//! Statement: *I know byte strings `m_1..m_n` with `keccak256(m_i) = d_i`*, `d_i` public and in
//! order. Three tables (see [`tables`]) carry it, tied by two buses:
//!
//! ```text
//!  permutation  <-- (state before, state after) --  sponge  -- (index, digest) -->  digest
//!  24 rows each                                     1 row per block                 1 row per message
//! ```
//!
//! **How the digests become public.** The batch prover opens no boundary to public values, so the
//! digest table's *preprocessed* columns hold `(used, index, d_i)`. They are built from the public
//! values alone, and the verifier commits to them itself (a thousand rows cost it about a
//! millisecond). Every finished message sends `(index, digest)` on a bus and the digest table takes
//! exactly the rows it was given: a missing, additional, swapped or changed digest unbalances the
//! bus. The number of permutations, which is what the prover is paid for, is a public value that the
//! sponge table's last row equals.
//!
//! Nothing else is left to the host: message bits, length and padding are constrained in each
//! block's row, the order of blocks by the transition from row to row, the order of messages by
//! their index, unused rows by flags that must be zero. Heights follow from the public values, so a
//! prover cannot choose them. A message may repeat and may be empty; a job may not.
//!
//! The proof does **not** hide the messages.

pub mod input;
pub mod planner;
pub mod program;
pub mod tables;
pub mod trace;

#[cfg(test)]
mod tests;

pub use program::KeccakProgram;

use proofgrid_proofs::digest::keccak256;

/// Bytes absorbed per permutation.
pub const RATE_BYTES: usize = 136;

/// A Keccak-256 digest.
pub type Digest = [u8; 32];

/// Permutations that a message of this length takes: padding adds at least one byte.
#[must_use]
pub const fn permutations_of_len(len: usize) -> usize {
    len / RATE_BYTES + 1
}

/// The digest of a message.
#[must_use]
pub fn digest_of(message: &[u8]) -> Digest {
    keccak256(message)
}
