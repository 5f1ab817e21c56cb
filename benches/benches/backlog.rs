//! Whole lifecycles per second with about a million tasks queued against a thousand: two dispatchers
//! with connected workers, whose queues stay as deep as they are while rounds of jobs alternate.
//!
//! Mark: a job costs at most 1.2 times as much. `queue_depth` shows the state machine's part alone.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]

use std::path::Path;

use proofgrid_benches::fleet::{Crew, Requesters, Station};
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::{Pairs, timed};
use tokio::runtime::Runtime;

const CALLERS: usize = 256;

/// A dispatcher with a backlog that was there before its workers.
struct Backlog {
    station: Station,
    requesters: Requesters,
    crew: Crew,
}

impl Backlog {
    async fn start(directory: &Path, tasks: usize, workers: usize) -> Self {
        let station = Station::start(directory, workers).await;
        let mut requesters = Requesters::connect(&station.url()).await;
        let requests = requesters.sign(tasks);
        requesters.submit(requests, CALLERS).await;
        let crew = Crew::connect(&station.url(), workers, &requesters).await;
        let mut backlog = Self { station, requesters, crew };
        // What the workers took at once is put back.
        backlog.round(workers).await;
        backlog
    }

    /// Hands in so many jobs while the workers prove as many.
    async fn round(&mut self, jobs: usize) {
        let requests = self.requesters.sign(jobs);
        self.serve(requests).await;
    }

    async fn serve(&mut self, requests: Vec<proofgrid_proto::v1::SubmitJobRequest>) {
        let jobs = requests.len();
        let (requesters, crew) = (&self.requesters, &mut self.crew);
        let proved = async {
            for _ in 0..jobs {
                crew.accepted().await;
            }
        };
        tokio::join!(requesters.submit(requests, CALLERS), proved);
    }
}

fn main() {
    let (deep_tasks, shallow_tasks, workers, jobs, rounds) =
        if is_full() { (950_000, 1_000, 100, 2_000, 11) } else { (64, 16, 2, 4, 1) };
    let runtime = Runtime::new().expect("a runtime");
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [deep, shallow] = directories.each_ref().map(tempfile::TempDir::path);
    let mut deep = runtime.block_on(Backlog::start(deep, deep_tasks, workers));
    let mut shallow = runtime.block_on(Backlog::start(shallow, shallow_tasks, workers));
    let pairs = Pairs::default();
    for _ in 0..rounds {
        let [to_deep, to_shallow] =
            [&mut deep, &mut shallow].map(|side| side.requesters.sign(jobs));
        pairs.run(
            || timed(|| runtime.block_on(deep.serve(to_deep))),
            || timed(|| runtime.block_on(shallow.serve(to_shallow))),
        );
    }
    if is_full() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let jobs = jobs as f64;
        println!(
            "backlog: {:.0} lifecycles per second with {deep_tasks} tasks queued, {:.0} with \
             {shallow_tasks}: a job costs {:.3} x (median of {} pairs, {workers} workers; mark <= 1.2)",
            jobs / pairs.ours_seconds(),
            jobs / pairs.bare_seconds(),
            pairs.ratio(),
            pairs.len(),
        );
    }
    runtime.block_on(async {
        deep.station.stop().await;
        shallow.station.stop().await;
    });
}
