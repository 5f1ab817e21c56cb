//! Each rule of the scheduler leaves a reason that people can read.

use alloy_primitives::U256;

use crate::ids::JobId;
use crate::job::JobSpec;
use crate::network::*;
use crate::units::{ByteCount, UnixSeconds};

use super::world::*;

/// Why the first task of a job is where it is.
fn why(world: &World, job: &JobId) -> String {
    world.network.explain(job).unwrap().tasks[0].why.clone()
}

/// Why the newest try of the first task of a job was made where it was.
fn chosen(world: &World, job: &JobId) -> String {
    world.network.explain(job).unwrap().tasks[0].tries.last().unwrap().why.clone()
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

fn rig(slots: u32, memory: u64, units_per_kilosecond: u64) -> ProverCapabilities {
    let mut rig = capabilities(slots);
    rig.memory_bytes = ByteCount::new(memory);
    rig.programs[0].units_per_kilosecond = units_per_kilosecond;
    rig
}

const GIB: u64 = 1 << 30;

#[test]
fn capability() {
    let mut world = World::staffed();
    let mut other = capabilities(1);
    other.programs[0].program = program(2);
    world.connect_with(0, other, Vec::new());
    let job = world.planned(spec(1, 1), 1);
    assert_says(&why(&world, &job), &["no connected prover offers", &program(1).to_string()]);
    world.connect(1, 1);
    assert_says(&chosen(&world, &job), &["best of 1 free provers that offer the program"]);
}

#[test]
fn memory() {
    let mut world = World::staffed();
    world.connect_with(0, rig(4, GIB - 1, 9), Vec::new());
    let job = world.planned(spec(1, 1), 2);
    let needed = ByteCount::new(GIB).to_string();
    assert_says(&why(&world, &job), &["no connected prover has that much memory", &needed]);
    // Slots enough, but memory for one task.
    world.connect_with(1, rig(4, GIB, 1), Vec::new());
    assert_says(&chosen(&world, &job), &[&format!("with {needed} to spare")]);
    let second = world.network.explain(&job).unwrap().tasks[1].why.clone();
    assert_says(&second, &[&needed, "more than any prover with a free slot has left"]);
}

#[test]
fn throughput_and_load() {
    let mut world = World::staffed();
    world.connect_with(0, rig(1, 64 * GIB, 90_000), Vec::new());
    world.connect_with(1, rig(2, 64 * GIB, 70_000), Vec::new());
    let [fast, slow, last, waits] = [1, 2, 3, 4].map(|n| world.planned(spec(1, n), 1));
    let words = ["best of 2 free provers", "90000 units per 1000 s, 0 of 1 slots in use"];
    assert_says(&chosen(&world, &fast), &words);
    assert_says(&chosen(&world, &slow), &["70000 units per 1000 s, 0 of 2 slots in use"]);
    assert_says(&chosen(&world, &last), &["70000 units per 1000 s, 1 of 2 slots in use"]);
    assert_says(&why(&world, &waits), &["every slot of 2 able provers is taken"]);
}

#[test]
fn fair_share() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let first = world.planned(spec(1, 1), 1);
    let [greedy, modest] = [world.planned(spec(1, 2), 1), world.planned(spec(2, 1), 1)];
    let words = ["100 units were served to it, 0 to whoever is next in line"];
    assert_says(&why(&world, &greedy), &words);
    world.prove(&first, 0);
    assert_says(&chosen(&world, &modest), &["its requester's turn at 0 units served"]);
}

#[test]
fn priority_and_deadline() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let running = world.planned(spec(1, 1), 1);
    let soon = UnixSeconds::new(START.as_seconds().get() + 100);
    let plain = world.planned(spec(1, 2), 1);
    let rich = world.planned(JobSpec { fee_cap: U256::from(5_000u64), ..spec(1, 3) }, 1);
    let urgent = world.planned(JobSpec { deadline: soon, ..spec(1, 4) }, 1);
    for (ahead, job) in [(0, &urgent), (1, &rich), (2, &plain)] {
        assert_says(&why(&world, job), &[&format!("{ahead} tasks of its requester go first")]);
    }
    assert_says(&why(&world, &rich), &["fee cap 5000"]);
    world.prove(&running, 0);
    assert_says(&chosen(&world, &urgent), &[&format!("first of its tasks (deadline {soon}")]);
    world.prove(&urgent, 0);
    assert_says(&chosen(&world, &rich), &["fee cap 5000"]);
}

#[test]
fn failed_before() {
    let mut world = World::staffed();
    // So fast that it is the best even after a fault.
    world.connect_with(0, rig(1, 64 * GIB, 900_000_000), Vec::new());
    world.connect_with(1, rig(1, 64 * GIB, 10), Vec::new());
    let job = world.planned(spec(1, 1), 1);
    let busy = world.planned(spec(2, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    let fault = || TaskFault::Backend("panicked".into());
    world.ok(Input::TaskFailed { prover: holder, lease, fault: fault() });
    // The one that failed it is free, and yet the task waits for the other.
    let words = ["every slot of 1 able provers is taken", "1 provers that failed it come last"];
    assert_says(&why(&world, &job), &words);
    assert_says(&why(&world, &job), &["(tried before, deadline"]);
    world.prove(&busy, 0);
    assert_says(&chosen(&world, &job), &["1 passed over for failing it", "(tried before, "]);
    let tries = world.network.explain(&job).unwrap().tasks[0].tries.clone();
    assert_says(&tries[0].outcome, &["backend failed: panicked"]);
}

#[test]
fn drain() {
    let mut world = World::staffed();
    let session = world.connect(0, 1);
    world.connect(1, 1);
    world.ok(Input::ProverDraining { prover: prover(0), session });
    world.ok(Input::DrainProver { prover: prover(1), drain: Drain::Start });
    let job = world.planned(spec(1, 1), 1);
    assert_says(&why(&world, &job), &["2 provers that could take it are draining"]);
    world.ok(Input::DrainProver { prover: prover(1), drain: Drain::Stop });
    let (holder, lease) = world.lease(&job, 0);
    world.ok(Input::TaskFailed { prover: holder, lease, fault: TaskFault::Draining });
    let tries = world.network.explain(&job).unwrap().tasks[0].tries.clone();
    assert_says(&tries[0].outcome, &["the prover is draining"]);
}

#[test]
fn queue_bound() {
    let mut world = World::with(|config| {
        config.live_jobs_max = 2;
        config.live_jobs_per_requester_max = 1;
    });
    let mut refused = |requester, nonce| {
        let spec = spec(requester, nonce);
        let said = world.apply(Input::SubmitJob { spec, provenance: Provenance::Direct });
        said.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(1, 1), "");
    assert_says(&refused(1, 2), &["1 jobs of this requester are live, at most 1"]);
    assert_eq!(refused(2, 1), "");
    assert_says(&refused(3, 1), &["2 jobs are live, at most 2"]);
}

#[test]
fn a_task_that_waits_says_who_is_before_it_and_how_many_wait() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let jobs = [1, 2, 3].map(|nonce| world.planned(spec(1, nonce), 1));
    assert_says(&why(&world, &jobs[2]), &["1 tasks of its requester", "2 tasks are queued in all"]);
}
