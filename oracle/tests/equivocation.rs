//! A key that votes for one verdict and attests the other, held to both on a real node.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use proofgrid_core::statement::Verdict;
use proofgrid_core::vote::Vote;
use proofgrid_oracle::abi::{CaseState, Fault};
use proofgrid_oracle::challenge::{Accusation, Arena, Attested, ChallengeError, Outcome, Salt};
use proofgrid_oracle::deploy::{self, LeafPosition};
use proofgrid_oracle::sender::Sender;
use support::{Net, account, lone_statement, rpc};

/// Who signs both; the certificate needs it.
const GUILTY: usize = 3;
const SIGNERS: [usize; 3] = [0, 1, GUILTY];
const ABSENT: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_against_ones_own_attestation_is_proven_once() {
    let mut net = Net::start().await;
    let (keys, statement) = (net.keys().await, lone_statement(1));
    let (batch, certificate) = net.certify(&statement, &SIGNERS).await;
    let registry = net.deployment.contracts.proof_registry;
    deploy::attest(&mut net.owner, registry, &certificate).await.unwrap();
    let arena = Arena::of(&net.chain, registry).await.unwrap();
    let (index, _) = batch.find(statement.digest()).unwrap();
    let path = batch.path(index).unwrap();
    let leaf = LeafPosition { root: batch.root(), count: batch.count(), index, path };

    let digest = statement.digest();
    let posted = arena.attestation(&net.chain, digest, Verdict::Valid, &leaf).await.unwrap();
    let member = |position: usize| keys.table().index_of(net.operators[position].address).unwrap();
    assert_eq!(posted.epoch, net.epoch);
    assert!(SIGNERS.into_iter().all(|position| posted.is_signed_by(member(position))));
    assert!(!posted.is_signed_by(member(ABSENT)));
    let other = arena.attestation(&net.chain, digest, Verdict::Invalid, &leaf).await.unwrap_err();
    assert!(matches!(other, ChallengeError::NotPosted { .. }), "{other}");

    let guilty = &net.operators[GUILTY];
    let vote = Vote {
        epoch: net.epoch,
        table: keys.table().digest(),
        statement: digest,
        verdict: Verdict::Invalid,
    };
    let vote = vote.sign(keys.table().network(), guilty.address, &guilty.bls);
    let wallet = proofgrid_core::crypto::secp::WalletKey::from_bytes(&[95; 32]).unwrap();
    let mut challenger = Sender::new(net.chain.clone(), account(&net.chain, 95).await);
    let salt = Salt::derive(&wallet, guilty.address, digest);
    let attested = Attested { member: member(GUILTY), verdict: Verdict::Valid, leaf };
    let accusation =
        Accusation::vote_and_attestation(&statement, (&vote, &keys), &attested, salt).unwrap();
    // A reveal needs a later block than its commitment.
    rpc(&net.chain, "evm_setIntervalMining", serde_json::json!([1])).await;
    let before = challenger.balance_of(challenger.address()).await.unwrap();
    let Outcome::Upheld { case, shared } =
        arena.accuse(&mut challenger, &accusation).await.unwrap().outcome
    else {
        panic!("it is right");
    };
    assert!(!shared, "a tenth of the stake did it");
    let kept = arena.case(&net.chain, case).await.unwrap();
    assert_eq!((kept.state, kept.fault), (CaseState::Filed, Fault::Equivocation));
    let again = arena.accuse(&mut challenger, &accusation).await.unwrap();
    assert_eq!(again.outcome, Outcome::Duplicate { case });
    let spent = before - challenger.balance_of(challenger.address()).await.unwrap();
    assert!(spent < alloy::primitives::U256::from(arena.bond_wei), "the bonds came back");
}
