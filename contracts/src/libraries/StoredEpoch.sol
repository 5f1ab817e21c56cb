// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IEpochTable} from "../interfaces/IEpochTable.sol";
import {Bn254, G1Point, G2Point} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";
import {EpochTableBytes} from "./EpochTableBytes.sol";
import {StoredRoster} from "./StoredRoster.sol";

/// @title What is stored of an epoch: everything of its table that the roster does not hold
/// @notice Members are (stake, place in the roster), with as many bytes for a stake as the greatest
/// one needs. The aggregate key in G2 is zero if the table is not the whole roster: it is known of
/// the whole roster only.
library StoredEpoch {
    using DataContract for bytes;

    uint256 internal constant HEADER_BYTES = 302;
    /// @dev Bytes behind a stake: its member's place in the roster, below 200.
    uint256 private constant INDEX_BYTES = 1;
    /// @dev Where the part that a quorum needs begins; it reaches to the header's end.
    uint256 private constant QUORUM_OFFSET = 72;
    /// @dev Where the roster's address is, and behind it the number of members.
    uint256 private constant ROSTER_OFFSET = 280;
    uint256 private constant COUNTS_OFFSET = 300;

    /// @dev The header, in the order of its bytes.
    struct Header {
        bytes32 tableDigest;
        uint64 snapshotBlock;
        bytes32 snapshotHash;
        uint128 totalStake;
        G1Point aggregateKey;
        G2Point aggregateKey2;
        address roster;
        uint8 numMembers;
        uint8 stakeBytes;
    }

    /// @dev The part that a quorum needs.
    struct Quorum {
        uint128 totalStake;
        G1Point key1;
        G2Point key2;
        address roster;
        uint256 numMembers;
        uint256 stakeBytes;
    }

    /// @notice How many bytes the stake needs.
    function widthOf(uint128 stake) internal pure returns (uint8 stakeBytes) {
        for (; stake != 0; stake >>= 8) {
            ++stakeBytes;
        }
    }

    /// @notice An epoch with room for its members, with one spare word: a member is written as a
    /// whole word that may end behind it.
    function allocate(uint256 numMembers, uint256 stakeBytes) internal pure returns (bytes memory) {
        return new bytes(_lengthOf(numMembers, stakeBytes) + 32);
    }

    /// @notice Writes a member for each stake that is not zero; its place is the stake's.
    /// @dev Members are written in ascending order: each write clears the first bytes behind it.
    function setMembers(bytes memory epoch, uint128[] memory stakes, uint256 stakeBytes)
        internal
        pure
    {
        uint256 unused = 8 * (32 - INDEX_BYTES - stakeBytes);
        assembly ("memory-safe") {
            let entry := add(epoch, add(32, HEADER_BYTES))
            let length := mload(stakes)
            for { let place := 0 } lt(place, length) { place := add(place, 1) } {
                let stake := mload(add(add(stakes, 32), shl(5, place)))
                if stake {
                    mstore(entry, shl(unused, or(shl(8, stake), place)))
                    entry := add(entry, add(stakeBytes, INDEX_BYTES))
                }
            }
        }
    }

    /// @notice Writes the header and cuts the bytes to the members.
    function finish(bytes memory epoch, Header memory header) internal pure {
        bytes memory head = bytes.concat(
            abi.encodePacked(
                header.tableDigest, header.snapshotBlock, header.snapshotHash, header.totalStake
            ),
            abi.encode(header.aggregateKey, header.aggregateKey2),
            abi.encodePacked(header.roster, header.numMembers, header.stakeBytes)
        );
        uint256 length = _lengthOf(header.numMembers, header.stakeBytes);
        assembly ("memory-safe") {
            mcopy(add(epoch, 32), add(head, 32), HEADER_BYTES)
            mstore(epoch, length)
        }
    }

    /// @notice The header.
    function headerOf(bytes memory epoch) internal pure returns (Header memory header) {
        header.tableDigest = bytes32(epoch.wordAt(0));
        header.snapshotBlock = uint64(epoch.wordAt(32) >> 192);
        header.snapshotHash = bytes32(epoch.wordAt(40));
        header.totalStake = uint128(epoch.wordAt(72) >> 128);
        header.aggregateKey = G1Point(epoch.wordAt(88), epoch.wordAt(120));
        header.aggregateKey2 =
            G2Point(epoch.wordAt(152), epoch.wordAt(184), epoch.wordAt(216), epoch.wordAt(248));
        header.roster = address(uint160(epoch.wordAt(280) >> 96));
        header.numMembers = uint8(epoch.wordAt(300) >> 248);
        header.stakeBytes = uint8(epoch.wordAt(301) >> 248);
    }

    /// @notice The table of docs/protocol.md section 3 that this epoch and its roster make, under
    /// the fixed part `head`.
    function table(
        bytes memory epoch,
        uint256 stakeBytes,
        bytes memory roster,
        EpochTableBytes.Header memory head
    ) internal pure returns (bytes memory whole) {
        whole = EpochTableBytes.allocate(head.numMembers);
        uint256 to = EpochTableBytes.membersOf(whole);
        uint256 end = to + head.numMembers * EpochTableBytes.MEMBER_BYTES;
        uint256 step = EpochTableBytes.MEMBER_BYTES;
        uint256 identities = StoredRoster.entriesOf(roster);
        uint256 identityBytes = StoredRoster.ENTRY_BYTES;
        uint256 unused = 8 * (32 - INDEX_BYTES - stakeBytes);
        assembly ("memory-safe") {
            let from := add(epoch, add(32, HEADER_BYTES))
            for {} lt(to, end) { to := add(to, step) } {
                let entry := shr(unused, mload(from))
                mcopy(to, add(identities, mul(and(entry, 0xff), identityBytes)), identityBytes)
                // The stake's word ends behind the member; the next member overwrites the rest.
                mstore(add(to, identityBytes), shl(128, shr(8, entry)))
                from := add(from, add(stakeBytes, INDEX_BYTES))
            }
        }
        EpochTableBytes.finish(whole, head);
    }

    /// @notice Digest and block of a stored epoch.
    function readAnchor(address pointer)
        internal
        view
        returns (bytes32 tableDigest, uint64 snapshotBlock)
    {
        bytes memory anchor = DataContract.read(pointer, 0, 40);
        return (bytes32(anchor.wordAt(0)), uint64(anchor.wordAt(32) >> 192));
    }

    /// @notice How many members a stored epoch has.
    function readNumMembers(address pointer) internal view returns (uint256) {
        return DataContract.read(pointer, COUNTS_OFFSET, 1).wordAt(0) >> 248;
    }

    /// @notice The sum of a stored epoch's stakes.
    function readTotalStake(address pointer) internal view returns (uint128) {
        return uint128(DataContract.read(pointer, QUORUM_OFFSET, 16).wordAt(0) >> 128);
    }

    /// @notice The member at `index` of a stored epoch, whose number is told to who asks for one
    /// that there is not. Nothing but the member is read.
    function readMember(address pointer, uint64 epoch, uint256 index)
        internal
        view
        returns (address operator, G1Point memory key1, uint128 stake)
    {
        uint256 tail = DataContract.read(pointer, ROSTER_OFFSET, 22).wordAt(0);
        uint256 numMembers = (tail >> 88) & 0xff;
        uint256 stakeBytes = (tail >> 80) & 0xff;
        if (index >= numMembers) revert IEpochTable.MemberUnknown(epoch, index, numMembers);
        bytes memory entry = DataContract.read(pointer, _lengthOf(index, stakeBytes), 32);
        uint256 place;
        (stake, place) = _split(entry.wordAt(0), stakeBytes);
        (operator, key1) = StoredRoster.readEntry(address(uint160(tail >> 96)), place);
    }

    /// @notice What a quorum needs of a stored epoch.
    function readQuorum(address pointer) internal view returns (Quorum memory quorum) {
        bytes memory data = DataContract.read(pointer, QUORUM_OFFSET, HEADER_BYTES - QUORUM_OFFSET);
        quorum.totalStake = uint128(data.wordAt(0) >> 128);
        G1Point memory key1 = quorum.key1;
        G2Point memory key2 = quorum.key2;
        assembly ("memory-safe") {
            mcopy(key1, add(data, 48), 64)
            mcopy(key2, add(data, 112), 128)
        }
        uint256 last = data.wordAt(208);
        quorum.roster = address(uint160(last >> 96));
        quorum.numMembers = (last >> 88) & 0xff;
        quorum.stakeBytes = (last >> 80) & 0xff;
    }

    /// @notice Sum of the keys and of the stakes of the members whose bits are set; the mask must
    /// have no bit beyond the members. No bit: the identity and zero.
    function sumOf(address pointer, Quorum memory quorum, uint256 mask)
        internal
        view
        returns (G1Point memory key, uint256 stake)
    {
        uint256 entryBytes = quorum.stakeBytes + INDEX_BYTES;
        bytes memory members =
            DataContract.read(pointer, HEADER_BYTES, quorum.numMembers * entryBytes + 32);
        address roster = quorum.roster;
        uint256 unused = 8 * (32 - entryBytes);
        uint256 firstKey = StoredRoster.firstKeyInCode();
        uint256 rosterStep = StoredRoster.ENTRY_BYTES;
        bool ok = true;
        assembly ("memory-safe") {
            // The running sum and, behind it, the key that is added: the input of the addition.
            let sum := mload(0x40)
            mstore(0x40, add(sum, 128))
            calldatacopy(sum, calldatasize(), 64)
            let from := add(members, 32)
            // Bounded: the mask has at most 200 bits.
            for {} mask {} {
                if iszero(and(mask, 0xff)) {
                    mask := shr(8, mask)
                    from := add(from, shl(3, entryBytes))
                    continue
                }
                if and(mask, 1) {
                    let entry := shr(unused, mload(from))
                    stake := add(stake, shr(8, entry))
                    let keyAt := add(firstKey, mul(and(entry, 0xff), rosterStep))
                    extcodecopy(roster, add(sum, 64), keyAt, 64)
                    ok := and(ok, staticcall(gas(), 6, sum, 128, sum, 64))
                }
                mask := shr(1, mask)
                from := add(from, entryBytes)
            }
            mcopy(key, sum, 64)
        }
        if (!ok) revert Bn254.PrecompileFailed(6);
    }

    /// @dev A member's stake and place, from the word that begins with its entry.
    function _split(uint256 word, uint256 stakeBytes)
        private
        pure
        returns (uint128 stake, uint256 place)
    {
        uint256 entry;
        unchecked {
            entry = word >> (8 * (32 - INDEX_BYTES - stakeBytes));
        }
        // casting to 'uint128' is safe because a stake has at most 16 bytes
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint128(entry >> 8), entry & 0xff);
    }

    /// @dev Bytes of the header and the first `numMembers` members.
    function _lengthOf(uint256 numMembers, uint256 stakeBytes) private pure returns (uint256) {
        // Both factors come from single bytes.
        unchecked {
            return HEADER_BYTES + numMembers * (stakeBytes + INDEX_BYTES);
        }
    }
}
