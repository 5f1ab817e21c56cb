//! Splitting messages into segments.
//!
//! Table heights are powers of two and a permutation takes 24 rows, so a segment of height `2^k`
//! holds `floor(2^k / 24)` permutations. A message never straddles two segments. For every allowed
//! largest height the planner finds the split with the fewest padded rows (dynamic programming over
//! the messages, exact), and then takes the height with which the given workers are done first;
//! on a tie the one with less work, then the one with fewer segments.

use proofgrid_core::limits::SEGMENTS_MAX;
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_proofs::program::{PlanError, PlanRequest, SegmentPlan};

use super::permutations_of_len;
use super::tables::{PERMUTATION_WIDTH, ROWS_PER_PERMUTATION, SPONGE_WIDTH};

/// Log2 of the smallest permutation table: 32 rows hold one permutation.
pub const LOG_HEIGHT_MIN: usize = 5;
/// Log2 of the largest permutation table: 10 922 permutations, so a message of 1 MiB (7 711) fits.
pub const LOG_HEIGHT_MAX: usize = 18;
/// The sponge table is this many powers of two lower: `floor(2^k / 24) < 2^(k - 4)`.
pub const SPONGE_LOG_OFFSET: usize = 4;

/// What one more proof costs besides its rows (grinding, folding, bookkeeping), in rows of the
/// permutation table; about 0.1 s of two cores.
const ROWS_PER_PROOF: u64 = 1 << 12;

/// Bytes per committed cell at blowup 2: the trace (4), its extension (8), and transforms (1).
const BYTES_PER_CELL: u64 = 13;
/// Memory that every proof takes besides its tables.
const BYTES_PER_PROOF: u64 = 96 << 20;
/// Bytes per row of the tallest extended table for openings, quotients and folding.
const BYTES_PER_ROW: u64 = 640;

/// Permutations that a permutation table of this height holds.
#[must_use]
pub const fn budget(log_height: usize) -> usize {
    (1usize << log_height) / ROWS_PER_PERMUTATION
}

/// Log2 of the smallest permutation table for this many permutations; `None` beyond the largest.
#[must_use]
pub fn log_height_for(permutations: usize) -> Option<usize> {
    (LOG_HEIGHT_MIN..=LOG_HEIGHT_MAX).find(|k| budget(*k) >= permutations)
}

/// Most memory that proving a segment of this height takes.
///
/// Measured peaks of a whole proof, full tables, two cores of an EPYC server with AVX-512, 24 GiB, test
/// build, 2026-11-21 (`judge/tests/largest.rs` prints them and holds the largest under the estimate):
///
/// | log height | permutations | estimate | `standard` | `standard-fold` |
/// |---|---|---|---|---|
/// | 13 | 341 | 384 MiB | 272 MiB | 250 MiB |
/// | 14 | 682 | 672 MiB | 531 MiB | 512 MiB |
/// | 15 | 1 365 | 1 249 MiB | 1 049 MiB | 1 029 MiB |
/// | 16 | 2 730 | 2 403 MiB | 2 088 MiB | 2 084 MiB |
/// | 18 | 10 922 | 9 324 MiB | 8 549 MiB | 8 438 MiB |
///
/// Memory doubles with the height; 2^17 lies in between (estimate 4 710 MiB).
#[must_use]
pub const fn memory_for(log_height: usize) -> ByteCount {
    let rows = 1u64 << log_height;
    let sponge_rows = rows >> SPONGE_LOG_OFFSET;
    let cells = rows * PERMUTATION_WIDTH as u64 + sponge_rows * SPONGE_WIDTH as u64;
    ByteCount::new(cells * BYTES_PER_CELL + rows * BYTES_PER_ROW + BYTES_PER_PROOF)
}

fn cost(log_height: usize) -> u64 {
    (1 << log_height) + ROWS_PER_PROOF
}

/// The plan of one contiguous range, or `None` if it fits no segment.
#[must_use]
pub fn segment(index: u32, first: u64, permutations: &[usize]) -> Option<SegmentPlan> {
    let total = permutations.iter().try_fold(0usize, |sum, p| sum.checked_add(*p))?;
    let log_height = log_height_for(total)?;
    (total > 0).then(|| SegmentPlan {
        index,
        first,
        count: permutations.len() as u64,
        work_units: WorkUnits::new(total as u64),
        memory_bytes: memory_for(log_height),
        log_height: u8::try_from(log_height).unwrap_or(u8::MAX),
    })
}

/// Start and end of a segment's messages.
type Range = (usize, usize);
/// A split in order of preference: when the workers are done, rows in total, segments, the split.
type Candidate = (u64, u64, usize, Vec<Range>);

/// Plans the segments of these messages.
///
/// # Errors
/// [`PlanError`] names the message and the limit that it misses, or the number of segments needed.
pub fn plan(messages: &[Vec<u8>], request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
    let permutations: Vec<usize> = messages.iter().map(|m| permutations_of_len(m.len())).collect();
    let smallest = smallest_height(&permutations)?;
    check_memory(&permutations, request.memory_bytes_max)?;
    let allowed = request.max_segments.clamp(1, SEGMENTS_MAX);
    let mut best: Option<Candidate> = None;
    let mut fewest = u64::MAX;
    for log_height in smallest..=LOG_HEIGHT_MAX {
        if memory_for(log_height) > request.memory_bytes_max {
            break;
        }
        // The cheapest split may have more segments than the job allows; the fullest has the fewest.
        for ranges in [split(&permutations, log_height), fill(&permutations, log_height)] {
            fewest = fewest.min(ranges.len() as u64);
            if ranges.len() as u64 > u64::from(allowed) {
                continue;
            }
            let costs = costs_of(&permutations, &ranges);
            let candidate =
                (makespan(&costs, request.num_workers), costs.iter().sum(), ranges.len(), ranges);
            if best.as_ref().is_none_or(|held| candidate < *held) {
                best = Some(candidate);
            }
        }
    }
    let Some((_, _, _, ranges)) = best else {
        return Err(PlanError::TooManySegments { needed: fewest, allowed });
    };
    ranges
        .iter()
        .zip(0u32..)
        .map(|((start, end), index)| {
            segment(index, *start as u64, permutations.get(*start..*end).unwrap_or_default())
                .ok_or_else(|| PlanError::Mismatch {
                    index,
                    problem: "it fits no table height".into(),
                })
        })
        .collect()
}

fn costs_of(permutations: &[usize], ranges: &[Range]) -> Vec<u64> {
    let total =
        |(start, end): &Range| permutations.get(*start..*end).unwrap_or_default().iter().sum();
    ranges.iter().map(|r| cost(log_height_for(total(r)).unwrap_or(LOG_HEIGHT_MAX))).collect()
}

/// The contiguous split that fills every segment of this height as far as it goes.
fn fill(permutations: &[usize], log_height: usize) -> Vec<Range> {
    let mut ranges = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (position, needed) in permutations.iter().enumerate() {
        if held + needed > budget(log_height) {
            ranges.push((start, position));
            (start, held) = (position, 0);
        }
        held += needed;
    }
    ranges.push((start, permutations.len()));
    ranges
}

/// The smallest height that holds every message, or the first message that none holds.
fn smallest_height(permutations: &[usize]) -> Result<usize, PlanError> {
    let mut smallest = LOG_HEIGHT_MIN;
    for (line, needed) in permutations.iter().enumerate() {
        match log_height_for(*needed) {
            Some(log_height) => smallest = smallest.max(log_height),
            None => {
                return Err(PlanError::ItemTooLarge {
                    line: line as u64 + 1,
                    needed: *needed as u64,
                    limit: budget(LOG_HEIGHT_MAX) as u64,
                });
            }
        }
    }
    Ok(smallest)
}

fn check_memory(permutations: &[usize], available: ByteCount) -> Result<(), PlanError> {
    for (line, needed) in permutations.iter().enumerate() {
        let needed = memory_for(log_height_for(*needed).unwrap_or(LOG_HEIGHT_MAX));
        if needed > available {
            let line = line as u64 + 1;
            return Err(PlanError::ItemTooLargeForMemory { line, needed, available });
        }
    }
    Ok(())
}

/// The contiguous split with the least cost whose segments are at most `2^log_height_max` high.
/// Every message must fit such a segment. O(messages x heights).
fn split(permutations: &[usize], log_height_max: usize) -> Vec<Range> {
    let len = permutations.len();
    // Per height, the end of the longest segment from the current start; ends only move left.
    let heights: Vec<usize> = (LOG_HEIGHT_MIN..=log_height_max).collect();
    let mut windows: Vec<(usize, usize)> = vec![(len, 0); heights.len()];
    let mut suffix: Vec<(u64, usize)> = vec![(0, len); len + 1];
    for start in (0..len).rev() {
        let mut held = (u64::MAX, start + 1);
        for (height, (end, sum)) in heights.iter().zip(&mut windows) {
            *sum += permutations.get(start).copied().unwrap_or(0);
            while *sum > budget(*height) && *end > start {
                *end -= 1;
                *sum -= permutations.get(*end).copied().unwrap_or(0);
            }
            if *end > start {
                let rest = suffix.get(*end).map_or(u64::MAX, |(cost, _)| *cost);
                held = held.min((rest.saturating_add(cost(*height)), *end));
            }
        }
        if let Some(slot) = suffix.get_mut(start) {
            *slot = held;
        }
    }
    let mut ranges = Vec::new();
    let mut start = 0;
    while let Some((_, end)) = suffix.get(start).filter(|_| start < len) {
        ranges.push((start, *end));
        start = *end;
    }
    ranges
}

/// When the last of the workers is done if each takes the longest segment that is left.
fn makespan(costs: &[u64], num_workers: u32) -> u64 {
    let num_workers = usize::try_from(num_workers.max(1)).unwrap_or(usize::MAX).min(costs.len());
    let mut sorted = costs.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let mut loads = vec![0u64; num_workers.max(1)];
    for cost in sorted {
        if let Some(load) = loads.iter_mut().min() {
            *load += cost;
        }
    }
    loads.into_iter().max().unwrap_or(0)
}
