//! The durable state: what replaying the journal rebuilds.
//!
//! `State::evolve` is the only way to change it. It reads neither clock nor configuration, checks
//! the tables of legal edges, and keeps every index in step, so that no decision has to scan.

mod error;
mod evolve_jobs;
mod evolve_posting;
mod evolve_pruning;
mod evolve_race;
mod evolve_sealed;
mod evolve_tasks;
mod evolve_votes;
mod job;
mod queue;
mod race;
mod sealed;
mod task;
mod votes;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::epoch::{EpochKeys, MemberSet};
use crate::ids::{
    Address, Attempt, BatchRoot, BlobDigest, BlockNumber, CertificateId, ChainId, EpochNumber,
    JobId, Nonce, StatementDigest, TaskId,
};
use crate::units::{ByteCount, UnixMillis};

use super::fact::{Change, Fact};

pub use error::{EvolveError, StateDecodeError};
pub use job::{
    FailReason, HISTORY_ENTRIES_MAX, HistoryEntry, HoldReason, JOB_EDGES, Job, JobState,
    JobStateKind,
};
pub use queue::{LaneKey, Queue, QueueKey, Ticket, Urgency};
pub use race::{ENTRY_EDGES, EntryStage, EntryStageKind, RaceBook, RaceEntry, Races, RoundBook};
pub use sealed::{SealedRound, SealedVotes, VOTE_EDGES, VotePhase, VotePhaseKind};
pub use task::{RunningLease, TASK_EDGES, Task, TaskState, TaskStateKind, Try, TryOutcome};
pub use votes::{
    BatchBook, BatchStage, CertificateBook, EvidenceBook, Posting, Round, StatementBook,
    StatementStage, Submission,
};
pub use worker::WorkerBook;

/// Where a task lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TaskPlace {
    /// Its job.
    pub job: JobId,
    /// Position among the job's tasks.
    pub position: usize,
}

/// A stored blob and who needs it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlobBook {
    /// Its length.
    pub bytes: ByteCount,
    /// When it was stored.
    pub stored_at: UnixMillis,
    /// Jobs that name it as input or proof.
    pub users: BTreeSet<JobId>,
}

/// An ordered stream of one requester.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StreamBook {
    /// Live jobs by sequence.
    pub live: BTreeMap<u64, BTreeSet<JobId>>,
    /// Highest sequence of a job that ended.
    pub done: Option<u64>,
    /// Jobs that are known, ended ones too; the stream is forgotten with the last one.
    pub jobs: u64,
}

/// Everything durable about a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct State {
    /// Every job that is not forgotten.
    pub jobs: BTreeMap<JobId, Job>,
    /// Jobs in order of arrival.
    pub by_serial: BTreeMap<u64, JobId>,
    /// Where each task lives.
    pub tasks: BTreeMap<TaskId, TaskPlace>,
    /// Direct jobs by their requester's idempotency key; a contract keeps its own nonces.
    pub nonces: BTreeMap<(Address, Nonce), JobId>,
    /// Stored blobs.
    pub blobs: BTreeMap<BlobDigest, BlobBook>,
    /// Stored blobs that no job names.
    pub unclaimed_blobs: BTreeSet<BlobDigest>,
    /// Jobs that wait for an input.
    pub awaiting: BTreeMap<BlobDigest, BTreeSet<JobId>>,
    /// Live jobs of each requester; none is zero.
    pub live_by_requester: BTreeMap<Address, usize>,
    /// Live jobs.
    pub live_jobs: usize,
    /// Ordered streams by (requester, stream).
    pub streams: BTreeMap<(Address, u64), StreamBook>,
    /// Queued tasks.
    pub queue: Queue,
    /// Tasks that each prover works on: leased and not delivered. None is empty.
    pub running: BTreeMap<Address, BTreeSet<TaskId>>,
    /// Proofs that intake is to judge.
    pub at_intake: BTreeSet<(TaskId, Attempt)>,
    /// What provers did.
    pub workers: BTreeMap<Address, WorkerBook>,
    /// Final stake tables.
    pub epochs: BTreeMap<EpochNumber, EpochKeys>,
    /// When each table was recorded.
    pub epoch_times: BTreeMap<EpochNumber, UnixMillis>,
    /// Members that no longer count; none is empty.
    pub excluded: BTreeMap<EpochNumber, MemberSet>,
    /// Every statement whose votes are not forgotten.
    pub statements: BTreeMap<StatementDigest, StatementBook>,
    /// Forgotten jobs whose votes are still kept.
    pub evidence: BTreeMap<JobId, EvidenceBook>,
    /// Rounds of voting that are kept of each epoch; none is zero.
    pub rounds_in: BTreeMap<EpochNumber, u64>,
    /// The highest block of a chain whose job was forgotten: what it created up to there was known.
    pub forgotten_to: BTreeMap<ChainId, BlockNumber>,
    /// Statements that wait for an epoch or are being voted on.
    pub voting: BTreeSet<StatementDigest>,
    /// Statements with a quorum for valid that are in no batch.
    pub pending: BTreeSet<StatementDigest>,
    /// Batches, by root.
    pub batches: BTreeMap<BatchRoot, BatchBook>,
    /// Batches that are being attested.
    pub open_batches: BTreeSet<BatchRoot>,
    /// Certificates.
    pub certificates: BTreeMap<CertificateId, CertificateBook>,
    /// Certificates that are not final yet, or still owe a settlement.
    pub posting: BTreeSet<CertificateId>,
    /// Tokens granted so far; the next is one higher.
    pub tokens: u64,
    /// Jobs known so far.
    pub serial: u64,
    /// Facts applied so far.
    pub facts: u64,
    /// What is sealed of votes. Written after all the rest, from version 2 on.
    #[borsh(skip)]
    pub sealed: SealedVotes,
    /// Races. Written after that, from version 3 on.
    #[borsh(skip)]
    pub races: Races,
}

/// Version byte of an encoded state.
pub const STATE_VERSION: u8 = 3;
/// The version before there were races.
const STATE_VERSION_NO_RACES: u8 = 2;
/// The version before votes were sealed; it is read, because the facts behind it may be gone.
const STATE_VERSION_UNSEALED: u8 = 1;

/// Jobs whose state changed, for those who watch.
pub(super) type Touched = BTreeSet<JobId>;

impl State {
    /// Applies one fact and says which jobs changed state.
    ///
    /// # Errors
    /// When the fact does not fit: then the journal is damaged or this is a bug, and the state must
    /// not be used any further.
    pub fn evolve(&mut self, fact: &Fact) -> Result<BTreeSet<JobId>, EvolveError> {
        let mut touched = Touched::new();
        self.facts += 1;
        let at = fact.at;
        match &fact.change {
            Change::JobSubmitted { .. }
            | Change::BlobStored { .. }
            | Change::InputReady { .. }
            | Change::JobPlanned { .. }
            | Change::JobEnded { .. }
            | Change::JobHeld { .. }
            | Change::JobResumed { .. }
            | Change::BlobsReleased { .. }
            | Change::BlobForgotten { .. } => {
                self.evolve_job(at, &fact.change, &mut touched)?;
            }
            Change::LeaseGranted { .. }
            | Change::LeaseEnded { .. }
            | Change::ProofDelivered { .. }
            | Change::CandidateDropped { .. }
            | Change::TaskAccepted { .. }
            | Change::TaskFailed { .. }
            | Change::SegmentRejected { .. }
            | Change::ProverDrained { .. } => {
                self.evolve_task(at, &fact.change, &mut touched)?;
            }
            Change::StatementOpened { .. }
            | Change::VotingOpened { .. }
            | Change::VoteRecorded { .. }
            | Change::Abstained { .. }
            | Change::QuorumReached { .. }
            | Change::EpochRecorded { .. }
            | Change::MembersExcluded { .. }
            | Change::BatchOpened { .. }
            | Change::AttestationRecorded { .. }
            | Change::AttestationRefused { .. }
            | Change::BatchClosed { .. }
            | Change::BatchCertified { .. }
            | Change::CertificateDropped { .. }
            | Change::SubmissionMoved { .. } => {
                self.evolve_vote(at, &fact.change, &mut touched)?;
            }
            Change::CommitmentRecorded { .. }
            | Change::CommitsClosed { .. }
            | Change::LateVoteRecorded { .. }
            | Change::RevealsClosed { .. }
            | Change::CommitsReopened { .. } => {
                self.evolve_sealed(at, &fact.change, &mut touched)?;
            }
            Change::RaceRoundOpened { .. }
            | Change::RaceRevealed { .. }
            | Change::RaceEntered { .. }
            | Change::RaceEntryOpened { .. }
            | Change::RaceEntryClosed { .. }
            | Change::RaceRoundClosed { .. }
            | Change::RaceSettled { .. } => {
                self.evolve_race(at, &fact.change, &mut touched)?;
            }
            Change::JobForgotten { .. }
            | Change::EvidenceForgotten { .. }
            | Change::EpochForgotten { .. }
            | Change::WorkerForgotten { .. } => self.evolve_pruning(&fact.change)?,
        }
        Ok(touched)
    }

    /// The bytes for a snapshot: a version, then borsh. Equal states have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
        self.write(&mut bytes).expect("a Vec takes every write");
        bytes
    }

    /// Writes what [`State::encode`] gives, without ever holding all of it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, writer: &mut impl borsh::io::Write) -> borsh::io::Result<()> {
        writer.write_all(&[STATE_VERSION])?;
        self.serialize(writer)?;
        self.sealed.serialize(writer)?;
        self.races.serialize(writer)
    }

    /// Reads back exactly what [`State::encode`] gave.
    ///
    /// # Errors
    /// [`StateDecodeError`] for another version, and for bytes that are no state or go on after one.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, StateDecodeError> {
        let state = Self::read(&mut bytes)?;
        if !bytes.is_empty() {
            let reason = format!("{} bytes too many", bytes.len());
            return Err(StateDecodeError::Malformed { reason });
        }
        Ok(state)
    }

    /// Reads back what [`State::write`] wrote, and leaves what comes after it.
    ///
    /// # Errors
    /// [`StateDecodeError`] for another version, and for bytes that are no state.
    pub fn read(bytes: &mut &[u8]) -> Result<Self, StateDecodeError> {
        let (&got, body) = bytes.split_first().ok_or(StateDecodeError::Empty)?;
        if !(STATE_VERSION_UNSEALED..=STATE_VERSION).contains(&got) {
            return Err(StateDecodeError::Version { got, expected: STATE_VERSION });
        }
        *bytes = body;
        let malformed =
            |error: borsh::io::Error| StateDecodeError::Malformed { reason: error.to_string() };
        let mut state = Self::deserialize(bytes).map_err(malformed)?;
        if got >= STATE_VERSION_NO_RACES {
            state.sealed = SealedVotes::deserialize(bytes).map_err(malformed)?;
        }
        if got > STATE_VERSION_NO_RACES {
            state.races = Races::deserialize(bytes).map_err(malformed)?;
        }
        Ok(state)
    }

    /// A job.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn job(&self, job: &JobId) -> Result<&Job, EvolveError> {
        self.jobs.get(job).ok_or(EvolveError::UnknownJob(*job))
    }

    fn job_mut(&mut self, job: &JobId) -> Result<&mut Job, EvolveError> {
        self.jobs.get_mut(job).ok_or(EvolveError::UnknownJob(*job))
    }

    /// A task and its job.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn task(&self, task: &TaskId) -> Result<(&Job, &Task), EvolveError> {
        let place = self.tasks.get(task).ok_or(EvolveError::UnknownTask(*task))?;
        let job = self.job(&place.job)?;
        let found = job.tasks.get(place.position).ok_or(EvolveError::UnknownTask(*task))?;
        Ok((job, found))
    }

    fn task_mut(&mut self, task: &TaskId) -> Result<&mut Task, EvolveError> {
        let place = *self.tasks.get(task).ok_or(EvolveError::UnknownTask(*task))?;
        let job = self.job_mut(&place.job)?;
        job.tasks.get_mut(place.position).ok_or(EvolveError::UnknownTask(*task))
    }

    /// The newest final epoch.
    #[must_use]
    pub fn newest_epoch(&self) -> Option<EpochNumber> {
        self.epochs.last_key_value().map(|(number, _)| *number)
    }

    /// Moves a job along an edge of the table and keeps its history and the counts of live jobs.
    fn move_job(
        &mut self,
        job: &JobId,
        next: JobState,
        at: UnixMillis,
        reason: String,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let found = self.job_mut(job)?;
        let (from, to) = (found.state.kind(), next.kind());
        if !JOB_EDGES.contains(&(from, to)) {
            return Err(EvolveError::JobEdge { job: *job, from, to });
        }
        found.state = next;
        found.remember(at, reason);
        let (requester, input) = (found.spec.requester, found.spec.input);
        let (stream, sequence) = (found.spec.stream, found.spec.sequence);
        touched.insert(*job);
        if from == JobStateKind::AwaitingInput
            && let Some(waiting) = self.awaiting.get_mut(&input)
        {
            waiting.remove(job);
            if waiting.is_empty() {
                self.awaiting.remove(&input);
            }
        }
        if to.is_terminal() && !from.is_terminal() {
            if let Some(book) = self.streams.get_mut(&(requester, stream)) {
                book.done = book.done.max(Some(sequence));
                if let Some(jobs) = book.live.get_mut(&sequence) {
                    jobs.remove(job);
                    if jobs.is_empty() {
                        book.live.remove(&sequence);
                    }
                }
            }
            self.live_jobs = self.live_jobs.saturating_sub(1);
            if let Some(count) = self.live_by_requester.get_mut(&requester) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.live_by_requester.remove(&requester);
                }
            }
        }
        Ok(())
    }

    /// Moves a task along an edge of the table and keeps queue and running leases in step.
    fn move_task(
        &mut self,
        task: &TaskId,
        next: TaskState,
        at: UnixMillis,
    ) -> Result<(), EvolveError> {
        let place = *self.tasks.get(task).ok_or(EvolveError::UnknownTask(*task))?;
        let job = self.jobs.get_mut(&place.job).ok_or(EvolveError::UnknownJob(place.job))?;
        let found = job.tasks.get_mut(place.position).ok_or(EvolveError::UnknownTask(*task))?;
        let (from, to) = (found.state.kind(), next.kind());
        if !TASK_EDGES.contains(&(from, to)) {
            return Err(EvolveError::TaskEdge { task: *task, from, to });
        }
        let left = std::mem::replace(&mut found.state, next);
        found.since = at;
        // Its place in the queue depends on its tries, not on its state: it is the same before and
        // after.
        let ticket = job.tasks.get(place.position).map(|found| job.ticket(found));
        if let (TaskState::Queued, Some(ticket)) = (&left, &ticket) {
            self.queue.remove(ticket);
        }
        if let TaskState::Leased(lease) = &left {
            self.stop_running(&lease.prover, task);
        }
        if let (TaskStateKind::Queued, Some(ticket)) = (to, &ticket) {
            self.queue.insert(ticket);
        }
        Ok(())
    }

    fn stop_running(&mut self, prover: &Address, task: &TaskId) {
        if let Some(tasks) = self.running.get_mut(prover) {
            tasks.remove(task);
            if tasks.is_empty() {
                self.running.remove(prover);
            }
        }
    }
}
