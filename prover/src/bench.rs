//! What this machine proves per second, measured with the pipeline that proves tasks.
//!
//! The figure goes to the dispatcher at registration, where it decides how much work comes here, and
//! into the worker's own estimate of the time that is left. It is kept in `bench.json` in the
//! worker's folder with what it depends on; a file of another device or thread count is not used.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proofgrid_core::ids::{Address, JobId, ProgramId};
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_proofs::program::{Binding, PlanError, PlanRequest, Registry, Unmonitored};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::backend::{Backend, DeviceKind, ProveFault, ProveRequest};
use crate::disk::{self, DiskError, Durability};

/// Version of the bench file.
const FORMAT: u32 = 1;
/// Name of the bench file in the worker's folder.
pub const FILE_NAME: &str = "bench.json";

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// No program has the name.
    #[error("there is no program {0:?} in this build")]
    UnknownProgram(String),
    /// The input cannot be planned.
    #[error("the bench input cannot be planned: {0}")]
    Plan(#[from] PlanError),
    /// The plan has no segment.
    #[error("the bench input has no segment")]
    NoSegment,
    /// The proof failed.
    #[error("the bench proof failed: {0}")]
    Prove(#[from] ProveFault),
    /// The bench file could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What was measured for one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// The program's id, 0x and hexadecimal.
    pub program_id: String,
    /// The program's name.
    pub program: String,
    /// Work of the measured segment, in the program's units.
    pub work_units: u64,
    /// Best time from input to checked proof, in milliseconds, at least 1.
    pub total_ms: u64,
    /// The check's part of it, in milliseconds.
    pub check_ms: u64,
    /// Thousandths of a work unit per second.
    pub milli_units_per_s: u64,
    /// Most memory that the process held meanwhile, in bytes; 0 if the system does not tell.
    pub memory_peak_bytes: u64,
    /// Memory that the plan had asked for, in bytes.
    pub memory_planned_bytes: u64,
    /// Length of the proof, in bytes.
    pub proof_bytes: u64,
}

impl Throughput {
    /// Time that work of this size takes at the measured speed.
    #[must_use]
    pub fn expected(&self, work: WorkUnits) -> Option<Duration> {
        let milliunits = u128::from(work.get()).saturating_mul(1_000_000);
        let millis = milliunits.checked_div(u128::from(self.milli_units_per_s))?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }
}

/// The bench file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchFile {
    /// Version of this layout.
    pub format: u32,
    /// What proved.
    pub device: DeviceKind,
    /// Threads of one pool.
    pub threads: u64,
    /// One entry per measured program.
    pub programs: Vec<Throughput>,
}

impl BenchFile {
    /// An empty file for a device and thread count.
    #[must_use]
    pub const fn new(device: DeviceKind, threads: usize) -> Self {
        Self { format: FORMAT, device, threads: threads as u64, programs: Vec::new() }
    }

    /// Reads the file of a worker's folder. One that is missing, unreadable or of another device
    /// or thread count counts as empty: the worker then registers as unmeasured.
    #[must_use]
    pub fn load(data_dir: &Path, device: DeviceKind, threads: usize) -> Self {
        let empty = Self::new(device, threads);
        let path = data_dir.join(FILE_NAME);
        let Ok(text) = fs::read(&path) else { return empty };
        match serde_json::from_slice::<Self>(&text) {
            Ok(file)
                if (file.format, file.device, file.threads)
                    == (FORMAT, empty.device, empty.threads) =>
            {
                file
            }
            Ok(_) => {
                tracing::warn!(path = %path.display(), "measured elsewhere; bench again");
                empty
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "unreadable; bench again");
                empty
            }
        }
    }

    /// Writes the file into a worker's folder.
    ///
    /// # Errors
    /// [`BenchError::Disk`].
    pub fn save(&self, data_dir: &Path) -> Result<(), BenchError> {
        disk::make_dir(data_dir)?;
        #[expect(clippy::expect_used, reason = "numbers and texts always serialise")]
        let text = serde_json::to_vec_pretty(self).expect("numbers and texts always serialise");
        Ok(disk::write(&data_dir.join(FILE_NAME), &text, Durability::Flushed)?)
    }

    /// Takes a measurement in, in place of an earlier one of the same program.
    pub fn record(&mut self, measured: Throughput) {
        self.programs.retain(|known| known.program != measured.program);
        self.programs.push(measured);
    }

    /// What was measured for a program.
    #[must_use]
    pub fn of(&self, program: &ProgramId) -> Option<&Throughput> {
        let id = program.to_string();
        self.programs.iter().find(|known| known.program_id == id)
    }
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchInput {
    /// Name of the program.
    pub program: String,
    /// An input of it; the first segment that its planner cuts for one worker is proved.
    pub input: Bytes,
    /// Memory that the planner may use.
    pub memory_bytes_max: ByteCount,
    /// Proofs to time; the best counts. 0 counts as 1.
    pub rounds: u32,
}

/// Proves and checks one segment on a backend, as for a task, and reports the best round.
///
/// # Errors
/// [`BenchError`]; nothing is measured then.
pub async fn measure(
    backend: &Backend,
    registry: &Arc<Registry>,
    bench: &BenchInput,
) -> Result<Throughput, BenchError> {
    let program = registry
        .by_name(&bench.program)
        .ok_or_else(|| BenchError::UnknownProgram(bench.program.clone()))?;
    let request = PlanRequest {
        memory_bytes_max: bench.memory_bytes_max,
        num_workers: 1,
        max_segments: proofgrid_core::limits::SEGMENTS_MAX,
    };
    let plan = program.plan(&bench.input, &request)?;
    let segment = *plan.first().ok_or(BenchError::NoSegment)?;
    let binding = Binding::of_segment(JobId::ZERO, program.id(), Address::ZERO, &segment);
    let request =
        ProveRequest { program: program.id(), input: bench.input.clone(), segment, binding };
    reset_peak();
    let mut best: Option<Throughput> = None;
    for _ in 0..bench.rounds.max(1) {
        let registry = Arc::clone(registry);
        let proved = backend.prove(registry, request.clone(), Arc::new(Unmonitored)).await?;
        let total = proved.prove_time.saturating_add(proved.check_time);
        let measured = Throughput {
            program_id: program.id().to_string(),
            program: bench.program.clone(),
            work_units: segment.work_units.get(),
            total_ms: millis(total).max(1),
            check_ms: millis(proved.check_time),
            milli_units_per_s: milli_units_per_s(segment.work_units, total),
            memory_peak_bytes: peak_bytes(),
            memory_planned_bytes: segment.memory_bytes.get(),
            proof_bytes: proved.proof.bytes.len() as u64,
        };
        if best.as_ref().is_none_or(|best| measured.milli_units_per_s > best.milli_units_per_s) {
            best = Some(measured);
        }
    }
    best.ok_or(BenchError::NoSegment)
}

fn milli_units_per_s(work: WorkUnits, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    let scaled = u128::from(work.get()).saturating_mul(1_000_000_000);
    u64::try_from(scaled / micros).unwrap_or(u64::MAX).max(1)
}

/// Whole milliseconds, stopping at the maximum.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes the kernel forget the process's memory peak; where it cannot, the peak is since the start.
fn reset_peak() {
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        tracing::debug!(%error, "the memory peak counts from the start of the process");
    }
}

fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throughput(program: u8, milli_units_per_s: u64) -> Throughput {
        Throughput {
            program_id: ProgramId::from_bytes([program; 32]).to_string(),
            program: format!("program-{program}"),
            work_units: 10,
            total_ms: 2,
            check_ms: 1,
            milli_units_per_s,
            memory_peak_bytes: 3,
            memory_planned_bytes: 4,
            proof_bytes: 5,
        }
    }

    #[test]
    fn a_file_is_read_back_only_for_the_same_device_and_threads() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = BenchFile::new(DeviceKind::Cpu, 2);
        file.record(throughput(1, 100));
        file.record(throughput(2, 7));
        file.record(throughput(1, 200));
        file.save(dir.path()).expect("saved");
        let read = BenchFile::load(dir.path(), DeviceKind::Cpu, 2);
        assert_eq!(read, file);
        let id = ProgramId::from_bytes([1; 32]);
        assert_eq!(read.of(&id).map(|known| known.milli_units_per_s), Some(200));
        assert_eq!(BenchFile::load(dir.path(), DeviceKind::Cpu, 4).programs, vec![]);
        fs::write(dir.path().join(FILE_NAME), "{}").expect("damaged");
        assert_eq!(BenchFile::load(dir.path(), DeviceKind::Cpu, 2).programs, vec![]);
    }

    #[test]
    fn speed_and_expectation_are_each_others_inverse() {
        assert_eq!(milli_units_per_s(WorkUnits::new(680), Duration::from_secs(2)), 340_000);
        let known = throughput(1, 340_000);
        assert_eq!(known.expected(WorkUnits::new(680)), Some(Duration::from_secs(2)));
        assert_eq!(throughput(1, 0).expected(WorkUnits::new(1)), None);
        assert_eq!(milli_units_per_s(WorkUnits::new(1), Duration::ZERO), 1_000_000_000);
    }
}
