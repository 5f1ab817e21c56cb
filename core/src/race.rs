//! Races: several provers prove one job in rounds of commitment and reveal, as `RaceRounds` runs
//! them.
//!
//! A statement of a round has the round as its attempt and one prover in all of its records, so
//! statements of two provers or two rounds are never the same.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::ids::{Address, ChainContract, EpochNumber, JobId, StatementAttempt, StatementDigest};
use crate::job::{JobSpec, Mode, Origin};
use crate::network::{JobPlan, PlannedSegment};
use crate::statement::OpenedStatement;
use crate::units::UnixSeconds;

/// Most commitments of one round, and most rounds of one race: the bounds of `RaceRounds`.
pub const RACE_COMMITMENTS_MAX: usize = 16;
/// See [`RACE_COMMITMENTS_MAX`].
pub const RACE_ROUNDS_MAX: u8 = 16;

/// Seconds of its chain after `reveal_until` for which an entry's proofs are waited for: an upload of
/// the largest proofs and a reconnect, and still short against the time to judge.
pub const PROOFS_GRACE_SECONDS: u64 = 30;

/// Whether a job is raced for: it says so, and it is a contract's, because the rounds are on-chain.
#[must_use]
pub fn is_race(spec: &JobSpec) -> bool {
    spec.origin == Origin::Contract && spec.mode == Mode::Race
}

/// A round as its chain opened it. Every time is a second of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RaceRound {
    /// Which, from 1.
    pub number: u8,
    /// The epoch that was open then.
    pub epoch: EpochNumber,
    /// First second at which no commitment is taken any more.
    pub commit_until: UnixSeconds,
    /// First second at which no reveal is taken any more.
    pub reveal_until: UnixSeconds,
    /// When it ends unless it is held.
    pub judge_until: UnixSeconds,
}

impl RaceRound {
    /// The attempt of its statements.
    #[must_use]
    pub const fn attempt(&self) -> StatementAttempt {
        StatementAttempt::new(self.number as u32)
    }
}

/// One step of a race on its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// A round takes commitments.
    Opened(RaceRound),
    /// A prover revealed its statement.
    Revealed {
        /// Which round.
        round: u8,
        /// Who.
        prover: Address,
        /// What it committed to.
        statement: StatementDigest,
    },
    /// A round is over.
    Closed {
        /// Which round.
        round: u8,
        /// Commitments that were found valid.
        winners: u32,
    },
    /// The fee was split among the winners.
    Settled {
        /// The first winner's statement.
        statement: StatementDigest,
    },
}

/// A round as provers are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaceOffer {
    /// The job's id.
    pub job: JobId,
    /// The job.
    pub spec: JobSpec,
    /// The whole job; every prover proves all of it.
    pub segments: Vec<PlannedSegment>,
    /// Which round, from 1.
    pub round: u8,
    /// First second of the chain at which no commitment is taken any more.
    pub commit_until: UnixSeconds,
    /// First second of the chain at which no reveal is taken any more.
    pub reveal_until: UnixSeconds,
    /// The `TaskManager` that created the job.
    pub task_manager: ChainContract,
}

/// Why a statement is no entry of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is of another job or round, or of another program, manifest or claim.
    #[error("the statement is not one of this job and round; build it from the newest offer")]
    OtherStatement,
    /// Its records do not cover the plan.
    #[error("record {index} is not the plan's segment; prove the segments of the offer")]
    OtherCut {
        /// The first record that differs, or that is missing.
        index: usize,
    },
    /// A record is somebody else's.
    #[error("record {index} names {prover}; every record of an entry is the sender's own")]
    OtherProver {
        /// The record.
        index: usize,
        /// Whom it names.
        prover: Address,
    },
    /// The records are not those under the statement's root.
    #[error("the records are not those under the statement's root")]
    OtherRoot,
}

/// Whether a statement may be judged as a prover's entry of a round. What its proofs are worth is
/// the verifiers' to say: a false one has to get its verdict.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_entry(
    spec: &JobSpec,
    plan: &JobPlan,
    round: &RaceRound,
    prover: Address,
    entry: &OpenedStatement,
) -> Result<(), EntryError> {
    for (index, segment) in plan.segments.iter().enumerate() {
        let record = entry.records.get(index).ok_or(EntryError::OtherCut { index })?;
        let same = usize::try_from(record.index) == Ok(index)
            && record.first == segment.first
            && record.count == segment.count
            && record.work_units == segment.work_units
            && record.vk == plan.vk;
        if !same {
            return Err(EntryError::OtherCut { index });
        }
        if record.prover != prover {
            return Err(EntryError::OtherProver { index, prover: record.prover });
        }
    }
    if entry.records.len() != plan.segments.len() {
        return Err(EntryError::OtherCut { index: plan.segments.len() });
    }
    let statement = &entry.statement;
    let ours = crate::statement::Statement::of_job(
        statement.job,
        spec,
        round.attempt(),
        plan.manifest,
        &entry.records,
    )
    .map_err(|_| EntryError::OtherRoot)?;
    if statement.segments_root != ours.segments_root {
        return Err(EntryError::OtherRoot);
    }
    if *statement != ours || statement.job != spec.id() {
        return Err(EntryError::OtherStatement);
    }
    Ok(())
}
