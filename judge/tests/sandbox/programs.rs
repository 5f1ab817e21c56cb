//! The network's own programs in the sandbox: a real proof, changed proofs, and garbage.

use std::sync::Arc;

use proofgrid_core::ids::{Address, JobId};
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged};
use proofgrid_proofs::program::{Binding, PlanRequest, Program, Unmonitored};

use crate::cases;

cases![a_real_proof_is_verified_and_every_changed_one_refused, real_programs_refuse_garbage];

fn judge() -> Judge {
    let config = JudgeConfig::own_binary(super::NETWORK_CHILD).expect("own path");
    Judge::new(config, Arc::new(proofgrid_programs::registry()))
}

fn binding_of(program: &dyn Program) -> Binding {
    Binding {
        job: JobId::from_bytes([3; 32]),
        program: program.id(),
        prover: Address::from_bytes([5; 20]),
        segment_index: 0,
        first: 0,
        count: 1,
    }
}

async fn a_real_proof_is_verified_and_every_changed_one_refused(_judge: Judge) {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("fibonacci").expect("a program of the network");
    let input = b"1 2 64";
    let request = PlanRequest {
        memory_bytes_max: proofgrid_core::units::ByteCount::new(1 << 32),
        num_workers: 1,
        max_segments: 1,
    };
    let plan = program.plan(input, &request).expect("plans");
    let binding = Binding { count: plan[0].count, ..binding_of(program) };
    let proof = program.prove(input, &plan[0], &binding, &Unmonitored).expect("proves");
    let judge = judge();
    let ask = |binding: Binding, proof: Vec<u8>| {
        judge.judge(JudgeRequest { program: binding.program, binding, proof })
    };
    match ask(binding, proof.bytes.clone()).await {
        Judged::Verified(verified) => {
            assert_eq!(verified.public_values, proof.public_values);
            assert_eq!(verified.vk_digest, program.vk_digest());
            assert_eq!(verified.work_units, plan[0].work_units);
        }
        other => panic!("{other:?}"),
    }
    let stolen = Binding { prover: Address::from_bytes([6; 20]), ..binding };
    assert!(matches!(ask(stolen, proof.bytes.clone()).await, Judged::Refused(_)));
    let length = proof.bytes.len();
    for place in [0, length / 3, length / 2, length - 1] {
        let mut changed = proof.bytes.clone();
        changed[place] ^= 1;
        let judged = ask(binding, changed).await;
        assert!(matches!(judged, Judged::Refused(_)), "byte {place}: {judged:?}");
    }
}

async fn real_programs_refuse_garbage(_judge: Judge) {
    let judge = judge();
    for program in proofgrid_programs::registry().iter() {
        let binding = binding_of(program);
        for proof in [Vec::new(), vec![0; 10_000], vec![0xff; 100_000]] {
            let judged =
                judge.judge(JudgeRequest { program: binding.program, binding, proof }).await;
            assert!(matches!(judged, Judged::Refused(_)), "{}: {judged:?}", program.name());
        }
    }
}
