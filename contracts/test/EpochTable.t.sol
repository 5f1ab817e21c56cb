// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EpochTable} from "../src/EpochTable.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {EpochTableBytes} from "../src/libraries/EpochTableBytes.sol";
import {BatchRoot} from "../src/types/Ids.sol";
import {G2} from "./helpers/G2.sol";
import {Network} from "./helpers/Network.sol";
import {OperatorSet} from "./helpers/OperatorSet.sol";

/// @title buildRoster, snapshot, exclude, usability (test/tree/EpochTable.tree)
contract EpochTableTest is Network {
    BatchRoot private constant ROOT = BatchRoot.wrap(keccak256("root"));
    address private constant COURT = address(0xC0);

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
        for (uint256 i = 0; i < 3; ++i) {
            (address operator, G1Point memory key1, uint128 stake) = epochs.memberAt(1, i);
            assertEq(operator, operatorAt(i), "member");
            assertEqBytes(abi.encode(key1), _packed(key1Of(secret(i))), "its key");
            assertEq(stake, 1 ether << i, "its stake");
        }
        // 302 bytes of header; the greatest stake needs 8 bytes, a place one.
        assertEq(pointer.code.length, 1 + 302 + 3 * 9, "stored bytes");
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
        operatorSet.slash(operatorAt(1), 2 ether);
        snapshot();
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(1);
        assertEq(header.numMembers, 2, "members");
        assertEq(header.totalStake, 5 ether, "total");
        assertEq(epochs.tableOf(1).length, 162 + 200, "length");
        uint256 sum = addmod(secret(0), secret(2), Bn254.R);
        assertEqBytes(abi.encode(header.aggregateKey), _packed(key1Of(sum)), "apk");
        (address second,, uint128 stake) = epochs.memberAt(1, 1);
        assertEq(second, operatorAt(2), "the third operator is the second member");
        assertEq(stake, 4 ether, "its stake");
    }

    /// forge-config: default.fuzz.runs = 24
    function testFuzz_Snapshot_DigestIsOfWhatIsReadBack(uint256 count, uint256 stakes) external {
        deploy();
        numOperators = 0;
        count = bound(count, 1, 12);
        bytes memory members;
        uint128 total = 1e20;
        for (uint256 i = 0; i < count; ++i) {
            // The last one has enough for all; of the others every third has none.
            uint256 word = uint256(keccak256(abi.encode(stakes, i)));
            uint128 stake = i == count - 1 ? 1e20 : uint128(word >> (160 + (word % 80)));
            if (word % 3 == 0 && i != count - 1) stake = 0;
            addOperator(stake);
            if (stake == 0) continue;
            if (i != count - 1) total += stake;
            bytes memory key = _packed(key1Of(secret(i)));
            members = bytes.concat(members, abi.encodePacked(operatorAt(i), key, stake));
        }
        snapshot();
        bytes memory table = epochs.tableOf(1);
        (, bytes32 digest,) = epochs.tableAt(1);
        assertEq(keccak256(table), digest, "digest");
        assertEq(table.length, 162 + members.length, "length");
        bytes memory tail = new bytes(members.length);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = table[162 + i];
        }
        assertEqBytes(tail, members, "members");
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(1);
        assertEq(header.totalStake, total, "total");
    }

    function test_Snapshot_RefusesBeforeTheFirstRoster() external {
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.RosterStale.selector, 0, 3));
        epochs.snapshot();
    }

    function test_Snapshot_RefusesAStaleRoster() external {
        buildRoster();
        addOperator(1 ether);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.RosterStale.selector, 3, 4));
        epochs.snapshot();
        assertEq(snapshot(), 1, "of the present set");
    }

    function test_Snapshot_RefusesAMemberThatLeftSinceTheRoster() external {
        buildRoster();
        operatorSet.quit(operatorAt(1));
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.RosterStale.selector, 3, 4));
        epochs.snapshot();
        snapshot();
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(1);
        assertEq(header.totalStake, 5 ether, "without its stake");
        uint256 sum = addmod(secret(0), secret(2), Bn254.R);
        assertEqBytes(abi.encode(header.aggregateKey), _packed(key1Of(sum)), "without its key");
    }

    function test_Snapshot_ARemovedOperatorsKeyNeverCounts() external {
        snapshot();
        operatorSet.quit(operatorAt(2));
        operatorSet.addStake(operatorAt(0), 1 ether);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 epoch = snapshot();
        // All three sign for the new epoch, as they did for the old one.
        bytes32 message = registry.attestMessage(epoch, ROOT, 1);
        IProofRegistry.Certificate memory c = signedCertificate(epoch, ROOT, 1, 0, message);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.CertificateInvalid.selector, message));
        registry.attest(c);
        c.nonSigners = 4;
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.NonSignerUnknown.selector, 4, 2));
        registry.attest(c);
        // Those two are the whole table.
        c = signedCertificate(epoch, ROOT, 1, 4, message);
        c.nonSigners = 0;
        registry.attest(c);
        assertEq(registry.statusOf(ROOT, 1).epoch, epoch, "the others suffice");
    }

    function test_Snapshot_ARekeyedOperatorsOldKeyNeverCounts() external {
        buildRoster();
        registerKey(operatorAt(2), 12_345);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.RosterStale.selector, 3, 4));
        epochs.snapshot();
        snapshot();
        (, G1Point memory key1,) = epochs.memberAt(1, 2);
        assertEqBytes(abi.encode(key1), _packed(key1Of(12_345)), "the new key");
    }

    function test_Snapshot_CountsStakeThatMovesInItsBlockOnlyIfItStaysLongEnough() external {
        // Ordered out in the block of the snapshot, before it: at risk longer than the look-ahead.
        operatorSet.deallocate(operatorAt(2), 4 ether);
        uint256 leavesAt = block.number + DEALLOCATION_DELAY_BLOCKS;
        snapshot();
        (,, uint128 stake) = epochs.memberAt(1, 2);
        assertEq(stake, 4 ether, "at risk throughout");
        assertTrue(epochs.slashableUntil(1) < leavesAt, "until after the look-ahead");
        // The last block from which the look-ahead does not reach the stake's end, and the next.
        vm.warp(block.timestamp + MIN_EPOCH);
        vm.roll(leavesAt - LOOKAHEAD_BLOCKS - 1);
        snapshot();
        (,, stake) = epochs.memberAt(2, 2);
        assertEq(stake, 4 ether, "the last block");
        assertEq(epochs.slashableUntil(2), leavesAt - 1, "one block before it leaves");
        vm.warp(block.timestamp + MIN_EPOCH);
        vm.roll(block.number + 1);
        operatorSet.addStake(operatorAt(0), 1 ether);
        snapshot();
        (EpochTableBytes.Header memory header,) = epochs.epochInfo(3);
        assertEq(header.numMembers, 2, "not in the next");
        assertEq(header.totalStake, 4 ether, "what arrived in this block counts");
    }

    function test_Snapshot_RefusesTooFewAnswers() external {
        buildRoster();
        operatorSet.setAnswersMissing(1);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.StakesIncomplete.selector, 3, 2));
        epochs.snapshot();
    }

    function test_Snapshot_RefusesTooLittleStake() external {
        operatorSet.slash(operatorAt(2), 4 ether);
        buildRoster();
        vm.expectRevert(
            abi.encodeWithSelector(IEpochTable.TotalStakeTooSmall.selector, 3 ether, 4 ether)
        );
        epochs.snapshot();
    }

    function test_Snapshot_RefusesTooFewMembers() external {
        for (uint256 i = 0; i < 3; ++i) {
            operatorSet.slash(operatorAt(i), uint128(1 ether << i));
        }
        buildRoster();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.TooFewMembers.selector, 0, 1));
        epochs.snapshot();
    }

    function test_Snapshot_RefusesAYoungEpoch() external {
        snapshot();
        uint256 next = block.timestamp + MIN_EPOCH;
        vm.warp(next - 1);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochTooYoung.selector, 1, next));
        epochs.snapshot();
        vm.warp(next);
        assertEq(epochs.snapshot(), 2, "second epoch");
        assertEq(epochs.currentEpoch(), 2, "current");
    }

    function test_Snapshot_RefusesKeysThatCancelOut() external {
        deploy();
        numOperators = 3;
        uint256[3] memory keys = [5, Bn254.R - 5, uint256(7)];
        for (uint256 i = 0; i < 3; ++i) {
            if (i < 2) bondFor(operatorAt(i), 3 ether);
            registerKey(operatorAt(i), keys[i]);
        }
        // The third has no stake; what remains is the identity, under which anything is signed.
        buildRoster();
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.snapshot();
    }

    function test_Snapshot_TakesTwoHundredOperators() external {
        deploy();
        numOperators = 0;
        addOperators(200, 1 ether);
        assertEq(snapshot(), 1, "number");
        bytes memory table = epochs.tableOf(1);
        assertEq(table.length, 162 + 200 * 100, "length");
        (, bytes32 digest,) = epochs.tableAt(1);
        assertEq(keccak256(table), digest, "digest");
        (address last,,) = epochs.memberAt(1, 199);
        assertEq(last, operatorAt(199), "last member");
        registry.attest(certificate(1, ROOT, 1, 0));
        addOperator(1 ether);
        address[] memory list = operatorList();
        G2Point memory key2 = aggregateKey2(list);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.OperatorSetTooLarge.selector, 201, 200));
        epochs.buildRoster(list, key2);
    }

    // buildRoster

    function test_BuildRoster_StoresTheSet() external {
        address[] memory list = operatorList();
        G2Point memory key2 = aggregateKey2(list);
        address pointer = epochs.buildRoster(list, key2);
        (address current, uint64 version) = epochs.currentRoster();
        assertEq(current, pointer, "current");
        assertEq(version, operatorSet.version(), "version");
        bytes memory expected = abi.encodePacked(hex"00", _packed(key1Of(_sumOfSecrets(3))));
        expected = bytes.concat(expected, abi.encode(key2));
        for (uint256 i = 0; i < 3; ++i) {
            expected =
                bytes.concat(expected, abi.encodePacked(operatorAt(i), _packed(key1Of(secret(i)))));
        }
        assertEqBytes(pointer.code, expected, "code");
    }

    function test_OriginOf_SaysWhenAndFromWhichRoster() external {
        addOperators(4, 1 ether);
        uint64 epoch = snapshot();
        (address first,) = epochs.currentRoster();
        (uint64 createdAt, address roster) = epochs.originOf(epoch);
        assertEq(createdAt, block.timestamp, "created");
        assertEq(roster, first, "roster");
        addOperators(1, 1 ether);
        epochs.buildRoster(operatorList(), aggregateKey2(operatorList()));
        (address second,) = epochs.currentRoster();
        (, roster) = epochs.originOf(epoch);
        assertTrue(roster == first && second != first, "of the former set");
    }

    function test_BuildRoster_AgainIsANoOp() external {
        address pointer = buildRoster();
        G2Point memory none;
        // Whoever calls it all the time pays for it all the time, and stores nothing.
        assertEq(epochs.buildRoster(new address[](0), none), pointer, "nothing is checked");
        assertEq(vm.getNonce(address(epochs)), 2, "one data contract");
        operatorSet.quit(operatorAt(0));
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.OperatorListIncomplete.selector, 2, 0));
        epochs.buildRoster(new address[](0), none);
        assertTrue(buildRoster() != pointer, "another version is another roster");
        assertEq(vm.getNonce(address(epochs)), 3, "one data contract each");
    }

    function test_BuildRoster_RefusesAnIncompleteSet() external {
        address[] memory list = new address[](2);
        (list[0], list[1]) = (operatorAt(0), operatorAt(1));
        _refuseRoster(
            list, abi.encodeWithSelector(IEpochTable.OperatorListIncomplete.selector, 3, 2)
        );
    }

    function test_BuildRoster_RefusesMoreThanTheSet() external {
        address[] memory list = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            list[i] = operatorAt(i);
        }
        _refuseRoster(
            list, abi.encodeWithSelector(IEpochTable.OperatorListIncomplete.selector, 3, 4)
        );
    }

    function test_BuildRoster_RefusesAStrangerInTheSet() external {
        address[] memory list = operatorList();
        list[2] = operatorAt(9);
        _refuseRoster(list, abi.encodeWithSelector(OperatorSet.NotInSet.selector, operatorAt(9)));
    }

    function test_BuildRoster_RefusesWhoLeft() external {
        operatorSet.quit(operatorAt(1));
        address[] memory list = new address[](2);
        (list[0], list[1]) = (operatorAt(0), operatorAt(1));
        _refuseRoster(list, abi.encodeWithSelector(OperatorSet.NotInSet.selector, operatorAt(1)));
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_BuildRoster_RefusesAnyOtherOrder(uint256 a, uint256 b, uint256 c) external {
        address[] memory list = new address[](3);
        uint256[3] memory order = [bound(a, 0, 2), bound(b, 0, 2), bound(c, 0, 2)];
        vm.assume(!(order[0] == 0 && order[1] == 1 && order[2] == 2));
        for (uint256 i = 0; i < 3; ++i) {
            list[i] = operatorAt(order[i]);
        }
        G2Point memory key2 = aggregateKey2(operatorList());
        vm.expectPartialRevert(IEpochTable.OperatorsNotAscending.selector);
        epochs.buildRoster(list, key2);
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_BuildRoster_RefusesAnotherAggregateKey(uint256 scalar) external {
        // The sum in G2 is the key under which everybody signs: whoever could choose it could sign
        // alone.
        scalar = bound(scalar, 1, Bn254.R - 1);
        vm.assume(scalar != _sumOfSecrets(3));
        address[] memory list = operatorList();
        G2Point memory key2 = G2.key(scalar);
        vm.expectRevert(IEpochTable.AggregateKeyMismatch.selector);
        epochs.buildRoster(list, key2);
    }

    function test_BuildRoster_RefusesPointsThatAreNoKey() external {
        address[] memory list = operatorList();
        G2Point memory good = aggregateKey2(list);
        G2Point memory none;
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.buildRoster(list, none);
        G2Point memory unreduced = G2Point(good.x1 + Bn254.P, good.x0, good.y1, good.y0);
        vm.expectRevert(abi.encodeWithSelector(Bn254.CoordinateNotReduced.selector, unreduced.x1));
        epochs.buildRoster(list, unreduced);
        G2Point memory offCurve = G2Point(good.x1, good.x0, good.y1, addmod(good.y0, 1, Bn254.P));
        vm.expectRevert(IEpochTable.AggregateKeyMismatch.selector);
        epochs.buildRoster{gas: 5_000_000}(list, offCurve);
        // On the curve, but with a part outside the subgroup of order r.
        G2Point memory outside = G2Point({
            x1: 0,
            x0: 1,
            y1: 5912654199736721486680175016176231956195085055698687135131307249486702594212,
            y0: 18278151005453108793778860132295291098363647455926340152056652516292830556603
        });
        vm.expectRevert(IEpochTable.AggregateKeyMismatch.selector);
        epochs.buildRoster{gas: 5_000_000}(list, outside);
        epochs.buildRoster(list, good);
    }

    function test_BuildRoster_RefusesKeysThatCancelOut() external {
        deploy();
        numOperators = 2;
        for (uint256 i = 0; i < 2; ++i) {
            bondFor(operatorAt(i), 3 ether);
            registerKey(operatorAt(i), i == 0 ? 5 : Bn254.R - 5);
        }
        address[] memory list = operatorList();
        G2Point memory key2 = G2.key(1);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.buildRoster(list, key2);
    }

    function test_BuildRoster_RefusesAMemberWithoutAKey() external {
        // Its weight would count and it need not sign.
        address keyless = operatorAt(3);
        operatorSet.join(keyless, G1Point(0, 0), G2.key(1));
        numOperators = 4;
        address[] memory list = operatorList();
        G2Point memory key2 = aggregateKey2(list);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.buildRoster(list, key2);
    }

    function test_BuildRoster_RefusesTheEmptySet() external {
        deploy();
        G2Point memory key2 = G2.key(1);
        vm.expectRevert(Bn254.PointIsIdentity.selector);
        epochs.buildRoster(new address[](0), key2);
    }

    function test_BuildRoster_DoesNotTouchEarlierEpochs() external {
        snapshot();
        bytes memory table = epochs.tableOf(1);
        operatorSet.quit(operatorAt(0));
        registerKey(operatorAt(1), 99);
        buildRoster();
        assertEqBytes(epochs.tableOf(1), table, "frozen");
        registry.attest(certificate(1, ROOT, 1, 0));
    }

    // usability

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

    function test_Usable_EndsWhereTheLookaheadCannotPunish() external {
        snapshot();
        uint256 covered = block.number + LOOKAHEAD_BLOCKS;
        assertEq(epochs.slashableUntil(1), covered, "covered");
        // Challenge 60, veto 0, slack 60 seconds, a block every 12.
        uint256 last = covered - 10;
        assertEq(epochs.usableUntilBlock(1), last, "last block");
        IProofRegistry.Certificate memory c = certificate(1, ROOT, 1, 0);
        vm.roll(last + 1);
        assertTrue(!epochs.isUsable(1), "over");
        vm.expectRevert(
            abi.encodeWithSelector(IEpochTable.EpochNotCovered.selector, 1, last + 1, last)
        );
        registry.attest(c);
        vm.roll(last);
        assertTrue(epochs.isUsable(1), "last block");
        registry.attest(c);
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_Usable_TimeEndsFirstOnAChainAsSlowAsPromised(uint256 age) external {
        snapshot();
        (uint256 start, uint256 first) = (block.timestamp, block.number);
        age = bound(age, 0, epochs.usableUntil(1) - start);
        vm.warp(start + age);
        vm.roll(first + age / BLOCK_SECONDS);
        assertTrue(epochs.isUsable(1), "the block never ends it earlier");
        // And what follows a signature fits, even in the last second.
        uint256 later = start + age + CHALLENGE + 60;
        assertTrue(first + (later - start) / BLOCK_SECONDS <= epochs.slashableUntil(1), "it fits");
    }

    function test_MemberAt_RefusesPlacesOfNobody() external {
        snapshot();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.MemberUnknown.selector, 1, 3, 3));
        epochs.memberAt(1, 3);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, 2));
        epochs.memberAt(2, 0);
    }

    // exclude, setCourt

    function _assertExcluded(uint256 expected) private view {
        (,, uint256 usable) = epochs.requireUsable(1);
        assertEq(usable, expected, "of a usable epoch");
        (,, uint256 any) = epochs.tableAt(1);
        assertEq(any, expected, "of any epoch");
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

    function test_Exclude_AgainIsANoOp() external {
        snapshot();
        vm.prank(OWNER);
        epochs.exclude(1, 5);
        vm.recordLogs();
        vm.prank(OWNER);
        epochs.exclude(1, 4);
        assertEq(vm.getRecordedLogs().length, 0, "nothing happened");
        (,, uint256 excluded) = epochs.requireUsable(1);
        assertEq(excluded, 5, "mask");
    }

    /// @dev One member is kept in the epoch's own slot, several are not: both read the same.
    function testFuzz_Exclude_KeepsTheUnion(uint256 first, uint256 second) external {
        snapshot();
        (first, second) = (bound(first, 1, 7), bound(second, 1, 7));
        vm.prank(OWNER);
        epochs.exclude(1, first);
        _assertExcluded(first);
        vm.prank(OWNER);
        epochs.exclude(1, second);
        _assertExcluded(first | second);
        vm.warp(block.timestamp + MIN_EPOCH);
        epochs.snapshot();
        _assertExcluded(first | second);
        (,, uint256 excluded) = epochs.requireUsable(2);
        assertEq(excluded, 0, "the next epoch excludes nobody");
    }

    function test_Exclude_ByTheCourt() external {
        snapshot();
        vm.prank(OWNER);
        epochs.setCourt(COURT);
        vm.prank(COURT);
        epochs.exclude(1, 4);
        (,, uint256 excluded) = epochs.tableAt(1);
        assertEq(excluded, 4, "mask");
        // The one excluded signs; then it does not.
        IProofRegistry.Certificate memory c = certificate(1, ROOT, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ExcludedSigner.selector, 4));
        registry.attest(c);
    }

    function test_Exclude_RefusesBitsOfNobody() external {
        snapshot();
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NoSuchMember.selector, 8, 3));
        vm.prank(OWNER);
        epochs.exclude(1, 8);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NoSuchMember.selector, 0, 3));
        vm.prank(OWNER);
        epochs.exclude(1, 0);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, 2));
        vm.prank(OWNER);
        epochs.exclude(2, 1);
    }

    function test_Exclude_RefusesOthersThanOwnerAndCourt() external {
        snapshot();
        bytes memory refusal =
            abi.encodeWithSelector(IEpochTable.NotOwnerOrCourt.selector, address(this));
        vm.expectRevert(refusal);
        epochs.exclude(1, 1);
        vm.prank(OWNER);
        epochs.setCourt(COURT);
        vm.expectRevert(refusal);
        epochs.exclude(1, 1);
        // No court is not everybody's court.
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NotOwnerOrCourt.selector, address(0)));
        vm.prank(address(0));
        epochs.exclude(1, 1);
    }

    function test_ExcludeEjected_TheKeyCountsNoMore() external {
        snapshot();
        (address operator,,) = epochs.memberAt(1, 2);
        vm.warp(block.timestamp + 1);
        operatorSet.setEjectedAt(operator, block.timestamp);
        operatorSet.quit(operator);
        vm.expectEmit(address(epochs));
        emit IEpochTable.OperatorsExcluded(1, 4, 4);
        epochs.excludeEjected(1, 2);
        _assertExcluded(4);
        IProofRegistry.Certificate memory c = certificate(1, ROOT, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofRegistry.ExcludedSigner.selector, 4));
        registry.attest(c);
        vm.recordLogs();
        epochs.excludeEjected(1, 2);
        assertEq(vm.getRecordedLogs().length, 0, "again changes nothing");
    }

    function test_ExcludeEjected_RefusesWhoeverWasNotEjectedSince() external {
        snapshot();
        (address back,,) = epochs.memberAt(1, 0);
        (address left,,) = epochs.memberAt(1, 1);
        operatorSet.setEjectedAt(back, block.timestamp - 1);
        // Ejected before this epoch, and back since.
        vm.expectRevert(
            abi.encodeWithSelector(IEpochTable.NotEjected.selector, back, block.timestamp - 1)
        );
        epochs.excludeEjected(1, 0);
        // Left by itself: its stake stays at risk for what it signs.
        operatorSet.quit(left);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.NotEjected.selector, left, 0));
        epochs.excludeEjected(1, 1);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.MemberUnknown.selector, 1, 3, 3));
        epochs.excludeEjected(1, 3);
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.EpochUnknown.selector, 2));
        epochs.excludeEjected(2, 0);
        _assertExcluded(0);
    }

    function test_SetCourt_OnlyOnceByTheOwner() external {
        vm.expectRevert(
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this))
        );
        epochs.setCourt(COURT);
        vm.expectRevert(IEpochTable.AddressZero.selector);
        vm.prank(OWNER);
        epochs.setCourt(address(0));
        vm.expectEmit(address(epochs));
        emit IEpochTable.CourtSet(COURT);
        vm.prank(OWNER);
        epochs.setCourt(COURT);
        assertEq(epochs.court(), COURT, "court");
        vm.expectRevert(abi.encodeWithSelector(IEpochTable.AlreadySet.selector, COURT));
        vm.prank(OWNER);
        epochs.setCourt(address(1));
    }

    // constructor

    function testFuzz_Constructor_RefusesStakeThatLeavesTooSoon(
        uint32 lookahead,
        uint32 deallocation,
        uint32 withdrawal
    ) external {
        IEpochTable.EpochParams memory p = epochParams();
        uint256 needed = MAX_AGE + GRACE + CHALLENGE + 60;
        // Near each other, so that every comparison is decided both ways.
        p.lookaheadBlocks = uint32(bound(lookahead, 620, 650));
        deallocation = uint32(bound(deallocation, 620, 660));
        withdrawal = uint32(bound(withdrawal, 620, 670));
        operatorSet.setDelays(deallocation, withdrawal);
        uint256 covered = uint256(p.lookaheadBlocks) * BLOCK_SECONDS;
        bool sound =
            covered >= needed && p.lookaheadBlocks < deallocation && deallocation <= withdrawal;
        if (!sound) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IEpochTable.LookaheadViolated.selector,
                    needed,
                    covered,
                    p.lookaheadBlocks,
                    deallocation,
                    withdrawal
                )
            );
        }
        new EpochTable(operatorSet, operatorSet, p, OWNER);
    }

    function test_Constructor_RefusesGraceOverSeveralEpochs() external {
        IEpochTable.EpochParams memory p = epochParams();
        p.graceSeconds = p.minEpochSeconds;
        _refuseParams(p);
    }

    function test_Constructor_RefusesZeroBounds() external {
        IEpochTable.EpochParams memory p = epochParams();
        p.blockSeconds = 0;
        _refuseParams(p);
        p = epochParams();
        p.minTotalStake = 0;
        _refuseParams(p);
        p = epochParams();
        p.minMembers = 0;
        _refuseParams(p);
        p.minMembers = 201;
        _refuseParams(p);
    }

    function test_Params_AreThoseOfTheConstructor() external view {
        assertEqBytes(abi.encode(epochs.params()), abi.encode(epochParams()), "params");
    }

    function _refuseParams(IEpochTable.EpochParams memory p) private {
        vm.expectRevert(IEpochTable.EpochParamsInvalid.selector);
        new EpochTable(operatorSet, operatorSet, p, OWNER);
    }

    function _refuseRoster(address[] memory list, bytes memory refusal) private {
        G2Point memory key2 = aggregateKey2(operatorList());
        vm.expectRevert(refusal);
        epochs.buildRoster(list, key2);
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
