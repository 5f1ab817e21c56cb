//! The demo: two jobs on one real input, from submit to settled on-chain, every check of the result, and
//! a dispute about a third job.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::Context;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::JobId;
use proofgrid_core::limits::{PROOF_BYTES_MAX, SEGMENTS_MAX};

use super::dispute;
use super::network::{Devnet, DevnetOptions, REQUESTER};
use super::pay_day;
use super::progress::{JobProgress, Progress};
use super::summary::{Checks, JobSummary, Summary};
use crate::cli::WalletArgs;
use crate::cli::certificate::{CERTIFICATE_FILE, EPOCH_TABLE_FILE, fetch, write_files};
use crate::cli::submit::{SubmitArgs, submit};
use crate::client::Client;
use crate::exit::{CliResult, Exit, fail};
use crate::job_view::JobView;
use crate::output::{self, Format, millis};

/// The program that the demo proves.
const PROGRAM: &str = "keccak";
/// Fee that the contract job escrows, in wei.
const FEE_WEI: u64 = 1_000_000_000_000_000_000;
/// Seconds until the demo's jobs are of no use; far beyond what any machine needs.
const DEADLINE_S: u64 = 3_600;
/// Pause between two looks at the jobs.
const POLL: Duration = Duration::from_millis(250);
/// A demo that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(900);

/// What the demo runs on.
#[derive(Debug)]
pub struct DemoOptions {
    /// The network.
    pub devnet: DevnetOptions,
    /// The input of both jobs.
    pub input: PathBuf,
}

/// What the demo submits.
struct Order {
    name: &'static str,
    program: &'static str,
    input: PathBuf,
    contract: bool,
}

struct DemoJob {
    id: JobId,
    program: &'static str,
    progress: JobProgress,
    submitted: Instant,
    ended: Option<(JobView, Duration)>,
}

/// Runs the demo.
///
/// # Errors
/// When the network does not start, a job does not settle, or a check fails.
pub async fn run(options: DemoOptions, output: Format) -> CliResult {
    let progress = Progress::new();
    let started = Instant::now();
    let mut setup = options.devnet;
    let planted = dispute::plan(&mut setup);
    let mut devnet = Devnet::start(setup, &|text| progress.line(text)).await?;
    if let Some(planted) = &planted {
        progress.line(&format!("planting {planted}: they make a false proof and vote for it"));
        dispute::start(&mut devnet, planted).await?;
    }
    progress.line(&format!("network is up after {}", millis(elapsed_ms(started))));
    let first_submit = Instant::now();
    let client = Client::connect(&devnet.network_args()).await?;
    let orders = orders(&devnet, &options.input, planted.is_some())?;
    let mut jobs = submit_all(&mut devnet, &client, orders, &progress).await?;
    let disputed = jobs.iter().find(|job| job.program != PROGRAM).map(|job| job.id);
    if let (Some(planted), Some(job)) = (&planted, disputed) {
        dispute::release(&mut devnet, planted, job).await?;
    }
    wait(&mut devnet, &client, &mut jobs).await?;
    let mut summaries = Vec::new();
    for job in &jobs {
        let Some((view, total)) = &job.ended else { continue };
        let checks = check(&devnet, &client, job.id, view).await?;
        let total_ms = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
        summaries.push(JobSummary::new(view, job.program, checks, total_ms));
    }
    let dispute = match (&planted, disputed) {
        (Some(planted), Some(job)) => {
            progress.line("an account that nobody knows challenges the planted verifier's vote");
            Some(dispute::settle(&mut devnet, &client, planted, job).await?)
        }
        _ => None,
    };
    progress.line("pay day: the clock moves on by a day, and operators claim what they earned");
    let pay_day = pay_day::settle(&mut devnet).await?;
    let total_ms = elapsed_ms(first_submit);
    let summary = Summary { jobs: summaries, dispute, pay_day, total_ms };
    let path = devnet.layout().root().join("summary.json");
    summary.write(&path)?;
    match output {
        Format::Json => output::json(&summary, false)?,
        Format::Table => {
            summary.print();
            output::line(&format!(
                "total {}; the same facts are in {}, logs in {}",
                millis(summary.total_ms),
                path.display(),
                devnet.layout().logs().display()
            ));
        }
    }
    devnet.stop();
    if summary.succeeded() {
        return Ok(());
    }
    fail(Exit::JobFailed, "not every job is settled and verified; see the table and the logs")
}

/// Two jobs on one input, and one that is disputed.
fn orders(devnet: &Devnet, input: &Path, disputed: bool) -> anyhow::Result<Vec<Order>> {
    let keccak =
        |name, contract| Order { name, program: PROGRAM, input: input.to_path_buf(), contract };
    let mut orders = vec![keccak("grpc", false), keccak("contract", true)];
    if disputed {
        let (program, input) = dispute::input(devnet)?;
        orders.push(Order { name: "disputed", program, input, contract: false });
    }
    Ok(orders)
}

async fn submit_all(
    devnet: &mut Devnet,
    client: &Client,
    orders: Vec<Order>,
    progress: &Progress,
) -> CliResult<Vec<DemoJob>> {
    let mut submits = Vec::new();
    for order in orders {
        let (wallet, args) = requester(devnet, &order).await?;
        let submitted = Instant::now();
        let (id, _) = submit(&args, client, &wallet).await?;
        let way = if order.contract { "TaskManager.createJob" } else { "signed gRPC request" };
        progress.line(&format!("submitted {id} by {way} from {}", wallet.address()));
        submits.push((order, id, submitted));
    }
    // Only now, because submitting writes lines of its own, and they would go through the bars.
    let job = |(order, id, submitted): (Order, JobId, Instant)| DemoJob {
        id,
        program: order.program,
        progress: progress.job(order.name),
        submitted,
        ended: None,
    };
    Ok(submits.into_iter().map(job).collect())
}

/// A requester's wallet and what it submits. The contract job's account is made here and now, so the
/// network cannot know it.
async fn requester(devnet: &mut Devnet, order: &Order) -> CliResult<(WalletKey, SubmitArgs)> {
    let contract = order.contract;
    let key = if contract { "newcomer" } else { REQUESTER };
    let wallet = devnet.new_wallet_if_missing(key)?;
    if contract {
        devnet.fund(&[wallet.address()], U256::from(FEE_WEI) * U256::from(2u64)).await?;
    }
    let args = SubmitArgs {
        network: devnet.network_args(),
        wallet: WalletArgs {
            wallet: devnet.layout().key(key),
            password_file: devnet.layout().password(),
        },
        program: order.program.to_owned(),
        input: order.input.clone(),
        deadline_s: DEADLINE_S,
        deadline_unix_s: None,
        fee_wei: if contract { U256::from(FEE_WEI) } else { U256::ZERO },
        nonce: None,
        max_segments: SEGMENTS_MAX,
        max_proof_bytes: PROOF_BYTES_MAX,
        stream: 0,
        sequence: 0,
        target_chain: None,
        contract,
        race: false,
        wait: false,
    };
    Ok((wallet, args))
}

/// Shows progress until every job has ended.
async fn wait(devnet: &mut Devnet, client: &Client, jobs: &mut [DemoJob]) -> CliResult {
    let started = Instant::now();
    while jobs.iter().any(|job| job.ended.is_none()) {
        devnet.check_processes()?;
        if started.elapsed() > TIMEOUT {
            return fail(Exit::JobFailed, "the jobs did not end in 15 minutes; see the logs");
        }
        for job in jobs.iter_mut().filter(|job| job.ended.is_none()) {
            let view = match client.job(job.id).await {
                Ok(found) => JobView::from(&found),
                // A contract job is unknown until its block is final.
                Err(error) if error.exit == Exit::NotFound => continue,
                // The dispatcher may be restarting; the timeout above bounds the wait.
                Err(error) if error.exit == Exit::Unreachable => continue,
                Err(error) => return Err(error),
            };
            job.progress.update(&view);
            if view.ended() {
                job.ended = Some((view, job.submitted.elapsed()));
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Checks the certificate with the CLI in an empty folder, and asks the contract.
async fn check(devnet: &Devnet, client: &Client, job: JobId, view: &JobView) -> CliResult<Checks> {
    if view.state != "settled" {
        return Ok(Checks { offline: false, on_chain: false });
    }
    let (certificate, table) = fetch(client, job).await?;
    let kept = devnet.layout().root().join("certificates").join(view.source);
    write_files(&kept, &certificate, &table)?;
    let trusted = devnet.chain().epoch_digest(table.epoch()).await?;
    let offline = verify_offline(&kept, &trusted.to_string())?;
    let on_chain = devnet.chain().is_verified(&certificate, &table).await?;
    Ok(Checks { offline, on_chain })
}

/// Runs `proofgrid certificate verify` in an empty folder with an empty environment, given the two
/// files and the digest of the table that the chain names.
fn verify_offline(kept: &Path, trusted: &str) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    for file in [CERTIFICATE_FILE, EPOCH_TABLE_FILE] {
        std::fs::copy(kept.join(file), folder.path().join(file))?;
    }
    let status = Command::new(std::env::current_exe()?)
        .args(["certificate", "verify", "--certificate", CERTIFICATE_FILE])
        .args(["--epoch-table", EPOCH_TABLE_FILE, "--trusted-epoch", trusted])
        .current_dir(folder.path())
        .env_clear()
        .stdout(Stdio::null())
        .status()
        .context("the certificate check could not be started")?;
    Ok(status.success())
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
