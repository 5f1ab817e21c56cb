//! Proving on this machine's threads.
//!
//! Each slot owns a rayon pool. A shared pool would let a thread that waits inside one proof steal
//! the whole of another, so that a small task finishes only after a large one. Idle pools sleep and
//! cost nothing; when several slots prove, the system shares the cores between them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use proofgrid_proofs::program::{Monitor, Registry};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{CheckedProof, OpenError, ProveFault, ProveRequest, prove_and_check};

/// Stack of a proving thread: rayon nests joins on it, and symbolic constraints recurse.
const STACK_BYTES: usize = 8 << 20;

/// The pools of every slot.
#[derive(Debug)]
pub struct CpuBackend {
    idle: Arc<Mutex<Vec<ThreadPool>>>,
}

impl CpuBackend {
    /// One pool of `threads` threads for each of `slots` slots.
    ///
    /// # Errors
    /// [`OpenError::Threads`] if the system refuses the threads.
    pub fn new(slots: usize, threads: usize) -> Result<Self, OpenError> {
        let pools: Result<Vec<_>, _> = (0..slots)
            .map(|slot| {
                ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .stack_size(STACK_BYTES)
                    .thread_name(move |thread| format!("prove-{slot}-{thread}"))
                    .build()
            })
            .collect();
        let pools =
            pools.map_err(|error| OpenError::Threads { threads, problem: error.to_string() })?;
        Ok(Self { idle: Arc::new(Mutex::new(pools)) })
    }

    /// Proves and checks a segment on an idle pool; a panic of the program becomes a fault.
    ///
    /// # Errors
    /// [`ProveFault`]. [`ProveFault::Stopped`] if every pool is taken: the caller admits at most as
    /// many tasks as there are slots.
    pub async fn prove<M: Monitor + Send + 'static>(
        &self,
        registry: Arc<Registry>,
        request: ProveRequest,
        monitor: Arc<M>,
    ) -> Result<CheckedProof, ProveFault> {
        let pool = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .ok_or(ProveFault::Stopped)?;
        let idle = Arc::clone(&self.idle);
        proofgrid_store::blocking::spawn(move || {
            // `install` parks this thread until the pool is done, so the pool is idle again before
            // it goes back and before the caller hears about it.
            let result = pool.install(|| contained(&registry, &request, monitor.as_ref()));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
            result
        })
        .await
        // The runtime refuses blocking work only while it shuts down.
        .unwrap_or(Err(ProveFault::Stopped))
    }
}

fn contained(
    registry: &Registry,
    request: &ProveRequest,
    monitor: &dyn Monitor,
) -> Result<CheckedProof, ProveFault> {
    let program =
        registry.get(&request.program).ok_or(ProveFault::UnknownProgram(request.program))?;
    // Programs are pure functions of their arguments, so nothing half-changed outlives an unwind.
    catch_unwind(AssertUnwindSafe(|| prove_and_check(program, request, monitor))).unwrap_or_else(
        |payload| Err(ProveFault::Panicked { message: panic_message(payload.as_ref()) }),
    )
}

/// The text of a panic, shortened: it goes to the dispatcher and into logs.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    text.chars().take(200).collect()
}
