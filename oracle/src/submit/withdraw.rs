//! The ladder under one nonce: offering more, sending again, and using the nonce up with nothing
//! when what was sent has become pointless.

use alloy::primitives::{Bytes, TxKind, U256};
use proofgrid_core::network::SubmissionUpdate;

use super::fees::{Offer, Step, next_offer};
use super::record::{Broadcast, OFFERS_MAX, Phase, Post};
use super::{SubmitError, Submitter, View};
use crate::key::Unsigned;

/// Gas of a transaction that does nothing.
const EMPTY_GAS: u64 = 21_000;

impl Submitter {
    /// The next step of the ladder, if it is time for one.
    pub(super) fn raised(&self, broadcast: &Broadcast, view: &View) -> Option<Offer> {
        let waited = view.latest.number.saturating_sub(broadcast.signed_at);
        if waited < self.settings.raise_after_blocks || broadcast.offers.len() >= OFFERS_MAX {
            return None;
        }
        match next_offer(broadcast.newest()?.offer, view.market, self.settings.fees) {
            Step::Raise(offer) => Some(offer),
            Step::AtCap => None,
        }
    }

    /// Once per head: nodes forget.
    pub(super) async fn send_again(
        &mut self,
        post: &Post,
        broadcast: &Broadcast,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        if self.broadcast_at.get(&post.purpose) != Some(&view.latest.number) {
            self.send(post, broadcast, view).await?;
        }
        Ok(None)
    }

    /// A transaction that does nothing.
    pub(super) fn empty(&self, nonce: u64) -> Unsigned {
        Unsigned {
            chain: self.chain.id(),
            nonce,
            gas_limit: EMPTY_GAS,
            to: TxKind::Call(self.sender()),
            value: U256::ZERO,
            input: Bytes::new(),
        }
    }

    /// An empty transaction under the nonce of what is out there.
    pub(super) async fn replace_by_nothing(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        offer: Offer,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        let empty = self.empty(broadcast.nonce);
        let mut withdrawn = broadcast;
        withdrawn.signed_at = view.latest.number;
        withdrawn.offers.push(self.key.sign(&empty, offer)?);
        self.records.set(post.purpose, Phase::Withdrawn(withdrawn.clone())).await?;
        self.send(post, &withdrawn, view).await?;
        Ok(None)
    }

    /// Until the nonce is used, by whichever of the transactions.
    pub(super) async fn withdraw(
        &mut self,
        post: &Post,
        broadcast: Broadcast,
        view: &View,
    ) -> Result<Option<SubmissionUpdate>, SubmitError> {
        if self.is_nonce_used(broadcast.nonce).await? {
            self.records.set(post.purpose, Phase::Queued { refusals: 0 }).await?;
            return Ok(None);
        }
        match self.raised(&broadcast, view) {
            Some(offer) => self.replace_by_nothing(post, broadcast, offer, view).await,
            None => self.send_again(post, &broadcast, view).await,
        }
    }
}
