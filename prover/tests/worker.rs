//! The worker against a scripted dispatcher: real gRPC, real proofs, real disk.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[allow(dead_code, reason = "shared with the other test binaries, which use the rest")]
mod support;

use std::sync::atomic::Ordering;

use proofgrid_core::ids::{Address, Attempt, LeaseToken, Nonce, TaskId};
use proofgrid_core::job::TaskKind;
use proofgrid_core::network::{Assignment, CancelReason, TaskFault};
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_proofs::program::{Binding, Registry, SegmentRange};
use proofgrid_proto::convert::{CompletionReply, ProverMessage, ProverOrder};
use proofgrid_prover::config::SLOTS_MAX;
use support::program::{Behaviour, NAME, registry};
use support::{Dispatcher, Rig, SERVER, assignment, config, lease_of, soon, start, worker_key};

const INPUT: &[u8] = b"1 1 64";
const OTHER: &[u8] = b"2 3 64";

/// Checks an uploaded proof with the program's own verifier, under the assignment's binding.
fn check_proof(registry: &Registry, assignment: &Assignment, proof: &[u8]) {
    let program = registry.by_name(NAME).expect("fibonacci");
    let range = SegmentRange { index: 0, first: 0, count: 1 };
    let segment = program.plan_range(INPUT, &range).expect("a segment");
    let prover = worker_key().address();
    let binding = Binding::of_segment(assignment.job, program.id(), prover, &segment);
    program.verify(proof, &binding).expect("the proof verifies");
    let other = Binding { prover: Address::from_bytes([1; 20]), ..binding };
    program.verify(proof, &other).expect_err("bound to the prover's address");
}

/// The same task under a later lease.
fn again(task: &Assignment, attempt: u32, token: u64) -> Assignment {
    let mut again = task.clone();
    again.lease.attempt = Attempt::new(attempt);
    again.lease.token = LeaseToken::new(token);
    again
}

/// The worker still proves: a whole task from assignment to confirmation.
async fn still_works(rig: &mut Rig) {
    rig.switch.set(Behaviour::Prove);
    let next = rig.task(OTHER, 99);
    rig.peer.assign(&next).await;
    let (lease, report) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&next));
    assert_eq!(rig.dispatcher.blob(&report.proof).len() as u64, report.bytes.get());
    rig.peer.answer(lease, CompletionReply::Received).await;
}

#[tokio::test]
async fn a_task_is_proved_checked_uploaded_and_confirmed() {
    let mut rig = Rig::start().await;
    assert_eq!(rig.peer.capabilities.slots, 1);
    assert_eq!(rig.peer.capabilities.programs.len(), 1);
    assert!(rig.peer.holding.is_empty());

    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    let (lease, report) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    check_proof(&rig.programs, &task, &rig.dispatcher.blob(&report.proof));
    rig.until_status(|status| status.held == 1 && status.tasks.is_empty()).await;

    rig.peer.answer(lease, CompletionReply::Received).await;
    rig.until_status(|status| status.held == 0 && status.delivered == 1).await;
    let left = std::fs::read_dir(rig.dir.path().join("proofs")).expect("a folder").count();
    assert_eq!(left, 0, "a confirmed proof is not kept");

    // The same input again comes from disk.
    let again = again(&task, 1, 6);
    rig.peer.assign(&again).await;
    rig.peer.complete().await;
    let downloads = rig.dispatcher.blobs.downloads.lock().expect("downloads").clone();
    assert_eq!(downloads.get(&again.spec.input), Some(&1));
    rig.shutdown.cancel();
    rig.peer.answer(lease_of(&again), CompletionReply::Received).await;
    soon("end", rig.handle.join()).await.expect("a clean end");
}

#[tokio::test]
async fn cancel_stops_the_proof_and_nothing_is_completed() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Endless, &task).await;

    let reason = CancelReason::JobOver;
    let (task, attempt) = (task.lease.task, task.lease.attempt);
    rig.peer.send(ProverOrder::Cancel { task, attempt, reason }).await;
    rig.until_status(|status| status.tasks.is_empty()).await;
    still_works(&mut rig).await;
    let about = |message: &ProverMessage| match message {
        ProverMessage::Complete { lease, .. } | ProverMessage::Fail { lease, .. } => {
            lease.task == task
        }
        _ => false,
    };
    assert!(!rig.peer.seen.iter().any(about), "nothing is said about a cancelled task");
}

#[tokio::test]
async fn a_cancel_of_an_older_attempt_changes_nothing() {
    let mut rig = Rig::start().await;
    let task = again(&rig.task(INPUT, 5), 3, 5);
    rig.begin(Behaviour::Wait, &task).await;
    let reason = CancelReason::StaleLease;
    let attempt = Attempt::new(2);
    rig.peer.send(ProverOrder::Cancel { task: task.lease.task, attempt, reason }).await;
    rig.switch.set(Behaviour::Prove);
    assert_eq!(rig.peer.complete().await.0, lease_of(&task));
}

#[tokio::test]
async fn a_task_that_comes_back_while_it_stops_is_proved_under_its_new_lease() {
    // With a second slot there is room for the new try before the old one has ended.
    let mut rig = Rig::with(|settings| settings.slots = 2).await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Stubborn, &task).await;
    let reason = CancelReason::Requeued;
    let (id, attempt) = (task.lease.task, task.lease.attempt);
    rig.peer.send(ProverOrder::Cancel { task: id, attempt, reason }).await;
    let next = again(&task, 2, 6);
    rig.peer.assign(&next).await;
    // Orders are taken in their order: once this one is refused, the assignment was taken.
    let mut wrong = rig.task(OTHER, 7);
    wrong.lease.task = TaskId::from_bytes([1; 32]);
    rig.peer.assign(&wrong).await;
    assert!(matches!(rig.fault().await, TaskFault::Unprovable(_)));
    rig.switch.set(Behaviour::Prove);
    let (lease, _) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&next));
    rig.peer.answer(lease, CompletionReply::Received).await;
    rig.until_status(|status| status.held == 0 && status.tasks.is_empty()).await;
    still_works(&mut rig).await;
}

#[tokio::test]
async fn a_panic_of_the_program_is_a_fault_and_the_worker_goes_on() {
    let mut rig = Rig::start().await;
    rig.switch.set(Behaviour::Panic);
    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    match rig.fault().await {
        TaskFault::Backend(text) => assert!(text.contains("left on the bus"), "{text}"),
        other => panic!("{other:?}"),
    }
    still_works(&mut rig).await;
}

#[tokio::test]
async fn a_proof_that_the_own_verifier_refuses_never_leaves() {
    let mut rig = Rig::start().await;
    rig.switch.set(Behaviour::Corrupt);
    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    assert!(matches!(rig.fault().await, TaskFault::SelfVerify(_)));
    assert_eq!(rig.handle.status().borrow().held, 0);
    assert_eq!(rig.dispatcher.blobs.bytes.lock().expect("blobs").len(), 1, "only the input");
}

#[tokio::test]
async fn a_reconnect_reports_what_is_held_and_nothing_is_proven_twice() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Wait, &task).await;

    // Cut while proving: the running lease is reported, and the proof goes on meanwhile.
    rig.reconnect().await;
    assert_eq!(rig.peer.holding, vec![lease_of(&task)]);
    rig.peer.registered(vec![lease_of(&task)]).await;
    rig.switch.set(Behaviour::Prove);
    let (_, first) = rig.peer.complete().await;

    // Cut before the answer: the finished proof is reported and offered again.
    rig.reconnect().await;
    assert_eq!(rig.peer.holding, vec![lease_of(&task)]);
    rig.peer.registered(vec![lease_of(&task)]).await;
    let (lease, second) = rig.peer.complete().await;
    assert_eq!((lease, second), (lease_of(&task), first));

    // Assigned again under a new lease: offered under it, not proven.
    let again = again(&task, 2, 8);
    rig.peer.assign(&again).await;
    let (lease, third) = rig.peer.complete().await;
    assert_eq!((lease, third), (lease_of(&again), first));
    assert_eq!(rig.switch.num_proofs(), 1);
    rig.peer.answer(lease, CompletionReply::AlreadyDone).await;
    rig.until_status(|status| status.held == 0).await;
}

#[tokio::test]
async fn a_finished_proof_survives_a_restart_of_the_worker() {
    let mut rig = Rig::with(|settings| settings.drain_timeout_ms = 0).await;
    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    let (_, first) = rig.peer.complete().await;
    rig.shutdown.cancel();

    let mut rig = rig.restarted().await;
    assert_eq!(rig.peer.holding, vec![lease_of(&task)]);
    // The dispatcher no longer knows the lease: a late completion is offered all the same.
    rig.peer.registered(vec![]).await;
    let (lease, second) = rig.peer.complete().await;
    assert_eq!((lease, second), (lease_of(&task), first));
    assert_eq!(rig.switch.num_proofs(), 1);
    rig.peer.answer(lease, CompletionReply::Received).await;
    rig.until_status(|status| status.held == 0).await;
}

#[tokio::test]
async fn a_proof_without_an_answer_is_offered_again_in_the_same_session() {
    let mut rig = Rig::with(|settings| settings.offer_again_ms = 10).await;
    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    let first = rig.peer.complete().await;
    assert_eq!(rig.peer.complete().await, first, "it is held until it is answered");
    rig.peer.answer(first.0, CompletionReply::Received).await;
    rig.until_status(|status| status.held == 0 && status.delivered == 1).await;
    assert_eq!(rig.switch.num_proofs(), 1);
}

#[tokio::test]
async fn a_proof_whose_upload_is_refused_is_uploaded_again_in_the_same_session() {
    let mut rig = Rig::with(|settings| settings.offer_again_ms = 10).await;
    let task = rig.task(INPUT, 5);
    rig.dispatcher.blobs.refuse_uploads.store(3, Ordering::SeqCst);
    rig.peer.assign(&task).await;
    let (lease, report) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    check_proof(&rig.programs, &task, &rig.dispatcher.blob(&report.proof));
    assert_eq!(rig.dispatcher.blobs.refuse_uploads.load(Ordering::SeqCst), 0);
    assert_eq!(rig.switch.num_proofs(), 1);
}

#[tokio::test]
async fn a_refused_proof_is_dropped_counted_and_made_anew_if_it_is_asked_for() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.peer.assign(&task).await;
    let (lease, _) = rig.peer.complete().await;
    rig.peer.answer(lease, CompletionReply::Refused("claim: differs".into())).await;
    rig.until_status(|status| status.held == 0 && status.refused == 1).await;
    let next = again(&task, 2, 6);
    rig.peer.assign(&next).await;
    let (lease, _) = rig.peer.complete().await;
    assert_eq!((lease, rig.switch.num_proofs()), (lease_of(&next), 2));
    // A judgement of the earlier try that comes late is not about this proof.
    rig.peer.answer(lease_of(&task), CompletionReply::Unjudged("killed".into())).await;
    rig.reconnect().await;
    assert_eq!(rig.peer.holding, vec![lease]);
}

#[tokio::test]
async fn a_drain_without_an_answer_leaves_the_proof_to_the_next_start() {
    let mut rig = Rig::with(|settings| settings.offer_again_ms = 10).await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Wait, &task).await;
    rig.shutdown.cancel();
    rig.switch.set(Behaviour::Prove);
    let (_, first) = rig.peer.complete().await;

    let mut rig = rig.restarted().await;
    assert_eq!(rig.peer.holding, vec![lease_of(&task)]);
    rig.peer.registered(vec![]).await;
    assert_eq!(rig.peer.complete().await, (lease_of(&task), first));
    assert_eq!(rig.switch.num_proofs(), 1);
}

#[tokio::test]
async fn a_task_above_the_memory_is_refused_and_the_worker_lives() {
    let small = assignment(&registry().0, NAME, OTHER, 1);
    let memory = small.segment.memory_bytes.get() + 1024;
    let mut rig = Rig::with(|settings| settings.memory_bytes_max = memory).await;
    assert_eq!(rig.peer.capabilities.memory_bytes.get(), memory);
    let large = rig.task(b"1 1 1048576", 5);
    rig.peer.assign(&large).await;
    match rig.fault().await {
        TaskFault::OutOfMemory(text) => assert!(text.contains("memory_bytes_max"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.switch.num_proofs(), 0);
    still_works(&mut rig).await;
}

#[tokio::test]
async fn an_understated_task_is_refused_before_it_takes_the_memory() {
    let mut rig = Rig::start().await;
    let mut task = rig.task(INPUT, 5);
    task.segment.memory_bytes = ByteCount::new(1);
    rig.peer.assign(&task).await;
    assert!(matches!(rig.fault().await, TaskFault::OutOfMemory(_)));
    assert_eq!(rig.switch.num_proofs(), 0);
}

#[tokio::test]
async fn assignments_beyond_every_bound_are_given_back_and_not_kept() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Stubborn, &task).await;
    let reason = CancelReason::Requeued;
    let (id, attempt) = (task.lease.task, task.lease.attempt);
    rig.peer.send(ProverOrder::Cancel { task: id, attempt, reason }).await;
    // While the only slot is stopping, assignments wait for it; but not any number of them.
    for number in 0..=u64::from(SLOTS_MAX) {
        let mut more = rig.task(INPUT, 100 + number);
        more.spec.nonce = Nonce::new(100 + number);
        more.job = more.spec.id();
        more.lease.task = TaskId::derive(&more.job, TaskKind::Segment, 0);
        rig.peer.assign(&more).await;
    }
    match rig.fault().await {
        TaskFault::OutOfMemory(text) => assert!(text.contains("64 tasks wait"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn other_bytes_under_the_inputs_digest_are_refused() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    let blobs = std::sync::Arc::clone(&rig.dispatcher.blobs);
    let same_length = INPUT.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>();
    for (bytes, says) in [(same_length, "another digest"), (b"1 1 64 ".to_vec(), "should have")] {
        blobs.bytes.lock().expect("blobs").insert(task.spec.input, bytes);
        rig.peer.assign(&task).await;
        match rig.fault().await {
            TaskFault::InputUnavailable(text) => assert!(text.contains(says), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    blobs.bytes.lock().expect("blobs").remove(&task.spec.input);
    rig.peer.assign(&task).await;
    assert!(matches!(rig.fault().await, TaskFault::InputUnavailable(_)), "missing");
    assert_eq!(rig.switch.num_proofs(), 0);
}

#[tokio::test]
async fn an_input_of_another_claim_or_a_false_plan_is_unprovable() {
    let mut rig = Rig::start().await;
    let mut claim = rig.task(INPUT, 5);
    claim.spec.claim = rig.task(OTHER, 5).spec.claim;
    claim.job = claim.spec.id();
    claim.lease.task = TaskId::derive(&claim.job, TaskKind::Segment, 0);
    let mut work = rig.task(INPUT, 6);
    work.segment.work_units = WorkUnits::new(1);
    let mut range = rig.task(INPUT, 7);
    range.segment.count = 2;
    let mut task = rig.task(INPUT, 8);
    task.lease.task = TaskId::from_bytes([1; 32]);
    for (name, wrong) in [("claim", claim), ("work", work), ("range", range), ("task", task)] {
        rig.peer.assign(&wrong).await;
        assert!(matches!(rig.fault().await, TaskFault::Unprovable(_)), "{name}");
    }
    assert_eq!(rig.switch.num_proofs(), 0);
}

#[tokio::test]
async fn drain_finishes_the_task_and_takes_no_other() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Wait, &task).await;

    rig.shutdown.cancel();
    rig.peer.until(|message| matches!(message, ProverMessage::Drain).then_some(())).await;
    let other = rig.task(OTHER, 6);
    rig.peer.assign(&other).await;
    assert_eq!(rig.fault().await, TaskFault::Draining);
    rig.switch.set(Behaviour::Prove);
    let (lease, _) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    rig.peer.answer(lease, CompletionReply::Received).await;
    soon("end", rig.handle.join()).await.expect("a clean end");
    assert!(rig.peer.next().await.is_none(), "the stream is closed in good order");
}

#[tokio::test]
async fn a_prover_that_an_administrator_drains_finishes_stays_and_works_when_it_is_taken_back() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Wait, &task).await;
    rig.peer.send(ProverOrder::Drain { text: "a test".into() }).await;
    rig.switch.set(Behaviour::Prove);
    let (lease, _) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    rig.peer.answer(lease, CompletionReply::Received).await;
    rig.until_status(|status| status.delivered == 1 && status.held == 0).await;
    assert!(rig.handle.status().borrow().registered, "idle, on the same session");
    // The dispatcher assigns only after it was taken back.
    still_works(&mut rig).await;
    let leaves = |message: &ProverMessage| {
        matches!(message, ProverMessage::Drain | ProverMessage::Fail { .. })
    };
    assert!(!rig.peer.seen.iter().any(leaves), "{:?}", rig.peer.seen);
    // Its own shutdown ends it, drained or not.
    rig.shutdown.cancel();
    soon("end", rig.handle.join()).await.expect("a clean end");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_stops_the_task_and_says_so() {
    let mut rig = Rig::with(|settings| settings.drain_timeout_ms = 20).await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Endless, &task).await;
    rig.shutdown.cancel();
    assert_eq!(rig.fault().await, TaskFault::Draining);
    soon("end", rig.handle.join()).await.expect("a clean end");
}

#[tokio::test]
async fn work_without_a_lease_gives_way_when_its_slot_is_needed() {
    let mut rig = Rig::start().await;
    let task = rig.task(INPUT, 5);
    rig.begin(Behaviour::Endless, &task).await;

    rig.reconnect().await;
    rig.peer.registered(vec![]).await;
    rig.until_status(|status| status.registered && status.tasks.len() == 1).await;
    // The running proof has read its behaviour; the next one is a real proof.
    still_works(&mut rig).await;
}

#[tokio::test]
async fn nothing_is_signed_for_another_dispatcher_or_network() {
    let mut impostor = Dispatcher::start_as(Address::from_bytes([8; 20]), 5_000).await;
    let mut stranger = Dispatcher::start().await;
    let mut elsewhere = config(&stranger.url, tempfile::tempdir().expect("a directory").path());
    elsewhere.home_chain_id += 1;
    let dir = tempfile::tempdir().expect("a directory");
    let here = config(&impostor.url, dir.path());
    for (settings, dispatcher) in [(here, &mut impostor), (elsewhere, &mut stranger)] {
        let (handle, shutdown) = start(settings, registry().0);
        dispatcher.hangup().await;
        assert!(!handle.status().borrow().registered);
        shutdown.cancel();
        soon("end", handle.join()).await.expect("a clean end");
    }
}

#[test]
fn heartbeats_go_on_while_the_workers_runtime_is_stuck() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = runtime();
    let mut dispatcher = server.block_on(Dispatcher::start_as(SERVER, 10));
    let dir = tempfile::tempdir().expect("a directory");
    let settings = config(&dispatcher.url, dir.path());
    let (unstick, stuck) = std::sync::mpsc::channel::<()>();
    let worker = std::thread::spawn(move || {
        let main = runtime();
        main.block_on(async {
            let (handle, shutdown) = start(settings, registry().0);
            let mut status = handle.status();
            let registered = status.wait_for(|status| status.registered);
            soon("registration", registered).await.expect("the worker runs");
            // From here the runtime's only thread does nothing else.
            stuck.recv().expect("the test goes on");
            shutdown.cancel();
            soon("end", handle.join()).await.expect("a clean end");
        });
    });
    server.block_on(async {
        let mut peer = dispatcher.welcome().await;
        for expected in 1..=5 {
            let sequence = peer
                .until(|message| match message {
                    ProverMessage::Heartbeat { sequence, .. } => Some(*sequence),
                    _ => None,
                })
                .await;
            assert_eq!(sequence, expected);
        }
        unstick.send(()).expect("the worker waits");
        while peer.next().await.is_some() {}
    });
    worker.join().expect("a clean end");
}
