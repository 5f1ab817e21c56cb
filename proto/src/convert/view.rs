//! Jobs as requesters see them: one way, from core to the wire.

use proofgrid_core::ids::{CertificateId, ChainId, JobId};
use proofgrid_core::job::Origin;
use proofgrid_core::network::{
    Explanation, Inclusion, Job, JobPlan, JobState, JobStateKind, JobView, Network, Posting,
    RaceEntryView, RaceView, SubmissionView, TaskStateKind, TaskView, VotingView,
};
use proofgrid_core::units::Stake;

use crate::v1;

impl From<JobStateKind> for v1::JobState {
    fn from(core: JobStateKind) -> Self {
        match core {
            JobStateKind::AwaitingInput => Self::AwaitingInput,
            JobStateKind::Accepted => Self::Accepted,
            JobStateKind::Proving => Self::Proving,
            JobStateKind::Verifying => Self::Verifying,
            JobStateKind::Certified => Self::Certified,
            JobStateKind::Submitted => Self::Submitted,
            JobStateKind::Settled => Self::Settled,
            JobStateKind::Rejected => Self::Rejected,
            JobStateKind::Held => Self::Held,
            JobStateKind::Failed => Self::Failed,
            JobStateKind::Expired => Self::Expired,
            JobStateKind::Cancelled => Self::Cancelled,
            JobStateKind::Racing => Self::Racing,
        }
    }
}

impl From<TaskStateKind> for v1::TaskState {
    fn from(core: TaskStateKind) -> Self {
        match core {
            TaskStateKind::Waiting => Self::Waiting,
            TaskStateKind::Queued => Self::Queued,
            TaskStateKind::Leased => Self::Leased,
            TaskStateKind::Accepted => Self::Accepted,
            TaskStateKind::Failed => Self::Failed,
            TaskStateKind::Cancelled => Self::Cancelled,
        }
    }
}

/// The core value of a job state on the wire.
///
/// # Errors
/// When it is unspecified or unknown.
pub fn job_state(field: &str, wire: i32) -> Result<JobStateKind, super::ConvertError> {
    let wire = super::known::<v1::JobState>(field, wire)?;
    JobStateKind::ALL
        .into_iter()
        .find(|kind| v1::JobState::from(*kind) == wire)
        .ok_or_else(|| super::ConvertError::new(field, super::Problem::Unspecified))
}

/// Why a job is in its state; empty for states that need no reason.
fn reason_of(job: &Job) -> String {
    match &job.state {
        JobState::Rejected { reason } => reason.clone(),
        JobState::Held { reason, .. } => reason.to_string(),
        JobState::Failed { reason } => reason.to_string(),
        _ => job.history.back().map(|entry| entry.reason.clone()).unwrap_or_default(),
    }
}

/// A job without its tasks, votes and transactions.
#[must_use]
pub fn job_summary(job: &Job) -> v1::Job {
    let certificate_id = match &job.state {
        JobState::Certified { certificate }
        | JobState::Submitted { certificate, .. }
        | JobState::Settled { certificate, .. }
        | JobState::RaceSettled { certificate: Some(certificate), .. } => {
            certificate.as_bytes().to_vec()
        }
        _ => Vec::new(),
    };
    let changed = job.history.back().map_or(job.submitted_at, |entry| entry.at);
    v1::Job {
        job_id: job.id.as_bytes().to_vec(),
        spec: Some((&job.spec).into()),
        state: v1::JobState::from(job.state.kind()).into(),
        reason: reason_of(job),
        created_unix_ms: job.submitted_at.get(),
        changed_unix_ms: changed.get(),
        tasks: Vec::new(),
        statement: None,
        certificate_id,
        submissions: Vec::new(),
        unpaid: job.spec.origin == Origin::Direct,
        race: None,
    }
}

/// A job with all that belongs to it; `None` if there is none.
#[must_use]
pub fn job_view(network: &Network, id: &JobId) -> Option<v1::Job> {
    let view = network.job(id)?;
    let job = network.state().jobs.get(id)?;
    let tasks = view.tasks.iter().map(|task| task_view(task, view.plan.as_ref())).collect();
    let statement = view.voting.as_ref().map(|voting| statement_view(network, &view, voting));
    let race = network.race(id).map(race_view);
    Some(v1::Job { tasks, statement, submissions: submissions(&view), race, ..job_summary(job) })
}

fn race_view(race: RaceView) -> v1::RaceProgress {
    let entry = |entry: RaceEntryView| {
        let (verdict, certificate_id) = match entry.certified {
            Some((verdict, id)) => (v1::Verdict::from(verdict), id.as_bytes().to_vec()),
            None => (v1::Verdict::Unspecified, Vec::new()),
        };
        v1::RaceEntryProgress {
            round: u32::from(entry.round),
            prover: entry.prover.as_bytes().to_vec(),
            statement_digest: entry.statement.as_bytes().to_vec(),
            standing: entry.standing,
            verdict: verdict.into(),
            certificate_id,
        }
    };
    v1::RaceProgress {
        round: u32::from(race.round.number),
        commit_until_unix_s: race.round.commit_until.get(),
        reveal_until_unix_s: race.round.reveal_until.get(),
        judge_until_unix_s: race.round.judge_until.get(),
        waits_for: race.waits_for,
        entries: race.entries.into_iter().map(entry).collect(),
    }
}

/// A task and who works on it.
#[must_use]
pub fn task_view(task: &TaskView, plan: Option<&JobPlan>) -> v1::Task {
    let index = usize::try_from(task.index).unwrap_or(usize::MAX);
    let segment = plan.and_then(|plan| plan.segments.get(index));
    let prover = task.prover.map(|prover| prover.as_bytes().to_vec());
    let (phase, done) = task.progress.clone().unwrap_or_default();
    let mut view = v1::Task {
        task_id: task.id.as_bytes().to_vec(),
        kind: v1::TaskKind::from(task.kind).into(),
        index: task.index,
        state: v1::TaskState::from(task.state).into(),
        attempt: task.attempt.map_or(0, |attempt| attempt.get()),
        prover: prover.unwrap_or_default(),
        first: segment.map_or(0, |segment| segment.first),
        count: segment.map_or(0, |segment| segment.count),
        work_units: task.work_units.get(),
        phase,
        progress_permille: u32::from(done),
        prove_ms: task.prove_ms.unwrap_or(0),
        proof_bytes: task.proof_bytes.map_or(0, |length| length.get()),
        ..v1::Task::default()
    };
    if task.at_intake {
        "intake".clone_into(&mut view.phase);
        view.progress_permille = 1000;
    }
    if let Some(record) = &task.record {
        view.proof_digest = record.proof.as_bytes().to_vec();
        view.phase.clear();
        view.progress_permille = 1000;
    }
    view
}

fn stake(value: Stake) -> Vec<u8> {
    value.get().to_be_bytes().to_vec()
}

/// The votes of the newest round.
fn statement_view(network: &Network, job: &JobView, voting: &VotingView) -> v1::StatementProgress {
    let members = network.state().epochs.get(&voting.epoch);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    v1::StatementProgress {
        statement_digest: voting.statement.as_bytes().to_vec(),
        statement_attempt: job.statement_attempt.get(),
        epoch: voting.epoch.get(),
        stake_valid: stake(voting.valid),
        stake_invalid: stake(voting.invalid),
        stake_abstained: stake(voting.abstained),
        stake_total: stake(voting.total),
        stake_attested: stake(attested(network, job.certificate.as_ref())),
        num_votes: count(voting.votes.len()),
        num_members: count(members.map_or(0, |keys| keys.table().members().len())),
        verify_ms: 0,
        stake_committed: stake(voting.committed),
    }
}

/// The votes on a statement, as they are now.
#[must_use]
pub fn statement_of_job(network: &Network, job: &JobId) -> Option<v1::StatementProgress> {
    let view = network.job(job)?;
    view.voting.as_ref().map(|voting| statement_view(network, &view, voting))
}

/// Stake behind a certificate; zero without one.
fn attested(network: &Network, certificate: Option<&CertificateId>) -> Stake {
    let book = certificate.and_then(|id| network.certificate(id));
    let Some(certificate) = book.map(|book| &book.certificate) else { return Stake::ZERO };
    let Some(keys) = network.state().epochs.get(&certificate.epoch) else { return Stake::ZERO };
    let absent = certificate.non_signers.iter().filter_map(|index| keys.table().member(*index));
    absent.fold(keys.table().total(), |left, member| left.saturating_sub(member.stake))
}

/// The transactions that concern a job, as far as they were begun.
fn submissions(job: &JobView) -> Vec<v1::Submission> {
    let chain = job.spec.target.chain;
    let kinds = [
        (v1::SubmissionKind::Certificate, &job.attest),
        (v1::SubmissionKind::Settlement, &job.settle),
    ];
    let begun = kinds.into_iter().filter_map(|(kind, view)| Some((kind, view.as_ref()?)));
    begun.filter_map(|(kind, view)| submission_view(kind, chain, view)).collect()
}

fn submission_view(
    kind: v1::SubmissionKind,
    chain: ChainId,
    submission: &SubmissionView,
) -> Option<v1::Submission> {
    use v1::SubmissionState as Wire;
    let mut view =
        v1::Submission { kind: kind.into(), chain_id: chain.get(), ..Default::default() };
    let put = |view: &mut v1::Submission, inclusion: &Inclusion| {
        view.tx_hash = inclusion.tx.as_bytes().to_vec();
        view.block_number = inclusion.block.get();
        view.gas_used = inclusion.gas_used;
    };
    let state = match &submission.posting {
        Posting::Owed => {
            view.text = submission.last_failure.clone()?;
            Wire::Failed
        }
        Posting::Dropped => {
            view.text = submission.last_failure.clone().unwrap_or_default();
            Wire::Failed
        }
        Posting::Sent { tx } => {
            view.tx_hash = tx.as_bytes().to_vec();
            Wire::Sent
        }
        Posting::Included(inclusion) => {
            put(&mut view, inclusion);
            Wire::Included
        }
        Posting::Final(inclusion) => {
            put(&mut view, inclusion);
            Wire::Final
        }
    };
    view.state = state.into();
    Some(view)
}

/// The decisions that led a job where it is, oldest first; what waits now comes last.
#[must_use]
pub fn explanations(job: &Job, explained: &Explanation) -> Vec<v1::Explanation> {
    let mut all: Vec<v1::Explanation> = Vec::new();
    for entry in &job.history {
        all.push(v1::Explanation {
            time_unix_ms: entry.at.get(),
            task_id: Vec::new(),
            text: format!("{}: {}", entry.state, entry.reason),
        });
    }
    for (task, of_task) in job.tasks.iter().zip(&explained.tasks) {
        let task_id = || task.id.as_bytes().to_vec();
        for one in &of_task.tries {
            let text = format!(
                "{} {}, try {} by {}: {}; {}",
                task.kind, task.index, one.attempt, one.prover, one.why, one.outcome,
            );
            let time_unix_ms = one.at.get();
            all.push(v1::Explanation { time_unix_ms, task_id: task_id(), text });
        }
        let text = format!("{} {} is {}: {}", task.kind, task.index, of_task.state, of_task.why);
        let time_unix_ms = task.since.get();
        all.push(v1::Explanation { time_unix_ms, task_id: task_id(), text });
    }
    all.sort_by_key(|entry| entry.time_unix_ms);
    let now = all.last().map_or(0, |entry| entry.time_unix_ms);
    let contradictions = explained.contradictions.iter().map(ToString::to_string);
    for text in contradictions.chain([explained.why.clone()]) {
        all.push(v1::Explanation { time_unix_ms: now, task_id: Vec::new(), text });
    }
    all
}
