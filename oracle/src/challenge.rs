//! Accusing a verifier of what it signed: the evidence as the contracts take it, the bonded
//! commitment, the reveal a block later, and the case that follows.
//!
//! Permissionless: whoever holds a signed vote and the refused proof can do this. The chain recomputes
//! everything; what is built here wrongly costs the challenger its bond and nobody else anything.

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{Address as EvmAddress, B256, Bytes, TxKind, U256, keccak256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::{SolCall, SolEvent};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{Address, EpochNumber, ProgramId, StatementDigest};
use proofgrid_core::statement::{OpenedStatement, Statement, segments_tree};
use proofgrid_core::vote::SignedVote;
use thiserror::Error;
use tokio::time::Instant;

use crate::abi::{
    self, CaseState, Fault, IChallengeGame, IDevToken, IFeeVault, IProofRegistry, ISlashingCourt,
    JudgeKind,
};
use crate::contracts::{core_address, evm, g1_signature, g2_key};
use crate::posts::record_words;
use crate::rpc::{Chain, RpcError};
use crate::sender::{Gas, SendError, Sender};

/// Pause between two looks at the head, while the block after the commitment is waited for.
const BLOCK_POLL: Duration = Duration::from_millis(250);
/// Longest wait for that block.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// What no other hash of this crate begins with.
const SALT_DOMAIN: &[u8] = b"PROOFGRID_CHALLENGE_SALT_V1";

/// Why a challenge did not come about.
#[derive(Debug, Error)]
pub enum ChallengeError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction did not come about.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The network has no challenge game.
    #[error("the ProofRegistry names no challenge game: faults cannot be proven on this network")]
    NoGame,
    /// The chain cannot judge proofs of the program.
    #[error(
        "the chain has no judge for program {0}; only proofs that the EVM can verify can be \
         challenged by showing them"
    )]
    NotJudged(ProgramId),
    /// The judge came after the signature.
    #[error("the program's judge counts from epoch {from} on, the signature is of epoch {signed}")]
    JudgeTooYoung {
        /// The first epoch that is judged.
        from: EpochNumber,
        /// The epoch of the signature.
        signed: EpochNumber,
    },
    /// The segment is not in the statement.
    #[error("the statement has {segments} segments, numbered from 0; there is no segment {index}")]
    NoSegment {
        /// The segment that was named.
        index: u32,
        /// How many there are.
        segments: u32,
    },
    /// The signer is not in the epoch.
    #[error("{operator} is no member of epoch {epoch}")]
    NotAMember {
        /// Who.
        operator: Address,
        /// The epoch.
        epoch: EpochNumber,
    },
    /// No block came.
    #[error("no block followed the commitment within {BLOCK_TIMEOUT:?}; reveal it again later")]
    NoBlock,
    /// The reveal went through without saying what came of it.
    #[error("the reveal went through without an outcome; the contract is of another version")]
    NoOutcome,
}

/// Where faults are proven on a chain, and what an accusation costs until it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arena {
    /// `ChallengeGame`.
    pub game: Address,
    /// `SlashingCourt`.
    pub court: Address,
    /// The bond of an accusation, in wei. It comes back unless the accusation is wrong.
    pub bond_wei: u128,
}

/// Blinds a commitment: who does not know it cannot tell what is committed to.
#[derive(Clone, Copy)]
pub struct Salt(B256);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl Salt {
    /// The same for the same challenger, operator and statement, so that an accusation that was cut
    /// off after its commitment is revealed by making it again, and nothing has to be kept meanwhile.
    #[must_use]
    pub fn derive(challenger: &WalletKey, operator: Address, statement: StatementDigest) -> Self {
        let secret = challenger.to_bytes();
        let parts: [&[u8]; 4] =
            [SALT_DOMAIN, &secret[..], operator.as_bytes(), statement.as_bytes()];
        Self(keccak256(parts.concat()))
    }
}

/// An accusation, ready to be committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accusation {
    reveal: Bytes,
}

/// What the chain said to an accusation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is right; the court has a case. The bond went back.
    Upheld {
        /// The case.
        case: B256,
        /// A third or more of the stake did the same: the case waits for the long veto.
        shared: bool,
    },
    /// It is right, and somebody was first. The bond went back.
    Duplicate {
        /// The earlier case.
        case: B256,
    },
    /// It is wrong: the proof is not refused. The bond is lost.
    Rejected,
}

/// A decided accusation.
#[derive(Debug, Clone)]
pub struct Challenged {
    /// What came of it.
    pub outcome: Outcome,
    /// The reveal.
    pub receipt: TransactionReceipt,
    /// Gas of commitment and reveal together.
    pub gas_used: u64,
}

/// A case of the court.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Filed, vetoed or executed; `None` if there is no such case.
    pub state: CaseState,
    /// What was proven.
    pub fault: Fault,
    /// Who proved it.
    pub challenger: Address,
    /// The first second at which it can be executed.
    pub executable_at: u64,
}

/// What an executed case did.
#[derive(Debug, Clone)]
pub struct Executed {
    /// Who was slashed.
    pub operator: Address,
    /// By how much, in the stake token's smallest unit.
    pub slashed: U256,
    /// What the challenger may withdraw for it, in the reward token's smallest unit.
    pub reward: U256,
    /// The transaction.
    pub receipt: TransactionReceipt,
}

impl Arena {
    /// The game that a registry names, and its court.
    ///
    /// # Errors
    /// [`ChallengeError::NoGame`], [`ChallengeError::Rpc`].
    pub async fn of(chain: &Chain, proof_registry: Address) -> Result<Self, ChallengeError> {
        let at = BlockId::latest();
        let call = IProofRegistry::challengeGameCall {};
        let game = chain.view(evm(proof_registry), &call, at).await?;
        if game == EvmAddress::ZERO {
            return Err(ChallengeError::NoGame);
        }
        let court = chain.view(game, &IChallengeGame::courtCall {}, at).await?;
        let bond_wei = chain.view(game, &IChallengeGame::bondCall {}, at).await?;
        Ok(Self { game: core_address(game), court: core_address(court), bond_wei })
    }

    /// Fails if the chain cannot judge what a program's verifiers signed under an epoch.
    ///
    /// # Errors
    /// [`ChallengeError::NotJudged`], [`ChallengeError::JudgeTooYoung`], [`ChallengeError::Rpc`].
    pub async fn check_judge(
        &self,
        chain: &Chain,
        program: ProgramId,
        signed: EpochNumber,
    ) -> Result<(), ChallengeError> {
        let call = IChallengeGame::judgesCall { program: B256::from(*program.as_bytes()) };
        let judge = chain.view(evm(self.game), &call, BlockId::latest()).await?;
        if judge.kind != JudgeKind::Proof {
            return Err(ChallengeError::NotJudged(program));
        }
        let from = EpochNumber::new(judge.fromEpoch);
        if signed < from {
            return Err(ChallengeError::JudgeTooYoung { from, signed });
        }
        Ok(())
    }

    /// Commits to an accusation with the bond, waits for the next block, and reveals it.
    ///
    /// # Errors
    /// See [`ChallengeError`]. The same accusation made again goes on where it was cut off, as long as
    /// the game's time to reveal lasts.
    pub async fn accuse(
        &self,
        challenger: &mut Sender,
        accusation: &Accusation,
    ) -> Result<Challenged, ChallengeError> {
        let call = IChallengeGame::commitmentOfCall {
            challenger: evm(challenger.address()),
            revealCall: accusation.reveal.clone(),
        };
        let commitment = challenger.view(self.game, &call).await?;
        let account = evm(challenger.address());
        let call = IChallengeGame::commitmentsCall { challenger: account, commitment };
        let open = challenger.view(self.game, &call).await?;
        let (mut block, mut gas_used) = (open.committedInBlock, 0);
        if open.expiresAt == 0 {
            let call = IChallengeGame::commitCall { commitment };
            let bond = U256::from(self.bond_wei);
            let committed = challenger.execute(self.game, &call, bond).await?;
            block = committed.block_number.unwrap_or_default();
            gas_used = committed.gas_used;
        }
        wait_beyond(challenger.chain(), block).await?;
        let mut challenged = self.reveal(challenger, accusation).await?;
        challenged.gas_used = challenged.gas_used.saturating_add(gas_used);
        Ok(challenged)
    }

    async fn reveal(
        &self,
        challenger: &mut Sender,
        accusation: &Accusation,
    ) -> Result<Challenged, ChallengeError> {
        let (to, input) = (TxKind::Call(evm(self.game)), accusation.reveal.clone());
        let pending = challenger.send("the reveal", to, U256::ZERO, input, Gas::Estimate).await?;
        let receipt = challenger.wait(pending).await?;
        let outcome = outcome(&receipt).ok_or(ChallengeError::NoOutcome)?;
        Ok(Challenged { outcome, gas_used: receipt.gas_used, receipt })
    }

    /// What the court has of a case.
    ///
    /// # Errors
    /// [`ChallengeError::Rpc`].
    pub async fn case(&self, chain: &Chain, case: B256) -> Result<Case, ChallengeError> {
        let (court, at) = (evm(self.court), BlockId::latest());
        let kept = chain.view(court, &ISlashingCourt::casesCall { caseId: case }, at).await?;
        let executable_at = if kept.state == CaseState::None {
            0
        } else {
            let call = ISlashingCourt::executableAtCall { caseId: case };
            chain.view(court, &call, at).await?.saturating_to()
        };
        let challenger = core_address(kept.challenger);
        Ok(Case { state: kept.state, fault: kept.fault, challenger, executable_at })
    }

    /// Slashes the operator of a case whose veto window is over; anybody may.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn execute(
        &self,
        sender: &mut Sender,
        case: B256,
    ) -> Result<Executed, ChallengeError> {
        let call = ISlashingCourt::executeCall { caseId: case };
        let receipt = sender.execute(self.court, &call, U256::ZERO).await?;
        let logs = receipt.logs().iter();
        let told = logs
            .filter_map(|log| ISlashingCourt::CaseExecuted::decode_log(&log.inner).ok())
            .find(|log| log.caseId == case)
            .ok_or(ChallengeError::NoOutcome)?;
        let operator = core_address(told.operator);
        Ok(Executed { operator, slashed: told.slashed, reward: told.reward, receipt })
    }

    /// What an account can withdraw: the game's wei of demands, and the court's units of the reward token.
    ///
    /// # Errors
    /// [`ChallengeError::Rpc`].
    pub async fn credits(
        &self,
        chain: &Chain,
        account: Address,
    ) -> Result<(U256, U256), ChallengeError> {
        let (account, at) = (evm(account), BlockId::latest());
        let call = IChallengeGame::creditsCall { account };
        let bonds = chain.view(evm(self.game), &call, at).await?;
        let call = ISlashingCourt::creditsCall { account };
        let rewards = chain.view(evm(self.court), &call, at).await?;
        Ok((bonds, rewards))
    }

    /// Adds coins to the reserve that challengers are rewarded from, and hands it to the court.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn fund_reserve(
        &self,
        sender: &mut Sender,
        fee_vault: Address,
        wei: U256,
    ) -> Result<(), ChallengeError> {
        sender.execute(fee_vault, &IFeeVault::fundReserveCall {}, wei).await?;
        sender.execute(fee_vault, &IFeeVault::sendReserveCall {}, U256::ZERO).await?;
        Ok(())
    }

    /// What an account has of the token that challengers are rewarded in.
    ///
    /// # Errors
    /// [`ChallengeError::Rpc`].
    pub async fn reward_tokens_of(
        &self,
        chain: &Chain,
        account: Address,
    ) -> Result<U256, ChallengeError> {
        let at = BlockId::latest();
        let token = chain.view(evm(self.court), &ISlashingCourt::rewardTokenCall {}, at).await?;
        let call = IDevToken::balanceOfCall { account: evm(account) };
        Ok(chain.view(token, &call, at).await?)
    }

    /// Sends what demands have earned the sender to an account.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn withdraw_demands(
        &self,
        sender: &mut Sender,
        to: Address,
    ) -> Result<TransactionReceipt, ChallengeError> {
        let call = IChallengeGame::withdrawCall { to: evm(to) };
        Ok(sender.execute(self.game, &call, U256::ZERO).await?)
    }

    /// Sends the sender's rewards to an account, as far as the court's reserve reaches.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn withdraw_rewards(
        &self,
        sender: &mut Sender,
        to: Address,
    ) -> Result<TransactionReceipt, ChallengeError> {
        let call = ISlashingCourt::withdrawCall { to: evm(to) };
        Ok(sender.execute(self.court, &call, U256::ZERO).await?)
    }
}

impl Accusation {
    /// A member voted `valid` on a statement with a segment whose proof is refused. `shown` is the
    /// proof's envelope, byte for byte as its digest in the record says.
    ///
    /// # Errors
    /// [`ChallengeError::NoSegment`], [`ChallengeError::NotAMember`].
    pub fn false_vote(
        opened: &OpenedStatement,
        segment: u32,
        shown: Vec<u8>,
        (vote, keys): (&SignedVote, &EpochKeys),
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let (refutation, salt) = (refutation(opened, segment, shown)?, salt.0);
        let vote = signed_vote(vote, keys)?;
        let reveal = IChallengeGame::revealVoteCall { refutation, vote, salt }.abi_encode();
        Ok(Self { reveal: reveal.into() })
    }

    /// A key signed both verdicts of one statement.
    ///
    /// # Errors
    /// [`ChallengeError::NotAMember`].
    pub fn equivocation(
        statement: &Statement,
        first: (&SignedVote, &EpochKeys),
        second: (&SignedVote, &EpochKeys),
        salt: Salt,
    ) -> Result<Self, ChallengeError> {
        let call = IChallengeGame::revealVotesCall {
            statement: statement_words(statement),
            first: signed_vote(first.0, first.1)?,
            second: signed_vote(second.0, second.1)?,
            salt: salt.0,
        };
        Ok(Self { reveal: call.abi_encode().into() })
    }
}

fn refutation(
    opened: &OpenedStatement,
    index: u32,
    shown: Vec<u8>,
) -> Result<abi::Refutation, ChallengeError> {
    let segments = opened.statement.num_segments;
    let unknown = ChallengeError::NoSegment { index, segments };
    let position = usize::try_from(index).ok();
    let record = position.and_then(|position| opened.records.get(position)).ok_or(unknown)?;
    let path = segments_tree(&opened.records)
        .ok()
        .and_then(|tree| tree.path(index).ok())
        .ok_or(ChallengeError::NoSegment { index, segments })?;
    Ok(abi::Refutation {
        statement: statement_words(&opened.statement),
        record: record_words(record),
        path: path.into_iter().map(B256::from).collect(),
        shown: shown.into(),
    })
}

/// A statement as the contracts take it.
pub(crate) fn statement_words(statement: &Statement) -> abi::Statement {
    abi::Statement {
        job: B256::from(*statement.job.as_bytes()),
        statementAttempt: statement.attempt.get(),
        programId: B256::from(*statement.program.as_bytes()),
        manifest: B256::from(*statement.manifest.as_bytes()),
        claim: B256::from(*statement.claim.as_bytes()),
        numSegments: statement.num_segments,
        segmentsRoot: B256::from(*statement.segments_root.as_bytes()),
    }
}

/// Position in the table and key of a member.
fn member(operator: Address, keys: &EpochKeys) -> Result<(U256, abi::G2Point), ChallengeError> {
    let index = keys.table().index_of(operator);
    let found = index.and_then(|index| keys.key(index).map(|key| (index, key)));
    let epoch = keys.table().epoch();
    let (index, key) = found.ok_or(ChallengeError::NotAMember { operator, epoch })?;
    Ok((U256::from(index.get()), g2_key(key)))
}

fn signed_vote(signed: &SignedVote, keys: &EpochKeys) -> Result<abi::Vote, ChallengeError> {
    let (member, key2) = member(signed.operator, keys)?;
    Ok(abi::Vote {
        epoch: signed.vote.epoch.get(),
        member,
        verdict: signed.vote.verdict.code(),
        signature: g1_signature(&signed.signature),
        key2,
    })
}

fn outcome(receipt: &TransactionReceipt) -> Option<Outcome> {
    receipt.logs().iter().find_map(|log| {
        let log = &log.inner;
        if let Ok(told) = IChallengeGame::ChallengeUpheld::decode_log(log) {
            return Some(Outcome::Upheld { case: told.caseId, shared: told.shared });
        }
        if let Ok(told) = IChallengeGame::ChallengeDuplicate::decode_log(log) {
            return Some(Outcome::Duplicate { case: told.caseId });
        }
        let rejected = IChallengeGame::ChallengeRejected::decode_log(log);
        rejected.ok().map(|_| Outcome::Rejected)
    })
}

/// Waits until the head is beyond a block: an accusation is revealed later than it was committed to.
async fn wait_beyond(chain: &Chain, block: u64) -> Result<(), ChallengeError> {
    let deadline = Instant::now() + BLOCK_TIMEOUT;
    while chain.latest().await?.number <= block {
        if Instant::now() > deadline {
            return Err(ChallengeError::NoBlock);
        }
        tokio::time::sleep(BLOCK_POLL).await;
    }
    Ok(())
}
