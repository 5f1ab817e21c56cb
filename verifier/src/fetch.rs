//! Proofs by digest: from the own directory, else from the dispatcher.
//!
//! A source can withhold bytes but not change them: the digest is computed while they arrive, and
//! what does not fit is thrown away. Fetched proofs are kept, so that this verifier can serve them
//! when somebody else withholds them, and need no second download.

use std::sync::Arc;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use proofgrid_core::ids::{Address, BlobDigest};
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::SessionToken;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::{DownloadBlobRequest, DownloadBlobResponse};
use proofgrid_proto::{MESSAGE_BYTES_MAX, SESSION_TOKEN_METADATA};
use proofgrid_store::blob::{BlobError, BlobStore};
use thiserror::Error;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::limits::{DOWNLOAD_IDLE_MAX, DOWNLOAD_PAUSE_MIN, DOWNLOAD_TRIES_MAX, DOWNLOADS_MAX};

/// Why a proof could not be had; the verifier abstains.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The source answers with an error.
    #[error("the source refuses blob {digest}: {problem}")]
    Refused {
        /// Which blob.
        digest: BlobDigest,
        /// What it said.
        problem: String,
    },
    /// The source sent something else than a blob.
    #[error("the source breaks the protocol on blob {digest}: {problem}")]
    Protocol {
        /// Which blob.
        digest: BlobDigest,
        /// What is wrong.
        problem: &'static str,
    },
    /// The source fell silent.
    #[error("the source of blob {digest} sent nothing for {DOWNLOAD_IDLE_MAX:?}")]
    Idle {
        /// Which blob.
        digest: BlobDigest,
    },
    /// The bytes are wrong or cannot be stored.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Where proofs come from.
#[async_trait]
pub trait ProofSource: Send + Sync {
    /// The bytes with this digest, checked.
    ///
    /// # Errors
    /// When no source has them, after some tries.
    async fn fetch(&self, digest: BlobDigest) -> Result<Bytes, FetchError>;
}

/// The own directory, then the dispatcher under one session's token.
#[derive(Clone)]
pub(crate) struct SessionSource {
    pub(crate) store: BlobStore,
    pub(crate) client: BlobServiceClient<Channel>,
    pub(crate) token: SessionToken,
    pub(crate) operator: Address,
    pub(crate) slots: Arc<Semaphore>,
}

impl SessionSource {
    pub(crate) fn new(
        store: BlobStore,
        channel: Channel,
        token: SessionToken,
        operator: Address,
    ) -> Self {
        let client = BlobServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self { store, client, token, operator, slots: Arc::new(Semaphore::new(DOWNLOADS_MAX)) }
    }

    async fn open(
        &self,
        digest: BlobDigest,
        offset: u64,
    ) -> Result<(ByteCount, Streaming<DownloadBlobResponse>), FetchError> {
        let mut request = Request::new(DownloadBlobRequest {
            digest: digest.as_bytes().to_vec(),
            offset_bytes: offset,
            authority: None,
        });
        let token = MetadataValue::from_bytes(self.token.expose());
        request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, token);
        let refused = |status: Status| FetchError::Refused {
            digest,
            problem: format!("{}: {}", status.code(), status.message()),
        };
        let answer = self.client.clone().download_blob(request).await.map_err(refused)?;
        let mut stream = answer.into_inner();
        match next(&mut stream, digest).await? {
            Some(Part::LengthBytes(length)) => Ok((ByteCount::new(length), stream)),
            _ => Err(FetchError::Protocol { digest, problem: "the length does not come first" }),
        }
    }

    /// One try; what arrived stays for the next one.
    async fn download(&self, digest: BlobDigest) -> Result<(), FetchError> {
        let (length, mut stream) = self.open(digest, 0).await?;
        if length.get() > PROOF_BYTES_MAX {
            let problem = "it is longer than any proof";
            return Err(FetchError::Protocol { digest, problem });
        }
        let mut upload = self.store.upload(self.operator, digest, length).await?;
        let offset = upload.offset().get();
        if offset > 0 && offset < length.get() {
            (_, stream) = self.open(digest, offset).await?;
        }
        while upload.offset() < length {
            match next(&mut stream, digest).await? {
                Some(Part::Chunk(chunk)) => upload.write(chunk.into()).await?,
                Some(Part::LengthBytes(_)) => {
                    let problem = "the length comes twice";
                    return Err(FetchError::Protocol { digest, problem });
                }
                None => break,
            }
        }
        upload.finish().await?;
        Ok(())
    }
}

async fn next(
    stream: &mut Streaming<DownloadBlobResponse>,
    digest: BlobDigest,
) -> Result<Option<Part>, FetchError> {
    let message = tokio::time::timeout(DOWNLOAD_IDLE_MAX, stream.message())
        .await
        .map_err(|_elapsed| FetchError::Idle { digest })?
        .map_err(|status| FetchError::Refused { digest, problem: status.message().to_owned() })?;
    match message {
        None => Ok(None),
        Some(DownloadBlobResponse { part: Some(part) }) => Ok(Some(part)),
        Some(DownloadBlobResponse { part: None }) => {
            Err(FetchError::Protocol { digest, problem: "a message is empty" })
        }
    }
}

#[async_trait]
impl ProofSource for SessionSource {
    async fn fetch(&self, digest: BlobDigest) -> Result<Bytes, FetchError> {
        let bytes_max = ByteCount::new(PROOF_BYTES_MAX);
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(BlobError::Interrupted { digest }.into());
        };
        match self.store.get(digest, bytes_max).await {
            Ok(bytes) => return Ok(bytes),
            Err(BlobError::Missing { .. }) => {}
            Err(BlobError::Damaged { .. }) => {
                tracing::warn!(target: "verifier", %digest, "a stored proof rotted; fetching again");
                self.store.delete(digest).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let tries = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(DOWNLOAD_PAUSE_MIN)
            .with_max_times(DOWNLOAD_TRIES_MAX - 1);
        (|| self.download(digest))
            .retry(tries)
            .notify(|error, _pause| {
                tracing::warn!(target: "verifier", %digest, %error, "a download failed");
            })
            .await?;
        Ok(self.store.get(digest, bytes_max).await?)
    }
}
