//! `operator`: what who runs a verifier or prover for stake does.

use clap::Subcommand;

use super::keys::{self, KeysCommand};
use crate::exit::CliResult;
use crate::output::Format;

/// `operator` commands.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// The same as `proofgrid keys`: a wallet to register with, a BLS key to vote with.
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// Runs the command.
///
/// # Errors
/// What failed, with the exit code.
pub fn run(command: OperatorCommand, output: Format) -> CliResult {
    match command {
        OperatorCommand::Keys(command) => keys::run(command, output),
    }
}
