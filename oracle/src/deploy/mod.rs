//! Sets a network up on a chain, and the calls that operators and requesters make.
//!
//! For the CLI, development networks and tests. Nothing here is part of the oracle's duty.

mod jobs;
mod network;
mod operators;

pub use jobs::{
    Certainty, CreatedJob, Escrow, LeafPosition, NewJob, attest, create_job, credits, escrow,
    is_verified, refund, settle, withdraw,
};
pub use network::{DeployConfig, Deployment, deploy_development};
pub use operators::{VERIFIERS, exclude, join_verifiers, possession, snapshot};

use alloy::primitives::{Address as EvmAddress, Bytes, TxKind, U256};
use alloy::sol_types::SolCall;
use proofgrid_core::ids::Address;
use proofgrid_core::units::Stake;
use thiserror::Error;

use crate::abi::IDevToken;
use crate::contracts::{core_address, evm};
use crate::rpc::RpcError;
use crate::sender::{Gas, Pending, SendError, Sender};

/// Gas limit of a mint.
const MINT_GAS: u64 = 200_000;

/// Why a set-up step failed.
#[derive(Debug, Error)]
pub enum DeployError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction did not come about.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The committed artifact is not readable.
    #[error("contracts/abi/{name}.json is unusable: {why}; build the contracts again")]
    Artifact {
        /// The contract.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A transaction did not have its expected result.
    #[error("{what} went through without {missing}; the contract is of another version")]
    Result {
        /// The call.
        what: &'static str,
        /// What is missing.
        missing: &'static str,
    },
}

/// Mints development tokens to several accounts, in one or two blocks.
///
/// # Errors
/// See [`DeployError`].
pub async fn mint(
    owner: &mut Sender,
    token: Address,
    amounts: &[(Address, Stake)],
) -> Result<(), DeployError> {
    let mut pending = Vec::new();
    for (account, amount) in amounts {
        let call = IDevToken::mintCall { to: evm(*account), amount: U256::from(amount.get()) };
        pending.push(queue(owner, token, &call, MINT_GAS).await?);
    }
    for pending in pending {
        owner.wait(pending).await?;
    }
    Ok(())
}

/// Broadcasts a call with a fixed gas limit, since it may depend on others of its block.
pub(crate) async fn queue<C: SolCall>(
    sender: &mut Sender,
    contract: Address,
    call: &C,
    gas_limit: u64,
) -> Result<Pending, SendError> {
    let to = TxKind::Call(evm(contract));
    let input = Bytes::from(call.abi_encode());
    sender.send(C::SIGNATURE, to, U256::ZERO, input, Gas::Limit(gas_limit)).await
}

/// The address of a creation by an account at a nonce.
#[must_use]
pub fn created_address(account: Address, nonce: u64) -> Address {
    let account: EvmAddress = evm(account);
    core_address(account.create(nonce))
}
