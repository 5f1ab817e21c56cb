//! Looks for a network's secrets in what its processes wrote.

use std::fs;
use std::path::Path;

use anyhow::Context;
use proofgrid_node::devnet::layout::Layout;
use proofgrid_node::keystore;

/// A secret of a network: whose it is, and every way in which a careless line would show it.
struct Secret {
    name: String,
    spellings: Vec<String>,
}

impl Secret {
    fn password(password: &str) -> Self {
        let spellings = vec![password.to_owned(), hex::encode(password)];
        Self { name: "the password".to_owned(), spellings }
    }

    fn key(path: &Path, secret: &[u8; 32]) -> Self {
        let lower = hex::encode(secret);
        let listed: Vec<String> = secret.iter().map(u8::to_string).collect();
        let spellings = vec![lower.to_uppercase(), lower, listed.join(", "), listed.join(",")];
        Self { name: format!("the key {}", path.display()), spellings }
    }
}

fn secrets(layout: &Layout) -> anyhow::Result<Vec<Secret>> {
    let password = keystore::read_password(&layout.password())?;
    let mut found = vec![Secret::password(&password)];
    for entry in fs::read_dir(layout.password().parent().context("a folder of keys")?)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let secret = keystore::read_wallet(&path, &password)
            .or_else(|_| keystore::read_bls(&path, &password))
            .with_context(|| format!("{} holds no key", path.display()))?;
        found.push(Secret::key(&path, &secret));
    }
    Ok(found)
}

/// Which secrets of a network its logs show, and where.
///
/// # Errors
/// When a key or a log cannot be read.
pub fn leaks(layout: &Layout) -> anyhow::Result<Vec<String>> {
    let secrets = secrets(layout)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(layout.logs())? {
        let path = entry?.path();
        let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let log = String::from_utf8_lossy(&log);
        for secret in &secrets {
            if secret.spellings.iter().any(|way| log.contains(way)) {
                found.push(format!("{} shows {}", path.display(), secret.name));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofgrid_node::cli::keys::{new_bls, new_wallet};

    #[test]
    fn a_planted_secret_is_found_in_every_spelling() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::create(&folder.path().join("net")).expect("a new folder");
        let password = keystore::read_password(&layout.password()).expect("it was just made");
        new_wallet(&layout.key("prover-1"), &password, 4).expect("written");
        new_bls(&layout.key("verifier-1"), &password, 4).expect("written");
        let log = layout.log("prover-1");
        fs::write(&log, "nothing to see").expect("written");
        assert_eq!(leaks(&layout).expect("readable"), Vec::<String>::new());
        let secrets = secrets(&layout).expect("readable");
        assert_eq!(secrets.len(), 3, "password and both keys");
        for way in secrets.iter().flat_map(|secret| &secret.spellings) {
            fs::write(&log, format!("key={way} and more")).expect("written");
            assert_eq!(leaks(&layout).expect("readable").len(), 1, "{way}");
        }
    }
}
