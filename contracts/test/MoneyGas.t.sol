// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {Job} from "../src/types/Protocol.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title What jobs, locks, races and rewards cost, as whole transactions
/// @dev Registry and core are doubles: what theirs add is measured with them. `-vv` prints.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract MoneyGasTest is MoneyNetwork {
    function setUp() external {
        deployMoney(Money.terms());
        avs.setStake(1, proverAt(0), 1 ether);
        depositBond(proverAt(0), 10 ether);
    }

    function test_Gas_CreateJob() external {
        newEpoch();
        ITaskManager.JobRequest memory r = jobRequest(1);
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
        _check("createJob", 175_000);
    }

    function test_Gas_Settle() external {
        newEpoch();
        JobId job = createJob(REQUESTER, 1, FEE);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(job, proverAt(0));
        certifyAs(statement, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        tasks.settle(job, s);
        _check("settle, one prover", 165_000);
    }

    function test_Gas_AcceptAndDeliver() external {
        newEpoch();
        JobId job = createJob(REQUESTER, 1, FEE);
        Job memory words = jobOf(REQUESTER, jobRequest(1), FEE);
        bytes32 task = Digests.taskId(job, 1, 0);
        bytes memory signature =
            signAcceptance(proverKey(0), job, task, words.inputDigest, words.deadline, 1 ether);
        bonds.accept(words, 0, words.deadline, 1 ether, proverAt(0), signature);
        _check("accept", 165_000);
        vm.prank(proverAt(0));
        bonds.deliver(job, task, StatementDigest.wrap(keccak256("statement")));
        _check("deliver", 55_000);
    }

    function test_Gas_Commit() external {
        newEpoch();
        address[] memory one = new address[](1);
        one[0] = proverAt(0);
        races.recordStakes(one);
        _check("recordStakes, one prover", 65_000);
        ITaskManager.JobRequest memory r = jobRequest(1);
        r.mode = 2;
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        JobId job = tasks.createJob{value: FEE}(r);
        vm.prank(proverAt(0));
        races.commit(job, keccak256("x"));
        _check("commit", 160_000);
    }

    /// @dev The most that one call can be asked for, but for the members: 64 of them.
    function test_Gas_Distribute() external {
        address[] memory members = new address[](64);
        uint128[] memory stakes = new uint128[](64);
        for (uint256 i = 0; i < 64; ++i) {
            (members[i], stakes[i]) = (operatorAt(i), uint128(i + 1) * 1 ether);
        }
        epochDouble.snapshot(members, stakes);
        uint256[] memory masks = new uint256[](8);
        for (uint256 i = 0; i < 8; ++i) {
            masks[i] = i;
            JobId job = createJob(REQUESTER, uint64(i + 1), FEE);
            (ITaskManager.Settlement memory s, StatementDigest statement) =
                settlementBy(job, proverAt(0));
            certifyAs(statement, 1, i);
            vm.warp(block.timestamp + CHALLENGE);
            tasks.settle(job, s);
        }
        vm.warp(block.timestamp + 2 days);
        vault.distribute(1, masks);
        // Most of it is the double's, which stores each amount.
        _check("distribute, 64 members, 8 masks", 4_600_000);
    }

    function _check(string memory what, uint256 mark) private view {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        log(what, gas, mark);
        assertTrue(gas <= mark, what);
    }
}
