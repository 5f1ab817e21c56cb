//! What the chain says, for those who must not take the dispatcher's word: epochs and manifests.
//!
//! Everything is read at blocks that are final under the configured policy. An epoch's bytes are
//! checked twice: they are parsed under the rules of their format, and their digest must be the one
//! that the `EpochTable` contract names; each member's key in G2 is bound to its key in the table.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::eips::BlockId;
use alloy::primitives::B256;
use proofgrid_core::crypto::bls::{BlsError, PublicKeyG2};
use proofgrid_core::epoch::{EpochError, EpochKeys, EpochKeysError, EpochTable};
use proofgrid_core::ids::{Address, EpochNumber, ManifestDigest, ProgramId, TableDigest};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::abi;
use crate::contracts::{ContractAddresses, evm, g2_bytes};
use crate::finality::FinalityPolicy;
use crate::rpc::{Chain, RpcError, block_ref};

/// Epochs kept in memory: the live ones and some before them.
const EPOCHS_KEPT: usize = 16;

/// Why the chain did not answer a question.
#[derive(Debug, Error)]
pub enum ViewError {
    /// The chain could not be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// No block is final yet.
    #[error("no block of the chain is final yet; wait for the first one")]
    NothingFinal,
    /// No such epoch in the final chain.
    #[error("epoch {0} does not exist in the final chain; wait until its block is final")]
    UnknownEpoch(EpochNumber),
    /// No such program.
    #[error("program {0} is not registered on the chain, or its registration is not final yet")]
    UnknownProgram(ProgramId),
    /// The program's manifest was stopped.
    #[error("the manifest of program {0} was stopped; its verifier must not be used")]
    Stopped(ProgramId),
    /// The data contract holds no table.
    #[error("the table of epoch {epoch}: {source}")]
    Table {
        /// The epoch.
        epoch: EpochNumber,
        /// What is wrong.
        source: EpochError,
    },
    /// The data contract holds another table.
    #[error("the table of epoch {epoch} has digest {got}, the contract names {named}")]
    Digest {
        /// The epoch.
        epoch: EpochNumber,
        /// Digest of the bytes.
        got: TableDigest,
        /// Digest in the contract.
        named: TableDigest,
    },
    /// A member's key in G2 is no key.
    #[error("the registry's G2 key of {operator}: {source}")]
    Key {
        /// The member.
        operator: Address,
        /// What is wrong.
        source: BlsError,
    },
    /// The keys do not fit the table.
    #[error(transparent)]
    Keys(#[from] EpochKeysError),
}

/// Reads an epoch, whole and checked, at a block.
///
/// # Errors
/// See [`ViewError`].
pub async fn read_epoch(
    chain: &Chain,
    contracts: &ContractAddresses,
    epoch: EpochNumber,
    at: BlockId,
) -> Result<EpochKeys, ViewError> {
    let table = read_table(chain, contracts, epoch, at).await?;
    let mut keys = Vec::with_capacity(table.members().len());
    for member in table.members() {
        // By the key that was frozen: its operator may have come back with another one since.
        let call = abi::IOperatorRegistrar::key2OfCall {
            keyDigest: alloy::primitives::keccak256(member.key.to_bytes()),
        };
        let key = chain.view(evm(contracts.operator_registrar), &call, at).await?;
        let operator = member.operator;
        let key = PublicKeyG2::from_bytes(&g2_bytes(&key))
            .map_err(|source| ViewError::Key { operator, source })?;
        keys.push((operator, key));
    }
    let task = tokio::task::spawn_blocking(move || EpochKeys::new(table, keys));
    let checked = task.await.map_err(|failure| RpcError::Unusable {
        what: "the check of an epoch's keys",
        why: failure.to_string(),
    })?;
    Ok(checked?)
}

/// The digest that an `EpochTable` contract names for an epoch, at a final block: the anchor of an
/// offline check.
///
/// # Errors
/// See [`ViewError`].
pub async fn table_digest(
    chain: &Chain,
    epoch_table: Address,
    finality: FinalityPolicy,
    epoch: EpochNumber,
) -> Result<TableDigest, ViewError> {
    let at = final_block(chain, finality).await?;
    named_digest(chain, epoch_table, epoch, at).await
}

async fn final_block(chain: &Chain, finality: FinalityPolicy) -> Result<BlockId, ViewError> {
    let header = chain.final_head(finality).await?.ok_or(ViewError::NothingFinal)?;
    Ok(BlockId::from(B256::from(*block_ref(&header).hash.as_bytes())))
}

/// The digest of an epoch's table, as the contract says it.
async fn named_digest(
    chain: &Chain,
    epoch_table: Address,
    epoch: EpochNumber,
    at: BlockId,
) -> Result<TableDigest, ViewError> {
    let call = abi::IEpochTable::tableAtCall { epoch: epoch.get() };
    match chain.view(evm(epoch_table), &call, at).await {
        Ok(record) => Ok(TableDigest::from_bytes(record.tableDigest.0)),
        Err(RpcError::Refused { revert: Some(_), .. }) => Err(ViewError::UnknownEpoch(epoch)),
        Err(error) => Err(error.into()),
    }
}

async fn read_table(
    chain: &Chain,
    contracts: &ContractAddresses,
    epoch: EpochNumber,
    at: BlockId,
) -> Result<EpochTable, ViewError> {
    let named = named_digest(chain, contracts.epoch_table, epoch, at).await?;
    let call = abi::IEpochTable::tableOfCall { epoch: epoch.get() };
    let bytes = chain.view(evm(contracts.epoch_table), &call, at).await?;
    let table = EpochTable::parse(&bytes).map_err(|source| ViewError::Table { epoch, source })?;
    let got = table.digest();
    if got != named {
        return Err(ViewError::Digest { epoch, got, named });
    }
    Ok(table)
}

struct Cache {
    epochs: BTreeMap<EpochNumber, Arc<EpochKeys>>,
}

/// Reads one chain's epochs and manifests; cheap to clone, safe to share.
#[derive(Clone)]
pub struct ChainViewClient {
    chain: Chain,
    contracts: ContractAddresses,
    finality: FinalityPolicy,
    cache: Arc<Mutex<Cache>>,
}

impl std::fmt::Debug for ChainViewClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainViewClient").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl ChainViewClient {
    /// Prepares a client; asks nothing yet.
    #[must_use]
    pub fn new(chain: Chain, contracts: ContractAddresses, finality: FinalityPolicy) -> Self {
        let cache = Arc::new(Mutex::new(Cache { epochs: BTreeMap::new() }));
        Self { chain, contracts, finality, cache }
    }

    async fn final_block(&self) -> Result<BlockId, ViewError> {
        final_block(&self.chain, self.finality).await
    }

    /// The newest final epoch, or `None` before the first.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub async fn current_epoch(&self) -> Result<Option<EpochNumber>, ViewError> {
        let at = self.final_block().await?;
        let call = abi::IEpochTable::currentEpochCall {};
        let number = self.chain.view(evm(self.contracts.epoch_table), &call, at).await?;
        Ok((number > 0).then(|| EpochNumber::new(number)))
    }

    /// An epoch's table with its members' keys.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub async fn epoch_keys(&self, epoch: EpochNumber) -> Result<Arc<EpochKeys>, ViewError> {
        if let Some(known) = self.cache.lock().await.epochs.get(&epoch) {
            return Ok(Arc::clone(known));
        }
        let at = self.final_block().await?;
        let keys = Arc::new(read_epoch(&self.chain, &self.contracts, epoch, at).await?);
        let mut cache = self.cache.lock().await;
        cache.epochs.insert(epoch, Arc::clone(&keys));
        while cache.epochs.len() > EPOCHS_KEPT {
            cache.epochs.pop_first();
        }
        Ok(keys)
    }

    /// An epoch's table.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub async fn epoch_table(&self, epoch: EpochNumber) -> Result<EpochTable, ViewError> {
        Ok(self.epoch_keys(epoch).await?.table().clone())
    }

    /// The manifest that is pinned for a program. Never cached: it can be revoked.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub async fn manifest(&self, program: ProgramId) -> Result<ManifestDigest, ViewError> {
        let at = self.final_block().await?;
        let id = B256::from(*program.as_bytes());
        let call = abi::IProofRegistry::programsCall { program: id };
        let registered = self.chain.view(evm(self.contracts.proof_registry), &call, at).await?;
        if registered.version == 0 {
            return Err(ViewError::UnknownProgram(program));
        }
        let manifest = registered.manifest;
        let call = abi::IProofRegistry::isManifestAcceptedCall { program: id, manifest };
        if !self.chain.view(evm(self.contracts.proof_registry), &call, at).await? {
            return Err(ViewError::Stopped(program));
        }
        Ok(ManifestDigest::from_bytes(manifest.0))
    }
}
