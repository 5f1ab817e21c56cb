//! The chain: blocks, reorgs, finality, and the rules of our contracts.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proofgrid_core::batch::BatchLeaf;
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{Address, BatchRoot, BlockHash, BlockNumber, EpochNumber, JobId, TxHash};
use proofgrid_core::job::JobSpec;
use proofgrid_core::merkle::verify_path;
use proofgrid_core::statement::{OpenedStatement, Statement, Verdict};

use crate::plants::Plant;
use crate::stakes;

/// Seconds after an attestation until its batch is hard.
pub const CHALLENGE_SECONDS: u64 = 3;
/// Seconds after a deadline until an escrow may be refunded.
pub const REFUND_AFTER_SECONDS: u64 = 20;
/// Seconds for which the epoch before the newest may still be posted.
pub const EPOCH_GRACE_SECONDS: u64 = 12;

/// A transaction.
#[derive(Clone, Debug)]
pub enum Tx {
    /// A requester creates a job and pays its fee.
    Create(Box<JobSpec>),
    /// Anybody posts a certificate.
    Attest(Box<Certificate>),
    /// Anybody settles a job.
    Settle(Box<Settlement>),
    /// Anybody asks for the refund of a job.
    Refund(JobId),
    /// Anybody freezes the next stake table.
    Snapshot(EpochNumber),
    /// Members of an epoch are excluded from signing.
    Exclude(EpochNumber, usize),
}

/// What `settle` takes.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The job.
    pub job: JobId,
    /// The statement with its records.
    pub opened: OpenedStatement,
    /// Position of its leaf.
    pub leaf_index: u32,
    /// Path to the root.
    pub path: Vec<[u8; 32]>,
    /// The batch.
    pub root: BatchRoot,
    /// Its leaves.
    pub count: u32,
}

/// What a contract wrote into a block.
#[derive(Clone, Debug)]
pub enum Log {
    /// A job was created.
    Created(JobSpec),
    /// A job's escrow went back.
    Refunded(JobId),
    /// A job was paid: to whom, how much.
    Settled(JobId, Vec<(Address, u64)>),
    /// A stake table was frozen.
    Epoch(EpochNumber),
    /// A member was excluded.
    Excluded(EpochNumber, usize),
}

/// Where the escrow of a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escrow {
    /// With the contract.
    Open,
    /// Paid out.
    Settled,
    /// Back with the requester.
    Refunded,
}

/// A job as the contract keeps it.
#[derive(Clone, Debug)]
pub struct Paid {
    /// What it says.
    pub spec: JobSpec,
    /// Its escrow.
    pub escrow: Escrow,
    /// The call that moved it.
    pub moved_by: Option<Landed>,
}

/// Where a call took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The transaction.
    pub tx: TxHash,
    /// Its block.
    pub block: u64,
}

/// An attested batch.
#[derive(Clone, Debug)]
pub struct Attested {
    /// Second of its block.
    pub at: u64,
    /// The call.
    pub by: Landed,
}

/// State of the contracts.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    /// Jobs with an escrow.
    pub jobs: BTreeMap<JobId, Paid>,
    /// Attested batches.
    pub batches: BTreeMap<(BatchRoot, u32), Attested>,
    /// When each epoch was frozen.
    pub epochs: BTreeMap<EpochNumber, u64>,
    /// Excluded members.
    pub excluded: BTreeSet<(EpochNumber, usize)>,
}

/// A block and everything after it.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its hash.
    pub hash: BlockHash,
    /// Its second.
    pub time: u64,
    /// Its transactions.
    pub txs: Vec<TxHash>,
    /// Its logs.
    pub logs: Vec<Log>,
    /// The contracts after it.
    pub contracts: Rc<Contracts>,
}

/// Why a call reverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revert {
    /// The epoch is over.
    EpochNotUsable,
    /// This member signed and is excluded.
    ExcludedSigner(usize),
    /// Not attested yet, or not hard yet.
    Early,
    /// Anything else.
    Refused(&'static str),
}

/// The chain as it is.
#[derive(Debug)]
pub struct Chain {
    /// The canonical blocks by height.
    pub blocks: Vec<Block>,
    /// The newest final height.
    pub finalized: u64,
    lag: u64,
    made: u64,
    txs: BTreeMap<TxHash, Tx>,
    mempool: BTreeSet<TxHash>,
    plant: Option<Plant>,
}

fn hash(kind: u8, number: u64) -> [u8; 32] {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

impl Contracts {
    /// Whether a certificate of an epoch may be posted at a second.
    pub fn is_usable(&self, epoch: EpochNumber, second: u64) -> bool {
        let newer = self.epochs.range(epoch..).nth(1).map(|(_, at)| *at);
        self.epochs.contains_key(&epoch)
            && newer.is_none_or(|at| second <= at + EPOCH_GRACE_SECONDS)
    }

    /// Why `attest` would revert, if it would.
    pub fn check_attest(&self, certificate: &Certificate, second: u64) -> Result<(), Revert> {
        let epoch = certificate.epoch;
        if !self.is_usable(epoch, second) {
            return Err(Revert::EpochNotUsable);
        }
        let table = stakes::epoch_keys(epoch).table();
        if certificate.table != table.digest() {
            return Err(Revert::Refused("another table"));
        }
        let mut signed = 0;
        for (index, member) in table.indices().zip(table.members()) {
            let verifier = stakes::verifier_of(member.operator).expect("a verifier");
            if certificate.non_signers.contains(&index) {
                continue;
            }
            if self.excluded.contains(&(epoch, verifier)) {
                return Err(Revert::ExcludedSigner(verifier));
            }
            signed += stakes::stake(epoch, verifier);
        }
        if stakes::is_two_thirds(epoch, signed) {
            Ok(())
        } else {
            Err(Revert::Refused("no quorum"))
        }
    }

    /// Why `settle` would revert, if it would; a batch that is not hard yet is only early.
    pub fn check_settle(&self, s: &Settlement, second: u64) -> Result<(), Revert> {
        let job = self.jobs.get(&s.job).ok_or(Revert::Refused("no such job"))?;
        let stated = &s.opened.statement;
        let rebuilt =
            Statement::over(&job.spec, stated.attempt, stated.manifest, &s.opened.records);
        if rebuilt.as_ref() != Ok(stated) {
            return Err(Revert::Refused("another statement"));
        }
        let batch = self.batches.get(&(s.root, s.count));
        let batch = batch.ok_or(Revert::Early)?;
        let leaf = BatchLeaf { statement: stated.digest(), verdict: Verdict::Valid };
        verify_path(s.root.as_bytes(), s.count, s.leaf_index, &leaf.hash(), &s.path)
            .map_err(|_| Revert::Refused("not in the batch"))?;
        if second < batch.at + CHALLENGE_SECONDS {
            return Err(Revert::Early);
        }
        Ok(())
    }

    /// Whether a job's escrow may go back at a second.
    pub fn is_refundable(&self, job: &JobId, second: u64) -> bool {
        self.jobs.get(job).is_some_and(|paid| {
            paid.escrow == Escrow::Open && second >= paid.spec.deadline.get() + REFUND_AFTER_SECONDS
        })
    }
}

impl Chain {
    /// A chain with its first block, at a second, in which epoch 1 is frozen.
    pub fn new(second: u64, lag: u64, plant: Option<Plant>) -> Self {
        let mut contracts = Contracts::default();
        contracts.epochs.insert(EpochNumber::new(1), second);
        let genesis = Block {
            hash: BlockHash::from_bytes(hash(0xb0, 0)),
            time: second,
            txs: Vec::new(),
            logs: vec![Log::Epoch(EpochNumber::new(1))],
            contracts: Rc::new(contracts),
        };
        let (txs, mempool) = (BTreeMap::new(), BTreeSet::new());
        Self { blocks: vec![genesis], finalized: 0, lag, made: 0, txs, mempool, plant }
    }

    /// Height of the head.
    pub fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// A block of the canonical chain.
    pub fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// The newest block.
    pub fn latest(&self) -> &Block {
        self.blocks.last().expect("there is a first block")
    }

    /// The newest final block.
    pub fn newest_final(&self) -> &Block {
        self.block(self.finalized).expect("final blocks stay")
    }

    /// Hands a transaction in; it is mined soon, unless it is dropped.
    pub fn submit(&mut self, tx: Tx) -> TxHash {
        let id = TxHash::from_bytes(hash(0x7c, self.txs.len() as u64 + 1));
        self.txs.insert(id, tx);
        self.mempool.insert(id);
        id
    }

    /// Hands in the same transaction again.
    pub fn submit_again(&mut self, id: TxHash) {
        if self.txs.contains_key(&id) && !self.is_included(id) {
            self.mempool.insert(id);
        }
    }

    /// Whether a transaction waits to be mined.
    pub fn is_pending(&self, id: TxHash) -> bool {
        self.mempool.contains(&id)
    }

    fn is_included(&self, id: TxHash) -> bool {
        self.blocks.iter().any(|block| block.txs.contains(&id))
    }

    /// Where the canonical chain has a block, for what lies in it.
    pub fn inclusion(&self, landed: Landed) -> proofgrid_core::network::Inclusion {
        let block = BlockNumber::new(landed.block);
        proofgrid_core::network::Inclusion { tx: landed.tx, block, gas_used: 21_000 }
    }

    /// Mines what waits, except what `skip` leaves for later.
    pub fn mine(&mut self, second: u64, mut skip: impl FnMut() -> bool) {
        self.made += 1;
        let parent = self.latest();
        let time = second.max(parent.time + 1);
        let mut contracts = Rc::clone(&parent.contracts);
        let number = self.head() + 1;
        let waiting: Vec<TxHash> = self.mempool.iter().copied().collect();
        let (mut txs, mut logs) = (Vec::new(), Vec::new());
        for id in waiting {
            if skip() {
                continue;
            }
            self.mempool.remove(&id);
            let landed = Landed { tx: id, block: number };
            let state = Rc::make_mut(&mut contracts);
            execute(state, &self.txs[&id], landed, time, self.plant, &mut logs);
            txs.push(id);
        }
        let hash = BlockHash::from_bytes(hash(0xb0, self.made));
        self.blocks.push(Block { hash, time, txs, logs, contracts });
        self.finalized = self.finalized.max(self.head().saturating_sub(self.lag));
    }

    /// Takes up to so many blocks back that are not final; what was in them waits again, unless
    /// `drop` loses it. Says how many blocks went.
    pub fn reorg(&mut self, depth: u64, mut drop: impl FnMut() -> bool) -> u64 {
        let depth = depth.min(self.head() - self.finalized);
        for _ in 0..depth {
            let block = self.blocks.pop().expect("blocks above the final one");
            self.mempool.extend(block.txs.into_iter().filter(|_| !drop()));
        }
        depth
    }
}

/// Runs one call; a call that reverts changes nothing.
fn execute(
    state: &mut Contracts,
    tx: &Tx,
    landed: Landed,
    second: u64,
    plant: Option<Plant>,
    logs: &mut Vec<Log>,
) {
    match tx {
        Tx::Create(spec) => {
            let id = spec.id();
            if spec.deadline.get() > second && !state.jobs.contains_key(&id) {
                let (spec, escrow) = (JobSpec::clone(spec), Escrow::Open);
                logs.push(Log::Created(spec.clone()));
                state.jobs.insert(id, Paid { spec, escrow, moved_by: None });
            }
        }
        Tx::Attest(certificate) => {
            let key = (certificate.root, certificate.count);
            let known = state.batches.contains_key(&key);
            if !known && state.check_attest(certificate, second).is_ok() {
                state.batches.insert(key, Attested { at: second, by: landed });
            }
        }
        Tx::Settle(settlement) => settle(state, settlement, landed, second, plant, logs),
        Tx::Refund(id) => {
            let settled = plant == Some(Plant::RefundAfterSettle)
                && state.jobs.get(id).is_some_and(|paid| paid.escrow == Escrow::Settled);
            if settled || state.is_refundable(id, second) {
                let paid = state.jobs.get_mut(id).expect("a refundable job");
                paid.escrow = Escrow::Refunded;
                paid.moved_by = Some(landed);
                logs.push(Log::Refunded(*id));
            }
        }
        Tx::Snapshot(epoch) => {
            let newest = state.epochs.last_key_value().map_or(0, |(number, _)| number.get());
            if epoch.get() == newest + 1 {
                state.epochs.insert(*epoch, second);
                logs.push(Log::Epoch(*epoch));
            }
        }
        Tx::Exclude(epoch, verifier) => {
            let known = state.epochs.contains_key(epoch) && stakes::stake(*epoch, *verifier) > 0;
            if known && state.excluded.insert((*epoch, *verifier)) {
                logs.push(Log::Excluded(*epoch, *verifier));
            }
        }
    }
}

fn settle(
    state: &mut Contracts,
    s: &Settlement,
    landed: Landed,
    second: u64,
    plant: Option<Plant>,
    logs: &mut Vec<Log>,
) {
    if state.check_settle(s, second).is_err() {
        return;
    }
    let paid = state.jobs.get_mut(&s.job).expect("checked");
    if paid.escrow != Escrow::Open && plant != Some(Plant::SettlePaysAgain) {
        return;
    }
    paid.escrow = Escrow::Settled;
    paid.moved_by = Some(landed);
    let units: u64 = s.opened.records.iter().map(|record| record.work_units.get()).sum();
    let fee = paid.spec.fee_cap.to::<u64>();
    let share = |units_of: u64| fee * units_of / units.max(1);
    let mut credits: Vec<(Address, u64)> =
        s.opened.records.iter().map(|r| (r.prover, share(r.work_units.get()))).collect();
    let rest = fee - credits.iter().map(|(_, amount)| *amount).sum::<u64>();
    credits.push((paid.spec.requester, rest));
    logs.push(Log::Settled(s.job, credits));
}
