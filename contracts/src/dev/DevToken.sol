// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token for development networks
/// @notice WARNING: its owner mints without limit. Never bond it where stake must cost something.
contract DevToken is ERC20, Ownable {
    constructor(address owner_) ERC20("Proofgrid development token", "PGDEV") Ownable(owner_) {}

    /// @notice Creates `amount` for `to`.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }
}
