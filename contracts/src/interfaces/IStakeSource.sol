// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Where an operator's stake is read from
/// @notice A port: a plain bonded token now, a restaking core later.
interface IStakeSource {
    /// @notice Stake that the operator cannot take away within `withdrawalDelaySeconds`, in the
    /// token's smallest unit.
    function stakeOf(address operator) external view returns (uint128 stake);

    /// @notice Seconds between leaving `stakeOf` and leaving the contract. An operator's stake of
    /// an epoch is at risk for at least this long after the snapshot.
    function withdrawalDelaySeconds() external view returns (uint64);

    /// @notice Blocks between the order to take stake out of the set's reach and its effect.
    function deallocationDelayBlocks() external view returns (uint32);
}
