// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IRoster} from "./interfaces/IRoster.sol";
import {IStakeSource} from "./interfaces/IStakeSource.sol";
import {Bn254, G1Point, G2Point} from "./libraries/Bn254.sol";
import {DataContract} from "./libraries/DataContract.sol";
import {EpochTableBytes} from "./libraries/EpochTableBytes.sol";
import {StoredEpoch} from "./libraries/StoredEpoch.sol";
import {StoredRoster} from "./libraries/StoredRoster.sol";

/// @title EpochTable
contract EpochTable is IEpochTable, Ownable2Step {
    using DataContract for address;
    using DataContract for bytes;
    using StoredEpoch for address;
    using StoredEpoch for bytes;
    using StoredRoster for bytes;

    /// @dev One slot: of storage, every attestation reads this and nothing else, unless several are
    /// excluded. `supersededAt` is the creation of the next epoch, 0 before it. `excluded`: 0 for
    /// nobody, the place and one for one member, `SEVERAL` if the mask has a slot of its own.
    struct Epoch {
        address pointer;
        uint40 createdAt;
        uint40 supersededAt;
        uint8 excluded;
    }

    /// @dev What a snapshot starts from, in one slot.
    struct Head {
        address roster;
        uint64 rosterVersion;
        uint32 epoch;
    }

    /// @dev Attestation records keep the number in 24 bits; at one epoch a minute that is 31 years.
    uint64 private constant EPOCH_MAX = type(uint24).max;
    /// @dev Above every place in a table and one.
    uint8 private constant SEVERAL = type(uint8).max;

    /// @notice Whose operators are frozen.
    IRoster public immutable roster;
    /// @notice Where their stake is read from.
    IStakeSource public immutable stakeSource;
    /// @inheritdoc IEpochTable
    uint64 public immutable homeChain;
    /// @inheritdoc IEpochTable
    address public court;

    uint64 private immutable _minEpochSeconds;
    uint64 private immutable _maxEpochAgeSeconds;
    uint64 private immutable _graceSeconds;
    uint64 private immutable _challengeSeconds;
    uint64 private immutable _vetoSeconds;
    uint64 private immutable _slackSeconds;
    uint32 private immutable _lookaheadBlocks;
    uint64 private immutable _blockSeconds;
    uint128 private immutable _minTotalStake;
    uint16 private immutable _minMembers;
    /// @dev Blocks that must be left of the look-ahead when a signature is accepted.
    uint256 private immutable _consequenceBlocks;

    Head private _head;
    mapping(uint64 epoch => Epoch record) private _epochs;
    mapping(uint64 epoch => uint256 mask) private _excluded;

    constructor(IRoster roster_, IStakeSource stakeSource_, EpochParams memory p, address owner_)
        Ownable(owner_)
    {
        _requireSound(
            p, stakeSource_.deallocationDelayBlocks(), stakeSource_.withdrawalDelayBlocks()
        );
        roster = roster_;
        stakeSource = stakeSource_;
        homeChain = SafeCast.toUint64(block.chainid);
        _minEpochSeconds = p.minEpochSeconds;
        _maxEpochAgeSeconds = p.maxEpochAgeSeconds;
        _graceSeconds = p.graceSeconds;
        _challengeSeconds = p.challengeSeconds;
        _vetoSeconds = p.vetoSeconds;
        _slackSeconds = p.slackSeconds;
        _lookaheadBlocks = p.lookaheadBlocks;
        _blockSeconds = p.blockSeconds;
        _minTotalStake = p.minTotalStake;
        _minMembers = p.minMembers;
        uint256 consequence = uint256(p.challengeSeconds) + p.vetoSeconds + p.slackSeconds;
        _consequenceBlocks = Math.ceilDiv(consequence, p.blockSeconds);
    }

    /// @inheritdoc IEpochTable
    function buildRoster(address[] calldata operators, G2Point calldata aggregateKey2)
        external
        returns (address pointer)
    {
        uint64 version = roster.version();
        if (_head.roster != address(0) && _head.rosterVersion == version) return _head.roster;
        uint256 expected = roster.operatorCount();
        if (expected > EpochTableBytes.MEMBERS_MAX) {
            revert OperatorSetTooLarge(expected, EpochTableBytes.MEMBERS_MAX);
        }
        if (operators.length != expected) {
            revert OperatorListIncomplete(expected, operators.length);
        }
        // Nothing foreign runs in the creation of a data contract.
        pointer = _collect(operators, aggregateKey2).store();
        (_head.roster, _head.rosterVersion) = (pointer, version);
        emit RosterBuilt(version, pointer, expected);
    }

    /// @inheritdoc IEpochTable
    function snapshot() external returns (uint64 epoch) {
        Head memory head = _head;
        epoch = _nextEpoch(head.epoch);
        uint64 version = roster.version();
        if (head.roster == address(0) || head.rosterVersion != version) {
            revert RosterStale(head.rosterVersion, version);
        }
        (bytes memory data, StoredEpoch.Header memory header) = _freeze(epoch, head.roster);
        // Nothing foreign runs in the creation of a data contract.
        address pointer = data.store();
        uint40 createdAt = uint40(block.timestamp);
        if (head.epoch != 0) _epochs[head.epoch].supersededAt = createdAt;
        _epochs[epoch] = Epoch(pointer, createdAt, 0, 0);
        _head.epoch = uint32(epoch);
        emit EpochCreated(
            epoch,
            header.tableDigest,
            pointer,
            header.snapshotBlock,
            header.snapshotHash,
            header.totalStake,
            header.numMembers
        );
    }

    /// @inheritdoc IEpochTable
    function exclude(uint64 epoch, uint256 mask) external {
        if (msg.sender != court && msg.sender != owner()) revert NotOwnerOrCourt(msg.sender);
        Epoch storage record = _known(epoch);
        uint256 numMembers = record.pointer.readNumMembers();
        if (mask == 0 || mask >> numMembers != 0) revert NoSuchMember(mask, numMembers);
        _exclude(epoch, record, mask);
    }

    /// @inheritdoc IEpochTable
    function excludeEjected(uint64 epoch, uint256 index) external {
        Epoch storage record = _known(epoch);
        (address operator,,) = StoredEpoch.readMember(record.pointer, epoch, index);
        uint256 ejectedAt = roster.ejectedAt(operator);
        if (ejectedAt < record.createdAt) revert NotEjected(operator, ejectedAt);
        _exclude(epoch, record, uint256(1) << index);
    }

    /// @inheritdoc IEpochTable
    function setCourt(address court_) external onlyOwner {
        if (court_ == address(0)) revert AddressZero();
        if (court != address(0)) revert AlreadySet(court);
        court = court_;
        emit CourtSet(court_);
    }

    /// @inheritdoc IEpochTable
    function currentEpoch() external view returns (uint64) {
        return _head.epoch;
    }

    /// @inheritdoc IEpochTable
    function currentRoster() external view returns (address pointer, uint64 version) {
        return (_head.roster, _head.rosterVersion);
    }

    /// @inheritdoc IEpochTable
    function isUsable(uint64 epoch) external view returns (bool) {
        return block.timestamp <= usableUntil(epoch) && block.number <= usableUntilBlock(epoch);
    }

    /// @inheritdoc IEpochTable
    function usableUntil(uint64 epoch) public view returns (uint256) {
        return _usableUntil(_known(epoch));
    }

    /// @inheritdoc IEpochTable
    function usableUntilBlock(uint64 epoch) public view returns (uint256) {
        return slashableUntil(epoch) - _consequenceBlocks;
    }

    /// @inheritdoc IEpochTable
    function slashableUntil(uint64 epoch) public view returns (uint256) {
        (, uint64 snapshotBlock) = _known(epoch).pointer.readAnchor();
        return _slashableUntil(snapshotBlock);
    }

    /// @inheritdoc IEpochTable
    function requireUsable(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded)
    {
        Epoch storage record = _known(epoch);
        uint256 until = _usableUntil(record);
        if (block.timestamp > until) revert EpochNotUsable(epoch, _head.epoch, until);
        pointer = record.pointer;
        uint64 snapshotBlock;
        (tableDigest, snapshotBlock) = pointer.readAnchor();
        uint256 lastBlock = _slashableUntil(snapshotBlock) - _consequenceBlocks;
        if (block.number > lastBlock) revert EpochNotCovered(epoch, block.number, lastBlock);
        excluded = _excludedOf(record, epoch);
    }

    /// @inheritdoc IEpochTable
    function tableAt(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded)
    {
        Epoch storage record = _known(epoch);
        pointer = record.pointer;
        (tableDigest,) = pointer.readAnchor();
        excluded = _excludedOf(record, epoch);
    }

    /// @inheritdoc IEpochTable
    function tableOf(uint64 epoch) external view returns (bytes memory) {
        bytes memory data = _known(epoch).pointer.read();
        StoredEpoch.Header memory header = data.headerOf();
        return data.table(header.stakeBytes, header.roster.read(), _tableHeader(epoch, header));
    }

    /// @inheritdoc IEpochTable
    function memberAt(uint64 epoch, uint256 index)
        external
        view
        returns (address operator, G1Point memory key1, uint128 stake)
    {
        return StoredEpoch.readMember(_known(epoch).pointer, epoch, index);
    }

    /// @inheritdoc IEpochTable
    function epochInfo(uint64 epoch)
        external
        view
        returns (EpochTableBytes.Header memory header, uint64 createdAt)
    {
        Epoch storage record = _known(epoch);
        return (_tableHeader(epoch, record.pointer.read().headerOf()), record.createdAt);
    }

    /// @inheritdoc IEpochTable
    function originOf(uint64 epoch) external view returns (uint64 createdAt, address roster_) {
        Epoch storage record = _known(epoch);
        return (record.createdAt, record.pointer.readQuorum().roster);
    }

    /// @inheritdoc IEpochTable
    function params() external view returns (EpochParams memory) {
        return EpochParams({
            minEpochSeconds: _minEpochSeconds,
            maxEpochAgeSeconds: _maxEpochAgeSeconds,
            graceSeconds: _graceSeconds,
            challengeSeconds: _challengeSeconds,
            vetoSeconds: _vetoSeconds,
            slackSeconds: _slackSeconds,
            lookaheadBlocks: _lookaheadBlocks,
            blockSeconds: _blockSeconds,
            minTotalStake: _minTotalStake,
            minMembers: _minMembers
        });
    }

    /// @dev The roster of these operators. The list is strictly ascending, every operator of it is
    /// registered and it is as long as the set: so it is the set.
    function _collect(address[] calldata operators, G2Point calldata aggregateKey2)
        private
        view
        returns (bytes memory data)
    {
        data = StoredRoster.allocate(operators.length);
        G1Point memory sum;
        address previous = address(0);
        for (uint256 i = 0; i < operators.length; ++i) {
            address operator = operators[i];
            if (operator <= previous) revert OperatorsNotAscending(operator);
            previous = operator;
            G1Point memory key = roster.registeredKey1(operator);
            // A member whose key is the identity would add weight and need not sign.
            Bn254.requireG1(key);
            data.setEntry(i, operator, key);
            Bn254.addTo(sum, key);
        }
        // The sum is not the identity, so exactly one point of G2 fits it: nobody chooses the key
        // under which all sign.
        if (!Bn254.isSameKey(sum, aggregateKey2)) revert AggregateKeyMismatch();
        data.setAggregate(sum, aggregateKey2);
    }

    /// @dev The number of the next epoch, if it may begin now.
    function _nextEpoch(uint64 newest) private view returns (uint64) {
        uint256 nextAt = uint256(_epochs[newest].createdAt) + _minEpochSeconds;
        if (block.timestamp < nextAt) revert EpochTooYoung(newest, nextAt);
        if (newest == EPOCH_MAX) revert EpochsExhausted(newest);
        return newest + 1;
    }

    /// @dev What is stored of the next epoch. The digest is of the bytes that `tableOf` will put
    /// together from it.
    function _freeze(uint64 epoch, address rosterPointer)
        private
        view
        returns (bytes memory data, StoredEpoch.Header memory header)
    {
        bytes memory set = rosterPointer.read();
        uint128[] memory stakes = _stakes(set);
        uint128 orOfAll = _count(stakes, header);
        header.stakeBytes = StoredEpoch.widthOf(orOfAll);
        header.roster = rosterPointer;
        (header.aggregateKey, header.aggregateKey2) = set.aggregate();
        if (header.numMembers != stakes.length) {
            // The sum in G2 is known of the whole roster only.
            delete header.aggregateKey2;
            _leaveOut(set, stakes, header.aggregateKey);
        }
        data = StoredEpoch.allocate(header.numMembers, header.stakeBytes);
        data.setMembers(stakes, header.stakeBytes);
        header.snapshotBlock = SafeCast.toUint64(block.number - 1);
        header.snapshotHash = blockhash(block.number - 1);
        header.tableDigest =
            keccak256(data.table(header.stakeBytes, set, _tableHeader(epoch, header)));
        data.finish(header);
    }

    /// @dev The stakes of all operators of the roster now. The answer is not decoded but read where
    /// it lies, which saves a hundredth of a snapshot; `_count` refuses what is no stake.
    function _stakes(bytes memory set) private view returns (uint128[] memory stakes) {
        address[] memory operators = set.operators();
        bytes memory question = abi.encodePacked(
            abi.encodeWithSelector(
                IStakeSource.slashableStakes.selector, 64, _lookaheadBlocks, operators.length
            ),
            operators
        );
        (bool ok, bytes memory answer) = address(stakeSource).staticcall(question);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        // Where the list begins, its length, its items.
        uint256 expected = 64 + 32 * operators.length;
        if (answer.length < 64) revert StakesIncomplete(operators.length, 0);
        assembly ("memory-safe") {
            stakes := add(answer, 64)
        }
        if (
            answer.wordAt(0) != 32 || answer.length != expected || stakes.length != operators.length
        ) {
            revert StakesIncomplete(operators.length, stakes.length);
        }
    }

    /// @dev Counts the members and their stake into the header; refuses a set that is too small to
    /// be trusted.
    function _count(uint128[] memory stakes, StoredEpoch.Header memory header)
        private
        view
        returns (uint128 orOfAll)
    {
        uint256 total = 0;
        uint256 members = 0;
        uint256 allBits = 0;
        // Bounded: at most 200 stakes of 128 bits each.
        unchecked {
            uint256 length = stakes.length;
            for (uint256 i = 0; i < length; ++i) {
                uint256 stake;
                assembly ("memory-safe") {
                    stake := mload(add(add(stakes, 32), shl(5, i)))
                }
                if (stake == 0) continue;
                ++members;
                total += stake;
                allBits |= stake;
            }
        }
        // The highest bit of all is the greatest one's, and none is above 128.
        orOfAll = SafeCast.toUint128(allBits);
        header.numMembers = SafeCast.toUint8(members);
        header.totalStake = SafeCast.toUint128(total);
        if (header.numMembers < _minMembers) {
            revert TooFewMembers(header.numMembers, _minMembers);
        }
        if (header.totalStake < _minTotalStake) {
            revert TotalStakeTooSmall(header.totalStake, _minTotalStake);
        }
    }

    /// @dev Takes the keys of the operators without stake out of the sum; what remains may sign.
    function _leaveOut(bytes memory set, uint128[] memory stakes, G1Point memory sum) private view {
        for (uint256 i = 0; i < stakes.length; ++i) {
            if (stakes[i] == 0) Bn254.addTo(sum, Bn254.negate(set.keyAt(i)));
        }
        Bn254.requireG1(sum);
    }

    /// @dev The fixed part of an epoch's table.
    function _tableHeader(uint64 epoch, StoredEpoch.Header memory header)
        private
        view
        returns (EpochTableBytes.Header memory)
    {
        return EpochTableBytes.Header({
            homeChain: homeChain,
            epochTable: address(this),
            epoch: epoch,
            snapshotBlock: header.snapshotBlock,
            snapshotHash: header.snapshotHash,
            totalStake: header.totalStake,
            aggregateKey: header.aggregateKey,
            numMembers: header.numMembers
        });
    }

    /// @dev The last second at which an epoch is accepted: by its age, and by the grace period once
    /// it has a successor. An epoch lasts at least as long as the grace period, so never are more
    /// than two accepted.
    function _usableUntil(Epoch storage record) private view returns (uint256) {
        uint256 byAge = uint256(record.createdAt) + _maxEpochAgeSeconds + _graceSeconds;
        uint256 supersededAt = record.supersededAt;
        if (supersededAt == 0) return byAge;
        uint256 byGrace = supersededAt + _graceSeconds;
        return byGrace < byAge ? byGrace : byAge;
    }

    /// @dev The last block that the look-ahead covers: it began in the block after the parent that
    /// the table names.
    function _slashableUntil(uint64 snapshotBlock) private view returns (uint256) {
        return uint256(snapshotBlock) + 1 + _lookaheadBlocks;
    }

    /// @dev Adds members of an epoch to its mask.
    function _exclude(uint64 epoch, Epoch storage record, uint256 mask) private {
        uint256 before = _excludedOf(record, epoch);
        uint256 merged = before | mask;
        if (merged == before) return;
        bool isOne = merged & (merged - 1) == 0;
        if (!isOne) _excluded[epoch] = merged;
        // A place is below 200.
        record.excluded = isOne ? uint8(Math.log2(merged) + 1) : SEVERAL;
        emit OperatorsExcluded(epoch, mask, merged);
    }

    /// @dev The excluded members of an epoch.
    function _excludedOf(Epoch storage record, uint64 epoch) private view returns (uint256) {
        uint8 excluded = record.excluded;
        if (excluded == 0) return 0;
        return excluded == SEVERAL ? _excluded[epoch] : uint256(1) << (excluded - 1);
    }

    /// @dev The record of an epoch that exists.
    function _known(uint64 epoch) private view returns (Epoch storage record) {
        record = _epochs[epoch];
        if (record.pointer == address(0)) revert EpochUnknown(epoch);
    }

    /// @dev Refuses parameters under which stake could leave while it still backs a signature.
    function _requireSound(EpochParams memory p, uint32 deallocation, uint32 withdrawal)
        private
        pure
    {
        if (
            p.minEpochSeconds <= p.graceSeconds || p.maxEpochAgeSeconds < p.minEpochSeconds
                || p.minTotalStake == 0 || p.minMembers == 0 || p.blockSeconds == 0
                || p.minMembers > EpochTableBytes.MEMBERS_MAX
        ) revert EpochParamsInvalid();
        uint256 needed = uint256(p.maxEpochAgeSeconds) + p.graceSeconds + p.challengeSeconds
            + p.vetoSeconds + p.slackSeconds;
        uint256 covered = uint256(p.lookaheadBlocks) * p.blockSeconds;
        if (needed > covered || p.lookaheadBlocks >= deallocation || deallocation > withdrawal) {
            revert LookaheadViolated(needed, covered, p.lookaheadBlocks, deallocation, withdrawal);
        }
    }
}
