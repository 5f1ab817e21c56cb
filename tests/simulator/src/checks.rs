//! The simulator's own books, and what it holds the network against.

use std::collections::{BTreeMap, BTreeSet};

use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{
    Address, Attempt, BatchRoot, BlobDigest, CertificateId, CommitSetDigest, EpochNumber, JobId,
    LeaseToken, StatementDigest, TaskId,
};
use proofgrid_core::network::{
    Answer, Change, Fact, Input, Job, JobEnd, JobStateKind, Lease, LeaseEnd, State,
    SubmissionSubject, SubmissionUpdate, Task, TaskState,
};
use proofgrid_core::sealed::CommitSet;
use proofgrid_core::statement::{SegmentRecord, Verdict};
use proofgrid_core::vote::VerifiedVote;

use crate::chain::{Escrow, Log};
use crate::plan::{ProverKind, VerifierKind};
use crate::prover::prover_of;
use crate::stakes::{self, VERIFIERS};
use crate::world::World;

/// What an answer promises once it has left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// The job is known.
    Job(JobId),
    /// The job is cancelled.
    Cancelled(JobId),
    /// The blob is known.
    Blob(BlobDigest),
    /// The delivery is recorded.
    Delivery(TaskId, Attempt, BlobDigest),
    /// The vote is recorded, counted or as evidence.
    Vote(StatementDigest, EpochNumber, Address),
    /// The table is recorded.
    Epoch(EpochNumber),
    /// The job's refund is recorded.
    Refund(JobId),
}

impl Promise {
    /// What a good answer to an input promises.
    pub fn of(input: &Input) -> Option<Self> {
        Some(match input {
            Input::SubmitJob { spec, .. } => Self::Job(spec.id()),
            Input::CancelJob { job, .. } => Self::Cancelled(*job),
            Input::BlobStored { digest, .. } => Self::Blob(*digest),
            Input::TaskCompleted { lease, report, .. } => {
                Self::Delivery(lease.task, lease.attempt, report.proof)
            }
            Input::VoteReceived { vote, .. } => {
                let cast = vote.vote();
                Self::Vote(cast.statement, cast.epoch, vote.operator())
            }
            Input::EpochFinal { keys } => Self::Epoch(keys.table().epoch()),
            Input::JobExpired { job, .. } => Self::Refund(*job),
            _ => return None,
        })
    }

    /// Whether a blob may have gone: some job that named it is over.
    fn is_spent(&self, state: &State) -> bool {
        let Self::Blob(digest) = self else { return false };
        let mut jobs = state.jobs.values();
        jobs.any(|job| job.spec.input == *digest && job.state.kind().is_terminal())
    }

    fn is_kept(&self, state: &State) -> bool {
        let kind = |job: &JobId| state.jobs.get(job).map(|job| job.state.kind());
        match self {
            Self::Job(job) => state.jobs.contains_key(job),
            Self::Cancelled(job) => kind(job) == Some(JobStateKind::Cancelled),
            Self::Blob(digest) => state.blobs.contains_key(digest) || self.is_spent(state),
            Self::Delivery(task, attempt, proof) => state.task(task).is_ok_and(|(_, task)| {
                task.tries.iter().any(|t| t.attempt == *attempt && t.delivered == Some(*proof))
            }),
            Self::Vote(statement, epoch, operator) => {
                let book = state.statements.get(statement);
                let round = book.and_then(|book| book.rounds.get(epoch));
                round.is_some_and(|round| {
                    let voted = round.tally.votes().any(|vote| vote.operator() == *operator);
                    let sealed = state.sealed.round(*statement, *epoch);
                    let late = sealed.is_some_and(|sealed| sealed.late.contains_key(operator));
                    voted || late || round.tally.evidence().any(|e| e.second.operator == *operator)
                })
            }
            Self::Epoch(epoch) => {
                state.newest_epoch().is_some_and(|newest| newest > *epoch)
                    || state.epochs.contains_key(epoch)
            }
            Self::Refund(job) => kind(job) == Some(JobStateKind::Expired),
        }
    }
}

/// What peers really did, and what they were told.
#[derive(Debug, Default)]
pub struct Books {
    promises: BTreeSet<Promise>,
    leases: BTreeMap<LeaseToken, (TaskId, Attempt, Address)>,
    votes: BTreeSet<(StatementDigest, EpochNumber, usize, u8)>,
    verdicts: BTreeMap<(usize, StatementDigest), Verdict>,
    judged: BTreeMap<(usize, StatementDigest), Verdict>,
    attestations: BTreeSet<(CertificateId, usize)>,
    certified: BTreeMap<CertificateId, (BatchRoot, u32)>,
    /// The commit set of each sitting.
    sets: BTreeMap<(StatementDigest, EpochNumber, u32), CommitSetDigest>,
    /// Votes of which a commit set stood, with those who were in one.
    closed: BTreeMap<(StatementDigest, EpochNumber), BTreeSet<Address>>,
    clash: Option<String>,
}

impl Books {
    /// An answer has left.
    pub fn promise(&mut self, promise: Promise, answer: &Answer) {
        let is_promised = match promise {
            Promise::Delivery(..) => *answer == Answer::CompletionReceived,
            Promise::Blob(_) | Promise::Cancelled(_) => *answer == Answer::Done,
            _ => true,
        };
        if is_promised {
            self.promises.insert(promise);
        }
    }

    /// A lease has left.
    pub fn granted(&mut self, lease: &Lease, prover: Address) {
        let now = (lease.task, lease.attempt, prover);
        let before = *self.leases.entry(lease.token).or_insert(now);
        if before != now {
            self.clash = Some(format!("token {}: {before:?} and {now:?}", lease.token));
        }
    }

    /// A verifier signs a vote; says whether it breaks its word by that.
    pub fn cast(
        &mut self,
        verifier: usize,
        is_honest: bool,
        epoch: EpochNumber,
        statement: StatementDigest,
        verdict: Verdict,
    ) -> Option<String> {
        self.votes.insert((statement, epoch, verifier, verdict.code()));
        let first = *self.verdicts.entry((verifier, statement)).or_insert(verdict);
        (is_honest && first != verdict).then(|| format!("verifier {verifier}, {statement}"))
    }

    /// A verifier commits to a verdict.
    pub fn committed(&mut self, verifier: usize, statement: StatementDigest, verdict: Verdict) {
        self.judged.entry((verifier, statement)).or_insert(verdict);
    }

    /// Whether a verifier has committed to a verdict on a statement in any epoch.
    pub fn has_judged(
        &self,
        verifier: usize,
        statement: StatementDigest,
        verdict: Verdict,
    ) -> bool {
        self.judged.get(&(verifier, statement)) == Some(&verdict)
    }

    /// Whether nobody can commit to a vote any more.
    pub fn is_closed(&self, statement: StatementDigest, epoch: EpochNumber) -> bool {
        self.closed.contains_key(&(statement, epoch))
    }

    /// A verifier signs an attestation.
    pub fn attested(&mut self, id: CertificateId, verifier: usize) {
        self.attestations.insert((id, verifier));
    }

    fn stake_for(&self, statement: StatementDigest, epoch: EpochNumber, verdict: Verdict) -> u128 {
        let voted =
            |index: &usize| self.votes.contains(&(statement, epoch, *index, verdict.code()));
        (0..VERIFIERS).filter(voted).map(|index| stakes::stake(epoch, index)).sum()
    }
}

impl World {
    /// The core's own rules.
    pub fn check_core(&mut self) {
        let Some(network) = &self.dispatcher.network else { return };
        if let Err(violation) = network.check_invariants() {
            self.fail(violation.rule, violation.subject);
        }
        if let Some(clash) = self.books.clash.take() {
            self.fail("a fencing token is handed out for one lease", clash);
        }
    }

    /// Every decision, against what peers really did.
    pub fn check_facts(&mut self, facts: &[Fact]) {
        for fact in facts {
            match &fact.change {
                Change::QuorumReached { statement, epoch, verdict } => {
                    let signed = self.books.stake_for(*statement, *epoch, *verdict);
                    if !stakes::is_two_thirds(*epoch, signed) {
                        let what = format!("{statement}: {signed} voted {verdict}");
                        self.fail("no verdict without two thirds of one epoch's stake", what);
                    }
                }
                Change::VoteRecorded { vote, .. } => self.check_counted(vote),
                Change::BatchCertified { certificate, .. } => self.check_certificate(certificate),
                Change::TaskAccepted { record, task, .. } => self.check_record(*task, record),
                Change::LeaseEnded { task, attempt, end: LeaseEnd::IntakeRefused { code, .. } }
                | Change::CandidateDropped {
                    task,
                    attempt,
                    end: LeaseEnd::IntakeRefused { code, .. },
                } => self.check_blame(*task, *attempt, code),
                Change::SegmentRejected { prover, reason, .. } if !self.plan.is_outvoted => {
                    self.check_innocent(*prover, reason);
                }
                Change::SubmissionMoved { subject, update: SubmissionUpdate::Final(_), .. } => {
                    self.check_final(*subject);
                }
                Change::JobEnded { job, end: JobEnd::ExpiredOnChain(_) } => {
                    let paid = self.chain.newest_final().contracts.jobs.get(job);
                    if paid.map(|paid| paid.escrow) != Some(Escrow::Refunded) {
                        self.fail("a refund is believed only when it is final", job.to_string());
                    }
                }
                _ => {}
            }
        }
    }

    /// A commit set leaves: the same one each time, over a restart too. A later one, of another
    /// sitting, holds nobody whose vote an earlier one opened.
    pub fn check_commit_set(&mut self, set: &CommitSet) {
        let (statement, epoch, digest) = (set.statement(), set.epoch(), set.digest());
        let members = set.commitments().iter().map(|(operator, _)| *operator);
        let members: BTreeSet<Address> = members.collect();
        let sitting = set.sitting();
        let what = format!("{statement} in epoch {epoch}, sitting {sitting}: {members:?}");
        let before = *self.books.sets.entry((statement, epoch, sitting)).or_insert(digest);
        self.books.closed.entry((statement, epoch)).or_default().extend(members);
        if before != digest {
            self.fail("one commit set is made of a sitting", what);
        }
    }

    /// What is counted was committed to, by a verifier that opened just that.
    fn check_counted(&mut self, vote: &VerifiedVote) {
        let cast = vote.vote();
        let set = self.books.closed.get(&(cast.statement, cast.epoch));
        let is_in = set.is_some_and(|set| set.contains(&vote.operator()));
        let verifier = stakes::verifier_of(vote.operator()).expect("a verifier");
        let opens_nothing = matches!(
            self.verifiers[verifier].kind,
            VerifierKind::Copycat
                | VerifierKind::Turncoat
                | VerifierKind::Forgetful
                | VerifierKind::Withholding
        );
        if !is_in || opens_nothing {
            let what = format!("verifier {verifier}, {}", cast.statement);
            self.fail("only what opens a commitment of the set is counted", what);
        }
    }

    fn check_certificate(&mut self, certificate: &Certificate) {
        let (epoch, id) = (certificate.epoch, certificate.id());
        let table = stakes::epoch_keys(epoch).table();
        let mut signed = 0;
        for (index, member) in table.indices().zip(table.members()) {
            if certificate.non_signers.contains(&index) {
                continue;
            }
            let verifier = stakes::verifier_of(member.operator).expect("a verifier");
            if !self.books.attestations.contains(&(id, verifier)) {
                let what = format!("{id} names verifier {verifier}");
                self.fail("a certificate names only who attested it", what);
            }
            signed += stakes::stake(epoch, verifier);
        }
        if certificate.table != table.digest() || !stakes::is_two_thirds(epoch, signed) {
            self.fail("no certificate without two thirds of one epoch's stake", id.to_string());
        }
        for leaf in &certificate.leaves {
            let voted = self.books.stake_for(leaf.statement, epoch, leaf.verdict);
            if !stakes::is_two_thirds(epoch, voted) {
                let what = format!("{}: {voted}", leaf.statement);
                self.fail("no statement is certified without two thirds of the votes", what);
            }
            self.check_leaf(leaf.statement);
        }
        if self.books.certified.insert(id, (certificate.root, certificate.count)).is_none() {
            self.report.certificates += 1;
        }
    }

    /// With less than two thirds against it the network certifies nothing that is not so.
    fn check_leaf(&mut self, statement: StatementDigest) {
        let Some(network) = &self.dispatcher.network else { return };
        let state = network.state();
        let Some(book) = state.statements.get(&statement) else { return };
        let job = book.opened.job();
        let lie = state.jobs.get(&job).and_then(|j| self.truth.first_lie(&book.opened, &j.spec));
        if let Some(segment) = lie {
            let what = format!("segment {segment} of job {job}");
            self.fail("nothing false is certified", what);
        }
    }

    /// Whoever is paid for a segment made its proof.
    fn check_record(&mut self, task: TaskId, record: &SegmentRecord) {
        let author = self.truth.proof(&record.proof).map(|proof| proof.author);
        if author != Some(record.prover) {
            let what = format!("task {task}: {} for a proof of {author:?}", record.prover);
            self.fail("a record pays whoever made the proof", what);
        }
    }

    fn check_blame(&mut self, task: TaskId, attempt: Attempt, code: &str) {
        let Some(network) = &self.dispatcher.network else { return };
        let state = network.state();
        let found = state.task(&task).ok().and_then(|(_, task)| {
            task.tries.iter().find(|t| t.attempt == attempt).map(|found| found.prover)
        });
        if let Some(prover) = found {
            self.check_innocent(prover, code);
        }
    }

    fn check_innocent(&mut self, prover: Address, reason: &str) {
        let index = prover_of(prover, self.provers.len());
        let honest = index.is_some_and(|index| self.provers[index].kind == ProverKind::Honest);
        if honest {
            self.fail("an honest prover is not blamed", format!("{prover}: {reason}"));
        }
    }

    fn check_final(&mut self, subject: SubmissionSubject) {
        let contracts = &self.chain.newest_final().contracts;
        let is_so = match subject {
            // A batch counts once, whichever of its certificates came first.
            SubmissionSubject::Certificate(id) => {
                let batch = self.books.certified.get(&id);
                batch.is_some_and(|batch| contracts.batches.contains_key(batch))
            }
            SubmissionSubject::Settle(job) => {
                let paid = contracts.jobs.get(&job);
                paid.is_some_and(|paid| paid.escrow == Escrow::Settled)
            }
        };
        if !is_so {
            self.fail("what is called final is final on the chain", format!("{subject:?}"));
        }
    }

    /// A blob that goes is one that no live job needs.
    pub fn check_unneeded(&mut self, digest: &BlobDigest) {
        let Some(network) = &self.dispatcher.network else { return };
        let needs = |job: &&Job| {
            let proof = |task: &Task| matches!(&task.state, TaskState::Accepted { record, .. } if record.proof == *digest);
            let kind = job.state.kind();
            !kind.is_terminal()
                && kind != JobStateKind::AwaitingInput
                && (job.spec.input == *digest || job.tasks.iter().any(proof))
        };
        let is_known = network.state().blobs.contains_key(digest);
        if let Some(job) = network.state().jobs.values().find(needs).filter(|_| !is_known) {
            let what = format!("{digest} of job {}", job.id);
            self.fail("no blob goes that a live job needs", what);
        }
    }

    /// Everything that anybody was told is still so. After a restart, and at the end.
    pub fn check_promises(&mut self) {
        let Some(network) = &self.dispatcher.network else { return };
        let state = network.state();
        let broken = self.books.promises.iter().find(|promise| !promise.is_kept(state));
        let broken = broken.map(|promise| format!("{promise:?}"));
        let forgotten = self.books.leases.iter().find(|(token, (task, attempt, prover))| {
            let known = state.task(task).is_ok_and(|(_, task)| {
                let fits = |t: &&proofgrid_core::network::Try| {
                    (t.attempt, t.token, t.prover) == (*attempt, **token, *prover)
                };
                task.tries.iter().any(|found| fits(&found))
            });
            !known
        });
        let forgotten = forgotten.map(|(token, lease)| format!("token {token}: {lease:?}"));
        if let Some(promise) = broken {
            self.fail("nothing acknowledged is lost", promise);
        } else if let Some(lease) = forgotten {
            self.fail("no lease that left is forgotten", lease);
        }
    }

    /// The chain's money: every escrow moves once, and only provers of its proofs are paid.
    pub fn check_chain(&mut self) {
        let money = |log: &Log| matches!(log, Log::Settled(..) | Log::Refunded(_));
        if !self.chain.latest().logs.iter().any(money) {
            return;
        }
        let mut moved: BTreeSet<JobId> = BTreeSet::new();
        let mut broken = None;
        for log in self.chain.blocks.iter().flat_map(|block| &block.logs) {
            let (Log::Settled(job, _) | Log::Refunded(job)) = log else { continue };
            if !moved.insert(*job) {
                broken = Some(format!("job {job} at {log:?}"));
            }
            if let Log::Settled(job, credits) = log {
                let fee = self.chain.latest().contracts.jobs.get(job).map(|p| p.spec.fee_cap);
                let paid: u64 = credits.iter().map(|(_, amount)| *amount).sum();
                if fee.is_none_or(|fee| fee.to::<u64>() != paid) {
                    broken = Some(format!("job {job} paid {paid} of {fee:?}"));
                }
            }
        }
        if let Some(what) = broken {
            self.fail("nothing is paid, settled or refunded twice", what);
        }
    }
}
