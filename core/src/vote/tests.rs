use borsh::BorshDeserialize;

use super::*;
use crate::fixtures::{Epoch, NETWORK, TARGET};
use crate::ids::ChainId;

const STATEMENT: StatementDigest = StatementDigest::from_bytes([5; 32]);

fn vote(epoch: &Epoch) -> Vote {
    let table = epoch.table();
    let verdict = Verdict::Valid;
    Vote { epoch: table.epoch(), table: table.digest(), statement: STATEMENT, verdict }
}

fn bad(operator: Address) -> VoteError {
    VoteError::Signature { operator, source: BlsError::BadSignature }
}

#[test]
fn a_members_vote_carries_its_stake() {
    let epoch = Epoch::new(1, &[10, 20, 30]);
    let signed = vote(&epoch).sign(NETWORK, epoch.operator(1), &epoch.secrets[1]);
    let verified = signed.verify(&epoch.keys).unwrap();
    assert_eq!(verified.stake(), Stake::new(20));
    assert_eq!(verified.member(), MemberIndex::new(1));
    assert_eq!(verified.operator(), epoch.operator(1));
    assert_eq!(verified.signed(), &signed);
    let stored = borsh::to_vec(&verified).unwrap();
    assert_eq!(VerifiedVote::try_from_slice(&stored).unwrap(), verified);
}

#[test]
fn every_altered_part_of_a_vote_is_refused() {
    let epoch = Epoch::new(1, &[10, 20, 30]);
    let operator = epoch.operator(1);
    let good = vote(&epoch).sign(NETWORK, operator, &epoch.secrets[1]);

    let mut other = good;
    other.vote.verdict = Verdict::Invalid;
    assert_eq!(other.verify(&epoch.keys), Err(bad(operator)));
    let mut other = good;
    other.vote.statement = StatementDigest::from_bytes([6; 32]);
    assert_eq!(other.verify(&epoch.keys), Err(bad(operator)));
    let mut other = good;
    other.operator = epoch.operator(2);
    assert_eq!(other.verify(&epoch.keys), Err(bad(epoch.operator(2))));
    let mut other = good;
    other.vote.epoch = EpochNumber::new(2);
    assert!(matches!(other.verify(&epoch.keys), Err(VoteError::OtherEpoch { .. })));
    let mut other = good;
    other.vote.table = TableDigest::from_bytes([1; 32]);
    assert!(matches!(other.verify(&epoch.keys), Err(VoteError::OtherEpoch { .. })));
}

#[test]
fn a_vote_for_another_network_is_refused() {
    let epoch = Epoch::new(1, &[10]);
    let operator = epoch.operator(0);
    let elsewhere = NetworkId { home_chain: ChainId::new(1), ..NETWORK };
    let signed = vote(&epoch).sign(elsewhere, operator, &epoch.secrets[0]);
    assert_eq!(signed.verify(&epoch.keys), Err(bad(operator)));
    let elsewhere = NetworkId { epoch_table: Address::from_bytes([1; 20]), ..NETWORK };
    let signed = vote(&epoch).sign(elsewhere, operator, &epoch.secrets[0]);
    assert_eq!(signed.verify(&epoch.keys), Err(bad(operator)));
}

#[test]
fn strangers_have_no_vote() {
    let epoch = Epoch::new(1, &[10, 20]);
    let (stranger, operator) = (SecretKey::from_seed(&[99; 32]).unwrap(), Address::ZERO);
    let signed = vote(&epoch).sign(NETWORK, operator, &stranger);
    let refused = VoteError::NotAMember { operator, epoch: EpochNumber::new(1) };
    assert_eq!(signed.verify(&epoch.keys), Err(refused));
}

#[test]
fn an_attestation_is_checked_like_a_vote_and_never_as_one() {
    let epoch = Epoch::new(1, &[10, 20]);
    let (table, operator) = (epoch.table(), epoch.operator(0));
    let attestation = Attestation {
        target: TARGET,
        epoch: table.epoch(),
        table: table.digest(),
        root: BatchRoot::from_bytes([8; 32]),
        count: 3,
    };
    let good = attestation.sign(operator, &epoch.secrets[0]);
    assert_eq!(good.verify(&epoch.keys).unwrap().stake(), Stake::new(10));
    let changes: [fn(&mut Attestation); 4] = [
        |a| a.target.chain = ChainId::new(1),
        |a| a.target.contract = Address::ZERO,
        |a| a.root = BatchRoot::ZERO,
        |a| a.count += 1,
    ];
    for change in changes {
        let mut other = good;
        change(&mut other.attestation);
        assert_eq!(other.verify(&epoch.keys), Err(bad(operator)));
    }
    // The root as the statement of a vote: same words, another tag.
    let vote = Vote { statement: StatementDigest::from_bytes([8; 32]), ..vote(&epoch) };
    let as_vote = SignedVote { operator, vote, signature: good.signature };
    assert_eq!(as_vote.verify(&epoch.keys), Err(bad(operator)));
}
