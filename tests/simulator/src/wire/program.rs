//! A program whose proofs cost nothing: a proof is the digest of what it is bound to and of its
//! public values, the items themselves. Bound like a real one, so that a stolen or changed proof is
//! refused.

use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::job::claim_of;
use proofgrid_core::units::{ByteCount, Millis, WorkUnits};
use proofgrid_proofs::digest::{program_id, proof_digest, public_values_digest};
use proofgrid_proofs::envelope::{Envelope, transcript_seed};
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};

const VK: VkDigest = VkDigest::from_bytes([7; 32]);
const TAG: &str = "ECHO";

/// The program's id.
pub fn id() -> ProgramId {
    program_id("echo", &VK, b"")
}

/// The claim of an input.
pub fn claim(input: &[u8]) -> Claim {
    claim_of(TAG, input)
}

/// A registry with this program alone.
pub fn registry() -> Registry {
    let manifest = Manifest {
        name: "echo".into(),
        version: "1".into(),
        profile: Profile::Standard,
        hiding: false,
        proven_bits: 0,
        conjectured_bits: 0,
        limits: limits(),
    };
    Registry::new(vec![Box::new(Echo { manifest })])
}

/// A proof of these values under a binding; it holds if they are the segment's.
pub fn proof(binding: &Binding, values: &[u8]) -> Vec<u8> {
    enveloped(values, &transcript_seed(&VK, binding, values))
}

/// An envelope without a proof in it.
pub fn hollow(values: &[u8]) -> Vec<u8> {
    enveloped(values, &[0; 32])
}

fn enveloped(values: &[u8], proof: &[u8]) -> Vec<u8> {
    let envelope = Envelope { program: id(), vk: VK, public_values: values, proof };
    envelope.encode().expect("a short proof")
}

/// What a judge finds that believes every envelope.
pub fn believed(proof: &[u8], binding: &Binding) -> VerifiedSegment {
    let limits = limits();
    let values =
        Envelope::decode(proof, &limits).map_or(&[][..], |envelope| envelope.public_values);
    verified(proof, values, binding)
}

fn verified(proof: &[u8], values: &[u8], binding: &Binding) -> VerifiedSegment {
    VerifiedSegment {
        public_values: values.to_vec(),
        public_values_digest: public_values_digest(values),
        vk_digest: VK,
        proof_digest: proof_digest(proof),
        work_units: WorkUnits::new(binding.count),
    }
}

const fn limits() -> ProofLimits {
    ProofLimits {
        proof_bytes_max: ByteCount::new(1 << 20),
        public_values_bytes_max: ByteCount::new(1 << 20),
        verify_ms_max: Millis::new(10_000),
        verify_memory_bytes_max: ByteCount::new(1 << 28),
    }
}

/// Each byte of the input is an item.
struct Echo {
    manifest: Manifest,
}

/// The items of a range.
pub fn items(input: &[u8], first: u64, count: u64) -> Option<&[u8]> {
    let first = usize::try_from(first).ok()?;
    let end = first.checked_add(usize::try_from(count).ok()?)?;
    input.get(first..end).filter(|items| !items.is_empty())
}

impl Program for Echo {
    fn id(&self) -> ProgramId {
        id()
    }

    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn vk_digest(&self) -> VkDigest {
        VK
    }

    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount {
        ByteCount::new(segment.count + 200)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        if input.is_empty() { Err(InputError::Empty { items: "bytes" }) } else { Ok(claim(input)) }
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        self.claim(input)?;
        let most = request.num_workers.max(1).min(request.max_segments.max(1));
        let (len, most) = (input.len() as u64, u64::from(most));
        let count = len.div_ceil(most);
        let starts = (0..len.div_ceil(count)).map(|index| (index, index * count));
        let range = |(index, first): (u64, u64)| SegmentRange {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            first,
            count: count.min(len - first),
        };
        starts.map(|start| self.plan_range(input, &range(start))).collect()
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        let SegmentRange { index, first, count } = *range;
        if items(input, first, count).is_none() {
            return Err(PlanError::Mismatch { index, problem: "it is not inside".into() });
        }
        let (work_units, memory_bytes) = (WorkUnits::new(count), ByteCount::new(1 << 20));
        Ok(SegmentPlan { index, first, count, work_units, memory_bytes, log_height: 1 })
    }

    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        self.plan_range(input, range)?;
        Ok(items(input, range.first, range.count).map(<[u8]>::to_vec))
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        for segment in plan {
            let SegmentPlan { index, first, count, .. } = *segment;
            self.plan_range(input, &SegmentRange { index, first, count })?;
        }
        Ok(())
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        _monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        let values = items(input, segment.first, segment.count);
        let values = values.ok_or_else(|| ProveError::Binding("no such items".into()))?;
        Ok(SegmentProof { bytes: proof(binding, values), public_values: values.to_vec() })
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        let envelope = Envelope::decode(proof, &self.manifest.limits)?;
        envelope.check_identity(&id(), &VK)?;
        let values = envelope.public_values;
        if envelope.proof != transcript_seed(&VK, binding, values) {
            return Err(Refusal::new(RefusalCode::Opening, "made for something else"));
        }
        Ok(verified(proof, values, binding))
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        Ok(claim(&public_values.concat()))
    }
}
