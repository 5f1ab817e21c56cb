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
use tonic::transport::Channel;

use super::{HOME, Running, network, program, server_key};

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
        Self::try_log_in(running.channel.clone(), key).await.unwrap()
    }

    /// Logs in over a connection of its own choice.
    ///
    /// # Errors
    /// Why the login was refused.
    pub async fn try_log_in(channel: Channel, key: &WalletKey) -> Result<Self, tonic::Status> {
        let (up, receiver) = mpsc::channel(16);
        let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let client_nonce = LoginNonce::from_bytes([3; 32]);
        let (role, operator) = (Role::Prover, key.address());
        let hello = Hello { role, operator, client_nonce, version: "test".to_owned() };
        up.send(ProverMessage::Hello(hello).into()).await.unwrap();
        let mut client = ProverServiceClient::new(channel);
        let down = client.session(messages).await?.into_inner();
        let mut peer = Self { up, down };
        let ProverOrder::Challenge(challenge) = peer.next().await? else {
            panic!("expected a challenge")
        };
        let (server, server_nonce) = (server_key().address(), challenge.server_nonce);
        let login = Login { role, server, server_nonce, client_nonce, operator };
        let message = WalletMessage::Login { network: network(HOME), login };
        // If the session ended meanwhile, its answer says why.
        peer.try_send(ProverMessage::Login(LoginProof::Wallet(key.sign(&message)))).await;
        let welcome = peer.next().await?;
        assert!(matches!(welcome, ProverOrder::Welcome(_)), "{welcome:?}");
        Ok(peer)
    }

    pub async fn send(&self, message: ProverMessage) {
        assert!(self.try_send(message).await, "the session is over");
    }

    /// Sends unless the session is over.
    pub async fn try_send(&self, message: ProverMessage) -> bool {
        self.try_send_wire(message.into()).await
    }

    /// Sends what no conversion would make.
    pub async fn try_send_wire(&self, message: v1::ProverServiceSessionRequest) -> bool {
        self.up.send(message).await.is_ok()
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
