// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStakeSource} from "./IStakeSource.sol";

/// @title The network's identity in the restaking core
interface IAvsManager is IStakeSource {
    /// @notice Only the court. `wad`: part of the operator's allocated magnitude, 0 < wad <= 1e18,
    /// applied to every strategy of the set.
    function slash(address operator, uint32 set, uint256 wad, string calldata description) external;

    /// @notice Only the fee vault: an operator-directed rewards submission; pulls `token` from the
    /// caller. `operators` strictly ascending.
    function rewardOperators(
        IERC20 token,
        address[] calldata operators,
        uint256[] calldata amounts,
        uint32 startTimestamp,
        uint32 duration,
        string calldata description
    ) external;

    /// @notice Only the registrar: takes an operator out of the set (ejection, churn).
    function removeOperator(address operator, uint32 set) external;
}
