//! A hostile prover: the protocol spoken by hand, and lies told in it.

use std::time::Duration;

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{BlobDigest, LeaseToken, LoginNonce, Role};
use proofgrid_core::network::{
    Assignment, Device, LeaseRef, ProgramOffer, ProofReport, ProverCapabilities, TaskFault,
};
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::program::Binding;
use proofgrid_proto::SESSION_TOKEN_METADATA;
use proofgrid_proto::convert::{Hello, LoginProof, ProverMessage, ProverOrder, SessionToken};
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::program;
use super::rig::{End, Rig, dialer, endpoint, network, prover_key};
use super::setup::ProverKind;

/// How long it waits before it dials again, and for an upload.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// Leases that it remembers for later.
const REMEMBERED_MAX: usize = 6;
/// What has no bearing on anything.
pub const NONCE: LoginNonce = LoginNonce::from_bytes([0x66; 32]);

/// A session that is logged in.
struct Line {
    outbound: mpsc::Sender<v1::ProverServiceSessionRequest>,
    inbound: Streaming<v1::ProverServiceSessionResponse>,
    channel: Channel,
    token: SessionToken,
}

/// The prover.
struct Liar {
    rig: Rig,
    kind: ProverKind,
    key: WalletKey,
    /// Leases of this life, the newest last.
    leases: Vec<LeaseRef>,
    /// A proof that was right once.
    earlier: Option<Vec<u8>>,
}

impl Rig {
    /// Runs a hostile prover.
    pub async fn hostile_prover(self, index: usize, kind: ProverKind) -> End {
        let (leases, earlier) = (Vec::new(), None);
        let mut liar = Liar { rig: self, kind, key: prover_key(index), leases, earlier };
        loop {
            // Whatever ended it, it comes back.
            let _ = liar.session().await;
            sleep(PAUSE).await;
        }
    }
}

impl Liar {
    async fn session(&mut self) -> Option<()> {
        let mut line = self.login().await?;
        let offer = ProgramOffer { program: program::id(), units_per_kilosecond: 1_000_000 };
        let capabilities = ProverCapabilities {
            name: "rig".into(),
            version: "1".into(),
            device: Device::Cpu,
            slots: 2,
            memory_bytes: ByteCount::new(1 << 33),
            programs: vec![offer],
        };
        // It says that it still holds what it never finished.
        let holding = self.leases.clone();
        line.say(ProverMessage::Register { capabilities, holding }).await?;
        let (mut beats, mut sequence) = (interval(BEAT), 0);
        loop {
            tokio::select! {
                biased;
                order = line.order() => if let ProverOrder::Assign(assignment) = order? {
                    self.assigned(&mut line, &assignment).await?;
                },
                _ = beats.tick() => {
                    sequence += 1;
                    let free_memory = ByteCount::new(1 << 33);
                    line.say(ProverMessage::Heartbeat { sequence, free_memory }).await?;
                }
            }
        }
    }

    async fn login(&self) -> Option<Line> {
        let channel = dialer().connect(&endpoint()).await.ok()?;
        let mut client = ProverServiceClient::new(channel.clone());
        let (outbound, receiver) = mpsc::channel(64);
        let (role, operator) = (Role::Prover, self.key.address());
        let hello = Hello { role, operator, client_nonce: NONCE, version: "1".into() };
        outbound.send(ProverMessage::Hello(hello).into()).await.ok()?;
        let mut inbound = client.session(ReceiverStream::new(receiver)).await.ok()?.into_inner();
        let ProverOrder::Challenge(challenge) = next(&mut inbound).await? else { return None };
        let login = challenge.login(role, operator, NONCE);
        let message = WalletMessage::Login { network: network(), login };
        let proof = LoginProof::Wallet(self.key.sign(&message));
        outbound.send(ProverMessage::Login(proof).into()).await.ok()?;
        let ProverOrder::Welcome(welcome) = next(&mut inbound).await? else { return None };
        Some(Line { outbound, inbound, channel, token: welcome.token })
    }

    async fn assigned(&mut self, line: &mut Line, assignment: &Assignment) -> Option<()> {
        let lease = LeaseRef {
            task: assignment.lease.task,
            attempt: assignment.lease.attempt,
            token: assignment.lease.token,
        };
        let segment = &assignment.segment;
        let binding = Binding {
            job: assignment.job,
            program: program::id(),
            prover: self.key.address(),
            segment_index: assignment.index,
            first: segment.first,
            count: segment.count,
        };
        let input = self.rig.books().input(&assignment.spec.input)?;
        let values = program::items(&input, segment.first, segment.count)?.to_vec();
        let right = program::proof(&binding, &values);
        let proof = match self.kind {
            ProverKind::Silent => None,
            ProverKind::Hollow => Some(program::hollow(&values)),
            ProverKind::Garbage => Some(vec![0xee; 77]),
            ProverKind::OtherValues => {
                let others: Vec<u8> = values.iter().map(|value| value ^ 1).collect();
                Some(program::proof(&binding, &others))
            }
            ProverKind::Thief => {
                let prover = prover_key(9).address();
                Some(program::proof(&Binding { prover, ..binding }, &values))
            }
            ProverKind::Swap => Some(self.earlier.take().unwrap_or_else(|| right.clone())),
            ProverKind::Noisy => {
                self.make_noise(line, lease, &values, &right).await?;
                Some(right.clone())
            }
        };
        self.earlier = Some(right);
        if let Some(proof) = proof {
            self.deliver(line, lease, proof).await?;
        }
        self.leases.push(lease);
        if self.leases.len() > REMEMBERED_MAX {
            self.leases.remove(0);
        }
        Some(())
    }

    /// What comes before a good proof.
    async fn make_noise(
        &self,
        line: &mut Line,
        lease: LeaseRef,
        values: &[u8],
        right: &[u8],
    ) -> Option<()> {
        let invented = LeaseToken::new(lease.token.get() + 3);
        let invented = LeaseRef { token: invented, ..lease };
        self.deliver(line, invented, right.to_vec()).await?;
        let hollow = program::hollow(values);
        for stale in self.leases.clone() {
            let (phase, fault) = ("prove".into(), TaskFault::Backend("on purpose".into()));
            let progress = ProverMessage::Progress { lease: stale, phase, done_permille: 7 };
            line.say(progress).await?;
            line.say(ProverMessage::Fail { lease: stale, fault }).await?;
            self.deliver(line, stale, hollow.clone()).await?;
        }
        // Every second time the lie comes first.
        if lease.token.get().is_multiple_of(2) {
            self.deliver(line, lease, hollow).await?;
        }
        self.deliver(line, lease, right.to_vec()).await
    }

    /// Uploads a proof and completes a lease with it.
    async fn deliver(&self, line: &mut Line, lease: LeaseRef, proof: Vec<u8>) -> Option<()> {
        let digest = BlobDigest::from_bytes(keccak256(&proof));
        let bytes = ByteCount::new(proof.len() as u64);
        self.rig.books().made(digest, proof.clone());
        // One that did not arrive is completed all the same.
        let _ = timeout(PAUSE, line.upload(digest, proof)).await;
        let report = ProofReport { proof: digest, bytes, prove_ms: 1 };
        line.say(ProverMessage::Complete { lease, report }).await
    }
}

impl Line {
    async fn say(&self, message: ProverMessage) -> Option<()> {
        self.outbound.send(message.into()).await.ok()
    }

    async fn order(&mut self) -> Option<ProverOrder> {
        next(&mut self.inbound).await
    }

    async fn upload(&self, digest: BlobDigest, proof: Vec<u8>) -> Option<()> {
        use v1::upload_blob_request::Part;
        let header = v1::UploadHeader {
            digest: digest.as_bytes().to_vec(),
            length_bytes: proof.len() as u64,
            offset_bytes: 0,
            authority: None,
        };
        let parts = [Part::Header(header), Part::Chunk(proof)];
        let parts = parts.map(|part| v1::UploadBlobRequest { part: Some(part) });
        let mut request = Request::new(tokio_stream::iter(parts));
        let token = MetadataValue::from_bytes(self.token.expose());
        request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, token);
        BlobServiceClient::new(self.channel.clone()).upload_blob(request).await.ok()?;
        Some(())
    }
}

async fn next(inbound: &mut Streaming<v1::ProverServiceSessionResponse>) -> Option<ProverOrder> {
    ProverOrder::try_from(inbound.message().await.ok()??).ok()
}
