//! Ordered streams: what may be certified before what.
//!
//! Anybody may post a certificate once it exists, and a chain may take back whatever is not final.
//! So the order of a stream is kept where nobody can break it, before certificates are made: a
//! statement is batched only when every earlier job of its stream that is known has its certificate
//! final, goes out in the very same certificate, or is past its deadline.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{BatchPlan, Candidate, plan_batches};
use crate::ids::{ChainContract, EpochNumber, JobId, StatementDigest};
use crate::job::JobSpec;
use crate::network::live::Timer;
use crate::network::refusal::Refusal;
use crate::network::state::{Job, JobState, Posting};
use crate::network::{Network, Step};
use crate::units::UnixMillis;

/// What a job of a stream waits for, and until when at the latest.
pub(in crate::network) enum KeptBack {
    /// Earlier jobs: all of the nearest sequence that has any open one.
    Behind {
        /// The jobs; never none.
        jobs: Vec<JobId>,
        /// Their sequence.
        sequence: u64,
        /// The first of their deadlines.
        until: UnixMillis,
    },
    /// A job that nobody has submitted yet.
    Gap {
        /// The sequence that is missing.
        sequence: u64,
        /// When waiting for it stops being useful.
        until: UnixMillis,
    },
}

impl KeptBack {
    /// When to look again, whatever happens before.
    pub(in crate::network) const fn until(&self) -> UnixMillis {
        match self {
            Self::Behind { until, .. } | Self::Gap { until, .. } => *until,
        }
    }
}

/// A pending statement that the batcher looks at.
pub(super) struct Waiting {
    pub digest: StatementDigest,
    pub job: JobId,
    pub sequence: u64,
    /// Statements that may share a batch.
    pub group: (ChainContract, EpochNumber),
    pub since: UnixMillis,
}

/// Statements that may be batched together, and since when the oldest waits.
pub(super) type Groups = BTreeMap<(ChainContract, EpochNumber), (UnixMillis, Vec<StatementDigest>)>;

impl Network {
    /// What keeps a job's certificate from being made now, if its stream does.
    pub(in crate::network) fn kept_back(&self, id: &JobId, now: UnixMillis) -> Option<KeptBack> {
        let spec = &self.state.jobs.get(id)?.spec;
        self.behind(spec, now).or_else(|| self.gap_before(spec, now))
    }

    fn behind(&self, spec: &JobSpec, now: UnixMillis) -> Option<KeptBack> {
        let book = self.state.streams.get(&(spec.requester, spec.stream))?;
        for (sequence, jobs) in book.live.range(..spec.sequence).rev() {
            let open = jobs.iter().filter_map(|job| self.state.jobs.get(job));
            let open: Vec<&Job> = open.filter(|job| self.comes_first(job, now)).collect();
            if let Some(until) = open.iter().map(|job| job.spec.deadline.as_millis()).min() {
                let jobs = open.iter().map(|job| job.id).collect();
                return Some(KeptBack::Behind { jobs, sequence: *sequence, until });
            }
        }
        None
    }

    /// Whether later jobs of its stream still have to let a live job pass.
    fn comes_first(&self, job: &Job, now: UnixMillis) -> bool {
        let is_final = match job.state {
            JobState::Submitted { certificate, .. } => {
                let book = self.state.certificates.get(&certificate);
                book.is_some_and(|book| matches!(book.submission.posting, Posting::Final(_)))
            }
            _ => false,
        };
        !is_final && now < job.spec.deadline.as_millis()
    }

    fn gap_before(&self, spec: &JobSpec, now: UnixMillis) -> Option<KeptBack> {
        let book = self.state.streams.get(&(spec.requester, spec.stream))?;
        let below = book.live.range(..spec.sequence).next_back().map(|(sequence, _)| *sequence);
        let next = below.max(book.done)?.checked_add(1)?;
        let margin = UnixMillis::new(self.config.stream_margin_ms);
        let until = spec.deadline.as_millis().saturating_sub(margin);
        (next < spec.sequence && now < until).then_some(KeptBack::Gap { sequence: next, until })
    }

    /// Whether a job may be certified together with `others`; if not, arms the time to look again.
    /// Those have let their own predecessors pass, or they would not be among the others.
    fn may_go_with(&mut self, id: &JobId, now: UnixMillis, others: &BTreeSet<JobId>) -> bool {
        let Some(spec) = self.state.jobs.get(id).map(|job| &job.spec) else { return false };
        let behind = self.behind(spec, now).filter(|kept| match kept {
            KeptBack::Behind { jobs, .. } => !jobs.iter().all(|job| others.contains(job)),
            KeptBack::Gap { .. } => true,
        });
        let Some(kept) = behind.or_else(|| self.gap_before(spec, now)) else { return true };
        self.live.arm(kept.until(), Timer::Batch);
        false
    }

    /// Groups what may be batched now: in each group nobody comes before somebody left out of it.
    pub(super) fn in_order(&mut self, mut waiting: Vec<Waiting>, now: UnixMillis) -> Groups {
        waiting.sort_by_key(|one| one.sequence);
        let mut admitted: BTreeMap<(ChainContract, EpochNumber), BTreeSet<JobId>> = BTreeMap::new();
        let mut groups = Groups::new();
        for one in waiting {
            let together = admitted.entry(one.group).or_default();
            if self.may_go_with(&one.job, now, together) {
                together.insert(one.job);
                let group = groups.entry(one.group).or_insert((one.since, Vec::new()));
                group.0 = group.0.min(one.since);
                group.1.push(one.digest);
            }
        }
        groups
    }

    /// Opens a batch without the statements that would overtake one that is not in it.
    pub(super) fn open_in_order(
        &mut self,
        step: &mut Step,
        plan: &BatchPlan,
    ) -> Result<(), Refusal> {
        let sequence = |candidate: &Candidate| {
            let job = self.state.jobs.get(&candidate.statement().job());
            job.map_or(0, |job| job.spec.sequence)
        };
        let mut candidates = plan.candidates().to_vec();
        candidates.sort_by_key(sequence);
        let mut jobs = BTreeSet::new();
        candidates.retain(|candidate| {
            let job = candidate.statement().job();
            let goes = self.may_go_with(&job, step.now, &jobs);
            if goes {
                jobs.insert(job);
            }
            goes
        });
        if candidates.len() == plan.candidates().len() {
            return self.open_batch(step, plan);
        }
        let epoch = plan.attestation().epoch;
        let smaller = plan_batches(self.state.epoch(epoch)?.table(), &candidates);
        for plan in smaller {
            self.open_batch(step, &plan)?;
        }
        Ok(())
    }
}
