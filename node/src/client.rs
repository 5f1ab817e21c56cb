//! A client of the dispatcher: connects, learns the network, signs and sends requests.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use futures::StreamExt;
use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, BlobDigest, ChainContract, ChainId, JobId, NetworkId};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX, REASON_METADATA, v1};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::cli::{NetworkArgs, WalletArgs};
use crate::exit::{CliResult, Exit, ExitError, WithExit};
use crate::keystore;
use crate::network_file::NetworkFile;

/// How long one unary call may take, the server's queueing included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a signed request stays valid.
const REQUEST_LIFETIME_S: u64 = 600;

/// A connection to one dispatcher, and what it says about its network.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    /// What requests are signed for.
    pub network: NetworkId,
    /// What the dispatcher says about itself.
    pub info: v1::GetNetworkResponse,
}

impl Client {
    /// Connects and learns the network. With a network file, a dispatcher that names another chain
    /// or contract is refused; without one its word is taken, and a signature for it is worth
    /// nothing elsewhere.
    ///
    /// # Errors
    /// When it cannot be reached or is another network.
    pub async fn connect(args: &NetworkArgs) -> CliResult<Self> {
        let file = args.network.as_deref().map(NetworkFile::read).transpose()?;
        let url = args
            .dispatcher
            .clone()
            .or_else(|| file.as_ref().map(|file| file.dispatcher_url.clone()))
            .context("name the network with --network FILE or --dispatcher URL")
            .exit(Exit::Failed)?;
        let endpoint = Endpoint::from_shared(url.clone())
            .with_context(|| format!("{url:?} is no address; it looks like http://host:7400"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        let channel = endpoint
            .connect()
            .await
            .with_context(|| format!("no dispatcher answers at {url}; is it running?"))
            .exit(Exit::Unreachable)?;
        let info = job_client(&channel)
            .get_network(timed(v1::GetNetworkRequest {}))
            .await
            .map_err(refused)?
            .into_inner();
        let network = NetworkId {
            home_chain: ChainId::new(info.home_chain_id),
            epoch_table: Address::try_from(info.epoch_table.as_slice())?,
        };
        if let Some(expected) = file.map(|file| file.network()).transpose()?
            && expected != network
        {
            let error = anyhow!(
                "the dispatcher at {url} serves chain {} contract {}, the network file says chain \
                 {} contract {}; nothing was sent",
                network.home_chain,
                network.epoch_table,
                expected.home_chain,
                expected.epoch_table
            );
            return Err(ExitError { exit: Exit::Refused, error });
        }
        Ok(Self { channel, network, info })
    }

    /// The job calls.
    #[must_use]
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        job_client(&self.channel)
    }

    /// The only target chain, or the named one.
    ///
    /// # Errors
    /// When there is none, or several and none was named.
    pub fn target(&self, chain: Option<u64>) -> anyhow::Result<ChainContract> {
        let fits = |target: &&v1::TargetChain| chain.is_none_or(|id| id == target.chain_id);
        let mut targets = self.info.targets.iter().filter(fits);
        let target = targets.next().context("the network has no such target chain")?;
        anyhow::ensure!(targets.next().is_none(), "name the target chain with --target-chain");
        Ok(ChainContract {
            chain: ChainId::new(target.chain_id),
            contract: Address::try_from(target.proof_registry.as_slice())?,
        })
    }

    /// One job as it is now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn job(&self, job: JobId) -> CliResult<v1::Job> {
        let request = v1::GetJobRequest { job_id: job.as_bytes().to_vec() };
        let response = self.jobs().get_job(timed(request)).await.map_err(refused)?.into_inner();
        Ok(response.job.context("the dispatcher sent no job")?)
    }

    /// Follows a job's events; the stream ends with the job.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn watch(
        &self,
        job: JobId,
        from: u64,
    ) -> CliResult<tonic::Streaming<v1::WatchJobResponse>> {
        let request = v1::WatchJobRequest { job_id: job.as_bytes().to_vec(), from_sequence: from };
        Ok(self.jobs().watch_job(request).await.map_err(refused)?.into_inner())
    }

    /// Uploads a blob under the wallet's signature; continues where an earlier try ended.
    ///
    /// # Errors
    /// When it is refused or the connection breaks.
    pub async fn upload(&self, wallet: &WalletKey, blob: &[u8]) -> CliResult<BlobDigest> {
        let digest = BlobDigest::from_bytes(proofgrid_core::crypto::keccak256(blob));
        let length = ByteCount::new(blob.len() as u64);
        let expires = request_expiry();
        let request = Request::UploadBlob { digest, length, expires };
        let authority = v1::BlobAuthority {
            requester: wallet.address().as_bytes().to_vec(),
            expires_unix_s: expires.get(),
            signature: self.sign(wallet, request),
        };
        let mut blobs = BlobServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let query = v1::QueryUploadRequest {
            digest: digest.as_bytes().to_vec(),
            length_bytes: length.get(),
            authority: Some(authority.clone()),
        };
        let held = blobs.query_upload(timed(query)).await.map_err(refused)?.into_inner();
        if held.complete {
            return Ok(digest);
        }
        let header = v1::UploadBlobRequest {
            part: Some(v1::upload_blob_request::Part::Header(v1::UploadHeader {
                digest: digest.as_bytes().to_vec(),
                length_bytes: length.get(),
                offset_bytes: held.offset_bytes,
                authority: Some(authority),
            })),
        };
        let offset = usize::try_from(held.offset_bytes).unwrap_or(blob.len()).min(blob.len());
        let rest = blob.get(offset..).unwrap_or_default();
        let chunks: Vec<_> = rest
            .chunks(CHUNK_BYTES_MAX)
            .map(|chunk| v1::UploadBlobRequest {
                part: Some(v1::upload_blob_request::Part::Chunk(chunk.to_vec())),
            })
            .collect();
        let stream = futures::stream::once(async { header }).chain(futures::stream::iter(chunks));
        blobs.upload_blob(stream).await.map_err(refused)?;
        Ok(digest)
    }

    /// Signs a request for this network.
    #[must_use]
    pub fn sign(&self, wallet: &WalletKey, request: Request) -> Vec<u8> {
        let message = WalletMessage::Request { network: self.network, request };
        wallet.sign(&message).to_bytes().to_vec()
    }
}

/// Opens the wallet that the arguments name.
///
/// # Errors
/// When the file or password is wrong.
pub fn open_wallet(args: &WalletArgs) -> anyhow::Result<WalletKey> {
    wallet_from(&args.wallet, &args.password_file)
}

/// Opens a wallet key file with the password in another file.
///
/// # Errors
/// When the file or password is wrong.
pub fn wallet_from(path: &Path, password_file: &Path) -> anyhow::Result<WalletKey> {
    let password = keystore::read_password(password_file)?;
    let secret = keystore::read_wallet(path, &password)?;
    WalletKey::from_bytes(&secret).with_context(|| format!("{} holds no key", path.display()))
}

/// When a request that is signed now stops being valid.
#[must_use]
pub fn request_expiry() -> UnixSeconds {
    UnixSeconds::new(unix_seconds().saturating_add(REQUEST_LIFETIME_S))
}

/// Seconds since the Unix epoch by this machine's clock.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A request with the unary timeout.
#[must_use]
pub fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// Turns a refusal of the network into a message with its exit code.
#[must_use]
pub fn refused(status: Status) -> ExitError {
    let exit = match status.code() {
        Code::NotFound => Exit::NotFound,
        Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
        // It was not said by the other side, but by what was to carry its words.
        _ if std::error::Error::source(&status).is_some() => Exit::Unreachable,
        _ => Exit::Refused,
    };
    let reason = status.metadata().get(REASON_METADATA).and_then(|value| value.to_str().ok());
    let reason = reason.map(|name| format!(" [{name}]")).unwrap_or_default();
    ExitError { exit, error: anyhow!("{}{reason}", status.message()) }
}

fn job_client(channel: &Channel) -> JobServiceClient<Channel> {
    JobServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}
