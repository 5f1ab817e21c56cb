// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title What a refund waits for, and for how long (test/tree/JobEscrow.tree)
contract JobEscrowTest is MoneyNetwork {
    JobId private _job;
    uint256 private _scheduled;

    function setUp() external {
        deployMoney(Money.terms());
        newEpoch();
        _job = createJob(REQUESTER, 1, FEE);
        _scheduled = uint256(tasks.jobs(_job).deadline) + VERIFY + SETTLE_GRACE;
    }

    /// @dev A job's id has its requester in it, and a nonce is the requester's own: nobody can use
    /// up another's ids, also not by sending the same words first.
    function test_GriefedJobIds_TheSameWordsOfAnotherAreAnotherJob() external {
        ITaskManager.JobRequest memory r = jobRequest(2);
        address griefer = address(0xBAD);
        vm.deal(griefer, FEE);
        vm.prank(griefer);
        JobId griefed = tasks.createJob{value: FEE}(r);
        (, JobId own) = tasks.describe(REQUESTER, r, FEE);
        assertTrue(!(griefed == own), "another id");
        assertTrue(createJob(REQUESTER, 2, FEE) == own, "the requester's is free");
    }

    function test_Refund_NeverWhileADeliveredStatementMayBeAttested() external {
        // Delivered at the last second, attested at the last second of verifying.
        depositBond(proverAt(0), 1 ether);
        uint64 deadline = tasks.jobs(_job).deadline;
        bytes32 task = Digests.taskId(_job, 1, 0);
        bytes memory signature =
            signAcceptance(proverKey(0), _job, task, keccak256("input"), deadline, 1 ether);
        bonds.accept(
            jobOf(REQUESTER, jobRequest(1), FEE), 0, deadline, 1 ether, proverAt(0), signature
        );
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(_job, proverAt(0));
        vm.warp(deadline);
        vm.prank(proverAt(0));
        bonds.deliver(_job, task, statement);
        vm.warp(uint256(deadline) + VERIFY);
        _refuseRefund(_scheduled);
        certifyAs(statement, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        _refuseRefund(_scheduled);
        tasks.settle(_job, s);
        assertEq(bonds.accounts(proverAt(0)).free, 1 ether, "and the bond is free");
    }

    function test_Refund_NeverWhileALateAttestationIsSoftAndHeld() external {
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(_job, proverAt(0));
        vm.warp(_scheduled - 1);
        certifyAs(statement, 1, 0);
        tasks.hold(_job, s);
        vm.warp(_scheduled + CHALLENGE);
        _refuseRefund(_scheduled - 1 + CHALLENGE + SETTLE_GRACE);
        tasks.settle(_job, s);
    }

    function test_Refund_NeverWhileAStatementIsContestedAndHeld() external {
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(_job, proverAt(0));
        vm.warp(_scheduled - 100);
        certifyAs(statement, 1, 0);
        uint64 until = uint64(_scheduled) + 400;
        ledger.contest(statement, until);
        vm.warp(_scheduled - 1);
        tasks.hold(_job, s);
        vm.warp(until - 1);
        _refuseRefund(uint256(until) + SETTLE_GRACE);
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.StatementNotVerified.selector, statement, IProofRegistry.Finality.Soft
            )
        );
        tasks.settle(_job, s);
        vm.warp(until);
        tasks.settle(_job, s);
    }

    /// @dev Contested for ever: the refund comes at the cap.
    function test_Refund_IsAlwaysReachable() external {
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(_job, proverAt(0));
        vm.warp(_scheduled - 1);
        certifyAs(statement, 1, 0);
        ledger.contest(statement, type(uint64).max);
        tasks.hold(_job, s);
        vm.warp(_scheduled + HOLD_MAX - 1);
        _refuseRefund(_scheduled + HOLD_MAX);
        tasks.hold(_job, s);
        vm.warp(_scheduled + HOLD_MAX);
        tasks.refund(_job);
        assertEq(creditOf(REQUESTER), FEE, "refunded");
    }

    /// @dev An invalid certificate ends one attempt, never a job.
    function test_Settle_AfterAnInvalidAttemptTheNextOnePays() external {
        (, StatementDigest first) = settlementBy(_job, proverAt(0));
        certifyAs(first, 2, 0);
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(tasks.jobs(_job).state == ITaskManager.JobState.Open, "still open");
        (ITaskManager.Settlement memory s, StatementDigest second) = settlementBy(_job, proverAt(1));
        certifyAs(second, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        tasks.settle(_job, s);
        assertEq(creditOf(proverAt(1)), FEE * 80 / 100, "paid");
        assertEq(creditOf(proverAt(0)), 0, "not paid");
    }

    function _refuseRefund(uint256 due) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RefundTooEarly.selector, _job, due));
        tasks.refund(_job);
    }
}
