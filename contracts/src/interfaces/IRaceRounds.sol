// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId, ProgramId, StatementDigest} from "../types/Ids.sol";
import {IBonds} from "./IBonds.sol";
import {IFeeVault} from "./IFeeVault.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {ITaskManager} from "./ITaskManager.sol";

/// @title Races: several provers prove one job, in two steps
/// @notice In a round provers commit to their statements with a bond, then reveal them; each
/// commitment is judged on its own proof, by its own certificate leaf. The winners share the fee by
/// the stake that they had when the round opened. Only programs whose proofs are bound to their
/// prover can be raced, or else a revealed proof could be copied.
/// @dev The legal edges of a race; one round at a time:
///
/// | from | to | by |
/// |---|---|---|
/// | None | Open | `open`, with round 1 |
/// | Open | Open | `close`: nobody won, and another round fits before the deadline and the cap |
/// | Open | Won | `close`: at least one commitment is valid |
/// | Open | Lost | `close`: nobody won and no round is left; `cancel` |
///
/// and of a commitment:
///
/// | from | to | by |
/// |---|---|---|
/// | None | Committed | `commit`, before `commitUntil` |
/// | Committed | None | a commitment of strictly more stake takes the last place; the bond is free |
/// | Committed | Revealed | `reveal`, from `commitUntil` and before `revealUntil` |
/// | Revealed | Valid, Invalid | `judge`: its own leaf is hard |
///
/// At `close` the bond of a `Valid` one is free; `Invalid` and `Committed` (not revealed) lose it to
/// the requester; a `Revealed` one that no certificate came for pays the flat fee, because whether
/// its proof could be fetched is not known on-chain. A round ends at `judgeUntil`, which `hold` can
/// move by a capped time, so a race always ends. `docs/protocol.md` tells what provers do off-chain:
/// no proof leaves them before `commitUntil`, and they reveal when their commitment is final.
interface IRaceRounds {
    /// @dev See the first table above.
    enum RaceState {
        None,
        Open,
        Won,
        Lost
    }

    /// @dev See the second table above.
    enum CommitmentState {
        None,
        Committed,
        Revealed,
        Valid,
        Invalid
    }

    /// @dev Fixed at deployment. Commitments and rounds are at most 16 each.
    struct RaceParams {
        uint128 bond;
        uint128 flatFee;
        uint32 commitSeconds;
        uint32 revealSeconds;
        uint32 judgeSeconds;
        uint32 holdSecondsMax;
        uint32 lookaheadBlocks;
        uint8 commitmentsMax;
        uint8 roundsMax;
    }

    /// @dev What is kept of a race: its newest round. `epoch` was open when that round opened.
    struct Race {
        uint40 deadline;
        uint40 openedAt;
        uint40 commitUntil;
        uint40 revealUntil;
        uint40 judgeUntil;
        uint24 epoch;
        uint8 round;
        RaceState state;
    }

    /// @dev What is kept of a commitment. `word` is the commitment, from its reveal on the statement
    /// digest. Epoch and mask are those of the certificate that found it valid.
    struct Commitment {
        address prover;
        CommitmentState state;
        uint128 stake;
        bytes32 word;
        uint200 nonSigners;
        uint24 epoch;
    }

    /// @notice The task manager is known; this happens once.
    event Wired(address indexed taskManager);
    /// @notice Whether the program's proofs are bound to their prover.
    event ProverBoundSet(ProgramId indexed programId, bool proverBound);
    /// @notice A prover's stake was recorded for an epoch.
    event StakeRecorded(uint64 indexed epoch, address indexed prover, uint128 stake);
    /// @notice A round takes commitments.
    event RoundOpened(
        JobId indexed jobId,
        uint8 round,
        uint64 epoch,
        uint64 commitUntil,
        uint64 revealUntil,
        uint64 judgeUntil
    );
    /// @notice A prover committed.
    event Committed(
        JobId indexed jobId, uint8 round, address indexed prover, bytes32 commitment, uint128 stake
    );
    /// @notice A prover's commitment made room for one with more stake; its bond is free.
    event Displaced(JobId indexed jobId, uint8 round, address indexed prover, address indexed by);
    /// @notice A prover revealed its statement.
    event Revealed(
        JobId indexed jobId, uint8 round, address indexed prover, StatementDigest statement
    );
    /// @notice A certificate decided about a revealed statement.
    event Judged(JobId indexed jobId, uint8 round, address indexed prover, bool valid);
    /// @notice The round is judged until later, because an attested statement waits to be hard.
    event JudgingHeld(JobId indexed jobId, uint8 round, uint64 judgeUntil);
    /// @notice A bond came back, less what was forfeited to the requester.
    event BondEnded(
        JobId indexed jobId, uint8 round, address indexed prover, uint128 bond, uint128 forfeited
    );
    /// @notice A round is over.
    event RoundClosed(JobId indexed jobId, uint8 round, uint256 winners);

    /// @notice The caller is not the contract whose right this is.
    error NotAllowed(address caller);
    /// @notice An address that must be set is zero.
    error AddressZero();
    /// @notice The task manager is known already.
    error AlreadySet();
    /// @notice A bound is zero or above its limit, or the times do not cover the challenge window.
    error RaceParamsInvalid();
    /// @notice The deadline leaves no time for one round.
    error DeadlineTooClose(uint64 deadline, uint256 earliest);
    /// @notice More provers than one call records.
    error TooManyProvers(uint256 count, uint256 limit);
    /// @notice The race is not in a state that this call is for.
    error RaceNotOpen(JobId jobId, RaceState state);
    /// @notice The step is not possible now, only from `from` and before `until`.
    error NotNow(JobId jobId, uint256 from, uint256 until);
    /// @notice The prover had no recorded stake when the round opened.
    error StakeUnknown(address prover, uint64 epoch);
    /// @notice The prover has a commitment in this round.
    error AlreadyCommitted(JobId jobId, address prover);
    /// @notice All places are taken by provers with as much stake or more.
    error RoundFull(JobId jobId, uint128 least, uint128 got);
    /// @notice The prover has no commitment of this state in this round.
    error CommitmentNotFound(JobId jobId, address prover);
    /// @notice Statement and salt are not what the prover committed to.
    error CommitmentDiffers(JobId jobId, address prover, bytes32 expected, bytes32 got);
    /// @notice A digest that must not be zero is zero.
    error DigestZero();
    /// @notice The statement is not the revealed one, or not of this prover alone.
    error StatementNotRevealed(bytes32 revealed, StatementDigest got);
    /// @notice The statement does not stand with this verdict, or not yet.
    error StatementNotDecided(StatementDigest statement, IProofRegistry.Finality finality);
    /// @notice The verdict is neither valid nor invalid.
    error VerdictUnknown(uint8 verdict);
    /// @notice The round is not over.
    error RoundNotOver(JobId jobId, uint256 judgeUntil);
    /// @notice Somebody has committed, so the race cannot be cancelled.
    error RaceBegun(JobId jobId);

    /// @notice Names the task manager. Once.
    /// @dev WARNING: owner only. A wrong address here can open and lose races.
    function wire(ITaskManager taskManager_) external;

    /// @notice Says whether a program's proofs are bound to their prover.
    /// @dev WARNING: owner only. Of a program that is not, a revealed proof can be copied; a wrong
    /// mark gives the copier a share.
    function setProverBound(ProgramId programId, bool proverBound) external;

    /// @notice Records the slashable stake of provers for the current epoch, at most 64 at once;
    /// the first record of an epoch stays. Anyone may call it.
    function recordStakes(address[] calldata provers) external;

    /// @notice Begins the race of a new job. Only the task manager.
    function open(JobId jobId, uint64 deadline) external;

    /// @notice Commits the caller, with the bond, to a statement that only it knows. If all places
    /// are taken, it must have strictly more stake than the least of them, which leaves; among equals
    /// whoever came first stays.
    function commit(JobId jobId, bytes32 commitment) external;

    /// @notice Reveals what the caller committed to.
    function reveal(JobId jobId, StatementDigest statement, bytes32 salt) external;

    /// @notice Notes the verdict on a prover's revealed statement, given its own hard leaf, as long
    /// as the round is not closed. Anyone may call it. Every record in `s` must be the prover's.
    function judge(JobId jobId, address prover, uint8 verdict, ITaskManager.Settlement calldata s)
        external;

    /// @notice Keeps the round open until a prover's attested or contested statement can be judged.
    /// Anyone may call it; capped.
    function hold(JobId jobId, address prover, uint8 verdict, ITaskManager.Settlement calldata s)
        external;

    /// @notice Closes the round once nothing in it is pending or its time is over: frees and
    /// forfeits bonds, then the race is won, lost, or in its next round. Anyone may call it; of a
    /// race that has ended it changes nothing.
    function close(JobId jobId) external returns (RaceState);

    /// @notice Ends a race that nobody has committed to. Only the task manager.
    function cancel(JobId jobId) external;

    /// @notice The winners of a won race by stake, and who signed their certificates.
    function winners(JobId jobId)
        external
        view
        returns (
            StatementDigest first,
            IFeeVault.Payee[] memory payees,
            IFeeVault.Signing[] memory signings
        );

    /// @notice What is kept of a race; state `None` if there is none.
    function races(JobId jobId) external view returns (Race memory);

    /// @notice The commitments of a race's newest round.
    function commitments(JobId jobId) external view returns (Commitment[] memory);

    /// @notice The latest second at which a race that nobody wins can be closed for good.
    function endsBy(JobId jobId) external view returns (uint256);

    /// @notice What a prover commits to a statement with:
    /// `keccak256(abi.encode(tag, chain, this contract, job, round, statement, prover, salt))`.
    function commitmentOf(
        JobId jobId,
        uint8 round,
        StatementDigest statement,
        address prover,
        bytes32 salt
    ) external view returns (bytes32);

    /// @notice The stake that counts for a prover in the round that is open: its record of the
    /// round's epoch, or of the epoch before, whichever is the newest from before the round opened.
    function stakeInRound(JobId jobId, address prover) external view returns (uint128);

    /// @notice Whether the program's proofs are bound to their prover.
    function isProverBound(ProgramId programId) external view returns (bool);

    /// @notice The terms.
    function raceParams() external view returns (RaceParams memory);

    /// @notice Where bonds are locked.
    function bonds() external view returns (IBonds);
}
