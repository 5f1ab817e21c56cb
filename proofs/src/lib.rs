//! Proof systems: configurations, canonical proof bytes, soundness figures and the one interface
//! through which the network plans, proves and verifies programs.
//!
//! What a program *means* lives in `proofgrid-programs`; this crate gives it everything that has to
//! be the same for all of them: the STARK configurations of the three profiles, a transcript that
//! is seeded with the job and the prover, the envelope around a proof, the digest of a verifying
//! key, the verification of [Groth16](groth16) proofs that others made, and the
//! [`Program`](program::Program) trait with its closed [`Registry`](program::Registry).
//!
//! It refuses to do IO, to read a clock and to draw randomness: equal arguments give equal bytes on
//! any number of threads. No function that takes foreign bytes panics on them.

pub mod build;
pub mod canonical;
pub mod digest;
pub mod envelope;
pub mod groth16;
pub mod manifest;
pub mod program;
pub mod refusal;
pub mod stark;
