//! Snapshot files: their names, their frame, and writing one so that it is there whole or not at all.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 2 |
//! | 1 | 8 | sequence of the last record in it, big-endian |
//! | 9 | n | image: the state and the feeds |
//! | 9 + n | 4 | CRC-32 over all before it, big-endian |
//!
//! Version 1 had the length of the state before the image, 4 bytes; it is still read.
//!
//! The checksum finds rotten disks, not attackers, as the journal's does.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use proofgrid_store::journal::Sequence;
use thiserror::Error;

/// Version of the frame.
const FRAME_VERSION: u8 = 2;
/// The version before, and the bytes that it had before the image.
const FRAME_VERSION_BEFORE: (u8, usize) = (1, 4);
/// Bytes before the image.
const HEAD_BYTES: usize = 9;
/// Bytes after the image.
const CHECKSUM_BYTES: usize = 4;
/// Bytes that are collected before they are hashed and given to the system.
const BUFFER_BYTES: usize = 1 << 20;
/// How a finished snapshot ends.
const EXTENSION: &str = "snapshot";
/// How one ends that is being written.
const PARTIAL: &str = "partial";

/// What is wrong with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file system said no.
    #[error("{0}")]
    Io(String),
    /// The file is shorter than its frame.
    #[error("it has {0} bytes only")]
    Short(usize),
    /// The bytes are not those that were written.
    #[error("its checksum is {got:08x}, {expected:08x} was written")]
    Checksum {
        /// Written with it.
        expected: u32,
        /// Of what is there.
        got: u32,
    },
    /// Another layout.
    #[error("it has layout version {got}, this build reads {FRAME_VERSION}")]
    Version {
        /// The version found.
        got: u8,
    },
    /// Named after another record than it holds.
    #[error("it ends with record {got}, its name says another")]
    Name {
        /// The record that it says itself.
        got: Sequence,
    },
    /// The image is none.
    #[error("{0}")]
    Image(String),
}

/// Why snapshots and journal could not be used. Nothing is guessed: a person decides.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// A snapshot must not be used.
    #[error(
        "snapshot {path} cannot be used: {problem}; keep a copy and move it away: the one before it \
         and the journal hold the same. Without one before it, restore both from a copy"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Problem,
    },
    /// The journal was truncated and no snapshot reaches its start.
    #[error(
        "the journal begins at record {first}, and the newest snapshot in {directory} ends with \
         record {snapshot}; restore the snapshots that belong to this journal"
    )]
    Gap {
        /// Where the journal begins.
        first: Sequence,
        /// Where snapshots are looked for.
        directory: PathBuf,
        /// The last record of the newest, 0 without any.
        snapshot: Sequence,
    },
    /// The snapshot is of records that the journal has not.
    #[error(
        "snapshot {path} is ahead of the journal, which ends with record {last}; restore the journal \
         that belongs to it"
    )]
    Ahead {
        /// The file.
        path: PathBuf,
        /// Where the journal ends.
        last: Sequence,
    },
    /// A file or the directory cannot be written.
    #[error("cannot {action} {path}: {problem}; check space and permissions")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
}

/// The directory of a dispatcher's snapshots.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
    let path = path.to_path_buf();
    move |error| SnapshotError::File { action, path, problem: error.to_string() }
}

impl Directory {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the snapshot that ends with a record.
    pub(super) fn file(&self, last: Sequence) -> PathBuf {
        self.path.join(format!("{:020}.{EXTENSION}", last.get()))
    }

    /// The snapshots that are there, oldest first. What is no snapshot's name is none.
    pub(super) fn list(&self) -> Result<Vec<Sequence>, SnapshotError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.path)(error)),
        };
        let mut known = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &self.path))?.path();
            let named = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let last = named.map(Sequence::new);
            known.extend(last.filter(|last| self.file(*last) == path));
        }
        known.sort_unstable();
        Ok(known)
    }

    /// Writes a snapshot, whose image `write` gives, and says how many bytes it has. It is there under
    /// its name only once all of it is on the disk.
    pub(super) fn write(
        &self,
        last: Sequence,
        write: impl FnOnce(&mut BufWriter<Summed>) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        fs::create_dir_all(&self.path).map_err(failed("create", &self.path))?;
        let path = self.file(last);
        let partial = path.with_extension(PARTIAL);
        let written = Summed::create(&partial).and_then(|file| {
            let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
            file.write_all(&[FRAME_VERSION])?;
            file.write_all(&last.get().to_be_bytes())?;
            write(&mut file)?;
            file.into_inner()?.finish()
        });
        if written.is_err() {
            // A disk that is full is not filled by what will never be whole.
            let _ = fs::remove_file(&partial);
        }
        let bytes = written.map_err(failed("write", &partial))?;
        fs::rename(&partial, &path).map_err(failed("rename", &partial))?;
        self.sync()?;
        Ok(bytes)
    }

    /// The bytes of a snapshot's file.
    pub(super) fn read(&self, last: Sequence) -> Result<Vec<u8>, Problem> {
        fs::read(self.file(last)).map_err(|error| Problem::Io(error.to_string()))
    }

    pub(super) fn remove(&self, last: Sequence) -> Result<(), SnapshotError> {
        let path = self.file(last);
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        self.sync()
    }

    /// Removes what a compaction left that did not end.
    pub(super) fn clear_partial(&self) -> Result<(), SnapshotError> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(failed("read", &self.path))?.path();
            if path.extension().is_some_and(|extension| extension == PARTIAL) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), SnapshotError> {
        let directory = File::open(&self.path).and_then(|directory| directory.sync_all());
        directory.map_err(failed("flush", &self.path))
    }
}

/// A file that is written once, from its beginning, and what is known of its bytes so far.
pub(super) struct Summed {
    file: File,
    checksum: crc32fast::Hasher,
    bytes: u64,
}

impl Summed {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, checksum: crc32fast::Hasher::new(), bytes: 0 })
    }

    /// Appends the checksum, waits until all of it is on the disk and says how much that is.
    fn finish(mut self) -> io::Result<u64> {
        let checksum = self.checksum.clone().finalize();
        self.write_all(&checksum.to_be_bytes())?;
        self.file.sync_all()?;
        Ok(self.bytes)
    }
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.checksum.update(bytes.get(..written).unwrap_or(bytes));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Checks the frame around an image.
pub(super) fn image_of(last: Sequence, bytes: &[u8]) -> Result<&[u8], Problem> {
    let short = Problem::Short(bytes.len());
    let Some((framed, stored)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(short);
    };
    if framed.len() < HEAD_BYTES {
        return Err(short);
    }
    let (expected, got) = (u32::from_be_bytes(*stored), crc32fast::hash(framed));
    if expected != got {
        return Err(Problem::Checksum { expected, got });
    }
    let Some((&[version], rest)) = framed.split_first_chunk::<1>() else { return Err(short) };
    let skipped = match version {
        FRAME_VERSION => 0,
        before if before == FRAME_VERSION_BEFORE.0 => FRAME_VERSION_BEFORE.1,
        got => return Err(Problem::Version { got }),
    };
    let Some((sequence, rest)) = rest.split_first_chunk::<8>() else { return Err(short) };
    let Some(image) = rest.get(skipped..) else { return Err(short) };
    let got = Sequence::new(u64::from_be_bytes(*sequence));
    if got != last {
        return Err(Problem::Name { got });
    }
    Ok(image)
}
