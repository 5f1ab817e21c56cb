//! What the actor owes the world, after the facts behind it are durable.
//!
//! Messages go straight to the peer's stream. Work (planning, judging, deleting) waits in queues
//! here, bounded by what the state machine owes, and is started as workers come free; its result
//! comes back to the actor as an input. Every effect may run twice: after a restart the state
//! machine owes again what had no result.

mod intake;
mod plan;
mod removal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, BlobDigest, JobId, NetworkId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{Assignment, Effect, Lease, LeaseRef, Network, Peer, Workforce};
use proofgrid_judge::Judge;
use proofgrid_proofs::program::Registry;
use proofgrid_proto::convert::{
    EntryAnswer, EntryReply, JudgeOrder, OracleOrder, ProverOrder, SegmentOffer, SettleOrder,
    StatementOffer, VerifierOrder,
};
use proofgrid_store::blob::{BlobError, BlobStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actor::ActorHandle;
use crate::blobs::Pins;
use crate::bonds::Bonds;
use crate::limits::{AWAY_PAUSE, AWAY_TRIES_MAX, DELETIONS_MAX, JUDGEMENTS_MAX, PLANNERS_MAX};
use crate::session::directory::Directory;

pub use intake::IntakeJob;
pub use plan::{PlanRefusal, plan_input};
pub use removal::Remover;

/// A queue of work of one kind: what is owed, started as workers come free.
///
/// A worker first goes through all that waits on a thread that may block, so that a run of short
/// pieces changes threads once; what is not done there is done asynchronously.
struct Queue<T> {
    owed: Arc<std::sync::Mutex<VecDeque<T>>>,
    more: Arc<Notify>,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts `workers` workers that take from the queue until `shutdown`. `quick` does a piece of
    /// work at once and may block, or says `false`; then `work` does it.
    fn start<Q, F, W>(
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
        workers: usize,
        quick: Q,
        work: F,
    ) -> Self
    where
        Q: Fn(&T) -> bool + Clone + Send + Sync + 'static,
        F: Fn(T) -> W + Clone + Send + Sync + 'static,
        W: std::future::Future<Output = ()> + Send,
    {
        let queue = Self { owed: Arc::default(), more: Arc::new(Notify::new()) };
        for _ in 0..workers {
            let (owed, more) = (Arc::clone(&queue.owed), Arc::clone(&queue.more));
            let (quick, work, shutdown) = (quick.clone(), work.clone(), shutdown.clone());
            tracker.spawn(async move {
                loop {
                    let step = async {
                        if is_empty(&owed) {
                            return more.notified().await;
                        }
                        let (owed, quick, ended) =
                            (Arc::clone(&owed), quick.clone(), shutdown.clone());
                        let run =
                            proofgrid_store::blocking::spawn(move || drain(&owed, &quick, &ended));
                        if let Ok(Some(left)) = run.await {
                            work(left).await;
                        }
                    };
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        () = step => {}
                    }
                }
            });
        }
        queue
    }

    fn push(&self, work: T) {
        self.owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_back(work);
        self.more.notify_one();
    }
}

/// Does what waits until something takes longer, which is returned.
fn drain<T>(
    owed: &std::sync::Mutex<VecDeque<T>>,
    quick: &impl Fn(&T) -> bool,
    shutdown: &CancellationToken,
) -> Option<T> {
    while !shutdown.is_cancelled() {
        let next = take(owed)?;
        // A panic is told apart where the piece is done by itself.
        let attempt = std::panic::AssertUnwindSafe(|| quick(&next));
        if !std::panic::catch_unwind(attempt).unwrap_or(false) {
            return Some(next);
        }
    }
    None
}

fn is_empty<T>(owed: &std::sync::Mutex<VecDeque<T>>) -> bool {
    owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
}

fn take<T>(owed: &std::sync::Mutex<VecDeque<T>>) -> Option<T> {
    owed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
}

/// Reads a blob, and while the object store is away again: that says nothing about the job, and a
/// proof given up for it would have to be made anew.
async fn outlast<T, F: Future<Output = Result<T, BlobError>>>(
    mut read: impl FnMut() -> F,
) -> Result<T, BlobError> {
    for tried in 1..AWAY_TRIES_MAX {
        match read().await {
            Err(error) if error.is_away() => {
                tracing::warn!(%error, tried, "waiting for the object store");
                tokio::time::sleep(AWAY_PAUSE).await;
            }
            read => return read,
        }
    }
    read().await
}

/// A job to be cut.
#[derive(Clone, Debug)]
struct PlanJob {
    job: JobId,
    spec: JobSpec,
    workforce: Option<Workforce>,
}

/// What effects need.
#[derive(Clone, Debug)]
pub struct EffectParts {
    /// The actor that results go to.
    pub actor: ActorHandle,
    /// The switchboard.
    pub directory: Arc<Directory>,
    /// Blobs.
    pub blobs: BlobStore,
    /// Which blobs may not be removed just now.
    pub pins: Arc<Pins>,
    /// Programs.
    pub programs: Arc<Registry>,
    /// The sandbox.
    pub judge: Judge,
    /// Whom the planner cuts for while no prover is connected.
    pub expected: Workforce,
    /// What is asked of provers, if a bond is.
    pub bonds: Option<Arc<Bonds>>,
    /// Signs commit sets.
    pub key: Arc<WalletKey>,
    /// What they are bound to.
    pub network: NetworkId,
}

/// Runs effects.
pub struct Effects {
    directory: Arc<Directory>,
    bonds: Option<Arc<Bonds>>,
    key: Arc<WalletKey>,
    network: NetworkId,
    plans: Queue<PlanJob>,
    intakes: Queue<IntakeJob>,
    deletions: Queue<BlobDigest>,
}

impl Effects {
    /// Starts the workers.
    #[must_use]
    pub fn start(parts: &EffectParts, tracker: &TaskTracker, shutdown: &CancellationToken) -> Self {
        let quick_planner = parts.clone();
        let quick_plan = move |work: &PlanJob| plan::run_now(&quick_planner, work);
        let planner = parts.clone();
        let plan = move |work: PlanJob| {
            let parts = planner.clone();
            async move { plan::run(&parts, work).await }
        };
        let quick_judging = parts.clone();
        let quick_intake = move |work: &IntakeJob| intake::run_now(&quick_judging, work);
        let judging = parts.clone();
        let intake = move |work: IntakeJob| {
            let parts = judging.clone();
            async move { intake::run(&parts, work).await }
        };
        let remover = Remover {
            blobs: parts.blobs.clone(),
            actor: parts.actor.clone(),
            pins: Arc::clone(&parts.pins),
        };
        let delete = move |digest: BlobDigest| {
            let remover = remover.clone();
            async move {
                match remover.remove(digest).await {
                    Ok(removed) => tracing::debug!(%digest, removed, "blob released"),
                    Err(error) => tracing::warn!(%digest, %error, "a blob could not be removed"),
                }
            }
        };
        Self {
            directory: Arc::clone(&parts.directory),
            bonds: parts.bonds.clone(),
            key: Arc::clone(&parts.key),
            network: parts.network,
            plans: Queue::start(tracker, shutdown, PLANNERS_MAX, quick_plan, plan),
            intakes: Queue::start(tracker, shutdown, JUDGEMENTS_MAX, quick_intake, intake),
            deletions: Queue::start(tracker, shutdown, DELETIONS_MAX, |_| false, delete),
        }
    }

    /// Does or starts what is owed. Never waits.
    pub fn run(&self, effects: impl IntoIterator<Item = Effect>, network: &Network) {
        for effect in effects {
            self.run_one(effect, network);
        }
    }

    fn run_one(&self, effect: Effect, network: &Network) {
        match effect {
            Effect::PlanJob { job, spec, workforce } => {
                self.plans.push(PlanJob { job, spec, workforce });
            }
            Effect::AssignTask { prover, assignment } => {
                let terms = self.terms_of(&assignment);
                self.directory.send_prover(prover.session, ProverOrder::Assign(assignment));
                if let Some(terms) = terms {
                    self.directory.send_prover(prover.session, terms);
                }
            }
            Effect::CancelTask { prover, task, attempt, reason } => {
                let order = ProverOrder::Cancel { task, attempt, reason };
                self.directory.send_prover(prover.session, order);
            }
            Effect::JudgeIntake {
                task,
                attempt,
                prover,
                report,
                job,
                spec,
                plan,
                index,
                verify,
            } => {
                let tries = network.state().task(&task).ok().map(|(_, task)| &task.tries);
                let granted = tries.and_then(|all| all.iter().find(|t| t.attempt == attempt));
                self.intakes.push(IntakeJob {
                    task,
                    attempt,
                    token: granted.map(|granted| granted.token),
                    prover,
                    report,
                    job,
                    spec,
                    plan,
                    index,
                    verify,
                });
            }
            Effect::OfferRace { prover, offer } => {
                self.directory.send_prover(prover.session, ProverOrder::RaceOffer(offer));
            }
            Effect::TakeRaceProofs { prover, job, statement } => {
                let answer = EntryAnswer { job, statement, reply: EntryReply::Upload };
                self.directory.send_prover(prover.session, ProverOrder::RaceEntry(answer));
            }
            Effect::DeleteBlob { digest } => self.deletions.push(digest),
            Effect::CloseSession { peer } => self.directory.close_replaced(peer.session),
            // The actor has woken the watchers.
            Effect::JobChanged { job: _ } => {}
            other => self.tell(other, network),
        }
    }

    /// The bond that is asked for an assignment, if one is.
    fn terms_of(&self, assignment: &Assignment) -> Option<ProverOrder> {
        let Lease { task, attempt, token, expires_at, .. } = assignment.lease;
        let terms = self.bonds.as_ref()?.asked(&assignment.spec, expires_at)?;
        Some(ProverOrder::Terms { lease: LeaseRef { task, attempt, token }, terms })
    }

    /// Effects that are a message to verifiers or an oracle.
    fn tell(&self, effect: Effect, network: &Network) {
        match effect {
            Effect::OfferSegment { verifiers, job, spec, plan, record } => {
                let num_segments = u32::try_from(plan.segments.len()).unwrap_or(u32::MAX);
                let offer = SegmentOffer { job, spec, record, num_segments };
                self.tell_verifiers(&verifiers, &VerifierOrder::Segment(Box::new(offer)));
            }
            Effect::OpenVoting { verifiers, epoch, table, digest, opened, spec } => {
                let offer = StatementOffer { digest, spec, opened, epoch, table };
                self.tell_verifiers(&verifiers, &VerifierOrder::Statement(Box::new(offer)));
            }
            Effect::OpenReveal { verifiers, set } => {
                let signed = Box::new(set.clone());
                // Deterministic: the same set has the same signature after a restart too.
                let message = WalletMessage::CommitSet { network: self.network, set: signed };
                let signature = self.key.sign(&message);
                self.tell_verifiers(&verifiers, &VerifierOrder::Reveal { set, signature });
            }
            Effect::WithdrawStatement { verifiers, statement, reason: text } => {
                self.tell_verifiers(&verifiers, &VerifierOrder::Withdrawn { statement, text });
            }
            Effect::RequestAttestation { verifiers, request } => {
                match proofgrid_core::batch::Batch::new(request.leaves) {
                    Ok(batch) => {
                        let order = VerifierOrder::Attest {
                            target: request.target,
                            epoch: request.epoch,
                            table: request.table,
                            batch,
                        };
                        self.tell_verifiers(&verifiers, &order);
                    }
                    Err(error) => {
                        let root = request.root;
                        tracing::error!(%root, %error, "a batch of our own is no batch");
                    }
                }
            }
            Effect::SubmitCertificate { chain, certificate } => {
                let order = OracleOrder::SubmitCertificate { id: certificate.id(), certificate };
                self.directory.send_oracle(chain, order);
            }
            Effect::SettleJob {
                chain,
                task_manager,
                job,
                opened,
                leaf_index,
                path,
                certificate,
            } => {
                let Some(spec) = network.state().jobs.get(&job).map(|job| job.spec.clone()) else {
                    return;
                };
                tracing::info!(%job, %chain, "settlement handed to the oracle");
                let order = SettleOrder {
                    task_manager,
                    spec,
                    opened,
                    certificate: *certificate,
                    leaf_index,
                    path,
                };
                self.directory.send_oracle(chain, OracleOrder::SettleJob(Box::new(order)));
            }
            Effect::JudgeRaceEntry {
                chain,
                task_manager,
                prover,
                round,
                verdict,
                opened,
                leaf_index,
                path,
                certificate,
            } => {
                let job = opened.job();
                let Some(spec) = network.state().jobs.get(&job).map(|job| job.spec.clone()) else {
                    return;
                };
                tracing::info!(%job, %chain, %prover, round, "verdict handed to the oracle");
                let certificate = *certificate;
                let leaf =
                    SettleOrder { task_manager, spec, opened, certificate, leaf_index, path };
                let order = JudgeOrder { leaf, prover, round, verdict };
                self.directory.send_oracle(chain, OracleOrder::JudgeRaceEntry(Box::new(order)));
            }
            _ => {}
        }
    }

    fn tell_verifiers(&self, verifiers: &[Peer], order: &VerifierOrder) {
        for verifier in verifiers {
            self.directory.send_verifier(verifier.session, order.clone());
        }
    }
}

/// Tells a prover what became of its proof, if it is still connected.
pub(super) fn tell_prover(directory: &Directory, prover: Address, order: ProverOrder) {
    if let Some(session) = directory.prover_session(prover) {
        directory.send_prover(session, order);
    }
}
