// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ManifestDigest, ProgramId} from "../types/Ids.sol";

/// @title A verifier of proofs that a verification fails, for systems that no chain can verify
/// @notice The slot of docs/adr/0012-challenges.md: a proof, for example of a virtual machine that
/// ran the verifier of the manifest, that the verifier refuses certain bytes.
interface IRefutationVerifier {
    /// @notice Whether `refutation` proves that the verifier build of `manifest` refuses the bytes
    /// whose digest is `proofDigest`, as a proof of `program` for these values.
    /// @dev `false` means that nothing is proven, never that the bytes are a valid proof. Never
    /// reverts for any bytes as long as it has `gasNeeded(refutation)` gas.
    function refutes(
        ProgramId program,
        ManifestDigest manifest,
        bytes32 vkDigest,
        bytes32 publicValuesDigest,
        bytes32 claim,
        bytes32 proofDigest,
        bytes calldata refutation
    ) external view returns (bool);

    /// @notice Gas with which `refutes` answers for these bytes, whatever they are.
    function gasNeeded(bytes calldata refutation) external view returns (uint256);
}
