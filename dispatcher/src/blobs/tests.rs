use proofgrid_core::network::Provenance;
use proofgrid_proto::v1::blob_service_server::BlobService as _;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::limits::{REQUESTER_DOWNLOADS_MAX, REQUESTER_UPLOADS_MAX};
use crate::testing::{Idle, digest, download_authority, facts_of, spec, upload_authority, wallet};

type Sent = mpsc::Sender<Result<v1::UploadBlobRequest, Status>>;

const fn message(part: upload_blob_request::Part) -> Result<v1::UploadBlobRequest, Status> {
    Ok(v1::UploadBlobRequest { part: Some(part) })
}

fn header(blob: &[u8], offset_bytes: u64) -> upload_blob_request::Part {
    let (name, length_bytes) = (digest(blob), blob.len() as u64);
    upload_blob_request::Part::Header(v1::UploadHeader {
        digest: name.as_bytes().to_vec(),
        length_bytes,
        offset_bytes,
        authority: Some(upload_authority(&wallet(1), name, length_bytes)),
    })
}

fn chunk(bytes: &[u8]) -> upload_blob_request::Part {
    upload_blob_request::Part::Chunk(bytes.to_vec())
}

/// Starts an upload that sends what it is given.
fn upload(
    gate: &BlobGate,
) -> (Sent, tokio::task::JoinHandle<Result<v1::UploadBlobResponse, EdgeError>>) {
    let (sender, receiver) = mpsc::channel(4);
    let gate = gate.clone();
    let messages = ReceiverStream::new(receiver);
    let taking = async move { gate.take_upload(MetadataMap::new(), messages).await };
    (sender, tokio::spawn(taking))
}

async fn held(gate: &BlobGate, blob: &[u8]) -> (u64, bool) {
    let (name, length_bytes) = (digest(blob), blob.len() as u64);
    let query = v1::QueryUploadRequest {
        digest: name.as_bytes().to_vec(),
        length_bytes,
        authority: Some(upload_authority(&wallet(1), name, length_bytes)),
    };
    let held = gate.query_upload(Request::new(query)).await.unwrap().into_inner();
    (held.offset_bytes, held.complete)
}

/// Takes every place of a lane but one.
fn crowd(lanes: &Lanes, places: usize) -> Vec<OwnedSemaphorePermit> {
    (1..places).map(|_| lanes.enter(false, "full").unwrap()).collect()
}

#[tokio::test]
async fn an_upload_that_stalls_ends_gives_its_place_back_and_can_be_resumed() {
    let (shared, _directory) = Idle::after(&[]).run();
    let gate = BlobGate::new(Arc::clone(&shared));
    let _others = crowd(&shared.uploads, REQUESTER_UPLOADS_MAX);
    let (sender, taking) = upload(&gate);
    sender.send(message(header(b"right bytes", 0))).await.unwrap();
    sender.send(message(chunk(b"right"))).await.unwrap();
    // From here on time goes on only when nothing else does.
    tokio::time::pause();
    let ended = taking.await.unwrap();
    tokio::time::resume();
    assert!(matches!(ended, Err(EdgeError::TimedOut(_))), "{ended:?}");
    assert_eq!(Status::from(ended.unwrap_err()).code(), tonic::Code::DeadlineExceeded);
    assert_eq!(held(&gate, b"right bytes").await, (5, false));

    let (sender, taking) = upload(&gate);
    sender.send(message(header(b"right bytes", 5))).await.unwrap();
    sender.send(message(chunk(b" bytes"))).await.unwrap();
    drop(sender);
    taking.await.unwrap().unwrap();
    assert_eq!(held(&gate, b"right bytes").await, (11, true));
}

#[tokio::test]
async fn an_upload_that_dribbles_ends_although_it_never_stalls() {
    let (shared, _directory) = Idle::after(&[]).run();
    let gate = BlobGate::new(Arc::clone(&shared));
    let blob = vec![7; 1 << 20];
    let (sender, taking) = upload(&gate);
    sender.send(message(header(&blob, 0))).await.unwrap();
    tokio::time::pause();
    let mut sent = 0;
    // 46 s are enough for a megabyte, whoever sends a byte each 20 s has as long.
    while sender.send(message(chunk(b"\x07"))).await.is_ok() {
        sent += 1;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let ended = taking.await.unwrap();
    tokio::time::resume();
    assert_eq!(ended, Err(EdgeError::TimedOut("the upload")));
    assert_eq!(sent, 3);
    assert_eq!(held(&gate, &blob).await, (3, false));
}

/// A dispatcher that holds `blob`, the input of a job of the first wallet.
async fn holding(blob: &'static [u8]) -> (Arc<Shared>, tempfile::TempDir) {
    let job = spec(&wallet(1), 1, blob);
    let a_second_ago = 86_399_000;
    let (name, bytes) = (digest(blob), ByteCount::new(blob.len() as u64));
    let inputs = [
        (a_second_ago, Input::SubmitJob { spec: job, provenance: Provenance::Direct }),
        (a_second_ago, Input::BlobStored { digest: name, bytes }),
    ];
    let (shared, directory) = Idle::after(&facts_of(inputs)).run();
    let owner = wallet(1).address();
    shared.blobs.put_bytes(owner, name, Bytes::from_static(blob)).await.unwrap();
    (shared, directory)
}

#[tokio::test]
async fn a_reader_that_stalls_gives_its_place_back_and_learns_of_it() {
    // More chunks than wait for a reader.
    static BLOB: [u8; 6 * CHUNK_BYTES_MAX] = [b'\n'; 6 * CHUNK_BYTES_MAX];
    let (shared, _directory) = holding(&BLOB).await;
    let gate = BlobGate::new(Arc::clone(&shared));
    let _others = crowd(&shared.downloads, REQUESTER_DOWNLOADS_MAX);
    let request = || {
        Request::new(v1::DownloadBlobRequest {
            digest: digest(&BLOB).as_bytes().to_vec(),
            offset_bytes: 0,
            authority: Some(download_authority(&wallet(1), digest(&BLOB))),
        })
    };
    let stalled = gate.download_blob(request()).await.unwrap().into_inner();
    let refused = gate.download_blob(request()).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "the lane is full");

    tokio::time::pause();
    tokio::time::sleep(CHUNK_PAUSE_MAX * 2).await;
    tokio::time::resume();
    let read = gate.download_blob(request()).await.unwrap().into_inner();
    let read: Vec<_> = read.collect().await;
    assert!(read.len() == 7 && read.iter().all(Result::is_ok), "whoever reads gets all of it");

    let mut late: Vec<_> = stalled.collect().await;
    let end = late.pop().unwrap().unwrap_err();
    assert_eq!(end.code(), tonic::Code::DeadlineExceeded, "{end:?}");
    assert!(late.iter().all(Result::is_ok));
    assert!(late.len() < 7, "{} parts", late.len());
}
