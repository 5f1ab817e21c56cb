// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle trees of docs/protocol.md section 1
/// @notice `node = keccak256(0x01 || left || right)`, leaves padded with the zero word to a power
/// of two. A path has exactly the depth of its tree; there is no shorter or longer valid path.
library MerkleTree {
    /// @dev Most leaves of a tree.
    uint256 internal constant LEAVES_MAX = 65_536;

    /// @notice A tree has 1 to 65536 leaves.
    error LeafCountOutOfRange(uint256 count);
    /// @notice The index is not below the number of leaves.
    error LeafIndexOutOfRange(uint256 index, uint256 count);
    /// @notice The path has another length than the tree's depth.
    error PathLengthWrong(uint256 expected, uint256 got);

    /// @notice Refuses a number of leaves that no tree has.
    function requireCount(uint256 count) internal pure {
        if (count == 0 || count > LEAVES_MAX) revert LeafCountOutOfRange(count);
    }

    /// @notice `ceil(log2(count))`.
    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        requireCount(count);
        unchecked {
            while ((uint256(1) << depth) < count) ++depth;
        }
    }

    /// @notice The root over `leaves`, in their order.
    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        uint256 depth = depthOf(leaves.length);
        bytes32[] memory level = new bytes32[](uint256(1) << depth);
        for (uint256 i = 0; i < leaves.length; ++i) {
            level[i] = leaves[i];
        }
        for (uint256 width = level.length / 2; width > 0; width /= 2) {
            for (uint256 i = 0; i < width; ++i) {
                level[i] = node(level[2 * i], level[2 * i + 1]);
            }
        }
        return level[0];
    }

    /// @notice The root that `leaf` at `index` of `count` leaves leads to along `path`, siblings
    /// from the leaf upwards.
    function rootFromPath(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path)
        internal
        pure
        returns (bytes32 root)
    {
        requireCount(count);
        if (index >= count) revert LeafIndexOutOfRange(index, count);
        // The depth is the length whose power of two holds the leaves and whose half does not.
        uint256 depth = path.length;
        if (depth > 255 || uint256(1) << depth < count || (uint256(1) << depth) >> 1 >= count) {
            revert PathLengthWrong(depthOf(count), depth);
        }
        root = leaf;
        assembly ("memory-safe") {
            // Tag, left and right fit the two words that may be scratched and one byte of the third,
            // which every path restores.
            let free := mload(0x40)
            mstore8(0, 0x01)
            let step := path.offset
            for { let end := add(step, shl(5, depth)) } lt(step, end) { step := add(step, 32) } {
                // A right child stands behind its sibling.
                let place := shl(5, and(index, 1))
                mstore(add(1, place), root)
                mstore(sub(33, place), calldataload(step))
                root := keccak256(0, 65)
                index := shr(1, index)
            }
            mstore(0x40, free)
        }
    }

    /// @notice An inner node.
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32 parent) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(0, 0x01)
            mstore(1, left)
            mstore(33, right)
            parent := keccak256(0, 65)
            mstore(0x40, free)
        }
    }
}
