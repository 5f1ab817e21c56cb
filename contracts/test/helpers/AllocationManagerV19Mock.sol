// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IAVSRegistrar} from "../../src/interfaces/eigenlayer/IAVSRegistrar.sol";
import {
    IAllocationManager,
    IAllocationManagerV19
} from "../../src/interfaces/eigenlayer/IAllocationManager.sol";

/// @title The part of core v1.9 that the adapter for it calls
/// @notice There is no bytecode of that release to test with. Keeps what it was told, lets only a
/// set's slasher slash, and knows no stake.
contract AllocationManagerV19Mock {
    /// @dev What a set was created with.
    struct Set {
        address slasher;
        address redistributedTo;
        address[] strategies;
    }

    error InvalidCaller();
    error NonexistentAVSMetadata();

    mapping(address avs => string uri) public metadataOf;
    mapping(address avs => address registrar) public getAVSRegistrar;
    uint256 public numSlashes;
    mapping(uint256 slashId => IAllocationManager.SlashingParams params) private _slashes;
    mapping(address avs => mapping(uint32 id => Set set)) private _sets;

    function updateAVSMetadataURI(address avs, string calldata uri) external {
        if (msg.sender != avs) revert InvalidCaller();
        metadataOf[avs] = uri;
    }

    function createOperatorSets(
        address avs,
        IAllocationManagerV19.CreateSetParamsV2[] calldata params
    ) external {
        _create(avs, params, new address[](params.length));
    }

    function createRedistributingOperatorSets(
        address avs,
        IAllocationManagerV19.CreateSetParamsV2[] calldata params,
        address[] calldata recipients
    ) external {
        _create(avs, params, recipients);
    }

    function setAVSRegistrar(address avs, address registrar) external {
        if (msg.sender != avs) revert InvalidCaller();
        if (!IAVSRegistrar(registrar).supportsAVS(avs)) {
            revert IAllocationManager.InvalidAVSRegistrar();
        }
        getAVSRegistrar[avs] = registrar;
    }

    function slashOperator(address avs, IAllocationManager.SlashingParams calldata params)
        external
        returns (uint256 slashId, uint256[] memory shares)
    {
        if (msg.sender != _sets[avs][params.operatorSetId].slasher) revert InvalidCaller();
        slashId = ++numSlashes;
        _slashes[slashId] = params;
        shares = new uint256[](params.strategies.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            shares[i] = 100 ether * params.wadsToSlash[i] / 1e18;
        }
    }

    function setOf(address avs, uint32 id) external view returns (Set memory) {
        return _sets[avs][id];
    }

    function slashOf(uint256 slashId)
        external
        view
        returns (IAllocationManager.SlashingParams memory)
    {
        return _slashes[slashId];
    }

    function _create(
        address avs,
        IAllocationManagerV19.CreateSetParamsV2[] calldata params,
        address[] memory recipients
    ) private {
        if (msg.sender != avs) revert InvalidCaller();
        if (bytes(metadataOf[avs]).length == 0) revert NonexistentAVSMetadata();
        for (uint256 i = 0; i < params.length; ++i) {
            Set storage set = _sets[avs][params[i].operatorSetId];
            (set.slasher, set.redistributedTo) = (params[i].slasher, recipients[i]);
            for (uint256 j = 0; j < params[i].strategies.length; ++j) {
                set.strategies.push(address(params[i].strategies[j]));
            }
        }
    }
}
