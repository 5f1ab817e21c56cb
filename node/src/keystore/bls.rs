//! BLS keys over BN254, in the two layouts that EigenLayer's tools use.
//!
//! The newer one is EIP-2335 with a field `curve`, as `eigenlayer-cli` and Cerberus write it: the
//! checksum is SHA-256, the password is normalised, `pubkey` is a compressed point. The older one is
//! `eigensdk-go`'s: the encrypted part of Web3 Secret Storage beside `pubKey`, a point in decimals.

use std::path::Path;

use alloy_primitives::U256;
use proofgrid_core::crypto::bls::{PublicKeyG1, PublicKeyG2, SecretKey};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::sealed::{CIPHER, Checksum, CipherParams, Kdf, SCRYPT, ScryptParams, Sealed};
use super::wallet::{Web3Crypto, Web3CryptoRead};
use super::{KeystoreError, Secret, layout, new_uuid, parse, read_json, write_json};

const EIP_2335: &str = "EIP-2335";
const EIGENSDK: &str = "eigensdk BLS";
const CURVE: &str = "bn254";
/// The derivation path that EigenLayer's tools write into every such file. A key that is not derived
/// from a word list has none.
const NO_PATH: &str = "";
const SHA256: &str = "sha256";
const VERSION: u32 = 4;

/// Half of the base field's modulus, rounded down: of two points with one x, the one with the larger
/// y is called the larger.
const HALF_MODULUS: [u8; 32] = [
    0x18, 0x32, 0x27, 0x39, 0x70, 0x98, 0xd0, 0x14, 0xdc, 0x28, 0x22, 0xdb, 0x40, 0xc0, 0xac, 0x2e,
    0xcb, 0xc0, 0xb5, 0x48, 0xb4, 0x38, 0xe5, 0x46, 0x9e, 0x10, 0x46, 0x0b, 0x6c, 0x3e, 0x7e, 0xa3,
];
/// Bits before x that say "compressed, y is the smaller one".
const COMPRESSED_SMALLER: u8 = 0b1000_0000;
/// Bits before x that say "compressed, y is the larger one".
const COMPRESSED_LARGER: u8 = 0b1100_0000;

/// How a BLS key file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlsLayout {
    /// EIP-2335 with the curve named: `eigenlayer keys`, Cerberus, and Proofgrid's own.
    Eip2335,
    /// The older one that programs built on `eigensdk-go` read.
    EigenSdk,
}

#[derive(Serialize, Deserialize)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct NoParams {}

#[derive(Serialize, Deserialize)]
struct Eip2335Crypto<P> {
    kdf: Module<P>,
    checksum: Module<NoParams>,
    cipher: Module<CipherParams>,
}

/// The EIP-2335 layout, version 4.
#[derive(Serialize, Deserialize)]
struct Eip2335<P> {
    crypto: Eip2335Crypto<P>,
    #[serde(default)]
    description: String,
    pubkey: String,
    path: String,
    uuid: String,
    version: u32,
    /// Not in the EIP, which knows one curve; without it the file must be meant for this one.
    #[serde(default = "default_curve")]
    curve: String,
}

fn default_curve() -> String {
    CURVE.to_owned()
}

#[derive(Serialize, Deserialize)]
struct EigenSdkFile<C> {
    #[serde(rename = "pubKey")]
    public_key: String,
    crypto: C,
}

/// Writes a BLS key.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn write_bls(
    path: &Path,
    key: &SecretKey,
    layout: BlsLayout,
    password: &str,
    log_n: u8,
) -> Result<(), KeystoreError> {
    match layout {
        BlsLayout::Eip2335 => write_json(path, &eip_2335(path, key, password, log_n)?),
        BlsLayout::EigenSdk => {
            let crypto = Web3Crypto::seal(path, &key.to_bytes(), password, log_n)?;
            let public_key = decimal_point(&key.public_g1());
            write_json(path, &EigenSdkFile { public_key, crypto })
        }
    }
}

fn eip_2335(
    path: &Path,
    key: &SecretKey,
    password: &str,
    log_n: u8,
) -> Result<Eip2335<ScryptParams>, KeystoreError> {
    let (sealed, params) =
        Sealed::new(path, &key.to_bytes(), &normalise_password(password), log_n)?;
    Ok(Eip2335 {
        crypto: Eip2335Crypto {
            checksum: Module {
                function: SHA256.into(),
                params: NoParams {},
                message: hex::encode(sealed.checksum(Checksum::Sha256)),
            },
            cipher: Module {
                function: CIPHER.into(),
                params: CipherParams { iv: hex::encode(sealed.iv) },
                message: hex::encode(sealed.ciphertext),
            },
            kdf: Module { function: SCRYPT.into(), params, message: String::new() },
        },
        description: String::new(),
        pubkey: hex::encode(compressed_g1(&key.public_g1())),
        path: NO_PATH.into(),
        uuid: new_uuid()?,
        version: VERSION,
        curve: CURVE.into(),
    })
}

/// Reads a BLS secret from either layout.
///
/// No layout's checksum covers the cipher's nonce, so the secret is also held against the public key
/// that the file names, unless it is an EIP-2335 file that names none.
///
/// # Errors
/// When the file is readable by others, of another layout or curve, damaged, or the password is
/// wrong.
pub fn read_bls(path: &Path, password: &str) -> Result<Secret, KeystoreError> {
    let json = read_json(path, "BLS")?;
    if json.get("pubKey").is_some() {
        let file: EigenSdkFile<Web3CryptoRead> = parse(path, EIGENSDK, json)?;
        let secret = file.crypto.open(path, password)?;
        let key = key_of(path, EIGENSDK, &secret)?;
        return match decimal_point(&key.public_g1()) == file.public_key {
            true => Ok(secret),
            false => Err(layout(path, EIGENSDK, "its pubKey is not that of its secret".into())),
        };
    }
    if json.get("address").is_some() {
        let reason = "it holds a wallet, and a BLS key is asked for".to_owned();
        return Err(layout(path, "BLS", reason));
    }
    let file: Eip2335<serde_json::Value> = parse(path, EIP_2335, json)?;
    let named = file.pubkey.strip_prefix("0x").unwrap_or(&file.pubkey).to_lowercase();
    let secret = open_eip_2335(path, file, password)?;
    let key = key_of(path, EIP_2335, &secret)?;
    if !named.is_empty() && !spellings(&key).contains(&named) {
        return Err(layout(path, EIP_2335, "its pubkey is not that of its secret".into()));
    }
    Ok(secret)
}

fn open_eip_2335(
    path: &Path,
    file: Eip2335<serde_json::Value>,
    password: &str,
) -> Result<Secret, KeystoreError> {
    if file.curve != CURVE {
        let reason = format!("it holds a key of the curve {:?}, not of {CURVE}", file.curve);
        return Err(layout(path, EIP_2335, reason));
    }
    let crypto = file.crypto;
    let functions =
        (file.version, crypto.checksum.function.as_str(), crypto.cipher.function.as_str());
    if functions != (VERSION, SHA256, CIPHER) {
        let reason = format!(
            "version and functions {functions:?} are not supported, only {VERSION}, {SHA256} and \
             {CIPHER} are"
        );
        return Err(layout(path, EIP_2335, reason));
    }
    let kdf = Kdf::parse(path, &crypto.kdf.function, crypto.kdf.params)?;
    let (iv, ciphertext) = (&crypto.cipher.params.iv, &crypto.cipher.message);
    let password = normalise_password(password);
    Sealed::parse(path, &kdf, iv, ciphertext, &password)?.open(
        path,
        Checksum::Sha256,
        &crypto.checksum.message,
    )
}

fn key_of(path: &Path, name: &'static str, secret: &Secret) -> Result<SecretKey, KeystoreError> {
    SecretKey::from_bytes(secret)
        .map_err(|error| layout(path, name, format!("what it holds is no BLS key: {error}")))
}

/// Every way in which a file may name a key: compressed in G1, which current tools write, compressed
/// in G2, which they wrote before, and the coordinates in G1.
fn spellings(key: &SecretKey) -> [String; 3] {
    let (g1, g2) = (key.public_g1(), key.public_g2());
    [hex::encode(compressed_g1(&g1)), hex::encode(compressed_g2(&g2)), hex::encode(g1.to_bytes())]
}

/// A point as `eigensdk-go` prints it.
fn decimal_point(key: &PublicKeyG1) -> String {
    let bytes = key.to_bytes();
    let (x, y) = bytes.split_at(32);
    format!("E([{},{}])", U256::from_be_slice(x), U256::from_be_slice(y))
}

/// x with two bits that say which y is meant, as gnark writes it.
fn compressed_g1(key: &PublicKeyG1) -> [u8; 32] {
    let bytes = key.to_bytes();
    let (x, y) = bytes.split_at(32);
    let mut out = [0; 32];
    out.copy_from_slice(x);
    out[0] |= mark(y);
    out
}

/// As [`compressed_g1`]; of the parts of y, the one at the imaginary unit decides unless it is zero.
fn compressed_g2(key: &PublicKeyG2) -> [u8; 64] {
    let bytes = key.to_bytes();
    let (x, y) = bytes.split_at(64);
    let (y1, y0) = y.split_at(32);
    let mut out = [0; 64];
    out.copy_from_slice(x);
    out[0] |= mark(if y1.iter().all(|byte| *byte == 0) { y0 } else { y1 });
    out
}

fn mark(y: &[u8]) -> u8 {
    if y > HALF_MODULUS.as_slice() { COMPRESSED_LARGER } else { COMPRESSED_SMALLER }
}

/// EIP-2335: compatibility decomposition, without control characters, as UTF-8.
fn normalise_password(password: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len().saturating_mul(4)));
    let mut buffer = Zeroizing::new([0; 4]);
    for letter in password.nfkd().filter(|letter| !letter.is_control()) {
        bytes.extend_from_slice(letter.encode_utf8(buffer.as_mut_slice()).as_bytes());
    }
    bytes
}
