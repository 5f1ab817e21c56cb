//! What a prover says about itself.

use std::path::PathBuf;

use proofgrid_prover::ProverStatus;
use tokio::sync::watch;

use super::verifier::{figure, share};
use super::{Need, NodeFacts, Sample, Service, ServiceStatus, disk};

/// The facts of a running prover.
#[derive(Debug)]
pub struct ProverFacts {
    status: watch::Receiver<ProverStatus>,
    data_dir: PathBuf,
    was_registered: watch::Receiver<bool>,
}

impl ProverFacts {
    /// Facts from its status as it changes; must be called on a runtime.
    #[must_use]
    pub fn new(status: watch::Receiver<ProverStatus>, data_dir: PathBuf) -> Self {
        let (seen, was_registered) = watch::channel(false);
        let mut watched = status.clone();
        // Ends with the first registration, or with the prover.
        tokio::spawn(async move {
            if watched.wait_for(|status| status.registered).await.is_ok() {
                seen.send_replace(true);
            }
        });
        Self { status, data_dir, was_registered }
    }

    /// Waits until a registration was seen.
    #[cfg(test)]
    pub(super) async fn settled(&self) {
        self.was_registered.clone().wait_for(|seen| *seen).await.expect("it is registered");
    }
}

impl NodeFacts for ProverFacts {
    fn services(&self) -> Vec<Service> {
        let (registered, draining) = {
            let status = self.status.borrow();
            (status.registered, status.draining)
        };
        let session = match (registered, *self.was_registered.borrow()) {
            (true, _) => ServiceStatus::Up,
            (false, false) => ServiceStatus::Initializing,
            (false, true) => ServiceStatus::Down,
        };
        vec![
            Service {
                id: "session",
                name: "Session",
                description: "Connected to the dispatcher, logged in and registered",
                status: session,
                need: Need::Vital,
            },
            Service {
                id: "holdings",
                name: "Holdings",
                description: "The disk that finished proofs wait on",
                status: disk::status(&self.data_dir),
                need: Need::Vital,
            },
            Service {
                id: "intake",
                name: "Intake",
                description: "Whether new work is taken; not while the worker drains",
                status: if draining { ServiceStatus::Down } else { ServiceStatus::Up },
                need: Need::Partial,
            },
        ]
    }

    fn performance(&self) -> f64 {
        let status = self.status.borrow();
        share(status.delivered, status.failed.saturating_add(status.refused))
    }

    fn samples(&self) -> Vec<Sample> {
        let status = self.status.borrow().clone();
        vec![
            Sample::gauge(
                "proofgrid_tasks_running",
                "Tasks that are worked on",
                figure(status.tasks.len() as u64),
            ),
            Sample::gauge(
                "proofgrid_proofs_held",
                "Finished proofs that the dispatcher has not confirmed yet",
                figure(status.held as u64),
            ),
            Sample::counter(
                "proofgrid_proofs_delivered",
                "Proofs that the dispatcher has taken",
                status.delivered,
            ),
            Sample::counter("proofgrid_tasks_failed", "Tasks that were given up", status.failed),
            Sample::counter(
                "proofgrid_proofs_refused",
                "Proofs that the dispatcher's intake refused; anything but 0 is alarming",
                status.refused,
            ),
            Sample::gauge(
                "proofgrid_memory_free_bytes",
                "Memory for one more task",
                figure(status.free_memory.get()),
            ),
            Sample::flag(
                "proofgrid_session_up",
                "1 while registered with the dispatcher",
                status.registered,
            ),
            Sample::flag(
                "proofgrid_draining",
                "1 while the worker takes no more work",
                status.draining,
            ),
        ]
    }
}
