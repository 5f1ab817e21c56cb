// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAvsManager} from "./interfaces/IAvsManager.sol";
import {IRestakedAvs} from "./interfaces/IRestakedAvs.sol";
import {IStakeSource} from "./interfaces/IStakeSource.sol";
import {IAllocationManager, OperatorSet} from "./interfaces/eigenlayer/IAllocationManager.sol";
import {IAllocationReads, IDelegationReads} from "./interfaces/eigenlayer/ICoreReads.sol";
import {IDelegationManager} from "./interfaces/eigenlayer/IDelegationManager.sol";
import {IRewardsCoordinator} from "./interfaces/eigenlayer/IRewardsCoordinator.sol";
import {IStrategy} from "./interfaces/eigenlayer/IStrategy.sol";
import {SlashableStake} from "./libraries/SlashableStake.sol";

/// @title AvsManager
/// @notice What is the same with every generation of the core; the rest is in `_slash` and in the
/// constructor of whoever inherits, which creates the two sets.
abstract contract AvsManager is IRestakedAvs, Ownable {
    using SafeERC20 for IERC20;

    /// @dev The contracts of the core that this one talks to.
    struct RestakingCore {
        IAllocationManager allocationManager;
        IDelegationManager delegationManager;
        IRewardsCoordinator rewardsCoordinator;
    }

    /// @notice The operator set of those who vote.
    uint32 public constant VERIFIERS = 0;
    /// @notice The operator set of those who prove.
    uint32 public constant PROVERS = 1;
    /// @notice Each further strategy costs every snapshot a read per operator.
    uint256 public constant STRATEGIES_MAX = 4;
    /// @notice No operator weighs more, so that the sum over 200 of them fits 128 bits whatever a
    /// strategy's token is.
    uint128 public constant WEIGHT_MAX = (1 << 120) - 1;
    /// @dev One, in the core's fixed-point numbers.
    uint256 internal constant WAD = 1e18;

    /// @inheritdoc IRestakedAvs
    IAllocationManager public immutable allocationManager;
    /// @notice The part of the core that keeps delegations and withdrawals.
    IDelegationManager public immutable delegationManager;
    /// @notice The part of the core that keeps rewards.
    IRewardsCoordinator public immutable rewardsCoordinator;

    /// @notice Admits operators; the only one to take them out.
    address public registrar;
    /// @notice The only one to slash.
    address public court;
    /// @notice The only one to submit rewards.
    address public feeVault;
    IRewardsCoordinator.StrategyAndMultiplier[] private _stakes;

    constructor(
        RestakingCore memory core,
        IRewardsCoordinator.StrategyAndMultiplier[] memory stakes_,
        string memory metadataURI,
        address owner_
    ) Ownable(owner_) {
        allocationManager = core.allocationManager;
        delegationManager = core.delegationManager;
        rewardsCoordinator = core.rewardsCoordinator;
        _storeStakes(stakes_);
        // The core creates no sets for an AVS without metadata.
        core.allocationManager.updateAVSMetadataURI(address(this), metadataURI);
    }

    modifier only(address allowed) {
        if (msg.sender != allowed) revert NotAllowed(msg.sender, allowed);
        _;
    }

    /// @inheritdoc IRestakedAvs
    function wire(address registrar_, address court_, address feeVault_) external onlyOwner {
        if (registrar != address(0)) revert AlreadyWired();
        if (registrar_ == address(0) || court_ == address(0) || feeVault_ == address(0)) {
            revert AddressZero();
        }
        (registrar, court, feeVault) = (registrar_, court_, feeVault_);
        emit Wired(registrar_, court_, feeVault_);
        allocationManager.setAVSRegistrar(address(this), registrar_);
    }

    /// @inheritdoc IRestakedAvs
    function setMetadataURI(string calldata metadataURI) external onlyOwner {
        allocationManager.updateAVSMetadataURI(address(this), metadataURI);
    }

    /// @inheritdoc IAvsManager
    function slash(address operator, uint32 set, uint256 wad, string calldata description)
        external
        only(court)
    {
        if (wad == 0 || wad > WAD) revert WadOutOfRange(wad);
        IStrategy[] memory strategies = _strategies();
        uint256[] memory wads = new uint256[](strategies.length);
        for (uint256 i = 0; i < wads.length; ++i) {
            wads[i] = wad;
        }
        uint256 slashId =
            _slash(IAllocationManager.SlashingParams(operator, set, strategies, wads, description));
        emit Slashed(operator, set, wad, slashId);
    }

    /// @inheritdoc IAvsManager
    function rewardOperators(
        IERC20 token,
        address[] calldata operators,
        uint256[] calldata amounts,
        uint32 startTimestamp,
        uint32 duration,
        string calldata description
    ) external only(feeVault) {
        IRewardsCoordinator.OperatorDirectedRewardsSubmission[] memory submissions =
            new IRewardsCoordinator.OperatorDirectedRewardsSubmission[](1);
        uint256 total;
        (submissions[0].operatorRewards, total) = _rewards(operators, amounts);
        submissions[0].strategiesAndMultipliers = _stakes;
        submissions[0].token = token;
        submissions[0].startTimestamp = startTimestamp;
        submissions[0].duration = duration;
        submissions[0].description = description;
        emit OperatorsRewarded(address(token), total, operators.length, startTimestamp);
        token.safeTransferFrom(msg.sender, address(this), total);
        token.forceApprove(address(rewardsCoordinator), total);
        rewardsCoordinator.createOperatorDirectedAVSRewardsSubmission(address(this), submissions);
    }

    /// @inheritdoc IAvsManager
    function removeOperator(address operator, uint32 set) external only(registrar) {
        uint32[] memory sets = new uint32[](1);
        sets[0] = set;
        emit OperatorRemoved(operator, set);
        allocationManager.deregisterFromOperatorSets(
            IAllocationManager.DeregisterParams(operator, address(this), sets)
        );
    }

    /// @inheritdoc IStakeSource
    /// @dev For members only, as `SlashableStake` says.
    function slashableStakes(address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory)
    {
        SlashableStake.Source memory source = SlashableStake.Source(
            IAllocationReads(address(allocationManager)),
            IDelegationReads(address(delegationManager))
        );
        IRewardsCoordinator.StrategyAndMultiplier[] memory counted = _stakes;
        uint256[] memory weights = new uint256[](operators.length);
        for (uint256 i = 0; i < counted.length; ++i) {
            uint256[] memory shares = SlashableStake.minimumShares(
                source,
                OperatorSet(address(this), VERIFIERS),
                operators,
                counted[i].strategy,
                _futureBlock(lookaheadBlocks)
            );
            uint256 multiplier = counted[i].multiplier;
            for (uint256 j = 0; j < weights.length; ++j) {
                weights[j] = _plusWeight(weights[j], shares[j], multiplier);
            }
        }
        return _asStakes(weights);
    }

    /// @inheritdoc IStakeSource
    function deallocationDelayBlocks() external view returns (uint32) {
        return allocationManager.DEALLOCATION_DELAY();
    }

    /// @inheritdoc IStakeSource
    function withdrawalDelayBlocks() external view returns (uint32) {
        return delegationManager.minWithdrawalDelayBlocks();
    }

    /// @inheritdoc IRestakedAvs
    function isMember(address operator, uint32 set) external view returns (bool) {
        return allocationManager.isMemberOfOperatorSet(operator, OperatorSet(address(this), set));
    }

    /// @inheritdoc IRestakedAvs
    function stakes() external view returns (IRewardsCoordinator.StrategyAndMultiplier[] memory) {
        return _stakes;
    }

    /// @inheritdoc IRestakedAvs
    function slashableStakesOf(uint32 set, address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory)
    {
        IRewardsCoordinator.StrategyAndMultiplier[] memory counted = _stakes;
        uint256[][] memory shares = allocationManager.getMinimumSlashableStake(
            OperatorSet(address(this), set), operators, _strategies(), _futureBlock(lookaheadBlocks)
        );
        uint256[] memory weights = new uint256[](operators.length);
        for (uint256 i = 0; i < weights.length; ++i) {
            for (uint256 j = 0; j < counted.length; ++j) {
                weights[i] = _plusWeight(weights[i], shares[i][j], counted[j].multiplier);
            }
        }
        return _asStakes(weights);
    }

    /// @dev Slashes, as this generation of the core has it; returns the core's number of it.
    function _slash(IAllocationManager.SlashingParams memory params)
        internal
        virtual
        returns (uint256 slashId);

    /// @dev The strategies that count, ascending.
    function _strategies() internal view returns (IStrategy[] memory list) {
        list = new IStrategy[](_stakes.length);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = _stakes[i].strategy;
        }
    }

    function _futureBlock(uint32 lookaheadBlocks) private view returns (uint32) {
        return SafeCast.toUint32(block.number + lookaheadBlocks);
    }

    /// @dev `weight` and what these shares weigh, at most `WEIGHT_MAX`.
    function _plusWeight(uint256 weight, uint256 shares, uint256 multiplier)
        private
        pure
        returns (uint256)
    {
        // Nobody has as many shares of anything; with a multiplier of 96 bits it cannot overflow.
        if (shares > type(uint128).max) shares = type(uint128).max;
        unchecked {
            weight += shares * multiplier / WAD;
        }
        return weight > WEIGHT_MAX ? WEIGHT_MAX : weight;
    }

    /// @dev The same list: in memory it has one word per item, whatever the item's type.
    function _asStakes(uint256[] memory weights) private pure returns (uint128[] memory stakes_) {
        assembly ("memory-safe") {
            stakes_ := weights
        }
    }

    /// @dev The core takes no strategy twice and none out of order.
    function _storeStakes(IRewardsCoordinator.StrategyAndMultiplier[] memory stakes_) private {
        if (stakes_.length == 0 || stakes_.length > STRATEGIES_MAX) {
            revert StrategyCount(stakes_.length, STRATEGIES_MAX);
        }
        address last = address(0);
        for (uint256 i = 0; i < stakes_.length; ++i) {
            address strategy = address(stakes_[i].strategy);
            if (strategy <= last) revert StrategiesNotAscending(i);
            if (stakes_[i].multiplier == 0) revert MultiplierZero(i);
            _stakes.push(stakes_[i]);
            last = strategy;
        }
    }

    /// @dev The core refuses operators out of order and amounts of zero.
    function _rewards(address[] calldata operators, uint256[] calldata amounts)
        private
        pure
        returns (IRewardsCoordinator.OperatorReward[] memory rewards, uint256 total)
    {
        if (operators.length != amounts.length) {
            revert LengthsDiffer(operators.length, amounts.length);
        }
        rewards = new IRewardsCoordinator.OperatorReward[](operators.length);
        for (uint256 i = 0; i < operators.length; ++i) {
            rewards[i] = IRewardsCoordinator.OperatorReward(operators[i], amounts[i]);
            total += amounts[i];
        }
    }
}
