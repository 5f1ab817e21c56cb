//! Certificates and settlements on their way on-chain: when they are ordered, and ordered again.

use crate::ids::{JobId, SessionId};
use crate::network::*;

use super::world::*;

use JobStateKind as S;

fn certified(spec: crate::job::JobSpec) -> (World, JobId, SubmissionSubject) {
    let mut world = World::staffed();
    world.connect(0, 8);
    let job = world.planned(spec, 1);
    world.prove_all(&job);
    let subject = SubmissionSubject::Certificate(world.certify(&job));
    (world, job, subject)
}

fn settles(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::SettleJob { .. }))
}

fn posts(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::SubmitCertificate { .. }))
}

#[test]
fn a_settlement_is_ordered_as_soon_as_its_certificate_is_in_a_block() {
    let (mut world, job, subject) = certified(contract_spec(1, 1));
    world.submission(subject, SubmissionUpdate::Sent { tx: inclusion(1).tx });
    assert!(!settles(&world.effects));
    world.submission(subject, SubmissionUpdate::Included(inclusion(1)));
    assert!(settles(&world.effects), "an escrow that must be held cannot wait for finality");
    // An oracle that comes back gets it again.
    world.oracle();
    assert!(settles(&world.effects));
    // Undone, the settlement is no longer due; included again, it is.
    world.submission(subject, SubmissionUpdate::Reorged);
    assert!(posts(&world.effects) && !settles(&world.effects));
    world.submission(subject, SubmissionUpdate::Included(inclusion(2)));
    assert!(settles(&world.effects));
    let settle = SubmissionSubject::Settle(job);
    world.submission(settle, SubmissionUpdate::Final(inclusion(3)));
    assert_eq!(world.state(&job), S::Settled);
    world.submission(subject, SubmissionUpdate::Final(inclusion(2)));
    assert!(!settles(&world.effects));
    assert!(world.network.state().posting.is_empty());
}

#[test]
fn a_refused_certificate_is_tried_again_for_as_long_as_it_is_owed() {
    let (mut world, job, subject) = certified(spec(1, 1));
    let longest = world.network.config().submit_retry_max_ms;
    let failed = || SubmissionUpdate::Failed(SubmissionFailure::Unavailable("down".into()));
    for _ in 0..40 {
        world.submission(subject, failed());
        assert!(posts(&world.pass(longest)));
    }
    world.submission(subject, SubmissionUpdate::Final(inclusion(1)));
    assert_eq!(world.state(&job), S::Settled);
    assert!(!posts(&world.pass(longest)));
}

#[test]
fn a_certificate_whose_epoch_ended_without_a_successor_goes_on_with_the_next_epoch() {
    let (mut world, job, subject) = certified(spec(1, 1));
    let over = || SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted);
    for _ in 0..12 {
        world.submission(subject, over());
    }
    assert_eq!(world.state(&job), S::Certified);
    world.epoch(2);
    assert!(posts(&world.pass(0)), "asked again at once, and not when the next try is due");
    world.submission(subject, over());
    assert_eq!(world.state(&job), S::Verifying);
    assert_ne!(SubmissionSubject::Certificate(world.certify(&job)), subject);
}

#[test]
fn how_a_certificate_is_published_is_written_down_once_and_moves_nothing() {
    let (mut world, job, subject) = certified(spec(1, 1));
    let why = "published by attestation of one: nothing else waits (187716 gas)";
    let chosen = || SubmissionUpdate::Chosen { why: why.to_owned() };
    let told = |world: &World| {
        let history = world.network.job(&job).unwrap().history;
        history.iter().filter(|entry| entry.reason == why).count()
    };
    world.submission(subject, chosen());
    world.submission(subject, chosen());
    assert_eq!((world.state(&job), told(&world)), (S::Certified, 1));
    world.submission(subject, SubmissionUpdate::Sent { tx: inclusion(1).tx });
    assert_eq!(world.state(&job), S::Submitted);
    world.submission(subject, chosen());
    assert_eq!((world.state(&job), told(&world)), (S::Submitted, 1), "said again after a login");
    world.submission(subject, SubmissionUpdate::Final(inclusion(1)));
    let ended = world.network.job(&job).unwrap().history.len();
    let other = SubmissionUpdate::Chosen { why: "another word".to_owned() };
    world.submission(subject, other);
    let history = world.network.job(&job).unwrap().history.len();
    assert_eq!((world.state(&job), history), (S::Settled, ended), "what is over is left alone");
}

#[test]
fn an_oracle_stays_known_when_an_older_connection_ends_after_it() {
    let (mut world, job, subject) = certified(spec(1, 1));
    let session = SessionId::new(50);
    let older = SessionId::new(40);
    for session in [session, older] {
        world.ok(Input::OracleConnected { chain: CHAIN, session });
    }
    world.ok(Input::OracleDisconnected { chain: CHAIN, session: older });
    assert_eq!(world.network.stats().oracles, 2);
    assert!(posts(&world.effects), "what the lost connection may not have got goes to the other");
    world.submission(subject, SubmissionUpdate::Failed(SubmissionFailure::Refused("no".into())));
    let retry = 2 * world.network.config().submit_retry_ms;
    assert!(posts(&world.pass(retry)), "an oracle is connected, so it is asked again");
    assert_eq!(world.state(&job), S::Certified);
}

#[test]
fn a_direct_job_whose_certificate_is_dropped_after_its_deadline_expires() {
    let (mut world, job, subject) = certified(spec(1, 1));
    let config = world.network.config();
    let over = 3_600_000 + config.deadline_grace_ms;
    world.pass(over);
    assert_eq!(world.state(&job), S::Certified, "what is certified may still be posted");
    world.epoch(2);
    let refused = SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted);
    world.submission(subject, refused);
    assert_eq!(world.state(&job), S::Verifying);
    world.pass(0);
    assert_eq!(world.state(&job), S::Expired);
}
