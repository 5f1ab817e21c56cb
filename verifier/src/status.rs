//! What a verifier is doing, for its operator.

use std::collections::BTreeMap;

use proofgrid_core::ids::SessionId;
use tokio::sync::watch;

/// A snapshot; the counters start at zero with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifierStatus {
    /// The open session, if there is one.
    pub session: Option<SessionId>,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Commitments to votes that were sent, repeated ones included.
    pub commitments: u64,
    /// Votes for `valid` that were opened, repeated ones included. What is only committed to is not
    /// counted by its verdict: nobody may read it off here.
    pub votes_valid: u64,
    /// Votes for `invalid` that were opened, repeated ones included.
    pub votes_invalid: u64,
    /// Commit sets that this verifier opened nothing to.
    pub reveals_refused: u64,
    /// Statements that were abstained from.
    pub abstentions: u64,
    /// Batches that were attested.
    pub attestations: u64,
    /// Batches that differed from the vote log.
    pub attestations_refused: u64,
    /// Blobs that a source did not give, by source: the dispatcher and each mirror.
    pub missing_blobs: BTreeMap<String, u64>,
    /// Messages of the dispatcher that made no sense.
    pub bad_messages: u64,
    /// Statements that are worked on.
    pub open_statements: u64,
    /// Statements with a verdict in the vote log.
    pub logged_verdicts: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Counts a statement as open while it is held, however its work ends.
pub(crate) struct OpenStatement(watch::Sender<VerifierStatus>);

impl OpenStatement {
    pub(crate) fn new(status: watch::Sender<VerifierStatus>) -> Self {
        status.send_modify(|status| status.open_statements += 1);
        Self(status)
    }
}

impl Drop for OpenStatement {
    fn drop(&mut self) {
        self.0.send_modify(|status| {
            status.open_statements = status.open_statements.saturating_sub(1);
        });
    }
}

#[cfg(test)]
#[test]
fn a_statement_is_open_until_its_work_ends() {
    let (sender, status) = watch::channel(VerifierStatus::default());
    let first = OpenStatement::new(sender.clone());
    let second = OpenStatement::new(sender);
    assert_eq!(status.borrow().open_statements, 2);
    drop(first);
    drop(second);
    assert_eq!(status.borrow().open_statements, 0);
}
