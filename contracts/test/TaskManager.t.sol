// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {TaskManager} from "../src/TaskManager.sol";
import {IFeeVault} from "../src/interfaces/IFeeVault.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {IStakeSource} from "../src/interfaces/IStakeSource.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, ManifestDigest, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf, Job, SegmentRecord} from "../src/types/Protocol.sol";
import {AvsDouble} from "./helpers/MoneyDoubles.sol";
import {Network} from "./helpers/Network.sol";

/// @title Takes money back into the contract that pays it
contract Reentrant {
    TaskManager private immutable _tasks;

    constructor(TaskManager tasks) {
        _tasks = tasks;
    }

    receive() external payable {
        _tasks.withdraw(payable(address(this)));
    }

    function createJob(ITaskManager.JobRequest calldata request) external payable returns (JobId) {
        return _tasks.createJob{value: msg.value}(request);
    }

    function withdraw() external {
        _tasks.withdraw(payable(address(this)));
    }
}

/// @title createJob, settle, hold, refund, withdraw (test/tree/TaskManager.tree)
contract TaskManagerTest is Network {
    address private constant REQUESTER = address(0xCAFE);
    uint256 private constant FEE = 1 ether;

    function setUp() external {
        deploy();
        addOperators(4, 1 ether);
        snapshot();
    }

    // createJob

    function test_CreateJob_EmitsEveryFieldOfItsId() external {
        ITaskManager.JobRequest memory r = jobRequest(7);
        (r.stream, r.sequence) = (3, 4);
        Job memory job = Job({
            origin: 1,
            homeChain: uint64(block.chainid),
            targetChain: uint64(block.chainid),
            targetContract: address(registry),
            requester: REQUESTER,
            nonce: 7,
            programId: PROGRAM,
            inputDigest: r.inputDigest,
            claim: r.claim,
            mode: 1,
            deadline: r.deadline,
            feeCap: FEE,
            inputBytes: r.inputBytes,
            maxSegments: r.maxSegments,
            maxProofBytes: r.maxProofBytes,
            stream: 3,
            sequence: 4
        });
        vm.deal(REQUESTER, FEE);
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobCreated(Digests.jobId(job), REQUESTER, PROGRAM, job, MANIFEST);
        vm.prank(REQUESTER);
        JobId jobId = tasks.createJob{value: FEE}(r);
        assertTrue(jobId == Digests.jobId(job), "id");
        ITaskManager.JobRecord memory record = tasks.jobs(jobId);
        assertTrue(record.state == ITaskManager.JobState.Open, "open");
        assertEq(record.fee, FEE, "fee");
        assertEq(record.requester, REQUESTER, "requester");
        assertEq(record.deadline, r.deadline, "deadline");
        assertTrue(tasks.jobOfNonce(REQUESTER, 7) == jobId, "nonce");
        assertEq(address(tasks.vault()).balance, FEE, "escrow");
    }

    function test_CreateJob_AgainReturnsTheSameAndCreditsTheMoney() external {
        JobId jobId = createJob(REQUESTER, 7, FEE);
        assertTrue(createJob(REQUESTER, 7, FEE) == jobId, "same with the fee");
        assertEq(tasks.credits(REQUESTER), FEE, "credited");
        assertTrue(createJob(REQUESTER, 7, 0) == jobId, "same without money");
        assertEq(tasks.credits(REQUESTER), FEE, "nothing more");
        assertEq(address(tasks.vault()).balance, 2 * FEE, "one escrow, one credit");
    }

    function test_CreateJob_SameNonceOfAnotherRequesterIsAnotherJob() external {
        JobId jobId = createJob(REQUESTER, 7, FEE);
        assertTrue(!(createJob(address(0xD00D), 7, FEE) == jobId), "another id");
    }

    function testFuzz_CreateJob_RefusesOtherContentUnderAUsedNonce(uint256 field, uint256 fee)
        external
    {
        JobId jobId = createJob(REQUESTER, 7, FEE);
        ITaskManager.JobRequest memory r = jobRequest(7);
        field = bound(field, 0, 8);
        uint256 value = FEE;
        if (field == 0) r.inputDigest = keccak256("x");
        if (field == 1) r.claim = keccak256("x");
        if (field == 2) r.deadline += 1;
        if (field == 3) r.inputBytes += 1;
        if (field == 4) r.maxSegments += 1;
        if (field == 5) r.maxProofBytes += 1;
        if (field == 6) r.stream = 1;
        if (field == 7) r.programId = ProgramId.wrap(keccak256("x"));
        if (field == 8) {
            value = bound(fee, 1, 100 ether);
            vm.assume(value != FEE);
        }
        vm.deal(REQUESTER, value);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.NonceUsed.selector, 7, jobId));
        vm.prank(REQUESTER);
        tasks.createJob{value: value}(r);
    }

    function test_CreateJob_RefusesBadFields() external {
        ITaskManager.JobRequest memory r = jobRequest(1);
        _refuse(r, 0, abi.encodeWithSelector(ITaskManager.FeeZero.selector));
        uint256 tooMuch = uint256(type(uint128).max) + 1;
        _refuse(r, tooMuch, abi.encodeWithSelector(ITaskManager.FeeTooLarge.selector, tooMuch));
        r.mode = 2;
        _refuse(r, FEE, abi.encodeWithSelector(ITaskManager.ModeNotOffered.selector, 2));
        r = jobRequest(1);
        r.inputDigest = 0;
        _refuse(r, FEE, _invalid("inputDigest"));
        r = jobRequest(1);
        r.claim = 0;
        _refuse(r, FEE, _invalid("claim"));
        r = jobRequest(1);
        r.sequence = 1;
        _refuse(r, FEE, _invalid("sequence"));
        r = jobRequest(1);
        r.inputBytes = 0;
        _refuse(r, FEE, _invalid("inputBytes"));
        r = jobRequest(1);
        r.maxSegments = 0;
        _refuse(r, FEE, _invalid("maxSegments"));
        r = jobRequest(1);
        r.maxProofBytes = 0;
        _refuse(r, FEE, _invalid("maxProofBytes"));
    }

    function test_CreateJob_RefusesFieldsAboveTheirLimits() external {
        ITaskManager.JobRequest memory r = jobRequest(1);
        r.inputBytes = (64 << 20) + 1;
        _refuse(r, FEE, _tooLarge("inputBytes", r.inputBytes, 64 << 20));
        r = jobRequest(1);
        r.maxSegments = 257;
        _refuse(r, FEE, _tooLarge("maxSegments", 257, 256));
        r = jobRequest(1);
        r.maxProofBytes = (32 << 20) + 1;
        _refuse(r, FEE, _tooLarge("maxProofBytes", r.maxProofBytes, 32 << 20));
    }

    function testFuzz_CreateJob_BoundsTheDeadline(uint64 deadline) external {
        ITaskManager.JobRequest memory r = jobRequest(1);
        r.deadline = deadline;
        uint256 latest = block.timestamp + DEADLINE_MAX;
        vm.deal(REQUESTER, FEE);
        if (deadline <= block.timestamp || deadline > latest) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ITaskManager.DeadlineOutOfRange.selector, deadline, block.timestamp + 1, latest
                )
            );
        }
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
    }

    function test_CreateJob_RefusesProgramsThatAreNotOffered() external {
        ITaskManager.JobRequest memory r = jobRequest(1);
        r.programId = ProgramId.wrap(keccak256("x"));
        _refuse(
            r, FEE, abi.encodeWithSelector(ITaskManager.ProgramNotOffered.selector, r.programId)
        );
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        _refuse(
            jobRequest(1),
            FEE,
            abi.encodeWithSelector(ITaskManager.ProgramNotOffered.selector, PROGRAM)
        );
    }

    // settle

    function test_Settle_PaysProversByWorkAndReturnsTheDust() external {
        JobId jobId = createJob(REQUESTER, 1, 100);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            _attested(jobId, twoRecords());
        vm.warp(block.timestamp + CHALLENGE);
        address vault = address(tasks.vault());
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobSettled(jobId, statement, 100, 3);
        vm.expectEmit(vault);
        emit IFeeVault.Credited(prover(0), jobId, 33);
        vm.expectEmit(vault);
        emit IFeeVault.Credited(prover(1), jobId, 66);
        vm.expectEmit(vault);
        emit IFeeVault.Credited(REQUESTER, jobId, 1);
        tasks.settle(jobId, s);
        assertTrue(tasks.jobs(jobId).state == ITaskManager.JobState.Settled, "settled");
    }

    function test_Settle_OnlyOnce() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        vm.warp(block.timestamp + CHALLENGE);
        tasks.settle(jobId, s);
        bytes memory refusal = abi.encodeWithSelector(
            ITaskManager.JobNotOpen.selector, jobId, ITaskManager.JobState.Settled
        );
        vm.expectRevert(refusal);
        tasks.settle(jobId, s);
        vm.warp(block.timestamp + DEADLINE_MAX);
        vm.expectRevert(refusal);
        tasks.refund(jobId);
    }

    function test_Settle_NeedsHardFinality() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(jobId, twoRecords());
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Unknown));
        tasks.settle(jobId, s);
        attestSole(statement, 1);
        vm.warp(block.timestamp + CHALLENGE - 1);
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Soft));
        tasks.settle(jobId, s);
        vm.warp(block.timestamp + 1);
        BatchLeaf memory invalidLeaf = attestSole(statement, 2);
        registry.dispute(statement, s.leaf, invalidLeaf);
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Disputed));
        tasks.settle(jobId, s);
    }

    function test_Settle_RefusesAStatementAttestedAsInvalid() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(jobId, twoRecords());
        s.leaf = attestSole(statement, 2);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Unknown));
        tasks.settle(jobId, s);
    }

    function test_Settle_RefusesAnotherJobsStatement() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        JobId other = createJob(REQUESTER, 2, FEE);
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectPartialRevert(ITaskManager.StatementNotVerified.selector);
        tasks.settle(other, s);
    }

    function testFuzz_Settle_RefusesAnyChangedField(uint256 field, uint256 which) external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        vm.warp(block.timestamp + CHALLENGE);
        field = bound(field, 0, 7);
        SegmentRecord memory record = s.records[bound(which, 0, 1)];
        if (field == 0) s.statementAttempt += 1;
        if (field == 1) record.prover = address(this);
        if (field == 2) record.workUnits += 1;
        if (field == 3) record.first += 1;
        if (field == 4) record.count += 1;
        if (field == 5) record.vkDigest = keccak256("x");
        if (field == 6) record.publicValuesDigest = keccak256("x");
        if (field == 7) record.proofDigest = keccak256("x");
        vm.expectPartialRevert(ITaskManager.StatementNotVerified.selector);
        tasks.settle(jobId, s);
    }

    function test_Settle_RefusesRecordsOutOfOrderNoneOrTooMany() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = settlement(jobId, twoRecords());
        (s.records[0], s.records[1]) = (s.records[1], s.records[0]);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RecordOutOfOrder.selector, 0, 1));
        tasks.settle(jobId, s);
        s.records = new SegmentRecord[](0);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RecordCountOutOfRange.selector, 0, 8));
        tasks.settle(jobId, s);
        s.records = new SegmentRecord[](9);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RecordCountOutOfRange.selector, 9, 8));
        tasks.settle(jobId, s);
    }

    function test_Settle_RefusesRecordsOfNobodyOrNoWork() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = settlement(jobId, twoRecords());
        s.records[1].workUnits = 0;
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RecordUnpayable.selector, 1));
        tasks.settle(jobId, s);
        (s.records[1].workUnits, s.records[0].prover) = (1, address(0));
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RecordUnpayable.selector, 0));
        tasks.settle(jobId, s);
    }

    function test_Settle_FollowsTheManifests() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        vm.warp(block.timestamp + CHALLENGE);
        s.manifest = ManifestDigest.wrap(keccak256("x"));
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.ManifestNotAccepted.selector, PROGRAM, s.manifest)
        );
        tasks.settle(jobId, s);
        s.manifest = MANIFEST;
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.ManifestNotAccepted.selector, PROGRAM, MANIFEST)
        );
        tasks.settle(jobId, s);
    }

    function test_Settle_WorksUntilTheRefundIsTaken() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        vm.warp(tasks.refundableAt(jobId) + 100);
        tasks.settle(jobId, s);
        assertTrue(tasks.jobs(jobId).state == ITaskManager.JobState.Settled, "settled late");
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_Settle_LosesNothing(uint256 fee, uint64 a, uint64 b, uint64 c) external {
        fee = bound(fee, 1, type(uint128).max);
        uint64[] memory workUnits = new uint64[](3);
        workUnits[0] = uint64(bound(a, 1, type(uint64).max));
        workUnits[1] = uint64(bound(b, 1, type(uint64).max));
        workUnits[2] = uint64(bound(c, 1, type(uint64).max));
        JobId jobId = createJob(REQUESTER, 1, fee);
        (ITaskManager.Settlement memory s,) = _attested(jobId, records(workUnits));
        vm.warp(block.timestamp + CHALLENGE);
        tasks.settle(jobId, s);
        uint256 paid = 0;
        uint256 total = uint256(workUnits[0]) + workUnits[1] + workUnits[2];
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(tasks.credits(prover(i)), fee * workUnits[i] / total, "share, rounded down");
            paid += tasks.credits(prover(i));
        }
        assertEq(tasks.credits(REQUESTER), fee - paid, "dust to the requester");
        assertTrue(fee - paid < 3, "less dust than records");
        assertEq(address(tasks.vault()).balance, fee, "still all there");
    }

    // refund and hold

    function test_Refund_OnlyWhenDue() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        uint256 due = uint256(tasks.jobs(jobId).deadline) + VERIFY + SETTLE_GRACE;
        assertEq(tasks.refundableAt(jobId), due, "due");
        vm.warp(due - 1);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RefundTooEarly.selector, jobId, due));
        tasks.refund(jobId);
        vm.warp(due);
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobRefunded(jobId, REQUESTER, uint128(FEE));
        tasks.refund(jobId);
        assertEq(tasks.credits(REQUESTER), FEE, "credited");
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.JobNotOpen.selector, jobId, ITaskManager.JobState.Refunded
            )
        );
        tasks.refund(jobId);
    }

    function test_Refund_RefusesTheUnknown() external {
        JobId jobId = JobId.wrap(keccak256("x"));
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.JobNotOpen.selector, jobId, ITaskManager.JobState.None
            )
        );
        tasks.refund(jobId);
    }

    function test_Refund_CannotOvertakeAnAttestationInTime() external {
        // Attested in the last second that verifying may take: hard, and so payable, before a
        // refund.
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(jobId, twoRecords());
        vm.warp(uint256(tasks.jobs(jobId).deadline) + VERIFY);
        _freshEpoch();
        attestSole(statement, 1);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectPartialRevert(ITaskManager.RefundTooEarly.selector);
        tasks.refund(jobId);
        tasks.settle(jobId, s);
    }

    function test_Hold_KeepsTheEscrowForALateAttestation() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        vm.warp(tasks.refundableAt(jobId) - 1);
        _freshEpoch();
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            _attested(jobId, twoRecords());
        uint64 until = uint64(block.timestamp) + CHALLENGE + SETTLE_GRACE;
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobHeld(jobId, statement, until);
        tasks.hold(jobId, s);
        tasks.hold(jobId, s);
        assertEq(tasks.refundableAt(jobId), until, "moved");
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RefundTooEarly.selector, jobId, until));
        tasks.refund(jobId);
        tasks.settle(jobId, s);
    }

    function test_Hold_IsCapped() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        uint256 latest = tasks.refundableAt(jobId) + HOLD_MAX;
        vm.warp(latest - 10);
        _freshEpoch();
        (ITaskManager.Settlement memory s,) = _attested(jobId, twoRecords());
        tasks.hold(jobId, s);
        assertEq(tasks.refundableAt(jobId), latest, "capped");
        vm.warp(latest);
        tasks.refund(jobId);
    }

    function test_Hold_NeedsASoftAttestation() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(jobId, twoRecords());
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Unknown));
        tasks.hold(jobId, s);
        attestSole(statement, 1);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(_notVerified(statement, IProofRegistry.Finality.Hard));
        tasks.hold(jobId, s);
    }

    // withdraw

    function test_Withdraw_SendsAllCredit() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        vm.warp(tasks.refundableAt(jobId));
        tasks.refund(jobId);
        address payable to = payable(address(0xF00));
        vm.expectEmit(address(tasks.vault()));
        emit IFeeVault.Withdrawn(REQUESTER, to, FEE);
        vm.prank(REQUESTER);
        tasks.withdraw(to);
        assertEq(to.balance, FEE, "received");
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.NothingToWithdraw.selector, REQUESTER));
        vm.prank(REQUESTER);
        tasks.withdraw(to);
    }

    function test_Withdraw_RefusesNobodyAndThoseWhoRefuse() external {
        JobId jobId = createJob(REQUESTER, 1, FEE);
        vm.warp(tasks.refundableAt(jobId));
        tasks.refund(jobId);
        vm.expectRevert(ITaskManager.RecipientZero.selector);
        vm.prank(REQUESTER);
        tasks.withdraw(payable(address(0)));
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.PaymentFailed.selector, address(registry), FEE)
        );
        vm.prank(REQUESTER);
        tasks.withdraw(payable(address(registry)));
        assertEq(tasks.credits(REQUESTER), FEE, "credit kept");
    }

    function test_Withdraw_CannotBeReentered() external {
        Reentrant thief = new Reentrant(tasks);
        createJob(REQUESTER, 1, FEE);
        vm.deal(address(this), FEE);
        JobId jobId = thief.createJob{value: FEE}(jobRequest(1));
        vm.warp(tasks.refundableAt(jobId));
        tasks.refund(jobId);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.PaymentFailed.selector, address(thief), FEE)
        );
        thief.withdraw();
        assertEq(address(tasks.vault()).balance, 2 * FEE, "nothing left");
    }

    function test_Constructor_RefusesAGraceWithinTheWindow() external {
        ITaskManager.TaskParams memory p = taskTerms().tasks;
        ITaskManager.Parts memory parts = _parts();
        p.graceSeconds = CHALLENGE;
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.GraceTooShort.selector, CHALLENGE, CHALLENGE)
        );
        new TaskManager(parts, p);
    }

    /// @dev The double's stake stays for 1000 blocks.
    function test_Constructor_RefusesJobsLongerThanHalfOfTheDeallocationDelay() external {
        ITaskManager.Parts memory parts = _parts();
        ITaskManager.TaskParams memory p = taskTerms().tasks;
        uint256 limit = 1000 * BLOCK_SECONDS / 2;
        p.deadlineSecondsMax = uint64(limit) - VERIFY - CHALLENGE;
        new TaskManager(parts, p);
        p.deadlineSecondsMax += 1;
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.JobTimesTooLong.selector, limit + 1, limit)
        );
        new TaskManager(parts, p);
        AvsDouble(address(parts.stakeSource)).setDelay(type(uint32).max);
        p.deadlineSecondsMax = 30 days + 1;
        vm.expectPartialRevert(ITaskManager.JobTimesTooLong.selector);
        new TaskManager(parts, p);
    }

    function test_Constructor_RefusesRoundsJudgedTooShortOrTooLong() external {
        ITaskManager.TaskParams memory p = taskTerms().tasks;
        // Rounds are judged for 240 seconds.
        (p.verifySeconds, p.graceSeconds) = (239 - CHALLENGE - 1, CHALLENGE + 1);
        ITaskManager.Parts memory parts = _parts();
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.JudgeTimeInvalid.selector, 240, CHALLENGE + 1, 239)
        );
        new TaskManager(parts, p);
        p.verifySeconds += 1;
        new TaskManager(parts, p);
    }

    // Helpers

    function _parts() private returns (ITaskManager.Parts memory) {
        return ITaskManager.Parts(
            registry,
            IStakeSource(address(new AvsDouble())),
            tasks.vault(),
            tasks.bonds(),
            tasks.races()
        );
    }

    function _attested(JobId jobId, SegmentRecord[] memory list)
        private
        returns (ITaskManager.Settlement memory s, StatementDigest statement)
    {
        (s, statement) = settlement(jobId, list);
        attestSole(statement, 1);
    }

    function _freshEpoch() private {
        snapshot();
    }

    function _refuse(ITaskManager.JobRequest memory r, uint256 fee, bytes memory refusal) private {
        vm.deal(REQUESTER, fee);
        vm.expectRevert(refusal);
        vm.prank(REQUESTER);
        tasks.createJob{value: fee}(r);
    }

    function _invalid(string memory field) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ITaskManager.JobFieldInvalid.selector, field);
    }

    function _tooLarge(string memory field, uint256 got, uint256 limit)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(ITaskManager.JobFieldTooLarge.selector, field, got, limit);
    }

    function _notVerified(StatementDigest statement, IProofRegistry.Finality finality)
        private
        pure
        returns (bytes memory)
    {
        return
            abi.encodeWithSelector(ITaskManager.StatementNotVerified.selector, statement, finality);
    }
}
