// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BondedStake} from "../src/BondedStake.sol";
import {DevToken} from "../src/dev/DevToken.sol";
import {IBondedStake} from "../src/interfaces/IBondedStake.sol";
import {TestBase} from "./helpers/TestBase.sol";

/// @title A token that keeps a tenth of each transfer
contract TaxedToken is DevToken {
    constructor(address owner_) DevToken(owner_) {}

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0)) return super._update(from, to, value);
        super._update(from, to, value - value / 10);
        super._update(from, address(0xdead), value / 10);
    }
}

/// @title depositFor, beginWithdrawal, withdraw (test/tree/BondedStake.tree)
contract BondedStakeTest is TestBase {
    address private constant OPERATOR = address(0x0b);
    uint64 private constant DELAY = 1000;

    DevToken private _token;
    BondedStake private _bond;

    function setUp() external {
        _token = new DevToken(address(this));
        _bond = new BondedStake(_token, DELAY);
        _token.mint(address(this), type(uint128).max);
        _token.approve(address(_bond), type(uint256).max);
    }

    function test_DepositFor_IsTheOperatorsStake() external {
        vm.expectEmit(address(_bond));
        emit IBondedStake.Deposited(OPERATOR, address(this), 100);
        _bond.depositFor(OPERATOR, 100);
        assertEq(_bond.stakeOf(OPERATOR), 100, "operator");
        assertEq(_bond.stakeOf(address(this)), 0, "payer");
    }

    function test_DepositFor_CountsWhatArrives() external {
        TaxedToken taxed = new TaxedToken(address(this));
        BondedStake bond = new BondedStake(taxed, DELAY);
        taxed.mint(address(this), 100);
        taxed.approve(address(bond), 100);
        bond.depositFor(OPERATOR, 100);
        assertEq(bond.stakeOf(OPERATOR), 90, "arrived");
    }

    function test_DepositFor_RefusesNothing() external {
        vm.expectRevert(IBondedStake.AmountZero.selector);
        _bond.depositFor(OPERATOR, 0);
    }

    function testFuzz_Withdraw_ReturnsExactlyWhatLeft(uint128 deposit, uint128 amount) external {
        deposit = uint128(bound(deposit, 1, type(uint128).max));
        amount = uint128(bound(amount, 1, deposit));
        _bond.depositFor(OPERATOR, deposit);
        _begin(amount);
        assertEq(_bond.stakeOf(OPERATOR), deposit - amount, "leaves the stake at once");
        uint256 availableAt = block.timestamp + DELAY;
        vm.warp(availableAt - 1);
        _refuseWithdrawal(availableAt);
        vm.warp(availableAt);
        vm.prank(OPERATOR);
        _bond.withdraw();
        assertEq(_token.balanceOf(OPERATOR), amount, "paid");
        assertEq(_token.balanceOf(address(_bond)), deposit - amount, "kept");
        _refuseWithdrawal(0);
    }

    function test_BeginWithdrawal_AgainStartsTheDelayAnew() external {
        _bond.depositFor(OPERATOR, 100);
        _begin(30);
        vm.warp(block.timestamp + DELAY - 1);
        _begin(20);
        assertEq(_bond.withdrawalOf(OPERATOR).amount, 50, "pending");
        _refuseWithdrawal(block.timestamp + DELAY);
    }

    function test_BeginWithdrawal_RefusesMoreThanTheStakeAndNothing() external {
        _bond.depositFor(OPERATOR, 100);
        vm.expectRevert(
            abi.encodeWithSelector(IBondedStake.StakeTooSmall.selector, OPERATOR, 100, 101)
        );
        _begin(101);
        vm.expectRevert(IBondedStake.AmountZero.selector);
        _begin(0);
    }

    function test_Constructor_RefusesNoDelay() external {
        vm.expectRevert(IBondedStake.WithdrawalDelayZero.selector);
        new BondedStake(_token, 0);
    }

    function _begin(uint128 amount) private {
        vm.prank(OPERATOR);
        _bond.beginWithdrawal(amount);
    }

    function _refuseWithdrawal(uint256 availableAt) private {
        vm.expectRevert(
            abi.encodeWithSelector(IBondedStake.WithdrawalNotReady.selector, OPERATOR, availableAt)
        );
        vm.prank(OPERATOR);
        _bond.withdraw();
    }
}
