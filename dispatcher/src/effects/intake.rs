//! Intake: every delivered proof is looked at before a verifier sees it, so that a bad one is its
//! prover's fault and never a quorum's work. Verifiers do not rely on it.
//!
//! Digests are recomputed from bytes here; nothing of the record is the prover's word but the proof.

use std::sync::Arc;

use proofgrid_core::ids::{
    Address, Attempt, JobId, LeaseToken, ProgramId, PublicValuesDigest, TaskId,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{
    Answer, Input, IntakeDepth, IntakeOutcome, JobPlan, LeaseRef, PlannedSegment, ProofReport,
    Refusal as CoreRefusal,
};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_judge::{JudgeRequest, Judged};
use proofgrid_proofs::digest::public_values_digest;
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::program::{Binding, Registry, SegmentRange, VerifiedSegment};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proto::convert::{CompletionReply, ProverOrder};
use proofgrid_store::blob::BlobError;

use super::{EffectParts, outlast, tell_prover};
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

/// Looks at a proof on this thread, which may block, if a look is all that it gets. `false` if it is
/// to be judged, or cannot be read yet.
pub(super) fn run_now(parts: &EffectParts, work: &IntakeJob) -> bool {
    if work.verify == IntakeDepth::Judge {
        return false;
    }
    let outcome = match look_at_digests(parts, work) {
        Ok(outcome) => outcome,
        Err(error) if error.is_away() => return false,
        Err(error) => unread(&error),
    };
    let (input, reply) = verdict(parts, work, outcome);
    // Fails only at the end of the process; the next start looks again.
    let _ = parts.actor.hand_over_blocking(input, reply);
    true
}

/// Looks, and hands the verdict to the actor.
pub(super) async fn run(parts: &EffectParts, work: IntakeJob) {
    let outcome = look(parts, &work).await;
    let (input, reply) = verdict(parts, &work, outcome);
    // Fails only at the end of the process; the next start judges again.
    let _ = parts.actor.hand_over(input, reply).await;
}

/// The verdict for the actor. What the prover is told is what the actor decided, and only once that
/// is durable: it may throw its own copy of the proof away on the answer.
fn verdict(parts: &EffectParts, work: &IntakeJob, outcome: IntakeOutcome) -> (Input, Reply) {
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
    let reply: Reply = Box::new(move |answer, _| {
        if let (Some(reply), Some(token)) = (reply_to(answer), token) {
            let lease = LeaseRef { task, attempt, token };
            tell_prover(&directory, prover, ProverOrder::Completion { lease, reply });
        }
    });
    (Input::IntakeJudged { task, attempt, prover, outcome }, reply)
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

fn no_segment() -> IntakeOutcome {
    IntakeOutcome::Unjudged { reason: "the plan has no such segment".to_owned() }
}

async fn look(parts: &EffectParts, work: &IntakeJob) -> IntakeOutcome {
    match work.verify {
        IntakeDepth::DigestsOnly => {
            let looking = || async {
                let owned = (parts.clone(), work.clone());
                let looking =
                    proofgrid_store::blocking::spawn(move || look_at_digests(&owned.0, &owned.1));
                looking.await.unwrap_or_else(|error| {
                    let reason = format!("the look at the proof failed: {error}");
                    Ok(IntakeOutcome::Unjudged { reason })
                })
            };
            outlast(looking).await.unwrap_or_else(|error| unread(&error))
        }
        IntakeDepth::Judge => {
            let Some(segment) = work.segment().copied() else { return no_segment() };
            let bytes_max = work.spec.limits.max_proof_bytes;
            match outlast(|| parts.blobs.get(work.report.proof, bytes_max)).await {
                Ok(proof) => judge(parts, work, &segment, proof.to_vec()).await,
                Err(error) => unread(&error),
            }
        }
    }
}

/// Takes the record's digests from the bytes, and their word for the rest.
fn look_at_digests(parts: &EffectParts, work: &IntakeJob) -> Result<IntakeOutcome, BlobError> {
    let Some(segment) = work.segment().copied() else { return Ok(no_segment()) };
    let bytes_max = work.spec.limits.max_proof_bytes;
    let proof = parts.blobs.get_blocking(work.report.proof, bytes_max)?;
    Ok(match public_values(&parts.programs, &work.spec.program, &proof) {
        Ok(values) => IntakeOutcome::Accepted(work.record(&segment, values)),
        Err(outcome) => outcome,
    })
}

/// What it means that a proof cannot be read: only its length is its prover's fault.
fn unread(error: &BlobError) -> IntakeOutcome {
    match error {
        BlobError::TooLong { .. } => {
            refused(&Refusal::new(RefusalCode::TooLong, error.to_string()))
        }
        _ => IntakeOutcome::Unjudged { reason: error.to_string() },
    }
}

/// Reads the public values out of the envelope without believing them.
fn public_values(
    programs: &Registry,
    program: &ProgramId,
    proof: &[u8],
) -> Result<PublicValuesDigest, IntakeOutcome> {
    let Some(program) = programs.get(program) else {
        let reason = "this build has no such program".to_owned();
        return Err(IntakeOutcome::Unjudged { reason });
    };
    let envelope = Envelope::decode(proof, &program.manifest().limits);
    let envelope = envelope.map_err(|refusal| refused(&refusal))?;
    Ok(public_values_digest(envelope.public_values))
}

/// The public values that the job's input gives for a segment; `None` if the program has none.
async fn expected_values(
    parts: &EffectParts,
    work: &IntakeJob,
    segment: &PlannedSegment,
) -> Result<Option<Vec<u8>>, String> {
    let limit = work.spec.limits.input_bytes;
    let input = outlast(|| parts.blobs.get(work.spec.input, limit)).await;
    let input = input.map_err(|error| error.to_string())?;
    let (programs, program) = (Arc::clone(&parts.programs), work.spec.program);
    let range = SegmentRange { index: work.index, first: segment.first, count: segment.count };
    let computed = proofgrid_store::blocking::spawn(move || {
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
