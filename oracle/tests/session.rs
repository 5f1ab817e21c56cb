//! The whole oracle against a real chain and a scripted dispatcher on a real stream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::keccak256;
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, ChainId, LoginNonce, NetworkId, Role, SessionId};
use proofgrid_core::job::Mode;
use proofgrid_core::network::{SubmissionSubject, SubmissionUpdate};
use proofgrid_core::units::{Millis, UnixMillis};
use proofgrid_oracle::abi::{ITaskManager, JobState};
use proofgrid_oracle::config::{ContractsConfig, FeesConfig, HexAddress, OracleConfig};
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::cursor::Cursor;
use proofgrid_oracle::deploy::{self, NewJob};
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::service::{Oracle, OracleError};
use proofgrid_oracle::setup;
use proofgrid_proto::convert::{
    ChainNews, Challenge, LoginProof, OracleMessage, OracleOrder, RaceStep, ReportedEvent,
    SessionToken, SettleOrder, Welcome,
};
use proofgrid_proto::v1;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use v1::blob_service_server::{BlobService, BlobServiceServer};
use v1::download_blob_response::Part;
use v1::oracle_service_server::{OracleService, OracleServiceServer};

use support::{
    CHAIN, Net, PROGRAM, account, groth16, hash, lone_statement, mine, opened, rpc, settle_order,
};

const SERVER: Address = Address::from_bytes([0x5e; 20]);
const SERVER_NONCE: LoginNonce = LoginNonce::from_bytes([0x5f; 32]);
/// Nothing here takes long; a test that hangs says where.
const PATIENCE: Duration = Duration::from_secs(60);

type Orders = mpsc::Sender<Result<v1::OracleServiceSessionResponse, Status>>;

/// One stream of an oracle, as the script sees it.
struct Stream {
    up: Streaming<v1::OracleServiceSessionRequest>,
    down: Orders,
}

impl Stream {
    async fn hear(&mut self) -> OracleMessage {
        let message = timeout(PATIENCE, self.up.message()).await.expect("the oracle speaks");
        OracleMessage::try_from(message.unwrap().expect("the stream is open")).unwrap()
    }

    async fn say(&self, order: OracleOrder) {
        self.down.send(Ok(order.into())).await.unwrap();
    }

    /// Plays the dispatcher's part of the login.
    async fn log_in(&mut self, network: NetworkId, oracle: Address) {
        let OracleMessage::Hello(hello) = self.hear().await else { panic!("hello first") };
        assert_eq!((hello.role, hello.operator), (Role::Oracle, oracle));
        let challenge = Challenge { server: SERVER, server_nonce: SERVER_NONCE, network };
        self.say(OracleOrder::Challenge(challenge)).await;
        let OracleMessage::Login(LoginProof::Wallet(signature)) = self.hear().await else {
            panic!("a wallet's login");
        };
        let login = Login {
            role: Role::Oracle,
            server: SERVER,
            server_nonce: SERVER_NONCE,
            client_nonce: hello.client_nonce,
            operator: oracle,
        };
        signature.verify(&WalletMessage::Login { network, login }, oracle).unwrap();
        self.say(OracleOrder::Welcome(Welcome {
            session: SessionId::new(1),
            token: SessionToken::from_bytes([1; 32]),
            heartbeat_interval: Millis::new(200),
            dead_after: Millis::new(30_000),
            now: UnixMillis::new(1),
        }))
        .await;
        let OracleMessage::Register { chain, .. } = self.hear().await else { panic!("register") };
        assert_eq!(chain, CHAIN);
        self.say(OracleOrder::Registered).await;
    }

    /// The next event that is no head; heartbeats are answered, heads acknowledged.
    async fn event(&mut self) -> (u64, ChainNews) {
        loop {
            match self.hear().await {
                OracleMessage::Heartbeat { sequence } => {
                    self.say(OracleOrder::HeartbeatAck { sequence }).await;
                }
                OracleMessage::Event(event) => {
                    let ReportedEvent { event_id, .. } = event;
                    match event.read(CHAIN).unwrap() {
                        ChainNews::Head { .. } => self.ack(event_id).await,
                        news => return (event_id, news),
                    }
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The reason why something is published as it is, which comes before all else of it.
    async fn chosen(&mut self) -> String {
        let (event_id, news) = self.event().await;
        self.ack(event_id).await;
        match news {
            ChainNews::Submission { update: SubmissionUpdate::Chosen { why }, .. } => why,
            other => panic!("chosen, got {other:?}"),
        }
    }

    /// Waits until the oracle has read up to a block; nothing else is acknowledged.
    async fn read_to(&mut self, block: u64) {
        loop {
            match self.hear().await {
                OracleMessage::Heartbeat { sequence } => {
                    self.say(OracleOrder::HeartbeatAck { sequence }).await;
                }
                OracleMessage::Event(event) => match event.read(CHAIN).unwrap() {
                    ChainNews::Head { final_block, .. } if final_block.get() >= block => return,
                    _ => {}
                },
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    async fn ack(&self, event_id: u64) {
        self.say(OracleOrder::Ack { event_id, refused: None }).await;
    }
}

struct Script(mpsc::Sender<Stream>);

#[tonic::async_trait]
impl OracleService for Script {
    type SessionStream = ReceiverStream<Result<v1::OracleServiceSessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::OracleServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (down, orders) = mpsc::channel(64);
        let stream = Stream { up: request.into_inner(), down };
        self.0.send(stream).await.map_err(|_| Status::unavailable("the script is over"))?;
        Ok(Response::new(ReceiverStream::new(orders)))
    }
}

/// Listens; every stream that is opened comes out of the receiver.
async fn dispatcher() -> (SocketAddr, mpsc::Receiver<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (streams, opened) = mpsc::channel(4);
    let service = OracleServiceServer::new(Script(streams));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, opened)
}

fn key() -> OracleKey {
    OracleKey::from_bytes(&[0x50; 32]).unwrap()
}

fn config(net: &Net, dispatcher: SocketAddr, folder: &Path) -> OracleConfig {
    let contracts = net.deployment.contracts;
    OracleConfig {
        chain_id: CHAIN.get(),
        rpc_urls: vec![net.anvil.url.clone()],
        finality: "depth=2".parse().unwrap(),
        start_block: net.deployment.start_block().get(),
        contracts: ContractsConfig {
            operator_registrar: HexAddress(contracts.operator_registrar),
            epoch_table: HexAddress(contracts.epoch_table),
            task_manager: HexAddress(contracts.task_manager),
            proof_registry: HexAddress(contracts.proof_registry),
        },
        dispatcher_url: format!("http://{dispatcher}"),
        dispatcher_address: Some(HexAddress(SERVER)),
        dispatcher_ca_file: None,
        allow_plaintext: false,
        data_directory: folder.join("data"),
        poll_interval_ms: 50,
        request_timeout_ms: 10_000,
        request_retries_max: 2,
        scan_blocks_max: 1000,
        roll_epochs: false,
        distribute_rewards: false,
        mirror_urls: Vec::new(),
        fees: FeesConfig::default(),
    }
}

struct Running {
    stop: CancellationToken,
    work: JoinHandle<Result<(), OracleError>>,
}

impl Running {
    async fn start(config: &OracleConfig) -> Self {
        let stop = CancellationToken::new();
        let oracle = Oracle::open(config, key()).await.unwrap();
        let work = tokio::spawn(oracle.run(stop.clone()));
        Self { stop, work }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.work).await.expect("it stops").unwrap().unwrap();
    }
}

async fn open(streams: &mut mpsc::Receiver<Stream>) -> Stream {
    timeout(PATIENCE, streams.recv()).await.expect("the oracle dials").unwrap()
}

fn network(net: &Net) -> NetworkId {
    NetworkId { home_chain: CHAIN, epoch_table: net.deployment.contracts.epoch_table }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_until_acknowledged_and_the_cursor_waits_for_it() {
    let net = Net::start().await;
    let oracle = account(&net.chain, 0x50).await.address();
    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&net, address, folder.path());
    mine(&net.chain, 2).await;
    let running = Running::start(&config).await;

    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    let (first_id, news) = stream.event().await;
    assert!(matches!(news, ChainNews::Epoch { .. }), "{news:?}");
    // The stream breaks before the acknowledgement: the next one tells the same event again.
    drop(stream);
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    let (again_id, news) = stream.event().await;
    assert!(matches!(news, ChainNews::Epoch { .. }), "{news:?}");
    assert_eq!(first_id, again_id);
    running.stop().await;
    let cursor = Cursor::open(&config.data_directory, CHAIN).unwrap();
    assert_eq!(cursor.position(), None, "nothing was acknowledged");

    // A new process tells it once more, and moves on after the acknowledgement.
    let running = Running::start(&config).await;
    drop(stream);
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    let (event_id, news) = stream.event().await;
    assert!(matches!(news, ChainNews::Epoch { .. }), "{news:?}");
    stream.ack(event_id).await;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = net.new_job(1).await;
    let contracts = net.deployment.contracts;
    let created = deploy::create_job(&mut requester, &contracts, &job).await.unwrap();
    mine(&net.chain, 2).await;
    let (event_id, news) = stream.event().await;
    assert!(matches!(&news, ChainNews::JobCreated { spec, .. } if spec.id() == created.job));
    stream.ack(event_id).await;
    running.stop().await;
    let position = Cursor::open(&config.data_directory, CHAIN).unwrap().position();
    assert!(position.is_some(), "the epoch's range was acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_from_the_dispatcher_becomes_final_and_is_told_again_after_a_break() {
    let net = Net::start().await;
    let oracle = account(&net.chain, 0x50).await.address();
    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&net, address, folder.path());
    mine(&net.chain, 2).await;
    let running = Running::start(&config).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    let (event_id, _) = stream.event().await;
    stream.ack(event_id).await;

    let (_, certificate) = net.certify(&lone_statement(1), &[0, 1, 3]).await;
    let id = certificate.id();
    let order = OracleOrder::SubmitCertificate { id, certificate: Box::new(certificate) };
    stream.say(order.clone()).await;
    let why = stream.chosen().await;
    assert_eq!(why, "published by attestation of one: nothing else waits (187716 gas)");
    let (_, news) = stream.event().await;
    let ChainNews::Submission { update: SubmissionUpdate::Sent { tx }, .. } = news else {
        panic!("sent, got {news:?}");
    };
    let (_, news) = stream.event().await;
    assert!(matches!(
        news,
        ChainNews::Submission { update: SubmissionUpdate::Included(at), .. } if at.tx == tx
    ));
    mine(&net.chain, 2).await;
    let (_, news) = stream.event().await;
    let ChainNews::Submission { update: SubmissionUpdate::Final(at), .. } = news else {
        panic!("final, got {news:?}");
    };
    drop(stream);
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    // Unacknowledged, so the standing is told again; the repeated order changes nothing.
    stream.say(order).await;
    assert_eq!(stream.chosen().await, why, "kept as it was chosen");
    let (event_id, news) = stream.event().await;
    assert!(matches!(
        news,
        ChainNews::Submission { update: SubmissionUpdate::Final(again), .. } if again == at
    ));
    stream.ack(event_id).await;
    running.stop().await;
    assert_eq!(net.sent_by(oracle).await, 1);
}

/// A job that a requester paid for, and what settles it, certified by three of the members.
async fn owed(net: &Net, requester: &mut Sender) -> SettleOrder {
    let (contracts, job) = (net.deployment.contracts, net.new_job(1).await);
    let spec = deploy::create_job(requester, &contracts, &job).await.unwrap().spec;
    let opened = opened(&spec, [requester.address(); 2]);
    let (batch, certificate) = net.certify(&opened.statement, &[0, 1, 2]).await;
    settle_order(net, &spec, opened, &batch, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_final_blocks_end_the_session_and_a_lost_certificate_is_posted_again() {
    let net = Net::start().await;
    let oracle = account(&net.chain, 0x50).await.address();
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let order = owed(&net, &mut requester).await;
    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    mine(&net.chain, 2).await;
    let snapshot = rpc(&net.chain, "evm_snapshot", serde_json::json!([])).await;
    let running = Running::start(&config(&net, address, folder.path())).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    for _ in 0..2 {
        let (event_id, _) = stream.event().await;
        stream.ack(event_id).await;
    }
    let id = order.certificate.id();
    let subject = SubmissionSubject::Certificate(id);
    let certificate = Box::new(order.certificate.clone());
    let attest = OracleOrder::SubmitCertificate { id, certificate };
    stream.say(attest).await;
    until_final(&mut stream, &net, subject).await;
    let head = net.chain.latest().await.unwrap().number;
    mine(&net.chain, 2).await;
    stream.read_to(head).await;

    // Nobody has acknowledged that yet when the chain loses what it called final. Asked for its
    // orders, the dispatcher owes a settlement.
    rpc(&net.chain, "evm_revert", serde_json::json!([snapshot])).await;
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([100])).await;
    mine(&net.chain, 8).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    stream.say(OracleOrder::SettleJob(Box::new(order))).await;
    until_final(&mut stream, &net, subject).await;
    running.stop().await;
}

/// Mines until a submission is in a block, and then until it is final; that is not acknowledged.
async fn until_final(stream: &mut Stream, net: &Net, wanted: SubmissionSubject) {
    let mut included = false;
    loop {
        let (event_id, news) = stream.event().await;
        let ChainNews::Submission { subject, update } = news else {
            stream.ack(event_id).await;
            continue;
        };
        match update {
            SubmissionUpdate::Included(_) if subject == wanted => {
                included = true;
                mine(&net.chain, 2).await;
            }
            SubmissionUpdate::Final(_) if subject == wanted && included => return,
            SubmissionUpdate::Failed(failure) => panic!("{subject:?}: {failure:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_settle_holds_the_escrow_until_the_verdict_is_hard() {
    let mut config = deploy::DeployConfig::development();
    config.epochs.challengeSeconds = 600;
    config.tasks.graceSeconds = 700;
    config.races.judgeSeconds = 601;
    config.races.holdSecondsMax = 601;
    let mut net = Net::start_with(&[], config).await;
    account(&net.chain, 0x50).await;
    let contracts = net.deployment.contracts;
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let order = owed(&net, &mut requester).await;
    let job = order.opened.job();
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([3600 + 200])).await;
    deploy::attest(&mut net.owner, contracts.proof_registry, &order.certificate).await.unwrap();

    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&self::config(&net, address, folder.path())).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), key().address()).await;
    let settle = OracleOrder::SettleJob(Box::new(order));
    stream.say(settle.clone()).await;
    let manager = evm(contracts.task_manager);
    let call = ITaskManager::jobsCall { jobId: hash(job.as_bytes()) };
    let held = async {
        while net.chain.view(manager, &call, BlockId::latest()).await.unwrap().heldUntil == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, held).await.expect("the escrow is held");
    // Ordered again, as after every reconnect.
    stream.say(settle).await;
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([601])).await;
    mine(&net.chain, 1).await;
    let subject = SubmissionSubject::Settle(job);
    loop {
        match stream.event().await {
            (_, ChainNews::Submission { subject: of, update }) => {
                assert_eq!(of, subject, "a hold is not the dispatcher's business");
                match update {
                    SubmissionUpdate::Sent { .. } => {}
                    SubmissionUpdate::Included(_) => break,
                    other => panic!("unexpected {other:?}"),
                }
            }
            (event_id, _) => stream.ack(event_id).await,
        }
    }
    running.stop().await;
    let escrow = deploy::escrow(&requester, contracts.task_manager, job).await.unwrap();
    assert_eq!(escrow.state, JobState::Settled);
    assert_eq!(net.sent_by(key().address()).await, 2);
}

/// A verifier's mirror that has one proof.
struct Mirror(Vec<u8>);

#[tonic::async_trait]
impl BlobService for Mirror {
    type DownloadBlobStream = ReceiverStream<Result<v1::DownloadBlobResponse, Status>>;

    async fn query_upload(
        &self,
        _: Request<v1::QueryUploadRequest>,
    ) -> Result<Response<v1::QueryUploadResponse>, Status> {
        Err(Status::unimplemented("a mirror takes nothing"))
    }

    async fn upload_blob(
        &self,
        _: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        Err(Status::unimplemented("a mirror takes nothing"))
    }

    async fn download_blob(
        &self,
        request: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Self::DownloadBlobStream>, Status> {
        if request.into_inner().digest != keccak256(&self.0).as_slice() {
            return Err(Status::not_found("another proof"));
        }
        let (parts, stream) = mpsc::channel(2);
        let length = Part::LengthBytes(self.0.len() as u64);
        for part in [length, Part::Chunk(self.0.clone())] {
            let response = v1::DownloadBlobResponse { part: Some(part) };
            parts.send(Ok(response)).await.map_err(|_| Status::aborted("gone"))?;
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn mirror(proof: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server =
        tonic::transport::Server::builder().add_service(BlobServiceServer::new(Mirror(proof)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_due_before_its_certificate_is_hard_is_judged_by_the_chain() {
    let proven = groth16::proven();
    let mut case = groth16::certified(&proven, &proven.envelope).await;
    case.pass(groth16::LATE_SECONDS).await;
    case.attest().await;
    account(&case.net.chain, 0x50).await;
    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let other = mirror(b"another proof".to_vec()).await;
    let mut config = config(&case.net, address, folder.path());
    config.mirror_urls = vec![other, mirror(proven.envelope.clone()).await];
    let running = Running::start(&config).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&case.net), key().address()).await;
    stream.say(OracleOrder::SettleJob(Box::new(case.order.clone()))).await;
    let subject = SubmissionSubject::Settle(case.order.opened.job());
    let mut chosen = None;
    loop {
        match stream.event().await {
            (_, ChainNews::Submission { subject: of, update }) => {
                assert_eq!(of, subject, "the verification is not the dispatcher's business");
                match update {
                    SubmissionUpdate::Chosen { why } => chosen = Some(why),
                    SubmissionUpdate::Sent { .. } => {}
                    SubmissionUpdate::Included(_) => break,
                    other => panic!("unexpected {other:?}"),
                }
            }
            (event_id, _) => stream.ack(event_id).await,
        }
    }
    running.stop().await;
    let why = chosen.expect("told before it is settled");
    assert!(why.starts_with("published by direct on-chain verification: deadline near"), "{why}");
    assert_ne!(case.proved_at().await, 0);
    assert_eq!(case.state().await, JobState::Settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_nobody_entered_is_told_closed_and_followed_by_the_next() {
    let mut net = Net::start().await;
    let oracle = account(&net.chain, 0x50).await.address();
    setup::allow_races(&mut net.owner, net.deployment.race_rounds, &[PROGRAM]).await.unwrap();
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let job = NewJob { mode: Mode::Race, ..net.new_job(1).await };
    let job =
        deploy::create_job(&mut requester, &net.deployment.contracts, &job).await.unwrap().job;
    rpc(&net.chain, "evm_increaseTime", serde_json::json!([100])).await;
    mine(&net.chain, 2).await;

    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&config(&net, address, folder.path())).await;
    let mut stream = open(&mut streams).await;
    stream.log_in(network(&net), oracle).await;
    let mut steps = Vec::new();
    while steps.len() < 3 {
        let (event_id, news) = stream.event().await;
        stream.ack(event_id).await;
        if let ChainNews::Race(news) = news {
            assert_eq!(news.job, job);
            steps.push(news.what);
            // Its own transaction follows what it has read; then that is read, too.
            let closed = async {
                while net.sent_by(oracle).await == 0 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, closed).await.expect("the round is closed");
            mine(&net.chain, 2).await;
        }
    }
    running.stop().await;
    let [RaceStep::Opened(first), closed, RaceStep::Opened(second)] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(*closed, RaceStep::Closed { round: 1, winners: 0 });
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(net.sent_by(oracle).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_of_another_network_gets_no_signature() {
    let net = Net::start().await;
    account(&net.chain, 0x50).await;
    let (address, mut streams) = dispatcher().await;
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&config(&net, address, folder.path())).await;
    let foreign = NetworkId { home_chain: ChainId::new(1), ..network(&net) };
    for (server, network) in [(SERVER, foreign), (Address::from_bytes([9; 20]), network(&net))] {
        let mut stream = open(&mut streams).await;
        assert!(matches!(stream.hear().await, OracleMessage::Hello(_)));
        let challenge = Challenge { server, server_nonce: SERVER_NONCE, network };
        stream.say(OracleOrder::Challenge(challenge)).await;
        let next = timeout(PATIENCE, stream.up.message()).await.expect("it hangs up");
        assert!(!matches!(next, Ok(Some(_))), "no login follows");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_oracle_with_the_same_key_and_folder_is_refused() {
    let net = Net::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (address, _streams) = dispatcher().await;
    let config = config(&net, address, folder.path());
    let _first = Oracle::open(&config, key()).await.unwrap();
    let second = Oracle::open(&config, key()).await.err().expect("refused");
    assert!(second.to_string().contains("one key has one sender"), "{second}");
}
