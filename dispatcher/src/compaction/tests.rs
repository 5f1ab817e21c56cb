use proofgrid_core::ids::{
    Attempt, ManifestDigest, Nonce, PublicValuesDigest, SessionId, VkDigest,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{
    Assignment, Device, Effect, Fact, Input, IntakeOutcome, JobPlan, LeaseRef, Network,
    PlannedSegment, ProgramOffer, ProofReport, Provenance, ProverCapabilities, State, TaskFault,
};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_core::units::{ByteCount, UnixMillis, UnixSeconds, WorkUnits};
use proofgrid_store::journal::JournalConfig;
use tempfile::TempDir;

use super::*;
use crate::testing::{digest, machine, now, spec, wallet};

/// A network of its own clock, and everything that it wrote down.
struct Past {
    network: Network,
    now: UnixMillis,
    facts: Vec<Fact>,
    assigned: Vec<Assignment>,
    /// What jobs have in common.
    template: JobSpec,
}

impl Past {
    /// Begins yesterday.
    fn new() -> Self {
        let now = UnixMillis::new((now() - 86_400) * 1_000);
        let mut template = spec(&wallet(1), 0, &[0; 8]);
        template.limits.max_segments = 16;
        let (facts, assigned) = (Vec::new(), Vec::new());
        Self { network: Network::new(machine()), now, facts, assigned, template }
    }

    fn apply(&mut self, input: Input) {
        let outcome = self.network.apply(input, self.now);
        outcome.answer.unwrap();
        self.facts.extend(outcome.facts);
        for effect in outcome.effects {
            if let Effect::AssignTask { assignment, .. } = effect {
                self.assigned.push(*assignment);
            }
        }
        self.now = UnixMillis::new(self.now.get() + 1);
    }

    /// Lets time pass at once.
    fn pass(&mut self, span_ms: u64) {
        self.now = UnixMillis::new(self.now.get() + span_ms);
        while self.network.next_wakeup().is_some_and(|at| at <= self.now) {
            self.apply(Input::Tick);
        }
    }

    /// Submits a job with its own input, whose deadline is some minutes from now.
    fn submit(&mut self, nonce: u64) -> JobSpec {
        let spec = JobSpec {
            nonce: Nonce::new(nonce),
            input: digest(&nonce.to_be_bytes()),
            deadline: UnixSeconds::new(self.now.as_seconds().get() + 3_000),
            ..self.template.clone()
        };
        self.apply(Input::SubmitJob { spec: spec.clone(), provenance: Provenance::Direct });
        spec
    }

    fn cancel(&mut self, spec: &JobSpec) {
        self.apply(Input::CancelJob { job: spec.id(), requester: spec.requester });
    }

    fn plan(&mut self, spec: &JobSpec, segments: u64) {
        let segment = |index| PlannedSegment {
            first: index * 10,
            count: 10,
            work_units: WorkUnits::new(100),
            memory_bytes: ByteCount::new(1 << 20),
        };
        let plan = JobPlan {
            segments: (0..segments).map(segment).collect(),
            manifest: ManifestDigest::from_bytes([5; 32]),
            vk: VkDigest::from_bytes([6; 32]),
        };
        self.apply(Input::BlobStored { digest: spec.input, bytes: ByteCount::new(8) });
        self.apply(Input::JobPlanned { job: spec.id(), plan });
    }

    fn connect(&mut self) {
        let capabilities = ProverCapabilities {
            name: "rig".into(),
            version: "1".into(),
            device: Device::Cpu,
            slots: 64,
            memory_bytes: ByteCount::new(64 << 30),
            programs: vec![ProgramOffer {
                program: self.template.program,
                units_per_kilosecond: 1_000_000,
            }],
        };
        let prover = wallet(5).address();
        let session = SessionId::new(1);
        self.apply(Input::ProverConnected { prover, session, capabilities, holding: Vec::new() });
    }

    /// Proves what is assigned; every fifth try fails.
    fn prove(&mut self) {
        let prover = wallet(5).address();
        let mut tries = 0;
        while let Some(assignment) = self.assigned.pop() {
            let (task, attempt) = (assignment.lease.task, assignment.lease.attempt);
            let lease = LeaseRef { task, attempt, token: assignment.lease.token };
            tries += 1;
            if tries % 5 == 0 && attempt == Attempt::new(1) {
                let fault = TaskFault::Backend("panic".into());
                self.apply(Input::TaskFailed { prover, lease, fault });
                continue;
            }
            let proof = digest(task.as_bytes());
            let report = ProofReport { proof, bytes: ByteCount::new(10), prove_ms: 5 };
            self.apply(Input::TaskCompleted { prover, lease, report });
            let record = SegmentRecord {
                index: assignment.index,
                first: assignment.segment.first,
                count: assignment.segment.count,
                vk: VkDigest::from_bytes([6; 32]),
                public_values: PublicValuesDigest::from_bytes([4; 32]),
                proof,
                prover,
                work_units: assignment.segment.work_units,
            };
            let outcome = IntakeOutcome::Accepted(record);
            self.apply(Input::IntakeJudged { task, attempt, prover, outcome });
        }
    }

    /// Jobs in every state that needs no verifier, some of them long forgotten.
    fn eventful() -> Self {
        let mut past = Self::new();
        past.connect();
        for nonce in 0..9 {
            let job = past.submit(nonce);
            if nonce % 3 > 0 {
                past.plan(&job, 2);
            }
            if nonce % 2 == 0 {
                past.cancel(&job);
            }
            past.prove();
        }
        past.pass(9 * 86_400_000);
        past.connect();
        for nonce in 20..24 {
            let late = past.submit(nonce);
            past.plan(&late, 2);
            past.prove();
        }
        past
    }

    async fn journal(&self) -> Journal {
        let journal = Journal::open(&JournalConfig::memory()).unwrap();
        let bytes: Vec<Vec<u8>> = self.facts.iter().map(Fact::encode).collect();
        for chunk in bytes.chunks(512) {
            journal.append(chunk.to_vec()).await.unwrap().await.unwrap();
        }
        journal
    }
}

fn sequence(number: usize) -> Sequence {
    Sequence::new(u64::try_from(number).unwrap())
}

fn image(recovered: &Recovered) -> Vec<u8> {
    let mut image = Vec::new();
    recovered.write(&mut image).unwrap();
    image
}

/// State and events, to compare.
async fn recovered(directory: Option<&Path>, journal: &Journal) -> (Vec<u8>, Recovered) {
    let recovered = recover(directory, journal).await.unwrap();
    (image(&recovered), recovered)
}

async fn compacted(path: &Path, journal: &Journal, last: Sequence) {
    let directory = Directory::new(path.to_path_buf());
    let stop = CancellationToken::new();
    assert!(compact(&directory, journal, last, &stop).await.unwrap().is_some());
}

#[tokio::test]
async fn a_snapshot_at_any_record_and_those_after_it_are_the_whole_journal() {
    let past = Past::eventful();
    let whole = past.journal().await;
    let (expected, full) = recovered(None, &whole).await;
    assert_eq!(&full.state, past.network.state());
    assert!(full.state.jobs.len() < 9, "some are forgotten");
    let records = past.facts.len();
    assert!(records > 80, "{records} records");
    for last in 1..=records {
        let path = TempDir::new().unwrap();
        let journal = past.journal().await;
        if last > 1 {
            compacted(path.path(), &journal, sequence(last / 2)).await;
        }
        compacted(path.path(), &journal, sequence(last)).await;
        let (got, restarted) = recovered(Some(path.path()), &journal).await;
        assert!(got == expected && restarted.state == full.state, "after record {last}");
        assert_eq!(restarted.replayed(), (records - last) as u64);
        let kept = if last > 1 { last / 2 + 1 } else { 1 };
        assert_eq!(journal.first_sequence(), sequence(kept));
        for job in full.state.jobs.keys() {
            assert_eq!(restarted.feeds.since(job, 0), full.feeds.since(job, 0));
        }
    }
}

#[tokio::test]
async fn a_kill_between_two_steps_restarts_to_the_same_state() {
    let past = Past::eventful();
    let whole = past.journal().await;
    let (expected, full) = recovered(None, &whole).await;
    let temp = TempDir::new().unwrap();
    let path = temp.path();
    let directory = Directory::new(path.to_path_buf());
    let journal = past.journal().await;
    for last in [20, 40] {
        compacted(path, &journal, sequence(last)).await;
    }
    // The third: its file is half written.
    let mut at = Recovered::from_newest(&directory, &journal).unwrap();
    at.replay(&journal, Some(sequence(60)), None).await.unwrap();
    let partial = directory.file(sequence(60)).with_extension("partial");
    let half = image(&at).len() / 2;
    std::fs::write(&partial, &image(&at)[..half]).unwrap();
    assert_eq!(recovered(Some(path), &journal).await.0, expected);
    assert!(!partial.exists(), "what is half written goes at a start");
    // It is written, and nothing is truncated.
    directory.write(sequence(60), |file| at.write(file)).unwrap();
    let (got, restarted) = recovered(Some(path), &journal).await;
    assert_eq!((got == expected, restarted.snapshot), (true, sequence(60)));
    assert_eq!((directory.list().unwrap().len(), journal.first_sequence()), (3, sequence(21)));
    // It is truncated, and the oldest snapshot is still there.
    journal.truncate_before(sequence(41)).await.unwrap();
    let (got, restarted) = recovered(Some(path), &journal).await;
    assert!(got == expected && restarted.state == full.state);
    // The next compaction tidies up.
    compacted(path, &journal, sequence(70)).await;
    assert_eq!(directory.list().unwrap(), [sequence(60), sequence(70)]);
    assert_eq!(journal.first_sequence(), sequence(61));
    assert_eq!(recovered(Some(path), &journal).await.0, expected);
}

#[tokio::test]
async fn a_damaged_snapshot_is_named_and_the_one_before_it_has_the_same() {
    let past = Past::eventful();
    let whole = past.journal().await;
    let (expected, _) = recovered(None, &whole).await;
    let temp = TempDir::new().unwrap();
    let path = temp.path();
    let directory = Directory::new(path.to_path_buf());
    let journal = past.journal().await;
    for last in [20, 40, 60] {
        compacted(path, &journal, sequence(last)).await;
    }
    let file = directory.file(sequence(60));
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut other = good.clone();
    other[0] = 3;
    for damaged in [&flipped[..], &good[..good.len() - 1], &good[..5], &[], &other] {
        std::fs::write(&file, damaged).unwrap();
        let error = recover(Some(path), &journal).await.unwrap_err().to_string();
        assert!(error.contains("00000000000000000060.snapshot"), "{error}");
        assert!(error.contains("move it away"), "{error}");
        // A compaction does not build on it either.
        let stop = CancellationToken::new();
        assert!(compact(&directory, &journal, sequence(70), &stop).await.is_err());
    }
    std::fs::rename(&file, path.join("damaged")).unwrap();
    let (got, restarted) = recovered(Some(path), &journal).await;
    assert_eq!((got == expected, restarted.snapshot), (true, sequence(40)));
    // Under another name it is not what the name says.
    std::fs::write(directory.file(sequence(61)), &good).unwrap();
    let error = recover(Some(path), &journal).await.unwrap_err().to_string();
    assert!(error.contains("ends with record 60"), "{error}");
}

#[tokio::test]
async fn snapshots_and_a_journal_that_do_not_belong_together_are_refused() {
    let past = Past::eventful();
    let temp = TempDir::new().unwrap();
    let path = temp.path();
    let journal = past.journal().await;
    for last in [20, 40] {
        compacted(path, &journal, sequence(last)).await;
    }
    let elsewhere = TempDir::new().unwrap();
    assert!(compact_now(elsewhere.path(), &journal).await.is_err(), "nor is a gap compacted");
    for directory in [Some(elsewhere.path()), None] {
        let error = recover(directory, &journal).await.unwrap_err().to_string();
        assert!(error.contains("21"), "{error}");
    }
    let empty = Journal::open(&JournalConfig::memory()).unwrap();
    let error = recover(Some(path), &empty).await.unwrap_err().to_string();
    assert!(error.contains("ahead of the journal"), "{error}");
}

#[tokio::test]
async fn ten_thousand_ended_jobs_leave_next_to_nothing() {
    let mut past = Past::new();
    for nonce in 0..10_000 {
        let job = past.submit(nonce);
        past.cancel(&job);
    }
    past.pass(9 * 86_400_000);
    let journal = past.journal().await;
    let temp = TempDir::new().unwrap();
    let path = temp.path();
    let directory = Directory::new(path.to_path_buf());
    for last in [15_000, past.facts.len()] {
        compacted(path, &journal, sequence(last)).await;
    }
    let newest = directory.file(sequence(past.facts.len()));
    let bytes = std::fs::metadata(newest).unwrap().len();
    assert!(bytes < 4_096, "{bytes} bytes");
    assert_eq!(journal.first_sequence(), sequence(15_001));
    let (_, restarted) = recovered(Some(path), &journal).await;
    assert_eq!((restarted.replayed(), restarted.state.jobs.len()), (0, 0));
    assert_eq!(&restarted.state, past.network.state());
    // By hand there is nothing left to do.
    assert_eq!(compact_now(path, &journal).await.unwrap(), sequence(past.facts.len()));
    assert_eq!(directory.list().unwrap().len(), 2);
}

#[tokio::test]
async fn the_compactor_runs_one_at_a_time_after_so_many_records_and_ends_when_told() {
    let past = Past::eventful();
    let journal = past.journal().await;
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("snapshots");
    let directory = Directory::new(path.clone());
    let mut compactor =
        Compactor::new(path.clone(), journal.clone(), 30, (sequence(0), 0)).unwrap();
    compactor.committed(sequence(29));
    assert!(compactor.running.is_none());
    compactor.committed(sequence(33));
    compactor.idle().await;
    assert_eq!(directory.list().unwrap(), [sequence(33)]);
    compactor.committed(sequence(62));
    assert!(compactor.running.is_none(), "30 more are not there yet");
    compactor.committed(sequence(63));
    compactor.idle().await;
    assert_eq!(directory.list().unwrap(), [sequence(33), sequence(63)]);
    assert_eq!(journal.first_sequence(), sequence(34));

    compactor.stop.cancel();
    compactor.committed(sequence(past.facts.len()));
    compactor.stop().await;
    assert_eq!(directory.list().unwrap().len(), 2, "it was stopped before it wrote");
}

/// Rewrites a snapshot as the version before wrote it: with the length of the state before it.
fn make_older(file: &Path, state: &State) {
    let newer = std::fs::read(file).unwrap();
    let length = u32::try_from(state.encode().len()).unwrap().to_le_bytes();
    let mut older = [&[1], &newer[1..9], &length[..], &newer[9..newer.len() - 4]].concat();
    older.extend_from_slice(&crc32fast::hash(&older).to_be_bytes());
    std::fs::write(file, older).unwrap();
}

#[tokio::test]
async fn a_snapshot_of_the_version_before_is_read() {
    let past = Past::eventful();
    let journal = past.journal().await;
    let (expected, full) = recovered(None, &journal).await;
    let temp = TempDir::new().unwrap();
    let last = sequence(past.facts.len());
    compacted(temp.path(), &journal, last).await;
    make_older(&Directory::new(temp.path().to_path_buf()).file(last), &full.state);
    let (got, restarted) = recovered(Some(temp.path()), &journal).await;
    assert_eq!((got == expected, restarted.snapshot), (true, last));
}

#[test]
fn a_large_snapshot_is_not_written_again_for_a_few_records() {
    let due = |bytes| due_after(sequence(100), 30, bytes).get();
    assert_eq!((due(0), due(30 << 10), due(31 << 10)), (130, 130, 131));
}

/// What ended does not count, what lives is read once: no record is replayed.
#[tokio::test]
async fn a_hundred_thousand_live_tasks_are_restored_without_their_history() {
    let mut past = Past::new();
    for nonce in 0..5_000 {
        let job = past.submit(nonce);
        past.cancel(&job);
    }
    past.pass(9 * 86_400_000);
    for nonce in 10_000..16_250 {
        let job = past.submit(nonce);
        past.plan(&job, 16);
    }
    let journal = past.journal().await;
    let temp = TempDir::new().unwrap();
    compacted(temp.path(), &journal, sequence(past.facts.len())).await;
    let begun = std::time::Instant::now();
    let restarted = recover(Some(temp.path()), &journal).await.unwrap();
    let mut network = Network::from_snapshot(machine(), restarted.state);
    network.resume(past.now);
    println!("restored {} tasks in {:?}", network.state().tasks.len(), begun.elapsed());
    assert_eq!(network.state(), past.network.state());
    assert_eq!((network.state().tasks.len(), network.state().jobs.len()), (100_000, 6_250));
    past.network = network;
    past.connect();
    assert_eq!(past.assigned.len(), 64, "the first leases");
}
