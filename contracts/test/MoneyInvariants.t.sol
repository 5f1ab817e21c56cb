// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IBonds} from "../src/interfaces/IBonds.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {IRaceRounds} from "../src/interfaces/IRaceRounds.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {Job} from "../src/types/Protocol.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title Random lives of jobs, bonds, locks, races, pots and credits
/// @dev Registry, stake and rewards are doubles, so that a million steps are affordable; the
/// registry's own rules are tested with real keys elsewhere. Provers 0 to 2 work; prover 3 bonds
/// coins and never signs or commits to anything. Every action tries only what may be tried and says
/// where the contracts must refuse.
contract MoneyHandler is MoneyNetwork {
    uint256 private constant WORKERS = 3;
    uint256 private constant JOBS_MAX = 6;
    uint256 private constant MASKS = 4;
    bytes32 private constant SALT = keccak256("salt");

    struct Life {
        JobId id;
        ITaskManager.JobRequest request;
        uint256 fee;
        uint256 endings;
    }

    Life[] private _lives;
    /// @dev Deriving an address from a key takes longer than most of what is tested here.
    address[WORKERS + 1] private _provers;
    uint256 public sent;
    uint256 public received;
    uint256 public bystanderBond;

    constructor() {
        Money.Terms memory t = Money.terms();
        t.races.commitmentsMax = 2;
        deployMoney(t);
        address[] memory provers = new address[](WORKERS);
        for (uint256 i = 0; i <= WORKERS; ++i) {
            _provers[i] = proverAt(i);
        }
        for (uint256 i = 0; i < WORKERS; ++i) {
            provers[i] = _provers[i];
            avs.setStake(1, provers[i], uint128((i + 1) * 1 ether));
        }
        newEpoch();
        races.recordStakes(provers);
    }

    // Jobs

    function create(uint256 fee, bool raced, uint256 seconds_) external {
        if (_lives.length == JOBS_MAX) return;
        fee = bound(fee, 1, 100 ether);
        uint64 nonce = uint64(_lives.length + 1);
        ITaskManager.JobRequest memory r = jobRequest(nonce);
        r.mode = raced ? 2 : 1;
        r.deadline = uint64(block.timestamp + bound(seconds_, 720, 5000));
        vm.deal(REQUESTER, fee);
        vm.prank(REQUESTER);
        JobId id = tasks.createJob{value: fee}(r);
        _lives.push(Life(id, r, fee, 0));
        received += fee;
    }

    function attest(uint256 which, uint256 who, bool valid, uint256 mask) public {
        if (_lives.length == 0) return;
        (, StatementDigest statement) = settlementBy(_life(which).id, _worker(who));
        certifyAs(statement, valid ? 1 : 2, bound(mask, 0, MASKS - 1));
    }

    function contest(uint256 which, uint256 who, uint256 seconds_) external {
        if (_lives.length == 0) return;
        (, StatementDigest statement) = settlementBy(_life(which).id, _worker(who));
        ledger.contest(statement, uint64(block.timestamp + bound(seconds_, 1, 500)));
    }

    function settle(uint256 which, uint256 who) public {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        address prover_ = _worker(who);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(life.id, prover_);
        bool due = life.request.mode == 1 && life.endings == 0
            && registry.leafFinality(statement, 1, s.leaf) == IProofRegistry.Finality.Hard;
        IBonds.LockState state = _lockOf(life.id, prover_).state;
        uint256 bonded = _bondOf(prover_);
        try tasks.settle(life.id, s) {
            assertTrue(due, "settled what was not due");
            ++life.endings;
            if (state != IBonds.LockState.Delivered) return;
            assertEq(_bondOf(prover_), bonded, "delivered in time, certified, and lost a bond");
            assertTrue(
                _lockOf(life.id, prover_).state == IBonds.LockState.Released, "and is released"
            );
        } catch {
            assertTrue(!due, "a due settlement was refused");
        }
    }

    function hold(uint256 which, uint256 who) external {
        if (_lives.length == 0) return;
        (ITaskManager.Settlement memory s,) = settlementBy(_life(which).id, _worker(who));
        try tasks.hold(_life(which).id, s) {} catch {}
    }

    function refund(uint256 which) external {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        bool early = life.request.mode == 1 && life.endings == 0
            && block.timestamp < tasks.refundableAt(life.id);
        try tasks.refund(life.id) {
            assertTrue(!early && life.endings == 0, "refunded before it was due, or twice");
            uint256 first = uint256(life.request.deadline) + VERIFY + SETTLE_GRACE;
            assertTrue(life.request.mode == 2 || block.timestamp >= first, "refunded too early");
            ++life.endings;
        } catch {
            bool must = life.request.mode == 1 && life.endings == 0 && !early;
            assertTrue(!must, "a due refund was refused");
        }
    }

    // Bonds and locks

    function deposit(uint256 who, uint256 amount) public {
        amount = bound(amount, 1, 10 ether);
        who = bound(who, 0, WORKERS);
        depositBond(_proverAt(who), amount);
        received += amount;
        if (who == WORKERS) bystanderBond += amount;
    }

    function withdrawBond(uint256 who, uint256 amount) external {
        address prover_ = _worker(who);
        uint128 free = bonds.accounts(prover_).free;
        if (free == 0) return;
        amount = bound(amount, 1, free);
        vm.prank(prover_);
        bonds.withdraw(uint128(amount), payable(address(0xFEED)));
        sent += amount;
    }

    function accept(uint256 which, uint256 who, uint256 amount, uint256 seconds_) public {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        who %= WORKERS;
        address prover_ = _proverAt(who);
        uint128 free = bonds.accounts(prover_).free;
        IBonds.LockState state = _lockOf(life.id, prover_).state;
        bool open = life.endings == 0 && life.request.mode == 1
            && block.timestamp <= life.request.deadline && free != 0
            && (state == IBonds.LockState.None || state == IBonds.LockState.Penalised);
        if (!open) return;
        uint64 deadline = uint64(
            bound(block.timestamp + seconds_ % 2000, block.timestamp, life.request.deadline)
        );
        amount = bound(amount, 1, free);
        Job memory job = jobOf(REQUESTER, life.request, life.fee);
        bytes memory signature = signAcceptance(
            proverKey(who), life.id, _task(life.id), job.inputDigest, deadline, amount
        );
        // The same words again, after a penalty, are a used acceptance.
        try bonds.accept(job, 0, deadline, uint128(amount), prover_, signature) {} catch {}
        // The bystander's bond cannot be bound by a worker's signature.
        try bonds.accept(job, 0, deadline, 1, _proverAt(WORKERS), signature) {
            assertTrue(false, "bound without its signature");
        } catch {}
    }

    function deliver(uint256 which, uint256 who, bool own) public {
        if (_lives.length == 0) return;
        JobId id = _life(which).id;
        address prover_ = _worker(who);
        IBonds.Lock memory lock = _lockOf(id, prover_);
        (, StatementDigest statement) = settlementBy(id, own ? prover_ : _worker(who % WORKERS + 1));
        bytes32 task = _task(id);
        bool due = lock.state == IBonds.LockState.Locked && block.timestamp <= lock.deadline;
        vm.prank(prover_);
        try bonds.deliver(id, task, statement) {
            assertTrue(due, "delivered late or twice");
        } catch {
            assertTrue(!due, "a delivery in time was refused");
        }
    }

    function penalise(uint256 which, uint256 who) public {
        if (_lives.length == 0) return;
        JobId id = _life(which).id;
        address prover_ = _worker(who);
        IBonds.Lock memory lock = _lockOf(id, prover_);
        (ITaskManager.Settlement memory s, StatementDigest statement) = settlementBy(id, prover_);
        s.leaf = soleLeaf(statement, 2);
        uint256 bonded = _bondOf(prover_);
        try bonds.penalise(id, _task(id), prover_, s) {
            assertTrue(lock.state == IBonds.LockState.Delivered, "nothing was delivered");
            assertTrue(bonded - _bondOf(prover_) <= lock.amount, "at most the lock");
        } catch {}
    }

    function resolve(uint256 which, uint256 who) external {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        _resolve(life, _worker(who));
    }

    // Races

    function commit(uint256 which, uint256 who) public {
        if (_lives.length == 0) return;
        JobId id = _life(which).id;
        address prover_ = _worker(who);
        (, StatementDigest statement) = settlementBy(id, prover_);
        bytes32 word = races.commitmentOf(id, races.races(id).round, statement, prover_, SALT);
        vm.prank(prover_);
        try races.commit(id, word) {} catch {}
        assertTrue(races.commitments(id).length <= 2, "more than the places");
    }

    function reveal(uint256 which, uint256 who) public {
        if (_lives.length == 0) return;
        JobId id = _life(which).id;
        address prover_ = _worker(who);
        (, StatementDigest statement) = settlementBy(id, prover_);
        vm.prank(prover_);
        try races.reveal(id, statement, SALT) {
            assertTrue(block.timestamp >= races.races(id).commitUntil, "revealed too early");
        } catch {}
    }

    function judge(uint256 which, uint256 who, bool valid, bool holdOnly) public {
        if (_lives.length == 0) return;
        JobId id = _life(which).id;
        address prover_ = _worker(who);
        (ITaskManager.Settlement memory s, StatementDigest statement) = settlementBy(id, prover_);
        uint8 verdict = valid ? 1 : 2;
        s.leaf = soleLeaf(statement, verdict);
        if (holdOnly) {
            try races.hold(id, prover_, verdict, s) {} catch {}
        } else {
            try races.judge(id, prover_, verdict, s) {} catch {}
        }
    }

    function close(uint256 which) external {
        if (_lives.length == 0) return;
        try races.close(_life(which).id) {} catch {}
    }

    function settleRace(uint256 which) external {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        try tasks.settleRace(life.id) {
            ++life.endings;
        } catch {}
    }

    function cancel(uint256 which) external {
        if (_lives.length == 0) return;
        Life storage life = _life(which);
        vm.prank(REQUESTER);
        try tasks.cancel(life.id) {
            ++life.endings;
        } catch {}
    }

    // Whole stretches of a life, which single steps at random would seldom put together

    function work(uint256 which, uint256 who, uint256 amount, bool own) external {
        deposit(who % WORKERS, amount);
        accept(which, who, amount, 1000);
        deliver(which, who, own);
    }

    function finish(uint256 which, uint256 who, bool valid, uint256 mask) external {
        attest(which, who, valid, mask);
        vm.warp(block.timestamp + CHALLENGE);
        if (valid) settle(which, who);
        else penalise(which, who);
    }

    function race(uint256 which, uint256 mask, bool valid) external {
        if (_lives.length == 0) return;
        for (uint256 i = 0; i < WORKERS; ++i) {
            deposit(i, 1 ether);
            commit(which, i);
        }
        IRaceRounds.Race memory round = races.races(_life(which).id);
        if (block.timestamp < round.commitUntil) vm.warp(round.commitUntil);
        for (uint256 i = 0; i < WORKERS; ++i) {
            if ((mask >> i) & 1 == 0) continue;
            reveal(which, i);
            attest(which, i, valid || i == 0, mask);
        }
        vm.warp(block.timestamp + CHALLENGE);
        for (uint256 i = 0; i < WORKERS; ++i) {
            judge(which, i, valid || i == 0, false);
        }
    }

    // Out of the vault, and time

    function withdraw(uint256 who) public {
        address account = _account(who);
        uint256 amount = vault.credits(account);
        if (amount == 0) return;
        vm.prank(account);
        tasks.withdraw(payable(address(0xFEED)));
        sent += amount;
    }

    function distribute(uint256 mask) external {
        uint256[] memory masks = new uint256[](1);
        masks[0] = bound(mask, 0, MASKS - 1);
        if (vault.potOf(1, masks[0]) == 0) return;
        uint256 now_ = block.timestamp;
        vm.warp(now_ + 2 days);
        sent += vault.distribute(1, masks);
        vm.warp(now_);
    }

    function sendReserve() external {
        if (vault.reserve() == 0) return;
        sent += vault.sendReserve();
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 400));
    }

    // What must hold

    function check() external view {
        uint256 owed = vault.bonded() + vault.reserve();
        for (uint256 mask = 0; mask < MASKS; ++mask) {
            owed += vault.potOf(1, mask);
        }
        for (uint256 i = 0; i <= WORKERS; ++i) {
            owed += vault.credits(_account(i));
        }
        uint256 bonded = 0;
        for (uint256 i = 0; i <= WORKERS; ++i) {
            bonded += _bondOf(_proverAt(i));
        }
        assertEq(vault.bonded(), bonded, "the book of bonds is what is bonded");
        for (uint256 i = 0; i < _lives.length; ++i) {
            Life storage life = _lives[i];
            assertTrue(life.endings <= 1, "ended twice");
            bool open = tasks.jobs(life.id).state == ITaskManager.JobState.Open;
            assertTrue(open == (life.endings == 0), "state and endings agree");
            if (open) owed += life.fee;
        }
        assertEq(address(vault).balance, owed, "balance is all that is owed");
        assertEq(received, owed + sent, "in is out plus owed");
        assertEq(bonds.accounts(_proverAt(WORKERS)).free, bystanderBond, "bystander");
    }

    /// @dev After any history: with time alone, and calls that anybody may make, every job ends,
    /// every lock ends, and everybody can have everything.
    function unwind() external {
        for (uint256 i = 0; i < _lives.length; ++i) {
            Life storage life = _lives[i];
            if (life.endings == 0) _end(life);
            for (uint256 j = 0; j < WORKERS; ++j) {
                _resolve(life, _proverAt(j));
            }
        }
        for (uint256 i = 0; i <= WORKERS; ++i) {
            withdraw(i);
            assertEq(bonds.accounts(_proverAt(i)).locked, 0, "a bond is locked for ever");
        }
    }

    function _end(Life storage life) private {
        uint256 due = tasks.refundableAt(life.id);
        uint256 last = uint256(life.request.deadline) + VERIFY + SETTLE_GRACE + HOLD_MAX;
        assertTrue(due <= last, "a refund beyond the cap");
        if (block.timestamp < due) vm.warp(due);
        if (life.request.mode == 2) {
            if (races.close(life.id) == IRaceRounds.RaceState.Won) {
                tasks.settleRace(life.id);
                ++life.endings;
                return;
            }
        }
        tasks.refund(life.id);
        ++life.endings;
    }

    function _resolve(Life storage life, address prover_) private {
        IBonds.Lock memory lock = _lockOf(life.id, prover_);
        bool pending =
            lock.state == IBonds.LockState.Locked || lock.state == IBonds.LockState.Delivered;
        uint256 bonded = _bondOf(prover_);
        try bonds.resolve(life.id, _task(life.id), prover_) {
            assertTrue(pending && life.endings == 1, "resolved too early or twice");
            assertTrue(bonded - _bondOf(prover_) <= lock.amount, "at most the lock");
        } catch {
            assertTrue(!pending || life.endings == 0, "a lock that cannot end");
        }
    }

    function _proverAt(uint256 index) private view returns (address) {
        return _provers[index];
    }

    function _life(uint256 which) private view returns (Life storage) {
        return _lives[which % _lives.length];
    }

    function _worker(uint256 who) private view returns (address) {
        return _proverAt(who % WORKERS);
    }

    /// @dev All who can ever have credit.
    function _account(uint256 who) private view returns (address) {
        who %= WORKERS + 1;
        return who == WORKERS ? REQUESTER : _proverAt(who);
    }

    function _task(JobId id) private pure returns (bytes32) {
        return Digests.taskId(id, 1, 0);
    }

    function _lockOf(JobId id, address prover_) private view returns (IBonds.Lock memory) {
        return bonds.lockOf(id, _task(id), prover_);
    }

    function _bondOf(address prover_) private view returns (uint256) {
        IBonds.Account memory account = bonds.accounts(prover_);
        return uint256(account.free) + account.locked;
    }
}

/// @title What holds after every step, and at the end of every history
contract MoneyInvariantsTest {
    MoneyHandler private _handler;

    function setUp() external {
        _handler = new MoneyHandler();
    }

    /// @dev Only these are called at random.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev `check` and `unwind` are what holds, not what is tried.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        bytes4[] memory selectors = new bytes4[](2);
        (selectors[0], selectors[1]) = (MoneyHandler.check.selector, MoneyHandler.unwind.selector);
        excluded[0] = FuzzSelector(address(_handler), selectors);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// forge-config: default.invariant.runs = 16
    /// forge-config: default.invariant.depth = 128
    /// forge-config: long.invariant.runs = 2000
    /// forge-config: long.invariant.depth = 512
    function invariant_MoneyIsNeitherLostNorMade() external view {
        _handler.check();
    }

    function afterInvariant() external {
        _handler.unwind();
        _handler.check();
    }
}
