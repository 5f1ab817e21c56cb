//! What every account has earned, for development networks, where nobody else works it out.
//!
//! It follows EigenLayer's calculation of operator-directed rewards in principle: an operator keeps its
//! part as the core knows it, and its stakers share the rest by what they have delegated, each part
//! rounded down. It is simpler in this: shares and the operator's part are taken once, in the block of
//! the submission, and not for each day that it pays for; what is left of rounding, and the stakers'
//! part of an operator without any, stays with the core; and operators are paid whether or not they
//! were registered at the time, since the network names only those who signed.
//!
//! Each submission's parts are fixed by its own block, so what an account has earned never falls from
//! one root to the next. The endpoint must have the state of those blocks.

use alloy::eips::BlockId;
use alloy::primitives::{Address as EvmAddress, B256, U256, U512};
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use proofgrid_core::ids::Address;
use std::collections::BTreeSet;
use thiserror::Error;

use super::earnings::{Earnings, EarningsError};
use super::payroll::Payroll;
use super::scan::Scan;
use super::submissions::{SCAN_BLOCKS_MAX, Submission, submissions};
use crate::contracts::{core_address, evm};
use crate::eigenlayer::abi::{IDelegationManager, IRewardsCoordinator};
use crate::rpc::{Chain, RpcError};

/// Most accounts that may ever have delegated to one operator: each costs two questions to the chain.
const STAKERS_MAX: usize = 10_000;
/// Basis points in one.
const WHOLE_BIPS: u16 = 10_000;
/// A share that counts once.
const WHOLE_MULTIPLIER: u64 = 1_000_000_000_000_000_000;

/// Why earnings could not be worked out.
#[derive(Debug, Error)]
pub enum CalculationError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The amounts do not add up.
    #[error(transparent)]
    Earnings(#[from] EarningsError),
    /// An operator has too many stakers.
    #[error(
        "{count} accounts have delegated to {operator}, more than the {STAKERS_MAX} that this \
         calculation is made for; it is for development networks"
    )]
    TooManyStakers {
        /// The operator.
        operator: Address,
        /// Its stakers.
        count: usize,
    },
}

/// What the network's submissions in these blocks, both included, give to whom. The first block must
/// not be after that of the core's first delegation.
///
/// # Errors
/// See [`CalculationError`].
pub async fn calculate(
    chain: &Chain,
    payroll: &Payroll,
    first: u64,
    last: u64,
) -> Result<Earnings, CalculationError> {
    let mut earnings = Earnings::default();
    for submission in submissions(chain, payroll, first, last).await? {
        for (operator, amount) in &submission.rewards {
            let call = IRewardsCoordinator::getOperatorAVSSplitCall {
                operator: evm(*operator),
                avs: evm(payroll.manager),
            };
            let at = BlockId::number(submission.block.get());
            let bips = chain.view(evm(payroll.coordinator), &call, at).await?;
            let stakers = stakers(chain, payroll, &submission, *operator, first).await?;
            for (earner, part) in split(*operator, *amount, bips, &stakers) {
                earnings.add(earner, submission.token, part)?;
            }
        }
    }
    Ok(earnings)
}

/// The accounts that had delegated to an operator in a submission's block, and their weights.
async fn stakers(
    chain: &Chain,
    payroll: &Payroll,
    submission: &Submission,
    operator: Address,
    first: u64,
) -> Result<Vec<(Address, U256)>, CalculationError> {
    let (delegation, block) = (evm(payroll.delegation_manager), submission.block.get());
    let filter = Filter::new()
        .address(delegation)
        .event_signature(IDelegationManager::StakerDelegated::SIGNATURE_HASH)
        .topic2(B256::left_padding_from(operator.as_bytes()));
    let logs = Scan::new(filter, first, block, SCAN_BLOCKS_MAX).finish(chain).await?;
    let decoded =
        logs.iter().map(|log| IDelegationManager::StakerDelegated::decode_log(&log.inner));
    let candidates: BTreeSet<EvmAddress> = decoded.flatten().map(|event| event.staker).collect();
    if candidates.len() > STAKERS_MAX {
        return Err(CalculationError::TooManyStakers { operator, count: candidates.len() });
    }
    let at = BlockId::number(block);
    let strategies: Vec<_> = submission.strategies.iter().map(|(it, _)| evm(*it)).collect();
    let mut weighed = Vec::with_capacity(candidates.len());
    for staker in candidates {
        // Who came may have left again.
        let call = IDelegationManager::delegatedToCall { staker };
        if chain.view(delegation, &call, at).await? != evm(operator) {
            continue;
        }
        let strategies = strategies.clone();
        let call = IDelegationManager::getWithdrawableSharesCall { staker, strategies };
        let shares = chain.view(delegation, &call, at).await?.withdrawable;
        let multipliers = submission.strategies.iter().map(|(_, multiplier)| *multiplier);
        weighed.push((core_address(staker), weight(shares.into_iter().zip(multipliers))));
    }
    Ok(weighed)
}

/// What shares count together, rounded down for each strategy.
fn weight(shares: impl Iterator<Item = (U256, U256)>) -> U256 {
    let weights = shares
        .map(|(shares, multiplier)| share_down(shares, multiplier, U256::from(WHOLE_MULTIPLIER)));
    weights.fold(U256::ZERO, U256::saturating_add)
}

/// Splits an operator's reward between it and its stakers, each part rounded down. An operator that has
/// delegated to itself is twice among them.
fn split(
    operator: Address,
    amount: U256,
    operator_bips: u16,
    stakers: &[(Address, U256)],
) -> Vec<(Address, U256)> {
    let bips = U256::from(operator_bips.min(WHOLE_BIPS));
    let own = share_down(amount, bips, U256::from(WHOLE_BIPS));
    let rest = amount.saturating_sub(own);
    let total = stakers.iter().fold(U256::ZERO, |sum, (_, weight)| sum.saturating_add(*weight));
    let parts = stakers.iter().map(|(staker, weight)| (*staker, share_down(rest, *weight, total)));
    std::iter::once((operator, own)).chain(parts).filter(|(_, part)| !part.is_zero()).collect()
}

/// `amount * part / whole`, rounded down; 0 where the whole is 0. A part is at most the whole, so the
/// result fits.
fn share_down(amount: U256, part: U256, whole: U256) -> U256 {
    let product: U512 = amount.widening_mul(part);
    let quotient = product.checked_div(U512::from(whole)).unwrap_or_default();
    quotient.saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: Address = Address::from_bytes([1; 20]);
    const FIRST: Address = Address::from_bytes([2; 20]);
    const SECOND: Address = Address::from_bytes([3; 20]);

    #[test]
    fn an_operator_keeps_its_part_and_stakers_share_the_rest_by_weight() {
        let stakers = [(FIRST, U256::from(1)), (SECOND, U256::from(2))];
        let parts = split(OPERATOR, U256::from(1_000), 1_000, &stakers);
        let expected = [(OPERATOR, 100), (FIRST, 300), (SECOND, 600)];
        assert_eq!(parts, expected.map(|(account, part)| (account, U256::from(part))));
    }

    #[test]
    fn parts_are_rounded_down_and_never_more_than_the_whole() {
        let stakers = [(FIRST, U256::from(1)), (SECOND, U256::from(2))];
        for amount in 0..200_u64 {
            let parts = split(OPERATOR, U256::from(amount), 1_000, &stakers);
            let sum: U256 = parts.iter().map(|(_, part)| *part).sum();
            assert!(sum <= U256::from(amount) && sum + U256::from(3) > U256::from(amount));
        }
        let huge = [(FIRST, U256::MAX)];
        assert_eq!(split(OPERATOR, U256::MAX, 0, &huge), [(FIRST, U256::MAX)]);
    }

    #[test]
    fn the_part_of_stakers_that_are_not_there_stays_with_the_core() {
        let own = [(OPERATOR, U256::from(100))];
        assert_eq!(split(OPERATOR, U256::from(1_000), 1_000, &[]), own);
        assert_eq!(split(OPERATOR, U256::from(1_000), 1_000, &[(FIRST, U256::ZERO)]), own);
    }

    #[test]
    fn shares_of_several_strategies_count_by_their_multipliers() {
        let one = U256::from(WHOLE_MULTIPLIER);
        let shares = [(U256::from(10), one), (U256::from(10), one * U256::from(3))];
        assert_eq!(weight(shares.into_iter()), U256::from(40));
    }
}
