//! Blobs that are gone here and taken back from a verifier that kept them.
//!
//! A proof is named by its digest, so whoever gives it back cannot change it. Verifiers are asked one
//! at a time, each for a bounded time; one that does not hold the blob says so, the next is asked.
//! Who waits for the same blob shares one recall, and a recall goes on when nobody waits any more, so
//! that a caller who comes again finds the blob.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proofgrid_core::ids::{Address, BlobDigest, SessionId};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::VerifierOrder;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::blobs::upload_time_max;
use crate::error::EdgeError;
use crate::limits::{RECALL_NEWS_MAX, RECALLS_MAX};
use crate::session::directory::Directory;

/// What the asked verifier does about it.
#[derive(Debug)]
enum News {
    /// Its upload runs.
    Begun,
    /// The blob is here, whole and checked.
    Stored,
    /// It does not come from this verifier.
    Failed(String),
}

/// The verifier whose turn it is.
#[derive(Clone, Debug)]
struct Asked {
    operator: Address,
    news: mpsc::Sender<News>,
}

#[derive(Debug)]
struct Pending {
    length: ByteCount,
    asked: Option<Asked>,
    /// Whether the blob came back, once that is known.
    outcome: watch::Receiver<Option<bool>>,
}

/// The recalls that run.
#[derive(Debug)]
pub struct Recalls {
    directory: Arc<Directory>,
    /// How long one verifier may take to begin its upload.
    patience: Duration,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    pending: Mutex<HashMap<BlobDigest, Pending>>,
    /// Moves the first verifier that is asked, so that not always the same one does the work.
    turn: AtomicUsize,
}

impl Recalls {
    /// Asks the verifiers of `directory`.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        patience: Duration,
        tracker: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            directory,
            patience,
            tracker,
            shutdown,
            pending: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobDigest, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a blob of this length back from a verifier; tells whether one had it. May take as long
    /// as there are verifiers to ask: callers bound their own wait.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] when too many recalls run; [`EdgeError::ShuttingDown`].
    pub async fn restore(
        self: &Arc<Self>,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<bool, EdgeError> {
        let mut outcome = self.join_or_start(digest, length)?;
        let known = outcome.wait_for(Option::is_some).await;
        let known = known.map_err(|_ended| EdgeError::ShuttingDown)?;
        Ok(known.unwrap_or(false))
    }

    fn join_or_start(
        self: &Arc<Self>,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<watch::Receiver<Option<bool>>, EdgeError> {
        let mut pending = self.lock();
        if let Some(running) = pending.get(&digest) {
            return Ok(running.outcome.clone());
        }
        if pending.len() >= RECALLS_MAX {
            return Err(EdgeError::Busy("too many blobs are asked of the verifiers at a time"));
        }
        let (decide, outcome) = watch::channel(None);
        pending.insert(digest, Pending { length, asked: None, outcome: outcome.clone() });
        let running = Running { recalls: Arc::clone(self), digest };
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move {
            let restored = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                restored = running.recalls.ask_all(digest, length) => restored,
            };
            // Whoever comes from here on looks at the disk first, or starts anew.
            drop(running);
            decide.send_replace(Some(restored));
        });
        Ok(outcome)
    }

    async fn ask_all(&self, digest: BlobDigest, length: ByteCount) -> bool {
        let mut verifiers = self.directory.verifiers();
        if !verifiers.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % verifiers.len();
            verifiers.rotate_left(first);
        }
        let num_asked = verifiers.len();
        for (session, operator) in verifiers {
            match self.ask(session, operator, digest, length).await {
                Ok(()) => {
                    tracing::info!(%digest, %operator, "a verifier gave back a blob that was gone");
                    return true;
                }
                Err(why) => {
                    tracing::info!(%digest, %operator, %why, "a verifier does not give a blob back");
                }
            }
        }
        tracing::warn!(%digest, num_asked, "a blob is gone, and no connected verifier gave it back");
        false
    }

    async fn ask(
        &self,
        session: SessionId,
        operator: Address,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<(), String> {
        let (news, mut heard) = mpsc::channel(RECALL_NEWS_MAX);
        if let Some(pending) = self.lock().get_mut(&digest) {
            pending.asked = Some(Asked { operator, news });
        }
        self.directory.send_verifier(session, VerifierOrder::BlobWanted { digest, length });
        let mut patience = self.patience;
        loop {
            match tokio::time::timeout(patience, heard.recv()).await {
                Err(_elapsed) => return Err(format!("nothing came for {patience:?}")),
                Ok(Some(News::Begun)) => patience = upload_time_max(length.get()),
                Ok(Some(News::Stored)) => return Ok(()),
                Ok(Some(News::Failed(why))) => return Err(why),
                Ok(None) => return Err("the recall is over".to_owned()),
            }
        }
    }

    fn asked(&self, operator: Address, digest: BlobDigest) -> Option<(ByteCount, Asked)> {
        let pending = self.lock();
        let recall = pending.get(&digest)?;
        let asked = recall.asked.clone().filter(|asked| asked.operator == operator)?;
        Some((recall.length, asked))
    }

    /// The length of the blob that this verifier may upload now, if it is its turn.
    #[must_use]
    pub fn awaited(&self, operator: Address, digest: BlobDigest) -> Option<ByteCount> {
        self.asked(operator, digest).map(|(length, _)| length)
    }

    /// Notes that the asked verifier's upload runs. Dropping what is returned means that it failed.
    #[must_use]
    pub fn begin(&self, operator: Address, digest: BlobDigest) -> Option<Delivery> {
        let (_, asked) = self.asked(operator, digest)?;
        let _ = asked.news.try_send(News::Begun);
        Some(Delivery { news: asked.news })
    }

    /// Notes that the asked verifier does not give the blob; of others this means nothing.
    pub fn unavailable(&self, operator: Address, digest: BlobDigest, why: String) {
        if let Some((_, asked)) = self.asked(operator, digest) {
            let _ = asked.news.try_send(News::Failed(why));
        }
    }
}

/// The upload of the verifier whose turn it is.
#[derive(Debug)]
pub struct Delivery {
    news: mpsc::Sender<News>,
}

impl Delivery {
    /// The blob is here.
    pub fn stored(self) {
        let _ = self.news.try_send(News::Stored);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // Behind `stored` this is not read any more.
        let _ = self.news.try_send(News::Failed("its upload broke off".to_owned()));
    }
}

/// Takes a recall off the list, however it ended.
struct Running {
    recalls: Arc<Recalls>,
    digest: BlobDigest,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.recalls.lock().remove(&self.digest);
    }
}

#[cfg(test)]
mod tests;
