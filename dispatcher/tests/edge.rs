//! The edge from outside, over a real connection: what is refused, with which code and reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{LoginNonce, Role};
use proofgrid_proto::convert::{Hello, LoginProof, ProverMessage, ProverOrder};
use proofgrid_proto::v1;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use support::{
    HOME, Running, address, chunk, digest, download_authority, header, network, now, reason,
    server_key, spec, start, submit, upload_authority, wallet,
};
use tokio_stream::StreamExt;
use tonic::Code;

async fn refused(running: &Running, request: v1::SubmitJobRequest, code: Code, why: &str) {
    let status = running.jobs().submit_job(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (code, why), "{}", status.message());
}

#[tokio::test]
async fn a_submit_is_idempotent_and_its_nonce_belongs_to_one_job() {
    let running = start().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    let request = submit(&key, &job, HOME, now() + 60);
    let first = running.jobs().submit_job(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.job_id, job.id().as_bytes());
    assert!(first.created && first.input_needed);
    let again = running.jobs().submit_job(request).await.unwrap().into_inner();
    assert_eq!(again.job_id, first.job_id);
    assert!(!again.created);

    let other = spec(&key, 1, b"another input");
    let request = submit(&key, &other, HOME, now() + 60);
    refused(&running, request, Code::AlreadyExists, "REFUSAL_REASON_NONCE_USED").await;
    running.stop().await;
}

#[tokio::test]
async fn a_tampered_replayed_expired_or_oversized_submit_is_refused() {
    let running = start().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");

    let mut tampered = submit(&key, &job, HOME, now() + 60);
    tampered.job.as_mut().unwrap().deadline_unix_s += 1;
    refused(&running, tampered, Code::Unauthenticated, "REFUSAL_REASON_BAD_SIGNATURE").await;

    let replayed = submit(&key, &job, HOME + 1, now() + 60);
    refused(&running, replayed, Code::Unauthenticated, "REFUSAL_REASON_BAD_SIGNATURE").await;

    let mut elsewhere = job.clone();
    elsewhere.home_chain = proofgrid_core::ids::ChainId::new(HOME + 1);
    let elsewhere = submit(&key, &elsewhere, HOME + 1, now() + 60);
    refused(&running, elsewhere, Code::InvalidArgument, "REFUSAL_REASON_WRONG_NETWORK").await;

    let expired = submit(&key, &job, HOME, now() - 1);
    refused(&running, expired, Code::InvalidArgument, "REFUSAL_REASON_EXPIRED").await;

    let too_far = submit(&key, &job, HOME, now() + 7_200);
    refused(&running, too_far, Code::InvalidArgument, "REFUSAL_REASON_EXPIRES_TOO_FAR").await;

    let mut oversized = job.clone();
    oversized.limits.input_bytes = proofgrid_core::units::ByteCount::new(1 << 40);
    let oversized = submit(&key, &oversized, HOME, now() + 60);
    refused(&running, oversized, Code::InvalidArgument, "REFUSAL_REASON_LIMIT").await;

    let mut unknown = job.clone();
    unknown.program = proofgrid_core::ids::ProgramId::from_bytes([9; 32]);
    let unknown = submit(&key, &unknown, HOME, now() + 60);
    refused(&running, unknown, Code::NotFound, "REFUSAL_REASON_UNKNOWN_PROGRAM").await;

    let mut unspecified = submit(&key, &job, HOME, now() + 60);
    unspecified.job.as_mut().unwrap().mode = 0;
    refused(&running, unspecified, Code::InvalidArgument, "REFUSAL_REASON_MALFORMED").await;
    running.stop().await;
}

#[tokio::test]
async fn a_late_watcher_gets_the_history_also_after_a_restart() {
    let running = start().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    running.jobs().submit_job(submit(&key, &job, HOME, now() + 60)).await.unwrap();
    upload(&running, b"input", b"input").await.unwrap();

    let running = running.restart().await;
    let request = v1::WatchJobRequest { job_id: job.id().as_bytes().to_vec(), from_sequence: 0 };
    let mut events = running.jobs().watch_job(request).await.unwrap().into_inner();
    let mut texts = Vec::new();
    while let Some(message) = events.next().await {
        let event = message.unwrap().event.unwrap();
        assert_eq!(event.sequence, texts.len() as u64);
        texts.push(event.text);
    }
    // The bytes are no input of the program, so the planner ends the job and with it the stream.
    assert_eq!(texts[0], "submitted");
    assert_eq!(texts[1], "the input is here");
    assert!(texts.last().unwrap().starts_with("rejected: "), "{texts:?}");
    running.stop().await;
}

async fn upload(
    running: &Running,
    bytes: &[u8],
    named: &[u8],
) -> Result<v1::UploadBlobResponse, tonic::Status> {
    let messages = vec![header(&wallet(1), named, named.len() as u64), chunk(bytes)];
    let sent = running.blobs().upload_blob(tokio_stream::iter(messages)).await;
    sent.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_upload_of_other_bytes_or_another_length_is_refused_and_a_right_one_is_known() {
    let running = start().await;
    let wrong = upload(&running, b"other bytes", b"right bytes").await.unwrap_err();
    let why = "REFUSAL_REASON_DIGEST_MISMATCH";
    assert_eq!((wrong.code(), reason(&wrong)), (Code::DataLoss, why), "{wrong:?}");

    let long = upload(&running, b"right bytes and more", b"right bytes").await.unwrap_err();
    assert_eq!((long.code(), reason(&long)), (Code::InvalidArgument, why), "{long:?}");

    let short = upload(&running, b"right", b"right bytes").await.unwrap_err();
    assert_eq!((short.code(), reason(&short)), (Code::InvalidArgument, why), "{short:?}");

    let name = digest(b"right bytes");
    let query = v1::QueryUploadRequest {
        digest: name.as_bytes().to_vec(),
        length_bytes: 11,
        authority: Some(upload_authority(&wallet(1), name, 11)),
    };
    let held = running.blobs().query_upload(query.clone()).await.unwrap().into_inner();
    assert_eq!((held.offset_bytes, held.complete), (5, false), "a short upload can be resumed");

    let mut rest = header(&wallet(1), b"right bytes", 11);
    if let Some(v1::upload_blob_request::Part::Header(header)) = &mut rest.part {
        header.offset_bytes = 5;
    }
    let messages = vec![rest, chunk(b" bytes")];
    running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap();
    let held = running.blobs().query_upload(query).await.unwrap().into_inner();
    assert_eq!((held.offset_bytes, held.complete), (11, true));
    running.stop().await;
}

#[tokio::test]
async fn a_blob_is_taken_and_given_only_under_a_signature() {
    let running = start().await;
    let mut anonymous = header(&wallet(1), b"x", 1);
    if let Some(v1::upload_blob_request::Part::Header(header)) = &mut anonymous.part {
        header.authority = None;
    }
    let messages = vec![anonymous, chunk(b"x")];
    let status = running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);

    upload(&running, b"x", b"x").await.unwrap();
    let mut stranger = tonic::Request::new(v1::DownloadBlobRequest {
        digest: digest(b"x").as_bytes().to_vec(),
        ..Default::default()
    });
    let token = tonic::metadata::MetadataValue::from_bytes(&[1; 32]);
    stranger.metadata_mut().insert_bin(proofgrid_proto::SESSION_TOKEN_METADATA, token);
    let status = running.blobs().download_blob(stranger).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::PermissionDenied, "REFUSAL_REASON_NOT_ALLOWED")
    );
    running.stop().await;
}

/// Which server nonce a peer signs.
enum Nonce {
    Offered,
    Stale,
}

async fn log_in(running: &Running, nonce: Nonce) -> Result<ProverOrder, tonic::Status> {
    let key = wallet(5);
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let up = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let client_nonce = LoginNonce::from_bytes([3; 32]);
    let hello = ProverMessage::Hello(Hello {
        role: Role::Prover,
        operator: key.address(),
        client_nonce,
        version: "test".to_owned(),
    });
    sender.send(hello.into()).await.unwrap();
    let mut client = ProverServiceClient::new(running.channel.clone());
    let mut down = client.session(up).await?.into_inner();
    let first = ProverOrder::try_from(down.next().await.unwrap()?).unwrap();
    let ProverOrder::Challenge(challenge) = first else { panic!("expected a challenge") };
    let server_nonce = match nonce {
        Nonce::Offered => challenge.server_nonce,
        Nonce::Stale => LoginNonce::from_bytes([4; 32]),
    };
    let login = Login {
        role: Role::Prover,
        server: server_key().address(),
        server_nonce,
        client_nonce,
        operator: key.address(),
    };
    let message = WalletMessage::Login { network: network(HOME), login };
    let proof = ProverMessage::Login(LoginProof::Wallet(key.sign(&message)));
    sender.send(proof.into()).await.unwrap();
    Ok(ProverOrder::try_from(down.next().await.unwrap()?).unwrap())
}

#[tokio::test]
async fn a_login_over_another_nonce_is_refused_and_the_right_one_opens_a_session() {
    let running = start().await;
    let status = log_in(&running, Nonce::Stale).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Unauthenticated, "REFUSAL_REASON_BAD_SIGNATURE")
    );
    let order = log_in(&running, Nonce::Offered).await.unwrap();
    assert!(matches!(order, ProverOrder::Welcome(_)), "{order:?}");
    running.stop().await;
}

#[tokio::test]
async fn before_the_first_epoch_a_verifier_is_told_to_come_back() {
    use proofgrid_proto::convert::VerifierMessage;
    use proofgrid_proto::v1::verifier_service_client::VerifierServiceClient;

    let running = start().await;
    let hello = VerifierMessage::Hello(Hello {
        role: Role::Verifier,
        operator: address(1),
        client_nonce: LoginNonce::from_bytes([3; 32]),
        version: "test".to_owned(),
    });
    let up = tokio_stream::iter([hello.into()]);
    let mut client = VerifierServiceClient::new(running.channel.clone());
    let mut down = client.session(up).await.unwrap().into_inner();
    let status = down.next().await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Unavailable, "REFUSAL_REASON_NO_EPOCH_YET")
    );
    running.stop().await;
}

fn query(bytes: &[u8]) -> v1::QueryUploadRequest {
    let (name, length) = (digest(bytes), bytes.len() as u64);
    v1::QueryUploadRequest {
        digest: name.as_bytes().to_vec(),
        length_bytes: length,
        authority: Some(upload_authority(&wallet(1), name, length)),
    }
}

#[tokio::test]
async fn a_blob_whose_fact_was_lost_in_a_crash_is_recorded_when_it_is_asked_for() {
    let running = start().await;
    let key = wallet(1);
    let job = spec(&key, 1, b"input");
    let request = submit(&key, &job, HOME, now() + 60);
    let first = running.jobs().submit_job(request.clone()).await.unwrap().into_inner();
    assert!(first.input_needed);

    // What a crash after the rename and before the journal's flush leaves behind.
    let config = proofgrid_store::blob::BlobStoreConfig::new(running.blob_directory());
    let store = proofgrid_store::blob::BlobStore::open(&config).unwrap();
    store.put_bytes(key.address(), digest(b"input"), b"input".as_slice().into()).await.unwrap();

    let held = running.blobs().query_upload(query(b"input")).await.unwrap().into_inner();
    assert_eq!((held.offset_bytes, held.complete), (5, true));
    let again = running.jobs().submit_job(request).await.unwrap().into_inner();
    assert!(!again.input_needed, "the job goes on without an upload: {again:?}");
    running.stop().await;
}

#[tokio::test]
async fn asking_for_an_upload_leaves_no_file() {
    let running = start().await;
    let held = running.blobs().query_upload(query(b"never sent")).await.unwrap().into_inner();
    assert_eq!((held.offset_bytes, held.complete), (0, false));
    let partial = running.blob_directory().join("partial");
    assert_eq!(std::fs::read_dir(partial).unwrap().count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn an_empty_chunk_ends_the_upload_which_can_be_resumed() {
    let running = start().await;
    let messages = vec![header(&wallet(1), b"right bytes", 11), chunk(b"right"), chunk(b"")];
    let status = running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap_err();
    let why = "REFUSAL_REASON_PROTOCOL";
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, why), "{status:?}");
    let held = running.blobs().query_upload(query(b"right bytes")).await.unwrap().into_inner();
    assert_eq!((held.offset_bytes, held.complete), (5, false));
    running.stop().await;
}

#[tokio::test]
async fn more_estimates_than_fit_into_memory_are_refused_before_they_read() {
    let running = start().await;
    // Large enough that its digest is still being checked when the next call is looked at.
    let large = vec![7; 1 << 20];
    let mut messages = vec![header(&wallet(1), &large, large.len() as u64)];
    messages.extend(large.chunks(proofgrid_proto::CHUNK_BYTES_MAX).map(chunk));
    running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap();

    let request = v1::EstimateJobRequest {
        program_id: support::program().as_bytes().to_vec(),
        input_digest: digest(&large).as_bytes().to_vec(),
        ..Default::default()
    };
    let is_busy = |status: &tonic::Status| {
        (status.code(), reason(status)) == (Code::ResourceExhausted, "REFUSAL_REASON_BUSY")
    };
    let flood = (0..32).map(|_| {
        let (mut jobs, request) = (running.jobs(), request.clone());
        tokio::spawn(async move { jobs.estimate_job(request).await.unwrap_err() })
    });
    let mut refused = 0;
    for call in flood.collect::<Vec<_>>() {
        refused += usize::from(is_busy(&call.await.unwrap()));
    }
    assert!((1..=30).contains(&refused), "{refused} of 32 were refused");
    let alone = running.jobs().estimate_job(request).await.unwrap_err();
    assert!(!is_busy(&alone), "the permits came back: {alone:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_estimate_has_the_inputs_claim_or_the_line_that_is_none() {
    let running = start().await;
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("fibonacci").unwrap();
    let estimate = async |input: &[u8]| {
        let messages = vec![header(&wallet(1), input, input.len() as u64), chunk(input)];
        running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap();
        let request = v1::EstimateJobRequest {
            program_id: program.id().as_bytes().to_vec(),
            input_digest: digest(input).as_bytes().to_vec(),
            ..Default::default()
        };
        running.jobs().estimate_job(request).await
    };
    let found = estimate(b"0 1 1024").await.unwrap().into_inner();
    assert_eq!(found.claim, program.claim(b"0 1 1024").unwrap().as_bytes());
    assert_eq!((found.segments, found.workers), (1, 0));
    let status = estimate(b"no numbers at all").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("line 1"), "{status:?}");
    running.stop().await;
}

async fn download(running: &Running, bytes: &[u8], offset: u64) -> (u64, Vec<u8>) {
    let name = digest(bytes);
    let request = v1::DownloadBlobRequest {
        digest: name.as_bytes().to_vec(),
        offset_bytes: offset,
        authority: Some(download_authority(&wallet(1), name)),
    };
    let mut parts = running.blobs().download_blob(request).await.unwrap().into_inner();
    let (mut length, mut got) = (0, Vec::new());
    while let Some(part) = parts.next().await {
        match part.unwrap().part.unwrap() {
            v1::download_blob_response::Part::LengthBytes(bytes) => length = bytes,
            v1::download_blob_response::Part::Chunk(chunk) => got.extend(chunk),
        }
    }
    (length, got)
}

#[tokio::test]
async fn a_requester_reads_its_input_back_in_chunks_from_any_offset() {
    let running = start().await;
    let key = wallet(1);
    // Blank lines make it several chunks long.
    let mut input = b"0 1 1024".to_vec();
    input.resize(900_000, b'\n');
    let programs = proofgrid_programs::registry();
    let mut job = spec(&key, 1, &input);
    job.claim = programs.get(&job.program).unwrap().claim(&input).unwrap();
    running.jobs().submit_job(submit(&key, &job, HOME, now() + 60)).await.unwrap();
    let mut messages = vec![header(&wallet(1), &input, input.len() as u64)];
    messages.extend(input.chunks(proofgrid_proto::CHUNK_BYTES_MAX).map(chunk));
    running.blobs().upload_blob(tokio_stream::iter(messages)).await.unwrap();

    let length = input.len() as u64;
    assert!(download(&running, &input, 0).await == (length, input.clone()));
    assert!(download(&running, &input, 300_000).await == (length, input[300_000..].to_vec()));
    assert!(download(&running, &input, length).await == (length, Vec::new()));
    running.stop().await;
}
