//! Plonky3 alone: the same field, hash, low-degree test and flags as the `standard` profile, with
//! Plonky3's own challenger and transform, no job binding, no envelope, no check.

use p3_batch_stark::{BatchProof, ProverData, StarkInstance, prove_batch};
use p3_challenger::{HashChallenger, SerializingChallenger32};
use p3_commit::ExtensionMmcs;
use p3_dft::Radix2DitParallel;
use p3_fri::{FriParameters, TwoAdicFriPcs};
use p3_keccak::{Keccak256Hash, KeccakF, VECTOR_LEN};
use p3_keccak_air::{KeccakAir, generate_trace_rows};
use p3_koala_bear::KoalaBear;
use p3_matrix::dense::RowMajorMatrix;
use p3_merkle_tree::MerkleTreeMmcs;
use p3_symmetric::{CompressionFunctionFromHasher, PaddingFreeSponge, SerializingHasher};
use p3_uni_stark::{Proof, StarkConfig};
use proofgrid_programs::keccak::planner::budget;
use proofgrid_programs::keccak::tables::KeccakTable;
use proofgrid_programs::keccak::{Digest, digest_of, input, trace};
use proofgrid_proofs::manifest::Profile;
use proofgrid_proofs::program::SegmentPlan;
use proofgrid_proofs::stark::backend::{Challenge, Val};
use proofgrid_proofs::stark::parameters::Parameters;
use rayon::{ThreadPool, ThreadPoolBuilder};

type Sponge = PaddingFreeSponge<KeccakF, 25, 17, 4>;
type Mmcs = MerkleTreeMmcs<
    [Val; VECTOR_LEN],
    [u64; VECTOR_LEN],
    SerializingHasher<Sponge>,
    CompressionFunctionFromHasher<Sponge, 2, 4>,
    2,
    4,
>;
type Challenger = SerializingChallenger32<Val, HashChallenger<u8, Keccak256Hash, 32>>;
type Pcs = TwoAdicFriPcs<Val, Radix2DitParallel<Val>, Mmcs, ExtensionMmcs<Val, Challenge, Mmcs>>;
/// The configuration of `standard`, without anything of ours.
pub type Config = StarkConfig<Pcs, Challenge, Challenger>;

/// The configuration with the numbers of `standard`.
#[must_use]
pub fn config() -> Config {
    let parameters = Parameters::of(Profile::Standard);
    let sponge = Sponge::new(KeccakF);
    let mmcs = Mmcs::new(
        SerializingHasher::new(sponge),
        CompressionFunctionFromHasher::new(sponge),
        parameters.log_cap,
    );
    let fri = FriParameters {
        log_blowup: parameters.log_blowup,
        log_final_poly_len: parameters.log_final_poly_len,
        max_log_arity: parameters.log_arity_max,
        num_queries: parameters.num_queries,
        batch_proof_of_work_bits: parameters.batch_pow_bits,
        commit_proof_of_work_bits: parameters.commit_pow_bits,
        query_proof_of_work_bits: parameters.query_pow_bits,
        mmcs: ExtensionMmcs::new(mmcs.clone()),
    };
    let pcs = Pcs::new(Radix2DitParallel::default(), mmcs, fri);
    StarkConfig::new(pcs, Challenger::from_hasher(Vec::new(), Keccak256Hash))
        .with_lookup_proof_of_work_bits(parameters.lookup_pow_bits)
        .with_ood_proof_of_work_bits(parameters.out_of_domain_pow_bits)
}

/// A pool like a proving slot's.
///
/// # Panics
/// If the system refuses the threads.
#[must_use]
pub fn pool(threads: usize) -> ThreadPool {
    #[expect(clippy::expect_used, reason = "a bench without threads has nothing to say")]
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool
}

/// The filled tables of one `keccak` segment.
#[derive(Debug, Clone)]
pub struct Segment {
    airs: [KeccakTable; 3],
    log_heights: [usize; 3],
    traces: [RowMajorMatrix<KoalaBear>; 3],
    public_values: [Vec<KoalaBear>; 3],
}

impl Segment {
    /// Fills the tables of a planned segment of an input.
    ///
    /// # Panics
    /// If the plan is not one of the input.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the bench made the plan from this input")]
    pub fn fill(text: &[u8], plan: &SegmentPlan) -> Self {
        let messages = input::parse(text).expect("a good input");
        let first = usize::try_from(plan.first).expect("an index");
        let count = usize::try_from(plan.count).expect("a count");
        let messages = messages.get(first..first + count).expect("a range of the input");
        let digests: Vec<Digest> = messages.iter().map(|message| digest_of(message)).collect();
        let blocks = trace::absorb(messages);
        let heights = trace::Heights::of(blocks.len(), digests.len()).expect("an allowed height");
        let [_, sponge, digest] = heights.log;
        let permutations = u32::try_from(blocks.len()).expect("below 2^32");
        Self {
            airs: KeccakTable::all(trace::digest_columns(&digests, digest)),
            log_heights: heights.log,
            traces: [
                trace::permutation_table(&blocks),
                trace::sponge_table(&blocks, sponge),
                trace::digest_table(digests.len(), digest),
            ],
            public_values: [vec![], vec![KoalaBear::new(permutations)], vec![]],
        }
    }

    /// Commits the preprocessed columns and proves: everything that Plonky3 itself has to do for
    /// this statement.
    ///
    /// # Panics
    /// If Plonky3 refuses its own prover data.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bench without a proof has nothing to say")]
    pub fn prove(&self) -> BatchProof<Config> {
        let config = config();
        let data = ProverData::from_airs_and_degrees(&config, &self.airs, &self.log_heights)
            .expect("setup");
        let tables = self.airs.iter().zip(&self.traces).zip(&self.public_values);
        let instances: Vec<_> = tables
            .map(|((air, trace), values)| StarkInstance {
                air,
                trace,
                public_values: values.clone(),
            })
            .collect();
        prove_batch(&config, &instances, &data).expect("a proof")
    }
}

/// A full trace of the Keccak AIR alone at a height: fixed states, no messages, no lookups.
#[must_use]
pub fn air_trace(log_height: u8) -> RowMajorMatrix<KoalaBear> {
    let parameters = Parameters::of(Profile::Standard);
    let num_states = budget(usize::from(log_height)) as u64;
    let state = |seed: u64| {
        std::array::from_fn(|lane| {
            (seed * 25 + lane as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    };
    generate_trace_rows((0..num_states).map(state).collect(), parameters.log_blowup)
}

/// Proves the Keccak AIR alone.
///
/// # Panics
/// If Plonky3 refuses the trace.
#[must_use]
#[expect(clippy::expect_used, reason = "a bench without a proof has nothing to say")]
pub fn prove_air(trace: RowMajorMatrix<KoalaBear>) -> Proof<Config> {
    p3_uni_stark::prove(&config(), &KeccakAir {}, trace, &[]).expect("a proof")
}
