//! A network with keys for its verifiers, and shorthands for what peers do.

use alloy_primitives::U256;

use crate::crypto::bls::SecretKey;
use crate::epoch::{EpochKeys, EpochTable, Member};
use crate::ids::{
    Address, Attempt, BlobDigest, BlockHash, BlockNumber, ChainContract, ChainId, Claim,
    EpochNumber, JobId, LeaseToken, ManifestDigest, NetworkId, Nonce, ProgramId,
    PublicValuesDigest, SessionId, StatementDigest, TaskId, TxHash, VkDigest,
};
use crate::job::{JobLimits, JobSpec, Mode, Origin};
use crate::network::*;
use crate::sealed::{Salt, SealedVote, commitment_to};
use crate::statement::{SegmentRecord, Verdict};
use crate::units::{ByteCount, Millis, Stake, UnixMillis, UnixSeconds, WorkUnits};
use crate::vote::Vote;
use crate::vote::{Attestation, SignedAttestation, SignedVote, VerifiedAttestation, VerifiedVote};

pub const CHAIN: ChainId = ChainId::new(31_337);
pub const START: UnixMillis = UnixMillis::new(1_700_000_000_000);
/// Members' stakes: 40 of 100 offline leaves less than 2/3, 30 does not.
pub const STAKES: [u128; 4] = [40, 30, 20, 10];

pub fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

pub fn target() -> ChainContract {
    ChainContract { chain: CHAIN, contract: address(0xee) }
}

pub fn task_manager() -> ChainContract {
    ChainContract { chain: CHAIN, contract: address(0xdd) }
}

pub fn program(byte: u8) -> ProgramId {
    ProgramId::from_bytes([byte; 32])
}

pub fn operator(index: usize) -> Address {
    address(0x10 + u8::try_from(index).unwrap())
}

pub fn prover(index: u8) -> Address {
    address(0x50 + index)
}

pub fn key(index: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(index).unwrap() + 1; 48]).unwrap()
}

pub fn epoch_keys(number: u64) -> EpochKeys {
    let members: Vec<Member> = (0..STAKES.len())
        .map(|index| Member {
            operator: operator(index),
            key: key(index).public_g1(),
            stake: Stake::new(STAKES[index]),
        })
        .collect();
    let network = NetworkId { home_chain: CHAIN, epoch_table: address(0xcc) };
    let table = EpochTable::build(
        network,
        EpochNumber::new(number),
        BlockNumber::new(number * 10),
        BlockHash::from_bytes([7; 32]),
        members,
    )
    .unwrap();
    let keys = (0..STAKES.len()).map(|index| (operator(index), key(index).public_g2()));
    EpochKeys::new(table, keys).unwrap()
}

pub fn spec(requester: u8, nonce: u64) -> JobSpec {
    JobSpec {
        origin: Origin::Direct,
        home_chain: CHAIN,
        target: target(),
        requester: address(requester),
        nonce: Nonce::new(nonce),
        program: program(1),
        input: BlobDigest::from_bytes([requester ^ 0x80; 32]),
        claim: Claim::from_bytes([9; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(START.as_seconds().get() + 3600),
        fee_cap: U256::from(1000u64),
        limits: JobLimits {
            input_bytes: ByteCount::new(100),
            max_segments: 16,
            max_proof_bytes: ByteCount::new(1 << 20),
        },
        stream: 0,
        sequence: 0,
    }
}

pub fn contract_spec(requester: u8, nonce: u64) -> JobSpec {
    JobSpec { origin: Origin::Contract, ..spec(requester, nonce) }
}

pub fn event(log_index: u64) -> ChainEvent {
    ChainEvent {
        contract: task_manager(),
        block: BlockNumber::new(100),
        block_hash: BlockHash::from_bytes([8; 32]),
        log_index,
    }
}

pub fn plan(segments: u64) -> JobPlan {
    JobPlan {
        segments: (0..segments)
            .map(|index| PlannedSegment {
                first: index * 10,
                count: 10,
                work_units: WorkUnits::new(100),
                memory_bytes: ByteCount::new(1 << 30),
            })
            .collect(),
        manifest: ManifestDigest::from_bytes([5; 32]),
        vk: VkDigest::from_bytes([6; 32]),
    }
}

pub fn capabilities(slots: u32) -> ProverCapabilities {
    ProverCapabilities {
        name: "rig".into(),
        version: "1".into(),
        device: Device::Cpu,
        slots,
        memory_bytes: ByteCount::new(64 << 30),
        programs: vec![ProgramOffer { program: program(1), units_per_kilosecond: 1_000_000 }],
    }
}

pub fn proof(task: &TaskId, attempt: Attempt) -> BlobDigest {
    let mut bytes = *task.as_bytes();
    bytes[31] ^= u8::try_from(attempt.get() & 0xff).unwrap();
    BlobDigest::from_bytes(bytes)
}

pub fn inclusion(byte: u8) -> Inclusion {
    Inclusion { tx: TxHash::from_bytes([byte; 32]), block: BlockNumber::new(5), gas_used: 21_000 }
}

/// A network with a clock and a journal.
#[derive(Clone)]
pub struct World {
    pub network: Network,
    pub now: UnixMillis,
    pub journal: Vec<Vec<u8>>,
    pub effects: Vec<Effect>,
    pub sessions: u64,
    /// What a member commits to when another one votes first, if that is not the same.
    pub minds: [Option<Verdict>; 4],
}

/// What a member hides its vote with.
pub fn salt(index: usize) -> Salt {
    Salt::from_bytes([u8::try_from(index).unwrap() + 0x71; 32])
}

impl World {
    pub fn with(change: impl FnOnce(&mut NetworkConfig)) -> Self {
        let mut config = NetworkConfig::new(CHAIN, target());
        change(&mut config);
        Self {
            network: Network::new(config),
            now: START,
            journal: Vec::new(),
            effects: Vec::new(),
            sessions: 0,
            minds: [None; 4],
        }
    }

    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// An epoch, its verifiers and an oracle, all connected.
    pub fn staffed() -> Self {
        let mut world = Self::new();
        world.epoch(1);
        for index in 0..STAKES.len() {
            world.verifier(index);
        }
        world.oracle();
        world
    }

    pub fn apply(&mut self, input: Input) -> Result<Answer, Refusal> {
        let outcome = self.network.apply(input, self.now);
        self.journal.extend(outcome.facts.iter().map(Fact::encode));
        self.effects = outcome.effects;
        self.network.check_invariants().unwrap();
        outcome.answer
    }

    pub fn ok(&mut self, input: Input) -> Answer {
        self.apply(input).unwrap()
    }

    /// Lets time pass, firing timers as a dispatcher would.
    pub fn pass(&mut self, span_ms: u64) -> Vec<Effect> {
        let end = self.now.after(Millis::new(span_ms));
        let mut effects = Vec::new();
        while let Some(at) = self.network.next_wakeup().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.ok(Input::Tick);
            effects.append(&mut self.effects);
        }
        self.now = end;
        self.effects.clone_from(&effects);
        effects
    }

    pub fn replayed(&self) -> Network {
        let facts = self.journal.iter().map(|bytes| Fact::decode(bytes).unwrap());
        Network::replay(self.network.config().clone(), facts).unwrap()
    }

    /// A restart: the journal is all that is left.
    pub fn restart(&mut self) {
        self.network = self.replayed();
        self.effects = self.network.resume(self.now);
    }

    pub fn session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId::new(self.sessions)
    }

    pub fn epoch(&mut self, number: u64) {
        self.ok(Input::EpochFinal { keys: epoch_keys(number) });
    }

    pub fn verifier(&mut self, index: usize) {
        let session = self.session();
        self.ok(Input::VerifierConnected { operator: operator(index), session });
    }

    pub fn oracle(&mut self) {
        let session = self.session();
        self.ok(Input::OracleConnected { chain: CHAIN, session });
    }

    pub fn connect(&mut self, index: u8, slots: u32) -> SessionId {
        self.connect_with(index, capabilities(slots), Vec::new())
    }

    pub fn connect_with(
        &mut self,
        index: u8,
        capabilities: ProverCapabilities,
        holding: Vec<LeaseRef>,
    ) -> SessionId {
        let session = self.session();
        let prover = prover(index);
        self.ok(Input::ProverConnected { prover, session, capabilities, holding });
        session
    }

    /// Submits a job with its input and plan.
    pub fn planned(&mut self, spec: JobSpec, segments: u64) -> JobId {
        let job = spec.id();
        let (digest, bytes) = (spec.input, spec.limits.input_bytes);
        let provenance = match spec.origin {
            Origin::Direct => Provenance::Direct,
            Origin::Contract => Provenance::Chain(event(spec.nonce.get())),
        };
        self.ok(Input::SubmitJob { spec, provenance });
        self.ok(Input::BlobStored { digest, bytes });
        self.ok(Input::JobPlanned { job, plan: plan(segments) });
        job
    }

    pub fn task(&self, job: &JobId, index: usize) -> &Task {
        &self.network.state().jobs[job].tasks[index]
    }

    pub fn lease(&self, job: &JobId, index: usize) -> (Address, LeaseRef) {
        let task = self.task(job, index);
        let TaskState::Leased(lease) = &task.state else {
            panic!("task is {:?}", task.state);
        };
        let token: LeaseToken = lease.token;
        (lease.prover, LeaseRef { task: task.id, attempt: lease.attempt, token })
    }

    pub fn complete(&mut self, prover: Address, lease: LeaseRef) -> Result<Answer, Refusal> {
        let proof = proof(&lease.task, lease.attempt);
        let report = ProofReport { proof, bytes: ByteCount::new(1000), prove_ms: 500 };
        self.apply(Input::TaskCompleted { prover, lease, report })
    }

    pub fn record(
        &self,
        job: &JobId,
        index: usize,
        lease: &LeaseRef,
        prover: Address,
    ) -> SegmentRecord {
        let job = &self.network.state().jobs[job];
        let plan = job.plan.as_ref().unwrap();
        let segment = plan.segments[index];
        SegmentRecord {
            index: u32::try_from(index).unwrap(),
            first: segment.first,
            count: segment.count,
            vk: plan.vk,
            public_values: PublicValuesDigest::from_bytes([4; 32]),
            proof: proof(&lease.task, lease.attempt),
            prover,
            work_units: segment.work_units,
        }
    }

    pub fn judged(&mut self, job: &JobId, index: usize, (prover, lease): (Address, LeaseRef)) {
        let record = self.record(job, index, &lease, prover);
        let (task, attempt) = (lease.task, lease.attempt);
        let outcome = IntakeOutcome::Accepted(record);
        self.ok(Input::IntakeJudged { task, attempt, prover, outcome });
    }

    /// Proves a leased segment, through intake.
    pub fn prove(&mut self, job: &JobId, index: usize) {
        let lease = self.lease(job, index);
        assert_eq!(self.complete(lease.0, lease.1), Ok(Answer::CompletionReceived));
        self.judged(job, index, lease);
    }

    /// Proves every segment of a planned job on connected provers.
    pub fn prove_all(&mut self, job: &JobId) -> StatementDigest {
        for index in 0..self.network.state().jobs[job].tasks.len() {
            self.prove(job, index);
        }
        self.statement(job)
    }

    pub fn statement(&self, job: &JobId) -> StatementDigest {
        self.network.state().jobs[job].statement.unwrap()
    }

    pub fn state(&self, job: &JobId) -> JobStateKind {
        self.network.state().jobs[job].state.kind()
    }

    pub fn signed_vote(
        &self,
        index: usize,
        statement: StatementDigest,
        epoch: u64,
        verdict: Verdict,
    ) -> VerifiedVote {
        let keys = &self.network.state().epochs[&EpochNumber::new(epoch)];
        let table = keys.table();
        let vote = Vote { epoch: table.epoch(), table: table.digest(), statement, verdict };
        let signed = vote.sign(table.network(), operator(index), &key(index));
        verified(&signed, keys, index)
    }

    /// What a member sends while votes are sealed.
    pub fn sealed(
        &self,
        index: usize,
        statement: StatementDigest,
        epoch: u64,
        verdict: Verdict,
    ) -> SealedVote {
        let vote = self.signed_vote(index, statement, epoch, verdict);
        let network = self.network.state().epochs[&EpochNumber::new(epoch)].table().network();
        let cast = vote.vote();
        SealedVote {
            operator: vote.operator(),
            epoch: cast.epoch,
            table: cast.table,
            statement,
            commitment: commitment_to(network, vote.signed(), &salt(index)),
        }
    }

    fn newest(&self) -> u64 {
        self.network.state().newest_epoch().unwrap().get()
    }

    pub fn commit(&mut self, index: usize, statement: StatementDigest, verdict: Verdict) -> Answer {
        let sealed = self.sealed(index, statement, self.newest(), verdict);
        self.ok(Input::CommitReceived { sealed })
    }

    pub fn phase(&self, statement: StatementDigest) -> VotePhaseKind {
        let epoch = EpochNumber::new(self.newest());
        self.network.state().sealed.phase(statement, epoch).kind()
    }

    /// Whoever has not committed does, by `minds` or else as said; all together close the phase.
    pub fn commit_rest(&mut self, statement: StatementDigest, verdict: Verdict) {
        let epoch = EpochNumber::new(self.newest());
        for index in 0..STAKES.len() {
            let known = self.network.state().sealed.round(statement, epoch);
            let committed = known.is_some_and(|k| k.commitments.contains_key(&operator(index)));
            if !committed && self.phase(statement) == VotePhaseKind::Committing {
                self.commit(index, statement, self.minds[index].unwrap_or(verdict));
            }
        }
    }

    /// Opens a vote as `vote` does, and says what comes of it.
    pub fn reveal(
        &mut self,
        index: usize,
        statement: StatementDigest,
        verdict: Verdict,
    ) -> Result<Answer, Refusal> {
        let vote = self.signed_vote(index, statement, self.newest(), verdict);
        let detail = (verdict == Verdict::Invalid)
            .then(|| InvalidDetail { segment: 0, reason: "the claim differs".into() });
        self.apply(Input::VoteReceived { vote, detail, salt: salt(index) })
    }

    /// A vote in both phases: whoever has not committed does so before it is opened.
    pub fn vote(&mut self, index: usize, statement: StatementDigest, verdict: Verdict) -> Answer {
        if self.phase(statement) == VotePhaseKind::Committing {
            self.commit(index, statement, verdict);
            self.commit_rest(statement, verdict);
        }
        self.reveal(index, statement, verdict).unwrap()
    }

    /// Attestations of the open batches by some members; asserts that there is one.
    pub fn attest(&mut self, members: &[usize]) {
        let open: Vec<_> = self.network.state().open_batches.iter().copied().collect();
        assert!(!open.is_empty(), "no batch is open");
        for root in open {
            let named = *self.network.state().batches[&root].tally.attestation();
            for index in members {
                let attestation = self.attestation(*index, named);
                self.ok(Input::AttestationReceived { attestation });
            }
        }
    }

    pub fn attestation(&self, index: usize, named: Attestation) -> VerifiedAttestation {
        let keys = &self.network.state().epochs[&named.epoch];
        let signed: SignedAttestation = named.sign(operator(index), &key(index));
        let member = keys.table().index_of(operator(index)).unwrap();
        let stake = Stake::new(STAKES[index]);
        borsh::from_slice(&borsh::to_vec(&(signed, member, stake)).unwrap()).unwrap()
    }

    /// Brings a proved job's statement to a certificate.
    pub fn certify(&mut self, job: &JobId) -> crate::ids::CertificateId {
        let statement = self.statement(job);
        for index in 0..STAKES.len() {
            self.vote(index, statement, Verdict::Valid);
        }
        let window = self.network.config().batch_window_ms;
        self.pass(window);
        self.attest(&[0, 1, 2, 3]);
        match self.network.state().jobs[job].state {
            JobState::Certified { certificate } => certificate,
            ref other => panic!("job is {other:?}"),
        }
    }

    pub fn submission(&mut self, subject: SubmissionSubject, update: SubmissionUpdate) -> Answer {
        self.ok(Input::SubmissionUpdate { chain: CHAIN, subject, update })
    }
}

/// A verified vote without the cost of two pairings: the tests sign with the right key.
fn verified(signed: &SignedVote, keys: &EpochKeys, index: usize) -> VerifiedVote {
    let member = keys.table().index_of(operator(index)).unwrap();
    let stake = Stake::new(STAKES[index]);
    borsh::from_slice(&borsh::to_vec(&(*signed, member, stake)).unwrap()).unwrap()
}
