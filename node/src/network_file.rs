//! The network file: where a network is and which contracts it is bound to.

use std::fs;
use std::path::Path;

use anyhow::Context;
use proofgrid_core::ids::{ChainId, NetworkId};
use serde::{Deserialize, Serialize};

/// What a client or a role needs to know about a network. Holds no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// Address of the dispatcher, such as `http://127.0.0.1:7400`.
    pub dispatcher_url: String,
    /// The dispatcher's own address, which every login is bound to.
    pub dispatcher_address: String,
    /// JSON-RPC address of the home chain.
    pub rpc_url: String,
    /// EVM chain id of the home chain.
    pub home_chain_id: u64,
    /// `EpochTable` contract.
    pub epoch_table: String,
    /// `OperatorRegistrar` contract.
    pub operator_registrar: String,
    /// `ProofRegistry` contract.
    pub proof_registry: String,
    /// `TaskManager` contract.
    pub task_manager: String,
    /// Mirrors of verifiers, such as `http://127.0.0.1:7480`, where anybody may read proofs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror_urls: Vec<String>,
}

impl NetworkFile {
    /// Reads a network file.
    ///
    /// # Errors
    /// When it cannot be read or has other keys.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the network file {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is no network file", path.display()))
    }

    /// What signatures are bound to.
    ///
    /// # Errors
    /// When an address is malformed.
    pub fn network(&self) -> anyhow::Result<NetworkId> {
        Ok(NetworkId {
            home_chain: ChainId::new(self.home_chain_id),
            epoch_table: self.epoch_table.parse().context("epoch_table")?,
        })
    }
}
