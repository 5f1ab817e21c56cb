//! The administrator's calls, and everybody else's tries.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{AdminSubject, Nonce, TaskId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::CancelReason;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::{AdminCall, ProverOrder};
use proofgrid_proto::v1;
use support::prover::{Peer, lease_of};
use support::{HOME, Running, config, network, now, provable, reason, start, start_with, wallet};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

/// The administrator of the test's settings.
fn administrator() -> WalletKey {
    wallet(8)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// A nonce above all that were made before and the floor of a dispatcher that runs already: as far
/// ahead as a clock may be, a millisecond from now.
fn nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let begun = now_ms();
    loop {
        let at = now_ms();
        let nonce = at + proofgrid_dispatcher::limits::ADMIN_NONCE_AHEAD_MS_MAX;
        if at > begun && LAST.fetch_max(nonce, Ordering::SeqCst) < nonce {
            return nonce;
        }
        std::hint::spin_loop();
    }
}

fn authority(key: &WalletKey, call: AdminCall, nonce: u64) -> Option<v1::AdminAuthority> {
    let expires = UnixSeconds::new(now() + 60);
    let request = Request::AdminCall {
        action: call.action().to_owned(),
        subject: call.subject(),
        nonce: Nonce::new(nonce),
        expires,
    };
    let message = WalletMessage::Request { network: network(HOME), request };
    Some(v1::AdminAuthority {
        nonce,
        expires_unix_s: expires.get(),
        signature: key.sign(&message).to_bytes().to_vec(),
    })
}

fn signed(call: AdminCall) -> Option<v1::AdminAuthority> {
    authority(&administrator(), call, nonce())
}

async fn nodes(running: &Running) -> Vec<v1::Node> {
    let authority = signed(AdminCall::ListNodes);
    let listed = running.admin().list_nodes(v1::ListNodesRequest { authority }).await;
    listed.unwrap().into_inner().nodes
}

async fn queue(running: &Running) -> v1::GetQueueResponse {
    let authority = signed(AdminCall::GetQueue);
    let queue = running.admin().get_queue(v1::GetQueueRequest { authority }).await;
    queue.unwrap().into_inner()
}

fn drain(key: &WalletKey, prover: &WalletKey, drain: v1::Drain) -> v1::DrainNodeRequest {
    let operator = prover.address();
    let call = match drain {
        v1::Drain::Start => AdminCall::Drain(operator),
        _ => AdminCall::Undrain(operator),
    };
    v1::DrainNodeRequest {
        authority: authority(key, call, nonce()),
        operator: operator.as_bytes().to_vec(),
        drain: drain.into(),
    }
}

fn requeue(key: &WalletKey, task: TaskId) -> v1::RequeueTaskRequest {
    let call = AdminCall::Requeue(AdminSubject::from_bytes(*task.as_bytes()));
    let task_id = task.as_bytes().to_vec();
    v1::RequeueTaskRequest { authority: authority(key, call, nonce()), task_id }
}

/// Waits until the planner has cut a job.
async fn planned(running: &Running, job: &JobSpec) {
    let request = v1::WatchJobRequest { job_id: job.id().as_bytes().to_vec(), from_sequence: 0 };
    let mut events = running.jobs().watch_job(request).await.unwrap().into_inner();
    while let Some(event) = events.next().await {
        if event.unwrap().event.unwrap().text.starts_with("cut into") {
            return;
        }
    }
    panic!("the job was not planned");
}

fn is(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status)), (code, why), "{}", status.message());
}

#[tokio::test]
async fn a_drained_prover_keeps_its_work_gets_no_more_and_takes_part_again() {
    let running = start().await;
    let key = wallet(5);
    let mut prover = Peer::log_in(&running, &key).await;
    prover.register(Vec::new()).await;
    let (input, first) = provable(&wallet(1), 1);
    running.submit_with_input(&wallet(1), &first, &input).await;
    let lease = lease_of(&*prover.assigned().await);
    let listed = nodes(&running).await;
    let [node] = listed.as_slice() else { panic!("one prover is connected: {listed:?}") };
    assert_eq!(node.operator, key.address().as_bytes());
    assert_eq!((node.role(), node.name.as_str()), (v1::Role::Prover, "rig"));
    assert_eq!((node.slots, node.leases, node.draining), (2, 1, false));

    let start_drain = drain(&administrator(), &key, v1::Drain::Start);
    let drained = running.admin().drain_node(start_drain).await.unwrap().into_inner();
    assert_eq!(drained.leases, 1, "what runs may finish");
    assert!(matches!(prover.next().await.unwrap(), ProverOrder::Drain { .. }));
    assert!(nodes(&running).await[0].draining);
    let (input, second) = provable(&wallet(1), 2);
    running.submit_with_input(&wallet(1), &second, &input).await;
    planned(&running, &second).await;
    let waiting = queue(&running).await;
    let [task] = waiting.tasks.as_slice() else { panic!("one task waits: {waiting:?}") };
    assert_eq!((waiting.total, task.job_id.as_slice()), (1, second.id().as_bytes().as_slice()));
    assert!(!task.reason.is_empty() && task.work_units > 0, "{task:?}");

    let taken = running.admin().requeue_task(requeue(&administrator(), lease.task)).await;
    assert_eq!(taken.unwrap().into_inner().state(), v1::TaskState::Queued);
    let cancelled = prover.next().await.unwrap();
    let ProverOrder::Cancel { task, attempt, reason: CancelReason::Requeued } = cancelled else {
        panic!("expected the lease to end, got {cancelled:?}");
    };
    assert_eq!((task, attempt), (lease.task, lease.attempt));
    assert_eq!(queue(&running).await.total, 2);

    let stop_drain = drain(&administrator(), &key, v1::Drain::Stop);
    running.admin().drain_node(stop_drain).await.unwrap();
    let both = [lease_of(&*prover.assigned().await), lease_of(&*prover.assigned().await)];
    assert!(both.iter().any(|again| again.task == lease.task && again.token > lease.token));
    running.stop().await;
}

#[tokio::test]
async fn the_counters_count() {
    let running = start().await;
    let mut prover = Peer::log_in(&running, &wallet(5)).await;
    prover.register(Vec::new()).await;
    let (input, job) = provable(&wallet(1), 1);
    running.submit_with_input(&wallet(1), &job, &input).await;
    prover.assigned().await;
    let request = v1::GetStatsRequest { authority: signed(AdminCall::GetStats) };
    let stats = running.admin().get_stats(request).await.unwrap().into_inner();
    let [jobs] = stats.jobs.as_slice() else { panic!("jobs in one state: {stats:?}") };
    assert_eq!((jobs.state(), jobs.count), (v1::JobState::Proving, 1));
    assert_eq!((stats.provers, stats.verifiers, stats.oracles, stats.epoch), (1, 0, 0, 0));
    assert!(stats.inputs > 0 && stats.flushes > 0 && stats.records >= stats.flushes, "{stats:?}");
    running.stop().await;
}

#[tokio::test]
async fn whoever_is_no_administrator_or_does_not_sign_changes_and_learns_nothing() {
    let running = start().await;
    let (stranger, key) = (wallet(7), wallet(5));
    let mut prover = Peer::log_in(&running, &key).await;
    prover.register(Vec::new()).await;
    let mut admin = running.admin();
    let task = TaskId::from_bytes([1; 32]);
    let by = |call| authority(&stranger, call, nonce());
    let refused = [
        admin
            .list_nodes(v1::ListNodesRequest { authority: by(AdminCall::ListNodes) })
            .await
            .unwrap_err(),
        admin
            .get_queue(v1::GetQueueRequest { authority: by(AdminCall::GetQueue) })
            .await
            .unwrap_err(),
        admin
            .get_stats(v1::GetStatsRequest { authority: by(AdminCall::GetStats) })
            .await
            .unwrap_err(),
        admin.drain_node(drain(&stranger, &key, v1::Drain::Start)).await.unwrap_err(),
        admin.requeue_task(requeue(&stranger, task)).await.unwrap_err(),
    ];
    for status in &refused {
        is(status, Code::PermissionDenied, "REFUSAL_REASON_NOT_ALLOWED");
    }
    // Signed for one call, sent as another.
    let mut other = drain(&administrator(), &key, v1::Drain::Start);
    other.authority = signed(AdminCall::Undrain(key.address()));
    let status = admin.drain_node(other).await.unwrap_err();
    is(&status, Code::PermissionDenied, "REFUSAL_REASON_NOT_ALLOWED");
    let status = admin.get_stats(v1::GetStatsRequest { authority: None }).await.unwrap_err();
    is(&status, Code::InvalidArgument, "REFUSAL_REASON_MALFORMED");
    assert!(!nodes(&running).await[0].draining);
    running.stop().await;

    let running =
        start_with(proofgrid_dispatcher::DispatcherConfig { administrators: None, ..config() })
            .await;
    let request = v1::GetStatsRequest { authority: signed(AdminCall::GetStats) };
    let status = running.admin().get_stats(request).await.unwrap_err();
    is(&status, Code::PermissionDenied, "REFUSAL_REASON_NOT_ALLOWED");
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_steered() {
    let running = start().await;
    let unknown = drain(&administrator(), &wallet(5), v1::Drain::Start);
    let status = running.admin().drain_node(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let task = TaskId::from_bytes([1; 32]);
    let status = running.admin().requeue_task(requeue(&administrator(), task)).await.unwrap_err();
    is(&status, Code::NotFound, "REFUSAL_REASON_UNKNOWN_TASK");
    running.stop().await;
}

#[tokio::test]
async fn a_captured_call_counts_once_also_over_a_restart() {
    let running = start().await;
    let captured = v1::GetStatsRequest { authority: signed(AdminCall::GetStats) };
    running.admin().get_stats(captured.clone()).await.unwrap();
    let status = running.admin().get_stats(captured.clone()).await.unwrap_err();
    is(&status, Code::AlreadyExists, "REFUSAL_REASON_NONCE_USED");

    let running = running.restart().await;
    let status = running.admin().get_stats(captured).await.unwrap_err();
    is(&status, Code::AlreadyExists, "REFUSAL_REASON_NONCE_USED");
    let fresh = v1::GetStatsRequest { authority: signed(AdminCall::GetStats) };
    running.admin().get_stats(fresh).await.unwrap();
    running.stop().await;
}
