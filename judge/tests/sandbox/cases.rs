//! What must come out for each way a child can behave.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proofgrid_core::ids::{Address, JobId, ProgramId};
use proofgrid_core::units::{ByteCount, Millis};
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged, Judgement, UnjudgedReason};
use proofgrid_proofs::digest::{proof_digest, public_values_digest};
use proofgrid_proofs::program::Binding;
use proofgrid_proofs::refusal::RefusalCode;

use super::misbehave::{Behaviour, mark};

pub type Case = fn(Judge) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lists async functions as the cases of a module.
#[macro_export]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        /// Every case by name.
        pub const ALL: &[(&str, $crate::cases::Case)] = &[$((stringify!($name), |judge| Box::pin($name(judge)))),+];
    };
}

cases![
    a_valid_proof_is_verified_with_digests_of_the_parents_bytes,
    a_refusal_is_completed_and_not_retried,
    garbage_is_refused_and_a_long_envelope_needs_no_child,
    a_large_proof_passes_the_pipes,
    a_spinning_child_is_killed_and_unjudged,
    a_hoarding_child_is_unjudged,
    an_aborting_child_is_unjudged,
    a_panicking_child_is_unjudged_with_its_message,
    a_stack_overflow_is_unjudged,
    an_early_exit_is_no_verdict,
    bytes_beside_the_reply_are_no_verdict,
    the_child_has_no_files_and_no_environment,
    a_fresh_child_is_tried_once_more,
    an_unknown_program_is_unjudged,
    a_missing_binary_is_unjudged,
    a_segfault_is_unjudged,
    what_a_child_started_ends_with_it,
    gigabytes_of_reply_are_not_read,
    garbage_and_lying_lengths_are_no_verdict,
    many_requests_share_the_slots,
    a_dropped_request_kills_its_child,
];

fn request(behaviour: Behaviour, proof: &[u8]) -> JudgeRequest {
    request_of(behaviour.id(), JobId::from_bytes([3; 32]), proof)
}

fn request_of(program: ProgramId, job: JobId, proof: &[u8]) -> JudgeRequest {
    let binding = Binding {
        job,
        program,
        prover: Address::from_bytes([5; 20]),
        segment_index: 2,
        first: 0,
        count: 1,
    };
    JudgeRequest { program, binding, proof: proof.to_vec() }
}

fn reason(judgement: Judgement) -> UnjudgedReason {
    match judgement.judged {
        Judged::Unjudged(reason) => reason,
        other => panic!("expected no verdict, got {other:?}"),
    }
}

fn public_values(judgement: Judgement) -> Vec<u8> {
    match judgement.judged {
        Judged::Verified(verified) => verified.public_values,
        other => panic!("expected a verified segment, got {other:?}"),
    }
}

fn is_alive(pid: u32) -> bool {
    kill(Pid::from_raw(pid as i32), None) != Err(Errno::ESRCH)
}

async fn a_valid_proof_is_verified_with_digests_of_the_parents_bytes(judge: Judge) {
    let proof = b"\x01values";
    match judge.judge(request(Behaviour::Honest, proof)).await {
        Judged::Verified(verified) => {
            assert_eq!(verified.public_values, b"values");
            assert_eq!(verified.public_values_digest, public_values_digest(b"values"));
            assert_eq!(verified.proof_digest, proof_digest(proof));
            assert_eq!(verified.work_units.get(), 3);
        }
        other => panic!("{other:?}"),
    }
}

async fn a_refusal_is_completed_and_not_retried(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Honest, b"\x02values")).await;
    assert_eq!(judgement.children, 1);
    match judgement.judged {
        Judged::Refused(refusal) => {
            assert_eq!(refusal.code(), RefusalCode::Encoding);
            assert_eq!(refusal.detail(), "it does not start with 1");
        }
        other => panic!("{other:?}"),
    }
}

async fn garbage_is_refused_and_a_long_envelope_needs_no_child(judge: Judge) {
    for garbage in [&b""[..], &[0xff; 4096]] {
        let judged = judge.judge(request(Behaviour::Honest, garbage)).await;
        assert!(matches!(judged, Judged::Refused(_)), "{judged:?}");
    }
    let long = vec![1; (4 << 20) + 1];
    let judgement = judge.judge_measured(request(Behaviour::Honest, &long)).await;
    assert_eq!(judgement.children, 0);
    match judgement.judged {
        Judged::Refused(refusal) => assert_eq!(refusal.code(), RefusalCode::TooLong),
        other => panic!("{other:?}"),
    }
}

async fn a_large_proof_passes_the_pipes(judge: Judge) {
    let mut proof = vec![9; 1 << 20];
    proof[0] = 1;
    let values = public_values(judge.judge_measured(request(Behaviour::Honest, &proof)).await);
    assert_eq!(values, proof[1..]);
}

async fn a_spinning_child_is_killed_and_unjudged(judge: Judge) {
    let begin = Instant::now();
    let judgement = judge.judge_measured(request(Behaviour::Spin, b"x")).await;
    assert_eq!(judgement.children, 2);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(!is_alive(judgement.pid), "the child outlived its time");
    assert_eq!(reason(judgement), UnjudgedReason::TimedOut { limit: Millis::new(300) });
}

async fn a_hoarding_child_is_unjudged(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Allocate, b"x")).await;
    assert_eq!(judgement.children, 2);
    let limit = ByteCount::new(64 << 20);
    assert_eq!(reason(judgement), UnjudgedReason::MemoryExceeded { limit });
}

async fn an_aborting_child_is_unjudged(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Abort, b"x")).await;
    let signal = Signal::SIGABRT as i32;
    assert_eq!(reason(judgement), UnjudgedReason::Killed { signal });
}

async fn a_panicking_child_is_unjudged_with_its_message(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Panic, b"four")).await;
    let message = "the bytes were 4".to_owned();
    assert_eq!(reason(judgement), UnjudgedReason::ChildPanicked { message });
}

async fn a_stack_overflow_is_unjudged(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Overflow, b"x")).await;
    assert!(matches!(reason(judgement), UnjudgedReason::Killed { .. }));
}

async fn an_early_exit_is_no_verdict(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Exit, b"x")).await;
    assert!(matches!(reason(judgement), UnjudgedReason::BadReply { .. }));
}

async fn bytes_beside_the_reply_are_no_verdict(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Chatter, b"x")).await;
    assert!(matches!(reason(judgement), UnjudgedReason::BadReply { .. }));
}

async fn the_child_has_no_files_and_no_environment(judge: Judge) {
    let opened = public_values(judge.judge_measured(request(Behaviour::OpenFiles, b"x")).await);
    assert!(opened[0] < 8, "{opened:?} files could be opened");
    // The write fails, or the signal for it ends the child; either way nothing is written.
    match judge.judge(request(Behaviour::WriteFile, b"x")).await {
        Judged::Verified(verified) => assert_eq!(verified.public_values, [0]),
        Judged::Unjudged(UnjudgedReason::Killed { signal }) => {
            assert_eq!(signal, Signal::SIGXFSZ as i32);
        }
        other => panic!("{other:?}"),
    }
    let _ = std::fs::remove_file(mark(JobId::from_bytes([3; 32])));
    let names = public_values(judge.judge_measured(request(Behaviour::ReadEnvironment, b"")).await);
    assert_eq!(String::from_utf8_lossy(&names), "MALLOC_ARENA_MAX,RAYON_NUM_THREADS");
}

async fn a_fresh_child_is_tried_once_more(judge: Judge) {
    let mut job = [0x51; 32];
    job[..4].copy_from_slice(&std::process::id().to_be_bytes());
    let job = JobId::from_bytes(job);
    let judgement = judge.judge_measured(request_of(Behaviour::FailFirst.id(), job, b"x")).await;
    std::fs::remove_file(mark(job)).expect("the first child left its mark");
    assert_eq!(judgement.children, 2);
    assert_eq!(public_values(judgement), b"second");
}

async fn an_unknown_program_is_unjudged(judge: Judge) {
    let request = request_of(ProgramId::from_bytes([9; 32]), JobId::from_bytes([1; 32]), b"x");
    let judgement = judge.judge_measured(request).await;
    assert_eq!(judgement.children, 0);
    assert_eq!(reason(judgement), UnjudgedReason::UnknownProgram);
}

async fn a_missing_binary_is_unjudged(_judge: Judge) {
    let mut config = JudgeConfig::own_binary("x").expect("own path");
    config.command = "/nonexistent/judge".into();
    let judge = Judge::new(config, Arc::new(super::misbehave::registry()));
    let judgement = judge.judge_measured(request(Behaviour::Honest, b"\x01")).await;
    assert!(matches!(reason(judgement), UnjudgedReason::Spawn { .. }));
}

async fn a_segfault_is_unjudged(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Segfault, b"x")).await;
    assert_eq!(judgement.children, 2);
    assert_eq!(reason(judgement), UnjudgedReason::Killed { signal: Signal::SIGSEGV as i32 });
}

/// Whether a process is there and not only waiting to be collected: where nothing collects orphans
/// (a container's first process), a killed one stays in the table.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

async fn what_a_child_started_ends_with_it(judge: Judge) {
    let values = public_values(judge.judge_measured(request(Behaviour::Fork, b"x")).await);
    let pid = u32::from_be_bytes(values.try_into().expect("four bytes"));
    // The signal was sent before the judgement came; the process ends when it is next scheduled.
    let begin = Instant::now();
    while is_running(pid) {
        assert!(begin.elapsed() < Duration::from_secs(60), "process {pid} outlived the judge");
        tokio::task::yield_now().await;
    }
}

async fn gigabytes_of_reply_are_not_read(judge: Judge) {
    let judgement = judge.judge_measured(request(Behaviour::Torrent, b"x")).await;
    let why = reason(judgement);
    assert!(matches!(why, UnjudgedReason::BadReply { .. }), "{why:?}");
}

async fn garbage_and_lying_lengths_are_no_verdict(judge: Judge) {
    for behaviour in [Behaviour::Garbage, Behaviour::Claimant] {
        let judgement = judge.judge_measured(request(behaviour, b"x")).await;
        assert_eq!(judgement.children, 2, "{behaviour:?}");
        let why = reason(judgement);
        assert!(matches!(why, UnjudgedReason::BadReply { .. }), "{behaviour:?}: {why:?}");
    }
}

async fn many_requests_share_the_slots(judge: Judge) {
    let running: Vec<_> = (0..12u8)
        .map(|number| {
            let judge = judge.clone();
            tokio::spawn(async move { judge.judge(request(Behaviour::Honest, &[1, number])).await })
        })
        .collect();
    for (number, judged) in running.into_iter().enumerate() {
        match judged.await.expect("no panic") {
            Judged::Verified(verified) => assert_eq!(verified.public_values, [number as u8]),
            other => panic!("{other:?}"),
        }
    }
}

async fn a_dropped_request_kills_its_child(_judge: Judge) {
    let mut config = JudgeConfig::own_binary(super::CHILD).expect("own path");
    config.parallel_max = 1;
    let judge = Judge::new(config, Arc::new(super::misbehave::registry()));
    {
        let spinning = judge.judge(request(Behaviour::Spin, b"x"));
        // Long enough that the child runs, shorter than the limit that would end it.
        assert!(tokio::time::timeout(Duration::from_millis(150), spinning).await.is_err());
    }
    let until = Instant::now() + Duration::from_secs(10);
    while num_children() > 0 {
        assert!(Instant::now() < until, "the child outlived its request");
        tokio::task::yield_now().await;
    }
    let judged = judge.judge(request(Behaviour::Honest, b"\x01")).await;
    assert!(matches!(judged, Judged::Verified(_)), "the slot was not given back: {judged:?}");
}

/// Living children of this process, from the process table.
fn num_children() -> usize {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").expect("a process table");
    let stats = entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            // `pid (name) state parent ...`; the name may hold spaces.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let is_zombie = fields.next() == Some("Z");
            !is_zombie && fields.next() == Some(own.as_str())
        })
        .count()
}
