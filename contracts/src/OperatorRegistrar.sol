// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {IOperatorRegistrar} from "./interfaces/IOperatorRegistrar.sol";
import {IRestakedAvs} from "./interfaces/IRestakedAvs.sol";
import {IRoster} from "./interfaces/IRoster.sol";
import {IAVSRegistrar} from "./interfaces/eigenlayer/IAVSRegistrar.sol";
import {Bn254, G1Point, G2Point} from "./libraries/Bn254.sol";
import {Digests} from "./libraries/Digests.sol";
import {EpochTableBytes} from "./libraries/EpochTableBytes.sol";

/// @title OperatorRegistrar
contract OperatorRegistrar is IOperatorRegistrar, Ownable {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @dev A key in both groups.
    struct Key {
        G1Point key1;
        G2Point key2;
    }

    /// @notice The operator set of those who vote.
    uint32 public constant VERIFIERS = 0;
    /// @notice The operator set of those who prove.
    uint32 public constant PROVERS = 1;
    /// @notice How much more a newcomer to the full set needs, in parts of 10 000 of the stake of
    /// the member that it names: a tenth more, so that places do not change hands for nothing.
    uint256 public constant CHURN_BPS = 11_000;
    /// @notice No window or cooldown is longer.
    uint64 public constant SECONDS_MAX = 90 days;
    /// @dev `abi.encode` of two points of G1 and one of G2.
    uint256 private constant KEY_BYTES = 256;
    /// @dev The same and an address.
    uint256 private constant CHURN_BYTES = 288;
    uint256 private constant BPS = 10_000;

    /// @notice The AVS whose sets these are.
    IRestakedAvs public immutable avs;
    /// @notice The only one to register and deregister.
    address public immutable allocationManager;
    /// @notice Blocks ahead for which the least stake must be there: with them, what is on its way
    /// out of the set is not counted.
    uint32 public immutable stakeLookaheadBlocks;
    /// @notice Time to answer an ejection.
    uint64 public immutable ejectionWindowSeconds;
    /// @notice Time in which an ejected operator cannot come back, and one that answered cannot be
    /// asked again.
    uint64 public immutable ejectionCooldownSeconds;
    uint128 private immutable _minimumVerifierStake;
    uint128 private immutable _minimumProverStake;

    /// @inheritdoc IRoster
    uint64 public version;
    /// @notice Which operator registered a key; never cleared.
    mapping(bytes32 keyDigest => address operator) public operatorOfKey;
    /// @dev Never cleared: a frozen epoch needs the key that was frozen, whatever its operator does.
    mapping(bytes32 keyDigest => Key key) private _keys;
    /// @dev The digest of the operator's last key.
    mapping(address operator => bytes32 keyDigest) private _keyDigests;
    mapping(address operator => Ejection ejection) private _ejections;
    EnumerableSet.AddressSet private _operators;

    constructor(IRestakedAvs avs_, RegistrarParams memory params, address owner_) Ownable(owner_) {
        if (params.minimumVerifierStake == 0 || params.minimumProverStake == 0) {
            revert MinimumStakeZero();
        }
        _requireSeconds(params.ejectionWindowSeconds);
        _requireSeconds(params.ejectionCooldownSeconds);
        avs = avs_;
        allocationManager = address(avs_.allocationManager());
        // A deallocation takes effect one block after its delay.
        stakeLookaheadBlocks = avs_.deallocationDelayBlocks() + 1;
        _minimumVerifierStake = params.minimumVerifierStake;
        _minimumProverStake = params.minimumProverStake;
        ejectionWindowSeconds = params.ejectionWindowSeconds;
        ejectionCooldownSeconds = params.ejectionCooldownSeconds;
    }

    modifier onlyAllocationManager() {
        if (msg.sender != allocationManager) revert NotAllocationManager(msg.sender);
        _;
    }

    /// @inheritdoc IAVSRegistrar
    function registerOperator(
        address operator,
        address avs_,
        uint32[] calldata operatorSetIds,
        bytes calldata data
    ) external onlyAllocationManager {
        if (avs_ != address(avs)) revert AvsUnknown(avs_);
        bool joinsVerifiers = false;
        // The core registers an operator for each set once, so there are two at most.
        for (uint256 i = 0; i < operatorSetIds.length; ++i) {
            uint32 set = operatorSetIds[i];
            if (set > PROVERS) revert SetUnknown(set);
            uint128 stake = _requireStake(operator, set);
            if (set != VERIFIERS) continue;
            joinsVerifiers = true;
            _registerVerifier(operator, stake, data);
        }
        if (!joinsVerifiers && data.length != 0) revert DataLength(data.length);
    }

    /// @inheritdoc IAVSRegistrar
    /// @dev Reverts for nobody but strangers: the core would keep the operator in the set.
    function deregisterOperator(address operator, address avs_, uint32[] calldata operatorSetIds)
        external
        onlyAllocationManager
    {
        if (avs_ != address(avs)) return;
        for (uint256 i = 0; i < operatorSetIds.length; ++i) {
            if (operatorSetIds[i] == VERIFIERS) {
                _leave(operator);
                return;
            }
        }
    }

    /// @inheritdoc IOperatorRegistrar
    function remove(address operator, uint32 set) external {
        if (!avs.isMember(operator, set)) revert OperatorNotRegistered(operator);
        (uint128 stake, uint128 minimum) = (stakeOf(operator, set), minimumStakeOf(set));
        if (stake >= minimum) revert StakeAboveMinimum(operator, set, stake, minimum);
        avs.removeOperator(operator, set);
    }

    /// @inheritdoc IOperatorRegistrar
    function proposeEjection(address operator) external onlyOwner {
        if (!_operators.contains(operator)) revert OperatorNotRegistered(operator);
        Ejection storage ejection = _ejections[operator];
        if (ejection.executableAt != 0) revert EjectionPending(operator, ejection.executableAt);
        if (block.timestamp < ejection.sparedUntil) {
            revert OperatorSpared(operator, ejection.sparedUntil);
        }
        ++ejection.nonce;
        ejection.executableAt = uint64(block.timestamp) + ejectionWindowSeconds;
        emit EjectionProposed(operator, ejection.nonce, ejection.executableAt);
    }

    /// @inheritdoc IOperatorRegistrar
    function cancelEjection(address operator, G1Point calldata signature) external {
        Ejection storage ejection = _pendingEjection(operator);
        if (block.timestamp >= ejection.executableAt) {
            revert EjectionWindowOver(operator, ejection.executableAt);
        }
        bytes32 message = ejectCancelMessage(operator, ejection.nonce);
        Key storage key = _keys[_keyDigests[operator]];
        if (!Bn254.verify(message, signature, key.key1, key.key2)) {
            revert CancelNotSigned(operator, message);
        }
        ejection.executableAt = 0;
        ejection.sparedUntil = uint64(block.timestamp) + ejectionCooldownSeconds;
        emit EjectionCancelled(operator, ejection.nonce, ejection.sparedUntil);
    }

    /// @inheritdoc IOperatorRegistrar
    function executeEjection(address operator) external {
        Ejection storage ejection = _pendingEjection(operator);
        if (block.timestamp < ejection.executableAt) {
            revert EjectionWindowOpen(operator, ejection.executableAt);
        }
        // Comes back in `deregisterOperator`, which completes the ejection.
        avs.removeOperator(operator, VERIFIERS);
    }

    /// @inheritdoc IAVSRegistrar
    function supportsAVS(address avs_) external view returns (bool) {
        return avs_ == address(avs);
    }

    /// @inheritdoc IOperatorRegistrar
    function isRegistered(address operator) external view returns (bool) {
        return _operators.contains(operator);
    }

    /// @inheritdoc IRoster
    function operatorCount() external view returns (uint256) {
        return _operators.length();
    }

    /// @inheritdoc IOperatorRegistrar
    function operators() external view returns (address[] memory) {
        return _operators.values();
    }

    /// @inheritdoc IOperatorRegistrar
    function keyOf(address operator)
        external
        view
        returns (G1Point memory key1, G2Point memory key2)
    {
        bytes32 keyDigest = _keyDigests[operator];
        if (keyDigest == bytes32(0)) revert OperatorUnknown(operator);
        Key storage key = _keys[keyDigest];
        return (key.key1, key.key2);
    }

    /// @inheritdoc IOperatorRegistrar
    function key2Of(bytes32 keyDigest) external view returns (G2Point memory) {
        if (operatorOfKey[keyDigest] == address(0)) revert KeyUnknown(keyDigest);
        return _keys[keyDigest].key2;
    }

    /// @inheritdoc IRoster
    function registeredKey1(address operator) external view returns (G1Point memory) {
        if (!_operators.contains(operator)) revert OperatorNotRegistered(operator);
        return _keys[_keyDigests[operator]].key1;
    }

    /// @inheritdoc IRoster
    function registeredKey2(address operator) external view returns (G2Point memory) {
        if (!_operators.contains(operator)) revert OperatorNotRegistered(operator);
        return _keys[_keyDigests[operator]].key2;
    }

    /// @inheritdoc IRoster
    function ejectedAt(address operator) external view returns (uint256) {
        uint64 barredUntil = _ejections[operator].barredUntil;
        return barredUntil == 0 ? 0 : barredUntil - ejectionCooldownSeconds;
    }

    /// @inheritdoc IOperatorRegistrar
    function ejectionOf(address operator) external view returns (Ejection memory) {
        return _ejections[operator];
    }

    /// @inheritdoc IOperatorRegistrar
    function popMessage(address operator, G1Point memory key1, G2Point memory key2)
        public
        view
        returns (bytes32)
    {
        return Digests.popMessage(block.chainid, address(this), operator, VERIFIERS, key1, key2);
    }

    /// @inheritdoc IOperatorRegistrar
    function ejectCancelMessage(address operator, uint64 nonce) public view returns (bytes32) {
        return Digests.ejectCancelMessage(block.chainid, address(this), operator, nonce);
    }

    /// @inheritdoc IOperatorRegistrar
    function minimumStakeOf(uint32 set) public view returns (uint128) {
        return set == VERIFIERS ? _minimumVerifierStake : _minimumProverStake;
    }

    /// @inheritdoc IOperatorRegistrar
    function stakeOf(address operator, uint32 set) public view returns (uint128) {
        address[] memory list = new address[](1);
        list[0] = operator;
        return avs.slashableStakesOf(set, list, stakeLookaheadBlocks)[0];
    }

    /// @dev Everything that makes an operator a verifier; reverts with what speaks against it.
    function _registerVerifier(address operator, uint128 stake, bytes calldata data) private {
        if (data.length != KEY_BYTES && data.length != CHURN_BYTES) {
            revert DataLength(data.length);
        }
        uint64 barredUntil = _ejections[operator].barredUntil;
        if (block.timestamp < barredUntil) revert OperatorBarred(operator, barredUntil);
        (G1Point memory key1, G2Point memory key2, G1Point memory possession) =
            abi.decode(data, (G1Point, G2Point, G1Point));
        bytes32 keyDigest = keccak256(abi.encode(key1));
        address user = operatorOfKey[keyDigest];
        if (user != address(0)) revert KeyAlreadyUsed(keyDigest, user);
        bytes32 message = popMessage(operator, key1, key2);
        if (!Bn254.verify(message, possession, key1, key2)) {
            revert PossessionNotProved(operator, message);
        }
        operatorOfKey[keyDigest] = operator;
        _keys[keyDigest] = Key(key1, key2);
        _keyDigests[operator] = keyDigest;
        if (_operators.length() >= EpochTableBytes.MEMBERS_MAX) _churn(operator, stake, data);
        // The core registers nobody twice; if it did, no key may be replaced.
        if (!_operators.add(operator)) revert OperatorAlreadyRegistered(operator);
        ++version;
        emit OperatorRegistered(operator, keyDigest, key1, key2);
    }

    /// @dev Makes room in the full set by taking out the member that the newcomer named.
    function _churn(address incoming, uint128 incomingStake, bytes calldata data) private {
        if (data.length != CHURN_BYTES) revert OperatorSetFull(EpochTableBytes.MEMBERS_MAX);
        address outgoing = abi.decode(data[KEY_BYTES:], (address));
        if (!_operators.contains(outgoing)) revert OperatorNotRegistered(outgoing);
        uint128 outgoingStake = stakeOf(outgoing, VERIFIERS);
        if (uint256(incomingStake) * BPS < uint256(outgoingStake) * CHURN_BPS) {
            revert StakeTooSmallToChurn(incomingStake, outgoingStake);
        }
        emit OperatorChurned(incoming, outgoing, incomingStake, outgoingStake);
        // Comes back in `deregisterOperator`, which takes it off the roster.
        avs.removeOperator(outgoing, VERIFIERS);
    }

    /// @dev Takes an operator off the roster, if it is on it; its key stays readable and used. Who
    /// leaves while it is being ejected has been ejected. Must not revert.
    function _leave(address operator) private {
        if (!_operators.remove(operator)) return;
        // 2^64 changes do not happen; a check would be a way to revert.
        unchecked {
            ++version;
        }
        emit OperatorDeregistered(operator, version);
        Ejection storage ejection = _ejections[operator];
        if (ejection.executableAt == 0) return;
        ejection.executableAt = 0;
        ejection.barredUntil = uint64(block.timestamp) + ejectionCooldownSeconds;
        emit EjectionCompleted(operator, ejection.nonce, ejection.barredUntil);
    }

    /// @dev The stake of an operator in a set, at least the least stake.
    function _requireStake(address operator, uint32 set) private view returns (uint128 stake) {
        stake = stakeOf(operator, set);
        uint128 minimum = minimumStakeOf(set);
        if (stake < minimum) revert StakeBelowMinimum(operator, set, stake, minimum);
    }

    /// @dev An ejection that was proposed and neither cancelled nor completed.
    function _pendingEjection(address operator) private view returns (Ejection storage ejection) {
        ejection = _ejections[operator];
        if (ejection.executableAt == 0) revert EjectionUnknown(operator);
    }

    function _requireSeconds(uint64 value) private pure {
        if (value == 0 || value > SECONDS_MAX) revert SecondsOutOfRange(value, SECONDS_MAX);
    }
}
