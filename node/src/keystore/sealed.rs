//! What the layouts share: a key from a password, a secret under it, and a checksum that tells a wrong
//! password from a right one.

use std::path::Path;

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use proofgrid_core::crypto::keccak256;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeystoreError, Secret, layout, random};

/// scrypt cost of keys that are meant to last: 2^18, r 8, p 1 (256 MiB, about a second).
pub const SCRYPT_LOG_N_STANDARD: u8 = 18;
/// scrypt cost of throw-away keys of a development network: 2^12 (4 MiB, milliseconds).
pub const SCRYPT_LOG_N_LIGHT: u8 = 12;
/// Largest cost accepted from a file.
const SCRYPT_LOG_N_MAX: u8 = 20;
/// Most passes (p) accepted from a file; each takes the time of one with p 1.
const SCRYPT_PASSES_MAX: u32 = 16;
/// Most blocks of 128 bytes (n * r) accepted from a file: a gigabyte, which n 2^20 and r 8 take.
const SCRYPT_BLOCKS_MAX: u64 = 1 << 23;
/// Most rounds of PBKDF2 accepted from a file: 16 times the 2^18 that wallets use, about a second.
const PBKDF2_ROUNDS_MAX: u32 = 1 << 22;
/// Names of what is supported, as the layouts spell them.
pub(super) const CIPHER: &str = "aes-128-ctr";
pub(super) const SCRYPT: &str = "scrypt";
const PBKDF2: &str = "pbkdf2";
const PBKDF2_PRF: &str = "hmac-sha256";

/// The cipher's nonce, as both layouts write it.
#[derive(Serialize, Deserialize)]
pub(super) struct CipherParams {
    pub(super) iv: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ScryptParams {
    dklen: u32,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Deserialize)]
struct Pbkdf2Params {
    dklen: u32,
    c: u32,
    prf: String,
    salt: String,
}

/// How the key comes from the password, at a cost that is worth paying. Only scrypt is written.
pub(super) enum Kdf {
    Scrypt { costs: scrypt::Params, salt: Vec<u8> },
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
}

impl Kdf {
    /// The derivation that a file names.
    pub(super) fn parse(
        path: &Path,
        function: &str,
        params: serde_json::Value,
    ) -> Result<Self, KeystoreError> {
        match function {
            SCRYPT => Self::scrypt(path, &super::parse(path, "key", params)?),
            PBKDF2 => Self::pbkdf2(path, super::parse(path, "key", params)?),
            other => {
                let reason = format!("kdf {other:?} is not supported, only scrypt and pbkdf2 are");
                Err(layout(path, "key", reason))
            }
        }
    }

    fn scrypt(path: &Path, params: &ScryptParams) -> Result<Self, KeystoreError> {
        let salt = bytes_of(path, "salt", &params.salt)?;
        let log_n =
            params.n.checked_ilog2().and_then(|log| u8::try_from(log).ok()).unwrap_or(u8::MAX);
        if log_n > SCRYPT_LOG_N_MAX || !params.n.is_power_of_two() || params.dklen != 32 {
            let reason = format!(
                "scrypt n {} dklen {} is out of range: n is a power of two up to \
                 2^{SCRYPT_LOG_N_MAX}, dklen 32; make the file again within it",
                params.n, params.dklen
            );
            return Err(layout(path, "key", reason));
        }
        // Memory is 128 * n * r, time is proportional to n * r * p.
        let blocks = u64::from(params.r).saturating_mul(params.n);
        if params.p > SCRYPT_PASSES_MAX || blocks > SCRYPT_BLOCKS_MAX {
            let reason = format!(
                "scrypt n {} r {} p {} costs too much: n times r is {SCRYPT_BLOCKS_MAX} at most \
                 (1 GiB), p {SCRYPT_PASSES_MAX}; make the file again within it",
                params.n, params.r, params.p
            );
            return Err(layout(path, "key", reason));
        }
        let costs = scrypt::Params::new(log_n, params.r, params.p, 32).map_err(|_| {
            let reason = format!(
                "scrypt n {} r {} is against RFC 7914, which wants n below 2^(16 r); make the file \
                 again with r 8, as geth and eigenlayer-cli do",
                params.n, params.r
            );
            layout(path, "key", reason)
        })?;
        Ok(Self::Scrypt { costs, salt })
    }

    fn pbkdf2(path: &Path, params: Pbkdf2Params) -> Result<Self, KeystoreError> {
        let Pbkdf2Params { dklen, c: rounds, prf, salt } = params;
        if dklen != 32 || prf != PBKDF2_PRF || !(1..=PBKDF2_ROUNDS_MAX).contains(&rounds) {
            let reason = format!(
                "pbkdf2 c {rounds} dklen {dklen} prf {prf:?} is out of range: c is from 1 to \
                 {PBKDF2_ROUNDS_MAX}, dklen 32, prf {PBKDF2_PRF}; make the file again within it"
            );
            return Err(layout(path, "key", reason));
        }
        Ok(Self::Pbkdf2 { rounds, salt: bytes_of(path, "salt", &salt)? })
    }

    fn derive(&self, path: &Path, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let mut derived = Zeroizing::new([0; 32]);
        match self {
            Self::Scrypt { costs, salt } => {
                scrypt::scrypt(password, salt, costs, derived.as_mut_slice())
                    .map_err(|error| layout(path, "key", error.to_string()))?;
            }
            Self::Pbkdf2 { rounds, salt } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, *rounds, derived.as_mut_slice());
            }
        }
        Ok(derived)
    }
}

/// What tells a wrong password: a hash over the second half of the key and the ciphertext.
pub(super) enum Checksum {
    Sha256,
    Keccak256,
}

/// An encrypted secret with what is needed to open it.
pub(super) struct Sealed {
    pub(super) iv: [u8; 16],
    pub(super) ciphertext: [u8; 32],
    derived: Zeroizing<[u8; 32]>,
}

impl Sealed {
    /// Encrypts a secret for a file at `path`; the second part says how its key was derived.
    pub(super) fn new(
        path: &Path,
        secret: &[u8; 32],
        password: &[u8],
        log_n: u8,
    ) -> Result<(Self, ScryptParams), KeystoreError> {
        let params = ScryptParams {
            dklen: 32,
            n: 1u64.checked_shl(log_n.into()).unwrap_or(0),
            r: 8,
            p: 1,
            salt: hex::encode(random::<32>()?),
        };
        let derived = Kdf::scrypt(path, &params)?.derive(path, password)?;
        let iv = random::<16>()?;
        let mut ciphertext = *secret;
        apply_cipher(&derived, &iv, &mut ciphertext);
        Ok((Self { iv, ciphertext, derived }, params))
    }

    /// What a file holds, with the key that its password gives.
    pub(super) fn parse(
        path: &Path,
        kdf: &Kdf,
        iv: &str,
        ciphertext: &str,
        password: &[u8],
    ) -> Result<Self, KeystoreError> {
        let iv = fixed(path, "iv", iv)?;
        let ciphertext = fixed(path, "ciphertext", ciphertext)?;
        let derived = kdf.derive(path, password)?;
        Ok(Self { iv, ciphertext, derived })
    }

    pub(super) fn checksum(&self, kind: Checksum) -> [u8; 32] {
        let mut preimage = Zeroizing::new([0; 48]);
        let (half, rest) = preimage.split_at_mut(16);
        half.copy_from_slice(&self.derived[16..]);
        rest.copy_from_slice(&self.ciphertext);
        match kind {
            Checksum::Sha256 => Sha256::digest(preimage.as_slice()).into(),
            Checksum::Keccak256 => keccak256(preimage.as_slice()),
        }
    }

    pub(super) fn open(
        self,
        path: &Path,
        kind: Checksum,
        expected: &str,
    ) -> Result<Secret, KeystoreError> {
        if hex::encode(self.checksum(kind)) != expected.to_lowercase() {
            return Err(KeystoreError::WrongPassword { path: path.into() });
        }
        let mut secret = Zeroizing::new(self.ciphertext);
        apply_cipher(&self.derived, &self.iv, &mut secret);
        Ok(secret)
    }
}

fn wrong_form(path: &Path, what: &str) -> KeystoreError {
    layout(path, "key", format!("{what} has the wrong form"))
}

fn bytes_of(path: &Path, what: &str, text: &str) -> Result<Vec<u8>, KeystoreError> {
    hex::decode(text).map_err(|_| wrong_form(path, what))
}

fn fixed<const N: usize>(path: &Path, what: &str, text: &str) -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong_form(path, what))?;
    Ok(bytes)
}

fn apply_cipher(derived: &[u8; 32], iv: &[u8; 16], data: &mut [u8; 32]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    let mut cipher = ctr::Ctr128BE::<Aes128>::new((&*key).into(), iv.into());
    cipher.apply_keystream(data);
}
