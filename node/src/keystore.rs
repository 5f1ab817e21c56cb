//! Encrypted key files: EIP-2335 for BLS keys, Web3 Secret Storage version 3 for wallets.
//!
//! Both derive a key with scrypt and encrypt with AES-128-CTR; they differ in layout and checksum.
//! A file is written with mode 0600 and refused when others can read it. Passwords come from a file
//! or a prompt, never from a flag, and are never logged.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

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

#[derive(Serialize, Deserialize)]
struct ScryptParams {
    dklen: u32,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
struct NoParams {}

#[derive(Serialize, Deserialize)]
struct Eip2335Crypto {
    kdf: Module<ScryptParams>,
    checksum: Module<NoParams>,
    cipher: Module<CipherParams>,
}

/// The EIP-2335 layout, version 4.
#[derive(Serialize, Deserialize)]
struct Eip2335 {
    crypto: Eip2335Crypto,
    description: String,
    pubkey: String,
    path: String,
    uuid: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Web3Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: ScryptParams,
    mac: String,
}

/// The Web3 Secret Storage layout, version 3.
#[derive(Serialize, Deserialize)]
struct Web3SecretStorage {
    address: String,
    crypto: Web3Crypto,
    id: String,
    version: u32,
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

/// Writes a BLS secret as EIP-2335 JSON.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn write_bls(
    path: &Path,
    secret: &[u8; 32],
    public_key: &[u8],
    description: &str,
    password: &str,
    log_n: u8,
) -> Result<(), KeystoreError> {
    let sealed = Sealed::new(secret, &normalise_password(password), log_n)?;
    let file = Eip2335 {
        crypto: Eip2335Crypto {
            checksum: Module {
                function: "sha256".into(),
                params: NoParams {},
                message: hex::encode(sealed.checksum(Checksum::Sha256)),
            },
            cipher: Module {
                function: "aes-128-ctr".into(),
                params: CipherParams { iv: hex::encode(sealed.iv) },
                message: hex::encode(sealed.ciphertext),
            },
            kdf: Module {
                function: "scrypt".into(),
                params: sealed.params,
                message: String::new(),
            },
        },
        description: description.into(),
        pubkey: hex::encode(public_key),
        path: String::new(),
        uuid: new_uuid()?,
        version: 4,
    };
    write_json(path, &file)
}

/// Reads a BLS secret from EIP-2335 JSON.
///
/// The format's checksum does not cover the cipher's nonce, so the secret is also held against the
/// public key that the file names, unless it names none.
///
/// # Errors
/// When the file is readable by others, of another layout, damaged, or the password is wrong.
pub fn read_bls(path: &Path, password: &str) -> Result<Secret, KeystoreError> {
    let file: Eip2335 = read_json(path, "EIP-2335")?;
    let functions = (
        file.version,
        file.crypto.kdf.function.as_str(),
        file.crypto.checksum.function.as_str(),
        file.crypto.cipher.function.as_str(),
    );
    if functions != (4, "scrypt", "sha256", "aes-128-ctr") {
        return Err(layout(path, "EIP-2335", format!("unsupported functions {functions:?}")));
    }
    let crypto = file.crypto;
    let secret = Sealed::parse(
        path,
        crypto.kdf.params,
        &crypto.cipher.params.iv,
        &crypto.cipher.message,
        &normalise_password(password),
    )?
    .open(path, Checksum::Sha256, &crypto.checksum.message)?;
    let public = SecretKey::from_bytes(&secret).map(|key| hex::encode(key.public_g1().to_bytes()));
    if !file.pubkey.is_empty() && public.ok() != Some(file.pubkey.to_lowercase()) {
        return Err(layout(path, "EIP-2335", "its pubkey is not that of its secret".into()));
    }
    Ok(secret)
}

/// Writes a secp256k1 secret as Web3 Secret Storage.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn write_wallet(
    path: &Path,
    secret: &[u8; 32],
    address: &str,
    password: &str,
    log_n: u8,
) -> Result<(), KeystoreError> {
    let sealed = Sealed::new(secret, password.as_bytes(), log_n)?;
    let file = Web3SecretStorage {
        address: address.trim_start_matches("0x").into(),
        crypto: Web3Crypto {
            cipher: "aes-128-ctr".into(),
            cipherparams: CipherParams { iv: hex::encode(sealed.iv) },
            ciphertext: hex::encode(sealed.ciphertext),
            kdf: "scrypt".into(),
            mac: hex::encode(sealed.checksum(Checksum::Keccak256)),
            kdfparams: sealed.params,
        },
        id: new_uuid()?,
        version: 3,
    };
    write_json(path, &file)
}

/// Reads a secp256k1 secret from Web3 Secret Storage.
///
/// The secret is held against the address that the file names, as in [`read_bls`].
///
/// # Errors
/// As [`read_bls`].
pub fn read_wallet(path: &Path, password: &str) -> Result<Secret, KeystoreError> {
    let file: Web3SecretStorage = read_json(path, "Web3 Secret Storage")?;
    let crypto = file.crypto;
    if (file.version, crypto.kdf.as_str(), crypto.cipher.as_str()) != (3, "scrypt", "aes-128-ctr") {
        let reason = "only version 3 with scrypt and aes-128-ctr is supported".to_owned();
        return Err(layout(path, "Web3 Secret Storage", reason));
    }
    let secret = Sealed::parse(
        path,
        crypto.kdfparams,
        &crypto.cipherparams.iv,
        &crypto.ciphertext,
        password.as_bytes(),
    )?
    .open(path, Checksum::Keccak256, &crypto.mac)?;
    let named = file.address.trim_start_matches("0x").to_lowercase();
    let owner = WalletKey::from_bytes(&secret).map(|key| hex::encode(key.address().as_bytes()));
    if owner.ok() != Some(named) {
        let reason = "its address is not that of its secret".to_owned();
        return Err(layout(path, "Web3 Secret Storage", reason));
    }
    Ok(secret)
}

/// Reads a password from a file; one trailing line break is not part of it.
///
/// # Errors
/// When the file cannot be read or is readable by others.
pub fn read_password(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    check_permissions(path)?;
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io("read", path))?);
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

enum Checksum {
    Sha256,
    Keccak256,
}

/// An encrypted secret with what is needed to open it.
struct Sealed {
    params: ScryptParams,
    iv: [u8; 16],
    ciphertext: [u8; 32],
    derived: Zeroizing<[u8; 32]>,
}

impl Sealed {
    fn new(secret: &[u8; 32], password: &[u8], log_n: u8) -> Result<Self, KeystoreError> {
        let salt = random::<32>()?;
        let iv = random::<16>()?;
        let params = ScryptParams { dklen: 32, n: 1 << log_n, r: 8, p: 1, salt: hex::encode(salt) };
        let derived = derive(Path::new("new key"), &params, &salt, password)?;
        let mut ciphertext = *secret;
        apply_cipher(&derived, &iv, &mut ciphertext);
        Ok(Self { params, iv, ciphertext, derived })
    }

    fn parse(
        path: &Path,
        params: ScryptParams,
        iv: &str,
        ciphertext: &str,
        password: &[u8],
    ) -> Result<Self, KeystoreError> {
        let bad = |what: &str| layout(path, "key", format!("{what} has the wrong form"));
        let salt = hex::decode(&params.salt).map_err(|_| bad("salt"))?;
        let mut iv_bytes = [0; 16];
        hex::decode_to_slice(iv, &mut iv_bytes).map_err(|_| bad("iv"))?;
        let mut secret = [0; 32];
        hex::decode_to_slice(ciphertext, &mut secret).map_err(|_| bad("ciphertext"))?;
        let derived = derive(path, &params, &salt, password)?;
        Ok(Self { params, iv: iv_bytes, ciphertext: secret, derived })
    }

    fn checksum(&self, kind: Checksum) -> [u8; 32] {
        let mut preimage = Zeroizing::new([0; 48]);
        let (half, rest) = preimage.split_at_mut(16);
        half.copy_from_slice(&self.derived[16..]);
        rest.copy_from_slice(&self.ciphertext);
        match kind {
            Checksum::Sha256 => Sha256::digest(preimage.as_slice()).into(),
            Checksum::Keccak256 => keccak256(preimage.as_slice()),
        }
    }

    fn open(self, path: &Path, kind: Checksum, expected: &str) -> Result<Secret, KeystoreError> {
        if hex::encode(self.checksum(kind)) != expected.to_lowercase() {
            return Err(KeystoreError::WrongPassword { path: path.into() });
        }
        let mut secret = Zeroizing::new(self.ciphertext);
        apply_cipher(&self.derived, &self.iv, &mut secret);
        Ok(secret)
    }
}

fn derive(
    path: &Path,
    params: &ScryptParams,
    salt: &[u8],
    password: &[u8],
) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let log_n = params.n.checked_ilog2().and_then(|log| u8::try_from(log).ok()).unwrap_or(u8::MAX);
    if log_n > SCRYPT_LOG_N_MAX || !params.n.is_power_of_two() || params.dklen != 32 {
        let reason = format!(
            "scrypt n {} dklen {} is out of range: n is a power of two up to 2^{SCRYPT_LOG_N_MAX}, \
             dklen 32; make the file again within it",
            params.n, params.dklen
        );
        return Err(layout(path, "key", reason));
    }
    // Memory is 128 * n * r, time is proportional to n * r * p.
    let blocks = u64::from(params.r).saturating_mul(params.n);
    if params.p > SCRYPT_PASSES_MAX || blocks > SCRYPT_BLOCKS_MAX {
        let reason = format!(
            "scrypt n {} r {} p {} costs too much: n times r is {SCRYPT_BLOCKS_MAX} at most (1 GiB), \
             p {SCRYPT_PASSES_MAX}; make the file again within it",
            params.n, params.r, params.p
        );
        return Err(layout(path, "key", reason));
    }
    let settings = scrypt::Params::new(log_n, params.r, params.p, 32)
        .map_err(|error| layout(path, "key", error.to_string()))?;
    let mut derived = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &settings, derived.as_mut_slice())
        .map_err(|error| layout(path, "key", error.to_string()))?;
    Ok(derived)
}

fn apply_cipher(derived: &[u8; 32], iv: &[u8; 16], data: &mut [u8; 32]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    let mut cipher = ctr::Ctr128BE::<Aes128>::new((&*key).into(), iv.into());
    cipher.apply_keystream(data);
}

/// EIP-2335 strips control characters; passwords here are taken as UTF-8 without further folding.
fn normalise_password(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(
        password.chars().filter(|letter| !letter.is_control()).collect::<String>().into_bytes(),
    )
}

fn new_uuid() -> Result<String, KeystoreError> {
    let mut bytes = random::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    Ok(parts.join("-"))
}

fn write_json<T: Serialize>(path: &Path, file: &T) -> Result<(), KeystoreError> {
    let text =
        serde_json::to_vec_pretty(file).map_err(|error| layout(path, "key", error.to_string()))?;
    create_private(path, &text)
}

fn read_json<T: for<'de> Deserialize<'de>>(
    path: &Path,
    name: &'static str,
) -> Result<T, KeystoreError> {
    check_permissions(path)?;
    let text = fs::read(path).map_err(io("read", path))?;
    serde_json::from_slice(&text).map_err(|error| layout(path, name, error.to_string()))
}

fn check_permissions(path: &Path) -> Result<(), KeystoreError> {
    let mode = fs::metadata(path).map_err(io("read", path))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeystoreError::Permissions { path: path.into(), mode })
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The scrypt test vector of EIP-2335.
    const EIP_2335_VECTOR: &str = r#"{"crypto":{"kdf":{"function":"scrypt","params":{"dklen":32,
        "n":262144,"p":1,"r":8,
        "salt":"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"},"message":""},
        "checksum":{"function":"sha256","params":{},
        "message":"d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"},
        "cipher":{"function":"aes-128-ctr",
        "params":{"iv":"264daa3f303d7259501c93d997d84fe6"},
        "message":"06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"}},
        "description":"","pubkey":"","path":"m/12381/60/3141592653/589793238","uuid":
        "1d85ae20-35c5-4611-98e8-aa14a633906f","version":4}"#;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn the_eip_2335_vector_opens() {
        let folder = folder();
        let path = folder.path().join("vector.json");
        create_private(&path, EIP_2335_VECTOR.as_bytes()).expect("written");
        // The password of the vector, already in the normal form that the EIP asks for.
        let secret = read_bls(&path, "testpassword\u{1f511}").expect("opens");
        assert_eq!(
            hex::encode(*secret),
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        );
    }

    #[test]
    fn a_wallet_round_trips_and_a_wrong_password_is_refused() {
        let folder = folder();
        let path = folder.path().join("wallet.json");
        let secret = [7; 32];
        let address = WalletKey::from_bytes(&secret).expect("a key").address().to_string();
        write_wallet(&path, &secret, &address, "right", SCRYPT_LOG_N_LIGHT).expect("written");
        assert_eq!(*read_wallet(&path, "right").expect("opens"), secret);
        assert!(matches!(read_wallet(&path, "wrong"), Err(KeystoreError::WrongPassword { .. })));
    }

    #[test]
    fn a_bls_key_round_trips_and_is_never_overwritten() {
        let folder = folder();
        let path = folder.path().join("bls.json");
        let public = SecretKey::from_bytes(&[9; 32]).expect("a key").public_g1().to_bytes();
        write_bls(&path, &[9; 32], &public, "", "p", SCRYPT_LOG_N_LIGHT).expect("written");
        assert_eq!(*read_bls(&path, "p").expect("opens"), [9; 32]);
        let again = write_bls(&path, &[8; 32], &public, "", "p", SCRYPT_LOG_N_LIGHT);
        assert!(matches!(again, Err(KeystoreError::Io { .. })));
        assert_eq!(*read_bls(&path, "p").expect("opens"), [9; 32]);
    }

    /// Found by fuzzing: the checksums of both layouts cover the ciphertext, not the nonce.
    #[test]
    fn a_damaged_nonce_gives_no_other_key() {
        let folder = folder();
        let damaged = |path: &Path| {
            let mut file: serde_json::Value =
                serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON");
            let places = ["/crypto/cipher/params/iv", "/crypto/cipherparams/iv"];
            let place = places.into_iter().find(|place| file.pointer(place).is_some());
            *file.pointer_mut(place.expect("a nonce")).expect("there") = "00".repeat(16).into();
            let other = path.with_extension("damaged");
            create_private(&other, file.to_string().as_bytes()).expect("written");
            other
        };
        let (bls, wallet) = (folder.path().join("bls.json"), folder.path().join("wallet.json"));
        let key = SecretKey::from_bytes(&[9; 32]).expect("a key");
        let public = key.public_g1().to_bytes();
        write_bls(&bls, &[9; 32], &public, "", "p", SCRYPT_LOG_N_LIGHT).expect("written");
        let refused = read_bls(&damaged(&bls), "p");
        assert!(matches!(refused, Err(KeystoreError::Layout { .. })), "{refused:?}");
        let owner = WalletKey::from_bytes(&[9; 32]).expect("a key").address().to_string();
        write_wallet(&wallet, &[9; 32], &owner, "p", SCRYPT_LOG_N_LIGHT).expect("written");
        let refused = read_wallet(&damaged(&wallet), "p");
        assert!(matches!(refused, Err(KeystoreError::Layout { .. })), "{refused:?}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = folder();
        let path = folder.path().join("wallet.json");
        write_wallet(&path, &[7; 32], "0x", "p", SCRYPT_LOG_N_LIGHT).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert!(matches!(
            read_wallet(&path, "p"),
            Err(KeystoreError::Permissions { mode: 0o644, .. })
        ));
    }

    /// Each would take from 1.1 GiB to more than there is, or hours.
    #[test]
    fn a_hostile_cost_is_refused_before_it_is_paid() {
        let folder = folder();
        let vector: serde_json::Value = serde_json::from_str(EIP_2335_VECTOR).expect("JSON");
        let key = WalletKey::from_bytes(&[7; 32]).expect("a key").address().to_string();
        let wallet = folder.path().join("wallet.json");
        write_wallet(&wallet, &[7; 32], &key, "p", SCRYPT_LOG_N_LIGHT).expect("written");
        let wallet: serde_json::Value =
            serde_json::from_slice(&fs::read(&wallet).expect("read")).expect("JSON");
        let costs = [
            (1u64 << 40, 8u64, 1u64),
            (1 << 21, 1, 1),
            (1 << 20, 9, 1),
            (1 << 4, u64::from(u32::MAX), 1),
            (1 << 18, 8, 17),
            (1 << 4, 1, u64::from(u32::MAX)),
            (u64::MAX, u64::from(u32::MAX), u64::from(u32::MAX)),
        ];
        for (index, (n, r, p)) in costs.into_iter().enumerate() {
            let costly = |file: &serde_json::Value, params: &str, name: &str| {
                let mut file = file.clone();
                for (field, value) in [("n", n), ("r", r), ("p", p)] {
                    *file.pointer_mut(&format!("{params}/{field}")).expect("there") = value.into();
                }
                let path = folder.path().join(format!("{name}-{index}.json"));
                create_private(&path, file.to_string().as_bytes()).expect("written");
                path
            };
            let bls = costly(&vector, "/crypto/kdf/params", "bls");
            let wallet = costly(&wallet, "/crypto/kdfparams", "wallet");
            for refused in [read_bls(&bls, "p"), read_wallet(&wallet, "p")] {
                let error = refused.expect_err("too costly");
                assert!(matches!(error, KeystoreError::Layout { .. }), "{error}");
                let text = error.to_string();
                let named = text.contains(&format!("scrypt n {n}")) && text.contains(".json");
                assert!(named && text.contains("make the file again"), "{text}");
            }
        }
    }
}
