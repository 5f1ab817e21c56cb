//! The one table from domain errors to gRPC status and machine-readable reason.
//!
//! No other place makes a `Status` for a refusal. The reason travels in the metadata entry
//! `proofgrid-reason`; sessions carry the same reason in `Refused` and `Goaway`.

use proofgrid_core::network::Refusal;
use proofgrid_proto::REASON_METADATA;
use proofgrid_proto::v1::{self, RefusalReason as Reason};
use proofgrid_store::blob::BlobError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::error::EdgeError;

/// The row of an error in the table.
#[must_use]
pub const fn classify(error: &EdgeError) -> (Code, Reason) {
    match error {
        EdgeError::Malformed(_) => (Code::InvalidArgument, Reason::Malformed),
        EdgeError::WalletSignature(_) | EdgeError::BlsSignature(_) | EdgeError::Vote(_) => {
            (Code::Unauthenticated, Reason::BadSignature)
        }
        EdgeError::Expired { .. } => (Code::InvalidArgument, Reason::Expired),
        EdgeError::ExpiresTooFar { .. } => (Code::InvalidArgument, Reason::ExpiresTooFar),
        EdgeError::WrongNetwork { .. } => (Code::InvalidArgument, Reason::WrongNetwork),
        EdgeError::UnknownProgram(_) => (Code::NotFound, Reason::UnknownProgram),
        EdgeError::UnknownJob(_) => (Code::NotFound, Reason::UnknownJob),
        EdgeError::UnknownTask(_) => (Code::NotFound, Reason::UnknownTask),
        EdgeError::UnknownBlob(_) => (Code::NotFound, Reason::UnknownBlob),
        EdgeError::UnknownNode(_) => (Code::NotFound, Reason::WrongState),
        EdgeError::AdminNonce { .. } => (Code::AlreadyExists, Reason::NonceUsed),
        EdgeError::Limit { .. } => (Code::InvalidArgument, Reason::Limit),
        EdgeError::Busy(_) => (Code::ResourceExhausted, Reason::Busy),
        EdgeError::WrongState(_) => (Code::FailedPrecondition, Reason::WrongState),
        EdgeError::NotAllowed(_) => (Code::PermissionDenied, Reason::NotAllowed),
        EdgeError::NotInEpoch(_) => (Code::PermissionDenied, Reason::NotInEpoch),
        EdgeError::NoEpochYet => (Code::Unavailable, Reason::NoEpochYet),
        EdgeError::Protocol(_) => (Code::FailedPrecondition, Reason::Protocol),
        EdgeError::Refused(refusal) => classify_refusal(refusal),
        EdgeError::Blob(error) => classify_blob(error),
        EdgeError::TimedOut(_) => (Code::DeadlineExceeded, Reason::Busy),
        EdgeError::Replaced => (Code::Aborted, Reason::Replaced),
        EdgeError::ShuttingDown => (Code::Unavailable, Reason::ShuttingDown),
        EdgeError::Internal(_) => (Code::Internal, Reason::Internal),
    }
}

const fn classify_refusal(refusal: &Refusal) -> (Code, Reason) {
    match refusal {
        Refusal::NonceUsed { .. } => (Code::AlreadyExists, Reason::NonceUsed),
        Refusal::WrongOrigin
        | Refusal::SequenceWithoutStream(_)
        | Refusal::BadEntry(_)
        | Refusal::BadRegistration { .. } => (Code::InvalidArgument, Reason::Malformed),
        Refusal::WrongHome { .. } | Refusal::UnknownTarget { .. } | Refusal::WrongTable { .. } => {
            (Code::InvalidArgument, Reason::WrongNetwork)
        }
        Refusal::UnsupportedMode(_) | Refusal::NotRaceable(_) => {
            (Code::Unimplemented, Reason::Unsupported)
        }
        Refusal::DeadlinePassed { .. } => (Code::InvalidArgument, Reason::Expired),
        Refusal::LimitOutOfRange { .. } | Refusal::ProofTooLarge { .. } => {
            (Code::InvalidArgument, Reason::Limit)
        }
        Refusal::QueueFull { .. }
        | Refusal::TooManyJobs { .. }
        | Refusal::RequesterFull { .. }
        | Refusal::TooManyBlobs { .. }
        | Refusal::TooManyProvers { .. } => (Code::ResourceExhausted, Reason::Busy),
        Refusal::BlobLength { .. } => (Code::FailedPrecondition, Reason::DigestMismatch),
        Refusal::UnknownJob(_) => (Code::NotFound, Reason::UnknownJob),
        Refusal::UnknownTask(_) => (Code::NotFound, Reason::UnknownTask),
        Refusal::NotYours(_) | Refusal::UnknownLease(_) | Refusal::WrongChain { .. } => {
            (Code::PermissionDenied, Reason::NotAllowed)
        }
        Refusal::NotInEpoch(_) => (Code::PermissionDenied, Reason::NotInEpoch),
        Refusal::UnknownEpoch(_) => (Code::Unavailable, Reason::NoEpochYet),
        Refusal::StaleLease(_) => (Code::FailedPrecondition, Reason::StaleLease),
        Refusal::StaleSession(_) => (Code::Aborted, Reason::Replaced),
        Refusal::CancelOnChain(_)
        | Refusal::JobBeyond { .. }
        | Refusal::WrongContract(_)
        | Refusal::EntryNotTaken { .. }
        | Refusal::NoRaceRound { .. }
        | Refusal::UnknownStatement(_)
        | Refusal::NoSuchRound { .. }
        | Refusal::StillSealed { .. }
        | Refusal::CommittedOtherwise { .. }
        | Refusal::UnknownBatch(_)
        | Refusal::UnknownCertificate(_)
        | Refusal::NoSettlement(_) => (Code::FailedPrecondition, Reason::WrongState),
        Refusal::BadDetail { .. } | Refusal::BadPositions { .. } | Refusal::Miscounted(_) => {
            (Code::InvalidArgument, Reason::Malformed)
        }
        Refusal::EpochConflict(_)
        | Refusal::BrokenCertificate { .. }
        | Refusal::Contradiction(_) => (Code::Internal, Reason::Internal),
    }
}

const fn classify_blob(error: &BlobError) -> (Code, Reason) {
    match error {
        BlobError::Missing { .. } => (Code::NotFound, Reason::UnknownBlob),
        BlobError::TooLong { .. } => (Code::InvalidArgument, Reason::Limit),
        BlobError::WrongDigest { .. } => (Code::DataLoss, Reason::DigestMismatch),
        BlobError::WrongLength { .. } => (Code::InvalidArgument, Reason::DigestMismatch),
        BlobError::Busy { .. } => (Code::ResourceExhausted, Reason::Busy),
        BlobError::Range { .. } => (Code::OutOfRange, Reason::Limit),
        BlobError::Source { .. } | BlobError::Interrupted { .. } => (Code::Aborted, Reason::Busy),
        BlobError::Away { .. } => (Code::Unavailable, Reason::Busy),
        BlobError::Directory { .. }
        | BlobError::Bucket { .. }
        | BlobError::Refused { .. }
        | BlobError::Damaged { .. }
        | BlobError::Io { .. } => (Code::Internal, Reason::Internal),
    }
}

/// Whether the same message can succeed later.
#[must_use]
pub const fn is_retryable(code: Code) -> bool {
    matches!(
        code,
        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded | Code::Aborted
    )
}

/// What a caller is told. Faults of this process are logged in full and told in short.
fn text_of(error: &EdgeError, code: Code) -> String {
    if code == Code::Internal {
        tracing::error!(%error, "a call failed by this dispatcher's fault");
        return "the dispatcher failed; its operator finds the cause in its log".to_owned();
    }
    // Where the blobs lie is the operator's business.
    if let EdgeError::Blob(BlobError::Away { .. }) = error {
        tracing::warn!(%error, "a call has to be repeated");
        return "the dispatcher's blobs cannot be reached now; try again later".to_owned();
    }
    error.to_string()
}

impl From<EdgeError> for Status {
    fn from(error: EdgeError) -> Self {
        let (code, reason) = classify(&error);
        let mut status = Self::new(code, text_of(&error, code));
        if let Ok(value) = MetadataValue::try_from(reason.as_str_name()) {
            status.metadata_mut().insert(REASON_METADATA, value);
        }
        status
    }
}

/// Whether the session goes on after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It goes on.
    GoOn,
    /// It is closed.
    Close,
}

/// A refusal for a session.
#[must_use]
pub fn refused(error: &EdgeError, after: After) -> v1::Refused {
    let (code, reason) = classify(error);
    v1::Refused {
        reason: reason.into(),
        text: text_of(error, code),
        retryable: is_retryable(code),
        closing: after == After::Close,
    }
}

#[cfg(test)]
mod tests {
    use proofgrid_core::ids::{Address, BlobDigest, ChainId, JobId, Nonce, ProgramId, TaskId};
    use proofgrid_core::job::Mode;
    use proofgrid_core::units::{ByteCount, UnixSeconds};
    use proofgrid_proto::convert::{ConvertError, Problem};

    use super::*;

    #[test]
    fn the_table_says_what_a_client_relies_on() {
        let digest = BlobDigest::ZERO;
        let job = JobId::ZERO;
        let seconds = UnixSeconds::new(1);
        let rows = [
            (
                EdgeError::Malformed(ConvertError::new("job", Problem::Missing)),
                Code::InvalidArgument,
                Reason::Malformed,
            ),
            (
                EdgeError::WalletSignature(proofgrid_core::crypto::secp::SecpError::Unrecoverable),
                Code::Unauthenticated,
                Reason::BadSignature,
            ),
            (
                EdgeError::Expired { expires: seconds, now: seconds },
                Code::InvalidArgument,
                Reason::Expired,
            ),
            (EdgeError::UnknownProgram(ProgramId::ZERO), Code::NotFound, Reason::UnknownProgram),
            (EdgeError::UnknownTask(TaskId::ZERO), Code::NotFound, Reason::UnknownTask),
            (
                EdgeError::AdminNonce { got: Nonce::new(1), last: Nonce::new(1) },
                Code::AlreadyExists,
                Reason::NonceUsed,
            ),
            (EdgeError::Busy("full"), Code::ResourceExhausted, Reason::Busy),
            (EdgeError::NotInEpoch(Address::ZERO), Code::PermissionDenied, Reason::NotInEpoch),
            (EdgeError::NoEpochYet, Code::Unavailable, Reason::NoEpochYet),
            (EdgeError::ShuttingDown, Code::Unavailable, Reason::ShuttingDown),
            (EdgeError::Replaced, Code::Aborted, Reason::Replaced),
            (Refusal::NonceUsed { existing: job }.into(), Code::AlreadyExists, Reason::NonceUsed),
            (Refusal::QueueFull { live: 1, max: 1 }.into(), Code::ResourceExhausted, Reason::Busy),
            (
                Refusal::WrongHome { expected: ChainId::new(1), got: ChainId::new(2) }.into(),
                Code::InvalidArgument,
                Reason::WrongNetwork,
            ),
            (Refusal::UnsupportedMode(Mode::Race).into(), Code::Unimplemented, Reason::Unsupported),
            (
                Refusal::StaleLease(TaskId::ZERO).into(),
                Code::FailedPrecondition,
                Reason::StaleLease,
            ),
            (
                BlobError::WrongDigest { expected: digest, got: digest }.into(),
                Code::DataLoss,
                Reason::DigestMismatch,
            ),
            (
                BlobError::TooLong { digest, got: ByteCount::new(2), max: ByteCount::new(1) }
                    .into(),
                Code::InvalidArgument,
                Reason::Limit,
            ),
        ];
        for (error, code, reason) in rows {
            let status = Status::from(error.clone());
            assert_eq!(status.code(), code, "{error}");
            let named = status.metadata().get(REASON_METADATA).unwrap().to_str().unwrap();
            assert_eq!(named, reason.as_str_name(), "{error}");
            assert_eq!(status.message(), error.to_string());
        }
    }

    #[test]
    fn a_fault_of_the_dispatcher_is_not_told_in_detail() {
        let status = Status::from(EdgeError::Internal("the disk /secret is full".to_owned()));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"));
    }

    #[test]
    fn blobs_that_are_away_can_be_asked_for_again_and_not_where_they_lie() {
        let (what, problem) = (BlobDigest::ZERO.to_string(), "no route to 10.0.0.7".to_owned());
        let away = BlobError::Away { action: "read", what, problem };
        let status = Status::from(EdgeError::from(away));
        assert!(is_retryable(status.code()), "{status:?}");
        assert_eq!(status.metadata().get(REASON_METADATA).unwrap(), Reason::Busy.as_str_name());
        assert!(status.message().contains("try again later"), "{status:?}");
        assert!(!status.message().contains("10.0.0.7"), "{status:?}");
    }
}
