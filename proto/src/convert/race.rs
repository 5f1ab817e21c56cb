//! Races: offers, entries, and what a chain says of rounds.

use proofgrid_core::ids::{Address, ChainId, EpochNumber, JobId, StatementDigest};
use proofgrid_core::job::JobSpec;
use proofgrid_core::limits::SEGMENTS_MAX;
use proofgrid_core::network::{ChainEvent, PlannedSegment};
pub use proofgrid_core::race::RaceStep;
use proofgrid_core::race::{RACE_COMMITMENTS_MAX, RACE_ROUNDS_MAX, RaceOffer, RaceRound};
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::{ByteCount, UnixSeconds, WorkUnits};

use super::common::list;
use super::oracle::{SettleOrder, position, position_to_wire};
use super::{At, ConvertError, Problem, id, nested, ranged, text};
use crate::v1;

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryAnswer {
    /// The job.
    pub job: JobId,
    /// The statement of the entry.
    pub statement: StatementDigest,
    /// What became of it.
    pub reply: EntryReply,
}

/// Whether an entry is in its round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryReply {
    /// It is, its reveal is final, and its proofs are taken.
    Upload,
    /// It is, and waits for what the text says; another answer follows.
    Waiting(String),
    /// It is not, because of what the text says.
    Refused(String),
}

/// What noting a verdict on an entry takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgeOrder {
    /// Job, statement, certificate and leaf.
    pub leaf: SettleOrder,
    /// Whose entry.
    pub prover: Address,
    /// Which round.
    pub round: u8,
    /// The verdict in the leaf.
    pub verdict: Verdict,
}

/// What a chain says of a race. Final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaceNews {
    /// Where.
    pub event: ChainEvent,
    /// The job.
    pub job: JobId,
    /// What happened.
    pub what: RaceStep,
}

fn round(wire: u32) -> Result<u8, ConvertError> {
    let round = ranged("round", u64::from(wire), 1, u64::from(RACE_ROUNDS_MAX))?;
    Ok(u8::try_from(round).unwrap_or(RACE_ROUNDS_MAX))
}

pub(super) fn opened(wire: v1::RaceRoundOpened, chain: ChainId) -> Result<RaceNews, ConvertError> {
    let opened = RaceRound {
        number: round(wire.round)?,
        epoch: EpochNumber::new(wire.epoch),
        commit_until: UnixSeconds::new(wire.commit_until_unix_s),
        reveal_until: UnixSeconds::new(wire.reveal_until_unix_s),
        judge_until: UnixSeconds::new(wire.judge_until_unix_s),
    };
    if opened.commit_until >= opened.reveal_until || opened.reveal_until >= opened.judge_until {
        let problem = Problem::Inconsistent("the steps of a round follow each other");
        return Err(ConvertError::new("commit_until_unix_s", problem));
    }
    Ok(RaceNews {
        event: position(wire.position, chain)?,
        job: id("job_id", &wire.job_id)?,
        what: RaceStep::Opened(opened),
    })
}

pub(super) fn revealed(wire: v1::RaceRevealed, chain: ChainId) -> Result<RaceNews, ConvertError> {
    Ok(RaceNews {
        event: position(wire.position, chain)?,
        job: id("job_id", &wire.job_id)?,
        what: RaceStep::Revealed {
            round: round(wire.round)?,
            prover: id("prover", &wire.prover)?,
            statement: id("statement_digest", &wire.statement_digest)?,
        },
    })
}

pub(super) fn closed(wire: v1::RaceRoundClosed, chain: ChainId) -> Result<RaceNews, ConvertError> {
    let most = RACE_COMMITMENTS_MAX as u64;
    ranged("winners", u64::from(wire.winners), 0, most)?;
    Ok(RaceNews {
        event: position(wire.position, chain)?,
        job: id("job_id", &wire.job_id)?,
        what: RaceStep::Closed { round: round(wire.round)?, winners: wire.winners },
    })
}

pub(super) fn settled(wire: v1::RaceSettled, chain: ChainId) -> Result<RaceNews, ConvertError> {
    Ok(RaceNews {
        event: position(wire.position, chain)?,
        job: id("job_id", &wire.job_id)?,
        what: RaceStep::Settled { statement: id("statement_digest", &wire.statement_digest)? },
    })
}

impl From<RaceNews> for v1::chain_event::Event {
    fn from(core: RaceNews) -> Self {
        let position = Some(position_to_wire(&core.event));
        let job_id = core.job.as_bytes().to_vec();
        match core.what {
            RaceStep::Opened(round) => Self::RaceRoundOpened(v1::RaceRoundOpened {
                position,
                job_id,
                round: u32::from(round.number),
                epoch: round.epoch.get(),
                commit_until_unix_s: round.commit_until.get(),
                reveal_until_unix_s: round.reveal_until.get(),
                judge_until_unix_s: round.judge_until.get(),
            }),
            RaceStep::Revealed { round, prover, statement } => {
                Self::RaceRevealed(v1::RaceRevealed {
                    position,
                    job_id,
                    round: u32::from(round),
                    prover: prover.as_bytes().to_vec(),
                    statement_digest: statement.as_bytes().to_vec(),
                })
            }
            RaceStep::Closed { round, winners } => Self::RaceRoundClosed(v1::RaceRoundClosed {
                position,
                job_id,
                round: u32::from(round),
                winners,
            }),
            RaceStep::Settled { statement } => Self::RaceSettled(v1::RaceSettled {
                position,
                job_id,
                statement_digest: statement.as_bytes().to_vec(),
            }),
        }
    }
}

impl TryFrom<v1::RaceSegment> for (u32, PlannedSegment) {
    type Error = ConvertError;

    fn try_from(wire: v1::RaceSegment) -> Result<Self, ConvertError> {
        let segment = PlannedSegment {
            first: wire.first,
            count: ranged("count", wire.count, 1, u64::MAX)?,
            work_units: WorkUnits::new(wire.work_units),
            memory_bytes: ByteCount::new(wire.memory_bytes),
        };
        Ok((wire.index, segment))
    }
}

/// Reads an offer; the job's id is recomputed from the job and compared.
pub(super) fn offer(wire: v1::RaceOffer) -> Result<RaceOffer, ConvertError> {
    let spec: JobSpec = nested("job", wire.job)?;
    let job = id::<JobId>("job_id", &wire.job_id)?;
    if spec.id() != job {
        let problem = Problem::Inconsistent("is not the id of the job that came with it");
        return Err(ConvertError::new("job_id", problem));
    }
    let listed: Vec<(u32, PlannedSegment)> =
        list("segments", wire.segments, SEGMENTS_MAX as usize)?;
    let mut segments = Vec::with_capacity(listed.len());
    let mut next = 0u64;
    for (index, segment) in listed {
        if usize::try_from(index) != Ok(segments.len()) || segment.first != next {
            let problem = Problem::Inconsistent("must be in order and without gaps");
            return Err(ConvertError::new("segments", problem));
        }
        let end = next.checked_add(segment.count);
        next = end.ok_or_else(|| {
            ConvertError::new("segments", Problem::Inconsistent("has more items than can be"))
        })?;
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(ConvertError::new("segments", Problem::Missing));
    }
    Ok(RaceOffer {
        job,
        spec,
        segments,
        round: round(wire.round)?,
        commit_until: UnixSeconds::new(wire.commit_until_unix_s),
        reveal_until: UnixSeconds::new(wire.reveal_until_unix_s),
        task_manager: nested("task_manager", wire.task_manager)?,
    })
}

impl From<&RaceOffer> for v1::RaceOffer {
    fn from(core: &RaceOffer) -> Self {
        let segment = |(index, segment): (u32, &PlannedSegment)| v1::RaceSegment {
            index,
            first: segment.first,
            count: segment.count,
            work_units: segment.work_units.get(),
            memory_bytes: segment.memory_bytes.get(),
        };
        Self {
            job_id: core.job.as_bytes().to_vec(),
            job: Some((&core.spec).into()),
            segments: (0u32..).zip(&core.segments).map(segment).collect(),
            round: u32::from(core.round),
            commit_until_unix_s: core.commit_until.get(),
            reveal_until_unix_s: core.reveal_until.get(),
            task_manager: Some(core.task_manager.into()),
        }
    }
}

impl TryFrom<v1::RaceEntryAnswer> for EntryAnswer {
    type Error = ConvertError;

    fn try_from(wire: v1::RaceEntryAnswer) -> Result<Self, ConvertError> {
        let said = text("text", wire.text)?;
        let reply = match (wire.accepted, wire.may_upload) {
            (true, true) => EntryReply::Upload,
            (true, false) => EntryReply::Waiting(said),
            (false, false) => EntryReply::Refused(said),
            (false, true) => {
                let problem = Problem::Inconsistent("is set although the entry is refused");
                return Err(ConvertError::new("may_upload", problem));
            }
        };
        Ok(Self {
            job: id("job_id", &wire.job_id)?,
            statement: id("statement_digest", &wire.statement_digest)?,
            reply,
        })
    }
}

impl From<EntryAnswer> for v1::RaceEntryAnswer {
    fn from(core: EntryAnswer) -> Self {
        let (accepted, may_upload, text) = match core.reply {
            EntryReply::Upload => (true, true, String::new()),
            EntryReply::Waiting(text) => (true, false, text),
            EntryReply::Refused(text) => (false, false, text),
        };
        Self {
            job_id: core.job.as_bytes().to_vec(),
            statement_digest: core.statement.as_bytes().to_vec(),
            accepted,
            text,
            may_upload,
        }
    }
}

impl TryFrom<v1::JudgeRaceEntry> for JudgeOrder {
    type Error = ConvertError;

    /// Also checks that the order's leaf has the verdict.
    fn try_from(wire: v1::JudgeRaceEntry) -> Result<Self, ConvertError> {
        let leaf = super::oracle::settle(super::present("leaf", wire.leaf)?).at("leaf")?;
        let verdict = super::common::verdict("verdict", wire.verdict)?;
        let named = usize::try_from(leaf.leaf_index)
            .ok()
            .and_then(|index| leaf.certificate.leaves.get(index).copied());
        let digest = leaf.opened.statement.digest();
        if named.is_none_or(|found| found.statement != digest || found.verdict != verdict) {
            let problem = Problem::Inconsistent("is not what the certificate's leaf says");
            return Err(ConvertError::new("verdict", problem));
        }
        Ok(Self { leaf, prover: id("prover", &wire.prover)?, round: round(wire.round)?, verdict })
    }
}

impl From<&JudgeOrder> for v1::JudgeRaceEntry {
    fn from(core: &JudgeOrder) -> Self {
        Self {
            leaf: Some((&core.leaf).into()),
            prover: core.prover.as_bytes().to_vec(),
            round: u32::from(core.round),
            verdict: v1::Verdict::from(core.verdict).into(),
        }
    }
}
