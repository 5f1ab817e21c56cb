// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Who may pause EigenLayer's core
/// @notice Of EigenLayer's core, as its contracts call it.
interface IPauserRegistry {
    /// @notice Whether the account may pause.
    function isPauser(address account) external view returns (bool);

    /// @notice The account that may unpause.
    function unpauser() external view returns (address);
}
