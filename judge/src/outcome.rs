//! What judging a proof ends in.

use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_proofs::program::VerifiedSegment;
use proofgrid_proofs::refusal::Refusal;
use thiserror::Error;

/// Why no verdict was reached. None of these is ever signed; the verifier abstains with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnjudgedReason {
    /// The child did not end within the manifest's time.
    #[error("the judge did not end within {limit}; the machine is overloaded or the proof hostile")]
    TimedOut {
        /// The time it had.
        limit: Millis,
    },
    /// The child used up its processor time.
    #[error("the judge used up its processor time within {limit}; the proof may be hostile")]
    CpuExceeded {
        /// The time it had.
        limit: Millis,
    },
    /// The child was killed, by the system or by itself.
    #[error("the judge was killed by signal {signal}; look for the system's out-of-memory log")]
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The child asked for more memory than the manifest allows.
    #[error("the judge needed more than {limit} of memory; the proof may be hostile")]
    MemoryExceeded {
        /// The memory it had.
        limit: ByteCount,
    },
    /// The verification panicked: a bug of this build.
    #[error("the judge panicked: {message}; report this with the proof")]
    ChildPanicked {
        /// What the panic said, shortened.
        message: String,
    },
    /// This build does not know the program.
    #[error("this build has no such program; upgrade it")]
    UnknownProgram,
    /// The child ended without a usable reply.
    #[error("the judge gave no usable reply: {problem}; run `doctor` on this machine")]
    BadReply {
        /// What is wrong with it.
        problem: String,
    },
    /// No child could be started.
    #[error("cannot start the judge: {problem}; check memory, process limits and the binary")]
    Spawn {
        /// What the system said.
        problem: String,
    },
}

impl UnjudgedReason {
    /// The short name in logs and abstentions.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
            Self::CpuExceeded { .. } => "cpu_exceeded",
            Self::Killed { .. } => "killed",
            Self::MemoryExceeded { .. } => "memory_exceeded",
            Self::ChildPanicked { .. } => "child_panicked",
            Self::UnknownProgram => "unknown_program",
            Self::BadReply { .. } => "bad_reply",
            Self::Spawn { .. } => "spawn_failed",
        }
    }

    /// Whether a fresh child may do better. What this build lacks does not come with a retry.
    #[must_use]
    pub const fn is_worth_a_retry(&self) -> bool {
        !matches!(self, Self::UnknownProgram)
    }
}

/// The outcome for one proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The proof holds under its binding; this is what it says.
    Verified(VerifiedSegment),
    /// A completed refusal: the verdict is `invalid`.
    Refused(Refusal),
    /// No verdict.
    Unjudged(UnjudgedReason),
}

impl Judged {
    /// The word in the log: `verified`, `refused` or the reason's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Verified(_) => "verified",
            Self::Refused(_) => "refused",
            Self::Unjudged(reason) => reason.name(),
        }
    }
}

/// An outcome with what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The outcome.
    pub judged: Judged,
    /// Wall time of the last child from start to end, decoding and process start included.
    pub verify_time: Millis,
    /// Children that were started: 1, or 2 after a retry. 0 when no child was needed.
    pub children: u32,
    /// Process id of the last child, 0 if there was none.
    pub pid: u32,
}
