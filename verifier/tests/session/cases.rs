//! What a verifier must do on the wire.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::batch::{Batch, BatchLeaf};
use proofgrid_core::crypto::bls::{BlsMessage, SecretKey};
use proofgrid_core::epoch::{EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlobDigest, BlockHash, BlockNumber, ChainContract, ChainId, EpochNumber, NetworkId,
    Nonce, ProgramId, StatementAttempt,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{ByteCount, Millis, Stake, UnixSeconds};
use proofgrid_judge::{Judge, JudgeConfig};
use proofgrid_proofs::digest::{keccak256, proof_digest, public_values_digest};
use proofgrid_proofs::program::{Binding, PlanRequest, Unmonitored};
use proofgrid_proto::convert::{
    AbstainReason, SegmentOffer, StatementOffer, VerifierMessage, VerifierOrder,
};
use proofgrid_proto::dial::Dialer;
use proofgrid_proto::v1::DownloadBlobRequest;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_verifier::chain_view::{ChainView, ChainViewError, ProgramView};
use proofgrid_verifier::{Retention, Verifier, VerifierConfig, VerifierHandle};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::dispatcher::{Connection, Dispatcher, Serving, server};
use super::hostile::a_judge_that_is_taken_over_costs_one_abstention;
use super::kill::no_verdict_is_lost_or_turned_around_by_a_kill;

/// Longest time of one case.
pub const TIME_MAX: Duration = Duration::from_secs(120);

type Case = fn() -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        /// Every case by name.
        pub const ALL: &[(&str, Case)] = &[$((stringify!($name), || Box::pin($name()))),+];
    };
}

cases![
    a_real_proof_is_judged_voted_and_attested,
    a_false_claim_is_voted_invalid,
    a_vote_is_repeated_after_a_reconnect_and_a_restart_without_the_proof,
    a_broken_download_is_resumed,
    a_lying_source_leads_to_an_abstention_and_is_counted,
    a_judged_proof_is_given_back_when_it_is_wanted,
    a_proof_that_the_dispatcher_withholds_is_read_from_a_mirror,
    messages_that_make_no_sense_are_ignored,
    another_network_or_dispatcher_gets_no_login,
    heartbeats_come_while_nothing_is_offered,
    no_verdict_is_lost_or_turned_around_by_a_kill,
    a_judge_that_is_taken_over_costs_one_abstention,
];

const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([0xe7; 20]) };
const TARGET: ChainContract =
    ChainContract { chain: ChainId::new(31_337), contract: Address::from_bytes([0x7a; 20]) };
const OPERATOR: Address = Address::from_bytes([0x0a; 20]);
const QUIET: Millis = Millis::new(60_000);

fn key() -> SecretKey {
    SecretKey::from_seed(&[0x55; 32]).expect("a long seed")
}

fn table() -> EpochTable {
    let member = Member { operator: OPERATOR, key: key().public_g1(), stake: Stake::new(10) };
    let (block, hash) = (BlockNumber::new(9), BlockHash::from_bytes([9; 32]));
    EpochTable::build(NETWORK, EpochNumber::new(4), block, hash, vec![member]).expect("a table")
}

/// What this verifier's own node sees: one epoch, and the programs of this build.
struct View;

#[tonic::async_trait]
impl ChainView for View {
    async fn epoch(&self, number: EpochNumber) -> Result<Option<EpochTable>, ChainViewError> {
        Ok(Some(table()).filter(|table| table.epoch() == number))
    }

    async fn program(&self, id: ProgramId) -> Result<Option<ProgramView>, ChainViewError> {
        let registry = proofgrid_programs::registry();
        Ok(registry.get(&id).map(|program| ProgramView {
            manifest: program.manifest().digest(),
            vk: program.vk_digest(),
        }))
    }
}

pub struct Running {
    pub handle: VerifierHandle,
    shutdown: CancellationToken,
}

impl Running {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.handle.stopped().await.expect("stops in good order");
    }
}

fn endpoint(uri: &str) -> tonic::transport::Endpoint {
    tonic::transport::Endpoint::from_shared(uri.to_owned()).expect("a uri")
}

fn start(directory: &Path, uri: &str) -> Running {
    start_with(directory, uri, |_| {})
}

fn start_with(directory: &Path, uri: &str, change: impl FnOnce(&mut VerifierConfig)) -> Running {
    let judge = JudgeConfig::own_binary(super::JUDGE_CHILD).expect("own path");
    start_judging(directory, uri, judge, change)
}

fn start_judging(
    directory: &Path,
    uri: &str,
    judge: JudgeConfig,
    change: impl FnOnce(&mut VerifierConfig),
) -> Running {
    let mut config = VerifierConfig {
        dispatcher: endpoint(uri),
        heartbeat_thread: true,
        dialer: Dialer::tcp(),
        server: Some(server()),
        network: NETWORK,
        operator: OPERATOR,
        data_directory: directory.to_path_buf(),
        chain_patience: Duration::ZERO,
        mirrors: Vec::new(),
        mirror_listen: None,
        retention: Retention::default(),
        version: "test".into(),
    };
    change(&mut config);
    let registry = Arc::new(proofgrid_programs::registry());
    let judge = Judge::new(judge, Arc::clone(&registry));
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let handle = Verifier::start(config, key(), registry, judge, Arc::new(View), token);
    Running { handle: handle.expect("starts"), shutdown }
}

async fn session(dispatcher: &mut Dispatcher) -> Connection {
    dispatcher.session(NETWORK, OPERATOR, &key().public_g2(), QUIET).await
}

/// A proven `fibonacci` job of one segment.
pub struct Job {
    pub spec: JobSpec,
    pub record: SegmentRecord,
    pub proof: Vec<u8>,
}

/// Proves `input` for a job whose claim is that of `claimed`.
pub fn prove(input: &[u8], claimed: &[u8]) -> Job {
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("fibonacci").expect("a program of the network");
    let spec = JobSpec {
        origin: Origin::Direct,
        home_chain: NETWORK.home_chain,
        target: TARGET,
        requester: Address::from_bytes([1; 20]),
        nonce: Nonce::new(1),
        program: program.id(),
        input: BlobDigest::from_bytes(keccak256(input)),
        claim: program.claim(claimed).expect("a good input"),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(2_000_000_000),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(input.len() as u64),
            max_segments: 1,
            max_proof_bytes: ByteCount::new(4 << 20),
        },
        stream: 0,
        sequence: 0,
    };
    let memory_bytes_max = ByteCount::new(1 << 32);
    let request = PlanRequest { memory_bytes_max, num_workers: 1, max_segments: 1 };
    let plan = program.plan(input, &request).expect("plans")[0];
    let prover = Address::from_bytes([6; 20]);
    let binding = Binding::of_segment(spec.id(), program.id(), prover, &plan);
    let proof = program.prove(input, &plan, &binding, &Unmonitored).expect("proves");
    let record = SegmentRecord {
        index: 0,
        first: plan.first,
        count: plan.count,
        vk: program.vk_digest(),
        public_values: public_values_digest(&proof.public_values),
        proof: proof_digest(&proof.bytes),
        prover,
        work_units: plan.work_units,
    };
    Job { spec, record, proof: proof.bytes }
}

pub fn job() -> Job {
    prove(b"1 2 64", b"1 2 64")
}

impl Job {
    pub fn offer(&self) -> StatementOffer {
        let registry = proofgrid_programs::registry();
        let program = registry.get(&self.spec.program).expect("a program of the network");
        let records = vec![self.record.clone()];
        let (attempt, manifest) = (StatementAttempt::new(1), program.manifest().digest());
        let statement =
            Statement::over(&self.spec, attempt, manifest, &records).expect("one record");
        StatementOffer {
            digest: statement.digest(),
            spec: self.spec.clone(),
            opened: OpenedStatement { statement, records },
            epoch: table().epoch(),
            table: table().digest(),
        }
    }

    fn order(&self) -> VerifierOrder {
        VerifierOrder::Statement(Box::new(self.offer()))
    }
}

/// The verdict of a vote, its signature checked.
pub fn verdict(job: &Job, message: &VerifierMessage) -> (Verdict, Option<u32>) {
    let VerifierMessage::Reveal { vote, signature, detail, .. } = message else {
        panic!("no vote: {message:?}");
    };
    assert_eq!(vote.statement, job.offer().digest);
    assert_eq!((vote.epoch, vote.table), (table().epoch(), table().digest()));
    let signed = BlsMessage::Vote { network: NETWORK, vote: *vote };
    key().public_g2().verify(&signed, signature).expect("a good signature");
    (vote.verdict, detail.as_ref().map(|detail| detail.segment))
}

/// A verifier with an open session, and a job whose proof the dispatcher serves.
pub struct Scene {
    pub dispatcher: Dispatcher,
    pub job: Job,
    pub running: Running,
    connection: Connection,
    /// Removed last, when nothing runs in it any more.
    directory: TempDir,
}

impl Scene {
    async fn of(serving: Serving, job: Job) -> Self {
        let judge = JudgeConfig::own_binary(super::JUDGE_CHILD).expect("own path");
        Self::judged(serving, job, judge).await
    }

    /// With a judge of its own.
    pub async fn judged(serving: Serving, job: Job, judge: JudgeConfig) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut dispatcher = Dispatcher::start(serving).await;
        dispatcher.put(job.record.proof, &job.proof);
        let running = start_judging(directory.path(), &dispatcher.uri, judge, |_| {});
        let connection = session(&mut dispatcher).await;
        Self { dispatcher, job, running, connection, directory }
    }

    /// The answer to the offer of the job's statement: an opened vote, if there is a commitment.
    pub async fn offered(&mut self) -> VerifierMessage {
        self.connection.send(self.job.order()).await;
        self.connection.opened(NETWORK, OPERATOR).await
    }

    /// The verdict on the job's statement.
    async fn voted(&mut self) -> (Verdict, Option<u32>) {
        let answer = self.offered().await;
        verdict(&self.job, &answer)
    }

    /// The same verifier, started again.
    async fn restart(mut self) -> Self {
        self.running.stop().await;
        self.running = start(self.directory.path(), &self.dispatcher.uri);
        self.connection = session(&mut self.dispatcher).await;
        self
    }
}

async fn a_real_proof_is_judged_voted_and_attested() {
    let mut scene = Scene::of(Serving::Honestly, job()).await;
    let early = SegmentOffer {
        job: scene.job.spec.id(),
        spec: scene.job.spec.clone(),
        record: scene.job.record.clone(),
        num_segments: 1,
    };
    scene.connection.send(VerifierOrder::Segment(Box::new(early))).await;
    assert_eq!(scene.voted().await, (Verdict::Valid, None));
    assert_eq!(scene.dispatcher.offsets(), [0], "one download serves both offers");

    let (epoch, digest) = (table().epoch(), table().digest());
    for wanted in [Verdict::Valid, Verdict::Invalid] {
        let leaf = BatchLeaf { statement: scene.job.offer().digest, verdict: wanted };
        let batch = Batch::new(vec![leaf]).expect("one leaf");
        let root = batch.root();
        let order = VerifierOrder::Attest { target: TARGET, epoch, table: digest, batch };
        scene.connection.send(order).await;
        match (wanted, scene.connection.answer().await) {
            (Verdict::Valid, VerifierMessage::Attest { attestation, signature }) => {
                assert_eq!((attestation.root, attestation.count), (root, 1));
                let message = BlsMessage::Attest(attestation);
                key().public_g2().verify(&message, &signature).expect("a good signature");
            }
            (Verdict::Invalid, VerifierMessage::AttestRefused { positions, .. }) => {
                assert_eq!(positions, [0]);
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    let status = scene.running.handle.status();
    assert_eq!((status.votes_valid, status.logged_verdicts), (1, 1));
    assert_eq!((status.attestations, status.attestations_refused), (1, 1));
    scene.running.stop().await;
}

async fn a_false_claim_is_voted_invalid() {
    let mut scene = Scene::of(Serving::Honestly, prove(b"1 2 64", b"1 3 64")).await;
    assert_eq!(scene.voted().await, (Verdict::Invalid, Some(0)));
    scene.running.stop().await;
}

async fn a_vote_is_repeated_after_a_reconnect_and_a_restart_without_the_proof() {
    let mut scene = Scene::of(Serving::Honestly, job()).await;
    let first = scene.offered().await;
    assert_eq!(verdict(&scene.job, &first), (Verdict::Valid, None));

    scene.dispatcher.withhold_all();
    scene.connection.hang_up();
    scene.connection = session(&mut scene.dispatcher).await;
    assert_eq!(scene.offered().await, first);
    assert_eq!(scene.running.handle.status().sessions, 2);

    std::fs::remove_dir_all(scene.directory.path().join("proofs")).expect("the proofs are gone");
    let mut scene = scene.restart().await;
    assert_eq!(scene.offered().await, first);
    scene.running.stop().await;
}

async fn a_broken_download_is_resumed() {
    let mut scene = Scene::of(Serving::BreakingOffOnce, job()).await;
    assert_eq!(scene.voted().await, (Verdict::Valid, None));
    let offsets = scene.dispatcher.offsets();
    assert!(offsets.last().is_some_and(|offset| *offset > 0), "{offsets:?}");
    scene.running.stop().await;
}

async fn a_lying_source_leads_to_an_abstention_and_is_counted() {
    let mut scene = Scene::of(Serving::Lying, job()).await;
    match scene.offered().await {
        VerifierMessage::Abstain { reason, statement, .. } => {
            let wanted = (AbstainReason::MissingBlob, scene.job.offer().digest);
            assert_eq!((reason, statement), wanted);
        }
        other => panic!("{other:?}"),
    }
    let status = scene.running.handle.status();
    assert_eq!(status.logged_verdicts, 0);
    let dispatcher = format!("the dispatcher at {}/", scene.dispatcher.uri);
    assert_eq!(status.missing_blobs, [(dispatcher, 1)].into());
    scene.running.stop().await;
}

async fn a_judged_proof_is_given_back_when_it_is_wanted() {
    let mut scene = Scene::of(Serving::Honestly, job()).await;
    assert_eq!(scene.voted().await, (Verdict::Valid, None));
    let mut scene = scene.restart().await;
    let digest = scene.job.record.proof;
    let length = ByteCount::new(scene.job.proof.len() as u64);
    scene.connection.send(VerifierOrder::BlobWanted { digest, length }).await;
    let given = scene.dispatcher.given.recv().await.expect("it uploads");
    assert!(given == (digest, scene.job.proof.clone()), "it gives what it judged");

    let unknown = BlobDigest::from_bytes([9; 32]);
    let longer = length.saturating_add(ByteCount::new(1));
    for (wanted, length, why) in [(unknown, length, "not hold"), (digest, longer, "are wanted")] {
        scene.connection.send(VerifierOrder::BlobWanted { digest: wanted, length }).await;
        match scene.connection.answer().await {
            VerifierMessage::BlobUnavailable { digest, text } => {
                assert_eq!(digest, wanted);
                assert!(text.contains(why), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    scene.running.stop().await;
}

async fn a_proof_that_the_dispatcher_withholds_is_read_from_a_mirror() {
    let open = |config: &mut VerifierConfig| {
        config.mirror_listen = Some("127.0.0.1:0".parse().expect("an address"));
    };
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let mut dispatcher = Dispatcher::start(Serving::Honestly).await;
    let job = job();
    dispatcher.put(job.record.proof, &job.proof);
    let holder = start_with(directories[0].path(), &dispatcher.uri, open);
    let mut connection = session(&mut dispatcher).await;
    connection.send(job.order()).await;
    assert_eq!(verdict(&job, &connection.opened(NETWORK, OPERATOR).await), (Verdict::Valid, None));

    dispatcher.withhold_all();
    let mirror = format!("http://{}", holder.handle.mirror().expect("a mirror"));
    let reader = start_with(directories[1].path(), &dispatcher.uri, |config| {
        config.mirrors = vec![endpoint(&mirror)];
    });
    let mut connection = session(&mut dispatcher).await;
    connection.send(job.order()).await;
    assert_eq!(verdict(&job, &connection.opened(NETWORK, OPERATOR).await), (Verdict::Valid, None));
    let from_dispatcher = format!("the dispatcher at {}/", dispatcher.uri);
    assert_eq!(reader.handle.status().missing_blobs, [(from_dispatcher, 1)].into());

    let mut client = BlobServiceClient::connect(mirror).await.expect("connects");
    let unknown = DownloadBlobRequest { digest: vec![9; 32], offset_bytes: 0, authority: None };
    let status = client.download_blob(unknown).await.expect_err("it holds no such blob");
    assert_eq!(status.code(), tonic::Code::NotFound);
    reader.stop().await;
    holder.stop().await;
}

async fn messages_that_make_no_sense_are_ignored() {
    let mut scene = Scene::of(Serving::Honestly, job()).await;
    scene.connection.send_raw(Default::default()).await;
    let lie = StatementOffer {
        digest: proofgrid_core::ids::StatementDigest::from_bytes([1; 32]),
        ..scene.job.offer()
    };
    scene.connection.send(VerifierOrder::Statement(Box::new(lie))).await;
    assert_eq!(scene.voted().await, (Verdict::Valid, None));
    assert_eq!(scene.running.handle.status().bad_messages, 2);
    scene.running.stop().await;
}

async fn another_network_or_dispatcher_gets_no_login() {
    use proofgrid_core::ids::LoginNonce;
    use proofgrid_proto::convert::Challenge;

    let directory = tempfile::tempdir().expect("a directory");
    let mut dispatcher = Dispatcher::start(Serving::Honestly).await;
    let running = start(directory.path(), &dispatcher.uri);
    let server_nonce = LoginNonce::from_bytes([0x5e; 32]);
    let elsewhere = NetworkId { home_chain: ChainId::new(1), ..NETWORK };
    let stranger = Address::from_bytes([0xd2; 20]);
    for (server, network) in [(server(), elsewhere), (stranger, NETWORK)] {
        let mut connection = dispatcher.dialled().await;
        assert!(matches!(connection.receive().await, VerifierMessage::Hello(_)));
        let challenge = Challenge { server, server_nonce, network };
        connection.send(VerifierOrder::Challenge(challenge)).await;
        assert!(connection.is_hung_up().await, "it logged in at {challenge:?}");
    }
    // It keeps dialling, and the right dispatcher is served.
    session(&mut dispatcher).await;
    running.stop().await;
}

async fn heartbeats_come_while_nothing_is_offered() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut dispatcher = Dispatcher::start(Serving::Honestly).await;
    let running = start(directory.path(), &dispatcher.uri);
    let key = key().public_g2();
    let mut connection = dispatcher.session(NETWORK, OPERATOR, &key, Millis::new(20)).await;
    for expected in 1..=5 {
        match connection.receive().await {
            VerifierMessage::Heartbeat { sequence } => assert_eq!(sequence, expected),
            other => panic!("{other:?}"),
        }
    }
    running.stop().await;
}
