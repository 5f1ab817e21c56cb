// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What EigenLayer's core asks of an AVS when operators come and go
/// @notice Of EigenLayer's core, as it calls it from v1.3 on. A revert of `registerOperator` undoes
/// the registration; a revert of `deregisterOperator` is ignored.
interface IAVSRegistrar {
    /// @notice An operator is joining sets of the AVS.
    function registerOperator(
        address operator,
        address avs,
        uint32[] calldata operatorSetIds,
        bytes calldata data
    ) external;

    /// @notice An operator left sets of the AVS.
    function deregisterOperator(address operator, address avs, uint32[] calldata operatorSetIds)
        external;

    /// @notice Whether this is a registrar of the AVS.
    function supportsAVS(address avs) external view returns (bool);
}
