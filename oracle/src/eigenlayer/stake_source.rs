//! Where stake comes from: the network as the restaking core knows it, found from its registrar alone,
//! and how an operator stands there. On-chain the same port is `IStakeSource`, which epochs are made of.

use alloy::eips::BlockId;
use alloy::primitives::U256;
use proofgrid_core::ids::{Address, OperatorSet as SetNumber};

use super::abi::{IAllocationManager, IDelegationManager, OperatorSet};
use crate::abi::{IAvsManager, IOperatorRegistrar};
use crate::contracts::{core_address, evm};
use crate::rpc::{Chain, RpcError};

/// Where stake comes from and operators act: the network at the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StakeSource {
    /// `AvsManager`: the network's own address at the core.
    pub manager: Address,
    /// `OperatorRegistrar`.
    pub registrar: Address,
    /// The core's `AllocationManager`.
    pub allocation_manager: Address,
    /// The core's `DelegationManager`.
    pub delegation_manager: Address,
    /// The strategies that count, ascending.
    pub strategies: Vec<Address>,
}

/// How an operator stands in one operator set of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorStanding {
    /// Whether the core knows it as an operator.
    pub is_operator: bool,
    /// Whether it is in the set.
    pub is_member: bool,
    /// What is slashable of it in the set and stays so; 0 outside.
    pub stake: u128,
    /// The least that the set asks for.
    pub minimum: u128,
    /// By strategy: shares delegated, and the part of them allocated to the set in 1e-18.
    pub strategies: Vec<(Address, U256, u64)>,
}

impl StakeSource {
    /// Asks the registrar and what it names.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn of(chain: &Chain, registrar: Address) -> Result<Self, RpcError> {
        let at = BlockId::latest();
        let manager = chain.view(evm(registrar), &IOperatorRegistrar::avsCall {}, at).await?;
        let allocation = chain.view(manager, &IAvsManager::allocationManagerCall {}, at).await?;
        let delegation = chain.view(manager, &IAvsManager::delegationManagerCall {}, at).await?;
        let stakes = chain.view(manager, &IAvsManager::stakesCall {}, at).await?;
        Ok(Self {
            manager: core_address(manager),
            registrar,
            allocation_manager: core_address(allocation),
            delegation_manager: core_address(delegation),
            strategies: stakes.iter().map(|stake| core_address(stake.strategy)).collect(),
        })
    }

    /// How an operator stands at the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn standing(
        &self,
        chain: &Chain,
        operator: Address,
        set: SetNumber,
    ) -> Result<OperatorStanding, RpcError> {
        let at = BlockId::latest();
        let (operator, delegation) = (evm(operator), evm(self.delegation_manager));
        let call = IDelegationManager::isOperatorCall { operator };
        let is_operator = chain.view(delegation, &call, at).await?;
        let call = IAvsManager::isMemberCall { operator, set: set.get() };
        let is_member = chain.view(evm(self.manager), &call, at).await?;
        let registrar = evm(self.registrar);
        let call = IOperatorRegistrar::minimumStakeOfCall { set: set.get() };
        let minimum = chain.view(registrar, &call, at).await?;
        let call = IOperatorRegistrar::stakeOfCall { operator, set: set.get() };
        // The core answers for members only.
        let stake = if is_member { chain.view(registrar, &call, at).await? } else { 0 };
        let mut strategies = Vec::with_capacity(self.strategies.len());
        for address in &self.strategies {
            let strategy = evm(*address);
            let call = IDelegationManager::operatorSharesCall { operator, strategy };
            let shares = chain.view(delegation, &call, at).await?;
            let call = IAllocationManager::getAllocationCall {
                operator,
                operatorSet: OperatorSet { avs: evm(self.manager), id: set.get() },
                strategy,
            };
            let allocation = chain.view(evm(self.allocation_manager), &call, at).await?;
            strategies.push((*address, shares, allocation.currentMagnitude));
        }
        Ok(OperatorStanding { is_operator, is_member, stake, minimum, strategies })
    }
}
