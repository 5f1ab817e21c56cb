//! The anchor of an offline check: which table the chain itself names for an epoch.

use alloy::eips::BlockId;
use alloy::primitives::B256;
use proofgrid_core::ids::{Address, EpochNumber, TableDigest};

use crate::abi::IEpochTable;
use crate::contracts::evm;
use crate::finality::FinalityPolicy;
use crate::rpc::{Chain, RpcError, block_ref};
use crate::view::ViewError;

/// The digest that an `EpochTable` contract names for an epoch, at a final block.
///
/// # Errors
/// When nothing is final yet, there is no such epoch, or the chain cannot be asked.
pub async fn table_digest(
    chain: &Chain,
    epoch_table: Address,
    finality: FinalityPolicy,
    epoch: EpochNumber,
) -> Result<TableDigest, ViewError> {
    let header = chain.final_head(finality).await?.ok_or(ViewError::NothingFinal)?;
    let at = BlockId::from(B256::from(*block_ref(&header).hash.as_bytes()));
    let call = IEpochTable::tableAtCall { epoch: epoch.get() };
    match chain.view(evm(epoch_table), &call, at).await {
        Ok(record) => Ok(TableDigest::from_bytes(record.tableDigest.0)),
        Err(RpcError::Refused { revert: Some(_), .. }) => Err(ViewError::UnknownEpoch(epoch)),
        Err(error) => Err(error.into()),
    }
}
