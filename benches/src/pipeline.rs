//! The worker's own way from an input to a checked proof, as the node runs it.

use std::sync::Arc;

use bytes::Bytes;
use proofgrid_core::ids::{Address, JobId};
use proofgrid_core::limits::SEGMENTS_MAX;
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::program::{Binding, PlanRequest, Registry, SegmentPlan, Unmonitored};
use proofgrid_prover::backend::{Backend, CheckedProof, DeviceKind, ProveRequest};
use tokio::runtime::Runtime;

/// A backend with one slot, and the runtime that calls it.
#[derive(Debug)]
pub struct Pipeline {
    runtime: Runtime,
    backend: Backend,
    registry: Arc<Registry>,
}

impl Pipeline {
    /// A pipeline with this many proving threads.
    ///
    /// # Panics
    /// If the system refuses the threads.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bench without threads has nothing to say")]
    pub fn new(threads: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let backend = Backend::open(DeviceKind::Cpu, 1, threads).expect("a backend");
        Self { runtime, backend, registry: Arc::new(proofgrid_programs::registry()) }
    }

    /// The segments that the planner cuts for one worker.
    ///
    /// # Panics
    /// If the input cannot be planned.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the benches bring inputs that can be planned")]
    pub fn plan(&self, program: &str, input: &[u8]) -> Vec<SegmentPlan> {
        let request = PlanRequest {
            memory_bytes_max: ByteCount::new(8 << 30),
            num_workers: 1,
            max_segments: SEGMENTS_MAX,
        };
        let program = self.registry.by_name(program).expect("a program");
        program.plan(input, &request).expect("a plan")
    }

    /// Fills the tables, proves, encodes and verifies one segment: everything between a fetched
    /// input and a proof that may be stored.
    ///
    /// # Panics
    /// If there is no proof.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a bench without a proof has nothing to say")]
    pub fn prove(&self, program: &str, input: &Bytes, segment: &SegmentPlan) -> CheckedProof {
        let program = self.registry.by_name(program).expect("a program").id();
        let prover = Address::from_bytes([1; 20]);
        let binding = Binding::of_segment(JobId::from_bytes([2; 32]), program, prover, segment);
        let request = ProveRequest { program, input: input.clone(), segment: *segment, binding };
        let registry = Arc::clone(&self.registry);
        let proof = self.backend.prove(registry, request, Arc::new(Unmonitored));
        self.runtime.block_on(proof).expect("a proof")
    }
}
