//! `certificate`: fetch a job's certificate, and check one without a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use proofgrid_core::certificate::{
    Certificate, JobCertificate, JobEvidence, TrustedEpoch, VerifiedCertificate, VerifiedJob,
};
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{Address, JobId, TableDigest};
use proofgrid_core::job::JobSpec;
use proofgrid_core::statement::{OpenedStatement, Verdict};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::view::{ViewError, table_digest};
use proofgrid_proto::v1;
use serde::Serialize;

use super::NetworkArgs;
use crate::chain;
use crate::client::{Client, refused, timed};
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::job_view::percent;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Largest certificate or table file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Name of the certificate in the folder that `get` writes.
pub const CERTIFICATE_FILE: &str = "certificate.json";
/// Name of the epoch table in the folder that `get` writes.
pub const EPOCH_TABLE_FILE: &str = "epoch-table.json";

/// `certificate` commands.
#[derive(Debug, Subcommand)]
pub enum CertificateCommand {
    /// Fetch a job's certificate and its epoch table into a folder.
    Get {
        /// Where the network is.
        #[command(flatten)]
        network: NetworkArgs,
        /// The job.
        job: JobId,
        /// The folder.
        #[arg(long, default_value = ".")]
        out: PathBuf,
    },
    /// Check a certificate without a network, given only the two files.
    Verify(VerifyArgs),
}

/// Arguments of `certificate verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The certificate.
    #[arg(long)]
    pub certificate: PathBuf,
    /// The epoch table that it names.
    #[arg(long)]
    pub epoch_table: PathBuf,
    /// Digest of the epoch table, from a source that you trust.
    #[arg(long, conflicts_with = "rpc")]
    pub trusted_epoch: Option<TableDigest>,
    /// Ask this node of the home chain for the digest instead.
    #[arg(long, requires = "epoch_contract")]
    pub rpc: Option<String>,
    /// `EpochTable` contract to ask; the certificate's own word for it is not taken.
    #[arg(long, requires = "rpc")]
    pub epoch_contract: Option<Address>,
}

/// What a certificate says, once it verifies.
#[derive(Debug, Serialize)]
struct CertificateView {
    certificate: String,
    job: String,
    program: String,
    verdict: &'static str,
    statement: String,
    segments: usize,
    target_chain: u64,
    target_contract: String,
    epoch: u64,
    epoch_table: String,
    anchored: bool,
    snapshot_block: u64,
    stake_signed: String,
    stake_total: String,
    signers: u32,
    unpaid: bool,
}

/// Runs a `certificate` command.
///
/// # Errors
/// When the certificate cannot be fetched or does not verify.
pub fn run(command: CertificateCommand, output: Format) -> CliResult {
    match command {
        CertificateCommand::Get { network, job, out } => get(&network, job, &out, output),
        CertificateCommand::Verify(args) => verify(&args, output),
    }
}

fn get(network: &NetworkArgs, job: JobId, out: &Path, output: Format) -> CliResult {
    block_on(async {
        let client = Client::connect(network).await?;
        let (certificate, table) = fetch(&client, job).await?;
        write_files(out, &certificate, &table)?;
        let files = [out.join(CERTIFICATE_FILE), out.join(EPOCH_TABLE_FILE)];
        match output {
            Format::Json => output::json(&files, false)?,
            Format::Table => {
                for file in &files {
                    output::line(&file.display().to_string());
                }
            }
        }
        Ok(())
    })
}

/// Fetches a job's certificate and epoch table from the dispatcher; checks neither.
///
/// # Errors
/// When there is none yet, or the answer is malformed.
pub async fn fetch(client: &Client, job: JobId) -> CliResult<(JobCertificate, EpochTable)> {
    let request = v1::GetCertificateRequest { job_id: job.as_bytes().to_vec() };
    let response =
        client.jobs().get_certificate(timed(request)).await.map_err(refused)?.into_inner();
    let certificate = response.certificate.context("the answer holds no certificate")?;
    let opened = response.opened.context("the answer holds no statement")?;
    let opened = OpenedStatement::try_from(opened)?;
    let evidence = JobEvidence {
        job: JobSpec::try_from(response.job.context("the answer holds no job")?)?,
        statement: opened.statement,
        segments: opened.records,
    };
    let certificate = JobCertificate { certificate: Certificate::try_from(certificate)?, evidence };
    Ok((certificate, EpochTable::parse(&response.epoch_table)?))
}

/// Writes both files into a folder.
///
/// # Errors
/// When they cannot be written.
pub fn write_files(
    out: &Path,
    certificate: &JobCertificate,
    table: &EpochTable,
) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let write = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(CERTIFICATE_FILE, certificate.to_json())?;
    write(EPOCH_TABLE_FILE, table.to_json())
}

/// The job certificate in a file; what it says is not checked.
///
/// # Errors
/// When it cannot be read or is malformed.
pub fn of_file(path: &Path) -> CliResult<JobCertificate> {
    JobCertificate::from_json(&read(path)?)
        .with_context(|| format!("{} is refused", path.display()))
        .exit(Exit::Invalid)
}

fn verify(args: &VerifyArgs, output: Format) -> CliResult {
    let certificate = of_file(&args.certificate)?;
    let table = EpochTable::from_json(&read(&args.epoch_table)?)
        .with_context(|| format!("{} is refused", args.epoch_table.display()))
        .exit(Exit::Invalid)?;
    let trust = trusted(args, &table)?;
    let (verified, job) = certificate
        .verify(&table, trust)
        .with_context(|| format!("{} does not verify", args.certificate.display()))
        .exit(Exit::Invalid)?;
    print(&certificate, &verified, &job, output)?;
    if verified.trust() == TrustedEpoch::NotAnchored {
        return fail(
            Exit::NotAnchored,
            "the certificate verifies, but its epoch table is not anchored: give --trusted-epoch \
             with a digest from a source of your own, or --rpc with --epoch-contract",
        );
    }
    if job.verdict == Verdict::Invalid {
        return fail(Exit::Invalid, "the stake certifies that this statement is INVALID");
    }
    Ok(())
}

fn trusted(args: &VerifyArgs, table: &EpochTable) -> CliResult<TrustedEpoch> {
    if let Some(digest) = args.trusted_epoch {
        return Ok(TrustedEpoch::Digest(digest));
    }
    let (Some(rpc), Some(contract)) = (&args.rpc, args.epoch_contract) else {
        return Ok(TrustedEpoch::NotAnchored);
    };
    let home = table.network().home_chain;
    let digest = block_on(async {
        let chain = chain::connect(rpc, home)?;
        let policy = FinalityPolicy::Finalized;
        match table_digest(&chain, contract, policy, table.epoch()).await {
            Ok(digest) => Ok(digest),
            Err(error @ ViewError::UnknownEpoch(_)) => Err(error).exit(Exit::NotFound),
            // The error names the host; the whole address may hold a key.
            Err(error) => Err(error)
                .with_context(|| format!("the node does not tell epoch {}'s digest", table.epoch()))
                .exit(Exit::Unreachable),
        }
    })?;
    Ok(TrustedEpoch::Digest(digest))
}

fn print(
    certificate: &JobCertificate,
    verified: &VerifiedCertificate,
    job: &VerifiedJob,
    output: Format,
) -> CliResult {
    let spec = &certificate.evidence.job;
    let view = CertificateView {
        certificate: verified.id().to_string(),
        job: job.job.to_string(),
        program: program_name(spec),
        verdict: if job.verdict == Verdict::Valid { "valid" } else { "invalid" },
        statement: job.statement.to_string(),
        segments: certificate.evidence.segments.len(),
        target_chain: verified.target().chain.get(),
        target_contract: verified.target().contract.to_string(),
        epoch: certificate.certificate.epoch.get(),
        epoch_table: certificate.certificate.table.to_string(),
        anchored: verified.trust() != TrustedEpoch::NotAnchored,
        snapshot_block: certificate.certificate.snapshot_block.get(),
        stake_signed: verified.signed().get().to_string(),
        stake_total: verified.total().get().to_string(),
        signers: verified.signers().len(),
        unpaid: spec.origin == proofgrid_core::job::Origin::Direct,
    };
    if output == Format::Json {
        return Ok(output::json(&view, false)?);
    }
    let share = percent(verified.signed().get(), verified.total().get());
    let anchored = if view.anchored { "anchored" } else { "NOT ANCHORED" };
    for (name, value) in [
        ("certificate", view.certificate.clone()),
        ("job", view.job.clone()),
        ("program", view.program.clone()),
        ("verdict", format!("{} over {} segments", view.verdict, view.segments)),
        ("stake signed", format!("{share} by {} signers", view.signers)),
        ("epoch", format!("{} at block {}, {anchored}", view.epoch, view.snapshot_block)),
        ("epoch table", view.epoch_table.clone()),
        ("target", format!("chain {} contract {}", view.target_chain, view.target_contract)),
        ("fee", if view.unpaid { "unpaid".into() } else { "escrowed".to_owned() }),
    ] {
        output::line(&format!("{name:<13} {value}"));
    }
    Ok(())
}

/// The program's name with its security, if this build knows it; the id otherwise.
fn program_name(job: &JobSpec) -> String {
    let registry = proofgrid_programs::registry();
    registry.get(&job.program).map_or_else(
        || format!("{} (unknown to this build)", job.program),
        |program| {
            let manifest = program.manifest();
            format!(
                "{} ({} proven bits, {} conjectured)",
                program.name(),
                manifest.proven_bits,
                manifest.conjectured_bits
            )
        },
    )
}

fn read(path: &Path) -> CliResult<String> {
    let unreadable = || format!("cannot read {}", path.display());
    let bytes = fs::metadata(path).with_context(unreadable).exit(Exit::NotFound)?.len();
    if bytes > FILE_BYTES_MAX {
        let name = path.display();
        return fail(Exit::Invalid, format!("{name} has {bytes} bytes, at most {FILE_BYTES_MAX}"));
    }
    fs::read_to_string(path).with_context(unreadable).exit(Exit::Invalid)
}
