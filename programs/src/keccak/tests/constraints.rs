//! Every constraint of every table is violated by some changed cell, and every column is constrained.
//!
//! Constraints are numbered in order of evaluation. Each case changes one cell of a valid trace and
//! records which constraints fail; at the end none may be left that nothing violates.

use std::collections::BTreeSet;

use p3_air::check_all_constraints;
use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::KoalaBear;
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use super::*;
use crate::keccak::tables::{KeccakTable, PERMUTATION_EXPORT, PERMUTATION_WIDTH, sponge};
use crate::keccak::trace;

fn violated(
    table: &KeccakTable,
    rows: &RowMajorMatrix<KoalaBear>,
    values: &[KoalaBear],
) -> BTreeSet<usize> {
    let report = check_all_constraints(table, rows, values, None);
    report.failures.iter().map(|failure| failure.constraint).collect()
}

/// Changes each cell of the given rows by 5 (which is no bit), one at a time, until every constraint
/// was violated; returns the columns that no change was noticed in.
fn assert_all_violated(
    table: &KeccakTable,
    valid: &RowMajorMatrix<KoalaBear>,
    values: &[KoalaBear],
    rows: &[usize],
) -> Vec<usize> {
    let total = check_all_constraints(table, valid, values, None).total_constraints_per_row;
    assert_eq!(violated(table, valid, values), BTreeSet::new(), "the valid trace is valid");
    let mut missing: BTreeSet<usize> = (0..total).collect();
    let mut unnoticed: BTreeSet<usize> = (0..valid.width()).collect();
    for row in rows {
        let found: Vec<(usize, BTreeSet<usize>)> = (0..valid.width())
            .into_par_iter()
            .map(|column| {
                let mut changed = valid.clone();
                changed.values[row * valid.width() + column] += KoalaBear::from_u8(5);
                (column, violated(table, &changed, values))
            })
            .collect();
        for (column, constraints) in found {
            if !constraints.is_empty() {
                unnoticed.remove(&column);
            }
            missing.retain(|constraint| !constraints.contains(constraint));
        }
    }
    assert_eq!(missing, BTreeSet::new(), "{total} constraints, these nothing violates");
    unnoticed.into_iter().collect()
}

#[test]
fn sponge_constraints_are_all_needed() {
    let blocks = trace::absorb(&messages());
    let rows = trace::sponge_table(&blocks, 3);
    let values = [KoalaBear::from_usize(blocks.len())];
    // First row, last block of a message, a message of one block, an unused row, the last row.
    let unnoticed = assert_all_violated(&KeccakTable::Sponge, &rows, &values, &[0, 1, 2, 4, 5, 7]);
    // The state after a block is tied to the permutation by the bus alone where a message ends.
    assert!(unnoticed.iter().all(|c| *c >= sponge::OUTPUT), "{unnoticed:?}");
}

#[test]
fn permutation_constraints_are_all_needed() {
    let blocks = trace::absorb(&[vec![1, 2, 3]]);
    let rows = trace::permutation_table(&blocks);
    let unnoticed = assert_all_violated(&KeccakTable::Permutation, &rows, &[], &[3, 0, 22, 23, 31]);
    assert_eq!(unnoticed, Vec::<usize>::new());
    // Using a permutation before its final row, or half of it, is refused by the table itself.
    let mut early = rows.clone();
    early.values[22 * PERMUTATION_WIDTH + PERMUTATION_EXPORT] = KoalaBear::ONE;
    assert!(!violated(&KeccakTable::Permutation, &early, &[]).is_empty());
}

#[test]
fn digest_constraints_are_all_needed() {
    let digests: Vec<_> = messages().iter().map(|m| crate::keccak::digest_of(m)).collect();
    let [_, _, table] = KeccakTable::all(trace::digest_columns(&digests, 3));
    let rows = trace::digest_table(digests.len(), 3);
    assert_eq!(assert_all_violated(&table, &rows, &[], &[0, 7]), Vec::<usize>::new());
}
