//! What this process stored lately, so that whoever names a blob right after its upload needs no look
//! at the disk.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;

use crate::limits::BLOBS_LATELY_MAX;

#[derive(Debug, Default)]
struct Inner {
    lengths: HashMap<BlobDigest, ByteCount>,
    order: VecDeque<BlobDigest>,
    removals: u64,
}

/// Lengths of the blobs that were stored last and not removed since.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Inner>);

/// Taken before a blob gets its name: a removal since then makes it void.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

impl Lately {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, digest: &BlobDigest) -> Option<ByteCount> {
        self.lock().lengths.get(digest).copied()
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.lock().removals)
    }

    /// Notes a blob that has its name now, unless something was removed since the ticket: it may
    /// have been this.
    pub(super) fn note(&self, ticket: Ticket, digest: BlobDigest, length: ByteCount) {
        let mut inner = self.lock();
        if inner.removals != ticket.0 || inner.lengths.insert(digest, length).is_some() {
            return;
        }
        inner.order.push_back(digest);
        if inner.order.len() > BLOBS_LATELY_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.lengths.remove(&oldest);
        }
    }

    /// Forgets a blob. To be called before its file is removed and again after.
    pub(super) fn forget(&self, digest: &BlobDigest) {
        let mut inner = self.lock();
        inner.removals += 1;
        if inner.lengths.remove(digest).is_some() {
            inner.order.retain(|known| known != digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(number: u64) -> BlobDigest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        BlobDigest::from_bytes(bytes)
    }

    #[test]
    fn a_removal_beside_an_upload_leaves_nothing_behind() {
        let lately = Lately::default();
        let ticket = lately.ticket();
        lately.forget(&blob(1));
        lately.note(ticket, blob(1), ByteCount::new(5));
        assert_eq!(lately.get(&blob(1)), None, "it may have been removed after it got its name");
        lately.note(lately.ticket(), blob(1), ByteCount::new(5));
        assert_eq!(lately.get(&blob(1)), Some(ByteCount::new(5)));
        lately.forget(&blob(1));
        assert_eq!(lately.get(&blob(1)), None);
    }

    #[test]
    fn the_oldest_go_beyond_the_bound() {
        let lately = Lately::default();
        let most = BLOBS_LATELY_MAX as u64;
        for number in 0..=most {
            lately.note(lately.ticket(), blob(number), ByteCount::new(number));
        }
        assert_eq!(lately.get(&blob(0)), None);
        assert_eq!(lately.get(&blob(most)), Some(ByteCount::new(most)));
        assert_eq!(lately.lock().lengths.len(), BLOBS_LATELY_MAX);
    }
}
