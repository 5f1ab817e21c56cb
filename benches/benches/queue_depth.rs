//! What a job costs the state machine with a million tasks queued, against a thousand.
//!
//! Both sides are the pure core: no journal, no connection, no signature. Every job has an input of
//! its own and one task, so that each index of the state is as deep as the queue; jobs of many tasks
//! would share their job's entries. Workers are all busy and the queue never runs dry: a round
//! submits, plans, delivers and accepts as many jobs as are leased in it. The shallow side is built
//! anew for every round, so that it never has to carry what earlier rounds left behind. Mark: 1.2.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use std::collections::VecDeque;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use proofgrid_benches::is_full;
use proofgrid_benches::pairs::{Pairs, timed};
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, JobId, ManifestDigest, Nonce, ProgramId,
    PublicValuesDigest, SessionId, VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::{
    Answer, Device, Effect, Input, IntakeOutcome, JobPlan, LeaseRef, Network, NetworkConfig,
    PlannedSegment, ProgramOffer, ProofReport, Provenance, ProverCapabilities,
};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_core::units::{ByteCount, Millis, UnixMillis, UnixSeconds, WorkUnits};

const CHAIN: ChainId = ChainId::new(31_337);
const TARGET: ChainContract =
    ChainContract { chain: CHAIN, contract: Address::from_bytes([0xee; 20]) };
const PROGRAM: ProgramId = ProgramId::from_bytes([1; 32]);
const MANIFEST: ManifestDigest = ManifestDigest::from_bytes([5; 32]);
const VK: VkDigest = VkDigest::from_bytes([6; 32]);
const START: UnixMillis = UnixMillis::new(1_700_000_000_000);
const INPUT_BYTES: ByteCount = ByteCount::new(100);
const SEGMENT: PlannedSegment = PlannedSegment {
    first: 0,
    count: 10,
    work_units: WorkUnits::new(100),
    memory_bytes: ByteCount::new(1 << 30),
};
/// Jobs that come in one millisecond: time passes, so that timers are armed in order, as they are.
const JOBS_PER_MS: u64 = 10;
/// Requesters that take turns.
const REQUESTERS: u64 = 100;
/// Workers with one slot each.
const WORKERS: u64 = 64;

/// Bytes that differ for every number and are in no order, as digests are.
fn scattered<const N: usize>(kind: u8, number: u64) -> [u8; N] {
    let mut bytes = [kind; N];
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&(mixed ^ (mixed >> 32)).to_be_bytes());
    bytes
}

/// A job that is to be submitted, with its id.
struct NewJob {
    id: JobId,
    spec: JobSpec,
}

fn new_job(number: u64) -> NewJob {
    let spec = JobSpec {
        origin: Origin::Direct,
        home_chain: CHAIN,
        target: TARGET,
        requester: Address::from_bytes(scattered(0x66, number % REQUESTERS)),
        nonce: Nonce::new(number),
        program: PROGRAM,
        input: BlobDigest::from_bytes(scattered(0x11, number)),
        claim: Claim::from_bytes([9; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(START.as_seconds().get() + 86_400),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: INPUT_BYTES,
            max_segments: 4,
            max_proof_bytes: ByteCount::new(1 << 20),
        },
        stream: 0,
        sequence: 0,
    };
    NewJob { id: spec.id(), spec }
}

/// A network whose workers are all busy, with a queue of constant depth behind them.
struct Queued {
    network: Network,
    leased: VecDeque<(Address, LeaseRef)>,
    prepared: u64,
    submitted: u64,
}

impl Queued {
    fn new(depth: u64) -> Self {
        let config = NetworkConfig {
            live_jobs_max: usize::MAX,
            known_jobs_max: usize::MAX,
            live_jobs_per_requester_max: usize::MAX,
            // No timer is due in a run: nobody has to say that they live.
            heartbeat_dead_after_ms: 3_600_000,
            input_wait_ms: 3_600_000,
            vote_timeout_ms: 3_600_000,
            ..NetworkConfig::new(CHAIN, TARGET)
        };
        let (network, leased) = (Network::new(config), VecDeque::new());
        let mut queued = Self { network, leased, prepared: 0, submitted: 0 };
        for job in queued.next_jobs(depth + WORKERS) {
            queued.submit(job);
        }
        for number in 0..WORKERS {
            queued.connect(number);
        }
        queued.check(depth);
        queued
    }

    fn check(&self, depth: u64) {
        assert_eq!(self.network.state().queue.len() as u64, depth, "the queue keeps its depth");
        assert!(self.network.next_wakeup() > Some(self.now()), "no timer is due");
    }

    fn now(&self) -> UnixMillis {
        START.after(Millis::new(self.submitted / JOBS_PER_MS))
    }

    fn next_jobs(&mut self, count: u64) -> Vec<NewJob> {
        let first = self.prepared;
        self.prepared += count;
        (first..self.prepared).map(new_job).collect()
    }

    /// Applies one input and keeps what was leased by it.
    fn apply(&mut self, input: Input) -> Answer {
        let outcome = self.network.apply(input, self.now());
        for effect in outcome.effects {
            if let Effect::AssignTask { prover, assignment } = effect {
                let lease = &assignment.lease;
                let (task, attempt, token) = (lease.task, lease.attempt, lease.token);
                self.leased.push_back((prover.address, LeaseRef { task, attempt, token }));
            }
        }
        outcome.answer.expect("nothing is refused")
    }

    fn submit(&mut self, NewJob { id, spec }: NewJob) {
        let digest = spec.input;
        self.submitted += 1;
        self.apply(Input::SubmitJob { spec, provenance: Provenance::Direct });
        self.apply(Input::BlobStored { digest, bytes: INPUT_BYTES });
        let plan = JobPlan { segments: vec![SEGMENT], manifest: MANIFEST, vk: VK };
        self.apply(Input::JobPlanned { job: id, plan });
    }

    fn connect(&mut self, number: u64) {
        let capabilities = ProverCapabilities {
            name: "rig".to_owned(),
            version: "bench".to_owned(),
            device: Device::Cpu,
            slots: 1,
            memory_bytes: ByteCount::new(8 << 30),
            programs: vec![ProgramOffer { program: PROGRAM, units_per_kilosecond: 1_000_000 }],
        };
        let prover = Address::from_bytes(scattered(0x77, number));
        let (session, holding) = (SessionId::new(number), Vec::new());
        self.apply(Input::ProverConnected { prover, session, capabilities, holding });
    }

    /// Completes the oldest lease; its worker gets the next task.
    fn complete_oldest(&mut self) {
        let (prover, lease) = self.leased.pop_front().expect("every worker is busy");
        let (task, attempt) = (lease.task, lease.attempt);
        let proof = BlobDigest::from_bytes(*task.as_bytes());
        let report = ProofReport { proof, bytes: ByteCount::new(1_000), prove_ms: 500 };
        self.apply(Input::TaskCompleted { prover, lease, report });
        let record = SegmentRecord {
            index: 0,
            first: SEGMENT.first,
            count: SEGMENT.count,
            vk: VK,
            public_values: PublicValuesDigest::from_bytes([4; 32]),
            proof,
            prover,
            work_units: SEGMENT.work_units,
        };
        let outcome = IntakeOutcome::Accepted(record);
        let answer = self.apply(Input::IntakeJudged { task, attempt, prover, outcome });
        assert_eq!(answer, Answer::ProofAccepted);
    }

    fn serve(&mut self, jobs: Vec<NewJob>) {
        for job in jobs {
            self.submit(job);
            self.complete_oldest();
        }
    }
}

fn queue_depth(criterion: &mut Criterion) {
    let (deep, shallow, jobs) = if is_full() { (1_000_000, 1_000, 2_000) } else { (60, 6, 8) };
    // Both sides grow into memory that the process has had already: the first touch of a page is the
    // system's cost, and in a virtual machine the largest of all.
    drop(Queued::new(deep / 2));
    let mut full = Queued::new(deep);
    let pairs = Pairs::default();
    // Kept until the end, so that neither side gets back the warm memory of its round before.
    let mut before = Vec::new();
    let mut both = || {
        let mut fresh = Queued::new(shallow);
        let (to_full, to_fresh) = (full.next_jobs(jobs), fresh.next_jobs(jobs));
        let times = pairs.run(|| timed(|| full.serve(to_full)), || timed(|| fresh.serve(to_fresh)));
        full.check(deep);
        fresh.check(shallow);
        before.push(fresh);
        times
    };
    let mut group = criterion.benchmark_group("queue_depth");
    group.sample_size(10);
    group.throughput(criterion::Throughput::Elements(jobs));
    group.bench_function(format!("core::network::lifecycle/queued={deep}"), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| both().0).sum::<Duration>());
    });
    group.finish();
    if is_full() && !pairs.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let per_job = 1e6 / jobs as f64;
        println!(
            "queue_depth: {:.1} us per job with {deep} tasks queued, {:.1} us with {shallow}: \
             {:.3} x (median of {} pairs; mark <= 1.2)",
            pairs.ours_seconds() * per_job,
            pairs.bare_seconds() * per_job,
            pairs.ratio(),
            pairs.len(),
        );
    }
}

criterion_group!(benches, queue_depth);
criterion_main!(benches);
