//! A dispatcher on a durable journal, with many simulated workers on real connections.
//!
//! The workers log in, register, send heartbeats and answer every assignment at once with a proof
//! that was stored before, so that what is measured is the dispatcher and not the proving. Intake
//! looks at envelopes and digests and judges nothing.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run says why and stops")]

mod requester;
mod station;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, BlobDigest, ChainId, NetworkId};
use proofgrid_proto::v1;
use tokio::sync::mpsc;
use tonic::transport::Channel;

pub use requester::{CLIENTS, Requesters};
pub use station::{ChildStation, Station, serve_if_child};
pub use worker::{Accepted, HEARTBEAT, Pulse, Worker};

const CHAIN: u64 = 31_337;
const PROGRAM: &str = "fibonacci";
/// The input of every job.
const INPUT: &[u8] = b"0 1 1024";
/// Longest wait for all jobs of a round.
const PATIENCE: Duration = Duration::from_secs(300);

const fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

fn network() -> NetworkId {
    NetworkId { home_chain: ChainId::new(CHAIN), epoch_table: address(0xe0) }
}

fn digest(bytes: &[u8]) -> BlobDigest {
    BlobDigest::from_bytes(keccak256(bytes))
}

/// A key of the fleet: `kind` keeps workers and requesters apart.
fn key(kind: u8, number: usize) -> WalletKey {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    WalletKey::from_bytes(&bytes).expect("below the group order")
}

/// The dispatcher's own key.
fn server_key() -> WalletKey {
    key(0xd1, 0)
}

/// The key of a worker.
#[must_use]
pub fn worker_key(number: usize) -> WalletKey {
    key(0x77, number)
}

/// A connection of its own.
///
/// # Panics
/// When there is nobody.
pub async fn connect(url: &str) -> Channel {
    let endpoint = Channel::from_shared(url.to_owned()).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// Workers that serve one dispatcher, each on a connection of its own.
#[derive(Debug)]
pub struct Crew {
    accepted: mpsc::UnboundedReceiver<Accepted>,
    pulse: Arc<Pulse>,
}

impl Crew {
    /// Connects this many workers.
    ///
    /// # Panics
    /// When one is not let in.
    pub async fn connect(url: &str, workers: usize, requesters: &Requesters) -> Self {
        let (done, accepted) = mpsc::unbounded_channel();
        let pulse = Arc::new(Pulse::default());
        for number in 0..workers {
            let link = connect(url).await;
            let worker = Worker::log_in(link, &worker_key(number), requesters.program()).await;
            let report = requesters.report().clone();
            tokio::spawn(worker.run(report, done.clone(), Arc::clone(&pulse)));
        }
        Self { accepted, pulse }
    }

    /// What became of heartbeats and workers so far.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The next proof that was accepted.
    ///
    /// # Panics
    /// When none comes.
    pub async fn accepted(&mut self) -> Accepted {
        let next = tokio::time::timeout(PATIENCE, self.accepted.recv());
        next.await.expect("every job gets its proof").expect("workers are connected")
    }
}

/// A dispatcher in this process, its workers and requesters.
#[derive(Debug)]
pub struct Fleet {
    station: Station,
    crew: Crew,
    /// Those who submit.
    pub requesters: Requesters,
}

impl Fleet {
    /// Starts a dispatcher in `directory` and connects `workers` workers.
    ///
    /// # Panics
    /// When anything of that fails.
    pub async fn start(directory: &Path, workers: usize) -> Self {
        Self::start_behind(directory, workers, 0, 0).await
    }

    /// As [`Self::start`], with `backlog` jobs that are there before the workers, submitted so many at
    /// a time.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_behind(
        directory: &Path,
        workers: usize,
        backlog: usize,
        callers: usize,
    ) -> Self {
        let station = Station::start(directory, workers).await;
        let mut requesters = Requesters::connect(&station.url()).await;
        let requests = requesters.sign(backlog);
        requesters.submit(requests, callers).await;
        let crew = Crew::connect(&station.url(), workers, &requesters).await;
        Self { station, crew, requesters }
    }

    /// Submits jobs, so many at a time, and waits until a proof of each was accepted.
    ///
    /// # Panics
    /// When a submit is refused or the proofs do not come.
    pub async fn run(&mut self, requests: Vec<v1::SubmitJobRequest>, callers: usize) {
        let jobs = requests.len();
        let (requesters, crew) = (&self.requesters, &mut self.crew);
        let all_proved = async {
            for _ in 0..jobs {
                crew.accepted().await;
            }
        };
        tokio::join!(requesters.submit(requests, callers), all_proved);
    }

    /// Submits jobs one after the other, each when the proof of the last was accepted; how long each
    /// took from the submit to the worker that was given it.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub async fn lease_times(&mut self, requests: Vec<v1::SubmitJobRequest>) -> Vec<Duration> {
        let mut times = Vec::with_capacity(requests.len());
        for request in requests {
            let begun = self.requesters.submit_one(request).await;
            let accepted = self.crew.accepted().await;
            times.push(accepted.assigned_at.duration_since(begun));
        }
        times
    }

    /// Ends the dispatcher.
    ///
    /// # Panics
    /// When it ends with an error.
    pub async fn stop(self) {
        drop(self.requesters);
        self.station.stop().await;
    }
}
