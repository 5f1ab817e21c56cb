//! What an endpoint's failure means: an answer that is a refusal, or no answer.

use alloy::primitives::Bytes;
use alloy::transports::{RpcError as AlloyError, TransportError, TransportErrorKind};
use proofgrid_core::ids::{BlockNumber, ChainId};
use thiserror::Error;

/// JSON-RPC codes with which providers say "ask again later" (EIP-1474 and common rate limits).
const BUSY_CODES: [i64; 3] = [-32005, -32016, 429];

/// Why a chain could not be asked.
#[derive(Debug, Clone, Error)]
pub enum RpcError {
    /// No endpoint is configured or an address is malformed.
    #[error(
        "RPC endpoint {index} is no http(s) address; set `rpc_urls` to at least one JSON-RPC \
         address"
    )]
    BadUrl {
        /// Position in the list, from 0.
        index: usize,
    },
    /// The HTTP client could not be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// The endpoint serves another chain.
    #[error(
        "{endpoint} serves chain {got}, this oracle is for chain {expected}; correct `rpc_urls` \
         or `chain_id`"
    )]
    WrongChain {
        /// Host of the endpoint.
        endpoint: String,
        /// Configured chain.
        expected: ChainId,
        /// Chain it serves.
        got: u64,
    },
    /// No endpoint answered.
    #[error("no RPC endpoint answered {what}: {last}; check the network and the endpoints' status")]
    Unreachable {
        /// The call.
        what: &'static str,
        /// The last failure.
        last: String,
    },
    /// An endpoint answered with an error.
    #[error("{endpoint} refused {what}: {message} (code {code})")]
    Refused {
        /// The call.
        what: &'static str,
        /// Host of the endpoint.
        endpoint: String,
        /// JSON-RPC code.
        code: i64,
        /// Its words.
        message: String,
        /// Revert data, when the refusal is a reverted call.
        revert: Option<Bytes>,
    },
    /// The answer is not what the call must return.
    #[error(
        "the answer to {what} is unusable: {why}; the endpoint or contract is another than expected"
    )]
    Unusable {
        /// The call.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Two endpoints know different blocks at one final height.
    #[error(
        "{first} and {second} disagree on final block {number}; nothing is taken from the chain \
         until they agree"
    )]
    Disagreement {
        /// The height.
        number: BlockNumber,
        /// One host.
        first: String,
        /// The other host.
        second: String,
    },
}

impl RpcError {
    /// Whether asking again later may succeed without anything changing here.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Disagreement { .. })
    }
}

/// An answer with an error in it, or no answer.
pub(super) enum Sorted {
    Answered(RpcError),
    Silent(RpcError),
}

/// Tells an answer with an error in it from no answer.
pub(super) fn sort(what: &'static str, host: &str, error: TransportError) -> Sorted {
    match error {
        AlloyError::ErrorResp(payload) if !BUSY_CODES.contains(&payload.code) => {
            Sorted::Answered(RpcError::Refused {
                what,
                endpoint: host.to_owned(),
                code: payload.code,
                message: payload.message.chars().take(300).collect(),
                revert: payload.as_revert_data(),
            })
        }
        AlloyError::DeserError { err, .. } => {
            Sorted::Answered(RpcError::Unusable { what, why: err.to_string() })
        }
        AlloyError::NullResp => {
            Sorted::Answered(RpcError::Unusable { what, why: "it is null".into() })
        }
        AlloyError::Transport(kind) => {
            let last = format!("{host}: {}", without_address(&kind));
            Sorted::Silent(RpcError::Unreachable { what, last })
        }
        other => {
            let last =
                format!("{host}: {}", other.to_string().chars().take(300).collect::<String>());
            Sorted::Silent(RpcError::Unreachable { what, last })
        }
    }
}

/// The reason without the request's address, which may hold an access key.
fn without_address(kind: &TransportErrorKind) -> String {
    if let Some(http) = kind.as_http_error() {
        return format!("HTTP status {}", http.status);
    }
    let mut deepest: &dyn std::error::Error = kind;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    if text.contains("://") { "the request failed".into() } else { text }
}

/// Whether a node's words mean that there is no such block.
pub(super) fn says_no_block(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["not found", "unknown block", "not available", "not yet"]
        .iter()
        .any(|words| message.contains(words))
}
