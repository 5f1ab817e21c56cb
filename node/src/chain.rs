//! What people do on-chain through the CLI, over the oracle crate's calls: the only crate that talks
//! to a chain.

use std::time::Duration;

use anyhow::Context;
use proofgrid_core::certificate::VerifiedJob;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, BatchRoot, ChainId, TxHash};
use proofgrid_core::job::JobSpec;
use proofgrid_oracle::contracts::ContractAddresses;
use proofgrid_oracle::deploy::{self, Certainty, LeafPosition, NewJob};
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::rpc::{Chain, RpcSettings};
use proofgrid_oracle::sender::Sender;

use crate::network_file::NetworkFile;

/// Longest wait for one answer of a node.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Rounds after the first one failed.
const RETRIES_MAX: usize = 3;

/// A chain behind one JSON-RPC address.
///
/// # Errors
/// When the address is malformed.
pub fn connect(rpc_url: &str, chain: ChainId) -> anyhow::Result<Chain> {
    Ok(Chain::new(&RpcSettings {
        chain,
        urls: vec![rpc_url.to_owned()],
        request_timeout: REQUEST_TIMEOUT,
        retries_max: RETRIES_MAX,
    })?)
}

/// The chain and contracts of a network file.
///
/// # Errors
/// When an address is malformed.
pub fn of_network(file: &NetworkFile) -> anyhow::Result<(Chain, ContractAddresses)> {
    let chain = connect(&file.rpc_url, ChainId::new(file.home_chain_id))?;
    let contracts = ContractAddresses {
        operator_registrar: file.operator_registrar.parse().context("operator_registrar")?,
        epoch_table: file.epoch_table.parse().context("epoch_table")?,
        task_manager: file.task_manager.parse().context("task_manager")?,
        proof_registry: file.proof_registry.parse().context("proof_registry")?,
    };
    Ok((chain, contracts))
}

/// A wallet as the sender of transactions.
///
/// # Errors
/// When the key cannot sign for a chain; cannot happen for a valid wallet.
pub fn sender(chain: Chain, wallet: &WalletKey) -> anyhow::Result<Sender> {
    Ok(Sender::new(chain, OracleKey::from_bytes(&wallet.to_bytes())?))
}

/// Creates a job on-chain with its fee in escrow, and checks that the contract derived the same id.
/// `None` if the contract has the job already: nothing is sent or paid a second time.
///
/// # Errors
/// When the contract refuses the job.
pub async fn create_job(
    file: &NetworkFile,
    wallet: &WalletKey,
    spec: &JobSpec,
) -> anyhow::Result<Option<TxHash>> {
    let (chain, contracts) = of_network(file)?;
    let mut sender = sender(chain, wallet)?;
    if deploy::escrow(&sender, contracts.task_manager, spec.id()).await?.fee_wei > 0 {
        return Ok(None);
    }
    let job = NewJob {
        nonce: spec.nonce,
        program: spec.program,
        input: spec.input,
        claim: spec.claim,
        mode: spec.mode,
        deadline: spec.deadline,
        limits: spec.limits,
        stream: spec.stream,
        sequence: spec.sequence,
        fee_wei: spec.fee_cap,
    };
    let created = deploy::create_job(&mut sender, &contracts, &job).await?;
    anyhow::ensure!(
        created.job == spec.id(),
        "the contract named the job {}, expected {}; its contracts are of another network",
        created.job,
        spec.id()
    );
    Ok(Some(TxHash::from_bytes(created.receipt.transaction_hash.0)))
}

/// Whether the registry holds the job's statement as valid beyond the challenge window.
///
/// # Errors
/// When the chain cannot be asked.
pub async fn is_verified(
    sender: &Sender,
    proof_registry: Address,
    job: &VerifiedJob,
    root: BatchRoot,
    count: u32,
) -> anyhow::Result<bool> {
    let leaf = LeafPosition { root, count, index: job.leaf_index, path: job.path.clone() };
    let certainty = Certainty::Hard;
    Ok(deploy::is_verified(sender, proof_registry, job.statement, &leaf, certainty).await?)
}
