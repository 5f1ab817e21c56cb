//! What the API shows: copies of the state in the words of a requester or operator.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::ids::{
    Address, Attempt, BlobDigest, CertificateId, EpochNumber, JobId, ProgramId, StatementAttempt,
    StatementDigest, TaskId,
};
use crate::job::{JobSpec, TaskKind};
use crate::statement::{SegmentRecord, Verdict};
use crate::units::{ByteCount, Millis, Stake, UnixMillis, WorkUnits};

use super::input::{Inclusion, JobPlan, Provenance};
use super::live::SchedulerStats;
use super::state::{
    CertificateBook, HistoryEntry, Job, JobState, JobStateKind, Posting, Submission, Task,
    TaskState, TaskStateKind, TryOutcome, VotePhaseKind,
};
use super::{Network, Workforce};

/// Most jobs in one page.
pub const PAGE_JOBS_MAX: usize = 500;

/// One task as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// The task.
    pub id: TaskId,
    /// What it produces.
    pub kind: TaskKind,
    /// Position among the job's tasks.
    pub index: u32,
    /// Where it is.
    pub state: TaskStateKind,
    /// Who works on it, or whose proof counts.
    pub prover: Option<Address>,
    /// The current or counting try.
    pub attempt: Option<Attempt>,
    /// What it is paid by.
    pub work_units: WorkUnits,
    /// Phase and share done in 1/1000, while it runs.
    pub progress: Option<(String, u16)>,
    /// Time that the counting proof took.
    pub prove_ms: Option<u64>,
    /// Its record, once accepted.
    pub record: Option<SegmentRecord>,
    /// Length of its accepted proof, while that is stored.
    pub proof_bytes: Option<ByteCount>,
    /// Whether its proof is at intake.
    pub at_intake: bool,
    /// Estimated end of the running lease's work, if the prover was measured.
    pub expected_at: Option<UnixMillis>,
}

/// The stake behind a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotingView {
    /// The statement.
    pub statement: StatementDigest,
    /// The epoch that votes or voted last.
    pub epoch: EpochNumber,
    /// Which phase the vote is in. Before its commit set stands no vote is known.
    pub phase: VotePhaseKind,
    /// Stake that committed to a vote.
    pub committed: Stake,
    /// Stake for valid.
    pub valid: Stake,
    /// Stake for invalid.
    pub invalid: Stake,
    /// Stake that could not judge.
    pub abstained: Stake,
    /// The epoch's whole stake.
    pub total: Stake,
    /// Who voted what.
    pub votes: Vec<(Address, Verdict)>,
    /// Who voted twice, differently.
    pub equivocators: Vec<Address>,
    /// When voting opened.
    pub opened_at: UnixMillis,
}

/// A transaction's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionView {
    /// How far it is.
    pub posting: Posting,
    /// Where it landed, if it did.
    pub inclusion: Option<Inclusion>,
    /// Failures so far.
    pub failures: u32,
    /// The last one.
    pub last_failure: Option<String>,
}

impl From<&Submission> for SubmissionView {
    fn from(submission: &Submission) -> Self {
        let inclusion = match submission.posting {
            Posting::Included(inclusion) | Posting::Final(inclusion) => Some(inclusion),
            _ => None,
        };
        Self {
            posting: submission.posting,
            inclusion,
            failures: submission.failures,
            last_failure: submission.last_failure.clone(),
        }
    }
}

/// A job as its requester sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What it asks.
    pub spec: JobSpec,
    /// Who says so.
    pub provenance: Provenance,
    /// When it was first known.
    pub submitted_at: UnixMillis,
    /// Where it is.
    pub state: JobState,
    /// The statement attempt that is being worked on.
    pub statement_attempt: StatementAttempt,
    /// How it is cut.
    pub plan: Option<JobPlan>,
    /// Its tasks.
    pub tasks: Vec<TaskView>,
    /// The votes on its newest statement.
    pub voting: Option<VotingView>,
    /// Its certificate.
    pub certificate: Option<CertificateId>,
    /// The certificate's `attest` transaction.
    pub attest: Option<SubmissionView>,
    /// Its own `settle` transaction, for a contract job.
    pub settle: Option<SubmissionView>,
    /// What happened, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// Give this to get the next page; `None` at the end.
    pub next: Option<u64>,
}

/// A job in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its requester.
    pub requester: Address,
    /// Its program.
    pub program: ProgramId,
    /// Where it is.
    pub state: JobStateKind,
    /// When it was first known.
    pub submitted_at: UnixMillis,
    /// Tasks that are done, of how many.
    pub tasks: (u32, u32),
}

/// What a page is cut from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only this requester's.
    pub requester: Option<Address>,
    /// Only those in this state.
    pub state: Option<JobStateKind>,
}

/// A prover as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Its address.
    pub prover: Address,
    /// Name and version that it registered, while connected.
    pub connected: Option<(String, String)>,
    /// When it was last heard of.
    pub heard_at: Option<UnixMillis>,
    /// Tasks that it works on.
    pub running: Vec<TaskId>,
    /// Its slots, while connected.
    pub slots: u32,
    /// Whether it takes no new tasks.
    pub draining: bool,
    /// Work units per 1000 seconds by program.
    pub units_per_kilosecond: Vec<(ProgramId, u64)>,
    /// Proofs accepted, work units in them, faults, losses.
    pub accepted: u64,
    /// Work units in the accepted proofs.
    pub work_units: u64,
    /// Tries that failed by its fault.
    pub faults: u64,
    /// Tries that ended by nobody's fault.
    pub losses: u64,
}

/// The network in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs that have not ended.
    pub live_jobs: usize,
    /// Tasks that wait for a prover.
    pub queued_tasks: usize,
    /// Tasks that run.
    pub running_tasks: usize,
    /// Proofs at intake.
    pub at_intake: usize,
    /// Statements before the verifiers.
    pub voting: usize,
    /// Statements that wait for a batch.
    pub pending: usize,
    /// Batches being attested.
    pub open_batches: usize,
    /// Certificates with something left to post.
    pub posting: usize,
    /// Connected provers.
    pub provers: usize,
    /// Connected verifiers.
    pub verifiers: usize,
    /// Connected oracles.
    pub oracles: usize,
    /// What the scheduler did since the start.
    pub scheduler: SchedulerStats,
    /// Facts applied.
    pub facts: u64,
}

/// How long some work would take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Connected provers that offer the program.
    pub provers: u32,
    /// Their work units per 1000 seconds together, over all slots.
    pub units_per_kilosecond: u64,
    /// Queued work units of the program before it.
    pub queued_tasks: usize,
    /// Proving time of the work itself, spread over them; `None` if nobody was measured.
    pub prove_ms: Option<u64>,
}

impl Network {
    /// A job in full.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<JobView> {
        let job = self.state.jobs.get(id)?;
        let certificate = self.certificate_of(job);
        let book = certificate.and_then(|id| self.state.certificates.get(&id));
        Some(JobView {
            id: job.id,
            spec: job.spec.clone(),
            provenance: job.provenance,
            submitted_at: job.submitted_at,
            state: job.state.clone(),
            statement_attempt: job.statement_attempt,
            plan: job.plan.clone(),
            tasks: job.tasks.iter().map(|task| self.task_view(job, task)).collect(),
            voting: job.statement.and_then(|statement| self.voting_view(&statement)),
            certificate,
            attest: book.map(|book| SubmissionView::from(&book.submission)),
            settle: book.and_then(|book| book.settlements.get(id)).map(SubmissionView::from),
            history: job.history.iter().cloned().collect(),
        })
    }

    fn certificate_of(&self, job: &Job) -> Option<CertificateId> {
        match &job.state {
            JobState::Certified { certificate }
            | JobState::Submitted { certificate, .. }
            | JobState::Settled { certificate, .. } => Some(*certificate),
            JobState::RaceSettled { certificate, .. } => *certificate,
            _ => None,
        }
    }

    /// A certificate and how far its transaction is.
    #[must_use]
    pub fn certificate(&self, id: &CertificateId) -> Option<&CertificateBook> {
        self.state.certificates.get(id)
    }

    fn task_view(&self, job: &Job, task: &Task) -> TaskView {
        let mut view = TaskView {
            id: task.id,
            kind: task.kind,
            index: task.index,
            state: task.state.kind(),
            prover: None,
            attempt: None,
            work_units: task.work_units,
            progress: None,
            prove_ms: None,
            record: None,
            proof_bytes: None,
            at_intake: task.tries.iter().any(|found| found.at_intake.is_some()),
            expected_at: None,
        };
        match &task.state {
            TaskState::Leased(lease) => {
                view.prover = Some(lease.prover);
                view.attempt = Some(lease.attempt);
                let session = self.live.provers.get(&lease.prover);
                view.progress = session.and_then(|s| s.progress.get(&task.id)).cloned();
                let speed = self.throughput(&lease.prover, &job.spec.program);
                let span = task.work_units.get().saturating_mul(1_000_000).checked_div(speed);
                view.expected_at = span.map(|span| lease.granted_at.after(Millis::new(span)));
            }
            TaskState::Accepted { attempt, record, .. } => {
                view.prover = Some(record.prover);
                view.attempt = Some(*attempt);
                view.prove_ms = task
                    .tries
                    .iter()
                    .find(|found| found.outcome == TryOutcome::Accepted)
                    .and_then(|found| found.prove_ms);
                view.record = Some(record.clone());
                view.proof_bytes = self.state.blobs.get(&record.proof).map(|blob| blob.bytes);
            }
            _ => {}
        }
        view
    }

    fn voting_view(&self, statement: &StatementDigest) -> Option<VotingView> {
        let book = self.state.statements.get(statement)?;
        let (epoch, round) = book.rounds.last_key_value()?;
        let tally = &round.tally;
        Some(VotingView {
            statement: *statement,
            epoch: *epoch,
            phase: self.state.sealed.phase(*statement, *epoch).kind(),
            committed: self.committed(*statement, *epoch),
            valid: tally.signed(Verdict::Valid),
            invalid: tally.signed(Verdict::Invalid),
            abstained: tally.abstained(),
            total: tally.total(),
            votes: tally.votes().map(|vote| (vote.operator(), vote.vote().verdict)).collect(),
            equivocators: tally.evidence().map(|known| known.first.operator).collect(),
            opened_at: round.opened_at,
        })
    }

    /// Jobs, newest first. `before` is the `next` of the page before, `None` for the first page.
    /// Costs O(jobs looked at); a rare state among many jobs is looked for in them all.
    #[must_use]
    pub fn jobs(&self, filter: JobFilter, before: Option<u64>, limit: usize) -> JobPage {
        let limit = limit.clamp(1, PAGE_JOBS_MAX);
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let mut jobs = Vec::new();
        let mut next = None;
        for (serial, id) in self.state.by_serial.range((Bound::Unbounded, end)).rev() {
            let Some(job) = self.state.jobs.get(id) else { continue };
            let fits = filter.requester.is_none_or(|wanted| wanted == job.spec.requester)
                && filter.state.is_none_or(|wanted| wanted == job.state.kind());
            if !fits {
                continue;
            }
            if jobs.len() == limit {
                next = Some(serial + 1);
                break;
            }
            jobs.push(JobSummary {
                id: *id,
                requester: job.spec.requester,
                program: job.spec.program,
                state: job.state.kind(),
                submitted_at: job.submitted_at,
                tasks: (job.tasks_accepted, u32::try_from(job.tasks.len()).unwrap_or(u32::MAX)),
            });
        }
        JobPage { jobs, next }
    }

    /// Every prover that is connected or has a record.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerView> {
        let known = self.state.workers.keys().chain(self.live.provers.keys());
        let mut addresses: Vec<Address> = known.copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.into_iter().map(|prover| self.worker(prover)).collect()
    }

    fn worker(&self, prover: Address) -> WorkerView {
        let session = self.live.provers.get(&prover);
        let book = self.state.workers.get(&prover).cloned().unwrap_or_default();
        let running = self.state.running.get(&prover);
        let offers = session.into_iter().flat_map(|session| &session.capabilities.programs);
        let mut programs: Vec<ProgramId> = book
            .units_per_kilosecond
            .keys()
            .copied()
            .chain(offers.map(|offer| offer.program))
            .collect();
        programs.sort_unstable();
        programs.dedup();
        let speeds = programs.iter().map(|program| (*program, self.throughput(&prover, program)));
        WorkerView {
            prover,
            connected: session
                .map(|s| (s.capabilities.name.clone(), s.capabilities.version.clone())),
            heard_at: self.live.heard.get(&prover).copied(),
            running: running.into_iter().flatten().copied().collect(),
            slots: session.map_or(0, |session| session.capabilities.slots),
            draining: book.is_drained() || session.is_some_and(|session| session.draining),
            units_per_kilosecond: speeds.collect(),
            accepted: book.accepted,
            work_units: book.work_units,
            faults: book.faults,
            losses: book.losses,
        }
    }

    /// The network in numbers. O(1) but for the running tasks.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        let state = &self.state;
        QueueStats {
            live_jobs: state.live_jobs,
            queued_tasks: state.queue.len(),
            running_tasks: state.running.values().map(BTreeSet::len).sum(),
            at_intake: state.at_intake.len(),
            voting: state.voting.len(),
            pending: state.pending.len(),
            open_batches: state.open_batches.len(),
            posting: state.posting.len(),
            provers: self.live.provers.len(),
            verifiers: self.live.verifiers.len(),
            oracles: self.live.oracles.values().map(BTreeSet::len).sum(),
            scheduler: self.live.stats,
            facts: state.facts,
        }
    }

    /// The connected provers that offer a program; `None` without one.
    #[must_use]
    pub fn workforce(&self, program: &ProgramId) -> Option<Workforce> {
        self.live.offers.get(program)?.summary()
    }

    /// How long work of a program would take with the provers that are connected now.
    #[must_use]
    pub fn estimate(&self, program: &ProgramId, units: WorkUnits) -> Estimate {
        let mut provers = 0u32;
        let mut speed = 0u64;
        for (prover, session) in &self.live.provers {
            if session.offers(program) {
                provers = provers.saturating_add(1);
                let slots = u64::from(session.capabilities.slots);
                let own = self.throughput(prover, program).saturating_mul(slots);
                speed = speed.saturating_add(own);
            }
        }
        Estimate {
            provers,
            units_per_kilosecond: speed,
            queued_tasks: self.state.queue.len(),
            prove_ms: units.get().saturating_mul(1_000_000).checked_div(speed),
        }
    }

    /// Whether a blob is still needed or may still be claimed; a store may remove any other.
    #[must_use]
    pub fn wants_blob(&self, digest: &BlobDigest) -> bool {
        self.state.blobs.contains_key(digest) || self.state.awaiting.contains_key(digest)
    }

    /// Jobs that a blob belongs to: its readers are decided by them.
    pub fn blob_jobs(&self, digest: &BlobDigest) -> impl Iterator<Item = JobId> + '_ {
        let book = self.state.blobs.get(digest);
        book.into_iter().flat_map(|book| book.users.iter().copied())
    }
}
