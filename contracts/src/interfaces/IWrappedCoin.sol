// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title The chain's coin as a token, because the restaking core pays rewards in tokens only
interface IWrappedCoin is IERC20 {
    /// @notice Gives the caller as many tokens as coins are sent.
    function deposit() external payable;
}
