// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";
import {BatchRoot, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf, SegmentRecord, Statement} from "../types/Protocol.sol";
import {IEpochTable} from "./IEpochTable.sol";

/// @title What the verifier set has attested
/// @notice A batch is named by its root and its number of leaves. A leaf carries the statement
/// digest and the verdict. A batch is soft when attested and hard when its challenge window is
/// over. A statement that is attested with both verdicts is disputed, one whose proof was refused
/// on-chain is refuted, one whose proof nobody would show is withdrawn: it never reads as verified
/// again. While a proof is being asked for, its statement is contested: it does not read as hard.
/// A statement of one segment whose program the chain can judge needs no quorum: `verifyDirect`
/// judges its proof, and it reads as verified and hard at once.
/// @dev Who may lie: callers (a certificate is checked from bytes that the contract knows) and up
/// to a third of the stake. Two thirds of the stake can attest anything.
interface IProofRegistry {
    /// @dev How far a batch, or a leaf of it, is settled.
    enum Finality {
        Unknown,
        Soft,
        Hard,
        Disputed,
        Refuted,
        Withdrawn
    }

    /// @dev What became of a statement beside its attestations. Only `None` can ever read as
    /// verified; `Refuted` is the last word.
    enum Standing {
        None,
        Disputed,
        Refuted,
        Withdrawn
    }

    /// @dev A quorum's signature. `nonSigners` has bit `i` set if member `i` of the epoch's table
    /// did not sign; a member cannot be named twice. `signersKey2` is the sum of the signers' keys in
    /// G2; it is not looked at if the whole roster signed, whose sum is known.
    struct Certificate {
        uint64 epoch;
        BatchRoot root;
        uint32 count;
        uint256 nonSigners;
        G2Point signersKey2;
        G1Point signature;
    }

    /// @dev What is kept of an attested batch. All zero if it is unknown.
    struct BatchStatus {
        Finality finality;
        uint64 epoch;
        uint64 attestedAt;
        uint64 hardAt;
        uint256 nonSigners;
    }

    /// @dev The manifest that new jobs of a program get, and how many it has had.
    struct Program {
        ManifestDigest manifest;
        uint32 version;
    }

    /// @notice A batch was attested.
    event BatchAttested(
        BatchRoot indexed root,
        uint64 indexed epoch,
        uint32 count,
        uint256 nonSigners,
        uint128 signedStake,
        uint128 totalStake
    );
    /// @notice A certificate with more signers replaced the one of an attested batch.
    event BatchAugmented(
        BatchRoot indexed root, uint64 indexed epoch, uint32 count, uint256 nonSigners
    );
    /// @notice Both verdicts of a statement are attested.
    event StatementDisputed(
        StatementDigest indexed statement, BatchRoot validRoot, BatchRoot invalidRoot
    );
    /// @notice A proof of the statement was refused on-chain.
    event StatementRefuted(StatementDigest indexed statement);
    /// @notice Nobody showed a proof of the statement that was asked for.
    event StatementWithdrawn(StatementDigest indexed statement);
    /// @notice The statement does not read as hard before `until`.
    event StatementContested(StatementDigest indexed statement, uint64 until);
    /// @notice The chain judged the statement's proof itself, by this verifier, and found it valid.
    event StatementProved(
        StatementDigest indexed statement, ProgramId indexed program, address verifier
    );
    /// @notice The challenge game was named.
    event ChallengeGameSet(address game);
    /// @notice A manifest became the program's current one; earlier ones stay accepted.
    event ProgramRegistered(
        ProgramId indexed program, ManifestDigest indexed manifest, uint32 version
    );
    /// @notice Statements under this manifest settle no more jobs.
    event ManifestStopped(ProgramId indexed program, ManifestDigest indexed manifest);

    /// @notice The signers hold less than two thirds of the stake.
    error QuorumNotReached(uint128 signed, uint128 total);
    /// @notice Members at these bits are excluded and must be non-signers.
    error ExcludedSigner(uint256 bits);
    /// @notice The mask has a bit that is no member's.
    error NonSignerUnknown(uint256 nonSigners, uint256 numMembers);
    /// @notice The signature does not verify under the signers' key.
    error CertificateInvalid(bytes32 message);
    /// @notice The batch was never attested.
    error BatchUnknown(BatchRoot root, uint32 count);
    /// @notice A better certificate must be of the epoch of the first.
    error EpochDiffers(uint64 expected, uint64 got);
    /// @notice The challenge window of the batch is over.
    error WindowClosed(uint64 hardAt);
    /// @notice The non-signers are not a true subset of those that are stored.
    error NonSignersNotShrunk(uint256 stored, uint256 got);
    /// @notice The leaf does not lead to the root of an attested batch.
    error LeafNotAttested(StatementDigest statement, uint8 verdict, BatchRoot root);
    /// @notice Only the challenge game may do this.
    error NotChallengeGame(address caller);
    /// @notice Only the owner and the challenge game may do this.
    error NotOwnerOrGame(address caller);
    /// @notice It was set before and cannot be changed.
    error AlreadySet(address current);
    /// @notice An address that must not be zero is zero.
    error AddressZero();
    /// @notice A statement cannot be contested for so long.
    error ContestTooLong(uint64 until, uint256 latest);
    /// @notice A statement with a standing cannot be verified any more.
    error StatementClosed(StatementDigest statement, Standing standing);
    /// @notice No judge of the program decides about proofs from their bytes.
    error ProgramNotJudged(ProgramId program);
    /// @notice The program's judge counts from a later epoch on.
    error JudgeTooYoung(uint64 epoch, uint64 fromEpoch);
    /// @notice The judge wants more gas than any judge gets.
    error JudgeTooCostly(address judge, uint256 gasNeeded, uint256 limit);
    /// @notice The statement is more than this one record of segment 0 with one item.
    error StatementNotOneSegment(StatementDigest statement);
    /// @notice The bytes are not those of the record's digest.
    error BytesDiffer(bytes32 expected, bytes32 got);
    /// @notice The judge refuses the proof.
    error ProofRefused(StatementDigest statement);
    /// @notice A digest that must not be zero is zero.
    error DigestZero();
    /// @notice The manifest is the program's current one already, or was stopped.
    error ManifestNotNew(ProgramId program, ManifestDigest manifest);
    /// @notice The manifest is not accepted for the program.
    error ManifestNotAccepted(ProgramId program, ManifestDigest manifest);

    /// @notice Attests a batch. Anyone may call it; the epoch must be usable. A repeated call for
    /// an attested batch changes nothing, checks nothing and does not revert.
    function attest(Certificate calldata certificate) external;

    /// @notice Replaces the certificate of a batch by one with strictly fewer non-signers, of the
    /// same epoch, within the challenge window.
    function augment(Certificate calldata certificate) external;

    /// @notice Has the chain judge the one proof of a statement, by its program's judge in the
    /// challenge game's register. From then on every leaf of the statement as valid reads as verified
    /// and hard, contested or not, whoever attested it; its own leaf alone is enough (root
    /// `keccak256(0x00 || statement || 1)`, count 1, index 0, no path). A refused proof reverts and
    /// marks nothing; a repeated call changes nothing. Anyone may call it; bring the judge's
    /// `gasNeeded` and more, or it reverts.
    /// @dev What is judged is the proof. Who is named as its prover, and for how much work, is
    /// nobody's word here: without a certificate the statement pays nobody (`ITaskManager.settle`).
    function verifyDirect(
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes calldata envelope
    ) external returns (StatementDigest digest);

    /// @notice Marks a statement as disputed, given a leaf of either verdict in attested batches. One
    /// that the chain found valid needs only the invalid leaf attested.
    function dispute(
        StatementDigest statement,
        BatchLeaf calldata validLeaf,
        BatchLeaf calldata invalidLeaf
    ) external;

    /// @notice Marks a statement as refuted, for good and over any other standing.
    /// @dev Only the challenge game.
    function refute(StatementDigest statement) external;

    /// @notice Marks a statement as withdrawn, if it has no other standing and the chain has not
    /// judged its proof.
    /// @dev Only the challenge game.
    function withdrawLeaf(StatementDigest statement) external;

    /// @notice Keeps a statement from reading as hard before `until`, which is at most
    /// `contestSecondsMax` ahead. An earlier contest is never shortened.
    /// @dev Only the challenge game.
    function contest(StatementDigest statement, uint64 until) external;

    /// @notice Names the challenge game, once and for good.
    /// @dev WARNING: owner only. The game can end the standing of any statement and stop manifests.
    function setChallengeGame(address game_) external;

    /// @notice Makes `manifest` the current one of `program`.
    /// @dev WARNING: owner only. The manifest says which verifier build decides; a wrong one
    /// settles wrong statements as soon as a quorum follows it.
    function registerProgram(ProgramId program, ManifestDigest manifest) external;

    /// @notice Stops a manifest for good, for example because its verifier is unsound.
    /// @dev WARNING: owner, and the challenge game when a third of the stake made one fault. Open
    /// jobs that were certified under it only can be refunded, not settled.
    function stopManifest(ProgramId program, ManifestDigest manifest) external;

    /// @notice Whether the statement is attested as valid: from the attestation on (`hard` false),
    /// or only after the challenge window and uncontested (`hard` true). False for a statement with
    /// a standing, an unknown batch or a leaf that is not in it; reverts for an index or path that
    /// no batch of that count has. Once the chain judged the proof, the batch needs not be attested.
    function isVerified(StatementDigest statement, BatchLeaf calldata leaf, bool hard)
        external
        view
        returns (bool);

    /// @notice How far a statement with this verdict is settled through this leaf. As valid, a
    /// contested statement is soft at most, and `Refuted` or `Withdrawn` if it is that. Of one that
    /// the chain found valid, the valid leaf is hard, and an attested invalid one disputed.
    function leafFinality(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        external
        view
        returns (Finality);

    /// @notice Epoch, non-signers and first hard second of the batch that this leaf is in; reverts
    /// if it is in none. Who is not among the non-signers signed this verdict of this statement.
    function attestationOf(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        external
        view
        returns (uint64 epoch, uint256 nonSigners, uint64 hardAt);

    /// @notice What is known of a batch.
    function statusOf(BatchRoot root, uint32 count) external view returns (BatchStatus memory);

    /// @notice What became of the statement beside its attestations.
    function standingOf(StatementDigest statement) external view returns (Standing);

    /// @notice When the chain judged the statement's proof and found it valid; 0 if it did not.
    function provedAt(StatementDigest statement) external view returns (uint64);

    /// @notice Before this second the statement does not read as hard; 0 if it was never contested.
    function contestedUntil(StatementDigest statement) external view returns (uint64);

    /// @notice The current manifest of a program; version 0 if it is not registered.
    function programs(ProgramId program) external view returns (Program memory);

    /// @notice Whether statements of the program may be under this manifest.
    function isManifestAccepted(ProgramId program, ManifestDigest manifest)
        external
        view
        returns (bool);

    /// @notice The message that the members of an epoch sign for a batch.
    function attestMessage(uint64 epoch, BatchRoot root, uint32 count)
        external
        view
        returns (bytes32);

    /// @notice The tables that certificates are checked against.
    function epochTable() external view returns (IEpochTable);

    /// @notice Who may refute, withdraw and contest; zero until it is set.
    function challengeGame() external view returns (address);

    /// @notice The longest that a statement can be contested at once, in seconds.
    function contestSecondsMax() external view returns (uint64);

    /// @notice Seconds between soft and hard.
    function challengeSeconds() external view returns (uint64);
}
