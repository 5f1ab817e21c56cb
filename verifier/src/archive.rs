//! The archive: judged proofs, kept so that they can be served when somebody withholds them.
//!
//! Beside the proofs lies one small file per statement with the digests of its proofs. It is `open`
//! from the verdict until this verifier attests the statement, then `attested`; its time is that of the
//! last change. Whether a proof may go is read off these files alone, so a restart changes nothing.
//! They say nothing about verdicts: if all of them are lost, proofs are kept for a shorter time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use proofgrid_core::ids::{BlobDigest, StatementDigest};
use proofgrid_core::limits::SEGMENTS_MAX;
use proofgrid_core::units::ByteCount;
use proofgrid_store::blob::{BlobError, BlobFacts, BlobStore, BlobStoreConfig};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::config::{Retention, VerifierConfig};
use crate::limits::{COLLECT_INTERVAL, KEPT_AT_LEAST, OPEN_AT_MOST, PARTIAL_AGE_MAX};

const OPEN: &str = "open";
const ATTESTED: &str = "attested";

/// Why the archive cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// The blob store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A file of the statements failed.
    #[error("cannot {action} {path}: {problem}; check the disk's space and the folder's owner")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The process is shutting down.
    #[error("the verifier is shutting down")]
    Interrupted,
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ArchiveError + 'a {
    move |error| ArchiveError::File { action, path: path.into(), problem: error.to_string() }
}

/// What one look for old proofs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Proofs that were removed.
    pub(crate) removed: usize,
    /// Bytes that stay.
    pub(crate) kept: u64,
}

/// The kept proofs.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) store: BlobStore,
    statements: PathBuf,
    retention: Retention,
    /// Held while notes are read and proofs removed, so that none is removed that was just noted.
    changing: Arc<Mutex<()>>,
}

impl Archive {
    /// Opens or creates the archive of a verifier.
    pub(crate) fn open(config: &VerifierConfig) -> Result<Self, ArchiveError> {
        let store = BlobStore::open(&BlobStoreConfig::new(config.proofs_directory()))?;
        let statements = config.statements_directory();
        fs::create_dir_all(&statements).map_err(failed("create", &statements))?;
        let (retention, changing) = (config.retention, Arc::default());
        Ok(Self { store, statements, retention, changing })
    }

    fn path(&self, statement: StatementDigest, state: &str) -> PathBuf {
        self.statements.join(format!("{statement}.{state}"))
    }

    /// Notes that a statement over these proofs was judged.
    pub(crate) async fn judged(&self, statement: StatementDigest, proofs: Vec<BlobDigest>) {
        let (open, attested) = (self.path(statement, OPEN), self.path(statement, ATTESTED));
        self.note(statement, move || {
            if attested.exists() {
                return Ok(());
            }
            let bytes: Vec<u8> = proofs.iter().flat_map(|proof| *proof.as_bytes()).collect();
            // Written aside: a half-written list would let the rest of its proofs go early.
            let aside = open.with_extension("part");
            fs::write(&aside, bytes).map_err(failed("write", &aside))?;
            fs::rename(&aside, &open).map_err(failed("rename", &aside))
        })
        .await;
    }

    /// Notes that this verifier attested a statement.
    pub(crate) async fn attested(&self, statement: StatementDigest) {
        let (open, attested) = (self.path(statement, OPEN), self.path(statement, ATTESTED));
        self.note(statement, move || {
            match fs::rename(&open, &attested) {
                // Attested before, or judged before a folder was lost.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                renamed => renamed.map_err(failed("rename", &open))?,
            }
            let touched = File::options().append(true).open(&attested);
            touched
                .and_then(|file| file.set_modified(SystemTime::now()))
                .map_err(failed("touch", &attested))
        })
        .await;
    }

    /// A note that fails makes its proofs go early; no vote waits for it.
    async fn note(
        &self,
        statement: StatementDigest,
        write: impl FnOnce() -> Result<(), ArchiveError> + Send + 'static,
    ) {
        let _changing = self.changing.lock().await;
        if let Err(error) = blocking(write).await {
            tracing::warn!(target: "verifier", %statement, %error, "proofs may be collected early");
        }
    }

    /// Removes what may go at `now`.
    pub(crate) async fn collect(&self, now: SystemTime) -> Result<Collected, ArchiveError> {
        let _changing = self.changing.lock().await;
        let statements = self.statements.clone();
        let needs = blocking(move || read_needs(&statements, now)).await?;
        let mut listed = self.list(&needs).await?;
        listed.sort_by_key(|blob| (blob.since, blob.digest));
        let mut kept: u64 = listed.iter().map(|blob| blob.length.get()).sum();
        let bytes_max = self.retention.bytes_max.get();
        let mut removed = 0;
        for blob in listed.iter().filter(|blob| !needs.open.contains(&blob.digest)) {
            let age = age(now, blob.since);
            let is_old = age >= self.retention.time;
            if age >= KEPT_AT_LEAST && (is_old || kept > bytes_max) {
                self.store.delete(blob.digest).await?;
                kept = kept.saturating_sub(blob.length.get());
                removed += 1;
            }
        }
        let (statements, time) = (self.statements.clone(), self.retention.time);
        blocking(move || forget(&statements, now, time)).await?;
        if kept > bytes_max {
            let (kept, bytes_max) = (ByteCount::new(kept), self.retention.bytes_max);
            tracing::warn!(
                target: "verifier", %kept, %bytes_max,
                "kept proofs take more than proof_bytes_max, and none of them may go yet; raise it \
                 or give the data directory more room"
            );
        }
        Ok(Collected { removed, kept })
    }

    async fn list(&self, needs: &Needs) -> Result<Vec<Listed>, ArchiveError> {
        let mut listed = Vec::new();
        let mut digests = self.store.digests();
        while let Some(digest) = digests.next().await {
            let digest = digest?;
            // What was removed meanwhile needs no look.
            let Some(BlobFacts { length, stored_at }) = self.store.facts(digest).await? else {
                continue;
            };
            // A proof of no statement counts from its download.
            let since = needs.attested.get(&digest).copied().unwrap_or(stored_at);
            listed.push(Listed { digest, length, since });
        }
        Ok(listed)
    }

    /// Looks for old proofs and abandoned downloads, at once and then again and again.
    pub(crate) async fn keep_in_order(&self) -> std::convert::Infallible {
        let mut looks = tokio::time::interval(COLLECT_INTERVAL);
        loop {
            looks.tick().await;
            match self.store.sweep_partial(PARTIAL_AGE_MAX).await {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::info!(target: "verifier", removed, "removed abandoned downloads");
                }
                Err(error) => {
                    tracing::warn!(target: "verifier", %error, "abandoned downloads stay");
                }
            }
            match self.collect(SystemTime::now()).await {
                Ok(Collected { removed: 0, .. }) => {}
                Ok(Collected { removed, kept }) => {
                    let kept = ByteCount::new(kept);
                    tracing::info!(target: "verifier", removed, %kept, "removed old proofs");
                }
                Err(error) => tracing::warn!(target: "verifier", %error, "old proofs stay"),
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    proofgrid_store::blocking::spawn(work).await.map_err(|_cancelled| ArchiveError::Interrupted)?
}

/// What the statements say about proofs.
#[derive(Debug, Default)]
struct Needs {
    /// Proofs of statements that may still be judged or voted on.
    open: HashSet<BlobDigest>,
    /// When the last statement over a proof was attested.
    attested: HashMap<BlobDigest, SystemTime>,
}

/// A kept proof.
#[derive(Clone, Copy, Debug)]
struct Listed {
    digest: BlobDigest,
    length: ByteCount,
    /// From when its time counts.
    since: SystemTime,
}

/// A time in the future, as after a clock was set back, is now.
fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// The files of statements, with their times.
fn files(statements: &Path) -> Result<BTreeMap<PathBuf, SystemTime>, ArchiveError> {
    let list = |error| failed("list", statements)(error);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(statements).map_err(list)? {
        let entry = entry.map_err(list)?;
        let path = entry.path();
        let changed = entry.metadata().and_then(|meta| meta.modified());
        let changed = changed.map_err(failed("look at", &path))?;
        found.insert(path, changed);
    }
    Ok(found)
}

fn read_needs(statements: &Path, now: SystemTime) -> Result<Needs, ArchiveError> {
    let mut needs = Needs::default();
    for (path, changed) in files(statements)? {
        let state = path.extension().and_then(OsStr::to_str);
        let is_open = match state {
            Some(OPEN) => age(now, changed) < OPEN_AT_MOST,
            Some(ATTESTED) => false,
            _ => continue,
        };
        for proof in read_digests(&path)? {
            if is_open {
                needs.open.insert(proof);
            } else if state == Some(ATTESTED) {
                let newest = needs.attested.entry(proof).or_insert(changed);
                *newest = changed.max(*newest);
            }
        }
    }
    Ok(needs)
}

fn read_digests(path: &Path) -> Result<Vec<BlobDigest>, ArchiveError> {
    const BYTES_MAX: u64 = SEGMENTS_MAX as u64 * 32;
    let length = fs::metadata(path).map_err(failed("look at", path))?.len();
    if length > BYTES_MAX {
        let problem = format!("{length} bytes, a list of proofs has at most {BYTES_MAX}");
        return Err(ArchiveError::File { action: "use", path: path.into(), problem });
    }
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let (digests, _) = bytes.as_chunks::<32>();
    Ok(digests.iter().copied().map(BlobDigest::from_bytes).collect())
}

/// Removes the files of statements that protect nothing any more.
fn forget(statements: &Path, now: SystemTime, time: Duration) -> Result<(), ArchiveError> {
    for (path, changed) in files(statements)? {
        let most = match path.extension().and_then(OsStr::to_str) {
            Some(OPEN) => OPEN_AT_MOST,
            Some(ATTESTED) => time.max(KEPT_AT_LEAST),
            _ => KEPT_AT_LEAST,
        };
        if age(now, changed) >= most {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
