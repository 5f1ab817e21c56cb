//! One task from its assignment to a proof on disk: fetch, check, prove, verify, store; and one
//! proof from disk to the dispatcher.
//!
//! Nothing here decides about leases or sessions. Each step either yields to a cancel at once or, in
//! the proving threads, at the program's next step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use proofgrid_core::ids::{Address, BlobDigest, JobId};
use proofgrid_core::network::{Assignment, LeaseRef, TaskFault};
use proofgrid_core::race::is_race;
use proofgrid_core::statement::SegmentRecord;
use proofgrid_core::units::ByteCount;
use proofgrid_proofs::program::{Binding, Phase, ProveError, Registry, SegmentPlan, SegmentRange};
use thiserror::Error;

use crate::backend::{Backend, CheckedProof, ProveFault, ProveRequest};
use crate::bench::millis;
use crate::holdings::{HeldProof, Holdings, HoldingsError};
use crate::inputs::InputCache;
use crate::progress::{Stage, TaskControl};
use crate::race::{Entry, Shelf};
use crate::stake::Desk;
use crate::transfer::{TransferError, Transfers};

/// Most bytes of a fault's text on the wire.
const TEXT_BYTES_MAX: usize = 1024;

/// How a task ended without a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEnd {
    /// It was told to stop.
    Cancelled,
    /// It failed; the dispatcher is told why.
    Fault(TaskFault),
}

/// Why a proof was not delivered.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// The proof cannot be read back.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// It did not travel.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The runtime is shutting down.
    #[error("the worker is shutting down")]
    Stopped,
}

/// What every task shares.
#[derive(Debug)]
pub struct Workshop {
    /// The programs.
    pub registry: Arc<Registry>,
    /// What proves.
    pub backend: Backend,
    /// Inputs on disk.
    pub inputs: InputCache,
    /// Blobs to and from the dispatcher.
    pub transfers: Transfers,
    /// Proofs on disk.
    pub holdings: Holdings,
    /// Proofs and entries of races, if any are taken part in.
    pub(crate) shelf: Option<Shelf>,
    /// What is put at stake, if anything may be.
    pub desk: Option<Desk>,
    /// Who is paid.
    pub prover: Address,
    /// One lock per input that is being fetched, so that segments of a job share one download.
    pub fetching: Mutex<HashMap<BlobDigest, Arc<tokio::sync::Mutex<()>>>>,
}

/// The lease of an assignment, as messages name it.
#[must_use]
pub const fn lease_of(assignment: &Assignment) -> LeaseRef {
    let lease = &assignment.lease;
    LeaseRef { task: lease.task, attempt: lease.attempt, token: lease.token }
}

/// Memory that an assignment takes while it runs: its plan's and the input's.
#[must_use]
pub const fn memory_needed(assignment: &Assignment) -> ByteCount {
    assignment.segment.memory_bytes.saturating_add(assignment.spec.limits.input_bytes)
}

impl Workshop {
    /// Makes the proof of an assignment. When this returns a proof, it is on disk.
    ///
    /// # Errors
    /// [`TaskEnd`].
    pub async fn prove(
        self: Arc<Self>,
        assignment: Arc<Assignment>,
        control: Arc<TaskControl>,
    ) -> Result<HeldProof, TaskEnd> {
        control.enter(Stage::Fetching);
        let input = tokio::select! {
            biased;
            input = self.fetch(&assignment) => input.map_err(unavailable)?,
            () = control.cancelled() => return Err(TaskEnd::Cancelled),
        };
        let segment = self.prepare(&assignment, &input).await?;
        if let Some(desk) = &self.desk {
            desk.has_input(&assignment.lease.task);
        }
        let program = assignment.spec.program;
        let binding = Binding::of_segment(assignment.job, program, self.prover, &segment);
        let request = ProveRequest { program, input, segment, binding };
        control.enter(Stage::Proving(Phase::Trace));
        let registry = Arc::clone(&self.registry);
        let proved = self
            .backend
            .prove(registry, request, Arc::clone(&control))
            .await
            .map_err(|fault| end_of(&fault))?;
        if control.is_cancelled() {
            return Err(TaskEnd::Cancelled);
        }
        control.enter(Stage::Delivering);
        self.store(&assignment, &segment, proved).await
    }

    /// The input, from disk or from the dispatcher.
    async fn fetch(&self, assignment: &Assignment) -> Result<Bytes, TransferError> {
        let digest = assignment.spec.input;
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever holds a lock keeps a second reference; the others are left over.
            fetching.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(fetching.entry(digest).or_default())
        };
        let _fetching = lock.lock().await;
        let inputs = self.inputs.clone();
        let cached = proofgrid_store::blocking::spawn(move || inputs.read(&digest)).await;
        if let Ok(Some(input)) = cached {
            return Ok(input);
        }
        let length = assignment.spec.limits.input_bytes;
        let input = self.transfers.download(digest, length).await?;
        let (inputs, copy) = (self.inputs.clone(), input.clone());
        let kept = proofgrid_store::blocking::spawn(move || inputs.write(&digest, &copy)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "the input is not cached and will be fetched again");
        }
        Ok(input)
    }

    /// Recomputes what the dispatcher said about the input: its claim, and the segment's size.
    async fn prepare(
        self: &Arc<Self>,
        assignment: &Arc<Assignment>,
        input: &Bytes,
    ) -> Result<SegmentPlan, TaskEnd> {
        let (workshop, assignment) = (Arc::clone(self), Arc::clone(assignment));
        let input = input.clone();
        // A panic of the program ends only this thread; the join then says so.
        proofgrid_store::blocking::spawn(move || {
            check_input(&workshop.registry, &assignment, &input)
        })
        .await
        .unwrap_or_else(|error| Err(backend(format!("planning panicked: {error}"))))
    }

    async fn store(
        self: &Arc<Self>,
        assignment: &Assignment,
        segment: &SegmentPlan,
        proved: CheckedProof,
    ) -> Result<HeldProof, TaskEnd> {
        let proof_bytes = ByteCount::new(proved.proof.bytes.len() as u64);
        let allowed = assignment.spec.limits.max_proof_bytes;
        if proof_bytes > allowed {
            return Err(unprovable(format!("the proof has {proof_bytes}, {allowed} are allowed")));
        }
        let held = HeldProof {
            lease: lease_of(assignment),
            job: assignment.job,
            program: assignment.spec.program,
            deadline: assignment.spec.deadline,
            record: SegmentRecord {
                index: segment.index,
                first: segment.first,
                count: segment.count,
                vk: proved.verified.vk_digest,
                public_values: proved.verified.public_values_digest,
                proof: proved.verified.proof_digest,
                prover: self.prover,
                work_units: proved.verified.work_units,
            },
            proof_bytes,
            prove_ms: millis(proved.prove_time.saturating_add(proved.check_time)),
        };
        let workshop = Arc::clone(self);
        let raced = is_race(&assignment.spec);
        let stored = proofgrid_store::blocking::spawn(move || {
            let shelf = workshop.shelf.as_ref().filter(|_| raced);
            let holdings = shelf.map_or(&workshop.holdings, |shelf| &shelf.holdings);
            holdings.store(&held, &proved.proof.bytes).map(|()| held)
        });
        match stored.await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(error)) => Err(backend(format!("the proof cannot be stored: {error}"))),
            Err(error) => Err(backend(format!("the proof cannot be stored: {error}"))),
        }
    }

    /// Uploads a held proof; its record is written again first, because the lease may have changed.
    ///
    /// # Errors
    /// [`DeliverError`]; the proof stays held.
    pub async fn deliver(self: Arc<Self>, held: HeldProof) -> Result<(), DeliverError> {
        let digest = held.record.proof;
        let workshop = Arc::clone(&self);
        let bytes = proofgrid_store::blocking::spawn(move || {
            workshop.holdings.relabel(&held)?;
            workshop.holdings.read(&held)
        })
        .await
        .map_err(|_| DeliverError::Stopped)??;
        Ok(self.transfers.upload(digest, bytes.into()).await?)
    }

    /// Works on the folder of races, off the runtime.
    async fn on_shelf<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Shelf) -> Result<T, HoldingsError> + Send + 'static,
    ) -> Result<T, DeliverError> {
        let workshop = Arc::clone(self);
        let worked = proofgrid_store::blocking::spawn(move || workshop.shelf.as_ref().map(work));
        Ok(worked.await.ok().flatten().ok_or(DeliverError::Stopped)??)
    }

    /// Uploads a proof of a race.
    pub(crate) async fn show(self: Arc<Self>, held: HeldProof) -> Result<(), DeliverError> {
        let digest = held.record.proof;
        let bytes = self.on_shelf(move |shelf| shelf.holdings.read(&held)).await?;
        Ok(self.transfers.upload(digest, bytes.into()).await?)
    }

    /// Keeps an entry of a race.
    pub(crate) async fn keep_entry(self: &Arc<Self>, entry: Entry) -> Result<(), DeliverError> {
        self.on_shelf(move |shelf| shelf.keep(&entry)).await
    }

    /// Lets an entry of a race go.
    pub(crate) async fn drop_entry(self: &Arc<Self>, job: JobId) {
        if let Err(error) = self.on_shelf(move |shelf| shelf.drop_entry(job)).await {
            tracing::warn!(%job, %error, "an entry of a race stays on disk");
        }
    }

    /// Forgets a proof of a race.
    pub(crate) async fn forget_raced(self: &Arc<Self>, held: HeldProof) {
        let removed = self.on_shelf(move |shelf| shelf.holdings.remove(&held)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "a proof of a race stays on disk");
        }
    }

    /// Forgets a held proof.
    pub async fn forget(self: &Arc<Self>, held: HeldProof) {
        let workshop = Arc::clone(self);
        let removed =
            proofgrid_store::blocking::spawn(move || workshop.holdings.remove(&held)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "a confirmed proof stays on disk and will be offered again");
        }
    }
}

/// Who may lie: the requester about the claim, the dispatcher about the range and its size.
fn check_input(
    registry: &Registry,
    assignment: &Assignment,
    input: &[u8],
) -> Result<SegmentPlan, TaskEnd> {
    let id = assignment.spec.program;
    let program = registry.get(&id).ok_or_else(|| end_of(&ProveFault::UnknownProgram(id)))?;
    let claim = program.claim(input).map_err(|error| unprovable(error.to_string()))?;
    if claim != assignment.spec.claim {
        let expected = assignment.spec.claim;
        return Err(unprovable(format!("the input gives the claim {claim}, not {expected}")));
    }
    let said = &assignment.segment;
    let range = SegmentRange { index: assignment.index, first: said.first, count: said.count };
    let segment =
        program.plan_range(input, &range).map_err(|error| unprovable(error.to_string()))?;
    if segment.work_units != said.work_units {
        let (got, said) = (segment.work_units, said.work_units);
        return Err(unprovable(format!("the segment has {got} of work, not {said}")));
    }
    if segment.memory_bytes > said.memory_bytes {
        let (got, said) = (segment.memory_bytes, said.memory_bytes);
        let text = format!("the segment takes {got}, the assignment had asked for {said}");
        return Err(TaskEnd::Fault(TaskFault::OutOfMemory(text)));
    }
    Ok(segment)
}

fn unavailable(error: TransferError) -> TaskEnd {
    TaskEnd::Fault(TaskFault::InputUnavailable(short(&error.to_string())))
}

pub(crate) fn unprovable(text: String) -> TaskEnd {
    TaskEnd::Fault(TaskFault::Unprovable(short(&text)))
}

fn backend(text: String) -> TaskEnd {
    TaskEnd::Fault(TaskFault::Backend(short(&text)))
}

/// What a fault of the backend means for the dispatcher.
fn end_of(fault: &ProveFault) -> TaskEnd {
    let text = short(&fault.to_string());
    TaskEnd::Fault(match fault {
        ProveFault::Cancelled => return TaskEnd::Cancelled,
        ProveFault::UnknownProgram(_)
        | ProveFault::Program(
            ProveError::Input(_) | ProveError::Plan(_) | ProveError::Refused(_),
        ) => TaskFault::Unprovable(text),
        ProveFault::Program(_) | ProveFault::Panicked { .. } => TaskFault::Backend(text),
        ProveFault::SelfCheck(_) | ProveFault::Differs { .. } => TaskFault::SelfVerify(text),
        ProveFault::Stopped => TaskFault::Draining,
    })
}

/// A text that the wire takes.
fn short(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        let cut = short(&long);
        assert_eq!(cut.len(), TEXT_BYTES_MAX);
        assert_eq!(short(&format!("x{long}")).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(short("short"), "short");
    }
}
