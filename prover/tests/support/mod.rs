//! A scripted dispatcher: the real gRPC services on a real port, with a test in place of the actor.

pub mod program;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{
    Address, Attempt, BlobDigest, ChainContract, ChainId, LeaseToken, LoginNonce, NetworkId, Nonce,
    Role, SessionId, TaskId,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin, TaskKind};
use proofgrid_core::network::{
    Assignment, Lease, LeaseRef, PlannedSegment, ProofReport, ProverCapabilities, TaskFault,
};
use proofgrid_core::units::{ByteCount, Millis, UnixMillis, UnixSeconds};
use proofgrid_proofs::program::{PlanRequest, Registry};
use proofgrid_proto::SESSION_TOKEN_METADATA;
use proofgrid_proto::convert::{
    Challenge, CompletionReply, LoginProof, ProverMessage, ProverOrder, SessionToken, Welcome,
};
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_server::{BlobService, BlobServiceServer};
use proofgrid_proto::v1::prover_service_server::{ProverService, ProverServiceServer};
use proofgrid_prover::inputs::digest_of;
use proofgrid_prover::race::Race;
use proofgrid_prover::{Ground, Handle, Prover, ProverConfig, ProverStatus};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, Streaming};

use self::program::{Behaviour, Switch};

/// Everything in a test ends within this, or the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// A deadline that no test reaches, Unix seconds.
const FAR: u64 = 4_000_000_000;

pub const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([7; 20]) };
pub const SERVER: Address = Address::from_bytes([9; 20]);

/// Waits with patience.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what}"))
}

pub fn worker_key() -> WalletKey {
    WalletKey::from_bytes(&[0x11; 32]).expect("a scalar")
}

/// The blobs, as the dispatcher's store holds them.
#[derive(Default)]
pub struct Blobs {
    pub bytes: Mutex<HashMap<BlobDigest, Vec<u8>>>,
    pub downloads: Mutex<HashMap<BlobDigest, u32>>,
    /// Uploads that are refused before one is taken.
    pub refuse_uploads: AtomicU32,
    tokens: Mutex<Vec<SessionToken>>,
}

impl Blobs {
    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let token = request.metadata().get_bin(SESSION_TOKEN_METADATA);
        let bytes = token.and_then(|value| value.to_bytes().ok()).unwrap_or_default();
        let token = SessionToken::try_from(bytes.as_ref())
            .map_err(|error| Status::unauthenticated(error.to_string()))?;
        if self.tokens.lock().expect("tokens").contains(&token) {
            return Ok(());
        }
        Err(Status::unauthenticated("no session has this token"))
    }
}

#[derive(Clone)]
struct Services {
    blobs: Arc<Blobs>,
    sessions: mpsc::Sender<Peer>,
    hangups: mpsc::UnboundedSender<()>,
    identity: Address,
    heartbeat_ms: u64,
}

/// One logged-in session, in the hands of a test. Dropping it ends the stream.
pub struct Peer {
    pub capabilities: ProverCapabilities,
    pub holding: Vec<LeaseRef>,
    inbound: Streaming<v1::ProverServiceSessionRequest>,
    outbound: mpsc::Sender<Result<v1::ProverServiceSessionResponse, Status>>,
    /// Messages that a test skipped, for assertions that something was not sent.
    pub seen: Vec<ProverMessage>,
}

impl Peer {
    /// Ends the stream.
    fn hang_up(&mut self) {
        self.outbound = mpsc::channel(1).0;
    }

    pub async fn send(&self, order: ProverOrder) {
        self.outbound.send(Ok(order.into())).await.expect("the stream is open");
    }

    /// Confirms the registration and the given leases.
    pub async fn registered(&self, resumed: Vec<LeaseRef>) {
        self.send(ProverOrder::Registered { resumed }).await;
    }

    pub async fn assign(&self, assignment: &Assignment) {
        self.send(ProverOrder::Assign(Box::new(assignment.clone()))).await;
    }

    /// The next message, or `None` when the worker has closed the stream.
    pub async fn next(&mut self) -> Option<ProverMessage> {
        let message = soon("message", self.inbound.message()).await.ok()??;
        let message = ProverMessage::try_from(message).expect("a well-formed message");
        self.seen.push(message.clone());
        Some(message)
    }

    /// Skips messages until one is picked.
    pub async fn until<T>(&mut self, pick: impl Fn(&ProverMessage) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("the worker is still there");
            if let Some(picked) = pick(&message) {
                return picked;
            }
        }
    }

    pub async fn complete(&mut self) -> (LeaseRef, ProofReport) {
        self.until(|message| match message {
            ProverMessage::Complete { lease, report } => Some((*lease, *report)),
            ProverMessage::Fail { fault, .. } => panic!("failed: {fault:?}"),
            _ => None,
        })
        .await
    }

    /// Until the task reports this phase.
    pub async fn phase(&mut self, name: &str) {
        self.until(|message| match message {
            ProverMessage::Progress { phase, .. } if phase == name => Some(()),
            ProverMessage::Fail { fault, .. } => panic!("failed: {fault:?}"),
            _ => None,
        })
        .await;
    }

    pub async fn answer(&self, lease: LeaseRef, reply: CompletionReply) {
        self.send(ProverOrder::Completion { lease, reply }).await;
    }
}

async fn greet(
    services: Services,
    mut inbound: Streaming<v1::ProverServiceSessionRequest>,
    outbound: mpsc::Sender<Result<v1::ProverServiceSessionResponse, Status>>,
) -> Option<()> {
    let ProverMessage::Hello(hello) = read(&mut inbound).await? else { return None };
    let server_nonce = LoginNonce::from_bytes([0x5a; 32]);
    let challenge = Challenge { server: services.identity, server_nonce, network: NETWORK };
    outbound.send(Ok(ProverOrder::Challenge(challenge).into())).await.ok()?;
    let Some(answer) = read(&mut inbound).await else {
        return services.hangups.send(()).ok();
    };
    let ProverMessage::Login(LoginProof::Wallet(signature)) = answer else {
        panic!("something else than the login: {answer:?}");
    };
    let login = Login {
        role: Role::Prover,
        server: SERVER,
        server_nonce,
        client_nonce: hello.client_nonce,
        operator: hello.operator,
    };
    let message = WalletMessage::Login { network: NETWORK, login };
    signature.verify(&message, hello.operator).expect("a good login");
    let token = {
        let mut tokens = services.blobs.tokens.lock().expect("tokens");
        let number = u8::try_from(tokens.len()).expect("few sessions");
        let token = SessionToken::from_bytes([number; 32]);
        tokens.push(token);
        token
    };
    let welcome = Welcome {
        session: SessionId::new(1),
        token,
        heartbeat_interval: Millis::new(services.heartbeat_ms),
        dead_after: Millis::new(60_000),
        now: UnixMillis::new(1_000),
    };
    outbound.send(Ok(ProverOrder::Welcome(welcome).into())).await.ok()?;
    let ProverMessage::Register { capabilities, holding } = read(&mut inbound).await? else {
        panic!("something else than the registration");
    };
    let peer = Peer { capabilities, holding, inbound, outbound, seen: Vec::new() };
    services.sessions.send(peer).await.ok()
}

async fn read(inbound: &mut Streaming<v1::ProverServiceSessionRequest>) -> Option<ProverMessage> {
    let message = inbound.message().await.ok()??;
    Some(ProverMessage::try_from(message).expect("a well-formed message"))
}

#[tonic::async_trait]
impl ProverService for Services {
    type SessionStream = ReceiverStream<Result<v1::ProverServiceSessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::ProverServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbound, stream) = mpsc::channel(64);
        tokio::spawn(greet(self.clone(), request.into_inner(), outbound));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn digest(bytes: &[u8]) -> Result<BlobDigest, Status> {
    BlobDigest::try_from(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

#[tonic::async_trait]
impl BlobService for Services {
    type DownloadBlobStream = ReceiverStream<Result<v1::DownloadBlobResponse, Status>>;

    async fn query_upload(
        &self,
        request: Request<v1::QueryUploadRequest>,
    ) -> Result<Response<v1::QueryUploadResponse>, Status> {
        self.blobs.check(&request)?;
        let digest = digest(&request.get_ref().digest)?;
        let complete = self.blobs.bytes.lock().expect("blobs").contains_key(&digest);
        Ok(Response::new(v1::QueryUploadResponse { offset_bytes: 0, complete }))
    }

    async fn upload_blob(
        &self,
        request: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        use v1::upload_blob_request::Part;
        self.blobs.check(&request)?;
        let refuse = |left: u32| left.checked_sub(1);
        let refused = &self.blobs.refuse_uploads;
        if refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok() {
            return Err(Status::failed_precondition("the disk is full"));
        }
        let mut stream = request.into_inner();
        let mut header = None;
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            match message.part {
                Some(Part::Header(first)) => header = Some(first),
                Some(Part::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
                None => return Err(Status::invalid_argument("an empty part")),
            }
        }
        let header = header.ok_or_else(|| Status::invalid_argument("no header"))?;
        if digest_of(&bytes) != digest(&header.digest)? {
            return Err(Status::data_loss("another digest"));
        }
        self.blobs.bytes.lock().expect("blobs").insert(digest_of(&bytes), bytes);
        let (digest, length_bytes) = (header.digest, header.length_bytes);
        Ok(Response::new(v1::UploadBlobResponse { digest, length_bytes }))
    }

    async fn download_blob(
        &self,
        request: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Self::DownloadBlobStream>, Status> {
        use v1::download_blob_response::Part;
        self.blobs.check(&request)?;
        let request = request.into_inner();
        let digest = digest(&request.digest)?;
        let bytes = self.blobs.bytes.lock().expect("blobs").get(&digest).cloned();
        let bytes = bytes.ok_or_else(|| Status::not_found("no such blob"))?;
        let mut downloads = self.blobs.downloads.lock().expect("downloads");
        *downloads.entry(digest).or_default() += 1;
        let offset = usize::try_from(request.offset_bytes).expect("an offset");
        let chunk = bytes.get(offset..).unwrap_or_default().to_vec();
        let parts = [Part::LengthBytes(bytes.len() as u64), Part::Chunk(chunk)];
        let (sender, stream) = mpsc::channel(2);
        for part in parts {
            let message = v1::DownloadBlobResponse { part: Some(part) };
            sender.try_send(Ok(message)).expect("room for two");
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// A dispatcher on a port of this machine; ends with the value.
pub struct Dispatcher {
    pub url: String,
    pub blobs: Arc<Blobs>,
    sessions: mpsc::Receiver<Peer>,
    hangups: mpsc::UnboundedReceiver<()>,
    _stop: DropGuard,
}

impl Dispatcher {
    pub async fn start() -> Self {
        Self::start_as(SERVER, 5_000).await
    }

    pub async fn start_as(identity: Address, heartbeat_ms: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, sessions) = mpsc::channel(16);
        let (hung_up, hangups) = mpsc::unbounded_channel();
        let blobs = Arc::new(Blobs::default());
        let services = Services {
            blobs: Arc::clone(&blobs),
            sessions: sender,
            hangups: hung_up,
            identity,
            heartbeat_ms,
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let server = tonic::transport::Server::builder()
            .add_service(ProverServiceServer::new(services.clone()))
            .add_service(BlobServiceServer::new(services));
        tokio::spawn(async move {
            tokio::select! {
                served = server.serve_with_incoming(TcpListenerStream::new(listener)) => {
                    served.expect("the server runs");
                }
                () = stopped.cancelled() => {}
            }
        });
        Self { url, blobs, sessions, hangups, _stop: stop.drop_guard() }
    }

    /// The next worker that logs in, after its registration.
    pub async fn accept(&mut self) -> Peer {
        soon("session", self.sessions.recv()).await.expect("the server runs")
    }

    /// Waits until a worker has seen the challenge and hung up instead of logging in.
    pub async fn hangup(&mut self) {
        soon("hangup", self.hangups.recv()).await.expect("the server runs");
    }

    /// Accepts and confirms everything that the worker holds.
    pub async fn welcome(&mut self) -> Peer {
        let peer = self.accept().await;
        peer.registered(peer.holding.clone()).await;
        peer
    }

    pub fn store(&self, bytes: &[u8]) {
        self.blobs.bytes.lock().expect("blobs").insert(digest_of(bytes), bytes.to_vec());
    }

    pub fn blob(&self, digest: &BlobDigest) -> Vec<u8> {
        self.blobs.bytes.lock().expect("blobs").get(digest).cloned().expect("it was uploaded")
    }
}

/// Settings for tests: everything fast, nothing shared.
pub fn config(url: &str, dir: &Path) -> ProverConfig {
    let mut config = ProverConfig::new(url.to_owned(), SERVER, NETWORK, dir.to_owned());
    config.threads = 2;
    config.memory_reserve_bytes = 0;
    config.progress_interval_ms = 10;
    config.reconnect_delay_ms_min = 1;
    config.reconnect_delay_ms_max = 20;
    config
}

pub fn start(config: ProverConfig, registry: Registry) -> (Handle, CancellationToken) {
    start_racing(config, registry, None)
}

pub fn start_racing(
    config: ProverConfig,
    registry: Registry,
    race: Option<Race>,
) -> (Handle, CancellationToken) {
    let shutdown = CancellationToken::new();
    let (ground, key) = (Ground { race, ..Ground::default() }, worker_key());
    let handle = Prover::start_on(ground, config, key, Arc::new(registry), &shutdown);
    (handle.expect("it starts"), shutdown)
}

/// An assignment of the first segment of a job over `input`, under a lease with this token.
pub fn assignment(registry: &Registry, program: &str, input: &[u8], token: u64) -> Assignment {
    let program = registry.by_name(program).expect("a program");
    let request =
        PlanRequest { memory_bytes_max: ByteCount::new(u64::MAX), num_workers: 1, max_segments: 1 };
    let plan = program.plan(input, &request).expect("a plan");
    let segment = plan.first().expect("a segment");
    let spec = JobSpec {
        origin: Origin::Direct,
        home_chain: NETWORK.home_chain,
        target: ChainContract { chain: NETWORK.home_chain, contract: Address::ZERO },
        requester: Address::from_bytes([3; 20]),
        nonce: Nonce::new(1),
        program: program.id(),
        input: digest_of(input),
        claim: program.claim(input).expect("a claim"),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(FAR),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(input.len() as u64),
            max_segments: 1,
            max_proof_bytes: ByteCount::new(32 << 20),
        },
        stream: 0,
        sequence: 0,
    };
    let job = spec.id();
    Assignment {
        lease: Lease {
            task: TaskId::derive(&job, TaskKind::Segment, 0),
            attempt: Attempt::new(1),
            token: LeaseToken::new(token),
            dead_after: Millis::new(30_000),
            expires_at: UnixMillis::new(FAR * 1000),
        },
        job,
        spec,
        index: 0,
        segment: PlannedSegment {
            first: segment.first,
            count: segment.count,
            work_units: segment.work_units,
            memory_bytes: segment.memory_bytes,
        },
        num_segments: 1,
    }
}

/// A worker on the switched program, and the dispatcher that it is registered with.
pub struct Rig {
    pub dispatcher: Dispatcher,
    pub dir: tempfile::TempDir,
    pub settings: ProverConfig,
    /// The worker's programs, for the test's own use.
    pub programs: Registry,
    pub switch: Arc<Switch>,
    pub handle: Handle,
    pub shutdown: CancellationToken,
    pub peer: Peer,
    race: Option<Race>,
    _over: program::Over,
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ProverConfig)) -> Self {
        Self::racing(change, None).await
    }

    pub async fn racing(change: impl FnOnce(&mut ProverConfig), race: Option<Race>) -> Self {
        let mut dispatcher = Dispatcher::start().await;
        let dir = tempfile::tempdir().expect("a directory");
        let mut settings = config(&dispatcher.url, dir.path());
        change(&mut settings);
        let (programs, switch) = program::registry();
        let over = program::Over(Arc::clone(&switch));
        let registry = program::registry_of(&switch);
        let (handle, shutdown) = start_racing(settings.clone(), registry, race.clone());
        let peer = dispatcher.welcome().await;
        Self {
            dispatcher,
            dir,
            settings,
            programs,
            switch,
            handle,
            shutdown,
            peer,
            race,
            _over: over,
        }
    }

    /// An assignment of a job over `input`, which the dispatcher has.
    pub fn task(&self, input: &[u8], token: u64) -> Assignment {
        self.dispatcher.store(input);
        assignment(&self.programs, program::NAME, input, token)
    }

    /// Assigns a task that behaves like this, and waits until it has begun to.
    pub async fn begin(&mut self, behaviour: Behaviour, task: &Assignment) {
        self.switch.set(behaviour);
        self.peer.assign(task).await;
        self.peer.phase(program::STARTED.name()).await;
    }

    /// Cuts the session; the worker dials in again.
    pub async fn reconnect(&mut self) {
        self.peer.hang_up();
        self.peer = self.dispatcher.accept().await;
    }

    /// Waits until the worker has ended and starts it again with the same folder; it logs in and is
    /// not confirmed yet.
    pub async fn restarted(mut self) -> Self {
        soon("end", self.handle.join()).await.expect("a clean end");
        let registry = program::registry_of(&self.switch);
        let (handle, shutdown) = start_racing(self.settings.clone(), registry, self.race.clone());
        let peer = self.dispatcher.accept().await;
        Self { handle, shutdown, peer, ..self }
    }

    pub async fn until_status(&self, done: impl FnMut(&ProverStatus) -> bool) {
        let mut status = self.handle.status();
        soon("status", status.wait_for(done)).await.expect("the worker runs");
    }

    /// The next task that is given up, and why.
    pub async fn fault(&mut self) -> TaskFault {
        self.peer
            .until(|message| match message {
                ProverMessage::Fail { fault, .. } => Some(fault.clone()),
                ProverMessage::Complete { .. } => panic!("completed"),
                _ => None,
            })
            .await
    }
}

pub fn lease_of(assignment: &Assignment) -> LeaseRef {
    let lease = &assignment.lease;
    LeaseRef { task: lease.task, attempt: lease.attempt, token: lease.token }
}
