//! Messages that are kept in files: their bytes, without anything around them.

use prost::{DecodeError, Message};

/// The bytes of a message.
#[must_use]
pub fn encode(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Reads a message back.
///
/// # Errors
/// When the bytes are not one.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes)
}
