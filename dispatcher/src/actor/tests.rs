use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use proofgrid_core::network::{JobStateKind, Provenance};
use proofgrid_proto::v1::job_service_server::JobService;
use proofgrid_store::journal::{Engine, EngineError, JournalConfig, MemoryEngine, Sequence};

use super::*;
use crate::grpc::job::JobGate;
use crate::testing::{HOME, Idle, facts_of, now, spec, submit, wallet};

/// A journal whose commits begin, say so, and wait until they are let through.
struct Gate {
    memory: MemoryEngine,
    begun: mpsc::UnboundedSender<()>,
    opened: std::sync::mpsc::Receiver<()>,
}

impl Engine for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn last(&self) -> Result<Option<Sequence>, EngineError> {
        self.memory.last()
    }

    fn read(&self, from: Sequence, limit: usize) -> Result<Vec<(Sequence, Vec<u8>)>, EngineError> {
        self.memory.read(from, limit)
    }

    fn commit(&mut self, values: Vec<(Sequence, Vec<u8>)>) -> Result<(), EngineError> {
        self.begun.send(()).expect("the test listens");
        self.opened.recv().expect("the test opens");
        self.memory.commit(values)
    }

    fn truncate_before(&mut self, first: Sequence, start: Vec<u8>) -> Result<(), EngineError> {
        self.memory.truncate_before(first, start)
    }
}

fn submission(nonce: u64) -> Input {
    let spec = spec(&wallet(1), nonce, b"input");
    Input::SubmitJob { spec, provenance: Provenance::Direct }
}

#[tokio::test]
async fn nobody_is_answered_before_the_flush() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (open, opened) = std::sync::mpsc::channel();
    let engine = Gate { memory: MemoryEngine::default(), begun, opened };
    // However slow the machine, the gate is no fault of the disk.
    let patient =
        JournalConfig { commit_time_max: Duration::from_secs(3_600), ..JournalConfig::memory() };
    let journal = Journal::with_engine(Box::new(engine), &patient).unwrap();
    let (shared, _directory) = Idle::assembled(&[], Feeds::default(), journal).run();

    let is_answered = Arc::new(AtomicBool::new(false));
    let (sender, answer) = oneshot::channel();
    let seen = Arc::clone(&is_answered);
    let reply: Reply = Box::new(move |answer, _| {
        seen.store(true, Ordering::SeqCst);
        sender.send(answer).expect("the test waits");
    });
    shared.actor.hand_over(submission(1), reply).await.unwrap();
    begins.recv().await.unwrap();
    assert!(!is_answered.load(Ordering::SeqCst), "the record is not on the disk");
    open.send(()).unwrap();
    assert!(matches!(answer.await.unwrap(), Ok(Answer::JobAccepted(_))));
}

/// Queues a look at the state of `job`, whose result goes to `seen`.
fn queue_look(
    actor: &ActorHandle,
    job: proofgrid_core::ids::JobId,
    seen: &mpsc::UnboundedSender<JobStateKind>,
) {
    let seen = seen.clone();
    let look = actor.read(move |view| {
        let job = &view.network.state().jobs[&job];
        seen.send(job.state.kind()).expect("the test listens");
    });
    assert!(look.now_or_never().is_none(), "it is queued");
}

#[tokio::test]
async fn a_full_inbox_refuses_calls_slows_sessions_and_does_not_starve_the_clock() {
    // The input of this job is overdue since long ago.
    let idle = Idle::after(&facts_of([(1_000, submission(1))]));
    let overdue = idle.actor.network.state().jobs.keys().next().copied().unwrap();
    let actor = idle.shared.actor.clone();
    let (sender, mut seen) = mpsc::unbounded_channel();
    for _ in 0..INBOX_MAX {
        queue_look(&actor, overdue, &sender);
    }
    drop(sender);

    let gate = JobGate::new(Arc::clone(&idle.shared));
    let (key, job) = (wallet(2), spec(&wallet(2), 1, b"input"));
    let request = tonic::Request::new(submit(&key, &job, HOME, now() + 60));
    let status = gate.submit_job(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert_eq!(crate::testing::reason(&status), "REFUSAL_REASON_BUSY");
    // A session's message waits for room, and its stream is not read meanwhile.
    let mut message = std::pin::pin!(actor.hand_over(submission(2), Box::new(|_, _| {})));
    assert!(message.as_mut().now_or_never().is_none());

    let (_shared, _directory) = idle.run();
    message.await.unwrap();
    let mut states = Vec::new();
    while let Some(state) = seen.recv().await {
        states.push(state);
    }
    assert_eq!(states.len(), INBOX_MAX);
    assert_eq!(states[0], JobStateKind::AwaitingInput);
    assert_eq!(states[BATCH_INPUTS_MAX], JobStateKind::Expired, "time went on after one batch");
}
