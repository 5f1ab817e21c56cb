// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The one quorum predicate
library Quorum {
    /// @notice At least two thirds of a stake that is not zero, exactly, without rounding.
    /// @dev Stakes are 128-bit on-chain, so the products cannot overflow.
    function isReached(uint128 signed, uint128 total) internal pure returns (bool) {
        return total > 0 && signed > 0 && 3 * uint256(signed) >= 2 * uint256(total);
    }
}
