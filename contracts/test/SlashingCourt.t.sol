// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {SlashingCourt} from "../src/SlashingCourt.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {ISlashingCourt} from "../src/interfaces/ISlashingCourt.sol";
import {StatementDigest} from "../src/types/Ids.sol";
import {AvsManagerDouble} from "./helpers/GameDoubles.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @dev A reward token that calls its recipient, who tries to withdraw again.
contract CallingToken {
    mapping(address account => uint256 amount) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        GreedyWithdrawer(to).again();
        return true;
    }
}

/// @dev Withdraws again while it is being paid.
contract GreedyWithdrawer {
    ISlashingCourt private immutable _court;
    bytes public refusal;

    constructor(ISlashingCourt court_) {
        _court = court_;
    }

    function withdraw() external {
        _court.withdraw(address(this));
    }

    function again() external {
        (, refusal) = address(_court).call(abi.encodeCall(_court.withdraw, (address(this))));
    }
}

/// @title file, veto, execute, withdraw (test/tree/SlashingCourt.tree)
/// @dev The test is the game.
contract SlashingCourtTest is GameNetwork {
    StatementDigest private constant STATEMENT = StatementDigest.wrap(keccak256("statement"));
    StatementDigest private constant OTHER = StatementDigest.wrap(keccak256("other"));
    ISlashingCourt.Fault private constant FALSE_VALID = ISlashingCourt.Fault.FalseValid;
    ISlashingCourt.Fault private constant EQUIVOCATION = ISlashingCourt.Fault.Equivocation;
    uint64 private _epoch;

    function setUp() external {
        deployBase();
        _useCourt(rewards, courtParams());
    }

    // file

    function test_File_KeepsTheCase() external {
        bytes32 caseId = court.caseIdOf(operatorAt(3), STATEMENT);
        vm.expectEmit(address(court));
        emit ISlashingCourt.CaseFiled(
            caseId, operatorAt(3), STATEMENT, _epoch, 3, FALSE_VALID, CHALLENGER
        );
        assertEq(_file(3, STATEMENT, FALSE_VALID, false), caseId, "id");
        ISlashingCourt.Case memory filed = court.cases(caseId);
        assertTrue(filed.state == ISlashingCourt.CaseState.Filed, "state");
        assertEq(filed.filedAt, block.timestamp, "time");
        assertEq(court.executableAt(caseId), block.timestamp + VETO, "window");
        assertTrue(court.isFiled(operatorAt(3), STATEMENT), "filed");
    }

    /// @dev Statement and operator are not stored: they follow from the id and the epoch's table.
    function test_Cases_SayWhatWasFiled() external {
        bytes32 first = _file(3, STATEMENT, FALSE_VALID, false);
        bytes32 second = _file(2, OTHER, EQUIVOCATION, false);
        _assertCase(first, 3, STATEMENT, FALSE_VALID);
        _assertCase(second, 2, OTHER, EQUIVOCATION);
        bytes32 unknown = court.caseIdOf(operatorAt(2), STATEMENT);
        bytes32 nothing = keccak256(abi.encode(court.cases(unknown)));
        ISlashingCourt.Case memory empty;
        assertEq(nothing, keccak256(abi.encode(empty)), "no such case");
        vm.warp(block.timestamp + VETO);
        court.execute(second);
        assertEq(
            StatementDigest.unwrap(court.cases(second).statement),
            StatementDigest.unwrap(OTHER),
            "it stays so"
        );
    }

    function testFuzz_CaseIdOf_DiffersByOperatorAndByStatement(
        address operator,
        address other,
        bytes32 statement,
        bytes32 another
    ) external view {
        vm.assume(operator != other && statement != another);
        bytes32 id = court.caseIdOf(operator, StatementDigest.wrap(statement));
        assertTrue(id != court.caseIdOf(other, StatementDigest.wrap(statement)), "operator");
        assertTrue(id != court.caseIdOf(operator, StatementDigest.wrap(another)), "statement");
        assertTrue(id != court.caseIdOf(other, StatementDigest.wrap(another)), "both");
    }

    function test_File_OnlyTheGame() external {
        vm.expectRevert(
            abi.encodeWithSelector(ISlashingCourt.NotChallengeGame.selector, CHALLENGER)
        );
        vm.prank(CHALLENGER);
        court.file(operatorAt(3), _epoch, 3, STATEMENT, FALSE_VALID, CHALLENGER, false);
        vm.expectRevert(ISlashingCourt.FaultMissing.selector);
        _file(3, STATEMENT, ISlashingCourt.Fault.None, false);
    }

    function test_File_OnceForAnOperatorAndAStatement() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        _refuseSecond(caseId, ISlashingCourt.CaseState.Filed);
        vm.prank(VETOER);
        court.veto(caseId);
        _refuseSecond(caseId, ISlashingCourt.CaseState.Vetoed);
        bytes32 other = _file(3, OTHER, FALSE_VALID, false);
        _file(2, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + VETO);
        court.execute(other);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISlashingCourt.CaseExists.selector, other, ISlashingCourt.CaseState.Executed
            )
        );
        _file(3, OTHER, EQUIVOCATION, false);
        assertEq(avs.slashes(operatorAt(3)), 1, "slashed once");
    }

    function test_File_RefusesWhatTheLookaheadDoesNotCover() external {
        uint256 last = epochs.slashableUntil(_epoch);
        vm.roll(last - VETO_BLOCKS + 1);
        vm.expectRevert(_tooLate(last + 1, last));
        _file(3, STATEMENT, FALSE_VALID, false);
        vm.roll(last - VETO_BLOCKS);
        _file(3, STATEMENT, FALSE_VALID, false);
        // The long veto needs more room.
        vm.expectRevert(_tooLate(last - VETO_BLOCKS + LONG_VETO_BLOCKS, last));
        _file(3, OTHER, FALSE_VALID, true);
        vm.roll(last - LONG_VETO_BLOCKS);
        _file(3, OTHER, FALSE_VALID, true);
    }

    function test_File_ALongVetoIsForAllCasesOnTheStatement() external {
        bytes32 first = _file(3, STATEMENT, FALSE_VALID, false);
        vm.expectEmit(address(court));
        emit ISlashingCourt.LongVetoSet(STATEMENT);
        bytes32 second = _file(2, STATEMENT, FALSE_VALID, true);
        bytes32 third = _file(1, STATEMENT, EQUIVOCATION, false);
        bytes32 other = _file(3, OTHER, FALSE_VALID, false);
        uint256 filedAt = block.timestamp;
        assertEq(court.executableAt(first), filedAt + LONG_VETO, "earlier");
        assertEq(court.executableAt(second), filedAt + LONG_VETO, "that one");
        assertEq(court.executableAt(third), filedAt + LONG_VETO, "later");
        assertEq(court.executableAt(other), filedAt + VETO, "another statement");
        vm.warp(filedAt + LONG_VETO - 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISlashingCourt.VetoOpen.selector, first, filedAt + LONG_VETO)
        );
        court.execute(first);
        vm.warp(filedAt + LONG_VETO);
        court.execute(first);
    }

    // veto

    function test_Veto_EndsACaseWithinItsWindow() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + VETO - 1);
        vm.expectEmit(address(court));
        emit ISlashingCourt.CaseVetoed(caseId);
        vm.prank(VETOER);
        court.veto(caseId);
        vm.warp(block.timestamp + 1);
        bytes memory over = abi.encodeWithSelector(
            ISlashingCourt.CaseNotOpen.selector, caseId, ISlashingCourt.CaseState.Vetoed
        );
        vm.expectRevert(over);
        court.execute(caseId);
        vm.expectRevert(over);
        vm.prank(VETOER);
        court.veto(caseId);
        vm.expectRevert(over);
        court.executableAt(caseId);
        assertEq(avs.slashes(operatorAt(3)), 0, "not slashed");
        assertEq(court.credits(CHALLENGER), 0, "no reward");
    }

    function test_Veto_NotByOthersAndNotLater() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.NotVetoer.selector, OWNER));
        vm.prank(OWNER);
        court.veto(caseId);
        uint256 until = block.timestamp + VETO;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.VetoClosed.selector, caseId, until));
        vm.prank(VETOER);
        court.veto(caseId);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISlashingCourt.CaseNotOpen.selector, bytes32(0), ISlashingCourt.CaseState.None
            )
        );
        vm.prank(VETOER);
        court.veto(bytes32(0));
    }

    // execute

    function test_Execute_SlashesExcludesAndCredits() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        uint256 until = block.timestamp + VETO;
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.VetoOpen.selector, caseId, until));
        court.execute(caseId);
        vm.warp(until);
        vm.expectEmit(address(court));
        emit ISlashingCourt.CaseExecuted(caseId, operatorAt(3), CHALLENGER, 0.5 ether, 0.2 ether);
        vm.prank(address(0xA17));
        court.execute(caseId);
        assertEq(avs.stakeOf(operatorAt(3)), 0.5 ether, "half of its stake is gone");
        assertEq(court.credits(CHALLENGER), 0.2 ether, "two fifths of that");
        (,, uint256 excluded) = epochs.tableAt(_epoch);
        assertEq(excluded, 8, "excluded");
        vm.expectRevert(
            abi.encodeWithSelector(
                ISlashingCourt.CaseNotOpen.selector, caseId, ISlashingCourt.CaseState.Executed
            )
        );
        court.execute(caseId);
    }

    function test_Execute_TakesTheWadOfTheFault() external {
        bytes32 caseId = _file(2, STATEMENT, EQUIVOCATION, false);
        vm.warp(block.timestamp + VETO);
        vm.expectEmit(address(avs));
        emit AvsManagerDouble.Slashed(
            operatorAt(2), EQUIVOCATION_WAD, "signed both verdicts of a statement"
        );
        court.execute(caseId);
        assertEq(avs.stakeOf(operatorAt(2)), 1.5 ether, "a quarter");
    }

    function test_Execute_InTheLastBlockOfTheLookaheadAndNoLater() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        bytes32 other = _file(2, STATEMENT, FALSE_VALID, false);
        uint256 last = epochs.slashableUntil(_epoch);
        vm.warp(block.timestamp + VETO);
        vm.roll(last);
        court.execute(caseId);
        vm.roll(last + 1);
        vm.expectRevert(_tooLate(last + 1, last));
        court.execute(other);
    }

    function test_Execute_ExcludesInAllLiveEpochsWhereverTheOperatorStands() external {
        // Operator 2 leaves the table in front of operator 3, which moves one place.
        vm.warp(block.timestamp + MIN_EPOCH);
        dropStake(2);
        uint64 second = snapshot();
        (address moved,,) = epochs.memberAt(second, 2);
        assertEq(moved, operatorAt(3), "moved");
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 third = snapshot();
        vm.warp(block.timestamp + GRACE);
        court.execute(caseId);
        assertEq(_excluded(_epoch), 0, "no longer accepted");
        assertEq(_excluded(second), 4, "the previous one, within its grace");
        assertEq(_excluded(third), 4, "the newest");
    }

    function test_Execute_AnEpochPastItsGraceIsNotTouched() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + MIN_EPOCH);
        uint64 next = snapshot();
        vm.warp(block.timestamp + GRACE + 1);
        court.execute(caseId);
        assertEq(_excluded(_epoch), 0, "over");
        assertEq(_excluded(next), 8, "newest");
    }

    function test_Execute_AnOperatorThatIsInNoLiveEpochIsSlashedAllTheSame() external {
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + MIN_EPOCH);
        dropStake(3);
        uint64 next = snapshot();
        vm.warp(block.timestamp + GRACE + 1);
        court.execute(caseId);
        assertEq(avs.slashes(operatorAt(3)), 1, "slashed");
        assertEq(_excluded(next), 0, "nobody else is excluded");
    }

    function test_Execute_TwiceExcludedIsExcluded() external {
        bytes32 first = _file(3, STATEMENT, FALSE_VALID, false);
        bytes32 second = _file(3, OTHER, FALSE_VALID, false);
        vm.warp(block.timestamp + VETO);
        court.execute(first);
        court.execute(second);
        assertEq(avs.stakeOf(operatorAt(3)), 0.25 ether, "half, and half of the rest");
        assertEq(court.credits(CHALLENGER), 0.3 ether, "of what was left at each");
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_Execute_TheRewardIsAtMostHalfOfTheSlash(uint128 stake, uint64 wad, uint64 r)
        external
    {
        ISlashingCourt.CourtParams memory p = courtParams();
        p.falseValidWad = uint64(bound(wad, 1, 1e18));
        p.rewardWad = uint64(bound(r, 0, 0.5e18));
        deployBase();
        _useCourt(rewards, p);
        avs.setStake(operatorAt(3), stake);
        bytes32 caseId = _file(3, STATEMENT, FALSE_VALID, false);
        vm.warp(block.timestamp + VETO);
        court.execute(caseId);
        uint256 slashed = stake - avs.stakeOf(operatorAt(3));
        assertTrue(court.credits(CHALLENGER) * 2 <= slashed, "at most half");
    }

    // withdraw

    function test_Withdraw_PaysAsFarAsTheReserveReaches() external {
        _earn(3, STATEMENT);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISlashingCourt.NothingToWithdraw.selector, CHALLENGER, 0.2 ether, 0
            )
        );
        vm.prank(CHALLENGER);
        court.withdraw(CHALLENGER);
        rewards.mint(address(court), 0.15 ether);
        vm.prank(CHALLENGER);
        court.withdraw(address(0xB0B));
        assertEq(rewards.balanceOf(address(0xB0B)), 0.15 ether, "what there was");
        assertEq(court.credits(CHALLENGER), 0.05 ether, "the rest stays");
        rewards.mint(address(court), 1 ether);
        vm.expectEmit(address(court));
        emit ISlashingCourt.RewardWithdrawn(CHALLENGER, address(0xB0B), 0.05 ether);
        vm.prank(CHALLENGER);
        court.withdraw(address(0xB0B));
        assertEq(rewards.balanceOf(address(court)), 0.95 ether, "no more than the credit");
    }

    function test_Withdraw_RefusesNobodyAndTheUncredited() external {
        rewards.mint(address(court), 1 ether);
        vm.expectRevert(ISlashingCourt.AddressZero.selector);
        court.withdraw(address(0));
        vm.expectRevert(
            abi.encodeWithSelector(
                ISlashingCourt.NothingToWithdraw.selector, address(this), 0, 1 ether
            )
        );
        court.withdraw(address(this));
    }

    function test_Withdraw_CannotBeReentered() external {
        CallingToken calling = new CallingToken();
        deployBase();
        _useCourt(IERC20(address(calling)), courtParams());
        calling.mint(address(court), 1 ether);
        GreedyWithdrawer greedy = new GreedyWithdrawer(court);
        bytes32 caseId =
            court.file(operatorAt(3), _epoch, 3, STATEMENT, FALSE_VALID, address(greedy), false);
        vm.warp(block.timestamp + VETO);
        court.execute(caseId);
        greedy.withdraw();
        assertEq(calling.balanceOf(address(greedy)), 0.2 ether, "once");
        assertTrue(
            bytes4(greedy.refusal()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")),
            "refused"
        );
    }

    // setChallengeGame, setVetoer, constructor

    function test_Setters_AreTheOwnersAndTheGameIsForGood() external {
        bytes memory refusal =
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this));
        vm.expectRevert(refusal);
        court.setChallengeGame(address(1));
        vm.expectRevert(refusal);
        court.setVetoer(address(1));
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.AlreadySet.selector, address(this)));
        vm.prank(OWNER);
        court.setChallengeGame(address(1));
        SlashingCourt fresh = new SlashingCourt(avs, epochs, rewards, courtParams(), OWNER);
        vm.expectRevert(ISlashingCourt.AddressZero.selector);
        vm.prank(OWNER);
        fresh.setChallengeGame(address(0));
        vm.expectRevert(ISlashingCourt.AddressZero.selector);
        vm.prank(OWNER);
        fresh.setVetoer(address(0));
        vm.expectEmit(address(fresh));
        emit ISlashingCourt.VetoerSet(address(1));
        vm.prank(OWNER);
        fresh.setVetoer(address(1));
        assertEq(fresh.vetoer(), address(1), "vetoer");
    }

    function test_Constructor_RefusesUnsoundParameters() external {
        for (uint256 field = 0; field < 8; ++field) {
            ISlashingCourt.CourtParams memory p = courtParams();
            if (field == 0) p.vetoer = address(0);
            if (field == 1) p.vetoSeconds = 0;
            if (field == 2) p.vetoSeconds = LONG_VETO + 1;
            if (field == 3) p.falseValidWad = 0;
            if (field == 4) p.falseValidWad = 1e18 + 1;
            if (field == 5) p.equivocationWad = 0;
            if (field == 6) p.equivocationWad = 1e18 + 1;
            if (field == 7) p.rewardWad = 0.5e18 + 1;
            vm.expectRevert(ISlashingCourt.CourtParamsInvalid.selector);
            new SlashingCourt(avs, epochs, rewards, p, OWNER);
        }
    }

    // Helpers

    /// @dev A court whose game is this test.
    function _useCourt(IERC20 token_, ISlashingCourt.CourtParams memory p) private {
        deployCourt(token_, p);
        vm.prank(OWNER);
        court.setChallengeGame(address(this));
        addFour();
        _epoch = snapshot();
    }

    function _file(
        uint256 operator,
        StatementDigest statement,
        ISlashingCourt.Fault fault,
        bool longVeto
    ) private returns (bytes32) {
        return court.file(
            operatorAt(operator), _epoch, operator, statement, fault, CHALLENGER, longVeto
        );
    }

    function _earn(uint256 operator, StatementDigest statement) private {
        bytes32 caseId = _file(operator, statement, FALSE_VALID, false);
        vm.warp(block.timestamp + VETO);
        court.execute(caseId);
    }

    function _refuseSecond(bytes32 caseId, ISlashingCourt.CaseState state) private {
        vm.expectRevert(abi.encodeWithSelector(ISlashingCourt.CaseExists.selector, caseId, state));
        court.file(operatorAt(3), _epoch, 3, STATEMENT, EQUIVOCATION, CHALLENGER, false);
    }

    function _excluded(uint64 epoch) private view returns (uint256 mask) {
        (,, mask) = epochs.tableAt(epoch);
    }

    function _tooLate(uint256 needed, uint256 last) private view returns (bytes memory) {
        return abi.encodeWithSelector(ISlashingCourt.EvidenceTooLate.selector, _epoch, needed, last);
    }

    function _assertCase(
        bytes32 caseId,
        uint256 member,
        StatementDigest statement,
        ISlashingCourt.Fault fault
    ) private view {
        ISlashingCourt.Case memory filed = court.cases(caseId);
        bytes32 digest = StatementDigest.unwrap(statement);
        assertEq(StatementDigest.unwrap(filed.statement), digest, "statement");
        assertEq(filed.member, member, "member");
        assertEq(filed.epoch, _epoch, "epoch");
        assertEq(filed.challenger, CHALLENGER, "challenger");
        assertTrue(filed.fault == fault, "fault");
    }
}
