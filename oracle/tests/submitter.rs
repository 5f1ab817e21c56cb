//! Posting, on a real node: at most once in effect, and eventually once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use proofgrid_core::ids::TxHash;
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject, SubmissionUpdate};
use proofgrid_core::statement::Statement;
use proofgrid_oracle::abi::JobState;
use proofgrid_oracle::deploy::{self, DeployConfig};
use proofgrid_oracle::posts;
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::submit::Submitter;
use proofgrid_oracle::submit::record::Post;
use support::{Net, account, automine, hash, lone_statement, mine, opened, rpc, settle_order};

async fn post(net: &Net, statement: &Statement) -> Post {
    let (_, certificate) = net.certify(statement, &[0, 1, 2]).await;
    posts::attest(net.registry(), &certificate).unwrap()
}

/// Steps until one thing is told, and nothing beside it. The node answers and mines in its own time,
/// so a step may find nothing new yet; the number of steps is bounded.
async fn told(submitter: &mut Submitter) -> SubmissionUpdate {
    for _ in 0..500 {
        let mut updates = submitter.step().await.unwrap();
        if let Some(update) = updates.pop() {
            assert!(updates.is_empty(), "{updates:?} beside {update:?}");
            return update.update;
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing is told");
}

async fn silent(submitter: &mut Submitter) {
    let updates = submitter.step().await.unwrap();
    assert!(updates.is_empty(), "{updates:?}");
}

fn sent(update: &SubmissionUpdate) -> TxHash {
    match update {
        SubmissionUpdate::Sent { tx } => *tx,
        other => panic!("expected Sent, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_sent_included_and_final_under_the_policy() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let post = post(&net, &lone_statement(1)).await;
    submitter.enqueue(post.clone()).await.unwrap();
    submitter.enqueue(post.clone()).await.unwrap();
    let tx = sent(&told(&mut submitter).await);
    let SubmissionUpdate::Included(inclusion) = told(&mut submitter).await else {
        panic!("the node mines at once");
    };
    assert_eq!(inclusion.tx, tx);
    assert!(inclusion.gas_used > 100_000);
    mine(&net.chain, 2).await;
    silent(&mut submitter).await;
    mine(&net.chain, 1).await;
    assert_eq!(told(&mut submitter).await, SubmissionUpdate::Final(inclusion));
    silent(&mut submitter).await;
    assert_eq!(submitter.standings().len(), 1, "kept until the dispatcher knows");
    submitter.forget(post.subject).await.unwrap();
    assert!(submitter.standings().is_empty());
    assert_eq!(net.sent_by(key.address()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_broadcast_and_receipt_does_not_send_twice() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let post = post(&net, &lone_statement(1)).await;
    automine(&net.chain, false).await;
    let mut submitter = net.submitter(&key, folder.path());
    submitter.enqueue(post.clone()).await.unwrap();
    let tx = sent(&told(&mut submitter).await);
    drop(submitter);

    // The process is gone; its successor broadcasts the same bytes, which the node already knows.
    let mut submitter = net.submitter(&key, folder.path());
    submitter.enqueue(post.clone()).await.unwrap();
    silent(&mut submitter).await;
    assert_eq!(submitter.standings()[0].update, SubmissionUpdate::Sent { tx });
    drop(submitter);

    // It is mined while nobody is there.
    mine(&net.chain, 1).await;
    let mut submitter = net.submitter(&key, folder.path());
    let SubmissionUpdate::Included(inclusion) = told(&mut submitter).await else {
        panic!("found by its hash");
    };
    assert_eq!(inclusion.tx, tx);
    mine(&net.chain, 3).await;
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Final(_)));
    assert_eq!(net.sent_by(key.address()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_record_and_before_the_broadcast_sends_the_recorded_bytes() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let post = post(&net, &lone_statement(1)).await;
    automine(&net.chain, false).await;
    let mut submitter = net.submitter(&key, folder.path());
    submitter.enqueue(post).await.unwrap();
    let tx = sent(&told(&mut submitter).await);
    drop(submitter);
    // The node never got it, or dropped it.
    rpc(&net.chain, "anvil_dropTransaction", serde_json::json!([tx.to_string()])).await;
    let mut submitter = net.submitter(&key, folder.path());
    silent(&mut submitter).await;
    mine(&net.chain, 1).await;
    let SubmissionUpdate::Included(inclusion) = told(&mut submitter).await else {
        panic!("sent again");
    };
    assert_eq!(inclusion.tx, tx, "the same bytes under the same nonce");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_nobody_takes_is_raised_under_the_same_nonce() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let post = post(&net, &lone_statement(1)).await;
    automine(&net.chain, false).await;
    submitter.enqueue(post).await.unwrap();
    let first = sent(&told(&mut submitter).await);
    // Three blocks pass without it: the node loses it each time.
    for _ in 0..3 {
        silent(&mut submitter).await;
        rpc(&net.chain, "anvil_dropTransaction", serde_json::json!([first.to_string()])).await;
        mine(&net.chain, 1).await;
    }
    let second = sent(&told(&mut submitter).await);
    assert_ne!(first, second);
    mine(&net.chain, 1).await;
    let SubmissionUpdate::Included(inclusion) = told(&mut submitter).await else {
        panic!("the raised offer is taken");
    };
    assert_eq!(inclusion.tx, second);
    assert_eq!(net.sent_by(key.address()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_our_transaction_is_reported_and_it_is_posted_again() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let post = post(&net, &lone_statement(1)).await;
    mine(&net.chain, 1).await;
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    submitter.enqueue(post).await.unwrap();
    let tx = sent(&told(&mut submitter).await);
    let SubmissionUpdate::Included(first) = told(&mut submitter).await else {
        panic!("mined at once");
    };
    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    mine(&net.chain, 2).await;
    assert_eq!(told(&mut submitter).await, SubmissionUpdate::Reorged);
    silent(&mut submitter).await;
    let SubmissionUpdate::Included(second) = told(&mut submitter).await else {
        panic!("posted again");
    };
    assert_eq!((second.tx, first.tx), (tx, tx), "the same bytes: it can only count once");
    assert_ne!(second.block, first.block);
    mine(&net.chain, 3).await;
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Final(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_posted_is_found_and_costs_nothing() {
    let mut net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let (_, certificate) = net.certify(&lone_statement(1), &[0, 1, 2]).await;
    let registry = net.deployment.contracts.proof_registry;
    let receipt = deploy::attest(&mut net.owner, registry, &certificate).await.unwrap();
    mine(&net.chain, 5).await;
    submitter.enqueue(posts::attest(net.registry(), &certificate).unwrap()).await.unwrap();
    let SubmissionUpdate::Included(inclusion) = told(&mut submitter).await else {
        panic!("the batch is attested already");
    };
    assert_eq!(hash(inclusion.tx.as_bytes()), receipt.transaction_hash);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Final(_)));
    assert_eq!(net.sent_by(key.address()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_waits_for_its_batch_and_pays_once() {
    let mut config = DeployConfig::development();
    config.epochs.challengeSeconds = 30;
    let net = Net::start_with(&[], config).await;
    let contracts = net.deployment.contracts;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(1).await;
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    let provers = [key.address(), requester.address()];
    let opened = opened(&created.spec, provers);
    let (batch, certificate) = net.certify(&opened.statement, &[0, 1, 2, 3]).await;
    let order = settle_order(&net, &created.spec, opened, &batch, certificate.clone());
    let settlement = posts::settle(net.task_manager(), &order).unwrap();
    submitter.enqueue(settlement).await.unwrap();
    silent(&mut submitter).await;
    submitter.enqueue(posts::attest(net.registry(), &certificate).unwrap()).await.unwrap();
    sent(&told(&mut submitter).await);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
    silent(&mut submitter).await;
    // The challenge window ends.
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([31])).await;
    mine(&net.chain, 1).await;
    sent(&told(&mut submitter).await);
    mine(&net.chain, 4).await;
    let updates = submitter.step().await.unwrap();
    assert_eq!(updates.len(), 2, "{updates:?}");
    let updates = submitter.step().await.unwrap();
    assert!(matches!(updates[0].update, SubmissionUpdate::Final(_)), "{updates:?}");
    assert_eq!(updates[0].subject, SubmissionSubject::Settle(created.job));
    let escrow = deploy::escrow(&requester, contracts.task_manager, created.job).await.unwrap();
    assert_eq!(escrow.state, JobState::Settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_is_over_comes_back_as_such() {
    let mut config = DeployConfig::development();
    config.epochs.maxEpochAgeSeconds = 100;
    config.epochs.graceSeconds = 10;
    let net = Net::start_with(&[], config).await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let post = post(&net, &lone_statement(1)).await;
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([111])).await;
    mine(&net.chain, 1).await;
    submitter.enqueue(post.clone()).await.unwrap();
    let update = told(&mut submitter).await;
    assert_eq!(update, SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted));
    assert_eq!(net.sent_by(key.address()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_the_contract_refuses_is_given_up_after_several_heads() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let (_, mut certificate) = net.certify(&lone_statement(1), &[0, 1, 2]).await;
    let (_, other) = net.certify(&lone_statement(2), &[0, 1, 2]).await;
    certificate.signature = other.signature;
    submitter.enqueue(posts::attest(net.registry(), &certificate).unwrap()).await.unwrap();
    silent(&mut submitter).await;
    silent(&mut submitter).await;
    mine(&net.chain, 1).await;
    silent(&mut submitter).await;
    mine(&net.chain, 1).await;
    let update = told(&mut submitter).await;
    let SubmissionUpdate::Failed(SubmissionFailure::Refused(reason)) = update else {
        panic!("refused, got {update:?}");
    };
    assert!(reason.contains("CertificateInvalid"), "{reason}");
    assert_eq!(net.sent_by(key.address()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_go_out_in_the_order_given_with_ascending_nonces() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let mut wanted = Vec::new();
    for tag in 1..=3 {
        let post = post(&net, &lone_statement(tag)).await;
        wanted.push(post.subject);
        submitter.enqueue(post).await.unwrap();
    }
    automine(&net.chain, false).await;
    let updates = submitter.step().await.unwrap();
    assert_eq!(updates.iter().map(|update| update.subject).collect::<Vec<_>>(), wanted);
    mine(&net.chain, 1).await;
    let updates = submitter.step().await.unwrap();
    assert_eq!(updates.len(), 3);
    let mut positions = Vec::new();
    for update in updates {
        let SubmissionUpdate::Included(inclusion) = update.update else {
            panic!("all in one block");
        };
        let receipt = net.chain.receipt(hash(inclusion.tx.as_bytes())).await.unwrap().unwrap();
        positions.push((receipt.block_number, receipt.transaction_index));
    }
    assert!(positions.is_sorted(), "{positions:?}");
}
