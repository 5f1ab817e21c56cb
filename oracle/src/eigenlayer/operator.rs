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
const ALLOCATE_GAS: u64 = 600_000;
const REGISTER_GAS: u64 = 1_500_000;

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

/// Puts all of the sender's stake behind one operator set of an AVS and registers it there; the AVS's
/// registrar is given `data`. It must be an operator of the core already.
///
/// # Errors
/// See [`DeployError`].
pub async fn join_set(
    operator: &mut Sender,
    core: &CoreContracts,
    avs: Address,
    set: SetNumber,
    data: Vec<u8>,
) -> Result<(), DeployError> {
    let account = evm(operator.address());
    let allocate = IAllocationManager::modifyAllocationsCall {
        operator: account,
        params: vec![AllocateParams {
            operatorSet: OperatorSet { avs: evm(avs), id: set.get() },
            strategies: vec![evm(core.strategy)],
            newMagnitudes: vec![WHOLE_MAGNITUDE],
        }],
    };
    let register = IAllocationManager::registerForOperatorSetsCall {
        operator: account,
        params: RegisterParams {
            avs: evm(avs),
            operatorSetIds: vec![set.get()],
            data: data.into(),
        },
    };
    let pending = [
        queue(operator, core.allocation_manager, &allocate, ALLOCATE_GAS).await?,
        queue(operator, core.allocation_manager, &register, REGISTER_GAS).await?,
    ];
    for pending in pending {
        operator.wait(pending).await?;
    }
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
