// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {JobId} from "../types/Ids.sol";
import {IAvsManager} from "./IAvsManager.sol";
import {IEpochTable} from "./IEpochTable.sol";
import {IWrappedCoin} from "./IWrappedCoin.sol";

/// @title Every coin of the network
/// @notice Holds the escrow of jobs, provers' bonds, verifiers' pots, the reward reserve and
/// credits; at any time they are together what the vault holds. It decides nothing: who is owed
/// what is said by the task manager, the bonds and the court. All payments are pulled.
/// @dev Where a coin can be, and the only ways out of each place:
///
/// | from | to | by |
/// |---|---|---|
/// | outside | escrow, bonds, credit, reserve | `escrow`, `bond`, `credit`, `fundReserve` |
/// | escrow | credits, a pot, reserve | `settle`, once per job |
/// | escrow | the requester's credit | `refund`, once per job |
/// | bonds | a credit | `creditBond` |
/// | bonds | outside | `payBond` |
/// | pot | rewards of operators, reserve (what rounding and exclusion leave) | `distribute` |
/// | reserve | the court, as tokens | `sendReserve` |
/// | credit | outside | `withdraw` |
///
/// A pot is one slot per epoch and mask of non-signers, so paying verifiers never loops over them
/// before somebody calls `distribute`.
interface IFeeVault {
    /// @dev How a fee is split, in basis points that add up to 10000: at least half for provers,
    /// at most two fifths for verifiers and a tenth for the reserve.
    struct FeeSplit {
        uint16 proverBps;
        uint16 verifierBps;
        uint16 reserveBps;
    }

    /// @dev The restaking core's calendar: rewards are for whole intervals that are over, and not
    /// for intervals that began longer ago than it takes submissions for.
    struct RewardTimes {
        uint32 intervalSeconds;
        uint32 retroactiveSecondsMax;
    }

    /// @dev Who gets which part of the provers' share.
    struct Payee {
        address account;
        uint128 weight;
    }

    /// @dev Who signed: an epoch and the mask of its members that did not.
    struct Signing {
        uint64 epoch;
        uint256 nonSigners;
    }

    /// @notice The vault knows its callers; this happens once.
    event Wired(
        address indexed taskManager, address indexed bonds, address indexed avs, address court
    );
    /// @notice `account` may withdraw `amount` more, because of this job.
    event Credited(address indexed account, JobId indexed jobId, uint256 amount);
    /// @notice `amount` of the account's credit was sent.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    /// @notice The signers of the epoch that are not in the mask earned `amount` together.
    event PotAccrued(
        uint64 indexed epoch, uint256 indexed nonSigners, JobId indexed jobId, uint256 amount
    );
    /// @notice Pots were handed to the restaking core as rewards of `operators` operators; `kept`
    /// went to the reserve.
    event PotsDistributed(uint64 indexed epoch, uint256 amount, uint256 operators, uint256 kept);
    /// @notice The reserve grew, other than by a fee.
    event ReserveFunded(address indexed from, uint256 amount);
    /// @notice The reserve went to the court, as tokens.
    event ReserveSent(address indexed court, uint256 amount);

    /// @notice The caller is not the contract whose right this is.
    error NotAllowed(address caller);
    /// @notice An address that must be set is zero.
    error AddressZero();
    /// @notice The vault knows its callers already.
    error AlreadySet();
    /// @notice The parts are not 10000 basis points, or one is beyond its limit.
    error SplitInvalid(uint16 proverBps, uint16 verifierBps, uint16 reserveBps);
    /// @notice An interval is zero, or longer than what the core takes submissions for.
    error RewardTimesInvalid(uint32 intervalSeconds, uint32 retroactiveSecondsMax);
    /// @notice The job's escrow exists already, or was paid out.
    error EscrowNotOpen(JobId jobId);
    /// @notice There is no reserve to send.
    error ReserveEmpty();
    /// @notice Fewer coins are bonded.
    error BondsExceeded(uint256 bonded, uint256 amount);
    /// @notice A number of masks that no call takes.
    error MaskCountOutOfRange(uint256 count, uint256 limit);
    /// @notice Nothing is in this pot, or its mask was given twice.
    error PotEmpty(uint64 epoch, uint256 nonSigners);
    /// @notice The rewarded interval is not over.
    error IntervalNotOver(uint64 epoch, uint256 endsAt);
    /// @notice The token did not give, or the core did not take, exactly this amount.
    error TokenAmountDiffers(uint256 expected, uint256 got);

    /// @notice Names the contracts that may move money. Once.
    /// @dev WARNING: owner only. A wrong address here is a wrong hand in the till for ever.
    function wire(address taskManager_, address bonds_, IAvsManager avs_, address court_) external;

    /// @notice Takes the fee of a new job. Only the task manager.
    function escrow(JobId jobId) external payable;

    /// @notice Credits what was sent. Only the task manager.
    function credit(JobId jobId, address account) external payable;

    /// @notice Splits the escrow: provers by weight, signers by pots of equal parts, the reserve;
    /// what rounding leaves goes to the requester. Only the task manager, once per job.
    function settle(
        JobId jobId,
        address requester,
        Payee[] calldata payees,
        Signing[] calldata signings
    ) external;

    /// @notice Credits the escrow to the requester. Only the task manager, once per job.
    function refund(JobId jobId, address requester) external;

    /// @notice Sends all of the account's credit. Only the task manager, for its caller.
    function withdraw(address account, address payable to) external;

    /// @notice Takes coins that a prover bonds. Only the bonds.
    function bond() external payable;

    /// @notice Sends coins of a bond to where its prover says. Only the bonds.
    function payBond(address payable to, uint256 amount) external;

    /// @notice Turns a part of a bond into somebody's credit. Only the bonds.
    function creditBond(JobId jobId, address account, uint256 amount) external;

    /// @notice Adds coins to the reserve that pays challengers.
    function fundReserve() external payable;

    /// @notice Sends the reserve to the court in the wrapped coin, which the court pays challengers
    /// in. Anyone may call it.
    function sendReserve() external returns (uint256 sent);

    /// @notice Hands pots of an epoch to the restaking core, in the wrapped coin, as rewards of the
    /// members that signed, by stake. Anyone may call it once the interval in which the epoch began
    /// is over. Excluded members get nothing. At most 32 masks, each once.
    /// @dev Pots hold shares of hard statements only: a certificate can be augmented within the
    /// challenge window alone, so a mask that has a pot is final.
    function distribute(uint64 epoch, uint256[] calldata masks) external returns (uint256 paid);

    /// @notice The fee of a job, also after its end.
    function feeOf(JobId jobId) external view returns (uint128);

    /// @notice What an account can withdraw, in wei.
    function credits(address account) external view returns (uint256);

    /// @notice What waits for the signers of an epoch under a mask.
    function potOf(uint64 epoch, uint256 nonSigners) external view returns (uint256);

    /// @notice Coins of provers' bonds.
    function bonded() external view returns (uint256);

    /// @notice Coins that wait to be sent to the court.
    function reserve() external view returns (uint256);

    /// @notice How a fee is split.
    function split() external view returns (FeeSplit memory);

    /// @notice Whose members the pots are of.
    function epochTable() external view returns (IEpochTable);

    /// @notice The token that rewards are paid in.
    function wrappedCoin() external view returns (IWrappedCoin);
}
