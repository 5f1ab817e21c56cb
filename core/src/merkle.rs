//! Merkle trees over segment records and batches: `node = keccak256(0x01 || left || right)`.
//!
//! Leaves come in hashed under the prefix 0x00, so a node can never be shown as a leaf. The leaves
//! are padded with the zero word to the next power of two; the depth follows from their number and a
//! path of any other length is refused, as is an index outside the leaves (which the padding has).

use thiserror::Error;

use crate::crypto::hash::keccak256_concat;
use crate::limits::MERKLE_LEAVES_MAX;

/// First byte of a leaf's preimage.
pub const LEAF_PREFIX: u8 = 0x00;
/// First byte of a node's preimage.
pub const NODE_PREFIX: u8 = 0x01;

/// Why a tree or a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MerkleError {
    /// A tree needs at least one leaf and is bounded.
    #[error("a tree takes 1 to {MERKLE_LEAVES_MAX} leaves, got {got}")]
    Count {
        /// Leaves given.
        got: u64,
    },
    /// The leaf is outside the tree.
    #[error("leaf {index} is outside a tree of {count} leaves")]
    Index {
        /// Position asked for.
        index: u32,
        /// Leaves of the tree.
        count: u32,
    },
    /// The path does not fit the number of leaves.
    #[error("a path in a tree of {count} leaves has {expected} nodes, got {got}")]
    PathLength {
        /// Leaves of the tree.
        count: u32,
        /// Nodes that a path has.
        expected: usize,
        /// Nodes given.
        got: usize,
    },
    /// The path leads elsewhere.
    #[error("the path of leaf {index} does not lead to the root; leaf, path or root was altered")]
    Root {
        /// Position of the leaf.
        index: u32,
    },
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    keccak256_concat(&[&[NODE_PREFIX], left, right])
}

fn check_count(got: u64) -> Result<(), MerkleError> {
    if got == 0 || got > MERKLE_LEAVES_MAX as u64 {
        return Err(MerkleError::Count { got });
    }
    Ok(())
}

/// Nodes on the path of every leaf: `ceil(log2(count))`.
///
/// # Errors
/// When a tree cannot have `count` leaves.
pub fn depth(count: u32) -> Result<usize, MerkleError> {
    check_count(u64::from(count))?;
    Ok(count.next_power_of_two().trailing_zeros() as usize)
}

/// A whole tree, all levels kept: at most 4 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleTree {
    /// Leaves without padding.
    count: u32,
    /// Padded levels, the leaves first, the root alone in the last.
    levels: Vec<Vec<[u8; 32]>>,
    root: [u8; 32],
}

impl MerkleTree {
    /// Builds the tree over hashed leaves, in order.
    ///
    /// # Errors
    /// When there are none or more than [`MERKLE_LEAVES_MAX`].
    pub fn new(mut leaves: Vec<[u8; 32]>) -> Result<Self, MerkleError> {
        let got = leaves.len() as u64;
        check_count(got)?;
        let count = u32::try_from(got).map_err(|_| MerkleError::Count { got })?;
        leaves.resize(leaves.len().next_power_of_two(), [0; 32]);
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let parents = level
                .chunks_exact(2)
                .filter_map(|pair| <&[[u8; 32]; 2]>::try_from(pair).ok())
                .map(|[left, right]| node(left, right))
                .collect();
            levels.push(std::mem::replace(&mut level, parents));
        }
        let root = level.first().copied().ok_or(MerkleError::Count { got })?;
        Ok(Self { count, levels, root })
    }

    /// The root; of a single leaf, the leaf.
    #[must_use]
    pub const fn root(&self) -> [u8; 32] {
        self.root
    }

    /// Leaves without padding.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The siblings from a leaf up to the root.
    ///
    /// # Errors
    /// When the tree has no such leaf.
    pub fn path(&self, index: u32) -> Result<Vec<[u8; 32]>, MerkleError> {
        let outside = MerkleError::Index { index, count: self.count };
        if index >= self.count {
            return Err(outside);
        }
        let mut position = index as usize;
        let mut path = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            path.push(*level.get(position ^ 1).ok_or_else(|| outside.clone())?);
            position >>= 1;
        }
        Ok(path)
    }
}

/// Checks that `leaf` is leaf `index` of the tree of `count` leaves under `root`.
///
/// # Errors
/// When the count, the index or the path's length is impossible, or the path leads elsewhere.
pub fn verify_path(
    root: &[u8; 32],
    count: u32,
    index: u32,
    leaf: &[u8; 32],
    path: &[[u8; 32]],
) -> Result<(), MerkleError> {
    let expected = depth(count)?;
    if index >= count {
        return Err(MerkleError::Index { index, count });
    }
    if path.len() != expected {
        return Err(MerkleError::PathLength { count, expected, got: path.len() });
    }
    let mut position = index;
    let reached = path.iter().fold(*leaf, |hash, sibling| {
        let parent = if position & 1 == 0 { node(&hash, sibling) } else { node(sibling, &hash) };
        position >>= 1;
        parent
    });
    if reached == *root { Ok(()) } else { Err(MerkleError::Root { index }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u32) -> Vec<[u8; 32]> {
        (0..count).map(|i| keccak256_concat(&[&[LEAF_PREFIX], &i.to_be_bytes()])).collect()
    }

    #[test]
    fn one_leaf_is_its_own_root() {
        let tree = MerkleTree::new(leaves(1)).unwrap();
        assert_eq!(tree.root(), leaves(1)[0]);
        assert_eq!(tree.path(0).unwrap(), Vec::<[u8; 32]>::new());
        verify_path(&tree.root(), 1, 0, &leaves(1)[0], &[]).unwrap();
    }

    #[test]
    fn three_leaves_by_hand() {
        let l = leaves(3);
        let root = node(&node(&l[0], &l[1]), &node(&l[2], &[0; 32]));
        assert_eq!(MerkleTree::new(l).unwrap().root(), root);
    }

    #[test]
    fn none_and_too_many_are_refused() {
        assert_eq!(MerkleTree::new(Vec::new()), Err(MerkleError::Count { got: 0 }));
        let many = vec![[1; 32]; MERKLE_LEAVES_MAX + 1];
        assert_eq!(MerkleTree::new(many), Err(MerkleError::Count { got: 65_537 }));
        assert_eq!(depth(0), Err(MerkleError::Count { got: 0 }));
        assert_eq!(depth(65_537), Err(MerkleError::Count { got: 65_537 }));
        assert_eq!(depth(65_536), Ok(16));
        assert_eq!(depth(65_535), Ok(16));
        assert_eq!(depth(1), Ok(0));
    }

    #[test]
    fn padding_is_no_leaf() {
        let tree = MerkleTree::new(leaves(3)).unwrap();
        assert_eq!(tree.path(3), Err(MerkleError::Index { index: 3, count: 3 }));
        let path = [leaves(3)[2], node(&leaves(3)[0], &leaves(3)[1])];
        assert_eq!(
            verify_path(&tree.root(), 3, 3, &[0; 32], &path),
            Err(MerkleError::Index { index: 3, count: 3 })
        );
    }

    proptest! {
        #[test]
        fn every_index_verifies_and_nothing_else(
            count in 1u32..70,
            picked in any::<prop::sample::Index>(),
            byte in 0usize..32,
            bit in 0u8..8,
        ) {
            let all = leaves(count);
            let tree = MerkleTree::new(all.clone()).unwrap();
            let root = tree.root();
            for index in 0..count {
                let path = tree.path(index).unwrap();
                prop_assert_eq!(path.len(), depth(count).unwrap());
                prop_assert!(verify_path(&root, count, index, &all[index as usize], &path).is_ok());
            }

            let index = picked.index(count as usize) as u32;
            let path = tree.path(index).unwrap();
            let leaf = all[index as usize];
            let refused = |root: &[u8; 32], index, leaf: &[u8; 32], path: &[[u8; 32]]| {
                verify_path(root, count, index, leaf, path).is_err()
            };
            let mut other = leaf;
            other[byte] ^= 1 << bit;
            prop_assert!(refused(&root, index, &other, &path));
            let mut other = root;
            other[byte] ^= 1 << bit;
            prop_assert!(refused(&other, index, &leaf, &path));
            for node in 0..path.len() {
                let mut other = path.clone();
                other[node][byte] ^= 1 << bit;
                prop_assert!(refused(&root, index, &leaf, &other));
            }
            for elsewhere in (0..count).filter(|other| *other != index) {
                prop_assert!(refused(&root, elsewhere, &leaf, &path));
            }
            let mut longer = path.clone();
            longer.push([0; 32]);
            prop_assert!(refused(&root, index, &leaf, &longer));
            if let Some((_, shorter)) = path.split_last() {
                prop_assert!(refused(&root, index, &leaf, shorter));
            }
        }
    }
}
