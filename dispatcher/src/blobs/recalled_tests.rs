//! A blob that is gone here, seen from its reader and from the verifiers that are asked for it.

use proofgrid_core::network::Provenance;
use proofgrid_proto::convert::VerifierOrder;
use proofgrid_proto::v1::blob_service_server::BlobService as _;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;

use super::*;
use crate::session::directory::{Entrant, Membership, Outbound};
use crate::testing::{Idle, digest, download_authority, facts_of, spec, wallet};

const BLOB: &[u8] = b"a blob that was here";

/// A registered verifier.
struct Peer {
    token: SessionToken,
    orders: mpsc::Receiver<Result<VerifierOrder, Status>>,
    _membership: Membership,
}

impl Peer {
    fn enter(shared: &Shared, byte: u8) -> Self {
        let (sender, orders) = mpsc::channel(4);
        let token = SessionToken::from_bytes([byte; 32]);
        let membership = shared.directory.enter(Entrant {
            role: Role::Verifier,
            address: Address::from_bytes([byte; 20]),
            version: "test".to_owned(),
            remote: String::new(),
            outbound: Outbound::Verifier(sender),
            close: CancellationToken::new(),
            token,
        });
        shared.directory.set_registered(membership.session());
        Self { token, orders, _membership: membership }
    }

    /// Waits until it is asked for the blob.
    async fn wanted(&mut self) {
        let order = self.orders.recv().await.unwrap().unwrap();
        let length = ByteCount::new(BLOB.len() as u64);
        assert_eq!(order, VerifierOrder::BlobWanted { digest: digest(BLOB), length });
    }

    async fn upload(
        &self,
        gate: &BlobGate,
        bytes: &[u8],
    ) -> Result<v1::UploadBlobResponse, EdgeError> {
        let mut metadata = MetadataMap::new();
        let token = MetadataValue::from_bytes(self.token.expose());
        metadata.insert_bin(SESSION_TOKEN_METADATA, token);
        let header = upload_blob_request::Part::Header(v1::UploadHeader {
            digest: digest(BLOB).as_bytes().to_vec(),
            length_bytes: bytes.len() as u64,
            offset_bytes: 0,
            authority: None,
        });
        let parts = [header, upload_blob_request::Part::Chunk(bytes.to_vec())];
        let messages = parts.map(|part| Ok(v1::UploadBlobRequest { part: Some(part) }));
        gate.take_upload(metadata, futures::stream::iter(messages)).await
    }
}

/// A dispatcher whose facts say that the blob, an input of the first wallet's job, is here.
fn without_the_file() -> (Arc<Shared>, tempfile::TempDir) {
    let a_second_ago = 86_399_000;
    let bytes = ByteCount::new(BLOB.len() as u64);
    let job = spec(&wallet(1), 1, BLOB);
    let inputs = [
        (a_second_ago, Input::SubmitJob { spec: job, provenance: Provenance::Direct }),
        (a_second_ago, Input::BlobStored { digest: digest(BLOB), bytes }),
    ];
    Idle::after(&facts_of(inputs)).run()
}

async fn download(gate: BlobGate) -> Result<Vec<u8>, Status> {
    let request = Request::new(v1::DownloadBlobRequest {
        digest: digest(BLOB).as_bytes().to_vec(),
        offset_bytes: 0,
        authority: Some(download_authority(&wallet(1), digest(BLOB))),
    });
    let mut parts = gate.download_blob(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        if let Some(download_blob_response::Part::Chunk(chunk)) = part?.part {
            bytes.extend(chunk);
        }
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_blob_that_is_gone_comes_back_from_the_verifier_that_is_asked_and_no_other() {
    let (shared, _directory) = without_the_file();
    let gate = BlobGate::new(Arc::clone(&shared));
    let mut peers = [1, 2].map(|byte| Peer::enter(&shared, byte));
    let early = peers[0].upload(&gate, BLOB).await;
    assert!(matches!(early, Err(EdgeError::NotAllowed(_))), "nobody asked: {early:?}");

    let reading = tokio::spawn(download(gate.clone()));
    peers[0].wanted().await;
    let other = peers[1].upload(&gate, BLOB).await;
    assert!(matches!(other, Err(EdgeError::NotAllowed(_))), "another is asked: {other:?}");
    let long = peers[0].upload(&gate, &[BLOB, b"!"].concat()).await;
    assert!(matches!(long, Err(EdgeError::Limit { .. })), "{long:?}");
    let wrong = peers[0].upload(&gate, &[7; BLOB.len()]).await;
    assert!(matches!(wrong, Err(EdgeError::Blob(BlobError::WrongDigest { .. }))), "{wrong:?}");

    peers[1].wanted().await;
    peers[1].upload(&gate, BLOB).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), BLOB);
    let late = peers[1].upload(&gate, BLOB).await;
    assert!(matches!(late, Err(EdgeError::NotAllowed(_))), "it is over: {late:?}");
    assert_eq!(download(gate).await.unwrap(), BLOB, "it is here again");
}

#[tokio::test]
async fn a_blob_that_no_verifier_has_is_not_found() {
    let (shared, _directory) = without_the_file();
    let gate = BlobGate::new(Arc::clone(&shared));
    let mut peer = Peer::enter(&shared, 1);
    let reading = tokio::spawn(download(gate.clone()));
    peer.wanted().await;
    let operator = Address::from_bytes([1; 20]);
    shared.recalls.unavailable(operator, digest(BLOB), "not held".to_owned());
    let status = reading.await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "{status:?}");
}
