//! Ten thousand workers, each on a connection of its own, while every core is busy with other work:
//! memory of the dispatcher, heartbeats, and whether anybody is given up who lives.
//!
//! Marks: under 2 GiB, every heartbeat acknowledged before the next is due, nobody lost, no task
//! leased twice.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proofgrid_benches::fleet::{ChildStation, Crew, HEARTBEAT, Requesters, serve_if_child};
use proofgrid_benches::{is_full, num_threads};
use tokio::runtime::Runtime;

const CALLERS: usize = 64;

/// Keeps every core busy until it is dropped.
struct Burner(Arc<AtomicBool>);

impl Burner {
    fn start() -> Self {
        let burns = Arc::new(AtomicBool::new(true));
        for _ in 0..num_threads() {
            let burns = Arc::clone(&burns);
            std::thread::spawn(move || {
                while burns.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(burns)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn main() {
    if serve_if_child() {
        return;
    }
    // Longer than the silence after which a worker is given up.
    let (workers, jobs, span) =
        if is_full() { (10_000, 2_000, Duration::from_secs(60)) } else { (8, 16, Duration::ZERO) };
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let child = ChildStation::start(directory.path(), workers);
    let mut requesters = runtime.block_on(Requesters::connect(child.url()));
    let begun = Instant::now();
    let mut crew = runtime.block_on(Crew::connect(child.url(), workers, &requesters));
    let connected = begun.elapsed();
    let burner = Burner::start();
    let begun = Instant::now();
    let mut proved = 0_usize;
    loop {
        let requests = requesters.sign(jobs);
        runtime.block_on(async {
            tokio::join!(requesters.submit(requests, CALLERS), async {
                for _ in 0..jobs {
                    assert_eq!(crew.accepted().await.attempt, 1, "a living worker was given up");
                }
            })
        });
        proved += jobs;
        if begun.elapsed() >= span {
            break;
        }
    }
    drop(burner);
    let pulse = crew.pulse();
    assert_eq!(pulse.lost.load(Ordering::Relaxed), 0, "a living worker was disconnected");
    let slowest = Duration::from_micros(pulse.slowest_us.load(Ordering::Relaxed));
    assert!(slowest < HEARTBEAT || !is_full(), "a heartbeat took {slowest:?}");
    if is_full() {
        println!(
            "crowd: {workers} workers connected in {:.1} s; in {:.0} s under full load {proved} jobs, \
             {} heartbeats, the slowest acknowledged after {:.0} ms, nobody lost; \
             the dispatcher held {} at most (marks: < 2 GiB, < {} ms)",
            connected.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
            pulse.beats.load(Ordering::Relaxed),
            slowest.as_secs_f64() * 1e3,
            child.peak_memory(),
            HEARTBEAT.as_millis(),
        );
    }
}
