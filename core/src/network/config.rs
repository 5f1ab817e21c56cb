//! What an operator may tune. Every duration and size carries its unit in its name.
//!
//! Nothing here is read while facts are replayed: a decision that depends on the configuration is
//! taken once, in a handler, and its outcome is written into the fact. A restart with another
//! configuration therefore reaches the same state.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::ids::{ChainContract, ChainId, ProgramId};
use crate::limits;

const DAY_MS: u64 = 86_400_000;

/// Shortest time that an ended job may be known: twice what a signed request is good for, so that
/// none outlives the memory of its job, even where two clocks differ by an hour.
pub const JOB_RETENTION_MS_MIN: u64 = 2 * 1_000 * limits::REQUEST_EXPIRES_SECONDS_MAX;

/// Times that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{shorter} = {got_ms} must be at least {min_ms} ({because}); set a longer time")]
pub struct RetentionError {
    /// The key that is too short.
    pub shorter: &'static str,
    /// Its value in milliseconds.
    pub got_ms: u64,
    /// The least.
    pub min_ms: u64,
    /// Why.
    pub because: &'static str,
}

/// Settings of one network's state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The chain where the stake lives; a job that names another home is refused.
    pub home_chain: ChainId,
    /// Registries that results may go to; a job that names another target is refused.
    pub targets: BTreeSet<ChainContract>,
    /// Programs whose proofs are bound to their prover: only they are raced for, because a revealed
    /// proof of any other could be copied.
    pub prover_bound: BTreeSet<ProgramId>,
    /// Whether dispatcher intake verifies proofs before verifiers see them. Digests are recomputed
    /// from bytes either way.
    pub judge_at_intake: bool,
    /// Silence after which a prover counts as lost and its leases return to the queue.
    pub heartbeat_dead_after_ms: u64,
    /// Longest that one lease may run, heartbeats or not.
    pub lease_max_ms: u64,
    /// How long a direct job waits for its input before it expires.
    pub input_wait_ms: u64,
    /// How long past its deadline a direct job is kept before it expires.
    pub deadline_grace_ms: u64,
    /// Longest that a statement with a vote quorum waits for company in its batch.
    pub batch_window_ms: u64,
    /// Statements that close a batch early.
    pub batch_statements_max: usize,
    /// How long verifiers may take to attest a batch before it is split.
    pub attest_timeout_ms: u64,
    /// How long a batch that has 2/3 waits for the rest, so that the certificate names fewer
    /// non-signers.
    pub attest_linger_ms: u64,
    /// Rounds of attestation for one single statement before its job is held.
    pub attest_rounds_max: u32,
    /// How long voting may take before the job is held.
    pub vote_timeout_ms: u64,
    /// How long a vote waits for further commitments once two thirds of the stake have committed:
    /// long enough for a verifier that is not much slower than the others, and it bounds what sealing
    /// adds to a vote.
    pub commit_linger_ms: u64,
    /// Longest that the commitments of a vote are waited for. Verifiers that were restarted, upgraded
    /// or cut off are back by then.
    pub commit_cap_ms: u64,
    /// Longest that the votes of a commit set are waited for: three times the longest pause between
    /// two dials of a verifier. Whoever misses it may commit again if nothing was decided.
    pub reveal_cap_ms: u64,
    /// How long statements of the previous epoch may still be attested after a new one is final.
    pub epoch_grace_ms: u64,
    /// Tries at a task before its job fails, infrastructure deaths not counted.
    pub task_attempts_max: u32,
    /// Lost workers, drains and unjudged proofs per task before its job fails, so that a task that
    /// kills its workers cannot eat the network.
    pub task_losses_max: u32,
    /// Statements per job before it fails.
    pub statement_attempts_max: u32,
    /// Wait before a refused submission is tried again; doubles up to `submit_retry_max_ms`.
    pub submit_retry_ms: u64,
    /// Longest wait between two tries of a submission.
    pub submit_retry_max_ms: u64,
    /// Time before a job's deadline at which it stops waiting for a gap in its stream.
    pub stream_margin_ms: u64,
    /// Most live jobs.
    pub live_jobs_max: usize,
    /// Most jobs that are known: live ones, and ended ones that are not forgotten.
    pub known_jobs_max: usize,
    /// Most live jobs of one requester.
    pub live_jobs_per_requester_max: usize,
    /// Most blobs that are remembered although no job names them yet.
    pub unclaimed_blobs_max: usize,
    /// How long a blob is kept that no job names.
    pub unclaimed_blob_ms: u64,
    /// How long the blobs of an ended job are kept: challenge window and retention together.
    pub blob_retention_ms: u64,
    /// How long an ended job is known: counted from its end, or its deadline if that is later.
    pub job_retention_ms: u64,
    /// How long after its job's end a vote is kept: longer than anything can be slashed for it.
    pub evidence_retention_ms: u64,
    /// How long a prover is known that did nothing.
    pub worker_retention_ms: u64,
    /// Most lease slots that one prover may register.
    pub prover_slots_max: u32,
    /// Most connected provers.
    pub provers_max: usize,
}

impl NetworkConfig {
    /// Defaults for a network whose results go to `target` and whose stake lives on `home_chain`.
    #[must_use]
    pub fn new(home_chain: ChainId, target: ChainContract) -> Self {
        Self {
            home_chain,
            targets: BTreeSet::from([target]),
            prover_bound: BTreeSet::new(),
            judge_at_intake: true,
            heartbeat_dead_after_ms: 30_000,
            lease_max_ms: 3_600_000,
            input_wait_ms: 600_000,
            deadline_grace_ms: 60_000,
            batch_window_ms: 250,
            batch_statements_max: limits::BATCH_STATEMENTS_MAX,
            attest_timeout_ms: 5_000,
            attest_linger_ms: 250,
            attest_rounds_max: 4,
            vote_timeout_ms: 120_000,
            commit_linger_ms: 300,
            commit_cap_ms: 600_000,
            reveal_cap_ms: 60_000,
            epoch_grace_ms: 60_000,
            task_attempts_max: limits::TASK_ATTEMPTS_MAX,
            task_losses_max: 16,
            statement_attempts_max: 3,
            submit_retry_ms: 2_000,
            submit_retry_max_ms: 60_000,
            stream_margin_ms: 60_000,
            live_jobs_max: limits::LIVE_JOBS_MAX,
            known_jobs_max: limits::KNOWN_JOBS_MAX,
            live_jobs_per_requester_max: limits::LIVE_JOBS_PER_REQUESTER_MAX,
            unclaimed_blobs_max: 100_000,
            unclaimed_blob_ms: 3_600_000,
            blob_retention_ms: 7 * DAY_MS,
            job_retention_ms: 7 * DAY_MS,
            evidence_retention_ms: 30 * DAY_MS,
            worker_retention_ms: 30 * DAY_MS,
            prover_slots_max: 64,
            provers_max: 10_000,
        }
    }

    /// Checks that nothing is forgotten while it could still be asked for.
    ///
    /// # Errors
    /// [`RetentionError`] names the time that is too short.
    pub const fn check_retention(&self) -> Result<(), RetentionError> {
        let (shorter, got_ms) = ("job_retention_ms", self.job_retention_ms);
        if got_ms < JOB_RETENTION_MS_MIN {
            let because = "twice what a signed request is good for";
            return Err(RetentionError { shorter, got_ms, min_ms: JOB_RETENTION_MS_MIN, because });
        }
        if got_ms < self.blob_retention_ms {
            let (min_ms, because) = (self.blob_retention_ms, "blob_retention_ms");
            return Err(RetentionError { shorter, got_ms, min_ms, because });
        }
        if self.evidence_retention_ms < got_ms {
            let (shorter, min_ms, because) = ("evidence_retention_ms", got_ms, "job_retention_ms");
            let got_ms = self.evidence_retention_ms;
            return Err(RetentionError { shorter, got_ms, min_ms, because });
        }
        Ok(())
    }
}
