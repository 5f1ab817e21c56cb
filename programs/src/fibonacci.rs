//! `fibonacci`: a tiny program with one table, so that nothing in the network is tied to another.
//!
//! Statement: *from `a` and `b`, the `n`-th step of `x_{i+2} = x_i + x_{i+1}` over KoalaBear ends in
//! `x`*; all four are public. Row `i` holds `(x_i, x_{i+1})`; the last row is `i = n - 1`, and its
//! second column is the public `x = x_n` (`x_0 = a`, `x_1 = b`). `n` is a power of two, so the table
//! has no unused rows.

use p3_air::{Air, AirBuilder, BaseAir, WindowAccess};
use p3_field::PrimeField32;
use p3_koala_bear::KoalaBear;
use p3_matrix::dense::RowMajorMatrix;
use proofgrid_core::ids::{Claim, ProgramId, VkDigest};
use proofgrid_core::units::{ByteCount, Millis, WorkUnits};
use proofgrid_proofs::build::Build;
use proofgrid_proofs::digest::keccak256;
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, Phase, PlanError, PlanRequest, Program, ProveError, SegmentPlan,
    SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proofs::stark::constraints::{Prover, TableShape, VerifyingKey};
use proofgrid_proofs::stark::parameters::Parameters;
use proofgrid_proofs::stark::uni::{self, Statement};

const SYSTEM: &str = "fibonacci";
const VERSION: &str = "1";
const CLAIM_TAG: &str = "PROOFGRID_CLAIM_FIBONACCI_V1";
const RULES: &str = "public values: a, b, n, x, each u32be, all but n below the field's modulus; \
table public values: a, b, x; log height: log2 n, 3 <= log2 n <= 20";
/// Log2 of the fewest and the most steps.
const LOG_STEPS: std::ops::RangeInclusive<u32> = 3..=20;
/// Bytes of the public values.
const PUBLIC_VALUES_BYTES: usize = 16;

/// The largest admitted proofs (2^20 steps) have about 0.3 MB and verify in a few milliseconds.
const LIMITS: ProofLimits = ProofLimits {
    proof_bytes_max: ByteCount::new(2 << 20),
    public_values_bytes_max: ByteCount::new(PUBLIC_VALUES_BYTES as u64),
    verify_ms_max: Millis::new(30_000),
    verify_memory_bytes_max: ByteCount::new(1 << 30),
};

/// The table: two columns, `left` and `right`.
#[derive(Debug, Clone, Copy)]
pub struct FibonacciTable;

impl<F> BaseAir<F> for FibonacciTable {
    fn width(&self) -> usize {
        2
    }

    fn num_public_values(&self) -> usize {
        3
    }
}

impl<AB: AirBuilder> Air<AB> for FibonacciTable {
    fn eval(&self, builder: &mut AB) {
        let main = builder.main();
        let (row, next) = (main.current_slice(), main.next_slice());
        let (left, right): (AB::Expr, AB::Expr) = (row[0].into(), row[1].into());
        let (next_left, next_right) = (next[0], next[1]);
        let values = builder.public_values();
        let (a, b, x): (AB::Expr, AB::Expr, AB::Expr) =
            (values[0].into(), values[1].into(), values[2].into());
        builder.when_first_row().assert_eq(left.clone(), a);
        builder.when_first_row().assert_eq(right.clone(), b);
        builder.when_transition().assert_eq(next_left, right.clone());
        builder.when_transition().assert_eq(next_right, left + right.clone());
        builder.when_last_row().assert_eq(right, x);
    }
}

/// What an input asks for, and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    a: KoalaBear,
    b: KoalaBear,
    log_steps: u32,
    x: KoalaBear,
}

impl Run {
    /// Parses `a b n` on one line and computes `x`.
    fn parse(input: &[u8]) -> Result<Self, InputError> {
        let line = |problem: String| InputError::Line { line: 1, problem };
        let text =
            std::str::from_utf8(input).map_err(|_| line("not text; expected `a b n`".into()))?;
        if text.trim().is_empty() {
            return Err(InputError::Empty { items: "runs" });
        }
        let mut lines = text.lines();
        let words: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
        if let Some(position) = lines.position(|rest| !rest.trim().is_empty()) {
            let problem = "only one run is allowed".into();
            return Err(InputError::Line { line: position as u64 + 2, problem });
        }
        let [a, b, n] = words.as_slice() else {
            return Err(line(format!("{} numbers, expected `a b n`", words.len())));
        };
        let element = |word: &str| {
            word.parse::<u32>().ok().filter(|v| *v < KoalaBear::ORDER_U32).ok_or_else(|| {
                line(format!("{word:?} is no number below {}", KoalaBear::ORDER_U32))
            })
        };
        let steps = element(n)?;
        if !steps.is_power_of_two() || !LOG_STEPS.contains(&steps.trailing_zeros()) {
            return Err(line(format!("n is {steps}, expected a power of two from 8 to 1048576")));
        }
        let (a, b) = (KoalaBear::new(element(a)?), KoalaBear::new(element(b)?));
        let log_steps = steps.trailing_zeros();
        let (_, x) = (1..steps).fold((a, b), |(left, right), _| (right, left + right));
        Ok(Self { a, b, log_steps, x })
    }

    fn encode(&self) -> Vec<u8> {
        let steps = 1u32 << self.log_steps;
        [self.a.as_canonical_u32(), self.b.as_canonical_u32(), steps, self.x.as_canonical_u32()]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |detail: String| Refusal::new(RefusalCode::PublicValuesShape, detail);
        let (words, rest) = bytes.as_chunks::<4>();
        let ([a, b, n, x], []) = (words, rest) else {
            return Err(refuse(format!("{} bytes, expected {PUBLIC_VALUES_BYTES}", bytes.len())));
        };
        let element = |word: &[u8; 4]| {
            let value = u32::from_be_bytes(*word);
            (value < KoalaBear::ORDER_U32)
                .then(|| KoalaBear::new(value))
                .ok_or_else(|| refuse(format!("{value} is not below the field's modulus")))
        };
        let steps = u32::from_be_bytes(*n);
        if !steps.is_power_of_two() || !LOG_STEPS.contains(&steps.trailing_zeros()) {
            return Err(refuse(format!("{steps} steps, expected a power of two")));
        }
        let log_steps = steps.trailing_zeros();
        Ok(Self { a: element(a)?, b: element(b)?, log_steps, x: element(x)? })
    }

    fn segment(&self) -> SegmentPlan {
        let rows = 1u64 << self.log_steps;
        SegmentPlan {
            index: 0,
            first: 0,
            count: 1,
            work_units: WorkUnits::new(rows),
            memory_bytes: ByteCount::new((64 << 20) + rows * 1024),
            log_height: u8::try_from(self.log_steps).unwrap_or(u8::MAX),
        }
    }

    fn values(&self) -> [KoalaBear; 3] {
        [self.a, self.b, self.x]
    }

    fn trace(&self) -> RowMajorMatrix<KoalaBear> {
        let mut values = Vec::with_capacity(2 << self.log_steps);
        let (mut left, mut right) = (self.a, self.b);
        for _ in 0..1u32 << self.log_steps {
            values.extend([left, right]);
            (left, right) = (right, left + right);
        }
        RowMajorMatrix::new(values, 2)
    }
}

/// The verifying key under a profile.
#[must_use]
pub fn verifying_key(profile: Profile) -> VerifyingKey {
    let log_height_max = usize::try_from(*LOG_STEPS.end()).unwrap_or(usize::MAX);
    VerifyingKey {
        system: SYSTEM,
        prover: Prover::Uni,
        parameters: Parameters::of(profile),
        tables: vec![TableShape::of("fibonacci", &FibonacciTable, log_height_max)],
        rules: RULES,
    }
}

/// The `fibonacci` program under one profile.
#[derive(Debug)]
pub struct FibonacciProgram(Build);

impl FibonacciProgram {
    /// The program under a profile; only `fibonacci` itself is in the registry.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let name = match profile {
            Profile::Standard => "fibonacci",
            Profile::StandardFold => "fibonacci-fold",
            Profile::Fast => "fibonacci-fast",
        };
        Self(Build::new(name, VERSION, profile, &verifying_key(profile), LIMITS))
    }

    fn prove_trace(
        &self,
        run: &Run,
        trace: RowMajorMatrix<KoalaBear>,
        binding: &Binding,
        monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        let public_values = run.encode();
        let seed = self.0.seed(binding, &public_values);
        let statement = Statement {
            table: &FibonacciTable,
            log_height: run.log_steps as usize,
            public_values: &run.values(),
            seed: &seed,
        };
        let proof = uni::prove(self.0.parameters(), &statement, trace, monitor)?;
        self.0.seal(public_values, &proof)
    }
}

impl Program for FibonacciProgram {
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
        // One 32-byte path node per query and level in five commitments bounds it from above.
        let levels = u64::from(segment.log_height) + 1;
        ByteCount::new(self.0.parameters().num_queries as u64 * levels * 32 * 5)
    }

    fn claim(&self, input: &[u8]) -> Result<Claim, InputError> {
        Ok(claim_of(&Run::parse(input)?.encode()))
    }

    fn plan(&self, input: &[u8], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        let segment = Run::parse(input)?.segment();
        if segment.memory_bytes > request.memory_bytes_max {
            return Err(PlanError::ItemTooLargeForMemory {
                line: 1,
                needed: segment.memory_bytes,
                available: request.memory_bytes_max,
            });
        }
        Ok(vec![segment])
    }

    fn plan_range(&self, input: &[u8], range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        let segment = Run::parse(input)?.segment();
        if *range == (SegmentRange { index: 0, first: 0, count: 1 }) {
            return Ok(segment);
        }
        let problem = format!("{range:?} where the one run is segment 0");
        Err(PlanError::Mismatch { index: range.index, problem })
    }

    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        self.plan_range(input, range)?;
        Ok(Some(Run::parse(input)?.encode()))
    }

    fn check_plan(&self, input: &[u8], plan: &[SegmentPlan]) -> Result<(), PlanError> {
        let expected = Run::parse(input)?.segment();
        if plan == [expected] {
            return Ok(());
        }
        let problem = format!("{plan:?} where one segment {expected:?} is right");
        Err(PlanError::Mismatch { index: 0, problem })
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
        self.check_plan(input, std::slice::from_ref(segment))?;
        let run = Run::parse(input)?;
        monitor.phase(Phase::Trace, 0, 1);
        let trace = run.trace();
        monitor.phase(Phase::Commit, 0, 1);
        self.prove_trace(&run, trace, binding, monitor)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        let envelope = self.0.open(proof, binding)?;
        let run = Run::decode(envelope.public_values)?;
        if binding.count != 1 {
            let detail = format!("one run for {} items", binding.count);
            return Err(Refusal::new(RefusalCode::WrongCount, detail));
        }
        let seed = self.0.seed(binding, envelope.public_values);
        let statement = Statement {
            table: &FibonacciTable,
            log_height: run.log_steps as usize,
            public_values: &run.values(),
            seed: &seed,
        };
        self.0.verified(proof, &envelope, run.segment().work_units, || {
            uni::verify(self.0.parameters(), &statement, envelope.proof)
        })
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        let [values] = public_values else {
            let detail = format!("{} segments, expected one", public_values.len());
            return Err(Refusal::new(RefusalCode::Coverage, detail));
        };
        Run::decode(values)?;
        Ok(claim_of(values))
    }
}

fn claim_of(public_values: &[u8]) -> Claim {
    let mut bytes = keccak256(CLAIM_TAG.as_bytes()).to_vec();
    bytes.extend_from_slice(public_values);
    Claim::from_bytes(keccak256(&bytes))
}

#[cfg(test)]
mod tests;
