//! What the network asks of a program, and the closed set of programs that it knows.
//!
//! A program computes the claim of an input natively, splits the input into segments, proves one
//! segment, and verifies the proof of one segment. Who may lie: a requester about its input (the
//! claim is recomputed), a prover about its proof (verification), a dispatcher about segments and
//! public values (coverage and claim are recomputed from the verified public values).
//!
//! The trait is object-safe, so that no table, message or contract names a concrete program.

use proofgrid_core::ids::{
    Address, BlobDigest, Claim, JobId, ManifestDigest, ProgramId, PublicValuesDigest, VkDigest,
};
use proofgrid_core::units::{ByteCount, WorkUnits};
use thiserror::Error;

use crate::manifest::Manifest;
use crate::refusal::{Refusal, RefusalCode};

/// One contiguous part of a job, proved as one proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Position in the job, from 0.
    pub index: u32,
    /// First item (message, instance) of the segment, counted over the whole input.
    pub first: u64,
    /// Number of items, at least 1.
    pub count: u64,
    /// Work that the proof will be paid for (`keccak`: permutations).
    pub work_units: WorkUnits,
    /// Most memory that proving it takes; a prover admits the segment only if this much is free.
    pub memory_bytes: ByteCount,
    /// Log2 of the tallest table's height.
    pub log_height: u8,
}

/// What the planner may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRequest {
    /// Memory of the smallest worker that must be able to prove every segment.
    pub memory_bytes_max: ByteCount,
    /// Workers that will prove segments at the same time; 0 counts as 1.
    pub num_workers: u32,
    /// Most segments; 0 counts as 1.
    pub max_segments: u32,
}

/// What a proof is bound to. All of it enters the transcript before anything is sampled, so a proof
/// is worth nothing under another job, program, prover or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The job.
    pub job: JobId,
    /// The program; must be the program that proves.
    pub program: ProgramId,
    /// Who is paid.
    pub prover: Address,
    /// Position of the segment in the job.
    pub segment_index: u32,
    /// First item of the segment.
    pub first: u64,
    /// Number of items of the segment.
    pub count: u64,
}

impl Binding {
    /// The binding of one planned segment.
    #[must_use]
    pub const fn of_segment(
        job: JobId,
        program: ProgramId,
        prover: Address,
        segment: &SegmentPlan,
    ) -> Self {
        Self {
            job,
            program,
            prover,
            segment_index: segment.index,
            first: segment.first,
            count: segment.count,
        }
    }
}

/// A finished proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentProof {
    /// The envelope: what is uploaded, judged and named by digest.
    pub bytes: Vec<u8>,
    /// The public values, also inside the envelope.
    pub public_values: Vec<u8>,
}

/// What a verified proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSegment {
    /// The public values.
    pub public_values: Vec<u8>,
    /// Their digest.
    pub public_values_digest: PublicValuesDigest,
    /// The verifying key that the proof satisfies.
    pub vk_digest: VkDigest,
    /// The digest of the envelope.
    pub proof_digest: BlobDigest,
    /// Work that the proof itself establishes; what the prover may be paid for.
    pub work_units: WorkUnits,
}

/// Where a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Filling the tables from the input.
    Trace,
    /// Committing to the tables.
    Commit,
    /// Building and committing the lookup columns.
    Lookup,
    /// Evaluating and committing the quotients.
    Quotient,
    /// Opening at the sampled points and folding.
    Open,
    /// Verifying the own proof.
    Check,
}

impl Phase {
    /// The name on progress bars and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Commit => "commit",
            Self::Lookup => "lookup",
            Self::Quotient => "quotient",
            Self::Open => "open",
            Self::Check => "check",
        }
    }
}

/// Watches and stops a running proof. Called from the proving threads, so both must be cheap.
pub trait Monitor: Sync {
    /// `done` of `total` steps are behind; `phase` is the one that starts now.
    fn phase(&self, phase: Phase, done: u64, total: u64);
    /// Whether the proof should stop. Asked between table commitments, transforms and in grinding.
    fn cancelled(&self) -> bool;
}

/// A monitor that never stops and ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmonitored;

impl Monitor for Unmonitored {
    fn phase(&self, _phase: Phase, _done: u64, _total: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Why an input was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InputError {
    /// A line cannot be read.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The input holds nothing to prove.
    #[error("the input has no {items}; give at least one")]
    Empty {
        /// What the program proves, in plural.
        items: &'static str,
    },
    /// A field of a structured input is not what the program takes.
    #[error("{field} {problem}")]
    Field {
        /// Its name, with the names of what it is in.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The input is longer than the network takes.
    #[error("the input has {got} bytes, at most {max} are accepted; split it into several jobs")]
    TooLong {
        /// Bytes given.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
}

/// Why an input cannot be split into provable segments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The input itself is refused.
    #[error(transparent)]
    Input(#[from] InputError),
    /// One item is larger than the largest segment that the program has.
    #[error(
        "line {line} needs {needed} units of work, one segment holds at most {limit}; \
         an item is never split, so shorten it"
    )]
    ItemTooLarge {
        /// The item's line, from 1.
        line: u64,
        /// Units that it needs.
        needed: u64,
        /// Units of the largest segment.
        limit: u64,
    },
    /// One item needs a segment that no worker has the memory for.
    #[error(
        "line {line} needs a segment of {needed} memory, workers have {available}; \
         start a prover with more memory"
    )]
    ItemTooLargeForMemory {
        /// The item's line, from 1.
        line: u64,
        /// Memory that the smallest fitting segment takes.
        needed: ByteCount,
        /// Memory that the request allows.
        available: ByteCount,
    },
    /// The input does not fit into the allowed number of segments.
    #[error("the input needs {needed} segments, the job allows {allowed}; raise max_segments")]
    TooManySegments {
        /// Segments needed.
        needed: u64,
        /// Segments allowed.
        allowed: u32,
    },
    /// A given plan is not one of this input.
    #[error("segment {index} does not fit the input: {problem}; plan the job again")]
    Mismatch {
        /// The segment.
        index: u32,
        /// What is wrong.
        problem: String,
    },
}

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProveError {
    /// The input is refused.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The segment is none of this input, or too large for the program.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The proof that the input brings along is refused.
    #[error("the input's own proof is refused: {0}")]
    Refused(Refusal),
    /// The binding names another program or range than the segment.
    #[error("the binding does not fit: {0}; this is an error of the caller")]
    Binding(String),
    /// The monitor asked to stop; nothing was produced.
    #[error("the proof was cancelled")]
    Cancelled,
    /// The proof system could not commit or open; a bug or a corrupted machine.
    #[error("the proof system failed in {phase}: {problem}; report it with the input")]
    Backend {
        /// Where it failed.
        phase: String,
        /// What it said.
        problem: String,
    },
}

/// A program: what can be proved, with its key and parameters.
pub trait Program: Send + Sync {
    /// The identity: system name, verifying key, parameters.
    fn id(&self) -> ProgramId;

    /// The name under which people find it.
    fn name(&self) -> &str;

    /// The verifier build with its limits and security figures.
    fn manifest(&self) -> &Manifest;

    /// The digest of the verifying key; of what all keys have in common, for a program whose inputs
    /// bring their own.
    fn vk_digest(&self) -> VkDigest;

    /// The digest of the key that proofs of this input satisfy.
    ///
    /// # Errors
    /// As [`Program::claim`], for a program whose inputs bring their own keys.
    fn vk_of(&self, _input: &[u8]) -> Result<VkDigest, InputError> {
        Ok(self.vk_digest())
    }

    /// Whether a segment record may name this key. A program whose inputs bring their own admits
    /// every key: the claim covers the right one, and the proof has to satisfy the one that is named.
    fn admits_vk(&self, vk: &VkDigest) -> bool {
        *vk == self.vk_digest()
    }

    /// Whether a proof is worth nothing under another job or prover. A program of which this is not
    /// true must not be raced for: whoever sees a proof could hand it in as its own.
    fn prover_bound(&self) -> bool {
        true
    }

    /// Most bytes of a proof envelope for a segment of this height; for storage estimates.
    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount;

    /// The claim of an input, computed natively. Costs one hash per item, no proof.
    ///
    /// # Errors
    /// [`InputError`] names the line.
    fn claim(&self, input: &[u8]) -> Result<Claim, InputError>;

    /// Splits an input into segments; the same arguments give the same plan.
    ///
    /// # Errors
    /// [`PlanError`] names the limit that the input misses.
    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError>;

    /// The plan of one given range, recomputed from the input: what a worker proves and what it
    /// admits by. The range need not be one that [`Program::plan`] would choose.
    ///
    /// # Errors
    /// [`PlanError::Mismatch`] if the range is empty or not inside the input; the others as `plan`.
    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError>;

    /// The public values that an honest proof of one given range has, computed natively. Whoever
    /// holds the input can tell with them which one of several segments does not fit the claim,
    /// before any maths. Costs one hash per item, no proof. `None` for a program whose public
    /// values follow from the proof alone: then only the whole job's claim tells.
    ///
    /// # Errors
    /// As [`Program::plan_range`].
    fn public_values_of(
        &self,
        _input: &[u8],
        _range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        Ok(None)
    }

    /// Checks that a plan covers the input: contiguous, nothing missing, nothing twice, with the
    /// work and height that the items have.
    ///
    /// # Errors
    /// [`PlanError::Mismatch`] names the first segment that does not fit.
    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError>;

    /// Proves one segment. Deterministic: equal arguments give equal bytes on any thread count.
    /// Does not verify its own proof; the caller must.
    ///
    /// # Errors
    /// [`ProveError::Cancelled`] soon after the monitor asked; the others name their cause.
    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError>;

    /// Verifies a proof envelope. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// A [`Refusal`]: shape, lengths and identities first, mathematics last.
    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal>;

    /// The claim that the public values of all segments give, in order of index. Callers compare it
    /// with the job's claim and check the ranges with [`check_coverage`].
    ///
    /// # Errors
    /// A [`Refusal`] if some public values are malformed or there are none.
    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal>;
}

/// The range of one segment, as a segment record states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRange {
    /// Position in the job.
    pub index: u32,
    /// First item.
    pub first: u64,
    /// Number of items.
    pub count: u64,
}

/// Checks that ordered ranges start at item 0, follow each other without gap or overlap, and are
/// numbered from 0. Returns the number of items; that it is the right number follows from the claim.
///
/// # Errors
/// [`RefusalCode::Coverage`] names the first range that does not follow.
pub fn check_coverage(ranges: &[SegmentRange]) -> Result<u64, Refusal> {
    let refuse = |detail: String| Err(Refusal::new(RefusalCode::Coverage, detail));
    if ranges.is_empty() {
        return refuse("there are no segments".into());
    }
    let mut next = 0u64;
    for (position, range) in ranges.iter().enumerate() {
        if u64::from(range.index) != position as u64 {
            return refuse(format!("segment {position} carries the index {}", range.index));
        }
        if range.count == 0 {
            return refuse(format!("segment {position} is empty"));
        }
        if range.first != next {
            return refuse(format!(
                "segment {position} starts at item {}, expected {next}",
                range.first
            ));
        }
        match next.checked_add(range.count) {
            Some(end) => next = end,
            None => return refuse(format!("segment {position} ends beyond 2^64 items")),
        }
    }
    Ok(next)
}

/// The closed set of programs of one build.
pub struct Registry {
    programs: Vec<Registered>,
}

/// A program and what is asked of it for every job.
struct Registered {
    id: ProgramId,
    manifest: ManifestDigest,
    program: Box<dyn Program>,
}

impl Registry {
    /// A registry of these programs.
    ///
    /// # Panics
    /// If two programs share a name or an id: the set is fixed at compile time, so this is a bug.
    #[must_use]
    pub fn new(programs: Vec<Box<dyn Program>>) -> Self {
        for (position, program) in programs.iter().enumerate() {
            for earlier in programs.iter().take(position) {
                assert!(program.name() != earlier.name(), "two programs named {}", program.name());
                assert!(program.id() != earlier.id(), "two programs with id {}", program.id());
            }
        }
        let registered = |program: Box<dyn Program>| {
            let (id, manifest) = (program.id(), program.manifest().digest());
            Registered { id, manifest, program }
        };
        Self { programs: programs.into_iter().map(registered).collect() }
    }

    /// The program with this id.
    #[must_use]
    pub fn get(&self, id: &ProgramId) -> Option<&dyn Program> {
        Some(self.registered(id)?.program.as_ref())
    }

    /// The digest of a program's manifest.
    #[must_use]
    pub fn manifest_digest(&self, id: &ProgramId) -> Option<ManifestDigest> {
        Some(self.registered(id)?.manifest)
    }

    fn registered(&self, id: &ProgramId) -> Option<&Registered> {
        self.programs.iter().find(|registered| registered.id == *id)
    }

    /// The program with this name, e.g. `keccak`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&dyn Program> {
        self.iter().find(|program| program.name() == name)
    }

    /// Every program, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Program> {
        self.programs.iter().map(|registered| registered.program.as_ref())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|program| program.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(index: u32, first: u64, count: u64) -> SegmentRange {
        SegmentRange { index, first, count }
    }

    #[test]
    fn coverage_accepts_a_contiguous_job() {
        assert_eq!(check_coverage(&[range(0, 0, 3), range(1, 3, 2)]), Ok(5));
    }

    #[test]
    fn coverage_refuses_gaps_overlaps_orders_and_nothing() {
        let cases: [(&str, Vec<SegmentRange>); 8] = [
            ("none", vec![]),
            ("starts late", vec![range(0, 1, 3)]),
            ("gap", vec![range(0, 0, 3), range(1, 4, 2)]),
            ("overlap", vec![range(0, 0, 3), range(1, 2, 2)]),
            ("twice", vec![range(0, 0, 3), range(1, 0, 3)]),
            ("swapped", vec![range(1, 3, 2), range(0, 0, 3)]),
            ("empty segment", vec![range(0, 0, 0)]),
            ("overflow", vec![range(0, 0, u64::MAX), range(1, u64::MAX, 1)]),
        ];
        for (name, ranges) in cases {
            let refusal = check_coverage(&ranges).expect_err(name);
            assert_eq!(refusal.code(), RefusalCode::Coverage, "{name}");
        }
    }
}
