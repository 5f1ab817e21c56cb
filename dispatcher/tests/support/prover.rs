//! A prover's side of a session, message by message.

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{LoginNonce, Role};
use proofgrid_core::network::{Assignment, Device, LeaseRef, ProgramOffer, ProverCapabilities};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{Hello, LoginProof, ProverMessage, ProverOrder};
use proofgrid_proto::v1;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::{HOME, Running, address, network, program};

/// A prover that is logged in.
pub struct Peer {
    up: mpsc::Sender<v1::ProverServiceSessionRequest>,
    down: Streaming<v1::ProverServiceSessionResponse>,
}

pub fn capabilities() -> ProverCapabilities {
    ProverCapabilities {
        name: "rig".to_owned(),
        version: "test".to_owned(),
        device: Device::Cpu,
        slots: 2,
        memory_bytes: ByteCount::new(8 << 30),
        programs: vec![ProgramOffer { program: program(), units_per_kilosecond: 1_000_000 }],
    }
}

pub fn lease_of(assignment: &Assignment) -> LeaseRef {
    let lease = assignment.lease;
    LeaseRef { task: lease.task, attempt: lease.attempt, token: lease.token }
}

impl Peer {
    pub async fn log_in(running: &Running, key: &WalletKey) -> Self {
        let (up, receiver) = mpsc::channel(16);
        let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let client_nonce = LoginNonce::from_bytes([3; 32]);
        let (role, operator) = (Role::Prover, key.address());
        let hello = Hello { role, operator, client_nonce, version: "test".to_owned() };
        up.send(ProverMessage::Hello(hello).into()).await.unwrap();
        let mut client = ProverServiceClient::new(running.channel.clone());
        let down = client.session(messages).await.unwrap().into_inner();
        let mut peer = Self { up, down };
        let ProverOrder::Challenge(challenge) = peer.next().await.unwrap() else {
            panic!("expected a challenge")
        };
        let (server, server_nonce) = (address(0xd1), challenge.server_nonce);
        let login = Login { role, server, server_nonce, client_nonce, operator };
        let message = WalletMessage::Login { network: network(HOME), login };
        peer.send(ProverMessage::Login(LoginProof::Wallet(key.sign(&message)))).await;
        let welcome = peer.next().await.unwrap();
        assert!(matches!(welcome, ProverOrder::Welcome(_)), "{welcome:?}");
        peer
    }

    pub async fn send(&self, message: ProverMessage) {
        self.up.send(message.into()).await.unwrap();
    }

    /// The next order, or why the session ended.
    pub async fn next(&mut self) -> Result<ProverOrder, tonic::Status> {
        Ok(ProverOrder::try_from(self.down.next().await.unwrap()?).unwrap())
    }

    /// Registers with what it holds and returns what of that is still its own.
    pub async fn register(&mut self, holding: Vec<LeaseRef>) -> Vec<LeaseRef> {
        self.send(ProverMessage::Register { capabilities: capabilities(), holding }).await;
        match self.next().await.unwrap() {
            ProverOrder::Registered { resumed } => resumed,
            other => panic!("expected the registration, got {other:?}"),
        }
    }

    /// The next assignment; nothing else may come before it.
    pub async fn assigned(&mut self) -> Box<Assignment> {
        match self.next().await.unwrap() {
            ProverOrder::Assign(assignment) => assignment,
            other => panic!("expected an assignment, got {other:?}"),
        }
    }
}
