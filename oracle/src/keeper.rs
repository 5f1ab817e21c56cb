//! What a prover's node does about its own locks: it delivers in time, ends what can be ended, and takes
//! back what it signed for a lease that it does not hold any more.
//!
//! Only the prover's own account can deliver, so this runs beside the prover, with a wallet that has
//! coins for gas. It learns of a lease before the acceptance is said to anybody, and keeps what it
//! knows on disk: a lock that was made while the node was down is found again. The contract decides
//! about everything; a call that somebody else has made in the meantime is simply not due any more.
//!
//! An acceptance can be posted by whoever has it until its deadline. One whose lease is lost or given up
//! would bind the bond for work that nobody expects, so it is revoked while it can still be posted.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::bond::AcceptedLease;
use proofgrid_core::ids::{Address, JobId, TaskId};
use proofgrid_core::units::UnixSeconds;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::abi::{JobState, LockState};
use crate::bonds::{BondBook, BondError, Lock, LockId};
use crate::duty::{self, Duty};
use crate::sender::{SendError, SharedSender};
use crate::state_file::{StateFile, StateFileError, StateKind};

/// Most locks that are kept; a worker has far fewer slots, and every job ends.
const LOCKS_MAX: usize = 1024;
/// News that may wait while a transaction is on its way.
const NEWS_MAX: usize = 1024;

const KIND: StateKind = StateKind {
    magic: *b"PGLOCK01",
    remedy: "restore it from a backup, or remove it: locks are then resolved by others, and \
             `prover bond status` shows them",
};

const GIVEN_UP: StateKind = StateKind {
    magic: *b"PGGIVE01",
    remedy: "restore it from a backup, or remove it: an acceptance that was given up can then be \
             posted until its deadline",
};

/// An acceptance that the prover does not stand by any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct GivenUp {
    id: LockId,
    deadline: UnixSeconds,
    acceptance: [u8; 32],
}

/// A lock that the prover's signature can make or has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Kept {
    id: LockId,
    deadline: UnixSeconds,
    /// What is delivered, once there is something.
    leaf: Option<[u8; 32]>,
}

/// What a prover tells its keeper.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    Accepted(LockId, UnixSeconds),
    Proved(JobId, TaskId, [u8; 32]),
    GivenUp(GivenUp),
}

/// Tells a keeper what its prover did. Calls never wait.
#[derive(Debug, Clone)]
pub struct KeeperHandle {
    book: BondBook,
    news: mpsc::Sender<News>,
}

impl KeeperHandle {
    /// The prover signed for a lease.
    pub fn accepted(&self, accepted: &AcceptedLease) {
        self.tell(News::Accepted(LockId::of(accepted), accepted.lease.terms.deadline));
    }

    /// The prover has its proof.
    pub fn proved(&self, job: JobId, task: TaskId, leaf: [u8; 32]) {
        self.tell(News::Proved(job, task, leaf));
    }

    /// The prover has no use any more for what it signed.
    pub fn given_up(&self, accepted: &AcceptedLease) {
        self.tell(News::GivenUp(GivenUp {
            id: LockId::of(accepted),
            deadline: accepted.lease.terms.deadline,
            acceptance: self.book.acceptance_digest(&accepted.lease),
        }));
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::error!(?news, "the bond's keeper does not listen; see `prover bond status`");
        }
    }
}

/// What is to be done about a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Wait,
    Deliver([u8; 32]),
    Resolve,
    Forget,
}

impl Kept {
    /// A lock that is there has its own deadline: that of the acceptance that was posted first.
    const fn due(&self, lock: &Lock, job: JobState, now: UnixSeconds) -> Due {
        let deadline = if lock.is_live() { lock.deadline } else { self.deadline };
        let late = now.get() > deadline.get();
        match (lock.state, job, self.leaf) {
            (
                LockState::Locked | LockState::Delivered,
                JobState::Settled | JobState::Refunded,
                _,
            ) => Due::Resolve,
            (LockState::Locked, _, Some(leaf)) if !late => Due::Deliver(leaf),
            (LockState::Locked | LockState::Delivered, ..) => Due::Wait,
            // Nobody has posted it; after its time nobody can.
            (LockState::None, JobState::Open, _) if !late => Due::Wait,
            _ => Due::Forget,
        }
    }
}

impl GivenUp {
    /// Whether nobody can post it any more, or somebody has: a live lock with its deadline is its own.
    const fn is_over(&self, lock: &Lock, job: JobState, now: UnixSeconds) -> bool {
        let posted = lock.is_live() && lock.deadline.get() == self.deadline.get();
        posted || !matches!(job, JobState::Open) || now.get() > self.deadline.get()
    }
}

/// The keeper of one prover's locks.
#[derive(Debug)]
pub struct Keeper {
    book: BondBook,
    sender: SharedSender,
    file: StateFile,
    kept: Vec<Kept>,
    given_up_file: StateFile,
    given_up: Vec<GivenUp>,
    news: mpsc::Receiver<News>,
}

impl Keeper {
    /// Opens what an earlier run knew, in `folder`.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    pub fn open(
        book: BondBook,
        sender: SharedSender,
        folder: &Path,
    ) -> Result<(Self, KeeperHandle), StateFileError> {
        let file = StateFile::new(folder.join("locks"), KIND);
        let kept = file.load()?.unwrap_or_default();
        let given_up_file = StateFile::new(folder.join("given-up"), GIVEN_UP);
        let given_up = given_up_file.load()?.unwrap_or_default();
        let (told, news) = mpsc::channel(NEWS_MAX);
        let handle = KeeperHandle { book: book.clone(), news: told };
        Ok((Self { book, sender, file, kept, given_up_file, given_up, news }, handle))
    }

    /// The prover.
    #[must_use]
    pub const fn prover(&self) -> Address {
        self.sender.address()
    }

    /// Works until `stop`, and then once more for what was told before. What the chain or a node
    /// refuses for now is tried again.
    pub async fn run(self, stop: CancellationToken) {
        duty::attend(self, stop).await;
    }

    async fn store(&self) {
        if let Err(error) = self.file.store_async(self.kept.clone()).await {
            tracing::error!(%error, "locks are not on disk; a restart would not know them");
        }
    }

    async fn hear_given_up(&mut self, given_up: GivenUp) {
        if self.given_up.len() >= LOCKS_MAX {
            tracing::error!(task = %given_up.id.task, "too many acceptances; not taken back");
            return;
        }
        self.given_up.push(given_up);
        self.store_given_up().await;
    }

    async fn store_given_up(&self) {
        if let Err(error) = self.given_up_file.store_async(self.given_up.clone()).await {
            tracing::error!(%error, "given up is not on disk; a restart would not take it back");
        }
    }

    /// One look at every acceptance that was given up.
    async fn look_at_given_up(&mut self) {
        let before = self.given_up.len();
        for given_up in self.given_up.clone() {
            match self.take_back(&given_up).await {
                Ok(()) => self.given_up.retain(|known| *known != given_up),
                Err(error) => {
                    tracing::warn!(task = %given_up.id.task, %error, "taken back later");
                }
            }
        }
        if self.given_up.len() != before {
            self.store_given_up().await;
        }
    }

    /// Revokes an acceptance if it can still be posted.
    async fn take_back(&self, given_up: &GivenUp) -> Result<(), BondError> {
        let GivenUp { id, acceptance, .. } = given_up;
        let lock = self.book.lock(*id).await?;
        let job = self.book.job_state(id.job).await?;
        if given_up.is_over(&lock, job, self.book.now().await?) {
            return Ok(());
        }
        let mut sender = self.sender.take().await;
        match self.book.revoke(&mut sender, *acceptance).await {
            Ok(_) => tracing::info!(task = %id.task, "acceptance revoked"),
            // The contract refuses it for one reason: it was posted or revoked before.
            Err(BondError::Send(SendError::WouldRevert { reason, .. })) => {
                tracing::info!(task = %id.task, reason, "acceptance not revoked");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Does what is due; whether the lock is over.
    async fn advance(&self, kept: &Kept) -> Result<bool, BondError> {
        let Kept { id, .. } = kept;
        let lock = self.book.lock(*id).await?;
        let job = self.book.job_state(id.job).await?;
        match kept.due(&lock, job, self.book.now().await?) {
            Due::Wait => return Ok(false),
            Due::Forget => return Ok(true),
            Due::Deliver(leaf) => {
                let mut sender = self.sender.take().await;
                self.book.deliver(&mut sender, (id.job, id.task), leaf).await?;
                tracing::info!(task = %id.task, "delivered");
            }
            Due::Resolve => {
                let mut sender = self.sender.take().await;
                self.book.resolve(&mut sender, *id).await?;
                tracing::info!(task = %id.task, "lock resolved");
            }
        }
        Ok(false)
    }
}

impl Duty for Keeper {
    type News = News;

    fn news(&mut self) -> &mut mpsc::Receiver<News> {
        &mut self.news
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Accepted(id, deadline) => {
                self.kept.retain(|known| known.id != id);
                if self.kept.len() >= LOCKS_MAX {
                    tracing::error!(task = %id.task, "too many locks; this one is not looked after");
                    return;
                }
                self.kept.push(Kept { id, deadline, leaf: None });
            }
            News::Proved(job, task, leaf) => {
                let its = |known: &&mut Kept| (known.id.job, known.id.task) == (job, task);
                if let Some(known) = self.kept.iter_mut().find(its) {
                    known.leaf = Some(leaf);
                }
            }
            News::GivenUp(given_up) => return self.hear_given_up(given_up).await,
        }
        self.store().await;
    }

    async fn look(&mut self) {
        self.look_at_given_up().await;
        let before = self.kept.len();
        for kept in self.kept.clone() {
            match self.advance(&kept).await {
                Ok(true) => self.kept.retain(|known| known.id != kept.id),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(task = %kept.id.task, %error, "a lock is looked at again later");
                }
            }
        }
        if self.kept.len() != before {
            self.store().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: [u8; 32] = [7; 32];

    fn due(lock: LockState, job: JobState, leaf: Option<[u8; 32]>, now: u64) -> Due {
        let id = LockId {
            job: JobId::from_bytes([1; 32]),
            task: TaskId::from_bytes([2; 32]),
            prover: Address::from_bytes([3; 20]),
        };
        // Signed again for later; what was posted is the first.
        let (deadline, again) = (UnixSeconds::new(100), UnixSeconds::new(150));
        let lock = Lock { id, amount: 1, deadline, state: lock };
        let deadline = if lock.is_live() { again } else { deadline };
        Kept { id, deadline, leaf }.due(&lock, job, UnixSeconds::new(now))
    }

    #[test]
    fn it_delivers_in_time_and_only_what_is_there() {
        let open = JobState::Open;
        assert_eq!(due(LockState::None, open, Some(LEAF), 1), Due::Wait, "not posted yet");
        assert_eq!(due(LockState::Locked, open, None, 1), Due::Wait);
        assert_eq!(due(LockState::Locked, open, Some(LEAF), 100), Due::Deliver(LEAF));
        assert_eq!(due(LockState::Locked, open, Some(LEAF), 101), Due::Wait, "too late");
        assert_eq!(due(LockState::Delivered, open, Some(LEAF), 1), Due::Wait);
    }

    #[test]
    fn an_acceptance_is_taken_back_while_somebody_could_post_it() {
        let id = LockId {
            job: JobId::from_bytes([1; 32]),
            task: TaskId::from_bytes([2; 32]),
            prover: Address::from_bytes([3; 20]),
        };
        let deadline = UnixSeconds::new(100);
        let given_up = GivenUp { id, deadline, acceptance: LEAF };
        let is_over = |state: LockState, until: u64, job: JobState, now: u64| {
            let lock = Lock { id, amount: 1, deadline: UnixSeconds::new(until), state };
            given_up.is_over(&lock, job, UnixSeconds::new(now))
        };
        let open = JobState::Open;
        assert!(!is_over(LockState::None, 0, open, 100), "anybody may post it");
        assert!(!is_over(LockState::Locked, 99, open, 1), "another acceptance is posted");
        assert!(!is_over(LockState::Penalised, 100, open, 1), "a later lease can be posted");
        assert!(is_over(LockState::Locked, 100, open, 1), "it is posted");
        assert!(is_over(LockState::None, 0, open, 101), "too late to post it");
        assert!(is_over(LockState::None, 0, JobState::Settled, 1));
    }

    #[test]
    fn it_ends_what_can_be_ended_and_forgets_what_is_over() {
        for job in [JobState::Settled, JobState::Refunded] {
            for lock in [LockState::Locked, LockState::Delivered] {
                assert_eq!(due(lock, job, Some(LEAF), 1), Due::Resolve);
            }
            assert_eq!(due(LockState::None, job, None, 1), Due::Forget);
        }
        for lock in [LockState::Released, LockState::Penalised] {
            assert_eq!(due(lock, JobState::Open, None, 1), Due::Forget);
        }
        assert_eq!(due(LockState::None, JobState::Open, None, 101), Due::Forget);
    }
}
