//! `keys`: make and look at key files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::client::wallet_from;
use crate::exit::CliResult;
use crate::keystore::{self, SCRYPT_LOG_N_LIGHT, SCRYPT_LOG_N_STANDARD};
use crate::output::{self, Format};

/// `keys` commands.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key: a wallet (provers, oracles, requesters) or a BLS key (verifiers).
    New {
        /// What kind of key.
        kind: KeyKind,
        /// Where the encrypted key goes; never overwritten.
        #[arg(long)]
        out: PathBuf,
        /// File with the password.
        #[arg(long)]
        password_file: PathBuf,
        /// Cheap encryption for throw-away keys of a development network.
        #[arg(long)]
        light: bool,
    },
    /// Show a key's public part; needs its password.
    Show {
        /// What kind of key.
        kind: KeyKind,
        /// The key file.
        file: PathBuf,
        /// File with the password.
        #[arg(long)]
        password_file: PathBuf,
    },
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// secp256k1, Web3 Secret Storage.
    Wallet,
    /// BLS over BN254, EIP-2335 layout.
    Bls,
}

#[derive(Debug, Serialize)]
struct KeyView {
    kind: &'static str,
    /// Address of a wallet; G1 point of a BLS key.
    public: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_g2: Option<String>,
    file: String,
}

/// Makes or shows a key.
///
/// # Errors
/// When a file cannot be read or written, or the password is wrong.
pub fn run(command: KeysCommand, output: Format) -> CliResult {
    let view = match command {
        KeysCommand::New { kind, out, password_file, light } => {
            let password = keystore::read_password(&password_file)?;
            let log_n = if light { SCRYPT_LOG_N_LIGHT } else { SCRYPT_LOG_N_STANDARD };
            match kind {
                KeyKind::Wallet => wallet_view(&new_wallet(&out, &password, log_n)?, &out),
                KeyKind::Bls => bls_view(&new_bls(&out, &password, log_n)?, &out),
            }
        }
        KeysCommand::Show { kind, file, password_file } => match kind {
            KeyKind::Wallet => wallet_view(&wallet_from(&file, &password_file)?, &file),
            KeyKind::Bls => bls_view(&bls_from(&file, &password_file)?, &file),
        },
    };
    match output {
        Format::Json => output::json(&view, false)?,
        Format::Table => {
            output::line(&format!("{:<8} {}", view.kind, view.public));
            if let Some(g2) = &view.public_g2 {
                output::line(&format!("{:<8} {g2}", "g2"));
            }
            output::line(&format!("{:<8} {}", "file", view.file));
        }
    }
    Ok(())
}

/// Makes a wallet key and writes it encrypted.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn new_wallet(out: &Path, password: &str, log_n: u8) -> anyhow::Result<WalletKey> {
    let (secret, wallet) = loop {
        let secret = Zeroizing::new(keystore::random::<32>()?);
        // One in 2^128 draws is no valid scalar; the loop ends with the first that is.
        if let Ok(wallet) = WalletKey::from_bytes(&secret) {
            break (secret, wallet);
        }
    };
    keystore::write_wallet(out, &secret, &wallet.address().to_string(), password, log_n)?;
    Ok(wallet)
}

/// Makes a BLS key and writes it encrypted.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn new_bls(out: &Path, password: &str, log_n: u8) -> anyhow::Result<SecretKey> {
    let seed = Zeroizing::new(keystore::random::<64>()?);
    let key = SecretKey::from_seed(&seed[..]).context("the seed gives no key; try again")?;
    let secret = Zeroizing::new(key.to_bytes());
    let public = key.public_g1().to_bytes();
    keystore::write_bls(out, &secret, &public, "Proofgrid verifier", password, log_n)?;
    Ok(key)
}

/// Opens a BLS key file with the password in another file.
///
/// # Errors
/// When the file or password is wrong.
pub fn bls_from(path: &Path, password_file: &Path) -> anyhow::Result<SecretKey> {
    let password = keystore::read_password(password_file)?;
    let secret = keystore::read_bls(path, &password)?;
    SecretKey::from_bytes(&secret).with_context(|| format!("{} holds no key", path.display()))
}

fn wallet_view(wallet: &WalletKey, file: &Path) -> KeyView {
    KeyView {
        kind: "wallet",
        public: wallet.address().to_string(),
        public_g2: None,
        file: file.display().to_string(),
    }
}

fn bls_view(key: &SecretKey, file: &Path) -> KeyView {
    KeyView {
        kind: "bls",
        public: crate::job_view::hex0x(&key.public_g1().to_bytes()),
        public_g2: Some(crate::job_view::hex0x(&key.public_g2().to_bytes())),
        file: file.display().to_string(),
    }
}
