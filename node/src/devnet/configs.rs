//! The configuration files that a development network writes: what an operator would write by hand.

use std::fs;

use anyhow::Context;
use proofgrid_core::ids::Address;

use super::layout::Layout;
use crate::network_file::NetworkFile;

/// What differs between development networks.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Finality policy of oracle and verifiers.
    pub finality: String,
    /// The dispatcher judges proofs before verifiers see them.
    pub judge_at_intake: bool,
    /// Silence after which a peer counts as dead, in milliseconds.
    pub dead_after_ms: u64,
    /// How often peers send a heartbeat, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// How long voting may take before a job is held, in milliseconds.
    pub vote_timeout_ms: u64,
    /// How long verifiers may take to attest a batch, in milliseconds.
    pub attest_timeout_ms: u64,
    /// Longest that a statement waits for company in its batch, in milliseconds.
    pub batch_window_ms: u64,
    /// Fewest records of the dispatcher's journal between two snapshots of it.
    pub snapshot_every_records: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            finality: "finalized".into(),
            judge_at_intake: true,
            dead_after_ms: 30_000,
            heartbeat_interval_ms: 5_000,
            vote_timeout_ms: 60_000,
            attest_timeout_ms: 5_000,
            batch_window_ms: 200,
            snapshot_every_records: 64,
        }
    }
}

/// Writes configuration files into a layout.
#[derive(Clone, Debug)]
pub struct ConfigWriter<'a> {
    /// Where.
    pub layout: &'a Layout,
    /// The network that they join.
    pub network: &'a NetworkFile,
    /// Block in which the contracts were deployed.
    pub start_block: u64,
    /// Settings that differ between networks.
    pub tuning: &'a Tuning,
}

impl ConfigWriter<'_> {
    /// `dispatcher.toml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn dispatcher(
        &self,
        listen: &str,
        oracle: Address,
        administrator: Address,
    ) -> anyhow::Result<()> {
        let (network, tuning) = (self.network, self.tuning);
        let data = self.layout.data("dispatcher");
        self.write(
            "dispatcher",
            &format!(
                r#"[key]
file = {key:?}
password_file = {password:?}

[store]
data_dir = {data:?}

[dispatcher]
listen = "{listen}"
server = "{server}"
administrators = ["{administrator}"]
judge_at_intake = {judge}
heartbeat_interval_ms = {heartbeat}
dead_after_ms = {dead}

[dispatcher.home]
chain_id = {chain}
epoch_table = "{epoch_table}"
operator_registrar = "{operator_registrar}"

[[dispatcher.targets]]
chain_id = {chain}
proof_registry = "{proof_registry}"
task_manager = "{task_manager}"

[[dispatcher.oracles]]
chain_id = {chain}
address = "{oracle}"

[dispatcher.snapshots]
every_records = {records}

[dispatcher.timing]
vote_timeout_ms = {vote}
attest_timeout_ms = {attest}
batch_window_ms = {batch}
"#,
                key = self.layout.key("dispatcher"),
                password = self.layout.password(),
                server = network.dispatcher_address,
                judge = tuning.judge_at_intake,
                records = tuning.snapshot_every_records,
                heartbeat = tuning.heartbeat_interval_ms,
                dead = tuning.dead_after_ms,
                chain = network.home_chain_id,
                epoch_table = network.epoch_table,
                operator_registrar = network.operator_registrar,
                proof_registry = network.proof_registry,
                task_manager = network.task_manager,
                vote = tuning.vote_timeout_ms,
                attest = tuning.attest_timeout_ms,
                batch = tuning.batch_window_ms,
            ),
        )
    }

    /// A prover's file. `threads` is per slot; 0 means all cores.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prover(&self, name: &str, threads: u32) -> anyhow::Result<()> {
        let network = self.network;
        self.write(
            name,
            &format!(
                r#"[key]
file = {key:?}
password_file = {password:?}

[prover]
dispatcher_url = "{url}"
dispatcher_identity = "{server}"
home_chain_id = {chain}
epoch_table = "{epoch_table}"
data_dir = {data:?}
threads = {threads}
heartbeat_interval_ms = {heartbeat}
"#,
                key = self.layout.key(name),
                password = self.layout.password(),
                url = network.dispatcher_url,
                server = network.dispatcher_address,
                chain = network.home_chain_id,
                epoch_table = network.epoch_table,
                data = self.layout.data(name),
                heartbeat = self.tuning.heartbeat_interval_ms,
            ),
        )
    }

    /// A verifier's file, with the address of its mirror if it has one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn verifier(&self, name: &str, operator: &str, mirror: Option<&str>) -> anyhow::Result<()> {
        let network = self.network;
        let mirror = mirror.map_or_else(String::new, |url| {
            format!("mirror_listen = {:?}\n", url.trim_start_matches("http://"))
        });
        self.write(
            name,
            &format!(
                r#"[key]
file = {key:?}
password_file = {password:?}

[judge]
children_max = 1

[chain]
{chain_section}
[verifier]
dispatcher_url = "{url}"
dispatcher_address = "{server}"
operator = "{operator}"
data_dir = {data:?}
{mirror}"#,
                key = self.layout.key(name),
                password = self.layout.password(),
                chain_section = self.chain(),
                url = network.dispatcher_url,
                server = network.dispatcher_address,
                data = self.layout.data(name),
            ),
        )
    }

    /// `oracle.toml`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn oracle(&self) -> anyhow::Result<()> {
        let network = self.network;
        self.write(
            "oracle",
            &format!(
                r#"[key]
file = {key:?}
password_file = {password:?}

[oracle]
{chain_section}start_block = {start_block}
dispatcher_url = "{url}"
dispatcher_address = "{server}"
data_directory = {data:?}
poll_interval_ms = 250
{contracts}"#,
                chain_section = self.chain_head(),
                start_block = self.start_block,
                url = network.dispatcher_url,
                server = network.dispatcher_address,
                key = self.layout.key("oracle"),
                password = self.layout.password(),
                data = self.layout.data("oracle"),
                contracts = self.contracts("oracle"),
            ),
        )
    }

    fn chain(&self) -> String {
        format!("{}{}", self.chain_head(), self.contracts("chain"))
    }

    fn chain_head(&self) -> String {
        format!(
            "chain_id = {}\nrpc_urls = [\"{}\"]\nfinality = \"{}\"\n",
            self.network.home_chain_id, self.network.rpc_url, self.tuning.finality
        )
    }

    fn contracts(&self, section: &str) -> String {
        let network = self.network;
        format!(
            "\n[{section}.contracts]\noperator_registrar = \"{}\"\nepoch_table = \"{}\"\n\
             task_manager = \"{}\"\nproof_registry = \"{}\"\n",
            network.operator_registrar,
            network.epoch_table,
            network.task_manager,
            network.proof_registry
        )
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.layout.config(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
