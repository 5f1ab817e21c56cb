//! The journal's group commit: appends that are acknowledged only when they are on the disk.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proofgrid_benches::is_full;
use proofgrid_store::journal::{Journal, JournalConfig};

/// Bytes of a typical fact.
const RECORD_BYTES: usize = 200;

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let journal =
        Journal::open(&JournalConfig::new(dir.path().join("journal"))).expect("a journal");
    let mut group = criterion.benchmark_group("store::journal::append");
    group.sample_size(20);
    let sizes: &[u64] = if is_full() { &[1, 16, 256] } else { &[2] };
    for num_appends in sizes {
        group.throughput(Throughput::Elements(*num_appends));
        let id = BenchmarkId::from_parameter(format!("concurrent={num_appends}"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut acks = Vec::new();
                    for _ in 0..*num_appends {
                        let record = vec![0xa5; RECORD_BYTES];
                        acks.push(journal.append(vec![record]).await.expect("taken"));
                    }
                    for ack in acks {
                        ack.await.expect("on the disk");
                    }
                });
            });
        });
    }
    group.finish();
    runtime.block_on(journal.close()).expect("closed");
}

criterion_group!(benches, append);
criterion_main!(benches);
