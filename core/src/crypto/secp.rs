//! Wallet keys and signatures: secp256k1 with recovery.
//!
//! A [`WalletKey`] signs [`WalletMessage`]s and nothing else. A signature is `r || s || v` with `v`
//! 27 or 28 and the low `s`: the other form of the same signature is refused, so that there is one.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::LazyLock;

use borsh::{BorshDeserialize, BorshSerialize};
use k256::ecdsa::{Signature, SigningKey};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, Secp256k1, VerifyOnly};
use thiserror::Error;
use zeroize::Zeroizing;

use super::eip712::WalletMessage;
use super::hash::keccak256;
use crate::ids::Address;

/// Why a wallet key or signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecpError {
    /// The scalar of a key is zero or not below the group order.
    #[error("a wallet key is a number from 1 to the group order; draw 32 other random bytes")]
    BadKey,
    /// Another number of bytes.
    #[error("a wallet signature has 65 bytes, got {got}")]
    Length {
        /// Bytes given.
        got: usize,
    },
    /// Not hexadecimal.
    #[error("a wallet signature must be 0x and 130 hexadecimal digits")]
    NotHex,
    /// `v` is neither 27 nor 28.
    #[error("the last byte of a wallet signature is 27 or 28, got {got}")]
    RecoveryByte {
        /// The byte given.
        got: u8,
    },
    /// `r` or `s` is zero or not below the group order.
    #[error("r or s of the wallet signature is out of range")]
    Range,
    /// The high form of `s`.
    #[error("the wallet signature has a high s; sign with a library that gives the low one")]
    HighS,
    /// The signature was made by nobody.
    #[error("no key can have made this wallet signature over this message")]
    Unrecoverable,
    /// Someone else signed.
    #[error("the message was signed by {got}, not by {expected}")]
    WrongSigner {
        /// Who should have signed.
        expected: Address,
        /// Who did.
        got: Address,
    },
}

/// A checked signature of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalletSignature([u8; 65]);

impl WalletSignature {
    /// Length in bytes.
    pub const LEN: usize = 65;

    /// Parses `r || s || v`.
    ///
    /// # Errors
    /// When `v` is neither 27 nor 28, or `r` or `s` is out of range, or `s` is high.
    pub fn from_bytes(bytes: &[u8; 65]) -> Result<Self, SecpError> {
        let [scalars @ .., v] = bytes;
        if !matches!(v, 27 | 28) {
            return Err(SecpError::RecoveryByte { got: *v });
        }
        let signature = Signature::from_slice(scalars).map_err(|_| SecpError::Range)?;
        if signature.normalize_s().is_some() {
            return Err(SecpError::HighS);
        }
        Ok(Self(*bytes))
    }

    /// The 65 bytes.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 65] {
        self.0
    }

    /// Who signed the message; about 30 microseconds.
    ///
    /// # Errors
    /// When no key can have made the signature.
    pub fn recover(&self, message: &WalletMessage) -> Result<Address, SecpError> {
        self.recover_digest(message.digest())
    }

    fn recover_digest(&self, digest: [u8; 32]) -> Result<Address, SecpError> {
        let [scalars @ .., v] = &self.0;
        let parity = if *v == 28 { RecoveryId::One } else { RecoveryId::Zero };
        let signature = RecoverableSignature::from_compact(scalars, parity);
        let key = signature
            .and_then(|signature| CURVE.recover_ecdsa(Message::from_digest(digest), &signature));
        let key = key.map_err(|_| SecpError::Unrecoverable)?;
        Ok(address_of(&key.serialize_uncompressed()))
    }

    /// Checks that `signer` signed the message.
    ///
    /// # Errors
    /// When somebody else or nobody did.
    pub fn verify(&self, message: &WalletMessage, signer: Address) -> Result<(), SecpError> {
        let got = self.recover(message)?;
        if got == signer { Ok(()) } else { Err(SecpError::WrongSigner { expected: signer, got }) }
    }
}

impl TryFrom<&[u8]> for WalletSignature {
    type Error = SecpError;

    fn try_from(bytes: &[u8]) -> Result<Self, SecpError> {
        let exact = bytes.try_into().map_err(|_| SecpError::Length { got: bytes.len() })?;
        Self::from_bytes(exact)
    }
}

impl FromStr for WalletSignature {
    type Err = SecpError;

    fn from_str(text: &str) -> Result<Self, SecpError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0u8; 65];
        alloy_primitives::hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| SecpError::NotHex)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", alloy_primitives::hex::encode(self.0))
    }
}

impl fmt::Debug for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletSignature({self})")
    }
}

impl BorshSerialize for WalletSignature {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&self.0)
    }
}

impl BorshDeserialize for WalletSignature {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        Self::from_bytes(&<[u8; 65]>::deserialize_reader(reader)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// The curve, for public data alone: this library recovers a signer in a fifth of the time that the
/// other takes; that one keeps secret keys, which it erases, and signs.
static CURVE: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// The last 20 bytes of Keccak-256 of an uncompressed point without its first byte.
fn address_of(point: &[u8]) -> Address {
    let digest = keccak256(point.get(1..).unwrap_or_default());
    let mut address = [0u8; 20];
    for (byte, value) in address.iter_mut().zip(digest.iter().skip(12)) {
        *byte = *value;
    }
    Address::from_bytes(address)
}

/// A wallet's secret key. Zeroed when dropped, never printed.
pub struct WalletKey(SigningKey);

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletKey({}, redacted)", self.address())
    }
}

impl WalletKey {
    /// Takes a scalar: 32 big-endian bytes, from a keystore or the caller's randomness.
    ///
    /// # Errors
    /// When it is zero or not below the group order (random bytes: with probability 2^-128).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SecpError> {
        SigningKey::from_slice(bytes).map(Self).map_err(|_| SecpError::BadKey)
    }

    /// The scalar, for keystores and transaction signers only.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key().to_encoded_point(false).as_bytes())
    }

    /// Signs a typed message, deterministically (RFC 6979).
    #[must_use]
    pub fn sign(&self, message: &WalletMessage) -> WalletSignature {
        #[expect(clippy::expect_used, reason = "fails only for a digest shorter than 16 bytes")]
        let (signature, recovery) =
            self.0.sign_prehash_recoverable(&message.digest()).expect("the digest has 32 bytes");
        let mut bytes = [0u8; 65];
        let v = 27 + u8::from(recovery.is_y_odd());
        for (byte, value) in bytes.iter_mut().zip(signature.to_bytes().into_iter().chain([v])) {
            *byte = value;
        }
        WalletSignature(bytes)
    }
}
