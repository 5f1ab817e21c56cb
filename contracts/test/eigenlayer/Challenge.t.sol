// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../../src/interfaces/IChallengeGame.sol";
import {ISlashingCourt} from "../../src/interfaces/ISlashingCourt.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {StatementDigest} from "../../src/types/Ids.sol";
import {GameOnCore} from "./GameOnCore.sol";

/// @title An operator that voted `valid` on a false proof, on the real core
/// @dev The operator votes in the block of the snapshot, the worst one: the look-ahead is counted
/// from it.
abstract contract AccusedOnCore is GameOnCore {
    uint256 internal constant GUILTY = 3;

    IChallengeGame.Refutation private _refutation;
    StatementDigest private _digest;
    IChallengeGame.Vote private _vote;

    function setUp() public {
        deployGame();
        addFour();
        epochs.snapshot();
        _refutation = falseStatement(1);
        _digest = Digests.statementDigest(_refutation.statement);
        _vote = voteOf(GUILTY, _digest);
    }

    /// @dev Commits, reveals a block later, waits for the veto.
    function accuse() internal returns (bytes32) {
        bytes memory call =
            abi.encodeCall(IChallengeGame.revealVote, (_refutation, _vote, bytes32("salt")));
        bytes32 commitment = game.commitmentOf(CHALLENGER, call);
        vm.deal(CHALLENGER, BOND);
        vm.prank(CHALLENGER);
        game.commit{value: BOND}(commitment);
        vm.roll(block.number + 1);
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "reveal");
        vm.warp(block.timestamp + VETO);
        return court.caseIdOf(operatorAt(GUILTY), _digest);
    }
}

/// @title Nobody escapes: from a false `valid` to the slash in the real core
/// (test/tree/ChallengeOnCore.tree)
contract ChallengeOnCoreTest is AccusedOnCore {
    function test_DeallocatedInTheBlockOfTheVote_SlashedInTheLastBlock() external {
        allocate(operatorAt(GUILTY), verifiers(), 0);
        _assertSlashedInTheLastBlock();
    }

    function test_LeftInTheBlockOfTheVote_SlashedInTheLastBlock() external {
        leaveSet(operatorAt(GUILTY), verifiers());
        _assertSlashedInTheLastBlock();
    }

    function test_WithdrawnInTheBlockOfTheVote_SlashedInTheLastBlock() external {
        queueWithdrawal(operatorAt(GUILTY), 20 ether);
        bytes32 caseId = accuse();
        vm.roll(epochs.slashableUntil(1));
        court.execute(caseId);
        vm.roll(block.number + WITHDRAWAL_DELAY + 1);
        completeWithdrawal(operatorAt(GUILTY));
        assertEq(stakeToken.balanceOf(operatorAt(GUILTY)), 10 ether, "half of it is gone");
    }

    function test_OneBlockLater_NobodyIsSlashed() external {
        allocate(operatorAt(GUILTY), verifiers(), 0);
        bytes32 caseId = accuse();
        uint256 last = epochs.slashableUntil(1);
        vm.roll(last + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISlashingCourt.EvidenceTooLate.selector, 1, last + 1, last)
        );
        court.execute(caseId);
    }

    function _assertSlashedInTheLastBlock() private {
        bytes32 caseId = accuse();
        vm.roll(epochs.slashableUntil(1));
        uint256 before = delegation.operatorShares(operatorAt(GUILTY), strategy);
        court.execute(caseId);
        uint256 slashed = before - delegation.operatorShares(operatorAt(GUILTY), strategy);
        assertEq(slashed, 10 ether, "half of what it had");
        assertEq(court.credits(CHALLENGER), slashed * 2 / 5, "of which two fifths are rewarded");
    }
}

/// @title The reward is at most half of what the core took, whatever the fault costs
abstract contract RewardOnCore is AccusedOnCore {
    function test_Reward_IsAtMostHalfOfWhatTheCoreTook() external {
        (uint64 fault,) = wads();
        bytes32 caseId = accuse();
        uint256 before = delegation.operatorShares(operatorAt(GUILTY), strategy);
        court.execute(caseId);
        uint256 taken = before - delegation.operatorShares(operatorAt(GUILTY), strategy);
        assertEq(taken, before * fault / 1e18, "what the fault costs");
        assertEq(court.credits(CHALLENGER), taken / 2, "half of it, rounded down");
    }

    /// @dev Part of the stake left the set before: it cannot be taken, and is not rewarded.
    function test_Reward_CountsOnlyWhatCanBeTaken() external {
        queueWithdrawal(operatorAt(GUILTY), 7 ether);
        bytes32 caseId = accuse();
        uint256 before = delegation.operatorShares(operatorAt(GUILTY), strategy);
        court.execute(caseId);
        uint256 taken = before - delegation.operatorShares(operatorAt(GUILTY), strategy);
        assertTrue(taken != 0, "it is slashed");
        assertTrue(2 * court.credits(CHALLENGER) <= taken, "at most half of what is left");
    }
}

/// @title All of the stake, and the most that a challenger can get of it
contract RewardOfAllOnCoreTest is RewardOnCore {
    function wads() internal pure override returns (uint64, uint64) {
        return (1e18, 0.5e18);
    }
}

/// @title Half of the stake, and the most that a challenger can get of it
contract RewardOfHalfOnCoreTest is RewardOnCore {
    function wads() internal pure override returns (uint64, uint64) {
        return (0.5e18, 0.5e18);
    }
}
