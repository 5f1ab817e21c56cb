//! Nonces that nobody holds, below one that is out.
//!
//! A transaction is mined only after every nonce below its own. What was final is forgotten here; when
//! its block goes nevertheless, its nonce is free again, no record has it, and whatever is out above
//! would wait for ever. Such nonces are used up by empty transactions. What the node still has of the
//! lost blocks counts as used: it is mined again, and nothing takes its place.

use std::collections::BTreeSet;

use super::classify::{Refusal, classify};
use super::fees::first_offer;
use super::{SubmitError, Submitter, View};
use crate::rpc::RpcError;

/// Most nonces used up at one head; the next head goes on.
const NONCES_PER_HEAD_MAX: usize = 64;

impl Submitter {
    /// Uses up, once per head, the free nonces below the highest that is out.
    pub(super) async fn close_gap(&mut self, view: &View) -> Result<(), SubmitError> {
        let held: BTreeSet<u64> = self.records.nonces().collect();
        let Some(highest) = held.last().copied() else {
            return Ok(());
        };
        if self.gap_closed_at == Some(view.latest.number) {
            return Ok(());
        }
        let next = self.chain.next_nonce(self.sender()).await?;
        let free = (next..highest).filter(|nonce| !held.contains(nonce));
        for nonce in free.take(NONCES_PER_HEAD_MAX) {
            self.use_up(nonce, view).await?;
        }
        self.gap_closed_at = Some(view.latest.number);
        Ok(())
    }

    async fn use_up(&self, nonce: u64, view: &View) -> Result<(), SubmitError> {
        let offer = first_offer(view.market, self.settings.fees);
        let empty = self.key.sign(&self.empty(nonce), offer)?;
        let tx = empty.tx;
        match self.chain.send_raw(empty.raw.into()).await {
            Ok(_) => tracing::warn!(nonce, %tx, "the chain gave a nonce back; used up by nothing"),
            Err(RpcError::Refused { message, .. }) => match classify(&message) {
                // The node has it after all.
                Refusal::AlreadyKnown | Refusal::NonceTooLow | Refusal::ReplacementUnderpriced => {
                    tracing::debug!(nonce, message, "not free")
                }
                _ => tracing::warn!(nonce, message, "a free nonce could not be used up; again"),
            },
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
