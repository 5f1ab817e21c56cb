//! Groth16 over BN254 (Groth, eprint 2016/260): canonical bytes, snarkjs' JSON, and verification with
//! exactly the decisions of the EVM verifier `contracts/src/verifiers/Groth16Verifier.sol`.
//!
//! Unlike the STARKs here nothing is proved: the proof exists already, and so does its verifying key.
//! Both lie inside the envelope's proof part, so the envelope alone can be judged anywhere.
//!
//! | bytes | layout |
//! |---|---|
//! | public values | keccak256 of the key (32), `n` (4, big-endian), `n` scalars (32 each, big-endian) |
//! | key | alpha (G1), beta, gamma, delta (G2), `n + 1` points IC (G1) |
//! | proof | A (G1), B (G2), C (G1) |
//! | envelope's proof part | key, proof |
//!
//! Points are written as in `docs/protocol.md` section 2: G1 64 bytes, G2 128 bytes with the imaginary
//! part first, each coordinate below the field's modulus. The identity is all zeros.
//!
//! **The identity.** The equation `e(A, B) = e(alpha, beta) e(IC(x), gamma) e(C, delta)` makes sense for
//! it, so it is refused only where no honest setup or prover can produce it and where it would take the
//! meaning from the equation: alpha, beta, gamma, delta, A, B. It is accepted as an IC point (an input
//! that no constraint uses, from a setup that adds no constraint for it) and as C (no private witness
//! and no blinding). A key whose IC point is the identity leaves that input free; that is a property of
//! the key, which the certificate names, and an on-chain verifier of the same key would say the same.
//!
//! **Why not `ark-groth16` here.** It verifies through its prover's crates: R1CS synthesis, sponges and
//! a tracing subscriber, some forty packages in a build that every verifier signs with. What is needed is
//! one product of four pairings, which `ark-bn254`, already under our own signatures, computes. The
//! crate is a development dependency, and every vector is judged by it as well.
//!
//! Groth16 proofs can be re-randomised by anybody and are bound to no job and no prover: a program that
//! certifies them is not prover-bound.

mod key;
mod points;
pub mod snarkjs;
mod values;

pub use key::{Groth16Key, Groth16Proof};
pub use values::Groth16Values;

/// Most public inputs: what the challenge of one proof may cost on-chain bounds them.
pub const INPUTS_MAX: usize = 64;
/// Bytes of a point of G1.
pub const G1_BYTES: usize = 64;
/// Bytes of a point of G2.
pub const G2_BYTES: usize = 128;
/// Bytes of a scalar.
pub const SCALAR_BYTES: usize = 32;
/// Bytes of a proof.
pub const PROOF_BYTES: usize = G1_BYTES + G2_BYTES + G1_BYTES;

/// Bytes of a key for `inputs` public inputs.
#[must_use]
pub const fn key_bytes(inputs: usize) -> usize {
    G1_BYTES + 3 * G2_BYTES + (inputs + 1) * G1_BYTES
}

/// Bytes of the public values of `inputs` public inputs.
#[must_use]
pub const fn values_bytes(inputs: usize) -> usize {
    32 + 4 + inputs * SCALAR_BYTES
}

#[cfg(test)]
mod tests;
