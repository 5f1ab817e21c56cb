// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";
import {IRoster} from "./IRoster.sol";
import {IAVSRegistrar} from "./eigenlayer/IAVSRegistrar.sol";

/// @title Who verifies, under which BLS key, and who proves
/// @notice The restaking core asks here before it lets an operator into one of the network's sets,
/// and tells when one left; nobody else can register or leave. `data` of a registration:
///
/// | sets | data |
/// |---|---|
/// | 0 (verifiers), with or without 1 | `abi.encode(G1Point key1, G2Point key2, G1Point possession)` |
/// | the same, and the set may be full | `abi.encode(key1, key2, possession, address outgoing)` |
/// | 1 (provers) alone | empty |
///
/// `possession` is the signature of `popMessage` under the key. A key is registered once for ever.
/// Set 0 has at most 200 members, as many as an epoch table holds; set 1 has no bound, as nothing
/// goes through its members. A place in either costs a least slashable stake, counted without what
/// is on its way out of the set.
///
/// Out of set 0 there are, besides leaving: `remove` of those with too little stake, churn by a
/// newcomer to a full set that has enough more, and ejection by the owner, which the operator
/// stops with one signature of its BLS key.
interface IOperatorRegistrar is IAVSRegistrar, IRoster {
    /// @dev What never changes after the deployment.
    struct RegistrarParams {
        uint128 minimumVerifierStake;
        uint128 minimumProverStake;
        uint64 ejectionWindowSeconds;
        uint64 ejectionCooldownSeconds;
    }

    /// @dev What an operator has to do with ejection. Times are Unix seconds, zero if there is none.
    struct Ejection {
        uint64 nonce;
        uint64 executableAt;
        uint64 barredUntil;
        uint64 sparedUntil;
    }

    /// @notice An operator joined the verifiers; it votes from the next snapshot on.
    event OperatorRegistered(
        address indexed operator, bytes32 indexed keyDigest, G1Point key1, G2Point key2
    );
    /// @notice An operator left the verifiers, by whatever way; frozen epochs still contain it.
    event OperatorDeregistered(address indexed operator, uint64 version);
    /// @notice A newcomer to the full set took the place of another operator.
    event OperatorChurned(
        address indexed incoming,
        address indexed outgoing,
        uint128 incomingStake,
        uint128 outgoingStake
    );
    /// @notice The owner wants the operator out. It has until `executableAt` to sign
    /// `ejectCancelMessage` of this nonce.
    event EjectionProposed(address indexed operator, uint64 indexed nonce, uint64 executableAt);
    /// @notice The operator is alive and stays.
    event EjectionCancelled(address indexed operator, uint64 indexed nonce, uint64 sparedUntil);
    /// @notice The ejection ended with the operator out of the set, ejected or by leaving before.
    event EjectionCompleted(address indexed operator, uint64 indexed nonce, uint64 barredUntil);

    /// @notice Only the restaking core's allocation manager registers and deregisters.
    error NotAllocationManager(address caller);
    /// @notice This registrar is another AVS's.
    error AvsUnknown(address avs);
    /// @notice There are the sets 0 and 1.
    error SetUnknown(uint32 set);
    /// @notice The data has not the length of what is registered for.
    error DataLength(uint256 length);
    /// @notice The operator is among the verifiers; it must leave to change its key.
    error OperatorAlreadyRegistered(address operator);
    /// @notice The operator is not in the set.
    error OperatorNotRegistered(address operator);
    /// @notice The operator never registered a key.
    error OperatorUnknown(address operator);
    /// @notice The set is full; name a member with less stake in `data`, see `CHURN_BPS`.
    error OperatorSetFull(uint256 operatorsMax);
    /// @notice The newcomer's stake is not `CHURN_BPS` of the stake of the member that it named.
    error StakeTooSmallToChurn(uint128 incomingStake, uint128 outgoingStake);
    /// @notice The key was registered before.
    error KeyAlreadyUsed(bytes32 keyDigest, address operator);
    /// @notice The signature does not prove possession of this key by this operator, here.
    error PossessionNotProved(address operator, bytes32 message);
    /// @notice The operator has less slashable stake in the set than the least stake.
    error StakeBelowMinimum(address operator, uint32 set, uint128 stake, uint128 minimum);
    /// @notice The operator has its least stake and cannot be removed by others.
    error StakeAboveMinimum(address operator, uint32 set, uint128 stake, uint128 minimum);
    /// @notice The operator was ejected and may come back later.
    error OperatorBarred(address operator, uint64 barredUntil);
    /// @notice An ejection of the operator is under way already.
    error EjectionPending(address operator, uint64 executableAt);
    /// @notice The operator answered an ejection not long ago.
    error OperatorSpared(address operator, uint64 sparedUntil);
    /// @notice No ejection of the operator is under way.
    error EjectionUnknown(address operator);
    /// @notice The time to cancel is over.
    error EjectionWindowOver(address operator, uint64 executableAt);
    /// @notice The time to cancel is not over.
    error EjectionWindowOpen(address operator, uint64 executableAt);
    /// @notice The signature is not the operator's on the message.
    error CancelNotSigned(address operator, bytes32 message);
    /// @notice A least stake of zero would let anyone fill the set for nothing.
    error MinimumStakeZero();
    /// @notice The window and the cooldown are above zero and at most `SECONDS_MAX`.
    error SecondsOutOfRange(uint64 value, uint64 secondsMax);

    /// @notice Takes an operator out of the set whose slashable stake fell below the least stake;
    /// anyone may call it, so that abandoned places do not fill the set.
    function remove(address operator, uint32 set) external;

    /// @notice Begins the ejection of a verifier; the owner alone. WARNING: whoever does not answer
    /// in the window is out, whatever it did; an owner can ask every verifier once per cooldown.
    function proposeEjection(address operator) external;

    /// @notice Ends an ejection in time: `signature` is the operator's on `ejectCancelMessage` of
    /// its nonce. Anyone may bring it. The operator cannot be proposed again for the cooldown.
    function cancelEjection(address operator, G1Point calldata signature) external;

    /// @notice Takes the operator out after the window; anyone may call it. The operator cannot
    /// register for the cooldown, whether it waited for this or left before it.
    function executeEjection(address operator) external;

    /// @notice Whether the operator is among the verifiers now.
    function isRegistered(address operator) external view returns (bool);

    /// @notice The verifiers now, in no particular order.
    function operators() external view returns (address[] memory);

    /// @notice The last key of an operator, also after it left.
    function keyOf(address operator)
        external
        view
        returns (G1Point memory key1, G2Point memory key2);

    /// @notice What an operator has to do with ejection.
    function ejectionOf(address operator) external view returns (Ejection memory);

    /// @notice The least stake of a set.
    function minimumStakeOf(uint32 set) external view returns (uint128);

    /// @notice The slashable stake of an operator in a set, as the least stake and churn count it.
    function stakeOf(address operator, uint32 set) external view returns (uint128);

    /// @notice The message that `possession` signs.
    function popMessage(address operator, G1Point calldata key1, G2Point calldata key2)
        external
        view
        returns (bytes32);

    /// @notice The message that cancels the ejection of this nonce.
    function ejectCancelMessage(address operator, uint64 nonce) external view returns (bytes32);
}
