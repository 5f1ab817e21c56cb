//! Reads proofs from a verifier's mirror, as anybody may; what comes is worth its digest only.

use std::time::Duration;

use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::{DownloadBlobRequest, DownloadBlobResponse};
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use thiserror::Error;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Longest wait for a connection and for each message.
const MIRROR_IDLE_MAX: Duration = Duration::from_secs(20);

/// Why a mirror gave no proof.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the mirror at {url} {why}")]
pub struct MirrorError {
    /// Its address.
    pub url: String,
    /// What it did.
    pub why: String,
}

/// The proof with this digest, checked.
///
/// # Errors
/// When the mirror cannot be reached, has no such proof, stalls, or gives other bytes.
pub async fn read_proof(url: &str, digest: BlobDigest) -> Result<Vec<u8>, MirrorError> {
    let failed = |why: String| MirrorError { url: url.to_owned(), why };
    let proof = download(url, digest).await.map_err(failed)?;
    let got = BlobDigest::from_bytes(keccak256(&proof));
    if got != digest {
        return Err(failed(format!("gave {got} for {digest}")));
    }
    Ok(proof)
}

/// The proof with this digest from the first of these mirrors that has it.
///
/// # Errors
/// That of the last mirror; `None` if there is no mirror.
pub async fn read_from_any(
    urls: &[String],
    digest: BlobDigest,
) -> Result<Vec<u8>, Option<MirrorError>> {
    let mut last = None;
    for url in urls {
        match read_proof(url, digest).await {
            Ok(proof) => return Ok(proof),
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

async fn download(url: &str, digest: BlobDigest) -> Result<Vec<u8>, String> {
    let mut stream = open(url, digest).await?;
    let mut proof = Vec::new();
    let mut length = None;
    // The bytes as chunks of any size down to one byte would still end: the length bounds them.
    loop {
        let message = tokio::time::timeout(MIRROR_IDLE_MAX, stream.message()).await;
        let message = message.map_err(|_| "stalls".to_owned())?;
        let message = message.map_err(|status| format!("says: {}", status.message()))?;
        match (message, length) {
            (Some(DownloadBlobResponse { part: Some(Part::LengthBytes(bytes)) }), None) => {
                if bytes > PROOF_BYTES_MAX {
                    return Err(format!("says {bytes} bytes, no proof is so long"));
                }
                length = Some(bytes);
            }
            (Some(DownloadBlobResponse { part: Some(Part::Chunk(chunk)) }), Some(bytes)) => {
                if chunk.is_empty() || chunk.len() > CHUNK_BYTES_MAX {
                    return Err(format!("sends a chunk of {} bytes", chunk.len()));
                }
                proof.extend_from_slice(&chunk);
                if proof.len() as u64 > bytes {
                    return Err("sends more than it said".to_owned());
                }
            }
            (None, Some(_)) => return Ok(proof),
            _ => return Err("does not speak the protocol".to_owned()),
        }
    }
}

async fn open(url: &str, digest: BlobDigest) -> Result<Streaming<DownloadBlobResponse>, String> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|_| "has an address that is none; it looks like http://host:7480".to_owned())?
        .connect_timeout(MIRROR_IDLE_MAX);
    let channel: Channel =
        endpoint.connect().await.map_err(|_| "does not answer; is it open?".to_owned())?;
    let mut client = BlobServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = DownloadBlobRequest {
        digest: digest.as_bytes().to_vec(),
        offset_bytes: 0,
        authority: None,
    };
    let asked = tokio::time::timeout(MIRROR_IDLE_MAX, client.download_blob(request)).await;
    let answer = asked.map_err(|_| "does not answer".to_owned())?;
    Ok(answer.map_err(|status| format!("says: {}", status.message()))?.into_inner())
}
