//! The program around proofs that snarkjs made, and everything about them that must be refused.

use proofgrid_core::ids::{Address, JobId};
use proofgrid_proofs::program::Unmonitored;
use proofgrid_proofs::refusal::RefusalClass;

use super::*;

const MULTIPLIER: &str = include_str!("../../../tests/data/groth16/multiplier.json");
const OTHER_INPUTS: &str = include_str!("../../../tests/data/groth16/multiplier-2.json");
const SUMS: &str = include_str!("../../../tests/data/groth16/sums.json");
const POSEIDON: &str = include_str!("../../../tests/data/groth16/poseidon.json");

fn request() -> PlanRequest {
    PlanRequest { memory_bytes_max: ByteCount::new(1 << 30), num_workers: 1, max_segments: 1 }
}

fn binding(program: &Groth16Program) -> Binding {
    let (job, prover) = (JobId::from_bytes([7; 32]), Address::from_bytes([9; 20]));
    Binding::of_segment(job, program.id(), prover, &SEGMENT)
}

fn proof_of(input: &str) -> Result<SegmentProof, ProveError> {
    let program = Groth16Program::new();
    program.prove(input.as_bytes(), &SEGMENT, &binding(&program), &Unmonitored)
}

#[test]
fn proofs_of_snarkjs_are_certified() {
    let program = Groth16Program::new();
    for (input, num_inputs) in [(MULTIPLIER, 1), (OTHER_INPUTS, 1), (SUMS, 2), (POSEIDON, 5)] {
        let bytes = input.as_bytes();
        let plan = program.plan(bytes, &request()).expect("plans");
        assert_eq!(plan, [SEGMENT]);
        program.check_plan(bytes, &plan).expect("its own plan");
        let proof = proof_of(input).expect("it verifies");
        let verified = program.verify(&proof.bytes, &binding(&program)).expect("verifies");
        assert_eq!(verified.public_values.len(), values_bytes(num_inputs));
        assert_eq!(verified.work_units, SEGMENT.work_units);
        assert_eq!(verified.vk_digest, program.vk_of(bytes).expect("a key"));
        let claim = program.claim_of_segments(&[&verified.public_values]).expect("a claim");
        assert_eq!(claim, program.claim(bytes).expect("a claim"));
        let range = SegmentRange { index: 0, first: 0, count: 1 };
        let expected = program.public_values_of(bytes, &range).expect("a range");
        assert_eq!(expected, Some(verified.public_values));
        assert!(proof.bytes.len() as u64 <= program.proof_bytes_estimate(&SEGMENT).get());
    }
}

#[test]
fn a_proof_that_does_not_verify_is_not_sealed_and_refused_when_it_is() {
    let program = Groth16Program::new();
    let lie = MULTIPLIER.replace("\"33\"", "\"34\"");
    assert_ne!(lie, MULTIPLIER);
    let Err(ProveError::Refused(refusal)) = proof_of(&lie) else { panic!("a lie is sealed") };
    assert_eq!(refusal.code(), RefusalCode::Pairing);
    let given = SnarkjsProof::parse(lie.as_bytes()).expect("well-formed");
    let sealed = program.seal(&given).expect("seals anything");
    let refusal = program.verify(&sealed.bytes, &binding(&program)).expect_err("a lie");
    assert_eq!(refusal.code(), RefusalCode::Pairing);
    // The claim is that of the lie, so nothing but the pairing can tell.
    assert_eq!(program.claim_of_segments(&[&sealed.public_values]), Ok(claim_of(&lie)));
}

fn claim_of(input: &str) -> Claim {
    Groth16Program::new().claim(input.as_bytes()).expect("well-formed")
}

#[test]
fn claims_tell_keys_and_inputs_apart_and_nothing_else() {
    assert_ne!(claim_of(MULTIPLIER), claim_of(OTHER_INPUTS));
    assert_ne!(claim_of(MULTIPLIER), claim_of(SUMS));
    let compact: String = MULTIPLIER.split_whitespace().collect();
    assert_eq!(claim_of(MULTIPLIER), claim_of(&compact));
}

#[test]
fn a_proof_is_bound_to_its_statement_and_says_that_it_is_to_nobody() {
    let program = Groth16Program::new();
    assert!(!program.prover_bound(), "a Groth16 proof can be handed in by anybody");
    let proof = proof_of(MULTIPLIER).expect("it verifies");
    let bound = binding(&program);
    let anybody = Binding { prover: Address::from_bytes([1; 20]), ..bound };
    assert!(program.verify(&proof.bytes, &anybody).is_ok());
    let two = Binding { count: 2, ..bound };
    let refusal = program.verify(&proof.bytes, &two).expect_err("another count");
    assert_eq!(refusal.code(), RefusalCode::WrongCount);
    let elsewhere = Binding { program: ProgramId::ZERO, ..bound };
    let refusal = program.verify(&proof.bytes, &elsewhere).expect_err("another program");
    assert_eq!(refusal.code(), RefusalCode::WrongProgram);
    let fault = program.prove(MULTIPLIER.as_bytes(), &SEGMENT, &elsewhere, &Unmonitored);
    assert!(matches!(fault, Err(ProveError::Binding(_))));
}

#[test]
fn every_key_may_stand_in_a_record_but_only_its_own_verifies() {
    let program = Groth16Program::new();
    assert!(program.admits_vk(&VkDigest::ZERO));
    let key = |input: &str| program.vk_of(input.as_bytes()).expect("a key");
    assert_eq!(key(MULTIPLIER), key(OTHER_INPUTS));
    assert_ne!(key(MULTIPLIER), key(SUMS));
    assert_ne!(key(MULTIPLIER), program.vk_digest());
    let proof = proof_of(MULTIPLIER).expect("it verifies");
    let mut other = proof.bytes;
    // The digest in the header, that in the public values, and a byte of the key itself.
    for place in [36, 72, 72 + 36 + 32 + 4 + 63] {
        other[place] ^= 1;
        let refusal = program.verify(&other, &binding(&program)).expect_err("another key");
        assert_eq!(refusal.code(), RefusalCode::WrongKey, "byte {place}");
        other[place] ^= 1;
    }
    assert!(program.verify(&other, &binding(&program)).is_ok());
}

#[test]
fn one_proof_is_one_segment() {
    let program = Groth16Program::new();
    let input = MULTIPLIER.as_bytes();
    let range = SegmentRange { index: 0, first: 0, count: 1 };
    assert_eq!(program.plan_range(input, &range), Ok(SEGMENT));
    assert!(program.plan_range(input, &SegmentRange { count: 2, ..range }).is_err());
    assert!(program.check_plan(input, &[SEGMENT, SEGMENT]).is_err());
    let small = PlanRequest { memory_bytes_max: ByteCount::new(1), ..request() };
    assert!(matches!(program.plan(input, &small), Err(PlanError::ItemTooLargeForMemory { .. })));
    for none in [&[][..], &[b"x".as_slice(), b"y"]] {
        let refusal = program.claim_of_segments(none).expect_err("no single segment");
        assert_eq!(refusal.code(), RefusalCode::Coverage);
    }
    assert!(program.plan(b"{}", &request()).is_err());
}

#[test]
fn changed_and_cut_envelopes_are_refused() {
    let program = Groth16Program::new();
    let bound = binding(&program);
    let proof = proof_of(MULTIPLIER).expect("it verifies").bytes;
    for place in 0..proof.len() {
        let mut changed = proof.clone();
        changed[place] ^= 0x81;
        assert!(program.verify(&changed, &bound).is_err(), "changed at {place}");
        let refusal = program.verify(&proof[..place], &bound).expect_err("cut");
        assert_eq!(refusal.class(), RefusalClass::Shape, "cut at {place}");
    }
    let longer = [&proof[..], &[0]].concat();
    assert!(program.verify(&longer, &bound).is_err());
}

#[test]
fn the_manifest_promises_no_more_than_there_is() {
    let program = Groth16Program::new();
    let manifest = program.manifest();
    assert!(!manifest.hiding);
    assert_eq!((manifest.proven_bits, manifest.conjectured_bits), (0, CONJECTURED_BITS));
    assert!(manifest.profile.conjectured_only());
    assert_eq!(ENVELOPE_BYTES_MAX, 880 + 96 * INPUTS_MAX);
}
