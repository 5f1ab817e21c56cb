//! The STARK configurations: one field, one commitment scheme, two hashes, three parameter sets.
//!
//! Everything that the security of a proof depends on is in [`parameters`]; the tables come from the
//! programs. [`batch`] and [`uni`] run the two provers of Plonky3 on top, with the transcript of
//! [`transcript`], which makes grinding deterministic and is seeded by the caller.
//!
//! Arithmetic is over KoalaBear (`2^31 - 2^24 + 1`) with challenges in its quintic extension
//! (155 bits); degree 4 would end at its ceiling of about 100 proven bits.

pub mod backend;
pub mod batch;
pub mod constraints;
pub mod parameters;
pub mod soundness;
pub mod transcript;
pub mod transform;
pub mod uni;

#[cfg(test)]
mod tests;
