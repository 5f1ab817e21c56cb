// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf, Job, SegmentRecord} from "../types/Protocol.sol";
import {IProofRegistry} from "./IProofRegistry.sol";

/// @title Jobs with an escrowed fee
/// @notice A job is created with its fee and ends once: settled, when the registry holds its
/// statement as valid and hard, and then the fee belongs to the provers of the segment records; or
/// refunded. All payments are pulled. There is no cancel: whether a prover has begun is not known
/// on-chain, and money that can leave early is no escrow. There is no owner.
/// @dev Jobs without escrow (signed requests) never appear here; they are only leaves of batches.
interface ITaskManager {
    /// @dev None, Open, then one of the two ends.
    enum JobState {
        None,
        Open,
        Settled,
        Refunded
    }

    /// @dev Fixed at deployment, in seconds. A statement that is delivered by the deadline has
    /// `verifySeconds` to be attested and `graceSeconds`, which is longer than the challenge
    /// window, to become hard and be settled. A later attestation can be held for, at most by
    /// `holdSecondsMax`.
    struct TaskParams {
        uint64 verifySeconds;
        uint64 graceSeconds;
        uint64 holdSecondsMax;
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
    /// @notice The fee was credited to provers by work units.
    event JobSettled(
        JobId indexed jobId, StatementDigest indexed statement, uint128 fee, uint256 workUnits
    );
    /// @notice The fee was credited to the requester.
    event JobRefunded(JobId indexed jobId, address indexed requester, uint128 fee);
    /// @notice `account` may withdraw `amount` more, because of this job.
    event Credited(address indexed account, JobId indexed jobId, uint256 amount);
    /// @notice `amount` of the account's credit was sent.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice The grace period does not cover the registry's challenge window.
    error GraceTooShort(uint64 graceSeconds, uint64 challengeSeconds);
    /// @notice The mode is not offered; only assigned work (1) is.
    error ModeNotOffered(uint8 mode);
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

    /// @notice Pays the provers of the statement. Anyone may call it. Each record gets
    /// `fee * workUnits / total` rounded down; what rounding leaves goes back to the requester.
    function settle(JobId jobId, Settlement calldata settlement) external;

    /// @notice Keeps the escrow until an attested statement of the job is hard and can be settled.
    /// Anyone may call it while the batch is soft.
    function hold(JobId jobId, Settlement calldata settlement) external;

    /// @notice Credits the fee to the requester once `refundableAt` is reached. Anyone may call it.
    function refund(JobId jobId) external;

    /// @notice Sends all of the caller's credit to `to`.
    function withdraw(address payable to) external;

    /// @notice What is kept of a job; state `None` if it does not exist.
    function jobs(JobId jobId) external view returns (JobRecord memory);

    /// @notice The job of a requester under a nonce; zero if there is none.
    function jobOfNonce(address requester, uint64 nonce) external view returns (JobId);

    /// @notice The first second at which the job can be refunded.
    function refundableAt(JobId jobId) external view returns (uint256);

    /// @notice What an account can withdraw, in wei.
    function credits(address account) external view returns (uint256);

    /// @notice The job that a request with this fee is.
    function describe(address requester, JobRequest calldata request, uint256 fee)
        external
        view
        returns (Job memory job, JobId jobId);

    /// @notice The registry whose word settles jobs.
    function registry() external view returns (IProofRegistry);
}
