// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What an operator's stake weighs, and how long it stays at risk
/// @notice A port: the restaking core behind its adapter, or a stand-in in tests.
interface IStakeSource {
    /// @notice Slashable stake, in weight units, of each operator of set 0 that cannot fall within
    /// the next `lookaheadBlocks` blocks except by slashing; in the order of the question. Zero for
    /// an operator that has none.
    function slashableStakes(address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory);

    /// @notice Blocks between the order to take stake out of the set's reach and its effect.
    function deallocationDelayBlocks() external view returns (uint32);

    /// @notice Least blocks that a withdrawal waits in the core, slashable all the while.
    function withdrawalDelayBlocks() external view returns (uint32);
}
