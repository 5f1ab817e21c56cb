//! What the verifier knows about the chain, from its own sources.
//!
//! The dispatcher may be wrong or hostile; whatever it says about an epoch, a manifest or a
//! verifying key is compared with this port. The adapter is made from `oracle` code inside the
//! verifier's own node.

use std::time::Duration;

use async_trait::async_trait;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{EpochNumber, ManifestDigest, ProgramId, VkDigest};
use thiserror::Error;
use tokio::time::Instant;

use crate::limits::CHAIN_PAUSE;

/// The chain could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the chain view cannot answer: {0}; check the node's RPC endpoint")]
pub struct ChainViewError(pub String);

/// What the network admits for one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramView {
    /// The manifest that verdicts on it must name.
    pub manifest: ManifestDigest,
    /// Its verifying key.
    pub vk: VkDigest,
}

/// Read-only answers about final blocks.
#[async_trait]
pub trait ChainView: Send + Sync + 'static {
    /// The table of an epoch whose snapshot is final and that may still be voted in; `None` if
    /// there is none yet or it is over.
    ///
    /// # Errors
    /// When the chain cannot be asked; the verifier asks again and then abstains.
    async fn epoch(&self, number: EpochNumber) -> Result<Option<EpochTable>, ChainViewError>;

    /// What the network admits for a program; `None` if it does not list it or has revoked it.
    ///
    /// # Errors
    /// As [`Self::epoch`].
    async fn program(&self, program: ProgramId) -> Result<Option<ProgramView>, ChainViewError>;
}

/// Asks again while there is no answer: the own view may be a little behind the dispatcher's.
pub(crate) async fn ask<T, F>(
    patience: Duration,
    mut question: impl FnMut() -> F,
) -> Result<T, String>
where
    F: Future<Output = Result<Option<T>, ChainViewError>>,
{
    let until = Instant::now() + patience;
    loop {
        let problem = match question().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "the own view of the chain does not show it".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() + CHAIN_PAUSE > until {
            return Err(problem);
        }
        tokio::time::sleep(CHAIN_PAUSE).await;
    }
}
