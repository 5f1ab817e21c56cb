//! Filling the tables.

use p3_field::PrimeCharacteristicRing;
use p3_keccak_air::generate_trace_rows;
use p3_koala_bear::KoalaBear;
use p3_matrix::dense::RowMajorMatrix;
use rayon::prelude::*;

use super::planner::{SPONGE_LOG_OFFSET, log_height_for};
use super::tables::{
    DIGEST_LIMBS, PERMUTATION_EXPORT, PERMUTATION_WIDTH, RATE_LIMBS, ROWS_PER_PERMUTATION,
    SPONGE_WIDTH, STATE_LIMBS, digest, sponge,
};
use super::{Digest, RATE_BYTES};

type State = [u64; 25];

/// One absorbed block.
#[derive(Debug, Clone)]
pub struct Block {
    message: usize,
    first: bool,
    last: bool,
    bytes: [u8; RATE_BYTES],
    padding_from: usize,
    previous: State,
    before: State,
    after: State,
}

#[cfg(test)]
impl Block {
    /// The state after the permutation.
    pub(super) fn after(&self) -> &State {
        &self.after
    }
}

/// The heights of the three tables, all that a verifier needs to know about a segment's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heights {
    /// Log2 heights of permutation, sponge and digest table.
    pub log: [usize; 3],
}

impl Heights {
    /// The heights that this many permutations and digests demand; `None` if no table is that high.
    #[must_use]
    pub fn of(permutations: usize, digests: usize) -> Option<Self> {
        if digests == 0 || digests > permutations {
            return None;
        }
        let permutation = log_height_for(permutations)?;
        let digest = digests.next_power_of_two().trailing_zeros().max(1);
        Some(Self {
            log: [permutation, permutation - SPONGE_LOG_OFFSET, usize::try_from(digest).ok()?],
        })
    }
}

/// Runs the sponge over the messages.
#[must_use]
pub fn absorb(messages: &[Vec<u8>]) -> Vec<Block> {
    messages
        .par_iter()
        .enumerate()
        .flat_map_iter(|(message, bytes)| absorb_message(message, bytes))
        .collect()
}

fn absorb_message(message: usize, bytes: &[u8]) -> Vec<Block> {
    absorb_changed(message, bytes, |_| ())
}

/// A message whose last block was changed after padding; what a dishonest prover would absorb.
#[cfg(test)]
pub(super) fn absorb_padded(bytes: &[u8], change: fn(&mut [u8; RATE_BYTES])) -> Vec<Block> {
    absorb_changed(0, bytes, change)
}

fn absorb_changed(
    message: usize,
    bytes: &[u8],
    change: impl Fn(&mut [u8; RATE_BYTES]),
) -> Vec<Block> {
    let num_blocks = super::permutations_of_len(bytes.len());
    let mut state: State = [0; 25];
    (0..num_blocks)
        .map(|number| {
            let last = number + 1 == num_blocks;
            let rest = bytes.get(number * RATE_BYTES..).unwrap_or_default();
            let taken = rest.len().min(RATE_BYTES);
            let mut block = [0u8; RATE_BYTES];
            for (target, byte) in block.iter_mut().zip(rest) {
                *target = *byte;
            }
            if last {
                // The last block has room for at least one byte, so both marks are inside it.
                block[taken] ^= 0x01;
                block[RATE_BYTES - 1] ^= 0x80;
                change(&mut block);
            }
            let previous = state;
            for (lane, chunk) in state.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane ^= u64::from_le_bytes(*chunk);
            }
            let before = state;
            p3_symmetric::Permutation::permute_mut(&p3_keccak::KeccakF, &mut state);
            Block {
                message,
                first: number == 0,
                last,
                bytes: block,
                padding_from: if last { taken } else { RATE_BYTES },
                previous,
                before,
                after: state,
            }
        })
        .collect()
}

/// The permutation table: one permutation per block in order, the rest unused.
#[must_use]
pub fn permutation_table(blocks: &[Block]) -> RowMajorMatrix<KoalaBear> {
    let mut trace = generate_trace_rows(blocks.iter().map(|b| b.before).collect(), 0);
    for number in 1..=blocks.len() {
        let row = number * ROWS_PER_PERMUTATION - 1;
        trace.values[row * PERMUTATION_WIDTH + PERMUTATION_EXPORT] = KoalaBear::ONE;
    }
    trace
}

/// The sponge table of height `2^log_height`; rows after the last block are unused.
#[must_use]
pub fn sponge_table(blocks: &[Block], log_height: usize) -> RowMajorMatrix<KoalaBear> {
    let mut values = KoalaBear::zero_vec(SPONGE_WIDTH << log_height);
    let messages = blocks.last().map_or(0, |block| block.message + 1);
    values.par_chunks_mut(SPONGE_WIDTH).enumerate().for_each(|(number, row)| {
        match blocks.get(number) {
            Some(block) => fill_row(row, number, block),
            None => {
                row[sponge::INDEX] = KoalaBear::from_usize(messages);
                row[sponge::BLOCKS] = KoalaBear::from_usize(blocks.len());
            }
        }
    });
    RowMajorMatrix::new(values, SPONGE_WIDTH)
}

fn fill_row(row: &mut [KoalaBear], number: usize, block: &Block) {
    row[sponge::ACTIVE] = KoalaBear::ONE;
    row[sponge::FIRST] = KoalaBear::from_bool(block.first);
    row[sponge::LAST] = KoalaBear::from_bool(block.last);
    row[sponge::INDEX] = KoalaBear::from_usize(block.message);
    row[sponge::BLOCKS] = KoalaBear::from_usize(number + 1);
    for limb in 0..RATE_LIMBS {
        let value = limb_of(&block.previous, limb);
        for bit in 0..16 {
            row[sponge::PREVIOUS + limb * 16 + bit] = KoalaBear::from_bool(value >> bit & 1 == 1);
        }
    }
    for (byte, value) in block.bytes.iter().enumerate() {
        for bit in 0..8 {
            row[sponge::BLOCK + byte * 8 + bit] = KoalaBear::from_bool(value >> bit & 1 == 1);
        }
        row[sponge::PADDING + byte] = KoalaBear::from_bool(byte >= block.padding_from);
    }
    for limb in 0..STATE_LIMBS {
        row[sponge::BEFORE + limb] = KoalaBear::from_u16(limb_of(&block.before, limb));
        row[sponge::OUTPUT + limb] = KoalaBear::from_u16(limb_of(&block.after, limb));
    }
}

/// A 16-bit limb of the state.
fn limb_of(state: &State, limb: usize) -> u16 {
    let [a, b, c, d, e, f, g, h] = state[limb / 4].to_le_bytes();
    match limb % 4 {
        0 => u16::from_le_bytes([a, b]),
        1 => u16::from_le_bytes([c, d]),
        2 => u16::from_le_bytes([e, f]),
        _ => u16::from_le_bytes([g, h]),
    }
}

/// The digest table's preprocessed columns: what the public values say, and zeros.
#[must_use]
pub fn digest_columns(digests: &[Digest], log_height: usize) -> RowMajorMatrix<KoalaBear> {
    let mut values = KoalaBear::zero_vec(digest::WIDTH << log_height);
    for ((index, bytes), row) in
        digests.iter().enumerate().zip(values.chunks_exact_mut(digest::WIDTH))
    {
        row[digest::USED] = KoalaBear::ONE;
        row[digest::INDEX] = KoalaBear::from_usize(index);
        let limbs = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
        for (column, limb) in (digest::LIMBS..digest::LIMBS + DIGEST_LIMBS).zip(limbs) {
            row[column] = KoalaBear::from_u16(limb);
        }
    }
    RowMajorMatrix::new(values, digest::WIDTH)
}

/// The digest table's main column: which rows are taken off the bus.
#[must_use]
pub fn digest_table(num_digests: usize, log_height: usize) -> RowMajorMatrix<KoalaBear> {
    let values = (0..1usize << log_height).map(|row| KoalaBear::from_bool(row < num_digests));
    RowMajorMatrix::new(values.collect(), 1)
}
