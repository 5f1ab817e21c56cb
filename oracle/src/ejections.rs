//! Ejections of verifiers: what is announced of one, and its answer that it stays.

use alloy::eips::BlockId;
use alloy::primitives::U256;
use proofgrid_core::crypto::bls::{BlsMessage, SecretKey};
use proofgrid_core::ids::{Address, ChainContract, Nonce};
use proofgrid_core::units::UnixSeconds;

use crate::abi::IOperatorRegistrar;
use crate::contracts::{evm, g1_signature};
use crate::rpc::{Chain, RpcError};
use crate::sender::{SendError, Sender};

/// An ejection that was proposed and neither answered nor completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Its number among the operator's ejections.
    pub nonce: Nonce,
    /// From when on anybody may complete it, and no answer helps.
    pub executable_at: UnixSeconds,
}

/// The operator's pending ejection, at the head.
///
/// # Errors
/// See [`RpcError`].
pub async fn pending(
    chain: &Chain,
    registrar: Address,
    operator: Address,
) -> Result<Option<Ejection>, RpcError> {
    let call = IOperatorRegistrar::ejectionOfCall { operator: evm(operator) };
    let found = chain.view(evm(registrar), &call, BlockId::latest()).await?;
    Ok((found.executableAt != 0).then(|| Ejection {
        nonce: Nonce::new(found.nonce),
        executable_at: UnixSeconds::new(found.executableAt),
    }))
}

/// Answers an ejection under the operator's own BLS key; any account may send it.
///
/// # Errors
/// See [`SendError`].
pub async fn answer(
    sender: &mut Sender,
    registrar: Address,
    operator: Address,
    key: &SecretKey,
    ejection: Ejection,
) -> Result<(), SendError> {
    let registry = ChainContract { chain: sender.chain().id(), contract: registrar };
    let message = BlsMessage::EjectCancel { registry, operator, nonce: ejection.nonce };
    let call = IOperatorRegistrar::cancelEjectionCall {
        operator: evm(operator),
        signature: g1_signature(&key.sign(&message)),
    };
    sender.execute(registrar, &call, U256::ZERO).await?;
    Ok(())
}
