// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EpochTableBytes} from "../libraries/EpochTableBytes.sol";

/// @title Frozen tables of operators, keys and stakes
/// @notice Each epoch's table is the code of a data contract (docs/protocol.md section 3). New
/// epochs come from the schedule, never from a fault: a faulty operator's bit is set in the epoch's
/// excluded mask, its weight stays in the total.
interface IEpochTable {
    /// @dev Limits of this network, fixed at deployment. All times in seconds. It must hold that
    /// `maxEpochAge + grace + challenge + veto + slack <= lookahead < withdrawal delay`: whoever
    /// signs in an epoch can be held to it as long as a signature of the epoch is accepted. And
    /// `grace < minEpoch <= maxEpochAge`, so that at most two epochs are accepted at once.
    struct EpochParams {
        uint64 minEpochSeconds;
        uint64 maxEpochAgeSeconds;
        uint64 graceSeconds;
        uint64 challengeSeconds;
        uint64 vetoSeconds;
        uint64 slackSeconds;
        uint64 lookaheadSeconds;
        uint64 blockSeconds;
        uint128 minTotalStake;
        uint16 minMembers;
    }

    /// @notice A table was frozen; `pointer`'s code is STOP and then the bytes that `tableDigest`
    /// is of.
    event EpochCreated(
        uint64 indexed epoch,
        bytes32 indexed tableDigest,
        address pointer,
        uint64 snapshotBlock,
        bytes32 snapshotHash,
        uint128 totalStake,
        uint16 numMembers
    );
    /// @notice Members at these bits of the epoch's table may no longer sign.
    event OperatorsExcluded(uint64 indexed epoch, uint256 added, uint256 mask);

    /// @notice The epoch does not exist.
    error EpochUnknown(uint64 epoch);
    /// @notice The epoch is neither the newest nor its predecessor within the grace period, or it
    /// is too old.
    error EpochNotUsable(uint64 epoch, uint64 newest, uint256 usableUntil);
    /// @notice The newest epoch is younger than the least length of an epoch.
    error EpochTooYoung(uint64 newest, uint256 nextSnapshotAt);
    /// @notice All numbers that fit an attestation record are used.
    error EpochsExhausted(uint64 epoch);
    /// @notice The list is not the whole operator set.
    error OperatorListIncomplete(uint256 expected, uint256 got);
    /// @notice The list is not strictly ascending at this operator.
    error OperatorsNotAscending(address operator);
    /// @notice Too few operators have stake.
    error TooFewMembers(uint256 members, uint256 minimum);
    /// @notice The operators have too little stake together.
    error TotalStakeTooSmall(uint256 total, uint256 minimum);
    /// @notice The mask has a bit that is no member's.
    error NoSuchMember(uint256 mask, uint256 numMembers);
    /// @notice Stake could leave while a signature that it backs still counts.
    error LookaheadViolated(uint256 needed, uint64 lookahead, uint64 withdrawalDelay);
    /// @notice A bound that may not be zero is zero, the least number of members is above 200, or
    /// it does not hold that `grace < minEpoch <= maxEpochAge`.
    error EpochParamsInvalid();

    /// @notice Freezes the table of the next epoch. Anyone may call it. `operators` must be exactly
    /// the registered set, strictly ascending; those without stake get no entry.
    function snapshot(address[] calldata operators) external returns (uint64 epoch);

    /// @notice Sets bits of an epoch's excluded mask; they are never cleared.
    /// @dev WARNING: owner only. Excluding more than a third of the stake stops attestations of the
    /// epoch. Slashing and ejection take this power over when they exist.
    function exclude(uint64 epoch, uint256 mask) external;

    /// @notice The newest epoch; 0 before the first snapshot.
    function currentEpoch() external view returns (uint64);

    /// @notice Whether attestations of the epoch are accepted now.
    function isUsable(uint64 epoch) external view returns (bool);

    /// @notice The last second at which the epoch is accepted, as known now: its successor shortens
    /// it to the grace period.
    function usableUntil(uint64 epoch) external view returns (uint256);

    /// @notice Data contract, digest and excluded mask of an epoch that must be usable now.
    function requireUsable(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded);

    /// @notice Data contract, digest and excluded mask of any epoch.
    function tableAt(uint64 epoch)
        external
        view
        returns (address pointer, bytes32 tableDigest, uint256 excluded);

    /// @notice The table's bytes.
    function tableOf(uint64 epoch) external view returns (bytes memory);

    /// @notice The decoded fixed part of the table and the second of its creation.
    function epochInfo(uint64 epoch)
        external
        view
        returns (EpochTableBytes.Header memory header, uint64 createdAt);

    /// @notice The parameters.
    function params() external view returns (EpochParams memory);

    /// @notice The chain of this contract, which is the home of the stake.
    function homeChain() external view returns (uint64);
}
