use super::*;
use crate::testing::{effect_parts, provable, wallet};

/// The time of a test is stopped: it moves on when nothing else can.
#[tokio::test(start_paused = true)]
async fn an_input_that_cannot_be_read_yet_is_planned_when_it_can() {
    let (parts, mut inbox, _directory) = effect_parts();
    let (input, spec) = provable(&wallet(1), 1);
    let (job, digest, requester) = (spec.id(), spec.input, spec.requester);
    let blobs = parts.blobs.clone();
    let planning =
        tokio::spawn(async move { run(&parts, PlanJob { job, spec, workforce: None }).await });
    // After the first try and before the second.
    tokio::time::sleep(PLAN_PAUSE / 2).await;
    blobs.put_bytes(requester, digest, input.into()).await.unwrap();
    let (planned, _) = inbox.next_input().await;
    assert!(matches!(planned, Input::JobPlanned { job: of, .. } if of == job), "{planned:?}");
    planning.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_input_that_stays_unreadable_is_no_fault_of_the_job() {
    let (parts, inbox, _directory) = effect_parts();
    let (_, spec) = provable(&wallet(1), 1);
    let started = tokio::time::Instant::now();
    run(&parts, PlanJob { job: spec.id(), spec, workforce: None }).await;
    // Pauses of 1, 2 and 4 units between 4 tries, then it is left to the next start.
    assert_eq!(started.elapsed().as_millis() / PLAN_PAUSE.as_millis(), 7);
    assert!(inbox.is_empty(), "the job was neither planned nor refused");
}
