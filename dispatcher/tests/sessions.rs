//! Sessions of one prover that follow each other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use proofgrid_core::network::ProofReport;
use proofgrid_core::units::ByteCount;
use proofgrid_proto::convert::{CompletionReply, ProverMessage, ProverOrder};
use proofgrid_proto::v1;
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use support::prover::{Peer, lease_of};
use support::{digest, provable, reason, start, wallet};
use tonic::Code;

#[tokio::test]
async fn a_second_login_replaces_the_first_and_the_work_goes_on_under_the_same_lease() {
    let running = start().await;
    let key = wallet(5);
    let mut first = Peer::log_in(&running, &key).await;
    assert_eq!(first.register(Vec::new()).await, []);
    let (input, job) = provable(&wallet(1), 1);
    running.submit_with_input(&wallet(1), &job, &input).await;
    let lease = lease_of(&*first.assigned().await);

    let mut second = Peer::log_in(&running, &key).await;
    let replaced = first.next().await.unwrap_err();
    assert_eq!((replaced.code(), reason(&replaced)), (Code::Aborted, "REFUSAL_REASON_REPLACED"));
    assert_eq!(second.register(vec![lease]).await, [lease], "it goes on with what it holds");
    let task = running.job(&job).await.tasks.remove(0);
    assert_eq!((task.attempt, task.state()), (1, v1::TaskState::Leased));

    // Nothing was assigned again: the next order is the answer to the completion.
    let proof = b"any bytes; no judge runs here".as_slice();
    let store = BlobStore::open(&BlobStoreConfig::new(running.blob_directory())).unwrap();
    store.put_bytes(key.address(), digest(proof), proof.into()).await.unwrap();
    let bytes = ByteCount::new(proof.len() as u64);
    let report = ProofReport { proof: digest(proof), bytes, prove_ms: 1 };
    second.send(ProverMessage::Complete { lease, report }).await;
    let order = second.next().await.unwrap();
    let ProverOrder::Completion { lease: of, reply: CompletionReply::Received } = order else {
        panic!("expected the answer to the completion, got {order:?}");
    };
    assert_eq!(of, lease);
    running.stop().await;
}

#[tokio::test]
async fn a_prover_that_comes_back_without_its_work_gets_it_once_more_under_a_new_lease() {
    let running = start().await;
    let key = wallet(5);
    let mut first = Peer::log_in(&running, &key).await;
    first.register(Vec::new()).await;
    let (input, job) = provable(&wallet(1), 1);
    running.submit_with_input(&wallet(1), &job, &input).await;
    let old = lease_of(&*first.assigned().await);

    let mut second = Peer::log_in(&running, &key).await;
    assert_eq!(second.register(Vec::new()).await, []);
    let new = lease_of(&*second.assigned().await);
    assert_eq!(new.task, old.task);
    assert!(new.token > old.token && new.attempt > old.attempt);
    running.stop().await;
}
