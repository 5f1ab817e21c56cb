//! Finished proofs on their way to the dispatcher.
//!
//! A proof is held until the dispatcher answers for it: over reconnects, over restarts of either
//! side, and when an upload fails or an answer is lost while the session lives. Offering a proof
//! again is harmless, the dispatcher takes it once.

use std::sync::Arc;

use proofgrid_core::ids::TaskId;
use proofgrid_core::network::{Assignment, LeaseRef, TaskFault};
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::{CompletionReply, ProverMessage};
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

use super::{Drain, Link, Worker};
use crate::holdings::{HeldProof, HoldingsError};
use crate::pipeline::{DeliverError, lease_of};

/// Most proofs that travel at the same time; each is in memory while it does.
const UPLOADS_MAX: usize = 4;

/// How an upload ended, and which one it was.
pub(super) type UploadEnded = Result<(Id, (TaskId, Result<(), DeliverError>)), JoinError>;

/// Where a finished proof is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// To be uploaded and offered.
    Due,
    /// Being uploaded.
    Uploading(Id),
    /// Offered, or not taken; to be offered again then unless an answer comes.
    Waiting(Instant),
    /// Offered while draining, and not answered in time; the next start offers it again.
    LeftOver,
}

/// A finished proof.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) proof: HeldProof,
    delivery: Delivery,
}

impl Held {
    pub(super) const fn new(proof: HeldProof) -> Self {
        Self { proof, delivery: Delivery::Due }
    }

    /// Whether the worker may leave without it: it is on disk.
    pub(super) fn is_left_over(&self) -> bool {
        self.delivery == Delivery::LeftOver
    }
}

impl Worker {
    /// Holds a new proof and offers it as soon as it can.
    pub(super) fn hold(&mut self, proof: HeldProof) {
        self.held.insert(proof.task(), Held::new(proof));
    }

    /// Offers everything that is held to a new session. A late completion counts if it is the first.
    pub(super) fn offer_all(&mut self) {
        for held in self.held.values_mut() {
            if !matches!(held.delivery, Delivery::Uploading(_)) {
                held.delivery = Delivery::Due;
            }
        }
    }

    /// Offers the held proof of a task that is assigned again, under the new lease.
    pub(super) fn offer_again(&mut self, assignment: &Assignment) -> bool {
        let lease = lease_of(assignment);
        let Some(held) = self.held.get_mut(&lease.task) else { return false };
        let record = &held.proof.record;
        let same = held.proof.job == assignment.job
            && held.proof.program == assignment.spec.program
            && (record.index, record.first, record.count)
                == (assignment.index, assignment.segment.first, assignment.segment.count);
        if same {
            held.proof.lease = lease;
            // An upload that is under way ends with a completion under the lease of that moment.
            if !matches!(held.delivery, Delivery::Uploading(_)) {
                held.delivery = Delivery::Due;
            }
        }
        same
    }

    /// Offers again what was not answered in time; while draining, leaves it for the next start.
    pub(super) fn offer_unanswered(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let now = Instant::now();
        for (task, held) in &mut self.held {
            if matches!(held.delivery, Delivery::Waiting(until) if until <= now) {
                tracing::warn!(%task, "no answer for a finished proof");
                let stays = self.drain != Drain::No;
                held.delivery = if stays { Delivery::LeftOver } else { Delivery::Due };
            }
        }
    }

    /// Starts the uploads that are due, while a session is up.
    pub(super) fn start_uploads(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        for (task, held) in &mut self.held {
            if self.uploads.len() >= UPLOADS_MAX {
                return;
            }
            if held.delivery == Delivery::Due {
                let (task, upload) =
                    (*task, Arc::clone(&self.workshop).deliver(held.proof.clone()));
                let spawned = self.uploads.spawn(async move { (task, Box::pin(upload).await) });
                held.delivery = Delivery::Uploading(spawned.id());
            }
        }
    }

    pub(super) async fn on_upload_ended(&mut self, ended: UploadEnded) {
        let (id, result) = match ended {
            Ok((id, (_, result))) => (id, result),
            Err(error) => (error.id(), Err(DeliverError::Stopped)),
        };
        let again_at = Instant::now() + self.config.offer_again();
        let uploading = |held: &&mut Held| held.delivery == Delivery::Uploading(id);
        let Some(held) = self.held.values_mut().find(uploading) else { return };
        held.delivery = Delivery::Waiting(again_at);
        let (lease, report) = (held.proof.lease, held.proof.report());
        let task = lease.task;
        match result {
            // Under the lease that is newest now, not when the upload began.
            Ok(()) => self.send(ProverMessage::Complete { lease, report }),
            Err(DeliverError::Holdings(HoldingsError::Corrupt(digest))) => {
                tracing::error!(%task, %digest, "the proof has changed on disk and is dropped");
                self.forget(&task).await;
                let text = "the finished proof was damaged on disk".into();
                self.give_up(&lease, TaskFault::Backend(text));
            }
            Err(error) => tracing::warn!(%task, %error, "a finished proof was not delivered"),
        }
    }

    pub(super) async fn on_completion(&mut self, lease: &LeaseRef, reply: CompletionReply) {
        let task = lease.task;
        match reply {
            CompletionReply::Received | CompletionReply::Accepted => {
                if self.forget(&task).await {
                    self.counts.delivered = self.counts.delivered.saturating_add(1);
                }
            }
            CompletionReply::AlreadyDone => {
                self.forget(&task).await;
            }
            CompletionReply::Refused(text) => {
                tracing::error!(%task, %text, "intake refused the proof; report it");
                self.counts.refused = self.counts.refused.saturating_add(1);
                self.forget_judged(lease).await;
            }
            CompletionReply::Unjudged(text) => {
                tracing::warn!(%task, %text, "intake could not judge the proof");
                self.forget_judged(lease).await;
            }
        }
    }

    /// Drops the proof that an unhappy judgement is about, and not one for a later try of the task.
    async fn forget_judged(&mut self, lease: &LeaseRef) {
        let held = self.held.get(&lease.task);
        if held.is_some_and(|held| held.proof.lease.attempt <= lease.attempt) {
            self.forget(&lease.task).await;
        }
    }

    /// Drops what no job has a use for any more.
    pub(super) async fn drop_overdue(&mut self, now: UnixSeconds) {
        let overdue = self.held.iter().filter(|(_, held)| held.proof.deadline < now);
        let overdue: Vec<TaskId> = overdue.map(|(task, _)| *task).collect();
        for task in overdue {
            tracing::warn!(%task, "a held proof is past its job's deadline and is dropped");
            self.forget(&task).await;
        }
    }

    /// Drops a held proof, on disk too. Awaited, so that a new proof of the task never races it.
    pub(super) async fn forget(&mut self, task: &TaskId) -> bool {
        match self.held.remove(task) {
            Some(held) => {
                self.workshop.forget(held.proof).await;
                true
            }
            None => false,
        }
    }
}
