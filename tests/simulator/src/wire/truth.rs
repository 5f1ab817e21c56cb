//! What is really so, whatever hostile peers say: held against each decision.

use std::collections::BTreeMap;

use proofgrid_core::ids::{Address, JobId, StatementDigest};
use proofgrid_core::network::{Change, FailReason, JobEnd, State};
use proofgrid_core::statement::{SegmentRecord, Verdict};
use proofgrid_core::vote::VerifiedVote;
use proofgrid_proofs::program::{Binding, Registry};

use super::books::{Books, Broken, fail};
use super::program;
use super::rig::{operator, prover_key};
use super::setup::{Setup, VerifierKind};

/// Who may lie, and how to find out.
pub struct Truth {
    prover: Option<Address>,
    verifier: Option<Address>,
    /// Whether what the hostile verifier opens is not what it committed to.
    opens_nothing: bool,
    registry: Registry,
    /// Statements, and the first of their segments that is not so.
    known: BTreeMap<StatementDigest, Vec<u32>>,
}

impl Truth {
    /// What is known before a run.
    pub fn new(setup: Setup) -> Self {
        Self {
            prover: setup.prover.map(|(index, _)| prover_key(index).address()),
            verifier: setup.verifier.map(|(index, _)| operator(index)),
            opens_nothing: setup.verifier.is_some_and(|(_, kind)| {
                matches!(kind, VerifierKind::Copycat | VerifierKind::Forgetful)
            }),
            registry: program::registry(),
            known: BTreeMap::new(),
        }
    }

    /// Whether a record says what is so. Nobody but an honest prover can be named for a proof of its
    /// own, so only what a hostile one delivered is looked at.
    fn is_so(&self, job: JobId, record: &SegmentRecord, books: &Books, state: &State) -> bool {
        if self.prover != Some(record.prover) {
            return true;
        }
        let binding = Binding {
            job,
            program: program::id(),
            prover: record.prover,
            segment_index: record.index,
            first: record.first,
            count: record.count,
        };
        let spec = state.jobs.get(&job).map(|job| &job.spec);
        let input = spec.and_then(|spec| books.input(&spec.input));
        let values = input.as_deref();
        let values = values.and_then(|input| program::items(input, record.first, record.count));
        let proof = books.hostile_proof(&record.proof);
        let verified = proof.zip(self.registry.get(&program::id()));
        let verified = verified.and_then(|(proof, program)| program.verify(proof, &binding).ok());
        verified.is_some_and(|found| Some(found.public_values.as_slice()) == values)
    }

    /// The segments of a statement that are not so.
    fn lies(&self, statement: &StatementDigest) -> &[u32] {
        self.known.get(statement).map_or(&[], Vec::as_slice)
    }

    /// Holds a decision, the last that is in the state, against what is so.
    pub fn check(&mut self, state: &State, change: &Change, books: &Books) -> Result<(), Broken> {
        let blamed = "an honest prover is not blamed";
        match change {
            Change::StatementOpened { digest, opened } => {
                let job = opened.job();
                let lies = opened.records.iter().filter(|r| !self.is_so(job, r, books, state));
                let lies = lies.map(|record| record.index).collect();
                self.known.insert(*digest, lies);
                Ok(())
            }
            Change::LeaseEnded { task, attempt, end }
            | Change::CandidateDropped { task, attempt, end }
                if end.burns_budget() =>
            {
                let tries = state.task(task).map_or(&[][..], |(_, task)| task.tries.as_slice());
                let found = tries.iter().find(|one| one.attempt == *attempt);
                match found.is_some_and(|one| Some(one.prover) == self.prover) {
                    true => Ok(()),
                    false => fail(blamed, format!("{task}: {end}")),
                }
            }
            Change::SegmentRejected { job, index, prover, .. } if Some(*prover) != self.prover => {
                fail(blamed, format!("segment {index} of {job}"))
            }
            Change::VoteRecorded { vote, .. }
                if Some(vote.operator()) == self.verifier && self.opens_nothing =>
            {
                let rule = "only what opens a commitment of the set is counted";
                fail(rule, vote.vote().statement.to_string())
            }
            Change::VoteRecorded { vote, .. } if !Self::is_in_set(state, vote) => {
                fail("no vote is known before the commit set stands", format!("{vote:?}"))
            }
            Change::VoteRecorded { vote, detail } if Some(vote.operator()) != self.verifier => {
                let (vote, lies) = (vote.vote(), self.lies(&vote.vote().statement));
                let named = detail.as_ref().map(|detail| detail.segment);
                match (vote.verdict, named) {
                    (Verdict::Valid, None) if lies.is_empty() => Ok(()),
                    (Verdict::Invalid, Some(named)) if lies.contains(&named) => Ok(()),
                    _ => fail("an honest verifier finds what is so", format!("{vote:?}, {lies:?}")),
                }
            }
            Change::QuorumReached { statement, verdict, .. } => {
                match (*verdict == Verdict::Valid) == self.lies(statement).is_empty() {
                    true => Ok(()),
                    false => fail("no quorum for what is not so", format!("{statement} {verdict}")),
                }
            }
            Change::BatchCertified { id, .. } => {
                let statements = state.certificates.get(id).map(|book| &book.statements);
                let mut statements = statements.into_iter().flatten();
                match statements.find(|(statement, _)| !self.lies(statement).is_empty()) {
                    None => Ok(()),
                    Some((lie, _)) => fail("no certificate for what is not so", lie.to_string()),
                }
            }
            _ => Ok(()),
        }
    }

    fn is_in_set(state: &State, vote: &VerifiedVote) -> bool {
        let cast = vote.vote();
        let set = state.commit_set(cast.statement, cast.epoch);
        set.is_some_and(|set| set.commitments().iter().any(|(who, _)| *who == vote.operator()))
    }

    /// Whether a job may end like this: only where a hostile prover used its tries up, and each of
    /// them was checked to be its fault.
    pub fn may_end(&self, end: &JobEnd) -> bool {
        let JobEnd::Failed(reason) = end else { return false };
        let is_used_up = match reason {
            FailReason::TaskExhausted { .. } | FailReason::StatementsRefused { .. } => true,
            FailReason::TaskLost { .. } => false,
        };
        is_used_up && self.prover.is_some()
    }

    /// Holds what is kept against members against who is hostile.
    pub fn check_evidence(&self, state: &State) -> Result<(), Broken> {
        let rounds = state.statements.values().flat_map(|book| book.rounds.values());
        let mut accused = rounds.flat_map(|round| round.tally.evidence());
        match accused.find(|one| Some(one.second.operator) != self.verifier) {
            None => Ok(()),
            Some(one) => fail("no honest verifier is accused", one.second.operator.to_string()),
        }
    }

    /// Members against whom there is evidence, once for each statement.
    pub fn accusations(state: &State) -> usize {
        let rounds = state.statements.values().flat_map(|book| book.rounds.values());
        rounds.map(|round| round.tally.evidence().count()).sum()
    }

    /// Statements that were not so.
    pub fn num_lies(&self) -> usize {
        self.known.values().filter(|lies| !lies.is_empty()).count()
    }
}
