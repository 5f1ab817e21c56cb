//! The three tables and their constraints.
//!
//! All constraints have degree at most 3, so that two quotient chunks suffice at blowup 2. State
//! lanes are four 16-bit limbs, low limb first, in the order `x + 5y` of FIPS 202.

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};

use p3_air::symbolic::AirLayout;
use p3_air::{Air, AirBuilder, BaseAir, DebugConstraintBuilder, WindowAccess};
use p3_batch_stark::StarkGenericConfig;
use p3_batch_stark::folder::{
    ProverConstraintFolderWithLookups, VerifierConstraintFolderWithLookups,
};
use p3_field::{ExtensionField, PrimeCharacteristicRing};
use p3_keccak_air::{KeccakAir, KeccakCols, NUM_KECCAK_COLS, NUM_ROUNDS, NUM_ROUNDS_MIN_1};
use p3_koala_bear::KoalaBear;
use p3_lookup::{Count, InteractionBuilder, InteractionSymbolicBuilder, PermutationCheckBus};
use p3_matrix::dense::RowMajorMatrix;
use proofgrid_proofs::stark::backend::Challenge;

use super::RATE_BYTES;

/// Rows of the permutation table per permutation.
pub const ROWS_PER_PERMUTATION: usize = NUM_ROUNDS;
/// Columns of the permutation table.
pub const PERMUTATION_WIDTH: usize = NUM_KECCAK_COLS;
/// The column of the permutation table that says "this row's permutation is used".
pub const PERMUTATION_EXPORT: usize = NUM_ROUNDS;

/// 16-bit limbs of the state.
pub const STATE_LIMBS: usize = 100;
/// Limbs into which a block is absorbed.
pub const RATE_LIMBS: usize = RATE_BYTES / 2;
/// Limbs that a block does not touch.
pub const CAPACITY_LIMBS: usize = STATE_LIMBS - RATE_LIMBS;
/// Limbs of a digest.
pub const DIGEST_LIMBS: usize = 16;

/// Columns of the sponge table, by offset.
pub mod sponge {
    use super::{RATE_BYTES, RATE_LIMBS, STATE_LIMBS};

    /// The row absorbs a block.
    pub const ACTIVE: usize = 0;
    /// The block is the first of its message.
    pub const FIRST: usize = 1;
    /// The block is the last of its message.
    pub const LAST: usize = 2;
    /// Position of the message in the segment.
    pub const INDEX: usize = 3;
    /// Active rows up to and including this one.
    pub const BLOCKS: usize = 4;
    /// Bits of the rate part of the state before absorbing, `[limb][bit]`.
    pub const PREVIOUS: usize = 5;
    /// Bits of the padded block, `[byte][bit]`.
    pub const BLOCK: usize = PREVIOUS + RATE_LIMBS * 16;
    /// Whether a byte of the block belongs to the padding.
    pub const PADDING: usize = BLOCK + RATE_BYTES * 8;
    /// The state before the permutation, as limbs: the absorbed rate part, then the capacity. The
    /// rate part is in columns of its own, and not a sum of bits on the bus, because a message's
    /// expressions are walked leaf by leaf for every row, and in every symbolic evaluation.
    pub const BEFORE: usize = PADDING + RATE_BYTES;
    /// The capacity part of the state before the permutation.
    pub const CAPACITY: usize = BEFORE + RATE_LIMBS;
    /// The state after the permutation, as limbs.
    pub const OUTPUT: usize = BEFORE + STATE_LIMBS;
    /// Number of columns.
    pub const WIDTH: usize = OUTPUT + STATE_LIMBS;
}

/// Columns of the sponge table.
pub const SPONGE_WIDTH: usize = sponge::WIDTH;

/// Preprocessed columns of the digest table, by offset.
pub mod digest {
    use super::DIGEST_LIMBS;

    /// The row exposes a digest.
    pub const USED: usize = 0;
    /// Position of the digest.
    pub const INDEX: usize = 1;
    /// The digest's limbs.
    pub const LIMBS: usize = 2;
    /// Number of columns.
    pub const WIDTH: usize = LIMBS + DIGEST_LIMBS;
}

/// From sponge to permutation: 100 limbs before, 100 limbs after.
const PERMUTATION_BUS: PermutationCheckBus<'static> = PermutationCheckBus::new("permutation");
/// From sponge to digest: index and 16 limbs.
const DIGEST_BUS: PermutationCheckBus<'static> = PermutationCheckBus::new("digest");

/// One of the three tables.
#[derive(Debug, Clone)]
pub enum KeccakTable {
    /// `p3-keccak-air`, with each used permutation taken off the bus.
    Permutation,
    /// One row per absorbed block. Its public value is the number of blocks.
    Sponge,
    /// One row per public digest; the preprocessed columns are built from the public values.
    Digest(Arc<RowMajorMatrix<KoalaBear>>),
}

impl KeccakTable {
    /// Names in the order of commitment.
    pub const NAMES: [&'static str; 3] = ["permutation", "sponge", "digest"];

    /// The tables in the order of commitment.
    #[must_use]
    pub fn all(digests: RowMajorMatrix<KoalaBear>) -> [Self; 3] {
        [Self::Permutation, Self::Sponge, Self::Digest(Arc::new(digests))]
    }
}

impl BaseAir<KoalaBear> for KeccakTable {
    fn width(&self) -> usize {
        match self {
            Self::Permutation => PERMUTATION_WIDTH,
            Self::Sponge => SPONGE_WIDTH,
            Self::Digest(_) => 1,
        }
    }

    fn num_public_values(&self) -> usize {
        usize::from(matches!(self, Self::Sponge))
    }

    fn preprocessed_trace(&self) -> Option<RowMajorMatrix<KoalaBear>> {
        match self {
            Self::Digest(rows) => Some(rows.as_ref().clone()),
            Self::Permutation | Self::Sponge => None,
        }
    }

    fn preprocessed_width(&self) -> usize {
        match self {
            Self::Digest(_) => digest::WIDTH,
            Self::Permutation | Self::Sponge => 0,
        }
    }

    fn main_next_row_columns(&self) -> Vec<usize> {
        match self {
            Self::Digest(_) => Vec::new(),
            Self::Permutation | Self::Sponge => (0..self.width()).collect(),
        }
    }

    fn preprocessed_next_row_columns(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl KeccakTable {
    fn constrain<AB: InteractionBuilder<F = KoalaBear>>(&self, builder: &mut AB) {
        match self {
            Self::Permutation => eval_permutation(builder),
            Self::Sponge => eval_sponge(builder),
            Self::Digest(_) => eval_digest(builder),
        }
    }

    /// The table's symbolic evaluation, made once per process: the provers and verifiers of Plonky3
    /// ask for it several times per proof, and for small proofs that costs more than the proof.
    fn symbolic(&self) -> &'static Symbolic {
        static HELD: [OnceLock<Symbolic>; 3] = [const { OnceLock::new() }; 3];
        let [permutation, sponge, digest] = &HELD;
        let held = match self {
            Self::Permutation => permutation,
            Self::Sponge => sponge,
            Self::Digest(_) => digest,
        };
        held.get_or_init(|| {
            let mut builder = Symbolic::new(AirLayout::from_air(self));
            self.constrain(&mut builder);
            builder
        })
    }
}

/// What a symbolic evaluation recorded: constraints and messages.
type Symbolic = InteractionSymbolicBuilder<KoalaBear, Challenge>;

impl Air<Symbolic> for KeccakTable {
    fn eval(&self, builder: &mut Symbolic) {
        let held = self.symbolic();
        for constraint in held.base_constraints() {
            builder.assert_zero(constraint);
        }
        for message in held.global_interactions() {
            let count = Count::bounded(message.count.clone(), message.count_weight);
            builder.push_interaction(&message.bus_name, message.fields.iter().cloned(), count);
        }
    }
}

impl<'a, SC> Air<ProverConstraintFolderWithLookups<'a, SC>> for KeccakTable
where
    SC: StarkGenericConfig,
    ProverConstraintFolderWithLookups<'a, SC>: InteractionBuilder<F = KoalaBear>,
{
    fn eval(&self, builder: &mut ProverConstraintFolderWithLookups<'a, SC>) {
        self.constrain(builder);
    }
}

impl<'a, SC> Air<VerifierConstraintFolderWithLookups<'a, SC>> for KeccakTable
where
    SC: StarkGenericConfig,
    VerifierConstraintFolderWithLookups<'a, SC>: InteractionBuilder<F = KoalaBear>,
{
    fn eval(&self, builder: &mut VerifierConstraintFolderWithLookups<'a, SC>) {
        self.constrain(builder);
    }
}

impl<EF: ExtensionField<KoalaBear>> Air<DebugConstraintBuilder<'_, KoalaBear, EF>> for KeccakTable {
    fn eval(&self, builder: &mut DebugConstraintBuilder<'_, KoalaBear, EF>) {
        self.constrain(builder);
    }
}

/// The permutation's own constraints, and one receive per used permutation. The `export` flag is
/// boolean and zero outside final rows by the constraints of `p3-keccak-air`; on a final row the
/// preimage and the output of the same permutation are both at hand.
fn eval_permutation<AB: InteractionBuilder<F = KoalaBear>>(builder: &mut AB) {
    KeccakAir {}.eval(builder);
    let main = builder.main();
    let row: &KeccakCols<AB::Var> = main.current_slice().borrow();
    debug_assert_eq!(NUM_ROUNDS_MIN_1 + 1, ROWS_PER_PERMUTATION);
    let before = row.preimage.iter().flatten().flatten().map(|limb| (*limb).into());
    let after = (0..STATE_LIMBS).map(|position| {
        let (lane, limb) = (position / 4, position % 4);
        row.a_prime_prime_prime(lane / 5, lane % 5, limb).into()
    });
    let message: Vec<AB::Expr> = before.chain(after).collect();
    PERMUTATION_BUS.receive(builder, message, Count::bounded(row.export.into(), 1));
}

/// One row of the sponge table, by name.
struct SpongeRow<'a, V>(&'a [V]);

impl<V: Copy> SpongeRow<'_, V> {
    /// `from_row` guarantees the width, and every offset below is smaller than it.
    fn at(&self, column: usize) -> V {
        self.0[column]
    }

    fn previous_bit(&self, limb: usize, bit: usize) -> V {
        self.at(sponge::PREVIOUS + limb * 16 + bit)
    }

    fn block_bit(&self, byte: usize, bit: usize) -> V {
        self.at(sponge::BLOCK + byte * 8 + bit)
    }

    /// The rate part of the state before absorbing, as a limb.
    fn previous_limb<E: PrimeCharacteristicRing + From<V>>(&self, limb: usize) -> E {
        from_bits((0..16).map(|bit| E::from(self.previous_bit(limb, bit))))
    }

    fn block_byte<E: PrimeCharacteristicRing + From<V>>(&self, byte: usize) -> E {
        from_bits((0..8).map(|bit| E::from(self.block_bit(byte, bit))))
    }

    /// The rate part of the state after absorbing, as a limb of degree 2.
    fn absorbed_limb<E: PrimeCharacteristicRing + From<V>>(&self, limb: usize) -> E {
        from_bits((0..16).map(|bit| {
            let previous = E::from(self.previous_bit(limb, bit));
            previous.xor(&E::from(self.block_bit(2 * limb + bit / 8, bit % 8)))
        }))
    }
}

/// The number with these bits, low bit first.
fn from_bits<E: PrimeCharacteristicRing>(bits: impl Iterator<Item = E>) -> E {
    bits.zip(0u32..).fold(E::ZERO, |sum, (bit, position)| sum + bit * E::from_u32(1 << position))
}

fn eval_sponge<AB: InteractionBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let (row, next) = (SpongeRow(main.current_slice()), SpongeRow(main.next_slice()));
    eval_sponge_flags(builder, &row, &next);
    eval_sponge_state(builder, &row, &next);
    eval_sponge_padding(builder, &row);
    send_sponge(builder, &row);
}

/// Which rows absorb, where messages start and end, and the two counters.
fn eval_sponge_flags<AB: InteractionBuilder<F = KoalaBear>>(
    builder: &mut AB,
    row: &SpongeRow<'_, AB::Var>,
    next: &SpongeRow<'_, AB::Var>,
) {
    let expr = |row: &SpongeRow<'_, AB::Var>, column| -> AB::Expr { row.at(column).into() };
    let (active, first, last) =
        (expr(row, sponge::ACTIVE), expr(row, sponge::FIRST), expr(row, sponge::LAST));
    let (next_active, next_first) = (expr(next, sponge::ACTIVE), expr(next, sponge::FIRST));
    let blocks_total: AB::Expr = builder.public_values()[0].into();

    builder.assert_bools([active.clone(), first.clone(), last.clone()]);
    // An unused row neither starts nor ends a message.
    let unused = AB::Expr::ONE - active.clone();
    builder.assert_zero(unused.clone() * first.clone());
    builder.assert_zero(unused.clone() * last.clone());
    // Unused rows are at the end.
    builder.when_transition().assert_zero(unused * next_active.clone());
    // A message starts in the first row and right after the end of another, nowhere else.
    builder.when_first_row().assert_eq(first, active.clone());
    builder.when_transition().assert_eq(next_first, last.clone() * next_active.clone());
    // A message that has not ended goes on, and the table does not cut it off.
    let open = active.clone() * (AB::Expr::ONE - last.clone());
    builder.when_transition().assert_zero(open.clone() * (AB::Expr::ONE - next_active.clone()));
    builder.when_last_row().assert_zero(open);
    // Messages are numbered from 0 in their order.
    builder.when_first_row().assert_zero(expr(row, sponge::INDEX));
    builder.when_transition().assert_eq(expr(next, sponge::INDEX), expr(row, sponge::INDEX) + last);
    // Blocks are counted; the total is public.
    builder.when_first_row().assert_eq(expr(row, sponge::BLOCKS), active);
    builder
        .when_transition()
        .assert_eq(expr(next, sponge::BLOCKS), expr(row, sponge::BLOCKS) + next_active);
    builder.when_last_row().assert_eq(expr(row, sponge::BLOCKS), blocks_total);
}

/// The state before a block, zero for the first block and else the state after the previous one, and
/// with the block absorbed.
fn eval_sponge_state<AB: InteractionBuilder<F = KoalaBear>>(
    builder: &mut AB,
    row: &SpongeRow<'_, AB::Var>,
    next: &SpongeRow<'_, AB::Var>,
) {
    let first: AB::Expr = row.at(sponge::FIRST).into();
    let goes_on: AB::Expr = AB::Expr::ONE - row.at(sponge::LAST);
    for limb in 0..RATE_LIMBS {
        for bit in 0..16 {
            builder.assert_bool(row.previous_bit(limb, bit));
        }
        // Sixteen bits cannot sum to the characteristic, so a zero limb means sixteen zero bits.
        builder.when(first.clone()).assert_zero(row.previous_limb::<AB::Expr>(limb));
        builder
            .when_transition()
            .when(goes_on.clone())
            .assert_eq(next.previous_limb::<AB::Expr>(limb), row.at(sponge::OUTPUT + limb));
        builder.assert_eq(row.at(sponge::BEFORE + limb), row.absorbed_limb::<AB::Expr>(limb));
    }
    for limb in 0..CAPACITY_LIMBS {
        builder.when(first.clone()).assert_zero(row.at(sponge::CAPACITY + limb));
        builder.when_transition().when(goes_on.clone()).assert_eq(
            next.at(sponge::CAPACITY + limb),
            row.at(sponge::OUTPUT + RATE_LIMBS + limb),
        );
    }
}

/// The multi-rate padding of the last block: `0x01`, zeros, `0x80`, or `0x81` in one byte.
fn eval_sponge_padding<AB: InteractionBuilder<F = KoalaBear>>(
    builder: &mut AB,
    row: &SpongeRow<'_, AB::Var>,
) {
    let mut before = AB::Expr::ZERO;
    for byte in 0..RATE_BYTES {
        for bit in 0..8 {
            builder.assert_bool(row.block_bit(byte, bit));
        }
        let padding: AB::Expr = row.at(sponge::PADDING + byte).into();
        builder.assert_bool(padding.clone());
        // Once the padding has begun it lasts to the end of the block.
        if byte > 0 {
            builder.assert_zero(before.clone() * (AB::Expr::ONE - padding.clone()));
        }
        let starts = padding.clone() - before;
        let ends = if byte + 1 == RATE_BYTES { padding.clone() } else { AB::Expr::ZERO };
        let value = padding.clone() * row.block_byte::<AB::Expr>(byte);
        builder.assert_eq(value, starts + ends * AB::Expr::from_u8(0x80));
        before = padding;
    }
    // Exactly the last block of a message is padded.
    builder.assert_eq(before, row.at(sponge::LAST));
}

fn send_sponge<AB: InteractionBuilder<F = KoalaBear>>(
    builder: &mut AB,
    row: &SpongeRow<'_, AB::Var>,
) {
    let limbs = |start: usize, count: usize| {
        (start..start + count).map(|column| -> AB::Expr { row.at(column).into() })
    };
    let message: Vec<AB::Expr> =
        limbs(sponge::BEFORE, STATE_LIMBS).chain(limbs(sponge::OUTPUT, STATE_LIMBS)).collect();
    PERMUTATION_BUS.send(builder, message, Count::bounded(row.at(sponge::ACTIVE).into(), 1));
    let finished: Vec<AB::Expr> =
        limbs(sponge::INDEX, 1).chain(limbs(sponge::OUTPUT, DIGEST_LIMBS)).collect();
    DIGEST_BUS.send(builder, finished, Count::bounded(row.at(sponge::LAST).into(), 1));
}

/// Takes exactly the public digests off the bus.
fn eval_digest<AB: InteractionBuilder<F = KoalaBear>>(builder: &mut AB) {
    let main = builder.main();
    let taken: AB::Expr = main.current_slice()[0].into();
    let columns: Vec<AB::Expr> =
        builder.preprocessed().current_slice().iter().map(|v| (*v).into()).collect();
    builder.assert_eq(taken.clone(), columns[digest::USED].clone());
    let message = columns[digest::INDEX..].to_vec();
    DIGEST_BUS.receive(builder, message, Count::bounded(taken, 1));
}
