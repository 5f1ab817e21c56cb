//! What requesters, provers and readers call: jobs, certificates, settlements, credits.

use alloy::primitives::{B256, U256};
use alloy::rpc::types::TransactionReceipt;
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{
    Address, BatchRoot, BlobDigest, Claim, JobId, Nonce, ProgramId, StatementDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode};
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::SettleOrder;

use super::DeployError;
use crate::abi::{self, IProofRegistry, ITaskManager, JobRequest, JobState};
use crate::contracts::{ContractAddresses, evm};
use crate::posts::{certificate_call, settle_call};
use crate::sender::Sender;

/// What a requester chooses of a contract job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The requester's own counter.
    pub nonce: Nonce,
    /// What is to be proved.
    pub program: ProgramId,
    /// Digest of the input.
    pub input: BlobDigest,
    /// Digest of the expected public values.
    pub claim: Claim,
    /// How the work is handed out.
    pub mode: Mode,
    /// Last second at which the result is of use.
    pub deadline: UnixSeconds,
    /// Resource limits.
    pub limits: JobLimits,
    /// Ordering stream; 0 is unordered.
    pub stream: u64,
    /// Position in the stream.
    pub sequence: u64,
    /// The fee that goes into escrow, in wei.
    pub fee_wei: U256,
}

/// A job on a chain.
#[derive(Debug, Clone)]
pub struct CreatedJob {
    /// The job as the contract announced it.
    pub spec: JobSpec,
    /// Its id.
    pub job: JobId,
    /// The transaction.
    pub receipt: TransactionReceipt,
}

/// Creates a job with escrow. The input is uploaded to the dispatcher separately.
///
/// # Errors
/// See [`DeployError`].
pub async fn create_job(
    requester: &mut Sender,
    contracts: &ContractAddresses,
    job: &NewJob,
) -> Result<CreatedJob, DeployError> {
    let request = JobRequest {
        nonce: job.nonce.get(),
        programId: B256::from(*job.program.as_bytes()),
        inputDigest: B256::from(*job.input.as_bytes()),
        claim: B256::from(*job.claim.as_bytes()),
        mode: job.mode.code(),
        deadline: job.deadline.get(),
        inputBytes: job.limits.input_bytes.get(),
        maxSegments: job.limits.max_segments,
        maxProofBytes: job.limits.max_proof_bytes.get(),
        stream: job.stream,
        sequence: job.sequence,
    };
    let call = ITaskManager::createJobCall { request };
    let receipt = requester.execute(contracts.task_manager, &call, job.fee_wei).await?;
    let (what, missing) = ("createJob", "a JobCreated event that decodes");
    let spec = receipt.logs().iter().find_map(|log| {
        match crate::contracts::notice(log, requester.chain().id(), contracts) {
            Ok(Some(crate::contracts::Noticed::JobCreated(spec))) => Some(*spec),
            _ => None,
        }
    });
    let spec = spec.ok_or(DeployError::Result { what, missing })?;
    Ok(CreatedJob { job: spec.id(), spec, receipt })
}

/// Posts a certificate as anybody may; a repeated one changes nothing.
///
/// # Errors
/// See [`DeployError`].
pub async fn attest(
    sender: &mut Sender,
    proof_registry: Address,
    certificate: &Certificate,
) -> Result<TransactionReceipt, DeployError> {
    let call = certificate_call(certificate);
    Ok(sender.execute(proof_registry, &call, U256::ZERO).await?)
}

/// Settles a job as anybody may.
///
/// # Errors
/// See [`DeployError`].
pub async fn settle(
    sender: &mut Sender,
    task_manager: Address,
    order: &SettleOrder,
) -> Result<TransactionReceipt, DeployError> {
    Ok(sender.execute(task_manager, &settle_call(order), U256::ZERO).await?)
}

/// Gives a job's fee back to its requester once that is due; anybody may.
///
/// # Errors
/// See [`DeployError`].
pub async fn refund(
    sender: &mut Sender,
    task_manager: Address,
    job: JobId,
) -> Result<TransactionReceipt, DeployError> {
    let call = ITaskManager::refundCall { jobId: B256::from(*job.as_bytes()) };
    Ok(sender.execute(task_manager, &call, U256::ZERO).await?)
}

/// Sends all of the sender's credit to an account.
///
/// # Errors
/// See [`DeployError`].
pub async fn withdraw(
    sender: &mut Sender,
    task_manager: Address,
    to: Address,
) -> Result<TransactionReceipt, DeployError> {
    let call = ITaskManager::withdrawCall { to: evm(to) };
    Ok(sender.execute(task_manager, &call, U256::ZERO).await?)
}

/// How sure a reader wants to be of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Attested.
    Soft,
    /// Attested, undisputed, and the challenge window is over.
    Hard,
}

/// Where a statement's leaf lies in an attested batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPosition {
    /// The batch.
    pub root: BatchRoot,
    /// Number of its leaves.
    pub count: u32,
    /// Position of the leaf.
    pub index: u32,
    /// Siblings from the leaf up.
    pub path: Vec<[u8; 32]>,
}

impl LeafPosition {
    /// As the contracts take it.
    pub(crate) fn words(&self) -> abi::BatchLeaf {
        abi::BatchLeaf {
            root: B256::from(*self.root.as_bytes()),
            count: self.count,
            index: self.index,
            path: self.path.iter().map(|node| B256::from(*node)).collect(),
        }
    }
}

/// Whether the registry holds a statement as valid.
///
/// # Errors
/// See [`DeployError`].
pub async fn is_verified(
    sender: &Sender,
    proof_registry: Address,
    statement: StatementDigest,
    leaf: &LeafPosition,
    certainty: Certainty,
) -> Result<bool, DeployError> {
    let call = IProofRegistry::isVerifiedCall {
        statement: B256::from(*statement.as_bytes()),
        leaf: leaf.words(),
        hard: certainty == Certainty::Hard,
    };
    Ok(sender.view(proof_registry, &call).await?)
}

/// What an account can withdraw, in wei.
///
/// # Errors
/// See [`DeployError`].
pub async fn credits(
    sender: &Sender,
    task_manager: Address,
    account: Address,
) -> Result<U256, DeployError> {
    let call = ITaskManager::creditsCall { account: evm(account) };
    Ok(sender.view(task_manager, &call).await?)
}

/// A job's escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escrow {
    /// Open, settled or refunded; `None` if the job does not exist.
    pub state: JobState,
    /// The fee, in wei.
    pub fee_wei: u128,
}

/// What the task manager keeps of a job.
///
/// # Errors
/// See [`DeployError`].
pub async fn escrow(
    sender: &Sender,
    task_manager: Address,
    job: JobId,
) -> Result<Escrow, DeployError> {
    let call = ITaskManager::jobsCall { jobId: B256::from(*job.as_bytes()) };
    let record = sender.view(task_manager, &call).await?;
    Ok(Escrow { state: record.state, fee_wei: record.fee })
}
