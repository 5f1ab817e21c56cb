//! Whose bytes are taken and given in a race: proofs of what was revealed, and the raced input.

use proofgrid_core::ids::{BlockNumber, ChainContract, ChainId, EpochNumber, ManifestDigest};
use proofgrid_core::ids::{PublicValuesDigest, VkDigest};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::{
    ChainEvent, Device, JobPlan, PlannedSegment, ProgramOffer, Provenance, ProverCapabilities,
};
use proofgrid_core::race::{RaceRound, RaceStep};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement};
use proofgrid_core::units::{UnixSeconds, WorkUnits};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;

use super::*;
use crate::session::directory::{Entrant, Membership, Outbound};
use crate::testing::{HOME, Idle, address, digest, facts_of, program, spec, wallet};

const INPUT: &[u8] = b"what is raced for";
const PROOF: &[u8] = b"a proof of the first racer";

fn racer(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

/// A session of a prover that offers the program.
async fn enter(shared: &Shared, byte: u8) -> (MetadataMap, Membership) {
    let (sender, _orders) = mpsc::channel(4);
    let token = SessionToken::from_bytes([byte; 32]);
    let membership = shared.directory.enter(Entrant {
        role: Role::Prover,
        address: racer(byte),
        version: "test".to_owned(),
        remote: String::new(),
        outbound: Outbound::Prover(sender),
        close: CancellationToken::new(),
        token,
    });
    let capabilities = ProverCapabilities {
        name: "rig".to_owned(),
        version: "test".to_owned(),
        device: Device::Cpu,
        slots: 1,
        memory_bytes: ByteCount::new(1 << 30),
        programs: vec![ProgramOffer { program: program(), units_per_kilosecond: 0 }],
    };
    let (prover, session) = (racer(byte), membership.session());
    let input = Input::ProverConnected { prover, session, capabilities, holding: Vec::new() };
    shared.actor.apply(input).await.unwrap();
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(SESSION_TOKEN_METADATA, MetadataValue::from_bytes(&[byte; 32]));
    (metadata, membership)
}

fn race() -> JobSpec {
    let limits = JobLimits {
        input_bytes: ByteCount::new(INPUT.len() as u64),
        max_segments: 1,
        max_proof_bytes: ByteCount::new(PROOF.len() as u64),
    };
    let (origin, mode) = (Origin::Contract, Mode::Race);
    JobSpec { origin, mode, limits, ..spec(&wallet(1), 1, INPUT) }
}

/// A race whose first prover has revealed and told its records.
fn inputs() -> Vec<(u64, Input)> {
    let spec = race();
    let job = spec.id();
    let at = |contract, log_index| ChainEvent {
        contract: ChainContract { chain: ChainId::new(HOME), contract: address(contract) },
        block: BlockNumber::new(1),
        block_hash: proofgrid_core::ids::BlockHash::from_bytes([1; 32]),
        log_index,
    };
    let segment = PlannedSegment {
        first: 0,
        count: 1,
        work_units: WorkUnits::new(1),
        memory_bytes: ByteCount::new(1),
    };
    let (manifest, vk) = (ManifestDigest::from_bytes([2; 32]), VkDigest::from_bytes([3; 32]));
    let plan = JobPlan { segments: vec![segment], manifest, vk };
    let round = RaceRound {
        number: 1,
        epoch: EpochNumber::new(1),
        commit_until: UnixSeconds::new(10),
        reveal_until: UnixSeconds::new(20),
        judge_until: UnixSeconds::new(30),
    };
    let record = SegmentRecord {
        index: 0,
        first: 0,
        count: 1,
        vk,
        public_values: PublicValuesDigest::from_bytes([4; 32]),
        proof: digest(PROOF),
        prover: racer(1),
        work_units: segment.work_units,
    };
    let statement =
        Statement::over(&spec, round.attempt(), manifest, std::slice::from_ref(&record)).unwrap();
    let (digest_of, prover) = (statement.digest(), racer(1));
    let opened = OpenedStatement { statement, records: vec![record] };
    let revealed = RaceStep::Revealed { round: 1, prover, statement: digest_of };
    let all = [
        Input::SubmitJob { spec, provenance: Provenance::Chain(at(0xe3, 0)) },
        Input::BlobStored { digest: digest(INPUT), bytes: ByteCount::new(INPUT.len() as u64) },
        Input::JobPlanned { job, plan },
        Input::RaceNews { job, event: at(0xe4, 1), step: RaceStep::Opened(round) },
        Input::ChainHead { chain: ChainId::new(HOME), time: UnixSeconds::new(10) },
        Input::RaceNews { job, event: at(0xe4, 2), step: revealed },
        Input::RaceEntry { prover, opened },
    ];
    let a_second_ago = 86_399_000;
    all.into_iter().map(|input| (a_second_ago, input)).collect()
}

async fn upload(
    gate: &BlobGate,
    metadata: &MetadataMap,
    bytes: &[u8],
) -> Result<v1::UploadBlobResponse, EdgeError> {
    let header = upload_blob_request::Part::Header(v1::UploadHeader {
        digest: digest(bytes).as_bytes().to_vec(),
        length_bytes: bytes.len() as u64,
        offset_bytes: 0,
        authority: None,
    });
    let parts = [header, upload_blob_request::Part::Chunk(bytes.to_vec())];
    let messages = parts.map(|part| Ok(v1::UploadBlobRequest { part: Some(part) }));
    gate.take_upload(metadata.clone(), futures::stream::iter(messages)).await
}

#[tokio::test]
async fn only_the_proofs_of_its_own_revealed_entry_are_taken_from_a_racer() {
    let (shared, _directory) = Idle::after(&facts_of(inputs())).run();
    let gate = BlobGate::new(Arc::clone(&shared));
    let (own, _first) = enter(&shared, 1).await;
    let (other, _second) = enter(&shared, 2).await;
    let refused = |result: Result<_, EdgeError>| matches!(result, Err(EdgeError::NotAllowed(_)));
    assert!(refused(upload(&gate, &other, PROOF).await), "another's entry names it");
    assert!(refused(upload(&gate, &own, b"something else").await), "no entry names it");
    let long = v1::UploadHeader {
        digest: digest(PROOF).as_bytes().to_vec(),
        length_bytes: PROOF.len() as u64 + 1,
        offset_bytes: 0,
        authority: None,
    };
    let begun = gate.begin(&own, &long).await.err();
    assert!(matches!(begun, Some(EdgeError::Limit { .. })), "longer than the job admits");
    upload(&gate, &own, PROOF).await.unwrap();
    let job = race().id();
    let view = shared.actor.read(move |view| view.network.race(&job)).await.unwrap();
    assert_eq!(view.unwrap().entries[0].standing, "before the verifiers");
}

#[tokio::test]
async fn whoever_was_offered_a_race_reads_its_input_and_no_proof_of_others() {
    let (shared, _directory) = Idle::after(&facts_of(inputs())).run();
    let gate = BlobGate::new(Arc::clone(&shared));
    let (own, _first) = enter(&shared, 1).await;
    let (other, _second) = enter(&shared, 2).await;
    upload(&gate, &own, PROOF).await.unwrap();
    assert!(gate.check_reader(&other, digest(INPUT), None).await.is_ok());
    let proof = gate.check_reader(&other, digest(PROOF), None).await;
    assert!(matches!(proof, Err(EdgeError::NotAllowed(_))), "{proof:?}");
}
