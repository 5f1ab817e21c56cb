//! Provers that lie. The proof system takes any trace; the verifier must refuse every one of these.
//!
//! Each case changes cells of valid tables, or fills the tables for something false, and proves the
//! result. Where a lie is consistent within one table the buses must catch it.

use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::KoalaBear;
use proofgrid_proofs::refusal::{RefusalClass, RefusalCode};
use rayon::prelude::*;

use super::*;
use crate::keccak::digest_of;
use crate::keccak::tables::{
    CAPACITY_LIMBS, PERMUTATION_EXPORT, PERMUTATION_WIDTH, RATE_LIMBS, SPONGE_WIDTH, STATE_LIMBS,
    sponge,
};
use crate::keccak::trace::{self, Heights};

/// Changes tables so that they state something false.
type Lie = fn(&mut Tables);

fn add(tables: &mut Tables, table: usize, row: usize, column: usize, value: u32) {
    let trace = &mut tables.traces[table];
    trace.values[row * trace.width + column] += KoalaBear::new(value);
}

fn set(tables: &mut Tables, table: usize, row: usize, column: usize, value: u32) {
    let trace = &mut tables.traces[table];
    trace.values[row * trace.width + column] = KoalaBear::new(value);
}

fn flip(tables: &mut Tables, row: usize, column: usize) {
    let cell = &mut tables.traces[1].values[row * SPONGE_WIDTH + column];
    *cell = KoalaBear::ONE - *cell;
}

/// Sponge rows 0 and 1 are the first message, rows 2 and 3 one each, rows 4 to 7 are unused. The
/// permutation table has four used permutations and one unused; the digest table one unused row.
const LIES: &[(&str, Lie)] = &[
    // The permutation table, a cell of each group of columns in a used permutation.
    ("permutation: step flag", |t| add(t, 0, 3, 3, 1)),
    ("permutation: two step flags", |t| set(t, 0, 3, 4, 1)),
    ("permutation: export not boolean", |t| set(t, 0, 23, PERMUTATION_EXPORT, 2)),
    ("permutation: export before the end", |t| set(t, 0, 22, PERMUTATION_EXPORT, 1)),
    ("permutation: export of an unused one", |t| set(t, 0, 119, PERMUTATION_EXPORT, 1)),
    ("permutation: export missing", |t| set(t, 0, 23, PERMUTATION_EXPORT, 0)),
    ("permutation: preimage", |t| add(t, 0, 0, 25, 1)),
    ("permutation: preimage in the last row", |t| add(t, 0, 23, 30, 1)),
    ("permutation: round input", |t| add(t, 0, 5, 125, 1)),
    ("permutation: column parity", |t| add(t, 0, 5, 225, 1)),
    ("permutation: column parity after theta", |t| add(t, 0, 5, 545, 1)),
    ("permutation: state after theta", |t| add(t, 0, 5, 865, 1)),
    ("permutation: state after chi", |t| add(t, 0, 23, 2465, 1)),
    ("permutation: bits of lane 0", |t| add(t, 0, 5, 2565, 1)),
    ("permutation: lane 0 after iota", |t| add(t, 0, 23, PERMUTATION_WIDTH - 1, 1)),
    // The sponge table's flags and counters.
    ("sponge: active not boolean", |t| set(t, 1, 0, sponge::ACTIVE, 2)),
    ("sponge: unused row starts", |t| set(t, 1, 6, sponge::FIRST, 1)),
    ("sponge: unused row ends", |t| set(t, 1, 6, sponge::LAST, 1)),
    ("sponge: gap of an unused row", |t| set(t, 1, 6, sponge::ACTIVE, 1)),
    ("sponge: message does not start", |t| set(t, 1, 0, sponge::FIRST, 0)),
    ("sponge: message starts in its middle", |t| set(t, 1, 1, sponge::FIRST, 1)),
    ("sponge: message ends early", |t| set(t, 1, 0, sponge::LAST, 1)),
    ("sponge: message does not end", |t| set(t, 1, 3, sponge::LAST, 0)),
    ("sponge: numbers start at one", |t| (0..8).for_each(|r| add(t, 1, r, sponge::INDEX, 1))),
    ("sponge: number skipped", |t| (2..8).for_each(|r| add(t, 1, r, sponge::INDEX, 1))),
    ("sponge: blocks overcounted", |t| {
        (0..8).for_each(|r| add(t, 1, r, sponge::BLOCKS, 1));
        t.public_values.permutations += 1;
    }),
    ("sponge: jump in the count", |t| {
        (3..8).for_each(|r| add(t, 1, r, sponge::BLOCKS, 1));
        t.public_values.permutations += 1;
    }),
    ("sponge: total is not the count", |t| t.public_values.permutations -= 1),
    // The sponge table's state.
    ("sponge: previous bit not boolean", |t| set(t, 1, 1, sponge::PREVIOUS, 2)),
    ("sponge: previous bit", |t| flip(t, 1, sponge::PREVIOUS + 5)),
    ("sponge: message starts from another state", |t| flip(t, 0, sponge::PREVIOUS + 17)),
    ("sponge: and hides it in the block", |t| {
        flip(t, 0, sponge::PREVIOUS + 3);
        flip(t, 0, sponge::BLOCK + 3);
    }),
    ("sponge: capacity at the start", |t| set(t, 1, 0, sponge::CAPACITY, 1)),
    ("sponge: capacity not carried", |t| add(t, 1, 1, sponge::CAPACITY + 31, 1)),
    ("sponge: absorbed limb", |t| add(t, 1, 1, sponge::BEFORE + 67, 1)),
    ("sponge: output", |t| add(t, 1, 0, sponge::OUTPUT + 70, 1)),
    ("sponge: output of the last block", |t| add(t, 1, 3, sponge::OUTPUT + 99, 1)),
    // The sponge table's block and padding.
    ("sponge: block bit not boolean", |t| set(t, 1, 0, sponge::BLOCK, 3)),
    ("sponge: block bit", |t| flip(t, 0, sponge::BLOCK + 9)),
    ("sponge: padding not boolean", |t| set(t, 1, 1, sponge::PADDING + 100, 2)),
    ("sponge: padding with a hole", |t| set(t, 1, 1, sponge::PADDING + 100, 0)),
    ("sponge: padding begins late", |t| set(t, 1, 1, sponge::PADDING + 1, 0)),
    ("sponge: padding begins early", |t| set(t, 1, 3, sponge::PADDING, 1)),
    ("sponge: last block without padding", |t| {
        (0..136).for_each(|b| set(t, 1, 2, sponge::PADDING + b, 0));
    }),
    ("sponge: padding in the middle of a message", |t| {
        (100..136).for_each(|b| set(t, 1, 0, sponge::PADDING + b, 1));
    }),
    // The digest table.
    ("digest: not taken", |t| set(t, 2, 1, 0, 0)),
    ("digest: taken twice", |t| set(t, 2, 1, 0, 2)),
    ("digest: unused row taken", |t| set(t, 2, 3, 0, 1)),
    // Lies about the public values that leave every table as it was.
    ("statement: digest changed", |t| t.public_values.digests[0][31] ^= 1),
    ("statement: digests swapped", |t| t.public_values.digests.swap(0, 2)),
    ("statement: digest of another message", |t| t.public_values.digests[2] = [7; 32]),
];

#[test]
fn every_lie_is_refused_by_mathematics() {
    for profile in PROVEN {
        let program = KeccakProgram::new(profile);
        LIES.par_iter().for_each(|(name, lie)| {
            let (mut tables, binding) = tables(&program);
            lie(&mut tables);
            let proof = prove(&program, &tables, &binding);
            let refusal = program.verify(&proof.bytes, &binding).expect_err(name);
            assert_eq!(refusal.class(), RefusalClass::Algebra, "{profile:?} {name}: {refusal}");
        });
    }
}

/// Changes a padded block.
type Change = fn(&mut [u8; 136]);

/// Fills tables for `blocks` of a dishonest sponge and claims `digests`.
fn assert_refused(profile: Profile, name: &str, blocks: &[trace::Block], digests: Vec<[u8; 32]>) {
    let program = KeccakProgram::new(profile);
    let heights = Heights::of(blocks.len(), digests.len()).expect("fits");
    let [_, sponge, digest] = heights.log;
    let tables = Tables {
        traces: [
            trace::permutation_table(blocks),
            trace::sponge_table(blocks, sponge),
            trace::digest_table(digests.len(), digest),
        ],
        public_values: crate::keccak::program::PublicValues {
            permutations: u32::try_from(blocks.len()).expect("few"),
            digests,
        },
        heights,
    };
    let (_, mut binding) = super::tables(&program);
    binding.count = tables.public_values.digests.len() as u64;
    let proof = prove(&program, &tables, &binding);
    let refusal = program.verify(&proof.bytes, &binding).expect_err(name);
    assert_eq!(refusal.class(), RefusalClass::Algebra, "{profile:?} {name}: {refusal}");
}

/// The digest that a dishonest sponge ends with.
fn digest_of_blocks(blocks: &[trace::Block]) -> [u8; 32] {
    let mut digest = [0; 32];
    let last = blocks.last().expect("blocks");
    for (target, lane) in digest.as_chunks_mut::<8>().0.iter_mut().zip(last.after()) {
        *target = lane.to_le_bytes();
    }
    digest
}

#[test]
fn wrong_padding_is_refused_although_its_permutations_are_right() {
    let honest: Vec<u8> = (1..=100).collect();
    for profile in PROVEN {
        // SHA3's domain byte, a mark in the wrong place, no final bit, and no padding at all.
        let changes: [(&str, Change); 4] = [
            ("0x06", |b| b[100] = 0x06),
            ("late mark", |b| b.swap(100, 101)),
            ("no final bit", |b| b[135] = 0),
            ("no padding", |b| {
                b[100] = 0;
                b[135] = 0;
            }),
        ];
        for (name, change) in changes {
            let blocks = trace::absorb_padded(&honest, change);
            assert_refused(profile, name, &blocks, vec![digest_of_blocks(&blocks)]);
        }
        let fair = trace::absorb_padded(&honest, |_| ());
        assert_eq!(digest_of_blocks(&fair), digest_of(&honest), "the helper is fair otherwise");
    }
}

#[test]
fn swapped_blocks_and_cut_messages_are_refused() {
    let message: Vec<u8> = (0..=200).chain(0..=200).collect();
    for profile in PROVEN {
        let honest = trace::absorb(std::slice::from_ref(&message));
        let mut swapped = honest.clone();
        swapped.swap(0, 1);
        assert_refused(profile, "swapped blocks", &swapped, vec![digest_of(&message)]);
        let cut = &honest[..honest.len() - 1];
        assert_refused(profile, "no last block", cut, vec![digest_of_blocks(cut)]);
        let late = &honest[1..];
        assert_refused(profile, "no first block", late, vec![digest_of_blocks(late)]);
    }
}

#[test]
fn digests_are_exactly_those_of_the_messages_in_order() {
    let messages = messages();
    let digests: Vec<[u8; 32]> = messages.iter().map(|m| digest_of(m)).collect();
    for profile in PROVEN {
        let blocks = trace::absorb(&messages);
        let mut swapped = digests.clone();
        swapped.swap(0, 1);
        assert_refused(profile, "swapped digests", &blocks, swapped);
        assert_refused(profile, "digest left out", &blocks, digests[..2].to_vec());
        let mut twice = digests.clone();
        twice[2] = twice[0];
        assert_refused(profile, "one message claimed twice", &blocks, twice);
        let mut more = digests.clone();
        more.push(digest_of(b"never hashed"));
        assert_refused(profile, "digest added", &blocks, more);
    }
}

#[test]
fn heights_are_the_verifiers() {
    let program = KeccakProgram::new(Profile::Standard);
    let (mut tables, binding) = tables(&program);
    let messages = messages();
    let blocks = trace::absorb(&messages);
    tables.heights.log[1] += 1;
    tables.traces[1] = trace::sponge_table(&blocks, tables.heights.log[1]);
    let proof = prove(&program, &tables, &binding);
    let refusal = program.verify(&proof.bytes, &binding).expect_err("higher table");
    assert_eq!(refusal.code(), RefusalCode::TableShape);
}

#[test]
fn the_layout_is_what_these_cases_assume() {
    assert_eq!(PERMUTATION_WIDTH, 2633);
    assert_eq!(RATE_LIMBS + CAPACITY_LIMBS, STATE_LIMBS);
    let (tables, _) = tables(&KeccakProgram::new(Profile::Standard));
    assert_eq!(tables.heights.log, [7, 3, 2]);
}
