// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ISlashingCourt} from "../src/interfaces/ISlashingCourt.sol";
import {G2Point} from "../src/libraries/Bn254.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @title Random lives of verifiers and challengers, stakes 3, 3, 2, 1
/// @dev Member 3 is honest: it signs only what is true, once, in its epoch. The others sign what
/// they are told. The proofs of odd statements are refused. Keeps its own account of who signed
/// what; accusations are of what was signed and, as often, of what was not.
contract ChallengeHandler is GameNetwork {
    uint256 public constant STATEMENTS = 4;
    uint256 public constant MEMBERS = 4;
    uint256 private constant HONEST = 3;
    uint256 private constant CHALLENGERS = 2;

    struct Open {
        address challenger;
        bytes32 commitment;
    }

    struct Said {
        uint64 epoch;
        uint256 member;
        uint256 statement;
    }

    /// @dev Bit 1 for valid, bit 2 for invalid.
    mapping(
        uint64 epoch => mapping(uint256 member => mapping(uint256 statement => uint256 bits))
    ) private _voted;
    /// @dev The same over all epochs, votes and certificates.
    mapping(uint256 member => mapping(uint256 statement => uint256 bits)) private _said;
    mapping(uint256 statement => bool attested) private _attestedValid;
    mapping(uint256 mask => G2Point key2) private _key2;
    Said[] private _votes;
    Open[] private _open;
    bytes32[] private _cases;
    uint256 public openDemands;
    uint256 public funded;
    uint256 public withdrawn;
    uint256 public rewarded;
    uint256 public slashed;
    uint256 public executed;
    uint256 public forgeries;

    constructor() {
        deployGame();
        addFour();
        snapshot();
        // Every sum of keys that is ever needed: points of G2 take long to compute.
        for (uint256 mask = 1; mask < 16; ++mask) {
            _key2[mask] =
            certificate(1, soleLeaf(StatementDigest.wrap(0), 1).root, 1, 15 ^ mask).signersKey2;
        }
    }

    // What verifiers do

    function vote(uint256 member, uint256 statement, bool valid) external {
        (member, statement) = (member % MEMBERS, statement % STATEMENTS);
        _sign(_usableEpoch(), member, statement, valid);
    }

    function attest(uint256 statement, bool valid, uint256 nonSigners) external {
        statement = statement % STATEMENTS;
        nonSigners = bound(nonSigners, 0, 14);
        if (valid != isTrue(statement)) nonSigners |= 1 << HONEST;
        uint256 signers = 15 ^ nonSigners;
        BatchLeaf memory leaf = soleLeaf(digest(statement), valid ? VALID : INVALID);
        uint64 epoch = _usableEpoch();
        uint256 sum = 0;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            if ((signers >> i) & 1 == 1) sum += secret(i);
        }
        IProofRegistry.Certificate memory c = IProofRegistry.Certificate({
            epoch: epoch,
            root: leaf.root,
            count: 1,
            nonSigners: nonSigners,
            signersKey2: _key2[signers],
            signature: sign(sum, registry.attestMessage(epoch, leaf.root, 1))
        });
        if (registry.statusOf(leaf.root, 1).attestedAt != 0) return;
        try registry.attest(c) {
            for (uint256 i = 0; i < MEMBERS; ++i) {
                if ((signers >> i) & 1 == 1) _said[i][statement] |= valid ? 1 : 2;
            }
            if (valid) _attestedValid[statement] = true;
        } catch {}
    }

    function wait(uint256 time) external {
        time = bound(time, 1, 900);
        vm.warp(block.timestamp + time);
        vm.roll(block.number + time / 12 + 1);
    }

    // What challengers do

    function accuseOfVote(uint256 who, uint256 seed, uint256 member, uint256 statement) external {
        Said memory said = _pick(seed, member, statement);
        bool signed = _hasVoted(said.epoch, said, 1);
        bytes memory call =
            voteCall(_refutation(said.statement), _vote(said.epoch, said, VALID, signed));
        _accuse(who, said, call, signed);
    }

    function accuseOfAttestation(uint256 who, uint256 seed, uint256 member, uint256 statement)
        external
    {
        Said memory said = _pick(seed, member, statement);
        bytes memory call = attestedCall(_refutation(said.statement), _attested(said));
        _accuse(who, said, call, _said[said.member][said.statement] & 1 != 0);
    }

    function accuseOfVotes(uint256 who, uint256 seed, uint256 member, uint256 statement) external {
        Said memory said = _pick(seed, member, statement);
        uint64 other = _epochBack(seed >> 128);
        bool saidValid = _hasVoted(said.epoch, said, 1);
        bool saidInvalid = _hasVoted(other, said, 2);
        bytes memory call = votesCall(
            _refutation(said.statement),
            _vote(said.epoch, said, VALID, saidValid),
            _vote(other, said, INVALID, saidInvalid)
        );
        _accuse(who, said, call, saidValid && saidInvalid);
    }

    function accuseOfBoth(uint256 who, uint256 seed, uint256 member, uint256 statement) external {
        Said memory said = _pick(seed, member, statement);
        bool saidInvalid = _hasVoted(said.epoch, said, 2);
        bytes memory call = mixedCall(
            _refutation(said.statement),
            _vote(said.epoch, said, INVALID, saidInvalid),
            _attested(said)
        );
        bool both = saidInvalid && _said[said.member][said.statement] & 1 != 0;
        _accuse(who, said, call, both);
    }

    function commitToNothing(uint256 who, bytes32 commitment) external {
        address challenger = challengerAt(who);
        (, uint64 expiresAt) = game.commitments(challenger, commitment);
        if (expiresAt != 0) return;
        vm.deal(challenger, challenger.balance + BOND);
        vm.prank(challenger);
        game.commit{value: BOND}(commitment);
        _open.push(Open(challenger, commitment));
    }

    function expire(uint256 which) external {
        if (_open.length == 0) return;
        which = which % _open.length;
        Open memory open = _open[which];
        (, uint64 expiresAt) = game.commitments(open.challenger, open.commitment);
        bool due = block.timestamp > expiresAt;
        try game.expire(open.challenger, open.commitment) {
            assertTrue(due, "expired early");
            _open[which] = _open[_open.length - 1];
            _open.pop();
        } catch {
            assertTrue(!due, "a due expiry was refused");
        }
    }

    function demand(uint256 statement) external {
        statement = statement % STATEMENTS;
        if (!_attestedValid[statement]) return;
        IChallengeGame.Refutation memory r = _refutation(statement);
        BatchLeaf memory leaf = soleLeaf(digest(statement), VALID);
        vm.deal(challengerAt(0), challengerAt(0).balance + DEMAND_BOND);
        vm.prank(challengerAt(0));
        try game.demand{value: DEMAND_BOND}(r.statement, r.record, r.path, leaf) {
            ++openDemands;
        } catch {}
    }

    function answer(uint256 statement) external {
        statement = statement % STATEMENTS;
        vm.prank(challengerAt(1));
        try game.answer(digest(statement), 1, _refutation(statement).shown) {
            --openDemands;
        } catch {}
    }

    function closeUnanswered(uint256 statement) external {
        try game.closeUnanswered(digest(statement % STATEMENTS), 1) {
            --openDemands;
        } catch {}
    }

    function takeBonds(uint256 who) external {
        if (game.forfeited() != 0) game.sweep();
        address challenger = challengerAt(who);
        if (game.credits(challenger) == 0) return;
        vm.prank(challenger);
        game.withdraw(payable(challenger));
    }

    // What the court does

    function veto(uint256 which) external {
        if (_cases.length == 0) return;
        bytes32 caseId = _cases[which % _cases.length];
        vm.prank(VETOER);
        try court.veto(caseId) {} catch {}
    }

    function execute(uint256 which, bool waits) external {
        if (_cases.length == 0) return;
        bytes32 caseId = _cases[which % _cases.length];
        ISlashingCourt.Case memory filed = court.cases(caseId);
        if (waits && filed.state == ISlashingCourt.CaseState.Filed) {
            uint256 due = court.executableAt(caseId);
            if (due > block.timestamp) vm.warp(due);
        }
        address operator = operatorAt(filed.member);
        (uint256 stake, uint256 credit) = (avs.stakeOf(operator), court.credits(filed.challenger));
        try court.execute(caseId) {
            ++executed;
            slashed += stake - avs.stakeOf(operator);
            rewarded += court.credits(filed.challenger) - credit;
            assertTrue(filed.state == ISlashingCourt.CaseState.Filed, "was open");
        } catch {}
    }

    function fund(uint256 amount) external {
        amount = bound(amount, 1, 1 ether);
        rewards.mint(address(court), amount);
        funded += amount;
    }

    function takeReward(uint256 who) external {
        address challenger = challengerAt(who);
        vm.prank(challenger);
        try court.withdraw(challenger) returns (uint256 amount) {
            withdrawn += amount;
        } catch {}
    }

    // What the invariants ask

    function numCases() external view returns (uint256) {
        return _cases.length;
    }

    function isTrue(uint256 statement) public pure returns (bool) {
        return statement % 2 == 0;
    }

    function digest(uint256 statement) public pure returns (StatementDigest) {
        return digestOf(_refutation(statement));
    }

    function isGuilty(uint256 member, uint256 statement) public view returns (bool) {
        uint256 bits = _said[member][statement];
        return bits == 3 || (bits & 1 != 0 && !isTrue(statement));
    }

    function challengerAt(uint256 who) public pure returns (address) {
        return address(uint160(0xC0DE00 + who % CHALLENGERS));
    }

    function requireOnlyTheGuilty() external view {
        uint256 numExecuted = 0;
        for (uint256 member = 0; member < MEMBERS; ++member) {
            uint256 times = 0;
            for (uint256 i = 0; i < STATEMENTS; ++i) {
                ISlashingCourt.CaseState state = caseOf(member, digest(i)).state;
                bool filed = state != ISlashingCourt.CaseState.None;
                assertTrue(!filed || isGuilty(member, i), "an innocent was accused");
                if (state == ISlashingCourt.CaseState.Executed) ++times;
            }
            assertEq(avs.slashes(operatorAt(member)), times, "a slash per executed case");
            numExecuted += times;
        }
        assertEq(numExecuted, executed, "executed");
        assertEq(avs.slashes(operatorAt(HONEST)), 0, "the honest one");
        assertEq(avs.stakeOf(operatorAt(HONEST)), 1 ether, "its stake");
        assertEq(forgeries, 0, "forged evidence");
    }

    function requireOnlyTheFalse() external view {
        for (uint256 i = 0; i < STATEMENTS; ++i) {
            IProofRegistry.Standing standing = registry.standingOf(digest(i));
            bool refuted = standing == IProofRegistry.Standing.Refuted;
            assertTrue(!refuted || !isTrue(i), "a true statement was refuted");
            BatchLeaf memory leaf = soleLeaf(digest(i), VALID);
            bool soft = registry.isVerified(digest(i), leaf, false);
            bool hard = registry.isVerified(digest(i), leaf, true);
            assertTrue(soft || !hard, "hard is soft");
            bool ended = standing != IProofRegistry.Standing.None;
            assertTrue(!(ended && soft), "nothing ended reads as verified");
            bool contested = block.timestamp < registry.contestedUntil(digest(i));
            assertTrue(!(contested && hard), "nothing contested is hard");
        }
    }

    function requireExactMoney() external view {
        uint256 owed = _open.length * uint256(BOND) + openDemands * uint256(DEMAND_BOND);
        uint256 claims = 0;
        for (uint256 i = 0; i < CHALLENGERS; ++i) {
            owed += game.credits(challengerAt(i));
            claims += court.credits(challengerAt(i));
        }
        assertEq(address(game).balance, owed + game.forfeited(), "bonds");
        assertEq(rewards.balanceOf(address(court)), funded - withdrawn, "reserve");
        assertEq(claims + withdrawn, rewarded, "rewards");
        assertTrue(2 * rewarded <= slashed, "at most half of what was slashed");
    }

    // Helpers

    function _refutation(uint256 statement)
        private
        pure
        returns (IChallengeGame.Refutation memory)
    {
        return refutationOf(statement, isTrue(statement) ? goodProof() : falseProof());
    }

    /// @dev The honest member says the truth whatever it is told, and only one thing.
    function _sign(uint64 epoch, uint256 member, uint256 statement, bool valid) private {
        if (member == HONEST) valid = isTrue(statement);
        uint256 bit = valid ? 1 : 2;
        _voted[epoch][member][statement] |= bit;
        _said[member][statement] |= bit;
        _votes.push(Said(epoch, member, statement));
    }

    /// @dev Something that was said, or, for every fourth seed, anything that could have been.
    function _pick(uint256 seed, uint256 member, uint256 statement)
        private
        view
        returns (Said memory)
    {
        if (seed % 4 != 0 && _votes.length != 0) return _votes[(seed / 4) % _votes.length];
        return Said(_epochBack(seed / 4), member % MEMBERS, statement % STATEMENTS);
    }

    function _hasVoted(uint64 epoch, Said memory said, uint256 bit) private view returns (bool) {
        return _voted[epoch][said.member][said.statement] & bit != 0;
    }

    function _attested(Said memory said) private pure returns (IChallengeGame.Attested memory) {
        BatchLeaf memory leaf = soleLeaf(digest(said.statement), VALID);
        return IChallengeGame.Attested(said.member, VALID, leaf);
    }

    /// @dev The member's vote, or another key's signature in its place, with either's key in G2.
    function _vote(uint64 epoch, Said memory said, uint8 verdict, bool signed)
        private
        view
        returns (IChallengeGame.Vote memory)
    {
        (, bytes32 tableDigest,) = epochs.tableAt(epoch);
        bytes32 message = Digests.voteMessage(
            block.chainid, address(epochs), epoch, tableDigest, digest(said.statement), verdict
        );
        uint256 signer = signed ? said.member : (said.member + 1) % MEMBERS;
        uint256 shown = said.statement < 2 ? said.member : signer;
        return IChallengeGame.Vote(
            epoch, said.member, verdict, sign(secret(signer), message), _key2[1 << shown]
        );
    }

    /// @dev Commits and reveals. `signed` says whether the evidence is real: nothing else may count.
    function _accuse(uint256 who, Said memory said, bytes memory call, bool signed) private {
        address challenger = challengerAt(who);
        bytes32 commitment = game.commitmentOf(challenger, call);
        (, uint64 expiresAt) = game.commitments(challenger, commitment);
        if (expiresAt == 0) {
            commitTo(challenger, call);
            _open.push(Open(challenger, commitment));
        }
        vm.roll(block.number + 1);
        address operator = operatorAt(said.member);
        StatementDigest statement = digest(said.statement);
        bool known = court.isFiled(operator, statement);
        vm.prank(challenger);
        (bool ok,) = address(game).call(call);
        if (ok) _close(challenger, commitment);
        if (known || !court.isFiled(operator, statement)) return;
        if (!signed) ++forgeries;
        _cases.push(court.caseIdOf(operator, statement));
    }

    function _close(address challenger, bytes32 commitment) private {
        for (uint256 i = 0; i < _open.length; ++i) {
            bool same = _open[i].challenger == challenger && _open[i].commitment == commitment;
            if (!same) continue;
            _open[i] = _open[_open.length - 1];
            _open.pop();
            return;
        }
    }

    /// @dev The newest epoch, or one of the two before it.
    function _epochBack(uint256 back) private view returns (uint64) {
        uint64 newest = epochs.currentEpoch();
        back = back % 3;
        return back < newest ? newest - uint64(back) : newest;
    }

    function _usableEpoch() private returns (uint64) {
        uint64 newest = epochs.currentEpoch();
        (, uint64 createdAt) = epochs.epochInfo(newest);
        return block.timestamp < createdAt + 3 * MIN_EPOCH ? newest : epochs.snapshot();
    }
}

/// @title What holds after every step
contract ChallengeInvariantsTest {
    ChallengeHandler private _handler;

    function setUp() external {
        _handler = new ChallengeHandler();
    }

    /// @dev Only these are called at random.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev The handler reaches what the invariants are about.
    function test_TheHandlerReachesEveryEnd() external {
        // Member 0 votes valid on a refused proof, member 1 both ways; 3 refuses to lie.
        _handler.vote(0, 1, true);
        _handler.vote(1, 0, true);
        _handler.vote(1, 0, false);
        _handler.vote(3, 1, true);
        _handler.attest(3, true, 8);
        _handler.accuseOfVote(0, 0, 0, 1);
        _handler.accuseOfVotes(0, 0, 1, 0);
        _handler.accuseOfVote(0, 0, 3, 1);
        _handler.accuseOfAttestation(1, 0, 2, 3);
        require(_handler.numCases() == 3, "three are guilty");
        for (uint256 i = 0; i < 3; ++i) {
            _handler.execute(i, true);
        }
        require(_handler.executed() == 3 && _handler.rewarded() != 0, "all are slashed");
        _handler.fund(1);
        _handler.takeReward(0);
        require(_handler.withdrawn() == 1, "what there was");
        _handler.requireOnlyTheGuilty();
        _handler.requireOnlyTheFalse();
        _handler.requireExactMoney();
    }

    /// forge-config: default.invariant.runs = 12
    /// forge-config: default.invariant.depth = 120
    /// forge-config: long.invariant.runs = 800
    /// forge-config: long.invariant.depth = 500
    function invariant_OnlyTheGuiltyAreSlashedOncePerStatement() external view {
        _handler.requireOnlyTheGuilty();
    }

    /// forge-config: default.invariant.runs = 12
    /// forge-config: default.invariant.depth = 120
    /// forge-config: long.invariant.runs = 800
    /// forge-config: long.invariant.depth = 500
    function invariant_OnlyFalseStatementsAreRefuted() external view {
        _handler.requireOnlyTheFalse();
    }

    /// forge-config: default.invariant.runs = 12
    /// forge-config: default.invariant.depth = 120
    /// forge-config: long.invariant.runs = 800
    /// forge-config: long.invariant.depth = 500
    function invariant_BondsAndReserveAreExact() external view {
        _handler.requireExactMoney();
    }
}
