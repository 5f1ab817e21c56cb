//! What happened to each job, as events for those who watch: made from the facts alone, so that the
//! same journal gives the same events, with the same numbers, after every restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{JobId, StatementDigest, TaskId};
use proofgrid_core::network::{
    BatchStage, Change, Fact, Job, JobEnd, JobStateKind, LeaseEnd, Network, State,
    SubmissionSubject, SubmissionUpdate, TaskView,
};
use proofgrid_core::units::{Millis, UnixMillis};
use proofgrid_proto::{stored, v1};

use crate::limits::{FEED_EVENTS_MAX, FEEDS_EVENTS_MAX};

mod race;
#[cfg(test)]
mod tests;

/// Said in place of events that are gone.
const CUT: &str = "earlier events are no longer kept; explain the job for what is known of them";

/// One job's events; the oldest go when there are too many, the numbers go on.
#[derive(Debug, Default)]
struct Feed {
    /// `JobEvent`s in their wire format, a fifth of what they take as structs; most are never read.
    /// Their numbers are without gaps, the last is `next - 1`.
    events: VecDeque<Box<[u8]>>,
    next: u64,
    state: Option<JobStateKind>,
    /// Number of the newest fact that said something about it.
    newest: u64,
    /// How long intake judged each task's proof.
    verify: BTreeMap<TaskId, Millis>,
    /// How long the slowest verifier judged the newest statement.
    judged: Option<(StatementDigest, Millis)>,
}

impl Feed {
    /// When its turn to be forgotten comes: jobs that are over before others, then those that were
    /// quiet for longest.
    fn turn(&self, job: JobId) -> Turn {
        (!self.state.is_some_and(JobStateKind::is_terminal), self.newest, job)
    }

    /// Number of the oldest event that is kept.
    fn first(&self) -> u64 {
        self.next.saturating_sub(self.events.len() as u64)
    }

    /// The events from a number on.
    fn from(&self, from: u64) -> impl Iterator<Item = v1::JobEvent> + '_ {
        let skipped = usize::try_from(from.saturating_sub(self.first())).unwrap_or(usize::MAX);
        let numbered = (self.first()..).zip(&self.events).skip(skipped);
        numbered.map(|(sequence, bytes)| {
            // Another build wrote it in another way; the events around it are as good as ever.
            let unread = |error| v1::JobEvent {
                sequence,
                text: format!("an event that this build cannot read: {error}"),
                ..v1::JobEvent::default()
            };
            stored::decode(bytes).unwrap_or_else(unread)
        })
    }
}

/// Whether the job is live, its newest fact, the job.
type Turn = (bool, u64, JobId);

/// Every job's events, within one bound for all of them together.
#[derive(Debug)]
pub struct Feeds {
    feeds: BTreeMap<JobId, Feed>,
    turns: BTreeSet<Turn>,
    events: usize,
    events_max: usize,
    facts: u64,
    touched: BTreeSet<JobId>,
}

impl Default for Feeds {
    fn default() -> Self {
        Self::bounded(FEEDS_EVENTS_MAX)
    }
}

/// One job's events as a snapshot keeps them: what facts say, not what was measured.
#[derive(BorshDeserialize)]
struct KeptFeed {
    job: JobId,
    next: u64,
    state: Option<JobStateKind>,
    newest: u64,
    events: VecDeque<Box<[u8]>>,
}

/// What one fact says about one job.
struct Said {
    job: JobId,
    text: String,
    state: Option<JobStateKind>,
    detail: Option<v1::job_event::Detail>,
}

impl Said {
    fn new(job: JobId, text: impl Into<String>) -> Self {
        Self { job, text: text.into(), state: None, detail: None }
    }

    fn moves_to(mut self, state: JobStateKind) -> Self {
        self.state = Some(state);
        self
    }

    /// As [`Self::moves_to`]; a race goes on while its entries are voted on and certified.
    fn moves_unless_raced(self, to: JobStateKind, state: &State) -> Self {
        if state.is_race(&self.job) { self } else { self.moves_to(to) }
    }

    fn about_task(mut self, task: v1::Task) -> Self {
        self.detail = Some(v1::job_event::Detail::Task(task));
        self
    }
}

impl Feeds {
    /// No events yet, and at most so many ever.
    #[must_use]
    pub const fn bounded(events_max: usize) -> Self {
        Self {
            feeds: BTreeMap::new(),
            turns: BTreeSet::new(),
            events: 0,
            events_max,
            facts: 0,
            touched: BTreeSet::new(),
        }
    }

    /// Takes a fact in. `state` is the state after it, or any later one.
    pub fn absorb(&mut self, fact: &Fact, state: &State) {
        self.facts += 1;
        if let Change::JobSubmitted { job, .. } = &fact.change
            && state.jobs.contains_key(job)
        {
            self.feeds.entry(*job).or_default();
        }
        for said in read(&fact.change, state) {
            // Of a job that is forgotten nothing is kept; a late vote on it is only evidence.
            if state.jobs.contains_key(&said.job) {
                self.append(fact.at, said);
            }
        }
        if let Change::JobForgotten { job } = &fact.change
            && let Some(feed) = self.feeds.remove(job)
        {
            self.turns.remove(&feed.turn(*job));
            self.events = self.events.saturating_sub(feed.events.len());
        }
        self.forget();
    }

    /// Writes what a snapshot keeps.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, writer: &mut impl io::Write) -> io::Result<()> {
        let count = u32::try_from(self.feeds.len()).map_err(io::Error::other)?;
        (self.facts, count).serialize(writer)?;
        for (job, feed) in &self.feeds {
            (job, feed.next, feed.state, feed.newest, &feed.events).serialize(writer)?;
        }
        Ok(())
    }

    /// Reads back what [`Feeds::write`] wrote, and leaves what comes after it. Nobody has to be woken
    /// for it.
    ///
    /// # Errors
    /// When it is not what a network of so many facts can have written.
    pub fn read(bytes: &mut &[u8]) -> io::Result<Self> {
        let (facts, count) = <(u64, u32)>::deserialize(bytes)?;
        let mut feeds = Self { facts, ..Self::default() };
        for _ in 0..count {
            let KeptFeed { job, next, state, newest, events } = KeptFeed::deserialize(bytes)?;
            let follows = feeds.feeds.last_key_value().is_none_or(|(last, _)| *last < job);
            let known = events.len() <= FEED_EVENTS_MAX && events.len() as u64 <= next;
            if !follows || !known || newest > facts {
                return Err(io::Error::other(format!("the events of job {job} cannot be")));
            }
            feeds.events += events.len();
            let feed = Feed { events, next, state, newest, ..Feed::default() };
            if !feed.events.is_empty() {
                feeds.turns.insert(feed.turn(job));
            }
            feeds.feeds.insert(job, feed);
        }
        Ok(feeds)
    }

    fn append(&mut self, at: UnixMillis, said: Said) {
        let job = said.job;
        // A job whose events went goes on under numbers that it never had: it had at most one event
        // per fact.
        let facts = self.facts;
        let feed = self.feeds.entry(job).or_insert_with(|| Feed { next: facts, ..Feed::default() });
        self.turns.remove(&feed.turn(job));
        feed.newest = facts;
        feed.state = said.state.or(feed.state);
        let state = feed.state.map_or(v1::JobState::Unspecified, v1::JobState::from);
        let event = v1::JobEvent {
            sequence: feed.next,
            time_unix_ms: at.get(),
            state: state.into(),
            text: said.text,
            detail: said.detail,
        };
        feed.events.push_back(stored::encode(&event).into());
        feed.next += 1;
        self.events += 1;
        if feed.events.len() > FEED_EVENTS_MAX {
            feed.events.pop_front();
            self.events -= 1;
        }
        self.turns.insert(feed.turn(job));
        self.touched.insert(job);
    }

    /// Forgets whole jobs until the rest is within the bound.
    fn forget(&mut self) {
        while self.events > self.events_max {
            let Some((_, _, job)) = self.turns.pop_first() else { return };
            let gone = self.feeds.remove(&job);
            self.events = self.events.saturating_sub(gone.map_or(0, |feed| feed.events.len()));
        }
    }

    /// Notes how long intake took to judge a task's proof.
    pub fn note_intake(&mut self, state: &State, task: TaskId, verify: Millis) {
        let feed = state.task(&task).ok().and_then(|(job, _)| self.feeds.get_mut(&job.id));
        if let Some(feed) = feed {
            feed.verify.insert(task, verify);
        }
    }

    /// Notes how long a verifier says that it judged.
    pub fn note_judged(&mut self, state: &State, statement: StatementDigest, judged_in: Millis) {
        let job = job_of_statement(state, &statement).and_then(|job| state.jobs.get(&job));
        let Some(job) = job.filter(|job| job.statement == Some(statement)) else { return };
        let Some(feed) = self.feeds.get_mut(&job.id) else { return };
        let known = feed.judged.filter(|(known, _)| *known == statement);
        let longest = known.map_or(judged_in, |(_, longest)| longest.max(judged_in));
        feed.judged = Some((statement, longest));
    }

    /// A job's view, with the measurements that are kept in memory only.
    #[must_use]
    pub fn job(&self, network: &Network, id: &JobId) -> Option<v1::Job> {
        let mut view = proofgrid_proto::convert::job_view(network, id)?;
        let Some(feed) = self.feeds.get(id) else { return Some(view) };
        for task in &mut view.tasks {
            let known = TaskId::try_from(task.task_id.as_slice()).ok();
            let measured = known.and_then(|id| feed.verify.get(&id));
            task.verify_ms = measured.map_or(0, |verify| verify.get());
        }
        if let Some(statement) = &mut view.statement
            && let Some((known, longest)) = feed.judged
            && known.as_bytes() == statement.statement_digest.as_slice()
        {
            statement.verify_ms = longest.get();
        }
        Some(view)
    }

    /// Jobs with new events since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<JobId> {
        std::mem::take(&mut self.touched)
    }

    /// A job's events from a number on, and the number of the next one to come; `None` if it was
    /// quiet for so long that its events went. Of those that went alone an event says so.
    #[must_use]
    pub fn since(&self, job: &JobId, from: u64) -> Option<(Vec<v1::JobEvent>, u64)> {
        let feed = self.feeds.get(job)?;
        let mut events = Vec::new();
        let mut kept = feed.from(from).peekable();
        if let Some(first) = kept.peek().filter(|first| first.sequence > from) {
            let sequence = first.sequence.saturating_sub(1);
            let text = CUT.to_owned();
            events.push(v1::JobEvent { sequence, text, detail: None, ..first.clone() });
        }
        events.extend(kept);
        Some((events, feed.next))
    }

    /// The running tasks of a job, as events that repeat the number of the last one: progress has
    /// no number of its own, because it is gone after a restart.
    #[must_use]
    pub fn running(
        job: &JobId,
        network: &Network,
        now: UnixMillis,
        following: u64,
    ) -> Vec<v1::JobEvent> {
        let Some(view) = network.job(job) else { return Vec::new() };
        let event = |task: &TaskView| {
            let (phase, _) = task.progress.as_ref()?;
            let detail = proofgrid_proto::convert::task_view(task, view.plan.as_ref());
            Some(v1::JobEvent {
                sequence: following.saturating_sub(1),
                time_unix_ms: now.get(),
                state: v1::JobState::from(view.state.kind()).into(),
                text: format!("segment {}: {phase}", task.index),
                detail: Some(v1::job_event::Detail::Task(detail)),
            })
        };
        view.tasks.iter().filter_map(event).collect()
    }
}

/// What is known of a job whose events went: its way through the states, after a word about the
/// rest. Numbered from `from` on, so that whoever watches again hears how it ended.
#[must_use]
pub fn remembered(job: &Job, from: u64) -> (Vec<v1::JobEvent>, u64) {
    let event = |at: UnixMillis, state: JobStateKind, text: &str| v1::JobEvent {
        sequence: 0,
        time_unix_ms: at.get(),
        state: v1::JobState::from(state).into(),
        text: text.to_owned(),
        detail: None,
    };
    let cut = event(job.submitted_at, JobStateKind::AwaitingInput, CUT);
    let steps = job.history.iter().map(|step| event(step.at, step.state, &step.reason));
    let number = |(sequence, event)| v1::JobEvent { sequence, ..event };
    let numbers = std::iter::successors(Some(from), |number| number.checked_add(1));
    let events: Vec<_> = numbers.zip(std::iter::once(cut).chain(steps)).map(number).collect();
    let following = from.saturating_add(events.len() as u64);
    (events, following)
}

/// Tells whoever runs this network that a verifier contradicts itself. A replay does not tell again.
pub fn warn_of_contradictions(fact: &Fact, state: &State) {
    for found in state.contradictions_of(&fact.change) {
        tracing::warn!(
            operator = %found.operator,
            statement = %found.statement,
            first = %found.first,
            second = %found.second,
            "a verifier contradicts itself; both signatures are kept as evidence"
        );
    }
}

/// A task as one fact leaves it: only what the fact itself says, so that a replay says the same.
fn task_event(state: &State, task: &TaskId, is: v1::TaskState) -> Option<(JobId, v1::Task)> {
    let (job, found) = state.task(task).ok()?;
    let view = v1::Task {
        task_id: task.as_bytes().to_vec(),
        kind: v1::TaskKind::from(found.kind).into(),
        index: found.index,
        state: is.into(),
        work_units: found.work_units.get(),
        ..v1::Task::default()
    };
    Some((job.id, view))
}

fn job_of_statement(state: &State, statement: &StatementDigest) -> Option<JobId> {
    state.statements.get(statement).map(|book| book.opened.job())
}

/// What a fact says about jobs.
fn read(change: &Change, state: &State) -> Vec<Said> {
    match change {
        Change::JobSubmitted { job, .. } => {
            vec![Said::new(*job, "submitted").moves_to(JobStateKind::AwaitingInput)]
        }
        Change::InputReady { job } => {
            vec![Said::new(*job, "the input is here").moves_to(JobStateKind::Accepted)]
        }
        Change::JobPlanned { job, plan } => {
            let said = Said::new(*job, format!("cut into {} segments", plan.segments.len()));
            vec![if state.is_race(job) { said.moves_to(JobStateKind::Racing) } else { said }]
        }
        Change::JobEnded { job, end } => vec![read_end(*job, end)],
        Change::JobHeld { job, reason } => {
            vec![Said::new(*job, format!("held: {reason}")).moves_to(JobStateKind::Held)]
        }
        Change::LeaseGranted { .. }
        | Change::LeaseEnded { .. }
        | Change::ProofDelivered { .. }
        | Change::CandidateDropped { .. }
        | Change::TaskAccepted { .. }
        | Change::TaskFailed { .. }
        | Change::SegmentRejected { .. } => read_task(change, state).into_iter().collect(),
        Change::RaceRoundOpened { .. }
        | Change::RaceRevealed { .. }
        | Change::RaceEntered { .. }
        | Change::RaceEntryOpened { .. }
        | Change::RaceEntryClosed { .. }
        | Change::RaceRoundClosed { .. }
        | Change::RaceSettled { .. } => race::read(change).into_iter().collect(),
        _ => read_votes(change, state),
    }
}

fn read_end(job: JobId, end: &JobEnd) -> Said {
    let (text, kind) = match end {
        JobEnd::Rejected(reason) => (format!("rejected: {reason}"), JobStateKind::Rejected),
        JobEnd::Failed(reason) => (format!("failed: {reason}"), JobStateKind::Failed),
        JobEnd::Expired => ("expired".to_owned(), JobStateKind::Expired),
        JobEnd::ExpiredOnChain(_) => {
            ("expired on its chain; the fee is refunded".to_owned(), JobStateKind::Expired)
        }
        JobEnd::Cancelled => ("cancelled by its requester".to_owned(), JobStateKind::Cancelled),
    };
    Said::new(job, text).moves_to(kind)
}

fn lease_end_text(end: &LeaseEnd) -> String {
    match end {
        LeaseEnd::WorkerLost => "the prover was silent for too long".to_owned(),
        LeaseEnd::WorkerForgot => "the prover came back without it".to_owned(),
        LeaseEnd::TimedOut => "it ran longer than any lease may".to_owned(),
        LeaseEnd::Fault(fault) => fault.to_string(),
        LeaseEnd::IntakeRefused { code, text } => {
            format!("intake refused the proof: {code}: {text}")
        }
        LeaseEnd::Unjudged(reason) => format!("intake could not judge the proof: {reason}"),
        LeaseEnd::Requeued => "an administrator took it back".to_owned(),
    }
}

fn read_task(change: &Change, state: &State) -> Option<Said> {
    match change {
        Change::LeaseGranted { task, attempt, prover, .. } => {
            let (job, mut view) = task_event(state, task, v1::TaskState::Leased)?;
            view.attempt = attempt.get();
            view.prover = prover.as_bytes().to_vec();
            let text = format!("segment {} leased to {prover}, try {attempt}", view.index);
            Some(Said::new(job, text).moves_to(JobStateKind::Proving).about_task(view))
        }
        Change::LeaseEnded { task, attempt, end } => {
            let (job, mut view) = task_event(state, task, v1::TaskState::Queued)?;
            view.attempt = attempt.get();
            let text = format!(
                "segment {}, try {attempt} ended: {}; queued again",
                view.index,
                lease_end_text(end),
            );
            Some(Said::new(job, text).about_task(view))
        }
        Change::ProofDelivered { task, attempt, prover, report } => {
            let (job, mut view) = task_event(state, task, v1::TaskState::Leased)?;
            view.attempt = attempt.get();
            view.prover = prover.as_bytes().to_vec();
            view.prove_ms = report.prove_ms;
            view.proof_bytes = report.bytes.get();
            view.proof_digest = report.proof.as_bytes().to_vec();
            view.progress_permille = 1000;
            let text = format!("segment {} proved by {prover}, at intake", view.index);
            Some(Said::new(job, text).about_task(view))
        }
        Change::CandidateDropped { task, attempt, end } => {
            let (job, view) = task_event(state, task, v1::TaskState::Queued)?;
            let text =
                format!("segment {}, late try {attempt}: {}", view.index, lease_end_text(end));
            Some(Said::new(job, text))
        }
        Change::TaskAccepted { task, attempt, record } => {
            let (job, mut view) = task_event(state, task, v1::TaskState::Accepted)?;
            view.attempt = attempt.get();
            view.prover = record.prover.as_bytes().to_vec();
            view.first = record.first;
            view.count = record.count;
            view.proof_digest = record.proof.as_bytes().to_vec();
            view.progress_permille = 1000;
            let text = format!("segment {} passed intake", view.index);
            Some(Said::new(job, text).about_task(view))
        }
        Change::TaskFailed { task, reason } => {
            let (job, view) = task_event(state, task, v1::TaskState::Failed)?;
            Some(
                Said::new(job, format!("segment {} failed: {reason}", view.index)).about_task(view),
            )
        }
        Change::SegmentRejected { job, index, prover, reason, .. } => {
            let text = format!("verifiers refused segment {index} of {prover}: {reason}");
            Some(Said::new(*job, text).moves_to(JobStateKind::Proving))
        }
        _ => None,
    }
}

/// What a fact says of whoever signed it and something else before.
fn read_contradictions(change: &Change, state: &State) -> Vec<Said> {
    let found = state.contradictions_of(change).into_iter();
    let said = found.map(|one| (job_of_statement(state, &one.statement), one.to_string()));
    said.filter_map(|(job, text)| Some(Said::new(job?, text))).collect()
}

fn read_votes(change: &Change, state: &State) -> Vec<Said> {
    let one = |statement: &StatementDigest, say: &dyn Fn(JobId) -> Said| {
        job_of_statement(state, statement).map(say).into_iter().collect()
    };
    match change {
        Change::StatementOpened { opened, digest } => {
            let text = format!("all segments accepted; statement {digest}");
            vec![Said::new(opened.job(), text).moves_to(JobStateKind::Verifying)]
        }
        Change::VotingOpened { statement, epoch } => one(statement, &|job| {
            Said::new(job, format!("the members of epoch {epoch} judge and commit to their votes"))
                .moves_unless_raced(JobStateKind::Verifying, state)
        }),
        // Before the commit set stands nothing is said: nobody knows of a verdict yet.
        Change::CommitsClosed { statement, epoch } => {
            let set = state.commit_set(*statement, *epoch);
            let count = set.map_or(0, |set| set.commitments().len());
            one(statement, &|job| {
                Said::new(job, format!("{count} members committed to their votes and open them"))
            })
        }
        Change::VoteRecorded { vote, .. } | Change::LateVoteRecorded { vote } => {
            let against = read_contradictions(change, state);
            if !against.is_empty() {
                return against;
            }
            let (verdict, operator) = (vote.vote().verdict, vote.operator());
            let text = match change {
                Change::VoteRecorded { .. } => format!("{operator} voted {verdict}"),
                _ => format!(
                    "{operator} voted {verdict}, which does not count: it opens no \
                              commitment of the set, or came too late"
                ),
            };
            one(&vote.vote().statement, &|job| Said::new(job, text.clone()))
        }
        Change::CommitsReopened { statement, .. } => one(statement, &|job| {
            Said::new(job, "the open votes decide nothing; whoever has none may commit again")
        }),
        Change::RevealsClosed { statement, epoch } => {
            let round = state.statements.get(statement).and_then(|book| book.rounds.get(epoch));
            let silent = round.map_or(0, |round| round.abstentions.len());
            one(statement, &|job| {
                Said::new(job, format!("the time to open votes is over; {silent} abstained"))
            })
        }
        Change::AttestationRecorded { .. } => read_contradictions(change, state),
        Change::Abstained { operator, statement, reason, .. } => {
            one(statement, &|job| Said::new(job, format!("{operator} abstained: {reason}")))
        }
        Change::QuorumReached { statement, epoch, verdict } => one(statement, &|job| {
            Said::new(job, format!("two thirds of epoch {epoch} voted {verdict}"))
        }),
        Change::BatchCertified { root, id, .. } => {
            let batch = state.batches.get(root).filter(|book| book.stage != BatchStage::Open);
            let leaves = batch.map(|book| book.batch.leaves()).unwrap_or_default();
            let jobs = leaves.iter().filter_map(|leaf| job_of_statement(state, &leaf.statement));
            jobs.map(|job| Said {
                detail: Some(v1::job_event::Detail::CertificateId(id.as_bytes().to_vec())),
                ..Said::new(job, format!("certificate {id}"))
                    .moves_unless_raced(JobStateKind::Certified, state)
            })
            .collect()
        }
        Change::CertificateDropped { id, reason } => jobs_of_certificate(state, id)
            .map(|job| {
                Said::new(job, format!("certificate {id} is of no use: {reason}; voting again"))
                    .moves_unless_raced(JobStateKind::Verifying, state)
            })
            .collect(),
        Change::SubmissionMoved { subject, update, .. } => read_submission(subject, update, state),
        _ => Vec::new(),
    }
}

fn jobs_of_certificate(
    state: &State,
    id: &proofgrid_core::ids::CertificateId,
) -> impl Iterator<Item = JobId> {
    let statements = state.certificates.get(id).map(|book| book.statements.clone());
    statements.unwrap_or_default().into_iter().map(|(_, job)| job)
}

fn read_submission(
    subject: &SubmissionSubject,
    update: &SubmissionUpdate,
    state: &State,
) -> Vec<Said> {
    let (what, kind, jobs): (_, _, Vec<JobId>) = match subject {
        SubmissionSubject::Certificate(id) => (
            "certificate",
            v1::SubmissionKind::Certificate,
            jobs_of_certificate(state, id).collect(),
        ),
        SubmissionSubject::Settle(job) => {
            ("settlement", v1::SubmissionKind::Settlement, vec![*job])
        }
    };
    let mut view = v1::Submission { kind: kind.into(), ..v1::Submission::default() };
    let (text, step) = match update {
        SubmissionUpdate::Sent { tx } => {
            view.tx_hash = tx.as_bytes().to_vec();
            (format!("{what} sent: {tx}"), v1::SubmissionState::Sent)
        }
        SubmissionUpdate::Included(inclusion) | SubmissionUpdate::Final(inclusion) => {
            view.tx_hash = inclusion.tx.as_bytes().to_vec();
            view.block_number = inclusion.block.get();
            view.gas_used = inclusion.gas_used;
            match update {
                SubmissionUpdate::Final(_) => (
                    format!("{what} final in block {}", inclusion.block),
                    v1::SubmissionState::Final,
                ),
                _ => (
                    format!("{what} in block {}, {} gas", inclusion.block, inclusion.gas_used),
                    v1::SubmissionState::Included,
                ),
            }
        }
        SubmissionUpdate::Reorged => {
            (format!("{what} is no longer on the chain"), v1::SubmissionState::Reorged)
        }
        SubmissionUpdate::Failed(failure) => {
            (format!("{what} failed: {failure:?}"), v1::SubmissionState::Failed)
        }
        SubmissionUpdate::Chosen { why } => (format!("{what} {why}"), v1::SubmissionState::Chosen),
    };
    view.state = step.into();
    view.text.clone_from(&text);
    let moved = |job: JobId| Said {
        state: state.job(&job).ok().map(|job| job.state.kind()),
        detail: Some(v1::job_event::Detail::Submission(view.clone())),
        ..Said::new(job, text.clone())
    };
    jobs.into_iter().map(moved).collect()
}
