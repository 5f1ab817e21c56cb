// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AvsManager} from "../../src/AvsManager.sol";
import {AvsManagerV14} from "../../src/AvsManagerV14.sol";
import {OperatorRegistrar} from "../../src/OperatorRegistrar.sol";
import {IOperatorRegistrar} from "../../src/interfaces/IOperatorRegistrar.sol";
import {
    IAllocationManager,
    OperatorSet
} from "../../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "../../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {Bn254, G1Point, G2Point} from "../../src/libraries/Bn254.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {G2} from "../helpers/G2.sol";
import {Core} from "./Core.sol";

/// @title The network's side of the real core: the AVS, its registrar, operators with real keys
/// @dev The test contract owns everything; court and fee vault are addresses to prank.
abstract contract RestakedNetwork is Core {
    uint128 internal constant MIN_VERIFIER_STAKE = 10 ether;
    uint128 internal constant MIN_PROVER_STAKE = 2 ether;
    uint64 internal constant EJECTION_WINDOW = 1 hours;
    uint64 internal constant EJECTION_COOLDOWN = 3 days;
    address internal constant COURT = address(0xC0);
    address internal constant VAULT = address(0xFE);

    AvsManagerV14 internal avs;
    OperatorRegistrar internal registrar;

    function deployNetwork() internal {
        deployCore();
        avs = newAvs();
        registrar = newRegistrar();
        avs.wire(address(registrar), COURT, VAULT);
    }

    function newAvs() internal returns (AvsManagerV14) {
        IRewardsCoordinator.StrategyAndMultiplier[] memory stakes =
            new IRewardsCoordinator.StrategyAndMultiplier[](1);
        stakes[0] = IRewardsCoordinator.StrategyAndMultiplier(strategy, 1e18);
        return new AvsManagerV14(
            AvsManager.RestakingCore(allocations, delegation, rewards),
            stakes,
            "ipfs://avs",
            address(this)
        );
    }

    function newRegistrar() internal returns (OperatorRegistrar) {
        return new OperatorRegistrar(
            avs,
            IOperatorRegistrar.RegistrarParams(
                MIN_VERIFIER_STAKE, MIN_PROVER_STAKE, EJECTION_WINDOW, EJECTION_COOLDOWN
            ),
            address(this)
        );
    }

    function verifiers() internal view returns (OperatorSet memory) {
        return OperatorSet(address(avs), 0);
    }

    function provers() internal view returns (OperatorSet memory) {
        return OperatorSet(address(avs), 1);
    }

    // Keys

    function secretOf(address operator) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("secret", operator))) % Bn254.R;
    }

    function keysOf(uint256 scalar) internal view returns (G1Point memory, G2Point memory) {
        return (Bn254.mul(G1Point(1, 2), scalar), G2.key(scalar));
    }

    function signWith(uint256 scalar, bytes32 message) internal view returns (G1Point memory) {
        return Bn254.mul(Bn254.hashToG1(message), scalar);
    }

    /// @dev What an operator with this key sends to register as a verifier.
    function keyData(address operator, uint256 scalar) internal view returns (bytes memory) {
        (G1Point memory key1, G2Point memory key2) = keysOf(scalar);
        bytes32 message =
            Digests.popMessage(block.chainid, address(registrar), operator, 0, key1, key2);
        return abi.encode(key1, key2, signWith(scalar, message));
    }

    // Operators

    /// @dev An operator with stake of its own, all of it allocated to the verifiers, in no set.
    function newVerifier(address operator, uint256 amount) internal {
        newOperator(operator);
        stake(operator, operator, amount);
        allocate(operator, verifiers(), MAGNITUDE);
    }

    /// @dev Such operators with an equal stake, all at once.
    function newVerifiers(address[] memory list, uint256 amount) internal {
        for (uint256 i = 0; i < list.length; ++i) {
            newOperator(list[i], 0);
            stake(list[i], list[i], amount);
        }
        vm.roll(block.number + ALLOCATION_CONFIGURATION_DELAY + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            allocate(list[i], verifiers(), MAGNITUDE);
        }
    }

    function joinVerifiers(address operator) internal {
        joinSet(operator, verifiers(), keyData(operator, secretOf(operator)));
    }

    /// @dev A verifier of the network.
    function addVerifier(address operator, uint256 amount) internal {
        newVerifier(operator, amount);
        joinVerifiers(operator);
    }

    function joinBoth(address operator, bytes memory data) internal {
        uint32[] memory sets = new uint32[](2);
        (sets[0], sets[1]) = (0, 1);
        IAllocationManager.RegisterParams memory params =
            IAllocationManager.RegisterParams(address(avs), sets, data);
        vm.prank(operator);
        allocations.registerForOperatorSets(operator, params);
    }
}
