// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A question to a verifier that gets its gas in full, or none
/// @notice The answer must not depend on how much gas the asker brought: a pairing that runs out of
/// gas looks like a proof that is refused. The gas is fixed, it is required before the call, with
/// the 64th part that the EVM holds back, and whatever is not a clear yes or no reverts.
library FixedGasCall {
    /// @dev Of the call itself: a cold account and its memory.
    uint256 private constant CALL_GAS = 10_000;

    /// @notice The caller must bring more gas.
    error GasTooLow(uint256 available, uint256 needed);
    /// @notice The verifier reverted or ran out of the gas that it asked for.
    error VerifierFailed(address verifier);
    /// @notice The verifier did not answer with one word that is yes or no.
    error VerifierAnswerMalformed(address verifier, uint256 answerBytes, uint256 word);

    /// @notice Asks `verifier` with exactly `gasAmount` gas; `question` is the encoded call.
    function ask(address verifier, uint256 gasAmount, bytes memory question)
        internal
        view
        returns (bool)
    {
        uint256 available = gasleft();
        uint256 needed = gasAmount + gasAmount / 63 + CALL_GAS;
        if (available < needed) revert GasTooLow(available, needed);
        bool ok;
        uint256 answerBytes;
        uint256 word;
        // Not more than one word is copied, however much is returned.
        assembly ("memory-safe") {
            ok := staticcall(gasAmount, verifier, add(question, 32), mload(question), 0, 32)
            answerBytes := returndatasize()
            word := mload(0)
        }
        if (!ok) revert VerifierFailed(verifier);
        if (answerBytes != 32 || word > 1) {
            revert VerifierAnswerMalformed(verifier, answerBytes, word);
        }
        return word == 1;
    }
}
