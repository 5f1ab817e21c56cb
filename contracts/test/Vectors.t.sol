// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SpecHarness} from "../src/dev/SpecHarness.sol";
import {Bn254, G1Point, G2Point} from "../src/libraries/Bn254.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {EpochTableBytes} from "../src/libraries/EpochTableBytes.sol";
import {StoredEpoch} from "../src/libraries/StoredEpoch.sol";
import {BatchRoot, JobId, ManifestDigest, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {Job, Manifest, SegmentRecord, Statement} from "../src/types/Protocol.sol";
import {G2} from "./helpers/G2.sol";
import {TableParts} from "./helpers/TableParts.sol";
import {VectorFile} from "./helpers/VectorFile.sol";

/// @title The Rust core and these contracts compute the same bytes
/// @dev Reads tests/vectors/, which the core writes and is itself held to.
contract VectorsTest is VectorFile {
    /// @dev Enough for any check; a pairing that fails burns all that it is given.
    uint256 private constant CALL_GAS = 1_000_000;

    SpecHarness private _spec;

    function setUp() external {
        _spec = new SpecHarness();
    }

    // digests.json

    function test_TypeHashesAndTags() external {
        open("digests.json");
        bytes32[7] memory hashes = [
            Digests.MANIFEST_TYPEHASH,
            Digests.PROGRAM_TYPEHASH,
            Digests.JOB_TYPEHASH,
            Digests.TASK_TYPEHASH,
            Digests.SEGMENT_TYPEHASH,
            Digests.STATEMENT_TYPEHASH,
            Digests.CERTIFICATE_TYPEHASH
        ];
        assertEq(lengthOf(".typeHashes"), 7, "type hashes");
        for (uint256 i = 0; i < 7; ++i) {
            assertEq(hashes[i], wordAt(item(".typeHashes", i, ".hash")), "type hash");
        }
        uint256 found = 0;
        for (uint256 i = 0; i < lengthOf(".tags"); ++i) {
            bytes32 tag = wordAt(item(".tags", i, ".tag"));
            if (
                tag == Digests.POP_TAG || tag == Digests.LOGIN_TAG || tag == Digests.VOTE_TAG
                    || tag == Digests.ATTEST_TAG || tag == Digests.EJECT_CANCEL_TAG
            ) ++found;
        }
        assertEq(found, 5, "BLS tags");
    }

    function test_Manifests() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".manifests"); ++i) {
            string memory key = item(".manifests", i, "");
            ManifestDigest digest = _spec.manifestDigest(
                Manifest({
                    nameDigest: _textDigest(key, ".name"),
                    versionDigest: _textDigest(key, ".version"),
                    profile: uint8(_uint(key, ".profile")),
                    hiding: vm.parseJsonBool(json, string.concat(key, ".hiding")),
                    provenBits: uint16(_uint(key, ".provenBits")),
                    conjecturedBits: uint16(_uint(key, ".conjecturedBits")),
                    proofBytesMax: uint64(_uint(key, ".proofBytesMax")),
                    publicValuesBytesMax: uint64(_uint(key, ".publicValuesBytesMax")),
                    verifyMsMax: uint64(_uint(key, ".verifyMsMax")),
                    verifyMemoryBytesMax: uint64(_uint(key, ".verifyMemoryBytesMax"))
                })
            );
            assertEq(ManifestDigest.unwrap(digest), _word(key, ".digest"), "manifest");
        }
    }

    function test_Programs() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".programs"); ++i) {
            string memory key = item(".programs", i, "");
            ProgramId id = _spec.programId(
                _textDigest(key, ".name"), _word(key, ".vkDigest"), _word(key, ".parametersDigest")
            );
            assertEq(ProgramId.unwrap(id), _word(key, ".programId"), "program");
        }
    }

    function test_Jobs() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".jobs"); ++i) {
            string memory key = item(".jobs", i, "");
            JobId id = _spec.jobId(
                Job({
                    origin: uint8(_uint(key, ".origin")),
                    homeChain: uint64(_uint(key, ".homeChain")),
                    targetChain: uint64(_uint(key, ".targetChain")),
                    targetContract: _address(key, ".targetContract"),
                    requester: _address(key, ".requester"),
                    nonce: uint64(_uint(key, ".nonce")),
                    programId: ProgramId.wrap(_word(key, ".programId")),
                    inputDigest: _word(key, ".inputDigest"),
                    claim: _word(key, ".claim"),
                    mode: uint8(_uint(key, ".mode")),
                    deadline: uint64(_uint(key, ".deadline")),
                    feeCap: _uint(key, ".feeCap"),
                    inputBytes: uint64(_uint(key, ".inputBytes")),
                    maxSegments: uint32(_uint(key, ".maxSegments")),
                    maxProofBytes: uint64(_uint(key, ".maxProofBytes")),
                    stream: uint64(_uint(key, ".stream")),
                    sequence: uint64(_uint(key, ".sequence"))
                })
            );
            assertEq(JobId.unwrap(id), _word(key, ".jobId"), "job");
        }
    }

    function test_Tasks() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".tasks"); ++i) {
            string memory key = item(".tasks", i, "");
            bytes32 id = _spec.taskId(
                JobId.wrap(_word(key, ".jobId")),
                uint8(_uint(key, ".kind")),
                uint32(_uint(key, ".index"))
            );
            assertEq(id, _word(key, ".taskId"), "task");
        }
    }

    function test_Segments() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".segments"); ++i) {
            string memory key = item(".segments", i, "");
            bytes32 leaf = _spec.segmentLeaf(
                SegmentRecord({
                    index: uint32(_uint(key, ".index")),
                    first: uint64(_uint(key, ".first")),
                    count: uint64(_uint(key, ".count")),
                    vkDigest: _word(key, ".vkDigest"),
                    publicValuesDigest: _word(key, ".publicValuesDigest"),
                    proofDigest: _word(key, ".proofDigest"),
                    prover: _address(key, ".prover"),
                    workUnits: uint64(_uint(key, ".workUnits"))
                })
            );
            assertEq(leaf, _word(key, ".leaf"), "segment");
        }
        for (uint256 i = 0; i < lengthOf(".segmentsRoots"); ++i) {
            string memory key = item(".segmentsRoots", i, "");
            bytes32 root = _spec.merkleRoot(wordsAt(string.concat(key, ".leaves")));
            assertEq(root, _word(key, ".segmentsRoot"), "segments root");
        }
    }

    function test_StatementsAndLeaves() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".statements"); ++i) {
            string memory key = item(".statements", i, "");
            StatementDigest digest = _spec.statementDigest(
                Statement({
                    job: JobId.wrap(_word(key, ".jobId")),
                    statementAttempt: uint32(_uint(key, ".statementAttempt")),
                    programId: ProgramId.wrap(_word(key, ".programId")),
                    manifest: ManifestDigest.wrap(_word(key, ".manifest")),
                    claim: _word(key, ".claim"),
                    numSegments: uint32(_uint(key, ".numSegments")),
                    segmentsRoot: _word(key, ".segmentsRoot")
                })
            );
            assertEq(StatementDigest.unwrap(digest), _word(key, ".statementDigest"), "statement");
        }
        for (uint256 i = 0; i < lengthOf(".batchLeaves"); ++i) {
            string memory key = item(".batchLeaves", i, "");
            bytes32 leaf = _spec.batchLeaf(
                StatementDigest.wrap(_word(key, ".statementDigest")), uint8(_uint(key, ".verdict"))
            );
            assertEq(leaf, _word(key, ".leaf"), "batch leaf");
        }
    }

    function test_CertificateIds() external {
        open("digests.json");
        for (uint256 i = 0; i < lengthOf(".certificateIds"); ++i) {
            string memory key = item(".certificateIds", i, "");
            bytes32 id = _spec.certificateId(
                uint64(_uint(key, ".targetChain")),
                _address(key, ".targetContract"),
                uint64(_uint(key, ".epoch")),
                _word(key, ".tableDigest"),
                BatchRoot.wrap(_word(key, ".root")),
                uint32(_uint(key, ".count"))
            );
            assertEq(id, _word(key, ".certificateId"), "certificate");
        }
    }

    // merkle.json

    function test_MerkleTreesAndPaths() external {
        open("merkle.json");
        for (uint256 i = 0; i < lengthOf(".trees"); ++i) {
            string memory key = item(".trees", i, "");
            bytes32 root = _spec.merkleRoot(wordsAt(string.concat(key, ".leaves")));
            assertEq(root, _word(key, ".root"), "tree");
        }
        for (uint256 i = 0; i < lengthOf(".paths"); ++i) {
            assertEq(_rootOfPath(".paths", i), wordAt(item(".paths", i, ".root")), "path");
        }
    }

    function test_MerkleRefusals() external {
        open("merkle.json");
        for (uint256 i = 0; i < lengthOf(".refused"); ++i) {
            try this.rootOfPath(".refused", i) returns (bytes32 root) {
                assertTrue(root != wordAt(item(".refused", i, ".root")), "refused path accepted");
            } catch {}
        }
    }

    // bls.json

    function test_KeysAndHashToCurve() external {
        open("bls.json");
        for (uint256 i = 0; i < lengthOf(".keys"); ++i) {
            string memory key = item(".keys", i, "");
            uint256 scalar = uint256(_word(key, ".sk"));
            G1Point memory key1 = Bn254.mul(G1Point(1, 2), scalar);
            assertEqBytes(abi.encode(key1), _bytes(key, ".g1"), "key in G1");
            assertEqBytes(abi.encode(G2.key(scalar)), _bytes(key, ".g2"), "key in G2");
        }
        for (uint256 i = 0; i < lengthOf(".hashToG1"); ++i) {
            string memory key = item(".hashToG1", i, "");
            G1Point memory point = _spec.hashToG1(_word(key, ".message"));
            assertEqBytes(abi.encode(point), _bytes(key, ".point"), "hash to G1");
        }
    }

    function test_MessagesAndSignatures() external {
        open("bls.json");
        for (uint256 i = 0; i < lengthOf(".signatures"); ++i) {
            string memory key = item(".signatures", i, "");
            bytes32 message = _word(key, ".digest");
            assertEq(
                _message(vm.parseJsonString(json, string.concat(key, ".tag")), key),
                message,
                "message"
            );
            assertTrue(_verifies(key, message), "signature");
            assertTrue(!_verifies(key, keccak256(abi.encode(message))), "any message");
        }
        for (uint256 i = 0; i < lengthOf(".pops"); ++i) {
            string memory key = item(".pops", i, "");
            bytes32 message = _spec.popMessage(
                _uint(key, ".chainId"),
                _address(key, ".contract"),
                _address(key, ".operator"),
                uint32(_uint(key, ".set")),
                g1At(string.concat(key, ".g1")),
                g2At(string.concat(key, ".g2"))
            );
            assertEq(message, _word(key, ".digest"), "possession");
            assertTrue(_verifies(key, message), "proof of possession");
        }
    }

    function test_Aggregates() external {
        open("bls.json");
        for (uint256 i = 0; i < lengthOf(".aggregates"); ++i) {
            string memory key = item(".aggregates", i, "");
            bytes32 message = _spec.attestMessage(
                _uint(key, ".targetChain"),
                _address(key, ".targetContract"),
                uint64(_uint(key, ".epoch")),
                _word(key, ".tableDigest"),
                BatchRoot.wrap(_word(key, ".root")),
                uint32(_uint(key, ".count"))
            );
            assertEq(message, _word(key, ".digest"), "message");
            bool valid = _spec.verifyBls(
                message,
                g1At(string.concat(key, ".signature")),
                g1At(string.concat(key, ".apk")),
                g2At(string.concat(key, ".apkG2"))
            );
            assertTrue(valid, "aggregate");
        }
    }

    function test_RefusedPoints() external {
        open("bls.json");
        string memory good = item(".signatures", 0, "");
        for (uint256 i = 0; i < lengthOf(".refused"); ++i) {
            bytes memory point = bytesAt(item(".refused", i, ".point"));
            G1Point memory signature = g1At(string.concat(good, ".signature"));
            G2Point memory key2 = g2At(string.concat(good, ".g2"));
            if (point.length == 64) signature = abi.decode(point, (G1Point));
            else key2 = abi.decode(point, (G2Point));
            G1Point memory key1 = g1At(string.concat(good, ".g1"));
            try _spec.verifyBls{gas: CALL_GAS}(
                _word(good, ".digest"), signature, key1, key2
            ) returns (
                bool ok
            ) {
                assertTrue(!ok, "refused point accepted");
            } catch {}
        }
    }

    // epoch.json

    function test_EpochTables() external {
        open("epoch.json");
        for (uint256 i = 0; i < lengthOf(".tables"); ++i) {
            string memory key = item(".tables", i, "");
            bytes memory table = _bytes(key, ".table");
            assertEq(keccak256(table), _word(key, ".tableDigest"), "digest");
            EpochTableBytes.Header memory header = TableParts.headOf(table);
            assertEq(header.homeChain, _uint(key, ".homeChain"), "chain");
            assertEq(header.epochTable, _address(key, ".epochTable"), "contract");
            assertEq(header.epoch, _uint(key, ".epoch"), "epoch");
            assertEq(header.snapshotBlock, _uint(key, ".snapshotBlock"), "block");
            assertEq(header.snapshotHash, _word(key, ".snapshotHash"), "hash");
            assertEq(header.totalStake, _uint(key, ".totalStake"), "total");
            assertEq(header.numMembers, _uint(key, ".numMembers"), "members");
            assertEqBytes(abi.encode(header.aggregateKey), _bytes(key, ".aggregate"), "key");
            _checkRebuilt(table, header);
        }
    }

    function test_Quorum() external {
        open("epoch.json");
        for (uint256 i = 0; i < lengthOf(".quorum"); ++i) {
            string memory key = item(".quorum", i, "");
            bool quorum =
                _spec.isQuorum(uint128(_uint(key, ".signed")), uint128(_uint(key, ".total")));
            assertTrue(quorum == vm.parseJsonBool(json, string.concat(key, ".quorum")), "quorum");
        }
    }

    // Helpers

    /// @dev Only for `try`.
    function rootOfPath(string calldata key, uint256 index) external view returns (bytes32) {
        return _rootOfPath(key, index);
    }

    /// @dev The same bytes put together from what is stored, and sums of single members and of all.
    function _checkRebuilt(bytes memory table, EpochTableBytes.Header memory header) private {
        G2Point memory unknown;
        address pointer = TableParts.store(table, unknown);
        assertEqBytes(TableParts.assemble(pointer, header), table, "rebuilt");
        (bytes32 digest, uint64 snapshotBlock) = StoredEpoch.readAnchor(pointer);
        assertEq(digest, keccak256(table), "stored digest");
        assertEq(snapshotBlock, header.snapshotBlock, "stored block");
        StoredEpoch.Quorum memory quorum = StoredEpoch.readQuorum(pointer);
        for (uint256 i = 0; i < header.numMembers; ++i) {
            (, G1Point memory member, uint128 weight) = TableParts.memberOf(table, i);
            (G1Point memory key, uint256 stake) =
                StoredEpoch.sumOf(pointer, quorum, uint256(1) << i);
            assertEqBytes(abi.encode(key), abi.encode(member), "key of a member");
            assertEq(stake, weight, "stake of a member");
        }
        (G1Point memory sum, uint256 total) =
            StoredEpoch.sumOf(pointer, quorum, (uint256(1) << header.numMembers) - 1);
        assertEqBytes(abi.encode(sum), abi.encode(header.aggregateKey), "sum of keys");
        assertEqBytes(abi.encode(quorum.key1), abi.encode(header.aggregateKey), "stored key");
        assertEq(total, header.totalStake, "sum of stakes");
        assertEq(quorum.totalStake, header.totalStake, "stored total");
    }

    /// @dev The message of a vector, rebuilt from the fields of its preimage.
    function _message(string memory tag, string memory key) private view returns (bytes32) {
        bytes memory preimage = _bytes(key, ".preimage");
        bytes32 name = keccak256(bytes(tag));
        if (name == keccak256("POP")) return _popMessage(preimage);
        if (name == keccak256("LOGIN")) return _loginMessage(preimage);
        if (name == keccak256("EJECT_CANCEL")) {
            (, uint256 chain, address registry, address operator, uint64 nonce) =
                abi.decode(preimage, (bytes32, uint256, address, address, uint64));
            return _spec.ejectCancelMessage(chain, registry, operator, nonce);
        }
        (
            ,
            uint256 chainId,
            address target,
            uint64 epoch,
            bytes32 digest,
            bytes32 what,
            uint32 last
        ) = abi.decode(preimage, (bytes32, uint256, address, uint64, bytes32, bytes32, uint32));
        if (name == keccak256("VOTE")) {
            return _spec.voteMessage(
                chainId, target, epoch, digest, StatementDigest.wrap(what), uint8(last)
            );
        }
        assertEq(name, keccak256("ATTEST"), "tag");
        return _spec.attestMessage(chainId, target, epoch, digest, BatchRoot.wrap(what), last);
    }

    function _popMessage(bytes memory preimage) private view returns (bytes32) {
        (
            ,
            uint256 chainId,
            address registry,
            address operator,
            uint32 set,
            G1Point memory key1,
            G2Point memory key2
        ) = abi.decode(preimage, (bytes32, uint256, address, address, uint32, G1Point, G2Point));
        return _spec.popMessage(chainId, registry, operator, set, key1, key2);
    }

    function _loginMessage(bytes memory preimage) private view returns (bytes32) {
        (
            ,
            uint256 chainId,
            address table,
            uint8 role,
            address server,
            bytes32 serverNonce,
            bytes32 clientNonce,
            address operator
        ) = abi.decode(
            preimage, (bytes32, uint256, address, uint8, address, bytes32, bytes32, address)
        );
        return _spec.loginMessage(chainId, table, role, server, serverNonce, clientNonce, operator);
    }

    function _verifies(string memory key, bytes32 message) private view returns (bool) {
        return _spec.verifyBls(
            message,
            g1At(string.concat(key, ".signature")),
            g1At(string.concat(key, ".g1")),
            g2At(string.concat(key, ".g2"))
        );
    }

    function _rootOfPath(string memory key, uint256 index) private view returns (bytes32) {
        return _spec.merkleRootFromPath(
            wordAt(item(key, index, ".leaf")),
            uintAt(item(key, index, ".index")),
            uintAt(item(key, index, ".count")),
            wordsAt(item(key, index, ".path"))
        );
    }

    function _textDigest(string memory key, string memory field) private view returns (bytes32) {
        return keccak256(bytes(vm.parseJsonString(json, string.concat(key, field))));
    }

    function _uint(string memory key, string memory field) private view returns (uint256) {
        return uintAt(string.concat(key, field));
    }

    function _word(string memory key, string memory field) private view returns (bytes32) {
        return wordAt(string.concat(key, field));
    }

    function _address(string memory key, string memory field) private view returns (address) {
        return addressAt(string.concat(key, field));
    }

    function _bytes(string memory key, string memory field) private view returns (bytes memory) {
        return bytesAt(string.concat(key, field));
    }
}
