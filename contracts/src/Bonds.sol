// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IFeeVault} from "./interfaces/IFeeVault.sol";
import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {IRaceRounds} from "./interfaces/IRaceRounds.sol";
import {ITaskManager} from "./interfaces/ITaskManager.sol";
import {Digests} from "./libraries/Digests.sol";
import {Statements} from "./libraries/Statements.sol";
import {WalletMessages} from "./libraries/WalletMessages.sol";
import {JobId, StatementDigest} from "./types/Ids.sol";
import {
    Job,
    MODE_ASSIGNED,
    SegmentRecord,
    TASK_SEGMENT,
    VERDICT_INVALID
} from "./types/Protocol.sol";

/// @title Bonds
contract Bonds is IBonds, Ownable2Step {
    /// @dev Locks that a job ever had, and when the certificate that settled it came.
    struct JobLocks {
        uint32 count;
        uint40 attestedAt;
    }

    uint256 private constant BPS = 10_000;

    /// @inheritdoc IBonds
    IFeeVault public immutable vault;
    uint16 private immutable _missedBps;
    uint16 private immutable _invalidBps;
    uint16 private immutable _compensationBps;
    uint128 private immutable _flatFee;

    /// @notice Whose jobs the tasks are of.
    ITaskManager public taskManager;
    /// @notice Where commitments lock bonds.
    IRaceRounds public races;

    mapping(address prover => Account account) private _accounts;
    mapping(JobId jobId => JobLocks locks) private _jobs;
    mapping(JobId jobId => mapping(bytes32 task => mapping(address prover => Lock lock))) private
        _locks;
    /// @dev Who accepted a task last: the one whom a late winner displaces.
    mapping(JobId jobId => mapping(bytes32 task => address prover)) private _holder;
    mapping(address prover => mapping(bytes32 digest => bool used)) private _used;

    modifier onlyFrom(address allowed) {
        if (msg.sender != allowed) revert NotAllowed(msg.sender);
        _;
    }

    constructor(IFeeVault vault_, BondParams memory params, address owner_) Ownable(owner_) {
        if (address(vault_) == address(0)) revert AddressZero();
        if (params.missedBps > BPS || params.invalidBps > BPS || params.compensationBps > BPS / 2) {
            revert BondParamsInvalid(params.missedBps, params.invalidBps, params.compensationBps);
        }
        vault = vault_;
        _missedBps = params.missedBps;
        _invalidBps = params.invalidBps;
        _compensationBps = params.compensationBps;
        _flatFee = params.flatFee;
    }

    /// @inheritdoc IBonds
    function wire(ITaskManager taskManager_, IRaceRounds races_) external onlyOwner {
        if (address(taskManager) != address(0)) revert AlreadySet();
        if (address(taskManager_) == address(0) || address(races_) == address(0)) {
            revert AddressZero();
        }
        taskManager = taskManager_;
        races = races_;
        emit Wired(address(taskManager_), address(races_));
    }

    /// @inheritdoc IBonds
    function deposit(address prover) external payable {
        if (msg.value == 0 || msg.value > type(uint128).max) revert AmountInvalid(msg.value);
        if (prover == address(0)) revert AddressZero();
        // casting to 'uint128' is safe because a larger value was refused
        // forge-lint: disable-next-line(unsafe-typecast)
        _accounts[prover].free += uint128(msg.value);
        emit BondDeposited(prover, msg.sender, msg.value);
        vault.bond{value: msg.value}();
    }

    /// @inheritdoc IBonds
    function withdraw(uint128 amount, address payable to) external {
        if (amount == 0) revert AmountInvalid(amount);
        _takeFree(msg.sender, amount);
        emit BondWithdrawn(msg.sender, to, amount);
        vault.payBond(to, amount);
    }

    /// @inheritdoc IBonds
    function accept(
        Job calldata job,
        uint32 segment,
        uint64 deadline,
        uint128 amount,
        address prover,
        bytes calldata signature
    ) external returns (bytes32 task) {
        JobId jobId = Digests.jobId(job);
        _requireAssignable(jobId, job, segment, deadline);
        task = Digests.taskId(jobId, TASK_SEGMENT, segment);
        bytes32 digest = acceptanceDigest(jobId, task, job.inputDigest, deadline, amount);
        if (_used[prover][digest]) revert AcceptanceUsed(prover, digest);
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, signature);
        if (failure != ECDSA.RecoverError.NoError || signer != prover) {
            revert SignatureInvalid(prover, digest);
        }
        _used[prover][digest] = true;
        Lock storage record = _locks[jobId][task][prover];
        LockState state = record.state;
        if (state != LockState.None && state != LockState.Penalised) {
            revert LockNotFree(jobId, task, prover, state);
        }
        _lock(prover, amount);
        _locks[jobId][task][prover] = Lock({
            amount: amount,
            deadline: SafeCast.toUint40(deadline),
            acceptedAt: uint40(block.timestamp),
            state: LockState.Locked,
            delivered: StatementDigest.wrap(0)
        });
        _holder[jobId][task] = prover;
        ++_jobs[jobId].count;
        emit LeaseAccepted(jobId, task, prover, deadline, amount);
    }

    /// @inheritdoc IBonds
    function revoke(bytes32 digest) external {
        if (_used[msg.sender][digest]) revert AcceptanceUsed(msg.sender, digest);
        _used[msg.sender][digest] = true;
        emit AcceptanceRevoked(msg.sender, digest);
    }

    /// @inheritdoc IBonds
    function deliver(JobId jobId, bytes32 task, StatementDigest statement) external {
        Lock storage record = _locks[jobId][task][msg.sender];
        if (record.state != LockState.Locked) {
            revert LockNotPending(jobId, task, msg.sender, record.state);
        }
        if (StatementDigest.unwrap(statement) == bytes32(0)) revert DigestZero();
        if (block.timestamp > record.deadline) {
            revert DeliveryLate(jobId, task, record.deadline);
        }
        record.state = LockState.Delivered;
        record.delivered = statement;
        emit Delivered(jobId, task, msg.sender, statement);
    }

    /// @inheritdoc IBonds
    function penalise(JobId jobId, bytes32 task, address prover, ITaskManager.Settlement calldata s)
        external
    {
        Lock storage record = _locks[jobId][task][prover];
        if (record.state != LockState.Delivered) {
            revert LockNotPending(jobId, task, prover, record.state);
        }
        ITaskManager.JobRecord memory job = taskManager.jobs(jobId);
        IProofRegistry registry = taskManager.registry();
        (StatementDigest statement,) = Statements.digestOf(registry, jobId, job, s);
        bool same = StatementDigest.unwrap(statement) == StatementDigest.unwrap(record.delivered);
        if (!same || !Statements.isBy(s, prover)) {
            revert StatementNotDelivered(record.delivered, statement);
        }
        IProofRegistry.Finality finality = registry.leafFinality(statement, VERDICT_INVALID, s.leaf);
        if (finality != IProofRegistry.Finality.Hard) {
            revert StatementNotRefused(statement, finality);
        }
        _penalise(jobId, task, prover, _invalidBps, address(0), job.requester);
    }

    /// @inheritdoc IBonds
    function resolve(JobId jobId, bytes32 task, address prover) external {
        Lock storage record = _locks[jobId][task][prover];
        LockState state = record.state;
        if (state != LockState.Locked && state != LockState.Delivered) {
            revert LockNotPending(jobId, task, prover, state);
        }
        ITaskManager.JobRecord memory job = taskManager.jobs(jobId);
        if (job.state == ITaskManager.JobState.Open) revert JobStillOpen(jobId);
        bool settled = job.state == ITaskManager.JobState.Settled;
        bool displaced = settled && _jobs[jobId].attestedAt <= record.deadline;
        if (state == LockState.Locked && !displaced) {
            _penalise(jobId, task, prover, _missedBps, address(0), job.requester);
        } else {
            _release(jobId, task, prover, settled ? 0 : _flatFee, job.requester);
        }
    }

    /// @inheritdoc IBonds
    function certify(JobId jobId, SegmentRecord[] calldata records, uint64 attestedAt)
        external
        onlyFrom(address(taskManager))
    {
        _jobs[jobId].attestedAt = SafeCast.toUint40(attestedAt);
        for (uint256 i = 0; i < records.length; ++i) {
            address prover = records[i].prover;
            bytes32 task = Digests.taskId(jobId, TASK_SEGMENT, records[i].index);
            Lock storage record = _locks[jobId][task][prover];
            LockState state = record.state;
            if (state == LockState.Delivered) {
                _release(jobId, task, prover, 0, address(0));
            } else if (state == LockState.Locked && attestedAt <= record.deadline) {
                _release(jobId, task, prover, 0, address(0));
            } else if (state == LockState.Locked) {
                address displaced = _displacedBy(jobId, task, prover, attestedAt);
                address requester = taskManager.jobs(jobId).requester;
                _penalise(jobId, task, prover, _missedBps, displaced, requester);
            }
        }
    }

    /// @inheritdoc IBonds
    function lock(address prover, uint128 amount) external onlyFrom(address(races)) {
        _lock(prover, amount);
    }

    /// @inheritdoc IBonds
    function unlock(
        JobId jobId,
        address prover,
        uint128 amount,
        uint128 forfeited,
        address beneficiary
    ) external onlyFrom(address(races)) {
        _unlock(prover, amount, forfeited);
        if (forfeited != 0) vault.creditBond(jobId, beneficiary, forfeited);
    }

    /// @inheritdoc IBonds
    function acceptanceDigest(
        JobId jobId,
        bytes32 task,
        bytes32 inputDigest,
        uint64 deadline,
        uint256 amount
    ) public view returns (bytes32) {
        return WalletMessages.leaseAcceptDigest(
            block.chainid, address(taskManager), jobId, task, inputDigest, deadline, amount
        );
    }

    /// @inheritdoc IBonds
    function accounts(address prover) external view returns (Account memory) {
        return _accounts[prover];
    }

    /// @inheritdoc IBonds
    function lockOf(JobId jobId, bytes32 task, address prover) external view returns (Lock memory) {
        return _locks[jobId][task][prover];
    }

    /// @inheritdoc IBonds
    function numLocks(JobId jobId) external view returns (uint256) {
        return _jobs[jobId].count;
    }

    /// @inheritdoc IBonds
    function bondParams() external view returns (BondParams memory) {
        return BondParams(_missedBps, _invalidBps, _compensationBps, _flatFee);
    }

    /// @dev Refuses leases of jobs that are not open for assigned work, of segments that they do not
    /// have, and deadlines at which nothing can be delivered.
    function _requireAssignable(JobId jobId, Job calldata job, uint32 segment, uint64 deadline)
        private
        view
    {
        ITaskManager.JobState state = taskManager.jobs(jobId).state;
        if (state != ITaskManager.JobState.Open || job.mode != MODE_ASSIGNED) {
            revert JobNotAssignable(jobId, state, job.mode);
        }
        if (segment >= job.maxSegments) revert SegmentUnknown(segment, job.maxSegments);
        if (block.timestamp > deadline || deadline > job.deadline) {
            revert LeaseDeadlineInvalid(deadline, block.timestamp, job.deadline);
        }
    }

    /// @dev Whoever accepted the task after this prover's time was over, and delivered or still had
    /// time when the late proof was attested. Nobody, if there is none.
    function _displacedBy(JobId jobId, bytes32 task, address late, uint64 attestedAt)
        private
        view
        returns (address)
    {
        address holder = _holder[jobId][task];
        Lock storage record = _locks[jobId][task][holder];
        bool blameless = record.state == LockState.Delivered
            || (record.state == LockState.Locked && attestedAt <= record.deadline);
        bool came = record.acceptedAt > _locks[jobId][task][late].deadline;
        return blameless && came ? holder : address(0);
    }

    /// @dev Ends a lock; `fee`, at most all of it, goes to `beneficiary`.
    function _release(JobId jobId, bytes32 task, address prover, uint128 fee, address beneficiary)
        private
    {
        Lock storage record = _locks[jobId][task][prover];
        uint128 amount = record.amount;
        uint128 taken = fee < amount ? fee : amount;
        record.state = LockState.Released;
        _unlock(prover, amount, taken);
        emit LockReleased(jobId, task, prover, taken);
        if (taken != 0) vault.creditBond(jobId, beneficiary, taken);
    }

    /// @dev Ends a lock with a penalty. A displaced prover is compensated from it, at most by the
    /// cap and at most by what it had at stake itself.
    function _penalise(
        JobId jobId,
        bytes32 task,
        address prover,
        uint256 penaltyBps,
        address displaced,
        address requester
    ) private {
        Lock storage record = _locks[jobId][task][prover];
        uint256 penalty = uint256(record.amount) * penaltyBps / BPS;
        record.state = LockState.Penalised;
        // casting to 'uint128' is safe because the penalty is at most the lock
        // forge-lint: disable-next-line(unsafe-typecast)
        _unlock(prover, record.amount, uint128(penalty));
        uint256 compensation = 0;
        if (displaced != address(0)) {
            uint256 own = _locks[jobId][task][displaced].amount;
            compensation = penalty * _compensationBps / BPS;
            if (own < compensation) compensation = own;
        }
        emit LockPenalised(jobId, task, prover, penalty, displaced, compensation);
        if (compensation != 0) vault.creditBond(jobId, displaced, compensation);
        if (penalty != compensation) vault.creditBond(jobId, requester, penalty - compensation);
    }

    /// @dev Free to locked.
    function _lock(address prover, uint128 amount) private {
        if (amount == 0) revert AmountInvalid(amount);
        _takeFree(prover, amount);
        _accounts[prover].locked += amount;
    }

    /// @dev Locked to free, less what is forfeited.
    function _unlock(address prover, uint128 amount, uint128 forfeited) private {
        Account storage account = _accounts[prover];
        account.locked -= amount;
        account.free += amount - forfeited;
    }

    /// @dev Takes from the free part.
    function _takeFree(address prover, uint128 amount) private {
        Account storage account = _accounts[prover];
        if (account.free < amount) revert BondTooSmall(prover, account.free, amount);
        account.free -= amount;
    }
}
