//! Entry point of the `proofgrid` binary.

use std::process::ExitCode;

use clap::Parser;
use proofgrid_node::{cli, devnet};

/// Proving fills the same gigabytes again and again; this allocator keeps them for the next segment,
/// in huge pages, where the system's gives every page back. Its settings: `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
