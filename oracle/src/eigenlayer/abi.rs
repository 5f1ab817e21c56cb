//! The core's interfaces, as far as this crate calls them.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "expanded from the interfaces below"
)]

use alloy::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct OperatorSet { address avs; uint32 id; }
    #[derive(Debug, PartialEq, Eq)]
    struct AllocateParams { OperatorSet operatorSet; address[] strategies; uint64[] newMagnitudes; }
    #[derive(Debug, PartialEq, Eq)]
    struct RegisterParams { address avs; uint32[] operatorSetIds; bytes data; }
    #[derive(Debug, PartialEq, Eq)]
    struct DeregisterParams { address operator; address avs; uint32[] operatorSetIds; }
    #[derive(Debug, PartialEq, Eq)]
    struct SignatureWithExpiry { bytes signature; uint256 expiry; }

    #[derive(Debug, PartialEq, Eq)]
    interface IPauserRegistry {
        constructor(address pauser_);
    }

    /// OpenZeppelin's proxy, whose admin contract it creates itself.
    #[derive(Debug, PartialEq, Eq)]
    interface ITransparentProxy {
        constructor(address logic, address initialOwner, bytes data);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IPermissionController {
        constructor(string version);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IDelegationManager {
        constructor(
            address strategyManager,
            address eigenPodManager,
            address allocationManager,
            address pauserRegistry,
            address permissionController,
            uint32 minWithdrawalDelay,
            string version
        );
        function initialize(address initialOwner, uint256 initialPausedStatus) external;
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
        function isOperator(address operator) external view returns (bool);
        function operatorShares(address operator, address strategy)
            external view returns (uint256 shares);
        error ActivelyDelegated();
        error OperatorNotRegistered();
        error CurrentlyPaused();
        error FullySlashed();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IStrategyManager {
        constructor(address delegation, address pauserRegistry, string version);
        function initialize(
            address initialOwner,
            address initialStrategyWhitelister,
            uint256 initialPausedStatus
        ) external;
        function addStrategiesToDepositWhitelist(address[] calldata strategies) external;
        function depositIntoStrategy(address strategy, address token, uint256 amount)
            external returns (uint256 depositShares);
        error StrategyNotWhitelisted();
        error SharesAmountZero();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IEigenPodManager {
        constructor(
            address ethPOS,
            address eigenPodBeacon,
            address delegationManager,
            address pauserRegistry,
            string version
        );
        function initialize(address initialOwner, uint256 initialPausedStatus) external;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IAllocationManager {
        constructor(
            address delegation,
            address pauserRegistry,
            address permissionController,
            uint32 deallocationDelay,
            uint32 allocationConfigurationDelay,
            string version
        );
        function initialize(address initialOwner, uint256 initialPausedStatus) external;
        function modifyAllocations(address operator, AllocateParams[] calldata params) external;
        function registerForOperatorSets(address operator, RegisterParams calldata params) external;
        function deregisterFromOperatorSets(DeregisterParams calldata params) external;
        function getAllocation(
            address operator,
            OperatorSet calldata operatorSet,
            address strategy
        ) external view returns (uint64 currentMagnitude, int128 pendingDiff, uint32 effectBlock);
        function getMembers(OperatorSet calldata operatorSet)
            external view returns (address[] memory operators);
        function getAllocationDelay(address operator)
            external view returns (bool isSet, uint32 delay);
        function getMaxMagnitude(address operator, address strategy)
            external view returns (uint64);
        function isOperatorSlashable(address operator, OperatorSet calldata operatorSet)
            external view returns (bool);
        error AlreadyMemberOfSet();
        error InsufficientMagnitude();
        error InvalidCaller();
        error InvalidOperator();
        error InvalidOperatorSet();
        error InvalidPermissions();
        error ModificationAlreadyPending();
        error NotMemberOfSet();
        error OperatorNotSlashable();
        error SameMagnitude();
        error UninitializedAllocationDelay();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IAvsDirectory {
        constructor(address delegation, address pauserRegistry, string version);
        function initialize(address initialOwner, uint256 initialPausedStatus) external;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IRewardsCoordinator {
        constructor(
            address delegationManager,
            address strategyManager,
            uint32 calculationIntervalSeconds,
            uint32 maxRewardsDuration,
            uint32 maxRetroactiveLength,
            uint32 maxFutureLength,
            uint32 genesisRewardsTimestamp
        );
        function initialize(
            address initialOwner,
            address pauserRegistry,
            uint256 initialPausedStatus,
            address rewardsUpdater,
            uint32 activationDelay,
            uint16 defaultSplitBips
        ) external;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IDevStrategy {
        constructor(address strategyManager_, address token_);
    }
}
