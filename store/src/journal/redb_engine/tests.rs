//! Power loss and failing writes below redb: a disk in memory that forgets what was not synced.

use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::*;
use crate::journal::owner::{Extent, extent, read_records};
use crate::journal::record::{encode, encode_start};

/// Bytes that a disk writes or loses as a whole.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Operation {
    Write { offset: usize, data: Vec<u8> },
    SetLength(usize),
    Sync,
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
            Self::SetLength(length) => image.resize(*length, 0),
            Self::Sync => {}
        }
    }
}

#[derive(Debug, Default)]
struct DiskState {
    image: Vec<u8>,
    operations: Vec<Operation>,
    /// The operation that fails, and every one behind it.
    fails_at: Option<usize>,
}

/// A disk that remembers everything that was done to it.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<DiskState>>);

impl Disk {
    /// A disk with an empty database, as it is before its file gets its name.
    fn created() -> Self {
        let disk = Self::default();
        let db = builder().create_with_backend(disk.clone()).expect("creates");
        write(&db, |_| Ok(())).expect("writes");
        db.close().expect("closes");
        let image = disk.state().image.clone();
        Self::with_image(image)
    }

    fn with_image(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(DiskState { image, ..DiskState::default() })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, DiskState> {
        self.0.lock().expect("no panic holds it")
    }

    fn perform(&self, operation: Operation) -> std::io::Result<()> {
        let mut state = self.state();
        if state.fails_at.is_some_and(|place| state.operations.len() >= place) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        operation.apply(&mut state.image);
        state.operations.push(operation);
        Ok(())
    }

    fn num_operations(&self) -> usize {
        self.state().operations.len()
    }

    fn open(&self) -> Result<RedbEngine, EngineError> {
        let open = || builder().create_with_backend(self.clone());
        RedbEngine::with_database(contained(NAME, "open", open)?)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.state().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let start = offset as usize;
        let state = self.state();
        let bytes = state.image.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.perform(Operation::SetLength(length as usize))
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.perform(Operation::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.perform(Operation::Write { offset: offset as usize, data: data.to_vec() })
    }
}

/// SplitMix64: the same losses in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    /// What a power loss leaves of a write that was not synced: all, nothing, or some sectors.
    fn lose(&mut self, operation: &Operation, image: &mut Vec<u8>) {
        match (self.below(3), operation) {
            (0, _) => {}
            (1, operation) => operation.apply(image),
            (_, Operation::Write { offset, data }) => {
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if self.below(2) == 0 {
                        let offset = offset + number * SECTOR;
                        Operation::Write { offset, data: sector.to_vec() }.apply(image);
                    }
                }
            }
            (_, _) => {}
        }
    }
}

fn payload(sequence: u64) -> Vec<u8> {
    let length = 1 + (sequence as usize * 7919) % 1500;
    sequence.to_be_bytes().into_iter().cycle().take(length).collect()
}

/// Appends and truncates until done or until the disk fails; tells every state as it is reached,
/// with the number of operations after which it was acknowledged.
fn work(disk: &Disk) -> Vec<(usize, Extent)> {
    let mut extent = Extent { first: Sequence::FIRST, next: Sequence::FIRST };
    let mut states = vec![(0, extent)];
    let Ok(mut engine) = disk.open() else { return states };
    for round in 0..40u64 {
        let result = if round % 8 == 7 {
            extent.first = Sequence::new(extent.next.get() - 3);
            engine.truncate_before(extent.first, encode_start(extent.first))
        } else {
            let places = extent.next.get()..extent.next.get() + 1 + round % 5;
            extent.next = Sequence::new(places.end);
            let place = Sequence::new;
            engine.commit(places.map(|n| (place(n), encode(place(n), &payload(n)))).collect())
        };
        // A state that was not acknowledged may be found nevertheless.
        let acknowledged_at = if result.is_ok() { disk.num_operations() } else { usize::MAX };
        states.push((acknowledged_at, extent));
        if result.is_err() {
            break;
        }
    }
    states
}

/// Opens what is left and checks that it is one of the states, with every record whole.
fn assert_is_one_of(image: Vec<u8>, states: &[Extent], context: &str) {
    let engine = Disk::with_image(image).open().unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = extent(&engine).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert!(states.contains(&found), "{context}: {found:?} is none of {states:?}");
    let records = read_records(&engine, found.first, usize::MAX).expect("every record is whole");
    assert_eq!(records.len() as u64, found.next.get() - found.first.get(), "{context}");
    for record in records {
        assert_eq!(record.payload, payload(record.sequence.get()), "{context}");
    }
}

/// The states that may be found when the power goes after `performed` operations: the last one that
/// was acknowledged and the one on its way.
fn possible(states: &[(usize, Extent)], performed: usize) -> Vec<Extent> {
    let acknowledged = states.iter().take_while(|(place, _)| *place <= performed).count();
    let around = acknowledged.saturating_sub(1)..(acknowledged + 1).min(states.len());
    states[around].iter().map(|(_, extent)| *extent).collect()
}

#[test]
fn a_power_loss_at_any_write_loses_nothing_acknowledged() {
    let disk = Disk::created();
    let (mut synced, mut pending) = (disk.state().image.clone(), Vec::new());
    let states = work(&disk);
    let operations = disk.state().operations.clone();
    let mut random = Random(1);
    for (performed, operation) in operations.iter().enumerate() {
        if matches!(operation, Operation::Sync) {
            for operation in pending.drain(..) {
                Operation::apply(operation, &mut synced);
            }
        } else {
            pending.push(operation);
        }
        for _ in 0..2 {
            let mut image = synced.clone();
            pending.iter().for_each(|operation| random.lose(operation, &mut image));
            let performed = performed + 1;
            let context = format!("power loss after operation {performed}");
            assert_is_one_of(image, &possible(&states, performed), &context);
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_write_keeps_what_was_acknowledged() {
    let whole = Disk::created();
    work(&whole);
    for fails_at in 0..whole.num_operations() {
        let disk = Disk::created();
        disk.state().fails_at = Some(fails_at);
        let states = work(&disk);
        let image = disk.state().image.clone();
        let context = format!("operation {fails_at} fails");
        assert_is_one_of(image, &possible(&states, fails_at), &context);
    }
}
