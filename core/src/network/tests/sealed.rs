//! Sealed votes: commitments first, then the votes that open them.

use crate::epoch::MemberSet;
use crate::ids::{Commitment, EpochNumber, JobId, MemberIndex, StatementDigest};
use crate::job::JobSpec;
use crate::network::*;
use crate::sealed::{CommitSet, SealedVote};
use crate::statement::Verdict;
use crate::units::UnixSeconds;

use super::world::*;

use Verdict::{Invalid, Valid};

fn epoch() -> EpochNumber {
    EpochNumber::new(1)
}

fn asked() -> (World, JobId, StatementDigest) {
    let mut world = World::staffed();
    world.connect(0, 8);
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    (world, job, statement)
}

/// The sets that verifiers are asked to open to, and who is asked.
fn opened_to(effects: &[Effect]) -> Vec<(Vec<usize>, CommitSet)> {
    let index = |peer: &Peer| (0..4).find(|index| operator(*index) == peer.address).unwrap();
    let asked = |effect: &Effect| match effect {
        Effect::OpenReveal { verifiers, set } => {
            Some((verifiers.iter().map(index).collect(), set.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(asked).collect()
}

fn holders(set: &CommitSet) -> Vec<usize> {
    (0..4).filter(|i| set.commitments().iter().any(|(who, _)| *who == operator(*i))).collect()
}

fn sealed(world: &World, statement: StatementDigest) -> SealedRound {
    world.network.state().sealed.round(statement, epoch()).cloned().unwrap_or_default()
}

fn tally(world: &World, statement: StatementDigest) -> [u128; 2] {
    let round = &world.network.state().statements[&statement].rounds[&epoch()];
    Verdict::ALL.map(|verdict| round.tally.signed(verdict).get())
}

#[test]
fn the_commit_phase_closes_with_the_last_member_and_asks_everybody_in_the_set() {
    let (mut world, _, statement) = asked();
    for index in 0..3 {
        assert_eq!(world.commit(index, statement, Valid), Answer::Done);
        assert_eq!(world.phase(statement), VotePhaseKind::Committing);
        assert_eq!(opened_to(&world.effects), []);
    }
    world.commit(3, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    let [(asked, set)] = &opened_to(&world.effects)[..] else { panic!("{:?}", world.effects) };
    assert_eq!((asked, holders(set)), (&vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    let mine = world.sealed(2, statement, 1, Valid).commitment;
    assert!(set.holds(operator(2), mine) && !set.holds(operator(1), mine));
    assert_eq!((set.statement(), set.epoch()), (statement, epoch()));
}

#[test]
fn two_thirds_of_the_stake_wait_300_ms_for_the_others_and_no_longer() {
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    world.pass(10_000);
    // 70 of 100, and the clock runs from here.
    world.commit(1, statement, Valid);
    world.pass(200);
    world.commit(2, statement, Valid);
    assert_eq!(opened_to(&world.pass(99)), []);
    let [(asked, set)] = &opened_to(&world.pass(1))[..] else { panic!("not at 300 ms") };
    assert_eq!((asked, holders(set)), (&vec![0, 1, 2], vec![0, 1, 2]));
}

#[test]
fn who_cannot_judge_is_not_waited_for_once_two_thirds_are_there() {
    let abstain = |index, statement| Input::Abstained {
        operator: operator(index),
        epoch: epoch(),
        statement,
        reason: "time-out".into(),
    };
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    world.commit(1, statement, Valid);
    world.ok(abstain(2, statement));
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.ok(abstain(3, statement));
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);

    // Without two thirds whoever abstained is waited for: it may judge after all.
    let (mut world, job, statement) = asked();
    for index in 1..4 {
        world.commit(index, statement, Valid);
    }
    world.ok(abstain(0, statement));
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    assert_eq!(world.state(&job), JobStateKind::Held);
    world.commit(0, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    let abstained = &world.network.state().statements[&statement].rounds[&epoch()].abstentions;
    assert!(abstained.is_empty());
}

#[test]
fn at_the_cap_the_phase_closes_with_whoever_committed_and_the_rest_sit_again() {
    let (mut world, job, statement) = asked();
    world.commit(2, statement, Valid);
    world.commit(3, statement, Valid);
    let effects = world.pass(600_000);
    let [(asked, set)] = &opened_to(&effects)[..] else { panic!("not at the cap") };
    assert_eq!((asked, holders(set)), (&vec![2, 3], vec![2, 3]));
    assert_eq!(world.commit(0, statement, Valid), Answer::Late, "the set stands");
    world.reveal(2, statement, Valid).unwrap();
    assert_eq!(world.state(&job), JobStateKind::Held);
    world.reveal(3, statement, Valid).unwrap();
    // Opened, and nothing is decided: those without a vote are asked again, nobody else.
    let again: Vec<_> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::OpenVoting { verifiers, .. } => Some(verifiers.len()),
            _ => None,
        })
        .collect();
    assert_eq!(again, [2]);
    let refused = world.reveal(0, statement, Valid);
    assert_eq!(refused, Err(Refusal::StillSealed { statement, epoch: epoch() }));
    world.commit(0, statement, Valid);
    let [(asked, set)] = &opened_to(&world.pass(300))[..] else { panic!("70 of 100 committed") };
    assert_eq!((asked, holders(set)), (&vec![0], vec![0]), "what is open is not opened again");
    world.reveal(0, statement, Valid).unwrap();
    assert_eq!(tally(&world, statement), [70, 0]);
    assert!(world.network.state().pending.contains(&statement));
    assert_eq!(world.replayed().state(), world.network.state());
}

/// A member that commits and opens nothing, always in time for the set, cannot keep those out who
/// are a little slower: the second time nobody relies on it.
#[test]
fn who_opens_nothing_is_not_relied_on_in_another_sitting() {
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    world.commit(1, statement, Valid);
    world.pass(300);
    world.reveal(0, statement, Valid).unwrap();
    world.pass(60_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    // 40 are open. The 30 are there first again, and are not counted on.
    world.commit(1, statement, Valid);
    world.pass(10_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.commit(2, statement, Valid);
    world.commit(3, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    world.reveal(2, statement, Valid).unwrap();
    world.reveal(3, statement, Valid).unwrap();
    assert!(world.network.state().pending.contains(&statement));
    // It was in the set again, and may still open its vote: then it counts like any other.
    assert_eq!(world.reveal(1, statement, Valid), Ok(Answer::Done));
}

/// The dispatcher was cut off from everybody while votes were opened: nobody is unreliable for that.
#[test]
fn members_that_were_all_cut_off_sit_again_together() {
    let (mut world, _, statement) = asked();
    world.commit_rest(statement, Valid);
    let first = world.network.state().commit_set(statement, epoch()).unwrap();
    world.pass(60_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    // The first one back does not close the phase alone, and two thirds wait for the others.
    world.commit(3, statement, Valid);
    world.pass(1_000);
    world.commit(0, statement, Valid);
    world.commit(2, statement, Valid);
    assert_eq!(opened_to(&world.pass(299)), []);
    let [(asked, set)] = &opened_to(&world.pass(1))[..] else { panic!("not at 300 ms") };
    assert_eq!((asked, holders(set)), (&vec![0, 2, 3], vec![0, 2, 3]));
    assert_eq!((first.sitting(), set.sitting()), (0, 1));
    for index in [0, 2, 3] {
        assert_eq!(world.reveal(index, statement, Valid), Ok(Answer::Done));
    }
    assert!(world.network.state().pending.contains(&statement));
    assert_eq!(world.replayed().state(), world.network.state());
}

/// Two thirds are open already and divided; whoever has no vote yet has its 300 ms in each sitting.
#[test]
fn a_later_sitting_of_a_divided_vote_waits_300_ms_too() {
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    world.commit(1, statement, Invalid);
    world.pass(300);
    world.reveal(0, statement, Valid).unwrap();
    world.reveal(1, statement, Invalid).unwrap();
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.pass(10_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.commit(2, statement, Valid);
    assert_eq!(opened_to(&world.pass(299)), []);
    let [(asked, set)] = &opened_to(&world.pass(1))[..] else { panic!("not at 300 ms") };
    assert_eq!((asked, holders(set)), (&vec![2], vec![2]));
    world.reveal(2, statement, Valid).unwrap();
    world.commit(3, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing, "nobody else is left");
    world.reveal(3, statement, Valid).unwrap();
    assert!(world.network.state().pending.contains(&statement));
}

#[test]
fn sittings_are_bounded() {
    let mut world = World::staffed();
    world.connect(0, 8);
    let deadline = UnixSeconds::new(START.as_seconds().get() + 1_000_000);
    let job = world.planned(JobSpec { deadline, ..spec(1, 1) }, 1);
    let statement = world.prove_all(&job);
    for _ in 0..crate::limits::SITTINGS_MAX + 2 {
        if world.phase(statement) == VotePhaseKind::Committing {
            world.commit(0, statement, Valid);
            world.pass(600_000);
        }
        world.pass(60_000);
    }
    assert_eq!(world.phase(statement), VotePhaseKind::Over);
    assert_eq!(sealed(&world, statement).sittings, crate::limits::SITTINGS_MAX);
    let facts = world.journal.len();
    world.pass(1_000_000);
    assert_eq!(world.journal.len(), facts, "the next epoch decides");
    assert_eq!(world.state(&job), JobStateKind::Held);
    world.epoch(2);
    world.certify(&job);
}

#[test]
fn a_phase_without_a_commitment_begins_anew_at_the_cap() {
    let (mut world, _, statement) = asked();
    world.pass(700_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.commit(2, statement, Valid);
    assert_eq!(opened_to(&world.pass(499_999)), []);
    assert_eq!(opened_to(&world.pass(1)).len(), 1);
}

#[test]
fn nothing_is_opened_before_the_commit_set_stands() {
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    let facts = world.journal.len();
    for index in 0..2 {
        let refused = world.reveal(index, statement, Valid);
        assert_eq!(refused, Err(Refusal::StillSealed { statement, epoch: epoch() }));
    }
    assert_eq!(world.journal.len(), facts);
    assert_eq!((tally(&world, statement), sealed(&world, statement).late.len()), ([0, 0], 0));
}

/// Two networks whose verifiers think differently look the same until the commit set stands.
#[test]
fn no_tally_is_shown_before_the_reveal() {
    let look = |verdicts: [Verdict; 3]| {
        let (mut world, job, statement) = asked();
        for (index, verdict) in verdicts.into_iter().enumerate().map(|(i, v)| (i + 1, v)) {
            world.commit(index, statement, verdict);
        }
        world.pass(120_000);
        assert_eq!(world.state(&job), JobStateKind::Held);
        let network = &world.network;
        let view = network.job(&job).unwrap();
        let voting = view.voting.clone().unwrap();
        assert_eq!((voting.valid.get(), voting.invalid.get(), voting.votes.len()), (0, 0, 0));
        assert_eq!(voting.committed.get(), 60);
        let explained = network.explain(&job).unwrap();
        format!("{view:?} {explained:?} {:?}", network.stats())
    };
    assert_eq!(look([Valid; 3]), look([Invalid; 3]));
    assert_eq!(look([Valid; 3]), look([Valid, Invalid, Valid]));
}

#[test]
fn the_explanation_says_how_much_committed_and_not_to_what() {
    let (mut world, job, statement) = asked();
    world.commit(1, statement, Valid);
    let why = world.network.explain(&job).unwrap().why;
    assert_eq!(
        why,
        "epoch 1: votes are sealed; 30 wei of 100 wei committed, two thirds are needed"
    );
}

#[test]
fn whoever_is_late_is_kept_not_counted_and_not_asked_to_attest() {
    let (mut world, job, statement) = asked();
    for index in 0..2 {
        world.commit(index, statement, Valid);
    }
    world.pass(300);
    assert_eq!(world.commit(2, statement, Valid), Answer::Late);
    assert_eq!(holders(&world.network.state().commit_set(statement, epoch()).unwrap()), [0, 1]);
    for index in 0..2 {
        assert_eq!(world.reveal(index, statement, Valid), Ok(Answer::Done));
    }
    assert_eq!(world.reveal(2, statement, Valid), Ok(Answer::Late));
    assert_eq!(tally(&world, statement), [70, 0]);
    assert_eq!(sealed(&world, statement).late.len(), 1);
    let facts = world.journal.len();
    assert_eq!(world.reveal(2, statement, Valid), Ok(Answer::Late));
    assert_eq!(world.journal.len(), facts, "it is written down once");
    let evidence = world.network.evidence(&job).unwrap();
    let told = evidence[0].votes.iter().map(|vote| vote.operator);
    assert_eq!(told.collect::<Vec<_>>(), [0, 1, 2].map(operator), "evidence all the same");
    // Its other word is a contradiction all the same, told once.
    assert_eq!(world.reveal(2, statement, Invalid), Ok(Answer::Late));
    let facts = world.journal.len();
    world.reveal(2, statement, Invalid).unwrap();
    assert_eq!(world.journal.len(), facts);
    assert_eq!(world.network.explain(&job).unwrap().contradictions.len(), 1);
    let effects = world.pass(250);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::RequestAttestation { verifiers, .. } => Some(verifiers.len()),
        _ => None,
    });
    assert_eq!(asked, Some(2));
    let root = *world.network.state().open_batches.first().unwrap();
    let named = *world.network.state().batches[&root].tally.attestation();
    let attestation = world.attestation(2, named);
    assert_eq!(world.ok(Input::AttestationReceived { attestation }), Answer::Late, "not paid");
    world.attest(&[0, 1]);
    assert_eq!(world.state(&job), JobStateKind::Certified);
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn committing_without_opening_is_an_abstention() {
    let (mut world, job, statement) = asked();
    world.commit_rest(statement, Valid);
    for index in 1..4 {
        world.reveal(index, statement, Valid).unwrap();
    }
    world.pass(59_999);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    world.pass(1);
    let round = &world.network.state().statements[&statement].rounds[&epoch()];
    assert_eq!(round.abstentions.keys().copied().collect::<Vec<_>>(), [operator(0)]);
    assert_eq!(round.tally.abstained().get(), 40);
    let JobState::Held { reason, .. } = &world.network.state().jobs[&job].state else {
        panic!("the job is not held");
    };
    assert!(matches!(reason, HoldReason::Unjudgeable(_)), "{reason}");
    // Having seen the others it opens its vote after all: not without committing to it again.
    let refused = world.reveal(0, statement, Valid);
    assert_eq!(refused, Err(Refusal::StillSealed { statement, epoch: epoch() }));
    assert_eq!(tally(&world, statement), [60, 0]);
    assert_eq!(world.state(&job), JobStateKind::Held);
}

#[test]
fn a_decision_waits_for_nobody_and_the_rest_still_have_their_time() {
    let (mut world, _, statement) = asked();
    world.commit_rest(statement, Valid);
    world.reveal(0, statement, Valid).unwrap();
    world.reveal(1, statement, Valid).unwrap();
    assert!(world.network.state().pending.contains(&statement));
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    world.reveal(2, statement, Valid).unwrap();
    world.pass(60_000);
    let round = &world.network.state().statements[&statement].rounds[&epoch()];
    assert_eq!(round.abstentions.keys().copied().collect::<Vec<_>>(), [operator(3)]);
}

/// What a hostile member sends in the reveal phase, and what comes of it.
#[test]
fn only_the_vote_that_was_committed_to_opens_a_commitment() {
    let (mut world, _, statement) = asked();
    // Garbage, a copy of another's commitment, and an honest one.
    let garbage = Commitment::from_bytes([0xbb; 32]);
    let copied = world.sealed(0, statement, 1, Valid).commitment;
    for (index, commitment) in [(2, garbage), (3, copied)] {
        let sealed = SealedVote { commitment, ..world.sealed(index, statement, 1, Valid) };
        assert_eq!(world.ok(Input::CommitReceived { sealed }), Answer::Done);
    }
    world.commit(0, statement, Valid);
    world.commit(1, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    // A wrong salt, then another verdict, then what was committed to: the first word is the other.
    let vote = world.signed_vote(1, statement, 1, Valid);
    let wrong = Input::VoteReceived { vote, detail: None, salt: salt(2) };
    assert_eq!(world.ok(wrong), Answer::Late);
    assert_eq!(tally(&world, statement), [0, 0]);
    assert_eq!(world.reveal(1, statement, Valid), Ok(Answer::Done), "the right salt opens it");
    assert_eq!(world.reveal(0, statement, Invalid), Ok(Answer::Late));
    world.reveal(0, statement, Valid).unwrap();
    assert_eq!(tally(&world, statement), [30, 0], "two signed verdicts count for nothing");
    // The copycat knows vote and salt of the one whom it copied, and can sign only for itself.
    let vote = world.signed_vote(3, statement, 1, Valid);
    assert_eq!(world.ok(Input::VoteReceived { vote, detail: None, salt: salt(0) }), Answer::Late);
    assert_eq!(world.reveal(2, statement, Valid), Ok(Answer::Late));
    assert_eq!(tally(&world, statement), [30, 0]);
    let round = &world.network.state().statements[&statement].rounds[&epoch()];
    assert_eq!(round.tally.evidence().count(), 1);
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn a_second_commitment_is_refused_and_the_first_one_stands() {
    let (mut world, _, statement) = asked();
    world.commit(0, statement, Valid);
    let facts = world.journal.len();
    assert_eq!(world.commit(0, statement, Valid), Answer::Done, "the same again");
    let other = world.sealed(0, statement, 1, Invalid);
    let refused = world.apply(Input::CommitReceived { sealed: other });
    assert_eq!(refused, Err(Refusal::CommittedOtherwise { statement, epoch: epoch() }));
    assert_eq!(world.journal.len(), facts);
    world.commit_rest(statement, Valid);
    let again = world.apply(Input::CommitReceived { sealed: other });
    assert!(matches!(again, Err(Refusal::CommittedOtherwise { .. })));
    assert_eq!(world.commit(0, statement, Valid), Answer::Done);
}

#[test]
fn commitments_of_strangers_unknown_votes_and_other_tables_are_refused() {
    let (mut world, _, statement) = asked();
    let good = world.sealed(0, statement, 1, Valid);
    let cases = [
        SealedVote { operator: address(0x99), ..good },
        SealedVote { statement: StatementDigest::ZERO, ..good },
        SealedVote { epoch: EpochNumber::new(9), ..good },
        SealedVote { table: crate::ids::TableDigest::ZERO, ..good },
    ];
    let facts = world.journal.len();
    for sealed in cases {
        assert!(world.apply(Input::CommitReceived { sealed }).is_err(), "{sealed:?}");
    }
    assert_eq!(world.journal.len(), facts);
}

#[test]
fn a_restart_in_any_phase_asks_for_exactly_what_is_missing() {
    let (mut world, job, statement) = asked();
    world.commit(0, statement, Valid);
    world.restart();
    let offered = |world: &World| {
        world
            .effects
            .iter()
            .any(|e| matches!(e, Effect::OpenVoting { digest, .. } if *digest == statement))
    };
    world.verifier(0);
    assert!(!offered(&world), "it committed");
    for index in 1..4 {
        world.verifier(index);
        assert!(offered(&world));
    }
    world.commit_rest(statement, Valid);
    let set = world.network.state().commit_set(statement, epoch()).unwrap();
    world.reveal(0, statement, Valid).unwrap();
    world.restart();
    world.verifier(0);
    assert_eq!(opened_to(&world.effects), [], "it opened its vote");
    world.verifier(1);
    assert_eq!(opened_to(&world.effects), [(vec![1], set.clone())], "the same set as before");
    assert!(!offered(&world));
    // Whoever was cut off by the restart has the whole time again.
    world.pass(59_999);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    world.reveal(1, statement, Valid).unwrap();
    world.pass(1);
    assert_eq!(world.phase(statement), VotePhaseKind::Over);
    world.restart();
    world.pass(0);
    world.verifier(3);
    assert_eq!(opened_to(&world.effects), []);
    world.verifier(0);
    world.verifier(1);
    world.pass(250);
    world.attest(&[0, 1]);
    world.pass(5_000);
    assert_eq!(world.state(&job), JobStateKind::Certified);
}

#[test]
fn a_restart_after_a_long_outage_does_not_close_on_whoever_is_there_first() {
    let (mut world, _, statement) = asked();
    world.commit(3, statement, Valid);
    world.now = world.now.after(crate::units::Millis::new(1_000_000));
    world.restart();
    world.pass(1_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    world.commit(0, statement, Valid);
    world.commit(1, statement, Valid);
    world.restart();
    world.pass(300);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing, "two thirds wait for 300 ms");
}

#[test]
fn an_excluded_member_is_neither_waited_for_nor_in_the_set() {
    let (mut world, _, statement) = asked();
    world.commit(1, statement, Valid);
    world.commit(3, statement, Valid);
    let members: MemberSet = [MemberIndex::new(3)].into_iter().collect();
    world.ok(Input::MembersExcluded { epoch: epoch(), members });
    world.commit(2, statement, Valid);
    world.commit(0, statement, Valid);
    assert_eq!(world.phase(statement), VotePhaseKind::Revealing);
    assert_eq!(holders(&world.network.state().commit_set(statement, epoch()).unwrap()), [0, 1, 2]);
    assert_eq!(world.reveal(3, statement, Valid), Ok(Answer::Late));
}

#[test]
fn an_epoch_roll_seals_the_vote_anew() {
    let (mut world, job, statement) = asked();
    world.commit_rest(statement, Valid);
    world.reveal(0, statement, Valid).unwrap();
    world.epoch(2);
    world.pass(60_000);
    assert_eq!(world.phase(statement), VotePhaseKind::Committing);
    let before = world.sealed(0, statement, 1, Valid).commitment;
    assert_ne!(before, world.sealed(0, statement, 2, Valid).commitment);
    // A vote of the old epoch counts there alone, and the new one is still sealed.
    world.commit(0, statement, Valid);
    let refused = world.reveal(0, statement, Valid);
    assert_eq!(refused, Err(Refusal::StillSealed { statement, epoch: EpochNumber::new(2) }));
    let old = world.sealed(1, statement, 1, Valid);
    assert_eq!(world.ok(Input::CommitReceived { sealed: old }), Answer::Done, "as it did");
    world.certify(&job);
}

#[test]
fn what_is_sealed_is_forgotten_with_its_votes() {
    let (mut world, job, statement) = asked();
    world.commit_rest(statement, Valid);
    world.ok(Input::CancelJob { job, requester: address(1) });
    assert_eq!(world.network.state().sealed.rounds().count(), 1);
    for _ in 0..40 {
        world.pass(86_400_000);
    }
    assert!(world.network.state().statements.is_empty());
    assert_eq!(world.network.state().sealed, SealedVotes::default());
}
