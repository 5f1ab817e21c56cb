//! Verifiers' pay on the real restaking core: pots, submissions, roots, claims.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use alloy::primitives::{Bytes, U256};
use alloy::sol;
use proofgrid_core::ids::Address;
use proofgrid_oracle::abi::IDevToken;
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::deploy::{self, DeployConfig, Deployment};
use proofgrid_oracle::eigenlayer::abi::RewardsClaim;
use proofgrid_oracle::rewards::pots::{self, DuePots, PotBook};
use proofgrid_oracle::rewards::roots::{self, ClaimError};
use proofgrid_oracle::rewards::{Earnings, Payroll, calculation, submissions};
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::submit::Submitter;
use support::{Anvil, Net, account, automine, mine, opened, rpc, settle_order};

sol! {
    interface IWrapped {
        function deposit() external payable;
        function transfer(address to, uint256 value) external returns (bool);
    }
    interface ICore {
        function setActivationDelay(uint32 delay) external;
        function disableRoot(uint32 rootIndex) external;
        function setClaimerFor(address claimer) external;
    }
}

const PROVERS: [Address; 2] = [Address::from_bytes([0xa1; 20]), Address::from_bytes([0xa2; 20])];

fn wei(amount: u64) -> U256 {
    U256::from(amount)
}

fn stranger(tag: u8) -> Address {
    Address::from_bytes([tag; 20])
}

async fn balance(sender: &Sender, coin: Address, owner: Address) -> U256 {
    let call = IDevToken::balanceOfCall { account: evm(owner) };
    sender.view(coin, &call).await.unwrap()
}

/// A core with coins in its coordinator, as after submissions, and nobody on it.
struct Funded {
    _anvil: Anvil,
    chain: Chain,
    owner: Sender,
    payroll: Payroll,
}

impl Funded {
    async fn start() -> Self {
        let anvil = Anvil::start(&[]);
        let chain = anvil.chain();
        let mut owner = Sender::new(chain.clone(), account(&chain, 1).await);
        let Deployment { contracts, .. } =
            support::deployed(&mut owner, &DeployConfig::development()).await;
        let payroll = Payroll::of(&chain, &contracts).await.unwrap();
        let amount = wei(1_000_000);
        owner.execute(payroll.coin, &IWrapped::depositCall {}, amount).await.unwrap();
        let call = IWrapped::transferCall { to: evm(payroll.coordinator), value: amount };
        owner.execute(payroll.coin, &call, U256::ZERO).await.unwrap();
        Self { _anvil: anvil, chain, owner, payroll }
    }

    /// An account with coins for gas.
    async fn earner(&self, number: u8) -> Sender {
        Sender::new(self.chain.clone(), account(&self.chain, number).await)
    }

    async fn post(&mut self, earnings: &Earnings) {
        // Each root is of a later time than the one before.
        rpc(&self.chain, "evm_increaseTime", serde_json::json!([10])).await;
        mine(&self.chain, 1).await;
        let until = self.chain.latest().await.unwrap().timestamp - 1;
        let (root, until) = (earnings.root().unwrap(), u32::try_from(until).unwrap());
        roots::submit_root(&mut self.owner, &self.payroll, root, until).await.unwrap();
    }

    async fn root_index(&self, earnings: &Earnings) -> u32 {
        let root = earnings.root().unwrap();
        roots::find_root(&self.chain, &self.payroll, root).await.unwrap().unwrap().index
    }

    async fn check(&self, claim: &RewardsClaim) -> Result<(), ClaimError> {
        roots::check(&self.chain, &self.payroll, claim).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_takes_the_proof_of_every_leaf_of_trees_of_any_size() {
    let mut core = Funded::start().await;
    let coin = core.payroll.coin;
    for size in [1_u8, 2, 3, 5, 8] {
        let mut earnings = Earnings::default();
        for tag in 1..=size {
            let amount = wei(u64::from(tag) * 1_000 + u64::from(size));
            earnings.add(stranger(tag), coin, amount).unwrap();
            // The trees of tokens are of all those sizes too, with the coin among them.
            for other in 1..tag {
                earnings.add(stranger(tag), stranger(0xe0 + other), wei(1)).unwrap();
            }
        }
        core.post(&earnings).await;
        let index = core.root_index(&earnings).await;
        for tag in 1..=size {
            let claim = earnings.claim(stranger(tag), coin, index).unwrap();
            core.check(&claim).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_core_refuses_other_amounts_places_and_paths() {
    let mut core = Funded::start().await;
    let coin = core.payroll.coin;
    let mut earnings = Earnings::default();
    for tag in 1..=3 {
        earnings.add(stranger(tag), coin, wei(100)).unwrap();
    }
    core.post(&earnings).await;
    let good = earnings.claim(stranger(2), coin, core.root_index(&earnings).await).unwrap();
    core.check(&good).await.unwrap();
    let mut dearer = good.clone();
    dearer.tokenLeaves[0].cumulativeEarnings += wei(1);
    let mut elsewhere = good.clone();
    elsewhere.earnerIndex = 0;
    let mut beyond = good.clone();
    beyond.earnerIndex = 4;
    let mut shorter = good.clone();
    shorter.earnerTreeProof = Bytes::copy_from_slice(&good.earnerTreeProof[..32]);
    let mut forged = good.clone();
    let mut path = good.earnerTreeProof.to_vec();
    path[0] ^= 1;
    forged.earnerTreeProof = path.into();
    for wrong in [dearer, elsewhere, beyond, shorter, forged] {
        let refused = core.check(&wrong).await.unwrap_err();
        assert!(matches!(refused, ClaimError::Refused { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_earned_is_paid_once_and_over_two_roots_only_what_came_to_it() {
    let mut core = Funded::start().await;
    let (payroll, coin) = (core.payroll, core.payroll.coin);
    let mut earner = core.earner(5).await;
    let to = stranger(0x77);
    let own = earner.address();
    let mut first = Earnings::default();
    first.add(own, coin, wei(300)).unwrap();
    first.add(stranger(1), coin, wei(50)).unwrap();
    let unknown = roots::claim(&mut earner, &payroll, &first, own, to).await.unwrap_err();
    assert!(matches!(unknown, ClaimError::RootUnknown { .. }), "{unknown}");
    core.post(&first).await;
    let paid = roots::claim(&mut earner, &payroll, &first, own, to).await.unwrap();
    assert_eq!((paid, balance(&earner, coin, to).await), (wei(300), wei(300)));
    let twice = roots::claim(&mut earner, &payroll, &first, own, to).await.unwrap_err();
    assert!(matches!(&twice, ClaimError::AlreadyClaimed { .. }), "{twice}");

    let mut second = first.clone();
    second.add(own, coin, wei(45)).unwrap();
    core.post(&second).await;
    let paid = roots::claim(&mut earner, &payroll, &second, own, to).await.unwrap();
    assert_eq!((paid, balance(&earner, coin, to).await), (wei(45), wei(345)));
    let old = roots::claim(&mut earner, &payroll, &first, own, to).await.unwrap_err();
    assert!(matches!(&old, ClaimError::AlreadyClaimed { claimed, .. } if *claimed == wei(345)));
    let mut nobody = core.earner(6).await;
    let account = nobody.address();
    let none = roots::claim(&mut nobody, &payroll, &second, account, to).await.unwrap_err();
    assert!(matches!(none, ClaimError::NothingEarned { .. }), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_its_root_and_only_whom_the_earner_named_makes_it() {
    let mut core = Funded::start().await;
    let (payroll, coin) = (core.payroll, core.payroll.coin);
    let (mut earner, mut named) = (core.earner(5).await, core.earner(6).await);
    let (own, to) = (earner.address(), stranger(0x77));
    let mut earnings = Earnings::default();
    earnings.add(own, coin, wei(7)).unwrap();
    let delay = ICore::setActivationDelayCall { delay: 3_600 };
    core.owner.execute(payroll.coordinator, &delay, U256::ZERO).await.unwrap();
    core.post(&earnings).await;
    let early = roots::claim(&mut earner, &payroll, &earnings, own, to).await.unwrap_err();
    assert!(matches!(early, ClaimError::RootNotActive { .. }), "{early}");

    rpc(&core.chain, "evm_increaseTime", serde_json::json!([3_601])).await;
    mine(&core.chain, 1).await;
    let other = roots::claim(&mut named, &payroll, &earnings, own, to).await.unwrap_err();
    assert!(matches!(other, ClaimError::NotClaimer { .. }), "{other}");
    let call = ICore::setClaimerForCall { claimer: evm(named.address()) };
    earner.execute(payroll.coordinator, &call, U256::ZERO).await.unwrap();
    let no_more = roots::claim(&mut earner, &payroll, &earnings, own, to).await.unwrap_err();
    assert!(matches!(no_more, ClaimError::NotClaimer { .. }), "{no_more}");
    roots::claim(&mut named, &payroll, &earnings, own, to).await.unwrap();
    assert_eq!(balance(&earner, coin, to).await, wei(7));

    earnings.add(own, coin, wei(1)).unwrap();
    core.post(&earnings).await;
    let call = ICore::disableRootCall { rootIndex: core.root_index(&earnings).await };
    core.owner.execute(payroll.coordinator, &call, U256::ZERO).await.unwrap();
    let disabled = roots::claim(&mut named, &payroll, &earnings, own, to).await.unwrap_err();
    assert!(matches!(disabled, ClaimError::RootDisabled { index: 1 }), "{disabled}");
}

/// Settles a job that these operators signed for; returns what came into the pot.
async fn settle(net: &mut Net, nonce: u64, signers: &[usize]) -> U256 {
    let contracts = net.deployment.contracts;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(nonce).await;
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    let opened = opened(&created.spec, PROVERS);
    let (batch, certificate) = net.certify(&opened.statement, signers).await;
    deploy::attest(&mut net.owner, contracts.proof_registry, &certificate).await.unwrap();
    let order = settle_order(net, &created.spec, opened, &batch, certificate);
    deploy::settle(&mut net.owner, contracts.task_manager, &order).await.unwrap();
    job.fee_wei * wei(1_900) / wei(10_000)
}

async fn book(net: &Net) -> PotBook {
    let payroll = Payroll::of(&net.chain, &net.deployment.contracts).await.unwrap();
    let mut book = PotBook::new(payroll, net.deployment.start_block().get(), 7);
    read(net, &mut book).await;
    book
}

async fn read(net: &Net, book: &mut PotBook) {
    let head = net.chain.latest().await.unwrap().number;
    for _ in 0..100 {
        if book.read_to(&net.chain, head).await.unwrap() {
            return;
        }
    }
    panic!("a look reads no further");
}

/// The interval in which the open pots' epochs began is over.
async fn pay_day(net: &Net, book: &mut PotBook) {
    let open = book.open(&net.chain).await.unwrap();
    let over = open.iter().map(|pot| pot.due_after).max().unwrap() + 1;
    let seconds = over.saturating_sub(net.now().await);
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([seconds])).await;
    mine(&net.chain, 1).await;
}

async fn steps(net: &Net, submitter: &mut Submitter) {
    for _ in 0..6 {
        submitter.step().await.unwrap();
        mine(&net.chain, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_fee_becomes_what_operators_and_their_stakers_claim() {
    let mut net = Net::start().await;
    let pot = settle(&mut net, 1, &[0, 1]).await;
    let mut book = book(&net).await;
    assert!(book.due(&net.chain).await.unwrap().is_empty(), "the day is not over");
    pay_day(&net, &mut book).await;
    let due = book.due(&net.chain).await.unwrap();
    let [DuePots { epoch, masks, amount }] = due.as_slice() else {
        panic!("one epoch with one pot, got {due:?}");
    };
    assert_eq!((*epoch, masks.len(), *amount), (net.epoch, 1, pot));
    let payroll = *book.payroll();
    pots::distribute(&mut net.owner, &payroll, &due[0]).await.unwrap();
    assert!(book.due(&net.chain).await.unwrap().is_empty(), "the pot is empty");

    let head = net.chain.latest().await.unwrap();
    let submitted = submissions::submissions(&net.chain, &payroll, 0, head.number).await.unwrap();
    let [submission] = submitted.as_slice() else { panic!("one submission, got {submitted:?}") };
    assert_eq!((submission.token, submission.rewards.len()), (payroll.coin, 2));
    let earnings = calculation::calculate(&net.chain, &payroll, 0, head.number).await.unwrap();
    let until = u32::try_from(head.timestamp - 1).unwrap();
    let root = earnings.root().unwrap();
    roots::submit_root(&mut net.owner, &payroll, root, until).await.unwrap();

    let mut paid = U256::ZERO;
    // Stakes 40 and 30; an operator keeps a tenth, and each has one staker.
    for (number, stake) in [(10, 40), (11, 30)] {
        let reward = pot * wei(stake) / wei(70);
        let own = reward / wei(10);
        for (account_number, expected) in [(number, own), (number + 10, reward - own)] {
            let key = account(&net.chain, account_number).await;
            let mut earner = Sender::new(net.chain.clone(), key);
            let account = earner.address();
            assert_eq!(earnings.of(account, payroll.coin), Some(expected));
            let claimed =
                roots::claim(&mut earner, &payroll, &earnings, account, account).await.unwrap();
            assert_eq!(claimed, expected);
            assert_eq!(balance(&earner, payroll.coin, account).await, expected);
            paid += claimed;
        }
    }
    assert!(paid <= pot && paid + wei(4) > pot, "{paid} of {pot}");
    assert_eq!(earnings.in_token(payroll.coin).count(), 4, "who did not sign gets nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_earned_does_not_change_when_stake_moves_afterwards() {
    let mut net = Net::start().await;
    settle(&mut net, 1, &[0, 1]).await;
    let mut book = book(&net).await;
    pay_day(&net, &mut book).await;
    let payroll = *book.payroll();
    let due = book.due(&net.chain).await.unwrap();
    pots::distribute(&mut net.owner, &payroll, &due[0]).await.unwrap();
    let head = net.chain.latest().await.unwrap().number;
    let before = calculation::calculate(&net.chain, &payroll, 0, head).await.unwrap();
    let mut late = Sender::new(net.chain.clone(), account(&net.chain, 70).await);
    let (core, stake) = (net.deployment.core, proofgrid_core::units::Stake::new(support::TOKEN));
    deploy::mint(&mut net.owner, core.token, &[(late.address(), stake)]).await.unwrap();
    let operator = net.operators[0].address;
    proofgrid_oracle::eigenlayer::delegate_stake(&mut late, &core, operator, stake).await.unwrap();
    let head = net.chain.latest().await.unwrap().number;
    let after = calculation::calculate(&net.chain, &payroll, 0, head).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_submitter_hands_pots_out_once_over_a_restart_and_beside_another() {
    let mut net = Net::start().await;
    settle(&mut net, 1, &[0, 1]).await;
    settle(&mut net, 2, &[0, 1, 2]).await;
    let mut book = book(&net).await;
    pay_day(&net, &mut book).await;
    let due = book.due(&net.chain).await.unwrap();
    assert_eq!((due.len(), due[0].masks.len()), (1, 2), "two sets of signers in one epoch");
    let post = due[0].post(book.payroll());

    let (key, other_key) = (account(&net.chain, 80).await, account(&net.chain, 81).await);
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    automine(&net.chain, false).await;
    let mut submitter = net.submitter(&key, folder.path());
    submitter.enqueue(post.clone()).await.unwrap();
    submitter.step().await.unwrap();
    drop(submitter);
    // A new process finds the pots again and asks for the same.
    let mut submitter = net.submitter(&key, folder.path());
    let again = self::book(&net).await.due(&net.chain).await.unwrap();
    assert_eq!(again, due);
    submitter.enqueue(post.clone()).await.unwrap();
    steps(&net, &mut submitter).await;
    assert_eq!(net.sent_by(key.address()).await, 1);
    assert!(book.due(&net.chain).await.unwrap().is_empty());
    // Another oracle that was as far sends nothing, and neither keeps a record of it.
    let mut other = net.submitter(&other_key, other_folder.path());
    other.enqueue(post.clone()).await.unwrap();
    steps(&net, &mut other).await;
    assert_eq!(net.sent_by(other_key.address()).await, 0);
    assert!(other.standings().is_empty() && submitter.standings().is_empty());

    // More comes into a pot that was empty: it is found and handed out again.
    automine(&net.chain, true).await;
    settle(&mut net, 3, &[0, 1]).await;
    read(&net, &mut book).await;
    let due = book.due(&net.chain).await.unwrap();
    assert_eq!((due.len(), due[0].masks.len()), (1, 1));
    submitter.enqueue(due[0].post(book.payroll())).await.unwrap();
    steps(&net, &mut submitter).await;
    assert_eq!(net.sent_by(key.address()).await, 2);
    assert!(book.open(&net.chain).await.unwrap().is_empty());
}
