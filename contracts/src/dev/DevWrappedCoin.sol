// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IWrappedCoin} from "../interfaces/IWrappedCoin.sol";

/// @title The coin as a token, for development networks that have none
contract DevWrappedCoin is ERC20, IWrappedCoin {
    /// @notice The recipient refused the coins.
    error PaymentFailed(address to, uint256 amount);

    constructor() ERC20("Proofgrid development wrapped coin", "PGWDEV") {}

    /// @inheritdoc IWrappedCoin
    function deposit() external payable {
        _mint(msg.sender, msg.value);
    }

    /// @notice Gives the caller coins for its tokens.
    function withdraw(uint256 amount) external {
        _burn(msg.sender, amount);
        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert PaymentFailed(msg.sender, amount);
    }
}
