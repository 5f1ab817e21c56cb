//! The two calls that the oracle posts, and what the contracts say about each of them.
//!
//! The contracts' own state decides: an attested batch is attested and a settled job is settled,
//! whoever did it. What is not due yet (a settlement before its batch is hard) waits; what can
//! never succeed (a refunded job, an epoch that is over) is void and goes back to the dispatcher.

use std::cmp::Ordering;

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{BlockNumber, ChainContract, JobId};
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_proto::convert::SettleOrder;
use thiserror::Error;

use crate::abi::{self, Finality, IProofRegistry, ITaskManager, JobState};
use crate::contracts::{ContractAddresses, evm, g1_signature, g2_key};
use crate::rpc::{Chain, RpcError};
use crate::submit::inclusion_of;
use crate::submit::record::{Inclusion, Post};

/// Blocks per query when a stranger's transaction is looked for.
const SEARCH_BLOCKS: u64 = 1_000;
/// Queries after which the search is given up for this step; the next one begins anew.
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
        subject: SubmissionSubject::Certificate(certificate.id()),
        contract: target.contract,
        calldata: certificate_call(certificate).abi_encode(),
    })
}

/// `TaskManager.settle` of a job.
///
/// # Errors
/// [`PostError::OtherTarget`].
pub fn settle(task_manager: ChainContract, order: &SettleOrder) -> Result<Post, PostError> {
    if order.task_manager != task_manager {
        let got = order.task_manager;
        return Err(PostError::OtherTarget { expected: task_manager, got });
    }
    Ok(Post {
        subject: SubmissionSubject::Settle(order.opened.job()),
        contract: task_manager.contract,
        calldata: settle_call(order).abi_encode(),
    })
}

/// A settlement as the task manager takes it.
#[must_use]
pub fn settle_call(order: &SettleOrder) -> ITaskManager::settleCall {
    let statement = &order.opened.statement;
    ITaskManager::settleCall {
        jobId: B256::from(*statement.job.as_bytes()),
        settlement: abi::Settlement {
            statementAttempt: statement.attempt.get(),
            manifest: B256::from(*statement.manifest.as_bytes()),
            records: order.opened.records.iter().map(record).collect(),
            leaf: abi::BatchLeaf {
                root: B256::from(*order.certificate.root.as_bytes()),
                count: order.certificate.count,
                index: order.leaf_index,
                path: order.path.iter().map(|node| B256::from(*node)).collect(),
            },
        },
    }
}

fn record(record: &SegmentRecord) -> abi::SegmentRecord {
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

/// What the contracts say, at the head.
///
/// # Errors
/// See [`RpcError`].
pub async fn standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    post: &Post,
) -> Result<Standing, RpcError> {
    match post.subject {
        SubmissionSubject::Certificate(_) => attest_standing(chain, contracts, post).await,
        SubmissionSubject::Settle(job) => settle_standing(chain, contracts, job, post).await,
    }
}

async fn status(
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
    contracts: &ContractAddresses,
    post: &Post,
) -> Result<Standing, RpcError> {
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
        return Ok(found(chain, filter, status.attestedAt).await?.map_or(
            // Gone again, or on an endpoint that is behind: the next step looks again.
            Standing::Early,
            Standing::Done,
        ));
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

async fn settle_standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    job: JobId,
    post: &Post,
) -> Result<Standing, RpcError> {
    let Ok(call) = ITaskManager::settleCall::abi_decode_validate(&post.calldata) else {
        return Ok(unreadable());
    };
    let leaf = call.settlement.leaf;
    let batch = status(chain, contracts, leaf.root, leaf.count).await?;
    let id = B256::from(*job.as_bytes());
    let call = ITaskManager::jobsCall { jobId: id };
    let record = chain.view(evm(contracts.task_manager), &call, BlockId::latest()).await?;
    match record.state {
        JobState::Settled => {
            let filter = Filter::new()
                .address(evm(contracts.task_manager))
                .event_signature(ITaskManager::JobSettled::SIGNATURE_HASH)
                .topic1(id);
            let by_other = found(chain, filter, batch.hardAt).await?;
            Ok(by_other.map_or(Standing::Early, Standing::Done))
        }
        JobState::Refunded => {
            let reason = "the job's fee was refunded; there is nothing left to settle";
            Ok(Standing::Void(SubmissionFailure::Refused(reason.into())))
        }
        JobState::Open if batch.finality == Finality::Hard => Ok(Standing::Open),
        _ => Ok(Standing::Early),
    }
}

fn unreadable() -> Standing {
    let reason = "the stored call is of another version of the contracts";
    Standing::Void(SubmissionFailure::Refused(reason.into()))
}

/// The transaction behind the first log that fits, at or after a second of the chain's clock.
async fn found(
    chain: &Chain,
    filter: Filter,
    since_seconds: u64,
) -> Result<Option<Inclusion>, RpcError> {
    let latest = chain.latest().await?.number;
    let mut from = first_block_at(chain, since_seconds, latest).await?;
    for _ in 0..SEARCHES_MAX {
        if from > latest {
            return Ok(None);
        }
        let to = from.saturating_add(SEARCH_BLOCKS - 1).min(latest);
        let logs = chain.logs(filter.clone().from_block(from).to_block(to)).await?;
        let hash = logs.iter().find(|log| !log.removed).and_then(|log: &Log| log.transaction_hash);
        if let Some(hash) = hash {
            return Ok(chain.receipt(hash).await?.as_ref().and_then(inclusion_of));
        }
        from = to.saturating_add(1);
    }
    Ok(None)
}

/// The first block whose time stamp is not before `seconds`. O(log blocks) headers.
async fn first_block_at(chain: &Chain, seconds: u64, latest: u64) -> Result<u64, RpcError> {
    let (mut low, mut high) = (0, latest);
    while low < high {
        let middle = low + (high - low) / 2;
        let header = chain.header(BlockNumber::new(middle)).await?;
        match header.map(|header| header.timestamp.cmp(&seconds)) {
            Some(Ordering::Less) => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
