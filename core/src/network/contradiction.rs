//! Who signed two different verdicts on one statement, and where: read from the evidence that the
//! state keeps, for the people who must be told.

use std::fmt;

use crate::batch::BatchLeaf;
use crate::ids::{Address, EpochNumber, StatementDigest};
use crate::statement::Verdict;
use crate::vote::{SignedVote, VerifiedAttestation, VerifiedVote};

use super::fact::Change;
use super::state::{BatchBook, State};

/// One of two words that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A vote.
    Voted(Verdict, EpochNumber),
    /// A leaf of an attested batch.
    Attested(Verdict, EpochNumber),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Voted(verdict, epoch) => write!(f, "voted {verdict} in epoch {epoch}"),
            Self::Attested(verdict, epoch) => write!(f, "attested {verdict} in epoch {epoch}"),
        }
    }
}

/// Two verdicts of one key on one statement. The first word stands; both are kept as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Whose.
    pub operator: Address,
    /// About what.
    pub statement: StatementDigest,
    /// What it said first.
    pub first: Word,
    /// What it said then; not counted.
    pub second: Word,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, statement, first, second } = self;
        write!(
            f,
            "{operator} contradicts itself: it {first} and {second} on statement {statement}; the \
             second is kept as evidence and does not count"
        )
    }
}

const fn voted(signed: &SignedVote) -> Word {
    Word::Voted(signed.vote.verdict, signed.vote.epoch)
}

impl State {
    /// What a fact proves against whoever signed it. `self` is the state after it, or any later one.
    #[must_use]
    pub fn contradictions_of(&self, change: &Change) -> Vec<Contradiction> {
        match change {
            Change::VoteRecorded { vote, .. } | Change::LateVoteRecorded { vote } => {
                self.second_vote(vote).into_iter().collect()
            }
            Change::AttestationRecorded { attestation } => self.second_words(attestation),
            _ => Vec::new(),
        }
    }

    /// All that is kept about one statement.
    #[must_use]
    pub fn contradictions_about(&self, statement: &StatementDigest) -> Vec<Contradiction> {
        let Some(book) = self.statements.get(statement) else { return Vec::new() };
        let votes = book.rounds.values().flat_map(|round| round.tally.evidence());
        let mut all: Vec<Contradiction> = votes
            .map(|known| Contradiction {
                operator: known.second.operator,
                statement: *statement,
                first: voted(&known.first),
                second: voted(&known.second),
            })
            .collect();
        for batch in book.batches.iter().filter_map(|root| self.batches.get(root)) {
            let again = batch.contradicted_before.keys();
            let again = again.filter(|operator| !batch.contradicting.contains_key(operator));
            for operator in batch.contradicting.keys().chain(again) {
                let mut leaves = batch.batch.leaves().iter();
                let leaf = leaves.find(|leaf| leaf.statement == *statement);
                all.extend(leaf.and_then(|leaf| self.attested_otherwise(batch, *operator, leaf)));
            }
        }
        all
    }

    fn second_vote(&self, vote: &VerifiedVote) -> Option<Contradiction> {
        let cast = vote.vote();
        let round = self.statements.get(&cast.statement)?.rounds.get(&cast.epoch)?;
        let known = round.tally.evidence().find(|known| known.second == *vote.signed())?;
        Some(Contradiction {
            operator: vote.operator(),
            statement: cast.statement,
            first: voted(&known.first),
            second: voted(&known.second),
        })
    }

    /// An attestation speaks of every leaf; those that its signer voted otherwise on.
    fn second_words(&self, attestation: &VerifiedAttestation) -> Vec<Contradiction> {
        let Some(batch) = self.batches.get(&attestation.attestation().root) else {
            return Vec::new();
        };
        let operator = attestation.operator();
        let kept = [&batch.contradicting, &batch.contradicted_before];
        if !kept.iter().any(|kept| kept.get(&operator) == Some(attestation)) {
            return Vec::new();
        }
        let leaves = batch.batch.leaves().iter();
        leaves.filter_map(|leaf| self.attested_otherwise(batch, operator, leaf)).collect()
    }

    fn attested_otherwise(
        &self,
        batch: &BatchBook,
        operator: Address,
        leaf: &BatchLeaf,
    ) -> Option<Contradiction> {
        let whose = (batch.epoch, operator);
        let first = self.said_otherwise(&leaf.statement, whose, leaf.verdict)?;
        Some(Contradiction {
            operator,
            statement: leaf.statement,
            first: voted(&first),
            second: Word::Attested(leaf.verdict, batch.epoch),
        })
    }
}
