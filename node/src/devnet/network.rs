//! A whole network on one machine: an EVM node, the contracts, and every role as its own process of
//! this one binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::{Context, bail};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::Address;
use proofgrid_core::units::Stake;
use proofgrid_oracle::deploy::DeployConfig;

use super::anvil;
use super::chain::{DevChain, Joining, TOKEN_WEI};
use super::configs::{ConfigWriter, Tuning};
use super::layout::Layout;
use super::process::Process;
use crate::cli::NetworkArgs;
use crate::cli::keys::{new_bls, new_wallet};
use crate::client::{Client, wallet_from};
use crate::keystore::{SCRYPT_LOG_N_LIGHT, read_password};
use crate::network_file::NetworkFile;

/// Pause between two looks at something that is starting.
const POLL: Duration = Duration::from_millis(100);
/// How long the network may take to answer with its first epoch.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// What each account of the network gets for gas.
const GAS_MONEY_ETHER: u64 = 10;
/// The wallet that may steer the dispatcher.
pub const ADMINISTRATOR: &str = "administrator";
/// Name of the wallet with which a person submits; it has money for gas and small fees.
pub const REQUESTER: &str = "requester";
/// Name of the EVM node among the processes.
pub const CHAIN: &str = "anvil";
/// File in the network's folder that the EVM node keeps its state in.
const CHAIN_STATE: &str = "chain.json";

/// What a development network is made of.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// Folder of the network; emptied if it is an earlier network's.
    pub dir: PathBuf,
    /// The `proofgrid` binary that every role runs.
    pub binary: PathBuf,
    /// Number of provers.
    pub provers: usize,
    /// Stake of each verifier, in whole tokens.
    pub stakes: Vec<u64>,
    /// Times and limits of the contracts.
    pub deploy: DeployConfig,
    /// Settings of the roles.
    pub tuning: Tuning,
    /// Roles that are configured but not started.
    pub not_started: Vec<String>,
}

impl DevnetOptions {
    /// Two provers and four verifiers of unequal stake, run by this binary.
    ///
    /// # Errors
    /// When this binary does not know its own path.
    pub fn new(dir: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            dir,
            binary: std::env::current_exe().context("this binary does not know its own path")?,
            provers: 2,
            stakes: vec![4_000, 3_000, 2_000, 1_000],
            deploy: DeployConfig::development(),
            tuning: Tuning::default(),
            not_started: Vec::new(),
        })
    }
}

/// A running development network. Dropping it ends every process.
#[derive(Debug)]
pub struct Devnet {
    layout: Layout,
    options: DevnetOptions,
    chain: DevChain,
    network: NetworkFile,
    operators: Vec<Address>,
    processes: BTreeMap<String, Process>,
}

/// Where progress of the start is told.
pub type Report<'a> = &'a dyn Fn(&str);

impl Devnet {
    /// Starts everything and waits until the dispatcher knows the first epoch.
    ///
    /// # Errors
    /// When a part does not start; the message has the end of its log.
    pub async fn start(options: DevnetOptions, report: Report<'_>) -> anyhow::Result<Self> {
        let layout = Layout::create(&options.dir)?;
        report("starting an EVM node (anvil, a block a second)");
        let port = anvil::free_port()?;
        let state = layout.root().join(CHAIN_STATE);
        let mut evm = anvil::start(&options.binary, port, &state, &layout.logs())?;
        let rpc_url = format!("http://127.0.0.1:{port}");
        report("deploying the contracts");
        let dispatcher = make_wallet(&layout, "dispatcher")?.address();
        let chain = DevChain::deploy(&rpc_url, &mut evm, &options.deploy).await?;
        let deployed = *chain.contracts();
        let network = NetworkFile {
            dispatcher_url: format!("http://127.0.0.1:{}", anvil::free_port()?),
            dispatcher_address: dispatcher.to_string(),
            rpc_url,
            home_chain_id: anvil::CHAIN_ID,
            epoch_table: deployed.epoch_table.to_string(),
            operator_registrar: deployed.operator_registrar.to_string(),
            proof_registry: deployed.proof_registry.to_string(),
            task_manager: deployed.task_manager.to_string(),
            mirror_urls: vec![format!("http://127.0.0.1:{}", anvil::free_port()?)],
        };
        std::fs::write(layout.network(), toml::to_string_pretty(&network)?)?;
        let mut devnet = Self {
            layout,
            options,
            chain,
            network,
            operators: Vec::new(),
            processes: BTreeMap::from([(CHAIN.to_owned(), evm)]),
        };
        devnet.register_operators(report).await?;
        devnet.write_configs()?;
        devnet.start_roles(report).await?;
        Ok(devnet)
    }

    /// Stakers delegate to operators, who allocate to the verifiers, prove possession of their keys and
    /// are frozen in epoch 1.
    async fn register_operators(&mut self, report: Report<'_>) -> anyhow::Result<()> {
        let stakes = self.options.stakes.clone();
        report(&format!("delegating stake {stakes:?} and registering {} verifiers", stakes.len()));
        let password = read_password(&self.layout.password())?;
        let mut joining = Vec::new();
        for (index, tokens) in stakes.iter().enumerate() {
            let name = verifier_name(index);
            let operator = make_wallet(&self.layout, &format!("{name}-operator"))?;
            let staker = make_wallet(&self.layout, &format!("{name}-staker"))?;
            let key = new_bls(&self.layout.key(&name), &password, SCRYPT_LOG_N_LIGHT)?;
            self.operators.push(operator.address());
            let stake = Stake::new(u128::from(*tokens).saturating_mul(TOKEN_WEI));
            joining.push(Joining { operator, staker, key, stake });
        }
        let oracle = make_wallet(&self.layout, "oracle")?.address();
        let requester = make_wallet(&self.layout, REQUESTER)?.address();
        let mut accounts = vec![oracle, requester];
        for joins in &joining {
            accounts.extend([joins.operator.address(), joins.staker.address()]);
        }
        self.fund(&accounts, U256::from(GAS_MONEY_ETHER) * U256::from(TOKEN_WEI)).await?;
        self.chain.join(&joining).await?;
        self.chain.snapshot().await?;
        Ok(())
    }

    fn write_configs(&self) -> anyhow::Result<()> {
        let oracle = self.new_wallet_if_missing("oracle")?.address();
        self.new_wallet_if_missing(REQUESTER)?;
        let writer = ConfigWriter {
            layout: &self.layout,
            network: &self.network,
            start_block: self.chain.start_block(),
            tuning: &self.options.tuning,
        };
        let listen = self.network.dispatcher_url.trim_start_matches("http://");
        let administrator = make_wallet(&self.layout, ADMINISTRATOR)?.address();
        writer.dispatcher(listen, oracle, administrator)?;
        writer.oracle()?;
        for index in 0..self.options.provers {
            let name = prover_name(index);
            make_wallet(&self.layout, &name)?;
            // The provers of one machine share its cores, so each gets its part of them.
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let threads = u32::try_from((cores / self.options.provers.max(1)).max(1))?;
            writer.prover(&name, threads)?;
        }
        for (index, operator) in self.operators.iter().enumerate() {
            // The first verifiers keep what they judged open to everybody, one for each address.
            let mirror = self.network.mirror_urls.get(index).map(String::as_str);
            writer.verifier(&verifier_name(index), &operator.to_string(), mirror)?;
        }
        Ok(())
    }

    async fn start_roles(&mut self, report: Report<'_>) -> anyhow::Result<()> {
        let roles: Vec<String> = self
            .roles()
            .into_iter()
            .filter(|name| !self.options.not_started.contains(name))
            .collect();
        report(&format!("starting {} processes: {}", roles.len(), roles.join(", ")));
        for name in &roles {
            self.start_role(name)?;
        }
        report("waiting for the first epoch to be final on-chain");
        self.wait_for_epoch().await
    }

    /// Names of every role process, in the order of their start.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        let mut names = vec!["dispatcher".to_owned(), "oracle".to_owned()];
        names.extend((0..self.options.provers).map(prover_name));
        names.extend((0..self.operators.len()).map(verifier_name));
        names
    }

    /// Starts (or starts again) one role by its name.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_role(&mut self, name: &str) -> anyhow::Result<()> {
        self.start_role_as(name, self.role_command(name))
    }

    /// What [`Devnet::start_role`] runs; the scenarios change its environment or its limits.
    #[must_use]
    pub fn role_command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.options.binary);
        let role = name.split('-').next().unwrap_or(name);
        command.args([role, "run", "--config"]).arg(self.layout.config(name));
        command
    }

    /// Starts the EVM node again after it ended, from the state that it wrote, on the same port.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_chain(&mut self) -> anyhow::Result<()> {
        let port = self.network.rpc_url.rsplit(':').next().context("an address with a port")?;
        let (state, logs) = (self.chain_state(), self.layout.logs());
        let evm = anvil::start(&self.options.binary, port.parse()?, &state, &logs)?;
        self.processes.insert(CHAIN.to_owned(), evm);
        Ok(())
    }

    /// Where the EVM node keeps its state.
    #[must_use]
    pub fn chain_state(&self) -> PathBuf {
        self.layout.root().join(CHAIN_STATE)
    }

    /// Starts another program under a role's name; the scenarios' hostile nodes come in here.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start_role_as(&mut self, name: &str, mut command: Command) -> anyhow::Result<()> {
        command.env("PROOFGRID_LOG", "info,judge=debug,journal=debug").env("NO_COLOR", "1");
        let process = Process::start(name, &mut command, &self.layout.logs())?;
        self.processes.insert(name.to_owned(), process);
        Ok(())
    }

    /// A running process by its name; `anvil` is one of them.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&mut self, name: &str) -> anyhow::Result<&mut Process> {
        self.processes.get_mut(name).with_context(|| format!("there is no process {name}"))
    }

    /// Fails with the end of its log if a process has ended by itself.
    ///
    /// # Errors
    /// When one has.
    pub fn check_processes(&mut self) -> anyhow::Result<()> {
        if let Some((name, status)) = self.ended().into_iter().next() {
            bail!("{name} ended ({status})\n{}", self.process(&name)?.log_tail(20));
        }
        Ok(())
    }

    /// Processes that have ended by themselves, and how.
    pub fn ended(&mut self) -> Vec<(String, ExitStatus)> {
        let processes = self.processes.iter_mut();
        processes.filter_map(|(name, process)| Some((name.clone(), process.ended()?))).collect()
    }

    async fn wait_for_epoch(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            self.check_processes()?;
            let args = self.network_args();
            match Client::connect(&args).await {
                Ok(client) if client.info.epoch > 0 => return Ok(()),
                _ if started.elapsed() > START_TIMEOUT => {
                    let log = self.process("oracle")?.log_tail(20);
                    bail!("no epoch was final after {START_TIMEOUT:?}\n{log}");
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Ends every process, the dispatcher before the chain.
    pub fn stop(&mut self) {
        for process in self.processes.values() {
            if process.name() != CHAIN {
                process.signal(nix::sys::signal::Signal::SIGTERM);
            }
        }
        self.processes.clear();
    }

    /// The network's folder.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The `proofgrid` binary that every role runs.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.options.binary
    }

    /// The verifiers' operators, in the order of the verifiers.
    #[must_use]
    pub fn operators(&self) -> &[Address] {
        &self.operators
    }

    /// What of its stake a verifier loses for `valid` on a refused proof, in 1e-18.
    #[must_use]
    pub const fn false_valid_wad(&self) -> u64 {
        self.options.deploy.court.falseValidWad
    }

    /// The network as clients know it.
    #[must_use]
    pub const fn network(&self) -> &NetworkFile {
        &self.network
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &DevChain {
        &self.chain
    }

    /// The chain, to act on it.
    pub const fn chain_mut(&mut self) -> &mut DevChain {
        &mut self.chain
    }

    /// Arguments by which a client finds the network.
    #[must_use]
    pub fn network_args(&self) -> NetworkArgs {
        NetworkArgs { network: Some(self.layout.network()), dispatcher: None }
    }

    /// A wallet of the network's folder, made if it is missing.
    ///
    /// # Errors
    /// When the key file cannot be read or written.
    pub fn new_wallet_if_missing(&self, name: &str) -> anyhow::Result<WalletKey> {
        if self.layout.key(name).exists() {
            return wallet_from(&self.layout.key(name), &self.layout.password());
        }
        make_wallet(&self.layout, name)
    }

    /// Gives accounts coins of the development chain.
    ///
    /// # Errors
    /// When the chain cannot be asked.
    pub async fn fund(&mut self, accounts: &[Address], wei: U256) -> anyhow::Result<()> {
        self.chain.fund(accounts, wei).await
    }
}

fn prover_name(index: usize) -> String {
    format!("prover-{}", index + 1)
}

fn verifier_name(index: usize) -> String {
    format!("verifier-{}", index + 1)
}

fn make_wallet(layout: &Layout, name: &str) -> anyhow::Result<WalletKey> {
    let password = read_password(&layout.password())?;
    new_wallet(&layout.key(name), &password, SCRYPT_LOG_N_LIGHT)
}
