// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EpochTable} from "../../src/EpochTable.sol";
import {ProofRegistry} from "../../src/ProofRegistry.sol";
import {TaskManager} from "../../src/TaskManager.sol";
import {DevWrappedCoin} from "../../src/dev/DevWrappedCoin.sol";
import {IEpochTable} from "../../src/interfaces/IEpochTable.sol";
import {IFeeVault} from "../../src/interfaces/IFeeVault.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../../src/interfaces/ITaskManager.sol";
import {Bn254, G1Point, G2Point} from "../../src/libraries/Bn254.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {MerkleTree} from "../../src/libraries/MerkleTree.sol";
import {
    BatchRoot,
    JobId,
    ManifestDigest,
    ProgramId,
    StatementDigest
} from "../../src/types/Ids.sol";
import {BatchLeaf, SegmentRecord, Statement} from "../../src/types/Protocol.sol";
import {G2} from "./G2.sol";
import {Money} from "./Money.sol";
import {AvsDouble} from "./MoneyDoubles.sol";
import {OperatorSet} from "./OperatorSet.sol";
import {TestBase} from "./TestBase.sol";

/// @title A deployed network with real keys
/// @dev Operator `i` has address `0x10000 + i`, so its place in the table is `i`.
abstract contract Network is TestBase {
    uint64 internal constant CHALLENGE = 60;
    uint64 internal constant GRACE = 300;
    uint64 internal constant MIN_EPOCH = 600;
    uint64 internal constant MAX_AGE = 7200;
    uint64 internal constant BLOCK_SECONDS = 12;
    uint32 internal constant LOOKAHEAD_BLOCKS = 640;
    uint32 internal constant DEALLOCATION_DELAY_BLOCKS = 1000;
    uint32 internal constant WITHDRAWAL_DELAY_BLOCKS = 1200;
    uint64 internal constant VERIFY = 120;
    uint64 internal constant SETTLE_GRACE = 180;
    uint64 internal constant HOLD_MAX = 1000;
    uint64 internal constant DEADLINE_MAX = 5000;
    address internal constant OWNER = address(0xA11CE);
    ProgramId internal constant PROGRAM = ProgramId.wrap(keccak256("program"));
    ManifestDigest internal constant MANIFEST = ManifestDigest.wrap(keccak256("manifest"));

    OperatorSet internal operatorSet;
    EpochTable internal epochs;
    ProofRegistry internal registry;
    TaskManager internal tasks;
    uint256 internal numOperators;
    mapping(address operator => uint256 scalar) internal scalarOf;

    function deploy() internal {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        operatorSet = new OperatorSet(DEALLOCATION_DELAY_BLOCKS, WITHDRAWAL_DELAY_BLOCKS);
        epochs = new EpochTable(operatorSet, operatorSet, epochParams(), OWNER);
        registry = new ProofRegistry(epochs, OWNER);
        tasks =
        Money.deploy(
            address(this), registry, address(new AvsDouble()), new DevWrappedCoin(), taskTerms()
        )
        .tasks;
        vm.prank(OWNER);
        registry.registerProgram(PROGRAM, MANIFEST);
    }

    function epochParams() internal pure returns (IEpochTable.EpochParams memory) {
        return IEpochTable.EpochParams({
            minEpochSeconds: MIN_EPOCH,
            maxEpochAgeSeconds: MAX_AGE,
            graceSeconds: GRACE,
            challengeSeconds: CHALLENGE,
            vetoSeconds: 0,
            slackSeconds: 60,
            lookaheadBlocks: LOOKAHEAD_BLOCKS,
            blockSeconds: BLOCK_SECONDS,
            minTotalStake: 4 ether,
            minMembers: 1
        });
    }

    /// @dev Provers get all of a fee, so that amounts in tests of jobs are plain.
    function taskTerms() internal pure returns (Money.Terms memory terms) {
        terms = Money.terms();
        terms.split = IFeeVault.FeeSplit(10_000, 0, 0);
        terms.tasks = ITaskManager.TaskParams(VERIFY, SETTLE_GRACE, HOLD_MAX, DEADLINE_MAX);
    }

    // Operators

    function operatorAt(uint256 index) internal pure returns (address) {
        return address(uint160(0x10000 + index));
    }

    function secret(uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("secret", index))) % Bn254.R;
    }

    function key1Of(uint256 scalar) internal view returns (G1Point memory) {
        return Bn254.mul(G1Point(1, 2), scalar);
    }

    function sign(uint256 scalar, bytes32 message) internal view returns (G1Point memory) {
        return Bn254.mul(Bn254.hashToG1(message), scalar);
    }

    function bondFor(address operator, uint128 amount) internal {
        operatorSet.addStake(operator, amount);
    }

    function registerKey(address operator, uint256 scalar) internal {
        operatorSet.join(operator, key1Of(scalar), G2.key(scalar));
        scalarOf[operator] = scalar;
    }

    function addOperator(uint128 stake) internal {
        address operator = operatorAt(numOperators);
        bondFor(operator, stake);
        registerKey(operator, secret(numOperators));
        ++numOperators;
    }

    function addOperators(uint256 count, uint128 stake) internal {
        for (uint256 i = 0; i < count; ++i) {
            addOperator(stake);
        }
    }

    /// @dev All operators that are in the set now.
    function operatorList() internal view returns (address[] memory list) {
        list = new address[](operatorSet.operatorCount());
        uint256 found = 0;
        for (uint256 i = 0; i < numOperators; ++i) {
            if (operatorSet.isInSet(operatorAt(i))) list[found++] = operatorAt(i);
        }
    }

    /// @dev The sum of these operators' keys in G2.
    function aggregateKey2(address[] memory list) internal view returns (G2Point memory) {
        uint256 sum = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            sum = addmod(sum, scalarOf[list[i]], Bn254.R);
        }
        return G2.key(sum);
    }

    function buildRoster() internal returns (address) {
        address[] memory list = operatorList();
        return epochs.buildRoster(list, aggregateKey2(list));
    }

    function snapshot() internal returns (uint64) {
        buildRoster();
        return epochs.snapshot();
    }

    // Certificates

    function certificate(uint64 epoch, BatchRoot root, uint32 count, uint256 nonSigners)
        internal
        view
        returns (IProofRegistry.Certificate memory)
    {
        return signedCertificate(
            epoch, root, count, nonSigners, registry.attestMessage(epoch, root, count)
        );
    }

    function signedCertificate(
        uint64 epoch,
        BatchRoot root,
        uint32 count,
        uint256 nonSigners,
        bytes32 message
    ) internal view returns (IProofRegistry.Certificate memory) {
        uint256 sum = 0;
        for (uint256 i = 0; i < numOperators; ++i) {
            if ((nonSigners >> i) & 1 == 0) sum = addmod(sum, secret(i), Bn254.R);
        }
        return IProofRegistry.Certificate({
            epoch: epoch,
            root: root,
            count: count,
            nonSigners: nonSigners,
            signersKey2: G2.key(sum),
            signature: sign(sum, message)
        });
    }

    /// @dev A batch of this statement alone: depth 0, the root is the leaf.
    function soleLeaf(StatementDigest statement, uint8 verdict)
        internal
        pure
        returns (BatchLeaf memory leaf)
    {
        leaf.root = BatchRoot.wrap(Digests.batchLeaf(statement, verdict));
        leaf.count = 1;
        leaf.path = new bytes32[](0);
    }

    function attestSole(StatementDigest statement, uint8 verdict)
        internal
        returns (BatchLeaf memory leaf)
    {
        leaf = soleLeaf(statement, verdict);
        registry.attest(certificate(epochs.currentEpoch(), leaf.root, 1, 0));
    }

    // Jobs

    function jobRequest(uint64 nonce) internal view returns (ITaskManager.JobRequest memory) {
        return ITaskManager.JobRequest({
            nonce: nonce,
            programId: PROGRAM,
            inputDigest: keccak256("input"),
            claim: keccak256("claim"),
            mode: 1,
            deadline: uint64(block.timestamp + 3600),
            inputBytes: 1000,
            maxSegments: 8,
            maxProofBytes: 1 << 20,
            stream: 0,
            sequence: 0
        });
    }

    function createJob(address requester, uint64 nonce, uint256 fee) internal returns (JobId) {
        ITaskManager.JobRequest memory request = jobRequest(nonce);
        vm.deal(requester, requester.balance + fee);
        vm.prank(requester);
        return tasks.createJob{value: fee}(request);
    }

    function records(uint64[] memory workUnits)
        internal
        pure
        returns (SegmentRecord[] memory list)
    {
        list = new SegmentRecord[](workUnits.length);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = SegmentRecord({
                index: uint32(i),
                first: uint64(i),
                count: 1,
                vkDigest: keccak256("vk"),
                publicValuesDigest: keccak256(abi.encode("values", i)),
                proofDigest: keccak256(abi.encode("proof", i)),
                prover: prover(i),
                workUnits: workUnits[i]
            });
        }
    }

    function prover(uint256 index) internal pure returns (address) {
        return address(uint160(0xBEEF0000 + index));
    }

    function twoRecords() internal pure returns (SegmentRecord[] memory) {
        uint64[] memory workUnits = new uint64[](2);
        (workUnits[0], workUnits[1]) = (1, 2);
        return records(workUnits);
    }

    /// @dev The settlement of a job by these records, as the only leaf of a batch.
    function settlement(JobId jobId, SegmentRecord[] memory list)
        internal
        view
        returns (ITaskManager.Settlement memory s, StatementDigest statement)
    {
        bytes32[] memory leaves = new bytes32[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            leaves[i] = Digests.segmentLeaf(list[i]);
        }
        bytes32 claim = tasks.jobs(jobId).claim;
        statement = Digests.statementDigest(
            Statement(
                jobId, 1, PROGRAM, MANIFEST, claim, uint32(list.length), MerkleTree.rootOf(leaves)
            )
        );
        s = ITaskManager.Settlement(1, MANIFEST, list, soleLeaf(statement, 1));
    }
}
