// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf, Job, SegmentRecord} from "../types/Protocol.sol";
import {IBonds} from "./IBonds.sol";
import {IFeeVault} from "./IFeeVault.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {IRaceRounds} from "./IRaceRounds.sol";
import {IStakeSource} from "./IStakeSource.sol";

/// @title Jobs with an escrowed fee
/// @notice A job is created with its fee and ends once: settled, when the registry holds its
/// statement as valid and hard (a race: when a round has winners), and then the fee is split; or
/// refunded. The coins are in the fee vault; all payments are pulled. There is no cancel once work
/// may have begun: in assigned mode that is not known on-chain, so never; in a race, until the
/// first commitment. There is no owner.
/// @dev Jobs without escrow (signed requests) never appear here; they are only leaves of batches.
///
/// The legal edges of a job. What a refund waits for has a hard cap each, so it is always reachable:
/// a delivered statement `verifySeconds` to be attested, an attested one `graceSeconds` to be hard,
/// a late or contested one `holdSecondsMax` (`hold`), and a race its rounds (see `IRaceRounds`).
///
/// | from | to | by |
/// |---|---|---|
/// | None | Open | `createJob` |
/// | Open | Settled | `settle` (assigned), `settleRace` (race) |
/// | Open | Refunded | `refund` when due, `cancel` (race without any commitment) |
interface ITaskManager {
    /// @dev None, Open, then one of the two ends.
    enum JobState {
        None,
        Open,
        Settled,
        Refunded
    }

    /// @dev Where the network is. All are fixed at deployment.
    struct Parts {
        IProofRegistry registry;
        IStakeSource stakeSource;
        IFeeVault vault;
        IBonds bonds;
        IRaceRounds races;
    }

    /// @dev Fixed at deployment, in seconds. A deadline is at most `deadlineSecondsMax` ahead. A
    /// statement that is delivered by the deadline has `verifySeconds` to be attested and
    /// `graceSeconds`, which is longer than the challenge window, to become hard and be settled. A
    /// later attestation can be held for, at most by `holdSecondsMax`. Deadline, verifying and the
    /// challenge window together are at most half of the stake's deallocation delay.
    struct TaskParams {
        uint64 verifySeconds;
        uint64 graceSeconds;
        uint64 holdSecondsMax;
        uint64 deadlineSecondsMax;
    }

    /// @dev What a requester chooses; the rest of the job's fields follow from the call.
    struct JobRequest {
        uint64 nonce;
        ProgramId programId;
        bytes32 inputDigest;
        bytes32 claim;
        uint8 mode;
        uint64 deadline;
        uint64 inputBytes;
        uint32 maxSegments;
        uint64 maxProofBytes;
        uint64 stream;
        uint64 sequence;
    }

    /// @dev What is kept of a job.
    struct JobRecord {
        address requester;
        uint64 deadline;
        JobState state;
        uint128 fee;
        uint64 heldUntil;
        uint32 maxSegments;
        ProgramId programId;
        bytes32 claim;
    }

    /// @dev The part of a statement that the job does not say, and the leaf that attests it.
    struct Settlement {
        uint32 statementAttempt;
        ManifestDigest manifest;
        SegmentRecord[] records;
        BatchLeaf leaf;
    }

    /// @notice A job is open. `job` has every field of its id; `manifest` is the program's current
    /// one.
    event JobCreated(
        JobId indexed jobId,
        address indexed requester,
        ProgramId indexed programId,
        Job job,
        ManifestDigest manifest
    );
    /// @notice A refund is not possible before `heldUntil`, because an attested statement of the
    /// job waits to become hard.
    event JobHeld(JobId indexed jobId, StatementDigest indexed statement, uint64 heldUntil);
    /// @notice The fee was split. `workUnits` is what the provers' share was divided by: work, in a
    /// race the winners' stake. Of a race, `statement` is the first winner's.
    event JobSettled(
        JobId indexed jobId, StatementDigest indexed statement, uint128 fee, uint256 workUnits
    );
    /// @notice The fee was credited to the requester.
    event JobRefunded(JobId indexed jobId, address indexed requester, uint128 fee);

    /// @notice The grace period does not cover the registry's challenge window.
    error GraceTooShort(uint64 graceSeconds, uint64 challengeSeconds);
    /// @notice Serving a job and challenging it may take longer than half of the time for which
    /// stake stays slashable, or a deadline may be further ahead than 30 days.
    error JobTimesTooLong(uint256 seconds_, uint256 limit);
    /// @notice The round's time to be judged is not longer than the challenge window, or longer than
    /// that of an assigned job.
    error JudgeTimeInvalid(uint64 judgeSeconds, uint64 shortest, uint64 longest);
    /// @notice The mode is neither assigned work (1) nor a race (2) of a prover-bound program.
    error ModeNotOffered(uint8 mode);
    /// @notice The call is for jobs of the other mode.
    error ModeDiffers(JobId jobId, uint8 mode);
    /// @notice Only the requester may cancel.
    error NotRequester(JobId jobId, address caller);
    /// @notice The race is not won (yet).
    error RaceNotWon(JobId jobId, IRaceRounds.RaceState state);
    /// @notice A field that must not be zero is zero, or one that must be is not.
    error JobFieldInvalid(string field);
    /// @notice A field is above its limit.
    error JobFieldTooLarge(string field, uint256 got, uint256 limit);
    /// @notice The deadline is past, or further away than the limit.
    error DeadlineOutOfRange(uint64 deadline, uint256 earliest, uint256 latest);
    /// @notice The program is not registered, or its current manifest was stopped.
    error ProgramNotOffered(ProgramId programId);
    /// @notice A job without fee pays nobody.
    error FeeZero();
    /// @notice The fee does not fit 128 bits.
    error FeeTooLarge(uint256 fee);
    /// @notice The nonce belongs to another job of this requester.
    error NonceUsed(uint64 nonce, JobId jobId);
    /// @notice The job does not exist or has ended.
    error JobNotOpen(JobId jobId, JobState state);
    /// @notice The refund is not due yet.
    error RefundTooEarly(JobId jobId, uint256 refundableAt);
    /// @notice The number of segment records is not 1 to the job's greatest number.
    error RecordCountOutOfRange(uint256 count, uint256 limit);
    /// @notice The record is not at its place.
    error RecordOutOfOrder(uint256 expected, uint32 index);
    /// @notice A record names nobody or no work.
    error RecordUnpayable(uint32 index);
    /// @notice The manifest is not accepted for the job's program.
    error ManifestNotAccepted(ProgramId programId, ManifestDigest manifest);
    /// @notice The statement is not attested as valid, or not yet hard, or disputed.
    error StatementNotVerified(StatementDigest statement, IProofRegistry.Finality finality);
    /// @notice The chain judged the proof, but no certificate says whose it is.
    error StatementUncertified(StatementDigest statement);
    /// @notice The caller has no credit.
    error NothingToWithdraw(address account);
    /// @notice Credit cannot be sent to nobody.
    error RecipientZero();
    /// @notice The recipient refused the money.
    error PaymentFailed(address to, uint256 amount);

    /// @notice Creates a job with `msg.value` as its escrowed fee and returns its id. The same
    /// request again, with the same fee or none, returns the same id and credits what was sent; any
    /// other request under a used nonce reverts.
    function createJob(JobRequest calldata request) external payable returns (JobId jobId);

    /// @notice Splits the fee: provers of the statement by work units, rounded down, the members
    /// that signed its certificate, and the reserve, as the vault's split says; what rounding leaves
    /// goes back to the requester. Anyone may call it. Bonds locked for the job's tasks are freed.
    /// The leaf must be in an attested batch, which may still be soft if the chain judged the proof.
    function settle(JobId jobId, Settlement calldata settlement) external;

    /// @notice Splits the fee of a race that a round has decided: its winners by stake, the members
    /// that signed their certificates in equal parts, and the reserve. Anyone may call it.
    function settleRace(JobId jobId) external;

    /// @notice Keeps the escrow until an attested statement of the job is hard and can be settled.
    /// Anyone may call it while the batch is soft or the statement contested.
    function hold(JobId jobId, Settlement calldata settlement) external;

    /// @notice Credits the fee to the requester once `refundableAt` is reached, or as soon as a race
    /// is lost. Anyone may call it.
    function refund(JobId jobId) external;

    /// @notice Credits the fee of a race without any commitment to its requester, who must call.
    function cancel(JobId jobId) external;

    /// @notice Sends all of the caller's credit in the vault to `to`.
    function withdraw(address payable to) external;

    /// @notice What is kept of a job; state `None` if it does not exist.
    function jobs(JobId jobId) external view returns (JobRecord memory);

    /// @notice The job of a requester under a nonce; zero if there is none.
    function jobOfNonce(address requester, uint64 nonce) external view returns (JobId);

    /// @notice The first second at which the job can be refunded, if it is not settled before; of a
    /// race, at the latest.
    function refundableAt(JobId jobId) external view returns (uint256);

    /// @notice What an account can withdraw, in wei.
    function credits(address account) external view returns (uint256);

    /// @notice The job that a request with this fee is.
    function describe(address requester, JobRequest calldata request, uint256 fee)
        external
        view
        returns (Job memory job, JobId jobId);

    /// @notice What is kept of a job and how its work is handed out; mode 0 if it does not exist.
    function modeOf(JobId jobId) external view returns (uint8);

    /// @notice The registry whose word settles jobs.
    function registry() external view returns (IProofRegistry);

    /// @notice Where the coins are.
    function vault() external view returns (IFeeVault);

    /// @notice Where provers' bonds are locked for tasks.
    function bonds() external view returns (IBonds);

    /// @notice Where races are decided.
    function races() external view returns (IRaceRounds);
}
