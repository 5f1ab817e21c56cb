//! Provers' bonds: what a prover, its node and the oracle do at the `Bonds` contract.
//!
//! A bond is coins that a prover deposited. Part of it is locked for a task when an acceptance that
//! the prover signed is posted, and freed, less a penalty, when the job has ended. Who delivers is
//! the prover itself: `deliver` counts only from its own account.

use alloy::eips::BlockId;
use alloy::primitives::{B256, Bytes, U256};
use alloy::rpc::types::{Filter, TransactionReceipt};
use alloy::sol_types::SolEvent;
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::bond::{AcceptedLease, BondedLease};
use proofgrid_core::ids::{Address, ChainContract, JobId, TaskId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::units::UnixSeconds;
use thiserror::Error;

use crate::abi::{self, IBonds, ITaskManager, JobState, LockState};
use crate::contracts::{core_address, evm};
use crate::rpc::{Chain, RpcError};
use crate::sender::{SendError, Sender};

/// Log queries after which the search for locks is given up.
const SEARCHES_MAX: u32 = 1_000;
/// Most blocks per log query; endpoints that refuse so many are asked for fewer.
const SEARCH_BLOCKS_MAX: u64 = 10_000;
/// Most locks that a search gives.
const LOCKS_MAX: usize = 10_000;

/// Why the book of bonds cannot be used.
#[derive(Debug, Error)]
pub enum BondError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction did not come about.
    #[error(transparent)]
    Send(#[from] SendError),
    /// An amount does not fit the contract's 128 bits.
    #[error("{0} wei are more than a bond can hold; name at most 2^128 - 1")]
    Amount(U256),
}

/// `Bonds.accept`, as anybody may post it.
#[must_use]
pub fn accept_call(accepted: &AcceptedLease) -> IBonds::acceptCall {
    let lease = &accepted.lease;
    IBonds::acceptCall {
        job: job_words(&lease.spec),
        segment: lease.segment,
        deadline: lease.terms.deadline.get(),
        amount: lease.terms.amount,
        prover: evm(accepted.prover),
        signature: Bytes::from(accepted.signature.to_bytes()),
    }
}

/// A job as the contracts take it.
fn job_words(spec: &JobSpec) -> abi::Job {
    abi::Job {
        origin: spec.origin.code(),
        homeChain: spec.home_chain.get(),
        targetChain: spec.target.chain.get(),
        targetContract: evm(spec.target.contract),
        requester: evm(spec.requester),
        nonce: spec.nonce.get(),
        programId: B256::from(*spec.program.as_bytes()),
        inputDigest: B256::from(*spec.input.as_bytes()),
        claim: B256::from(*spec.claim.as_bytes()),
        mode: spec.mode.code(),
        deadline: spec.deadline.get(),
        feeCap: spec.fee_cap,
        inputBytes: spec.limits.input_bytes.get(),
        maxSegments: spec.limits.max_segments,
        maxProofBytes: spec.limits.max_proof_bytes.get(),
        stream: spec.stream,
        sequence: spec.sequence,
    }
}

/// Which lock: there is one per job, task and prover at a time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct LockId {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// Whose bond.
    pub prover: Address,
}

impl LockId {
    /// The lock that an accepted lease makes.
    #[must_use]
    pub fn of(accepted: &AcceptedLease) -> Self {
        let lease = &accepted.lease;
        Self { job: lease.spec.id(), task: lease.task(), prover: accepted.prover }
    }

    fn words(&self) -> (B256, B256) {
        (B256::from(*self.job.as_bytes()), B256::from(*self.task.as_bytes()))
    }

    /// `Bonds.resolve`.
    #[must_use]
    pub fn resolve_call(&self) -> IBonds::resolveCall {
        let (job_id, task) = self.words();
        IBonds::resolveCall { jobId: job_id, task, prover: evm(self.prover) }
    }
}

/// A lock as the contract keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Which.
    pub id: LockId,
    /// Bond at stake, in wei.
    pub amount: u128,
    /// Last second to deliver.
    pub deadline: UnixSeconds,
    /// How it stands.
    pub state: LockState,
}

impl Lock {
    /// Whether coins are locked by it.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, LockState::Locked | LockState::Delivered)
    }
}

/// A prover's bonded coins, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What can be withdrawn or locked.
    pub free: u128,
    /// What is at stake.
    pub locked: u128,
}

/// The `Bonds` contract of a network, read at the head.
#[derive(Debug, Clone)]
pub struct BondBook {
    chain: Chain,
    task_manager: Address,
    bonds: Address,
}

impl BondBook {
    /// Asks the task manager which contract keeps the bonds of its jobs.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn of(chain: Chain, task_manager: Address) -> Result<Self, RpcError> {
        let call = ITaskManager::bondsCall {};
        let bonds = chain.view(evm(task_manager), &call, BlockId::latest()).await?;
        Ok(Self { chain, task_manager, bonds: core_address(bonds) })
    }

    /// The book at an address that is known already.
    #[must_use]
    pub const fn at(chain: Chain, task_manager: Address, bonds: Address) -> Self {
        Self { chain, task_manager, bonds }
    }

    /// The contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.bonds
    }

    /// A prover's coins.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn account(&self, prover: Address) -> Result<Account, RpcError> {
        let call = IBonds::accountsCall { prover: evm(prover) };
        let found = self.chain.view(evm(self.bonds), &call, BlockId::latest()).await?;
        Ok(Account { free: found.free, locked: found.locked })
    }

    /// A lock; its state is `None` if there never was one.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn lock(&self, id: LockId) -> Result<Lock, RpcError> {
        let (job_id, task) = id.words();
        let call = IBonds::lockOfCall { jobId: job_id, task, prover: evm(id.prover) };
        let found = self.chain.view(evm(self.bonds), &call, BlockId::latest()).await?;
        Ok(Lock {
            id,
            amount: found.amount,
            deadline: UnixSeconds::new(found.deadline.to::<u64>()),
            state: found.state,
        })
    }

    /// Whether a job is still open; a lock ends only after its job.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn job_state(&self, job: JobId) -> Result<JobState, RpcError> {
        let call = ITaskManager::jobsCall { jobId: B256::from(*job.as_bytes()) };
        let record = self.chain.view(evm(self.task_manager), &call, BlockId::latest()).await?;
        Ok(record.state)
    }

    /// The second of the newest block.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn now(&self) -> Result<UnixSeconds, RpcError> {
        Ok(UnixSeconds::new(self.chain.latest().await?.timestamp))
    }

    /// The prover's locks for tasks, the newest first, searched backwards from the head until they
    /// make up all that is locked (or, for commitments in races, until the search is given up).
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn live_locks(&self, prover: Address) -> Result<Vec<Lock>, RpcError> {
        let locked = self.account(prover).await?.locked;
        let filter = Filter::new()
            .address(evm(self.bonds))
            .event_signature(IBonds::LeaseAccepted::SIGNATURE_HASH)
            .topic3(evm(prover).into_word());
        let mut live: Vec<Lock> = Vec::new();
        let (mut found, mut width) = (0u128, SEARCH_BLOCKS_MAX);
        let mut high = Some(self.chain.latest().await?.number);
        for _ in 0..SEARCHES_MAX {
            let Some(to) = high else { break };
            if found >= locked || live.len() >= LOCKS_MAX {
                break;
            }
            let from = to.saturating_sub(width.saturating_sub(1));
            let logs = match self.chain.logs(filter.clone().from_block(from).to_block(to)).await {
                Ok(logs) => logs,
                // Endpoints refuse what they think is too much, in words that differ.
                Err(RpcError::Refused { .. }) if to > from => {
                    width = (to - from).div_ceil(2);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for log in logs.iter().rev().filter(|log| !log.removed) {
                let Ok(event) = IBonds::LeaseAccepted::decode_log_validate(&log.inner) else {
                    continue;
                };
                let id = LockId {
                    job: JobId::from_bytes(event.jobId.0),
                    task: TaskId::from_bytes(event.task.0),
                    prover,
                };
                if live.iter().any(|known| known.id == id) {
                    continue;
                }
                let lock = self.lock(id).await?;
                if lock.is_live() {
                    found = found.saturating_add(lock.amount);
                    live.push(lock);
                }
            }
            high = from.checked_sub(1);
        }
        Ok(live)
    }

    /// Bonds coins of the sender for a prover.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn deposit(
        &self,
        sender: &mut Sender,
        prover: Address,
        amount: U256,
    ) -> Result<TransactionReceipt, BondError> {
        wei(amount)?;
        let call = IBonds::depositCall { prover: evm(prover) };
        Ok(sender.execute(self.bonds, &call, amount).await?)
    }

    /// Sends free coins of the sender's bond to an account.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn withdraw(
        &self,
        sender: &mut Sender,
        amount: U256,
        to: Address,
    ) -> Result<TransactionReceipt, BondError> {
        let call = IBonds::withdrawCall { amount: wei(amount)?, to: evm(to) };
        Ok(sender.execute(self.bonds, &call, U256::ZERO).await?)
    }

    /// Posts an acceptance, as anybody may.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn accept(
        &self,
        sender: &mut Sender,
        accepted: &AcceptedLease,
    ) -> Result<TransactionReceipt, BondError> {
        Ok(sender.execute(self.bonds, &accept_call(accepted), U256::ZERO).await?)
    }

    /// Stops the clock of the sender's lock: `delivered` is what it delivered.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn deliver(
        &self,
        sender: &mut Sender,
        (job, task): (JobId, TaskId),
        delivered: [u8; 32],
    ) -> Result<TransactionReceipt, BondError> {
        let (job_id, task) = LockId { job, task, prover: sender.address() }.words();
        let call = IBonds::deliverCall { jobId: job_id, task, statement: B256::from(delivered) };
        Ok(sender.execute(self.bonds, &call, U256::ZERO).await?)
    }

    /// What a prover signed to accept a lease.
    #[must_use]
    pub fn acceptance_digest(&self, lease: &BondedLease) -> [u8; 32] {
        let (chain, contract) = (self.chain.id(), self.task_manager);
        lease.message(ChainContract { chain, contract }).digest()
    }

    /// Takes back an acceptance of the sender that nobody has posted.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn revoke(
        &self,
        sender: &mut Sender,
        acceptance: [u8; 32],
    ) -> Result<TransactionReceipt, BondError> {
        let call = IBonds::revokeCall { digest: B256::from(acceptance) };
        Ok(sender.execute(self.bonds, &call, U256::ZERO).await?)
    }

    /// Ends a lock of a job that has ended, as anybody may.
    ///
    /// # Errors
    /// See [`BondError`].
    pub async fn resolve(
        &self,
        sender: &mut Sender,
        lock: LockId,
    ) -> Result<TransactionReceipt, BondError> {
        Ok(sender.execute(self.bonds, &lock.resolve_call(), U256::ZERO).await?)
    }
}

fn wei(amount: U256) -> Result<u128, BondError> {
    u128::try_from(amount).map_err(|_| BondError::Amount(amount))
}
