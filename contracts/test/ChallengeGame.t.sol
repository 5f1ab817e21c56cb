// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChallengeGame} from "../src/ChallengeGame.sol";
import {ProofRegistry} from "../src/ProofRegistry.sol";
import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {IReserve} from "../src/interfaces/IReserve.sol";
import {ISlashingCourt} from "../src/interfaces/ISlashingCourt.sol";
import {Bn254, G1Point} from "../src/libraries/Bn254.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {FixedGasCall} from "../src/libraries/FixedGasCall.sol";
import {MerkleTree} from "../src/libraries/MerkleTree.sol";
import {ManifestDigest, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {JudgeDouble} from "./helpers/GameDoubles.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @dev A challenger that tries to reveal again, or to expire, when its bond comes back.
contract GreedyChallenger {
    ChallengeGame private immutable _game;
    bytes private _call;
    bytes public refusal;
    uint256 public received;

    constructor(ChallengeGame game_) {
        _game = game_;
    }

    function commit(bytes memory revealCall) external payable {
        _game.commit{value: msg.value}(_game.commitmentOf(address(this), revealCall));
    }

    function reveal(bytes memory revealCall) external {
        _call = revealCall;
        (bool ok, bytes memory output) = address(_game).call(revealCall);
        if (ok) return;
        assembly {
            revert(add(output, 32), mload(output))
        }
    }

    receive() external payable {
        ++received;
        (, refusal) = address(_game).call(_call);
    }
}

/// @title commit, the four reveals, refute, expire, sweep (test/tree/ChallengeGame.tree)
contract ChallengeGameTest is GameNetwork {
    uint64 private _epoch;

    function setUp() external {
        deployGame();
        addFour();
        _epoch = snapshot();
    }

    // commit

    function test_Commit_TakesExactlyTheBondOnce() external {
        vm.deal(CHALLENGER, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.BondWrong.selector, BOND, BOND - 1));
        vm.prank(CHALLENGER);
        game.commit{value: BOND - 1}(SALT);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.BondWrong.selector, BOND, BOND + 1));
        vm.prank(CHALLENGER);
        game.commit{value: BOND + 1}(SALT);
        vm.expectEmit(address(game));
        emit IChallengeGame.Committed(CHALLENGER, SALT, uint64(block.timestamp + COMMIT_SECONDS));
        vm.prank(CHALLENGER);
        game.commit{value: BOND}(SALT);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.AlreadyCommitted.selector, CHALLENGER, SALT)
        );
        vm.prank(CHALLENGER);
        game.commit{value: BOND}(SALT);
        assertEq(address(game).balance, BOND, "one bond");
    }

    function test_Commit_ACopiedCommitmentHelpsAndHindersNobody() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        // Somebody sees the commitment and makes it first, then the reveal, and sends it first.
        address copier = address(0xBAD);
        bytes32 commitment = game.commitmentOf(CHALLENGER, call);
        vm.deal(copier, BOND);
        vm.prank(copier);
        game.commit{value: BOND}(commitment);
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        bytes32 copiers = game.commitmentOf(copier, call);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.NotCommitted.selector, copier, copiers)
        );
        vm.prank(copier);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
        reveal(CHALLENGER, call);
        assertEq(caseOf(3, digest).challenger, CHALLENGER, "the challenger's case");
        vm.warp(block.timestamp + COMMIT_SECONDS + 1);
        game.expire(copier, commitment);
        assertEq(game.forfeited(), BOND, "the copier's bond");
    }

    // reveal

    function test_Reveal_NotInTheBlockOfTheCommitment() external {
        (bytes memory call,) = _voteAccusation(3);
        commitTo(CHALLENGER, call);
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.RevealTooEarly.selector, block.number)
        );
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
        // A front-runner that learns the evidence from the reveal is a block behind it.
        vm.roll(block.number + 1);
        reveal(CHALLENGER, call);
    }

    function test_Reveal_NotAfterTheCommitmentExpired() external {
        (bytes memory call,) = _voteAccusation(3);
        commitTo(CHALLENGER, call);
        uint64 expiresAt = uint64(block.timestamp + COMMIT_SECONDS);
        vm.roll(block.number + 1);
        vm.warp(expiresAt + 1);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.RevealTooLate.selector, expiresAt));
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
        vm.warp(expiresAt);
        reveal(CHALLENGER, call);
    }

    function test_Reveal_OnlyWhatWasCommittedTo() external {
        (bytes memory call,) = _voteAccusation(3);
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        (bytes memory other,) = _voteAccusation(2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IChallengeGame.NotCommitted.selector,
                CHALLENGER,
                game.commitmentOf(CHALLENGER, other)
            )
        );
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(other);
        assertTrue(ok, "the expected revert");
    }

    function test_Reveal_CommitmentsAreOfOneChainAndGame() external {
        (bytes memory call,) = _voteAccusation(3);
        bytes32 here = game.commitmentOf(CHALLENGER, call);
        ChallengeGame other = new ChallengeGame(registry, court, gameParams(), OWNER);
        assertTrue(here != other.commitmentOf(CHALLENGER, call), "another game");
        vm.chainId(424_242);
        assertTrue(here != game.commitmentOf(CHALLENGER, call), "another chain");
    }

    // revealVote

    function test_RevealVote_FilesTheCaseRefutesAndPaysTheBondBack() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        bytes32 commitment = commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        bytes32 caseId = court.caseIdOf(operatorAt(3), digest);
        vm.expectEmit(address(game));
        emit IChallengeGame.ChallengeUpheld(CHALLENGER, commitment, caseId, false);
        reveal(CHALLENGER, call);
        ISlashingCourt.Case memory filed = court.cases(caseId);
        assertTrue(filed.state == ISlashingCourt.CaseState.Filed, "filed");
        assertTrue(filed.fault == ISlashingCourt.Fault.FalseValid, "fault");
        assertEq(filed.challenger, CHALLENGER, "challenger");
        assertEq(filed.epoch, _epoch, "epoch");
        assertEq(filed.member, 3, "member");
        assertTrue(
            registry.standingOf(digest) == IProofRegistry.Standing.Refuted, "refuted at once"
        );
        assertEq(CHALLENGER.balance, BOND, "bond");
        assertEq(address(game).balance, 0, "nothing kept");
        assertTrue(registry.isManifestAccepted(PROGRAM, MANIFEST), "less than a third");
        assertTrue(!court.isLongVeto(digest), "short veto");
        (uint64 block_, uint64 expires) = game.commitments(CHALLENGER, commitment);
        assertEq(block_ + expires, 0, "used up");
    }

    function test_RevealVote_AGoodProofForfeitsTheBond() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digest, VALID));
        bytes32 commitment = commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        vm.expectEmit(address(game));
        emit IChallengeGame.ChallengeRejected(CHALLENGER, commitment, digest);
        reveal(CHALLENGER, call);
        assertNoCase(3, digest);
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.None, "no mark");
        assertEq(game.forfeited(), BOND, "forfeited");
        game.sweep();
        assertEq(address(reserve).balance, BOND, "to the reserve");
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.NothingToWithdraw.selector, reserve));
        game.sweep();
    }

    function test_RevealVote_OfInvalidIsNoFault() external {
        // A vote for `invalid` on a good proof costs reputation, nothing here.
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digestOf(r), INVALID));
        refuse(CHALLENGER, call, _error(IChallengeGame.VerdictNotValid.selector, INVALID));
    }

    function test_RevealVote_ASecondAccusationNeedsNoVerification() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        judge.set(JudgeDouble.Mode.Reverts);
        IChallengeGame.Refutation memory bare;
        bare.statement = refutationOf(1, falseProof()).statement;
        accuse(CHALLENGER, voteCall(bare, voteOf(_epoch, 2, digest, VALID)));
        assertTrue(court.isFiled(operatorAt(2), digest), "filed");
    }

    function test_RevealVote_ADuplicateReturnsTheBondAndFilesNothing() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        address second = address(0x5EC0);
        bytes32 commitment = commitTo(second, call);
        vm.roll(block.number + 1);
        vm.expectEmit(address(game));
        emit IChallengeGame.ChallengeDuplicate(
            second, commitment, court.caseIdOf(operatorAt(3), digest)
        );
        reveal(second, call);
        assertEq(second.balance, BOND, "bond");
        assertEq(caseOf(3, digest).challenger, CHALLENGER, "the first one's case");
        assertEq(
            game.accusedStake(digest, _epoch, ISlashingCourt.Fault.FalseValid),
            1 ether,
            "counted once"
        );
        // The same challenger, by another kind of evidence of the same fault: still one case.
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 0);
        accuse(CHALLENGER, attestedCall(refutationOf(1, falseProof()), a));
        assertEq(CHALLENGER.balance, 2 * uint256(BOND), "both bonds");
        assertTrue(!court.isLongVeto(digest), "nothing more was filed");
    }

    function test_RevealVote_AThirdOfTheStakeStopsTheManifestAndLengthensTheVeto() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        bytes32 first = court.caseIdOf(operatorAt(3), digest);
        assertEq(court.executableAt(first), block.timestamp + VETO, "1 of 9: the short veto");
        (call,) = _voteAccusation(2);
        vm.roll(block.number + 1);
        accuse(CHALLENGER, call);
        // 1 + 2 of 9 is exactly a third.
        assertTrue(!registry.isManifestAccepted(PROGRAM, MANIFEST), "stopped");
        assertTrue(court.isLongVeto(digest), "long");
        assertEq(court.executableAt(first), block.timestamp + LONG_VETO, "the earlier one too");
        (call,) = _voteAccusation(1);
        vm.roll(block.number + 1);
        accuse(CHALLENGER, call);
        bytes32 third = court.caseIdOf(operatorAt(1), digest);
        assertEq(court.executableAt(third), block.timestamp + LONG_VETO, "and the later one");
    }

    function test_RevealVote_StakeOfTwoEpochsIsNeverAdded() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        accuse(CHALLENGER, voteCall(r, voteOf(next, 2, digest, VALID)));
        assertTrue(!court.isLongVeto(digest), "1 of 9 and 2 of 9");
        assertTrue(registry.isManifestAccepted(PROGRAM, MANIFEST), "accepted");
    }

    function test_RevealVote_AStoppedManifestIsNotStoppedTwice() external {
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        (bytes memory call, StatementDigest digest) = _voteAccusation(0);
        accuse(CHALLENGER, call);
        assertTrue(court.isLongVeto(digest), "3 of 9");
    }

    // The forgeable challenge: a statement, record or path that nobody signed.

    function test_RevealVote_RefusesAForgedStatement() external {
        // The accused signed a good statement; the challenger shows another one of its own making.
        IChallengeGame.Refutation memory good = refutationOf(1, goodProof());
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digestOf(good), VALID);
        IChallengeGame.Refutation memory forged = refutationOf(2, falseProof());
        refuse(CHALLENGER, voteCall(forged, v), _voteInvalid(_epoch, digestOf(forged), VALID));
        assertNoCase(3, digestOf(forged));
        assertTrue(registry.standingOf(digestOf(forged)) == IProofRegistry.Standing.None, "no mark");
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_RevealVote_RefusesAnyOtherStatement(uint256 field, bytes32 value) external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest signed = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, signed, VALID);
        field = bound(field, 0, 3);
        if (field == 0) r.statement.claim = value;
        if (field == 1) r.statement.manifest = ManifestDigest.wrap(value);
        if (field == 2) r.statement.statementAttempt = 2 + uint32(uint256(value) % 1000);
        if (field == 3) r.record.vkDigest = value;
        StatementDigest shown = digestOf(r);
        vm.assume(field == 3 || StatementDigest.unwrap(shown) != StatementDigest.unwrap(signed));
        bytes memory refusal = field == 3
            ? _error(IChallengeGame.RecordNotInStatement.selector, StatementDigest.unwrap(shown), 1)
            : _voteInvalid(_epoch, shown, VALID);
        vm.assume(value != keccak256("vk"));
        refuse(CHALLENGER, voteCall(r, v), refusal);
    }

    function test_RevealVote_RefusesARecordThatIsNotTheStatements() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digest, VALID);
        IChallengeGame.Refutation memory forged = refutationOf(1, falseProof());
        r.record = forged.record;
        r.shown = forged.shown;
        bytes memory refusal =
            abi.encodeWithSelector(IChallengeGame.RecordNotInStatement.selector, digest, uint32(1));
        refuse(CHALLENGER, voteCall(r, v), refusal);
        r = refutationOf(1, goodProof());
        r.path[0] = bytes32(0);
        refuse(CHALLENGER, voteCall(r, v), refusal);
        r.path = new bytes32[](0);
        refuse(
            CHALLENGER,
            voteCall(r, v),
            abi.encodeWithSelector(MerkleTree.PathLengthWrong.selector, 1, 0)
        );
        r = refutationOf(1, goodProof());
        r.record.index = 2;
        refuse(
            CHALLENGER,
            voteCall(r, v),
            abi.encodeWithSelector(MerkleTree.LeafIndexOutOfRange.selector, 2, 2)
        );
    }

    function test_RevealVote_RefusesOtherBytes() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digestOf(r), VALID);
        r.shown = falseProof();
        refuse(
            CHALLENGER,
            voteCall(r, v),
            abi.encodeWithSelector(
                IChallengeGame.BytesDiffer.selector, keccak256(goodProof()), keccak256(r.shown)
            )
        );
    }

    // The replayable digest: a vote of another chain, table, epoch, member.

    function test_RevealVote_RefusesAnotherChainsVote() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        (, bytes32 tableDigest,) = epochs.tableAt(_epoch);
        bytes32 message =
            Digests.voteMessage(424_242, address(epochs), _epoch, tableDigest, digest, VALID);
        IChallengeGame.Vote memory v = signedVote(_epoch, 3, VALID, message);
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
    }

    function test_RevealVote_RefusesAnotherEpochTablesVote() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        (, bytes32 tableDigest,) = epochs.tableAt(_epoch);
        bytes32 message =
            Digests.voteMessage(block.chainid, address(0xE90C), _epoch, tableDigest, digest, VALID);
        IChallengeGame.Vote memory v = signedVote(_epoch, 3, VALID, message);
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
        message = Digests.voteMessage(
            block.chainid, address(epochs), _epoch, keccak256("other table"), digest, VALID
        );
        v = signedVote(_epoch, 3, VALID, message);
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
    }

    function test_RevealVote_RefusesAnotherEpochsVote() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digest, VALID);
        vm.warp(block.timestamp + MIN_EPOCH);
        v.epoch = snapshot();
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(v.epoch, digest, VALID));
        v.epoch += 1;
        refuse(CHALLENGER, voteCall(r, v), _error(IEpochTable.EpochUnknown.selector, v.epoch));
    }

    function test_RevealVote_RefusesANonMember() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digestOf(r), VALID);
        v.member = 4;
        bytes memory call = voteCall(r, v);
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        vm.expectPartialRevert(IEpochTable.MemberUnknown.selector);
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
    }

    function test_RevealVote_RefusesAnotherMembersSignature() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digest, VALID);
        v.member = 2;
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
        // The innocent's key in G2 with the guilty one's signature, and the other way round.
        v = voteOf(_epoch, 3, digest, VALID);
        v.key2 = voteOf(_epoch, 2, digest, VALID).key2;
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
        v.signature = G1Point(0, 0);
        refuse(CHALLENGER, voteCall(r, v), abi.encodeWithSelector(Bn254.PointIsIdentity.selector));
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_RevealVote_RefusesForgedSignatures(uint256 scalar) external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digest, VALID);
        scalar = bound(scalar, 1, Bn254.R - 1);
        vm.assume(scalar != secret(3));
        (, bytes32 tableDigest,) = epochs.tableAt(_epoch);
        v.signature = sign(
            scalar,
            Digests.voteMessage(block.chainid, address(epochs), _epoch, tableDigest, digest, VALID)
        );
        refuse(CHALLENGER, voteCall(r, v), _voteInvalid(_epoch, digest, VALID));
    }

    function test_RevealVote_RefusesEvidenceOutsideTheLookahead() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        uint256 last = epochs.slashableUntil(_epoch);
        // The last block in which the window still fits, and the one after it.
        vm.roll(last - VETO_BLOCKS - 1);
        commitTo(CHALLENGER, call);
        vm.roll(last - VETO_BLOCKS + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISlashingCourt.EvidenceTooLate.selector, _epoch, last + 1, last)
        );
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
        vm.roll(last - VETO_BLOCKS);
        reveal(CHALLENGER, call);
        assertTrue(court.isFiled(operatorAt(3), digest), "filed in the last block");
    }

    function test_RevealVote_AnExcludedMemberIsStillHeldToWhatItSigned() external {
        vm.prank(OWNER);
        epochs.exclude(_epoch, 8);
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        assertTrue(court.isFiled(operatorAt(3), digest), "filed");
    }

    function test_RevealVote_RefusesAJudgeThatCameLater() external {
        ProgramId program = ProgramId.wrap(keccak256("late"));
        vm.prank(OWNER);
        game.registerJudge(program, IChallengeGame.JudgeKind.Proof, address(judge));
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        r.statement.programId = program;
        StatementDigest digest = digestOf(r);
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digest, VALID));
        refuse(
            CHALLENGER,
            call,
            abi.encodeWithSelector(IChallengeGame.JudgeTooYoung.selector, _epoch, _epoch + 1)
        );
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        accuse(CHALLENGER, voteCall(r, voteOf(next, 3, digest, VALID)));
        assertTrue(court.isFiled(operatorAt(3), digest), "signed with the judge there");
    }

    function test_RevealVote_RefusesAProgramWithoutAJudge() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        r.statement.programId = ProgramId.wrap(keccak256("a STARK"));
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digestOf(r), VALID));
        refuse(
            CHALLENGER,
            call,
            abi.encodeWithSelector(
                IChallengeGame.ProgramNotJudged.selector,
                r.statement.programId,
                IChallengeGame.JudgeKind.None
            )
        );
    }

    // The judge's answer must not depend on the challenger's gas.

    function test_RevealVote_AJudgeThatFailsChangesNothing() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        bytes memory failed =
            abi.encodeWithSelector(FixedGasCall.VerifierFailed.selector, address(judge));
        judge.set(JudgeDouble.Mode.Reverts);
        refuse(CHALLENGER, call, failed);
        judge.set(JudgeDouble.Mode.BurnsAllGas);
        vm.expectRevert(failed);
        reveal(CHALLENGER, call);
        assertNoCase(3, digest);
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.None, "no mark");
        assertEq(game.forfeited(), 0, "the commitment stands");
        judge.set(JudgeDouble.Mode.Judges);
        reveal(CHALLENGER, call);
        assertTrue(court.isFiled(operatorAt(3), digest), "the same commitment, a sane judge");
    }

    function test_RevealVote_AJudgeThatAnswersGarbageChangesNothing() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        judge.set(JudgeDouble.Mode.AnswersTwo);
        refuse(CHALLENGER, call, _malformed(32, 2));
        judge.set(JudgeDouble.Mode.AnswersNothing);
        vm.expectPartialRevert(FixedGasCall.VerifierAnswerMalformed.selector);
        reveal(CHALLENGER, call);
        judge.set(JudgeDouble.Mode.AnswersMegabytes);
        vm.expectPartialRevert(FixedGasCall.VerifierAnswerMalformed.selector);
        reveal(CHALLENGER, call);
        judge.set(JudgeDouble.Mode.IsGreedy);
        vm.expectPartialRevert(IChallengeGame.JudgeTooCostly.selector);
        reveal(CHALLENGER, call);
        assertNoCase(3, digest);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_RevealVote_NoAmountOfGasMakesAGoodProofRefused(uint256 gasAmount) external {
        judge.setWork(200_000);
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digest, VALID));
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        gasAmount = bound(gasAmount, 30_000, 600_000);
        // Alone, a refutation needs little more than the judge does.
        (bool refuted,) =
            address(game).call{gas: gasAmount}(abi.encodeCall(IChallengeGame.refute, (r)));
        assertTrue(!refuted, "refuted");
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call{gas: gasAmount}(call);
        assertNoCase(3, digest);
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.None, "never refuted");
        assertEq(game.forfeited(), ok ? BOND : 0, "rejected or nothing");
    }

    // revealAttestation

    function test_RevealAttestation_IsAlwaysASharedFault() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(2, digest, VALID, 8);
        accuse(CHALLENGER, attestedCall(r, a));
        assertTrue(caseOf(2, digest).fault == ISlashingCourt.Fault.FalseValid, "fault");
        assertTrue(court.isLongVeto(digest), "two thirds signed: the long veto");
        assertTrue(!registry.isManifestAccepted(PROGRAM, MANIFEST), "stopped");
        assertTrue(
            registry.leafFinality(digest, VALID, a.leaf) == IProofRegistry.Finality.Refuted,
            "refuted at once"
        );
        assertEq(CHALLENGER.balance, BOND, "bond");
    }

    function test_RevealAttestation_RefusesANonSigner() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 8);
        refuse(
            CHALLENGER,
            attestedCall(r, a),
            abi.encodeWithSelector(IChallengeGame.MemberDidNotSign.selector, _epoch, 3)
        );
        a.member = 4;
        bytes memory call = attestedCall(r, a);
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        vm.expectPartialRevert(IEpochTable.MemberUnknown.selector);
        reveal(CHALLENGER, call);
        a.member = 300;
        call = attestedCall(r, a);
        commitTo(CHALLENGER, call);
        vm.roll(block.number + 1);
        vm.expectPartialRevert(IEpochTable.MemberUnknown.selector);
        reveal(CHALLENGER, call);
    }

    function test_RevealAttestation_AugmentMakesMoreMembersAccusable() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 12);
        registry.augment(certificate(_epoch, a.leaf.root, 1, 4));
        accuse(CHALLENGER, attestedCall(r, a));
        assertTrue(court.isFiled(operatorAt(3), digest), "signed after all");
        a.member = 2;
        refuse(
            CHALLENGER,
            attestedCall(r, a),
            abi.encodeWithSelector(IChallengeGame.MemberDidNotSign.selector, _epoch, 2)
        );
    }

    function test_RevealAttestation_RefusesWhatWasNotAttested() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a =
            IChallengeGame.Attested(2, VALID, soleLeaf(digest, VALID));
        bytes memory unknown = abi.encodeWithSelector(
            IProofRegistry.LeafNotAttested.selector, digest, VALID, a.leaf.root
        );
        refuse(CHALLENGER, attestedCall(r, a), unknown);
        // A certificate of another registry over the same leaf.
        ProofRegistry other = new ProofRegistry(epochs, OWNER);
        bytes32 message = other.attestMessage(_epoch, a.leaf.root, 1);
        other.attest(signedCertificate(_epoch, a.leaf.root, 1, 0, message));
        vm.expectRevert(unknown);
        reveal(CHALLENGER, attestedCall(r, a));
        // Attested, but as invalid.
        attestedBy(2, digest, INVALID, 0);
        vm.expectRevert(unknown);
        reveal(CHALLENGER, attestedCall(r, a));
        // The leaf of another statement in an attested batch.
        a.leaf = attestedBy(2, digestOf(refutationOf(2, goodProof())), VALID, 0).leaf;
        refuse(
            CHALLENGER,
            attestedCall(r, a),
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, digest, VALID, a.leaf.root
            )
        );
        a = attestedBy(2, digest, INVALID, 0);
        refuse(
            CHALLENGER, attestedCall(r, a), _error(IChallengeGame.VerdictNotValid.selector, INVALID)
        );
        assertNoCase(2, digest);
    }

    function test_RevealAttestation_AGoodProofForfeitsTheBond() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        accuse(CHALLENGER, attestedCall(r, attestedBy(2, digest, VALID, 0)));
        assertNoCase(2, digest);
        assertEq(game.forfeited(), BOND, "forfeited");
        assertTrue(registry.isManifestAccepted(PROGRAM, MANIFEST), "not stopped");
    }

    // revealVotes

    function test_RevealVotes_FilesEquivocation() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        accuse(
            CHALLENGER,
            votesCall(r, voteOf(_epoch, 3, digest, VALID), voteOf(_epoch, 3, digest, INVALID))
        );
        assertTrue(caseOf(3, digest).fault == ISlashingCourt.Fault.Equivocation, "fault");
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.None, "not refuted");
        assertTrue(!court.isLongVeto(digest), "1 of 9");
    }

    function test_RevealVotes_OverEpochsHoldsToTheLaterOne() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory old = voteOf(_epoch, 3, digest, INVALID);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        IChallengeGame.Vote memory late = voteOf(next, 3, digest, VALID);
        accuse(CHALLENGER, votesCall(r, late, old));
        assertEq(caseOf(3, digest).epoch, next, "the later epoch");
    }

    function test_RevealVotes_RefusesWhatIsNoFault() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(_epoch, 3, digest, VALID);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        // Voted again across a roll, with the same verdict.
        refuse(
            CHALLENGER,
            votesCall(r, v, voteOf(next, 3, digest, VALID)),
            _error(IChallengeGame.VerdictsAgree.selector, VALID)
        );
        // Two members disagree.
        refuse(
            CHALLENGER,
            votesCall(r, v, voteOf(_epoch, 2, digest, INVALID)),
            abi.encodeWithSelector(IChallengeGame.KeysDiffer.selector, operatorAt(3), operatorAt(2))
        );
        // Two statements.
        StatementDigest other = digestOf(refutationOf(2, goodProof()));
        refuse(
            CHALLENGER,
            votesCall(r, v, voteOf(_epoch, 3, other, INVALID)),
            _voteInvalid(_epoch, digest, INVALID)
        );
        // A verdict that does not exist.
        refuse(
            CHALLENGER,
            votesCall(r, v, voteOf(_epoch, 3, digest, 3)),
            _error(IChallengeGame.VerdictUnknown.selector, 3)
        );
        assertNoCase(3, digest);
    }

    function test_RevealVotes_AThirdStopsTheManifest() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        accuse(
            CHALLENGER,
            votesCall(r, voteOf(_epoch, 0, digest, VALID), voteOf(_epoch, 0, digest, INVALID))
        );
        assertTrue(court.isLongVeto(digest), "3 of 9");
        assertTrue(!registry.isManifestAccepted(PROGRAM, MANIFEST), "stopped");
    }

    function test_RevealVotes_TheTwoFaultsAreCountedApart() external {
        (bytes memory call, StatementDigest digest) = _voteAccusation(3);
        accuse(CHALLENGER, call);
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        accuse(
            CHALLENGER,
            votesCall(r, voteOf(_epoch, 2, digest, VALID), voteOf(_epoch, 2, digest, INVALID))
        );
        assertTrue(!court.isLongVeto(digest), "not the same fault");
    }

    // revealVoteAndAttestation

    function test_RevealVoteAndAttestation_FilesEquivocation() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 0);
        accuse(CHALLENGER, mixedCall(r, voteOf(_epoch, 3, digest, INVALID), a));
        assertTrue(caseOf(3, digest).fault == ISlashingCourt.Fault.Equivocation, "fault");
        assertTrue(!court.isLongVeto(digest), "one of the signers equivocated, not all");
    }

    function test_RevealVoteAndAttestation_RefusesWhatIsNoFault() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 8);
        // Disagreeing with the quorum that it is no part of.
        refuse(
            CHALLENGER,
            mixedCall(r, voteOf(_epoch, 3, digest, INVALID), a),
            abi.encodeWithSelector(IChallengeGame.MemberDidNotSign.selector, _epoch, 3)
        );
        a.member = 2;
        refuse(
            CHALLENGER,
            mixedCall(r, voteOf(_epoch, 3, digest, INVALID), a),
            abi.encodeWithSelector(IChallengeGame.KeysDiffer.selector, operatorAt(3), operatorAt(2))
        );
        refuse(
            CHALLENGER,
            mixedCall(r, voteOf(_epoch, 2, digest, VALID), a),
            _error(IChallengeGame.VerdictsAgree.selector, VALID)
        );
        assertNoCase(2, digest);
        assertNoCase(3, digest);
    }

    // Slot (c)

    function test_Reveal_ARefutationServesWhereNoProofCanBeJudged() external {
        ProgramId program = ProgramId.wrap(keccak256("a STARK"));
        JudgeDouble other = new JudgeDouble();
        vm.prank(OWNER);
        game.registerJudge(program, IChallengeGame.JudgeKind.Refutation, address(other));
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        r.statement.programId = program;
        StatementDigest digest = digestOf(r);
        IChallengeGame.Vote memory v = voteOf(next, 3, digest, VALID);
        // What proves nothing, then a proof that the verification fails.
        accuse(CHALLENGER, voteCall(r, v));
        assertEq(game.forfeited(), BOND, "nothing proven");
        r.shown = "valid refutation";
        accuse(CHALLENGER, voteCall(r, v));
        assertTrue(court.isFiled(operatorAt(3), digest), "filed");
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.Refuted, "refuted");
    }

    // refute

    function test_Refute_MarksWithoutAccusing() external {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        StatementDigest digest = digestOf(r);
        BatchLeaf memory leaf = attestSole(digest, VALID);
        game.refute(r);
        assertTrue(registry.standingOf(digest) == IProofRegistry.Standing.Refuted, "refuted");
        assertTrue(!registry.isVerified(digest, leaf, false), "soft");
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(!registry.isVerified(digest, leaf, true), "hard");
        assertTrue(registry.isManifestAccepted(PROGRAM, MANIFEST), "nobody is accused");
        game.refute(r);
    }

    function test_Refute_RefusesAGoodProof() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.NotRefused.selector, digestOf(r)));
        game.refute(r);
    }

    // expire

    function test_Expire_ForfeitsAfterTheTimeOnly() external {
        (bytes memory call,) = _voteAccusation(3);
        bytes32 commitment = commitTo(CHALLENGER, call);
        uint64 expiresAt = uint64(block.timestamp + COMMIT_SECONDS);
        vm.warp(expiresAt);
        vm.expectRevert(abi.encodeWithSelector(IChallengeGame.NotExpired.selector, expiresAt));
        game.expire(CHALLENGER, commitment);
        vm.warp(expiresAt + 1);
        game.expire(CHALLENGER, commitment);
        assertEq(game.forfeited(), BOND, "forfeited");
        bytes memory unknown =
            abi.encodeWithSelector(IChallengeGame.NotCommitted.selector, CHALLENGER, commitment);
        vm.expectRevert(unknown);
        game.expire(CHALLENGER, commitment);
        vm.expectRevert(unknown);
        reveal(CHALLENGER, call);
    }

    // Re-entrancy

    function test_Reveal_TheBondIsSentOnceToAChallengerThatCallsBack() external {
        (bytes memory call,) = _voteAccusation(3);
        GreedyChallenger greedy = new GreedyChallenger(game);
        vm.deal(address(this), 10 ether);
        commitTo(CHALLENGER, "somebody else's bond");
        greedy.commit{value: BOND}(call);
        vm.roll(block.number + 1);
        greedy.reveal(call);
        assertEq(greedy.received(), 1, "once");
        assertEq(address(greedy).balance, BOND, "one bond");
        assertEq(address(game).balance, BOND, "the other's is there");
        assertTrue(
            bytes4(greedy.refusal()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")),
            "refused"
        );
    }

    // registerJudge, constructor

    function test_RegisterJudge_OnceByTheOwnerAContract() external {
        ProgramId program = ProgramId.wrap(keccak256("another"));
        vm.expectRevert(
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this))
        );
        game.registerJudge(program, IChallengeGame.JudgeKind.Proof, address(judge));
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.JudgeInvalid.selector, address(0xDEAD))
        );
        vm.prank(OWNER);
        game.registerJudge(program, IChallengeGame.JudgeKind.Proof, address(0xDEAD));
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.JudgeInvalid.selector, address(judge))
        );
        vm.prank(OWNER);
        game.registerJudge(program, IChallengeGame.JudgeKind.None, address(judge));
        vm.expectRevert(
            abi.encodeWithSelector(IChallengeGame.JudgeExists.selector, PROGRAM, address(judge))
        );
        vm.prank(OWNER);
        game.registerJudge(PROGRAM, IChallengeGame.JudgeKind.Proof, address(judge));
        assertEq(game.judges(PROGRAM).fromEpoch, 1, "registered before the first epoch");
    }

    function test_Constructor_RefusesUnsoundParameters() external {
        for (uint256 field = 0; field < 7; ++field) {
            IChallengeGame.GameParams memory p = gameParams();
            if (field == 0) p.bond = 0;
            if (field == 1) p.demandBond = 0;
            if (field == 2) p.commitSeconds = 0;
            if (field == 3) p.answerSeconds = 0;
            if (field == 4) p.reserve = IReserve(address(0));
            if (field == 5) p.answerSeconds = SLACK - CHALLENGE + 1;
            if (field == 6) p.answerSeconds = 7 days;
            vm.expectRevert(IChallengeGame.GameParamsInvalid.selector);
            new ChallengeGame(registry, court, p, OWNER);
        }
    }

    // Helpers

    /// @dev The accusation that a member voted `valid` on the refused statement 1.
    function _voteAccusation(uint256 member)
        private
        view
        returns (bytes memory call, StatementDigest digest)
    {
        IChallengeGame.Refutation memory r = refutationOf(1, falseProof());
        digest = digestOf(r);
        call = voteCall(r, voteOf(_epoch, member, digest, VALID));
    }

    function _voteInvalid(uint64 epoch, StatementDigest digest, uint8 verdict)
        private
        view
        returns (bytes memory)
    {
        (, bytes32 tableDigest,) = epochs.tableAt(epoch);
        return abi.encodeWithSelector(
            IChallengeGame.VoteInvalid.selector,
            Digests.voteMessage(block.chainid, address(epochs), epoch, tableDigest, digest, verdict)
        );
    }

    function _malformed(uint256 answerBytes, uint256 word) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            FixedGasCall.VerifierAnswerMalformed.selector, address(judge), answerBytes, word
        );
    }

    function _error(bytes4 selector, uint256 argument) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, argument);
    }

    function _error(bytes4 selector, bytes32 first, uint256 second)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(selector, first, second);
    }
}
