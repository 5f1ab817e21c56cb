//! What stakers and operators do on the core.

use alloy::primitives::{Address as EvmAddress, B256, Bytes, U256};
use proofgrid_core::ids::{Address, OperatorSet as SetNumber};
use proofgrid_core::units::Stake;

use super::abi::{
    AllocateParams, IAllocationManager, IDelegationManager, IStrategyManager, OperatorSet,
    RegisterParams, SignatureWithExpiry,
};
use super::deploy::CoreContracts;
use crate::abi::IDevToken;
use crate::contracts::evm;
use crate::deploy::{DeployError, queue};
use crate::sender::Sender;

/// Gas limits of calls that depend on others of their block; measured at half of it.
const APPROVE_GAS: u64 = 100_000;
const DEPOSIT_GAS: u64 = 500_000;
const DELEGATE_GAS: u64 = 500_000;

/// All of an operator's magnitude, as the core counts it.
const WHOLE_MAGNITUDE: u64 = 1_000_000_000_000_000_000;

/// Makes the sender an operator that anybody may delegate to, with allocations that count at once.
///
/// # Errors
/// See [`DeployError`].
pub async fn register_as_operator(
    operator: &mut Sender,
    core: &CoreContracts,
    metadata_uri: &str,
) -> Result<(), DeployError> {
    let call = IDelegationManager::registerAsOperatorCall {
        initDelegationApprover: EvmAddress::ZERO,
        allocationDelay: 0,
        metadataURI: metadata_uri.to_owned(),
    };
    operator.execute(core.delegation_manager, &call, U256::ZERO).await?;
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

/// Puts all of the sender's stake behind one operator set of an AVS.
///
/// # Errors
/// See [`DeployError`].
pub async fn allocate(
    operator: &mut Sender,
    core: &CoreContracts,
    avs: Address,
    set: SetNumber,
) -> Result<(), DeployError> {
    let call = IAllocationManager::modifyAllocationsCall {
        operator: evm(operator.address()),
        params: vec![AllocateParams {
            operatorSet: OperatorSet { avs: evm(avs), id: set.get() },
            strategies: vec![evm(core.strategy)],
            newMagnitudes: vec![WHOLE_MAGNITUDE],
        }],
    };
    operator.execute(core.allocation_manager, &call, U256::ZERO).await?;
    Ok(())
}

/// Registers the sender for operator sets of an AVS, whose registrar is given `data`.
///
/// # Errors
/// See [`DeployError`].
pub async fn register_for_sets(
    operator: &mut Sender,
    core: &CoreContracts,
    avs: Address,
    sets: &[SetNumber],
    data: Vec<u8>,
) -> Result<(), DeployError> {
    let call = IAllocationManager::registerForOperatorSetsCall {
        operator: evm(operator.address()),
        params: RegisterParams {
            avs: evm(avs),
            operatorSetIds: sets.iter().map(|set| set.get()).collect(),
            data: data.into(),
        },
    };
    operator.execute(core.allocation_manager, &call, U256::ZERO).await?;
    Ok(())
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
