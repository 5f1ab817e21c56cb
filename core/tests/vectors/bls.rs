//! Keys, points, single signatures and aggregates.

use ark_bn254::{Fq2, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use proofgrid_core::crypto::bls::{
    BlsMessage, PublicKeyG1, PublicKeyG2, SecretKey, Signature, hash_to_g1, verify_aggregate,
    verify_keys_match,
};
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::*;
use proofgrid_core::statement::Verdict;
use proofgrid_core::vote::{Attestation, Vote};
use serde_json::{Value, json};

use crate::hex;
use crate::inputs::*;

fn keys() -> Vec<Value> {
    let mut one = [0; 32];
    one[31] = 1;
    let generator = SecretKey::from_bytes(&one).unwrap();
    std::iter::once(generator)
        .chain((0..4).map(secret))
        .map(|secret| {
            let (g1, g2) = (secret.public_g1(), secret.public_g2());
            verify_keys_match(&g1, &g2).unwrap();
            json!({"g1": hex(g1.to_bytes()), "g2": hex(g2.to_bytes()), "sk": hex(*secret.to_bytes())})
        })
        .collect()
}

/// Messages with 0, 1, 2, ... refused candidates, up to 8, then the edges of the input range.
fn points() -> Vec<Value> {
    let mut messages = Vec::new();
    for wanted in 0..=8 {
        let found = (0u32..)
            .map(|i| bytes32(&format!("hash to curve {i}")))
            .find(|message| hash_to_g1(message).is_ok_and(|(_, retries)| retries == wanted));
        messages.extend(found);
    }
    messages.extend([[0; 32], [0xff; 32]]);
    messages
        .into_iter()
        .map(|message| {
            let (point, retries) = hash_to_g1(&message).unwrap();
            json!({"message": hex(message), "point": hex(point.to_bytes()), "retries": retries})
        })
        .collect()
}

fn pops() -> Vec<Value> {
    (0..4u32)
        .map(|i| {
            let secret = secret(i as usize);
            let (g1, g2) = (secret.public_g1(), secret.public_g2());
            let registry = on_chain(OPERATOR_REGISTRY);
            let operator = address(&format!("operator {i}"));
            let set = OperatorSet::new(i % 2);
            let message = BlsMessage::Pop { registry, operator, set, g1, g2 };
            let signature = secret.prove_possession(registry, operator, set);
            g2.verify(&message, &signature).unwrap();
            json!({
                "chainId": CHAIN.get(),
                "contract": hex(OPERATOR_REGISTRY.as_bytes()),
                "digest": hex(message.digest()),
                "g1": hex(g1.to_bytes()),
                "g2": hex(g2.to_bytes()),
                "operator": hex(operator.as_bytes()),
                "set": set.get(),
                "signature": hex(signature.to_bytes()),
            })
        })
        .collect()
}

fn attestation(epoch: u64, count: u32) -> Attestation {
    Attestation {
        target: TARGET,
        epoch: EpochNumber::new(epoch),
        table: TableDigest::from_bytes(bytes32(&format!("table {epoch}"))),
        root: BatchRoot::from_bytes(bytes32(&format!("root {count}"))),
        count,
    }
}

/// One message of each BLS type.
fn messages() -> Vec<(&'static str, BlsMessage)> {
    let (g1, g2) = (secret(0).public_g1(), secret(0).public_g2());
    let registry = on_chain(OPERATOR_REGISTRY);
    let operator = address("operator 0");
    let login = Login {
        role: Role::Verifier,
        server: address("server"),
        server_nonce: LoginNonce::from_bytes(bytes32("server nonce")),
        client_nonce: LoginNonce::from_bytes(bytes32("client nonce")),
        operator,
    };
    let vote = |verdict| Vote {
        epoch: EpochNumber::new(7),
        table: TableDigest::from_bytes(bytes32("table 7")),
        statement: StatementDigest::from_bytes(bytes32("statement")),
        verdict,
    };
    let network = NETWORK;
    vec![
        ("POP", BlsMessage::Pop { registry, operator, set: OperatorSet::new(0), g1, g2 }),
        ("LOGIN", BlsMessage::Login { network, login }),
        ("VOTE", BlsMessage::Vote { network, vote: vote(Verdict::Valid) }),
        ("VOTE", BlsMessage::Vote { network, vote: vote(Verdict::Invalid) }),
        ("ATTEST", BlsMessage::Attest(attestation(7, 3))),
        ("EJECT_CANCEL", BlsMessage::EjectCancel { registry, operator, nonce: Nonce::new(2) }),
    ]
}

fn signatures() -> Vec<Value> {
    let secret = secret(0);
    messages()
        .into_iter()
        .map(|(tag, message)| {
            let signature = secret.sign(&message);
            secret.public_g2().verify(&message, &signature).unwrap();
            json!({
                "digest": hex(message.digest()),
                "g1": hex(secret.public_g1().to_bytes()),
                "g2": hex(secret.public_g2().to_bytes()),
                "preimage": hex(message.preimage().as_bytes()),
                "signature": hex(signature.to_bytes()),
                "tag": tag,
            })
        })
        .collect()
}

/// Eight members, of which the last `absent` do not sign.
fn aggregate(absent: usize) -> Value {
    let secrets: Vec<_> = (0..8).map(secret).collect();
    let all: Vec<_> = secrets.iter().map(SecretKey::public_g1).collect();
    let signers = &secrets[..8 - absent];
    let attestation = attestation(1, absent as u32 + 1);
    let message = BlsMessage::Attest(attestation);
    let signatures: Vec<_> = signers.iter().map(|secret| secret.sign(&message)).collect();
    let g2: Vec<_> = signers.iter().map(SecretKey::public_g2).collect();
    let signature = Signature::aggregate(&signatures).unwrap();
    let total = PublicKeyG1::aggregate(&all).unwrap();
    let apk = total.without(&all[8 - absent..]).unwrap();
    let apk_g2 = PublicKeyG2::aggregate(&g2).unwrap();
    verify_aggregate(&message, &apk, &apk_g2, &signature).unwrap();
    json!({
        "apk": hex(apk.to_bytes()),
        "apkG2": hex(apk_g2.to_bytes()),
        "count": attestation.count,
        "digest": hex(message.digest()),
        "epoch": attestation.epoch.get(),
        "nonSignerKeys": all[8 - absent..].iter().map(|k| hex(k.to_bytes())).collect::<Vec<_>>(),
        "root": hex(attestation.root.as_bytes()),
        "signature": hex(signature.to_bytes()),
        "tableApk": hex(total.to_bytes()),
        "tableDigest": hex(attestation.table.as_bytes()),
        "targetChain": CHAIN.get(),
        "targetContract": hex(PROOF_REGISTRY.as_bytes()),
    })
}

/// A point of the twist that is in no group we use: the first small x that has one.
fn outside_subgroup() -> Vec<u8> {
    let point =
        (1u64..).find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false)).unwrap();
    assert!(point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
    [point.x.c1, point.x.c0, point.y.c1, point.y.c0]
        .into_iter()
        .flat_map(|coordinate| coordinate.into_bigint().to_bytes_be())
        .collect()
}

/// Points that must be refused, G1 as 64 and G2 as 128 bytes.
fn refused() -> Vec<Value> {
    let (g1, g2) = (secret(0).public_g1().to_bytes(), secret(0).public_g2().to_bytes());
    let modulus: [u8; 32] =
        alloy_primitives::hex!("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47");
    let outside = outside_subgroup();
    let overwrite = |bytes: &[u8], offset: usize, with: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[offset..offset + with.len()].copy_from_slice(with);
        bytes
    };
    let cases = [
        ("G1 identity", vec![0; 64]),
        ("G1 off the curve", overwrite(&g1, 63, &[g1[63] ^ 1])),
        ("G1 x not canonical", overwrite(&g1, 0, &modulus)),
        ("G1 y not canonical", overwrite(&g1, 32, &[0xff; 32])),
        ("G2 identity", vec![0; 128]),
        ("G2 off the curve", overwrite(&g2, 127, &[g2[127] ^ 1])),
        ("G2 not canonical", overwrite(&g2, 0, &modulus)),
        ("G2 halves swapped", [&g2[32..64], &g2[..32], &g2[96..], &g2[64..96]].concat()),
        ("G2 outside the subgroup", outside),
    ];
    cases
        .into_iter()
        .map(|(problem, point)| {
            let parsed = if point.len() == 64 {
                PublicKeyG1::try_from(&point[..]).err()
            } else {
                PublicKeyG2::try_from(&point[..]).err()
            };
            assert!(parsed.is_some(), "{problem}");
            json!({"point": hex(point), "problem": problem})
        })
        .collect()
}

pub fn build() -> Value {
    json!({
        "aggregates": (0..=4).map(aggregate).collect::<Vec<_>>(),
        "hashToG1": points(),
        "keys": keys(),
        "pops": pops(),
        "refused": refused(),
        "signatures": signatures(),
    })
}
