// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ProofRegistry} from "../src/ProofRegistry.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {G2Point} from "../src/libraries/Bn254.sol";
import {BatchRoot, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {TableParts} from "./helpers/TableParts.sol";
import {VectorFile} from "./helpers/VectorFile.sol";

/// @title Serves one table whatever its address and number
/// @dev The vectors' tables name an `EpochTable` that no test can deploy; only its lookup is
/// replaced. What it stores is made from the table's bytes, as a snapshot would have.
contract FrozenTable {
    uint64 private immutable _challengeSeconds;
    address private _pointer;
    bytes32 private _digest;

    // forge takes a contract without constructor arguments and with a function `table...` for a
    // test.
    constructor(uint64 challengeSeconds) {
        _challengeSeconds = challengeSeconds;
    }

    /// @dev `key2` is the sum of all keys in G2, or zero if it is not known.
    function freeze(bytes calldata table, G2Point calldata key2) external {
        _pointer = TableParts.store(table, key2);
        _digest = keccak256(table);
    }

    function params() external view returns (IEpochTable.EpochParams memory p) {
        p.challengeSeconds = _challengeSeconds;
    }

    function requireUsable(uint64) external view returns (address, bytes32, uint256) {
        return (_pointer, _digest, 0);
    }

    function tableAt(uint64) external view returns (address, bytes32, uint256) {
        return (_pointer, _digest, 0);
    }
}

/// @title The registry accepts the certificates of the Rust core, and nothing near them
contract CertificateVectorsTest is VectorFile {
    /// @dev Enough for any check; a pairing that fails burns all that it is given.
    uint256 private constant CALL_GAS = 1_000_000;

    FrozenTable private _table;
    ProofRegistry private _registry;

    function setUp() external {
        open("certificate.json");
        _table = new FrozenTable(60);
        string memory first = ".certificates[0]";
        address target = addressAt(string.concat(first, ".targetContract"));
        ProofRegistry deployed = new ProofRegistry(IEpochTable(address(_table)), address(this));
        vm.etch(target, address(deployed).code);
        vm.chainId(uintAt(string.concat(first, ".targetChain")));
        vm.warp(1_800_000_000);
        _registry = ProofRegistry(target);
    }

    function test_CertificatesAreAccepted() external {
        for (uint256 i = 0; i < lengthOf(".certificates"); ++i) {
            _accept(i, false);
            // A table of the whole roster knows the sum of all keys in G2.
            if (_load(i, false).nonSigners == 0) _accept(i, true);
        }
    }

    function test_ChangedCertificatesAreRefused() external {
        uint256 tried = 0;
        for (uint256 i = 0; i < lengthOf(".certificates"); ++i) {
            bool everybodySigned = _load(i, false).nonSigners == 0;
            for (uint256 field = 0; field < 6; ++field) {
                _refuse(_changed(_load(i, false), field));
                if (!everybodySigned) continue;
                IProofRegistry.Certificate memory c = _changed(_load(i, true), field);
                // The caller's key in G2 does not matter where the sum is known.
                uint256 state = vm.snapshotState();
                if (field == 5) _registry.attest(c);
                else _refuse(c);
                vm.revertToState(state);
                ++tried;
            }
        }
        assertTrue(tried > 0, "no certificate that everybody signed");
    }

    function _changed(IProofRegistry.Certificate memory c, uint256 field)
        private
        pure
        returns (IProofRegistry.Certificate memory)
    {
        if (field == 0) c.epoch += 1;
        if (field == 1) c.root = BatchRoot.wrap(~BatchRoot.unwrap(c.root));
        if (field == 2) c.count += 1;
        if (field == 3) c.nonSigners ^= 2;
        if (field == 4) c.signature.y ^= 1;
        if (field == 5) c.signersKey2.x0 ^= 1;
        return c;
    }

    function _refuse(IProofRegistry.Certificate memory c) private {
        try _registry.attest{gas: CALL_GAS}(c) {
            revert NotTrue("a changed certificate was accepted");
        } catch {}
    }

    function _accept(uint256 i, bool isSumKnown) private {
        uint256 state = vm.snapshotState();
        IProofRegistry.Certificate memory c = _load(i, isSumKnown);
        assertEq(
            _registry.attestMessage(c.epoch, c.root, c.count),
            wordAt(item(".certificates", i, ".digest")),
            "message"
        );
        _registry.attest(c);
        uint256 nonSigners = _registry.statusOf(c.root, c.count).nonSigners;
        assertEq(nonSigners, c.nonSigners, "attested");
        _checkLeaves(i);
        vm.revertToState(state);
    }

    function _checkLeaves(uint256 certificate) private view {
        uint256 found = 0;
        for (uint256 i = 0; i < lengthOf(".settles"); ++i) {
            string memory key = item(".settles", i, "");
            if (uintAt(string.concat(key, ".certificate")) != certificate) continue;
            ++found;
            BatchLeaf memory leaf = BatchLeaf({
                root: BatchRoot.wrap(wordAt(string.concat(key, ".root"))),
                count: uint32(uintAt(string.concat(key, ".count"))),
                index: uint32(uintAt(string.concat(key, ".leafIndex"))),
                path: wordsAt(string.concat(key, ".path"))
            });
            StatementDigest statement =
                StatementDigest.wrap(wordAt(string.concat(key, ".statementDigest")));
            uint8 verdict = uint8(uintAt(string.concat(key, ".verdict")));
            assertTrue(
                _registry.leafFinality(statement, verdict, leaf) == IProofRegistry.Finality.Soft,
                "leaf"
            );
            assertTrue(_registry.isVerified(statement, leaf, false) == (verdict == 1), "verdict");
        }
        assertTrue(found > 0, "no leaves for a certificate");
    }

    function _load(uint256 index, bool isSumKnown)
        private
        returns (IProofRegistry.Certificate memory c)
    {
        string memory key = item(".certificates", index, "");
        c.epoch = uint64(uintAt(string.concat(key, ".epoch")));
        c.root = BatchRoot.wrap(wordAt(string.concat(key, ".root")));
        c.count = uint32(uintAt(string.concat(key, ".count")));
        uint256[] memory indices = vm.parseJsonUintArray(json, string.concat(key, ".nonSigners"));
        for (uint256 i = 0; i < indices.length; ++i) {
            c.nonSigners |= uint256(1) << indices[i];
        }
        c.signersKey2 = g2At(string.concat(key, ".apkG2"));
        G2Point memory unknown;
        _table.freeze(bytesAt(string.concat(key, ".table")), isSumKnown ? c.signersKey2 : unknown);
        c.signature = g1At(string.concat(key, ".signature"));
    }
}
