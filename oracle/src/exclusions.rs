//! Members that were ejected while an epoch of theirs is accepted: their keys are made to count no
//! more before the next epoch leaves them out.
//!
//! Anybody may do it, oracles that keep epochs rolling do. Looked at only while the operator set is
//! not the one of the newest epoch, which an ejection always brings about.

use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{EpochNumber, MemberIndex};

use crate::abi::{IEpochTable, IOperatorRegistrar};
use crate::contracts::{ContractAddresses, evm};
use crate::posts::Standing;
use crate::rpc::{Chain, RpcError};
use crate::submit::record::{Post, Purpose};

/// What is due of the newest epoch and the one before it, which is accepted for its grace. One look
/// asks for five views an epoch, and one for each member that left.
///
/// # Errors
/// See [`RpcError`]; [`RpcError::Unusable`] when a table is none.
pub(crate) async fn due_posts(
    chain: &Chain,
    contracts: &ContractAddresses,
    newest: u64,
) -> Result<Vec<Post>, RpcError> {
    let (registrar, at) = (evm(contracts.operator_registrar), BlockId::latest());
    let operators = chain.view(registrar, &IOperatorRegistrar::operatorsCall {}, at).await?;
    let mut posts = Vec::new();
    for epoch in [newest, newest.saturating_sub(1)].into_iter().filter(|epoch| *epoch > 0) {
        let table = evm(contracts.epoch_table);
        if !chain.view(table, &IEpochTable::isUsableCall { epoch }, at).await? {
            continue;
        }
        let began = chain.view(table, &IEpochTable::originOfCall { epoch }, at).await?.createdAt;
        let excluded = chain.view(table, &IEpochTable::tableAtCall { epoch }, at).await?.excluded;
        let bytes = chain.view(table, &IEpochTable::tableOfCall { epoch }, at).await?;
        let members = EpochTable::parse(&bytes).map_err(|error| RpcError::Unusable {
            what: "an epoch's table",
            why: error.to_string(),
        })?;
        for (index, member) in members.indices().zip(members.members()) {
            let operator = evm(member.operator);
            if excluded.bit(index.as_usize()) || operators.contains(&operator) {
                continue;
            }
            let call = IOperatorRegistrar::ejectedAtCall { operator };
            if chain.view(registrar, &call, at).await? >= U256::from(began) {
                posts.push(exclusion(contracts, EpochNumber::new(epoch), index));
            }
        }
    }
    Ok(posts)
}

fn exclusion(contracts: &ContractAddresses, epoch: EpochNumber, member: MemberIndex) -> Post {
    let index = U256::from(member.get());
    let call = IEpochTable::excludeEjectedCall { epoch: epoch.get(), index };
    Post {
        purpose: Purpose::Exclusion { epoch, member },
        contract: contracts.epoch_table,
        calldata: call.abi_encode(),
    }
}

/// An exclusion is due while the epoch is accepted and the member is not excluded.
pub(crate) async fn standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    epoch: EpochNumber,
    member: MemberIndex,
) -> Result<Standing, RpcError> {
    let (table, at, epoch) = (evm(contracts.epoch_table), BlockId::latest(), epoch.get());
    let excluded = chain.view(table, &IEpochTable::tableAtCall { epoch }, at).await?.excluded;
    let usable = chain.view(table, &IEpochTable::isUsableCall { epoch }, at).await?;
    Ok(if usable && !excluded.bit(member.as_usize()) {
        Standing::Open
    } else {
        Standing::void("the member is excluded, or its epoch is over")
    })
}
