// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EpochTable} from "../src/EpochTable.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IOperatorRegistry} from "../src/interfaces/IOperatorRegistry.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {EpochTableBytes} from "../src/libraries/EpochTableBytes.sol";
import {G2} from "./helpers/G2.sol";
import {Network} from "./helpers/Network.sol";

/// @title snapshot, exclude, usability (test/tree/EpochTable.tree)
contract EpochTableTest is Network {
    function setUp() external {
        deploy();
        addOperator(1 ether);
        addOperator(2 ether);
        addOperator(4 ether);
    }

    function test_Snapshot_WritesTheSpecifiedBytes() external {
        bytes memory expected = abi.encodePacked(
            "PGE1",
            uint64(block.chainid),
            address(epochs),
            uint64(1),
            uint64(block.number - 1),
            blockhash(block.number - 1),
            uint128(7 ether),
            _packed(key1Of(_sumOfSecrets(3))),
            uint16(3)
        );
        for (uint256 i = 0; i < 3; ++i) {
            uint128 stake = uint128(1 ether << i);
            expected = bytes.concat(
                expected, abi.encodePacked(operatorAt(i), _packed(key1Of(secret(i))), stake)
            );
        }
        assertEq(snapshot(), 1, "number");
        assertEqBytes(epochs.tableOf(1), expected, "table");
        (address pointer, bytes32 digest, uint256 excluded) = epochs.requireUsable(1);
        assertEq(digest, keccak256(expected), "digest");
        assertEqBytes(pointer.code, bytes.concat(hex"00", expected), "code");
        assertEq(excluded, 0, "excluded");
        (EpochTableBytes.Header memory header, uint64 createdAt) = epochs.epochInfo(1);
        assertEq(header.totalStake, 7 ether, "total");
        assertEq(header.epoch, 1, "epoch");
        assertEq(header.epochTable, address(epochs), "contract");
        assertEq(header.homeChain, block.chainid, "chain");
        assertEq(header.snapshotBlock, block.number - 1, "block");
        assertEq(header.snapshotHash, blockhash(block.number - 1), "hash");
        assertEq(header.numMembers, 3, "members");
        assertEqBytes(abi.encode(header.aggregateKey), _packed(key1Of(_sumOfSecrets(3))), "apk");
        assertEq(createdAt, block.timestamp, "created");
    }

    function test_Snapshot_LeavesOutTheStakeless() external {
        vm.prank(operatorAt(1));
        bond.beginWithdrawal(2 ether);
        snapshot();
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(1);
        assertEq(header.numMembers, 2, "members");
        assertEq(header.totalStake, 5 ether, "total");
        assertEq(epochs.tableOf(1).length, 162 + 200, "length");
        uint256 sum = addmod(secret(0), secret(2), Bn254.R);
        assertEqBytes(abi.encode(header.aggregateKey), _packed(key1Of(sum)), "apk");
    }

    function test_Snapshot_RefusesAnIncompleteSet() external {
        address[] memory list = new address[](2);
        (list[0], list[1]) = (operatorAt(0), operatorAt(1));
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.OperatorListIncomplete.selector, 3, 2));
        epochs.snapshot(list);
    }

    function test_Snapshot_RefusesAStrangerInTheSet() external {
        address[] memory list = operatorList();
        list[2] = operatorAt(9);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorNotRegistered.selector, operatorAt(9))
        );
        epochs.snapshot(list);
    }

    function testFuzz_Snapshot_RefusesAnyOtherOrder(uint256 a, uint256 b, uint256 c) external {
        address[] memory list = new address[](3);
        uint256[3] memory order = [bound(a, 0, 2), bound(b, 0, 2), bound(c, 0, 2)];
        vm.assume(!(order[0] == 0 && order[1] == 1 && order[2] == 2));
        for (uint256 i = 0; i < 3; ++i) {
            list[i] = operatorAt(order[i]);
        }
        vm.expectPartialRevert(IEpochTable.OperatorsNotAscending.selector);
        epochs.snapshot(list);
    }

    function test_Snapshot_RefusesTooLittleStake() external {
        vm.prank(operatorAt(2));
        bond.beginWithdrawal(4 ether);
        address[] memory list = operatorList();
        vm.expectRevert(
            abi.encodeWithSelector(IEpochTable.TotalStakeTooSmall.selector, 3 ether, 4 ether)
        );
        epochs.snapshot(list);
    }

    function test_Snapshot_RefusesTooFewMembers() external {
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(operatorAt(i));
            bond.beginWithdrawal(uint128(1 ether << i));
        }
        address[] memory list = operatorList();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.TooFewMembers.selector, 0, 1));
        epochs.snapshot(list);
    }

    function test_Snapshot_RefusesAYoungEpoch() external {
        snapshot();
        uint256 next = block.timestamp + MIN_EPOCH;
        vm.warp(next - 1);
        address[] memory list = operatorList();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochTooYoung.selector, 1, next));
        epochs.snapshot(list);
        vm.warp(next);
        assertEq(epochs.snapshot(list), 2, "second epoch");
        assertEq(epochs.currentEpoch(), 2, "current");
    }

    function test_Snapshot_RefusesKeysThatCancelOut() external {
        deploy();
        numOperators = 2;
        for (uint256 i = 0; i < 2; ++i) {
            bondFor(operatorAt(i), 3 ether);
            registerKey(operatorAt(i), i == 0 ? 5 : Bn254.R - 5);
        }
        address[] memory list = operatorList();
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.snapshot(list);
    }

    function test_Snapshot_TakesTwoHundredOperators() external {
        deploy();
        numOperators = 0;
        addOperators(200, 1 ether);
        assertEq(snapshot(), 1, "number");
        assertEq(epochs.tableOf(1).length, 162 + 200 * 100, "length");
        address late = operatorAt(200);
        bondFor(late, 1 ether);
        (G1Point memory key1, G2Point memory key2) = (key1Of(1), G2.key(1));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorSetFull.selector, 200));
        vm.prank(late);
        operators.register(key1, key2, G1Point(1, 2));
    }

    function test_Usable_EndsWithAge() external {
        snapshot();
        uint256 end = block.timestamp + MAX_AGE + GRACE;
        assertEq(epochs.usableUntil(1), end, "end");
        vm.warp(end);
        assertTrue(epochs.isUsable(1), "last second");
        vm.warp(end + 1);
        assertTrue(!epochs.isUsable(1), "over");
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochNotUsable.selector, 1, 1, end));
        epochs.requireUsable(1);
        epochs.tableAt(1);
    }

    function test_Usable_EndsWithTheGraceOfItsSuccessor() external {
        snapshot();
        vm.warp(block.timestamp + MIN_EPOCH);
        snapshot();
        uint256 end = block.timestamp + GRACE;
        assertEq(epochs.usableUntil(1), end, "end");
        vm.warp(end);
        assertTrue(epochs.isUsable(1) && epochs.isUsable(2), "both");
        vm.warp(end + 1);
        assertTrue(!epochs.isUsable(1) && epochs.isUsable(2), "only the newest");
    }

    function test_Usable_RefusesTheUnknown() external {
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, 1));
        epochs.requireUsable(1);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, 0));
        epochs.tableOf(0);
    }

    function test_Exclude_OnlyAddsBits() external {
        snapshot();
        vm.prank(OWNER);
        epochs.exclude(1, 1);
        vm.expectEmit(address(epochs));
        emit IEpochTable.OperatorsExcluded(1, 4, 5);
        vm.prank(OWNER);
        epochs.exclude(1, 4);
        (,, uint256 excluded) = epochs.requireUsable(1);
        assertEq(excluded, 5, "mask");
    }

    function test_Exclude_RefusesBitsOfNobody() external {
        snapshot();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NoSuchMember.selector, 8, 3));
        vm.prank(OWNER);
        epochs.exclude(1, 8);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NoSuchMember.selector, 0, 3));
        vm.prank(OWNER);
        epochs.exclude(1, 0);
    }

    function test_Exclude_RefusesOthersThanTheOwner() external {
        snapshot();
        vm.expectRevert(
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this))
        );
        epochs.exclude(1, 1);
    }

    function testFuzz_Constructor_RefusesStakeThatLeavesTooSoon(uint64 lookahead) external {
        IEpochTable.EpochParams memory p = epochParams();
        uint64 needed = MAX_AGE + GRACE + CHALLENGE + 60;
        p.lookaheadSeconds = lookahead;
        bool sound = lookahead >= needed && lookahead < WITHDRAWAL_DELAY;
        if (!sound) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IEpochTable.LookaheadViolated.selector, needed, lookahead, WITHDRAWAL_DELAY
                )
            );
        }
        new EpochTable(operators, bond, p, OWNER);
    }

    function test_Constructor_RefusesGraceOverSeveralEpochs() external {
        IEpochTable.EpochParams memory p = epochParams();
        p.graceSeconds = p.minEpochSeconds;
        vm.expectRevert(IEpochTable.EpochParamsInvalid.selector);
        new EpochTable(operators, bond, p, OWNER);
    }

    function _sumOfSecrets(uint256 count) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < count; ++i) {
            sum = addmod(sum, secret(i), Bn254.R);
        }
    }

    function _packed(G1Point memory point) private pure returns (bytes memory) {
        return abi.encodePacked(point.x, point.y);
    }
}
