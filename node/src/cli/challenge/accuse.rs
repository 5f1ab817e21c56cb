//! `challenge vote` and `challenge certificate`: accuse an operator of what it signed.

use std::path::PathBuf;

use anyhow::Context;
use proofgrid_core::certificate::JobCertificate;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, JobId, StatementAttempt};
use proofgrid_core::network::StatementEvidence;
use proofgrid_oracle::challenge::{Challenged, Outcome};
use serde::Serialize;

use super::{ActArgs, SourceArgs};
use crate::chain;
use crate::challenge::{Found, Investigation, Suspicion, evidence};
use crate::cli::NetworkArgs;
use crate::cli::certificate;
use crate::client::{Client, open_wallet};
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Whom to accuse of which vote.
#[derive(Debug, Clone, clap::Args)]
pub struct VoteArgs {
    /// Where the contracts are and who accuses.
    #[command(flatten)]
    args: ActArgs,
    /// The job.
    job: JobId,
    /// The operator.
    #[arg(long)]
    operator: Address,
    /// Which try of the statement, from 1; the newest that fits if not given.
    #[arg(long)]
    statement: Option<u32>,
    /// Where its proofs are.
    #[command(flatten)]
    sources: SourceArgs,
    /// Only say what would be accused of; nothing is sent.
    #[arg(long)]
    dry_run: bool,
}

/// Whom to accuse of having signed which certificate.
#[derive(Debug, Clone, clap::Args)]
pub struct CertificateArgs {
    /// Where the contracts are and who accuses.
    #[command(flatten)]
    args: ActArgs,
    /// The job; the dispatcher has its certificate. Not needed with a file.
    #[arg(required_unless_present = "certificate")]
    job: Option<JobId>,
    /// The job's certificate, as `certificate get` wrote it. Nobody is asked for it then.
    #[arg(long, conflicts_with = "job")]
    certificate: Option<PathBuf>,
    /// The operator.
    #[arg(long)]
    operator: Address,
    /// Where its proofs are.
    #[command(flatten)]
    sources: SourceArgs,
    /// Only say what would be accused of; nothing is sent.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct AccusationView {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable_at_unix_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<String>,
    gas_used: u64,
    bond_wei: String,
}

impl AccusationView {
    /// Nothing was sent.
    fn unsent(what: String, bond_wei: u128) -> Self {
        Self {
            what,
            outcome: None,
            case: None,
            executable_at_unix_s: None,
            tx_hash: None,
            gas_used: 0,
            bond_wei: bond_wei.to_string(),
        }
    }

    /// What the chain said.
    fn decided(self, challenged: &Challenged, executable_at_unix_s: Option<u64>) -> Self {
        let (outcome, case) = match challenged.outcome {
            Outcome::Upheld { case, .. } => ("upheld", Some(case)),
            Outcome::Duplicate { case } => ("upheld, but somebody was first", Some(case)),
            Outcome::Rejected => ("rejected", None),
        };
        Self {
            outcome: Some(outcome),
            case: case.map(|case| case.to_string()),
            executable_at_unix_s,
            tx_hash: Some(challenged.receipt.transaction_hash.to_string()),
            gas_used: challenged.gas_used,
            ..self
        }
    }
}

pub(super) fn vote(args: &VoteArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.args.network)?;
    let wallet = open_wallet(&args.args.wallet)?;
    let sources = args.sources.sources(&file);
    let suspicion = Suspicion {
        job: args.job,
        operator: args.operator,
        attempt: args.statement.map(StatementAttempt::new),
    };
    let view = block_on(async {
        let client = Client::connect(&network_of(&args.args)).await?;
        let statements = evidence(&client, args.job).await?;
        let investigation = Investigation::open(&file).await?;
        let found = investigation.investigate(&statements, suspicion, &sources, &wallet).await?;
        accuse(&investigation, found, &wallet, args.dry_run).await
    })?;
    told(&view, output)
}

pub(super) fn certificate(args: &CertificateArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.args.network)?;
    let wallet = open_wallet(&args.args.wallet)?;
    let sources = args.sources.sources(&file);
    let view = block_on(async {
        let (certificate, votes) = signed(args).await?;
        let investigation = Investigation::open(&file).await?;
        let posted = investigation.posted(&certificate).await?;
        let found = investigation
            .investigate_posted(&posted, &votes, args.operator, &sources, &wallet)
            .await?;
        accuse(&investigation, found, &wallet, args.dry_run).await
    })?;
    told(&view, output)
}

fn network_of(args: &ActArgs) -> NetworkArgs {
    NetworkArgs { network: Some(args.network.clone()), dispatcher: None }
}

/// The certificate, and the votes on its job. Whoever has the certificate needs the dispatcher for the
/// votes only, and can do without: then they are no evidence.
async fn signed(args: &CertificateArgs) -> CliResult<(JobCertificate, Vec<StatementEvidence>)> {
    let network = network_of(&args.args);
    if let Some(path) = &args.certificate {
        let found = certificate::of_file(path)?;
        let votes = async {
            let client = Client::connect(&network).await?;
            evidence(&client, found.evidence.job.id()).await
        };
        let votes = votes.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "no votes; the certificate alone is looked at");
            Vec::new()
        });
        return Ok((found, votes));
    }
    let job = args.job.context("name the job, or the file with its certificate")?;
    let client = Client::connect(&network).await?;
    let (found, _) = certificate::fetch(&client, job).await?;
    Ok((found, evidence(&client, job).await?))
}

/// Commits and reveals, unless nothing is to be sent.
async fn accuse(
    investigation: &Investigation,
    found: Found,
    wallet: &WalletKey,
    dry_run: bool,
) -> CliResult<AccusationView> {
    let arena = investigation.arena;
    let view = AccusationView::unsent(found.what, arena.bond_wei);
    if dry_run {
        return Ok(view);
    }
    let mut sender = chain::sender(investigation.chain().clone(), wallet)?;
    let challenged = arena
        .accuse(&mut sender, &found.accusation)
        .await
        .context("the accusation did not go through; made again, it goes on where it was")
        .exit(Exit::Refused)?;
    let executable_at = match challenged.outcome {
        Outcome::Upheld { case, .. } | Outcome::Duplicate { case } => {
            Some(arena.case(investigation.chain(), case).await?.executable_at)
        }
        Outcome::Rejected => None,
    };
    Ok(view.decided(&challenged, executable_at))
}

fn told(view: &AccusationView, output: Format) -> CliResult {
    print_accusation(view, output)?;
    if view.outcome == Some("rejected") {
        return fail(
            Exit::Invalid,
            "the chain's judge does not refuse the proof; the bond is lost",
        );
    }
    Ok(())
}

fn print_accusation(view: &AccusationView, output: Format) -> CliResult {
    if output == Format::Json {
        return Ok(output::json(view, false)?);
    }
    output::line(&view.what);
    match (view.outcome, &view.case) {
        (None, _) => output::line(&format!(
            "nothing was sent; an accusation binds {} wei until it is decided",
            view.bond_wei
        )),
        (Some(outcome), Some(case)) => {
            output::line(&format!("{outcome}: case {case}"));
            output::line(&format!(
                "the bond came back; from second {} on: proofgrid challenge execute {case}",
                view.executable_at_unix_s.unwrap_or_default()
            ));
        }
        (Some(outcome), None) => output::line(outcome),
    }
    Ok(())
}
