//! The network's state machine: jobs, tasks, leases, votes, batches, submissions.
//!
//! `Network::apply` takes one input and the time and decides. Every durable change is a [`Fact`] that
//! the caller journals before it runs the effects or answers; a restart replays the facts.
//! Connections, heartbeats and timers are not durable: peers dial in again and say what they hold.
//!
//! Handlers write down what happened; what follows from it (the next step of a job or batch, leases
//! for free provers) is derived from the state alone. A crash between two facts of one input
//! therefore loses nothing: the missing step is taken after the replay.
//!
//! It refuses to guess: an input that does not fit gets a typed [`Refusal`] and changes nothing.

mod apply;
mod config;
mod contradiction;
mod effect;
mod evidence;
mod explain;
mod fact;
mod input;
mod invariants;
mod live;
mod race_view;
mod refusal;
mod schedule;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod workforce;

use std::collections::BTreeSet;

use thiserror::Error;

use crate::ids::JobId;
use crate::units::{Millis, UnixMillis};

pub use config::{JOB_RETENTION_MS_MIN, NetworkConfig, RetentionError};
pub use contradiction::{Contradiction, Word};
pub use effect::*;
pub use evidence::{EVIDENCE_VOTES_MAX, StatementEvidence};
pub use explain::*;
pub use fact::*;
pub use input::*;
pub use invariants::Violation;
pub use live::SchedulerStats;
pub use race_view::*;
pub use refusal::{Consequence, Refusal};
pub use state::*;
pub use view::*;
pub use workforce::Workforce;

use live::{Live, Timer};

/// What one input led to.
#[derive(Debug)]
pub struct Outcome {
    /// To be journaled and flushed first, in order, as one entry if the journal can.
    pub facts: Vec<Fact>,
    /// To be done afterwards.
    pub effects: Vec<Effect>,
    /// To be answered afterwards.
    pub answer: Result<Answer, Refusal>,
}

/// Why a journal could not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("journal entry {position} does not fit: {source}; restore the journal from a copy")]
pub struct ReplayError {
    /// Position of the fact, from 0.
    pub position: u64,
    /// Why it does not fit.
    pub source: EvolveError,
}

/// One network: durable state, and what is known about connected peers.
#[derive(Clone, Debug)]
pub struct Network {
    config: NetworkConfig,
    state: State,
    live: Live,
}

/// What is being collected while one input is applied.
struct Step {
    now: UnixMillis,
    facts: Vec<Fact>,
    effects: Vec<Effect>,
    changed: BTreeSet<JobId>,
}

impl Step {
    const fn new(now: UnixMillis) -> Self {
        Self { now, facts: Vec::new(), effects: Vec::new(), changed: BTreeSet::new() }
    }
}

impl Network {
    /// An empty network.
    #[must_use]
    pub fn new(config: NetworkConfig) -> Self {
        Self { config, state: State::default(), live: Live::default() }
    }

    /// Rebuilds a network from its journal. Call [`Network::resume`] before the first input.
    ///
    /// # Errors
    /// When a fact does not fit what came before it.
    pub fn replay(
        config: NetworkConfig,
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Self, ReplayError> {
        let mut network = Self::new(config);
        for (position, fact) in (0u64..).zip(facts) {
            network.state.evolve(&fact).map_err(|source| ReplayError { position, source })?;
        }
        Ok(network)
    }

    /// A network as a snapshot of its state has it. Facts after the snapshot were taken into the
    /// state already. Call [`Network::resume`] before the first input.
    #[must_use]
    pub fn from_snapshot(config: NetworkConfig, state: State) -> Self {
        Self { config, state, live: Live::default() }
    }

    /// The durable state.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// When `Input::Tick` is due next; earlier ones do nothing.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<UnixMillis> {
        self.live.timers.first().map(|(at, _)| *at)
    }

    /// Applies one input. Total: whatever the input, the state stays sound.
    pub fn apply(&mut self, input: Input, now: UnixMillis) -> Outcome {
        let mut step = Step::new(now);
        let handled = self.handle(&mut step, input);
        let advanced = self.advance(&mut step);
        let answer = advanced.and(handled);
        let changed = std::mem::take(&mut step.changed);
        step.effects.extend(changed.into_iter().map(|job| Effect::JobChanged { job }));
        Outcome { facts: step.facts, effects: step.effects, answer }
    }

    /// Takes one decision into the state and into what will be journaled.
    fn record(&mut self, step: &mut Step, change: Change) -> Result<(), Refusal> {
        let fact = Fact { at: step.now, change };
        let changed = self.state.evolve(&fact)?;
        self.live.dirty_jobs.extend(changed.iter().copied());
        step.changed.extend(changed);
        self.arm_for(step.now, &fact.change);
        if let Change::LeaseGranted { prover, .. } | Change::ProverDrained { prover, .. } =
            &fact.change
        {
            self.arm_worker(*prover, step.now);
        }
        self.reindex_for(&fact.change);
        step.facts.push(fact);
        Ok(())
    }

    /// Arms the timers that a change calls for.
    fn arm_for(&mut self, now: UnixMillis, change: &Change) {
        let config = &self.config;
        let after = |span: u64| now.after(Millis::new(span));
        let live = &mut self.live;
        match change {
            Change::JobSubmitted { job, spec, provenance: Provenance::Direct, input_until } => {
                live.arm(*input_until, Timer::Input(*job));
                let grace = Millis::new(config.deadline_grace_ms);
                live.arm(spec.deadline.as_millis().after(grace), Timer::Deadline(*job));
            }
            Change::BlobStored { digest, .. } => {
                live.arm(after(config.unclaimed_blob_ms), Timer::Blob(*digest));
            }
            Change::LeaseGranted { task, attempt, expires_at, .. } => {
                live.arm(*expires_at, Timer::Lease(*task, *attempt));
            }
            Change::StatementOpened { digest, .. } => {
                live.arm(after(config.vote_timeout_ms), Timer::Vote(*digest, None));
            }
            Change::VotingOpened { statement, epoch }
            | Change::CommitsReopened { statement, epoch } => {
                live.arm(after(config.vote_timeout_ms), Timer::Vote(*statement, Some(*epoch)));
                live.arm(after(config.commit_cap_ms), Timer::CommitCap(*statement, *epoch));
            }
            Change::CommitsClosed { statement, epoch } => {
                live.arm(after(config.reveal_cap_ms), Timer::Reveals(*statement, *epoch));
            }
            Change::QuorumReached { .. } | Change::BatchClosed { .. } => {
                live.arm(after(config.batch_window_ms), Timer::Batch);
            }
            Change::JobResumed { .. } => live.arm(now, Timer::Batch),
            Change::BatchOpened { root, round, .. } => {
                live.arm(after(config.attest_timeout_ms), Timer::Attest(*root, *round));
            }
            Change::EpochRecorded { keys } => {
                let number = keys.table().epoch();
                live.arm(after(config.epoch_grace_ms), Timer::Epoch(number));
            }
            Change::CertificateDropped { id, .. } => {
                // Its deadline may have passed while it was certified and could not expire.
                let grace = Millis::new(config.deadline_grace_ms);
                let book = self.state.certificates.get(id);
                for (_, job) in book.iter().flat_map(|book| &book.statements) {
                    let found = self.state.jobs.get(job).filter(|found| !found.is_contract());
                    if let Some(found) = found {
                        let over = found.spec.deadline.as_millis().after(grace);
                        live.arm(over, Timer::Deadline(*job));
                    }
                }
            }
            _ => {}
        }
    }

    /// Keeps the index of free provers in step with leases, throughput and drains.
    fn reindex_for(&mut self, change: &Change) {
        match change {
            Change::LeaseGranted { prover, .. } | Change::ProofDelivered { prover, .. } => {
                self.reindex(*prover);
            }
            Change::ProverDrained { prover, .. } => self.reindex(*prover),
            Change::TaskAccepted { record, .. } => self.reindex(record.prover),
            Change::LeaseEnded { task, attempt, .. }
            | Change::CandidateDropped { task, attempt, .. } => {
                let prover = self.state.task(task).ok().and_then(|(_, task)| {
                    task.tries.iter().find(|t| t.attempt == *attempt).map(|t| t.prover)
                });
                if let Some(prover) = prover {
                    self.reindex(prover);
                }
            }
            Change::JobPlanned { .. } | Change::SegmentRejected { .. } => {
                self.live.schedule_due = true;
            }
            _ => {}
        }
    }
}
