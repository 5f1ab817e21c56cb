//! In gRPC: metadata, messages and streams beyond their bounds, uploads that lie, names that are paths.

use proofgrid_core::ids::BlobDigest;
use proofgrid_core::limits::INPUT_BYTES_MAX;
use proofgrid_core::network::ProverCapabilities;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{ProverMessage, ProverOrder};
use proofgrid_proto::v1;
use proofgrid_proto::{CHUNK_BYTES_MAX, MESSAGE_BYTES_MAX};
use tokio_stream::StreamExt;
use tonic::{Code, Request, Status};

use super::support::prover::{Peer, capabilities};
use super::support::{
    HOME, Running, chunk, download_authority, header, now, reason, spec, submit, upload_authority,
    wallet,
};
use super::{alone, before_the_flood, is_over, scale, serves};

fn is_refused(status: &Status, code: Code, why: &str) {
    assert_eq!((status.code(), reason(status)), (code, why), "{}", status.message());
}

#[tokio::test]
async fn metadata_over_the_cap_is_refused_and_the_connection_lives() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    for (name, bytes) in [("x-large", 17 << 10), ("x-huge", 1 << 20)] {
        let mut request = Request::new(submit(&key, &job, HOME, now() + 60));
        request.metadata_mut().insert(name, "v".repeat(bytes).parse().unwrap());
        running.jobs().submit_job(request).await.unwrap_err();
        serves(&running).await;
    }
    is_over(before).await;
    running.stop().await;
}

#[tokio::test]
async fn messages_just_over_their_caps_are_refused_with_the_cap() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    // Over the cap of any message, and the longest that is read at all.
    for (bytes, code) in
        [(MESSAGE_BYTES_MAX, Code::OutOfRange), (MESSAGE_BYTES_MAX - 1024, Code::InvalidArgument)]
    {
        let mut long = submit(&key, &job, HOME, now() + 60);
        long.signature = vec![1; bytes];
        let status = running.jobs().submit_job(long).await.unwrap_err();
        assert_eq!(status.code(), code, "{}", status.message());
    }
    // A chunk and a blob over theirs.
    let bytes = vec![7; CHUNK_BYTES_MAX + 1];
    let messages = [header(&wallet(1), &bytes, bytes.len() as u64), chunk(&bytes)];
    let status = running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap_err();
    is_refused(&status, Code::InvalidArgument, "REFUSAL_REASON_LIMIT");
    let messages = [header(&wallet(1), b"input", INPUT_BYTES_MAX + 1)];
    let status = running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap_err();
    is_refused(&status, Code::InvalidArgument, "REFUSAL_REASON_LIMIT");
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// An upload that never ends is over as soon as it is longer than it said.
#[tokio::test]
async fn an_upload_without_end_stops_at_its_length() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let endless =
        std::iter::once(header(&wallet(1), b"input", 5)).chain(std::iter::repeat(chunk(b"inpu")));
    let status = running.blobs().upload_blob(tokio_stream::iter(endless)).await.unwrap_err();
    is_refused(&status, Code::InvalidArgument, "REFUSAL_REASON_DIGEST_MISMATCH");
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// A session that asks without end and never reads an answer is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_end_that_does_not_read_is_ended() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let peer = Peer::log_in(&running, &wallet(5)).await;
    let mut sent = 0u64;
    let beat = |sequence| ProverMessage::Heartbeat { sequence, free_memory: ByteCount::ZERO };
    while peer.try_send(beat(sent)).await {
        sent += 1;
        assert!(sent < 2_000_000, "{sent} heartbeats without reading one answer were taken");
    }
    serves(&running).await;
    drop(peer);
    is_over(before).await;
    running.stop().await;
}

/// Messages that no correct peer sends are answered, each with the field, up to a bound.
#[tokio::test]
async fn a_session_of_garbage_is_told_why_and_ended() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let mut peer = Peer::log_in(&running, &wallet(5)).await;
    let mut refusals = 0;
    let last = loop {
        let nothing = v1::ProverServiceSessionRequest { message: None };
        assert!(peer.try_send_wire(nothing).await, "it ended without a word");
        match peer.next().await {
            Ok(ProverOrder::Refused(refused)) => {
                assert_eq!(refused.reason, i32::from(v1::RefusalReason::Malformed));
                refusals += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(refusals, proofgrid_dispatcher::limits::BAD_MESSAGES_MAX);
    is_refused(&last, Code::InvalidArgument, "REFUSAL_REASON_MALFORMED");
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// More names that are paths or steer a terminal than a file system would like to see.
const TRICKS: [&[u8]; 6] = [
    b"../../../../../../etc/passwd",
    b"/etc/passwd",
    b"..",
    b"",
    b"partial/../../../root/.ssh/id_rsa\0.blob",
    b"\x1b[2J\x1b]0;owned\x07",
];

async fn everywhere(running: &Running, digest: &[u8]) -> Vec<Status> {
    let (key, length) = (wallet(1), 5);
    let named = BlobDigest::from_bytes([0; 32]);
    let authority = Some(upload_authority(&key, named, length));
    let query = v1::QueryUploadRequest {
        digest: digest.to_vec(),
        length_bytes: length,
        authority: authority.clone(),
    };
    let header = v1::UploadHeader {
        digest: digest.to_vec(),
        length_bytes: length,
        offset_bytes: 0,
        authority,
    };
    let part = Some(v1::upload_blob_request::Part::Header(header));
    let upload = tokio_stream::iter([v1::UploadBlobRequest { part }]);
    let download = v1::DownloadBlobRequest {
        digest: digest.to_vec(),
        offset_bytes: 0,
        authority: Some(download_authority(&key, named)),
    };
    let job = v1::GetJobRequest { job_id: digest.to_vec() };
    vec![
        running.blobs().query_upload(query).await.unwrap_err(),
        running.blobs().upload_blob(upload).await.unwrap_err(),
        running.blobs().download_blob(download).await.unwrap_err(),
        running.jobs().get_job(job).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_name_that_is_a_path_is_no_digest() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    for trick in TRICKS {
        for status in everywhere(&running, trick).await {
            is_refused(&status, Code::InvalidArgument, "REFUSAL_REASON_MALFORMED");
        }
    }
    // Of the right length it is a digest like any other, and what is kept under it is hexadecimal.
    let name = *b"../../../../../../../../etc/shad";
    let digest = BlobDigest::from_bytes(name);
    let part = Some(v1::upload_blob_request::Part::Header(v1::UploadHeader {
        digest: name.to_vec(),
        length_bytes: 10,
        offset_bytes: 0,
        authority: Some(upload_authority(&wallet(1), digest, 10)),
    }));
    let messages = [v1::UploadBlobRequest { part }, chunk(b"12345")];
    let status = running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap_err();
    is_refused(&status, Code::InvalidArgument, "REFUSAL_REASON_DIGEST_MISMATCH");
    let mut folders = vec![running.blob_directory().to_path_buf()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
            assert!(!name.contains(".."), "{name}");
            files += usize::from(path.is_file());
            folders.extend(path.is_dir().then_some(path));
        }
    }
    assert!(files > 0, "the five bytes are kept, to be resumed");
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// A prover's own name for itself is shown to people: one line, no control characters.
#[tokio::test]
async fn a_name_that_steers_a_terminal_is_refused() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let mut peer = Peer::log_in(&running, &wallet(5)).await;
    let long = "n".repeat(129);
    for name in ["two\nlines", "\u{1b}[2Jcleared", "bell\u{7}", long.as_str()] {
        let capabilities = ProverCapabilities { name: name.to_owned(), ..capabilities() };
        peer.send(ProverMessage::Register { capabilities, holding: Vec::new() }).await;
        let answer = peer.next().await.unwrap();
        let ProverOrder::Refused(refused) = answer else { panic!("{name:?}: {answer:?}") };
        assert_eq!(refused.reason, i32::from(v1::RefusalReason::Malformed), "{name:?}");
        assert!(!refused.text.contains(char::is_control), "{:?}", refused.text);
    }
    assert_eq!(peer.register(Vec::new()).await, []);
    drop(peer);
    is_over(before).await;
    running.stop().await;
}

/// Watchers of a job that never ends, on few connections: all of them hear of it, and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_watchers_is_served_and_leaves_nothing() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let job = spec(&wallet(1), 1, b"input");
    let mut watching = Vec::new();
    for _ in 0..200 * scale().min(10) {
        if watching.len() % 200 == 0 {
            serves(&running).await;
        }
        let request =
            v1::WatchJobRequest { job_id: job.id().as_bytes().to_vec(), from_sequence: 0 };
        let uri = format!("http://{}", running.handle.address());
        let channel = match watching.last() {
            Some((channel, _)) if watching.len() % 200 != 0 => Clone::clone(channel),
            _ => tonic::transport::Channel::from_shared(uri).unwrap().connect().await.unwrap(),
        };
        let mut jobs = v1::job_service_client::JobServiceClient::new(channel.clone());
        let mut events = jobs.watch_job(request).await.unwrap().into_inner();
        events.next().await.unwrap().unwrap();
        watching.push((channel, events));
    }
    drop(watching);
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}
