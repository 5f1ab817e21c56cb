//! The named cases: what must be accepted, and each single thing that must be refused.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use ark_ff::Zero;
use proofgrid_proofs::groth16::snarkjs::SnarkjsProof;
use serde_json::{Value, json};

use crate::case::{Case, Layout};
use crate::trapdoor::{Setup, g1, g1_times, inputs, moduli, outside_the_subgroup, scalar};
use crate::{ark, root};

/// snarkjs' proofs, smallest first; the second has the key of the first.
pub const SNARKJS: [(&str, usize); 4] =
    [("multiplier", 1), ("multiplier-2", 1), ("sums", 2), ("poseidon", 5)];

/// A proof of snarkjs in our bytes.
pub fn snarkjs(name: &str) -> Case {
    let path = root().join(format!("tests/data/groth16/{name}.json"));
    let text = std::fs::read(&path).expect("committed");
    let given = SnarkjsProof::parse(&text).expect("snarkjs' own form");
    Case::of(&given.key.encode(), &given.inputs, &given.proof.encode())
}

struct Named {
    name: String,
    inputs: usize,
    case: Case,
}

/// The largest value of a word.
const ONES: [u8; 32] = [0xff; 32];

pub fn put(case: &Case, at: usize, bytes: &[u8]) -> Case {
    let mut changed = case.clone();
    changed.envelope[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

/// The same parts with digests that fit them again, so that only the parts themselves are judged.
pub fn mended(case: &Case, inputs: usize) -> Case {
    let layout = Layout { inputs };
    let envelope = &case.envelope;
    let count = u32::try_from(inputs).expect("few");
    Case::of_bytes(
        &envelope[layout.key()..layout.proof()],
        count,
        &envelope[layout.scalar(0)..layout.scalar(inputs)],
        &envelope[layout.proof()..],
    )
}

/// `word + modulus` of a coordinate: the same number, spelt otherwise.
fn alias(word: &[u8], modulus: &[u8]) -> Vec<u8> {
    let mut sum = word.to_vec();
    let mut carry = 0u16;
    for at in (0..32).rev() {
        let digit = u16::from(word[at]) + u16::from(modulus[at]) + carry;
        (sum[at], carry) = (u8::try_from(digit & 0xff).expect("masked"), digit >> 8);
    }
    assert_eq!(carry, 0, "the alias of a canonical number fits");
    sum
}

fn accepted() -> Vec<Named> {
    let named = |name: String, inputs: usize, case: Case| Named { name, inputs, case };
    let mut all: Vec<Named> = SNARKJS
        .iter()
        .map(|(name, inputs)| named(format!("snarkjs {name}"), *inputs, snarkjs(name)))
        .collect();
    all.extend([1, 3].map(|n| named(format!("ark-groth16, {n} inputs"), n, ark::proven(n))));
    for n in [0, 1, 2, 16, 64] {
        let (setup, values) = (Setup::new("vectors", n), inputs("vectors", n));
        let case = Case::of(&setup.key(), &values, &setup.proof(&values, "vectors"));
        all.push(named(format!("known secrets, {n} inputs"), n, case));
    }
    all.extend(edges());
    all
}

/// Numbers and points at the edge of what is accepted.
fn edges() -> Vec<Named> {
    let (setup, label) = (Setup::new("edges", 2), "edges");
    let named = |name: &str, setup: &Setup, values: &[Fr]| Named {
        name: name.to_owned(),
        inputs: 2,
        case: Case::of(&setup.key(), values, &setup.proof(values, label)),
    };
    let values = inputs(label, 2);
    let mut free = setup.clone();
    free.ic[1] = Fr::zero();
    let mut none = setup.clone();
    none.ic = vec![Fr::zero(); 3];
    let mut cancelled = setup.clone();
    cancelled.ic[0] = -(setup.ic[1] * values[0] + setup.ic[2] * values[1]);
    // A = target * G1 and B = G2 leave nothing for C.
    let (target, one) = (setup.target(&values), Fr::from(1u64));
    let no_c = Case::of(&setup.key(), &values, &setup.proof_from(&values, target, one));
    // The same proof under another randomness: r A and B / r.
    let (a, b) = (scalar("edges a") * Fr::from(3u64), scalar("edges b") / Fr::from(3u64));
    let again = Case::of(&setup.key(), &values, &setup.proof_from(&values, a, b));
    let last = -one;
    vec![
        named("inputs zero", &setup, &[Fr::zero(), Fr::zero()]),
        named("inputs r - 1", &setup, &[last, last]),
        named("an IC point is the identity", &free, &values),
        named("all IC points are the identity", &none, &values),
        named("the inputs' combination is the identity", &cancelled, &values),
        Named { name: "C is the identity".into(), inputs: 2, case: no_c },
        Named { name: "randomised again".into(), inputs: 2, case: again },
    ]
}

fn refused() -> Vec<Named> {
    let mut all = Vec::new();
    for (name, n) in [("multiplier", 1), ("sums", 2)] {
        let good = snarkjs(name);
        let mut add = |what: String, case: Case| {
            all.push(Named { name: format!("{name}: {what}"), inputs: n, case });
        };
        // What differs between the two keys are the inputs.
        if n > 1 {
            for (what, case) in values(&good, n).into_iter().chain(points(&good, n)) {
                if what.starts_with("input") || what.starts_with("IC[2]") {
                    add(what, case);
                }
            }
            continue;
        }
        for (what, case) in arguments(&good) {
            add(what.to_owned(), case);
        }
        for (what, case) in shapes(&good, n) {
            add(what.to_owned(), case);
        }
        for (what, case) in points(&good, n) {
            add(what, case);
        }
        for (what, case) in values(&good, n) {
            add(what, case);
        }
        for (what, case) in other_parts(&good, n) {
            add(what.to_owned(), case);
        }
    }
    all
}

/// The right envelope for other arguments.
fn arguments(good: &Case) -> Vec<(&'static str, Case)> {
    let flip = |mut digest: [u8; 32]| {
        digest[31] ^= 1;
        digest
    };
    vec![
        ("another program", Case { program: flip(good.program), ..good.clone() }),
        ("another key digest", Case { vk: flip(good.vk), ..good.clone() }),
        ("other public values", Case { values: flip(good.values), ..good.clone() }),
        ("another claim", Case { claim: flip(good.claim), ..good.clone() }),
    ]
}

/// Every field of the envelope around the parts.
fn shapes(good: &Case, n: usize) -> Vec<(&'static str, Case)> {
    let layout = Layout { inputs: n };
    let with = |envelope: Vec<u8>| Case { envelope, ..good.clone() };
    let bytes = &good.envelope;
    let flip = |at: usize| put(good, at, &[bytes[at] ^ 1]);
    vec![
        ("nothing", with(vec![])),
        ("magic", flip(3)),
        ("program in the envelope", flip(Layout::PROGRAM)),
        ("key digest in the envelope", flip(Layout::VK)),
        ("key digest in the public values", flip(Layout::VALUES)),
        ("length of the public values", flip(Layout::VALUES - 1)),
        ("number of inputs", flip(Layout::VALUES + 35)),
        ("number of inputs beyond 2^16", flip(Layout::VALUES + 33)),
        ("length of the proof", flip(layout.key() - 1)),
        ("length of the proof beyond 2^24", flip(layout.key() - 4)),
        ("one byte less", with(bytes[..bytes.len() - 1].to_vec())),
        ("one byte more", with([bytes, &[0][..]].concat())),
        ("a word more", with([bytes, &[0; 96][..]].concat())),
        ("the header only", with(bytes[..Layout::VALUES].to_vec())),
        ("no proof", with(bytes[..layout.proof()].to_vec())),
    ]
}

/// Every point altered in every way that makes it none.
fn points(good: &Case, n: usize) -> Vec<(String, Case)> {
    let (layout, [p, _]) = (Layout { inputs: n }, moduli());
    let mut all = Vec::new();
    for (name, at, len) in layout.points() {
        let mut add = |what: &str, case: Case| {
            all.push((format!("{name} {what}"), mended(&case, n)));
        };
        let old = &good.envelope[at..at + len];
        add("off the curve", put(good, at + len - 1, &[old[len - 1] ^ 1]));
        add("is (0, p)", put(good, at, &[&vec![0; len - 32][..], &p].concat()));
        for word in 0..len / 32 {
            let coordinate = &old[32 * word..32 * (word + 1)];
            add(&format!("word {word} + p"), put(good, at + 32 * word, &alias(coordinate, &p)));
        }
        add("first word p", put(good, at, &p));
        add("last word ones", put(good, at + len - 32, &ONES));
        add("halves swapped", put(good, at, &[&old[len / 2..], &old[..len / 2]].concat()));
        add("is the identity", put(good, at, &vec![0; len]));
        add("another point", put(good, at, &another(len, &name)));
        if len == 128 {
            let words: Vec<&[u8]> = [1, 0, 3, 2].map(|i| &old[32 * i..32 * (i + 1)]).to_vec();
            add("real part first", put(good, at, &words.concat()));
            add("outside the subgroup", put(good, at, &outside_the_subgroup(1)));
        }
        // The digests left as they were: another key than the one that is named.
        all.push((format!("{name} altered"), put(good, at, &another(len, &name))));
    }
    all
}

fn another(len: usize, label: &str) -> Vec<u8> {
    let scalar = scalar(label);
    if len == 64 {
        g1(g1_times(scalar))
    } else {
        crate::trapdoor::g2(crate::trapdoor::g2_times(scalar))
    }
}

/// Every public input altered.
fn values(good: &Case, n: usize) -> Vec<(String, Case)> {
    let (layout, [_, r]) = (Layout { inputs: n }, moduli());
    let mut all = Vec::new();
    for i in 0..n {
        let at = layout.scalar(i);
        let old = &good.envelope[at..at + 32];
        let mut add = |what: &str, bytes: &[u8]| {
            all.push((format!("input {i} {what}"), mended(&put(good, at, bytes), n)));
        };
        let mut next = old.to_vec();
        next[31] ^= 1;
        add("altered", &next);
        add("+ r", &alias(old, &r));
        add("is r", &r);
        add("is 2^256 - 1", &ONES);
    }
    for i in 1..n {
        let (a, b) = (layout.scalar(i - 1), layout.scalar(i));
        let (left, right) = (&good.envelope[a..a + 32], &good.envelope[b..b + 32]);
        let swapped = put(&put(good, a, right), b, left);
        all.push((format!("inputs {} and {i} swapped", i - 1), mended(&swapped, n)));
    }
    all
}

/// Whole parts of another, good envelope.
fn other_parts(good: &Case, n: usize) -> Vec<(&'static str, Case)> {
    let layout = Layout { inputs: n };
    let setup = Setup::new("other", n);
    let other_inputs = inputs("other", n);
    let other = Case::of(&setup.key(), &other_inputs, &setup.proof(&other_inputs, "other"));
    let take = |from: usize, to: usize| put(good, from, &other.envelope[from..to]);
    let (key, proof, total) = (layout.key(), layout.proof(), layout.total());
    let mut all = vec![
        ("another key, named", mended(&take(key, proof), n)),
        ("another key, not named", take(key, proof)),
        ("another proof", take(proof, total)),
        ("other inputs", mended(&take(layout.scalar(0), layout.scalar(n)), n)),
        ("another envelope", Case { envelope: other.envelope.clone(), ..good.clone() }),
    ];
    if n == 1 {
        let second = snarkjs("multiplier-2");
        let proof_of_other = put(good, proof, &second.envelope[proof..]);
        all.push(("the proof of other inputs under the same key", proof_of_other));
    }
    all
}

/// More inputs than are accepted, otherwise right.
fn too_many() -> Named {
    let n = 65;
    let (setup, values) = (Setup::new("vectors", n), inputs("vectors", n));
    let case = Case::of(&setup.key(), &values, &setup.proof(&values, "vectors"));
    Named { name: format!("known secrets, {n} inputs"), inputs: n, case }
}

/// A list column by column: forge reads a column at once, and would copy the file for every cell.
fn columns(list: &[Named], expected: bool) -> Value {
    let mut columns: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for named in list {
        let verdict = named.case.verdict();
        assert_eq!(verdict.is_ok(), expected, "{}: {verdict:?}", named.name);
        ark::agree(&named.case, named.inputs, &verdict, &named.name);
        let mut row = named.case.json();
        row["name"] = json!(named.name);
        row["refusal"] = json!(verdict.err().unwrap_or_default());
        for (key, value) in row.as_object().expect("an object") {
            columns.entry(key.clone()).or_default().push(value.clone());
        }
    }
    json!(columns)
}

pub fn build() -> Value {
    let mut refused = refused();
    refused.push(too_many());
    json!({"accepted": columns(&accepted(), true), "refused": columns(&refused, false)})
}

#[test]
fn snarkjs_proofs_become_the_same_envelope_on_both_ways() {
    use proofgrid_core::ids::{Address, JobId};
    use proofgrid_proofs::program::{Binding, PlanRequest, Program, Unmonitored};
    let program = proofgrid_programs::groth16::Groth16Program::new();
    for (name, inputs) in SNARKJS {
        let path = root().join(format!("tests/data/groth16/{name}.json"));
        let input = std::fs::read(&path).expect("committed");
        let memory_bytes_max = proofgrid_core::units::ByteCount::new(1 << 30);
        let request = PlanRequest { memory_bytes_max, num_workers: 1, max_segments: 1 };
        let plan = program.plan(&input, &request).expect("plans");
        let (job, prover) = (JobId::from_bytes([1; 32]), Address::from_bytes([2; 20]));
        let binding = Binding::of_segment(job, program.id(), prover, &plan[0]);
        let proof = program.prove(&input, &plan[0], &binding, &Unmonitored).expect("verifies");
        assert_eq!(proof.bytes, snarkjs(name).envelope, "{name}");
        assert_eq!(proof.bytes.len(), Layout { inputs }.total(), "{name}");
    }
}
