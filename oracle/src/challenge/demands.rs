//! Demands: the bytes of a proof that somebody withholds are asked for on the chain, with a bond.
//!
//! Whoever shows bytes with the digest of the segment's record has the bond. If nobody does in time,
//! anybody may have the leaf withdrawn: the bond goes back, the escrow can be refunded, nobody is
//! slashed. Only proofs that the chain can judge can be demanded, while their batch is soft.

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use alloy::rpc::types::TransactionReceipt;
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{Address, BlobDigest, StatementDigest};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::UnixSeconds;

use super::accusation::{segment_words, statement_words};
use super::{Arena, ChallengeError};
use crate::abi::{DemandState, IChallengeGame};
use crate::contracts::{core_address, evm};
use crate::deploy::LeafPosition;
use crate::rpc::{Chain, RpcError};
use crate::sender::Sender;

/// Which demand: there is at most one for each segment of a statement, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct DemandId {
    /// The statement.
    pub statement: StatementDigest,
    /// The segment.
    pub segment: u32,
}

impl DemandId {
    fn word(&self) -> B256 {
        B256::from(*self.statement.as_bytes())
    }
}

/// A demand as the game keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Whose bond it is.
    pub demander: Address,
    /// The last second in which it can be answered.
    pub until: UnixSeconds,
    /// How it stands; `None` if there was none.
    pub state: DemandState,
    /// What answers it.
    pub proof: BlobDigest,
}

impl Demand {
    /// Whether it can still be answered at this second.
    #[must_use]
    pub const fn can_be_answered(&self, now: UnixSeconds) -> bool {
        matches!(self.state, DemandState::Open) && now.get() <= self.until.get()
    }
}

impl Arena {
    /// What is kept of a demand.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn demand_of(&self, chain: &Chain, id: DemandId) -> Result<Demand, RpcError> {
        demand_at(chain, self.game, id).await
    }

    /// Seconds in which a demand can be answered.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn answer_seconds(&self, chain: &Chain) -> Result<u64, RpcError> {
        chain.view(evm(self.game), &IChallengeGame::answerSecondsCall {}, BlockId::latest()).await
    }

    /// Demands the bytes of a segment's proof. Simulated first: what the game refuses costs nothing.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn demand(
        &self,
        sender: &mut Sender,
        opened: &OpenedStatement,
        segment: u32,
        leaf: &LeafPosition,
    ) -> Result<TransactionReceipt, ChallengeError> {
        let (record, path) = segment_words(opened, segment)?;
        let statement = statement_words(&opened.statement);
        let call = IChallengeGame::demandCall { statement, record, path, leaf: leaf.words() };
        Ok(sender.execute(self.game, &call, U256::from(self.demand_bond_wei)).await?)
    }

    /// Shows the bytes that were demanded; the bond is the sender's.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn answer(
        &self,
        sender: &mut Sender,
        id: DemandId,
        envelope: Vec<u8>,
    ) -> Result<TransactionReceipt, ChallengeError> {
        let call = answer_call(id, envelope);
        Ok(sender.execute(self.game, &call, U256::ZERO).await?)
    }

    /// Withdraws the leaf of a demand that nobody answered in time, as anybody may.
    ///
    /// # Errors
    /// See [`ChallengeError`].
    pub async fn close_unanswered(
        &self,
        sender: &mut Sender,
        id: DemandId,
    ) -> Result<TransactionReceipt, ChallengeError> {
        let call = IChallengeGame::closeUnansweredCall { statement: id.word(), index: id.segment };
        Ok(sender.execute(self.game, &call, U256::ZERO).await?)
    }
}

/// What a game keeps of a demand.
pub(crate) async fn demand_at(
    chain: &Chain,
    game: Address,
    id: DemandId,
) -> Result<Demand, RpcError> {
    let call = IChallengeGame::demandsCall { statement: id.word(), index: id.segment };
    let kept = chain.view(evm(game), &call, BlockId::latest()).await?;
    Ok(Demand {
        demander: core_address(kept.demander),
        until: UnixSeconds::new(kept.until),
        state: kept.state,
        proof: BlobDigest::from_bytes(kept.proofDigest.0),
    })
}

/// `ChallengeGame.answer`.
pub(crate) fn answer_call(id: DemandId, envelope: Vec<u8>) -> IChallengeGame::answerCall {
    let (statement, index) = (id.word(), id.segment);
    IChallengeGame::answerCall { statement, index, envelope: envelope.into() }
}
