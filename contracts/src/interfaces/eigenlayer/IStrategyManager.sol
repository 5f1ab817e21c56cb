// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStrategy} from "./IStrategy.sol";

/// @title Deposits
/// @notice Of EigenLayer's core, what this project and its tests use of it.
interface IStrategyManager {
    function addStrategiesToDepositWhitelist(IStrategy[] calldata strategies) external;

    function depositIntoStrategy(IStrategy strategy, IERC20 token, uint256 amount)
        external
        returns (uint256 depositShares);

    function getBurnableShares(IStrategy strategy) external view returns (uint256);

    function burnShares(IStrategy strategy) external;
}
