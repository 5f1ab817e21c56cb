// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPauserRegistry} from "../interfaces/eigenlayer/IPauserRegistry.sol";

/// @title Who may pause a development network's restaking core
/// @notice WARNING: one account pauses and unpauses everything.
contract DevPauserRegistry is IPauserRegistry {
    /// @inheritdoc IPauserRegistry
    address public immutable unpauser;

    constructor(address pauser_) {
        unpauser = pauser_;
    }

    /// @inheritdoc IPauserRegistry
    function isPauser(address account) external view returns (bool) {
        return account == unpauser;
    }
}
