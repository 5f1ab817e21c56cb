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
        uint32 lookaheadBlocks;
        uint64 blockSeconds;
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
    struct RestakingCore {
        address allocationManager;
        address delegationManager;
        address rewardsCoordinator;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct StrategyAndMultiplier { address strategy; uint96 multiplier; }
    #[derive(Debug, PartialEq, Eq)]
    struct RegistrarParams {
        uint128 minimumVerifierStake;
        uint128 minimumProverStake;
        uint64 ejectionWindowSeconds;
        uint64 ejectionCooldownSeconds;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IAvsManager {
        constructor(
            RestakingCore memory core,
            StrategyAndMultiplier[] memory stakes_,
            string memory metadataURI,
            address owner_
        );
        function wire(address registrar_, address court_, address feeVault_) external;
        function isMember(address operator, uint32 set) external view returns (bool);
        function allocationManager() external view returns (address);
        function delegationManager() external view returns (address);
        function rewardsCoordinator() external view returns (address);
        function stakes() external view returns (StrategyAndMultiplier[] memory);
        error AddressZero();
        error AlreadyWired();
        error CoreAnswerMalformed(uint256 expectedBytes, uint256 gotBytes);
        error LengthsDiffer(uint256 operators, uint256 amounts);
        error MultiplierZero(uint256 index);
        error NotAllowed(address caller, address allowed);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error SafeERC20FailedOperation(address token);
        error StrategiesNotAscending(uint256 index);
        error StrategyCount(uint256 strategies, uint256 strategiesMax);
        error WadOutOfRange(uint256 wad);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IOperatorRegistrar {
        struct Ejection {
            uint64 nonce;
            uint64 executableAt;
            uint64 barredUntil;
            uint64 sparedUntil;
        }
        constructor(address avs_, RegistrarParams memory params, address owner_);
        function avs() external view returns (address);
        function version() external view returns (uint64);
        function operators() external view returns (address[] memory);
        function keyOf(address operator)
            external view returns (G1Point memory key1, G2Point memory key2);
        function key2Of(bytes32 keyDigest) external view returns (G2Point memory);
        function stakeOf(address operator, uint32 set) external view returns (uint128);
        function minimumStakeOf(uint32 set) external view returns (uint128);
        function ejectedAt(address operator) external view returns (uint256);
        function ejectionOf(address operator) external view returns (Ejection memory);
        function proposeEjection(address operator) external;
        function cancelEjection(address operator, G1Point calldata signature) external;
        function executeEjection(address operator) external;
        error AvsUnknown(address avs);
        error CancelNotSigned(address operator, bytes32 message);
        error CoordinateNotReduced(uint256 coordinate);
        error DataLength(uint256 length);
        error EjectionPending(address operator, uint64 executableAt);
        error EjectionUnknown(address operator);
        error EjectionWindowOpen(address operator, uint64 executableAt);
        error EjectionWindowOver(address operator, uint64 executableAt);
        error HashToCurveExhausted(bytes32 message);
        error KeyAlreadyUsed(bytes32 keyDigest, address operator);
        error KeyUnknown(bytes32 keyDigest);
        error MinimumStakeZero();
        error NotAllocationManager(address caller);
        error OperatorAlreadyRegistered(address operator);
        error OperatorBarred(address operator, uint64 barredUntil);
        error OperatorNotRegistered(address operator);
        error OperatorSetFull(uint256 operatorsMax);
        error OperatorSpared(address operator, uint64 sparedUntil);
        error OperatorUnknown(address operator);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PointIsIdentity();
        error PointOffCurve(uint256 x, uint256 y);
        error PossessionNotProved(address operator, bytes32 message);
        error PrecompileFailed(uint256 precompile);
        error SecondsOutOfRange(uint64 value, uint64 secondsMax);
        error SetUnknown(uint32 set);
        error StakeAboveMinimum(address operator, uint32 set, uint128 stake, uint128 minimum);
        error StakeBelowMinimum(address operator, uint32 set, uint128 stake, uint128 minimum);
        error StakeTooSmallToChurn(uint128 incomingStake, uint128 outgoingStake);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IEpochTable {
        constructor(
            address roster_,
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
        function buildRoster(address[] calldata operators, G2Point calldata aggregateKey2)
            external returns (address pointer);
        function snapshot() external returns (uint64 epoch);
        function exclude(uint64 epoch, uint256 mask) external;
        function excludeEjected(uint64 epoch, uint256 index) external;
        function setCourt(address court_) external;
        function params() external view returns (EpochParams memory);
        function currentRoster() external view returns (address pointer, uint64 version);
        function originOf(uint64 epoch)
            external view returns (uint64 createdAt, address roster);
        function tableOf(uint64 epoch) external view returns (bytes memory);
        function currentEpoch() external view returns (uint64);
        function isUsable(uint64 epoch) external view returns (bool);
        function tableAt(uint64 epoch)
            external view returns (address pointer, bytes32 tableDigest, uint256 excluded);
        error AddressZero();
        error AggregateKeyMismatch();
        error AlreadySet(address current);
        error CoordinateNotReduced(uint256 coordinate);
        error DataNotStored(uint256 dataBytes);
        error EpochNotCovered(uint64 epoch, uint256 blockNumber, uint256 usableUntilBlock);
        error EpochNotUsable(uint64 epoch, uint64 newest, uint256 usableUntil);
        error EpochParamsInvalid();
        error EpochTooYoung(uint64 newest, uint256 nextSnapshotAt);
        error EpochUnknown(uint64 epoch);
        error EpochsExhausted(uint64 epoch);
        error LookaheadViolated(
            uint256 neededSeconds,
            uint256 coveredSeconds,
            uint32 lookaheadBlocks,
            uint32 deallocationDelayBlocks,
            uint32 withdrawalDelayBlocks
        );
        error MemberUnknown(uint64 epoch, uint256 index, uint256 numMembers);
        error NoSuchMember(uint256 mask, uint256 numMembers);
        error NotEjected(address operator, uint256 ejectedAt);
        error NotOwnerOrCourt(address caller);
        error OperatorListIncomplete(uint256 expected, uint256 got);
        error OperatorSetTooLarge(uint256 operators, uint256 operatorsMax);
        error OperatorsNotAscending(address operator);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PointIsIdentity();
        error PointOffCurve(uint256 x, uint256 y);
        error PrecompileFailed(uint256 precompile);
        error RosterStale(uint64 built, uint64 current);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error StakesIncomplete(uint256 expected, uint256 got);
        error TooFewMembers(uint256 members, uint256 minimum);
        error TotalStakeTooSmall(uint256 total, uint256 minimum);
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
    struct TaskParams {
        uint64 verifySeconds;
        uint64 graceSeconds;
        uint64 holdSecondsMax;
        uint64 deadlineSecondsMax;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Parts {
        address registry;
        address stakeSource;
        address vault;
        address bonds;
        address races;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct FeeSplit { uint16 proverBps; uint16 verifierBps; uint16 reserveBps; }
    #[derive(Debug, PartialEq, Eq)]
    struct RewardTimes { uint32 intervalSeconds; uint32 retroactiveSecondsMax; }
    #[derive(Debug, PartialEq, Eq)]
    struct BondParams {
        uint16 missedBps;
        uint16 invalidBps;
        uint16 compensationBps;
        uint128 flatFee;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct RaceParams {
        uint128 bond;
        uint128 flatFee;
        uint32 commitSeconds;
        uint32 revealSeconds;
        uint32 judgeSeconds;
        uint32 holdSecondsMax;
        uint32 lookaheadBlocks;
        uint8 commitmentsMax;
        uint8 roundsMax;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct CourtParams {
        address vetoer;
        uint64 vetoSeconds;
        uint64 falseValidWad;
        uint64 equivocationWad;
        uint64 rewardWad;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct GameParams {
        uint128 bond;
        uint128 demandBond;
        uint64 commitSeconds;
        uint64 answerSeconds;
        address forfeitTo;
    }
    #[derive(Debug, PartialEq, Eq)]
    enum JudgeKind { None, Proof, Refutation }
    #[derive(Debug, PartialEq, Eq)]
    struct Judge { address verifier; uint64 fromEpoch; JudgeKind kind; }
    #[derive(Debug, PartialEq, Eq)]
    enum Fault { None, FalseValid, Equivocation }
    #[derive(Debug, PartialEq, Eq)]
    enum CaseState { None, Filed, Vetoed, Executed }
    #[derive(Debug, PartialEq, Eq)]
    struct Case {
        address challenger;
        uint40 filedAt;
        uint24 epoch;
        uint8 member;
        Fault fault;
        CaseState state;
        bytes32 statement;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Statement {
        bytes32 job;
        uint32 statementAttempt;
        bytes32 programId;
        bytes32 manifest;
        bytes32 claim;
        uint32 numSegments;
        bytes32 segmentsRoot;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Refutation {
        Statement statement;
        SegmentRecord record;
        bytes32[] path;
        bytes shown;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Vote {
        uint64 epoch;
        uint256 member;
        uint8 verdict;
        G1Point signature;
        G2Point key2;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Attested { uint256 member; uint8 verdict; BatchLeaf leaf; }
    #[derive(Debug, PartialEq, Eq)]
    enum DemandState { None, Open, Answered, Unanswered }
    #[derive(Debug, PartialEq, Eq)]
    struct Demand { address demander; uint64 until; DemandState state; bytes32 proofDigest; }
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
        event StatementProved(
            bytes32 indexed statement,
            bytes32 indexed program,
            address verifier
        );
        function attest(Certificate calldata certificate) external;
        function verifyDirect(
            Statement calldata statement,
            SegmentRecord calldata record,
            bytes calldata envelope
        ) external returns (bytes32 digest);
        function registerProgram(bytes32 program, bytes32 manifest) external;
        function setChallengeGame(address game) external;
        function isVerified(bytes32 statement, BatchLeaf calldata leaf, bool hard)
            external view returns (bool);
        function leafFinality(bytes32 statement, uint8 verdict, BatchLeaf calldata leaf)
            external view returns (Finality);
        function statusOf(bytes32 root, uint32 count)
            external view returns (BatchStatus memory status);
        function programs(bytes32 program) external view returns (Program memory);
        function isManifestAccepted(bytes32 program, bytes32 manifest) external view returns (bool);
        function epochTable() external view returns (address);
        function challengeGame() external view returns (address);
        function challengeSeconds() external view returns (uint64);
        function provedAt(bytes32 statement) external view returns (uint64);
        function attestationOf(bytes32 statement, uint8 verdict, BatchLeaf calldata leaf)
            external view returns (uint64 epoch, uint256 nonSigners, uint64 hardAt);
        function contestedUntil(bytes32 statement) external view returns (uint64);
        error AddressZero();
        error AlreadySet(address current);
        error BatchUnknown(bytes32 root, uint32 count);
        error BytesDiffer(bytes32 expected, bytes32 got);
        error CertificateInvalid(bytes32 message);
        error ContestTooLong(uint64 until, uint256 latest);
        error CoordinateNotReduced(uint256 coordinate);
        error DigestZero();
        error EpochDiffers(uint64 expected, uint64 got);
        error ExcludedSigner(uint256 bits);
        error GasTooLow(uint256 available, uint256 needed);
        error HashToCurveExhausted(bytes32 message);
        error JudgeTooCostly(address judge, uint256 gasNeeded, uint256 limit);
        error JudgeTooYoung(uint64 epoch, uint64 fromEpoch);
        error LeafCountOutOfRange(uint256 count);
        error LeafIndexOutOfRange(uint256 index, uint256 count);
        error LeafNotAttested(bytes32 statement, uint8 verdict, bytes32 root);
        error ManifestNotAccepted(bytes32 program, bytes32 manifest);
        error ManifestNotNew(bytes32 program, bytes32 manifest);
        error NonSignerUnknown(uint256 nonSigners, uint256 numMembers);
        error NonSignersNotShrunk(uint256 stored, uint256 got);
        error NotChallengeGame(address caller);
        error NotOwnerOrGame(address caller);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PathLengthWrong(uint256 expected, uint256 got);
        error PointIsIdentity();
        error PointOffCurve(uint256 x, uint256 y);
        error PrecompileFailed(uint256 precompile);
        error ProgramNotJudged(bytes32 program);
        error ProofRefused(bytes32 statement);
        error QuorumNotReached(uint128 signed, uint128 total);
        error StatementClosed(bytes32 statement, uint8 standing);
        error StatementNotOneSegment(bytes32 statement);
        error VerifierAnswerMalformed(address verifier, uint256 answerBytes, uint256 word);
        error VerifierFailed(address verifier);
        error WindowClosed(uint64 hardAt);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface ITaskManager {
        constructor(Parts memory parts, TaskParams memory params);
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
        function settleRace(bytes32 jobId) external;
        function hold(bytes32 jobId, Settlement calldata settlement) external;
        function refund(bytes32 jobId) external;
        function withdraw(address to) external;
        function jobs(bytes32 jobId) external view returns (JobRecord memory);
        function refundableAt(bytes32 jobId) external view returns (uint256);
        function credits(address account) external view returns (uint256);
        function registry() external view returns (address);
        function vault() external view returns (address);
        function bonds() external view returns (address);
        function races() external view returns (address);
        function verifySeconds() external view returns (uint64);
        function graceSeconds() external view returns (uint64);
        function holdSecondsMax() external view returns (uint64);
        error DeadlineOutOfRange(uint64 deadline, uint256 earliest, uint256 latest);
        error FeeTooLarge(uint256 fee);
        error FeeZero();
        error GraceTooShort(uint64 graceSeconds, uint64 challengeSeconds);
        error JobFieldInvalid(string field);
        error JobFieldTooLarge(string field, uint256 got, uint256 limit);
        error JobNotOpen(bytes32 jobId, JobState state);
        error JobTimesTooLong(uint256 seconds_, uint256 limit);
        error JudgeTimeInvalid(uint64 judgeSeconds, uint64 shortest, uint64 longest);
        error LeafCountOutOfRange(uint256 count);
        error ManifestNotAccepted(bytes32 programId, bytes32 manifest);
        error ModeDiffers(bytes32 jobId, uint8 mode);
        error ModeNotOffered(uint8 mode);
        error NonceUsed(uint64 nonce, bytes32 jobId);
        error NotRequester(bytes32 jobId, address caller);
        error NothingToWithdraw(address account);
        error PaymentFailed(address to, uint256 amount);
        error ProgramNotOffered(bytes32 programId);
        error RaceNotWon(bytes32 jobId, uint8 state);
        error RecipientZero();
        error RecordCountOutOfRange(uint256 count, uint256 limit);
        error RecordOutOfOrder(uint256 expected, uint32 index);
        error RecordUnpayable(uint32 index);
        error RefundTooEarly(bytes32 jobId, uint256 refundableAt);
        error StatementNotVerified(bytes32 statement, Finality finality);
        error StatementUncertified(bytes32 statement);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IWrappedCoin {
        constructor();
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IFeeVault {
        constructor(
            address epochTable_,
            address wrappedCoin_,
            FeeSplit memory split_,
            RewardTimes memory times,
            address owner_
        );
        event PotAccrued(
            uint64 indexed epoch,
            uint256 indexed nonSigners,
            bytes32 indexed jobId,
            uint256 amount
        );
        function wire(address taskManager_, address bonds_, address avs_, address court_) external;
        function fundReserve() external payable;
        function sendReserve() external returns (uint256 sent);
        function distribute(uint64 epoch, uint256[] calldata masks) external returns (uint256);
        function potOf(uint64 epoch, uint256 nonSigners) external view returns (uint256);
        function intervalSeconds() external view returns (uint32);
        function wrappedCoin() external view returns (address);
        error AddressZero();
        error AlreadySet();
        error BondsExceeded(uint256 bonded, uint256 amount);
        error EscrowNotOpen(bytes32 jobId);
        error IntervalNotOver(uint64 epoch, uint256 endsAt);
        error MaskCountOutOfRange(uint256 count, uint256 limit);
        error NotAllowed(address caller);
        error NothingToWithdraw(address account);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PaymentFailed(address to, uint256 amount);
        error PotEmpty(uint64 epoch, uint256 nonSigners);
        error RecipientZero();
        error ReentrancyGuardReentrantCall();
        error ReserveEmpty();
        error RewardTimesInvalid(uint32 intervalSeconds, uint32 retroactiveSecondsMax);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error SafeERC20FailedOperation(address token);
        error SplitInvalid(uint16 proverBps, uint16 verifierBps, uint16 reserveBps);
        error TokenAmountDiffers(uint256 expected, uint256 got);
    }

    #[derive(Debug, PartialEq, Eq)]
    enum LockState { None, Locked, Delivered, Released, Penalised }
    #[derive(Debug, PartialEq, Eq)]
    struct Account { uint128 free; uint128 locked; }
    #[derive(Debug, PartialEq, Eq)]
    struct Lock {
        uint128 amount;
        uint40 deadline;
        uint40 acceptedAt;
        LockState state;
        bytes32 delivered;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IBonds {
        constructor(address vault_, BondParams memory params, address owner_);
        event LeaseAccepted(
            bytes32 indexed jobId,
            bytes32 indexed task,
            address indexed prover,
            uint64 deadline,
            uint128 amount
        );
        function wire(address taskManager_, address races_) external;
        function deposit(address prover) external payable;
        function withdraw(uint128 amount, address to) external;
        function accept(
            Job calldata job,
            uint32 segment,
            uint64 deadline,
            uint128 amount,
            address prover,
            bytes calldata signature
        ) external returns (bytes32 task);
        function revoke(bytes32 digest) external;
        function deliver(bytes32 jobId, bytes32 task, bytes32 statement) external;
        function resolve(bytes32 jobId, bytes32 task, address prover) external;
        function accounts(address prover) external view returns (Account memory);
        function lockOf(bytes32 jobId, bytes32 task, address prover)
            external view returns (Lock memory);
        error AcceptanceUsed(address prover, bytes32 digest);
        error AddressZero();
        error AlreadySet();
        error AmountInvalid(uint256 amount);
        error BondParamsInvalid(uint16 missedBps, uint16 invalidBps, uint16 compensationBps);
        error BondTooSmall(address prover, uint256 free, uint256 wanted);
        error DeliveryLate(bytes32 jobId, bytes32 task, uint64 deadline);
        error DigestZero();
        error JobNotAssignable(bytes32 jobId, JobState state, uint8 mode);
        error JobStillOpen(bytes32 jobId);
        error LeafCountOutOfRange(uint256 count);
        error LeaseDeadlineInvalid(uint64 deadline, uint256 now_, uint64 jobDeadline);
        error LockNotFree(bytes32 jobId, bytes32 task, address prover, LockState state);
        error LockNotPending(bytes32 jobId, bytes32 task, address prover, LockState state);
        error ManifestNotAccepted(bytes32 programId, bytes32 manifest);
        error NotAllowed(address caller);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error RecordCountOutOfRange(uint256 count, uint256 limit);
        error RecordOutOfOrder(uint256 expected, uint32 index);
        error RecordUnpayable(uint32 index);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error SegmentUnknown(uint32 segment, uint32 limit);
        error SignatureInvalid(address prover, bytes32 digest);
        error StatementNotDelivered(bytes32 delivered, bytes32 got);
        error StatementNotRefused(bytes32 statement, Finality finality);
    }

    #[derive(Debug, PartialEq, Eq)]
    enum RaceState { None, Open, Won, Lost }
    #[derive(Debug, PartialEq, Eq)]
    enum CommitmentState { None, Committed, Revealed, Valid, Invalid }
    #[derive(Debug, PartialEq, Eq)]
    struct Race {
        uint40 deadline;
        uint40 openedAt;
        uint40 commitUntil;
        uint40 revealUntil;
        uint40 judgeUntil;
        uint24 epoch;
        uint8 round;
        RaceState state;
    }
    #[derive(Debug, PartialEq, Eq)]
    struct Commitment {
        address prover;
        CommitmentState state;
        uint128 stake;
        bytes32 word;
        uint200 nonSigners;
        uint24 epoch;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IProverStakes {
        function slashableStakesOf(
            uint32 set,
            address[] calldata operators,
            uint32 lookaheadBlocks
        ) external view returns (uint128[] memory);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IRaceRounds {
        constructor(
            address registry_,
            address bonds_,
            address stakes_,
            RaceParams memory p,
            address owner_
        );
        event StakeRecorded(uint64 indexed epoch, address indexed prover, uint128 stake);
        event RoundOpened(
            bytes32 indexed jobId,
            uint8 round,
            uint64 epoch,
            uint64 commitUntil,
            uint64 revealUntil,
            uint64 judgeUntil
        );
        event Revealed(
            bytes32 indexed jobId,
            uint8 round,
            address indexed prover,
            bytes32 statement
        );
        event RoundClosed(bytes32 indexed jobId, uint8 round, uint256 winners);
        function wire(address taskManager_) external;
        function setProverBound(bytes32 programId, bool proverBound) external;
        function recordStakes(address[] calldata provers) external;
        function commit(bytes32 jobId, bytes32 commitment) external;
        function reveal(bytes32 jobId, bytes32 statement, bytes32 salt) external;
        function judge(bytes32 jobId, address prover, uint8 verdict, Settlement calldata s)
            external;
        function hold(bytes32 jobId, address prover, uint8 verdict, Settlement calldata s)
            external;
        function close(bytes32 jobId) external returns (RaceState);
        function races(bytes32 jobId) external view returns (Race memory);
        function commitments(bytes32 jobId) external view returns (Commitment[] memory);
        function commitmentOf(
            bytes32 jobId,
            uint8 round,
            bytes32 statement,
            address prover,
            bytes32 salt
        ) external view returns (bytes32);
        function stakeInRound(bytes32 jobId, address prover) external view returns (uint128);
        function isProverBound(bytes32 programId) external view returns (bool);
        function raceParams() external view returns (RaceParams memory);
        function stakes() external view returns (address);
        function epochTable() external view returns (address);
        error AddressZero();
        error AlreadyCommitted(bytes32 jobId, address prover);
        error AlreadySet();
        error CommitmentDiffers(bytes32 jobId, address prover, bytes32 expected, bytes32 got);
        error CommitmentNotFound(bytes32 jobId, address prover);
        error DeadlineTooClose(uint64 deadline, uint256 earliest);
        error DigestZero();
        error LeafCountOutOfRange(uint256 count);
        error ManifestNotAccepted(bytes32 programId, bytes32 manifest);
        error NotAllowed(address caller);
        error NotNow(bytes32 jobId, uint256 from, uint256 until);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error RaceBegun(bytes32 jobId);
        error RaceNotOpen(bytes32 jobId, uint8 state);
        error RaceParamsInvalid();
        error RecordCountOutOfRange(uint256 count, uint256 limit);
        error RecordOutOfOrder(uint256 expected, uint32 index);
        error RecordUnpayable(uint32 index);
        error RoundFull(bytes32 jobId, uint128 least, uint128 got);
        error RoundNotOver(bytes32 jobId, uint256 judgeUntil);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error StakeUnknown(address prover, uint64 epoch);
        error StatementNotDecided(bytes32 statement, Finality finality);
        error StatementNotRevealed(bytes32 revealed, bytes32 got);
        error TooManyProvers(uint256 count, uint256 limit);
        error VerdictUnknown(uint8 verdict);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface ISlashingCourt {
        constructor(
            address avsManager_,
            address epochTable_,
            address rewardToken_,
            CourtParams memory params_,
            address owner_
        );
        event CaseExecuted(
            bytes32 indexed caseId,
            address indexed operator,
            address indexed challenger,
            uint256 slashed,
            uint256 reward
        );
        function setChallengeGame(address game) external;
        function execute(bytes32 caseId) external;
        function withdraw(address to) external returns (uint256 amount);
        function cases(bytes32 caseId) external view returns (Case memory);
        function executableAt(bytes32 caseId) external view returns (uint256);
        function credits(address account) external view returns (uint256);
        function rewardToken() external view returns (address);
        error AddressZero();
        error AlreadySet(address current);
        error CaseExists(bytes32 caseId, uint8 state);
        error CaseNotOpen(bytes32 caseId, uint8 state);
        error CourtParamsInvalid();
        error EvidenceTooLate(uint64 epoch, uint256 blockNeeded, uint256 slashableUntil);
        error FaultMissing();
        error NotChallengeGame(address caller);
        error NotVetoer(address caller);
        error NothingToWithdraw(address account, uint256 credit, uint256 reserve);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error ReentrancyGuardReentrantCall();
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error SafeERC20FailedOperation(address token);
        error VetoClosed(bytes32 caseId, uint256 until);
        error VetoOpen(bytes32 caseId, uint256 until);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IChallengeGame {
        constructor(
            address registry_,
            address court_,
            GameParams memory params_,
            address owner_
        );
        event ChallengeUpheld(
            address indexed challenger,
            bytes32 indexed commitment,
            bytes32 indexed caseId,
            bool shared
        );
        event ChallengeDuplicate(
            address indexed challenger,
            bytes32 indexed commitment,
            bytes32 indexed caseId
        );
        event ChallengeRejected(
            address indexed challenger,
            bytes32 indexed commitment,
            bytes32 indexed statement
        );
        event ProofDemanded(
            bytes32 indexed statement,
            uint32 indexed index,
            bytes32 proofDigest,
            address demander,
            uint64 until
        );
        function registerJudge(bytes32 program, JudgeKind kind, address verifier) external;
        function commit(bytes32 commitment) external payable;
        function revealVote(Refutation calldata refutation, Vote calldata vote, bytes32 salt) external;
        function revealVotes(
            Statement calldata statement,
            Vote calldata first,
            Vote calldata second,
            bytes32 salt
        ) external;
        function revealAttestation(
            Refutation calldata refutation,
            Attested calldata attested,
            bytes32 salt
        ) external;
        function revealVoteAndAttestation(
            Statement calldata statement,
            Vote calldata vote,
            Attested calldata attested,
            bytes32 salt
        ) external;
        function demand(
            Statement calldata statement,
            SegmentRecord calldata record,
            bytes32[] calldata path,
            BatchLeaf calldata leaf
        ) external payable;
        function answer(bytes32 statement, uint32 index, bytes calldata envelope) external;
        function closeUnanswered(bytes32 statement, uint32 index) external;
        function withdraw(address to) external;
        function commitmentOf(address challenger, bytes calldata revealCall)
            external
            view
            returns (bytes32);
        function commitments(address challenger, bytes32 commitment)
            external
            view
            returns (uint64 committedInBlock, uint64 expiresAt);
        function judges(bytes32 program) external view returns (Judge memory);
        function demands(bytes32 statement, uint32 index) external view returns (Demand memory);
        function bond() external view returns (uint128);
        function demandBond() external view returns (uint128);
        function answerSeconds() external view returns (uint64);
        function credits(address account) external view returns (uint256);
        function court() external view returns (address);
        error AlreadyCommitted(address challenger, bytes32 commitment);
        error AlreadyDemanded(bytes32 statement, uint32 index);
        error AnswerOpen(uint64 until);
        error AnswerTooLate(uint64 until);
        error BondWrong(uint256 expected, uint256 got);
        error BytesDiffer(bytes32 expected, bytes32 got);
        error CoordinateNotReduced(uint256 coordinate);
        error DemandNotOpen(bytes32 statement, uint32 index, uint8 state);
        error GameParamsInvalid();
        error GasTooLow(uint256 available, uint256 needed);
        error HashToCurveExhausted(bytes32 message);
        error JudgeExists(bytes32 program, address verifier);
        error JudgeInvalid(address verifier);
        error JudgeTooCostly(address verifier, uint256 gasNeeded, uint256 gasMax);
        error JudgeTooYoung(uint64 epoch, uint64 fromEpoch);
        error KeysDiffer(address first, address second);
        error LeafCountOutOfRange(uint256 count);
        error LeafHard(bytes32 statement, uint64 hardAt);
        error LeafIndexOutOfRange(uint256 index, uint256 count);
        error MemberDidNotSign(uint64 epoch, uint256 member);
        error NotCommitted(address challenger, bytes32 commitment);
        error NotExpired(uint64 expiresAt);
        error NotRefused(bytes32 statement);
        error NothingToWithdraw(address account);
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PathLengthWrong(uint256 expected, uint256 got);
        error PaymentFailed(address to, uint256 amount);
        error PointIsIdentity();
        error PointOffCurve(uint256 x, uint256 y);
        error PrecompileFailed(uint256 precompile);
        error ProgramNotJudged(bytes32 program, JudgeKind kind);
        error RecipientZero();
        error RecordNotInStatement(bytes32 statement, uint32 index);
        error ReentrancyGuardReentrantCall();
        error RevealTooEarly(uint256 committedInBlock);
        error RevealTooLate(uint64 expiresAt);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error StatementClosed(bytes32 statement, uint8 standing);
        error VerdictNotValid(uint8 verdict);
        error VerdictUnknown(uint8 verdict);
        error VerdictsAgree(uint8 verdict);
        error VerifierAnswerMalformed(address verifier, uint256 answerBytes, uint256 word);
        error VerifierFailed(address verifier);
        error VoteInvalid(bytes32 message);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IGroth16Verifier {
        constructor(bytes32 program_);
    }
}
