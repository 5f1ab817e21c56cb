//! Commitments hide and bind; commit sets are in order.

use super::*;
use crate::fixtures::{Epoch, NETWORK};
use crate::statement::Verdict;

fn statement() -> StatementDigest {
    StatementDigest::from_bytes([3; 32])
}

fn salt(byte: u8) -> Salt {
    Salt::from_bytes([byte; 32])
}

#[test]
fn a_commitment_binds_verdict_epoch_operator_and_salt() {
    let (one, two) = (Epoch::new(1, &[1, 1]), Epoch::new(2, &[1, 1]));
    let valid = *one.vote(0, statement(), Verdict::Valid).signed();
    let invalid = *one.vote(0, statement(), Verdict::Invalid).signed();
    let other_epoch = *two.vote(0, statement(), Verdict::Valid).signed();
    let other_member = *one.vote(1, statement(), Verdict::Valid).signed();
    // A copied vote under another name: its signature is not that member's either.
    let copied = SignedVote { operator: other_member.operator, ..valid };
    let of = |signed: &SignedVote, byte| commitment_to(NETWORK, signed, &salt(byte));
    let first = of(&valid, 1);
    assert_eq!(of(&valid, 1), first);
    for other in
        [of(&valid, 2), of(&invalid, 1), of(&other_epoch, 1), of(&other_member, 1), of(&copied, 1)]
    {
        assert_ne!(other, first);
    }
}

#[test]
fn a_salt_is_never_printed() {
    assert_eq!(format!("{:?}", salt(0xab)), "Salt(redacted)");
}

#[test]
fn a_commit_set_is_ascending_bounded_and_holds_what_it_holds() {
    let operator = |byte| Address::from_bytes([byte; 20]);
    let held = |byte| (operator(byte), Commitment::from_bytes([byte; 32]));
    let epoch = (EpochNumber::new(1), TableDigest::from_bytes([1; 32]));
    let set = |list: Vec<_>| CommitSet::new(epoch, statement(), 0, list);
    assert_eq!(set(vec![]), Err(CommitSetError::Count { got: 0 }));
    let many = vec![held(1); EPOCH_MEMBERS_MAX + 1];
    assert_eq!(set(many), Err(CommitSetError::Count { got: EPOCH_MEMBERS_MAX + 1 }));
    for twice in [vec![held(2), held(1)], vec![held(1), held(1)]] {
        let last = twice[1].0;
        assert_eq!(set(twice), Err(CommitSetError::Order { operator: last }));
    }
    let good = set(vec![held(1), held(3)]).unwrap();
    assert!(good.holds(operator(1), Commitment::from_bytes([1; 32])));
    assert!(!good.holds(operator(1), Commitment::from_bytes([3; 32])), "another's commitment");
    assert!(!good.holds(operator(2), Commitment::from_bytes([1; 32])));
    assert_ne!(good.digest(), set(vec![held(1)]).unwrap().digest());
    let list = || vec![held(1), held(3)];
    let elsewhere = CommitSet::new(epoch, StatementDigest::ZERO, 0, list());
    assert_ne!(good.digest(), elsewhere.unwrap().digest());
    let later = CommitSet::new(epoch, statement(), SITTINGS_MAX, list()).unwrap();
    assert_ne!(good.digest(), later.digest());
    let got = SITTINGS_MAX + 1;
    let none = CommitSet::new(epoch, statement(), got, list());
    assert_eq!(none, Err(CommitSetError::Sitting { got }));
}
