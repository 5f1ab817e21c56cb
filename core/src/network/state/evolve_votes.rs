//! Facts about statements, votes, batches and certificates.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{Batch, BatchLeaf};
use crate::certificate::Certificate;
use crate::epoch::{EpochKeys, MemberSet};
use crate::ids::{Address, BatchRoot, CertificateId, ChainContract, EpochNumber, StatementDigest};
use crate::network::fact::{BatchClose, Change};
use crate::network::input::{InvalidDetail, SubmissionSubject};
use crate::quorum::{AttestationTally, Tally};
use crate::statement::{OpenedStatement, Verdict};
use crate::units::UnixMillis;
use crate::vote::{Attestation, SignedVote, VerifiedAttestation, VerifiedVote};

use super::{
    BatchBook, BatchStage, CertificateBook, EvolveError, JobState, Round, State, StatementBook,
    StatementStage, Submission, Touched,
};

pub(super) fn refused(what: &'static str, error: impl std::fmt::Display) -> EvolveError {
    EvolveError::Refused { what, source_text: error.to_string() }
}

impl State {
    pub(super) fn evolve_vote(
        &mut self,
        at: UnixMillis,
        change: &Change,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        match change {
            Change::StatementOpened { digest, opened } => {
                self.statement_opened(at, *digest, opened, touched)
            }
            Change::VotingOpened { statement, epoch } => {
                self.voting_opened(at, *statement, *epoch, touched)
            }
            Change::VoteRecorded { vote, detail } => self.vote_recorded(vote, detail.as_ref()),
            Change::Abstained { operator, epoch, statement, reason } => {
                self.abstained(*operator, *epoch, *statement, reason)
            }
            Change::QuorumReached { statement, epoch, verdict } => {
                self.quorum_reached(at, *statement, *epoch, *verdict, touched)
            }
            Change::EpochRecorded { keys } => self.epoch_recorded(at, keys),
            Change::MembersExcluded { epoch, members } => {
                self.members_excluded(*epoch, members, touched)
            }
            Change::BatchOpened { root, target, epoch, statements, round } => {
                self.batch_opened(at, *root, (*target, *epoch, *round), statements)
            }
            Change::AttestationRecorded { attestation } => self.attested(attestation),
            Change::AttestationRefused { operator, root, positions } => {
                self.attestation_refused(*operator, *root, positions)
            }
            Change::BatchClosed { root, close } => self.batch_closed(at, *root, close),
            Change::BatchCertified { root, id, certificate } => {
                self.batch_certified(at, *root, *id, certificate, touched)
            }
            Change::CertificateDropped { id, reason } => {
                self.certificate_dropped(at, *id, reason, touched)
            }
            Change::SubmissionMoved { chain: _, subject, update } => match subject {
                SubmissionSubject::Certificate(id) => {
                    self.certificate_moved(at, *id, update, touched)
                }
                SubmissionSubject::Settle(job) => self.settlement_moved(at, *job, update, touched),
            },
            _ => Err(EvolveError::Contradiction { what: "not a fact about votes" }),
        }
    }

    pub(super) fn statement_mut(
        &mut self,
        digest: &StatementDigest,
    ) -> Result<&mut StatementBook, EvolveError> {
        self.statements.get_mut(digest).ok_or(EvolveError::UnknownStatement(*digest))
    }

    /// A statement.
    ///
    /// # Errors
    /// When there is none of this digest.
    pub fn statement(&self, digest: &StatementDigest) -> Result<&StatementBook, EvolveError> {
        self.statements.get(digest).ok_or(EvolveError::UnknownStatement(*digest))
    }

    /// An epoch's table and keys.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn epoch(&self, epoch: EpochNumber) -> Result<&EpochKeys, EvolveError> {
        self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))
    }

    fn statement_opened(
        &mut self,
        at: UnixMillis,
        digest: StatementDigest,
        opened: &OpenedStatement,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        if digest != opened.statement.digest() {
            return Err(EvolveError::Contradiction { what: "a statement has another digest" });
        }
        let id = opened.job();
        let attempt = opened.statement.attempt;
        let (opened, stage) = (opened.clone(), StatementStage::Waiting);
        let book = StatementBook {
            opened,
            rounds: BTreeMap::new(),
            stage,
            batches: BTreeSet::new(),
            certificates: BTreeSet::new(),
        };
        if self.statements.insert(digest, book).is_some() {
            return Err(EvolveError::Repeated { what: "opening a statement" });
        }
        let state = JobState::Verifying { statement: digest };
        let text = format!("all segments proved; statement {attempt} goes to the verifiers");
        self.move_job(&id, state, at, text, touched)?;
        let job = self.job_mut(&id)?;
        job.statement = Some(digest);
        job.statements.push(digest);
        self.voting.insert(digest);
        Ok(())
    }

    fn voting_opened(
        &mut self,
        at: UnixMillis,
        digest: StatementDigest,
        epoch: EpochNumber,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let excluded = self.excluded_from(epoch);
        let table = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?.table();
        let book = self.statements.get_mut(&digest).ok_or(EvolveError::UnknownStatement(digest))?;
        book.stage = StatementStage::Voting { epoch };
        let round = book.rounds.entry(epoch).or_insert_with(|| {
            *self.rounds_in.entry(epoch).or_default() += 1;
            Round {
                opened_at: at,
                tally: Tally::new(table, digest),
                details: BTreeMap::new(),
                abstentions: BTreeMap::new(),
            }
        });
        round.opened_at = at;
        // A round that is opened again may have been closed when somebody was excluded.
        let done = round.tally.exclude(table, &excluded);
        done.map_err(|error| refused("a round of another epoch", error))?;
        let job = book.opened.job();
        self.pending.remove(&digest);
        self.voting.insert(digest);
        self.job_resumed(at, &job, &format!("voting opened in epoch {epoch}"), touched)?;
        touched.insert(job);
        Ok(())
    }

    pub(super) fn round_mut(
        &mut self,
        digest: &StatementDigest,
        epoch: EpochNumber,
    ) -> Result<&mut Round, EvolveError> {
        self.statement_mut(digest)?.rounds.get_mut(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))
    }

    /// What the same key voted otherwise on a statement, in whichever epoch: the first word stands,
    /// and the second is evidence.
    pub(in crate::network) fn said_otherwise(
        &self,
        digest: &StatementDigest,
        (epoch, operator): (EpochNumber, Address),
        verdict: Verdict,
    ) -> Option<SignedVote> {
        let member = |epoch: &EpochNumber| {
            let table = self.epochs.get(epoch)?.table();
            let index = table.index_of(operator)?;
            Some((index, table.member(index)?.key))
        };
        let (_, key) = member(&epoch)?;
        let votes = self.statements.get(digest)?.rounds.iter().flat_map(|(epoch, round)| {
            let index = member(epoch).filter(|(_, then)| *then == key).map(|(index, _)| index);
            let counted = index.and_then(|index| round.tally.vote_of(index));
            // One that came too late is a word too.
            let sealed = index.and_then(|_| self.sealed.round(*digest, *epoch));
            counted.into_iter().chain(sealed.and_then(|sealed| sealed.late.get(&operator)))
        });
        let mut otherwise = votes.filter(|vote| vote.vote().verdict != verdict);
        otherwise.next().map(|vote| *vote.signed())
    }

    fn vote_recorded(
        &mut self,
        vote: &VerifiedVote,
        detail: Option<&InvalidDetail>,
    ) -> Result<(), EvolveError> {
        let cast = *vote.vote();
        let whose = (cast.epoch, vote.operator());
        let first = self.said_otherwise(&cast.statement, whose, cast.verdict);
        let round = self.round_mut(&cast.statement, cast.epoch)?;
        if let Some(first) = first {
            let kept = round.tally.contradict(first, vote);
            return kept.map_err(|error| refused("a vote is no evidence", error));
        }
        round.tally.record(*vote).map_err(|error| refused("a vote does not count", error))?;
        round.abstentions.remove(&vote.operator());
        if let (Some(detail), Verdict::Invalid) = (detail, cast.verdict) {
            round.details.entry(vote.operator()).or_insert_with(|| detail.clone());
        }
        self.end_complete_reveals(cast.statement, cast.epoch);
        Ok(())
    }

    fn abstained(
        &mut self,
        operator: Address,
        epoch: EpochNumber,
        digest: StatementDigest,
        reason: &str,
    ) -> Result<(), EvolveError> {
        let keys = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?;
        let round = self
            .statements
            .get_mut(&digest)
            .ok_or(EvolveError::UnknownStatement(digest))?
            .rounds
            .get_mut(&epoch)
            .ok_or(EvolveError::UnknownEpoch(epoch))?;
        let changed = round.tally.abstain(keys.table(), operator);
        if changed.map_err(|error| refused("an abstention does not count", error))? {
            round.abstentions.insert(operator, reason.to_owned());
        }
        Ok(())
    }

    fn quorum_reached(
        &mut self,
        at: UnixMillis,
        digest: StatementDigest,
        epoch: EpochNumber,
        verdict: Verdict,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let book = self.statement_mut(&digest)?;
        let decided = book.rounds.get(&epoch).and_then(|round| round.tally.outcome());
        if decided != Some(verdict) {
            return Err(EvolveError::Contradiction { what: "a quorum without its votes" });
        }
        let job = book.opened.job();
        // In a race either verdict is certified: an invalid one is what takes the bond.
        let certified = verdict == Verdict::Valid || self.is_race(&job);
        self.statement_mut(&digest)?.stage = if certified {
            StatementStage::Pending { epoch, since: at, rounds: 0 }
        } else {
            StatementStage::Refused
        };
        self.voting.remove(&digest);
        if certified {
            self.pending.insert(digest);
        }
        touched.insert(job);
        self.job_resumed(at, &job, "a quorum was reached", touched)
    }

    fn epoch_recorded(&mut self, at: UnixMillis, keys: &EpochKeys) -> Result<(), EvolveError> {
        let number = keys.table().epoch();
        if self.epochs.insert(number, keys.clone()).is_some() {
            return Err(EvolveError::Repeated { what: "recording an epoch" });
        }
        self.epoch_times.insert(number, at);
        Ok(())
    }

    /// Members of an epoch that no longer count.
    #[must_use]
    pub fn excluded_from(&self, epoch: EpochNumber) -> MemberSet {
        self.excluded.get(&epoch).copied().unwrap_or_default()
    }

    /// Takes members out of every count that is still open. What is decided for good (certificates,
    /// refused statements) stays as it is.
    fn members_excluded(
        &mut self,
        epoch: EpochNumber,
        members: &MemberSet,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        let keys = self.epochs.get(&epoch).ok_or(EvolveError::UnknownEpoch(epoch))?;
        let table = keys.table();
        let all = self.excluded.entry(epoch).or_default();
        *all = all.union(members);
        let mut open: Vec<StatementDigest> =
            self.voting.iter().chain(&self.pending).copied().collect();
        for root in &self.open_batches {
            let book = self.batches.get_mut(root).ok_or(EvolveError::UnknownBatch(*root))?;
            open.extend(book.batch.leaves().iter().map(|leaf| leaf.statement));
            if book.epoch == epoch {
                let done = book.tally.exclude(table, members);
                done.map_err(|error| refused("a batch of another epoch", error))?;
                book.common = book.common.difference(members);
            }
        }
        for digest in open {
            let book =
                self.statements.get_mut(&digest).ok_or(EvolveError::UnknownStatement(digest))?;
            let Some(round) = book.rounds.get_mut(&epoch) else { continue };
            let done = round.tally.exclude(table, members);
            done.map_err(|error| refused("a round of another epoch", error))?;
            touched.insert(book.opened.job());
        }
        Ok(())
    }

    fn batch_opened(
        &mut self,
        at: UnixMillis,
        root: BatchRoot,
        (target, epoch, round): (ChainContract, EpochNumber, u32),
        statements: &[StatementDigest],
    ) -> Result<(), EvolveError> {
        let mut common: Option<MemberSet> = None;
        let mut leaves = Vec::with_capacity(statements.len());
        for digest in statements {
            let race = self.is_race(&self.statement(digest)?.opened.job());
            let book = self.statement_mut(digest)?;
            let quorum = book.rounds.get(&epoch).and_then(|round| round.tally.quorum());
            let certified = |verdict| verdict == Verdict::Valid || race;
            let Some(quorum) = quorum.filter(|quorum| certified(quorum.verdict())) else {
                return Err(EvolveError::Contradiction { what: "a batch without a vote quorum" });
            };
            let verdict = quorum.verdict();
            if !matches!(book.stage, StatementStage::Pending { .. }) {
                return Err(EvolveError::Repeated { what: "batching a statement" });
            }
            book.stage = StatementStage::Batched { root };
            book.batches.insert(root);
            let voters = *quorum.voters();
            common = Some(common.map_or(voters, |common| common.intersection(&voters)));
            leaves.push(BatchLeaf { statement: *digest, verdict });
        }
        let batch = Batch::new(leaves).map_err(|error| refused("no batch", error))?;
        let table = self.epoch(epoch)?.table();
        let count = batch.count();
        let named = Attestation { target, epoch, table: table.digest(), root, count };
        let mut tally = AttestationTally::new(table, named)
            .map_err(|error| refused("a batch of another epoch", error))?;
        tally
            .exclude(table, &self.excluded_from(epoch))
            .map_err(|error| refused("a batch of another epoch", error))?;
        if batch.root() != root {
            return Err(EvolveError::Contradiction { what: "a batch has another root" });
        }
        for digest in statements {
            self.pending.remove(digest);
        }
        // What an earlier round of the same leaves proved against somebody stays.
        let mut contradicted_before = BTreeMap::new();
        if let Some(earlier) = self.batches.remove(&root) {
            contradicted_before = earlier.contradicted_before;
            for (operator, attestation) in earlier.contradicting {
                contradicted_before.entry(operator).or_insert(attestation);
            }
        }
        let book = BatchBook {
            batch,
            target,
            epoch,
            common: common.unwrap_or_default(),
            tally,
            answered: MemberSet::EMPTY,
            refused: BTreeMap::new(),
            contradicting: BTreeMap::new(),
            contradicted_before,
            opened_at: at,
            round,
            stage: BatchStage::Open,
        };
        self.batches.insert(root, book);
        self.open_batches.insert(root);
        Ok(())
    }

    /// Whether somebody voted otherwise on a leaf of a batch, in whichever epoch.
    pub(in crate::network) fn contradicts_itself(
        &self,
        book: &BatchBook,
        operator: Address,
    ) -> bool {
        let whose = (book.epoch, operator);
        let mut leaves = book.batch.leaves().iter();
        leaves.any(|leaf| self.said_otherwise(&leaf.statement, whose, leaf.verdict).is_some())
    }

    fn attested(&mut self, attestation: &VerifiedAttestation) -> Result<(), EvolveError> {
        let root = attestation.attestation().root;
        let operator = attestation.operator();
        let book = self.batches.get(&root).ok_or(EvolveError::UnknownBatch(root))?;
        let contradicts = self.contradicts_itself(book, operator);
        let book = self.batches.get_mut(&root).ok_or(EvolveError::UnknownBatch(root))?;
        let keys = self.epochs.get(&book.epoch).ok_or(EvolveError::UnknownEpoch(book.epoch))?;
        let done = if contradicts {
            book.contradicting.insert(operator, *attestation);
            book.tally.decline(keys.table(), operator).map(|_| ())
        } else {
            book.tally.record(*attestation).map(|_| ())
        };
        done.map_err(|error| refused("an attestation does not count", error))?;
        book.answered.insert(attestation.member());
        Ok(())
    }

    fn attestation_refused(
        &mut self,
        operator: Address,
        root: BatchRoot,
        positions: &[u32],
    ) -> Result<(), EvolveError> {
        let book = self.batches.get_mut(&root).ok_or(EvolveError::UnknownBatch(root))?;
        let keys = self.epochs.get(&book.epoch).ok_or(EvolveError::UnknownEpoch(book.epoch))?;
        let table = keys.table();
        book.tally
            .decline(table, operator)
            .map_err(|error| refused("a refusal does not count", error))?;
        book.refused.insert(operator, positions.to_vec());
        if let Some(index) = table.index_of(operator) {
            book.answered.insert(index);
        }
        Ok(())
    }

    fn batch_closed(
        &mut self,
        at: UnixMillis,
        root: BatchRoot,
        close: &BatchClose,
    ) -> Result<(), EvolveError> {
        if !self.open_batches.remove(&root) {
            return Err(EvolveError::UnknownBatch(root));
        }
        let book = self.batches.get_mut(&root).ok_or(EvolveError::UnknownBatch(root))?;
        book.stage = BatchStage::Closed(close.clone());
        let (epoch, round) = (book.epoch, book.round);
        let leaves = book.batch.leaves().to_vec();
        let rounds = if leaves.len() == 1 { round } else { 0 };
        for leaf in leaves {
            let book = self.statement_mut(&leaf.statement)?;
            // A statement whose job ended meanwhile stays closed.
            if book.stage == (StatementStage::Batched { root }) {
                book.stage = StatementStage::Pending { epoch, since: at, rounds };
                self.pending.insert(leaf.statement);
            }
        }
        Ok(())
    }

    fn batch_certified(
        &mut self,
        at: UnixMillis,
        root: BatchRoot,
        id: CertificateId,
        certificate: &Certificate,
        touched: &mut Touched,
    ) -> Result<(), EvolveError> {
        if !self.open_batches.remove(&root) {
            return Err(EvolveError::UnknownBatch(root));
        }
        let excluded = self.excluded_from(certificate.epoch);
        let signs = |index| !certificate.non_signers.contains(&index);
        if excluded.iter().any(signs) {
            return Err(EvolveError::Contradiction { what: "a certificate of an excluded signer" });
        }
        let book = self.batches.get_mut(&root).ok_or(EvolveError::UnknownBatch(root))?;
        book.stage = BatchStage::Certified(id);
        let leaves = book.batch.leaves().to_vec();
        let mut statements = Vec::with_capacity(leaves.len());
        let mut settlements = BTreeMap::new();
        for leaf in leaves {
            let book = self.statement_mut(&leaf.statement)?;
            let job = book.opened.job();
            statements.push((leaf.statement, job));
            if book.stage != (StatementStage::Batched { root }) {
                continue;
            }
            book.stage = StatementStage::Certified { certificate: id };
            book.certificates.insert(id);
            if self.is_race(&job) {
                self.entry_certified(at, leaf.statement, leaf.verdict, id, touched)?;
                continue;
            }
            if self.job(&job)?.is_contract() {
                settlements.insert(job, Submission::owed(at));
            }
            let next = JobState::Certified { certificate: id };
            self.move_job(&job, next, at, format!("certificate {id}"), touched)?;
        }
        let book = CertificateBook {
            certificate: certificate.clone(),
            statements,
            submission: Submission::owed(at),
            settlements,
            certified_at: at,
        };
        self.certificates.insert(id, book);
        self.posting.insert(id);
        Ok(())
    }
}
