// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAvsManager} from "./interfaces/IAvsManager.sol";
import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {IFeeVault} from "./interfaces/IFeeVault.sol";
import {ITaskManager} from "./interfaces/ITaskManager.sol";
import {IWrappedCoin} from "./interfaces/IWrappedCoin.sol";
import {EpochTableBytes} from "./libraries/EpochTableBytes.sol";
import {JobId} from "./types/Ids.sol";

/// @title FeeVault
contract FeeVault is IFeeVault, Ownable2Step, ReentrancyGuard {
    using EpochTableBytes for bytes;
    using SafeERC20 for IWrappedCoin;

    /// @dev One slot. The fee stays after the end, because a repeated `createJob` needs it.
    struct Escrow {
        uint128 fee;
        bool ended;
    }

    /// @dev What is handed to the restaking core.
    struct Reward {
        address[] operators;
        uint256[] amounts;
        uint256 total;
    }

    /// @notice Most masks of one `distribute`: with 200 members each that is 6400 shares.
    uint256 public constant MASKS_MAX = 32;
    uint256 private constant BPS = 10_000;
    uint256 private constant PROVER_BPS_MIN = 5000;
    uint256 private constant VERIFIER_BPS_MAX = 4000;
    uint256 private constant RESERVE_BPS_MAX = 1000;

    /// @inheritdoc IFeeVault
    IEpochTable public immutable epochTable;
    /// @inheritdoc IFeeVault
    IWrappedCoin public immutable wrappedCoin;
    uint16 private immutable _proverBps;
    uint16 private immutable _verifierBps;
    uint16 private immutable _reserveBps;
    /// @notice Length of the intervals that the restaking core rewards.
    uint32 public immutable intervalSeconds;
    /// @notice How long ago a rewarded interval may have begun.
    uint32 public immutable retroactiveSecondsMax;

    /// @notice Creates and ends jobs.
    address public taskManager;
    /// @notice Keeps the book of provers' bonds.
    address public bonds;
    /// @notice Takes rewards to the restaking core.
    IAvsManager public avs;
    /// @notice Pays challengers.
    address public court;

    /// @inheritdoc IFeeVault
    uint256 public bonded;
    /// @inheritdoc IFeeVault
    uint256 public reserve;
    /// @inheritdoc IFeeVault
    mapping(address account => uint256 amount) public credits;
    /// @inheritdoc IFeeVault
    mapping(uint64 epoch => mapping(uint256 nonSigners => uint256 amount)) public potOf;
    mapping(JobId jobId => Escrow record) private _escrows;

    modifier onlyFrom(address allowed) {
        if (msg.sender != allowed) revert NotAllowed(msg.sender);
        _;
    }

    constructor(
        IEpochTable epochTable_,
        IWrappedCoin wrappedCoin_,
        FeeSplit memory split_,
        RewardTimes memory times,
        address owner_
    ) Ownable(owner_) {
        if (address(epochTable_) == address(0) || address(wrappedCoin_) == address(0)) {
            revert AddressZero();
        }
        uint256 sum = uint256(split_.proverBps) + split_.verifierBps + split_.reserveBps;
        if (
            sum != BPS || split_.proverBps < PROVER_BPS_MIN || split_.verifierBps > VERIFIER_BPS_MAX
                || split_.reserveBps > RESERVE_BPS_MAX
        ) revert SplitInvalid(split_.proverBps, split_.verifierBps, split_.reserveBps);
        // Two intervals: the last whole one may have begun almost that long ago.
        if (times.intervalSeconds == 0 || times.retroactiveSecondsMax / 2 < times.intervalSeconds) {
            revert RewardTimesInvalid(times.intervalSeconds, times.retroactiveSecondsMax);
        }
        epochTable = epochTable_;
        wrappedCoin = wrappedCoin_;
        _proverBps = split_.proverBps;
        _verifierBps = split_.verifierBps;
        _reserveBps = split_.reserveBps;
        intervalSeconds = times.intervalSeconds;
        retroactiveSecondsMax = times.retroactiveSecondsMax;
    }

    /// @inheritdoc IFeeVault
    function wire(address taskManager_, address bonds_, IAvsManager avs_, address court_)
        external
        onlyOwner
    {
        if (taskManager != address(0)) revert AlreadySet();
        if (
            taskManager_ == address(0) || bonds_ == address(0) || address(avs_) == address(0)
                || court_ == address(0)
        ) revert AddressZero();
        taskManager = taskManager_;
        bonds = bonds_;
        avs = avs_;
        court = court_;
        emit Wired(taskManager_, bonds_, address(avs_), court_);
    }

    /// @inheritdoc IFeeVault
    function escrow(JobId jobId) external payable onlyFrom(taskManager) {
        if (_escrows[jobId].fee != 0) revert EscrowNotOpen(jobId);
        _escrows[jobId] = Escrow(SafeCast.toUint128(msg.value), false);
    }

    /// @inheritdoc IFeeVault
    function credit(JobId jobId, address account) external payable onlyFrom(taskManager) {
        _credit(account, jobId, msg.value);
    }

    /// @inheritdoc IFeeVault
    function settle(
        JobId jobId,
        address requester,
        Payee[] calldata payees,
        Signing[] calldata signings
    ) external onlyFrom(taskManager) {
        uint256 fee = _end(jobId);
        uint256 reserved = fee * _reserveBps / BPS;
        if (reserved != 0) reserve += reserved;
        uint256 paid = reserved + _accrue(jobId, signings, fee * _verifierBps / BPS)
            + _creditByWeight(jobId, payees, fee * _proverBps / BPS);
        _credit(requester, jobId, fee - paid);
    }

    /// @inheritdoc IFeeVault
    function refund(JobId jobId, address requester) external onlyFrom(taskManager) {
        _credit(requester, jobId, _end(jobId));
    }

    /// @inheritdoc IFeeVault
    function withdraw(address account, address payable to)
        external
        onlyFrom(taskManager)
        nonReentrant
    {
        if (to == address(0)) revert ITaskManager.RecipientZero();
        uint256 amount = credits[account];
        if (amount == 0) revert ITaskManager.NothingToWithdraw(account);
        credits[account] = 0;
        emit Withdrawn(account, to, amount);
        _send(to, amount);
    }

    /// @inheritdoc IFeeVault
    function bond() external payable onlyFrom(bonds) {
        bonded += msg.value;
    }

    /// @inheritdoc IFeeVault
    function payBond(address payable to, uint256 amount) external onlyFrom(bonds) nonReentrant {
        if (to == address(0)) revert ITaskManager.RecipientZero();
        _takeBonded(amount);
        _send(to, amount);
    }

    /// @inheritdoc IFeeVault
    function creditBond(JobId jobId, address account, uint256 amount) external onlyFrom(bonds) {
        _takeBonded(amount);
        _credit(account, jobId, amount);
    }

    /// @inheritdoc IFeeVault
    function fundReserve() external payable {
        reserve += msg.value;
        emit ReserveFunded(msg.sender, msg.value);
    }

    /// @inheritdoc IFeeVault
    function sendReserve() external nonReentrant returns (uint256 sent) {
        sent = reserve;
        address to = court;
        if (sent == 0 || to == address(0)) revert ReserveEmpty();
        reserve = 0;
        emit ReserveSent(to, sent);
        _wrap(sent);
        wrappedCoin.safeTransfer(to, sent);
    }

    /// @inheritdoc IFeeVault
    function distribute(uint64 epoch, uint256[] calldata masks)
        external
        nonReentrant
        returns (uint256)
    {
        if (masks.length == 0 || masks.length > MASKS_MAX) {
            revert MaskCountOutOfRange(masks.length, MASKS_MAX);
        }
        uint32 start = _rewardedFrom(epoch);
        bytes memory table = epochTable.tableOf(epoch);
        (,, uint256 excluded) = epochTable.tableAt(epoch);
        uint256[] memory shares = new uint256[](table.numMembersOf());
        uint256 taken = 0;
        for (uint256 i = 0; i < masks.length; ++i) {
            uint256 pot = potOf[epoch][masks[i]];
            if (pot == 0) revert PotEmpty(epoch, masks[i]);
            potOf[epoch][masks[i]] = 0;
            taken += pot;
            _addShares(table, masks[i] | excluded, pot, shares);
        }
        Reward memory reward = _reward(table, shares);
        uint256 kept = taken - reward.total;
        reserve += kept;
        emit PotsDistributed(epoch, reward.total, reward.operators.length, kept);
        if (reward.total != 0) _submit(reward, start);
        return reward.total;
    }

    /// @inheritdoc IFeeVault
    function feeOf(JobId jobId) external view returns (uint128) {
        return _escrows[jobId].fee;
    }

    /// @inheritdoc IFeeVault
    function split() external view returns (FeeSplit memory) {
        return FeeSplit(_proverBps, _verifierBps, _reserveBps);
    }

    /// @dev Ends an escrow and returns its coins, once.
    function _end(JobId jobId) private returns (uint256) {
        Escrow storage record = _escrows[jobId];
        if (record.fee == 0 || record.ended) revert EscrowNotOpen(jobId);
        record.ended = true;
        return record.fee;
    }

    /// @dev Adds equal parts to the signers' pots. Returns what was added, rounded down.
    function _accrue(JobId jobId, Signing[] calldata signings, uint256 amount)
        private
        returns (uint256 added)
    {
        if (amount == 0) return 0;
        uint256 partDown = amount / signings.length;
        for (uint256 i = 0; i < signings.length; ++i) {
            Signing calldata s = signings[i];
            potOf[s.epoch][s.nonSigners] += partDown;
            added += partDown;
            emit PotAccrued(s.epoch, s.nonSigners, jobId, partDown);
        }
    }

    /// @dev Credits parts of the amount by weight. Returns what was credited, rounded down.
    function _creditByWeight(JobId jobId, Payee[] calldata payees, uint256 amount)
        private
        returns (uint256 credited)
    {
        uint256 totalWeight = 0;
        for (uint256 i = 0; i < payees.length; ++i) {
            totalWeight += payees[i].weight;
        }
        for (uint256 i = 0; i < payees.length; ++i) {
            uint256 shareDown = amount * payees[i].weight / totalWeight;
            credited += shareDown;
            _credit(payees[i].account, jobId, shareDown);
        }
    }

    /// @dev Adds to what an account can withdraw.
    function _credit(address account, JobId jobId, uint256 amount) private {
        if (amount == 0) return;
        credits[account] += amount;
        emit Credited(account, jobId, amount);
    }

    /// @dev Takes coins out of the bonds' part.
    function _takeBonded(uint256 amount) private {
        uint256 available = bonded;
        if (amount > available) revert BondsExceeded(available, amount);
        bonded = available - amount;
    }

    /// @dev The last step of every payment; what it pays is out of the books already.
    function _send(address payable to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert ITaskManager.PaymentFailed(to, amount);
    }

    /// @dev Where the rewarded interval begins: the one in which the epoch began, once it is over;
    /// if that is longer ago than the core allows, the last one that is over, so that a pot is
    /// never stuck.
    function _rewardedFrom(uint64 epoch) private view returns (uint32) {
        (, uint64 createdAt) = epochTable.epochInfo(epoch);
        uint256 start = createdAt - createdAt % intervalSeconds;
        uint256 end = start + intervalSeconds;
        if (block.timestamp <= end) revert IntervalNotOver(epoch, end);
        if (block.timestamp - start > retroactiveSecondsMax) {
            uint256 before = block.timestamp - 1;
            start = before - before % intervalSeconds - intervalSeconds;
        }
        return SafeCast.toUint32(start);
    }

    /// @dev Splits a pot by stake among the members that are not in the mask. Nothing is added if
    /// there are none.
    function _addShares(bytes memory table, uint256 unpaid, uint256 pot, uint256[] memory shares)
        private
        pure
    {
        uint256 totalStake = 0;
        for (uint256 i = 0; i < shares.length; ++i) {
            if ((unpaid >> i) & 1 == 1) continue;
            (, uint128 stake) = table.memberOf(i);
            totalStake += stake;
        }
        for (uint256 i = 0; i < shares.length; ++i) {
            if ((unpaid >> i) & 1 == 1) continue;
            (, uint128 stake) = table.memberOf(i);
            shares[i] += pot * stake / totalStake;
        }
    }

    /// @dev The members with a share, ascending as in the table, and their sum.
    function _reward(bytes memory table, uint256[] memory shares)
        private
        pure
        returns (Reward memory reward)
    {
        uint256 count = 0;
        for (uint256 i = 0; i < shares.length; ++i) {
            if (shares[i] != 0) ++count;
        }
        reward.operators = new address[](count);
        reward.amounts = new uint256[](count);
        uint256 next = 0;
        for (uint256 i = 0; i < shares.length; ++i) {
            if (shares[i] == 0) continue;
            (reward.operators[next],) = table.memberOf(i);
            reward.amounts[next] = shares[i];
            reward.total += shares[i];
            ++next;
        }
    }

    /// @dev Turns coins into as many tokens. A token that takes a fee for it is refused.
    function _wrap(uint256 amount) private returns (uint256 before) {
        before = wrappedCoin.balanceOf(address(this));
        wrappedCoin.deposit{value: amount}();
        uint256 got = wrappedCoin.balanceOf(address(this)) - before;
        if (got != amount) revert TokenAmountDiffers(amount, got);
    }

    /// @dev Wraps the coins and has them taken, all of them and no more.
    function _submit(Reward memory reward, uint32 start) private {
        uint256 before = _wrap(reward.total);
        wrappedCoin.forceApprove(address(avs), reward.total);
        avs.rewardOperators(
            wrappedCoin,
            reward.operators,
            reward.amounts,
            start,
            intervalSeconds,
            "Proofgrid verification fees"
        );
        uint256 left = wrappedCoin.balanceOf(address(this));
        if (left != before) revert TokenAmountDiffers(reward.total, before + reward.total - left);
    }
}
