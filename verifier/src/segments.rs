//! Judging single segments, once each.
//!
//! A segment's outcome is a function of its binding and its proof's bytes, so it is remembered under
//! both and serves the early offer of the segment and the statement alike. What was not judged is
//! not remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use proofgrid_core::ids::{Address, BlobDigest, JobId, ProgramId};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_judge::{Judge, JudgeRequest, Judged, Judgement, UnjudgedReason};
use proofgrid_proofs::program::{Binding, VerifiedSegment};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proto::convert::AbstainReason;
use tokio::sync::OnceCell;

use crate::epochs::Abstention;
use crate::fetch::{BlobKind, ProofSource};
use crate::limits::JUDGED_SEGMENTS_MAX;

/// What judges one proof; the sandbox, except in tests and simulations of everything around it.
#[async_trait]
pub trait ProofJudge: Send + Sync {
    /// Judges a proof; a function of the request's bytes, unless it does not finish.
    async fn judge(&self, request: JudgeRequest) -> Judgement;
}

#[async_trait]
impl ProofJudge for Judge {
    async fn judge(&self, request: JudgeRequest) -> Judgement {
        self.judge_measured(request).await
    }
}

/// A completed judgement of one segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentOutcome {
    pub(crate) judged: Arc<Result<VerifiedSegment, Refusal>>,
    pub(crate) judged_in: Millis,
}

/// Everything that an outcome depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SegmentKey {
    job: JobId,
    program: ProgramId,
    prover: Address,
    index: u32,
    first: u64,
    count: u64,
    proof: BlobDigest,
}

type Slot = Arc<OnceCell<SegmentOutcome>>;

#[derive(Default)]
struct Remembered {
    slots: HashMap<SegmentKey, Slot>,
    /// Keys by age; the oldest goes first.
    order: VecDeque<SegmentKey>,
}

/// What a segment belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentOf {
    pub(crate) job: JobId,
    pub(crate) program: ProgramId,
    /// The job's own limit, part of its id.
    pub(crate) proof_bytes_max: ByteCount,
}

/// Judges segments and remembers the outcomes.
pub(crate) struct Segments {
    judge: Arc<dyn ProofJudge>,
    remembered: Mutex<Remembered>,
}

impl Segments {
    pub(crate) fn new(judge: Arc<dyn ProofJudge>) -> Self {
        Self { judge, remembered: Mutex::default() }
    }

    /// The outcome for a record's proof. Two callers for one segment share one child.
    pub(crate) async fn judge(
        &self,
        of: SegmentOf,
        record: &SegmentRecord,
        source: &dyn ProofSource,
    ) -> Result<SegmentOutcome, Abstention> {
        let key = SegmentKey {
            job: of.job,
            program: of.program,
            prover: record.prover,
            index: record.index,
            first: record.first,
            count: record.count,
            proof: record.proof,
        };
        let slot = self.slot(key);
        let outcome = slot.get_or_try_init(|| self.judge_anew(of, key, source)).await?;
        Ok(outcome.clone())
    }

    fn slot(&self, key: SegmentKey) -> Slot {
        // Slots are only added and removed whole, so the map is sound after any panic.
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = remembered.slots.get(&key) {
            return Arc::clone(slot);
        }
        while remembered.order.len() >= JUDGED_SEGMENTS_MAX {
            let Some(oldest) = remembered.order.pop_front() else { break };
            remembered.slots.remove(&oldest);
        }
        let slot = Slot::default();
        remembered.order.push_back(key);
        remembered.slots.insert(key, Arc::clone(&slot));
        slot
    }

    async fn judge_anew(
        &self,
        of: SegmentOf,
        key: SegmentKey,
        source: &dyn ProofSource,
    ) -> Result<SegmentOutcome, Abstention> {
        let proof = source.fetch(key.proof, BlobKind::Proof).await.map_err(|error| {
            Abstention::new(AbstainReason::MissingBlob, format!("segment {}: {error}", key.index))
        })?;
        let (got, most) = (proof.len() as u64, of.proof_bytes_max.get());
        if got > most {
            let detail = format!("the envelope has {got} bytes, the job allows {most}");
            let refusal = Refusal::new(RefusalCode::TooLong, detail);
            return Ok(SegmentOutcome { judged: Arc::new(Err(refusal)), judged_in: Millis::ZERO });
        }
        let binding = Binding {
            job: key.job,
            program: key.program,
            prover: key.prover,
            segment_index: key.index,
            first: key.first,
            count: key.count,
        };
        let request = JudgeRequest { program: key.program, binding, proof: proof.into() };
        let judgement = self.judge.judge(request).await;
        let judged = match judgement.judged {
            Judged::Verified(verified) => Ok(verified),
            Judged::Refused(refusal) => Err(refusal),
            Judged::Unjudged(reason) => return Err(abstain(key.index, &reason)),
        };
        Ok(SegmentOutcome { judged: Arc::new(judged), judged_in: judgement.verify_time })
    }
}

fn abstain(segment: u32, reason: &UnjudgedReason) -> Abstention {
    let wire = match reason {
        UnjudgedReason::TimedOut { .. } | UnjudgedReason::CpuExceeded { .. } => {
            AbstainReason::Timeout
        }
        UnjudgedReason::MemoryExceeded { .. } => AbstainReason::Memory,
        UnjudgedReason::UnknownProgram => AbstainReason::UnknownManifest,
        UnjudgedReason::Killed { .. }
        | UnjudgedReason::ChildPanicked { .. }
        | UnjudgedReason::BadReply { .. }
        | UnjudgedReason::Spawn { .. } => AbstainReason::Crashed,
    };
    Abstention::new(wire, format!("segment {segment}: {reason}"))
}
