//! Facts about jobs and their blobs.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{BlobDigest, JobId, StatementAttempt, TaskId};
use crate::job::{JobSpec, TaskKind};
use crate::network::fact::{Change, JobEnd};
use crate::network::input::{JobPlan, Provenance};
use crate::race::is_race;
use crate::units::{ByteCount, UnixMillis};

use super::{
    BlobBook, EvolveError, HoldReason, Job, JobState, State, StatementStage, Task, TaskPlace,
    TaskState, TaskStateKind, Touched, TryOutcome,
};

impl State {
    pub(super) fn evolve_job(
        &mut self,
        at: UnixMillis,
        change: &Change,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        match change {
            Change::JobSubmitted { job, spec, provenance, input_until } => {
                self.job_submitted(at, *job, spec, *provenance, *input_until)?;
                touched.insert(*job);
            }
            Change::BlobStored { digest, bytes } => self.blob_stored(at, *digest, *bytes)?,
            Change::InputReady { job } => {
                self.move_job(job, JobState::Accepted, at, "input is stored".into(), touched)?;
            }
            Change::JobPlanned { job, plan } => self.job_planned(at, *job, plan, touched)?,
            Change::JobEnded { job, end } => self.job_ended(at, *job, end, touched)?,
            Change::JobHeld { job, reason } => self.job_held(at, *job, reason, touched)?,
            Change::JobResumed { job, reason } => self.job_resumed(at, job, reason, touched)?,
            Change::BlobsReleased { job } => self.blobs_released(job),
            Change::BlobForgotten { digest } => {
                self.blobs.remove(digest);
                self.unclaimed_blobs.remove(digest);
            }
            _ => return Err(EvolveError::Contradiction { what: "not a fact about jobs" }),
        }
        Ok(())
    }

    fn job_submitted(
        &mut self,
        at: UnixMillis,
        id: JobId,
        spec: &JobSpec,
        provenance: Provenance,
        until: UnixMillis,
    ) -> Result<(), EvolveError> {
        let key = (spec.requester, spec.nonce);
        // A contract keeps its own nonces; a free submit must not use up one that was paid for.
        let direct = provenance == Provenance::Direct;
        if self.jobs.contains_key(&id) || (direct && self.nonces.contains_key(&key)) {
            return Err(EvolveError::Repeated { what: "submitting a job" });
        }
        if direct {
            self.nonces.insert(key, id);
        }
        self.serial += 1;
        let mut job = Job {
            id,
            spec: spec.clone(),
            provenance,
            submitted_at: at,
            serial: self.serial,
            state: JobState::AwaitingInput { until },
            plan: None,
            tasks: Vec::new(),
            tasks_accepted: 0,
            statement_attempt: StatementAttempt::new(1),
            statement: None,
            statements: Vec::new(),
            history: VecDeque::new(),
        };
        let source = match provenance {
            Provenance::Direct => "submitted directly (unpaid)",
            Provenance::Chain(_) => "created on-chain",
        };
        job.remember(at, source.into());
        self.awaiting.entry(spec.input).or_default().insert(id);
        if spec.stream > 0 {
            let stream = self.streams.entry((spec.requester, spec.stream)).or_default();
            stream.jobs += 1;
            stream.live.entry(spec.sequence).or_default().insert(id);
        }
        self.use_blob(&spec.input, id);
        self.live_jobs += 1;
        *self.live_by_requester.entry(spec.requester).or_default() += 1;
        self.by_serial.insert(self.serial, id);
        self.jobs.insert(id, job);
        Ok(())
    }

    fn blob_stored(
        &mut self,
        at: UnixMillis,
        digest: BlobDigest,
        bytes: ByteCount,
    ) -> Result<(), EvolveError> {
        match self.blobs.get(&digest) {
            // A journal may tell of a proof's upload after its delivery, which vouched for it.
            Some(book) if book.bytes == bytes => return Ok(()),
            Some(_) => return Err(EvolveError::Repeated { what: "storing a blob" }),
            None => {}
        }
        self.open_book(at, digest, bytes);
        if !self.awaiting.contains_key(&digest) {
            self.unclaimed_blobs.insert(digest);
        }
        Ok(())
    }

    /// Opens the book of a blob that has none; the jobs that wait for it are its first users.
    pub(super) fn open_book(&mut self, at: UnixMillis, digest: BlobDigest, bytes: ByteCount) {
        let users = self.awaiting.get(&digest).cloned().unwrap_or_default();
        self.blobs.entry(digest).or_insert(BlobBook { bytes, stored_at: at, users });
    }

    /// Notes that a job needs a blob, if it is stored.
    pub(super) fn use_blob(&mut self, digest: &BlobDigest, job: JobId) {
        if let Some(book) = self.blobs.get_mut(digest) {
            book.users.insert(job);
            self.unclaimed_blobs.remove(digest);
        }
    }

    fn job_planned(
        &mut self,
        at: UnixMillis,
        id: JobId,
        plan: &JobPlan,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let job = self.job_mut(&id)?;
        if job.plan.is_some() || job.state != JobState::Accepted {
            return Err(EvolveError::Repeated { what: "planning a job" });
        }
        if is_race(&job.spec) {
            // Every prover proves all of it, so there is nothing to lease.
            job.plan = Some(plan.clone());
            self.races.racing.insert(id);
            let text = format!("provers race for its {} segments", plan.segments.len());
            return self.move_job(&id, JobState::Racing, at, text, touched);
        }
        let mut tasks = Vec::with_capacity(plan.segments.len());
        for (index, segment) in (0u32..).zip(&plan.segments) {
            tasks.push(Task {
                id: TaskId::derive(&id, TaskKind::Segment, index),
                kind: TaskKind::Segment,
                index,
                work_units: segment.work_units,
                memory_bytes: segment.memory_bytes,
                // A segment needs nothing before it; folds will wait for theirs.
                state: TaskState::Waiting { deps: BTreeSet::new() },
                since: at,
                tries: Vec::new(),
                faults: 0,
                losses: 0,
                avoid: BTreeSet::new(),
            });
        }
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        job.plan = Some(plan.clone());
        job.tasks = tasks;
        for (position, task) in ids.iter().enumerate() {
            self.tasks.insert(*task, TaskPlace { job: id, position });
        }
        self.release_ready(at, &ids)
    }

    /// Queues those of the tasks that wait for nothing any more.
    pub(super) fn release_ready(
        &mut self,
        at: UnixMillis,
        tasks: &[TaskId],
    ) -> Result<(), EvolveError> {
        for task in tasks {
            if matches!(&self.task(task)?.1.state, TaskState::Waiting { deps } if deps.is_empty()) {
                self.move_task(task, TaskState::Queued, at)?;
            }
        }
        Ok(())
    }

    fn job_ended(
        &mut self,
        at: UnixMillis,
        id: JobId,
        end: &JobEnd,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let (state, reason) = match end {
            JobEnd::Rejected(reason) => {
                (JobState::Rejected { reason: reason.clone() }, reason.clone())
            }
            JobEnd::Failed(reason) => {
                (JobState::Failed { reason: reason.clone() }, reason.to_string())
            }
            JobEnd::Expired => (JobState::Expired { event: None }, "its time is over".into()),
            JobEnd::ExpiredOnChain(event) => {
                (JobState::Expired { event: Some(*event) }, "refunded by its chain".into())
            }
            JobEnd::Cancelled => (JobState::Cancelled, "withdrawn by its requester".into()),
        };
        let certificate = match self.job(&id)?.state {
            JobState::Certified { certificate } | JobState::Submitted { certificate, .. } => {
                Some(certificate)
            }
            _ => None,
        };
        self.move_job(&id, state, at, reason, touched)?;
        self.cancel_tasks(at, id)?;
        self.close_statement(&id);
        self.end_race(&id)?;
        if let Some(certificate) = certificate {
            if let Some(book) = self.certificates.get_mut(&certificate) {
                book.settlements.remove(&id);
            }
            self.forget_posted(certificate);
        }
        Ok(())
    }

    fn cancel_tasks(&mut self, at: UnixMillis, id: JobId) -> Result<(), EvolveError> {
        let tasks: Vec<TaskId> = self.job(&id)?.tasks.iter().map(|task| task.id).collect();
        for id in tasks {
            let task = self.task_mut(&id)?;
            let mut attempts = Vec::new();
            for try_ in &mut task.tries {
                if try_.at_intake.take().is_some() {
                    attempts.push(try_.attempt);
                }
                if try_.outcome == TryOutcome::Running {
                    try_.outcome = TryOutcome::Superseded;
                    try_.ended_at = Some(at);
                }
            }
            let kind = task.state.kind();
            for attempt in attempts {
                self.at_intake.remove(&(id, attempt));
            }
            if matches!(
                kind,
                TaskStateKind::Waiting | TaskStateKind::Queued | TaskStateKind::Leased
            ) {
                self.move_task(&id, TaskState::Cancelled, at)?;
            }
        }
        Ok(())
    }

    /// Takes a job's statement out of voting and batching; its votes stay as evidence.
    fn close_statement(&mut self, job: &JobId) {
        let statement = self.jobs.get(job).and_then(|job| job.statement);
        let Some(digest) = statement else { return };
        self.voting.remove(&digest);
        self.pending.remove(&digest);
        if let Some(book) = self.statements.get_mut(&digest) {
            book.stage = StatementStage::Closed;
        }
    }

    fn job_held(
        &mut self,
        at: UnixMillis,
        id: JobId,
        reason: &HoldReason,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let JobState::Verifying { statement } = self.job(&id)?.state else {
            let from = self.job(&id)?.state.kind();
            let to = super::JobStateKind::Held;
            return Err(EvolveError::JobEdge { job: id, from, to });
        };
        let text = reason.to_string();
        let held = JobState::Held { statement, reason: reason.clone() };
        self.move_job(&id, held, at, text, touched)
    }

    pub(super) fn job_resumed(
        &mut self,
        at: UnixMillis,
        id: &JobId,
        reason: &str,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        if let JobState::Held { statement, .. } = self.job(id)?.state {
            self.move_job(id, JobState::Verifying { statement }, at, reason.into(), touched)?;
            if let Some(book) = self.statements.get_mut(&statement)
                && let StatementStage::Pending { rounds, .. } = &mut book.stage
            {
                *rounds = 0;
            }
        }
        Ok(())
    }

    /// Proofs that a job's tries delivered.
    pub(in crate::network) fn job_blobs(&self, job: &JobId) -> Vec<BlobDigest> {
        let tasks = self.jobs.get(job).into_iter().flat_map(|job| &job.tasks);
        let delivered = tasks.flat_map(|task| &task.tries).filter_map(|found| found.delivered);
        let raced = self.races.book(job).into_iter().flat_map(|book| book.entries());
        let raced = raced.flat_map(|(_, _, entry)| entry.proofs.iter().copied());
        delivered.chain(raced).collect()
    }

    pub(super) fn blobs_released(&mut self, job: &JobId) {
        let Some(found) = self.jobs.get(job) else { return };
        let input = found.spec.input;
        let digests = std::iter::once(input).chain(self.job_blobs(job));
        for digest in digests.collect::<Vec<_>>() {
            let Some(book) = self.blobs.get_mut(&digest) else { continue };
            book.users.remove(job);
            if book.users.is_empty() {
                self.blobs.remove(&digest);
            }
        }
    }
}
