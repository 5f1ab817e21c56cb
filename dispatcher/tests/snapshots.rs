//! A dispatcher whose journal is compacted while it serves, from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::path::Path;

use proofgrid_core::job::JobSpec;
use proofgrid_dispatcher::config::{DispatcherConfig, SnapshotConfig};
use proofgrid_dispatcher::{DispatcherError, SnapshotError};
use proofgrid_proto::v1;
use support::{HOME, Running, config, launch, now, spec, start_with, submit, wallet};
use tempfile::TempDir;
use tokio_stream::StreamExt;

/// Jobs by which the journal must have been compacted twice: far more than it takes.
const JOBS_MAX: u64 = 4_000;

fn settings(directory: &Path) -> DispatcherConfig {
    let directory = Some(directory.to_path_buf());
    DispatcherConfig { snapshots: SnapshotConfig { directory, every_records: 3 }, ..config() }
}

async fn submitted(running: &Running, job: &JobSpec) -> v1::SubmitJobResponse {
    let request = submit(&wallet(1), job, HOME, now() + 60);
    running.jobs().submit_job(request).await.unwrap().into_inner()
}

async fn first_event(running: &Running, job: &JobSpec) -> v1::JobEvent {
    let request = v1::WatchJobRequest { job_id: job.id().as_bytes().to_vec(), from_sequence: 0 };
    let mut events = running.jobs().watch_job(request).await.unwrap().into_inner();
    events.next().await.unwrap().unwrap().event.unwrap()
}

#[tokio::test]
async fn a_restart_from_a_snapshot_knows_what_the_journal_has_no_more() {
    let snapshots = TempDir::new().unwrap();
    let mut running = start_with(settings(snapshots.path())).await;
    let template = spec(&wallet(1), 0, b"input");
    let mut jobs = Vec::new();
    for nonce in 1..=JOBS_MAX {
        let job = JobSpec { nonce: proofgrid_core::ids::Nonce::new(nonce), ..template.clone() };
        assert!(submitted(&running, &job).await.created);
        jobs.push(job);
        if running.journal.first_sequence().get() > 1 {
            break;
        }
    }
    assert!(running.journal.first_sequence().get() > 1, "its beginning is gone");
    let first = &jobs[0];
    let before = (running.job(first).await, first_event(&running, first).await);
    assert_eq!((before.1.sequence, before.1.text.as_str()), (0, "submitted"));

    running = running.restart_with(settings(snapshots.path())).await;
    let after = (running.job(first).await, first_event(&running, first).await);
    assert_eq!(before, after);
    for job in &jobs {
        assert!(!submitted(&running, job).await.created, "it is known");
    }
    let journal = running.journal.clone();
    running.stop().await;

    // The journal alone, or with somebody else's snapshots, is not enough.
    let (blobs, others) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let alone = launch(config(), journal.clone(), blobs.path()).await.unwrap_err();
    assert!(matches!(alone, DispatcherError::Journal(_)), "{alone}");
    let apart = launch(settings(others.path()), journal, blobs.path()).await.unwrap_err();
    assert!(matches!(apart, DispatcherError::Snapshot(SnapshotError::Gap { .. })), "{apart}");
}
