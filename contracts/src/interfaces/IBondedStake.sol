// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A plain bonded ERC-20 as stake
/// @notice Refuses to do more than hold and release: no slashing, no delegation, no rewards.
/// Whoever deposits for an operator gives the tokens to that operator.
interface IBondedStake {
    /// @dev An amount on its way out.
    struct Withdrawal {
        uint128 amount;
        uint64 availableAt;
    }

    /// @notice `operator`'s stake grew by what `from` really paid.
    event Deposited(address indexed operator, address indexed from, uint128 amount);
    /// @notice `amount` left the stake; all that is pending can be taken from `availableAt` on.
    event WithdrawalBegun(address indexed operator, uint128 amount, uint64 availableAt);
    /// @notice `amount` was paid out.
    event Withdrawn(address indexed operator, uint128 amount);

    /// @notice An amount of zero does nothing.
    error AmountZero();
    /// @notice The operator has less stake than it wants to withdraw.
    error StakeTooSmall(address operator, uint128 stake, uint128 wanted);
    /// @notice The delay is not over, or nothing was begun (`availableAt` 0).
    error WithdrawalNotReady(address operator, uint64 availableAt);
    /// @notice A delay of zero would let stake leave before it can be held to account.
    error WithdrawalDelayZero();

    /// @notice Adds to the stake of `operator`. The token must be approved first.
    function depositFor(address operator, uint128 amount) external;

    /// @notice Takes `amount` out of the caller's stake at once and starts the delay. A second call
    /// adds to the pending amount and starts the delay anew for all of it.
    function beginWithdrawal(uint128 amount) external;

    /// @notice Pays the caller what is pending after the delay.
    function withdraw() external;

    /// @notice Stake that the operator cannot take away within `withdrawalDelaySeconds`, in the
    /// token's smallest unit.
    function stakeOf(address operator) external view returns (uint128 stake);

    /// @notice Seconds between leaving `stakeOf` and leaving the contract.
    function withdrawalDelaySeconds() external view returns (uint64);

    /// @notice What an operator has pending.
    function withdrawalOf(address operator) external view returns (Withdrawal memory);
}
