//! Entry point of the `proofgrid` binary.

use std::process::ExitCode;

use clap::Parser;
use proofgrid_node::{cli, devnet};

fn main() -> ExitCode {
    devnet::process::follow_parent();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit.into()
        }
    }
}
