//! The only conversions between wire and core types.
//!
//! From the wire everything is `TryFrom`: lengths, codes, presence and text sizes are checked here
//! and nowhere else, and a refusal names the field. To the wire everything is `From`. What these
//! conversions refuse to do: default a missing field, accept the zero value of an enum, truncate.

mod certificate;
mod common;
mod evidence;
mod oracle;
mod prover;
mod race;
mod request;
mod session;
mod verifier;
mod view;

pub use evidence::evidence;
pub use oracle::{
    AcceptanceOrder, ChainNews, OracleMessage, OracleOrder, ReportedEvent, SettleOrder,
};
pub use prover::{CompletionReply, ProverMessage, ProverOrder};
pub use race::{EntryAnswer, EntryReply, JudgeOrder, RaceNews, RaceStep};
pub use request::{AdminCall, BlobAccess, SignedRequest, admin_subject_of};
pub use session::{Challenge, Hello, LoginProof, SESSION_TOKEN_BYTES, SessionToken, Welcome};
pub use verifier::{AbstainReason, SegmentOffer, StatementOffer, VerifierMessage, VerifierOrder};
pub use view::{explanations, job_state, job_summary, job_view, statement_of_job, task_view};

use proofgrid_core::crypto::bls::BlsError;
use proofgrid_core::crypto::secp::{SecpError, WalletSignature};
use proofgrid_core::ids::ParseIdError;
use thiserror::Error;

/// Most bytes of a version text.
pub const VERSION_BYTES_MAX: usize = 64;
/// Most bytes of a name for people.
pub const NAME_BYTES_MAX: usize = 128;
/// Most bytes of a phase or a machine-readable code.
pub const CODE_BYTES_MAX: usize = 64;
/// Most bytes of an explanation.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Why a message from the wire was refused: which field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("field {field}: {problem}")]
pub struct ConvertError {
    /// Path of the field, such as `job.target.contract`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A message field or `oneof` is not set.
    #[error("is missing; set it")]
    Missing,
    /// An identity of the wrong length.
    #[error(transparent)]
    Id(#[from] ParseIdError),
    /// Bytes of the wrong length.
    #[error("must have {expected} bytes, got {got}")]
    Length {
        /// Bytes wanted.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The zero value of an enum.
    #[error("is unspecified; name one of the values")]
    Unspecified,
    /// A value that this version does not know.
    #[error("has the unknown value {got}; use a client of this network's version")]
    UnknownValue {
        /// The number on the wire.
        got: i32,
    },
    /// A text or list above its bound.
    #[error("has {got} {unit}, at most {max} are accepted")]
    TooMany {
        /// Bytes or entries.
        unit: &'static str,
        /// How many.
        got: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A line break or another control character where a name belongs.
    #[error("has a control character; a name is one line of plain text")]
    ControlCharacter,
    /// A number outside its range.
    #[error("is {got}, must be {min} to {max}")]
    OutOfRange {
        /// The number.
        got: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// Two fields contradict each other.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// A BLS point or signature that does not parse.
    #[error(transparent)]
    Bls(#[from] BlsError),
    /// A wallet signature that does not parse.
    #[error(transparent)]
    Wallet(#[from] SecpError),
    /// A structure that core refuses.
    #[error("{0}")]
    Structure(String),
}

impl ConvertError {
    /// A refusal of one field.
    #[must_use]
    pub fn new(field: &str, problem: impl Into<Problem>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }

    /// The same refusal, seen from the message that contains the field.
    #[must_use]
    fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

/// Adds the name of the containing field to a refusal.
trait At<T> {
    fn at(self, parent: &str) -> Result<T, ConvertError>;
}

impl<T> At<T> for Result<T, ConvertError> {
    fn at(self, parent: &str) -> Self {
        self.map_err(|error| error.within(parent))
    }
}

/// A message field that must be set, converted.
fn nested<W, T>(field: &str, value: Option<W>) -> Result<T, ConvertError>
where
    T: TryFrom<W, Error = ConvertError>,
{
    T::try_from(present(field, value)?).at(field)
}

/// A field that must be set.
fn present<W>(field: &str, value: Option<W>) -> Result<W, ConvertError> {
    value.ok_or_else(|| ConvertError::new(field, Problem::Missing))
}

/// An identity of exact length.
fn id<'a, T>(field: &str, bytes: &'a [u8]) -> Result<T, ConvertError>
where
    T: TryFrom<&'a [u8], Error = ParseIdError>,
{
    T::try_from(bytes).map_err(|error| ConvertError::new(field, error))
}

/// Bytes of exact length.
fn exact<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], ConvertError> {
    bytes
        .try_into()
        .map_err(|_| ConvertError::new(field, Problem::Length { expected: N, got: bytes.len() }))
}

/// A wallet's signature.
fn signature(field: &str, bytes: &[u8]) -> Result<WalletSignature, ConvertError> {
    WalletSignature::try_from(bytes).map_err(|error| ConvertError::new(field, error))
}

/// A point or signature of core's BLS module.
fn point<'a, T>(field: &str, bytes: &'a [u8]) -> Result<T, ConvertError>
where
    T: TryFrom<&'a [u8], Error = BlsError>,
{
    T::try_from(bytes).map_err(|error| ConvertError::new(field, error))
}

/// A bounded name, version or code: one line, without anything that steers a terminal or a log.
fn label(field: &str, value: String, max: usize) -> Result<String, ConvertError> {
    bounded(field, value.len(), max, "bytes")?;
    if value.contains(char::is_control) {
        return Err(ConvertError::new(field, Problem::ControlCharacter));
    }
    Ok(value)
}

/// A bounded text for people. It may have been a panic's, so line breaks and other control characters
/// become spaces instead of a refusal; what is stored and shown is one line.
fn text(field: &str, value: String) -> Result<String, ConvertError> {
    bounded(field, value.len(), TEXT_BYTES_MAX, "bytes")?;
    Ok(value.replace(char::is_control, " "))
}

/// A bounded number of entries.
fn bounded(field: &str, got: usize, max: usize, unit: &'static str) -> Result<(), ConvertError> {
    if got > max {
        return Err(ConvertError::new(field, Problem::TooMany { unit, got, max }));
    }
    Ok(())
}

/// A number in a range.
fn ranged(field: &str, got: u64, min: u64, max: u64) -> Result<u64, ConvertError> {
    if (min..=max).contains(&got) {
        Ok(got)
    } else {
        Err(ConvertError::new(field, Problem::OutOfRange { got, min, max }))
    }
}

/// A value of a generated enum, the zero value refused.
fn known<E>(field: &str, value: i32) -> Result<E, ConvertError>
where
    E: TryFrom<i32>,
{
    if value == 0 {
        return Err(ConvertError::new(field, Problem::Unspecified));
    }
    E::try_from(value).map_err(|_| ConvertError::new(field, Problem::UnknownValue { got: value }))
}
