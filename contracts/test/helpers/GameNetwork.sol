// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ChallengeGame} from "../../src/ChallengeGame.sol";
import {SlashingCourt} from "../../src/SlashingCourt.sol";
import {DevToken} from "../../src/dev/DevToken.sol";
import {IChallengeGame} from "../../src/interfaces/IChallengeGame.sol";
import {IEpochTable} from "../../src/interfaces/IEpochTable.sol";
import {ISlashingCourt} from "../../src/interfaces/ISlashingCourt.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {MerkleTree} from "../../src/libraries/MerkleTree.sol";
import {JobId, StatementDigest} from "../../src/types/Ids.sol";
import {BatchLeaf, SegmentRecord, Statement} from "../../src/types/Protocol.sol";
import {G2} from "./G2.sol";
import {AvsManagerDouble, JudgeDouble, ReserveDouble} from "./GameDoubles.sol";
import {Network} from "./Network.sol";

/// @title A network with court and game, real keys, and stakes 3, 3, 2, 1
/// @dev A statement of these tests has two segments; the second one's proof is what is challenged.
abstract contract GameNetwork is Network {
    uint64 internal constant VETO = 600;
    uint64 internal constant LONG_VETO = 3000;
    uint64 internal constant SLACK = 600;
    uint32 internal constant LOOKAHEAD = 940;
    /// @dev The most blocks in the two windows, a block each 12 seconds.
    uint256 internal constant VETO_BLOCKS = 50;
    uint256 internal constant LONG_VETO_BLOCKS = 250;
    uint64 internal constant FALSE_VALID_WAD = 0.5e18;
    uint64 internal constant EQUIVOCATION_WAD = 0.25e18;
    uint64 internal constant REWARD_WAD = 0.4e18;
    uint128 internal constant BOND = 0.1 ether;
    uint128 internal constant DEMAND_BOND = 0.2 ether;
    uint64 internal constant COMMIT_SECONDS = 300;
    uint64 internal constant ANSWER = 240;
    uint8 internal constant VALID = 1;
    uint8 internal constant INVALID = 2;
    address internal constant VETOER = address(0x7E70);
    address internal constant CHALLENGER = address(0xC0FFEE);
    bytes32 internal constant SALT = keccak256("salt");

    DevToken internal rewards;
    AvsManagerDouble internal avs;
    JudgeDouble internal judge;
    ReserveDouble internal reserve;
    SlashingCourt internal court;
    ChallengeGame internal game;

    /// @dev Everything but court and game.
    function deployBase() internal {
        deploy();
        numOperators = 0;
        rewards = new DevToken(address(this));
        avs = new AvsManagerDouble();
        judge = new JudgeDouble();
        reserve = new ReserveDouble();
    }

    function deployCourt(IERC20 token_, ISlashingCourt.CourtParams memory p) internal {
        court = new SlashingCourt(avs, epochs, token_, p, OWNER);
        avs.setCourt(address(court));
        vm.prank(OWNER);
        epochs.setCourt(address(court));
    }

    function deployGame() internal {
        deployBase();
        deployCourt(rewards, courtParams());
        game = new ChallengeGame(registry, court, gameParams(), OWNER);
        vm.prank(OWNER);
        court.setChallengeGame(address(game));
        vm.prank(OWNER);
        registry.setChallengeGame(address(game));
        vm.prank(OWNER);
        game.registerJudge(PROGRAM, IChallengeGame.JudgeKind.Proof, address(judge));
    }

    function addFour() internal {
        uint128[4] memory stakes = [uint128(3 ether), 3 ether, 2 ether, 1 ether];
        for (uint256 i = 0; i < 4; ++i) {
            addOperator(stakes[i]);
            avs.setStake(operatorAt(i), stakes[i]);
        }
    }

    /// @dev The operator gets no place in the next epoch.
    function dropStake(uint256 index) internal {
        address[] memory who = new address[](1);
        who[0] = operatorAt(index);
        operatorSet.slash(who[0], operatorSet.slashableStakes(who, 0)[0]);
    }

    function epochParams() internal pure override returns (IEpochTable.EpochParams memory p) {
        p = super.epochParams();
        (p.vetoSeconds, p.slackSeconds, p.lookaheadBlocks) = (LONG_VETO, SLACK, LOOKAHEAD);
    }

    function courtParams() internal pure returns (ISlashingCourt.CourtParams memory) {
        return ISlashingCourt.CourtParams({
            vetoer: VETOER,
            vetoSeconds: VETO,
            falseValidWad: FALSE_VALID_WAD,
            equivocationWad: EQUIVOCATION_WAD,
            rewardWad: REWARD_WAD
        });
    }

    function gameParams() internal view returns (IChallengeGame.GameParams memory) {
        return IChallengeGame.GameParams({
            bond: BOND,
            demandBond: DEMAND_BOND,
            commitSeconds: COMMIT_SECONDS,
            answerSeconds: ANSWER,
            reserve: reserve
        });
    }

    // Statements

    function falseProof() internal pure returns (bytes memory) {
        return "refused by everybody who looks";
    }

    function goodProof() internal pure returns (bytes memory) {
        return "valid beyond doubt";
    }

    /// @dev What refutes the statement of this job number whose second proof is `shown`.
    function refutationOf(uint256 number, bytes memory shown)
        internal
        pure
        returns (IChallengeGame.Refutation memory r)
    {
        SegmentRecord[] memory list = twoRecords();
        list[1].proofDigest = keccak256(shown);
        bytes32[] memory leaves = new bytes32[](2);
        (leaves[0], leaves[1]) = (Digests.segmentLeaf(list[0]), Digests.segmentLeaf(list[1]));
        r.statement = Statement({
            job: JobId.wrap(keccak256(abi.encode("job", number))),
            statementAttempt: 1,
            programId: PROGRAM,
            manifest: MANIFEST,
            claim: keccak256("claim"),
            numSegments: 2,
            segmentsRoot: MerkleTree.rootOf(leaves)
        });
        r.record = list[1];
        r.path = new bytes32[](1);
        r.path[0] = leaves[0];
        r.shown = shown;
    }

    function segmentLeafOf(SegmentRecord memory record) internal pure returns (bytes32) {
        return Digests.segmentLeaf(record);
    }

    function digestOf(IChallengeGame.Refutation memory r) internal pure returns (StatementDigest) {
        return Digests.statementDigest(r.statement);
    }

    // Signatures

    function voteOf(uint64 epoch, uint256 member, StatementDigest statement, uint8 verdict)
        internal
        view
        returns (IChallengeGame.Vote memory)
    {
        (, bytes32 tableDigest,) = epochs.tableAt(epoch);
        return signedVote(
            epoch,
            member,
            verdict,
            Digests.voteMessage(
                block.chainid, address(epochs), epoch, tableDigest, statement, verdict
            )
        );
    }

    function signedVote(uint64 epoch, uint256 member, uint8 verdict, bytes32 message)
        internal
        view
        returns (IChallengeGame.Vote memory)
    {
        return IChallengeGame.Vote({
            epoch: epoch,
            member: member,
            verdict: verdict,
            signature: sign(secret(member), message),
            key2: G2.key(secret(member))
        });
    }

    /// @dev Attests the statement alone, without these non-signers, and names a signer.
    function attestedBy(
        uint256 member,
        StatementDigest statement,
        uint8 verdict,
        uint256 nonSigners
    ) internal returns (IChallengeGame.Attested memory) {
        BatchLeaf memory leaf = soleLeaf(statement, verdict);
        registry.attest(certificate(epochs.currentEpoch(), leaf.root, 1, nonSigners));
        return IChallengeGame.Attested(member, verdict, leaf);
    }

    // Calls

    function voteCall(IChallengeGame.Refutation memory r, IChallengeGame.Vote memory v)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IChallengeGame.revealVote, (r, v, SALT));
    }

    function attestedCall(IChallengeGame.Refutation memory r, IChallengeGame.Attested memory a)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IChallengeGame.revealAttestation, (r, a, SALT));
    }

    function votesCall(
        IChallengeGame.Refutation memory r,
        IChallengeGame.Vote memory first,
        IChallengeGame.Vote memory second
    ) internal pure returns (bytes memory) {
        return abi.encodeCall(IChallengeGame.revealVotes, (r.statement, first, second, SALT));
    }

    function mixedCall(
        IChallengeGame.Refutation memory r,
        IChallengeGame.Vote memory v,
        IChallengeGame.Attested memory a
    ) internal pure returns (bytes memory) {
        return abi.encodeCall(IChallengeGame.revealVoteAndAttestation, (r.statement, v, a, SALT));
    }

    function commitTo(address challenger, bytes memory call) internal returns (bytes32 commitment) {
        commitment = game.commitmentOf(challenger, call);
        vm.deal(challenger, challenger.balance + BOND);
        vm.prank(challenger);
        game.commit{value: BOND}(commitment);
    }

    /// @dev Sends the reveal; what it reverts with, if it does, reverts here.
    function reveal(address challenger, bytes memory call) internal {
        vm.prank(challenger);
        (bool ok, bytes memory output) = address(game).call(call);
        if (ok) return;
        assembly {
            revert(add(output, 32), mload(output))
        }
    }

    /// @dev Commits and reveals a block later.
    function accuse(address challenger, bytes memory call) internal {
        commitTo(challenger, call);
        vm.roll(block.number + 1);
        reveal(challenger, call);
    }

    /// @dev Commits, and expects the reveal a block later to revert like this.
    function refuse(address challenger, bytes memory call, bytes memory refusal) internal {
        commitTo(challenger, call);
        vm.roll(block.number + 1);
        vm.expectRevert(refusal);
        vm.prank(challenger);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "the expected revert");
    }

    function caseOf(uint256 member, StatementDigest statement)
        internal
        view
        returns (ISlashingCourt.Case memory)
    {
        return court.cases(court.caseIdOf(operatorAt(member), statement));
    }

    function assertNoCase(uint256 member, StatementDigest statement) internal view {
        assertTrue(!court.isFiled(operatorAt(member), statement), "no case");
    }
}
