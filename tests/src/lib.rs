//! What the scenarios share: a development network of real processes, faults that happen to it, and
//! waiting for its jobs.
//!
//! A network is an EVM node, the contracts, and every role as its own process of the `proofgrid`
//! binary. Waiting is for a condition with a bound, never for a time.

pub mod checks;
pub mod faults;
pub mod harness;
pub mod hostile;
pub mod peer;
pub mod rpc;
pub mod secrets;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::{Context, bail, ensure};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::limits::{PROOF_BYTES_MAX, SEGMENTS_MAX};
use proofgrid_node::cli::submit::{SubmitArgs, submit};
use proofgrid_node::cli::{NetworkArgs, WalletArgs};
use proofgrid_node::client::Client;
use proofgrid_node::devnet::configs::Tuning;
use proofgrid_node::devnet::network::{Devnet, DevnetOptions};
use proofgrid_node::exit::Exit;
use proofgrid_node::job_view::JobView;
use proofgrid_proto::v1;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything; a healthy network needs a few seconds.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// Pause between two looks.
pub const POLL: Duration = Duration::from_millis(50);

/// The first nonce that [`Scenario::nonce`] gives; scenarios that name their own stay below.
const FIRST_OWN_NONCE: u64 = 1_000;

/// The `proofgrid` binary next to this test's own.
///
/// # Errors
/// When it was not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("a test lies in target/*/deps")?;
    let path = folder.join("proofgrid");
    ensure!(path.exists(), "{} is missing; run `cargo build -p proofgrid-node`", path.display());
    Ok(path)
}

/// The root of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first `count` messages of the real block, as an input of `keccak`.
///
/// # Errors
/// When the data is missing.
pub fn messages(count: usize) -> anyhow::Result<Vec<u8>> {
    let path = root().join("tests/data/block_19807080_messages.hex");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<&str> = text.lines().take(count).collect();
    Ok((lines.join("\n") + "\n").into_bytes())
}

/// A network for one scenario.
#[derive(Debug)]
pub struct Scenario {
    /// The network.
    pub devnet: Devnet,
    /// Holds the network's files.
    pub folder: TempDir,
    runtime: tokio::runtime::Runtime,
    jobs: RefCell<Vec<JobId>>,
    nonces: Cell<u64>,
}

/// What a scenario submits.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Name of the program.
    pub program: String,
    /// The input.
    pub input: Vec<u8>,
    /// Idempotency key.
    pub nonce: u64,
    /// Through the contract, with a fee.
    pub contract: bool,
    /// Raced for; then it is a contract job.
    pub race: bool,
    /// Seconds until the deadline.
    pub deadline_s: u64,
    /// The deadline itself, instead: with it the same words are the same job at any time.
    pub deadline_unix_s: Option<u64>,
}

impl NewJob {
    /// A direct `keccak` job over the block's first messages.
    ///
    /// # Errors
    /// When the data is missing.
    pub fn keccak(count: usize, nonce: u64) -> anyhow::Result<Self> {
        Ok(Self {
            program: "keccak".into(),
            input: messages(count)?,
            nonce,
            contract: false,
            race: false,
            deadline_s: 3_600,
            deadline_unix_s: None,
        })
    }

    /// A direct `fibonacci` job: one segment that is proved in milliseconds.
    #[must_use]
    pub fn fibonacci(nonce: u64) -> Self {
        Self {
            program: "fibonacci".into(),
            input: format!("0 {nonce} 1024").into_bytes(),
            nonce,
            contract: false,
            race: false,
            deadline_s: 3_600,
            deadline_unix_s: None,
        }
    }

    /// A direct `fibonacci` job that takes a second: what it meets, it meets in the middle.
    #[must_use]
    pub fn slow(nonce: u64) -> Self {
        Self { input: format!("0 {nonce} 524288").into_bytes(), ..Self::fibonacci(nonce) }
    }
}

/// Short times, so that a scenario waits for the network and not for a clock.
#[must_use]
pub fn quick() -> Tuning {
    Tuning {
        finality: "depth=1".into(),
        judge_at_intake: true,
        dead_after_ms: 3_000,
        heartbeat_interval_ms: 500,
        vote_timeout_ms: 6_000,
        attest_timeout_ms: 2_000,
        batch_window_ms: 50,
        snapshot_every_records: 64,
    }
}

impl Scenario {
    /// Brings up a network; `change` adjusts it first.
    ///
    /// # Errors
    /// When a part of it does not start.
    pub fn start(change: impl FnOnce(&mut DevnetOptions)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut options = DevnetOptions::new(folder.path().join("net"))?;
        options.binary = binary()?;
        options.tuning = quick();
        change(&mut options);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let devnet = runtime.block_on(Devnet::start(options, &|_| {}))?;
        Ok(Self {
            devnet,
            folder,
            runtime,
            jobs: RefCell::default(),
            nonces: Cell::new(FIRST_OWN_NONCE),
        })
    }

    /// A nonce that no other job of this network has.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonces.replace(self.nonces.get() + 1)
    }

    /// Every job that was submitted here.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobId> {
        self.jobs.borrow().clone()
    }

    /// A job that the chain has taken back: nobody need know it.
    pub fn forget(&self, job: JobId) {
        self.jobs.borrow_mut().retain(|known| *known != job);
    }

    /// The scenario's runtime.
    #[must_use]
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Runs a future on the scenario's runtime.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The wallet that submits.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn requester(&self) -> anyhow::Result<WalletKey> {
        self.devnet.new_wallet_if_missing("requester")
    }

    /// Submits a job and gives its id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn submit(&self, job: &NewJob) -> anyhow::Result<JobId> {
        let input = self.folder.path().join(format!("input-{}", job.nonce));
        std::fs::write(&input, &job.input)?;
        let layout = self.devnet.layout();
        let network: NetworkArgs = self.devnet.network_args();
        let args = SubmitArgs {
            network: network.clone(),
            wallet: WalletArgs {
                wallet: layout.key("requester"),
                password_file: layout.password(),
            },
            program: job.program.clone(),
            input,
            deadline_s: job.deadline_s,
            deadline_unix_s: job.deadline_unix_s,
            fee_wei: U256::from(u64::from(job.contract) * 1_000_000),
            nonce: Some(job.nonce),
            max_segments: SEGMENTS_MAX,
            max_proof_bytes: PROOF_BYTES_MAX,
            stream: 0,
            sequence: 0,
            target_chain: None,
            contract: job.contract,
            race: job.race,
            wait: false,
        };
        let wallet = self.requester()?;
        let id = self.runtime.block_on(async {
            let client = Client::connect(&network).await.map_err(|error| error.error)?;
            let submitted = submit(&args, &client, &wallet).await;
            submitted.map(|(id, _)| id).map_err(|error| error.error)
        })?;
        self.jobs.borrow_mut().push(id);
        Ok(id)
    }

    /// The job as it is now; `None` while the dispatcher is away or does not know it.
    ///
    /// # Errors
    /// When the dispatcher answers something else.
    pub fn job(&self, job: JobId) -> anyhow::Result<Option<JobView>> {
        let network = self.devnet.network_args();
        self.runtime.block_on(async {
            let found = match Client::connect(&network).await {
                Ok(client) => client.job(job).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => Ok(Some(JobView::from(&found))),
                Err(error) if [Exit::NotFound, Exit::Unreachable].contains(&error.exit) => Ok(None),
                Err(error) => Err(error.error),
            }
        })
    }

    /// Waits until something is there.
    ///
    /// # Errors
    /// When it is not in time, or looking fails.
    pub fn wait_until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(found) = look()? {
                return Ok(found);
            }
            std::thread::sleep(POLL);
        }
        bail!("{what}: not after {PATIENCE:?}\n{}", self.logs(40))
    }

    /// Waits until a job satisfies a condition.
    ///
    /// # Errors
    /// When it does not in time; the message says where it is.
    pub fn wait_for(
        &self,
        job: JobId,
        what: &str,
        condition: impl Fn(&JobView) -> bool,
    ) -> anyhow::Result<JobView> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < PATIENCE {
            if let Some(view) = self.job(job)? {
                if condition(&view) {
                    return Ok(view);
                }
                last = Some(view);
            }
            std::thread::sleep(POLL);
        }
        bail!("{job} is not {what} after {PATIENCE:?}, but {last:#?}\n{}", self.logs(40))
    }

    /// Waits until the job is in a state.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_for_state(&self, job: JobId, state: &str) -> anyhow::Result<JobView> {
        self.wait_for(job, state, |view| view.state == state)
    }

    /// Gives an account coins of the development chain.
    ///
    /// # Errors
    /// When the chain refuses.
    pub fn fund(&mut self, account: Address, wei: U256) -> anyhow::Result<()> {
        self.runtime.block_on(self.devnet.fund(&[account], wei))
    }

    /// Moves the development chain's clock forward.
    ///
    /// # Errors
    /// When the chain refuses.
    pub fn advance_chain(&self, seconds: u64) -> anyhow::Result<()> {
        let url = &self.devnet.network().rpc_url;
        rpc::call(url, "evm_increaseTime", &json!([seconds]))?;
        rpc::call(url, "evm_mine", &json!([]))?;
        Ok(())
    }

    /// The decisions about a job, one line each.
    ///
    /// # Errors
    /// When the dispatcher does not answer.
    pub fn explain(&self, job: JobId) -> anyhow::Result<String> {
        let network = self.devnet.network_args();
        let request = v1::ExplainJobRequest { job_id: job.as_bytes().to_vec() };
        let response = self.runtime.block_on(async {
            let client = Client::connect(&network).await.map_err(|error| error.error)?;
            anyhow::Ok(client.jobs().explain_job(request).await?.into_inner())
        })?;
        Ok(response.entries.iter().map(|entry| entry.text.clone() + "\n").collect())
    }

    /// Events of the `ProofRegistry` by their topics; a fact that was stored twice appears twice.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub fn registry_events(&self) -> anyhow::Result<Vec<Vec<String>>> {
        self.events(&self.devnet.network().proof_registry)
    }

    /// Events of a contract by their topics.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub fn events(&self, contract: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let filter = json!([{ "address": contract, "fromBlock": "0x0" }]);
        let logs = rpc::call(&self.devnet.network().rpc_url, "eth_getLogs", &filter)?;
        let topics = |log: &Value| -> Vec<String> {
            let all = log["topics"].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Ok(logs.as_array().into_iter().flatten().map(topics).collect())
    }

    /// Text of one role's log.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.devnet.layout().log(name)).unwrap_or_default()
    }

    /// The ends of all logs, for a failure's message.
    #[must_use]
    pub fn logs(&self, lines: usize) -> String {
        let mut text = String::new();
        for name in self.devnet.roles() {
            let log = self.log(&name);
            let all: Vec<&str> = log.lines().collect();
            let tail = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
            text.push_str(&format!("--- {name}\n{}\n", tail.join("\n")));
        }
        text
    }
}
