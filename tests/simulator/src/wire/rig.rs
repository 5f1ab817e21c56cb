//! What all hosts of a run share, and what each of them runs: the real programs, on turmoil's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlockHash, BlockNumber, ChainContract, ChainId, EpochNumber, NetworkId, ProgramId,
};
use proofgrid_core::units::{ByteCount, Millis, Stake, UnixMillis};
use proofgrid_dispatcher::clock::Clock;
use proofgrid_dispatcher::config::{DispatcherConfig, HomeConfig, OracleConfig, TargetConfig};
use proofgrid_dispatcher::{Bound, Dispatcher, DispatcherError, Ground};
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged, Judgement, UnjudgedReason};
use proofgrid_proofs::program::Registry;
use proofgrid_proto::dial::Dialer;
use proofgrid_prover::memory::Probe;
use proofgrid_prover::{Prover, ProverConfig};
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, Pace};
use proofgrid_verifier::chain_view::{ChainView, ChainViewError, ProgramView};
use proofgrid_verifier::{ProofJudge, Retention, Verifier, VerifierConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Uri};
use turmoil::net::{TcpListener, TcpStream};

use super::books::Books;
use super::disk::Disk;
use super::setup::{ProverKind, Setup};
use super::{WirePlant, program};
use crate::random::Random;

/// The only name that anybody dials.
pub const DISPATCHER: &str = "dispatcher";
const PORT: u16 = 7_000;
/// Provers of a run.
pub const PROVERS: usize = 3;
/// Stake of each verifier; any three of them are two thirds.
pub const STAKES: [u128; 4] = [30, 25, 25, 20];
/// Milliseconds since the Unix epoch at which every run begins.
pub const BEGIN_MS: u64 = 1_800_000_000_000;
/// The one chain.
pub const CHAIN: ChainId = ChainId::new(31_337);
/// The one epoch.
pub const EPOCH: EpochNumber = EpochNumber::new(1);

/// Longest lease where a prover delivers nothing: longer than any jump of the clock.
const SILENT_LEASE_MS: u64 = 60_000;

/// Longer than any run.
const NEVER_MS: u64 = 3_600_000;

/// How a host ends.
pub type End = turmoil::Result;

/// An address of one byte.
pub const fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

/// A wallet of one byte.
pub fn wallet(byte: u8) -> WalletKey {
    WalletKey::from_bytes(&[byte; 32]).expect("a scalar")
}

/// The network.
pub const fn network() -> NetworkId {
    NetworkId { home_chain: CHAIN, epoch_table: address(0xe0) }
}

/// Where certificates go.
pub const fn target() -> ChainContract {
    ChainContract { chain: CHAIN, contract: address(0xe2) }
}

/// The dispatcher's own key.
fn server_key() -> WalletKey {
    wallet(0xd1)
}

/// The dispatcher's own address.
pub fn server() -> Address {
    server_key().address()
}

/// The secret of the oracle's wallet.
pub const ORACLE_SECRET: [u8; 32] = [9; 32];

/// A verifier's address.
pub fn operator(index: usize) -> Address {
    address(0x10 + u8::try_from(index).expect("few verifiers"))
}

/// A prover's wallet.
pub fn prover_key(index: usize) -> WalletKey {
    wallet(0x20 + u8::try_from(index).expect("few provers"))
}

/// A verifier's key.
pub fn verifier_key(index: usize) -> SecretKey {
    let seed = [u8::try_from(index).expect("few verifiers") + 1; 48];
    SecretKey::from_seed(&seed).expect("a good seed")
}

/// What all hosts share.
#[derive(Clone)]
pub struct Rig(Arc<Inner>);

struct Inner {
    now_ms: AtomicU64,
    /// Milliseconds that the dispatcher's clock is ahead.
    clock_off_ms: AtomicI64,
    plant: Option<WirePlant>,
    setup: Setup,
    disk: Disk,
    directory: TempDir,
    registry: Arc<Registry>,
    table: EpochKeys,
    /// How long the dispatcher's flushes take.
    flushes: Mutex<Random>,
    books: Mutex<Books>,
}

fn directory() -> io::Result<TempDir> {
    // Memory if the system has it: nothing here needs a real disk's flushes.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

impl Rig {
    /// A network that was never started.
    pub fn new(seed: u64, plant: Option<WirePlant>) -> io::Result<Self> {
        let keys: Vec<SecretKey> = (0..STAKES.len()).map(verifier_key).collect();
        let member = |(index, key): (usize, &SecretKey)| Member {
            operator: operator(index),
            key: key.public_g1(),
            stake: Stake::new(STAKES[index]),
        };
        let members = keys.iter().enumerate().map(member).collect();
        let (block, hash) = (BlockNumber::new(9), BlockHash::from_bytes([9; 32]));
        let table = EpochTable::build(network(), EPOCH, block, hash, members).expect("members");
        let of_key = |(index, key): (usize, &SecretKey)| (operator(index), key.public_g2());
        let table = EpochKeys::new(table, keys.iter().enumerate().map(of_key)).expect("keys");
        let directory = directory()?;
        // A machine whose memory never changes.
        let machine = directory.path().join("proc/self");
        std::fs::create_dir_all(&machine)?;
        std::fs::write(machine.join("status"), "VmRSS:\t1000 kB\n")?;
        let memory = "MemTotal: 16000000 kB\nMemAvailable: 16000000 kB\n";
        std::fs::write(directory.path().join("proc/meminfo"), memory)?;
        let snapshots = directory.path().join("snapshots");
        Ok(Self(Arc::new(Inner {
            now_ms: AtomicU64::new(BEGIN_MS),
            clock_off_ms: AtomicI64::new(0),
            plant,
            setup: Setup::draw(&mut Random::new(seed ^ 0x5e7)),
            disk: Disk::new(plant, snapshots),
            directory,
            registry: Arc::new(program::registry()),
            table,
            flushes: Mutex::new(Random::new(seed ^ 0xf1)),
            books: Mutex::default(),
        })))
    }

    /// Sets every host's wall clock.
    pub fn set_now(&self, elapsed: Duration) {
        let elapsed = u64::try_from(elapsed.as_millis()).expect("a short run");
        self.0.now_ms.store(BEGIN_MS + elapsed, Ordering::Relaxed);
    }

    /// The wall clock.
    pub fn now(&self) -> UnixMillis {
        UnixMillis::new(self.0.now_ms.load(Ordering::Relaxed))
    }

    /// What is special about this run.
    pub fn setup(&self) -> Setup {
        self.0.setup
    }

    /// The bug on purpose.
    pub fn plant(&self) -> Option<WirePlant> {
        self.0.plant
    }

    /// Where the dispatcher's snapshots are.
    pub fn snapshots(&self) -> PathBuf {
        self.0.directory.path().join("snapshots")
    }

    /// The dispatcher's settings.
    pub fn config(&self) -> DispatcherConfig {
        let mut config = config();
        if let Some(every_records) = self.setup().snapshots {
            config.snapshots.directory = Some(self.snapshots());
            config.snapshots.every_records = every_records;
        }
        if let Some((_, ProverKind::Silent)) = self.setup().prover {
            config.timing.lease_max_ms = Some(SILENT_LEASE_MS);
        }
        config
    }

    /// The dispatcher's disk.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// The books.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch's table and keys.
    pub fn table(&self) -> &EpochKeys {
        &self.0.table
    }

    fn home(&self, name: &str) -> io::Result<PathBuf> {
        let home = self.0.directory.path().join(name);
        std::fs::create_dir_all(&home)?;
        Ok(home)
    }

    /// Sets the dispatcher's wall clock so many milliseconds ahead of the others.
    pub fn set_clock_off(&self, ahead_ms: i64) {
        self.0.clock_off_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// What the dispatcher's wall clock shows.
    pub fn dispatcher_now(&self) -> UnixMillis {
        let ahead = self.0.clock_off_ms.load(Ordering::Relaxed);
        UnixMillis::new(self.now().get().saturating_add_signed(ahead))
    }

    fn clock(&self) -> Clock {
        let rig = self.clone();
        let is_stuck = self.0.plant == Some(WirePlant::ClockStandsStill);
        let begin = self.now();
        Clock::new(move || if is_stuck { begin } else { rig.dispatcher_now() })
    }

    fn flush(&self) -> Pace {
        let mut random = self.0.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        let write = if random.chance(30) { random.between(50, 800) } else { random.between(0, 12) };
        let write = if self.disk().is_dead() { NEVER_MS } else { write };
        let answer = random.below(4);
        Pace { write: Duration::from_millis(write), answer: Duration::from_millis(answer) }
    }

    /// Runs a dispatcher. Once its machine has stopped, its host waits until that is noticed.
    pub async fn dispatcher(self) -> End {
        let ended = Box::pin(self.clone().dispatch()).await;
        match ended.is_err() && self.disk().is_dead() {
            true => std::future::pending().await,
            false => ended,
        }
    }

    async fn dispatch(self) -> End {
        let rig = self.clone();
        let journal = Journal::paced(Box::new(self.0.disk.clone()), move || rig.flush())?;
        let blobs = BlobStore::open(&BlobStoreConfig::new(self.home("blobs")?))?;
        let ground = Ground { key: server_key(), clock: self.clock(), bind: listen() };
        let registry = Arc::clone(&self.0.registry);
        let judge = no_judge(Arc::clone(&registry));
        let stop = CancellationToken::new();
        let config = self.config();
        let start = Dispatcher::start_on(ground, config, journal, blobs, registry, judge, stop);
        Box::pin(start).await?.join().await?;
        Ok(())
    }

    /// Runs a prover.
    pub async fn prover(self, index: usize) -> End {
        let home = self.home(&format!("prover-{index}"))?;
        let url = format!("http://{DISPATCHER}:{PORT}");
        let mut config = ProverConfig::new(url, server(), network(), home);
        (config.plaintext_allowed, config.threads, config.slots) = (true, 1, 2);
        (config.connect_timeout_ms, config.reconnect_delay_ms_max) = (3_000, 4_000);
        config.memory_reserve_bytes = 0;
        let machine = self.0.directory.path();
        let probe = Probe::new(machine.join("proc"), machine.join("cgroup"));
        let ground = proofgrid_prover::Ground {
            dialer: dialer(),
            probe,
            session_thread: false,
            stake: None,
            race: None,
        };
        let key = prover_key(index);
        let registry = Arc::clone(&self.0.registry);
        let running = Prover::start_on(ground, config, key, registry, &CancellationToken::new())?;
        self.books().watch_prover(index, running.status());
        running.join().await?;
        Ok(())
    }

    /// Runs a verifier.
    pub async fn verifier(self, index: usize) -> End {
        let dispatcher = Endpoint::from_shared(format!("http://{DISPATCHER}:{PORT}"))?
            .connect_timeout(Duration::from_secs(3))
            .http2_keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true);
        let config = VerifierConfig {
            dispatcher,
            heartbeat_thread: false,
            dialer: dialer(),
            server: Some(server()),
            network: network(),
            operator: operator(index),
            data_directory: self.home(&format!("verifier-{index}"))?,
            chain_patience: Duration::from_secs(1),
            mirrors: Vec::new(),
            mirror_listen: None,
            retention: Retention::default(),
            version: "simulated".into(),
        };
        let key = verifier_key(index);
        let registry = Arc::clone(&self.0.registry);
        let judge = HouseJudge { registry: Arc::clone(&registry), plant: self.0.plant };
        let view = Arc::new(View { rig: self.clone() });
        let running =
            Verifier::start(config, key, registry, judge, view, CancellationToken::new())?;
        running.stopped().await?;
        Ok(())
    }
}

/// Dials over the simulated network.
pub fn dialer() -> Dialer {
    Dialer::through(|uri: Uri| async move {
        let name = uri.host().unwrap_or_default().to_owned();
        TcpStream::connect((name, uri.port_u16().unwrap_or(PORT))).await
    })
}

/// An endpoint for who has no settings of its own.
pub fn endpoint() -> Endpoint {
    Endpoint::from_static("http://dispatcher:7000").connect_timeout(Duration::from_secs(3))
}

type Accepted = io::Result<(TcpStream, SocketAddr)>;
type Incoming = std::pin::Pin<Box<dyn stream::Stream<Item = Accepted> + Send>>;

async fn listen() -> Result<Bound<Incoming>, DispatcherError> {
    let address = SocketAddr::from((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT));
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| DispatcherError::Listen { address, source })?;
    let incoming = stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await;
        Some((accepted, listener))
    });
    Ok(Bound { incoming: Box::pin(incoming), address })
}

/// Settings of production, but for shorter patience.
fn config() -> DispatcherConfig {
    DispatcherConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], PORT)),
        tls: None,
        allow_plaintext: false,
        server: server(),
        home: HomeConfig {
            chain_id: CHAIN.get(),
            epoch_table: address(0xe0),
            operator_registrar: address(0xe1),
        },
        targets: vec![TargetConfig {
            chain_id: CHAIN.get(),
            proof_registry: target().contract,
            task_manager: address(0xe3),
        }],
        oracles: vec![OracleConfig {
            chain_id: CHAIN.get(),
            address: WalletKey::from_bytes(&ORACLE_SECRET).expect("a scalar").address(),
        }],
        prover_allow_list: None,
        administrators: None,
        heartbeat_interval_ms: 1_000,
        dead_after_ms: 5_000,
        judge_at_intake: false,
        lease_bond_wei: 0,
        connections_max: 256,
        connections_per_ip_max: 256,
        unclaimed_bytes_per_requester_max: 1 << 20,
        unclaimed_bytes_max: 1 << 30,
        recall_timeout_ms: 5_000,
        planning_memory_bytes: 2 << 30,
        planning_provers: 3,
        snapshots: Default::default(),
        timing: Default::default(),
    }
}

/// The dispatcher's judge, which a dispatcher that does not judge at intake never starts.
fn no_judge(registry: Arc<Registry>) -> Judge {
    let config = JudgeConfig {
        command: "/nonexistent".into(),
        arguments: Vec::new(),
        parallel_max: 1,
        time_max: Millis::new(1_000),
        memory_bytes_max: ByteCount::new(1 << 30),
    };
    Judge::new(config, registry)
}

/// Judges on the verifier's own thread: child processes know no simulated time.
struct HouseJudge {
    registry: Arc<Registry>,
    plant: Option<WirePlant>,
}

#[async_trait]
impl ProofJudge for HouseJudge {
    async fn judge(&self, request: JudgeRequest) -> Judgement {
        let mut binding = request.binding;
        if self.plant == Some(WirePlant::JudgeMixesUpSegments) {
            binding.segment_index = 0;
        }
        let judged = match self.registry.get(&request.program) {
            None => Judged::Unjudged(UnjudgedReason::UnknownProgram),
            Some(program) => match program.verify(&request.proof, &binding) {
                Ok(verified) => Judged::Verified(verified),
                Err(_) if self.plant == Some(WirePlant::JudgeBelieves) => {
                    Judged::Verified(program::believed(&request.proof, &binding))
                }
                Err(refusal) => Judged::Refused(refusal),
            },
        };
        Judgement { judged, verify_time: Millis::new(3), children: 1, pid: 1 }
    }
}

/// A verifier's own view of the chain, which is never behind.
struct View {
    rig: Rig,
}

#[async_trait]
impl ChainView for View {
    async fn epoch(&self, number: EpochNumber) -> Result<Option<EpochTable>, ChainViewError> {
        Ok((number == EPOCH).then(|| self.rig.table().table().clone()))
    }

    async fn program(&self, id: ProgramId) -> Result<Option<ProgramView>, ChainViewError> {
        let program = self.rig.0.registry.get(&id);
        Ok(program.map(|program| ProgramView {
            manifest: program.manifest().digest(),
            vk: program.vk_digest(),
        }))
    }
}
