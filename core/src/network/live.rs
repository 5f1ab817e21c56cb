//! What is not durable: connections, heartbeats, timers, and indexes over them.
//!
//! A restart starts empty and peers dial in again. Timers are hints: when one fires, the handler
//! looks at the state and does nothing if it has moved on, so none ever needs to be cancelled.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{
    Address, Attempt, BatchRoot, BlobDigest, ChainId, EpochNumber, JobId, ProgramId, SessionId,
    StatementDigest, TaskId,
};
use crate::statement::OpenedStatement;
use crate::units::{ByteCount, UnixMillis, UnixSeconds};

use super::input::{ProverCapabilities, SubmissionSubject};
use super::workforce::{FreeProvers, Offers, Place};

/// Most entries that one prover may announce before their reveals are final: it races for few jobs
/// at a time, and an entry may have 256 records.
pub(super) const EARLY_ENTRIES_MAX: usize = 8;

/// A connected prover.
#[derive(Clone, Debug)]
pub(super) struct ProverSession {
    pub session: SessionId,
    pub capabilities: ProverCapabilities,
    /// Memory for new tasks: what it reported last, less what it was given since.
    pub free_memory: ByteCount,
    pub draining: bool,
    /// Tokens granted before it connected: a lease under one of them was resumed.
    pub tokens_before: u64,
    /// Phase and permille of each task that it reported on.
    pub progress: BTreeMap<TaskId, (String, u16)>,
    /// Its places in the index of free provers.
    pub indexed: Vec<(ProgramId, Place)>,
}

impl ProverSession {
    /// Whether it can prove a program.
    pub fn offers(&self, program: &ProgramId) -> bool {
        self.capabilities.programs.iter().any(|offer| offer.program == *program)
    }

    /// Programs that it can prove, each once.
    pub fn programs(&self) -> BTreeSet<ProgramId> {
        self.capabilities.programs.iter().map(|offer| offer.program).collect()
    }
}

/// Something that is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A direct job's input is overdue.
    Input(JobId),
    /// A direct job's deadline and grace are over.
    Deadline(JobId),
    /// An ended job's blobs may go.
    Retention(JobId),
    /// An ended job may be forgotten.
    Forget(JobId),
    /// A forgotten job's votes may be forgotten too.
    Evidence(JobId),
    /// A prover may have been idle for long.
    Worker(Address),
    /// A blob that no job named may go.
    Blob(BlobDigest),
    /// A prover was not heard of.
    ProverDead(Address),
    /// A lease ran long.
    Lease(TaskId, Attempt),
    /// Voting took long, or no epoch came.
    Vote(StatementDigest, Option<EpochNumber>),
    /// Two thirds have committed to a vote; the others had their time.
    Commits(StatementDigest, EpochNumber),
    /// The commit phase of a vote took as long as it may.
    CommitCap(StatementDigest, EpochNumber),
    /// The reveal phase of a vote took as long as it may.
    Reveals(StatementDigest, EpochNumber),
    /// A batch may be closed.
    Batch,
    /// Attestation took long.
    Attest(BatchRoot, u32),
    /// A complete batch waited for the rest.
    Linger(BatchRoot, u32),
    /// Statements of the epochs before this one are voted on again.
    Epoch(EpochNumber),
    /// A failed submission is tried again.
    Submit(SubmissionSubject),
}

/// Counters of what the scheduler did; costs are counted in operations, not in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerStats {
    /// Leases granted since the start.
    pub leases: u64,
    /// Lanes, tasks and provers looked at for them.
    pub probes: u64,
}

/// Everything that a restart forgets.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    /// Connected provers; added and removed by [`Live::connect`] and [`Live::disconnect`] alone.
    pub provers: BTreeMap<Address, ProverSession>,
    /// Connected provers by program, free or not.
    pub offers: BTreeMap<ProgramId, Offers>,
    /// When each prover with a connection or a lease was last heard of.
    pub heard: BTreeMap<Address, UnixMillis>,
    /// Provers with a free slot by program; none is empty.
    pub free: BTreeMap<ProgramId, FreeProvers>,
    /// Leases whose assignment may not have left before a restart.
    pub unsent: BTreeSet<TaskId>,
    pub verifiers: BTreeMap<Address, SessionId>,
    /// Connections of the oracles of each chain; none is empty.
    pub oracles: BTreeMap<ChainId, BTreeSet<SessionId>>,
    pub timers: BTreeSet<(UnixMillis, Timer)>,
    /// The time of the newest final block of each chain, as its oracle told last.
    pub chain_time: BTreeMap<ChainId, UnixSeconds>,
    /// Entries of races whose reveal is not final here yet; at most
    /// [`EARLY_ENTRIES_MAX`] of one prover, for as long as it is connected.
    pub early: BTreeMap<(Address, JobId), OpenedStatement>,
    /// Jobs whose next step is to be decided.
    pub dirty_jobs: BTreeSet<JobId>,
    /// Batches whose next step is to be decided.
    pub dirty_batches: BTreeSet<BatchRoot>,
    /// Tasks whose budgets are to be checked.
    pub dirty_tasks: BTreeSet<TaskId>,
    /// Whether pending statements are to be looked at.
    pub batches_due: bool,
    /// Whether queued tasks or free provers changed.
    pub schedule_due: bool,
    pub stats: SchedulerStats,
}

impl Live {
    pub fn arm(&mut self, at: UnixMillis, timer: Timer) {
        self.timers.insert((at, timer));
    }

    /// Removes a prover from the index of free provers.
    pub fn unindex(&mut self, prover: &Address) {
        let Some(session) = self.provers.get_mut(prover) else { return };
        for (program, place) in std::mem::take(&mut session.indexed) {
            if let Some(free) = self.free.get_mut(&program) {
                free.remove(*prover, place);
                if free.is_empty() {
                    self.free.remove(&program);
                }
            }
        }
    }

    /// Adds a prover, in the place of its older connection if there is one.
    pub fn connect(&mut self, prover: Address, session: ProverSession) {
        self.disconnect(&prover);
        let memory = session.capabilities.memory_bytes;
        for program in session.programs() {
            self.offers.entry(program).or_default().add(memory);
        }
        self.provers.insert(prover, session);
    }

    /// Removes a prover, if it is connected.
    pub fn disconnect(&mut self, prover: &Address) -> Option<ProverSession> {
        self.unindex(prover);
        let session = self.provers.remove(prover)?;
        // It says them again when it is back.
        self.early.retain(|(of, _), _| of != prover);
        for program in session.programs() {
            if let Some(offers) = self.offers.get_mut(&program) {
                offers.remove(session.capabilities.memory_bytes);
                if offers.is_empty() {
                    self.offers.remove(&program);
                }
            }
        }
        Some(session)
    }

    /// The connection of a prover, if it is the current one.
    pub fn prover_session(
        &mut self,
        prover: &Address,
        session: SessionId,
    ) -> Option<&mut ProverSession> {
        self.provers.get_mut(prover).filter(|found| found.session == session)
    }
}
