// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point} from "./Bn254.sol";

/// @title The epoch table of docs/protocol.md section 3, as its digest sees it
/// @notice The only place that knows the offsets. How a table is stored is another matter
/// (`StoredRoster`, `StoredEpoch`).
library EpochTableBytes {
    /// @dev Most members: a mask of non-signers and the number of an epoch share one word of an
    /// attestation record.
    uint256 internal constant MEMBERS_MAX = 200;
    uint256 internal constant HEADER_BYTES = 162;
    uint256 internal constant MEMBER_BYTES = 100;
    bytes4 private constant MAGIC = "PGE1";

    /// @dev The fixed part of a table.
    struct Header {
        uint64 homeChain;
        address epochTable;
        uint64 epoch;
        uint64 snapshotBlock;
        bytes32 snapshotHash;
        uint128 totalStake;
        G1Point aggregateKey;
        uint16 numMembers;
    }

    /// @notice An empty table with room for `membersMax` members, which are written at `membersOf`
    /// on: operator and key as they stand in a roster's entry, then the stake. Then `finish`.
    function allocate(uint256 membersMax) internal pure returns (bytes memory table) {
        // One spare word: a member's stake is written as a whole word that ends behind it.
        table = new bytes(HEADER_BYTES + membersMax * MEMBER_BYTES + 32);
    }

    /// @notice Where in memory the members of a table begin.
    function membersOf(bytes memory table) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(table, add(32, HEADER_BYTES))
        }
    }

    /// @notice Writes the header and cuts the table to its members.
    function finish(bytes memory table, Header memory header) internal pure {
        bytes memory head = abi.encodePacked(
            MAGIC,
            header.homeChain,
            header.epochTable,
            header.epoch,
            header.snapshotBlock,
            header.snapshotHash,
            header.totalStake,
            header.aggregateKey.x,
            header.aggregateKey.y,
            header.numMembers
        );
        uint256 tableBytes = HEADER_BYTES + uint256(header.numMembers) * MEMBER_BYTES;
        assembly ("memory-safe") {
            mcopy(add(table, 32), add(head, 32), HEADER_BYTES)
            mstore(table, tableBytes)
        }
    }

    /// @notice Number of members of a table.
    function numMembersOf(bytes memory table) internal pure returns (uint256) {
        return (table.length - HEADER_BYTES) / MEMBER_BYTES;
    }

    /// @notice Operator and stake of a member of a table; the index must be a member's.
    function memberOf(bytes memory table, uint256 index)
        internal
        pure
        returns (address operator, uint128 stake)
    {
        // The stake is the last 16 of a member's bytes.
        uint256 start = 32 + HEADER_BYTES + index * MEMBER_BYTES;
        assembly ("memory-safe") {
            let entry := add(table, start)
            operator := shr(96, mload(entry))
            stake := shr(128, mload(add(entry, sub(MEMBER_BYTES, 16))))
        }
    }
}
