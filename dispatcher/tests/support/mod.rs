//! A dispatcher in this process, with a real server on loopback and a journal in memory.

mod fixtures;
pub mod prover;

use std::path::Path;
use std::sync::Arc;

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::job::JobSpec;
use proofgrid_dispatcher::config::DispatcherConfig;
use proofgrid_dispatcher::{Dispatcher, DispatcherError, Handle};
use proofgrid_proto::v1;
use proofgrid_proto::v1::admin_service_client::AdminServiceClient;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, JournalConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use fixtures::*;

pub struct Running {
    pub handle: Handle,
    pub shutdown: CancellationToken,
    pub channel: Channel,
    pub journal: Journal,
    blobs: TempDir,
}

/// The first message of an upload: `key` signs for the digest of `named` and for a length.
pub fn header(key: &WalletKey, named: &[u8], length: u64) -> v1::UploadBlobRequest {
    let digest = digest(named);
    let part = v1::upload_blob_request::Part::Header(v1::UploadHeader {
        digest: digest.as_bytes().to_vec(),
        length_bytes: length,
        offset_bytes: 0,
        authority: Some(upload_authority(key, digest, length)),
    });
    v1::UploadBlobRequest { part: Some(part) }
}

/// A further message of an upload.
pub fn chunk(bytes: &[u8]) -> v1::UploadBlobRequest {
    let part = v1::upload_blob_request::Part::Chunk(bytes.to_vec());
    v1::UploadBlobRequest { part: Some(part) }
}

pub async fn start() -> Running {
    start_with(config()).await
}

pub async fn start_with(config: DispatcherConfig) -> Running {
    let journal = Journal::open(&JournalConfig::memory()).unwrap();
    start_on(config, journal, TempDir::new().unwrap()).await
}

/// Starts a dispatcher that nobody is connected to yet.
pub async fn launch(
    config: DispatcherConfig,
    journal: Journal,
    blobs: &Path,
) -> Result<(Handle, CancellationToken), DispatcherError> {
    let programs = Arc::new(proofgrid_programs::registry());
    let store = BlobStore::open(&BlobStoreConfig::new(blobs)).unwrap();
    let judge = no_judge(Arc::clone(&programs));
    let shutdown = CancellationToken::new();
    let started =
        Dispatcher::start(config, server_key(), journal, store, programs, judge, shutdown.clone())
            .await;
    Ok((started?, shutdown))
}

async fn start_on(config: DispatcherConfig, journal: Journal, blobs: TempDir) -> Running {
    let (handle, shutdown) = launch(config, journal.clone(), blobs.path()).await.unwrap();
    let endpoint = format!("http://{}", handle.address());
    let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
    Running { handle, shutdown, channel, journal, blobs }
}

impl Running {
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub fn blobs(&self) -> BlobServiceClient<Channel> {
        BlobServiceClient::new(self.channel.clone())
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Submits a job and uploads its input.
    pub async fn submit_with_input(&self, key: &WalletKey, job: &JobSpec, input: &[u8]) {
        self.jobs().submit_job(submit(key, job, HOME, now() + 60)).await.unwrap();
        let messages = [header(key, input, input.len() as u64), chunk(input)];
        self.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap();
    }

    pub async fn job(&self, job: &JobSpec) -> v1::Job {
        let request = v1::GetJobRequest { job_id: job.id().as_bytes().to_vec() };
        self.jobs().get_job(request).await.unwrap().into_inner().job.unwrap()
    }

    /// The directory of its blobs.
    pub fn blob_directory(&self) -> &Path {
        self.blobs.path()
    }

    /// Ends it and starts another on the same journal and blobs.
    pub async fn restart(self) -> Self {
        self.restart_with(config()).await
    }

    /// As [`Self::restart`], with these settings.
    pub async fn restart_with(self, config: DispatcherConfig) -> Self {
        self.shutdown.cancel();
        drop(self.channel);
        self.handle.join().await.unwrap();
        start_on(config, self.journal, self.blobs).await
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        drop(self.channel);
        self.handle.join().await.unwrap();
    }
}
