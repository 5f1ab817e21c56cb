//! Commands of this binary, run on a development network as its people would run them.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::network::Devnet;

/// Runs a command with a wallet of the network, and reads the JSON that it prints.
///
/// # Errors
/// What the command says when it fails.
pub async fn run_as<T: DeserializeOwned>(
    devnet: &Devnet,
    wallet: &str,
    arguments: &[&str],
) -> anyhow::Result<T> {
    let layout = devnet.layout();
    let mut command = Command::new(devnet.binary());
    command
        .args(arguments)
        .args(["--output", "json", "--network"])
        .arg(layout.network())
        .arg("--wallet")
        .arg(layout.key(wallet))
        .arg("--password-file")
        .arg(layout.password())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = command.output().await.context("the command could not be started")?;
    ensure!(
        done.status.success(),
        "proofgrid {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    );
    serde_json::from_slice(&done.stdout).context("the command printed something else")
}
