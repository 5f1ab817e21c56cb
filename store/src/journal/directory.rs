//! One process per journal directory, one engine per directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::EngineKind;
use super::error::JournalError;
use super::record::RECORD_VERSION;
use crate::lock::LockedFile;

/// File that is locked while the journal is open; holds the process id for people.
const LOCK_FILE: &str = "LOCK";
/// File that says which engine and layout wrote the directory.
const FORMAT_FILE: &str = "FORMAT";

/// Holds a directory for this process; released when dropped or when the process ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: LockedFile,
}

impl DirectoryLock {
    /// Creates the directory if needed, locks it and checks or writes its format.
    pub(super) fn take(directory: &Path, engine: EngineKind) -> Result<Self, JournalError> {
        fs::create_dir_all(directory).map_err(JournalError::file("create", directory))?;
        let path = directory.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(JournalError::file("open", &path))?;
        let mut file = LockedFile::lock(file).map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Locked {
                directory: directory.to_path_buf(),
                holder: holder_of(&path),
            },
            TryLockError::Error(error) => JournalError::file("lock", &path)(error),
        })?;
        write_holder(&mut file).map_err(JournalError::file("write", &path))?;
        check_format(directory, engine)?;
        Ok(Self { _file: file })
    }
}

fn holder_of(path: &Path) -> String {
    let mut text = String::new();
    // The holder may be writing its id right now; without it the message is still right.
    match File::open(path).and_then(|file| file.take(20).read_to_string(&mut text)) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => format!(" (pid {})", text.trim()),
        _ => String::new(),
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn check_format(directory: &Path, engine: EngineKind) -> Result<(), JournalError> {
    let path = directory.join(FORMAT_FILE);
    let expected = format!("proofgrid-journal {} record-v{RECORD_VERSION}\n", engine.name());
    match fs::read_to_string(&path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(JournalError::OtherEngine {
            directory: directory.to_path_buf(),
            found: found.trim().chars().take(80).collect(),
            expected: expected.trim().to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write_format(directory, &path, &expected).map_err(JournalError::file("write", &path))
        }
        Err(error) => Err(JournalError::file("read", &path)(error)),
    }
}

/// Writes beside and renames, so that a kill leaves either no format or a whole one.
fn write_format(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let beside = directory.join("FORMAT.new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}
