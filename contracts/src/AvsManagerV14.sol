// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AvsManager} from "./AvsManager.sol";
import {
    IAllocationManager,
    IAllocationManagerV14
} from "./interfaces/eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "./interfaces/eigenlayer/IRewardsCoordinator.sol";

/// @title The network on EigenLayer's core v1.3 and v1.4
/// @notice There the AVS itself may slash, and whom it appoints. It appoints nobody and has no way
/// to, so only what the court asks for is slashed.
contract AvsManagerV14 is AvsManager {
    constructor(
        RestakingCore memory core,
        IRewardsCoordinator.StrategyAndMultiplier[] memory stakes_,
        string memory metadataURI,
        address owner_
    ) AvsManager(core, stakes_, metadataURI, owner_) {
        IAllocationManagerV14.CreateSetParams[] memory sets =
            new IAllocationManagerV14.CreateSetParams[](2);
        sets[0] = IAllocationManagerV14.CreateSetParams(VERIFIERS, _strategies());
        sets[1] = IAllocationManagerV14.CreateSetParams(PROVERS, _strategies());
        IAllocationManagerV14(address(core.allocationManager))
            .createOperatorSets(address(this), sets);
    }

    /// @inheritdoc AvsManager
    function _slash(IAllocationManager.SlashingParams memory params)
        internal
        override
        returns (uint256)
    {
        IAllocationManagerV14(address(allocationManager)).slashOperator(address(this), params);
        return 0;
    }
}
