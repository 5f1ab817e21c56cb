//! Steps of a network's set-up that share blocks: many accounts funded, many programs registered or
//! said to be bound to their prover.

use alloy::primitives::{B256, Bytes, TxKind, U256};
use alloy::sol_types::SolCall;
use proofgrid_core::ids::{Address, ManifestDigest, ProgramId};

use crate::abi::{IProofRegistry, IRaceRounds};
use crate::contracts::evm;
use crate::sender::{Gas, SendError, Sender};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// Sends the same amount to each account; returns when all have it.
///
/// # Errors
/// See [`SendError`].
pub async fn fund(sender: &mut Sender, accounts: &[Address], value: U256) -> Result<(), SendError> {
    let mut pending = Vec::new();
    for account in accounts {
        let (to, gas) = (TxKind::Call(evm(*account)), Gas::Limit(TRANSFER_GAS));
        pending.push(sender.send("transfer", to, value, Bytes::new(), gas).await?);
    }
    for pending in pending {
        sender.wait(pending).await?;
    }
    Ok(())
}

/// Makes each manifest the current one of its program; the owner's right.
///
/// # Errors
/// See [`SendError`].
pub async fn register_programs(
    owner: &mut Sender,
    proof_registry: Address,
    programs: &[(ProgramId, ManifestDigest)],
) -> Result<(), SendError> {
    let mut pending = Vec::new();
    for (program, manifest) in programs {
        let call = IProofRegistry::registerProgramCall {
            program: B256::from(*program.as_bytes()),
            manifest: B256::from(*manifest.as_bytes()),
        };
        let to = TxKind::Call(evm(proof_registry));
        let input = Bytes::from(call.abi_encode());
        let what = IProofRegistry::registerProgramCall::SIGNATURE;
        pending.push(owner.send(what, to, U256::ZERO, input, Gas::Estimate).await?);
    }
    for pending in pending {
        owner.wait(pending).await?;
    }
    Ok(())
}

/// Says of each program that its proofs are bound to their prover, so that it can be raced; the
/// owner's right.
///
/// # Errors
/// See [`SendError`].
pub async fn allow_races(
    owner: &mut Sender,
    race_rounds: Address,
    programs: &[ProgramId],
) -> Result<(), SendError> {
    let mut pending = Vec::new();
    for program in programs {
        let program_id = B256::from(*program.as_bytes());
        let call = IRaceRounds::setProverBoundCall { programId: program_id, proverBound: true };
        let (to, input) = (TxKind::Call(evm(race_rounds)), Bytes::from(call.abi_encode()));
        let what = IRaceRounds::setProverBoundCall::SIGNATURE;
        pending.push(owner.send(what, to, U256::ZERO, input, Gas::Estimate).await?);
    }
    for pending in pending {
        owner.wait(pending).await?;
    }
    Ok(())
}
