//! Groth16: snarkjs' JSON, key, proof, public values, and whole envelopes.

use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::groth16::{Groth16Key, Groth16Proof, Groth16Values, INPUTS_MAX, key_bytes};
use proofgrid_proofs::program::{Binding, PlanRequest};

use proofgrid_fuzz::{Outcome, Shape, Target, corpus, root};

/// What snarkjs wrote.
fn committed(name: &str) -> Vec<u8> {
    let path = root().join("tests/data/groth16").join(name);
    std::fs::read(path).expect("a committed proof")
}

/// Most of the inputs that are accepted get past the text to the points, so they are real.
#[test]
fn groth16_inputs() {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("groth16-bn254").expect("a program of the network");
    let request =
        PlanRequest { memory_bytes_max: ByteCount::new(1 << 30), num_workers: 1, max_segments: 1 };
    let seeds = vec![committed("multiplier.json"), committed("sums.json")];
    let target = Target::new("groth16-input", Shape::Json, 3_000);
    Target { memory: (1 << 20, 512), ..target }.run(seeds, |input| {
        let claim = program.claim(input);
        assert_eq!(claim.is_ok(), program.vk_of(input).is_ok(), "a claim is over a key");
        let plan = program.plan(input, &request);
        assert_eq!(claim.is_ok(), plan.is_ok(), "what has a claim is planned");
        if let Ok(plan) = plan {
            let checked = program.check_plan(input, &plan);
            assert!(checked.is_ok(), "its own plan is refused: {checked:?}");
        }
        Outcome::from(claim)
    });
}

#[test]
fn groth16_keys() {
    Target::new("groth16-key", Shape::Bytes, 4_000).run(vec![], |input| {
        let fits = (0..=INPUTS_MAX).find(|inputs| key_bytes(*inputs) == input.len());
        let decoded = Groth16Key::decode(input, fits.unwrap_or_default());
        if let Ok(key) = &decoded {
            assert_eq!(key.encode(), input, "it is not canonical");
        }
        Outcome::from(decoded)
    });
}

#[test]
fn groth16_proofs() {
    Target::new("groth16-proof", Shape::Bytes, 20_000).run(vec![], |input| {
        let decoded = Groth16Proof::decode(input);
        if let Ok(proof) = &decoded {
            assert_eq!(proof.encode(), input, "it is not canonical");
        }
        Outcome::from(decoded)
    });
}

#[test]
fn groth16_values() {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("groth16-bn254").expect("a program of the network");
    Target::new("groth16-values", Shape::Bytes, 60_000).run(vec![], |input| {
        let decoded = Groth16Values::decode(input);
        if let Ok(values) = &decoded {
            assert_eq!(values.encode(), input, "it is not canonical");
        }
        let claim = program.claim_of_segments(&[input]);
        assert_eq!(claim.is_ok(), decoded.is_ok());
        let _ = program.claim_of_segments(&[input, input]);
        Outcome::from(decoded)
    });
}

/// Nothing but the proofs of the corpus verifies, whatever is flipped, cut, spliced or announced: a
/// proof can be randomised again, but not by accident. No key of the corpus has the identity as an IC
/// point of an input, which would leave that input free.
#[test]
fn groth16_envelopes() {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("groth16-bn254").expect("a program of the network");
    let binding = Binding {
        job: JobId::from_bytes([3; 32]),
        program: program.id(),
        prover: Address::from_bytes([5; 20]),
        segment_index: 0,
        first: 0,
        count: 1,
    };
    let known = corpus("groth16-verify");
    let target = Target::new("groth16-verify", Shape::Bytes, 3_000);
    Target { memory: (1 << 20, 64), ..target }.run(vec![], |input| {
        let verdict = program.verify(input, &binding);
        if verdict.is_ok() {
            assert!(known.iter().any(|seed| seed == input), "a changed proof verifies");
        }
        Outcome::from(verdict)
    });
}
