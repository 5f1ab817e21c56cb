// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IStrategy} from "../interfaces/eigenlayer/IStrategy.sol";

/// @title A strategy of one ERC-20 whose share is the token's smallest unit
/// @notice For development networks: no yield, no limits, no pausing, and no token that keeps a
/// part of a transfer.
contract DevStrategy is IStrategy {
    using SafeERC20 for IERC20;

    /// @notice The only caller of `deposit` and `withdraw`.
    address public immutable strategyManager;
    /// @inheritdoc IStrategy
    IERC20 public immutable underlyingToken;
    /// @inheritdoc IStrategy
    uint256 public totalShares;

    /// @notice The caller is not the strategy manager.
    error OnlyStrategyManager(address caller);
    /// @notice This strategy holds another token.
    error WrongToken(IERC20 token, IERC20 expected);

    constructor(address strategyManager_, IERC20 underlyingToken_) {
        strategyManager = strategyManager_;
        underlyingToken = underlyingToken_;
    }

    modifier onlyFor(IERC20 token) {
        if (msg.sender != strategyManager) revert OnlyStrategyManager(msg.sender);
        if (address(token) != address(underlyingToken)) revert WrongToken(token, underlyingToken);
        _;
    }

    /// @inheritdoc IStrategy
    function deposit(IERC20 token, uint256 amount) external onlyFor(token) returns (uint256) {
        totalShares += amount;
        return amount;
    }

    /// @inheritdoc IStrategy
    function withdraw(address recipient, IERC20 token, uint256 shares)
        external
        onlyFor(token)
        returns (uint256)
    {
        totalShares -= shares;
        token.safeTransfer(recipient, shares);
        return shares;
    }

    /// @inheritdoc IStrategy
    function sharesToUnderlyingView(uint256 shares) external pure returns (uint256) {
        return shares;
    }

    /// @inheritdoc IStrategy
    function underlyingToSharesView(uint256 amount) external pure returns (uint256) {
        return amount;
    }
}
