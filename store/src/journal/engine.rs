//! The seam between the journal and what keeps its records.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

use super::record::Sequence;

/// What an engine says when it fails. After a failed commit the engine is not used again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the journal engine {engine} failed to {action}: {problem}; nothing more is accepted. Check the \
     disk, then start again; if it does not open, restore an export"
)]
pub struct EngineError {
    /// Name of the engine.
    pub engine: &'static str,
    /// What was tried.
    pub action: &'static str,
    /// What it said.
    pub problem: String,
}

/// An ordered map from sequence to stored bytes with an atomic, durable commit.
///
/// Calls come from one thread only. An engine adds nothing to the bytes and checks nothing: framing
/// and checksums are the journal's. Sequence 0 is no record: see [`Sequence::START`].
pub trait Engine: Send {
    /// The engine's name in configuration files and messages.
    fn name(&self) -> &'static str;

    /// The highest stored sequence; [`Sequence::START`] when nothing but the start is stored.
    ///
    /// # Errors
    /// When the engine cannot read.
    fn last(&self) -> Result<Option<Sequence>, EngineError>;

    /// Up to `limit` stored values from `from` on, ascending.
    ///
    /// # Errors
    /// When the engine cannot read, or finds a key that is no sequence.
    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError>;

    /// Stores all values or none of them; they are on the disk when this returns.
    ///
    /// # Errors
    /// Fatal: whether the values are stored is unknown. Never retried.
    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError>;

    /// Removes every record below `first` and stores `start` under [`Sequence::START`]; both or
    /// neither, and on the disk when this returns. The journal bounds what one call removes.
    ///
    /// # Errors
    /// Fatal: what is stored is unknown. Never retried.
    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError>;
}

/// Runs a call of an engine. Engines assert on what they find on the disk; an assertion is an error
/// here, not an abort.
pub(super) fn contained<T, E: Display>(
    engine: &'static str,
    action: &'static str,
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, EngineError> {
    let problem = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_text(panic.as_ref()),
    };
    Err(EngineError { engine, action, problem })
}

/// What a panic said, as far as it said it in words.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a message".to_owned())
}
