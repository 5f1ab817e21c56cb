//! What anybody needs to hold verifiers to what they signed.

use crate::ids::{JobId, StatementDigest};
use crate::limits::EPOCH_MEMBERS_MAX;
use crate::statement::OpenedStatement;
use crate::vote::SignedVote;

use super::Network;

/// Most votes that are told of one statement; more come only after many epochs without a decision.
pub const EVIDENCE_VOTES_MAX: usize = 16 * EPOCH_MEMBERS_MAX;

/// A statement and every vote on it that is kept, whether it counts or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementEvidence {
    /// The statement with its records.
    pub opened: OpenedStatement,
    /// The second votes of keys that voted both ways, then the first votes, by epoch, then those that
    /// opened no commitment or came too late. At most [`EVIDENCE_VOTES_MAX`].
    pub votes: Vec<SignedVote>,
}

impl Network {
    /// All statements of a job, oldest first, with the votes on them. `None` for a job that is not
    /// known, or not any more.
    #[must_use]
    pub fn evidence(&self, job: &JobId) -> Option<Vec<StatementEvidence>> {
        let statements = &self.state.jobs.get(job)?.statements;
        let book = |digest: &StatementDigest| Some((*digest, self.state.statements.get(digest)?));
        let evidence = statements.iter().filter_map(book).map(|(digest, book)| {
            let tallies = || book.rounds.values().map(|round| &round.tally);
            let votes = tallies().flat_map(|tally| tally.votes().map(|vote| *vote.signed()));
            let second = tallies().flat_map(|tally| tally.evidence().map(|found| found.second));
            let sealed = |epoch| self.state.sealed.round(digest, epoch);
            let late = book.rounds.keys().filter_map(|epoch| sealed(*epoch));
            let late = late.flat_map(|sealed| sealed.late.values().map(|vote| *vote.signed()));
            let votes = second.chain(votes).chain(late).take(EVIDENCE_VOTES_MAX).collect();
            StatementEvidence { opened: book.opened.clone(), votes }
        });
        Some(evidence.collect())
    }
}
