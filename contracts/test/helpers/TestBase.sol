// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @title Assertions and bounds for all tests
/// @dev There is no test library in the package registry; this is what these tests need of one.
abstract contract TestBase {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;

    error NotEqual(string what, uint256 got, uint256 expected);
    error NotEqualBytes(string what, bytes got, bytes expected);
    error NotTrue(string what);

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    function assertEq(uint256 got, uint256 expected, string memory what) internal pure {
        if (got != expected) revert NotEqual(what, got, expected);
    }

    function assertEq(address got, address expected, string memory what) internal pure {
        assertEq(uint160(got), uint160(expected), what);
    }

    function assertEq(bytes32 got, bytes32 expected, string memory what) internal pure {
        assertEq(uint256(got), uint256(expected), what);
    }

    function assertEqBytes(bytes memory got, bytes memory expected, string memory what)
        internal
        pure
    {
        if (keccak256(got) != keccak256(expected)) {
            revert NotEqualBytes(what, got, expected);
        }
    }

    /// @dev Maps any value into `[low, high]`, and values that are in it already to themselves.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        return size == 0 ? value : low + value % size;
    }

    /// @dev Prints a line with two figures at `-vv`.
    function log(string memory text, uint256 first, uint256 second) internal view {
        bytes memory call =
            abi.encodeWithSignature("log(string,uint256,uint256)", text, first, second);
        (bool printed,) = CONSOLE.staticcall(call);
        assertTrue(printed, "console");
    }
}
