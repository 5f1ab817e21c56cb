//! Envelopes, both verifiers, public values and inputs.

use std::sync::Arc;

use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::program::{Binding, PlanRequest, Program, Registry, Unmonitored};

use proofgrid_fuzz::{Outcome, Shape, Target, root};

fn registry() -> Arc<Registry> {
    Arc::new(proofgrid_programs::registry())
}

/// A real proof of a small input with its binding.
fn proof_of(program: &dyn Program, input: &[u8]) -> (Vec<u8>, Binding) {
    let request =
        PlanRequest { memory_bytes_max: ByteCount::new(4 << 30), num_workers: 1, max_segments: 1 };
    let plan = program.plan(input, &request).expect("a small input is planned");
    let binding = Binding {
        job: JobId::from_bytes([3; 32]),
        program: program.id(),
        prover: Address::from_bytes([5; 20]),
        segment_index: 0,
        first: plan[0].first,
        count: plan[0].count,
    };
    let proof = program.prove(input, &plan[0], &binding, &Unmonitored).expect("is proved");
    (proof.bytes, binding)
}

/// Nothing but the proof itself verifies, whatever is flipped, cut, spliced or announced.
fn verifier(name: &'static str, program: &str, input: &[u8], executions: u64) {
    let registry = registry();
    let program = registry.by_name(program).expect("a program of the network");
    let (proof, binding) = proof_of(program, input);
    let memory = (256 << 20, 256);
    Target { memory, ..Target::new(name, Shape::Bytes, executions) }.run(
        vec![proof.clone()],
        |input| {
            let verdict = program.verify(input, &binding);
            assert!(verdict.is_err() || input == proof, "a changed proof verifies");
            Outcome::from(verdict)
        },
    );
}

#[test]
fn fibonacci_proofs() {
    verifier("fibonacci-verify", "fibonacci", b"0 1 8", 1_500);
}

#[test]
fn keccak_proofs() {
    verifier("keccak-verify", "keccak", b"00\n", 300);
}

#[test]
fn envelopes() {
    let registry = registry();
    let program = registry.by_name("fibonacci").expect("a program of the network");
    let (proof, _) = proof_of(program, b"0 1 8");
    let limits = &program.manifest().limits;
    let parts = Envelope::decode(&proof, limits).expect("an own proof");
    let small = Envelope { proof: b"proof", ..parts }.encode().expect("short");
    Target::new("envelope", Shape::Bytes, 80_000).run(vec![small], |input| {
        let decoded = Envelope::decode(input, limits);
        if let Ok(envelope) = &decoded {
            assert_eq!(envelope.encode().as_deref(), Some(input), "it is not canonical");
        }
        Outcome::from(decoded)
    });
}

/// The claim over public values that a stranger chose, of one segment and of two.
#[test]
fn public_values() {
    let registry = registry();
    for (name, program, input) in [
        ("fibonacci-values", "fibonacci", &b"0 1 8"[..]),
        ("keccak-values", "keccak", b"00\n0102\n"),
    ] {
        let program = registry.by_name(program).expect("a program of the network");
        let (proof, _) = proof_of(program, input);
        let envelope = Envelope::decode(&proof, &program.manifest().limits).expect("an own proof");
        let seeds = vec![envelope.public_values.to_vec()];
        Target::new(name, Shape::Bytes, 60_000).run(seeds, |input| {
            let halves = input.split_at(input.len() / 2);
            let _ = program.claim_of_segments(&[halves.0, halves.1]);
            let _ = program.claim_of_segments(&[input, input]);
            Outcome::from(program.claim_of_segments(&[input]))
        });
    }
}

fn inputs(name: &'static str, program: &str, shape: Shape, seeds: Vec<Vec<u8>>, executions: u64) {
    let registry = registry();
    let program = registry.by_name(program).expect("a program of the network");
    let request =
        PlanRequest { memory_bytes_max: ByteCount::new(4 << 30), num_workers: 3, max_segments: 8 };
    let memory = (1 << 20, 512);
    Target { memory, ..Target::new(name, shape, executions) }.run(seeds, |input| {
        let claim = program.claim(input);
        if let Ok(plan) = program.plan(input, &request) {
            assert!(claim.is_ok(), "planned, but it has no claim");
            let checked = program.check_plan(input, &plan);
            assert!(checked.is_ok(), "its own plan is refused: {checked:?}");
        }
        Outcome::from(claim)
    });
}

#[test]
fn keccak_inputs() {
    let path = root().join("tests/data/block_19807080_messages.hex");
    let block = std::fs::read_to_string(path).expect("the committed block");
    let some = |from: usize, count: usize| {
        let lines: Vec<&str> = block.lines().skip(from).take(count).collect();
        lines.join("\n").into_bytes()
    };
    let seeds =
        vec![b"00\n".to_vec(), b"\n".to_vec(), b"0x00ff\n00FF".to_vec(), some(0, 3), some(500, 2)];
    inputs("keccak-input", "keccak", Shape::Lines, seeds, 20_000);
}

#[test]
fn fibonacci_inputs() {
    let seeds = [&b"0 1 8"[..], b"2130706432 1 1048576", b"1 2 64\n"].map(<[u8]>::to_vec).into();
    inputs("fibonacci-input", "fibonacci", Shape::Lines, seeds, 20_000);
}
