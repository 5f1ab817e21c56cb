//! Removing blobs that nobody wants: one at a time when the state machine says so, and all that are
//! left over at the start and every hour, because a removal that a crash cut off is owed by nobody.

use std::sync::Arc;

use futures::StreamExt;
use proofgrid_core::ids::BlobDigest;
use proofgrid_store::blob::{BlobError, BlobStore};

use crate::actor::{ActorHandle, View};
use crate::blobs::Pins;
use crate::limits::SWEEP_PAGE_BLOBS;

#[cfg(test)]
mod tests;

/// Removes blobs.
#[derive(Clone, Debug)]
pub struct Remover {
    /// Where they are.
    pub blobs: BlobStore,
    /// Who knows what is wanted.
    pub actor: ActorHandle,
    /// Who is about to want what.
    pub pins: Arc<Pins>,
}

impl Remover {
    /// Removes a blob, unless somebody wants it by now or is about to. Returns whether it went.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn remove(&self, digest: BlobDigest) -> Result<bool, BlobError> {
        // From here on nobody records the blob: the answer below stays true until it is gone.
        let Some(_removal) = self.pins.remove(digest) else { return Ok(false) };
        let is_wanted = self.actor.read(move |view| view.network.wants_blob(&digest)).await;
        // A full inbox leaves it to the next sweep.
        if is_wanted != Ok(false) {
            return Ok(false);
        }
        self.blobs.delete(digest).await
    }

    /// Removes every blob that nobody wants. Returns how many went.
    ///
    /// # Errors
    /// What the file system says.
    pub async fn sweep(&self) -> Result<usize, BlobError> {
        let mut removed = 0;
        let mut pages = self.blobs.digests().chunks(SWEEP_PAGE_BLOBS);
        while let Some(page) = pages.next().await {
            let page: Vec<BlobDigest> = page.into_iter().collect::<Result<_, _>>()?;
            let unwanted = move |view: &View<'_>| {
                let network = view.network;
                let is_unwanted = |digest: &BlobDigest| !network.wants_blob(digest);
                let has_journal = network.state().facts > 0;
                has_journal.then(|| page.into_iter().filter(is_unwanted).collect::<Vec<_>>())
            };
            let Ok(unwanted) = self.actor.read(unwanted).await else { return Ok(removed) };
            let Some(unwanted) = unwanted else {
                tracing::warn!(
                    "there are blobs but the journal is empty; none is removed now. If the journal \
                     was lost, stop and restore it before the next sweep"
                );
                return Ok(removed);
            };
            for digest in unwanted {
                removed += usize::from(self.remove(digest).await?);
            }
        }
        Ok(removed)
    }
}
