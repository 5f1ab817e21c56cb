//! Curve points as bytes, and the map from messages to the curve.

use std::fmt;
use std::io;
use std::str::FromStr;

use ark_bn254::{Fq, Fq2, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInt, Field, One, PrimeField, Zero};
use borsh::{BorshDeserialize, BorshSerialize};

use super::BlsError;
use crate::limits::HASH_TO_CURVE_TRIES_MAX;

/// A number of four limbs, least significant first, from 32 big-endian bytes.
pub(super) fn limbs_from_be(bytes: &[u8; 32]) -> BigInt<4> {
    let mut limbs = [0u64; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*chunk);
    }
    BigInt::new(limbs)
}

/// 32 big-endian bytes of a field element.
pub(super) fn to_be<F: PrimeField<BigInt = BigInt<4>>>(value: F) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    for (chunk, limb) in
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(value.into_bigint().0.iter().rev())
    {
        *chunk = limb.to_be_bytes();
    }
    bytes
}

fn coordinate(kind: &'static str, bytes: &[u8; 32]) -> Result<Fq, BlsError> {
    Fq::from_bigint(limbs_from_be(bytes)).ok_or(BlsError::NotCanonical { kind })
}

/// The coordinates of a packed point.
fn coordinates<const N: usize, const WORDS: usize>(
    kind: &'static str,
    bytes: &[u8; N],
) -> Result<[Fq; WORDS], BlsError> {
    const { assert!(N == WORDS * 32, "a coordinate has 32 bytes") };
    let mut out = [Fq::zero(); WORDS];
    for (slot, word) in out.iter_mut().zip(bytes.as_chunks::<32>().0) {
        *slot = coordinate(kind, word)?;
    }
    Ok(out)
}

fn parse_g1(kind: &'static str, bytes: &[u8; 64]) -> Result<G1Affine, BlsError> {
    let [x, y] = coordinates::<64, 2>(kind, bytes)?;
    if x.is_zero() && y.is_zero() {
        return Err(BlsError::Identity { kind });
    }
    let point = G1Affine::new_unchecked(x, y);
    // G1 of BN254 has cofactor one: on the curve is in the subgroup.
    if point.is_on_curve() { Ok(point) } else { Err(BlsError::NotOnCurve { kind }) }
}

fn parse_g2(kind: &'static str, bytes: &[u8; 128]) -> Result<G2Affine, BlsError> {
    let [x1, x0, y1, y0] = coordinates::<128, 4>(kind, bytes)?;
    let (x, y) = (Fq2::new(x0, x1), Fq2::new(y0, y1));
    if x.is_zero() && y.is_zero() {
        return Err(BlsError::Identity { kind });
    }
    let point = G2Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        return Err(BlsError::NotOnCurve { kind });
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(BlsError::WrongSubgroup { kind });
    }
    Ok(point)
}

fn write_words<const N: usize>(words: &[Fq]) -> [u8; N] {
    let mut bytes = [0u8; N];
    for (chunk, word) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(words) {
        *chunk = to_be(*word);
    }
    bytes
}

macro_rules! point {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $affine:ty, $projective:ty, $len:literal,
     $parse:ident, |$point:ident| $words:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name($affine);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Parses canonical coordinates.
            ///
            /// # Errors
            /// When a coordinate is not below the modulus, or the point is the identity, off the
            /// curve or outside the subgroup.
            pub fn from_bytes(bytes: &[u8; $len]) -> Result<Self, BlsError> {
                $parse($kind, bytes).map(Self)
            }

            /// The coordinates, 32 big-endian bytes each, in the EVM precompiles' order.
            #[must_use]
            pub fn to_bytes(&self) -> [u8; $len] {
                let $point = &self.0;
                write_words(&$words)
            }

            /// Wraps a group element.
            ///
            /// # Errors
            /// When it is the identity.
            pub(super) fn from_group(point: $projective) -> Result<Self, BlsError> {
                let point = point.into_affine();
                if point.is_zero() {
                    return Err(BlsError::Identity { kind: $kind });
                }
                Ok(Self(point))
            }

            /// The group element.
            pub(super) const fn affine(&self) -> $affine {
                self.0
            }

            /// Sum of points.
            ///
            /// # Errors
            /// When there are none or they cancel out: the identity is refused.
            pub fn aggregate<'a>(
                points: impl IntoIterator<Item = &'a Self>,
            ) -> Result<Self, BlsError> {
                let sum = points.into_iter().fold(<$projective>::zero(), |sum, p| sum + p.0);
                Self::from_group(sum)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BlsError;

            fn try_from(bytes: &[u8]) -> Result<Self, BlsError> {
                let exact = bytes.try_into().map_err(|_| BlsError::Length {
                    kind: $kind,
                    expected: $len,
                    got: bytes.len(),
                })?;
                Self::from_bytes(exact)
            }
        }

        impl FromStr for $name {
            type Err = BlsError;

            fn from_str(text: &str) -> Result<Self, BlsError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut bytes = [0u8; $len];
                if digits.len() != 2 * $len {
                    let got = digits.len() / 2;
                    return Err(BlsError::Length { kind: $kind, expected: $len, got });
                }
                alloy_primitives::hex::decode_to_slice(digits, &mut bytes)
                    .map_err(|_| BlsError::NotHex { kind: $kind })?;
                Self::from_bytes(&bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", alloy_primitives::hex::encode(self.to_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl BorshSerialize for $name {
            fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
                writer.write_all(&self.to_bytes())
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
                let bytes = <[u8; $len]>::deserialize_reader(reader)?;
                Self::from_bytes(&bytes)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    };
}

point!(
    /// A signer's key in G1: `x || y`. What epoch tables hold and contracts sum up.
    PublicKeyG1, "G1 key", G1Affine, G1Projective, 64, parse_g1, |p| [p.x, p.y]
);
point!(
    /// A signer's key in G2: `x.c1 || x.c0 || y.c1 || y.c0`. What pairings verify against.
    PublicKeyG2, "G2 key", G2Affine, G2Projective, 128, parse_g2,
    |p| [p.x.c1, p.x.c0, p.y.c1, p.y.c0]
);
point!(
    /// A signature in G1: `x || y`.
    Signature, "signature", G1Affine, G1Projective, 64, parse_g1, |p| [p.x, p.y]
);
point!(
    /// A message mapped to G1: `x || y`.
    G1Point, "message point", G1Affine, G1Projective, 64, parse_g1, |p| [p.x, p.y]
);

impl PublicKeyG1 {
    /// This key without those of the members that did not sign.
    ///
    /// # Errors
    /// When nothing remains.
    pub fn without<'a>(
        &self,
        absent: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, BlsError> {
        let all = self.0.into_group();
        Self::from_group(absent.into_iter().fold(all, |sum, key| sum - key.0))
    }
}

/// Maps a message digest to G1 by try-and-increment and says how many candidates were refused.
///
/// # Errors
/// When no candidate is on the curve in the allowed tries, which happens with probability 2^-256.
pub fn hash_to_g1(message: &[u8; 32]) -> Result<(G1Point, u32), BlsError> {
    let mut x = Fq::from_be_bytes_mod_order(message);
    let three = Fq::from(3u64);
    for retries in 0..HASH_TO_CURVE_TRIES_MAX {
        // p = 3 mod 4, so this is (x^3 + 3)^((p + 1) / 4), the root that the contract takes too.
        if let Some(y) = (x.square() * x + three).sqrt() {
            return Ok((G1Point(G1Affine::new_unchecked(x, y)), retries));
        }
        x += Fq::one();
    }
    Err(BlsError::NoCurvePoint)
}
