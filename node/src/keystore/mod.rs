//! Encrypted key files, the same ones that `eigenlayer-cli` reads and writes.
//!
//! - Wallets: Web3 Secret Storage version 3 ([`write_wallet`], [`read_wallet`]).
//! - BLS keys: EIP-2335 with the curve named, and the older form of `eigensdk-go`
//!   ([`write_bls`], [`read_bls`], [`BlsLayout`]).
//!
//! All of them derive a key with scrypt or PBKDF2 and encrypt with AES-128-CTR; they differ in layout
//! and checksum. A file is written with mode 0600 and refused when others can read it. Passwords come
//! from a file, never from a flag, and are never logged. What a file asks for is bounded before it is
//! done, and a secret is held against the public key or address that the file names, because no
//! layout's checksum covers the cipher's nonce.

mod bls;
mod listing;
mod sealed;
mod wallet;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::bls::{BlsLayout, read_bls, write_bls};
pub use self::listing::{KEYS_LISTED_MAX, KeyNote, default_folder, list};
pub use self::sealed::{SCRYPT_LOG_N_LIGHT, SCRYPT_LOG_N_STANDARD};
pub use self::wallet::{read_wallet, write_wallet};

/// Most bytes of a key file (16 KiB; the longest layout takes less than 2).
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

/// Why a key file could not be read or written.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Others may read the secret.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key file of the expected layout.
    #[error("{path} is no {layout} key file: {reason}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The layout that was expected.
        layout: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The checksum does not fit.
    #[error("the password for {path} is wrong, or the file is damaged")]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// A secret of 32 bytes that is wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Draws `N` bytes from the operating system.
///
/// # Errors
/// When it has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeystoreError::Randomness)?;
    Ok(bytes)
}

/// Reads a small secret text, such as a password, from a file; one trailing line break is not part
/// of it.
///
/// # Errors
/// When the file cannot be read, is longer than 16 KiB or is readable by others.
pub fn read_password(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    check_permissions(path)?;
    let bytes = Zeroizing::new(read_bounded(path, "password")?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| layout(path, "password", "it is not UTF-8 text".into()))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Creates a file that only its owner can read; refuses to overwrite.
///
/// # Errors
/// When it exists or the system refuses.
pub fn create_private(path: &Path, content: &[u8]) -> Result<(), KeystoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io("write", path))
}

fn write_json<T: Serialize>(path: &Path, file: &T) -> Result<(), KeystoreError> {
    let text =
        serde_json::to_vec_pretty(file).map_err(|error| layout(path, "key", error.to_string()))?;
    create_private(path, &text)
}

/// The JSON of a key file that only its owner can read.
fn read_json(path: &Path, name: &'static str) -> Result<serde_json::Value, KeystoreError> {
    check_permissions(path)?;
    let text = read_bounded(path, name)?;
    serde_json::from_slice(&text).map_err(|error| layout(path, name, error.to_string()))
}

/// A layout from JSON; what does not fit is named.
fn parse<T: DeserializeOwned>(
    path: &Path,
    name: &'static str,
    json: serde_json::Value,
) -> Result<T, KeystoreError> {
    serde_json::from_value(json).map_err(|error| layout(path, name, error.to_string()))
}

fn read_bounded(path: &Path, name: &'static str) -> Result<Vec<u8>, KeystoreError> {
    let file = fs::File::open(path).map_err(io("read", path))?;
    let mut bytes = Vec::new();
    file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        let reason = format!("it has more than {KEY_FILE_BYTES_MAX} bytes");
        return Err(layout(path, name, reason));
    }
    Ok(bytes)
}

fn check_permissions(path: &Path) -> Result<(), KeystoreError> {
    let mode = fs::metadata(path).map_err(io("read", path))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeystoreError::Permissions { path: path.into(), mode })
    }
}

fn new_uuid() -> Result<String, KeystoreError> {
    let mut bytes = random::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    Ok(parts.join("-"))
}

fn layout(path: &Path, layout: &'static str, reason: String) -> KeystoreError {
    KeystoreError::Layout { path: path.into(), layout, reason }
}

fn io<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> KeystoreError + use<'a> {
    move |source| KeystoreError::Io { action, path: path.into(), source }
}
