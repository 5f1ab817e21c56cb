// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAvsManager} from "../src/interfaces/IAvsManager.sol";
import {G1Point} from "../src/libraries/Bn254.sol";
import {RestakedNetwork} from "./eigenlayer/RestakedNetwork.sol";

/// @title Asks for stakes in a transaction of its own
contract StakeReader {
    /// @dev Makes the call no static one, which would be no transaction.
    event Read(uint256 sum);

    function read(IAvsManager avs, address[] calldata operators) external returns (uint256 sum) {
        uint128[] memory stakes = avs.slashableStakes(operators, 40);
        for (uint256 i = 0; i < stakes.length; ++i) {
            sum += stakes[i];
        }
        emit Read(sum);
    }
}

/// @title What operators, court and snapshots cost on the real core, as whole transactions
/// @dev Isolation makes each call a transaction of its own: 21000, calldata and cold reads count.
/// One strategy.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract RestakingGasTest is RestakedNetwork {
    address private constant OPERATOR = address(0x0F);
    uint256 private constant OPERATORS = 64;

    function setUp() external {
        deployNetwork();
        newOperator(OPERATOR);
        stake(OPERATOR, OPERATOR, 20 ether);
    }

    function test_AnOperatorsLife() external {
        allocate(OPERATOR, verifiers(), MAGNITUDE / 2);
        _check("allocate", 255_000);
        bytes memory data = keyData(OPERATOR, secretOf(OPERATOR));
        joinSet(OPERATOR, verifiers(), data);
        _check("register a verifier", 720_000);
        registrar.proposeEjection(OPERATOR);
        _check("propose an ejection", 55_000);
        G1Point memory signature =
            signWith(secretOf(OPERATOR), registrar.ejectCancelMessage(OPERATOR, 1));
        registrar.cancelEjection(OPERATOR, signature);
        _check("cancel an ejection", 230_000);
        vm.prank(COURT);
        avs.slash(OPERATOR, 0, 0.5e18, "two verdicts");
        _check("slash", 275_000);
        registrar.remove(OPERATOR, 0);
        _check("remove", 150_000);
    }

    function test_AProversRegistration() external {
        allocate(OPERATOR, provers(), MAGNITUDE / 2);
        joinSet(OPERATOR, provers(), "");
        _check("register a prover", 265_000);
        leaveSet(OPERATOR, provers());
        _check("leave", 80_000);
    }

    function test_StakesOfSixtyFourOperators() external {
        address[] memory list = new address[](OPERATORS);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            list[i] = address(uint160(0x40000 + i));
        }
        newVerifiers(list, 20 ether);
        for (uint256 i = 0; i < OPERATORS; ++i) {
            joinVerifiers(list[i]);
        }
        StakeReader reader = new StakeReader();
        uint256 sum = reader.read(avs, list);
        _check("stakes of 64 operators", 1_050_000);
        assertEq(sum, OPERATORS * 20 ether, "all of it");
    }

    function _check(string memory what, uint256 gasMax) private view {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        log(string.concat(what, ": gas, mark"), used, gasMax);
        assertTrue(used <= gasMax, what);
    }
}
