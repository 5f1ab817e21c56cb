// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {MerkleTree} from "../src/libraries/MerkleTree.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {SegmentRecord, Statement} from "../src/types/Protocol.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @title An escrow whose leaf is contested, in every outcome (test/tree/ContestedEscrow.tree)
/// @dev Registry, game and task manager are the real ones. The leaf is attested in the last second
/// before a refund: the worst time for whoever waits for either.
contract ContestedEscrowTest is GameNetwork {
    address private constant REQUESTER = address(0xCAFE);
    address private constant DEMANDER = address(0xDE);
    uint256 private constant FEE = 1 ether;

    JobId private _job;
    uint256 private _scheduled;
    ITaskManager.Settlement private _s;
    IChallengeGame.Refutation private _r;
    StatementDigest private _digest;

    function setUp() external {
        deployGame();
        addFour();
        snapshot();
        _job = createJob(REQUESTER, 1, FEE);
        _scheduled = uint256(tasks.jobs(_job).deadline) + VERIFY + SETTLE_GRACE;
        vm.warp(_scheduled - 1);
    }

    // Not contested

    function test_NotContested_TheRefundWaitsAndTheJobSettles() external {
        _attestLate(goodProof());
        _refuseRefund(_scheduled - 1 + CHALLENGE + SETTLE_GRACE);
        vm.warp(_scheduled - 1 + CHALLENGE);
        _settles();
    }

    // Demanded

    function test_Answered_TheRefundWaitsAndTheJobSettles() external {
        _attestLate(goodProof());
        uint256 until = _demandInTheLastSecond();
        _refuseRefund(until + CHALLENGE + SETTLE_GRACE);
        vm.warp(until);
        game.answer(_digest, 1, goodProof());
        _assertSolvent();
        _refuseSettlement(IProofRegistry.Finality.Soft);
        vm.warp(until + CHALLENGE);
        _settles();
        assertEq(game.credits(address(this)), DEMAND_BOND, "the bond is the responder's");
    }

    function test_Unanswered_TheFeeIsRefundedAndNobodyIsSlashed() external {
        _attestLate(goodProof());
        uint256 until = _demandInTheLastSecond();
        vm.warp(until + 1);
        game.closeUnanswered(_digest, 1);
        _refuseSettlement(IProofRegistry.Finality.Withdrawn);
        _refunds(until + CHALLENGE + SETTLE_GRACE);
        assertEq(game.credits(DEMANDER), DEMAND_BOND, "the bond is the demander's again");
        for (uint256 i = 0; i < 4; ++i) {
            assertNoCase(i, _digest);
        }
    }

    function test_NobodyDoesAnything_TheRefundIsReachable() external {
        _attestLate(goodProof());
        _refunds(_demandInTheLastSecond() + CHALLENGE + SETTLE_GRACE);
    }

    // Refuted

    function test_Refuted_TheFeeIsRefunded() external {
        _attestLate(falseProof());
        game.refute(_r);
        _refuseSettlement(IProofRegistry.Finality.Refuted);
        _refunds(_scheduled - 1 + CHALLENGE + SETTLE_GRACE);
    }

    function test_Accused_TheFeeIsRefunded() external {
        _attestLate(falseProof());
        IChallengeGame.Attested memory attested = IChallengeGame.Attested(0, VALID, _s.leaf);
        accuse(CHALLENGER, attestedCall(_r, attested));
        assertTrue(court.isFiled(operatorAt(0), _digest), "filed");
        // Two thirds of the stake were wrong: nothing under this manifest settles any more.
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ManifestNotAccepted.selector, PROGRAM, MANIFEST)
        );
        tasks.settle(_job, _s);
        _refunds(_scheduled - 1 + CHALLENGE + SETTLE_GRACE);
    }

    // Anything at any time

    /// @dev Each bit of `plan` is whether one of the steps is tried, after a wait of its own.
    function testFuzz_TheJobEndsWithinTheCap(uint8 plan, uint256 waits, bool isFalse) external {
        _attestLate(isFalse ? falseProof() : goodProof());
        for (uint256 i = 0; i < 8; ++i) {
            vm.warp(block.timestamp + ((waits >> (i * 16)) & 0xff));
            if ((plan >> i) & 1 == 1) _try(i);
            _assertSolvent();
        }
        ITaskManager.JobState state = tasks.jobs(_job).state;
        if (state == ITaskManager.JobState.Open) {
            uint256 due = tasks.refundableAt(_job);
            assertTrue(due <= _scheduled + HOLD_MAX, "capped");
            if (block.timestamp < due) vm.warp(due);
            tasks.refund(_job);
            assertEq(tasks.credits(REQUESTER), FEE, "refunded");
        } else {
            assertTrue(state == ITaskManager.JobState.Settled, "settled, as nobody ended its leaf");
        }
        _assertSolvent();
    }

    /// @dev One step; the contracts say whether it can be taken now.
    function _try(uint256 step) private {
        if (step == 0 || step == 3) {
            try tasks.hold(_job, _s) {} catch {}
        } else if (step == 1) {
            vm.deal(DEMANDER, DEMAND_BOND);
            vm.prank(DEMANDER);
            try game.demand{value: DEMAND_BOND}(_r.statement, _r.record, _r.path, _s.leaf) {}
                catch {}
        } else if (step == 2) {
            try game.refute(_r) {} catch {}
        } else if (step == 4) {
            try game.answer(_digest, 1, _r.shown) {} catch {}
        } else if (step == 5) {
            try game.closeUnanswered(_digest, 1) {} catch {}
        } else {
            try tasks.settle(_job, _s) {} catch {}
        }
    }

    // Helpers

    /// @dev The job's statement, of two segments; the second one's proof is `shown`. Attested now,
    /// and held.
    function _attestLate(bytes memory shown) private {
        SegmentRecord[] memory list = twoRecords();
        list[1].proofDigest = keccak256(shown);
        (ITaskManager.Settlement memory s, StatementDigest digest) = settlement(_job, list);
        bytes32[] memory leaves = new bytes32[](2);
        (leaves[0], leaves[1]) = (segmentLeafOf(list[0]), segmentLeafOf(list[1]));
        bytes32 claim = tasks.jobs(_job).claim;
        _r.statement = Statement(_job, 1, PROGRAM, MANIFEST, claim, 2, MerkleTree.rootOf(leaves));
        assertEq(
            StatementDigest.unwrap(Digests.statementDigest(_r.statement)),
            StatementDigest.unwrap(digest),
            "the same statement"
        );
        _r.record = list[1];
        _r.path.push(leaves[0]);
        _r.shown = shown;
        (_s.statementAttempt, _s.manifest) = (s.statementAttempt, s.manifest);
        (_s.leaf, _digest) = (s.leaf, digest);
        _s.records.push(list[0]);
        _s.records.push(list[1]);
        attestSole(digest, VALID);
        tasks.hold(_job, _s);
        _assertSolvent();
    }

    /// @dev Demands when the leaf is about to be hard, and holds the refund. The last second to answer.
    function _demandInTheLastSecond() private returns (uint256 until) {
        vm.warp(_scheduled - 1 + CHALLENGE - 1);
        until = block.timestamp + ANSWER;
        vm.deal(DEMANDER, DEMAND_BOND);
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(_r.statement, _r.record, _r.path, _s.leaf);
        tasks.hold(_job, _s);
        _assertSolvent();
    }

    function _settles() private {
        tasks.settle(_job, _s);
        assertTrue(tasks.credits(prover(1)) > tasks.credits(prover(0)), "by work");
        assertTrue(tasks.credits(prover(0)) > 0, "both are paid");
        _assertSolvent();
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.JobNotOpen.selector, _job, ITaskManager.JobState.Settled
            )
        );
        tasks.refund(_job);
    }

    /// @dev Not a second earlier, and within the hard cap.
    function _refunds(uint256 due) private {
        assertTrue(due <= _scheduled + HOLD_MAX, "within the cap");
        vm.warp(due - 1);
        _refuseRefund(due);
        vm.warp(due);
        tasks.refund(_job);
        assertEq(tasks.credits(REQUESTER), FEE, "all of it");
        assertEq(tasks.credits(prover(0)) + tasks.credits(prover(1)), 0, "nobody is paid");
        _assertSolvent();
    }

    function _refuseRefund(uint256 due) private {
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.RefundTooEarly.selector, _job, due));
        tasks.refund(_job);
    }

    function _refuseSettlement(IProofRegistry.Finality finality) private {
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.StatementNotVerified.selector, _digest, finality)
        );
        tasks.settle(_job, _s);
    }

    /// @dev The vault holds the open fee and all credits, the game its bonds and credits: no more
    /// and no less.
    function _assertSolvent() private view {
        bool open = tasks.jobs(_job).state == ITaskManager.JobState.Open;
        uint256 owed = open ? FEE : 0;
        owed += tasks.credits(REQUESTER) + tasks.credits(prover(0)) + tasks.credits(prover(1));
        assertEq(address(tasks.vault()).balance, owed, "escrow is the sum of claims");
        bool demanded = game.demands(_digest, 1).state == IChallengeGame.DemandState.Open;
        uint256 bound = demanded ? DEMAND_BOND : 0;
        bound += game.credits(DEMANDER) + game.credits(address(this)) + game.forfeited();
        assertEq(address(game).balance, bound, "bonds are the sum of claims");
    }
}
