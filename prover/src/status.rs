//! What a worker is doing, for whoever runs it: the command line, a metrics exporter, tests.

use proofgrid_core::ids::{JobId, TaskId};
use proofgrid_core::units::ByteCount;

use crate::progress::Progress;

/// One task that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// How far it is.
    pub progress: Progress,
}

/// A worker at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProverStatus {
    /// Whether the dispatcher has registered it.
    pub registered: bool,
    /// Whether it takes no more work.
    pub draining: bool,
    /// What it is working on.
    pub tasks: Vec<TaskStatus>,
    /// Finished proofs that the dispatcher has not confirmed yet.
    pub held: usize,
    /// Proofs that the dispatcher has taken, since the start.
    pub delivered: u64,
    /// Tasks that were given up, since the start.
    pub failed: u64,
    /// Proofs that the dispatcher's intake refused, since the start; anything but 0 is alarming.
    pub refused: u64,
    /// Memory for one more task.
    pub free_memory: ByteCount,
}
