use proptest::prelude::*;

use super::*;
use crate::fixtures::{Epoch, TARGET, job, opened};
use crate::ids::{Address, ChainId, Claim};
use crate::merkle::verify_path;
use crate::quorum::Tally;

fn leaf(byte: u8) -> BatchLeaf {
    BatchLeaf { statement: StatementDigest::from_bytes([byte; 32]), verdict: Verdict::Valid }
}

fn digests(plan: &BatchPlan) -> Vec<StatementDigest> {
    plan.batch().leaves().iter().map(|leaf| leaf.statement).collect()
}

#[test]
fn leaves_are_ascending_and_each_once() {
    assert_eq!(Batch::new(vec![leaf(2), leaf(1)]), Err(BatchError::Order { index: 1 }));
    assert_eq!(Batch::new(vec![leaf(1), leaf(1)]), Err(BatchError::Order { index: 1 }));
    let none = MerkleError::Count { got: 0 };
    assert_eq!(Batch::new(Vec::new()), Err(BatchError::Tree(none)));
    let batch = Batch::new(vec![leaf(1), leaf(2), leaf(3)]).unwrap();
    let (index, found) = batch.find(StatementDigest::from_bytes([3; 32])).unwrap();
    assert_eq!((index, found), (2, &leaf(3)));
    let path = batch.path(index).unwrap();
    verify_path(batch.root().as_bytes(), batch.count(), index, &leaf(3).hash(), &path).unwrap();
    assert_eq!(batch.find(StatementDigest::from_bytes([4; 32])), None);
}

#[test]
fn a_verdict_changes_the_root() {
    let invalid = BatchLeaf { verdict: Verdict::Invalid, ..leaf(1) };
    let (a, b) = (Batch::new(vec![leaf(1)]).unwrap(), Batch::new(vec![invalid]).unwrap());
    assert_ne!(a.root(), b.root());
    // A batch of one: the root is the leaf.
    assert_eq!(a.root().as_bytes(), &leaf(1).hash());
}

#[test]
fn a_verifier_finds_where_it_disagrees() {
    let batch = Batch::new(vec![leaf(1), leaf(2), leaf(3)]).unwrap();
    let own = |digest: &StatementDigest| match digest.as_bytes()[0] {
        1 => Some(Verdict::Valid),
        2 => Some(Verdict::Invalid),
        _ => None,
    };
    assert_eq!(batch.disagreements(own), [1, 2]);
    assert!(batch.disagreements(|_| Some(Verdict::Valid)).is_empty());
}

#[test]
fn a_canary_cannot_become_certifiable() {
    let spec = job(1);
    let canary = Ballot::Canary(opened(&spec));
    let statement = canary.opened().statement.digest();
    let refused = CertifiableStatement::from_ballot(&spec, &canary);
    assert_eq!(refused, Err(BatchError::Canary { statement }));
    let certifiable =
        CertifiableStatement::from_ballot(&spec, &Ballot::Job(opened(&spec))).unwrap();
    assert_eq!(certifiable.statement(), statement);
    assert_eq!(certifiable.target(), TARGET);
}

#[test]
fn a_statement_of_another_job_is_refused() {
    let (spec, other) = (job(1), job(2));
    let refused = CertifiableStatement::from_ballot(&spec, &Ballot::Job(opened(&other)));
    assert!(matches!(refused, Err(BatchError::OtherJob { .. })));
    let mut altered = opened(&spec);
    altered.statement.claim = Claim::ZERO;
    let refused = CertifiableStatement::from_ballot(&spec, &Ballot::Job(altered));
    assert!(matches!(refused, Err(BatchError::OtherJob { .. })));
}

#[test]
fn a_quorum_about_another_statement_is_refused() {
    let epoch = Epoch::new(1, &[10]);
    let (one, two) = (
        epoch.candidate(&job(1), Verdict::Valid, &[0]),
        epoch.candidate(&job(2), Verdict::Valid, &[0]),
    );
    let refused = Candidate::new(*one.statement(), *two.quorum());
    assert!(matches!(refused, Err(BatchError::OtherStatement { .. })));
}

#[test]
fn statements_with_the_same_voters_share_a_batch() {
    let epoch = Epoch::new(1, &[10, 10, 10]);
    let candidates: Vec<_> =
        (0..5).map(|nonce| epoch.candidate(&job(nonce), Verdict::Valid, &[0, 1, 2])).collect();
    let plans = plan_batches(epoch.table(), &candidates);
    assert_eq!(plans.len(), 1);
    assert_eq!(plans[0].batch().count(), 5);
    let attestation = plans[0].attestation();
    assert_eq!(attestation.target, TARGET);
    assert_eq!(attestation.table, epoch.table().digest());
    assert_eq!(attestation.root, plans[0].batch().root());
}

/// Scenario (f): with 30 % dissenting on each of two statements, no third of the stake signed both
/// the same way often enough, so they must be certified apart.
#[test]
fn two_disjoint_minorities_do_not_sink_each_other() {
    let epoch = Epoch::new(1, &[30, 30, 40]);
    let first = epoch.candidate(&job(1), Verdict::Valid, &[1, 2]);
    let second = epoch.candidate(&job(2), Verdict::Valid, &[0, 2]);
    let plans = plan_batches(epoch.table(), &[first, second]);
    assert_eq!(plans.len(), 2);
    for plan in &plans {
        assert_eq!(plan.batch().count(), 1);
        assert!(is_quorum(epoch.table().stake_of(plan.common_voters()), epoch.table().total()));
    }
}

#[test]
fn targets_and_tables_are_never_mixed() {
    let (epoch, next) = (Epoch::new(1, &[10]), Epoch::new(2, &[10]));
    let mut elsewhere = job(2);
    elsewhere.target = ChainContract { chain: ChainId::new(5), contract: Address::ZERO };
    let candidates = [
        epoch.candidate(&job(1), Verdict::Valid, &[0]),
        epoch.candidate(&elsewhere, Verdict::Valid, &[0]),
        next.candidate(&job(3), Verdict::Valid, &[0]),
    ];
    let plans = plan_batches(epoch.table(), &candidates);
    assert_eq!(plans.len(), 2);
    assert!(plans.iter().all(|plan| plan.batch().count() == 1));
    assert!(plans.iter().all(|plan| plan.attestation().epoch == epoch.table().epoch()));
    assert_ne!(plans[0].attestation().target, plans[1].attestation().target);
    assert_eq!(plan_batches(next.table(), &candidates).len(), 1);
}

#[test]
fn a_batch_has_a_bounded_size() {
    let epoch = Epoch::new(1, &[1]);
    let spec = job(0);
    let template = epoch.candidate(&spec, Verdict::Valid, &[0]);
    // The quorum's own statement is irrelevant here, so a cheap way to many candidates will do.
    let many: Vec<Candidate> = (0..BATCH_STATEMENTS_MAX as u32 + 1)
        .map(|n| {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&n.to_be_bytes());
            let mut candidate = template;
            candidate.statement.statement = StatementDigest::from_bytes(digest);
            candidate
        })
        .collect();
    let plans = plan_batches(epoch.table(), &many);
    let counts: Vec<_> = plans.iter().map(|plan| plan.batch().count()).collect();
    assert_eq!(counts, [BATCH_STATEMENTS_MAX as u32, 1]);
}

#[test]
fn a_short_batch_splits_by_voters_then_in_halves_down_to_one() {
    let epoch = Epoch::new(1, &[10, 10, 10, 10]);
    let all = [0, 1, 2, 3];
    let candidates = [
        epoch.candidate(&job(1), Verdict::Valid, &all),
        epoch.candidate(&job(2), Verdict::Valid, &[0, 1, 2]),
        epoch.candidate(&job(3), Verdict::Valid, &all),
        epoch.candidate(&job(4), Verdict::Invalid, &all),
    ];
    let plans = plan_batches(epoch.table(), &candidates);
    assert_eq!(plans.len(), 1);
    let parts = plans[0].split().unwrap();
    let mut sizes: Vec<_> = parts.iter().map(|part| part.batch().count()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3]);

    // Splitting to the end keeps every statement and ends at single ones.
    let mut open = plans.clone();
    let mut single = Vec::new();
    while let Some(plan) = open.pop() {
        match plan.split() {
            Some(parts) => open.extend(parts),
            None => single.push(digests(&plan)[0]),
        }
    }
    single.sort_unstable();
    assert_eq!(single, digests(&plans[0]));
}

#[test]
fn a_tally_without_a_quorum_gives_no_candidate() {
    let epoch = Epoch::new(1, &[10, 10, 10]);
    let statement = opened(&job(1)).statement.digest();
    let mut tally = Tally::new(epoch.table(), statement);
    tally.record(epoch.vote(0, statement, Verdict::Valid)).unwrap();
    assert_eq!(tally.quorum(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the voters: every candidate is in exactly one batch, the common voters of each hold
    /// two thirds, and the order of the candidates does not matter.
    #[test]
    fn plans_cover_everything_once_with_a_common_quorum(
        voters in prop::collection::vec(prop::collection::btree_set(0usize..5, 4..=5), 1..7),
        turn in 0usize..7,
    ) {
        let epoch = Epoch::new(1, &[20, 20, 20, 20, 20]);
        let mut candidates: Vec<_> = (0u64..)
            .zip(&voters)
            .map(|(nonce, set)| {
                let set: Vec<_> = set.iter().copied().collect();
                epoch.candidate(&job(nonce), Verdict::Valid, &set)
            })
            .collect();
        let plans = plan_batches(epoch.table(), &candidates);
        let mut planned: Vec<_> = plans.iter().flat_map(digests).collect();
        planned.sort_unstable();
        let mut given: Vec<_> = candidates.iter().map(|c| c.statement().statement()).collect();
        given.sort_unstable();
        prop_assert_eq!(planned, given);
        for plan in &plans {
            let stake = epoch.table().stake_of(plan.common_voters());
            prop_assert!(is_quorum(stake, epoch.table().total()));
            for candidate in plan.candidates() {
                let voters = candidate.quorum().voters();
                prop_assert_eq!(plan.common_voters().intersection(voters), *plan.common_voters());
            }
        }
        let len = candidates.len();
        candidates.rotate_left(turn % len);
        prop_assert_eq!(plan_batches(epoch.table(), &candidates), plans);
    }
}
