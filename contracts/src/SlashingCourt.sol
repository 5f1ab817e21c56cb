// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IAvsManager} from "./interfaces/IAvsManager.sol";
import {IEpochTable} from "./interfaces/IEpochTable.sol";
import {ISlashingCourt} from "./interfaces/ISlashingCourt.sol";
import {StoredEpoch} from "./libraries/StoredEpoch.sol";
import {StatementDigest} from "./types/Ids.sol";

/// @title SlashingCourt
contract SlashingCourt is ISlashingCourt, Ownable2Step, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev A case as it is stored: one slot, because a second one is a thirtieth of a challenge's
    /// cost. Its operator is the epoch's member, and its statement follows from its id.
    struct Record {
        address challenger;
        uint40 filedAt;
        uint24 epoch;
        uint8 member;
        Fault fault;
        CaseState state;
    }

    /// @dev The whole.
    uint256 private constant WAD = 1e18;
    /// @dev At most half of what is slashed goes to the challenger: an operator that accuses itself
    /// loses at least the other half.
    uint256 private constant REWARD_WAD_MAX = WAD / 2;
    /// @dev The operator set of the verifiers.
    uint32 private constant VERIFIER_SET = 0;

    /// @inheritdoc ISlashingCourt
    IAvsManager public immutable avsManager;
    /// @inheritdoc ISlashingCourt
    IEpochTable public immutable epochTable;
    /// @inheritdoc ISlashingCourt
    IERC20 public immutable rewardToken;
    /// @inheritdoc ISlashingCourt
    uint64 public immutable vetoSeconds;
    /// @inheritdoc ISlashingCourt
    uint64 public immutable longVetoSeconds;
    uint64 private immutable _blockSeconds;
    uint64 private immutable _falseValidWad;
    uint64 private immutable _equivocationWad;
    uint64 private immutable _rewardWad;

    /// @inheritdoc ISlashingCourt
    address public game;
    /// @inheritdoc ISlashingCourt
    address public vetoer;
    /// @inheritdoc ISlashingCourt
    mapping(StatementDigest statement => bool isLong) public isLongVeto;
    /// @inheritdoc ISlashingCourt
    mapping(address account => uint256 amount) public credits;
    mapping(bytes32 caseId => Record record) private _cases;

    constructor(
        IAvsManager avsManager_,
        IEpochTable epochTable_,
        IERC20 rewardToken_,
        CourtParams memory params_,
        address owner_
    ) Ownable(owner_) {
        IEpochTable.EpochParams memory epochParams = epochTable_.params();
        _requireSound(params_, epochParams);
        avsManager = avsManager_;
        epochTable = epochTable_;
        rewardToken = rewardToken_;
        vetoSeconds = params_.vetoSeconds;
        longVetoSeconds = epochParams.vetoSeconds;
        _blockSeconds = epochParams.blockSeconds;
        _falseValidWad = params_.falseValidWad;
        _equivocationWad = params_.equivocationWad;
        _rewardWad = params_.rewardWad;
        vetoer = params_.vetoer;
        emit VetoerSet(params_.vetoer);
    }

    /// @inheritdoc ISlashingCourt
    function file(
        address operator,
        uint64 epoch,
        uint256 member,
        StatementDigest statement,
        Fault fault,
        address challenger,
        bool longVeto
    ) external returns (bytes32 caseId) {
        if (msg.sender != game) revert NotChallengeGame(msg.sender);
        if (fault == Fault.None) revert FaultMissing();
        caseId = caseIdOf(operator, statement);
        CaseState state = _cases[caseId].state;
        if (state != CaseState.None) revert CaseExists(caseId, state);
        if (longVeto && !isLongVeto[statement]) {
            isLongVeto[statement] = true;
            emit LongVetoSet(statement);
        }
        _requireRoom(epoch, statement);
        _cases[caseId] = Record({
            challenger: challenger,
            filedAt: SafeCast.toUint40(block.timestamp),
            epoch: SafeCast.toUint24(epoch),
            member: SafeCast.toUint8(member),
            fault: fault,
            state: CaseState.Filed
        });
        emit CaseFiled(caseId, operator, statement, epoch, member, fault, challenger);
    }

    /// @inheritdoc ISlashingCourt
    function veto(bytes32 caseId) external {
        if (msg.sender != vetoer) revert NotVetoer(msg.sender);
        Record storage record = _open(caseId);
        uint256 until = _executableAt(caseId, record);
        if (block.timestamp >= until) revert VetoClosed(caseId, until);
        record.state = CaseState.Vetoed;
        emit CaseVetoed(caseId);
    }

    /// @inheritdoc ISlashingCourt
    function execute(bytes32 caseId) external nonReentrant {
        Record memory record = _open(caseId);
        address operator = _operatorOf(record);
        uint256 until = record.filedAt + _windowOf(_statementOf(caseId, operator));
        if (block.timestamp < until) revert VetoOpen(caseId, until);
        uint256 lastBlock = epochTable.slashableUntil(record.epoch);
        if (block.number > lastBlock) {
            revert EvidenceTooLate(record.epoch, block.number, lastBlock);
        }
        _cases[caseId].state = CaseState.Executed;
        uint256 wad = record.fault == Fault.FalseValid ? _falseValidWad : _equivocationWad;
        uint256 slashed = _slashableStake(operator) * wad / WAD;
        uint256 rewardDown = slashed * _rewardWad / WAD;
        credits[record.challenger] += rewardDown;
        emit CaseExecuted(caseId, operator, record.challenger, slashed, rewardDown);
        _excludeLive(operator, record.epoch, record.member);
        avsManager.slash(operator, VERIFIER_SET, wad, _describe(record.fault));
    }

    /// @inheritdoc ISlashingCourt
    function withdraw(address to) external nonReentrant returns (uint256 amount) {
        if (to == address(0)) revert AddressZero();
        uint256 credit = credits[msg.sender];
        uint256 reserve = rewardToken.balanceOf(address(this));
        amount = Math.min(credit, reserve);
        if (amount == 0) revert NothingToWithdraw(msg.sender, credit, reserve);
        credits[msg.sender] = credit - amount;
        emit RewardWithdrawn(msg.sender, to, amount);
        rewardToken.safeTransfer(to, amount);
    }

    /// @inheritdoc ISlashingCourt
    function setChallengeGame(address game_) external onlyOwner {
        if (game != address(0)) revert AlreadySet(game);
        if (game_ == address(0)) revert AddressZero();
        game = game_;
        emit ChallengeGameSet(game_);
    }

    /// @inheritdoc ISlashingCourt
    function setVetoer(address vetoer_) external onlyOwner {
        if (vetoer_ == address(0)) revert AddressZero();
        vetoer = vetoer_;
        emit VetoerSet(vetoer_);
    }

    /// @inheritdoc ISlashingCourt
    function cases(bytes32 caseId) external view returns (Case memory filed) {
        Record memory record = _cases[caseId];
        if (record.state == CaseState.None) return filed;
        return Case({
            challenger: record.challenger,
            filedAt: record.filedAt,
            epoch: record.epoch,
            member: record.member,
            fault: record.fault,
            state: record.state,
            statement: _statementOf(caseId, _operatorOf(record))
        });
    }

    /// @inheritdoc ISlashingCourt
    function isFiled(address operator, StatementDigest statement) external view returns (bool) {
        return _cases[caseIdOf(operator, statement)].state != CaseState.None;
    }

    /// @inheritdoc ISlashingCourt
    function executableAt(bytes32 caseId) external view returns (uint256) {
        return _executableAt(caseId, _open(caseId));
    }

    /// @inheritdoc ISlashingCourt
    function caseIdOf(address operator, StatementDigest statement) public pure returns (bytes32) {
        return StatementDigest.unwrap(statement) ^ keccak256(abi.encode(operator));
    }

    /// @dev Sets the operator's bit in the epochs that attestations are accepted of: the newest and,
    /// within its grace, the one before.
    function _excludeLive(address operator, uint64 epoch, uint256 member) private {
        uint64 newest = epochTable.currentEpoch();
        for (uint64 live = newest; live != 0 && live + 1 >= newest; --live) {
            if (!epochTable.isUsable(live)) continue;
            (bool found, uint256 index) = live == epoch ? (true, member) : _indexIn(live, operator);
            if (found) epochTable.exclude(live, uint256(1) << index);
        }
    }

    /// @dev The operator's place in an epoch's table, which is strictly ascending: at most eight
    /// looks at a table of 200.
    function _indexIn(uint64 epoch, address operator)
        private
        view
        returns (bool found, uint256 index)
    {
        (address table,,) = epochTable.tableAt(epoch);
        (uint256 low, uint256 high) = (0, StoredEpoch.readNumMembers(table));
        while (low < high) {
            uint256 middle = (low + high) / 2;
            (address other,,) = StoredEpoch.readMember(table, epoch, middle);
            if (other == operator) return (true, middle);
            if (other < operator) low = middle + 1;
            else high = middle;
        }
    }

    /// @dev What the operator can lose now, in units of stake.
    function _slashableStake(address operator) private view returns (uint256) {
        address[] memory operators = new address[](1);
        operators[0] = operator;
        return avsManager.slashableStakes(operators, 0)[0];
    }

    /// @dev Refuses a case that could not be executed any more when its window is over, even if
    /// blocks come as fast as they can.
    function _requireRoom(uint64 epoch, StatementDigest statement) private view {
        uint256 window = _windowOf(statement);
        uint256 blockNeeded = block.number + Math.ceilDiv(window, _blockSeconds);
        uint256 lastBlock = epochTable.slashableUntil(epoch);
        if (blockNeeded > lastBlock) revert EvidenceTooLate(epoch, blockNeeded, lastBlock);
    }

    /// @dev The record of a case that is neither vetoed nor executed.
    function _open(bytes32 caseId) private view returns (Record storage record) {
        record = _cases[caseId];
        if (record.state != CaseState.Filed) revert CaseNotOpen(caseId, record.state);
    }

    /// @dev The first second after the window of a case.
    function _executableAt(bytes32 caseId, Record memory record) private view returns (uint256) {
        return record.filedAt + _windowOf(_statementOf(caseId, _operatorOf(record)));
    }

    /// @dev Whom a case is about.
    function _operatorOf(Record memory record) private view returns (address operator) {
        (operator,,) = epochTable.memberAt(record.epoch, record.member);
    }

    /// @dev What a case is about: `caseIdOf` undone.
    function _statementOf(bytes32 caseId, address operator) private pure returns (StatementDigest) {
        return StatementDigest.wrap(caseId ^ keccak256(abi.encode(operator)));
    }

    /// @dev Seconds in which cases on a statement can be vetoed.
    function _windowOf(StatementDigest statement) private view returns (uint256) {
        return isLongVeto[statement] ? longVetoSeconds : vetoSeconds;
    }

    /// @dev What the core's event says of a slash.
    function _describe(Fault fault) private pure returns (string memory) {
        return fault == Fault.FalseValid
            ? "signed valid on a refused proof"
            : "signed both verdicts of a statement";
    }

    /// @dev Refuses parameters that no court should have.
    function _requireSound(CourtParams memory p, IEpochTable.EpochParams memory epochParams)
        private
        pure
    {
        if (
            p.vetoer == address(0) || p.vetoSeconds == 0 || p.vetoSeconds > epochParams.vetoSeconds
                || p.falseValidWad == 0 || p.falseValidWad > WAD || p.equivocationWad == 0
                || p.equivocationWad > WAD || p.rewardWad > REWARD_WAD_MAX
        ) revert CourtParamsInvalid();
    }
}
