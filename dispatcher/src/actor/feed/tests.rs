use proofgrid_core::network::{Input, Provenance};
use proofgrid_core::units::{ByteCount, UnixMillis};
use proofgrid_proto::v1::job_service_server::JobService;
use proofgrid_store::journal::{Journal, JournalConfig};
use tokio_stream::StreamExt;

use super::*;
use crate::grpc::job::JobGate;
use crate::testing::{Idle, digest, facts_of, machine, spec, wallet};

mod contradictions;

fn submitted(nonce: u64) -> Input {
    let spec = spec(&wallet(1), nonce, b"input");
    Input::SubmitJob { spec, provenance: Provenance::Direct }
}

/// Three jobs of the same requester; the first is cancelled.
struct Three {
    inputs: Vec<(u64, Input)>,
    jobs: [JobId; 3],
}

fn three() -> Three {
    let specs = [1u8, 2, 3].map(|nonce| spec(&wallet(1), nonce.into(), &[nonce; 5]));
    let jobs = specs.each_ref().map(proofgrid_core::job::JobSpec::id);
    let requester = wallet(1).address();
    let submit = |spec| Input::SubmitJob { spec, provenance: Provenance::Direct };
    let mut inputs: Vec<_> = specs.into_iter().map(|spec| (1_000, submit(spec))).collect();
    inputs.push((2_000, Input::CancelJob { job: jobs[0], requester }));
    Three { inputs, jobs }
}

fn fed(mut feeds: Feeds, facts: &[Fact]) -> (Feeds, Network) {
    let network = Network::replay(machine(), facts.iter().cloned()).unwrap();
    for fact in facts {
        feeds.absorb(fact, network.state());
    }
    (feeds, network)
}

fn numbers(events: &[v1::JobEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

#[test]
fn all_jobs_together_are_bounded_and_those_that_are_over_go_first() {
    let Three { inputs, jobs } = three();
    let facts = facts_of(inputs);
    let (feeds, _) = fed(Feeds::bounded(4), &facts);
    assert!(jobs.iter().all(|job| feeds.since(job, 0).is_some()), "four events fit");
    let (feeds, _) = fed(Feeds::bounded(3), &facts);
    let kept = jobs.map(|job| feeds.since(&job, 0).is_some());
    assert_eq!(kept, [false, true, true]);
    assert_eq!((feeds.events, feeds.turns.len(), feeds.feeds.len()), (2, 2, 2));
    // A live job goes only where no other is left.
    let (feeds, _) = fed(Feeds::bounded(1), &facts);
    assert_eq!(jobs.map(|job| feeds.since(&job, 0).is_some()), [false, false, true]);
}

#[test]
fn a_job_that_is_heard_of_again_goes_on_under_new_numbers_and_says_what_is_missing() {
    let Three { mut inputs, jobs } = three();
    let stored = Input::BlobStored { digest: digest(&[2; 5]), bytes: ByteCount::new(5) };
    inputs.push((3_000, stored));
    let (feeds, _) = fed(Feeds::bounded(1), &facts_of(inputs));
    let (events, following) = feeds.since(&jobs[1], 0).unwrap();
    assert_eq!(numbers(&events), [5, 6], "the sixth fact; its events before were below that");
    assert_eq!((events[0].text.as_str(), following), (CUT, 7));
    assert_eq!(events[1].text, "the input is here");
    let (events, _) = feeds.since(&jobs[1], 6).unwrap();
    assert_eq!(numbers(&events), [6], "nothing is missing from here on");
}

#[test]
fn a_job_with_too_many_events_loses_the_oldest_and_says_so() {
    let (mut feeds, _) = fed(Feeds::default(), &facts_of([(1_000, submitted(1))]));
    let job = spec(&wallet(1), 1, b"input").id();
    for _ in 0..FEED_EVENTS_MAX {
        feeds.append(UnixMillis::new(2_000), Said::new(job, "once more"));
    }
    let (events, following) = feeds.since(&job, 0).unwrap();
    assert_eq!(events.len(), FEED_EVENTS_MAX + 1);
    assert_eq!(numbers(&events[..2]), [0, 1]);
    assert_eq!(events[0].text, CUT);
    assert_eq!(following, FEED_EVENTS_MAX as u64 + 1);
    assert_eq!(feeds.events, FEED_EVENTS_MAX);
}

#[test]
fn a_measurement_of_nothing_known_takes_no_room() {
    let (mut feeds, network) = fed(Feeds::default(), &facts_of([(1_000, submitted(1))]));
    let (task, statement) = (TaskId::from_bytes([1; 32]), StatementDigest::from_bytes([1; 32]));
    feeds.note_intake(network.state(), task, Millis::new(1));
    feeds.note_judged(network.state(), statement, Millis::new(1));
    assert!(feeds.feeds.values().all(|feed| feed.verify.is_empty() && feed.judged.is_none()));
}

async fn watched(gate: &JobGate, job: JobId, from_sequence: u64) -> Vec<v1::JobEvent> {
    let job_id = job.as_bytes().to_vec();
    let request = tonic::Request::new(v1::WatchJobRequest { job_id, from_sequence });
    let events = gate.watch_job(request).await.unwrap().into_inner();
    events.map(|event| event.unwrap().event.unwrap()).collect().await
}

#[tokio::test]
async fn a_late_watcher_of_a_forgotten_job_hears_how_it_went_and_what_is_missing() {
    let Three { inputs, jobs } = three();
    let journal = Journal::open(&JournalConfig::memory()).unwrap();
    let idle = Idle::assembled(&facts_of(inputs), Feeds::bounded(1), journal);
    let (shared, _directory) = idle.run();
    let gate = JobGate::new(shared);
    for from in [0, 37] {
        let events = watched(&gate, jobs[0], from).await;
        assert_eq!(numbers(&events), [from, from + 1, from + 2]);
        assert_eq!(events[0].text, CUT);
        assert_eq!(events[1].text, "submitted directly (unpaid)");
        assert_eq!(events[2].text, "withdrawn by its requester");
        assert_eq!(events[2].state, i32::from(v1::JobState::Cancelled));
    }
}
