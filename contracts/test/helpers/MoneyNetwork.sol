// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bonds} from "../../src/Bonds.sol";
import {FeeVault} from "../../src/FeeVault.sol";
import {ProofRegistry} from "../../src/ProofRegistry.sol";
import {RaceRounds} from "../../src/RaceRounds.sol";
import {DevWrappedCoin} from "../../src/dev/DevWrappedCoin.sol";
import {IProofRegistry} from "../../src/interfaces/IProofRegistry.sol";
import {ITaskManager} from "../../src/interfaces/ITaskManager.sol";
import {JobId, StatementDigest} from "../../src/types/Ids.sol";
import {BatchLeaf, Job, SegmentRecord} from "../../src/types/Protocol.sol";
import {Money} from "./Money.sol";
import {AvsDouble, EpochDouble, RegistryDouble} from "./MoneyDoubles.sol";
import {Network} from "./Network.sol";

/// @title Money with doubles around it: what is attested, staked and rewarded is what the test says
/// @dev Provers have real wallets, because a lock needs their signature.
abstract contract MoneyNetwork is Network {
    address internal constant REQUESTER = address(0xCAFE);
    uint256 internal constant FEE = 1 ether;

    RegistryDouble internal ledger;
    EpochDouble internal epochDouble;
    AvsDouble internal avs;
    DevWrappedCoin internal coin;
    FeeVault internal vault;
    Bonds internal bonds;
    RaceRounds internal races;

    function deployMoney(Money.Terms memory t) internal {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        ledger = new RegistryDouble(CHALLENGE, MANIFEST);
        epochDouble = ledger.epochTable();
        avs = new AvsDouble();
        coin = new DevWrappedCoin();
        registry = ProofRegistry(address(ledger));
        Money.Deployed memory d =
            Money.deploy(address(this), IProofRegistry(address(ledger)), address(avs), coin, t);
        (vault, bonds, races, tasks) = (d.vault, d.bonds, d.races, d.tasks);
        races.setProverBound(PROGRAM, true);
    }

    // Epochs: four members with stakes 3, 3, 2, 1

    function newEpoch() internal returns (uint64) {
        address[] memory members = new address[](4);
        uint128[] memory stakes = new uint128[](4);
        for (uint256 i = 0; i < 4; ++i) {
            members[i] = operatorAt(i);
        }
        (stakes[0], stakes[1], stakes[2], stakes[3]) = (3 ether, 3 ether, 2 ether, 1 ether);
        epochDouble.snapshot(members, stakes);
        return epochDouble.currentEpoch();
    }

    // Provers

    function proverKey(uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("prover", index)));
    }

    function proverAt(uint256 index) internal pure returns (address) {
        return vm.addr(proverKey(index));
    }

    function depositBond(address prover_, uint256 amount) internal {
        vm.deal(address(this), address(this).balance + amount);
        bonds.deposit{value: amount}(prover_);
    }

    // Assigned work

    /// @dev All that the id of a job made by `jobRequest` says.
    function jobOf(address requester, ITaskManager.JobRequest memory r, uint256 fee)
        internal
        view
        returns (Job memory job)
    {
        (job,) = tasks.describe(requester, r, fee);
    }

    function signAcceptance(
        uint256 key,
        JobId jobId,
        bytes32 task,
        bytes32 inputDigest,
        uint64 deadline,
        uint256 amount
    ) internal view returns (bytes memory) {
        return signWith(key, bonds.acceptanceDigest(jobId, task, inputDigest, deadline, amount));
    }

    function signWith(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // Statements

    /// @dev One record per prover, in order; each one unit of work.
    function recordsBy(address[] memory provers)
        internal
        pure
        returns (SegmentRecord[] memory list)
    {
        uint64[] memory work = new uint64[](provers.length);
        for (uint256 i = 0; i < work.length; ++i) {
            work[i] = 1;
        }
        list = records(work);
        for (uint256 i = 0; i < work.length; ++i) {
            list[i].prover = provers[i];
        }
    }

    function settlementBy(JobId jobId, address prover_)
        internal
        view
        returns (ITaskManager.Settlement memory s, StatementDigest statement)
    {
        address[] memory provers = new address[](1);
        provers[0] = prover_;
        return settlement(jobId, recordsBy(provers));
    }

    function certifyAs(StatementDigest statement, uint8 verdict, uint256 nonSigners)
        internal
        returns (BatchLeaf memory leaf)
    {
        leaf = soleLeaf(statement, verdict);
        ledger.attest(leaf.root, epochDouble.currentEpoch(), nonSigners);
    }

    /// @dev Everything that the vault owes to these accounts, jobs and pots aside.
    function creditOf(address account) internal view returns (uint256) {
        return vault.credits(account);
    }
}
