//! Sets a network up on a chain, and the calls that operators and requesters make.
//!
//! For the CLI, development networks and tests. Nothing here is part of the oracle's duty.

use std::collections::BTreeMap;

use alloy::primitives::{Address as EvmAddress, B256, Bytes, TxKind, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::epoch::MemberSet;
use proofgrid_core::ids::{
    Address, BlockNumber, ChainContract, EpochNumber, JobId, Nonce, OperatorSet, ProgramId,
    StatementDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode};
use proofgrid_core::units::{Stake, UnixSeconds};
use proofgrid_core::{ids::BlobDigest, ids::Claim};
use proofgrid_proto::convert::SettleOrder;
use thiserror::Error;

use crate::abi::{
    self, EpochParams, IBondedStake, IDevToken, IEpochTable, IOperatorRegistry, IProofRegistry,
    ITaskManager, JobRequest, JobState, TaskParams,
};
use crate::contracts::{ContractAddresses, core_address, evm, g1_key, g1_signature, g2_key};
use crate::creations::{Creations, artifact};
use crate::posts::{certificate_call, settle_call};
use crate::sender::{Gas, Pending, SendError, Sender};

/// Gas limit of a bonding call that depends on others of its block.
const BOND_GAS: u64 = 200_000;

/// The operator set of verifiers.
const VERIFIER_SET: OperatorSet = OperatorSet::new(0);

/// Why a set-up step failed.
#[derive(Debug, Error)]
pub enum DeployError {
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

/// The stake token of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StakeToken {
    /// A new development token that its owner mints at will.
    Development,
    /// An existing ERC-20.
    Existing(Address),
}

/// How a network is set up. All times in seconds of the chain's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployConfig {
    /// The bonded token.
    pub token: StakeToken,
    /// How long stake stays after its withdrawal began.
    pub withdrawal_delay_seconds: u64,
    /// Least stake of an operator, in the token's smallest unit.
    pub minimum_stake: Stake,
    /// Least and greatest age of an epoch, grace, windows and least totals.
    pub epochs: EpochParams,
    /// Times of a job after its deadline.
    pub tasks: TaskParams,
}

impl DeployConfig {
    /// Short times for a network on one machine: no challenge window, epochs from 30 s to 30 days.
    #[must_use]
    pub const fn development() -> Self {
        const DAY: u64 = 86_400;
        Self {
            token: StakeToken::Development,
            withdrawal_delay_seconds: 60 * DAY,
            minimum_stake: Stake::new(1_000_000_000_000_000_000),
            epochs: EpochParams {
                minEpochSeconds: 30,
                maxEpochAgeSeconds: 30 * DAY,
                graceSeconds: 20,
                challengeSeconds: 0,
                vetoSeconds: 0,
                slackSeconds: 3_600,
                lookaheadSeconds: 40 * DAY,
                minTotalStake: 1,
                minMembers: 1,
            },
            tasks: TaskParams { verifySeconds: 60, graceSeconds: 60, holdSecondsMax: 3_600 },
        }
    }
}

/// A network on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// What oracles, verifiers and requesters need.
    pub contracts: ContractAddresses,
    /// `BondedStake`.
    pub bonded_stake: Address,
    /// The stake token.
    pub token: Address,
    /// The block of each creation, by contract name; the smallest is the oracle's `start_block`.
    pub blocks: BTreeMap<&'static str, BlockNumber>,
}

impl Deployment {
    /// The first block of the network.
    #[must_use]
    pub fn start_block(&self) -> BlockNumber {
        self.blocks.values().copied().min().unwrap_or(BlockNumber::new(0))
    }
}

/// Creates a token that the sender mints at will.
///
/// # Errors
/// See [`DeployError`].
pub async fn development_token(owner: &mut Sender) -> Result<Address, DeployError> {
    let arguments = IDevToken::constructorCall { owner_: evm(owner.address()) };
    let mut creations = Creations::new(owner);
    let token = creations.create(artifact!("DevToken"), arguments).await?;
    creations.finish().await?;
    Ok(token)
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
        pending.push(queue(owner, token, &call, BOND_GAS).await?);
    }
    for pending in pending {
        owner.wait(pending).await?;
    }
    Ok(())
}

/// Creates all contracts; the sender owns them. About 12 million gas.
///
/// # Errors
/// See [`DeployError`].
pub async fn deploy_network(
    sender: &mut Sender,
    config: &DeployConfig,
) -> Result<Deployment, DeployError> {
    let owner = evm(sender.address());
    let mut creations = Creations::new(sender);
    let token = match config.token {
        StakeToken::Existing(token) => token,
        StakeToken::Development => {
            let arguments = IDevToken::constructorCall { owner_: owner };
            creations.create(artifact!("DevToken"), arguments).await?
        }
    };
    let arguments = IBondedStake::constructorCall {
        token_: evm(token),
        withdrawalDelaySeconds_: config.withdrawal_delay_seconds,
    };
    let bonded_stake = creations.create(artifact!("BondedStake"), arguments).await?;
    let arguments = IOperatorRegistry::constructorCall {
        stakeSource_: evm(bonded_stake),
        minimumStake_: config.minimum_stake.get(),
    };
    let operator_registry = creations.create(artifact!("OperatorRegistry"), arguments).await?;
    let arguments = IEpochTable::constructorCall {
        registry_: evm(operator_registry),
        stakeSource_: evm(bonded_stake),
        params_: config.epochs.clone(),
        owner_: owner,
    };
    let epoch_table = creations.create(artifact!("EpochTable"), arguments).await?;
    let arguments =
        IProofRegistry::constructorCall { epochTable_: evm(epoch_table), owner_: owner };
    let proof_registry = creations.create(artifact!("ProofRegistry"), arguments).await?;
    let arguments = ITaskManager::constructorCall {
        registry_: evm(proof_registry),
        params: config.tasks.clone(),
    };
    let task_manager = creations.create(artifact!("TaskManager"), arguments).await?;
    let blocks = creations.finish().await?;
    let contracts =
        ContractAddresses { operator_registry, epoch_table, task_manager, proof_registry };
    Ok(Deployment { contracts, bonded_stake, token, blocks })
}

/// Mints development tokens to the owner and bonds them for operators, in one or two blocks.
///
/// # Errors
/// See [`DeployError`].
pub async fn bond_development_stake(
    owner: &mut Sender,
    deployment: &Deployment,
    stakes: &[(Address, Stake)],
) -> Result<(), DeployError> {
    let total = stakes.iter().fold(U256::ZERO, |sum, (_, stake)| sum + U256::from(stake.get()));
    let token = deployment.token;
    let mint = IDevToken::mintCall { to: evm(owner.address()), amount: total };
    let approve = IDevToken::approveCall { spender: evm(deployment.bonded_stake), value: total };
    let mut pending = vec![
        queue(owner, token, &mint, BOND_GAS).await?,
        queue(owner, token, &approve, BOND_GAS).await?,
    ];
    for (operator, stake) in stakes {
        let deposit =
            IBondedStake::depositForCall { operator: evm(*operator), amount: stake.get() };
        pending.push(queue(owner, deployment.bonded_stake, &deposit, BOND_GAS).await?);
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

/// Bonds tokens of the sender for an operator; they must be the sender's already.
///
/// # Errors
/// See [`DeployError`].
pub async fn deposit_stake(
    sender: &mut Sender,
    deployment: &Deployment,
    operator: Address,
    stake: Stake,
) -> Result<(), DeployError> {
    let value = U256::from(stake.get());
    let approve = IDevToken::approveCall { spender: evm(deployment.bonded_stake), value };
    sender.execute(deployment.token, &approve, U256::ZERO).await?;
    let deposit = IBondedStake::depositForCall { operator: evm(operator), amount: stake.get() };
    sender.execute(deployment.bonded_stake, &deposit, U256::ZERO).await?;
    Ok(())
}

/// Registers the sender as a verifier with its BLS key; its stake must be there.
///
/// # Errors
/// See [`DeployError`].
pub async fn register_operator(
    sender: &mut Sender,
    registry: Address,
    key: &SecretKey,
) -> Result<(), DeployError> {
    let contract = ChainContract { chain: sender.chain().id(), contract: registry };
    let possession = key.prove_possession(contract, sender.address(), VERIFIER_SET);
    let call = IOperatorRegistry::registerCall {
        key1: g1_key(&key.public_g1()),
        key2: g2_key(&key.public_g2()),
        possession: g1_signature(&possession),
    };
    sender.execute(registry, &call, U256::ZERO).await?;
    Ok(())
}

/// Freezes the next epoch over the whole operator set; anyone may.
///
/// # Errors
/// See [`DeployError`].
pub async fn snapshot(
    sender: &mut Sender,
    contracts: &ContractAddresses,
) -> Result<EpochNumber, DeployError> {
    let call = IOperatorRegistry::operatorsCall {};
    let mut operators = sender.view(contracts.operator_registry, &call).await?;
    operators.sort();
    let call = IEpochTable::snapshotCall { operators };
    let receipt = sender.execute(contracts.epoch_table, &call, U256::ZERO).await?;
    let event: IEpochTable::EpochCreated = event_of(&receipt, "snapshot", "EpochCreated")?;
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
    pub root: proofgrid_core::ids::BatchRoot,
    /// Number of its leaves.
    pub count: u32,
    /// Position of the leaf.
    pub index: u32,
    /// Siblings from the leaf up.
    pub path: Vec<[u8; 32]>,
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
        leaf: abi::BatchLeaf {
            root: B256::from(*leaf.root.as_bytes()),
            count: leaf.count,
            index: leaf.index,
            path: leaf.path.iter().map(|node| B256::from(*node)).collect(),
        },
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

/// The address of a creation by an account at a nonce.
#[must_use]
pub fn created_address(account: Address, nonce: u64) -> Address {
    let account: EvmAddress = evm(account);
    core_address(account.create(nonce))
}
