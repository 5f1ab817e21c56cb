//! Roots over what was earned: posted by the core's rewards updater, claimed under by everybody.

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use alloy::sol_types::SolCall;
use proofgrid_core::ids::Address;
use thiserror::Error;

use super::earnings::Earnings;
use super::payroll::Payroll;
use crate::contracts::{core_address, evm, explain_revert};
use crate::eigenlayer::abi::{IRewardsCoordinator, RewardsClaim};
use crate::rpc::{Chain, RpcError};
use crate::sender::{SendError, Sender};

/// A root that was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedRoot {
    /// Its place among them.
    pub index: u32,
    /// Second from which it can be claimed under.
    pub active_at: u64,
    /// Whether it was taken back.
    pub is_disabled: bool,
}

/// Why nothing was claimed.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The transaction did not come about.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The account is not in the distribution.
    #[error(
        "{earner} has no line for the network's coin {coin} in the distribution; what was handed to \
         the core is in a root only after the updater's next calculation"
    )]
    NothingEarned {
        /// The account.
        earner: Address,
        /// The network's coin.
        coin: Address,
    },
    /// The file is not what a root was made of.
    #[error(
        "no root {root} was posted to {coordinator}, so the file is not a whole distribution of this \
         network's core; fetch the one that belongs to the newest root"
    )]
    RootUnknown {
        /// Of the file; zero for an empty one.
        root: B256,
        /// The core's contract.
        coordinator: Address,
    },
    /// The root was taken back.
    #[error(
        "root {index} was disabled by the core's rewards updater; fetch the distribution of a later one"
    )]
    RootDisabled {
        /// Its index.
        index: u32,
    },
    /// The root is young.
    #[error(
        "root {index} can be claimed under from second {active_at} on, it is {now}; try again then"
    )]
    RootNotActive {
        /// Its index.
        index: u32,
        /// From when.
        active_at: u64,
        /// The newest block's time.
        now: u64,
    },
    /// All of it was claimed.
    #[error("{earner} has claimed all {claimed} wei that this distribution gives to it")]
    AlreadyClaimed {
        /// The account.
        earner: Address,
        /// What it has claimed.
        claimed: U256,
    },
    /// Somebody else claims for the account.
    #[error("only {claimer} may claim for {earner}, and the wallet is {wallet}; use that one's")]
    NotClaimer {
        /// Who earned it.
        earner: Address,
        /// Who may claim.
        claimer: Address,
        /// Who tried to.
        wallet: Address,
    },
    /// The core says no.
    #[error("the core refuses the claim: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
}

/// Posts a root; the right of the core's rewards updater alone. `until` is the end of the time that was
/// worked out, Unix seconds: later than of the root before, and in the past.
///
/// # Errors
/// See [`SendError`].
pub async fn submit_root(
    updater: &mut Sender,
    payroll: &Payroll,
    root: B256,
    until: u32,
) -> Result<(), SendError> {
    let call = IRewardsCoordinator::submitRootCall { root, rewardsCalculationEndTimestamp: until };
    updater.execute(payroll.coordinator, &call, U256::ZERO).await?;
    Ok(())
}

/// The posted root with this hash, if there is one.
///
/// # Errors
/// See [`RpcError`].
pub async fn find_root(
    chain: &Chain,
    payroll: &Payroll,
    root: B256,
) -> Result<Option<PostedRoot>, RpcError> {
    let (coordinator, at) = (evm(payroll.coordinator), BlockId::latest());
    let call = IRewardsCoordinator::getRootIndexFromHashCall { rootHash: root };
    let index = match chain.view(coordinator, &call, at).await {
        Ok(index) => index,
        Err(RpcError::Refused { revert: Some(_), .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let call = IRewardsCoordinator::getDistributionRootAtIndexCall { index: U256::from(index) };
    let posted = chain.view(coordinator, &call, at).await?;
    let active_at = u64::from(posted.activatedAt);
    Ok(Some(PostedRoot { index, active_at, is_disabled: posted.disabled }))
}

/// What an account has claimed of the network's coin so far, from whichever network of the core.
///
/// # Errors
/// See [`RpcError`].
pub async fn claimed(chain: &Chain, payroll: &Payroll, earner: Address) -> Result<U256, RpcError> {
    let call = IRewardsCoordinator::cumulativeClaimedCall {
        earner: evm(earner),
        token: evm(payroll.coin),
    };
    chain.view(evm(payroll.coordinator), &call, BlockId::latest()).await
}

/// Claims what an account has earned in the network's coin and not claimed yet, for `to`. The sender is
/// the account, or whom that named as its claimer. Returns the amount in wei.
///
/// # Errors
/// See [`ClaimError`]; nothing was sent unless it is [`ClaimError::Send`].
pub async fn claim(
    sender: &mut Sender,
    payroll: &Payroll,
    earnings: &Earnings,
    earner: Address,
    to: Address,
) -> Result<U256, ClaimError> {
    let coin = payroll.coin;
    let chain = sender.chain().clone();
    let earned = earnings.of(earner, coin).ok_or(ClaimError::NothingEarned { earner, coin })?;
    let index = claimable_root(&chain, payroll, earnings).await?;
    let before = claimed(&chain, payroll, earner).await?;
    if earned <= before {
        return Err(ClaimError::AlreadyClaimed { earner, claimed: before });
    }
    check_claimer(&chain, payroll, earner, sender.address()).await?;
    let claim = earnings.claim(earner, coin, index);
    let claim = claim.ok_or(ClaimError::NothingEarned { earner, coin })?;
    check(&chain, payroll, &claim).await?;
    let call = IRewardsCoordinator::processClaimCall { claim, recipient: evm(to) };
    sender.execute(payroll.coordinator, &call, U256::ZERO).await?;
    Ok(earned.saturating_sub(before))
}

/// The index of the root over these earnings, if it can be claimed under now.
async fn claimable_root(
    chain: &Chain,
    payroll: &Payroll,
    earnings: &Earnings,
) -> Result<u32, ClaimError> {
    let root = earnings.root();
    let posted = match root {
        Some(root) => find_root(chain, payroll, root).await?,
        None => None,
    };
    let coordinator = payroll.coordinator;
    let PostedRoot { index, active_at, is_disabled } =
        posted.ok_or(ClaimError::RootUnknown { root: root.unwrap_or_default(), coordinator })?;
    let now = chain.latest().await?.timestamp;
    if is_disabled {
        return Err(ClaimError::RootDisabled { index });
    }
    if now < active_at {
        return Err(ClaimError::RootNotActive { index, active_at, now });
    }
    Ok(index)
}

async fn check_claimer(
    chain: &Chain,
    payroll: &Payroll,
    earner: Address,
    wallet: Address,
) -> Result<(), ClaimError> {
    let call = IRewardsCoordinator::claimerForCall { earner: evm(earner) };
    let named = chain.view(evm(payroll.coordinator), &call, BlockId::latest()).await?;
    let claimer = if named.is_zero() { earner } else { core_address(named) };
    if claimer == wallet {
        return Ok(());
    }
    Err(ClaimError::NotClaimer { earner, claimer, wallet })
}

/// Asks the core whether a claim's proofs hold.
///
/// # Errors
/// [`ClaimError::Refused`] in the core's words.
pub async fn check(
    chain: &Chain,
    payroll: &Payroll,
    claim: &RewardsClaim,
) -> Result<(), ClaimError> {
    let call = IRewardsCoordinator::checkClaimCall { claim: claim.clone() };
    let what = IRewardsCoordinator::checkClaimCall::SIGNATURE;
    match chain.view(evm(payroll.coordinator), &call, BlockId::latest()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(ClaimError::Refused { reason: format!("{what} says no") }),
        Err(RpcError::Refused { message, revert, .. }) => {
            Err(ClaimError::Refused { reason: explain_revert(&message, revert.as_ref()) })
        }
        Err(error) => Err(error.into()),
    }
}
