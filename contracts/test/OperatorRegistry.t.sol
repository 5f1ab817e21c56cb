// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BondedStake} from "../src/BondedStake.sol";
import {OperatorRegistry} from "../src/OperatorRegistry.sol";
import {DevToken} from "../src/dev/DevToken.sol";
import {IOperatorRegistry} from "../src/interfaces/IOperatorRegistry.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {G2} from "./helpers/G2.sol";
import {Network} from "./helpers/Network.sol";

/// @title register, deregister, remove (test/tree/OperatorRegistry.tree)
contract OperatorRegistryTest is Network {
    address private constant ALICE = address(0x10000);
    address private constant BOB = address(0x10001);
    uint256 private constant SCALAR = 0x123456789abcdef;
    uint128 private constant MIN_STAKE = 1 ether;
    uint64 private constant WITHDRAWAL_DELAY = 20_000;

    DevToken private token;
    BondedStake private bond;
    OperatorRegistry private operators;

    G1Point private _key1;
    G2Point private _key2;

    function setUp() external {
        token = new DevToken(address(this));
        bond = new BondedStake(token, WITHDRAWAL_DELAY);
        operators = new OperatorRegistry(bond, MIN_STAKE);
        _bondFor(ALICE, 5 ether);
        _bondFor(BOB, 5 ether);
        (_key1, _key2) = (key1Of(SCALAR), G2.key(SCALAR));
    }

    function test_Register_StoresBothKeys() external {
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorRegistered(ALICE, keccak256(abi.encode(_key1)), _key1, _key2);
        _register(ALICE, _possession(ALICE));
        (G1Point memory key1, G2Point memory key2) = operators.keyOf(ALICE);
        assertEqBytes(abi.encode(key1, key2), abi.encode(_key1, _key2), "keys");
        assertTrue(operators.isRegistered(ALICE), "registered");
        assertEq(operators.operatorCount(), 1, "count");
        assertEq(operators.operators()[0], ALICE, "list");
        assertEq(operators.registeredKey1(ALICE).x, _key1.x, "key1");
    }

    function test_Register_RefusesWithoutStake() external {
        address poor = address(0x999);
        _bondFor(poor, MIN_STAKE - 1);
        G1Point memory possession = _possession(poor);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistry.StakeBelowMinimum.selector, poor, MIN_STAKE - 1, MIN_STAKE
            )
        );
        _register(poor, possession);
    }

    function test_Register_RefusesMoreThanTwoHundred() external {
        for (uint256 i = 0; i < 200; ++i) {
            address operator = operatorAt(i);
            _bondFor(operator, 1 ether);
            (G1Point memory key1, G2Point memory key2) = (key1Of(secret(i)), G2.key(secret(i)));
            G1Point memory possession = sign(secret(i), operators.popMessage(operator, key1, key2));
            vm.prank(operator);
            operators.register(key1, key2, possession);
        }
        address late = operatorAt(200);
        _bondFor(late, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorSetFull.selector, 200));
        _register(late, G1Point(1, 2));
    }

    function test_Register_RefusesASecondTime() external {
        G1Point memory possession = _possession(ALICE);
        _register(ALICE, possession);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorAlreadyRegistered.selector, ALICE)
        );
        _register(ALICE, possession);
    }

    function test_Register_RefusesAKeyForEver() external {
        _register(ALICE, _possession(ALICE));
        vm.prank(ALICE);
        operators.deregister();
        bytes memory refusal = abi.encodeWithSelector(
            IOperatorRegistry.KeyAlreadyUsed.selector, keccak256(abi.encode(_key1)), ALICE
        );
        G1Point memory bobs = _possession(BOB);
        vm.expectRevert(refusal);
        _register(BOB, bobs);
        G1Point memory alices = _possession(ALICE);
        vm.expectRevert(refusal);
        _register(ALICE, alices);
    }

    function test_Register_RefusesARogueKey() external {
        _register(ALICE, _possession(ALICE));
        // rogue = s * G - alice: with it, s alone would sign for both. No possession can be proved.
        uint256 s = 77;
        G1Point memory rogue1 = Bn254.add(key1Of(s), Bn254.negate(_key1));
        G2Point memory rogue2 = G2.key(addmod(s, Bn254.R - SCALAR, Bn254.R));
        bytes32 message = operators.popMessage(BOB, rogue1, rogue2);
        G1Point memory forged = sign(s, message);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.PossessionNotProved.selector, BOB, message)
        );
        vm.prank(BOB);
        operators.register(rogue1, rogue2, forged);
    }

    function test_Register_RefusesAnotherOperatorsProof() external {
        _refuse(BOB, _possession(ALICE));
    }

    function test_Register_RefusesAnotherChainsProof() external {
        G1Point memory possession = _possession(ALICE);
        vm.chainId(424_242);
        _refuse(ALICE, possession);
    }

    function test_Register_RefusesAnotherContractsProof() external {
        OperatorRegistry other = new OperatorRegistry(bond, MIN_STAKE);
        _refuse(ALICE, sign(SCALAR, other.popMessage(ALICE, _key1, _key2)));
    }

    function test_Register_RefusesKeysThatDiffer() external {
        _key2 = G2.key(SCALAR + 1);
        _refuse(ALICE, _possession(ALICE));
    }

    function test_Register_RefusesAKeyOutsideTheSubgroup() external {
        // On no curve: the pairing fails instead of answering.
        _key2.y0 = addmod(_key2.y0, 1, Bn254.P);
        _refuse(ALICE, _possession(ALICE));
    }

    function test_Register_RefusesIdentities() external {
        G1Point memory possession = _possession(ALICE);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        vm.prank(ALICE);
        operators.register(_key1, _key2, G1Point(0, 0));
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        vm.prank(ALICE);
        operators.register(G1Point(0, 0), _key2, possession);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        vm.prank(ALICE);
        operators.register(_key1, G2Point(0, 0, 0, 0), possession);
    }

    function test_Register_RefusesUnreducedCoordinates() external {
        G1Point memory possession = _possession(ALICE);
        uint256 unreduced = possession.x + Bn254.P;
        vm.expectRevert(abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced));
        _register(ALICE, G1Point(unreduced, possession.y));
        unreduced = _key2.x1 + Bn254.P;
        vm.expectRevert(abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced));
        vm.prank(ALICE);
        operators.register(_key1, G2Point(unreduced, _key2.x0, _key2.y1, _key2.y0), possession);
    }

    function test_Register_RefusesPointsOffTheCurve() external {
        vm.expectRevert(abi.encodeWithSelector(Bn254.PointOffCurve.selector, 1, 3));
        _register(ALICE, G1Point(1, 3));
    }

    function testFuzz_Register_RefusesAnyOtherSignature(uint256 scalar) external {
        scalar = bound(scalar, 1, Bn254.R - 1);
        vm.assume(scalar != SCALAR);
        bytes32 message = operators.popMessage(ALICE, _key1, _key2);
        _refuse(ALICE, sign(scalar, message));
    }

    function test_Deregister_KeepsTheKeyReadable() external {
        _register(ALICE, _possession(ALICE));
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorDeregistered(ALICE, ALICE);
        vm.prank(ALICE);
        operators.deregister();
        (G1Point memory key1,) = operators.keyOf(ALICE);
        assertEq(key1.x, _key1.x, "key kept");
        assertTrue(!operators.isRegistered(ALICE), "left");
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorNotRegistered.selector, ALICE)
        );
        operators.registeredKey1(ALICE);
    }

    function test_Deregister_RefusesStrangers() external {
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorNotRegistered.selector, BOB)
        );
        vm.prank(BOB);
        operators.deregister();
    }

    function test_KeyOf_RefusesTheUnknown() external {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorUnknown.selector, BOB));
        operators.keyOf(BOB);
    }

    function test_Remove_FreesThePlaceOfTheStakeless() external {
        _register(ALICE, _possession(ALICE));
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistry.StakeAboveMinimum.selector, ALICE, 5 ether, MIN_STAKE
            )
        );
        operators.remove(ALICE);
        vm.prank(ALICE);
        bond.beginWithdrawal(4 ether + 1);
        operators.remove(ALICE);
        assertEq(operators.operatorCount(), 0, "removed");
    }

    function test_Constructor_RefusesFreePlaces() external {
        vm.expectRevert(IOperatorRegistry.MinimumStakeZero.selector);
        new OperatorRegistry(bond, 0);
    }

    function _bondFor(address operator, uint128 amount) private {
        token.mint(address(this), amount);
        token.approve(address(bond), amount);
        bond.depositFor(operator, amount);
    }

    function _possession(address operator) private view returns (G1Point memory) {
        return sign(SCALAR, operators.popMessage(operator, _key1, _key2));
    }

    function _register(address operator, G1Point memory possession) private {
        (G1Point memory key1, G2Point memory key2) = (_key1, _key2);
        vm.prank(operator);
        operators.register(key1, key2, possession);
    }

    function _refuse(address operator, G1Point memory possession) private {
        bytes32 message = operators.popMessage(operator, _key1, _key2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistry.PossessionNotProved.selector, operator, message
            )
        );
        _register(operator, possession);
    }
}
