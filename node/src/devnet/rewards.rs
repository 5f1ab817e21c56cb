//! Pay day on a development network, where nobody else is the core's rewards updater: moves the clock past
//! the day that is paid for, hands out what is in the pots, works out what everybody has earned, and posts
//! the root over it.

use std::path::{Path, PathBuf};

use alloy_primitives::{B256, U256};
use anyhow::{Context, bail};
use proofgrid_core::ids::Address;
use proofgrid_oracle::contracts::ContractAddresses;
use proofgrid_oracle::rewards::pots::{self, Pot, PotBook};
use proofgrid_oracle::rewards::{Payroll, calculation, roots};
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::sender::Sender;
use serde_json::json;

use super::anvil::FIRST_BLOCK;

/// File in the network's folder with what everybody has earned, one JSON object a line.
pub const CLAIMS_FILE: &str = "claims.jsonl";
/// Most blocks per log query.
const SCAN_BLOCKS_MAX: u64 = 10_000;
/// Looks at the pots after which something is wrong: each reads 80 000 blocks or hands out 512 pots.
const LOOKS_MAX: u32 = 100;
/// Times that handing out may fail because the network's oracle was quicker.
const FAILURES_MAX: u32 = 5;
/// Least seconds that the clock moves, so that each root is of a later time than the one before.
const STEP_SECONDS_MIN: u64 = 2;

/// What a pay day came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidOut {
    /// The file with what everybody has earned.
    pub file: PathBuf,
    /// The root over it that was posted.
    pub root: B256,
    /// Who has earned how much of the network's coin since its beginning, in wei.
    pub earned: Vec<(Address, U256)>,
}

/// Pays what is in the pots; the chain is read from its first block. `updater` is the chain's deployer,
/// who may post roots; the file goes into `folder`. Without anything new the same root is found again.
///
/// # Errors
/// When nobody has earned anything yet, the chain cannot be asked, or the core refuses.
pub async fn pay_out(
    updater: &mut Sender,
    contracts: &ContractAddresses,
    folder: &Path,
) -> anyhow::Result<PaidOut> {
    let chain = updater.chain().clone();
    let payroll = Payroll::of(&chain, contracts).await?;
    let mut book = PotBook::new(payroll, FIRST_BLOCK, SCAN_BLOCKS_MAX);
    read_all(&chain, &mut book).await?;
    let open = book.open(&chain).await?;
    pass_time(&chain, &open).await.context("the node does not move its clock; is it anvil?")?;
    hand_out(updater, &mut book).await?;
    let head = chain.latest().await?;
    let earnings = calculation::calculate(&chain, &payroll, FIRST_BLOCK, head.number).await?;
    let Some(root) = earnings.root() else {
        bail!(
            "nobody has earned anything: submit a job with --contract and a fee, and wait until it is \
             settled"
        );
    };
    let until = u32::try_from(head.timestamp.saturating_sub(1)).context("the chain's clock")?;
    let file = folder.join(CLAIMS_FILE);
    earnings.write(&file, u64::from(until))?;
    if roots::find_root(&chain, &payroll, root).await?.is_none() {
        roots::submit_root(updater, &payroll, root, until).await?;
    }
    Ok(PaidOut { file, root, earned: earnings.in_token(payroll.coin).collect() })
}

async fn read_all(chain: &Chain, book: &mut PotBook) -> anyhow::Result<()> {
    let head = chain.latest().await?.number;
    for _ in 0..LOOKS_MAX {
        if book.read_to(chain, head).await? {
            return Ok(());
        }
    }
    bail!("the chain has more blocks or pots than a development network's")
}

/// Moves the clock until every pot is due.
async fn pass_time(chain: &Chain, open: &[Pot]) -> anyhow::Result<()> {
    let due_after = open.iter().map(|pot| pot.due_after).max().unwrap_or_default();
    let now = chain.latest().await?.timestamp;
    let seconds = due_after.saturating_add(1).saturating_sub(now).max(STEP_SECONDS_MIN);
    chain.development("evm_increaseTime", json!([seconds])).await?;
    chain.development("evm_mine", json!([])).await?;
    Ok(())
}

async fn hand_out(sender: &mut Sender, book: &mut PotBook) -> anyhow::Result<()> {
    let (chain, payroll) = (sender.chain().clone(), *book.payroll());
    let mut failures = 0;
    for _ in 0..LOOKS_MAX {
        let due = book.due(&chain).await?;
        if due.is_empty() {
            return Ok(());
        }
        for pots in &due {
            match pots::distribute(sender, &payroll, pots).await {
                Ok(()) => {}
                // The network's oracle hands pots out too; the next look says what is left.
                Err(error) if failures < FAILURES_MAX => {
                    tracing::debug!(%error, "pots were not handed out");
                    failures += 1;
                }
                Err(error) => return Err(error).context("the vault does not hand the pots out"),
            }
        }
    }
    bail!("the pots fill faster than they are handed out")
}
