//! Every constraint of every table, lookups included, is enforced by the verifier.
//!
//! Constraints are numbered in order of evaluation, as the verifying key counts them. For each of
//! them a changed witness cell is looked for that violates it (p3's own checker says which ones a
//! change violates), the changed tables are proved, and `verify` must name the table and refuse. A
//! constraint that no lie violates, or one that the verifying key does not count, fails the test.
//!
//! Thousands of proofs are affordable because a violated constraint shows at the out-of-domain point,
//! whatever the number of queries: the program here is the real one with one query and no grinding.
//! Every lie is proved alone with one of the two hashes, in turn, and together with others with the
//! other hash, so that either hash sees every constraint violated. A sample is proved with the full
//! parameters, and so is every lie in `forgery`. One to two minutes of two cores.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use p3_air::{Air, BaseAir, DebugConstraintBuilder, check_all_constraints};
use p3_dft::{Radix2DitParallel, TwoAdicSubgroupDft};
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_koala_bear::KoalaBear;
use p3_lookup::logup::LogUpGadget;
use p3_lookup::{LookupProtocol, Lookups};
use p3_matrix::Matrix;
use p3_matrix::dense::{RowMajorMatrix, RowMajorMatrixView};
use p3_matrix::stack::ViewPair;
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proofs::stark::backend::{Challenge, keccak_config, poseidon_config};
use proofgrid_proofs::stark::batch;
use proofgrid_proofs::stark::parameters::HashKind;
use proofgrid_proofs::stark::transcript::Watch;
use rayon::prelude::*;

use super::*;
use crate::keccak::program::{airs, instance_values, table_shapes, verifying_key};
use crate::keccak::tables::KeccakTable;

/// Every so many proofs are made with the parameters of the profile too.
const SAMPLE: usize = 400;
/// Lies in one proof of those that are proved together.
const TOGETHER: usize = 16;
/// Columns of the extension field's elements.
const DIMENSION: usize = <Challenge as BasedVectorSpace<KoalaBear>>::DIMENSION;

/// The real program but for queries and grinding.
fn one_query(profile: Profile) -> KeccakProgram {
    let mut key = verifying_key(profile);
    key.parameters.num_queries = 1;
    key.parameters.batch_pow_bits = 0;
    key.parameters.query_pow_bits = 0;
    KeccakProgram::of_key(&format!("one query, {profile:?}"), profile, &key)
}

/// One changed witness cell.
#[derive(Debug, Clone)]
struct Lie {
    row: usize,
    column: usize,
    change: KoalaBear,
    /// The constraints that it violates.
    violated: BTreeSet<usize>,
}

/// A table with its honest witness.
struct Witness<'a> {
    table: &'a KeccakTable,
    rows: &'a RowMajorMatrix<KoalaBear>,
    preprocessed: Option<RowMajorMatrix<KoalaBear>>,
    values: &'a [KoalaBear],
}

fn row(matrix: &RowMajorMatrix<KoalaBear>, number: usize) -> &[KoalaBear] {
    &matrix.values[number * matrix.width..(number + 1) * matrix.width]
}

fn pair<'a, T: Clone + Send + Sync>(local: &'a [T], next: &'a [T]) -> ViewPair<'a, T> {
    ViewPair::new(RowMajorMatrixView::new_row(local), RowMajorMatrixView::new_row(next))
}

impl Witness<'_> {
    fn height(&self) -> usize {
        self.rows.height()
    }

    /// The preprocessed row, empty for a table without one.
    fn preprocessed(&self, number: usize) -> &[KoalaBear] {
        self.preprocessed.as_ref().map_or(&[], |matrix| row(matrix, number))
    }

    /// The constraints that fail from `number` to the row after it.
    fn failures(&self, number: usize, local: &[KoalaBear], next: &[KoalaBear]) -> Vec<usize> {
        let last = self.height() - 1;
        let after = if number == last { 0 } else { number + 1 };
        let mut builder = DebugConstraintBuilder::<KoalaBear>::new(
            number,
            pair(local, next),
            pair(self.preprocessed(number), self.preprocessed(after)),
            self.values,
            KoalaBear::from_bool(number == 0),
            KoalaBear::from_bool(number == last),
            KoalaBear::from_bool(number != last),
            &[],
        );
        self.table.eval(&mut builder);
        builder.into_failures().iter().map(|failure| failure.constraint).collect()
    }

    /// The constraints that these changes violate; only its own row and the one before it read a cell.
    fn violated(&self, lies: &[&Lie]) -> BTreeSet<usize> {
        let height = self.height();
        let changed = |number: usize| {
            let mut cells = row(self.rows, number).to_vec();
            for lie in lies.iter().filter(|lie| lie.row == number) {
                cells[lie.column] += lie.change;
            }
            cells
        };
        let readers = lies.iter().flat_map(|lie| [lie.row, (lie.row + height - 1) % height]);
        let failures = |number: usize| {
            self.failures(number, &changed(number), &changed((number + 1) % height))
        };
        readers.collect::<BTreeSet<_>>().into_iter().flat_map(failures).collect()
    }

    /// Every cell of these rows changed by 5, which leaves no bit, and to the other bit.
    fn candidates(&self, rows: &[usize]) -> Vec<Lie> {
        let cells: Vec<(usize, usize)> =
            rows.iter().flat_map(|r| (0..self.rows.width).map(|c| (*r, c))).collect();
        let of_cell = |(number, column): (usize, usize)| {
            let other_bit = KoalaBear::ONE - row(self.rows, number)[column].double();
            [KoalaBear::from_u8(5), other_bit].map(|change| {
                let lie = Lie { row: number, column, change, violated: BTreeSet::new() };
                Lie { violated: self.violated(&[&lie]), ..lie }
            })
        };
        cells.into_par_iter().flat_map_iter(of_cell).collect()
    }
}

/// For each of the constraints the lie that violates it and the fewest others; lies that an earlier
/// constraint needs anyway are not repeated.
fn cover(candidates: &[Lie], constraints: std::ops::Range<usize>) -> Vec<Lie> {
    let mut missing: BTreeSet<usize> = constraints.clone().collect();
    let mut chosen: Vec<Lie> = Vec::new();
    let mut best: Vec<Option<&Lie>> = vec![None; constraints.end];
    for lie in candidates {
        for constraint in &lie.violated {
            assert!(constraints.contains(constraint), "{constraint} is not in {constraints:?}");
            let held = &mut best[*constraint];
            if held.is_none_or(|held| lie.violated.len() < held.violated.len()) {
                *held = Some(lie);
            }
        }
    }
    for constraint in constraints {
        if let (true, Some(lie)) = (missing.contains(&constraint), best[constraint]) {
            missing.retain(|other| !lie.violated.contains(other));
            chosen.push(lie.clone());
        }
    }
    assert_eq!(missing, BTreeSet::new(), "nothing violates these constraints");
    chosen
}

/// One segment's honest tables and what they are bound to.
struct Honest {
    tables: Tables,
    airs: [KeccakTable; 3],
    values: [Vec<KoalaBear>; 3],
    segment: SegmentPlan,
}

impl Honest {
    fn of(messages: &[Vec<u8>]) -> Self {
        let program = KeccakProgram::new(Profile::Standard);
        let tables = program.tables(messages).expect("fits");
        let airs = airs(&tables.public_values, &tables.heights);
        let values = instance_values(&tables.public_values);
        Self { tables, airs, values, segment: one_segment(&program, messages) }
    }

    fn witness(&self, table: usize) -> Witness<'_> {
        Witness {
            table: &self.airs[table],
            rows: &self.tables.traces[table],
            preprocessed: self.airs[table].preprocessed_trace(),
            values: &self.values[table],
        }
    }

    /// The constraints of a table that need no lookup columns; the verifying key counts these first.
    fn base_constraints(&self, table: usize) -> usize {
        let Witness { table: air, rows, values, .. } = self.witness(table);
        let report = check_all_constraints(air, rows, values, None);
        assert!(report.is_ok(), "the honest table is valid: {:?}", report.failures);
        report.total_constraints_per_row
    }

    /// Proves these lies in one table, and has the proof refused for that table.
    fn assert_refused(&self, program: &KeccakProgram, table: usize, lies: &[&Lie]) {
        let binding = binding(program, &self.segment);
        let mut tables = self.tables.clone();
        let trace = &mut tables.traces[table];
        for lie in lies {
            trace.values[lie.row * trace.width + lie.column] += lie.change;
        }
        let proof = prove(program, &tables, &binding);
        let what = format!("{} {} {lies:?}", program.name(), KeccakTable::NAMES[table]);
        let refusal = program.verify(&proof.bytes, &binding).expect_err(&what);
        assert_names_the_table(&refusal, table, &what);
    }
}

/// The refusal of a proof whose constraints in one table do not hold, and nothing else is wrong.
fn assert_names_the_table(refusal: &Refusal, table: usize, what: &str) {
    assert_eq!(refusal.code(), RefusalCode::Constraints, "{what}: {refusal}");
    let detail = format!("OodEvaluationMismatch {{ index: Some({table}) }}");
    assert_eq!(refusal.detail(), detail, "{what}");
}

/// Finds a lie for every constraint of a table and has every one refused, with both hashes.
fn assert_enforced(table: usize, honest: &Honest, rows: &[usize]) {
    let constraints = honest.base_constraints(table);
    let witness = honest.witness(table);
    let lies = cover(&witness.candidates(rows), 0..constraints);
    for (turn, profile) in PROVEN.into_iter().enumerate() {
        let (quick, full) = (one_query(profile), KeccakProgram::new(profile));
        let of_turn = |(number, _): &(usize, &Lie)| number % PROVEN.len() == turn;
        let (alone, rest): (Vec<_>, Vec<_>) = lies.iter().enumerate().partition(of_turn);
        let mut proofs: Vec<Vec<&Lie>> = alone.into_iter().map(|(_, lie)| vec![lie]).collect();
        let rest: Vec<&Lie> = rest.into_iter().map(|(_, lie)| lie).collect();
        for lies in rest.chunks(TOGETHER) {
            // Changes may undo each other, e.g. a flag that a constraint depends on; then alone too.
            let violated = witness.violated(lies);
            if lies.iter().all(|lie| lie.violated.is_subset(&violated)) {
                proofs.push(lies.to_vec());
            } else {
                proofs.extend(lies.iter().map(|lie| vec![*lie]));
            }
        }
        let violated: BTreeSet<usize> =
            proofs.iter().flat_map(|lies| witness.violated(lies)).collect();
        assert_eq!(violated.len(), constraints, "{profile:?} sees every constraint violated");
        proofs.par_iter().enumerate().for_each(|(number, lies)| {
            honest.assert_refused(&quick, table, lies);
            if number % SAMPLE == 0 {
                honest.assert_refused(&full, table, lies);
            }
        });
    }
}

#[test]
fn the_program_of_these_tests_accepts_honest_tables() {
    for profile in PROVEN {
        let program = one_query(profile);
        let (tables, binding) = tables(&program);
        let proof = prove(&program, &tables, &binding);
        program.verify(&proof.bytes, &binding).expect("an honest proof");
    }
}

#[test]
fn every_constraint_of_the_permutation_table_is_enforced() {
    // Rows within, at the start of, before and at the end of a permutation, and the table's last.
    assert_enforced(0, &Honest::of(&[vec![1, 2, 3]]), &[3, 0, 22, 23, 31]);
}

#[test]
fn every_constraint_of_the_sponge_table_is_enforced() {
    // Two blocks of one message, then two unused rows.
    assert_enforced(1, &Honest::of(&[(0..=136).collect()]), &[0, 1, 2, 3]);
}

#[test]
fn every_constraint_of_the_digest_table_is_enforced() {
    // One digest, one unused row.
    assert_enforced(2, &Honest::of(&[vec![1, 2, 3]]), &[0, 1]);
}

/// A transform that changes one cell of one matrix before it is committed: what a prover would do to
/// lie in the columns that carry the lookups, which it fills itself.
#[derive(Clone, Default)]
struct Lying {
    inner: Radix2DitParallel<KoalaBear>,
    /// Width and height of the matrix.
    shape: (usize, usize),
    cell: usize,
    told: Arc<AtomicBool>,
}

impl TwoAdicSubgroupDft<KoalaBear> for Lying {
    type Evaluations = <Radix2DitParallel<KoalaBear> as TwoAdicSubgroupDft<KoalaBear>>::Evaluations;

    fn dft_batch(&self, mat: RowMajorMatrix<KoalaBear>) -> Self::Evaluations {
        self.inner.dft_batch(mat)
    }

    fn coset_lde_batch(
        &self,
        mut mat: RowMajorMatrix<KoalaBear>,
        added_bits: usize,
        shift: KoalaBear,
    ) -> Self::Evaluations {
        if (mat.width, mat.height()) == self.shape {
            assert!(!self.told.swap(true, Ordering::Relaxed), "two matrices of one shape");
            mat.values[self.cell] += KoalaBear::ONE;
        }
        self.inner.coset_lde_batch(mat, added_bits, shift)
    }
}

/// The lookup columns of an honest table, under challenges of our own.
struct LookupWitness<'a> {
    witness: Witness<'a>,
    lookups: Lookups<KoalaBear>,
    challenges: Vec<Challenge>,
    columns: RowMajorMatrix<Challenge>,
    terminal: Challenge,
}

impl<'a> LookupWitness<'a> {
    fn of(witness: Witness<'a>) -> Self {
        let lookups = Lookups::from_air::<Challenge, _>(witness.table);
        let packed = lookups.clone().pack_same_bus(&LogUpGadget, 3);
        assert_eq!(packed.len(), lookups.len(), "the prover shares no column between two buses");
        let challenges: Vec<Challenge> = (0..2 * lookups.len())
            .map(|number| {
                Challenge::from_basis_coefficients_fn(|i| {
                    KoalaBear::from_usize(1_000_003 * (number + 1) + 7919 * i)
                })
            })
            .collect();
        let (columns, terminal) = LogUpGadget.generate_permutation::<KoalaBear, Challenge>(
            witness.rows,
            &witness.preprocessed,
            witness.values,
            &lookups,
            &challenges,
        );
        let terminal = terminal.expect("every table has lookups").0;
        Self { witness, lookups, challenges, columns, terminal }
    }

    /// Every constraint that fails with these lookup columns.
    fn failures(&self, columns: &RowMajorMatrix<Challenge>) -> BTreeSet<usize> {
        let height = self.witness.height();
        let extended =
            |number: usize| &columns.values[number * columns.width..(number + 1) * columns.width];
        let of_row = |number: usize| {
            let after = (number + 1) % height;
            let terminal = [self.terminal];
            let mut builder = DebugConstraintBuilder::<KoalaBear, Challenge>::new_with_permutation(
                number,
                pair(row(self.witness.rows, number), row(self.witness.rows, after)),
                pair(self.witness.preprocessed(number), self.witness.preprocessed(after)),
                self.witness.values,
                KoalaBear::from_bool(number == 0),
                KoalaBear::from_bool(number + 1 == height),
                KoalaBear::from_bool(number + 1 != height),
                pair(extended(number), extended(after)),
                &self.challenges,
                &terminal,
                &[],
            );
            LogUpGadget.eval_air_and_lookups(self.witness.table, &mut builder, &self.lookups);
            builder.into_failures()
        };
        (0..height).flat_map(of_row).map(|failure| failure.constraint).collect()
    }

    /// Every lookup cell of the first, a middle and the last row changed by 1.
    fn candidates(&self) -> Vec<Lie> {
        assert_eq!(self.failures(&self.columns), BTreeSet::new(), "the honest columns are valid");
        let height = self.witness.height();
        let rows = BTreeSet::from([0, height / 2, height - 1]);
        let cells = rows.iter().flat_map(|r| (0..self.columns.width).map(|c| (*r, c)));
        let lie = |(row, column): (usize, usize)| {
            let mut changed = self.columns.clone();
            changed.values[row * changed.width + column] += Challenge::ONE;
            Lie { row, column, change: KoalaBear::ONE, violated: self.failures(&changed) }
        };
        cells.map(lie).collect()
    }
}

/// Proves honest tables with one changed cell in the lookup columns of one of them.
fn prove_lookup_lie(
    program: &KeccakProgram,
    honest: &Honest,
    table: usize,
    width: usize,
    lie: &Lie,
) -> Vec<u8> {
    let told = Arc::new(AtomicBool::new(false));
    let dft = Lying {
        inner: Radix2DitParallel::default(),
        shape: (width * DIMENSION, honest.witness(table).height()),
        cell: (lie.row * width + lie.column) * DIMENSION,
        told: told.clone(),
    };
    let binding = binding(program, &honest.segment);
    let proof = program.prove_with(&honest.tables, &binding, |parameters, statement| {
        let (watch, traces) = (Watch::default(), &honest.tables.traces);
        match parameters.hash {
            HashKind::Keccak => {
                let config = keccak_config(parameters, statement.seed, watch, dft);
                batch::prove_with(&config, statement, traces)
            }
            HashKind::Poseidon2 => {
                let config = poseidon_config(parameters, statement.seed, watch, dft);
                batch::prove_with(&config, statement, traces)
            }
        }
    });
    assert!(told.load(Ordering::Relaxed), "no matrix had the shape of the lookup columns");
    proof.expect("a prover takes any columns").bytes
}

#[test]
fn every_lookup_constraint_is_enforced() {
    let honest = Honest::of(&messages());
    for (table, shape) in table_shapes().iter().enumerate() {
        let base = honest.base_constraints(table);
        let witness = LookupWitness::of(honest.witness(table));
        // One fraction per lookup, and first row, transition and last row of their running sum.
        let constraints = base + witness.lookups.len() + 3;
        assert_eq!(
            constraints, shape.num_constraints,
            "the verifying key counts as this test does"
        );
        let lies = cover(&witness.candidates(), base..constraints);
        for profile in PROVEN {
            for program in [one_query(profile), KeccakProgram::new(profile)] {
                for lie in &lies {
                    let width = witness.columns.width;
                    let proof = prove_lookup_lie(&program, &honest, table, width, lie);
                    let what = format!("{profile:?}, lookups of {} {lie:?}", shape.name);
                    let binding = binding(&program, &honest.segment);
                    let refusal = program.verify(&proof, &binding).expect_err(&what);
                    assert_names_the_table(&refusal, table, &what);
                }
            }
        }
    }
}
