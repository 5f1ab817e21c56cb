// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, G1Point} from "./Bn254.sol";

/// @title The epoch table of docs/protocol.md section 3: building, storing as code, reading back
/// @notice The only place that knows the offsets.
library EpochTableBytes {
    /// @dev Most members: 162 + 200 * 100 + 1 bytes stay below the 24576-byte code limit.
    uint256 internal constant MEMBERS_MAX = 200;
    uint256 internal constant HEADER_BYTES = 162;
    uint256 internal constant MEMBER_BYTES = 100;
    /// @dev The data contract's code starts with one STOP byte.
    uint256 private constant CODE_OFFSET = 1;
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

    /// @notice The data contract could not be created.
    error TableNotStored(uint256 tableBytes);

    /// @notice An empty table with room for `membersMax` members; written by `setMember`, `finish`.
    function allocate(uint256 membersMax) internal pure returns (bytes memory table) {
        // One spare word: a member's stake is written as a whole word that ends behind it.
        table = new bytes(HEADER_BYTES + membersMax * MEMBER_BYTES + 32);
    }

    /// @notice Writes member `index`. Members must be written in ascending order, because the write
    /// clears the first bytes behind the entry.
    function setMember(
        bytes memory table,
        uint256 index,
        address operator,
        G1Point memory key,
        uint128 stake
    ) internal pure {
        uint256 offset = 32 + HEADER_BYTES + index * MEMBER_BYTES;
        assembly ("memory-safe") {
            let entry := add(table, offset)
            mstore(entry, shl(96, operator))
            mcopy(add(entry, 20), key, 64)
            mstore(add(entry, 84), shl(128, stake))
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

    /// @notice Creates the data contract whose code is STOP and then the table.
    function store(bytes memory table) internal returns (address pointer) {
        // casting to 'uint16' is safe because a table has at most MEMBERS_MAX members
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 codeBytes = uint16(table.length + CODE_OFFSET);
        // PUSH2 size DUP1 PUSH1 10 RETURNDATASIZE CODECOPY RETURNDATASIZE RETURN, then the code.
        bytes memory init =
            abi.encodePacked(hex"61", codeBytes, hex"80600a3d393df3", hex"00", table);
        assembly ("memory-safe") {
            pointer := create(0, add(init, 32), mload(init))
        }
        if (pointer == address(0)) revert TableNotStored(table.length);
    }

    /// @notice The whole table.
    function read(address pointer) internal view returns (bytes memory table) {
        table = new bytes(pointer.code.length - CODE_OFFSET);
        assembly ("memory-safe") {
            extcodecopy(pointer, add(table, 32), CODE_OFFSET, mload(table))
        }
    }

    /// @notice Number of members of a table in memory.
    function numMembersOf(bytes memory table) internal pure returns (uint256) {
        return (table.length - HEADER_BYTES) / MEMBER_BYTES;
    }

    /// @notice Operator and stake of a member of a table in memory; the index must be a member's.
    function memberOf(bytes memory table, uint256 index)
        internal
        pure
        returns (address operator, uint128 stake)
    {
        uint256 offset = HEADER_BYTES + index * MEMBER_BYTES;
        uint256 m;
        assembly ("memory-safe") {
            m := add(table, 32)
        }
        operator = address(uint160(_load(m, offset) >> 96));
        // The stake is the last 16 of the member's bytes.
        stake = uint128(_load(m, offset + MEMBER_BYTES - 32));
    }

    /// @notice The fixed part of a stored table.
    function readHeader(address pointer) internal view returns (Header memory header) {
        uint256 m;
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(0x40, add(m, 192))
            extcodecopy(pointer, m, CODE_OFFSET, HEADER_BYTES)
        }
        header.homeChain = uint64(_load(m, 4) >> 192);
        header.epochTable = address(uint160(_load(m, 12) >> 96));
        header.epoch = uint64(_load(m, 32) >> 192);
        header.snapshotBlock = uint64(_load(m, 40) >> 192);
        header.snapshotHash = bytes32(_load(m, 48));
        header.totalStake = uint128(_load(m, 80) >> 128);
        header.aggregateKey = G1Point(_load(m, 96), _load(m, 128));
        header.numMembers = uint16(_load(m, 160) >> 240);
    }

    /// @notice What a quorum needs of the header: stake, aggregate key, number of members.
    function readQuorum(address pointer)
        internal
        view
        returns (uint128 totalStake, G1Point memory aggregateKey, uint256 numMembers)
    {
        uint256 m;
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(0x40, add(m, 128))
            // From the total stake at 80 to the end of the header.
            extcodecopy(pointer, m, add(CODE_OFFSET, 80), 82)
        }
        totalStake = uint128(_load(m, 0) >> 128);
        aggregateKey.x = _load(m, 16);
        aggregateKey.y = _load(m, 48);
        numMembers = _load(m, 80) >> 240;
    }

    /// @notice Sum of the keys and of the stakes of the members whose bits are set; the mask must
    /// have no bit beyond the members. No bit: the identity and zero.
    function sumOf(address pointer, uint256 mask)
        internal
        view
        returns (G1Point memory key, uint256 stake)
    {
        // The running sum and, behind it, the member that is added: the input of the addition.
        uint256 m;
        assembly ("memory-safe") {
            m := mload(0x40)
            mstore(0x40, add(m, 160))
            calldatacopy(m, calldatasize(), 64)
        }
        uint256 offset = CODE_OFFSET + HEADER_BYTES + 20;
        // Bounded: the mask has at most 200 bits. The last 16 bytes copied are the stake.
        for (uint256 rest = mask; rest != 0;) {
            if (rest & 0xff == 0) {
                (rest, offset) = (rest >> 8, offset + 8 * MEMBER_BYTES);
                continue;
            }
            if (rest & 1 == 1) {
                bool ok;
                assembly ("memory-safe") {
                    extcodecopy(pointer, add(m, 64), offset, 80)
                    ok := staticcall(gas(), 6, m, 128, m, 64)
                    stake := add(stake, shr(128, mload(add(m, 128))))
                }
                if (!ok) revert Bn254.PrecompileFailed(6);
            }
            (rest, offset) = (rest >> 1, offset + MEMBER_BYTES);
        }
        key = G1Point(_load(m, 0), _load(m, 32));
    }

    /// @dev The word at `m + offset`.
    function _load(uint256 m, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(m, offset))
        }
    }
}
