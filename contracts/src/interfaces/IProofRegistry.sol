// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";
import {BatchRoot, ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf} from "../types/Protocol.sol";
import {IEpochTable} from "./IEpochTable.sol";

/// @title What the verifier set has attested
/// @notice A batch is named by its root and its number of leaves. A leaf carries the statement
/// digest and the verdict. A batch is soft when attested and hard when its challenge window is
/// over. A statement that is attested with both verdicts is disputed: it never reads as hard again.
/// @dev Who may lie: callers (a certificate is checked from bytes that the contract knows) and up
/// to a third of the stake. Two thirds of the stake can attest anything.
interface IProofRegistry {
    /// @dev How far a batch, or a leaf of it, is settled.
    enum Finality {
        Unknown,
        Soft,
        Hard,
        Disputed
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

    /// @notice Marks a statement as disputed, given a leaf of either verdict in attested batches.
    function dispute(
        StatementDigest statement,
        BatchLeaf calldata validLeaf,
        BatchLeaf calldata invalidLeaf
    ) external;

    /// @notice Makes `manifest` the current one of `program`.
    /// @dev WARNING: owner only. The manifest says which verifier build decides; a wrong one
    /// settles wrong statements as soon as a quorum follows it.
    function registerProgram(ProgramId program, ManifestDigest manifest) external;

    /// @notice Stops a manifest for good, for example because its verifier is unsound.
    /// @dev WARNING: owner only. Open jobs that were certified under it only can be refunded, not
    /// settled.
    function stopManifest(ProgramId program, ManifestDigest manifest) external;

    /// @notice Whether the statement is attested as valid: from the attestation on (`hard` false),
    /// or only after the challenge window and undisputed (`hard` true). False for an unknown batch
    /// or a leaf that is not in it; reverts for an index or path that no batch of that count has.
    function isVerified(StatementDigest statement, BatchLeaf calldata leaf, bool hard)
        external
        view
        returns (bool);

    /// @notice How far a statement with this verdict is settled through this leaf.
    function leafFinality(StatementDigest statement, uint8 verdict, BatchLeaf calldata leaf)
        external
        view
        returns (Finality);

    /// @notice What is known of a batch.
    function statusOf(BatchRoot root, uint32 count) external view returns (BatchStatus memory);

    /// @notice Whether both verdicts of the statement are attested.
    function isDisputed(StatementDigest statement) external view returns (bool);

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

    /// @notice Seconds between soft and hard.
    function challengeSeconds() external view returns (uint64);
}
