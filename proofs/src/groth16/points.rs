//! Points and scalars as canonical bytes.
//!
//! What is wrong with one is a [`Fault`], which does not know where it stands: in bytes that becomes a
//! refusal, in JSON a message with the field's name.

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField, Zero};

use super::{G1_BYTES, G2_BYTES, SCALAR_BYTES};
use crate::refusal::{Refusal, RefusalCode};

/// Whether the identity is a value of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Refused,
    Accepted,
}

/// A number of four limbs, least significant first, from 32 big-endian bytes.
fn limbs_from_be(bytes: &[u8; SCALAR_BYTES]) -> BigInt<4> {
    let mut limbs = [0u64; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*chunk);
    }
    BigInt::new(limbs)
}

/// A field element of 32 big-endian bytes; `None` unless it is below the modulus.
pub(super) fn field_from_be<F: PrimeField<BigInt = BigInt<4>>>(
    bytes: &[u8; SCALAR_BYTES],
) -> Option<F> {
    F::from_bigint(limbs_from_be(bytes))
}

/// 32 big-endian bytes of a field element.
pub(super) fn field_to_be<F: PrimeField<BigInt = BigInt<4>>>(value: F) -> [u8; SCALAR_BYTES] {
    let mut bytes = [0u8; SCALAR_BYTES];
    let limbs = value.into_bigint().0;
    for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs.iter().rev()) {
        *chunk = limb.to_be_bytes();
    }
    bytes
}

/// What is wrong with a point or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotCanonical,
    Identity,
    OffCurve,
    OutsideSubgroup,
}

impl Fault {
    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::NotCanonical => "has a number that is not below the modulus",
            Self::Identity => "is the identity",
            Self::OffCurve => "is not on the curve",
            Self::OutsideSubgroup => "is outside the subgroup of prime order",
        }
    }

    fn at(self, place: &str) -> Refusal {
        let code = match self {
            Self::NotCanonical => RefusalCode::NotCanonical,
            Self::Identity | Self::OffCurve | Self::OutsideSubgroup => RefusalCode::Encoding,
        };
        Refusal::new(code, format!("{place} {}", self.problem()))
    }
}

/// A point of G1 from its coordinates, both zero for the identity.
pub(super) fn g1_of(x: Fq, y: Fq, identity: Identity) -> Result<G1Affine, Fault> {
    if x.is_zero() && y.is_zero() {
        return match identity {
            Identity::Accepted => Ok(G1Affine::identity()),
            Identity::Refused => Err(Fault::Identity),
        };
    }
    let point = G1Affine::new_unchecked(x, y);
    // G1 of BN254 has cofactor one: on the curve is in the subgroup.
    if point.is_on_curve() { Ok(point) } else { Err(Fault::OffCurve) }
}

/// A point of G2 from its coordinates; the identity is refused in every place.
pub(super) fn g2_of(x: Fq2, y: Fq2) -> Result<G2Affine, Fault> {
    if x.is_zero() && y.is_zero() {
        return Err(Fault::Identity);
    }
    let point = G2Affine::new_unchecked(x, y);
    if !point.is_on_curve() {
        return Err(Fault::OffCurve);
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(Fault::OutsideSubgroup);
    }
    Ok(point)
}

/// Takes points off the front of bytes.
#[derive(Debug)]
pub(super) struct Points<'a>(pub(super) &'a [u8]);

impl Points<'_> {
    fn take<const WORDS: usize>(&mut self, place: &str) -> Result<[Fq; WORDS], Refusal> {
        let mut coordinates = [Fq::zero(); WORDS];
        for slot in &mut coordinates {
            let (word, rest) = self.0.split_first_chunk::<SCALAR_BYTES>().ok_or_else(|| {
                Refusal::new(RefusalCode::Encoding, format!("{place} is cut short"))
            })?;
            *slot = field_from_be(word).ok_or_else(|| Fault::NotCanonical.at(place))?;
            self.0 = rest;
        }
        Ok(coordinates)
    }

    pub(super) fn g1(&mut self, place: &str, identity: Identity) -> Result<G1Affine, Refusal> {
        let [x, y] = self.take(place)?;
        g1_of(x, y, identity).map_err(|fault| fault.at(place))
    }

    pub(super) fn g2(&mut self, place: &str) -> Result<G2Affine, Refusal> {
        let [x1, x0, y1, y0] = self.take(place)?;
        g2_of(Fq2::new(x0, x1), Fq2::new(y0, y1)).map_err(|fault| fault.at(place))
    }
}

/// Appends a point of G1; the identity is all zeros.
pub(super) fn write_g1(point: &G1Affine, out: &mut Vec<u8>) {
    match point.xy() {
        Some((x, y)) => [x, y].iter().for_each(|word| out.extend_from_slice(&field_to_be(*word))),
        None => out.extend_from_slice(&[0; G1_BYTES]),
    }
}

/// Appends a point of G2; the identity is all zeros.
pub(super) fn write_g2(point: &G2Affine, out: &mut Vec<u8>) {
    match point.xy() {
        Some((x, y)) => [x.c1, x.c0, y.c1, y.c0]
            .iter()
            .for_each(|word| out.extend_from_slice(&field_to_be(*word))),
        None => out.extend_from_slice(&[0; G2_BYTES]),
    }
}
