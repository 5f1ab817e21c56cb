//! Races on a real node: what provers commit to and reveal, and what becomes of their bonds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{
    Address, BlobDigest, JobId, PublicValuesDigest, StatementAttempt, StatementDigest, VkDigest,
};
use proofgrid_core::job::{JobSpec, Mode};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{Stake, WorkUnits};
use proofgrid_oracle::abi::{CommitmentState, IRaceRounds, JobState, RaceState};
use proofgrid_oracle::bonds::{Account, BondBook};
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::cursor::Cursor;
use proofgrid_oracle::deploy::{self, CreatedJob, DeployConfig, NewJob};
use proofgrid_oracle::eigenlayer;
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::racer::{Racer, RacerHandle, RacerSettings, Step};
use proofgrid_oracle::races::{PROVERS, RaceBook, RoundId, Salt};
use proofgrid_oracle::reader::{ChainReader, Look, ReadSettings};
use proofgrid_oracle::referee;
use proofgrid_oracle::sender::{Sender, SharedSender};
use proofgrid_oracle::setup;
use proofgrid_oracle::submit::Submitter;
use proofgrid_proto::convert::{ChainNews, JudgeOrder, RaceStep};
use support::{CHAIN, MANIFEST, Net, PROGRAM, TOKEN, account, mine, rpc, settle_order};

const DEPOSIT: u128 = 10_000_000;
const BOND: u128 = 100_000;
const FEE: u64 = 1_000_000;
const COMMIT_SECONDS: u32 = 600;
const REVEAL_SECONDS: u32 = 600;
/// The racers' finality: deep enough that nothing is final by itself.
const DEPTH: u64 = 3;

fn config() -> DeployConfig {
    let mut config = DeployConfig::development();
    config.races.bond = BOND;
    config.races.flatFee = BOND / 10;
    config.races.commitSeconds = COMMIT_SECONDS;
    config.races.revealSeconds = REVEAL_SECONDS;
    config.races.roundsMax = 2;
    config
}

/// A network whose program can be raced.
struct Course {
    net: Net,
    book: RaceBook,
    bonds: BondBook,
    requester: Sender,
}

impl Course {
    async fn start(config: DeployConfig) -> Self {
        let mut net = Net::start_with(&[], config).await;
        let races = net.deployment.race_rounds;
        setup::allow_races(&mut net.owner, races, &[PROGRAM]).await.unwrap();
        let task_manager = net.deployment.contracts.task_manager;
        let book = RaceBook::of(net.chain.clone(), task_manager).await.unwrap();
        assert_eq!(book.address(), races);
        assert!(book.is_prover_bound(PROGRAM).await.unwrap());
        let bonds = book.bonds().await.unwrap();
        let requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
        Self { net, book, bonds, requester }
    }

    async fn job(&mut self, nonce: u64) -> CreatedJob {
        let job = self.net.new_job(nonce).await;
        let job = NewJob { mode: Mode::Race, fee_wei: U256::from(FEE), ..job };
        let contracts = &self.net.deployment.contracts;
        deploy::create_job(&mut self.requester, contracts, &job).await.unwrap()
    }

    /// The clock goes on, and everything so far becomes final.
    async fn later(&self, seconds: u32) {
        rpc(&self.net.chain, "evm_increaseTime", serde_json::json!([seconds])).await;
        mine(&self.net.chain, DEPTH + 1).await;
    }

    /// A prover with this many tokens of stake and a bond.
    async fn prover(&mut self, number: u8, tokens: u128) -> Prover {
        let chain = self.net.chain.clone();
        let mut sender = Sender::new(chain.clone(), account(&chain, number).await);
        let mut staker = Sender::new(chain.clone(), account(&chain, number + 1).await);
        let (core, stake) = (self.net.deployment.core, Stake::new(tokens * TOKEN));
        let delegation = core.delegation_manager;
        eigenlayer::register_as_operator(&mut sender, delegation, "").await.unwrap();
        let minted = [(staker.address(), stake)];
        deploy::mint(&mut self.net.owner, core.token, &minted).await.unwrap();
        let operator = sender.address();
        eigenlayer::delegate_stake(&mut staker, &core, operator, stake).await.unwrap();
        let avs = self.net.deployment.avs();
        eigenlayer::join_set(&mut sender, &avs, PROVERS, Vec::new()).await.unwrap();
        self.bonds.deposit(&mut sender, operator, U256::from(DEPOSIT)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (racer, handle) = self.racer(number, folder.path()).await;
        Prover { number, address: operator, folder, racer, handle }
    }

    async fn racer(&self, number: u8, folder: &Path) -> (Racer, RacerHandle) {
        let key = OracleKey::from_bytes(&[number; 32]).unwrap();
        let sender = SharedSender::new(Sender::new(self.net.chain.clone(), key));
        let wallet = WalletKey::from_bytes(&[number; 32]).unwrap();
        let finality = format!("depth={DEPTH}").parse().unwrap();
        let settings = RacerSettings { finality, bond_wei_max: BOND };
        Racer::open(self.book.clone(), sender, &wallet, settings, folder).await.unwrap()
    }

    async fn state(&self, id: RoundId, prover: &Prover) -> Option<CommitmentState> {
        let sight = self.book.head_sight(id.job).await.unwrap();
        sight.of(prover.address).map(|one| one.state)
    }

    async fn account(&self, prover: &Prover) -> Account {
        self.bonds.account(prover.address).await.unwrap()
    }

    async fn credit(&self, account: Address) -> U256 {
        let manager = self.net.deployment.contracts.task_manager;
        deploy::credits(&self.net.owner, manager, account).await.unwrap()
    }

    async fn in_vault(&self) -> U256 {
        self.net.owner.balance_of(self.net.deployment.fee_vault).await.unwrap()
    }

    /// What an oracle reads of races, in order.
    async fn read(&self) -> Vec<RaceStep> {
        let settings = ReadSettings {
            contracts: self.net.deployment.contracts,
            race_rounds: self.book.address(),
            finality: "depth=1".parse().unwrap(),
            start_block: self.net.deployment.start_block().get(),
            scan_blocks_max: 1000,
        };
        mine(&self.net.chain, 1).await;
        let folder = tempfile::tempdir().unwrap();
        let cursor = Cursor::open(folder.path(), CHAIN).unwrap();
        let reader = ChainReader::new(self.net.chain.clone(), settings);
        let Look::Range(range) = reader.look(&cursor).await.unwrap() else {
            panic!("nothing to read");
        };
        let steps = range.events.into_iter().filter_map(|news| match news {
            ChainNews::Race(news) => Some(news.what),
            _ => None,
        });
        steps.collect()
    }

    /// An oracle that has read that a round opened.
    async fn oracle(&self, folder: &Path, id: RoundId) -> Submitter {
        let key = account(&self.net.chain, 95).await;
        let mut submitter = self.net.submitter(&key, folder);
        let manager = self.net.deployment.contracts.task_manager;
        for post in referee::round_posts(&self.book, manager, id) {
            submitter.enqueue(post).await.unwrap();
        }
        submitter
    }

    /// The dispatcher orders that a prover's entry is judged.
    async fn order(
        &self,
        submitter: &mut Submitter,
        spec: &JobSpec,
        (prover, verdict): (Address, Verdict),
        opened: &OpenedStatement,
    ) {
        let certified = self.net.certify_as(verdict, &opened.statement, &[0, 1]).await;
        let (batch, certificate) = certified;
        let registry = self.net.deployment.contracts.proof_registry;
        let other = account(&self.net.chain, 96).await;
        let mut other = Sender::new(self.net.chain.clone(), other);
        deploy::attest(&mut other, registry, &certificate).await.unwrap();
        let order = settle_order(&self.net, spec, opened.clone(), &batch, certificate);
        let round = opened.statement.attempt.get() as u8;
        let order = JudgeOrder { leaf: order, prover, round, verdict };
        let manager = self.net.task_manager();
        let posts = referee::entry_posts(&self.book, manager, &order).unwrap();
        for post in posts {
            submitter.enqueue(post).await.unwrap();
        }
    }
}

struct Prover {
    number: u8,
    address: Address,
    folder: tempfile::TempDir,
    racer: Racer,
    handle: RacerHandle,
}

impl Prover {
    /// The node stops and starts again.
    async fn restart(&mut self, course: &Course) {
        (self.racer, self.handle) = course.racer(self.number, self.folder.path()).await;
    }

    /// It has proved all of a job for a round.
    fn proves(&self, spec: &JobSpec, round: u8) -> OpenedStatement {
        let opened = entry(spec, round, self.address);
        let id = RoundId { job: spec.id(), round };
        self.handle.proved(id, opened.statement.digest(), spec.deadline);
        opened
    }

    fn step(&self, id: RoundId) -> Option<Step> {
        self.handle.standings().borrow().rounds.get(&id).map(|(_, step)| *step)
    }
}

/// A statement all of whose records are one prover's.
fn entry(spec: &JobSpec, round: u8, prover: Address) -> OpenedStatement {
    let record = |index: u32| SegmentRecord {
        index,
        first: u64::from(index) * 10,
        count: 10,
        vk: VkDigest::from_bytes([0x71; 32]),
        public_values: PublicValuesDigest::from_bytes([0x72; 32]),
        proof: BlobDigest::from_bytes([prover.as_bytes()[0]; 32]),
        prover,
        work_units: WorkUnits::new(10),
    };
    let records = vec![record(0), record(1)];
    let attempt = StatementAttempt::new(u32::from(round));
    let statement = Statement::over(spec, attempt, MANIFEST, &records).unwrap();
    OpenedStatement { statement, records }
}

/// An oracle with these promises works until the job is settled. Each turn is a fresh process, which
/// looks at once at what can wait.
async fn works_until_settled(course: &Course, folder: &Path, spec: &JobSpec) {
    let key = OracleKey::from_bytes(&[95; 32]).unwrap();
    for _ in 0..20 {
        course.net.submitter(&key, folder).step().await.unwrap();
        mine(&course.net.chain, 1).await;
        if course.bonds.job_state(spec.id()).await.unwrap() == JobState::Settled {
            return;
        }
    }
    panic!("the job is not settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_to_is_what_the_contract_derives() {
    let course = Course::start(config()).await;
    let terms = course.book.terms().await.unwrap();
    assert_eq!((terms.bond, terms.commitSeconds), (BOND, COMMIT_SECONDS));
    for number in 1..5u8 {
        let id = RoundId { job: JobId::from_bytes([number; 32]), round: number * 50 };
        let (statement, prover) = ([number + 1; 32], Address::from_bytes([number + 2; 20]));
        let salt = [number + 3; 32];
        let call = IRaceRounds::commitmentOfCall {
            jobId: B256::from(*id.job.as_bytes()),
            round: id.round,
            statement: B256::from(statement),
            prover: evm(prover),
            salt: B256::from(salt),
        };
        let races = evm(course.book.address());
        let expected = course.net.chain.view(races, &call, BlockId::latest()).await.unwrap();
        let statement = StatementDigest::from_bytes(statement);
        let ours = course.book.word(id, statement, prover, Salt::from_bytes(salt));
        assert_eq!(ours, expected.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_provers_race_reveal_what_is_final_and_share_the_fee_by_stake() {
    let mut course = Course::start(config()).await;
    let (mut first, mut second) = (course.prover(70, 30).await, course.prover(80, 10).await);
    assert!(!first.handle.standings().borrow().can_race, "nothing is known yet");
    for prover in [&mut first, &mut second] {
        // Each records its own stake, once per epoch.
        prover.racer.turn().await;
        prover.racer.turn().await;
        assert!(prover.handle.standings().borrow().can_race);
    }
    // Operator registration, allocation, joining, the bond, and the stake.
    let sent = course.net.sent_by(first.address).await;
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    assert_eq!(course.book.stake_in_round(id.job, first.address).await.unwrap(), 30 * TOKEN);

    let entries = [first.proves(&spec, 1), second.proves(&spec, 1)];
    for prover in [&mut first, &mut second] {
        prover.racer.turn().await;
        prover.racer.turn().await;
        assert_eq!(course.state(id, prover).await, Some(CommitmentState::Committed));
        assert_eq!(prover.step(id), Some(Step::Keep));
        let expected = Account { free: DEPOSIT - BOND, locked: BOND };
        assert_eq!(course.account(prover).await, expected);
    }
    assert_eq!(course.net.sent_by(first.address).await, sent + 1, "committed once");

    // The window is over at the head, and no block that says so is final: nothing leaves.
    rpc(&course.net.chain, "evm_increaseTime", serde_json::json!([COMMIT_SECONDS])).await;
    mine(&course.net.chain, 1).await;
    for prover in [&mut first, &mut second] {
        prover.racer.turn().await;
        prover.racer.turn().await;
        assert_eq!(prover.step(id), Some(Step::Keep));
    }
    mine(&course.net.chain, DEPTH).await;
    for prover in [&mut first, &mut second] {
        prover.racer.turn().await;
        prover.racer.turn().await;
        assert_eq!(course.state(id, prover).await, Some(CommitmentState::Revealed));
        assert_eq!(prover.step(id), Some(Step::Show));
    }

    let folder = tempfile::tempdir().unwrap();
    let mut oracle = course.oracle(folder.path(), id).await;
    for (prover, opened) in [&first, &second].into_iter().zip(&entries) {
        let said = (prover.address, Verdict::Valid);
        course.order(&mut oracle, &spec, said, opened).await;
    }
    course.later(REVEAL_SECONDS).await;
    drop(oracle);
    works_until_settled(&course, folder.path(), &spec).await;
    for prover in [&mut first, &mut second] {
        assert_eq!(course.account(prover).await, Account { free: DEPOSIT, locked: 0 });
        mine(&course.net.chain, DEPTH).await;
        prover.racer.turn().await;
        assert_eq!(prover.step(id), Some(Step::Over));
    }
    // Provers get 80 % of the fee, three to one.
    assert_eq!(course.credit(first.address).await, U256::from(FEE * 8 / 10 * 3 / 4));
    assert_eq!(course.credit(second.address).await, U256::from(FEE * 8 / 10 / 4));
    assert_eq!(course.in_vault().await, U256::from(2 * DEPOSIT + u128::from(FEE)));

    let told = course.read().await;
    let digest = |opened: &OpenedStatement| opened.statement.digest();
    let revealed = |prover: &Prover, opened| RaceStep::Revealed {
        round: 1,
        prover: prover.address,
        statement: digest(opened),
    };
    assert!(matches!(&told[0], RaceStep::Opened(round) if round.number == 1), "{told:?}");
    let rest = [
        revealed(&first, &entries[0]),
        revealed(&second, &entries[1]),
        RaceStep::Closed { round: 1, winners: 2 },
        RaceStep::Settled { statement: digest(&entries[0]) },
    ];
    assert_eq!(told[1..], rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prover_that_comes_back_in_time_wins_and_one_that_stays_away_loses_its_bond() {
    let mut course = Course::start(config()).await;
    let (mut back, mut away) = (course.prover(70, 30).await, course.prover(80, 10).await);
    for prover in [&mut back, &mut away] {
        prover.racer.turn().await;
    }
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    let opened = back.proves(&spec, 1);
    away.proves(&spec, 1);
    for prover in [&mut back, &mut away] {
        prover.racer.turn().await;
    }

    course.later(COMMIT_SECONDS).await;
    // It knows what it committed to, and what it proves anew cannot take its place.
    back.restart(&course).await;
    assert_eq!(back.step(id), Some(Step::Keep));
    let other = entry(&spec, 1, Address::from_bytes([9; 20])).statement.digest();
    back.handle.proved(id, other, spec.deadline);
    back.racer.turn().await;
    let shown = back.handle.standings().borrow().rounds[&id];
    assert_eq!(shown.0, opened.statement.digest());
    assert_eq!(course.state(id, &back).await, Some(CommitmentState::Revealed));
    back.restart(&course).await;
    back.racer.turn().await;
    assert_eq!(back.step(id), Some(Step::Show), "known from the chain after another restart");

    let folder = tempfile::tempdir().unwrap();
    let mut oracle = course.oracle(folder.path(), id).await;
    let said = (back.address, Verdict::Valid);
    course.order(&mut oracle, &spec, said, &opened).await;
    course.later(REVEAL_SECONDS).await;
    // Too late to reveal: it does not try.
    let sent = course.net.sent_by(away.address).await;
    away.racer.turn().await;
    assert_eq!(course.net.sent_by(away.address).await, sent);
    drop(oracle);
    works_until_settled(&course, folder.path(), &spec).await;
    assert_eq!(course.account(&back).await, Account { free: DEPOSIT, locked: 0 });
    assert_eq!(course.account(&away).await, Account { free: DEPOSIT - BOND, locked: 0 });
    assert_eq!(course.credit(back.address).await, U256::from(FEE * 8 / 10));
    let requester = course.requester.address();
    assert_eq!(course.credit(requester).await, U256::from(BOND));
    assert_eq!(course.in_vault().await, U256::from(2 * DEPOSIT + u128::from(FEE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_refused_by_a_certificate_loses_its_bond_and_the_next_round_opens() {
    let mut course = Course::start(config()).await;
    let mut prover = course.prover(70, 30).await;
    prover.racer.turn().await;
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    let opened = prover.proves(&spec, 1);
    prover.racer.turn().await;
    course.later(COMMIT_SECONDS).await;
    prover.racer.turn().await;

    let folder = tempfile::tempdir().unwrap();
    let mut oracle = course.oracle(folder.path(), id).await;
    let said = (prover.address, Verdict::Invalid);
    course.order(&mut oracle, &spec, said, &opened).await;
    oracle.step().await.unwrap();
    assert_eq!(course.state(id, &prover).await, Some(CommitmentState::Invalid));
    course.later(REVEAL_SECONDS).await;
    // What waits for long is looked at after a restart, too.
    drop(oracle);
    let mut oracle = course.oracle(folder.path(), id).await;
    oracle.step().await.unwrap();
    let sight = course.book.head_sight(id.job).await.unwrap();
    assert_eq!((sight.state, sight.round), (RaceState::Open, 2));
    assert_eq!(course.account(&prover).await, Account { free: DEPOSIT - BOND, locked: 0 });
    assert_eq!(course.credit(course.requester.address()).await, U256::from(BOND));

    // Nobody commits to the last round: the race is lost, and the fee is the requester's.
    course.later(COMMIT_SECONDS).await;
    drop(oracle);
    let second = RoundId { round: 2, ..id };
    let mut oracle = course.oracle(folder.path(), second).await;
    oracle.step().await.unwrap();
    assert_eq!(course.book.head_sight(id.job).await.unwrap().state, RaceState::Lost);
    let manager = course.net.deployment.contracts.task_manager;
    deploy::refund(&mut course.requester, manager, id.job).await.unwrap();
    assert_eq!(course.credit(course.requester.address()).await, U256::from(BOND + u128::from(FEE)));
    for _ in 0..8 {
        mine(&course.net.chain, DEPTH).await;
        oracle.step().await.unwrap();
    }
    drop(oracle);
    let mut oracle =
        course.net.submitter(&OracleKey::from_bytes(&[95; 32]).unwrap(), folder.path());
    oracle.step().await.unwrap();
    assert_eq!(oracle.patient(), 0, "nothing is left to be done about it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_that_a_reorg_dropped_is_made_again_or_the_round_is_given_up() {
    let mut course = Course::start(config()).await;
    let mut prover = course.prover(70, 30).await;
    prover.racer.turn().await;
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    prover.proves(&spec, 1);

    let chain = course.net.chain.clone();
    for _ in 0..2 {
        let before = rpc(&chain, "evm_snapshot", serde_json::json!([])).await;
        prover.racer.turn().await;
        assert_eq!(course.state(id, &prover).await, Some(CommitmentState::Committed));
        rpc(&chain, "evm_revert", serde_json::json!([before])).await;
        assert_eq!(course.state(id, &prover).await, None, "gone");
    }
    course.later(COMMIT_SECONDS).await;
    let sent = course.net.sent_by(prover.address).await;
    prover.racer.turn().await;
    assert_eq!(course.net.sent_by(prover.address).await, sent, "neither committed nor revealed");
    assert_eq!(prover.step(id), Some(Step::Keep));
    assert_eq!(course.account(&prover).await, Account { free: DEPOSIT, locked: 0 });

    // The round ends without it.
    course.book.close(&mut course.net.owner, id.job).await.unwrap();
    mine(&chain, DEPTH).await;
    prover.racer.turn().await;
    assert_eq!(prover.step(id), Some(Step::Over));
    prover.handle.forget(id);
    prover.racer.turn().await;
    assert_eq!(prover.step(id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_stake_no_bond_or_a_smaller_limit_does_not_race() {
    let mut course = Course::start(config()).await;
    // Stake that is recorded after the round opened does not count in it.
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    // What is recorded in the same second counts.
    course.later(1).await;
    let mut late = course.prover(70, 30).await;
    late.proves(&spec, 1);
    late.racer.turn().await;
    late.racer.turn().await;
    assert!(late.handle.standings().borrow().can_race, "from the next round on");
    assert_eq!(course.state(id, &late).await, None);

    let all = late.folder.path().join("other");
    std::fs::create_dir_all(&all).unwrap();
    let (mut poor, handle) = {
        account(&course.net.chain, 75).await;
        course.racer(75, &all).await
    };
    let sent = course.net.sent_by(poor.prover()).await;
    poor.turn().await;
    assert!(!handle.standings().borrow().can_race);
    assert_eq!(course.net.sent_by(poor.prover()).await, sent, "no gas for a stake of nothing");

    let key = OracleKey::from_bytes(&[70; 32]).unwrap();
    let sender = SharedSender::new(Sender::new(course.net.chain.clone(), key));
    let wallet = WalletKey::from_bytes(&[70; 32]).unwrap();
    let settings = RacerSettings { finality: Default::default(), bond_wei_max: BOND - 1 };
    let refused = Racer::open(course.book.clone(), sender, &wallet, settings, &all).await;
    assert!(refused.unwrap_err().to_string().contains("race.bond_wei_max"));

    let mut own = Sender::new(course.net.chain.clone(), OracleKey::from_bytes(&[70; 32]).unwrap());
    let spare = U256::from(DEPOSIT - BOND + 1);
    course.bonds.withdraw(&mut own, spare, late.address).await.unwrap();
    late.racer.turn().await;
    assert!(!late.handle.standings().borrow().can_race, "a bond is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_held_for_an_entry_that_was_attested_late() {
    let mut config = config();
    config.epochs.challengeSeconds = 50;
    let mut course = Course::start(config).await;
    let mut prover = course.prover(70, 30).await;
    prover.racer.turn().await;
    let created = course.job(1).await;
    let (spec, id) = (created.spec, RoundId { job: created.job, round: 1 });
    let opened = prover.proves(&spec, 1);
    prover.racer.turn().await;
    course.later(COMMIT_SECONDS).await;
    prover.racer.turn().await;
    // Half of the time to judge is over when its certificate comes.
    course.later(REVEAL_SECONDS + 30).await;
    let folder = tempfile::tempdir().unwrap();
    let mut oracle = course.oracle(folder.path(), id).await;
    let before = course.book.head_sight(id.job).await.unwrap().judge_until;
    let said = (prover.address, Verdict::Valid);
    course.order(&mut oracle, &spec, said, &opened).await;
    oracle.step().await.unwrap();
    let held = course.book.head_sight(id.job).await.unwrap().judge_until;
    assert!(held > before, "{held} is not after {before}");
    course.later(50).await;
    oracle.step().await.unwrap();
    assert_eq!(course.state(id, &prover).await, Some(CommitmentState::Valid));
    drop(oracle);
    works_until_settled(&course, folder.path(), &spec).await;
}
