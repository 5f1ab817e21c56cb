// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAllocationManager, OperatorSet} from "./IAllocationManager.sol";
import {IStrategy} from "./IStrategy.sol";

/// @title What the core says of many operators at once
/// @notice Of EigenLayer's allocation manager, under the same selectors from v1.3 on.
interface IAllocationReads {
    function getAllocations(
        address[] calldata operators,
        OperatorSet calldata operatorSet,
        IStrategy strategy
    ) external view returns (IAllocationManager.Allocation[] memory);

    function getMaxMagnitudes(address[] calldata operators, IStrategy strategy)
        external
        view
        returns (uint64[] memory);
}

/// @title What the core says of many operators' shares at once
/// @notice Of EigenLayer's delegation manager, under the same selectors from v1.3 on.
interface IDelegationReads {
    function getOperatorsShares(address[] calldata operators, IStrategy[] calldata strategies)
        external
        view
        returns (uint256[][] memory);
}
