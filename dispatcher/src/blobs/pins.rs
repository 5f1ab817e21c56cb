//! Keeps a blob's file from being removed while somebody is about to make the state want it.
//!
//! A file and the fact about it change one after the other: an upload renames, then records; a
//! removal asks whether the blob is wanted, then unlinks. Between the two steps of the one nobody
//! may take the steps of the other, or a job would wait for bytes that are gone. So whoever will
//! record a blob pins it first, and a removal leaves a pinned blob alone: it is wanted soon, or the
//! next sweep finds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::ids::BlobDigest;
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// So many calls and messages will record it.
    Pinned(usize),
    /// It is being removed.
    Removing,
}

/// Which blobs are pinned or being removed; bounded by the calls that run.
#[derive(Debug, Default)]
pub struct Pins {
    marks: Mutex<HashMap<BlobDigest, Mark>>,
    freed: Notify,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, HashMap<BlobDigest, Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_pin(self: &Arc<Self>, digest: BlobDigest) -> Option<Pin> {
        let mut marks = self.lock();
        match marks.entry(digest).or_insert(Mark::Pinned(0)) {
            Mark::Pinned(count) => *count += 1,
            Mark::Removing => return None,
        }
        Some(Pin { pins: Arc::clone(self), digest })
    }

    /// Pins a blob, after waiting for the end of a removal, which takes milliseconds.
    pub(crate) async fn pin(self: &Arc<Self>, digest: BlobDigest) -> Pin {
        loop {
            // Listens before it looks, so that no end of a removal is missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(pin) = self.try_pin(digest) {
                return pin;
            }
            freed.await;
        }
    }

    /// Begins to remove a blob; `None` while somebody pins or removes it.
    pub(crate) fn remove(self: &Arc<Self>, digest: BlobDigest) -> Option<Removal> {
        let mut marks = self.lock();
        if marks.contains_key(&digest) {
            return None;
        }
        marks.insert(digest, Mark::Removing);
        Some(Removal { pins: Arc::clone(self), digest })
    }
}

/// Held until the state machine was handed the fact about the blob.
#[derive(Debug)]
pub(crate) struct Pin {
    pins: Arc<Pins>,
    digest: BlobDigest,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut marks = self.pins.lock();
        if let Some(Mark::Pinned(count)) = marks.get_mut(&self.digest) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                marks.remove(&self.digest);
            }
        }
    }
}

/// Held while a blob is being removed.
#[derive(Debug)]
pub(crate) struct Removal {
    pins: Arc<Pins>,
    digest: BlobDigest,
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.pins.lock().remove(&self.digest);
        self.pins.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn blob(byte: u8) -> BlobDigest {
        BlobDigest::from_bytes([byte; 32])
    }

    #[tokio::test]
    async fn a_pinned_blob_is_not_removed_until_the_last_pin_is_gone() {
        let pins = Arc::new(Pins::default());
        let first = pins.pin(blob(1)).await;
        let second = pins.pin(blob(1)).await;
        assert!(pins.remove(blob(1)).is_none());
        assert!(pins.remove(blob(2)).is_some(), "another blob is free");
        drop(first);
        assert!(pins.remove(blob(1)).is_none());
        drop(second);
        assert!(pins.remove(blob(1)).is_some());
        assert!(pins.lock().is_empty());
    }

    #[tokio::test]
    async fn a_pin_waits_for_the_end_of_a_removal() {
        let pins = Arc::new(Pins::default());
        let removal = pins.remove(blob(1)).unwrap();
        assert!(pins.remove(blob(1)).is_none(), "one removal at a time");
        let mut pin = std::pin::pin!(pins.pin(blob(1)));
        assert!(pin.as_mut().now_or_never().is_none());
        drop(removal);
        let _pinned = pin.await;
        assert!(pins.remove(blob(1)).is_none());
    }
}
