//! What goes to the wire comes back the same; what is missing, unspecified or malformed does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use alloy_primitives::U256;
use proofgrid_core::batch::{Batch, BatchLeaf};
use proofgrid_core::bond::{AcceptedLease, BondedLease, LeaseTerms};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::eip712::WalletMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member, MemberSet};
use proofgrid_core::ids::{
    Address, Attempt, BlobDigest, BlockHash, BlockNumber, ChainContract, ChainId, Claim,
    Commitment, EpochNumber, LeaseToken, ManifestDigest, MemberIndex, NetworkId, Nonce, ProgramId,
    PublicValuesDigest, Role, StatementAttempt, StatementDigest, TableDigest, TaskId, TxHash,
    VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin, TaskKind};
use proofgrid_core::network::{
    Assignment, CancelReason, ChainEvent, Device, Inclusion, InvalidDetail, Lease, LeaseRef,
    PlannedSegment, ProgramOffer, ProofReport, ProverCapabilities, StatementEvidence,
    SubmissionFailure, SubmissionSubject, SubmissionUpdate, TaskFault,
};
use proofgrid_core::race::{RaceOffer, RaceRound};
use proofgrid_core::sealed::{CommitSet, Salt};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{ByteCount, Millis, Stake, UnixMillis, UnixSeconds, WorkUnits};
use proofgrid_core::vote::{Attestation, Vote};
use proofgrid_proto::convert::{
    AbstainReason, AcceptanceOrder, ChainNews, CompletionReply, EntryAnswer, EntryReply,
    OracleMessage, OracleOrder, ProverMessage, ProverOrder, RaceNews, RaceStep, ReportedEvent,
    SegmentOffer, SignedRequest, StatementOffer, VerifierMessage, VerifierOrder, evidence,
};
use proofgrid_proto::v1;
use proptest::prelude::*;

fn spec() -> JobSpec {
    JobSpec {
        origin: Origin::Direct,
        home_chain: ChainId::new(1),
        target: ChainContract { chain: ChainId::new(2), contract: Address::from_bytes([3; 20]) },
        requester: Address::from_bytes([4; 20]),
        nonce: Nonce::new(5),
        program: ProgramId::from_bytes([6; 32]),
        input: BlobDigest::from_bytes([7; 32]),
        claim: Claim::from_bytes([8; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(9),
        fee_cap: U256::from(10),
        limits: JobLimits {
            input_bytes: ByteCount::new(11),
            max_segments: 12,
            max_proof_bytes: ByteCount::new(13),
        },
        stream: 14,
        sequence: 15,
    }
}

prop_compose! {
    fn arb_spec()(
        origin in prop::sample::select(Origin::ALL.to_vec()),
        mode in prop::sample::select(Mode::ALL.to_vec()),
        numbers in any::<[u64; 8]>(),
        digests in any::<[[u8; 32]; 4]>(),
        addresses in any::<[[u8; 20]; 2]>(),
        max_segments in any::<u32>(),
    ) -> JobSpec {
        let [home, target, nonce, deadline, input_bytes, proof_bytes, stream, sequence] = numbers;
        JobSpec {
            origin,
            home_chain: ChainId::new(home),
            target: ChainContract {
                chain: ChainId::new(target),
                contract: Address::from_bytes(addresses[0]),
            },
            requester: Address::from_bytes(addresses[1]),
            nonce: Nonce::new(nonce),
            program: ProgramId::from_bytes(digests[0]),
            input: BlobDigest::from_bytes(digests[1]),
            claim: Claim::from_bytes(digests[2]),
            mode,
            deadline: UnixSeconds::new(deadline),
            fee_cap: U256::from_be_bytes(digests[3]),
            limits: JobLimits {
                input_bytes: ByteCount::new(input_bytes),
                max_segments,
                max_proof_bytes: ByteCount::new(proof_bytes),
            },
            stream,
            sequence,
        }
    }
}

fn record(index: u32) -> SegmentRecord {
    SegmentRecord {
        index,
        first: u64::from(index) * 10,
        count: 10,
        vk: VkDigest::from_bytes([1; 32]),
        public_values: PublicValuesDigest::from_bytes([2; 32]),
        proof: BlobDigest::from_bytes([3; 32]),
        prover: Address::from_bytes([4; 20]),
        work_units: WorkUnits::new(5),
    }
}

fn opened(spec: &JobSpec, segments: u32) -> OpenedStatement {
    let records: Vec<_> = (0..segments).map(record).collect();
    let manifest = ManifestDigest::from_bytes([9; 32]);
    let attempt = StatementAttempt::new(1);
    let statement = Statement::over(spec, attempt, manifest, &records).unwrap();
    OpenedStatement { statement, records }
}

fn lease() -> LeaseRef {
    LeaseRef {
        task: TaskId::from_bytes([1; 32]),
        attempt: Attempt::new(2),
        token: LeaseToken::new(3),
    }
}

fn prover_up(message: ProverMessage) {
    let wire = v1::ProverServiceSessionRequest::from(message.clone());
    assert_eq!(ProverMessage::try_from(wire).unwrap(), message);
}

fn prover_down(order: ProverOrder) {
    let wire = v1::ProverServiceSessionResponse::from(order.clone());
    assert_eq!(ProverOrder::try_from(wire).unwrap(), order);
}

fn verifier_up(message: VerifierMessage) {
    let wire = v1::VerifierServiceSessionRequest::from(message.clone());
    assert_eq!(VerifierMessage::try_from(wire).unwrap(), message);
}

fn verifier_down(order: VerifierOrder) {
    let wire = v1::VerifierServiceSessionResponse::from(order.clone());
    assert_eq!(VerifierOrder::try_from(wire).unwrap(), order);
}

proptest! {
    #[test]
    fn a_job_comes_back_the_same(spec in arb_spec()) {
        let back = JobSpec::try_from(v1::JobSpec::from(&spec)).unwrap();
        prop_assert_eq!(back.id(), spec.id());
        prop_assert_eq!(back, spec);
    }

    #[test]
    fn a_statement_comes_back_the_same(spec in arb_spec(), segments in 1u32..40) {
        let opened = opened(&spec, segments);
        let back = OpenedStatement::try_from(v1::OpenedStatement::from(&opened)).unwrap();
        prop_assert_eq!(back, opened);
    }

    #[test]
    fn evidence_comes_back_the_same(spec in arb_spec(), votes in 0u8..5) {
        let key = SecretKey::from_seed(&[7; 32]).unwrap();
        let vote = |number: u8| {
            let vote = Vote {
                epoch: EpochNumber::new(3),
                table: TableDigest::from_bytes([4; 32]),
                statement: StatementDigest::from_bytes([number; 32]),
                verdict: if number.is_multiple_of(2) { Verdict::Valid } else { Verdict::Invalid },
            };
            vote.sign(table_network(), Address::from_bytes([number; 20]), &key)
        };
        let told = StatementEvidence {
            opened: opened(&spec, 2),
            votes: (0..votes).map(vote).collect(),
        };
        let wire = v1::GetEvidenceResponse { statements: vec![(&told).into()] };
        prop_assert_eq!(evidence(wire.clone()).unwrap(), vec![told]);
        let too_many = v1::GetEvidenceResponse { statements: vec![wire.statements[0].clone(); 65] };
        prop_assert!(evidence(too_many).is_err());
    }

    #[test]
    fn fields_of_another_length_are_refused(length in 0usize..70) {
        let mut wire = v1::JobSpec::from(&spec());
        wire.program_id = vec![1; length];
        prop_assert_eq!(JobSpec::try_from(wire).is_ok(), length == 32);
        let mut wire = v1::JobSpec::from(&spec());
        wire.fee_cap_wei = vec![1; length];
        prop_assert_eq!(JobSpec::try_from(wire).is_ok(), length == 32);
        let mut wire = v1::JobSpec::from(&spec());
        wire.requester = vec![1; length];
        prop_assert_eq!(JobSpec::try_from(wire).is_ok(), length == 20);
    }
}

#[test]
fn a_refusal_names_the_field_with_its_path() {
    let mut job = v1::JobSpec::from(&spec());
    job.target.as_mut().unwrap().contract.pop();
    let request = v1::SubmitJobRequest { job: Some(job), ..Default::default() };
    let error = SignedRequest::try_from(request).unwrap_err();
    assert_eq!(error.field, "job.target.contract");
    let error = SignedRequest::try_from(v1::SubmitJobRequest::default()).unwrap_err();
    assert_eq!(error.to_string(), "field job: is missing; set it");
}

#[test]
fn codes_on_the_wire_are_the_codes_of_the_digests() {
    for value in Origin::ALL {
        assert_eq!(i32::from(v1::Origin::from(value)), i32::from(value.code()));
    }
    for value in Mode::ALL {
        assert_eq!(i32::from(v1::Mode::from(value)), i32::from(value.code()));
    }
    for value in TaskKind::ALL {
        assert_eq!(i32::from(v1::TaskKind::from(value)), i32::from(value.code()));
    }
    for value in Verdict::ALL {
        assert_eq!(i32::from(v1::Verdict::from(value)), i32::from(value.code()));
    }
    for value in Role::ALL {
        assert_eq!(i32::from(v1::Role::from(value)), i32::from(value.code()));
    }
    for value in proofgrid_core::manifest::Profile::ALL {
        assert_eq!(i32::from(v1::Profile::from(value)), i32::from(value.code()));
    }
}

#[test]
fn every_unspecified_and_unknown_value_is_refused() {
    for bad in [0, 99, -1, i32::MAX] {
        let mut wire = v1::JobSpec::from(&spec());
        wire.origin = bad;
        assert_eq!(JobSpec::try_from(wire).unwrap_err().field, "origin");
        let mut wire = v1::JobSpec::from(&spec());
        wire.mode = bad;
        assert_eq!(JobSpec::try_from(wire).unwrap_err().field, "mode");
        assert!(proofgrid_proto::convert::job_state("states", bad).is_err());
        let leaf = v1::BatchLeaf { statement_digest: vec![1; 32], verdict: bad };
        assert_eq!(BatchLeaf::try_from(leaf).unwrap_err().field, "verdict");
        let up = |message| v1::ProverServiceSessionRequest { message: Some(message) };
        use v1::prover_service_session_request::Message as Up;
        let hello = v1::Hello {
            role: bad,
            operator: vec![1; 20],
            client_nonce: vec![1; 32],
            version: String::new(),
        };
        assert_eq!(ProverMessage::try_from(up(Up::Hello(hello))).unwrap_err().field, "hello.role");
        let fail = v1::FailTask { lease: Some(lease().into()), fault: bad, text: String::new() };
        assert_eq!(ProverMessage::try_from(up(Up::Fail(fail))).unwrap_err().field, "fail.fault");
        let register = v1::RegisterProver { device: bad, slots: 1, ..Default::default() };
        let error = ProverMessage::try_from(up(Up::Register(register))).unwrap_err();
        assert_eq!(error.field, "register.device");
        use v1::verifier_service_session_request::Message as VerifierUp;
        let abstain = v1::Abstain {
            statement_digest: vec![1; 32],
            reason: bad,
            text: String::new(),
            epoch: 1,
        };
        let wire =
            v1::VerifierServiceSessionRequest { message: Some(VerifierUp::Abstain(abstain)) };
        assert_eq!(VerifierMessage::try_from(wire).unwrap_err().field, "abstain.reason");
        for (kind, state, failure, field) in
            [(bad, 1, 0, "kind"), (1, bad, 0, "state"), (1, 5, bad, "failure")]
        {
            let update = v1::SubmissionUpdate {
                kind,
                subject: vec![1; 32],
                state,
                failure,
                ..Default::default()
            };
            let event = Some(v1::chain_event::Event::Submission(update));
            let reported =
                ReportedEvent { event_id: 1, news: v1::ChainEvent { event_id: 1, event } };
            let error = reported.read(ChainId::new(1)).unwrap_err();
            assert_eq!(error.field, format!("submission.{field}"));
        }
    }
}

#[test]
fn an_empty_message_is_refused_on_every_session() {
    assert!(ProverMessage::try_from(v1::ProverServiceSessionRequest::default()).is_err());
    assert!(ProverOrder::try_from(v1::ProverServiceSessionResponse::default()).is_err());
    assert!(VerifierMessage::try_from(v1::VerifierServiceSessionRequest::default()).is_err());
    assert!(VerifierOrder::try_from(v1::VerifierServiceSessionResponse::default()).is_err());
    assert!(OracleMessage::try_from(v1::OracleServiceSessionRequest::default()).is_err());
}

#[test]
fn prover_messages_come_back_the_same() {
    let program = ProgramId::from_bytes([6; 32]);
    prover_up(ProverMessage::Register {
        capabilities: ProverCapabilities {
            name: "a machine".to_owned(),
            version: "1".to_owned(),
            device: Device::Cuda,
            slots: 2,
            memory_bytes: ByteCount::new(3),
            programs: vec![ProgramOffer { program, units_per_kilosecond: 4 }],
        },
        holding: vec![lease()],
    });
    prover_up(ProverMessage::Heartbeat { sequence: 1, free_memory: ByteCount::new(2) });
    prover_up(ProverMessage::Progress {
        lease: lease(),
        phase: "commit".to_owned(),
        done_permille: 1000,
    });
    let report = ProofReport {
        proof: BlobDigest::from_bytes([1; 32]),
        bytes: ByteCount::new(2),
        prove_ms: 3,
    };
    prover_up(ProverMessage::Complete { lease: lease(), report });
    for fault in [
        TaskFault::Draining,
        TaskFault::InputUnavailable("a".to_owned()),
        TaskFault::OutOfMemory("b".to_owned()),
        TaskFault::Backend("c".to_owned()),
        TaskFault::SelfVerify("d".to_owned()),
        TaskFault::Unprovable("e".to_owned()),
    ] {
        prover_up(ProverMessage::Fail { lease: lease(), fault });
    }
    prover_up(ProverMessage::Drain);
    let accepted = accepted();
    let (terms, signature) = (accepted.lease.terms, accepted.signature);
    prover_up(ProverMessage::Accept { lease: lease(), terms, signature });
}

fn accepted() -> AcceptedLease {
    let spec = spec();
    let terms = LeaseTerms { amount: u128::MAX, deadline: spec.deadline };
    let manager = ChainContract { chain: ChainId::new(2), contract: Address::from_bytes([5; 20]) };
    let key = WalletKey::from_bytes(&[3; 32]).unwrap();
    BondedLease { spec, segment: 1, terms }.sign(&key, manager)
}

#[test]
fn an_acceptance_comes_back_the_same_and_stakes_something() {
    let order =
        AcceptanceOrder { task_manager: Address::from_bytes([5; 20]), accepted: accepted() };
    let order = OracleOrder::PostAcceptance(Box::new(order));
    let wire = v1::OracleServiceSessionResponse::from(order.clone());
    assert_eq!(OracleOrder::try_from(wire).unwrap(), order);
    let terms =
        v1::LeaseTerms { lease: Some(lease().into()), bond_wei: vec![0; 16], deadline_unix_s: 1 };
    let message = Some(v1::prover_service_session_response::Message::Terms(terms));
    let nothing = ProverOrder::try_from(v1::ProverServiceSessionResponse { message });
    assert!(nothing.unwrap_err().to_string().contains("bond_wei"));
}

fn race_offer() -> RaceOffer {
    let spec = JobSpec { origin: Origin::Contract, mode: Mode::Race, ..spec() };
    let segment = |first, count| PlannedSegment {
        first,
        count,
        work_units: WorkUnits::new(5),
        memory_bytes: ByteCount::new(6),
    };
    RaceOffer {
        job: spec.id(),
        spec,
        segments: vec![segment(0, 4), segment(4, 3)],
        round: 2,
        commit_until: UnixSeconds::new(100),
        reveal_until: UnixSeconds::new(200),
        task_manager: ChainContract {
            chain: ChainId::new(1),
            contract: Address::from_bytes([5; 20]),
        },
    }
}

#[test]
fn a_race_offer_comes_back_the_same_and_covers_the_job_once() {
    let order = ProverOrder::RaceOffer(Box::new(race_offer()));
    prover_down(order.clone());
    let refused = |change: fn(&mut v1::RaceOffer)| {
        let mut wire = v1::ProverServiceSessionResponse::from(order.clone());
        let Some(v1::prover_service_session_response::Message::RaceOffer(offer)) =
            &mut wire.message
        else {
            panic!("no offer");
        };
        change(offer);
        ProverOrder::try_from(wire).unwrap_err().field
    };
    assert_eq!(refused(|wire| wire.job_id[0] ^= 1), "race_offer.job_id");
    assert_eq!(refused(|wire| wire.segments.clear()), "race_offer.segments");
    assert_eq!(refused(|wire| wire.segments.reverse()), "race_offer.segments");
    assert_eq!(refused(|wire| wire.segments[1].first = 5), "race_offer.segments");
    assert_eq!(refused(|wire| wire.segments[1].count = 0), "race_offer.segments[1].count");
    assert_eq!(refused(|wire| wire.segments[1].count = u64::MAX), "race_offer.segments");
    assert_eq!(refused(|wire| wire.round = 0), "race_offer.round");
    assert_eq!(refused(|wire| wire.round = 17), "race_offer.round");
}

#[test]
fn a_race_entry_and_its_answer_come_back_the_same() {
    let spec = race_offer().spec;
    let opened = opened(&spec, 2);
    let statement = opened.statement.digest();
    let job = spec.id();
    let entry = ProverMessage::RaceEntry { job, opened: Box::new(opened) };
    prover_up(entry.clone());
    let mut wire = v1::ProverServiceSessionRequest::from(entry);
    let Some(v1::prover_service_session_request::Message::RaceEntry(of)) = &mut wire.message else {
        panic!("no entry");
    };
    of.job_id[0] ^= 1;
    assert_eq!(ProverMessage::try_from(wire).unwrap_err().field, "race_entry.job_id");
    let said = || "why".to_owned();
    for reply in [EntryReply::Upload, EntryReply::Waiting(said()), EntryReply::Refused(said())] {
        prover_down(ProverOrder::RaceEntry(EntryAnswer { job, statement, reply }));
    }
    let answer = EntryAnswer { job, statement, reply: EntryReply::Upload };
    let wire = v1::RaceEntryAnswer { accepted: false, ..answer.into() };
    assert_eq!(EntryAnswer::try_from(wire).unwrap_err().field, "may_upload");
}

fn assignment() -> Assignment {
    let spec = spec();
    Assignment {
        lease: Lease {
            task: lease().task,
            attempt: lease().attempt,
            token: lease().token,
            dead_after: Millis::new(1),
            expires_at: UnixMillis::new(2),
        },
        job: spec.id(),
        spec,
        index: 1,
        segment: PlannedSegment {
            first: 3,
            count: 4,
            work_units: WorkUnits::new(5),
            memory_bytes: ByteCount::new(6),
        },
        num_segments: 2,
    }
}

#[test]
fn prover_orders_come_back_the_same() {
    prover_down(ProverOrder::Terms { lease: lease(), terms: accepted().lease.terms });
    prover_down(ProverOrder::Registered { resumed: vec![lease()] });
    prover_down(ProverOrder::Assign(Box::new(assignment())));
    for reason in [
        CancelReason::AlreadyProved,
        CancelReason::JobOver,
        CancelReason::TimedOut,
        CancelReason::StaleLease,
        CancelReason::Requeued,
    ] {
        let (task, attempt) = (lease().task, lease().attempt);
        prover_down(ProverOrder::Cancel { task, attempt, reason });
    }
    for reply in [
        CompletionReply::Received,
        CompletionReply::AlreadyDone,
        CompletionReply::Accepted,
        CompletionReply::Refused("why".to_owned()),
        CompletionReply::Unjudged("why".to_owned()),
    ] {
        prover_down(ProverOrder::Completion { lease: lease(), reply });
    }
}

#[test]
fn an_assignment_whose_job_is_another_is_refused() {
    let mut wire = v1::AssignTask::from(&assignment());
    wire.job.as_mut().unwrap().nonce += 1;
    let message = Some(v1::prover_service_session_response::Message::Assign(wire));
    let wire = v1::ProverServiceSessionResponse { message };
    assert_eq!(ProverOrder::try_from(wire).unwrap_err().field, "assign.job_id");
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32]).unwrap()
}

fn table_network() -> NetworkId {
    NetworkId { home_chain: ChainId::new(1), epoch_table: Address::from_bytes([2; 20]) }
}

#[test]
fn verifier_messages_come_back_the_same() {
    let operator = Address::from_bytes([1; 20]);
    for (verdict, detail) in [
        (Verdict::Valid, None),
        (Verdict::Invalid, Some(InvalidDetail { segment: 3, reason: "opening".to_owned() })),
    ] {
        let vote = Vote {
            epoch: EpochNumber::new(1),
            table: TableDigest::from_bytes([2; 32]),
            statement: StatementDigest::from_bytes([3; 32]),
            verdict,
        };
        let signature = vote.sign(table_network(), operator, &key()).signature;
        let judged_in = Millis::new(4);
        let salt = Salt::from_bytes([9; 32]);
        verifier_up(VerifierMessage::Reveal { vote, signature, detail, judged_in, salt });
    }
    verifier_up(VerifierMessage::Commit {
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([2; 32]),
        statement: StatementDigest::from_bytes([3; 32]),
        commitment: Commitment::from_bytes([4; 32]),
    });
    for reason in AbstainReason::ALL {
        verifier_up(VerifierMessage::Abstain {
            epoch: EpochNumber::new(1),
            statement: StatementDigest::from_bytes([3; 32]),
            reason,
            text: "why".to_owned(),
        });
    }
    let attestation = Attestation {
        target: spec().target,
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([2; 32]),
        root: proofgrid_core::ids::BatchRoot::from_bytes([4; 32]),
        count: 2,
    };
    let signature = attestation.sign(operator, &key()).signature;
    verifier_up(VerifierMessage::Attest { attestation, signature });
    verifier_up(VerifierMessage::AttestRefused {
        root: attestation.root,
        positions: vec![0, 2],
        text: "why".to_owned(),
    });
    let digest = BlobDigest::from_bytes([5; 32]);
    verifier_up(VerifierMessage::BlobUnavailable { digest, text: "not held".to_owned() });
}

#[test]
fn a_vote_names_a_segment_exactly_when_it_is_invalid() {
    let vote = Vote {
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([2; 32]),
        statement: StatementDigest::from_bytes([3; 32]),
        verdict: Verdict::Invalid,
    };
    let signature = vote.sign(table_network(), Address::from_bytes([1; 20]), &key()).signature;
    let judged_in = Millis::ZERO;
    let salt = Salt::from_bytes([9; 32]);
    let message = VerifierMessage::Reveal { vote, signature, detail: None, judged_in, salt };
    let wire = v1::VerifierServiceSessionRequest::from(message);
    assert_eq!(VerifierMessage::try_from(wire).unwrap_err().field, "reveal.invalid");
}

#[test]
fn a_commit_set_comes_back_the_same_and_must_be_in_order() {
    let of = |byte| (Address::from_bytes([byte; 20]), Commitment::from_bytes([byte; 32]));
    let epoch = (EpochNumber::new(1), TableDigest::from_bytes([2; 32]));
    let statement = StatementDigest::from_bytes([3; 32]);
    let set = CommitSet::new(epoch, statement, 2, vec![of(1), of(2)]).unwrap();
    let message = WalletMessage::CommitSet { network: table_network(), set: Box::new(set.clone()) };
    let signature = WalletKey::from_bytes(&[7; 32]).unwrap().sign(&message);
    let order = VerifierOrder::Reveal { set, signature };
    verifier_down(order.clone());
    verifier_down(VerifierOrder::CommitRecorded(statement));
    let refused = |change: fn(&mut v1::RevealRequest)| {
        let mut wire = v1::VerifierServiceSessionResponse::from(order.clone());
        let Some(v1::verifier_service_session_response::Message::Reveal(request)) =
            &mut wire.message
        else {
            panic!("no request to reveal");
        };
        change(request);
        VerifierOrder::try_from(wire).unwrap_err().field
    };
    assert_eq!(refused(|wire| wire.commitments.reverse()), "reveal.commitments");
    assert_eq!(refused(|wire| wire.commitments.clear()), "reveal.commitments");
    let many = |wire: &mut v1::RevealRequest| {
        wire.commitments = vec![wire.commitments[0].clone(); 201];
    };
    assert_eq!(refused(many), "reveal.commitments");
    assert_eq!(refused(|wire| wire.signature.truncate(64)), "reveal.signature");
}

#[test]
fn verifier_orders_come_back_the_same_and_must_hold_together() {
    let spec = spec();
    let opened = opened(&spec, 3);
    let record = record(1);
    let job = spec.id();
    verifier_down(VerifierOrder::Segment(Box::new(SegmentOffer {
        job,
        spec: spec.clone(),
        record,
        num_segments: 3,
    })));
    let offer = StatementOffer {
        digest: opened.statement.digest(),
        spec,
        opened,
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([2; 32]),
    };
    verifier_down(VerifierOrder::Statement(Box::new(offer.clone())));
    let leaf = |byte| BatchLeaf {
        statement: StatementDigest::from_bytes([byte; 32]),
        verdict: Verdict::Valid,
    };
    verifier_down(VerifierOrder::Attest {
        target: offer.spec.target,
        epoch: EpochNumber::new(1),
        table: offer.table,
        batch: Batch::new(vec![leaf(1), leaf(2)]).unwrap(),
    });

    let digest = BlobDigest::from_bytes([5; 32]);
    verifier_down(VerifierOrder::BlobWanted { digest, length: ByteCount::new(6) });
    for length in [0, proofgrid_core::limits::INPUT_BYTES_MAX + 1] {
        let order = VerifierOrder::BlobWanted { digest, length: ByteCount::new(length) };
        let wire = v1::VerifierServiceSessionResponse::from(order);
        let error = VerifierOrder::try_from(wire).unwrap_err();
        assert_eq!(error.field, "blob_wanted.length_bytes");
    }

    let mut wire = v1::OpenedStatement::from(&offer.opened);
    wire.records[2].work_units += 1;
    assert_eq!(OpenedStatement::try_from(wire).unwrap_err().field, "records");
}

fn keys() -> EpochKeys {
    let operator = Address::from_bytes([1; 20]);
    let member = Member { operator, key: key().public_g1(), stake: Stake::new(10) };
    let table = EpochTable::build(
        table_network(),
        EpochNumber::new(1),
        BlockNumber::new(2),
        BlockHash::from_bytes([3; 32]),
        vec![member],
    )
    .unwrap();
    EpochKeys::new(table, [(operator, key().public_g2())]).unwrap()
}

#[test]
fn chain_events_come_back_the_same() {
    let chain = ChainId::new(1);
    let event = ChainEvent {
        contract: ChainContract { chain, contract: Address::from_bytes([2; 20]) },
        block: BlockNumber::new(3),
        block_hash: BlockHash::from_bytes([4; 32]),
        log_index: 5,
    };
    let inclusion =
        Inclusion { tx: TxHash::from_bytes([6; 32]), block: BlockNumber::new(7), gas_used: 8 };
    let job = spec().id();
    let mut all = vec![
        ChainNews::Epoch { event, keys: Box::new(keys()) },
        ChainNews::JobCreated { event, spec: Box::new(spec()) },
        ChainNews::JobExpired { event, job },
        ChainNews::MembersExcluded { event, epoch: EpochNumber::new(2), members: members() },
    ];
    let round = RaceRound {
        number: 16,
        epoch: EpochNumber::new(3),
        commit_until: UnixSeconds::new(100),
        reveal_until: UnixSeconds::new(200),
        judge_until: UnixSeconds::new(300),
    };
    let (prover, statement) = (Address::from_bytes([8; 20]), StatementDigest::from_bytes([9; 32]));
    for what in [
        RaceStep::Opened(round),
        RaceStep::Revealed { round: 16, prover, statement },
        RaceStep::Closed { round: 16, winners: 16 },
        RaceStep::Settled { statement },
    ] {
        all.push(ChainNews::Race(RaceNews { event, job, what }));
    }
    for update in [
        SubmissionUpdate::Sent { tx: inclusion.tx },
        SubmissionUpdate::Included(inclusion),
        SubmissionUpdate::Final(inclusion),
        SubmissionUpdate::Reorged,
        SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted),
        SubmissionUpdate::Failed(SubmissionFailure::Refused("a".to_owned())),
        SubmissionUpdate::Failed(SubmissionFailure::Unavailable("b".to_owned())),
        SubmissionUpdate::Failed(SubmissionFailure::ExcludedSigner(members())),
        SubmissionUpdate::Chosen { why: "c".to_owned() },
    ] {
        all.push(ChainNews::Submission { subject: SubmissionSubject::Settle(job), update });
    }
    for news in all {
        let wire = news.clone().into_event(9);
        let back = ReportedEvent { event_id: 9, news: wire }.read(chain).unwrap();
        assert_eq!(format!("{back:?}"), format!("{news:?}"));
    }
}

fn members() -> MemberSet {
    [0, 199].map(MemberIndex::new).into_iter().collect()
}

#[test]
fn excluded_members_are_named_exactly_where_they_belong() {
    let read = |news: v1::ChainEvent| {
        let read = ReportedEvent { event_id: 1, news }.read(ChainId::new(1));
        read.unwrap_err().field
    };
    let subject = SubmissionSubject::Settle(spec().id());
    let update = |failure| SubmissionUpdate::Failed(failure);
    let wire = |failure| ChainNews::Submission { subject, update: update(failure) }.into_event(1);
    let changed = |mut wire: v1::ChainEvent, mask: &[u8]| {
        if let Some(v1::chain_event::Event::Submission(update)) = &mut wire.event {
            update.excluded_members = mask.to_vec();
        }
        wire
    };
    let excluded = wire(SubmissionFailure::ExcludedSigner(members()));
    for mask in [&[0; 32][..], &[1; 31], &[]] {
        assert_eq!(read(changed(excluded.clone(), mask)), "submission.excluded_members");
    }
    let over = wire(SubmissionFailure::EpochNotAccepted);
    assert_eq!(read(changed(over, &[1; 32])), "submission.excluded_members");
}

#[test]
fn an_epoch_with_the_wrong_keys_is_refused() {
    let event = ChainEvent {
        contract: table_network().as_contract(),
        block: BlockNumber::new(3),
        block_hash: BlockHash::from_bytes([4; 32]),
        log_index: 5,
    };
    let mut wire = ChainNews::Epoch { event, keys: Box::new(keys()) }.into_event(1);
    let Some(v1::chain_event::Event::Epoch(epoch)) = &mut wire.event else { panic!("an epoch") };
    let stranger = SecretKey::from_seed(&[8; 32]).unwrap().public_g2();
    epoch.keys_g2[0] = stranger.to_bytes().to_vec();
    let error = ReportedEvent { event_id: 1, news: wire }.read(ChainId::new(1)).unwrap_err();
    assert_eq!(error.field, "epoch.keys_g2");
}
