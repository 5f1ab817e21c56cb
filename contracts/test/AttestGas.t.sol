// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {BatchRoot} from "../src/types/Ids.sol";
import {Network} from "./helpers/Network.sol";

/// @title What an attestation costs, as a whole transaction
/// @dev Isolation makes each call a transaction of its own: 21000, calldata and cold reads count.
/// The median is over 64 fixed roots, since the tries of the map to the curve differ by root.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract AttestGasTest is Network {
    uint256 private constant ROOTS = 64;
    uint256 private constant BASE_GAS_MAX = 200_000;
    uint256 private constant NON_SIGNER_GAS_MAX = 1200;

    function setUp() external {
        deploy();
    }

    function test_FourOperatorsAllSign() external {
        _check(4, 0);
    }

    function test_FourOperatorsOneMissing() external {
        _check(4, 1);
    }

    function test_SixtyFourOperatorsAllSign() external {
        _check(64, 0);
    }

    function test_SixtyFourOperatorsAThirdMissing() external {
        _check(64, 21);
    }

    function _check(uint256 count, uint256 missing) private {
        addOperators(count, 1 ether);
        uint64 epoch = snapshot();
        // The last members, so that the search for bits pays its full way.
        uint256 nonSigners = ((1 << missing) - 1) << (count - missing);
        uint256[] memory gasUsed = new uint256[](ROOTS);
        for (uint256 i = 0; i < ROOTS; ++i) {
            BatchRoot root = BatchRoot.wrap(keccak256(abi.encode("batch", i)));
            IProofRegistry.Certificate memory c = certificate(epoch, root, 16, nonSigners);
            registry.attest(c);
            gasUsed[i] = vm.lastCallGas().gasTotalUsed;
        }
        _sort(gasUsed);
        uint256 median = (gasUsed[ROOTS / 2 - 1] + gasUsed[ROOTS / 2]) / 2;
        log(
            string.concat(vm.toString(count), "/", vm.toString(missing), " median, worst"),
            median,
            gasUsed[ROOTS - 1]
        );
        assertTrue(median <= BASE_GAS_MAX + NON_SIGNER_GAS_MAX * missing, "median attest gas");
    }

    function _sort(uint256[] memory values) private pure {
        for (uint256 i = 1; i < values.length; ++i) {
            for (uint256 j = i; j > 0 && values[j - 1] > values[j]; --j) {
                (values[j - 1], values[j]) = (values[j], values[j - 1]);
            }
        }
    }
}
