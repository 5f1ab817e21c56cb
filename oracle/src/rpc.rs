//! One chain through a list of JSON-RPC endpoints.
//!
//! Endpoints fail, lag, rate-limit and are re-pointed at other networks. Each is asked for its
//! chain id before its answers are used (and again after each failure); a transport failure moves
//! on to the next one, a whole round without an answer is repeated with growing, jittered pauses up
//! to a bound. A refusal (an answer with an error in it) is an answer: it is never retried here.
//! Final blocks are compared between all endpoints that answer; two hashes for one height hold
//! everything back. There are no subscriptions: they skip blocks silently on reconnect. Endpoint
//! addresses often carry keys, so errors and logs name the host only.

mod failure;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address as EvmAddress, B256, Bytes, U256};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{Filter, Header, Log, TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::TransportError;
use alloy::transports::http::Http;
use backon::{ExponentialBuilder, Retryable};
use proofgrid_core::ids::{BlockHash, BlockNumber, ChainId};

pub use self::failure::RpcError;
use self::failure::{Sorted, says_no_block, sort};
use crate::cursor::BlockRef;
use crate::finality::FinalityPolicy;

/// First pause between rounds over all endpoints.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between rounds.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a request is counted under when its node does not tell its version.
const CLIENT_UNKNOWN: &str = "unknown";

/// Hears of every JSON-RPC request that was answered or failed: a seam for metrics.
pub trait RpcObserver: std::fmt::Debug + Send + Sync + 'static {
    /// A request ended. `client_version` is the node's own word and can be anything.
    fn ended(&self, method: &'static str, client_version: &str, took: Duration);
}

/// How a chain is reached.
#[derive(Debug, Clone)]
pub struct RpcSettings {
    /// The chain that every endpoint must serve.
    pub chain: ChainId,
    /// Addresses, the preferred one first.
    pub urls: Vec<String>,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
    /// Rounds over all endpoints after the first.
    pub retries_max: usize,
}

struct Endpoint {
    host: String,
    provider: RootProvider,
    chain_checked: AtomicBool,
    /// What the node calls itself; asked for with its chain id, and only if somebody listens.
    client_version: Mutex<Arc<str>>,
}

struct Inner {
    chain: ChainId,
    observer: Option<Arc<dyn RpcObserver>>,
    endpoints: Vec<Endpoint>,
    preferred: AtomicUsize,
    retries_max: usize,
}

/// A chain; cheap to clone, safe to share.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<_> = self.0.endpoints.iter().map(|endpoint| &endpoint.host).collect();
        f.debug_struct("Chain").field("id", &self.0.chain).field("endpoints", &hosts).finish()
    }
}

enum Round<T> {
    Answer(T),
    /// Every endpoint failed without an answer.
    Silent(RpcError),
}

impl Chain {
    /// Prepares the endpoints; asks nothing yet.
    ///
    /// # Errors
    /// [`RpcError::BadUrl`] for an empty list or a malformed address.
    pub fn new(settings: &RpcSettings) -> Result<Self, RpcError> {
        Self::observed(settings, None)
    }

    /// As [`Self::new`]; `observer` hears of every request.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn observed(
        settings: &RpcSettings,
        observer: Option<Arc<dyn RpcObserver>>,
    ) -> Result<Self, RpcError> {
        if settings.urls.is_empty() {
            return Err(RpcError::BadUrl { index: 0 });
        }
        let client = http_client(settings)?;
        let mut endpoints = Vec::with_capacity(settings.urls.len());
        for (index, text) in settings.urls.iter().enumerate() {
            let url: reqwest::Url = text.parse().map_err(|_| RpcError::BadUrl { index })?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(RpcError::BadUrl { index });
            }
            let host = url.host_str().ok_or(RpcError::BadUrl { index })?.to_owned();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let transport = Http::with_client(client.clone(), url);
            let provider = RootProvider::new(RpcClient::new(transport, false));
            endpoints.push(Endpoint {
                host: format!("{host}{port}"),
                provider,
                chain_checked: AtomicBool::new(false),
                client_version: Mutex::new(CLIENT_UNKNOWN.into()),
            });
        }
        Ok(Self(Arc::new(Inner {
            chain: settings.chain,
            observer,
            endpoints,
            preferred: AtomicUsize::new(0),
            retries_max: settings.retries_max,
        })))
    }

    /// The chain's id.
    #[must_use]
    pub fn id(&self) -> ChainId {
        self.0.chain
    }

    /// Asks the endpoints in turn until one answers.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn ask<T, F, Fut>(&self, what: &'static str, request: F) -> Result<T, RpcError>
    where
        F: Fn(RootProvider) -> Fut,
        Fut: Future<Output = Result<T, TransportError>>,
    {
        let schedule = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE_MIN)
            .with_max_delay(RETRY_PAUSE_MAX)
            .with_max_times(self.0.retries_max)
            .with_jitter();
        let round = || async {
            match self.round(what, &request).await? {
                Round::Answer(answer) => Ok(answer),
                Round::Silent(error) => Err(error),
            }
        };
        round.retry(schedule).when(|error| matches!(error, RpcError::Unreachable { .. })).await
    }

    async fn round<T, F, Fut>(&self, what: &'static str, request: &F) -> Result<Round<T>, RpcError>
    where
        F: Fn(RootProvider) -> Fut,
        Fut: Future<Output = Result<T, TransportError>>,
    {
        let start = self.0.preferred.load(Ordering::Relaxed);
        let count = self.0.endpoints.len();
        let mut last = RpcError::BadUrl { index: 0 };
        for (index, endpoint) in self.0.endpoints.iter().enumerate().cycle().skip(start).take(count)
        {
            let result = match self.check_chain(endpoint).await {
                Ok(()) => self.timed(what, endpoint, request(endpoint.provider.clone())).await,
                Err(Checked::Wrong(error)) => {
                    tracing::error!(endpoint = endpoint.host, %error, "endpoint skipped");
                    last = error;
                    continue;
                }
                Err(Checked::Failed(error)) => Err(error),
            };
            match result {
                Ok(answer) => {
                    self.0.preferred.store(index, Ordering::Relaxed);
                    return Ok(Round::Answer(answer));
                }
                Err(error) => match sort(what, &endpoint.host, error) {
                    Sorted::Answered(refusal) => return Err(refusal),
                    Sorted::Silent(failure) => {
                        endpoint.chain_checked.store(false, Ordering::Relaxed);
                        tracing::debug!(endpoint = endpoint.host, %failure, "no answer");
                        last = failure;
                    }
                },
            }
        }
        Ok(Round::Silent(last))
    }

    async fn check_chain(&self, endpoint: &Endpoint) -> Result<(), Checked> {
        if endpoint.chain_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let asked = endpoint.provider.get_chain_id();
        let got = self.timed("eth_chainId", endpoint, asked).await.map_err(Checked::Failed)?;
        if got != self.0.chain.get() {
            let (endpoint, expected) = (endpoint.host.clone(), self.0.chain);
            return Err(Checked::Wrong(RpcError::WrongChain { endpoint, expected, got }));
        }
        self.ask_version(endpoint).await;
        endpoint.chain_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Runs one request and tells the observer of it.
    async fn timed<T>(
        &self,
        what: &'static str,
        endpoint: &Endpoint,
        request: impl IntoFuture<Output = T>,
    ) -> T {
        let began = Instant::now();
        let result = request.await;
        if let Some(observer) = &self.0.observer {
            // Calls of contracts are named by their signature here.
            let method = if what.contains('(') { "eth_call" } else { what };
            let client = endpoint.client_version.lock().unwrap_or_else(PoisonError::into_inner);
            observer.ended(method, &client, began.elapsed());
        }
        result
    }

    /// A node that does not tell its version serves as well as another.
    async fn ask_version(&self, endpoint: &Endpoint) {
        if self.0.observer.is_none() {
            return;
        }
        let asked = endpoint.provider.get_client_version();
        if let Ok(version) = self.timed("web3_clientVersion", endpoint, asked).await {
            let mut known = endpoint.client_version.lock().unwrap_or_else(PoisonError::into_inner);
            *known = version.into();
        }
    }

    /// The header at `number`, or `None` when the chain is shorter.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn header(&self, number: BlockNumber) -> Result<Option<Header>, RpcError> {
        self.header_at(BlockNumberOrTag::Number(number.get())).await
    }

    async fn header_at(&self, tag: BlockNumberOrTag) -> Result<Option<Header>, RpcError> {
        let answer = self
            .ask("eth_getBlockByNumber", move |provider| async move {
                provider.get_block_by_number(tag).await
            })
            .await;
        match answer {
            Ok(block) => Ok(block.map(|block| block.header)),
            // Nodes without a checkpoint yet answer the tag with an error instead of null.
            Err(RpcError::Refused { ref message, .. }) if says_no_block(message) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The head of the chain: for fees and nonces, never for facts.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn latest(&self) -> Result<Header, RpcError> {
        self.header_at(BlockNumberOrTag::Latest).await?.ok_or_else(|| RpcError::Unusable {
            what: "eth_getBlockByNumber",
            why: "the chain has no head".into(),
        })
    }

    /// The newest final block under `policy`, or `None` while there is none.
    ///
    /// # Errors
    /// See [`RpcError`]; [`RpcError::Disagreement`] when endpoints know different blocks there.
    pub async fn final_head(&self, policy: FinalityPolicy) -> Result<Option<Header>, RpcError> {
        let header = match policy {
            FinalityPolicy::Finalized => self.header_at(BlockNumberOrTag::Finalized).await?,
            FinalityPolicy::Safe => self.header_at(BlockNumberOrTag::Safe).await?,
            FinalityPolicy::Depth(depth) => {
                let head = self.latest().await?.number;
                match head.checked_sub(depth.get()) {
                    Some(number) => Some(self.below_head(head, number).await?),
                    None => None,
                }
            }
        };
        if let Some(header) = &header {
            self.agree_on(block_ref(header)).await?;
        }
        Ok(header)
    }

    /// A block that lies below the head. Whoever names a head and lacks the blocks below it lies, or is
    /// several nodes behind one address; either way nothing is read, and the operator learns why.
    async fn below_head(&self, head: u64, number: u64) -> Result<Header, RpcError> {
        self.header(BlockNumber::new(number)).await?.ok_or_else(|| RpcError::Unusable {
            what: "eth_getBlockByNumber",
            why: format!("the head is block {head}, but block {number} below it is unknown"),
        })
    }

    /// Compares one block over all endpoints. One that fails or is behind has no say.
    async fn agree_on(&self, block: BlockRef) -> Result<(), RpcError> {
        let [_, _, ..] = self.0.endpoints.as_slice() else {
            return Ok(());
        };
        let tag = BlockNumberOrTag::Number(block.number.get());
        let answers = self.0.endpoints.iter().map(|endpoint| async move {
            self.check_chain(endpoint).await.ok()?;
            let block = endpoint.provider.get_block_by_number(tag).await.ok()??;
            Some((endpoint.host.as_str(), block_ref(&block.header).hash))
        });
        let mut known: Option<(&str, BlockHash)> = None;
        for (host, hash) in futures::future::join_all(answers).await.into_iter().flatten() {
            let (first, agreed) = *known.get_or_insert((host, hash));
            if agreed != hash {
                let (first, second) = (first.to_owned(), host.to_owned());
                return Err(RpcError::Disagreement { number: block.number, first, second });
            }
        }
        Ok(())
    }

    /// The logs of one filter.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn logs(&self, filter: Filter) -> Result<Vec<Log>, RpcError> {
        self.ask("eth_getLogs", move |provider| {
            let filter = filter.clone();
            async move { provider.get_logs(&filter).await }
        })
        .await
    }

    /// The code of an account at a block.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn code(&self, account: EvmAddress, at: BlockId) -> Result<Bytes, RpcError> {
        self.ask("eth_getCode", move |provider| async move {
            provider.get_code_at(account).block_id(at).await
        })
        .await
    }

    /// Runs a view function at a block.
    ///
    /// # Errors
    /// [`RpcError::Refused`] with the revert data when it reverts; [`RpcError::Unusable`] when the
    /// answer is not of the declared type (no contract there, another version).
    pub async fn view<C: SolCall>(
        &self,
        contract: EvmAddress,
        call: &C,
        at: BlockId,
    ) -> Result<C::Return, RpcError> {
        let request = TransactionRequest::default().with_to(contract).with_input(call.abi_encode());
        let answer = self
            .ask(C::SIGNATURE, move |provider| {
                let request = request.clone();
                async move { provider.call(request).block(at).await }
            })
            .await?;
        C::abi_decode_returns_validate(&answer)
            .map_err(|error| RpcError::Unusable { what: C::SIGNATURE, why: error.to_string() })
    }

    /// Runs a transaction without sending it, at the head.
    ///
    /// # Errors
    /// [`RpcError::Refused`] with the revert data when it would revert.
    pub async fn simulate(&self, request: TransactionRequest) -> Result<Bytes, RpcError> {
        self.ask("eth_call", move |provider| {
            let request = request.clone();
            async move { provider.call(request).await }
        })
        .await
    }

    /// Why an included transaction reverted, by running it again in front of its block; `None` when
    /// it runs through there or the endpoint no longer has that state.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn why_reverted(
        &self,
        receipt: &TransactionReceipt,
    ) -> Result<Option<(String, Option<Bytes>)>, RpcError> {
        let hash = receipt.transaction_hash;
        let transaction = self
            .ask("eth_getTransactionByHash", move |provider| async move {
                provider.get_transaction_by_hash(hash).await
            })
            .await?;
        let before = receipt.block_number.and_then(|number| number.checked_sub(1));
        let (Some(transaction), Some(before)) = (transaction, before) else {
            return Ok(None);
        };
        let mut request = TransactionRequest::from_transaction(transaction);
        request.nonce = None;
        // Without a price the sender needs no coin for gas: it has paid already, and in a creation of
        // several transactions in one block it need not have had it at the block before.
        request.gas_price = None;
        request.max_fee_per_gas = None;
        request.max_priority_fee_per_gas = None;
        let replay = self
            .ask("eth_call", move |provider| {
                let request = request.clone();
                async move { provider.call(request).block(BlockId::number(before)).await }
            })
            .await;
        match replay {
            Err(RpcError::Refused { message, revert, .. }) => Ok(Some((message, revert))),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    }

    /// Gas that a transaction would use, at the head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn estimate_gas(&self, request: TransactionRequest) -> Result<u64, RpcError> {
        self.ask("eth_estimateGas", move |provider| {
            let request = request.clone();
            async move { provider.estimate_gas(request).await }
        })
        .await
    }

    /// The next nonce of an account: the larger of what is mined and what is pending.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn next_nonce(&self, account: EvmAddress) -> Result<u64, RpcError> {
        let pending = self.nonce_at(account, BlockId::pending()).await?;
        Ok(pending.max(self.nonce_at(account, BlockId::latest()).await?))
    }

    /// The number of mined transactions of an account at a block.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn nonce_at(&self, account: EvmAddress, at: BlockId) -> Result<u64, RpcError> {
        self.ask("eth_getTransactionCount", move |provider| async move {
            provider.get_transaction_count(account).block_id(at).await
        })
        .await
    }

    /// Broadcasts a signed transaction. The caller sorts refusals (`submit::classify`).
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn send_raw(&self, raw: Bytes) -> Result<B256, RpcError> {
        self.ask("eth_sendRawTransaction", move |provider| {
            let raw = raw.clone();
            async move { provider.send_raw_transaction(&raw).await.map(|sent| *sent.tx_hash()) }
        })
        .await
    }

    /// Coins of an account at the head, in wei.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn balance(&self, account: EvmAddress) -> Result<U256, RpcError> {
        self.ask(
            "eth_getBalance",
            move |provider| async move { provider.get_balance(account).await },
        )
        .await
    }

    /// The receipt of a transaction, if it is in the chain's head.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, RpcError> {
        self.ask("eth_getTransactionReceipt", move |provider| async move {
            provider.get_transaction_receipt(hash).await
        })
        .await
    }

    /// A method of a development node's own, such as the one that moves its clock.
    ///
    /// # Errors
    /// See [`RpcError`]; public nodes refuse.
    pub async fn development(
        &self,
        method: &'static str,
        params: serde_json::Value,
    ) -> Result<serde_json::Value, RpcError> {
        self.ask(method, |provider| {
            let params = params.clone();
            async move { provider.raw_request(method.into(), params).await }
        })
        .await
    }

    /// The tip that the node suggests, in wei per gas; zero where it has no opinion.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub async fn suggested_tip(&self) -> Result<u128, RpcError> {
        let answer = self
            .ask("eth_maxPriorityFeePerGas", |provider| async move {
                provider.get_max_priority_fee_per_gas().await
            })
            .await;
        match answer {
            Err(RpcError::Refused { .. }) => Ok(0),
            other => other,
        }
    }
}

/// The client for all endpoints. The system's certificate authorities are read only if one of them
/// is `https`, so that a machine without any can still reach its own node.
fn http_client(settings: &RpcSettings) -> Result<reqwest::Client, RpcError> {
    // Only the first call installs it; tonic's connections use the same implementation.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().timeout(settings.request_timeout);
    if !settings.urls.iter().any(|url| url.starts_with("https://")) {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| RpcError::Client(error.to_string()))
}

/// A header's number and hash.
#[must_use]
pub fn block_ref(header: &Header) -> BlockRef {
    BlockRef { number: BlockNumber::new(header.number), hash: BlockHash::from_bytes(header.hash.0) }
}

enum Checked {
    Wrong(RpcError),
    Failed(TransportError),
}
