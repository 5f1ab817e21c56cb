//! One small file that holds one value and survives a crash at any instant.
//!
//! The oracle keeps two such values: how far it has read a chain, and which transactions it may
//! have sent. Both are tiny and rewritten whole, so a file written beside the old one, synced and
//! renamed over it is enough; a reader sees the old value or the new one, never a mixture. A length
//! and a checksum tell a damaged file from a valid one. A damaged file is refused with its path:
//! the module never guesses, and never starts over silently.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

/// Most bytes that a state file may hold (64 MiB): a full window of pending certificates is far
/// below.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;
/// Bytes before the payload: magic (8), payload length (4), CRC-32 of the payload (4).
const HEADER_BYTES: usize = 16;

/// Why a state file could not be read or written.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// The operating system refused.
    #[error(
        "cannot {action} {path}: {source}; check that the data directory exists, is writable and \
         has space"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file ends before or after its payload does.
    #[error(
        "{path} is torn: its header promises {expected} bytes of payload and {got} follow; {remedy}"
    )]
    Torn {
        /// The file.
        path: PathBuf,
        /// Bytes promised.
        expected: u64,
        /// Bytes present.
        got: u64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The checksum or the encoding is wrong.
    #[error("{path} is damaged: {what}; {remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which check failed.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The value is larger than a state file may be.
    #[error("{path} would hold {got} bytes, more than the {max} that a state file may have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of the value.
        got: u64,
        /// Most bytes.
        max: u64,
    },
}

/// The kind of a state file: its magic and what a person does when it is damaged.
#[derive(Clone, Copy, Debug)]
pub struct StateKind {
    /// First eight bytes, with the version of the payload's layout.
    pub magic: [u8; 8],
    /// What to do when the file is torn or damaged; ends an error's sentence.
    pub remedy: &'static str,
}

/// The path and kind of one state file.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    kind: StateKind,
}

impl StateFile {
    /// Names a state file; touches nothing.
    #[must_use]
    pub const fn new(path: PathBuf, kind: StateKind) -> Self {
        Self { path, kind }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the value, or `None` when there is no file yet.
    ///
    /// # Errors
    /// [`StateFileError::Torn`] or [`StateFileError::Damaged`] for foreign or broken bytes,
    /// [`StateFileError::Io`] when the file exists and cannot be read.
    pub fn load<T: BorshDeserialize>(&self) -> Result<Option<T>, StateFileError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io("read", source)),
        };
        let payload = self.payload(&bytes)?;
        let value = borsh::from_slice(payload)
            .map_err(|_| self.damaged("the payload is not of this version's layout"))?;
        Ok(Some(value))
    }

    /// Replaces the value; when it returns `Ok`, the value survives a power cut. Blocks on `fsync`.
    ///
    /// # Errors
    /// [`StateFileError::Io`] or [`StateFileError::TooLarge`]; the old value is then still there.
    pub fn store<T: BorshSerialize>(&self, value: &T) -> Result<(), StateFileError> {
        let payload =
            borsh::to_vec(value).map_err(|source| self.io("encode the value of", source))?;
        let too_large = StateFileError::TooLarge {
            path: self.path.clone(),
            got: payload.len() as u64,
            max: PAYLOAD_BYTES_MAX,
        };
        if payload.len() as u64 > PAYLOAD_BYTES_MAX {
            return Err(too_large);
        }
        let Ok(length) = u32::try_from(payload.len()) else {
            return Err(too_large);
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&self.kind.magic);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&payload).to_be_bytes());
        bytes.extend_from_slice(&payload);
        self.replace(&bytes).map_err(|source| self.io("write", source))
    }

    /// Like [`Self::store`], off the async runtime.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub async fn store_async<T>(&self, value: T) -> Result<(), StateFileError>
    where
        T: BorshSerialize + Send + 'static,
    {
        let file = self.clone();
        let task = tokio::task::spawn_blocking(move || file.store(&value));
        task.await
            .unwrap_or_else(|failure| Err(self.io("write", io::Error::other(failure.to_string()))))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&beside, &self.path)?;
        // The rename is only durable once the folder's own entry is.
        File::open(folder)?.sync_all()
    }

    fn payload<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], StateFileError> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(self.torn(HEADER_BYTES as u64, bytes.len() as u64));
        };
        let [m0, m1, m2, m3, m4, m5, m6, m7, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != self.kind.magic {
            return Err(self.damaged("it starts with another file's or version's magic"));
        }
        let expected = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        if expected != payload.len() as u64 {
            return Err(self.torn(expected, payload.len() as u64));
        }
        if crc32fast::hash(payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(self.damaged("its checksum does not fit its bytes"));
        }
        Ok(payload)
    }

    fn io(&self, action: &'static str, source: io::Error) -> StateFileError {
        StateFileError::Io { action, path: self.path.clone(), source }
    }

    fn torn(&self, expected: u64, got: u64) -> StateFileError {
        let remedy = self.kind.remedy;
        StateFileError::Torn { path: self.path.clone(), expected, got, remedy }
    }

    fn damaged(&self, what: &'static str) -> StateFileError {
        StateFileError::Damaged { path: self.path.clone(), what, remedy: self.kind.remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: StateKind = StateKind { magic: *b"PGTEST01", remedy: "remove it" };

    fn file() -> (tempfile::TempDir, StateFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        (folder, StateFile::new(path, KIND))
    }

    #[test]
    fn a_missing_file_is_no_value_and_a_stored_one_comes_back() {
        let (_folder, file) = file();
        assert_eq!(file.load::<Vec<u64>>().unwrap(), None);
        file.store(&vec![1u64, 2]).unwrap();
        file.store(&vec![3u64]).unwrap();
        assert_eq!(file.load::<Vec<u64>>().unwrap(), Some(vec![3]));
    }

    #[test]
    fn every_truncation_is_torn_and_names_the_file() {
        let (_folder, file) = file();
        file.store(&vec![7u64; 4]).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            std::fs::write(file.path(), &whole[..length]).unwrap();
            let error = file.load::<Vec<u64>>().unwrap_err();
            assert!(matches!(error, StateFileError::Torn { .. }), "{length}: {error}");
            assert!(error.to_string().contains("value is torn"), "{error}");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (_folder, file) = file();
        file.store(&vec![7u64; 4]).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for position in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[position / 8] ^= 1 << (position % 8);
            std::fs::write(file.path(), &bytes).unwrap();
            assert!(file.load::<Vec<u64>>().is_err(), "bit {position}");
        }
    }

    #[test]
    fn a_half_written_successor_leaves_the_old_value() {
        let (_folder, file) = file();
        file.store(&vec![1u64]).unwrap();
        std::fs::write(file.path().with_extension("new"), b"PGTEST01\0\0").unwrap();
        assert_eq!(file.load::<Vec<u64>>().unwrap(), Some(vec![1]));
        file.store(&vec![2u64]).unwrap();
        assert_eq!(file.load::<Vec<u64>>().unwrap(), Some(vec![2]));
    }
}
