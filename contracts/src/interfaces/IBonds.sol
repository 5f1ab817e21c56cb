// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId, StatementDigest} from "../types/Ids.sol";
import {Job, SegmentRecord} from "../types/Protocol.sol";
import {IFeeVault} from "./IFeeVault.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {IRaceRounds} from "./IRaceRounds.sol";
import {ITaskManager} from "./ITaskManager.sol";

/// @title Provers' bonds, and the locks of assigned work
/// @notice The book of bonded coins (which are in the fee vault). A bond is free or locked; only the
/// free part can be withdrawn. It is locked by the prover's own signed `LEASE_ACCEPT`, or by its own
/// commitment in a race. Never is restaked stake touched.
/// @dev A lock belongs to one (job, task, prover): nobody can block a task for another, and nobody
/// can lock another's bond. Its legal edges:
///
/// | from | to | by |
/// |---|---|---|
/// | None | Locked | `accept` |
/// | Locked | Delivered | `deliver`, by the lock's deadline |
/// | Locked | Released | the job settles with this prover's record, attested by the lock's deadline; or settled by another's, attested by the lock's deadline (`resolve`) |
/// | Locked | Penalised | the job settles with this prover's record, attested later (a late winner); or it ended and nothing was delivered by the lock's deadline (`resolve`) |
/// | Delivered | Released | the job settles with this prover's record; or it is settled by another's (`resolve`); or it is refunded, less the flat fee (`resolve`) |
/// | Delivered | Penalised | an invalid certificate on the delivered statement, all of whose records are this prover's (`penalise`) |
/// | Penalised | Locked | `accept` of another lease while the job is open |
///
/// Every job ends within the caps of the task manager, so every lock does: `resolve` is for anyone.
interface IBonds {
    /// @dev See the table above.
    enum LockState {
        None,
        Locked,
        Delivered,
        Released,
        Penalised
    }

    /// @dev Fixed at deployment. Penalties in basis points of a lock; `compensationBps` is the most
    /// of a late winner's penalty that goes to the prover that it displaced, at most half, so that
    /// being displaced by oneself never pays. `flatFee` is what delivering without ever being
    /// certified costs, or else a word that means nothing would stop every clock.
    struct BondParams {
        uint16 missedBps;
        uint16 invalidBps;
        uint16 compensationBps;
        uint128 flatFee;
    }

    /// @dev A prover's bonded coins.
    struct Account {
        uint128 free;
        uint128 locked;
    }

    /// @dev What is kept of a lock.
    struct Lock {
        uint128 amount;
        uint40 deadline;
        uint40 acceptedAt;
        LockState state;
        StatementDigest delivered;
    }

    /// @notice The contracts that may lock and decide are known; this happens once.
    event Wired(address indexed taskManager, address indexed races);
    /// @notice Coins were bonded for a prover.
    event BondDeposited(address indexed prover, address indexed from, uint256 amount);
    /// @notice Free coins left.
    event BondWithdrawn(address indexed prover, address indexed to, uint256 amount);
    /// @notice A prover accepted a task under its signature; `amount` is locked.
    event LeaseAccepted(
        JobId indexed jobId,
        bytes32 indexed task,
        address indexed prover,
        uint64 deadline,
        uint128 amount
    );
    /// @notice A prover took a signature back that nobody has posted.
    event AcceptanceRevoked(address indexed prover, bytes32 digest);
    /// @notice A prover delivered in time.
    event Delivered(
        JobId indexed jobId, bytes32 indexed task, address indexed prover, StatementDigest statement
    );
    /// @notice A lock ended; `fee` of it went to the requester.
    event LockReleased(
        JobId indexed jobId, bytes32 indexed task, address indexed prover, uint256 fee
    );
    /// @notice A lock ended with a penalty; `compensation` of it went to the displaced prover, the
    /// rest to the requester.
    event LockPenalised(
        JobId indexed jobId,
        bytes32 indexed task,
        address indexed prover,
        uint256 penalty,
        address displaced,
        uint256 compensation
    );

    /// @notice The caller is not the contract whose right this is.
    error NotAllowed(address caller);
    /// @notice An address that must be set is zero.
    error AddressZero();
    /// @notice The callers are known already.
    error AlreadySet();
    /// @notice A penalty is above the whole lock, or a compensation above half of a penalty.
    error BondParamsInvalid(uint16 missedBps, uint16 invalidBps, uint16 compensationBps);
    /// @notice An amount that must not be zero is zero, or does not fit 128 bits.
    error AmountInvalid(uint256 amount);
    /// @notice Less of the prover's bond is free.
    error BondTooSmall(address prover, uint256 free, uint256 wanted);
    /// @notice The job is not open for assigned work.
    error JobNotAssignable(JobId jobId, ITaskManager.JobState state, uint8 mode);
    /// @notice The job has no segment of this number.
    error SegmentUnknown(uint32 segment, uint32 limit);
    /// @notice The lease's deadline is past or after the job's.
    error LeaseDeadlineInvalid(uint64 deadline, uint256 now_, uint64 jobDeadline);
    /// @notice The signature is not this prover's on these words, this chain and this contract.
    error SignatureInvalid(address prover, bytes32 digest);
    /// @notice The acceptance was used or revoked.
    error AcceptanceUsed(address prover, bytes32 digest);
    /// @notice The prover holds a lock on this task already.
    error LockNotFree(JobId jobId, bytes32 task, address prover, LockState state);
    /// @notice The lock is not in a state that this call ends or advances.
    error LockNotPending(JobId jobId, bytes32 task, address prover, LockState state);
    /// @notice A statement digest is not zero.
    error DigestZero();
    /// @notice The lease's time to deliver is over.
    error DeliveryLate(JobId jobId, bytes32 task, uint64 deadline);
    /// @notice Locks are resolved when their job has ended.
    error JobStillOpen(JobId jobId);
    /// @notice The statement is not the one that was delivered, or not of this prover alone.
    error StatementNotDelivered(StatementDigest delivered, StatementDigest got);
    /// @notice The statement is not attested as invalid, or not yet hard.
    error StatementNotRefused(StatementDigest statement, IProofRegistry.Finality finality);

    /// @notice Names the contracts that may lock and decide. Once.
    /// @dev WARNING: owner only. A wrong address here can take bonds.
    function wire(ITaskManager taskManager_, IRaceRounds races_) external;

    /// @notice Bonds what is sent, for `prover`.
    function deposit(address prover) external payable;

    /// @notice Sends free coins of the caller's bond to `to`.
    function withdraw(uint128 amount, address payable to) external;

    /// @notice Locks `amount` of the prover's bond for a segment of a job, as its signature says.
    /// Anyone may post it. `job` is all that its id says; it must be open and assigned, and the
    /// lease's deadline neither past nor after the job's.
    function accept(
        Job calldata job,
        uint32 segment,
        uint64 deadline,
        uint128 amount,
        address prover,
        bytes calldata signature
    ) external returns (bytes32 task);

    /// @notice Takes back an acceptance that the caller signed and nobody has posted, for example of
    /// a lease that the dispatcher took away.
    function revoke(bytes32 digest) external;

    /// @notice Stops the clock of the caller's lock: this statement is what it delivered. Once per
    /// lock. Before a statement over several provers' segments exists, the digest of the prover's
    /// own segment leaf stands for it.
    function deliver(JobId jobId, bytes32 task, StatementDigest statement) external;

    /// @notice Penalises a lock whose delivered statement is hard as invalid. Anyone may call it.
    /// `s.leaf` is the invalid leaf, and every record in `s` the prover's.
    function penalise(JobId jobId, bytes32 task, address prover, ITaskManager.Settlement calldata s)
        external;

    /// @notice Ends a lock of a job that has ended. Anyone may call it.
    function resolve(JobId jobId, bytes32 task, address prover) external;

    /// @notice Ends the locks of those whose records settle the job. Only the task manager.
    /// `attestedAt` is the second at which the settling certificate came.
    function certify(JobId jobId, SegmentRecord[] calldata records, uint64 attestedAt) external;

    /// @notice Locks free coins of a prover. Only the races, on the prover's own call.
    function lock(address prover, uint128 amount) external;

    /// @notice Ends what `lock` locked: `forfeited` of it goes to `beneficiary`. Only the races.
    function unlock(
        JobId jobId,
        address prover,
        uint128 amount,
        uint128 forfeited,
        address beneficiary
    ) external;

    /// @notice What a prover signs to accept a lease.
    function acceptanceDigest(
        JobId jobId,
        bytes32 task,
        bytes32 inputDigest,
        uint64 deadline,
        uint256 amount
    ) external view returns (bytes32);

    /// @notice A prover's bonded coins.
    function accounts(address prover) external view returns (Account memory);

    /// @notice A lock; state `None` if there never was one.
    function lockOf(JobId jobId, bytes32 task, address prover) external view returns (Lock memory);

    /// @notice How many locks a job has ever had.
    function numLocks(JobId jobId) external view returns (uint256);

    /// @notice The terms.
    function bondParams() external view returns (BondParams memory);

    /// @notice Where the coins are.
    function vault() external view returns (IFeeVault);
}
