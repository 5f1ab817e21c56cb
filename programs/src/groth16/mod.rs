//! `groth16-bn254`: certifies a Groth16 proof over BN254 that exists already.
//!
//! Statement: *the proof in the envelope verifies for these public inputs under the key with this
//! digest*. The input is what snarkjs writes ([`SnarkjsProof`]); key, inputs and proof all go into the
//! envelope, so that anybody, a contract too, can judge it from the envelope alone. Nothing is proved
//! here: "proving" is verifying what was handed in and sealing it.
//!
//! What it does not promise:
//! - **It is not bound to a job or a prover.** Anybody can re-randomise a Groth16 proof, and the
//!   transcript is closed before we see it. The claim binds the statement; who handed the proof in does
//!   not matter to it, and [`Program::prover_bound`] says no, so the program is never raced for.
//! - **It says nothing about the key's setup or circuit.** Whoever knows a setup's secrets can prove
//!   anything under its key; a reader of the certificate compares the key's digest with the one it trusts.
//! - **It hides nothing.** Key, inputs and proof are public; whether the proof hides its witness is up to
//!   whoever made it, so the manifest says `hiding: no`.
//! - **Its security is conjectured.** Discrete logarithms and pairings of BN254 are put at about 100 bits
//!   (Menezes, Sarkar, Singh, eprint 2016/1102; Barbulescu, Duquesne, eprint 2017/334); nothing of it is
//!   proven, and that is what the manifest says.

use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::{ByteCount, Millis, WorkUnits};
use proofgrid_proofs::canonical::Description;
use proofgrid_proofs::digest::{keccak256, program_id, proof_digest, public_values_digest};
use proofgrid_proofs::envelope::{Envelope, OVERHEAD_BYTES};
use proofgrid_proofs::groth16::snarkjs::SnarkjsProof;
use proofgrid_proofs::groth16::{
    Groth16Key, Groth16Proof, Groth16Values, INPUTS_MAX, PROOF_BYTES, key_bytes, values_bytes,
};
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, Phase, PlanError, PlanRequest, Program, ProveError, SegmentPlan,
    SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};

/// The system's name in the program id.
const SYSTEM: &str = "groth16";
/// The program's name.
const NAME: &str = "groth16-bn254";
/// Version of the verifier; any change of a verdict on any bytes takes a new one.
const VERSION: &str = "1";
/// What stands where other programs have one verifying key: what all keys here have in common.
const RULES: &str = "e(A, B) = e(alpha, beta) e(IC_0 + sum x_i IC_i, gamma) e(C, delta) over BN254; \
key: alpha, beta, gamma, delta, IC; proof: A, B, C; coordinates u256be below p, G2 imaginary part \
first, identity all zeros; identity accepted as IC and C only; public values: keccak256 of the key, \
n u32be, n scalars u256be below r; not prover-bound";
/// Bits of security that BN254 is commonly put at.
const CONJECTURED_BITS: u16 = 100;

/// Bytes of the largest envelope.
pub const ENVELOPE_BYTES_MAX: usize =
    OVERHEAD_BYTES + values_bytes(INPUTS_MAX) + key_bytes(INPUTS_MAX) + PROOF_BYTES;

/// The largest proof takes about 10 ms of one server core; memory and the rest of the time are the
/// judge's own process.
const LIMITS: ProofLimits = ProofLimits {
    proof_bytes_max: ByteCount::new(ENVELOPE_BYTES_MAX as u64),
    public_values_bytes_max: ByteCount::new(values_bytes(INPUTS_MAX) as u64),
    verify_ms_max: Millis::new(30_000),
    verify_memory_bytes_max: ByteCount::new(1 << 30),
};

/// The one segment of every job: one proof. Reading and verifying it takes next to no memory.
const SEGMENT: SegmentPlan = SegmentPlan {
    index: 0,
    first: 0,
    count: 1,
    work_units: WorkUnits::new(1),
    memory_bytes: ByteCount::new(16 << 20),
    log_height: 0,
};

/// The `groth16-bn254` program.
#[derive(Debug)]
pub struct Groth16Program {
    id: ProgramId,
    rules: VkDigest,
    manifest: Manifest,
}

impl Default for Groth16Program {
    fn default() -> Self {
        Self::new()
    }
}

impl Groth16Program {
    /// The program.
    #[must_use]
    pub fn new() -> Self {
        let rules = VkDigest::from_bytes(keccak256(RULES.as_bytes()));
        let mut parameters = Description::default();
        parameters.text("inputs at most").size(INPUTS_MAX);
        Self {
            id: program_id(SYSTEM, &rules, parameters.as_slice()),
            rules,
            manifest: Manifest {
                name: NAME.to_owned(),
                version: VERSION.to_owned(),
                profile: Profile::Fast,
                hiding: false,
                proven_bits: 0,
                conjectured_bits: CONJECTURED_BITS,
                limits: LIMITS,
            },
        }
    }

    /// Puts key, values and proof into an envelope without looking at them: what does not verify gives
    /// an envelope that the verifier refuses.
    fn seal(&self, given: &SnarkjsProof) -> Result<SegmentProof, ProveError> {
        let (key, values) = statement(given)?;
        let proof = [key, given.proof.encode()].concat();
        let public_values = values.encode();
        let envelope = Envelope {
            program: self.id,
            vk: values.key(),
            public_values: &public_values,
            proof: &proof,
        };
        let bytes = envelope.encode().ok_or_else(|| ProveError::Backend {
            phase: "envelope".into(),
            problem: "a part is longer than 2^32 bytes".into(),
        })?;
        Ok(SegmentProof { bytes, public_values })
    }

    fn check_envelope(
        &self,
        envelope: &Envelope<'_>,
        binding: &Binding,
    ) -> Result<Groth16Values, Refusal> {
        if binding.program != self.id {
            let detail = format!("the binding names {}, this is {}", binding.program, self.id);
            return Err(Refusal::new(RefusalCode::WrongProgram, detail));
        }
        let values = Groth16Values::decode(envelope.public_values)?;
        envelope.check_identity(&self.id, &values.key())?;
        if binding.count != SEGMENT.count {
            let detail = format!("one proof for {} items", binding.count);
            return Err(Refusal::new(RefusalCode::WrongCount, detail));
        }
        Ok(values)
    }
}

/// The key's bytes and the public values of an input.
fn statement(given: &SnarkjsProof) -> Result<(Vec<u8>, Groth16Values), InputError> {
    let key = given.key.encode();
    let digest = VkDigest::from_bytes(keccak256(&key));
    let values = Groth16Values::new(digest, given.inputs.clone()).map_err(|refusal| {
        InputError::Field { field: "public".into(), problem: refusal.detail().to_owned() }
    })?;
    Ok((key, values))
}

/// Judges key, inputs and proof of an envelope; the key is bound by its digest before it is parsed.
fn check_proof(values: &Groth16Values, bytes: &[u8]) -> Result<(), Refusal> {
    let num_inputs = values.inputs().len();
    let (key, proof) = bytes.split_at_checked(key_bytes(num_inputs)).ok_or_else(|| {
        let detail = format!("{} bytes hold no key of {num_inputs} public inputs", bytes.len());
        Refusal::new(RefusalCode::Encoding, detail)
    })?;
    if VkDigest::from_bytes(keccak256(key)) != values.key() {
        let detail = "the key in the envelope is not the one that the public values name";
        return Err(Refusal::new(RefusalCode::WrongKey, detail));
    }
    let key = Groth16Key::decode(key, num_inputs)?;
    key.verify(values.inputs(), &Groth16Proof::decode(proof)?)
}

impl Program for Groth16Program {
    fn id(&self) -> ProgramId {
        self.id
    }

    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn vk_digest(&self) -> VkDigest {
        self.rules
    }

    fn vk_of(&self, input: &[u8]) -> Result<VkDigest, InputError> {
        Ok(SnarkjsProof::parse(input)?.key.digest())
    }

    fn admits_vk(&self, _vk: &VkDigest) -> bool {
        true
    }

    fn prover_bound(&self) -> bool {
        false
    }

    fn proof_bytes_estimate(&self, _segment: &SegmentPlan) -> ByteCount {
        LIMITS.proof_bytes_max
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        Ok(statement(&SnarkjsProof::parse(input)?)?.1.claim())
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        SnarkjsProof::parse(input)?;
        if SEGMENT.memory_bytes > request.memory_bytes_max {
            return Err(PlanError::ItemTooLargeForMemory {
                line: 1,
                needed: SEGMENT.memory_bytes,
                available: request.memory_bytes_max,
            });
        }
        Ok(vec![SEGMENT])
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        SnarkjsProof::parse(input)?;
        if *range == (SegmentRange { index: 0, first: 0, count: 1 }) {
            return Ok(SEGMENT);
        }
        let problem = format!("{range:?} where the one proof is segment 0");
        Err(PlanError::Mismatch { index: range.index, problem })
    }

    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        self.plan_range(input, range)?;
        Ok(Some(statement(&SnarkjsProof::parse(input)?)?.1.encode()))
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        SnarkjsProof::parse(input)?;
        if plan == [SEGMENT] {
            return Ok(());
        }
        let problem = format!("{plan:?} where one segment {SEGMENT:?} is right");
        Err(PlanError::Mismatch { index: 0, problem })
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        if *binding != Binding::of_segment(binding.job, self.id, binding.prover, segment) {
            let problem = format!("{binding:?} for {segment:?} of program {}", self.id);
            return Err(ProveError::Binding(problem));
        }
        self.check_plan(input, std::slice::from_ref(segment))?;
        let given = SnarkjsProof::parse(input)?;
        monitor.phase(Phase::Check, 0, 1);
        given.key.verify(&given.inputs, &given.proof).map_err(ProveError::Refused)?;
        self.seal(&given)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        let envelope = Envelope::decode(proof, &LIMITS)?;
        let values = self.check_envelope(&envelope, binding)?;
        check_proof(&values, envelope.proof)?;
        Ok(VerifiedSegment {
            public_values: envelope.public_values.to_vec(),
            public_values_digest: public_values_digest(envelope.public_values),
            vk_digest: values.key(),
            proof_digest: proof_digest(proof),
            work_units: SEGMENT.work_units,
        })
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        let [values] = public_values else {
            let detail = format!("{} segments, expected one", public_values.len());
            return Err(Refusal::new(RefusalCode::Coverage, detail));
        };
        Ok(Groth16Values::decode(values)?.claim())
    }
}

#[cfg(test)]
mod tests;
