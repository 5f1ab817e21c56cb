//! What a worker does in races, if its operator lets it: the chain behind it, and what it keeps on disk.
//!
//! A race is not leased. The worker proves all of a job by itself, keeps the proofs in a folder of
//! their own, and hands the statement's digest to the node beside it, which commits and reveals
//! ([`RacePort`]). Nothing of it leaves before that says so.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{ChainContract, JobId, StatementDigest};
use proofgrid_core::statement::OpenedStatement;
use proofgrid_core::units::UnixSeconds;

use crate::disk::{self, Durability};
use crate::holdings::{HeldProof, Holdings, HoldingsError};

/// First bytes of an entry's file: what it is, and its version.
const MAGIC: &[u8; 4] = b"PGE1";

/// What a prover may do about its entry of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RaceStep {
    /// Keep the proofs to itself.
    Keep,
    /// Announce the entry and hand the proofs out.
    Show,
    /// The round is over.
    Over,
}

/// The chain, as far as a race goes. Calls never wait.
pub trait RacePort: fmt::Debug + Send + Sync + 'static {
    /// Whether there is a bond and a stake to race with.
    fn can_race(&self) -> bool;
    /// All of a job is proved and on disk. Saying it again changes nothing.
    fn proved(&self, job: JobId, round: u8, statement: StatementDigest, deadline: UnixSeconds);
    /// Which statement a round is about, and what may be done; `None` if nothing is known of it.
    fn standing(&self, job: JobId, round: u8) -> Option<(StatementDigest, RaceStep)>;
    /// A round that is over is let go.
    fn forget(&self, job: JobId, round: u8);
}

/// What an operator allows.
#[derive(Debug, Clone)]
pub struct Race {
    /// Whose jobs are raced for.
    pub task_manager: ChainContract,
    /// The chain.
    pub port: Arc<dyn RacePort>,
}

/// A finished entry: the statement that was committed to, or will be.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Entry {
    pub(crate) round: u8,
    /// Last second at which the job has a use for it.
    pub(crate) deadline: UnixSeconds,
    pub(crate) opened: OpenedStatement,
}

/// The folder of races: proofs as for leases, and the entries that they make up.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) holdings: Holdings,
    entries: PathBuf,
}

impl Shelf {
    /// Opens the folder of races in a worker's own, and reads what it holds.
    pub(crate) fn open(
        data_dir: &Path,
    ) -> Result<(Self, Vec<HeldProof>, Vec<Entry>), HoldingsError> {
        let folder = data_dir.join("race");
        let entries = folder.join("entries");
        disk::make_dir(&entries)?;
        let (holdings, held) = Holdings::open(&folder)?;
        let shelf = Self { holdings, entries };
        let mut found = Vec::new();
        for path in disk::files(&shelf.entries)? {
            let entry = fs::read(&path).ok().and_then(|bytes| disk::unseal(MAGIC, &bytes));
            match entry.filter(|entry: &Entry| shelf.path(entry.opened.job()) == path) {
                Some(entry) => found.push(entry),
                None => {
                    tracing::warn!(path = %path.display(), "an unreadable entry is dropped");
                    disk::remove(&path)?;
                }
            }
        }
        Ok((shelf, held, found))
    }

    /// Keeps an entry; it is durable when this returns. There is one per job.
    pub(crate) fn keep(&self, entry: &Entry) -> Result<(), HoldingsError> {
        let path = self.path(entry.opened.job());
        disk::write(&path, &disk::seal(MAGIC, entry), Durability::Flushed)?;
        Ok(())
    }

    /// Lets a job's entry go; its proofs stay.
    pub(crate) fn drop_entry(&self, job: JobId) -> Result<(), HoldingsError> {
        disk::remove(&self.path(job))?;
        Ok(())
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.entries.join(format!("{job}.entry"))
    }
}
