// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProgramId} from "../types/Ids.sol";

/// @title A proof system that the chain can judge
/// @notice Decides about one segment of a statement from the bytes of its proof blob alone, exactly as the
/// Rust verifier of the same program does. One contract per program.
/// @dev Who may lie: whoever hands over the envelope. The other arguments are the caller's own: program and
/// claim of the statement, digests of the segment record. What the envelope cannot say (that the statement
/// has one segment, that it is segment 0 with one item) is the caller's to check.
interface IProofVerifier {
    /// @notice Too little gas was given to tell a bad proof from a precompile that ran out of it; or the
    /// precompiles of this chain cost more than this contract gives them. Says nothing about the proof.
    error PrecompileNotAffordable(uint256 precompile);

    /// @notice Whether `envelope` is a valid proof for these values, as the Rust verifier of the same
    /// system decides.
    /// @dev Never reverts, for any bytes, as long as it has `gasNeeded(envelope)` gas. Every malformed
    /// encoding (length, point off curve, coordinate or scalar not canonical, key that does not match) is
    /// `false`. With less gas it may revert, and never answers `false` for a proof that is valid.
    /// @param program The program of the statement.
    /// @param vkDigest The key's digest in the segment record.
    /// @param publicValuesDigest The public values' digest in the segment record.
    /// @param claim The claim of the statement.
    /// @param envelope The proof blob.
    function verify(
        ProgramId program,
        bytes32 vkDigest,
        bytes32 publicValuesDigest,
        bytes32 claim,
        bytes calldata envelope
    ) external view returns (bool);

    /// @notice Gas with which `verify` of this envelope never reverts. A call passes on at most 63 of 64
    /// parts of what its caller has left, and the envelope has to be copied into it.
    function gasNeeded(bytes calldata envelope) external view returns (uint256);
}
