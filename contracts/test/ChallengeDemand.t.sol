// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChallengeGame} from "../src/ChallengeGame.sol";
import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @dev A responder that tries to withdraw again while it is paid, or refuses to be paid.
contract GreedyResponder {
    ChallengeGame private immutable _game;
    bool private immutable _refuses;
    bytes public refusal;

    error NoThanks();

    constructor(ChallengeGame game_, bool refuses_) {
        (_game, _refuses) = (game_, refuses_);
    }

    function answer(StatementDigest statement, uint32 index, bytes memory envelope) external {
        _game.answer(statement, index, envelope);
    }

    function withdraw() external {
        _game.withdraw(payable(address(this)));
    }

    receive() external payable {
        if (_refuses) revert NoThanks();
        (, refusal) = address(_game).call(abi.encodeCall(_game.withdraw, (payable(address(this)))));
    }
}

/// @title demand, answer, closeUnanswered, withdraw (test/tree/ChallengeDemand.tree)
contract ChallengeDemandTest is GameNetwork {
    address private constant DEMANDER = address(0xDE);
    IChallengeGame.Refutation private _r;
    StatementDigest private _digest;
    BatchLeaf private _leaf;
    uint256 private _attestedAt;

    function setUp() external {
        deployGame();
        addFour();
        snapshot();
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        _r.statement = r.statement;
        _r.record = r.record;
        _r.path = r.path;
        _digest = digestOf(r);
        _leaf = attestSole(_digest, VALID);
        _attestedAt = block.timestamp;
    }

    // demand

    function test_Demand_ContestsTheStatement() external {
        uint64 until = uint64(block.timestamp + ANSWER);
        vm.expectEmit(address(game));
        emit IChallengeGame.ProofDemanded(_digest, 1, keccak256(goodProof()), DEMANDER, until);
        _demand();
        assertEq(registry.contestedUntil(_digest), until + CHALLENGE, "contested");
        vm.warp(_attestedAt + CHALLENGE);
        assertTrue(!registry.isVerified(_digest, _leaf, true), "not hard while open");
        assertTrue(registry.isVerified(_digest, _leaf, false), "soft");
        assertTrue(game.demands(_digest, 1).state == IChallengeGame.DemandState.Open, "open");
        assertEq(address(game).balance, DEMAND_BOND, "bond");
    }

    function test_Demand_OfTheLastSecondStillEnds() external {
        // The latest that a demand can keep a leaf from being hard, whatever is done.
        vm.warp(_attestedAt + CHALLENGE - 1);
        _demand();
        vm.warp(block.timestamp + ANSWER);
        game.answer(_digest, 1, goodProof());
        vm.warp(_attestedAt + CHALLENGE - 1 + ANSWER + CHALLENGE);
        assertTrue(registry.isVerified(_digest, _leaf, true), "hard");
    }

    function test_Demand_TakesExactlyTheBond() external {
        vm.deal(DEMANDER, 1 ether);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.BondWrong.selector, DEMAND_BOND, DEMAND_BOND + 1)
        );
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND + 1}(_r.statement, _r.record, _r.path, _leaf);
    }

    function test_Demand_OncePerSegment() external {
        _demand();
        bytes memory refusal =
            abi.encodeWithSelector(IChallengeGame.AlreadyDemanded.selector, _digest, uint32(1));
        _refuse(refusal);
        game.answer(_digest, 1, goodProof());
        _refuse(refusal);
        // The other segment is another demand: nobody can use up the one that matters.
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        r.path[0] = _leafOf(r);
        r.record = twoRecords()[0];
        vm.deal(DEMANDER, DEMAND_BOND);
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(r.statement, r.record, r.path, _leaf);
    }

    function test_Demand_RefusesAHardLeaf() external {
        vm.warp(_attestedAt + CHALLENGE);
        bytes memory refusal = abi.encodeWithSelector(
            IChallengeGame.LeafHard.selector, _digest, uint64(_attestedAt + CHALLENGE)
        );
        _refuse(refusal);
    }

    function test_Demand_AContestDoesNotOpenAnotherAfterTheWindow() external {
        _demand();
        vm.warp(_attestedAt + CHALLENGE);
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        bytes32 sibling = _leafOf(r);
        _r.record = twoRecords()[0];
        _r.path[0] = sibling;
        _refuse(
            abi.encodeWithSelector(
                IChallengeGame.LeafHard.selector, _digest, uint64(_attestedAt + CHALLENGE)
            )
        );
    }

    function test_Demand_RefusesWhatIsNotAttestedAsValid() external {
        IChallengeGame.Refutation memory r = refutationOf(2, goodProof());
        StatementDigest other = digestOf(r);
        vm.deal(DEMANDER, DEMAND_BOND);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, other, VALID, _leaf.root
            )
        );
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(r.statement, r.record, r.path, _leaf);
        BatchLeaf memory invalidLeaf = attestSole(other, INVALID);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, other, VALID, invalidLeaf.root
            )
        );
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(r.statement, r.record, r.path, invalidLeaf);
    }

    function test_Demand_RefusesAForgedRecordAStandingAndAStark() external {
        _r.record.proofDigest = keccak256("bytes that nobody has");
        _refuse(
            abi.encodeWithSelector(IChallengeGame.RecordNotInStatement.selector, _digest, uint32(1))
        );
        _r.record.proofDigest = keccak256(goodProof());
        registry.dispute(_digest, _leaf, attestSole(_digest, INVALID));
        _refuse(
            abi.encodeWithSelector(
                IChallengeGame.StatementClosed.selector, _digest, IProofRegistry.Standing.Disputed
            )
        );
        _r.statement.programId = ProgramId.wrap(keccak256("a STARK"));
        _refuse(
            abi.encodeWithSelector(
                IChallengeGame.ProgramNotJudged.selector,
                _r.statement.programId,
                IChallengeGame.JudgeKind.None
            )
        );
    }

    // answer

    function test_Answer_PaysTheResponder() external {
        _demand();
        vm.warp(block.timestamp + ANSWER);
        vm.expectEmit(address(game));
        emit IChallengeGame.DemandAnswered(_digest, 1, CHALLENGER);
        vm.prank(CHALLENGER);
        game.answer(_digest, 1, goodProof());
        assertEq(game.credits(CHALLENGER), DEMAND_BOND, "credit");
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(registry.isVerified(_digest, _leaf, true), "hard");
        bytes memory over = abi.encodeWithSelector(
            IChallengeGame.DemandNotOpen.selector,
            _digest,
            uint32(1),
            IChallengeGame.DemandState.Answered
        );
        vm.expectRevert(over);
        game.answer(_digest, 1, goodProof());
        vm.expectRevert(over);
        game.closeUnanswered(_digest, 1);
    }

    function test_Answer_LeavesTimeToJudgeTheBytes() external {
        _demand();
        vm.warp(block.timestamp + ANSWER);
        game.answer(_digest, 1, goodProof());
        vm.warp(block.timestamp + CHALLENGE - 1);
        assertTrue(!registry.isVerified(_digest, _leaf, true), "not hard yet");
    }

    function test_Answer_RefusesOtherBytesAndLateOnes() external {
        _demand();
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeGame.BytesDiffer.selector, keccak256(goodProof()), keccak256(falseProof())
            )
        );
        game.answer(_digest, 1, falseProof());
        uint64 until = uint64(block.timestamp + ANSWER);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.AnswerTooLate.selector, until));
        game.answer(_digest, 1, goodProof());
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeGame.DemandNotOpen.selector,
                _digest,
                uint32(0),
                IChallengeGame.DemandState.None
            )
        );
        game.answer(_digest, 0, goodProof());
    }

    // closeUnanswered

    function test_CloseUnanswered_WithdrawsTheLeafAndSlashesNobody() external {
        _demand();
        uint64 until = uint64(block.timestamp + ANSWER);
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.AnswerOpen.selector, until));
        game.closeUnanswered(_digest, 1);
        vm.warp(until + 1);
        vm.expectEmit(address(game));
        emit IChallengeGame.DemandUnanswered(_digest, 1);
        game.closeUnanswered(_digest, 1);
        assertTrue(registry.standingOf(_digest) == IProofRegistry.Standing.Withdrawn, "withdrawn");
        assertTrue(!registry.isVerified(_digest, _leaf, true), "never hard");
        assertEq(game.credits(DEMANDER), DEMAND_BOND, "bond");
        for (uint256 i = 0; i < 4; ++i) {
            assertNoCase(i, _digest);
        }
        vm.prank(DEMANDER);
        game.withdraw(payable(DEMANDER));
        assertEq(DEMANDER.balance, DEMAND_BOND, "back");
        assertEq(address(game).balance, 0, "nothing kept");
    }

    function test_CloseUnanswered_ComesBeforeTheLeafIsHard() external {
        _demand();
        vm.warp(block.timestamp + ANSWER + CHALLENGE - 1);
        assertTrue(!registry.isVerified(_digest, _leaf, true), "still contested");
        game.closeUnanswered(_digest, 1);
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(!registry.isVerified(_digest, _leaf, true), "withdrawn");
    }

    // withdraw

    function test_Withdraw_RefusesNobodyTheUncreditedAndTheUnwilling() external {
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.NothingToWithdraw.selector, address(this))
        );
        game.withdraw(payable(address(this)));
        vm.expectRevert(IChallengeGame.RecipientZero.selector);
        game.withdraw(payable(address(0)));
        GreedyResponder unwilling = new GreedyResponder(game, true);
        _demand();
        unwilling.answer(_digest, 1, goodProof());
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeGame.PaymentFailed.selector, address(unwilling), DEMAND_BOND
            )
        );
        unwilling.withdraw();
        assertEq(game.credits(address(unwilling)), DEMAND_BOND, "kept");
    }

    function test_Withdraw_CannotBeReentered() external {
        GreedyResponder greedy = new GreedyResponder(game, false);
        _demand();
        greedy.answer(_digest, 1, goodProof());
        commitTo(CHALLENGER, "somebody else's bond");
        greedy.withdraw();
        assertEq(address(greedy).balance, DEMAND_BOND, "once");
        assertEq(address(game).balance, BOND, "the other's is there");
        assertTrue(
            bytes4(greedy.refusal()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")),
            "refused"
        );
    }

    // Helpers

    function _demand() private {
        vm.deal(DEMANDER, DEMAND_BOND);
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(_r.statement, _r.record, _r.path, _leaf);
    }

    function _refuse(bytes memory refusal) private {
        vm.deal(DEMANDER, DEMAND_BOND);
        vm.expectRevert(refusal);
        vm.prank(DEMANDER);
        game.demand{value: DEMAND_BOND}(_r.statement, _r.record, _r.path, _leaf);
    }

    /// @dev The Merkle leaf of the record that is demanded: the sibling of the other one.
    function _leafOf(IChallengeGame.Refutation memory r) private pure returns (bytes32) {
        return segmentLeafOf(r.record);
    }
}
