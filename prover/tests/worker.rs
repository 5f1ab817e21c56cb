//! The worker against a scripted dispatcher: real gRPC, real proofs, real disk.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

mod support;

use proofgrid_core::ids::{Address, Attempt, LeaseToken};
use proofgrid_core::network::{Assignment, CancelReason, TaskFault};
use proofgrid_proofs::program::{Binding, Registry, SegmentRange};
use proofgrid_proto::convert::{CompletionReply, ProverMessage, ProverOrder};
use proofgrid_prover::Handle;
use support::program::{Behaviour, NAME, STARTED, registry, registry_of};
use support::{Dispatcher, Peer, SERVER, assignment, config, lease_of, soon, start, worker_key};

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

async fn until_status(handle: &Handle, done: impl FnMut(&proofgrid_prover::ProverStatus) -> bool) {
    let mut status = handle.status();
    soon("status", status.wait_for(done)).await.expect("the worker runs");
}

async fn fault(peer: &mut Peer) -> TaskFault {
    peer.until(|message| match message {
        ProverMessage::Fail { fault, .. } => Some(fault.clone()),
        ProverMessage::Complete { .. } => panic!("completed"),
        _ => None,
    })
    .await
}

/// The worker still proves: a whole task from assignment to confirmation.
async fn still_works(dispatcher: &Dispatcher, peer: &mut Peer, registry: &Registry) {
    let next = assignment(registry, NAME, OTHER, 99);
    dispatcher.store(OTHER);
    peer.assign(&next).await;
    let (lease, report) = peer.complete().await;
    assert_eq!(lease, lease_of(&next));
    assert_eq!(dispatcher.blob(&report.proof).len() as u64, report.bytes.get());
    peer.answer(lease, CompletionReply::Received).await;
}

#[tokio::test]
async fn a_task_is_proved_checked_uploaded_and_confirmed() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    assert_eq!(peer.capabilities.slots, 1);
    assert_eq!(peer.capabilities.programs.len(), 1);
    assert!(peer.holding.is_empty());

    let programs = registry_of(&switch);
    let task = assignment(&programs, NAME, INPUT, 5);
    dispatcher.store(INPUT);
    peer.assign(&task).await;
    let (lease, report) = peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    check_proof(&programs, &task, &dispatcher.blob(&report.proof));
    until_status(&handle, |status| status.held == 1 && status.tasks.is_empty()).await;

    peer.answer(lease, CompletionReply::Received).await;
    until_status(&handle, |status| status.held == 0 && status.delivered == 1).await;
    let left = std::fs::read_dir(dir.path().join("proofs")).expect("a folder").count();
    assert_eq!(left, 0, "a confirmed proof is not kept");

    // The same input again comes from disk.
    let again = Assignment {
        lease: proofgrid_core::network::Lease { token: LeaseToken::new(6), ..task.lease },
        ..task
    };
    peer.assign(&again).await;
    peer.complete().await;
    let downloads = dispatcher.blobs.downloads.lock().expect("downloads").clone();
    assert_eq!(downloads.get(&again.spec.input), Some(&1));
    shutdown.cancel();
    peer.answer(lease_of(&again), CompletionReply::Received).await;
    soon("end", handle.join()).await.expect("a clean end");
}

#[tokio::test]
async fn cancel_stops_the_proof_and_nothing_is_completed() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    let task = assignment(&programs, NAME, INPUT, 5);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Endless);
    peer.assign(&task).await;
    peer.phase(STARTED.name()).await;

    let reason = CancelReason::JobOver;
    let (task, attempt) = (task.lease.task, task.lease.attempt);
    peer.send(ProverOrder::Cancel { task, attempt, reason }).await;
    until_status(&handle, |status| status.tasks.is_empty()).await;
    switch.set(Behaviour::Prove);
    still_works(&dispatcher, &mut peer, &programs).await;
    let about = |message: &ProverMessage| match message {
        ProverMessage::Complete { lease, .. } | ProverMessage::Fail { lease, .. } => {
            lease.task == task
        }
        _ => false,
    };
    assert!(!peer.seen.iter().any(about), "nothing is said about a cancelled task");
}

#[tokio::test]
async fn a_cancel_of_an_older_attempt_changes_nothing() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (_handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let mut task = assignment(&registry_of(&switch), NAME, INPUT, 5);
    task.lease.attempt = Attempt::new(3);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Wait);
    peer.assign(&task).await;
    peer.phase(STARTED.name()).await;
    let reason = CancelReason::StaleLease;
    let attempt = Attempt::new(2);
    peer.send(ProverOrder::Cancel { task: task.lease.task, attempt, reason }).await;
    switch.set(Behaviour::Prove);
    assert_eq!(peer.complete().await.0, lease_of(&task));
}

#[tokio::test]
async fn a_panic_of_the_program_is_a_fault_and_the_worker_goes_on() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (_handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Panic);
    peer.assign(&assignment(&programs, NAME, INPUT, 5)).await;
    match fault(&mut peer).await {
        TaskFault::Backend(text) => assert!(text.contains("left on the bus"), "{text}"),
        other => panic!("{other:?}"),
    }
    switch.set(Behaviour::Prove);
    still_works(&dispatcher, &mut peer, &programs).await;
}

#[tokio::test]
async fn a_proof_that_the_own_verifier_refuses_never_leaves() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    dispatcher.store(INPUT);
    switch.set(Behaviour::Corrupt);
    peer.assign(&assignment(&registry_of(&switch), NAME, INPUT, 5)).await;
    assert!(matches!(fault(&mut peer).await, TaskFault::SelfVerify(_)));
    assert_eq!(handle.status().borrow().held, 0);
    assert_eq!(dispatcher.blobs.bytes.lock().expect("blobs").len(), 1, "only the input");
}

#[tokio::test]
async fn a_reconnect_reports_what_is_held_and_nothing_is_proven_twice() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let task = assignment(&registry_of(&switch), NAME, INPUT, 5);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Wait);
    peer.assign(&task).await;
    peer.phase(STARTED.name()).await;

    // Cut while proving: the running lease is reported, and the proof goes on meanwhile.
    drop(peer);
    let mut peer = dispatcher.welcome().await;
    assert_eq!(peer.holding, vec![lease_of(&task)]);
    switch.set(Behaviour::Prove);
    let (_, first) = peer.complete().await;

    // Cut before the answer: the finished proof is reported and offered again.
    drop(peer);
    let mut peer = dispatcher.welcome().await;
    assert_eq!(peer.holding, vec![lease_of(&task)]);
    let (lease, second) = peer.complete().await;
    assert_eq!((lease, second), (lease_of(&task), first));

    // Assigned again under a new lease: offered under it, not proven.
    let mut again = task.clone();
    again.lease.attempt = Attempt::new(2);
    again.lease.token = LeaseToken::new(8);
    peer.assign(&again).await;
    let (lease, third) = peer.complete().await;
    assert_eq!((lease, third), (lease_of(&again), first));
    assert_eq!(switch.num_proofs(), 1);
    peer.answer(lease, CompletionReply::AlreadyDone).await;
    until_status(&handle, |status| status.held == 0).await;
}

#[tokio::test]
async fn a_finished_proof_survives_a_restart_of_the_worker() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let mut settings = config(&dispatcher.url, dir.path());
    settings.drain_timeout_ms = 0;
    let (handle, shutdown) = start(settings.clone(), programs);
    let mut peer = dispatcher.welcome().await;
    let task = assignment(&registry_of(&switch), NAME, INPUT, 5);
    dispatcher.store(INPUT);
    peer.assign(&task).await;
    let (_, first) = peer.complete().await;
    shutdown.cancel();
    soon("end", handle.join()).await.expect("a clean end");
    drop(peer);

    let (handle, _shutdown) = start(settings, registry_of(&switch));
    let mut peer = dispatcher.accept().await;
    assert_eq!(peer.holding, vec![lease_of(&task)]);
    // The dispatcher no longer knows the lease: a late completion is offered all the same.
    peer.registered(vec![]).await;
    let (lease, second) = peer.complete().await;
    assert_eq!((lease, second), (lease_of(&task), first));
    assert_eq!(switch.num_proofs(), 1);
    peer.answer(lease, CompletionReply::Received).await;
    until_status(&handle, |status| status.held == 0).await;
}

#[tokio::test]
async fn a_task_above_the_memory_is_refused_and_the_worker_lives() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let mut settings = config(&dispatcher.url, dir.path());
    let small = assignment(&registry_of(&switch), NAME, OTHER, 1);
    settings.memory_bytes_max = small.segment.memory_bytes.get() + 1024;
    let (_handle, _shutdown) = start(settings.clone(), programs);
    let mut peer = dispatcher.welcome().await;
    assert_eq!(peer.capabilities.memory_bytes.get(), settings.memory_bytes_max);
    let programs = registry_of(&switch);
    let large: &[u8] = b"1 1 1048576";
    dispatcher.store(large);
    peer.assign(&assignment(&programs, NAME, large, 5)).await;
    match fault(&mut peer).await {
        TaskFault::OutOfMemory(text) => assert!(text.contains("memory_bytes_max"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(switch.num_proofs(), 0);
    still_works(&dispatcher, &mut peer, &programs).await;
}

#[tokio::test]
async fn an_understated_task_is_refused_before_it_takes_the_memory() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (_handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let mut task = assignment(&registry_of(&switch), NAME, INPUT, 5);
    task.segment.memory_bytes = proofgrid_core::units::ByteCount::new(1);
    dispatcher.store(INPUT);
    peer.assign(&task).await;
    assert!(matches!(fault(&mut peer).await, TaskFault::OutOfMemory(_)));
    assert_eq!(switch.num_proofs(), 0);
}

#[tokio::test]
async fn other_bytes_under_the_inputs_digest_are_refused() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (_handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    let task = assignment(&programs, NAME, INPUT, 5);
    let same_length = INPUT.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>();
    for (bytes, says) in [(same_length, "another digest"), (b"1 1 64 ".to_vec(), "should have")] {
        dispatcher.blobs.bytes.lock().expect("blobs").insert(task.spec.input, bytes);
        peer.assign(&task).await;
        match fault(&mut peer).await {
            TaskFault::InputUnavailable(text) => assert!(text.contains(says), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    dispatcher.blobs.bytes.lock().expect("blobs").remove(&task.spec.input);
    peer.assign(&task).await;
    assert!(matches!(fault(&mut peer).await, TaskFault::InputUnavailable(_)), "missing");
    assert_eq!(switch.num_proofs(), 0);
}

#[tokio::test]
async fn an_input_of_another_claim_or_a_false_plan_is_unprovable() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (_handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    dispatcher.store(INPUT);

    let mut claim = assignment(&programs, NAME, INPUT, 5);
    claim.spec.claim = assignment(&programs, NAME, OTHER, 5).spec.claim;
    claim.job = claim.spec.id();
    let kind = proofgrid_core::job::TaskKind::Segment;
    claim.lease.task = proofgrid_core::ids::TaskId::derive(&claim.job, kind, 0);
    let mut work = assignment(&programs, NAME, INPUT, 6);
    work.segment.work_units = proofgrid_core::units::WorkUnits::new(1);
    let mut range = assignment(&programs, NAME, INPUT, 7);
    range.segment.count = 2;
    let mut task = assignment(&programs, NAME, INPUT, 8);
    task.lease.task = proofgrid_core::ids::TaskId::from_bytes([1; 32]);
    for (name, wrong) in [("claim", claim), ("work", work), ("range", range), ("task", task)] {
        peer.assign(&wrong).await;
        assert!(matches!(fault(&mut peer).await, TaskFault::Unprovable(_)), "{name}");
    }
    assert_eq!(switch.num_proofs(), 0);
}

#[tokio::test]
async fn drain_finishes_the_task_and_takes_no_other() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    let task = assignment(&programs, NAME, INPUT, 5);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Wait);
    peer.assign(&task).await;
    peer.phase(STARTED.name()).await;

    shutdown.cancel();
    peer.until(|message| matches!(message, ProverMessage::Drain).then_some(())).await;
    peer.assign(&assignment(&programs, NAME, OTHER, 6)).await;
    assert_eq!(fault(&mut peer).await, TaskFault::Draining);
    switch.set(Behaviour::Prove);
    let (lease, _) = peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    peer.answer(lease, CompletionReply::Received).await;
    soon("end", handle.join()).await.expect("a clean end");
    assert!(peer.next().await.is_none(), "the stream is closed in good order");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_stops_the_task_and_says_so() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let mut settings = config(&dispatcher.url, dir.path());
    settings.drain_timeout_ms = 20;
    let (handle, _shutdown) = start(settings, programs);
    let mut peer = dispatcher.welcome().await;
    dispatcher.store(INPUT);
    switch.set(Behaviour::Endless);
    peer.assign(&assignment(&registry_of(&switch), NAME, INPUT, 5)).await;
    peer.phase(STARTED.name()).await;
    peer.send(ProverOrder::Drain { text: "a test".into() }).await;
    assert_eq!(fault(&mut peer).await, TaskFault::Draining);
    soon("end", handle.join()).await.expect("a clean end");
}

#[tokio::test]
async fn work_without_a_lease_gives_way_when_its_slot_is_needed() {
    let mut dispatcher = Dispatcher::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (programs, switch) = registry();
    let (handle, _shutdown) = start(config(&dispatcher.url, dir.path()), programs);
    let mut peer = dispatcher.welcome().await;
    let programs = registry_of(&switch);
    dispatcher.store(INPUT);
    switch.set(Behaviour::Endless);
    peer.assign(&assignment(&programs, NAME, INPUT, 5)).await;
    peer.phase(STARTED.name()).await;
    drop(peer);

    let mut peer = dispatcher.accept().await;
    peer.registered(vec![]).await;
    until_status(&handle, |status| status.registered && status.tasks.len() == 1).await;
    // The running proof has read its behaviour; the next one is a real proof.
    switch.set(Behaviour::Prove);
    still_works(&dispatcher, &mut peer, &programs).await;
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
            until_status(&handle, |status| status.registered).await;
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
