//! What peers were told, and the dispatcher's journal held against it.

use std::collections::{BTreeMap, BTreeSet};

use proofgrid_core::crypto::keccak256;
use proofgrid_core::ids::{BlobDigest, CertificateId, JobId};
use proofgrid_core::network::{Change, Fact, JobStateKind, Network, NetworkConfig, Posting, State};
use proofgrid_core::units::UnixMillis;
use proofgrid_prover::ProverStatus;
use proofgrid_store::journal::Sequence;
use tokio::sync::watch;

use super::disk::Disk;
use super::peers::{Unheard, events_of};
use super::setup::Setup;
use super::truth::Truth;

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// What breaks it.
    pub subject: String,
}

/// Bytes before a record's payload: version and checksum, which the journal checks at each start.
pub const RECORD_HEADER_BYTES: usize = 5;

/// The books of a run.
#[derive(Default)]
pub struct Books {
    submitted: BTreeSet<JobId>,
    /// Inputs of submitted jobs.
    inputs: BTreeMap<BlobDigest, Vec<u8>>,
    /// Proofs that a hostile prover made.
    made: BTreeMap<BlobDigest, Vec<u8>>,
    uploaded: BTreeSet<JobId>,
    is_done: bool,
    posts: Vec<CertificateId>,
    heard: BTreeSet<u64>,
    provers: BTreeMap<usize, watch::Receiver<ProverStatus>>,
    /// Proofs that earlier lives of the provers saw accepted.
    delivered_before: u64,
    broken: Option<Broken>,
}

impl Books {
    /// Notes that a rule broke, unless one did already.
    pub fn broken(&mut self, rule: &'static str, subject: String) {
        self.broken.get_or_insert(Broken { rule, subject });
    }

    /// The first rule that broke.
    pub fn first_broken(&self) -> Option<Broken> {
        self.broken.clone()
    }

    /// The dispatcher acknowledged a job.
    pub fn submitted(&mut self, job: JobId, input: &[u8]) {
        self.submitted.insert(job);
        self.inputs.insert(BlobDigest::from_bytes(keccak256(input)), input.to_vec());
    }

    /// An input that somebody uploads.
    pub fn input(&self, digest: &BlobDigest) -> Option<Vec<u8>> {
        self.inputs.get(digest).cloned()
    }

    /// A hostile prover made a proof.
    pub fn made(&mut self, digest: BlobDigest, proof: Vec<u8>) {
        self.made.insert(digest, proof);
    }

    /// The dispatcher acknowledged a job's input.
    pub fn uploaded(&mut self, job: JobId) {
        self.uploaded.insert(job);
    }

    /// The requester has nothing left to ask.
    pub fn errands_done(&mut self) {
        self.is_done = true;
    }

    /// The oracle was ordered to post a certificate.
    pub fn posted(&mut self, id: CertificateId) {
        if !self.posts.contains(&id) {
            self.posts.push(id);
        }
    }

    /// The dispatcher acknowledged an oracle's event.
    pub fn heard(&mut self, event: u64) {
        self.heard.insert(event);
    }

    /// Whether an oracle's event is acknowledged.
    pub fn is_heard(&self, event: u64) -> bool {
        self.heard.contains(&event)
    }

    /// What the dispatcher has to be told of posted certificates, in order.
    pub fn unheard_posts(&self) -> Vec<Unheard> {
        let events = (0u64..).zip(&self.posts).filter_map(|(position, id)| {
            let [included, made_final] = events_of(position);
            match (self.is_heard(included), self.is_heard(made_final)) {
                (false, _) => Some((included, *id, false)),
                (true, false) => Some((made_final, *id, true)),
                (true, true) => None,
            }
        });
        events.collect()
    }

    /// A prover starts a new life.
    pub fn watch_prover(&mut self, index: usize, status: watch::Receiver<ProverStatus>) {
        if let Some(earlier) = self.provers.insert(index, status) {
            self.delivered_before += earlier.borrow().delivered;
        }
    }

    /// The bytes of a proof, if a hostile prover made it.
    pub fn hostile_proof(&self, digest: &BlobDigest) -> Option<&[u8]> {
        self.made.get(digest).map(Vec::as_slice)
    }

    /// Proofs that provers were told are accepted.
    fn delivered(&self) -> u64 {
        let now: u64 = self.provers.values().map(|status| status.borrow().delivered).sum();
        self.delivered_before + now
    }

    fn refused(&self) -> u64 {
        self.provers.values().map(|status| status.borrow().refused).sum()
    }
}

/// The dispatcher's state as its journal tells it.
pub struct Ledger {
    next: Sequence,
    facts: Vec<Fact>,
    accepted: BTreeSet<(JobId, u32)>,
    num_accepted: u64,
    state: State,
    machine: NetworkConfig,
    truth: Truth,
}

impl Ledger {
    /// An empty one.
    pub fn new(machine: NetworkConfig, setup: Setup) -> Self {
        Self {
            next: Sequence::FIRST,
            facts: Vec::new(),
            accepted: BTreeSet::new(),
            num_accepted: 0,
            state: State::default(),
            machine,
            truth: Truth::new(setup),
        }
    }

    /// Statements that were not so.
    pub fn num_lies(&self) -> usize {
        self.truth.num_lies()
    }

    /// The facts so far.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// What all of them come to.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Jobs in this state.
    pub fn count(&self, kind: JobStateKind) -> usize {
        self.state.jobs.values().filter(|job| job.state.kind() == kind).count()
    }

    /// Reads what is new on the disk.
    pub fn read(&mut self, disk: &Disk, books: &Books) -> Result<(), Broken> {
        for (sequence, record) in disk.history_from(self.next) {
            let payload = record.get(RECORD_HEADER_BYTES..).unwrap_or_default();
            let fact = Fact::decode(payload).map_err(broken("every record is a fact"))?;
            self.state.evolve(&fact).map_err(broken("the journal can be replayed"))?;
            self.note(&fact, books)?;
            self.facts.push(fact);
            self.next = sequence.next();
        }
        Ok(())
    }

    fn note(&mut self, fact: &Fact, books: &Books) -> Result<(), Broken> {
        match &fact.change {
            Change::TaskAccepted { task, record, .. } => {
                self.num_accepted += 1;
                let job = self.state.task(task).map(|(job, _)| job.id);
                match job.is_ok_and(|job| self.accepted.insert((job, record.index))) {
                    true => Ok(()),
                    false => fail("no task is accepted twice", task.to_string()),
                }
            }
            Change::SegmentRejected { job, index, .. } => {
                self.accepted.remove(&(*job, *index));
                self.truth.check(&self.state, &fact.change, books)
            }
            Change::JobEnded { job, end } if !self.truth.may_end(end) => {
                fail("no job ends before it is settled", format!("{job}: {end:?}"))
            }
            change => self.truth.check(&self.state, change, books),
        }
    }

    /// Holds what a restart now would make of the journal against the state machine's own rules and
    /// against what peers were told.
    pub fn check(&self, books: &Books, now: UnixMillis) -> Result<(), Broken> {
        if let Some(broken) = books.first_broken() {
            return Err(broken);
        }
        let mut network = Network::from_snapshot(self.machine.clone(), self.state.clone());
        network.resume(now);
        network.check_invariants().map_err(broken("the state machine's invariants hold"))?;
        let lost = "nothing acknowledged is lost";
        for job in &books.submitted {
            let Some(found) = self.state.jobs.get(job) else { return fail(lost, job.to_string()) };
            let waits = found.state.kind() == JobStateKind::AwaitingInput;
            if waits && books.uploaded.contains(job) {
                return fail(lost, format!("the input of {job}"));
            }
        }
        if books.is_heard(1) && self.state.epochs.is_empty() {
            return fail(lost, "the epoch".to_owned());
        }
        for (position, id) in (0u64..).zip(&books.posts) {
            let [_, made_final] = events_of(position);
            let is_final = self
                .state
                .certificates
                .get(id)
                .is_some_and(|book| matches!(book.submission.posting, Posting::Final(_)));
            if books.is_heard(made_final) && !is_final {
                return fail(lost, format!("that {id} is final"));
            }
        }
        if books.delivered() > self.num_accepted {
            let text = format!("{} proofs of {}", self.num_accepted, books.delivered());
            return fail(lost, text);
        }
        if books.refused() > 0 {
            return fail("an honest prover is not refused", books.refused().to_string());
        }
        self.truth.check_evidence(&self.state)
    }

    /// Whether everything that was asked for is settled.
    pub fn is_over(&self, books: &Books) -> bool {
        let over = self.count(JobStateKind::Settled) + self.count(JobStateKind::Failed);
        books.is_done && over == books.submitted.len()
    }

    /// What is not over yet, for people.
    pub fn left(&self) -> String {
        let kinds = self.state.jobs.values().map(|job| format!("{:?}", job.state.kind()));
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// A digest of everything that was decided and when. The time that proving took is a
    /// measurement of this machine and stays out.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        for fact in &self.facts {
            let mut fact = fact.clone();
            if let Change::ProofDelivered { report, .. } = &mut fact.change {
                report.prove_ms = 0;
            }
            bytes.extend(fact.encode());
        }
        keccak256(&bytes)
    }
}

/// Breaks a rule.
pub fn fail(rule: &'static str, subject: String) -> Result<(), Broken> {
    Err(Broken { rule, subject })
}

fn broken<E: std::fmt::Display>(rule: &'static str) -> impl Fn(E) -> Broken {
    move |error| Broken { rule, subject: error.to_string() }
}
