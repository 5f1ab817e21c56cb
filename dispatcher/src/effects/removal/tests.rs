use std::time::Duration;

use futures::FutureExt;
use proofgrid_core::network::{Input, Provenance};
use proofgrid_core::units::ByteCount;
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_server::BlobService;

use super::*;
use crate::blobs::BlobGate;
use crate::shared::Shared;
use crate::testing::{Idle, address, digest, facts_of, spec, upload_authority, wallet};

fn remover(shared: &Shared) -> Remover {
    Remover {
        blobs: shared.blobs.clone(),
        actor: shared.actor.clone(),
        pins: Arc::clone(&shared.pins),
    }
}

async fn put(shared: &Shared, bytes: &'static [u8]) -> BlobDigest {
    shared.blobs.put_bytes(address(1), digest(bytes), bytes.into()).await.unwrap();
    digest(bytes)
}

fn stored(bytes: &[u8]) -> Input {
    Input::BlobStored { digest: digest(bytes), bytes: ByteCount::new(bytes.len() as u64) }
}

fn query(bytes: &[u8]) -> tonic::Request<v1::QueryUploadRequest> {
    let (name, length) = (digest(bytes), bytes.len() as u64);
    tonic::Request::new(v1::QueryUploadRequest {
        digest: name.as_bytes().to_vec(),
        length_bytes: length,
        authority: Some(upload_authority(&wallet(1), name, length)),
    })
}

#[tokio::test]
async fn a_blob_that_is_being_removed_is_not_promised_to_a_new_job() {
    let idle = Idle::after(&[]);
    let shared = Arc::clone(&idle.shared);
    let blob = put(&shared, b"input").await;
    let remover = remover(&shared);
    // The removal waits for the actor's word; whoever asks for the blob now waits for the removal.
    let mut removal = std::pin::pin!(remover.remove(blob));
    assert!(removal.as_mut().now_or_never().is_none());
    let gate = BlobGate::new(Arc::clone(&shared));
    let mut asking = std::pin::pin!(gate.query_upload(query(b"input")));
    assert!(asking.as_mut().now_or_never().is_none());

    let (_shared, _directory) = idle.run();
    let (removed, asked) = tokio::join!(removal, asking);
    assert!(removed.unwrap());
    let held = asked.unwrap().into_inner();
    assert_eq!((held.complete, held.offset_bytes), (false, 0), "the requester sends it again");
    assert_eq!(shared.blobs.length(blob).await.unwrap(), None);
}

#[tokio::test]
async fn a_blob_that_somebody_asked_for_first_stays() {
    let idle = Idle::after(&[]);
    let shared = Arc::clone(&idle.shared);
    let blob = put(&shared, b"input").await;
    let gate = BlobGate::new(Arc::clone(&shared));
    let asking = tokio::spawn(async move { gate.query_upload(query(b"input")).await });
    let (_shared, _directory) = idle.run();
    // Whichever of the two comes first, what was promised is here.
    let removed = remover(&shared).remove(blob).await.unwrap();
    let held = asking.await.unwrap().unwrap().into_inner();
    assert_eq!(held.complete, !removed);
    assert_eq!(shared.blobs.exists(blob).await.unwrap(), held.complete);
    assert!(!held.complete || !remover(&shared).remove(blob).await.unwrap(), "it is recorded");
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_kept_from_being_removed_goes_at_the_next_start() {
    let awaited = spec(&wallet(1), 1, b"awaited, its fact was lost");
    let submit = Input::SubmitJob { spec: awaited, provenance: Provenance::Direct };
    let a_second_ago = 86_399_000;
    let inputs = [(a_second_ago, submit), (a_second_ago, stored(b"recorded"))];
    let idle = Idle::after(&facts_of(inputs));
    let awaited = put(&idle.shared, b"awaited, its fact was lost").await;
    let recorded = put(&idle.shared, b"recorded").await;
    let left_over = put(&idle.shared, b"left over").await;
    let (shared, _directory) = idle.run();
    // The clock stands still until the sweep is done.
    let house = crate::keep_house(Arc::clone(&shared));
    assert!(tokio::time::timeout(Duration::from_secs(1), house).await.is_err());
    assert!(shared.blobs.exists(awaited).await.unwrap());
    assert!(shared.blobs.exists(recorded).await.unwrap());
    assert!(!shared.blobs.exists(left_over).await.unwrap());
}

#[tokio::test]
async fn an_empty_journal_condemns_no_blob() {
    let idle = Idle::after(&[]);
    let blob = put(&idle.shared, b"of a journal that was lost").await;
    let (shared, _directory) = idle.run();
    assert_eq!(remover(&shared).sweep().await, Ok(0));
    assert!(shared.blobs.exists(blob).await.unwrap());
}
