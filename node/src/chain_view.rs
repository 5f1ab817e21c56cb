//! A verifier's own view of the home chain: the oracle crate's reader behind the verifier's port.

use std::sync::Arc;

use async_trait::async_trait;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{EpochNumber, ProgramId};
use proofgrid_oracle::view::{ChainViewClient, ViewError};
use proofgrid_proofs::program::Registry;
use proofgrid_verifier::chain_view::{ChainView, ChainViewError, ProgramView};

/// Epochs and manifests at final blocks of the home chain; verifying keys from this build, since a
/// program id is the digest of its key.
#[derive(Debug)]
pub struct HomeChainView {
    client: ChainViewClient,
    registry: Arc<Registry>,
}

impl HomeChainView {
    /// A view through this client.
    #[must_use]
    pub const fn new(client: ChainViewClient, registry: Arc<Registry>) -> Self {
        Self { client, registry }
    }
}

#[async_trait]
impl ChainView for HomeChainView {
    async fn epoch(&self, number: EpochNumber) -> Result<Option<EpochTable>, ChainViewError> {
        found(self.client.epoch_table(number).await)
    }

    async fn program(&self, program: ProgramId) -> Result<Option<ProgramView>, ChainViewError> {
        let Some(known) = self.registry.get(&program) else { return Ok(None) };
        let vk = known.vk_digest();
        let manifest = found(self.client.manifest(program).await)?;
        Ok(manifest.map(|manifest| ProgramView { manifest, vk }))
    }
}

/// "There is none" is an answer, everything else an error that may pass.
fn found<T>(answer: Result<T, ViewError>) -> Result<Option<T>, ChainViewError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(
            ViewError::UnknownEpoch(_) | ViewError::UnknownProgram(_) | ViewError::NothingFinal,
        ) => Ok(None),
        Err(error) => Err(ChainViewError(error.to_string())),
    }
}
