use std::time::Instant;

use ark_bn254::{Fq, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Field, PrimeField};
use borsh::BorshDeserialize;
use proptest::prelude::*;

use super::*;
use crate::ids::{Address, ChainContract, ChainId, Nonce};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

fn message(nonce: u64) -> BlsMessage {
    BlsMessage::EjectCancel {
        registry: ChainContract {
            chain: ChainId::new(31337),
            contract: Address::from_bytes([1; 20]),
        },
        operator: Address::from_bytes([2; 20]),
        nonce: Nonce::new(nonce),
    }
}

/// The base field's modulus, big-endian.
fn modulus() -> [u8; 32] {
    let limbs = Fq::MODULUS.0;
    let mut bytes = [0; 32];
    for (i, limb) in limbs.iter().rev().enumerate() {
        bytes[8 * i..8 * i + 8].copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

#[test]
fn the_generators_have_the_precompiles_bytes() {
    let mut one = [0u8; 32];
    one[31] = 1;
    let secret = SecretKey::from_bytes(&one).unwrap();
    let mut g1 = [0u8; 64];
    (g1[31], g1[63]) = (1, 2);
    assert_eq!(secret.public_g1().to_bytes(), g1);
    // The generator of EIP-197, imaginary part first.
    assert_eq!(
        secret.public_g2().to_string(),
        "0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2\
         1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed\
         090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b\
         12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
    );
}

#[test]
fn a_signature_verifies_for_its_key_and_message_alone() {
    let (alice, bob) = (key(1), key(2));
    let signature = alice.sign(&message(7));
    alice.public_g2().verify(&message(7), &signature).unwrap();
    assert_eq!(alice.public_g2().verify(&message(8), &signature), Err(BlsError::BadSignature));
    assert_eq!(bob.public_g2().verify(&message(7), &signature), Err(BlsError::BadSignature));
    let other = alice.sign(&message(8));
    assert_eq!(alice.public_g2().verify(&message(7), &other), Err(BlsError::BadSignature));
}

#[test]
fn keys_must_belong_together() {
    let (alice, bob) = (key(1), key(2));
    verify_keys_match(&alice.public_g1(), &alice.public_g2()).unwrap();
    let differ = verify_keys_match(&alice.public_g1(), &bob.public_g2());
    assert_eq!(differ, Err(BlsError::KeysDiffer));
}

#[test]
fn an_aggregate_binds_signature_and_both_keys() {
    let keys = [key(1), key(2), key(3)];
    let signatures: Vec<_> = keys.iter().map(|k| k.sign(&message(1))).collect();
    let signature = Signature::aggregate(&signatures).unwrap();
    let g1s: Vec<_> = keys.iter().map(SecretKey::public_g1).collect();
    let g2s: Vec<_> = keys.iter().map(SecretKey::public_g2).collect();
    let (g1, g2) = (PublicKeyG1::aggregate(&g1s).unwrap(), PublicKeyG2::aggregate(&g2s).unwrap());
    verify_aggregate(&message(1), &g1, &g2, &signature).unwrap();

    let two_g1 = g1.without([&g1s[2]]).unwrap();
    let two_g2 = PublicKeyG2::aggregate(&g2s[..2]).unwrap();
    let two = Signature::aggregate(&signatures[..2]).unwrap();
    verify_aggregate(&message(1), &two_g1, &two_g2, &two).unwrap();
    for (message, g1, g2, signature) in [
        (message(2), g1, g2, signature),
        (message(1), two_g1, g2, signature),
        (message(1), g1, two_g2, signature),
        (message(1), g1, g2, two),
        (message(1), two_g1, g2, two),
        (message(1), g1, two_g2, two),
    ] {
        let refused = verify_aggregate(&message, &g1, &g2, &signature);
        assert_eq!(refused, Err(BlsError::BadSignature));
    }
}

/// A signature that verifies against a G2 key must not pass with somebody else's G1 key.
#[test]
fn a_foreign_g2_key_does_not_pass_with_a_matching_signature() {
    let (member, stranger) = (key(1), key(9));
    let signature = stranger.sign(&message(1));
    stranger.public_g2().verify(&message(1), &signature).unwrap();
    let refused =
        verify_aggregate(&message(1), &member.public_g1(), &stranger.public_g2(), &signature);
    assert_eq!(refused, Err(BlsError::BadSignature));
}

#[test]
fn identities_are_refused() {
    let kind = "signature";
    assert_eq!(Signature::from_bytes(&[0; 64]), Err(BlsError::Identity { kind }));
    assert_eq!(Signature::aggregate([]), Err(BlsError::Identity { kind }));
    let kind = "G1 key";
    assert_eq!(PublicKeyG1::from_bytes(&[0; 64]), Err(BlsError::Identity { kind }));
    let alone = key(1).public_g1();
    assert_eq!(alone.without([&alone]), Err(BlsError::Identity { kind }));
    let kind = "G2 key";
    assert_eq!(PublicKeyG2::from_bytes(&[0; 128]), Err(BlsError::Identity { kind }));
    let kind = "secret key";
    assert_eq!(SecretKey::from_bytes(&[0; 32]).err(), Some(BlsError::Identity { kind }));
}

#[test]
fn coordinates_must_be_canonical_and_on_the_curve() {
    let modulus = modulus();
    let mut bytes = [0u8; 64];
    bytes[..32].copy_from_slice(&modulus);
    bytes[63] = 2;
    let kind = "G1 key";
    assert_eq!(PublicKeyG1::from_bytes(&bytes), Err(BlsError::NotCanonical { kind }));
    bytes[..32].fill(0);
    bytes[31] = 1;
    PublicKeyG1::from_bytes(&bytes).unwrap();
    bytes[63] = 3;
    assert_eq!(PublicKeyG1::from_bytes(&bytes), Err(BlsError::NotOnCurve { kind }));

    let good = key(1).public_g2().to_bytes();
    let kind = "G2 key";
    for word in 0..4 {
        let mut bytes = good;
        bytes[32 * word..32 * word + 32].copy_from_slice(&modulus);
        assert_eq!(PublicKeyG2::from_bytes(&bytes), Err(BlsError::NotCanonical { kind }));
        let mut bytes = good;
        bytes[32 * word + 31] ^= 1;
        assert_eq!(PublicKeyG2::from_bytes(&bytes), Err(BlsError::NotOnCurve { kind }));
    }
    assert_eq!(
        SecretKey::from_bytes(&[0xff; 32]).err(),
        Some(BlsError::NotCanonical { kind: "secret key" })
    );
}

#[test]
fn points_outside_the_subgroup_are_refused() {
    // Of the twist's points only one in about 2^254 is in the subgroup: take the first x that has one.
    let outside = (1u64..)
        .find_map(|x| G2Affine::get_point_from_x_unchecked(ark_bn254::Fq2::from(x), false))
        .unwrap();
    assert!(outside.is_on_curve() && !outside.is_zero());
    let mut bytes = [0u8; 128];
    let words = [outside.x.c1, outside.x.c0, outside.y.c1, outside.y.c0];
    for (chunk, word) in bytes.chunks_exact_mut(32).zip(words) {
        chunk.copy_from_slice(&points::to_be(word));
    }
    let kind = "G2 key";
    assert_eq!(PublicKeyG2::from_bytes(&bytes), Err(BlsError::WrongSubgroup { kind }));
}

#[test]
fn seeds_are_32_to_64_bytes_and_keys_do_not_repeat() {
    assert_eq!(SecretKey::from_seed(&[1; 31]).err(), Some(BlsError::Seed { got: 31 }));
    assert_eq!(SecretKey::from_seed(&[1; 65]).err(), Some(BlsError::Seed { got: 65 }));
    let (a, b) = (SecretKey::from_seed(&[1; 32]).unwrap(), SecretKey::from_seed(&[1; 33]).unwrap());
    assert_ne!(a.to_bytes(), b.to_bytes());
    assert_eq!(a.to_bytes(), key(1).to_bytes());
    let read = SecretKey::from_bytes(&a.to_bytes()).unwrap();
    assert_eq!(read.public_g1(), a.public_g1());
}

#[test]
fn a_secret_key_is_not_printed() {
    let secret = key(1);
    let digits = alloy_primitives::hex::encode(*secret.to_bytes());
    let printed = format!("{secret:?}");
    assert_eq!(printed, "SecretKey(redacted)");
    assert!(!printed.contains(&digits));
}

#[test]
fn messages_map_to_the_root_that_the_exponent_gives() {
    // (p + 1) / 4 from the modulus alone, so that a change of the library's root would show.
    let mut limbs = Fq::MODULUS.0;
    limbs[0] += 1;
    for i in 0..4 {
        limbs[i] = (limbs[i] >> 2) | limbs.get(i + 1).map_or(0, |next| next << 62);
    }
    let exponent = BigInt::new(limbs);
    let mut seen_retries = 0;
    for n in 0u64..64 {
        let digest = message(n).digest();
        let (point, retries) = hash_to_g1(&digest).unwrap();
        let x = Fq::from_be_bytes_mod_order(&digest) + Fq::from(retries);
        let y = (x.square() * x + Fq::from(3u64)).pow(exponent);
        let mut bytes = [0u8; 64];
        bytes[..32].copy_from_slice(&points::to_be(x));
        bytes[32..].copy_from_slice(&points::to_be(y));
        assert_eq!(point, G1Point::from_bytes(&bytes).unwrap());
        for earlier in 1..=retries {
            let x = x - Fq::from(earlier);
            assert!(!(x.square() * x + Fq::from(3u64)).legendre().is_qr());
        }
        seen_retries = seen_retries.max(retries);
    }
    assert!(seen_retries >= 3);
}

#[test]
fn text_and_borsh_give_the_same_point_back() {
    let secret = key(3);
    let (g1, g2, signature) = (secret.public_g1(), secret.public_g2(), secret.sign(&message(1)));
    assert_eq!(g1.to_string().parse(), Ok(g1));
    assert_eq!(g2.to_string().parse(), Ok(g2));
    assert_eq!(signature.to_string().parse(), Ok(signature));
    assert_eq!(PublicKeyG2::try_from_slice(&borsh::to_vec(&g2).unwrap()).unwrap(), g2);
    assert!(Signature::try_from_slice(&[0; 64]).is_err());
    let (kind, expected) = ("signature", 64);
    assert_eq!("0x00".parse::<Signature>(), Err(BlsError::Length { kind, expected, got: 1 }));
    assert_eq!("zz".repeat(64).parse::<Signature>(), Err(BlsError::NotHex { kind }));
    assert_eq!(Signature::try_from(&[0; 3][..]), Err(BlsError::Length { kind, expected, got: 3 }));
}

/// The figure that the tally's design rests on: votes are verified singly as they arrive. The bound
/// is wide enough for a busy machine and still fails if the arithmetic is built unoptimised.
#[test]
fn verifying_one_signature_takes_milliseconds() {
    let secret = key(1);
    let (g2, signature) = (secret.public_g2(), secret.sign(&message(1)));
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            g2.verify(&message(1), &signature).unwrap();
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("one BLS verification: {best:?}");
    assert!(best.as_millis() < 20, "one verification took {best:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes are refused or give a point with exactly these bytes.
    #[test]
    fn foreign_bytes_never_panic(bytes in any::<[u8; 32]>(), low in any::<[u8; 32]>()) {
        let mut both = [0u8; 64];
        both[..32].copy_from_slice(&bytes);
        both[32..].copy_from_slice(&low);
        if let Ok(point) = Signature::from_bytes(&both) {
            prop_assert_eq!(point.to_bytes(), both);
        }
        let (point, _) = hash_to_g1(&bytes).unwrap();
        prop_assert_eq!(G1Point::from_bytes(&point.to_bytes()), Ok(point));
    }

    /// A flipped bit never leaves a signature valid.
    #[test]
    fn flipped_signatures_are_refused(bit in 0usize..512) {
        let secret = key(5);
        let mut bytes = secret.sign(&message(5)).to_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let verified = Signature::from_bytes(&bytes)
            .and_then(|signature| secret.public_g2().verify(&message(5), &signature));
        prop_assert!(verified.is_err());
    }
}
