//! What is really so: which proofs hold, who made them, and what each job asks.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use proofgrid_core::ids::{
    Address, BlobDigest, Claim, JobId, ManifestDigest, Nonce, ProgramId, PublicValuesDigest,
    VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::{JobPlan, PlannedSegment};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord};
use proofgrid_core::units::{ByteCount, UnixSeconds, WorkUnits};

use crate::stakes::{CHAIN, target};

/// Work units of every segment.
const SEGMENT_UNITS: u64 = 100;
/// Items of every segment.
const SEGMENT_ITEMS: u64 = 10;

/// What a stored proof really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose address is bound into it.
    pub author: Address,
    /// The job that is bound into it.
    pub job: JobId,
    /// The segment that it covers.
    pub index: u32,
    /// Whether it verifies and fits the claim.
    pub holds: bool,
}

/// Every proof that anybody made.
#[derive(Debug, Default)]
pub struct Truth {
    proofs: BTreeMap<BlobDigest, Proof>,
}

impl Truth {
    /// A new proof; its bytes are unlike any other's.
    pub fn make(&mut self, proof: Proof) -> BlobDigest {
        let mut bytes = [0xaa; 32];
        bytes[..8].copy_from_slice(&(self.proofs.len() as u64 + 1).to_be_bytes());
        let digest = BlobDigest::from_bytes(bytes);
        self.proofs.insert(digest, proof);
        digest
    }

    /// What a proof is; garbage is nothing.
    pub fn proof(&self, digest: &BlobDigest) -> Option<&Proof> {
        self.proofs.get(digest)
    }

    /// Whether a proof holds for a segment of a job.
    pub fn fits(&self, digest: &BlobDigest, job: JobId, index: u32) -> bool {
        self.proof(digest).is_some_and(|p| p.holds && (p.job, p.index) == (job, index))
    }

    /// The first segment of a statement that is not what its record says.
    pub fn first_lie(&self, opened: &OpenedStatement, spec: &JobSpec) -> Option<u32> {
        let job = spec.id();
        let lies = |record: &&SegmentRecord| {
            let author = self.proof(&record.proof).map(|proof| proof.author);
            !self.fits(&record.proof, job, record.index) || author != Some(record.prover)
        };
        opened.records.iter().find(lies).map(|record| record.index)
    }
}

/// A job as its requester drew it.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it says.
    pub spec: JobSpec,
    /// Its id.
    pub id: JobId,
}

/// The job that a requester asks for under a nonce; the input says into how many segments it goes.
pub fn wish(
    requester: Address,
    nonce: u64,
    origin: Origin,
    (segments, salt): (u8, u64),
    deadline: UnixSeconds,
    (stream, sequence): (u64, u64),
) -> Wish {
    let mut input = [segments; 32];
    input[..20].copy_from_slice(requester.as_bytes());
    input[20..28].copy_from_slice(&salt.to_be_bytes());
    let spec = JobSpec {
        origin,
        home_chain: CHAIN,
        target: target(),
        requester,
        nonce: Nonce::new(nonce),
        program: ProgramId::from_bytes([1; 32]),
        input: BlobDigest::from_bytes(input),
        claim: Claim::from_bytes([9; 32]),
        mode: Mode::Assigned,
        deadline,
        fee_cap: U256::from(1_000_000u64),
        limits: JobLimits {
            input_bytes: ByteCount::new(100),
            max_segments: 4,
            max_proof_bytes: ByteCount::new(10_000),
        },
        stream,
        sequence,
    };
    Wish { id: spec.id(), spec }
}

/// How the planner cuts an input, or why it refuses it.
pub fn plan(spec: &JobSpec) -> Result<JobPlan, String> {
    let segments = u64::from(spec.input.as_bytes()[31]);
    if segments == 0 {
        return Err("the input is not what the program reads".into());
    }
    let segment = |index| PlannedSegment {
        first: index * SEGMENT_ITEMS,
        count: SEGMENT_ITEMS,
        work_units: WorkUnits::new(SEGMENT_UNITS),
        memory_bytes: ByteCount::new(1 << 30),
    };
    Ok(JobPlan {
        segments: (0..segments).map(segment).collect(),
        manifest: ManifestDigest::from_bytes([5; 32]),
        vk: VkDigest::from_bytes([6; 32]),
    })
}

/// The record that intake recomputes from a proof's bytes.
pub fn record(plan: &JobPlan, index: u32, prover: Address, proof: BlobDigest) -> SegmentRecord {
    let segment = plan.segments[index as usize];
    SegmentRecord {
        index,
        first: segment.first,
        count: segment.count,
        vk: plan.vk,
        public_values: PublicValuesDigest::from_bytes([4; 32]),
        proof,
        prover,
        work_units: segment.work_units,
    }
}
