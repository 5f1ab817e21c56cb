//! `devnet`: a whole network on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use crate::chain;
use crate::devnet::chain::deployer;
use crate::devnet::demo::{self, DemoOptions};
use crate::devnet::layout::NETWORK_FILE;
use crate::devnet::network::{Devnet, DevnetOptions, REQUESTER};
use crate::devnet::rewards::pay_out;
use crate::devnet::supervisor::Supervisor;
use crate::exit::{CliResult, Exit, WithExit, fail};
use crate::network_file::NetworkFile;
use crate::output::{self, Format};
use crate::runtime::block_on;

/// Pause between two looks at the processes of a running devnet.
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

/// `devnet` commands.
#[derive(Debug, Subcommand)]
pub enum DevnetCommand {
    /// Start a network and leave it running until Ctrl-C; processes that are killed come back.
    Up {
        /// What to start.
        #[command(flatten)]
        size: SizeArgs,
    },
    /// Start a network, settle one job by gRPC, one by contract and a disputed one, check all, have a
    /// planted verifier slashed, pay the others, and stop.
    Demo {
        /// What to start.
        #[command(flatten)]
        size: SizeArgs,
        /// The input of both jobs: one hexadecimal byte string per line.
        #[arg(long)]
        input: PathBuf,
    },
    /// Pay the verifiers of a running devnet: moves its clock past the day, hands out their part of the
    /// fees, and posts the root under which `operator rewards claim` claims.
    PayRewards {
        /// Folder of the devnet.
        #[arg(long, default_value = "target/devnet")]
        dir: PathBuf,
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
            DevnetCommand::PayRewards { dir } => pay_rewards(&dir, output).await,
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

async fn pay_rewards(dir: &Path, output: Format) -> CliResult {
    let file = NetworkFile::read(&dir.join(NETWORK_FILE)).exit(Exit::NotFound)?;
    let (chain, contracts) = chain::of_network(&file)?;
    let mut updater = deployer(chain)?;
    let paid = pay_out(&mut updater, &contracts, dir).await?;
    let earned = paid.earned.iter().map(|(earner, wei)| (earner.to_string(), wei.to_string()));
    match output {
        Format::Json => {
            let earned: BTreeMap<_, _> = earned.collect();
            let (file, root) = (paid.file.display().to_string(), paid.root.to_string());
            let view = serde_json::json!({ "distribution": file, "root": root, "earned": earned });
            output::json(&view, false)?;
        }
        Format::Table => {
            let rows = earned.map(|(earner, wei)| vec![earner, wei]).collect();
            output::line(&output::table(&["earner", "earned so far, wei"], rows).to_string());
            output::line(&format!("posted root {} over {}", paid.root, paid.file.display()));
        }
    }
    Ok(())
}

/// Runs until it is dropped. What ends by itself is started again.
async fn up(options: DevnetOptions) -> CliResult {
    let mut devnet = Devnet::start(options, &output::line).await?;
    let layout = devnet.layout();
    output::line(&format!("network file  {}", layout.network().display()));
    output::line(&format!("wallet        {}", layout.key(REQUESTER).display()));
    output::line(&format!("password      {}", layout.password().display()));
    output::line(&format!("logs          {}", layout.logs().display()));
    output::line("running; Ctrl-C ends it; what is killed is started again");
    let mut supervisor = Supervisor::default();
    loop {
        tokio::time::sleep(POLL).await;
        for line in supervisor.look(&mut devnet)? {
            output::line(&line);
        }
    }
}
