// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "../interfaces/IProofVerifier.sol";
import {Bn254} from "../libraries/Bn254.sol";
import {ProgramId} from "../types/Ids.sol";

/// @title Groth16 over BN254 with the verifying key in calldata
/// @notice Judges envelopes of the program `groth16-bn254`. The layout is in docs/protocol.md section 8,
/// what is accepted at the edges (identity points) in `proofs/src/groth16`; tests/vectors/groth16*.json
/// hold the two to each other.
/// @dev An envelope of n public inputs has exactly 880 + 96 n bytes, so every offset follows from its
/// length. Points of G1 and all numbers are checked before a precompile sees them; what is left to the
/// pairing precompile is curve and subgroup of the four G2 points. It then fails, which costs all gas it
/// was given, so it is given exactly its price, and a pairing of nothing at the same price tells that
/// failure from one for lack of gas. Offsets are added unchecked: all are below the checked length.
contract Groth16Verifier is IProofVerifier {
    /// @dev Most public inputs.
    uint256 private constant INPUTS_MAX = 64;

    // Offsets in the envelope, and lengths, in bytes.
    uint256 private constant PROGRAM_AT = 4;
    uint256 private constant VK_DIGEST_AT = 36;
    uint256 private constant VALUES_LENGTH_AT = 68;
    uint256 private constant VALUES_AT = 72;
    uint256 private constant COUNT_AT = 104;
    uint256 private constant SCALARS_AT = 108;
    uint256 private constant VALUES_BYTES = 36;
    uint256 private constant IC_AT = 448;
    uint256 private constant KEY_BYTES = 512;
    uint256 private constant PROOF_BYTES = 256;
    uint256 private constant ENVELOPE_BYTES = SCALARS_AT + 4 + KEY_BYTES + PROOF_BYTES;
    /// @dev What one more input adds: its scalar and its IC point.
    uint256 private constant INPUT_BYTES = 96;

    bytes4 private constant MAGIC = "PGP1";
    bytes32 private constant CLAIM_TAG = keccak256("PROOFGRID_CLAIM_GROTH16_V1");

    uint256 private constant EC_ADD = 6;
    uint256 private constant EC_MUL = 7;
    uint256 private constant PAIRING = 8;
    /// @dev Price of a product of four pairings: 45 000 and 34 000 each (EIP-1108).
    uint256 private constant PAIRING_GAS = 181_000;
    uint256 private constant PAIRING_BYTES = 768;
    /// @dev Measured in test/Groth16Verifier.t.sol: decoding and hashing without inputs; one input with its
    /// multiplication (6000) and addition (150); an envelope that no length fits.
    uint256 private constant BASE_GAS = 8_000;
    uint256 private constant INPUT_GAS = 7_050;
    uint256 private constant MISFIT_GAS = 2_000;

    /// @dev The program whose proofs these are.
    ProgramId private immutable PROGRAM;

    /// @param program The id of `groth16-bn254`.
    constructor(ProgramId program) {
        PROGRAM = program;
        if (!_pairingOfNothing()) revert PrecompileNotAffordable(PAIRING);
    }

    /// @inheritdoc IProofVerifier
    function verify(
        ProgramId program,
        bytes32 vkDigest,
        bytes32 publicValuesDigest,
        bytes32 claim,
        bytes calldata envelope
    ) external view returns (bool) {
        (bool fits, uint256 inputs) = _inputsOf(envelope.length);
        return fits && ProgramId.unwrap(program) == ProgramId.unwrap(PROGRAM)
            && _isHeader(program, vkDigest, inputs, envelope)
            && _areValues(vkDigest, publicValuesDigest, claim, inputs, envelope)
            && _isKey(vkDigest, inputs, envelope) && _arePoints(inputs, envelope)
            && _pairs(inputs, envelope);
    }

    /// @inheritdoc IProofVerifier
    function gasNeeded(bytes calldata envelope) external pure returns (uint256) {
        (bool fits, uint256 inputs) = _inputsOf(envelope.length);
        if (!fits) return MISFIT_GAS;
        // The pairing, the pairing of nothing after a failure, and the 64th part that a call leaves behind.
        return BASE_GAS + INPUT_GAS * inputs + 2 * PAIRING_GAS + (PAIRING_GAS + 62) / 63;
    }

    /// @dev Whether some number of inputs gives this length, and which.
    function _inputsOf(uint256 length) private pure returns (bool fits, uint256 inputs) {
        if (length < ENVELOPE_BYTES) return (false, 0);
        uint256 rest = length - ENVELOPE_BYTES;
        inputs = rest / INPUT_BYTES;
        fits = rest % INPUT_BYTES == 0 && inputs <= INPUTS_MAX;
    }

    /// @dev Where the key starts.
    function _keyAt(uint256 inputs) private pure returns (uint256) {
        unchecked {
            return SCALARS_AT + 32 * inputs + 4;
        }
    }

    function _isHeader(ProgramId program, bytes32 vkDigest, uint256 inputs, bytes calldata envelope)
        private
        pure
        returns (bool)
    {
        unchecked {
            uint256 keyAt = _keyAt(inputs);
            return bytes4(_word(envelope, 0)) == MAGIC
                && _word(envelope, PROGRAM_AT) == ProgramId.unwrap(program)
                && _word(envelope, VK_DIGEST_AT) == vkDigest
                && _uint32(envelope, VALUES_LENGTH_AT) == VALUES_BYTES + 32 * inputs
                && _uint32(envelope, keyAt - 4) == KEY_BYTES + 64 * inputs + PROOF_BYTES;
        }
    }

    /// @dev Public values that are those of the record and of the claim, with every input below the order.
    function _areValues(
        bytes32 vkDigest,
        bytes32 publicValuesDigest,
        bytes32 claim,
        uint256 inputs,
        bytes calldata envelope
    ) private pure returns (bool) {
        unchecked {
            bytes calldata values = envelope[VALUES_AT:SCALARS_AT + 32 * inputs];
            if (
                _word(envelope, VALUES_AT) != vkDigest || _uint32(envelope, COUNT_AT) != inputs
                    || keccak256(values) != publicValuesDigest
                    || keccak256(abi.encodePacked(CLAIM_TAG, values)) != claim
            ) return false;
            for (uint256 i = 0; i < inputs; ++i) {
                if (uint256(_word(envelope, SCALARS_AT + 32 * i)) >= Bn254.R) return false;
            }
            return true;
        }
    }

    function _isKey(bytes32 vkDigest, uint256 inputs, bytes calldata envelope)
        private
        pure
        returns (bool)
    {
        unchecked {
            uint256 keyAt = _keyAt(inputs);
            return keccak256(envelope[keyAt:keyAt + KEY_BYTES + 64 * inputs]) == vkDigest;
        }
    }

    /// @dev All points: G1 wholly, of G2 everything but curve and subgroup. The identity is refused except
    /// as IC and as C.
    function _arePoints(uint256 inputs, bytes calldata envelope) private pure returns (bool) {
        unchecked {
            uint256 keyAt = _keyAt(inputs);
            uint256 proofAt = keyAt + KEY_BYTES + 64 * inputs;
            for (uint256 i = 0; i <= inputs; ++i) {
                if (!_isG1(envelope, keyAt + IC_AT + 64 * i)) return false;
            }
            return _isG1(envelope, keyAt) && !_isZero(envelope, keyAt) // alpha
                && _isG2(envelope, keyAt + 64) && _isG2(envelope, keyAt + 192)
                && _isG2(envelope, keyAt + 320) // beta, gamma, delta
                && _isG1(envelope, proofAt) && !_isZero(envelope, proofAt) // A
                && _isG2(envelope, proofAt + 64) && _isG1(envelope, proofAt + 192); // B, C
        }
    }

    /// @dev Whether `e(-A, B) e(alpha, beta) e(IC(x), gamma) e(C, delta) == 1`.
    function _pairs(uint256 inputs, bytes calldata envelope) private view returns (bool) {
        uint256 keyAt = _keyAt(inputs);
        uint256 proofAt = keyAt + KEY_BYTES + 64 * inputs;
        (uint256 x, uint256 y) = _combined(inputs, keyAt + IC_AT, envelope);
        bool done;
        uint256 result;
        uint256 negated = Bn254.P - uint256(_word(envelope, proofAt + 32));
        assembly ("memory-safe") {
            let m := mload(0x40)
            // A has a y that is neither zero nor above the modulus, so its negative is canonical.
            calldatacopy(m, add(envelope.offset, proofAt), 192)
            mstore(add(m, 32), negated)
            // alpha and beta lie side by side.
            calldatacopy(add(m, 192), add(envelope.offset, keyAt), 192)
            mstore(add(m, 384), x)
            mstore(add(m, 416), y)
            calldatacopy(add(m, 448), add(envelope.offset, add(keyAt, 192)), 128)
            calldatacopy(add(m, 576), add(envelope.offset, add(proofAt, 192)), 64)
            calldatacopy(add(m, 640), add(envelope.offset, add(keyAt, 320)), 128)
            done := staticcall(PAIRING_GAS, PAIRING, m, PAIRING_BYTES, m, 32)
            result := mload(m)
        }
        if (done) return result == 1;
        if (!_pairingOfNothing()) revert PrecompileNotAffordable(PAIRING);
        return false;
    }

    /// @dev `IC_0 + sum x_i IC_i`, each point and number checked before.
    function _combined(uint256 inputs, uint256 icAt, bytes calldata envelope)
        private
        view
        returns (uint256 x, uint256 y)
    {
        bool done = true;
        assembly ("memory-safe") {
            // The sum, then one product: point and scalar, overwritten by the result.
            let m := mload(0x40)
            let ic := add(envelope.offset, icAt)
            let scalar := add(envelope.offset, SCALARS_AT)
            calldatacopy(m, ic, 64)
            for { let i := 0 } and(done, lt(i, inputs)) { i := add(i, 1) } {
                ic := add(ic, 64)
                calldatacopy(add(m, 64), ic, 64)
                calldatacopy(add(m, 128), scalar, 32)
                scalar := add(scalar, 32)
                done := staticcall(gas(), EC_MUL, add(m, 64), 96, add(m, 64), 64)
                done := and(done, staticcall(gas(), EC_ADD, m, 128, m, 64))
            }
            x := mload(m)
            y := mload(add(m, 32))
        }
        // On checked points these fail for lack of gas only.
        if (!done) revert PrecompileNotAffordable(EC_MUL);
    }

    /// @dev A pairing of four pairs of identities, which is one, at the price of a real one.
    function _pairingOfNothing() private view returns (bool done) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            // Behind the calldata everything is zero.
            calldatacopy(m, calldatasize(), PAIRING_BYTES)
            done := staticcall(PAIRING_GAS, PAIRING, m, PAIRING_BYTES, m, 32)
        }
    }

    /// @dev Canonical and on the curve, or the identity.
    function _isG1(bytes calldata envelope, uint256 offset) private pure returns (bool) {
        unchecked {
            (uint256 x, uint256 y) =
                (uint256(_word(envelope, offset)), uint256(_word(envelope, offset + 32)));
            if (x >= Bn254.P || y >= Bn254.P) return false;
            uint256 curve = addmod(mulmod(mulmod(x, x, Bn254.P), x, Bn254.P), 3, Bn254.P);
            return mulmod(y, y, Bn254.P) == curve || x | y == 0;
        }
    }

    /// @dev Canonical and not the identity; curve and subgroup are the pairing's to check.
    function _isG2(bytes calldata envelope, uint256 offset) private pure returns (bool) {
        unchecked {
            uint256 x1 = uint256(_word(envelope, offset));
            uint256 x0 = uint256(_word(envelope, offset + 32));
            uint256 y1 = uint256(_word(envelope, offset + 64));
            uint256 y0 = uint256(_word(envelope, offset + 96));
            return
                x1 < Bn254.P && x0 < Bn254.P && y1 < Bn254.P && y0 < Bn254.P
                    && x1 | x0 | y1 | y0 != 0;
        }
    }

    /// @dev Whether a point of G1 is the identity.
    function _isZero(bytes calldata envelope, uint256 offset) private pure returns (bool) {
        unchecked {
            return _word(envelope, offset) | _word(envelope, offset + 32) == 0;
        }
    }

    /// @dev Four bytes, big-endian.
    function _uint32(bytes calldata envelope, uint256 offset) private pure returns (uint256) {
        return uint256(_word(envelope, offset)) >> 224;
    }

    /// @dev A word of the envelope; every caller's offset follows from the checked length.
    function _word(bytes calldata envelope, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(envelope.offset, offset))
        }
    }
}
