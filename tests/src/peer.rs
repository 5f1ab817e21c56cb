//! A prover and a verifier that do exactly what a scenario says, over the network's own gRPC.
//!
//! Both speak the protocol; what they say with it is the scenario's. Heartbeats go out by themselves,
//! so a peer is never dead by accident.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use proofgrid_core::crypto::bls::{BlsMessage, SecretKey};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, BlobDigest, LoginNonce, NetworkId, Role};
use proofgrid_core::network::{
    Assignment, Device, InvalidDetail, LeaseRef, ProgramOffer, ProofReport, ProverCapabilities,
};
use proofgrid_core::sealed::{CommitSet, Salt, commitment_to};
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_core::vote::{SignedVote, Vote};
use proofgrid_node::keystore;
use proofgrid_proofs::program::{Binding, SegmentPlan, SegmentRange, Unmonitored};
use proofgrid_proto::convert::{
    Challenge, CompletionReply, Hello, LoginProof, ProverMessage, ProverOrder, SessionToken,
    StatementOffer, VerifierMessage, VerifierOrder,
};
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use proofgrid_proto::v1::upload_blob_request::Part;
use proofgrid_proto::v1::verifier_service_client::VerifierServiceClient;
use proofgrid_proto::{CHUNK_BYTES_MAX, SESSION_TOKEN_METADATA, v1};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::{PATIENCE, Scenario};

/// Messages to the dispatcher that may wait.
const OUTBOX: usize = 64;
/// Pause between heartbeats; the scenarios' networks count three seconds of silence as death.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Far above any real prover's, so that the scheduler prefers the peer.
const UNITS_PER_KILOSECOND: u64 = 1 << 40;
/// Any value: the dispatcher's own nonce is what makes a login fresh.
const CLIENT_NONCE: LoginNonce = LoginNonce::from_bytes([3; 32]);

/// What a scenario's verifier hides its votes with: nobody looks for it.
const SALT: Salt = Salt::from_bytes([0x5a; 32]);

/// Where a peer dials, and what its signatures are bound to.
#[derive(Clone, Debug)]
struct Place {
    handle: Handle,
    channel: Channel,
    network: NetworkId,
    server: Address,
}

impl Place {
    fn of(scenario: &Scenario) -> anyhow::Result<Self> {
        let file = scenario.devnet.network();
        let url = file.dispatcher_url.clone();
        let endpoint = Channel::from_shared(url)?;
        let channel = scenario.block_on(endpoint.connect())?;
        Ok(Self {
            handle: scenario.handle(),
            channel,
            network: file.network()?,
            server: file.dispatcher_address.parse()?,
        })
    }

    /// Waits for a future, for as long as a scenario waits for anything.
    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
        self.handle
            .block_on(async { tokio::time::timeout(PATIENCE, future).await })
            .map_err(|_| anyhow!("{what} did not come within {PATIENCE:?}"))
    }
}

/// What a login signs.
fn login(role: Role, place: &Place, challenge: &Challenge, operator: Address) -> Login {
    Login {
        role,
        server: place.server,
        server_nonce: challenge.server_nonce,
        client_nonce: CLIENT_NONCE,
        operator,
    }
}

fn hello(role: Role, operator: Address) -> Hello {
    Hello { role, operator, client_nonce: CLIENT_NONCE, version: "scenario".to_owned() }
}

/// A prover that is logged in and registered.
#[derive(Debug)]
pub struct Prover {
    place: Place,
    key: WalletKey,
    token: SessionToken,
    up: mpsc::Sender<v1::ProverServiceSessionRequest>,
    down: Streaming<v1::ProverServiceSessionResponse>,
    beats: JoinHandle<()>,
    waiting: VecDeque<ProverOrder>,
    /// Leases that the dispatcher let it go on with.
    pub resumed: Vec<LeaseRef>,
}

impl Drop for Prover {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Prover {
    /// Logs in under a wallet of the network's folder and registers.
    ///
    /// # Errors
    /// When the dispatcher refuses.
    pub fn join(scenario: &Scenario, name: &str) -> anyhow::Result<Self> {
        Self::rejoin(scenario, name, Vec::new())
    }

    /// As [`Prover::join`], claiming to hold leases of an earlier session.
    ///
    /// # Errors
    /// When the dispatcher refuses.
    pub fn rejoin(scenario: &Scenario, name: &str, holding: Vec<LeaseRef>) -> anyhow::Result<Self> {
        let key = scenario.devnet.new_wallet_if_missing(name)?;
        let place = Place::of(scenario)?;
        let register = ProverMessage::Register { capabilities: capabilities(name), holding };
        let opening = open_prover(place.clone(), key, register);
        let mut prover = place.wait("the login", opening)??;
        prover.resumed = prover.expect("the registration", |order| match order {
            ProverOrder::Registered { resumed } => Ok(resumed),
            other => Err(other),
        })?;
        Ok(prover)
    }

    /// Who is paid.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Sends no more signs of life.
    pub fn fall_silent(&self) {
        self.beats.abort();
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the session is over.
    pub fn send(&self, message: ProverMessage) -> anyhow::Result<()> {
        let sent = self.place.wait("room", self.up.send(message.into()))?;
        sent.map_err(|_| anyhow!("the session is over"))
    }

    fn next(&mut self) -> anyhow::Result<ProverOrder> {
        let message = self.place.wait("an order", self.down.message())??;
        let message = message.context("the dispatcher ended the session")?;
        Ok(ProverOrder::try_from(message)?)
    }

    /// The first order that `pick` takes; the others are kept for later, in their order.
    ///
    /// # Errors
    /// When it does not come.
    pub fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(ProverOrder) -> Result<T, ProverOrder>,
    ) -> anyhow::Result<T> {
        let mut passed = VecDeque::new();
        loop {
            let order = match self.waiting.pop_front() {
                Some(order) => order,
                None => self.next().with_context(|| format!("{what}; before it {passed:?}"))?,
            };
            match pick(order) {
                Ok(found) => {
                    passed.append(&mut self.waiting);
                    self.waiting = passed;
                    return Ok(found);
                }
                Err(ProverOrder::HeartbeatAck { .. }) => {}
                Err(other) => passed.push_back(other),
            }
        }
    }

    /// The next work.
    ///
    /// # Errors
    /// When none comes.
    pub fn assigned(&mut self) -> anyhow::Result<Box<Assignment>> {
        self.expect("an assignment", |order| match order {
            ProverOrder::Assign(assignment) => Ok(assignment),
            other => Err(other),
        })
    }

    /// What became of a delivered proof, beyond that it was received.
    ///
    /// # Errors
    /// When nothing is said.
    pub fn reply(&mut self, to: LeaseRef) -> anyhow::Result<CompletionReply> {
        self.expect("the answer to a completion", |order| match order {
            ProverOrder::Completion { lease, reply }
                if lease == to && reply != CompletionReply::Received =>
            {
                Ok(reply)
            }
            other => Err(other),
        })
    }

    /// The next refusal of a message.
    ///
    /// # Errors
    /// When none comes.
    pub fn refusal(&mut self) -> anyhow::Result<v1::Refused> {
        self.expect("a refusal", |order| match order {
            ProverOrder::Refused(refused) => Ok(refused),
            other => Err(other),
        })
    }

    /// An honest proof of an assignment over an input of the scenario's choice.
    ///
    /// # Errors
    /// When it cannot be proved.
    pub fn prove(&self, assignment: &Assignment, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let registry = proofgrid_programs::registry();
        let program = registry.get(&assignment.spec.program).context("a known program")?;
        let range = SegmentRange {
            index: assignment.index,
            first: assignment.segment.first,
            count: assignment.segment.count,
        };
        let plan: SegmentPlan = program.plan_range(input, &range)?;
        let binding = Binding::of_segment(assignment.job, program.id(), self.address(), &plan);
        Ok(program.prove(input, &plan, &binding, &Unmonitored)?.bytes)
    }

    /// Uploads bytes under the session.
    ///
    /// # Errors
    /// The dispatcher's refusal.
    pub fn upload(&self, bytes: &[u8]) -> anyhow::Result<Result<BlobDigest, Status>> {
        let digest = BlobDigest::from_bytes(keccak256(bytes));
        self.upload_as(digest, bytes.len() as u64, bytes).map(|done| done.map(|()| digest))
    }

    /// Uploads bytes under a header that may say something else.
    ///
    /// # Errors
    /// When the dispatcher does not answer.
    pub fn upload_as(
        &self,
        digest: BlobDigest,
        length_bytes: u64,
        bytes: &[u8],
    ) -> anyhow::Result<Result<(), Status>> {
        let header = v1::UploadHeader {
            digest: digest.as_bytes().to_vec(),
            length_bytes,
            offset_bytes: 0,
            authority: None,
        };
        let chunks = bytes.chunks(CHUNK_BYTES_MAX).map(|chunk| Part::Chunk(chunk.to_vec()));
        let parts: Vec<_> = [Part::Header(header)]
            .into_iter()
            .chain(chunks)
            .map(|part| v1::UploadBlobRequest { part: Some(part) })
            .collect();
        let mut request = tonic::Request::new(tokio_stream::iter(parts));
        let token = MetadataValue::from_bytes(self.token.expose());
        request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, token);
        let mut blobs = BlobServiceClient::new(self.place.channel.clone());
        let done = self.place.wait("the upload's end", blobs.upload_blob(request))?;
        Ok(done.map(|_| ()))
    }

    /// Says that a stored blob is the proof of a lease.
    ///
    /// # Errors
    /// When the session is over.
    pub fn complete(&self, lease: LeaseRef, proof: BlobDigest, bytes: usize) -> anyhow::Result<()> {
        let bytes = ByteCount::new(bytes as u64);
        let report = ProofReport { proof, bytes, prove_ms: 1 };
        self.send(ProverMessage::Complete { lease, report })
    }

    /// Uploads a proof and completes with it.
    ///
    /// # Errors
    /// When the upload is refused.
    pub fn deliver(&self, lease: LeaseRef, proof: &[u8]) -> anyhow::Result<BlobDigest> {
        let digest = self.upload(proof)?.map_err(|status| anyhow!("the upload: {status}"))?;
        self.complete(lease, digest, proof.len())?;
        Ok(digest)
    }
}

/// The lease of an assignment, as messages name it.
#[must_use]
pub const fn lease_of(assignment: &Assignment) -> LeaseRef {
    let lease = &assignment.lease;
    LeaseRef { task: lease.task, attempt: lease.attempt, token: lease.token }
}

fn capabilities(name: &str) -> ProverCapabilities {
    let programs = proofgrid_programs::registry();
    let offer = |program| ProgramOffer { program, units_per_kilosecond: UNITS_PER_KILOSECOND };
    ProverCapabilities {
        name: name.to_owned(),
        version: "scenario".to_owned(),
        device: Device::Cpu,
        slots: 1,
        memory_bytes: ByteCount::new(8 << 30),
        programs: programs.iter().map(|program| offer(program.id())).collect(),
    }
}

async fn open_prover(
    place: Place,
    key: WalletKey,
    register: ProverMessage,
) -> anyhow::Result<Prover> {
    let (up, receiver) = mpsc::channel(OUTBOX);
    let operator = key.address();
    up.send(ProverMessage::Hello(hello(Role::Prover, operator)).into()).await?;
    let mut client = ProverServiceClient::new(place.channel.clone());
    let mut down = client.session(ReceiverStream::new(receiver)).await?.into_inner();
    let first = down.message().await?.context("no challenge")?;
    let ProverOrder::Challenge(challenge) = ProverOrder::try_from(first)? else {
        bail!("the first order is no challenge");
    };
    let login = login(Role::Prover, &place, &challenge, operator);
    let message = WalletMessage::Login { network: place.network, login };
    up.send(ProverMessage::Login(LoginProof::Wallet(key.sign(&message))).into()).await?;
    let second = down.message().await?.context("no welcome")?;
    let ProverOrder::Welcome(welcome) = ProverOrder::try_from(second)? else {
        bail!("the second order is no welcome");
    };
    up.send(register.into()).await?;
    let beats = tokio::spawn(beat(up.clone(), |sequence| {
        let free_memory = ByteCount::new(8 << 30);
        ProverMessage::Heartbeat { sequence, free_memory }.into()
    }));
    let (token, waiting, resumed) = (welcome.token, VecDeque::new(), Vec::new());
    Ok(Prover { place, key, token, up, down, beats, waiting, resumed })
}

/// Heartbeats until the session or the peer ends.
async fn beat<M>(up: mpsc::Sender<M>, message: impl Fn(u64) -> M) {
    for sequence in 0.. {
        tokio::time::sleep(HEARTBEAT).await;
        if up.send(message(sequence)).await.is_err() {
            return;
        }
    }
}

/// A verifier that is logged in and registered, with the key of one of the network's.
#[derive(Debug)]
pub struct Verifier {
    place: Place,
    operator: Address,
    key: SecretKey,
    up: mpsc::Sender<v1::VerifierServiceSessionRequest>,
    down: Streaming<v1::VerifierServiceSessionResponse>,
    beats: JoinHandle<()>,
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Verifier {
    /// Logs in with the key of the verifier `name` as `operator` and registers.
    ///
    /// # Errors
    /// When the dispatcher refuses.
    pub fn join(scenario: &Scenario, name: &str) -> anyhow::Result<Self> {
        let operator = scenario.devnet.new_wallet_if_missing(&format!("{name}-operator"))?;
        let layout = scenario.devnet.layout();
        let password = keystore::read_password(&layout.password())?;
        let secret = keystore::read_bls(&layout.key(name), &password)?;
        Self::join_as(scenario, operator.address(), SecretKey::from_bytes(&secret)?)
    }

    /// Logs in with any key as any operator.
    ///
    /// # Errors
    /// When the dispatcher refuses.
    pub fn join_as(scenario: &Scenario, operator: Address, key: SecretKey) -> anyhow::Result<Self> {
        let place = Place::of(scenario)?;
        let opening = open_verifier(place.clone(), operator, key);
        place.wait("the login", opening)?
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the session is over.
    pub fn send(&self, message: VerifierMessage) -> anyhow::Result<()> {
        let sent = self.place.wait("room", self.up.send(message.into()))?;
        sent.map_err(|_| anyhow!("the session is over"))
    }

    /// The first order that `pick` takes; those before it are dropped.
    ///
    /// # Errors
    /// When it does not come.
    pub fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(VerifierOrder) -> Option<T>,
    ) -> anyhow::Result<T> {
        loop {
            let message = self.place.wait(what, self.down.message())??;
            let message = message.with_context(|| format!("the session ended before {what}"))?;
            if let Some(found) = pick(VerifierOrder::try_from(message)?) {
                return Ok(found);
            }
        }
    }

    /// The next statement to vote on.
    ///
    /// # Errors
    /// When none comes.
    pub fn statement(&mut self) -> anyhow::Result<Box<StatementOffer>> {
        self.expect("a statement", |order| match order {
            VerifierOrder::Statement(offer) => Some(offer),
            _ => None,
        })
    }

    /// Signs a vote, whatever it says.
    #[must_use]
    pub fn sign(&self, vote: proofgrid_core::vote::Vote) -> SignedVote {
        vote.sign(self.place.network, self.operator, &self.key)
    }

    /// Commits to a vote.
    ///
    /// # Errors
    /// When the session is over.
    pub fn commit(&self, signed: &SignedVote) -> anyhow::Result<()> {
        let Vote { epoch, table, statement, .. } = signed.vote;
        let commitment = commitment_to(self.place.network, signed, &SALT);
        self.send(VerifierMessage::Commit { epoch, table, statement, commitment })
    }

    /// The next signed commit set to open a vote to.
    ///
    /// # Errors
    /// When none comes, or the dispatcher did not sign it.
    pub fn commit_set(&mut self) -> anyhow::Result<CommitSet> {
        let (network, server) = (self.place.network, self.place.server);
        let (set, signature) = self.expect("a commit set", |order| match order {
            VerifierOrder::Reveal { set, signature } => Some((set, signature)),
            _ => None,
        })?;
        let message = WalletMessage::CommitSet { network, set: Box::new(set.clone()) };
        signature.verify(&message, server)?;
        Ok(set)
    }

    /// Opens a vote.
    ///
    /// # Errors
    /// When the session is over.
    pub fn open(&self, signed: &SignedVote, detail: Option<InvalidDetail>) -> anyhow::Result<()> {
        let (vote, signature, judged_in) = (signed.vote, signed.signature, Millis::new(1));
        self.send(VerifierMessage::Reveal { vote, signature, detail, judged_in, salt: SALT })
    }

    /// Commits to a vote that found nothing wrong, and opens it when it may.
    ///
    /// # Errors
    /// When the session is over, or no commit set comes.
    pub fn vote(&mut self, signed: &SignedVote) -> anyhow::Result<()> {
        ensure!(signed.vote.verdict == proofgrid_core::statement::Verdict::Valid, "no detail");
        self.commit(signed)?;
        self.commit_set()?;
        self.open(signed, None)
    }
}

async fn open_verifier(
    place: Place,
    operator: Address,
    key: SecretKey,
) -> anyhow::Result<Verifier> {
    let (up, receiver) = mpsc::channel(OUTBOX);
    up.send(VerifierMessage::Hello(hello(Role::Verifier, operator)).into()).await?;
    let mut client = VerifierServiceClient::new(place.channel.clone());
    let mut down = client.session(ReceiverStream::new(receiver)).await?.into_inner();
    let first = down.message().await?.context("no challenge")?;
    let VerifierOrder::Challenge(challenge) = VerifierOrder::try_from(first)? else {
        bail!("the first order is no challenge");
    };
    let login = login(Role::Verifier, &place, &challenge, operator);
    let signature = key.sign(&BlsMessage::Login { network: place.network, login });
    up.send(VerifierMessage::Login(LoginProof::Bls(signature)).into()).await?;
    let second = down.message().await?.context("no welcome")?;
    let VerifierOrder::Welcome(_) = VerifierOrder::try_from(second)? else {
        bail!("the second order is no welcome");
    };
    let registry = proofgrid_programs::registry();
    let manifests = registry.iter().map(|program| program.manifest().digest()).collect();
    up.send(VerifierMessage::Register { manifests, version: "scenario".to_owned() }.into()).await?;
    let beats =
        tokio::spawn(beat(up.clone(), |sequence| VerifierMessage::Heartbeat { sequence }.into()));
    Ok(Verifier { place, operator, key, up, down, beats })
}
