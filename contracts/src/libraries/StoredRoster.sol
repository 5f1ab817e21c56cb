// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";

/// @title The roster as bytes: who is in the set, under which keys, without stakes
/// @notice Aggregate key in G1 (64) and in G2 (128), then the operators, strictly ascending:
/// address (20), key in G1 (64). Stored once per change of the set; epochs point to it.
library StoredRoster {
    uint256 internal constant HEADER_BYTES = 192;
    /// @dev The entry's bytes are also the first bytes of a member in `EpochTableBytes`.
    uint256 internal constant ENTRY_BYTES = 84;

    /// @notice A roster with room for `numOperators`.
    function allocate(uint256 numOperators) internal pure returns (bytes memory) {
        return new bytes(HEADER_BYTES + numOperators * ENTRY_BYTES);
    }

    /// @notice Writes the operator at `index`, which must be below the count.
    function setEntry(bytes memory roster, uint256 index, address operator, G1Point memory key)
        internal
        pure
    {
        uint256 offset = 32 + offsetOf(index);
        assembly ("memory-safe") {
            let entry := add(roster, offset)
            mstore(entry, shl(96, operator))
            mcopy(add(entry, 20), key, 64)
        }
    }

    /// @notice Writes the sum of all keys in both groups.
    function setAggregate(bytes memory roster, G1Point memory key1, G2Point memory key2)
        internal
        pure
    {
        assembly ("memory-safe") {
            mcopy(add(roster, 32), key1, 64)
            mcopy(add(roster, 96), key2, 128)
        }
    }

    /// @notice The sum of all keys in both groups.
    function aggregate(bytes memory roster)
        internal
        pure
        returns (G1Point memory key1, G2Point memory key2)
    {
        assembly ("memory-safe") {
            mcopy(key1, add(roster, 32), 64)
            mcopy(key2, add(roster, 96), 128)
        }
    }

    /// @notice How many operators a roster has.
    function count(bytes memory roster) internal pure returns (uint256) {
        return (roster.length - HEADER_BYTES) / ENTRY_BYTES;
    }

    /// @notice All operators, in order.
    function operators(bytes memory roster) internal pure returns (address[] memory list) {
        uint256 numOperators = count(roster);
        list = new address[](numOperators);
        assembly ("memory-safe") {
            let entry := add(roster, add(32, HEADER_BYTES))
            let to := add(list, 32)
            for { let end := add(to, shl(5, numOperators)) } lt(to, end) { to := add(to, 32) } {
                mstore(to, shr(96, mload(entry)))
                entry := add(entry, ENTRY_BYTES)
            }
        }
    }

    /// @notice Where in memory the entries of a roster begin.
    function entriesOf(bytes memory roster) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(roster, add(32, HEADER_BYTES))
        }
    }

    /// @notice The key at `index`, which must be below the count.
    function keyAt(bytes memory roster, uint256 index) internal pure returns (G1Point memory key) {
        uint256 offset = offsetOf(index);
        key.x = DataContract.wordAt(roster, offset + 20);
        key.y = DataContract.wordAt(roster, offset + 52);
    }

    /// @notice One entry of a stored roster; `index` must be below the count.
    function readEntry(address pointer, uint256 index)
        internal
        view
        returns (address operator, G1Point memory key)
    {
        bytes memory entry = DataContract.read(pointer, offsetOf(index), ENTRY_BYTES);
        operator = address(uint160(DataContract.wordAt(entry, 0) >> 96));
        key = G1Point(DataContract.wordAt(entry, 20), DataContract.wordAt(entry, 52));
    }

    /// @notice Where the first key stands in the code of a stored roster; each further one is
    /// `ENTRY_BYTES` behind the one before.
    function firstKeyInCode() internal pure returns (uint256) {
        return DataContract.CODE_OFFSET + HEADER_BYTES + 20;
    }

    /// @dev Where the entry at `index` starts.
    function offsetOf(uint256 index) internal pure returns (uint256) {
        // A place is a single byte.
        unchecked {
            return HEADER_BYTES + index * ENTRY_BYTES;
        }
    }
}
