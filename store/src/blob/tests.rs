use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::TryStreamExt;
use proofgrid_objects::{BUCKET, KEY_ID, Objects, SECRET};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::blob::upload::digest_of;
use crate::limits::BUCKET_PART_BYTES;

const ANN: Address = Address::from_bytes([1; 20]);
const BOB: Address = Address::from_bytes([2; 20]);
/// What the keys of the blobs begin with, so that no test depends on a bucket of one's own.
const PREFIX: &str = "one/dispatcher";
/// Times that a request to a bucket is repeated: a pause of a tenth of a second.
const RETRIES: usize = 1;

/// Where the blobs of a test lie.
struct Ground {
    directory: TempDir,
    server: Option<Server>,
}

/// The object store of a test.
struct Server {
    folder: TempDir,
    endpoint: String,
    left: Arc<AtomicUsize>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let objects = Objects::open(folder.path(), 0).await.expect("a server");
        let endpoint = format!("http://{}", objects.address().expect("listens"));
        let left = objects.requests_left();
        Self { folder, endpoint, left, serving: tokio::spawn(objects.serve()) }
    }

    fn config(&self) -> BucketConfig {
        BucketConfig {
            name: BUCKET.to_owned(),
            prefix: PREFIX.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".to_owned(),
            allow_http: true,
            credentials: BucketCredentials {
                key_id: KEY_ID.to_owned(),
                secret: SECRET.into(),
                session_token: None,
            },
        }
    }

    /// Answers so many more requests, then hangs up.
    fn answers(&self, requests: usize) {
        self.left.store(requests, Ordering::Release);
    }
}

impl Ground {
    async fn files() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), server: None }
    }

    async fn bucket() -> Self {
        Self { server: Some(Server::start().await), ..Self::files().await }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("a bucket")
    }

    fn config(&self) -> BlobStoreConfig {
        let bucket = self.server.as_ref().map(Server::config);
        BlobStoreConfig { bucket, ..BlobStoreConfig::new(self.directory.path()) }
    }

    fn store(&self) -> BlobStore {
        BlobStore::open_with(&self.config(), RETRIES).expect("opens")
    }

    /// Where whole blobs lie.
    fn place(&self) -> PathBuf {
        match &self.server {
            Some(server) => server.folder.path().join(BUCKET).join(PREFIX),
            None => self.directory.path().to_path_buf(),
        }
    }

    /// What is stored, whole or partial.
    fn kept(&self) -> Vec<String> {
        let mut kept = files(self.directory.path());
        if self.server.is_some() {
            kept.extend(files(&self.place()));
        }
        kept
    }
}

/// One body, two places.
macro_rules! in_both_places {
    ($($name:ident),* $(,)?) => {
        mod in_files {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Ground::files().await).await;
            })*
        }
        mod in_a_bucket {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Ground::bucket().await).await;
            })*
        }
    };
}

in_both_places!(
    a_blob_is_stored_once_and_read_whole_in_ranges_and_in_chunks,
    the_empty_blob_is_a_blob,
    lies_about_digest_and_length_leave_nothing,
    an_interrupted_upload_resumes_where_it_stopped_even_after_a_restart,
    one_sender_cannot_spoil_or_block_anothers_upload,
    a_broken_stream_can_be_resumed_and_old_parts_are_swept,
    a_rotten_blob_is_named_and_ranges_are_checked,
    every_blob_is_listed_and_what_is_no_blob_is_not,
);

fn bytes(length: usize) -> Bytes {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

fn length(bytes: &Bytes) -> ByteCount {
    ByteCount::new(bytes.len() as u64)
}

/// Files below the store, relative, so that a test can say that nothing was left.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found
}

fn chunks(bytes: &Bytes, size: usize) -> impl Stream<Item = Result<Bytes, String>> + Unpin {
    let parts: Vec<_> = bytes.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    futures::stream::iter(parts)
}

async fn a_blob_is_stored_once_and_read_whole_in_ranges_and_in_chunks(ground: Ground) {
    let store = ground.store();
    let blob = bytes(700_001);
    let digest = digest_of(&blob);
    assert_eq!(store.length(digest).await, Ok(None));
    let stored = store.put(ANN, digest, length(&blob), chunks(&blob, 9999)).await;
    assert_eq!(stored, Ok(Stored::New));
    let again = store.put(BOB, digest, length(&blob), chunks(&blob, 100_000)).await;
    assert_eq!(again, Ok(Stored::Known));
    assert_eq!(store.length(digest).await, Ok(Some(length(&blob))));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob.clone()));
    let (reader, most) = (store.clone(), length(&blob));
    let read = crate::blocking::spawn(move || reader.get_blocking(digest, most));
    assert_eq!(read.await.expect("no panic"), Ok(blob.clone()));
    let part = store.get_range(digest, 699_999..700_001).await;
    assert_eq!(part, Ok(blob.slice(699_999..)));
    for offset in [0, 1, 262_144, 700_000, 700_001] {
        let parts: Vec<Bytes> = store
            .stream(digest, offset as u64)
            .await
            .expect("opens")
            .try_collect()
            .await
            .expect("ok");
        assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= BLOB_CHUNK_BYTES));
        assert_eq!(parts.concat(), blob[offset..], "from {offset}");
    }
    let name = alloy_primitives::hex::encode(digest.as_bytes());
    assert_eq!(ground.kept(), [format!("blobs/{}/{name}", &name[..2])]);
    assert_eq!(store.delete(digest).await, Ok(true));
    assert_eq!(store.delete(digest).await, Ok(false));
    let missing = store.get(digest, length(&blob)).await;
    assert_eq!(missing, Err(BlobError::Missing { digest }));
}

async fn the_empty_blob_is_a_blob(ground: Ground) {
    let store = ground.store();
    let digest = digest_of(b"");
    assert_eq!(store.put_bytes(ANN, digest, Bytes::new()).await, Ok(Stored::New));
    assert_eq!(store.get(digest, ByteCount::ZERO).await, Ok(Bytes::new()));
    let parts: Vec<Bytes> =
        store.stream(digest, 0).await.expect("opens").try_collect().await.expect("ok");
    assert!(parts.is_empty());
}

async fn lies_about_digest_and_length_leave_nothing(ground: Ground) {
    let store = ground.store();
    let blob = bytes(50_000);
    let (digest, other) = (digest_of(&blob), digest_of(b"other"));

    let lie = store.put(ANN, other, length(&blob), chunks(&blob, 4096)).await;
    assert_eq!(lie, Err(BlobError::WrongDigest { expected: other, got: digest }));
    assert!(ground.kept().is_empty());

    let more = store.put(ANN, digest, ByteCount::new(49_999), chunks(&blob, 4096)).await;
    assert!(matches!(more, Err(BlobError::WrongLength { .. })), "{more:?}");
    assert!(ground.kept().is_empty());

    let max = ByteCount::new(BLOB_BYTES_MAX);
    let huge = store.upload(ANN, digest, ByteCount::new(BLOB_BYTES_MAX + 1)).await;
    assert!(matches!(huge, Err(BlobError::TooLong { max: limit, .. }) if limit == max));
    assert!(ground.kept().is_empty());

    let less = store.put(ANN, digest, ByteCount::new(50_001), chunks(&blob, 4096)).await;
    assert!(matches!(less, Err(BlobError::WrongLength { .. })), "{less:?}");
    assert_eq!(store.exists(digest).await, Ok(false));

    store.put_bytes(ANN, digest, blob.clone()).await.expect("stored");
    let short = store.put(ANN, digest, ByteCount::new(10), chunks(&blob.slice(..10), 4)).await;
    assert!(matches!(short, Err(BlobError::WrongLength { .. })), "{short:?}");
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
}

async fn an_interrupted_upload_resumes_where_it_stopped_even_after_a_restart(ground: Ground) {
    let blob = bytes(600_000);
    let digest = digest_of(&blob);
    for part in [0..1000, 1000..300_000] {
        let store = ground.store();
        let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
        assert_eq!(upload.offset().get(), part.start as u64);
        upload.write(blob.slice(part)).await.expect("writes");
        assert_eq!(store.exists(digest).await, Ok(false));
    }
    let store = ground.store();
    let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(upload.offset().get(), 300_000);
    upload.write(blob.slice(300_000..)).await.expect("writes");
    assert_eq!(upload.finish().await, Ok(Stored::New));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
}

async fn one_sender_cannot_spoil_or_block_anothers_upload(ground: Ground) {
    let store = ground.store();
    let blob = bytes(10_000);
    let digest = digest_of(&blob);
    let mut bad = store.upload(BOB, digest, length(&blob)).await.expect("starts");
    bad.write(Bytes::from(vec![0xee; 5000])).await.expect("writes");
    let busy = store.upload(BOB, digest, length(&blob)).await;
    assert_eq!(busy.err(), Some(BlobError::Busy { digest }));
    let mut good = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(good.offset(), ByteCount::ZERO);
    good.write(blob.clone()).await.expect("writes");
    assert_eq!(good.finish().await, Ok(Stored::New));
    bad.write(Bytes::from(vec![0xee; 5000])).await.expect("writes");
    assert!(matches!(bad.finish().await, Err(BlobError::WrongDigest { .. })));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
    let free_again = store.upload(BOB, digest_of(b"x"), ByteCount::new(1)).await.expect("starts");
    free_again.abort().await.expect("removes");
}

#[tokio::test]
async fn a_folder_that_was_removed_under_the_store_is_made_again() {
    let ground = Ground::files().await;
    let store = ground.store();
    let blob = bytes(700);
    let digest = digest_of(&blob);
    for _ in 0..2 {
        assert_eq!(store.facts(digest).await, Ok(None));
        let stored = store.put_bytes(ANN, digest, blob.clone()).await;
        assert_eq!(stored, Ok(Stored::New));
        let facts = store.facts(digest).await.expect("looks").expect("is here");
        assert_eq!(facts.length, length(&blob));
        std::fs::remove_dir_all(ground.place()).expect("removes");
    }
}

async fn a_broken_stream_can_be_resumed_and_old_parts_are_swept(ground: Ground) {
    let store = ground.store();
    let blob = bytes(1000);
    let digest = digest_of(&blob);
    let broken = futures::stream::iter([Ok(blob.slice(..400)), Err("reset".to_owned())]);
    let error = store.put(ANN, digest, length(&blob), broken).await;
    assert!(matches!(error, Err(BlobError::Source { .. })), "{error:?}");
    let upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(upload.offset().get(), 400);
    assert_eq!(store.sweep_partial(Duration::ZERO).await, Ok(0), "a running upload was swept");
    drop(upload);
    assert_eq!(store.sweep_partial(Duration::from_secs(3600)).await, Ok(0));
    assert_eq!(store.sweep_partial(Duration::ZERO).await, Ok(1));
    assert!(ground.kept().is_empty());
}

async fn a_rotten_blob_is_named_and_ranges_are_checked(ground: Ground) {
    let store = ground.store();
    let blob = bytes(1000);
    let digest = digest_of(&blob);
    store.put_bytes(ANN, digest, blob.clone()).await.expect("stored");
    for range in [0..0, 5..5, 999..1001, 1000..1001] {
        let refused = store.get_range(digest, range.clone()).await;
        assert!(matches!(refused, Err(BlobError::Range { .. })), "{range:?}");
    }
    assert!(matches!(store.stream(digest, 1001).await, Err(BlobError::Range { .. })));
    let small = store.get(digest, ByteCount::new(999)).await;
    assert!(matches!(small, Err(BlobError::TooLong { .. })));
    let path = ground.place().join(&ground.kept()[0]);
    let mut rotten = blob.to_vec();
    rotten[500] ^= 1;
    std::fs::write(path, &rotten).expect("writes");
    let got = digest_of(&rotten);
    assert_eq!(store.get(digest, length(&blob)).await, Err(BlobError::Damaged { digest, got }));
}

async fn every_blob_is_listed_and_what_is_no_blob_is_not(ground: Ground) {
    let store = ground.store();
    let mut kept = Vec::new();
    for size in [1, 2, 300_000] {
        let blob = bytes(size);
        store.put_bytes(ANN, digest_of(&blob), blob.clone()).await.expect("stores");
        kept.push(digest_of(&blob));
    }
    let gone = kept.pop().expect("three");
    store.delete(gone).await.expect("deletes");
    let mut partial = store.upload(ANN, gone, length(&bytes(300_000))).await.expect("starts");
    partial.write(bytes(10)).await.expect("writes");
    std::fs::write(ground.place().join("blobs/notes.txt"), "no blob").expect("writes");
    let misplaced = alloy_primitives::hex::encode(gone.as_bytes());
    std::fs::write(ground.place().join("blobs").join(misplaced), "no blob").expect("writes");

    let mut listed: Vec<BlobDigest> = store.digests().try_collect().await.expect("lists");
    listed.sort_unstable();
    kept.sort_unstable();
    assert_eq!(listed, kept);
}

#[tokio::test]
async fn a_blob_of_several_parts_goes_to_the_bucket_and_comes_back() {
    let ground = Ground::bucket().await;
    let store = ground.store();
    let blob = bytes(2 * BUCKET_PART_BYTES + 1);
    let digest = digest_of(&blob);
    let stored = store.put(ANN, digest, length(&blob), chunks(&blob, 1 << 20)).await;
    assert_eq!(stored, Ok(Stored::New));
    assert_eq!(store.stored_lately(digest), Some(length(&blob)));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob.clone()));
    let offset = BUCKET_READ_BYTES - 1;
    let parts: Vec<Bytes> =
        store.stream(digest, offset).await.expect("opens").try_collect().await.expect("ok");
    assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= BLOB_CHUNK_BYTES));
    assert_eq!(parts.concat(), blob[offset as usize..]);
    assert_eq!(ground.kept().len(), 1, "{:?}", ground.kept());
}

#[tokio::test]
async fn while_the_bucket_is_away_nothing_is_acknowledged_and_nothing_is_lost() {
    let ground = Ground::bucket().await;
    let store = ground.store();
    let blob = bytes(5_000);
    let digest = digest_of(&blob);
    let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    upload.write(blob.slice(..2_000)).await.expect("writes");
    ground.server().answers(0);
    upload.write(blob.slice(2_000..)).await.expect("writes: the file is here");
    let error = upload.finish().await.expect_err("the bucket is away");
    assert!(error.is_away(), "{error:?}");
    assert!(error.to_string().contains("Check that it runs"), "it says what to do: {error}");
    for error in [
        store.check().await.expect_err("away"),
        store.length(digest).await.expect_err("away is not missing"),
        store.get(digest, length(&blob)).await.expect_err("away"),
        store.delete(digest).await.expect_err("away"),
        store.upload(BOB, digest, length(&blob)).await.map(|_| ()).expect_err("away"),
        store.digests().try_collect::<Vec<_>>().await.expect_err("away"),
    ] {
        assert!(error.is_away(), "{error:?}");
    }
    assert_eq!(store.stored_lately(digest), None);
    assert_eq!(store.partial_length(ANN, digest).await, Ok(length(&blob)), "it is resumed");

    ground.server().answers(usize::MAX);
    assert_eq!(store.check().await, Ok(()));
    assert_eq!(store.exists(digest).await, Ok(false));
    let upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(upload.offset(), length(&blob), "nothing has to be sent again");
    assert_eq!(upload.finish().await, Ok(Stored::New));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
    assert_eq!(ground.kept().len(), 1, "{:?}", ground.kept());
}

#[tokio::test]
async fn a_bucket_that_goes_away_between_two_parts_keeps_no_half_of_a_blob() {
    let ground = Ground::bucket().await;
    let store = ground.store();
    let blob = bytes(BUCKET_PART_BYTES + 1);
    let digest = digest_of(&blob);
    let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    upload.write(blob.clone()).await.expect("writes");
    // The upload in parts is opened and gets its first part.
    ground.server().answers(2);
    let error = upload.finish().await.expect_err("the bucket is away");
    assert!(error.is_away(), "{error:?}");
    ground.server().answers(usize::MAX);
    assert_eq!(store.exists(digest).await, Ok(false));
    let upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(upload.finish().await, Ok(Stored::New));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
}

#[tokio::test]
async fn a_bucket_that_refuses_says_so_and_shows_no_secret() {
    const WRONG: &str = "not-the-secret-at-all-77aa";
    let ground = Ground::bucket().await;
    let mut config = ground.config();
    let bucket = config.bucket.as_mut().expect("a bucket");
    bucket.credentials.secret = SecretString::from(WRONG);
    bucket.credentials.session_token = Some(SecretString::from(SECRET));
    let store = BlobStore::open_with(&config, RETRIES).expect("opens");
    let mut shown = format!("{config:?} {store:?}");
    let blob = bytes(100);
    let digest = digest_of(&blob);
    for error in [
        store.check().await.expect_err("wrong credentials"),
        store.put_bytes(ANN, digest, blob.clone()).await.expect_err("wrong credentials"),
        store.get(digest, length(&blob)).await.expect_err("wrong credentials"),
    ] {
        assert!(matches!(error, BlobError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("credentials"), "it says what to check: {error}");
        shown = format!("{shown} {error} {error:?}");
    }
    assert!(!shown.contains(WRONG) && !shown.contains(SECRET), "{shown}");

    let mut config = ground.config();
    config.bucket.as_mut().expect("a bucket").name = "no-such-bucket".to_owned();
    let store = BlobStore::open_with(&config, RETRIES).expect("opens");
    let error = store.check().await.expect_err("there is no such bucket");
    assert!(matches!(error, BlobError::Refused { .. }), "{error:?}");
    let ground = Ground::bucket().await;
    let shown = format!("{:?}", ground.store());
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn settings_of_a_bucket_that_cannot_be_used_are_refused() {
    let ground = Ground::bucket().await;
    let refused = |change: fn(&mut BucketConfig)| {
        let mut config = ground.config();
        change(config.bucket.as_mut().expect("a bucket"));
        let error = BlobStore::open(&config).expect_err("refused");
        assert!(matches!(error, BlobError::Bucket { .. }), "{error:?}");
        error.to_string()
    };
    assert!(refused(|bucket| bucket.allow_http = false).contains("https"));
    refused(|bucket| bucket.endpoint = Some("s3.example.org".to_owned()));
    refused(|bucket| bucket.prefix = "a//b".to_owned());
    let shown = refused(|bucket| bucket.endpoint = Some("https://me:hidden@host".to_owned()));
    assert!(!shown.contains("hidden"), "{shown}");
}
