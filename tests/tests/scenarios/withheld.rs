//! Proofs that are gone at the dispatcher come back from the verifiers that judged them: for a
//! verifier that has yet to judge, and for the requester that downloads.

use std::fs;

use anyhow::{Context, ensure};
use proofgrid_core::crypto::eip712::Request;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::{BlobDigest, JobId};
use proofgrid_node::client::{Client, request_expiry};
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::download_blob_response::Part;
use proofgrid_tests::{NewJob, Scenario};

/// Nine parts; those of the second and third are no quorum.
const STAKES: [u64; 4] = [3, 3, 2, 1];
const LATE: [&str; 2] = ["verifier-1", "verifier-4"];

/// Digests of the job's accepted proofs.
fn proofs(scenario: &Scenario, job: JobId) -> anyhow::Result<Vec<BlobDigest>> {
    let network = scenario.devnet.network_args();
    scenario.block_on(async {
        let client = Client::connect(&network).await.map_err(|error| error.error)?;
        let found = client.job(job).await.map_err(|error| error.error)?;
        let digests = found.tasks.iter().map(|task| task.proof_digest.as_slice());
        let proofs = digests.filter(|digest| !digest.is_empty()).map(BlobDigest::try_from);
        Ok(proofs.collect::<Result<_, _>>()?)
    })
}

/// What `DownloadBlob` gives the requester.
fn download(scenario: &Scenario, digest: BlobDigest) -> anyhow::Result<Vec<u8>> {
    let (network, wallet) = (scenario.devnet.network_args(), scenario.requester()?);
    let url = scenario.devnet.network().dispatcher_url.clone();
    scenario.block_on(async {
        let client = Client::connect(&network).await.map_err(|error| error.error)?;
        let expires = request_expiry();
        let authority = v1::BlobAuthority {
            requester: wallet.address().as_bytes().to_vec(),
            expires_unix_s: expires.get(),
            signature: client.sign(&wallet, Request::DownloadBlob { digest, expires }),
        };
        let request = v1::DownloadBlobRequest {
            digest: digest.as_bytes().to_vec(),
            offset_bytes: 0,
            authority: Some(authority),
        };
        let mut blobs = BlobServiceClient::connect(url).await?;
        let mut parts = blobs.download_blob(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = parts.message().await? {
            if let Some(Part::Chunk(chunk)) = message.part {
                bytes.extend(chunk);
            }
        }
        Ok(bytes)
    })
}

/// Removes every blob under the running dispatcher, as an operator's mistake would.
fn lose_all_blobs(scenario: &Scenario) -> anyhow::Result<()> {
    let folder = scenario.devnet.layout().data("dispatcher").join("blobs");
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// The network of this fault: two verifiers come late.
pub fn network(options: &mut DevnetOptions) {
    options.stakes = STAKES.to_vec();
    options.not_started = LATE.map(str::to_owned).to_vec();
}

/// Proofs that the dispatcher lost come back from the verifiers.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let job = scenario.submit(&NewJob::keccak(3, scenario.nonce())?)?;
    scenario.wait_for(job, "committed to by those who are here", |view| {
        view.votes.as_ref().is_some_and(|votes| votes.stake_committed * 9 == votes.stake_total * 5)
    })?;
    let proofs = proofs(scenario, job)?;
    ensure!(!proofs.is_empty(), "the job has proofs");

    lose_all_blobs(scenario)?;
    for name in LATE {
        scenario.devnet.start_role(name)?;
    }
    scenario.wait_for_state(job, "settled")?;

    lose_all_blobs(scenario)?;
    for digest in &proofs {
        let bytes = download(scenario, *digest)?;
        ensure!(keccak256(&bytes) == *digest.as_bytes(), "{digest} came back as it was");
    }
    let log = scenario.log("dispatcher");
    let given = log.lines().filter(|line| line.contains("a verifier gave back a blob")).count();
    ensure!(given >= 2 * proofs.len(), "each proof came back twice:\n{}", scenario.logs(40));
    Ok(())
}
