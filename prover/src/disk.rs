//! Files that survive a power cut: written aside, flushed, renamed, and the folder flushed too.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_proofs::digest::keccak256;
use thiserror::Error;

/// A file of the worker's own folder could not be used.
#[derive(Debug, Error)]
#[error("cannot {action} {path}: {source}; check the disk's space and the folder's owner")]
pub struct DiskError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What failed.
    pub source: io::Error,
}

impl DiskError {
    /// For `map_err`.
    pub(crate) fn of<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self { action, path: path.into(), source }
    }
}

/// Whether a written file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On disk, with its name, before the call returns.
    Flushed,
    /// Complete or absent after a crash of the process; what a cache needs.
    Atomic,
}

/// Writes a file so that a reader sees all of it or none.
pub(crate) fn write(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), DiskError> {
    let aside = path.with_extension("part");
    let mut file = File::create(&aside).map_err(DiskError::of("create", &aside))?;
    file.write_all(bytes).map_err(DiskError::of("write", &aside))?;
    if durability == Durability::Flushed {
        file.sync_all().map_err(DiskError::of("flush", &aside))?;
    }
    fs::rename(&aside, path).map_err(DiskError::of("rename", &aside))?;
    match (durability, path.parent()) {
        (Durability::Flushed, Some(dir)) => flush_dir(dir),
        _ => Ok(()),
    }
}

/// The bytes of a small record: its magic, itself, and Keccak-256 of both.
pub(crate) fn seal<T: BorshSerialize>(magic: &[u8; 4], record: &T) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
    record.serialize(&mut bytes).expect("writing to a Vec cannot fail");
    let check = keccak256(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

/// The record that was sealed; `None` if the bytes are damaged or of something else.
pub(crate) fn unseal<T: BorshDeserialize>(magic: &[u8; 4], bytes: &[u8]) -> Option<T> {
    let (body, check) = bytes.split_last_chunk::<32>()?;
    if keccak256(body) != *check {
        return None;
    }
    T::try_from_slice(body.strip_prefix(magic)?).ok()
}

/// Flushes a folder, so that a new or removed name in it is durable.
pub(crate) fn flush_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(DiskError::of("flush", dir))
}

/// Makes a folder and its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(dir).map_err(DiskError::of("create", dir))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DiskError { action: "remove", path: path.into(), source })
        }
        _ => Ok(()),
    }
}

/// The plain files of a folder.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let entries = fs::read_dir(dir).map_err(DiskError::of("list", dir))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(DiskError::of("list", dir))?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
