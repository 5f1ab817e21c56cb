//! The contracts through which verifiers are paid, found from the network's own.

use alloy::eips::BlockId;
use proofgrid_core::ids::Address;

use crate::abi::{IAvsManager, IFeeVault, IOperatorRegistrar, ITaskManager};
use crate::contracts::{ContractAddresses, core_address, evm};
use crate::rpc::{Chain, RpcError};

/// Where pay comes from and goes through. Fixed for the life of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payroll {
    /// `FeeVault`: keeps the pots.
    pub vault: Address,
    /// The token that pay arrives in: the chain's coin, wrapped.
    pub coin: Address,
    /// Length of the intervals that the core rewards.
    pub interval_seconds: u64,
    /// `EpochTable`: when epochs began.
    pub epoch_table: Address,
    /// `AvsManager`: the network's own address at the core.
    pub manager: Address,
    /// The core's `RewardsCoordinator`.
    pub coordinator: Address,
    /// The core's `DelegationManager`.
    pub delegation_manager: Address,
}

impl Payroll {
    /// Asks the network's contracts.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn of(chain: &Chain, contracts: &ContractAddresses) -> Result<Self, RpcError> {
        let at = BlockId::latest();
        let task_manager = evm(contracts.task_manager);
        let vault = chain.view(task_manager, &ITaskManager::vaultCall {}, at).await?;
        let coin = chain.view(vault, &IFeeVault::wrappedCoinCall {}, at).await?;
        let interval = chain.view(vault, &IFeeVault::intervalSecondsCall {}, at).await?;
        let registrar = evm(contracts.operator_registrar);
        let manager = chain.view(registrar, &IOperatorRegistrar::avsCall {}, at).await?;
        let coordinator = chain.view(manager, &IAvsManager::rewardsCoordinatorCall {}, at).await?;
        let delegation = chain.view(manager, &IAvsManager::delegationManagerCall {}, at).await?;
        Ok(Self {
            vault: core_address(vault),
            coin: core_address(coin),
            interval_seconds: u64::from(interval),
            epoch_table: contracts.epoch_table,
            manager: core_address(manager),
            coordinator: core_address(coordinator),
            delegation_manager: core_address(delegation),
        })
    }
}
