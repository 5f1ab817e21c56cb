//! Whole lifecycles of jobs per second: submit with its signature check, lease, complete; everything
//! on a durable journal, with a thousand connected workers. After it, how long a task needs from
//! its submit to an idle worker.
//!
//! Bare: a unary health check of a tonic server that does nothing else, from the same client with
//! the same number of callers. Mark: 0.1 lifecycles per bare call, stretch 0.2.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use proofgrid_benches::fleet::{CLIENTS, Fleet};
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::{Pairs, timed};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Callers at a time, of either side.
const CALLERS: usize = 256;

/// A server of health checks alone, on a free port.
async fn bare_server() -> Vec<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (_reporter, service) = tonic_health::server::health_reporter();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(endpoint.connect().await.expect("a connection"));
    }
    clients
}

async fn health_checks(clients: &[Channel], calls: usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for channel in clients.iter().cycle().take(CALLERS) {
        let (mut client, taken) = (HealthClient::new(channel.clone()), Arc::clone(&taken));
        callers.spawn(async move {
            while taken.fetch_add(1, Ordering::Relaxed) < calls {
                client.check(HealthCheckRequest::default()).await.expect("healthy");
            }
        });
    }
    callers.join_all().await;
}

fn dispatch(criterion: &mut Criterion) {
    let (workers, jobs, calls, singles) =
        if is_full() { (1_000, 20_000, 200_000, 2_000) } else { (4, 16, 16, 4) };
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let bare = runtime.block_on(bare_server());
    let mut fleet = runtime.block_on(Fleet::start(directory.path(), workers));
    let pairs = Pairs::default();
    let mut both = || {
        let requests = fleet.requesters.sign(jobs);
        pairs.run(
            || timed(|| runtime.block_on(fleet.run(requests.clone(), CALLERS))),
            || timed(|| runtime.block_on(health_checks(&bare, calls))),
        )
    };
    let mut group = criterion.benchmark_group("dispatch");
    group.sample_size(10);
    group.throughput(criterion::Throughput::Elements(jobs as u64));
    group.bench_function(format!("dispatcher::lifecycle/workers={workers}"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().0).sum::<Duration>());
    });
    group.finish();
    if is_full() && !pairs.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let (jobs, calls) = (jobs as f64, calls as f64);
        println!(
            "dispatch: {:.0} lifecycles per second, {:.0} bare calls: {:.3} x \
             (median of {} pairs, {workers} workers, {CALLERS} callers; mark >= 0.1)",
            jobs / pairs.ours_seconds(),
            calls / pairs.bare_seconds(),
            jobs / calls / pairs.ratio(),
            pairs.len(),
        );
    }
    let requests = fleet.requesters.sign(singles);
    let mut times = runtime.block_on(fleet.lease_times(requests));
    times.sort();
    if is_full() {
        let percentile = |of: usize| times[times.len() * of / 100].as_secs_f64() * 1e3;
        println!(
            "lease: {:.2} ms from submit to the worker that has the task, p99 {:.2} ms \
             ({singles} jobs one by one, {workers} idle workers; mark p99 < 5 ms)",
            percentile(50),
            percentile(99),
        );
    }
    runtime.block_on(fleet.stop());
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
