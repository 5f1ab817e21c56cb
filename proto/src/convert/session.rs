//! The login handshake.

use std::fmt;

use proofgrid_core::crypto::bls::Signature;
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, ChainId, LoginNonce, NetworkId, Role, SessionId};
use proofgrid_core::units::{Millis, UnixMillis};

use super::{ConvertError, VERSION_BYTES_MAX, common, exact, id, label, point, present};
use crate::v1;

/// Bytes of a session token.
pub const SESSION_TOKEN_BYTES: usize = 32;

/// The secret that opens the blob calls to a session. Never printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionToken([u8; SESSION_TOKEN_BYTES]);

impl SessionToken {
    /// Wraps random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SESSION_TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// The secret, for the metadata entry of a call.
    #[must_use]
    pub const fn expose(&self) -> &[u8; SESSION_TOKEN_BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for SessionToken {
    type Error = ConvertError;

    fn try_from(bytes: &[u8]) -> Result<Self, ConvertError> {
        exact(crate::SESSION_TOKEN_METADATA, bytes).map(Self)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(redacted)")
    }
}

/// A peer's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What the peer is.
    pub role: Role,
    /// Its address; for a verifier, the operator of the epoch table.
    pub operator: Address,
    /// Its nonce.
    pub client_nonce: LoginNonce,
    /// Version of its build; shown, never trusted.
    pub version: String,
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(wire: v1::Hello) -> Result<Self, ConvertError> {
        Ok(Self {
            role: common::role("role", wire.role)?,
            operator: id("operator", &wire.operator)?,
            client_nonce: id("client_nonce", &wire.client_nonce)?,
            version: label("version", wire.version, VERSION_BYTES_MAX)?,
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(core: Hello) -> Self {
        Self {
            role: v1::Role::from(core.role).into(),
            operator: core.operator.as_bytes().to_vec(),
            client_nonce: core.client_nonce.as_bytes().to_vec(),
            version: core.version,
        }
    }
}

/// The dispatcher's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// The dispatcher's own address.
    pub server: Address,
    /// Its nonce.
    pub server_nonce: LoginNonce,
    /// The network that the login is bound to.
    pub network: NetworkId,
}

impl Challenge {
    /// What a peer signs in answer, who said hello with `client_nonce`. Whether it wants to log in to
    /// this server and network it decides before.
    #[must_use]
    pub const fn login(&self, role: Role, operator: Address, client_nonce: LoginNonce) -> Login {
        let (server, server_nonce) = (self.server, self.server_nonce);
        Login { role, server, server_nonce, client_nonce, operator }
    }
}

impl TryFrom<v1::Challenge> for Challenge {
    type Error = ConvertError;

    fn try_from(wire: v1::Challenge) -> Result<Self, ConvertError> {
        Ok(Self {
            server: id("server", &wire.server)?,
            server_nonce: id("server_nonce", &wire.server_nonce)?,
            network: NetworkId {
                home_chain: ChainId::new(wire.home_chain_id),
                epoch_table: id("epoch_table", &wire.epoch_table)?,
            },
        })
    }
}

impl From<Challenge> for v1::Challenge {
    fn from(core: Challenge) -> Self {
        Self {
            server: core.server.as_bytes().to_vec(),
            server_nonce: core.server_nonce.as_bytes().to_vec(),
            home_chain_id: core.network.home_chain.get(),
            epoch_table: core.network.epoch_table.as_bytes().to_vec(),
        }
    }
}

/// A peer's answer to the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProof {
    /// Of a prover or oracle.
    Wallet(WalletSignature),
    /// Of a verifier.
    Bls(Signature),
}

impl TryFrom<v1::Login> for LoginProof {
    type Error = ConvertError;

    fn try_from(wire: v1::Login) -> Result<Self, ConvertError> {
        match present("proof", wire.proof)? {
            v1::login::Proof::WalletSignature(bytes) => WalletSignature::try_from(bytes.as_slice())
                .map(Self::Wallet)
                .map_err(|error| ConvertError::new("wallet_signature", error)),
            v1::login::Proof::BlsSignature(bytes) => point("bls_signature", &bytes).map(Self::Bls),
        }
    }
}

impl From<LoginProof> for v1::Login {
    fn from(core: LoginProof) -> Self {
        let proof = match core {
            LoginProof::Wallet(signature) => {
                v1::login::Proof::WalletSignature(signature.to_bytes().to_vec())
            }
            LoginProof::Bls(signature) => {
                v1::login::Proof::BlsSignature(signature.to_bytes().to_vec())
            }
        };
        Self { proof: Some(proof) }
    }
}

/// The session is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Its number.
    pub session: SessionId,
    /// Opens the blob calls.
    pub token: SessionToken,
    /// How often to send a heartbeat.
    pub heartbeat_interval: Millis,
    /// Silence after which the peer counts as dead.
    pub dead_after: Millis,
    /// The dispatcher's clock.
    pub now: UnixMillis,
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = ConvertError;

    fn try_from(wire: v1::Welcome) -> Result<Self, ConvertError> {
        let interval =
            super::ranged("heartbeat_interval_ms", wire.heartbeat_interval_ms, 1, u64::MAX)?;
        Ok(Self {
            session: SessionId::new(wire.session_id),
            token: SessionToken(exact("session_token", &wire.session_token)?),
            heartbeat_interval: Millis::new(interval),
            dead_after: Millis::new(wire.dead_after_ms),
            now: UnixMillis::new(wire.now_unix_ms),
        })
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(core: Welcome) -> Self {
        Self {
            session_id: core.session.get(),
            session_token: core.token.expose().to_vec(),
            heartbeat_interval_ms: core.heartbeat_interval.get(),
            dead_after_ms: core.dead_after.get(),
            now_unix_ms: core.now.get(),
        }
    }
}
