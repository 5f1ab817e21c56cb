// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../interfaces/IChallengeGame.sol";
import {IProofRegistry} from "../interfaces/IProofRegistry.sol";
import {IProofVerifier} from "../interfaces/IProofVerifier.sol";
import {StatementDigest} from "../types/Ids.sol";
import {SegmentRecord, Statement} from "../types/Protocol.sol";
import {Digests} from "./Digests.sol";
import {FixedGasCall} from "./FixedGasCall.sol";

/// @title The chain's own judgement of a statement of one segment
/// @notice The judge is the one that the challenge game asks, under the same gas discipline, and
/// from the same epoch on: who registers a judge cannot have it settle anything before the network
/// has seen it.
library ChainJudge {
    /// @notice Most gas that a judge gets, as in the challenge game.
    uint256 internal constant JUDGE_GAS_MAX = 12_000_000;

    /// @notice Refuses everything but a valid proof of the whole statement; returns who judged it.
    function requireValid(
        address game,
        uint64 epoch,
        StatementDigest digest,
        Statement calldata statement,
        SegmentRecord calldata record,
        bytes calldata envelope
    ) internal view returns (address) {
        address verifier = _judgeOf(game, epoch, statement);
        _requireWhole(digest, statement, record);
        bytes32 got = keccak256(envelope);
        if (got != record.proofDigest) {
            revert IProofRegistry.BytesDiffer(record.proofDigest, got);
        }
        uint256 gasNeeded = IProofVerifier(verifier).gasNeeded(envelope);
        if (gasNeeded > JUDGE_GAS_MAX) {
            revert IProofRegistry.JudgeTooCostly(verifier, gasNeeded, JUDGE_GAS_MAX);
        }
        bytes memory question = abi.encodeCall(
            IProofVerifier.verify,
            (
                statement.programId,
                record.vkDigest,
                record.publicValuesDigest,
                statement.claim,
                envelope
            )
        );
        if (!FixedGasCall.ask(verifier, gasNeeded, question)) {
            revert IProofRegistry.ProofRefused(digest);
        }
        return verifier;
    }

    /// @dev The program's judge of proofs, if it counts already.
    function _judgeOf(address game, uint64 epoch, Statement calldata statement)
        private
        view
        returns (address)
    {
        if (game == address(0)) revert IProofRegistry.ProgramNotJudged(statement.programId);
        IChallengeGame.Judge memory judge = IChallengeGame(game).judges(statement.programId);
        if (judge.kind != IChallengeGame.JudgeKind.Proof) {
            revert IProofRegistry.ProgramNotJudged(statement.programId);
        }
        if (epoch < judge.fromEpoch) {
            revert IProofRegistry.JudgeTooYoung(epoch, judge.fromEpoch);
        }
        return judge.verifier;
    }

    /// @dev Refuses a record that is not all of the statement: what an envelope cannot say.
    function _requireWhole(
        StatementDigest digest,
        Statement calldata statement,
        SegmentRecord calldata record
    ) private pure {
        // A tree of one leaf is that leaf.
        bool whole = statement.numSegments == 1 && record.index == 0 && record.first == 0
            && record.count == 1 && Digests.segmentLeaf(record) == statement.segmentsRoot;
        if (!whole) revert IProofRegistry.StatementNotOneSegment(digest);
    }
}
