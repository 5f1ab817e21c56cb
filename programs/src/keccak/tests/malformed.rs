//! Any bytes at all: the verifier refuses and never panics.

use proofgrid_proofs::envelope::{Envelope, OVERHEAD_BYTES};
use proofgrid_proofs::refusal::{Refusal, RefusalClass, RefusalCode};
use proptest::prelude::*;
use rayon::prelude::*;

use super::*;
use crate::keccak::program::PublicValues;

fn proof(profile: Profile) -> (KeccakProgram, SegmentProof, Binding) {
    let program = KeccakProgram::new(profile);
    let (tables, binding) = tables(&program);
    let proof = prove(&program, &tables, &binding);
    (program, proof, binding)
}

/// Encodes an envelope with these parts instead of the proof's own.
fn with_parts(proof: &SegmentProof, program: &KeccakProgram, values: &[u8]) -> Vec<u8> {
    let envelope =
        Envelope::decode(&proof.bytes, &program.manifest().limits).expect("own envelope");
    Envelope { public_values: values, ..envelope }.encode().expect("short")
}

#[test]
fn changed_bytes_are_refused_everywhere() {
    for profile in PROVEN {
        let (program, proof, binding) = proof(profile);
        let len = proof.bytes.len();
        // Every byte of the head, then evenly through the proof, then the end.
        let head = 0..OVERHEAD_BYTES + proof.public_values.len() + 48;
        let spread = (1..60).map(|part| part * len / 60);
        let positions: Vec<usize> = head.step_by(3).chain(spread).chain(len - 8..len).collect();
        positions.par_iter().for_each(|position| {
            for change in [1u8, 0x80, 0xff] {
                let mut bytes = proof.bytes.clone();
                bytes[*position] ^= change;
                assert!(program.verify(&bytes, &binding).is_err(), "{profile:?} at {position}");
            }
        });
    }
}

#[test]
fn missing_and_additional_bytes_are_refused() {
    for profile in PROVEN {
        let (program, proof, binding) = proof(profile);
        let len = proof.bytes.len();
        let code = |bytes: &[u8]| program.verify(bytes, &binding).expect_err("refused").code();
        for cut in [0, 1, 3, 4, 35, 67, 71, 200, len / 2, len - 1] {
            assert_eq!(code(&proof.bytes[..cut]), RefusalCode::EnvelopeLength, "{cut} bytes");
        }
        let mut longer = proof.bytes.clone();
        longer.push(0);
        assert_eq!(code(&longer), RefusalCode::EnvelopeLength);
        longer.resize(9 << 20, 0);
        assert_eq!(code(&longer), RefusalCode::TooLong);
        // The same inside the envelope: a shorter and a longer proof.
        let envelope = Envelope::decode(&proof.bytes, &program.manifest().limits).expect("own");
        let inner = envelope.proof;
        let shorter = Envelope { proof: &inner[..inner.len() - 1], ..envelope };
        assert_eq!(code(&shorter.encode().expect("short")), RefusalCode::Encoding);
        let mut extended = inner.to_vec();
        extended.push(0);
        let extended = Envelope { proof: &extended, ..envelope };
        assert_eq!(code(&extended.encode().expect("short")), RefusalCode::NotCanonical);
    }
}

#[test]
fn public_values_are_checked_before_mathematics() {
    let (program, proof, binding) = proof(Profile::Standard);
    let verify = |values: &[u8]| -> Refusal {
        let bytes = with_parts(&proof, &program, values);
        program.verify(&bytes, &binding).expect_err("refused")
    };
    let values = PublicValues::decode(&proof.public_values).expect("own").0;
    let cases: [(&str, Vec<u8>, RefusalCode); 7] = [
        ("none", vec![], RefusalCode::PublicValuesShape),
        ("no digest", vec![0, 0, 0, 1], RefusalCode::PublicValuesShape),
        ("half a digest", proof.public_values[..20].to_vec(), RefusalCode::PublicValuesShape),
        (
            "no permutation",
            PublicValues { permutations: 0, ..values.clone() }.encode(),
            RefusalCode::PublicValuesShape,
        ),
        (
            "fewer permutations than messages",
            PublicValues { permutations: 2, ..values.clone() }.encode(),
            RefusalCode::PublicValuesShape,
        ),
        (
            "more permutations than the largest table",
            PublicValues { permutations: 10_923, ..values.clone() }.encode(),
            RefusalCode::PublicValuesShape,
        ),
        (
            "one digest less",
            PublicValues { digests: values.digests[1..].to_vec(), ..values.clone() }.encode(),
            RefusalCode::WrongCount,
        ),
    ];
    for (name, bytes, code) in cases {
        assert_eq!(verify(&bytes).code(), code, "{name}");
    }
    // A larger table than the proof has is noticed by the heights alone.
    let larger = PublicValues { permutations: 1000, ..values }.encode();
    assert_eq!(verify(&larger).code(), RefusalCode::TableShape);
}

#[test]
fn segments_without_public_values_have_no_claim() {
    let program = KeccakProgram::new(Profile::Standard);
    let refusal = program.claim_of_segments(&[]).expect_err("zero messages");
    assert_eq!(refusal.class(), RefusalClass::Identity);
    let refusal = program.claim_of_segments(&[&[0, 0, 0, 1]]).expect_err("no digests");
    assert_eq!(refusal.code(), RefusalCode::PublicValuesShape);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_proofs_inside_a_right_envelope_are_refused(
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        fold in any::<bool>(),
    ) {
        let profile = if fold { Profile::StandardFold } else { Profile::Standard };
        let program = KeccakProgram::new(profile);
        let messages = messages();
        let binding = binding(&program, &one_segment(&program, &messages));
        let digests = messages.iter().map(|m| crate::keccak::digest_of(m)).collect();
        let envelope = Envelope {
            program: program.id(),
            vk: program.vk_digest(),
            public_values: &PublicValues { permutations: 4, digests }.encode(),
            proof: &noise,
        };
        let bytes = envelope.encode().expect("short");
        let refusal = program.verify(&bytes, &binding).expect_err("noise");
        prop_assert_eq!(refusal.class(), RefusalClass::Shape);
    }
}
