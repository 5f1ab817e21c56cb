//! BLS keys, signatures and points: canonical, on the curve, in the subgroup, or refused.

use std::fmt::Display;

use ark_bn254::{Fq2, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use proofgrid_core::crypto::bls::{
    BlsError, BlsMessage, PublicKeyG1, PublicKeyG2, SecretKey, Signature,
};
use proofgrid_core::ids::{Address, ChainContract, ChainId, Nonce};

use proofgrid_fuzz::{Outcome, Shape, Target};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32]).expect("a long seed")
}

/// Parses a packed value of `N` bytes that must come back as it was.
fn packed<const N: usize, T, E: Display>(
    input: &[u8],
    parse: impl Fn(&[u8; N]) -> Result<T, E>,
    print: impl Fn(&T) -> [u8; N],
) -> Outcome {
    let Ok(bytes) = <&[u8; N]>::try_from(input) else { return Outcome::Refused("length".into()) };
    match parse(bytes) {
        Ok(value) => {
            assert_eq!(print(&value), *bytes, "accepted, but it is not canonical");
            Outcome::Accepted
        }
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

/// Adds the field's modulus to each coordinate that has room for it: the same point, spelt otherwise.
fn aliases(point: &[u8]) -> Vec<Vec<u8>> {
    let modulus = hex::decode("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47")
        .expect("digits");
    let mut all = Vec::new();
    for start in (0..point.len()).step_by(32) {
        let mut alias = point.to_vec();
        let mut carry = 0u16;
        for at in (0..32).rev() {
            let sum = u16::from(alias[start + at]) + u16::from(modulus[at]) + carry;
            (alias[start + at], carry) = (sum as u8, sum >> 8);
        }
        all.push(alias);
    }
    all
}

#[test]
fn bls_g1_keys_and_signatures() {
    let g1 = key(1).public_g1().to_bytes();
    let mut seeds = vec![g1.to_vec(), [[0; 32], [1; 32]].concat(), vec![0; 64]];
    seeds.extend(aliases(&g1));
    // (1, 2) is the generator, (1, 3) is off the curve.
    for y in [2u8, 3] {
        let mut point = vec![0; 64];
        (point[31], point[63]) = (1, y);
        seeds.push(point);
    }
    Target::new("bls-g1", Shape::Bytes, 60_000)
        .run(seeds.clone(), |input| packed(input, PublicKeyG1::from_bytes, PublicKeyG1::to_bytes));
    Target::new("bls-signature", Shape::Bytes, 60_000)
        .run(seeds, |input| packed(input, Signature::from_bytes, Signature::to_bytes));
}

/// Points of the twist that are outside the subgroup of prime order.
fn outside_the_subgroup() -> Vec<Vec<u8>> {
    let at = |x: u64| G2Affine::get_point_from_x_unchecked(Fq2::new(x.into(), 1.into()), false);
    let outside = (1..20)
        .filter_map(at)
        .filter(|point| point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
    let words = |point: G2Affine| {
        let words = [point.x.c1, point.x.c0, point.y.c1, point.y.c0];
        words.iter().flat_map(|word| word.into_bigint().to_bytes_be()).collect()
    };
    outside.take(3).map(words).collect()
}

#[test]
fn bls_g2_keys() {
    let g2 = key(1).public_g2().to_bytes();
    let outside = outside_the_subgroup();
    assert_eq!(outside.len(), 3);
    for point in &outside {
        let point = point.as_slice().try_into().expect("four coordinates");
        let refused = PublicKeyG2::from_bytes(point);
        assert!(matches!(refused, Err(BlsError::WrongSubgroup { .. })), "{refused:?}");
    }
    let mut seeds = vec![g2.to_vec(), vec![0; 128]];
    seeds.extend(aliases(&g2));
    seeds.extend(outside);
    Target::new("bls-g2", Shape::Bytes, 20_000)
        .run(seeds, |input| packed(input, PublicKeyG2::from_bytes, PublicKeyG2::to_bytes));
}

#[test]
fn bls_secrets() {
    let order = hex::decode("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001")
        .expect("digits");
    let seeds = vec![key(1).to_bytes().to_vec(), vec![0; 32], order];
    Target::new("bls-secret", Shape::Bytes, 60_000)
        .run(seeds, |input| packed(input, SecretKey::from_bytes, |key| *key.to_bytes()));
}

/// A key, a signature and the message's number: BLS signatures are unique, so whatever is accepted
/// under the key and the message is the seed.
#[test]
fn bls_verification() {
    let message = |nonce: u64| BlsMessage::EjectCancel {
        registry: ChainContract { chain: ChainId::new(1), contract: Address::from_bytes([2; 20]) },
        operator: Address::from_bytes([3; 20]),
        nonce: Nonce::new(nonce),
    };
    let seed = |byte: u8, nonce: u64| {
        let (key, message) = (key(byte), message(nonce));
        let signature = key.sign(&message).to_bytes();
        [&key.public_g2().to_bytes()[..], &signature, &nonce.to_be_bytes()].concat()
    };
    let seeds = vec![seed(1, 1), seed(1, 2), seed(2, 1)];
    let genuine = seeds.clone();
    Target::new("bls-verify", Shape::Bytes, 2_000).run(seeds, |input| {
        let Some((key, rest)) = input.split_first_chunk::<128>() else {
            return Outcome::Refused("length".into());
        };
        let Some((signature, nonce)) = rest.split_first_chunk::<64>() else {
            return Outcome::Refused("length".into());
        };
        let Ok(nonce) = <[u8; 8]>::try_from(nonce).map(u64::from_be_bytes) else {
            return Outcome::Refused("length".into());
        };
        let parsed = PublicKeyG2::from_bytes(key)
            .and_then(|key| Ok((key, Signature::from_bytes(signature)?)));
        let outcome = parsed.and_then(|(key, signature)| key.verify(&message(nonce), &signature));
        if outcome.is_ok() {
            assert!(genuine.iter().any(|seed| seed == input), "a forged signature verifies");
        }
        Outcome::from(outcome)
    });
}
