//! The canonical description of a table and the digest of a verifying key.
//!
//! A verifying key of an AIR program is what its tables demand: every symbolic constraint, the
//! widths, the number of public values, every lookup with its bus, direction, multiplicity and
//! bound, the rule for preprocessed columns, the allowed heights, and the parameters of the
//! commitment scheme and the transcript. Its digest is part of the program id, so changing any one
//! of them makes another program.

use p3_air::Air;
use p3_air::symbolic::{AirLayout, SymbolicExpressionExt};
use p3_batch_stark::symbolic::get_symbolic_constraints;
use p3_lookup::logup::LogUpGadget;
use p3_lookup::{InteractionSymbolicBuilder, Kind, Lookups};
use proofgrid_core::ids::VkDigest;

use super::backend::{Challenge, TRANSCRIPT_DOMAIN, Val};
use super::parameters::Parameters;
use crate::canonical::Description;
use crate::digest::keccak256;

/// Which prover runs the tables; the LogUp terms exist only for `Batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prover {
    /// `p3-batch-stark`: several tables tied by lookups.
    Batch,
    /// `p3-uni-stark`: one table.
    Uni,
}

/// One table as the verifying key sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableShape {
    /// Name, for people and for the digest.
    pub name: &'static str,
    /// Columns of the main trace.
    pub width: usize,
    /// Columns of the preprocessed trace.
    pub preprocessed_width: usize,
    /// Public values of the table.
    pub num_public_values: usize,
    /// Whether constraints read the next row of the main trace.
    pub reads_next_row: bool,
    /// Whether constraints read the next row of the preprocessed trace.
    pub reads_next_preprocessed_row: bool,
    /// Constraints over the base field and, from lookups, over the extension.
    pub num_constraints: usize,
    /// Largest constraint degree, lookups included.
    pub constraint_degree: usize,
    /// Lookup columns before packing; an upper bound on what is committed.
    pub num_lookups: usize,
    /// Messages on buses per row.
    pub num_interactions: usize,
    /// Field elements of the widest message.
    pub message_width: usize,
    /// Log2 of the largest allowed height.
    pub log_height_max: usize,
    /// Canonical bytes of constraints and lookups.
    constraints: Vec<u8>,
}

impl TableShape {
    /// Evaluates a table symbolically.
    ///
    /// # Panics
    /// If a symbolic expression cannot be encoded: they are trees of plain integers, so never.
    #[must_use]
    pub fn of<A>(name: &'static str, air: &A, log_height_max: usize) -> Self
    where
        A: Air<InteractionSymbolicBuilder<Val, Challenge>>,
        SymbolicExpressionExt<Val, Challenge>: p3_field::Algebra<Challenge>,
    {
        let lookups = Lookups::<Val>::from_air::<Challenge, A>(air);
        let layout = AirLayout::from_air(air);
        let (base, extension) =
            get_symbolic_constraints::<Val, Challenge, A, _>(air, layout, &lookups, &LogUpGadget);
        let degrees = base.iter().map(|c| c.degree_multiple());
        let constraint_degree =
            degrees.chain(extension.iter().map(|c| c.degree_multiple())).max().unwrap_or(0);

        let mut out = Description::default();
        out.size(base.len());
        for constraint in &base {
            out.bytes(&encode(constraint));
        }
        out.size(extension.len()).size(lookups.len());
        for lookup in lookups.iter() {
            match &lookup.kind {
                Kind::Local => out.text("local"),
                Kind::Global(bus) => out.text("global").text(bus),
            };
            out.bytes(&encode(lookup));
        }
        Self {
            name,
            width: air.width(),
            preprocessed_width: air.preprocessed_width(),
            num_public_values: air.num_public_values(),
            reads_next_row: !air.main_next_row_columns().is_empty(),
            reads_next_preprocessed_row: !air.preprocessed_next_row_columns().is_empty(),
            num_constraints: base.len() + extension.len(),
            constraint_degree,
            num_lookups: lookups.len(),
            num_interactions: lookups.iter().map(|l| l.elements.len()).sum(),
            message_width: lookups
                .iter()
                .flat_map(|l| l.elements.iter().map(Vec::len))
                .max()
                .unwrap_or(0),
            log_height_max,
            constraints: out.as_slice().to_vec(),
        }
    }

    fn describe(&self, out: &mut Description) {
        out.text(self.name);
        for number in [
            self.width,
            self.preprocessed_width,
            self.num_public_values,
            usize::from(self.reads_next_row),
            usize::from(self.reads_next_preprocessed_row),
            self.constraint_degree,
            self.log_height_max,
        ] {
            out.size(number);
        }
        out.bytes(&self.constraints);
    }
}

#[expect(clippy::expect_used, reason = "symbolic expressions are trees of integers and strings")]
fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data in memory always encodes")
}

/// Everything that a verifying key fixes.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    /// System name.
    pub system: &'static str,
    /// Which prover runs the tables.
    pub prover: Prover,
    /// Low-degree test, hash, grinding.
    pub parameters: Parameters,
    /// The tables in commitment order.
    pub tables: Vec<TableShape>,
    /// How heights follow from the public values, and what preprocessed columns hold. The text is
    /// the specification of code that the symbolic constraints do not cover.
    pub rules: &'static str,
}

impl VerifyingKey {
    /// The parameters' canonical bytes, the last part of the program id.
    #[must_use]
    pub fn parameters_bytes(&self) -> Vec<u8> {
        let mut out = Description::default();
        self.parameters.describe(&mut out);
        out.as_slice().to_vec()
    }

    /// The digest over everything in the key.
    #[must_use]
    pub fn digest(&self) -> VkDigest {
        let mut out = Description::default();
        out.text("PROOFGRID_VK_V1").text(self.system).text(TRANSCRIPT_DOMAIN);
        out.text(match self.prover {
            Prover::Batch => "p3-batch-stark 0.8.0, logup",
            Prover::Uni => "p3-uni-stark 0.8.0",
        });
        self.parameters.describe(&mut out);
        out.text(self.rules).size(self.tables.len());
        for table in &self.tables {
            table.describe(&mut out);
        }
        VkDigest::from_bytes(keccak256(out.as_slice()))
    }
}
