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
        while ((uint256(1) << depth) < count) ++depth;
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
        uint256 depth = depthOf(count);
        if (index >= count) revert LeafIndexOutOfRange(index, count);
        if (path.length != depth) revert PathLengthWrong(depth, path.length);
        root = leaf;
        for (uint256 i = 0; i < depth; ++i) {
            bool isRight = (index >> i) & 1 == 1;
            root = isRight ? node(path[i], root) : node(root, path[i]);
        }
    }

    /// @notice An inner node.
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
