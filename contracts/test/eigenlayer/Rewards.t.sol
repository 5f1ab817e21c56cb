// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DevWrappedCoin} from "../../src/dev/DevWrappedCoin.sol";
import {IFeeVault} from "../../src/interfaces/IFeeVault.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../../src/interfaces/ITaskManager.sol";
import {IRewardsCoordinator} from "../../src/interfaces/eigenlayer/IRewardsCoordinator.sol";
import {Digests} from "../../src/libraries/Digests.sol";
import {
    BatchRoot,
    JobId,
    ManifestDigest,
    ProgramId,
    StatementDigest
} from "../../src/types/Ids.sol";
import {SegmentRecord, Statement} from "../../src/types/Protocol.sol";
import {Money} from "../helpers/Money.sol";
import {EpochDouble, RegistryDouble} from "../helpers/MoneyDoubles.sol";
import {RestakedNetwork} from "./RestakedNetwork.sol";

/// @title From a job's fee to an operator's claim, on EigenLayer's real core
contract RewardsTest is RestakedNetwork {
    uint64 private constant WINDOW = 60;
    uint256 private constant FEE = 10 ether;
    ProgramId private constant PROGRAM = ProgramId.wrap(keccak256("program"));
    ManifestDigest private constant MANIFEST = ManifestDigest.wrap(keccak256("manifest"));
    address private constant REQUESTER = address(0xCAFE);
    address private constant PROVER = address(0xBEEF);

    RegistryDouble private _registry;
    EpochDouble private _epochs;
    DevWrappedCoin private _coin;
    Money.Deployed private _money;
    address[] private _members;

    /// @dev Three verifiers with stakes 10, 20, 30 on the core; the epoch is what the AVS says of
    /// them.
    function setUp() external {
        deployCore();
        avs = newAvs();
        registrar = newRegistrar();
        _registry = new RegistryDouble(WINDOW, MANIFEST);
        _epochs = _registry.epochTable();
        // The core's delay is 50 blocks here; a job must fit half of it.
        _epochs.setBlockSeconds(1000);
        _coin = new DevWrappedCoin();
        _money = Money.deploy(
            address(this), IProofRegistry(address(_registry)), address(avs), _coin, Money.terms()
        );
        avs.wire(address(registrar), COURT, address(_money.vault));
        for (uint256 i = 1; i <= 3; ++i) {
            address operator = address(uint160(0x100 + i));
            addVerifier(operator, i * 10 ether);
            _members.push(operator);
        }
        _epochs.snapshot(_members, avs.slashableStakes(_members, 1));
    }

    function test_Rewards_FromFeeToClaim() external {
        _settleAJob(0);
        uint256 pot = FEE * 15 / 100;
        vm.warp(block.timestamp / DAY * DAY + DAY + 1);
        uint256 paid = _money.vault.distribute(1, new uint256[](1));
        assertEq(paid, pot / 6 + pot * 2 / 6 + pot * 3 / 6, "by stake");
        assertEq(_coin.balanceOf(address(rewards)), paid, "submitted: in the coordinator");
        // The updater's root says what the third operator earned; it claims that once.
        address operator = _members[2];
        uint256 earned = pot * 3 / 6;
        submitRootFor(operator, _coin, earned);
        vm.warp(block.timestamp + 1);
        IRewardsCoordinator.RewardsMerkleClaim memory claim = claimOf(operator, _coin, earned);
        vm.prank(operator);
        rewards.processClaim(claim, operator);
        assertEq(_coin.balanceOf(operator), earned, "claimed");
        vm.prank(operator);
        _coin.withdraw(earned);
        assertEq(operator.balance, earned, "and turned into coins");
        vm.expectRevert(
            "RewardsCoordinator.processClaim: cumulativeEarnings must be gt than cumulativeClaimed"
        );
        vm.prank(operator);
        rewards.processClaim(claim, operator);
    }

    function test_Rewards_NonSignersAndTheExcludedAreInNoSubmission() external {
        _settleAJob(1);
        _epochs.exclude(1, 4);
        vm.warp(block.timestamp / DAY * DAY + DAY + 1);
        uint256[] memory masks = new uint256[](1);
        masks[0] = 1;
        assertEq(_money.vault.distribute(1, masks), FEE * 15 / 100, "all to the one that is left");
    }

    /// @dev The core takes an interval only once it is over, and only for so long.
    function test_Rewards_TheCoreTakesTheFirstAndTheLastPossibleMoment() external {
        _settleAJob(0);
        uint256 over = block.timestamp / DAY * DAY + DAY;
        vm.warp(over);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.IntervalNotOver.selector, uint64(1), over));
        _money.vault.distribute(1, new uint256[](1));
        uint256 state = vm.snapshotState();
        vm.warp(over + 1);
        _money.vault.distribute(1, new uint256[](1));
        vm.revertToState(state);
        vm.warp(over - DAY + 84 * DAY);
        _money.vault.distribute(1, new uint256[](1));
        vm.revertToState(state);
        vm.warp(over - DAY + 84 * DAY + 1);
        _money.vault.distribute(1, new uint256[](1));
        vm.revertToState(state);
        vm.warp(over + 1000 days);
        _money.vault.distribute(1, new uint256[](1));
    }

    function _settleAJob(uint256 nonSigners) private {
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        JobId job = _money.tasks.createJob{value: FEE}(
            ITaskManager.JobRequest({
                nonce: 1,
                programId: PROGRAM,
                inputDigest: keccak256("input"),
                claim: keccak256("claim"),
                mode: 1,
                deadline: uint64(block.timestamp + 3600),
                inputBytes: 1000,
                maxSegments: 1,
                maxProofBytes: 1000,
                stream: 0,
                sequence: 0
            })
        );
        ITaskManager.Settlement memory s;
        (s.statementAttempt, s.manifest) = (1, MANIFEST);
        s.records = new SegmentRecord[](1);
        (s.records[0].prover, s.records[0].workUnits, s.records[0].count) = (PROVER, 1, 1);
        StatementDigest statement = Digests.statementDigest(
            Statement(
                job, 1, PROGRAM, MANIFEST, keccak256("claim"), 1, Digests.segmentLeaf(s.records[0])
            )
        );
        s.leaf.root = BatchRoot.wrap(Digests.batchLeaf(statement, 1));
        s.leaf.count = 1;
        _registry.attest(s.leaf.root, 1, nonSigners);
        vm.warp(block.timestamp + WINDOW);
        _money.tasks.settle(job, s);
    }
}
