//! The contracts' interfaces, as far as this crate calls them.
//!
//! Written out here so that a change of a contract is a change of this file: the tests compare
//! every selector, topic and error with the committed artifacts in `contracts/abi/`. Documentation
//! stands in the Solidity interfaces.
#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "expanded from the interfaces below"
)]

use alloy::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct G1Point { uint256 x; uint256 y; }
    #[derive(Debug, PartialEq, Eq)]
    struct G2Point { uint256 x1; uint256 x0; uint256 y1; uint256 y0; }
    #[derive(Debug, PartialEq, Eq)]
    struct EpochParams {
        uint64 minEpochSeconds;
        uint64 maxEpochAgeSeconds;
        uint64 graceSeconds;
        uint64 challengeSeconds;
        uint64 vetoSeconds;
        uint64 slackSeconds;
        uint64 lookaheadSeconds;
        uint128 minTotalStake;
        uint16 minMembers;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IDevToken {
        constructor(address owner_);
        function mint(address to, uint256 amount) external;
        function approve(address spender, uint256 value) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IBondedStake {
        constructor(address token_, uint64 withdrawalDelaySeconds_);
        function depositFor(address operator, uint128 amount) external;
        function stakeOf(address operator) external view returns (uint128 stake);
        error AmountZero();
        error StakeTooSmall(address operator, uint128 stake, uint128 wanted);
        error WithdrawalNotReady(address operator, uint64 availableAt);
        error WithdrawalDelayZero();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IOperatorRegistry {
        constructor(address stakeSource_, uint128 minimumStake_);
        function register(
            G1Point calldata key1,
            G2Point calldata key2,
            G1Point calldata possession
        ) external;
        function operators() external view returns (address[] memory);
        function isRegistered(address operator) external view returns (bool);
        function keyOf(address operator)
            external view returns (G1Point memory key1, G2Point memory key2);
        error OperatorAlreadyRegistered(address operator);
        error OperatorNotRegistered(address operator);
        error OperatorUnknown(address operator);
        error OperatorSetFull(uint256 operatorsMax);
        error KeyAlreadyUsed(bytes32 keyDigest, address operator);
        error PossessionNotProved(address operator, bytes32 message);
        error StakeBelowMinimum(address operator, uint128 stake, uint128 minimum);
        error StakeAboveMinimum(address operator, uint128 stake, uint128 minimum);
        error MinimumStakeZero();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IEpochTable {
        constructor(
            address registry_,
            address stakeSource_,
            EpochParams memory params_,
            address owner_
        );
        event EpochCreated(
            uint64 indexed epoch,
            bytes32 indexed tableDigest,
            address pointer,
            uint64 snapshotBlock,
            bytes32 snapshotHash,
            uint128 totalStake,
            uint16 numMembers
        );
        event OperatorsExcluded(uint64 indexed epoch, uint256 added, uint256 mask);
        function snapshot(address[] calldata operators) external returns (uint64 epoch);
        function exclude(uint64 epoch, uint256 mask) external;
        function currentEpoch() external view returns (uint64);
        function isUsable(uint64 epoch) external view returns (bool);
        function tableAt(uint64 epoch)
            external view returns (address pointer, bytes32 tableDigest, uint256 excluded);
        error EpochUnknown(uint64 epoch);
        error EpochNotUsable(uint64 epoch, uint64 newest, uint256 usableUntil);
        error EpochTooYoung(uint64 newest, uint256 nextSnapshotAt);
        error EpochsExhausted(uint64 epoch);
        error OperatorListIncomplete(uint256 expected, uint256 got);
        error OperatorsNotAscending(address operator);
        error TooFewMembers(uint256 members, uint256 minimum);
        error TotalStakeTooSmall(uint256 total, uint256 minimum);
        error NoSuchMember(uint256 mask, uint256 numMembers);
        error LookaheadViolated(uint256 needed, uint64 lookahead, uint64 withdrawalDelay);
        error EpochParamsInvalid();
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Finality { Unknown, Soft, Hard, Disputed, Refuted, Withdrawn }
    #[derive(Debug, PartialEq, Eq)]
    enum JobState { None, Open, Settled, Refunded }
    #[derive(Debug, PartialEq, Eq)]
    struct Job {
        uint8 origin;
        uint64 homeChain;
        uint64 targetChain;
        address targetContract;
        address requester;
        uint64 nonce;
        bytes32 programId;
        bytes32 inputDigest;
        bytes32 claim;
        uint8 mode;
        uint64 deadline;
        uint256 feeCap;
        uint64 inputBytes;
        uint32 maxSegments;
        uint64 maxProofBytes;
        uint64 stream;
        uint64 sequence;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct SegmentRecord {
        uint32 index;
        uint64 first;
        uint64 count;
        bytes32 vkDigest;
        bytes32 publicValuesDigest;
        bytes32 proofDigest;
        address prover;
        uint64 workUnits;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct BatchLeaf { bytes32 root; uint32 count; uint32 index; bytes32[] path; }
    #[derive(Debug, PartialEq, Eq)]
    struct Certificate {
        uint64 epoch;
        bytes32 root;
        uint32 count;
        uint256 nonSigners;
        G2Point signersKey2;
        G1Point signature;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct BatchStatus {
        Finality finality;
        uint64 epoch;
        uint64 attestedAt;
        uint64 hardAt;
        uint256 nonSigners;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Program { bytes32 manifest; uint32 version; }
    #[derive(Debug, PartialEq, Eq)]
    struct TaskParams { uint64 verifySeconds; uint64 graceSeconds; uint64 holdSecondsMax; }
    #[derive(Debug, PartialEq, Eq)]
    struct JobRequest {
        uint64 nonce;
        bytes32 programId;
        bytes32 inputDigest;
        bytes32 claim;
        uint8 mode;
        uint64 deadline;
        uint64 inputBytes;
        uint32 maxSegments;
        uint64 maxProofBytes;
        uint64 stream;
        uint64 sequence;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct JobRecord {
        address requester;
        uint64 deadline;
        JobState state;
        uint128 fee;
        uint64 heldUntil;
        uint32 maxSegments;
        bytes32 programId;
        bytes32 claim;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Settlement {
        uint32 statementAttempt;
        bytes32 manifest;
        SegmentRecord[] records;
        BatchLeaf leaf;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IProofRegistry {
        constructor(address epochTable_, address owner_);
        event BatchAttested(
            bytes32 indexed root,
            uint64 indexed epoch,
            uint32 count,
            uint256 nonSigners,
            uint128 signedStake,
            uint128 totalStake
        );
        function attest(Certificate calldata certificate) external;
        function registerProgram(bytes32 program, bytes32 manifest) external;
        function isVerified(bytes32 statement, BatchLeaf calldata leaf, bool hard)
            external view returns (bool);
        function statusOf(bytes32 root, uint32 count)
            external view returns (BatchStatus memory status);
        function programs(bytes32 program) external view returns (Program memory);
        function isManifestAccepted(bytes32 program, bytes32 manifest) external view returns (bool);
        function epochTable() external view returns (address);
        function challengeSeconds() external view returns (uint64);
        error QuorumNotReached(uint128 signed, uint128 total);
        error ExcludedSigner(uint256 bits);
        error NonSignerUnknown(uint256 nonSigners, uint256 numMembers);
        error CertificateInvalid(bytes32 message);
        error BatchUnknown(bytes32 root, uint32 count);
        error EpochDiffers(uint64 expected, uint64 got);
        error WindowClosed(uint64 hardAt);
        error NonSignersNotShrunk(uint256 stored, uint256 got);
        error LeafNotAttested(bytes32 statement, uint8 verdict, bytes32 root);
        error DigestZero();
        error ManifestNotNew(bytes32 program, bytes32 manifest);
        error ManifestNotAccepted(bytes32 program, bytes32 manifest);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface ITaskManager {
        constructor(address registry_, TaskParams memory params);
        event JobCreated(
            bytes32 indexed jobId,
            address indexed requester,
            bytes32 indexed programId,
            Job job,
            bytes32 manifest
        );
        event JobSettled(
            bytes32 indexed jobId,
            bytes32 indexed statement,
            uint128 fee,
            uint256 workUnits
        );
        event JobRefunded(bytes32 indexed jobId, address indexed requester, uint128 fee);
        function createJob(JobRequest calldata request) external payable returns (bytes32 jobId);
        function settle(bytes32 jobId, Settlement calldata settlement) external;
        function hold(bytes32 jobId, Settlement calldata settlement) external;
        function refund(bytes32 jobId) external;
        function withdraw(address to) external;
        function jobs(bytes32 jobId) external view returns (JobRecord memory);
        function refundableAt(bytes32 jobId) external view returns (uint256);
        function credits(address account) external view returns (uint256);
        function registry() external view returns (address);
        function verifySeconds() external view returns (uint64);
        function graceSeconds() external view returns (uint64);
        function holdSecondsMax() external view returns (uint64);
        error GraceTooShort(uint64 graceSeconds, uint64 challengeSeconds);
        error ModeNotOffered(uint8 mode);
        error JobFieldInvalid(string field);
        error JobFieldTooLarge(string field, uint256 got, uint256 limit);
        error DeadlineOutOfRange(uint64 deadline, uint256 earliest, uint256 latest);
        error ProgramNotOffered(bytes32 programId);
        error FeeZero();
        error FeeTooLarge(uint256 fee);
        error NonceUsed(uint64 nonce, bytes32 jobId);
        error JobNotOpen(bytes32 jobId, JobState state);
        error RefundTooEarly(bytes32 jobId, uint256 refundableAt);
        error RecordCountOutOfRange(uint256 count, uint256 limit);
        error RecordOutOfOrder(uint256 expected, uint32 index);
        error RecordUnpayable(uint32 index);
        error StatementNotVerified(bytes32 statement, Finality finality);
        error NothingToWithdraw(address account);
        error RecipientZero();
        error PaymentFailed(address to, uint256 amount);
    }
}
