//! Races: what a prover, its node and the oracle do at the `RaceRounds` contract.
//!
//! In a round provers commit to the digests of their statements, with a bond, and reveal them when
//! nobody can commit any more; each is judged by its own certificate. Only a prover's own account can
//! commit and reveal. Everything else is for anybody: recording stake, judging, closing a round,
//! settling a race that is won.

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256, keccak256};
use alloy::rpc::types::{Header, Log, TransactionReceipt};
use alloy::sol_types::{SolEvent, SolValue};
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{
    Address, ChainContract, EpochNumber, JobId, OperatorSet, ProgramId, StatementDigest,
};
use proofgrid_core::race::RaceRound;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::RaceStep;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::abi::{
    self, CommitmentState, IEpochTable, IProverStakes, IRaceRounds, ITaskManager, RaceParams,
    RaceState,
};
use crate::bonds::BondBook;
use crate::contracts::{core_address, evm};
use crate::rpc::{Chain, RpcError};
use crate::sender::{SendError, Sender};

/// The operator set of those who race.
pub const PROVERS: OperatorSet = OperatorSet::new(1);

/// What a commitment starts with.
const COMMIT_TAG: &[u8] = b"PROOFGRID_RACE_COMMIT_V1";
/// Keeps salts of races apart from everything else that is derived from a wallet's key.
const SALT_DOMAIN: &[u8] = b"PROOFGRID_RACE_SALT_V1";

/// Why races cannot be used.
#[derive(Debug, Error)]
pub enum RaceError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction did not come about.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// One round of one race.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct RoundId {
    /// The job.
    pub job: JobId,
    /// The round, from 1.
    pub round: u8,
}

/// Blinds a commitment: who does not know it cannot tell what is committed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(B256);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl Salt {
    /// A salt of one's own choice.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(B256::new(bytes))
    }
}

/// What a prover's salts are derived from.
#[derive(Clone)]
pub struct SaltSecret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SaltSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltSecret(..)")
    }
}

impl SaltSecret {
    /// The one secret of a prover's key.
    #[must_use]
    pub fn of(prover: &WalletKey) -> Self {
        let secret = prover.to_bytes();
        let parts = Zeroizing::new([SALT_DOMAIN, &secret[..]].concat());
        Self(Zeroizing::new(keccak256(&parts[..]).0))
    }

    /// The same for the same round and statement, so that what was committed to before a crash can
    /// be revealed after it, and nothing secret is kept meanwhile.
    #[must_use]
    pub fn salt(&self, id: RoundId, statement: StatementDigest) -> Salt {
        let parts: [&[u8]; 4] = [&self.0[..], id.job.as_bytes(), &[id.round], statement.as_bytes()];
        let parts = Zeroizing::new(parts.concat());
        Salt(keccak256(&parts[..]))
    }
}

/// The word that a prover commits to a statement with, as `RaceRounds.commitmentOf` has it. The
/// contract is not asked for it: whoever runs the endpoint would learn the statement too early.
#[must_use]
pub fn commitment_word(
    races: ChainContract,
    id: RoundId,
    statement: StatementDigest,
    prover: Address,
    salt: Salt,
) -> [u8; 32] {
    let words = (
        keccak256(COMMIT_TAG),
        U256::from(races.chain.get()),
        evm(races.contract),
        B256::from(*id.job.as_bytes()),
        U256::from(id.round),
        B256::from(*statement.as_bytes()),
        evm(prover),
        salt.0,
    );
    keccak256(words.abi_encode()).0
}

/// One prover's part in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// Whose.
    pub prover: Address,
    /// How far it is.
    pub state: CommitmentState,
    /// The stake that counts for it.
    pub stake: u128,
    /// The commitment; from its reveal on the statement's digest.
    pub word: [u8; 32],
}

/// A race and its newest round, as one block has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The block's second.
    pub time: UnixSeconds,
    /// How the race stands; `None` if the block knows of none.
    pub state: RaceState,
    /// Its newest round.
    pub round: u8,
    /// First second at which nothing is committed any more, and things are revealed.
    pub commit_until: UnixSeconds,
    /// First second at which nothing is revealed any more.
    pub reveal_until: UnixSeconds,
    /// First second at which the round can be closed whatever is pending.
    pub judge_until: UnixSeconds,
    /// In the order of coming.
    pub commitments: Vec<Commitment>,
}

impl Sight {
    /// Whether this round is the open one.
    #[must_use]
    pub fn is_open(&self, round: u8) -> bool {
        self.state == RaceState::Open && self.round == round
    }

    /// Whether this round has ended: another one is open, or the race is decided.
    #[must_use]
    pub fn is_past(&self, round: u8) -> bool {
        match self.state {
            RaceState::Won | RaceState::Lost => true,
            RaceState::Open => self.round > round,
            RaceState::None | RaceState::__Invalid => false,
        }
    }

    /// A prover's commitment.
    #[must_use]
    pub fn of(&self, prover: Address) -> Option<&Commitment> {
        self.commitments.iter().find(|one| one.prover == prover)
    }

    /// Whether the contract would close the open round, in a block of this second.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let (now, pending) = (self.time, CommitmentState::Revealed);
        if now >= self.judge_until {
            return true;
        }
        if self.commitments.is_empty() {
            return now >= self.commit_until;
        }
        now >= self.reveal_until && self.commitments.iter().all(|one| one.state != pending)
    }

    /// Whether closing the round would make winners.
    #[must_use]
    pub fn has_winner(&self) -> bool {
        self.commitments.iter().any(|one| one.state == CommitmentState::Valid)
    }
}

/// The races of a network.
#[derive(Debug, Clone)]
pub struct RaceBook {
    chain: Chain,
    task_manager: Address,
    races: Address,
}

impl RaceBook {
    /// Asks the task manager which contract decides the races of its jobs.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn of(chain: Chain, task_manager: Address) -> Result<Self, RpcError> {
        let call = ITaskManager::racesCall {};
        let races = chain.view(evm(task_manager), &call, BlockId::latest()).await?;
        Ok(Self { chain, task_manager, races: core_address(races) })
    }

    /// The book at an address that is known already.
    #[must_use]
    pub const fn at(chain: Chain, task_manager: Address, races: Address) -> Self {
        Self { chain, task_manager, races }
    }

    /// The contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.races
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where the provers' coins are.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn bonds(&self) -> Result<BondBook, RpcError> {
        BondBook::of(self.chain.clone(), self.task_manager).await
    }

    /// The terms.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn terms(&self) -> Result<RaceParams, RpcError> {
        let call = IRaceRounds::raceParamsCall {};
        self.chain.view(evm(self.races), &call, BlockId::latest()).await
    }

    /// Whether the program's proofs are bound to their prover, so that it can be raced.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn is_prover_bound(&self, program: ProgramId) -> Result<bool, RpcError> {
        let call = IRaceRounds::isProverBoundCall { programId: B256::from(*program.as_bytes()) };
        self.chain.view(evm(self.races), &call, BlockId::latest()).await
    }

    /// The race at the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn head_sight(&self, job: JobId) -> Result<Sight, RpcError> {
        let head = self.chain.latest().await?;
        self.sight(job, &head).await
    }

    /// The race as a block has it.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn sight(&self, job: JobId, block: &Header) -> Result<Sight, RpcError> {
        let (races, at) = (evm(self.races), BlockId::from(block.hash));
        let job_id = B256::from(*job.as_bytes());
        let race = self.chain.view(races, &IRaceRounds::racesCall { jobId: job_id }, at).await?;
        let call = IRaceRounds::commitmentsCall { jobId: job_id };
        let commitments = self.chain.view(races, &call, at).await?;
        Ok(Sight {
            time: UnixSeconds::new(block.timestamp),
            state: race.state,
            round: race.round,
            commit_until: UnixSeconds::new(race.commitUntil.to::<u64>()),
            reveal_until: UnixSeconds::new(race.revealUntil.to::<u64>()),
            judge_until: UnixSeconds::new(race.judgeUntil.to::<u64>()),
            commitments: commitments.iter().map(commitment).collect(),
        })
    }

    /// Whether a job is raced for.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn is_race(&self, job: JobId) -> Result<bool, RpcError> {
        let call = IRaceRounds::racesCall { jobId: B256::from(*job.as_bytes()) };
        let race = self.chain.view(evm(self.races), &call, BlockId::latest()).await?;
        Ok(race.state != RaceState::None)
    }

    /// The stake that counts for a prover in the open round; zero if none was recorded in time.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn stake_in_round(&self, job: JobId, prover: Address) -> Result<u128, RpcError> {
        let job_id = B256::from(*job.as_bytes());
        let call = IRaceRounds::stakeInRoundCall { jobId: job_id, prover: evm(prover) };
        self.chain.view(evm(self.races), &call, BlockId::latest()).await
    }

    /// The stake that `recordStakes` would record for a prover now.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn recordable_stake(&self, prover: Address) -> Result<u128, RpcError> {
        let at = BlockId::latest();
        let stakes = self.chain.view(evm(self.races), &IRaceRounds::stakesCall {}, at).await?;
        let call = IProverStakes::slashableStakesOfCall {
            set: PROVERS.get(),
            operators: vec![evm(prover)],
            lookaheadBlocks: self.terms().await?.lookaheadBlocks,
        };
        let found = self.chain.view(stakes, &call, at).await?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// The epoch that stake is recorded for now.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn current_epoch(&self) -> Result<EpochNumber, RpcError> {
        let at = BlockId::latest();
        let table = self.chain.view(evm(self.races), &IRaceRounds::epochTableCall {}, at).await?;
        let epoch = self.chain.view(table, &IEpochTable::currentEpochCall {}, at).await?;
        Ok(EpochNumber::new(epoch))
    }

    /// The word that a prover commits to a statement with in this contract.
    #[must_use]
    pub fn word(
        &self,
        id: RoundId,
        statement: StatementDigest,
        prover: Address,
        salt: Salt,
    ) -> [u8; 32] {
        let races = ChainContract { chain: self.chain.id(), contract: self.races };
        commitment_word(races, id, statement, prover, salt)
    }

    /// Records the stake of provers for the current epoch, as anybody may.
    ///
    /// # Errors
    /// See [`RaceError`].
    pub async fn record_stakes(
        &self,
        sender: &mut Sender,
        provers: &[Address],
    ) -> Result<TransactionReceipt, RaceError> {
        let provers = provers.iter().copied().map(evm).collect();
        let call = IRaceRounds::recordStakesCall { provers };
        Ok(sender.execute(self.races, &call, U256::ZERO).await?)
    }

    /// Commits the sender, with its bond.
    ///
    /// # Errors
    /// See [`RaceError`].
    pub async fn commit(
        &self,
        sender: &mut Sender,
        job: JobId,
        word: [u8; 32],
    ) -> Result<TransactionReceipt, RaceError> {
        let call = IRaceRounds::commitCall {
            jobId: B256::from(*job.as_bytes()),
            commitment: B256::from(word),
        };
        Ok(sender.execute(self.races, &call, U256::ZERO).await?)
    }

    /// Reveals what the sender committed to.
    ///
    /// # Errors
    /// See [`RaceError`].
    pub async fn reveal(
        &self,
        sender: &mut Sender,
        job: JobId,
        statement: StatementDigest,
        salt: Salt,
    ) -> Result<TransactionReceipt, RaceError> {
        let call = IRaceRounds::revealCall {
            jobId: B256::from(*job.as_bytes()),
            statement: B256::from(*statement.as_bytes()),
            salt: salt.0,
        };
        Ok(sender.execute(self.races, &call, U256::ZERO).await?)
    }

    /// Closes a round that is over, as anybody may.
    ///
    /// # Errors
    /// See [`RaceError`].
    pub async fn close(
        &self,
        sender: &mut Sender,
        job: JobId,
    ) -> Result<TransactionReceipt, RaceError> {
        Ok(sender.execute(self.races, &close_call(job), U256::ZERO).await?)
    }

    /// Splits the fee of a race that is won, as anybody may.
    ///
    /// # Errors
    /// See [`RaceError`].
    pub async fn settle(
        &self,
        sender: &mut Sender,
        job: JobId,
    ) -> Result<TransactionReceipt, RaceError> {
        Ok(sender.execute(self.task_manager, &settle_call(job), U256::ZERO).await?)
    }
}

/// The topics of what is read of races: in the races' own contract, and in the task manager's.
pub(crate) const RACE_TOPICS: [B256; 4] = [
    IRaceRounds::RoundOpened::SIGNATURE_HASH,
    IRaceRounds::Revealed::SIGNATURE_HASH,
    IRaceRounds::RoundClosed::SIGNATURE_HASH,
    ITaskManager::JobSettled::SIGNATURE_HASH,
];

/// Reads one log of a race; `None` for others. Of `JobSettled` it cannot tell whether the job was
/// raced.
///
/// # Errors
/// A reason when the log does not decode.
pub(crate) fn notice(
    log: &Log,
    (races, task_manager): (Address, Address),
) -> Result<Option<(JobId, RaceStep)>, String> {
    let undecodable = |error: alloy::sol_types::Error| format!("it does not decode: {error}");
    let (emitter, topic) = (core_address(log.address()), log.topic0().copied());
    let is = |contract, wanted| emitter == contract && topic == Some(wanted);
    let (job, step) = if is(races, IRaceRounds::RoundOpened::SIGNATURE_HASH) {
        let event = IRaceRounds::RoundOpened::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        let opened = RaceRound {
            number: event.round,
            epoch: EpochNumber::new(event.epoch),
            commit_until: UnixSeconds::new(event.commitUntil),
            reveal_until: UnixSeconds::new(event.revealUntil),
            judge_until: UnixSeconds::new(event.judgeUntil),
        };
        (event.jobId, RaceStep::Opened(opened))
    } else if is(races, IRaceRounds::Revealed::SIGNATURE_HASH) {
        let event = IRaceRounds::Revealed::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        let statement = StatementDigest::from_bytes(event.statement.0);
        let (round, prover) = (event.round, core_address(event.prover));
        (event.jobId, RaceStep::Revealed { round, prover, statement })
    } else if is(races, IRaceRounds::RoundClosed::SIGNATURE_HASH) {
        let event = IRaceRounds::RoundClosed::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        let winners = u32::try_from(event.winners).map_err(|error| error.to_string())?;
        (event.jobId, RaceStep::Closed { round: event.round, winners })
    } else if is(task_manager, ITaskManager::JobSettled::SIGNATURE_HASH) {
        let event = ITaskManager::JobSettled::decode_log_validate(&log.inner);
        let event = event.map_err(undecodable)?;
        let statement = StatementDigest::from_bytes(event.statement.0);
        (event.jobId, RaceStep::Settled { statement })
    } else {
        return Ok(None);
    };
    Ok(Some((JobId::from_bytes(job.0), step)))
}

/// `RaceRounds.close`.
pub(crate) fn close_call(job: JobId) -> IRaceRounds::closeCall {
    IRaceRounds::closeCall { jobId: B256::from(*job.as_bytes()) }
}

/// `TaskManager.settleRace`.
pub(crate) fn settle_call(job: JobId) -> ITaskManager::settleRaceCall {
    ITaskManager::settleRaceCall { jobId: B256::from(*job.as_bytes()) }
}

fn commitment(found: &abi::Commitment) -> Commitment {
    Commitment {
        prover: core_address(found.prover),
        state: found.state,
        stake: found.stake,
        word: found.word.0,
    }
}
