//! Pairing checks: one signature, a key pair, and the contract's check of an aggregate.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{PrimeField, Zero};

use super::{BlsError, BlsMessage, PublicKeyG1, PublicKeyG2, Signature, hash_to_g1};
use crate::crypto::hash::keccak256_concat;

/// Separates the weights of a batch of keys from every other use of the hash.
const KEY_BATCH_TAG: &str = "PROOFGRID_BLS_KEY_BATCH_V1";

/// Whether `e(a_1, b_1) * e(a_2, b_2) == 1`.
fn product_is_one(left: (G1Affine, G2Affine), right: (G1Affine, G2Affine)) -> bool {
    let loops = Bn254::multi_miller_loop([left.0, right.0], [left.1, right.1]);
    Bn254::final_exponentiation(loops).is_some_and(|product| product.is_zero())
}

/// Checks that a G1 and a G2 key have the same secret.
///
/// # Errors
/// When they do not.
pub fn verify_keys_match(g1: &PublicKeyG1, g2: &PublicKeyG2) -> Result<(), BlsError> {
    let left = (g1.affine(), -G2Affine::generator());
    let right = (G1Affine::generator(), g2.affine());
    if product_is_one(left, right) { Ok(()) } else { Err(BlsError::KeysDiffer) }
}

/// Checks many key pairs at once: one double pairing over a random combination, whose weights are
/// 128 bits of a hash over all keys, so a wrong pair passes with probability 2^-128.
///
/// # Errors
/// The position of the first pair that does not belong together.
pub fn verify_all_keys_match(pairs: &[(PublicKeyG1, PublicKeyG2)]) -> Result<(), usize> {
    let bytes: Vec<u8> =
        pairs.iter().flat_map(|(g1, g2)| g1.to_bytes().into_iter().chain(g2.to_bytes())).collect();
    let seed = keccak256_concat(&[KEY_BATCH_TAG.as_bytes(), &bytes]);
    let (mut sum_g1, mut sum_g2) = (G1Projective::zero(), G2Projective::zero());
    for (position, (g1, g2)) in (0u64..).zip(pairs) {
        let digest = keccak256_concat(&[&seed, &position.to_be_bytes()]);
        let (limbs, _) = digest.as_chunks::<8>();
        let weight: Vec<u64> = limbs.iter().take(2).map(|limb| u64::from_be_bytes(*limb)).collect();
        sum_g1 += g1.affine().mul_bigint(&weight);
        sum_g2 += g2.affine().mul_bigint(&weight);
    }
    let left = (sum_g1.into_affine(), -G2Affine::generator());
    let right = (G1Affine::generator(), sum_g2.into_affine());
    if product_is_one(left, right) {
        return Ok(());
    }
    // Slow, and only ever needed to name the culprit.
    let wrong = pairs.iter().position(|(g1, g2)| verify_keys_match(g1, g2).is_err());
    wrong.map_or(Ok(()), Err)
}

impl PublicKeyG2 {
    /// Checks one signer's signature; one double pairing.
    ///
    /// # Errors
    /// When the signature is not this key's over this message.
    pub fn verify(&self, message: &BlsMessage, signature: &Signature) -> Result<(), BlsError> {
        let (point, _) = hash_to_g1(&message.digest())?;
        let left = (signature.affine(), -G2Affine::generator());
        let right = (point.affine(), self.affine());
        if product_is_one(left, right) { Ok(()) } else { Err(BlsError::BadSignature) }
    }
}

/// Checks an aggregate as the contract's `attest` does: one double pairing binds the signature, the
/// G1 aggregate (which the contract computes from its table) and the G2 aggregate (which the caller
/// supplies).
///
/// With `g = keccak256(message || apk.x || apk.y || g2 || sig) mod r` it checks
/// `e(sig + g * apk, -G2) * e(H(message) + g * G1, apkG2) == 1`.
///
/// # Errors
/// When the equation does not hold: the signature is bad or the two keys differ.
pub fn verify_aggregate(
    message: &BlsMessage,
    apk: &PublicKeyG1,
    apk_g2: &PublicKeyG2,
    signature: &Signature,
) -> Result<(), BlsError> {
    let digest = message.digest();
    let (point, _) = hash_to_g1(&digest)?;
    let challenge =
        keccak256_concat(&[&digest, &apk.to_bytes(), &apk_g2.to_bytes(), &signature.to_bytes()]);
    let gamma = Fr::from_be_bytes_mod_order(&challenge);
    let signed = (apk.affine() * gamma + signature.affine()).into_affine();
    let expected = (G1Affine::generator() * gamma + point.affine()).into_affine();
    let left = (signed, -G2Affine::generator());
    let right = (expected, apk_g2.affine());
    if product_is_one(left, right) { Ok(()) } else { Err(BlsError::BadSignature) }
}
