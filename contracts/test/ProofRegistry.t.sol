// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProofRegistry} from "../src/ProofRegistry.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {Bn254, G1Point} from "../src/libraries/Bn254.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {MerkleTree} from "../src/libraries/MerkleTree.sol";
import {BatchRoot, ManifestDigest, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {Network} from "./helpers/Network.sol";

/// @title attest, augment, dispute, isVerified, programs (test/tree/ProofRegistry.tree)
contract ProofRegistryTest is Network {
    BatchRoot private constant ROOT = BatchRoot.wrap(keccak256("root"));
    StatementDigest private constant STATEMENT = StatementDigest.wrap(keccak256("statement"));
    /// @dev Stakes 3, 3, 2, 1: without member 0 or 1 exactly two thirds are left.
    uint64 private _epoch;

    function setUp() external {
        deploy();
        addOperator(3 ether);
        addOperator(3 ether);
        addOperator(2 ether);
        addOperator(1 ether);
        _epoch = snapshot();
    }

    // attest

    function test_Attest_RecordsTheBatch() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 5, 8);
        vm.expectEmit(address(registry));
        emit IProofRegistry.BatchAttested(ROOT, _epoch, 5, 8, 8 ether, 9 ether);
        registry.attest(c);
        IProofRegistry.BatchStatus memory status = registry.statusOf(ROOT, 5);
        assertTrue(status.finality == IProofRegistry.Finality.Soft, "soft");
        assertEq(status.epoch, _epoch, "epoch");
        assertEq(status.attestedAt, block.timestamp, "time");
        assertEq(status.hardAt, block.timestamp + CHALLENGE, "hard at");
        assertEq(status.nonSigners, 8, "non-signers");
        assertTrue(registry.statusOf(ROOT, 4).attestedAt == 0, "another count is another batch");
    }

    function test_Attest_IsHardAfterTheWindow() external {
        registry.attest(certificate(_epoch, ROOT, 5, 0));
        vm.warp(block.timestamp + CHALLENGE - 1);
        assertTrue(registry.statusOf(ROOT, 5).finality == IProofRegistry.Finality.Soft, "soft");
        vm.warp(block.timestamp + 1);
        assertTrue(registry.statusOf(ROOT, 5).finality == IProofRegistry.Finality.Hard, "hard");
    }

    function test_Attest_AgainIsANoOp() external {
        registry.attest(certificate(_epoch, ROOT, 5, 8));
        vm.warp(block.timestamp + 10);
        registry.attest(certificate(_epoch, ROOT, 5, 0));
        IProofRegistry.BatchStatus memory status = registry.statusOf(ROOT, 5);
        assertEq(status.nonSigners, 8, "unchanged");
        assertEq(status.attestedAt, block.timestamp - 10, "time unchanged");
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_Attest_NeedsExactlyTwoThirds(uint256 nonSigners) external {
        nonSigners = bound(nonSigners, 0, 14);
        uint256 signed = 9 - _stakeOf(nonSigners);
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, nonSigners);
        if (signed < 6) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IProofRegistry.QuorumNotReached.selector, signed * 1 ether, 9 ether
                )
            );
        }
        registry.attest(c);
        bool known = registry.statusOf(ROOT, 1).finality != IProofRegistry.Finality.Unknown;
        assertTrue(known == (signed >= 6), "attested with two thirds only");
    }

    function test_Attest_RefusesJustBelowTwoThirds() external {
        deploy();
        numOperators = 0;
        addOperator(6 ether - 1);
        addOperator(3 ether);
        _epoch = snapshot();
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.QuorumNotReached.selector, 6 ether - 1, 9 ether - 1
            )
        );
        registry.attest(c);
    }

    function test_Attest_RefusesNobodysSignature() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        c.nonSigners = 15;
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.QuorumNotReached.selector, 0, 9 ether)
        );
        registry.attest(c);
    }

    function test_Attest_RefusesNonSignersOutsideTheTable() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        c.nonSigners = 1 << 4;
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.NonSignerUnknown.selector, 16, 4));
        registry.attest(c);
        c.nonSigners = 1 << 255;
        vm.expectPartialRevert(IProofRegistry.NonSignerUnknown.selector);
        registry.attest(c);
    }

    function test_Attest_RefusesClaimedSignersWhoDidNotSign() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 8);
        c.nonSigners = 0;
        _refuseSignature(c);
    }

    function test_Attest_RefusesTheIdentity() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        c.signature = G1Point(0, 0);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        registry.attest(c);
        c = certificate(_epoch, ROOT, 1, 8);
        (c.signersKey2.x1, c.signersKey2.x0) = (0, 0);
        (c.signersKey2.y1, c.signersKey2.y0) = (0, 0);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        registry.attest(c);
    }

    function test_Attest_RefusesSignersWhoCancelOut() external {
        // Members with keys 5 and -5 hold the quorum without the third: their sum signs anything.
        deploy();
        numOperators = 3;
        uint256[3] memory keys = [5, Bn254.R - 5, uint256(7)];
        for (uint256 i = 0; i < 3; ++i) {
            bondFor(operatorAt(i), i == 2 ? 1 ether : 4 ether);
            registerKey(operatorAt(i), keys[i]);
        }
        _epoch = snapshot();
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        c.nonSigners = 4;
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        registry.attest(c);
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_Attest_RefusesForgedSignatures(uint256 scalar, uint256 key) external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        c.signature = sign(bound(scalar, 1, Bn254.R - 1), registry.attestMessage(_epoch, ROOT, 1));
        uint256 member = bound(key, 0, 3);
        c.signersKey2 = certificate(_epoch, ROOT, 1, 15 ^ (1 << member)).signersKey2;
        _refuseSignature(c);
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_Attest_RefusesOtherFields(uint64 epoch, bytes32 root, uint32 count) external {
        count = uint32(bound(count, 1, 65_536));
        vm.assume(count != 1 || root != BatchRoot.unwrap(ROOT));
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        (c.root, c.count) = (BatchRoot.wrap(root), count);
        _refuseSignature(c);
        epoch = uint64(bound(epoch, 2, type(uint64).max));
        c = certificate(_epoch, ROOT, 1, 0);
        c.epoch = epoch;
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, epoch));
        registry.attest(c);
    }

    function test_Attest_RefusesAnotherContractsCertificate() external {
        ProofRegistry other = new ProofRegistry(epochs, OWNER);
        IProofRegistry.Certificate memory c =
            signedCertificate(_epoch, ROOT, 1, 0, other.attestMessage(_epoch, ROOT, 1));
        _refuseSignature(c);
        other.attest(c);
    }

    function test_Attest_RefusesAnotherChainsCertificate() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        vm.chainId(424_242);
        _refuseSignature(c);
    }

    function test_Attest_RefusesAnotherEpochsCertificate() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        vm.warp(block.timestamp + MIN_EPOCH);
        c.epoch = snapshot();
        _refuseSignature(c);
    }

    function test_Attest_TakesThePreviousEpochWithinItsGrace() external {
        vm.warp(block.timestamp + MIN_EPOCH);
        snapshot();
        vm.warp(block.timestamp + GRACE);
        registry.attest(certificate(_epoch, ROOT, 1, 0));
        IProofRegistry.Certificate memory late = certificate(_epoch, ROOT, 2, 0);
        vm.warp(block.timestamp + 1);
        vm.expectPartialRevert(IEpochTable.EpochNotUsable.selector);
        registry.attest(late);
    }

    function test_Attest_RefusesTheExcluded() external {
        vm.prank(OWNER);
        epochs.exclude(_epoch, 8);
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ExcludedSigner.selector, 8));
        registry.attest(c);
        // Its weight stays in the total: without it, one more of 3 is one too many.
        c = certificate(_epoch, ROOT, 1, 9);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.QuorumNotReached.selector, 5 ether, 9 ether)
        );
        registry.attest(c);
        registry.attest(certificate(_epoch, ROOT, 1, 8));
    }

    function test_Attest_RefusesCountsThatNoTreeHas() external {
        uint32[2] memory counts = [uint32(0), 65_537];
        for (uint256 i = 0; i < 2; ++i) {
            IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, counts[i], 0);
            vm.expectRevert(
                abi.encodeWithSelector(MerkleTree.LeafCountOutOfRange.selector, counts[i])
            );
            registry.attest(c);
        }
    }

    // augment

    function test_Augment_ShrinksTheNonSigners() external {
        registry.attest(certificate(_epoch, ROOT, 1, 12));
        uint256 attestedAt = block.timestamp;
        vm.warp(attestedAt + CHALLENGE - 1);
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 4);
        vm.expectEmit(address(registry));
        emit IProofRegistry.BatchAugmented(ROOT, _epoch, 1, 4);
        registry.augment(c);
        IProofRegistry.BatchStatus memory status = registry.statusOf(ROOT, 1);
        assertEq(status.nonSigners, 4, "shrunk");
        assertEq(status.attestedAt, attestedAt, "the window does not move");
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_Augment_NeverGrows(uint256 first, uint256 second) external {
        uint256[5] memory quorums = [uint256(0), 4, 8, 12, 1];
        first = quorums[bound(first, 0, 4)];
        second = quorums[bound(second, 0, 4)];
        registry.attest(certificate(_epoch, ROOT, 1, first));
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, second);
        bool shrinks = second & ~first == 0 && second != first;
        if (!shrinks) {
            vm.expectRevert(
                abi.encodeWithSelector(IProofRegistry.NonSignersNotShrunk.selector, first, second)
            );
        }
        registry.augment(c);
        assertEq(registry.statusOf(ROOT, 1).nonSigners, shrinks ? second : first, "kept or shrunk");
    }

    function test_Augment_RefusesAForgery() external {
        registry.attest(certificate(_epoch, ROOT, 1, 12));
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 12);
        c.nonSigners = 4;
        vm.expectPartialRevert(IProofRegistry.CertificateInvalid.selector);
        registry.augment(c);
    }

    function test_Augment_RefusesTheUnknownAnotherEpochAndALateOne() external {
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 4);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.BatchUnknown.selector, ROOT, 1));
        registry.augment(c);
        registry.attest(certificate(_epoch, ROOT, 1, 12));
        c.epoch = 2;
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.EpochDiffers.selector, 1, 2));
        registry.augment(c);
        c.epoch = _epoch;
        uint256 hardAt = block.timestamp + CHALLENGE;
        vm.warp(hardAt);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.WindowClosed.selector, hardAt));
        registry.augment(c);
    }

    function test_Augment_RefusesTheExcluded() external {
        registry.attest(certificate(_epoch, ROOT, 1, 12));
        vm.prank(OWNER);
        epochs.exclude(_epoch, 8);
        IProofRegistry.Certificate memory c = certificate(_epoch, ROOT, 1, 4);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ExcludedSigner.selector, 8));
        registry.augment(c);
    }

    // isVerified, leafFinality

    function test_IsVerified_SoftThenHard() external {
        (BatchLeaf memory leaf,) = _threeLeafBatch(true);
        assertTrue(registry.isVerified(STATEMENT, leaf, false), "soft");
        assertTrue(!registry.isVerified(STATEMENT, leaf, true), "not hard yet");
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(registry.isVerified(STATEMENT, leaf, true), "hard");
        assertTrue(registry.isVerified(STATEMENT, leaf, false), "still soft");
    }

    function test_IsVerified_OnlyForTheVerdictAndStatementOfTheLeaf() external {
        (BatchLeaf memory leaf,) = _threeLeafBatch(true);
        vm.warp(block.timestamp + CHALLENGE);
        StatementDigest other = StatementDigest.wrap(keccak256("other"));
        assertTrue(!registry.isVerified(other, leaf, false), "another statement");
        assertTrue(
            registry.leafFinality(STATEMENT, 2, leaf) == IProofRegistry.Finality.Unknown,
            "another verdict"
        );
        BatchLeaf memory invalidLeaf = soleLeaf(other, 2);
        registry.attest(certificate(_epoch, invalidLeaf.root, 1, 0));
        assertTrue(!registry.isVerified(other, invalidLeaf, false), "attested as invalid");
        assertTrue(
            registry.leafFinality(other, 2, invalidLeaf) == IProofRegistry.Finality.Soft, "invalid"
        );
    }

    function test_IsVerified_FalseBeforeTheAttestation() external {
        (BatchLeaf memory leaf,) = _threeLeafBatch(false);
        assertTrue(!registry.isVerified(STATEMENT, leaf, false), "unknown batch");
    }

    function test_IsVerified_RefusesPathsOfAnotherLength() external {
        (BatchLeaf memory leaf, bytes32[] memory path) = _threeLeafBatch(true);
        leaf.path = new bytes32[](1);
        leaf.path[0] = path[0];
        vm.expectRevert(abi.encodeWithSelector(MerkleTree.PathLengthWrong.selector, 2, 1));
        registry.isVerified(STATEMENT, leaf, false);
        leaf.path = path;
        leaf.index = 3;
        vm.expectRevert(abi.encodeWithSelector(MerkleTree.LeafIndexOutOfRange.selector, 3, 3));
        registry.isVerified(STATEMENT, leaf, false);
        leaf.count = 0;
        vm.expectRevert(abi.encodeWithSelector(MerkleTree.LeafCountOutOfRange.selector, 0));
        registry.isVerified(STATEMENT, leaf, false);
    }

    // dispute

    function test_Dispute_EndsHardReads() external {
        (BatchLeaf memory validLeaf,) = _threeLeafBatch(true);
        vm.warp(block.timestamp + CHALLENGE);
        BatchLeaf memory invalidLeaf = attestSole(STATEMENT, 2);
        vm.expectEmit(address(registry));
        emit IProofRegistry.StatementDisputed(STATEMENT, validLeaf.root, invalidLeaf.root);
        registry.dispute(STATEMENT, validLeaf, invalidLeaf);
        assertTrue(!registry.isVerified(STATEMENT, validLeaf, true), "hard");
        assertTrue(!registry.isVerified(STATEMENT, validLeaf, false), "soft");
        assertTrue(registry.standingOf(STATEMENT) == IProofRegistry.Standing.Disputed, "disputed");
        assertTrue(
            registry.leafFinality(STATEMENT, 1, validLeaf) == IProofRegistry.Finality.Disputed,
            "finality"
        );
        registry.dispute(STATEMENT, validLeaf, invalidLeaf);
    }

    function test_Dispute_NeedsBothVerdictsAttested() external {
        BatchLeaf memory validLeaf = attestSole(STATEMENT, 1);
        BatchLeaf memory invalidLeaf = soleLeaf(STATEMENT, 2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, STATEMENT, 2, invalidLeaf.root
            )
        );
        registry.dispute(STATEMENT, validLeaf, invalidLeaf);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.LeafNotAttested.selector, STATEMENT, 2, validLeaf.root
            )
        );
        registry.dispute(STATEMENT, validLeaf, validLeaf);
    }

    // programs

    function test_RegisterProgram_KeepsEarlierManifestsAccepted() external {
        ManifestDigest next = ManifestDigest.wrap(keccak256("next"));
        vm.expectEmit(address(registry));
        emit IProofRegistry.ProgramRegistered(PROGRAM, next, 2);
        vm.prank(OWNER);
        registry.registerProgram(PROGRAM, next);
        assertEq(registry.programs(PROGRAM).version, 2, "version");
        assertTrue(registry.programs(PROGRAM).manifest == next, "current");
        assertTrue(registry.isManifestAccepted(PROGRAM, MANIFEST), "earlier");
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        assertTrue(!registry.isManifestAccepted(PROGRAM, MANIFEST), "stopped");
    }

    function test_RegisterProgram_RefusesTheCurrentTheStoppedAndZero() external {
        bytes memory refusal =
            abi.encodeWithSelector(IProofRegistry.ManifestNotNew.selector, PROGRAM, MANIFEST);
        vm.expectRevert(refusal);
        vm.prank(OWNER);
        registry.registerProgram(PROGRAM, MANIFEST);
        ManifestDigest next = ManifestDigest.wrap(keccak256("next"));
        vm.prank(OWNER);
        registry.registerProgram(PROGRAM, next);
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, MANIFEST);
        vm.expectRevert(refusal);
        vm.prank(OWNER);
        registry.registerProgram(PROGRAM, MANIFEST);
        vm.expectRevert(IProofRegistry.DigestZero.selector);
        vm.prank(OWNER);
        registry.registerProgram(ProgramId.wrap(0), next);
    }

    function test_StopManifest_RefusesTheUnknown() external {
        ManifestDigest next = ManifestDigest.wrap(keccak256("next"));
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ManifestNotAccepted.selector, PROGRAM, next)
        );
        vm.prank(OWNER);
        registry.stopManifest(PROGRAM, next);
    }

    function test_Programs_RefuseOthersThanTheOwner() external {
        bytes memory refusal =
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this));
        vm.expectRevert(refusal);
        registry.registerProgram(PROGRAM, MANIFEST);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.NotOwnerOrGame.selector, address(this))
        );
        registry.stopManifest(PROGRAM, MANIFEST);
    }

    // Helpers

    function _threeLeafBatch(bool attested)
        private
        returns (BatchLeaf memory leaf, bytes32[] memory path)
    {
        bytes32[] memory leaves = new bytes32[](3);
        leaves[0] = Digests.batchLeaf(StatementDigest.wrap(keccak256("first")), 1);
        leaves[1] = Digests.batchLeaf(STATEMENT, 1);
        leaves[2] = Digests.batchLeaf(StatementDigest.wrap(keccak256("third")), 2);
        path = new bytes32[](2);
        path[0] = leaves[0];
        path[1] = MerkleTree.node(leaves[2], bytes32(0));
        leaf = BatchLeaf(BatchRoot.wrap(MerkleTree.rootOf(leaves)), 3, 1, path);
        if (attested) registry.attest(certificate(_epoch, leaf.root, 3, 0));
    }

    function _refuseSignature(IProofRegistry.Certificate memory c) private {
        bytes32 message = registry.attestMessage(c.epoch, c.root, c.count);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.CertificateInvalid.selector, message));
        registry.attest(c);
    }

    function _stakeOf(uint256 mask) private pure returns (uint256 stake) {
        uint8[4] memory stakes = [3, 3, 2, 1];
        for (uint256 i = 0; i < 4; ++i) {
            if ((mask >> i) & 1 == 1) stake += stakes[i];
        }
    }
}
