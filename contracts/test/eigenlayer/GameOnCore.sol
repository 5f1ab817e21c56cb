// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ChallengeGame} from "../../src/ChallengeGame.sol";
import {EpochTable} from "../../src/EpochTable.sol";
import {ProofRegistry} from "../../src/ProofRegistry.sol";
import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {IChallengeGame} from "../../src/interfaces/IChallengeGame.sol";
import {IEpochTable} from "../../src/interfaces/IEpochTable.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {ISlashingCourt} from "../../src/interfaces/ISlashingCourt.sol";
import {Bn254} from "../../src/libraries/Bn254.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {
    BatchRoot,
    JobId,
    ManifestDigest,
    ProgramId,
    StatementDigest
} from "../../src/types/Ids.sol";
import {Groth16Verifier} from "../../src/verifiers/Groth16Verifier.sol";
import {G2} from "../helpers/G2.sol";
import {ReserveDouble} from "../helpers/GameDoubles.sol";
import {VectorFile} from "../helpers/VectorFile.sol";
import {RestakedNetwork} from "./RestakedNetwork.sol";

/// @title The whole path of a challenge with nothing doubled: core, judge, keys, certificate
/// @dev Four verifiers with equal stake; operator `i` has address `0x10000 + i`, which is its place
/// in the table. The statement has one segment, whose proof is a Groth16 proof of one input that
/// only the pairing refuses.
abstract contract GameOnCore is RestakedNetwork, VectorFile {
    uint256 internal constant MEMBERS = 4;
    uint256 internal constant JOBS = 2;
    uint64 internal constant MIN_EPOCH = 60;
    uint64 internal constant GRACE = 50;
    uint64 internal constant CHALLENGE = 60;
    uint64 internal constant VETO = 100;
    uint64 internal constant LONG_VETO = 160;
    uint128 internal constant BOND = 0.1 ether;
    uint8 internal constant VALID = 1;
    address internal constant CHALLENGER = address(0xC0FFEE);

    EpochTable internal epochs;
    ProofRegistry internal registry;
    SlashingCourt internal court;
    ChallengeGame internal game;
    ProgramId internal program;

    function deployGame() internal {
        deployCore();
        avs = newAvs();
        registrar = newRegistrar();
        epochs = new EpochTable(registrar, avs, _epochParams(), address(this));
        registry = new ProofRegistry(epochs, address(this));
        court = new SlashingCourt(avs, epochs, stakeToken, _courtParams(), address(this));
        game = new ChallengeGame(registry, court, _gameParams(), address(this));
        avs.wire(address(registrar), address(court), VAULT);
        epochs.setCourt(address(court));
        court.setChallengeGame(address(game));
        registry.setChallengeGame(address(game));
        open("groth16-mutations.json");
        program = ProgramId.wrap(wordAt(item(".bases", 0, ".program")));
        for (uint256 job = 1; job <= JOBS; ++job) {
            registry.registerProgram(program, _manifestOf(job));
        }
        address judge = address(new Groth16Verifier(program));
        game.registerJudge(program, IChallengeGame.JudgeKind.Proof, judge);
    }

    function addFour() internal {
        address[] memory list = _operators();
        newVerifiers(list, 20 ether);
        uint256 sum = 0;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            joinVerifiers(list[i]);
            sum = addmod(sum, secretOf(list[i]), Bn254.R);
        }
        epochs.buildRoster(list, G2.key(sum));
    }

    function operatorAt(uint256 index) internal pure returns (address) {
        return address(uint160(0x10000 + index));
    }

    /// @dev The statement of a job whose only proof is false; each job has a manifest of its own.
    function falseStatement(uint256 job)
        internal
        view
        returns (IChallengeGame.Refutation memory r)
    {
        bytes memory envelope = bytesAt(item(".bases", 0, ".envelope"));
        // Another point of the curve as C: all that the judge checks before the pairing is right.
        assembly ("memory-safe") {
            let end := add(add(envelope, 32), mload(envelope))
            mstore(sub(end, 64), 1)
            mstore(sub(end, 32), 2)
        }
        r.record.count = 1;
        r.record.vkDigest = wordAt(item(".bases", 0, ".vkDigest"));
        r.record.publicValuesDigest = wordAt(item(".bases", 0, ".publicValuesDigest"));
        r.record.proofDigest = keccak256(envelope);
        r.record.prover = address(0xBEEF);
        r.record.workUnits = 1;
        r.path = new bytes32[](0);
        r.shown = envelope;
        r.statement.job = JobId.wrap(keccak256(abi.encode("job", job)));
        r.statement.statementAttempt = 1;
        r.statement.programId = program;
        r.statement.manifest = _manifestOf(job);
        r.statement.claim = wordAt(item(".bases", 0, ".claim"));
        r.statement.numSegments = 1;
        r.statement.segmentsRoot = Digests.segmentLeaf(r.record);
    }

    function voteOf(uint256 member, StatementDigest statement)
        internal
        view
        returns (IChallengeGame.Vote memory)
    {
        uint64 epoch = epochs.currentEpoch();
        (, bytes32 tableDigest,) = epochs.tableAt(epoch);
        bytes32 message = Digests.voteMessage(
            block.chainid, address(epochs), epoch, tableDigest, statement, VALID
        );
        uint256 scalar = secretOf(operatorAt(member));
        return IChallengeGame.Vote(epoch, member, VALID, signWith(scalar, message), G2.key(scalar));
    }

    /// @dev All members attest the statement alone.
    function attestedBy(uint256 member, StatementDigest statement)
        internal
        returns (IChallengeGame.Attested memory a)
    {
        (a.member, a.verdict) = (member, VALID);
        a.leaf.root = BatchRoot.wrap(Digests.batchLeaf(statement, VALID));
        a.leaf.count = 1;
        a.leaf.path = new bytes32[](0);
        uint64 epoch = epochs.currentEpoch();
        uint256 sum = 0;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            sum = addmod(sum, secretOf(operatorAt(i)), Bn254.R);
        }
        bytes32 message = registry.attestMessage(epoch, a.leaf.root, 1);
        registry.attest(
            IProofRegistry.Certificate(
                epoch, a.leaf.root, 1, 0, G2.key(sum), signWith(sum, message)
            )
        );
    }

    function _manifestOf(uint256 job) private pure returns (ManifestDigest) {
        return ManifestDigest.wrap(keccak256(abi.encode("manifest", job)));
    }

    function _operators() private pure returns (address[] memory list) {
        list = new address[](MEMBERS);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            list[i] = operatorAt(i);
        }
    }

    /// @dev As short as the core of these tests asks for.
    function _epochParams() private pure returns (IEpochTable.EpochParams memory) {
        return IEpochTable.EpochParams({
            minEpochSeconds: MIN_EPOCH,
            maxEpochAgeSeconds: 198,
            graceSeconds: GRACE,
            challengeSeconds: CHALLENGE,
            vetoSeconds: LONG_VETO,
            slackSeconds: 120,
            lookaheadBlocks: DEALLOCATION_DELAY - 1,
            blockSeconds: 12,
            minTotalStake: 1,
            minMembers: 1
        });
    }

    /// @dev What a fault costs, and what of that is the challenger's.
    function wads() internal pure virtual returns (uint64 fault, uint64 reward) {
        return (0.5e18, 0.4e18);
    }

    function _courtParams() private pure returns (ISlashingCourt.CourtParams memory) {
        (uint64 fault, uint64 reward) = wads();
        return ISlashingCourt.CourtParams(address(0x7E70), VETO, fault, fault, reward);
    }

    function _gameParams() private returns (IChallengeGame.GameParams memory) {
        return IChallengeGame.GameParams(BOND, BOND, 300, CHALLENGE, new ReserveDouble());
    }
}
