//! Between the chain's words and the core's: addresses, events, revert reasons.

use alloy::eips::BlockId;
use alloy::primitives::{Address as EvmAddress, B256, Bytes, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::{SolEvent, SolInterface};
use proofgrid_core::crypto::bls::{PublicKeyG1, PublicKeyG2, Signature};
use proofgrid_core::epoch::MemberSet;
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, EpochNumber, JobId, Nonce, ProgramId,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::SubmissionFailure;
use proofgrid_core::units::{ByteCount, UnixSeconds};

use crate::abi;
use crate::eigenlayer;
use crate::rpc::{Chain, RpcError};

/// Our contracts on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContractAddresses {
    /// `OperatorRegistrar`.
    pub operator_registrar: Address,
    /// `EpochTable`.
    pub epoch_table: Address,
    /// `TaskManager`.
    pub task_manager: Address,
    /// `ProofRegistry`.
    pub proof_registry: Address,
}

/// An address in the chain library's type.
#[must_use]
pub fn evm(address: Address) -> EvmAddress {
    EvmAddress::from(*address.as_bytes())
}

/// An address in the core's type.
#[must_use]
pub fn core_address(address: EvmAddress) -> Address {
    Address::from_bytes(address.into_array())
}

/// A key in G1 as the contracts take it.
#[must_use]
pub fn g1_key(key: &PublicKeyG1) -> abi::G1Point {
    g1(&key.to_bytes())
}

/// A signature as the contracts take it.
#[must_use]
pub fn g1_signature(signature: &Signature) -> abi::G1Point {
    g1(&signature.to_bytes())
}

fn g1(bytes: &[u8; 64]) -> abi::G1Point {
    let (x, y) = bytes.split_at(32);
    abi::G1Point { x: U256::from_be_slice(x), y: U256::from_be_slice(y) }
}

/// A key in G2 as the contracts take it: imaginary part first, as in its bytes.
#[must_use]
pub fn g2_key(key: &PublicKeyG2) -> abi::G2Point {
    let bytes = key.to_bytes();
    let (x, y) = bytes.split_at(64);
    let (x1, x0) = x.split_at(32);
    let (y1, y0) = y.split_at(32);
    let [x1, x0, y1, y0] = [x1, x0, y1, y0].map(U256::from_be_slice);
    abi::G2Point { x1, x0, y1, y0 }
}

/// The bytes of a point that a contract gave; not checked yet.
#[must_use]
pub fn g2_bytes(point: &abi::G2Point) -> [u8; 128] {
    let mut bytes = [0; 128];
    let words = [point.x1, point.x0, point.y1, point.y0];
    for (chunk, word) in bytes.chunks_exact_mut(32).zip(words) {
        chunk.copy_from_slice(&word.to_be_bytes::<32>());
    }
    bytes
}

/// A log that concerns the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// A job with escrow.
    JobCreated(Box<JobSpec>),
    /// A job's fee went back.
    JobExpired(JobId),
    /// A table was frozen.
    EpochCreated(EpochNumber),
    /// Members of an epoch may no longer sign.
    OperatorsExcluded {
        /// The epoch.
        epoch: EpochNumber,
        /// Everybody excluded so far.
        members: MemberSet,
    },
}

/// The topics of the events that are read.
#[must_use]
pub fn event_topics() -> Vec<B256> {
    vec![
        abi::IEpochTable::EpochCreated::SIGNATURE_HASH,
        abi::IEpochTable::OperatorsExcluded::SIGNATURE_HASH,
        abi::ITaskManager::JobCreated::SIGNATURE_HASH,
        abi::ITaskManager::JobRefunded::SIGNATURE_HASH,
    ]
}

/// Reads one log; `None` for events that do not concern the network.
///
/// # Errors
/// A reason when the log does not decode, or its job has another id than the contract says.
pub fn notice(
    log: &Log,
    chain: ChainId,
    contracts: &ContractAddresses,
) -> Result<Option<Noticed>, String> {
    let emitter = core_address(log.address());
    let Some(topic) = log.topic0() else {
        return Ok(None);
    };
    let undecodable = |error: alloy::sol_types::Error| format!("it does not decode: {error}");
    if emitter == contracts.epoch_table && *topic == abi::IEpochTable::EpochCreated::SIGNATURE_HASH
    {
        let event = abi::IEpochTable::EpochCreated::decode_log_validate(&log.inner);
        let epoch = event.map_err(undecodable)?.epoch;
        return Ok(Some(Noticed::EpochCreated(EpochNumber::new(epoch))));
    }
    if emitter == contracts.epoch_table
        && *topic == abi::IEpochTable::OperatorsExcluded::SIGNATURE_HASH
    {
        let event = abi::IEpochTable::OperatorsExcluded::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        return Ok(Some(Noticed::OperatorsExcluded {
            epoch: EpochNumber::new(event.epoch),
            members: members(event.mask),
        }));
    }
    if emitter == contracts.task_manager && *topic == abi::ITaskManager::JobRefunded::SIGNATURE_HASH
    {
        let event = abi::ITaskManager::JobRefunded::decode_log_validate(&log.inner);
        let job = event.map_err(undecodable)?.jobId;
        return Ok(Some(Noticed::JobExpired(JobId::from_bytes(job.0))));
    }
    if emitter == contracts.task_manager && *topic == abi::ITaskManager::JobCreated::SIGNATURE_HASH
    {
        let event = abi::ITaskManager::JobCreated::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        let spec = job_spec(&event.job)?;
        let (named, derived) = (JobId::from_bytes(event.jobId.0), spec.id());
        if named != derived || spec.target.chain != chain {
            return Err(format!("the contract names job {named}, its fields are job {derived}"));
        }
        return Ok(Some(Noticed::JobCreated(Box::new(spec))));
    }
    Ok(None)
}

/// A contract's mask of members in the core's words.
fn members(mask: U256) -> MemberSet {
    MemberSet::from_mask(&mask.to_be_bytes())
}

/// A contract's job in the core's words.
fn job_spec(job: &abi::Job) -> Result<JobSpec, String> {
    Ok(JobSpec {
        origin: Origin::from_code(job.origin).map_err(|error| error.to_string())?,
        home_chain: ChainId::new(job.homeChain),
        target: ChainContract {
            chain: ChainId::new(job.targetChain),
            contract: core_address(job.targetContract),
        },
        requester: core_address(job.requester),
        nonce: Nonce::new(job.nonce),
        program: ProgramId::from_bytes(job.programId.0),
        input: BlobDigest::from_bytes(job.inputDigest.0),
        claim: Claim::from_bytes(job.claim.0),
        mode: Mode::from_code(job.mode).map_err(|error| error.to_string())?,
        deadline: UnixSeconds::new(job.deadline),
        fee_cap: job.feeCap,
        limits: JobLimits {
            input_bytes: ByteCount::new(job.inputBytes),
            max_segments: job.maxSegments,
            max_proof_bytes: ByteCount::new(job.maxProofBytes),
        },
        stream: job.stream,
        sequence: job.sequence,
    })
}

/// Why a contract refused, in words: its custom error with arguments where it is known.
#[must_use]
pub fn explain_revert(message: &str, revert: Option<&Bytes>) -> String {
    revert.and_then(|data| named_error(data)).unwrap_or_else(|| message.to_owned())
}

/// What a refused certificate or settlement means to the dispatcher.
#[must_use]
pub fn refusal(message: &str, revert: Option<&Bytes>) -> SubmissionFailure {
    use abi::IEpochTable::IEpochTableErrors as Epochs;
    use abi::IProofRegistry::IProofRegistryErrors as Registry;
    let epochs = revert.and_then(|data| Epochs::abi_decode(data).ok());
    if let Some(Epochs::EpochNotUsable(_) | Epochs::EpochNotCovered(_)) = epochs {
        return SubmissionFailure::EpochNotAccepted;
    }
    let registry = revert.and_then(|data| Registry::abi_decode(data).ok());
    if let Some(Registry::ExcludedSigner(error)) = registry {
        return SubmissionFailure::ExcludedSigner(members(error.bits));
    }
    SubmissionFailure::Refused(explain_revert(message, revert))
}

fn named_error(data: &[u8]) -> Option<String> {
    fn decode<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
        E::abi_decode(data).ok().map(|error| format!("{error:?}"))
    }
    decode::<abi::IProofRegistry::IProofRegistryErrors>(data)
        .or_else(|| decode::<abi::ITaskManager::ITaskManagerErrors>(data))
        .or_else(|| decode::<abi::IEpochTable::IEpochTableErrors>(data))
        .or_else(|| decode::<abi::IOperatorRegistrar::IOperatorRegistrarErrors>(data))
        .or_else(|| decode::<abi::IAvsManager::IAvsManagerErrors>(data))
        .or_else(|| decode::<abi::IFeeVault::IFeeVaultErrors>(data))
        .or_else(|| decode::<abi::IBonds::IBondsErrors>(data))
        .or_else(|| decode::<abi::IRaceRounds::IRaceRoundsErrors>(data))
        .or_else(|| decode::<abi::IChallengeGame::IChallengeGameErrors>(data))
        .or_else(|| decode::<abi::ISlashingCourt::ISlashingCourtErrors>(data))
        .or_else(|| decode::<eigenlayer::abi::IAllocationManager::IAllocationManagerErrors>(data))
        .or_else(|| decode::<eigenlayer::abi::IDelegationManager::IDelegationManagerErrors>(data))
        .or_else(|| decode::<eigenlayer::abi::IStrategyManager::IStrategyManagerErrors>(data))
}

/// Checks that the addresses hold our contracts and that these belong together.
///
/// # Errors
/// [`RpcError::Unusable`] naming the contract at fault.
pub async fn check_deployed(chain: &Chain, contracts: &ContractAddresses) -> Result<(), RpcError> {
    let at = BlockId::latest();
    let unusable = |what: &'static str, why: &str| RpcError::Unusable { what, why: why.into() };
    let code = chain.code(evm(contracts.operator_registrar), at).await?;
    if code.is_empty() {
        return Err(unusable("OperatorRegistrar", "there is no contract at its address"));
    }
    let call = abi::IProofRegistry::epochTableCall {};
    let epoch_table = chain.view(evm(contracts.proof_registry), &call, at).await?;
    if core_address(epoch_table) != contracts.epoch_table {
        return Err(unusable("ProofRegistry", "it uses another EpochTable than configured"));
    }
    let call = abi::ITaskManager::registryCall {};
    let registry = chain.view(evm(contracts.task_manager), &call, at).await?;
    if core_address(registry) != contracts.proof_registry {
        return Err(unusable("TaskManager", "it uses another ProofRegistry than configured"));
    }
    Ok(())
}
