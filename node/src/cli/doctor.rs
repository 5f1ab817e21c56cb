//! `doctor`: what this machine and build offer, and what would keep a role from working.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use proofgrid_proofs::program::Registry;
use serde::Serialize;

use super::NetworkArgs;
use crate::client::Client;
use crate::devnet::anvil;
use crate::exit::{CliResult, Exit, fail};
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Free memory below which a prover cannot take the block's larger segments.
const PROVER_MEMORY_BYTES: u64 = 2 << 30;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Also check the network: reachable, same programs, clocks agree.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// A data directory that must be writable.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    advice: &'static str,
}

impl Finding {
    pub(super) fn new(check: &'static str, ok: bool, found: String, advice: &'static str) -> Self {
        Self { check, ok, found, advice: if ok { "" } else { advice } }
    }
}

/// Prints the findings; exit code 1 if one of them is bad.
///
/// # Errors
/// When a check fails.
pub fn run(args: &DoctorArgs, output: Format) -> CliResult {
    let mut findings = machine();
    findings.extend(programs(&proofgrid_programs::registry()));
    if let Some(directory) = &args.data_dir {
        findings.push(writable(directory));
    }
    if args.network.network.is_some() || args.network.dispatcher.is_some() {
        findings.extend(block_on(async { Ok(network(&args.network).await) })?);
    }
    report(&findings, output)
}

/// Prints findings and ends with exit code 1 if one of them is bad.
pub(super) fn report(findings: &[Finding], output: Format) -> CliResult {
    match output {
        Format::Json => output::json(&findings, false)?,
        Format::Table => {
            for finding in findings {
                let mark = if finding.ok { "ok " } else { "BAD" };
                let advice = if finding.advice.is_empty() {
                    String::new()
                } else {
                    format!("; {}", finding.advice)
                };
                output::line(&format!("{mark} {:<20} {}{advice}", finding.check, finding.found));
            }
        }
    }
    let bad = findings.iter().filter(|finding| !finding.ok).count();
    if bad == 0 { Ok(()) } else { fail(Exit::Failed, format!("{bad} checks failed, see above")) }
}

fn machine() -> Vec<Finding> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = available_memory_bytes();
    let anvil = anvil::find();
    vec![
        Finding::new("build", true, format!("{}, {}", crate::VERSION, simd()), ""),
        Finding::new("cores", cores > 0, cores.to_string(), "the system does not say"),
        Finding::new(
            "free memory",
            memory >= PROVER_MEMORY_BYTES,
            format!("{} MiB", memory >> 20),
            "a prover of `keccak` needs 2 GiB; smaller segments still fit",
        ),
        Finding::new(
            "loopback",
            TcpListener::bind(("127.0.0.1", 0)).is_ok(),
            "127.0.0.1".into(),
            "no port can be opened on the loopback address",
        ),
        // Only a devnet needs it, so its absence is a finding and not a fault.
        Finding::new(
            "anvil (devnet only)",
            true,
            anvil.map_or_else(|error| error.to_string(), |path| path.display().to_string()),
            "",
        ),
    ]
}

fn programs(registry: &Registry) -> Vec<Finding> {
    registry
        .iter()
        .map(|program| {
            let manifest = program.manifest();
            let text = format!(
                "{} {} ({} proven, {} conjectured bits)",
                program.name(),
                program.id(),
                manifest.proven_bits,
                manifest.conjectured_bits
            );
            Finding::new("program", true, text, "")
        })
        .collect()
}

pub(super) fn writable(directory: &Path) -> Finding {
    let outcome =
        std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
    let ok = outcome.is_ok();
    let found = outcome.map_or_else(|error| error.to_string(), |_| directory.display().to_string());
    Finding::new("data directory", ok, found, "choose a directory that this user may write")
}

async fn network(args: &NetworkArgs) -> Vec<Finding> {
    let client = match Client::connect(args).await {
        Ok(client) => client,
        Err(error) => {
            let advice = "start the dispatcher or correct its address";
            return vec![Finding::new("dispatcher", false, error.to_string(), advice)];
        }
    };
    let info = &client.info;
    let registry = proofgrid_programs::registry();
    let missing: Vec<_> = registry
        .iter()
        .filter(|program| {
            !info.programs.iter().any(|served| served.program_id == program.id().as_bytes())
        })
        .map(|program| program.name().to_owned())
        .collect();
    let skew_s = (info.now_unix_ms / 1000).abs_diff(crate::client::unix_seconds());
    vec![
        Finding::new("dispatcher", true, format!("version {}", info.version), ""),
        Finding::new(
            "programs",
            missing.is_empty(),
            if missing.is_empty() { "all served".into() } else { missing.join(", ") },
            "the network runs another build; install its version",
        ),
        Finding::new(
            "epoch",
            info.epoch > 0,
            info.epoch.to_string(),
            "no stake snapshot is final yet; wait for the oracle or run one",
        ),
        Finding::new("clock", skew_s <= 5, format!("{skew_s} s apart"), "set the clock (NTP)"),
    ]
}

/// `MemAvailable` of the system; 0 if it does not say.
fn available_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1024)
}

/// The vector instructions that this build was made for.
const fn simd() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "AVX-512"
    } else if cfg!(target_feature = "avx2") {
        "AVX2"
    } else if cfg!(target_feature = "neon") {
        "NEON"
    } else {
        "no vector instructions: proving is 2 to 6 times slower, build with `make build`"
    }
}
