//! A verifier that contradicts itself is named to those who watch the job, after a replay too.

use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlockHash, BlockNumber, EpochNumber, ManifestDigest, PublicValuesDigest, SessionId,
    VkDigest,
};
use proofgrid_core::network::{
    Device, Effect, IntakeOutcome, InvalidDetail, JobPlan, PlannedSegment, ProgramOffer,
    ProofReport, ProverCapabilities,
};
use proofgrid_core::sealed::{Salt, SealedVote, commitment_to};
use proofgrid_core::statement::{SegmentRecord, Verdict};
use proofgrid_core::units::{Stake, WorkUnits};
use proofgrid_core::vote::{VerifiedVote, Vote};

use super::*;
use crate::testing::{HOME, network};

/// The job's input.
const INPUT: &[u8] = b"input";
/// What votes are hidden with.
const SALT: Salt = Salt::from_bytes([0x5a; 32]);
/// How many verifiers there are; each has the same stake.
const MEMBERS: u8 = 4;

fn operator(member: u8) -> Address {
    Address::from_bytes([member + 1; 20])
}

fn secret(member: u8) -> SecretKey {
    SecretKey::from_seed(&[member + 1; 32]).unwrap()
}

fn keys() -> EpochKeys {
    let member = |member| Member {
        operator: operator(member),
        key: secret(member).public_g1(),
        stake: Stake::new(10),
    };
    let table = EpochTable::build(
        network(HOME),
        EpochNumber::new(1),
        BlockNumber::new(1_000),
        BlockHash::from_bytes([0xb1; 32]),
        (0..MEMBERS).map(member).collect(),
    );
    let keys = (0..MEMBERS).map(|member| (operator(member), secret(member).public_g2()));
    EpochKeys::new(table.unwrap(), keys).unwrap()
}

/// A job whose proof the members of an epoch vote on, and everything that was written down.
struct Voting {
    network: Network,
    feeds: Feeds,
    facts: Vec<Fact>,
    now: UnixMillis,
    job: JobId,
}

impl Voting {
    fn opened() -> Self {
        let spec = spec(&wallet(1), 1, INPUT);
        let job = spec.id();
        let now = UnixMillis::new((crate::testing::now() - 86_400) * 1_000);
        let (network, feeds) = (Network::new(machine()), Feeds::default());
        let mut voting = Self { network, feeds, facts: Vec::new(), now, job };
        voting.apply(Input::EpochFinal { keys: keys() });
        voting.connect();
        let (digest, bytes) = (spec.input, spec.limits.input_bytes);
        voting.apply(Input::SubmitJob { spec, provenance: Provenance::Direct });
        voting.apply(Input::BlobStored { digest, bytes });
        voting.prove();
        assert_eq!(voting.network.state().voting.len(), 1);
        voting
    }

    fn apply(&mut self, input: Input) -> Vec<Effect> {
        let outcome = self.network.apply(input, self.now);
        outcome.answer.unwrap();
        for fact in &outcome.facts {
            self.feeds.absorb(fact, self.network.state());
        }
        self.facts.extend(outcome.facts);
        outcome.effects
    }

    fn connect(&mut self) {
        let capabilities = ProverCapabilities {
            name: "rig".into(),
            version: "1".into(),
            device: Device::Cpu,
            slots: 1,
            memory_bytes: ByteCount::new(1 << 30),
            programs: vec![ProgramOffer {
                program: crate::testing::program(),
                units_per_kilosecond: 1_000,
            }],
        };
        let (prover, session) = (wallet(5).address(), SessionId::new(1));
        self.apply(Input::ProverConnected { prover, session, capabilities, holding: Vec::new() });
    }

    /// One segment, planned, leased, proved and accepted.
    fn prove(&mut self) {
        let vk = VkDigest::from_bytes([6; 32]);
        let segment = PlannedSegment {
            first: 0,
            count: 1,
            work_units: WorkUnits::new(1),
            memory_bytes: ByteCount::new(1 << 20),
        };
        let manifest = ManifestDigest::from_bytes([5; 32]);
        let plan = JobPlan { segments: vec![segment], manifest, vk };
        let effects = self.apply(Input::JobPlanned { job: self.job, plan });
        let assigned = effects.into_iter().find_map(|effect| match effect {
            Effect::AssignTask { assignment, .. } => Some(assignment.lease),
            _ => None,
        });
        let (lease, prover, proof) = (assigned.unwrap(), wallet(5).address(), digest(b"proof"));
        let report = ProofReport { proof, bytes: ByteCount::new(10), prove_ms: 5 };
        let reference = proofgrid_core::network::LeaseRef {
            task: lease.task,
            attempt: lease.attempt,
            token: lease.token,
        };
        self.apply(Input::TaskCompleted { prover, lease: reference, report });
        let record = SegmentRecord {
            index: 0,
            first: 0,
            count: 1,
            vk,
            public_values: PublicValuesDigest::from_bytes([4; 32]),
            proof,
            prover,
            work_units: WorkUnits::new(1),
        };
        let (task, attempt) = (lease.task, lease.attempt);
        let outcome = IntakeOutcome::Accepted(record);
        self.apply(Input::IntakeJudged { task, attempt, prover, outcome });
    }

    fn statement(&self) -> StatementDigest {
        self.network.state().job(&self.job).unwrap().statement.unwrap()
    }

    fn signed(&self, member: u8, verdict: Verdict) -> VerifiedVote {
        let (keys, statement) = (keys(), self.statement());
        let table = keys.table();
        let vote = Vote { epoch: table.epoch(), table: table.digest(), statement, verdict };
        let vote = vote.sign(table.network(), operator(member), &secret(member)).verify(&keys);
        vote.unwrap()
    }

    /// Everybody commits: this member to the verdict, the others to valid.
    fn commit(&mut self, member: u8, verdict: Verdict) {
        for index in 0..4 {
            let verdict = if index == member { verdict } else { Verdict::Valid };
            let vote = self.signed(index, verdict);
            let Vote { epoch, table, statement, .. } = *vote.vote();
            let commitment = commitment_to(keys().table().network(), vote.signed(), &SALT);
            let operator = vote.operator();
            let sealed = SealedVote { operator, epoch, table, statement, commitment };
            self.apply(Input::CommitReceived { sealed });
        }
    }

    fn vote(&mut self, member: u8, verdict: Verdict) {
        if self.network.state().sealed.rounds().next().is_none() {
            self.commit(member, verdict);
        }
        let vote = self.signed(member, verdict);
        let blamed = verdict == Verdict::Invalid;
        let detail = blamed.then(|| InvalidDetail { segment: 0, reason: "no".into() });
        self.apply(Input::VoteReceived { vote, detail, salt: SALT });
    }

    /// Waits for the batch and attests it.
    fn attest(&mut self, member: u8) {
        while self.network.state().open_batches.is_empty() {
            self.now = self.network.next_wakeup().unwrap();
            self.apply(Input::Tick);
        }
        let root = *self.network.state().open_batches.first().unwrap();
        let named = *self.network.state().batches[&root].tally.attestation();
        let attestation = named.sign(operator(member), &secret(member)).verify(&keys()).unwrap();
        self.apply(Input::AttestationReceived { attestation });
    }

    /// What was said about it since voting opened, live and after a replay.
    fn said(&self) -> Vec<String> {
        let live = self.feeds.since(&self.job, 0).unwrap().0;
        let (replayed, _) = fed(Feeds::default(), &self.facts);
        assert_eq!(replayed.since(&self.job, 0).unwrap().0, live);
        let texts = live.into_iter().map(|event| event.text);
        texts.skip_while(|text| !text.contains("vote")).skip(1).collect()
    }
}

#[test]
fn nothing_is_said_of_a_commitment_before_the_commit_set_stands() {
    for verdict in [Verdict::Valid, Verdict::Invalid] {
        let mut voting = Voting::opened();
        let vote = voting.signed(0, verdict);
        let Vote { epoch, table, statement, .. } = *vote.vote();
        let commitment = commitment_to(keys().table().network(), vote.signed(), &SALT);
        let operator = vote.operator();
        let sealed = SealedVote { operator, epoch, table, statement, commitment };
        voting.apply(Input::CommitReceived { sealed });
        assert_eq!(voting.said(), [""; 0]);
    }
}

#[test]
fn a_second_vote_for_the_other_verdict_is_told() {
    let mut voting = Voting::opened();
    voting.vote(0, Verdict::Valid);
    voting.vote(0, Verdict::Invalid);
    voting.vote(0, Verdict::Invalid);
    let (operator, statement) = (operator(0), voting.statement());
    assert_eq!(
        voting.said(),
        [
            "4 members committed to their votes and open them".to_owned(),
            format!("{operator} voted valid"),
            format!(
                "{operator} contradicts itself: it voted valid in epoch 1 and voted invalid in \
                 epoch 1 on statement {statement}; the second is kept as evidence and does not count"
            ),
        ]
    );
}

#[test]
fn an_attestation_against_the_own_vote_is_told() {
    let mut voting = Voting::opened();
    voting.vote(3, Verdict::Invalid);
    for member in 0..3 {
        voting.vote(member, Verdict::Valid);
    }
    voting.attest(0);
    voting.attest(3);
    let (operator, statement) = (operator(3), voting.statement());
    let said = voting.said();
    let told: Vec<_> = said.iter().filter(|text| text.contains("contradicts")).collect();
    assert_eq!(
        told,
        [&format!(
            "{operator} contradicts itself: it voted invalid in epoch 1 and attested valid in epoch \
             1 on statement {statement}; the second is kept as evidence and does not count"
        )]
    );
}
