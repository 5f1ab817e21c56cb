//! The first word of a key stands: whatever it says otherwise later is kept and never counted.

use crate::ids::EpochNumber;
use crate::network::*;
use crate::statement::Verdict;

use super::world::*;

use JobStateKind as S;

fn staffed() -> World {
    let mut world = World::staffed();
    world.connect(0, 8);
    world
}

fn signed(world: &World, statement: crate::ids::StatementDigest, epoch: u64) -> [u128; 2] {
    let round = &world.network.state().statements[&statement].rounds[&EpochNumber::new(epoch)];
    Verdict::ALL.map(|verdict| round.tally.signed(verdict).get())
}

impl World {
    /// What the facts prove, each read once everything has happened.
    fn told(&self) -> Vec<Contradiction> {
        let state = self.network.state();
        let facts = self.journal.iter().map(|bytes| Fact::decode(bytes).unwrap());
        facts.flat_map(|fact| state.contradictions_of(&fact.change)).collect()
    }

    fn explained(&self, job: &crate::ids::JobId) -> Vec<Contradiction> {
        self.network.explain(job).unwrap().contradictions
    }
}

fn blame(segment: u32, reason: &str) -> Option<InvalidDetail> {
    Some(InvalidDetail { segment, reason: reason.into() })
}

#[test]
fn a_key_that_votes_otherwise_in_another_epoch_is_not_counted_there() {
    let mut world = staffed();
    world.minds = [None, None, Some(Verdict::Invalid), Some(Verdict::Invalid)];
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    world.vote(0, statement, Verdict::Valid);
    world.epoch(2);
    world.pass(60_000);
    world.vote(1, statement, Verdict::Valid);
    world.vote(0, statement, Verdict::Invalid);
    world.vote(2, statement, Verdict::Invalid);
    world.vote(3, statement, Verdict::Invalid);
    // With its 40 of 100 there would be a quorum for invalid.
    assert_eq!((world.state(&job), signed(&world, statement, 2)), (S::Verifying, [30, 30]));
    let view = world.network.job(&job).unwrap().voting.unwrap();
    assert_eq!(view.equivocators, vec![operator(0)]);
    let said = world.told();
    assert_eq!(said, world.explained(&job));
    let [one] = &said[..] else { panic!("{said:?}") };
    assert_eq!((one.operator, one.statement), (operator(0), statement));
    let word = |verdict, epoch| Word::Voted(verdict, EpochNumber::new(epoch));
    assert_eq!((one.first, one.second), (word(Verdict::Valid, 1), word(Verdict::Invalid, 2)));
    assert_eq!(
        one.to_string(),
        format!(
            "{} contradicts itself: it voted valid in epoch 1 and voted invalid in epoch 2 on \
             statement {statement}; the second is kept as evidence and does not count",
            operator(0),
        )
    );
    // Told again it is not written down again; and the key may still stand by its first word.
    let facts = world.journal.len();
    world.vote(0, statement, Verdict::Invalid);
    assert_eq!(world.journal.len(), facts);
    world.vote(0, statement, Verdict::Valid);
    assert_eq!(signed(&world, statement, 2), [70, 30]);
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn a_late_vote_of_an_older_epoch_against_the_newer_one_is_evidence_too() {
    let mut world = staffed();
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    world.epoch(2);
    world.pass(60_000);
    world.vote(0, statement, Verdict::Valid);
    let late = world.signed_vote(0, statement, 1, Verdict::Invalid);
    let detail = blame(0, "late");
    assert_eq!(world.ok(Input::VoteReceived { vote: late, detail, salt: salt(0) }), Answer::Late);
    assert_eq!((signed(&world, statement, 1), signed(&world, statement, 2)), ([0, 0], [40, 0]));
    let rounds = &world.network.state().statements[&statement].rounds;
    let evidence = rounds[&EpochNumber::new(1)].tally.evidence().next().unwrap();
    assert_eq!(evidence.first.vote.epoch, EpochNumber::new(2));
    let [one] = world.told()[..] else { panic!("{:?}", world.told()) };
    assert_eq!(one.first, Word::Voted(Verdict::Valid, EpochNumber::new(2)));
    assert_eq!(one.second, Word::Voted(Verdict::Invalid, EpochNumber::new(1)));
}

#[test]
fn an_attestation_against_the_own_vote_is_evidence_and_never_counted() {
    let mut world = staffed();
    world.minds[2] = Some(Verdict::Invalid);
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    for (index, verdict) in [(0, Verdict::Valid), (1, Verdict::Valid), (2, Verdict::Invalid)] {
        world.vote(index, statement, verdict);
    }
    world.pass(250);
    // The 20 voted otherwise. The 10 did not vote: who only signs what others found is not paid.
    world.attest(&[0, 2, 3]);
    let root = *world.network.state().open_batches.first().unwrap();
    let book = &world.network.state().batches[&root];
    assert_eq!(book.tally.signed().get(), 40);
    assert_eq!(book.contradicting.keys().copied().collect::<Vec<_>>(), vec![operator(2)]);
    let facts = world.journal.len();
    world.attest(&[2]);
    assert_eq!(world.journal.len(), facts, "it is written down once");
    world.attest(&[1]);
    world.pass(250);
    let said = world.told();
    assert_eq!(said, world.explained(&job));
    let [one] = &said[..] else { panic!("{said:?}") };
    assert_eq!((one.operator, one.statement), (operator(2), statement));
    assert_eq!(one.first, Word::Voted(Verdict::Invalid, EpochNumber::new(1)));
    assert_eq!(one.second, Word::Attested(Verdict::Valid, EpochNumber::new(1)));
    let id = world.network.job(&job).unwrap().certificate.unwrap();
    assert_eq!(world.network.state().certificates[&id].certificate.non_signers.len(), 2);
    world.network.check_signatures().unwrap();
    assert_eq!(world.replayed().state(), world.network.state());
}

#[test]
fn an_attestation_of_an_older_epochs_batch_is_late_and_nobodys_fault() {
    let mut world = staffed();
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    let vote_all = |world: &mut World| {
        for index in 0..4 {
            world.vote(index, statement, Verdict::Valid);
        }
        world.pass(250);
        let root = *world.network.state().open_batches.first().unwrap();
        *world.network.state().batches[&root].tally.attestation()
    };
    let old = vote_all(&mut world);
    world.epoch(2);
    world.pass(60_000);
    let new = vote_all(&mut world);
    assert_eq!((old.root, old.count), (new.root, new.count), "one statement, one root");
    let attestation = world.attestation(0, old);
    assert_eq!(world.apply(Input::AttestationReceived { attestation }), Ok(Answer::Late));
}

#[test]
fn only_votes_that_count_blame_a_segment_and_are_quoted() {
    let mut world = staffed();
    world.connect(1, 8);
    let job = world.planned(spec(1, 1), 3);
    let statement = world.prove_all(&job);
    for (index, verdict) in [(0, Verdict::Invalid), (3, Verdict::Valid)] {
        world.commit(index, statement, verdict);
    }
    world.commit_rest(statement, Verdict::Invalid);
    // The smallest member votes for valid first: what it says later is evidence against itself.
    let vote = |world: &mut World, index, verdict, detail| {
        let vote = world.signed_vote(index, statement, 1, verdict);
        world.ok(Input::VoteReceived { vote, detail, salt: salt(index) });
    };
    vote(&mut world, 3, Verdict::Valid, None);
    vote(&mut world, 3, Verdict::Invalid, blame(2, "a lie"));
    vote(&mut world, 0, Verdict::Invalid, blame(2, "the claim differs"));
    vote(&mut world, 1, Verdict::Invalid, blame(1, "too long"));
    assert_eq!(world.state(&job), S::Proving);
    assert_eq!(world.task(&job, 2).state.kind(), TaskStateKind::Leased);
    let refused = world.task(&job, 2).tries[0].outcome.clone();
    assert_eq!(refused, TryOutcome::RefusedByQuorum("the claim differs".into()));
}

#[test]
fn whoever_asks_is_told_every_vote_of_every_statement_second_ones_first() {
    let mut world = staffed();
    let job = world.planned(spec(1, 1), 1);
    assert_eq!(world.network.evidence(&job), Some(vec![]), "nothing is signed yet");
    let statement = world.prove_all(&job);
    world.vote(0, statement, Verdict::Valid);
    world.epoch(2);
    world.pass(60_000);
    world.vote(0, statement, Verdict::Invalid);
    world.vote(1, statement, Verdict::Valid);
    let told = world.network.evidence(&job).unwrap();
    let [one] = &told[..] else { panic!("{told:?}") };
    assert_eq!(one.opened.statement.digest(), statement);
    let votes: Vec<_> = one.votes.iter().map(|vote| (vote.operator, vote.vote.verdict)).collect();
    let first = (operator(0), Verdict::Valid);
    let second = (operator(0), Verdict::Invalid);
    assert_eq!(votes, [second, first, (operator(1), Verdict::Valid)]);
    assert_eq!(world.network.evidence(&spec(9, 9).id()), None);
}
