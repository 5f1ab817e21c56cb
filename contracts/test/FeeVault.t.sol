// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {FeeVault} from "../src/FeeVault.sol";
import {DevWrappedCoin} from "../src/dev/DevWrappedCoin.sol";
import {IAvsManager} from "../src/interfaces/IAvsManager.sol";
import {IEpochTable} from "../src/interfaces/IEpochTable.sol";
import {IFeeVault} from "../src/interfaces/IFeeVault.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {IWrappedCoin} from "../src/interfaces/IWrappedCoin.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title A coin that keeps a hundredth of what is wrapped
contract CoinWithFee is DevWrappedCoin {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from == address(0)) super._update(to, address(1), value / 100);
    }
}

/// @title A requester that takes no coins
contract RefusingRequester {
    ITaskManager private immutable _tasks;

    constructor(ITaskManager tasks) {
        _tasks = tasks;
    }

    function createJob(ITaskManager.JobRequest calldata request) external payable returns (JobId) {
        return _tasks.createJob{value: msg.value}(request);
    }

    function withdraw(address payable to) external {
        _tasks.withdraw(to);
    }
}

/// @title settle, refund, distribute, sendReserve, wire (test/tree/FeeVault.tree)
/// @dev Members 0 to 3 have stakes 3, 3, 2, 1. Of a fee 80 % are for provers, 15 % for verifiers,
/// 5 % for the reserve.
contract FeeVaultTest is MoneyNetwork {
    uint64 private _epoch;
    uint256 private _began;

    function setUp() external {
        deployMoney(Money.terms());
        _epoch = newEpoch();
        _began = block.timestamp;
    }

    // settle

    function test_Settle_SplitsTheFee() external {
        JobId job = createJob(REQUESTER, 1, FEE);
        _settle(job, 0);
        assertEq(creditOf(proverAt(0)), FEE * 80 / 100, "prover");
        assertEq(vault.potOf(_epoch, 0), FEE * 15 / 100, "verifiers");
        assertEq(vault.reserve(), FEE * 5 / 100, "reserve");
        assertEq(creditOf(REQUESTER), 0, "no dust");
        assertEq(address(vault).balance, FEE, "all still here");
        assertEq(vault.feeOf(job), FEE, "the fee is remembered");
    }

    function testFuzz_Settle_LosesNothingAndDustIsTheRequesters(uint256 fee, uint256 mask)
        external
    {
        fee = bound(fee, 1, type(uint128).max);
        mask = bound(mask, 0, 15);
        _settle(createJob(REQUESTER, 1, fee), mask);
        uint256 paid = creditOf(proverAt(0)) + vault.potOf(_epoch, mask) + vault.reserve();
        assertEq(paid + creditOf(REQUESTER), fee, "all of it");
        assertTrue(creditOf(REQUESTER) < 3, "less dust than parts");
    }

    function test_Settle_PaysTheSignersOfTheAugmentedCertificate() external {
        // What the registry says when the statement is hard is the final set.
        JobId job = createJob(REQUESTER, 1, FEE);
        _settle(job, 8);
        assertEq(vault.potOf(_epoch, 8), FEE * 15 / 100, "the mask of then");
    }

    function test_Settle_OncePerJobAndOnlyByTheTaskManager() external {
        JobId job = createJob(REQUESTER, 1, FEE);
        IFeeVault.Payee[] memory payees = new IFeeVault.Payee[](1);
        payees[0] = IFeeVault.Payee(proverAt(0), 1);
        IFeeVault.Signing[] memory signings = new IFeeVault.Signing[](1);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NotAllowed.selector, address(this)));
        vault.settle(job, REQUESTER, payees, signings);
        vm.prank(address(tasks));
        vault.settle(job, REQUESTER, payees, signings);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.EscrowNotOpen.selector, job));
        vm.prank(address(tasks));
        vault.settle(job, REQUESTER, payees, signings);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.EscrowNotOpen.selector, job));
        vm.prank(address(tasks));
        vault.refund(job, REQUESTER);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.EscrowNotOpen.selector, job));
        vm.prank(address(tasks));
        vault.escrow(job);
    }

    function test_Rights_EverybodyElseIsRefused() external {
        bytes memory refusal = abi.encodeWithSelector(IFeeVault.NotAllowed.selector, address(this));
        JobId job = createJob(REQUESTER, 1, FEE);
        vm.expectRevert(refusal);
        vault.escrow(job);
        vm.expectRevert(refusal);
        vault.credit(job, address(this));
        vm.expectRevert(refusal);
        vault.refund(job, address(this));
        vm.expectRevert(refusal);
        vault.withdraw(REQUESTER, payable(address(this)));
        vm.expectRevert(refusal);
        vault.bond();
        vm.expectRevert(refusal);
        vault.payBond(payable(address(this)), 1);
        vm.expectRevert(refusal);
        vault.creditBond(job, address(this), 1);
    }

    function test_Bonds_CannotTakeMoreThanWasBonded() external {
        createJob(REQUESTER, 1, FEE);
        depositBond(proverAt(0), 5);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.BondsExceeded.selector, 5, 6));
        vm.prank(address(bonds));
        vault.payBond(payable(address(0xF00)), 6);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.BondsExceeded.selector, 5, 6));
        vm.prank(address(bonds));
        vault.creditBond(JobId.wrap(0), address(0xF00), 6);
    }

    function test_Refund_OfARequesterThatRefusesCoinsGoesWhereItSays() external {
        RefusingRequester requester = new RefusingRequester(tasks);
        vm.deal(address(this), FEE);
        JobId job = requester.createJob{value: FEE}(jobRequest(1));
        vm.warp(tasks.refundableAt(job));
        tasks.refund(job);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.PaymentFailed.selector, address(requester), FEE)
        );
        requester.withdraw(payable(address(requester)));
        requester.withdraw(payable(address(0xF00)));
        assertEq(address(0xF00).balance, FEE, "sent elsewhere");
    }

    // distribute

    function test_Distribute_RewardsSignersByStake() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        _settle(createJob(REQUESTER, 2, FEE), 8);
        vm.warp(_dayEnd() + 1);
        uint256[] memory masks = new uint256[](2);
        (masks[0], masks[1]) = (0, 8);
        uint256 pot = FEE * 15 / 100;
        uint256 paid = vault.distribute(_epoch, masks);
        assertEq(avs.numOperators(), 4, "all four");
        _checkReward(0, 0, pot * 3 / 9 + pot * 3 / 8);
        _checkReward(1, 1, pot * 3 / 9 + pot * 3 / 8);
        _checkReward(2, 2, pot * 2 / 9 + pot * 2 / 8);
        _checkReward(3, 3, pot * 1 / 9);
        assertEq(coin.balanceOf(address(avs)), paid, "as tokens");
        assertEq(address(coin).balance, paid, "backed by coins");
        assertEq(vault.reserve(), 2 * FEE * 5 / 100 + 2 * pot - paid, "what rounding leaves");
        assertEq(avs.startTimestamp(), _began - _began % 86_400, "of the day of the epoch");
        assertEq(avs.duration(), 86_400, "one day");
        assertEq(coin.balanceOf(address(vault)), 0, "nothing left here");
    }

    function test_Distribute_NonSignersAndTheExcludedGetNothing() external {
        _settle(createJob(REQUESTER, 1, FEE), 8);
        epochDouble.exclude(_epoch, 2);
        vm.warp(_dayEnd() + 1);
        vault.distribute(_epoch, _one(8));
        uint256 pot = FEE * 15 / 100;
        assertEq(avs.numOperators(), 2, "two are left");
        _checkReward(0, 0, pot * 3 / 5);
        _checkReward(1, 2, pot * 2 / 5);
    }

    function test_Distribute_IfAllAreExcludedThePotIsReserve() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        epochDouble.exclude(_epoch, 15);
        vm.warp(_dayEnd() + 1);
        assertEq(vault.distribute(_epoch, _one(0)), 0, "nobody");
        assertEq(avs.submissions(), 0, "no submission");
        assertEq(vault.reserve(), FEE * 20 / 100, "kept");
    }

    function test_Distribute_EachPotOnce() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        vm.warp(_dayEnd() + 1);
        uint256[] memory twice = new uint256[](2);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.PotEmpty.selector, _epoch, 0));
        vault.distribute(_epoch, twice);
        vault.distribute(_epoch, _one(0));
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.PotEmpty.selector, _epoch, 0));
        vault.distribute(_epoch, _one(0));
    }

    function test_Distribute_IsBounded() external {
        vm.warp(_dayEnd() + 1);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.MaskCountOutOfRange.selector, 0, 32));
        vault.distribute(_epoch, new uint256[](0));
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.MaskCountOutOfRange.selector, 33, 32));
        vault.distribute(_epoch, new uint256[](33));
    }

    function test_Distribute_WaitsForTheIntervalAndNeverStrands() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        vm.warp(_dayEnd());
        vm.expectRevert(
            abi.encodeWithSelector(IFeeVault.IntervalNotOver.selector, _epoch, _dayEnd())
        );
        vault.distribute(_epoch, _one(0));
        // Later than the core takes submissions for that day: the last day that is over.
        uint256 late = _dayEnd() + 100 days;
        vm.warp(late);
        vault.distribute(_epoch, _one(0));
        assertEq(avs.startTimestamp(), late - 2 * 86_400, "exactly at midnight: the day before");
    }

    function test_Distribute_RefusesATokenWithAFee() external {
        CoinWithFee taxed = new CoinWithFee();
        FeeVault other = _vaultWith(taxed);
        other.wire(address(this), address(this), IAvsManager(address(avs)), Money.COURT);
        _accrueIn(other);
        vm.warp(_dayEnd() + 1);
        uint256 pot = FEE * 15 / 100;
        uint256 submitted = pot / 9 * 9 == pot ? pot : pot - pot % 9;
        vm.expectPartialRevert(IFeeVault.TokenAmountDiffers.selector);
        other.distribute(_epoch, _one(0));
        vm.expectPartialRevert(IFeeVault.TokenAmountDiffers.selector);
        other.sendReserve();
        assertTrue(submitted != 0 && other.potOf(_epoch, 0) == pot, "the pot is still there");
    }

    function test_Distribute_RefusesAManagerThatTakesLess() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        vm.warp(_dayEnd() + 1);
        avs.setPullsLess(1);
        vm.expectPartialRevert(IFeeVault.TokenAmountDiffers.selector);
        vault.distribute(_epoch, _one(0));
    }

    // reserve

    function test_SendReserve_GivesTheCourtTokens() external {
        _settle(createJob(REQUESTER, 1, FEE), 0);
        vm.deal(address(this), 3);
        vault.fundReserve{value: 3}();
        uint256 reserve = FEE * 5 / 100 + 3;
        vm.expectEmit(address(vault));
        emit IFeeVault.ReserveSent(Money.COURT, reserve);
        assertEq(vault.sendReserve(), reserve, "all of it");
        assertEq(coin.balanceOf(Money.COURT), reserve, "at the court");
        vm.expectRevert(IFeeVault.ReserveEmpty.selector);
        vault.sendReserve();
    }

    // wire and terms

    function test_Wire_OnceByTheOwner() external {
        vm.expectRevert(IFeeVault.AlreadySet.selector);
        vault.wire(address(1), address(1), IAvsManager(address(1)), address(1));
        FeeVault other = _vaultWith(coin);
        vm.expectRevert(IFeeVault.AddressZero.selector);
        other.wire(address(1), address(1), IAvsManager(address(0)), address(1));
        vm.expectPartialRevert(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        vm.prank(REQUESTER);
        other.wire(address(1), address(1), IAvsManager(address(1)), address(1));
    }

    function testFuzz_Constructor_BoundsTheSplit(uint16 p, uint16 v, uint16 r) external {
        (p, v) = (uint16(bound(p, 0, 10_000)), uint16(bound(v, 0, 10_000)));
        r = uint16(bound(r, 0, 10_000));
        bool fits = uint256(p) + v + r == 10_000 && p >= 5000 && v <= 4000 && r <= 1000;
        if (!fits) {
            vm.expectRevert(abi.encodeWithSelector(IFeeVault.SplitInvalid.selector, p, v, r));
        }
        _vault(coin, IFeeVault.FeeSplit(p, v, r), 86_400);
    }

    function test_Constructor_BoundsTheSplitAtItsEdges() external {
        _vault(coin, IFeeVault.FeeSplit(5000, 4000, 1000), 86_400);
        vm.expectPartialRevert(IFeeVault.SplitInvalid.selector);
        _vault(coin, IFeeVault.FeeSplit(4999, 4000, 1001), 86_400);
        vm.expectPartialRevert(IFeeVault.SplitInvalid.selector);
        _vault(coin, IFeeVault.FeeSplit(5999, 4001, 0), 86_400);
        vm.expectPartialRevert(IFeeVault.RewardTimesInvalid.selector);
        _vault(coin, IFeeVault.FeeSplit(10_000, 0, 0), 0);
        vm.expectPartialRevert(IFeeVault.RewardTimesInvalid.selector);
        _vault(coin, IFeeVault.FeeSplit(10_000, 0, 0), 43 * 86_400);
    }

    // Helpers

    function _settle(JobId job, uint256 mask) private {
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(job, proverAt(0));
        certifyAs(statement, 1, mask);
        vm.warp(block.timestamp + CHALLENGE);
        tasks.settle(job, s);
    }

    function _one(uint256 mask) private pure returns (uint256[] memory masks) {
        masks = new uint256[](1);
        masks[0] = mask;
    }

    function _dayEnd() private view returns (uint256) {
        return _began - _began % 86_400 + 86_400;
    }

    function _checkReward(uint256 place, uint256 member, uint256 amount) private view {
        assertEq(avs.operators(place), operatorAt(member), "operator");
        assertEq(avs.amounts(place), amount, "amount");
    }

    function _vaultWith(IWrappedCoin token_) private returns (FeeVault) {
        return _vault(token_, Money.terms().split, 86_400);
    }

    function _vault(IWrappedCoin token_, IFeeVault.FeeSplit memory split, uint32 interval)
        private
        returns (FeeVault)
    {
        return new FeeVault(
            IEpochTable(address(epochDouble)),
            token_,
            split,
            IFeeVault.RewardTimes(interval, 84 * 86_400),
            address(this)
        );
    }

    function _accrueIn(FeeVault other) private {
        JobId job = JobId.wrap(keccak256("job"));
        vm.deal(address(this), FEE);
        other.escrow{value: FEE}(job);
        IFeeVault.Payee[] memory payees = new IFeeVault.Payee[](1);
        payees[0] = IFeeVault.Payee(proverAt(0), 1);
        IFeeVault.Signing[] memory signings = new IFeeVault.Signing[](1);
        signings[0] = IFeeVault.Signing(_epoch, 0);
        other.settle(job, REQUESTER, payees, signings);
    }
}
