//! `devnet`: a whole network on this machine.

use std::path::PathBuf;

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use crate::devnet::demo::{self, DemoOptions};
use crate::devnet::network::{Devnet, DevnetOptions, REQUESTER};
use crate::exit::{CliResult, Exit, fail};
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Pause between two looks at the processes of a running devnet.
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

/// `devnet` commands.
#[derive(Debug, Subcommand)]
pub enum DevnetCommand {
    /// Start a network and leave it running until Ctrl-C.
    Up {
        /// What to start.
        #[command(flatten)]
        size: SizeArgs,
    },
    /// Start a network, settle one job by gRPC and one by contract, check both, and stop.
    Demo {
        /// What to start.
        #[command(flatten)]
        size: SizeArgs,
        /// The input of both jobs: one hexadecimal byte string per line.
        #[arg(long)]
        input: PathBuf,
    },
}

/// Size and place of a development network.
#[derive(Debug, clap::Args)]
pub struct SizeArgs {
    /// Folder for keys, configuration, data and logs; emptied if it is an earlier devnet's.
    #[arg(long, default_value = "target/devnet")]
    dir: PathBuf,
    /// Number of provers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    provers: u8,
    /// Stake of each verifier, in tokens.
    #[arg(long, value_delimiter = ',', default_value = "4000,3000,2000,1000")]
    stakes: Vec<u64>,
}

impl SizeArgs {
    fn options(self) -> anyhow::Result<DevnetOptions> {
        let mut options = DevnetOptions::new(self.dir)?;
        options.provers = usize::from(self.provers);
        options.stakes = self.stakes;
        Ok(options)
    }
}

/// Runs a `devnet` command.
///
/// # Errors
/// When a part of the network does not start, or the demo does not end as it should.
pub fn run(command: DevnetCommand, output: Format) -> CliResult {
    block_on(async {
        match command {
            DevnetCommand::Demo { size, input } => {
                let devnet = size.options()?;
                tokio::select! {
                    outcome = demo::run(DemoOptions { devnet, input }, output) => outcome,
                    () = told_to_stop()? => fail(Exit::Failed, "interrupted"),
                }
            }
            DevnetCommand::Up { size } => {
                let options = size.options()?;
                tokio::select! {
                    outcome = up(options) => outcome,
                    () = told_to_stop()? => Ok(()),
                }
            }
        }
    })
}

/// Ends with the first Ctrl-C, SIGTERM or SIGHUP; dropping the network then ends its processes.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Runs until it is dropped or a process ends by itself.
async fn up(options: DevnetOptions) -> CliResult {
    let mut devnet = Devnet::start(options, &output::line).await?;
    let layout = devnet.layout();
    output::line(&format!("network file  {}", layout.network().display()));
    output::line(&format!("wallet        {}", layout.key(REQUESTER).display()));
    output::line(&format!("password      {}", layout.password().display()));
    output::line(&format!("logs          {}", layout.logs().display()));
    output::line("running; Ctrl-C ends it");
    loop {
        tokio::time::sleep(POLL).await;
        devnet.check_processes()?;
    }
}
