//! Why a job is where it is: what `explain` prints.

use crate::ids::{Address, Attempt, JobId};
use crate::limits::EXPLAIN_ENTRIES_MAX;
use crate::units::UnixMillis;

use super::Network;
use super::fact::Decision;
use super::state::{JobState, LaneKey, Task, TaskState, TaskStateKind, TryOutcome};

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
}

impl Network {
    /// Why a job is where it is.
    #[must_use]
    pub fn explain(&self, id: &JobId) -> Option<Explanation> {
        let job = self.state.jobs.get(id)?;
        let tasks = job.tasks.iter().map(|task| TaskExplanation {
            index: task.index,
            state: task.state.kind(),
            why: self.explain_task(&job.ticket(task).lane, &job.spec.requester, task),
            tries: explain_tries(task),
        });
        Some(Explanation { job: *id, why: self.explain_job(id)?, tasks: tasks.collect() })
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
        let until = self
            .state
            .pending
            .contains(&view.statement)
            .then(|| self.kept_back_until(id, view.opened_at))
            .flatten();
        if let Some(until) = until {
            return format!(
                "kept back until {until} at most: an earlier job of its stream is open"
            );
        }
        let epoch = view.epoch;
        format!(
            "epoch {epoch}: valid {}, invalid {}, abstained {} of {}; two thirds are needed",
            view.valid, view.invalid, view.abstained, view.total
        )
    }

    fn explain_task(&self, lane: &LaneKey, requester: &Address, task: &Task) -> String {
        match &task.state {
            TaskState::Waiting { deps } => format!("needs {} other tasks first", deps.len()),
            TaskState::Queued => self.explain_queued(lane, requester, task),
            TaskState::Leased(lease) => {
                format!("{} works on it since {}", lease.prover, lease.granted_at)
            }
            TaskState::Accepted { record, .. } => format!("proved by {}", record.prover),
            TaskState::Failed { reason } => reason.to_string(),
            TaskState::Cancelled => "its job ended first".into(),
        }
    }

    fn explain_queued(&self, lane: &LaneKey, requester: &Address, task: &Task) -> String {
        let offering: Vec<_> = self
            .live
            .provers
            .iter()
            .filter(|(_, session)| {
                session.capabilities.programs.iter().any(|o| o.program == lane.program)
            })
            .collect();
        if offering.is_empty() {
            return format!("no connected prover offers program {}", lane.program);
        }
        let largest = offering.iter().map(|(_, s)| s.capabilities.memory_bytes).max();
        if largest.is_none_or(|largest| largest < lane.memory()) {
            return format!("needs {}; no connected prover has that much memory", lane.memory());
        }
        let avoided = offering.iter().filter(|(prover, _)| task.avoid.contains(prover)).count();
        format!(
            "waits for a free slot: {} provers offer the program ({avoided} of them failed it), \
             {} tasks of this requester and {} in all are queued, {} units were served to it",
            offering.len(),
            self.state.queue.len_of(requester),
            self.state.queue.len(),
            self.state.queue.served(requester),
        )
    }
}

fn explain_tries(task: &Task) -> Vec<TryExplanation> {
    let skip = task.tries.len().saturating_sub(EXPLAIN_ENTRIES_MAX);
    task.tries
        .iter()
        .skip(skip)
        .map(|found| {
            let decision = found.decision.clone();
            let why = format!(
                "best of {} free provers: {} units per 1000 s, {} of {} slots in use, {} passed \
                 over for failing it; the requester's turn at {} units served",
                decision.candidates,
                decision.units_per_kilosecond,
                decision.load,
                decision.slots,
                decision.avoided,
                decision.requester_served_units,
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
        })
        .collect()
}
