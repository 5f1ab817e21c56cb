//! What the node adds to one segment's proof.
//!
//! Ours: the worker's pipeline, from the fetched input to a proof that may be stored: parse, fill
//! the tables, prove with the deterministic transcript, encode, envelope, and the self-verification.
//! Bare: Plonky3's `prove_batch` on the same filled tables with the same parameters, and the
//! commitment to the preprocessed columns, which it needs for this statement. Mark: 1.05.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use proofgrid_benches::bare::{self, Segment};
use proofgrid_benches::pairs::{Pairs, timed};
use proofgrid_benches::pipeline::Pipeline;
use proofgrid_benches::{block_input, is_full, num_threads};

const PROGRAM: &str = "keccak";

fn segment_overhead(criterion: &mut Criterion) {
    let input = Bytes::from(block_input());
    let pipeline = Pipeline::new(num_threads());
    let pool = bare::pool(num_threads());
    let plan = pipeline.plan(PROGRAM, &input);
    let Some(segment) = plan.iter().max_by_key(|segment| segment.work_units) else { return };
    let tables = Segment::fill(&input, segment);
    let pairs = Pairs::default();
    // The same run without the parts that p3 has no counterpart of: filling, envelope, check.
    let proving = Pairs::default();
    let both = || {
        let mut prove_time = std::time::Duration::ZERO;
        let (ours, bare) = pairs.run(
            || {
                timed(|| {
                    let proof = pipeline.prove(PROGRAM, &input, segment);
                    prove_time = proof.prove_time;
                    proof
                })
            },
            || pool.install(|| timed(|| tables.prove())),
        );
        proving.run(|| prove_time, || bare);
        (ours, bare)
    };
    let id =
        |side: &str| format!("prover::{side}/program={PROGRAM}/log_height={}", segment.log_height);
    let mut group = criterion.benchmark_group("segment_overhead");
    group.sample_size(10);
    group.bench_function(id("pipeline"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().0).sum());
    });
    group.bench_function(id("bare"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().1).sum());
    });
    group.finish();
    if is_full() && !pairs.is_empty() {
        println!(
            "segment_overhead: everything {:.3} x, without the check {:.3} x of bare p3 \
             ({:.3} s against {:.3} s; median of {} pairs, {} threads; mark <= 1.05)",
            pairs.ratio(),
            proving.ratio(),
            pairs.ours_seconds(),
            pairs.bare_seconds(),
            pairs.len(),
            num_threads(),
        );
    }
}

criterion_group!(benches, segment_overhead);
criterion_main!(benches);
