//! Facts about races.

use std::collections::BTreeSet;

use crate::ids::{Address, BlobDigest, CertificateId, JobId, StatementDigest};
use crate::network::fact::{Change, EntryClose};
use crate::network::input::ChainEvent;
use crate::race::{RACE_COMMITMENTS_MAX, RaceRound, is_race};
use crate::statement::{OpenedStatement, Verdict};
use crate::units::UnixMillis;

use super::race::{ENTRY_EDGES, EntryStage, RaceEntry, RoundBook};
use super::{EvolveError, JobState, JobStateKind, State, StatementBook, StatementStage, Touched};

const NO_ENTRY: EvolveError = EvolveError::Contradiction { what: "no such entry in the race" };

impl State {
    pub(super) fn evolve_race(
        &mut self,
        at: UnixMillis,
        change: &Change,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let job = match change {
            Change::RaceRoundOpened { job, round } => {
                self.round_opened(at, *job, round)?;
                job
            }
            Change::RaceRevealed { job, round, prover, statement } => {
                self.race_revealed(*job, *round, *prover, *statement)?;
                job
            }
            Change::RaceEntered { job, round, prover, opened } => {
                self.race_entered(*job, *round, *prover, opened)?;
                job
            }
            Change::RaceEntryOpened { job, round, prover } => {
                self.race_entry_opened(*job, *round, *prover)?;
                job
            }
            Change::RaceEntryClosed { job, round, prover, reason } => {
                self.close_entry(job, *round, *prover, *reason)?;
                let text = format!("round {round}: the entry of {prover} is closed: {reason}");
                self.job_mut(job)?.remember(at, text);
                job
            }
            Change::RaceRoundClosed { job, round, winners } => {
                self.round_closed(at, *job, *round, *winners)?;
                job
            }
            Change::RaceSettled { job, statement, event } => {
                self.race_settled(at, *job, *statement, *event, touched)?;
                job
            }
            _ => return Err(EvolveError::Contradiction { what: "not a fact about races" }),
        };
        touched.insert(*job);
        Ok(())
    }

    /// Whether a job is raced for.
    #[must_use]
    pub fn is_race(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|job| is_race(&job.spec))
    }

    /// Whose entry of which round a statement is, if it is one.
    #[must_use]
    pub fn entry_of(&self, statement: &StatementDigest) -> Option<(JobId, u8, Address)> {
        let opened = &self.statements.get(statement)?.opened;
        let job = opened.job();
        let round = u8::try_from(opened.statement.attempt.get()).ok()?;
        let prover = opened.records.first()?.prover;
        let entry = self.races.books.get(&job)?.rounds.get(&round)?.entries.get(&prover)?;
        (entry.statement == *statement).then_some((job, round, prover))
    }

    fn round_mut_of(&mut self, job: &JobId, round: u8) -> Result<&mut RoundBook, EvolveError> {
        let book = self.races.books.get_mut(job);
        book.and_then(|book| book.rounds.get_mut(&round))
            .ok_or(EvolveError::Contradiction { what: "no such round of the race" })
    }

    fn move_entry(
        &mut self,
        job: &JobId,
        round: u8,
        prover: Address,
        next: EntryStage,
    ) -> Result<EntryStage, EvolveError> {
        let entry = self.round_mut_of(job, round)?.entries.get_mut(&prover).ok_or(NO_ENTRY)?;
        if !ENTRY_EDGES.contains(&(entry.stage.kind(), next.kind())) {
            return Err(EvolveError::Contradiction { what: "an entry moved outside its table" });
        }
        Ok(std::mem::replace(&mut entry.stage, next))
    }

    fn round_opened(
        &mut self,
        at: UnixMillis,
        id: JobId,
        round: &RaceRound,
    ) -> Result<(), EvolveError> {
        let job = self.job_mut(&id)?;
        if !is_race(&job.spec) || job.state.kind().is_terminal() {
            return Err(EvolveError::Contradiction { what: "a round of no open race" });
        }
        let (number, until) = (round.number, round.commit_until);
        job.remember(at, format!("round {number} takes commitments until {until}"));
        let book = self.races.books.entry(id).or_default();
        if book.rounds.keys().any(|known| *known >= number) || book.open().is_some() {
            return Err(EvolveError::Repeated { what: "opening a round" });
        }
        let opened = RoundBook { opened: *round, entries: Default::default(), winners: None };
        book.rounds.insert(number, opened);
        Ok(())
    }

    fn race_revealed(
        &mut self,
        job: JobId,
        round: u8,
        prover: Address,
        statement: StatementDigest,
    ) -> Result<(), EvolveError> {
        let book = self.round_mut_of(&job, round)?;
        if book.winners.is_some() || book.entries.len() >= RACE_COMMITMENTS_MAX {
            return Err(EvolveError::Contradiction { what: "a reveal that has no place" });
        }
        let entry = RaceEntry { statement, proofs: Vec::new(), stage: EntryStage::Revealed };
        if book.entries.insert(prover, entry).is_some() {
            return Err(EvolveError::Repeated { what: "revealing" });
        }
        Ok(())
    }

    fn race_entered(
        &mut self,
        job: JobId,
        round: u8,
        prover: Address,
        opened: &OpenedStatement,
    ) -> Result<(), EvolveError> {
        let digest = opened.statement.digest();
        let next = EntryStage::Uploading { opened: opened.clone() };
        self.move_entry(&job, round, prover, next)?;
        let entry = self.round_mut_of(&job, round)?.entries.get_mut(&prover).ok_or(NO_ENTRY)?;
        if entry.statement != digest || opened.job() != job {
            return Err(EvolveError::Contradiction { what: "an entry that was not revealed" });
        }
        let proofs: BTreeSet<BlobDigest> = opened.records.iter().map(|r| r.proof).collect();
        entry.proofs = proofs.iter().copied().collect();
        for proof in proofs {
            if self.blobs.contains_key(&proof) {
                self.use_blob(&proof, job);
            } else {
                self.awaiting.entry(proof).or_default().insert(job);
            }
        }
        Ok(())
    }

    /// No entry of the job waits for these proofs any more, but those that other entries wait for.
    fn await_no_more(&mut self, job: &JobId, proofs: &[BlobDigest]) {
        let others: BTreeSet<BlobDigest> = self
            .races
            .books
            .get(job)
            .into_iter()
            .flat_map(|book| book.entries())
            .filter(|(_, _, entry)| matches!(entry.stage, EntryStage::Uploading { .. }))
            .flat_map(|(_, _, entry)| entry.proofs.iter().copied())
            .collect();
        for proof in proofs.iter().filter(|proof| !others.contains(proof)) {
            if let Some(waiting) = self.awaiting.get_mut(proof) {
                waiting.remove(job);
                if waiting.is_empty() {
                    self.awaiting.remove(proof);
                }
            }
        }
    }

    fn race_entry_opened(
        &mut self,
        id: JobId,
        round: u8,
        prover: Address,
    ) -> Result<(), EvolveError> {
        let left = self.move_entry(&id, round, prover, EntryStage::Judging)?;
        let EntryStage::Uploading { opened } = left else {
            return Err(EvolveError::Contradiction { what: "an entry without its records" });
        };
        let digest = opened.statement.digest();
        let proofs: Vec<BlobDigest> = opened.records.iter().map(|record| record.proof).collect();
        let book = StatementBook {
            opened,
            rounds: Default::default(),
            stage: StatementStage::Waiting,
            batches: BTreeSet::new(),
            certificates: BTreeSet::new(),
        };
        if self.statements.insert(digest, book).is_some() {
            return Err(EvolveError::Repeated { what: "opening a statement" });
        }
        self.job_mut(&id)?.statements.push(digest);
        self.voting.insert(digest);
        self.await_no_more(&id, &proofs);
        Ok(())
    }

    fn close_entry(
        &mut self,
        job: &JobId,
        round: u8,
        prover: Address,
        reason: EntryClose,
    ) -> Result<(), EvolveError> {
        self.move_entry(job, round, prover, EntryStage::Closed { reason })?;
        let entry = self.round_mut_of(job, round)?.entries.get(&prover).ok_or(NO_ENTRY)?;
        let (digest, proofs) = (entry.statement, entry.proofs.clone());
        self.await_no_more(job, &proofs);
        self.voting.remove(&digest);
        self.pending.remove(&digest);
        if let Some(book) = self.statements.get_mut(&digest) {
            book.stage = StatementStage::Closed;
        }
        Ok(())
    }

    /// Closes what is still open in a race; certified entries stay what they are.
    fn close_entries(&mut self, job: &JobId, reason: EntryClose) -> Result<(), EvolveError> {
        let book = self.races.books.get(job);
        let open: Vec<(u8, Address)> = book
            .into_iter()
            .flat_map(|book| book.entries())
            .filter(|(_, _, entry)| {
                !matches!(entry.stage, EntryStage::Certified { .. } | EntryStage::Closed { .. })
            })
            .map(|(round, prover, _)| (round, prover))
            .collect();
        for (round, prover) in open {
            self.close_entry(job, round, prover, reason)?;
        }
        Ok(())
    }

    fn round_closed(
        &mut self,
        at: UnixMillis,
        job: JobId,
        round: u8,
        winners: u32,
    ) -> Result<(), EvolveError> {
        let book = self.round_mut_of(&job, round)?;
        if book.winners.replace(winners).is_some() {
            return Err(EvolveError::Repeated { what: "closing a round" });
        }
        self.close_entries(&job, EntryClose::RoundOver)?;
        let text = format!("round {round} is over; {winners} entries won");
        self.job_mut(&job)?.remember(at, text);
        Ok(())
    }

    fn race_settled(
        &mut self,
        at: UnixMillis,
        job: JobId,
        statement: StatementDigest,
        event: ChainEvent,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let certificate = match self.statements.get(&statement).map(|book| book.stage) {
            Some(StatementStage::Certified { certificate }) => Some(certificate),
            _ => None,
        };
        let next = JobState::RaceSettled { statement, certificate, event };
        let text = format!("settled in block {}; the winners share the fee", event.block);
        self.move_job(&job, next, at, text, touched)?;
        if self.statements.contains_key(&statement) {
            // Its certificate is what is asked for from now on.
            self.job_mut(&job)?.statement = Some(statement);
        }
        self.end_race(&job)
    }

    /// A raced job ended: nothing of it is waited for or voted on any more.
    pub(super) fn end_race(&mut self, job: &JobId) -> Result<(), EvolveError> {
        self.races.racing.remove(job);
        self.close_entries(job, EntryClose::JobOver)
    }

    /// A statement of a race is in a certificate; its job goes on.
    pub(super) fn entry_certified(
        &mut self,
        at: UnixMillis,
        statement: StatementDigest,
        verdict: Verdict,
        certificate: CertificateId,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let (job, round, prover) = self.entry_of(&statement).ok_or(NO_ENTRY)?;
        let next = EntryStage::Certified { certificate, verdict };
        self.move_entry(&job, round, prover, next)?;
        let text =
            format!("round {round}: the entry of {prover} is {verdict}, certificate {certificate}");
        self.job_mut(&job)?.remember(at, text);
        touched.insert(job);
        Ok(())
    }

    /// A certificate with a race's statement is of no use: while the round is open the statement is
    /// voted on again.
    pub(super) fn entry_uncertified(
        &mut self,
        statement: StatementDigest,
        certificate: CertificateId,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let Some((job, round, prover)) = self.entry_of(&statement) else { return Ok(()) };
        let racing = self.job(&job)?.state.kind() == JobStateKind::Racing;
        let book = self.round_mut_of(&job, round)?;
        let open = book.winners.is_none();
        let held = book.entries.get(&prover).is_some_and(|entry| {
            matches!(entry.stage, EntryStage::Certified { certificate: known, .. } if known == certificate)
        });
        if !(racing && open && held) {
            return Ok(());
        }
        self.move_entry(&job, round, prover, EntryStage::Judging)?;
        self.statement_mut(&statement)?.stage = StatementStage::Waiting;
        self.voting.insert(statement);
        touched.insert(job);
        Ok(())
    }
}
