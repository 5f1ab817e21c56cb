// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BatchRoot, JobId, ManifestDigest, ProgramId} from "./Ids.sol";

/// @dev Codes of docs/protocol.md section 1. Zero is refused everywhere.
uint8 constant ORIGIN_CONTRACT = 1;
uint8 constant MODE_ASSIGNED = 1;
uint8 constant MODE_RACE = 2;
uint8 constant TASK_SEGMENT = 1;
uint8 constant VERDICT_VALID = 1;
uint8 constant VERDICT_INVALID = 2;

/// @dev A verifier build and its limits; name and version as digests of their text.
struct Manifest {
    bytes32 nameDigest;
    bytes32 versionDigest;
    uint8 profile;
    bool hiding;
    uint16 provenBits;
    uint16 conjecturedBits;
    uint64 proofBytesMax;
    uint64 publicValuesBytesMax;
    uint64 verifyMsMax;
    uint64 verifyMemoryBytesMax;
}

/// @dev Everything that a job says, in the order in which its id encodes it.
struct Job {
    uint8 origin;
    uint64 homeChain;
    uint64 targetChain;
    address targetContract;
    address requester;
    uint64 nonce;
    ProgramId programId;
    bytes32 inputDigest;
    bytes32 claim;
    uint8 mode;
    uint64 deadline;
    uint256 feeCap;
    uint64 inputBytes;
    uint32 maxSegments;
    uint64 maxProofBytes;
    uint64 stream;
    uint64 sequence;
}

/// @dev One proved segment of a statement: who proved what, and how much work it was.
struct SegmentRecord {
    uint32 index;
    uint64 first;
    uint64 count;
    bytes32 vkDigest;
    bytes32 publicValuesDigest;
    bytes32 proofDigest;
    address prover;
    uint64 workUnits;
}

/// @dev What a verifier set votes on.
struct Statement {
    JobId job;
    uint32 statementAttempt;
    ProgramId programId;
    ManifestDigest manifest;
    bytes32 claim;
    uint32 numSegments;
    bytes32 segmentsRoot;
}

/// @dev Where a leaf sits in an attested batch.
struct BatchLeaf {
    BatchRoot root;
    uint32 count;
    uint32 index;
    bytes32[] path;
}
