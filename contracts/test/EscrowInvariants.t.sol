// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {BatchLeaf} from "../src/types/Protocol.sol";
import {Network} from "./helpers/Network.sol";

/// @title Random lives of jobs on a network with stakes 3, 3, 2, 1
/// @dev Every action bounds its input to something that may be tried; where the contracts must
/// refuse, it says so. Keeps its own account of what must be true.
contract EscrowHandler is Network {
    uint256 private constant REQUESTERS = 3;

    JobId[] public created;
    mapping(JobId jobId => uint256 times) public endings;
    mapping(JobId jobId => bool attested) public attestedByQuorum;
    mapping(JobId jobId => bool attested) public attestedInvalid;
    mapping(JobId jobId => uint256 paid) public fees;
    uint256 public received;
    uint256 public sent;
    uint256 public forgeries;

    constructor() {
        deploy();
        addOperator(3 ether);
        addOperator(3 ether);
        addOperator(2 ether);
        addOperator(1 ether);
        snapshot();
    }

    function create(uint256 who, uint256 fee, uint64 nonce) external {
        address requester = requesterAt(who % REQUESTERS);
        nonce = uint64(bound(nonce, 1, 5));
        fee = bound(fee, 1, 100 ether);
        JobId existing = tasks.jobOfNonce(requester, nonce);
        if (JobId.unwrap(existing) != bytes32(0)) return;
        JobId jobId = createJob(requester, nonce, fee);
        created.push(jobId);
        fees[jobId] = fee;
        received += fee;
    }

    function attest(uint256 which, uint256 nonSigners, bool valid) external {
        if (created.length == 0) return;
        JobId jobId = _job(which);
        (, StatementDigest statement) = settlement(jobId, twoRecords());
        BatchLeaf memory leaf = soleLeaf(statement, valid ? 1 : 2);
        IProofRegistry.Certificate memory c =
            certificate(_usableEpoch(), leaf.root, 1, bound(nonSigners, 0, 14));
        bool known = registry.statusOf(leaf.root, 1).attestedAt != 0;
        bool quorum = _signedStake(c.nonSigners) * 3 >= 18;
        try registry.attest(c) {
            if (!known && !quorum) ++forgeries;
            if (quorum && valid) attestedByQuorum[jobId] = true;
            if (quorum && !valid) attestedInvalid[jobId] = true;
        } catch {
            assertTrue(!known && !quorum, "a quorum was refused");
        }
    }

    function dispute(uint256 which) external {
        if (created.length == 0) return;
        JobId jobId = _job(which);
        (, StatementDigest statement) = settlement(jobId, twoRecords());
        BatchLeaf memory validLeaf = soleLeaf(statement, 1);
        bool both = attestedByQuorum[jobId] && attestedInvalid[jobId];
        try registry.dispute(statement, validLeaf, soleLeaf(statement, 2)) {
            assertTrue(both, "disputed without two attestations");
        } catch {
            assertTrue(!both, "a dispute was refused");
        }
    }

    function settle(uint256 which) external {
        if (created.length == 0) return;
        JobId jobId = _job(which);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(jobId, twoRecords());
        bool hard = registry.isVerified(statement, s.leaf, true);
        try tasks.settle(jobId, s) {
            assertTrue(hard && attestedByQuorum[jobId], "settled without two thirds");
            ++endings[jobId];
        } catch {
            assertTrue(!hard || endings[jobId] != 0, "a due settlement was refused");
        }
    }

    function hold(uint256 which) external {
        if (created.length == 0) return;
        (ITaskManager.Settlement memory s,) = settlement(_job(which), twoRecords());
        try tasks.hold(_job(which), s) {} catch {}
    }

    function refund(uint256 which) external {
        if (created.length == 0) return;
        JobId jobId = _job(which);
        bool due = endings[jobId] == 0 && block.timestamp >= tasks.refundableAt(jobId);
        try tasks.refund(jobId) {
            assertTrue(due, "refunded before it was due");
            ++endings[jobId];
        } catch {
            assertTrue(!due, "a due refund was refused");
        }
    }

    function withdraw(uint256 who) external {
        address account = accountAt(who % accounts());
        uint256 amount = tasks.credits(account);
        if (amount == 0) return;
        vm.prank(account);
        tasks.withdraw(payable(address(0xFEED)));
        sent += amount;
    }

    function wait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2000));
    }

    /// @dev Requesters and provers: all who can ever have credit.
    function accounts() public pure returns (uint256) {
        return REQUESTERS + 2;
    }

    function accountAt(uint256 index) public pure returns (address) {
        return index < REQUESTERS ? requesterAt(index) : prover(index - REQUESTERS);
    }

    function requesterAt(uint256 index) public pure returns (address) {
        return address(uint160(0xCAFE00 + index));
    }

    function numCreated() external view returns (uint256) {
        return created.length;
    }

    function manager() external view returns (ITaskManager) {
        return tasks;
    }

    function _job(uint256 which) private view returns (JobId) {
        return created[which % created.length];
    }

    function _usableEpoch() private returns (uint64) {
        uint64 newest = epochs.currentEpoch();
        return epochs.isUsable(newest) ? newest : snapshot();
    }

    function _signedStake(uint256 nonSigners) private pure returns (uint256 signed) {
        uint8[4] memory stakes = [3, 3, 2, 1];
        for (uint256 i = 0; i < 4; ++i) {
            if ((nonSigners >> i) & 1 == 0) signed += stakes[i];
        }
    }
}

/// @title What holds after every step
contract EscrowInvariantsTest {
    EscrowHandler private _handler;

    error Violated(string what);

    function setUp() external {
        _handler = new EscrowHandler();
    }

    /// @dev Only these are called at random.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function invariant_NoMoneyIsLostOrMade() external view {
        ITaskManager tasks = _handler.manager();
        uint256 owed = 0;
        for (uint256 i = 0; i < _handler.accounts(); ++i) {
            owed += tasks.credits(_handler.accountAt(i));
        }
        for (uint256 i = 0; i < _handler.numCreated(); ++i) {
            JobId jobId = _handler.created(i);
            if (_handler.endings(jobId) == 0) owed += _handler.fees(jobId);
        }
        _require(address(tasks.vault()).balance == owed, "balance is escrow plus credits");
        _require(_handler.received() == owed + _handler.sent(), "in is out plus owed");
    }

    function invariant_AJobEndsOnce() external view {
        ITaskManager tasks = _handler.manager();
        for (uint256 i = 0; i < _handler.numCreated(); ++i) {
            JobId jobId = _handler.created(i);
            uint256 endings = _handler.endings(jobId);
            _require(endings <= 1, "ended twice");
            bool open = tasks.jobs(jobId).state == ITaskManager.JobState.Open;
            _require(open == (endings == 0), "state and endings agree");
        }
    }

    function invariant_NothingWithoutTwoThirds() external view {
        _require(_handler.forgeries() == 0, "attested without a quorum");
        ITaskManager tasks = _handler.manager();
        for (uint256 i = 0; i < _handler.numCreated(); ++i) {
            JobId jobId = _handler.created(i);
            bool settled = tasks.jobs(jobId).state == ITaskManager.JobState.Settled;
            _require(!settled || _handler.attestedByQuorum(jobId), "settled without a quorum");
        }
    }

    function _require(bool condition, string memory what) private pure {
        if (!condition) revert Violated(what);
    }
}
