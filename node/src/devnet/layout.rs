//! Where a development network keeps its files.
//!
//! ```text
//! network.toml            for clients: dispatcher, chain, contracts
//! deployment.toml         what was deployed, for looking at
//! claims.jsonl            what everybody has earned, once pay was worked out
//! keys/                   encrypted keys and their one password file
//! config/<role>.toml      one file per process
//! data/<role>/            one directory per process
//! logs/<role>.log
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use proofgrid_store::lock::LockedFile;

use crate::keystore;

/// Marks a folder as a development network's, so that only such a folder is ever emptied.
const MARKER: &str = ".proofgrid-devnet";

/// The network file in the folder.
pub const NETWORK_FILE: &str = "network.toml";

/// The folder of one development network.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    /// Held for the network's life, beside the folder: nobody empties it under running processes.
    _lock: LockedFile,
}

impl Layout {
    /// Takes over a folder: a new or empty one, or that of an earlier development network, which is
    /// emptied.
    ///
    /// # Errors
    /// When the folder holds anything else, or the system refuses.
    pub fn create(root: &Path) -> anyhow::Result<Self> {
        let lock = lock_beside(root)?;
        if root.exists() {
            let ours = root.join(MARKER).exists();
            let empty = fs::read_dir(root)?.next().is_none();
            ensure!(
                ours || empty,
                "{} holds files that no devnet made; choose another --dir",
                root.display()
            );
            fs::remove_dir_all(root).with_context(|| format!("cannot empty {}", root.display()))?;
        }
        for folder in ["keys", "config", "data", "logs"] {
            fs::create_dir_all(root.join(folder))
                .with_context(|| format!("cannot create {}", root.display()))?;
        }
        let root = root.canonicalize().context("the folder vanished")?;
        fs::write(root.join(MARKER), "made by proofgrid devnet; may be deleted\n")?;
        let layout = Self { root, _lock: lock };
        let password = hex::encode(keystore::random::<16>()?);
        keystore::create_private(&layout.password(), password.as_bytes())?;
        Ok(layout)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The network file for clients.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.root.join(NETWORK_FILE)
    }

    /// A key file.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(format!("{name}.json"))
    }

    /// The password of every key.
    #[must_use]
    pub fn password(&self) -> PathBuf {
        self.root.join("keys").join("password")
    }

    /// A process's configuration.
    #[must_use]
    pub fn config(&self, name: &str) -> PathBuf {
        self.root.join("config").join(format!("{name}.toml"))
    }

    /// A process's data directory.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    /// The folder of the logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// One process's log.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }
}

/// Takes the lock of a network's folder.
fn lock_beside(root: &Path) -> anyhow::Result<LockedFile> {
    let path = root.with_extension("lock");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    LockedFile::lock(file).with_context(|| {
        format!("a devnet runs in {}; stop it or choose another --dir", root.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_devnets_folder_is_emptied() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let precious = folder.path().join("precious");
        fs::write(&precious, "x").expect("written");
        Layout::create(folder.path()).expect_err("somebody's folder is refused");
        assert!(precious.exists());

        let own = folder.path().join("devnet");
        let layout = Layout::create(&own).expect("a new folder is taken");
        fs::write(layout.network(), "old").expect("written");
        Layout::create(&own).expect_err("a running network's folder is not touched");
        drop(layout);
        let again = Layout::create(&own).expect("its own folder is taken again");
        assert!(!again.network().exists(), "nothing of the old network is left");
    }
}
