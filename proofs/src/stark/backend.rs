//! The two hash backends as one generic configuration.

use p3_challenger::{CanObserve, DuplexChallenger, GrindingChallenger, SerializingChallenger32};
use p3_commit::ExtensionMmcs;
use p3_field::coset::TwoAdicMultiplicativeCoset;
use p3_field::extension::QuinticTrinomialExtensionField;
use p3_field::{Field, PrimeCharacteristicRing};
use p3_fri::verifier::FriError;
use p3_fri::{FriParameters, FriProverError, TwoAdicFriPcs};
use p3_keccak::{KeccakF, VECTOR_LEN};
use p3_koala_bear::{KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon2_16};
use p3_merkle_tree::{MerkleTreeError, MerkleTreeMmcs};
use p3_symmetric::{
    CompressionFunctionFromHasher, PaddingFreeSponge, SerializingHasher, TruncatedPermutation,
};
use p3_uni_stark::{StarkConfig, StarkGenericConfig};

use super::parameters::Parameters;
use super::transcript::{OrderedBytes, Transcript, Watch};
use super::transform::WatchedDft;
use crate::digest::keccak256;

/// The base field.
pub type Val = KoalaBear;
/// The field of challenges, 155 bits.
pub type Challenge = QuinticTrinomialExtensionField<KoalaBear>;
/// Bits of the challenge field, rounded down: `5 * log2(2^31 - 2^24 + 1) = 154.94`.
pub const CHALLENGE_BITS: usize = 154;

type Pcs<Dft, Mmcs> = TwoAdicFriPcs<Val, Dft, Mmcs, ExtensionMmcs<Val, Challenge, Mmcs>>;

type KeccakSponge = PaddingFreeSponge<KeccakF, 25, 17, 4>;
type KeccakMmcs = MerkleTreeMmcs<
    [Val; VECTOR_LEN],
    [u64; VECTOR_LEN],
    SerializingHasher<KeccakSponge>,
    CompressionFunctionFromHasher<KeccakSponge, 2, 4>,
    2,
    4,
>;
type KeccakChallenger<'m> = SerializingChallenger32<Val, OrderedBytes<'m>>;

type Permutation = Poseidon2KoalaBear<16>;
type PoseidonMmcs = MerkleTreeMmcs<
    <Val as Field>::Packing,
    <Val as Field>::Packing,
    PaddingFreeSponge<Permutation, 16, 8, 8>,
    TruncatedPermutation<Permutation, 2, 8, 16>,
    2,
    8,
>;
type PoseidonChallenger = DuplexChallenger<Val, Permutation, 16, 8>;

/// The configuration with Keccak commitments and transcript.
pub type KeccakConfig<'m, Dft = WatchedDft<'m, Val>> =
    StarkConfig<Pcs<Dft, KeccakMmcs>, Challenge, Transcript<'m, KeccakChallenger<'m>>>;
/// The configuration with Poseidon2 commitments and transcript.
pub type PoseidonConfig<'m, Dft = WatchedDft<'m, Val>> =
    StarkConfig<Pcs<Dft, PoseidonMmcs>, Challenge, Transcript<'m, PoseidonChallenger>>;

/// Everything that the provers need to know about a configuration; both of ours have it.
pub trait Configuration:
    StarkGenericConfig<
        Challenge = Challenge,
        Challenger: GrindingChallenger<Witness = Val>,
        Pcs: p3_commit::UnivariateStarkPcs<
            Challenge,
            <Self as StarkGenericConfig>::Challenger,
            Domain = TwoAdicMultiplicativeCoset<Val>,
            Commitment: Sync,
            ProverData: Sync,
            Error = FriError<MerkleTreeError, MerkleTreeError>,
            ProverError = FriProverError,
        > + Sync,
    >
{
}

impl<T> Configuration for T where
    T: StarkGenericConfig<
            Challenge = Challenge,
            Challenger: GrindingChallenger<Witness = Val>,
            Pcs: p3_commit::UnivariateStarkPcs<
                Challenge,
                <T as StarkGenericConfig>::Challenger,
                Domain = TwoAdicMultiplicativeCoset<Val>,
                Commitment: Sync,
                ProverData: Sync,
                Error = FriError<MerkleTreeError, MerkleTreeError>,
                ProverError = FriProverError,
            > + Sync,
        >
{
}

/// First bytes of every transcript; a new version of the seed's layout takes a new name.
pub const TRANSCRIPT_DOMAIN: &str = "PROOFGRID_TRANSCRIPT_V1";

/// The configuration with Keccak. `seed` is the digest of everything that the proof is bound to. The
/// transform is the caller's: it decides how fast a proof is made and never which proofs are valid.
#[must_use]
pub fn keccak_config<'m, Dft: Clone>(
    parameters: &Parameters,
    seed: &[u8; 32],
    watch: Watch<'m>,
    dft: Dft,
) -> KeccakConfig<'m, Dft> {
    let sponge = KeccakSponge::new(KeccakF);
    let mmcs = KeccakMmcs::new(
        SerializingHasher::new(sponge),
        CompressionFunctionFromHasher::new(sponge),
        parameters.log_cap,
    );
    let mut start = TRANSCRIPT_DOMAIN.as_bytes().to_vec();
    start.extend_from_slice(seed);
    let challenger = KeccakChallenger::new(OrderedBytes::new(start, watch));
    config(parameters, mmcs, challenger, watch, dft)
}

/// The configuration with Poseidon2. The seed enters as 16-bit elements, low byte first.
#[must_use]
pub fn poseidon_config<'m, Dft: Clone>(
    parameters: &Parameters,
    seed: &[u8; 32],
    watch: Watch<'m>,
    dft: Dft,
) -> PoseidonConfig<'m, Dft> {
    let permutation = default_koalabear_poseidon2_16();
    let mmcs = PoseidonMmcs::new(
        PaddingFreeSponge::new(permutation.clone()),
        TruncatedPermutation::new(permutation.clone()),
        parameters.log_cap,
    );
    let mut challenger = PoseidonChallenger::new(permutation);
    let domain = keccak256(TRANSCRIPT_DOMAIN.as_bytes());
    for pair in domain.as_chunks::<2>().0.iter().chain(seed.as_chunks::<2>().0) {
        challenger.observe(Val::from_u16(u16::from_le_bytes(*pair)));
    }
    config(parameters, mmcs, challenger, watch, dft)
}

fn config<'m, Dft, Mmcs, C>(
    parameters: &Parameters,
    mmcs: Mmcs,
    challenger: C,
    watch: Watch<'m>,
    dft: Dft,
) -> StarkConfig<Pcs<Dft, Mmcs>, Challenge, Transcript<'m, C>>
where
    Mmcs: p3_commit::Mmcs<Val> + Clone,
    C: Clone,
    Dft: Clone,
{
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
    let pcs = TwoAdicFriPcs::new(dft, mmcs, fri);
    StarkConfig::new(pcs, Transcript::new(challenger, watch))
        .with_lookup_proof_of_work_bits(parameters.lookup_pow_bits)
        .with_ood_proof_of_work_bits(parameters.out_of_domain_pow_bits)
}
