use std::collections::BTreeMap;

use borsh::BorshDeserialize;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{Epoch, TARGET};
use crate::ids::BatchRoot;

const STATEMENT: StatementDigest = StatementDigest::from_bytes([5; 32]);
const NEW: Result<Counted, TallyError> = Ok(Counted::New { decided: None });

fn decided(verdict: Verdict) -> Result<Counted, TallyError> {
    Ok(Counted::New { decided: Some(verdict) })
}

#[test]
fn the_predicate_at_its_edges() {
    let quorum = |signed, total| is_quorum(Stake::new(signed), Stake::new(total));
    assert!(!quorum(0, 0) && !quorum(1, 0) && !quorum(0, 1));
    assert!(quorum(1, 1) && quorum(2, 3) && !quorum(1, 2));
    assert!(!quorum(65, 98) && quorum(66, 98) && quorum(66, 99) && !quorum(66, 100));
    // Where three times the stake leaves 128 bits: max is a multiple of three.
    let third = u128::MAX / 3;
    assert!(quorum(2 * third, u128::MAX) && !quorum(2 * third - 1, u128::MAX));
    assert!(quorum(u128::MAX, u128::MAX) && quorum(u128::MAX, 1));
}

#[test]
fn a_quorum_is_announced_once() {
    let epoch = Epoch::new(1, &[10, 10, 10, 10]);
    let mut tally = Tally::new(epoch.table(), STATEMENT);
    let vote = |member| epoch.vote(member, STATEMENT, Verdict::Valid);
    assert_eq!(tally.record(vote(0)), NEW);
    assert_eq!(tally.record(vote(1)), NEW);
    assert_eq!(tally.outcome(), None);
    assert_eq!(tally.quorum(), None);
    assert_eq!(tally.record(vote(1)), Ok(Counted::Repeated));
    assert_eq!(tally.record(vote(2)), decided(Verdict::Valid));
    assert_eq!(tally.record(vote(3)), NEW);
    assert_eq!(tally.outcome(), Some(Verdict::Valid));
    // The late voter can attest too.
    let quorum = tally.quorum().unwrap();
    assert_eq!(quorum.voters().len(), 4);
    assert_eq!(quorum.signed(), Stake::new(40));
}

#[test]
fn stake_counts_and_heads_do_not() {
    let epoch = Epoch::new(1, &[1, 1, 1, 97]);
    let mut tally = Tally::new(epoch.table(), STATEMENT);
    for member in 0..3 {
        assert_eq!(tally.record(epoch.vote(member, STATEMENT, Verdict::Invalid)), NEW);
    }
    let whale = epoch.vote(3, STATEMENT, Verdict::Valid);
    assert_eq!(tally.record(whale), decided(Verdict::Valid));
}

#[test]
fn a_second_verdict_is_evidence_and_never_counted() {
    let epoch = Epoch::new(1, &[10, 10, 10]);
    let mut tally = Tally::new(epoch.table(), STATEMENT);
    let first = epoch.vote(0, STATEMENT, Verdict::Valid);
    let second = epoch.vote(0, STATEMENT, Verdict::Invalid);
    assert_eq!(tally.record(first), NEW);
    let found = Equivocation { first: *first.signed(), second: *second.signed() };
    for _ in 0..2 {
        assert_eq!(tally.record(second), Ok(Counted::Equivocated(Box::new(found))));
    }
    assert_eq!(tally.evidence().collect::<Vec<_>>(), [&found]);
    assert_eq!(tally.signed(Verdict::Valid), Stake::new(10));
    assert_eq!(tally.signed(Verdict::Invalid), Stake::ZERO);
    // Were it counted, these two and the equivocator would make an invalid quorum.
    assert_eq!(tally.record(epoch.vote(1, STATEMENT, Verdict::Invalid)), NEW);
    assert_eq!(tally.outcome(), None);
}

#[test]
fn votes_of_other_epochs_and_statements_are_not_stored() {
    let (epoch, next) = (Epoch::new(1, &[10, 10]), Epoch::new(2, &[10, 10]));
    let mut tally = Tally::new(epoch.table(), STATEMENT);
    let other_epoch = next.vote(0, STATEMENT, Verdict::Valid);
    let (expected, got) = (EpochNumber::new(1), EpochNumber::new(2));
    assert_eq!(tally.record(other_epoch), Err(TallyError::OtherEpoch { expected, got }));
    let got = StatementDigest::from_bytes([6; 32]);
    let other = epoch.vote(0, got, Verdict::Valid);
    let expected = STATEMENT;
    assert_eq!(tally.record(other), Err(TallyError::OtherStatement { expected, got }));
    assert_eq!(tally.votes().count(), 0);
    assert_eq!(tally, Tally::new(epoch.table(), STATEMENT));
}

#[test]
fn abstentions_and_dissent_make_two_thirds_unreachable() {
    let epoch = Epoch::new(1, &[10, 10, 10, 10]);
    let table = epoch.table();
    let mut tally = Tally::new(table, STATEMENT);
    assert!(tally.reachable(tally.outstanding()));
    assert_eq!(tally.abstain(table, epoch.operator(0)), Ok(true));
    assert_eq!(tally.abstain(table, epoch.operator(0)), Ok(false));
    assert_eq!(tally.abstained(), Stake::new(10));
    assert!(tally.reachable(tally.outstanding()));
    assert_eq!(tally.record(epoch.vote(1, STATEMENT, Verdict::Invalid)), NEW);
    // Three can still agree on invalid.
    assert!(tally.reachable(tally.outstanding()));
    assert_eq!(tally.record(epoch.vote(2, STATEMENT, Verdict::Valid)), NEW);
    assert!(!tally.reachable(tally.outstanding()));
    // The one that could not judge does so after all.
    assert_eq!(tally.record(epoch.vote(0, STATEMENT, Verdict::Valid)), NEW);
    assert!(tally.reachable(tally.outstanding()));
    assert_eq!(tally.abstained(), Stake::ZERO);
    assert_eq!(tally.record(epoch.vote(3, STATEMENT, Verdict::Valid)), decided(Verdict::Valid));
    assert_eq!(tally.abstain(table, epoch.operator(3)), Ok(false));
    assert_eq!(tally.outstanding(), Stake::ZERO);
    assert!(tally.reachable(tally.outstanding()));
    let stored = borsh::to_vec(&tally).unwrap();
    assert_eq!(Tally::try_from_slice(&stored).unwrap(), tally);
}

#[test]
fn strangers_cannot_abstain() {
    let (epoch, next) = (Epoch::new(1, &[10]), Epoch::new(2, &[10]));
    let mut tally = Tally::new(epoch.table(), STATEMENT);
    let operator = Address::from_bytes([77; 20]);
    let refused = TallyError::NotAMember { operator, epoch: EpochNumber::new(1) };
    assert_eq!(tally.abstain(epoch.table(), operator), Err(refused));
    let (expected, got) = (EpochNumber::new(1), EpochNumber::new(2));
    let refused = TallyError::OtherEpoch { expected, got };
    assert_eq!(tally.abstain(next.table(), epoch.operator(0)), Err(refused));
    assert_eq!(tally.abstained(), Stake::ZERO);
}

#[test]
fn attestations_count_once_and_for_one_batch() {
    let epoch = Epoch::new(1, &[10, 10, 10]);
    let table = epoch.table();
    let attestation = Attestation {
        target: TARGET,
        epoch: table.epoch(),
        table: table.digest(),
        root: BatchRoot::from_bytes([1; 32]),
        count: 2,
    };
    let sign = |member: usize, attestation: Attestation| {
        attestation
            .sign(epoch.operator(member), &epoch.secrets[member])
            .verify(&epoch.keys)
            .unwrap()
    };
    let mut tally = AttestationTally::new(table, attestation).unwrap();
    assert_eq!(tally.decline(table, epoch.operator(2)), Ok(true));
    assert!(tally.reachable());
    assert_eq!(tally.decline(table, epoch.operator(1)), Ok(true));
    assert!(!tally.reachable());
    assert_eq!(tally.record(sign(0, attestation)), Ok(Attested::New { complete: false }));
    assert_eq!(tally.record(sign(0, attestation)), Ok(Attested::Repeated));
    let other = Attestation { count: 3, ..attestation };
    assert_eq!(tally.record(sign(1, other)), Err(TallyError::OtherBatch));
    assert_eq!(tally.record(sign(1, attestation)), Ok(Attested::New { complete: true }));
    assert!(tally.reachable());
    assert_eq!(tally.decline(table, epoch.operator(1)), Ok(false));
    assert_eq!(tally.record(sign(2, attestation)), Ok(Attested::New { complete: false }));
    assert_eq!(tally.signers().len(), 3);
    let (next, expected, got) = (Epoch::new(2, &[10]), EpochNumber::new(2), EpochNumber::new(1));
    let refused = AttestationTally::new(next.table(), attestation);
    assert_eq!(refused, Err(TallyError::OtherEpoch { expected, got }));
}

#[test]
fn an_exclusion_takes_a_quorum_back_and_leaves_the_total() {
    let epoch = Epoch::new(1, &[10, 10, 10, 10]);
    let table = epoch.table();
    let only = |member: usize| MemberSet::from_iter(table.index_of(epoch.operator(member)));
    let mut tally = Tally::new(table, STATEMENT);
    let vote = |member| epoch.vote(member, STATEMENT, Verdict::Valid);
    for member in 0..3 {
        tally.record(vote(member)).unwrap();
    }
    assert_eq!(tally.abstain(table, epoch.operator(3)), Ok(true));
    tally.exclude(table, &only(3)).unwrap();
    assert_eq!((tally.abstained(), tally.excluded()), (Stake::ZERO, Stake::new(10)));
    assert_eq!(tally.outcome(), Some(Verdict::Valid));
    tally.exclude(table, &only(0)).unwrap();
    assert_eq!((tally.outcome(), tally.quorum()), (None, None));
    assert_eq!((tally.signed(Verdict::Valid), tally.total()), (Stake::new(20), Stake::new(40)));
    assert_eq!((tally.outstanding(), tally.votes().count()), (Stake::ZERO, 3));
    assert!(!tally.reachable(tally.outstanding()));
    // A vote of an excluded member is kept, and decides nothing.
    assert_eq!(tally.record(vote(3)), NEW);
    assert_eq!((tally.counted().count(), tally.votes().count()), (2, 4));
    let next = Epoch::new(2, &[10]);
    let (expected, got) = (EpochNumber::new(1), EpochNumber::new(2));
    let refused = Err(TallyError::OtherEpoch { expected, got });
    assert_eq!(tally.exclude(next.table(), &MemberSet::EMPTY), refused);
}

#[test]
fn an_excluded_member_attests_nothing() {
    let epoch = Epoch::new(1, &[10, 10, 10]);
    let table = epoch.table();
    let root = BatchRoot::from_bytes([1; 32]);
    let named =
        Attestation { target: TARGET, epoch: table.epoch(), table: table.digest(), root, count: 1 };
    let sign = |member: usize| {
        named.sign(epoch.operator(member), &epoch.secrets[member]).verify(&epoch.keys).unwrap()
    };
    let mut tally = AttestationTally::new(table, named).unwrap();
    tally.record(sign(0)).unwrap();
    tally.record(sign(1)).unwrap();
    assert!(tally.is_complete());
    let first = MemberSet::from_iter(table.index_of(epoch.operator(0)));
    tally.exclude(table, &first).unwrap();
    assert_eq!((tally.signed(), tally.is_complete()), (Stake::new(10), false));
    assert_eq!(tally.record(sign(0)), Err(TallyError::Excluded(epoch.operator(0))));
    assert_eq!(tally.decline(table, epoch.operator(0)), Ok(false));
    assert!(tally.reachable());
    assert_eq!(tally.decline(table, epoch.operator(2)), Ok(true));
    assert!(!tally.reachable(), "what declined and what is excluded do not add up to a third");
}

/// What a member does in the random walk.
#[derive(Debug, Clone, Copy)]
enum Step {
    Vote(usize, Verdict),
    Abstain(usize),
}

fn arb_step() -> impl Strategy<Value = Step> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    prop_oneof![
        4 => (0usize..5, verdict).prop_map(|(member, verdict)| Step::Vote(member, verdict)),
        1 => (0usize..5).prop_map(Step::Abstain),
    ]
}

/// The tally's rules again, in the plainest way: first votes, abstentions, sums over members.
#[derive(Default)]
struct Model {
    votes: BTreeMap<usize, Verdict>,
    abstained: BTreeMap<usize, ()>,
    decided: Option<Verdict>,
}

impl Model {
    fn stake(&self, stakes: &[u128], verdict: Verdict) -> u128 {
        self.votes.iter().filter(|(_, v)| **v == verdict).map(|(m, _)| stakes[*m]).sum()
    }

    fn quorum(signed: u128, stakes: &[u128]) -> bool {
        signed > 0 && 3 * signed >= 2 * stakes.iter().sum::<u128>()
    }

    fn silent(&self, stakes: &[u128]) -> u128 {
        (0..stakes.len())
            .filter(|m| !self.votes.contains_key(m) && !self.abstained.contains_key(m))
            .map(|m| stakes[m])
            .sum()
    }
}

proptest! {
    #[test]
    fn the_predicate_equals_the_division_free_model(signed in 0u128..500, total in 0u128..500) {
        let naive = total > 0 && signed > 0 && signed * 3 >= total * 2;
        prop_assert_eq!(is_quorum(Stake::new(signed), Stake::new(total)), naive);
    }

    /// Scaling both sides changes nothing, up to the top of the range.
    #[test]
    fn the_predicate_does_not_overflow(signed in 1u128..1000, total in 1u128..1000) {
        let factor = u128::MAX / 1000;
        let scaled = is_quorum(Stake::new(signed * factor), Stake::new(total * factor));
        prop_assert_eq!(scaled, is_quorum(Stake::new(signed), Stake::new(total)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_tally_equals_the_model(
        stakes in prop::collection::vec(1u128..40, 5),
        steps in prop::collection::vec(arb_step(), 1..14),
    ) {
        let epoch = Epoch::new(1, &stakes);
        let mut tally = Tally::new(epoch.table(), STATEMENT);
        let mut model = Model::default();
        let mut announced = 0;
        for step in steps {
            match step {
                Step::Abstain(member) => {
                    tally.abstain(epoch.table(), epoch.operator(member)).unwrap();
                    if !model.votes.contains_key(&member) {
                        model.abstained.insert(member, ());
                    }
                }
                Step::Vote(member, verdict) => {
                    let counted = tally.record(epoch.vote(member, STATEMENT, verdict)).unwrap();
                    let earlier = model.votes.get(&member).copied();
                    match (counted, earlier) {
                        (Counted::New { decided }, None) => {
                            announced += usize::from(decided.is_some());
                            model.abstained.remove(&member);
                            model.votes.insert(member, verdict);
                        }
                        (Counted::Repeated, Some(earlier)) => prop_assert_eq!(earlier, verdict),
                        (Counted::Equivocated(_), Some(earlier)) => {
                            prop_assert_ne!(earlier, verdict);
                        }
                        (counted, earlier) => prop_assert!(false, "{counted:?} after {earlier:?}"),
                    }
                }
            }
            for verdict in Verdict::ALL {
                let signed = model.stake(&stakes, verdict);
                prop_assert_eq!(tally.signed(verdict), Stake::new(signed));
                if Model::quorum(signed, &stakes) {
                    model.decided = Some(verdict);
                }
            }
            prop_assert_eq!(tally.outcome(), model.decided);
            prop_assert_eq!(announced, usize::from(model.decided.is_some()));
            let silent = model.silent(&stakes);
            prop_assert_eq!(tally.outstanding(), Stake::new(silent));
            let reachable = Verdict::ALL
                .into_iter()
                .any(|verdict| Model::quorum(model.stake(&stakes, verdict) + silent, &stakes));
            prop_assert_eq!(tally.reachable(tally.outstanding()), reachable);
        }
    }
}
