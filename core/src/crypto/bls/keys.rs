//! Secret keys: made from a caller's randomness, zeroed when dropped, never printed.

use std::fmt;

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{PrimeField, Zero};
use zeroize::{Zeroize, Zeroizing};

use super::points::{limbs_from_be, to_be};
use super::{BlsError, BlsMessage, PublicKeyG1, PublicKeyG2, Signature, hash_to_g1};
use crate::crypto::hash::{keccak256, keccak256_concat};
use crate::ids::{Address, ChainContract, OperatorSet};

/// Separates key derivation from every other use of the hash.
const KEYGEN_TAG: &str = "PROOFGRID_BLS_KEYGEN_V1";

/// A BLS secret key: a scalar in `1..r`.
pub struct SecretKey(Fr);

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

impl SecretKey {
    /// Derives a key from 32 to 64 bytes of the caller's randomness; core draws none.
    ///
    /// With `d = keccak256(tag || seed)` and `i = 0`, the scalar is
    /// `keccak256(d || i || 0) || keccak256(d || i || 1)` as 512 big-endian bits mod `r` (bias below
    /// 2^-250); were it zero, `i` would count up. The same seed gives the same key.
    ///
    /// # Errors
    /// When the seed is shorter than 32 or longer than 64 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self, BlsError> {
        if !(32..=64).contains(&seed.len()) {
            return Err(BlsError::Seed { got: seed.len() });
        }
        let tag = keccak256(KEYGEN_TAG.as_bytes());
        let digest = Zeroizing::new(keccak256_concat(&[&tag, seed]));
        let scalars = (0..=u8::MAX).map(|counter| {
            let mut wide = Zeroizing::new([0u8; 64]);
            let (high, low) = wide.split_at_mut(32);
            high.copy_from_slice(&keccak256_concat(&[&*digest, &[counter, 0]]));
            low.copy_from_slice(&keccak256_concat(&[&*digest, &[counter, 1]]));
            Fr::from_be_bytes_mod_order(&*wide)
        });
        let mut nonzero = scalars.filter(|scalar| !scalar.is_zero());
        nonzero.next().map(Self).ok_or(BlsError::Identity { kind: "secret key" })
    }

    /// Reads a key back, for keystores.
    ///
    /// # Errors
    /// When the scalar is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        let kind = "secret key";
        let scalar =
            Fr::from_bigint(limbs_from_be(bytes)).ok_or(BlsError::NotCanonical { kind })?;
        if scalar.is_zero() {
            return Err(BlsError::Identity { kind });
        }
        Ok(Self(scalar))
    }

    /// The scalar, 32 big-endian bytes, for keystores only.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(to_be(self.0))
    }

    /// The key in G1.
    #[must_use]
    pub fn public_g1(&self) -> PublicKeyG1 {
        #[expect(clippy::expect_used, reason = "a nonzero scalar below r has a nonzero multiple")]
        PublicKeyG1::from_group(G1Affine::generator() * self.0).expect("the scalar is not zero")
    }

    /// The key in G2.
    #[must_use]
    pub fn public_g2(&self) -> PublicKeyG2 {
        #[expect(clippy::expect_used, reason = "a nonzero scalar below r has a nonzero multiple")]
        PublicKeyG2::from_group(G2Affine::generator() * self.0).expect("the scalar is not zero")
    }

    /// Signs a typed message; about 0.2 ms.
    #[must_use]
    pub fn sign(&self, message: &BlsMessage) -> Signature {
        #[expect(
            clippy::expect_used,
            reason = "256 independent halvings; nobody can find such input"
        )]
        let (point, _) = hash_to_g1(&message.digest()).expect("fails with probability 2^-256");
        #[expect(clippy::expect_used, reason = "a nonzero scalar times a point of prime order r")]
        Signature::from_group(point.affine() * self.0).expect("the scalar is not zero")
    }

    /// The proof of possession that `OperatorRegistrar` asks for at registration.
    #[must_use]
    pub fn prove_possession(
        &self,
        registry: ChainContract,
        operator: Address,
        set: OperatorSet,
    ) -> Signature {
        let (g1, g2) = (self.public_g1(), self.public_g2());
        self.sign(&BlsMessage::Pop { registry, operator, set, g1, g2 })
    }
}
