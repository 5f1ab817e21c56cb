// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IBonds} from "./interfaces/IBonds.sol";
import {IFeeVault} from "./interfaces/IFeeVault.sol";
import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {IRaceRounds} from "./interfaces/IRaceRounds.sol";
import {ITaskManager} from "./interfaces/ITaskManager.sol";
import {Digests} from "./libraries/Digests.sol";
import {Statements} from "./libraries/Statements.sol";
import {JobId, ManifestDigest, ProgramId, StatementDigest} from "./types/Ids.sol";
import {
    Job,
    MODE_ASSIGNED,
    MODE_RACE,
    ORIGIN_CONTRACT,
    SegmentRecord,
    VERDICT_VALID
} from "./types/Protocol.sol";

/// @title TaskManager
contract TaskManager is ITaskManager {
    /// @dev Three slots at creation; a hold writes the fourth. The fee is the vault's to remember.
    struct Stored {
        address requester;
        uint40 deadline;
        JobState state;
        uint8 mode;
        uint32 maxSegments;
        ProgramId programId;
        bytes32 claim;
        uint64 heldUntil;
    }

    /// @notice Most seconds that a deadline may be ahead in any network: a mistyped one must not
    /// lock a fee for ever.
    uint64 public constant DEADLINE_SECONDS_MAX = 30 days;
    /// @notice Most bytes of an input.
    uint64 public constant INPUT_BYTES_MAX = 64 << 20;
    /// @notice Most bytes of one proof.
    uint64 public constant PROOF_BYTES_MAX = 32 << 20;
    /// @notice Most segments of a job; each costs a record in `settle`.
    uint32 public constant SEGMENTS_MAX = 256;

    /// @inheritdoc ITaskManager
    IProofRegistry public immutable registry;
    /// @inheritdoc ITaskManager
    IFeeVault public immutable vault;
    /// @inheritdoc ITaskManager
    IBonds public immutable bonds;
    /// @inheritdoc ITaskManager
    IRaceRounds public immutable races;
    /// @notice Where the stake lives, as the registry's epoch table says.
    uint64 public immutable homeChain;
    /// @notice Seconds after the deadline in which a delivered statement may be attested.
    uint64 public immutable verifySeconds;
    /// @notice Seconds after that in which an attested statement becomes hard and is settled.
    uint64 public immutable graceSeconds;
    /// @notice Most seconds by which `hold` can move a refund.
    uint64 public immutable holdSecondsMax;
    /// @notice Most seconds that a deadline may be ahead.
    uint64 public immutable deadlineSecondsMax;

    /// @inheritdoc ITaskManager
    mapping(address requester => mapping(uint64 nonce => JobId jobId)) public jobOfNonce;
    mapping(JobId jobId => Stored record) private _jobs;

    constructor(Parts memory parts, TaskParams memory params) {
        _requireSound(parts, params);
        registry = parts.registry;
        vault = parts.vault;
        bonds = parts.bonds;
        races = parts.races;
        homeChain = parts.registry.epochTable().homeChain();
        verifySeconds = params.verifySeconds;
        graceSeconds = params.graceSeconds;
        holdSecondsMax = params.holdSecondsMax;
        deadlineSecondsMax = params.deadlineSecondsMax;
    }

    /// @inheritdoc ITaskManager
    function createJob(JobRequest calldata request) external payable returns (JobId jobId) {
        JobId existing = jobOfNonce[msg.sender][request.nonce];
        if (JobId.unwrap(existing) != bytes32(0)) return _repeated(existing, request);
        ManifestDigest manifest = _requireAdmissible(request);
        Job memory job;
        (job, jobId) = describe(msg.sender, request, msg.value);
        jobOfNonce[msg.sender][request.nonce] = jobId;
        _jobs[jobId] = Stored({
            requester: msg.sender,
            // At most 30 days ahead, so 40 bits hold it.
            deadline: uint40(request.deadline),
            state: JobState.Open,
            mode: request.mode,
            maxSegments: request.maxSegments,
            programId: request.programId,
            claim: request.claim,
            heldUntil: 0
        });
        emit JobCreated(jobId, msg.sender, request.programId, job, manifest);
        vault.escrow{value: msg.value}(jobId);
        if (request.mode == MODE_RACE) races.open(jobId, request.deadline);
    }

    /// @inheritdoc ITaskManager
    function settle(JobId jobId, Settlement calldata s) external {
        Stored storage job = _openOf(jobId, MODE_ASSIGNED);
        (StatementDigest statement, uint256 workUnits) =
            Statements.digestOf(registry, jobId, jobs(jobId), s);
        IProofRegistry.Finality finality = registry.leafFinality(statement, VERDICT_VALID, s.leaf);
        if (finality != IProofRegistry.Finality.Hard) {
            revert StatementNotVerified(statement, finality);
        }
        IProofRegistry.BatchStatus memory status =
            Statements.certifiedBy(registry, statement, s.leaf);
        job.state = JobState.Settled;
        emit JobSettled(jobId, statement, vault.feeOf(jobId), workUnits);
        IFeeVault.Signing[] memory signings = new IFeeVault.Signing[](1);
        signings[0] = IFeeVault.Signing(status.epoch, status.nonSigners);
        vault.settle(jobId, job.requester, _payees(s.records), signings);
        if (bonds.numLocks(jobId) != 0) bonds.certify(jobId, s.records, status.attestedAt);
    }

    /// @inheritdoc ITaskManager
    function settleRace(JobId jobId) external {
        Stored storage job = _openOf(jobId, MODE_RACE);
        IRaceRounds.RaceState state = races.close(jobId);
        if (state != IRaceRounds.RaceState.Won) revert RaceNotWon(jobId, state);
        job.state = JobState.Settled;
        (
            StatementDigest statement,
            IFeeVault.Payee[] memory payees,
            IFeeVault.Signing[] memory signings
        ) = races.winners(jobId);
        uint256 stake = 0;
        for (uint256 i = 0; i < payees.length; ++i) {
            stake += payees[i].weight;
        }
        emit JobSettled(jobId, statement, vault.feeOf(jobId), stake);
        vault.settle(jobId, job.requester, payees, signings);
    }

    /// @inheritdoc ITaskManager
    function hold(JobId jobId, Settlement calldata s) external {
        Stored storage job = _openOf(jobId, MODE_ASSIGNED);
        (StatementDigest statement,) = Statements.digestOf(registry, jobId, jobs(jobId), s);
        IProofRegistry.Finality finality = registry.leafFinality(statement, VERDICT_VALID, s.leaf);
        if (finality != IProofRegistry.Finality.Soft) {
            revert StatementNotVerified(statement, finality);
        }
        uint256 wanted = Statements.hardAt(registry, statement, s.leaf) + graceSeconds;
        uint256 latest = _scheduledRefund(job) + holdSecondsMax;
        uint64 until = uint64(wanted < latest ? wanted : latest);
        if (until <= job.heldUntil) return;
        job.heldUntil = until;
        emit JobHeld(jobId, statement, until);
    }

    /// @inheritdoc ITaskManager
    function refund(JobId jobId) external {
        Stored storage job = _open(jobId);
        if (job.mode == MODE_RACE) {
            IRaceRounds.RaceState state = races.close(jobId);
            if (state != IRaceRounds.RaceState.Lost) {
                revert RefundTooEarly(jobId, races.endsBy(jobId));
            }
        } else {
            uint256 due = _refundableAt(jobId, job);
            if (block.timestamp < due) revert RefundTooEarly(jobId, due);
        }
        _refund(jobId, job);
    }

    /// @inheritdoc ITaskManager
    function cancel(JobId jobId) external {
        Stored storage job = _openOf(jobId, MODE_RACE);
        if (msg.sender != job.requester) revert NotRequester(jobId, msg.sender);
        races.cancel(jobId);
        _refund(jobId, job);
    }

    /// @inheritdoc ITaskManager
    function withdraw(address payable to) external {
        vault.withdraw(msg.sender, to);
    }

    /// @inheritdoc ITaskManager
    function jobs(JobId jobId) public view returns (JobRecord memory) {
        Stored storage job = _jobs[jobId];
        return JobRecord({
            requester: job.requester,
            deadline: job.deadline,
            state: job.state,
            fee: vault.feeOf(jobId),
            heldUntil: job.heldUntil,
            maxSegments: job.maxSegments,
            programId: job.programId,
            claim: job.claim
        });
    }

    /// @inheritdoc ITaskManager
    function modeOf(JobId jobId) external view returns (uint8) {
        return _jobs[jobId].mode;
    }

    /// @inheritdoc ITaskManager
    function refundableAt(JobId jobId) external view returns (uint256) {
        return _refundableAt(jobId, _open(jobId));
    }

    /// @inheritdoc ITaskManager
    function credits(address account) external view returns (uint256) {
        return vault.credits(account);
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
        uint256 fee = vault.feeOf(existing);
        (, JobId same) = describe(msg.sender, request, fee);
        bool feeFits = msg.value == 0 || msg.value == fee;
        if (!(same == existing) || !feeFits) revert NonceUsed(request.nonce, existing);
        if (msg.value != 0) vault.credit{value: msg.value}(existing, msg.sender);
        return existing;
    }

    /// @dev Refuses a request that cannot be served as it stands. Returns the program's manifest.
    function _requireAdmissible(JobRequest calldata r) private view returns (ManifestDigest) {
        if (msg.value == 0) revert FeeZero();
        if (msg.value > type(uint128).max) revert FeeTooLarge(msg.value);
        if (r.mode != MODE_ASSIGNED && (r.mode != MODE_RACE || !races.isProverBound(r.programId))) {
            revert ModeNotOffered(r.mode);
        }
        if (r.inputDigest == bytes32(0)) revert JobFieldInvalid("inputDigest");
        if (r.claim == bytes32(0)) revert JobFieldInvalid("claim");
        if (r.stream == 0 && r.sequence != 0) revert JobFieldInvalid("sequence");
        _requireWithin("inputBytes", r.inputBytes, INPUT_BYTES_MAX);
        _requireWithin("maxSegments", r.maxSegments, SEGMENTS_MAX);
        _requireWithin("maxProofBytes", r.maxProofBytes, PROOF_BYTES_MAX);
        uint256 latest = block.timestamp + deadlineSecondsMax;
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

    /// @dev The provers of the records, by work units.
    function _payees(SegmentRecord[] calldata records)
        private
        pure
        returns (IFeeVault.Payee[] memory payees)
    {
        payees = new IFeeVault.Payee[](records.length);
        for (uint256 i = 0; i < records.length; ++i) {
            payees[i] = IFeeVault.Payee(records[i].prover, records[i].workUnits);
        }
    }

    /// @dev Ends a job for its requester.
    function _refund(JobId jobId, Stored storage job) private {
        job.state = JobState.Refunded;
        emit JobRefunded(jobId, job.requester, vault.feeOf(jobId));
        vault.refund(jobId, job.requester);
    }

    /// @dev The record of a job that is open.
    function _open(JobId jobId) private view returns (Stored storage job) {
        job = _jobs[jobId];
        if (job.state != JobState.Open) revert JobNotOpen(jobId, job.state);
    }

    /// @dev The record of a job that is open and of this mode.
    function _openOf(JobId jobId, uint8 mode) private view returns (Stored storage job) {
        job = _open(jobId);
        if (job.mode != mode) revert ModeDiffers(jobId, job.mode);
    }

    /// @dev When a refund is due, holds included. A hold is capped, so it is always reachable.
    function _refundableAt(JobId jobId, Stored storage job) private view returns (uint256) {
        if (job.mode == MODE_RACE) return races.endsBy(jobId);
        uint256 scheduled = _scheduledRefund(job);
        return job.heldUntil > scheduled ? job.heldUntil : scheduled;
    }

    /// @dev When a refund is due, holds aside.
    function _scheduledRefund(Stored storage job) private view returns (uint256) {
        return uint256(job.deadline) + verifySeconds + graceSeconds;
    }

    /// @dev Refuses times in which an attestation in time could be overtaken by a refund, or in
    /// which stake could leave before what it signed is judged.
    function _requireSound(Parts memory parts, TaskParams memory p) private view {
        uint64 challengeSeconds = parts.registry.challengeSeconds();
        if (p.graceSeconds <= challengeSeconds) {
            revert GraceTooShort(p.graceSeconds, challengeSeconds);
        }
        uint64 judgeSeconds = parts.races.raceParams().judgeSeconds;
        uint64 longest = p.verifySeconds + p.graceSeconds;
        if (judgeSeconds <= challengeSeconds || judgeSeconds > longest) {
            revert JudgeTimeInvalid(judgeSeconds, challengeSeconds + 1, longest);
        }
        uint256 needed = uint256(p.deadlineSecondsMax) + p.verifySeconds + challengeSeconds;
        uint256 limit = uint256(parts.stakeSource.deallocationDelayBlocks())
            * parts.registry.epochTable().params().blockSeconds / 2;
        if (p.deadlineSecondsMax > DEADLINE_SECONDS_MAX || needed > limit) {
            revert JobTimesTooLong(needed, limit);
        }
    }
}
