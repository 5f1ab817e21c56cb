//! Keys, jobs, signatures and settings for tests of the dispatcher, from outside and from inside.

use std::path::Path;
use std::sync::{Arc, OnceLock};
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
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_proofs::program::Registry;
use proofgrid_proto::v1;

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

/// The dispatcher's own key.
pub fn server_key() -> WalletKey {
    wallet(0xd1)
}

/// When these tests began: a job is the same however often its spec is made.
fn started() -> u64 {
    static STARTED: OnceLock<u64> = OnceLock::new();
    *STARTED.get_or_init(now)
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn config() -> DispatcherConfig {
    DispatcherConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        allow_plaintext: false,
        server: server_key().address(),
        home: HomeConfig {
            chain_id: HOME,
            epoch_table: address(0xe0),
            operator_registrar: address(0xe1),
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
        lease_bond_wei: 0,
        connections_max: 64,
        connections_per_ip_max: 64,
        unclaimed_bytes_per_requester_max: 1 << 20,
        unclaimed_bytes_max: 1 << 30,
        recall_timeout_ms: 5_000,
        planning_memory_bytes: 2 << 30,
        planning_provers: 2,
        snapshots: Default::default(),
        timing: Default::default(),
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
        deadline: UnixSeconds::new(started() + 3_000),
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

/// A judge that cannot be started: no test of this crate needs a verdict.
pub fn no_judge(programs: Arc<Registry>) -> Judge {
    let config = JudgeConfig {
        command: Path::new("/nonexistent").to_path_buf(),
        arguments: Vec::new(),
        parallel_max: 1,
        time_max: proofgrid_core::units::Millis::new(1_000),
        memory_bytes_max: ByteCount::new(1 << 30),
    };
    Judge::new(config, programs)
}

/// An input that the program takes, and a job that names it rightly.
pub fn provable(key: &WalletKey, nonce: u64) -> (Vec<u8>, JobSpec) {
    let input = format!("0 {nonce} 1024").into_bytes();
    let mut job = spec(key, nonce, &input);
    let programs = proofgrid_programs::registry();
    job.claim = programs.get(&job.program).unwrap().claim(&input).unwrap();
    (input, job)
}
