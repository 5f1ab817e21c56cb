//! A small network for tests: one verifier in an epoch, a program that reads its verdict off the
//! proof's first byte, and sources and views that hold exactly what a test puts in.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::{WalletKey, WalletSignature};
use proofgrid_core::epoch::{EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlobDigest, BlockHash, BlockNumber, ChainContract, ChainId, Claim, Commitment,
    EpochNumber, JobId, ManifestDigest, NetworkId, Nonce, ProgramId, StatementAttempt,
    StatementDigest, TableDigest, VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin, claim_of};
use proofgrid_core::sealed::{CommitSet, Salt};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement};
use proofgrid_core::units::{ByteCount, Millis, Stake, UnixSeconds, WorkUnits};
use proofgrid_judge::{JudgeRequest, Judged, Judgement, UnjudgedReason};
use proofgrid_proofs::digest::{program_id, proof_digest, public_values_digest};
use proofgrid_proofs::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_proofs::program::{
    Binding, InputError, Monitor, PlanError, PlanRequest, Program, ProveError, Registry,
    SegmentPlan, SegmentProof, SegmentRange, VerifiedSegment,
};
use proofgrid_proofs::refusal::{Refusal, RefusalCode};
use proofgrid_proto::convert::{StatementOffer, VerifierMessage};
use proofgrid_proto::dial::Dialer;
use proofgrid_store::blob::BlobError;
use tokio::sync::watch;

use crate::archive::Archive;
use crate::chain_view::{ChainView, ChainViewError, ProgramView};
use crate::config::{Retention, VerifierConfig};
use crate::fetch::{BlobKind, FetchError, ProofSource};
use crate::node;
use crate::offer::Desk;
use crate::segments::ProofJudge;
use crate::signer::Signer;
use crate::status::VerifierStatus;
use crate::vote_log::{Entry, Fault, Finding, VoteLog};

pub(crate) const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([0xe7; 20]) };
pub(crate) const TARGET: ChainContract =
    ChainContract { chain: ChainId::new(31_337), contract: Address::from_bytes([0x7a; 20]) };
pub(crate) const OPERATOR: Address = Address::from_bytes([0x0a; 20]);
pub(crate) const EPOCH: EpochNumber = EpochNumber::new(4);
const VK: VkDigest = VkDigest::from_bytes([7; 32]);

/// The dispatcher's own key: it signs commit sets.
pub(crate) fn server() -> WalletKey {
    WalletKey::from_bytes(&[0xd1; 32]).expect("a scalar")
}

/// A commit set of the first sitting over commitments, with a signature.
pub(crate) fn signed_set(
    (epoch, table): (EpochNumber, TableDigest),
    statement: StatementDigest,
    commitments: Vec<(Address, Commitment)>,
    key: &WalletKey,
) -> (CommitSet, WalletSignature) {
    let set = CommitSet::new((epoch, table), statement, 0, commitments).expect("in order");
    signed(set, key)
}

/// A commit set with a signature.
pub(crate) fn signed(set: CommitSet, key: &WalletKey) -> (CommitSet, WalletSignature) {
    let message = WalletMessage::CommitSet { network: NETWORK, set: Box::new(set.clone()) };
    (set, key.sign(&message))
}

/// The answer to an offer: the opened vote where a commitment came first.
pub(crate) async fn vote(
    desk: &Desk,
    offer: &StatementOffer,
    source: &dyn ProofSource,
) -> VerifierMessage {
    let answer = desk.statement(offer, source).await.expect("the log works");
    let VerifierMessage::Commit { epoch, table, statement, commitment } = answer else {
        return answer;
    };
    let key = server();
    let (set, signature) =
        signed_set((epoch, table), statement, vec![(OPERATOR, commitment)], &key);
    let opened = desk.reveal(set, signature, key.address()).await.expect("the log works");
    opened.expect("a set that holds the commitment")
}

/// First byte of a proof that holds.
pub(crate) const GOOD: u8 = 1;
/// First byte of a proof whose equations do not hold.
pub(crate) const BAD: u8 = 2;
/// First byte of a proof that no judge finishes.
pub(crate) const SLOW: u8 = 3;

pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed(&[0x55; 32]).expect("a long seed")
}

pub(crate) fn table(number: EpochNumber, operator: Address, key: &SecretKey) -> EpochTable {
    let member = Member { operator, key: key.public_g1(), stake: Stake::new(10) };
    let (block, hash) = (BlockNumber::new(9), BlockHash::from_bytes([9; 32]));
    EpochTable::build(NETWORK, number, block, hash, vec![member]).expect("one member")
}

pub(crate) fn own_table() -> EpochTable {
    table(EPOCH, OPERATOR, &key())
}

pub(crate) struct TestProgram {
    manifest: Manifest,
}

pub(crate) fn program() -> ProgramId {
    program_id("test", &VK, b"")
}

pub(crate) fn registry() -> Registry {
    let limits = ProofLimits {
        proof_bytes_max: ByteCount::new(1 << 20),
        public_values_bytes_max: ByteCount::new(1 << 20),
        verify_ms_max: Millis::new(10_000),
        verify_memory_bytes_max: ByteCount::new(1 << 28),
    };
    let manifest = Manifest {
        name: "test".into(),
        version: "1".into(),
        profile: Profile::Standard,
        hiding: false,
        proven_bits: 0,
        conjectured_bits: 0,
        limits,
    };
    Registry::new(vec![Box::new(TestProgram { manifest })])
}

pub(crate) fn manifest() -> ManifestDigest {
    registry().get(&program()).expect("the program").manifest().digest()
}

fn no_input() -> InputError {
    InputError::Empty { items: "items" }
}

impl Program for TestProgram {
    fn id(&self) -> ProgramId {
        program()
    }

    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn vk_digest(&self) -> VkDigest {
        VK
    }

    fn proof_bytes_estimate(&self, _segment: &SegmentPlan) -> ByteCount {
        ByteCount::new(1)
    }

    fn claim(&self, _input: &[u8]) -> Result<Claim, InputError> {
        Err(no_input())
    }

    fn plan(&self, _input: &[u8], _request: &PlanRequest) -> Result<Vec<SegmentPlan>, PlanError> {
        Err(no_input().into())
    }

    fn plan_range(&self, _input: &[u8], _range: &SegmentRange) -> Result<SegmentPlan, PlanError> {
        Err(no_input().into())
    }

    /// An input has one byte per segment, which is the segment's public value.
    fn public_values_of(
        &self,
        input: &[u8],
        range: &SegmentRange,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        Ok(input.get(range.index as usize).map(|byte| vec![*byte]))
    }

    fn check_plan(&self, _input: &[u8], _plan: &[SegmentPlan]) -> Result<(), PlanError> {
        Err(no_input().into())
    }

    fn prove(
        &self,
        _input: &[u8],
        _segment: &SegmentPlan,
        _binding: &Binding,
        _monitor: &dyn Monitor,
    ) -> Result<SegmentProof, ProveError> {
        Err(ProveError::Cancelled)
    }

    fn verify(&self, proof: &[u8], binding: &Binding) -> Result<VerifiedSegment, Refusal> {
        match proof.split_first() {
            Some((&GOOD, values)) => Ok(VerifiedSegment {
                public_values: values.to_vec(),
                public_values_digest: public_values_digest(values),
                vk_digest: VK,
                proof_digest: proof_digest(proof),
                work_units: WorkUnits::new(binding.count),
            }),
            _ => Err(Refusal::new(RefusalCode::Opening, "the proof says so")),
        }
    }

    fn claim_of_segments(&self, public_values: &[&[u8]]) -> Result<Claim, Refusal> {
        Ok(claim_of("TEST", &public_values.concat()))
    }
}

/// Judges in this process; gives up on [`SLOW`] proofs.
pub(crate) struct TestJudge {
    registry: Registry,
    pub(crate) calls: AtomicU32,
}

#[async_trait]
impl ProofJudge for TestJudge {
    async fn judge(&self, request: JudgeRequest) -> Judgement {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let limit = Millis::new(10_000);
        let judged = match request.proof.first() {
            Some(&SLOW) => Judged::Unjudged(UnjudgedReason::TimedOut { limit }),
            _ => match self.registry.get(&request.program) {
                None => Judged::Unjudged(UnjudgedReason::UnknownProgram),
                Some(program) => match program.verify(&request.proof, &request.binding) {
                    Ok(verified) => Judged::Verified(verified),
                    Err(refusal) => Judged::Refused(refusal),
                },
            },
        };
        Judgement { judged, verify_time: Millis::new(3), children: 1, pid: 1 }
    }
}

#[derive(Default)]
pub(crate) struct TestSource {
    blobs: Mutex<HashMap<BlobDigest, Bytes>>,
    /// What was asked for, and as what.
    pub(crate) asked: Mutex<Vec<(BlobDigest, BlobKind)>>,
}

impl TestSource {
    pub(crate) fn put(&self, proof: &[u8]) -> BlobDigest {
        let digest = proof_digest(proof);
        self.blobs.lock().expect("free").insert(digest, Bytes::copy_from_slice(proof));
        digest
    }

    pub(crate) fn withhold(&self, digest: BlobDigest) {
        self.blobs.lock().expect("free").remove(&digest);
    }
}

#[async_trait]
impl ProofSource for TestSource {
    async fn fetch(&self, digest: BlobDigest, kind: BlobKind) -> Result<Bytes, FetchError> {
        let found = self.blobs.lock().expect("free").get(&digest).cloned();
        self.asked.lock().expect("free").push((digest, kind));
        found.ok_or(FetchError::Blob(BlobError::Missing { digest }))
    }
}

#[derive(Clone)]
pub(crate) struct TestView {
    pub(crate) tables: Vec<EpochTable>,
    pub(crate) program: Option<ProgramView>,
}

impl Default for TestView {
    fn default() -> Self {
        let program = Some(ProgramView { manifest: manifest(), vk: VK });
        Self { tables: vec![own_table()], program }
    }
}

#[async_trait]
impl ChainView for TestView {
    async fn epoch(&self, number: EpochNumber) -> Result<Option<EpochTable>, ChainViewError> {
        Ok(self.tables.iter().find(|table| table.epoch() == number).cloned())
    }

    async fn program(&self, id: ProgramId) -> Result<Option<ProgramView>, ChainViewError> {
        Ok(self.program.filter(|_| id == program()))
    }
}

/// The settings of a verifier that lives in `directory` and never dials.
pub(crate) fn config(directory: &Path) -> VerifierConfig {
    VerifierConfig {
        dispatcher: tonic::transport::Endpoint::from_static("http://[::1]:1"),
        heartbeat_thread: true,
        dialer: Dialer::tcp(),
        server: None,
        network: NETWORK,
        operator: OPERATOR,
        data_directory: directory.to_path_buf(),
        chain_patience: Duration::ZERO,
        mirrors: Vec::new(),
        mirror_listen: None,
        retention: Retention::default(),
        version: "test".into(),
    }
}

/// A desk over a vote log in `directory`, with the judge that counts its calls.
pub(crate) fn desk(directory: &Path, view: TestView) -> (Desk, Arc<TestJudge>) {
    let config = config(directory);
    let log = VoteLog::open(&config.vote_log_path()).expect("opens");
    let signer = Arc::new(Signer::new(key(), NETWORK, OPERATOR, log));
    let judge = Arc::new(TestJudge { registry: registry(), calls: AtomicU32::new(0) });
    let status = watch::Sender::new(VerifierStatus::default());
    let own_judge = Arc::clone(&judge) as Arc<dyn ProofJudge>;
    let archive = Archive::open(&config).expect("opens");
    let (registry, view) = (Arc::new(registry()), Arc::new(view));
    let around = node::Around { signer, registry, view, status, archive };
    let desk = node::desk(&config, own_judge, around);
    (desk, judge)
}

pub(crate) fn spec(claim: Claim) -> JobSpec {
    JobSpec {
        origin: Origin::Direct,
        home_chain: NETWORK.home_chain,
        target: TARGET,
        requester: Address::from_bytes([1; 20]),
        nonce: Nonce::new(1),
        program: program(),
        input: BlobDigest::from_bytes([2; 32]),
        claim,
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(2_000_000_000),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(1),
            max_segments: 8,
            max_proof_bytes: ByteCount::new(1000),
        },
        stream: 0,
        sequence: 0,
    }
}

/// A job of two items per proof, with a record for each, as an honest dispatcher would make it.
pub(crate) struct Job {
    pub(crate) spec: JobSpec,
    pub(crate) records: Vec<SegmentRecord>,
    pub(crate) source: TestSource,
}

impl Job {
    /// The claim is that of the proofs' bytes behind their first one.
    pub(crate) fn of(proofs: &[&[u8]]) -> Self {
        let values: Vec<u8> = proofs.iter().flat_map(|proof| proof[1..].to_vec()).collect();
        let source = TestSource::default();
        let record = |(index, proof): (u32, &&[u8])| SegmentRecord {
            index,
            first: u64::from(index) * 2,
            count: 2,
            vk: VK,
            public_values: public_values_digest(&proof[1..]),
            proof: source.put(proof),
            prover: Address::from_bytes([6; 20]),
            work_units: WorkUnits::new(2),
        };
        let records = (0..).zip(proofs).map(record).collect();
        let input = source.put(&values);
        Self { spec: JobSpec { input, ..spec(claim_of("TEST", &values)) }, records, source }
    }

    /// The offer of the statement over the records as they are now, in any order.
    pub(crate) fn offer(&self) -> StatementOffer {
        let leaves = self.records.iter().map(SegmentRecord::leaf).collect();
        let tree = proofgrid_core::merkle::MerkleTree::new(leaves).expect("records");
        let statement = Statement {
            job: self.spec.id(),
            attempt: StatementAttempt::new(1),
            program: self.spec.program,
            manifest: manifest(),
            claim: self.spec.claim,
            num_segments: tree.count(),
            segments_root: proofgrid_core::ids::SegmentsRoot::from_bytes(tree.root()),
        };
        self.offer_of(statement)
    }

    pub(crate) fn offer_of(&self, statement: Statement) -> StatementOffer {
        StatementOffer {
            digest: statement.digest(),
            spec: self.spec.clone(),
            opened: OpenedStatement { statement, records: self.records.clone() },
            epoch: EPOCH,
            table: own_table().digest(),
        }
    }

    pub(crate) fn id(&self) -> JobId {
        self.spec.id()
    }
}

pub(crate) fn entry(statement: u8, finding: Finding) -> Entry {
    let statement = StatementDigest::from_bytes([statement; 32]);
    let secret = Salt::from_bytes([0x5a; 32]);
    Entry { statement, target: TARGET, finding, judged_in: Millis::new(5), secret }
}

pub(crate) fn invalid() -> Finding {
    Finding::Invalid(Fault { segment: 3, reason: "opening refused".into() })
}
