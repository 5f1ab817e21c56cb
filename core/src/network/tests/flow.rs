//! Whole jobs, from submit to settled, and every other end.

use crate::ids::Nonce;
use crate::job::Mode;
use crate::network::*;
use crate::statement::Verdict;
use crate::units::ByteCount;

use super::world::*;

use JobStateKind as S;

fn states(world: &World, job: &crate::ids::JobId) -> Vec<S> {
    world.network.job(job).unwrap().history.iter().map(|entry| entry.state).collect()
}

#[test]
fn a_direct_job_settles_and_its_history_tells_how() {
    let mut world = World::staffed();
    world.connect(0, 1);
    world.connect(1, 1);
    let job = world.planned(spec(1, 1), 2);
    assert_eq!(world.state(&job), S::Proving);
    world.prove_all(&job);
    assert_eq!(world.state(&job), S::Verifying);
    let view = world.network.job(&job).unwrap();
    assert!(view.tasks.iter().all(|task| task.proof_bytes == Some(ByteCount::new(1000))));
    assert!(matches!(&world.effects[..], [.., Effect::OpenVoting { verifiers, .. }, _]
        if verifiers.len() == 4));
    let id = world.certify(&job);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::SubmitCertificate { certificate, .. } if certificate.id() == id)));
    world.network.check_signatures().unwrap();
    let subject = SubmissionSubject::Certificate(id);
    world.submission(subject, SubmissionUpdate::Sent { tx: inclusion(1).tx });
    world.submission(subject, SubmissionUpdate::Included(inclusion(1)));
    world.submission(subject, SubmissionUpdate::Final(inclusion(1)));
    let expected = [
        S::AwaitingInput,
        S::Accepted,
        S::Proving,
        S::Verifying,
        S::Certified,
        S::Submitted,
        S::Submitted,
        S::Settled,
    ];
    assert_eq!(states(&world, &job), expected);
    assert_eq!(world.replayed().state(), world.network.state());
    assert_eq!(world.network.stats().live_jobs, 0);
}

#[test]
fn a_contract_job_settles_only_after_its_own_settlement_is_final() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(contract_spec(1, 1), 1);
    world.prove_all(&job);
    let id = world.certify(&job);
    world.submission(SubmissionSubject::Certificate(id), SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(world.state(&job), S::Submitted);
    let settle = world.effects.iter().find_map(|effect| match effect {
        Effect::SettleJob { task_manager, leaf_index, path, opened, .. } => {
            Some((*task_manager, *leaf_index, path.len(), opened.job()))
        }
        _ => None,
    });
    assert_eq!(settle, Some((task_manager(), 0, 0, job)));
    let subject = SubmissionSubject::Settle(job);
    world.submission(subject, SubmissionUpdate::Sent { tx: inclusion(2).tx });
    world.submission(subject, SubmissionUpdate::Reorged);
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::SettleJob { .. })));
    world.submission(subject, SubmissionUpdate::Final(inclusion(3)));
    assert_eq!(world.state(&job), S::Settled);
    // Twice changes nothing.
    let facts = world.journal.len();
    assert_eq!(world.submission(subject, SubmissionUpdate::Final(inclusion(3))), Answer::Done);
    assert_eq!(world.journal.len(), facts);
}

#[test]
fn a_reorganised_certificate_is_posted_again() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    world.prove_all(&job);
    let subject = SubmissionSubject::Certificate(world.certify(&job));
    world.submission(subject, SubmissionUpdate::Included(inclusion(1)));
    assert_eq!(world.state(&job), S::Submitted);
    world.submission(subject, SubmissionUpdate::Reorged);
    assert_eq!(world.state(&job), S::Certified);
    assert!(world.effects.iter().any(|e| matches!(e, Effect::SubmitCertificate { .. })));
    let failure = SubmissionFailure::Unavailable("no answer".into());
    world.submission(subject, SubmissionUpdate::Failed(failure));
    let effects = world.pass(4_000);
    assert!(effects.iter().any(|e| matches!(e, Effect::SubmitCertificate { .. })));
}

#[test]
fn the_same_submit_again_is_the_same_job_and_another_under_its_nonce_is_refused() {
    let mut world = World::staffed();
    let first = spec(1, 1);
    let id = first.id();
    let submit = |spec| Input::SubmitJob { spec, provenance: Provenance::Direct };
    assert_eq!(world.apply(submit(first.clone())), Ok(Answer::JobAccepted(id)));
    assert_eq!(world.apply(submit(first.clone())), Ok(Answer::AlreadyKnown(id)));
    let other = crate::job::JobSpec { sequence: 7, ..first };
    assert_eq!(world.apply(submit(other)), Err(Refusal::NonceUsed { existing: id }));
}

/// What is wrong, the job, and whether a refusal is the right one.
type WrongSubmit = (&'static str, crate::job::JobSpec, fn(&Refusal) -> bool);

#[test]
fn every_wrong_submit_is_refused_for_its_reason() {
    let base = spec(1, 1);
    let elsewhere = crate::ids::ChainId::new(5);
    let table: Vec<WrongSubmit> = vec![
        ("another home", crate::job::JobSpec { home_chain: elsewhere, ..base.clone() }, |r| {
            matches!(r, Refusal::WrongHome { .. })
        }),
        (
            "an unserved target",
            crate::job::JobSpec { target: task_manager(), ..base.clone() },
            |r| matches!(r, Refusal::UnknownTarget { .. }),
        ),
        ("a race", crate::job::JobSpec { mode: Mode::Race, ..base.clone() }, |r| {
            matches!(r, Refusal::UnsupportedMode(Mode::Race))
        }),
        (
            "a past deadline",
            crate::job::JobSpec { deadline: START.as_seconds(), ..base.clone() },
            |r| matches!(r, Refusal::DeadlinePassed { .. }),
        ),
        ("an order without a stream", crate::job::JobSpec { sequence: 3, ..base.clone() }, |r| {
            matches!(r, Refusal::SequenceWithoutStream(3))
        }),
        ("a contract origin", contract_spec(1, 1), |r| matches!(r, Refusal::WrongOrigin)),
        ("no input", with_limits(&base, 0, 1, 1), |r| {
            matches!(r, Refusal::LimitOutOfRange { what: "input_bytes", .. })
        }),
        ("too many segments", with_limits(&base, 1, 257, 1), |r| {
            matches!(r, Refusal::LimitOutOfRange { what: "max_segments", .. })
        }),
        ("no proof", with_limits(&base, 1, 1, 0), |r| {
            matches!(r, Refusal::LimitOutOfRange { what: "max_proof_bytes", .. })
        }),
    ];
    for (name, spec, fits) in table {
        let mut world = World::staffed();
        let facts = world.journal.len();
        let refusal =
            world.apply(Input::SubmitJob { spec, provenance: Provenance::Direct }).unwrap_err();
        assert!(fits(&refusal), "{name}: {refusal}");
        assert_eq!(refusal.consequence(), Consequence::Reject, "{name}");
        assert_eq!(world.journal.len(), facts, "{name}");
    }
}

fn with_limits(
    base: &crate::job::JobSpec,
    input: u64,
    segments: u32,
    proof: u64,
) -> crate::job::JobSpec {
    let limits = crate::job::JobLimits {
        input_bytes: ByteCount::new(input),
        max_segments: segments,
        max_proof_bytes: ByteCount::new(proof),
    };
    crate::job::JobSpec { limits, ..base.clone() }
}

#[test]
fn a_full_queue_is_refused_with_its_numbers() {
    let mut world = World::with(|config| {
        config.live_jobs_max = 3;
        config.live_jobs_per_requester_max = 2;
    });
    let mut submit = |requester, nonce| {
        let spec = spec(requester, nonce);
        world.apply(Input::SubmitJob { spec, provenance: Provenance::Direct })
    };
    assert!(submit(1, 1).is_ok());
    assert!(submit(1, 2).is_ok());
    assert_eq!(submit(1, 3), Err(Refusal::RequesterFull { live: 2, max: 2 }));
    assert!(submit(2, 1).is_ok());
    assert_eq!(submit(3, 1), Err(Refusal::QueueFull { live: 3, max: 3 }));
}

#[test]
fn a_wrong_chain_job_is_written_down_as_rejected() {
    let mut world = World::staffed();
    let spec = crate::job::JobSpec { mode: Mode::Race, ..contract_spec(1, 1) };
    let job = spec.id();
    world.ok(Input::SubmitJob { spec, provenance: Provenance::Chain(event(1)) });
    assert_eq!(world.state(&job), S::Rejected);
    // Its chain still refunds it.
    world.ok(Input::JobExpired { job, provenance: event(2) });
    assert_eq!(world.state(&job), S::Expired);
}

#[test]
fn an_input_of_another_length_rejects_the_job() {
    let mut world = World::staffed();
    let spec = spec(1, 1);
    let (job, digest) = (spec.id(), spec.input);
    world.ok(Input::SubmitJob { spec, provenance: Provenance::Direct });
    world.ok(Input::BlobStored { digest, bytes: ByteCount::new(99) });
    assert_eq!(world.state(&job), S::Rejected);
}

#[test]
fn an_input_may_come_before_or_after_its_job() {
    for before in [true, false] {
        let mut world = World::staffed();
        let spec = spec(1, 1);
        let job = spec.id();
        let blob = Input::BlobStored { digest: spec.input, bytes: ByteCount::new(100) };
        let submit = Input::SubmitJob { spec, provenance: Provenance::Direct };
        let inputs = if before { [blob, submit] } else { [submit, blob] };
        for input in inputs {
            world.ok(input);
        }
        assert_eq!(world.state(&job), S::Accepted);
        assert!(world.effects.iter().any(|e| matches!(e, Effect::PlanJob { .. })));
    }
}

#[test]
fn a_plan_beyond_the_limit_or_with_a_gap_rejects_the_job() {
    let mut gap = plan(2);
    gap.segments[1].first = 11;
    for bad in [plan(0), plan(17), gap] {
        let mut world = World::staffed();
        let spec = spec(1, 1);
        let job = spec.id();
        world.ok(Input::BlobStored { digest: spec.input, bytes: ByteCount::new(100) });
        world.ok(Input::SubmitJob { spec, provenance: Provenance::Direct });
        world.ok(Input::JobPlanned { job, plan: bad });
        assert_eq!(world.state(&job), S::Rejected);
    }
}

#[test]
fn cancelling_stops_the_work_and_is_the_requesters_alone() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 2);
    let refused = world.apply(Input::CancelJob { job, requester: address(2) });
    assert_eq!(refused, Err(Refusal::NotYours(job)));
    world.ok(Input::CancelJob { job, requester: address(1) });
    assert_eq!(world.state(&job), S::Cancelled);
    assert!(
        world.effects.iter().any(|effect| matches!(
            effect,
            Effect::CancelTask { reason: CancelReason::JobOver, .. }
        ))
    );
    assert_eq!(world.apply(Input::CancelJob { job, requester: address(1) }), Ok(Answer::Done));
}

#[test]
fn cancelling_a_contract_job_or_a_certified_one_is_refused() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let paid = world.planned(contract_spec(1, 1), 1);
    let requester = address(1);
    let refused = world.apply(Input::CancelJob { job: paid, requester });
    assert_eq!(refused, Err(Refusal::CancelOnChain(paid)));
    world.prove_all(&paid);
    let job = world.planned(crate::job::JobSpec { nonce: Nonce::new(9), ..spec(2, 9) }, 1);
    world.prove_all(&job);
    for statement in [world.statement(&paid), world.statement(&job)] {
        for index in 0..4 {
            world.vote(index, statement, Verdict::Valid);
        }
    }
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let refused = world.apply(Input::CancelJob { job, requester: address(2) });
    assert_eq!(refused, Err(Refusal::JobBeyond { job, state: S::Certified }));
}

#[test]
fn a_direct_job_expires_by_the_clock_and_a_contract_job_only_by_its_chain() {
    let mut world = World::staffed();
    let direct = world.planned(spec(1, 1), 1);
    let paid = world.planned(contract_spec(2, 1), 1);
    world.pass(3_600_000 + 60_000);
    assert_eq!(world.state(&direct), S::Expired);
    assert_eq!(world.state(&paid), S::Accepted);
    let elsewhere = ChainEvent { contract: target(), ..event(3) };
    let refused = world.apply(Input::JobExpired { job: paid, provenance: elsewhere });
    assert_eq!(refused, Err(Refusal::WrongContract(paid)));
    world.ok(Input::JobExpired { job: paid, provenance: event(3) });
    assert_eq!(world.state(&paid), S::Expired);
}

#[test]
fn an_input_that_never_comes_expires_a_direct_job() {
    let mut world = World::staffed();
    let spec = spec(1, 1);
    let job = spec.id();
    world.ok(Input::SubmitJob { spec, provenance: Provenance::Direct });
    world.pass(599_999);
    assert_eq!(world.state(&job), S::AwaitingInput);
    world.pass(1);
    assert_eq!(world.state(&job), S::Expired);
}

#[test]
fn blobs_go_when_their_retention_is_over_and_no_sooner() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let input = world.network.state().jobs[&job].spec.input;
    world.ok(Input::CancelJob { job, requester: address(1) });
    let week = world.network.config().blob_retention_ms;
    world.pass(week - 1);
    assert!(world.network.wants_blob(&input));
    let effects = world.pass(1);
    assert!(effects.contains(&Effect::DeleteBlob { digest: input }));
    assert!(!world.network.wants_blob(&input));
}
