// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {MerkleTree} from "../src/libraries/MerkleTree.sol";
import {BatchRoot, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {Network} from "./helpers/Network.sol";

/// @title A contract that wants to know whether a statement is proved
contract Consumer {
    event Used(StatementDigest statement);

    /// @dev Returns what the call cost, with the first access to the registry, and what it cost with
    /// the encoding of the question, as the compiler does it.
    function use(IProofRegistry registry, StatementDigest statement, BatchLeaf calldata leaf)
        external
        returns (bool verified, uint256 callGas, uint256 wholeGas)
    {
        uint256 start = gasleft();
        bytes memory question = abi.encodeCall(IProofRegistry.isVerified, (statement, leaf, true));
        bool ok;
        assembly ("memory-safe") {
            let before := gas()
            ok := staticcall(gas(), registry, add(question, 32), mload(question), 0, 32)
            callGas := sub(before, gas())
            verified := and(ok, eq(mload(0), 1))
        }
        wholeGas = start - gasleft();
        emit Used(statement);
    }
}

/// @title What an attestation costs, as a whole transaction, and what a read of it costs
/// @dev Isolation makes each call a transaction of its own: 21000, calldata and cold reads count.
/// The median is over 64 fixed roots, since the tries of the map to the curve differ by root.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract AttestGasTest is Network {
    uint256 private constant BATCH = 64;
    uint256 private constant BASE_GAS_MAX = 190_000;
    /// @dev The first non-signer makes the signers' key one that the caller has to bring and that has
    /// to be bound: two multiplications, and the roster is read.
    uint256 private constant FIRST_NON_SIGNER_GAS_MAX = 22_000;
    uint256 private constant NON_SIGNER_GAS_MAX = 1100;
    uint256 private constant PROOF_GAS_MAX = 5000;
    /// @dev Of the call itself. A transaction that touches the registry for the first time pays
    /// `COLD_ACCOUNT_GAS` once, for however many reads.
    uint256 private constant READ_GAS_MAX = 8000;
    uint256 private constant COLD_ACCOUNT_GAS = 2600;

    uint256 private _roots = 64;

    function setUp() external {
        deploy();
    }

    function test_FourOperators() external {
        addOperators(4, 1 ether);
        snapshot();
        uint256 base = _median(4, 0);
        assertTrue(base <= BASE_GAS_MAX, "all sign");
        assertTrue(_median(4, 1) <= base + FIRST_NON_SIGNER_GAS_MAX, "one does not");
    }

    function test_SixtyFourOperators() external {
        addOperators(64, 1 ether);
        snapshot();
        uint256 base = _median(64, 0);
        assertTrue(base <= BASE_GAS_MAX, "all sign");
        // Nothing but the attestation is paid per batch: a batch needs not be created.
        assertTrue(base / BATCH <= PROOF_GAS_MAX, "per proof of a batch");
        uint256 first = _median(64, 1);
        assertTrue(first <= base + FIRST_NON_SIGNER_GAS_MAX, "the first that does not sign");
        uint256 third = _median(64, 21);
        assertTrue(third <= first + 20 * NON_SIGNER_GAS_MAX, "each further one");
        log("64: per further non-signer, per proof", (third - first) / 20, base / BATCH);
    }

    function test_TwoHundredOperators() external {
        // Signing for so many takes more gas than a test has for all roots.
        _roots = 8;
        addOperators(200, 1 ether);
        snapshot();
        uint256 base = _median(200, 0);
        assertTrue(base <= BASE_GAS_MAX, "all sign");
        uint256 first = _median(200, 1);
        assertTrue(_median(200, 66) <= first + 65 * NON_SIGNER_GAS_MAX, "each further one");
    }

    function test_ReadOfOneProof() external {
        addOperators(4, 1 ether);
        uint64 epoch = snapshot();
        bytes32[] memory leaves = new bytes32[](BATCH);
        for (uint256 i = 0; i < BATCH; ++i) {
            leaves[i] = Digests.batchLeaf(_statement(i), 1);
        }
        BatchRoot root = BatchRoot.wrap(MerkleTree.rootOf(leaves));
        registry.attest(certificate(epoch, root, uint32(BATCH), 0));
        vm.warp(block.timestamp + CHALLENGE);
        uint256 index = 37;
        BatchLeaf memory leaf = BatchLeaf(root, uint32(BATCH), uint32(index), _path(leaves, index));
        (bool verified, uint256 callGas, uint256 wholeGas) =
            new Consumer().use(registry, _statement(index), leaf);
        assertTrue(verified, "verified");
        log("read of one of 64 proofs: call, with encoding", callGas, wholeGas);
        assertTrue(callGas - COLD_ACCOUNT_GAS <= READ_GAS_MAX, "read");
    }

    /// @dev The same roots for any number of non-signers, so that the map to the curve costs the same.
    function _median(uint256 count, uint256 missing) private returns (uint256 median) {
        uint64 epoch = epochs.currentEpoch();
        // The last members, so that the search for bits pays its full way.
        uint256 nonSigners = ((1 << missing) - 1) << (count - missing);
        uint256[] memory gasUsed = new uint256[](_roots);
        uint256 state = vm.snapshotState();
        for (uint256 i = 0; i < _roots; ++i) {
            BatchRoot root = BatchRoot.wrap(keccak256(abi.encode("batch", i)));
            IProofRegistry.Certificate memory c = certificate(epoch, root, 16, nonSigners);
            registry.attest(c);
            gasUsed[i] = vm.lastCallGas().gasTotalUsed;
        }
        vm.revertToState(state);
        _sort(gasUsed);
        median = (gasUsed[_roots / 2 - 1] + gasUsed[_roots / 2]) / 2;
        log(
            string.concat(vm.toString(count), "/", vm.toString(missing), " median, worst"),
            median,
            gasUsed[_roots - 1]
        );
    }

    function _statement(uint256 index) private pure returns (StatementDigest) {
        return StatementDigest.wrap(keccak256(abi.encode("statement", index)));
    }

    /// @dev The siblings of a leaf of a full tree.
    function _path(bytes32[] memory leaves, uint256 index)
        private
        pure
        returns (bytes32[] memory path)
    {
        path = new bytes32[](MerkleTree.depthOf(leaves.length));
        for (uint256 level = 0; level < path.length; ++level) {
            path[level] = leaves[index ^ 1];
            bytes32[] memory upper = new bytes32[](leaves.length / 2);
            for (uint256 i = 0; i < upper.length; ++i) {
                upper[i] = MerkleTree.node(leaves[2 * i], leaves[2 * i + 1]);
            }
            (leaves, index) = (upper, index / 2);
        }
    }

    function _sort(uint256[] memory values) private pure {
        for (uint256 i = 1; i < values.length; ++i) {
            for (uint256 j = i; j > 0 && values[j - 1] > values[j]; --j) {
                (values[j - 1], values[j]) = (values[j], values[j - 1]);
            }
        }
    }
}
