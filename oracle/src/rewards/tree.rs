//! The core's Merkle trees: Keccak-256 of two nodes side by side; what is missing up to the next power
//! of two is zero.

use proofgrid_core::crypto::hash::keccak256;

/// A leaf's hash, or that of two nodes.
pub(super) type Node = [u8; 32];

/// The root over leaves, and what stands beside the way from leaf `index` up to it. Without leaves the
/// root is zero; for an index beyond the leaves the way is meaningless.
pub(super) fn prove(leaves: Vec<Node>, index: usize) -> (Node, Vec<Node>) {
    let (mut level, mut index) = (leaves, index);
    let width = level.len().next_power_of_two();
    level.resize(width, [0; 32]);
    let mut path = Vec::new();
    while level.len() > 1 {
        path.extend(level.get(index ^ 1));
        let pairs = level.chunks_exact(2);
        level = pairs.map(|pair| keccak256(pair.as_flattened())).collect();
        index /= 2;
    }
    (level.first().copied().unwrap_or_default(), path)
}

#[cfg(test)]
mod tests {
    use proofgrid_core::crypto::hash::keccak256_concat;

    use super::*;

    fn climb(leaf: Node, mut index: usize, path: &[Node]) -> Node {
        path.iter().fold(leaf, |node, beside| {
            let (left, right) =
                if index.is_multiple_of(2) { (&node, beside) } else { (beside, &node) };
            index /= 2;
            keccak256_concat(&[left, right])
        })
    }

    #[test]
    fn every_leaf_of_every_size_climbs_to_the_root() {
        for size in 1..=9_u8 {
            let leaves: Vec<_> = (1..=size).map(|tag| [tag; 32]).collect();
            for (index, leaf) in leaves.iter().enumerate() {
                let (root, path) = prove(leaves.clone(), index);
                assert_eq!(path.len(), usize::from(size).next_power_of_two().ilog2() as usize);
                assert_eq!(climb(*leaf, index, &path), root, "leaf {index} of {size}");
            }
        }
    }

    #[test]
    fn one_leaf_is_its_own_root_and_three_are_four_with_a_zero() {
        assert_eq!(prove(vec![[7; 32]], 0), ([7; 32], Vec::new()));
        let three = vec![[1; 32], [2; 32], [3; 32]];
        let four = vec![[1; 32], [2; 32], [3; 32], [0; 32]];
        assert_eq!(prove(three, 2), prove(four, 2));
        assert_eq!(prove(Vec::new(), 0).0, [0; 32]);
    }
}
