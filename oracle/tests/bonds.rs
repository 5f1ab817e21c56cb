//! Bonds on a real node: what a prover puts at stake, and what becomes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use alloy::primitives::U256;
use proofgrid_core::bond::{AcceptedLease, BondedLease, LeaseTerms};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::Address;
use proofgrid_core::units::UnixSeconds;
use proofgrid_oracle::abi::LockState;
use proofgrid_oracle::bonds::{Account, BondBook, LockId};
use proofgrid_oracle::deploy::{self, CreatedJob};
use proofgrid_oracle::keeper::Keeper;
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::locks;
use proofgrid_oracle::sender::{Sender, SharedSender};
use proofgrid_oracle::submit::Submitter;
use proofgrid_proto::convert::AcceptanceOrder;
use support::{Net, account, mine, opened, rpc, settle_order};
use tokio_util::sync::CancellationToken;

const BOND: u128 = 1_000_000;
const AT_STAKE: u128 = 100_000;

struct Prover {
    wallet: WalletKey,
    sender: Sender,
}

impl Prover {
    async fn bonded(net: &Net, book: &BondBook, number: u8) -> Self {
        let key = account(&net.chain, number).await;
        let wallet = WalletKey::from_bytes(&[number; 32]).unwrap();
        let mut sender = Sender::new(net.chain.clone(), key);
        book.deposit(&mut sender, wallet.address(), U256::from(BOND)).await.unwrap();
        Self { wallet, sender }
    }

    fn address(&self) -> Address {
        self.wallet.address()
    }

    /// Signs for segment 0 of a job, with ten minutes to deliver.
    async fn accepts(&self, net: &Net, job: &CreatedJob) -> AcceptedLease {
        let deadline = UnixSeconds::new(net.now().await + 600);
        let terms = LeaseTerms { amount: AT_STAKE, deadline };
        let lease = BondedLease { spec: job.spec.clone(), segment: 0, terms };
        lease.sign(&self.wallet, net.task_manager())
    }
}

async fn job(net: &Net, requester: &mut Sender, nonce: u64) -> CreatedJob {
    let job = net.new_job(nonce).await;
    deploy::create_job(requester, &net.deployment.contracts, &job).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bond_is_locked_by_the_provers_word_and_free_again_after_its_job() {
    let mut net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    assert_eq!(book.address(), net.deployment.bonds);
    let mut prover = Prover::bonded(&net, &book, 70).await;
    let who = prover.address();
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;

    let acceptance = prover.accepts(&net, &created).await;
    book.accept(&mut net.owner, &acceptance).await.unwrap();
    let locked = Account { free: BOND - AT_STAKE, locked: AT_STAKE };
    assert_eq!(book.account(who).await.unwrap(), locked);
    let [lock] = book.live_locks(who).await.unwrap().try_into().unwrap();
    assert_eq!((lock.id, lock.amount), (LockId::of(&acceptance), AT_STAKE));
    assert_eq!((lock.deadline, lock.state), (acceptance.lease.terms.deadline, LockState::Locked));
    let again = book.accept(&mut net.owner, &acceptance).await.unwrap_err();
    assert!(again.to_string().contains("AcceptanceUsed"), "{again}");
    let greedy = U256::from(BOND);
    let greedy = book.withdraw(&mut prover.sender, greedy, who).await.unwrap_err();
    assert!(greedy.to_string().contains("BondTooSmall"), "{greedy}");

    let task = (created.job, acceptance.lease.task());
    let stranger = book.deliver(&mut net.owner, task, [7; 32]).await.unwrap_err();
    assert!(stranger.to_string().contains("LockNotPending"), "{stranger}");
    book.deliver(&mut prover.sender, task, [7; 32]).await.unwrap();
    assert_eq!(book.lock(LockId::of(&acceptance)).await.unwrap().state, LockState::Delivered);
    let early = book.resolve(&mut net.owner, LockId::of(&acceptance)).await.unwrap_err();
    assert!(early.to_string().contains("JobStillOpen"), "{early}");

    let opened = opened(&created.spec, [who, Address::from_bytes([0xa2; 20])]);
    let (batch, certificate) = net.certify(&opened.statement, &[0, 1]).await;
    let registry = net.deployment.contracts.proof_registry;
    deploy::attest(&mut net.owner, registry, &certificate).await.unwrap();
    let order = settle_order(&net, &created.spec, opened, &batch, certificate);
    deploy::settle(&mut net.owner, task_manager, &order).await.unwrap();
    assert_eq!(book.account(who).await.unwrap(), Account { free: BOND, locked: 0 });
    assert!(book.live_locks(who).await.unwrap().is_empty());
    let to = Address::from_bytes([0xcd; 20]);
    book.withdraw(&mut prover.sender, U256::from(BOND), to).await.unwrap();
    assert_eq!(net.owner.balance_of(to).await.unwrap(), U256::from(BOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_provers_own_word_for_this_job_locks_anything() {
    let mut net = Net::start().await;
    let book = BondBook::of(net.chain.clone(), net.deployment.contracts.task_manager).await;
    let book = book.unwrap();
    let prover = Prover::bonded(&net, &book, 70).await;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;
    let signed = prover.accepts(&net, &created).await;
    let other = job(&net, &mut requester, 2).await;
    let lease = signed.lease.clone();
    let sooner = UnixSeconds::new(lease.terms.deadline.get() - 1);
    let changed = [
        BondedLease { terms: LeaseTerms { amount: AT_STAKE + 1, ..lease.terms }, ..lease.clone() },
        BondedLease { segment: 1, ..lease.clone() },
        BondedLease { spec: other.spec, ..lease.clone() },
        BondedLease { terms: LeaseTerms { deadline: sooner, ..lease.terms }, ..lease.clone() },
    ];
    let changed = changed.map(|lease| AcceptedLease { lease, ..signed.clone() });
    let thief = AcceptedLease { prover: Address::from_bytes([9; 20]), ..signed.clone() };
    for forged in changed.iter().chain([&thief]) {
        let refused = book.accept(&mut net.owner, forged).await.unwrap_err();
        assert!(refused.to_string().contains("SignatureInvalid"), "{refused}");
    }
    let untouched = Account { free: BOND, locked: 0 };
    assert_eq!(book.account(prover.address()).await.unwrap(), untouched);
    book.accept(&mut net.owner, &signed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_delivers_nothing_pays_the_requester_and_no_coin_is_lost() {
    let mut net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    let prover = Prover::bonded(&net, &book, 70).await;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;
    let acceptance = prover.accepts(&net, &created).await;
    book.accept(&mut net.owner, &acceptance).await.unwrap();

    rpc(&net.chain, "evm_increaseTime", serde_json::json!([3600 + 121])).await;
    mine(&net.chain, 1).await;
    deploy::refund(&mut requester, task_manager, created.job).await.unwrap();
    book.resolve(&mut net.owner, LockId::of(&acceptance)).await.unwrap();
    // Half of a lock, by the terms of the development network.
    let penalty = AT_STAKE / 2;
    let left = Account { free: BOND - penalty, locked: 0 };
    assert_eq!(book.account(prover.address()).await.unwrap(), left);
    let credit = deploy::credits(&requester, task_manager, requester.address()).await.unwrap();
    assert_eq!(credit, created.spec.fee_cap + U256::from(penalty));
    let twice = book.resolve(&mut net.owner, LockId::of(&acceptance)).await.unwrap_err();
    assert!(twice.to_string().contains("LockNotPending"), "{twice}");
}

/// Steps until a condition holds, with blocks in between; the number of steps is bounded.
async fn steps_until(
    net: &Net,
    submitter: &mut Submitter,
    book: &BondBook,
    id: LockId,
    is: LockState,
) {
    for _ in 0..50 {
        let told = submitter.step().await.unwrap();
        assert!(told.is_empty(), "nobody waits to hear of locks: {told:?}");
        if book.lock(id).await.unwrap().state == is {
            return;
        }
        mine(&net.chain, 1).await;
    }
    panic!("the lock is {:?}, not {is:?}", book.lock(id).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_resolved_by_the_oracle_when_its_job_has_ended() {
    let net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    let prover = Prover::bonded(&net, &book, 70).await;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;
    let accepted = prover.accepts(&net, &created).await;
    let id = LockId::of(&accepted);
    let order = AcceptanceOrder { task_manager, accepted };

    let (key, folder) = (account(&net.chain, 80).await, tempfile::tempdir().unwrap());
    let mut submitter = net.submitter(&key, folder.path());
    for post in locks::posts(&book, &order) {
        submitter.enqueue(post).await.unwrap();
    }
    steps_until(&net, &mut submitter, &book, id, LockState::Locked).await;
    assert_eq!(submitter.patient(), 1, "the job is open");
    // Said again by the dispatcher, it changes nothing.
    for post in locks::posts(&book, &order) {
        submitter.enqueue(post).await.unwrap();
    }
    mine(&net.chain, 4).await;
    for _ in 0..4 {
        submitter.step().await.unwrap();
    }
    assert_eq!(submitter.patient(), 1);
    assert_eq!(net.sent_by(key.address()).await, 1);
    drop(submitter);

    rpc(&net.chain, "evm_increaseTime", serde_json::json!([3600 + 121])).await;
    mine(&net.chain, 1).await;
    deploy::refund(&mut requester, task_manager, created.job).await.unwrap();
    // What was promised outlives the process, and a fresh one looks at once.
    let mut submitter = net.submitter(&key, folder.path());
    steps_until(&net, &mut submitter, &book, id, LockState::Penalised).await;
    mine(&net.chain, 4).await;
    for _ in 0..4 {
        submitter.step().await.unwrap();
    }
    assert_eq!((submitter.patient(), net.sent_by(key.address()).await), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provers_own_keeper_delivers_what_it_proved_and_knows_it_after_a_restart() {
    let mut net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    let prover = Prover::bonded(&net, &book, 70).await;
    let who = prover.address();
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;
    let accepted = prover.accepts(&net, &created).await;
    let id = LockId::of(&accepted);
    let folder = tempfile::tempdir().unwrap();
    let keeper =
        |sender| Keeper::open(book.clone(), SharedSender::new(sender), folder.path()).unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();

    let (first, handle) = keeper(prover.sender);
    handle.accepted(&accepted);
    handle.proved(created.job, id.task, [7; 32]);
    // It is told to stop at once: what it was told before is kept and looked at.
    first.run(stopped.clone()).await;
    assert_eq!(book.lock(id).await.unwrap().state, LockState::None, "nobody has posted it yet");

    book.accept(&mut net.owner, &accepted).await.unwrap();
    let own = || Sender::new(net.chain.clone(), OracleKey::from_bytes(&[70; 32]).unwrap());
    keeper(own()).0.run(stopped.clone()).await;
    assert_eq!(book.lock(id).await.unwrap().state, LockState::Delivered);

    rpc(&net.chain, "evm_increaseTime", serde_json::json!([3600 + 121])).await;
    mine(&net.chain, 1).await;
    deploy::refund(&mut requester, task_manager, created.job).await.unwrap();
    keeper(own()).0.run(stopped).await;
    // The flat fee of the development network is nothing.
    assert_eq!(book.account(who).await.unwrap(), Account { free: BOND, locked: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provers_own_keeper_takes_back_what_it_gave_up_unless_it_was_posted() {
    let mut net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    let prover = Prover::bonded(&net, &book, 70).await;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let [first, second] = [job(&net, &mut requester, 1).await, job(&net, &mut requester, 2).await];
    let lost = prover.accepts(&net, &first).await;
    let posted = prover.accepts(&net, &second).await;
    let folder = tempfile::tempdir().unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();
    let shared = SharedSender::new(prover.sender);
    let (keeper, handle) = Keeper::open(book.clone(), shared, folder.path()).unwrap();
    book.accept(&mut net.owner, &posted).await.unwrap();
    for accepted in [&lost, &posted] {
        handle.accepted(accepted);
        handle.given_up(accepted);
    }
    let before = net.sent_by(prover.wallet.address()).await;
    keeper.run(stopped.clone()).await;
    assert_eq!(net.sent_by(prover.wallet.address()).await, before + 1, "one of them is revoked");
    let late = book.accept(&mut net.owner, &lost).await.unwrap_err();
    assert!(late.to_string().contains("AcceptanceUsed"), "{late}");
    assert_eq!(book.lock(LockId::of(&posted)).await.unwrap().state, LockState::Locked);

    let own = Sender::new(net.chain.clone(), OracleKey::from_bytes(&[70; 32]).unwrap());
    let (keeper, _handle) = Keeper::open(book, SharedSender::new(own), folder.path()).unwrap();
    keeper.run(stopped).await;
    assert_eq!(net.sent_by(prover.wallet.address()).await, before + 1, "once");
}

/// The dispatcher's word may be there before the prover's coins are.
#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_the_contract_refuses_is_tried_again_at_later_heads() {
    let net = Net::start().await;
    let task_manager = net.deployment.contracts.task_manager;
    let book = BondBook::of(net.chain.clone(), task_manager).await.unwrap();
    let key = account(&net.chain, 70).await;
    let wallet = WalletKey::from_bytes(&[70; 32]).unwrap();
    let sender = Sender::new(net.chain.clone(), key);
    let mut prover = Prover { wallet, sender };
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let created = job(&net, &mut requester, 1).await;
    let accepted = prover.accepts(&net, &created).await;
    let folder = tempfile::tempdir().unwrap();
    let mut submitter = net.submitter(&account(&net.chain, 80).await, folder.path());
    let order = AcceptanceOrder { task_manager, accepted };
    let [accept, _] = locks::posts(&book, &order);
    submitter.enqueue(accept).await.unwrap();
    // No block comes in between: however often it is looked at, it is one refusal.
    for _ in 0..5 {
        submitter.step().await.unwrap();
    }
    let (who, id) = (prover.address(), LockId::of(&order.accepted));
    book.deposit(&mut prover.sender, who, U256::from(BOND)).await.unwrap();
    for _ in 0..500 {
        submitter.step().await.unwrap();
        if book.lock(id).await.unwrap().state == LockState::Locked {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it was given up");
}
