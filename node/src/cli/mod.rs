//! The command line: one binary for every role and for the people who use the network.

pub mod bond;
pub mod certificate;
pub mod challenge;
pub mod devnet;
pub mod doctor;
mod duties;
pub mod epoch;
pub mod escrow;
pub mod estimate;
pub mod follow;
pub mod jobs;
pub mod keys;
pub mod operator;
mod race;
pub mod restaking;
pub mod rewards;
pub mod roles;
pub mod store;
pub mod submit;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::devnet::planted;
use crate::exit::CliResult;
use crate::output::Format;
use crate::telemetry::{self, LogFormat};

/// Proofgrid: a zero-knowledge compute network node.
#[derive(Debug, Parser)]
#[command(
    name = "proofgrid",
    version = crate::VERSION,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the network, 4 not \
                  found, 5 does not verify, 6 epoch table not anchored, 7 job ended unsettled, \
                  8 unreachable."
)]
pub struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t, env = "PROOFGRID_OUTPUT")]
    pub output: Format,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t, env = "PROOFGRID_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Which log lines are written to standard error, such as `info,judge=debug`.
    #[arg(long, global = true, env = "PROOFGRID_LOG")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can be.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A whole network on this machine: EVM node, contracts and every role as its own process.
    #[command(subcommand)]
    Devnet(devnet::DevnetCommand),
    /// Accept jobs, hand out work, collect votes.
    #[command(subcommand)]
    Dispatcher(roles::RunCommand),
    /// Prove tasks.
    #[command(subcommand)]
    Prover(roles::ProverCommand),
    /// Judge proofs and vote.
    #[command(subcommand)]
    Verifier(roles::RunCommand),
    /// Carry jobs in from a chain and certificates back.
    #[command(subcommand)]
    Oracle(roles::RunCommand),
    /// Execute an input without proving it: what would be proved, and what it would take.
    Estimate(estimate::EstimateArgs),
    /// Submit a job, by gRPC or through a contract.
    Submit(submit::SubmitArgs),
    /// One job, or the newest jobs.
    Status(jobs::StatusArgs),
    /// Follow a job until it ends.
    Watch(jobs::JobArgs),
    /// Why a job is where it is.
    Explain(jobs::JobArgs),
    /// Withdraw a job before it is certified.
    Cancel(jobs::CancelArgs),
    /// Fetch and check certificates.
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// Hold a verifier to what it signed: show who voted what, accuse, slash.
    #[command(subcommand)]
    Challenge(challenge::ChallengeCommand),
    /// Which stake stands behind certificates, and the next table of it.
    #[command(subcommand)]
    Epoch(epoch::EpochCommand),
    /// What provers earned and requesters can have back.
    #[command(subcommand)]
    Escrow(escrow::EscrowCommand),
    /// Make, take over, hand on and look at keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// What an operator does: its keys, its stake, its place among the verifiers, how its node is.
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Look after a journal that no process has open.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Check this machine and, with a configuration, whether a role would start.
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Nodes that lie, for the demo; they run on a development chain only.
    #[command(subcommand, hide = true)]
    Planted(planted::PlantedCommand),
    /// Verify one proof from standard input; started by the judge, not by people.
    #[command(hide = true)]
    JudgeChild,
    /// Become another program that ends with the devnet that started it; not for people.
    #[command(hide = true)]
    ExecWithParent {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
}

/// Where a client finds the network.
#[derive(Debug, Clone, clap::Args)]
pub struct NetworkArgs {
    /// Network file (as `devnet` writes it): dispatcher, chain and contracts. Pins what is signed.
    #[arg(long, env = "PROOFGRID_NETWORK")]
    pub network: Option<PathBuf>,
    /// Address of the dispatcher, such as http://127.0.0.1:7400; overrides the network file.
    #[arg(long, env = "PROOFGRID_DISPATCHER")]
    pub dispatcher: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, clap::Args)]
pub struct WalletArgs {
    /// Wallet key file (Web3 Secret Storage).
    #[arg(long, env = "PROOFGRID_WALLET")]
    pub wallet: PathBuf,
    /// File with the wallet's password.
    #[arg(long, env = "PROOFGRID_WALLET_PASSWORD_FILE")]
    pub password_file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What failed, with the exit code.
pub fn run(cli: Cli) -> CliResult {
    let service = match &cli.command {
        Command::Prover(command) => !matches!(command, roles::ProverCommand::Bond(_)),
        Command::Dispatcher(_)
        | Command::Verifier(_)
        | Command::Oracle(_)
        | Command::Planted(_) => true,
        _ => false,
    };
    match cli.command {
        Command::JudgeChild => return roles::judge_child(&proofgrid_programs::registry()),
        Command::Planted(planted::PlantedCommand::JudgeChild) => return planted::judge_child(),
        Command::ExecWithParent { command } => return crate::devnet::process::exec(&command),
        _ => {}
    }
    let filter = cli.log.as_deref().unwrap_or(if service { "info" } else { "warn" });
    telemetry::start(cli.log_format, filter)?;
    let output = cli.output;
    match cli.command {
        Command::Devnet(command) => devnet::run(command, output),
        Command::Dispatcher(command) => roles::dispatcher(&command),
        Command::Prover(command) => roles::prover(&command, output),
        Command::Verifier(command) => roles::verifier(&command),
        Command::Oracle(command) => roles::oracle(&command),
        Command::Estimate(args) => estimate::run(&args, output),
        Command::Submit(args) => submit::run(&args, output),
        Command::Status(args) => jobs::status(&args, output),
        Command::Watch(args) => jobs::watch(&args, output),
        Command::Explain(args) => jobs::explain(&args, output),
        Command::Cancel(args) => jobs::cancel(&args, output),
        Command::Certificate(command) => certificate::run(command, output),
        Command::Challenge(command) => challenge::run(command, output),
        Command::Epoch(command) => epoch::run(command, output),
        Command::Escrow(command) => escrow::run(command, output),
        Command::Keys(command) => keys::run(command, output),
        Command::Operator(command) => operator::run(command, output),
        Command::Store(command) => store::run(command, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "proofgrid",
                &mut std::io::stdout(),
            );
            Ok(())
        }
        Command::Planted(command) => planted::run(&command),
        Command::JudgeChild | Command::ExecWithParent { .. } => Ok(()),
    }
}
