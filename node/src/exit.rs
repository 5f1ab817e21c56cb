//! Exit codes: what a script can tell apart without reading text.

use std::fmt;
use std::process::ExitCode;

/// Why a command ended, as its exit code. Zero is success; 2 is clap's for wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Anything without a code of its own.
    Failed = 1,
    /// The network refused the request; the message says why.
    Refused = 3,
    /// There is no such job, file or certificate.
    NotFound = 4,
    /// A certificate or proof does not verify.
    Invalid = 5,
    /// The certificate verifies, but nothing says that its epoch table is the real one.
    NotAnchored = 6,
    /// The job ended without a settled result.
    JobFailed = 7,
    /// A service could not be reached.
    Unreachable = 8,
}

/// An error with the exit code that it ends the process with.
#[derive(Debug)]
pub struct ExitError {
    /// The code.
    pub exit: Exit,
    /// What failed, why, and what the person can do.
    pub error: anyhow::Error,
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl<E: Into<anyhow::Error>> From<E> for ExitError {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

/// Result of a command.
pub type CliResult<T = ()> = Result<T, ExitError>;

/// Gives an error its exit code.
pub trait WithExit<T> {
    /// Ends with `exit` if this is an error.
    ///
    /// # Errors
    /// The same error, with the code.
    fn exit(self, exit: Exit) -> CliResult<T>;
}

impl<T, E: Into<anyhow::Error>> WithExit<T> for Result<T, E> {
    fn exit(self, exit: Exit) -> CliResult<T> {
        self.map_err(|error| ExitError { exit, error: error.into() })
    }
}

/// Ends a command with a code and a message.
///
/// # Errors
/// Always.
pub fn fail<T>(exit: Exit, message: impl Into<String>) -> CliResult<T> {
    Err(ExitError { exit, error: anyhow::Error::msg(message.into()) })
}
