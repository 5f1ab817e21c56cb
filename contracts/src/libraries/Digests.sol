// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BatchRoot, JobId, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {Job, Manifest, SegmentRecord, Statement} from "../types/Protocol.sol";
import {G1Point, G2Point} from "./Bn254.sol";

/// @title Every digest and BLS message of docs/protocol.md sections 1 and 2
/// @notice The same bytes are computed by the Rust core; both are held to tests/vectors/.
library Digests {
    bytes32 internal constant MANIFEST_TYPEHASH = keccak256(
        "ProofgridManifest(bytes32 name,bytes32 version,uint8 profile,bool hiding,uint16 provenBits,uint16 conjecturedBits,uint64 proofBytesMax,uint64 publicValuesBytesMax,uint64 verifyMsMax,uint64 verifyMemoryBytesMax)"
    );
    bytes32 internal constant PROGRAM_TYPEHASH =
        keccak256("ProofgridProgram(bytes32 name,bytes32 vkDigest,bytes32 parametersDigest)");
    bytes32 internal constant JOB_TYPEHASH = keccak256(
        "ProofgridJob(uint8 origin,uint64 homeChain,uint64 targetChain,address targetContract,address requester,uint64 nonce,bytes32 programId,bytes32 inputDigest,bytes32 claim,uint8 mode,uint64 deadline,uint256 feeCap,uint64 inputBytes,uint32 maxSegments,uint64 maxProofBytes,uint64 stream,uint64 sequence)"
    );
    bytes32 internal constant TASK_TYPEHASH =
        keccak256("ProofgridTask(bytes32 job,uint8 kind,uint32 index)");
    bytes32 internal constant SEGMENT_TYPEHASH = keccak256(
        "ProofgridSegment(uint32 index,uint64 first,uint64 count,bytes32 vkDigest,bytes32 publicValuesDigest,bytes32 proofDigest,address prover,uint64 workUnits)"
    );
    bytes32 internal constant STATEMENT_TYPEHASH = keccak256(
        "ProofgridStatement(bytes32 job,uint32 statementAttempt,bytes32 programId,bytes32 manifest,bytes32 claim,uint32 numSegments,bytes32 segmentsRoot)"
    );
    bytes32 internal constant CERTIFICATE_TYPEHASH = keccak256(
        "ProofgridCertificate(uint64 targetChain,address targetContract,uint64 epoch,bytes32 tableDigest,bytes32 root,uint32 count)"
    );

    bytes32 internal constant POP_TAG = keccak256("PROOFGRID_POP_V1");
    bytes32 internal constant LOGIN_TAG = keccak256("PROOFGRID_LOGIN_V1");
    bytes32 internal constant VOTE_TAG = keccak256("PROOFGRID_VOTE_V1");
    bytes32 internal constant ATTEST_TAG = keccak256("PROOFGRID_ATTEST_V1");
    bytes32 internal constant EJECT_CANCEL_TAG = keccak256("PROOFGRID_EJECT_CANCEL_V1");

    /// @notice The digest of a manifest.
    function manifestDigest(Manifest memory manifest) internal pure returns (ManifestDigest) {
        return ManifestDigest.wrap(keccak256(abi.encode(MANIFEST_TYPEHASH, manifest)));
    }

    /// @notice The id of a program.
    function programId(bytes32 nameDigest, bytes32 vkDigest, bytes32 parametersDigest)
        internal
        pure
        returns (ProgramId)
    {
        return ProgramId.wrap(
            keccak256(abi.encode(PROGRAM_TYPEHASH, nameDigest, vkDigest, parametersDigest))
        );
    }

    /// @notice The id of a job; a static struct encodes as its fields in order.
    function jobId(Job memory job) internal pure returns (JobId) {
        return JobId.wrap(keccak256(abi.encode(JOB_TYPEHASH, job)));
    }

    /// @notice The id of a task of a job.
    function taskId(JobId job, uint8 kind, uint32 index) internal pure returns (bytes32) {
        return keccak256(abi.encode(TASK_TYPEHASH, job, kind, index));
    }

    /// @notice The Merkle leaf of a segment record.
    function segmentLeaf(SegmentRecord memory record) internal pure returns (bytes32) {
        return keccak256(bytes.concat(bytes1(0x00), abi.encode(SEGMENT_TYPEHASH, record)));
    }

    /// @notice The digest of a statement.
    function statementDigest(Statement memory statement) internal pure returns (StatementDigest) {
        return StatementDigest.wrap(keccak256(abi.encode(STATEMENT_TYPEHASH, statement)));
    }

    /// @notice The Merkle leaf of a statement and its verdict.
    function batchLeaf(StatementDigest statement, uint8 verdict)
        internal
        pure
        returns (bytes32 leaf)
    {
        // As `keccak256(abi.encodePacked(bytes1(0x00), statement, verdict))`, in scratch space:
        // every read of a proof pays for it.
        assembly ("memory-safe") {
            mstore8(0, 0x00)
            mstore(1, statement)
            mstore8(33, verdict)
            leaf := keccak256(0, 34)
        }
    }

    /// @notice The identity of a certificate.
    function certificateId(
        uint64 targetChain,
        address targetContract,
        uint64 epoch,
        bytes32 tableDigest,
        BatchRoot root,
        uint32 count
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                CERTIFICATE_TYPEHASH, targetChain, targetContract, epoch, tableDigest, root, count
            )
        );
    }

    /// @notice What an operator signs with its BLS key to register it.
    function popMessage(
        uint256 chainId,
        address registry,
        address operator,
        uint32 set,
        G1Point memory key1,
        G2Point memory key2
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(POP_TAG, chainId, registry, operator, set, key1, key2));
    }

    /// @notice What a verifier signs to log in to a dispatcher.
    function loginMessage(
        uint256 chainId,
        address epochTable,
        uint8 role,
        address server,
        bytes32 serverNonce,
        bytes32 clientNonce,
        address operator
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                LOGIN_TAG, chainId, epochTable, role, server, serverNonce, clientNonce, operator
            )
        );
    }

    /// @notice A verifier's vote on one statement.
    function voteMessage(
        uint256 chainId,
        address epochTable,
        uint64 epoch,
        bytes32 tableDigest,
        StatementDigest statement,
        uint8 verdict
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(VOTE_TAG, chainId, epochTable, epoch, tableDigest, statement, verdict)
        );
    }

    /// @notice A verifier's signature on a batch.
    function attestMessage(
        uint256 chainId,
        address proofRegistry,
        uint64 epoch,
        bytes32 tableDigest,
        BatchRoot root,
        uint32 count
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(ATTEST_TAG, chainId, proofRegistry, epoch, tableDigest, root, count)
        );
    }

    /// @notice An operator's sign of life against its ejection.
    function ejectCancelMessage(uint256 chainId, address registry, address operator, uint64 nonce)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(EJECT_CANCEL_TAG, chainId, registry, operator, nonce));
    }
}
