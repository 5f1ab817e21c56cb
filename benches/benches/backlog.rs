//! Whole lifecycles per second with about a million tasks queued against a thousand: two dispatchers
//! with connected workers, whose queues stay as deep as they are while rounds of jobs alternate.
//!
//! Mark: a job costs at most 1.2 times as much. `queue_depth` shows the state machine's part alone.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]

use proofgrid_benches::fleet::Fleet;
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::{Pairs, timed};
use tokio::runtime::Runtime;

const CALLERS: usize = 256;

fn main() {
    let (deep_tasks, shallow_tasks, workers, jobs, rounds) =
        if is_full() { (950_000, 1_000, 100, 2_000, 11) } else { (64, 16, 2, 4, 1) };
    let runtime = Runtime::new().expect("a runtime");
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [deep, shallow] = directories.each_ref().map(tempfile::TempDir::path);
    let start = |directory, tasks| {
        runtime.block_on(async {
            let mut fleet = Fleet::start_behind(directory, workers, tasks, CALLERS).await;
            // What the workers took at once is put back.
            let requests = fleet.requesters.sign(workers);
            fleet.run(requests, CALLERS).await;
            fleet
        })
    };
    let mut deep = start(deep, deep_tasks);
    let mut shallow = start(shallow, shallow_tasks);
    let pairs = Pairs::default();
    for _ in 0..rounds {
        let [to_deep, to_shallow] =
            [&mut deep, &mut shallow].map(|side| side.requesters.sign(jobs));
        pairs.run(
            || timed(|| runtime.block_on(deep.run(to_deep, CALLERS))),
            || timed(|| runtime.block_on(shallow.run(to_shallow, CALLERS))),
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
        deep.stop().await;
        shallow.stop().await;
    });
}
