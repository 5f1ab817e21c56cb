//! The calls that judge and end races, and what the contract says about each of them.
//!
//! Judging is ordered by the dispatcher, entry by entry, with the certificate. Ending is for anybody:
//! an oracle that reads that a round opened writes down that it will be closed and the race settled,
//! whoever wins it. Whatever somebody else has done in the meantime is simply not due any more.

use alloy::eips::BlockId;
use alloy::primitives::B256;
use alloy::sol_types::SolCall;
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{Address, ChainContract, JobId};
use proofgrid_proto::convert::JudgeOrder;

use crate::abi::{CommitmentState, Finality, IProofRegistry, IRaceRounds, JobState, RaceState};
use crate::contracts::{ContractAddresses, evm};
use crate::posts::{PostError, Standing, job_record, settlement_words, status};
use crate::races::{RaceBook, RoundId, Sight, close_call, settle_call};
use crate::rpc::{Chain, RpcError};
use crate::submit::record::{Post, Purpose};

/// Most rounds that are watched until they end. Others end the rest: anybody may.
pub(crate) const ROUNDS_WATCHED_MAX: usize = 512;

/// A round whose time is over with a statement revealed and not judged is left alone for this long:
/// who closes it first takes the fee from a statement whose judgement is on its way.
const LATE_JUDGEMENT_SECONDS: u64 = 30;

/// Whose entry in which round.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct EntryId {
    /// The round.
    pub round: RoundId,
    /// The prover.
    pub prover: Address,
}

/// What a certified entry asks for: that its round stays open until it can be judged, and that it is
/// judged then.
///
/// # Errors
/// [`PostError::OtherTarget`].
pub fn entry_posts(
    book: &RaceBook,
    task_manager: ChainContract,
    order: &JudgeOrder,
) -> Result<[Post; 2], PostError> {
    if order.leaf.task_manager != task_manager {
        let (expected, got) = (task_manager, order.leaf.task_manager);
        return Err(PostError::OtherTarget { expected, got });
    }
    let round = RoundId { job: order.leaf.opened.job(), round: order.round };
    let entry = EntryId { round, prover: order.prover };
    let (job_id, prover) = (B256::from(*round.job.as_bytes()), evm(entry.prover));
    let (verdict, s) = (order.verdict.code(), settlement_words(&order.leaf));
    let hold = IRaceRounds::holdCall { jobId: job_id, prover, verdict, s: s.clone() };
    let judge = IRaceRounds::judgeCall { jobId: job_id, prover, verdict, s };
    let post = |purpose, calldata| Post { purpose, contract: book.address(), calldata };
    Ok([
        post(Purpose::RaceHold(entry), hold.abi_encode()),
        post(Purpose::RaceJudge(entry), judge.abi_encode()),
    ])
}

/// What a round asks for once it has opened: that it is closed, and the race settled.
#[must_use]
pub fn round_posts(book: &RaceBook, task_manager: Address, round: RoundId) -> [Post; 2] {
    let close = close_call(round.job).abi_encode();
    let settle = settle_call(round.job).abi_encode();
    [
        Post { purpose: Purpose::RaceSettle(round.job), contract: task_manager, calldata: settle },
        Post { purpose: Purpose::RaceClose(round), contract: book.address(), calldata: close },
    ]
}

/// What stands for an entry's own commitment: is it there to be judged?
fn entry_standing(sight: &Sight, entry: EntryId) -> Option<Standing> {
    if sight.is_past(entry.round.round) {
        return Some(Standing::void("the round is closed"));
    }
    if !sight.is_open(entry.round.round) {
        return Some(Standing::Early);
    }
    match sight.of(entry.prover).map(|one| one.state) {
        Some(CommitmentState::Revealed) => None,
        Some(CommitmentState::Valid | CommitmentState::Invalid) => {
            Some(Standing::void("the entry is judged"))
        }
        _ => Some(Standing::Early),
    }
}

/// An entry is judged while its round is open, once its leaf is hard.
pub(crate) async fn judge_standing(
    book: &RaceBook,
    contracts: &ContractAddresses,
    entry: EntryId,
    calldata: &[u8],
) -> Result<Standing, RpcError> {
    let Ok(call) = IRaceRounds::judgeCall::abi_decode_validate(calldata) else {
        return Ok(unreadable());
    };
    let sight = book.head_sight(entry.round.job).await?;
    if let Some(standing) = entry_standing(&sight, entry) {
        return Ok(standing);
    }
    let finality = finality(book.chain(), contracts, &sight, entry, &call).await?;
    Ok(if finality == Finality::Hard { Standing::Open } else { Standing::Early })
}

/// How far the revealed statement of an entry stands with the verdict of a call.
async fn finality(
    chain: &Chain,
    contracts: &ContractAddresses,
    sight: &Sight,
    entry: EntryId,
    call: &IRaceRounds::judgeCall,
) -> Result<Finality, RpcError> {
    let word = sight.of(entry.prover).map(|one| one.word).unwrap_or_default();
    let query = IProofRegistry::leafFinalityCall {
        statement: B256::from(word),
        verdict: call.verdict,
        leaf: call.s.leaf.clone(),
    };
    chain.view(evm(contracts.proof_registry), &query, BlockId::latest()).await
}

/// A hold is due while the leaf is soft and the contract would move the round's end for it.
pub(crate) async fn hold_standing(
    book: &RaceBook,
    contracts: &ContractAddresses,
    entry: EntryId,
    calldata: &[u8],
) -> Result<Standing, RpcError> {
    let Ok(call) = IRaceRounds::holdCall::abi_decode_validate(calldata) else {
        return Ok(unreadable());
    };
    let IRaceRounds::holdCall { jobId, prover, verdict, s } = call;
    let call = IRaceRounds::judgeCall { jobId, prover, verdict, s };
    let sight = book.head_sight(entry.round.job).await?;
    if let Some(standing) = entry_standing(&sight, entry) {
        return Ok(standing);
    }
    match finality(book.chain(), contracts, &sight, entry, &call).await? {
        Finality::Soft => {}
        Finality::Hard => return Ok(Standing::void("the entry can be judged")),
        _ => return Ok(Standing::Early),
    }
    let (chain, registry) = (book.chain(), evm(contracts.proof_registry));
    let leaf = &call.s.leaf;
    let batch = status(chain, contracts, leaf.root, leaf.count).await?;
    let word = sight.of(entry.prover).map(|one| one.word).unwrap_or_default();
    let query = IProofRegistry::contestedUntilCall { statement: B256::from(word) };
    let contested = chain.view(registry, &query, BlockId::latest()).await?;
    let query = IProofRegistry::challengeSecondsCall {};
    let window = chain.view(registry, &query, BlockId::latest()).await?;
    let terms = book.terms().await?;
    let longest = u64::from(terms.judgeSeconds) + u64::from(terms.holdSecondsMax);
    let wanted = batch.hardAt.max(contested).saturating_add(window);
    let until = wanted.min(sight.reveal_until.get().saturating_add(longest));
    // A contest may still come, so it is looked at again for as long as the leaf is soft.
    Ok(if until > sight.judge_until.get() { Standing::Open } else { Standing::Early })
}

/// Whether closing takes nothing from a statement that is about to be judged.
fn is_ripe(sight: &Sight) -> bool {
    let is_pending = |state| state == CommitmentState::Revealed;
    let pending = sight.commitments.iter().any(|one| is_pending(one.state));
    let late = sight.judge_until.get().saturating_add(LATE_JUDGEMENT_SECONDS);
    sight.is_over() && (!pending || sight.time.get() >= late)
}

/// A round is closed when it is over and nobody won it; a won one is closed by the settlement.
pub(crate) async fn close_standing(book: &RaceBook, id: RoundId) -> Result<Standing, RpcError> {
    let sight = book.head_sight(id.job).await?;
    if sight.is_past(id.round) {
        return Ok(Standing::void("the round is closed"));
    }
    let is_due = sight.is_open(id.round) && is_ripe(&sight) && !sight.has_winner();
    Ok(if is_due { Standing::Open } else { Standing::Early })
}

/// A race is settled when a round of it is won, or would be by closing it.
pub(crate) async fn settle_standing(
    book: &RaceBook,
    contracts: &ContractAddresses,
    job: JobId,
) -> Result<Standing, RpcError> {
    match job_record(book.chain(), contracts, job).await?.state {
        JobState::Open => {}
        JobState::Settled => return Ok(Standing::void("the race is settled")),
        JobState::Refunded => return Ok(Standing::void("the race's fee was refunded")),
        // The race is known from a final block: this endpoint is behind.
        _ => return Ok(Standing::Early),
    }
    let sight = book.head_sight(job).await?;
    Ok(match sight.state {
        RaceState::Won => Standing::Open,
        RaceState::Open if is_ripe(&sight) && sight.has_winner() => Standing::Open,
        RaceState::Lost => Standing::void("nobody won the race; its fee is the requester's"),
        _ => Standing::Early,
    })
}

fn unreadable() -> Standing {
    Standing::void("the stored call is of another version of the contracts")
}
