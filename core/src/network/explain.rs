//! Why a job is where it is: what `explain` prints.

use crate::ids::{Address, Attempt, JobId};
use crate::limits::EXPLAIN_ENTRIES_MAX;
use crate::units::UnixMillis;

use super::Network;
use super::apply::streams::KeptBack;
use super::contradiction::Contradiction;
use super::fact::Decision;
use super::live::ProverSession;
use super::state::{
    Job, JobState, Task, TaskState, TaskStateKind, Ticket, Try, TryOutcome, Urgency, VotePhaseKind,
};

/// One try, and why it was made where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryExplanation {
    /// Which.
    pub attempt: Attempt,
    /// Whose.
    pub prover: Address,
    /// Since when.
    pub at: UnixMillis,
    /// Why this prover, in one line.
    pub why: String,
    /// What the scheduler saw.
    pub decision: Decision,
    /// What became of it, in one line.
    pub outcome: String,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskExplanation {
    /// Position among the job's tasks.
    pub index: u32,
    /// Where it is.
    pub state: TaskStateKind,
    /// Why it is there, in one line.
    pub why: String,
    /// Its newest tries, oldest first.
    pub tries: Vec<TryExplanation>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// Why it is where it is, in one line.
    pub why: String,
    /// Its tasks.
    pub tasks: Vec<TaskExplanation>,
    /// Who contradicted itself about it: one for each member, statement and epoch or batch at most.
    pub contradictions: Vec<Contradiction>,
}

impl Network {
    /// Why a job is where it is.
    #[must_use]
    pub fn explain(&self, id: &JobId) -> Option<Explanation> {
        let job = self.state.jobs.get(id)?;
        let tasks = job.tasks.iter().map(|task| TaskExplanation {
            index: task.index,
            state: task.state.kind(),
            why: self.explain_task(job, task),
            tries: explain_tries(job, task),
        });
        let about = |statement| self.state.contradictions_about(statement);
        Some(Explanation {
            job: *id,
            why: self.explain_job(id)?,
            tasks: tasks.collect(),
            contradictions: job.statements.iter().flat_map(about).collect(),
        })
    }

    fn explain_job(&self, id: &JobId) -> Option<String> {
        let job = self.state.jobs.get(id)?;
        Some(match &job.state {
            JobState::AwaitingInput { until } => {
                format!("waits for input {} until {until}; upload it", job.spec.input)
            }
            JobState::Accepted if job.plan.is_none() => "its input is being cut".into(),
            JobState::Accepted => "queued; no task is leased yet".into(),
            JobState::Proving => {
                format!("{} of {} tasks are proved", job.tasks_accepted, job.tasks.len())
            }
            JobState::Verifying { .. } => self.explain_verifying(id),
            JobState::Certified { certificate } => {
                format!("certificate {certificate} is to be posted on {}", job.spec.target.chain)
            }
            JobState::Submitted { tx, .. } => format!("transaction {tx} is not final yet"),
            JobState::Held { reason, .. } => format!("held: {reason}"),
            JobState::Settled { inclusion, .. } => format!("final in block {}", inclusion.block),
            JobState::Racing => self.explain_race(id),
            JobState::RaceSettled { event, .. } => {
                format!("its winners were paid on-chain in block {}", event.block)
            }
            JobState::Rejected { reason } => format!("rejected: {reason}"),
            JobState::Failed { reason } => format!("failed: {reason}"),
            JobState::Expired { event: Some(event) } => {
                format!("refunded on-chain in block {}", event.block)
            }
            JobState::Expired { event: None } => "its time is over".into(),
            JobState::Cancelled => "withdrawn by its requester".into(),
        })
    }

    fn explain_verifying(&self, id: &JobId) -> String {
        let Some(view) = self.job(id).and_then(|view| view.voting) else {
            return "waits for a final stake table".into();
        };
        let pending = self.state.pending.contains(&view.statement);
        if let Some(kept) = pending.then(|| self.kept_back(id, view.opened_at)).flatten() {
            let until = kept.until();
            return match kept {
                KeptBack::Behind { sequence, jobs, .. } => {
                    let first = jobs.first().map(ToString::to_string).unwrap_or_default();
                    format!(
                        "kept back until {until} at most: job {first}, {sequence} of its stream, \
                         is not final yet"
                    )
                }
                KeptBack::Gap { sequence, .. } => {
                    format!("kept back until {until} at most: {sequence} of its stream is missing")
                }
            };
        }
        let epoch = view.epoch;
        if view.phase == VotePhaseKind::Committing {
            return format!(
                "epoch {epoch}: votes are sealed; {} of {} committed, two thirds are needed",
                view.committed, view.total
            );
        }
        format!(
            "epoch {epoch}: valid {}, invalid {}, abstained {} of {}; two thirds are needed",
            view.valid, view.invalid, view.abstained, view.total
        )
    }

    fn explain_task(&self, job: &Job, task: &Task) -> String {
        match &task.state {
            TaskState::Waiting { deps } => format!("needs {} other tasks first", deps.len()),
            TaskState::Queued => self.explain_queued(job, task),
            TaskState::Leased(lease) => {
                format!("{} works on it since {}", lease.prover, lease.granted_at)
            }
            TaskState::Accepted { record, .. } => format!("proved by {}", record.prover),
            TaskState::Failed { reason } => reason.to_string(),
            TaskState::Cancelled => "its job ended first".into(),
        }
    }

    /// The first rule of the scheduler that keeps a queued task from being leased.
    fn explain_queued(&self, job: &Job, task: &Task) -> String {
        let ticket = job.ticket(task);
        let (program, memory) = (ticket.lane.program, ticket.lane.memory());
        let mut able: Vec<(&Address, &ProverSession)> = self.live.provers.iter().collect();
        able.retain(|(_, session)| session.offers(&program));
        if able.is_empty() {
            return format!("no connected prover offers program {program}");
        }
        able.retain(|(_, session)| session.capabilities.memory_bytes >= memory);
        if able.is_empty() {
            return format!("needs {memory}; no connected prover has that much memory");
        }
        let large = able.len();
        able.retain(|(prover, session)| !self.is_draining(prover, session));
        if able.is_empty() {
            return format!("the {large} provers that could take it are draining");
        }
        let failed = able.iter().filter(|(prover, _)| task.avoid.contains(prover)).count();
        if failed < able.len() {
            able.retain(|(prover, _)| !task.avoid.contains(prover));
        }
        let turn = self.explain_turn(&ticket);
        let others = format!("{failed} provers that failed it come last; {turn}");
        let provers = able.len();
        able.retain(|(prover, session)| self.load(prover) < session.capabilities.slots);
        if able.is_empty() {
            return format!("every slot of {provers} able provers is taken; {others}");
        }
        able.retain(|(prover, _)| self.memory_for_more(prover) >= memory);
        if able.is_empty() {
            return format!(
                "needs {memory}, more than any prover with a free slot has left; {others}"
            );
        }
        others
    }

    /// Who goes before a queued task: other requesters by turns, its own requester's by order.
    fn explain_turn(&self, ticket: &Ticket) -> String {
        let queue = &self.state.queue;
        let (ahead, key) = (queue.ahead_of(ticket), &ticket.key);
        let again = match key.urgency {
            Urgency::Again => "tried before, ",
            Urgency::Fresh => "",
        };
        format!(
            "{ahead} tasks of its requester go first ({again}deadline {}, fee cap {}); {} units were \
             served to it, {} to whoever is next in line; {} tasks are queued in all",
            key.deadline,
            key.fee.0,
            queue.served(&ticket.requester),
            queue.next_turn(&ticket.lane).unwrap_or_default(),
            queue.len(),
        )
    }
}

fn explain_tries(job: &Job, task: &Task) -> Vec<TryExplanation> {
    let skip = task.tries.len().saturating_sub(EXPLAIN_ENTRIES_MAX);
    let tries = task.tries.iter().skip(skip);
    tries.map(|found| explain_try(job, task, found)).collect()
}

fn explain_try(job: &Job, task: &Task, found: &Try) -> TryExplanation {
    let decision = found.decision.clone();
    let again = if found.attempt.get() > 1 { "tried before, " } else { "" };
    let why = format!(
        "its requester's turn at {} units served, and first of its tasks ({again}deadline {}, fee \
         cap {}); best of {} free provers that offer the program, with {} to spare: {} units per \
         1000 s, {} of {} slots in use, {} passed over for failing it",
        decision.requester_served_units,
        job.spec.deadline,
        job.spec.fee_cap,
        decision.candidates,
        task.memory_bytes,
        decision.units_per_kilosecond,
        decision.load,
        decision.slots,
        decision.avoided,
    );
    let outcome = match &found.outcome {
        TryOutcome::Running if found.at_intake.is_some() => "at intake".into(),
        TryOutcome::Running => "running".into(),
        TryOutcome::Ended(end) => end.to_string(),
        TryOutcome::Accepted => "accepted".into(),
        TryOutcome::Superseded => "another proof counted, or the job ended".into(),
        TryOutcome::RefusedByQuorum(reason) => format!("refused by a quorum: {reason}"),
    };
    let (attempt, prover, at) = (found.attempt, found.prover, found.granted_at);
    TryExplanation { attempt, prover, at, why, decision, outcome }
}
