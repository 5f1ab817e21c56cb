//! Key, proof, and the equation between them.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::CurveGroup;
use ark_ec::pairing::Pairing;
use ark_ff::Zero;
use proofgrid_core::ids::VkDigest;

use super::points::{Identity, Points, write_g1, write_g2};
use super::{INPUTS_MAX, PROOF_BYTES, key_bytes};
use crate::digest::keccak256;
use crate::refusal::{Refusal, RefusalCode};

/// A verifying key whose points are all in their groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groth16Key {
    pub(super) alpha: G1Affine,
    pub(super) beta: G2Affine,
    pub(super) gamma: G2Affine,
    pub(super) delta: G2Affine,
    /// One more than there are public inputs, at most [`INPUTS_MAX`] + 1.
    pub(super) ic: Vec<G1Affine>,
}

impl Groth16Key {
    /// Number of public inputs.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key_bytes(self.num_inputs()));
        write_g1(&self.alpha, &mut bytes);
        for point in [&self.beta, &self.gamma, &self.delta] {
            write_g2(point, &mut bytes);
        }
        for point in &self.ic {
            write_g1(point, &mut bytes);
        }
        bytes
    }

    /// The digest of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> VkDigest {
        VkDigest::from_bytes(keccak256(&self.encode()))
    }

    /// Decodes the key of so many public inputs.
    ///
    /// # Errors
    /// [`RefusalCode::Encoding`] or [`RefusalCode::NotCanonical`] names the point.
    pub fn decode(bytes: &[u8], inputs: usize) -> Result<Self, Refusal> {
        if inputs > INPUTS_MAX || bytes.len() != key_bytes(inputs) {
            let detail = format!("{} bytes for a key of {inputs} public inputs", bytes.len());
            return Err(Refusal::new(RefusalCode::Encoding, detail));
        }
        let mut points = Points(bytes);
        let alpha = points.g1("alpha", Identity::Refused)?;
        let beta = points.g2("beta")?;
        let gamma = points.g2("gamma")?;
        let delta = points.g2("delta")?;
        let mut ic = Vec::with_capacity(inputs + 1);
        for position in 0..=inputs {
            ic.push(points.g1(&format!("IC[{position}]"), Identity::Accepted)?);
        }
        Ok(Self { alpha, beta, gamma, delta, ic })
    }

    /// Checks `e(A, B) = e(alpha, beta) e(IC(inputs), gamma) e(C, delta)`. One product of four
    /// pairings, about 2 ms, and 0.1 ms for each input.
    ///
    /// # Errors
    /// [`RefusalCode::Pairing`] when it does not hold; [`RefusalCode::PublicValuesShape`] when the key
    /// has another number of inputs.
    pub fn verify(&self, inputs: &[Fr], proof: &Groth16Proof) -> Result<(), Refusal> {
        if inputs.len() != self.num_inputs() {
            let (got, expected) = (inputs.len(), self.num_inputs());
            let detail = format!("{got} public inputs for a key of {expected}");
            return Err(Refusal::new(RefusalCode::PublicValuesShape, detail));
        }
        let one = [Fr::from(1u64)];
        let combined: G1Projective =
            one.iter().chain(inputs).zip(&self.ic).map(|(scalar, point)| *point * *scalar).sum();
        let left = [-proof.a, self.alpha, combined.into_affine(), proof.c];
        let right = [proof.b, self.beta, self.gamma, self.delta];
        let product = Bn254::final_exponentiation(Bn254::multi_miller_loop(left, right));
        if product.is_some_and(|product| product.is_zero()) {
            return Ok(());
        }
        let detail = "the proof does not verify for these public inputs under this key";
        Err(Refusal::new(RefusalCode::Pairing, detail))
    }
}

/// A proof whose points are all in their groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groth16Proof {
    pub(super) a: G1Affine,
    pub(super) b: G2Affine,
    pub(super) c: G1Affine,
}

impl Groth16Proof {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PROOF_BYTES);
        write_g1(&self.a, &mut bytes);
        write_g2(&self.b, &mut bytes);
        write_g1(&self.c, &mut bytes);
        bytes
    }

    /// Decodes a proof.
    ///
    /// # Errors
    /// [`RefusalCode::Encoding`] or [`RefusalCode::NotCanonical`] names the point.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() != PROOF_BYTES {
            let detail = format!("{} bytes, a proof has {PROOF_BYTES}", bytes.len());
            return Err(Refusal::new(RefusalCode::Encoding, detail));
        }
        let mut points = Points(bytes);
        let a = points.g1("A", Identity::Refused)?;
        let b = points.g2("B")?;
        Ok(Self { a, b, c: points.g1("C", Identity::Accepted)? })
    }
}
