//! Trees, paths, and paths that must be refused.

use proofgrid_core::crypto::keccak256;
use proofgrid_core::merkle::{MerkleTree, verify_path};
use serde_json::{Value, json};

use crate::hex;

fn leaves(count: u32) -> Vec<[u8; 32]> {
    (0..count).map(|i| keccak256(&[&[0u8][..], &i.to_be_bytes()].concat())).collect()
}

fn path_json(root: [u8; 32], count: u32, index: u32, leaf: [u8; 32], path: &[[u8; 32]]) -> Value {
    json!({
        "count": count,
        "index": index,
        "leaf": hex(leaf),
        "path": path.iter().map(hex).collect::<Vec<_>>(),
        "root": hex(root),
    })
}

/// Changed copies of a good path, each of which breaks one rule.
fn refused(count: u32, index: u32) -> Vec<Value> {
    let leaves = leaves(count);
    let tree = MerkleTree::new(leaves.clone()).unwrap();
    let (root, path) = (tree.root(), tree.path(index).unwrap());
    let leaf = leaves[index as usize];
    let mut flipped = leaf;
    flipped[31] ^= 1;
    let longer = [path.clone(), vec![[0; 32]]].concat();
    let mut altered = path.clone();
    altered[0][0] ^= 1;
    let cases = [
        (root, count, index, flipped, path.clone()),
        (flipped, count, index, leaf, path.clone()),
        (root, count, index ^ 1, leaf, path.clone()),
        (root, count, count, leaf, path.clone()),
        (root, 2 * count, index, leaf, path.clone()),
        (root, 0, 0, leaf, vec![]),
        (root, 65_537, index, leaf, path.clone()),
        (root, count, index, leaf, longer),
        (root, count, index, leaf, path[1..].to_vec()),
        (root, count, index, leaf, altered),
    ];
    cases
        .into_iter()
        .map(|(root, count, index, leaf, path)| {
            assert!(verify_path(&root, count, index, &leaf, &path).is_err());
            path_json(root, count, index, leaf, &path)
        })
        .collect()
}

pub fn build() -> Value {
    let counts = [1u32, 2, 3, 4, 5, 8, 9, 17];
    let trees: Vec<_> = counts
        .into_iter()
        .map(|count| {
            let leaves = leaves(count);
            let root = MerkleTree::new(leaves.clone()).unwrap().root();
            let leaves: Vec<_> = leaves.iter().map(hex).collect();
            json!({"count": count, "leaves": leaves, "root": hex(root)})
        })
        .collect();
    let paths: Vec<_> = counts
        .into_iter()
        .flat_map(|count| (0..count).map(move |index| (count, index)))
        .map(|(count, index)| {
            let leaves = leaves(count);
            let tree = MerkleTree::new(leaves.clone()).unwrap();
            let path = tree.path(index).unwrap();
            path_json(tree.root(), count, index, leaves[index as usize], &path)
        })
        .collect();
    let refused: Vec<_> = [(3, 2), (8, 5)].into_iter().flat_map(|(n, i)| refused(n, i)).collect();
    json!({"paths": paths, "refused": refused, "trees": trees})
}
