//! Accusing a verifier of what it signed: the evidence as the contracts take it, the bonded
//! commitment, the reveal a block later, and the case that follows.
//!
//! Permissionless: whoever holds a signed vote and the refused proof can do this. The chain recomputes
//! everything; what is built here wrongly costs the challenger its bond and nobody else anything.

mod accusation;
mod demands;

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{Address as EvmAddress, B256, TxKind, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolEvent;
use proofgrid_core::ids::{
    Address, BatchRoot, EpochNumber, MemberIndex, ProgramId, StatementDigest,
};
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::UnixSeconds;
use thiserror::Error;
use tokio::time::Instant;

pub(crate) use self::accusation::statement_words;
pub use self::accusation::{Accusation, Attested, Salt};
pub use self::demands::{Demand, DemandId};
pub(crate) use self::demands::{answer_call, demand_at};
use crate::abi::{
    CaseState, Fault, IChallengeGame, IDevToken, IFeeVault, IProofRegistry, ISlashingCourt, Judge,
    JudgeKind,
};
use crate::contracts::{core_address, evm, explain_revert};
use crate::deploy::LeafPosition;
use crate::rpc::{Chain, RpcError};
use crate::sender::{Gas, SendError, Sender};

/// Pause between two looks at the head, while the block after the commitment is waited for.
const BLOCK_POLL: Duration = Duration::from_millis(250);
/// Longest wait for that block.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(120);

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
    /// The leaf is in no batch that was posted.
    #[error(
        "no posted batch has this leaf of {statement} under root {root}: {reason}; take the \
         certificate that was posted"
    )]
    NotPosted {
        /// The leaf's statement.
        statement: StatementDigest,
        /// The batch.
        root: BatchRoot,
        /// What the registry said.
        reason: String,
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
    /// `ProofRegistry`.
    pub registry: Address,
    /// `ChallengeGame`.
    pub game: Address,
    /// `SlashingCourt`.
    pub court: Address,
    /// The bond of an accusation, in wei. It comes back unless the accusation is wrong.
    pub bond_wei: u128,
    /// The bond of a demand for a proof's bytes, in wei. It goes to whoever shows them.
    pub demand_bond_wei: u128,
}

/// Who signed a posted leaf, and when it is hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attestation {
    /// The epoch whose members signed.
    pub epoch: EpochNumber,
    non_signers: U256,
    /// The first second in which its batch is hard.
    pub hard_at: UnixSeconds,
}

impl Attestation {
    /// Whether the member at this place of the epoch's table signed it.
    #[must_use]
    pub fn is_signed_by(&self, member: MemberIndex) -> bool {
        !self.non_signers.bit(member.as_usize())
    }
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
        let demand_bond_wei = chain.view(game, &IChallengeGame::demandBondCall {}, at).await?;
        Ok(Self {
            registry: proof_registry,
            game: core_address(game),
            court: core_address(court),
            bond_wei,
            demand_bond_wei,
        })
    }

    /// Who signed a leaf of a posted batch.
    ///
    /// # Errors
    /// [`ChallengeError::NotPosted`], [`ChallengeError::Rpc`].
    pub async fn attestation(
        &self,
        chain: &Chain,
        statement: StatementDigest,
        verdict: Verdict,
        leaf: &LeafPosition,
    ) -> Result<Attestation, ChallengeError> {
        let call = IProofRegistry::attestationOfCall {
            statement: B256::from(*statement.as_bytes()),
            verdict: verdict.code(),
            leaf: leaf.words(),
        };
        let found = match chain.view(evm(self.registry), &call, BlockId::latest()).await {
            Ok(found) => found,
            Err(RpcError::Refused { message, revert, .. }) => {
                let reason = explain_revert(&message, revert.as_ref());
                return Err(ChallengeError::NotPosted { statement, root: leaf.root, reason });
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Attestation {
            epoch: EpochNumber::new(found.epoch),
            non_signers: found.nonSigners,
            hard_at: UnixSeconds::new(found.hardAt),
        })
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
        let judge = self.judge(chain, program).await?;
        if judge.kind != JudgeKind::Proof {
            return Err(ChallengeError::NotJudged(program));
        }
        let from = EpochNumber::new(judge.fromEpoch);
        if signed < from {
            return Err(ChallengeError::JudgeTooYoung { from, signed });
        }
        Ok(())
    }

    /// Whether proofs of a program can be shown to the chain, and so be demanded.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn takes_proofs(&self, chain: &Chain, program: ProgramId) -> Result<bool, RpcError> {
        Ok(self.judge(chain, program).await?.kind == JudgeKind::Proof)
    }

    async fn judge(&self, chain: &Chain, program: ProgramId) -> Result<Judge, RpcError> {
        let call = IChallengeGame::judgesCall { program: B256::from(*program.as_bytes()) };
        chain.view(evm(self.game), &call, BlockId::latest()).await
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
