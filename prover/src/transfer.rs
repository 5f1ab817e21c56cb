//! Blobs to and from the dispatcher, by digest, over a connection of their own so that they never
//! delay a heartbeat.
//!
//! The session token opens the calls and dies with the session, so a transfer that is cut off waits
//! for the next session and goes on where it stopped. What arrives is counted while it arrives and
//! used only if its digest is right.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::{Bytes, BytesMut};
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::SessionToken;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part as DownPart;
use proofgrid_proto::v1::upload_blob_request::Part as UpPart;
use proofgrid_proto::v1::{
    DownloadBlobRequest, QueryUploadRequest, UploadBlobRequest, UploadHeader,
};
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX, SESSION_TOKEN_METADATA};
use thiserror::Error;
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::inputs::digest_of;

/// Tries of one transfer while sessions are up, before the task is given up.
const TRIES_MAX: usize = 6;
/// Pauses between them.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Silence on a transfer after which it is cut off and resumed.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The token of the session that is up, if one is.
pub type CurrentToken = watch::Receiver<Option<SessionToken>>;

/// Why a blob did not travel.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The bytes are not those that the digest names.
    #[error("the bytes of {digest} have another digest, {got}; the source is faulty")]
    WrongDigest {
        /// What was asked for.
        digest: BlobDigest,
        /// What came.
        got: BlobDigest,
    },
    /// More or fewer bytes than announced.
    #[error("{digest} should have {expected}, the source has {got}")]
    WrongLength {
        /// The blob.
        digest: BlobDigest,
        /// What the job says.
        expected: ByteCount,
        /// What the source says or sent.
        got: ByteCount,
    },
    /// The dispatcher refuses the transfer; trying again changes nothing.
    #[error("the dispatcher refuses {digest}: {status}")]
    Refused {
        /// The blob.
        digest: BlobDigest,
        /// Its answer.
        status: Box<Status>,
    },
    /// Every try was cut off.
    #[error("{digest} was cut off {TRIES_MAX} times, last: {last}")]
    CutOff {
        /// The blob.
        digest: BlobDigest,
        /// What the last try met.
        last: String,
    },
    /// The worker is shutting down.
    #[error("the worker is shutting down")]
    Stopped,
}

/// Why one try of a transfer ended.
enum TryError {
    /// Trying again changes nothing.
    Final(TransferError),
    /// The session's token is dead; the next session has another.
    Unauthenticated,
    /// Cut off; the next try goes on.
    Again(String),
}

/// Moves blobs for the current session.
#[derive(Debug, Clone)]
pub struct Transfers {
    client: BlobServiceClient<Channel>,
    token: CurrentToken,
}

impl Transfers {
    /// Transfers over a channel, with the token of whichever session is up.
    #[must_use]
    pub fn new(channel: Channel, token: CurrentToken) -> Self {
        let client = BlobServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { client, token }
    }

    /// Fetches a blob of known length. Waits for a session, resumes after a cut.
    ///
    /// # Errors
    /// [`TransferError`]; the bytes are dropped then.
    pub async fn download(
        &self,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<Bytes, TransferError> {
        let mut got = BytesMut::new();
        let mut retry = Retry::new(digest);
        loop {
            let token = self.token().await?;
            let ended = self.download_from(&token, digest, length, &mut got).await;
            match ended {
                Ok(()) => break,
                Err(error) => self.pause(&mut retry, &token, error).await?,
            }
        }
        let found = digest_of(&got);
        if found != digest {
            return Err(TransferError::WrongDigest { digest, got: found });
        }
        Ok(got.freeze())
    }

    async fn download_from(
        &self,
        token: &SessionToken,
        digest: BlobDigest,
        length: ByteCount,
        got: &mut BytesMut,
    ) -> Result<(), TryError> {
        let asked = DownloadBlobRequest {
            digest: digest.as_bytes().to_vec(),
            offset_bytes: got.len() as u64,
            authority: None,
        };
        let call = with_token(asked, token);
        let mut client = self.client.clone();
        let mut stream = stalled(client.download_blob(call))
            .await?
            .map_err(|status| sort(digest, status))?
            .into_inner();
        let wrong_length = |got| {
            let got = ByteCount::new(got);
            TryError::Final(TransferError::WrongLength { digest, expected: length, got })
        };
        while (got.len() as u64) < length.get() {
            let part = stalled(stream.message()).await?.map_err(|status| sort(digest, status))?;
            match part.map(|response| response.part) {
                None => return Err(TryError::Again("the stream ended early".into())),
                Some(Some(DownPart::LengthBytes(says))) if says != length.get() => {
                    return Err(wrong_length(says));
                }
                Some(Some(DownPart::LengthBytes(_)) | None) => {}
                Some(Some(DownPart::Chunk(chunk))) => {
                    let total = (got.len() as u64).saturating_add(chunk.len() as u64);
                    if total > length.get() {
                        return Err(wrong_length(total));
                    }
                    got.extend_from_slice(&chunk);
                }
            }
        }
        Ok(())
    }

    /// Stores a blob at the dispatcher; one that is there already costs one question.
    ///
    /// # Errors
    /// [`TransferError`]; the caller keeps the bytes.
    pub async fn upload(&self, digest: BlobDigest, bytes: Bytes) -> Result<(), TransferError> {
        let mut retry = Retry::new(digest);
        loop {
            let token = self.token().await?;
            match self.upload_rest(&token, digest, &bytes).await {
                Ok(()) => return Ok(()),
                Err(error) => self.pause(&mut retry, &token, error).await?,
            }
        }
    }

    async fn upload_rest(
        &self,
        token: &SessionToken,
        digest: BlobDigest,
        bytes: &Bytes,
    ) -> Result<(), TryError> {
        let length_bytes = bytes.len() as u64;
        let name = digest.as_bytes().to_vec();
        let query = QueryUploadRequest { digest: name.clone(), length_bytes, authority: None };
        let mut client = self.client.clone();
        let held = stalled(client.query_upload(with_token(query, token)))
            .await?
            .map_err(|status| sort(digest, status))?
            .into_inner();
        if held.complete {
            return Ok(());
        }
        let offset = usize::try_from(held.offset_bytes)
            .ok()
            .filter(|offset| *offset <= bytes.len())
            .ok_or_else(|| TryError::Again("the dispatcher holds more than there is".into()))?;
        let offset_bytes = held.offset_bytes;
        let header = UploadHeader { digest: name, length_bytes, offset_bytes, authority: None };
        let rest = bytes.slice(offset..);
        let chunks = (0..rest.len()).step_by(CHUNK_BYTES_MAX).map(move |start| {
            let end = start.saturating_add(CHUNK_BYTES_MAX).min(rest.len());
            UpPart::Chunk(rest.slice(start..end).into())
        });
        let parts = std::iter::once(UpPart::Header(header))
            .chain(chunks)
            .map(|part| UploadBlobRequest { part: Some(part) });
        let call = with_token(tokio_stream::iter(parts), token);
        client.upload_blob(call).await.map_err(|status| sort(digest, status))?;
        Ok(())
    }

    /// The token of the session, once one is up.
    async fn token(&self) -> Result<SessionToken, TransferError> {
        let mut current = self.token.clone();
        let up = current.wait_for(Option::is_some).await.map_err(|_| TransferError::Stopped)?;
        (*up).ok_or(TransferError::Stopped)
    }

    /// Waits before the next try, or ends the transfer.
    async fn pause(
        &self,
        retry: &mut Retry,
        used: &SessionToken,
        error: TryError,
    ) -> Result<(), TransferError> {
        let mut current = self.token.clone();
        let replaced = |token: &Option<SessionToken>| token.as_ref() != Some(used);
        match error {
            TryError::Final(error) => Err(error),
            // A cut between sessions is the session's loss, not the transfer's.
            _ if replaced(&current.borrow()) => Ok(()),
            TryError::Unauthenticated => {
                current.wait_for(replaced).await.map_err(|_| TransferError::Stopped)?;
                Ok(())
            }
            TryError::Again(last) => {
                tracing::debug!(digest = %retry.digest, %last, "a transfer was cut off");
                let pause = retry.next(last)?;
                tokio::time::sleep(pause).await;
                Ok(())
            }
        }
    }
}

/// The pauses of one transfer.
struct Retry {
    digest: BlobDigest,
    pauses: backon::ExponentialBackoff,
}

impl Retry {
    fn new(digest: BlobDigest) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_max_times(TRIES_MAX)
            .build();
        Self { digest, pauses }
    }

    fn next(&mut self, last: String) -> Result<Duration, TransferError> {
        self.pauses.next().ok_or(TransferError::CutOff { digest: self.digest, last })
    }
}

fn with_token<T>(message: T, token: &SessionToken) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::from_bytes(token.expose());
    request.metadata_mut().insert_bin(SESSION_TOKEN_METADATA, value);
    request
}

async fn stalled<T>(step: impl Future<Output = T>) -> Result<T, TryError> {
    tokio::time::timeout(STALL_TIMEOUT, step)
        .await
        .map_err(|_| TryError::Again(format!("nothing came for {STALL_TIMEOUT:?}")))
}

/// Sorts a status by what it means for the next try.
fn sort(digest: BlobDigest, status: Status) -> TryError {
    match status.code() {
        Code::Unauthenticated => TryError::Unauthenticated,
        Code::InvalidArgument
        | Code::NotFound
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => {
            TryError::Final(TransferError::Refused { digest, status: Box::new(status) })
        }
        _ => TryError::Again(status.to_string()),
    }
}
