//! The vote log: every verdict is on the disk before it is signed, at most one per statement, with the
//! secret that hides it until it is opened; and so is every commit set before a vote is opened to it,
//! at most one per statement and epoch.
//!
//! One file, append-only, one writer (the file is locked). Layout, integers big-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | `PGVOTE` and version 2 (2 bytes), once |
//! | 4 | length of the body |
//! | 4 | CRC-32 of the record's offset (8 bytes) and the length |
//! | 4 | CRC-32 of the body |
//! | n | body: borsh of a verdict (statement digest, target, verdict, detail, judging time, secret) or of a set that a vote was opened to (statement digest, epoch, table, set digest) |
//!
//! A crash can cut the last record short. Such a tail was never acknowledged, so nothing was
//! signed for it, and it is removed. Damage anywhere else is never repaired or skipped: a forgotten
//! verdict could be signed the other way. After a failed write nothing more is recorded.

mod format;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::crypto::hash::keccak256_concat;
use proofgrid_core::ids::{
    ChainContract, CommitSetDigest, EpochNumber, StatementDigest, TableDigest,
};
use proofgrid_core::sealed::Salt;
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Millis;
use proofgrid_store::lock::LockedFile;
use thiserror::Error;

use self::format::{HEADER, Tail};

/// Why a vote log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VoteLogError {
    /// Another process holds it.
    #[error("the vote log {path} is in use by another process; one verifier per key, stop it")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else, or of another version.
    #[error("{path} is no vote log of this version; move it away or use the build that wrote it")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A record is damaged.
    #[error(
        "the vote log {path} is damaged at byte {offset}: {problem}. Signing without it could make \
         this operator slashable: restore the file from a copy, do not delete it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged record starts.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// The file system failed.
    #[error("cannot {action} the vote log {path}: {problem}; nothing is signed until a restart")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        problem: String,
    },
    /// An earlier write failed.
    #[error("the vote log {path} failed earlier; nothing is signed until a restart")]
    Failed {
        /// The file.
        path: PathBuf,
    },
    /// The vote was opened to another commit set of this sitting, or to one of a later sitting.
    #[error(
        "the vote on statement {statement} in epoch {epoch} was opened to the commit set {opened}, it \
         is not opened to {refused}, which is of no later sitting; a dispatcher that signs two sets of \
         one sitting cheats: keep the log and report it"
    )]
    OtherSet {
        /// The statement.
        statement: StatementDigest,
        /// The epoch.
        epoch: EpochNumber,
        /// The set that the vote was opened to.
        opened: CommitSetDigest,
        /// The other one.
        refused: CommitSetDigest,
    },
    /// There is another verdict for the statement already.
    #[error(
        "statement {statement} has the verdict {logged} in the vote log, {refused} is never signed; \
         two verdicts on one statement mean a bug or a changed program: keep the log and report it"
    )]
    OtherVerdict {
        /// The statement.
        statement: StatementDigest,
        /// The verdict that stands.
        logged: Verdict,
        /// The verdict that was refused.
        refused: Verdict,
    },
}

/// Where and why a statement is invalid.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Fault {
    /// Index of the first bad segment.
    pub segment: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// What the verifier found; the fault makes the difference.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finding {
    /// Every segment verified and the claim fits.
    Valid,
    /// A completed refusal.
    Invalid(Fault),
}

impl Finding {
    /// The verdict that is signed.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Valid => Verdict::Valid,
            Self::Invalid(_) => Verdict::Invalid,
        }
    }
}

/// One statement's entry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// What was judged.
    pub statement: StatementDigest,
    /// Where its job wants its certificate; a batch for elsewhere is not attested.
    pub target: ChainContract,
    /// What was found.
    pub finding: Finding,
    /// How long judging took.
    pub judged_in: Millis,
    /// Of this statement alone; every epoch's salt is made of it.
    pub secret: Salt,
}

impl Entry {
    /// What the vote in an epoch is hidden with. The same after every restart, another in each epoch.
    #[must_use]
    pub fn salt(&self, epoch: EpochNumber, table: TableDigest) -> Salt {
        let salt = keccak256_concat(&[
            b"PROOFGRID_VOTE_SALT_V1",
            self.secret.as_bytes(),
            &epoch.get().to_be_bytes(),
            table.as_bytes(),
            self.statement.as_bytes(),
        ]);
        Salt::from_bytes(salt)
    }
}

/// The commit set that a vote was opened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opened {
    /// What was voted on.
    pub statement: StatementDigest,
    /// The epoch of the vote.
    pub epoch: EpochNumber,
    /// Its table.
    pub table: TableDigest,
    /// Which sitting of the vote it is the set of.
    pub sitting: u32,
    /// The set.
    pub set: CommitSetDigest,
}

/// One record of the file.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Record {
    /// A verdict.
    Verdict(Entry),
    /// A vote is about to be opened.
    Opened(Opened),
}

/// An entry that is on the disk. Only the log makes one, and only from one is a vote signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged(Entry);

impl Logged {
    /// The entry.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.0
    }

    /// The verdict that may be signed.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.0.finding.verdict()
    }
}

/// The open log, with every entry in memory (about 250 bytes each, an epoch's opened vote included).
#[derive(Debug)]
pub struct VoteLog {
    path: PathBuf,
    file: LockedFile,
    entries: HashMap<StatementDigest, Logged>,
    /// The newest sitting that each vote was opened in, with its commit set.
    opened: HashMap<(StatementDigest, EpochNumber, TableDigest), (u32, CommitSetDigest)>,
    length: u64,
    is_failed: bool,
}

impl VoteLog {
    /// Opens or creates a log, removes a torn tail, reads every entry.
    ///
    /// # Errors
    /// [`VoteLogError::Locked`], [`VoteLogError::Format`], [`VoteLogError::Damaged`], or what the
    /// file system says.
    pub fn open(path: &Path) -> Result<Self, VoteLogError> {
        let io = |action| io_error(path, action);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io("create the directory of"))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(io("open"))?;
        let mut file = LockedFile::lock(file).map_err(|error| match error {
            TryLockError::WouldBlock => VoteLogError::Locked { path: path.to_path_buf() },
            TryLockError::Error(error) => io("lock")(error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        let mut log = Self {
            path: path.to_path_buf(),
            file,
            entries: HashMap::new(),
            opened: HashMap::new(),
            length: 0,
            is_failed: false,
        };
        log.load(&bytes)?;
        Ok(log)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), VoteLogError> {
        if bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
            return self.start();
        }
        if !bytes.starts_with(&HEADER) {
            return Err(VoteLogError::Format { path: self.path.clone() });
        }
        let mut offset = HEADER.len();
        loop {
            match format::read(bytes, offset) {
                Ok(Some((record, next))) => {
                    match record {
                        Record::Verdict(entry) => self.admit(entry, offset)?,
                        Record::Opened(opened) => self.admit_opened(opened, offset)?,
                    }
                    offset = next;
                }
                Ok(None) => break,
                Err(Tail::Torn) => {
                    tracing::warn!(
                        target: "verifier", path = %self.path.display(), offset,
                        torn_bytes = bytes.len() - offset,
                        "removed a torn tail of the vote log; nothing was signed for it"
                    );
                    break;
                }
                Err(Tail::Damaged(problem)) => return Err(self.damaged(offset, problem)),
            }
        }
        self.length = offset as u64;
        if offset < bytes.len() {
            self.file.set_len(self.length).map_err(io_error(&self.path, "cut"))?;
            self.file.sync_all().map_err(io_error(&self.path, "flush"))?;
        }
        Ok(())
    }

    fn admit(&mut self, entry: Entry, offset: usize) -> Result<(), VoteLogError> {
        let verdict = entry.finding.verdict();
        match self.entries.insert(entry.statement, Logged(entry)) {
            Some(earlier) if earlier.verdict() != verdict => {
                Err(self.damaged(offset, "it contradicts an earlier record".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn admit_opened(&mut self, opened: Opened, offset: usize) -> Result<(), VoteLogError> {
        if !self.entries.contains_key(&opened.statement) {
            return Err(self.damaged(offset, "it opens a vote without a verdict".to_owned()));
        }
        let Opened { sitting, set, .. } = opened;
        match self.opened.insert(opened_key(&opened), (sitting, set)) {
            Some((earlier, known)) if earlier >= sitting && (earlier, known) != (sitting, set) => {
                Err(self.damaged(offset, "it contradicts an earlier record".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, offset: usize, problem: String) -> VoteLogError {
        VoteLogError::Damaged { path: self.path.clone(), offset: offset as u64, problem }
    }

    /// Writes the header of a new file and makes the file's name durable.
    fn start(&mut self) -> Result<(), VoteLogError> {
        let io = |action| io_error(&self.path, action);
        self.file.set_len(0).map_err(io("cut"))?;
        self.file.rewind().map_err(io("seek in"))?;
        self.file.write_all(&HEADER).map_err(io("write"))?;
        self.file.sync_all().map_err(io("flush"))?;
        if let Some(directory) = self.path.parent() {
            let flushed = File::open(directory).and_then(|directory| directory.sync_all());
            flushed.map_err(io("flush the directory of"))?;
        }
        self.length = HEADER.len() as u64;
        Ok(())
    }

    /// The entry of a statement.
    #[must_use]
    pub fn get(&self, statement: StatementDigest) -> Option<&Logged> {
        self.entries.get(&statement)
    }

    /// Number of statements with a verdict.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no verdict yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records a verdict and flushes it; blocks for one flush. The same verdict again gives back
    /// the first entry.
    ///
    /// # Errors
    /// [`VoteLogError::OtherVerdict`] leaves the log as it is. After an error of the file system
    /// the log takes nothing more: what the disk holds is unknown until the next start.
    pub fn record(&mut self, entry: Entry) -> Result<Logged, VoteLogError> {
        if self.is_failed {
            return Err(VoteLogError::Failed { path: self.path.clone() });
        }
        if let Some(logged) = self.entries.get(&entry.statement) {
            if logged.verdict() == entry.finding.verdict() {
                return Ok(logged.clone());
            }
            return Err(VoteLogError::OtherVerdict {
                statement: entry.statement,
                logged: logged.verdict(),
                refused: entry.finding.verdict(),
            });
        }
        self.append(&Record::Verdict(entry.clone()))?;
        let logged = Logged(entry);
        self.entries.insert(logged.0.statement, logged.clone());
        Ok(logged)
    }

    /// Records that a vote is opened to a commit set and flushes it, before the vote leaves. The same
    /// set again changes nothing; a later sitting's set takes its place, since a vote that was not
    /// heard is asked for again.
    ///
    /// # Errors
    /// [`VoteLogError::OtherSet`] leaves the log as it is. An error of the file system as in
    /// [`VoteLog::record`].
    pub fn open_to(&mut self, opened: Opened) -> Result<(), VoteLogError> {
        if self.is_failed {
            return Err(VoteLogError::Failed { path: self.path.clone() });
        }
        let Opened { statement, epoch, sitting, set, .. } = opened;
        match self.opened.get(&opened_key(&opened)) {
            Some(known) if *known == (sitting, set) => return Ok(()),
            Some((earlier, known)) if *earlier >= sitting => {
                let (opened, refused) = (*known, set);
                return Err(VoteLogError::OtherSet { statement, epoch, opened, refused });
            }
            _ => {}
        }
        self.append(&Record::Opened(opened))?;
        self.opened.insert(opened_key(&opened), (sitting, set));
        Ok(())
    }

    fn append(&mut self, record: &Record) -> Result<(), VoteLogError> {
        let done = self.write_out(record);
        self.is_failed |= done.is_err();
        done
    }

    fn write_out(&mut self, record: &Record) -> Result<(), VoteLogError> {
        let io = |action| io_error(&self.path, action);
        let record = format::write(record, self.length).map_err(io("encode a record of"))?;
        self.file.seek(SeekFrom::Start(self.length)).map_err(io("seek in"))?;
        self.file.write_all(&record).map_err(io("write"))?;
        self.file.sync_data().map_err(io("flush"))?;
        self.length += record.len() as u64;
        Ok(())
    }
}

const fn opened_key(opened: &Opened) -> (StatementDigest, EpochNumber, TableDigest) {
    (opened.statement, opened.epoch, opened.table)
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> VoteLogError {
    let path = path.to_path_buf();
    move |error| VoteLogError::Io { path, action, problem: error.to_string() }
}
