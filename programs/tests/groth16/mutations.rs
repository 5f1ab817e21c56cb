//! Envelopes altered at random: Rust writes down what was altered and what it answers, forge alters
//! the same way and must get the same answer from the contract.
//!
//! A case is `base (1), valid (1), number of operations (1)` and for each operation 8 bytes:
//! `kind (1), a (2), b (2), c (2), d (1)`, numbers big-endian, as [`Operation`] says. The same seed gives
//! the same cases on every machine.

use ark_bn254::{Fq, Fr};
use ark_ff::{Field, PrimeField};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::ark;
use crate::case::{Case, Layout, hex0x};
use crate::named::{mended, put, snarkjs};
use crate::trapdoor::{
    Setup, g1, g1_times, g2, g2_times, inputs, moduli, outside_the_subgroup, scalar,
};

/// Cases in all, and in one list of the file.
const CASES: usize = 2304;
const LIST: usize = 256;
/// SplitMix64's start.
const SEED: u64 = 0x6772_6f74_6831_3600;

/// One change; `kind` and fields in the file in this order.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// 0: byte `a` is xored with `d`.
    Flip { at: usize, mask: u8 },
    /// 1: `c` bytes of the pool from `b` are written at `a`.
    Pool { at: usize, from: usize, len: usize },
    /// 2: `c` bytes at `a` and at `b`, which do not overlap, change places.
    Swap { one: usize, other: usize, len: usize },
    /// 3: the modulus (`d` = 0) or the order (1) is added to the word at `a`, modulo 2^256.
    Add { at: usize, order: bool },
    /// 4: the word at `a` is taken from the modulus, modulo 2^256.
    Negate { at: usize },
    /// 5: `c` bytes of base `d` from `b` are written at `a`.
    Base { at: usize, from: usize, len: usize, base: u8 },
    /// 6: the envelope is cut to `a` bytes.
    Cut { len: usize },
    /// 7: `a` bytes `d` are appended.
    Grow { len: usize, byte: u8 },
    /// 8: bit `a` of argument `d` (program, key, values, claim) is flipped.
    Argument { bit: usize, which: u8 },
    /// 9: digests, in the envelope and as arguments, are computed again, as the base's number of inputs
    /// lays out its bytes.
    Mend,
}

impl Operation {
    fn encode(self) -> [u8; 8] {
        let (kind, a, b, c, d) = match self {
            Self::Flip { at, mask } => (0, at, 0, 0, mask),
            Self::Pool { at, from, len } => (1, at, from, len, 0),
            Self::Swap { one, other, len } => (2, one, other, len, 0),
            Self::Add { at, order } => (3, at, 0, 0, u8::from(order)),
            Self::Negate { at } => (4, at, 0, 0, 0),
            Self::Base { at, from, len, base } => (5, at, from, len, base),
            Self::Cut { len } => (6, len, 0, 0, 0),
            Self::Grow { len, byte } => (7, len, 0, 0, byte),
            Self::Argument { bit, which } => (8, bit, 0, 0, which),
            Self::Mend => (9, 0, 0, 0, 0),
        };
        let [a, b, c] = [a, b, c].map(|number| u16::try_from(number).expect("short").to_be_bytes());
        [kind, a[0], a[1], b[0], b[1], c[0], c[1], d]
    }
}

/// A small generator with a period of 2^64 (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound as u64)).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

struct Base {
    case: Case,
    layout: Layout,
    /// Where in the pool other valid proofs of it are.
    proofs: Vec<usize>,
}

/// Bytes to write, by what they are.
#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
    words: Vec<usize>,
    g1: Vec<usize>,
    g2: Vec<usize>,
}

impl Pool {
    fn push(&mut self, bytes: &[u8]) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        offset
    }

    /// Numbers and points at the edges of what is accepted.
    fn filled() -> Self {
        let mut pool = Self::default();
        let [p, r] = moduli();
        let near = |modulus: &[u8], last: fn(u8) -> u8| {
            let mut word = modulus.to_vec();
            word[31] = last(word[31]);
            word
        };
        let mut one = vec![0; 32];
        one[31] = 1;
        let words = [
            vec![0; 32],
            one.clone(),
            p.clone(),
            near(&p, |b| b - 1),
            near(&p, |b| b + 1),
            r.clone(),
            near(&r, |b| b - 1),
            near(&r, |b| b + 1),
            vec![0xff; 32],
            [vec![0x80], vec![0; 31]].concat(),
        ];
        pool.words = words.iter().map(|word| pool.push(word)).collect();
        let points: Vec<Vec<u8>> = (1u64..4).map(|i| g1(g1_times(Fr::from(i)))).collect();
        let mut two = one.clone();
        two[31] = 2;
        // The identity, (0, p), (p, p), (1, 1) off the curve, and points of it.
        let mut g1s = vec![vec![0; 64], [&[0; 32][..], &p].concat(), p.repeat(2), one.repeat(2)];
        g1s.push([one, two].concat());
        g1s.extend(points);
        pool.g1 = g1s.iter().map(|point| pool.push(point)).collect();
        let mut g2s = vec![vec![0; 128], p.repeat(4), outside_the_subgroup(1)];
        g2s.extend([outside_the_subgroup(5), outside_the_subgroup(9)]);
        g2s.extend((1u64..4).map(|i| g2(g2_times(Fr::from(i)))));
        pool.g2 = g2s.iter().map(|point| pool.push(point)).collect();
        pool
    }
}

fn field(word: &[u8]) -> Fq {
    Fq::from_be_bytes_mod_order(word)
}

/// The proof with A times and B divided by a number: as good as the one before.
fn randomised(proof: &[u8], by: Fr) -> Vec<u8> {
    use ark_bn254::{Fq2, G1Affine, G2Affine};
    use ark_ec::CurveGroup;
    let word = |i: usize| field(&proof[32 * i..32 * (i + 1)]);
    let a = G1Affine::new(word(0), word(1));
    let b = G2Affine::new(Fq2::new(word(3), word(2)), Fq2::new(word(5), word(4)));
    let inverse = by.inverse().expect("not zero");
    let (a, b) = ((a * by).into_affine(), (b * inverse).into_affine());
    [g1(a), g2(b), proof[192..].to_vec()].concat()
}

fn bases(pool: &mut Pool) -> Vec<Base> {
    let known = |n: usize| {
        let (setup, values) = (Setup::new("mutations", n), inputs("mutations", n));
        Case::of(&setup.key(), &values, &setup.proof(&values, "mutations"))
    };
    let no_c = {
        let (setup, values) = (Setup::new("mutations", 2), inputs("mutations", 2));
        let proof = setup.proof_from(&values, setup.target(&values), Fr::from(1u64));
        Case::of(&setup.key(), &values, &proof)
    };
    let free = {
        let (mut setup, values) = (Setup::new("mutations free", 2), inputs("mutations", 2));
        setup.ic[1] = Fr::from(0u64);
        Case::of(&setup.key(), &values, &setup.proof(&values, "mutations"))
    };
    let cases = [
        (snarkjs("multiplier"), 1),
        (snarkjs("multiplier-2"), 1),
        (snarkjs("sums"), 2),
        (snarkjs("poseidon"), 5),
        (known(0), 0),
        (known(1), 1),
        (known(3), 3),
        (no_c, 2),
        (free, 2),
    ];
    let base = |(case, inputs): (Case, usize)| {
        let layout = Layout { inputs };
        let proof = &case.envelope[layout.proof()..];
        let proofs = (0..3)
            .map(|i| pool.push(&randomised(proof, scalar(&format!("mutations again {i}")))))
            .collect();
        Base { case, layout, proofs }
    };
    cases.into_iter().map(base).collect()
}

struct Draw<'a> {
    random: Random,
    pool: &'a Pool,
    bases: &'a [Base],
}

impl Draw<'_> {
    fn of(&mut self, all: &[usize]) -> usize {
        all[self.random.below(all.len())]
    }

    /// A place of a whole word, a byte off in one of eight.
    fn word(&mut self, layout: Layout) -> usize {
        let words = (layout.total() - 108) / 32;
        let at = 108 + 32 * self.random.below(words);
        // The length of the proof shifts what follows it by four bytes.
        let at = if at >= layout.key() - 4 { at + 4 } else { at };
        at.min(layout.total() - 32)
    }

    /// Another form of the same statement, or nearly.
    fn kind(&mut self, base: &Base) -> Vec<Operation> {
        let (layout, proof) = (base.layout, base.layout.proof());
        let again = Operation::Pool { at: proof, from: self.of(&base.proofs), len: 256 };
        let negated = [32, 128, 160].map(|offset| Operation::Negate { at: proof + offset });
        let mut all = match self.random.below(4) {
            0 => vec![again],
            1 => negated.to_vec(),
            2 => [&[again][..], &negated].concat(),
            _ => vec![negated[self.random.below(3)], again],
        };
        if self.random.below(4) == 0 {
            all.push(Operation::Negate { at: layout.total() - 32 });
        }
        all
    }

    /// A point replaced by one at the edge, or one coordinate of it.
    fn point(&mut self, base: &Base) -> Vec<Operation> {
        let points = base.layout.points();
        let (_, at, len) = points[self.random.below(points.len())].clone();
        let word = at + 32 * self.random.below(len / 32);
        let whole = if len == 64 { self.of(&self.pool.g1) } else { self.of(&self.pool.g2) };
        let one = match self.random.below(6) {
            0..3 => Operation::Pool { at, from: whole, len },
            3 => Operation::Pool { at: word, from: self.of(&self.pool.words), len: 32 },
            4 => Operation::Add { at: word, order: false },
            _ => Operation::Negate { at: word },
        };
        vec![one]
    }

    /// A public input replaced, or two exchanged.
    fn input(&mut self, base: &Base) -> Vec<Operation> {
        let (layout, inputs) = (base.layout, base.layout.inputs);
        if inputs == 0 {
            return self.kind(base);
        }
        let (i, j) = (self.random.below(inputs), self.random.below(inputs));
        let at = layout.scalar(i);
        let one = match self.random.below(4) {
            0 => Operation::Pool { at, from: self.of(&self.pool.words), len: 32 },
            1 => Operation::Add { at, order: true },
            2 if i != j => Operation::Swap { one: at, other: layout.scalar(j), len: 32 },
            _ => Operation::Flip { at: at + 31, mask: self.random.byte() },
        };
        vec![one]
    }

    /// Parts of another base where they lie in this one.
    fn other(&mut self, base: &Base) -> Vec<Operation> {
        let number = self.random.below(self.bases.len());
        let other = &self.bases[number];
        let number = u8::try_from(number).expect("few");
        let (here, there) = (base.layout, other.layout);
        let proof =
            Operation::Base { at: here.proof(), from: there.proof(), len: 256, base: number };
        let fixed = Operation::Base { at: here.key(), from: there.key(), len: 448, base: number };
        let words = 32 * here.inputs.min(there.inputs);
        let scalars =
            Operation::Base { at: here.scalar(0), from: there.scalar(0), len: words, base: number };
        let points = Operation::Base {
            at: here.ic(0),
            from: there.ic(0),
            len: 2 * words + 64,
            base: number,
        };
        let all = [proof, fixed, scalars, points];
        match self.random.below(3) {
            0 => vec![all[self.random.below(4)]],
            1 => vec![fixed, points],
            _ => all.to_vec(),
        }
    }

    /// Anything anywhere.
    fn blind(&mut self, base: &Base) -> Vec<Operation> {
        let total = base.layout.total();
        let count = 1 + self.random.below(3);
        let one = |draw: &mut Self| {
            let at = draw.word(base.layout);
            match draw.random.below(6) {
                0 => Operation::Pool { at, from: draw.of(&draw.pool.words), len: 32 },
                1 => {
                    let other = draw.word(base.layout);
                    let apart = at.abs_diff(other);
                    Operation::Swap {
                        one: at,
                        other,
                        len: apart.min(64).min(total - at.max(other)),
                    }
                }
                2 => Operation::Add { at, order: draw.random.below(2) == 1 },
                _ => {
                    let at = draw.random.below(total);
                    Operation::Flip { at, mask: draw.random.byte() }
                }
            }
        };
        (0..count).map(|_| one(self)).collect()
    }

    /// Another length, or other arguments.
    fn frame(&mut self, base: &Base) -> Vec<Operation> {
        let total = base.layout.total();
        let one = match self.random.below(6) {
            0 => Operation::Cut { len: self.random.below(total) },
            1 => Operation::Cut { len: total.saturating_sub(96).max(880) },
            2 => Operation::Grow { len: 1 + self.random.below(200), byte: self.random.byte() },
            3 => Operation::Grow { len: 96, byte: 0 },
            4 => Operation::Flip { at: self.random.below(108), mask: self.random.byte() },
            _ => {
                let which = u8::try_from(self.random.below(4)).expect("small");
                Operation::Argument { bit: self.random.below(256), which }
            }
        };
        vec![one]
    }

    fn operations(&mut self, base: &Base) -> Vec<Operation> {
        let mut all = match self.random.below(12) {
            0..2 => self.kind(base),
            2..5 => self.point(base),
            5..7 => self.input(base),
            7..9 => self.other(base),
            9..11 => self.blind(base),
            _ => return self.frame(base),
        };
        if self.random.below(5) > 0 {
            all.push(Operation::Mend);
        }
        all
    }
}

/// `left + right` or `left - right` modulo 2^256.
fn wrapping(left: &[u8], right: &[u8], subtract: bool) -> Vec<u8> {
    let mut out = vec![0; 32];
    let mut carry = 0i16;
    for at in (0..32).rev() {
        let (l, r) = (i16::from(left[at]), i16::from(right[at]));
        let sum = if subtract { l - r + carry } else { l + r + carry };
        out[at] = u8::try_from(sum.rem_euclid(256)).expect("a byte");
        carry = sum.div_euclid(256);
    }
    out
}

fn apply(case: &mut Case, operation: Operation, layout: Layout, pool: &Pool, bases: &[Base]) {
    let [p, r] = moduli();
    let envelope = &mut case.envelope;
    match operation {
        Operation::Flip { at, mask } => envelope[at] ^= mask,
        Operation::Pool { at, from, len } => {
            envelope[at..at + len].copy_from_slice(&pool.bytes[from..from + len])
        }
        Operation::Swap { one, other, len } => {
            for i in 0..len {
                envelope.swap(one + i, other + i);
            }
        }
        Operation::Add { at, order } => {
            let sum = wrapping(&envelope[at..at + 32], if order { &r } else { &p }, false);
            envelope[at..at + 32].copy_from_slice(&sum);
        }
        Operation::Negate { at } => {
            let difference = wrapping(&p, &envelope[at..at + 32], true);
            envelope[at..at + 32].copy_from_slice(&difference);
        }
        Operation::Base { at, from, len, base } => {
            let source = &bases[usize::from(base)].case.envelope[from..from + len];
            envelope[at..at + len].copy_from_slice(source);
        }
        Operation::Cut { len } => envelope.truncate(len),
        Operation::Grow { len, byte } => envelope.extend(std::iter::repeat_n(byte, len)),
        Operation::Argument { bit, which } => {
            let arguments = [&mut case.program, &mut case.vk, &mut case.values, &mut case.claim];
            arguments[usize::from(which)][31 - bit / 8] ^= 1 << (bit % 8);
        }
        Operation::Mend => mend(case, layout),
    }
}

/// Like [`mended`], but keeps what else was altered around the parts.
fn mend(case: &mut Case, layout: Layout) {
    let whole = mended(case, layout.inputs);
    let vk = whole.vk;
    *case = put(&put(case, Layout::VK, &vk), Layout::VALUES, &vk);
    case.vk = vk;
    let values = case.envelope[Layout::VALUES..Layout::VALUES + layout.values_bytes()].to_vec();
    case.mend_values(&values);
}

/// One case of the file, with everything that decides it.
struct Altered {
    base: usize,
    operations: Vec<Operation>,
    case: Case,
}

impl Altered {
    fn encode(&self, inputs: usize) -> (bool, Vec<u8>) {
        let verdict = self.case.verdict();
        ark::agree(&self.case, inputs, &verdict, &format!("{:?}", self.operations));
        let head = [self.base, usize::from(verdict.is_ok()), self.operations.len()];
        let mut bytes = head.map(|number| u8::try_from(number).expect("few")).to_vec();
        self.operations.iter().for_each(|operation| bytes.extend(operation.encode()));
        (verdict.is_ok(), bytes)
    }
}

pub fn build() -> Value {
    let mut pool = Pool::filled();
    let bases = bases(&mut pool);
    let mut draw = Draw { random: Random(SEED), pool: &pool, bases: &bases };
    let altered: Vec<Altered> = (0..CASES)
        .map(|_| {
            let which = draw.random.below(bases.len());
            let base = &bases[which];
            let operations = draw.operations(base);
            let mut case = base.case.clone();
            for operation in &operations {
                apply(&mut case, *operation, base.layout, &pool, &bases);
            }
            Altered { base: which, operations, case }
        })
        .collect();
    let encode = |altered: &Altered| altered.encode(bases[altered.base].layout.inputs);
    let encoded: Vec<(bool, Vec<u8>)> = altered.par_iter().map(encode).collect();
    // Neither answer is a rarity, or the comparison would say little.
    let valid = encoded.iter().filter(|(valid, _)| *valid).count();
    assert!((CASES / 10..CASES * 9 / 10).contains(&valid), "{valid} of {CASES} are valid");
    let list = |list: &[(bool, Vec<u8>)]| {
        hex0x(&list.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<u8>>())
    };
    let rows = bases.iter().map(|base| {
        let mut row = base.case.json();
        row["inputs"] = json!(base.layout.inputs);
        row
    });
    json!({
        "bases": rows.collect::<Vec<_>>(),
        "cases": encoded.chunks(LIST).map(list).collect::<Vec<_>>(),
        "pool": hex0x(&pool.bytes),
    })
}
