// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AvsManager} from "../src/AvsManager.sol";
import {AvsManagerV14} from "../src/AvsManagerV14.sol";
import {EpochTable} from "../src/EpochTable.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {OperatorSet as CoreSet} from "../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {EpochTableBytes} from "../src/libraries/EpochTableBytes.sol";
import {Core} from "./eigenlayer/Core.sol";
import {Network} from "./helpers/Network.sol";
import {OpenRegistrar} from "./helpers/OpenRegistrar.sol";

/// @title What an epoch costs on the real core, as a whole transaction
/// @dev Stakes are read from the core through the adapter; the keys are the unit tests'. Each
/// operator has its own staker and gives half of an amount that needs nine bytes.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract SnapshotGasTest is Core, Network {
    /// @dev Of 64 operators.
    uint256 private constant SNAPSHOT_GAS_MAX = 1_300_000;
    /// @dev A transaction has at most 2^24 gas (EIP-7825); a full set must be far from it.
    uint256 private constant FULL_SET_GAS_MAX = 8_000_000;
    uint32 private constant LOOKAHEAD = 40;

    AvsManagerV14 private _avs;

    function setUp() external {
        deploy();
        deployCore();
        AvsManager.RestakingCore memory core =
            AvsManager.RestakingCore(allocations, delegation, rewards);
        IRewardsCoordinator.StrategyAndMultiplier[] memory stakes =
            new IRewardsCoordinator.StrategyAndMultiplier[](1);
        stakes[0] = IRewardsCoordinator.StrategyAndMultiplier(strategy, 1e18);
        _avs = new AvsManagerV14(core, stakes, "ipfs://avs", address(this));
        _avs.wire(address(new OpenRegistrar()), address(1), address(2));
        IEpochTable.EpochParams memory p = epochParams();
        (p.lookaheadBlocks, p.blockSeconds) = (LOOKAHEAD, 200);
        epochs = new EpochTable(operatorSet, _avs, p, OWNER);
    }

    function test_FourOperators() external {
        (, uint256 snapshotGas) = _measure(4);
        assertTrue(snapshotGas <= SNAPSHOT_GAS_MAX, "snapshot");
    }

    function test_SixtyFourOperators() external {
        (, uint256 snapshotGas) = _measure(64);
        assertTrue(snapshotGas <= SNAPSHOT_GAS_MAX, "snapshot");
    }

    function test_TwoHundredOperators() external {
        (uint256 rosterGas, uint256 snapshotGas) = _measure(200);
        assertTrue(rosterGas <= FULL_SET_GAS_MAX, "roster");
        assertTrue(snapshotGas <= FULL_SET_GAS_MAX, "snapshot");
    }

    /// @dev The dearer of the first snapshot and a later one.
    function _measure(uint256 count) private returns (uint256 rosterGas, uint256 snapshotGas) {
        _join(count);
        buildRoster();
        rosterGas = vm.lastCallGas().gasTotalUsed;
        for (uint64 epoch = 1; epoch <= 2; ++epoch) {
            epochs.snapshot();
            uint256 gasUsed = vm.lastCallGas().gasTotalUsed;
            if (gasUsed > snapshotGas) snapshotGas = gasUsed;
            _check(epoch, count);
            vm.warp(block.timestamp + MIN_EPOCH);
            vm.roll(block.number + 1);
        }
        log(string.concat(vm.toString(count), ": roster, snapshot"), rosterGas, snapshotGas);
    }

    function _join(uint256 count) private {
        CoreSet memory set = CoreSet(address(_avs), 0);
        for (uint256 i = 0; i < count; ++i) {
            newOperator(operatorAt(i), 0);
        }
        vm.roll(block.number + ALLOCATION_CONFIGURATION_DELAY + 1);
        for (uint256 i = 0; i < count; ++i) {
            stake(address(uint160(0x5000000 + i)), operatorAt(i), 100 ether + i);
            allocate(operatorAt(i), set, MAGNITUDE / 2);
            joinSet(operatorAt(i), set, "");
            // Short scalars: the tests' arithmetic in G2 would take most of a test's gas.
            registerKey(operatorAt(i), 1000 + i);
        }
        numOperators = count;
    }

    /// @dev The table has what the core answers for each.
    function _check(uint64 epoch, uint256 count) private view {
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(epoch);
        assertEq(header.numMembers, count, "members");
        uint32 futureBlock = uint32(block.number) + LOOKAHEAD;
        for (uint256 i = 0; i < count; ++i) {
            (address operator,, uint128 weight) = epochs.memberAt(epoch, i);
            CoreSet memory set = CoreSet(address(_avs), 0);
            assertEq(weight, slashableStake(operator, set, futureBlock), "stake");
        }
    }
}
