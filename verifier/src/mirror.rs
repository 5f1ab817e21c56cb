//! The mirror: anybody may read this verifier's kept proofs by digest, where its operator allows it.
//!
//! This is what remains when a dispatcher withholds a proof on purpose. The digest of a proof stands
//! in the segment record, so who can ask knows the job; a proof is no secret, and inputs are not kept.
//! Off unless an address is configured. Connections, streams, headers, pauses and ages are bounded,
//! and one reader holds a chunk or two in memory.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use futures::{Stream, StreamExt};
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_proto::accept::{Acceptor, ConnectionLimits, Listening};
use proofgrid_proto::v1::blob_service_server::{BlobService, BlobServiceServer};
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::{self, DownloadBlobResponse};
use proofgrid_store::blob::{BlobError, BlobStore};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::limits::{
    MIRROR_CONNECTION_AGE_MAX, MIRROR_CONNECTIONS_MAX, MIRROR_CONNECTIONS_PER_NETWORK_MAX,
    MIRROR_HEADER_BYTES_MAX, MIRROR_PAUSE_MAX, MIRROR_STREAMS_MAX,
};

/// Binds the mirror's address; must be called on a runtime.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves the proofs of `store` until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, store: BlobStore, shutdown: CancellationToken) {
    let limits = ConnectionLimits {
        total: MIRROR_CONNECTIONS_MAX,
        per_network: MIRROR_CONNECTIONS_PER_NETWORK_MAX,
    };
    let acceptor = Acceptor::new(Listening::new(listener), limits);
    let served = Server::builder()
        .max_concurrent_streams(MIRROR_STREAMS_MAX)
        .http2_max_header_list_size(MIRROR_HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(MIRROR_PAUSE_MAX))
        .http2_keepalive_timeout(Some(MIRROR_PAUSE_MAX))
        .max_connection_age(MIRROR_CONNECTION_AGE_MAX)
        .add_service(BlobServiceServer::new(Mirror { store }))
        .serve_with_incoming_shutdown(acceptor, shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(target: "verifier", %error, "the mirror ended; the verifier goes on");
    }
}

struct Mirror {
    store: BlobStore,
}

fn told(error: &BlobError) -> Status {
    match error {
        BlobError::Missing { .. } => Status::not_found(error.to_string()),
        BlobError::Range { .. } => Status::out_of_range(error.to_string()),
        _ => {
            tracing::error!(target: "verifier", %error, "a kept proof cannot be read");
            Status::internal("the mirror failed; its operator finds the cause in its log")
        }
    }
}

fn message(part: Part) -> DownloadBlobResponse {
    DownloadBlobResponse { part: Some(part) }
}

type Download = Pin<Box<dyn Stream<Item = Result<DownloadBlobResponse, Status>> + Send>>;

#[tonic::async_trait]
impl BlobService for Mirror {
    type DownloadBlobStream = Download;

    async fn query_upload(
        &self,
        _request: Request<v1::QueryUploadRequest>,
    ) -> Result<Response<v1::QueryUploadResponse>, Status> {
        Err(Status::unimplemented("a mirror takes no uploads; ask the dispatcher"))
    }

    async fn upload_blob(
        &self,
        _request: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        Err(Status::unimplemented("a mirror takes no uploads; send it to the dispatcher"))
    }

    async fn download_blob(
        &self,
        request: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Download>, Status> {
        let v1::DownloadBlobRequest { digest, offset_bytes, authority: _ } = request.into_inner();
        let digest = BlobDigest::try_from(digest.as_slice())
            .map_err(|error| Status::invalid_argument(format!("field digest: {error}")))?;
        let length = self.store.length(digest).await.map_err(|error| told(&error))?;
        let length = length.filter(|length| length.get() <= PROOF_BYTES_MAX);
        let length = length.ok_or_else(|| told(&BlobError::Missing { digest }))?;
        let mut chunks =
            self.store.stream(digest, offset_bytes).await.map_err(|error| told(&error))?;
        let (sender, receiver) = mpsc::channel(1);
        // Ends with the proof, with its reader, or when the reader pauses for too long.
        tokio::spawn(async move {
            let first = Ok(message(Part::LengthBytes(length.get())));
            if sender.send_timeout(first, MIRROR_PAUSE_MAX).await.is_err() {
                return;
            }
            while let Some(chunk) = chunks.next().await {
                let part = match chunk {
                    Ok(chunk) => Ok(message(Part::Chunk(chunk.into()))),
                    Err(error) => Err(told(&error)),
                };
                if sender.send_timeout(part, MIRROR_PAUSE_MAX).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
