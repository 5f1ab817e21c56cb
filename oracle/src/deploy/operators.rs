//! Verifiers join the network, and epochs are made.

use alloy::primitives::U256;
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolEvent, SolValue};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::epoch::MemberSet;
use proofgrid_core::ids::{Address, ChainContract, EpochNumber, OperatorSet};

use super::{DeployError, Deployment, queue};
use crate::abi::IEpochTable;
use crate::contracts::{ContractAddresses, g1_key, g1_signature, g2_key};
use crate::eigenlayer::{self, StakeSource};
use crate::epochs;
use crate::sender::Sender;

/// Gas limits of a roster and of a snapshot of 200 operators, which a transaction may use.
const ROSTER_GAS: u64 = 16_000_000;
const SNAPSHOT_GAS: u64 = 16_000_000;

/// The operator set of those who vote.
pub const VERIFIERS: OperatorSet = OperatorSet::new(0);

/// Puts all of the sender's stake behind the verifiers and registers it among them with its BLS key.
/// It must be an operator of the core with enough stake.
///
/// # Errors
/// See [`DeployError`].
pub async fn join_verifiers(
    operator: &mut Sender,
    deployment: &Deployment,
    key: &SecretKey,
) -> Result<(), DeployError> {
    let avs = deployment.avs();
    let data = possession(operator, &avs, key);
    eigenlayer::join_set(operator, &avs, VERIFIERS, data).await
}

/// What the registrar is given of a verifier: its key in both groups, and the signature that proves its
/// possession by this operator, here.
#[must_use]
pub fn possession(operator: &Sender, avs: &StakeSource, key: &SecretKey) -> Vec<u8> {
    let registrar = ChainContract { chain: operator.chain().id(), contract: avs.registrar };
    let proof = key.prove_possession(registrar, operator.address(), VERIFIERS);
    (g1_key(&key.public_g1()), g2_key(&key.public_g2()), g1_signature(&proof)).abi_encode_params()
}

/// Freezes the next epoch over the whole operator set; anyone may. Stores the roster first if the
/// set has changed since the last one.
///
/// # Errors
/// See [`DeployError`].
pub async fn snapshot(
    sender: &mut Sender,
    contracts: &ContractAddresses,
) -> Result<EpochNumber, DeployError> {
    let table = contracts.epoch_table;
    let Some(roster) = epochs::stale_roster(sender.chain(), contracts).await? else {
        let receipt = sender.execute(table, &IEpochTable::snapshotCall {}, U256::ZERO).await?;
        return made(&receipt);
    };
    let roster = queue(sender, table, &roster, ROSTER_GAS).await?;
    let epoch = queue(sender, table, &IEpochTable::snapshotCall {}, SNAPSHOT_GAS).await?;
    sender.wait(roster).await?;
    made(&sender.wait(epoch).await?)
}

fn made(receipt: &TransactionReceipt) -> Result<EpochNumber, DeployError> {
    let event: IEpochTable::EpochCreated = event_of(receipt, "snapshot", "EpochCreated")?;
    Ok(EpochNumber::new(event.epoch))
}

/// Takes members of an epoch out of those who may sign, for good; the owner's right.
///
/// # Errors
/// See [`DeployError`].
pub async fn exclude(
    owner: &mut Sender,
    epoch_table: Address,
    epoch: EpochNumber,
    members: &MemberSet,
) -> Result<(), DeployError> {
    let mask = U256::from_be_bytes(members.to_mask());
    let call = IEpochTable::excludeCall { epoch: epoch.get(), mask };
    owner.execute(epoch_table, &call, U256::ZERO).await?;
    Ok(())
}

fn event_of<E: SolEvent>(
    receipt: &TransactionReceipt,
    what: &'static str,
    missing: &'static str,
) -> Result<E, DeployError> {
    let mut logs = receipt.logs().iter();
    let event = logs.find_map(|log| E::decode_log_validate(&log.inner).ok());
    event.map(|event| event.data).ok_or(DeployError::Result { what, missing })
}
