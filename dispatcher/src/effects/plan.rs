//! Cutting a job: reads the input, compares the claim, asks the program for segments.

use proofgrid_core::ids::{Claim, ProgramId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{Input, JobPlan, PlannedSegment, Workforce};
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::program::{PlanError, PlanRequest, Program, Registry, SegmentPlan};
use proofgrid_store::blob::BlobError;
use thiserror::Error;

use super::{EffectParts, PlanJob, outlast};
use crate::limits::{PLAN_PAUSE, PLAN_TRIES_MAX};

#[cfg(test)]
mod tests;

/// Why a job cannot be cut; the requester is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanRefusal {
    /// No such program.
    #[error("this network has no such program; ask GetNetwork for the list")]
    UnknownProgram,
    /// The input does not parse or cannot be cut.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// The claim is another.
    #[error("the input's claim is {got}, the job expects {expected}; compute the claim again")]
    Claim {
        /// The job's.
        expected: Claim,
        /// The input's.
        got: Claim,
    },
    /// The program's proofs are larger than the job admits.
    #[error("one proof takes about {needed}, the job admits {allowed}; raise max_proof_bytes")]
    ProofTooLarge {
        /// An estimate of the largest proof.
        needed: ByteCount,
        /// The job's limit.
        allowed: ByteCount,
    },
}

/// Cuts so that every connected prover can take every segment; if an item is too large for the
/// smallest of them, so that at least the largest can.
fn cut(
    program: &dyn Program,
    input: &[u8],
    max_segments: u32,
    workforce: &Workforce,
) -> Result<Vec<SegmentPlan>, PlanError> {
    let (smallest, largest) = (workforce.memory_least, workforce.memory_most);
    let request = |memory_bytes_max| PlanRequest {
        memory_bytes_max,
        num_workers: workforce.provers,
        max_segments,
    };
    match program.plan(input, &request(smallest)) {
        Err(PlanError::ItemTooLargeForMemory { .. } | PlanError::TooManySegments { .. })
            if largest > smallest =>
        {
            program.plan(input, &request(largest))
        }
        planned => planned,
    }
}

/// Executes an input natively and plans it, without a job around it.
///
/// # Errors
/// [`PlanRefusal`] says what the requester can change.
pub fn plan_input(
    registry: &Registry,
    program: &ProgramId,
    input: &[u8],
    max_segments: u32,
    workforce: &Workforce,
) -> Result<(Claim, Vec<SegmentPlan>), PlanRefusal> {
    let program = registry.get(program).ok_or(PlanRefusal::UnknownProgram)?;
    let claim = program.claim(input).map_err(PlanError::from)?;
    Ok((claim, cut(program, input, max_segments, workforce)?))
}

fn plan_job(
    registry: &Registry,
    spec: &JobSpec,
    input: &[u8],
    workforce: &Workforce,
) -> Result<JobPlan, PlanRefusal> {
    let program = registry.get(&spec.program).ok_or(PlanRefusal::UnknownProgram)?;
    let manifest = registry.manifest_digest(&spec.program).ok_or(PlanRefusal::UnknownProgram)?;
    let got = program.claim(input).map_err(PlanError::from)?;
    if got != spec.claim {
        return Err(PlanRefusal::Claim { expected: spec.claim, got });
    }
    let segments = cut(program, input, spec.limits.max_segments, workforce)?;
    let needed = segments.iter().map(|segment| program.proof_bytes_estimate(segment)).max();
    if let Some(needed) = needed.filter(|needed| *needed > spec.limits.max_proof_bytes) {
        return Err(PlanRefusal::ProofTooLarge { needed, allowed: spec.limits.max_proof_bytes });
    }
    let planned = |segment: &SegmentPlan| PlannedSegment {
        first: segment.first,
        count: segment.count,
        work_units: segment.work_units,
        memory_bytes: segment.memory_bytes,
    };
    Ok(JobPlan {
        segments: segments.iter().map(planned).collect(),
        manifest,
        vk: program.vk_of(input).map_err(PlanError::from)?,
    })
}

/// Why a job could not be planned here and now; says nothing about the job.
#[derive(Debug, Error)]
enum LocalFault {
    /// The input cannot be read.
    #[error("the input cannot be read: {0}")]
    Input(#[from] BlobError),
    /// The planner was cut off.
    #[error("the planner was cancelled: {0}")]
    Cancelled(#[from] tokio::task::JoinError),
}

/// Plans a job on this thread, which may block. `false` if it has to be tried again.
pub(super) fn run_now(parts: &EffectParts, work: &PlanJob) -> bool {
    let planned = plan_blocking(parts, work).map(|input| parts.actor.deliver_blocking(input));
    planned.is_ok()
}

/// Plans a job. A refusal is for good, so a fault of this machine is none: it is tried again, then
/// the job stays unplanned, which the state machine owes again after the next start.
pub(super) async fn run(parts: &EffectParts, work: PlanJob) {
    let job = work.job;
    let mut pause = PLAN_PAUSE;
    for tried in 1..=PLAN_TRIES_MAX {
        match plan(parts, &work).await {
            Ok(input) => return parts.actor.deliver(input).await,
            Err(fault) if tried == PLAN_TRIES_MAX => tracing::error!(
                %job, %fault,
                "a job stays unplanned; check the blob directory, its disk and permissions, then \
                 restart the dispatcher: it plans the job again"
            ),
            Err(fault) => {
                tracing::warn!(%job, %fault, tried, "a job could not be planned; trying again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
        }
    }
}

async fn plan(parts: &EffectParts, work: &PlanJob) -> Result<Input, LocalFault> {
    let job = work.job;
    let planning = || async {
        let owned = (parts.clone(), work.clone());
        let planned =
            proofgrid_store::blocking::spawn(move || plan_blocking(&owned.0, &owned.1)).await;
        match planned {
            Ok(planned) => planned.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    };
    match outlast(planning).await? {
        Ok(planned) => Ok(planned),
        Err(error) if error.is_cancelled() => Err(error.into()),
        Err(error) => {
            tracing::error!(%job, %error, "the planner panicked");
            let reason = "the planner failed on this input; report it".to_owned();
            Ok(Input::JobRefused { job, reason })
        }
    }
}

fn plan_blocking(parts: &EffectParts, work: &PlanJob) -> Result<Input, BlobError> {
    let PlanJob { job, spec, workforce } = work;
    let job = *job;
    let input = match parts.blobs.get_blocking(spec.input, spec.limits.input_bytes) {
        Ok(input) => input,
        Err(error @ BlobError::TooLong { .. }) => {
            tracing::info!(%job, %error, "the input of a job is longer than the job admits");
            return Ok(Input::JobRefused { job, reason: error.to_string() });
        }
        Err(error) => return Err(error),
    };
    let workforce = workforce.unwrap_or(parts.expected);
    match plan_job(&parts.programs, spec, &input, &workforce) {
        Ok(plan) => {
            tracing::info!(%job, segments = plan.segments.len(), "job planned");
            Ok(Input::JobPlanned { job, plan })
        }
        Err(refusal) => {
            tracing::info!(%job, %refusal, "job refused by the planner");
            Ok(Input::JobRefused { job, reason: refusal.to_string() })
        }
    }
}
