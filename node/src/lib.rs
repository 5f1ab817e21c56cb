//! The `proofgrid` binary: command line, configuration, composition of the roles, and the
//! development network. Everything that it composes lives in the other crates; it decides nothing
//! about jobs, stake or proofs.

pub mod chain;
pub mod chain_view;
pub mod challenge;
pub mod cli;
pub mod client;
pub mod config;
pub mod devnet;
pub mod exit;
pub mod job_view;
pub mod keystore;
pub mod network_file;
pub mod node_api;
pub mod output;
pub mod runtime;
pub mod telemetry;

/// Version of this build, with the commit if it was built from a checkout.
pub const VERSION: &str = env!("PROOFGRID_VERSION");
