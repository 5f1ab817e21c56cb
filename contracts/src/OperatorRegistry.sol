// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {IBondedStake} from "./interfaces/IBondedStake.sol";
import {IOperatorRegistry} from "./interfaces/IOperatorRegistry.sol";
import {Bn254, G1Point, G2Point} from "./libraries/Bn254.sol";
import {Digests} from "./libraries/Digests.sol";
import {EpochTableBytes} from "./libraries/EpochTableBytes.sol";

/// @title OperatorRegistry
contract OperatorRegistry is IOperatorRegistry {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @dev A key in both groups.
    struct Key {
        G1Point key1;
        G2Point key2;
    }

    /// @notice The number of the one operator set.
    uint32 public constant SET = 0;
    /// @notice Where stake is read from.
    IBondedStake public immutable stakeSource;
    /// @notice Least stake of an operator, in the token's smallest unit.
    uint128 public immutable minimumStake;

    /// @notice Which operator registered a key; never cleared.
    mapping(bytes32 keyDigest => address operator) public operatorOfKey;
    mapping(address operator => Key key) private _keys;
    EnumerableSet.AddressSet private _operators;

    constructor(IBondedStake stakeSource_, uint128 minimumStake_) {
        if (minimumStake_ == 0) revert MinimumStakeZero();
        stakeSource = stakeSource_;
        minimumStake = minimumStake_;
    }

    /// @inheritdoc IOperatorRegistry
    function register(G1Point calldata key1, G2Point calldata key2, G1Point calldata possession)
        external
    {
        bytes32 keyDigest = keccak256(abi.encode(key1));
        _requireAdmissible(msg.sender, keyDigest);
        bytes32 message = popMessage(msg.sender, key1, key2);
        if (!Bn254.verify(message, possession, key1, key2)) {
            revert PossessionNotProved(msg.sender, message);
        }
        operatorOfKey[keyDigest] = msg.sender;
        _keys[msg.sender] = Key(key1, key2);
        _operators.add(msg.sender);
        emit OperatorRegistered(msg.sender, keyDigest, key1, key2);
    }

    /// @inheritdoc IOperatorRegistry
    function deregister() external {
        _remove(msg.sender);
    }

    /// @inheritdoc IOperatorRegistry
    function remove(address operator) external {
        uint128 stake = stakeSource.stakeOf(operator);
        if (stake >= minimumStake) revert StakeAboveMinimum(operator, stake, minimumStake);
        _remove(operator);
    }

    /// @inheritdoc IOperatorRegistry
    function isRegistered(address operator) external view returns (bool) {
        return _operators.contains(operator);
    }

    /// @inheritdoc IOperatorRegistry
    function operatorCount() external view returns (uint256) {
        return _operators.length();
    }

    /// @inheritdoc IOperatorRegistry
    function operators() external view returns (address[] memory) {
        return _operators.values();
    }

    /// @inheritdoc IOperatorRegistry
    function keyOf(address operator)
        external
        view
        returns (G1Point memory key1, G2Point memory key2)
    {
        Key storage key = _keys[operator];
        (key1, key2) = (key.key1, key.key2);
        // No registered key is the identity.
        if (key1.x == 0 && key1.y == 0) revert OperatorUnknown(operator);
    }

    /// @inheritdoc IOperatorRegistry
    function registeredKey1(address operator) external view returns (G1Point memory) {
        if (!_operators.contains(operator)) revert OperatorNotRegistered(operator);
        return _keys[operator].key1;
    }

    /// @inheritdoc IOperatorRegistry
    function popMessage(address operator, G1Point calldata key1, G2Point calldata key2)
        public
        view
        returns (bytes32)
    {
        return Digests.popMessage(block.chainid, address(this), operator, SET, key1, key2);
    }

    /// @dev Everything but the signature that speaks against a registration.
    function _requireAdmissible(address operator, bytes32 keyDigest) private view {
        if (_operators.contains(operator)) revert OperatorAlreadyRegistered(operator);
        if (_operators.length() >= EpochTableBytes.MEMBERS_MAX) {
            revert OperatorSetFull(EpochTableBytes.MEMBERS_MAX);
        }
        address user = operatorOfKey[keyDigest];
        if (user != address(0)) revert KeyAlreadyUsed(keyDigest, user);
        uint128 stake = stakeSource.stakeOf(operator);
        if (stake < minimumStake) revert StakeBelowMinimum(operator, stake, minimumStake);
    }

    /// @dev Takes an operator out of the set; its key stays readable and used.
    function _remove(address operator) private {
        if (!_operators.remove(operator)) revert OperatorNotRegistered(operator);
        emit OperatorDeregistered(operator, msg.sender);
    }
}
