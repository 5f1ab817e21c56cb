// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title One kind of stake
/// @notice Of EigenLayer's core, what its strategy manager calls of one.
interface IStrategy {
    /// @notice The token arrived: how many shares it is.
    function deposit(IERC20 token, uint256 amount) external returns (uint256 shares);

    /// @notice Pays shares out, as `amount` of the token.
    function withdraw(address recipient, IERC20 token, uint256 shares)
        external
        returns (uint256 amount);

    /// @notice The token of this strategy.
    function underlyingToken() external view returns (IERC20);

    /// @notice All shares there are.
    function totalShares() external view returns (uint256);

    /// @notice What the shares are worth.
    function sharesToUnderlyingView(uint256 shares) external view returns (uint256 amount);

    /// @notice How many shares the amount is.
    function underlyingToSharesView(uint256 amount) external view returns (uint256 shares);
}
