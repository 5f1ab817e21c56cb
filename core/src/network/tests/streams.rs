//! Ordered streams: no certificate of a stream can land before an earlier one, whatever the chain does.

use crate::ids::{CertificateId, JobId};
use crate::job::JobSpec;
use crate::network::*;
use crate::statement::Verdict;
use crate::units::UnixSeconds;

use super::chain::Chain;
use super::walk::Random;
use super::world::*;

use JobStateKind as S;

/// A job of stream 1; the sequence is its nonce.
fn in_stream(sequence: u64) -> JobSpec {
    JobSpec { stream: 1, sequence, ..spec(1, sequence) }
}

fn staffed() -> World {
    let mut world = World::staffed();
    world.connect(0, 8);
    world
}

/// A job whose statement has a vote quorum, with the dissent of some.
fn voted(world: &mut World, spec: JobSpec, dissent: &[usize]) -> JobId {
    let job = world.planned(spec, 1);
    let statement = world.prove_all(&job);
    for index in 0..STAKES.len() {
        let invalid = dissent.contains(&index);
        world.vote(index, statement, if invalid { Verdict::Invalid } else { Verdict::Valid });
    }
    job
}

fn certificate(world: &World, job: &JobId) -> Option<CertificateId> {
    world.network.job(job).unwrap().certificate
}

fn moved(world: &mut World, id: CertificateId, update: SubmissionUpdate) {
    world.submission(SubmissionSubject::Certificate(id), update);
}

/// The jobs whose statements are being attested.
fn batched(world: &World) -> Vec<JobId> {
    let state = world.network.state();
    let leaves = state.open_batches.iter().flat_map(|root| state.batches[root].batch.leaves());
    leaves.map(|leaf| state.statements[&leaf.statement].opened.job()).collect()
}

#[test]
fn a_certificate_is_made_only_when_the_one_before_it_is_final() {
    let mut world = staffed();
    let second = world.planned(in_stream(2), 1);
    let first = voted(&mut world, in_stream(1), &[]);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let id = certificate(&world, &first).unwrap();
    let statement = world.prove_all(&second);
    for index in 0..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    // Whatever is not final can be taken back, and then anybody could post the second one first.
    let tx = inclusion(1).tx;
    let updates = [
        SubmissionUpdate::Sent { tx },
        SubmissionUpdate::Included(inclusion(1)),
        SubmissionUpdate::Reorged,
        SubmissionUpdate::Sent { tx },
        SubmissionUpdate::Included(inclusion(1)),
    ];
    for update in updates {
        moved(&mut world, id, update);
        world.pass(10_000);
        assert_eq!((world.state(&second), batched(&world)), (S::Verifying, vec![]));
        let why = world.network.explain(&second).unwrap().why;
        assert!(why.contains("stream") && why.contains(&first.to_string()), "{why}");
    }
    moved(&mut world, id, SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(batched(&world), vec![second]);
    world.attest(&[0, 1, 2, 3]);
    assert_eq!(world.state(&second), S::Certified);
}

#[test]
fn a_contract_job_lets_the_next_one_pass_before_its_settlement_is_final() {
    let mut world = staffed();
    let paid = JobSpec { stream: 1, sequence: 1, ..contract_spec(1, 1) };
    let first = voted(&mut world, paid, &[]);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let second = voted(&mut world, in_stream(2), &[]);
    world.pass(250);
    assert_eq!(batched(&world), vec![]);
    let id = certificate(&world, &first).unwrap();
    moved(&mut world, id, SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(world.state(&first), S::Submitted);
    assert_eq!(batched(&world), vec![second]);
}

#[test]
fn jobs_that_are_ready_together_go_out_in_one_certificate() {
    let mut world = staffed();
    let jobs = [3, 1, 2].map(in_stream);
    let jobs = jobs.map(|spec| world.planned(spec, 1));
    for job in &jobs {
        let statement = world.prove_all(job);
        for index in 0..4 {
            world.vote(index, statement, Verdict::Valid);
        }
    }
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let certificates = jobs.map(|job| certificate(&world, &job));
    assert!(certificates[0].is_some() && certificates.iter().all(|id| *id == certificates[0]));
}

#[test]
fn a_batch_that_is_split_leaves_the_later_one_behind() {
    let mut world = staffed();
    let first = voted(&mut world, in_stream(1), &[]);
    let second = voted(&mut world, in_stream(2), &[]);
    world.pass(250);
    assert_eq!(batched(&world).len(), 2);
    // Nobody attests.
    world.pass(5_000);
    assert_eq!(batched(&world), vec![first]);
    world.attest(&[0, 1, 2, 3]);
    world.pass(5_000);
    assert_eq!(batched(&world), vec![]);
    let id = certificate(&world, &first).unwrap();
    moved(&mut world, id, SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(batched(&world), vec![second]);
}

#[test]
fn what_cannot_share_a_batch_with_the_one_before_it_waits() {
    let mut world = staffed();
    // 30 of 100 dissent on each, and not the same ones: common voters hold only 40.
    let first = voted(&mut world, in_stream(1), &[1]);
    let second = voted(&mut world, in_stream(2), &[2, 3]);
    let other = voted(&mut world, spec(2, 1), &[2, 3]);
    world.pass(250);
    let mut open = batched(&world);
    open.sort_unstable();
    let mut expected = vec![first, other];
    expected.sort_unstable();
    assert_eq!(open, expected, "another requester's job waits for nobody");
    assert_eq!(world.state(&second), S::Verifying);
}

#[test]
fn nobody_waits_for_a_job_beyond_its_deadline_or_its_end() {
    let mut world = staffed();
    let soon = UnixSeconds::new(START.as_seconds().get() + 100);
    let paid = JobSpec { stream: 1, sequence: 1, deadline: soon, ..contract_spec(1, 1) };
    // Its chain alone ends it, later.
    let overdue = world.planned(paid, 1);
    let withdrawn = world.planned(in_stream(2), 1);
    let third = voted(&mut world, in_stream(3), &[]);
    world.pass(50_000);
    world.ok(Input::CancelJob { job: withdrawn, requester: address(1) });
    world.pass(49_999);
    assert_eq!(batched(&world), vec![]);
    world.pass(1);
    assert_eq!(batched(&world), vec![third]);
    assert!(!world.network.is_over(&overdue));
}

#[test]
fn a_gap_in_a_stream_ends_in_time_to_be_useful() {
    let mut world = staffed();
    let first = voted(&mut world, in_stream(1), &[]);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let id = certificate(&world, &first).unwrap();
    moved(&mut world, id, SubmissionUpdate::Final(inclusion(1)));
    let third = voted(&mut world, in_stream(3), &[]);
    world.pass(3_000_000);
    assert_eq!(batched(&world), vec![]);
    let why = world.network.explain(&third).unwrap().why;
    assert!(why.contains("2 of its stream is missing"), "{why}");
    let until = UnixSeconds::new(START.as_seconds().get() + 3540).as_millis();
    let left = until.since(world.now).get();
    world.pass(left);
    world.attest(&[0, 1, 2, 3]);
    assert_eq!(world.state(&third), S::Certified);
}

#[test]
fn a_restart_forgets_nobody_who_is_kept_back() {
    let mut world = staffed();
    let first = voted(&mut world, in_stream(1), &[]);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    let second = voted(&mut world, in_stream(2), &[]);
    world.pass(250);
    world.restart();
    world.pass(0);
    assert_eq!(batched(&world), vec![]);
    let id = certificate(&world, &first).unwrap();
    moved(&mut world, id, SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(batched(&world), vec![second]);
}

const NEVER_MS: u64 = 1 << 40;

/// Six proved or unproved jobs of one stream, some of them paid.
fn six_jobs() -> (World, Vec<JobId>) {
    let mut world = World::with(|config| {
        config.heartbeat_dead_after_ms = NEVER_MS;
        config.lease_max_ms = NEVER_MS;
        config.vote_timeout_ms = NEVER_MS;
    });
    world.epoch(1);
    world.connect(0, 64);
    let specs = (1..=6).map(|sequence| match sequence % 3 {
        0 => JobSpec { stream: 1, sequence, ..contract_spec(1, sequence) },
        _ => in_stream(sequence),
    });
    let jobs = specs.map(|spec| world.planned(spec, 1)).collect();
    (world, jobs)
}

/// Something happens that may, at any time and in any order.
fn anything(world: &mut World, random: &mut Random, jobs: &[JobId]) {
    let job = random.pick(jobs).unwrap();
    let known: Vec<_> = world.network.state().certificates.keys().copied().collect();
    match random.below(12) {
        0 | 1 if matches!(world.task(&job, 0).state, TaskState::Leased(_)) => world.prove(&job, 0),
        2..=4 if world.state(&job) == S::Verifying => {
            let statement = world.statement(&job);
            // Now and then somebody dissents, so that two statements do not fit into one batch.
            let dissents = random.below(8);
            for index in 0..STAKES.len() {
                let invalid = index > 0 && u64::try_from(index) == Ok(dissents);
                let verdict = if invalid { Verdict::Invalid } else { Verdict::Valid };
                world.vote(index, statement, verdict);
            }
        }
        5 => {
            world.pass([300, 6_000][usize::try_from(random.below(2)).unwrap()]);
        }
        6 | 7 if !world.network.state().open_batches.is_empty() => world.attest(&[0, 1, 2, 3]),
        8 if random.below(20) == 0 => {
            let requester = address(1);
            let _ = world.apply(Input::CancelJob { job, requester });
        }
        8 if random.below(10) == 0 => world.restart(),
        _ => {
            let Some(id) = random.pick(&known) else { return };
            let update = match random.below(5) {
                0 => SubmissionUpdate::Reorged,
                1 => SubmissionUpdate::Sent { tx: inclusion(1).tx },
                2 => SubmissionUpdate::Final(inclusion(1)),
                _ => SubmissionUpdate::Included(inclusion(1)),
            };
            moved(world, id, update);
        }
    }
}

#[test]
fn whatever_happens_a_stream_lands_in_order() {
    let mut pairs = 0;
    for seed in 0..60 {
        println!("seed {seed}");
        let (mut world, jobs) = six_jobs();
        let (mut random, mut chain) = (Random(seed), Chain::default());
        for _ in 0..150 {
            anything(&mut world, &mut random, &jobs);
            chain.follow(&world);
        }
        pairs += chain.pairs;
    }
    assert!(pairs > 100, "{pairs} pairs landed in order");
}
