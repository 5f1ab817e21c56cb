//! Rules at the seams: what a chain created against what anybody submits for free, a delivery
//! against the journal of uploads, and an administrator against finished work.

use crate::ids::BlobDigest;
use crate::job::JobSpec;
use crate::network::*;
use crate::units::ByteCount;

use super::world::*;

use JobStateKind as S;

fn direct(world: &mut World, spec: JobSpec) -> Result<Answer, Refusal> {
    world.apply(Input::SubmitJob { spec, provenance: Provenance::Direct })
}

fn created(world: &mut World, spec: JobSpec, log_index: u64) -> Result<Answer, Refusal> {
    let provenance = Provenance::Chain(event(log_index));
    world.apply(Input::SubmitJob { spec, provenance })
}

fn assert_replays(world: &World) {
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn free_jobs_never_keep_a_paid_one_out() {
    let mut world = World::with(|config| {
        config.live_jobs_max = 2;
        config.live_jobs_per_requester_max = 1;
    });
    direct(&mut world, spec(1, 1)).unwrap();
    // Its own free job fills the requester's room, then a stranger's the network's.
    let own = contract_spec(1, 2);
    assert_eq!(created(&mut world, own.clone(), 1), Ok(Answer::JobAccepted(own.id())));
    let full = Err(Refusal::QueueFull { live: 2, max: 2 });
    assert_eq!(direct(&mut world, spec(2, 1)), full);
    let other = contract_spec(2, 1);
    assert_eq!(created(&mut world, other.clone(), 2), Ok(Answer::JobAccepted(other.id())));
    assert_eq!(world.network.stats().live_jobs, 3);
    assert_replays(&world);
}

#[test]
fn a_nonce_of_a_free_job_is_not_that_of_a_paid_one() {
    let mut world = World::new();
    let (free, paid) = (spec(1, 1), contract_spec(1, 1));
    direct(&mut world, free.clone()).unwrap();
    assert_eq!(created(&mut world, paid.clone(), 1), Ok(Answer::JobAccepted(paid.id())));
    assert_eq!(world.state(&paid.id()), S::AwaitingInput);
    assert_replays(&world);
    // Told again after a reorganisation, both are what they were.
    assert_eq!(created(&mut world, paid.clone(), 9), Ok(Answer::AlreadyKnown(paid.id())));
    assert_eq!(direct(&mut world, free.clone()), Ok(Answer::AlreadyKnown(free.id())));
    let mut other = free.clone();
    other.claim = crate::ids::Claim::from_bytes([1; 32]);
    let used = Err(Refusal::NonceUsed { existing: free.id() });
    assert_eq!(direct(&mut world, other), used);
}

#[test]
fn a_paid_job_leaves_its_nonce_to_free_ones() {
    let mut world = World::new();
    created(&mut world, contract_spec(1, 1), 1).unwrap();
    let free = spec(1, 1);
    assert_eq!(direct(&mut world, free.clone()), Ok(Answer::JobAccepted(free.id())));
    assert_replays(&world);
}

#[test]
fn a_chain_that_claims_a_free_jobs_words_leaves_the_job_to_nobody_else() {
    let mut world = World::new();
    // The contract never makes such a job: it is written down and refused, under the same id.
    let free = spec(1, 1);
    created(&mut world, free.clone(), 1).unwrap();
    assert_eq!(world.state(&free.id()), S::Rejected);
    assert_eq!(direct(&mut world, free.clone()), Ok(Answer::AlreadyKnown(free.id())));
    assert_replays(&world);
}

#[test]
fn a_delivered_proof_is_booked_even_if_its_upload_was_never_journaled() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    let digest = proof(&lease.task, lease.attempt);
    let book = &world.network.state().blobs[&digest];
    assert_eq!(book.bytes, ByteCount::new(1000));
    assert_eq!(book.stored_at, world.now);
    assert!(book.users.contains(&job));
    assert!(!world.network.state().unclaimed_blobs.contains(&digest));
    assert_replays(&world);
    // The upload told again changes nothing; one of another length is refused.
    let facts = world.journal.len();
    let stored = |bytes| Input::BlobStored { digest, bytes: ByteCount::new(bytes) };
    assert_eq!(world.apply(stored(1000)), Ok(Answer::Done));
    let (known, got) = (ByteCount::new(1000), ByteCount::new(1001));
    assert_eq!(world.apply(stored(1001)), Err(Refusal::BlobLength { known, got }));
    assert_eq!(world.journal.len(), facts);
    // It is deleted with its job.
    world.judged(&job, 0, (holder, lease));
    world.ok(Input::CancelJob { job, requester: address(1) });
    let retention = world.network.config().blob_retention_ms;
    let effects = world.pass(retention);
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::DeleteBlob { digest: deleted } if *deleted == digest)));
    assert!(!world.network.state().blobs.contains_key(&digest));
}

#[test]
fn a_journal_that_tells_of_an_upload_after_its_delivery_still_replays() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    world.complete(holder, lease).unwrap();
    let digest = proof(&lease.task, lease.attempt);
    let stored = |bytes| {
        let change = Change::BlobStored { digest, bytes: ByteCount::new(bytes) };
        Fact { at: START, change }
    };
    let mut state = world.network.state().clone();
    state.evolve(&stored(1000)).unwrap();
    assert_eq!(state.blobs, world.network.state().blobs);
    assert!(!state.unclaimed_blobs.contains(&digest));
    let other = state.evolve(&stored(1001)).unwrap_err();
    assert!(matches!(other, EvolveError::Repeated { .. }));
}

#[test]
fn a_job_whose_input_is_a_proof_goes_on_when_the_proof_is_delivered() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    let mut next = spec(2, 1);
    let input: BlobDigest = proof(&lease.task, lease.attempt);
    next.input = input;
    next.limits.input_bytes = ByteCount::new(1000);
    direct(&mut world, next.clone()).unwrap();
    assert_eq!(world.state(&next.id()), S::AwaitingInput);
    world.complete(holder, lease).unwrap();
    assert_eq!(world.state(&next.id()), S::Accepted);
    assert_eq!(world.network.state().blobs[&input].users, [job, next.id()].into());
    assert_replays(&world);
}

#[test]
fn a_requeue_leaves_a_proof_at_intake_alone() {
    let mut world = World::staffed();
    world.connect(0, 1);
    world.connect(1, 1);
    let job = world.planned(spec(1, 1), 1);
    let held = world.lease(&job, 0);
    world.complete(held.0, held.1).unwrap();
    let facts = world.journal.len();
    assert_eq!(world.apply(Input::RequeueTask { task: held.1.task }), Ok(Answer::Done));
    assert!(world.effects.is_empty(), "{:?}", world.effects);
    assert_eq!(world.journal.len(), facts);
    assert_eq!(world.lease(&job, 0), held);
    world.judged(&job, 0, held);
    assert_eq!(world.state(&job), S::Verifying);
    assert_eq!(world.network.state().workers[&held.0].accepted, 1);
}
