//! What is read of the chain to choose between a certificate and its own judgement of a job's proof.

use alloy::eips::BlockId;
use alloy::primitives::{Address as EvmAddress, B256, U256};
use proofgrid_core::ids::ProgramId;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::SettleOrder;

use crate::abi::{Finality, IChallengeGame, IEpochTable, IProofRegistry, JobState, JudgeKind};
use crate::contracts::{ContractAddresses, evm};
use crate::posts;
use crate::publishing::{Decidable, DueJob, Situation};
use crate::rpc::{Chain, RpcError};

/// Bytes of the longest proof that is put into a transaction: half of what nodes take as a whole.
pub const DIRECT_PROOF_BYTES_MAX: usize = 64 << 10;

/// The situation of a job that is to be settled; `None` when it is over or its proof was judged.
///
/// # Errors
/// See [`RpcError`].
pub async fn situation(
    chain: &Chain,
    contracts: &ContractAddresses,
    order: &SettleOrder,
) -> Result<Option<Situation>, RpcError> {
    let (registry, at) = (evm(contracts.proof_registry), BlockId::latest());
    let job = posts::job_record(chain, contracts, order.opened.job()).await?;
    let statement = B256::from(*order.opened.statement.digest().as_bytes());
    let proved_at = chain.view(registry, &IProofRegistry::provedAtCall { statement }, at).await?;
    if job.state != JobState::Open || proved_at != 0 {
        return Ok(None);
    }
    let head = chain.latest().await?;
    let root = B256::from(*order.certificate.root.as_bytes());
    let batch = posts::status(chain, contracts, root, order.certificate.count).await?;
    let window_seconds = match batch.finality {
        Finality::Unknown => {
            chain.view(registry, &IProofRegistry::challengeSecondsCall {}, at).await?
        }
        _ => batch.hardAt.saturating_sub(head.timestamp),
    };
    let decidable = match order.opened.records.as_slice() {
        [_] => decidable(chain, contracts, order.opened.statement.program).await?,
        _ => Decidable::No,
    };
    let base_fee_wei = u128::from(head.base_fee_per_gas.unwrap_or(0));
    Ok(Some(Situation {
        num_statements: order.certificate.count,
        now: UnixSeconds::new(head.timestamp),
        // The order comes with its certificate.
        quorum_seconds: 0,
        window_seconds,
        gas_price_wei: base_fee_wei.saturating_add(chain.suggested_tip().await?),
        due: Some(DueJob {
            deadline: UnixSeconds::new(job.deadline),
            decidable,
            fee_wei: U256::from(job.fee),
        }),
    }))
}

/// Whether a program has a judge of proofs that counts now.
async fn decidable(
    chain: &Chain,
    contracts: &ContractAddresses,
    program: ProgramId,
) -> Result<Decidable, RpcError> {
    let at = BlockId::latest();
    let call = IProofRegistry::challengeGameCall {};
    let game = chain.view(evm(contracts.proof_registry), &call, at).await?;
    if game == EvmAddress::ZERO {
        return Ok(Decidable::No);
    }
    let call = IChallengeGame::judgesCall { program: B256::from(*program.as_bytes()) };
    let judge = chain.view(game, &call, at).await?;
    let epochs = evm(contracts.epoch_table);
    let epoch = chain.view(epochs, &IEpochTable::currentEpochCall {}, at).await?;
    let counts = judge.kind == JudgeKind::Proof && epoch >= judge.fromEpoch;
    Ok(if counts { Decidable::Yes } else { Decidable::No })
}
