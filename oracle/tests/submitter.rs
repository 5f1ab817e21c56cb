//! Posting, on a real node: at most once in effect, and eventually once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use alloy::eips::BlockId;
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{JobId, TxHash};
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject, SubmissionUpdate};
use proofgrid_core::statement::Statement;
use proofgrid_oracle::abi::{ITaskManager, JobState};
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::deploy::{self, DeployConfig};
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::posts;
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::submit::record::Post;
use proofgrid_oracle::submit::{Submitter, Update};
use proofgrid_proto::convert::SettleOrder;
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
    submitter.forget(post.purpose.told().unwrap()).await.unwrap();
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
async fn nonces_that_a_lost_chain_gave_back_do_not_hold_up_what_is_out() {
    let net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let posts = [post(&net, &lone_statement(1)).await, post(&net, &lone_statement(2)).await];
    let last = post(&net, &lone_statement(3)).await;
    mine(&net.chain, 1).await;
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    for post in posts {
        submitter.enqueue(post.clone()).await.unwrap();
        sent(&told(&mut submitter).await);
        assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
        mine(&net.chain, 3).await;
        assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Final(_)));
        submitter.forget(post.purpose.told().unwrap()).await.unwrap();
    }
    submitter.enqueue(last).await.unwrap();
    sent(&told(&mut submitter).await);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));

    // Deeper than final: two nonces are free again, and the third waits for them.
    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    mine(&net.chain, 1).await;
    assert_eq!(told(&mut submitter).await, SubmissionUpdate::Reorged);
    mine(&net.chain, 1).await;
    let SubmissionUpdate::Included(_) = told(&mut submitter).await else {
        panic!("posted again");
    };
    assert_eq!(net.sent_by(key.address()).await, 3);
    mine(&net.chain, 3).await;
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Final(_)));
    assert_eq!(net.sent_by(key.address()).await, 3, "two of them did nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_of_a_job_that_the_chain_lost_says_so_and_pays_when_it_is_back() {
    let net = Net::start().await;
    let contracts = net.deployment.contracts;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    let job = net.new_job(1).await;
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    mine(&net.chain, 8).await;
    let opened = opened(&created.spec, [key.address(), requester.address()]);
    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    mine(&net.chain, 9).await;

    let (batch, certificate) = net.certify(&opened.statement, &[0, 1, 2, 3]).await;
    let order = settle_order(&net, &created.spec, opened, &batch, certificate.clone());
    let settlement = posts::settle(net.task_manager(), &order).unwrap();
    submitter.enqueue(settlement.clone()).await.unwrap();
    let SubmissionUpdate::Failed(SubmissionFailure::Refused(reason)) = told(&mut submitter).await
    else {
        panic!("there is nothing to settle");
    };
    assert!(reason.contains("the chain has no such job"), "{reason}");

    // Its requester creates it again; the dispatcher orders again whatever failed.
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let again = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    assert_eq!(again.job, created.job, "the same words, the same job");
    assert!(submitter.is_lost(&certificate).await);
    submitter.enqueue(posts::attest(net.registry(), &certificate).unwrap()).await.unwrap();
    assert!(!submitter.is_lost(&certificate).await, "it is on its way");
    sent(&told(&mut submitter).await);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
    submitter.enqueue(settlement).await.unwrap();
    sent(&told(&mut submitter).await);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
    let escrow = deploy::escrow(&requester, contracts.task_manager, created.job).await.unwrap();
    assert_eq!(escrow.state, JobState::Settled);
    assert!(!submitter.is_lost(&certificate).await);
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
    config.races.judgeSeconds = 60;
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

/// A network where a batch is soft for ten minutes, and a job of it with its orders.
struct Late {
    net: Net,
    key: OracleKey,
    folder: tempfile::TempDir,
    requester: Sender,
    job: JobId,
    deadline: u64,
    certificate: Certificate,
    order: SettleOrder,
}

/// Seconds of the network of [`Late`].
const VERIFY: u64 = 60;
const CHALLENGE: u64 = 600;
const GRACE: u64 = 700;

impl Late {
    async fn start() -> Self {
        let mut config = DeployConfig::development();
        config.epochs.challengeSeconds = CHALLENGE;
        config.tasks.verifySeconds = VERIFY;
        config.tasks.graceSeconds = GRACE;
        config.races.judgeSeconds = u32::try_from(CHALLENGE + 1).unwrap();
        config.races.holdSecondsMax = config.races.judgeSeconds;
        let net = Net::start_with(&[], config).await;
        let key = account(&net.chain, 80).await;
        let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
        let contracts = net.deployment.contracts;
        let created =
            deploy::create_job(&mut requester, &contracts, &net.new_job(1).await).await.unwrap();
        let opened = opened(&created.spec, [key.address(), requester.address()]);
        let (batch, certificate) = net.certify(&opened.statement, &[0, 1, 2, 3]).await;
        let order = settle_order(&net, &created.spec, opened, &batch, certificate.clone());
        let (job, deadline) = (created.job, created.spec.deadline.get());
        let folder = tempfile::tempdir().unwrap();
        Self { net, key, folder, requester, job, deadline, certificate, order }
    }

    /// The chain's clock goes to this many seconds after the deadline.
    async fn until(&self, seconds: u64) {
        let wait = self.deadline + seconds - self.net.now().await;
        rpc(&self.net.chain, "evm_increaseTime", serde_json::json!([wait])).await;
        mine(&self.net.chain, 1).await;
    }

    /// Attested now, and both orders of a settlement given, as the oracle gives them.
    async fn attested(&self) -> Submitter {
        let mut submitter = self.net.submitter(&self.key, self.folder.path());
        let attest = posts::attest(self.net.registry(), &self.certificate).unwrap();
        submitter.enqueue(attest).await.unwrap();
        sent(&told(&mut submitter).await);
        assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
        let manager = self.net.task_manager();
        submitter.enqueue(posts::hold(manager, &self.order).unwrap()).await.unwrap();
        submitter.enqueue(posts::settle(manager, &self.order).unwrap()).await.unwrap();
        submitter
    }

    async fn refundable_at(&self) -> u64 {
        let manager = evm(self.net.deployment.contracts.task_manager);
        let job_id = hash(self.job.as_bytes());
        let call = ITaskManager::refundableAtCall { jobId: job_id };
        let at = self.net.chain.view(manager, &call, BlockId::latest()).await.unwrap();
        u64::try_from(at).unwrap()
    }

    async fn settled(&mut self, mut submitter: Submitter) {
        let subject = SubmissionSubject::Settle(self.job);
        let included = |update: &Update| {
            update.subject == subject && matches!(update.update, SubmissionUpdate::Included(_))
        };
        let mut steps = 0;
        while !submitter.step().await.unwrap().iter().any(included) {
            steps += 1;
            assert!(steps < 500, "the settlement is posted");
            tokio::task::yield_now().await;
        }
        let manager = self.net.deployment.contracts.task_manager;
        let escrow = deploy::escrow(&self.requester, manager, self.job).await.unwrap();
        assert_eq!(escrow.state, JobState::Settled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escrow_that_could_be_refunded_before_its_verdict_is_hard_is_held() {
    let mut late = Late::start().await;
    // Attested so late that the refund is due (verify + grace) before the window ends.
    late.until(200).await;
    assert_eq!(late.refundable_at().await, late.deadline + VERIFY + GRACE);
    let mut submitter = late.attested().await;
    silent(&mut submitter).await;
    let attested_at = late.net.now().await;
    silent(&mut submitter).await;
    let refundable = late.refundable_at().await;
    assert!(refundable >= attested_at - 1 + CHALLENGE + GRACE, "{refundable} after {attested_at}");
    // One hold is enough, and what it is for is the oracle's own business.
    silent(&mut submitter).await;
    mine(&late.net.chain, 4).await;
    let updates = submitter.step().await.unwrap();
    assert!(
        matches!(updates.as_slice(), [update]
        if matches!(update.update, SubmissionUpdate::Final(_))),
        "{updates:?}"
    );
    silent(&mut submitter).await;
    assert_eq!(late.net.sent_by(late.key.address()).await, 2);

    // Without the hold the requester would have its fee back by now.
    late.until(VERIFY + GRACE + 1).await;
    let manager = late.net.deployment.contracts.task_manager;
    let refused = deploy::refund(&mut late.requester, manager, late.job).await.unwrap_err();
    assert!(refused.to_string().contains("RefundTooEarly"), "{refused}");
    late.until(200 + CHALLENGE + 60).await;
    late.settled(submitter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_escrow_that_is_settled_in_time_costs_no_hold() {
    let mut late = Late::start().await;
    let mut submitter = late.attested().await;
    let before = late.refundable_at().await;
    silent(&mut submitter).await;
    silent(&mut submitter).await;
    assert_eq!(late.refundable_at().await, before);
    assert_eq!(late.net.sent_by(late.key.address()).await, 1, "the certificate alone");
    // Settled as soon as the window is over; nobody waits for a final block.
    late.until(0).await;
    late.settled(submitter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_under_another_batch_replaces_the_one_that_was_ordered() {
    let mut late = Late::start().await;
    let mut submitter = late.net.submitter(&late.key, late.folder.path());
    // The first certificate is never attested: its epoch ended, say.
    let mut order = late.order.clone();
    order.certificate.root = proofgrid_core::ids::BatchRoot::from_bytes([9; 32]);
    let stale = posts::settle(late.net.task_manager(), &order).unwrap();
    submitter.enqueue(stale).await.unwrap();
    silent(&mut submitter).await;
    drop(submitter);
    let mut submitter = late.attested().await;
    silent(&mut submitter).await;
    late.until(0).await;
    late.settled(submitter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_signer_comes_back_by_name_and_the_next_certificate_does_without() {
    let mut net = Net::start().await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    let statement = lone_statement(1);
    let (_, with) = net.certify(&statement, &[0, 1, 2]).await;
    let (_, without) = net.certify(&statement, &[0, 1, 3]).await;
    let table = net.keys().await.table().clone();
    let members = table.index_of(net.operators[2].address).into_iter().collect();
    let epoch_table = net.deployment.contracts.epoch_table;
    deploy::exclude(&mut net.owner, epoch_table, net.epoch, &members).await.unwrap();

    submitter.enqueue(posts::attest(net.registry(), &with).unwrap()).await.unwrap();
    for _ in 0..2 {
        silent(&mut submitter).await;
        mine(&net.chain, 1).await;
    }
    let failure = SubmissionFailure::ExcludedSigner(members);
    assert_eq!(told(&mut submitter).await, SubmissionUpdate::Failed(failure));
    assert_eq!(with.id(), without.id());
    submitter.enqueue(posts::attest(net.registry(), &without).unwrap()).await.unwrap();
    sent(&told(&mut submitter).await);
    assert!(matches!(told(&mut submitter).await, SubmissionUpdate::Included(_)));
    assert_eq!(net.sent_by(key.address()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_pointless_while_it_was_out_gives_its_nonce_back() {
    let mut config = DeployConfig::development();
    config.epochs.maxEpochAgeSeconds = 100;
    config.epochs.graceSeconds = 10;
    let net = Net::start_with(&[], config).await;
    let key = account(&net.chain, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&key, folder.path());
    submitter.enqueue(post(&net, &lone_statement(1)).await).await.unwrap();
    automine(&net.chain, false).await;
    let first = sent(&told(&mut submitter).await);
    // Nobody takes it until its epoch is over.
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([111])).await;
    for _ in 0..3 {
        silent(&mut submitter).await;
        rpc(&net.chain, "anvil_dropTransaction", serde_json::json!([first.to_string()])).await;
        mine(&net.chain, 1).await;
    }
    silent(&mut submitter).await;
    drop(submitter);
    let mut submitter = net.submitter(&key, folder.path());
    assert!(submitter.standings().is_empty(), "told when it is clear what became of it");
    mine(&net.chain, 1).await;
    assert_eq!(
        told(&mut submitter).await,
        SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted)
    );
    assert_eq!(net.sent_by(key.address()).await, 1);
    let spent = net.chain.receipt(hash(first.as_bytes())).await.unwrap();
    assert!(spent.is_none(), "an empty transaction took its place");
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
        wanted.push(post.purpose.told().unwrap());
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
