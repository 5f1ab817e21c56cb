//! Web3 Secret Storage version 3: wallets, and the encryption that `eigensdk-go` took over for its BLS
//! keys.

use std::path::Path;

use proofgrid_core::crypto::secp::WalletKey;
use serde::{Deserialize, Serialize};

use super::sealed::{CIPHER, Checksum, CipherParams, Kdf, SCRYPT, ScryptParams, Sealed};
use super::{KeystoreError, Secret, layout, new_uuid, parse, read_json, write_json};

const NAME: &str = "Web3 Secret Storage";
/// The version of the layout.
const VERSION: u32 = 3;

/// The encrypted part; `P` is what its derivation takes.
#[derive(Serialize, Deserialize)]
pub(super) struct Web3Crypto<P> {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: P,
    mac: String,
}

/// The encrypted part of a file, read before its derivation is looked at.
pub(super) type Web3CryptoRead = Web3Crypto<serde_json::Value>;

impl Web3Crypto<ScryptParams> {
    pub(super) fn seal(
        path: &Path,
        secret: &[u8; 32],
        password: &str,
        log_n: u8,
    ) -> Result<Self, KeystoreError> {
        let (sealed, kdfparams) = Sealed::new(path, secret, password.as_bytes(), log_n)?;
        Ok(Self {
            cipher: CIPHER.into(),
            cipherparams: CipherParams { iv: hex::encode(sealed.iv) },
            ciphertext: hex::encode(sealed.ciphertext),
            kdf: SCRYPT.into(),
            kdfparams,
            mac: hex::encode(sealed.checksum(Checksum::Keccak256)),
        })
    }
}

impl Web3CryptoRead {
    pub(super) fn open(self, path: &Path, password: &str) -> Result<Secret, KeystoreError> {
        if self.cipher != CIPHER {
            let reason = format!("cipher {:?} is not supported, only {CIPHER} is", self.cipher);
            return Err(layout(path, NAME, reason));
        }
        let kdf = Kdf::parse(path, &self.kdf, self.kdfparams)?;
        let (iv, ciphertext) = (&self.cipherparams.iv, &self.ciphertext);
        Sealed::parse(path, &kdf, iv, ciphertext, password.as_bytes())?.open(
            path,
            Checksum::Keccak256,
            &self.mac,
        )
    }
}

#[derive(Serialize, Deserialize)]
struct WalletFile<C> {
    /// Without `0x`. The layout lets a file leave it out.
    #[serde(default)]
    address: String,
    crypto: C,
    id: String,
    version: u32,
}

/// Writes a wallet key as Web3 Secret Storage.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn write_wallet(
    path: &Path,
    key: &WalletKey,
    password: &str,
    log_n: u8,
) -> Result<(), KeystoreError> {
    let file = WalletFile {
        address: hex::encode(key.address().as_bytes()),
        crypto: Web3Crypto::seal(path, &key.to_bytes(), password, log_n)?,
        id: new_uuid()?,
        version: VERSION,
    };
    write_json(path, &file)
}

/// Reads a secp256k1 secret from Web3 Secret Storage.
///
/// The format's checksum does not cover the cipher's nonce, so the secret is also held against the
/// address that the file names, unless it names none.
///
/// # Errors
/// When the file is readable by others, of another layout, damaged, or the password is wrong.
pub fn read_wallet(path: &Path, password: &str) -> Result<Secret, KeystoreError> {
    let json = read_json(path, NAME)?;
    if json.get("pubKey").or_else(|| json.get("pubkey")).is_some() {
        let reason = "it holds a BLS key, and a wallet is asked for".to_owned();
        return Err(layout(path, NAME, reason));
    }
    let file: WalletFile<Web3CryptoRead> = parse(path, NAME, json)?;
    if file.version != VERSION {
        let reason = format!("version {} is not supported, only {VERSION} is", file.version);
        return Err(layout(path, NAME, reason));
    }
    let secret = file.crypto.open(path, password)?;
    let named = file.address.strip_prefix("0x").unwrap_or(&file.address).to_lowercase();
    let key = WalletKey::from_bytes(&secret)
        .map_err(|error| layout(path, NAME, format!("what it holds is no wallet key: {error}")))?;
    if !named.is_empty() && hex::encode(key.address().as_bytes()) != named {
        let reason = "its address is not that of its secret".to_owned();
        return Err(layout(path, NAME, reason));
    }
    Ok(secret)
}
