//! Leases, fencing tokens, late and repeated completions, budgets, reconnects.

use crate::ids::{Attempt, LeaseToken};
use crate::network::*;
use crate::statement::SegmentRecord;
use crate::units::{ByteCount, UnixMillis};

use super::world::*;

use JobStateKind as S;

#[test]
fn a_late_but_valid_proof_counts_once_and_the_running_try_is_cancelled_without_blame() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (first, old) = world.lease(&job, 0);
    // The first prover falls silent; another takes over.
    world.pass(29_000);
    let session = world.connect(1, 1);
    world.pass(1_000);
    let (second, current) = world.lease(&job, 0);
    assert_eq!((first, second), (prover(0), prover(1)));
    assert!(old.token < current.token);
    assert_eq!(world.complete(first, old), Ok(Answer::CompletionReceived));
    world.judged(&job, 0, (first, old));
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::CancelTask { prover: peer, attempt, reason: CancelReason::AlreadyProved, .. }
            if peer.address == second && peer.session == session && *attempt == current.attempt)));
    let books = &world.network.state().workers;
    assert_eq!((books[&first].accepted, books[&first].faults), (1, 0));
    assert_eq!((books[&second].accepted, books[&second].faults), (0, 0));
    assert_eq!(world.complete(second, current), Ok(Answer::AlreadyDone));
    assert_eq!(world.complete(first, old), Ok(Answer::AlreadyDone));
    assert_eq!(world.state(&job), S::Verifying);
}

#[test]
fn a_stale_token_never_touches_the_current_lease() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (first, old) = world.lease(&job, 0);
    world.pass(29_000);
    world.connect(1, 1);
    world.pass(1_000);
    let before = world.lease(&job, 0);
    let fault = TaskFault::Backend("gone".into());
    let refused = world.apply(Input::TaskFailed { prover: first, lease: old, fault });
    assert_eq!(refused, Err(Refusal::StaleLease(old.task)));
    let session = world.connect(0, 1);
    let (phase, done_permille) = ("quotient".into(), 500);
    let progress =
        Input::ProverProgress { prover: first, session, lease: old, phase, done_permille };
    assert_eq!(world.apply(progress), Err(Refusal::StaleLease(old.task)));
    assert_eq!(world.lease(&job, 0), before);
}

#[test]
fn a_token_that_was_never_granted_is_penalised() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    let forged = LeaseRef { token: LeaseToken::new(99), ..lease };
    let refused = world.complete(holder, forged).unwrap_err();
    assert_eq!(refused, Refusal::UnknownLease(lease.task));
    assert_eq!(refused.consequence(), Consequence::Penalize);
    assert_eq!(world.complete(prover(7), lease), Err(Refusal::UnknownLease(lease.task)));
}

#[test]
fn a_completion_repeated_after_a_lost_answer_is_the_same_completion() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    assert_eq!(world.complete(holder, lease), Ok(Answer::CompletionReceived));
    let facts = world.journal.len();
    assert_eq!(world.complete(holder, lease), Ok(Answer::CompletionReceived));
    assert_eq!(world.journal.len(), facts);
    world.judged(&job, 0, (holder, lease));
    assert_eq!(world.complete(holder, lease), Ok(Answer::AlreadyDone));
}

#[test]
fn a_refused_proof_burns_the_budget_and_goes_to_somebody_else_first() {
    let mut world = World::staffed();
    world.connect(0, 4);
    world.connect(1, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    let outcome = IntakeOutcome::Refused { code: "claim".into(), text: "other messages".into() };
    let (task, attempt) = (lease.task, lease.attempt);
    world.ok(Input::IntakeJudged { task, attempt, prover: holder, outcome });
    let (next, _) = world.lease(&job, 0);
    assert_ne!(next, holder);
    assert_eq!(world.network.state().workers[&holder].faults, 1);
    assert_eq!(world.task(&job, 0).faults, 1);
    let explained = world.network.explain(&job).unwrap();
    assert!(explained.tasks[0].tries[0].outcome.contains("claim"));
    // The refused proof is not judged again.
    assert_eq!(world.complete(holder, lease), Ok(Answer::AlreadyDone));
}

#[test]
fn intake_answers_by_what_was_decided_and_not_by_what_the_judge_said() {
    let verdict = |record: &SegmentRecord, lease: &LeaseRef, holder| Input::IntakeJudged {
        task: lease.task,
        attempt: lease.attempt,
        prover: holder,
        outcome: IntakeOutcome::Accepted(record.clone()),
    };
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    let record = world.record(&job, 0, &lease, holder);
    assert_eq!(world.ok(verdict(&record, &lease, holder)), Answer::ProofAccepted);
    assert_eq!(world.ok(verdict(&record, &lease, holder)), Answer::Late, "judged twice");

    let ended = world.planned(spec(2, 1), 1);
    let (holder, lease) = world.lease(&ended, 0);
    world.complete(holder, lease).unwrap();
    let record = world.record(&ended, 0, &lease, holder);
    world.ok(Input::CancelJob { job: ended, requester: address(2) });
    assert_eq!(world.ok(verdict(&record, &lease, holder)), Answer::Late, "nobody waits for it");
}

#[test]
fn a_lone_prover_tries_again_until_the_budget_is_used_up() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    for attempt in 1..=4 {
        let (prover, lease) = world.lease(&job, 0);
        assert_eq!(lease.attempt, Attempt::new(attempt));
        let fault = TaskFault::Backend("panicked".into());
        world.ok(Input::TaskFailed { prover, lease, fault });
    }
    let JobState::Failed { reason } = &world.network.state().jobs[&job].state else {
        panic!("the job goes on");
    };
    assert!(matches!(reason, FailReason::TaskExhausted { index: 0, attempts: 4, .. }));
}

#[test]
fn lost_workers_and_drains_stay_outside_the_retry_budget() {
    let mut world = World::staffed();
    let job = world.planned(spec(1, 1), 1);
    for _ in 0..6 {
        world.connect(0, 1);
        let (prover, lease) = world.lease(&job, 0);
        let fault = TaskFault::Draining;
        world.ok(Input::TaskFailed { prover, lease, fault });
        world.pass(30_000);
    }
    let task = world.task(&job, 0);
    assert_eq!(task.faults, 0);
    assert!(task.losses >= 6);
    assert_eq!(world.state(&job), S::Proving);
}

#[test]
fn a_task_that_kills_every_worker_fails_its_job_in_the_end() {
    let mut world = World::staffed();
    let job = world.planned(spec(1, 1), 1);
    for _ in 0..16 {
        world.connect(0, 1);
        world.pass(30_000);
    }
    assert_eq!(world.state(&job), S::Failed);
}

#[test]
fn heartbeats_keep_a_lease_and_the_longest_lease_ends_it() {
    let mut world = World::staffed();
    let session = world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let held = world.lease(&job, 0);
    let free_memory_bytes = ByteCount::new(1);
    for _ in 0..150 {
        world.pass(24_000);
        if world.now < START.after(crate::units::Millis::new(3_600_000)) {
            assert_eq!(world.lease(&job, 0), held);
        }
        world.ok(Input::ProverHeartbeat { prover: prover(0), session, free_memory_bytes });
    }
    assert_eq!(world.task(&job, 0).faults, 1);
    assert!(matches!(world.task(&job, 0).tries[0].outcome, TryOutcome::Ended(LeaseEnd::TimedOut)));
}

#[test]
fn a_prover_that_reconnects_goes_on_with_what_it_holds() {
    let mut world = World::staffed();
    let session = world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (_, lease) = world.lease(&job, 0);
    world.ok(Input::ProverDisconnected { prover: prover(0), session });
    world.pass(20_000);
    let holding = vec![lease];
    let session = world.session();
    let (prover, capabilities) = (prover(0), capabilities(1));
    let answer = world.ok(Input::ProverConnected {
        prover,
        session,
        capabilities,
        holding: holding.clone(),
    });
    assert!(matches!(answer, Answer::Registered { resumed, .. } if resumed == holding));
    assert_eq!(world.lease(&job, 0), (prover, lease));
    assert!(!world.effects.iter().any(|e| matches!(e, Effect::AssignTask { .. })));
}

#[test]
fn a_prover_that_comes_back_without_its_lease_loses_it_at_once() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (_, old) = world.lease(&job, 0);
    world.connect(0, 1);
    let (_, new) = world.lease(&job, 0);
    assert_eq!(new.attempt, Attempt::new(2));
    assert!(old.token < new.token);
    assert_eq!(world.task(&job, 0).losses, 1);
}

#[test]
fn after_a_restart_leases_live_on_and_unsent_ones_are_sent_again() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let held = world.lease(&job, 0);
    world.restart();
    world.pass(29_000);
    assert_eq!(world.lease(&job, 0), held);
    world.connect(0, 1);
    assert_eq!(world.lease(&job, 0), held);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::AssignTask { assignment, .. } if assignment.lease.token == held.1.token)));
    world.restart();
    world.pass(30_000);
    assert_eq!(world.task(&job, 0).state, TaskState::Queued);
}

#[test]
fn after_a_restart_planning_and_intake_are_owed_again() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let unplanned = spec(2, 1);
    let waiting = unplanned.id();
    world.ok(Input::BlobStored { digest: unplanned.input, bytes: ByteCount::new(100) });
    world.ok(Input::SubmitJob { spec: unplanned, provenance: Provenance::Direct });
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    world.restart();
    assert!(
        world.effects.iter().any(|e| matches!(e, Effect::PlanJob { job, .. } if *job == waiting))
    );
    assert!(world.effects.iter().any(|e| matches!(e,
        Effect::JudgeIntake { task, .. } if *task == lease.task)));
}

#[test]
fn a_record_that_does_not_fit_the_plan_is_its_provers_fault() {
    let changes: [fn(&mut crate::statement::SegmentRecord); 6] = [
        |r| r.index = 1,
        |r| r.first = 1,
        |r| r.count = 1,
        |r| r.vk = crate::ids::VkDigest::from_bytes([1; 32]),
        |r| r.prover = prover(3),
        |r| r.work_units = crate::units::WorkUnits::new(1_000_000),
    ];
    for change in changes {
        let mut world = World::staffed();
        world.connect(0, 1);
        let job = world.planned(spec(1, 1), 1);
        let (holder, lease) = world.lease(&job, 0);
        world.complete(holder, lease).unwrap();
        let mut record = world.record(&job, 0, &lease, holder);
        change(&mut record);
        let (task, attempt) = (lease.task, lease.attempt);
        let outcome = IntakeOutcome::Accepted(record);
        world.ok(Input::IntakeJudged { task, attempt, prover: holder, outcome });
        assert_eq!(world.task(&job, 0).faults, 1);
    }
}

#[test]
fn intake_can_be_told_to_recompute_digests_only() {
    let mut world = World::with(|config| config.judge_at_intake = false);
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    assert!(world.effects.iter().any(|effect| matches!(
        effect,
        Effect::JudgeIntake { verify: IntakeDepth::DigestsOnly, .. }
    )));
}

#[test]
fn a_proof_beyond_the_jobs_limit_is_refused_before_intake() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (prover, lease) = world.lease(&job, 0);
    let bytes = ByteCount::new((1 << 20) + 1);
    let report = ProofReport { proof: proof(&lease.task, lease.attempt), bytes, prove_ms: 1 };
    let refused = world.apply(Input::TaskCompleted { prover, lease, report }).unwrap_err();
    assert!(matches!(refused, Refusal::ProofTooLarge { .. }));
    assert_eq!(world.task(&job, 0).faults, 1);
}

#[test]
fn an_administrator_takes_a_lease_back_without_blame() {
    let mut world = World::staffed();
    world.connect(0, 1);
    world.connect(1, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.ok(Input::RequeueTask { task: lease.task });
    assert!(
        world.effects.iter().any(|effect| matches!(
            effect,
            Effect::CancelTask { reason: CancelReason::Requeued, .. }
        ))
    );
    let task = world.task(&job, 0);
    assert_eq!((task.faults, task.losses), (0, 0));
    assert_ne!(world.lease(&job, 0).0, holder);
}

#[test]
fn a_message_of_a_replaced_connection_is_refused() {
    let mut world = World::staffed();
    let old = world.connect(0, 1);
    world.connect(0, 1);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::CloseSession { peer } if peer.session == old)));
    let heartbeat = Input::ProverHeartbeat {
        prover: prover(0),
        session: old,
        free_memory_bytes: ByteCount::new(1),
    };
    assert_eq!(world.apply(heartbeat), Err(Refusal::StaleSession(prover(0))));
}

#[test]
fn a_proof_that_could_not_be_judged_may_come_again_but_not_as_other_bytes() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (prover, lease) = world.lease(&job, 0);
    world.complete(prover, lease).unwrap();
    let (task, attempt) = (lease.task, lease.attempt);
    let outcome = IntakeOutcome::Unjudged { reason: "killed".into() };
    world.ok(Input::IntakeJudged { task, attempt, prover, outcome });
    // Each new proof would be kept until the job's blobs are released, which know only the last.
    let other = crate::ids::BlobDigest::from_bytes([0xab; 32]);
    let report = ProofReport { proof: other, bytes: ByteCount::new(9), prove_ms: 1 };
    let said = world.apply(Input::TaskCompleted { prover, lease, report });
    assert_eq!(said, Ok(Answer::AlreadyDone));
    assert!(!world.network.state().blobs.contains_key(&other));
    assert_eq!(world.complete(prover, lease), Ok(Answer::CompletionReceived));
}

#[test]
fn a_job_that_ends_frees_its_provers_memory_at_once() {
    let mut world = World::staffed();
    let mut small = capabilities(2);
    small.memory_bytes = ByteCount::new(1 << 30);
    let session = world.connect_with(0, small, Vec::new());
    let ended = world.planned(spec(1, 1), 1);
    let waits = world.planned(spec(2, 1), 1);
    let (_, lease) = world.lease(&ended, 0);
    let (phase, done_permille) = ("commit".into(), 1);
    let prover = prover(0);
    world.ok(Input::ProverProgress { prover, session, lease, phase, done_permille });
    assert_eq!(world.task(&waits, 0).state, TaskState::Queued);
    world.ok(Input::CancelJob { job: ended, requester: address(1) });
    assert_eq!(world.lease(&waits, 0).0, prover);
}

#[test]
fn leases_that_are_resumed_are_told_apart_without_a_clock() {
    let mut world = World::staffed();
    world.pass(60_000);
    world.connect(0, 4);
    let job = world.planned(spec(1, 1), 3);
    let held = (0..3).map(|index| world.lease(&job, index).1).collect();
    // The system's clock was set back, and the prover has fewer slots than leases now.
    world.now = UnixMillis::new(world.now.get() - 60_000);
    world.connect_with(0, capabilities(1), held);
    assert_eq!(world.network.state().running[&prover(0)].len(), 3);
}
