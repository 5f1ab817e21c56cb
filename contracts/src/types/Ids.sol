// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @dev A job: the EIP-712 `hashStruct` of its specification.
type JobId is bytes32;
/// @dev A program: digest of system name, verifying key and parameters.
type ProgramId is bytes32;
/// @dev The digest of a verifier build.
type ManifestDigest is bytes32;
/// @dev What is voted on: one statement attempt of one job.
type StatementDigest is bytes32;
/// @dev Merkle root over the leaves of a batch.
type BatchRoot is bytes32;

using {jobIdEqual as ==} for JobId global;
using {manifestEqual as ==} for ManifestDigest global;

function jobIdEqual(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) == JobId.unwrap(b);
}

function manifestEqual(ManifestDigest a, ManifestDigest b) pure returns (bool) {
    return ManifestDigest.unwrap(a) == ManifestDigest.unwrap(b);
}
