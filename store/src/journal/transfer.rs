//! Checking, exporting and importing a journal while no process runs on it.
//!
//! An export is `PGJ2`, the sequence of the first record (8 bytes; of the next one if there is none)
//! and the CRC-32 of those 8 bytes (4), then per record its sequence (8), payload length (4), CRC-32
//! over sequence and payload (4) and the payload, then sequence 0 and the number of records (8). All
//! integers are big-endian. The end mark makes a file that was cut at a record's border invalid.

use std::io::{Read, Write};

use super::engine::Engine;
use super::error::JournalError;
use super::owner::{extent, read_records};
use super::record::{self, Sequence};
use super::{JournalConfig, open_engine};
use crate::limits::{GROUP_BYTES_MAX, GROUP_RECORDS_MAX, RECORD_BYTES_MAX, REPLAY_PAGE_RECORDS};

const MAGIC: &[u8; 4] = b"PGJ2";

/// What a whole journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSummary {
    /// The oldest record that is kept; the next append's place if there is none.
    pub first: Sequence,
    /// Records.
    pub records: u64,
    /// Their payload bytes.
    pub payload_bytes: u64,
}

/// Reads and checks every record.
///
/// # Errors
/// The first damaged or missing record, by sequence; or why the journal does not open.
pub fn verify(config: &JournalConfig) -> Result<JournalSummary, JournalError> {
    let (engine, _lock) = open_engine(config)?;
    let first = extent(engine.as_ref())?.first;
    for_each_record(engine.as_ref(), first, |_, _| Ok(()))
}

/// Writes every record to `output`.
///
/// # Errors
/// As [`verify`], or when `output` cannot be written.
pub fn export(
    config: &JournalConfig,
    output: &mut dyn Write,
) -> Result<JournalSummary, JournalError> {
    let (engine, _lock) = open_engine(config)?;
    let mut write =
        |bytes: &[u8]| output.write_all(bytes).map_err(JournalError::file("write", "the export"));
    let first = extent(engine.as_ref())?.first;
    write(MAGIC)?;
    write(&first.to_key())?;
    write(&checksum(first, &[]).to_be_bytes())?;
    let summary = for_each_record(engine.as_ref(), first, |sequence, payload| {
        write(&sequence.to_key())?;
        // Payloads are bounded by `RECORD_BYTES_MAX`, far below 4 GiB.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        write(&length.to_be_bytes())?;
        write(&checksum(sequence, payload).to_be_bytes())?;
        write(payload)
    })?;
    write(&0u64.to_be_bytes())?;
    write(&summary.records.to_be_bytes())?;
    output.flush().map_err(JournalError::file("write", "the export"))?;
    Ok(summary)
}

/// Fills an empty journal from an export, keeping every sequence.
///
/// The file is committed in groups while it is read: after an error the directory holds a part and
/// must be removed before the next try.
///
/// # Errors
/// [`JournalError::NotEmpty`], [`JournalError::Export`] with the byte, or what the engine says.
pub fn import(
    config: &JournalConfig,
    input: &mut dyn Read,
) -> Result<JournalSummary, JournalError> {
    let (mut engine, _lock) = open_engine(config)?;
    if let Some(last) = engine.last()? {
        return Err(JournalError::NotEmpty { last });
    }
    let mut source = Source { input, offset: 0 };
    if source.take::<4>()? != *MAGIC {
        return Err(source.refuse("it does not start like an export"));
    }
    let first = source.start()?;
    if first > Sequence::FIRST {
        engine.truncate_before(first, record::encode_start(first))?;
    }
    let mut summary = JournalSummary { first, records: 0, payload_bytes: 0 };
    let mut group = Vec::new();
    let mut group_bytes = 0usize;
    while let Some((sequence, payload)) = source.next_record(summary)? {
        summary.records += 1;
        summary.payload_bytes += payload.len() as u64;
        group_bytes += payload.len();
        group.push((sequence, record::encode(sequence, &payload)));
        if group.len() >= GROUP_RECORDS_MAX || group_bytes >= GROUP_BYTES_MAX {
            engine.commit(std::mem::take(&mut group))?;
            group_bytes = 0;
        }
    }
    if !group.is_empty() {
        engine.commit(group)?;
    }
    Ok(summary)
}

fn for_each_record(
    engine: &dyn Engine,
    first: Sequence,
    mut visit: impl FnMut(Sequence, &[u8]) -> Result<(), JournalError>,
) -> Result<JournalSummary, JournalError> {
    let mut summary = JournalSummary { first, records: 0, payload_bytes: 0 };
    let mut from = first;
    loop {
        let page = read_records(engine, from, REPLAY_PAGE_RECORDS)?;
        let Some(last) = page.last() else { return Ok(summary) };
        from = last.sequence.next();
        for record in &page {
            visit(record.sequence, &record.payload)?;
            summary.records += 1;
            summary.payload_bytes += record.payload.len() as u64;
        }
    }
}

fn checksum(sequence: Sequence, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&sequence.to_key());
    hasher.update(payload);
    hasher.finalize()
}

struct Source<'a> {
    input: &'a mut dyn Read,
    offset: u64,
}

impl Source<'_> {
    fn refuse(&self, problem: impl Into<String>) -> JournalError {
        JournalError::Export { offset: self.offset, problem: problem.into() }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.input.read_exact(bytes).map_err(|error| self.refuse(error.to_string()))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Where the exported journal starts.
    fn start(&mut self) -> Result<Sequence, JournalError> {
        let first = Sequence::new(u64::from_be_bytes(self.take()?));
        let expected = u32::from_be_bytes(self.take()?);
        if first < Sequence::FIRST || checksum(first, &[]) != expected {
            return Err(self.refuse("the place where it starts is damaged"));
        }
        Ok(first)
    }

    /// The record behind those of `so_far`, or `None` at a correct end mark.
    fn next_record(
        &mut self,
        so_far: JournalSummary,
    ) -> Result<Option<(Sequence, Vec<u8>)>, JournalError> {
        let JournalSummary { first, records, .. } = so_far;
        let sequence = Sequence::new(u64::from_be_bytes(self.take()?));
        if sequence.get() == 0 {
            let count = u64::from_be_bytes(self.take()?);
            return match count == records {
                true => Ok(None),
                false => Err(self.refuse(format!("it says {count} records, {records} were read"))),
            };
        }
        let expected = Sequence::new(first.get().saturating_add(records));
        if sequence != expected {
            return Err(self.refuse(format!("record {sequence} stands where {expected} should")));
        }
        let length = u32::from_be_bytes(self.take()?) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(self.refuse(format!(
                "record {sequence} has {length} bytes, at most {RECORD_BYTES_MAX} are possible"
            )));
        }
        let expected = u32::from_be_bytes(self.take()?);
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        if checksum(sequence, &payload) != expected {
            return Err(self.refuse(format!("record {sequence} is damaged")));
        }
        Ok(Some((sequence, payload)))
    }
}
