//! Bytes of one record, and what an unreadable one means.

use super::Record;

/// First bytes of the file: name and version.
pub(super) const HEADER: [u8; 8] = *b"PGVOTE\0\x02";
/// Bytes before a body: length, its checksum, the body's checksum.
const PREFIX_BYTES: usize = 12;
/// Most bytes of a body; a fault's text is the only part without a fixed size.
pub(super) const BODY_BYTES_MAX: usize = 4096;

/// Why no record could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// The file ends inside this record: a write that a crash interrupted.
    Torn,
    /// The record is whole but not as written.
    Damaged(String),
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn length_checksum(offset: u64, length: u32) -> u32 {
    crc(&[&offset.to_be_bytes(), &length.to_be_bytes()])
}

/// The bytes of a record at an offset of the file.
pub(super) fn write(record: &Record, offset: u64) -> std::io::Result<Vec<u8>> {
    let body = borsh::to_vec(record)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length as usize <= BODY_BYTES_MAX)
        .ok_or_else(|| std::io::Error::other("the entry is too long"))?;
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + body.len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&length_checksum(offset, length).to_be_bytes());
    bytes.extend_from_slice(&crc(&[&body]).to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads the record at an offset; `None` at the end, else the record and where the next one starts.
///
/// The length has its own checksum, so that a damaged length in the middle is not taken for a torn
/// end, which would drop every verdict behind it.
pub(super) fn read(bytes: &[u8], offset: usize) -> Result<Option<(Record, usize)>, Tail> {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    // A file system may have grown the file before the data arrived: zeros to the end.
    let is_zero = rest.iter().all(|byte| *byte == 0);
    let Some((prefix, tail)) = rest.split_at_checked(PREFIX_BYTES).filter(|_| !is_zero) else {
        return Err(Tail::Torn);
    };
    let word = |at: usize| {
        let word = prefix.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map_or(0, u32::from_be_bytes)
    };
    let length = word(0);
    if word(4) != length_checksum(offset as u64, length) {
        return Err(Tail::Damaged("the length's checksum is wrong".to_owned()));
    }
    let length = length as usize;
    let Some(body) = tail.get(..length) else { return Err(Tail::Torn) };
    if word(8) != crc(&[body]) {
        return Err(match tail.len() == length {
            true => Tail::Torn,
            false => Tail::Damaged("the body's checksum is wrong".to_owned()),
        });
    }
    let record = borsh::from_slice(body)
        .map_err(|error| Tail::Damaged(format!("the body does not decode: {error}")))?;
    Ok(Some((record, offset + PREFIX_BYTES + length)))
}
