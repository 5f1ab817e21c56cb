// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStrategy} from "./IStrategy.sol";

/// @title Rewards
/// @notice Of EigenLayer's core, what this project and its tests use of it.
interface IRewardsCoordinator {
    /// @dev How much a share of a strategy counts among an operator's stakers; 1e18 is one.
    struct StrategyAndMultiplier {
        IStrategy strategy;
        uint96 multiplier;
    }

    /// @dev What an operator and its stakers get.
    struct OperatorReward {
        address operator;
        uint256 amount;
    }

    /// @dev Rewards of named operators for a time that is over.
    struct OperatorDirectedRewardsSubmission {
        StrategyAndMultiplier[] strategiesAndMultipliers;
        IERC20 token;
        OperatorReward[] operatorRewards;
        uint32 startTimestamp;
        uint32 duration;
        string description;
    }

    /// @dev An earner's leaf: the root over what it earned in each token.
    struct EarnerTreeMerkleLeaf {
        address earner;
        bytes32 earnerTokenRoot;
    }

    /// @dev All that an earner ever earned in a token.
    struct TokenTreeMerkleLeaf {
        IERC20 token;
        uint256 cumulativeEarnings;
    }

    /// @dev A claim under a posted root.
    struct RewardsMerkleClaim {
        uint32 rootIndex;
        uint32 earnerIndex;
        bytes earnerTreeProof;
        EarnerTreeMerkleLeaf earnerLeaf;
        uint32[] tokenIndices;
        bytes[] tokenTreeProofs;
        TokenTreeMerkleLeaf[] tokenLeaves;
    }

    function createOperatorDirectedAVSRewardsSubmission(
        address avs,
        OperatorDirectedRewardsSubmission[] calldata submissions
    ) external;

    function submitRoot(bytes32 root, uint32 rewardsCalculationEndTimestamp) external;

    function processClaim(RewardsMerkleClaim calldata claim, address recipient) external;

    function calculateEarnerLeafHash(EarnerTreeMerkleLeaf calldata leaf)
        external
        pure
        returns (bytes32);

    function calculateTokenLeafHash(TokenTreeMerkleLeaf calldata leaf)
        external
        pure
        returns (bytes32);

    function cumulativeClaimed(address earner, IERC20 token) external view returns (uint256);

    function CALCULATION_INTERVAL_SECONDS() external view returns (uint32);
}
