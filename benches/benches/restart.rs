//! Restart after kill -9 with many live tasks: from opening the journal to the first lease.
//!
//! A child's dispatcher takes in the jobs and is killed; this process then starts on its files and a
//! worker dials in. Mark: under a second with 100 000 live tasks.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]

use std::path::Path;
use std::time::{Duration, Instant};

use proofgrid_benches::fleet::{
    ChildStation, Requesters, Station, Worker, connect, serve_if_child, worker_key,
};
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::median;
use tokio::runtime::Runtime;

const CALLERS: usize = 256;

/// Starts on what a killed process left, until a worker that dials in has its first task.
async fn first_lease(directory: &Path, requesters: &Requesters, worker: usize) -> [Duration; 2] {
    let begun = Instant::now();
    let station = Station::start(directory, 1).await;
    let started = begun.elapsed();
    let link = connect(&station.url()).await;
    let mut worker = Worker::log_in(link, &worker_key(worker), requesters.program()).await;
    worker.assigned().await;
    let leased = begun.elapsed();
    drop(worker);
    station.stop().await;
    [started, leased]
}

fn main() {
    if serve_if_child() {
        return;
    }
    let (tasks, rounds) = if is_full() { (100_000, 5) } else { (16, 1) };
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let child = ChildStation::start(directory.path(), 1);
    let mut requesters = runtime.block_on(Requesters::connect(child.url()));
    let requests = requesters.sign(tasks);
    runtime.block_on(requesters.submit(requests, CALLERS));
    let mut times = Vec::new();
    let mut running = child;
    for round in 0..rounds {
        // SIGKILL.
        drop(running);
        times.push(runtime.block_on(first_lease(directory.path(), &requesters, round)));
        running = ChildStation::start(directory.path(), 1);
    }
    if is_full() {
        let seconds = |at: usize| median(times.iter().map(|pair| pair[at].as_secs_f64()).collect());
        println!(
            "restart: {:.3} s to the first lease, of it {:.3} s until it listens \
             (median of {rounds}, {tasks} live tasks; mark < 1 s)",
            seconds(1),
            seconds(0),
        );
    }
}
