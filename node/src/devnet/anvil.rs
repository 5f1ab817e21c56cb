//! A local EVM node for development networks: anvil, as installed by `make tools`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::process::Process;

/// Chain id of development networks.
pub const CHAIN_ID: u64 = 31_337;

/// Where anvil lies below the working folder or the sources, if `PROOFGRID_ANVIL` does not say. The
/// program itself, not the launcher in `.bin`: a killed launcher leaves its child running.
fn place() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    format!("contracts/node_modules/@foundry-rs/anvil-{system}-{processor}/bin/anvil")
}

/// Finds the anvil program.
///
/// # Errors
/// When there is none; the message says how to get it.
pub fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("PROOFGRID_ANVIL") {
        return Ok(PathBuf::from(path));
    }
    near(Path::new(&place()))
        .context("anvil was not found; run `make tools`, or point PROOFGRID_ANVIL at it")
}

/// What lies at `path` below the working folder or the sources, in this order.
pub(super) fn near(path: &Path) -> Option<PathBuf> {
    let near_sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let roots = [std::env::current_dir().ok(), near_sources.map(Path::to_path_buf)];
    roots.into_iter().flatten().map(|root| root.join(path)).find(|path| path.exists())
}

/// A port that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free local port")?;
    Ok(listener.local_addr()?.port())
}

/// Number of the first block: the restaking core slashes nobody while fewer blocks than its withdrawal
/// delay have passed, and that is weeks.
pub const FIRST_BLOCK: u64 = 10_000_000;
/// Gas of a block: the restaking core and our contracts fit one, so a network starts in seconds.
const BLOCK_GAS: u64 = 500_000_000;

/// Starts anvil on `port`, through `binary` (this program) so that it ends with the devnet, with a block a second and two slots an epoch: with its default of 32 slots,
/// `finalized` would trail the head by 64 blocks.
///
/// # Errors
/// When it cannot be started.
pub fn start(binary: &Path, port: u16, state: &Path, logs: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(binary);
    command
        .args(["exec-with-parent", "--"])
        .arg(find()?)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--chain-id", &CHAIN_ID.to_string()])
        .args(["--block-time", "1", "--slots-in-an-epoch", "2", "--state-interval", "1"])
        .args(["--number", &FIRST_BLOCK.to_string(), "--gas-limit", &BLOCK_GAS.to_string()])
        .arg("--state")
        .arg(state);
    Process::start("anvil", &mut command, logs)
}
