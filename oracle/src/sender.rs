//! Sends a person's transactions: deployment, registration, a requester's jobs.
//!
//! This is for commands that somebody watches and can repeat, not for the oracle's own duty, which
//! survives restarts (`submit`). Nonces are counted here so that independent transactions can share
//! a block; waiting is polling with a bound.

use std::sync::Arc;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address as EvmAddress, B256, Bytes, TxKind, U256};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use proofgrid_core::ids::{Address, TxHash};
use thiserror::Error;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::contracts::{evm, explain_revert};
use crate::key::{KeyError, OracleKey, Unsigned};
use crate::rpc::{Chain, RpcError};
use crate::submit::classify::{Refusal, classify};
use crate::submit::fees::{FeeBounds, Market, first_offer};

/// How often a receipt is looked for.
const RECEIPT_POLL: Duration = Duration::from_millis(100);
/// Longest wait for a receipt.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);
/// A tip for nodes that suggest none, and a cap far above any market: a person is watching.
const BOUNDS: FeeBounds =
    FeeBounds { tip_min_wei: 1_000_000_000, max_fee_cap_wei: 500_000_000_000 };

/// Why a transaction did not come about.
#[derive(Debug, Error)]
pub enum SendError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The wallet could not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The account cannot pay for it.
    #[error(
        "{account} cannot pay for {what}: {value_wei} wei and the gas are more than it holds; send \
         it some of chain {chain}'s coin"
    )]
    Unfunded {
        /// The call.
        what: &'static str,
        /// The account.
        account: proofgrid_core::ids::Address,
        /// What the call itself sends.
        value_wei: U256,
        /// Where it lacks money.
        chain: proofgrid_core::ids::ChainId,
    },
    /// The contract refuses it.
    #[error("{what} would revert: {reason}")]
    WouldRevert {
        /// The call.
        what: &'static str,
        /// The contract's reason.
        reason: String,
    },
    /// It was included and reverted.
    #[error("{what} reverted in transaction {tx}: {reason}")]
    Reverted {
        /// The call.
        what: &'static str,
        /// The transaction.
        tx: TxHash,
        /// The contract's reason.
        reason: String,
    },
    /// It was not included in time.
    #[error(
        "{what} is not in a block after {RECEIPT_TIMEOUT:?} (transaction {tx}); look it up \
         before trying again"
    )]
    NotIncluded {
        /// The call.
        what: &'static str,
        /// The transaction.
        tx: TxHash,
    },
    /// A receipt without what every receipt of this kind has.
    #[error("the receipt of {what} lacks {missing}; the endpoint is not a usable EVM node")]
    Receipt {
        /// The call.
        what: &'static str,
        /// The missing part.
        missing: &'static str,
    },
}

/// How much gas a transaction may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gas {
    /// What a simulation at the head uses, and a third more. Shows a revert before anything is
    /// sent.
    Estimate,
    /// A fixed limit, for transactions that depend on others of the same block.
    Limit(u64),
}

/// A transaction that is out.
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    /// The call, for errors.
    pub what: &'static str,
    /// Its hash.
    pub tx: TxHash,
    /// The nonce that it uses.
    pub nonce: u64,
}

/// One account on one chain. Use one `Sender` per account at a time: it counts the nonces.
#[derive(Debug)]
pub struct Sender {
    chain: Chain,
    key: OracleKey,
    next_nonce: Option<u64>,
}

/// One account that several duties of a node send with, one after the other.
#[derive(Debug, Clone)]
pub struct SharedSender {
    account: Address,
    sender: Arc<Mutex<Sender>>,
}

impl SharedSender {
    /// Shares an account.
    #[must_use]
    pub fn new(sender: Sender) -> Self {
        Self { account: sender.address(), sender: Arc::new(Mutex::new(sender)) }
    }

    /// The account.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.account
    }

    /// Waits for its turn. Nonces are counted anew: a reorg may have dropped what was sent before.
    pub async fn take(&self) -> MutexGuard<'_, Sender> {
        let mut sender = self.sender.lock().await;
        sender.next_nonce = None;
        sender
    }
}

impl Sender {
    /// Prepares an account; asks nothing yet.
    #[must_use]
    pub const fn new(chain: Chain, key: OracleKey) -> Self {
        Self { chain, key, next_nonce: None }
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The nonce of the next transaction.
    ///
    /// # Errors
    /// [`SendError::Rpc`].
    pub async fn nonce(&mut self) -> Result<u64, SendError> {
        if let Some(nonce) = self.next_nonce {
            return Ok(nonce);
        }
        let nonce = self.chain.next_nonce(evm(self.address())).await?;
        self.next_nonce = Some(nonce);
        Ok(nonce)
    }

    /// Broadcasts without waiting.
    ///
    /// # Errors
    /// See [`SendError`]; after an error the nonces are counted anew from the chain.
    pub async fn send(
        &mut self,
        what: &'static str,
        to: TxKind,
        value: U256,
        input: Bytes,
        gas: Gas,
    ) -> Result<Pending, SendError> {
        let sent = self.try_send(what, to, value, input, gas).await;
        if sent.is_err() {
            self.next_nonce = None;
        }
        sent
    }

    async fn try_send(
        &mut self,
        what: &'static str,
        to: TxKind,
        value: U256,
        input: Bytes,
        gas: Gas,
    ) -> Result<Pending, SendError> {
        let gas_limit = match gas {
            Gas::Limit(limit) => limit,
            Gas::Estimate => self.estimate(what, to, value, input.clone()).await?,
        };
        let nonce = self.nonce().await?;
        let latest = self.chain.latest().await?;
        let market = Market {
            base_fee_wei: latest.base_fee_per_gas,
            suggested_tip_wei: self.chain.suggested_tip().await?,
        };
        let unsigned = Unsigned { chain: self.chain.id(), nonce, gas_limit, to, value, input };
        let signed = self.key.sign(&unsigned, first_offer(market, BOUNDS))?;
        match self.chain.send_raw(signed.raw.into()).await {
            Ok(_) => {}
            Err(RpcError::Refused { message, .. })
                if classify(&message) == Refusal::AlreadyKnown => {}
            Err(error) => return Err(error.into()),
        }
        self.next_nonce = Some(nonce.saturating_add(1));
        Ok(Pending { what, tx: signed.tx, nonce })
    }

    async fn estimate(
        &self,
        what: &'static str,
        to: TxKind,
        value: U256,
        input: Bytes,
    ) -> Result<u64, SendError> {
        let mut request = TransactionRequest::default()
            .with_from(evm(self.address()))
            .with_value(value)
            .with_input(input);
        request.to = Some(to);
        match self.chain.estimate_gas(request).await {
            Ok(gas) => Ok(gas.saturating_add(gas / 3)),
            Err(RpcError::Refused { message, revert: None, .. })
                if classify(&message) == Refusal::InsufficientFunds =>
            {
                let (account, chain) = (self.address(), self.chain.id());
                Err(SendError::Unfunded { what, account, value_wei: value, chain })
            }
            Err(RpcError::Refused { message, revert, .. }) => {
                let reason = explain_revert(&message, revert.as_ref());
                Err(SendError::WouldRevert { what, reason })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a transaction is in a block.
    ///
    /// # Errors
    /// [`SendError::Reverted`], [`SendError::NotIncluded`], [`SendError::Rpc`].
    pub async fn wait(&self, pending: Pending) -> Result<TransactionReceipt, SendError> {
        let Pending { what, tx, .. } = pending;
        let hash = B256::from(*tx.as_bytes());
        let deadline = Instant::now() + RECEIPT_TIMEOUT;
        while Instant::now() < deadline {
            match self.chain.receipt(hash).await? {
                Some(receipt) if receipt.status() => return Ok(receipt),
                Some(receipt) => {
                    let why = self.chain.why_reverted(&receipt).await?;
                    let reason = why.map_or_else(
                        || "an earlier transaction of its block changed what it met".to_owned(),
                        |(message, revert)| explain_revert(&message, revert.as_ref()),
                    );
                    return Err(SendError::Reverted { what, tx, reason });
                }
                None => tokio::time::sleep(RECEIPT_POLL).await,
            }
        }
        Err(SendError::NotIncluded { what, tx })
    }

    /// Broadcasts a call and waits for its block.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn execute<C: SolCall>(
        &mut self,
        contract: Address,
        call: &C,
        value: U256,
    ) -> Result<TransactionReceipt, SendError> {
        let to = TxKind::Call(evm(contract));
        let input = Bytes::from(call.abi_encode());
        let pending = self.send(C::SIGNATURE, to, value, input, Gas::Estimate).await?;
        self.wait(pending).await
    }

    /// Runs a view function at the head.
    ///
    /// # Errors
    /// [`SendError::Rpc`].
    pub async fn view<C: SolCall>(
        &self,
        contract: Address,
        call: &C,
    ) -> Result<C::Return, SendError> {
        Ok(self.chain.view(evm(contract), call, BlockId::latest()).await?)
    }

    /// Coins of an account at the head, in wei.
    ///
    /// # Errors
    /// [`SendError::Rpc`].
    pub async fn balance_of(&self, account: Address) -> Result<U256, SendError> {
        let account: EvmAddress = evm(account);
        Ok(self.chain.balance(account).await?)
    }
}
