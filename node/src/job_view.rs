//! A job as the command line shows it: the wire's bytes as words, numbers and hexadecimal text.

use proofgrid_core::units::Stake;
use proofgrid_proto::v1;
use serde::Serialize;

/// A job and how far it is.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// The job's id.
    pub id: String,
    /// `grpc` or `contract`.
    pub source: &'static str,
    /// Program id.
    pub program: String,
    /// Who asked.
    pub requester: String,
    /// State in one word.
    pub state: String,
    /// Why it is in that state.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Nothing is escrowed for it.
    pub unpaid: bool,
    /// When the network learnt of it, Unix milliseconds.
    pub created_unix_ms: u64,
    /// When its state last changed, Unix milliseconds.
    pub changed_unix_ms: u64,
    /// Its tasks.
    pub tasks: Vec<TaskView>,
    /// Votes.
    pub votes: Option<VotesView>,
    /// Certificate id, empty before there is one.
    pub certificate: String,
    /// Transactions.
    pub submissions: Vec<SubmissionView>,
    /// Its race, if it is raced for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub race: Option<RaceView>,
}

/// The newest round of a race. Times are seconds of the chain.
#[derive(Clone, Debug, Serialize)]
pub struct RaceView {
    /// Which round, from 1.
    pub round: u32,
    /// When commitments end.
    pub commit_until_unix_s: u64,
    /// When reveals end.
    pub reveal_until_unix_s: u64,
    /// When the round ends unless it is held.
    pub judge_until_unix_s: u64,
    /// What it waits for and until when.
    pub waits_for: String,
    /// What was revealed, of all rounds.
    pub entries: Vec<RaceEntryView>,
}

/// One commitment that was revealed.
#[derive(Clone, Debug, Serialize)]
pub struct RaceEntryView {
    /// Which round.
    pub round: u32,
    /// Whose.
    pub prover: String,
    /// What was committed to.
    pub statement: String,
    /// What became of it.
    pub standing: String,
    /// `valid`, `invalid`, or `unspecified` while nothing is certified.
    pub verdict: String,
    /// Certificate id, empty before there is one.
    pub certificate: String,
}

/// One task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskView {
    /// Task id.
    pub id: String,
    /// `segment`, `fold` or `wrap`.
    pub kind: String,
    /// Position.
    pub index: u32,
    /// State in one word.
    pub state: String,
    /// Current try.
    pub attempt: u32,
    /// Who holds or finished it.
    pub prover: String,
    /// Size in the program's units.
    pub work_units: u64,
    /// What the worker is doing.
    pub phase: String,
    /// Part done, in thousandths.
    pub progress_permille: u32,
    /// How long the proof took, milliseconds.
    pub prove_ms: u64,
    /// How long intake took to judge it, milliseconds.
    pub verify_ms: u64,
    /// Length of the proof.
    pub proof_bytes: u64,
}

/// Votes on a statement. Stakes are decimal wei.
#[derive(Clone, Debug, Serialize)]
pub struct VotesView {
    /// What is voted on.
    pub statement: String,
    /// Which statement of the job.
    pub attempt: u32,
    /// Epoch that votes.
    pub epoch: u64,
    /// Members that voted.
    pub num_votes: u32,
    /// Members.
    pub num_members: u32,
    /// Stake that committed to a vote; until two thirds have, nobody knows of a verdict.
    pub stake_committed: u128,
    /// Stake for valid.
    pub stake_valid: u128,
    /// Stake for invalid.
    pub stake_invalid: u128,
    /// Stake that abstained.
    pub stake_abstained: u128,
    /// Stake under the certificate.
    pub stake_attested: u128,
    /// Stake of the epoch.
    pub stake_total: u128,
    /// Slowest judgement.
    pub verify_ms: u64,
}

/// A transaction.
#[derive(Clone, Debug, Serialize)]
pub struct SubmissionView {
    /// `certificate` or `settlement`.
    pub kind: String,
    /// How far.
    pub state: String,
    /// Transaction hash.
    pub tx_hash: String,
    /// Block.
    pub block_number: u64,
    /// Gas.
    pub gas_used: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl From<&v1::Job> for JobView {
    fn from(job: &v1::Job) -> Self {
        let spec = job.spec.as_ref();
        let origin = spec.map(v1::JobSpec::origin);
        Self {
            id: hex0x(&job.job_id),
            source: if origin == Some(v1::Origin::Contract) { "contract" } else { "grpc" },
            program: spec.map(|spec| hex0x(&spec.program_id)).unwrap_or_default(),
            requester: spec.map(|spec| hex0x(&spec.requester)).unwrap_or_default(),
            state: word(job.state().as_str_name(), "JOB_STATE_"),
            reason: job.reason.clone(),
            unpaid: job.unpaid,
            created_unix_ms: job.created_unix_ms,
            changed_unix_ms: job.changed_unix_ms,
            tasks: job.tasks.iter().map(TaskView::from).collect(),
            votes: job.statement.as_ref().map(VotesView::from),
            certificate: hex0x(&job.certificate_id),
            submissions: job.submissions.iter().map(SubmissionView::from).collect(),
            race: job.race.as_ref().map(RaceView::from),
        }
    }
}

impl From<&v1::RaceProgress> for RaceView {
    fn from(race: &v1::RaceProgress) -> Self {
        let entry = |entry: &v1::RaceEntryProgress| RaceEntryView {
            round: entry.round,
            prover: hex0x(&entry.prover),
            statement: hex0x(&entry.statement_digest),
            standing: entry.standing.clone(),
            verdict: word(entry.verdict().as_str_name(), "VERDICT_"),
            certificate: hex0x(&entry.certificate_id),
        };
        Self {
            round: race.round,
            commit_until_unix_s: race.commit_until_unix_s,
            reveal_until_unix_s: race.reveal_until_unix_s,
            judge_until_unix_s: race.judge_until_unix_s,
            waits_for: race.waits_for.clone(),
            entries: race.entries.iter().map(entry).collect(),
        }
    }
}

impl JobView {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn ended(&self) -> bool {
        ["settled", "rejected", "failed", "expired", "cancelled"].contains(&self.state.as_str())
    }

    /// Part of the proving work that is done, in thousandths, weighted by work.
    #[must_use]
    pub fn progress_permille(&self) -> u64 {
        let total: u64 = self.tasks.iter().map(|task| task.work_units).sum();
        let done: u64 = self
            .tasks
            .iter()
            .map(|task| task.work_units.saturating_mul(u64::from(task.done_permille())))
            .sum();
        done.checked_div(total).unwrap_or(0)
    }

    /// Addresses of the provers, in the order of the segments.
    #[must_use]
    pub fn provers(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.prover.clone()).collect()
    }

    /// The newest transaction of one kind.
    #[must_use]
    pub fn submission(&self, kind: &str) -> Option<&SubmissionView> {
        self.submissions.iter().rev().find(|submission| submission.kind == kind)
    }
}

impl TaskView {
    fn done_permille(&self) -> u32 {
        if self.state == "accepted" { 1000 } else { self.progress_permille.min(1000) }
    }
}

impl From<&v1::Task> for TaskView {
    fn from(task: &v1::Task) -> Self {
        Self {
            id: hex0x(&task.task_id),
            kind: word(task.kind().as_str_name(), "TASK_KIND_"),
            index: task.index,
            state: word(task.state().as_str_name(), "TASK_STATE_"),
            attempt: task.attempt,
            prover: hex0x(&task.prover),
            work_units: task.work_units,
            phase: task.phase.clone(),
            progress_permille: task.progress_permille,
            prove_ms: task.prove_ms,
            verify_ms: task.verify_ms,
            proof_bytes: task.proof_bytes,
        }
    }
}

impl From<&v1::StatementProgress> for VotesView {
    fn from(votes: &v1::StatementProgress) -> Self {
        Self {
            statement: hex0x(&votes.statement_digest),
            attempt: votes.statement_attempt,
            epoch: votes.epoch,
            num_votes: votes.num_votes,
            num_members: votes.num_members,
            stake_committed: stake(&votes.stake_committed),
            stake_valid: stake(&votes.stake_valid),
            stake_invalid: stake(&votes.stake_invalid),
            stake_abstained: stake(&votes.stake_abstained),
            stake_attested: stake(&votes.stake_attested),
            stake_total: stake(&votes.stake_total),
            verify_ms: votes.verify_ms,
        }
    }
}

impl From<&v1::Submission> for SubmissionView {
    fn from(submission: &v1::Submission) -> Self {
        Self {
            kind: word(submission.kind().as_str_name(), "SUBMISSION_KIND_"),
            state: word(submission.state().as_str_name(), "SUBMISSION_STATE_"),
            tx_hash: hex0x(&submission.tx_hash),
            block_number: submission.block_number,
            gas_used: submission.gas_used,
            text: submission.text.clone(),
        }
    }
}

/// `part` of `whole` in percent with one decimal, exact in integers.
#[must_use]
pub fn percent(part: u128, whole: u128) -> String {
    let permille = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Hexadecimal with prefix; nothing for no bytes.
#[must_use]
pub fn hex0x(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { format!("0x{}", hex::encode(bytes)) }
}

/// An enum value's name in lower case without its prefix.
#[must_use]
pub fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

fn stake(bytes: &[u8]) -> u128 {
    <[u8; 16]>::try_from(bytes).map_or(0, |bytes| Stake::new(u128::from_be_bytes(bytes)).get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_weighted_by_work() {
        let task = |work_units, state: &str, progress_permille| TaskView {
            id: String::new(),
            kind: String::new(),
            index: 0,
            state: state.into(),
            attempt: 1,
            prover: String::new(),
            work_units,
            phase: String::new(),
            progress_permille,
            prove_ms: 0,
            verify_ms: 0,
            proof_bytes: 0,
        };
        let mut job = JobView::from(&v1::Job::default());
        assert_eq!(job.progress_permille(), 0, "a job without tasks has not begun");
        job.tasks = vec![task(300, "accepted", 0), task(100, "leased", 500)];
        assert_eq!(job.progress_permille(), 875);
    }

    #[test]
    fn words_come_from_the_wire_names() {
        assert_eq!(word("JOB_STATE_AWAITING_INPUT", "JOB_STATE_"), "awaiting_input");
        assert_eq!(percent(2, 3), "66.6 %");
    }
}
