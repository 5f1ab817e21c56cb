// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "../src/interfaces/IProofVerifier.sol";
import {Bn254} from "../src/libraries/Bn254.sol";
import {ProgramId} from "../src/types/Ids.sol";
import {Groth16Verifier} from "../src/verifiers/Groth16Verifier.sol";
import {VectorFile} from "./helpers/VectorFile.sol";

/// @title Groth16 in the EVM against Rust: the named vectors, altered envelopes, gas
contract Groth16VerifierTest is VectorFile {
    /// @dev What is asked of the contract.
    struct Question {
        bytes32 program;
        bytes32 vk;
        bytes32 values;
        bytes32 claim;
        bytes envelope;
    }

    /// @dev Gas of a proof of one input, without what any call of the same length costs.
    uint256 private constant ONE_INPUT_GAS_MAX = 200_000;
    /// @dev `gasNeeded` may be so much above what the worst envelope of that length takes, in percent.
    uint256 private constant SLACK_PERCENT = 2;
    /// @dev An envelope of no inputs, and what one more adds.
    uint256 private constant ENVELOPE_BYTES = 880;
    uint256 private constant INPUT_BYTES = 96;

    Groth16Verifier private _verifier;

    /// @dev A proof of snarkjs with two inputs.
    Question private _good;

    function setUp() external {
        open("groth16-mutations.json");
        _good = _question(item(".bases", 2, ""));
        _verifier = new Groth16Verifier(ProgramId.wrap(_good.program));
    }

    // Vectors

    function test_Verify_AcceptsWhatRustAccepts() external {
        _compare(".accepted", true);
    }

    function test_Verify_RefusesWhatRustRefuses() external {
        _compare(".refused", false);
    }

    // Gas

    function test_Verify_GasOfOneInput() external {
        open("groth16-mutations.json");
        Question memory question = _question(item(".bases", 0, ""));
        uint256 used = _gasOf(question);
        log("groth16: gas of verify, 1 input; of calldata", used, _calldataGas(question));
        assertTrue(used <= ONE_INPUT_GAS_MAX, "gas of one input");
    }

    /// @dev The worst envelope of every length is one whose last check, in the pairing precompile, fails.
    function test_GasNeeded_IsEnoughAndNotMuchMore() external {
        Question[] memory questions = _questions(".accepted");
        uint256 longest;
        for (uint256 i = 0; i < questions.length; ++i) {
            Question memory question = questions[i];
            uint256 needed = _verifier.gasNeeded(question.envelope);
            _breakB(question.envelope);
            (bool done, bool valid) = _ask(question, needed);
            assertTrue(done && !valid, "enough for the worst");
            uint256 used = _gasOf(question);
            uint256 inputs = (question.envelope.length - ENVELOPE_BYTES) / INPUT_BYTES;
            log("groth16: worst gas; needed", used, needed);
            assertTrue(needed * 100 <= used * (100 + SLACK_PERCENT), "not much more");
            if (inputs > longest) longest = inputs;
        }
        assertEq(longest, 64, "the longest is among them");
    }

    function test_GasNeeded_OfNoPossibleLength() external view {
        Question memory question = _good;
        uint256[5] memory lengths =
            [uint256(0), ENVELOPE_BYTES - 1, ENVELOPE_BYTES + 1, ENVELOPE_BYTES + 65 * 96, 100_000];
        for (uint256 i = 0; i < lengths.length; ++i) {
            question.envelope = new bytes(lengths[i]);
            (bool done, bool valid) = _ask(question, _verifier.gasNeeded(question.envelope));
            assertTrue(done && !valid, "refused with that gas");
        }
    }

    /// @dev With any less gas it answers right or reverts.
    function test_Verify_NeverAnswersFalseForLackOfGas() external view {
        Question memory question = _good;
        uint256 needed = _verifier.gasNeeded(question.envelope);
        bool answered;
        bool reverted;
        for (uint256 given = 5_000; given <= needed; given += 1_500) {
            (bool done, bool valid) = _ask(question, given);
            assertTrue(!done || valid, "false for lack of gas");
            if (done) answered = true;
            else reverted = true;
        }
        assertTrue(answered && reverted, "both happen");
    }

    /// @dev A chain whose pairing costs more than this contract gives it cannot be told from a bad proof.
    function test_Verify_RevertsWhereThePairingIsTooDear() external {
        Question memory question = _good;
        bytes memory expected =
            abi.encodeWithSelector(IProofVerifier.PrecompileNotAffordable.selector, uint256(8));
        vm.mockCallRevert(address(8), "", "");
        vm.expectRevert(expected);
        this.verify(question);
        vm.expectRevert(expected);
        new Groth16Verifier(ProgramId.wrap(question.program));
        vm.clearMockedCalls();
        assertTrue(this.verify(question), "affordable again");
    }

    // Any bytes

    function testFuzz_Verify_AnyBytesAreRefusedWithoutARevert(bytes calldata noise) external view {
        Question memory question = Question({
            program: _good.program,
            vk: keccak256(noise),
            values: keccak256(noise),
            claim: keccak256(noise),
            envelope: noise
        });
        (bool done, bool valid) = _ask(question, _verifier.gasNeeded(noise));
        assertTrue(done && !valid, "noise");
    }

    /// @dev One word of a good envelope replaced; the digests fit it again or do not.
    function testFuzz_Verify_AnAlteredWordIsRefused(uint256 place, bytes32 word, bool mend)
        external
        view
    {
        Question memory question = _good;
        bytes memory envelope = question.envelope;
        place = bound(place, 0, envelope.length - 32);
        bytes32 before = keccak256(envelope);
        _put(envelope, place, word);
        if (mend) _mend(question, 2);
        vm.assume(keccak256(envelope) != before);
        (bool done, bool valid) = _ask(question, _verifier.gasNeeded(envelope));
        assertTrue(done && !valid, "an altered word");
    }

    // Altered envelopes: what was altered and Rust's answer are in the file

    function test_Mutations_0() external {
        _replay(0);
    }

    function test_Mutations_1() external {
        _replay(1);
    }

    function test_Mutations_2() external {
        _replay(2);
    }

    function test_Mutations_3() external {
        _replay(3);
    }

    function test_Mutations_4() external {
        _replay(4);
    }

    function test_Mutations_5() external {
        _replay(5);
    }

    function test_Mutations_6() external {
        _replay(6);
    }

    function test_Mutations_7() external {
        _replay(7);
    }

    function test_Mutations_8() external {
        _replay(8);
    }

    function test_Mutations_AllListsAreReplayed() external {
        open("groth16-mutations.json");
        assertEq(lengthOf(".cases"), 9, "lists");
    }

    // Helpers

    /// @dev Only for calls that are expected to revert.
    function verify(Question memory question) external view returns (bool) {
        return _verifier.verify(
            ProgramId.wrap(question.program),
            question.vk,
            question.values,
            question.claim,
            question.envelope
        );
    }

    function _question(string memory key) private view returns (Question memory) {
        return Question({
            program: wordAt(string.concat(key, ".program")),
            vk: wordAt(string.concat(key, ".vkDigest")),
            values: wordAt(string.concat(key, ".publicValuesDigest")),
            claim: wordAt(string.concat(key, ".claim")),
            envelope: bytesAt(string.concat(key, ".envelope"))
        });
    }

    /// @dev Every case of a list, column by column: the file is large and every look copies it.
    function _questions(string memory list) private returns (Question[] memory questions) {
        open("groth16.json");
        string memory key = string.concat(list, ".");
        bytes[] memory envelopes = vm.parseJsonBytesArray(json, string.concat(key, "envelope"));
        bytes32[] memory programs = wordsAt(string.concat(key, "program"));
        bytes32[] memory vks = wordsAt(string.concat(key, "vkDigest"));
        bytes32[] memory values = wordsAt(string.concat(key, "publicValuesDigest"));
        bytes32[] memory claims = wordsAt(string.concat(key, "claim"));
        questions = new Question[](envelopes.length);
        for (uint256 i = 0; i < questions.length; ++i) {
            questions[i] = Question(programs[i], vks[i], values[i], claims[i], envelopes[i]);
        }
        assertTrue(questions.length > 0, "no vectors");
    }

    function _compare(string memory list, bool expected) private {
        Question[] memory questions = _questions(list);
        string[] memory names = vm.parseJsonStringArray(json, string.concat(list, ".name"));
        for (uint256 i = 0; i < questions.length; ++i) {
            (bool done, bool valid) = _ask(questions[i], _verifier.gasNeeded(questions[i].envelope));
            assertTrue(done, string.concat("reverted: ", names[i]));
            assertTrue(valid == expected, names[i]);
        }
    }

    /// @dev Asks with exactly so much gas.
    function _ask(Question memory question, uint256 given)
        private
        view
        returns (bool done, bool valid)
    {
        bytes memory answer;
        (done, answer) = address(_verifier).staticcall{gas: given}(_call(question));
        if (done) valid = abi.decode(answer, (bool));
    }

    function _call(Question memory question) private pure returns (bytes memory) {
        return abi.encodeCall(
            IProofVerifier.verify,
            (
                ProgramId.wrap(question.program),
                question.vk,
                question.values,
                question.claim,
                question.envelope
            )
        );
    }

    /// @dev Gas of the call itself, its address warm.
    function _gasOf(Question memory question) private view returns (uint256) {
        bytes memory data = _call(question);
        address target = address(_verifier);
        (bool done,) = target.staticcall(data);
        assertTrue(done, "it answers");
        uint256 before = gasleft();
        assembly ("memory-safe") {
            done := staticcall(gas(), target, add(data, 32), mload(data), 0, 0)
        }
        return before - gasleft();
    }

    /// @dev Price of the call's data in a transaction.
    function _calldataGas(Question memory question) private pure returns (uint256 price) {
        bytes memory data = _call(question);
        for (uint256 i = 0; i < data.length; ++i) {
            price += data[i] == 0 ? 4 : 16;
        }
    }

    /// @dev Makes B a canonical pair of numbers that is no point, which only the pairing notices.
    function _breakB(bytes memory envelope) private pure {
        uint256 offset = envelope.length - 256 + 64;
        assembly ("memory-safe") {
            mstore(add(add(envelope, 32), offset), 1)
        }
    }

    /// @dev Computes all digests of an envelope of so many inputs again.
    function _mend(Question memory question, uint256 inputs) private pure {
        bytes memory envelope = question.envelope;
        uint256 keyAt = 112 + 32 * inputs;
        question.vk = _digest(envelope, keyAt, 512 + 64 * inputs);
        _put(envelope, 36, question.vk);
        _put(envelope, 72, question.vk);
        bytes memory values = _slice(envelope, 72, 36 + 32 * inputs);
        question.values = keccak256(values);
        question.claim =
            keccak256(abi.encodePacked(keccak256("PROOFGRID_CLAIM_GROTH16_V1"), values));
    }

    function _digest(bytes memory data, uint256 offset, uint256 length)
        private
        pure
        returns (bytes32 digest)
    {
        assembly ("memory-safe") {
            digest := keccak256(add(add(data, 32), offset), length)
        }
    }

    function _put(bytes memory data, uint256 offset, bytes32 word) private pure {
        require(offset + 32 <= data.length);
        assembly ("memory-safe") {
            mstore(add(add(data, 32), offset), word)
        }
    }

    function _slice(bytes memory data, uint256 offset, uint256 length)
        private
        pure
        returns (bytes memory part)
    {
        part = new bytes(length);
        _copy(data, offset, part, 0, length);
    }

    function _copy(
        bytes memory source,
        uint256 from,
        bytes memory target,
        uint256 offset,
        uint256 length
    ) private pure {
        require(from + length <= source.length && offset + length <= target.length);
        assembly ("memory-safe") {
            mcopy(add(add(target, 32), offset), add(add(source, 32), from), length)
        }
    }

    // Replaying programs/tests/groth16/mutations.rs

    /// @dev What the cases are made of.
    struct Material {
        Question[] bases;
        uint256[] inputs;
        bytes pool;
    }

    function _replay(uint256 list) private {
        open("groth16-mutations.json");
        Material memory material;
        material.pool = bytesAt(".pool");
        uint256 count = lengthOf(".bases");
        material.bases = new Question[](count);
        material.inputs = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            material.bases[i] = _question(item(".bases", i, ""));
            material.inputs[i] = uintAt(item(".bases", i, ".inputs"));
        }
        bytes memory cases = bytesAt(item(".cases", list, ""));
        uint256 offset;
        uint256 number;
        while (offset < cases.length) {
            uint256 memoryStart = _freeMemory();
            offset = _replayOne(material, cases, offset, list * 256 + number);
            _setFreeMemory(memoryStart);
            ++number;
        }
        assertEq(number, 256, "cases of the list");
    }

    function _replayOne(
        Material memory material,
        bytes memory cases,
        uint256 offset,
        uint256 number
    ) private view returns (uint256) {
        uint256 base = uint8(cases[offset]);
        bool expected = uint8(cases[offset + 1]) == 1;
        uint256 operations = uint8(cases[offset + 2]);
        offset += 3;
        Question memory question = _clone(material.bases[base]);
        for (uint256 i = 0; i < operations; ++i) {
            _apply(material, question, material.inputs[base], cases, offset);
            offset += 8;
        }
        (bool done, bool valid) = _ask(question, _verifier.gasNeeded(question.envelope));
        assertTrue(done, string.concat("reverted: case ", vm.toString(number)));
        assertTrue(valid == expected, string.concat("case ", vm.toString(number)));
        return offset;
    }

    function _clone(Question memory original) private pure returns (Question memory) {
        return Question({
            program: original.program,
            vk: original.vk,
            values: original.values,
            claim: original.claim,
            envelope: bytes.concat(original.envelope)
        });
    }

    function _apply(
        Material memory material,
        Question memory question,
        uint256 inputs,
        bytes memory cases,
        uint256 offset
    ) private pure {
        uint256 kind = uint8(cases[offset]);
        uint256 a = _uint16(cases, offset + 1);
        uint256 b = _uint16(cases, offset + 3);
        uint256 c = _uint16(cases, offset + 5);
        uint8 d = uint8(cases[offset + 7]);
        bytes memory envelope = question.envelope;
        if (kind == 0) {
            envelope[a] ^= bytes1(d);
        } else if (kind == 1) {
            _copy(material.pool, b, envelope, a, c);
        } else if (kind == 2) {
            bytes memory part = _slice(envelope, a, c);
            _copy(envelope, b, envelope, a, c);
            _copy(part, 0, envelope, b, c);
        } else if (kind == 3) {
            unchecked {
                uint256 word = _wordOf(envelope, a) + (d == 0 ? Bn254.P : Bn254.R);
                _put(envelope, a, bytes32(word));
            }
        } else if (kind == 4) {
            unchecked {
                _put(envelope, a, bytes32(Bn254.P - _wordOf(envelope, a)));
            }
        } else if (kind == 5) {
            _copy(material.bases[d].envelope, b, envelope, a, c);
        } else if (kind == 6) {
            question.envelope = _slice(envelope, 0, a);
        } else if (kind == 7) {
            bytes memory tail = new bytes(a);
            for (uint256 i = 0; i < a; ++i) {
                tail[i] = bytes1(d);
            }
            question.envelope = bytes.concat(envelope, tail);
        } else if (kind == 8) {
            _flipArgument(question, a, d);
        } else {
            assertEq(kind, 9, "kind of an operation");
            _mend(question, inputs);
        }
    }

    function _flipArgument(Question memory question, uint256 bit, uint8 which) private pure {
        bytes32 mask = bytes32(uint256(1) << bit);
        if (which == 0) question.program ^= mask;
        else if (which == 1) question.vk ^= mask;
        else if (which == 2) question.values ^= mask;
        else question.claim ^= mask;
    }

    function _uint16(bytes memory data, uint256 offset) private pure returns (uint256) {
        return uint256(uint8(data[offset])) << 8 | uint8(data[offset + 1]);
    }

    function _wordOf(bytes memory data, uint256 offset) private pure returns (uint256 word) {
        require(offset + 32 <= data.length);
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }

    function _freeMemory() private pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := mload(0x40)
        }
    }

    /// @dev What a finished case allocated is used again.
    function _setFreeMemory(uint256 pointer) private pure {
        assembly ("memory-safe") {
            mstore(0x40, pointer)
        }
    }
}
