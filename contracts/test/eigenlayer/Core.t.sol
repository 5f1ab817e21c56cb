// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAVSRegistrar} from "../../src/interfaces/eigenlayer/IAVSRegistrar.sol";
import {
    IAllocationManager,
    IAllocationManagerV14,
    OperatorSet
} from "../../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IDelegationManager} from "../../src/interfaces/eigenlayer/IDelegationManager.sol";
import {IRewardsCoordinator} from "../../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {IStrategy} from "../../src/interfaces/eigenlayer/IStrategy.sol";
import {Core} from "./Core.sol";

/// @title What the real core does, as far as this project relies on it
/// @dev The test contract itself is the AVS and its registrar. Staker, operator and set are one each.
contract CoreTest is Core, IAVSRegistrar {
    address private constant OPERATOR = address(0x0F);
    address private constant STAKER = address(0x57);
    uint256 private constant STAKE = 100 ether;

    OperatorSet private _set;
    address private _registered;
    bytes private _data;
    bool private _refuseToLetGo;

    function setUp() external {
        deployCore();
        _set = OperatorSet(address(this), 0);
        allocations.updateAVSMetadataURI(address(this), "ipfs://avs");
        IAllocationManagerV14.CreateSetParams[] memory params =
            new IAllocationManagerV14.CreateSetParams[](1);
        params[0].strategies = _list();
        allocations.createOperatorSets(address(this), params);
        newOperator(OPERATOR);
        stake(STAKER, OPERATOR, STAKE);
    }

    function test_Stake_IsSlashableOnceAllocatedAndRegistered() external {
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE, "delegated");
        allocate(OPERATOR, _set, MAGNITUDE / 2);
        assertEq(slashableStake(OPERATOR, _set, _soon()), 0, "not registered");
        joinSet(OPERATOR, _set, "hello");
        assertEq(_registered, OPERATOR, "registrar called");
        assertEqBytes(_data, "hello", "registrar's data");
        assertTrue(allocations.isMemberOfOperatorSet(OPERATOR, _set), "member");
        assertEq(slashableStake(OPERATOR, _set, _soon()), STAKE / 2, "slashable");
    }

    function test_Allocate_NeedsTheDelayOfANewOperator() external {
        newOperator(address(0x10), 0);
        vm.expectRevert(IAllocationManager.UninitializedAllocationDelay.selector);
        this.allocateExternally(address(0x10));
    }

    function test_Slash_TakesTheExactPart() external {
        _join(MAGNITUDE / 2);
        // A fifth of a half.
        _slash(0.2e18);
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE * 9 / 10, "shares");
        assertEq(allocations.getMaxMagnitude(OPERATOR, strategy), 0.9e18, "magnitude");
        // The core rounds the part down that an allocation is of what is left.
        uint256 part = 0.4e18 * 1e18 / uint256(0.9e18);
        assertEq(slashableStake(OPERATOR, _set, _soon()), STAKE * 9 / 10 * part / 1e18, "slashable");
        assertEq(strategies.getBurnableShares(strategy), STAKE / 10, "burnable");
        strategies.burnShares(strategy);
        assertEq(stakeToken.balanceOf(address(strategy)), STAKE * 9 / 10, "tokens");
    }

    function testFuzz_Slash_TakesTheExactPart(uint256 magnitude, uint256 wad) external {
        magnitude = bound(magnitude, 1, MAGNITUDE);
        wad = bound(wad, 1, 1e18);
        _join(uint64(magnitude));
        _slash(wad);
        // The core rounds the slashed magnitude up.
        uint256 slashed = (magnitude * wad + 1e18 - 1) / 1e18;
        uint256 left = STAKE * (1e18 - slashed) / 1e18;
        assertEq(allocations.getMaxMagnitude(OPERATOR, strategy), 1e18 - slashed, "magnitude");
        assertEq(delegation.operatorShares(OPERATOR, strategy), left, "shares");
    }

    function test_Slash_RefusesStrangers() external {
        _join(MAGNITUDE);
        IAllocationManager.SlashingParams memory params = _params(1e18);
        vm.expectRevert(IAllocationManager.InvalidPermissions.selector);
        vm.prank(OPERATOR);
        allocations.slashOperator(address(this), params);
    }

    function test_Slash_StillPossibleAfterDeregistration() external {
        _join(MAGNITUDE / 2);
        leaveSet(OPERATOR, _set);
        assertTrue(!allocations.isMemberOfOperatorSet(OPERATOR, _set), "left");
        assertTrue(_registered == address(0), "registrar called");
        vm.roll(block.number + DEALLOCATION_DELAY);
        assertTrue(allocations.isOperatorSlashable(OPERATOR, _set), "in the last block");
        _slash(1e18);
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE / 2, "shares");
    }

    function test_Slash_NoMoreAfterTheDelay() external {
        _join(MAGNITUDE / 2);
        leaveSet(OPERATOR, _set);
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        IAllocationManager.SlashingParams memory params = _params(1e18);
        vm.expectRevert(IAllocationManager.OperatorNotSlashable.selector);
        allocations.slashOperator(address(this), params);
    }

    /// @dev A stake that is asked about beyond a deregistration's delay is not told from one that
    /// stays: whoever freezes stake has to look at the membership too.
    function test_MinimumSlashableStake_DoesNotForeseeADeregistration() external {
        _join(MAGNITUDE / 2);
        leaveSet(OPERATOR, _set);
        assertEq(
            slashableStake(OPERATOR, _set, _soon() + DEALLOCATION_DELAY), STAKE / 2, "slashable"
        );
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        assertEq(slashableStake(OPERATOR, _set, _soon()), 0, "gone");
    }

    function test_MinimumSlashableStake_ForeseesADeallocation() external {
        _join(MAGNITUDE / 2);
        allocate(OPERATOR, _set, MAGNITUDE / 10);
        uint32 effect = uint32(block.number) + DEALLOCATION_DELAY + 1;
        assertEq(slashableStake(OPERATOR, _set, effect - 1), STAKE / 2, "until then");
        assertEq(slashableStake(OPERATOR, _set, effect), STAKE / 10, "from then on");
        vm.roll(effect - 1);
        _slash(1e18);
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE / 2, "all of it slashed");
    }

    /// @dev So a registrar that reverts would hold its operators captive.
    function test_Deregister_FailsWithItsRegistrar() external {
        _join(MAGNITUDE);
        _refuseToLetGo = true;
        vm.expectRevert(abi.encodeWithSelector(NotTrue.selector, "refuses"));
        this.leaveExternally(OPERATOR);
    }

    /// @dev Whoever left waits until it is out of reach before it can come back.
    function test_Register_AgainOnlyOnceOutOfReach() external {
        _join(MAGNITUDE);
        leaveSet(OPERATOR, _set);
        vm.expectRevert(IAllocationManager.AlreadyMemberOfSet.selector);
        this.joinExternally(OPERATOR);
        vm.roll(block.number + DEALLOCATION_DELAY + 1);
        joinSet(OPERATOR, _set, "");
        assertEq(slashableStake(OPERATOR, _set, _soon()), STAKE, "slashable");
    }

    function test_Withdrawal_IsSlashableWhileItWaits() external {
        _join(MAGNITUDE);
        queueWithdrawal(STAKER, STAKE);
        assertEq(slashableStake(OPERATOR, _set, _soon()), 0, "no stake of the set any more");
        vm.roll(block.number + WITHDRAWAL_DELAY);
        _slash(0.25e18);
        vm.roll(block.number + 1);
        completeWithdrawal(STAKER);
        assertEq(stakeToken.balanceOf(STAKER), STAKE * 3 / 4, "what is left");
    }

    function test_Withdrawal_NeedsTheDelay() external {
        queueWithdrawal(STAKER, STAKE);
        vm.roll(block.number + WITHDRAWAL_DELAY);
        vm.expectRevert(IDelegationManager.WithdrawalDelayNotElapsed.selector);
        this.completeExternally(STAKER);
        vm.roll(block.number + 1);
        completeWithdrawal(STAKER);
        assertEq(stakeToken.balanceOf(STAKER), STAKE, "all of it");
    }

    function test_Rewards_AreClaimedOnce() external {
        stakeToken.mint(address(this), 5 ether);
        stakeToken.approve(address(rewards), 5 ether);
        rewards.createOperatorDirectedAVSRewardsSubmission(address(this), _submission(5 ether));
        assertEq(stakeToken.balanceOf(address(rewards)), 5 ether, "in the coordinator");
        submitRootFor(STAKER, stakeToken, 4 ether);
        vm.warp(block.timestamp + 1);
        IRewardsCoordinator.RewardsMerkleClaim memory claim = claimOf(STAKER, stakeToken, 4 ether);
        vm.prank(STAKER);
        rewards.processClaim(claim, STAKER);
        assertEq(stakeToken.balanceOf(STAKER), 4 ether, "claimed");
        vm.expectRevert(
            "RewardsCoordinator.processClaim: cumulativeEarnings must be gt than cumulativeClaimed"
        );
        vm.prank(STAKER);
        rewards.processClaim(claim, STAKER);
    }

    // The registrar

    function registerOperator(address operator, address avs, uint32[] calldata, bytes calldata data)
        external
    {
        assertEq(avs, address(this), "avs");
        (_registered, _data) = (operator, data);
    }

    function deregisterOperator(address, address avs, uint32[] calldata) external {
        assertEq(avs, address(this), "avs");
        assertTrue(!_refuseToLetGo, "refuses");
        _registered = address(0);
    }

    function supportsAVS(address avs) external view returns (bool) {
        return avs == address(this);
    }

    // A revert is expected of one call, and these helpers make more than one.

    function allocateExternally(address operator) external {
        allocate(operator, _set, MAGNITUDE);
    }

    function joinExternally(address operator) external {
        joinSet(operator, _set, "");
    }

    function leaveExternally(address operator) external {
        leaveSet(operator, _set);
    }

    function completeExternally(address staker) external {
        completeWithdrawal(staker);
    }

    function _join(uint64 magnitude) private {
        allocate(OPERATOR, _set, magnitude);
        joinSet(OPERATOR, _set, "");
    }

    function _slash(uint256 wad) private {
        allocations.slashOperator(address(this), _params(wad));
    }

    function _params(uint256 wad)
        private
        view
        returns (IAllocationManager.SlashingParams memory params)
    {
        params.operator = OPERATOR;
        params.strategies = _list();
        params.wadsToSlash = new uint256[](1);
        params.wadsToSlash[0] = wad;
        params.description = "test";
    }

    function _submission(uint256 amount)
        private
        view
        returns (IRewardsCoordinator.OperatorDirectedRewardsSubmission[] memory list)
    {
        list = new IRewardsCoordinator.OperatorDirectedRewardsSubmission[](1);
        list[0].strategiesAndMultipliers = new IRewardsCoordinator.StrategyAndMultiplier[](1);
        list[0].strategiesAndMultipliers[0] =
            IRewardsCoordinator.StrategyAndMultiplier(strategy, 1e18);
        list[0].token = stakeToken;
        list[0].operatorRewards = new IRewardsCoordinator.OperatorReward[](1);
        list[0].operatorRewards[0] = IRewardsCoordinator.OperatorReward(OPERATOR, amount);
        list[0].startTimestamp = uint32(block.timestamp / DAY * DAY - 2 * DAY);
        list[0].duration = DAY;
        list[0].description = "test";
    }

    function _list() private view returns (IStrategy[] memory list) {
        list = new IStrategy[](1);
        list[0] = strategy;
    }

    function _soon() private view returns (uint32) {
        return uint32(block.number + 1);
    }
}
