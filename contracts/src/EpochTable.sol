// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBondedStake} from "./interfaces/IBondedStake.sol";
import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IOperatorRegistry} from "./interfaces/IOperatorRegistry.sol";
import {Bn254, G1Point} from "./libraries/Bn254.sol";
import {EpochTableBytes} from "./libraries/EpochTableBytes.sol";

/// @title EpochTable
contract EpochTable is IEpochTable, Ownable2Step {
    using EpochTableBytes for address;
    using EpochTableBytes for bytes;

    /// @dev One slot and the digest: every attestation reads both and nothing else. `supersededAt`
    /// is the creation of the next epoch, 0 before it.
    struct Epoch {
        address pointer;
        uint40 createdAt;
        uint40 supersededAt;
        uint8 numMembers;
        bool hasExcluded;
        bytes32 tableDigest;
    }

    /// @dev Attestation records keep the number in 24 bits; at one epoch a minute that is 31 years.
    uint64 private constant EPOCH_MAX = type(uint24).max;

    /// @notice Whose operators are frozen.
    IOperatorRegistry public immutable registry;
    /// @notice Where their stake is read from.
    IBondedStake public immutable stakeSource;
    /// @inheritdoc IEpochTable
    uint64 public immutable homeChain;
    /// @inheritdoc IEpochTable
    uint64 public currentEpoch;
    uint64 private immutable _maxEpochAgeSeconds;
    uint64 private immutable _graceSeconds;

    EpochParams private _params;
    mapping(uint64 epoch => Epoch record) private _epochs;
    mapping(uint64 epoch => uint256 mask) private _excluded;

    constructor(
        IOperatorRegistry registry_,
        IBondedStake stakeSource_,
        EpochParams memory params_,
        address owner_
    ) Ownable(owner_) {
        _requireSound(params_, stakeSource_.withdrawalDelaySeconds());
        registry = registry_;
        stakeSource = stakeSource_;
        homeChain = SafeCast.toUint64(block.chainid);
        _maxEpochAgeSeconds = params_.maxEpochAgeSeconds;
        _graceSeconds = params_.graceSeconds;
        _params = params_;
    }

    /// @inheritdoc IEpochTable
    function snapshot(address[] calldata operators) external returns (uint64 epoch) {
        epoch = _nextEpoch();
        uint256 expected = registry.operatorCount();
        if (operators.length != expected) {
            revert OperatorListIncomplete(expected, operators.length);
        }
        (bytes memory table, EpochTableBytes.Header memory header) = _freeze(epoch, operators);
        bytes32 tableDigest = keccak256(table);
        // Nothing foreign runs in the creation of a data contract.
        address pointer = table.store();
        uint40 createdAt = uint40(block.timestamp);
        _epochs[epoch - 1].supersededAt = createdAt;
        _epochs[epoch] = Epoch(pointer, createdAt, 0, uint8(header.numMembers), false, tableDigest);
        currentEpoch = epoch;
        emit EpochCreated(
            epoch,
            tableDigest,
            pointer,
            header.snapshotBlock,
            header.snapshotHash,
            header.totalStake,
            header.numMembers
        );
    }

    /// @inheritdoc IEpochTable
    function exclude(uint64 epoch, uint256 mask) external onlyOwner {
        Epoch storage record = _known(epoch);
        uint256 numMembers = record.numMembers;
        if (mask == 0 || mask >> numMembers != 0) revert NoSuchMember(mask, numMembers);
        uint256 merged = _excluded[epoch] | mask;
        _excluded[epoch] = merged;
        record.hasExcluded = true;
        emit OperatorsExcluded(epoch, mask, merged);
    }

    /// @inheritdoc IEpochTable
    function isUsable(uint64 epoch) external view returns (bool) {
        return block.timestamp <= usableUntil(epoch);
    }

    /// @inheritdoc IEpochTable
    function usableUntil(uint64 epoch) public view returns (uint256) {
        return _usableUntil(_known(epoch));
    }

    /// @inheritdoc IEpochTable
    function requireUsable(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded)
    {
        Epoch storage record = _known(epoch);
        uint256 until = _usableUntil(record);
        if (block.timestamp > until) revert EpochNotUsable(epoch, currentEpoch, until);
        return _table(epoch, record);
    }

    /// @inheritdoc IEpochTable
    function tableAt(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded)
    {
        return _table(epoch, _known(epoch));
    }

    /// @inheritdoc IEpochTable
    function tableOf(uint64 epoch) external view returns (bytes memory) {
        return _known(epoch).pointer.read();
    }

    /// @inheritdoc IEpochTable
    function epochInfo(uint64 epoch)
        external
        view
        returns (EpochTableBytes.Header memory header, uint64 createdAt)
    {
        Epoch storage record = _known(epoch);
        return (record.pointer.readHeader(), record.createdAt);
    }

    /// @inheritdoc IEpochTable
    function params() external view returns (EpochParams memory) {
        return _params;
    }

    /// @dev The number of the next epoch, if it may begin now.
    function _nextEpoch() private view returns (uint64) {
        uint64 newest = currentEpoch;
        uint256 nextAt = uint256(_epochs[newest].createdAt) + _params.minEpochSeconds;
        if (block.timestamp < nextAt) revert EpochTooYoung(newest, nextAt);
        if (newest == EPOCH_MAX) revert EpochsExhausted(newest);
        return newest + 1;
    }

    /// @dev Builds the table. The list is strictly ascending, every operator of it is registered
    /// and it is as long as the set: so it is the set.
    function _freeze(uint64 epoch, address[] calldata operators)
        private
        view
        returns (bytes memory table, EpochTableBytes.Header memory header)
    {
        table = EpochTableBytes.allocate(operators.length);
        address previous = address(0);
        for (uint256 i = 0; i < operators.length; ++i) {
            address operator = operators[i];
            if (operator <= previous) revert OperatorsNotAscending(operator);
            previous = operator;
            G1Point memory key = registry.registeredKey1(operator);
            uint128 stake = stakeSource.stakeOf(operator);
            if (stake == 0) continue;
            table.setMember(header.numMembers, operator, key, stake);
            header.aggregateKey = Bn254.add(header.aggregateKey, key);
            header.totalStake += stake;
            ++header.numMembers;
        }
        _requireUsableSet(header);
        header.homeChain = homeChain;
        header.epochTable = address(this);
        header.epoch = epoch;
        header.snapshotBlock = SafeCast.toUint64(block.number - 1);
        header.snapshotHash = blockhash(block.number - 1);
        table.finish(header);
    }

    /// @dev Refuses a set that is too small to be trusted, or whose keys cancel out.
    function _requireUsableSet(EpochTableBytes.Header memory header) private view {
        if (header.numMembers < _params.minMembers) {
            revert TooFewMembers(header.numMembers, _params.minMembers);
        }
        if (header.totalStake < _params.minTotalStake) {
            revert TotalStakeTooSmall(header.totalStake, _params.minTotalStake);
        }
        Bn254.requireG1(header.aggregateKey);
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

    /// @dev What a signature check needs of an epoch.
    function _table(uint64 epoch, Epoch storage record)
        private
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded)
    {
        (pointer, tableDigest) = (record.pointer, record.tableDigest);
        if (record.hasExcluded) excluded = _excluded[epoch];
    }

    /// @dev The record of an epoch that exists.
    function _known(uint64 epoch) private view returns (Epoch storage record) {
        record = _epochs[epoch];
        if (record.pointer == address(0)) revert EpochUnknown(epoch);
    }

    /// @dev Refuses parameters under which stake could leave while it still backs a signature.
    function _requireSound(EpochParams memory p, uint64 withdrawalDelay) private pure {
        if (
            p.minEpochSeconds <= p.graceSeconds || p.maxEpochAgeSeconds < p.minEpochSeconds
                || p.minTotalStake == 0 || p.minMembers == 0
                || p.minMembers > EpochTableBytes.MEMBERS_MAX
        ) revert EpochParamsInvalid();
        uint256 needed = uint256(p.maxEpochAgeSeconds) + p.graceSeconds + p.challengeSeconds
            + p.vetoSeconds + p.slackSeconds;
        if (needed > p.lookaheadSeconds || p.lookaheadSeconds >= withdrawalDelay) {
            revert LookaheadViolated(needed, p.lookaheadSeconds, withdrawalDelay);
        }
    }
}
