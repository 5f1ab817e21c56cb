//! `operator`: what who runs a verifier or prover for stake does.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use hyper::StatusCode;

use super::doctor::{Finding, report, writable};
use super::keys::{self, KeysCommand, bls_from};
use super::restaking::{self, AllocateArgs, OperatorArgs, RegisterArgs, StakeArgs, StayArgs};
use super::rewards::{self, RewardsCommand};
use super::roles::ConfigArgs;
use crate::client::wallet_from;
use crate::config::{self, KeyConfig, ProverFile, VerifierFile};
use crate::exit::{CliResult, Exit, WithExit};
use crate::job_view::hex0x;
use crate::node_api::{self, NodeApiSection, NodeInfo, ServiceList, ServiceStatus};
use crate::output::Format;
use crate::runtime::block_on;

/// `operator` commands.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// The same as `proofgrid keys`: a wallet to register with, a BLS key to vote with.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// How a verifier or prover of this machine is: its settings, key, directory, and what the
    /// running process says.
    Status(ConfigArgs),
    /// Join the verifiers or provers: allocate all stake to the network, if none is yet, and register.
    Register(RegisterArgs),
    /// Change which part of the stake stands behind the network.
    Allocate(AllocateArgs),
    /// Leave the verifiers or provers.
    Deregister(OperatorArgs),
    /// Answer an announced ejection under the verifier's key: it is alive and stays.
    Stay(StayArgs),
    /// How an operator stands at the restaking core: delegated, allocated, registered.
    Stake(StakeArgs),
    /// What verifying has earned, and its claim.
    #[command(subcommand)]
    Rewards(RewardsCommand),
}

/// Runs the command.
///
/// # Errors
/// What failed, with the exit code.
pub fn run(command: OperatorCommand, output: Format) -> CliResult {
    match command {
        OperatorCommand::Keys(command) => keys::run(command, output),
        OperatorCommand::Status(args) => status(&args, output),
        OperatorCommand::Register(args) => restaking::register(&args, output),
        OperatorCommand::Allocate(args) => restaking::allocate(&args, output),
        OperatorCommand::Deregister(args) => restaking::deregister(&args, output),
        OperatorCommand::Stay(args) => restaking::stay(&args, output),
        OperatorCommand::Stake(args) => restaking::stake(&args, output),
        OperatorCommand::Rewards(command) => rewards::run(&command, output),
    }
}

/// What the settings of a role say, whichever it is.
struct Role {
    name: &'static str,
    key: Finding,
    data_dir: PathBuf,
    node_api: Option<NodeApiSection>,
}

impl Role {
    /// Reads the settings; the section that a file has tells which role it is for.
    fn read(path: &Path) -> CliResult<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .exit(Exit::NotFound)?;
        let sections: toml::Table =
            text.parse().with_context(|| format!("{} is no TOML file", path.display()))?;
        if sections.contains_key("verifier") {
            let file: VerifierFile = config::load(path)?;
            let shown = bls_from(&file.key.file, &file.key.password_file)
                .map(|key| format!("BLS {}", hex0x(&key.public_g1().to_bytes())));
            return Ok(Self {
                name: "verifier",
                key: key_finding(&file.key, shown),
                data_dir: file.verifier.data_dir,
                node_api: file.node_api,
            });
        }
        if sections.contains_key("prover") {
            let file: ProverFile = config::load(path)?;
            let shown = wallet_from(&file.key.file, &file.key.password_file)
                .map(|key| format!("wallet {}", key.address()));
            return Ok(Self {
                name: "prover",
                key: key_finding(&file.key, shown),
                data_dir: file.prover.data_dir,
                node_api: file.node_api,
            });
        }
        let path = path.display();
        Err(anyhow!("{path} has neither [verifier] nor [prover]; it is of another role"))
            .exit(Exit::Failed)
    }
}

fn key_finding(key: &KeyConfig, shown: anyhow::Result<String>) -> Finding {
    let is_open = shown.is_ok();
    let found = shown.map_or_else(
        |error| format!("{error:#}"),
        |public| format!("{public}, {}", key.file.display()),
    );
    Finding::new("key", is_open, found, "correct [key], or make one with `proofgrid keys create`")
}

fn status(args: &ConfigArgs, output: Format) -> CliResult {
    let role = Role::read(&args.config)?;
    let found = format!("{}, {}", role.name, args.config.display());
    let mut findings = vec![Finding::new("settings", true, found, ""), role.key];
    findings.push(directory(&role.data_dir));
    match &role.node_api {
        Some(section) => {
            findings.extend(block_on(async { Ok(running(section).await) })?);
        }
        None => {
            let found = "not served: no [node_api] in the settings".to_owned();
            findings.push(Finding::new("node API", true, found, ""));
        }
    }
    report(&findings, output)
}

/// A directory that is not there yet is made at the first start, not by looking at it.
fn directory(path: &Path) -> Finding {
    if path.exists() {
        return writable(path);
    }
    let found = format!("{} does not exist; the first start makes it", path.display());
    Finding::new("data directory", true, found, "")
}

/// What the running process says.
async fn running(section: &NodeApiSection) -> Vec<Finding> {
    let told = async {
        let node: NodeInfo = json(section, "/eigen/node").await?;
        let list: ServiceList = json(section, "/eigen/node/services").await?;
        anyhow::Ok((node, list))
    };
    let (node, list) = match told.await {
        Ok(told) => told,
        Err(error) => {
            let advice = "start the role with these settings, or correct node_api.listen";
            return vec![Finding::new("node API", false, format!("{error:#}"), advice)];
        }
    };
    let NodeInfo { node_name, spec_version, node_version } = node;
    let found = format!("{node_name} {node_version}, spec {spec_version}, {}", section.listen);
    let mut findings = vec![Finding::new("node API", true, found, "")];
    for service in list.services {
        let is_fit = service.status != ServiceStatus::Down;
        let found = format!("{}: {:?} ({})", service.id, service.status, service.description);
        findings.push(Finding::new("service", is_fit, found, "its log says why"));
    }
    findings
}

async fn json<T: serde::de::DeserializeOwned>(
    section: &NodeApiSection,
    path: &str,
) -> anyhow::Result<T> {
    let (status, body) = node_api::get(section.listen, path).await?;
    let place = format!("{}{path}", section.listen);
    anyhow::ensure!(status == StatusCode::OK, "{place} answers {status}; is it a node API?");
    serde_json::from_slice(&body).with_context(|| format!("{place} is no node API"))
}
