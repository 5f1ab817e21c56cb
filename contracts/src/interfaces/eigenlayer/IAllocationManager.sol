// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IStrategy} from "./IStrategy.sol";

/// @dev One operator set of one AVS.
struct OperatorSet {
    address avs;
    uint32 id;
}

/// @title Operator sets, allocations, slashing
/// @notice Of EigenLayer's core: what every release from v1.3 on has under the same selectors. What
/// differs is in `IAllocationManagerV14` and `IAllocationManagerV19`.
interface IAllocationManager {
    /// @dev An operator's wish to join sets; `data` goes to the AVS's registrar.
    struct RegisterParams {
        address avs;
        uint32[] operatorSetIds;
        bytes data;
    }

    /// @dev Sets that an operator leaves, by its own wish or the AVS's.
    struct DeregisterParams {
        address operator;
        address avs;
        uint32[] operatorSetIds;
    }

    /// @dev New magnitudes of strategies for a set; 1e18 is all that an operator has.
    struct AllocateParams {
        OperatorSet operatorSet;
        IStrategy[] strategies;
        uint64[] newMagnitudes;
    }

    /// @dev Parts of what is allocated to a set, of 1e18, strategies strictly ascending.
    struct SlashingParams {
        address operator;
        uint32 operatorSetId;
        IStrategy[] strategies;
        uint256[] wadsToSlash;
        string description;
    }

    /// @dev What is allocated, what it will change by, and in which block.
    struct Allocation {
        uint64 currentMagnitude;
        int128 pendingDiff;
        uint32 effectBlock;
    }

    error InvalidPermissions();
    error InvalidAVSRegistrar();
    error InvalidOperatorSet();
    error NotMemberOfSet();
    error AlreadyMemberOfSet();
    error OperatorNotSlashable();
    error InvalidWadToSlash();
    error UninitializedAllocationDelay();

    event OperatorSlashed(
        address operator,
        OperatorSet operatorSet,
        IStrategy[] strategies,
        uint256[] wadSlashed,
        string description
    );

    function updateAVSMetadataURI(address avs, string calldata metadataURI) external;

    function setAVSRegistrar(address avs, address registrar) external;

    function getAVSRegistrar(address avs) external view returns (address);

    function registerForOperatorSets(address operator, RegisterParams calldata params) external;

    function deregisterFromOperatorSets(DeregisterParams calldata params) external;

    function modifyAllocations(address operator, AllocateParams[] calldata params) external;

    function setAllocationDelay(address operator, uint32 delay) external;

    function getAllocationDelay(address operator) external view returns (bool isSet, uint32 delay);

    function getAllocation(address operator, OperatorSet calldata operatorSet, IStrategy strategy)
        external
        view
        returns (Allocation memory);

    function getMaxMagnitude(address operator, IStrategy strategy) external view returns (uint64);

    function getMinimumSlashableStake(
        OperatorSet calldata operatorSet,
        address[] calldata operators,
        IStrategy[] calldata strategies,
        uint32 futureBlock
    ) external view returns (uint256[][] memory);

    function isOperatorSet(OperatorSet calldata operatorSet) external view returns (bool);

    function isMemberOfOperatorSet(address operator, OperatorSet calldata operatorSet)
        external
        view
        returns (bool);

    function isOperatorSlashable(address operator, OperatorSet calldata operatorSet)
        external
        view
        returns (bool);

    function getMembers(OperatorSet calldata operatorSet) external view returns (address[] memory);

    function getMemberCount(OperatorSet calldata operatorSet) external view returns (uint256);

    function getStrategiesInOperatorSet(OperatorSet calldata operatorSet)
        external
        view
        returns (IStrategy[] memory);

    function DEALLOCATION_DELAY() external view returns (uint32);

    function ALLOCATION_CONFIGURATION_DELAY() external view returns (uint32);
}

/// @title v1.3 and v1.4: whoever may act for the AVS may slash
interface IAllocationManagerV14 is IAllocationManager {
    /// @dev A new set and the stake that counts in it.
    struct CreateSetParams {
        uint32 operatorSetId;
        IStrategy[] strategies;
    }

    function createOperatorSets(address avs, CreateSetParams[] calldata params) external;

    function slashOperator(address avs, SlashingParams calldata params) external;
}

/// @title v1.9 and later: a set is created with its one slasher
interface IAllocationManagerV19 is IAllocationManager {
    /// @dev A new set, the stake that counts in it, and who alone may slash.
    struct CreateSetParamsV2 {
        uint32 operatorSetId;
        IStrategy[] strategies;
        address slasher;
    }

    function createOperatorSets(address avs, CreateSetParamsV2[] calldata params) external;

    function createRedistributingOperatorSets(
        address avs,
        CreateSetParamsV2[] calldata params,
        address[] calldata redistributionRecipients
    ) external;

    function slashOperator(address avs, SlashingParams calldata params)
        external
        returns (uint256 slashId, uint256[] memory shares);
}
