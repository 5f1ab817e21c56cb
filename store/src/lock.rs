//! Files that one process at a time may use.

use std::fs::{File, TryLockError};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// How long a new holder waits for one that is just ending. A killed process keeps its files until
/// the system has taken its memory back, and a supervisor starts the next one at once.
const HANDOVER_MAX: Duration = Duration::from_secs(2);
/// Pause between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// An open file with an exclusive advisory lock; released when dropped or when the process ends.
#[derive(Debug)]
pub struct LockedFile {
    file: File,
}

impl LockedFile {
    /// Locks an open file. Blocks the thread at most 2 s, for a holder that is just ending.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if another holder has it, or what the file system says.
    pub fn lock(file: File) -> Result<Self, TryLockError> {
        wait_for_lock(|| file.try_lock())?;
        Ok(Self { file })
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing releases the lock only with the last copy of the descriptor, and a child process
        // that another thread starts right now holds one for a moment.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(target: "store", %error, "a file stays locked until it is closed");
        }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for LockedFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

/// Tries until the lock is free, at most [`HANDOVER_MAX`].
pub(crate) fn wait_for_lock<T>(
    mut attempt: impl FnMut() -> Result<T, TryLockError>,
) -> Result<T, TryLockError> {
    let until = Instant::now() + HANDOVER_MAX;
    loop {
        match attempt() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(RETRY_EVERY);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_releases_the_lock_though_a_copy_stays_open() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let held = LockedFile::lock(File::create(&path).expect("created")).expect("free");
        // What a child process holds between its start and its program.
        let copy = held.try_clone().expect("copied");
        let other = File::create(&path).expect("opened");
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().expect("free again");
        drop(copy);
    }

    #[test]
    fn a_lock_that_becomes_free_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let mut held = Some(File::create(&path).expect("created"));
        held.as_ref().expect("held").lock().expect("free");
        let other = File::create(&path).expect("opened");
        let taken = wait_for_lock(|| {
            let result = other.try_lock();
            held = None;
            result
        });
        taken.expect("free at the second try");
    }
}
