// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProofRegistry} from "../src/ProofRegistry.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {Network} from "./helpers/Network.sol";

/// @title refute, withdrawLeaf, contest, attestationOf, reads (test/tree/ProofRegistryStanding.tree)
/// @dev The test is the challenge game.
contract ProofRegistryStandingTest is Network {
    StatementDigest private constant STATEMENT = StatementDigest.wrap(keccak256("statement"));
    BatchLeaf private _leaf;
    uint64 private _epoch;

    function setUp() external {
        deploy();
        addOperators(4, 2 ether);
        _epoch = snapshot();
        vm.prank(OWNER);
        registry.setChallengeGame(address(this));
        _leaf = attestSole(STATEMENT, 1);
    }

    function test_Refute_EndsAllReadsForGood() external {
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(registry.isVerified(STATEMENT, _leaf, true), "hard before");
        vm.expectEmit(address(registry));
        emit IProofRegistry.StatementRefuted(STATEMENT);
        registry.refute(STATEMENT);
        _assertEnded(IProofRegistry.Standing.Refuted, IProofRegistry.Finality.Refuted);
        registry.withdrawLeaf(STATEMENT);
        _assertEnded(IProofRegistry.Standing.Refuted, IProofRegistry.Finality.Refuted);
        registry.dispute(STATEMENT, _leaf, attestSole(STATEMENT, 2));
        _assertEnded(IProofRegistry.Standing.Refuted, IProofRegistry.Finality.Refuted);
    }

    function test_Refute_BeforeTheAttestationHoldsAfterIt() external {
        StatementDigest other = StatementDigest.wrap(keccak256("other"));
        registry.refute(other);
        BatchLeaf memory leaf = attestSole(other, 1);
        assertTrue(!registry.isVerified(other, leaf, false), "never soft");
    }

    function test_Refute_LeavesTheInvalidLeafStanding() external {
        BatchLeaf memory invalidLeaf = attestSole(STATEMENT, 2);
        registry.refute(STATEMENT);
        registry.contest(STATEMENT, uint64(block.timestamp + 2 * CHALLENGE));
        vm.warp(block.timestamp + CHALLENGE);
        assertTrue(
            registry.leafFinality(STATEMENT, 2, invalidLeaf) == IProofRegistry.Finality.Hard,
            "invalid is what it is"
        );
    }

    function test_Refute_IsTheLastWord() external {
        registry.dispute(STATEMENT, _leaf, attestSole(STATEMENT, 2));
        registry.refute(STATEMENT);
        _assertEnded(IProofRegistry.Standing.Refuted, IProofRegistry.Finality.Refuted);
        StatementDigest other = StatementDigest.wrap(keccak256("other"));
        registry.withdrawLeaf(other);
        registry.refute(other);
        assertTrue(
            registry.standingOf(other) == IProofRegistry.Standing.Refuted, "over a withdrawal"
        );
    }

    function test_WithdrawLeaf_EndsAllReadsForGood() external {
        vm.expectEmit(address(registry));
        emit IProofRegistry.StatementWithdrawn(STATEMENT);
        registry.withdrawLeaf(STATEMENT);
        _assertEnded(IProofRegistry.Standing.Withdrawn, IProofRegistry.Finality.Withdrawn);
        vm.warp(block.timestamp + CHALLENGE);
        _assertEnded(IProofRegistry.Standing.Withdrawn, IProofRegistry.Finality.Withdrawn);
    }

    function test_WithdrawLeaf_LeavesADisputeStanding() external {
        registry.dispute(STATEMENT, _leaf, attestSole(STATEMENT, 2));
        registry.withdrawLeaf(STATEMENT);
        _assertEnded(IProofRegistry.Standing.Disputed, IProofRegistry.Finality.Disputed);
    }

    function test_Contest_KeepsTheStatementSoft() external {
        uint64 until = uint64(block.timestamp + 3 * CHALLENGE);
        vm.expectEmit(address(registry));
        emit IProofRegistry.StatementContested(STATEMENT, until);
        registry.contest(STATEMENT, until);
        vm.warp(until - 1);
        assertTrue(!registry.isVerified(STATEMENT, _leaf, true), "not hard");
        assertTrue(registry.isVerified(STATEMENT, _leaf, false), "soft");
        assertTrue(
            registry.leafFinality(STATEMENT, 1, _leaf) == IProofRegistry.Finality.Soft, "soft"
        );
        vm.warp(until);
        assertTrue(registry.isVerified(STATEMENT, _leaf, true), "hard again");
    }

    function test_Contest_IsCappedAndNeverShortened() external {
        uint64 latest = uint64(block.timestamp) + registry.contestSecondsMax();
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ContestTooLong.selector, latest + 1, latest)
        );
        registry.contest(STATEMENT, latest + 1);
        registry.contest(STATEMENT, latest);
        registry.contest(STATEMENT, uint64(block.timestamp));
        assertEq(registry.contestedUntil(STATEMENT), latest, "kept");
    }

    function test_Standing_OnlyByTheGame() external {
        bytes memory refusal =
            abi.encodeWithSelector(IProofRegistry.NotChallengeGame.selector, OWNER);
        vm.expectRevert(refusal);
        vm.prank(OWNER);
        registry.refute(STATEMENT);
        vm.expectRevert(refusal);
        vm.prank(OWNER);
        registry.withdrawLeaf(STATEMENT);
        vm.expectRevert(refusal);
        vm.prank(OWNER);
        registry.contest(STATEMENT, uint64(block.timestamp));
    }

    function test_SetChallengeGame_OnceByTheOwner() external {
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.AlreadySet.selector, address(this)));
        vm.prank(OWNER);
        registry.setChallengeGame(address(1));
        ProofRegistry fresh = new ProofRegistry(epochs, OWNER);
        vm.expectRevert(
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this))
        );
        fresh.setChallengeGame(address(1));
        vm.expectRevert(IProofRegistry.AddressZero.selector);
        vm.prank(OWNER);
        fresh.setChallengeGame(address(0));
        vm.expectEmit(address(fresh));
        emit IProofRegistry.ChallengeGameSet(address(1));
        vm.prank(OWNER);
        fresh.setChallengeGame(address(1));
        assertEq(fresh.challengeGame(), address(1), "set");
    }

    function test_StopManifest_ByTheGame() external {
        registry.stopManifest(PROGRAM, MANIFEST);
        assertTrue(!registry.isManifestAccepted(PROGRAM, MANIFEST), "stopped");
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ManifestNotAccepted.selector, PROGRAM, MANIFEST)
        );
        registry.stopManifest(PROGRAM, MANIFEST);
    }

    function test_AttestationOf_IsOfTheBatchAndRefusesOthers() external {
        StatementDigest other = StatementDigest.wrap(keccak256("other"));
        BatchLeaf memory leaf = soleLeaf(other, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.LeafNotAttested.selector, other, 1, leaf.root)
        );
        registry.attestationOf(other, 1, leaf);
        registry.attest(certificate(_epoch, leaf.root, 1, 8));
        (uint64 epoch, uint256 nonSigners, uint64 hardAt) = registry.attestationOf(other, 1, leaf);
        assertEq(epoch, _epoch, "epoch");
        assertEq(nonSigners, 8, "non-signers");
        assertEq(hardAt, block.timestamp + CHALLENGE, "hard at");
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.LeafNotAttested.selector, other, 2, leaf.root)
        );
        registry.attestationOf(other, 2, leaf);
    }

    function _assertEnded(IProofRegistry.Standing standing, IProofRegistry.Finality finality)
        private
        view
    {
        assertTrue(registry.standingOf(STATEMENT) == standing, "standing");
        assertTrue(registry.leafFinality(STATEMENT, 1, _leaf) == finality, "finality");
        assertTrue(!registry.isVerified(STATEMENT, _leaf, false), "soft read");
        assertTrue(!registry.isVerified(STATEMENT, _leaf, true), "hard read");
    }
}
