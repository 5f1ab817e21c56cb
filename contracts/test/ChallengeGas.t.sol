// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {StatementDigest} from "../src/types/Ids.sol";
import {GameOnCore} from "./eigenlayer/GameOnCore.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";

/// @title What a challenge costs from commitment to slash, as whole transactions, without the core
/// @dev Isolation makes each call a transaction of its own. The judge uses up what a Groth16
/// verification does and is shown an envelope as long as one; the core's slash is a few thousand gas
/// here and about 260 000 in the real core.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract ChallengeGasTest is GameNetwork {
    uint256 private constant JUDGE_GAS = 230_000;
    uint256 private constant ENVELOPE_BYTES = 1000;
    uint256 private constant ATTESTATION_GAS_MAX = 605_000;
    uint256 private constant VOTE_GAS_MAX = 730_000;
    uint256 private constant FURTHER_GAS_MAX = 295_000;

    uint64 private _epoch;

    function setUp() external {
        deployGame();
        addFour();
        _epoch = snapshot();
        judge.setWork(JUDGE_GAS);
    }

    function test_ByCertificate() external {
        IChallengeGame.Refutation memory r = _refutation();
        StatementDigest digest = digestOf(r);
        IChallengeGame.Attested memory a = attestedBy(3, digest, VALID, 0);
        uint256 first = _measure("certificate", digest, 3, attestedCall(r, a), true);
        assertTrue(first <= ATTESTATION_GAS_MAX, "by certificate");
        // The same statement, another signer of the same certificate: nothing is judged again.
        IChallengeGame.Refutation memory bare;
        bare.statement = r.statement;
        a.member = 2;
        uint256 further = _measure("a further signer", digest, 2, attestedCall(bare, a), true);
        assertTrue(further <= FURTHER_GAS_MAX, "a further signer");
    }

    function test_ByVote() external {
        IChallengeGame.Refutation memory r = _refutation();
        StatementDigest digest = digestOf(r);
        bytes memory call = voteCall(r, voteOf(_epoch, 3, digest, VALID));
        uint256 gasUsed = _measure("vote", digest, 3, call, false);
        assertTrue(gasUsed <= VOTE_GAS_MAX, "by vote");
    }

    function _measure(
        string memory what,
        StatementDigest digest,
        uint256 member,
        bytes memory call,
        bool isLong
    ) private returns (uint256) {
        commitTo(CHALLENGER, call);
        uint256 commitGas = vm.lastCallGas().gasTotalUsed;
        vm.roll(block.number + 1);
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "reveal");
        uint256 revealGas = vm.lastCallGas().gasTotalUsed;
        vm.warp(block.timestamp + (isLong ? LONG_VETO : VETO));
        court.execute(court.caseIdOf(operatorAt(member), digest));
        uint256 executeGas = vm.lastCallGas().gasTotalUsed;
        log(string.concat(what, ": commit, reveal"), commitGas, revealGas);
        uint256 sum = commitGas + revealGas + executeGas;
        log(string.concat(what, ": execute, sum"), executeGas, sum);
        return sum;
    }

    function _refutation() private pure returns (IChallengeGame.Refutation memory) {
        bytes memory shown = new bytes(ENVELOPE_BYTES);
        for (uint256 i = 0; i < ENVELOPE_BYTES; ++i) {
            shown[i] = bytes1(uint8(1 + i % 255));
        }
        return refutationOf(1, shown);
    }
}

/// @title What a challenge of a Groth16 statement costs, as whole transactions, on the real core
/// @dev "First": nobody was slashed and this challenger won nothing before. "Later": the epoch before
/// saw a slash, whose shares the core has not burned yet, and this challenger won it.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract ChallengeOnCoreGasTest is GameOnCore {
    uint256 private constant CERTIFICATE_FIRST_GAS_MAX = 790_000;
    uint256 private constant CERTIFICATE_GAS_MAX = 700_000;
    uint256 private constant VOTE_FIRST_GAS_MAX = 920_000;
    uint256 private constant VOTE_GAS_MAX = 820_000;
    uint256 private constant SECOND_TABLE_GAS_MAX = 945_000;
    bytes32 private constant SALT = keccak256("salt");

    StatementDigest private _digest;

    function setUp() external {
        deployGame();
        addFour();
        epochs.snapshot();
    }

    function test_ByCertificate_First() external {
        _measure("certificate, first", 3, _attestedCall(3, 1), LONG_VETO, CERTIFICATE_FIRST_GAS_MAX);
    }

    function test_ByCertificate_Later() external {
        _slashInTheEpochBefore();
        _measure("certificate, later", 3, _attestedCall(3, 1), LONG_VETO, CERTIFICATE_GAS_MAX);
    }

    function test_ByVote_First() external {
        _measure("vote, first", 3, _voteCall(3, 1), VETO, VOTE_FIRST_GAS_MAX);
    }

    function test_ByVote_Later() external {
        _slashInTheEpochBefore();
        _measure("vote, later", 3, _voteCall(3, 1), VETO, VOTE_GAS_MAX);
    }

    /// @dev The operator has to be found in a second table.
    function test_ByVote_TwoEpochsAreLive() external {
        bytes memory call = _voteCall(3, 1);
        uint256 sum = _commit(call);
        sum += _reveal(call);
        vm.warp(block.timestamp + VETO);
        epochs.snapshot();
        sum += _execute(3);
        log("vote, first, two live epochs: sum, mark", sum, SECOND_TABLE_GAS_MAX);
        assertTrue(sum <= SECOND_TABLE_GAS_MAX, "two live epochs");
    }

    function _slashInTheEpochBefore() private {
        bytes memory call = _attestedCall(2, 2);
        _commit(call);
        _reveal(call);
        vm.warp(block.timestamp + LONG_VETO);
        _execute(2);
        epochs.snapshot();
        vm.warp(block.timestamp + GRACE + 1);
    }

    function _attestedCall(uint256 member, uint256 job) private returns (bytes memory) {
        IChallengeGame.Refutation memory r = falseStatement(job);
        _digest = Digests.statementDigest(r.statement);
        return
            abi.encodeCall(IChallengeGame.revealAttestation, (r, attestedBy(member, _digest), SALT));
    }

    function _voteCall(uint256 member, uint256 job) private returns (bytes memory) {
        IChallengeGame.Refutation memory r = falseStatement(job);
        _digest = Digests.statementDigest(r.statement);
        return abi.encodeCall(IChallengeGame.revealVote, (r, voteOf(member, _digest), SALT));
    }

    function _measure(
        string memory what,
        uint256 member,
        bytes memory call,
        uint64 veto,
        uint256 mark
    ) private {
        uint256 committed = _commit(call);
        uint256 revealed = _reveal(call);
        vm.warp(block.timestamp + veto);
        uint256 executed = _execute(member);
        uint256 sum = committed + revealed + executed;
        log(string.concat(what, ": commit, reveal"), committed, revealed);
        log(string.concat(what, ": execute, sum"), executed, sum);
        assertTrue(sum <= mark, what);
    }

    function _commit(bytes memory call) private returns (uint256) {
        bytes32 commitment = game.commitmentOf(CHALLENGER, call);
        vm.deal(CHALLENGER, BOND);
        vm.prank(CHALLENGER);
        game.commit{value: BOND}(commitment);
        return vm.lastCallGas().gasTotalUsed;
    }

    function _reveal(bytes memory call) private returns (uint256) {
        vm.roll(block.number + 1);
        vm.prank(CHALLENGER);
        (bool ok,) = address(game).call(call);
        assertTrue(ok, "reveal");
        return vm.lastCallGas().gasTotalUsed;
    }

    function _execute(uint256 member) private returns (uint256) {
        court.execute(court.caseIdOf(operatorAt(member), _digest));
        return vm.lastCallGas().gasTotalUsed;
    }
}
