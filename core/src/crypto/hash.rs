//! Keccak-256 and the ABI encoding of static types, the two functions under every digest.

use std::sync::OnceLock;

use alloy_primitives::{Keccak256, U256};

use crate::ids::Address;

/// Keccak-256 with the original padding, as the EVM computes it.
#[must_use]
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    alloy_primitives::keccak256(bytes).0
}

/// Keccak-256 of the concatenation of `parts`, without building it.
#[must_use]
pub fn keccak256_concat(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().0
}

/// A constant text and its Keccak-256, which is computed once.
#[derive(Debug)]
pub struct HashedText {
    text: &'static str,
    digest: OnceLock<[u8; 32]>,
}

impl HashedText {
    /// A text, not hashed yet.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, digest: OnceLock::new() }
    }

    /// The text.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// Keccak-256 of the text.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| keccak256(self.text.as_bytes()))
    }
}

/// Words of the longest struct, a job: what is made room for at once.
const WORDS_EXPECTED: usize = 18;

/// `abi.encode` of static types: one 32-byte big-endian word per field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbiWords(Vec<u8>);

impl AbiWords {
    /// Starts with a word.
    #[must_use]
    pub fn new(head: &[u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(WORDS_EXPECTED * 32);
        bytes.extend_from_slice(head);
        Self(bytes)
    }

    /// Starts with the type hash of a type string.
    #[must_use]
    pub fn typed(type_string: &HashedText) -> Self {
        Self::new(type_string.digest())
    }

    /// Appends a 32-byte word.
    #[must_use]
    pub fn word(mut self, value: &[u8; 32]) -> Self {
        self.0.extend_from_slice(value);
        self
    }

    /// Appends an unsigned integer of up to 64 bits.
    #[must_use]
    pub fn uint(self, value: u64) -> Self {
        self.u256(&U256::from(value))
    }

    /// Appends an unsigned integer of up to 256 bits.
    #[must_use]
    pub fn u256(self, value: &U256) -> Self {
        self.word(&value.to_be_bytes::<32>())
    }

    /// Appends a boolean: 0 or 1.
    #[must_use]
    pub fn flag(self, value: bool) -> Self {
        self.uint(u64::from(value))
    }

    /// Appends an address, padded on the left.
    #[must_use]
    pub fn address(mut self, value: &Address) -> Self {
        self.0.extend_from_slice(&[0; 12]);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// Appends bytes that are whole words already, such as a curve point.
    #[must_use]
    pub fn words<const N: usize>(mut self, value: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(32), "an ABI word has 32 bytes") };
        self.0.extend_from_slice(value);
        self
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Keccak-256 of the encoded bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        keccak256(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keccak256_has_the_original_padding() {
        assert_eq!(
            hex::encode(keccak256(b"")),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        assert_eq!(keccak256(b"ab"), keccak256_concat(&[b"a", b"", b"b"]));
    }

    #[test]
    fn words_are_padded_on_the_left() {
        let address = Address::from_bytes([0xaa; 20]);
        let words = AbiWords::new(&[1; 32]).uint(2).flag(true).address(&address).words(&[3; 64]);
        assert_eq!(words.as_bytes().len(), 6 * 32);
        assert_eq!(words.as_bytes()[63], 2);
        assert_eq!(words.as_bytes()[95], 1);
        assert_eq!(&words.as_bytes()[96..108], &[0; 12]);
        assert_eq!(&words.as_bytes()[108..128], &[0xaa; 20]);
    }
}
