//! Simulated workers: real connections, sessions, heartbeats; proofs that were stored before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{LoginNonce, ProgramId, Role};
use proofgrid_core::network::{Device, ProgramOffer, ProverCapabilities};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{Hello, LoginProof, ProverMessage, ProverOrder};
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use proofgrid_proto::v1::prover_service_session_request::Message as Report;
use proofgrid_proto::v1::prover_service_session_response::Message as Order;
use proofgrid_proto::v1::{self, CompleteTask};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::{network, server_key};

/// How often a worker says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// A proof that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// When its task was assigned.
    pub assigned_at: Instant,
    /// Which try it was.
    pub attempt: u32,
}

/// What happened to the heartbeats of all workers, and to the workers.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Heartbeats that were acknowledged.
    pub beats: AtomicU64,
    /// Longest time until an acknowledgement, in microseconds.
    pub slowest_us: AtomicU64,
    /// Workers whose session ended.
    pub lost: AtomicU64,
}

/// One simulated worker with an open session.
pub struct Worker {
    up: mpsc::Sender<v1::ProverServiceSessionRequest>,
    down: Streaming<v1::ProverServiceSessionResponse>,
}

impl Worker {
    /// Logs in over `link` and registers with one slot for `program`.
    ///
    /// # Panics
    /// When the dispatcher does not let it in.
    pub async fn log_in(link: Channel, key: &WalletKey, program: ProgramId) -> Self {
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
        let server = server_key().address();
        let login = Login { role, server, server_nonce, client_nonce, operator };
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

    /// Waits for the first task.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn assigned(&mut self) {
        let ProverOrder::Assign(_) = self.next().await else { panic!("expected a task") };
    }

    /// Completes whatever it is given until the dispatcher ends.
    pub async fn run(
        mut self,
        report: CompleteTask,
        done: mpsc::UnboundedSender<Accepted>,
        pulse: Arc<Pulse>,
    ) {
        let mut heartbeats = tokio::time::interval(HEARTBEAT);
        let (mut sequence, mut beat_at) = (0, Instant::now());
        let mut taken = Accepted { assigned_at: Instant::now(), attempt: 0 };
        loop {
            let order = tokio::select! {
                order = self.down.next() => order,
                _ = heartbeats.tick() => {
                    sequence += 1;
                    beat_at = Instant::now();
                    let free_memory = ByteCount::new(8 << 30);
                    let message = ProverMessage::Heartbeat { sequence, free_memory };
                    if self.up.send(message.into()).await.is_err() {
                        break;
                    }
                    continue;
                }
            };
            let Some(Ok(order)) = order else { break };
            // As it comes on the wire: what a real worker checks, it checks on its own machine.
            match order.message.expect("an order") {
                Order::Assign(assignment) => {
                    let attempt = assignment.lease.as_ref().map_or(0, |lease| lease.attempt);
                    taken = Accepted { assigned_at: Instant::now(), attempt };
                    let complete = CompleteTask { lease: assignment.lease, ..report.clone() };
                    let message = Some(Report::Complete(complete));
                    let message = v1::ProverServiceSessionRequest { message };
                    self.up.send(message).await.expect("sent");
                }
                Order::Completion(answer) => {
                    assert_eq!(answer.outcome(), v1::CompletionOutcome::Accepted, "{answer:?}");
                    if done.send(taken).is_err() {
                        break;
                    }
                }
                Order::HeartbeatAck(_) => {
                    let took = u64::try_from(beat_at.elapsed().as_micros()).unwrap_or(u64::MAX);
                    pulse.beats.fetch_add(1, Ordering::Relaxed);
                    pulse.slowest_us.fetch_max(took, Ordering::Relaxed);
                }
                Order::Goaway(_) => break,
                other => panic!("unexpected: {other:?}"),
            }
        }
        pulse.lost.fetch_add(1, Ordering::Relaxed);
    }
}
