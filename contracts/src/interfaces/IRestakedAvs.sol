// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAvsManager} from "./IAvsManager.sol";
import {IAllocationManager} from "./eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "./eigenlayer/IRewardsCoordinator.sol";

/// @title The network as an AVS of EigenLayer
/// @notice Its address is the AVS. Operator set 0 are the verifiers, set 1 the provers; both count
/// stake in the same strategies, which never change. Nobody but the court can slash, nobody but the
/// fee vault can submit rewards, and the owner can do neither: it says once which contracts these
/// are, and where the metadata is found.
/// @dev One implementation per generation of the core, chosen when the network is deployed.
interface IRestakedAvs is IAvsManager {
    /// @notice The contracts that may act are known; this happens once.
    event Wired(address indexed registrar, address indexed court, address indexed feeVault);
    /// @notice An operator was slashed. `slashId` is the core's number of it, zero where the core
    /// does not number.
    event Slashed(address indexed operator, uint32 indexed set, uint256 wad, uint256 slashId);
    /// @notice Rewards were submitted to the core.
    event OperatorsRewarded(
        address indexed token, uint256 total, uint256 operators, uint32 startTimestamp
    );
    /// @notice An operator was taken out of a set.
    event OperatorRemoved(address indexed operator, uint32 indexed set);

    /// @notice The caller is not the contract whose right this is.
    error NotAllowed(address caller, address allowed);
    /// @notice An address that must be set is zero.
    error AddressZero();
    /// @notice The contracts are known already.
    error AlreadyWired();
    /// @notice Between one and `strategiesMax` strategies count.
    error StrategyCount(uint256 strategies, uint256 strategiesMax);
    /// @notice Strategies are strictly ascending by address.
    error StrategiesNotAscending(uint256 index);
    /// @notice A strategy that weighs nothing is left out instead.
    error MultiplierZero(uint256 index);
    /// @notice A part must be above zero and at most 1e18.
    error WadOutOfRange(uint256 wad);
    /// @notice Not one amount per operator.
    error LengthsDiffer(uint256 operators, uint256 amounts);

    /// @notice Says which contracts may act, once; the owner alone. The registrar is told to the
    /// core, so operators can join from then on.
    function wire(address registrar_, address court_, address feeVault_) external;

    /// @notice Says where the network's metadata is found; the owner alone.
    function setMetadataURI(string calldata metadataURI) external;

    /// @notice As `slashableStakes`, of either set. For members only: the core does not foresee
    /// when an operator that left goes out of reach.
    function slashableStakesOf(uint32 set, address[] calldata operators, uint32 lookaheadBlocks)
        external
        view
        returns (uint128[] memory);

    /// @notice Whether the operator is in the set.
    function isMember(address operator, uint32 set) external view returns (bool);

    /// @notice The strategies that count, ascending, and what a share of each weighs; 1e18 is one.
    function stakes() external view returns (IRewardsCoordinator.StrategyAndMultiplier[] memory);

    /// @notice The part of the core that keeps sets and allocations.
    function allocationManager() external view returns (IAllocationManager);
}
