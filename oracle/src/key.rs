//! The oracle's wallet: one secp256k1 key that pays for its transactions and logs it in.
//!
//! Whoever opens an oracle hands it in. It never reaches a log, an error or `Debug`.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::network::TxSignerSync;
use alloy::primitives::{B256, Bytes, TxKind, U256};
use alloy::signers::local::PrivateKeySigner;
use proofgrid_core::ids::{Address, ChainId, TxHash};
use thiserror::Error;

use crate::submit::fees::Offer;
use crate::submit::record::SignedOffer;

/// Why a key could not be used. Never holds a secret.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Zero, or above the curve's order.
    #[error("32 bytes that are no secp256k1 key; make one with `proofgrid keys create wallet`")]
    OutOfRange,
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
    /// [`KeyError::OutOfRange`] for zero or a value above the curve's order.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signer = PrivateKeySigner::from_bytes(&B256::from(*secret));
        signer.map(Self).map_err(|_| KeyError::OutOfRange)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The first development account of anvil and hardhat; its address is public knowledge.
    const SECRET: B256 = alloy::primitives::b256!(
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    );
    const ADDRESS: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

    #[test]
    fn a_key_gives_its_address_and_shows_no_secret() {
        let key = OracleKey::from_bytes(&SECRET.0).unwrap();
        assert_eq!(key.address().to_string(), ADDRESS);
        assert!(!format!("{key:?}").contains("ac0974"));
        for scalar in [[0; 32], [0xff; 32]] {
            assert!(matches!(OracleKey::from_bytes(&scalar), Err(KeyError::OutOfRange)));
        }
    }

    #[test]
    fn signing_is_deterministic() {
        let key = OracleKey::from_bytes(&SECRET.0).unwrap();
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
