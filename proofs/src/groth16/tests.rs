//! Reading what snarkjs writes, canonical bytes, and the equation.

use ark_bn254::{Fq2, Fr, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use proptest::prelude::*;

use super::points::write_g2;
use super::snarkjs::{JSON_BYTES_MAX, SnarkjsProof};
use super::*;
use crate::program::InputError;
use crate::refusal::{Refusal, RefusalCode};

const MULTIPLIER: &str = include_str!("../../../tests/data/groth16/multiplier.json");
const OTHER_INPUTS: &str = include_str!("../../../tests/data/groth16/multiplier-2.json");
const SUMS: &str = include_str!("../../../tests/data/groth16/sums.json");
const POSEIDON: &str = include_str!("../../../tests/data/groth16/poseidon.json");

fn parse(input: &str) -> SnarkjsProof {
    SnarkjsProof::parse(input.as_bytes()).expect("snarkjs' own form")
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> RefusalCode {
    result.expect_err("refused").code()
}

#[test]
fn proofs_of_snarkjs_verify_and_come_back_as_bytes() {
    for (input, num_inputs) in [(MULTIPLIER, 1), (OTHER_INPUTS, 1), (SUMS, 2), (POSEIDON, 5)] {
        let given = parse(input);
        assert_eq!(given.inputs.len(), num_inputs);
        assert_eq!(given.key.verify(&given.inputs, &given.proof), Ok(()));
        let key = given.key.encode();
        assert_eq!(key.len(), key_bytes(num_inputs));
        assert_eq!(Groth16Key::decode(&key, num_inputs).as_ref(), Ok(&given.key));
        assert_eq!(Groth16Proof::decode(&given.proof.encode()), Ok(given.proof));
        let values = Groth16Values::new(given.key.digest(), given.inputs).expect("few");
        assert_eq!(Groth16Values::decode(&values.encode()), Ok(values));
    }
}

#[test]
fn other_inputs_keys_and_proofs_do_not_verify() {
    let (one, other, two) = (parse(MULTIPLIER), parse(OTHER_INPUTS), parse(SUMS));
    assert_eq!(one.key, other.key);
    assert_eq!(code(one.key.verify(&other.inputs, &one.proof)), RefusalCode::Pairing);
    assert_eq!(code(one.key.verify(&one.inputs, &other.proof)), RefusalCode::Pairing);
    assert_eq!(code(two.key.verify(&two.inputs, &one.proof)), RefusalCode::Pairing);
    let swapped = [two.inputs[1], two.inputs[0]];
    assert_eq!(code(two.key.verify(&swapped, &two.proof)), RefusalCode::Pairing);
    let count = code(two.key.verify(&one.inputs, &two.proof));
    assert_eq!(count, RefusalCode::PublicValuesShape);
}

#[test]
fn a_proof_can_be_randomised_again_by_anybody() {
    let given = parse(MULTIPLIER);
    let three = Fr::from(3u64);
    let again = Groth16Proof {
        a: (given.proof.a * three).into_affine(),
        b: (given.proof.b * (Fr::from(1u64) / three)).into_affine(),
        c: given.proof.c,
    };
    assert_ne!(again, given.proof);
    assert_eq!(given.key.verify(&given.inputs, &again), Ok(()));
}

#[test]
fn points_are_canonical_on_the_curve_and_in_the_subgroup() {
    let given = parse(MULTIPLIER);
    let (key, proof) = (given.key.encode(), given.proof.encode());
    let key_with = |at: usize, bytes: &[u8]| {
        let mut changed = key.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Groth16Key::decode(&changed, 1)
    };
    let proof_with = |at: usize, bytes: &[u8]| {
        let mut changed = proof.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Groth16Proof::decode(&changed)
    };
    let not_canonical = Err(RefusalCode::NotCanonical);
    for at in (0..key.len()).step_by(32) {
        assert_eq!(key_with(at, &[0xff; 32]).map_err(|r| r.code()), not_canonical, "{at}");
    }
    for at in (0..proof.len()).step_by(32) {
        assert!(proof_with(at, &[0xff; 32]).is_err_and(|r| r.code() == RefusalCode::NotCanonical));
    }
    let outside = outside_the_subgroup();
    for at in [64, 192, 320] {
        assert_eq!(code(key_with(at, &outside)), RefusalCode::Encoding);
        assert_eq!(code(key_with(at + 127, &[key[at + 127] ^ 1])), RefusalCode::Encoding);
        assert_eq!(code(key_with(at, &[0; 128])), RefusalCode::Encoding);
    }
    assert_eq!(code(proof_with(64, &outside)), RefusalCode::Encoding);
    assert_eq!(code(proof_with(64, &[0; 128])), RefusalCode::Encoding);
    for at in [0, 192] {
        assert_eq!(code(proof_with(at + 63, &[proof[at + 63] ^ 1])), RefusalCode::Encoding);
    }
    // The identity is what an honest setup or prover may have as IC and C, and nowhere else.
    assert_eq!(code(key_with(0, &[0; 64])), RefusalCode::Encoding);
    assert_eq!(code(proof_with(0, &[0; 64])), RefusalCode::Encoding);
    assert!(key_with(448, &[0; 64]).is_ok_and(|key| key.ic[0].is_zero()));
    assert!(proof_with(192, &[0; 64]).is_ok_and(|proof| proof.c.is_zero()));
}

fn outside_the_subgroup() -> Vec<u8> {
    let at = |x: u64| G2Affine::get_point_from_x_unchecked(Fq2::new(x.into(), 1.into()), false);
    let point = (1..).find_map(at).expect("half of all x have a point");
    let mut bytes = Vec::new();
    write_g2(&point, &mut bytes);
    bytes
}

#[test]
fn lengths_are_exact() {
    let given = parse(SUMS);
    let (key, proof) = (given.key.encode(), given.proof.encode());
    for inputs in [0, 1, 3, INPUTS_MAX + 1, usize::MAX] {
        assert_eq!(code(Groth16Key::decode(&key, inputs)), RefusalCode::Encoding, "{inputs}");
    }
    assert_eq!(code(Groth16Key::decode(&key[1..], 2)), RefusalCode::Encoding);
    assert_eq!(code(Groth16Proof::decode(&proof[1..])), RefusalCode::Encoding);
    assert_eq!(code(Groth16Proof::decode(&[&proof[..], &[0]].concat())), RefusalCode::Encoding);
    let values = Groth16Values::new(given.key.digest(), given.inputs).expect("few").encode();
    for wrong in [&values[..35], &values[..67], &values[1..], &[]] {
        assert_eq!(code(Groth16Values::decode(wrong)), RefusalCode::PublicValuesShape);
    }
    let mut stated = values;
    stated[35] ^= 1;
    assert_eq!(code(Groth16Values::decode(&stated)), RefusalCode::PublicValuesShape);
}

#[test]
fn inputs_are_bounded_in_number_and_below_the_order() {
    let key = parse(MULTIPLIER).key.digest();
    let values = |count: usize| Groth16Values::new(key, vec![-Fr::from(1u64); count]);
    let most = values(INPUTS_MAX).expect("as many as are accepted").encode();
    assert!(Groth16Values::decode(&most).is_ok());
    assert_eq!(code(values(INPUTS_MAX + 1)), RefusalCode::PublicValuesShape);
    let mut order = most;
    // r - 1 becomes r.
    order[36 + 31] += 1;
    assert_eq!(code(Groth16Values::decode(&order)), RefusalCode::PublicValuesShape);
}

/// What the JSON of `MULTIPLIER` becomes with one text replaced, and what is said about it.
#[test]
fn json_is_read_strictly() {
    let p = "21888242871839275222246405745257275088696311157297823662689037894645226208583";
    let r = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
    let alpha_x = "9639811393434041613324839323443738927278924366683451384872382498270623158002";
    let cases: [(&str, &str, &str); 20] = [
        ("\"protocol\": \"groth16\"", "\"protocol\": \"plonk\"", "vkey.protocol is \"plonk\""),
        ("\"curve\": \"bn128\"", "\"curve\": \"bls12381\"", "vkey.curve is \"bls12381\""),
        ("\"nPublic\": 1", "\"nPublic\": 2", "vkey.IC has 2 points for 2 public inputs"),
        ("\"nPublic\": 1", "\"nPublic\": 65", "vkey.nPublic is 65, at most 64"),
        ("\"nPublic\": 1", "\"nPublic\": -1", "line 5: invalid value"),
        ("\"nPublic\": 1", "\"nPublic\": \"1\"", "line 5: invalid type"),
        ("\"33\"", "\"33\", \"33\"", "public has 2 values, the key takes 1"),
        ("\"33\"", "\"033\"", "public[0] holds \"033\""),
        ("\"33\"", "\"+33\"", "public[0] holds \"+33\""),
        ("\"33\"", "\"0x21\"", "public[0] holds \"0x21\""),
        ("\"33\"", "\"\"", "public[0] holds \"\""),
        ("\"33\"", "33", "invalid type"),
        ("\"33\"", r, "public[0] holds"),
        (alpha_x, p, "vkey.vk_alpha_1 holds"),
        (alpha_x, "1", "vkey.vk_alpha_1 is not on the curve"),
        ("\"vk_alpha_1\"", "\"alpha\"", "unknown field"),
        ("\"pi_a\"", "\"pi_c\"", "duplicate field"),
        ("\"public\"", "\"extra\": 1, \"public\"", "unknown field"),
        ("\"IC\"", "\"IC\": [], \"IC\"", "duplicate field"),
        ("}\n}\n", "}\n", "line "),
    ];
    for (from, to, expected) in cases {
        let to = if to == r { format!("\"{r}\"") } else { to.to_owned() };
        let text = MULTIPLIER.replacen(from, &to, 1);
        assert!(text != MULTIPLIER, "{from} is not there");
        let error = SnarkjsProof::parse(text.as_bytes()).expect_err(from).to_string();
        assert!(error.contains(expected), "{error}, expected {expected}");
    }
    let nothing = SnarkjsProof::parse(b"");
    assert_eq!(nothing, Err(InputError::Empty { items: "proofs" }));
    let long = vec![b' '; JSON_BYTES_MAX + 1];
    assert!(matches!(SnarkjsProof::parse(&long), Err(InputError::TooLong { .. })));
}

/// Replaces a field of the JSON as text.
fn with_field(file: &str, field: &str, value: serde_json::Value) -> Result<SnarkjsProof, String> {
    let mut json: serde_json::Value = serde_json::from_str(MULTIPLIER).expect("JSON");
    json[file][field] = value;
    SnarkjsProof::parse(json.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn points_in_json_are_affine_or_the_identity_where_it_may_be() {
    use serde_json::json;
    let identity = json!(["0", "1", "0"]);
    assert!(
        with_field("proof", "pi_c", identity.clone()).is_ok_and(|given| given.proof.c.is_zero())
    );
    let ic = json!([identity, identity]);
    assert!(with_field("vkey", "IC", ic).is_ok_and(|given| given.key.ic[1].is_zero()));
    let identity_2 = json!([["0", "0"], ["1", "0"], ["0", "0"]]);
    let (other_z, zeros) = (json!(["1", "2", "2"]), json!(["0", "0", "1"]));
    let cases = [
        ("proof", "pi_a", identity.clone(), "proof.pi_a is the identity"),
        ("vkey", "vk_alpha_1", identity, "vkey.vk_alpha_1 is the identity"),
        ("vkey", "vk_delta_2", identity_2.clone(), "vkey.vk_delta_2 is the identity"),
        ("proof", "pi_b", identity_2, "proof.pi_b is the identity"),
        ("proof", "pi_c", other_z, "proof.pi_c is no affine point"),
        ("proof", "pi_c", json!(["1", "2", "0"]), "proof.pi_c is no affine point"),
        ("proof", "pi_c", zeros, "proof.pi_c is not on the curve"),
        ("proof", "pi_b", json!([["1", "2"], ["3", "4"], ["1", "1"]]), "is no affine point"),
        ("proof", "pi_b", json!([["1", "2"], ["3", "4"], ["1", "0"]]), "is not on the curve"),
    ];
    for (file, field, value, expected) in cases {
        let error = with_field(file, field, value).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    // The generator's third coordinate need not be written in another way to be accepted.
    assert!(with_field("proof", "pi_c", json!(["1", "2", "1"])).is_ok());
}

proptest! {
    #[test]
    fn decoding_any_bytes_is_total_and_canonical(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        inputs in 0usize..3,
    ) {
        if let Ok(values) = Groth16Values::decode(&bytes) {
            prop_assert_eq!(values.encode(), bytes.clone());
        }
        if let Ok(proof) = Groth16Proof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes.clone());
        }
        if let Ok(key) = Groth16Key::decode(&bytes, inputs) {
            prop_assert_eq!(key.encode(), bytes.clone());
        }
        let _ = SnarkjsProof::parse(&bytes);
    }

    #[test]
    fn any_altered_byte_of_a_real_proof_is_refused(place in 0usize..PROOF_BYTES, mask in 1u8..) {
        let given = parse(MULTIPLIER);
        let mut bytes = given.proof.encode();
        bytes[place] ^= mask;
        let verdict = Groth16Proof::decode(&bytes)
            .and_then(|proof| given.key.verify(&given.inputs, &proof));
        prop_assert!(verdict.is_err());
    }
}
