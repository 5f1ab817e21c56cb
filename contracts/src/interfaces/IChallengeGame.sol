// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {G1Point, G2Point} from "../libraries/Bn254.sol";
import {ManifestDigest, ProgramId, StatementDigest} from "../types/Ids.sol";
import {BatchLeaf, SegmentRecord, Statement} from "../types/Protocol.sol";
import {IEpochTable} from "./IEpochTable.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {IReserve} from "./IReserve.sol";
import {ISlashingCourt} from "./ISlashingCourt.sol";

/// @title Where faults of verifiers are proven
/// @notice Two faults can be proven: having signed `valid` on a proof that the program's judge
/// refuses, and having signed both verdicts of one statement. What was signed is one vote, or a
/// posted certificate that the member is in. An accusation is committed to, with a bond, and
/// revealed at least one block later; the reveal decides it. Beside it, the bytes of a proof can be
/// demanded; if nobody shows them, the leaf is withdrawn and nobody is slashed.
/// @dev Who may lie: everybody but the judges that the owner registered. Every digest, message and
/// membership is computed here from what is on-chain; nothing that a caller says about them counts.
interface IChallengeGame {
    /// @dev How the chain can tell that a proof of a program is refused. `Proof`: an
    /// `IProofVerifier` judges the bytes. `Refutation`: an `IRefutationVerifier` judges a proof that
    /// they are refused.
    enum JudgeKind {
        None,
        Proof,
        Refutation
    }

    /// @dev A program's judge. Who signed under an epoch before `fromEpoch` cannot be held to it.
    struct Judge {
        address verifier;
        uint64 fromEpoch;
        JudgeKind kind;
    }

    /// @dev None, Open, then one of the two ends.
    enum DemandState {
        None,
        Open,
        Answered,
        Unanswered
    }

    /// @dev What is kept of a demand; it is answered by the bytes with this digest up to and in the
    /// second `until`.
    struct Demand {
        address demander;
        uint64 until;
        DemandState state;
        bytes32 proofDigest;
    }

    /// @dev Fixed at deployment. Bonds in wei, times in seconds. Forfeited bonds go to `reserve`.
    struct GameParams {
        uint128 bond;
        uint128 demandBond;
        uint64 commitSeconds;
        uint64 answerSeconds;
        IReserve reserve;
    }

    /// @dev Why the statement is false: a segment of it, and what the judge is shown, an envelope or
    /// a refutation. Only the statement counts if it is refuted already; the rest may be empty.
    struct Refutation {
        Statement statement;
        SegmentRecord record;
        bytes32[] path;
        bytes shown;
    }

    /// @dev A member's own signature on one verdict of one statement.
    struct Vote {
        uint64 epoch;
        uint256 member;
        uint8 verdict;
        G1Point signature;
        G2Point key2;
    }

    /// @dev A posted certificate that says the verdict, and a member that is not among its stored
    /// non-signers.
    struct Attested {
        uint256 member;
        uint8 verdict;
        BatchLeaf leaf;
    }

    /// @notice From its `fromEpoch` on, the program's proofs are judged by this judge.
    event JudgeRegistered(ProgramId indexed program, JudgeKind kind, address verifier, uint64 from);
    /// @notice A challenger may reveal from the next block on, until `expiresAt`.
    event Committed(address indexed challenger, bytes32 indexed commitment, uint64 expiresAt);
    /// @notice The accusation is right: the court has the case, the bond went back.
    event ChallengeUpheld(
        address indexed challenger, bytes32 indexed commitment, bytes32 indexed caseId, bool shared
    );
    /// @notice The accusation is right, but there was a case already: the bond went back.
    event ChallengeDuplicate(
        address indexed challenger, bytes32 indexed commitment, bytes32 indexed caseId
    );
    /// @notice The judge does not refuse the proof: the bond is forfeited.
    event ChallengeRejected(
        address indexed challenger, bytes32 indexed commitment, StatementDigest indexed statement
    );
    /// @notice The commitment was not revealed in time: the bond is forfeited.
    event CommitmentExpired(address indexed challenger, bytes32 indexed commitment);
    /// @notice Forfeited bonds were sent to where they go.
    event ForfeitsSent(uint256 amount);
    /// @notice The bytes of a segment's proof are wanted by `until`.
    event ProofDemanded(
        StatementDigest indexed statement,
        uint32 indexed index,
        bytes32 proofDigest,
        address demander,
        uint64 until
    );
    /// @notice The bytes are in the calldata of this transaction.
    event DemandAnswered(
        StatementDigest indexed statement, uint32 indexed index, address responder
    );
    /// @notice Nobody showed the bytes.
    event DemandUnanswered(StatementDigest indexed statement, uint32 indexed index);
    /// @notice `account` may withdraw `amount` more.
    event Credited(address indexed account, uint256 amount);
    /// @notice `amount` of the account's credit was sent.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice A bond or a time is zero, there is no reserve, a contest would be
    /// longer than the registry allows, or what follows a late answer does not fit into the slack
    /// of the epochs.
    error GameParamsInvalid();
    /// @notice The program has a judge, which is for good.
    error JudgeExists(ProgramId program, address verifier);
    /// @notice There is no contract at this address, or no kind.
    error JudgeInvalid(address verifier);
    /// @notice The chain cannot judge proofs of this program, or not in this way.
    error ProgramNotJudged(ProgramId program, JudgeKind kind);
    /// @notice Who signed under this epoch could not know the judge.
    error JudgeTooYoung(uint64 epoch, uint64 fromEpoch);
    /// @notice The judge wants more gas than any call gets.
    error JudgeTooCostly(address verifier, uint256 gasNeeded, uint256 gasMax);
    /// @notice Another amount has to be sent.
    error BondWrong(uint256 expected, uint256 got);
    /// @notice The commitment is open.
    error AlreadyCommitted(address challenger, bytes32 commitment);
    /// @notice The caller has no open commitment to exactly this call.
    error NotCommitted(address challenger, bytes32 commitment);
    /// @notice A commitment is revealed in a later block than it was made.
    error RevealTooEarly(uint256 committedInBlock);
    /// @notice The time of the commitment is over.
    error RevealTooLate(uint64 expiresAt);
    /// @notice The commitment can still be revealed.
    error NotExpired(uint64 expiresAt);
    /// @notice The record does not lead to the statement's root of segments.
    error RecordNotInStatement(StatementDigest statement, uint32 index);
    /// @notice The bytes have another digest than the record says.
    error BytesDiffer(bytes32 expected, bytes32 got);
    /// @notice The proof is not refused.
    error NotRefused(StatementDigest statement);
    /// @notice Only `valid` on a refused proof is this fault.
    error VerdictNotValid(uint8 verdict);
    /// @notice There is no such verdict.
    error VerdictUnknown(uint8 verdict);
    /// @notice The vote's signature does not verify under the member's key.
    error VoteInvalid(bytes32 message);
    /// @notice The member is among the non-signers of the certificate.
    error MemberDidNotSign(uint64 epoch, uint256 member);
    /// @notice Two signatures of one verdict are no fault.
    error VerdictsAgree(uint8 verdict);
    /// @notice The two signatures are of different keys.
    error KeysDiffer(address first, address second);
    /// @notice The batch of the leaf is hard: what it says was acted on.
    error LeafHard(StatementDigest statement, uint64 hardAt);
    /// @notice The statement does not read as verified anyway.
    error StatementClosed(StatementDigest statement, IProofRegistry.Standing standing);
    /// @notice Each segment of a statement is demanded at most once.
    error AlreadyDemanded(StatementDigest statement, uint32 index);
    /// @notice The demand does not exist or is over.
    error DemandNotOpen(StatementDigest statement, uint32 index, DemandState state);
    /// @notice The time to answer is over.
    error AnswerTooLate(uint64 until);
    /// @notice The demand can still be answered.
    error AnswerOpen(uint64 until);
    /// @notice There is nothing to send.
    error NothingToWithdraw(address account);
    /// @notice Money cannot be sent to nobody.
    error RecipientZero();
    /// @notice The recipient refused the money.
    error PaymentFailed(address to, uint256 amount);

    /// @notice Commits the caller to a reveal, with the bond: `commitmentOf` the caller and of the
    /// whole calldata of one of the four reveals. Nobody else can reveal it, and what others commit
    /// to does not touch it.
    function commit(bytes32 commitment) external payable;

    /// @notice Accuses a member of having voted `valid` on a refused proof. The salt only blinds
    /// the commitment, here and below.
    function revealVote(Refutation calldata refutation, Vote calldata vote, bytes32 salt) external;

    /// @notice Accuses a member of having attested `valid` on a refused proof. A certificate holds
    /// two thirds of the stake: the manifest is stopped, the case waits for the long veto.
    function revealAttestation(
        Refutation calldata refutation,
        Attested calldata attested,
        bytes32 salt
    ) external;

    /// @notice Accuses a member of two votes with different verdicts on one statement, of any
    /// epochs; it is held to the later one.
    function revealVotes(
        Statement calldata statement,
        Vote calldata first,
        Vote calldata second,
        bytes32 salt
    ) external;

    /// @notice Accuses a member of a vote and an attestation with different verdicts on one
    /// statement, of any epochs; it is held to the later one.
    function revealVoteAndAttestation(
        Statement calldata statement,
        Vote calldata vote,
        Attested calldata attested,
        bytes32 salt
    ) external;

    /// @notice Marks a statement as refuted, without accusing anybody. Anyone may call it; reverts
    /// if the proof is not refused.
    function refute(Refutation calldata refutation) external;

    /// @notice Takes the bond of a commitment whose time is over. Anyone may call it.
    function expire(address challenger, bytes32 commitment) external;

    /// @notice Sends all forfeited bonds to the reserve. Anyone may call it.
    function sweep() external;

    /// @notice Demands the bytes of one segment's proof, with a bond, while the leaf is soft. The
    /// statement does not read as hard until the time to answer, and as much again as the challenge
    /// window, is over.
    function demand(
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes32[] calldata path,
        BatchLeaf calldata leaf
    ) external payable;

    /// @notice Shows the demanded bytes. The bond is the caller's.
    function answer(StatementDigest statement, uint32 index, bytes calldata envelope) external;

    /// @notice Withdraws the leaf of a demand whose time is over. Anyone may call it; the bond is
    /// the demander's again. Nobody is slashed.
    function closeUnanswered(StatementDigest statement, uint32 index) external;

    /// @notice Sends all of the caller's credit to `to`.
    function withdraw(address payable to) external;

    /// @notice Gives a program its judge, once and for good. It judges what is signed from the next
    /// epoch on.
    /// @dev WARNING: owner only. A judge that refuses good proofs slashes the honest, as far as the
    /// veto role lets it.
    function registerJudge(ProgramId program, JudgeKind kind, address verifier) external;

    /// @notice What a caller commits to: `revealCall` is the whole calldata of its reveal.
    function commitmentOf(address challenger, bytes calldata revealCall)
        external
        view
        returns (bytes32);

    /// @notice Block and last second of an open commitment; zero if there is none.
    function commitments(address challenger, bytes32 commitment)
        external
        view
        returns (uint64 committedInBlock, uint64 expiresAt);

    /// @notice What is kept of a demand; state `None` if there was none.
    function demands(StatementDigest statement, uint32 index) external view returns (Demand memory);

    /// @notice The judge of a program; kind `None` if it has none.
    function judges(ProgramId program) external view returns (Judge memory);

    /// @notice Stake of the epoch's members that were accused of a fault by their votes.
    function accusedStake(StatementDigest statement, uint64 epoch, ISlashingCourt.Fault fault)
        external
        view
        returns (uint128);

    /// @notice What an account can withdraw, in wei.
    function credits(address account) external view returns (uint256);

    /// @notice Forfeited bonds that were not sent yet, in wei.
    function forfeited() external view returns (uint256);

    /// @notice The bond of an accusation, in wei.
    function bond() external view returns (uint128);

    /// @notice The bond of a demand, in wei.
    function demandBond() external view returns (uint128);

    /// @notice Seconds in which a commitment can be revealed.
    function commitSeconds() external view returns (uint64);

    /// @notice Seconds in which a demand can be answered.
    function answerSeconds() external view returns (uint64);

    /// @notice Where forfeited bonds go.
    function reserve() external view returns (IReserve);

    /// @notice The registry whose leaves are judged.
    function registry() external view returns (IProofRegistry);

    /// @notice Whose members vote.
    function epochTable() external view returns (IEpochTable);

    /// @notice Where cases are filed.
    function court() external view returns (ISlashingCourt);
}
