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
    struct WeighedStrategy { address strategy; uint96 multiplier; }
    #[derive(Debug, PartialEq, Eq)]
    struct OperatorReward { address operator; uint256 amount; }
    #[derive(Debug, PartialEq, Eq)]
    struct OperatorDirectedSubmission {
        WeighedStrategy[] strategiesAndMultipliers;
        address token;
        OperatorReward[] operatorRewards;
        uint32 startTimestamp;
        uint32 duration;
        string description;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct DistributionRoot {
        bytes32 root;
        uint32 rewardsCalculationEndTimestamp;
        uint32 activatedAt;
        bool disabled;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct EarnerLeaf { address earner; bytes32 earnerTokenRoot; }
    #[derive(Debug, PartialEq, Eq)]
    struct TokenLeaf { address token; uint256 cumulativeEarnings; }
    #[derive(Debug, PartialEq, Eq)]
    struct RewardsClaim {
        uint32 rootIndex;
        uint32 earnerIndex;
        bytes earnerTreeProof;
        EarnerLeaf earnerLeaf;
        uint32[] tokenIndices;
        bytes[] tokenTreeProofs;
        TokenLeaf[] tokenLeaves;
    }

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
        event StakerDelegated(address indexed staker, address indexed operator);
        function delegatedTo(address staker) external view returns (address operator);
        function getWithdrawableShares(address staker, address[] calldata strategies)
            external view returns (uint256[] memory withdrawable, uint256[] memory deposited);
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
        event OperatorDirectedAVSRewardsSubmissionCreated(
            address indexed caller,
            address indexed avs,
            bytes32 indexed submissionHash,
            uint256 submissionNonce,
            OperatorDirectedSubmission submission
        );
        function submitRoot(bytes32 root, uint32 rewardsCalculationEndTimestamp) external;
        function processClaim(RewardsClaim calldata claim, address recipient) external;
        function checkClaim(RewardsClaim calldata claim) external view returns (bool);
        function claimerFor(address earner) external view returns (address);
        function cumulativeClaimed(address earner, address token) external view returns (uint256);
        function getOperatorAVSSplit(address operator, address avs)
            external view returns (uint16);
        function getRootIndexFromHash(bytes32 rootHash) external view returns (uint32);
        function getDistributionRootAtIndex(uint256 index)
            external view returns (DistributionRoot memory);
        function calculateEarnerLeafHash(EarnerLeaf calldata leaf)
            external view returns (bytes32);
        function calculateTokenLeafHash(TokenLeaf calldata leaf)
            external view returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IDevStrategy {
        constructor(address strategyManager_, address token_);
    }
}
