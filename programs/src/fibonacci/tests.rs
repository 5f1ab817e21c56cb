//! The second program through the same interface: proofs, lies, malformed bytes.

use p3_air::check_all_constraints;
use p3_field::PrimeCharacteristicRing;
use proofgrid_core::ids::{Address, JobId};
use proofgrid_proofs::program::Unmonitored;
use proofgrid_proofs::refusal::RefusalClass;
use rayon::prelude::*;

use super::*;

const PROVEN: [Profile; 2] = [Profile::Standard, Profile::StandardFold];
const INPUT: &[u8] = b"0 1 64\n";

fn request() -> PlanRequest {
    PlanRequest { memory_bytes_max: ByteCount::new(1 << 30), num_workers: 1, max_segments: 1 }
}

fn bound(program: &FibonacciProgram) -> (SegmentPlan, Binding) {
    let plan = program.plan(INPUT, &request()).expect("plans");
    let (job, prover) = (JobId::from_bytes([7; 32]), Address::from_bytes([9; 20]));
    (plan[0], Binding::of_segment(job, program.id(), prover, &plan[0]))
}

#[test]
fn runs_are_proved() {
    for profile in PROVEN {
        let program = FibonacciProgram::new(profile);
        for input in [INPUT, b"3 5 8", b"2130706432 2130706432 1024\n"] {
            let plan = program.plan(input, &request()).expect("plans");
            program.check_plan(input, &plan).expect("covers");
            let (_, mut binding) = bound(&program);
            binding.count = plan[0].count;
            let proof = program.prove(input, &plan[0], &binding, &Unmonitored).expect("proves");
            let verified = program.verify(&proof.bytes, &binding).expect("verifies");
            let claim = program.claim_of_segments(&[&verified.public_values]);
            assert_eq!(claim, program.claim(input).map_err(|_| unreachable!()));
            assert_eq!(verified.work_units, plan[0].work_units);
            assert!(proof.bytes.len() as u64 <= program.proof_bytes_estimate(&plan[0]).get());
        }
    }
}

#[test]
fn the_result_is_the_sequence() {
    let run = Run::parse(b"0 1 8").expect("parses");
    // 0 1 1 2 3 5 8 13 21: x_8 = 21.
    assert_eq!(run.x, KoalaBear::new(21));
    assert_eq!(run.encode(), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 21]);
    assert_eq!(Run::decode(&run.encode()), Ok(run));
}

#[test]
fn inputs_are_checked_with_their_line() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "no runs"),
        (b"1 2", "line 1: 2 numbers"),
        (b"1 2 3", "line 1: n is 3"),
        (b"1 2 4", "line 1: n is 4"),
        (b"1 2 2097152", "line 1: n is 2097152"),
        (b"1 x 8", "line 1: \"x\""),
        (b"1 2130706433 8", "line 1: \"2130706433\""),
        (b"1 2 8\n1 2 8", "line 2: only one run"),
    ];
    let program = FibonacciProgram::new(Profile::Standard);
    for (input, expected) in cases {
        let error = program.claim(input).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn every_constraint_is_needed_and_lies_are_refused() {
    let run = Run::parse(INPUT).expect("parses");
    let valid = run.trace();
    let report = check_all_constraints(&FibonacciTable, &valid, &run.values(), None);
    assert!(report.is_ok());
    let total = verifying_key(Profile::Standard).tables[0].num_constraints;
    assert_eq!(report.total_constraints_per_row, total, "one table, no lookups");
    let mut missing: Vec<usize> = (0..total).collect();
    for cell in [0, 1, 10, 127] {
        let mut trace = valid.clone();
        trace.values[cell] += KoalaBear::ONE;
        let report = check_all_constraints(&FibonacciTable, &trace, &run.values(), None);
        missing.retain(|c| report.failures.iter().all(|failure| failure.constraint != *c));
        for profile in PROVEN {
            let program = FibonacciProgram::new(profile);
            let (_, binding) = bound(&program);
            let proof = program
                .prove_trace(&run, trace.clone(), &binding, &Unmonitored)
                .expect("a prover takes any trace");
            let refusal = program.verify(&proof.bytes, &binding).expect_err("a lie");
            assert_eq!(refusal.class(), RefusalClass::Algebra, "cell {cell}: {refusal}");
        }
    }
    assert_eq!(missing, Vec::<usize>::new());
}

#[test]
fn public_values_are_bound() {
    for profile in PROVEN {
        let program = FibonacciProgram::new(profile);
        let (_, binding) = bound(&program);
        let run = Run::parse(INPUT).expect("parses");
        let changes: [fn(&mut Run); 3] =
            [|r| r.a += KoalaBear::ONE, |r| r.b += KoalaBear::ONE, |r| r.x += KoalaBear::ONE];
        for change in changes {
            let mut claimed = run;
            change(&mut claimed);
            let proof = program
                .prove_trace(&claimed, run.trace(), &binding, &Unmonitored)
                .expect("a prover takes any values");
            let refusal = program.verify(&proof.bytes, &binding).expect_err("a lie");
            assert_eq!(refusal.class(), RefusalClass::Algebra);
        }
    }
}

#[test]
fn bindings_bytes_and_lengths_are_checked() {
    for profile in PROVEN {
        let program = FibonacciProgram::new(profile);
        let (segment, binding) = bound(&program);
        let proof = program.prove(INPUT, &segment, &binding, &Unmonitored).expect("proves");
        let other = Binding { prover: Address::from_bytes([1; 20]), ..binding };
        let refusal = program.verify(&proof.bytes, &other).expect_err("stolen");
        assert_eq!(refusal.class(), RefusalClass::Algebra);
        let two = Binding { count: 2, ..binding };
        let refusal = program.verify(&proof.bytes, &two).expect_err("another count");
        assert_eq!(refusal.code(), RefusalCode::WrongCount);
        let len = proof.bytes.len();
        (0..len).step_by(len / 400).collect::<Vec<_>>().par_iter().for_each(|position| {
            let mut bytes = proof.bytes.clone();
            bytes[*position] ^= 0x81;
            assert!(program.verify(&bytes, &binding).is_err(), "changed at {position}");
            assert!(program.verify(&proof.bytes[..*position], &binding).is_err(), "cut");
        });
    }
}

#[test]
fn one_run_is_one_segment() {
    let program = FibonacciProgram::new(Profile::Standard);
    let (segment, _) = bound(&program);
    let range = SegmentRange { index: 0, first: 0, count: 1 };
    assert_eq!(program.plan_range(INPUT, &range), Ok(segment));
    let outside = SegmentRange { first: 1, ..range };
    assert!(program.plan_range(INPUT, &outside).is_err());
    assert!(program.check_plan(INPUT, &[segment, segment]).is_err());
    let small = PlanRequest { memory_bytes_max: ByteCount::new(1), ..request() };
    assert!(matches!(program.plan(INPUT, &small), Err(PlanError::ItemTooLargeForMemory { .. })));
    let none = program.claim_of_segments(&[]).expect_err("no segments");
    assert_eq!(none.code(), RefusalCode::Coverage);
}

#[test]
fn proven_bits_and_golden_bytes() {
    let digests = PROVEN.map(|profile| {
        let program = FibonacciProgram::new(profile);
        assert!(program.manifest().proven_bits >= 100, "{:?}", program.manifest());
        let (segment, binding) = bound(&program);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| program.prove(INPUT, &segment, &binding, &Unmonitored)).expect("proves")
        };
        let one = run(1);
        assert!(one == run(2) && one == run(8), "{profile:?} depends on the number of threads");
        hex::encode(keccak256(&one.bytes))
    });
    assert_eq!(digests, GOLDEN_PROOFS);
}

/// Digests of the proofs of `INPUT` under each proven profile.
const GOLDEN_PROOFS: [&str; 2] = [
    "760f6aef07732a4e7b0ffd0694a296d4f6ac78e9fdc0cc58a987ba9790be299a",
    "939e51badcc94fc4a63352f8c9f5e7abf7038e461f1ffd14bd85fc34f0ac3b32",
];
