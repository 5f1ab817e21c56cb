//! `submit`: a job by signed gRPC request, or through the `TaskManager` contract with the fee escrowed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::U256;
use anyhow::{Context, ensure};
use proofgrid_core::crypto::eip712::Request;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{BlobDigest, ChainContract, JobId, Nonce};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::limits::{INPUT_BYTES_MAX, PROOF_BYTES_MAX, SEGMENTS_MAX};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proofs::program::{Program, Registry};
use proofgrid_proto::v1;
use serde::Serialize;

use super::follow::follow;
use super::jobs::print_job;
use super::{NetworkArgs, WalletArgs};
use crate::chain;
use crate::client::{Client, open_wallet, refused, request_expiry, timed, unix_seconds};
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::job_view::word;
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Pause between two looks for a contract job, about a block of a fast chain.
const KNOWN_POLL: Duration = Duration::from_secs(1);

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    /// Where the network is.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The requester.
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// What is to be proved: a program's name, as `proofgrid doctor` lists them.
    #[arg(long, default_value = "keccak")]
    pub program: String,
    /// The input (`keccak`: one hexadecimal byte string per line).
    #[arg(long)]
    pub input: PathBuf,
    /// Seconds from now after which the result is of no use.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(30..=31_536_000))]
    pub deadline_s: u64,
    /// Unix second of the deadline; give it to repeat a submit whose answer was lost.
    #[arg(long, conflicts_with = "deadline_s")]
    pub deadline_unix_s: Option<u64>,
    /// Most that the requester pays, in wei. With --contract it is escrowed.
    #[arg(long, default_value = "0")]
    pub fee_wei: U256,
    /// Idempotency key; defaults to the current millisecond.
    #[arg(long)]
    pub nonce: Option<u64>,
    /// Most segments.
    #[arg(long, default_value_t = SEGMENTS_MAX)]
    pub max_segments: u32,
    /// Most bytes of any one proof.
    #[arg(long, default_value_t = PROOF_BYTES_MAX)]
    pub max_proof_bytes: u64,
    /// Ordering stream; 0 is unordered.
    #[arg(long, default_value_t = 0)]
    pub stream: u64,
    /// Position in the stream.
    #[arg(long, default_value_t = 0)]
    pub sequence: u64,
    /// Chain where the result goes, if the network serves several.
    #[arg(long)]
    pub target_chain: Option<u64>,
    /// Create the job on-chain and escrow the fee; needs --network with the contracts.
    #[arg(long)]
    pub contract: bool,
    /// Let provers race for the job: each proves all of it, and the winners share the fee by stake.
    #[arg(long, requires = "contract")]
    pub race: bool,
    /// Follow the job until it ends; exit code 7 if it does not settle.
    #[arg(long)]
    pub wait: bool,
}

/// What a submit gives back.
#[derive(Debug, Serialize)]
pub struct SubmitView {
    /// Job id.
    pub job: String,
    /// State in words.
    pub state: String,
    /// Whether this call created the job.
    pub created: bool,
    /// Nothing is escrowed.
    pub unpaid: bool,
    /// Idempotency key; with the deadline it repeats the submit.
    pub nonce: u64,
    /// Deadline.
    pub deadline_unix_s: u64,
    /// Digest of the input.
    pub input_digest: String,
    /// Digest of the expected public values.
    pub claim: String,
    /// Transaction that created a contract job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_hash: Option<String>,
}

/// A job that is ready to be signed or sent.
struct PreparedJob {
    spec: JobSpec,
    input: Vec<u8>,
}

/// Submits a job.
///
/// # Errors
/// When the input is refused, the network cannot be reached or refuses the job.
pub fn run(args: &SubmitArgs, output: Format) -> CliResult {
    block_on(async {
        let wallet = open_wallet(&args.wallet)?;
        let client = Client::connect(&args.network).await?;
        let (job, view) = submit(args, &client, &wallet).await?;
        match output {
            Format::Json => output::json(&view, args.wait)?,
            Format::Table => output::line(&format!("job {} is {}", view.job, view.state)),
        }
        if !args.wait {
            return Ok(());
        }
        if args.contract {
            until_known(&client, job, UnixSeconds::new(view.deadline_unix_s)).await?;
        }
        let ended = follow(&client, job, output).await?;
        if output == Format::Table {
            print_job(&ended);
        }
        if ended.state == "settled" {
            return Ok(());
        }
        fail(Exit::JobFailed, format!("job {job} ended as {}: {}", ended.state, ended.reason))
    })
}

/// Waits until the network has read a contract job from its chain, which it does once the job's block
/// is final.
async fn until_known(client: &Client, job: JobId, deadline: UnixSeconds) -> CliResult {
    let mut told = false;
    loop {
        match client.job(job).await {
            Err(error) if error.exit == Exit::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
        if !told {
            eprintln!("waiting for the job's block to be final on its chain");
            told = true;
        }
        if now_ms() / 1_000 >= deadline.get() {
            let what = format!(
                "job {job} is on its chain and the network did not take it up before its deadline; \
                 see that an oracle serves the chain, then `escrow refund` gives the fee back"
            );
            return fail(Exit::JobFailed, what);
        }
        tokio::time::sleep(KNOWN_POLL).await;
    }
}

/// Submits by the way that the arguments name and gives the job's id.
///
/// # Errors
/// As [`run`].
pub async fn submit(
    args: &SubmitArgs,
    client: &Client,
    wallet: &WalletKey,
) -> CliResult<(JobId, SubmitView)> {
    let target = client.target(args.target_chain)?;
    let prepared = prepare(args, client, wallet, target)?;
    let view = if args.contract {
        submit_by_contract(args, client, wallet, &prepared).await?
    } else {
        submit_by_grpc(client, wallet, &prepared).await?
    };
    Ok((prepared.spec.id(), view))
}

/// Reads the input, computes digest and claim natively, and fills in the job.
fn prepare(
    args: &SubmitArgs,
    client: &Client,
    wallet: &WalletKey,
    target: ChainContract,
) -> CliResult<PreparedJob> {
    let input = read_input(&args.input)?;
    let registry = proofgrid_programs::registry();
    let program = program_named(&registry, &args.program)?;
    check_program(client, program)?;
    let claim = program
        .claim(&input)
        .with_context(|| format!("{} is refused", args.input.display()))
        .exit(Exit::Refused)?;
    let deadline =
        args.deadline_unix_s.unwrap_or_else(|| unix_seconds().saturating_add(args.deadline_s));
    let spec = JobSpec {
        origin: if args.contract { Origin::Contract } else { Origin::Direct },
        home_chain: client.network.home_chain,
        target,
        requester: wallet.address(),
        nonce: Nonce::new(args.nonce.unwrap_or_else(now_ms)),
        program: program.id(),
        input: BlobDigest::from_bytes(keccak256(&input)),
        claim,
        mode: if args.race { Mode::Race } else { Mode::Assigned },
        deadline: UnixSeconds::new(deadline),
        fee_cap: args.fee_wei,
        limits: JobLimits {
            input_bytes: ByteCount::new(input.len() as u64),
            max_segments: args.max_segments,
            max_proof_bytes: ByteCount::new(args.max_proof_bytes),
        },
        stream: args.stream,
        sequence: args.sequence,
    };
    Ok(PreparedJob { spec, input })
}

/// Reads an input that is not too long.
pub(super) fn read_input(path: &Path) -> CliResult<Vec<u8>> {
    let name = path.display();
    let input = fs::read(path)
        .with_context(|| format!("cannot read the input {name}"))
        .exit(Exit::NotFound)?;
    let bytes = input.len() as u64;
    if bytes > INPUT_BYTES_MAX {
        let what =
            format!("{name} has {bytes} bytes, at most {INPUT_BYTES_MAX} are accepted; split it");
        return fail(Exit::Refused, what);
    }
    Ok(input)
}

pub(super) fn program_named<'a>(
    registry: &'a Registry,
    name: &str,
) -> anyhow::Result<&'a dyn Program> {
    registry.by_name(name).with_context(|| {
        let names: Vec<_> = registry.iter().map(|program| program.name().to_owned()).collect();
        format!("no program {name:?}; there are {}", names.join(", "))
    })
}

/// The network must run the same verifier build that this binary carries, or the claim may differ.
pub(super) fn check_program(client: &Client, program: &dyn Program) -> anyhow::Result<()> {
    let id = program.id();
    let served = client.info.programs.iter().any(|served| served.program_id == id.as_bytes());
    ensure!(
        served,
        "the network does not serve {} with program id {id}; it runs {}, this is {}",
        program.name(),
        client.info.version,
        crate::VERSION
    );
    Ok(())
}

async fn submit_by_grpc(
    client: &Client,
    wallet: &WalletKey,
    prepared: &PreparedJob,
) -> CliResult<SubmitView> {
    let expires = request_expiry();
    let message = Request::SubmitJob { job: Box::new(prepared.spec.clone()), expires };
    let request = v1::SubmitJobRequest {
        job: Some((&prepared.spec).into()),
        expires_unix_s: expires.get(),
        signature: client.sign(wallet, message),
    };
    let response = client.jobs().submit_job(timed(request)).await.map_err(refused)?.into_inner();
    if response.input_needed {
        client.upload(wallet, &prepared.input).await?;
    }
    let state = word(response.state().as_str_name(), "JOB_STATE_");
    Ok(view(prepared, state, response.created, None))
}

async fn submit_by_contract(
    args: &SubmitArgs,
    client: &Client,
    wallet: &WalletKey,
    prepared: &PreparedJob,
) -> CliResult<SubmitView> {
    let path = args.network.network.as_deref().context("--contract needs --network FILE")?;
    let file = NetworkFile::read(path)?;
    let spec = &prepared.spec;
    // What a repeat needs, said before any money moves.
    let repeat = format!("--nonce {} --deadline-unix-s {}", spec.nonce.get(), spec.deadline.get());
    eprintln!("job {}; if this is interrupted, repeat it with {repeat}", spec.id());
    client.upload(wallet, &prepared.input).await?;
    let tx = chain::create_job(&file, wallet, spec)
        .await
        .with_context(|| format!("the TaskManager refused the job; to repeat it use {repeat}"))
        .exit(Exit::Refused)?;
    let created = tx.is_some();
    Ok(view(prepared, "created on-chain".into(), created, tx.map(|tx| tx.to_string())))
}

fn view(
    prepared: &PreparedJob,
    state: String,
    created: bool,
    tx_hash: Option<String>,
) -> SubmitView {
    let spec = &prepared.spec;
    let job: JobId = spec.id();
    SubmitView {
        job: job.to_string(),
        state,
        created,
        unpaid: spec.origin == Origin::Direct,
        nonce: spec.nonce.get(),
        deadline_unix_s: spec.deadline.get(),
        input_digest: spec.input.to_string(),
        claim: spec.claim.to_string(),
        tx_hash,
    }
}

fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
