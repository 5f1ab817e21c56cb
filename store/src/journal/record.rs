//! How a record lies in an engine: version, checksum, payload.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 4 | CRC-32 over version, sequence (8 bytes, big-endian) and payload, big-endian |
//! | 5 | n | payload |
//!
//! The sequence is under the checksum, so a value that turns up under another key is damaged too.
//! The checksum finds rotten disks, not attackers: who can write the data directory owns the node.

use std::fmt;

use thiserror::Error;

/// Version of the record layout.
pub(super) const RECORD_VERSION: u8 = 1;
/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 5;

/// The place of a record in the journal, from 1, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first record's place.
    pub const FIRST: Self = Self(1);
    /// No record's place: the key under which a truncated journal keeps where it starts, framed
    /// like a record. Without it a journal starts at [`Self::FIRST`], so that records that got
    /// lost at its beginning are never mistaken for truncated ones.
    pub const START: Self = Self(0);

    /// Wraps a number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place behind this one; stays at the maximum, which no journal reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The key in an engine: 8 bytes, big-endian, so that keys sort like sequences.
    #[must_use]
    pub const fn to_key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The sequence of a key, `None` if it has not 8 bytes.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(|bytes| Self(u64::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A stored record that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The stored value is shorter than its header.
    #[error("journal record {sequence} is cut to {got} bytes; restore an export")]
    Short {
        /// Which record.
        sequence: Sequence,
        /// Bytes found.
        got: usize,
    },
    /// The record has another layout.
    #[error(
        "journal record {sequence} has layout version {got}, this build reads {RECORD_VERSION}; \
         use the build that wrote it"
    )]
    Version {
        /// Which record.
        sequence: Sequence,
        /// Version found.
        got: u8,
    },
    /// The bytes are not those that were written.
    #[error(
        "journal record {sequence} is damaged: checksum {got:08x}, expected {expected:08x}; \
         restore an export, do not delete the record"
    )]
    Checksum {
        /// Which record.
        sequence: Sequence,
        /// Checksum stored with the record.
        expected: u32,
        /// Checksum of what is stored.
        got: u32,
    },
    /// A record between two others is not there.
    #[error("journal record {expected} is missing, the next one is {got}; restore an export")]
    Missing {
        /// The record that should follow.
        expected: Sequence,
        /// The record that does follow.
        got: Sequence,
    },
}

fn checksum(sequence: Sequence, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[RECORD_VERSION]);
    hasher.update(&sequence.to_key());
    hasher.update(payload);
    hasher.finalize()
}

/// The stored form of a payload.
pub(super) fn encode(sequence: Sequence, payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER_BYTES + payload.len());
    value.push(RECORD_VERSION);
    value.extend_from_slice(&checksum(sequence, payload).to_be_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload of a stored value.
///
/// # Errors
/// Names the record when anything about it is not as written.
pub(super) fn decode(sequence: Sequence, mut value: Vec<u8>) -> Result<Vec<u8>, RecordError> {
    let Some((&version, rest)) = value.split_first() else {
        return Err(RecordError::Short { sequence, got: 0 });
    };
    if version != RECORD_VERSION {
        return Err(RecordError::Version { sequence, got: version });
    }
    let Some((stored, payload)) = rest.split_first_chunk::<4>() else {
        return Err(RecordError::Short { sequence, got: value.len() });
    };
    let (expected, got) = (u32::from_be_bytes(*stored), checksum(sequence, payload));
    if expected != got {
        return Err(RecordError::Checksum { sequence, expected, got });
    }
    value.drain(..HEADER_BYTES);
    Ok(value)
}

/// The stored form of where a truncated journal starts.
pub(super) fn encode_start(first: Sequence) -> Vec<u8> {
    encode(Sequence::START, &first.to_key())
}

/// The oldest kept sequence of a stored start.
///
/// # Errors
/// When it is not as written.
pub(super) fn decode_start(value: Vec<u8>) -> Result<Sequence, RecordError> {
    let payload = decode(Sequence::START, value)?;
    let short = RecordError::Short { sequence: Sequence::START, got: payload.len() };
    Sequence::from_key(&payload).filter(|first| *first >= Sequence::FIRST).ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_fixed() {
        let value = encode(Sequence::new(7), b"fact");
        assert_eq!(value, [&[1][..], &[0x2e, 0x22, 0xc7, 0x9e], b"fact"].concat());
        assert_eq!(decode(Sequence::new(7), value), Ok(b"fact".to_vec()));
    }

    #[test]
    fn a_start_is_read_back_or_refused() {
        let value = encode_start(Sequence::new(7));
        assert_eq!(decode_start(value.clone()), Ok(Sequence::new(7)));
        for length in 0..value.len() {
            assert!(decode_start(value[..length].to_vec()).is_err(), "{length}");
        }
        assert!(decode_start(encode(Sequence::START, b"fact")).is_err());
        assert!(decode_start(encode_start(Sequence::START)).is_err());
    }

    #[test]
    fn every_flipped_bit_is_named() {
        let value = encode(Sequence::new(7), b"fact");
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = decode(Sequence::new(7), damaged).expect_err("a flipped bit passed");
            assert!(error.to_string().contains("record 7"), "{error}");
        }
        for length in 0..value.len() {
            assert!(decode(Sequence::new(7), value[..length].to_vec()).is_err(), "{length}");
        }
    }

    #[test]
    fn a_value_under_another_key_is_damaged() {
        let value = encode(Sequence::new(7), b"fact");
        assert!(matches!(
            decode(Sequence::new(8), value),
            Err(RecordError::Checksum { sequence, .. }) if sequence == Sequence::new(8)
        ));
    }
}
