// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bonds} from "../../src/Bonds.sol";
import {FeeVault} from "../../src/FeeVault.sol";
import {RaceRounds} from "../../src/RaceRounds.sol";
import {TaskManager} from "../../src/TaskManager.sol";
import {IAvsManager} from "../../src/interfaces/IAvsManager.sol";
import {IBonds} from "../../src/interfaces/IBonds.sol";
import {IEpochTable} from "../../src/interfaces/IEpochTable.sol";
import {IFeeVault} from "../../src/interfaces/IFeeVault.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {IRaceRounds} from "../../src/interfaces/IRaceRounds.sol";
import {IStakeSource} from "../../src/interfaces/IStakeSource.sol";
import {ITaskManager} from "../../src/interfaces/ITaskManager.sol";
import {IWrappedCoin} from "../../src/interfaces/IWrappedCoin.sol";
import {Vm} from "./Vm.sol";

/// @title The contracts that move money, wired to a registry, an AVS and a court of the test's choice
library Money {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address internal constant COURT = address(0xC0027);
    uint32 internal constant DAY = 86_400;

    error NotCreated(string name);

    struct Deployed {
        FeeVault vault;
        Bonds bonds;
        RaceRounds races;
        TaskManager tasks;
    }

    /// @dev What a network's own numbers are.
    struct Terms {
        IFeeVault.FeeSplit split;
        IBonds.BondParams bonds;
        IRaceRounds.RaceParams races;
        ITaskManager.TaskParams tasks;
    }

    function terms() internal pure returns (Terms memory t) {
        t.split = IFeeVault.FeeSplit(8000, 1500, 500);
        t.bonds = IBonds.BondParams(5000, 10_000, 5000, 0.01 ether);
        t.races = IRaceRounds.RaceParams({
            bond: 1 ether,
            flatFee: 0.01 ether,
            commitSeconds: 600,
            revealSeconds: 120,
            judgeSeconds: 240,
            holdSecondsMax: 1000,
            lookaheadBlocks: 640,
            commitmentsMax: 3,
            roundsMax: 3
        });
        t.tasks = ITaskManager.TaskParams(120, 180, 1000, 5000);
    }

    /// @dev Deploys in the order of contracts/README.md; the deployer owns.
    function deploy(
        address deployer,
        IProofRegistry registry,
        address avs,
        IWrappedCoin coin,
        Terms memory t
    ) internal returns (Deployed memory d) {
        IEpochTable epochs = registry.epochTable();
        IFeeVault.RewardTimes memory times = IFeeVault.RewardTimes(DAY, 84 * DAY);
        d.vault = FeeVault(_create("FeeVault", abi.encode(epochs, coin, t.split, times, deployer)));
        d.bonds = Bonds(_create("Bonds", abi.encode(d.vault, t.bonds, deployer)));
        d.races = RaceRounds(
            _create("RaceRounds", abi.encode(registry, d.bonds, avs, t.races, deployer))
        );
        ITaskManager.Parts memory parts =
            ITaskManager.Parts(registry, IStakeSource(avs), d.vault, d.bonds, d.races);
        d.tasks = TaskManager(_create("TaskManager", abi.encode(parts, t.tasks)));
        d.vault.wire(address(d.tasks), address(d.bonds), IAvsManager(avs), COURT);
        d.bonds.wire(d.tasks, d.races);
        d.races.wire(d.tasks);
    }

    /// @dev `new` would put the code of all of them into every test that inherits this, and each
    /// such test would be optimised for a minute.
    function _create(string memory name, bytes memory arguments) private returns (address made) {
        bytes memory code =
            abi.encodePacked(VM.getCode(string.concat(name, ".sol:", name)), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        if (made == address(0)) revert NotCreated(name);
    }
}
