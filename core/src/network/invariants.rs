//! What must hold after every step. Tests check it all the time; an operator's `doctor` may.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::batch::BatchLeaf;
use crate::certificate::TrustedEpoch;
use crate::ids::{Address, Attempt, JobId, LeaseToken, ProgramId, TaskId};
use crate::quorum::is_quorum;
use crate::race::{RACE_COMMITMENTS_MAX, RACE_ROUNDS_MAX, is_race};
use crate::statement::Verdict;

use super::Network;
use super::input::Provenance;
use super::state::{
    BatchStage, EntryStage, Job, JobState, JobStateKind, RaceEntry, StatementStage, Task,
    TaskState, TryOutcome, VotePhase,
};
use super::workforce::{FreeProvers, Offers};

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invariant broken: {rule} ({subject})")]
pub struct Violation {
    /// The rule, in one sentence.
    pub rule: &'static str,
    /// What breaks it.
    pub subject: String,
}

fn check(
    holds: bool,
    rule: &'static str,
    subject: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, subject: subject() }) }
}

/// What one pass over the tasks collects, to compare the indexes with.
#[derive(Default)]
struct Found {
    queued: BTreeSet<TaskId>,
    running: BTreeMap<Address, BTreeSet<TaskId>>,
    at_intake: BTreeSet<(TaskId, Attempt)>,
    tokens: BTreeSet<LeaseToken>,
    live: BTreeMap<Address, usize>,
}

impl Network {
    /// Checks every rule of the state machine over the whole state. O(state).
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), Violation> {
        let mut found = Found::default();
        for job in self.state.jobs.values() {
            self.check_job(job, &mut found)?;
        }
        self.check_indexes(&found)?;
        self.check_statements()?;
        self.check_sealed()?;
        self.check_batches()?;
        self.check_certificates()?;
        self.check_races()?;
        self.check_kept()?;
        self.check_provers()
    }

    fn check_job(&self, job: &Job, found: &mut Found) -> Result<(), Violation> {
        let name = || job.id.to_string();
        let kind = job.state.kind();
        check(job.spec.id() == job.id, "a job's id is the digest of what it says", name)?;
        if !kind.is_terminal() {
            *found.live.entry(job.spec.requester).or_default() += 1;
        }
        let accepted = job.tasks.iter().filter(|t| matches!(t.state, TaskState::Accepted { .. }));
        let accepted = accepted.count();
        check(accepted == job.tasks_accepted as usize, "accepted tasks are counted", name)?;
        let proved = matches!(
            kind,
            JobStateKind::Verifying
                | JobStateKind::Held
                | JobStateKind::Certified
                | JobStateKind::Submitted
                | JobStateKind::Settled
        );
        check(
            !proved || is_race(&job.spec) || (accepted == job.tasks.len() && accepted > 0),
            "nothing is verified before every segment is proved",
            name,
        )?;
        for task in &job.tasks {
            self.check_task(job, task, found)?;
        }
        Ok(())
    }

    fn check_task(&self, job: &Job, task: &Task, found: &mut Found) -> Result<(), Violation> {
        let name = || task.id.to_string();
        let over = job.state.kind().is_terminal();
        let mut accepted = 0;
        for one in &task.tries {
            check(found.tokens.insert(one.token), "a fencing token is granted once", name)?;
            accepted += usize::from(one.outcome == TryOutcome::Accepted);
            if one.at_intake.is_some() {
                found.at_intake.insert((task.id, one.attempt));
            }
        }
        let counts = matches!(task.state, TaskState::Accepted { .. });
        check(accepted == usize::from(counts), "one proof counts for an accepted task", name)?;
        match &task.state {
            TaskState::Queued => {
                found.queued.insert(task.id);
            }
            TaskState::Leased(lease) => {
                let newest = task.tries.last().map(|one| (one.attempt, one.token));
                check(
                    newest == Some((lease.attempt, lease.token)),
                    "only the newest token holds the lease",
                    name,
                )?;
                if !found.at_intake.contains(&(task.id, lease.attempt)) {
                    found.running.entry(lease.prover).or_default().insert(task.id);
                }
            }
            TaskState::Accepted { record, .. } => {
                let fits = task
                    .tries
                    .iter()
                    .any(|one| one.outcome == TryOutcome::Accepted && one.prover == record.prover);
                check(fits, "the record pays whoever made the proof", name)?;
            }
            TaskState::Waiting { .. } | TaskState::Failed { .. } | TaskState::Cancelled => {}
        }
        let idle = !matches!(
            task.state,
            TaskState::Queued | TaskState::Leased(_) | TaskState::Waiting { .. }
        );
        check(!over || idle, "nobody works for a job that ended", name)
    }

    fn check_indexes(&self, found: &Found) -> Result<(), Violation> {
        let state = &self.state;
        let none = String::new;
        let queued: BTreeSet<TaskId> = state.queue.iter().collect();
        check(queued == found.queued, "exactly the queued tasks are in the queue", none)?;
        check(state.queue.is_consistent(), "the queue agrees with itself", none)?;
        check(state.running == found.running, "running leases are indexed by prover", none)?;
        check(state.at_intake == found.at_intake, "proofs at intake are indexed", none)?;
        check(state.live_by_requester == found.live, "live jobs are counted per requester", none)?;
        check(
            state.live_jobs == found.live.values().sum::<usize>(),
            "live jobs are counted",
            none,
        )?;
        let newest = found.tokens.last().map_or(0, |token| token.get());
        check(state.tokens >= newest, "tokens only grow", none)?;
        let tasks = state.jobs.values().map(|job| job.tasks.len()).sum::<usize>();
        check(state.tasks.len() == tasks, "every task is indexed", none)?;
        let direct = state.jobs.values().filter(|job| job.provenance == Provenance::Direct);
        let nonces: BTreeMap<_, _> =
            direct.clone().map(|job| ((job.spec.requester, job.spec.nonce), job.id)).collect();
        let unique = nonces.len() == direct.count();
        check(unique && state.nonces == nonces, "one direct job per nonce", none)
    }

    /// What is sealed belongs to members of known votes, and only what opens a commitment counts.
    fn check_sealed(&self) -> Result<(), Violation> {
        let state = &self.state;
        let mut revealing = BTreeSet::new();
        for (statement, epoch, sealed) in state.sealed.rounds() {
            let name = || format!("{statement} in epoch {epoch}");
            let book = state.statements.get(&statement);
            let round = book.and_then(|book| book.rounds.get(&epoch));
            let (Some(round), Some(keys)) = (round, state.epochs.get(&epoch)) else {
                return check(false, "what is sealed belongs to a known vote", name);
            };
            let table = keys.table();
            let mut operators = sealed.commitments.keys().chain(sealed.late.keys());
            let members = operators.all(|operator| table.index_of(*operator).is_some());
            check(members, "nobody outside the epoch commits", name)?;
            let voters = round.tally.votes().map(|vote| vote.operator());
            let mut outside = voters.filter(|voter| !sealed.commitments.contains_key(voter));
            check(outside.next().is_none(), "only a member of the commit set is counted", name)?;
            let closed = sealed.phase != VotePhase::Committing;
            let mut voters = round.tally.votes().map(|vote| vote.operator());
            let spoken = voters.any(|voter| !sealed.opened_before.contains(&voter));
            check(closed || !spoken, "no vote is known before the commit set stands", name)?;
            check(!closed || sealed.sitting().next().is_some(), "a commit set is not empty", name)?;
            if matches!(sealed.phase, VotePhase::Revealing { .. }) {
                revealing.insert((statement, epoch));
            }
        }
        let indexed: BTreeSet<_> = state.sealed.revealing().collect();
        check(indexed == revealing, "votes that are being opened are indexed", String::new)
    }

    fn check_statements(&self) -> Result<(), Violation> {
        for (digest, book) in &self.state.statements {
            let name = || digest.to_string();
            let voting =
                matches!(book.stage, StatementStage::Waiting | StatementStage::Voting { .. });
            let pending = matches!(book.stage, StatementStage::Pending { .. });
            check(
                self.state.voting.contains(digest) == voting
                    && self.state.pending.contains(digest) == pending,
                "statements are indexed by stage",
                name,
            )?;
            for (epoch, round) in &book.rounds {
                let Some(keys) = self.state.epochs.get(epoch) else {
                    return check(false, "votes belong to a known epoch", name);
                };
                let mut seen = BTreeSet::new();
                for vote in round.tally.votes() {
                    check(seen.insert(vote.operator()), "no stake counts twice", name)?;
                    let member = keys.table().index_of(vote.operator());
                    check(
                        member.is_some() && vote.vote().table == keys.table().digest(),
                        "nobody outside the epoch counts",
                        name,
                    )?;
                }
                let current = matches!(
                    book.stage,
                    StatementStage::Voting { epoch: at } | StatementStage::Pending { epoch: at, .. }
                        if at == *epoch
                );
                let excluded = self.state.excluded_from(*epoch);
                let counts = round.tally.counted().any(|vote| excluded.contains(vote.member()));
                check(!current || !counts, "nobody who is excluded counts", name)?;
                let claimed = round.tally.outcome();
                let quorum = |v| is_quorum(round.tally.signed(v), keys.table().total());
                check(
                    claimed.is_none_or(quorum),
                    "no verdict without two thirds of one epoch",
                    name,
                )?;
            }
        }
        Ok(())
    }

    fn check_batches(&self) -> Result<(), Violation> {
        for (root, book) in &self.state.batches {
            let name = || root.to_string();
            let open = book.stage == BatchStage::Open;
            check(
                self.state.open_batches.contains(root) == open,
                "open batches are indexed",
                name,
            )?;
            let excluded = self.state.excluded_from(book.epoch);
            check(
                !open || book.tally.signers().intersection(&excluded).is_empty(),
                "nobody who is excluded attests",
                name,
            )?;
            for leaf in book.batch.leaves() {
                let statement = self.state.statements.get(&leaf.statement);
                let raced = self.state.entry_of(&leaf.statement).is_some();
                check(
                    leaf.verdict == Verdict::Valid || raced || statement.is_none(),
                    "only valid statements and those of races are batched",
                    name,
                )?;
                let quorum = statement
                    .and_then(|statement| statement.rounds.get(&book.epoch))
                    .and_then(|round| round.tally.outcome());
                // An exclusion takes a quorum back; what was attested before it stays as it was. So
                // does what was attested of statements that are forgotten by now.
                let before = !open && (!excluded.is_empty() || statement.is_none());
                check(
                    quorum == Some(leaf.verdict) || before,
                    "a batch takes only statements with a vote quorum of its epoch",
                    name,
                )?;
            }
        }
        Ok(())
    }

    fn check_certificates(&self) -> Result<(), Violation> {
        for (id, book) in &self.state.certificates {
            let name = || id.to_string();
            check(book.certificate.id() == *id, "a certificate has its own id", name)?;
            check(
                self.state.posting.contains(id) != book.is_over(),
                "what is to be posted is indexed",
                name,
            )?;
            let Some(keys) = self.state.epochs.get(&book.certificate.epoch) else {
                return check(false, "a certificate belongs to a known epoch", name);
            };
            let absent: BTreeSet<_> = book.certificate.non_signers.iter().copied().collect();
            let signed = keys.table().indices().filter(|index| !absent.contains(index)).collect();
            check(
                is_quorum(keys.table().stake_of(&signed), keys.table().total()),
                "no certificate without two thirds of one epoch",
                name,
            )?;
        }
        for job in self.state.jobs.values() {
            let id = match &job.state {
                JobState::Certified { certificate }
                | JobState::Submitted { certificate, .. }
                | JobState::Settled { certificate, .. } => certificate,
                _ => continue,
            };
            let statement = job.statement;
            let covers = self.state.certificates.get(id).is_some_and(|book| {
                book.statements.iter().any(|(digest, _)| Some(*digest) == statement)
            });
            check(covers, "a certified job's statement is in its certificate", || {
                job.id.to_string()
            })?;
        }
        Ok(())
    }

    /// A race's entries are revealed statements of one prover each, and end with their round.
    fn check_races(&self) -> Result<(), Violation> {
        let state = &self.state;
        let racing = state.jobs.values().filter(|job| job.state.kind() == JobStateKind::Racing);
        let racing: BTreeSet<JobId> = racing.map(|job| job.id).collect();
        let indexed = state.races.racing().collect::<BTreeSet<_>>() == racing;
        check(indexed, "jobs that are raced for are indexed", String::new)?;
        for (id, book) in state.races.books() {
            let name = || id.to_string();
            let job = state.jobs.get(&id);
            check(job.is_some_and(|job| is_race(&job.spec)), "a round is of a known race", name)?;
            check(book.rounds.len() <= usize::from(RACE_ROUNDS_MAX), "rounds are bounded", name)?;
            let over = self.is_over(&id);
            let newest = book.newest().map(|round| round.opened.number);
            for (number, round) in &book.rounds {
                let open = round.winners.is_none();
                check(!open || Some(*number) == newest, "only the newest round is open", name)?;
                let few = round.entries.len() <= RACE_COMMITMENTS_MAX;
                check(few, "entries of a round are bounded", name)?;
                for (prover, entry) in &round.entries {
                    self.check_entry(*prover, entry, open && !over)?;
                }
            }
        }
        Ok(())
    }

    fn check_entry(&self, prover: Address, entry: &RaceEntry, open: bool) -> Result<(), Violation> {
        let name = || format!("{} of {prover}", entry.statement);
        let book = self.state.statements.get(&entry.statement);
        let own = book.is_some_and(|book| {
            book.opened.records.iter().all(|record| record.prover == prover)
                && self.state.entry_of(&entry.statement).is_some()
        });
        match &entry.stage {
            EntryStage::Revealed | EntryStage::Uploading { .. } => {
                check(open, "nobody waits for proofs of a round that is over", name)?;
                check(book.is_none(), "nothing is voted on before its proofs are here", name)
            }
            EntryStage::Judging => {
                check(open, "nobody votes on an entry of a round that is over", name)?;
                check(own, "every record of an entry is its prover's", name)
            }
            EntryStage::Certified { certificate, verdict } => {
                check(own, "every record of an entry is its prover's", name)?;
                let certified = self.state.certificates.get(certificate);
                let leaf = BatchLeaf { statement: entry.statement, verdict: *verdict };
                let holds = certified.is_some_and(|book| book.certificate.leaves.contains(&leaf));
                check(holds, "a certified entry's verdict is in its certificate", name)
            }
            EntryStage::Closed { .. } => Ok(()),
        }
    }

    /// Nothing is kept that no known job, vote or epoch is the reason for.
    fn check_kept(&self) -> Result<(), Violation> {
        let state = &self.state;
        let mut owned = BTreeSet::new();
        let mut streams: BTreeMap<(Address, u64), u64> = BTreeMap::new();
        for job in state.jobs.values() {
            owned.extend(job.statements.iter().copied());
            if job.spec.stream > 0 {
                *streams.entry((job.spec.requester, job.spec.stream)).or_default() += 1;
            }
        }
        for (id, book) in &state.evidence {
            check(!state.jobs.contains_key(id), "a job is known or forgotten", || id.to_string())?;
            owned.extend(book.statements.iter().copied());
        }
        let none = String::new;
        let known: BTreeSet<_> = state.statements.keys().copied().collect();
        check(owned == known, "every vote belongs to a known job or is evidence", none)?;
        let counted = state.streams.iter().map(|(key, book)| (*key, book.jobs)).collect();
        check(streams == counted, "streams are known as long as their jobs", none)?;
        let mut rounds: BTreeMap<_, u64> = BTreeMap::new();
        for epoch in state.statements.values().flat_map(|book| book.rounds.keys()) {
            *rounds.entry(*epoch).or_default() += 1;
        }
        check(rounds == state.rounds_in, "rounds are counted per epoch", none)?;
        for (root, book) in &state.batches {
            let mut leaves = book.batch.leaves().iter();
            let kept = leaves.any(|leaf| state.statements.contains_key(&leaf.statement));
            check(kept, "a batch is kept for one of its statements", || root.to_string())?;
        }
        for (id, book) in &state.certificates {
            let kept = book.statements.iter().any(|(_, job)| state.jobs.contains_key(job));
            check(kept, "a certificate is kept for one of its jobs", || id.to_string())?;
        }
        for (digest, book) in &state.blobs {
            let known = book.users.iter().all(|job| state.jobs.contains_key(job));
            check(known, "a blob's users are known", || digest.to_string())?;
        }
        Ok(())
    }

    /// Verifies every certificate in full: signatures too. Slow.
    ///
    /// # Errors
    /// When one does not verify against its own epoch's table.
    pub fn check_signatures(&self) -> Result<(), Violation> {
        for (id, book) in &self.state.certificates {
            let Some(keys) = self.state.epochs.get(&book.certificate.epoch) else { continue };
            let verified = book.certificate.verify(keys.table(), TrustedEpoch::NotAnchored);
            check(verified.is_ok(), "a certificate verifies", || id.to_string())?;
        }
        Ok(())
    }

    fn check_provers(&self) -> Result<(), Violation> {
        for (prover, session) in &self.live.provers {
            let name = || prover.to_string();
            check(
                self.load(prover) <= session.capabilities.slots.max(self.load_floor(prover)),
                "no prover holds more than its slots",
                name,
            )?;
        }
        self.check_workforce()?;
        for prover in self.state.running.keys() {
            check(self.live.heard.contains_key(prover), "every lease holder is watched", || {
                prover.to_string()
            })?;
        }
        Ok(())
    }

    /// Compares the indexes over connected provers with the provers.
    fn check_workforce(&self) -> Result<(), Violation> {
        let mut places = BTreeMap::<ProgramId, usize>::new();
        let mut offers = BTreeMap::<ProgramId, Offers>::new();
        for (prover, session) in &self.live.provers {
            let name = || prover.to_string();
            for program in session.programs() {
                offers.entry(program).or_default().add(session.capabilities.memory_bytes);
            }
            for (program, place) in &session.indexed {
                *places.entry(*program).or_default() += 1;
                let free = self.live.free.get(program);
                let holds = free.is_some_and(|free| free.holds(*prover, *place));
                check(
                    holds && session.offers(program),
                    "free provers offer the program that they are indexed under",
                    name,
                )?;
                check(
                    place.memory == self.memory_for_more(prover),
                    "the index knows how much memory a free prover has",
                    name,
                )?;
            }
        }
        let free = self.live.free.iter().map(|(program, free)| (*program, free.len())).collect();
        let in_order = self.live.free.values().all(FreeProvers::is_consistent);
        check(places == free && in_order, "every free prover is connected", String::new)?;
        check(offers == self.live.offers, "offers of connected provers are counted", String::new)
    }

    /// Leases that a prover resumed; it may have come back with fewer slots.
    fn load_floor(&self, prover: &Address) -> u32 {
        let before = self.live.provers.get(prover).map(|session| session.tokens_before);
        let older = self.state.running.get(prover).into_iter().flatten().filter(|task| {
            matches!(
                self.state.task(task).map(|(_, task)| &task.state),
                Ok(TaskState::Leased(lease)) if Some(lease.token.get()) <= before
            )
        });
        u32::try_from(older.count()).unwrap_or(u32::MAX)
    }

    /// Whether a job ended; for tests and `doctor`.
    #[must_use]
    pub fn is_over(&self, job: &JobId) -> bool {
        self.state.jobs.get(job).is_some_and(|job| job.state.kind().is_terminal())
    }
}
