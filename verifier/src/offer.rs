//! What the verifier answers to each offer of the dispatcher.

use std::sync::Arc;

use proofgrid_core::batch::Batch;
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{Address, ChainContract, EpochNumber, StatementDigest, TableDigest};
use proofgrid_core::network::InvalidDetail;
use proofgrid_core::sealed::{CommitSet, SealedVote};
use proofgrid_core::statement::Verdict;
use proofgrid_proto::convert::{SegmentOffer, StatementOffer, VerifierMessage};
use tokio::sync::watch;

use crate::archive::Archive;
use crate::epochs::{Abstention, Epochs};
use crate::evaluate::Evaluator;
use crate::fetch::ProofSource;
use crate::limits::shorten;
use crate::signer::{OpenedVote, RevealError, Signer};
use crate::status::VerifierStatus;
use crate::vote_log::{Entry, Finding, VoteLogError};

/// Puts evaluation, vote log, epochs and signatures in their order.
pub(crate) struct Desk {
    pub(crate) epochs: Epochs,
    pub(crate) evaluator: Evaluator,
    pub(crate) signer: Arc<Signer>,
    pub(crate) archive: Archive,
    pub(crate) status: watch::Sender<VerifierStatus>,
}

impl Desk {
    /// Judges a segment early; nothing is answered, signed or logged.
    pub(crate) async fn segment(&self, offer: &SegmentOffer, source: &dyn ProofSource) {
        if let Err(abstention) = self.evaluator.judge_early(offer, source).await {
            tracing::debug!(
                target: "verifier", job = %offer.job, segment = offer.record.index,
                why = %abstention.text, "a segment was not judged early"
            );
        }
    }

    /// A commitment or an abstention. The verdict does not depend on the epoch: it is reached and
    /// logged first, and then signed and committed to only under an epoch that the chain confirms.
    ///
    /// # Errors
    /// When the vote log fails; then this verifier must stop.
    pub(crate) async fn statement(
        &self,
        offer: &StatementOffer,
        source: &dyn ProofSource,
    ) -> Result<VerifierMessage, VoteLogError> {
        let logged = match self.signer.logged(offer.digest) {
            Some(logged) => logged,
            None => match self.evaluator.evaluate(offer, source).await {
                Ok((finding, judged_in)) => {
                    let entry = Entry {
                        statement: offer.digest,
                        target: offer.spec.target,
                        finding,
                        judged_in,
                        secret: self.signer.secret(offer.digest),
                    };
                    let logged = self.signer.record(entry).await?;
                    let proofs = offer.opened.records.iter().map(|record| record.proof);
                    self.archive.judged(offer.digest, proofs.collect()).await;
                    logged
                }
                Err(abstention) => return Ok(self.abstain(offer, abstention)),
            },
        };
        match self.epochs.confirm(offer.epoch, offer.table).await {
            Ok(epoch) => {
                let sealed = self.signer.commit(&logged, &epoch);
                self.status.send_modify(|status| {
                    status.commitments += 1;
                    status.logged_verdicts = self.signer.num_logged() as u64;
                });
                // No word of the verdict, here or in the status, before it is opened.
                tracing::info!(
                    target: "verifier", job = %offer.opened.job(), statement = %offer.digest,
                    epoch = offer.epoch.get(), "committed to a vote"
                );
                let SealedVote { epoch, table, statement, commitment, .. } = sealed;
                Ok(VerifierMessage::Commit { epoch, table, statement, commitment })
            }
            Err(abstention) => Ok(self.abstain(offer, abstention)),
        }
    }

    /// The vote that this verifier committed to, for a commit set that the dispatcher signed; nothing
    /// if the set does not hold its commitment, is not signed, or is not the one that it opened to.
    ///
    /// # Errors
    /// When the vote log fails; then this verifier must stop.
    pub(crate) async fn reveal(
        &self,
        set: CommitSet,
        signature: WalletSignature,
        server: Address,
    ) -> Result<Option<VerifierMessage>, VoteLogError> {
        let statement = set.statement();
        let opened = match self.epochs.confirm(set.epoch(), set.table()).await {
            Ok(epoch) => self.signer.reveal(set, epoch, (server, signature)).await,
            Err(Abstention { text, .. }) => {
                self.refuse_reveal(statement, &text);
                return Ok(None);
            }
        };
        match opened {
            Ok(opened) => Ok(Some(self.opened(opened))),
            Err(RevealError::VoteLog(error)) if !matches!(error, VoteLogError::OtherSet { .. }) => {
                Err(error)
            }
            Err(error) => {
                self.refuse_reveal(statement, &error.to_string());
                Ok(None)
            }
        }
    }

    fn refuse_reveal(&self, statement: StatementDigest, why: &str) {
        self.status.send_modify(|status| {
            status.reveals_refused += 1;
            status.last_error = Some(why.to_owned());
        });
        tracing::warn!(target: "verifier", %statement, why, "a vote is not opened");
    }

    fn opened(&self, opened: OpenedVote) -> VerifierMessage {
        let OpenedVote { signed, salt, logged } = opened;
        let verdict = logged.verdict();
        self.status.send_modify(|status| match verdict {
            Verdict::Valid => status.votes_valid += 1,
            Verdict::Invalid => status.votes_invalid += 1,
        });
        let detail = match &logged.entry().finding {
            Finding::Valid => None,
            Finding::Invalid(fault) => {
                Some(InvalidDetail { segment: fault.segment, reason: fault.reason.clone() })
            }
        };
        tracing::info!(
            target: "verifier", statement = %signed.vote.statement,
            epoch = signed.vote.epoch.get(), verdict = %verdict, ?detail, "voted"
        );
        let judged_in = logged.entry().judged_in;
        let (vote, signature) = (signed.vote, signed.signature);
        VerifierMessage::Reveal { vote, signature, detail, judged_in, salt }
    }

    fn abstain(&self, offer: &StatementOffer, abstention: Abstention) -> VerifierMessage {
        let Abstention { reason, text } = abstention;
        self.status.send_modify(|status| {
            status.abstentions += 1;
            status.last_error = Some(text.clone());
        });
        tracing::warn!(
            target: "verifier", job = %offer.opened.job(), statement = %offer.digest,
            epoch = offer.epoch.get(), reason = reason.name(), why = %text, "abstained"
        );
        VerifierMessage::Abstain {
            epoch: offer.epoch,
            statement: offer.digest,
            reason,
            text: shorten(&text),
        }
    }

    /// A signature over a batch, or the positions that differ from the log.
    pub(crate) async fn attest(
        &self,
        target: ChainContract,
        epoch: EpochNumber,
        table: TableDigest,
        batch: &Batch,
    ) -> VerifierMessage {
        let confirmed = match self.epochs.confirm(epoch, table).await {
            Ok(confirmed) => confirmed,
            Err(Abstention { text, .. }) => {
                return self.refuse(batch, (0..batch.count()).collect(), &text);
            }
        };
        match self.signer.attest(target, &confirmed, batch) {
            Ok(signed) => {
                self.status.send_modify(|status| status.attestations += 1);
                tracing::info!(
                    target: "verifier", root = %batch.root(), count = batch.count(),
                    epoch = epoch.get(), "attested a batch"
                );
                for leaf in batch.leaves() {
                    self.archive.attested(leaf.statement).await;
                }
                let attestation = signed.attestation;
                VerifierMessage::Attest { attestation, signature: signed.signature }
            }
            Err(disagreement) => {
                let text = "these leaves are not in this verifier's vote log";
                self.refuse(batch, disagreement.positions, text)
            }
        }
    }

    fn refuse(&self, batch: &Batch, positions: Vec<u32>, text: &str) -> VerifierMessage {
        self.status.send_modify(|status| {
            status.attestations_refused += 1;
            status.last_error = Some(text.to_owned());
        });
        tracing::warn!(
            target: "verifier", root = %batch.root(), ?positions, why = text,
            "refused to attest a batch"
        );
        VerifierMessage::AttestRefused { root: batch.root(), positions, text: shorten(text) }
    }
}

#[cfg(test)]
mod tests;
