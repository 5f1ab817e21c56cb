// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProgramId} from "../types/Ids.sol";

/// @title A verifier of proofs on-chain, for one proof system
/// @notice Decides as the Rust verifier of the same system does.
interface IProofVerifier {
    /// @notice Whether `envelope` is a valid proof for these values.
    /// @dev Never reverts for any bytes as long as it has `gasNeeded(envelope)` gas; every malformed
    /// encoding (length, point off the curve, coordinate or scalar that is not canonical, verifying
    /// key that does not match) is `false`.
    function verify(
        ProgramId program,
        bytes32 vkDigest,
        bytes32 publicValuesDigest,
        bytes32 claim,
        bytes calldata envelope
    ) external view returns (bool);

    /// @notice Gas with which `verify` answers for these bytes, whatever they are.
    function gasNeeded(bytes calldata envelope) external view returns (uint256);
}
