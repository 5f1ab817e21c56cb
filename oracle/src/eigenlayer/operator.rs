//! What stakers and operators do on the core.

use alloy::primitives::{Address as EvmAddress, B256, Bytes, U256};
use proofgrid_core::ids::{Address, OperatorSet as SetNumber};
use proofgrid_core::units::Stake;

use super::abi::{
    AllocateParams, DeregisterParams, IAllocationManager, IDelegationManager, IStrategyManager,
    OperatorSet, RegisterParams, SignatureWithExpiry,
};
use super::deploy::CoreContracts;
use super::stake_source::StakeSource;
use crate::abi::IDevToken;
use crate::contracts::evm;
use crate::deploy::{DeployError, queue};
use crate::sender::Sender;

/// Gas limits of calls that depend on others of their block; measured at half of it.
const APPROVE_GAS: u64 = 100_000;
const DEPOSIT_GAS: u64 = 500_000;
const DELEGATE_GAS: u64 = 500_000;
const ALLOCATE_GAS: u64 = 600_000;
const REGISTER_GAS: u64 = 1_500_000;

/// All of an operator's magnitude, as the core counts it.
pub const WHOLE_MAGNITUDE: u64 = 1_000_000_000_000_000_000;

/// Makes the sender an operator that anybody may delegate to, with allocations that count at once.
///
/// # Errors
/// See [`DeployError`].
pub async fn register_as_operator(
    operator: &mut Sender,
    delegation_manager: Address,
    metadata_uri: &str,
) -> Result<(), DeployError> {
    let call = IDelegationManager::registerAsOperatorCall {
        initDelegationApprover: EvmAddress::ZERO,
        allocationDelay: 0,
        metadataURI: metadata_uri.to_owned(),
    };
    operator.execute(delegation_manager, &call, U256::ZERO).await?;
    Ok(())
}

/// Deposits the sender's tokens and delegates them to an operator; they must be the sender's already.
/// A staker has one operator for all that it deposits.
///
/// # Errors
/// See [`DeployError`].
pub async fn delegate_stake(
    staker: &mut Sender,
    core: &CoreContracts,
    operator: Address,
    stake: Stake,
) -> Result<(), DeployError> {
    let amount = U256::from(stake.get());
    let approve = IDevToken::approveCall { spender: evm(core.strategy_manager), value: amount };
    let deposit = IStrategyManager::depositIntoStrategyCall {
        strategy: evm(core.strategy),
        token: evm(core.token),
        amount,
    };
    let delegate = IDelegationManager::delegateToCall {
        operator: evm(operator),
        // Operators that ask for no approval take none.
        approverSignatureAndExpiry: SignatureWithExpiry {
            signature: Bytes::new(),
            expiry: U256::ZERO,
        },
        approverSalt: B256::ZERO,
    };
    let pending = [
        queue(staker, core.token, &approve, APPROVE_GAS).await?,
        queue(staker, core.strategy_manager, &deposit, DEPOSIT_GAS).await?,
        queue(staker, core.delegation_manager, &delegate, DELEGATE_GAS).await?,
    ];
    for pending in pending {
        staker.wait(pending).await?;
    }
    Ok(())
}

/// Puts a part of the sender's stake, in 1e-18, behind one operator set of the network. It counts after
/// the operator's own allocation delay.
///
/// # Errors
/// See [`DeployError`].
pub async fn allocate(
    operator: &mut Sender,
    avs: &StakeSource,
    set: SetNumber,
    magnitude: u64,
) -> Result<(), DeployError> {
    let call = allocate_call(operator.address(), avs, set, magnitude);
    operator.execute(avs.allocation_manager, &call, U256::ZERO).await?;
    Ok(())
}

/// Registers the sender in one operator set of the network, whose registrar is given `data`.
///
/// # Errors
/// See [`DeployError`].
pub async fn register(
    operator: &mut Sender,
    avs: &StakeSource,
    set: SetNumber,
    data: Vec<u8>,
) -> Result<(), DeployError> {
    let call = register_call(operator.address(), avs, set, data);
    operator.execute(avs.allocation_manager, &call, U256::ZERO).await?;
    Ok(())
}

/// Takes the sender out of one operator set of the network. Its stake stays slashable for the core's
/// deallocation delay.
///
/// # Errors
/// See [`DeployError`].
pub async fn deregister(
    operator: &mut Sender,
    avs: &StakeSource,
    set: SetNumber,
) -> Result<(), DeployError> {
    let call = IAllocationManager::deregisterFromOperatorSetsCall {
        params: DeregisterParams {
            operator: evm(operator.address()),
            avs: evm(avs.manager),
            operatorSetIds: vec![set.get()],
        },
    };
    operator.execute(avs.allocation_manager, &call, U256::ZERO).await?;
    Ok(())
}

/// [`allocate`] of all stake and [`register`], both in flight at once; the sender must be an operator
/// already, without an allocation delay.
///
/// # Errors
/// See [`DeployError`].
pub async fn join_set(
    operator: &mut Sender,
    avs: &StakeSource,
    set: SetNumber,
    data: Vec<u8>,
) -> Result<(), DeployError> {
    let account = operator.address();
    let allocate = allocate_call(account, avs, set, WHOLE_MAGNITUDE);
    let register = register_call(account, avs, set, data);
    let pending = [
        queue(operator, avs.allocation_manager, &allocate, ALLOCATE_GAS).await?,
        queue(operator, avs.allocation_manager, &register, REGISTER_GAS).await?,
    ];
    for pending in pending {
        operator.wait(pending).await?;
    }
    Ok(())
}

fn allocate_call(
    operator: Address,
    avs: &StakeSource,
    set: SetNumber,
    magnitude: u64,
) -> IAllocationManager::modifyAllocationsCall {
    IAllocationManager::modifyAllocationsCall {
        operator: evm(operator),
        params: vec![AllocateParams {
            operatorSet: OperatorSet { avs: evm(avs.manager), id: set.get() },
            strategies: avs.strategies.iter().copied().map(evm).collect(),
            newMagnitudes: vec![magnitude; avs.strategies.len()],
        }],
    }
}

fn register_call(
    operator: Address,
    avs: &StakeSource,
    set: SetNumber,
    data: Vec<u8>,
) -> IAllocationManager::registerForOperatorSetsCall {
    IAllocationManager::registerForOperatorSetsCall {
        operator: evm(operator),
        params: RegisterParams {
            avs: evm(avs.manager),
            operatorSetIds: vec![set.get()],
            data: data.into(),
        },
    }
}

/// What is delegated to an operator, slashing taken off.
///
/// # Errors
/// See [`DeployError`].
pub async fn operator_shares(
    sender: &Sender,
    core: &CoreContracts,
    operator: Address,
) -> Result<U256, DeployError> {
    let call = IDelegationManager::operatorSharesCall {
        operator: evm(operator),
        strategy: evm(core.strategy),
    };
    Ok(sender.view(core.delegation_manager, &call).await?)
}
