//! Vectors from outside, files of other implementations, and files that lie.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// The scrypt test vector of EIP-2335.
const EIP_2335_SCRYPT: &str = r#"{"crypto":{"kdf":{"function":"scrypt","params":{"dklen":32,
    "n":262144,"p":1,"r":8,
    "salt":"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"},"message":""},
    "checksum":{"function":"sha256","params":{},
    "message":"d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"},
    "cipher":{"function":"aes-128-ctr",
    "params":{"iv":"264daa3f303d7259501c93d997d84fe6"},
    "message":"06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"}},
    "description":"","pubkey":"","path":"m/12381/60/3141592653/589793238","uuid":
    "1d85ae20-35c5-4611-98e8-aa14a633906f","version":4}"#;
/// The PBKDF2 test vector of EIP-2335.
const EIP_2335_PBKDF2: &str = r#"{"crypto":{"kdf":{"function":"pbkdf2","params":{"dklen":32,
    "c":262144,"prf":"hmac-sha256",
    "salt":"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"},"message":""},
    "checksum":{"function":"sha256","params":{},
    "message":"8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"},
    "cipher":{"function":"aes-128-ctr",
    "params":{"iv":"264daa3f303d7259501c93d997d84fe6"},
    "message":"cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"}},
    "description":"","pubkey":"","path":"m/12381/60/0/0","uuid":
    "64625def-3331-4eea-ab6f-782f3ed16a83","version":4}"#;
const EIP_2335_SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
/// Its password as the EIP gives it: letters that NFKD turns into `testpassword`.
const EIP_2335_PASSWORD: &str = "\u{1d531}\u{1d522}\u{1d530}\u{1d531}\u{1d52d}\u{1d51e}\u{1d530}\
                                 \u{1d530}\u{1d534}\u{1d52c}\u{1d52f}\u{1d521}\u{1f511}";
/// The PBKDF2 vector of the Web3 Secret Storage definition.
const WEB3_PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr",
    "cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    "kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
    "salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
/// The scrypt vector of the Web3 Secret Storage definition. Its cost is outside what RFC 7914 allows.
const WEB3_SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr",
    "cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    "kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"p":8,"r":1,
    "salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
const WEB3_SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

/// Of the files in `tests/data/keystores`.
const FIXTURE_PASSWORD: &str = "p\u{e4}ssw\u{fb01}rd\u{7f} \u{1f511}";
const FIXTURE_BLS: [(&str, &str); 2] = [
    ("a", "0dbe7b2b0d0c9b6a37c7c1c2c2a79c8e60e0a1b6c0dd5d0a3af7a8c0b1d2e3f4"),
    ("b", "00000000000000005e1fd0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4ea"),
];

type Read = fn(&Path, &str) -> Result<Secret, KeystoreError>;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A file that only its owner can read, as a key file must be.
fn private(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    create_private(&path, text.as_bytes()).expect("written");
    path
}

fn fixture(folder: &TempDir, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keystores").join(name);
    private(folder, name, &fs::read_to_string(source).expect("a committed file"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

/// The same file with another value at `place`.
fn changed(path: &Path, place: &str, value: Value) -> PathBuf {
    let mut file = json(path);
    *file.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value;
    let name = format!("{}.json", place.replace('/', "-"));
    let other = path.with_extension(name);
    create_private(&other, file.to_string().as_bytes()).expect("written");
    other
}

fn bls_key() -> SecretKey {
    SecretKey::from_bytes(&[9; 32]).expect("a key")
}

fn wallet_key() -> WalletKey {
    WalletKey::from_bytes(&[7; 32]).expect("a key")
}

#[test]
fn the_eip_2335_vectors_open() {
    let folder = folder();
    for (name, vector) in [("scrypt", EIP_2335_SCRYPT), ("pbkdf2", EIP_2335_PBKDF2)] {
        let secret = read_bls(&private(&folder, name, vector), EIP_2335_PASSWORD).expect(name);
        assert_eq!(hex::encode(*secret), EIP_2335_SECRET);
    }
}

#[test]
fn the_web3_secret_storage_vector_opens() {
    let folder = folder();
    let path = private(&folder, "pbkdf2", WEB3_PBKDF2);
    let secret = read_wallet(&path, "testpassword").expect("opens");
    assert_eq!(hex::encode(*secret), WEB3_SECRET);
    let wrong = read_wallet(&path, "Testpassword");
    assert!(matches!(wrong, Err(KeystoreError::WrongPassword { .. })), "{wrong:?}");
}

/// n 2^18 with r 1, which files of old Python tools have too.
#[test]
fn a_cost_against_the_rfc_is_refused_with_what_to_do() {
    let folder = folder();
    let error = read_wallet(&private(&folder, "scrypt", WEB3_SCRYPT), "testpassword");
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("RFC 7914") && error.contains("with r 8"), "{error}");
}

#[test]
fn key_files_of_other_implementations_open() {
    let folder = folder();
    for name in ["wallet-scrypt.ecdsa.key.json", "wallet-pbkdf2.ecdsa.key.json"] {
        let secret = read_wallet(&fixture(&folder, name), FIXTURE_PASSWORD).expect(name);
        assert_eq!(hex::encode(*secret), WEB3_SECRET);
    }
    for (key, expected) in FIXTURE_BLS {
        for layout in ["eigensdk", "g1", "g2"] {
            let name = format!("{key}-{layout}.bls.key.json");
            let secret = read_bls(&fixture(&folder, &name), FIXTURE_PASSWORD).expect(&name);
            assert_eq!(hex::encode(*secret), expected, "{name}");
        }
    }
}

/// What the other implementations name a key is what this one writes for it.
#[test]
fn written_bls_files_name_the_key_as_the_other_implementations_do() {
    let folder = folder();
    for (name, secret) in FIXTURE_BLS {
        let mut bytes = [0; 32];
        hex::decode_to_slice(secret, &mut bytes).expect("hexadecimal");
        let key = SecretKey::from_bytes(&bytes).expect("a key");
        for (layout, other, place) in
            [(BlsLayout::Eip2335, "g1", "/pubkey"), (BlsLayout::EigenSdk, "eigensdk", "/pubKey")]
        {
            let path = folder.path().join(format!("{name}-{other}-own.json"));
            write_bls(&path, &key, layout, "p", SCRYPT_LOG_N_LIGHT).expect("written");
            let theirs = fixture(&folder, &format!("{name}-{other}.bls.key.json"));
            assert_eq!(json(&path).pointer(place), json(&theirs).pointer(place));
            // Nothing that the other one writes is missing.
            let names = |value: &Value| -> Vec<String> {
                value.as_object().expect("an object").keys().cloned().collect()
            };
            assert_eq!(names(&json(&path)), names(&json(&theirs)));
        }
    }
}

#[test]
fn a_wallet_round_trips_and_a_wrong_password_is_refused() {
    let folder = folder();
    let path = folder.path().join("wallet.json");
    write_wallet(&path, &wallet_key(), "right", SCRYPT_LOG_N_LIGHT).expect("written");
    assert_eq!(*read_wallet(&path, "right").expect("opens"), [7; 32]);
    assert!(matches!(read_wallet(&path, "wrong"), Err(KeystoreError::WrongPassword { .. })));
}

#[test]
fn a_bls_key_round_trips_in_both_layouts_and_is_never_overwritten() {
    let folder = folder();
    for layout in [BlsLayout::Eip2335, BlsLayout::EigenSdk] {
        let path = folder.path().join(format!("{layout:?}.json"));
        write_bls(&path, &bls_key(), layout, "right", SCRYPT_LOG_N_LIGHT).expect("written");
        assert_eq!(*read_bls(&path, "right").expect("opens"), [9; 32]);
        let wrong = read_bls(&path, "wrong");
        assert!(matches!(wrong, Err(KeystoreError::WrongPassword { .. })), "{wrong:?}");
        let other = SecretKey::from_bytes(&[8; 32]).expect("a key");
        let again = write_bls(&path, &other, layout, "right", SCRYPT_LOG_N_LIGHT);
        assert!(matches!(again, Err(KeystoreError::Io { .. })));
        assert_eq!(*read_bls(&path, "right").expect("opens"), [9; 32]);
    }
}

/// EIP-2335 folds passwords, so that they can be typed on any keyboard; Web3 Secret Storage does not.
#[test]
fn only_eip_2335_folds_passwords() {
    let folder = folder();
    let (composed, folded) = ("\u{e4}\u{fb01}\u{7f}", "a\u{308}fi");
    let (eip, web3) = (folder.path().join("eip.json"), folder.path().join("web3.json"));
    write_bls(&eip, &bls_key(), BlsLayout::Eip2335, composed, SCRYPT_LOG_N_LIGHT).expect("written");
    write_bls(&web3, &bls_key(), BlsLayout::EigenSdk, composed, SCRYPT_LOG_N_LIGHT)
        .expect("written");
    assert!(read_bls(&eip, folded).is_ok());
    assert!(read_bls(&web3, composed).is_ok());
    assert!(matches!(read_bls(&web3, folded), Err(KeystoreError::WrongPassword { .. })));
}

/// Found by fuzzing: the checksums of all layouts cover the ciphertext, not the nonce.
#[test]
fn a_damaged_nonce_gives_no_other_key() {
    let folder = folder();
    let zero = || Value::from("00".repeat(16));
    for (layout, nonce) in [
        (BlsLayout::Eip2335, "/crypto/cipher/params/iv"),
        (BlsLayout::EigenSdk, "/crypto/cipherparams/iv"),
    ] {
        let path = folder.path().join(format!("{layout:?}.json"));
        write_bls(&path, &bls_key(), layout, "p", SCRYPT_LOG_N_LIGHT).expect("written");
        let refused = read_bls(&changed(&path, nonce, zero()), "p");
        assert!(matches!(refused, Err(KeystoreError::Layout { .. })), "{refused:?}");
    }
    let wallet = folder.path().join("wallet.json");
    write_wallet(&wallet, &wallet_key(), "p", SCRYPT_LOG_N_LIGHT).expect("written");
    let refused = read_wallet(&changed(&wallet, "/crypto/cipherparams/iv", zero()), "p");
    assert!(matches!(refused, Err(KeystoreError::Layout { .. })), "{refused:?}");
}

/// Every part of a file that is missing, of another type or another value is told, and no secret with
/// it.
#[test]
fn a_damaged_file_is_refused_and_shows_no_secret() {
    let folder = folder();
    let wallet = folder.path().join("wallet.json");
    let (eip, sdk) = (folder.path().join("eip.json"), folder.path().join("sdk.json"));
    write_wallet(&wallet, &wallet_key(), "hunter-two", SCRYPT_LOG_N_LIGHT).expect("written");
    for (path, layout) in [(&eip, BlsLayout::Eip2335), (&sdk, BlsLayout::EigenSdk)] {
        write_bls(path, &bls_key(), layout, "hunter-two", SCRYPT_LOG_N_LIGHT).expect("written");
    }
    let places = [
        (&wallet, "/address"),
        (&wallet, "/version"),
        (&wallet, "/crypto/mac"),
        (&wallet, "/crypto/kdf"),
        (&wallet, "/crypto/cipher"),
        (&wallet, "/crypto/ciphertext"),
        (&wallet, "/crypto/kdfparams/salt"),
        (&eip, "/curve"),
        (&eip, "/pubkey"),
        (&eip, "/version"),
        (&eip, "/crypto/kdf/function"),
        (&eip, "/crypto/checksum/function"),
        (&eip, "/crypto/checksum/message"),
        (&eip, "/crypto/cipher/function"),
        (&eip, "/crypto/cipher/message"),
        (&sdk, "/pubKey"),
        (&sdk, "/crypto/mac"),
        (&sdk, "/crypto/ciphertext"),
    ];
    for (path, place) in places {
        for (index, value) in [Value::from("00ff"), Value::Null, 9.into()].into_iter().enumerate() {
            let damaged = changed(path, place, value);
            let read = if path == &wallet { read_wallet } else { read_bls };
            let error = read(&damaged, "hunter-two").expect_err(place);
            let text = format!("{error} {error:?}");
            let spellings =
                ["hunter-two".into(), hex::encode([7; 32]), hex::encode([9; 32]), "9, 9".into()];
            let shown = spellings.iter().any(|secret: &String| text.contains(secret));
            assert!(!shown, "{place} {index}: {text}");
            assert!(text.contains(&damaged.display().to_string()), "{text}");
            fs::remove_file(damaged).expect("removed");
        }
    }
}

#[test]
fn a_key_of_the_other_kind_or_curve_is_named() {
    let folder = folder();
    let (wallet, bls) = (folder.path().join("wallet.json"), folder.path().join("bls.json"));
    write_wallet(&wallet, &wallet_key(), "p", SCRYPT_LOG_N_LIGHT).expect("written");
    write_bls(&bls, &bls_key(), BlsLayout::Eip2335, "p", SCRYPT_LOG_N_LIGHT).expect("written");
    let told = |refused: Result<Secret, KeystoreError>| refused.expect_err("refused").to_string();
    assert!(told(read_bls(&wallet, "p")).contains("holds a wallet"));
    assert!(told(read_wallet(&bls, "p")).contains("holds a BLS key"));
    let other = changed(&bls, "/curve", "bls12-381".into());
    assert!(told(read_bls(&other, "p")).contains("bls12-381"));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = folder();
    let path = folder.path().join("wallet.json");
    write_wallet(&path, &wallet_key(), "p", SCRYPT_LOG_N_LIGHT).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(matches!(read_wallet(&path, "p"), Err(KeystoreError::Permissions { mode: 0o644, .. })));
}

#[test]
fn a_file_of_any_length_costs_little() {
    let folder = folder();
    let path = private(&folder, "long.json", &" ".repeat(1 << 20));
    for error in [read_wallet(&path, "p"), read_bls(&path, "p")].map(Result::unwrap_err) {
        assert!(error.to_string().contains("more than 16384 bytes"), "{error}");
    }
    let error = read_password(&path).expect_err("too long");
    assert!(error.to_string().contains("more than 16384 bytes"), "{error}");
}

/// Each would take from 1.1 GiB to more than there is, or hours.
#[test]
fn a_hostile_cost_is_refused_before_it_is_paid() {
    let folder = folder();
    let costs = [
        (1u64 << 40, 8u64, 1u64),
        (1 << 21, 1, 1),
        (1 << 20, 9, 1),
        (1 << 4, u64::from(u32::MAX), 1),
        (1 << 18, 8, 17),
        (1 << 4, 1, u64::from(u32::MAX)),
        (u64::MAX, u64::from(u32::MAX), u64::from(u32::MAX)),
    ];
    let vector = |text| serde_json::from_str::<Value>(text).expect("JSON");
    let mut eigensdk = vector(WEB3_SCRYPT);
    eigensdk["pubKey"] = "E([1,2])".into();
    let readers: [(Value, Read, &str); 3] = [
        (vector(EIP_2335_SCRYPT), read_bls, "/crypto/kdf/params"),
        (vector(WEB3_SCRYPT), read_wallet, "/crypto/kdfparams"),
        (eigensdk, read_bls, "/crypto/kdfparams"),
    ];
    for (vector, read, params) in readers {
        for (index, (n, r, p)) in costs.into_iter().enumerate() {
            let mut file = vector.clone();
            for (field, value) in [("n", n), ("r", r), ("p", p)] {
                *file.pointer_mut(&format!("{params}/{field}")).expect("there") = value.into();
            }
            let path = private(&folder, &format!("costly-{index}.json"), &file.to_string());
            let error = read(&path, "p").expect_err("too costly");
            assert!(matches!(error, KeystoreError::Layout { .. }), "{error}");
            let text = error.to_string();
            let named = text.contains(&format!("scrypt n {n}")) && text.contains(".json");
            assert!(named && text.contains("make the file again"), "{text}");
            fs::remove_file(path).expect("removed");
        }
    }
}

#[test]
fn hostile_rounds_of_pbkdf2_are_refused_before_they_are_run() {
    let folder = folder();
    let vectors: [(&str, Read, &str); 2] = [
        (EIP_2335_PBKDF2, read_bls, "/crypto/kdf/params"),
        (WEB3_PBKDF2, read_wallet, "/crypto/kdfparams"),
    ];
    for (index, (vector, read, params)) in vectors.into_iter().enumerate() {
        let path = private(&folder, &format!("vector-{index}.json"), vector);
        for (field, value) in [
            ("c", Value::from((1u64 << 22) + 1)),
            ("c", 0.into()),
            ("c", u64::MAX.into()),
            ("dklen", 64.into()),
            ("prf", "hmac-sha512".into()),
        ] {
            let costly = changed(&path, &format!("{params}/{field}"), value);
            let error = read(&costly, "p").expect_err("out of range");
            assert!(matches!(error, KeystoreError::Layout { .. }), "{error}");
            fs::remove_file(costly).expect("removed");
        }
    }
}

#[test]
fn a_folder_lists_its_keys_without_passwords() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    write_wallet(&path("1.ecdsa.key.json"), &wallet_key(), "p", SCRYPT_LOG_N_LIGHT)
        .expect("written");
    write_bls(&path("2.bls.key.json"), &bls_key(), BlsLayout::Eip2335, "p", SCRYPT_LOG_N_LIGHT)
        .expect("written");
    write_bls(&path("3.bls.key.json"), &bls_key(), BlsLayout::EigenSdk, "p", SCRYPT_LOG_N_LIGHT)
        .expect("written");
    private(&folder, "4.json", "{}");
    private(&folder, "5.json", r#"{"address":"\u001b[2Jab"}"#);
    fs::write(path("6.json"), "{}").expect("written");
    fs::set_permissions(path("6.json"), fs::Permissions::from_mode(0o644)).expect("set");
    fs::write(path("password"), "p").expect("written");
    let notes = list(folder.path()).expect("a folder");
    let kinds: Vec<_> = notes.iter().map(|note| (note.kind, note.layout)).collect();
    assert_eq!(
        kinds,
        [
            ("wallet", "Web3 Secret Storage"),
            ("bls", "EIP-2335"),
            ("bls", "eigensdk"),
            ("unknown", ""),
            ("wallet", "Web3 Secret Storage"),
            ("unknown", ""),
        ]
    );
    assert_eq!(notes[0].public, wallet_key().address().to_string().to_lowercase());
    assert_eq!(notes[4].public, "0x[2Jab", "nothing that steers a terminal");
    assert!(notes[5].problem.as_ref().is_some_and(|text| text.contains("chmod 600")));
}
