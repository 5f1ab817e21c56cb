//! Races, as a worker takes part in them: a scripted dispatcher, and a scripted chain beside it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[allow(dead_code, reason = "shared with the other test binaries, which use the rest")]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proofgrid_core::ids::{Address, ChainContract, JobId, StatementDigest};
use proofgrid_core::job::{JobSpec, Mode, Origin};
use proofgrid_core::race::RaceOffer;
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::{
    CompletionReply, EntryAnswer, EntryReply, ProverMessage, ProverOrder,
};
use proofgrid_prover::race::{Race, RacePort, RaceStep};
use support::program::Behaviour;
use support::{NETWORK, Rig, lease_of, soon, worker_key};
use tokio::sync::watch;

const INPUT: &[u8] = b"1 1 64";
const OTHER: &[u8] = b"2 3 64";
const TASK_MANAGER: ChainContract =
    ChainContract { chain: NETWORK.home_chain, contract: Address::from_bytes([0x55; 20]) };

/// What the worker said to its node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Proved(JobId, u8, StatementDigest),
    Forgot(JobId, u8),
}

#[derive(Debug)]
struct Node {
    can_race: Mutex<bool>,
    rounds: Mutex<BTreeMap<(JobId, u8), (StatementDigest, RaceStep)>>,
    said: watch::Sender<Vec<Said>>,
}

impl Node {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            can_race: Mutex::new(true),
            rounds: Mutex::default(),
            said: watch::channel(Vec::new()).0,
        })
    }

    fn race(self: &Arc<Self>) -> Option<Race> {
        Some(Race { task_manager: TASK_MANAGER, port: Arc::clone(self) as Arc<dyn RacePort> })
    }

    /// The chain moves a round on.
    fn set(&self, job: JobId, round: u8, step: RaceStep) {
        let mut rounds = self.rounds.lock().expect("rounds");
        rounds.get_mut(&(job, round)).expect("a round that is known").1 = step;
    }

    fn lose_memory(&self) {
        self.rounds.lock().expect("rounds").clear();
        self.said.send_replace(Vec::new());
    }

    /// Waits for a statement of a round.
    async fn proved(&self, job: JobId, round: u8) -> StatementDigest {
        let mut said = self.said.subscribe();
        let find = |all: &Vec<Said>| {
            all.iter().find_map(|one| match one {
                Said::Proved(of, number, statement) if (*of, *number) == (job, round) => {
                    Some(*statement)
                }
                _ => None,
            })
        };
        let all = soon("statement", said.wait_for(|all| find(all).is_some())).await;
        find(&all.expect("the node lives")).expect("it is there")
    }

    async fn forgot(&self, job: JobId, round: u8) {
        let mut said = self.said.subscribe();
        let forgot = Said::Forgot(job, round);
        soon("end", said.wait_for(|all| all.contains(&forgot))).await.expect("the node lives");
    }
}

impl RacePort for Node {
    fn can_race(&self) -> bool {
        *self.can_race.lock().expect("a flag")
    }

    fn proved(&self, job: JobId, round: u8, statement: StatementDigest, _: UnixSeconds) {
        let mut rounds = self.rounds.lock().expect("rounds");
        rounds.entry((job, round)).or_insert((statement, RaceStep::Keep));
        self.said.send_modify(|said| said.push(Said::Proved(job, round, statement)));
    }

    fn standing(&self, job: JobId, round: u8) -> Option<(StatementDigest, RaceStep)> {
        self.rounds.lock().expect("rounds").get(&(job, round)).copied()
    }

    fn forget(&self, job: JobId, round: u8) {
        self.rounds.lock().expect("rounds").remove(&(job, round));
        self.said.send_modify(|said| said.push(Said::Forgot(job, round)));
    }
}

async fn rig(node: &Arc<Node>) -> Rig {
    Rig::racing(|config| config.offer_again_ms = 100, node.race()).await
}

/// A race over an input that the dispatcher has.
fn offer(rig: &Rig, input: &[u8], round: u8) -> RaceOffer {
    let task = rig.task(input, 1);
    let spec =
        JobSpec { origin: Origin::Contract, mode: Mode::Race, target: TASK_MANAGER, ..task.spec };
    RaceOffer {
        job: spec.id(),
        spec,
        segments: vec![task.segment],
        round,
        commit_until: UnixSeconds::new(1_000_000),
        reveal_until: UnixSeconds::new(2_000_000),
        task_manager: TASK_MANAGER,
    }
}

async fn send(rig: &Rig, offer: &RaceOffer) {
    rig.peer.send(ProverOrder::RaceOffer(Box::new(offer.clone()))).await;
}

async fn entry(rig: &mut Rig) -> OpenedStatement {
    rig.peer
        .until(|message| match message {
            ProverMessage::RaceEntry { opened, .. } => Some((**opened).clone()),
            _ => None,
        })
        .await
}

/// Proofs that the worker keeps for races.
fn kept(rig: &Rig) -> usize {
    std::fs::read_dir(rig.dir.path().join("race/proofs")).expect("a folder").count()
}

#[tokio::test]
async fn an_entry_is_proved_kept_over_a_restart_and_shown_only_when_it_may_be() {
    let node = Node::new();
    let rig = rig(&node).await;
    let offer = offer(&rig, INPUT, 1);
    send(&rig, &offer).await;
    let statement = node.proved(offer.job, 1).await;
    assert_eq!(kept(&rig), 1);
    // The same offer again is no second race.
    send(&rig, &offer).await;

    rig.shutdown.cancel();
    let blobs = rig.dispatcher.blobs.bytes.lock().expect("blobs").len();
    assert_eq!(blobs, 1, "the input alone: nothing has left");
    // The node has lost what it knew; the worker has it on disk.
    node.lose_memory();
    let mut rig = rig.restarted().await;
    rig.peer.registered(Vec::new()).await;
    assert_eq!(node.proved(offer.job, 1).await, statement);
    assert_eq!(rig.switch.num_proofs(), 1, "not proved twice");
    // Other work goes on, and nothing is said of the race meanwhile.
    let task = rig.task(OTHER, 7);
    rig.peer.assign(&task).await;
    let (lease, _) = rig.peer.complete().await;
    rig.peer.answer(lease, CompletionReply::Received).await;
    let entered = |message: &ProverMessage| matches!(message, ProverMessage::RaceEntry { .. });
    assert!(!rig.peer.seen.iter().any(entered));

    node.set(offer.job, 1, RaceStep::Show);
    let opened = entry(&mut rig).await;
    assert_eq!(opened.statement.digest(), statement);
    assert_eq!(u64::from(opened.statement.attempt.get()), 1);
    assert!(opened.records.iter().all(|record| record.prover == worker_key().address()));
    let answer = |reply| ProverOrder::RaceEntry(EntryAnswer { job: offer.job, statement, reply });
    // Until the dispatcher takes it, it is said again.
    rig.peer.send(answer(EntryReply::Waiting("the reveal is not final".into()))).await;
    assert_eq!(entry(&mut rig).await, opened);
    let proof = opened.records.first().expect("a record").proof;
    let left = rig.dispatcher.blobs.bytes.lock().expect("blobs").contains_key(&proof);
    assert!(!left, "it waits until the dispatcher takes it");
    rig.peer.send(answer(EntryReply::Upload)).await;
    soon("upload", async {
        while !rig.dispatcher.blobs.bytes.lock().expect("blobs").contains_key(&proof) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(kept(&rig), 1, "kept until the round is over");

    // The next round needs no new proof, but another statement.
    node.set(offer.job, 1, RaceStep::Over);
    node.forgot(offer.job, 1).await;
    let next = RaceOffer { round: 2, ..offer.clone() };
    send(&rig, &next).await;
    assert_ne!(node.proved(offer.job, 2).await, statement);
    assert_eq!(rig.switch.num_proofs(), 2, "the race's and the lease's");
}

#[tokio::test]
async fn a_lease_goes_before_a_race_which_goes_on_afterwards() {
    let node = Node::new();
    let mut rig = rig(&node).await;
    let offer = offer(&rig, INPUT, 1);
    rig.switch.set(Behaviour::Wait);
    send(&rig, &offer).await;
    let job = offer.job;
    rig.until_status(|status| status.tasks.iter().any(|task| task.job == job)).await;

    let task = rig.task(OTHER, 7);
    rig.peer.assign(&task).await;
    let leased = task.job;
    rig.until_status(|status| {
        status.tasks.iter().all(|task| task.job == leased) && status.tasks.len() == 1
    })
    .await;
    rig.switch.set(Behaviour::Prove);
    let (lease, _) = rig.peer.complete().await;
    assert_eq!(lease, lease_of(&task));
    node.proved(job, 1).await;
}

#[tokio::test]
async fn what_cannot_be_raced_for_is_left_to_others() {
    let node = Node::new();
    let mut rig = rig(&node).await;
    let good = offer(&rig, INPUT, 1);
    let elsewhere = ChainContract { contract: Address::from_bytes([0x66; 20]), ..TASK_MANAGER };
    let leased = JobSpec { mode: Mode::Assigned, ..good.spec.clone() };
    let direct = JobSpec { origin: Origin::Direct, ..good.spec.clone() };
    let of = |spec: JobSpec| RaceOffer { job: spec.id(), spec, ..good.clone() };
    let bad = [RaceOffer { task_manager: elsewhere, ..good.clone() }, of(leased), of(direct)];
    for offer in &bad {
        send(&rig, offer).await;
    }
    // Without a bond or a stake nothing is proved, and it goes on once there are some.
    *node.can_race.lock().expect("a flag") = false;
    send(&rig, &good).await;
    let task = rig.task(OTHER, 7);
    rig.peer.assign(&task).await;
    rig.peer.complete().await;
    assert_eq!(rig.switch.num_proofs(), 1, "the lease's alone");
    *node.can_race.lock().expect("a flag") = true;
    node.proved(good.job, 1).await;
    assert_eq!(rig.switch.num_proofs(), 2);
}
