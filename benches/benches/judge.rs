//! The round trip of one proof through a sandboxed child: start, limits, decode, verify, answer.
//!
//! It has its own `main`, because this binary is also the child.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use proofgrid_benches::pipeline::Pipeline;
use proofgrid_benches::{block_input, is_full};
use proofgrid_core::ids::{Address, JobId};
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged};
use proofgrid_proofs::program::Binding;

/// The argument that makes this binary a child.
const CHILD: &str = "judge-child";

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == CHILD) {
        return proofgrid_judge::child::run(&proofgrid_programs::registry());
    }
    let mut criterion = Criterion::default().configure_from_args();
    round_trip(&mut criterion, "fibonacci", b"1 1 64".as_slice().into());
    if is_full() {
        round_trip(&mut criterion, "keccak", block_input().into());
    }
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn round_trip(criterion: &mut Criterion, program: &str, input: Bytes) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let pipeline = Pipeline::new(proofgrid_benches::num_threads());
    let plan = pipeline.plan(program, &input);
    let segment = plan.first().expect("a segment");
    let proof = pipeline.prove(program, &input, segment).proof.bytes;
    let registry = Arc::new(proofgrid_programs::registry());
    let id = registry.by_name(program).expect("a program").id();
    let prover = Address::from_bytes([1; 20]);
    let binding = Binding::of_segment(JobId::from_bytes([2; 32]), id, prover, segment);
    let request = JudgeRequest { program: id, binding, proof };
    let judge = Judge::new(JudgeConfig::own_binary(CHILD).expect("own path"), registry.clone());
    let mut group = criterion.benchmark_group("judge::round_trip");
    group.sample_size(20);
    group.bench_function(format!("program={program}"), |bencher| {
        bencher.iter(|| {
            let judged = runtime.block_on(judge.judge(request.clone()));
            assert!(matches!(judged, Judged::Verified(_)), "{judged:?}");
        });
    });
    let verifier = registry.by_name(program).expect("a program");
    group.bench_function(format!("program={program}/in_process"), |bencher| {
        bencher.iter(|| verifier.verify(&request.proof, &request.binding).expect("valid"));
    });
    group.finish();
}
