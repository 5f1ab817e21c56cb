//! Intake: every delivered proof is looked at before a verifier sees it, so that a bad one is its
//! prover's fault and never a quorum's work. Verifiers do not rely on it.
//!
//! Digests are recomputed from bytes here; nothing of the record is the prover's word but the proof.

use std::sync::Arc;

use proofgrid_core::ids::{Address, Attempt, JobId, LeaseToken, PublicValuesDigest, TaskId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{
    Answer, Input, IntakeDepth, IntakeOutcome, JobPlan, LeaseRef, PlannedSegment, ProofReport,
    Refusal as CoreRefusal,
};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_judge::{JudgeRequest, Judged};
use proofgrid_proofs::digest::public_values_digest;
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::program::{Binding, SegmentRange, VerifiedSegment};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proto::convert::{CompletionReply, ProverOrder};
use proofgrid_store::blob::BlobError;

use super::{EffectParts, tell_prover};
use crate::actor::{Note, Reply};

#[cfg(test)]
mod tests;

/// A delivered proof to look at.
#[derive(Clone, Debug)]
pub struct IntakeJob {
    /// The task.
    pub task: TaskId,
    /// The try.
    pub attempt: Attempt,
    /// The try's fencing token, to tell its prover.
    pub token: Option<LeaseToken>,
    /// Who delivered.
    pub prover: Address,
    /// What was delivered.
    pub report: ProofReport,
    /// The job's id.
    pub job: JobId,
    /// The job.
    pub spec: JobSpec,
    /// How it is cut.
    pub plan: JobPlan,
    /// Which segment.
    pub index: u32,
    /// How deep to look.
    pub verify: IntakeDepth,
}

impl IntakeJob {
    fn segment(&self) -> Option<&PlannedSegment> {
        self.plan.segments.get(usize::try_from(self.index).ok()?)
    }

    fn record(&self, segment: &PlannedSegment, public_values: PublicValuesDigest) -> SegmentRecord {
        SegmentRecord {
            index: self.index,
            first: segment.first,
            count: segment.count,
            vk: self.plan.vk,
            public_values,
            proof: self.report.proof,
            prover: self.prover,
            work_units: segment.work_units,
        }
    }
}

/// Looks, and hands the verdict to the actor. What the prover is told is what the actor decided, and
/// only once that is durable: it may throw its own copy of the proof away on the answer.
pub(super) async fn run(parts: &EffectParts, work: IntakeJob) {
    let outcome = look(parts, &work).await;
    let (task, attempt, prover) = (work.task, work.attempt, work.prover);
    match &outcome {
        IntakeOutcome::Accepted(_) => {}
        IntakeOutcome::Refused { code, text } => {
            tracing::warn!(%task, %prover, %code, %text, "intake refused a proof");
        }
        IntakeOutcome::Unjudged { reason } => {
            tracing::warn!(%task, %prover, %reason, "intake could not judge a proof");
        }
    }
    let (directory, token) = (Arc::clone(&parts.directory), work.token);
    let reply: Reply = Box::new(move |answer| {
        if let (Some(reply), Some(token)) = (reply_to(answer), token) {
            let lease = LeaseRef { task, attempt, token };
            tell_prover(&directory, prover, ProverOrder::Completion { lease, reply });
        }
    });
    let input = Input::IntakeJudged { task, attempt, prover, outcome };
    // Fails only at the end of the process; the next start judges again.
    let _ = parts.actor.hand_over(input, reply).await;
}

/// What a prover is told of the actor's decision.
fn reply_to(answer: Result<Answer, CoreRefusal>) -> Option<CompletionReply> {
    match answer {
        Ok(Answer::ProofAccepted) => Some(CompletionReply::Accepted),
        Ok(Answer::ProofRefused { code, text }) => {
            Some(CompletionReply::Refused(format!("{code}: {text}")))
        }
        Ok(Answer::ProofUnjudged { reason }) => Some(CompletionReply::Unjudged(reason)),
        // Its job ended meanwhile, or another proof of the task was accepted.
        Ok(_) => Some(CompletionReply::AlreadyDone),
        Err(refusal) => {
            tracing::error!(%refusal, "the verdict of intake was refused");
            None
        }
    }
}

fn refused(refusal: &Refusal) -> IntakeOutcome {
    let code = refusal.code().text().to_owned();
    IntakeOutcome::Refused { code, text: refusal.detail().to_owned() }
}

async fn look(parts: &EffectParts, work: &IntakeJob) -> IntakeOutcome {
    let Some(segment) = work.segment().copied() else {
        return IntakeOutcome::Unjudged { reason: "the plan has no such segment".to_owned() };
    };
    let proof = match parts.blobs.get(work.report.proof, work.spec.limits.max_proof_bytes).await {
        Ok(proof) => proof,
        Err(error @ BlobError::TooLong { .. }) => {
            return refused(&Refusal::new(RefusalCode::TooLong, error.to_string()));
        }
        Err(error) => return IntakeOutcome::Unjudged { reason: error.to_string() },
    };
    match work.verify {
        IntakeDepth::DigestsOnly => digests_only(parts, work, &segment, &proof),
        IntakeDepth::Judge => judge(parts, work, &segment, proof.to_vec()).await,
    }
}

/// Reads the public values out of the envelope without believing them.
fn digests_only(
    parts: &EffectParts,
    work: &IntakeJob,
    segment: &PlannedSegment,
    proof: &[u8],
) -> IntakeOutcome {
    let Some(program) = parts.programs.get(&work.spec.program) else {
        return IntakeOutcome::Unjudged { reason: "this build has no such program".to_owned() };
    };
    match Envelope::decode(proof, &program.manifest().limits) {
        Err(refusal) => refused(&refusal),
        Ok(envelope) => {
            let public_values = public_values_digest(envelope.public_values);
            IntakeOutcome::Accepted(work.record(segment, public_values))
        }
    }
}

/// The public values that the job's input gives for a segment; `None` if the program has none.
async fn expected_values(
    parts: &EffectParts,
    work: &IntakeJob,
    segment: &PlannedSegment,
) -> Result<Option<Vec<u8>>, String> {
    let limit = work.spec.limits.input_bytes;
    let input = parts.blobs.get(work.spec.input, limit).await.map_err(|e| e.to_string())?;
    let (programs, program) = (Arc::clone(&parts.programs), work.spec.program);
    let range = SegmentRange { index: work.index, first: segment.first, count: segment.count };
    let computed = tokio::task::spawn_blocking(move || {
        let program = programs.get(&program).ok_or("this build has no such program")?;
        program.public_values_of(&input, &range).map_err(|error| error.to_string())
    });
    computed.await.map_err(|error| format!("the program panicked on the input: {error}"))?
}

async fn judge(
    parts: &EffectParts,
    work: &IntakeJob,
    segment: &PlannedSegment,
    proof: Vec<u8>,
) -> IntakeOutcome {
    let expected = match expected_values(parts, work, segment).await {
        Ok(expected) => expected,
        Err(reason) => return IntakeOutcome::Unjudged { reason },
    };
    if let Some(expected) = &expected
        && let Some(refusal) = early_refusal(parts, work, &proof, expected)
    {
        return refused(&refusal);
    }
    let binding = Binding {
        job: work.job,
        program: work.spec.program,
        prover: work.prover,
        segment_index: work.index,
        first: segment.first,
        count: segment.count,
    };
    let request = JudgeRequest { program: work.spec.program, binding, proof };
    let judgement = parts.judge.judge_measured(request).await;
    parts.actor.note(Note::Intake { task: work.task, verify: judgement.verify_time });
    match judgement.judged {
        Judged::Refused(refusal) => refused(&refusal),
        Judged::Unjudged(reason) => IntakeOutcome::Unjudged { reason: reason.to_string() },
        Judged::Verified(verified) => compare(work, segment, &verified),
    }
}

/// Compares the public values with the claim's before any maths: a valid proof of something else
/// costs its prover the try and this machine nothing.
fn early_refusal(
    parts: &EffectParts,
    work: &IntakeJob,
    proof: &[u8],
    expected: &[u8],
) -> Option<Refusal> {
    let program = parts.programs.get(&work.spec.program)?;
    match Envelope::decode(proof, &program.manifest().limits) {
        Err(refusal) => Some(refusal),
        Ok(envelope) if envelope.public_values != expected => {
            let detail = format!("segment {} proves other values than the job's", work.index);
            Some(Refusal::new(RefusalCode::ClaimMismatch, detail))
        }
        Ok(_) => None,
    }
}

/// Compares a verified proof with the segment that it is for.
fn compare(
    work: &IntakeJob,
    segment: &PlannedSegment,
    verified: &VerifiedSegment,
) -> IntakeOutcome {
    if verified.vk_digest != work.plan.vk {
        let detail = "it satisfies another verifying key than the job's plan names";
        return refused(&Refusal::new(RefusalCode::WrongKey, detail));
    }
    if verified.work_units != segment.work_units {
        let (got, planned) = (verified.work_units, segment.work_units);
        let detail = format!("it establishes {got}, the segment has {planned}");
        return refused(&Refusal::new(RefusalCode::WrongCount, detail));
    }
    IntakeOutcome::Accepted(work.record(segment, verified.public_values_digest))
}
