// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bonds} from "../src/Bonds.sol";
import {IBonds} from "../src/interfaces/IBonds.sol";
import {IFeeVault} from "../src/interfaces/IFeeVault.sol";
import {IProofRegistry} from "../src/interfaces/IProofRegistry.sol";
import {IRaceRounds} from "../src/interfaces/IRaceRounds.sol";
import {ITaskManager} from "../src/interfaces/ITaskManager.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, StatementDigest} from "../src/types/Ids.sol";
import {Job} from "../src/types/Protocol.sol";
import {Money} from "./helpers/Money.sol";
import {MoneyNetwork} from "./helpers/MoneyNetwork.sol";

/// @title Takes its bond out twice, if it can
contract ReentrantProver {
    Bonds private immutable _bonds;

    constructor(Bonds bonds) {
        _bonds = bonds;
    }

    receive() external payable {
        _bonds.withdraw(uint128(msg.value), payable(address(this)));
    }

    function withdraw(uint128 amount) external {
        _bonds.withdraw(amount, payable(address(this)));
    }
}

/// @title deposit, withdraw, accept, revoke, deliver, penalise, resolve (test/tree/Bonds.tree)
contract BondsTest is MoneyNetwork {
    uint128 private constant LOCK = 0.4 ether;
    uint128 private constant BOND = 2 ether;

    uint64 private _leaseEnds;
    JobId private _job;
    bytes32 private _task;

    function setUp() external {
        deployMoney(Money.terms());
        newEpoch();
        depositBond(proverAt(0), BOND);
        depositBond(proverAt(1), BOND);
        _job = createJob(REQUESTER, 1, FEE);
        _task = Digests.taskId(_job, 1, 0);
        _leaseEnds = uint64(block.timestamp) + 600;
    }

    // deposit and withdraw

    function test_Deposit_IsFreeAndInTheVault() external view {
        assertEq(bonds.accounts(proverAt(0)).free, BOND, "free");
        assertEq(bonds.accounts(proverAt(0)).locked, 0, "not locked");
        assertEq(vault.bonded(), 2 * BOND, "bonded");
        assertEq(address(vault).balance, 2 * BOND + FEE, "held");
        assertEq(address(bonds).balance, 0, "nothing here");
    }

    function test_Deposit_RefusesNothingAndNobody() external {
        vm.expectRevert(abi.encodeWithSelector(IBonds.AmountInvalid.selector, 0));
        bonds.deposit(proverAt(0));
        vm.deal(address(this), 1);
        vm.expectRevert(IBonds.AddressZero.selector);
        bonds.deposit{value: 1}(address(0));
    }

    function test_Withdraw_OnlyTheFreePart() external {
        _accept(0, _leaseEnds, LOCK);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBonds.BondTooSmall.selector, proverAt(0), BOND - LOCK, BOND - LOCK + 1
            )
        );
        vm.prank(proverAt(0));
        bonds.withdraw(BOND - LOCK + 1, payable(address(0xF00)));
        vm.prank(proverAt(0));
        bonds.withdraw(BOND - LOCK, payable(address(0xF00)));
        assertEq(address(0xF00).balance, BOND - LOCK, "sent");
        assertEq(bonds.accounts(proverAt(0)).locked, LOCK, "still locked");
        assertEq(vault.bonded(), BOND + LOCK, "still held");
    }

    function test_Withdraw_RefusesNothingNobodyAndThoseWhoRefuse() external {
        vm.expectRevert(abi.encodeWithSelector(IBonds.AmountInvalid.selector, 0));
        bonds.withdraw(0, payable(address(this)));
        vm.expectRevert(ITaskManager.RecipientZero.selector);
        vm.prank(proverAt(0));
        bonds.withdraw(1, payable(address(0)));
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.PaymentFailed.selector, address(ledger), 1)
        );
        vm.prank(proverAt(0));
        bonds.withdraw(1, payable(address(ledger)));
        assertEq(bonds.accounts(proverAt(0)).free, BOND, "kept");
    }

    function test_Withdraw_CannotBeReentered() external {
        ReentrantProver thief = new ReentrantProver(bonds);
        depositBond(address(thief), 2 ether);
        vm.expectRevert(
            abi.encodeWithSelector(ITaskManager.PaymentFailed.selector, address(thief), 1 ether)
        );
        thief.withdraw(1 ether);
        assertEq(bonds.accounts(address(thief)).free, 2 ether, "all there");
    }

    // accept

    function test_Accept_LocksWhatTheSignatureSays() external {
        vm.expectEmit(address(bonds));
        emit IBonds.LeaseAccepted(_job, _task, proverAt(0), _leaseEnds, LOCK);
        _accept(0, _leaseEnds, LOCK);
        IBonds.Lock memory lock = bonds.lockOf(_job, _task, proverAt(0));
        assertTrue(lock.state == IBonds.LockState.Locked, "locked");
        assertEq(lock.amount, LOCK, "amount");
        assertEq(lock.deadline, _leaseEnds, "deadline");
        assertEq(bonds.accounts(proverAt(0)).free, BOND - LOCK, "less free");
        assertEq(bonds.accounts(proverAt(0)).locked, LOCK, "locked");
        assertEq(bonds.numLocks(_job), 1, "counted");
    }

    function test_Accept_IsForAnyoneToPostButBindsNobodyElse() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(1), signature);
        vm.prank(address(0xABCD));
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
    }

    /// @dev Each word of an acceptance is bound; so are chain and contract.
    function test_Accept_RefusesAReplayedAcceptance() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        address who = proverAt(0);
        createJob(REQUESTER, 2, FEE);
        Job memory other = _jobWords(2);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(other, 0, _leaseEnds, LOCK, who, signature);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 1, _leaseEnds, LOCK, who, signature);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds + 1, LOCK, who, signature);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK + 1, who, signature);
        bonds.accept(job, 0, _leaseEnds, LOCK, who, signature);
        vm.expectPartialRevert(IBonds.AcceptanceUsed.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, who, signature);
    }

    function test_Accept_RefusesAnAcceptanceForAnotherChain() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        vm.chainId(block.chainid + 1);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
    }

    function test_Accept_RefusesAnAcceptanceForAnotherContract() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        // The same job under the same registry, but another task manager.
        Money.Deployed memory d = Money.deploy(
            address(this), IProofRegistry(address(ledger)), address(avs), coin, Money.terms()
        );
        vm.deal(address(this), FEE + BOND);
        d.bonds.deposit{value: BOND}(proverAt(0));
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        JobId same = d.tasks.createJob{value: FEE}(jobRequest(1));
        assertTrue(same == _job, "one id");
        Job memory job = _jobWords(1);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        d.bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
    }

    function test_Accept_RefusesMalformedSignatures() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        address who = proverAt(0);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, who, abi.encodePacked(signature, uint8(0)));
        signature[64] = bytes1(uint8(signature[64]) - 27);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, who, signature);
        vm.expectPartialRevert(IBonds.SignatureInvalid.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, address(0), signature);
    }

    function test_Accept_RefusesDeadlinesThatArePastOrBeyondTheJob() external {
        uint64 jobEnds = tasks.jobs(_job).deadline;
        _refuseAccept(
            jobEnds + 1,
            abi.encodeWithSelector(
                IBonds.LeaseDeadlineInvalid.selector, jobEnds + 1, block.timestamp, jobEnds
            )
        );
        vm.warp(_leaseEnds + 1);
        _refuseAccept(
            _leaseEnds,
            abi.encodeWithSelector(
                IBonds.LeaseDeadlineInvalid.selector, _leaseEnds, block.timestamp, jobEnds
            )
        );
        vm.warp(_leaseEnds);
        _accept(0, _leaseEnds, LOCK);
    }

    function test_Accept_RefusesUnknownEndedAndRacedJobs() external {
        Job memory job = _jobWords(3);
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        vm.expectPartialRevert(IBonds.JobNotAssignable.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
        ITaskManager.JobRequest memory r = jobRequest(4);
        r.mode = 2;
        vm.deal(REQUESTER, FEE);
        vm.prank(REQUESTER);
        tasks.createJob{value: FEE}(r);
        job = jobOf(REQUESTER, r, FEE);
        vm.expectPartialRevert(IBonds.JobNotAssignable.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
        job = _jobWords(1);
        vm.warp(tasks.refundableAt(_job));
        tasks.refund(_job);
        vm.expectPartialRevert(IBonds.JobNotAssignable.selector);
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
    }

    function test_Accept_RefusesSegmentsThatTheJobDoesNotHave() external {
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        vm.expectRevert(abi.encodeWithSelector(IBonds.SegmentUnknown.selector, 8, 8));
        bonds.accept(job, 8, _leaseEnds, LOCK, proverAt(0), signature);
    }

    function test_Accept_NeedsAFreeBondAndAnAmount() external {
        Job memory job = _jobWords(1);
        bytes memory signature = _signed(0, _leaseEnds, BOND + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.BondTooSmall.selector, proverAt(0), BOND, BOND + 1)
        );
        bonds.accept(job, 0, _leaseEnds, BOND + 1, proverAt(0), signature);
        signature = _signed(0, _leaseEnds, 0);
        vm.expectRevert(abi.encodeWithSelector(IBonds.AmountInvalid.selector, 0));
        bonds.accept(job, 0, _leaseEnds, 0, proverAt(0), signature);
    }

    function test_Accept_OneLockPerTaskAndProverNoBlockingOfOthers() external {
        _accept(0, _leaseEnds, LOCK);
        Job memory job = _jobWords(1);
        bytes memory signature = _signed(0, _leaseEnds + 1, LOCK);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBonds.LockNotFree.selector, _job, _task, proverAt(0), IBonds.LockState.Locked
            )
        );
        bonds.accept(job, 0, _leaseEnds + 1, LOCK, proverAt(0), signature);
        _accept(1, _leaseEnds, LOCK);
        assertEq(bonds.numLocks(_job), 2, "both");
    }

    function test_Revoke_TakesAnUnpostedAcceptanceBack() external {
        bytes32 digest = bonds.acceptanceDigest(_job, _task, keccak256("input"), _leaseEnds, LOCK);
        vm.expectEmit(address(bonds));
        emit IBonds.AcceptanceRevoked(proverAt(0), digest);
        vm.prank(proverAt(0));
        bonds.revoke(digest);
        Job memory job = _jobWords(1);
        bytes memory signature = _signed(0, _leaseEnds, LOCK);
        vm.expectRevert(abi.encodeWithSelector(IBonds.AcceptanceUsed.selector, proverAt(0), digest));
        bonds.accept(job, 0, _leaseEnds, LOCK, proverAt(0), signature);
        // The same words of another prover are another acceptance.
        _accept(1, _leaseEnds, LOCK);
        vm.expectRevert(abi.encodeWithSelector(IBonds.AcceptanceUsed.selector, proverAt(1), digest));
        vm.prank(proverAt(1));
        bonds.revoke(digest);
    }

    // deliver

    function test_Deliver_StopsTheClockOnce() external {
        _accept(0, _leaseEnds, LOCK);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        vm.warp(_leaseEnds);
        vm.expectEmit(address(bonds));
        emit IBonds.Delivered(_job, _task, proverAt(0), statement);
        vm.prank(proverAt(0));
        bonds.deliver(_job, _task, statement);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBonds.LockNotPending.selector, _job, _task, proverAt(0), IBonds.LockState.Delivered
            )
        );
        vm.prank(proverAt(0));
        bonds.deliver(_job, _task, StatementDigest.wrap(keccak256("another")));
    }

    function test_Deliver_RefusesStrangersNothingAndTheLate() external {
        _accept(0, _leaseEnds, LOCK);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBonds.LockNotPending.selector, _job, _task, proverAt(1), IBonds.LockState.None
            )
        );
        vm.prank(proverAt(1));
        bonds.deliver(_job, _task, statement);
        vm.expectRevert(IBonds.DigestZero.selector);
        vm.prank(proverAt(0));
        bonds.deliver(_job, _task, StatementDigest.wrap(0));
        vm.warp(_leaseEnds + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.DeliveryLate.selector, _job, _task, _leaseEnds)
        );
        vm.prank(proverAt(0));
        bonds.deliver(_job, _task, statement);
    }

    // certified

    function test_Certify_FreesWhoDeliveredInTime() external {
        _accept(0, _leaseEnds, LOCK);
        StatementDigest statement = _deliver(0);
        vm.warp(_leaseEnds + 100);
        _settleBy(0, statement);
        _checkReleased(0, 0);
        assertEq(bonds.accounts(proverAt(0)).free, BOND, "all free");
        assertEq(creditOf(proverAt(0)), FEE * 8000 / 10_000, "paid");
    }

    function test_Certify_FreesWhoWasAttestedInTimeWithoutAWord() external {
        _accept(0, _leaseEnds, LOCK);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        vm.warp(_leaseEnds);
        _settleBy(0, statement);
        _checkReleased(0, 0);
    }

    function test_Certify_OnlyTheTaskManager() external {
        ITaskManager.Settlement memory s;
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotAllowed.selector, address(this)));
        bonds.certify(_job, s.records, 0);
    }

    function test_LateWinner_PaysAndCompensatesTheDisplacedUpToTheCap() external {
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        _accept(1, _leaseEnds + 500, LOCK);
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlementBy(_job, proverAt(0));
        uint256 penalty = LOCK / 2;
        certifyAs(statement, 1, 0);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectEmit(address(bonds));
        emit IBonds.LockPenalised(_job, _task, proverAt(0), penalty, proverAt(1), penalty / 2);
        tasks.settle(_job, s);
        assertEq(bonds.accounts(proverAt(0)).free, BOND - penalty, "paid its penalty");
        assertEq(creditOf(proverAt(0)), FEE * 8000 / 10_000, "and is paid for the proof");
        assertEq(creditOf(proverAt(1)), penalty / 2, "compensated");
        assertEq(creditOf(REQUESTER), penalty - penalty / 2, "the rest");
        bonds.resolve(_job, _task, proverAt(1));
        _checkReleased(1, 0);
        assertEq(bonds.accounts(proverAt(1)).free, BOND, "without blame");
    }

    function test_LateWinner_CompensatesNoMoreThanTheDisplacedHadAtStake() external {
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        _accept(1, _leaseEnds + 500, 3);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        _settleBy(0, statement);
        assertEq(creditOf(proverAt(1)), 3, "its own stake is the cap");
        assertEq(creditOf(REQUESTER), LOCK / 2 - 3, "the rest");
    }

    function test_LateWinner_CompensatesWhoDeliveredInTimeAndWasOvertaken() external {
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        _accept(1, _leaseEnds + 1, LOCK);
        _deliver(1);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        vm.warp(_leaseEnds + 100);
        _settleBy(0, statement);
        assertEq(creditOf(proverAt(1)), LOCK / 4, "compensated");
        bonds.resolve(_job, _task, proverAt(1));
        _checkReleased(1, 0);
    }

    function test_LateWinner_CompensatesNobodyWhoWasThereBefore() external {
        _accept(1, _leaseEnds + 500, LOCK);
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        (, StatementDigest statement) = settlementBy(_job, proverAt(0));
        _settleBy(0, statement);
        assertEq(creditOf(proverAt(1)), 0, "nobody displaced");
        assertEq(creditOf(REQUESTER), LOCK / 2, "all to the requester");
    }

    // resolve

    function test_Resolve_NoDeliveryCostsThePenalty() external {
        _accept(0, _leaseEnds, LOCK);
        _refund();
        vm.expectEmit(address(bonds));
        emit IBonds.LockPenalised(_job, _task, proverAt(0), LOCK / 2, address(0), 0);
        bonds.resolve(_job, _task, proverAt(0));
        assertEq(bonds.accounts(proverAt(0)).free, BOND - LOCK / 2, "free");
        assertEq(bonds.accounts(proverAt(0)).locked, 0, "nothing locked");
        assertEq(creditOf(REQUESTER), FEE + LOCK / 2, "fee back and compensated");
        vm.expectPartialRevert(IBonds.LockNotPending.selector);
        bonds.resolve(_job, _task, proverAt(0));
    }

    function test_Resolve_DeliveredButNeverCertifiedCostsTheFlatFee() external {
        _accept(0, _leaseEnds, LOCK);
        _deliver(0);
        _refund();
        bonds.resolve(_job, _task, proverAt(0));
        _checkReleased(0, 0.01 ether);
        assertEq(creditOf(REQUESTER), FEE + 0.01 ether, "to the requester");
    }

    function test_Resolve_TheFlatFeeIsAtMostTheLock() external {
        _accept(0, _leaseEnds, 5);
        _deliver(0);
        _refund();
        bonds.resolve(_job, _task, proverAt(0));
        _checkReleased(0, 5);
    }

    function test_Resolve_ADeliveryThatAnotherOvertookCostsNothing() external {
        _accept(0, _leaseEnds, LOCK);
        _deliver(0);
        (, StatementDigest statement) = settlementBy(_job, proverAt(1));
        _settleBy(1, statement);
        bonds.resolve(_job, _task, proverAt(0));
        _checkReleased(0, 0);
    }

    function test_Resolve_WhoMissedItBeforeAnotherWonPays() external {
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        (, StatementDigest statement) = settlementBy(_job, proverAt(1));
        _settleBy(1, statement);
        bonds.resolve(_job, _task, proverAt(0));
        assertTrue(_state(0) == IBonds.LockState.Penalised, "penalised");
    }

    function test_Resolve_WaitsForTheJob() external {
        _accept(0, _leaseEnds, LOCK);
        vm.warp(_leaseEnds + 1);
        vm.expectRevert(abi.encodeWithSelector(IBonds.JobStillOpen.selector, _job));
        bonds.resolve(_job, _task, proverAt(0));
    }

    // penalise

    function test_Penalise_AnInvalidCertificateOnTheDeliveredStatement() external {
        _accept(0, _leaseEnds, LOCK);
        StatementDigest statement = _deliver(0);
        ITaskManager.Settlement memory s = _refused(0, statement);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBonds.StatementNotRefused.selector, statement, IProofRegistry.Finality.Soft
            )
        );
        bonds.penalise(_job, _task, proverAt(0), s);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectEmit(address(bonds));
        emit IBonds.LockPenalised(_job, _task, proverAt(0), LOCK, address(0), 0);
        bonds.penalise(_job, _task, proverAt(0), s);
        assertEq(creditOf(REQUESTER), LOCK, "the whole lock at most");
        assertEq(bonds.accounts(proverAt(0)).free, BOND - LOCK, "and no more");
        vm.expectPartialRevert(IBonds.LockNotPending.selector);
        bonds.penalise(_job, _task, proverAt(0), s);
        // It ended one attempt, not the job: the same prover may accept again.
        assertTrue(tasks.jobs(_job).state == ITaskManager.JobState.Open, "open");
        _accept(0, _leaseEnds + 1, LOCK);
    }

    function test_Penalise_RefusesAnotherStatementAndADisputedOne() external {
        _accept(0, _leaseEnds, LOCK);
        StatementDigest delivered = _deliver(0);
        (ITaskManager.Settlement memory s, StatementDigest other) = settlementBy(_job, proverAt(1));
        s.leaf = certifyAs(other, 2, 0);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.StatementNotDelivered.selector, delivered, other)
        );
        bonds.penalise(_job, _task, proverAt(0), s);
        s = _refused(0, delivered);
        vm.warp(block.timestamp + CHALLENGE);
        ledger.dispute(delivered);
        vm.expectPartialRevert(IBonds.StatementNotRefused.selector);
        bonds.penalise(_job, _task, proverAt(0), s);
    }

    /// @dev Which of several provers' segments was bad is not known on-chain.
    function test_Penalise_NeverForAStatementOfSeveralProvers() external {
        address[] memory both = new address[](2);
        (both[0], both[1]) = (proverAt(0), proverAt(1));
        (ITaskManager.Settlement memory s, StatementDigest statement) =
            settlement(_job, recordsBy(both));
        _accept(0, _leaseEnds, LOCK);
        vm.prank(proverAt(0));
        bonds.deliver(_job, _task, statement);
        s.leaf = certifyAs(statement, 2, 0);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectPartialRevert(IBonds.StatementNotDelivered.selector);
        bonds.penalise(_job, _task, proverAt(0), s);
    }

    // rights

    function test_Wire_OnceByTheOwner() external {
        vm.expectRevert(IBonds.AlreadySet.selector);
        bonds.wire(tasks, races);
        Bonds fresh = new Bonds(vault, Money.terms().bonds, OWNER);
        vm.expectPartialRevert(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        fresh.wire(tasks, races);
        vm.expectRevert(IBonds.AddressZero.selector);
        vm.prank(OWNER);
        fresh.wire(tasks, IRaceRounds(address(0)));
    }

    function test_Lock_OnlyTheRaces() external {
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotAllowed.selector, address(this)));
        bonds.lock(proverAt(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IBonds.NotAllowed.selector, address(this)));
        bonds.unlock(_job, proverAt(0), 1, 1, address(this));
    }

    function test_Constructor_RefusesTermsThatTakeMoreThanTheLock() external {
        IBonds.BondParams memory p = IBonds.BondParams(10_001, 0, 0, 0);
        vm.expectPartialRevert(IBonds.BondParamsInvalid.selector);
        new Bonds(vault, p, OWNER);
        p = IBonds.BondParams(0, 10_001, 0, 0);
        vm.expectPartialRevert(IBonds.BondParamsInvalid.selector);
        new Bonds(vault, p, OWNER);
        p = IBonds.BondParams(0, 0, 5001, 0);
        vm.expectPartialRevert(IBonds.BondParamsInvalid.selector);
        new Bonds(vault, p, OWNER);
        vm.expectRevert(IBonds.AddressZero.selector);
        new Bonds(IFeeVault(address(0)), IBonds.BondParams(0, 0, 0, 0), OWNER);
    }

    // Helpers

    function _jobWords(uint64 nonce) private view returns (Job memory) {
        ITaskManager.JobRequest memory r = jobRequest(nonce);
        r.deadline = tasks.jobs(_job).deadline;
        return jobOf(REQUESTER, r, FEE);
    }

    function _signed(uint256 who, uint64 deadline, uint128 amount)
        private
        view
        returns (bytes memory)
    {
        return signAcceptance(proverKey(who), _job, _task, keccak256("input"), deadline, amount);
    }

    function _accept(uint256 who, uint64 deadline, uint128 amount) private {
        bytes memory signature = _signed(who, deadline, amount);
        bonds.accept(_jobWords(1), 0, deadline, amount, proverAt(who), signature);
    }

    function _refuseAccept(uint64 deadline, bytes memory refusal) private {
        bytes memory signature = _signed(0, deadline, LOCK);
        Job memory job = _jobWords(1);
        vm.expectRevert(refusal);
        bonds.accept(job, 0, deadline, LOCK, proverAt(0), signature);
    }

    function _deliver(uint256 who) private returns (StatementDigest statement) {
        (, statement) = settlementBy(_job, proverAt(who));
        vm.prank(proverAt(who));
        bonds.deliver(_job, _task, statement);
    }

    function _settleBy(uint256 who, StatementDigest statement) private {
        (ITaskManager.Settlement memory s,) = settlementBy(_job, proverAt(who));
        certifyAs(statement, 1, 0);
        uint256 attestedAt = block.timestamp;
        vm.warp(attestedAt + CHALLENGE);
        tasks.settle(_job, s);
    }

    function _refused(uint256 who, StatementDigest statement)
        private
        returns (ITaskManager.Settlement memory s)
    {
        (s,) = settlementBy(_job, proverAt(who));
        s.leaf = certifyAs(statement, 2, 0);
    }

    function _refund() private {
        vm.warp(tasks.refundableAt(_job));
        tasks.refund(_job);
    }

    function _state(uint256 who) private view returns (IBonds.LockState) {
        return bonds.lockOf(_job, _task, proverAt(who)).state;
    }

    function _checkReleased(uint256 who, uint256 fee) private view {
        assertTrue(_state(who) == IBonds.LockState.Released, "released");
        assertEq(bonds.accounts(proverAt(who)).locked, 0, "nothing locked");
        assertEq(bonds.accounts(proverAt(who)).free, BOND - fee, "free again");
    }
}
