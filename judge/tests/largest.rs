//! The largest segments for real: a message of 1 MiB in a full table of 2^18 rows, with both hashes.
//!
//! What is held here, beside that the proof is made and verified: the planner's memory estimate is
//! above the real peak and not silly, and the manifests' caps on the judge's time and memory are ten
//! times what any bytes within the deterministic limits need.
//!
//! One binary of its own, with its own `main`: a proof of this size takes half of the memory of a small
//! machine, so nothing may run beside it, and the binary is also the judge's sandboxed child. Table
//! heights as arguments (`cargo test -p proofgrid-judge --test largest -- 13 14 15`) measure those
//! instead; the figures in the planner's documentation come from there.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without the usual harness, which the lint does not recognise"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::units::ByteCount;
use proofgrid_judge::{Judge, JudgeConfig, JudgeRequest, Judged};
use proofgrid_programs::keccak::permutations_of_len;
use proofgrid_programs::keccak::planner::{LOG_HEIGHT_MAX, budget};
use proofgrid_proofs::envelope::{Envelope, OVERHEAD_BYTES};
use proofgrid_proofs::program::{Binding, PlanRequest, Program, SegmentPlan, Unmonitored};
use tokio::runtime::Runtime;

/// The argument that makes this binary a judge's child.
const CHILD: &str = "judge-child";
/// Caps of a manifest are at least this many times what the worst admitted proof needs.
const MARGIN: u64 = 10;
const MEBIBYTE: usize = 1 << 20;
const GROTH16: &str = "groth16-bn254";
const GROTH16_VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/groth16.json");
/// Bytes of an envelope with 64 inputs (docs/protocol.md section 8).
const GROTH16_BYTES_MAX: usize = 880 + 96 * 64;
/// Bytes of a honest `fibonacci` proof before the list of its quotient's chunks: two digests and four
/// field elements of the extension, of varying length.
const FIBONACCI_HEADS: std::ops::Range<usize> = 130..220;
/// The opened values of a `keccak` proof: three tables, the first of 2 633 columns.
const KECCAK_TABLES: [u8; 3] = [3, 0xc9, 0x14];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        return proofgrid_judge::child::run(&proofgrid_programs::registry());
    }
    let heights: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let runtime = Runtime::new().expect("a runtime");
    if heights.is_empty() {
        runtime.block_on(hostile_bytes_need_a_tenth_of_the_caps());
        runtime.block_on(the_longest_groth16_proof_needs_a_tenth_of_the_caps());
    }
    let heights = if heights.is_empty() { vec![LOG_HEIGHT_MAX] } else { heights };
    for log_height in heights {
        for name in ["keccak", "keccak-fold"] {
            runtime.block_on(a_full_segment_is_proved_within_its_estimates(name, log_height));
        }
    }
    ExitCode::SUCCESS
}

/// As many messages as a table of this height holds, the first of them as long as 1 MiB if it fits.
fn full_segment(log_height: usize) -> Vec<u8> {
    let long = Some(MEBIBYTE).filter(|len| permutations_of_len(*len) <= budget(log_height));
    let left = budget(log_height) - long.map_or(0, permutations_of_len);
    let short = (0..left).map(|number| number.to_be_bytes().to_vec());
    let messages = long.map(|len| vec![0xab; len]).into_iter().chain(short);
    messages.flat_map(|message| (hex::encode(message) + "\n").into_bytes()).collect()
}

fn binding_of(program: &dyn Program, segment: &SegmentPlan) -> Binding {
    let (job, prover) = (JobId::from_bytes([3; 32]), Address::from_bytes([5; 20]));
    Binding::of_segment(job, program.id(), prover, segment)
}

async fn a_full_segment_is_proved_within_its_estimates(name: &str, log_height: usize) {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name(name).expect("a program of the network");
    let input = full_segment(log_height);
    let memory_bytes_max = ByteCount::new(u64::MAX);
    let request = PlanRequest { memory_bytes_max, num_workers: 1, max_segments: 1 };
    let [segment] = program.plan(&input, &request).expect("plans")[..] else {
        panic!("one table holds the input")
    };
    assert_eq!(usize::from(segment.log_height), log_height);
    let binding = binding_of(program, &segment);

    let (before, begin) = (memory("VmRSS:"), Instant::now());
    let proof = program.prove(&input, &segment, &binding, &Unmonitored).expect("proves");
    let (took, peak) = (begin.elapsed(), memory("VmHWM:") - before);
    let planned = segment.memory_bytes.get();
    println!(
        "{name} 2^{log_height}: {}, proved in {took:.1?}, {} bytes, peak {} MiB, \
         planned {} MiB",
        segment.work_units,
        proof.bytes.len(),
        peak >> 20,
        planned >> 20
    );
    assert!(peak <= planned, "a prover that admits by the plan would die of memory");
    assert!(planned <= 2 * peak, "the plan keeps work from provers that could do it");
    assert!(proof.bytes.len() as u64 <= program.proof_bytes_estimate(&segment).get());

    let verified = program.verify(&proof.bytes, &binding).expect("verifies");
    assert_eq!(
        program.claim_of_segments(&[&verified.public_values]),
        Ok(program.claim(&input).expect("claims"))
    );
    match judged_within(MARGIN, program, binding, proof.bytes).await {
        Judged::Verified(judged) => assert_eq!(judged, verified),
        other => panic!("{name}: {other:?}"),
    }
}

/// Judges a proof in a child with this part of the manifest's memory, and holds its processor time
/// against a tenth of the manifest's time.
async fn judged_within(
    part: u64,
    program: &dyn Program,
    binding: Binding,
    proof: Vec<u8>,
) -> Judged {
    let limits = program.manifest().limits;
    let mut config = JudgeConfig::own_binary(CHILD).expect("own path");
    config.memory_bytes_max = ByteCount::new(limits.verify_memory_bytes_max.get() / part);
    let judge = Judge::new(config, Arc::new(proofgrid_programs::registry()));
    let before = processor_time_of_children();
    let judgement =
        judge.judge_measured(JudgeRequest { program: binding.program, binding, proof }).await;
    let took = processor_time_of_children() - before;
    println!("{}: {} in {took:.2?} of processor time", program.name(), judgement.judged.name());
    let allowed = Duration::from(limits.verify_ms_max);
    assert!(took * u32::try_from(MARGIN).expect("small") <= allowed, "{took:?} of {allowed:?}");
    judgement.judged
}

/// Proofs of the longest admitted length that decode into as much memory as they can: a honest start,
/// then, where a list begins, a huge count and zeros, which are as many empty lists.
async fn hostile_bytes_need_a_tenth_of_the_caps() {
    let registry = proofgrid_programs::registry();
    // Bytes of Groth16 have one length for each number of inputs, and no lists in them.
    for program in registry.iter().filter(|program| program.name() != GROTH16) {
        let is_keccak = program.name() != "fibonacci";
        let input: &[u8] = if is_keccak { b"00" } else { b"0 1 8" };
        let memory_bytes_max = ByteCount::new(u64::MAX);
        let request = PlanRequest { memory_bytes_max, num_workers: 1, max_segments: 1 };
        let segment = program.plan(input, &request).expect("plans")[0];
        let binding = binding_of(program, &segment);
        let honest = program.prove(input, &segment, &binding, &Unmonitored).expect("proves");
        let limits = program.manifest().limits;
        let envelope = Envelope::decode(&honest.bytes, &limits).expect("own envelope");
        let longest = usize::try_from(limits.proof_bytes_max.get()).expect("small");
        let room = longest - OVERHEAD_BYTES - envelope.public_values.len();
        let tables = envelope.proof.windows(3).position(|bytes| bytes == KECCAK_TABLES);
        let heads: Vec<usize> =
            if is_keccak { tables.into_iter().collect() } else { FIBONACCI_HEADS.collect() };
        let mut starved = 0;
        for head in heads {
            let mut proof = envelope.proof[..head].to_vec();
            // 2^28 - 1 as a variable-length integer.
            proof.extend([0xff, 0xff, 0xff, 0x7f]);
            proof.resize(room, 0);
            let bytes = Envelope { proof: &proof, ..envelope }.encode().expect("short");
            let judged = judged_within(MARGIN, program, binding, bytes.clone()).await;
            assert!(matches!(judged, Judged::Refused(_)), "{} {head}: {judged:?}", program.name());
            let judged = judged_within(4 * MARGIN, program, binding, bytes).await;
            starved += u32::from(matches!(judged, Judged::Unjudged(_)));
        }
        assert!(starved > 0, "{}: none of these needs the memory that it should", program.name());
    }
}

/// As many public inputs as are admitted.
async fn the_longest_groth16_proof_needs_a_tenth_of_the_caps() {
    let text = std::fs::read_to_string(GROTH16_VECTORS).expect("the shared vectors");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let envelopes = vectors["accepted"]["envelope"].as_array().expect("a column");
    let longest = envelopes.iter().filter_map(|envelope| envelope.as_str()?.strip_prefix("0x"));
    let longest = longest.max_by_key(|digits| digits.len()).expect("there are some");
    let bytes = hex::decode(longest).expect("hexadecimal");
    assert_eq!(bytes.len(), GROTH16_BYTES_MAX, "with 64 inputs");
    let registry = proofgrid_programs::registry();
    let program = registry.by_name(GROTH16).expect("a program of the network");
    let (job, prover) = (JobId::from_bytes([3; 32]), Address::from_bytes([5; 20]));
    let program_id = program.id();
    let binding =
        Binding { job, program: program_id, prover, segment_index: 0, first: 0, count: 1 };
    match judged_within(MARGIN, program, binding, bytes).await {
        Judged::Verified(_) => {}
        other => panic!("{GROTH16}: {other:?}"),
    }
}

/// A figure of this process's memory in bytes.
fn memory(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("a process table");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number")
}

/// Processor time of all children that have ended.
fn processor_time_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a counter of the system");
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(u64::try_from(micros).expect("not negative"))
        })
        .sum()
}
