//! Who gets which task, fairly, and at a cost that does not grow with the queue.

use crate::ids::JobId;
use crate::job::JobSpec;
use crate::network::*;
use crate::units::{ByteCount, UnixSeconds};

use super::world::*;

#[test]
fn requesters_take_turns_however_many_jobs_one_has() {
    let mut world = World::staffed();
    let mut greedy = Vec::new();
    for nonce in 0..20 {
        greedy.push(world.planned(spec(1, nonce), 1));
    }
    let modest = [world.planned(spec(2, 1), 1), world.planned(spec(2, 2), 1)];
    world.connect(0, 4);
    let leased =
        |world: &World, job: &JobId| matches!(world.task(job, 0).state, TaskState::Leased(_));
    assert!(modest.iter().all(|job| leased(&world, job)), "two of four slots are the modest one's");
    assert_eq!(greedy.iter().filter(|job| leased(&world, job)).count(), 2);
}

#[test]
fn whoever_was_idle_saves_up_no_turns() {
    let mut world = World::staffed();
    world.connect(0, 1);
    for nonce in 0..10 {
        let job = world.planned(spec(1, nonce), 1);
        world.prove(&job, 0);
    }
    // The first requester was served ten tasks alone; now both queue two.
    let old = [world.planned(spec(1, 100), 1), world.planned(spec(1, 101), 1)];
    let new = [world.planned(spec(2, 1), 1), world.planned(spec(2, 2), 1)];
    world.prove(&old[0], 0);
    let mut order = Vec::new();
    for _ in 0..3 {
        let next = old
            .iter()
            .chain(&new)
            .find(|job| matches!(world.task(job, 0).state, TaskState::Leased(_)));
        let next = *next.unwrap();
        order.push(world.network.state().jobs[&next].spec.requester);
        world.prove(&next, 0);
    }
    assert!(order.contains(&address(1)), "the old requester is not starved: {order:?}");
}

#[test]
fn the_nearest_deadline_and_then_the_higher_fee_go_first() {
    let mut world = World::staffed();
    let soon = UnixSeconds::new(START.as_seconds().get() + 100);
    let plain = world.planned(spec(1, 1), 1);
    let rich = JobSpec { fee_cap: alloy_primitives::U256::from(5000u64), ..spec(1, 2) };
    let rich = world.planned(rich, 1);
    let urgent = world.planned(JobSpec { deadline: soon, ..spec(1, 3) }, 1);
    world.connect(0, 1);
    for job in [urgent, rich, plain] {
        assert!(matches!(world.task(&job, 0).state, TaskState::Leased(_)));
        world.prove(&job, 0);
    }
}

#[test]
fn the_fastest_free_prover_that_fits_is_chosen_and_explain_says_why() {
    let mut world = World::staffed();
    let speeds = [(0, 10_000, 64u64 << 30), (1, 90_000, 64 << 30), (2, 500_000, 1 << 20)];
    for (index, units_per_kilosecond, memory) in speeds {
        let mut offered = capabilities(1);
        offered.programs[0].units_per_kilosecond = units_per_kilosecond;
        offered.memory_bytes = ByteCount::new(memory);
        world.connect_with(index, offered, Vec::new());
    }
    let job = world.planned(spec(1, 1), 1);
    assert_eq!(world.lease(&job, 0).0, prover(1), "the fastest has too little memory");
    let explained = world.network.explain(&job).unwrap();
    let first = &explained.tasks[0].tries[0];
    assert_eq!(first.decision.candidates, 3);
    assert!(first.why.contains("90000 units"), "{}", first.why);
}

#[test]
fn measured_throughput_replaces_what_a_prover_says_of_itself() {
    let mut world = World::staffed();
    let mut boaster = capabilities(1);
    boaster.programs[0].units_per_kilosecond = u64::MAX;
    world.connect_with(0, boaster, Vec::new());
    let job = world.planned(spec(1, 1), 1);
    world.prove(&job, 0);
    // 100 units in 500 ms are 200 000 per 1000 s; the honest prover says 1 000 000.
    world.connect(1, 1);
    let next = world.planned(spec(1, 2), 1);
    assert_eq!(world.lease(&next, 0).0, prover(1));
}

#[test]
fn a_prover_never_gets_more_than_its_slots_or_its_memory() {
    let mut world = World::staffed();
    let mut small = capabilities(8);
    small.memory_bytes = ByteCount::new(3 << 30);
    world.connect_with(0, small, Vec::new());
    world.connect(1, 2);
    world.planned(spec(1, 1), 16);
    assert_eq!(world.network.stats().running_tasks, 5);
}

#[test]
fn a_draining_prover_gets_nothing_new_and_finishes_what_it_has() {
    let mut world = World::staffed();
    let session = world.connect(0, 2);
    let first = world.planned(spec(1, 1), 1);
    world.ok(Input::ProverDraining { prover: prover(0), session });
    let second = world.planned(spec(1, 2), 1);
    assert_eq!(world.task(&second, 0).state, TaskState::Queued);
    world.prove(&first, 0);
    world.connect(1, 1);
    world.ok(Input::DrainProver { prover: prover(1), drain: Drain::Start });
    let third = world.planned(spec(1, 3), 1);
    assert_eq!(world.task(&third, 0).state, TaskState::Queued);
    world.ok(Input::DrainProver { prover: prover(1), drain: Drain::Stop });
    world.prove(&second, 0);
    assert!(matches!(world.task(&third, 0).state, TaskState::Leased(_)));
}

/// Queues `queued` tasks without provers, then measures what serving some of them costs.
fn probes_per_lease(queued: u64) -> f64 {
    let mut network = Network::new(NetworkConfig {
        live_jobs_max: usize::MAX,
        live_jobs_per_requester_max: usize::MAX,
        ..NetworkConfig::new(CHAIN, target())
    });
    for number in 0..queued / 16 {
        let requester = u8::try_from(number % 100).unwrap();
        let spec = spec(requester, number);
        let (job, digest, bytes) = (spec.id(), spec.input, spec.limits.input_bytes);
        network.apply(Input::BlobStored { digest, bytes }, START).answer.unwrap();
        let submit = Input::SubmitJob { spec, provenance: Provenance::Direct };
        network.apply(submit, START).answer.unwrap();
        network.apply(Input::JobPlanned { job, plan: plan(16) }, START).answer.unwrap();
    }
    for index in 0..8u8 {
        let connected = Input::ProverConnected {
            prover: prover(index),
            session: crate::ids::SessionId::new(u64::from(index)),
            capabilities: capabilities(1),
            holding: Vec::new(),
        };
        network.apply(connected, START).answer.unwrap();
    }
    for _ in 0..50 {
        let (prover, task) = network
            .state()
            .running
            .iter()
            .find_map(|(prover, tasks)| Some((*prover, *tasks.first()?)))
            .unwrap();
        let (_, found) = network.state().task(&task).unwrap();
        let newest = found.tries.last().unwrap();
        let lease = LeaseRef { task, attempt: newest.attempt, token: newest.token };
        let fault = TaskFault::Draining;
        network.apply(Input::TaskFailed { prover, lease, fault }, START).answer.unwrap();
    }
    let stats = network.stats().scheduler;
    assert!(stats.leases >= 50);
    stats.probes as f64 / stats.leases as f64
}

#[test]
fn a_decision_costs_the_same_with_a_hundred_times_the_queue() {
    let (small, large) = (probes_per_lease(1_600), probes_per_lease(160_000));
    assert!(large <= small * 1.2, "{small} probes per lease, {large} with 100 times the tasks");
}

/// Connects provers that are all free, then leases one task after the other.
fn probes_per_lease_among(provers: u64) -> f64 {
    let mut network = Network::new(NetworkConfig::new(CHAIN, target()));
    for number in 0..provers {
        let mut bytes = [0x70; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let connected = Input::ProverConnected {
            prover: crate::ids::Address::from_bytes(bytes),
            session: crate::ids::SessionId::new(number),
            capabilities: capabilities(1),
            holding: Vec::new(),
        };
        network.apply(connected, START).answer.unwrap();
    }
    let before = network.stats().scheduler;
    for nonce in 0..50 {
        let spec = spec(1, nonce);
        let (job, digest, bytes) = (spec.id(), spec.input, spec.limits.input_bytes);
        network.apply(Input::BlobStored { digest, bytes }, START).answer.unwrap();
        let submit = Input::SubmitJob { spec, provenance: Provenance::Direct };
        network.apply(submit, START).answer.unwrap();
        network.apply(Input::JobPlanned { job, plan: plan(1) }, START).answer.unwrap();
    }
    let stats = network.stats().scheduler;
    assert_eq!(stats.leases, 50);
    (stats.probes - before.probes) as f64 / stats.leases as f64
}

#[test]
fn a_decision_costs_the_same_with_a_hundred_times_the_provers() {
    let (small, large) = (probes_per_lease_among(60), probes_per_lease_among(6_000));
    assert!(large <= small * 1.2, "{small} probes per lease, {large} with 100 times the provers");
}

#[test]
fn memory_that_a_heartbeat_reports_decides_who_can_take_a_task() {
    let mut world = World::staffed();
    let session = world.connect(0, 2);
    let report = |free| Input::ProverHeartbeat {
        prover: prover(0),
        session,
        free_memory_bytes: ByteCount::new(free),
    };
    world.ok(report(0));
    let job = world.planned(spec(1, 1), 1);
    assert_eq!(world.task(&job, 0).state, TaskState::Queued, "its one prover has no memory");
    world.ok(report(64 << 30));
    assert!(matches!(world.task(&job, 0).state, TaskState::Leased(_)));
}
