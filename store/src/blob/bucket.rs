//! A bucket of an S3-compatible object store as the place of whole blobs.
//!
//! Uploads are still written to a partial file first and checked there: what reaches the bucket has
//! its promised digest and is named by it, so a request that is repeated, or repeated by another
//! process, changes nothing. A blob shows in the bucket whole or not at all.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, RetryConfig,
};
use proofgrid_core::ids::BlobDigest;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::blob_path;
use super::error::BlobError;
use super::upload::Partial;
use crate::limits::{
    BUCKET_CONNECT_TIME_MAX, BUCKET_PART_BYTES, BUCKET_PAUSES, BUCKET_PROBLEM_BYTES_MAX,
    BUCKET_PUTS_MAX, BUCKET_REQUEST_TIME_MAX, BUCKET_RETRY_TIME_MAX,
};

/// Who may use a bucket.
#[derive(Clone, Debug)]
pub struct BucketCredentials {
    /// The public name of the key.
    pub key_id: String,
    /// The secret; shown nowhere.
    pub secret: SecretString,
    /// Goes with keys that hold for a short time.
    pub session_token: Option<SecretString>,
}

/// A bucket of an S3-compatible object store.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    /// Its name; it has to exist.
    pub name: String,
    /// What every key begins with, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// URL of the object store; absent for AWS.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// Whether the endpoint may be plain HTTP: bytes and their digests travel in the clear, the
    /// secret never travels.
    pub allow_http: bool,
    /// Who may use it.
    pub credentials: BucketCredentials,
}

/// An open bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    puts: Arc<Semaphore>,
}

impl Bucket {
    /// Prepares the client; asks the object store nothing.
    pub(super) fn open(config: &BucketConfig, retries_max: usize) -> Result<Self, BlobError> {
        let refuse = |problem: String| BlobError::Bucket { name: config.name.clone(), problem };
        let prefix = ObjectPath::parse(&config.prefix).map_err(|error| refuse(told(&error)))?;
        let is_plain = match &config.endpoint {
            None => false,
            Some(url) if url.contains('@') => {
                return Err(refuse("its endpoint holds a name or password; leave them out".into()));
            }
            Some(url) if url.starts_with("https://") => false,
            Some(url) if url.starts_with("http://") && config.allow_http => true,
            Some(url) => {
                let text = format!("its endpoint is {url:?}; write https://host, or allow http");
                return Err(refuse(text));
            }
        };
        // Only the first call installs it; every TLS connection uses the same implementation.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = ClientOptions::new()
            .with_allow_http(config.allow_http)
            .with_connect_timeout(BUCKET_CONNECT_TIME_MAX)
            .with_timeout(BUCKET_REQUEST_TIME_MAX);
        if is_plain {
            // A machine without any certificate authorities still reaches its own object store.
            options = options.with_no_system_certificates(true);
        }
        let (init_backoff, max_backoff) = BUCKET_PAUSES;
        let credentials = &config.credentials;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.name)
            .with_region(&config.region)
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(credentials.secret.expose_secret())
            .with_retry(RetryConfig {
                backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
                max_retries: retries_max,
                retry_timeout: BUCKET_RETRY_TIME_MAX,
            })
            // Not every object store knows the call that deletes many.
            .with_disable_bulk_delete(true)
            .with_client_options(options);
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token.expose_secret());
        }
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let objects = builder.build().map_err(|error| refuse(told(&error)))?;
        let objects = Arc::new(PrefixStore::new(objects, prefix));
        Ok(Self { objects, puts: Arc::new(Semaphore::new(BUCKET_PUTS_MAX)) })
    }

    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// Stores a checked partial file under its digest and removes it. Goes on when nobody waits any
    /// more, so that an upload in parts is completed or aborted.
    pub(super) async fn put(
        &self,
        digest: BlobDigest,
        partial: Box<Partial>,
    ) -> Result<(), BlobError> {
        let bucket = self.clone();
        tokio::spawn(async move { bucket.send(digest, partial).await })
            .await
            .map_err(|_cancelled| BlobError::Interrupted { digest })?
    }

    async fn send(&self, digest: BlobDigest, partial: Box<Partial>) -> Result<(), BlobError> {
        let Ok(_turn) = self.puts.acquire().await else {
            return Err(BlobError::Interrupted { digest });
        };
        let path = blob_path(digest);
        let failed = |error| failed("store", &digest, error);
        let partial = if partial.written() <= BUCKET_PART_BYTES as u64 {
            let (partial, bytes) = Partial::part(digest, partial, 0).await?;
            self.objects.put(&path, bytes.into()).await.map_err(failed)?;
            partial
        } else {
            let mut parts = self.objects.put_multipart(&path).await.map_err(failed)?;
            match send_parts(digest, parts.as_mut(), partial).await {
                Ok(partial) => partial,
                Err(error) => {
                    if let Err(left) = parts.abort().await {
                        let problem = told(&left);
                        tracing::warn!(
                            %digest, problem,
                            "parts of a failed upload stay in the bucket; let a rule of its \
                             lifecycle abort uploads that are not completed"
                        );
                    }
                    return Err(error);
                }
            }
        };
        Partial::remove_file(digest, partial).await
    }
}

async fn send_parts(
    digest: BlobDigest,
    parts: &mut dyn MultipartUpload,
    mut partial: Box<Partial>,
) -> Result<Box<Partial>, BlobError> {
    let mut sent = 0;
    while sent < partial.written() {
        let bytes: Bytes;
        (partial, bytes) = Partial::part(digest, partial, sent).await?;
        sent = sent.saturating_add(bytes.len() as u64);
        parts.put_part(bytes.into()).await.map_err(|error| failed("store", &digest, error))?;
    }
    parts.complete().await.map_err(|error| failed("store", &digest, error))?;
    Ok(partial)
}

/// What an error of an object store means: it is away, and the same will succeed later, or it
/// refuses, and somebody has to act.
pub(super) fn failed(
    action: &'static str,
    what: &dyn fmt::Display,
    error: object_store::Error,
) -> BlobError {
    let (what, problem) = (what.to_string(), told(&error));
    match error {
        object_store::Error::Generic { .. } if !is_refusal(&problem) => {
            BlobError::Away { action, what, problem }
        }
        _ => BlobError::Refused { action, what, problem },
    }
}

/// Whether the object store answered, and that the request cannot be served as it is (a status of 4xx
/// that is not about load). The library tells the status of some requests in words only.
fn is_refusal(problem: &str) -> bool {
    let status = problem.split_once("status code: ").map_or("", |(_, status)| status);
    status.starts_with('4') && !status.starts_with("408") && !status.starts_with("429")
}

/// An error's text with its causes; an object store may answer at any length.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.truncate(text.floor_char_boundary(BUCKET_PROBLEM_BYTES_MAX));
    text
}
