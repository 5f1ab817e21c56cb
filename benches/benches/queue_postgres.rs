//! Whole lifecycles of jobs per second: the dispatcher's against those of a PostgreSQL queue, written
//! as a good engineer would write one.
//!
//! Ours is that of `dispatch`: submit with its signature check, lease, complete, everything on a
//! durable journal, with a thousand connected workers. PostgreSQL's is insert, claim with `FOR UPDATE
//! SKIP LOCKED`, one heartbeat, complete: four prepared statements, each a transaction that is on disk
//! before it is acknowledged, from 32 clients over the server's Unix socket, and no signature. Its
//! lifecycles are also counted without the heartbeat. Mark: 5 times as many.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use proofgrid_benches::fleet::Fleet;
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::{Pairs, timed};
use proofgrid_benches::postgres::Server;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

/// Submits of ours at a time, as in `dispatch`.
const CALLERS: usize = 256;
/// Connections to PostgreSQL; each has one statement under way.
const CLIENTS: usize = 32;
/// Jobs that lie in PostgreSQL's queue all the time, so that a claim finds one that nobody else is
/// claiming.
const BACKLOG: usize = 4 * CLIENTS;
/// Looks at the queue before a client says that it is empty.
const LOOKS_MAX: usize = 1_000;

/// The id is the requester's, so that its key also makes a repeated insert harmless. Only a claim
/// changes a column that the partial index looks at: heartbeats and completions stay in their page
/// and touch no index, for which pages are filled to 70 % only.
const SCHEMA: &str = "
    CREATE TABLE jobs (
        id bigint PRIMARY KEY,
        spec bytea NOT NULL,
        token bigint NOT NULL DEFAULT 0,
        claimed_at timestamptz,
        worker int,
        leased_until timestamptz,
        proof bytea,
        completed_at timestamptz
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
    CREATE INDEX queued ON jobs (id) WHERE claimed_at IS NULL;";
const INSERT: &str = "INSERT INTO jobs (id, spec) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const CLAIM: &str = "
    UPDATE jobs
    SET claimed_at = now(), worker = $1, token = token + 1, leased_until = now() + interval '30 s'
    WHERE id = (
        SELECT id FROM jobs WHERE claimed_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, token, spec";
const HEARTBEAT: &str = "
    UPDATE jobs SET leased_until = now() + interval '30 s'
    WHERE id = $1 AND token = $2 AND completed_at IS NULL";
const COMPLETE: &str = "
    UPDATE jobs SET proof = $3, completed_at = now()
    WHERE id = $1 AND token = $2 AND completed_at IS NULL";

/// Bytes of a job's specification, about those of ours.
const SPEC: &[u8] = &[0x5a; 300];
/// The digest of a proof.
const PROOF: &[u8] = &[0xa5; 32];

/// Whether a job is heard of between its claim and its completion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heartbeats {
    One,
    None,
}

/// A requester and a worker on one connection.
struct QueueClient {
    client: Client,
    number: i32,
    insert: Statement,
    claim: Statement,
    heartbeat: Statement,
    complete: Statement,
}

impl QueueClient {
    async fn connect(server: &Server, number: i32) -> Self {
        let client = server.connect().await;
        Self {
            insert: client.prepare(INSERT).await.expect("prepared"),
            claim: client.prepare(CLAIM).await.expect("prepared"),
            heartbeat: client.prepare(HEARTBEAT).await.expect("prepared"),
            complete: client.prepare(COMPLETE).await.expect("prepared"),
            client,
            number,
        }
    }

    async fn insert(&self, id: i64) {
        let rows = self.client.execute(&self.insert, &[&id, &SPEC]).await.expect("inserted");
        assert_eq!(rows, 1, "a new id");
    }

    async fn claim(&self) -> (i64, i64) {
        for _ in 0..LOOKS_MAX {
            let row = self.client.query_opt(&self.claim, &[&self.number]).await.expect("asked");
            if let Some(row) = row {
                assert_eq!(row.get::<_, &[u8]>(2).len(), SPEC.len());
                return (row.get(0), row.get(1));
            }
        }
        panic!("the queue is empty")
    }

    async fn work(&self, heartbeats: Heartbeats) {
        let (id, token) = self.claim().await;
        if heartbeats == Heartbeats::One {
            let beat = self.client.execute(&self.heartbeat, &[&id, &token]).await;
            assert_eq!(beat.expect("heard"), 1, "its own lease");
        }
        let done = self.client.execute(&self.complete, &[&id, &token, &PROOF]).await;
        assert_eq!(done.expect("completed"), 1, "its own lease");
    }
}

/// The queue with everybody who uses it.
struct PostgresQueue {
    clients: Vec<Arc<QueueClient>>,
    next_id: Arc<AtomicI64>,
    _server: Server,
}

impl PostgresQueue {
    async fn start(server: Server) -> Self {
        server.connect().await.batch_execute(SCHEMA).await.expect("a table");
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let number = i32::try_from(number).expect("a few");
            clients.push(Arc::new(QueueClient::connect(&server, number).await));
        }
        let queue = Self { clients, next_id: Arc::default(), _server: server };
        for _ in 0..BACKLOG {
            queue.clients[0].insert(queue.next_id.fetch_add(1, Ordering::Relaxed)).await;
        }
        queue
    }

    /// Inserts this many jobs and completes as many, all clients at once.
    async fn run(&self, jobs: usize, heartbeats: Heartbeats) {
        let end = self.next_id.load(Ordering::Relaxed) + i64::try_from(jobs).expect("a few");
        let mut running = tokio::task::JoinSet::new();
        for client in &self.clients {
            let (client, next_id) = (Arc::clone(client), Arc::clone(&self.next_id));
            running.spawn(async move {
                let next = || {
                    next_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |id| {
                        (id < end).then_some(id + 1)
                    })
                };
                while let Ok(id) = next() {
                    client.insert(id).await;
                    client.work(heartbeats).await;
                }
            });
        }
        running.join_all().await;
    }
}

fn queue_postgres(criterion: &mut Criterion) {
    let server = match Server::start() {
        Ok(server) => server,
        Err(reason) => return println!("queue_postgres: left out, {reason}"),
    };
    let (workers, jobs, theirs) = if is_full() { (1_000, 10_000, 5_000) } else { (4, 16, 40) };
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let queue = runtime.block_on(PostgresQueue::start(server));
    let mut fleet = runtime.block_on(Fleet::start(directory.path(), workers));
    let (pairs, silent) = (Pairs::default(), Pairs::default());
    let mut both = || {
        let mut ours = Duration::ZERO;
        for (pairs, heartbeats) in [(&pairs, Heartbeats::One), (&silent, Heartbeats::None)] {
            let requests = fleet.requesters.sign(jobs);
            let (time, _) = pairs.run(
                || timed(|| runtime.block_on(fleet.run(requests, CALLERS))),
                || timed(|| runtime.block_on(queue.run(theirs, heartbeats))),
            );
            ours += time / 2;
        }
        ours
    };
    let mut group = criterion.benchmark_group("queue_postgres");
    group.sample_size(10);
    group.throughput(criterion::Throughput::Elements(jobs as u64));
    group.bench_function(format!("dispatcher::lifecycle/workers={workers}"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both()).sum::<Duration>());
    });
    group.finish();
    if is_full() && !pairs.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let (jobs, theirs) = (jobs as f64, theirs as f64);
        println!(
            "queue_postgres: {:.0} lifecycles per second, {:.0} of PostgreSQL: {:.2} x; without its \
             heartbeat {:.0}: {:.2} x (medians of {} pairs each, {workers} workers, {CALLERS} \
             callers, {CLIENTS} clients; mark >= 5)",
            jobs / pairs.ours_seconds(),
            theirs / pairs.bare_seconds(),
            jobs / theirs / pairs.ratio(),
            theirs / silent.bare_seconds(),
            jobs / theirs / silent.ratio(),
            pairs.len(),
        );
    }
    runtime.block_on(fleet.stop());
}

criterion_group!(benches, queue_postgres);
criterion_main!(benches);
