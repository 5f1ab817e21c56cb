//! The oracle's wallet: one secp256k1 key that pays for its transactions and logs it in.
//!
//! Keys come from files only, never from a command line or the environment, and never reach a log,
//! an error or `Debug`. A key file that others may read is refused.

use std::path::{Path, PathBuf};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::network::TxSignerSync;
use alloy::primitives::{B256, Bytes, TxKind, U256};
use alloy::signers::local::PrivateKeySigner;
use proofgrid_core::ids::{Address, ChainId, TxHash};
use thiserror::Error;

use crate::submit::fees::Offer;
use crate::submit::record::SignedOffer;

/// Most bytes that a key file may have; a keystore is below 1 KiB.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a key could not be used. Never holds a secret.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error(
        "cannot read key file {path}: {source}; set `key_file` to a keystore or 32 bytes of \
         hexadecimal"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("{path} may be read by others (mode {mode:o}); run `chmod 600` on it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key.
    #[error(
        "{path} is neither a version 3 keystore with this password nor 32 bytes of hexadecimal"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Signing failed.
    #[error("the wallet could not sign: {0}")]
    Sign(String),
}

/// What a transaction says beside its fees.
#[derive(Debug, Clone)]
pub struct Unsigned {
    /// The chain.
    pub chain: ChainId,
    /// The sender's counter.
    pub nonce: u64,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// A contract, or creation.
    pub to: TxKind,
    /// Wei that go with it.
    pub value: U256,
    /// Call data or init code.
    pub input: Bytes,
}

/// A wallet. `Debug` shows the address only.
#[derive(Clone)]
pub struct OracleKey(PrivateKeySigner);

impl std::fmt::Debug for OracleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OracleKey({})", self.address())
    }
}

impl OracleKey {
    /// Wraps a secret scalar, 32 bytes big-endian.
    ///
    /// # Errors
    /// [`KeyError::Sign`] for zero or a value above the curve's order.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signer = PrivateKeySigner::from_bytes(&B256::from(*secret));
        signer.map(Self).map_err(|_| KeyError::Sign("the scalar is out of range".into()))
    }

    /// Reads a key file: 32 bytes of hexadecimal, or a version 3 keystore opened with the first
    /// line of `password_file`. Blocks (a keystore's key derivation takes about a second).
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_file(path: &Path, password_file: Option<&Path>) -> Result<Self, KeyError> {
        let text = read_secret(path)?;
        let malformed = || KeyError::Malformed { path: path.to_owned() };
        if let Some(password_file) = password_file {
            let password = read_secret(password_file)?;
            let password = password.lines().next().unwrap_or_default();
            let signer = PrivateKeySigner::decrypt_keystore(path, password);
            return signer.map(Self).map_err(|_| malformed());
        }
        let secret: B256 = text.trim().parse().map_err(|_| malformed())?;
        Self::from_bytes(&secret.0).map_err(|_| malformed())
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_bytes(self.0.address().into_array())
    }

    /// The secret scalar, for the login signature. Callers zeroize their copy.
    #[must_use]
    pub fn secret_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().0
    }

    /// Signs an EIP-1559 transaction. Deterministic: the same inputs give the same bytes and hash.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn sign(&self, unsigned: &Unsigned, offer: Offer) -> Result<SignedOffer, KeyError> {
        let mut transaction = TxEip1559 {
            chain_id: unsigned.chain.get(),
            nonce: unsigned.nonce,
            gas_limit: unsigned.gas_limit,
            max_fee_per_gas: offer.max_fee_wei,
            max_priority_fee_per_gas: offer.tip_wei,
            to: unsigned.to,
            value: unsigned.value,
            access_list: Default::default(),
            input: unsigned.input.clone(),
        };
        let signature = self
            .0
            .sign_transaction_sync(&mut transaction)
            .map_err(|error| KeyError::Sign(error.to_string()))?;
        let envelope = TxEnvelope::Eip1559(transaction.into_signed(signature));
        let tx = TxHash::from_bytes(envelope.tx_hash().0);
        Ok(SignedOffer { tx, offer, raw: envelope.encoded_2718() })
    }
}

fn read_secret(path: &Path) -> Result<String, KeyError> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The first development account of anvil and hardhat; its address is public knowledge.
    const SECRET: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

    fn key_file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_hexadecimal_key_file_gives_its_address_and_shows_no_secret() {
        for text in [SECRET.to_owned(), format!("0x{SECRET}\n")] {
            let (_folder, path) = key_file(&text, 0o600);
            let key = OracleKey::from_file(&path, None).unwrap();
            assert_eq!(key.address().to_string(), ADDRESS);
            assert!(!format!("{key:?}").contains("ac0974"));
        }
    }

    #[test]
    fn exposed_and_malformed_key_files_are_refused_without_their_content() {
        let (_folder, path) = key_file(SECRET, 0o644);
        let error = OracleKey::from_file(&path, None).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: 0o644, .. }), "{error}");
        for text in ["", "ac0974", &SECRET.replace('a', "z"), &"0".repeat(64)] {
            let (_folder, path) = key_file(text, 0o600);
            let error = OracleKey::from_file(&path, None).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn signing_is_deterministic() {
        let (_folder, path) = key_file(SECRET, 0o600);
        let key = OracleKey::from_file(&path, None).unwrap();
        let unsigned = Unsigned {
            chain: ChainId::new(1),
            nonce: 3,
            gas_limit: 21_000,
            to: TxKind::Call([7; 20].into()),
            value: U256::ZERO,
            input: Bytes::new(),
        };
        let offer = Offer { max_fee_wei: 9, tip_wei: 1 };
        let first = key.sign(&unsigned, offer).unwrap();
        assert_eq!(first, key.sign(&unsigned, offer).unwrap());
        let raised = key.sign(&unsigned, Offer { max_fee_wei: 11, tip_wei: 2 }).unwrap();
        assert_ne!(first.tx, raised.tx);
    }
}
