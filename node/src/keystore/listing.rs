//! What key files say about themselves, without their passwords.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Serialize;
use serde_json::Value;

use super::{KeystoreError, io, read_json};

/// Most key files that are listed; an operator has a handful.
pub const KEYS_LISTED_MAX: usize = 1_000;
/// Where `eigenlayer-cli` keeps its keys, below the home directory.
const EIGENLAYER_FOLDER: &str = ".eigenlayer/operator_keys";

/// A key file as it describes itself; nothing of it is proven before it was opened.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct KeyNote {
    /// The file.
    pub file: PathBuf,
    /// What it seems to hold, such as `wallet`.
    pub kind: &'static str,
    /// Its layout, such as `EIP-2335`.
    pub layout: &'static str,
    /// The address or public key that it names, in its own spelling.
    pub public: String,
    /// What would keep it from being used, with what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The folder that `eigenlayer-cli` uses.
#[must_use]
pub fn default_folder() -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(EIGENLAYER_FOLDER))
}

/// The JSON files of a folder, by name; at most [`KEYS_LISTED_MAX`] of them.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<KeyNote>, KeystoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))?.take(KEYS_LISTED_MAX) {
        let path = entry.map_err(io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files.into_iter().map(note).collect())
}

fn note(file: PathBuf) -> KeyNote {
    match read_json(&file, "key") {
        Ok(json) => {
            let (kind, layout, public) = described(&json);
            let problem = (kind == "unknown").then(|| "it is no key file".to_owned());
            KeyNote { file, kind, layout, public, problem }
        }
        Err(error) => {
            let problem = Some(error.to_string());
            KeyNote { file, kind: "unknown", layout: "", public: String::new(), problem }
        }
    }
}

/// Kind, layout and public part.
fn described(json: &Value) -> (&'static str, &'static str, String) {
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(printable);
    if let Some(address) = text("address") {
        let bare = address.strip_prefix("0x").unwrap_or(&address);
        return ("wallet", "Web3 Secret Storage", format!("0x{bare}"));
    }
    if let Some(key) = text("pubKey") {
        return ("bls", "eigensdk", key);
    }
    match text("pubkey") {
        Some(key) => ("bls", "EIP-2335", key),
        None => ("unknown", "", String::new()),
    }
}

/// Foreign text on a terminal: no control characters, and no more than a public key has.
fn printable(text: &str) -> String {
    const LETTERS_MAX: usize = 256;
    text.chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect()
}
