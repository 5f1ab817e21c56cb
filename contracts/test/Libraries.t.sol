// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SpecHarness} from "../src/dev/SpecHarness.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {DataContract} from "../src/libraries/DataContract.sol";
import {MerkleTree} from "../src/libraries/MerkleTree.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {StoredEpoch} from "../src/libraries/StoredEpoch.sol";
import {StoredRoster} from "../src/libraries/StoredRoster.sol";
import {G2} from "./helpers/G2.sol";
import {TestBase} from "./helpers/TestBase.sol";

/// @title Properties of the libraries (test/tree/Libraries.tree)
contract LibrariesTest is TestBase {
    SpecHarness private _spec;

    function setUp() external {
        _spec = new SpecHarness();
    }

    function testFuzz_Quorum_IsExactlyTwoThirds(uint128 signed, uint128 total) external pure {
        bool expected = signed > 0 && total > 0 && uint256(signed) * 3 >= uint256(total) * 2;
        assertTrue(Quorum.isReached(signed, total) == expected, "two thirds");
    }

    function testFuzz_Quorum_HoldsAtItsBorder(uint128 third) external pure {
        third = uint128(bound(third, 1, type(uint128).max / 3));
        assertTrue(Quorum.isReached(2 * third, 3 * third), "exactly two thirds");
        assertTrue(!Quorum.isReached(2 * third - 1, 3 * third), "one unit less");
    }

    function testFuzz_Merkle_EveryLeafHasItsPath(uint256 count, uint256 index, bytes32 seed)
        external
        view
    {
        count = bound(count, 1, 70);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count, seed);
        bytes32[] memory path = _path(leaves, index);
        bytes32 root = MerkleTree.rootOf(leaves);
        assertEq(_spec.merkleRootFromPath(leaves[index], index, count, path), root, "path");
        bytes32 other = keccak256(abi.encode(leaves[index]));
        assertTrue(_spec.merkleRootFromPath(other, index, count, path) != root, "another leaf fits");
    }

    function testFuzz_Merkle_RefusesOtherLengths(uint256 count, uint256 length) external {
        count = bound(count, 1, MerkleTree.LEAVES_MAX);
        length = bound(length, 0, 20);
        uint256 depth = MerkleTree.depthOf(count);
        vm.assume(length != depth);
        vm.expectRevert(abi.encodeWithSelector(MerkleTree.PathLengthWrong.selector, depth, length));
        _spec.merkleRootFromPath(bytes32(0), 0, count, new bytes32[](length));
    }

    function test_Merkle_DepthIsTheCeilingOfTheLogarithm() external pure {
        uint256[7] memory counts = [uint256(1), 2, 3, 4, 5, 65_535, 65_536];
        uint256[7] memory depths = [uint256(0), 1, 2, 2, 3, 16, 16];
        for (uint256 i = 0; i < 7; ++i) {
            assertEq(MerkleTree.depthOf(counts[i]), depths[i], "depth");
        }
    }

    function testFuzz_Bn254_HashesToTheCurve(bytes32 message) external view {
        Bn254.requireG1(Bn254.hashToG1(message));
    }

    function testFuzz_Bn254_RefusesPointsOffTheCurve(uint256 x, uint256 y) external {
        (x, y) = (bound(x, 0, Bn254.P - 1), bound(y, 1, Bn254.P - 1));
        uint256 right = addmod(mulmod(mulmod(x, x, Bn254.P), x, Bn254.P), 3, Bn254.P);
        vm.assume(mulmod(y, y, Bn254.P) != right);
        G2Point memory key2 = G2.key(1);
        vm.expectRevert(abi.encodeWithSelector(Bn254.PointOffCurve.selector, x, y));
        _spec.verifyBls(0, G1Point(x, y), G1Point(1, 2), key2);
    }

    /// forge-config: default.fuzz.runs = 32
    function testFuzz_Bn254_VerifiesExactlyTheSigned(bytes32 message, uint256 scalar)
        external
        view
    {
        scalar = bound(scalar, 1, Bn254.R - 1);
        G1Point memory signature = Bn254.mul(Bn254.hashToG1(message), scalar);
        G1Point memory key1 = Bn254.mul(G1Point(1, 2), scalar);
        G2Point memory key2 = G2.key(scalar);
        assertTrue(Bn254.verify(message, signature, key1, key2), "signed");
        assertTrue(!Bn254.verify(~message, signature, key1, key2), "another message");
        G1Point memory negated = Bn254.negate(signature);
        assertTrue(!Bn254.verify(message, negated, key1, key2), "negated signature");
        negated = Bn254.negate(key1);
        assertTrue(!Bn254.verify(message, signature, negated, key2), "keys that differ");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_Bn254_BindsAKeyInBothGroups(uint256 scalar, uint256 other, bytes32 message)
        external
        view
    {
        scalar = bound(scalar, 1, Bn254.R - 1);
        other = bound(other, 1, Bn254.R - 1);
        vm.assume(scalar != other);
        G1Point memory key1 = Bn254.mul(G1Point(1, 2), scalar);
        G2Point memory key2 = G2.key(scalar);
        assertTrue(Bn254.isSameKey(key1, key2), "one key");
        assertTrue(!Bn254.isSameKey(key1, G2.key(other)), "keys that differ");
        G1Point memory hash = Bn254.hashToG1(message);
        assertTrue(Bn254.verifyBound(message, Bn254.mul(hash, scalar), key2), "signed");
        assertTrue(!Bn254.verifyBound(message, Bn254.mul(hash, other), key2), "another's");
        assertTrue(!Bn254.verifyBound(~message, Bn254.mul(hash, scalar), key2), "another message");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_StoredEpoch_SumsAnyMembers(
        uint256 mask,
        uint256 count,
        uint256 members,
        uint128 stake
    ) external {
        count = bound(count, 1, 200);
        stake = uint128(bound(stake, 1, type(uint128).max / 200)) >> (mask >> 249);
        members |= uint256(1) << (count - 1);
        (address pointer, uint256 numMembers) = _store(count, members, stake);
        mask &= (uint256(1) << numMembers) - 1;
        StoredEpoch.Quorum memory quorum = StoredEpoch.readQuorum(pointer);
        (G1Point memory sum, uint256 total) = StoredEpoch.sumOf(pointer, quorum, mask);
        (uint256 scalar, uint256 expected, uint256 member) = (0, 0, 0);
        for (uint256 i = 0; i < count; ++i) {
            if ((members >> i) & 1 == 0) continue;
            if ((mask >> member++) & 1 == 1) {
                (scalar, expected) = (scalar + i + 1, expected + stake + i);
            }
        }
        G1Point memory point = Bn254.mul(G1Point(1, 2), scalar);
        assertEqBytes(abi.encode(sum), abi.encode(point), "sum of keys");
        assertEq(total, expected, "sum of stakes");
    }

    function testFuzz_StoredEpoch_NeedsNoMoreBytesThanTheStake(uint128 stake) external pure {
        uint256 width = StoredEpoch.widthOf(stake);
        assertTrue(width <= 16 && uint256(stake) >> (8 * width) == 0, "it fits");
        assertTrue(width == 0 || uint256(stake) >> (8 * (width - 1)) != 0, "and is no wider");
    }

    function test_DataContract_RefusesMoreThanAContractHolds() external {
        bytes memory data = new bytes(DataContract.BYTES_MAX);
        data[DataContract.BYTES_MAX - 1] = 0x07;
        assertEqBytes(DataContract.read(DataContract.store(data)), data, "the most");
        vm.expectRevert(abi.encodeWithSelector(DataContract.DataNotStored.selector, 24_576));
        this.storeZeros(24_576);
    }

    /// @dev Only for `expectRevert`.
    function storeZeros(uint256 dataBytes) external {
        DataContract.store(new bytes(dataBytes));
    }

    /// @dev Stores a roster of the keys 1, 2, ... and an epoch of those whose bits are set; operator
    /// `i` has the stake `stake + i`.
    function _store(uint256 count, uint256 members, uint128 stake)
        private
        returns (address pointer, uint256 numMembers)
    {
        uint8 stakeBytes = StoredEpoch.widthOf(stake + uint128(count));
        bytes memory roster = StoredRoster.allocate(count);
        bytes memory epoch = StoredEpoch.allocate(count, stakeBytes);
        uint128[] memory stakes = new uint128[](count);
        for (uint256 i = 0; i < count; ++i) {
            G1Point memory key = Bn254.mul(G1Point(1, 2), i + 1);
            StoredRoster.setEntry(roster, i, address(uint160(i + 1)), key);
            if ((members >> i) & 1 == 0) continue;
            stakes[i] = stake + uint128(i);
            ++numMembers;
        }
        StoredEpoch.setMembers(epoch, stakes, stakeBytes);
        StoredEpoch.Header memory header;
        (header.numMembers, header.stakeBytes) = (uint8(numMembers), stakeBytes);
        header.roster = DataContract.store(roster);
        StoredEpoch.finish(epoch, header);
        pointer = DataContract.store(epoch);
    }

    function _leaves(uint256 count, bytes32 seed) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode(seed, i));
        }
    }

    /// @dev The siblings of a leaf, by the definition: the roots of the subtrees beside its way.
    function _path(bytes32[] memory leaves, uint256 index)
        private
        pure
        returns (bytes32[] memory path)
    {
        path = new bytes32[](MerkleTree.depthOf(leaves.length));
        for (uint256 level = 0; level < path.length; ++level) {
            uint256 first = ((index >> level) ^ 1) << level;
            path[level] = _subtree(leaves, first, uint256(1) << level);
        }
    }

    function _subtree(bytes32[] memory leaves, uint256 first, uint256 width)
        private
        pure
        returns (bytes32)
    {
        if (width == 1) return first < leaves.length ? leaves[first] : bytes32(0);
        uint256 half = width / 2;
        return MerkleTree.node(_subtree(leaves, first, half), _subtree(leaves, first + half, half));
    }
}
