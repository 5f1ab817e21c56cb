//! What a hostile network can do to a dispatcher: floods, silence, streams without an end, messages
//! just over every cap, replays, names that are paths. Each is refused with a reason, costs a bounded
//! number of descriptors and bytes, and an honest client is served in the middle of it.
//!
//! `PROOFGRID_FLOOD` (a number, 1 unless set) multiplies the sizes; `make floods` runs with 30.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "floods/connections.rs"]
mod connections;
#[path = "floods/messages.rs"]
mod messages;
#[path = "floods/replays.rs"]
mod replays;
#[allow(dead_code, reason = "each test file uses its part")]
mod support;
#[path = "floods/workers.rs"]
mod workers;

use std::time::Duration;

use proofgrid_dispatcher::config::DispatcherConfig;
use support::{HOME, Running, config, now, spec, start_with, submit, wallet};
use tokio::sync::{Mutex, MutexGuard};

/// Connections that a flood may hold, and the honest client's one.
const CONNECTIONS_MAX: usize = 40;
/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(120);
/// Growth of this process, attacker and dispatcher together, that a flood may leave behind.
const LEFT_KIB_MAX: u64 = 192 << 10;
/// Descriptors that may come and go beside a flood: the journal, blobs, the runtime.
const LEFT_FILES_MAX: usize = 16;

/// How often the sizes of the push are multiplied.
fn scale() -> usize {
    std::env::var("PROOFGRID_FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Floods measure the whole process, so they take turns.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn flooded() -> DispatcherConfig {
    DispatcherConfig {
        connections_max: CONNECTIONS_MAX,
        connections_per_ip_max: CONNECTIONS_MAX,
        ..config()
    }
}

/// Memory and descriptors of this process.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    kib: u64,
    files: usize,
}

fn footprint() -> Footprint {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = kib.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
    Footprint { kib, files: std::fs::read_dir("/proc/self/fd").unwrap().count() }
}

/// Waits until the descriptors are back, then holds the memory against its bound.
async fn is_over(before: Footprint) {
    let gone = async {
        while footprint().files > before.files + LEFT_FILES_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, gone).await;
    let after = footprint();
    assert!(waited.is_ok(), "descriptors stay: {before:?}, then {after:?}");
    assert!(after.kib < before.kib + LEFT_KIB_MAX, "memory stays: {before:?}, then {after:?}");
}

/// An honest requester submits, on the connection that it had before.
async fn serves(running: &Running) {
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    let request = submit(&key, &job, HOME, now() + 60);
    let answer = running.jobs().submit_job(request).await.unwrap().into_inner();
    assert_eq!(answer.job_id, job.id().as_bytes());
}

/// A dispatcher with an honest client, and what the process takes before the flood.
async fn before_the_flood() -> (Running, Footprint) {
    let running = start_with(flooded()).await;
    serves(&running).await;
    (running, footprint())
}
