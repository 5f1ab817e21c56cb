// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";
import {EpochTableBytes} from "../libraries/EpochTableBytes.sol";

/// @title Frozen tables of operators, keys and stakes
/// @notice An epoch's table is the bytes of docs/protocol.md section 3. It is kept as two data
/// contracts: the roster (who, under which keys), written once per change of the set, and the epoch
/// (stakes, places in the roster). New epochs come from the schedule, never from a fault: a faulty
/// operator's bit is set in the epoch's excluded mask, its weight stays in the total.
/// @dev Who may lie: callers (`buildRoster` and `snapshot` are permissionless and take nothing on
/// trust). Roster and stake source are believed.
interface IEpochTable {
    /// @dev Limits of this network, fixed at deployment. Times in seconds. It must hold that
    /// `maxEpochAge + grace + challenge + veto + slack <= lookaheadBlocks * blockSeconds` and
    /// `lookaheadBlocks < deallocation delay <= withdrawal delay`: whoever signs in an epoch can be
    /// held to it as long as a signature of the epoch is accepted and for what follows. And
    /// `grace < minEpoch <= maxEpochAge`, so that at most two epochs are accepted at once.
    /// @dev WARNING: `blockSeconds` is the least time between two blocks of this chain, not the
    /// mean. If the chain becomes faster, epochs end earlier (`usableUntilBlock`), and a slash may
    /// come too late by as much as the chain became faster.
    struct EpochParams {
        uint64 minEpochSeconds;
        uint64 maxEpochAgeSeconds;
        uint64 graceSeconds;
        uint64 challengeSeconds;
        uint64 vetoSeconds;
        uint64 slackSeconds;
        uint32 lookaheadBlocks;
        uint64 blockSeconds;
        uint128 minTotalStake;
        uint16 minMembers;
    }

    /// @notice The set of this version was stored; epochs are frozen from it until it changes.
    event RosterBuilt(uint64 indexed version, address pointer, uint256 numOperators);
    /// @notice A table was frozen; `tableDigest` is of the bytes that `tableOf` returns, `pointer`
    /// is the data contract with what the roster does not hold.
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
    /// @notice The court may exclude members from now on.
    event CourtSet(address court);

    /// @notice The epoch does not exist.
    error EpochUnknown(uint64 epoch);
    /// @notice The epoch is neither the newest nor its predecessor within the grace period, or it
    /// is too old.
    error EpochNotUsable(uint64 epoch, uint64 newest, uint256 usableUntil);
    /// @notice Blocks came faster than the parameters say: a fault that is signed now could not be
    /// punished within the look-ahead.
    error EpochNotCovered(uint64 epoch, uint256 blockNumber, uint256 usableUntilBlock);
    /// @notice The newest epoch is younger than the least length of an epoch.
    error EpochTooYoung(uint64 newest, uint256 nextSnapshotAt);
    /// @notice All numbers that fit an attestation record are used.
    error EpochsExhausted(uint64 epoch);
    /// @notice The list is not the whole operator set.
    error OperatorListIncomplete(uint256 expected, uint256 got);
    /// @notice The list is not strictly ascending at this operator.
    error OperatorsNotAscending(address operator);
    /// @notice The set has more operators than a table has members.
    error OperatorSetTooLarge(uint256 operators, uint256 operatorsMax);
    /// @notice The key in G2 is not the sum of the operators' keys.
    error AggregateKeyMismatch();
    /// @notice The set changed since the roster was built (or none was built, `built` 0): call
    /// `buildRoster` first.
    error RosterStale(uint64 built, uint64 current);
    /// @notice The stake source answered for another number of operators than it was asked for.
    error StakesIncomplete(uint256 expected, uint256 got);
    /// @notice Too few operators have stake.
    error TooFewMembers(uint256 members, uint256 minimum);
    /// @notice The operators have too little stake together.
    error TotalStakeTooSmall(uint256 total, uint256 minimum);
    /// @notice The mask has a bit that is no member's.
    error NoSuchMember(uint256 mask, uint256 numMembers);
    /// @notice The table has no member at this place.
    error MemberUnknown(uint64 epoch, uint256 index, uint256 numMembers);
    /// @notice Only the owner and the court may do this.
    error NotOwnerOrCourt(address caller);
    /// @notice The member was not ejected since the epoch began; 0 if it never was.
    error NotEjected(address operator, uint256 ejectedAt);
    /// @notice It was set before and cannot be changed.
    error AlreadySet(address current);
    /// @notice An address that must not be zero is zero.
    error AddressZero();
    /// @notice Stake could leave while a signature that it backs still counts.
    error LookaheadViolated(
        uint256 neededSeconds,
        uint256 coveredSeconds,
        uint32 lookaheadBlocks,
        uint32 deallocationDelayBlocks,
        uint32 withdrawalDelayBlocks
    );
    /// @notice A bound that may not be zero is zero, the least number of members is above 200, or
    /// it does not hold that `grace < minEpoch <= maxEpochAge`.
    error EpochParamsInvalid();

    /// @notice Stores the operator set as it is now. Anyone may call it. `operators` must be exactly
    /// the registered set, strictly ascending, and `aggregateKey2` the sum of their keys in G2. If
    /// the roster of the present version exists it changes nothing, checks nothing and does not
    /// revert.
    function buildRoster(address[] calldata operators, G2Point calldata aggregateKey2)
        external
        returns (address pointer);

    /// @notice Freezes the table of the next epoch from the roster, which must be of the present
    /// version of the set, and the stakes of this block. Anyone may call it. Operators without stake
    /// get no entry.
    function snapshot() external returns (uint64 epoch);

    /// @notice Sets bits of an epoch's excluded mask; they are never cleared. Bits that are set
    /// already change nothing.
    /// @dev WARNING: owner and court only. Excluding more than a third of the stake stops
    /// attestations of the epoch.
    function exclude(uint64 epoch, uint256 mask) external;

    /// @notice Sets the bit of the member at a place, whose ejection was completed after the epoch
    /// began: its key counts no more, although the next epoch is not there yet. Anyone may call it.
    function excludeEjected(uint64 epoch, uint256 index) external;

    /// @notice Gives the court the power to exclude, once and for good.
    /// @dev WARNING: owner only.
    function setCourt(address court_) external;

    /// @notice Who may exclude besides the owner; zero until it is set.
    function court() external view returns (address);

    /// @notice The newest epoch; 0 before the first snapshot.
    function currentEpoch() external view returns (uint64);

    /// @notice The roster that was built last and the version of the set that it is of; zero before
    /// the first.
    function currentRoster() external view returns (address pointer, uint64 version);

    /// @notice Whether attestations of the epoch are accepted now.
    function isUsable(uint64 epoch) external view returns (bool);

    /// @notice The last second at which the epoch is accepted, as known now: its successor shortens
    /// it to the grace period.
    function usableUntil(uint64 epoch) external view returns (uint256);

    /// @notice The last block in which the epoch is accepted: what follows a signature (challenge,
    /// veto, slack) still fits into the look-ahead. On a chain as slow as the parameters say,
    /// `usableUntil` comes first.
    function usableUntilBlock(uint64 epoch) external view returns (uint256);

    /// @notice The last block that the look-ahead of the epoch covers: up to and in it, the stake in
    /// the table has not fallen except by slashing. Evidence is heard no longer.
    function slashableUntil(uint64 epoch) external view returns (uint256 blockNumber);

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

    /// @notice The table's bytes, put together from both data contracts.
    function tableOf(uint64 epoch) external view returns (bytes memory);

    /// @notice The member at a place of the epoch's table.
    function memberAt(uint64 epoch, uint256 index)
        external
        view
        returns (address operator, G1Point memory key1, uint128 stake);

    /// @notice The decoded fixed part of the table and the second of its creation.
    function epochInfo(uint64 epoch)
        external
        view
        returns (EpochTableBytes.Header memory header, uint64 createdAt);

    /// @notice The second of the epoch's creation and the roster that it was made from: whether it
    /// still is the set's, `currentRoster` says.
    function originOf(uint64 epoch) external view returns (uint64 createdAt, address roster_);

    /// @notice The parameters.
    function params() external view returns (EpochParams memory);

    /// @notice The chain of this contract, which is the home of the stake.
    function homeChain() external view returns (uint64);
}
