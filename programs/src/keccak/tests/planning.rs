//! Splitting: limits, coverage, and the fewest padded rows.

use proofgrid_proofs::program::{PlanError, SegmentRange, check_coverage};
use proptest::prelude::*;

use super::*;
use crate::keccak::planner::{
    LOG_HEIGHT_MAX, LOG_HEIGHT_MIN, budget, log_height_for, memory_for, plan,
};
use crate::keccak::{RATE_BYTES, permutations_of_len};

/// A message that takes this many permutations.
fn message(permutations: usize) -> Vec<u8> {
    vec![0x11; (permutations - 1) * RATE_BYTES]
}

fn heights(plan: &[SegmentPlan]) -> Vec<u8> {
    plan.iter().map(|segment| segment.log_height).collect()
}

#[test]
fn budgets_are_whole_permutations() {
    assert_eq!(budget(LOG_HEIGHT_MIN), 1);
    assert_eq!(budget(16), 2730);
    assert_eq!(budget(LOG_HEIGHT_MAX), 10_922);
    assert_eq!(permutations_of_len(135), 1);
    assert_eq!(permutations_of_len(136), 2);
    assert_eq!(log_height_for(0), Some(LOG_HEIGHT_MIN));
    assert_eq!(log_height_for(10_923), None);
}

#[test]
fn a_message_of_one_mebibyte_is_admitted_and_a_larger_one_names_the_limit() {
    let program = KeccakProgram::new(Profile::Standard);
    let input = input_of(&[vec![0xab; 1 << 20]]);
    let segments = program.plan(&input, &request()).expect("fits the largest table");
    assert_eq!(segments[0].work_units.get(), 7711);
    assert_eq!(heights(&segments), vec![18]);
    program.check_plan(&input, &segments).expect("covers");

    let too_large = [message(1), message(10_923)];
    let refused = plan(&too_large, &request()).expect_err("no table is that high");
    assert_eq!(refused, PlanError::ItemTooLarge { line: 2, needed: 10_923, limit: 10_922 });
    let small = PlanRequest { memory_bytes_max: memory_for(16), ..request() };
    let refused = plan(&[message(7711)], &small).expect_err("no worker has the memory");
    let needed = memory_for(18);
    let available = memory_for(16);
    assert_eq!(refused, PlanError::ItemTooLargeForMemory { line: 1, needed, available });
}

#[test]
fn workers_share_the_block_and_one_worker_pads_least() {
    let block: Vec<Vec<u8>> = crate::keccak::input::parse(include_bytes!(
        "../../../../tests/data/block_19807080_messages.hex"
    ))
    .expect("parses");
    let one = plan(&block, &request()).expect("plans");
    assert_eq!(heights(&one), vec![13, 16]);
    let two = plan(&block, &PlanRequest { num_workers: 2, ..request() }).expect("plans");
    assert!(two.len() >= 2 && heights(&two).iter().all(|h| *h <= 15), "{two:?}");
    let total: u64 = two.iter().map(|segment| segment.work_units.get()).sum();
    assert_eq!(total, 2960);
    let few = PlanRequest { max_segments: 1, ..request() };
    assert_eq!(heights(&plan(&block, &few).expect("plans")), vec![17]);
    let memory = PlanRequest { memory_bytes_max: memory_for(14), max_segments: 2, ..request() };
    let refused = plan(&block, &memory).expect_err("too few segments");
    assert!(matches!(refused, PlanError::TooManySegments { needed: 5, allowed: 2 }), "{refused}");
}

/// Changes a plan.
type Change = fn(&mut Vec<SegmentPlan>);

#[test]
fn foreign_plans_are_refused() {
    let program = KeccakProgram::new(Profile::Standard);
    let messages = vec![message(20), message(1), message(22)];
    let input = input_of(&messages);
    let small = PlanRequest { memory_bytes_max: memory_for(10), ..request() };
    let held = program.plan(&input, &small).expect("plans");
    assert_eq!(held.len(), 2, "{held:?}");
    program.check_plan(&input, &held).expect("own plan");
    let changes: [(&str, Change); 8] = [
        ("empty", Vec::clear),
        ("missing", |p| p.truncate(1)),
        ("twice", |p| p.push(p[1])),
        ("swapped", |p| p.swap(0, 1)),
        ("more work", |p| p[0].work_units = proofgrid_core::units::WorkUnits::new(9)),
        ("other height", |p| p[0].log_height += 1),
        ("less memory", |p| p[1].memory_bytes = ByteCount::new(1)),
        ("beyond the input", |p| p[1].count += 1),
    ];
    for (name, change) in changes {
        let mut changed = held.clone();
        change(&mut changed);
        let refused = program.check_plan(&input, &changed).expect_err(name);
        assert!(matches!(refused, PlanError::Mismatch { .. }), "{name}: {refused}");
    }
    let range = SegmentRange { index: 4, first: 1, count: 2 };
    let replanned = program.plan_range(&input, &range).expect("inside");
    assert_eq!(replanned.work_units.get(), 23);
    let outside = SegmentRange { index: 0, first: 2, count: 2 };
    assert!(program.plan_range(&input, &outside).is_err());
}

/// The least cost of any contiguous split, by trying all of them.
fn brute_force(permutations: &[usize]) -> u64 {
    if permutations.is_empty() {
        return 0;
    }
    (1..=permutations.len())
        .filter_map(|end| {
            let height = log_height_for(permutations[..end].iter().sum())?;
            Some((1 << height) + (1 << 12) + brute_force(&permutations[end..]))
        })
        .min()
        .unwrap_or(u64::MAX)
}

proptest! {
    #[test]
    fn plans_cover_and_respect_every_limit(
        sizes in proptest::collection::vec(1usize..2000, 1..40),
        num_workers in 0u32..5,
        log_memory in 17usize..=18,
    ) {
        let messages: Vec<Vec<u8>> = sizes.iter().map(|size| message(*size)).collect();
        let memory_bytes_max = memory_for(log_memory);
        let request = PlanRequest { memory_bytes_max, num_workers, max_segments: 256 };
        let plan = plan(&messages, &request).expect("every message fits");
        let ranges: Vec<SegmentRange> = plan
            .iter()
            .map(|s| SegmentRange { index: s.index, first: s.first, count: s.count })
            .collect();
        prop_assert_eq!(check_coverage(&ranges), Ok(messages.len() as u64));
        for segment in &plan {
            let first = usize::try_from(segment.first).expect("small");
            let count = usize::try_from(segment.count).expect("small");
            let work: usize = sizes[first..first + count].iter().sum();
            prop_assert_eq!(segment.work_units.get(), work as u64);
            prop_assert!(work <= budget(usize::from(segment.log_height)));
            prop_assert!(segment.memory_bytes <= memory_bytes_max);
        }
    }

    #[test]
    fn one_worker_gets_the_cheapest_split(
        sizes in proptest::collection::vec(1usize..3000, 1..10),
    ) {
        let messages: Vec<Vec<u8>> = sizes.iter().map(|size| message(*size)).collect();
        let plan = plan(&messages, &request()).expect("fits");
        let cost: u64 = plan.iter().map(|s| (1u64 << s.log_height) + (1 << 12)).sum();
        prop_assert_eq!(cost, brute_force(&sizes));
    }
}
