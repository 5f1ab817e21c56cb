use proofgrid_core::ids::Role;
use proofgrid_proto::convert::SessionToken;
use tonic::Status;

use super::*;
use crate::session::directory::{Entrant, Membership, Outbound};

const LENGTH: ByteCount = ByteCount::new(7);
/// Longer than any test runs.
const FOREVER: Duration = Duration::from_secs(3_600);

fn blob(byte: u8) -> BlobDigest {
    BlobDigest::from_bytes([byte; 32])
}

fn operator(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

/// A connected verifier, as far as the directory knows.
struct Peer {
    orders: mpsc::Receiver<Result<VerifierOrder, Status>>,
    _membership: Membership,
}

impl Peer {
    fn enter(directory: &Arc<Directory>, byte: u8) -> Self {
        let (sender, orders) = mpsc::channel(64);
        let membership = directory.enter(Entrant {
            role: Role::Verifier,
            address: operator(byte),
            version: "test".to_owned(),
            remote: String::new(),
            outbound: Outbound::Verifier(sender),
            close: CancellationToken::new(),
            token: SessionToken::from_bytes([byte; 32]),
        });
        directory.set_registered(membership.session());
        Self { orders, _membership: membership }
    }

    /// Waits until it is asked.
    async fn wanted(&mut self) -> BlobDigest {
        match self.orders.recv().await.unwrap().unwrap() {
            VerifierOrder::BlobWanted { digest, length } => {
                assert_eq!(length, LENGTH);
                digest
            }
            other => panic!("{other:?}"),
        }
    }
}

fn recalls(patience: Duration) -> (Arc<Recalls>, Arc<Directory>) {
    let directory = Arc::new(Directory::default());
    let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let recalls = Recalls::new(Arc::clone(&directory), patience, tracker, shutdown);
    (Arc::new(recalls), directory)
}

fn start(recalls: &Arc<Recalls>, digest: BlobDigest) -> tokio::task::JoinHandle<bool> {
    let recalls = Arc::clone(recalls);
    tokio::spawn(async move { recalls.restore(digest, LENGTH).await.unwrap() })
}

#[tokio::test]
async fn the_next_verifier_is_asked_when_one_does_not_hold_the_blob() {
    let (recalls, directory) = recalls(FOREVER);
    let mut peers = [Peer::enter(&directory, 1), Peer::enter(&directory, 2)];
    let restored = start(&recalls, blob(9));
    assert_eq!(peers[0].wanted().await, blob(9));
    assert_eq!(recalls.awaited(operator(1), blob(9)), Some(LENGTH));
    assert_eq!(recalls.awaited(operator(2), blob(9)), None, "one verifier at a time");
    recalls.unavailable(operator(2), blob(9), "it is not its turn".to_owned());
    recalls.unavailable(operator(1), blob(9), "not held".to_owned());

    assert_eq!(peers[1].wanted().await, blob(9));
    assert_eq!(recalls.awaited(operator(1), blob(9)), None);
    recalls.begin(operator(2), blob(9)).unwrap().stored();
    assert!(restored.await.unwrap());
    assert_eq!(recalls.awaited(operator(2), blob(9)), None, "the recall is over");
}

#[tokio::test]
async fn an_upload_that_breaks_off_moves_on_to_the_next() {
    let (recalls, directory) = recalls(FOREVER);
    let mut peers = [Peer::enter(&directory, 1), Peer::enter(&directory, 2)];
    let restored = start(&recalls, blob(9));
    peers[0].wanted().await;
    drop(recalls.begin(operator(1), blob(9)).unwrap());
    peers[1].wanted().await;
    drop(recalls.begin(operator(2), blob(9)).unwrap());
    assert!(!restored.await.unwrap(), "nobody gave it");
}

#[tokio::test]
async fn a_silent_verifier_is_passed_over() {
    let (recalls, directory) = recalls(Duration::from_millis(1));
    let mut silent = Peer::enter(&directory, 1);
    assert!(!start(&recalls, blob(9)).await.unwrap());
    assert_eq!(silent.wanted().await, blob(9));
}

#[tokio::test]
async fn without_a_registered_verifier_nothing_comes_back() {
    let (recalls, _directory) = recalls(FOREVER);
    assert!(!start(&recalls, blob(9)).await.unwrap());
}

#[tokio::test]
async fn callers_for_one_blob_share_a_recall_and_recalls_are_bounded() {
    let (recalls, directory) = recalls(FOREVER);
    let mut peer = Peer::enter(&directory, 1);
    let first = recalls.join_or_start(blob(0), LENGTH).unwrap();
    let second = recalls.join_or_start(blob(0), LENGTH).unwrap();
    assert!(first.same_channel(&second));
    let others: Vec<_> = (1..RECALLS_MAX)
        .map(|byte| recalls.join_or_start(blob(u8::try_from(byte).unwrap()), LENGTH).unwrap())
        .collect();
    let over = recalls.join_or_start(blob(0xff), LENGTH);
    assert!(matches!(over, Err(EdgeError::Busy(_))), "{over:?}");

    for _ in 0..RECALLS_MAX {
        let digest = peer.wanted().await;
        recalls.unavailable(operator(1), digest, "not held".to_owned());
    }
    for mut outcome in others.into_iter().chain([first, second]) {
        assert_eq!(*outcome.wait_for(Option::is_some).await.unwrap(), Some(false));
    }
    assert!(recalls.lock().is_empty());
}

#[tokio::test]
async fn the_first_to_be_asked_changes() {
    let (recalls, directory) = recalls(FOREVER);
    let mut peers = [Peer::enter(&directory, 1), Peer::enter(&directory, 2)];
    for (round, peer) in peers.iter_mut().enumerate() {
        let digest = blob(u8::try_from(round).unwrap());
        let restored = start(&recalls, digest);
        assert_eq!(peer.wanted().await, digest);
        let address = operator(u8::try_from(round).unwrap() + 1);
        recalls.begin(address, digest).unwrap().stored();
        assert!(restored.await.unwrap());
    }
}
