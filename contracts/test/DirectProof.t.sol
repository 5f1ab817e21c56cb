// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProofRegistry} from "../src/ProofRegistry.sol";
import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {FixedGasCall} from "../src/libraries/FixedGasCall.sol";
import {JobId, ManifestDigest, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf, SegmentRecord, Statement} from "../src/types/Protocol.sol";
import {JudgeDouble} from "./helpers/GameDoubles.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @title verifyDirect, and what reads and settlements make of it (test/tree/DirectProof.tree)
contract DirectProofTest is GameNetwork {
    address private constant REQUESTER = address(0xCAFE);
    uint256 private constant FEE = 1 ether;

    JobId private _job;
    Statement private _statement;
    SegmentRecord private _record;
    StatementDigest private _digest;
    BatchLeaf private _leaf;

    function setUp() external {
        deployGame();
        addFour();
        snapshot();
        _job = createJob(REQUESTER, 1, FEE);
        (_statement, _record) = _statementOf(goodProof());
        _digest = Digests.statementDigest(_statement);
        _leaf = soleLeaf(_digest, VALID);
    }

    // verifyDirect

    function test_VerifyDirect_IsHardAtOnceWithoutAQuorum() external {
        assertTrue(!registry.isVerified(_digest, _leaf, false), "unknown before");
        vm.expectEmit(address(registry));
        emit IProofRegistry.StatementProved(_digest, PROGRAM, address(judge));
        _verify();
        assertTrue(registry.isVerified(_digest, _leaf, true), "hard");
        assertTrue(registry.isVerified(_digest, _leaf, false), "soft");
        _assertFinality(VALID, IProofRegistry.Finality.Hard);
        assertEq(registry.provedAt(_digest), block.timestamp, "when");
        BatchLeaf memory wrong = soleLeaf(_digest, INVALID);
        assertTrue(!registry.isVerified(_digest, wrong, false), "not by another leaf");
        assertTrue(
            registry.leafFinality(_digest, INVALID, wrong) == IProofRegistry.Finality.Unknown,
            "says nothing of invalid"
        );
    }

    function test_VerifyDirect_AgainIsANoOp() external {
        _verify();
        uint64 provedAt = registry.provedAt(_digest);
        vm.warp(block.timestamp + 100);
        // Also once the judge would say otherwise: the same bytes were judged.
        judge.set(JudgeDouble.Mode.Reverts);
        _verify();
        assertEq(registry.provedAt(_digest), provedAt, "as it was");
    }

    function test_VerifyDirect_ABadProofRevertsAndMarksNothing() external {
        (Statement memory statement, SegmentRecord memory record) = _statementOf(falseProof());
        StatementDigest digest = Digests.statementDigest(statement);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ProofRefused.selector, digest));
        registry.verifyDirect(statement, record, falseProof());
        assertEq(registry.provedAt(digest), 0, "not marked");
        assertTrue(!registry.isVerified(digest, soleLeaf(digest, VALID), false), "not read");
    }

    function test_VerifyDirect_RefusesOtherBytes() external {
        bytes memory other = "valid, but of another record";
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.BytesDiffer.selector, _record.proofDigest, keccak256(other)
            )
        );
        registry.verifyDirect(_statement, _record, other);
    }

    function test_VerifyDirect_OnlyTheOneSegmentOfAStatement() external {
        IChallengeGame.Refutation memory r = refutationOf(1, goodProof());
        _refuseShape(r.statement, r.record);
        SegmentRecord memory record = _record;
        record.first = 1;
        _refuseShape(_of(record), record);
        record.first = 0;
        record.count = 2;
        _refuseShape(_of(record), record);
        record.count = 1;
        record.index = 1;
        _refuseShape(_of(record), record);
        record = _record;
        record.prover = address(0xBAD);
        _refuseShape(_statement, record);
    }

    function test_VerifyDirect_OnlyByAJudgeOfProofsThatCountsAlready() external {
        Statement memory statement = _statement;
        statement.programId = ProgramId.wrap(keccak256("other"));
        vm.prank(OWNER);
        registry.registerProgram(statement.programId, MANIFEST);
        bytes memory refusal =
            abi.encodeWithSelector(IProofRegistry.ProgramNotJudged.selector, statement.programId);
        vm.expectRevert(refusal);
        registry.verifyDirect(statement, _record, goodProof());
        vm.prank(OWNER);
        game.registerJudge(statement.programId, IChallengeGame.JudgeKind.Proof, address(judge));
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.JudgeTooYoung.selector, uint64(1), uint64(2))
        );
        registry.verifyDirect(statement, _record, goodProof());
        vm.warp(block.timestamp + MIN_EPOCH);
        snapshot();
        StatementDigest digest = registry.verifyDirect(statement, _record, goodProof());
        assertTrue(registry.isVerified(digest, soleLeaf(digest, VALID), true), "from epoch 2 on");
        statement.programId = ProgramId.wrap(keccak256("refutation only"));
        vm.prank(OWNER);
        registry.registerProgram(statement.programId, MANIFEST);
        vm.prank(OWNER);
        game.registerJudge(statement.programId, IChallengeGame.JudgeKind.Refutation, address(judge));
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProgramNotJudged.selector, statement.programId)
        );
        registry.verifyDirect(statement, _record, goodProof());
    }

    function test_VerifyDirect_NotBeforeThereIsAGame() external {
        ProofRegistry fresh = new ProofRegistry(epochs, OWNER);
        vm.prank(OWNER);
        fresh.registerProgram(PROGRAM, MANIFEST);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ProgramNotJudged.selector, PROGRAM));
        fresh.verifyDirect(_statement, _record, goodProof());
    }

    function test_VerifyDirect_OnlyUnderAnAcceptedManifest() external {
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ManifestNotAccepted.selector, PROGRAM, MANIFEST)
        );
        _verify();
        Statement memory statement = _statement;
        statement.manifest = ManifestDigest.wrap(keccak256("unknown"));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ManifestNotAccepted.selector, PROGRAM, statement.manifest
            )
        );
        registry.verifyDirect(statement, _record, goodProof());
    }

    function test_VerifyDirect_RefusesAStatementWithAStanding() external {
        vm.prank(address(game));
        registry.withdrawLeaf(_digest);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.StatementClosed.selector, _digest, IProofRegistry.Standing.Withdrawn
            )
        );
        _verify();
    }

    function test_VerifyDirect_AJudgeThatFailsDecidesNothing() external {
        JudgeDouble.Mode[4] memory modes = [
            JudgeDouble.Mode.Reverts,
            JudgeDouble.Mode.BurnsAllGas,
            JudgeDouble.Mode.AnswersTwo,
            JudgeDouble.Mode.AnswersNothing
        ];
        for (uint256 i = 0; i < modes.length; ++i) {
            judge.set(modes[i]);
            (bool ok, bytes memory output) = _tryVerify(gasleft());
            bytes4 selector = bytes4(output);
            assertTrue(!ok, "reverts");
            assertTrue(
                selector == FixedGasCall.VerifierFailed.selector
                    || selector == FixedGasCall.VerifierAnswerMalformed.selector,
                "says nothing about the proof"
            );
        }
        judge.set(JudgeDouble.Mode.IsGreedy);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.JudgeTooCostly.selector,
                address(judge),
                type(uint256).max,
                uint256(12_000_000)
            )
        );
        _verify();
        assertEq(registry.provedAt(_digest), 0, "not marked");
    }

    /// @dev Whoever brings too little gas gets a revert, never a judgement.
    function testFuzz_VerifyDirect_ShortOfGasMarksNothing(uint256 gasAmount) external {
        judge.setWork(200_000);
        gasAmount = bound(gasAmount, 30_000, 600_000);
        (bool ok, bytes memory output) = _tryVerify(gasAmount);
        assertTrue(ok == (registry.provedAt(_digest) != 0), "marked if and only if it succeeded");
        if (ok) return;
        assertTrue(bytes4(output) != IProofRegistry.ProofRefused.selector, "never refused");
    }

    /// @dev The judge says yes to what begins with "valid" and to nothing else.
    function testFuzz_VerifyDirect_ExactlyWhatTheJudgeSays(bytes calldata envelope) external {
        (Statement memory statement, SegmentRecord memory record) = _statementOf(envelope);
        bytes memory call =
            abi.encodeCall(IProofRegistry.verifyDirect, (statement, record, envelope));
        (bool ok,) = address(registry).call(call);
        bool valid = envelope.length >= 5 && bytes5(envelope[:5]) == "valid";
        assertTrue(ok == valid, "the judge's word");
        StatementDigest digest = Digests.statementDigest(statement);
        assertTrue((registry.provedAt(digest) != 0) == valid, "marked accordingly");
    }

    // Reads beside attestations and standings

    function test_Reads_AnAttestedBatchIsHardAtOnceToo() external {
        attestSole(_digest, VALID);
        _assertFinality(VALID, IProofRegistry.Finality.Soft);
        _verify();
        _assertFinality(VALID, IProofRegistry.Finality.Hard);
        assertTrue(registry.isVerified(_digest, _leaf, true), "before the window ends");
    }

    function test_Reads_NeitherContestNorWithdrawalTouchesAJudgedProof() external {
        _verify();
        vm.prank(address(game));
        registry.contest(_digest, uint64(block.timestamp + 1000));
        vm.prank(address(game));
        registry.withdrawLeaf(_digest);
        assertTrue(registry.standingOf(_digest) == IProofRegistry.Standing.None, "no standing");
        assertTrue(registry.isVerified(_digest, _leaf, true), "hard");
        _assertFinality(VALID, IProofRegistry.Finality.Hard);
    }

    function test_Reads_ALaterInvalidCertificateIsADispute() external {
        _verify();
        BatchLeaf memory invalidLeaf = attestSole(_digest, INVALID);
        assertTrue(
            registry.leafFinality(_digest, INVALID, invalidLeaf)
                == IProofRegistry.Finality.Disputed,
            "invalid never becomes hard"
        );
        _disputeWith(invalidLeaf);
    }

    function test_Reads_AnEarlierInvalidCertificateIsADispute() external {
        BatchLeaf memory invalidLeaf = attestSole(_digest, INVALID);
        vm.warp(block.timestamp + CHALLENGE);
        _verify();
        _disputeWith(invalidLeaf);
    }

    function test_Dispute_NeedsTheInvalidLeafAndTheStatementsOwn() external {
        _verify();
        BatchLeaf memory invalidLeaf = soleLeaf(_digest, INVALID);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, _digest, INVALID, invalidLeaf.root
            )
        );
        registry.dispute(_digest, _leaf, invalidLeaf);
        invalidLeaf = attestSole(_digest, INVALID);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, _digest, VALID, invalidLeaf.root
            )
        );
        registry.dispute(_digest, invalidLeaf, invalidLeaf);
    }

    function test_Reads_ARefutationIsTheLastWord() external {
        _verify();
        vm.prank(address(game));
        registry.refute(_digest);
        assertTrue(!registry.isVerified(_digest, _leaf, false), "no read");
        _assertFinality(VALID, IProofRegistry.Finality.Refuted);
    }

    function test_AttestationOf_ThereIsNone() external {
        _verify();
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, _digest, VALID, _leaf.root
            )
        );
        registry.attestationOf(_digest, VALID, _leaf);
    }

    // Settlements

    function test_Settle_AtOnceFromASoftCertificate() external {
        ITaskManager.Settlement memory s = _settlement();
        attestSole(_digest, VALID);
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.StatementNotVerified.selector, _digest, IProofRegistry.Finality.Soft
            )
        );
        tasks.settle(_job, s);
        _verify();
        tasks.settle(_job, s);
        assertEq(tasks.credits(prover(0)), FEE, "paid");
    }

    /// @dev A proof that is not bound to its prover can be put into a record of anybody's.
    function test_Settle_WhoCopiesAProofIsPaidNothing() external {
        SegmentRecord memory record = _record;
        record.prover = address(0xBAD);
        Statement memory copied = _of(record);
        StatementDigest digest = registry.verifyDirect(copied, record, goodProof());
        ITaskManager.Settlement memory s = _settlement();
        s.records[0] = record;
        s.leaf = soleLeaf(digest, VALID);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.StatementUncertified.selector, digest));
        tasks.settle(_job, s);
        assertTrue(tasks.jobs(_job).state == ITaskManager.JobState.Open, "open");
    }

    function test_Settle_NeverUnderAStoppedManifest() external {
        ITaskManager.Settlement memory s = _settlement();
        attestSole(_digest, VALID);
        _verify();
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.ManifestNotAccepted.selector, PROGRAM, MANIFEST)
        );
        tasks.settle(_job, s);
    }

    // Helpers

    function _verify() private {
        registry.verifyDirect(_statement, _record, goodProof());
    }

    function _tryVerify(uint256 gasAmount) private returns (bool ok, bytes memory output) {
        bytes memory call =
            abi.encodeCall(IProofRegistry.verifyDirect, (_statement, _record, goodProof()));
        (ok, output) = address(registry).call{gas: gasAmount}(call);
    }

    function _disputeWith(BatchLeaf memory invalidLeaf) private {
        registry.dispute(_digest, _leaf, invalidLeaf);
        assertTrue(registry.standingOf(_digest) == IProofRegistry.Standing.Disputed, "disputed");
        assertTrue(!registry.isVerified(_digest, _leaf, false), "no read");
        _assertFinality(VALID, IProofRegistry.Finality.Disputed);
    }

    function _assertFinality(uint8 verdict, IProofRegistry.Finality expected) private view {
        IProofRegistry.Finality got = registry.leafFinality(_digest, verdict, _leaf);
        assertTrue(got == expected, "finality");
    }

    function _refuseShape(Statement memory statement, SegmentRecord memory record) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.StatementNotOneSegment.selector, Digests.statementDigest(statement)
            )
        );
        registry.verifyDirect(statement, record, goodProof());
    }

    function _settlement() private view returns (ITaskManager.Settlement memory s) {
        SegmentRecord[] memory list = new SegmentRecord[](1);
        list[0] = _record;
        (s,) = settlement(_job, list);
    }

    /// @dev The job's statement of one record of these bytes.
    function _statementOf(bytes memory envelope)
        private
        view
        returns (Statement memory, SegmentRecord memory record)
    {
        uint64[] memory work = new uint64[](1);
        work[0] = 1;
        record = records(work)[0];
        record.proofDigest = keccak256(envelope);
        return (_of(record), record);
    }

    function _of(SegmentRecord memory record) private view returns (Statement memory) {
        return Statement({
            job: _job,
            statementAttempt: 1,
            programId: PROGRAM,
            manifest: MANIFEST,
            claim: keccak256("claim"),
            numSegments: 1,
            segmentsRoot: Digests.segmentLeaf(record)
        });
    }
}
