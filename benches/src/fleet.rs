//! A dispatcher on a durable journal, with many simulated workers on real connections.
//!
//! The workers log in, register, send heartbeats and answer every assignment at once with a proof
//! that was stored before, so that what is measured is the dispatcher and not the proving. Intake
//! looks at envelopes and digests and judges nothing.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run says why and stops")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, LoginNonce, NetworkId, Nonce, Role,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::{Device, ProgramOffer, ProverCapabilities};
use proofgrid_core::units::{ByteCount, Millis, UnixSeconds};
use proofgrid_dispatcher::config::{DispatcherConfig, HomeConfig, TargetConfig};
use proofgrid_dispatcher::{Dispatcher, Handle};
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::program::{Program, Registry};
use proofgrid_proto::convert::{Hello, LoginProof, ProverMessage, ProverOrder};
use proofgrid_proto::v1;
use proofgrid_proto::v1::CompleteTask;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use proofgrid_proto::v1::prover_service_session_request::Message as Report;
use proofgrid_proto::v1::prover_service_session_response::Message as Order;
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, JournalConfig};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

const CHAIN: u64 = 31_337;
const PROGRAM: &str = "fibonacci";
/// The input of every job.
const INPUT: &[u8] = b"0 1 1024";
/// Connections of either side's client: one admits 64 calls at a time.
pub const CLIENTS: usize = 4;
/// Sessions on one connection.
const SESSIONS_PER_CONNECTION: usize = 128;
/// Requesters, so that no one of them reaches its bound on live jobs.
const REQUESTERS: u8 = 16;
/// How often a worker says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Longest wait for all jobs of a round.
const PATIENCE: Duration = Duration::from_secs(300);

const fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

fn network() -> NetworkId {
    NetworkId { home_chain: ChainId::new(CHAIN), epoch_table: address(0xe0) }
}

fn digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(keccak256(bytes))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A key of the fleet: `kind` keeps workers and requesters apart.
fn key(kind: u8, number: usize) -> WalletKey {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    WalletKey::from_bytes(&bytes).expect("below the group order")
}

fn config(workers: usize) -> DispatcherConfig {
    DispatcherConfig {
        listen: "127.0.0.1:0".parse().expect("an address"),
        tls: None,
        allow_plaintext: false,
        server: address(0xd1),
        home: HomeConfig {
            chain_id: CHAIN,
            epoch_table: address(0xe0),
            operator_registry: address(0xe1),
        },
        targets: vec![TargetConfig {
            chain_id: CHAIN,
            proof_registry: address(0xe2),
            task_manager: address(0xe3),
        }],
        oracles: Vec::new(),
        prover_allow_list: None,
        administrators: None,
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
        snapshots: proofgrid_dispatcher::config::SnapshotConfig::default(),
        timing: proofgrid_dispatcher::config::TimingConfig::default(),
    }
}

/// A dispatcher with its workers and one client.
#[derive(Debug)]
pub struct Fleet {
    handle: Handle,
    shutdown: CancellationToken,
    journal: Journal,
    clients: Vec<Channel>,
    accepted: mpsc::UnboundedReceiver<()>,
    claim: proofgrid_core::ids::Claim,
    program: proofgrid_core::ids::ProgramId,
    next_nonce: u64,
}

/// A proof that only intake's first look believes, as every worker delivers it.
fn placeholder(program: &dyn Program) -> Vec<u8> {
    let envelope = Envelope {
        program: program.id(),
        vk: program.vk_digest(),
        public_values: &[0; 16],
        proof: &[0xa5; 64],
    };
    envelope.encode().expect("a short proof")
}

impl Fleet {
    /// Starts a dispatcher in `directory` and connects `workers` workers.
    ///
    /// # Panics
    /// When anything of that fails.
    pub async fn start(directory: &Path, workers: usize) -> Self {
        let programs = Arc::new(proofgrid_programs::registry());
        let program = programs.by_name(PROGRAM).expect("a program");
        let (id, claim) = (program.id(), program.claim(INPUT).expect("a claim"));
        let proof = placeholder(program);
        let (handle, shutdown, journal) = launch(directory, workers, Arc::clone(&programs)).await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect(&handle).await);
        }
        let (done, accepted) = mpsc::unbounded_channel();
        let report = CompleteTask {
            lease: None,
            proof_digest: digest(&proof).as_bytes().to_vec(),
            proof_bytes: proof.len() as u64,
            prove_ms: 1,
        };
        let mut link = connect(&handle).await;
        for number in 0..workers {
            if number % SESSIONS_PER_CONNECTION == SESSIONS_PER_CONNECTION - 1 {
                link = connect(&handle).await;
            }
            let worker = Worker::log_in(link.clone(), &key(0x77, number), id).await;
            tokio::spawn(worker.run(report.clone(), done.clone()));
        }
        let fleet = Self {
            handle,
            shutdown,
            journal,
            clients,
            accepted,
            claim,
            program: id,
            next_nonce: 0,
        };
        fleet.store(&key(0x66, 0), INPUT).await;
        fleet.store(&key(0x66, 0), &proof).await;
        fleet
    }

    /// Signed requests for this many jobs that were never submitted before.
    pub fn sign(&mut self, jobs: usize) -> Vec<v1::SubmitJobRequest> {
        let keys: Vec<_> = (0..usize::from(REQUESTERS)).map(|number| key(0x66, number)).collect();
        let requests = keys.iter().cycle().zip(self.next_nonce..).take(jobs);
        let requests = requests.map(|(key, nonce)| self.submit(key, nonce)).collect();
        self.next_nonce += jobs as u64;
        requests
    }

    /// Submits jobs, so many at a time, and waits until a proof of each was accepted.
    ///
    /// # Panics
    /// When a submit is refused or the proofs do not come.
    pub async fn run(&mut self, requests: Vec<v1::SubmitJobRequest>, callers: usize) {
        let jobs = requests.len();
        let requests = Arc::new(std::sync::Mutex::new(requests));
        let mut submitting = tokio::task::JoinSet::new();
        for channel in self.clients.iter().cycle().take(callers) {
            let (mut client, requests) =
                (JobServiceClient::new(channel.clone()), Arc::clone(&requests));
            submitting.spawn(async move {
                loop {
                    let next = requests.lock().expect("not poisoned").pop();
                    let Some(request) = next else { return };
                    client.submit_job(request).await.expect("accepted");
                }
            });
        }
        let all_proved = async {
            for _ in 0..jobs {
                self.accepted.recv().await.expect("workers are connected");
            }
        };
        let everything = async { tokio::join!(submitting.join_all(), all_proved) };
        tokio::time::timeout(PATIENCE, everything).await.expect("every job gets its proof");
    }

    /// Ends the dispatcher.
    ///
    /// # Panics
    /// When it ends with an error.
    pub async fn stop(self) {
        self.shutdown.cancel();
        drop(self.clients);
        self.handle.join().await.expect("a clean end");
        self.journal.close().await.expect("closed");
    }

    fn submit(&self, key: &WalletKey, nonce: u64) -> v1::SubmitJobRequest {
        let job = JobSpec {
            origin: Origin::Direct,
            home_chain: ChainId::new(CHAIN),
            target: ChainContract { chain: ChainId::new(CHAIN), contract: address(0xe2) },
            requester: key.address(),
            nonce: Nonce::new(nonce),
            program: self.program,
            input: digest(INPUT),
            claim: self.claim,
            mode: Mode::Assigned,
            deadline: UnixSeconds::new(now() + 3_000),
            fee_cap: Default::default(),
            limits: JobLimits {
                input_bytes: ByteCount::new(INPUT.len() as u64),
                max_segments: 4,
                max_proof_bytes: ByteCount::new(8 << 20),
            },
            stream: 0,
            sequence: 0,
        };
        let expires = UnixSeconds::new(now() + 3_000);
        let request = Request::SubmitJob { job: Box::new(job.clone()), expires };
        let message = WalletMessage::Request { network: network(), request };
        v1::SubmitJobRequest {
            job: Some((&job).into()),
            expires_unix_s: expires.get(),
            signature: key.sign(&message).to_bytes().to_vec(),
        }
    }

    async fn store(&self, key: &WalletKey, bytes: &[u8]) {
        let (digest, length) = (digest(bytes), ByteCount::new(bytes.len() as u64));
        let expires = UnixSeconds::new(now() + 60);
        let request = Request::UploadBlob { digest, length, expires };
        let message = WalletMessage::Request { network: network(), request };
        let header = v1::UploadHeader {
            digest: digest.as_bytes().to_vec(),
            length_bytes: length.get(),
            offset_bytes: 0,
            authority: Some(v1::BlobAuthority {
                requester: key.address().as_bytes().to_vec(),
                expires_unix_s: expires.get(),
                signature: key.sign(&message).to_bytes().to_vec(),
            }),
        };
        let parts = [
            v1::upload_blob_request::Part::Header(header),
            v1::upload_blob_request::Part::Chunk(bytes.to_vec()),
        ];
        let messages = parts.map(|part| v1::UploadBlobRequest { part: Some(part) });
        let mut client = BlobServiceClient::new(self.clients[0].clone());
        client.upload_blob(tokio_stream::iter(messages)).await.expect("stored");
    }
}

async fn launch(
    directory: &Path,
    workers: usize,
    programs: Arc<Registry>,
) -> (Handle, CancellationToken, Journal) {
    let journal = Journal::open(&JournalConfig::new(directory.join("journal"))).expect("a journal");
    let blobs = BlobStore::open(&BlobStoreConfig::new(directory.join("blobs"))).expect("blobs");
    let judge = JudgeConfig {
        command: Path::new("/nonexistent").to_path_buf(),
        arguments: Vec::new(),
        parallel_max: 1,
        time_max: Millis::new(1_000),
        memory_bytes_max: ByteCount::new(1 << 30),
    };
    let judge = Judge::new(judge, Arc::clone(&programs));
    let shutdown = CancellationToken::new();
    let started = Dispatcher::start(
        config(workers),
        journal.clone(),
        blobs,
        programs,
        judge,
        shutdown.clone(),
    );
    (started.await.expect("a dispatcher"), shutdown, journal)
}

async fn connect(handle: &Handle) -> Channel {
    let endpoint =
        Channel::from_shared(format!("http://{}", handle.address())).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// One simulated worker.
struct Worker {
    up: mpsc::Sender<v1::ProverServiceSessionRequest>,
    down: Streaming<v1::ProverServiceSessionResponse>,
}

impl Worker {
    async fn log_in(
        link: Channel,
        key: &WalletKey,
        program: proofgrid_core::ids::ProgramId,
    ) -> Self {
        let (up, receiver) = mpsc::channel(64);
        let (role, operator) = (Role::Prover, key.address());
        let client_nonce = LoginNonce::from_bytes([3; 32]);
        let hello = Hello { role, operator, client_nonce, version: "bench".to_owned() };
        up.send(ProverMessage::Hello(hello).into()).await.expect("sent");
        let mut client = ProverServiceClient::new(link);
        let session = client.session(ReceiverStream::new(receiver)).await.expect("a session");
        let mut worker = Self { up, down: session.into_inner() };
        let ProverOrder::Challenge(challenge) = worker.next().await else {
            panic!("expected a challenge")
        };
        let server_nonce = challenge.server_nonce;
        let login = Login { role, server: address(0xd1), server_nonce, client_nonce, operator };
        let message = WalletMessage::Login { network: network(), login };
        worker.send(ProverMessage::Login(LoginProof::Wallet(key.sign(&message)))).await;
        let ProverOrder::Welcome(_) = worker.next().await else { panic!("expected a welcome") };
        let capabilities = ProverCapabilities {
            name: "rig".to_owned(),
            version: "bench".to_owned(),
            device: Device::Cpu,
            slots: 1,
            memory_bytes: ByteCount::new(8 << 30),
            programs: vec![ProgramOffer { program, units_per_kilosecond: 1_000_000 }],
        };
        worker.send(ProverMessage::Register { capabilities, holding: Vec::new() }).await;
        let ProverOrder::Registered { .. } = worker.next().await else {
            panic!("expected the registration")
        };
        worker
    }

    async fn send(&self, message: ProverMessage) {
        self.up.send(message.into()).await.expect("sent");
    }

    async fn next(&mut self) -> ProverOrder {
        let order = self.down.next().await.expect("an order").expect("no error");
        ProverOrder::try_from(order).expect("an order that converts")
    }

    /// Completes whatever it is given until the dispatcher ends.
    async fn run(mut self, report: CompleteTask, done: mpsc::UnboundedSender<()>) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT);
        let mut sequence = 0;
        loop {
            let order = tokio::select! {
                order = self.down.next() => order,
                _ = heartbeats.tick() => {
                    sequence += 1;
                    let free_memory = ByteCount::new(8 << 30);
                    let message = ProverMessage::Heartbeat { sequence, free_memory };
                    if self.up.send(message.into()).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let Some(Ok(order)) = order else { return };
            // As it comes on the wire: what a real worker checks, it checks on its own machine.
            match order.message.expect("an order") {
                Order::Assign(assignment) => {
                    let complete = CompleteTask { lease: assignment.lease, ..report.clone() };
                    let message = Some(Report::Complete(complete));
                    let message = v1::ProverServiceSessionRequest { message };
                    self.up.send(message).await.expect("sent");
                }
                Order::Completion(answer) => {
                    assert_eq!(answer.outcome(), v1::CompletionOutcome::Accepted, "{answer:?}");
                    if done.send(()).is_err() {
                        return;
                    }
                }
                Order::HeartbeatAck(_) => {}
                Order::Goaway(_) => return,
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
}
