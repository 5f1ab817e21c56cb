//! What verifiers signed. Nothing is verified here beyond shape; the chain does that.

use proofgrid_core::network::{EVIDENCE_VOTES_MAX, StatementEvidence};
use proofgrid_core::vote::{SignedVote, Vote};

use super::common::{epoch, list, verdict};
use super::{ConvertError, id, nested, point};
use crate::v1;

/// Most statements that one job can have; networks allow a few.
const STATEMENTS_MAX: usize = 64;

impl TryFrom<v1::SignedVote> for SignedVote {
    type Error = ConvertError;

    fn try_from(wire: v1::SignedVote) -> Result<Self, ConvertError> {
        Ok(Self {
            operator: id("operator", &wire.operator)?,
            vote: Vote {
                epoch: epoch("epoch", wire.epoch)?,
                table: id("table_digest", &wire.table_digest)?,
                statement: id("statement_digest", &wire.statement_digest)?,
                verdict: verdict("verdict", wire.verdict)?,
            },
            signature: point("signature", &wire.signature)?,
        })
    }
}

impl From<&SignedVote> for v1::SignedVote {
    fn from(core: &SignedVote) -> Self {
        Self {
            operator: core.operator.as_bytes().to_vec(),
            epoch: core.vote.epoch.get(),
            table_digest: core.vote.table.as_bytes().to_vec(),
            statement_digest: core.vote.statement.as_bytes().to_vec(),
            verdict: v1::Verdict::from(core.vote.verdict).into(),
            signature: core.signature.to_bytes().to_vec(),
        }
    }
}

impl TryFrom<v1::StatementEvidence> for StatementEvidence {
    type Error = ConvertError;

    fn try_from(wire: v1::StatementEvidence) -> Result<Self, ConvertError> {
        Ok(Self {
            opened: nested("opened", wire.opened)?,
            votes: list("votes", wire.votes, EVIDENCE_VOTES_MAX)?,
        })
    }
}

impl From<&StatementEvidence> for v1::StatementEvidence {
    fn from(core: &StatementEvidence) -> Self {
        Self {
            opened: Some((&core.opened).into()),
            votes: core.votes.iter().map(Into::into).collect(),
        }
    }
}

/// The statements of an answer.
///
/// # Errors
/// When one is malformed.
pub fn evidence(wire: v1::GetEvidenceResponse) -> Result<Vec<StatementEvidence>, ConvertError> {
    list("statements", wire.statements, STATEMENTS_MAX)
}
