//! What is forgotten, when, and that nothing becomes possible by it.

use crate::ids::{BlobDigest, EpochNumber, JobId};
use crate::job::JobSpec;
use crate::network::*;
use crate::statement::Verdict;
use crate::units::{Millis, UnixSeconds};

use super::world::*;

use JobStateKind as S;

const DAY_MS: u64 = 86_400_000;

fn staffed() -> World {
    let mut world = World::staffed();
    world.connect(0, 8);
    world
}

/// Brings a direct job to its end on the chain.
fn settled(world: &mut World, spec: JobSpec) -> JobId {
    let job = world.planned(spec, 1);
    world.prove_all(&job);
    let id = world.certify(&job);
    let update = SubmissionUpdate::Final(inclusion(1));
    world.submission(SubmissionSubject::Certificate(id), update);
    assert_eq!(world.state(&job), S::Settled);
    job
}

/// A job with its own input, whose deadline is an hour from now.
fn fresh(world: &World, requester: u8, nonce: u64) -> JobSpec {
    let mut input = [requester; 32];
    input[..8].copy_from_slice(&nonce.to_be_bytes());
    JobSpec {
        input: BlobDigest::from_bytes(input),
        deadline: UnixSeconds::new(world.now.as_seconds().get() + 3_600),
        ..spec(requester, nonce)
    }
}

/// Lets days pass while the one prover is heard of.
fn days(world: &mut World, days: u64) {
    world.pass(days * DAY_MS);
}

fn knows(world: &World, job: &JobId) -> bool {
    world.network.job(job).is_some()
}

#[test]
fn a_job_is_known_a_week_after_its_deadline_and_its_votes_a_month() {
    let mut world = staffed();
    let job = settled(&mut world, spec(1, 1));
    let statement = world.statement(&job);
    days(&mut world, 7);
    assert!(knows(&world, &job), "an hour is left: the deadline counts");
    assert!(world.network.state().blobs.is_empty(), "blobs go a week after the end");
    world.pass(3_600_000);
    assert!(!knows(&world, &job));
    let state = world.network.state();
    let sizes = [state.tasks.len(), state.nonces.len(), state.by_serial.len()];
    assert_eq!((sizes, state.certificates.len()), ([0, 0, 0], 0));
    assert!(state.statements.contains_key(&statement), "votes are evidence");
    // A second word is still proof against its key.
    let second = world.signed_vote(0, statement, 1, Verdict::Invalid);
    let detail = Some(InvalidDetail { segment: 0, reason: "late".into() });
    assert_eq!(world.ok(Input::VoteReceived { vote: second, detail, salt: salt(0) }), Answer::Late);
    let rounds = &world.network.state().statements[&statement].rounds;
    assert_eq!(rounds[&EpochNumber::new(1)].tally.evidence().count(), 1);
    days(&mut world, 23);
    let state = world.network.state();
    assert!(state.statements.is_empty() && state.batches.is_empty() && state.evidence.is_empty());
    let late = world.apply(Input::VoteReceived { vote: second, detail: None, salt: salt(0) });
    assert_eq!(late, Err(Refusal::UnknownStatement(statement)));
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn a_forgotten_direct_job_is_refused_when_it_is_submitted_again() {
    let mut world = staffed();
    let again = spec(1, 1);
    let job = world.planned(again.clone(), 1);
    let requester = again.requester;
    world.ok(Input::CancelJob { job, requester });
    days(&mut world, 8);
    assert!(!knows(&world, &job));
    let submit = |spec: JobSpec| Input::SubmitJob { spec, provenance: Provenance::Direct };
    let deadline = again.deadline;
    assert_eq!(world.apply(submit(again)), Err(Refusal::DeadlinePassed { deadline }));
    // No deadline lies so far ahead that its job could not be forgotten.
    let mut far = fresh(&world, 1, 2);
    far.deadline = UnixSeconds::new(world.now.as_seconds().get() + 30 * 86_400 + 1);
    let refused = world.apply(submit(far.clone()));
    assert!(matches!(refused, Err(Refusal::LimitOutOfRange { .. })), "{refused:?}");
    far.deadline = UnixSeconds::new(far.deadline.get() - 1);
    let job = far.id();
    world.ok(submit(far));
    world.ok(Input::CancelJob { job, requester });
    days(&mut world, 36);
    assert!(knows(&world, &job), "it would be accepted again");
    days(&mut world, 1);
    assert!(!knows(&world, &job));
}

#[test]
fn a_forgotten_contract_job_is_not_run_and_not_written_down_again() {
    let mut world = staffed();
    let created = contract_spec(1, 1);
    let job = world.planned(created.clone(), 1);
    world.ok(Input::JobExpired { job, provenance: event(9) });
    days(&mut world, 8);
    assert!(!knows(&world, &job));
    let facts = world.journal.len();
    let told = |spec, event| Input::SubmitJob { spec, provenance: Provenance::Chain(event) };
    assert_eq!(world.ok(told(created.clone(), event(1))), Answer::Late);
    assert_eq!(
        world.apply(Input::JobExpired { job, provenance: event(9) }),
        Err(Refusal::UnknownJob(job))
    );
    assert_eq!(world.journal.len(), facts);
    // A later block was never told of: its requester paid and hears why it is refused.
    let later = ChainEvent { block: crate::ids::BlockNumber::new(101), ..event(1) };
    world.ok(told(contract_spec(1, 2), later));
    assert_eq!(world.state(&contract_spec(1, 2).id()), S::Rejected);
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn what_is_under_way_is_not_forgotten() {
    let mut world = staffed();
    let job = world.planned(contract_spec(1, 1), 1);
    world.prove_all(&job);
    let id = world.certify(&job);
    world.ok(Input::JobExpired { job, provenance: event(9) });
    days(&mut world, 40);
    assert!(knows(&world, &job), "its certificate is still being posted");
    let forget = Fact { at: world.now, change: Change::JobForgotten { job } };
    assert!(world.network.state().clone().evolve(&forget).is_err());
    let update = SubmissionUpdate::Final(inclusion(1));
    world.submission(SubmissionSubject::Certificate(id), update);
    world.pass(60_000);
    let state = world.network.state();
    assert!(!knows(&world, &job) && state.certificates.is_empty());
    assert!(state.statements.is_empty(), "evidence was overdue too");
}

#[test]
fn a_certificate_is_kept_as_long_as_one_of_its_jobs() {
    let mut world = staffed();
    let first = world.planned(spec(1, 1), 1);
    let second = world.planned(
        JobSpec { deadline: UnixSeconds::new(spec(2, 1).deadline.get() + 86_400), ..spec(2, 1) },
        1,
    );
    for job in [first, second] {
        let statement = world.prove_all(&job);
        for index in 0..STAKES.len() {
            world.vote(index, statement, Verdict::Valid);
        }
    }
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let id = world.network.job(&first).unwrap().certificate.unwrap();
    assert_eq!(world.network.job(&second).unwrap().certificate, Some(id));
    let update = SubmissionUpdate::Final(inclusion(1));
    world.submission(SubmissionSubject::Certificate(id), update);
    world.pass(7 * DAY_MS + 3_600_000);
    assert!(!knows(&world, &first) && knows(&world, &second));
    assert!(world.network.certificate(&id).is_some());
    days(&mut world, 1);
    assert!(!knows(&world, &second) && world.network.certificate(&id).is_none());
}

#[test]
fn old_epochs_go_with_the_last_vote_in_them() {
    let mut world = staffed();
    let job = settled(&mut world, spec(1, 1));
    for number in 2..=4 {
        world.epoch(number);
    }
    let known = |world: &World| -> Vec<u64> {
        world.network.state().epochs.keys().map(|number| number.get()).collect()
    };
    assert_eq!(known(&world), [1, 3, 4], "two may log in, one has votes");
    days(&mut world, 31);
    assert!(!knows(&world, &job));
    assert_eq!(known(&world), [3, 4]);
    // An old table is late, whatever it says.
    assert_eq!(world.ok(Input::EpochFinal { keys: epoch_keys(2) }), Answer::Late);
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn idle_provers_are_forgotten_but_not_those_that_are_drained() {
    let mut world = staffed();
    settled(&mut world, spec(1, 1));
    world.ok(Input::DrainProver { prover: prover(7), drain: Drain::Start });
    let known =
        |world: &World| -> Vec<_> { world.network.state().workers.keys().copied().collect() };
    assert_eq!(known(&world), [prover(0), prover(7)]);
    days(&mut world, 33);
    assert_eq!(known(&world), [prover(7)], "an administrator said so");
    world.ok(Input::DrainProver { prover: prover(7), drain: Drain::Stop });
    days(&mut world, 33);
    assert_eq!(known(&world), []);
}

#[test]
fn a_restart_forgets_what_was_due_meanwhile() {
    let mut world = staffed();
    let job = settled(&mut world, spec(1, 1));
    world.now = world.now.after(Millis::new(32 * DAY_MS));
    world.restart();
    world.pass(0);
    let state = world.network.state();
    assert!(!knows(&world, &job) && state.statements.is_empty() && state.blobs.is_empty());
    assert!(state.streams.is_empty() && state.unclaimed_blobs.is_empty());
}

#[test]
fn ended_jobs_beyond_the_bound_are_refused_until_old_ones_are_forgotten() {
    let mut world = World::with(|config| config.known_jobs_max = 2);
    let submit = |spec: JobSpec| Input::SubmitJob { spec, provenance: Provenance::Direct };
    for nonce in 0..2 {
        let spec = fresh(&world, 1, nonce);
        let (job, requester) = (spec.id(), spec.requester);
        world.ok(submit(spec));
        world.ok(Input::CancelJob { job, requester });
    }
    let third = fresh(&world, 1, 2);
    assert_eq!(world.apply(submit(third)), Err(Refusal::TooManyJobs { known: 2, max: 2 }));
    days(&mut world, 8);
    let third = fresh(&world, 1, 2);
    world.ok(submit(third));
}

/// A year of work: every tenth job is certified, the rest end otherwise, by ever new requesters.
#[test]
fn a_year_of_jobs_leaves_no_more_than_a_month_of_them() {
    let mut world = staffed();
    let mut largest = 0;
    for day in 0..360u64 {
        if day % 30 == 0 {
            world.epoch(2 + day / 30);
        }
        world.connect(0, 8);
        let requester = u8::try_from(day % 250).unwrap();
        let spec = JobSpec { stream: 1, sequence: day, ..fresh(&world, requester, day) };
        if day % 10 == 0 {
            settled(&mut world, spec);
        } else {
            let job = world.planned(spec.clone(), 2);
            world.ok(Input::CancelJob { job, requester: spec.requester });
        }
        world.pass(DAY_MS);
        largest = largest.max(world.network.state().encode().len());
    }
    let state = world.network.state();
    assert!(state.jobs.len() <= 8, "{} jobs", state.jobs.len());
    assert!(state.statements.len() <= 4, "{} statements", state.statements.len());
    assert!(state.epochs.len() <= 4, "{} epochs", state.epochs.len());
    assert!(state.streams.len() <= 8 && state.blobs.len() <= 16);
    assert!(largest < 64 << 10, "{largest} bytes");
    days(&mut world, 31);
    let state = world.network.state();
    let empty = State {
        epochs: state.epochs.clone(),
        epoch_times: state.epoch_times.clone(),
        tokens: state.tokens,
        serial: state.serial,
        facts: state.facts,
        queue: state.queue.clone(),
        workers: state.workers.clone(),
        ..State::default()
    };
    assert_eq!(*state, empty);
    assert_eq!(state.epochs.len(), 2);
    assert_eq!(world.replayed().state(), state);
}

#[test]
fn retentions_that_contradict_each_other_are_refused() {
    let good = NetworkConfig::new(CHAIN, target());
    assert_eq!(good.check_retention(), Ok(()));
    let cases = [
        (
            "job_retention_ms",
            NetworkConfig { job_retention_ms: 7_199_999, blob_retention_ms: 1, ..good.clone() },
        ),
        ("job_retention_ms", NetworkConfig { job_retention_ms: 6 * DAY_MS, ..good.clone() }),
        ("evidence_retention_ms", NetworkConfig { evidence_retention_ms: 6 * DAY_MS, ..good }),
    ];
    for (key, config) in cases {
        let error = config.check_retention().unwrap_err();
        assert_eq!(error.shorter, key, "{error}");
    }
}
