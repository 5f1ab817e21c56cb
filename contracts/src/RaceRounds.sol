// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IFeeVault} from "./interfaces/IFeeVault.sol";
import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {IProverStakes} from "./interfaces/IProverStakes.sol";
import {IRaceRounds} from "./interfaces/IRaceRounds.sol";
import {ITaskManager} from "./interfaces/ITaskManager.sol";
import {Statements} from "./libraries/Statements.sol";
import {JobId, ProgramId, StatementDigest} from "./types/Ids.sol";
import {VERDICT_INVALID, VERDICT_VALID} from "./types/Protocol.sol";

/// @title RaceRounds
contract RaceRounds is IRaceRounds, Ownable2Step {
    /// @dev A prover's stake as it was recorded for an epoch.
    struct StakeRecord {
        uint128 stake;
        uint40 recordedAt;
    }

    /// @notice Most places of a round and most rounds of a race; every loop here is over these.
    uint8 public constant PLACES_MAX = 16;
    /// @notice Most provers whose stake one call records.
    uint256 public constant PROVERS_MAX = 64;
    /// @notice Longest of each of a round's times.
    uint32 public constant STEP_SECONDS_MAX = 30 days;
    /// @dev The operator set of provers.
    uint32 private constant PROVERS = 1;
    bytes32 private constant COMMIT_TAG = keccak256("PROOFGRID_RACE_COMMIT_V1");

    /// @notice Whose word judges.
    IProofRegistry public immutable registry;
    /// @notice Whose epochs stakes are recorded for.
    IEpochTable public immutable epochTable;
    /// @inheritdoc IRaceRounds
    IBonds public immutable bonds;
    /// @notice Where provers' stake is read from.
    IProverStakes public immutable stakes;
    /// @notice Whose jobs are raced.
    ITaskManager public taskManager;

    /// @inheritdoc IRaceRounds
    mapping(ProgramId programId => bool proverBound) public isProverBound;
    RaceParams private _params;
    mapping(JobId jobId => Race race) private _races;
    mapping(JobId jobId => mapping(uint8 round => Commitment[] list)) private _commitments;
    mapping(uint64 epoch => mapping(address prover => StakeRecord record)) private _stakes;

    modifier onlyTaskManager() {
        if (msg.sender != address(taskManager)) revert NotAllowed(msg.sender);
        _;
    }

    constructor(
        IProofRegistry registry_,
        IBonds bonds_,
        IProverStakes stakes_,
        RaceParams memory p,
        address owner_
    ) Ownable(owner_) {
        if (address(bonds_) == address(0) || address(stakes_) == address(0)) {
            revert AddressZero();
        }
        uint64 challengeSeconds = registry_.challengeSeconds();
        bool timesFit = p.commitSeconds != 0 && p.commitSeconds <= STEP_SECONDS_MAX
            && p.revealSeconds != 0 && p.revealSeconds <= STEP_SECONDS_MAX
            && p.judgeSeconds > challengeSeconds && p.judgeSeconds <= STEP_SECONDS_MAX
            && p.holdSecondsMax > challengeSeconds && p.holdSecondsMax <= STEP_SECONDS_MAX;
        bool boundsFit = p.bond != 0 && p.flatFee <= p.bond && p.commitmentsMax != 0
            && p.commitmentsMax <= PLACES_MAX && p.roundsMax != 0 && p.roundsMax <= PLACES_MAX;
        if (!timesFit || !boundsFit) revert RaceParamsInvalid();
        registry = registry_;
        epochTable = registry_.epochTable();
        bonds = bonds_;
        stakes = stakes_;
        _params = p;
    }

    /// @inheritdoc IRaceRounds
    function wire(ITaskManager taskManager_) external onlyOwner {
        if (address(taskManager) != address(0)) revert AlreadySet();
        if (address(taskManager_) == address(0)) revert AddressZero();
        taskManager = taskManager_;
        emit Wired(address(taskManager_));
    }

    /// @inheritdoc IRaceRounds
    function setProverBound(ProgramId programId, bool proverBound) external onlyOwner {
        isProverBound[programId] = proverBound;
        emit ProverBoundSet(programId, proverBound);
    }

    /// @inheritdoc IRaceRounds
    function recordStakes(address[] calldata provers) external {
        if (provers.length > PROVERS_MAX) revert TooManyProvers(provers.length, PROVERS_MAX);
        uint64 epoch = epochTable.currentEpoch();
        uint128[] memory amounts =
            stakes.slashableStakesOf(PROVERS, provers, _params.lookaheadBlocks);
        for (uint256 i = 0; i < provers.length; ++i) {
            StakeRecord storage record = _stakes[epoch][provers[i]];
            if (record.recordedAt != 0 || amounts[i] == 0) continue;
            _stakes[epoch][provers[i]] = StakeRecord(amounts[i], uint40(block.timestamp));
            emit StakeRecorded(epoch, provers[i], amounts[i]);
        }
    }

    /// @inheritdoc IRaceRounds
    function open(JobId jobId, uint64 deadline) external onlyTaskManager {
        Race storage race = _races[jobId];
        if (race.state != RaceState.None) revert RaceNotOpen(jobId, race.state);
        uint256 earliest = block.timestamp + _params.commitSeconds + _params.revealSeconds;
        if (deadline < earliest) revert DeadlineTooClose(deadline, earliest);
        race.deadline = SafeCast.toUint40(deadline);
        race.state = RaceState.Open;
        _openRound(jobId, race);
    }

    /// @inheritdoc IRaceRounds
    function commit(JobId jobId, bytes32 commitment) external {
        Race storage race = _open(jobId);
        if (block.timestamp >= race.commitUntil) {
            revert NotNow(jobId, race.openedAt, race.commitUntil);
        }
        if (commitment == bytes32(0)) revert DigestZero();
        uint128 stake = stakeInRound(jobId, msg.sender);
        if (stake == 0) revert StakeUnknown(msg.sender, race.epoch);
        Commitment[] storage list = _commitments[jobId][race.round];
        _requireNew(jobId, list);
        Commitment memory entry =
            Commitment(msg.sender, CommitmentState.Committed, stake, commitment, 0, 0);
        if (list.length < _params.commitmentsMax) {
            list.push(entry);
        } else {
            _displace(jobId, race.round, list, entry);
        }
        emit Committed(jobId, race.round, msg.sender, commitment, stake);
        bonds.lock(msg.sender, _params.bond);
    }

    /// @inheritdoc IRaceRounds
    function reveal(JobId jobId, StatementDigest statement, bytes32 salt) external {
        Race storage race = _open(jobId);
        if (block.timestamp < race.commitUntil || block.timestamp >= race.revealUntil) {
            revert NotNow(jobId, race.commitUntil, race.revealUntil);
        }
        if (StatementDigest.unwrap(statement) == bytes32(0)) revert DigestZero();
        Commitment storage entry = _find(jobId, race.round, msg.sender, CommitmentState.Committed);
        bytes32 got = commitmentOf(jobId, race.round, statement, msg.sender, salt);
        if (got != entry.word) revert CommitmentDiffers(jobId, msg.sender, entry.word, got);
        entry.state = CommitmentState.Revealed;
        entry.word = StatementDigest.unwrap(statement);
        emit Revealed(jobId, race.round, msg.sender, statement);
    }

    /// @inheritdoc IRaceRounds
    function judge(JobId jobId, address prover, uint8 verdict, ITaskManager.Settlement calldata s)
        external
    {
        Race storage race = _open(jobId);
        (Commitment storage entry, StatementDigest statement, IProofRegistry.Finality finality) =
            _decision(jobId, race.round, prover, verdict, s);
        if (finality != IProofRegistry.Finality.Hard) {
            revert StatementNotDecided(statement, finality);
        }
        bool valid = verdict == VERDICT_VALID;
        entry.state = valid ? CommitmentState.Valid : CommitmentState.Invalid;
        if (valid) {
            IProofRegistry.BatchStatus memory status =
                Statements.certifiedBy(registry, statement, s.leaf);
            // Epochs have 24 bits and masks 200 in the registry's own record.
            entry.epoch = uint24(status.epoch);
            entry.nonSigners = uint200(status.nonSigners);
        }
        emit Judged(jobId, race.round, prover, valid);
    }

    /// @inheritdoc IRaceRounds
    function hold(JobId jobId, address prover, uint8 verdict, ITaskManager.Settlement calldata s)
        external
    {
        Race storage race = _open(jobId);
        (, StatementDigest statement, IProofRegistry.Finality finality) =
            _decision(jobId, race.round, prover, verdict, s);
        if (finality != IProofRegistry.Finality.Soft) {
            revert StatementNotDecided(statement, finality);
        }
        // The window again after it is hard: somebody must have the time to judge it.
        uint256 wanted =
            Statements.hardAt(registry, statement, s.leaf) + registry.challengeSeconds();
        uint256 latest = uint256(race.revealUntil) + _params.judgeSeconds + _params.holdSecondsMax;
        uint256 until = wanted < latest ? wanted : latest;
        if (until <= race.judgeUntil) return;
        race.judgeUntil = SafeCast.toUint40(until);
        emit JudgingHeld(jobId, race.round, race.judgeUntil);
    }

    /// @inheritdoc IRaceRounds
    function close(JobId jobId) external returns (RaceState) {
        Race storage race = _races[jobId];
        if (race.state == RaceState.None) revert RaceNotOpen(jobId, race.state);
        if (race.state != RaceState.Open) return race.state;
        uint8 round = race.round;
        if (!_isOver(jobId, race)) revert RoundNotOver(jobId, race.judgeUntil);
        uint256 won = _endBonds(jobId, round);
        emit RoundClosed(jobId, round, won);
        uint256 nextEnds = block.timestamp + _params.commitSeconds + _params.revealSeconds;
        if (won != 0) race.state = RaceState.Won;
        else if (round < _params.roundsMax && nextEnds <= race.deadline) _openRound(jobId, race);
        else race.state = RaceState.Lost;
        return race.state;
    }

    /// @inheritdoc IRaceRounds
    function cancel(JobId jobId) external onlyTaskManager {
        Race storage race = _open(jobId);
        if (race.round != 1 || _commitments[jobId][1].length != 0) revert RaceBegun(jobId);
        race.state = RaceState.Lost;
        emit RoundClosed(jobId, 1, 0);
    }

    /// @inheritdoc IRaceRounds
    function winners(JobId jobId)
        external
        view
        returns (
            StatementDigest first,
            IFeeVault.Payee[] memory payees,
            IFeeVault.Signing[] memory signings
        )
    {
        Race storage race = _races[jobId];
        if (race.state != RaceState.Won) revert RaceNotOpen(jobId, race.state);
        Commitment[] storage list = _commitments[jobId][race.round];
        uint256 count = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].state == CommitmentState.Valid) ++count;
        }
        payees = new IFeeVault.Payee[](count);
        signings = new IFeeVault.Signing[](count);
        for (uint256 i = list.length; i > 0; --i) {
            Commitment storage entry = list[i - 1];
            if (entry.state != CommitmentState.Valid) continue;
            --count;
            first = StatementDigest.wrap(entry.word);
            payees[count] = IFeeVault.Payee(entry.prover, entry.stake);
            signings[count] = IFeeVault.Signing(entry.epoch, entry.nonSigners);
        }
    }

    /// @inheritdoc IRaceRounds
    function races(JobId jobId) external view returns (Race memory) {
        return _races[jobId];
    }

    /// @inheritdoc IRaceRounds
    function commitments(JobId jobId) external view returns (Commitment[] memory) {
        return _commitments[jobId][_races[jobId].round];
    }

    /// @inheritdoc IRaceRounds
    function endsBy(JobId jobId) external view returns (uint256) {
        Race storage race = _races[jobId];
        uint256 last = uint256(race.deadline) + _params.judgeSeconds;
        return race.judgeUntil > last ? race.judgeUntil : last;
    }

    /// @inheritdoc IRaceRounds
    function commitmentOf(
        JobId jobId,
        uint8 round,
        StatementDigest statement,
        address prover,
        bytes32 salt
    ) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                COMMIT_TAG, block.chainid, address(this), jobId, round, statement, prover, salt
            )
        );
    }

    /// @inheritdoc IRaceRounds
    function stakeInRound(JobId jobId, address prover) public view returns (uint128) {
        Race storage race = _races[jobId];
        StakeRecord memory record = _stakes[race.epoch][prover];
        if (record.recordedAt != 0 && record.recordedAt <= race.openedAt) return record.stake;
        if (race.epoch == 0) return 0;
        // Nobody can have recorded for the epoch in which a round opens right at its beginning.
        return _stakes[race.epoch - 1][prover].stake;
    }

    /// @inheritdoc IRaceRounds
    function raceParams() external view returns (RaceParams memory) {
        return _params;
    }

    /// @dev Opens the next round now.
    function _openRound(JobId jobId, Race storage race) private {
        uint256 commitUntil = block.timestamp + _params.commitSeconds;
        uint256 revealUntil = commitUntil + _params.revealSeconds;
        uint256 judgeUntil = revealUntil + _params.judgeSeconds;
        race.round += 1;
        race.epoch = SafeCast.toUint24(epochTable.currentEpoch());
        race.openedAt = uint40(block.timestamp);
        race.commitUntil = SafeCast.toUint40(commitUntil);
        race.revealUntil = SafeCast.toUint40(revealUntil);
        race.judgeUntil = SafeCast.toUint40(judgeUntil);
        emit RoundOpened(
            jobId, race.round, race.epoch, race.commitUntil, race.revealUntil, race.judgeUntil
        );
    }

    /// @dev Puts the entry in the place of the one with the least stake, among equals the last.
    function _displace(JobId jobId, uint8 round, Commitment[] storage list, Commitment memory entry)
        private
    {
        uint256 least = 0;
        for (uint256 i = 1; i < list.length; ++i) {
            if (list[i].stake <= list[least].stake) least = i;
        }
        uint128 leastStake = list[least].stake;
        if (entry.stake <= leastStake) revert RoundFull(jobId, leastStake, entry.stake);
        address displaced = list[least].prover;
        // Later places move up, so that the order of the list stays the order of coming.
        for (uint256 i = least + 1; i < list.length; ++i) {
            list[i - 1] = list[i];
        }
        list[list.length - 1] = entry;
        emit Displaced(jobId, round, displaced, entry.prover);
        bonds.unlock(jobId, displaced, _params.bond, 0, address(0));
    }

    /// @dev Frees and forfeits the bonds of a round. Returns how many commitments won.
    function _endBonds(JobId jobId, uint8 round) private returns (uint256 won) {
        Commitment[] storage list = _commitments[jobId][round];
        if (list.length == 0) return 0;
        address requester = taskManager.jobs(jobId).requester;
        uint128 bond = _params.bond;
        for (uint256 i = 0; i < list.length; ++i) {
            CommitmentState state = list[i].state;
            uint128 forfeited = bond;
            if (state == CommitmentState.Valid) (forfeited, won) = (0, won + 1);
            if (state == CommitmentState.Revealed) forfeited = _params.flatFee;
            emit BondEnded(jobId, round, list[i].prover, bond, forfeited);
            bonds.unlock(jobId, list[i].prover, bond, forfeited, requester);
        }
    }

    /// @dev Whether the round's time is over, or nothing in it can change any more.
    function _isOver(JobId jobId, Race storage race) private view returns (bool) {
        if (block.timestamp >= race.judgeUntil) return true;
        Commitment[] storage list = _commitments[jobId][race.round];
        if (block.timestamp < race.commitUntil) return false;
        if (list.length == 0) return true;
        if (block.timestamp < race.revealUntil) return false;
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].state == CommitmentState.Revealed) return false;
        }
        return true;
    }

    /// @dev A prover's revealed commitment, and how far its statement stands with the verdict.
    function _decision(
        JobId jobId,
        uint8 round,
        address prover,
        uint8 verdict,
        ITaskManager.Settlement calldata s
    )
        private
        view
        returns (
            Commitment storage entry,
            StatementDigest statement,
            IProofRegistry.Finality finality
        )
    {
        if (verdict != VERDICT_VALID && verdict != VERDICT_INVALID) {
            revert VerdictUnknown(verdict);
        }
        entry = _find(jobId, round, prover, CommitmentState.Revealed);
        (statement,) = Statements.digestOf(registry, jobId, taskManager.jobs(jobId), s);
        bool same = StatementDigest.unwrap(statement) == entry.word;
        if (!same || !Statements.isBy(s, prover)) {
            revert StatementNotRevealed(entry.word, statement);
        }
        finality = registry.leafFinality(statement, verdict, s.leaf);
    }

    /// @dev The prover's commitment of this state in the round.
    function _find(JobId jobId, uint8 round, address prover, CommitmentState state)
        private
        view
        returns (Commitment storage entry)
    {
        Commitment[] storage list = _commitments[jobId][round];
        for (uint256 i = 0; i < list.length; ++i) {
            entry = list[i];
            if (entry.prover == prover && entry.state == state) return entry;
        }
        revert CommitmentNotFound(jobId, prover);
    }

    /// @dev Refuses a second commitment of the caller.
    function _requireNew(JobId jobId, Commitment[] storage list) private view {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].prover == msg.sender) revert AlreadyCommitted(jobId, msg.sender);
        }
    }

    /// @dev The record of a race that is open.
    function _open(JobId jobId) private view returns (Race storage race) {
        race = _races[jobId];
        if (race.state != RaceState.Open) revert RaceNotOpen(jobId, race.state);
    }
}
