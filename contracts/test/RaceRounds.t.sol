// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RaceRounds} from "../src/RaceRounds.sol";
import {IBonds} from "../src/interfaces/IBonds.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {IProverStakes} from "../src/interfaces/IProverStakes.sol";
import {IRaceRounds} from "../src/interfaces/IRaceRounds.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {JobId, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title commit, reveal, judge, hold, close, settleRace, cancel (test/tree/RaceRounds.tree)
/// @dev Provers 0 to 4 have stakes 4, 2, 2, 1, 3; three places, three rounds.
contract RaceRoundsTest is MoneyNetwork {
    uint128 private constant BOND = 1 ether;
    bytes32 private constant SALT = keccak256("salt");

    uint64 private _epoch;
    uint256 private _opened;
    JobId private _job;

    function setUp() external {
        deployMoney(Money.terms());
        _epoch = newEpoch();
        uint128[5] memory stakes = [uint128(4 ether), 2 ether, 2 ether, 1 ether, 3 ether];
        address[] memory provers = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            provers[i] = proverAt(i);
            avs.setStake(1, provers[i], stakes[i]);
            depositBond(provers[i], 2 * BOND);
        }
        races.recordStakes(provers);
        _opened = block.timestamp;
        _job = _createRace(1);
    }

    // createJob and recordStakes

    function test_CreateJob_OpensRoundOne() external view {
        IRaceRounds.Race memory race = races.races(_job);
        assertTrue(race.state == IRaceRounds.RaceState.Open, "open");
        assertEq(race.round, 1, "first round");
        assertEq(race.epoch, _epoch, "epoch that is open");
        assertEq(race.commitUntil, _opened + 600, "commit");
        assertEq(race.revealUntil, _opened + 720, "reveal");
        assertEq(race.judgeUntil, _opened + 960, "judge");
        assertEq(tasks.modeOf(_job), 2, "mode");
    }

    function test_CreateJob_OnlyForProverBoundPrograms() external {
        vm.expectEmit(address(races));
        emit IRaceRounds.ProverBoundSet(PROGRAM, false);
        races.setProverBound(PROGRAM, false);
        ITaskManager.JobRequest memory r = _raceRequest(2);
        vm.deal(REQUESTER, FEE);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.ModeNotOffered.selector, 2));
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
        vm.expectPartialRevert(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        vm.prank(REQUESTER);
        races.setProverBound(PROGRAM, true);
    }

    function test_CreateJob_NeedsTimeForOneRound() external {
        ITaskManager.JobRequest memory r = _raceRequest(2);
        r.deadline = uint64(block.timestamp) + 719;
        vm.deal(REQUESTER, 2 * FEE);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRaceRounds.DeadlineTooClose.selector, r.deadline, block.timestamp + 720
            )
        );
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
        r.deadline += 1;
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
    }

    /// @dev Stake that comes after a round has opened does not count in it.
    function test_Stake_IsThatOfBeforeTheRoundOpened() external {
        avs.setStake(1, proverAt(3), 100 ether);
        address[] memory one = new address[](1);
        one[0] = proverAt(3);
        races.recordStakes(one);
        assertEq(races.stakeInRound(_job, proverAt(3)), 1 ether, "the first record stays");
        newEpoch();
        vm.warp(block.timestamp + 1);
        JobId second = _createRace(2);
        assertEq(races.stakeInRound(second, proverAt(3)), 1 ether, "the epoch before");
        vm.warp(block.timestamp + 1);
        races.recordStakes(one);
        assertEq(races.stakeInRound(second, proverAt(3)), 1 ether, "recorded too late");
        JobId third = _createRace(3);
        assertEq(races.stakeInRound(third, proverAt(3)), 100 ether, "in time for the next");
        newEpoch();
        newEpoch();
        assertEq(races.stakeInRound(_createRace(4), proverAt(3)), 0, "two epochs old");
    }

    function test_RecordStakes_IsBounded() external {
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.TooManyProvers.selector, 65, 64));
        races.recordStakes(new address[](65));
    }

    // commit

    function test_Commit_LocksTheBond() external {
        bytes32 word = _word(0, _statement(0));
        vm.expectEmit(address(races));
        emit IRaceRounds.Committed(_job, 1, proverAt(0), word, 4 ether);
        _commit(0);
        assertEq(bonds.accounts(proverAt(0)).locked, BOND, "locked");
        IRaceRounds.Commitment[] memory list = races.commitments(_job);
        assertEq(list.length, 1, "one");
        assertEq(list[0].stake, 4 ether, "stake");
    }

    function test_Commit_RefusesWhoHasNoStakeNoBondNoTimeOrASecondOne() external {
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.StakeUnknown.selector, REQUESTER, _epoch)
        );
        vm.prank(REQUESTER);
        races.commit(_job, keccak256("x"));
        vm.expectRevert(IRaceRounds.DigestZero.selector);
        vm.prank(proverAt(0));
        races.commit(_job, 0);
        vm.prank(proverAt(0));
        bonds.withdraw(BOND + 1, payable(address(0xF00)));
        vm.expectPartialRevert(IBonds.BondTooSmall.selector);
        vm.prank(proverAt(0));
        races.commit(_job, keccak256("x"));
        _commit(1);
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.AlreadyCommitted.selector, _job, proverAt(1))
        );
        vm.prank(proverAt(1));
        races.commit(_job, keccak256("x"));
        vm.warp(_opened + 600);
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.NotNow.selector, _job, _opened, _opened + 600)
        );
        vm.prank(proverAt(2));
        races.commit(_job, keccak256("x"));
    }

    function test_Commit_RefusesUnknownRaces() external {
        JobId unknown = JobId.wrap(keccak256("x"));
        vm.expectRevert(
            abi.encodeWithSelector(
                IRaceRounds.RaceNotOpen.selector, unknown, IRaceRounds.RaceState.None
            )
        );
        races.commit(unknown, keccak256("x"));
    }

    function test_Commit_MoreThanThePlacesHighestStakeFirst() external {
        _commit(3);
        _commit(1);
        _commit(2);
        // Stake 3 takes the place of stake 1, then stake 4 of the later of the two with stake 2.
        vm.expectEmit(address(races));
        emit IRaceRounds.Displaced(_job, 1, proverAt(3), proverAt(4));
        _commit(4);
        assertEq(bonds.accounts(proverAt(3)).locked, 0, "its bond is free");
        vm.expectEmit(address(races));
        emit IRaceRounds.Displaced(_job, 1, proverAt(2), proverAt(0));
        _commit(0);
        IRaceRounds.Commitment[] memory list = races.commitments(_job);
        assertEq(list.length, 3, "never more than the places");
        assertEq(list[0].prover, proverAt(1), "first of the equals");
        assertEq(list[1].prover, proverAt(4), "then as they came");
        assertEq(list[2].prover, proverAt(0), "last");
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.RoundFull.selector, _job, 2 ether, 1 ether)
        );
        vm.prank(proverAt(3));
        races.commit(_job, keccak256("x"));
    }

    function test_Commit_AmongEqualStakesTheFirstStays() external {
        avs.setStake(1, proverAt(5), 2 ether);
        _commit(1);
        _commit(4);
        _commit(0);
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.RoundFull.selector, _job, 2 ether, 2 ether)
        );
        vm.prank(proverAt(2));
        races.commit(_job, keccak256("x"));
    }

    // reveal

    function test_Reveal_RefusesBeforeTheCommitWindowClosesAndAfterItsOwn() external {
        StatementDigest statement = _commit(0);
        vm.warp(_opened + 599);
        bytes memory refusal =
            abi.encodeWithSelector(IRaceRounds.NotNow.selector, _job, _opened + 600, _opened + 720);
        vm.expectRevert(refusal);
        vm.prank(proverAt(0));
        races.reveal(_job, statement, SALT);
        vm.warp(_opened + 720);
        vm.expectRevert(refusal);
        vm.prank(proverAt(0));
        races.reveal(_job, statement, SALT);
        vm.warp(_opened + 600);
        vm.expectEmit(address(races));
        emit IRaceRounds.Revealed(_job, 1, proverAt(0), statement);
        vm.prank(proverAt(0));
        races.reveal(_job, statement, SALT);
        vm.expectPartialRevert(IRaceRounds.CommitmentNotFound.selector);
        vm.prank(proverAt(0));
        races.reveal(_job, statement, SALT);
    }

    /// @dev A copied commitment names another prover, so nothing opens it: the copier pays.
    function test_Reveal_ACopiedCommitmentCannotBeOpened() external {
        StatementDigest statement = _commit(0);
        bytes32 copied = races.commitments(_job)[0].word;
        vm.prank(proverAt(1));
        races.commit(_job, copied);
        vm.warp(_opened + 600);
        vm.prank(proverAt(0));
        races.reveal(_job, statement, SALT);
        vm.expectPartialRevert(IRaceRounds.CommitmentDiffers.selector);
        vm.prank(proverAt(1));
        races.reveal(_job, statement, SALT);
        _judge(0, statement, 1, 0);
        vm.warp(_opened + 720);
        tasks.settleRace(_job);
        assertEq(bonds.accounts(proverAt(1)).free, BOND, "the copier lost its bond");
        assertEq(bonds.accounts(proverAt(0)).free, 2 * BOND, "the prover did not");
    }

    /// @dev Job, round, chain, contract, prover, statement and salt are all in a commitment.
    function test_CommitmentOf_BindsEveryWord() external {
        bytes32 own = races.commitmentOf(_job, 1, _statement(0), proverAt(0), SALT);
        bytes32 tag = keccak256("PROOFGRID_RACE_COMMIT_V1");
        assertEq(
            own,
            keccak256(
                abi.encode(
                    tag, block.chainid, races, _job, uint8(1), _statement(0), proverAt(0), SALT
                )
            ),
            "as specified"
        );
        StatementDigest other = StatementDigest.wrap(keccak256("x"));
        JobId job = JobId.wrap(keccak256("x"));
        _differs(own, races.commitmentOf(job, 1, _statement(0), proverAt(0), SALT));
        _differs(own, races.commitmentOf(_job, 2, _statement(0), proverAt(0), SALT));
        _differs(own, races.commitmentOf(_job, 1, other, proverAt(0), SALT));
        _differs(own, races.commitmentOf(_job, 1, _statement(0), proverAt(1), SALT));
        _differs(own, races.commitmentOf(_job, 1, _statement(0), proverAt(0), 0));
        StatementDigest statement = _statement(0);
        vm.chainId(block.chainid + 1);
        _differs(own, races.commitmentOf(_job, 1, statement, proverAt(0), SALT));
    }

    // judge and close

    function test_SettleRace_SharesByStakeOfWhenTheRoundOpened() external {
        (StatementDigest a, StatementDigest b) = (_commit(0), _commit(1));
        avs.setStake(1, proverAt(1), 1000 ether);
        _reveal(0, a);
        _reveal(1, b);
        _judge(0, a, 1, 8);
        _judge(1, b, 1, 0);
        vm.warp(_opened + 720);
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobSettled(_job, a, uint128(FEE), 6 ether);
        tasks.settleRace(_job);
        uint256 share = FEE * 8000 / 10_000;
        assertEq(creditOf(proverAt(0)), share * 4 / 6, "four sixths");
        assertEq(creditOf(proverAt(1)), share * 2 / 6, "two sixths");
        assertEq(vault.potOf(_epoch, 8), FEE * 1500 / 10_000 / 2, "signers of one");
        assertEq(vault.potOf(_epoch, 0), FEE * 1500 / 10_000 / 2, "and of the other");
        assertTrue(tasks.jobs(_job).state == ITaskManager.JobState.Settled, "settled");
        assertEq(bonds.accounts(proverAt(0)).free, 2 * BOND, "bond back");
        vm.expectPartialRevert(ITaskManager.JobNotOpen.selector);
        tasks.settleRace(_job);
    }

    function test_Close_WrongAndUnrevealedLoseTheBondUndecidedTheFlatFee() external {
        (StatementDigest a, StatementDigest b) = (_commit(0), _commit(1));
        _commit(2);
        _reveal(0, a);
        _reveal(1, b);
        _judge(0, a, 2, 0);
        vm.warp(_opened + 959);
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.RoundNotOver.selector, _job, _opened + 960)
        );
        races.close(_job);
        vm.warp(_opened + 960);
        races.close(_job);
        assertEq(bonds.accounts(proverAt(0)).free, BOND, "wrong");
        assertEq(bonds.accounts(proverAt(1)).free, 2 * BOND - 0.01 ether, "undecided");
        assertEq(bonds.accounts(proverAt(2)).free, BOND, "not revealed");
        assertEq(creditOf(REQUESTER), 2 * BOND + 0.01 ether, "to the requester");
        assertEq(races.races(_job).round, 2, "another round");
    }

    function test_Judge_NeedsItsOwnHardLeaf() external {
        (StatementDigest a, StatementDigest b) = (_commit(0), _commit(1));
        _reveal(0, a);
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(0));
        (ITaskManager.Settlement memory other,) = settlementBy(_job, proverAt(1));
        vm.expectRevert(
            abi.encodeWithSelector(
                IRaceRounds.StatementNotDecided.selector, a, IProofRegistry.Finality.Unknown
            )
        );
        races.judge(_job, proverAt(0), 1, s);
        certifyAs(a, 1, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRaceRounds.StatementNotDecided.selector, a, IProofRegistry.Finality.Soft
            )
        );
        races.judge(_job, proverAt(0), 1, s);
        certifyAs(b, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.StatementNotRevealed.selector, a, b));
        races.judge(_job, proverAt(0), 1, other);
        vm.expectRevert(
            abi.encodeWithSelector(IRaceRounds.CommitmentNotFound.selector, _job, proverAt(1))
        );
        races.judge(_job, proverAt(1), 1, other);
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.VerdictUnknown.selector, 3));
        races.judge(_job, proverAt(0), 3, s);
        races.judge(_job, proverAt(0), 1, s);
        vm.expectPartialRevert(IRaceRounds.CommitmentNotFound.selector);
        races.judge(_job, proverAt(0), 1, s);
    }

    /// @dev The chain's own judgement makes it hard at once, but names no signers to be paid.
    function test_Judge_NeedsACertificateAlsoOfWhatTheChainJudged() external {
        StatementDigest statement = _commit(0);
        _reveal(0, statement);
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(0));
        ledger.prove(statement);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.StatementUncertified.selector, statement)
        );
        races.judge(_job, proverAt(0), 1, s);
        certifyAs(statement, 1, 0);
        races.judge(_job, proverAt(0), 1, s);
    }

    /// @dev A statement with another's record in it is not the prover's own word.
    function test_Judge_RefusesAStatementOfSeveralProvers() external {
        address[] memory both = new address[](2);
        (both[0], both[1]) = (proverAt(0), proverAt(1));
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(_job, recordsBy(both));
        bytes32 word = _word(0, statement);
        vm.prank(proverAt(0));
        races.commit(_job, word);
        _reveal(0, statement);
        s.leaf = certifyAs(statement, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectPartialRevert(IRaceRounds.StatementNotRevealed.selector);
        races.judge(_job, proverAt(0), 1, s);
    }

    function test_Close_AtMostTheRoundsThenTheRefund() external {
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(races.races(_job).round, i + 1, "round");
            vm.expectPartialRevert(IRaceRounds.RoundNotOver.selector);
            tasks.refund(_job);
            vm.warp(races.races(_job).commitUntil);
            if (i < 2) races.close(_job);
        }
        tasks.refund(_job);
        assertTrue(races.races(_job).state == IRaceRounds.RaceState.Lost, "lost");
        assertEq(creditOf(REQUESTER), FEE, "refunded, before the deadline");
    }

    function test_Close_NoRoundBeyondTheDeadline() external {
        ITaskManager.JobRequest memory r = _raceRequest(2);
        r.deadline = uint64(block.timestamp) + 720 + 599;
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        JobId job = tasks.createJob{value: FEE}(r);
        vm.warp(races.races(job).commitUntil);
        races.close(job);
        assertTrue(races.races(job).state == IRaceRounds.RaceState.Lost, "no time for a second");
    }

    function test_Close_ANewRoundIsOfTheEpochThatIsOpenThen() external {
        vm.warp(_opened + 600);
        uint64 next = newEpoch();
        races.close(_job);
        assertEq(races.races(_job).epoch, next, "epoch");
        // A commitment of round 1 is nothing in round 2.
        assertEq(races.commitments(_job).length, 0, "empty");
    }

    function test_Refund_NeverWhileARevealIsOpenOrAStatementIsPending() external {
        StatementDigest a = _commit(0);
        vm.warp(_opened + 719);
        vm.expectPartialRevert(IRaceRounds.RoundNotOver.selector);
        tasks.refund(_job);
        vm.warp(_opened + 600);
        _reveal(0, a);
        vm.warp(_opened + 959);
        vm.expectPartialRevert(IRaceRounds.RoundNotOver.selector);
        tasks.refund(_job);
    }

    function test_Refund_NeverOfAWonRace() external {
        StatementDigest a = _commit(0);
        _reveal(0, a);
        _judge(0, a, 1, 0);
        vm.warp(_opened + 30 days);
        vm.expectPartialRevert(ITaskManager.RefundTooEarly.selector);
        tasks.refund(_job);
        tasks.settleRace(_job);
    }

    function test_Refund_IsReachableAtTheLatestWhenToldSo() external {
        StatementDigest a = _commit(0);
        _reveal(0, a);
        vm.warp(tasks.refundableAt(_job));
        tasks.refund(_job);
        assertEq(creditOf(REQUESTER), FEE + 0.01 ether, "with the flat fee");
    }

    function test_Hold_KeepsTheRoundForALateAttestationAndIsCapped() external {
        StatementDigest a = _commit(0);
        _reveal(0, a);
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(0));
        vm.warp(_opened + 950);
        certifyAs(a, 1, 0);
        vm.expectEmit(address(races));
        emit IRaceRounds.JudgingHeld(_job, 1, uint64(_opened + 950 + 2 * CHALLENGE));
        races.hold(_job, proverAt(0), 1, s);
        races.hold(_job, proverAt(0), 1, s);
        vm.warp(_opened + 950 + CHALLENGE);
        vm.expectPartialRevert(IRaceRounds.RoundNotOver.selector);
        races.close(_job);
        races.judge(_job, proverAt(0), 1, s);
        tasks.settleRace(_job);
    }

    function test_Hold_IsCapped() external {
        StatementDigest a = _commit(0);
        _reveal(0, a);
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(0));
        vm.warp(_opened + 959);
        certifyAs(a, 1, 0);
        ledger.contest(a, uint64(_opened) + 1500);
        races.hold(_job, proverAt(0), 1, s);
        assertEq(races.races(_job).judgeUntil, _opened + 1500 + CHALLENGE, "contested");
        vm.warp(_opened + 1499);
        ledger.contest(a, type(uint64).max);
        races.hold(_job, proverAt(0), 1, s);
        vm.warp(_opened + 960 + 1000);
        races.close(_job);
    }

    // cancel

    function test_Cancel_OnlyByTheRequesterAndOnlyBeforeTheFirstCommitment() external {
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.NotRequester.selector, _job, address(this))
        );
        tasks.cancel(_job);
        JobId second = _createRace(2);
        vm.expectEmit(address(tasks));
        emit ITaskManager.JobRefunded(second, REQUESTER, uint128(FEE));
        vm.prank(REQUESTER);
        tasks.cancel(second);
        assertEq(creditOf(REQUESTER), FEE, "credited");
        _commit(0);
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.RaceBegun.selector, _job));
        vm.prank(REQUESTER);
        tasks.cancel(_job);
    }

    function test_Cancel_NeverOfAssignedWork() external {
        JobId assigned = createJob(REQUESTER, 9, FEE);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.ModeDiffers.selector, assigned, 1));
        vm.prank(REQUESTER);
        tasks.cancel(assigned);
    }

    // the other mode's calls, rights, terms

    function test_Settle_IsNotForRaces() external {
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(0));
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.ModeDiffers.selector, _job, 2));
        tasks.settle(_job, s);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.ModeDiffers.selector, _job, 2));
        tasks.hold(_job, s);
        JobId assigned = createJob(REQUESTER, 9, FEE);
        vm.expectRevert(abi.encodeWithSelector(ITaskManager.ModeDiffers.selector, assigned, 1));
        tasks.settleRace(assigned);
        vm.warp(_opened + 600);
        vm.expectRevert(
            abi.encodeWithSelector(
                ITaskManager.RaceNotWon.selector, _job, IRaceRounds.RaceState.Open
            )
        );
        tasks.settleRace(_job);
    }

    function test_Open_OnlyTheTaskManager() external {
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.NotAllowed.selector, address(this)));
        races.open(_job, 1);
        vm.expectRevert(abi.encodeWithSelector(IRaceRounds.NotAllowed.selector, address(this)));
        races.cancel(_job);
        vm.expectRevert(IRaceRounds.AlreadySet.selector);
        races.wire(tasks);
    }

    function test_Constructor_RefusesUnboundedTerms() external {
        IRaceRounds.RaceParams memory p = Money.terms().races;
        p.commitmentsMax = 17;
        _refuseTerms(p);
        p = Money.terms().races;
        p.roundsMax = 17;
        _refuseTerms(p);
        p = Money.terms().races;
        p.roundsMax = 0;
        _refuseTerms(p);
        p = Money.terms().races;
        p.judgeSeconds = uint32(CHALLENGE);
        _refuseTerms(p);
        p = Money.terms().races;
        p.holdSecondsMax = 31 days;
        _refuseTerms(p);
        p = Money.terms().races;
        p.bond = 0;
        _refuseTerms(p);
        p = Money.terms().races;
        p.flatFee = p.bond + 1;
        _refuseTerms(p);
    }

    // Helpers

    function _raceRequest(uint64 nonce) private view returns (ITaskManager.JobRequest memory r) {
        r = jobRequest(nonce);
        r.mode = 2;
    }

    function _createRace(uint64 nonce) private returns (JobId) {
        vm.deal(REQUESTER, FEE);
        ITaskManager.JobRequest memory r = _raceRequest(nonce);
        vm.prank(REQUESTER);
        return tasks.createJob{value: FEE}(r);
    }

    function _statement(uint256 who) private view returns (StatementDigest statement) {
        (, statement) = settlementBy(_job, proverAt(who));
    }

    function _word(uint256 who, StatementDigest statement) private view returns (bytes32) {
        return races.commitmentOf(_job, 1, statement, proverAt(who), SALT);
    }

    function _commit(uint256 who) private returns (StatementDigest statement) {
        statement = _statement(who);
        bytes32 word = _word(who, statement);
        vm.prank(proverAt(who));
        races.commit(_job, word);
    }

    function _reveal(uint256 who, StatementDigest statement) private {
        vm.warp(_opened + 600);
        vm.prank(proverAt(who));
        races.reveal(_job, statement, SALT);
    }

    function _judge(uint256 who, StatementDigest statement, uint8 verdict, uint256 nonSigners)
        private
    {
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(who));
        s.leaf = certifyAs(statement, verdict, nonSigners);
        uint256 now_ = block.timestamp;
        vm.warp(now_ + CHALLENGE);
        vm.expectEmit(address(races));
        emit IRaceRounds.Judged(_job, 1, proverAt(who), verdict == 1);
        races.judge(_job, proverAt(who), verdict, s);
        vm.warp(now_);
    }

    function _differs(bytes32 a, bytes32 b) private pure {
        assertTrue(a != b, "another commitment");
    }

    function _refuseTerms(IRaceRounds.RaceParams memory p) private {
        vm.expectRevert(IRaceRounds.RaceParamsInvalid.selector);
        new RaceRounds(
            IProofRegistry(address(ledger)), bonds, IProverStakes(address(avs)), p, OWNER
        );
    }
}
