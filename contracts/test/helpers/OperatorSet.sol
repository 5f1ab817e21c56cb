// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRoster} from "../../src/interfaces/IRoster.sol";
import {IStakeSource} from "../../src/interfaces/IStakeSource.sol";
import {G1Point, G2Point} from "../../src/libraries/Bn254.sol";

/// @title An operator set and its stakes without a core behind them
/// @notice Believes its caller: possession of keys is tested where keys are registered.
contract OperatorSet is IRoster, IStakeSource {
    /// @dev What an operator has at risk, and what is on its way out.
    struct Stake {
        uint128 amount;
        uint128 leaving;
        uint256 leavesAt;
    }

    error NotInSet(address operator);

    /// @inheritdoc IRoster
    uint64 public version;
    /// @inheritdoc IRoster
    uint256 public operatorCount;
    /// @inheritdoc IStakeSource
    uint32 public deallocationDelayBlocks;
    /// @inheritdoc IStakeSource
    uint32 public withdrawalDelayBlocks;
    /// @dev How many answers are left out of `slashableStakes`; a sound source leaves out none.
    uint256 public answersMissing;

    mapping(address operator => bool inSet) public isInSet;
    /// @inheritdoc IRoster
    mapping(address operator => uint256 time) public ejectedAt;
    mapping(address operator => Stake stake) private _stakes;
    mapping(address operator => G1Point key) private _keys1;
    mapping(address operator => G2Point key) private _keys2;

    constructor(uint32 deallocation, uint32 withdrawal) {
        (deallocationDelayBlocks, withdrawalDelayBlocks) = (deallocation, withdrawal);
    }

    function setDelays(uint32 deallocation, uint32 withdrawal) external {
        (deallocationDelayBlocks, withdrawalDelayBlocks) = (deallocation, withdrawal);
    }

    function setAnswersMissing(uint256 missing) external {
        answersMissing = missing;
    }

    function join(address operator, G1Point calldata key1, G2Point calldata key2) external {
        if (!isInSet[operator]) ++operatorCount;
        isInSet[operator] = true;
        (_keys1[operator], _keys2[operator]) = (key1, key2);
        ++version;
    }

    function setEjectedAt(address operator, uint256 time) external {
        ejectedAt[operator] = time;
    }

    function quit(address operator) external {
        isInSet[operator] = false;
        --operatorCount;
        ++version;
    }

    function addStake(address operator, uint128 amount) external {
        _stakes[operator].amount += amount;
    }

    function slash(address operator, uint128 amount) external {
        _stakes[operator].amount -= amount;
    }

    /// @dev As in a core: the stake stays at risk until the delay is over.
    function deallocate(address operator, uint128 amount) external {
        Stake storage stake = _stakes[operator];
        stake.leaving += amount;
        stake.leavesAt = block.number + deallocationDelayBlocks;
    }

    function slashableStakes(address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory stakes)
    {
        stakes = new uint128[](operators.length - answersMissing);
        for (uint256 i = 0; i < stakes.length; ++i) {
            Stake storage stake = _stakes[operators[i]];
            bool leaves = stake.leavesAt <= block.number + lookaheadBlocks;
            stakes[i] = stake.amount - (leaves ? stake.leaving : 0);
        }
    }

    function registeredKey1(address operator) external view returns (G1Point memory) {
        if (!isInSet[operator]) revert NotInSet(operator);
        return _keys1[operator];
    }

    function registeredKey2(address operator) external view returns (G2Point memory) {
        if (!isInSet[operator]) revert NotInSet(operator);
        return _keys2[operator];
    }
}
