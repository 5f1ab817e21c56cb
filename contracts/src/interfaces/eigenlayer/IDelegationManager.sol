// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IStrategy} from "./IStrategy.sol";

/// @title Operators, delegation, withdrawals
/// @notice Of EigenLayer's core, what this project and its tests use of it.
interface IDelegationManager {
    /// @dev An operator's consent to a staker, for operators that want to give one.
    struct SignatureWithExpiry {
        bytes signature;
        uint256 expiry;
    }

    /// @dev A wish to withdraw; the last field is not used any more.
    struct QueuedWithdrawalParams {
        IStrategy[] strategies;
        uint256[] depositShares;
        address deprecatedWithdrawer;
    }

    /// @dev A withdrawal on its way.
    struct Withdrawal {
        address staker;
        address delegatedTo;
        address withdrawer;
        uint256 nonce;
        uint32 startBlock;
        IStrategy[] strategies;
        uint256[] scaledShares;
    }

    error WithdrawalDelayNotElapsed();

    function registerAsOperator(
        address initDelegationApprover,
        uint32 allocationDelay,
        string calldata metadataURI
    ) external;

    function delegateTo(
        address operator,
        SignatureWithExpiry calldata approverSignatureAndExpiry,
        bytes32 approverSalt
    ) external;

    function queueWithdrawals(QueuedWithdrawalParams[] calldata params)
        external
        returns (bytes32[] memory roots);

    function completeQueuedWithdrawal(
        Withdrawal calldata withdrawal,
        IERC20[] calldata tokens,
        bool receiveAsTokens
    ) external;

    function getQueuedWithdrawals(address staker)
        external
        view
        returns (Withdrawal[] memory withdrawals, uint256[][] memory shares);

    function isOperator(address operator) external view returns (bool);

    function operatorShares(address operator, IStrategy strategy) external view returns (uint256);

    function getWithdrawableShares(address staker, IStrategy[] calldata strategies)
        external
        view
        returns (uint256[] memory withdrawableShares, uint256[] memory depositShares);

    function minWithdrawalDelayBlocks() external view returns (uint32);
}
