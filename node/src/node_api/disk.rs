//! Whether a role can write to its directory.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::ServiceStatus;

/// Free bytes below which the next write may fail (16 MiB: a vote takes a hundred, a proof less).
const FREE_BYTES_MIN: u64 = 16 << 20;

/// Up while the file system under `directory` is writable and has room.
pub(super) fn status(directory: &Path) -> ServiceStatus {
    match statvfs(directory) {
        Ok(found) => {
            let free = found.blocks_available().saturating_mul(found.fragment_size());
            let is_writable = !found.flags().contains(FsFlags::ST_RDONLY);
            if is_writable && free >= FREE_BYTES_MIN {
                ServiceStatus::Up
            } else {
                ServiceStatus::Down
            }
        }
        Err(_) => ServiceStatus::Down,
    }
}

#[cfg(test)]
#[test]
fn a_directory_that_is_gone_is_no_place_to_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(status(&folder.path().join("gone")), ServiceStatus::Down);
}
