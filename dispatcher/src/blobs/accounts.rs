//! Who may keep how many bytes here before a job names them, and how many move at a time.
//!
//! A requester's key costs nothing, so bounds per key are not enough: all requesters together have
//! one budget, all provers another, so that strangers cannot use up what a held lease needs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use proofgrid_core::ids::{Address, BlobDigest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::EdgeError;
use crate::limits::{BOOKINGS_MAX, PARTIAL_AGE_MAX};

/// Who sends, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Under its signature.
    Requester(Address),
    /// By session token, with a lease.
    Prover(Address),
    /// By session token, because it was asked to give the blob back.
    Verifier(Address),
}

impl Sender {
    pub(crate) const fn address(self) -> Address {
        match self {
            Self::Requester(address) | Self::Prover(address) | Self::Verifier(address) => address,
        }
    }
}

/// Most bytes that no job names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of one sender.
    pub(crate) per_sender: u64,
    /// Of all senders of its kind.
    pub(crate) total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Booking {
    bytes: u64,
    at: Instant,
}

/// The bookings of one kind of sender.
#[derive(Debug, Default)]
struct Ledger {
    of: HashMap<Address, HashMap<BlobDigest, Booking>>,
}

impl Ledger {
    fn keep(&mut self, keep: impl Fn(&BlobDigest, &Booking) -> bool) {
        self.of.retain(|_, bookings| {
            bookings.retain(|digest, booking| keep(digest, booking));
            !bookings.is_empty()
        });
    }

    fn book(
        &mut self,
        owner: Address,
        digest: BlobDigest,
        booking: Booking,
        bounds: Bounds,
    ) -> Result<(), EdgeError> {
        self.keep(|_, old| booking.at.saturating_duration_since(old.at) < PARTIAL_AGE_MAX);
        let (mut own, mut total, mut count) = (booking.bytes, booking.bytes, 1usize);
        for (other, bookings) in &self.of {
            for (known, old) in bookings {
                if *other == owner && *known == digest {
                    continue;
                }
                count += 1;
                total = total.saturating_add(old.bytes);
                if *other == owner {
                    own = own.saturating_add(old.bytes);
                }
            }
        }
        if own > bounds.per_sender {
            return Err(EdgeError::Busy(
                "this sender has too many bytes here that no job names; submit the jobs first",
            ));
        }
        if total > bounds.total || count > BOOKINGS_MAX {
            return Err(EdgeError::Busy("too many bytes or blobs are here that no job names"));
        }
        self.of.entry(owner).or_default().insert(digest, booking);
        Ok(())
    }

    fn settle(&mut self, owner: Address, digest: BlobDigest, booking: Booking) {
        if booking.bytes > 0 {
            self.of.entry(owner).or_default().insert(digest, booking);
        } else if let Some(bookings) = self.of.get_mut(&owner) {
            bookings.remove(&digest);
            if bookings.is_empty() {
                self.of.remove(&owner);
            }
        }
    }
}

/// Bytes that were stored, or are being stored, and that no job names yet, by sender.
#[derive(Debug, Default)]
pub struct Accounts {
    requesters: Mutex<Ledger>,
    provers: Mutex<Ledger>,
    verifiers: Mutex<Ledger>,
}

impl Accounts {
    fn ledger(&self, sender: Sender) -> MutexGuard<'_, Ledger> {
        let ledger = match sender {
            Sender::Requester(_) => &self.requesters,
            Sender::Prover(_) => &self.provers,
            Sender::Verifier(_) => &self.verifiers,
        };
        ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every blob that this kind of sender has booked; at most [`BOOKINGS_MAX`].
    pub(crate) fn booked(&self, sender: Sender) -> HashSet<BlobDigest> {
        self.ledger(sender).of.values().flat_map(|bookings| bookings.keys().copied()).collect()
    }

    /// Strikes blobs that jobs name by now.
    pub(crate) fn strike(&self, sender: Sender, claimed: &HashSet<BlobDigest>) {
        self.ledger(sender).keep(|digest, _| !claimed.contains(digest));
    }

    /// Books an upload with its whole length. What is returned books only what arrived when it is
    /// dropped, so that announcing bytes uses up nothing for longer than the call.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when a bound is reached.
    pub(crate) fn book(
        self: &Arc<Self>,
        sender: Sender,
        digest: BlobDigest,
        bytes: u64,
        bounds: Bounds,
    ) -> Result<Booked, EdgeError> {
        let booking = Booking { bytes, at: Instant::now() };
        self.ledger(sender).book(sender.address(), digest, booking, bounds)?;
        Ok(Booked { accounts: Arc::clone(self), sender, digest, held: 0 })
    }
}

/// A booking while its upload runs.
#[derive(Debug)]
pub(crate) struct Booked {
    accounts: Arc<Accounts>,
    sender: Sender,
    digest: BlobDigest,
    held: u64,
}

impl Booked {
    /// So many bytes are on disk.
    pub(crate) const fn holds(&mut self, bytes: u64) {
        self.held = bytes;
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        let booking = Booking { bytes: self.held, at: Instant::now() };
        self.accounts.ledger(self.sender).settle(self.sender.address(), self.digest, booking);
    }
}

/// How many transfers run at a time: peers in a session have their own share, which requesters,
/// whose keys cost nothing, cannot use up.
#[derive(Debug)]
pub struct Lanes {
    peers: Arc<Semaphore>,
    requesters: Arc<Semaphore>,
}

impl Lanes {
    /// Lanes for so many transfers each.
    #[must_use]
    pub fn new(peers: usize, requesters: usize) -> Self {
        Self {
            peers: Arc::new(Semaphore::new(peers)),
            requesters: Arc::new(Semaphore::new(requesters)),
        }
    }

    /// Takes a place in the lane of peers or of requesters.
    pub(crate) fn enter(
        &self,
        is_peer: bool,
        full: &'static str,
    ) -> Result<OwnedSemaphorePermit, EdgeError> {
        let lane = if is_peer { &self.peers } else { &self.requesters };
        Arc::clone(lane).try_acquire_owned().map_err(|_| EdgeError::Busy(full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { per_sender: 10, total: 25 };

    fn requester(byte: u8) -> Sender {
        Sender::Requester(Address::from_bytes([byte; 20]))
    }

    fn blob(byte: u8) -> BlobDigest {
        BlobDigest::from_bytes([byte; 32])
    }

    #[test]
    fn free_keys_share_one_budget_and_provers_have_another() {
        let accounts = Arc::new(Accounts::default());
        let mut held = Vec::new();
        for byte in 1..=2 {
            held.push(accounts.book(requester(byte), blob(byte), 10, BOUNDS).unwrap());
        }
        let over = accounts.book(requester(3), blob(3), 10, BOUNDS);
        assert!(matches!(over, Err(EdgeError::Busy(_))), "{over:?}");
        let own = accounts.book(requester(1), blob(4), 1, BOUNDS);
        assert!(matches!(own, Err(EdgeError::Busy(_))), "{own:?}");
        let prover = Sender::Prover(Address::from_bytes([3; 20]));
        accounts.book(prover, blob(3), 10, BOUNDS).unwrap();
    }

    #[test]
    fn only_bytes_that_arrived_stay_booked_until_a_job_names_them() {
        let accounts = Arc::new(Accounts::default());
        drop(accounts.book(requester(1), blob(1), 10, BOUNDS).unwrap());
        assert!(accounts.booked(requester(1)).is_empty(), "announced, never sent");

        let mut partial = accounts.book(requester(1), blob(1), 10, BOUNDS).unwrap();
        partial.holds(6);
        drop(partial);
        assert!(accounts.book(requester(1), blob(2), 5, BOUNDS).is_err(), "6 bytes are held");
        accounts.strike(requester(1), &HashSet::from([blob(1)]));
        accounts.book(requester(1), blob(2), 5, BOUNDS).unwrap();
    }

    #[test]
    fn a_booking_expires_with_its_partial_file() {
        let mut ledger = Ledger::default();
        let owner = Address::from_bytes([1; 20]);
        let at = Instant::now();
        ledger.book(owner, blob(1), Booking { bytes: 10, at }, BOUNDS).unwrap();
        let later = |at| Booking { bytes: 10, at };
        assert!(ledger.book(owner, blob(2), later(at), BOUNDS).is_err());
        ledger.book(owner, blob(2), later(at + PARTIAL_AGE_MAX), BOUNDS).unwrap();
    }

    #[test]
    fn requesters_leave_the_lane_of_the_peers_free() {
        let lanes = Lanes::new(1, 1);
        let _first = lanes.enter(false, "full").unwrap();
        assert!(lanes.enter(false, "full").is_err());
        let _peer = lanes.enter(true, "full").unwrap();
    }
}
