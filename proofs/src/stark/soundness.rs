//! Conjectured and proven bits of a verifying key, computed from its real tables.
//!
//! The figures come from `p3-security`: air composition, out-of-domain point, batching, low-degree
//! test in the better of two proximity regimes, LogUp, and the collision cap. Every count that
//! depends on heights is taken at the largest allowed height, for all tables at once, so the real
//! error of any admitted proof is smaller.

use p3_batch_stark::num_batched_openings;
use p3_field::BasedVectorSpace;
use p3_security::fri::FriRegime;
use p3_security::grinding::GrindingSites;
use p3_security::logup::{self, LogUpAir};
use p3_security::shape::{InstanceShape, StarkAirParams};
use p3_security::stark::{conjectured_security_report, proven_security_report};
use p3_uni_stark::OpeningShape;

use super::backend::{CHALLENGE_BITS, Challenge, Val};
use super::constraints::VerifyingKey;

/// Security of a verifying key in bits, with the term that limits each figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Soundness {
    /// Bits without any conjecture about the low-degree test.
    pub proven_bits: f64,
    /// The term that limits `proven_bits`.
    pub proven_binding: &'static str,
    /// Bits under the random-words conjecture.
    pub conjectured_bits: f64,
    /// The term that limits `conjectured_bits`.
    pub conjectured_binding: &'static str,
    /// Bits of the LogUp term alone; `None` without lookups.
    pub logup_bits: Option<f64>,
}

impl Soundness {
    /// Computes the figures of a key.
    #[must_use]
    pub fn of(key: &VerifyingKey) -> Self {
        let parameters = &key.parameters;
        let regime = FriRegime {
            log_blowup: parameters.log_blowup,
            num_queries: parameters.num_queries,
            log_final_poly_len: parameters.log_final_poly_len,
            max_log_arity: parameters.log_arity_max,
            commit_pow_bits: parameters.commit_pow_bits,
            query_pow_bits: parameters.query_pow_bits,
        };
        let grinding = GrindingSites {
            batch_combination: parameters.batch_pow_bits,
            out_of_domain: parameters.out_of_domain_pow_bits,
            lookup_challenge: parameters.lookup_pow_bits,
        };
        let shape = InstanceShape {
            log_trace_length: key.tables.iter().map(|t| t.log_height_max).max().unwrap_or(0),
            modulus_bits: CHALLENGE_BITS,
            collision_resistance: parameters.hash.collision_bits(),
            num_batched_functions: num_batched_functions(key),
        };
        let air = StarkAirParams {
            num_constraints: key.tables.iter().map(|t| t.num_constraints).sum(),
            max_constraint_degree: constraint_degree(key),
            num_quotient_chunks: num_quotient_chunks(key),
            max_combo: 2,
        };
        let lookups = LogUpAir {
            num_interactions: key.tables.iter().map(|t| t.num_interactions).sum(),
            max_message_width: key.tables.iter().map(|t| t.message_width).max().unwrap_or(0),
        };
        let logup = logup::security_term(&lookups, &shape, &grinding);
        let extras: Vec<_> = logup.into_iter().collect();
        let proven = proven_security_report(&regime, &air, &shape, &extras, &grinding);
        let conjectured = conjectured_security_report(&regime, &air, &shape, &extras, &grinding);
        Self {
            proven_bits: proven.security_bits(),
            proven_binding: proven.binding().1.label,
            conjectured_bits: conjectured.security_bits(),
            conjectured_binding: conjectured.binding().label,
            logup_bits: logup.map(|term| term.bits.bits()),
        }
    }

    /// A figure as a manifest states it: whole bits, rounded down.
    #[must_use]
    pub fn whole_bits(bits: f64) -> u16 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range of u16 before the conversion"
        )]
        let whole = bits.floor().clamp(0.0, f64::from(u16::MAX)) as u16;
        whole
    }
}

fn constraint_degree(key: &VerifyingKey) -> usize {
    key.tables.iter().map(|t| t.constraint_degree).max().unwrap_or(0).max(2)
}

/// Quotient chunks of the table with the largest degree.
fn num_quotient_chunks(key: &VerifyingKey) -> usize {
    (constraint_degree(key) - 1).next_power_of_two()
}

/// Powers of the batching challenge over all tables, every table counted with the most chunks.
fn num_batched_functions(key: &VerifyingKey) -> usize {
    let chunks = num_quotient_chunks(key);
    key.tables
        .iter()
        .map(|table| {
            num_batched_openings(
                table.width,
                table.reads_next_row,
                table.preprocessed_width,
                table.reads_next_preprocessed_row,
                chunks,
                table.num_lookups,
                <Challenge as BasedVectorSpace<Val>>::DIMENSION,
                OpeningShape::new(),
            )
        })
        .sum()
}
