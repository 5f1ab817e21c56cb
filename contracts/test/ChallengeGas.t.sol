// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {StatementDigest} from "../src/types/Ids.sol";
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
    uint256 private constant ATTESTATION_GAS_MAX = 650_000;
    uint256 private constant VOTE_GAS_MAX = 790_000;
    uint256 private constant FURTHER_GAS_MAX = 330_000;

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
