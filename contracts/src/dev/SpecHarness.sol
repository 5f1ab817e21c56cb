// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, G1Point, G2Point} from "../libraries/Bn254.sol";
import {Digests} from "../libraries/Digests.sol";
import {MerkleTree} from "../libraries/MerkleTree.sol";
import {Quorum} from "../libraries/Quorum.sol";
import {BatchRoot, JobId, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {Job, Manifest, SegmentRecord, Statement} from "../types/Protocol.sol";

/// @title The libraries' functions as external ones
/// @notice For differential tests against the Rust core only; holds nothing and is part of no
/// network.
contract SpecHarness {
    /// @notice `Digests.manifestDigest`.
    function manifestDigest(Manifest calldata manifest) external pure returns (ManifestDigest) {
        return Digests.manifestDigest(manifest);
    }

    /// @notice `Digests.programId`.
    function programId(bytes32 nameDigest, bytes32 vkDigest, bytes32 parametersDigest)
        external
        pure
        returns (ProgramId)
    {
        return Digests.programId(nameDigest, vkDigest, parametersDigest);
    }

    /// @notice `Digests.jobId`.
    function jobId(Job calldata job) external pure returns (JobId) {
        return Digests.jobId(job);
    }

    /// @notice `Digests.taskId`.
    function taskId(JobId job, uint8 kind, uint32 index) external pure returns (bytes32) {
        return Digests.taskId(job, kind, index);
    }

    /// @notice `Digests.segmentLeaf`.
    function segmentLeaf(SegmentRecord calldata record) external pure returns (bytes32) {
        return Digests.segmentLeaf(record);
    }

    /// @notice `Digests.statementDigest`.
    function statementDigest(Statement calldata statement) external pure returns (StatementDigest) {
        return Digests.statementDigest(statement);
    }

    /// @notice `Digests.batchLeaf`.
    function batchLeaf(StatementDigest statement, uint8 verdict) external pure returns (bytes32) {
        return Digests.batchLeaf(statement, verdict);
    }

    /// @notice `Digests.certificateId`.
    function certificateId(
        uint64 targetChain,
        address targetContract,
        uint64 epoch,
        bytes32 tableDigest,
        BatchRoot root,
        uint32 count
    ) external pure returns (bytes32) {
        return Digests.certificateId(targetChain, targetContract, epoch, tableDigest, root, count);
    }

    /// @notice `Digests.popMessage`.
    function popMessage(
        uint256 chainId,
        address registry,
        address operator,
        uint32 set,
        G1Point calldata key1,
        G2Point calldata key2
    ) external pure returns (bytes32) {
        return Digests.popMessage(chainId, registry, operator, set, key1, key2);
    }

    /// @notice `Digests.loginMessage`.
    function loginMessage(
        uint256 chainId,
        address epochTable,
        uint8 role,
        address server,
        bytes32 serverNonce,
        bytes32 clientNonce,
        address operator
    ) external pure returns (bytes32) {
        return Digests.loginMessage(
            chainId, epochTable, role, server, serverNonce, clientNonce, operator
        );
    }

    /// @notice `Digests.voteMessage`.
    function voteMessage(
        uint256 chainId,
        address epochTable,
        uint64 epoch,
        bytes32 tableDigest,
        StatementDigest statement,
        uint8 verdict
    ) external pure returns (bytes32) {
        return Digests.voteMessage(chainId, epochTable, epoch, tableDigest, statement, verdict);
    }

    /// @notice `Digests.attestMessage`.
    function attestMessage(
        uint256 chainId,
        address proofRegistry,
        uint64 epoch,
        bytes32 tableDigest,
        BatchRoot root,
        uint32 count
    ) external pure returns (bytes32) {
        return Digests.attestMessage(chainId, proofRegistry, epoch, tableDigest, root, count);
    }

    /// @notice `Digests.ejectCancelMessage`.
    function ejectCancelMessage(uint256 chainId, address registry, address operator, uint64 nonce)
        external
        pure
        returns (bytes32)
    {
        return Digests.ejectCancelMessage(chainId, registry, operator, nonce);
    }

    /// @notice `MerkleTree.rootOf`.
    function merkleRoot(bytes32[] calldata leaves) external pure returns (bytes32) {
        return MerkleTree.rootOf(leaves);
    }

    /// @notice `MerkleTree.rootFromPath`.
    function merkleRootFromPath(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path)
        external
        pure
        returns (bytes32)
    {
        return MerkleTree.rootFromPath(leaf, index, count, path);
    }

    /// @notice `Quorum.isReached`.
    function isQuorum(uint128 signed, uint128 total) external pure returns (bool) {
        return Quorum.isReached(signed, total);
    }

    /// @notice `Bn254.hashToG1`.
    function hashToG1(bytes32 message) external view returns (G1Point memory) {
        return Bn254.hashToG1(message);
    }

    /// @notice `Bn254.verify`.
    function verifyBls(
        bytes32 message,
        G1Point calldata signature,
        G1Point calldata key1,
        G2Point calldata key2
    ) external view returns (bool) {
        return Bn254.verify(message, signature, key1, key2);
    }
}
