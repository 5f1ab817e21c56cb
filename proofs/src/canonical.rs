//! A byte builder with one encoding per value, for descriptions that only Rust reads. What Solidity
//! hashes too is built from ABI words in core.

/// A packed description: integers big-endian, byte strings behind their length.
#[derive(Debug, Default)]
pub struct Description(Vec<u8>);

impl Description {
    /// Appends a tag or small code.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends an integer.
    pub fn int(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends a count or size; `usize` is at most 64 bits on every platform that Rust has.
    pub fn size(&mut self, value: usize) -> &mut Self {
        self.int(value as u64)
    }

    /// Appends a byte string behind its length.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.size(value.len());
        self.0.extend_from_slice(value);
        self
    }

    /// Appends a text behind its length.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// The bytes so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}
