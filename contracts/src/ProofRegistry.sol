// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {Bn254, G1Point} from "./libraries/Bn254.sol";
import {ChainJudge} from "./libraries/ChainJudge.sol";
import {Digests} from "./libraries/Digests.sol";
import {MerkleTree} from "./libraries/MerkleTree.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {StoredEpoch} from "./libraries/StoredEpoch.sol";
import {BatchRoot, ManifestDigest, ProgramId, StatementDigest} from "./types/Ids.sol";
import {
    BatchLeaf,
    SegmentRecord,
    Statement,
    VERDICT_INVALID,
    VERDICT_VALID
} from "./types/Protocol.sol";

/// @title ProofRegistry
contract ProofRegistry is IProofRegistry, Ownable2Step {
    /// @dev Exactly one slot, because a second one is a ninth of an attestation's cost: at most 200
    /// members, 24 bits of epochs, seconds until 2106. The count is part of the key.
    struct Attestation {
        uint200 nonSigners;
        uint24 epoch;
        uint32 attestedAt;
    }

    /// @dev One slot, and the only one that a hard read adds to the batch's own.
    struct StatementRecord {
        Standing standing;
        uint64 contestedUntil;
        uint64 provedAt;
    }

    /// @dev Stopped is for good.
    enum ManifestState {
        Unknown,
        Accepted,
        Stopped
    }

    /// @inheritdoc IProofRegistry
    IEpochTable public immutable epochTable;
    /// @inheritdoc IProofRegistry
    uint64 public immutable challengeSeconds;

    /// @inheritdoc IProofRegistry
    uint64 public constant contestSecondsMax = 7 days;

    /// @inheritdoc IProofRegistry
    address public challengeGame;
    mapping(StatementDigest statement => StatementRecord record) private _statements;
    mapping(BatchRoot root => mapping(uint32 count => Attestation record)) private _attestations;
    mapping(ProgramId program => Program record) private _programs;
    mapping(ProgramId program => mapping(ManifestDigest manifest => ManifestState state)) private
        _manifests;

    modifier onlyChallengeGame() {
        if (msg.sender != challengeGame) revert NotChallengeGame(msg.sender);
        _;
    }

    constructor(IEpochTable epochTable_, address owner_) Ownable(owner_) {
        epochTable = epochTable_;
        challengeSeconds = epochTable_.params().challengeSeconds;
    }

    /// @inheritdoc IProofRegistry
    function attest(Certificate calldata c) external {
        Attestation storage record = _attestations[c.root][c.count];
        if (record.attestedAt != 0) return;
        MerkleTree.requireCount(c.count);
        (address pointer, bytes32 tableDigest, uint256 excluded) = epochTable.requireUsable(c.epoch);
        (uint128 signed, uint128 total) = _requireCertified(c, pointer, tableDigest, excluded);
        // A usable epoch has fewer than 200 members and a number below 2^24.
        _attestations[c.root][c.count] =
            Attestation(uint200(c.nonSigners), uint24(c.epoch), uint32(block.timestamp));
        emit BatchAttested(c.root, c.epoch, c.count, c.nonSigners, signed, total);
    }

    /// @inheritdoc IProofRegistry
    function augment(Certificate calldata c) external {
        Attestation storage record = _attestations[c.root][c.count];
        if (record.attestedAt == 0) revert BatchUnknown(c.root, c.count);
        if (record.epoch != c.epoch) revert EpochDiffers(record.epoch, c.epoch);
        uint64 hardAt = _hardAt(record.attestedAt);
        if (block.timestamp >= hardAt) revert WindowClosed(hardAt);
        uint256 stored = record.nonSigners;
        if (c.nonSigners & ~stored != 0 || c.nonSigners == stored) {
            revert NonSignersNotShrunk(stored, c.nonSigners);
        }
        (address pointer, bytes32 tableDigest, uint256 excluded) = epochTable.tableAt(c.epoch);
        _requireCertified(c, pointer, tableDigest, excluded);
        record.nonSigners = uint200(c.nonSigners);
        emit BatchAugmented(c.root, c.epoch, c.count, c.nonSigners);
    }

    /// @inheritdoc IProofRegistry
    function verifyDirect(
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes calldata envelope
    ) external returns (StatementDigest digest) {
        digest = Digests.statementDigest(statement);
        StatementRecord storage known = _statements[digest];
        if (known.provedAt != 0) return digest;
        if (known.standing != Standing.None) revert StatementClosed(digest, known.standing);
        if (!isManifestAccepted(statement.programId, statement.manifest)) {
            revert ManifestNotAccepted(statement.programId, statement.manifest);
        }
        address verifier = ChainJudge.requireValid(
            challengeGame, epochTable.currentEpoch(), digest, statement, record, envelope
        );
        known.provedAt = uint64(block.timestamp);
        emit StatementProved(digest, statement.programId, verifier);
    }

    /// @inheritdoc IProofRegistry
    function dispute(
        StatementDigest statement,
        BatchLeaf calldata validLeaf,
        BatchLeaf calldata invalidLeaf
    ) external {
        // What the chain found valid itself needs nobody's signature for it.
        if (_statements[statement].provedAt == 0) {
            _requireAttested(statement, VERDICT_VALID, validLeaf);
        } else if (!_isIncluded(statement, VERDICT_VALID, validLeaf)) {
            revert LeafNotAttested(statement, VERDICT_VALID, validLeaf.root);
        }
        _requireAttested(statement, VERDICT_INVALID, invalidLeaf);
        if (_statements[statement].standing != Standing.None) return;
        _statements[statement].standing = Standing.Disputed;
        emit StatementDisputed(statement, validLeaf.root, invalidLeaf.root);
    }

    /// @inheritdoc IProofRegistry
    function refute(StatementDigest statement) external onlyChallengeGame {
        _statements[statement].standing = Standing.Refuted;
        emit StatementRefuted(statement);
    }

    /// @inheritdoc IProofRegistry
    function withdrawLeaf(StatementDigest statement) external onlyChallengeGame {
        StatementRecord storage record = _statements[statement];
        // A proof that the chain has judged was shown to everybody.
        if (record.standing != Standing.None || record.provedAt != 0) return;
        record.standing = Standing.Withdrawn;
        emit StatementWithdrawn(statement);
    }

    /// @inheritdoc IProofRegistry
    function contest(StatementDigest statement, uint64 until) external onlyChallengeGame {
        uint256 latest = block.timestamp + contestSecondsMax;
        if (until > latest) revert ContestTooLong(until, latest);
        if (until <= _statements[statement].contestedUntil) return;
        _statements[statement].contestedUntil = until;
        emit StatementContested(statement, until);
    }

    /// @inheritdoc IProofRegistry
    function setChallengeGame(address game_) external onlyOwner {
        if (challengeGame != address(0)) revert AlreadySet(challengeGame);
        if (game_ == address(0)) revert AddressZero();
        challengeGame = game_;
        emit ChallengeGameSet(game_);
    }

    /// @inheritdoc IProofRegistry
    function registerProgram(ProgramId program, ManifestDigest manifest) external onlyOwner {
        if (
            ProgramId.unwrap(program) == bytes32(0) || ManifestDigest.unwrap(manifest) == bytes32(0)
        ) revert DigestZero();
        Program storage record = _programs[program];
        bool stopped = _manifests[program][manifest] == ManifestState.Stopped;
        if (record.manifest == manifest || stopped) revert ManifestNotNew(program, manifest);
        record.manifest = manifest;
        record.version += 1;
        _manifests[program][manifest] = ManifestState.Accepted;
        emit ProgramRegistered(program, manifest, record.version);
    }

    /// @inheritdoc IProofRegistry
    function stopManifest(ProgramId program, ManifestDigest manifest) external {
        if (msg.sender != challengeGame && msg.sender != owner()) {
            revert NotOwnerOrGame(msg.sender);
        }
        if (!isManifestAccepted(program, manifest)) revert ManifestNotAccepted(program, manifest);
        _manifests[program][manifest] = ManifestState.Stopped;
        emit ManifestStopped(program, manifest);
    }

    /// @inheritdoc IProofRegistry
    function isVerified(StatementDigest statement, BatchLeaf calldata leaf, bool hard)
        external
        view
        returns (bool)
    {
        // What `leafFinality` would say, in the one order that a contract pays least for.
        if (!_isIncluded(statement, VERDICT_VALID, leaf)) return false;
        StatementRecord storage record = _statements[statement];
        if (record.standing != Standing.None) return false;
        if (record.provedAt != 0) return true;
        uint256 attestedAt = _attestations[leaf.root][leaf.count].attestedAt;
        if (attestedAt == 0) return false;
        if (!hard) return true;
        return block.timestamp >= attestedAt + challengeSeconds
            && block.timestamp >= record.contestedUntil;
    }

    /// @inheritdoc IProofRegistry
    function leafFinality(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        public
        view
        returns (Finality)
    {
        if (!_isIncluded(statement, verdict, leaf)) return Finality.Unknown;
        StatementRecord memory record = _statements[statement];
        bool proved = record.provedAt != 0 && verdict == VERDICT_VALID;
        Finality batch =
            proved ? Finality.Hard : _finality(_attestations[leaf.root][leaf.count].attestedAt);
        return batch == Finality.Unknown ? batch : _standing(record, verdict, batch);
    }

    /// @inheritdoc IProofRegistry
    function attestationOf(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        external
        view
        returns (uint64 epoch, uint256 nonSigners, uint64 hardAt)
    {
        _requireAttested(statement, verdict, leaf);
        Attestation memory record = _attestations[leaf.root][leaf.count];
        return (record.epoch, record.nonSigners, _hardAt(record.attestedAt));
    }

    /// @inheritdoc IProofRegistry
    function statusOf(BatchRoot root, uint32 count)
        external
        view
        returns (BatchStatus memory status)
    {
        Attestation memory record = _attestations[root][count];
        if (record.attestedAt == 0) return status;
        return BatchStatus(
            _finality(record.attestedAt),
            record.epoch,
            record.attestedAt,
            _hardAt(record.attestedAt),
            record.nonSigners
        );
    }

    /// @inheritdoc IProofRegistry
    function programs(ProgramId program) external view returns (Program memory) {
        return _programs[program];
    }

    /// @inheritdoc IProofRegistry
    function isManifestAccepted(ProgramId program, ManifestDigest manifest)
        public
        view
        returns (bool)
    {
        return _manifests[program][manifest] == ManifestState.Accepted;
    }

    /// @inheritdoc IProofRegistry
    function standingOf(StatementDigest statement) external view returns (Standing) {
        return _statements[statement].standing;
    }

    /// @inheritdoc IProofRegistry
    function provedAt(StatementDigest statement) external view returns (uint64) {
        return _statements[statement].provedAt;
    }

    /// @inheritdoc IProofRegistry
    function contestedUntil(StatementDigest statement) external view returns (uint64) {
        return _statements[statement].contestedUntil;
    }

    /// @inheritdoc IProofRegistry
    function attestMessage(uint64 epoch, BatchRoot root, uint32 count)
        external
        view
        returns (bytes32)
    {
        (, bytes32 tableDigest,) = epochTable.tableAt(epoch);
        return _message(epoch, tableDigest, root, count);
    }

    /// @dev Refuses everything but the signature of a quorum of the table's members without the
    /// non-signers and the excluded.
    function _requireCertified(
        Certificate calldata c,
        address pointer,
        bytes32 tableDigest,
        uint256 excluded
    ) private view returns (uint128 signed, uint128 total) {
        uint256 excludedSigners = excluded & ~c.nonSigners;
        if (excludedSigners != 0) revert ExcludedSigner(excludedSigners);
        StoredEpoch.Quorum memory quorum = StoredEpoch.readQuorum(pointer);
        total = quorum.totalStake;
        signed = _leaveOut(pointer, quorum, c.nonSigners);
        if (!Quorum.isReached(signed, total)) revert QuorumNotReached(signed, total);
        bytes32 message = _message(c.epoch, tableDigest, c.root, c.count);
        if (!_isSigned(c, message, quorum)) revert CertificateInvalid(message);
    }

    /// @dev Takes the non-signers' keys out of the quorum's; returns the stake of the others. A mask
    /// names each member at most once, so no order or duplicate can be got wrong.
    function _leaveOut(address pointer, StoredEpoch.Quorum memory quorum, uint256 nonSigners)
        private
        view
        returns (uint128 signed)
    {
        if (nonSigners == 0) return quorum.totalStake;
        if (nonSigners >> quorum.numMembers != 0) {
            revert NonSignerUnknown(nonSigners, quorum.numMembers);
        }
        (G1Point memory missing, uint256 missingStake) =
            StoredEpoch.sumOf(pointer, quorum, nonSigners);
        Bn254.addTo(quorum.key1, Bn254.negate(missing));
        // The key in G2 is known of the whole roster only.
        delete quorum.key2;
        // casting to 'uint128' is safe because the missing stake is a part of the total
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint128(quorum.totalStake - missingStake);
    }

    /// @dev Whether the signers signed. Where the epoch knows their key in G2, it was bound to their
    /// keys when the roster was built, and what the caller says of it does not matter.
    function _isSigned(Certificate calldata c, bytes32 message, StoredEpoch.Quorum memory quorum)
        private
        view
        returns (bool)
    {
        if (Bn254.isZero(quorum.key2)) {
            return Bn254.verify(message, c.signature, quorum.key1, c.signersKey2);
        }
        return Bn254.verifyBound(message, c.signature, quorum.key2);
    }

    /// @dev What is signed for a batch.
    function _message(uint64 epoch, bytes32 tableDigest, BatchRoot root, uint32 count)
        private
        view
        returns (bytes32)
    {
        return Digests.attestMessage(block.chainid, address(this), epoch, tableDigest, root, count);
    }

    /// @dev Refuses a leaf that is not in an attested batch.
    function _requireAttested(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        private
        view
    {
        bool attested = _attestations[leaf.root][leaf.count].attestedAt != 0;
        if (!attested || !_isIncluded(statement, verdict, leaf)) {
            revert LeafNotAttested(statement, verdict, leaf.root);
        }
    }

    /// @dev Whether the path leads from the statement's leaf to the root.
    function _isIncluded(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        private
        pure
        returns (bool)
    {
        bytes32 root = MerkleTree.rootFromPath(
            Digests.batchLeaf(statement, verdict), leaf.index, leaf.count, leaf.path
        );
        return root == BatchRoot.unwrap(leaf.root);
    }

    /// @dev Finality of a leaf that is known and would be of this finality. A dispute overrides it
    /// for either verdict, and an attested `invalid` of what the chain found valid is one; a
    /// refutation, a withdrawal and a contest are about the valid one only.
    function _standing(StatementRecord memory record, uint8 verdict, Finality batch)
        private
        view
        returns (Finality)
    {
        if (record.standing == Standing.Disputed) return Finality.Disputed;
        bool proved = record.provedAt != 0;
        if (verdict != VERDICT_VALID) return proved ? Finality.Disputed : batch;
        if (record.standing == Standing.Refuted) return Finality.Refuted;
        if (record.standing == Standing.Withdrawn) return Finality.Withdrawn;
        return !proved && block.timestamp < record.contestedUntil ? Finality.Soft : batch;
    }

    /// @dev Finality of a batch that was attested at this second; 0 is never.
    function _finality(uint32 attestedAt) private view returns (Finality) {
        if (attestedAt == 0) return Finality.Unknown;
        return block.timestamp < _hardAt(attestedAt) ? Finality.Soft : Finality.Hard;
    }

    /// @dev The first second at which a batch is hard.
    function _hardAt(uint32 attestedAt) private view returns (uint64) {
        return uint64(attestedAt) + challengeSeconds;
    }
}
