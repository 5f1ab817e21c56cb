//! Signed requests that were captured: for another chain, contract, kind of request, nonce or time.

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{ChainId, NetworkId};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proto::convert::AdminCall;
use proofgrid_proto::v1;
use tonic::{Code, Status};

use super::support::{HOME, Running, address, digest, network, now, reason, spec, submit, wallet};
use super::{alone, before_the_flood, is_over, serves};

const INPUT: &[u8] = b"input";

fn sign(key: &WalletKey, network: NetworkId, request: Request) -> Vec<u8> {
    key.sign(&WalletMessage::Request { network, request }).to_bytes().to_vec()
}

/// Every signed call of a requester, with a signature that `made` gives for what is asked.
async fn calls(
    running: &Running,
    expires: UnixSeconds,
    made: impl Fn(Request) -> Vec<u8>,
) -> [(&'static str, Result<(), Status>); 4] {
    let key = wallet(1);
    let job = spec(&key, 1, INPUT);
    let (digest, length) = (digest(INPUT), ByteCount::new(INPUT.len() as u64));
    let submit = v1::SubmitJobRequest {
        job: Some((&job).into()),
        expires_unix_s: expires.get(),
        signature: made(Request::SubmitJob { job: Box::new(job.clone()), expires }),
    };
    let cancel = v1::CancelJobRequest {
        job_id: job.id().as_bytes().to_vec(),
        expires_unix_s: expires.get(),
        signature: made(Request::CancelJob { job: job.id(), expires }),
    };
    let authority = |request| {
        Some(v1::BlobAuthority {
            requester: key.address().as_bytes().to_vec(),
            expires_unix_s: expires.get(),
            signature: made(request),
        })
    };
    let upload = v1::QueryUploadRequest {
        digest: digest.as_bytes().to_vec(),
        length_bytes: length.get(),
        authority: authority(Request::UploadBlob { digest, length, expires }),
    };
    let download = v1::DownloadBlobRequest {
        digest: digest.as_bytes().to_vec(),
        offset_bytes: 0,
        authority: authority(Request::DownloadBlob { digest, expires }),
    };
    [
        ("submit", running.jobs().submit_job(submit).await.map(drop)),
        ("cancel", running.jobs().cancel_job(cancel).await.map(drop)),
        ("upload", running.blobs().query_upload(upload).await.map(drop)),
        ("download", running.blobs().download_blob(download).await.map(drop)),
    ]
}

async fn all_refused(
    running: &Running,
    what: &str,
    expires: u64,
    made: impl Fn(Request) -> Vec<u8>,
    why: &[&str],
) {
    for (call, outcome) in calls(running, UnixSeconds::new(expires), made).await {
        let status = outcome.expect_err(&format!("{what}: {call} is refused"));
        assert!(why.contains(&reason(&status)), "{what}: {call}: {status:?}");
    }
}

#[tokio::test]
async fn a_captured_signature_opens_no_other_chain_contract_call_or_time() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let (key, here, soon) = (wallet(1), network(HOME), now() + 60);
    // A cancellation names no signer: a wrong signature recovers to a stranger.
    let bad = &["REFUSAL_REASON_BAD_SIGNATURE", "REFUSAL_REASON_NOT_ALLOWED"];

    let chain = NetworkId { home_chain: ChainId::new(HOME + 1), ..here };
    all_refused(&running, "another chain", soon, |asked| sign(&key, chain, asked), bad).await;
    let contract = NetworkId { epoch_table: address(0xe9), ..here };
    all_refused(&running, "another contract", soon, |asked| sign(&key, contract, asked), bad).await;
    all_refused(&running, "another key", soon, |asked| sign(&wallet(2), here, asked), bad).await;

    // What was signed for one kind of call, handed in with another.
    let expires = UnixSeconds::new(soon);
    let job = spec(&key, 1, INPUT);
    let stolen = [
        Request::SubmitJob { job: Box::new(job.clone()), expires },
        Request::CancelJob { job: job.id(), expires },
        Request::DownloadBlob { digest: digest(INPUT), expires },
        Request::UploadBlob { digest: digest(INPUT), length: ByteCount::new(5), expires },
    ];
    for (position, kind) in stolen.iter().enumerate() {
        let signature = sign(&key, here, kind.clone());
        let outcomes = calls(&running, expires, |_| signature.clone()).await;
        let own = [0, 1, 3, 2][position];
        for (call, (name, outcome)) in outcomes.into_iter().enumerate() {
            if call != own {
                let status = outcome.expect_err("a signature for another call");
                assert!(bad.contains(&reason(&status)), "{kind:?} as {name}: {status:?}");
            }
        }
    }

    // The same call at another time: signed times are part of what is signed.
    let late = |asked| sign(&key, here, asked);
    all_refused(&running, "expired", now() - 1, late, &["REFUSAL_REASON_EXPIRED"]).await;
    let far = now() + 7_200;
    all_refused(&running, "too far", far, late, &["REFUSAL_REASON_EXPIRES_TOO_FAR"]).await;
    let older = |asked: Request| match asked {
        Request::SubmitJob { job, .. } => {
            sign(&key, here, Request::SubmitJob { job, expires: UnixSeconds::new(soon - 1) })
        }
        Request::CancelJob { job, .. } => {
            sign(&key, here, Request::CancelJob { job, expires: UnixSeconds::new(soon - 1) })
        }
        _ => sign(&key, chain, asked),
    };
    all_refused(&running, "a later time than signed", soon, older, bad).await;
    is_over(before).await;
    running.stop().await;
}

/// One nonce is one job, whatever is signed for it later.
#[tokio::test]
async fn a_nonce_belongs_to_the_job_that_came_first() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let key = wallet(3);
    let first = spec(&key, 9, INPUT);
    running.jobs().submit_job(submit(&key, &first, HOME, now() + 60)).await.unwrap();
    for other in [b"others".as_slice(), b"another"] {
        let other = submit(&key, &spec(&key, 9, other), HOME, now() + 60);
        let status = running.jobs().submit_job(other).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::AlreadyExists, "REFUSAL_REASON_NONCE_USED")
        );
    }
    // A replay of the very request is the same job again, not a second one.
    let again = running.jobs().submit_job(submit(&key, &first, HOME, now() + 60)).await.unwrap();
    assert!(!again.into_inner().created);
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// An administrator's signature for one call is none for another.
#[tokio::test]
async fn an_administrators_signature_opens_one_call_only() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let expires = UnixSeconds::new(now() + 60);
    let nonce = proofgrid_core::ids::Nonce::new((now() + 3) * 1_000);
    let call = AdminCall::ListNodes;
    for network in [NetworkId { home_chain: ChainId::new(1), ..network(HOME) }, network(HOME)] {
        let request = Request::AdminCall {
            action: call.action().to_owned(),
            subject: call.subject(),
            nonce,
            expires,
        };
        let authority = Some(v1::AdminAuthority {
            nonce: nonce.get(),
            expires_unix_s: expires.get(),
            signature: sign(&wallet(8), network, request),
        });
        let status =
            running.admin().get_queue(v1::GetQueueRequest { authority }).await.unwrap_err();
        let why = reason(&status);
        // The signature recovers to somebody, who is no administrator.
        assert_eq!((status.code(), why), (Code::PermissionDenied, "REFUSAL_REASON_NOT_ALLOWED"));
    }
    is_over(before).await;
    running.stop().await;
}
