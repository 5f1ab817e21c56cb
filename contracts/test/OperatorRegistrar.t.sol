// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {AvsManagerV14} from "../src/AvsManagerV14.sol";
import {OperatorRegistrar} from "../src/OperatorRegistrar.sol";
import {IOperatorRegistrar} from "../src/interfaces/IOperatorRegistrar.sol";
import {IAllocationManager, OperatorSet} from "../src/interfaces/eigenlayer/IAllocationManager.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {RestakedNetwork} from "./eigenlayer/RestakedNetwork.sol";
import {G2} from "./helpers/G2.sol";

/// @title Coming and going at the registrar, through the real core (test/tree/OperatorRegistrar.tree)
contract OperatorRegistrarTest is RestakedNetwork {
    address private constant ALICE = address(0x10000);
    address private constant BOB = address(0x10001);
    uint256 private constant SCALAR = 0x123456789abcdef;

    G1Point private _key1;
    G2Point private _key2;

    function setUp() external {
        deployNetwork();
        newVerifier(ALICE, 20 ether);
        newVerifier(BOB, 20 ether);
        (_key1, _key2) = keysOf(SCALAR);
    }

    // registerOperator: verifiers

    function test_Register_StoresBothKeys() external {
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.OperatorRegistered(
            ALICE, keccak256(abi.encode(_key1)), _key1, _key2
        );
        _register(ALICE, _possession(ALICE));
        (G1Point memory key1, G2Point memory key2) = registrar.keyOf(ALICE);
        assertEqBytes(abi.encode(key1, key2), abi.encode(_key1, _key2), "keys");
        assertEqBytes(abi.encode(registrar.registeredKey1(ALICE)), abi.encode(_key1), "key1");
        assertEqBytes(abi.encode(registrar.registeredKey2(ALICE)), abi.encode(_key2), "key2");
        assertTrue(registrar.isRegistered(ALICE), "registered");
        assertTrue(avs.isMember(ALICE, 0), "member");
        assertEq(registrar.operatorCount(), 1, "count");
        assertEq(registrar.operators()[0], ALICE, "list");
        assertEq(registrar.operatorOfKey(keccak256(abi.encode(_key1))), ALICE, "key's operator");
        assertEq(registrar.version(), 1, "version");
    }

    function test_Register_RefusesEverybodyButTheCore() external {
        bytes memory data = keyData(ALICE, SCALAR);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.NotAllocationManager.selector, ALICE)
        );
        vm.prank(ALICE);
        registrar.registerOperator(ALICE, address(avs), _sets(0), data);
    }

    function test_Register_RefusesOtherAvsAndUnknownSets() external {
        bytes memory data = keyData(ALICE, SCALAR);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.AvsUnknown.selector, BOB));
        vm.prank(address(allocations));
        registrar.registerOperator(ALICE, BOB, _sets(0), data);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.SetUnknown.selector, 2));
        vm.prank(address(allocations));
        registrar.registerOperator(ALICE, address(avs), _sets(2), data);
        assertTrue(registrar.supportsAVS(address(avs)), "its own AVS");
        assertTrue(!registrar.supportsAVS(BOB), "no other AVS");
    }

    function test_Wire_RefusesAnotherAvsRegistrar() external {
        AvsManagerV14 other = newAvs();
        vm.expectRevert(IAllocationManager.InvalidAVSRegistrar.selector);
        other.wire(address(registrar), COURT, VAULT);
    }

    function test_Register_RefusesDataOfAnotherLength() external {
        bytes memory data = keyData(ALICE, SCALAR);
        bytes[4] memory others =
            [bytes(""), bytes.concat(data, hex"00"), bytes.concat(data, data), hex"c0ffee"];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(IOperatorRegistrar.DataLength.selector, others[i].length)
            );
            this.join(ALICE, 0, others[i]);
        }
    }

    function test_Register_RefusesBelowTheLeastStake() external {
        address poor = address(0x999);
        newVerifier(poor, MIN_VERIFIER_STAKE - 1);
        bytes memory data = keyData(poor, SCALAR);
        vm.expectRevert(_tooLittle(poor, 0, MIN_VERIFIER_STAKE - 1, MIN_VERIFIER_STAKE));
        this.join(poor, 0, data);
    }

    function test_Register_DoesNotCountStakeThatIsNotAllocated() external {
        address idle = address(0x999);
        newOperator(idle);
        stake(idle, idle, 100 ether);
        bytes memory data = keyData(idle, SCALAR);
        vm.expectRevert(_tooLittle(idle, 0, 0, MIN_VERIFIER_STAKE));
        this.join(idle, 0, data);
    }

    /// @dev An allocation that an operator took back just before it could join again is slashable
    /// for the whole delay, and no stake for the next epoch.
    function test_Register_DoesNotCountStakeOnItsWayOut() external {
        joinVerifiers(ALICE);
        leaveSet(ALICE, verifiers());
        vm.roll(block.number + DEALLOCATION_DELAY);
        allocate(ALICE, verifiers(), 0);
        vm.roll(block.number + 1);
        bytes memory data = keyData(ALICE, SCALAR);
        vm.expectRevert(_tooLittle(ALICE, 0, 0, MIN_VERIFIER_STAKE));
        this.join(ALICE, 0, data);
    }

    function test_Register_RefusesAKeyForEver() external {
        _register(ALICE, _possession(ALICE));
        leaveSet(ALICE, verifiers());
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        bytes memory refusal = abi.encodeWithSelector(
            IOperatorRegistrar.KeyAlreadyUsed.selector, keccak256(abi.encode(_key1)), ALICE
        );
        _refuse(BOB, keyData(BOB, SCALAR), refusal);
        _refuse(ALICE, keyData(ALICE, SCALAR), refusal);
        joinVerifiers(ALICE);
        assertTrue(registrar.isRegistered(ALICE), "with another key");
        bytes32 first = keccak256(abi.encode(_key1));
        assertEq(registrar.operatorOfKey(first), ALICE, "history");
        // Frozen epochs name the first key.
        assertEqBytes(abi.encode(registrar.key2Of(first)), abi.encode(_key2), "first key in G2");
        (G1Point memory second,) = registrar.keyOf(ALICE);
        assertTrue(keccak256(abi.encode(second)) != first, "last key");
    }

    function test_Key2Of_RefusesTheUnknown() external {
        bytes32 digest = keccak256("no key");
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.KeyUnknown.selector, digest));
        registrar.key2Of(digest);
    }

    function test_Register_RefusesAMember() external {
        _register(ALICE, _possession(ALICE));
        bytes memory data = keyData(ALICE, SCALAR + 1);
        vm.expectRevert(IAllocationManager.AlreadyMemberOfSet.selector);
        this.join(ALICE, 0, data);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.OperatorAlreadyRegistered.selector, ALICE)
        );
        vm.prank(address(allocations));
        registrar.registerOperator(ALICE, address(avs), _sets(0), data);
    }

    function test_Register_RefusesARogueKey() external {
        _register(ALICE, _possession(ALICE));
        // rogue = s * G - alice: with it, s alone would sign for both. No possession can be proved.
        uint256 s = 77;
        (G1Point memory own1,) = keysOf(s);
        _key1 = Bn254.add(own1, Bn254.negate(_key1));
        _key2 = G2.key(addmod(s, Bn254.R - SCALAR, Bn254.R));
        _refusePossession(BOB, signWith(s, registrar.popMessage(BOB, _key1, _key2)));
    }

    function test_Register_RefusesAnotherOperatorsPossession() external {
        _refusePossession(BOB, _possession(ALICE));
    }

    function test_Register_RefusesAnotherChainsPossession() external {
        G1Point memory possession = _possession(ALICE);
        vm.chainId(424_242);
        _refusePossession(ALICE, possession);
    }

    function test_Register_RefusesAnotherRegistrarsPossession() external {
        OperatorRegistrar other = newRegistrar();
        _refusePossession(ALICE, signWith(SCALAR, other.popMessage(ALICE, _key1, _key2)));
    }

    function test_Register_RefusesAnotherSetsPossession() external {
        bytes32 message =
            Digests.popMessage(block.chainid, address(registrar), ALICE, 1, _key1, _key2);
        _refusePossession(ALICE, signWith(SCALAR, message));
    }

    function test_Register_RefusesKeysThatDiffer() external {
        _key2 = G2.key(SCALAR + 1);
        _refusePossession(ALICE, _possession(ALICE));
    }

    function test_Register_RefusesAKeyOutsideTheSubgroup() external {
        // On no curve: the pairing fails instead of answering.
        _key2.y0 = addmod(_key2.y0, 1, Bn254.P);
        _refusePossession(ALICE, _possession(ALICE));
    }

    function test_Register_RefusesIdentities() external {
        G1Point memory possession = _possession(ALICE);
        bytes memory refusal = abi.encodeWithSelector(Bn254.PointIsIdentity.selector);
        _refuse(ALICE, abi.encode(_key1, _key2, G1Point(0, 0)), refusal);
        _refuse(ALICE, abi.encode(G1Point(0, 0), _key2, possession), refusal);
        _refuse(ALICE, abi.encode(_key1, G2Point(0, 0, 0, 0), possession), refusal);
    }

    function test_Register_RefusesUnreducedCoordinates() external {
        G1Point memory possession = _possession(ALICE);
        uint256 unreduced = possession.x + Bn254.P;
        _refuse(
            ALICE,
            abi.encode(_key1, _key2, G1Point(unreduced, possession.y)),
            abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced)
        );
        unreduced = _key1.y + Bn254.P;
        _refuse(
            ALICE,
            abi.encode(G1Point(_key1.x, unreduced), _key2, possession),
            abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced)
        );
        unreduced = _key2.x1 + Bn254.P;
        _refuse(
            ALICE,
            abi.encode(_key1, G2Point(unreduced, _key2.x0, _key2.y1, _key2.y0), possession),
            abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced)
        );
    }

    function test_Register_RefusesPointsOffTheCurve() external {
        _refuse(
            ALICE,
            abi.encode(_key1, _key2, G1Point(1, 3)),
            abi.encodeWithSelector(Bn254.PointOffCurve.selector, 1, 3)
        );
    }

    function testFuzz_Register_RefusesAnyOtherSignature(uint256 scalar) external {
        scalar = bound(scalar, 1, Bn254.R - 1);
        vm.assume(scalar != SCALAR);
        bytes32 message = registrar.popMessage(ALICE, _key1, _key2);
        _refusePossession(ALICE, signWith(scalar, message));
    }

    // registerOperator: provers

    function test_Register_ProversNeedNoKey() external {
        _allocateToProvers(MAGNITUDE / 2);
        joinSet(ALICE, provers(), "");
        assertTrue(avs.isMember(ALICE, 1), "prover");
        assertTrue(!registrar.isRegistered(ALICE), "no verifier");
        assertEq(registrar.version(), 0, "the verifiers did not change");
    }

    function test_Register_ProversBringNoData() external {
        _allocateToProvers(MAGNITUDE / 2);
        bytes memory data = keyData(ALICE, SCALAR);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.DataLength.selector, 256));
        this.join(ALICE, 1, data);
    }

    function test_Register_ProversHaveALeastStakeOfTheirOwn() external {
        // A hundredth of 20, and the least is 2.
        _allocateToProvers(MAGNITUDE / 100);
        vm.expectRevert(_tooLittle(ALICE, 1, 0.2 ether, MIN_PROVER_STAKE));
        this.join(ALICE, 1, "");
    }

    function test_Register_BothSetsInOneCall() external {
        _allocateToProvers(MAGNITUDE / 2);
        joinBoth(ALICE, keyData(ALICE, SCALAR));
        assertTrue(registrar.isRegistered(ALICE), "verifier");
        assertTrue(avs.isMember(ALICE, 0) && avs.isMember(ALICE, 1), "both");
    }

    function test_Register_BothSetsOrNone() external {
        bytes memory data = keyData(ALICE, SCALAR);
        vm.expectRevert(_tooLittle(ALICE, 1, 0, MIN_PROVER_STAKE));
        this.joinBothExternally(ALICE, data);
        assertTrue(!registrar.isRegistered(ALICE) && !avs.isMember(ALICE, 0), "none");
        assertEq(registrar.operatorOfKey(keccak256(abi.encode(_key1))), address(0), "key unused");
    }

    // deregisterOperator

    function test_Deregister_KeepsTheKeyReadable() external {
        _register(ALICE, _possession(ALICE));
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.OperatorDeregistered(ALICE, 2);
        leaveSet(ALICE, verifiers());
        (G1Point memory key1,) = registrar.keyOf(ALICE);
        assertEq(key1.x, _key1.x, "key kept");
        assertTrue(!registrar.isRegistered(ALICE), "left");
        assertEq(registrar.operatorCount(), 0, "count");
        assertEq(registrar.version(), 2, "version");
        bytes memory refusal =
            abi.encodeWithSelector(IOperatorRegistrar.OperatorNotRegistered.selector, ALICE);
        vm.expectRevert(refusal);
        registrar.registeredKey1(ALICE);
        vm.expectRevert(refusal);
        registrar.registeredKey2(ALICE);
    }

    function test_Deregister_OfAProverChangesNoVerifier() external {
        _allocateToProvers(MAGNITUDE / 2);
        joinBoth(ALICE, keyData(ALICE, SCALAR));
        leaveSet(ALICE, provers());
        assertTrue(registrar.isRegistered(ALICE), "still a verifier");
        assertEq(registrar.version(), 1, "version");
    }

    function test_Deregister_RefusesEverybodyButTheCore() external {
        _register(ALICE, _possession(ALICE));
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.NotAllocationManager.selector, BOB)
        );
        vm.prank(BOB);
        registrar.deregisterOperator(ALICE, address(avs), _sets(0));
    }

    function test_Deregister_IgnoresOtherAvs() external {
        _register(ALICE, _possession(ALICE));
        vm.prank(address(allocations));
        registrar.deregisterOperator(ALICE, BOB, _sets(0));
        assertTrue(registrar.isRegistered(ALICE), "still there");
    }

    /// @dev Whatever the core says, the answer is no revert; only who is said to leave leaves.
    function testFuzz_Deregister_NeverReverts(
        address operator,
        address ofAvs,
        uint32[] calldata sets,
        uint256 state
    ) external {
        _register(ALICE, _possession(ALICE));
        if (state % 3 == 1) registrar.proposeEjection(ALICE);
        if (state % 3 == 2) leaveSet(ALICE, verifiers());
        if (state & 4 == 0) operator = ALICE;
        if (state & 8 == 0) ofAvs = address(avs);
        vm.prank(address(allocations));
        registrar.deregisterOperator(operator, ofAvs, sets);
        bool leaves = operator == ALICE && ofAvs == address(avs);
        bool named = false;
        for (uint256 i = 0; i < sets.length; ++i) {
            named = named || sets[i] == 0;
        }
        bool left = state % 3 == 2 || (leaves && named);
        assertTrue(registrar.isRegistered(ALICE) == !left, "who left");
    }

    // remove

    function test_Remove_FreesThePlaceOfTheStakeless() external {
        joinVerifiers(ALICE);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistrar.StakeAboveMinimum.selector,
                ALICE,
                0,
                20 ether,
                MIN_VERIFIER_STAKE
            )
        );
        registrar.remove(ALICE, 0);
        // Three of twenty stay: below ten, and out of reach only later.
        allocate(ALICE, verifiers(), MAGNITUDE * 3 / 20);
        vm.prank(BOB);
        registrar.remove(ALICE, 0);
        assertTrue(!registrar.isRegistered(ALICE) && !avs.isMember(ALICE, 0), "removed");
        vm.roll(block.number + DEALLOCATION_DELAY);
        vm.prank(COURT);
        avs.slash(ALICE, 0, 1e18, "what it did before");
        assertEq(delegation.operatorShares(ALICE, strategy), 0, "slashed");
    }

    function test_Remove_ProversToo() external {
        _allocateToProvers(MAGNITUDE / 2);
        joinSet(ALICE, provers(), "");
        allocate(ALICE, provers(), 0);
        registrar.remove(ALICE, 1);
        assertTrue(!avs.isMember(ALICE, 1), "removed");
    }

    function test_Remove_AfterASlash() external {
        joinVerifiers(ALICE);
        vm.prank(COURT);
        avs.slash(ALICE, 0, 0.6e18, "a fault");
        registrar.remove(ALICE, 0);
        assertTrue(!registrar.isRegistered(ALICE), "removed");
    }

    function test_Remove_RefusesWhoIsNotIn() external {
        bytes memory refusal =
            abi.encodeWithSelector(IOperatorRegistrar.OperatorNotRegistered.selector, ALICE);
        for (uint32 set = 0; set < 3; ++set) {
            vm.expectRevert(refusal);
            registrar.remove(ALICE, set);
        }
    }

    // Ejection

    function test_Eject_TakesOutAfterTheWindow() external {
        _register(ALICE, _possession(ALICE));
        uint64 executableAt = uint64(block.timestamp) + EJECTION_WINDOW;
        assertEq(registrar.ejectedAt(ALICE), 0, "never before");
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.EjectionProposed(ALICE, 1, executableAt);
        registrar.proposeEjection(ALICE);
        vm.warp(executableAt - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistrar.EjectionWindowOpen.selector, ALICE, executableAt
            )
        );
        registrar.executeEjection(ALICE);
        vm.warp(executableAt);
        uint64 barredUntil = executableAt + EJECTION_COOLDOWN;
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.EjectionCompleted(ALICE, 1, barredUntil);
        vm.prank(BOB);
        registrar.executeEjection(ALICE);
        assertTrue(!registrar.isRegistered(ALICE) && !avs.isMember(ALICE, 0), "out");
        assertEq(registrar.version(), 2, "version");
        assertEq(registrar.ejectionOf(ALICE).barredUntil, barredUntil, "barred");
        assertEq(registrar.ejectedAt(ALICE), executableAt, "since when");
    }

    function test_Eject_CooldownBeforeRegistration() external {
        _eject(ALICE);
        uint64 barredUntil = registrar.ejectionOf(ALICE).barredUntil;
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        vm.warp(barredUntil - 1);
        bytes memory data = keyData(ALICE, 99);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.OperatorBarred.selector, ALICE, barredUntil)
        );
        this.join(ALICE, 0, data);
        vm.warp(barredUntil);
        joinSet(ALICE, verifiers(), data);
        assertTrue(registrar.isRegistered(ALICE), "back, with another key");
    }

    function test_Eject_LeavingBeforeIsNoWayAroundTheCooldown() external {
        _register(ALICE, _possession(ALICE));
        registrar.proposeEjection(ALICE);
        leaveSet(ALICE, verifiers());
        assertEq(
            registrar.ejectionOf(ALICE).barredUntil,
            uint64(block.timestamp) + EJECTION_COOLDOWN,
            "barred"
        );
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.EjectionUnknown.selector, ALICE));
        registrar.executeEjection(ALICE);
    }

    function test_Eject_TheOperatorCancels() external {
        _register(ALICE, _possession(ALICE));
        registrar.proposeEjection(ALICE);
        G1Point memory signature = signWith(SCALAR, registrar.ejectCancelMessage(ALICE, 1));
        uint64 sparedUntil = uint64(block.timestamp) + EJECTION_WINDOW - 1 + EJECTION_COOLDOWN;
        vm.warp(block.timestamp + EJECTION_WINDOW - 1);
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.EjectionCancelled(ALICE, 1, sparedUntil);
        vm.prank(BOB);
        registrar.cancelEjection(ALICE, signature);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.EjectionUnknown.selector, ALICE));
        registrar.executeEjection(ALICE);
        assertTrue(registrar.isRegistered(ALICE), "stays");
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.OperatorSpared.selector, ALICE, sparedUntil)
        );
        registrar.proposeEjection(ALICE);
        // The answer to the first proposal is none to the second.
        vm.warp(sparedUntil);
        registrar.proposeEjection(ALICE);
        _refuseCancel(signature, 2);
    }

    function test_Eject_CancelIsTheOperatorsOnThisChainAndContract() external {
        _register(ALICE, _possession(ALICE));
        registrar.proposeEjection(ALICE);
        _refuseCancel(signWith(SCALAR + 1, registrar.ejectCancelMessage(ALICE, 1)), 1);
        _refuseCancel(signWith(SCALAR, registrar.ejectCancelMessage(BOB, 1)), 1);
        _refuseCancel(signWith(SCALAR, registrar.ejectCancelMessage(ALICE, 0)), 1);
        _refuseCancel(signWith(SCALAR, newRegistrar().ejectCancelMessage(ALICE, 1)), 1);
        _refuseCancel(_possession(ALICE), 1);
        G1Point memory signature = signWith(SCALAR, registrar.ejectCancelMessage(ALICE, 1));
        vm.chainId(424_242);
        _refuseCancel(signature, 1);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        registrar.cancelEjection(ALICE, G1Point(0, 0));
    }

    function test_Eject_CancelTooLate() external {
        _register(ALICE, _possession(ALICE));
        registrar.proposeEjection(ALICE);
        G1Point memory signature = signWith(SCALAR, registrar.ejectCancelMessage(ALICE, 1));
        vm.warp(block.timestamp + EJECTION_WINDOW);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistrar.EjectionWindowOver.selector, ALICE, uint64(block.timestamp)
            )
        );
        registrar.cancelEjection(ALICE, signature);
    }

    function test_Eject_NothingToCancel() external {
        _register(ALICE, _possession(ALICE));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.EjectionUnknown.selector, ALICE));
        registrar.cancelEjection(ALICE, G1Point(1, 2));
    }

    function test_Eject_ProposedByTheOwnerOnceForAMember() external {
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.OperatorNotRegistered.selector, ALICE)
        );
        registrar.proposeEjection(ALICE);
        _register(ALICE, _possession(ALICE));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, BOB));
        vm.prank(BOB);
        registrar.proposeEjection(ALICE);
        registrar.proposeEjection(ALICE);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistrar.EjectionPending.selector,
                ALICE,
                uint64(block.timestamp) + EJECTION_WINDOW
            )
        );
        registrar.proposeEjection(ALICE);
    }

    // keyOf and constructor

    function test_KeyOf_RefusesTheUnknown() external {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.OperatorUnknown.selector, BOB));
        registrar.keyOf(BOB);
    }

    function test_Constructor_RefusesFreePlacesAndTimesOutOfRange() external {
        vm.expectRevert(IOperatorRegistrar.MinimumStakeZero.selector);
        _newRegistrar(0, 1, 1, 1);
        vm.expectRevert(IOperatorRegistrar.MinimumStakeZero.selector);
        _newRegistrar(1, 0, 1, 1);
        _refuseSeconds(0, 1, 0);
        _refuseSeconds(90 days + 1, 1, 90 days + 1);
        _refuseSeconds(1, 0, 0);
        _refuseSeconds(1, 90 days + 1, 90 days + 1);
    }

    // Calls that are expected to revert, each as one.

    function join(address operator, uint32 set, bytes calldata data) external {
        joinSet(operator, OperatorSet(address(avs), set), data);
    }

    function joinBothExternally(address operator, bytes calldata data) external {
        joinBoth(operator, data);
    }

    function _newRegistrar(uint128 verifier, uint128 prover, uint64 window, uint64 cooldown)
        private
    {
        new OperatorRegistrar(
            avs,
            IOperatorRegistrar.RegistrarParams(verifier, prover, window, cooldown),
            address(this)
        );
    }

    function _refuseSeconds(uint64 window, uint64 cooldown, uint64 value) private {
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.SecondsOutOfRange.selector, value, 90 days)
        );
        _newRegistrar(1, 1, window, cooldown);
    }

    function _allocateToProvers(uint64 magnitude) private {
        // What was given to the verifiers is free again once it is out of reach.
        allocate(ALICE, verifiers(), MAGNITUDE / 2);
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        allocate(ALICE, provers(), magnitude);
    }

    function _eject(address operator) private {
        _register(operator, _possession(operator));
        registrar.proposeEjection(operator);
        vm.warp(block.timestamp + EJECTION_WINDOW);
        registrar.executeEjection(operator);
    }

    function _possession(address operator) private view returns (G1Point memory) {
        return signWith(SCALAR, registrar.popMessage(operator, _key1, _key2));
    }

    function _register(address operator, G1Point memory possession) private {
        joinSet(operator, verifiers(), abi.encode(_key1, _key2, possession));
    }

    function _refuse(address operator, bytes memory data, bytes memory refusal) private {
        vm.expectRevert(refusal);
        this.join(operator, 0, data);
    }

    function _refusePossession(address operator, G1Point memory possession) private {
        bytes32 message = registrar.popMessage(operator, _key1, _key2);
        _refuse(
            operator,
            abi.encode(_key1, _key2, possession),
            abi.encodeWithSelector(
                IOperatorRegistrar.PossessionNotProved.selector, operator, message
            )
        );
    }

    function _refuseCancel(G1Point memory signature, uint64 nonce) private {
        bytes32 message = registrar.ejectCancelMessage(ALICE, nonce);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.CancelNotSigned.selector, ALICE, message)
        );
        registrar.cancelEjection(ALICE, signature);
    }

    function _tooLittle(address operator, uint32 set, uint128 amount, uint128 minimum)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(
            IOperatorRegistrar.StakeBelowMinimum.selector, operator, set, amount, minimum
        );
    }

    function _sets(uint32 set) private pure returns (uint32[] memory list) {
        list = new uint32[](1);
        list[0] = set;
    }
}

/// @title Churn in a full set (test/tree/OperatorRegistrar.tree)
contract OperatorRegistrarFullTest is RestakedNetwork {
    address private constant NEWCOMER = address(0xBEEF);
    uint256 private constant FULL = 200;
    uint256 private constant STAKE = 20 ether;

    function setUp() external {
        deployNetwork();
        address[] memory list = new address[](FULL);
        for (uint256 i = 0; i < FULL; ++i) {
            list[i] = _member(i);
        }
        newVerifiers(list, STAKE);
        for (uint256 i = 0; i < FULL; ++i) {
            joinVerifiers(list[i]);
        }
    }

    function test_Churn_OnlyANewcomerWithEnoughMoreTakesAPlace() external {
        uint256 enough = STAKE * 11 / 10;
        newVerifier(NEWCOMER, enough - 1);
        bytes memory data = keyData(NEWCOMER, secretOf(NEWCOMER));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistrar.OperatorSetFull.selector, FULL));
        this.join(NEWCOMER, data);
        bytes memory naming = bytes.concat(data, abi.encode(_member(7)));
        vm.expectRevert(
            abi.encodeWithSelector(
                IOperatorRegistrar.StakeTooSmallToChurn.selector, enough - 1, STAKE
            )
        );
        this.join(NEWCOMER, naming);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistrar.OperatorNotRegistered.selector, NEWCOMER)
        );
        this.join(NEWCOMER, bytes.concat(data, abi.encode(NEWCOMER)));
        stake(NEWCOMER, NEWCOMER, 1);
        vm.expectEmit(address(registrar));
        emit IOperatorRegistrar.OperatorChurned(
            NEWCOMER, _member(7), uint128(enough), uint128(STAKE)
        );
        joinSet(NEWCOMER, verifiers(), naming);
        assertTrue(registrar.isRegistered(NEWCOMER), "in");
        assertTrue(!registrar.isRegistered(_member(7)), "out");
        assertTrue(!avs.isMember(_member(7), 0), "out at the core");
        assertEq(registrar.operatorCount(), FULL, "as many");
        assertEq(allocations.getMemberCount(verifiers()), FULL, "as many at the core");
        assertEq(registrar.version(), FULL + 2, "one left, one came");
    }

    function test_Churn_NoneIfThereIsRoom() external {
        newVerifier(NEWCOMER, 2 * STAKE);
        bytes memory data =
            bytes.concat(keyData(NEWCOMER, secretOf(NEWCOMER)), abi.encode(_member(7)));
        leaveSet(_member(8), verifiers());
        joinSet(NEWCOMER, verifiers(), data);
        assertTrue(registrar.isRegistered(_member(7)), "stays");
        assertEq(registrar.operatorCount(), FULL, "full");
    }

    function join(address operator, bytes calldata data) external {
        joinSet(operator, verifiers(), data);
    }

    function _member(uint256 index) private pure returns (address) {
        return address(uint160(0x20000 + index));
    }
}
