//! The development chain: deploys the contracts from anvil's well-known account, funds accounts, and
//! takes verifiers in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::{Context, bail};
use proofgrid_core::certificate::{JobCertificate, TrustedEpoch};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{Address, ChainId, EpochNumber, TableDigest};
use proofgrid_core::units::Stake;
use proofgrid_oracle::challenge::Arena;
use proofgrid_oracle::contracts::ContractAddresses;
use proofgrid_oracle::deploy::{self, DeployConfig, Deployment};
use proofgrid_oracle::eigenlayer::{self, CoreArtifacts};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::rpc::Chain;
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::setup;
use proofgrid_oracle::view::table_digest;

use super::anvil::CHAIN_ID;
use super::process::Process;
use crate::chain;

/// One token or coin in its smallest unit.
pub const TOKEN_WEI: u128 = 1_000_000_000_000_000_000;
/// First account of anvil's published mnemonic; worth nothing anywhere else.
const DEPLOYER_SECRET: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// How long anvil may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two tries.
const POLL: Duration = Duration::from_millis(50);

/// A development chain and what is deployed on it.
#[derive(Debug)]
pub struct DevChain {
    chain: Chain,
    deployer: Sender,
    deployment: Deployment,
}

/// The program whose proofs the chain can verify itself.
pub(super) const GROTH16_PROGRAM: &str = "groth16-bn254";
/// What an operator says of itself to stakers.
const OPERATOR_METADATA: &str = "https://proofgrid.invalid/operator.json";
/// Where `make tools` puts the restaking core, below the working folder or the sources.
const EIGENLAYER_ARTIFACTS: &str = "contracts/eigenlayer/artifacts";

/// A verifier that joins.
#[derive(Debug)]
pub struct Joining {
    /// Its operator's wallet.
    pub operator: WalletKey,
    /// The wallet of the staker who delegates to it.
    pub staker: WalletKey,
    /// Its key.
    pub key: SecretKey,
    /// What is delegated to it.
    pub stake: Stake,
}

/// The folder with the extracted restaking core, if `PROOFGRID_EIGENLAYER` does not say.
fn eigenlayer_artifacts() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PROOFGRID_EIGENLAYER") {
        return Ok(PathBuf::from(folder));
    }
    super::anvil::near(Path::new(EIGENLAYER_ARTIFACTS)).context(
        "the restaking core was not found; run `make tools`, or point PROOFGRID_EIGENLAYER at the \
         folder with its artifacts",
    )
}

/// Who owns the contracts and all coins of any development chain, and posts reward roots there.
///
/// # Errors
/// Cannot fail: the key is a constant.
pub fn deployer(chain: Chain) -> anyhow::Result<Sender> {
    let mut secret = [0; 32];
    hex::decode_to_slice(DEPLOYER_SECRET, &mut secret)?;
    Ok(Sender::new(chain, OracleKey::from_bytes(&secret)?))
}

impl DevChain {
    /// Waits until the node answers and deploys every contract and program.
    ///
    /// # Errors
    /// When the node ends or does not answer, or a deployment fails.
    pub async fn deploy(
        rpc_url: &str,
        node: &mut Process,
        config: &DeployConfig,
    ) -> anyhow::Result<Self> {
        let chain = chain::connect(rpc_url, ChainId::new(CHAIN_ID))?;
        let started = Instant::now();
        while let Err(error) = chain.latest().await {
            if node.ended().is_some() || started.elapsed() > START_TIMEOUT {
                bail!("the EVM node does not answer: {error}\n{}", node.log_tail(20));
            }
            tokio::time::sleep(POLL).await;
        }
        let mut deployer = deployer(chain.clone())?;
        let artifacts = CoreArtifacts::read(&eigenlayer_artifacts()?)?;
        let known = proofgrid_programs::registry();
        let groth16 = known.iter().find(|program| program.name() == GROTH16_PROGRAM);
        let groth16_program = groth16.map(|program| program.id());
        let config = DeployConfig { groth16_program, ..config.clone() };
        let deployment = deploy::deploy_development(&mut deployer, &artifacts, &config).await?;
        let programs: Vec<_> =
            known.iter().map(|program| (program.id(), program.manifest().digest())).collect();
        setup::register_programs(&mut deployer, deployment.contracts.proof_registry, &programs)
            .await?;
        let bound = known.iter().filter(|program| program.prover_bound());
        let bound: Vec<_> = bound.map(|program| program.id()).collect();
        setup::allow_races(&mut deployer, deployment.race_rounds, &bound).await?;
        Ok(Self { chain, deployer, deployment })
    }

    /// The contracts.
    #[must_use]
    pub const fn contracts(&self) -> &ContractAddresses {
        &self.deployment.contracts
    }

    /// Everything that was deployed.
    #[must_use]
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Where faults are proven, and the vault that pays for it.
    ///
    /// # Errors
    /// When the chain cannot be asked.
    pub async fn arena(&self) -> anyhow::Result<(Arena, Address)> {
        let registry = self.deployment.contracts.proof_registry;
        Ok((Arena::of(&self.chain, registry).await?, self.deployment.fee_vault))
    }

    /// What is delegated to an operator, in shares of the network's strategy.
    ///
    /// # Errors
    /// When the chain cannot be asked.
    pub async fn shares_of(&self, operator: Address) -> anyhow::Result<U256> {
        let avs = self.deployment.avs();
        let standing = avs.standing(&self.chain, operator, deploy::VERIFIERS).await?;
        let (_, shares, _) = standing.strategies.first().context("the network has one strategy")?;
        Ok(*shares)
    }

    /// First block that an oracle has to read.
    #[must_use]
    pub fn start_block(&self) -> u64 {
        self.deployment.start_block().get()
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Who owns the contracts and all coins.
    pub const fn deployer(&mut self) -> &mut Sender {
        &mut self.deployer
    }

    /// A sender for a wallet.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn sender(&self, wallet: &WalletKey) -> anyhow::Result<Sender> {
        chain::sender(self.chain.clone(), wallet)
    }

    /// Sends coins to accounts, all in flight at once.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn fund(&mut self, accounts: &[Address], wei: U256) -> anyhow::Result<()> {
        setup::fund(&mut self.deployer, accounts, wei).await.context("funding accounts failed")
    }

    /// Makes operators of verifiers, delegates their stake to them, each from a staker of its own, and
    /// registers them with their keys.
    ///
    /// # Errors
    /// When a transaction fails.
    pub async fn join(&mut self, joining: &[Joining]) -> anyhow::Result<()> {
        let core = self.deployment.core;
        let stakes: Vec<_> =
            joining.iter().map(|joins| (joins.staker.address(), joins.stake)).collect();
        let mut operators = Vec::new();
        for joins in joining {
            operators.push(self.sender(&joins.operator)?);
        }
        let become_operators = operators.iter_mut().map(|operator| {
            eigenlayer::register_as_operator(operator, core.delegation_manager, OPERATOR_METADATA)
        });
        let (minted, _) = futures::future::try_join(
            deploy::mint(&mut self.deployer, core.token, &stakes),
            futures::future::try_join_all(become_operators),
        )
        .await?;
        let () = minted;
        let mut stakers = Vec::new();
        for joins in joining {
            stakers.push((self.sender(&joins.staker)?, joins.operator.address(), joins.stake));
        }
        let delegations = stakers.iter_mut().map(|(staker, operator, stake)| {
            eigenlayer::delegate_stake(staker, &core, *operator, *stake)
        });
        futures::future::try_join_all(delegations).await?;
        let deployment = &self.deployment;
        let registrations = operators
            .iter_mut()
            .zip(joining)
            .map(|(operator, joins)| deploy::join_verifiers(operator, deployment, &joins.key));
        futures::future::try_join_all(registrations).await?;
        Ok(())
    }

    /// Freezes the next epoch.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn snapshot(&mut self) -> anyhow::Result<EpochNumber> {
        Ok(deploy::snapshot(&mut self.deployer, &self.deployment.contracts).await?)
    }

    /// Digest of an epoch's table as the contract names it.
    ///
    /// # Errors
    /// When there is no such epoch.
    pub async fn epoch_digest(&self, epoch: EpochNumber) -> anyhow::Result<TableDigest> {
        let contract = self.deployment.contracts.epoch_table;
        Ok(table_digest(&self.chain, contract, FinalityPolicy::Finalized, epoch).await?)
    }

    /// Whether the contract says that the job is verified, beyond the challenge window.
    ///
    /// # Errors
    /// When the certificate does not verify or the chain cannot be asked.
    pub async fn is_verified(
        &self,
        certificate: &JobCertificate,
        table: &EpochTable,
    ) -> anyhow::Result<bool> {
        let trust = TrustedEpoch::Digest(self.epoch_digest(table.epoch()).await?);
        let (_, job) = certificate.verify(table, trust)?;
        let registry = self.deployment.contracts.proof_registry;
        let (root, count) = (certificate.certificate.root, certificate.certificate.count);
        chain::is_verified(&self.deployer, registry, &job, root, count).await
    }
}
