//! Members that the home chain excluded: they count for nothing, their stake stays in the total.

use crate::epoch::MemberSet;
use crate::ids::{CertificateId, EpochNumber, JobId, MemberIndex, StatementDigest};
use crate::network::*;
use crate::statement::Verdict;

use super::world::*;

use JobStateKind as S;

fn members(indices: &[u16]) -> MemberSet {
    indices.iter().copied().map(MemberIndex::new).collect()
}

fn exclude(world: &mut World, epoch: u64, indices: &[u16]) -> Result<Answer, Refusal> {
    let (epoch, members) = (EpochNumber::new(epoch), members(indices));
    world.apply(Input::MembersExcluded { epoch, members })
}

fn voted(indices: &[usize]) -> (World, JobId, StatementDigest) {
    let mut world = World::staffed();
    world.connect(0, 8);
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    for index in indices {
        world.vote(*index, statement, Verdict::Valid);
    }
    (world, job, statement)
}

fn signers(world: &World, id: &CertificateId) -> Vec<u16> {
    let certificate = &world.network.state().certificates[id].certificate;
    (0..4).filter(|i| !certificate.non_signers.contains(&MemberIndex::new(*i))).collect()
}

fn certified(world: &World, job: &JobId) -> CertificateId {
    match world.network.state().jobs[job].state {
        JobState::Certified { certificate } => certificate,
        ref other => panic!("job is {other:?}"),
    }
}

#[test]
fn the_stake_of_an_excluded_member_is_in_the_total_and_not_in_the_sum() {
    let (mut world, job, statement) = voted(&[]);
    assert_eq!(exclude(&mut world, 1, &[3]), Ok(Answer::Done));
    // 60 of 100; the excluded 10 would make 70.
    for index in [0, 2] {
        assert_eq!(world.vote(index, statement, Verdict::Valid), Answer::Done);
    }
    assert_eq!(world.vote(3, statement, Verdict::Valid), Answer::Late, "evidence, not counted");
    assert!(world.network.state().pending.is_empty());
    let view = world.network.job(&job).unwrap().voting.unwrap();
    assert_eq!((view.valid.get(), view.total.get(), view.votes.len()), (60, 100, 2));
    world.vote(1, statement, Verdict::Valid);
    assert!(world.network.state().pending.contains(&statement));
}

#[test]
fn an_excluded_member_is_not_asked_and_its_attestation_is_not_taken() {
    let (mut world, job, _) = voted(&[0, 1, 2, 3]);
    exclude(&mut world, 1, &[2]).unwrap();
    let effects = world.pass(250);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::RequestAttestation { verifiers, .. } => Some(verifiers),
        _ => None,
    });
    let asked: Vec<_> = asked.unwrap().iter().map(|peer| peer.address).collect();
    assert_eq!(asked, [operator(0), operator(1), operator(3)]);
    let root = *world.network.state().open_batches.first().unwrap();
    let named = *world.network.state().batches[&root].tally.attestation();
    let attestation = world.attestation(2, named);
    assert_eq!(world.ok(Input::AttestationReceived { attestation }), Answer::Late);
    world.attest(&[0, 1, 3]);
    assert_eq!(signers(&world, &certified(&world, &job)), [0, 1, 3]);
    world.network.check_signatures().unwrap();
}

#[test]
fn an_exclusion_while_a_batch_is_attested_drops_what_the_member_signed() {
    let (mut world, job, _) = voted(&[0, 1, 2, 3]);
    world.pass(250);
    world.attest(&[2]);
    exclude(&mut world, 1, &[2]).unwrap();
    world.restart();
    world.attest(&[0, 1, 3]);
    assert_eq!(signers(&world, &certified(&world, &job)), [0, 1, 3]);
}

#[test]
fn a_quorum_that_needs_an_excluded_member_is_none_and_the_next_epoch_decides() {
    for in_batch in [false, true] {
        let (mut world, job, statement) = voted(&[0, 1, 2, 3]);
        if in_batch {
            world.pass(250);
            assert_eq!(world.network.state().open_batches.len(), 1);
        }
        exclude(&mut world, 1, &[0]).unwrap();
        // 60 of 100 is all that can still sign.
        assert_eq!(world.state(&job), S::Held);
        assert!(world.network.state().open_batches.is_empty());
        assert!(world.network.state().voting.contains(&statement));
        world.restart();
        world.pass(0);
        assert_eq!(world.state(&job), S::Held);
        for index in 0..4 {
            world.verifier(index);
        }
        world.epoch(2);
        let id = world.certify(&job);
        assert_eq!(signers(&world, &id), [0, 1, 2, 3], "excluded from epoch 1 alone");
    }
}

#[test]
fn a_certificate_that_names_an_excluded_signer_is_made_again_without() {
    let (mut world, job, _) = voted(&[]);
    let id = world.certify(&job);
    assert_eq!(signers(&world, &id), [0, 1, 2, 3]);
    let subject = SubmissionSubject::Certificate(id);
    let refused = || SubmissionUpdate::Failed(SubmissionFailure::ExcludedSigner(members(&[1])));
    world.submission(subject, refused());
    assert_eq!(world.state(&job), S::Verifying);
    let effects = world.pass(250);
    assert!(effects.iter().any(|e| matches!(e, Effect::RequestAttestation { .. })));
    world.attest(&[0, 2, 3]);
    assert_eq!(certified(&world, &job), id, "who signed is no part of a certificate's name");
    assert_eq!(signers(&world, &id), [0, 2, 3]);
    let posted = world.effects.iter().find_map(|effect| match effect {
        Effect::SubmitCertificate { certificate, .. } => Some(certificate.non_signers.clone()),
        _ => None,
    });
    assert_eq!(posted, Some(vec![MemberIndex::new(1)]));
    // Told once more, it is about the certificate before this one.
    world.submission(subject, refused());
    assert_eq!(certified(&world, &job), id);
    // The chain's own word comes when its block is final, and changes nothing more.
    let facts = world.journal.len();
    assert_eq!(exclude(&mut world, 1, &[1]), Ok(Answer::Done));
    assert_eq!(world.journal.len(), facts);
    assert_eq!(world.replayed().state(), world.network.state());
    world.network.check_signatures().unwrap();
}

#[test]
fn exclusions_of_unknown_epochs_and_members_change_nothing() {
    let mut world = World::new();
    assert_eq!(exclude(&mut world, 2, &[0]), Err(Refusal::UnknownEpoch(EpochNumber::new(2))));
    world.epoch(2);
    let facts = world.journal.len();
    assert_eq!(exclude(&mut world, 1, &[0]), Ok(Answer::Late));
    assert_eq!(exclude(&mut world, 2, &[4, 255]), Ok(Answer::Done));
    assert_eq!(world.journal.len(), facts);
    assert_eq!(exclude(&mut world, 2, &[3, 4]), Ok(Answer::Done));
    assert_eq!(world.network.state().excluded_from(EpochNumber::new(2)), members(&[3]));
}
