//! `challenge demand`, `answer` and `close`: proofs that nobody shows.

use std::path::PathBuf;

use alloy_primitives::B256;
use anyhow::Context;
use proofgrid_core::certificate::JobCertificate;
use proofgrid_core::ids::{JobId, StatementDigest};
use proofgrid_core::network::StatementEvidence;
use proofgrid_core::units::UnixSeconds;
use proofgrid_oracle::abi::DemandState;
use proofgrid_oracle::challenge::{Arena, ChallengeError, Demand, DemandId};
use proofgrid_oracle::rpc::Chain;
use serde::Serialize;

use super::{ActArgs, SourceArgs};
use crate::chain;
use crate::challenge::{Investigation, ended};
use crate::cli::NetworkArgs;
use crate::cli::certificate;
use crate::client::{Client, open_wallet};
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Whose proof is demanded.
#[derive(Debug, Clone, clap::Args)]
pub struct DemandArgs {
    /// Where the contracts are and whose bond it is.
    #[command(flatten)]
    args: ActArgs,
    /// The job; the dispatcher has its certificate. Not needed with a file.
    #[arg(required_unless_present = "certificate")]
    job: Option<JobId>,
    /// The job's certificate, as `certificate get` wrote it. Nobody is asked for it then.
    #[arg(long, conflicts_with = "job")]
    certificate: Option<PathBuf>,
    /// The segment, from 0.
    #[arg(long, default_value_t = 0)]
    segment: u32,
    /// Where it is looked for before it is demanded.
    #[command(flatten)]
    sources: SourceArgs,
    /// Demand it although it was found: whoever shows it gets the bond, and everybody can read it.
    #[arg(long)]
    although_found: bool,
    /// Only say what would be at stake; nothing is sent.
    #[arg(long)]
    dry_run: bool,
}

/// What is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct AnswerArgs {
    /// Where the contracts are and who shows it.
    #[command(flatten)]
    args: ActArgs,
    /// The statement, as `challenge show` names it.
    statement: StatementDigest,
    /// The segment, from 0.
    #[arg(long, default_value_t = 0)]
    segment: u32,
    /// Where its bytes are.
    #[command(flatten)]
    sources: SourceArgs,
}

/// Which demand is over.
#[derive(Debug, Clone, clap::Args)]
pub struct CloseArgs {
    /// Where the contracts are and who pays the gas.
    #[command(flatten)]
    args: ActArgs,
    /// The statement, as `challenge show` names it.
    statement: StatementDigest,
    /// The segment, from 0.
    #[arg(long, default_value_t = 0)]
    segment: u32,
}

/// A demand on one of a job's proofs.
#[derive(Debug, Serialize)]
pub(super) struct DemandRow {
    statement: String,
    segment: u32,
    state: &'static str,
    until_unix_s: u64,
    demander: String,
    proof: String,
}

impl DemandRow {
    fn of(id: DemandId, demand: &Demand) -> Self {
        Self {
            statement: id.statement.to_string(),
            segment: id.segment,
            state: match demand.state {
                DemandState::Open => "open",
                DemandState::Answered => "answered",
                DemandState::Unanswered => "unanswered",
                DemandState::None | DemandState::__Invalid => "none",
            },
            until_unix_s: demand.until.get(),
            demander: demand.demander.to_string(),
            proof: demand.proof.to_string(),
        }
    }

    /// What it means, and what can be done about it.
    pub(super) fn text(&self) -> String {
        let Self { statement, segment, until_unix_s: until, demander, .. } = self;
        let about = format!("the proof of segment {segment}");
        match self.state {
            "open" => format!(
                "{demander} demands {about} until second {until}. Whoever has it shows it and gets \
                 the bond: proofgrid challenge answer {statement} --segment {segment}. After that \
                 second anybody withdraws the leaf: proofgrid challenge close {statement} --segment \
                 {segment}"
            ),
            "answered" => {
                format!("{about} was demanded, and was shown: it is in the chain's calldata")
            }
            _ => format!("nobody showed {about} until second {until}: its leaf is withdrawn"),
        }
    }
}

#[derive(Debug, Serialize)]
struct DemandedView {
    statement: String,
    segment: u32,
    bond_wei: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_unix_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<String>,
    gas_used: u64,
}

#[derive(Debug, Serialize)]
struct DoneView {
    statement: String,
    segment: u32,
    bond_wei: String,
    tx_hash: String,
    gas_used: u64,
}

/// The demands on proofs of these statements, as far as their programs' proofs can be demanded.
pub(super) async fn of_statements(
    file: &NetworkFile,
    statements: &[StatementEvidence],
) -> CliResult<Vec<DemandRow>> {
    let (chain, contracts) = chain::of_network(file)?;
    let arena = match Arena::of(&chain, contracts.proof_registry).await {
        Ok(arena) => arena,
        Err(ChallengeError::NoGame) => return Ok(Vec::new()),
        Err(error) => return Err(error).exit(Exit::Unreachable),
    };
    let mut rows = Vec::new();
    for found in statements {
        let statement = &found.opened.statement;
        if !arena.takes_proofs(&chain, statement.program).await.exit(Exit::Unreachable)? {
            continue;
        }
        for record in &found.opened.records {
            let id = DemandId { statement: statement.digest(), segment: record.index };
            let kept = arena.demand_of(&chain, id).await.exit(Exit::Unreachable)?;
            if kept.state != DemandState::None {
                rows.push(DemandRow::of(id, &kept));
            }
        }
    }
    Ok(rows)
}

async fn certified(args: &DemandArgs) -> CliResult<JobCertificate> {
    if let Some(path) = &args.certificate {
        return certificate::of_file(path);
    }
    let job = args.job.context("name the job, or the file with its certificate")?;
    let network = NetworkArgs { network: Some(args.args.network.clone()), dispatcher: None };
    let (found, _) = certificate::fetch(&Client::connect(&network).await?, job).await?;
    Ok(found)
}

pub(super) fn demand(args: &DemandArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.args.network)?;
    let wallet = open_wallet(&args.args.wallet)?;
    let view = block_on(async {
        let found = certified(args).await?;
        let investigation = Investigation::open(&file).await?;
        let posted = investigation.posted(&found).await?;
        let (arena, segment) = (investigation.arena, args.segment);
        let record = posted.opened.records.iter().find(|record| record.index == segment);
        let Some(record) = record else {
            let segments = posted.opened.statement.num_segments;
            return Err(ChallengeError::NoSegment { index: segment, segments })
                .exit(Exit::NotFound);
        };
        let shown = args.sources.sources(&file).read(record.proof).await;
        if shown.is_ok() && !args.although_found {
            return fail(
                Exit::Refused,
                "the proof can be had: a demand would give its bond to whoever shows it. Nothing \
                 was sent; --although-found demands it nevertheless",
            );
        }
        let mut view = DemandedView {
            statement: posted.statement().to_string(),
            segment,
            bond_wei: arena.demand_bond_wei.to_string(),
            until_unix_s: None,
            tx_hash: None,
            gas_used: 0,
        };
        if args.dry_run {
            return Ok(view);
        }
        let chain = investigation.chain();
        let mut sender = chain::sender(chain.clone(), &wallet)?;
        let sent = arena.demand(&mut sender, &posted.opened, segment, &posted.leaf).await;
        let receipt = sent.map_err(|error| ended(error, Exit::Refused))?;
        let id = DemandId { statement: posted.statement(), segment };
        let kept = arena.demand_of(chain, id).await.exit(Exit::Unreachable)?;
        view.until_unix_s = Some(kept.until.get());
        view.tx_hash = Some(receipt.transaction_hash.to_string());
        view.gas_used = receipt.gas_used;
        Ok(view)
    })?;
    print_demanded(&view, output)
}

fn print_demanded(view: &DemandedView, output: Format) -> CliResult {
    if output == Format::Json {
        return Ok(output::json(view, false)?);
    }
    let DemandedView { statement, segment, bond_wei, .. } = view;
    let Some(until) = view.until_unix_s else {
        output::line(&format!(
            "nothing was sent; a demand binds {bond_wei} wei, which whoever shows the proof of \
             segment {segment} of {statement} gets, and which come back if nobody does"
        ));
        return Ok(());
    };
    output::line(&format!(
        "{bond_wei} wei are bound: whoever shows the proof of segment {segment} by second {until} \
         gets them"
    ));
    output::line(&format!(
        "if nobody does, after that second: proofgrid challenge close {statement} --segment \
         {segment}. Then the leaf is withdrawn, the job's fee can be refunded, the bond comes back, \
         and nobody is slashed"
    ));
    Ok(())
}

/// A demand that is open, and the second of the newest block.
async fn open_demand(
    chain: &Chain,
    arena: &Arena,
    id: DemandId,
) -> CliResult<(Demand, UnixSeconds)> {
    let kept = arena.demand_of(chain, id).await.exit(Exit::Unreachable)?;
    let row = DemandRow::of(id, &kept);
    match kept.state {
        DemandState::Open => {
            let now = chain.latest().await.exit(Exit::Unreachable)?.timestamp;
            Ok((kept, UnixSeconds::new(now)))
        }
        DemandState::Answered | DemandState::Unanswered => fail(Exit::Refused, row.text()),
        DemandState::None | DemandState::__Invalid => fail(
            Exit::NotFound,
            format!("nobody demands the proof of segment {} of {}", id.segment, id.statement),
        ),
    }
}

pub(super) fn answer(args: &AnswerArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.args.network)?;
    let wallet = open_wallet(&args.args.wallet)?;
    let id = DemandId { statement: args.statement, segment: args.segment };
    let view = block_on(async {
        let (chain, contracts) = chain::of_network(&file)?;
        let arena = Arena::of(&chain, contracts.proof_registry).await.exit(Exit::Unreachable)?;
        let (kept, now) = open_demand(&chain, &arena, id).await?;
        if !kept.can_be_answered(now) {
            let until = kept.until.get();
            return fail(
                Exit::Refused,
                format!(
                    "the time to show it was over at second {until}; its leaf will be withdrawn"
                ),
            );
        }
        let envelope = args.sources.sources(&file).read(kept.proof).await.exit(Exit::NotFound)?;
        let mut sender = chain::sender(chain, &wallet)?;
        let sent = arena.answer(&mut sender, id, envelope).await;
        let receipt = sent.map_err(|error| ended(error, Exit::Refused))?;
        let (tx, gas_used) = (receipt.transaction_hash, receipt.gas_used);
        Ok(DoneView::new(id, arena.demand_bond_wei, tx, gas_used))
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "shown in transaction {}; {} wei are yours: proofgrid challenge withdraw",
            view.tx_hash, view.bond_wei
        )),
    }
    Ok(())
}

pub(super) fn close(args: &CloseArgs, output: Format) -> CliResult {
    let file = NetworkFile::read(&args.args.network)?;
    let wallet = open_wallet(&args.args.wallet)?;
    let id = DemandId { statement: args.statement, segment: args.segment };
    let (view, demander) = block_on(async {
        let (chain, contracts) = chain::of_network(&file)?;
        let arena = Arena::of(&chain, contracts.proof_registry).await.exit(Exit::Unreachable)?;
        let (kept, now) = open_demand(&chain, &arena, id).await?;
        if kept.can_be_answered(now) {
            let until = kept.until.get();
            return fail(Exit::Refused, format!("it can be answered until second {until}"));
        }
        let mut sender = chain::sender(chain, &wallet)?;
        let sent = arena.close_unanswered(&mut sender, id).await;
        let receipt = sent.map_err(|error| ended(error, Exit::Refused))?;
        let (tx, gas_used) = (receipt.transaction_hash, receipt.gas_used);
        Ok((DoneView::new(id, arena.demand_bond_wei, tx, gas_used), kept.demander))
    })?;
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => output::line(&format!(
            "the leaf is withdrawn in transaction {}; {demander} may withdraw its bond of {} wei, the \
             job's requester its fee when the escrow is due, and nobody is slashed",
            view.tx_hash, view.bond_wei
        )),
    }
    Ok(())
}

impl DoneView {
    fn new(id: DemandId, bond_wei: u128, tx: B256, gas_used: u64) -> Self {
        Self {
            statement: id.statement.to_string(),
            segment: id.segment,
            bond_wei: bond_wei.to_string(),
            tx_hash: tx.to_string(),
            gas_used,
        }
    }
}
