//! Giving back: uploads a kept proof to a dispatcher that lost it.
//!
//! The dispatcher asks for a digest; what is here under it goes up under the session's token. This
//! gives away nothing that the dispatcher had not sent before.

use std::sync::Arc;

use bytes::Bytes;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::SessionToken;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::upload_blob_request::Part;
use proofgrid_proto::v1::{UploadBlobRequest, UploadHeader};
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX, SESSION_TOKEN_METADATA};
use proofgrid_store::blob::{BlobError, BlobStore};
use thiserror::Error;
use tokio::sync::Semaphore;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use crate::fetch::kept;
use crate::limits::{GIVEN_BACK_MAX, GIVING_BACK_TIME_MAX};

/// Why a blob does not come from this verifier; the dispatcher is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum GiveError {
    #[error("this verifier does not hold the blob; ask another one")]
    NotHeld,
    #[error("this verifier holds {got} under the digest, {wanted} are wanted; ask for that many")]
    OtherLength { got: ByteCount, wanted: ByteCount },
    #[error("the upload failed: {0}; ask again")]
    Upload(String),
    #[error("the upload took longer than {GIVING_BACK_TIME_MAX:?}; ask again")]
    TooSlow,
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Gives kept blobs back within one session.
#[derive(Clone)]
pub(crate) struct Giver {
    store: BlobStore,
    client: BlobServiceClient<Channel>,
    token: SessionToken,
    slots: Arc<Semaphore>,
}

impl Giver {
    pub(crate) fn new(store: BlobStore, channel: Channel, token: SessionToken) -> Self {
        let client = BlobServiceClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { store, client, token, slots: Arc::new(Semaphore::new(GIVEN_BACK_MAX)) }
    }

    /// Uploads a kept blob of this length.
    pub(crate) async fn give(
        &self,
        digest: BlobDigest,
        wanted: ByteCount,
    ) -> Result<(), GiveError> {
        let got = self.store.length(digest).await?.ok_or(GiveError::NotHeld)?;
        if got != wanted {
            return Err(GiveError::OtherLength { got, wanted });
        }
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(BlobError::Interrupted { digest }.into());
        };
        let bytes = kept(&self.store, digest, wanted).await?.ok_or(GiveError::NotHeld)?;
        let uploading = self.upload(digest, bytes);
        tokio::time::timeout(GIVING_BACK_TIME_MAX, uploading)
            .await
            .map_err(|_elapsed| GiveError::TooSlow)??;
        tracing::info!(target: "verifier", %digest, %wanted, "gave a blob back to the dispatcher");
        Ok(())
    }

    async fn upload(&self, digest: BlobDigest, bytes: Bytes) -> Result<(), GiveError> {
        let header = UploadHeader {
            digest: digest.as_bytes().to_vec(),
            length_bytes: bytes.len() as u64,
            offset_bytes: 0,
            authority: None,
        };
        let chunks = (0..bytes.len()).step_by(CHUNK_BYTES_MAX).map(move |start| {
            let end = start.saturating_add(CHUNK_BYTES_MAX).min(bytes.len());
            Part::Chunk(bytes.slice(start..end).into())
        });
        let parts = std::iter::once(Part::Header(header)).chain(chunks);
        let messages = parts.map(|part| UploadBlobRequest { part: Some(part) });
        let mut request = Request::new(tokio_stream::iter(messages));
        let token = MetadataValue::from_bytes(self.token.expose());
        request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, token);
        let uploaded = self.client.clone().upload_blob(request).await;
        let problem = |status: tonic::Status| format!("{}: {}", status.code(), status.message());
        uploaded.map(|_stored| ()).map_err(|status| GiveError::Upload(problem(status)))
    }
}
