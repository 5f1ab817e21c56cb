//! Borsh encoding of `U256` as 32 big-endian bytes, for fields of stored types.

use std::io::{Read, Result, Write};

use alloy_primitives::U256;
use borsh::BorshDeserialize;

/// Writes 32 big-endian bytes.
///
/// # Errors
/// Only those of the writer.
pub fn serialize<W: Write>(value: &U256, writer: &mut W) -> Result<()> {
    writer.write_all(&value.to_be_bytes::<32>())
}

/// Reads 32 big-endian bytes.
///
/// # Errors
/// When the reader ends early.
pub fn deserialize<R: Read>(reader: &mut R) -> Result<U256> {
    <[u8; 32]>::deserialize_reader(reader).map(U256::from_be_bytes)
}
