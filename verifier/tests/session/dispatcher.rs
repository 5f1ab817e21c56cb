//! The dispatcher's side of the wire, as far as a verifier sees it. The test says what it answers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::Stream;
use proofgrid_core::crypto::bls::{BlsMessage, PublicKeyG2};
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{Address, BlobDigest, LoginNonce, NetworkId, Role, SessionId};
use proofgrid_core::sealed::CommitSet;
use proofgrid_core::units::{Millis, UnixMillis};
use proofgrid_proto::convert::{
    Challenge, LoginProof, SessionToken, VerifierMessage, VerifierOrder, Welcome,
};
use proofgrid_proto::v1::blob_service_server::{BlobService, BlobServiceServer};
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::upload_blob_request::Part as UpPart;
use proofgrid_proto::v1::verifier_service_server::{VerifierService, VerifierServiceServer};
use proofgrid_proto::{SESSION_TOKEN_METADATA, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// The key of the server, which signs commit sets.
pub fn server_key() -> WalletKey {
    WalletKey::from_bytes(&[0xd1; 32]).expect("a scalar")
}

pub fn server() -> Address {
    server_key().address()
}

pub const TOKEN: [u8; 32] = [0x70; 32];

/// How the blobs are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    Honestly,
    /// Other bytes than asked for.
    Lying,
    /// The first download of each blob breaks off in its middle.
    BreakingOffOnce,
}

#[derive(Clone)]
struct Blobs {
    bytes: Arc<Mutex<HashMap<BlobDigest, Bytes>>>,
    serving: Serving,
    /// Offsets that were asked for.
    offsets: Arc<Mutex<Vec<u64>>>,
    given: mpsc::Sender<(BlobDigest, Vec<u8>)>,
}

fn check_token<T>(request: &Request<T>) -> Result<(), Status> {
    let token = request.metadata().get_bin(SESSION_TOKEN_METADATA);
    let token = token.and_then(|token| token.to_bytes().ok());
    if token.as_deref() == Some(&TOKEN[..]) {
        return Ok(());
    }
    Err(Status::unauthenticated("no session token"))
}

type Download = Pin<Box<dyn Stream<Item = Result<v1::DownloadBlobResponse, Status>> + Send>>;

#[tonic::async_trait]
impl BlobService for Blobs {
    type DownloadBlobStream = Download;

    async fn query_upload(
        &self,
        _request: Request<v1::QueryUploadRequest>,
    ) -> Result<Response<v1::QueryUploadResponse>, Status> {
        Err(Status::unimplemented("not a part of this test"))
    }

    /// Takes the bytes as they come; the test looks at them.
    async fn upload_blob(
        &self,
        request: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        check_token(&request)?;
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|message| message.part);
        let Some(UpPart::Header(header)) = first else {
            return Err(Status::invalid_argument("no header"));
        };
        let mut bytes = Vec::new();
        while let Some(message) = parts.message().await? {
            let Some(UpPart::Chunk(chunk)) = message.part else {
                return Err(Status::invalid_argument("no chunk"));
            };
            bytes.extend(chunk);
        }
        let digest = BlobDigest::try_from(header.digest.as_slice()).expect("32 bytes");
        let (digest_bytes, length_bytes) = (header.digest, header.length_bytes);
        self.given.send((digest, bytes)).await.expect("the test runs");
        Ok(Response::new(v1::UploadBlobResponse { digest: digest_bytes, length_bytes }))
    }

    async fn download_blob(
        &self,
        request: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Download>, Status> {
        check_token(&request)?;
        let request = request.into_inner();
        let digest = BlobDigest::try_from(request.digest.as_slice()).expect("32 bytes");
        let mut bytes = self.bytes.lock().expect("free").get(&digest).cloned();
        if self.serving == Serving::Lying {
            bytes = bytes.map(|bytes| bytes.iter().map(|byte| !byte).collect());
        }
        let bytes = bytes.ok_or_else(|| Status::not_found("no such blob"))?;
        let is_first = {
            let mut offsets = self.offsets.lock().expect("free");
            offsets.push(request.offset_bytes);
            offsets.len() == 1
        };
        let mut parts = vec![Ok(Part::LengthBytes(bytes.len() as u64))];
        let rest = bytes.slice(request.offset_bytes as usize..);
        let breaks = is_first && self.serving == Serving::BreakingOffOnce;
        let end = if breaks { rest.len() / 2 } else { rest.len() };
        parts.extend(rest[..end].chunks(1000).map(|chunk| Ok(Part::Chunk(chunk.to_vec()))));
        if breaks {
            parts.push(Err(Status::unavailable("the cable was pulled")));
        }
        let messages = parts
            .into_iter()
            .map(|part| part.map(|part| v1::DownloadBlobResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(futures::stream::iter(messages))))
    }
}

/// One session as the dispatcher holds it.
pub struct Connection {
    incoming: Streaming<v1::VerifierServiceSessionRequest>,
    outgoing: mpsc::Sender<Result<v1::VerifierServiceSessionResponse, Status>>,
}

struct Sessions(mpsc::Sender<Connection>);

#[tonic::async_trait]
impl VerifierService for Sessions {
    type SessionStream = ReceiverStream<Result<v1::VerifierServiceSessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::VerifierServiceSessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, receiver) = mpsc::channel(64);
        let connection = Connection { incoming: request.into_inner(), outgoing };
        self.0.send(connection).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// A running server on a port of its own.
pub struct Dispatcher {
    pub uri: String,
    connections: mpsc::Receiver<Connection>,
    /// Blobs that were given back.
    pub given: mpsc::Receiver<(BlobDigest, Vec<u8>)>,
    blobs: Blobs,
}

impl Dispatcher {
    pub async fn start(serving: Serving) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let uri = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, connections) = mpsc::channel(4);
        let (give, given) = mpsc::channel(4);
        let (bytes, offsets) = (Arc::default(), Arc::default());
        let blobs = Blobs { bytes, serving, offsets, given: give };
        let server = tonic::transport::Server::builder()
            .add_service(VerifierServiceServer::new(Sessions(sender)))
            .add_service(BlobServiceServer::new(blobs.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { uri, connections, given, blobs }
    }

    pub fn put(&self, digest: BlobDigest, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.blobs.bytes.lock().expect("free").insert(digest, bytes);
    }

    pub fn withhold_all(&self) {
        self.blobs.bytes.lock().expect("free").clear();
    }

    /// Offsets of all downloads so far.
    pub fn offsets(&self) -> Vec<u64> {
        self.blobs.offsets.lock().expect("free").clone()
    }

    /// The next dial, before any message.
    pub async fn dialled(&mut self) -> Connection {
        self.connections.recv().await.expect("the server runs")
    }

    /// The next session, logged in and registered.
    pub async fn session(
        &mut self,
        network: NetworkId,
        operator: Address,
        key: &PublicKeyG2,
        heartbeat: Millis,
    ) -> Connection {
        let mut connection = self.dialled().await;
        let VerifierMessage::Hello(hello) = connection.receive().await else {
            panic!("no hello");
        };
        assert_eq!((hello.role, hello.operator), (Role::Verifier, operator));
        let server_nonce = LoginNonce::from_bytes([0x5e; 32]);
        connection
            .send(VerifierOrder::Challenge(Challenge { server: server(), server_nonce, network }))
            .await;
        let VerifierMessage::Login(LoginProof::Bls(signature)) = connection.receive().await else {
            panic!("no login");
        };
        let login = Login {
            role: Role::Verifier,
            server: server(),
            server_nonce,
            client_nonce: hello.client_nonce,
            operator,
        };
        key.verify(&BlsMessage::Login { network, login }, &signature).expect("a good login");
        connection
            .send(VerifierOrder::Welcome(Welcome {
                session: SessionId::new(8),
                token: SessionToken::from_bytes(TOKEN),
                heartbeat_interval: heartbeat,
                dead_after: Millis::new(30_000),
                now: UnixMillis::new(1),
            }))
            .await;
        let VerifierMessage::Register { manifests, .. } = connection.receive().await else {
            panic!("no registration");
        };
        assert_eq!(manifests.len(), proofgrid_programs::registry().iter().count());
        connection
    }
}

impl Connection {
    pub async fn send(&self, order: VerifierOrder) {
        self.send_raw(order.into()).await;
    }

    pub async fn send_raw(&self, message: v1::VerifierServiceSessionResponse) {
        self.outgoing.send(Ok(message)).await.expect("the session is open");
    }

    /// The next message, whatever it is.
    pub async fn receive(&mut self) -> VerifierMessage {
        let message = self.incoming.message().await.expect("a good stream").expect("a message");
        VerifierMessage::try_from(message).expect("a message that converts")
    }

    /// The next message that is no heartbeat.
    pub async fn answer(&mut self) -> VerifierMessage {
        loop {
            match self.receive().await {
                VerifierMessage::Heartbeat { .. } => {}
                other => return other,
            }
        }
    }

    /// The next message that is no heartbeat; a commitment is answered with a signed set of it alone.
    pub async fn opened(&mut self, network: NetworkId, operator: Address) -> VerifierMessage {
        let answer = self.answer().await;
        let VerifierMessage::Commit { epoch, table, statement, commitment } = answer else {
            return answer;
        };
        let set = CommitSet::new((epoch, table), statement, 0, vec![(operator, commitment)]);
        let set = set.expect("one commitment");
        let message = WalletMessage::CommitSet { network, set: Box::new(set.clone()) };
        let signature = server_key().sign(&message);
        self.send(VerifierOrder::Reveal { set, signature }).await;
        self.answer().await
    }

    /// Ends the session from this side.
    pub fn hang_up(&mut self) {
        // The stream ends when its sender is gone.
        self.outgoing = mpsc::channel(1).0;
    }

    /// Whether the peer hung up without saying anything more.
    pub async fn is_hung_up(&mut self) -> bool {
        !matches!(self.incoming.message().await, Ok(Some(_)))
    }
}
