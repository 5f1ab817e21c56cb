//! Sessions that never log in, and a thousand workers that come back at the same moment.

use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_proto::v1;
use proofgrid_proto::v1::prover_service_client::ProverServiceClient;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use super::support::prover::Peer;
use super::support::{Running, provable, reason, wallet};
use super::{alone, before_the_flood, is_over, serves};

async fn channel(running: &Running) -> Channel {
    let uri = format!("http://{}", running.handle.address());
    Channel::from_shared(uri).unwrap().connect().await.unwrap()
}

/// Each is told that its time to log in is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_sessions_without_a_login_ends() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let channel = channel(&running).await;
        for _ in 0..200 {
            let mut client = ProverServiceClient::new(channel.clone());
            let silent = tokio_stream::pending::<v1::ProverServiceSessionRequest>();
            sessions.push(client.session(silent).await.unwrap().into_inner());
        }
        serves(&running).await;
    }
    for mut session in sessions {
        let status = session.next().await.unwrap().unwrap_err();
        let told = (status.code(), reason(&status));
        assert_eq!(told, (Code::DeadlineExceeded, "REFUSAL_REASON_BUSY"), "{status:?}");
    }
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

fn worker(number: u16) -> WalletKey {
    let mut secret = [0x11; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    WalletKey::from_bytes(&secret).unwrap()
}

/// Workers of the storm, and the connections that they share.
const WORKERS: u16 = 1_000;
const CHANNELS: u16 = 10;

/// Tries of one worker in one storm: on a machine that is busy otherwise the time to log in may run
/// out, and the refusal says to try again.
const TRIES: u32 = 50;

async fn logged_in(channel: Channel, key: WalletKey) -> Peer {
    for _ in 0..TRIES {
        match Peer::try_log_in(channel.clone(), &key).await {
            Ok(peer) => return peer,
            Err(status) => assert_eq!(reason(&status), "REFUSAL_REASON_BUSY", "{status:?}"),
        }
    }
    panic!("no login in {TRIES} tries");
}

/// All of them dial in at once.
async fn storm(running: &Running) -> Vec<Peer> {
    let mut arriving = tokio::task::JoinSet::new();
    for first in 0..CHANNELS {
        let channel = channel(running).await;
        for number in (first..WORKERS).step_by(usize::from(CHANNELS)) {
            let channel = channel.clone();
            arriving.spawn(async move {
                let mut peer = logged_in(channel, worker(number)).await;
                assert_eq!(peer.register(Vec::new()).await, []);
                peer
            });
        }
    }
    serves(running).await;
    arriving.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_workers_come_back_at_once_and_one_of_them_gets_the_work() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    drop(storm(&running).await);
    serves(&running).await;
    // They come back before the dispatcher has seen all of them go.
    let peers = storm(&running).await;
    let (input, job) = provable(&wallet(1), 7);
    running.submit_with_input(&wallet(1), &job, &input).await;
    let mut waiting = tokio::task::JoinSet::new();
    for mut peer in peers {
        waiting.spawn(async move { peer.assigned().await.job });
    }
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), job.id());
    drop(waiting);
    is_over(before).await;
    running.stop().await;
}
