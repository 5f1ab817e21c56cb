// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IChallengeGame} from "../src/interfaces/IChallengeGame.sol";
import {Digests} from "../src/libraries/Digests.sol";
import {JobId, ProgramId, StatementDigest} from "../src/types/Ids.sol";
import {SegmentRecord, Statement} from "../src/types/Protocol.sol";
import {Groth16Verifier} from "../src/verifiers/Groth16Verifier.sol";
import {GameNetwork} from "./helpers/GameNetwork.sol";
import {VectorFile} from "./helpers/VectorFile.sol";

/// @title What the chain's own judgement of a Groth16 proof costs, as a whole transaction
/// @dev A real proof and the real judge. The figures are the defaults of the oracle's choice between
/// ways of publishing (oracle/src/publishing.rs).
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "osaka"
contract DirectGasTest is GameNetwork, VectorFile {
    uint256 private constant DIRECT_GAS_MAX = 335_000;

    function test_OneInput() external {
        deployGame();
        addFour();
        open("groth16-mutations.json");
        ProgramId program = ProgramId.wrap(wordAt(".bases[0].program"));
        Groth16Verifier verifier = new Groth16Verifier(program);
        vm.prank(OWNER);
        registry.registerProgram(program, MANIFEST);
        vm.prank(OWNER);
        game.registerJudge(program, IChallengeGame.JudgeKind.Proof, address(verifier));
        snapshot();
        bytes memory envelope = bytesAt(".bases[0].envelope");
        SegmentRecord memory record = SegmentRecord({
            index: 0,
            first: 0,
            count: 1,
            vkDigest: wordAt(".bases[0].vkDigest"),
            publicValuesDigest: wordAt(".bases[0].publicValuesDigest"),
            proofDigest: keccak256(envelope),
            prover: prover(0),
            workUnits: 1
        });
        Statement memory statement = Statement({
            job: JobId.wrap(keccak256("job")),
            statementAttempt: 1,
            programId: program,
            manifest: MANIFEST,
            claim: wordAt(".bases[0].claim"),
            numSegments: 1,
            segmentsRoot: Digests.segmentLeaf(record)
        });
        StatementDigest digest = registry.verifyDirect(statement, record, envelope);
        uint256 used = vm.lastCallGas().gasTotalUsed;
        log("verifyDirect, groth16 of 1 input; mark", used, DIRECT_GAS_MAX);
        assertTrue(registry.isVerified(digest, soleLeaf(digest, VALID), true), "hard");
        assertTrue(used <= DIRECT_GAS_MAX, "gas of a direct verification");
    }
}
