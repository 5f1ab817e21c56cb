// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {StatementDigest} from "../types/Ids.sol";
import {IAvsManager} from "./IAvsManager.sol";
import {IEpochTable} from "./IEpochTable.sol";

/// @title The only slasher
/// @notice The challenge game files a case when a fault is proven; the case waits for its veto
/// window; then anyone executes it: one operator is slashed, may no longer sign in the epochs that
/// are accepted, and the challenger is credited a part of what was slashed, out of the reserve that
/// this contract holds. There is one case per operator and statement, whatever the fault and the
/// outcome.
/// @dev Who may lie: callers. The game is believed, because it proves every fault. The veto role
/// can let the guilty off and nothing else.
interface ISlashingCourt {
    /// @dev `FalseValid`: signed `valid` on a proof that is refused. `Equivocation`: signed both
    /// verdicts of one statement.
    enum Fault {
        None,
        FalseValid,
        Equivocation
    }

    /// @dev None, Filed, then at most one of the two ends. A case that is not executed while the
    /// look-ahead of its epoch lasts stays filed and can never be executed.
    enum CaseState {
        None,
        Filed,
        Vetoed,
        Executed
    }

    /// @dev Fixed at deployment, but for the veto role. The long veto is `vetoSeconds` of the epoch
    /// table. A wad is a part of 1e18. `rewardWad` units of the reward token, at most half, are
    /// credited per 1e18 units of stake that are slashed.
    /// @dev WARNING: where the reward token is another than the staked one, `rewardWad` has to be
    /// lower by as much as its unit is worth more.
    struct CourtParams {
        address vetoer;
        uint64 vetoSeconds;
        uint64 falseValidWad;
        uint64 equivocationWad;
        uint64 rewardWad;
    }

    /// @dev What is kept of a case; the operator is the epoch's member at `member`.
    struct Case {
        address challenger;
        uint40 filedAt;
        uint24 epoch;
        uint8 member;
        Fault fault;
        CaseState state;
        StatementDigest statement;
    }

    /// @notice Cases are taken from this game from now on.
    event ChallengeGameSet(address game);
    /// @notice The veto role is this account's from now on.
    event VetoerSet(address vetoer);
    /// @notice A fault of the operator is proven.
    event CaseFiled(
        bytes32 indexed caseId,
        address indexed operator,
        StatementDigest indexed statement,
        uint64 epoch,
        uint256 member,
        Fault fault,
        address challenger
    );
    /// @notice Cases on this statement wait for the long veto: the fault is shared.
    event LongVetoSet(StatementDigest indexed statement);
    /// @notice The case is over without a slash.
    event CaseVetoed(bytes32 indexed caseId);
    /// @notice The operator was slashed; `slashed` and `reward` are in units of stake.
    event CaseExecuted(
        bytes32 indexed caseId,
        address indexed operator,
        address indexed challenger,
        uint256 slashed,
        uint256 reward
    );
    /// @notice `amount` of the account's credit was paid.
    event RewardWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice A parameter is zero, a wad is above its bound, or the veto is longer than the long
    /// one.
    error CourtParamsInvalid();
    /// @notice It was set before and cannot be changed.
    error AlreadySet(address current);
    /// @notice An address that must not be zero is zero.
    error AddressZero();
    /// @notice Only the challenge game files cases.
    error NotChallengeGame(address caller);
    /// @notice Only the veto role may veto.
    error NotVetoer(address caller);
    /// @notice A case needs a fault.
    error FaultMissing();
    /// @notice There was a case on this operator and statement already.
    error CaseExists(bytes32 caseId, CaseState state);
    /// @notice The case does not exist or is over.
    error CaseNotOpen(bytes32 caseId, CaseState state);
    /// @notice The veto window is not over.
    error VetoOpen(bytes32 caseId, uint256 until);
    /// @notice The veto window is over.
    error VetoClosed(bytes32 caseId, uint256 until);
    /// @notice The look-ahead of the epoch ends before a slash would be possible.
    error EvidenceTooLate(uint64 epoch, uint256 blockNeeded, uint256 slashableUntil);
    /// @notice The caller has no credit, or the reserve is empty.
    error NothingToWithdraw(address account, uint256 credit, uint256 reserve);

    /// @notice Files a case. Refuses a second one on the same operator and statement, and one whose
    /// window would end after the look-ahead of the epoch. `longVeto` puts every case on the
    /// statement, earlier ones too, under the long veto.
    /// @dev Only the challenge game.
    function file(
        address operator,
        uint64 epoch,
        uint256 member,
        StatementDigest statement,
        Fault fault,
        address challenger,
        bool longVeto
    ) external returns (bytes32 caseId);

    /// @notice Ends a case within its window, without a slash.
    /// @dev WARNING: veto role only. It can let the guilty off; it cannot harm anybody else.
    function veto(bytes32 caseId) external;

    /// @notice Slashes the operator of a case whose window is over, as long as the look-ahead of its
    /// epoch lasts. Anyone may call it.
    function execute(bytes32 caseId) external;

    /// @notice Pays the caller's credit to `to`, as far as the reserve reaches; the rest stays.
    function withdraw(address to) external returns (uint256 amount);

    /// @notice Names the game, once and for good.
    /// @dev WARNING: owner only. The game decides who is slashed.
    function setChallengeGame(address game_) external;

    /// @notice Gives the veto role to another account.
    /// @dev WARNING: owner only. Without a watchful veto role a bug that all verifiers share is
    /// punished like a crime.
    function setVetoer(address vetoer_) external;

    /// @notice What is kept of a case; state `None` if there is none.
    function cases(bytes32 caseId) external view returns (Case memory);

    /// @notice The id of the one case that there can be on an operator and a statement: the
    /// statement's digest, blinded with the hash of the operator. Nobody can bring two cases under
    /// one id, because both are hashes; and the statement need not be stored, because it follows
    /// from the id and the operator.
    function caseIdOf(address operator, StatementDigest statement) external pure returns (bytes32);

    /// @notice Whether there is or was a case on this operator and statement.
    function isFiled(address operator, StatementDigest statement) external view returns (bool);

    /// @notice The first second at which the case can be executed, as known now.
    function executableAt(bytes32 caseId) external view returns (uint256);

    /// @notice Whether cases on this statement wait for the long veto.
    function isLongVeto(StatementDigest statement) external view returns (bool);

    /// @notice What an account can withdraw, in units of the reward token, as far as the reserve
    /// reaches.
    function credits(address account) external view returns (uint256);

    /// @notice The only account that files cases; zero until it is set.
    function game() external view returns (address);

    /// @notice Who may veto.
    function vetoer() external view returns (address);

    /// @notice Where operators are slashed.
    function avsManager() external view returns (IAvsManager);

    /// @notice Whose members are slashed.
    function epochTable() external view returns (IEpochTable);

    /// @notice What challengers are paid in.
    function rewardToken() external view returns (IERC20);

    /// @notice Seconds in which a case can be vetoed.
    function vetoSeconds() external view returns (uint64);

    /// @notice Seconds in which a case on a shared fault can be vetoed.
    function longVetoSeconds() external view returns (uint64);
}
