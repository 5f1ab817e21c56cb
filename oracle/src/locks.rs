//! The calls that bind provers' bonds, and what the contracts say about each of them.
//!
//! Two posts come of one accepted lease: `accept`, and `resolve` for the day on which the job has
//! ended. Most locks end with the settlement itself, and then nothing is posted for them.

use alloy::sol_types::SolCall;
use proofgrid_proto::convert::AcceptanceOrder;

use crate::abi::{IBonds, JobState, LockState};
use crate::bonds::{BondBook, LockId, accept_call};
use crate::posts::Standing;
use crate::rpc::RpcError;
use crate::submit::record::{Post, Purpose};

/// Most locks that are watched until their jobs end. Others resolve the rest: anybody may.
pub(crate) const LOCKS_WATCHED_MAX: usize = 512;

/// What an accepted lease asks for, in the order in which it must go out.
#[must_use]
pub fn posts(book: &BondBook, order: &AcceptanceOrder) -> [Post; 2] {
    let accepted = &order.accepted;
    let lock = LockId::of(accepted);
    let post = |purpose, calldata| Post { purpose, contract: book.address(), calldata };
    [
        post(Purpose::Accept(lock), accept_call(accepted).abi_encode()),
        post(Purpose::Resolve(lock), lock.resolve_call().abi_encode()),
    ]
}

/// An acceptance is due while its job is open, its time is not over and nothing is locked for it.
pub(crate) async fn accept_standing(
    book: &BondBook,
    id: LockId,
    calldata: &[u8],
) -> Result<Standing, RpcError> {
    let Ok(call) = IBonds::acceptCall::abi_decode_validate(calldata) else {
        return Ok(Standing::void("the stored call is of another version of the contracts"));
    };
    let lock = book.lock(id).await?;
    if !matches!(lock.state, LockState::None | LockState::Penalised) {
        return Ok(Standing::void("the lease is accepted on the chain"));
    }
    if book.job_state(id.job).await? != JobState::Open {
        return Ok(Standing::void("the job has ended, or is not on the chain"));
    }
    Ok(if book.now().await?.get() > call.deadline {
        Standing::void("the lease's time to deliver is over")
    } else {
        Standing::Open
    })
}

/// A lock is resolved once its job has ended, if the settlement has not ended it. One that is not
/// there may still come while the job is open.
pub(crate) async fn resolve_standing(book: &BondBook, id: LockId) -> Result<Standing, RpcError> {
    if book.job_state(id.job).await? == JobState::Open {
        return Ok(Standing::Early);
    }
    let lock = book.lock(id).await?;
    Ok(if lock.is_live() { Standing::Open } else { Standing::void("nothing is locked for it") })
}
