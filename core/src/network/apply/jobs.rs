//! Submitting, planning, cancelling, expiring; and what follows for a job from its state.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::ids::{Address, BlobDigest, JobId, StatementAttempt};
use crate::job::{JobSpec, Mode, Origin};
use crate::limits;
use crate::network::effect::{CancelReason, Effect, Peer};
use crate::network::fact::{Change, JobEnd};
use crate::network::input::{Answer, ChainEvent, JobPlan, Provenance};
use crate::network::refusal::Refusal;
use crate::network::state::{
    FailReason, HoldReason, JobState, JobStateKind, Round, StatementStage, TaskState,
};
use crate::network::{Network, Step};
use crate::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use crate::units::{ByteCount, Millis, Stake, UnixMillis};

impl Network {
    pub(super) fn on_submit(
        &mut self,
        step: &mut Step,
        spec: JobSpec,
        provenance: Provenance,
    ) -> Result<Answer, Refusal> {
        let id = spec.id();
        if self.state.jobs.contains_key(&id) {
            return Ok(Answer::AlreadyKnown(id));
        }
        if self.was_forgotten(&spec, provenance, step.now) {
            return Ok(Answer::Late);
        }
        // A contract keeps its own nonces, and gas and escrow bound how much it asks for: what the
        // chain created is a job here whatever anybody submits for free.
        if provenance == Provenance::Direct {
            if let Some(existing) = self.state.nonces.get(&(spec.requester, spec.nonce)) {
                return Err(Refusal::NonceUsed { existing: *existing });
            }
            self.check_room(&spec.requester)?;
        }
        let refused = self.check_spec(&spec, provenance, step.now).err();
        let input_until = match provenance {
            Provenance::Direct => {
                let wait = step.now.after(Millis::new(self.config.input_wait_ms));
                wait.min(spec.deadline.as_millis())
            }
            Provenance::Chain(_) => spec.deadline.as_millis(),
        };
        // A wrong event is written down: its requester paid for it and is told why it is refused.
        match (refused, provenance) {
            (Some(refusal), Provenance::Direct) => Err(refusal),
            (Some(refusal), Provenance::Chain(_)) => {
                let reason = refusal.to_string();
                self.record(step, Change::JobSubmitted { job: id, spec, provenance, input_until })?;
                self.end_job(step, id, JobEnd::Rejected(reason))?;
                Ok(Answer::JobAccepted(id))
            }
            (None, _) => {
                self.record(step, Change::JobSubmitted { job: id, spec, provenance, input_until })?;
                Ok(Answer::JobAccepted(id))
            }
        }
    }

    /// Whether a chain tells again of a job that ended and was forgotten. It tells of its blocks in
    /// order, so whatever it created up to the last forgotten job was known once; and none is
    /// forgotten before its deadline.
    fn was_forgotten(&self, spec: &JobSpec, provenance: Provenance, now: UnixMillis) -> bool {
        let Provenance::Chain(event) = provenance else { return false };
        let forgotten_to = self.state.forgotten_to.get(&event.contract.chain);
        spec.deadline <= now.as_seconds() && forgotten_to.is_some_and(|to| event.block <= *to)
    }

    fn check_room(&self, requester: &Address) -> Result<(), Refusal> {
        let (live, max) = (self.state.live_jobs, self.config.live_jobs_max);
        if live >= max {
            return Err(Refusal::QueueFull { live, max });
        }
        let (known, max) = (self.state.jobs.len(), self.config.known_jobs_max);
        if known >= max {
            return Err(Refusal::TooManyJobs { known, max });
        }
        let live = self.state.live_by_requester.get(requester).copied().unwrap_or(0);
        let max = self.config.live_jobs_per_requester_max;
        if live >= max {
            return Err(Refusal::RequesterFull { live, max });
        }
        Ok(())
    }

    fn check_spec(
        &self,
        spec: &JobSpec,
        provenance: Provenance,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        match (spec.origin, provenance) {
            (Origin::Direct, Provenance::Direct) | (Origin::Contract, Provenance::Chain(_)) => {}
            _ => return Err(Refusal::WrongOrigin),
        }
        if spec.home_chain != self.config.home_chain {
            let (expected, got) = (self.config.home_chain, spec.home_chain);
            return Err(Refusal::WrongHome { expected, got });
        }
        if !self.config.targets.contains(&spec.target) {
            let (chain, contract) = (spec.target.chain, spec.target.contract);
            return Err(Refusal::UnknownTarget { chain, contract });
        }
        if spec.mode == Mode::Race {
            self.check_raceable(spec)?;
        }
        if spec.deadline <= now.as_seconds() {
            return Err(Refusal::DeadlinePassed { deadline: spec.deadline });
        }
        // A contract bounds its deadlines itself, by its own clock.
        let ahead = spec.deadline.get().saturating_sub(now.as_seconds().get());
        if provenance == Provenance::Direct && ahead > limits::DEADLINE_SECONDS_MAX {
            let (what, max) = ("seconds to the deadline", limits::DEADLINE_SECONDS_MAX);
            return Err(Refusal::LimitOutOfRange { what, max, got: ahead });
        }
        if spec.stream == 0 && spec.sequence != 0 {
            return Err(Refusal::SequenceWithoutStream(spec.sequence));
        }
        let ranges = [
            ("input_bytes", limits::INPUT_BYTES_MAX, spec.limits.input_bytes.get()),
            ("max_segments", u64::from(limits::SEGMENTS_MAX), u64::from(spec.limits.max_segments)),
            ("max_proof_bytes", limits::PROOF_BYTES_MAX, spec.limits.max_proof_bytes.get()),
        ];
        for (what, max, got) in ranges {
            if got == 0 || got > max {
                return Err(Refusal::LimitOutOfRange { what, max, got });
            }
        }
        Ok(())
    }

    pub(super) fn on_blob_stored(
        &mut self,
        step: &mut Step,
        digest: BlobDigest,
        bytes: ByteCount,
    ) -> Result<Answer, Refusal> {
        if let Some(book) = self.state.blobs.get(&digest) {
            let known = book.bytes;
            return if known == bytes {
                Ok(Answer::Done)
            } else {
                Err(Refusal::BlobLength { known, got: bytes })
            };
        }
        let waiting = self.state.awaiting.get(&digest).cloned().unwrap_or_default();
        let max = self.config.unclaimed_blobs_max;
        if waiting.is_empty() && self.state.unclaimed_blobs.len() >= max {
            return Err(Refusal::TooManyBlobs { max });
        }
        self.record(step, Change::BlobStored { digest, bytes })?;
        self.live.dirty_jobs.extend(waiting);
        Ok(Answer::Done)
    }

    pub(super) fn on_planned(
        &mut self,
        step: &mut Step,
        job: JobId,
        plan: JobPlan,
    ) -> Result<Answer, Refusal> {
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        if found.plan.as_ref() == Some(&plan) {
            return Ok(Answer::Done);
        }
        if found.state != JobState::Accepted || found.plan.is_some() {
            return Err(Refusal::JobBeyond { job, state: found.state.kind() });
        }
        if let Some(reason) = plan_fault(&plan, found.spec.limits.max_segments) {
            self.end_job(step, job, JobEnd::Rejected(reason))?;
            return Ok(Answer::Done);
        }
        self.record(step, Change::JobPlanned { job, plan })?;
        step.changed.insert(job);
        self.offer_race(step, &job, None);
        Ok(Answer::Done)
    }

    pub(super) fn on_job_refused(
        &mut self,
        step: &mut Step,
        job: JobId,
        reason: String,
    ) -> Result<Answer, Refusal> {
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        if found.state != JobState::Accepted || found.plan.is_some() {
            return Err(Refusal::JobBeyond { job, state: found.state.kind() });
        }
        self.end_job(step, job, JobEnd::Rejected(reason))?;
        Ok(Answer::Done)
    }

    pub(super) fn on_cancel(
        &mut self,
        step: &mut Step,
        job: JobId,
        requester: Address,
    ) -> Result<Answer, Refusal> {
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        if found.spec.requester != requester {
            return Err(Refusal::NotYours(job));
        }
        if found.is_contract() {
            return Err(Refusal::CancelOnChain(job));
        }
        match found.state.kind() {
            JobStateKind::Cancelled => Ok(Answer::Done),
            JobStateKind::AwaitingInput
            | JobStateKind::Accepted
            | JobStateKind::Proving
            | JobStateKind::Verifying
            | JobStateKind::Held => {
                self.end_job(step, job, JobEnd::Cancelled)?;
                Ok(Answer::Done)
            }
            state => Err(Refusal::JobBeyond { job, state }),
        }
    }

    pub(super) fn on_expired(
        &mut self,
        step: &mut Step,
        job: JobId,
        event: ChainEvent,
    ) -> Result<Answer, Refusal> {
        let found = self.state.jobs.get(&job).ok_or(Refusal::UnknownJob(job))?;
        match found.provenance {
            Provenance::Chain(created) if created.contract == event.contract => {}
            _ => return Err(Refusal::WrongContract(job)),
        }
        match found.state.kind() {
            JobStateKind::Expired => Ok(Answer::Done),
            state @ (JobStateKind::Settled | JobStateKind::Cancelled) => {
                Err(Refusal::JobBeyond { job, state })
            }
            _ => {
                self.end_job(step, job, JobEnd::ExpiredOnChain(event))?;
                Ok(Answer::Done)
            }
        }
    }

    /// Ends a job and stops whoever works on it.
    pub(in crate::network) fn end_job(
        &mut self,
        step: &mut Step,
        job: JobId,
        end: JobEnd,
    ) -> Result<(), Refusal> {
        let mut stopped = Vec::new();
        for task in &self.state.job(&job)?.tasks {
            if let TaskState::Leased(lease) = &task.state {
                stopped.push((lease.prover, task.id, lease.attempt));
            }
        }
        for (prover, task, attempt) in &stopped {
            // A delivered proof has given its memory back.
            if !self.state.at_intake.contains(&(*task, *attempt)) {
                self.give_memory_back(task, *prover);
            }
        }
        self.withdraw_statement(step, job, "its job ended");
        self.record(step, Change::JobEnded { job, end })?;
        for (prover, task, attempt) in stopped {
            self.reindex(prover);
            self.send_cancel(step, prover, (task, attempt), CancelReason::JobOver);
        }
        Ok(())
    }

    pub(super) fn plan_effect(&self, job: JobId) -> Option<Effect> {
        let spec = self.state.jobs.get(&job)?.spec.clone();
        let workforce = self.workforce(&spec.program);
        Some(Effect::PlanJob { job, spec, workforce })
    }

    /// The next step of a job, if its state calls for one.
    pub(super) fn advance_job(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let Some(job) = self.state.jobs.get(&id) else { return Ok(()) };
        if job.spec.stream > 0 {
            self.live.batches_due = true;
        }
        match &job.state {
            JobState::AwaitingInput { .. } => self.advance_input(step, id),
            JobState::Proving => self.advance_proving(step, id),
            JobState::Racing => self.advance_race(step, id),
            JobState::Verifying { statement } | JobState::Held { statement, .. } => {
                let statement = *statement;
                self.advance_statement(step, id, statement)
            }
            state if state.kind().is_terminal() => {
                self.arm_ended(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn advance_input(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let spec = &self.state.job(&id)?.spec;
        let Some(blob) = self.state.blobs.get(&spec.input) else { return Ok(()) };
        let (expected, got) = (spec.limits.input_bytes, blob.bytes);
        if expected != got {
            let reason = format!("the job names an input of {expected}, the blob has {got}");
            return self.end_job(step, id, JobEnd::Rejected(reason));
        }
        self.record(step, Change::InputReady { job: id })?;
        step.effects.extend(self.plan_effect(id));
        Ok(())
    }

    fn advance_proving(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let job = self.state.job(&id)?;
        let Some(plan) = &job.plan else { return Ok(()) };
        if job.tasks.is_empty() || (job.tasks_accepted as usize) < job.tasks.len() {
            return Ok(());
        }
        let records: Vec<SegmentRecord> = job
            .tasks
            .iter()
            .filter_map(|task| match &task.state {
                TaskState::Accepted { record, .. } => Some(record.clone()),
                _ => None,
            })
            .collect();
        let attempt = job.statement_attempt;
        match Statement::of_job(id, &job.spec, attempt, plan.manifest, &records) {
            Ok(statement) => {
                let digest = statement.digest();
                let opened = OpenedStatement { statement, records };
                self.record(step, Change::StatementOpened { digest, opened })
            }
            // The plan was checked to be contiguous and intake holds records against it.
            Err(error) => self.end_job(step, id, JobEnd::Rejected(error.to_string())),
        }
    }

    /// Proves the segment again that an invalid quorum names, or gives up.
    pub(super) fn repair(&mut self, step: &mut Step, id: JobId) -> Result<(), Refusal> {
        let job = self.state.job(&id)?;
        let Some(digest) = job.statement else { return Ok(()) };
        let book = self.state.statement(&digest)?;
        // The newest round decided; late votes may have filled an older one with another segment.
        let mut rounds = book.rounds.values().rev();
        let refused = rounds.find(|round| round.tally.outcome() == Some(Verdict::Invalid));
        let (index, reason) = refused.map_or((0, String::new()), named_segment);
        let attempt = job.statement_attempt.get();
        if attempt >= self.config.statement_attempts_max {
            let reason = FailReason::StatementsRefused { attempts: attempt, last: reason };
            return self.end_job(step, id, JobEnd::Failed(reason));
        }
        let prover = book.opened.records.get(index as usize).map(|record| record.prover);
        let Some(prover) = prover else { return Ok(()) };
        let next = StatementAttempt::new(attempt + 1);
        self.withdraw_statement(step, id, "two thirds of the stake voted invalid");
        self.record(step, Change::SegmentRejected { job: id, index, prover, next, reason })?;
        self.reindex(prover);
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        step: &mut Step,
        job: JobId,
        reason: HoldReason,
    ) -> Result<(), Refusal> {
        self.record(step, Change::JobHeld { job, reason })
    }
}

/// The segment that most invalid stake names first, and what its heaviest voter says about it. Only
/// votes that count are heard: whoever voted otherwise before blames nobody.
fn named_segment(round: &Round) -> (u32, String) {
    let counted = || {
        let votes = round.tally.counted();
        let invalid = votes.filter(|vote| vote.vote().verdict == Verdict::Invalid);
        invalid.filter_map(|vote| Some((vote.stake(), round.details.get(&vote.operator())?)))
    };
    let mut stakes: BTreeMap<u32, Stake> = BTreeMap::new();
    for (stake, detail) in counted() {
        let sum = stakes.entry(detail.segment).or_default();
        *sum = sum.saturating_add(stake);
    }
    let most = stakes.iter().max_by_key(|(segment, stake)| (**stake, Reverse(**segment)));
    let segment = most.map_or(0, |(segment, _)| *segment);
    let said = counted().filter(|(_, detail)| detail.segment == segment);
    let said = said.max_by_key(|(stake, detail)| (*stake, Reverse(&detail.reason)));
    (segment, said.map_or_else(String::new, |(_, detail)| detail.reason.clone()))
}

/// Why a cut cannot be worked on, if it cannot.
fn plan_fault(plan: &JobPlan, max_segments: u32) -> Option<String> {
    let max = max_segments.min(limits::SEGMENTS_MAX) as usize;
    if plan.segments.is_empty() {
        return Some("the input has nothing to prove".into());
    }
    if plan.segments.len() > max {
        let needed = plan.segments.len();
        return Some(format!("the input needs {needed} segments, the job admits {max}"));
    }
    let mut next = 0u64;
    for segment in &plan.segments {
        let end = next.checked_add(segment.count).filter(|end| *end > next);
        match end {
            Some(end) if segment.first == next && segment.work_units.get() > 0 => next = end,
            _ => {
                let text = "the planner returned segments that do not follow each other";
                return Some(text.into());
            }
        }
    }
    None
}

impl Network {
    /// Tells a prover to stop a try, if it is connected.
    pub(super) fn send_cancel(
        &self,
        step: &mut Step,
        address: Address,
        (task, attempt): (crate::ids::TaskId, crate::ids::Attempt),
        reason: CancelReason,
    ) {
        if let Some(session) = self.live.provers.get(&address) {
            let prover = Peer { address, session: session.session };
            step.effects.push(Effect::CancelTask { prover, task, attempt, reason });
        }
    }

    /// The stage of a statement.
    pub(super) fn stage(&self, digest: &crate::ids::StatementDigest) -> Option<StatementStage> {
        self.state.statements.get(digest).map(|book| book.stage)
    }
}
