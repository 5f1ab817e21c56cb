// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBondedStake} from "./interfaces/IBondedStake.sol";

/// @title BondedStake
contract BondedStake is IBondedStake, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice The bonded token.
    IERC20 public immutable token;
    /// @inheritdoc IBondedStake
    uint64 public immutable withdrawalDelaySeconds;

    /// @inheritdoc IBondedStake
    mapping(address operator => uint128 stake) public stakeOf;
    mapping(address operator => Withdrawal pending) private _withdrawals;

    constructor(IERC20 token_, uint64 withdrawalDelaySeconds_) {
        if (withdrawalDelaySeconds_ == 0) revert WithdrawalDelayZero();
        token = token_;
        withdrawalDelaySeconds = withdrawalDelaySeconds_;
    }

    /// @inheritdoc IBondedStake
    function depositFor(address operator, uint128 amount) external nonReentrant {
        if (amount == 0) revert AmountZero();
        // A token may keep a part of each transfer: only what arrived is stake. This needs the
        // transfer first; the guard stands in for the usual order.
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint128 received = SafeCast.toUint128(token.balanceOf(address(this)) - before);
        stakeOf[operator] += received;
        emit Deposited(operator, msg.sender, received);
    }

    /// @inheritdoc IBondedStake
    function beginWithdrawal(uint128 amount) external {
        uint128 stake = stakeOf[msg.sender];
        if (amount == 0) revert AmountZero();
        if (amount > stake) revert StakeTooSmall(msg.sender, stake, amount);
        stakeOf[msg.sender] = stake - amount;
        Withdrawal storage pending = _withdrawals[msg.sender];
        pending.amount += amount;
        pending.availableAt = uint64(block.timestamp) + withdrawalDelaySeconds;
        emit WithdrawalBegun(msg.sender, amount, pending.availableAt);
    }

    /// @inheritdoc IBondedStake
    function withdraw() external nonReentrant {
        Withdrawal memory pending = _withdrawals[msg.sender];
        if (pending.amount == 0 || block.timestamp < pending.availableAt) {
            revert WithdrawalNotReady(msg.sender, pending.availableAt);
        }
        delete _withdrawals[msg.sender];
        emit Withdrawn(msg.sender, pending.amount);
        token.safeTransfer(msg.sender, pending.amount);
    }

    /// @inheritdoc IBondedStake
    function withdrawalOf(address operator) external view returns (Withdrawal memory) {
        return _withdrawals[operator];
    }
}
