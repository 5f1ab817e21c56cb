// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../../src/libraries/Bn254.sol";
import {DataContract} from "../../src/libraries/DataContract.sol";
import {EpochTableBytes} from "../../src/libraries/EpochTableBytes.sol";
import {StoredEpoch} from "../../src/libraries/StoredEpoch.sol";
import {StoredRoster} from "../../src/libraries/StoredRoster.sol";

/// @title From a table's bytes to what a snapshot would have stored
/// @dev Reads the offsets of docs/protocol.md section 3 by itself: the contracts only write them.
library TableParts {
    using DataContract for bytes;
    using StoredEpoch for bytes;
    using StoredRoster for bytes;

    function headOf(bytes memory table) internal pure returns (EpochTableBytes.Header memory head) {
        head.homeChain = uint64(table.wordAt(4) >> 192);
        head.epochTable = address(uint160(table.wordAt(12) >> 96));
        head.epoch = uint64(table.wordAt(32) >> 192);
        head.snapshotBlock = uint64(table.wordAt(40) >> 192);
        head.snapshotHash = bytes32(table.wordAt(48));
        head.totalStake = uint128(table.wordAt(80) >> 128);
        head.aggregateKey = G1Point(table.wordAt(96), table.wordAt(128));
        head.numMembers = uint16(table.wordAt(160) >> 240);
    }

    function memberOf(bytes memory table, uint256 index)
        internal
        pure
        returns (address operator, G1Point memory key, uint128 stake)
    {
        uint256 start = 162 + 100 * index;
        operator = address(uint160(table.wordAt(start) >> 96));
        key = G1Point(table.wordAt(start + 20), table.wordAt(start + 52));
        stake = uint128(table.wordAt(start + 84) >> 128);
    }

    /// @dev Stores the roster and the epoch of a table. `key2` is the sum of all keys in G2, or zero
    /// if it is not known.
    function store(bytes memory table, G2Point memory key2) internal returns (address) {
        EpochTableBytes.Header memory head = headOf(table);
        uint128 greatest = 0;
        uint128[] memory stakes = new uint128[](head.numMembers);
        bytes memory roster = StoredRoster.allocate(head.numMembers);
        for (uint256 i = 0; i < head.numMembers; ++i) {
            (address operator, G1Point memory key, uint128 stake) = memberOf(table, i);
            roster.setEntry(i, operator, key);
            stakes[i] = stake;
            if (stake > greatest) greatest = stake;
        }
        roster.setAggregate(head.aggregateKey, key2);
        uint8 stakeBytes = StoredEpoch.widthOf(greatest);
        bytes memory epoch = StoredEpoch.allocate(head.numMembers, stakeBytes);
        epoch.setMembers(stakes, stakeBytes);
        epoch.finish(
            StoredEpoch.Header({
                tableDigest: keccak256(table),
                snapshotBlock: head.snapshotBlock,
                snapshotHash: head.snapshotHash,
                totalStake: head.totalStake,
                aggregateKey: head.aggregateKey,
                aggregateKey2: key2,
                roster: roster.store(),
                numMembers: uint8(head.numMembers),
                stakeBytes: stakeBytes
            })
        );
        return epoch.store();
    }

    /// @dev The table put together from what is stored.
    function assemble(address pointer, EpochTableBytes.Header memory head)
        internal
        view
        returns (bytes memory)
    {
        bytes memory epoch = DataContract.read(pointer);
        StoredEpoch.Header memory header = epoch.headerOf();
        return epoch.table(header.stakeBytes, DataContract.read(header.roster), head);
    }
}
