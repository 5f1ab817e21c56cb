//! The real block, checked outside the circuit: its trie nodes are one state trie under the block's
//! pre-state root.
//!
//! Every node is found by the Keccak-256 of its bytes alone, from the root down: a node that nothing
//! names, a root that is another one, or a changed byte anywhere leaves the counts short.

use std::collections::{BTreeMap, BTreeSet};

use crate::keccak::{Digest, digest_of, input, permutations_of_len};

/// The block's messages; where they come from is said beside the file.
pub const BLOCK: &[u8] = include_bytes!("../../../../tests/data/block_19807080_messages.hex");

/// Keccak-256 of the file.
const BLOCK_DIGEST: &str = "1553f99b4fde1379115744fee38dcd1a6fa62794cefefbedfba5dff66ddd4494";
/// The state root before mainnet block 19807080 (the header of block 19807079 states it).
const PRE_STATE_ROOT: &str = "bbd66174555d27c88e285ff4797de401470d8d2486d15513ab36e491e864bca2";
/// The block's fee recipient; its balance grows, so its account is read.
const BENEFICIARY: &str = "95222290dd7278aa3ddd389cc1e1d165cc4bafe5";
const NUM_TRANSACTIONS: usize = 9;
const NUM_NODES: usize = 968;
const NUM_CODES: usize = 15;

#[test]
fn the_block_is_the_one_that_its_provenance_names() {
    let messages = input::parse(BLOCK).expect("parses");
    assert_eq!(messages.len(), NUM_TRANSACTIONS + NUM_NODES + NUM_CODES);
    assert_eq!(messages.iter().map(Vec::len).sum::<usize>(), 350_623);
    let permutations: usize = messages.iter().map(|m| permutations_of_len(m.len())).sum();
    assert_eq!(permutations, 2960);
    assert_eq!(hex::encode(digest_of(BLOCK)), BLOCK_DIGEST);
}

#[test]
fn its_trie_nodes_root_at_the_pre_state_root_and_none_is_left_over() {
    let messages = input::parse(BLOCK).expect("parses");
    let mut walk = Walk::of(&messages);
    let accounts = walk.trie(&digest(PRE_STATE_ROOT));
    assert!(walk.seen.contains(&digest(PRE_STATE_ROOT)), "the root itself is given");
    let mut codes = BTreeSet::new();
    for (_, account) in &accounts.leaves {
        let [_nonce, _balance, storage_root, code_hash] = list(account).try_into().expect("four");
        walk.trie(&hash_in(&storage_root));
        codes.insert(hash_in(&code_hash));
    }
    // What the walk reached and what the accounts' code hashes name is everything but transactions.
    codes.retain(|code| walk.given.contains_key(code));
    let (transactions, rest) = messages.split_at(NUM_TRANSACTIONS);
    let named = |m: &&Vec<u8>| walk.seen.contains(&digest_of(m)) || codes.contains(&digest_of(m));
    assert_eq!(rest.iter().filter(|m| walk.seen.contains(&digest_of(m))).count(), NUM_NODES);
    assert_eq!(rest.iter().filter(|m| codes.contains(&digest_of(m))).count(), NUM_CODES);
    assert_eq!(rest.iter().filter(named).count(), NUM_NODES + NUM_CODES);
    assert_eq!(transactions.iter().filter(named).count(), 0);
    // The witness answers for every account that the block names: no path ends in a hash not given.
    let recipients = transactions.iter().map(|bytes| recipient(bytes));
    for address in recipients.chain([hex::decode(BENEFICIARY).expect("hex")]) {
        let path = nibbles(&digest_of(&address));
        let cut = accounts.cut.iter().find(|prefix| path.starts_with(prefix));
        assert_eq!(cut, None, "{}", hex::encode(address));
    }
}

#[test]
fn a_changed_node_cuts_the_trie() {
    let mut messages = input::parse(BLOCK).expect("parses");
    let leaves = |messages: &[Vec<u8>]| {
        let trie = Walk::of(messages).trie(&digest(PRE_STATE_ROOT));
        (trie.leaves.len(), trie.cut)
    };
    let (whole, cut) = leaves(&messages);
    assert!(whole > 0 && cut.iter().all(|path| !path.is_empty()));
    let root = messages.iter().position(|m| digest_of(m) == digest(PRE_STATE_ROOT));
    messages[root.expect("given")][10] ^= 1;
    assert_eq!(leaves(&messages), (0, vec![vec![]]));
}

/// A recursive-length-prefix item.
#[derive(Debug)]
enum Item<'a> {
    Bytes(&'a [u8]),
    List(Vec<Item<'a>>),
}

/// The first item, and the bytes after it.
fn item(bytes: &[u8]) -> (Item<'_>, &[u8]) {
    let (first, rest) = bytes.split_first().expect("an item has a first byte");
    let long = |len_len: u8| {
        let (len, rest) = rest.split_at(usize::from(len_len));
        let len = len.iter().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
        rest.split_at(len)
    };
    match *first {
        0..0x80 => (Item::Bytes(&bytes[..1]), rest),
        0x80..0xb8 => {
            let (value, rest) = rest.split_at(usize::from(first - 0x80));
            (Item::Bytes(value), rest)
        }
        0xb8..0xc0 => {
            let (value, rest) = long(first - 0xb7);
            (Item::Bytes(value), rest)
        }
        0xc0..0xf8 => {
            let (body, rest) = rest.split_at(usize::from(first - 0xc0));
            (Item::List(items(body)), rest)
        }
        0xf8.. => {
            let (body, rest) = long(first - 0xf7);
            (Item::List(items(body)), rest)
        }
    }
}

fn items(mut body: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    while !body.is_empty() {
        let (next, rest) = item(body);
        items.push(next);
        body = rest;
    }
    items
}

/// The items of an encoded list that fills these bytes.
fn list(bytes: &[u8]) -> Vec<Item<'_>> {
    match item(bytes) {
        (Item::List(items), []) => items,
        _ => panic!("no list: {}", hex::encode(bytes)),
    }
}

fn bytes_in<'a>(item: &Item<'a>) -> &'a [u8] {
    match item {
        Item::Bytes(bytes) => bytes,
        Item::List(_) => panic!("a list where bytes were expected"),
    }
}

fn hash_in(item: &Item<'_>) -> Digest {
    bytes_in(item).try_into().expect("32 bytes")
}

fn digest(digits: &str) -> Digest {
    hex::decode(digits).expect("hex").try_into().expect("32 bytes")
}

fn nibbles(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

/// Whom a signed transaction calls; the field before the value, in every type of envelope.
fn recipient(transaction: &[u8]) -> Vec<u8> {
    let (fields, position) = match transaction[0] {
        1 => (list(&transaction[1..]), 4),
        2 | 3 => (list(&transaction[1..]), 5),
        _ => (list(transaction), 3),
    };
    let address = bytes_in(&fields[position]);
    assert_eq!(address.len(), 20, "the block creates no contract directly");
    address.to_vec()
}

/// One trie, as far as its nodes are given.
#[derive(Default)]
struct Trie<'a> {
    /// Paths of 64 nibbles with their values.
    leaves: Vec<(Vec<u8>, &'a [u8])>,
    /// Paths at which a hash stands whose node is not given.
    cut: Vec<Vec<u8>>,
}

/// Finds nodes by their hash and remembers which were reached.
struct Walk<'a> {
    given: BTreeMap<Digest, &'a [u8]>,
    seen: BTreeSet<Digest>,
}

impl<'a> Walk<'a> {
    fn of(messages: &'a [Vec<u8>]) -> Self {
        let given = messages.iter().map(|m| (digest_of(m), m.as_slice())).collect();
        Self { given, seen: BTreeSet::new() }
    }

    /// Everything below a root.
    fn trie(&mut self, root: &Digest) -> Trie<'a> {
        let mut trie = Trie::default();
        self.by_hash(root, Vec::new(), &mut trie);
        trie
    }

    fn by_hash(&mut self, hash: &Digest, path: Vec<u8>, trie: &mut Trie<'a>) {
        match self.given.get(hash).copied() {
            Some(bytes) => {
                let fields = list(bytes);
                self.seen.insert(*hash);
                self.node(&fields, path, trie);
            }
            None => trie.cut.push(path),
        }
    }

    /// A child: nothing, a hash, or a node of less than 32 bytes in place of its hash.
    fn child(&mut self, child: &Item<'a>, path: Vec<u8>, trie: &mut Trie<'a>) {
        match child {
            Item::List(fields) => self.node(fields, path, trie),
            Item::Bytes([]) => {}
            Item::Bytes(_) => self.by_hash(&hash_in(child), path, trie),
        }
    }

    fn node(&mut self, fields: &[Item<'a>], mut path: Vec<u8>, trie: &mut Trie<'a>) {
        match fields {
            [compact, value] => {
                let packed = nibbles(bytes_in(compact));
                let (is_leaf, is_odd) = (packed[0] & 2 != 0, packed[0] & 1 != 0);
                path.extend_from_slice(&packed[if is_odd { 1 } else { 2 }..]);
                if is_leaf {
                    assert_eq!(path.len(), 64, "keys are hashes");
                    trie.leaves.push((path, bytes_in(value)));
                } else {
                    self.child(value, path, trie);
                }
            }
            [children @ .., value] if children.len() == 16 => {
                assert!(bytes_in(value).is_empty(), "no key ends inside the trie");
                for (nibble, child) in (0u8..).zip(children) {
                    let mut path = path.clone();
                    path.push(nibble);
                    self.child(child, path, trie);
                }
            }
            _ => panic!("a node of {} fields", fields.len()),
        }
    }
}
