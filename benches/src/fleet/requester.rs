//! Requesters: they sign jobs and hand them in.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{ChainContract, ChainId, Claim, Nonce, ProgramId};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proofs::envelope::Envelope;
use proofgrid_proofs::program::Program;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_proto::v1::{self, CompleteTask};
use tonic::transport::Channel;

use super::{CHAIN, INPUT, PROGRAM, address, connect, digest, key, network};

/// Connections of either side's client: one admits 64 calls at a time.
pub const CLIENTS: usize = 4;
/// Requesters, so that no one of them reaches its bound on live jobs.
const REQUESTERS: usize = 128;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn requester(number: usize) -> WalletKey {
    key(0x66, number)
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

/// Requesters with connections to one dispatcher.
#[derive(Debug)]
pub struct Requesters {
    clients: Vec<Channel>,
    claim: Claim,
    program: ProgramId,
    report: CompleteTask,
    next_nonce: u64,
}

impl Requesters {
    /// Connects, and stores the input of every job and the proof of every worker.
    ///
    /// # Panics
    /// When the dispatcher does not take them.
    pub async fn connect(url: &str) -> Self {
        let programs = proofgrid_programs::registry();
        let program = programs.by_name(PROGRAM).expect("a program");
        let proof = placeholder(program);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect(url).await);
        }
        let report = CompleteTask {
            lease: None,
            proof_digest: digest(&proof).as_bytes().to_vec(),
            proof_bytes: proof.len() as u64,
            prove_ms: 1,
        };
        let (program, claim) = (program.id(), program.claim(INPUT).expect("a claim"));
        let requesters = Self { clients, claim, program, report, next_nonce: 0 };
        requesters.store(&requester(0), INPUT).await;
        requesters.store(&requester(0), &proof).await;
        requesters
    }

    /// The program of every job.
    #[must_use]
    pub const fn program(&self) -> ProgramId {
        self.program
    }

    /// What every worker says when it is done.
    #[must_use]
    pub const fn report(&self) -> &CompleteTask {
        &self.report
    }

    /// Signed requests for this many jobs that were never submitted before.
    pub fn sign(&mut self, jobs: usize) -> Vec<v1::SubmitJobRequest> {
        let keys: Vec<_> = (0..REQUESTERS).map(requester).collect();
        let requests = keys.iter().cycle().zip(self.next_nonce..).take(jobs);
        let requests = requests.map(|(key, nonce)| self.request(key, nonce)).collect();
        self.next_nonce += jobs as u64;
        requests
    }

    /// Submits jobs, so many at a time.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn submit(&self, requests: Vec<v1::SubmitJobRequest>, callers: usize) {
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
        submitting.join_all().await;
    }

    /// Submits one job and says when it began to.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn submit_one(&self, request: v1::SubmitJobRequest) -> Instant {
        let mut client = JobServiceClient::new(self.clients[0].clone());
        let begun = Instant::now();
        client.submit_job(request).await.expect("accepted");
        begun
    }

    fn request(&self, key: &WalletKey, nonce: u64) -> v1::SubmitJobRequest {
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
