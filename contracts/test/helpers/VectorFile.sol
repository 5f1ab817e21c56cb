// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../../src/libraries/Bn254.sol";
import {TestBase} from "./TestBase.sol";

/// @title Reading the vectors that the Rust core writes
abstract contract VectorFile is TestBase {
    /// @dev The file that is being read.
    string internal json;

    function open(string memory name) internal {
        json = vm.readFile(string.concat("../tests/vectors/", name));
    }

    /// @dev Length of the list under `key`; a test over nothing would prove nothing.
    function lengthOf(string memory key) internal view returns (uint256 length) {
        while (vm.keyExistsJson(json, item(key, length, ""))) ++length;
        assertTrue(length > 0, string.concat("no vectors under ", key));
    }

    function item(string memory key, uint256 index, string memory field)
        internal
        pure
        returns (string memory)
    {
        return string.concat(key, "[", vm.toString(index), "]", field);
    }

    function uintAt(string memory key) internal view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function wordAt(string memory key) internal view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }

    function addressAt(string memory key) internal view returns (address) {
        return vm.parseJsonAddress(json, key);
    }

    function bytesAt(string memory key) internal view returns (bytes memory) {
        return vm.parseJsonBytes(json, key);
    }

    function wordsAt(string memory key) internal view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(json, key);
    }

    function g1At(string memory key) internal view returns (G1Point memory) {
        return abi.decode(bytesAt(key), (G1Point));
    }

    function g2At(string memory key) internal view returns (G2Point memory) {
        return abi.decode(bytesAt(key), (G2Point));
    }
}
