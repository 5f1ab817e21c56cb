//! The vote log: every verdict is on the disk before it is signed, at most one per statement.
//!
//! One file, append-only, one writer (the file is locked). Layout, integers big-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | `PGVOTE` and version 1 (2 bytes), once |
//! | 4 | length of the body |
//! | 4 | CRC-32 of the record's offset (8 bytes) and the length |
//! | 4 | CRC-32 of the body |
//! | n | body: borsh of statement digest, target, verdict, detail, judging time |
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
use proofgrid_core::ids::{ChainContract, StatementDigest};
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

/// The open log, with every entry in memory (about 120 bytes each).
#[derive(Debug)]
pub struct VoteLog {
    path: PathBuf,
    file: LockedFile,
    entries: HashMap<StatementDigest, Logged>,
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
                Ok(Some((entry, next))) => {
                    self.admit(entry, offset)?;
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
        if let Err(error) = self.append(&entry) {
            self.is_failed = true;
            return Err(error);
        }
        let logged = Logged(entry);
        self.entries.insert(logged.0.statement, logged.clone());
        Ok(logged)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), VoteLogError> {
        let io = |action| io_error(&self.path, action);
        let record = format::write(entry, self.length).map_err(io("encode a record of"))?;
        self.file.seek(SeekFrom::Start(self.length)).map_err(io("seek in"))?;
        self.file.write_all(&record).map_err(io("write"))?;
        self.file.sync_data().map_err(io("flush"))?;
        self.length += record.len() as u64;
        Ok(())
    }
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> VoteLogError {
    let path = path.to_path_buf();
    move |error| VoteLogError::Io { path, action, problem: error.to_string() }
}
