//! What turns a segment into a checked proof.
//!
//! A backend owns its threads or device, contains panics of the program, and never hands out a
//! proof that the program's own verifier refused: the batch prover accepts a false trace, so the
//! check is part of proving and cannot be switched off.
//!
//! There is one backend, [`cpu`]. The other kind is named in [`DeviceKind`] so that a setting for it
//! is refused with the reason instead of falling back in silence.

pub mod cpu;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proofgrid_core::ids::ProgramId;
use proofgrid_gpu_kernels::DeviceError;
use proofgrid_proofs::program::{
    Binding, Monitor, Phase, Program, ProveError, Registry, SegmentPlan, SegmentProof,
    VerifiedSegment,
};
use proofgrid_proofs::refusal::Refusal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::cpu::CpuBackend;

/// What proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Threads of this machine.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl DeviceKind {
    /// The name in settings, registrations and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// Why a backend could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The device cannot be used by this build or on this machine.
    #[error("device \"cuda\" cannot be used: {0}")]
    Device(#[from] DeviceError),
    /// The threads could not be started.
    #[error("cannot start {threads} proving threads: {problem}; set a smaller `threads`")]
    Threads {
        /// Threads of one pool.
        threads: usize,
        /// What failed.
        problem: String,
    },
}

/// Why a segment has no proof.
#[derive(Debug, Error)]
pub enum ProveFault {
    /// The work was cancelled; nothing was produced.
    #[error("the task was cancelled")]
    Cancelled,
    /// No program of this build has the id.
    #[error("this build has no program {0}; upgrade the worker")]
    UnknownProgram(ProgramId),
    /// The program refused the input, the segment or failed.
    #[error(transparent)]
    Program(ProveError),
    /// The program panicked; the worker goes on.
    #[error("the program panicked: {message}; report it with the input")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The program's own verifier refused the proof; it was dropped.
    #[error("the own proof was refused: {0}; the machine's memory may be faulty")]
    SelfCheck(Refusal),
    /// The own proof verifies but says something else than the segment.
    #[error("the own proof differs from the segment in {field}; report it with the input")]
    Differs {
        /// What differs.
        field: &'static str,
    },
    /// The threads are gone: the process is shutting down.
    #[error("the proving threads stopped; the task must go to another worker")]
    Stopped,
}

/// One segment to prove.
#[derive(Debug, Clone)]
pub struct ProveRequest {
    /// The program.
    pub program: ProgramId,
    /// The whole input of the job.
    pub input: Bytes,
    /// The segment of it.
    pub segment: SegmentPlan,
    /// What the proof is bound to.
    pub binding: Binding,
}

/// A proof that the program's own verifier has accepted.
#[derive(Debug, Clone)]
pub struct CheckedProof {
    /// The envelope and its public values.
    pub proof: SegmentProof,
    /// What it says.
    pub verified: VerifiedSegment,
    /// Time that proving took.
    pub prove_time: Duration,
    /// Time that the check took.
    pub check_time: Duration,
}

/// An opened backend.
#[derive(Debug)]
pub enum Backend {
    /// Threads of this machine.
    Cpu(CpuBackend),
}

impl Backend {
    /// Opens a backend with this many slots.
    ///
    /// # Errors
    /// [`OpenError`] if the device is not usable; there is no fallback.
    pub fn open(kind: DeviceKind, slots: usize, threads: usize) -> Result<Self, OpenError> {
        match kind {
            DeviceKind::Cpu => CpuBackend::new(slots, threads).map(Self::Cpu),
            DeviceKind::Cuda => {
                proofgrid_gpu_kernels::probe()?;
                Err(OpenError::Device(DeviceError::NotBuilt))
            }
        }
    }

    /// What it proves on.
    #[must_use]
    pub const fn kind(&self) -> DeviceKind {
        match self {
            Self::Cpu(_) => DeviceKind::Cpu,
        }
    }

    /// Proves and checks a segment off the caller's thread.
    ///
    /// # Errors
    /// [`ProveFault`]; [`ProveFault::Cancelled`] soon after the monitor asks.
    pub async fn prove<M: Monitor + Send + 'static>(
        &self,
        registry: Arc<Registry>,
        request: ProveRequest,
        monitor: Arc<M>,
    ) -> Result<CheckedProof, ProveFault> {
        match self {
            Self::Cpu(cpu) => cpu.prove(registry, request, monitor).await,
        }
    }
}

/// Proves a segment and verifies the proof, on the calling thread and its pool.
///
/// # Errors
/// [`ProveFault`]; a panic of the program is not caught here.
pub fn prove_and_check(
    program: &dyn Program,
    request: &ProveRequest,
    monitor: &dyn Monitor,
) -> Result<CheckedProof, ProveFault> {
    let started = std::time::Instant::now();
    let proof = program
        .prove(&request.input, &request.segment, &request.binding, monitor)
        .map_err(|error| match error {
            ProveError::Cancelled => ProveFault::Cancelled,
            other => ProveFault::Program(other),
        })?;
    let prove_time = started.elapsed();
    if monitor.cancelled() {
        return Err(ProveFault::Cancelled);
    }
    monitor.phase(Phase::Check, 0, 1);
    let verified = program.verify(&proof.bytes, &request.binding).map_err(ProveFault::SelfCheck)?;
    let differs = |field| Err(ProveFault::Differs { field });
    if verified.public_values != proof.public_values {
        return differs("public values");
    }
    let vk = program.vk_of(&request.input).map_err(|e| ProveFault::Program(e.into()))?;
    if verified.vk_digest != vk {
        return differs("verifying key");
    }
    if verified.work_units != request.segment.work_units {
        return differs("work units");
    }
    let check_time = started.elapsed().saturating_sub(prove_time);
    Ok(CheckedProof { proof, verified, prove_time, check_time })
}
