//! Golden bytes of every fact: the journal of one version is read by the next.

use std::collections::BTreeSet;

use crate::crypto::hash::keccak256;
use crate::ids::{Attempt, BlobDigest};
use crate::ids::{
    BatchRoot, CertificateId, EpochNumber, LeaseToken, MemberIndex, StatementAttempt,
    StatementDigest, TaskId,
};
use crate::network::*;
use crate::race::RaceRound;
use crate::statement::Verdict;
use crate::units::{ByteCount, UnixMillis, UnixSeconds};

use super::world::*;

/// One of every variant, in order of their tags, from a job that really ran.
fn every_change() -> Vec<(&'static str, Change)> {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (holder, lease) = world.lease(&job, 0);
    let record = world.record(&job, 0, &lease, holder);
    let digest = world.prove_all(&job);
    let id = world.certify(&job);
    let state = world.network.state();
    let opened = state.statements[&digest].opened.clone();
    let certificate = state.certificates[&id].certificate.clone();
    let root = certificate.root;
    let vote = world.signed_vote(0, digest, 1, Verdict::Valid);
    let sealed = world.sealed(0, digest, 1, Verdict::Valid);
    let attestation = world.attestation(0, certificate.attestation());
    let (task, attempt, token) = (lease.task, lease.attempt, lease.token);
    let decision = world.task(&job, 0).tries[0].decision.clone();
    let (epoch, blob) = (EpochNumber::new(1), BlobDigest::from_bytes([3; 32]));
    let report = ProofReport { proof: record.proof, bytes: ByteCount::new(1000), prove_ms: 500 };
    let reason = FailReason::TaskLost { index: 0, losses: 16 };
    let end = LeaseEnd::IntakeRefused { code: "claim".into(), text: "differs".into() };
    let input_until = UnixMillis::new(5);
    let entry = opened.clone();
    let round = RaceRound {
        number: 2,
        epoch,
        commit_until: UnixSeconds::new(6),
        reveal_until: UnixSeconds::new(7),
        judge_until: UnixSeconds::new(8),
    };
    vec![
        (
            "JobSubmitted",
            Change::JobSubmitted {
                job,
                spec: spec(1, 1),
                provenance: Provenance::Chain(event(1)),
                input_until,
            },
        ),
        ("BlobStored", Change::BlobStored { digest: blob, bytes: ByteCount::new(100) }),
        ("InputReady", Change::InputReady { job }),
        ("JobPlanned", Change::JobPlanned { job, plan: plan(2) }),
        ("JobEnded", Change::JobEnded { job, end: JobEnd::ExpiredOnChain(event(2)) }),
        (
            "LeaseGranted",
            Change::LeaseGranted {
                task,
                attempt,
                token,
                prover: holder,
                expires_at: UnixMillis::new(9),
                decision,
            },
        ),
        ("LeaseEnded", Change::LeaseEnded { task, attempt, end: LeaseEnd::WorkerLost }),
        ("ProofDelivered", Change::ProofDelivered { task, attempt, prover: holder, report }),
        ("CandidateDropped", Change::CandidateDropped { task, attempt, end }),
        ("TaskAccepted", Change::TaskAccepted { task, attempt, record }),
        ("TaskFailed", Change::TaskFailed { task, reason }),
        ("StatementOpened", Change::StatementOpened { digest, opened }),
        ("VotingOpened", Change::VotingOpened { statement: digest, epoch }),
        (
            "VoteRecorded",
            Change::VoteRecorded {
                vote,
                detail: Some(InvalidDetail { segment: 1, reason: "bad".into() }),
            },
        ),
        (
            "Abstained",
            Change::Abstained {
                operator: operator(0),
                epoch,
                statement: digest,
                reason: "time-out".into(),
            },
        ),
        (
            "QuorumReached",
            Change::QuorumReached { statement: digest, epoch, verdict: Verdict::Valid },
        ),
        (
            "SegmentRejected",
            Change::SegmentRejected {
                job,
                index: 0,
                prover: holder,
                next: StatementAttempt::new(2),
                reason: "bad".into(),
            },
        ),
        ("JobHeld", Change::JobHeld { job, reason: HoldReason::NoEpoch }),
        ("JobResumed", Change::JobResumed { job, reason: "a verifier came back".into() }),
        ("EpochRecorded", Change::EpochRecorded { keys: epoch_keys(1) }),
        (
            "BatchOpened",
            Change::BatchOpened {
                root,
                target: target(),
                epoch,
                statements: vec![digest],
                round: 1,
            },
        ),
        ("AttestationRecorded", Change::AttestationRecorded { attestation }),
        (
            "AttestationRefused",
            Change::AttestationRefused {
                operator: operator(1),
                root: BatchRoot::from_bytes([1; 32]),
                positions: vec![0, 2],
            },
        ),
        ("BatchClosed", Change::BatchClosed { root, close: BatchClose::EpochOver }),
        ("BatchCertified", Change::BatchCertified { root, id, certificate }),
        (
            "CertificateDropped",
            Change::CertificateDropped {
                id: CertificateId::from_bytes([2; 32]),
                reason: "its epoch is over".into(),
            },
        ),
        (
            "SubmissionMoved",
            Change::SubmissionMoved {
                chain: CHAIN,
                subject: SubmissionSubject::Settle(job),
                update: SubmissionUpdate::Final(inclusion(1)),
            },
        ),
        ("ProverDrained", Change::ProverDrained { prover: holder, drain: Drain::Start }),
        ("BlobsReleased", Change::BlobsReleased { job }),
        ("BlobForgotten", Change::BlobForgotten { digest: blob }),
        (
            "MembersExcluded",
            Change::MembersExcluded {
                epoch,
                members: [0, 70, 199].map(MemberIndex::new).into_iter().collect(),
            },
        ),
        ("JobForgotten", Change::JobForgotten { job }),
        ("EvidenceForgotten", Change::EvidenceForgotten { job }),
        ("EpochForgotten", Change::EpochForgotten { epoch }),
        ("WorkerForgotten", Change::WorkerForgotten { prover: holder }),
        ("CommitmentRecorded", Change::CommitmentRecorded { sealed }),
        ("CommitsClosed", Change::CommitsClosed { statement: digest, epoch }),
        ("LateVoteRecorded", Change::LateVoteRecorded { vote }),
        ("RevealsClosed", Change::RevealsClosed { statement: digest, epoch }),
        ("CommitsReopened", Change::CommitsReopened { statement: digest, epoch }),
        ("RaceRoundOpened", Change::RaceRoundOpened { job, round }),
        ("RaceRevealed", Change::RaceRevealed { job, round: 2, prover: holder, statement: digest }),
        ("RaceEntered", Change::RaceEntered { job, round: 2, prover: holder, opened: entry }),
        ("RaceEntryOpened", Change::RaceEntryOpened { job, round: 2, prover: holder }),
        (
            "RaceEntryClosed",
            Change::RaceEntryClosed {
                job,
                round: 2,
                prover: holder,
                reason: EntryClose::RoundOver,
            },
        ),
        ("RaceRoundClosed", Change::RaceRoundClosed { job, round: 2, winners: 3 }),
        ("RaceSettled", Change::RaceSettled { job, statement: digest, event: event(4) }),
    ]
}

fn facts() -> Vec<(&'static str, Fact)> {
    let changes = every_change().into_iter();
    changes.map(|(name, change)| (name, Fact { at: START, change })).collect()
}

#[test]
fn every_fact_has_its_golden_bytes() {
    let mut got = String::new();
    for (index, (name, fact)) in facts().into_iter().enumerate() {
        let bytes = fact.encode();
        assert_eq!(Fact::decode(&bytes), Ok(fact), "{name}");
        // Version, time, then the tag: variants are appended, never reordered.
        assert_eq!((bytes[0], usize::from(bytes[9])), (FACT_VERSION, index), "{name}");
        let digest = hex::encode(keccak256(&bytes));
        got.push_str(&format!("{name} {} {digest}\n", bytes.len()));
    }
    // A new variant adds a line; any other difference is a new version of the journal.
    if std::env::var_os("PROOFGRID_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/tests/facts_v1.txt");
        std::fs::write(path, &got).unwrap();
    }
    assert_eq!(include_str!("facts_v1.txt"), got, "the journal's format changed");
}

#[test]
fn damaged_entries_are_refused_and_never_a_panic() {
    assert_eq!(Fact::decode(&[]), Err(FactDecodeError::Empty));
    let mut tags = BTreeSet::new();
    for (name, fact) in facts() {
        let good = fact.encode();
        tags.insert(good[9]);
        let mut other = good.clone();
        other[0] = 2;
        assert_eq!(Fact::decode(&other), Err(FactDecodeError::Version { got: 2, expected: 1 }));
        let mut longer = good.clone();
        longer.push(0);
        assert!(matches!(Fact::decode(&longer), Err(FactDecodeError::Malformed { .. })), "{name}");
        let shorter = &good[..good.len() - 1];
        assert!(matches!(Fact::decode(shorter), Err(FactDecodeError::Malformed { .. })), "{name}");
    }
    let unknown = u8::try_from(tags.len()).unwrap();
    let mut other =
        Fact { at: START, change: Change::InputReady { job: spec(1, 1).id() } }.encode();
    other[9] = unknown;
    assert!(matches!(Fact::decode(&other), Err(FactDecodeError::Malformed { .. })));
}

#[test]
fn replay_names_the_entry_that_does_not_fit() {
    let world = {
        let mut world = World::staffed();
        world.planned(spec(1, 1), 1);
        world
    };
    let mut journal: Vec<Fact> =
        world.journal.iter().map(|bytes| Fact::decode(bytes).unwrap()).collect();
    let position = u64::try_from(journal.len()).unwrap();
    let task = TaskId::ZERO;
    journal.push(Fact {
        at: START,
        change: Change::LeaseEnded { task, attempt: Attempt::new(1), end: LeaseEnd::WorkerLost },
    });
    let error = Network::replay(world.network.config().clone(), journal).unwrap_err();
    assert_eq!(error, ReplayError { position, source: EvolveError::UnknownTask(task) });
}

#[test]
fn a_fact_with_a_smaller_token_or_without_its_votes_is_refused() {
    let mut world = World::staffed();
    world.connect(0, 2);
    let job = world.planned(spec(1, 1), 1);
    let statement = world.prove_all(&job);
    let state = world.network.state();
    let (epoch, verdict) = (EpochNumber::new(1), Verdict::Valid);
    let changes = [
        Change::QuorumReached { statement, epoch, verdict },
        Change::QuorumReached { statement: StatementDigest::ZERO, epoch, verdict },
        Change::LeaseGranted {
            task: world.task(&job, 0).id,
            attempt: Attempt::new(2),
            token: LeaseToken::new(1),
            prover: prover(0),
            expires_at: START,
            decision: world.task(&job, 0).tries[0].decision.clone(),
        },
    ];
    for change in changes {
        assert!(state.clone().evolve(&Fact { at: START, change }).is_err());
    }
}
