// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IChallengeGame} from "./interfaces/IChallengeGame.sol";
import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IProofRegistry} from "./interfaces/IProofRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {IRefutationVerifier} from "./interfaces/IRefutationVerifier.sol";
import {IReserve} from "./interfaces/IReserve.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {Bn254, G1Point} from "./libraries/Bn254.sol";
import {Digests} from "./libraries/Digests.sol";
import {FixedGasCall} from "./libraries/FixedGasCall.sol";
import {MerkleTree} from "./libraries/MerkleTree.sol";
import {StoredEpoch} from "./libraries/StoredEpoch.sol";
import {ProgramId, StatementDigest} from "./types/Ids.sol";
import {
    BatchLeaf,
    SegmentRecord,
    Statement,
    VERDICT_INVALID,
    VERDICT_VALID
} from "./types/Protocol.sol";

/// @title ChallengeGame
contract ChallengeGame is IChallengeGame, Ownable2Step, ReentrancyGuardTransient {
    /// @dev An open commitment of an account; both zero if there is none.
    struct Commitment {
        uint64 committedInBlock;
        uint64 expiresAt;
    }

    /// @dev Who signed, as the epoch's table says; `table` is where it is stored.
    struct Signer {
        uint64 epoch;
        uint256 member;
        address operator;
        address table;
        G1Point key;
        uint128 stake;
    }

    /// @dev Most gas that a judge gets: more than any pairing check of one proof needs, and less
    /// than the least gas limit of a transaction on the chains that we know (2^24 on Ethereum).
    uint256 private constant JUDGE_GAS_MAX = 12_000_000;
    bytes32 private constant COMMIT_TAG = keccak256("PROOFGRID_CHALLENGE_COMMIT_V1");

    /// @inheritdoc IChallengeGame
    IProofRegistry public immutable registry;
    /// @inheritdoc IChallengeGame
    IEpochTable public immutable epochTable;
    /// @inheritdoc IChallengeGame
    ISlashingCourt public immutable court;
    /// @inheritdoc IChallengeGame
    uint128 public immutable bond;
    /// @inheritdoc IChallengeGame
    uint128 public immutable demandBond;
    /// @inheritdoc IChallengeGame
    uint64 public immutable commitSeconds;
    /// @inheritdoc IChallengeGame
    uint64 public immutable answerSeconds;
    /// @inheritdoc IChallengeGame
    IReserve public immutable reserve;
    uint64 private immutable _judgeSeconds;

    /// @inheritdoc IChallengeGame
    mapping(address challenger => mapping(bytes32 commitment => Commitment record)) public
        commitments;
    /// @inheritdoc IChallengeGame
    mapping(address account => uint256 amount) public credits;
    /// @inheritdoc IChallengeGame
    uint256 public forfeited;
    mapping(StatementDigest statement => mapping(uint32 index => Demand record)) private _demands;
    mapping(ProgramId program => Judge judge) private _judges;
    mapping(bytes32 accusation => uint128 stake) private _accusedStake;

    constructor(
        IProofRegistry registry_,
        ISlashingCourt court_,
        GameParams memory params_,
        address owner_
    ) Ownable(owner_) {
        registry = registry_;
        epochTable = registry_.epochTable();
        court = court_;
        bond = params_.bond;
        demandBond = params_.demandBond;
        commitSeconds = params_.commitSeconds;
        answerSeconds = params_.answerSeconds;
        reserve = params_.reserve;
        _judgeSeconds = registry_.challengeSeconds();
        _requireSound(params_, registry_);
    }

    /// @inheritdoc IChallengeGame
    function commit(bytes32 commitment) external payable {
        if (msg.value != bond) revert BondWrong(bond, msg.value);
        Commitment storage record = commitments[msg.sender][commitment];
        if (record.expiresAt != 0) revert AlreadyCommitted(msg.sender, commitment);
        uint64 expiresAt = SafeCast.toUint64(block.timestamp + commitSeconds);
        record.committedInBlock = SafeCast.toUint64(block.number);
        record.expiresAt = expiresAt;
        emit Committed(msg.sender, commitment, expiresAt);
    }

    /// @inheritdoc IChallengeGame
    function revealVote(Refutation calldata refutation, Vote calldata vote, bytes32)
        external
        nonReentrant
    {
        bytes32 commitment = _reveal();
        StatementDigest digest = Digests.statementDigest(refutation.statement);
        if (vote.verdict != VERDICT_VALID) revert VerdictNotValid(vote.verdict);
        if (!_refute(digest, refutation)) return _reject(commitment, digest);
        Signer memory signer = _voter(digest, vote);
        _requireJudged(refutation.statement.programId, signer.epoch);
        _file(
            commitment, refutation.statement, digest, ISlashingCourt.Fault.FalseValid, signer, false
        );
    }

    /// @inheritdoc IChallengeGame
    function revealAttestation(Refutation calldata refutation, Attested calldata attested, bytes32)
        external
        nonReentrant
    {
        bytes32 commitment = _reveal();
        StatementDigest digest = Digests.statementDigest(refutation.statement);
        if (attested.verdict != VERDICT_VALID) revert VerdictNotValid(attested.verdict);
        if (!_refute(digest, refutation)) return _reject(commitment, digest);
        Signer memory signer = _attester(digest, attested);
        _requireJudged(refutation.statement.programId, signer.epoch);
        _file(
            commitment, refutation.statement, digest, ISlashingCourt.Fault.FalseValid, signer, true
        );
    }

    /// @inheritdoc IChallengeGame
    function revealVotes(
        Statement calldata statement,
        Vote calldata first,
        Vote calldata second,
        bytes32
    ) external nonReentrant {
        bytes32 commitment = _reveal();
        StatementDigest digest = Digests.statementDigest(statement);
        if (first.verdict == second.verdict) revert VerdictsAgree(first.verdict);
        Signer memory signer = _laterOfOneKey(_voter(digest, first), _voter(digest, second));
        _file(commitment, statement, digest, ISlashingCourt.Fault.Equivocation, signer, false);
    }

    /// @inheritdoc IChallengeGame
    function revealVoteAndAttestation(
        Statement calldata statement,
        Vote calldata vote,
        Attested calldata attested,
        bytes32
    ) external nonReentrant {
        bytes32 commitment = _reveal();
        StatementDigest digest = Digests.statementDigest(statement);
        if (vote.verdict == attested.verdict) revert VerdictsAgree(vote.verdict);
        Signer memory signer = _laterOfOneKey(_voter(digest, vote), _attester(digest, attested));
        _file(commitment, statement, digest, ISlashingCourt.Fault.Equivocation, signer, false);
    }

    /// @inheritdoc IChallengeGame
    function refute(Refutation calldata refutation) external {
        StatementDigest digest = Digests.statementDigest(refutation.statement);
        if (!_refute(digest, refutation)) revert NotRefused(digest);
    }

    /// @inheritdoc IChallengeGame
    function expire(address challenger, bytes32 commitment) external {
        Commitment memory record = commitments[challenger][commitment];
        if (record.expiresAt == 0) revert NotCommitted(challenger, commitment);
        if (block.timestamp <= record.expiresAt) revert NotExpired(record.expiresAt);
        delete commitments[challenger][commitment];
        forfeited += bond;
        emit CommitmentExpired(challenger, commitment);
    }

    /// @inheritdoc IChallengeGame
    function sweep() external nonReentrant {
        uint256 amount = forfeited;
        if (amount == 0) revert NothingToWithdraw(address(reserve));
        forfeited = 0;
        emit ForfeitsSent(amount);
        reserve.fundReserve{value: amount}();
    }

    /// @inheritdoc IChallengeGame
    function demand(
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes32[] calldata path,
        BatchLeaf calldata leaf
    ) external payable {
        if (msg.value != demandBond) {
            revert BondWrong(demandBond, msg.value);
        }
        JudgeKind kind = _judges[statement.programId].kind;
        if (kind != JudgeKind.Proof) revert ProgramNotJudged(statement.programId, kind);
        StatementDigest digest = Digests.statementDigest(statement);
        _requireRecord(digest, statement, record, path);
        _requireDemandable(digest, leaf);
        Demand storage wanted = _demands[digest][record.index];
        if (wanted.state != DemandState.None) revert AlreadyDemanded(digest, record.index);
        uint64 until = SafeCast.toUint64(block.timestamp + answerSeconds);
        _demands[digest][record.index] =
            Demand(msg.sender, until, DemandState.Open, record.proofDigest);
        emit ProofDemanded(digest, record.index, record.proofDigest, msg.sender, until);
        // Long enough to judge bytes that are shown in the last second, and to close the demand
        // before the leaf can be acted on.
        registry.contest(digest, until + _judgeSeconds);
    }

    /// @inheritdoc IChallengeGame
    function answer(StatementDigest statement, uint32 index, bytes calldata envelope) external {
        Demand storage wanted = _openDemand(statement, index);
        if (block.timestamp > wanted.until) revert AnswerTooLate(wanted.until);
        _requireBytes(wanted.proofDigest, envelope);
        wanted.state = DemandState.Answered;
        emit DemandAnswered(statement, index, msg.sender);
        _credit(msg.sender, demandBond);
    }

    /// @inheritdoc IChallengeGame
    function closeUnanswered(StatementDigest statement, uint32 index) external {
        Demand storage wanted = _openDemand(statement, index);
        if (block.timestamp <= wanted.until) revert AnswerOpen(wanted.until);
        wanted.state = DemandState.Unanswered;
        emit DemandUnanswered(statement, index);
        _credit(wanted.demander, demandBond);
        registry.withdrawLeaf(statement);
    }

    /// @inheritdoc IChallengeGame
    function withdraw(address payable to) external nonReentrant {
        if (to == address(0)) revert RecipientZero();
        uint256 amount = credits[msg.sender];
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        credits[msg.sender] = 0;
        emit Withdrawn(msg.sender, to, amount);
        _send(to, amount);
    }

    /// @inheritdoc IChallengeGame
    function registerJudge(ProgramId program, JudgeKind kind, address verifier) external onlyOwner {
        Judge storage judge = _judges[program];
        if (judge.kind != JudgeKind.None) revert JudgeExists(program, judge.verifier);
        if (kind == JudgeKind.None || verifier.code.length == 0) revert JudgeInvalid(verifier);
        uint64 fromEpoch = epochTable.currentEpoch() + 1;
        _judges[program] = Judge(verifier, fromEpoch, kind);
        emit JudgeRegistered(program, kind, verifier, fromEpoch);
    }

    /// @inheritdoc IChallengeGame
    function commitmentOf(address challenger, bytes calldata revealCall)
        external
        view
        returns (bytes32)
    {
        return _commitment(challenger, revealCall);
    }

    /// @inheritdoc IChallengeGame
    function demands(StatementDigest statement, uint32 index)
        external
        view
        returns (Demand memory)
    {
        return _demands[statement][index];
    }

    /// @inheritdoc IChallengeGame
    function judges(ProgramId program) external view returns (Judge memory) {
        return _judges[program];
    }

    /// @inheritdoc IChallengeGame
    function accusedStake(StatementDigest statement, uint64 epoch, ISlashingCourt.Fault fault)
        external
        view
        returns (uint128)
    {
        return _accusedStake[_accusation(statement, epoch, fault)];
    }

    /// @dev Uses up the caller's commitment to exactly this call. The bond is paid out or forfeited
    /// by whoever calls this.
    function _reveal() private returns (bytes32 commitment) {
        commitment = _commitment(msg.sender, msg.data);
        Commitment memory record = commitments[msg.sender][commitment];
        if (record.expiresAt == 0) revert NotCommitted(msg.sender, commitment);
        if (block.number <= record.committedInBlock) {
            revert RevealTooEarly(record.committedInBlock);
        }
        if (block.timestamp > record.expiresAt) revert RevealTooLate(record.expiresAt);
        delete commitments[msg.sender][commitment];
    }

    /// @dev Keeps the bond of an accusation that the judge does not share.
    function _reject(bytes32 commitment, StatementDigest digest) private {
        forfeited += bond;
        emit ChallengeRejected(msg.sender, commitment, digest);
    }

    /// @dev Files the case and sends the bond back, last. `certified`: two thirds of the stake did
    /// the same.
    function _file(
        bytes32 commitment,
        Statement calldata statement,
        StatementDigest digest,
        ISlashingCourt.Fault fault,
        Signer memory signer,
        bool certified
    ) private {
        if (court.isFiled(signer.operator, digest)) {
            bytes32 known = court.caseIdOf(signer.operator, digest);
            emit ChallengeDuplicate(msg.sender, commitment, known);
        } else {
            bool shared = certified || _isShared(digest, fault, signer);
            bytes32 caseId = court.file(
                signer.operator, signer.epoch, signer.member, digest, fault, msg.sender, shared
            );
            emit ChallengeUpheld(msg.sender, commitment, caseId, shared);
            if (shared && registry.isManifestAccepted(statement.programId, statement.manifest)) {
                registry.stopManifest(statement.programId, statement.manifest);
            }
        }
        _send(payable(msg.sender), bond);
    }

    /// @dev Adds the signer to those of its epoch that are accused of this fault on this statement;
    /// whether they hold a third of the epoch's stake or more. Each is added once, because there is
    /// one case per operator and statement.
    function _isShared(StatementDigest digest, ISlashingCourt.Fault fault, Signer memory signer)
        private
        returns (bool)
    {
        bytes32 accusation = _accusation(digest, signer.epoch, fault);
        uint128 accused = _accusedStake[accusation] + signer.stake;
        _accusedStake[accusation] = accused;
        return 3 * uint256(accused) >= StoredEpoch.readTotalStake(signer.table);
    }

    /// @dev Whether the statement is refuted, after asking the program's judge if it was not.
    function _refute(StatementDigest digest, Refutation calldata refutation)
        private
        returns (bool)
    {
        if (registry.standingOf(digest) == IProofRegistry.Standing.Refuted) {
            return true;
        }
        if (!_isRefused(digest, refutation)) return false;
        registry.refute(digest);
        return true;
    }

    /// @dev Whether the program's judge refuses the proof of a segment of the statement.
    function _isRefused(StatementDigest digest, Refutation calldata r) private view returns (bool) {
        _requireRecord(digest, r.statement, r.record, r.path);
        Judge memory judge = _judges[r.statement.programId];
        if (judge.kind == JudgeKind.Proof) {
            _requireBytes(r.record.proofDigest, r.shown);
            bytes memory question = abi.encodeCall(
                IProofVerifier.verify,
                (
                    r.statement.programId,
                    r.record.vkDigest,
                    r.record.publicValuesDigest,
                    r.statement.claim,
                    r.shown
                )
            );
            return !_ask(judge.verifier, r.shown, question);
        }
        if (judge.kind == JudgeKind.Refutation) {
            return _ask(judge.verifier, r.shown, _refutationQuestion(r));
        }
        revert ProgramNotJudged(r.statement.programId, judge.kind);
    }

    /// @dev The call that asks whether what is shown proves the refusal.
    function _refutationQuestion(Refutation calldata r) private pure returns (bytes memory) {
        return abi.encodeCall(
            IRefutationVerifier.refutes,
            (
                r.statement.programId,
                r.statement.manifest,
                r.record.vkDigest,
                r.record.publicValuesDigest,
                r.statement.claim,
                r.record.proofDigest,
                r.shown
            )
        );
    }

    /// @dev The judge's answer, given all the gas that it says it needs for what it is shown. Both
    /// kinds of judges say so in the same words.
    function _ask(address verifier, bytes calldata shown, bytes memory question)
        private
        view
        returns (bool)
    {
        uint256 gasNeeded = IProofVerifier(verifier).gasNeeded(shown);
        if (gasNeeded > JUDGE_GAS_MAX) revert JudgeTooCostly(verifier, gasNeeded, JUDGE_GAS_MAX);
        return FixedGasCall.ask(verifier, gasNeeded, question);
    }

    /// @dev The member whose vote this is.
    function _voter(StatementDigest digest, Vote calldata vote)
        private
        view
        returns (Signer memory signer)
    {
        if (vote.verdict != VERDICT_VALID && vote.verdict != VERDICT_INVALID) {
            revert VerdictUnknown(vote.verdict);
        }
        bytes32 tableDigest;
        (signer, tableDigest) = _member(vote.epoch, vote.member);
        bytes32 message = Digests.voteMessage(
            block.chainid, address(epochTable), vote.epoch, tableDigest, digest, vote.verdict
        );
        if (!Bn254.verify(message, vote.signature, signer.key, vote.key2)) {
            revert VoteInvalid(message);
        }
    }

    /// @dev The member that is a signer of this certificate. Its non-signers only ever shrink, and
    /// what is aggregated was checked against the keys of all others.
    function _attester(StatementDigest digest, Attested calldata attested)
        private
        view
        returns (Signer memory signer)
    {
        (uint64 epoch, uint256 nonSigners,) =
            registry.attestationOf(digest, attested.verdict, attested.leaf);
        if ((nonSigners >> attested.member) & 1 == 1) {
            revert MemberDidNotSign(epoch, attested.member);
        }
        (signer,) = _member(epoch, attested.member);
    }

    /// @dev A member of an epoch's table, and the table's digest; reverts if there is none.
    function _member(uint64 epoch, uint256 member)
        private
        view
        returns (Signer memory signer, bytes32 tableDigest)
    {
        (signer.epoch, signer.member) = (epoch, member);
        (signer.table, tableDigest,) = epochTable.tableAt(epoch);
        (signer.operator, signer.key, signer.stake) =
            StoredEpoch.readMember(signer.table, epoch, member);
    }

    /// @dev The signer of the later epoch, of two that are one key.
    function _laterOfOneKey(Signer memory first, Signer memory second)
        private
        pure
        returns (Signer memory)
    {
        if (first.key.x != second.key.x || first.key.y != second.key.y) {
            revert KeysDiffer(first.operator, second.operator);
        }
        return second.epoch > first.epoch ? second : first;
    }

    /// @dev Refuses to hold a signature to a judge that was not there when it was given.
    function _requireJudged(ProgramId program, uint64 epoch) private view {
        uint64 fromEpoch = _judges[program].fromEpoch;
        if (epoch < fromEpoch) revert JudgeTooYoung(epoch, fromEpoch);
    }

    /// @dev Refuses a record that is not the statement's.
    function _requireRecord(
        StatementDigest digest,
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes32[] calldata path
    ) private pure {
        bytes32 root = MerkleTree.rootFromPath(
            Digests.segmentLeaf(record), record.index, statement.numSegments, path
        );
        if (root != statement.segmentsRoot) revert RecordNotInStatement(digest, record.index);
    }

    /// @dev Refuses bytes with another digest.
    function _requireBytes(bytes32 expected, bytes calldata shown) private pure {
        bytes32 got = keccak256(shown);
        if (got != expected) revert BytesDiffer(expected, got);
    }

    /// @dev Refuses a statement that is not attested as valid, is hard, or reads as verified no more.
    function _requireDemandable(StatementDigest digest, BatchLeaf calldata leaf) private view {
        (,, uint64 hardAt) = registry.attestationOf(digest, VERDICT_VALID, leaf);
        if (block.timestamp >= hardAt) revert LeafHard(digest, hardAt);
        IProofRegistry.Standing standing = registry.standingOf(digest);
        if (standing != IProofRegistry.Standing.None) revert StatementClosed(digest, standing);
    }

    /// @dev The record of a demand that is neither answered nor closed.
    function _openDemand(StatementDigest statement, uint32 index)
        private
        view
        returns (Demand storage wanted)
    {
        wanted = _demands[statement][index];
        if (wanted.state != DemandState.Open) {
            revert DemandNotOpen(statement, index, wanted.state);
        }
    }

    /// @dev Binds a reveal to its sender, chain and contract.
    function _commitment(address challenger, bytes calldata revealCall)
        private
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(COMMIT_TAG, block.chainid, address(this), challenger, keccak256(revealCall))
        );
    }

    /// @dev Where accused stake is added up: stake of two epochs never is.
    function _accusation(StatementDigest statement, uint64 epoch, ISlashingCourt.Fault fault)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(statement, epoch, fault));
    }

    /// @dev Adds to what an account can withdraw.
    function _credit(address account, uint256 amount) private {
        credits[account] += amount;
        emit Credited(account, amount);
    }

    /// @dev Sends wei; the last thing that a function does.
    function _send(address payable to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert PaymentFailed(to, amount);
    }

    /// @dev Refuses parameters under which a demand could outlast what others count on.
    function _requireSound(GameParams memory p, IProofRegistry registry_) private view {
        uint256 contest = uint256(p.answerSeconds) + registry_.challengeSeconds();
        if (
            p.bond == 0 || p.demandBond == 0 || p.commitSeconds == 0 || p.answerSeconds == 0
                || address(p.reserve) == address(0) || contest > registry_.contestSecondsMax()
                || contest > registry_.epochTable().params().slackSeconds
        ) revert GameParamsInvalid();
    }
}
