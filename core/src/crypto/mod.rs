//! Hashing, typed signatures and curves. Pure: no IO, no clock, no randomness of its own.
//!
//! Every signed preimage starts with a tag from the closed list in [`tags`], or carries it as the
//! salt of its EIP-712 domain. Signers take typed messages, never 32 bytes, so that nothing that was
//! not meant to be signed can be.

pub mod bls;
pub mod eip712;
pub mod hash;
pub mod secp;
pub mod tags;

pub use hash::{HashedText, keccak256};

#[cfg(test)]
mod tests;
