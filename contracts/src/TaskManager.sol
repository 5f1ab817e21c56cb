// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {ITaskManager} from "./interfaces/ITaskManager.sol";
import {Digests} from "./libraries/Digests.sol";
import {MerkleTree} from "./libraries/MerkleTree.sol";
import {JobId, ManifestDigest, ProgramId, StatementDigest} from "./types/Ids.sol";
import {
    Job,
    MODE_ASSIGNED,
    ORIGIN_CONTRACT,
    SegmentRecord,
    Statement,
    VERDICT_VALID
} from "./types/Protocol.sol";

/// @title TaskManager
contract TaskManager is ITaskManager, ReentrancyGuard {
    /// @notice Most seconds that a deadline may be ahead: a mistyped one must not lock a fee for
    /// ever.
    uint64 public constant DEADLINE_SECONDS_MAX = 30 days;
    /// @notice Most bytes of an input.
    uint64 public constant INPUT_BYTES_MAX = 64 << 20;
    /// @notice Most bytes of one proof.
    uint64 public constant PROOF_BYTES_MAX = 32 << 20;
    /// @notice Most segments of a job; each costs a record in `settle`.
    uint32 public constant SEGMENTS_MAX = 256;

    /// @inheritdoc ITaskManager
    IProofRegistry public immutable registry;
    /// @notice Where the stake lives, as the registry's epoch table says.
    uint64 public immutable homeChain;
    /// @notice Seconds after the deadline in which a delivered statement may be attested.
    uint64 public immutable verifySeconds;
    /// @notice Seconds after that in which an attested statement becomes hard and is settled.
    uint64 public immutable graceSeconds;
    /// @notice Most seconds by which `hold` can move a refund.
    uint64 public immutable holdSecondsMax;

    /// @inheritdoc ITaskManager
    mapping(address requester => mapping(uint64 nonce => JobId jobId)) public jobOfNonce;
    /// @inheritdoc ITaskManager
    mapping(address account => uint256 amount) public credits;
    mapping(JobId jobId => JobRecord record) private _jobs;

    constructor(IProofRegistry registry_, TaskParams memory params) {
        uint64 challengeSeconds = registry_.challengeSeconds();
        if (params.graceSeconds <= challengeSeconds) {
            revert GraceTooShort(params.graceSeconds, challengeSeconds);
        }
        registry = registry_;
        homeChain = registry_.epochTable().homeChain();
        verifySeconds = params.verifySeconds;
        graceSeconds = params.graceSeconds;
        holdSecondsMax = params.holdSecondsMax;
    }

    /// @inheritdoc ITaskManager
    function createJob(JobRequest calldata request) external payable returns (JobId jobId) {
        JobId existing = jobOfNonce[msg.sender][request.nonce];
        if (JobId.unwrap(existing) != bytes32(0)) return _repeated(existing, request);
        ManifestDigest manifest = _requireAdmissible(request);
        Job memory job;
        (job, jobId) = describe(msg.sender, request, msg.value);
        jobOfNonce[msg.sender][request.nonce] = jobId;
        _jobs[jobId] = JobRecord({
            requester: msg.sender,
            deadline: request.deadline,
            state: JobState.Open,
            fee: uint128(msg.value),
            heldUntil: 0,
            maxSegments: request.maxSegments,
            programId: request.programId,
            claim: request.claim
        });
        emit JobCreated(jobId, msg.sender, request.programId, job, manifest);
    }

    /// @inheritdoc ITaskManager
    function settle(JobId jobId, Settlement calldata s) external {
        JobRecord storage job = _open(jobId);
        (StatementDigest statement, uint256 workUnits) = _statement(jobId, job, s);
        IProofRegistry.Finality finality = registry.leafFinality(statement, VERDICT_VALID, s.leaf);
        if (finality != IProofRegistry.Finality.Hard) {
            revert StatementNotVerified(statement, finality);
        }
        job.state = JobState.Settled;
        _creditProvers(jobId, job, s.records, workUnits);
        emit JobSettled(jobId, statement, job.fee, workUnits);
    }

    /// @inheritdoc ITaskManager
    function hold(JobId jobId, Settlement calldata s) external {
        JobRecord storage job = _open(jobId);
        (StatementDigest statement,) = _statement(jobId, job, s);
        IProofRegistry.Finality finality = registry.leafFinality(statement, VERDICT_VALID, s.leaf);
        if (finality != IProofRegistry.Finality.Soft) {
            revert StatementNotVerified(statement, finality);
        }
        uint256 wanted = uint256(registry.statusOf(s.leaf.root, s.leaf.count).hardAt) + graceSeconds;
        uint256 latest = _scheduledRefund(job) + holdSecondsMax;
        uint64 until = uint64(wanted < latest ? wanted : latest);
        if (until <= job.heldUntil) return;
        job.heldUntil = until;
        emit JobHeld(jobId, statement, until);
    }

    /// @inheritdoc ITaskManager
    function refund(JobId jobId) external {
        JobRecord storage job = _open(jobId);
        uint256 due = _refundableAt(job);
        if (block.timestamp < due) revert RefundTooEarly(jobId, due);
        job.state = JobState.Refunded;
        emit JobRefunded(jobId, job.requester, job.fee);
        _credit(job.requester, jobId, job.fee);
    }

    /// @inheritdoc ITaskManager
    function withdraw(address payable to) external nonReentrant {
        if (to == address(0)) revert RecipientZero();
        uint256 amount = credits[msg.sender];
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        credits[msg.sender] = 0;
        emit Withdrawn(msg.sender, to, amount);
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert PaymentFailed(to, amount);
    }

    /// @inheritdoc ITaskManager
    function jobs(JobId jobId) external view returns (JobRecord memory) {
        return _jobs[jobId];
    }

    /// @inheritdoc ITaskManager
    function refundableAt(JobId jobId) external view returns (uint256) {
        return _refundableAt(_open(jobId));
    }

    /// @inheritdoc ITaskManager
    function describe(address requester, JobRequest calldata request, uint256 fee)
        public
        view
        returns (Job memory job, JobId jobId)
    {
        job = Job({
            origin: ORIGIN_CONTRACT,
            homeChain: homeChain,
            targetChain: uint64(block.chainid),
            targetContract: address(registry),
            requester: requester,
            nonce: request.nonce,
            programId: request.programId,
            inputDigest: request.inputDigest,
            claim: request.claim,
            mode: request.mode,
            deadline: request.deadline,
            feeCap: fee,
            inputBytes: request.inputBytes,
            maxSegments: request.maxSegments,
            maxProofBytes: request.maxProofBytes,
            stream: request.stream,
            sequence: request.sequence
        });
        jobId = Digests.jobId(job);
    }

    /// @dev A second call under a used nonce: the same job, or a refusal. What was sent is
    /// credited.
    function _repeated(JobId existing, JobRequest calldata request) private returns (JobId) {
        uint256 fee = _jobs[existing].fee;
        (, JobId same) = describe(msg.sender, request, fee);
        bool feeFits = msg.value == 0 || msg.value == fee;
        if (!(same == existing) || !feeFits) revert NonceUsed(request.nonce, existing);
        _credit(msg.sender, existing, msg.value);
        return existing;
    }

    /// @dev Refuses a request that cannot be served as it stands. Returns the program's manifest.
    function _requireAdmissible(JobRequest calldata r) private view returns (ManifestDigest) {
        if (msg.value == 0) revert FeeZero();
        if (msg.value > type(uint128).max) revert FeeTooLarge(msg.value);
        if (r.mode != MODE_ASSIGNED) revert ModeNotOffered(r.mode);
        if (r.inputDigest == bytes32(0)) revert JobFieldInvalid("inputDigest");
        if (r.claim == bytes32(0)) revert JobFieldInvalid("claim");
        if (r.stream == 0 && r.sequence != 0) revert JobFieldInvalid("sequence");
        _requireWithin("inputBytes", r.inputBytes, INPUT_BYTES_MAX);
        _requireWithin("maxSegments", r.maxSegments, SEGMENTS_MAX);
        _requireWithin("maxProofBytes", r.maxProofBytes, PROOF_BYTES_MAX);
        uint256 latest = block.timestamp + DEADLINE_SECONDS_MAX;
        if (r.deadline <= block.timestamp || r.deadline > latest) {
            revert DeadlineOutOfRange(r.deadline, block.timestamp + 1, latest);
        }
        ManifestDigest manifest = registry.programs(r.programId).manifest;
        if (!registry.isManifestAccepted(r.programId, manifest)) {
            revert ProgramNotOffered(r.programId);
        }
        return manifest;
    }

    /// @dev 1 to the limit.
    function _requireWithin(string memory field, uint256 got, uint256 limit) private pure {
        if (got == 0) revert JobFieldInvalid(field);
        if (got > limit) revert JobFieldTooLarge(field, got, limit);
    }

    /// @dev The statement that the settlement claims for the job, and the sum of its work. Job,
    /// program and claim are the job's own, so a statement about anything else has another digest.
    function _statement(JobId jobId, JobRecord storage job, Settlement calldata s)
        private
        view
        returns (StatementDigest statement, uint256 workUnits)
    {
        uint256 count = s.records.length;
        if (count == 0 || count > job.maxSegments) {
            revert RecordCountOutOfRange(count, job.maxSegments);
        }
        if (!registry.isManifestAccepted(job.programId, s.manifest)) {
            revert ManifestNotAccepted(job.programId, s.manifest);
        }
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            SegmentRecord calldata record = s.records[i];
            if (record.index != i) revert RecordOutOfOrder(i, record.index);
            if (record.prover == address(0) || record.workUnits == 0) {
                revert RecordUnpayable(record.index);
            }
            workUnits += record.workUnits;
            leaves[i] = Digests.segmentLeaf(record);
        }
        statement = Digests.statementDigest(
            Statement({
                job: jobId,
                statementAttempt: s.statementAttempt,
                programId: job.programId,
                manifest: s.manifest,
                claim: job.claim,
                // casting to 'uint32' is safe because count is at most SEGMENTS_MAX
                // forge-lint: disable-next-line(unsafe-typecast)
                numSegments: uint32(count),
                segmentsRoot: MerkleTree.rootOf(leaves)
            })
        );
    }

    /// @dev Splits the fee by work units, rounding down; the rest goes back to the requester.
    function _creditProvers(
        JobId jobId,
        JobRecord storage job,
        SegmentRecord[] calldata records,
        uint256 workUnits
    ) private {
        uint256 fee = job.fee;
        uint256 rest = fee;
        for (uint256 i = 0; i < records.length; ++i) {
            uint256 shareDown = fee * records[i].workUnits / workUnits;
            rest -= shareDown;
            _credit(records[i].prover, jobId, shareDown);
        }
        _credit(job.requester, jobId, rest);
    }

    /// @dev Adds to what an account can withdraw.
    function _credit(address account, JobId jobId, uint256 amount) private {
        if (amount == 0) return;
        credits[account] += amount;
        emit Credited(account, jobId, amount);
    }

    /// @dev The record of a job that is open.
    function _open(JobId jobId) private view returns (JobRecord storage job) {
        job = _jobs[jobId];
        if (job.state != JobState.Open) revert JobNotOpen(jobId, job.state);
    }

    /// @dev When a refund is due, holds included. A hold is capped, so it is always reachable.
    function _refundableAt(JobRecord storage job) private view returns (uint256) {
        uint256 scheduled = _scheduledRefund(job);
        return job.heldUntil > scheduled ? job.heldUntil : scheduled;
    }

    /// @dev When a refund is due, holds aside.
    function _scheduledRefund(JobRecord storage job) private view returns (uint256) {
        return uint256(job.deadline) + verifySeconds + graceSeconds;
    }
}
