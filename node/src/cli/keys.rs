//! `keys` and `operator keys`: make key files, take them over from other tools, and hand them on.

use std::path::{Path, PathBuf};

use alloy_primitives::U256;
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::client::wallet_from;
use crate::exit::{CliResult, Exit, WithExit};
use crate::keystore::{
    self, BlsLayout, KeyNote, SCRYPT_LOG_N_LIGHT, SCRYPT_LOG_N_STANDARD, Secret,
};
use crate::output::{self, Format};

/// `keys` commands.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key: a wallet (provers, oracles, requesters) or a BLS key (verifiers).
    #[command(alias = "new")]
    Create {
        /// What kind of key.
        kind: KeyKind,
        /// Where the key goes.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Take a key over: from a key file of eigenlayer-cli, geth or Proofgrid, or from its plain
    /// number.
    Import {
        /// What kind of key.
        kind: KeyKind,
        /// The key as it is now.
        #[command(flatten)]
        source: SourceArgs,
        /// Where the key goes.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Write a key file for other tools, encrypted with a password of its own.
    Export {
        /// What kind of key.
        kind: KeyKind,
        /// The key file.
        file: PathBuf,
        /// File with its password.
        #[arg(long)]
        from_password_file: PathBuf,
        /// What reads the new file.
        #[arg(long = "for", value_enum, default_value_t)]
        reader: Reader,
        /// Where the key goes.
        #[command(flatten)]
        target: TargetArgs,
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
    /// List the key files of a folder, as they describe themselves; needs no password.
    List {
        /// The folder; that of eigenlayer-cli, ~/.eigenlayer/operator_keys, if not given.
        #[arg(long, env = "PROOFGRID_KEYS")]
        folder: Option<PathBuf>,
    },
}

/// Where a key goes.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Where the encrypted key goes; never overwritten.
    #[arg(long)]
    pub out: PathBuf,
    /// File with the password of the new file.
    #[arg(long)]
    pub password_file: PathBuf,
    /// Cheap encryption for throw-away keys of a development network; eigenlayer-cli refuses it.
    #[arg(long)]
    pub light: bool,
}

impl TargetArgs {
    const fn log_n(&self) -> u8 {
        if self.light { SCRYPT_LOG_N_LIGHT } else { SCRYPT_LOG_N_STANDARD }
    }
}

/// A key that there is already.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct SourceArgs {
    /// A key file, in any layout that `keys` knows.
    #[arg(long, requires = "from_password_file", conflicts_with = "from_plain")]
    pub from: Option<PathBuf>,
    /// File with the password of that key file.
    #[arg(long, requires = "from")]
    pub from_password_file: Option<PathBuf>,
    /// File with the plain number, as `eigenlayer keys export` prints it: hexadecimal, or decimal
    /// for a BLS key. Remove it afterwards.
    #[arg(long)]
    pub from_plain: Option<PathBuf>,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// secp256k1, Web3 Secret Storage.
    #[value(alias = "ecdsa")]
    Wallet,
    /// BLS over BN254, EIP-2335 layout.
    Bls,
}

/// Who reads an exported file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Reader {
    /// Programs built on eigensdk: the older layout of BLS keys. Wallets have one layout.
    #[default]
    Eigensdk,
    /// Current eigenlayer-cli, Cerberus and Proofgrid itself.
    EigenlayerCli,
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

/// Makes, takes over, hands on, shows or lists keys.
///
/// # Errors
/// When a file cannot be read or written, or the password is wrong.
pub fn run(command: KeysCommand, output: Format) -> CliResult {
    let view = match command {
        KeysCommand::Create { kind, target } => {
            let password = keystore::read_password(&target.password_file)?;
            match kind {
                KeyKind::Wallet => {
                    wallet_view(&new_wallet(&target.out, &password, target.log_n())?, &target.out)
                }
                KeyKind::Bls => {
                    bls_view(&new_bls(&target.out, &password, target.log_n())?, &target.out)
                }
            }
        }
        KeysCommand::Import { kind, source, target } => {
            write(kind, &read_source(kind, &source)?, BlsLayout::Eip2335, &target)?
        }
        KeysCommand::Export { kind, file, from_password_file, reader, target } => {
            let layout = match reader {
                Reader::Eigensdk => BlsLayout::EigenSdk,
                Reader::EigenlayerCli => BlsLayout::Eip2335,
            };
            let secret = read_file(kind, &file, &from_password_file)?;
            write(kind, &secret, layout, &target)?
        }
        KeysCommand::Show { kind, file, password_file } => match kind {
            KeyKind::Wallet => wallet_view(&wallet_from(&file, &password_file)?, &file),
            KeyKind::Bls => bls_view(&bls_from(&file, &password_file)?, &file),
        },
        KeysCommand::List { folder } => return list(folder, output),
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

fn list(folder: Option<PathBuf>, output: Format) -> CliResult {
    let folder = folder
        .or_else(keystore::default_folder)
        .context("this user has no home directory; name the folder with --folder")?;
    let notes = keystore::list(&folder).exit(Exit::NotFound)?;
    match output {
        Format::Json => output::json(&notes, false)?,
        Format::Table => {
            let row = |note: &KeyNote| {
                let file = note.file.display().to_string();
                let told = note.problem.clone().unwrap_or_else(|| note.public.clone());
                vec![note.kind.to_owned(), note.layout.to_owned(), told, file]
            };
            let rows = notes.iter().map(row).collect();
            let header = ["kind", "layout", "public key or problem", "file"];
            output::line(&output::table(&header, rows).to_string());
        }
    }
    Ok(())
}

/// Makes a wallet key and writes it encrypted.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn new_wallet(out: &Path, password: &str, log_n: u8) -> anyhow::Result<WalletKey> {
    let wallet = loop {
        let secret = Zeroizing::new(keystore::random::<32>()?);
        // One in 2^128 draws is no valid scalar; the loop ends with the first that is.
        if let Ok(wallet) = WalletKey::from_bytes(&secret) {
            break wallet;
        }
    };
    keystore::write_wallet(out, &wallet, password, log_n)?;
    Ok(wallet)
}

/// Makes a BLS key and writes it encrypted.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn new_bls(out: &Path, password: &str, log_n: u8) -> anyhow::Result<SecretKey> {
    let seed = Zeroizing::new(keystore::random::<64>()?);
    let key = SecretKey::from_seed(&seed[..]).context("the seed gives no key; try again")?;
    keystore::write_bls(out, &key, BlsLayout::Eip2335, password, log_n)?;
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

fn read_file(kind: KeyKind, path: &Path, password_file: &Path) -> anyhow::Result<Secret> {
    let password = keystore::read_password(password_file)?;
    Ok(match kind {
        KeyKind::Wallet => keystore::read_wallet(path, &password)?,
        KeyKind::Bls => keystore::read_bls(path, &password)?,
    })
}

fn read_source(kind: KeyKind, source: &SourceArgs) -> anyhow::Result<Secret> {
    match (&source.from, &source.from_password_file, &source.from_plain) {
        (Some(path), Some(password_file), None) => read_file(kind, path, password_file),
        (None, None, Some(path)) => {
            let text = keystore::read_password(path)?;
            plain_number(kind, &text).with_context(|| format!("{} holds no key", path.display()))
        }
        _ => bail!("say where the key is: --from FILE --from-password-file FILE, or --from-plain"),
    }
}

/// A secret as `eigenlayer keys export` prints it, read as `eigenlayer keys import` does: digits alone
/// are a decimal number if it is a BLS key. The text is in no error.
fn plain_number(kind: KeyKind, text: &str) -> anyhow::Result<Secret> {
    let text = text.trim();
    let decimal = kind == KeyKind::Bls && text.bytes().all(|letter| letter.is_ascii_digit());
    let radix = if decimal { 10 } else { 16 };
    let digits = if decimal { text } else { text.strip_prefix("0x").unwrap_or(text) };
    let number = match digits.bytes().all(|letter| letter.is_ascii_hexdigit()) {
        true if !digits.is_empty() => U256::from_str_radix(digits, radix).ok(),
        _ => None,
    };
    let number = number.map(|number| Zeroizing::new(number.to_be_bytes()));
    number.with_context(|| match kind {
        KeyKind::Wallet => "a plain wallet key is up to 64 hexadecimal digits",
        KeyKind::Bls => {
            "a plain BLS key is a decimal number, or 0x and up to 64 hexadecimal digits"
        }
    })
}

fn write(
    kind: KeyKind,
    secret: &Secret,
    layout: BlsLayout,
    target: &TargetArgs,
) -> anyhow::Result<KeyView> {
    let password = keystore::read_password(&target.password_file)?;
    Ok(match kind {
        KeyKind::Wallet => {
            let key = WalletKey::from_bytes(secret).context("this is no wallet key")?;
            keystore::write_wallet(&target.out, &key, &password, target.log_n())?;
            wallet_view(&key, &target.out)
        }
        KeyKind::Bls => {
            let key = SecretKey::from_bytes(secret).context("this is no BLS key")?;
            keystore::write_bls(&target.out, &key, layout, &password, target.log_n())?;
            bls_view(&key, &target.out)
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_keys_are_read_as_eigenlayer_cli_prints_them() {
        let read = |kind, text| plain_number(kind, text).map(|secret| hex::encode(*secret));
        let ten = format!("{:064x}", 10);
        assert_eq!(read(KeyKind::Bls, "10").expect("decimal"), ten);
        assert_eq!(read(KeyKind::Bls, "0x0a").expect("hexadecimal"), ten);
        assert_eq!(read(KeyKind::Wallet, "10").expect("hexadecimal"), format!("{:064x}", 16));
        assert_eq!(read(KeyKind::Wallet, " 0x0A\n").expect("hexadecimal"), ten);
        for text in ["", "0x", "secret", "-1", "1_0", "0x1z", &"f".repeat(65), &"9".repeat(79)] {
            for kind in [KeyKind::Wallet, KeyKind::Bls] {
                let refused = read(kind, text).expect_err("no key").to_string();
                let shown = text.len() > 2 && refused.contains(text);
                assert!(!shown && refused.contains("plain"), "{refused}");
            }
        }
    }
}
