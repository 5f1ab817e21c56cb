//! Proofs by digest: from the own archive, else from the dispatcher, else from other verifiers.
//!
//! A source can withhold bytes but not change them: the digest is computed while they arrive, and
//! what does not fit is thrown away. Fetched proofs are kept, so that this verifier can serve them
//! when somebody else withholds them, and need no second download. What a source did not give is
//! counted for that source.

use std::sync::Arc;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use proofgrid_core::ids::{Address, BlobDigest};
use proofgrid_core::limits::{INPUT_BYTES_MAX, PROOF_BYTES_MAX};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::SessionToken;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::{DownloadBlobRequest, DownloadBlobResponse};
use proofgrid_proto::{MESSAGE_BYTES_MAX, SESSION_TOKEN_METADATA};
use proofgrid_store::blob::{BlobError, BlobStore};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::config::VerifierConfig;
use crate::limits::{
    DOWNLOAD_ANSWER_MAX, DOWNLOAD_IDLE_MAX, DOWNLOAD_PAUSE_MIN, DOWNLOAD_TRIES_MAX, DOWNLOADS_MAX,
    MIRRORS_MAX,
};
use crate::status::VerifierStatus;

/// Why a blob could not be had; the verifier abstains.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The source says that it does not have the blob.
    #[error(
        "{source_name} does not have blob {digest}; name other verifiers under mirror_urls, or \
         tell the operator of that source"
    )]
    Missing {
        /// Which source.
        source_name: String,
        /// Which blob.
        digest: BlobDigest,
    },
    /// The source answers with an error.
    #[error(
        "{source_name} does not send blob {digest}: {problem}; see its log, and whether this \
         operator is a member of the epoch"
    )]
    Refused {
        /// Which source.
        source_name: String,
        /// Which blob.
        digest: BlobDigest,
        /// What it said.
        problem: String,
    },
    /// The source sent something else than a blob.
    #[error(
        "{source_name} breaks the protocol on blob {digest}: {problem}; tell its operator, who may \
         run another version"
    )]
    Protocol {
        /// Which source.
        source_name: String,
        /// Which blob.
        digest: BlobDigest,
        /// What is wrong.
        problem: &'static str,
    },
    /// The source fell silent.
    #[error(
        "{source_name} sent nothing of blob {digest} for {DOWNLOAD_IDLE_MAX:?}; check the network \
         between it and this verifier"
    )]
    Idle {
        /// Which source.
        source_name: String,
        /// Which blob.
        digest: BlobDigest,
    },
    /// The bytes are wrong or cannot be stored.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Several sources, and none of them gave the blob.
    #[error("blob {digest} could be had nowhere: {problems}")]
    Nowhere {
        /// Which blob.
        digest: BlobDigest,
        /// What each of them said.
        problems: String,
    },
}

/// What a blob is, which decides how long it may be and whether it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// A proof; it is kept.
    Proof,
    /// A job's input. It is not kept: it may be private, and this verifier serves what it keeps.
    Input,
}

impl BlobKind {
    /// Most bytes of a blob of this kind.
    #[must_use]
    pub const fn bytes_max(self) -> ByteCount {
        ByteCount::new(match self {
            Self::Proof => PROOF_BYTES_MAX,
            Self::Input => INPUT_BYTES_MAX,
        })
    }
}

/// Where proofs come from.
#[async_trait]
pub trait ProofSource: Send + Sync {
    /// The bytes with this digest, checked.
    ///
    /// # Errors
    /// When no source has them, after some tries.
    async fn fetch(&self, digest: BlobDigest, kind: BlobKind) -> Result<Bytes, FetchError>;
}

/// The kept copy of a blob. One that rotted on the disk is removed and counts as missing.
pub(crate) async fn kept(
    store: &BlobStore,
    digest: BlobDigest,
    bytes_max: ByteCount,
) -> Result<Option<Bytes>, BlobError> {
    match store.get(digest, bytes_max).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BlobError::Missing { .. }) => Ok(None),
        Err(BlobError::Damaged { .. }) => {
            tracing::warn!(target: "verifier", %digest, "a stored proof rotted and is removed");
            store.delete(digest).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One place that blobs can be read from.
#[derive(Clone)]
struct Remote {
    /// In errors and counters.
    name: String,
    client: BlobServiceClient<Channel>,
    /// Opens the dispatcher's blobs; a mirror asks for none.
    token: Option<SessionToken>,
}

impl Remote {
    fn new(name: String, channel: Channel, token: Option<SessionToken>) -> Self {
        let client = BlobServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self { name, client, token }
    }

    fn refused(&self, digest: BlobDigest, status: &Status) -> FetchError {
        let source_name = self.name.clone();
        match status.code() {
            Code::NotFound => FetchError::Missing { source_name, digest },
            code => {
                let problem = format!("{code}: {}", status.message());
                FetchError::Refused { source_name, digest, problem }
            }
        }
    }

    fn breach(&self, digest: BlobDigest, problem: &'static str) -> FetchError {
        FetchError::Protocol { source_name: self.name.clone(), digest, problem }
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
        if let Some(token) = &self.token {
            let token = MetadataValue::from_bytes(token.expose());
            request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, token);
        }
        let mut client = self.client.clone();
        let answer = tokio::time::timeout(DOWNLOAD_ANSWER_MAX, client.download_blob(request))
            .await
            .map_err(|_elapsed| {
                let problem = format!("no answer within {DOWNLOAD_ANSWER_MAX:?}");
                FetchError::Refused { source_name: self.name.clone(), digest, problem }
            })?
            .map_err(|status| self.refused(digest, &status))?;
        let mut stream = answer.into_inner();
        match self.next(&mut stream, digest).await? {
            Some(Part::LengthBytes(length)) => Ok((ByteCount::new(length), stream)),
            _ => Err(self.breach(digest, "the length does not come first")),
        }
    }

    async fn next(
        &self,
        stream: &mut Streaming<DownloadBlobResponse>,
        digest: BlobDigest,
    ) -> Result<Option<Part>, FetchError> {
        let idle = |_elapsed| FetchError::Idle { source_name: self.name.clone(), digest };
        let message = tokio::time::timeout(DOWNLOAD_IDLE_MAX, stream.message())
            .await
            .map_err(idle)?
            .map_err(|status| self.refused(digest, &status))?;
        match message {
            None => Ok(None),
            Some(DownloadBlobResponse { part: Some(part) }) => Ok(Some(part)),
            Some(DownloadBlobResponse { part: None }) => {
                Err(self.breach(digest, "a message is empty"))
            }
        }
    }

    /// One try; what arrived stays for the next one.
    async fn download(
        &self,
        store: &BlobStore,
        operator: Address,
        digest: BlobDigest,
        bytes_max: ByteCount,
    ) -> Result<(), FetchError> {
        let (length, mut stream) = self.open(digest, 0).await?;
        if length > bytes_max {
            return Err(self.breach(digest, "it is longer than any blob of its kind"));
        }
        let mut upload = store.upload(operator, digest, length).await?;
        let offset = upload.offset().get();
        if offset > 0 && offset < length.get() {
            (_, stream) = self.open(digest, offset).await?;
        }
        while upload.offset() < length {
            match self.next(&mut stream, digest).await? {
                Some(Part::Chunk(chunk)) => upload.write(chunk.into()).await?,
                Some(Part::LengthBytes(_)) => {
                    return Err(self.breach(digest, "the length comes twice"));
                }
                None => break,
            }
        }
        upload.finish().await?;
        Ok(())
    }
}

/// The own archive, then the dispatcher under one session's token, then the mirrors.
#[derive(Clone)]
pub(crate) struct SessionSource {
    store: BlobStore,
    remotes: Vec<Remote>,
    operator: Address,
    slots: Arc<Semaphore>,
    status: watch::Sender<VerifierStatus>,
}

impl SessionSource {
    pub(crate) fn new(
        config: &VerifierConfig,
        store: BlobStore,
        channel: Channel,
        token: SessionToken,
        status: watch::Sender<VerifierStatus>,
    ) -> Self {
        let dispatcher = format!("the dispatcher at {}", config.dispatcher.uri());
        let mut remotes = vec![Remote::new(dispatcher, channel, Some(token))];
        let mirrors = config.mirrors.iter().take(MIRRORS_MAX).map(|mirror| {
            let channel = config.dialer.connect_lazy(mirror);
            Remote::new(format!("the mirror at {}", mirror.uri()), channel, None)
        });
        remotes.extend(mirrors);
        let slots = Arc::new(Semaphore::new(DOWNLOADS_MAX));
        Self { store, remotes, operator: config.operator, slots, status }
    }

    /// Stores a blob that is not here from the first source that gives it.
    async fn download(&self, digest: BlobDigest, bytes_max: ByteCount) -> Result<(), FetchError> {
        let mut problems = Vec::new();
        for remote in &self.remotes {
            let tries = ExponentialBuilder::default()
                .with_jitter()
                .with_min_delay(DOWNLOAD_PAUSE_MIN)
                .with_max_times(DOWNLOAD_TRIES_MAX - 1);
            let downloaded = (|| remote.download(&self.store, self.operator, digest, bytes_max))
                .retry(tries)
                .when(|error| !matches!(error, FetchError::Missing { .. }))
                .notify(|error, _pause| {
                    tracing::warn!(target: "verifier", %digest, %error, "a download failed");
                })
                .await;
            let Err(error) = downloaded else { return Ok(()) };
            tracing::warn!(target: "verifier", %digest, %error, "a source does not give a blob");
            self.status.send_modify(|status| {
                *status.missing_blobs.entry(remote.name.clone()).or_default() += 1;
            });
            problems.push(error);
        }
        if problems.len() > 1 {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(FetchError::Nowhere { digest, problems: all.join("; ") });
        }
        Err(problems.pop().unwrap_or(FetchError::Blob(BlobError::Missing { digest })))
    }
}

#[async_trait]
impl ProofSource for SessionSource {
    async fn fetch(&self, digest: BlobDigest, kind: BlobKind) -> Result<Bytes, FetchError> {
        let bytes_max = kind.bytes_max();
        let Ok(_slot) = self.slots.acquire().await else {
            return Err(BlobError::Interrupted { digest }.into());
        };
        if let Some(bytes) = kept(&self.store, digest, bytes_max).await? {
            return Ok(bytes);
        }
        self.download(digest, bytes_max).await?;
        let bytes = self.store.get(digest, bytes_max).await?;
        if kind == BlobKind::Input {
            self.store.delete(digest).await?;
        }
        Ok(bytes)
    }
}
