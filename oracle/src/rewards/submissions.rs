//! What the network asked the core to pay to operators.

use alloy::primitives::{B256, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use proofgrid_core::ids::{Address, BlockNumber};

use super::payroll::Payroll;
use super::scan::Scan;
use crate::contracts::{core_address, evm};
use crate::eigenlayer::abi::IRewardsCoordinator::OperatorDirectedAVSRewardsSubmissionCreated;
use crate::rpc::{Chain, RpcError};

/// Most blocks per log query.
pub(super) const SCAN_BLOCKS_MAX: u64 = 10_000;

/// One operator-directed submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The block that it is in.
    pub block: BlockNumber,
    /// What is paid.
    pub token: Address,
    /// The strategies whose shares count among an operator's stakers, and how much a share does in
    /// 1e-18.
    pub strategies: Vec<(Address, U256)>,
    /// What each operator and its stakers get together.
    pub rewards: Vec<(Address, U256)>,
    /// Beginning of the time that is paid for, Unix seconds.
    pub start: u64,
    /// Its length.
    pub seconds: u64,
}

/// The network's submissions in these blocks, both included, in the order of the chain.
///
/// # Errors
/// See [`RpcError`]; [`RpcError::Unusable`] when a log is not what the core writes.
pub async fn submissions(
    chain: &Chain,
    payroll: &Payroll,
    first: u64,
    last: u64,
) -> Result<Vec<Submission>, RpcError> {
    let filter = Filter::new()
        .address(evm(payroll.coordinator))
        .event_signature(OperatorDirectedAVSRewardsSubmissionCreated::SIGNATURE_HASH)
        .topic2(B256::left_padding_from(payroll.manager.as_bytes()));
    let mut logs = Scan::new(filter, first, last, SCAN_BLOCKS_MAX).finish(chain).await?;
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    logs.iter().map(read).collect()
}

fn read(log: &Log) -> Result<Submission, RpcError> {
    let unusable = |why: String| RpcError::Unusable { what: "a rewards submission's log", why };
    let event = OperatorDirectedAVSRewardsSubmissionCreated::decode_log_validate(&log.inner);
    let submission = event.map_err(|error| unusable(error.to_string()))?.data.submission;
    let block = log.block_number.ok_or_else(|| unusable("it is in no block".into()))?;
    let strategies = submission.strategiesAndMultipliers.iter();
    let rewards = submission.operatorRewards.iter();
    Ok(Submission {
        block: BlockNumber::new(block),
        token: core_address(submission.token),
        strategies: strategies
            .map(|weighed| (core_address(weighed.strategy), U256::from(weighed.multiplier)))
            .collect(),
        rewards: rewards.map(|reward| (core_address(reward.operator), reward.amount)).collect(),
        start: u64::from(submission.startTimestamp),
        seconds: u64::from(submission.duration),
    })
}
