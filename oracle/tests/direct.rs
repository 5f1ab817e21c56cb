//! A proof that the chain judges itself, on a real node with the real Groth16 verifier.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use proofgrid_core::network::{SubmissionSubject, SubmissionUpdate};
use proofgrid_oracle::abi::JobState;
use proofgrid_oracle::deploy;
use proofgrid_oracle::direct;
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::posts;
use proofgrid_oracle::publishing::{Choice, GasSeen, Publishing, Reason, choose};
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::submit::Submitter;
use support::groth16::{CHALLENGE_SECONDS, Case, LATE_SECONDS, certified, proven};
use support::{account, mine};

/// Steps in which something must have moved.
const STEPS_MAX: usize = 500;

/// Any choice; what made it is not looked at here.
const CHOICE: Choice =
    Choice { way: Publishing::Direct, reason: Reason::CheapestPerProof { gas: 1 } };

/// A submitter with the settlement and the direct verification.
async fn ordered(case: &Case, key: &OracleKey, folder: &Path, envelope: Vec<u8>) -> Submitter {
    let mut submitter = case.net.submitter(key, folder);
    let settle = posts::settle(case.net.task_manager(), &case.order).unwrap();
    submitter.enqueue(settle).await.unwrap();
    let updates = submitter.step().await.unwrap();
    assert!(updates.is_empty(), "not due before it is hard: {updates:?}");
    let direct = posts::verify_direct(case.net.registry(), &case.order.opened, envelope);
    submitter.enqueue_chosen(direct.unwrap(), CHOICE).await.unwrap();
    submitter
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_settles_in_the_window_when_the_chain_has_judged_its_proof() {
    let proven = proven();
    let mut case = certified(&proven, &proven.envelope).await;
    case.attest().await;
    let key = account(&case.net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = ordered(&case, &key, folder.path(), proven.envelope.clone()).await;
    let subject = SubmissionSubject::Settle(case.order.opened.job());
    let told = submitter.standings();
    assert_eq!(told.len(), 1, "the choice: {told:?}");
    assert_eq!(told[0].subject, subject);
    assert_eq!(told[0].update, SubmissionUpdate::Chosen { why: CHOICE.to_string() });
    let mut settled = false;
    for _ in 0..STEPS_MAX {
        for update in submitter.step().await.unwrap() {
            assert_eq!(update.subject, subject, "the verification is nobody's business");
            settled |= matches!(update.update, SubmissionUpdate::Included(_));
        }
        if settled {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(settled, "settled before the window is over");
    assert_ne!(case.proved_at().await, 0);
    assert_eq!(case.state().await, JobState::Settled);
    assert_eq!(case.net.sent_by(key.address()).await, 2);
    let gas = submitter.gas_seen().direct();
    assert!((250_000..335_000).contains(&gas), "measured: {gas}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_proof_marks_nothing_and_its_job_waits_for_the_window() {
    let proven = proven();
    let mut bad = proven.envelope.clone();
    *bad.last_mut().unwrap() ^= 1;
    let mut case = certified(&proven, &bad).await;
    case.attest().await;
    let key = account(&case.net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = ordered(&case, &key, folder.path(), bad).await;
    let subject = SubmissionSubject::Settle(case.order.opened.job());
    // Given up after simulations at several heads.
    for _ in 0..STEPS_MAX {
        assert_eq!(submitter.step().await.unwrap(), Vec::new());
        if submitter.choice(subject).is_none() {
            break;
        }
        mine(&case.net.chain, 1).await;
    }
    assert_eq!(submitter.choice(subject), None, "given up");
    assert_eq!(case.proved_at().await, 0);
    assert_eq!(case.state().await, JobState::Open);
    assert_eq!(case.net.sent_by(key.address()).await, 0, "nothing was paid for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choice_is_made_from_what_the_chain_says() {
    let proven = proven();
    let mut case = certified(&proven, &proven.envelope).await;
    let contracts = case.net.deployment.contracts;
    let gas = GasSeen::default();
    let chain = case.net.chain.clone();
    let early = direct::situation(&chain, &contracts, &case.order).await.unwrap().unwrap();
    assert_eq!(early.window_seconds, CHALLENGE_SECONDS, "all of it is to come");
    assert_eq!(choose(&early, &gas).way, Publishing::AttestOne, "hard in time");
    case.pass(LATE_SECONDS).await;
    case.attest().await;
    let late = direct::situation(&chain, &contracts, &case.order).await.unwrap().unwrap();
    let choice = choose(&late, &gas);
    assert_eq!(choice.way, Publishing::Direct);
    assert!(matches!(choice.reason, Reason::DeadlineNear { .. }), "{choice}");
    case.pass(CHALLENGE_SECONDS).await;
    let mut sender = Sender::new(chain.clone(), account(&chain, 91).await);
    deploy::settle(&mut sender, contracts.task_manager, &case.order).await.unwrap();
    let over = direct::situation(&chain, &contracts, &case.order).await.unwrap();
    assert_eq!(over, None);
}
