// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Where provers' restaked stake is read from
interface IProverStakes {
    /// @notice Slashable stake, in weight units, of each operator of the set that cannot fall within
    /// the next `lookaheadBlocks` blocks except by slashing; same order as asked.
    function slashableStakesOf(uint32 set, address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory);
}
