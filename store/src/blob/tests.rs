use std::path::Path;

use futures::TryStreamExt;

use super::*;
use crate::blob::upload::digest_of;

const ANN: Address = Address::from_bytes([1; 20]);
const BOB: Address = Address::from_bytes([2; 20]);

fn store(directory: &Path) -> BlobStore {
    BlobStore::open(&BlobStoreConfig::new(directory)).expect("opens")
}

fn bytes(length: usize) -> Bytes {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

fn length(bytes: &Bytes) -> ByteCount {
    ByteCount::new(bytes.len() as u64)
}

/// Files below the store, relative, so that a test can say that nothing was left.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
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

#[tokio::test]
async fn a_blob_is_stored_once_and_read_whole_in_ranges_and_in_chunks() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
    let blob = bytes(700_001);
    let digest = digest_of(&blob);
    assert_eq!(store.length(digest).await, Ok(None));
    let stored = store.put(ANN, digest, length(&blob), chunks(&blob, 9999)).await;
    assert_eq!(stored, Ok(Stored::New));
    let again = store.put(BOB, digest, length(&blob), chunks(&blob, 100_000)).await;
    assert_eq!(again, Ok(Stored::Known));
    assert_eq!(store.length(digest).await, Ok(Some(length(&blob))));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob.clone()));
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
    assert_eq!(files(directory.path()), [format!("blobs/{}/{name}", &name[..2])]);
    assert_eq!(store.delete(digest).await, Ok(true));
    assert_eq!(store.delete(digest).await, Ok(false));
    let missing = store.get(digest, length(&blob)).await;
    assert_eq!(missing, Err(BlobError::Missing { digest }));
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
    let digest = digest_of(b"");
    assert_eq!(store.put_bytes(ANN, digest, Bytes::new()).await, Ok(Stored::New));
    assert_eq!(store.get(digest, ByteCount::ZERO).await, Ok(Bytes::new()));
    let parts: Vec<Bytes> =
        store.stream(digest, 0).await.expect("opens").try_collect().await.expect("ok");
    assert!(parts.is_empty());
}

#[tokio::test]
async fn lies_about_digest_and_length_leave_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
    let blob = bytes(50_000);
    let (digest, other) = (digest_of(&blob), digest_of(b"other"));

    let lie = store.put(ANN, other, length(&blob), chunks(&blob, 4096)).await;
    assert_eq!(lie, Err(BlobError::WrongDigest { expected: other, got: digest }));
    assert!(files(directory.path()).is_empty());

    let more = store.put(ANN, digest, ByteCount::new(49_999), chunks(&blob, 4096)).await;
    assert!(matches!(more, Err(BlobError::WrongLength { .. })), "{more:?}");
    assert!(files(directory.path()).is_empty());

    let max = ByteCount::new(BLOB_BYTES_MAX);
    let huge = store.upload(ANN, digest, ByteCount::new(BLOB_BYTES_MAX + 1)).await;
    assert!(matches!(huge, Err(BlobError::TooLong { max: limit, .. }) if limit == max));
    assert!(files(directory.path()).is_empty());

    let less = store.put(ANN, digest, ByteCount::new(50_001), chunks(&blob, 4096)).await;
    assert!(matches!(less, Err(BlobError::WrongLength { .. })), "{less:?}");
    assert_eq!(store.exists(digest).await, Ok(false));

    store.put_bytes(ANN, digest, blob.clone()).await.expect("stored");
    let short = store.put(ANN, digest, ByteCount::new(10), chunks(&blob.slice(..10), 4)).await;
    assert!(matches!(short, Err(BlobError::WrongLength { .. })), "{short:?}");
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
}

#[tokio::test]
async fn an_interrupted_upload_resumes_where_it_stopped_even_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let blob = bytes(600_000);
    let digest = digest_of(&blob);
    for part in [0..1000, 1000..300_000] {
        let store = store(directory.path());
        let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
        assert_eq!(upload.offset().get(), part.start as u64);
        upload.write(blob.slice(part)).await.expect("writes");
        assert_eq!(store.exists(digest).await, Ok(false));
    }
    let store = store(directory.path());
    let mut upload = store.upload(ANN, digest, length(&blob)).await.expect("starts");
    assert_eq!(upload.offset().get(), 300_000);
    upload.write(blob.slice(300_000..)).await.expect("writes");
    assert_eq!(upload.finish().await, Ok(Stored::New));
    assert_eq!(store.get(digest, length(&blob)).await, Ok(blob));
}

#[tokio::test]
async fn one_sender_cannot_spoil_or_block_anothers_upload() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
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
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
    let blob = bytes(700);
    let digest = digest_of(&blob);
    for _ in 0..2 {
        assert_eq!(store.facts(digest).await, Ok(None));
        let stored = store.put_bytes(ANN, digest, blob.clone()).await;
        assert_eq!(stored, Ok(Stored::New));
        let facts = store.facts(digest).await.expect("looks").expect("is here");
        assert_eq!(facts.length, length(&blob));
        std::fs::remove_dir_all(directory.path()).expect("removes");
    }
}

#[tokio::test]
async fn a_broken_stream_can_be_resumed_and_old_parts_are_swept() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
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
    assert!(files(directory.path()).is_empty());
}

#[tokio::test]
async fn a_rotten_blob_is_named_and_ranges_are_checked() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
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
    let path = directory.path().join(&files(directory.path())[0]);
    let mut rotten = blob.to_vec();
    rotten[500] ^= 1;
    std::fs::write(path, &rotten).expect("writes");
    let got = digest_of(&rotten);
    assert_eq!(store.get(digest, length(&blob)).await, Err(BlobError::Damaged { digest, got }));
}

#[tokio::test]
async fn every_blob_is_listed_and_what_is_no_blob_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path());
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
    std::fs::write(directory.path().join("blobs/notes.txt"), "no blob").expect("writes");
    let misplaced = alloy_primitives::hex::encode(gone.as_bytes());
    std::fs::write(directory.path().join("blobs").join(misplaced), "no blob").expect("writes");

    let mut listed: Vec<BlobDigest> = store.digests().try_collect().await.expect("lists");
    listed.sort_unstable();
    kept.sort_unstable();
    assert_eq!(listed, kept);
}
