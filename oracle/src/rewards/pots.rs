//! The vault's pots: found from its events, handed to the core when their time has come.
//!
//! Handing out is permissionless and costs gas; several oracles may do it, and the vault empties each
//! pot once. Whether a pot is due is decided from the contracts' own state; which pots there are is
//! read from final blocks, again after each start, so nothing is kept.

use std::collections::{BTreeMap, BTreeSet};

use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::ids::{Address, BlockNumber, EpochNumber};

use super::payroll::Payroll;
use super::scan::Scan;
use crate::abi::{IEpochTable, IFeeVault};
use crate::contracts::{ContractAddresses, evm};
use crate::finality::FinalityPolicy;
use crate::posts::Standing;
use crate::rpc::{Chain, RpcError};
use crate::sender::{SendError, Sender};
use crate::submit::record::{Post, Purpose};

/// Most pots of one transaction, as the vault says.
pub const MASKS_MAX: usize = 32;
/// Most pots that are known at once. There is one for each epoch and set of signers; beyond it, reading
/// waits until some are handed out.
const POTS_MAX: usize = 16_384;
/// Log queries of one look: a long past is caught up over several.
const QUERIES_PER_LOOK: usize = 8;
/// Most epochs that one look hands out.
const EPOCHS_PER_LOOK: usize = 16;

/// Pots of one epoch that one transaction can hand out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePots {
    /// The epoch.
    pub epoch: EpochNumber,
    /// Who did not sign, by pot; at most [`MASKS_MAX`].
    pub masks: Vec<U256>,
    /// What is in them, in wei.
    pub amount: U256,
}

impl DuePots {
    fn call(&self) -> IFeeVault::distributeCall {
        IFeeVault::distributeCall { epoch: self.epoch.get(), masks: self.masks.clone() }
    }

    /// The transaction that hands them out.
    #[must_use]
    pub fn post(&self, payroll: &Payroll) -> Post {
        Post {
            purpose: Purpose::Distribute(self.epoch),
            contract: payroll.vault,
            calldata: self.call().abi_encode(),
        }
    }
}

/// A pot with something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pot {
    /// The epoch whose members signed.
    pub epoch: EpochNumber,
    /// Its members that did not.
    pub non_signers: U256,
    /// What is in it, in wei.
    pub amount: U256,
    /// It can be handed out in a block later than this second.
    pub due_after: u64,
}

/// The pots that are known of one vault.
#[derive(Debug)]
pub struct PotBook {
    payroll: Payroll,
    start_block: u64,
    next_block: u64,
    scan_blocks_max: u64,
    pots: BTreeMap<EpochNumber, BTreeSet<U256>>,
}

impl PotBook {
    /// Knows none yet; will read from a block on, at most so many blocks at once.
    #[must_use]
    pub const fn new(payroll: Payroll, start_block: u64, scan_blocks_max: u64) -> Self {
        let pots = BTreeMap::new();
        Self { payroll, start_block, next_block: start_block, scan_blocks_max, pots }
    }

    /// Where the pots are and where they go.
    #[must_use]
    pub const fn payroll(&self) -> &Payroll {
        &self.payroll
    }

    /// Reads on to a block, which should be final, or until this look's part is done. Says whether it
    /// came to the end.
    ///
    /// # Errors
    /// See [`RpcError`]; what was read before the error is kept.
    pub async fn read_to(&mut self, chain: &Chain, last: u64) -> Result<bool, RpcError> {
        let filter = Filter::new()
            .address(evm(self.payroll.vault))
            .event_signature(IFeeVault::PotAccrued::SIGNATURE_HASH);
        let mut scan = Scan::new(filter, self.next_block, last, self.scan_blocks_max);
        for _ in 0..QUERIES_PER_LOOK {
            if self.num_pots() >= POTS_MAX {
                let block = self.next_block;
                tracing::warn!(
                    block,
                    "{POTS_MAX} pots wait; later ones are read when those are out"
                );
                return Ok(false);
            }
            let Some(logs) = scan.step(chain).await? else {
                return Ok(true);
            };
            logs.iter().for_each(|log| self.note(log));
            self.next_block = scan.next();
        }
        Ok(self.next_block > last)
    }

    /// What is due of the pots in final blocks, as posts.
    pub(crate) async fn due_posts(
        &mut self,
        chain: &Chain,
        finality: FinalityPolicy,
    ) -> Result<Vec<Post>, RpcError> {
        if let Some(head) = chain.final_head(finality).await? {
            self.read_to(chain, head.number).await?;
        }
        let due = self.due(chain).await?;
        Ok(due.iter().map(|pots| pots.post(&self.payroll)).collect())
    }

    /// Reads again from the block after this one: those that were read are gone.
    pub(crate) fn walk_back(&mut self, to: Option<BlockNumber>) {
        let next = to.map_or(self.start_block, |block| block.get().saturating_add(1));
        self.next_block = self.next_block.min(next);
    }

    fn note(&mut self, log: &Log) {
        match IFeeVault::PotAccrued::decode_log_validate(&log.inner) {
            Ok(event) => {
                let masks = self.pots.entry(EpochNumber::new(event.epoch)).or_default();
                masks.insert(event.nonSigners);
            }
            // The vault writes no such thing; a newer one does not stop the rest.
            Err(error) => tracing::error!(%error, "a pot's event is skipped"),
        }
    }

    fn num_pots(&self) -> usize {
        self.pots.values().map(BTreeSet::len).sum()
    }

    /// The pots of the oldest epochs whose time has come, at the head. Pots that are empty are
    /// forgotten: if more comes into them, the vault says so.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn due(&mut self, chain: &Chain) -> Result<Vec<DuePots>, RpcError> {
        let now = chain.latest().await?.timestamp;
        let mut all = Vec::new();
        let epochs: Vec<_> = self.pots.keys().copied().take(EPOCHS_PER_LOOK).collect();
        for epoch in epochs {
            // Epochs follow each other: the later ones are not due either.
            if now <= self.due_after(chain, epoch).await? {
                break;
            }
            let full = self.full(chain, epoch).await?;
            let masks: Vec<_> = full.iter().map(|(mask, _)| *mask).take(MASKS_MAX).collect();
            let amounts = full.iter().take(MASKS_MAX).map(|(_, amount)| *amount);
            let amount = amounts.fold(U256::ZERO, U256::saturating_add);
            if !masks.is_empty() {
                all.push(DuePots { epoch, masks, amount });
            }
        }
        Ok(all)
    }

    /// Every known pot with something in it, at the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn open(&mut self, chain: &Chain) -> Result<Vec<Pot>, RpcError> {
        let mut all = Vec::new();
        let epochs: Vec<_> = self.pots.keys().copied().collect();
        for epoch in epochs {
            let due_after = self.due_after(chain, epoch).await?;
            let full = self.full(chain, epoch).await?.into_iter();
            all.extend(full.map(|(non_signers, amount)| Pot {
                epoch,
                non_signers,
                amount,
                due_after,
            }));
        }
        Ok(all)
    }

    async fn due_after(&self, chain: &Chain, epoch: EpochNumber) -> Result<u64, RpcError> {
        let Payroll { epoch_table, interval_seconds, .. } = self.payroll;
        due_after(chain, epoch_table, interval_seconds, epoch).await
    }

    /// An epoch's pots with something in them; the others are forgotten.
    async fn full(
        &mut self,
        chain: &Chain,
        epoch: EpochNumber,
    ) -> Result<Vec<(U256, U256)>, RpcError> {
        let mut full = Vec::new();
        for mask in self.pots.get(&epoch).into_iter().flatten() {
            let amount = pot_of(chain, self.payroll.vault, epoch, *mask).await?;
            if !amount.is_zero() {
                full.push((*mask, amount));
            }
        }
        self.pots.insert(epoch, full.iter().map(|(mask, _)| *mask).collect());
        self.pots.retain(|_, masks| !masks.is_empty());
        Ok(full)
    }
}

/// Hands pots to the core.
///
/// # Errors
/// See [`SendError`].
pub async fn distribute(
    sender: &mut Sender,
    payroll: &Payroll,
    pots: &DuePots,
) -> Result<(), SendError> {
    sender.execute(payroll.vault, &pots.call(), U256::ZERO).await?;
    Ok(())
}

async fn pot_of(
    chain: &Chain,
    vault: Address,
    epoch: EpochNumber,
    mask: U256,
) -> Result<U256, RpcError> {
    let call = IFeeVault::potOfCall { epoch: epoch.get(), nonSigners: mask };
    chain.view(evm(vault), &call, BlockId::latest()).await
}

/// The end of the interval in which an epoch began.
async fn due_after(
    chain: &Chain,
    epoch_table: Address,
    interval_seconds: u64,
    epoch: EpochNumber,
) -> Result<u64, RpcError> {
    let call = IEpochTable::originOfCall { epoch: epoch.get() };
    let origin = chain.view(evm(epoch_table), &call, BlockId::latest()).await?;
    Ok(interval_end(origin.createdAt, interval_seconds))
}

const fn interval_end(second: u64, interval_seconds: u64) -> u64 {
    match second.checked_rem(interval_seconds) {
        Some(into) => (second - into).saturating_add(interval_seconds),
        None => second,
    }
}

/// Handing out is due while all its pots are full: the vault takes all or none. What somebody else
/// handed out in part comes back at the next look, in other words.
pub(crate) async fn standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    epoch: EpochNumber,
    post: &Post,
) -> Result<Standing, RpcError> {
    let Ok(call) = IFeeVault::distributeCall::abi_decode_validate(&post.calldata) else {
        return Ok(Standing::void("the stored call is of another version of the contracts"));
    };
    for mask in call.masks {
        if pot_of(chain, post.contract, epoch, mask).await?.is_zero() {
            return Ok(Standing::void("a pot was handed out by somebody else"));
        }
    }
    let vault = evm(post.contract);
    let interval = chain.view(vault, &IFeeVault::intervalSecondsCall {}, BlockId::latest()).await?;
    let now = chain.latest().await?.timestamp;
    let is_due = now > due_after(chain, contracts.epoch_table, u64::from(interval), epoch).await?;
    Ok(if is_due { Standing::Open } else { Standing::Early })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_ends_at_the_next_multiple_of_its_length() {
        for (second, end) in [(0, 10), (9, 10), (10, 20), (11, 20), (u64::MAX, u64::MAX)] {
            assert_eq!(interval_end(second, 10), end, "{second}");
        }
        assert_eq!(interval_end(7, 0), 7, "no vault has it, and nothing is divided by it");
    }
}
