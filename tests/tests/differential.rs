//! The two implementations of `docs/protocol.md` against each other: random inputs go through the
//! Rust core and, on a real EVM, through `SpecHarness`, which exposes the contracts' libraries. Both
//! must give the same bytes, accept the same, and refuse the same for the same reason.
//!
//! Every run draws new inputs; a failure prints the seed that draws them again. The fixed vectors in
//! `tests/vectors/` are no matter of this file.

#[path = "differential/draw.rs"]
mod draw;
#[path = "differential/spec.rs"]
mod spec;

use alloy_primitives::U256;
use ark_bn254::{Fq, Fq2, G2Affine};
use ark_ff::{BigInteger, PrimeField};
use draw::Draw;
use proofgrid_core::batch::{Batch, BatchLeaf};
use proofgrid_core::certificate::certificate_id;
use proofgrid_core::crypto::bls::{
    BlsError, BlsMessage, PublicKeyG1, PublicKeyG2, SecretKey, Signature, hash_to_g1,
    verify_aggregate, verify_keys_match,
};
use proofgrid_core::ids::{TaskId, VkDigest};
use proofgrid_core::job::TaskKind;
use proofgrid_core::manifest::program_id;
use proofgrid_core::merkle::{MerkleError, MerkleTree, verify_path};
use proofgrid_core::quorum::is_quorum;
use proofgrid_core::statement::{Verdict, segments_root};
use proofgrid_core::units::Stake;
use spec::{ISpec, Spec, abi_address, g1, g2};

/// Random cases of each kind.
const CASES: usize = 64;
/// Random signatures; each is shown in some two dozen variants.
const SIGNATURES: usize = 48;
/// Leaves of the trees that are built whole.
const LEAVES: u32 = 20;

// Digests

#[test]
fn every_digest_is_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    for _ in 0..CASES {
        let job = draw.job();
        let id = spec.get(ISpec::jobIdCall { job: spec::job(&job) });
        assert_eq!(id.0, *job.id().as_bytes(), "{job:?}");

        let (kind, index) = (draw.pick(&TaskKind::ALL), draw.uint32());
        let task = spec.get(ISpec::taskIdCall { job: id, kind: kind.code(), index });
        assert_eq!(task.0, *TaskId::derive(&job.id(), kind, index).as_bytes(), "{kind} {index}");

        let record = draw.record();
        let leaf = spec.get(ISpec::segmentLeafCall { record: spec::record(&record) });
        assert_eq!(leaf.0, record.leaf(), "{record:?}");

        let statement = draw.statement();
        let digest =
            spec.get(ISpec::statementDigestCall { statement: spec::statement(&statement) });
        assert_eq!(digest.0, *statement.digest().as_bytes(), "{statement:?}");

        let verdict = draw.pick(&Verdict::ALL);
        let batch_leaf = BatchLeaf { statement: statement.digest(), verdict };
        let hash = spec.get(ISpec::batchLeafCall { statement: digest, verdict: verdict.code() });
        assert_eq!(hash.0, batch_leaf.hash(), "{batch_leaf:?}");

        let manifest = draw.manifest();
        let digest = spec.get(ISpec::manifestDigestCall { manifest: spec::manifest(&manifest) });
        assert_eq!(digest.0, *manifest.digest().as_bytes(), "{manifest:?}");

        let (name, vk, parameters) = (draw.text(), draw.word(), draw.word());
        let program = spec.get(ISpec::programIdCall {
            nameDigest: alloy_primitives::keccak256(&name),
            vkDigest: vk.into(),
            parametersDigest: parameters.into(),
        });
        assert_eq!(
            program.0,
            *program_id(&name, &VkDigest::from_bytes(vk), &parameters).as_bytes(),
            "{name:?} {vk:?} {parameters:?}"
        );

        let attestation = draw.attestation();
        let certificate = spec.get(ISpec::certificateIdCall {
            targetChain: attestation.target.chain.get(),
            targetContract: abi_address(&attestation.target.contract),
            epoch: attestation.epoch.get(),
            tableDigest: attestation.table.as_bytes().into(),
            root: attestation.root.as_bytes().into(),
            count: attestation.count,
        });
        assert_eq!(certificate.0, *certificate_id(&attestation).as_bytes(), "{attestation:?}");
    }
}

#[test]
fn every_signed_message_is_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    for _ in 0..CASES {
        for message in draw.messages() {
            assert_eq!(spec.message(&message), message.digest(), "{message:?}");
        }
    }
}

// Merkle trees

/// What a path leads to: the root (`true`), another root, or a refusal by the error's signature.
type Outcome = Result<bool, &'static str>;

struct Path {
    root: [u8; 32],
    count: u32,
    index: u32,
    leaf: [u8; 32],
    nodes: Vec<[u8; 32]>,
}

impl Path {
    fn in_rust(&self) -> Outcome {
        match verify_path(&self.root, self.count, self.index, &self.leaf, &self.nodes) {
            Ok(()) => Ok(true),
            Err(MerkleError::Root { .. }) => Ok(false),
            Err(error) => Err(merkle_reason(&error)),
        }
    }

    fn solidity_root(&self, spec: &Spec) -> Result<[u8; 32], &'static str> {
        let root = spec.ask(ISpec::merkleRootFromPathCall {
            leaf: self.leaf.into(),
            index: U256::from(self.index),
            count: U256::from(self.count),
            path: self.nodes.iter().map(Into::into).collect(),
        })?;
        Ok(root.0)
    }

    fn in_solidity(&self, spec: &Spec) -> Outcome {
        Ok(self.solidity_root(spec)? == self.root)
    }

    #[track_caller]
    fn compare(&self, spec: &Spec, what: &str) -> Outcome {
        let rust = self.in_rust();
        let Self { count, index, .. } = self;
        assert_eq!(self.in_solidity(spec), rust, "{what}: leaf {index} of {count}");
        rust
    }
}

fn merkle_reason(error: &MerkleError) -> &'static str {
    match error {
        MerkleError::Count { .. } => "LeafCountOutOfRange(uint256)",
        MerkleError::Index { .. } => "LeafIndexOutOfRange(uint256,uint256)",
        MerkleError::PathLength { .. } => "PathLengthWrong(uint256,uint256)",
        MerkleError::Root { .. } => "a root that differs is no revert",
    }
}

fn solidity_root(spec: &Spec, leaves: &[[u8; 32]]) -> Result<[u8; 32], &'static str> {
    let leaves = leaves.iter().map(Into::into).collect();
    Ok(spec.ask(ISpec::merkleRootCall { leaves })?.0)
}

#[test]
fn roots_and_paths_are_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    assert_eq!(solidity_root(&spec, &[]), Err("LeafCountOutOfRange(uint256)"));
    assert_eq!(MerkleTree::new(Vec::new()), Err(MerkleError::Count { got: 0 }));
    for count in 1..=LEAVES {
        let leaves: Vec<[u8; 32]> = (0..count).map(|_| draw.word()).collect();
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        let root = tree.root();
        assert_eq!(solidity_root(&spec, &leaves), Ok(root), "{count} leaves");
        for index in [0, count - 1, draw.below(count)] {
            let leaf = leaves[index as usize];
            let good = || Path { root, count, index, leaf, nodes: tree.path(index).unwrap() };
            assert_eq!(good().compare(&spec, "good"), Ok(true));
            for (what, path) in altered_paths(good, &mut draw) {
                assert_ne!(path.compare(&spec, what), Ok(true), "{what}: {index} of {count}");
            }
            // The number of leaves is in no node: another one of the same depth still fits.
            let other_count = Path { count: draw.uint32(), ..good() };
            let _ = other_count.compare(&spec, "another number of leaves");
        }
    }
}

fn altered_paths(good: impl Fn() -> Path, draw: &mut Draw) -> Vec<(&'static str, Path)> {
    let Path { root, count, index, leaf, nodes } = good();
    let mut altered = vec![
        ("root", Path { root: draw.flipped(root), ..good() }),
        ("leaf", Path { leaf: draw.flipped(leaf), ..good() }),
        ("index outside", Path { index: count, ..good() }),
        ("index far outside", Path { index: u32::MAX, ..good() }),
        ("no leaves", Path { count: 0, ..good() }),
        ("longer", Path { nodes: [&nodes[..], &[[0; 32]]].concat(), ..good() }),
    ];
    for position in 0..nodes.len() {
        let mut other = nodes.clone();
        other[position] = draw.flipped(other[position]);
        altered.push(("node", Path { nodes: other, ..good() }));
        altered.push(("index", Path { index: index ^ (1 << position), ..good() }));
    }
    if let Some((_, shorter)) = nodes.split_last() {
        altered.push(("shorter", Path { nodes: shorter.to_vec(), ..good() }));
    }
    altered
}

#[test]
fn paths_of_big_trees_are_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    let mut accepted = 0;
    for case in 0..CASES {
        // Around every power of two, on to the largest tree and just beyond it.
        let power = 1u32 << (case % 18);
        let count = [power.saturating_sub(1), power, power + 1, draw.below(65_536) + 1][case % 4];
        let depth = count.max(1).next_power_of_two().trailing_zeros();
        let length = [depth, depth, depth, depth + 1, depth.saturating_sub(1)][case % 5];
        let nodes: Vec<[u8; 32]> = (0..length).map(|_| draw.word()).collect();
        let leaf = draw.word();
        for index in [0, draw.below(count.max(1)), count.saturating_sub(1), count] {
            let mut path = Path { root: [0; 32], count, index, leaf, nodes: nodes.clone() };
            if path.compare(&spec, "another root") == Ok(false) {
                path.root = path.solidity_root(&spec).unwrap();
                assert_eq!(path.in_rust(), Ok(true), "{length} nodes, {index} of {count}");
                accepted += 1;
            }
        }
    }
    assert!(accepted > CASES, "most paths have a root: {accepted}");
}

#[test]
fn roots_over_records_and_batches_are_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    for count in 1..=LEAVES {
        let mut records: Vec<_> = (0..count).map(|_| draw.record()).collect();
        for (index, record) in (0u32..).zip(&mut records) {
            record.index = index;
        }
        let hash = |record| spec.get(ISpec::segmentLeafCall { record: spec::record(record) }).0;
        let leaves: Vec<[u8; 32]> = records.iter().map(hash).collect();
        let root = *segments_root(&records).unwrap().as_bytes();
        assert_eq!(solidity_root(&spec, &leaves), Ok(root), "{records:?}");

        let mut batch: Vec<BatchLeaf> = (0..count)
            .map(|_| BatchLeaf {
                statement: draw.statement().digest(),
                verdict: draw.pick(&Verdict::ALL),
            })
            .collect();
        batch.sort_unstable();
        let hash = |leaf: &BatchLeaf| {
            let (statement, verdict) = (leaf.statement.as_bytes().into(), leaf.verdict.code());
            spec.get(ISpec::batchLeafCall { statement, verdict }).0
        };
        let leaves: Vec<[u8; 32]> = batch.iter().map(hash).collect();
        let root = *Batch::new(batch.clone()).unwrap().root().as_bytes();
        assert_eq!(solidity_root(&spec, &leaves), Ok(root), "{batch:?}");
    }
}

// Quorum

#[test]
fn the_quorum_is_the_same() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    let quorum = |signed: u128, total: u128| {
        let rust = is_quorum(Stake::new(signed), Stake::new(total));
        assert_eq!(spec.get(ISpec::isQuorumCall { signed, total }), rust, "{signed} of {total}");
        rust
    };
    let fixed = [0, 1, 2, 3, 4, 5, 6, u128::MAX - 2, u128::MAX - 1, u128::MAX];
    let totals: Vec<u128> = fixed.into_iter().chain((0..CASES).map(|_| draw.uint128())).collect();
    for total in totals {
        // The least that is two thirds, without a product that could overflow.
        let least = total - total / 3;
        for signed in [0, 1, least.saturating_add(1), total, u128::MAX, draw.uint128()] {
            let _ = quorum(signed, total);
        }
        assert_eq!(quorum(least, total), total > 0, "two thirds of {total}");
        assert!(!quorum(least.saturating_sub(1), total), "less than two thirds of {total}");
        assert!(!quorum(0, total), "nobody of {total}");
    }
}

// BLS

fn modulus() -> U256 {
    U256::from_limbs(Fq::MODULUS.0)
}

#[test]
fn messages_map_to_the_same_point() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    let p = modulus();
    // Around every multiple of the modulus, and the ends of the range.
    let edges = (0u64..6).flat_map(|multiple| {
        let at = p.wrapping_mul(U256::from(multiple));
        (0u64..7).map(move |offset| at.wrapping_add(U256::from(offset)).wrapping_sub(U256::from(3)))
    });
    let words: Vec<[u8; 32]> = edges.map(|edge| edge.to_be_bytes()).collect();
    let random: Vec<[u8; 32]> = (0..CASES).map(|_| draw.word()).collect();
    for message in words.iter().chain(&random) {
        let (point, _) = hash_to_g1(message).unwrap();
        let found = spec.get(ISpec::hashToG1Call { message: message.into() });
        assert_eq!(found, g1(&point.to_bytes()), "{}", hex::encode(message));
    }
}

/// A message, a signature and one key in both groups, as bytes that nobody has parsed.
#[derive(Clone)]
struct Shown {
    message: BlsMessage,
    signature: [u8; 64],
    key1: [u8; 64],
    key2: [u8; 128],
}

impl Shown {
    /// The aggregate of one to five signers on one message.
    fn honest(message: BlsMessage, draw: &mut Draw) -> Self {
        let signers: Vec<SecretKey> =
            (0..1 + draw.below(5)).map(|_| SecretKey::from_seed(&draw.word()).unwrap()).collect();
        let signatures: Vec<_> = signers.iter().map(|key| key.sign(&message)).collect();
        let keys1: Vec<_> = signers.iter().map(SecretKey::public_g1).collect();
        let keys2: Vec<_> = signers.iter().map(SecretKey::public_g2).collect();
        Self {
            message,
            signature: Signature::aggregate(&signatures).unwrap().to_bytes(),
            key1: PublicKeyG1::aggregate(&keys1).unwrap().to_bytes(),
            key2: PublicKeyG2::aggregate(&keys2).unwrap().to_bytes(),
        }
    }

    fn check(&self) -> Result<(), BlsError> {
        let signature = Signature::from_bytes(&self.signature)?;
        let key1 = PublicKeyG1::from_bytes(&self.key1)?;
        let key2 = PublicKeyG2::from_bytes(&self.key2)?;
        let aggregate = verify_aggregate(&self.message, &key1, &key2, &signature);
        // The check of one signer says the same of a key whose two forms belong together.
        let alone = key2.verify(&self.message, &signature).and(verify_keys_match(&key1, &key2));
        assert_eq!(aggregate.is_ok(), alone.is_ok(), "the two checks of the core differ");
        aggregate
    }

    /// As the contract puts it. It leaves a G2 point's curve and subgroup to the pairing, so such a
    /// point makes it say no where the core refuses to read it.
    fn in_rust(&self) -> Outcome {
        match self.check() {
            Ok(()) => Ok(true),
            Err(BlsError::NotCanonical { .. }) => Err("CoordinateNotReduced(uint256)"),
            Err(BlsError::Identity { .. }) => Err("PointIsIdentity()"),
            Err(BlsError::NotOnCurve { kind: "G2 key" }) => Ok(false),
            Err(BlsError::NotOnCurve { .. }) => Err("PointOffCurve(uint256,uint256)"),
            Err(BlsError::WrongSubgroup { .. } | BlsError::BadSignature) => Ok(false),
            Err(error) => panic!("no input makes this error: {error}"),
        }
    }

    fn in_solidity(&self, spec: &Spec) -> Outcome {
        spec.ask(ISpec::verifyBlsCall {
            message: self.message.digest().into(),
            signature: g1(&self.signature),
            key1: g1(&self.key1),
            key2: g2(&self.key2),
        })
    }

    #[track_caller]
    fn compare(&self, spec: &Spec, what: &str) -> Outcome {
        let rust = self.in_rust();
        let shown = || {
            let parts = [&self.signature[..], &self.key1, &self.key2].map(hex::encode);
            format!("{what}: {:?} {parts:?}", self.message)
        };
        assert_eq!(self.in_solidity(spec), rust, "{}", shown());
        rust
    }

    /// The three points, to be altered one at a time.
    fn points(&mut self) -> [&mut [u8]; 3] {
        [&mut self.signature, &mut self.key1, &mut self.key2]
    }
}

fn word_at(bytes: &[u8], position: usize) -> U256 {
    U256::from_be_slice(&bytes[32 * position..32 * (position + 1)])
}

fn put(bytes: &mut [u8], position: usize, word: U256) {
    bytes[32 * position..32 * (position + 1)].copy_from_slice(&word.to_be_bytes::<32>());
}

/// The inverse of a point: its second half is `y`.
fn negate(bytes: &mut [u8]) {
    for position in bytes.len() / 64..bytes.len() / 32 {
        let y = word_at(bytes, position);
        put(bytes, position, if y.is_zero() { y } else { modulus() - y });
    }
}

/// A point of the curve over the extension field. Its group of order `r` is a vanishing part of it.
fn outside_the_subgroup(draw: &mut Draw) -> [u8; 128] {
    loop {
        let [c0, c1] = [draw.word(), draw.word()].map(|word| Fq::from_be_bytes_mod_order(&word));
        if let Some(point) = G2Affine::get_point_from_x_unchecked(Fq2::new(c0, c1), draw.coin()) {
            let words = [point.x.c1, point.x.c0, point.y.c1, point.y.c0];
            let bytes = words.map(|word| word.into_bigint().to_bytes_be()).concat();
            return bytes.try_into().unwrap();
        }
    }
}

/// Signatures and keys that are whole points, but not the right ones.
fn wrong(good: &Shown, draw: &mut Draw) -> Vec<(&'static str, Shown)> {
    let messages = draw.messages();
    let message = draw.pick(&messages);
    let same = Shown::honest(good.message.clone(), draw);
    let mut negated = good.clone();
    negate(&mut negated.signature);
    vec![
        ("another message", Shown { message, ..good.clone() }),
        ("another's signature", Shown { signature: same.signature, ..good.clone() }),
        ("negated signature", negated),
        ("another's G1 key", Shown { key1: same.key1, ..good.clone() }),
        ("another's G2 key", Shown { key2: same.key2, ..good.clone() }),
        ("another's keys", Shown { signature: good.signature, ..same.clone() }),
        ("another's signature and G1 key", Shown { key2: good.key2, ..same.clone() }),
        ("another's signature and G2 key", Shown { key1: good.key1, ..same }),
        ("no subgroup", Shown { key2: outside_the_subgroup(draw), ..good.clone() }),
    ]
}

/// One point altered to bytes that are no point, or no canonical one.
fn malformed(good: &Shown, draw: &mut Draw) -> Vec<(&'static str, Shown)> {
    let mut altered = Vec::new();
    for point in 0..3 {
        let mut alter = |what, change: &mut dyn FnMut(&mut [u8])| {
            let mut shown = good.clone();
            change(shown.points()[point]);
            altered.push((what, shown));
        };
        alter("identity", &mut |bytes| bytes.fill(0));
        alter("ones", &mut |bytes| bytes.fill(0xff));
        alter("halves swapped", &mut |bytes| bytes.rotate_left(bytes.len() / 2));
        alter("words swapped", &mut |bytes| bytes.as_chunks_mut::<32>().0.reverse());
        let words: u32 = if point == 2 { 4 } else { 2 };
        for position in 0..words as usize {
            alter("a multiple of the modulus added", &mut |bytes| {
                let times = U256::from(1 + draw.below(4));
                put(bytes, position, word_at(bytes, position) + times * modulus());
            });
        }
        let position = draw.below(words) as usize;
        alter("the modulus", &mut |bytes| put(bytes, position, modulus()));
        alter("a random coordinate", &mut |bytes| {
            put(bytes, position, U256::from_be_bytes(draw.word()) % modulus());
        });
        alter("one bit", &mut |bytes| {
            let flipped = draw.flipped(word_at(bytes, position).to_be_bytes());
            put(bytes, position, U256::from_be_bytes(flipped));
        });
    }
    // Two faults at once: both sides look at the signature first, then at G1, then at G2.
    let mut twice = good.clone();
    for bytes in twice.points() {
        if draw.coin() {
            bytes.fill(0);
        } else {
            put(bytes, 1, modulus());
        }
    }
    altered.push(("all three", twice));
    altered
}

#[test]
fn signatures_are_accepted_and_refused_alike() {
    let (spec, mut draw) = (Spec::start(), Draw::fresh());
    for case in 0..SIGNATURES {
        let messages = draw.messages();
        let good = Shown::honest(messages[case % messages.len()].clone(), &mut draw);
        assert_eq!(good.compare(&spec, "good"), Ok(true));
        // The signature of the negated secret: as good as the other.
        let mut mirrored = good.clone();
        mirrored.points().into_iter().for_each(negate);
        assert_eq!(mirrored.compare(&spec, "negated secret"), Ok(true));
        for (what, shown) in wrong(&good, &mut draw) {
            assert_eq!(shown.compare(&spec, what), Ok(false), "{what}");
        }
        for (what, shown) in malformed(&good, &mut draw) {
            assert_ne!(shown.compare(&spec, what), Ok(true), "{what}");
        }
    }
}
