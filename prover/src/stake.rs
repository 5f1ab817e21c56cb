//! What a worker puts at stake for its leases, if its operator lets it.
//!
//! A dispatcher may ask for a bond. The worker signs an acceptance only when it has the input of the
//! task in its hands, for a job of the chain that its operator named and for no more than its
//! operator allows; the lock itself is made by whoever posts the signature. From then on the node
//! watches the lock ([`BondPort`]), because only the prover's own account can deliver.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proofgrid_core::bond::{AcceptedLease, BondedLease, LeaseTerms, is_bondable};
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{ChainContract, JobId, TaskId};
use proofgrid_core::job::JobSpec;
use proofgrid_core::network::{Assignment, LeaseRef};
use proofgrid_core::statement::SegmentRecord;
use proofgrid_proto::convert::ProverMessage;
use proofgrid_proto::v1;
use tokio::sync::mpsc;

use crate::config::SLOTS_MAX;
use crate::pipeline::lease_of;
use crate::session::Outbound;

/// Most leases that are known here: those that run, those that wait, and as many that stop.
const LEASES_MAX: usize = 3 * SLOTS_MAX as usize;

/// The chain, as far as a bond goes. Calls never wait.
pub trait BondPort: fmt::Debug + Send + Sync + 'static {
    /// A lease was accepted; its lock is watched from now on.
    fn accepted(&self, lease: &AcceptedLease);
    /// The task is proved. The digest of the segment's leaf stands for the statement, which is not
    /// there yet.
    fn proved(&self, job: JobId, task: TaskId, leaf: [u8; 32]);
    /// The task of an accepted lease is not worked on any more, and is not proved. An acceptance that
    /// nobody has posted is to be taken back: it would bind the bond for nothing.
    fn given_up(&self, lease: &AcceptedLease);
}

/// What an operator allows.
#[derive(Debug, Clone)]
pub struct Stake {
    /// The contract that acceptances are bound to.
    pub task_manager: ChainContract,
    /// Most for one lease, in wei.
    pub amount_max: u128,
    /// The chain.
    pub port: Arc<dyn BondPort>,
}

/// One lease.
#[derive(Debug)]
struct Entry {
    lease: LeaseRef,
    terms: Option<LeaseTerms>,
    work: Option<(JobSpec, u32)>,
    has_input: bool,
    accepted: Option<(LeaseRef, AcceptedLease)>,
    is_proved: bool,
}

#[derive(Debug, Default)]
struct Inner {
    /// Weak, so that the stream closes when the worker lets go.
    outbound: Option<mpsc::WeakSender<v1::ProverServiceSessionRequest>>,
    leases: BTreeMap<TaskId, Entry>,
}

/// The acceptances of one worker.
pub struct Desk {
    stake: Stake,
    key: Arc<WalletKey>,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("stake", &self.stake).finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk that signs with the worker's own key.
    #[must_use]
    pub fn new(stake: Stake, key: Arc<WalletKey>) -> Self {
        Self { stake, key, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is up: what was accepted under leases that go on is said again, since it may have
    /// been lost on the way.
    pub fn up(&self, outbound: &Outbound, resumed: &[LeaseRef]) {
        let mut inner = self.lock();
        inner.outbound = Some(outbound.downgrade());
        for (lease, accepted) in inner.leases.values().filter_map(|entry| entry.accepted.as_ref()) {
            if resumed.contains(lease) {
                say(outbound, *lease, accepted);
            }
        }
    }

    /// The session is gone.
    pub fn down(&self) {
        self.lock().outbound = None;
    }

    /// The dispatcher asks for a bond.
    pub fn asked(&self, lease: LeaseRef, terms: LeaseTerms) {
        let mut inner = self.lock();
        let Some(entry) = entry_of(&mut inner, lease) else { return };
        entry.terms = Some(terms);
        self.accept_if_ready(&mut inner, &lease.task);
    }

    /// A task is being worked on.
    pub fn started(&self, assignment: &Assignment) {
        let mut inner = self.lock();
        if let Some(entry) = entry_of(&mut inner, lease_of(assignment)) {
            entry.work = Some((assignment.spec.clone(), assignment.index));
        }
    }

    /// The input of a task is here and is what its job says.
    pub fn has_input(&self, task: &TaskId) {
        let mut inner = self.lock();
        if let Some(entry) = inner.leases.get_mut(task) {
            entry.has_input = true;
        }
        self.accept_if_ready(&mut inner, task);
    }

    /// A task is proved.
    pub fn proved(&self, job: JobId, task: &TaskId, record: &SegmentRecord) {
        let mut inner = self.lock();
        if let Some(entry) = inner.leases.get_mut(task).filter(|entry| entry.accepted.is_some()) {
            entry.is_proved = true;
            self.stake.port.proved(job, *task, record.leaf());
        }
    }

    /// A task is worked on no more.
    pub fn forget(&self, task: &TaskId) {
        let gone = self.lock().leases.remove(task);
        if let Some(Entry { accepted: Some((_, accepted)), is_proved: false, .. }) = gone {
            self.stake.port.given_up(&accepted);
        }
    }

    fn accept_if_ready(&self, inner: &mut Inner, task: &TaskId) {
        let Some(entry) = inner.leases.get_mut(task) else { return };
        let (Some(terms), Some((spec, segment))) = (entry.terms, &entry.work) else { return };
        if !entry.has_input || entry.accepted.is_some() {
            return;
        }
        if let Err(why) = self.may_accept(spec, &terms) {
            tracing::warn!(%task, amount_wei = terms.amount, why, "works without a bond");
            entry.terms = None;
            return;
        }
        let lease = BondedLease { spec: spec.clone(), segment: *segment, terms };
        let accepted = lease.sign(&self.key, self.stake.task_manager);
        tracing::info!(%task, amount_wei = terms.amount, deadline = %terms.deadline, "lease accepted");
        // Watched before it is said: what is posted is never unknown here.
        self.stake.port.accepted(&accepted);
        if let Some(outbound) = inner.outbound.as_ref().and_then(mpsc::WeakSender::upgrade) {
            say(&outbound, entry.lease, &accepted);
        }
        entry.accepted = Some((entry.lease, accepted));
    }

    /// Who may lie: the dispatcher about what a job needs.
    fn may_accept(&self, spec: &JobSpec, terms: &LeaseTerms) -> Result<(), &'static str> {
        if !is_bondable(spec) {
            return Err("only contract jobs in assigned mode are bonded");
        }
        if spec.target.chain != self.stake.task_manager.chain {
            return Err("the job is of another chain than bond.task_manager");
        }
        if terms.amount > self.stake.amount_max {
            return Err("more is asked than bond.amount_wei_max allows");
        }
        if terms.deadline > spec.deadline {
            return Err("the asked deadline is after the job's");
        }
        Ok(())
    }
}

/// The entry of a lease. A later lease of the task replaces the one before, not what was signed.
fn entry_of(inner: &mut Inner, lease: LeaseRef) -> Option<&mut Entry> {
    if inner.leases.len() >= LEASES_MAX && !inner.leases.contains_key(&lease.task) {
        return None;
    }
    let entry = inner.leases.entry(lease.task).or_insert(Entry {
        lease,
        terms: None,
        work: None,
        has_input: false,
        accepted: None,
        is_proved: false,
    });
    entry.lease = lease;
    Some(entry)
}

/// A full queue means that the stream is stuck; it is said again in the next session.
fn say(outbound: &Outbound, lease: LeaseRef, accepted: &AcceptedLease) {
    let (terms, signature) = (accepted.lease.terms, accepted.signature);
    let message = ProverMessage::Accept { lease, terms, signature };
    if outbound.try_send(message.into()).is_err() {
        tracing::debug!(task = %lease.task, "an acceptance found the stream full");
    }
}

#[cfg(test)]
#[path = "stake/tests.rs"]
mod tests;
