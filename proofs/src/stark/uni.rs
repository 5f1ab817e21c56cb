//! Proving and verifying one table (`p3-uni-stark`).
//!
//! The same contract as [`batch`](super::batch): the prover accepts a false trace, the verifier
//! takes the height from its caller.

use p3_air::symbolic::SymbolicAirBuilder;
use p3_air::{Air, DebugConstraintBuilder};
use p3_matrix::dense::RowMajorMatrix;
use p3_uni_stark::{Proof, QuotientAir, VerifierConstraintFolder};

use super::backend::{
    Configuration, KeccakConfig, PoseidonConfig, Val, keccak_config, poseidon_config,
};
use super::batch::{check_canonical, decode, refusal_of};
use super::parameters::{HashKind, Parameters};
use super::transcript::{Watch, run_watched};
use super::transform::WatchedDft;
use crate::program::{Monitor, Phase, ProveError};
use crate::refusal::{Refusal, RefusalCode};

/// A single table that runs under both configurations, as prover and as verifier.
pub trait SoleTable:
    for<'m> QuotientAir<KeccakConfig<'m>>
    + for<'m> QuotientAir<PoseidonConfig<'m>>
    + for<'a, 'm> Air<VerifierConstraintFolder<'a, KeccakConfig<'m>>>
    + for<'a, 'm> Air<VerifierConstraintFolder<'a, PoseidonConfig<'m>>>
    + for<'a> Air<DebugConstraintBuilder<'a, Val>>
    + Air<SymbolicAirBuilder<Val>>
{
}

impl<A> SoleTable for A where
    A: for<'m> QuotientAir<KeccakConfig<'m>>
        + for<'m> QuotientAir<PoseidonConfig<'m>>
        + for<'a, 'm> Air<VerifierConstraintFolder<'a, KeccakConfig<'m>>>
        + for<'a, 'm> Air<VerifierConstraintFolder<'a, PoseidonConfig<'m>>>
        + for<'a> Air<DebugConstraintBuilder<'a, Val>>
        + Air<SymbolicAirBuilder<Val>>
{
}

/// What a proof is about.
#[derive(Debug)]
pub struct Statement<'a, A> {
    /// The table.
    pub table: &'a A,
    /// Log2 of its height.
    pub log_height: usize,
    /// Its public values.
    pub public_values: &'a [Val],
    /// Digest of everything that the proof is bound to.
    pub seed: &'a [u8; 32],
}

/// Where the prover is after its commitments: trace, quotient.
const PHASES: &[Phase] = &[Phase::Quotient, Phase::Open];

/// Proves the table.
///
/// # Errors
/// [`ProveError::Cancelled`] if the monitor stopped it, [`ProveError::Backend`] otherwise.
pub fn prove<A: SoleTable>(
    parameters: &Parameters,
    statement: &Statement<'_, A>,
    trace: RowMajorMatrix<Val>,
    monitor: &dyn Monitor,
) -> Result<Vec<u8>, ProveError> {
    let watch = Watch::new(monitor, PHASES);
    let proof = run_watched(|| match parameters.hash {
        HashKind::Keccak => {
            let config = keccak_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            prove_with(&config, statement, trace)
        }
        HashKind::Poseidon2 => {
            let config = poseidon_config(parameters, statement.seed, watch, WatchedDft::new(watch));
            prove_with(&config, statement, trace)
        }
    });
    proof.unwrap_or(Err(ProveError::Cancelled))
}

fn prove_with<SC, A>(
    config: &SC,
    statement: &Statement<'_, A>,
    trace: RowMajorMatrix<Val>,
) -> Result<Vec<u8>, ProveError>
where
    SC: Configuration,
    A: QuotientAir<SC> + for<'a> Air<DebugConstraintBuilder<'a, Val>>,
{
    let proof =
        p3_uni_stark::prove(config, statement.table, trace, statement.public_values).map_err(
            |error| ProveError::Backend { phase: "prove".into(), problem: format!("{error:?}") },
        )?;
    postcard::to_allocvec(&proof)
        .map_err(|error| ProveError::Backend { phase: "encode".into(), problem: error.to_string() })
}

/// Verifies a proof of one table.
///
/// # Errors
/// A [`Refusal`] whose code separates encoding and shape from mathematics.
pub fn verify<A: SoleTable>(
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
    SC: Configuration,
    A: Air<SymbolicAirBuilder<Val>> + for<'a> Air<VerifierConstraintFolder<'a, SC>>,
{
    let proof: Proof<SC> = decode(bytes)?;
    check_canonical(&proof, bytes)?;
    if proof.degree_bits != statement.log_height {
        let detail = format!(
            "log height is {}, the public values demand {}",
            proof.degree_bits, statement.log_height
        );
        return Err(Refusal::new(RefusalCode::TableShape, detail));
    }
    p3_uni_stark::verify(config, statement.table, &proof, statement.public_values)
        .map_err(|error| refusal_of(&error))
}
