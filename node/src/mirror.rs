//! Reads proofs from a verifier's mirror, as anybody may; what comes is worth its digest only.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::BlobDigest;
use proofgrid_core::limits::PROOF_BYTES_MAX;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_proto::v1::{DownloadBlobRequest, DownloadBlobResponse};
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use tonic::transport::Endpoint;

/// Longest wait for a connection and for each message.
const MIRROR_IDLE_MAX: Duration = Duration::from_secs(20);

/// The proof with this digest, checked.
///
/// # Errors
/// When the mirror cannot be reached, has no such proof, stalls, or gives other bytes.
pub async fn read_proof(url: &str, digest: BlobDigest) -> anyhow::Result<Vec<u8>> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("{url:?} is no address; it looks like http://host:7480"))?
        .connect_timeout(MIRROR_IDLE_MAX);
    let channel = endpoint
        .connect()
        .await
        .with_context(|| format!("no mirror answers at {url}; is that verifier's open?"))?;
    let mut client = BlobServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = DownloadBlobRequest {
        digest: digest.as_bytes().to_vec(),
        offset_bytes: 0,
        authority: None,
    };
    let asked = tokio::time::timeout(MIRROR_IDLE_MAX, client.download_blob(request)).await;
    let answer = asked.with_context(|| format!("the mirror at {url} does not answer"))?;
    let mut stream = answer
        .map_err(|status| anyhow::anyhow!("the mirror at {url}: {}", status.message()))?
        .into_inner();
    let mut proof = Vec::new();
    let mut length = None;
    // The bytes as chunks of any size down to one byte would still end: the length bounds them.
    loop {
        let message = tokio::time::timeout(MIRROR_IDLE_MAX, stream.message()).await;
        let message = message.with_context(|| format!("the mirror at {url} stalls"))??;
        match (message, length) {
            (Some(DownloadBlobResponse { part: Some(Part::LengthBytes(bytes)) }), None) => {
                ensure!(bytes <= PROOF_BYTES_MAX, "the mirror at {url} says {bytes} bytes");
                length = Some(bytes);
            }
            (Some(DownloadBlobResponse { part: Some(Part::Chunk(chunk)) }), Some(bytes)) => {
                ensure!(
                    !chunk.is_empty() && chunk.len() <= CHUNK_BYTES_MAX,
                    "the mirror at {url} sends a chunk of {} bytes",
                    chunk.len()
                );
                proof.extend_from_slice(&chunk);
                ensure!(proof.len() as u64 <= bytes, "the mirror at {url} sends too much");
            }
            (None, Some(_)) => break,
            _ => bail!("the mirror at {url} does not speak the protocol"),
        }
    }
    let got = BlobDigest::from_bytes(keccak256(&proof));
    ensure!(got == digest, "the mirror at {url} gave {got} for {digest}");
    Ok(proof)
}
