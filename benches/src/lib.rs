//! What the benches share: inputs, the bare prover to compare with, and paired timing.
//!
//! Each file in `benches/` measures one operation. Under `cargo bench` sizes are those of the figures
//! in `docs/benchmarks.md`; anywhere else, as in `cargo test`, every body runs once on a tiny size.
//! Ratios come from one run in which both sides alternate, so that a busy machine slows both.

pub mod bare;
pub mod fleet;
pub mod pairs;
pub mod pipeline;
pub mod postgres;

use std::path::Path;

/// The node's allocator, for both sides of every comparison.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Whether this run measures; otherwise it only shows that the bodies work.
#[must_use]
pub fn is_full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Threads of either side: every core.
#[must_use]
pub fn num_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The 992 byte strings of a real block, as the network's input format; in a short run three short
/// strings.
///
/// # Panics
/// If the checkout has no test data.
#[must_use]
pub fn block_input() -> Vec<u8> {
    if !is_full() {
        return b"\n00ff\nabcdef\n".iter().copied().skip(1).collect();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../tests/data/block_19807080_messages.hex");
    #[expect(clippy::expect_used, reason = "a bench without its data has nothing to say")]
    let bytes = std::fs::read(path).expect("the checkout has its test data");
    bytes
}
