// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AvsManager} from "./AvsManager.sol";
import {
    IAllocationManager,
    IAllocationManagerV19
} from "./interfaces/eigenlayer/IAllocationManager.sol";
import {IRewardsCoordinator} from "./interfaces/eigenlayer/IRewardsCoordinator.sol";

/// @title The network on EigenLayer's core v1.9 and later
/// @notice There a set has exactly one slasher from its creation on. It is this contract, which
/// slashes what the court asks for and nothing else, and has no way to name another.
/// @dev The court itself cannot be named: it is deployed after this contract, and calls both
/// generations of the core through it.
contract AvsManagerV19 is AvsManager {
    /// @notice What the core took in a slash, strategy by strategy.
    event SharesSlashed(uint256 indexed slashId, uint256[] shares);

    /// @notice Who gets what is slashed, for ever; zero if it is burned.
    address public immutable slashedTo;

    constructor(
        RestakingCore memory core,
        IRewardsCoordinator.StrategyAndMultiplier[] memory stakes_,
        string memory metadataURI,
        address owner_,
        address slashedTo_
    ) AvsManager(core, stakes_, metadataURI, owner_) {
        IAllocationManagerV19.CreateSetParamsV2[] memory sets =
            new IAllocationManagerV19.CreateSetParamsV2[](2);
        sets[0] = IAllocationManagerV19.CreateSetParamsV2(VERIFIERS, _strategies(), address(this));
        sets[1] = IAllocationManagerV19.CreateSetParamsV2(PROVERS, _strategies(), address(this));
        slashedTo = slashedTo_;
        IAllocationManagerV19 manager = IAllocationManagerV19(address(core.allocationManager));
        if (slashedTo_ == address(0)) {
            manager.createOperatorSets(address(this), sets);
        } else {
            address[] memory recipients = new address[](2);
            (recipients[0], recipients[1]) = (slashedTo_, slashedTo_);
            manager.createRedistributingOperatorSets(address(this), sets, recipients);
        }
    }

    /// @inheritdoc AvsManager
    function _slash(IAllocationManager.SlashingParams memory params)
        internal
        override
        returns (uint256 slashId)
    {
        uint256[] memory shares;
        (slashId, shares) =
            IAllocationManagerV19(address(allocationManager)).slashOperator(address(this), params);
        emit SharesSlashed(slashId, shares);
    }
}
