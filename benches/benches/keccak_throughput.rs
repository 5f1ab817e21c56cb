//! The permutations of a real block per second and core.
//!
//! Ours: every segment of the block through the worker's pipeline, one after the other on all cores,
//! self-verification included. Bare: Plonky3 proving its Keccak AIR alone, one table without
//! messages or lookups, at the same heights with the same parameters; its trace is filled before the
//! clock starts. Both are given the block's permutations. Mark: 0.78 of bare.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use proofgrid_benches::pairs::{Pairs, timed};
use proofgrid_benches::pipeline::Pipeline;
use proofgrid_benches::{bare, block_input, is_full, num_threads};

const PROGRAM: &str = "keccak";

fn keccak_throughput(criterion: &mut Criterion) {
    let input = Bytes::from(block_input());
    let pipeline = Pipeline::new(num_threads());
    let pool = bare::pool(num_threads());
    let plan = pipeline.plan(PROGRAM, &input);
    let permutations: u64 = plan.iter().map(|segment| segment.work_units.get()).sum();
    let traces: Vec<_> = plan.iter().map(|segment| bare::air_trace(segment.log_height)).collect();
    let pairs = Pairs::default();
    let both = || {
        pairs.run(
            || {
                let proofs =
                    plan.iter().map(|segment| timed(|| pipeline.prove(PROGRAM, &input, segment)));
                proofs.sum()
            },
            || {
                // Copied outside the clock, like the filled tables of a worker that is warm.
                let proofs = traces.iter().map(|trace| {
                    let trace = trace.clone();
                    pool.install(|| timed(|| bare::prove_air(trace)))
                });
                proofs.sum()
            },
        )
    };
    let heights: Vec<String> = plan.iter().map(|segment| segment.log_height.to_string()).collect();
    let id = |side: &str| {
        let heights = heights.join("+");
        format!("prover::{side}/permutations={permutations}/log_heights={heights}")
    };
    let mut group = criterion.benchmark_group("keccak_throughput");
    group.sample_size(10);
    group.throughput(criterion::Throughput::Elements(permutations));
    group.bench_function(id("pipeline"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().0).sum());
    });
    group.bench_function(id("bare_air"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().1).sum());
    });
    group.finish();
    if is_full() && !pairs.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand and a few cores")]
        let (work, cores) = (permutations as f64, num_threads() as f64);
        println!(
            "keccak_throughput: {:.1} permutations per second and core, bare AIR {:.1}: {:.3} x \
             (heights 2^{}; median of {} pairs, {} threads; mark >= 0.78)",
            work / pairs.ours_seconds() / cores,
            work / pairs.bare_seconds() / cores,
            1.0 / pairs.ratio(),
            heights.join(" + 2^"),
            pairs.len(),
            num_threads(),
        );
    }
}

criterion_group!(benches, keccak_throughput);
criterion_main!(benches);
