//! Facts about what is forgotten: jobs, votes, epochs and provers of long ago.
//!
//! Nothing becomes possible by forgetting. What is under way is never forgotten, and what is kept
//! afterwards (`evidence`, `forgotten_to`) is what refuses the past when it comes again.

use std::collections::BTreeSet;

use crate::ids::{Address, CertificateId, EpochNumber, JobId};
use crate::job::JobSpec;
use crate::network::fact::Change;
use crate::network::input::Provenance;

use super::{EvidenceBook, EvolveError, Job, State, WorkerBook};

/// Epochs whose members may log in: they are kept whatever refers to them.
const LIVE_EPOCHS: usize = 2;

impl State {
    pub(super) fn evolve_pruning(&mut self, change: &Change) -> Result<(), EvolveError> {
        match change {
            Change::JobForgotten { job } => self.job_forgotten(job),
            Change::EvidenceForgotten { job } => self.evidence_forgotten(job),
            Change::EpochForgotten { epoch } => self.epoch_forgotten(*epoch),
            Change::WorkerForgotten { prover } => self.worker_forgotten(prover),
            _ => Err(EvolveError::Contradiction { what: "not a fact about what is forgotten" }),
        }
    }

    /// Whether a job is over, and nothing that is still under way is about it: no batch that is being
    /// attested, no certificate that is being posted.
    #[must_use]
    pub fn is_at_rest(&self, job: &Job) -> bool {
        let mut statements = job.statements.iter().filter_map(|digest| self.statements.get(digest));
        job.state.kind().is_terminal()
            && statements.all(|book| {
                book.batches.is_disjoint(&self.open_batches)
                    && book.certificates.is_disjoint(&self.posting)
            })
    }

    fn job_forgotten(&mut self, id: &JobId) -> Result<(), EvolveError> {
        if !self.is_at_rest(self.job(id)?) {
            return Err(EvolveError::Contradiction { what: "a job under way was forgotten" });
        }
        self.blobs_released(id);
        let job = self.jobs.remove(id).ok_or(EvolveError::UnknownJob(*id))?;
        self.races.books.remove(id);
        self.by_serial.remove(&job.serial);
        for task in &job.tasks {
            self.tasks.remove(&task.id);
        }
        match job.provenance {
            Provenance::Direct => {
                self.nonces.remove(&(job.spec.requester, job.spec.nonce));
            }
            Provenance::Chain(event) => {
                let block = self.forgotten_to.entry(event.contract.chain).or_insert(event.block);
                *block = event.block.max(*block);
            }
        }
        self.leave_stream(&job.spec);
        self.forget_certificates(&job);
        if !job.statements.is_empty() {
            let ended_at = job.since();
            let book = EvidenceBook { ended_at, statements: job.statements };
            self.evidence.insert(*id, book);
        }
        Ok(())
    }

    fn leave_stream(&mut self, spec: &JobSpec) {
        let key = (spec.requester, spec.stream);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.jobs = stream.jobs.saturating_sub(1);
        if stream.jobs == 0 {
            self.streams.remove(&key);
        }
    }

    /// Drops the certificates of a forgotten job that no other job needs.
    fn forget_certificates(&mut self, job: &Job) {
        let books = job.statements.iter().filter_map(|digest| self.statements.get(digest));
        let ids: BTreeSet<CertificateId> =
            books.flat_map(|book| book.certificates.iter().copied()).collect();
        for id in ids {
            let needed = self.certificates.get(&id).is_some_and(|book| {
                book.statements.iter().any(|(_, job)| self.jobs.contains_key(job))
            });
            if !needed {
                self.certificates.remove(&id);
            }
        }
    }

    fn evidence_forgotten(&mut self, id: &JobId) -> Result<(), EvolveError> {
        let book = self.evidence.remove(id).ok_or(EvolveError::UnknownJob(*id))?;
        for digest in book.statements {
            let Some(statement) = self.statements.remove(&digest) else { continue };
            for epoch in statement.rounds.keys() {
                self.sealed.forget(digest, *epoch);
                if let Some(rounds) = self.rounds_in.get_mut(epoch) {
                    *rounds = rounds.saturating_sub(1);
                    if *rounds == 0 {
                        self.rounds_in.remove(epoch);
                    }
                }
            }
            for root in &statement.batches {
                let needed = self.batches.get(root).is_some_and(|book| {
                    let mut leaves = book.batch.leaves().iter();
                    leaves.any(|leaf| self.statements.contains_key(&leaf.statement))
                });
                if !needed {
                    self.batches.remove(root);
                }
            }
        }
        Ok(())
    }

    /// Old epochs that no kept vote belongs to, and so no batch and no certificate.
    pub(in crate::network) fn idle_epochs(&self) -> Vec<EpochNumber> {
        let old = self.epochs.keys().rev().skip(LIVE_EPOCHS);
        old.filter(|epoch| !self.rounds_in.contains_key(epoch)).copied().collect()
    }

    fn epoch_forgotten(&mut self, epoch: EpochNumber) -> Result<(), EvolveError> {
        if !self.epochs.contains_key(&epoch) {
            return Err(EvolveError::UnknownEpoch(epoch));
        }
        if !self.idle_epochs().contains(&epoch) {
            return Err(EvolveError::Contradiction { what: "an epoch in use was forgotten" });
        }
        self.epochs.remove(&epoch);
        self.epoch_times.remove(&epoch);
        self.excluded.remove(&epoch);
        Ok(())
    }

    /// Whether nothing but numbers is known of a prover: no lease, no administrator's word.
    pub(in crate::network) fn is_idle_worker(&self, prover: &Address) -> bool {
        let drained = self.workers.get(prover).is_some_and(WorkerBook::is_drained);
        !drained && !self.running.contains_key(prover)
    }

    fn worker_forgotten(&mut self, prover: &Address) -> Result<(), EvolveError> {
        if !self.is_idle_worker(prover) || self.workers.remove(prover).is_none() {
            return Err(EvolveError::Contradiction { what: "a prover in use was forgotten" });
        }
        Ok(())
    }
}
