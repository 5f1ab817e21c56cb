// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStakeSource} from "./IStakeSource.sol";

/// @title The network's identity in the restaking core, for the network's other contracts
interface IAvsManager is IStakeSource {
    /// @notice Only the court. Takes `wad`, a part of 1e18 and not zero, of what the operator
    /// allocated to the set, in every strategy of the set.
    function slash(address operator, uint32 set, uint256 wad, string calldata description) external;

    /// @notice Only the fee vault. Submits rewards of operators, and of who delegated to them, for
    /// a time that is over; pulls their sum in `token` from the caller. `operators` strictly
    /// ascending, no amount zero.
    function rewardOperators(
        IERC20 token,
        address[] calldata operators,
        uint256[] calldata amounts,
        uint32 startTimestamp,
        uint32 duration,
        string calldata description
    ) external;

    /// @notice Only the registrar. Takes an operator out of the set: ejection, churn, too little
    /// stake. What it did before can still be slashed as after leaving by itself.
    function removeOperator(address operator, uint32 set) external;
}
