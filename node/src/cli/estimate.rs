//! `estimate`: the network executes an input without proving it.

use std::path::PathBuf;

use proofgrid_core::limits::SEGMENTS_MAX;
use proofgrid_proto::v1;
use serde::Serialize;

use super::submit::{check_program, program_named, read_input};
use super::{NetworkArgs, WalletArgs};
use crate::client::{Client, open_wallet, refused, timed};
use crate::exit::CliResult;
use crate::job_view::hex0x;
use crate::output::{self, Format, millis};
use crate::runtime::block_on;

/// Arguments of `estimate`.
#[derive(Debug, clap::Args)]
pub struct EstimateArgs {
    /// Where the network is.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Who uploads the input.
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// Name of the program, such as `keccak`.
    #[arg(long)]
    pub program: String,
    /// File with the input.
    #[arg(long)]
    pub input: PathBuf,
    /// Most segments, as the job would say.
    #[arg(long, default_value_t = SEGMENTS_MAX)]
    pub max_segments: u32,
}

/// What it would take.
#[derive(Debug, Serialize)]
struct EstimateView {
    program: String,
    input_digest: String,
    claim: String,
    segments: u32,
    work_units: u64,
    memory_bytes_max: u64,
    /// With the provers that are connected now; absent if none can take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    prove_ms: Option<u64>,
    queued_work_units: u64,
    provers: u32,
}

/// Has an input executed and prints what came out.
///
/// # Errors
/// When the network cannot be reached, or the program refuses the input; the message says where.
pub fn run(args: &EstimateArgs, output: Format) -> CliResult {
    block_on(async {
        let wallet = open_wallet(&args.wallet)?;
        let input = read_input(&args.input)?;
        let registry = proofgrid_programs::registry();
        let program = program_named(&registry, &args.program)?;
        let client = Client::connect(&args.network).await?;
        check_program(&client, program)?;
        let digest = client.upload(&wallet, &input).await?;
        let request = v1::EstimateJobRequest {
            program_id: program.id().as_bytes().to_vec(),
            input_digest: digest.as_bytes().to_vec(),
            max_segments: args.max_segments,
        };
        let answer = client.jobs().estimate_job(timed(request)).await.map_err(refused)?;
        let found = answer.into_inner();
        let view = EstimateView {
            program: program.name().to_owned(),
            input_digest: digest.to_string(),
            claim: hex0x(&found.claim),
            segments: found.segments,
            work_units: found.work_units,
            memory_bytes_max: found.memory_bytes_max,
            prove_ms: (found.prove_ms > 0).then_some(found.prove_ms),
            queued_work_units: found.queued_work_units,
            provers: found.workers,
        };
        print(&view, output)
    })
}

fn print(view: &EstimateView, output: Format) -> CliResult {
    if output == Format::Json {
        return Ok(output::json(view, false)?);
    }
    let time = view.prove_ms.map_or_else(|| "not now".to_owned(), millis);
    let rows = [
        ("claim", view.claim.clone()),
        ("segments", view.segments.to_string()),
        ("work units", view.work_units.to_string()),
        ("memory of the largest segment", format!("{} MiB", view.memory_bytes_max >> 20)),
        ("proving, with all provers", format!("{time} ({} connected)", view.provers)),
        ("work units queued before it", view.queued_work_units.to_string()),
    ];
    let rows = rows.map(|(what, value)| vec![what.to_owned(), value]).to_vec();
    output::line(&output::table(&["input of", &view.program], rows).to_string());
    Ok(())
}
