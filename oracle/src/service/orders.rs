//! What the dispatcher orders, taken on as posts.

use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{Address, ChainContract};
use proofgrid_core::network::{SubmissionFailure, SubmissionSubject, SubmissionUpdate};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_proto::convert::{
    AcceptanceOrder, JudgeOrder, OracleOrder, RaceNews, RaceStep, SettleOrder,
};
use tokio::time::timeout;

use super::{Oracle, OracleError};
use crate::direct::{self, DIRECT_PROOF_BYTES_MAX};
use crate::posts::{self, PostError};
use crate::publishing::{self, Choice, Publishing};
use crate::races::RoundId;
use crate::submit::Update;
use crate::submit::record::{Post, RecordError};
use crate::{locks, mirror, referee};

/// Longest search for one: all mirrors together.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A proof that the chain shall judge.
pub(super) struct FoundProof {
    opened: OpenedStatement,
    choice: Choice,
    envelope: Vec<u8>,
}

impl Oracle {
    pub(super) async fn obey(&mut self, order: OracleOrder) -> Result<(), OracleError> {
        match order {
            OracleOrder::Ack { event_id, refused } => {
                if let Some(refused) = refused {
                    tracing::warn!(
                        event_id,
                        text = refused.text,
                        "the dispatcher refused an event"
                    );
                }
                self.acknowledged(event_id).await
            }
            OracleOrder::SubmitCertificate { certificate, .. } => {
                self.take_on_certificate(&certificate).await
            }
            OracleOrder::SettleJob(order) => self.take_on_settlement(&order).await,
            OracleOrder::PostAcceptance(order) => self.take_on_acceptance(&order).await,
            OracleOrder::JudgeRaceEntry(order) => self.take_on_entry(&order).await,
            OracleOrder::Refused(refused) => {
                tracing::warn!(text = refused.text, "the dispatcher refused a message");
                Ok(())
            }
            // Part of the login and of the connection; the session keeps them to itself.
            OracleOrder::Challenge(_)
            | OracleOrder::Welcome(_)
            | OracleOrder::Registered
            | OracleOrder::HeartbeatAck { .. }
            | OracleOrder::Goaway(_) => Ok(()),
        }
    }

    const fn on_chain(&self, contract: Address) -> ChainContract {
        ChainContract { chain: self.dial.chain, contract }
    }

    async fn take_on_certificate(&mut self, certificate: &Certificate) -> Result<(), OracleError> {
        let subject = SubmissionSubject::Certificate(certificate.id());
        let post = posts::attest(self.on_chain(self.contracts.proof_registry), certificate);
        let choice = publishing::by_certificate(certificate.count, self.submitter.gas_seen());
        let taken = match post {
            Ok(post) => self.submitter.enqueue_chosen(post, choice).await,
            Err(error) => return self.not_taken(subject, error).await,
        };
        self.answer(subject, taken).await?;
        if let Some(update) = self.submitter.choice(subject) {
            self.tell_update(update).await;
        }
        Ok(())
    }

    /// What is ordered on a certificate is ordered once that was in a block; final or not, that block
    /// may be gone.
    async fn post_again_if_lost(&mut self, certificate: &Certificate) -> Result<(), OracleError> {
        if !self.submitter.is_lost(certificate).await {
            return Ok(());
        }
        let subject = SubmissionSubject::Certificate(certificate.id());
        tracing::warn!(?subject, "it is on the chain no more; posted again");
        // What was final may still wait for its acknowledgement.
        self.submitter.forget(subject).await?;
        self.take_on_certificate(certificate).await
    }

    async fn take_on_settlement(&mut self, order: &SettleOrder) -> Result<(), OracleError> {
        self.post_again_if_lost(&order.certificate).await?;
        let subject = SubmissionSubject::Settle(order.opened.job());
        let task_manager = self.on_chain(self.contracts.task_manager);
        // What keeps the escrow goes in front of what pays it out.
        self.take_on(subject, posts::hold(task_manager, order)).await?;
        self.take_on(subject, posts::settle(task_manager, order)).await?;
        self.consider_direct(order).await;
        Ok(())
    }

    /// The verdict on an entry of a race: its certificate says it, so this costs nothing but gas.
    async fn take_on_entry(&mut self, order: &JudgeOrder) -> Result<(), OracleError> {
        let task_manager = self.on_chain(self.contracts.task_manager);
        match referee::entry_posts(&self.races, task_manager, order) {
            Ok(posts) => {
                self.post_again_if_lost(&order.leaf.certificate).await?;
                self.order(posts.into()).await
            }
            Err(error) => {
                let job = order.leaf.opened.job();
                tracing::warn!(%job, %error, "not an entry of a race here");
                Ok(())
            }
        }
    }

    /// A round that has opened has to be ended some day, whether or not anybody wins it.
    pub(super) async fn watch_round(&mut self, news: &RaceNews) -> Result<(), OracleError> {
        let RaceStep::Opened(opened) = &news.what else {
            return Ok(());
        };
        let id = RoundId { job: news.job, round: opened.number };
        if self.submitter.patient() >= referee::ROUNDS_WATCHED_MAX {
            tracing::warn!(job = %id.job, "too many rounds are watched; this one is left to others");
            return Ok(());
        }
        let posts = referee::round_posts(&self.races, self.contracts.task_manager, id);
        self.order(posts.into()).await
    }

    /// Chooses whether the chain is to judge the proof of a job itself, and if so looks for the proof
    /// beside all other work. Whatever fails leaves the job to its certificate's window.
    async fn consider_direct(&mut self, order: &SettleOrder) {
        let subject = SubmissionSubject::Settle(order.opened.job());
        let [record] = order.opened.records.as_slice() else { return };
        if self.mirrors.is_empty() || self.submitter.choice(subject).is_some() {
            return;
        }
        let situation = match direct::situation(&self.chain, &self.contracts, order).await {
            Ok(Some(situation)) => situation,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(?subject, %error, "whether it is urgent is not known");
                return;
            }
        };
        let choice = publishing::choose(&situation, self.submitter.gas_seen());
        if choice.way != Publishing::Direct {
            tracing::info!(?subject, %choice, "left to its certificate");
            return;
        }
        let Ok(place) = Arc::clone(&self.searches).try_acquire_owned() else {
            tracing::warn!(?subject, "too many proofs are looked for; left to its certificate");
            return;
        };
        let (mirrors, digest, told) = (self.mirrors.clone(), record.proof, self.found.0.clone());
        let opened = order.opened.clone();
        tokio::spawn(async move {
            let search = mirror::read_from_any(&mirrors, digest);
            match timeout(SEARCH_TIMEOUT, search).await {
                // The receiver lives as long as the oracle.
                Ok(Ok(envelope)) => drop(told.send(FoundProof { opened, choice, envelope }).await),
                Ok(Err(error)) => tracing::warn!(?subject, ?error, "its proof is at no mirror"),
                Err(_) => tracing::warn!(?subject, "the mirrors took too long"),
            }
            drop(place);
        });
    }

    /// Orders the direct verification that was chosen, now that its proof is there.
    pub(super) async fn take_on_direct(&mut self, found: FoundProof) -> Result<(), OracleError> {
        let subject = SubmissionSubject::Settle(found.opened.job());
        if found.envelope.len() > DIRECT_PROOF_BYTES_MAX {
            tracing::warn!(?subject, "its proof is too long for a transaction");
            return Ok(());
        }
        let registry = self.on_chain(self.contracts.proof_registry);
        let Some(post) = posts::verify_direct(registry, &found.opened, found.envelope) else {
            return Ok(());
        };
        match self.submitter.enqueue_chosen(post, found.choice).await {
            Ok(()) => {}
            Err(full @ RecordError::Full) => {
                tracing::warn!(?subject, %full, "left to its certificate");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(update) = self.submitter.choice(subject) {
            self.tell_update(update).await;
        }
        Ok(())
    }

    /// What a prover signed binds it, whoever brings it here; what it did not sign costs nothing.
    async fn take_on_acceptance(&mut self, order: &AcceptanceOrder) -> Result<(), OracleError> {
        let task_manager = self.on_chain(self.contracts.task_manager);
        let accepted = &order.accepted;
        let task = accepted.lease.task();
        if order.task_manager != task_manager.contract || accepted.verify(task_manager).is_err() {
            tracing::warn!(%task, prover = %accepted.prover, "no acceptance of this prover here");
            return Ok(());
        }
        for post in locks::posts(&self.book, order) {
            let waits = post.purpose.is_patient();
            if waits && self.submitter.patient() >= locks::LOCKS_WATCHED_MAX {
                tracing::warn!(%task, "too many locks are watched; this one is left to others");
                continue;
            }
            match self.submitter.enqueue(post).await {
                Ok(()) => {}
                // Certificates and payments go first; the dispatcher brings it again.
                Err(RecordError::Full) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn take_on(
        &mut self,
        subject: SubmissionSubject,
        post: Result<Post, PostError>,
    ) -> Result<(), OracleError> {
        let taken = match post {
            Ok(post) => self.submitter.enqueue(post).await,
            Err(error) => return self.not_taken(subject, error).await,
        };
        self.answer(subject, taken).await
    }

    /// Says that an order cannot become a transaction.
    async fn not_taken(
        &mut self,
        subject: SubmissionSubject,
        error: PostError,
    ) -> Result<(), OracleError> {
        let update = SubmissionUpdate::Failed(SubmissionFailure::Refused(error.to_string()));
        self.tell_update(Update { subject, update }).await;
        Ok(())
    }

    /// Says so if there is no room for what was ordered.
    async fn answer(
        &mut self,
        subject: SubmissionSubject,
        taken: Result<(), RecordError>,
    ) -> Result<(), OracleError> {
        let full = match taken {
            Ok(()) => return Ok(()),
            Err(full @ RecordError::Full) => full,
            Err(error) => return Err(error.into()),
        };
        let update = SubmissionUpdate::Failed(SubmissionFailure::Unavailable(full.to_string()));
        self.tell_update(Update { subject, update }).await;
        Ok(())
    }
}
