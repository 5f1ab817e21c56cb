// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";
import {ProxyAdmin} from "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol";
import {
    ITransparentUpgradeableProxy,
    TransparentUpgradeableProxy
} from "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {DevPauserRegistry} from "../../src/dev/DevPauserRegistry.sol";
import {DevPlaceholder} from "../../src/dev/DevPlaceholder.sol";
import {DevStrategy} from "../../src/dev/DevStrategy.sol";
import {DevToken} from "../../src/dev/DevToken.sol";
import {
    IAllocationManagerV14,
    OperatorSet
} from "../../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IAllocationManager} from "../../src/interfaces/eigenlayer/IAllocationManager.sol";
import {IDelegationManager} from "../../src/interfaces/eigenlayer/IDelegationManager.sol";
import {IRewardsCoordinator} from "../../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {IStrategy} from "../../src/interfaces/eigenlayer/IStrategy.sol";
import {IStrategyManager} from "../../src/interfaces/eigenlayer/IStrategyManager.sol";
import {TestBase} from "../helpers/TestBase.sol";

/// @title EigenLayer's real core (v1.4), deployed from the artifacts that core.js extracts
/// @dev The test contract owns everything. One token, one strategy; a share is the token's unit.
abstract contract Core is TestBase {
    /// @dev Blocks in which an allocation that was taken back can still be slashed.
    uint32 internal constant DEALLOCATION_DELAY = 50;
    /// @dev As on mainnet not below the delay above, or stake leaves before it is out of reach.
    uint32 internal constant WITHDRAWAL_DELAY = 50;
    /// @dev Blocks until an operator's first allocation delay holds; it cannot allocate before.
    uint32 internal constant ALLOCATION_CONFIGURATION_DELAY = 10;
    uint32 internal constant DAY = 1 days;
    /// @dev Stands for all that an operator has of a strategy.
    uint64 internal constant MAGNITUDE = 1e18;
    address internal constant REWARDS_UPDATER = address(0xDA7E);
    /// @dev Where a proxy keeps its admin (ERC-1967).
    bytes32 private constant ADMIN_SLOT =
        0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;
    string private constant VERSION = "v1.4.0";

    IAllocationManagerV14 internal allocations;
    IDelegationManager internal delegation;
    IStrategyManager internal strategies;
    IRewardsCoordinator internal rewards;
    DevToken internal stakeToken;
    DevStrategy internal strategy;
    address private _podManager;
    address private _permissions;
    address private _avsDirectory;
    DevPauserRegistry private _pauser;

    /// @dev There is nothing to deploy.
    error CoreNotExtracted(string file, string todo);

    function deployCore() internal {
        // Slashing looks back over the withdrawal delay and underflows in the first blocks.
        if (block.number <= 2 * WITHDRAWAL_DELAY) vm.roll(2 * WITHDRAWAL_DELAY);
        if (block.timestamp < 1_800_000_000) vm.warp(1_800_000_000);
        _pauser = new DevPauserRegistry(address(this));
        DevPlaceholder placeholder = new DevPlaceholder();
        allocations = IAllocationManagerV14(_proxy(placeholder));
        delegation = IDelegationManager(_proxy(placeholder));
        strategies = IStrategyManager(_proxy(placeholder));
        rewards = IRewardsCoordinator(_proxy(placeholder));
        (_podManager, _permissions, _avsDirectory) =
        (_proxy(placeholder), _proxy(placeholder), _proxy(placeholder));
        _deployStake();
        _deployPods();
        _deployAllocations();
        _deployRewards();
        stakeToken = new DevToken(address(this));
        strategy = newStrategy(stakeToken);
    }

    /// @dev A strategy that the core takes deposits for.
    function newStrategy(IERC20 token) internal returns (DevStrategy added) {
        added = new DevStrategy(address(strategies), token);
        IStrategy[] memory list = new IStrategy[](1);
        list[0] = added;
        strategies.addStrategiesToDepositWhitelist(list);
    }

    // What stakers and operators do

    /// @dev An operator that can allocate at once.
    function newOperator(address operator) internal {
        newOperator(operator, 0);
        vm.roll(block.number + ALLOCATION_CONFIGURATION_DELAY + 1);
    }

    /// @dev An operator whose allocations take `allocationDelay` blocks, once it can allocate.
    function newOperator(address operator, uint32 allocationDelay) internal {
        vm.prank(operator);
        delegation.registerAsOperator(address(0), allocationDelay, "ipfs://operator");
    }

    /// @dev A staker with new tokens delegates all to the operator; an operator is its own staker.
    function stake(address staker, address operator, uint256 amount) internal {
        stakeIn(strategy, staker, operator, amount);
    }

    function stakeIn(DevStrategy into, address staker, address operator, uint256 amount) internal {
        DevToken token = DevToken(address(into.underlyingToken()));
        token.mint(staker, amount);
        vm.prank(staker);
        token.approve(address(strategies), amount);
        vm.prank(staker);
        strategies.depositIntoStrategy(into, token, amount);
        if (staker == operator) return;
        vm.prank(staker);
        delegation.delegateTo(operator, IDelegationManager.SignatureWithExpiry("", 0), 0);
    }

    /// @dev Sets what the operator gives to the set, of 1e18, of the one strategy.
    function allocate(address operator, OperatorSet memory set, uint64 magnitude) internal {
        allocateOf(strategy, operator, set, magnitude);
    }

    function allocateOf(IStrategy of_, address operator, OperatorSet memory set, uint64 magnitude)
        internal
    {
        IAllocationManager.AllocateParams[] memory params =
            new IAllocationManager.AllocateParams[](1);
        params[0].operatorSet = set;
        params[0].strategies = new IStrategy[](1);
        params[0].strategies[0] = of_;
        params[0].newMagnitudes = new uint64[](1);
        params[0].newMagnitudes[0] = magnitude;
        vm.prank(operator);
        allocations.modifyAllocations(operator, params);
    }

    function joinSet(address operator, OperatorSet memory set, bytes memory data) internal {
        IAllocationManager.RegisterParams memory params =
            IAllocationManager.RegisterParams(set.avs, _one(set.id), data);
        vm.prank(operator);
        allocations.registerForOperatorSets(operator, params);
    }

    function leaveSet(address operator, OperatorSet memory set) internal {
        IAllocationManager.DeregisterParams memory params =
            IAllocationManager.DeregisterParams(operator, set.avs, _one(set.id));
        vm.prank(operator);
        allocations.deregisterFromOperatorSets(params);
    }

    /// @dev Slashable stake of one operator in the one strategy, if it stays so to that block.
    function slashableStake(address operator, OperatorSet memory set, uint32 futureBlock)
        internal
        view
        returns (uint256)
    {
        address[] memory operators = new address[](1);
        operators[0] = operator;
        return
            allocations.getMinimumSlashableStake(set, operators, _strategies(), futureBlock)[0][0];
    }

    function queueWithdrawal(address staker, uint256 shares) internal {
        IDelegationManager.QueuedWithdrawalParams[] memory params =
            new IDelegationManager.QueuedWithdrawalParams[](1);
        params[0].strategies = _strategies();
        params[0].depositShares = new uint256[](1);
        params[0].depositShares[0] = shares;
        vm.prank(staker);
        delegation.queueWithdrawals(params);
    }

    /// @dev Completes the staker's first queued withdrawal.
    function completeWithdrawal(address staker) internal {
        (IDelegationManager.Withdrawal[] memory queued,) = delegation.getQueuedWithdrawals(staker);
        IERC20[] memory tokens = new IERC20[](1);
        tokens[0] = stakeToken;
        vm.prank(staker);
        delegation.completeQueuedWithdrawal(queued[0], tokens, true);
    }

    // What the rewards updater does

    /// @dev The root over one earner with one token, which is also its claim's.
    function submitRootFor(address earner, IERC20 token, uint256 earnings) internal {
        IRewardsCoordinator.RewardsMerkleClaim memory claim = claimOf(earner, token, earnings);
        bytes32 root = rewards.calculateEarnerLeafHash(claim.earnerLeaf);
        vm.prank(REWARDS_UPDATER);
        rewards.submitRoot(root, uint32(block.timestamp / DAY * DAY - DAY));
    }

    function claimOf(address earner, IERC20 token, uint256 earnings)
        internal
        view
        returns (IRewardsCoordinator.RewardsMerkleClaim memory claim)
    {
        claim.tokenLeaves = new IRewardsCoordinator.TokenTreeMerkleLeaf[](1);
        claim.tokenLeaves[0] = IRewardsCoordinator.TokenTreeMerkleLeaf(token, earnings);
        claim.earnerLeaf = IRewardsCoordinator.EarnerTreeMerkleLeaf(
            earner, rewards.calculateTokenLeafHash(claim.tokenLeaves[0])
        );
        claim.tokenIndices = new uint32[](1);
        claim.tokenTreeProofs = new bytes[](1);
    }

    // Deploying

    function _deployStake() private {
        address[6] memory parts = [
            address(strategies),
            _podManager,
            address(allocations),
            address(_pauser),
            _permissions,
            address(delegation)
        ];
        _implement(
            parts[5],
            "DelegationManager",
            abi.encode(parts[0], parts[1], parts[2], parts[3], parts[4], WITHDRAWAL_DELAY, VERSION),
            _initialize()
        );
        _implement(
            address(strategies),
            "StrategyManager",
            abi.encode(delegation, _pauser, VERSION),
            abi.encodeWithSignature(
                "initialize(address,address,uint256)", address(this), address(this), 0
            )
        );
        _implement(
            _avsDirectory, "AVSDirectory", abi.encode(delegation, _pauser, VERSION), _initialize()
        );
    }

    /// @dev Native stake is there because the others want it; no test uses it.
    function _deployPods() private {
        address noDeposit = address(1);
        uint64 noGenesis = 1;
        address pod = _create("EigenPod", abi.encode(noDeposit, _podManager, noGenesis, VERSION));
        UpgradeableBeacon beacon = new UpgradeableBeacon(pod, address(this));
        _implement(
            _podManager,
            "EigenPodManager",
            abi.encode(noDeposit, beacon, delegation, _pauser, VERSION),
            _initialize()
        );
    }

    function _deployAllocations() private {
        _implement(
            _permissions,
            "PermissionController",
            abi.encode(VERSION),
            abi.encodeWithSignature("version()")
        );
        _implement(
            address(allocations),
            "AllocationManager",
            abi.encode(
                delegation,
                _pauser,
                _permissions,
                DEALLOCATION_DELAY,
                ALLOCATION_CONFIGURATION_DELAY,
                VERSION
            ),
            _initialize()
        );
    }

    /// @dev Roots hold at once, operators keep a tenth by default.
    function _deployRewards() private {
        uint32 genesis = uint32(block.timestamp / DAY * DAY - 30 * DAY);
        _implement(
            address(rewards),
            "RewardsCoordinator",
            abi.encode(delegation, strategies, DAY, 70 * DAY, 84 * DAY, 30 * DAY, genesis),
            abi.encodeWithSignature(
                "initialize(address,address,uint256,address,uint32,uint16)",
                address(this),
                _pauser,
                0,
                REWARDS_UPDATER,
                0,
                1000
            )
        );
    }

    /// @dev Most contracts of the core start with an owner and nothing paused.
    function _initialize() private view returns (bytes memory) {
        return abi.encodeWithSignature("initialize(address,uint256)", address(this), 0);
    }

    /// @dev An empty call at creation is refused by the proxy.
    function _proxy(DevPlaceholder placeholder) private returns (address) {
        return address(
            new TransparentUpgradeableProxy(
                address(placeholder), address(this), abi.encodeCall(DevPlaceholder.nothing, ())
            )
        );
    }

    function _implement(
        address proxy,
        string memory name,
        bytes memory arguments,
        bytes memory initialization
    ) private {
        address implementation = _create(name, arguments);
        ProxyAdmin admin = ProxyAdmin(address(uint160(uint256(vm.load(proxy, ADMIN_SLOT)))));
        admin.upgradeAndCall(ITransparentUpgradeableProxy(proxy), implementation, initialization);
    }

    function _create(string memory name, bytes memory arguments) private returns (address made) {
        string memory file = string.concat("eigenlayer/artifacts/", name, ".json");
        if (!vm.isFile(file)) revert CoreNotExtracted(file, "run `node core.js` in contracts/");
        bytes memory code = bytes.concat(vm.getCode(file), arguments);
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        assertTrue(made != address(0), name);
    }

    function _one(uint32 id) private pure returns (uint32[] memory ids) {
        ids = new uint32[](1);
        ids[0] = id;
    }

    function _strategies() private view returns (IStrategy[] memory list) {
        list = new IStrategy[](1);
        list[0] = strategy;
    }
}
