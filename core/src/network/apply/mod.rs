//! From inputs to facts and effects.

mod jobs;
mod provers;
mod pruning;
mod race;
mod sealed;
pub(super) mod streams;
mod submission;
mod timers;
mod verifiers;
mod votes;

use super::input::{Answer, Input};
use super::refusal::Refusal;
use super::{Network, Step};

impl Network {
    /// Writes down what an input says, if it may.
    pub(super) fn handle(&mut self, step: &mut Step, input: Input) -> Result<Answer, Refusal> {
        match input {
            Input::SubmitJob { spec, provenance } => self.on_submit(step, spec, provenance),
            Input::BlobStored { digest, bytes } => self.on_blob_stored(step, digest, bytes),
            Input::JobPlanned { job, plan } => self.on_planned(step, job, plan),
            Input::JobRefused { job, reason } => self.on_job_refused(step, job, reason),
            Input::CancelJob { job, requester } => self.on_cancel(step, job, requester),
            Input::JobExpired { job, provenance } => self.on_expired(step, job, provenance),
            Input::EpochFinal { keys } => self.on_epoch(step, keys),
            Input::MembersExcluded { epoch, members } => self.on_excluded(step, epoch, members),
            Input::VerifierConnected { operator, session } => {
                self.on_verifier_connected(step, operator, session)
            }
            Input::VerifierDisconnected { operator, session } => {
                if self.live.verifiers.get(&operator) == Some(&session) {
                    self.live.verifiers.remove(&operator);
                }
                Ok(Answer::Done)
            }
            Input::CommitReceived { sealed } => self.on_commit(step, sealed),
            Input::VoteReceived { vote, detail, salt } => self.on_vote(step, vote, detail, &salt),
            Input::Abstained { operator, epoch, statement, reason } => {
                self.on_abstained(step, operator, epoch, statement, reason)
            }
            Input::AttestationReceived { attestation } => self.on_attestation(step, attestation),
            Input::AttestationRefused { operator, batch, positions } => {
                self.on_attestation_refused(step, operator, batch, positions)
            }
            Input::OracleConnected { chain, session } => {
                self.on_oracle_connected(step, chain, session)
            }
            Input::OracleDisconnected { chain, session } => {
                self.on_oracle_disconnected(step, chain, session)
            }
            Input::SubmissionUpdate { chain, subject, update } => {
                self.on_submission(step, chain, subject, update)
            }
            Input::RaceNews { job, event, step: news } => {
                self.on_race_news(step, job, &event, news)
            }
            Input::RaceEntry { prover, opened } => self.on_race_entry(step, prover, opened),
            Input::ChainHead { chain, time } => self.on_chain_head(chain, time),
            Input::Tick => self.on_tick(step),
            other => self.handle_prover(step, other),
        }
    }

    /// Takes every step that follows from the state, until none is left.
    pub(super) fn advance(&mut self, step: &mut Step) -> Result<(), Refusal> {
        loop {
            if let Some(task) = self.live.dirty_tasks.pop_first() {
                self.check_budget(step, task)?;
            } else if let Some(job) = self.live.dirty_jobs.pop_first() {
                self.advance_job(step, job)?;
            } else if let Some(root) = self.live.dirty_batches.pop_first() {
                self.advance_batch(step, root)?;
            } else if self.live.batches_due {
                self.live.batches_due = false;
                self.open_batches(step)?;
            } else {
                break;
            }
        }
        self.schedule(step)?;
        // Granting touches jobs, whose next step is then to do nothing.
        while let Some(job) = self.live.dirty_jobs.pop_first() {
            self.advance_job(step, job)?;
        }
        Ok(())
    }
}
