// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {AvsManager} from "../src/AvsManager.sol";
import {AvsManagerV14} from "../src/AvsManagerV14.sol";
import {AvsManagerV19} from "../src/AvsManagerV19.sol";
import {DevStrategy} from "../src/dev/DevStrategy.sol";
import {DevToken} from "../src/dev/DevToken.sol";
import {IRestakedAvs} from "../src/interfaces/IRestakedAvs.sol";
import {IAllocationManager, OperatorSet} from "../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {IStrategy} from "../src/interfaces/eigenlayer/IStrategy.sol";
import {Core} from "./eigenlayer/Core.sol";
import {AllocationManagerV19Mock} from "./helpers/AllocationManagerV19Mock.sol";
import {OpenRegistrar} from "./helpers/OpenRegistrar.sol";

/// @title The network as an AVS of the real core, v1.4 (test/tree/AvsManager.tree)
contract AvsManagerTest is Core {
    address private constant COURT = address(0xC0);
    address private constant VAULT = address(0xFE);
    address private constant OPERATOR = address(0x0F);
    address private constant STAKER = address(0x57);
    uint256 private constant STAKE = 100 ether;

    AvsManagerV14 private _avs;
    OpenRegistrar private _registrar;
    DevStrategy private _second;
    OperatorSet private _verifiers;

    function setUp() external {
        deployCore();
        _second = newStrategy(new DevToken(address(this)));
        _avs = new AvsManagerV14(_core(), _stakes(1e18, 0.5e18), "ipfs://avs", address(this));
        _registrar = new OpenRegistrar();
        _avs.wire(address(_registrar), COURT, VAULT);
        _verifiers = OperatorSet(address(_avs), 0);
        newOperator(OPERATOR);
        stake(STAKER, OPERATOR, STAKE);
    }

    // constructor and wire

    function test_Constructor_CreatesBothSetsWithEveryStrategy() external view {
        for (uint32 set = 0; set < 2; ++set) {
            OperatorSet memory created = OperatorSet(address(_avs), set);
            assertTrue(allocations.isOperatorSet(created), "set");
            IStrategy[] memory list = allocations.getStrategiesInOperatorSet(created);
            assertEq(list.length, 2, "strategies");
        }
        assertEq(_avs.stakes().length, 2, "stakes");
        assertEq(_avs.deallocationDelayBlocks(), DEALLOCATION_DELAY, "deallocation delay");
        assertEq(_avs.withdrawalDelayBlocks(), WITHDRAWAL_DELAY, "withdrawal delay");
    }

    function test_Constructor_RefusesNoStrategyAndTooMany() external {
        IRewardsCoordinator.StrategyAndMultiplier[] memory none;
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.StrategyCount.selector, 0, 4));
        new AvsManagerV14(_core(), none, "ipfs://avs", address(this));
        IRewardsCoordinator.StrategyAndMultiplier[] memory many =
            new IRewardsCoordinator.StrategyAndMultiplier[](5);
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.StrategyCount.selector, 5, 4));
        new AvsManagerV14(_core(), many, "ipfs://avs", address(this));
    }

    function test_Constructor_RefusesStrategiesOutOfOrderAndTwice() external {
        IRewardsCoordinator.StrategyAndMultiplier[] memory list = _stakes(1e18, 1e18);
        (list[0], list[1]) = (list[1], list[0]);
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.StrategiesNotAscending.selector, 1));
        new AvsManagerV14(_core(), list, "ipfs://avs", address(this));
        list[1] = list[0];
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.StrategiesNotAscending.selector, 1));
        new AvsManagerV14(_core(), list, "ipfs://avs", address(this));
    }

    function test_Constructor_RefusesAStrategyThatWeighsNothing() external {
        IRewardsCoordinator.StrategyAndMultiplier[] memory list = _stakes(1e18, 1e18);
        list[1].multiplier = 0;
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.MultiplierZero.selector, 1));
        new AvsManagerV14(_core(), list, "ipfs://avs", address(this));
    }

    function test_Wire_TellsTheCoreTheRegistrar() external view {
        assertEq(allocations.getAVSRegistrar(address(_avs)), address(_registrar), "registrar");
    }

    function test_Wire_HappensOnceByTheOwnerWithAllOfThem() external {
        vm.expectRevert(IRestakedAvs.AlreadyWired.selector);
        _avs.wire(address(_registrar), COURT, VAULT);
        AvsManagerV14 other =
            new AvsManagerV14(_core(), _stakes(1e18, 1e18), "ipfs://avs", address(this));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STAKER));
        vm.prank(STAKER);
        other.wire(address(_registrar), COURT, VAULT);
        vm.expectRevert(IRestakedAvs.AddressZero.selector);
        other.wire(address(0), COURT, VAULT);
        vm.expectRevert(IRestakedAvs.AddressZero.selector);
        other.wire(address(_registrar), address(0), VAULT);
        vm.expectRevert(IRestakedAvs.AddressZero.selector);
        other.wire(address(_registrar), COURT, address(0));
        vm.expectEmit(address(other));
        emit IRestakedAvs.Wired(address(_registrar), COURT, VAULT);
        other.wire(address(_registrar), COURT, VAULT);
    }

    function test_Register_ImpossibleBeforeTheWiring() external {
        AvsManagerV14 other =
            new AvsManagerV14(_core(), _stakes(1e18, 1e18), "ipfs://avs", address(this));
        vm.expectRevert(bytes(""));
        this.joinExternally(OPERATOR, OperatorSet(address(other), 0));
    }

    function test_SetMetadataURI_IsTheOwners() external {
        vm.expectEmit(address(allocations));
        emit AVSMetadataURIUpdated(address(_avs), "ipfs://new");
        _avs.setMetadataURI("ipfs://new");
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STAKER));
        vm.prank(STAKER);
        _avs.setMetadataURI("ipfs://other");
    }

    event AVSMetadataURIUpdated(address indexed avs, string metadataURI);

    // slash

    function test_Slash_TakesThePartOfEveryStrategyOfTheSet() external {
        stakeIn(_second, OPERATOR, OPERATOR, 10 ether);
        allocateOf(_second, OPERATOR, _verifiers, MAGNITUDE);
        _join(MAGNITUDE / 2);
        vm.expectEmit(address(_avs));
        emit IRestakedAvs.Slashed(OPERATOR, 0, 0.2e18, 0);
        vm.prank(COURT);
        _avs.slash(OPERATOR, 0, 0.2e18, "two verdicts");
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE * 9 / 10, "first");
        assertEq(delegation.operatorShares(OPERATOR, _second), 8 ether, "second");
    }

    function test_Slash_PassesOverAStrategyWithoutAllocation() external {
        _join(MAGNITUDE);
        vm.prank(COURT);
        _avs.slash(OPERATOR, 0, 1e18, "all of it");
        assertEq(delegation.operatorShares(OPERATOR, strategy), 0, "first");
    }

    function test_Slash_ReachesWhoLeftUntilTheDelayIsOver() external {
        _join(MAGNITUDE);
        leaveSet(OPERATOR, _verifiers);
        vm.roll(block.number + DEALLOCATION_DELAY);
        vm.prank(COURT);
        _avs.slash(OPERATOR, 0, 0.5e18, "late, in time");
        assertEq(delegation.operatorShares(OPERATOR, strategy), STAKE / 2, "slashed");
        vm.roll(block.number + 1);
        vm.expectRevert(IAllocationManager.OperatorNotSlashable.selector);
        vm.prank(COURT);
        _avs.slash(OPERATOR, 0, 0.5e18, "too late");
    }

    function testFuzz_Slash_RefusesEverybodyButTheCourt(address caller) external {
        vm.assume(caller != COURT);
        _join(MAGNITUDE);
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.NotAllowed.selector, caller, COURT));
        vm.prank(caller);
        _avs.slash(OPERATOR, 0, 1e18, "");
    }

    /// @dev Neither the owner nor the court goes past this contract.
    function test_Slash_RefusesWhoeverCallsTheCoreItself() external {
        _join(MAGNITUDE);
        IAllocationManager.SlashingParams memory params;
        params.operator = OPERATOR;
        params.strategies = new IStrategy[](1);
        params.strategies[0] = strategy;
        params.wadsToSlash = new uint256[](1);
        params.wadsToSlash[0] = 1e18;
        address[2] memory callers = [address(this), COURT];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.expectRevert(IAllocationManager.InvalidPermissions.selector);
            vm.prank(callers[i]);
            allocations.slashOperator(address(_avs), params);
        }
    }

    function test_Slash_RefusesPartsOutOfRange() external {
        uint256[2] memory wads = [uint256(0), 1e18 + 1];
        for (uint256 i = 0; i < wads.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.WadOutOfRange.selector, wads[i]));
            vm.prank(COURT);
            _avs.slash(OPERATOR, 0, wads[i], "");
        }
    }

    // slashableStakes

    function test_SlashableStakes_SumsStrategiesByMultiplier() external {
        stakeIn(_second, OPERATOR, OPERATOR, 10 ether);
        allocateOf(_second, OPERATOR, _verifiers, MAGNITUDE);
        _join(MAGNITUDE / 2);
        // Half of what is in the one, at half weight all of what is in the other.
        assertEq(_weight(OPERATOR, 0), 55 ether, "weight");
        address[] memory two = new address[](2);
        (two[0], two[1]) = (STAKER, OPERATOR);
        uint128[] memory weights = _avs.slashableStakes(two, 0);
        assertEq(weights[0], 0, "in the order of the question");
        assertEq(weights[1], 55 ether, "in the order of the question");
    }

    function test_SlashableStakes_LeavesOutWhatFallsWithinTheLookahead() external {
        _join(MAGNITUDE);
        allocate(OPERATOR, _verifiers, MAGNITUDE / 4);
        assertEq(_weight(OPERATOR, DEALLOCATION_DELAY), STAKE, "not within the delay");
        assertEq(_weight(OPERATOR, DEALLOCATION_DELAY + 1), STAKE / 4, "after it");
        vm.roll(block.number + 10);
        assertEq(_weight(OPERATOR, DEALLOCATION_DELAY - 10), STAKE, "not within what is left");
        assertEq(_weight(OPERATOR, DEALLOCATION_DELAY - 9), STAKE / 4, "after it");
    }

    function test_SlashableStakes_DoNotCountARiseToCome() external {
        address slow = address(0xABCD);
        newOperator(slow, 20);
        vm.roll(block.number + ALLOCATION_CONFIGURATION_DELAY + 1);
        stake(slow, slow, STAKE);
        allocate(slow, _verifiers, MAGNITUDE);
        joinSet(slow, _verifiers, "");
        assertEq(_weight(slow, 0), 0, "not yet");
        assertEq(_weight(slow, 40), 0, "nor promised");
        vm.roll(block.number + 20);
        assertEq(_weight(slow, 40), STAKE, "from then on");
    }

    /// @dev An operator takes its stake back in the block in which it signs; what the look-ahead
    /// counted is all still there in the last block that it covers.
    function test_SlashableStakes_AreThereInTheLastBlockOfTheLookahead() external {
        _join(MAGNITUDE);
        uint32 lookahead = DEALLOCATION_DELAY - 1;
        uint128 counted = _weight(OPERATOR, lookahead);
        allocate(OPERATOR, _verifiers, 0);
        queueWithdrawal(STAKER, STAKE);
        leaveSet(OPERATOR, _verifiers);
        vm.roll(block.number + lookahead);
        vm.prank(COURT);
        _avs.slash(OPERATOR, 0, 1e18, "in the last block");
        vm.roll(block.number + WITHDRAWAL_DELAY);
        completeWithdrawal(STAKER);
        assertEq(stakeToken.balanceOf(STAKER), STAKE - counted, "nothing got away");
    }

    function test_SlashableStakes_DoNotOverflow() external {
        AvsManagerV14 heavy = new AvsManagerV14(
            _core(), _stakes(type(uint96).max, type(uint96).max), "ipfs://avs", address(this)
        );
        heavy.wire(address(_registrar), COURT, VAULT);
        stake(OPERATOR, OPERATOR, 1e30);
        OperatorSet memory set = OperatorSet(address(heavy), 0);
        allocate(OPERATOR, set, MAGNITUDE);
        joinSet(OPERATOR, set, "");
        address[] memory list = new address[](1);
        list[0] = OPERATOR;
        assertEq(heavy.slashableStakes(list, 0)[0], (1 << 120) - 1, "capped");
    }

    function testFuzz_SlashableStakes_AreTheCoresTimesTheMultiplier(
        uint256 amount,
        uint256 magnitude,
        uint256 multiplier
    ) external {
        amount = bound(amount, 1, 1e30);
        magnitude = bound(magnitude, 1, MAGNITUDE);
        multiplier = bound(multiplier, 1, 100e18);
        AvsManagerV14 avs = new AvsManagerV14(
            _core(), _stakes(uint96(multiplier), 1e18), "ipfs://avs", address(this)
        );
        avs.wire(address(_registrar), COURT, VAULT);
        OperatorSet memory set = OperatorSet(address(avs), 0);
        address operator = address(0xABCD);
        newOperator(operator);
        stake(operator, operator, amount);
        allocate(operator, set, uint64(magnitude));
        joinSet(operator, set, "");
        address[] memory list = new address[](1);
        list[0] = operator;
        uint256 shares = slashableStake(operator, set, uint32(block.number));
        assertEq(avs.slashableStakes(list, 0)[0], shares * multiplier / 1e18, "weight");
        assertEq(avs.slashableStakesOf(0, list, 0)[0], shares * multiplier / 1e18, "both ways");
        assertTrue(shares <= amount * magnitude / 1e18, "not more than allocated");
    }

    /// @dev The snapshot's way to a stake is not the core's own; whatever happened to a member,
    /// both say the same.
    function testFuzz_SlashableStakes_AreTheCoresOwnAnswer(
        uint256 amount,
        uint64 magnitude,
        uint64 later,
        uint256 wad,
        uint32 blocks,
        uint32 lookahead
    ) external {
        stake(OPERATOR, OPERATOR, bound(amount, 1, 1e30));
        stakeIn(_second, OPERATOR, OPERATOR, 7 ether);
        allocateOf(_second, OPERATOR, _verifiers, MAGNITUDE / 3);
        magnitude = uint64(bound(magnitude, 1, MAGNITUDE));
        _join(magnitude);
        later = uint64(bound(later, 0, MAGNITUDE));
        if (later != magnitude) allocate(OPERATOR, _verifiers, later);
        vm.roll(block.number + bound(blocks, 0, 2 * DEALLOCATION_DELAY));
        if (wad % 3 != 0) {
            vm.prank(COURT);
            _avs.slash(OPERATOR, 0, bound(wad, 1, 1e18), "random");
        }
        if (wad % 5 == 0) queueWithdrawal(STAKER, STAKE / 2);
        lookahead = uint32(bound(lookahead, 0, 2 * DEALLOCATION_DELAY));
        address[] memory list = new address[](1);
        list[0] = OPERATOR;
        uint128 expected = _avs.slashableStakesOf(0, list, lookahead)[0];
        assertEq(_weight(OPERATOR, lookahead), expected, "weight");
    }

    function test_SlashableStakes_OfProversAreApart() external {
        OperatorSet memory provers = OperatorSet(address(_avs), 1);
        allocate(OPERATOR, provers, MAGNITUDE / 4);
        joinSet(OPERATOR, provers, "");
        address[] memory list = new address[](1);
        list[0] = OPERATOR;
        assertEq(_avs.slashableStakesOf(1, list, 0)[0], STAKE / 4, "prover");
        assertEq(_avs.slashableStakes(list, 0)[0], 0, "no verifier");
        assertTrue(_avs.isMember(OPERATOR, 1) && !_avs.isMember(OPERATOR, 0), "member");
    }

    // removeOperator

    function test_RemoveOperator_TakesItOut() external {
        _join(MAGNITUDE);
        vm.expectEmit(address(_avs));
        emit IRestakedAvs.OperatorRemoved(OPERATOR, 0);
        vm.prank(address(_registrar));
        _avs.removeOperator(OPERATOR, 0);
        assertTrue(!_avs.isMember(OPERATOR, 0), "out");
    }

    function test_RemoveOperator_RefusesEverybodyButTheRegistrar() external {
        _join(MAGNITUDE);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRestakedAvs.NotAllowed.selector, address(this), address(_registrar)
            )
        );
        _avs.removeOperator(OPERATOR, 0);
    }

    // rewardOperators

    function test_RewardOperators_ReachesTheStakersThroughTheCore() external {
        (address[] memory operators, uint256[] memory amounts) = _rewards();
        uint32 start = _yesterday();
        vm.expectEmit(address(_avs));
        emit IRestakedAvs.OperatorsRewarded(address(stakeToken), 5 ether, 2, start);
        vm.prank(VAULT);
        _avs.rewardOperators(stakeToken, operators, amounts, start, DAY, "epoch 7");
        assertEq(stakeToken.balanceOf(VAULT), 0, "pulled");
        assertEq(stakeToken.balanceOf(address(_avs)), 0, "passed on");
        assertEq(stakeToken.balanceOf(address(rewards)), 5 ether, "in the coordinator");
        assertEq(stakeToken.allowance(address(_avs), address(rewards)), 0, "nothing approved");
        submitRootFor(STAKER, stakeToken, 1 ether);
        vm.warp(block.timestamp + 1);
        IRewardsCoordinator.RewardsMerkleClaim memory claim = claimOf(STAKER, stakeToken, 1 ether);
        vm.prank(STAKER);
        rewards.processClaim(claim, STAKER);
        assertEq(stakeToken.balanceOf(STAKER), 1 ether, "claimed");
    }

    function test_RewardOperators_RefusesOperatorsOutOfOrder() external {
        (address[] memory operators, uint256[] memory amounts) = _rewards();
        operators[1] = operators[0];
        uint32 start = _yesterday();
        vm.expectRevert(
            "RewardsCoordinator._validateOperatorDirectedRewardsSubmission: operators must be in ascending order to handle duplicates"
        );
        vm.prank(VAULT);
        _avs.rewardOperators(stakeToken, operators, amounts, start, DAY, "epoch 7");
    }

    function test_RewardOperators_RefusesListsThatDiffer() external {
        (address[] memory operators,) = _rewards();
        uint32 start = _yesterday();
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.LengthsDiffer.selector, 2, 1));
        vm.prank(VAULT);
        _avs.rewardOperators(stakeToken, operators, new uint256[](1), start, DAY, "epoch 7");
    }

    function test_RewardOperators_RefusesEverybodyButTheVault() external {
        (address[] memory operators, uint256[] memory amounts) = _rewards();
        uint32 start = _yesterday();
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.NotAllowed.selector, COURT, VAULT));
        vm.prank(COURT);
        _avs.rewardOperators(stakeToken, operators, amounts, start, DAY, "epoch 7");
    }

    // v1.9

    function test_V19_CreatesBothSetsWithItselfAsTheOneSlasher() external {
        (AvsManagerV19 avs, AllocationManagerV19Mock manager) = _v19(address(0));
        for (uint32 id = 0; id < 2; ++id) {
            AllocationManagerV19Mock.Set memory set = manager.setOf(address(avs), id);
            assertEq(set.slasher, address(avs), "slasher");
            assertEq(set.redistributedTo, address(0), "burned");
            assertEq(set.strategies.length, 2, "strategies");
        }
        assertEqBytes(bytes(manager.metadataOf(address(avs))), "ipfs://avs", "metadata");
        assertEq(manager.getAVSRegistrar(address(avs)), address(_registrar), "registrar");
    }

    function test_V19_CreatesSetsThatRedistribute() external {
        (AvsManagerV19 avs, AllocationManagerV19Mock manager) = _v19(address(0x1115));
        for (uint32 id = 0; id < 2; ++id) {
            AllocationManagerV19Mock.Set memory set = manager.setOf(address(avs), id);
            assertEq(set.redistributedTo, address(0x1115), "recipient");
            assertEq(set.slasher, address(avs), "slasher");
        }
    }

    function test_V19_SlashesForTheCourtAndTellsTheSlashId() external {
        (AvsManagerV19 avs, AllocationManagerV19Mock manager) = _v19(address(0));
        uint256[] memory shares = new uint256[](2);
        (shares[0], shares[1]) = (25 ether, 25 ether);
        vm.expectEmit(address(avs));
        emit AvsManagerV19.SharesSlashed(1, shares);
        vm.expectEmit(address(avs));
        emit IRestakedAvs.Slashed(OPERATOR, 0, 0.25e18, 1);
        vm.prank(COURT);
        avs.slash(OPERATOR, 0, 0.25e18, "two verdicts");
        IAllocationManager.SlashingParams memory params = manager.slashOf(1);
        assertEq(params.operator, OPERATOR, "operator");
        assertEq(params.strategies.length, 2, "strategies");
        assertTrue(address(params.strategies[0]) < address(params.strategies[1]), "ascending");
        assertEq(params.wadsToSlash[1], 0.25e18, "wad");
        assertEqBytes(bytes(params.description), "two verdicts", "description");
        vm.expectRevert(abi.encodeWithSelector(IRestakedAvs.NotAllowed.selector, STAKER, COURT));
        vm.prank(STAKER);
        avs.slash(OPERATOR, 0, 0.25e18, "");
    }

    function _v19(address slashedTo)
        private
        returns (AvsManagerV19 avs, AllocationManagerV19Mock manager)
    {
        manager = new AllocationManagerV19Mock();
        AvsManager.RestakingCore memory core = _core();
        core.allocationManager = IAllocationManager(address(manager));
        avs = new AvsManagerV19(core, _stakes(1e18, 1e18), "ipfs://avs", address(this), slashedTo);
        avs.wire(address(_registrar), COURT, VAULT);
    }

    function joinExternally(address operator, OperatorSet calldata set) external {
        joinSet(operator, set, "");
    }

    function _core() private view returns (AvsManager.RestakingCore memory) {
        return AvsManager.RestakingCore(allocations, delegation, rewards);
    }

    /// @dev The weight of the first strategy and of the second one, in ascending order.
    function _stakes(uint96 first, uint96 second)
        private
        view
        returns (IRewardsCoordinator.StrategyAndMultiplier[] memory list)
    {
        list = new IRewardsCoordinator.StrategyAndMultiplier[](2);
        list[0] = IRewardsCoordinator.StrategyAndMultiplier(strategy, first);
        list[1] = IRewardsCoordinator.StrategyAndMultiplier(_second, second);
        if (address(strategy) > address(_second)) (list[0], list[1]) = (list[1], list[0]);
    }

    function _join(uint64 magnitude) private {
        allocate(OPERATOR, _verifiers, magnitude);
        joinSet(OPERATOR, _verifiers, "");
    }

    function _weight(address operator, uint32 lookahead) private view returns (uint128) {
        address[] memory list = new address[](1);
        list[0] = operator;
        return _avs.slashableStakes(list, lookahead)[0];
    }

    function _yesterday() private view returns (uint32) {
        return uint32(block.timestamp / DAY * DAY - DAY);
    }

    /// @dev Two operators, and the vault has approved what they get.
    function _rewards() private returns (address[] memory operators, uint256[] memory amounts) {
        operators = new address[](2);
        amounts = new uint256[](2);
        (operators[0], operators[1]) = (OPERATOR, STAKER);
        (amounts[0], amounts[1]) = (3 ether, 2 ether);
        stakeToken.mint(VAULT, 5 ether);
        vm.prank(VAULT);
        stakeToken.approve(address(_avs), 5 ether);
    }
}
