// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";

/// @title Who is in the verifier set, under which keys
/// @notice A port: the registrar of the operator set, or a stand-in in tests. Every key in it was
/// proved to be possessed and belongs to one operator only.
interface IRoster {
    /// @notice Grows by one with every change of the verifier set or of a key in it.
    /// @dev Whoever froze the set at a version relies on this alone to know that it is still the
    /// set: a change without a new version would let a removed key count.
    function version() external view returns (uint64);

    /// @notice How many operators are in the set now.
    function operatorCount() external view returns (uint256);

    /// @notice The G1 key of an operator. Reverts for one that is not in the set.
    function registeredKey1(address operator) external view returns (G1Point memory);

    /// @notice The G2 key of an operator. Reverts for one that is not in the set.
    function registeredKey2(address operator) external view returns (G2Point memory);

    /// @notice When an operator's last ejection was completed, in seconds; 0 if there was none.
    function ejectedAt(address operator) external view returns (uint256);
}
