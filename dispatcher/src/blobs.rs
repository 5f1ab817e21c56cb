//! Blobs by content, in chunks. A byte is taken only from somebody who is accountable for it: a
//! requester under its signature, a prover in its session, or a verifier that was asked to give a
//! blob back; and given only to those whose work needs it: members of the epoch, the holder of a
//! lease on the input, a prover that was offered a race over it, the requester.

mod accounts;
mod pins;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod recalled_tests;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use proofgrid_core::ids::{Address, BlobDigest, Role};
use proofgrid_core::limits::{INPUT_BYTES_MAX, PROOF_BYTES_MAX};
use proofgrid_core::network::{Input, Network};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{BlobAccess, ConvertError, Problem, SessionToken, SignedRequest};
use proofgrid_proto::v1::blob_service_server::BlobService;
use proofgrid_proto::v1::{self, download_blob_response, upload_blob_request};
use proofgrid_proto::{CHUNK_BYTES_MAX, SESSION_TOKEN_METADATA};
use proofgrid_store::blob::{BlobError, Upload};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::actor::View;
use crate::auth::signer_of;
use crate::error::EdgeError;
use crate::grpc::unary;
use crate::limits::{CHUNK_PAUSE_MAX, DOWNLOAD_BUFFER, UPLOAD_RATE_LEAST, UPLOAD_TIME_LEAST};
use crate::recall::Delivery;
use crate::session::directory::TokenHolder;
use crate::shared::Shared;

pub use accounts::{Accounts, Lanes};
use accounts::{Booked, Bounds, Sender};
pub use pins::Pins;

/// An upload that may begin. The booking is dropped before the upload, which frees its key.
struct Begun {
    booked: Booked,
    upload: Upload,
    digest: BlobDigest,
    pin: pins::Pin,
    /// Set for the verifier that was asked for the blob.
    delivery: Option<Delivery>,
}

/// The blob calls.
#[derive(Clone, Debug)]
pub struct BlobGate {
    shared: Arc<Shared>,
}

fn digest_of(bytes: &[u8]) -> Result<BlobDigest, EdgeError> {
    let parsed = BlobDigest::try_from(bytes);
    Ok(parsed.map_err(|error| ConvertError::new("digest", error))?)
}

impl BlobGate {
    /// Serves the blobs of `shared`.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn holder(&self, metadata: &MetadataMap) -> Result<Option<TokenHolder>, EdgeError> {
        let Some(value) = metadata.get_bin(SESSION_TOKEN_METADATA) else { return Ok(None) };
        let bytes = value.to_bytes().map_err(|_| {
            let problem = Problem::Inconsistent("is no binary metadata");
            ConvertError::new(SESSION_TOKEN_METADATA, problem)
        })?;
        let token = SessionToken::try_from(bytes.as_ref())?;
        let holder = self.shared.directory.holder(&token).ok_or_else(|| {
            EdgeError::NotAllowed("this session is over; log in again for a new token".to_owned())
        })?;
        Ok(Some(holder))
    }

    fn requester(
        &self,
        authority: Option<&v1::BlobAuthority>,
        digest: BlobDigest,
        access: BlobAccess,
    ) -> Result<Address, EdgeError> {
        let authority =
            authority.ok_or_else(|| ConvertError::new("authority", Problem::Missing))?;
        let signed = SignedRequest::over_blob(authority, digest, access)?;
        signer_of(&signed, self.shared.network, self.shared.clock.now().as_seconds())
    }

    /// Who may send these bytes.
    async fn sender(
        &self,
        metadata: &MetadataMap,
        digest: BlobDigest,
        length: ByteCount,
        authority: Option<&v1::BlobAuthority>,
    ) -> Result<Sender, EdgeError> {
        let (sender, what, max) = match self.holder(metadata)? {
            None => {
                let address = self.requester(authority, digest, BlobAccess::Upload(length))?;
                (Sender::Requester(address), "bytes of an input", INPUT_BYTES_MAX)
            }
            Some(TokenHolder { role: Role::Prover, address, assigned }) if assigned > 0 => {
                (Sender::Prover(address), "bytes of a proof", PROOF_BYTES_MAX)
            }
            Some(TokenHolder { role: Role::Verifier, address, .. })
                if let Some(awaited) = self.shared.recalls.awaited(address, digest) =>
            {
                (Sender::Verifier(address), "bytes of a blob that was asked for", awaited.get())
            }
            Some(TokenHolder { role: Role::Prover, address, .. })
                if let Some(max) = self.race_proof_max(address, digest).await? =>
            {
                (Sender::Prover(address), "bytes of a proof", max.get().min(PROOF_BYTES_MAX))
            }
            Some(_) => {
                let text = "only a prover with a lease or a revealed entry that names this blob, \
                            or a verifier that was asked for it, uploads by session token";
                return Err(EdgeError::NotAllowed(text.to_owned()));
            }
        };
        if length.get() == 0 || length.get() > max {
            return Err(EdgeError::Limit { what, got: length.get(), max });
        }
        Ok(sender)
    }

    /// The most bytes of a proof that a prover revealed a race's entry with.
    async fn race_proof_max(
        &self,
        prover: Address,
        digest: BlobDigest,
    ) -> Result<Option<ByteCount>, EdgeError> {
        self.shared.actor.read(move |view| view.network.race_proof_max(&prover, &digest)).await
    }

    /// Books an upload on its sender's account, after striking what jobs name by now.
    async fn book(
        &self,
        sender: Sender,
        digest: BlobDigest,
        length: ByteCount,
    ) -> Result<Booked, EdgeError> {
        let accounts = &self.shared.accounts;
        let known = accounts.booked(sender);
        let (claimed, total) = self
            .shared
            .actor
            .read(move |view| {
                let state = view.network.state();
                let is_claimed = |digest: &BlobDigest| {
                    state.blobs.contains_key(digest) && !state.unclaimed_blobs.contains(digest)
                };
                let claimed: HashSet<_> = known.into_iter().filter(is_claimed).collect();
                let unclaimed = state.unclaimed_blobs.iter();
                let bytes = unclaimed.filter_map(|digest| state.blobs.get(digest));
                let total: u64 = bytes.map(|book| book.bytes.get()).sum();
                let is_named = state.awaiting.contains_key(&digest);
                (claimed, if is_named { 0 } else { total })
            })
            .await?;
        accounts.strike(sender, &claimed);
        let config = &self.shared.config;
        let is_requester = matches!(sender, Sender::Requester(_));
        // What is here from before a restart is on nobody's account; no lease is held up by it.
        if is_requester && total.saturating_add(length.get()) > config.unclaimed_bytes_max {
            return Err(EdgeError::Busy("too many bytes are here that no job names"));
        }
        let bounds = Bounds {
            per_sender: config.unclaimed_bytes_per_requester_max,
            total: config.unclaimed_bytes_max,
        };
        accounts.book(sender, digest, length.get(), bounds)
    }

    async fn begin(
        &self,
        metadata: &MetadataMap,
        header: &v1::UploadHeader,
    ) -> Result<Begun, EdgeError> {
        let digest = digest_of(&header.digest)?;
        let length = ByteCount::new(header.length_bytes);
        let sender = self.sender(metadata, digest, length, header.authority.as_ref()).await?;
        let pin = self.shared.pins.pin(digest).await;
        // The upload's key comes first: nobody else changes this booking while it is held.
        let upload = self.shared.blobs.upload(sender.address(), digest, length).await?;
        match self.book(sender, digest, length).await {
            Ok(mut booked) => {
                booked.holds(upload.offset().get());
                let delivery = match sender {
                    Sender::Verifier(operator) => self.shared.recalls.begin(operator, digest),
                    Sender::Requester(_) | Sender::Prover(_) => None,
                };
                Ok(Begun { booked, upload, digest, pin, delivery })
            }
            Err(error) => {
                if upload.offset() == ByteCount::ZERO {
                    upload.abort().await?;
                }
                Err(error)
            }
        }
    }

    async fn take_upload(
        &self,
        metadata: MetadataMap,
        mut stream: impl Stream<Item = Result<v1::UploadBlobRequest, Status>> + Unpin,
    ) -> Result<v1::UploadBlobResponse, EdgeError> {
        let is_peer = self.holder(&metadata)?.is_some();
        let _permit = self.shared.uploads.enter(is_peer, "too many uploads at a time")?;
        let header = match next_part(&mut stream).await? {
            Some(upload_blob_request::Part::Header(header)) => header,
            _ => return Err(EdgeError::Protocol("the first message of an upload is its header")),
        };
        let mut begun = self.begin(&metadata, &header).await?;
        let held = begun.upload.offset().get();
        if header.offset_bytes == 0 && held != 0 {
            // Of a blob that is complete already, what the sender sends all the same is counted.
            let is_known = begun.upload.is_known();
            begun.upload.restart().await?;
            begun.booked.holds(if is_known { held } else { 0 });
        } else if header.offset_bytes != held && held != header.length_bytes {
            let text = format!("{held} bytes are held; go on there, or start at 0");
            return Err(EdgeError::WrongState(text));
        }
        let receiving = begun.receive(&mut stream);
        let received = tokio::time::timeout(upload_time_max(header.length_bytes), receiving);
        received.await.map_err(|_| EdgeError::TimedOut("the upload"))??;
        let Begun { mut booked, upload, digest, pin: _recorded_below, delivery } = begun;
        if let Err(error) = upload.finish().await {
            if matches!(error, BlobError::WrongDigest { .. }) {
                booked.holds(0);
            }
            return Err(error.into());
        }
        let bytes = ByteCount::new(header.length_bytes);
        self.shared.actor.apply_when_room(Input::BlobStored { digest, bytes }).await?;
        if let Some(delivery) = delivery {
            delivery.stored();
        }
        let digest = digest.as_bytes().to_vec();
        Ok(v1::UploadBlobResponse { digest, length_bytes: header.length_bytes })
    }

    /// How much of a blob is here.
    async fn held(
        &self,
        metadata: &MetadataMap,
        query: &v1::QueryUploadRequest,
    ) -> Result<v1::QueryUploadResponse, EdgeError> {
        let digest = digest_of(&query.digest)?;
        let expected = ByteCount::new(query.length_bytes);
        let sender = self.sender(metadata, digest, expected, query.authority.as_ref()).await?;
        let _pin = self.shared.pins.pin(digest).await;
        let Some(bytes) = self.shared.blobs.length(digest).await? else {
            let held = self.shared.blobs.partial_length(sender.address(), digest).await?;
            // An upload starts anew over more than it announces.
            let offset_bytes = if held > expected { 0 } else { held.get() };
            return Ok(v1::QueryUploadResponse { offset_bytes, complete: false });
        };
        if bytes != expected {
            return Err(BlobError::WrongLength { digest, expected, got: bytes }.into());
        }
        // The process may have ended between the blob's rename and the fact of it. Whoever hears
        // "complete" uploads nothing, so this is the last chance to record it.
        self.shared.actor.apply(Input::BlobStored { digest, bytes }).await?;
        Ok(v1::QueryUploadResponse { offset_bytes: bytes.get(), complete: true })
    }

    /// Feeds a download. The permit is given back at its end, or when its reader stalls, of which
    /// the reader learns when it goes on.
    fn feed(
        &self,
        mut chunks: BoxStream<'static, Result<Bytes, BlobError>>,
        left: u64,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<v1::DownloadBlobResponse, Status>> + Send + 'static {
        let (sender, receiver) = mpsc::channel(DOWNLOAD_BUFFER);
        let shutdown = self.shared.shutdown.clone();
        self.shared.tracker.spawn(async move {
            let _permit = permit;
            let feeding = async {
                while let Some(chunk) = chunks.next().await {
                    if sender.send_timeout(chunk, CHUNK_PAUSE_MAX).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = feeding => {}
            }
        });
        futures::stream::unfold((receiver, left), |(mut receiver, left)| async move {
            match receiver.recv().await {
                Some(Ok(chunk)) => {
                    let left = left.saturating_sub(chunk.len() as u64);
                    let chunk = download_blob_response::Part::Chunk(chunk.to_vec());
                    Some((Ok(part(chunk)), (receiver, left)))
                }
                Some(Err(error)) => Some((Err(EdgeError::from(error).into()), (receiver, 0))),
                None if left > 0 => {
                    Some((Err(EdgeError::TimedOut("the download").into()), (receiver, 0)))
                }
                None => None,
            }
        })
    }

    /// Refuses a caller that may not read a blob; otherwise tells its length, if it was ever here.
    async fn check_reader(
        &self,
        metadata: &MetadataMap,
        digest: BlobDigest,
        authority: Option<&v1::BlobAuthority>,
    ) -> Result<Option<ByteCount>, EdgeError> {
        let reader = match self.holder(metadata)? {
            None => {
                let requester = self.requester(authority, digest, BlobAccess::Download)?;
                Reader::Requester(requester)
            }
            Some(holder) => match holder.role {
                Role::Prover => Reader::Prover(holder.address),
                Role::Verifier => Reader::Verifier,
                Role::Oracle => {
                    return Err(EdgeError::NotAllowed("an oracle reads no blobs".to_owned()));
                }
            },
        };
        let look = move |view: &View<'_>| {
            let book = view.network.state().blobs.get(&digest);
            let length = book.map(|book| book.bytes);
            reader.may_read(view.network, &digest).then_some(length)
        };
        self.shared.actor.read(look).await?.ok_or_else(|| {
            EdgeError::NotAllowed(format!(
                "blob {digest} belongs to no job or lease of yours; check the digest and who asks"
            ))
        })
    }

    /// The length of a blob that is here, or was and could be taken back from a verifier.
    async fn find(
        &self,
        digest: BlobDigest,
        known: Option<ByteCount>,
    ) -> Result<ByteCount, EdgeError> {
        if let Some(length) = self.shared.blobs.length(digest).await? {
            return Ok(length);
        }
        match known {
            Some(length) if self.shared.recalls.restore(digest, length).await? => Ok(length),
            _ => Err(EdgeError::UnknownBlob(digest)),
        }
    }
}

impl Begun {
    /// Writes chunks to the end of the stream.
    async fn receive(
        &mut self,
        stream: &mut (impl Stream<Item = Result<v1::UploadBlobRequest, Status>> + Unpin),
    ) -> Result<(), EdgeError> {
        while let Some(part) = next_part(stream).await? {
            let upload_blob_request::Part::Chunk(chunk) = part else {
                return Err(EdgeError::Protocol("an upload has one header"));
            };
            if chunk.is_empty() {
                return Err(EdgeError::Protocol("a chunk is empty; send only chunks with bytes"));
            }
            if chunk.len() > CHUNK_BYTES_MAX {
                let (got, max) = (chunk.len() as u64, CHUNK_BYTES_MAX as u64);
                return Err(EdgeError::Limit { what: "bytes of a chunk", got, max });
            }
            let is_known = self.upload.is_known();
            if let Err(error) = self.upload.write(Bytes::from(chunk)).await {
                if matches!(error, BlobError::WrongLength { .. }) && !is_known {
                    self.booked.holds(0);
                }
                return Err(error.into());
            }
            if !is_known {
                self.booked.holds(self.upload.offset().get());
            }
        }
        Ok(())
    }
}

/// A sender that dribbles is cut off; it can resume.
pub(crate) const fn upload_time_max(length: u64) -> Duration {
    UPLOAD_TIME_LEAST.saturating_add(Duration::from_secs(length / UPLOAD_RATE_LEAST))
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Requester(Address),
    Prover(Address),
    Verifier,
}

impl Reader {
    fn may_read(self, network: &Network, digest: &BlobDigest) -> bool {
        let state = network.state();
        match self {
            Self::Verifier => network.blob_jobs(digest).next().is_some(),
            Self::Requester(requester) => network
                .blob_jobs(digest)
                .any(|job| state.jobs.get(&job).is_some_and(|job| job.spec.requester == requester)),
            Self::Prover(prover) => {
                let leased = state.running.get(&prover).into_iter().flatten();
                leased
                    .filter_map(|task| state.task(task).ok())
                    .any(|(job, _)| job.spec.input == *digest)
                    || network.may_race_with(&prover, digest)
            }
        }
    }
}

async fn next_part(
    stream: &mut (impl Stream<Item = Result<v1::UploadBlobRequest, Status>> + Unpin),
) -> Result<Option<upload_blob_request::Part>, EdgeError> {
    let next = tokio::time::timeout(CHUNK_PAUSE_MAX, stream.next()).await;
    match next.map_err(|_| EdgeError::TimedOut("the next chunk"))? {
        None => Ok(None),
        Some(Ok(message)) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(ConvertError::new("part", Problem::Missing).into()),
        },
        Some(Err(_broken)) => Err(EdgeError::Protocol("the upload broke off; resume it")),
    }
}

type Download = Pin<Box<dyn Stream<Item = Result<v1::DownloadBlobResponse, Status>> + Send>>;

const fn part(part: download_blob_response::Part) -> v1::DownloadBlobResponse {
    v1::DownloadBlobResponse { part: Some(part) }
}

#[tonic::async_trait]
impl BlobService for BlobGate {
    async fn query_upload(
        &self,
        request: Request<v1::QueryUploadRequest>,
    ) -> Result<Response<v1::QueryUploadResponse>, Status> {
        let (metadata, _, query) = request.into_parts();
        unary(self.held(&metadata, &query)).await
    }

    async fn upload_blob(
        &self,
        request: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        let (metadata, _, stream) = request.into_parts();
        Ok(Response::new(self.take_upload(metadata, stream).await?))
    }

    type DownloadBlobStream = Download;

    async fn download_blob(
        &self,
        request: Request<v1::DownloadBlobRequest>,
    ) -> Result<Response<Download>, Status> {
        let (metadata, _, query) = request.into_parts();
        let is_peer = self.holder(&metadata)?.is_some();
        let permit = self.shared.downloads.enter(is_peer, "too many downloads at a time")?;
        let open = async {
            let digest = digest_of(&query.digest)?;
            let known = self.check_reader(&metadata, digest, query.authority.as_ref()).await?;
            let length = self.find(digest, known).await?;
            let chunks = self.shared.blobs.stream(digest, query.offset_bytes).await?;
            Ok((length, chunks))
        };
        let (length, chunks) = unary(open).await?.into_inner();
        let first = part(download_blob_response::Part::LengthBytes(length.get()));
        let left = length.get().saturating_sub(query.offset_bytes);
        let rest = self.feed(chunks, left, permit);
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(first)]).chain(rest))))
    }
}
