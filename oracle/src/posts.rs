//! The calls that the oracle posts, and what the contracts say about each of them.
//!
//! The contracts' own state decides: an attested batch is attested and a settled job is settled,
//! whoever did it. What is not due yet (a settlement before its batch is hard) waits; what can
//! never succeed (a refunded job, an epoch that is over) is void and goes back to the dispatcher.
//!
//! A settlement may have to be secured first: a job that was attested late can be refunded before
//! its batch is hard. `hold` moves the refund behind the settlement. It costs a transaction, so it
//! is posted exactly where the contract would move anything.

use std::cmp::Ordering;

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{BlockNumber, ChainContract, JobId, StatementDigest};
use proofgrid_core::network::SubmissionFailure;
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Verdict};
use proofgrid_proto::convert::SettleOrder;
use thiserror::Error;

use crate::abi::{self, Finality, IProofRegistry, ITaskManager, JobState};
use crate::answering;
use crate::bonds::BondBook;
use crate::challenge::statement_words;
use crate::contracts::{ContractAddresses, evm, g1_signature, g2_key};
use crate::epochs;
use crate::exclusions;
use crate::locks;
use crate::races::RaceBook;
use crate::referee;
use crate::rewards::pots;
use crate::rpc::{Chain, RpcError};
use crate::submit::inclusion_of;
use crate::submit::record::{Inclusion, Post, Purpose};

/// Log queries after which the search for a stranger's transaction is given up for this step; the
/// next step begins anew.
const SEARCHES_MAX: u32 = 100;

/// Why an order of the dispatcher cannot become a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PostError {
    /// It is for another chain or contract.
    #[error(
        "it is for contract {} on chain {}, this oracle posts to {} on chain {}",
        .got.contract, .got.chain, .expected.contract, .expected.chain
    )]
    OtherTarget {
        /// Ours.
        expected: ChainContract,
        /// Its.
        got: ChainContract,
    },
}

/// What the contracts say about a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is done, by this transaction.
    Done(Inclusion),
    /// It is not due yet.
    Early,
    /// It can never be done.
    Void(SubmissionFailure),
    /// It can be done now.
    Open,
}

impl Standing {
    /// It can never be done, and nothing is wrong with that beyond the reason.
    pub(crate) fn void(reason: &str) -> Self {
        Self::Void(SubmissionFailure::Refused(reason.to_owned()))
    }
}

/// A certificate as the registry takes it.
#[must_use]
pub fn certificate_call(certificate: &Certificate) -> IProofRegistry::attestCall {
    let mut non_signers = U256::ZERO;
    for index in &certificate.non_signers {
        non_signers.set_bit(index.as_usize(), true);
    }
    IProofRegistry::attestCall {
        certificate: abi::Certificate {
            epoch: certificate.epoch.get(),
            root: B256::from(*certificate.root.as_bytes()),
            count: certificate.count,
            nonSigners: non_signers,
            signersKey2: g2_key(&certificate.signer_key),
            signature: g1_signature(&certificate.signature),
        },
    }
}

/// `ProofRegistry.attest` of a certificate.
///
/// # Errors
/// [`PostError::OtherTarget`].
pub fn attest(target: ChainContract, certificate: &Certificate) -> Result<Post, PostError> {
    if certificate.target != target {
        return Err(PostError::OtherTarget { expected: target, got: certificate.target });
    }
    Ok(Post {
        purpose: Purpose::Certificate(certificate.id()),
        contract: target.contract,
        calldata: certificate_call(certificate).abi_encode(),
    })
}

/// `TaskManager.settle` of a job.
///
/// # Errors
/// [`PostError::OtherTarget`].
pub fn settle(task_manager: ChainContract, order: &SettleOrder) -> Result<Post, PostError> {
    let purpose = Purpose::Settle(order.opened.job());
    to_task_manager(task_manager, order, purpose, settle_call(order).abi_encode())
}

/// `TaskManager.hold` of a job whose settlement is ordered.
///
/// # Errors
/// [`PostError::OtherTarget`].
pub fn hold(task_manager: ChainContract, order: &SettleOrder) -> Result<Post, PostError> {
    let ITaskManager::settleCall { jobId, settlement } = settle_call(order);
    let call = ITaskManager::holdCall { jobId, settlement };
    to_task_manager(task_manager, order, Purpose::Hold(order.opened.job()), call.abi_encode())
}

/// `ProofRegistry.verifyDirect` of a statement of one segment with its proof; `None` of others.
#[must_use]
pub fn verify_direct(
    registry: ChainContract,
    opened: &OpenedStatement,
    envelope: Vec<u8>,
) -> Option<Post> {
    let [record] = opened.records.as_slice() else {
        return None;
    };
    let call = IProofRegistry::verifyDirectCall {
        statement: statement_words(&opened.statement),
        record: record_words(record),
        envelope: envelope.into(),
    };
    Some(Post {
        purpose: Purpose::Direct { job: opened.job(), statement: opened.statement.digest() },
        contract: registry.contract,
        calldata: call.abi_encode(),
    })
}

fn to_task_manager(
    expected: ChainContract,
    order: &SettleOrder,
    purpose: Purpose,
    calldata: Vec<u8>,
) -> Result<Post, PostError> {
    let got = order.task_manager;
    if got != expected {
        return Err(PostError::OtherTarget { expected, got });
    }
    Ok(Post { purpose, contract: expected.contract, calldata })
}

/// A settlement as the task manager takes it.
#[must_use]
pub fn settle_call(order: &SettleOrder) -> ITaskManager::settleCall {
    let statement = &order.opened.statement;
    ITaskManager::settleCall {
        jobId: B256::from(*statement.job.as_bytes()),
        settlement: settlement_words(order),
    }
}

/// A statement with its leaf as the contracts take it.
pub(crate) fn settlement_words(order: &SettleOrder) -> abi::Settlement {
    let statement = &order.opened.statement;
    abi::Settlement {
        statementAttempt: statement.attempt.get(),
        manifest: B256::from(*statement.manifest.as_bytes()),
        records: order.opened.records.iter().map(record_words).collect(),
        leaf: abi::BatchLeaf {
            root: B256::from(*order.certificate.root.as_bytes()),
            count: order.certificate.count,
            index: order.leaf_index,
            path: order.path.iter().map(|node| B256::from(*node)).collect(),
        },
    }
}

/// A record as the contracts take it.
pub(crate) fn record_words(record: &SegmentRecord) -> abi::SegmentRecord {
    abi::SegmentRecord {
        index: record.index,
        first: record.first,
        count: record.count,
        vkDigest: B256::from(*record.vk.as_bytes()),
        publicValuesDigest: B256::from(*record.public_values.as_bytes()),
        proofDigest: B256::from(*record.proof.as_bytes()),
        prover: evm(record.prover),
        workUnits: record.work_units.get(),
    }
}

/// Our contracts and how their past may be searched.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    /// The contracts.
    pub contracts: ContractAddresses,
    /// Most blocks per log query, at least 1.
    pub scan_blocks_max: u64,
}

/// What the contracts say, at the head.
///
/// # Errors
/// See [`RpcError`].
pub async fn standing(chain: &Chain, archive: &Archive, post: &Post) -> Result<Standing, RpcError> {
    match post.purpose {
        Purpose::Certificate(_) => attest_standing(chain, archive, post).await,
        Purpose::Settle(job) => settle_standing(chain, archive, job, post).await,
        Purpose::Direct { job, statement } => direct_standing(chain, archive, job, statement).await,
        Purpose::Hold(job) => hold_standing(chain, &archive.contracts, job, post).await,
        Purpose::Roster(version) => {
            epochs::roster_standing(chain, &archive.contracts, version).await
        }
        Purpose::Exclusion { epoch, member } => {
            exclusions::standing(chain, &archive.contracts, epoch, member).await
        }
        Purpose::Epoch(epoch) => epochs::epoch_standing(chain, &archive.contracts, epoch).await,
        Purpose::Distribute(epoch) => pots::standing(chain, &archive.contracts, epoch, post).await,
        Purpose::Accept(lock) => {
            locks::accept_standing(&book(chain, archive, post), lock, &post.calldata).await
        }
        Purpose::Resolve(lock) => locks::resolve_standing(&book(chain, archive, post), lock).await,
        Purpose::Answer(demand) => answering::answer_standing(chain, post.contract, demand).await,
        Purpose::RaceHold(entry) => {
            let races = races(chain, archive, post);
            referee::hold_standing(&races, &archive.contracts, entry, &post.calldata).await
        }
        Purpose::RaceJudge(entry) => {
            let races = races(chain, archive, post);
            referee::judge_standing(&races, &archive.contracts, entry, &post.calldata).await
        }
        Purpose::RaceClose(round) => {
            referee::close_standing(&races(chain, archive, post), round).await
        }
        Purpose::RaceSettle(job) => {
            let races = RaceBook::of(chain.clone(), archive.contracts.task_manager).await?;
            referee::settle_standing(&races, &archive.contracts, job).await
        }
    }
}

/// The races that a post goes to.
fn races(chain: &Chain, archive: &Archive, post: &Post) -> RaceBook {
    RaceBook::at(chain.clone(), archive.contracts.task_manager, post.contract)
}

/// The book of bonds that a post goes to.
fn book(chain: &Chain, archive: &Archive, post: &Post) -> BondBook {
    BondBook::at(chain.clone(), archive.contracts.task_manager, post.contract)
}

/// Whether a certificate is attested, at the head.
///
/// # Errors
/// See [`RpcError`].
pub async fn is_attested(
    chain: &Chain,
    contracts: &ContractAddresses,
    certificate: &Certificate,
) -> Result<bool, RpcError> {
    let root = B256::from(*certificate.root.as_bytes());
    let status = status(chain, contracts, root, certificate.count).await?;
    Ok(status.finality != Finality::Unknown)
}

pub(crate) async fn status(
    chain: &Chain,
    contracts: &ContractAddresses,
    root: B256,
    count: u32,
) -> Result<abi::BatchStatus, RpcError> {
    let call = IProofRegistry::statusOfCall { root, count };
    chain.view(evm(contracts.proof_registry), &call, BlockId::latest()).await
}

async fn attest_standing(
    chain: &Chain,
    archive: &Archive,
    post: &Post,
) -> Result<Standing, RpcError> {
    let contracts = &archive.contracts;
    let Ok(call) = IProofRegistry::attestCall::abi_decode_validate(&post.calldata) else {
        return Ok(unreadable());
    };
    let certificate = call.certificate;
    let status = status(chain, contracts, certificate.root, certificate.count).await?;
    if status.finality != Finality::Unknown {
        let filter = Filter::new()
            .address(evm(contracts.proof_registry))
            .event_signature(IProofRegistry::BatchAttested::SIGNATURE_HASH)
            .topic1(certificate.root);
        // The contract says when: it is in the first block that is searched.
        let by_anybody =
            found(chain, archive, &filter, status.attestedAt, Search::Forwards).await?;
        // Gone again, or on an endpoint that is behind: the next step looks again.
        return Ok(by_anybody.map_or(Standing::Early, Standing::Done));
    }
    let call = abi::IEpochTable::isUsableCall { epoch: certificate.epoch };
    match chain.view(evm(contracts.epoch_table), &call, BlockId::latest()).await {
        Ok(true) => Ok(Standing::Open),
        Ok(false) => Ok(Standing::Void(SubmissionFailure::EpochNotAccepted)),
        // An epoch that the dispatcher knows from a final block exists; this endpoint is behind.
        Err(RpcError::Refused { .. }) => Ok(Standing::Early),
        Err(error) => Err(error),
    }
}

pub(crate) async fn job_record(
    chain: &Chain,
    contracts: &ContractAddresses,
    job: JobId,
) -> Result<abi::JobRecord, RpcError> {
    let call = ITaskManager::jobsCall { jobId: B256::from(*job.as_bytes()) };
    chain.view(evm(contracts.task_manager), &call, BlockId::latest()).await
}

async fn settle_standing(
    chain: &Chain,
    archive: &Archive,
    job: JobId,
    post: &Post,
) -> Result<Standing, RpcError> {
    let contracts = &archive.contracts;
    let Ok(call) = ITaskManager::settleCall::abi_decode_validate(&post.calldata) else {
        return Ok(unreadable());
    };
    let leaf = call.settlement.leaf;
    let batch = status(chain, contracts, leaf.root, leaf.count).await?;
    let record = job_record(chain, contracts, job).await?;
    match record.state {
        JobState::Settled => {
            let filter = Filter::new()
                .address(evm(contracts.task_manager))
                .event_signature(ITaskManager::JobSettled::SIGNATURE_HASH)
                .topic1(B256::from(*job.as_bytes()));
            // When is not known, but it was hardly long ago.
            let by_anybody =
                found(chain, archive, &filter, batch.hardAt, Search::Backwards).await?;
            Ok(by_anybody.map_or(Standing::Early, Standing::Done))
        }
        JobState::Refunded => {
            let reason = "the job's fee was refunded; there is nothing left to settle";
            Ok(Standing::void(reason))
        }
        JobState::None => {
            let reason = "the chain has no such job: the block that created it was final and is \
                          gone; the fee is with its requester, who can create the job again";
            Ok(Standing::void(reason))
        }
        JobState::Open if batch.finality == Finality::Hard => Ok(Standing::Open),
        _ => Ok(Standing::Early),
    }
}

/// Whether a job can be settled although its batch is soft, because the chain has judged the proof
/// of this statement. Its batch must be attested all the same.
///
/// # Errors
/// See [`RpcError`].
pub async fn is_hard_in_its_window(
    chain: &Chain,
    archive: &Archive,
    post: &Post,
    statement: StatementDigest,
) -> Result<bool, RpcError> {
    let Ok(call) = ITaskManager::settleCall::abi_decode_validate(&post.calldata) else {
        return Ok(false);
    };
    let contracts = &archive.contracts;
    let leaf = call.settlement.leaf;
    let batch = status(chain, contracts, leaf.root, leaf.count).await?;
    if batch.finality != Finality::Soft {
        return Ok(false);
    }
    let record = job_record(chain, contracts, JobId::from_bytes(call.jobId.0)).await?;
    let statement = B256::from(*statement.as_bytes());
    let call = IProofRegistry::leafFinalityCall { statement, verdict: Verdict::Valid.code(), leaf };
    let finality = chain.view(evm(contracts.proof_registry), &call, BlockId::latest()).await?;
    Ok(record.state == JobState::Open && finality == Finality::Hard)
}

/// A direct verification is due while its job is open and nobody has done it.
async fn direct_standing(
    chain: &Chain,
    archive: &Archive,
    job: JobId,
    statement: StatementDigest,
) -> Result<Standing, RpcError> {
    let registry = evm(archive.contracts.proof_registry);
    let statement = B256::from(*statement.as_bytes());
    let call = IProofRegistry::provedAtCall { statement };
    let proved_at = chain.view(registry, &call, BlockId::latest()).await?;
    if proved_at != 0 {
        let filter = Filter::new()
            .address(registry)
            .event_signature(IProofRegistry::StatementProved::SIGNATURE_HASH)
            .topic1(statement);
        let by_anybody = found(chain, archive, &filter, proved_at, Search::Forwards).await?;
        return Ok(by_anybody.map_or(Standing::Early, Standing::Done));
    }
    let record = job_record(chain, &archive.contracts, job).await?;
    if record.state != JobState::Open {
        let reason = "the job is over; there is nothing left to hurry for";
        return Ok(Standing::void(reason));
    }
    Ok(Standing::Open)
}

/// A hold is due while the batch is soft and the contract would move the refund for it; before the
/// batch is attested it may still become due, afterwards never.
async fn hold_standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    job: JobId,
    post: &Post,
) -> Result<Standing, RpcError> {
    let Ok(call) = ITaskManager::holdCall::abi_decode_validate(&post.calldata) else {
        return Ok(unreadable());
    };
    let leaf = call.settlement.leaf;
    let batch = status(chain, contracts, leaf.root, leaf.count).await?;
    if batch.finality == Finality::Unknown {
        return Ok(Standing::Early);
    }
    let record = job_record(chain, contracts, job).await?;
    if batch.finality != Finality::Soft || record.state != JobState::Open {
        return Ok(needless());
    }
    let (manager, at) = (evm(contracts.task_manager), BlockId::latest());
    let verify = chain.view(manager, &ITaskManager::verifySecondsCall {}, at).await?;
    let grace = chain.view(manager, &ITaskManager::graceSecondsCall {}, at).await?;
    let longest = chain.view(manager, &ITaskManager::holdSecondsMaxCall {}, at).await?;
    let scheduled = record.deadline.saturating_add(verify).saturating_add(grace);
    let wanted = batch.hardAt.saturating_add(grace).min(scheduled.saturating_add(longest));
    let refundable = scheduled.max(record.heldUntil);
    Ok(if wanted > refundable { Standing::Open } else { needless() })
}

fn needless() -> Standing {
    let reason = "the escrow needs no hold: it can be settled before it can be refunded";
    Standing::void(reason)
}

fn unreadable() -> Standing {
    let reason = "the stored call is of another version of the contracts";
    Standing::void(reason)
}

/// At which end a search begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// At the oldest block.
    Forwards,
    /// At the head.
    Backwards,
}

/// The transaction behind a log that fits, at or after a second of the chain's clock. Asks for at
/// most `scan_blocks_max` blocks at once, and for half as many each time an endpoint refuses.
async fn found(
    chain: &Chain,
    archive: &Archive,
    filter: &Filter,
    since_seconds: u64,
    search: Search,
) -> Result<Option<Inclusion>, RpcError> {
    let mut high = chain.latest().await?.number;
    let mut low = first_block_at(chain, since_seconds, high).await?;
    let mut width = archive.scan_blocks_max.max(1);
    for _ in 0..SEARCHES_MAX {
        if low > high {
            return Ok(None);
        }
        let (from, to) = match search {
            Search::Forwards => (low, low.saturating_add(width - 1).min(high)),
            Search::Backwards => (high.saturating_sub(width - 1).max(low), high),
        };
        let logs = match chain.logs(filter.clone().from_block(from).to_block(to)).await {
            Ok(logs) => logs,
            // Endpoints refuse what they think is too much, in words that differ.
            Err(RpcError::Refused { message, .. }) if to > from => {
                tracing::debug!(from, to, message, "log query refused; asking for half");
                width = (to - from).div_ceil(2);
                continue;
            }
            Err(error) => return Err(error),
        };
        let hash = logs.iter().find(|log| !log.removed).and_then(|log: &Log| log.transaction_hash);
        if let Some(hash) = hash {
            return Ok(chain.receipt(hash).await?.as_ref().and_then(inclusion_of));
        }
        match (search, from.checked_sub(1)) {
            (Search::Forwards, _) => low = to.saturating_add(1),
            (Search::Backwards, Some(below)) => high = below,
            (Search::Backwards, None) => return Ok(None),
        }
    }
    Ok(None)
}

/// The first block whose time stamp is not before `seconds`. O(log blocks) headers. A block that the
/// endpoint no longer has is older than what is looked for.
pub(crate) async fn first_block_at(
    chain: &Chain,
    seconds: u64,
    latest: u64,
) -> Result<u64, RpcError> {
    let (mut low, mut high) = (0, latest);
    while low < high {
        let middle = low + (high - low) / 2;
        let header = chain.header(BlockNumber::new(middle)).await?;
        match header.map(|header| header.timestamp.cmp(&seconds)) {
            None | Some(Ordering::Less) => low = middle + 1,
            Some(_) => high = middle,
        }
    }
    Ok(low)
}
