//! A dispatcher in this process, with a real server on loopback and a journal in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, NetworkId, Nonce, ProgramId,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_dispatcher::config::{DispatcherConfig, HomeConfig, OracleConfig, TargetConfig};
use proofgrid_dispatcher::{Dispatcher, Handle};
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, JournalConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub const HOME: u64 = 31_337;

pub fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

pub fn network(chain: u64) -> NetworkId {
    NetworkId { home_chain: ChainId::new(chain), epoch_table: address(0xe0) }
}

pub fn wallet(byte: u8) -> WalletKey {
    WalletKey::from_bytes(&[byte; 32]).unwrap()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn config() -> DispatcherConfig {
    DispatcherConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        allow_plaintext: false,
        server: address(0xd1),
        home: HomeConfig {
            chain_id: HOME,
            epoch_table: address(0xe0),
            operator_registry: address(0xe1),
        },
        targets: vec![TargetConfig {
            chain_id: HOME,
            proof_registry: address(0xe2),
            task_manager: address(0xe3),
        }],
        oracles: vec![OracleConfig { chain_id: HOME, address: wallet(9).address() }],
        prover_allow_list: None,
        administrators: Some([wallet(8).address()].into()),
        heartbeat_interval_ms: 5_000,
        dead_after_ms: 30_000,
        judge_at_intake: true,
        connections_max: 64,
        connections_per_ip_max: 64,
        unclaimed_bytes_per_requester_max: 1 << 20,
        unclaimed_bytes_max: 1 << 30,
        planning_memory_bytes: 2 << 30,
        planning_provers: 2,
        timing: Default::default(),
    }
}

pub struct Running {
    pub handle: Handle,
    pub shutdown: CancellationToken,
    pub channel: Channel,
    pub journal: Journal,
    blobs: TempDir,
}

pub async fn start() -> Running {
    start_on(Journal::open(&JournalConfig::memory()).unwrap(), TempDir::new().unwrap()).await
}

async fn start_on(journal: Journal, blobs: TempDir) -> Running {
    let programs = Arc::new(proofgrid_programs::registry());
    let store = BlobStore::open(&BlobStoreConfig::new(blobs.path())).unwrap();
    // No test of this file delivers a proof, so no judge is ever started.
    let judge = Judge::new(
        JudgeConfig {
            command: Path::new("/nonexistent").to_path_buf(),
            arguments: Vec::new(),
            parallel_max: 1,
            time_max: proofgrid_core::units::Millis::new(1_000),
            memory_bytes_max: ByteCount::new(1 << 30),
        },
        Arc::clone(&programs),
    );
    let shutdown = CancellationToken::new();
    let handle =
        Dispatcher::start(config(), journal.clone(), store, programs, judge, shutdown.clone())
            .await
            .unwrap();
    let endpoint = format!("http://{}", handle.address());
    let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    Running { handle, shutdown, channel, journal, blobs }
}

impl Running {
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub fn blobs(&self) -> BlobServiceClient<Channel> {
        BlobServiceClient::new(self.channel.clone())
    }

    /// The directory of its blobs.
    pub fn blob_directory(&self) -> &Path {
        self.blobs.path()
    }

    /// Ends it and starts another on the same journal and blobs.
    pub async fn restart(self) -> Self {
        self.shutdown.cancel();
        drop(self.channel);
        self.handle.join().await.unwrap();
        start_on(self.journal, self.blobs).await
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        drop(self.channel);
        self.handle.join().await.unwrap();
    }
}

pub fn digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(keccak256(bytes))
}

pub fn program() -> ProgramId {
    proofgrid_programs::registry().by_name("fibonacci").unwrap().id()
}

pub fn spec(key: &WalletKey, nonce: u64, input: &[u8]) -> JobSpec {
    JobSpec {
        origin: Origin::Direct,
        home_chain: ChainId::new(HOME),
        target: ChainContract { chain: ChainId::new(HOME), contract: address(0xe2) },
        requester: key.address(),
        nonce: Nonce::new(nonce),
        program: program(),
        input: digest(input),
        claim: Claim::from_bytes([7; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(now() + 3_000),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(input.len() as u64),
            max_segments: 4,
            max_proof_bytes: ByteCount::new(8 << 20),
        },
        stream: 0,
        sequence: 0,
    }
}

pub fn submit(key: &WalletKey, job: &JobSpec, chain: u64, expires: u64) -> v1::SubmitJobRequest {
    let expires = UnixSeconds::new(expires);
    let request = Request::SubmitJob { job: Box::new(job.clone()), expires };
    let message = WalletMessage::Request { network: network(chain), request };
    v1::SubmitJobRequest {
        job: Some(job.into()),
        expires_unix_s: expires.get(),
        signature: key.sign(&message).to_bytes().to_vec(),
    }
}

pub fn upload_authority(key: &WalletKey, digest: BlobDigest, length: u64) -> v1::BlobAuthority {
    let expires = UnixSeconds::new(now() + 60);
    let length = ByteCount::new(length);
    let request = Request::UploadBlob { digest, length, expires };
    let message = WalletMessage::Request { network: network(HOME), request };
    v1::BlobAuthority {
        requester: key.address().as_bytes().to_vec(),
        expires_unix_s: expires.get(),
        signature: key.sign(&message).to_bytes().to_vec(),
    }
}

pub fn download_authority(key: &WalletKey, digest: BlobDigest) -> v1::BlobAuthority {
    let expires = UnixSeconds::new(now() + 60);
    let request = Request::DownloadBlob { digest, expires };
    let message = WalletMessage::Request { network: network(HOME), request };
    v1::BlobAuthority {
        requester: key.address().as_bytes().to_vec(),
        expires_unix_s: expires.get(),
        signature: key.sign(&message).to_bytes().to_vec(),
    }
}

pub fn reason(status: &tonic::Status) -> &str {
    status.metadata().get("proofgrid-reason").map_or("none", |value| value.to_str().unwrap())
}
