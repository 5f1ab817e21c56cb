//! A dispatcher on a durable journal: in this process, or in a child that can be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_dispatcher::config::{
    DispatcherConfig, HomeConfig, SnapshotConfig, TargetConfig, TimingConfig,
};
use proofgrid_dispatcher::{Dispatcher, Handle};
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, JournalConfig};
use tokio_util::sync::CancellationToken;

use super::{CHAIN, address, server_key};

/// Set for a child: where its dispatcher keeps its files.
const CHILD_DIRECTORY: &str = "PROOFGRID_BENCH_DIRECTORY";
/// Set for a child: for how many workers it is.
const CHILD_WORKERS: &str = "PROOFGRID_BENCH_WORKERS";

fn config(directory: &Path, workers: usize) -> DispatcherConfig {
    DispatcherConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        tls: None,
        allow_plaintext: false,
        server: server_key().address(),
        home: HomeConfig {
            chain_id: CHAIN,
            epoch_table: address(0xe0),
            operator_registrar: address(0xe1),
        },
        targets: vec![TargetConfig {
            chain_id: CHAIN,
            proof_registry: address(0xe2),
            task_manager: address(0xe3),
        }],
        oracles: Vec::new(),
        prover_allow_list: None,
        administrators: None,
        lease_bond_wei: 0,
        heartbeat_interval_ms: 5_000,
        dead_after_ms: 30_000,
        judge_at_intake: false,
        connections_max: workers + 64,
        connections_per_ip_max: workers + 64,
        unclaimed_bytes_per_requester_max: 1 << 20,
        unclaimed_bytes_max: 1 << 30,
        recall_timeout_ms: 5_000,
        planning_memory_bytes: 2 << 30,
        planning_provers: 2,
        snapshots: SnapshotConfig {
            directory: Some(directory.join("snapshots")),
            ..SnapshotConfig::default()
        },
        timing: TimingConfig::default(),
    }
}

/// A dispatcher in this process.
#[derive(Debug)]
pub struct Station {
    handle: Handle,
    shutdown: CancellationToken,
    journal: Journal,
}

impl Station {
    /// Starts one on what `directory` holds.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(directory: &Path, workers: usize) -> Self {
        let journal =
            Journal::open(&JournalConfig::new(directory.join("journal"))).expect("a journal");
        let blobs = BlobStore::open(&BlobStoreConfig::new(directory.join("blobs"))).expect("blobs");
        let programs = Arc::new(proofgrid_programs::registry());
        let judge = JudgeConfig {
            command: Path::new("/nonexistent").to_path_buf(),
            arguments: Vec::new(),
            parallel_max: 1,
            time_max: Millis::new(1_000),
            memory_bytes_max: ByteCount::new(1 << 30),
        };
        let judge = Judge::new(judge, Arc::clone(&programs));
        let shutdown = CancellationToken::new();
        let (config, kept) = (config(directory, workers), journal.clone());
        let key = server_key();
        let started =
            Dispatcher::start(config, key, kept, blobs, programs, judge, shutdown.clone()).await;
        Self { handle: started.expect("a dispatcher"), shutdown, journal }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.handle.address())
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it ends with an error.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.handle.join().await.expect("a clean end");
        self.journal.close().await.expect("closed");
    }
}

/// A dispatcher in a child process, killed when dropped.
#[derive(Debug)]
pub struct ChildStation {
    child: Child,
    url: String,
}

impl ChildStation {
    /// Starts one on what `directory` holds. The bench's `main` has to call [`serve_if_child`].
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(directory: &Path, workers: usize) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .env(CHILD_DIRECTORY, directory)
            .env(CHILD_WORKERS, workers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = lines.next().expect("its address").expect("text");
        Self { child, url }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The most memory that it ever held.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn peak_memory(&self) -> ByteCount {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running child");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
        let kib = line.split_whitespace().nth(1).expect("a number");
        ByteCount::new(kib.parse::<u64>().expect("a number") * 1024)
    }
}

impl Drop for ChildStation {
    fn drop(&mut self) {
        // SIGKILL: nothing is flushed that was not before. Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child of [`ChildStation::start`] serves until its parent is gone, and returns `true`.
///
/// # Panics
/// When the dispatcher does not start.
#[must_use]
pub fn serve_if_child() -> bool {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else { return false };
    let workers = std::env::var(CHILD_WORKERS).expect("given with it");
    let workers = workers.parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let station = runtime.block_on(Station::start(Path::new(&directory), workers));
    println!("{}", station.url());
    // Nothing ever comes: the end of the parent ends it.
    let _ = std::io::stdin().read_line(&mut String::new());
    true
}
