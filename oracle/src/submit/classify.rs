//! What a node's refusal of a broadcast means.
//!
//! The codes are useless (everything is -32000), so the words decide; they differ per client. The
//! lists hold the phrases of geth and its forks, Nethermind, Besu, Erigon, Reth and anvil. An
//! unknown phrase is [`Refusal::Other`]: nothing is assumed about whether the transaction is out
//! there.

/// The meaning of a refused broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The node already has this very transaction: success.
    AlreadyKnown,
    /// The nonce is used: by this transaction, an earlier offer of it, or a stranger with our key.
    NonceTooLow,
    /// Another transaction with our nonce is pending and pays about as much: raise the offer.
    ReplacementUnderpriced,
    /// Below the node's own minimum: raise the offer.
    Underpriced,
    /// The account cannot pay.
    InsufficientFunds,
    /// The node's queue is full or it is syncing: later.
    Busy,
    /// Anything else.
    Other,
}

/// Phrases, lower case; the first list that matches wins, so the more specific ones come first.
const PHRASES: [(Refusal, &[&str]); 6] = [
    (
        Refusal::AlreadyKnown,
        &[
            "already known",
            "alreadyknown",
            "known transaction",
            "already imported",
            "already exists",
            "already_exists",
            "already in the pool",
            "already in pool",
        ],
    ),
    (
        Refusal::ReplacementUnderpriced,
        &[
            "replacement transaction underpriced",
            "replacementnotallowed",
            "replacement not allowed",
            "could not replace existing",
            "gas price too low to replace",
            "insufficient gas price to replace",
        ],
    ),
    (
        Refusal::NonceTooLow,
        &["nonce too low", "oldnonce", "nonce is too low", "nonce has already been used"],
    ),
    (
        Refusal::InsufficientFunds,
        &[
            "insufficient funds",
            "insufficient balance",
            "upfront cost exceeds",
            "insufficientfunds",
        ],
    ),
    (
        Refusal::Underpriced,
        &[
            "underpriced",
            "feetoolow",
            "fee too low",
            "max fee per gas less than block base fee",
            "gas price below",
            "below configured minimum",
        ],
    ),
    (
        Refusal::Busy,
        &["txpool is full", "pool is full", "queue is full", "syncing", "rate limit", "too many"],
    ),
];

/// Sorts a node's words.
#[must_use]
pub fn classify(message: &str) -> Refusal {
    let message = message.to_ascii_lowercase();
    PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| message.contains(phrase)))
        .map_or(Refusal::Other, |(refusal, _)| *refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_each_client_are_understood() {
        let table = [
            ("already known", Refusal::AlreadyKnown),
            ("AlreadyKnown", Refusal::AlreadyKnown),
            ("ALREADY_EXISTS: already known", Refusal::AlreadyKnown),
            ("Known transaction", Refusal::AlreadyKnown),
            ("transaction already imported", Refusal::AlreadyKnown),
            ("nonce too low: next nonce 5, tx nonce 4", Refusal::NonceTooLow),
            ("NONCE_TOO_LOW nonce too low", Refusal::NonceTooLow),
            ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", Refusal::NonceTooLow),
            ("replacement transaction underpriced", Refusal::ReplacementUnderpriced),
            ("ReplacementNotAllowed", Refusal::ReplacementUnderpriced),
            ("transaction underpriced: tip needed 1", Refusal::Underpriced),
            ("max fee per gas less than block base fee: address 0x0", Refusal::Underpriced),
            ("FeeTooLow, MaxFeePerGas too low", Refusal::Underpriced),
            ("insufficient funds for gas * price + value", Refusal::InsufficientFunds),
            ("Insufficient funds for gas * price + value", Refusal::InsufficientFunds),
            ("Upfront cost exceeds account balance", Refusal::InsufficientFunds),
            ("txpool is full", Refusal::Busy),
            ("intrinsic gas too low", Refusal::Other),
            ("", Refusal::Other),
        ];
        for (message, expected) in table {
            assert_eq!(classify(message), expected, "{message:?}");
        }
    }
}
