// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What pays those who prove faults
/// @notice A port: the fee vault.
interface IReserve {
    /// @notice Adds coins to the reserve that pays challengers.
    function fundReserve() external payable;
}
