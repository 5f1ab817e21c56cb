//! What a dispatcher keeps: the records of its journal, its snapshots, and the events in them.

use proofgrid_core::network::Fact;
use proofgrid_dispatcher::read_snapshot;
use proofgrid_proto::{stored, v1};
use proofgrid_store::journal::Sequence;

use proofgrid_fuzz::{Outcome, Shape, Target};

/// The record that the snapshots of the corpus end with.
const SNAPSHOT_LAST: Sequence = Sequence::new(64);
/// Bytes of a snapshot's checksum, and of what stands before the state in it: in one of version 1
/// its length too.
const CHECKSUM_BYTES: usize = 4;
const HEAD_BYTES: usize = 9;
const HEAD_BYTES_BEFORE: usize = 13;

/// The corpus has a fact of every kind.
#[test]
fn facts() {
    Target::new("fact", Shape::Bytes, 60_000).borsh().run(Vec::new(), |input| {
        let decoded = Fact::decode(input);
        if let Ok(fact) = &decoded {
            assert_eq!(fact.encode(), input, "accepted, but it is not canonical");
        }
        Outcome::from(decoded)
    });
}

/// Makes the checksum true, so that changes reach the image.
fn mend_snapshot(bytes: &mut [u8]) {
    let Some(at) = bytes.len().checked_sub(CHECKSUM_BYTES) else { return };
    let checksum = crc32fast::hash(&bytes[..at]);
    bytes[at..].copy_from_slice(&checksum.to_be_bytes());
}

/// The corpus has a small state of jobs and tries, and one with votes and certificates on a chain.
#[test]
fn snapshots() {
    let target = Target {
        mend: Some(mend_snapshot),
        ..Target::new("snapshot", Shape::Bytes, 40_000).borsh()
    };
    target.run(Vec::new(), |input| {
        let read = read_snapshot(SNAPSHOT_LAST, input);
        if let Ok(state) = &read {
            let encoded = state.encode();
            let is_older = input.first() == Some(&1);
            let head = if is_older { HEAD_BYTES_BEFORE } else { HEAD_BYTES };
            let kept = input.get(head..).is_some_and(|rest| is_kept(rest, &encoded));
            assert!(kept, "accepted, but the state is not what is written");
        }
        Outcome::from(read)
    });
}

/// Whether `image` begins with the state that is written as `encoded`. An image of the version before
/// votes were sealed has another first byte, and ends before what would be sealed: maps of nothing.
fn is_kept(image: &[u8], encoded: &[u8]) -> bool {
    if image.first() == encoded.first() {
        return image.starts_with(encoded);
    }
    let (Some(image), Some(encoded)) = (image.get(1..), encoded.get(1..)) else { return false };
    let common = image.iter().zip(encoded).take_while(|(read, written)| read == written).count();
    encoded.iter().skip(common).all(|byte| *byte == 0)
}

/// What was read is written and read again as the same. Fields that are not known are skipped: an
/// older build reads what a newer one wrote.
#[test]
fn kept_events() {
    Target::new("job-event", Shape::Proto, 30_000).run(Vec::new(), |input| {
        let read = stored::decode::<v1::JobEvent>(input);
        if let Ok(event) = &read {
            assert_eq!(stored::decode(&stored::encode(event)).as_ref(), Ok(event));
        }
        Outcome::from(read)
    });
}
