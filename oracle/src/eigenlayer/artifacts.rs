//! The core's init code, extracted on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Largest artifact that is read: an ABI and 24 576 bytes of code in hexadecimal are well below.
const ARTIFACT_BYTES_MAX: u64 = 4 << 20;

/// What a development network needs of the core.
const NAMES: [&str; 7] = [
    "AVSDirectory",
    "AllocationManager",
    "DelegationManager",
    "EigenPodManager",
    "PermissionController",
    "RewardsCoordinator",
    "StrategyManager",
];

/// Why the extracted core cannot be used.
#[derive(Debug, Error)]
#[error("{path}: {why}; run `make core`, which extracts EigenLayer's contracts (cargo and Node)")]
pub struct ArtifactsError {
    path: PathBuf,
    why: String,
}

/// The init code of each of the core's contracts.
#[derive(Debug, Clone)]
pub struct CoreArtifacts {
    codes: BTreeMap<&'static str, Vec<u8>>,
}

impl CoreArtifacts {
    /// Reads `<folder>/<Name>.json` for each of them.
    ///
    /// # Errors
    /// [`ArtifactsError`], with the file.
    pub fn read(folder: &Path) -> Result<Self, ArtifactsError> {
        let mut codes = BTreeMap::new();
        for name in NAMES {
            let path = folder.join(format!("{name}.json"));
            let code = init_code(&path).map_err(|why| ArtifactsError { path, why })?;
            codes.insert(name, code);
        }
        Ok(Self { codes })
    }

    /// The init code of one of them; empty for any other name.
    pub(super) fn code(&self, name: &'static str) -> Vec<u8> {
        self.codes.get(name).cloned().unwrap_or_default()
    }
}

fn init_code(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > ARTIFACT_BYTES_MAX {
        return Err(format!(
            "{length} bytes are more than the {ARTIFACT_BYTES_MAX} of any contract"
        ));
    }
    let json = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    crate::creations::init_code(&json)
}
