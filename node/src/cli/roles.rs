//! The roles: each command reads one configuration file, opens its keys and runs until it is told to
//! stop. SIGTERM and SIGINT drain; a second one ends the process at once.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Subcommand;
use proofgrid_core::units::ByteCount;
use proofgrid_dispatcher::Dispatcher;
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::service::Oracle;
use proofgrid_proofs::program::Registry;
use proofgrid_prover::backend::Backend;
use proofgrid_prover::bench::{self, BenchFile, BenchInput};
use proofgrid_prover::{Ground, Prover};
use proofgrid_store::blob::BlobStore;
use proofgrid_store::journal::{EngineKind, Journal, JournalConfig};
use proofgrid_verifier::Verifier;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::bond::{self, BondCommand};
use super::duties::OwnAccount;
use super::keys::bls_from;
use super::race;
use crate::chain_view::HomeChainView;
use crate::client::wallet_from;
use crate::config::{self, DispatcherFile, OracleFile, ProverFile, StoreConfig, VerifierFile};
use crate::exit::{CliResult, Exit, ExitError, WithExit};
use crate::node_api::{
    ChainWatch, EpochStake, MeasuredJudge, Meters, NodeApi, NodeApiSection, NodeFacts, NodeInfo,
    ProverFacts, VerifierFacts,
};
use crate::output::{self, Format, millis};
use crate::runtime::block_on;

/// Memory that the planner may use for the segment of `prover bench`.
const BENCH_MEMORY_BYTES: u64 = 2 << 30;

/// A role with one thing to do.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Run until SIGTERM or SIGINT.
    Run(ConfigArgs),
    /// Check the configuration file.
    Check(ConfigArgs),
}

/// `prover` commands.
#[derive(Debug, Subcommand)]
pub enum ProverCommand {
    /// Run until SIGTERM or SIGINT; then finish what is leased.
    Run(ConfigArgs),
    /// Check the configuration file.
    Check(ConfigArgs),
    /// Measure this machine; the worker registers with the result.
    Bench {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// The program.
        #[arg(long, default_value = "keccak")]
        program: String,
        /// An input of the program, whose first segment is proved; a built-in one if not given.
        #[arg(long)]
        input: Option<PathBuf>,
        /// Proofs to time; the best counts.
        #[arg(long, default_value_t = 2)]
        rounds: u32,
    },
    /// The coins that stand behind assigned work.
    #[command(subcommand)]
    Bond(BondCommand),
}

/// Where a role's settings are.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file; see docs/config.
    #[arg(long, env = "PROOFGRID_CONFIG")]
    pub config: PathBuf,
}

/// Verifies one proof from standard input; the judge's child.
///
/// # Errors
/// Never; the exit code tells the parent.
pub fn judge_child(registry: &Registry) -> CliResult {
    let code = proofgrid_judge::child::run(registry);
    if code == ExitCode::SUCCESS {
        return Ok(());
    }
    Err(ExitError { exit: Exit::Failed, error: anyhow!("the judge's child wrote no reply") })
}

/// Runs the dispatcher.
///
/// # Errors
/// When it cannot start, or its journal fails.
pub fn dispatcher(command: &RunCommand) -> CliResult {
    let mut file: DispatcherFile = match command {
        RunCommand::Check(args) => return check::<DispatcherFile>(args),
        RunCommand::Run(args) => config::load(&args.config)?,
    };
    block_on(async {
        let stop = stop_on_signal()?;
        let registry = Arc::new(proofgrid_programs::registry());
        let engine: EngineKind = file.store.engine.parse()?;
        if engine != EngineKind::Memory {
            let beside = || file.store.data_dir.join("snapshots");
            file.dispatcher.snapshots.directory.get_or_insert_with(beside);
        }
        let journal = Journal::open(&JournalConfig {
            engine,
            ..JournalConfig::new(file.store.data_dir.join("journal"))
        })?;
        let blobs = open_blobs(&file.store).await?;
        let judge = Judge::new(file.judge.build()?, Arc::clone(&registry));
        let key = wallet_from(&file.key.file, &file.key.password_file)?;
        let running =
            Dispatcher::start(file.dispatcher, key, journal, blobs, registry, judge, stop).await?;
        tracing::info!(version = crate::VERSION, address = %running.address(), "dispatcher runs");
        running.join().await.context("the dispatcher ended")?;
        Ok(())
    })
}

/// Opens the blob store. A bucket that is away now may be back soon, one that refuses is told at once.
async fn open_blobs(store: &StoreConfig) -> anyhow::Result<BlobStore> {
    let environment = |name: &str| std::env::var(name).ok();
    let blobs = BlobStore::open(&store.blobs.build(&store.data_dir, environment)?)?;
    match blobs.check().await {
        Err(error) if error.is_away() => tracing::warn!(%error, "starting all the same"),
        checked => checked?,
    }
    Ok(blobs)
}

/// Runs or measures a prover, or looks after its bond.
///
/// # Errors
/// When it cannot start.
pub fn prover(command: &ProverCommand, output: Format) -> CliResult {
    match command {
        ProverCommand::Check(args) => check::<ProverFile>(args),
        ProverCommand::Run(args) => {
            run_prover(config::load(&args.config)?, proofgrid_programs::registry())
        }
        ProverCommand::Bond(command) => bond::run(command, output),
        ProverCommand::Bench { config, program, input, rounds } => {
            let file: ProverFile = config::load(&config.config)?;
            let input = match input {
                Some(path) => std::fs::read(path)
                    .with_context(|| format!("cannot read {}", path.display()))
                    .exit(Exit::NotFound)?,
                None => bench_input(program)?,
            };
            let bench = BenchInput {
                program: program.clone(),
                input: Bytes::from(input),
                memory_bytes_max: ByteCount::new(BENCH_MEMORY_BYTES),
                rounds: *rounds,
            };
            measure(&file, &bench, output)
        }
    }
}

/// Runs a prover of these programs until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run_prover(file: ProverFile, registry: Registry) -> CliResult {
    block_on(async {
        let stop = stop_on_signal()?;
        let key = wallet_from(&file.key.file, &file.key.password_file)?;
        let address = key.address();
        let listener = bind(file.node_api.as_ref()).await?;
        let data_dir = file.prover.data_dir.clone();
        let mut account = OwnAccount::of(&key);
        let bonded = match &file.bond {
            Some(bond) => Some(bond::keep(bond, &mut account, &data_dir).await?),
            None => None,
        };
        let raced = match &file.race {
            Some(section) => Some(race::enter(section, &mut account, &data_dir).await?),
            None => None,
        };
        let ((stake, keeping), (race, racing)) = (bonded.unzip(), raced.unzip());
        let ground = Ground { stake, race, ..Ground::default() };
        let running = Prover::start_on(ground, file.prover, key, Arc::new(registry), &stop)?;
        if let Some((section, listener)) = listener {
            let facts = Arc::new(ProverFacts::new(running.status(), data_dir));
            // It answers while the worker drains, and ends with the process.
            let on = CancellationToken::new();
            serve(section, "proofgrid-prover", listener, facts, None, on)?;
        }
        tracing::info!(version = crate::VERSION, %address, "prover runs");
        running.join().await.context("the worker's loop ended by a panic; please report it")?;
        // What the worker proved last is delivered before the process goes.
        for duty in keeping.into_iter().chain(racing) {
            duty.end().await;
        }
        tracing::info!("drained; finished proofs that nobody confirmed stay on disk");
        Ok(())
    })
}

/// An input to measure with when none is given: for the `keccak` programs as many messages of one
/// block each as fill tables of 2^14 rows.
fn bench_input(program: &str) -> anyhow::Result<Vec<u8>> {
    const MESSAGES: u32 = 682;
    if program.starts_with("keccak") {
        let lines: Vec<String> =
            (0..MESSAGES).map(|number| hex::encode(number.to_be_bytes().repeat(26))).collect();
        return Ok((lines.join("\n") + "\n").into_bytes());
    }
    anyhow::bail!("there is no built-in input for {program:?}; give one with --input")
}

fn measure(file: &ProverFile, bench: &BenchInput, output: Format) -> CliResult {
    block_on(async {
        let settings = &file.prover;
        let threads = settings.num_threads();
        let backend = Backend::open(settings.device, 1, threads)?;
        let registry = Arc::new(proofgrid_programs::registry());
        let measured = bench::measure(&backend, &registry, bench).await?;
        let mut all = BenchFile::load(&settings.data_dir, settings.device, threads);
        all.record(measured.clone());
        all.save(&settings.data_dir)?;
        if output == Format::Json {
            return Ok(output::json(&measured, false)?);
        }
        output::line(&format!(
            "{}: {} units in {} ({}.{:03} units/s), self-check {}, proof {} bytes, peak {} MiB",
            measured.program,
            measured.work_units,
            millis(measured.total_ms),
            measured.milli_units_per_s / 1000,
            measured.milli_units_per_s % 1000,
            millis(measured.check_ms),
            measured.proof_bytes,
            measured.memory_peak_bytes >> 20,
        ));
        Ok(())
    })
}

/// Runs a verifier.
///
/// # Errors
/// When it cannot start, or its vote log fails.
pub fn verifier(command: &RunCommand) -> CliResult {
    match command {
        RunCommand::Check(args) => check::<VerifierFile>(args),
        RunCommand::Run(args) => {
            let file: VerifierFile = config::load(&args.config)?;
            let judge = file.judge.build()?;
            run_verifier(file, judge)
        }
    }
}

/// Runs a verifier with this judge until it is told to stop.
///
/// # Errors
/// When it cannot start, or its vote log fails.
pub fn run_verifier(file: VerifierFile, judge: JudgeConfig) -> CliResult {
    block_on(async {
        let stop = stop_on_signal()?;
        let key = bls_from(&file.key.file, &file.key.password_file)?;
        let registry = Arc::new(proofgrid_programs::registry());
        let meters = Meters::default();
        let judge = Judge::new(judge, Arc::clone(&registry));
        let judge = MeasuredJudge::new(judge, Arc::clone(&meters.judge));
        let observer = file.node_api.as_ref().map(|_| Arc::clone(&meters.rpc) as _);
        let client = file.chain.view(observer)?;
        let chain = Arc::new(HomeChainView::new(client.clone(), Arc::clone(&registry)));
        let settings = file.verifier.build(file.chain.network())?;
        let listener = bind(file.node_api.as_ref()).await?;
        let (programs, trial) = (Arc::clone(&registry), judge.clone());
        let running = Verifier::start(settings, key, registry, judge, chain, stop.clone())?;
        if let Some((section, listener)) = listener {
            let watch = Arc::new(ChainWatch::default());
            let facts = Arc::new(VerifierFacts {
                status: running.watch(),
                data_dir: file.verifier.data_dir.clone(),
                judge: Arc::clone(&meters.judge),
                chain: Arc::clone(&watch),
                avs_name: section.avs_name.clone(),
            });
            let stake = EpochStake::new(client, file.verifier.operator.0);
            // Both end with the process.
            tokio::spawn(async move { watch.keep_asking(&stake).await });
            tokio::spawn(trial.keep_trying(programs));
            serve(section, "proofgrid-verifier", listener, facts, Some(&meters), stop)?;
        }
        tracing::info!(version = crate::VERSION, "verifier runs");
        running.stopped().await.context("the verifier ended")?;
        Ok(())
    })
}

/// Takes the node API's address, if there is to be one, before the role starts.
async fn bind(
    section: Option<&NodeApiSection>,
) -> anyhow::Result<Option<(NodeApiSection, TcpListener)>> {
    match section {
        Some(section) => Ok(Some((section.clone(), section.bind().await?))),
        None => Ok(None),
    }
}

/// Serves the node API beside a role until `stop`.
fn serve(
    section: NodeApiSection,
    name: &str,
    listener: TcpListener,
    facts: Arc<dyn NodeFacts>,
    meters: Option<&Meters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let info = NodeInfo::new(section.node_name.as_deref().unwrap_or(name));
    NodeApi::start(listener, info, facts, meters, stop)?;
    Ok(())
}

/// Runs an oracle.
///
/// # Errors
/// When it cannot start, or its own files fail.
pub fn oracle(command: &RunCommand) -> CliResult {
    let file: OracleFile = match command {
        RunCommand::Check(args) => return check::<OracleFile>(args),
        RunCommand::Run(args) => config::load(&args.config)?,
    };
    block_on(async {
        let stop = stop_on_signal()?;
        let wallet = wallet_from(&file.key.file, &file.key.password_file)?;
        let key = OracleKey::from_bytes(&wallet.to_bytes())?;
        let oracle = Oracle::open(&file.oracle, key).await?;
        tracing::info!(version = crate::VERSION, chain = file.oracle.chain_id, "oracle runs");
        oracle.run(stop).await?;
        Ok(())
    })
}

fn check<T: serde::de::DeserializeOwned>(args: &ConfigArgs) -> CliResult {
    config::load::<T>(&args.config)?;
    output::line(&format!("{} can be used", args.config.display()));
    Ok(())
}

/// Cancelled by the first SIGTERM or SIGINT; the second ends the process.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round == 0 {
                tracing::info!("stopping: what is running is finished; again to stop at once");
                token.cancel();
            }
        }
        std::process::exit(130);
    });
    Ok(stop)
}
