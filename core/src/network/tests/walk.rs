//! A random walk: peers do whatever they may and may not, the clock jumps, the dispatcher restarts;
//! every invariant is checked after every step and replaying the journal gives the same state.

use std::collections::BTreeSet;

use crate::ids::{
    Attempt, EpochNumber, JobId, LeaseToken, MemberIndex, SessionId, StatementDigest, TaskId,
};
use crate::job::JobSpec;
use crate::network::*;
use crate::statement::Verdict;
use crate::units::{ByteCount, UnixSeconds};

use super::chain::Chain;
use super::world::*;

/// SplitMix64, so that a seed names a walk.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let len = u64::try_from(items.len()).ok().filter(|len| *len > 0)?;
        items.get(usize::try_from(self.below(len)).ok()?).cloned()
    }

    fn byte(&mut self, bound: u64) -> u8 {
        u8::try_from(self.below(bound)).unwrap()
    }
}

struct Walk {
    world: World,
    random: Random,
    sessions: [SessionId; 4],
    /// Every lease that was ever granted, stale ones too.
    leases: Vec<(crate::ids::Address, LeaseRef)>,
    epoch: u64,
    /// Keys of a few epochs, made once.
    tables: Vec<crate::epoch::EpochKeys>,
    chain: Chain,
    /// Jobs that were forgotten, and the facts that were looked at for them.
    forgotten: BTreeSet<JobId>,
    looked_at: usize,
    /// Epochs that lost members.
    excluded: BTreeSet<EpochNumber>,
}

impl Walk {
    fn new(seed: u64, tables: &[crate::epoch::EpochKeys]) -> Self {
        // Short enough that a walk of a few minutes forgets what ended on its way.
        let world = World::with(|config| {
            config.blob_retention_ms = 4_000;
            config.job_retention_ms = 5_000;
            config.evidence_retention_ms = 20_000;
            config.worker_retention_ms = 40_000;
        });
        Self {
            world,
            random: Random(seed),
            sessions: [SessionId::new(0); 4],
            leases: Vec::new(),
            epoch: 0,
            tables: tables.to_vec(),
            chain: Chain::default(),
            forgotten: BTreeSet::new(),
            looked_at: 0,
            excluded: BTreeSet::new(),
        }
    }

    /// Reads what is new in the journal: what was forgotten never comes back.
    fn follow(&mut self) {
        for bytes in &self.world.journal[self.looked_at..] {
            match Fact::decode(bytes).unwrap().change {
                Change::JobForgotten { job } => assert!(self.forgotten.insert(job)),
                Change::MembersExcluded { epoch, .. } => {
                    self.excluded.insert(epoch);
                }
                _ => {}
            }
        }
        self.looked_at = self.world.journal.len();
        let jobs = &self.world.network.state().jobs;
        assert!(self.forgotten.iter().all(|job| !jobs.contains_key(job)));
    }

    fn job(&mut self) -> Option<JobId> {
        let jobs: Vec<JobId> = self.world.network.state().jobs.keys().copied().collect();
        self.random.pick(&jobs)
    }

    /// Applies one input and remembers leases; refusals are fine, unsoundness is not.
    fn apply(&mut self, input: Input) {
        let said = format!("{input:?}");
        if let Err(refusal) = self.world.apply(input) {
            assert_ne!(refusal.consequence(), Consequence::Halt, "{refusal} after {said}");
        }
        for effect in &self.world.effects {
            if let Effect::AssignTask { prover, assignment } = effect {
                let lease = assignment.lease;
                let (task, attempt, token) = (lease.task, lease.attempt, lease.token);
                self.leases.push((prover.address, LeaseRef { task, attempt, token }));
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0 => self.submit(),
            1 | 2 => self.blob_or_plan(),
            3 if self.random.below(4) == 0 => self.end_a_job(),
            3 => self.connect(),
            4 | 5 => self.connect(),
            6 => self.prover_message(),
            7..=9 => self.complete(),
            10..=13 => self.judge(),
            14 => self.fail(),
            15..=18 => {
                for _ in 0..5 {
                    self.vote();
                }
            }
            19 | 20 => self.attest(),
            21 | 22 => self.chain(),
            23 => self.verifier_or_epoch(),
            24 => {
                let span = [0, 100, 300, 6_000, 31_000][usize::from(self.random.byte(5))];
                self.world.pass(span);
            }
            25 => self.administer(),
            _ => self.agree(),
        }
        self.chain.follow(&self.world);
        self.follow();
    }

    fn submit(&mut self) {
        let (requester, nonce) = (self.random.byte(3), self.random.below(6));
        let stream = self.random.below(3) / 2;
        let mut spec = spec(requester, nonce);
        spec.stream = stream;
        spec.sequence = stream * (1 + nonce / 2);
        if nonce > 3 {
            spec.deadline = UnixSeconds::new(START.as_seconds().get() + 10 * (nonce - 2));
        }
        if nonce % 2 == 0 {
            spec = JobSpec { origin: crate::job::Origin::Contract, ..spec };
        }
        let provenance = match spec.origin {
            crate::job::Origin::Direct => Provenance::Direct,
            crate::job::Origin::Contract => Provenance::Chain(event(nonce)),
        };
        self.apply(Input::SubmitJob { spec, provenance });
    }

    fn blob_or_plan(&mut self) {
        let Some(job) = self.job() else { return };
        let digest = self.world.network.state().jobs[&job].spec.input;
        let bytes = ByteCount::new(100 - self.random.below(60) / 59);
        self.apply(Input::BlobStored { digest, bytes });
        let segments = self.random.below(4);
        self.apply(Input::JobPlanned { job, plan: plan(segments) });
    }

    fn end_a_job(&mut self) {
        let Some(job) = self.job() else { return };
        let requester = self.world.network.state().jobs[&job].spec.requester;
        match self.random.below(6) {
            0 => self.apply(Input::CancelJob { job, requester }),
            1 => self.apply(Input::JobExpired { job, provenance: event(77) }),
            2 => self.apply(Input::JobRefused { job, reason: "no".into() }),
            _ => {}
        }
    }

    fn connect(&mut self) {
        let index = self.random.byte(4);
        let session = self.world.session();
        self.sessions[usize::from(index)] = session;
        let address = prover(index);
        let keep = self.random.below(4) > 0;
        let running = self.world.network.state().running.get(&address);
        let running: Vec<TaskId> = running.into_iter().flatten().copied().collect();
        let holding = self.leases.iter().rev();
        let holding = holding.filter(|(p, l)| *p == address && keep && running.contains(&l.task));
        let holding = holding.map(|(_, lease)| *lease).take(8).collect();
        let capabilities = capabilities(1 + u32::from(self.random.byte(3)));
        self.apply(Input::ProverConnected { prover: address, session, capabilities, holding });
    }

    fn prover_message(&mut self) {
        let index = self.random.byte(4);
        let (prover, session) = (prover(index), self.sessions[usize::from(index)]);
        let free_memory_bytes = ByteCount::new(self.random.below(64) << 30);
        let input = match self.random.below(6) {
            0 => Input::ProverDisconnected { prover, session },
            1 => Input::ProverDraining { prover, session },
            _ => Input::ProverHeartbeat { prover, session, free_memory_bytes },
        };
        self.apply(input);
    }

    fn complete(&mut self) {
        let Some((prover, mut lease)) = self.random.pick(&self.leases) else { return };
        if self.random.below(20) == 0 {
            lease.token = LeaseToken::new(self.random.below(50));
        }
        let proof = proof(&lease.task, lease.attempt);
        let report = ProofReport { proof, bytes: ByteCount::new(10), prove_ms: 5 };
        self.apply(Input::TaskCompleted { prover, lease, report });
    }

    fn judge(&mut self) {
        let open: Vec<(TaskId, Attempt)> =
            self.world.network.state().at_intake.iter().copied().collect();
        let Some((task, attempt)) = self.random.pick(&open) else { return };
        let (job, found) = self.world.network.state().task(&task).unwrap();
        let (job, index) = (job.id, found.index as usize);
        let one = found.tries.iter().find(|one| one.attempt == attempt).unwrap();
        let (prover, token) = (one.prover, one.token);
        let lease = LeaseRef { task, attempt, token };
        let outcome = match self.random.below(12) {
            0 => IntakeOutcome::Refused { code: "claim".into(), text: String::new() },
            1 => IntakeOutcome::Unjudged { reason: "killed".into() },
            _ => IntakeOutcome::Accepted(self.world.record(&job, index, &lease, prover)),
        };
        self.apply(Input::IntakeJudged { task, attempt, prover, outcome });
    }

    fn fail(&mut self) {
        let Some((prover, lease)) = self.random.pick(&self.leases) else { return };
        let fault = match self.random.below(3) {
            0 => TaskFault::Draining,
            1 => TaskFault::InputUnavailable("404".into()),
            _ => TaskFault::Backend("panic".into()),
        };
        self.apply(Input::TaskFailed { prover, lease, fault });
    }

    fn vote(&mut self) {
        let known: Vec<StatementDigest> =
            self.world.network.state().statements.keys().copied().collect();
        let Some(statement) = self.random.pick(&known) else { return };
        let book = &self.world.network.state().statements[&statement];
        let segments = u64::from(book.opened.statement.num_segments);
        let epochs: Vec<_> = book.rounds.keys().copied().collect();
        let Some(epoch) = self.random.pick(&epochs) else { return };
        let index = usize::from(self.random.byte(4));
        if self.random.below(12) == 0 {
            let (operator, reason) = (operator(index), "time-out".into());
            self.apply(Input::Abstained { operator, epoch, statement, reason });
            return;
        }
        let invalid = self.random.below(8) == 0;
        let verdict = if invalid { Verdict::Invalid } else { Verdict::Valid };
        if self.random.below(2) == 0 {
            let sealed = self.world.sealed(index, statement, epoch.get(), verdict);
            self.apply(Input::CommitReceived { sealed });
            return;
        }
        let vote = self.world.signed_vote(index, statement, epoch.get(), verdict);
        let segment = u32::try_from(self.random.below(segments + 1)).unwrap();
        let detail = invalid.then(|| InvalidDetail { segment, reason: "bad".into() });
        let wrong = self.random.below(16) == 0;
        let salt = salt(if wrong { index + 1 } else { index });
        self.apply(Input::VoteReceived { vote, detail, salt });
    }

    /// What mostly happens: everybody finds a statement valid and attests what is batched.
    fn agree(&mut self) {
        let open: Vec<StatementDigest> =
            self.world.network.state().voting.iter().copied().collect();
        let Some(statement) = self.random.pick(&open) else { return };
        let stage = self.world.network.state().statements[&statement].stage;
        let StatementStage::Voting { epoch } = stage else { return };
        for index in 0..STAKES.len() {
            let sealed = self.world.sealed(index, statement, epoch.get(), Verdict::Valid);
            self.apply(Input::CommitReceived { sealed });
        }
        self.world.pass(300);
        for index in 0..STAKES.len() {
            let vote = self.world.signed_vote(index, statement, epoch.get(), Verdict::Valid);
            self.apply(Input::VoteReceived { vote, detail: None, salt: salt(index) });
        }
        self.world.pass(300);
        for root in self.world.network.state().open_batches.clone() {
            let named = *self.world.network.state().batches[&root].tally.attestation();
            for index in 0..STAKES.len() {
                let attestation = self.world.attestation(index, named);
                self.apply(Input::AttestationReceived { attestation });
            }
        }
    }

    fn attest(&mut self) {
        let roots: Vec<_> = self.world.network.state().batches.keys().copied().collect();
        let Some(root) = self.random.pick(&roots) else { return };
        let named = *self.world.network.state().batches[&root].tally.attestation();
        for index in 0..4 {
            match self.random.below(8) {
                0 => {
                    let (operator, positions) = (operator(index), vec![0]);
                    self.apply(Input::AttestationRefused { operator, batch: root, positions });
                }
                1 | 2 => {}
                _ => {
                    let attestation = self.world.attestation(index, named);
                    self.apply(Input::AttestationReceived { attestation });
                }
            }
        }
    }

    fn chain(&mut self) {
        let update = match self.random.below(13) {
            0 => SubmissionUpdate::Reorged,
            1 => SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted),
            2 => SubmissionUpdate::Failed(SubmissionFailure::Unavailable("down".into())),
            3 => SubmissionUpdate::Sent { tx: inclusion(self.random.byte(9)).tx },
            4 => SubmissionUpdate::Included(inclusion(self.random.byte(9))),
            5 if self.random.below(4) == 0 => {
                let members = [self.member()].into_iter().collect();
                SubmissionUpdate::Failed(SubmissionFailure::ExcludedSigner(members))
            }
            _ => SubmissionUpdate::Final(inclusion(self.random.byte(9))),
        };
        let known: Vec<_> = self.world.network.state().certificates.keys().copied().collect();
        let certificate = self.random.pick(&known).map(SubmissionSubject::Certificate);
        let settle = self.job().map(SubmissionSubject::Settle);
        let subject = if self.random.below(3) == 0 { settle } else { certificate };
        let Some(subject) = subject else { return };
        self.apply(Input::SubmissionUpdate { chain: CHAIN, subject, update });
    }

    /// Somebody to exclude, or a position outside the table. Not the one without whom an epoch can
    /// decide nothing more.
    fn member(&mut self) -> MemberIndex {
        MemberIndex::new(1 + u16::from(self.random.byte(4)))
    }

    fn verifier_or_epoch(&mut self) {
        let session = self.world.session();
        match self.random.below(8) {
            0 if self.epoch < 3 => {
                self.epoch += 1;
                let keys = self.tables[usize::try_from(self.epoch).unwrap() - 1].clone();
                self.apply(Input::EpochFinal { keys });
            }
            1 => self.apply(Input::OracleConnected { chain: CHAIN, session }),
            2 if self.random.below(3) == 0 => {
                let epoch = EpochNumber::new(1 + self.random.below(self.epoch + 1));
                let members = [self.member()].into_iter().collect();
                self.apply(Input::MembersExcluded { epoch, members });
            }
            _ => {
                let operator = operator(usize::from(self.random.byte(4)));
                self.apply(Input::VerifierConnected { operator, session });
            }
        }
    }

    fn administer(&mut self) {
        let drain = if self.random.below(3) == 0 { Drain::Start } else { Drain::Stop };
        match self.random.below(3) {
            0 => {
                let prover = prover(self.random.byte(4));
                self.apply(Input::DrainProver { prover, drain });
            }
            1 => {
                let Some((_, lease)) = self.random.pick(&self.leases) else { return };
                self.apply(Input::RequeueTask { task: lease.task });
            }
            _ => {
                let replayed = self.world.replayed();
                assert_eq!(replayed.state(), self.world.network.state(), "replay differs");
                self.world.restart();
                self.world.pass(0);
            }
        }
    }
}

/// 80 walks of 400 steps.
#[test]
fn every_invariant_holds_on_thirty_two_thousand_random_steps() {
    let tables: Vec<_> = (1..=3).map(epoch_keys).collect();
    let mut settled = 0;
    let mut held = 0;
    let mut excluded = 0;
    let mut forgotten = 0;
    for seed in 0..80 {
        println!("seed {seed}");
        let mut walk = Walk::new(seed, &tables);
        for _ in 0..400 {
            walk.step();
        }
        let replayed = walk.world.replayed();
        assert_eq!(replayed.state(), walk.world.network.state(), "seed {seed}: replay differs");
        walk.world.network.check_signatures().unwrap();
        for job in walk.world.network.state().jobs.values() {
            settled += usize::from(job.state.kind() == JobStateKind::Settled);
            held += usize::from(job.history.iter().any(|e| e.state == JobStateKind::Held));
        }
        excluded += walk.excluded.len();
        forgotten += walk.forgotten.len();
    }
    // The walk must get somewhere, or it checks nothing.
    assert!(settled > 20 && held > 5, "{settled} jobs settled, {held} were held");
    assert!(excluded > 5, "{excluded} epochs had excluded members");
    assert!(forgotten > 50, "{forgotten} jobs were forgotten");
}

/// Four walks, a snapshot after every eighth fact: each reads back as it was, and from some of them
/// the rest of the journal leads to the same end.
#[test]
fn a_snapshot_and_the_facts_after_it_are_the_whole_journal() {
    let tables: Vec<_> = (1..=3).map(epoch_keys).collect();
    for seed in 100..104 {
        println!("seed {seed}");
        let mut walk = Walk::new(seed, &tables);
        for _ in 0..400 {
            walk.step();
        }
        let facts: Vec<Fact> =
            walk.world.journal.iter().map(|bytes| Fact::decode(bytes).unwrap()).collect();
        let mut state = State::default();
        for (position, fact) in facts.iter().enumerate() {
            state.evolve(fact).unwrap();
            if position % 8 != 0 && position + 1 != facts.len() {
                continue;
            }
            let mut later = State::decode(&state.encode()).unwrap();
            assert_eq!(later, state, "seed {seed}, fact {position}");
            if position % 200 == 0 {
                for fact in &facts[position + 1..] {
                    later.evolve(fact).unwrap();
                }
                assert_eq!(&later, walk.world.network.state(), "seed {seed}, fact {position}");
            }
        }
        assert_eq!(&state, walk.world.network.state());
    }
}
