// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";

/// @title Who verifies, under which BLS key
/// @notice One operator set (number 0) of at most 200 operators. A key is proved to be possessed
/// when it is registered and can never be registered again, by anyone, even after its operator
/// left.
interface IOperatorRegistry {
    /// @notice An operator joined the set; it votes from the next snapshot on.
    event OperatorRegistered(
        address indexed operator, bytes32 indexed keyDigest, G1Point key1, G2Point key2
    );
    /// @notice An operator left the set; frozen epochs still contain it.
    event OperatorDeregistered(address indexed operator, address indexed by);

    /// @notice The operator is in the set already; deregister first to change its key.
    error OperatorAlreadyRegistered(address operator);
    /// @notice The operator is not in the set.
    error OperatorNotRegistered(address operator);
    /// @notice The operator never registered a key.
    error OperatorUnknown(address operator);
    /// @notice The set is full.
    error OperatorSetFull(uint256 operatorsMax);
    /// @notice The key was registered before.
    error KeyAlreadyUsed(bytes32 keyDigest, address operator);
    /// @notice The signature does not prove possession of this key by this operator, here.
    error PossessionNotProved(address operator, bytes32 message);
    /// @notice The operator has less than the least stake.
    error StakeBelowMinimum(address operator, uint128 stake, uint128 minimum);
    /// @notice The operator has its least stake and cannot be removed by others.
    error StakeAboveMinimum(address operator, uint128 stake, uint128 minimum);
    /// @notice A least stake of zero would let anyone fill the set for nothing.
    error MinimumStakeZero();

    /// @notice Registers the caller with its key in both groups and the signature of `popMessage`.
    /// The stake must be there already.
    function register(G1Point calldata key1, G2Point calldata key2, G1Point calldata possession)
        external;

    /// @notice Takes the caller out of the set.
    function deregister() external;

    /// @notice Takes an operator out of the set whose stake fell below the least stake; anyone may
    /// call it, so that abandoned places do not fill the set.
    function remove(address operator) external;

    /// @notice Whether the operator is in the set now.
    function isRegistered(address operator) external view returns (bool);

    /// @notice How many operators are in the set now.
    function operatorCount() external view returns (uint256);

    /// @notice The operators in the set now, in no particular order.
    function operators() external view returns (address[] memory);

    /// @notice The last key of an operator, also after it left.
    function keyOf(address operator)
        external
        view
        returns (G1Point memory key1, G2Point memory key2);

    /// @notice The G1 key of an operator in the set.
    function registeredKey1(address operator) external view returns (G1Point memory key1);

    /// @notice The message that `register` wants signed.
    function popMessage(address operator, G1Point calldata key1, G2Point calldata key2)
        external
        view
        returns (bytes32);
}
