//! What must be accepted: lengths around the block size, repeats, several segments, real data.

use std::sync::atomic::{AtomicU64, Ordering};

use proofgrid_proofs::digest::{keccak256, proof_digest};
use proofgrid_proofs::program::{
    InputError, Monitor, Phase, PlanError, ProveError, SegmentRange, check_coverage,
};
use proofgrid_proofs::refusal::RefusalClass;

use super::block::BLOCK;
use super::*;
use crate::keccak::program::PublicValues;
use crate::keccak::{digest_of, input, permutations_of_len};

/// Proves, verifies, and compares every public value with native hashing.
fn round_trip(program: &KeccakProgram, messages: &[Vec<u8>]) {
    let input = input_of(messages);
    let segment = one_segment(program, messages);
    let binding = binding(program, &segment);
    let proof = program.prove(&input, &segment, &binding, &Unmonitored).expect("proves");
    let verified = program.verify(&proof.bytes, &binding).expect("verifies");
    let (values, _) = PublicValues::decode(&verified.public_values).expect("decodes");
    let digests: Vec<_> = messages.iter().map(|m| digest_of(m)).collect();
    assert_eq!(values.digests, digests);
    let permutations: usize = messages.iter().map(|m| permutations_of_len(m.len())).sum();
    assert_eq!(verified.work_units.get(), permutations as u64);
    assert_eq!(verified.work_units, segment.work_units);
    assert_eq!(verified.public_values, proof.public_values);
    assert_eq!(verified.proof_digest, proof_digest(&proof.bytes));
    let claim = program.claim_of_segments(&[&verified.public_values]).expect("claims");
    assert_eq!(claim, program.claim(&input).expect("claims"));
    assert!(proof.bytes.len() as u64 <= program.proof_bytes_estimate(&segment).get());
}

#[test]
fn lengths_around_the_block_size_are_proved() {
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        let of_len = |len: usize| vec![0x5au8; len];
        round_trip(&program, &[0, 1, 134, 135, 136, 137, 271, 272, 273].map(of_len));
        round_trip(&program, &[of_len(0)]);
        round_trip(&program, &[of_len(135)]);
        round_trip(&program, &[of_len(136)]);
        round_trip(&program, &[of_len(137)]);
    }
}

#[test]
fn duplicated_messages_are_proved_as_often_as_they_are_claimed() {
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        round_trip(&program, &vec![vec![1, 2, 3]; 5]);
    }
}

#[test]
fn the_fast_profile_proves_too() {
    let program = KeccakProgram::new(Profile::Fast);
    assert!(program.manifest().profile.conjectured_only());
    round_trip(&program, &messages());
}

#[test]
fn real_messages_in_several_segments_give_the_claim() {
    let all = input::parse(BLOCK).expect("parses");
    let some = all[..24].to_vec();
    let input = input_of(&some);
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        let memory = crate::keccak::planner::memory_for(8);
        let plan = program
            .plan(&input, &PlanRequest { memory_bytes_max: memory, ..request() })
            .or_else(|_| program.plan(&input, &PlanRequest { num_workers: 4, ..request() }))
            .expect("plans");
        assert!(plan.len() > 1, "{plan:?}");
        program.check_plan(&input, &plan).expect("covers");
        let mut values = Vec::new();
        for segment in &plan {
            let binding = binding(&program, segment);
            let proof = program.prove(&input, segment, &binding, &Unmonitored).expect("proves");
            values.push(program.verify(&proof.bytes, &binding).expect("verifies").public_values);
        }
        let ordered: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let claim = program.claim(&input).expect("claims");
        assert_eq!(program.claim_of_segments(&ordered), Ok(claim));
        let reversed: Vec<&[u8]> = ordered.iter().rev().copied().collect();
        assert_ne!(program.claim_of_segments(&reversed), Ok(claim), "order matters");
        assert_ne!(program.claim_of_segments(&ordered[1..]), Ok(claim), "all are needed");
        let ranges: Vec<SegmentRange> = plan
            .iter()
            .map(|s| SegmentRange { index: s.index, first: s.first, count: s.count })
            .collect();
        assert_eq!(check_coverage(&ranges), Ok(24));
    }
}

#[test]
fn a_proof_is_worth_nothing_under_another_binding() {
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        let (tables, held) = tables(&program);
        let proof = prove(&program, &tables, &held);
        program.verify(&proof.bytes, &held).expect("verifies as bound");
        let changes: [fn(&mut Binding); 4] = [
            |b| b.job = JobId::from_bytes([8; 32]),
            |b| b.prover = Address::from_bytes([8; 20]),
            |b| b.segment_index += 1,
            |b| b.first += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = held;
            change(&mut other);
            let refusal = program.verify(&proof.bytes, &other).expect_err("stolen");
            assert_eq!(refusal.class(), RefusalClass::Algebra, "change {number}: {refusal}");
        }
    }
}

#[test]
fn another_profile_refuses_the_proof() {
    let standard = KeccakProgram::new(Profile::Standard);
    let (tables, held) = tables(&standard);
    let proof = prove(&standard, &tables, &held);
    for profile in [Profile::StandardFold, Profile::Fast] {
        let other = KeccakProgram::new(profile);
        let refusal = other.verify(&proof.bytes, &held).expect_err("another program");
        assert_eq!(refusal.class(), RefusalClass::Identity);
    }
}

#[test]
fn bytes_are_equal_on_any_number_of_threads_and_golden() {
    let digests = Profile::ALL.map(|profile| {
        let program = KeccakProgram::new(profile);
        let input = input_of(&messages());
        let segment = one_segment(&program, &messages());
        let binding = binding(&program, &segment);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| program.prove(&input, &segment, &binding, &Unmonitored))
                .expect("proves")
        };
        let one = run(1);
        assert!(one == run(2), "{profile:?} differs on 2 threads");
        assert!(one == run(8), "{profile:?} differs on 8 threads");
        hex::encode(keccak256(&one.bytes))
    });
    assert_eq!(digests, GOLDEN_PROOFS);
}

/// Digests of the proofs of `messages()` under each profile. They change with the verifying key, the
/// prover or the envelope, and with nothing else; a change takes a new verifier version.
const GOLDEN_PROOFS: [&str; 3] = [
    "6d0929131ac26c8e337aa281dfbbc5349f8fa771897fe57b32f57a0dd8eae2e0",
    "338f997f0fbcdf8a0164aab05348dc09ee966ddfa1c955237449436aba20588f",
    "c221e6aaca4ec7417a181936082dc4e0bb02da54f440cb735ba8165f78a83539",
];

/// Stops at the n-th question; counts the questions.
struct StopAfter {
    questions: AtomicU64,
    limit: u64,
}

impl Monitor for StopAfter {
    fn phase(&self, _phase: Phase, done: u64, total: u64) {
        assert!(done <= total);
    }

    fn cancelled(&self) -> bool {
        self.questions.fetch_add(1, Ordering::Relaxed) >= self.limit
    }
}

#[test]
fn a_proof_stops_whenever_it_is_asked_to() {
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        let input = input_of(&messages());
        let segment = one_segment(&program, &messages());
        let binding = binding(&program, &segment);
        let watched = StopAfter { questions: AtomicU64::new(0), limit: u64::MAX };
        program.prove(&input, &segment, &binding, &watched).expect("never stopped");
        let questions = watched.questions.into_inner();
        assert!(questions > 30, "asked {questions} times");
        for limit in [0, 1, 3, questions / 2, questions - 2] {
            let stop = StopAfter { questions: AtomicU64::new(0), limit };
            let outcome = program.prove(&input, &segment, &binding, &stop);
            assert_eq!(outcome, Err(ProveError::Cancelled), "after {limit} questions");
        }
    }
}

#[test]
fn nothing_to_prove_is_refused_before_proving() {
    let program = KeccakProgram::new(Profile::Standard);
    assert_eq!(program.claim(b""), Err(InputError::Empty { items: "messages" }));
    let segment = one_segment(&program, &messages());
    let input = input_of(&messages());
    let empty = SegmentPlan { count: 0, ..segment };
    let outcome = program.prove(&input, &empty, &binding(&program, &empty), &Unmonitored);
    assert!(matches!(outcome, Err(ProveError::Plan(PlanError::Mismatch { .. }))));
    let mut wrong = binding(&program, &segment);
    wrong.count += 1;
    let outcome = program.prove(&input, &segment, &wrong, &Unmonitored);
    assert!(matches!(outcome, Err(ProveError::Binding(_))));
}
