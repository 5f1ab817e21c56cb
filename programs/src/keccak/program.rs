//! The program: claim, plan, prove, verify.

use std::sync::OnceLock;

use p3_koala_bear::KoalaBear;
use p3_matrix::dense::RowMajorMatrix;
use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::{ByteCount, Millis, WorkUnits};
use proofgrid_proofs::build::Build;
use proofgrid_proofs::digest::keccak256;
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, Phase, PlanError, PlanRequest, Program, ProveError, SegmentPlan,
    SegmentProof, SegmentRange, VerifiedSegment, check_coverage,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proofs::stark::batch::{self, Statement};
use proofgrid_proofs::stark::constraints::{Prover, TableShape, VerifyingKey};
use proofgrid_proofs::stark::parameters::Parameters;

use super::planner::{self, LOG_HEIGHT_MAX, SPONGE_LOG_OFFSET, budget};
use super::tables::{KeccakTable, PERMUTATION_WIDTH, SPONGE_WIDTH};
use super::trace::{self, Heights};
use super::{Digest, digest_of, input, permutations_of_len};

/// The system's name in the program id.
const SYSTEM: &str = "keccak";
/// Version of the verifier; any change of a verdict on any bytes takes a new one.
const VERSION: &str = "1";
/// Tag of the claim, `docs/protocol.md` section 1.
const CLAIM_TAG: &str = "PROOFGRID_CLAIM_KECCAK_V1";
/// What the constraints do not say themselves; part of the verifying key's digest.
const RULES: &str = "public values: permutations u32be, digests 32 bytes each; \
sponge public value: permutations; digest preprocessed rows: (1, i, 16 limbs u16le of digest i), \
then zeros; log heights: k smallest with floor(2^k/24) >= permutations and 5 <= k <= 18, k - 4, \
smallest d >= 1 with 2^d >= digests";

/// The public values of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicValues {
    /// Permutations over all messages of the segment.
    pub permutations: u32,
    /// The digests, in order.
    pub digests: Vec<Digest>,
}

impl PublicValues {
    /// Permutations (4 bytes, big-endian), then the digests.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.permutations.to_be_bytes().to_vec();
        for digest in &self.digests {
            bytes.extend_from_slice(digest);
        }
        bytes
    }

    /// Decodes public values that some table heights admit.
    ///
    /// # Errors
    /// [`RefusalCode::PublicValuesShape`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, Heights), Refusal> {
        let refuse = |detail: String| Refusal::new(RefusalCode::PublicValuesShape, detail);
        let (count, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| refuse(format!("{} bytes, at least 36 expected", bytes.len())))?;
        let (digests, odd) = rest.as_chunks::<32>();
        if !odd.is_empty() {
            return Err(refuse(format!("{} bytes, expected 4 and 32 per digest", bytes.len())));
        }
        let permutations = u32::from_be_bytes(*count);
        let heights = usize::try_from(permutations)
            .ok()
            .and_then(|total| Heights::of(total, digests.len()))
            .ok_or_else(|| {
                refuse(format!(
                    "{permutations} permutations for {} digests; 1 to {} permutations and one \
                     to one digest per permutation are possible",
                    digests.len(),
                    budget(LOG_HEIGHT_MAX),
                ))
            })?;
        Ok((Self { permutations, digests: digests.to_vec() }, heights))
    }
}

/// The claim over digests in order.
#[must_use]
pub fn claim_of_digests<'a>(digests: impl ExactSizeIterator<Item = &'a Digest>) -> Claim {
    let mut bytes = keccak256(CLAIM_TAG.as_bytes()).to_vec();
    bytes.extend_from_slice(&[0; 24]);
    bytes.extend_from_slice(&(digests.len() as u64).to_be_bytes());
    for digest in digests {
        bytes.extend_from_slice(digest);
    }
    Claim::from_bytes(keccak256(&bytes))
}

/// The tables as the verifying key sees them; the same for every profile.
#[must_use]
pub fn table_shapes() -> Vec<TableShape> {
    static SHAPES: OnceLock<Vec<TableShape>> = OnceLock::new();
    let shapes = SHAPES.get_or_init(|| {
        let sponge_max = LOG_HEIGHT_MAX - SPONGE_LOG_OFFSET;
        let heights = [LOG_HEIGHT_MAX, sponge_max, sponge_max];
        KeccakTable::all(trace::digest_columns(&[], 1))
            .iter()
            .zip(KeccakTable::NAMES)
            .zip(heights)
            .map(|((table, name), log_height)| TableShape::of(name, table, log_height))
            .collect()
    });
    shapes.clone()
}

/// The verifying key under a profile.
#[must_use]
pub fn verifying_key(profile: Profile) -> VerifyingKey {
    VerifyingKey {
        system: SYSTEM,
        prover: Prover::Batch,
        parameters: Parameters::of(profile),
        tables: table_shapes(),
        rules: RULES,
    }
}

/// The `keccak` program under one profile.
#[derive(Debug)]
pub struct KeccakProgram(Build);

impl KeccakProgram {
    /// The program under a profile: `keccak`, `keccak-fold` or `keccak-fast`.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let name = match profile {
            Profile::Standard => "keccak",
            Profile::StandardFold => "keccak-fold",
            Profile::Fast => "keccak-fast",
        };
        Self::of_key(name, profile, &verifying_key(profile))
    }

    /// The program of a key, which need not be the one of its profile.
    pub(super) fn of_key(name: &str, profile: Profile, key: &VerifyingKey) -> Self {
        Self(Build::new(name, VERSION, profile, key, LIMITS))
    }

    /// Fills the tables of one segment.
    pub(super) fn tables(&self, messages: &[Vec<u8>]) -> Option<Tables> {
        let digests: Vec<Digest> = messages.iter().map(|m| digest_of(m)).collect();
        let blocks = trace::absorb(messages);
        let heights = Heights::of(blocks.len(), digests.len())?;
        let [_, sponge, digest] = heights.log;
        Some(Tables {
            traces: [
                trace::permutation_table(&blocks),
                trace::sponge_table(&blocks, sponge),
                trace::digest_table(digests.len(), digest),
            ],
            public_values: PublicValues {
                permutations: u32::try_from(blocks.len()).ok()?,
                digests,
            },
            heights,
        })
    }

    /// Proves filled tables without looking at them: a false trace gives a proof that the verifier
    /// refuses.
    pub(super) fn prove_tables(
        &self,
        tables: &Tables,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        self.prove_with(tables, binding, |parameters, statement| {
            batch::prove(parameters, statement, &tables.traces, monitor)
        })
    }

    /// States what the tables say, lets `prover` prove it, and seals the proof.
    pub(super) fn prove_with(
        &self,
        tables: &Tables,
        binding: &Binding,
        prover: impl FnOnce(&Parameters, &Statement<'_, KeccakTable>) -> Result<Vec<u8>, ProveError>,
    ) -> Result<SegmentProof, ProveError> {
        let public_values = tables.public_values.encode();
        let seed = self.0.seed(binding, &public_values);
        let statement = Statement {
            tables: &airs(&tables.public_values, &tables.heights),
            log_heights: &tables.heights.log,
            public_values: &instance_values(&tables.public_values),
            seed: &seed,
        };
        let proof = prover(self.0.parameters(), &statement)?;
        self.0.seal(public_values, &proof)
    }
}

/// Filled tables with what they state.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) traces: [RowMajorMatrix<KoalaBear>; 3],
    pub(super) public_values: PublicValues,
    pub(super) heights: Heights,
}

/// The largest proof (`standard`, 2^18 rows) has 4.4 MB and takes 0.13 s of one server core to judge,
/// `standard-fold` 0.35 s (EPYC with AVX-512, test build, 2026-11-21). Memory is decided by hostile
/// bytes: an empty list is one byte of a proof and 24 bytes once decoded, in a buffer that may be half
/// empty. `judge/tests/largest.rs` holds that both caps are ten times the worst of these.
const LIMITS: ProofLimits = ProofLimits {
    proof_bytes_max: ByteCount::new(6 << 20),
    public_values_bytes_max: ByteCount::new(4 + 32 * budget(LOG_HEIGHT_MAX) as u64),
    verify_ms_max: Millis::new(60_000),
    verify_memory_bytes_max: ByteCount::new(4 << 30),
};

pub(super) fn airs(values: &PublicValues, heights: &Heights) -> [KeccakTable; 3] {
    let [_, _, digest] = heights.log;
    KeccakTable::all(trace::digest_columns(&values.digests, digest))
}

pub(super) fn instance_values(values: &PublicValues) -> [Vec<KoalaBear>; 3] {
    [vec![], vec![KoalaBear::new(values.permutations)], vec![]]
}

impl Program for KeccakProgram {
    fn id(&self) -> ProgramId {
        self.0.id()
    }

    fn name(&self) -> &str {
        &self.0.manifest().name
    }

    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    fn vk_digest(&self) -> VkDigest {
        self.0.vk()
    }

    fn proof_bytes_estimate(&self, segment: &SegmentPlan) -> ByteCount {
        // Every query opens one row of every table; paths and folds add about a quarter.
        let row_bytes = 4 * (PERMUTATION_WIDTH + SPONGE_WIDTH) as u64;
        let queries = self.0.parameters().num_queries as u64;
        ByteCount::new(row_bytes * (queries + 10) * 5 / 4 + 36 * segment.count)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        let messages = input::parse(input)?;
        let digests: Vec<Digest> = messages.iter().map(|message| digest_of(message)).collect();
        Ok(claim_of_digests(digests.iter()))
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        planner::plan(&input::parse(input)?, request)
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        plan_of_range(&input::parse(input)?, range).map(|(plan, _)| plan)
    }

    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        let messages = input::parse(input)?;
        let (segment, held) = plan_of_range(&messages, range)?;
        // A range that fits a table height has fewer permutations than that height.
        let permutations = u32::try_from(segment.work_units.get()).unwrap_or(u32::MAX);
        let digests = held.iter().map(|message| digest_of(message)).collect();
        Ok(Some(PublicValues { permutations, digests }.encode()))
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        let messages = input::parse(input)?;
        let ranges: Vec<SegmentRange> = plan
            .iter()
            .map(|s| SegmentRange { index: s.index, first: s.first, count: s.count })
            .collect();
        let covered = check_coverage(&ranges).map_err(|refusal| PlanError::Mismatch {
            index: 0,
            problem: refusal.detail().to_owned(),
        })?;
        if covered != messages.len() as u64 {
            return Err(PlanError::Mismatch {
                index: ranges.last().map_or(0, |range| range.index),
                problem: format!("the plan ends after {covered} of {} messages", messages.len()),
            });
        }
        plan.iter().try_for_each(|segment| segment_messages(&messages, segment).map(|_| ()))
    }

    fn prove(
        &self,
        input: &[u8],
        segment: &SegmentPlan,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        if *binding != Binding::of_segment(binding.job, self.id(), binding.prover, segment) {
            let problem = format!("{binding:?} for {segment:?} of program {}", self.id());
            return Err(ProveError::Binding(problem));
        }
        let messages = input::parse(input)?;
        let messages = segment_messages(&messages, segment)?;
        monitor.phase(Phase::Trace, 0, 1);
        let tables = self.tables(messages).ok_or_else(|| PlanError::Mismatch {
            index: segment.index,
            problem: "it fits no table height".into(),
        })?;
        if monitor.cancelled() {
            return Err(ProveError::Cancelled);
        }
        monitor.phase(Phase::Commit, 0, 1);
        self.prove_tables(&tables, binding, monitor)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        let envelope = self.0.open(proof, binding)?;
        let (values, heights) = PublicValues::decode(envelope.public_values)?;
        if values.digests.len() as u64 != binding.count {
            let detail = format!("{} digests for {} messages", values.digests.len(), binding.count);
            return Err(Refusal::new(RefusalCode::WrongCount, detail));
        }
        let seed = self.0.seed(binding, envelope.public_values);
        let statement = Statement {
            tables: &airs(&values, &heights),
            log_heights: &heights.log,
            public_values: &instance_values(&values),
            seed: &seed,
        };
        let work_units = WorkUnits::new(u64::from(values.permutations));
        self.0.verified(proof, &envelope, work_units, || {
            batch::verify(self.0.parameters(), &statement, envelope.proof)
        })
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        if public_values.is_empty() {
            return Err(Refusal::new(RefusalCode::Coverage, "there are no segments"));
        }
        let mut digests: Vec<Digest> = Vec::new();
        for values in public_values {
            digests.extend(PublicValues::decode(values)?.0.digests);
        }
        Ok(claim_of_digests(digests.iter()))
    }
}

/// The plan and the messages of a range.
fn plan_of_range<'a>(
    messages: &'a [Vec<u8>],
    range: &SegmentRange,
) -> Result<(SegmentPlan, &'a [Vec<u8>]), PlanError> {
    let mismatch = |problem: String| PlanError::Mismatch { index: range.index, problem };
    let bounds = range
        .first
        .checked_add(range.count)
        .and_then(|end| Some(usize::try_from(range.first).ok()?..usize::try_from(end).ok()?));
    let held = bounds.and_then(|bounds| messages.get(bounds)).filter(|held| !held.is_empty());
    let held = held.ok_or_else(|| {
        mismatch(format!("{} messages from {} of {}", range.count, range.first, messages.len()))
    })?;
    let permutations: Vec<usize> = held.iter().map(|m| permutations_of_len(m.len())).collect();
    let plan = planner::segment(range.index, range.first, &permutations).ok_or_else(|| {
        let limit = budget(LOG_HEIGHT_MAX);
        mismatch(format!("it has more than {limit} permutations, the most of one segment"))
    })?;
    Ok((plan, held))
}

/// The messages of a segment, if its numbers are those of the messages.
fn segment_messages<'a>(
    messages: &'a [Vec<u8>],
    segment: &SegmentPlan,
) -> Result<&'a [Vec<u8>], PlanError> {
    let range = SegmentRange { index: segment.index, first: segment.first, count: segment.count };
    let (expected, held) = plan_of_range(messages, &range)?;
    if expected != *segment {
        let problem = format!("{segment:?} where {expected:?} is right");
        return Err(PlanError::Mismatch { index: segment.index, problem });
    }
    Ok(held)
}
