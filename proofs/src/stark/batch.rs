//! Proving and verifying several tables tied by lookups (`p3-batch-stark`).
//!
//! The prover accepts a false trace without complaint; only the verifier says no, so whoever proves
//! must verify its own proof. The verifier learns nothing from the proof about the shape: tables,
//! heights, public values and preprocessed columns come from the caller, who derives them from the
//! public values, and a proof that states other heights is refused before any mathematics.

use p3_air::Air;
use p3_batch_stark::{
    BatchProof, BatchVerificationError, ProverData, StarkInstance, VerificationError, prove_batch,
    verify_batch,
};
use p3_fri::verifier::FriError;
use p3_lookup::InteractionSymbolicBuilder;
use p3_matrix::dense::RowMajorMatrix;
use p3_merkle_tree::MerkleTreeError;

use super::backend::{
    Challenge, Configuration, KeccakConfig, PoseidonConfig, Val, keccak_config, poseidon_config,
};
use super::parameters::{HashKind, Parameters};
use super::transcript::{Watch, run_watched};
use super::transform::WatchedDft;
use crate::program::{Monitor, Phase, ProveError};
use crate::refusal::{Refusal, RefusalCode};

/// A table that runs under both configurations, as prover and as verifier.
pub trait Table:
    Air<InteractionSymbolicBuilder<Val, Challenge>>
    + for<'a, 'm> Air<ProverFolder<'a, KeccakConfig<'m>>>
    + for<'a, 'm> Air<ProverFolder<'a, PoseidonConfig<'m>>>
    + for<'a, 'm> Air<VerifierFolder<'a, KeccakConfig<'m>>>
    + for<'a, 'm> Air<VerifierFolder<'a, PoseidonConfig<'m>>>
    + for<'a> Air<p3_air::DebugConstraintBuilder<'a, Val, Challenge>>
    + Clone
{
}

impl<A> Table for A where
    A: Air<InteractionSymbolicBuilder<Val, Challenge>>
        + for<'a, 'm> Air<ProverFolder<'a, KeccakConfig<'m>>>
        + for<'a, 'm> Air<ProverFolder<'a, PoseidonConfig<'m>>>
        + for<'a, 'm> Air<VerifierFolder<'a, KeccakConfig<'m>>>
        + for<'a, 'm> Air<VerifierFolder<'a, PoseidonConfig<'m>>>
        + for<'a> Air<p3_air::DebugConstraintBuilder<'a, Val, Challenge>>
        + Clone
{
}

type ProverFolder<'a, SC> = p3_batch_stark::folder::ProverConstraintFolderWithLookups<'a, SC>;
type VerifierFolder<'a, SC> = p3_batch_stark::folder::VerifierConstraintFolderWithLookups<'a, SC>;

/// What a batch proof is about: the tables with their public values, and the transcript's seed.
#[derive(Debug)]
pub struct Statement<'a, A> {
    /// The tables in commitment order; preprocessed columns are read from them.
    pub tables: &'a [A],
    /// Log2 of each table's height.
    pub log_heights: &'a [usize],
    /// Public values of each table.
    pub public_values: &'a [Vec<Val>],
    /// Digest of everything that the proof is bound to.
    pub seed: &'a [u8; 32],
}

/// Where the prover is after its commitments: main, preprocessed, lookup, quotient.
const PHASES: &[Phase] = &[Phase::Lookup, Phase::Lookup, Phase::Quotient, Phase::Open];

/// Proves the tables. The bytes are the canonical encoding that [`verify`] demands.
///
/// # Errors
/// [`ProveError::Cancelled`] if the monitor stopped it, [`ProveError::Backend`] otherwise.
pub fn prove<A: Table>(
    parameters: &Parameters,
    statement: &Statement<'_, A>,
    traces: &[RowMajorMatrix<Val>],
    monitor: &dyn Monitor,
) -> Result<Vec<u8>, ProveError> {
    let watch = Watch::new(monitor, PHASES);
    let proof = run_watched(|| match parameters.hash {
        HashKind::Keccak => {
            let config = keccak_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            prove_with(&config, statement, traces)
        }
        HashKind::Poseidon2 => {
            let config = poseidon_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            prove_with(&config, statement, traces)
        }
    });
    proof.unwrap_or(Err(ProveError::Cancelled))
}

/// Proves the tables under a configuration of the caller's, e.g. with another transform.
///
/// # Errors
/// [`ProveError::Backend`] names what failed.
///
/// # Panics
/// Unwinds if the configuration's monitor stops the proof; [`run_watched`] turns that into a value.
pub fn prove_with<SC, A>(
    config: &SC,
    statement: &Statement<'_, A>,
    traces: &[RowMajorMatrix<Val>],
) -> Result<Vec<u8>, ProveError>
where
    SC: Configuration,
    A: Air<InteractionSymbolicBuilder<Val, Challenge>>
        + for<'a> Air<ProverFolder<'a, SC>>
        + for<'a> Air<p3_air::DebugConstraintBuilder<'a, Val, Challenge>>
        + Clone,
{
    let backend =
        |phase: &str, problem: String| ProveError::Backend { phase: phase.to_owned(), problem };
    let data = ProverData::from_airs_and_degrees(config, statement.tables, statement.log_heights)
        .map_err(|error| backend("setup", format!("{error:?}")))?;
    let instances: Vec<_> = statement
        .tables
        .iter()
        .zip(traces)
        .zip(statement.public_values)
        .map(|((air, trace), values)| StarkInstance { air, trace, public_values: values.clone() })
        .collect();
    let proof = prove_batch(config, &instances, &data)
        .map_err(|error| backend("prove", format!("{error:?}")))?;
    postcard::to_allocvec(&proof).map_err(|error| backend("encode", error.to_string()))
}

/// Verifies a batch proof.
///
/// # Errors
/// A [`Refusal`] whose code separates encoding and shape from mathematics.
pub fn verify<A: Table>(
    parameters: &Parameters,
    statement: &Statement<'_, A>,
    proof: &[u8],
) -> Result<(), Refusal> {
    let watch = Watch::default();
    match parameters.hash {
        HashKind::Keccak => {
            let config = keccak_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            verify_with(&config, statement, proof)
        }
        HashKind::Poseidon2 => {
            let config = poseidon_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            verify_with(&config, statement, proof)
        }
    }
}

fn verify_with<SC, A>(
    config: &SC,
    statement: &Statement<'_, A>,
    bytes: &[u8],
) -> Result<(), Refusal>
where
    SC: Configuration + Sync,
    A: Air<InteractionSymbolicBuilder<Val, Challenge>> + for<'a> Air<VerifierFolder<'a, SC>> + Sync,
    BatchProof<SC>: Sync,
{
    let proof: BatchProof<SC> = decode(bytes)?;
    if proof.degree_bits != statement.log_heights {
        let detail = format!(
            "log heights are {:?}, the public values demand {:?}",
            proof.degree_bits, statement.log_heights
        );
        return Err(Refusal::new(RefusalCode::TableShape, detail));
    }
    let data = ProverData::from_airs_and_degrees(config, statement.tables, statement.log_heights)
        .map_err(|error| Refusal::new(RefusalCode::TableShape, format!("{error:?}")))?;
    // Neither needs the other, and the mathematics is one long chain of single steps.
    let (canonical, mathematics) = rayon::join(
        || check_canonical(&proof, bytes),
        || {
            let public_values = statement.public_values;
            verify_batch(config, statement.tables, &proof, public_values, &data.common)
                .map_err(refusal_of_batch)
        },
    );
    canonical.and(mathematics)
}

/// Decodes a value that takes all the bytes. Whether they are its one encoding is the question of
/// [`check_canonical`].
pub(super) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes)
        .map_err(|error| Refusal::new(RefusalCode::Encoding, error.to_string()))?;
    if !rest.is_empty() {
        let detail = format!("{} bytes follow the proof", rest.len());
        return Err(Refusal::new(RefusalCode::NotCanonical, detail));
    }
    Ok(value)
}

/// Insists that the bytes are the one canonical encoding of the value.
pub(super) fn check_canonical<T: serde::Serialize>(value: &T, bytes: &[u8]) -> Result<(), Refusal> {
    let again = postcard::to_allocvec(value)
        .map_err(|error| Refusal::new(RefusalCode::Encoding, error.to_string()))?;
    if again == bytes {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::NotCanonical, "the proof encodes differently"))
}

type PcsError = FriError<MerkleTreeError, MerkleTreeError>;

fn refusal_of_batch(error: BatchVerificationError<PcsError>) -> Refusal {
    match error {
        BatchVerificationError::Verification(error) => refusal_of(&error),
        BatchVerificationError::Lookup(error) => {
            Refusal::new(RefusalCode::Lookup, error.to_string())
        }
        BatchVerificationError::Transcript(error) => {
            Refusal::new(RefusalCode::ProofOfWork, error.to_string())
        }
    }
}

/// The refusal for an error of the STARK verifier.
pub(super) fn refusal_of(error: &VerificationError<PcsError>) -> Refusal {
    let code = match error {
        VerificationError::InvalidOpeningArgument(FriError::InvalidPowWitness(_)) => {
            RefusalCode::ProofOfWork
        }
        VerificationError::InvalidOpeningArgument(_) => RefusalCode::Opening,
        VerificationError::OodEvaluationMismatch { .. } => RefusalCode::Constraints,
        VerificationError::OodPointInDomain => RefusalCode::Constraints,
        _ => RefusalCode::TableShape,
    };
    Refusal::new(code, format!("{error:?}"))
}
