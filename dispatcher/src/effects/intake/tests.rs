use proofgrid_core::ids::{ManifestDigest, Role};
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_proto::convert::SessionToken;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::session::directory::{Entrant, Membership, Outbound};
use crate::testing::{address, effect_parts, give, provable, wallet};

type Orders = mpsc::Receiver<Result<ProverOrder, tonic::Status>>;

/// A connected prover's place and what it is sent.
fn connected(parts: &EffectParts, prover: Address) -> (Membership, Orders) {
    let (sender, orders) = mpsc::channel(4);
    let entrant = Entrant {
        role: Role::Prover,
        address: prover,
        version: String::new(),
        remote: String::new(),
        outbound: Outbound::Prover(sender),
        close: CancellationToken::new(),
        token: SessionToken::from_bytes([1; 32]),
    };
    (parts.directory.enter(entrant), orders)
}

/// A proof in the store that passes the look at its digests, and the work to look at it.
async fn delivered(parts: &EffectParts, prover: Address) -> IntakeJob {
    let (_, spec) = provable(&wallet(1), 1);
    let program = parts.programs.get(&spec.program).unwrap();
    let vk = program.vk_digest();
    let envelope = Envelope { program: spec.program, vk, public_values: &[7; 16], proof: b"proof" };
    let bytes = envelope.encode().unwrap();
    let proof = crate::testing::digest(&bytes);
    let report = ProofReport { proof, bytes: ByteCount::new(bytes.len() as u64), prove_ms: 1 };
    parts.blobs.put_bytes(prover, proof, bytes.into()).await.unwrap();
    let segment = PlannedSegment {
        first: 0,
        count: 1024,
        work_units: WorkUnits::new(1024),
        memory_bytes: ByteCount::new(1),
    };
    let manifest = ManifestDigest::from_bytes([1; 32]);
    IntakeJob {
        task: TaskId::from_bytes([2; 32]),
        attempt: Attempt::new(1),
        token: Some(LeaseToken::new(9)),
        prover,
        report,
        job: spec.id(),
        spec,
        plan: JobPlan { segments: vec![segment], manifest, vk },
        index: 0,
        verify: IntakeDepth::DigestsOnly,
    }
}

fn completion(orders: &mut Orders) -> Option<CompletionReply> {
    match orders.try_recv().ok()? {
        Ok(ProverOrder::Completion { lease, reply }) => {
            assert_eq!((lease.attempt, lease.token), (Attempt::new(1), LeaseToken::new(9)));
            Some(reply)
        }
        other => panic!("expected a completion, got {other:?}"),
    }
}

#[tokio::test]
async fn a_prover_hears_nothing_of_its_proof_before_the_actor_has_decided_durably() {
    let (parts, mut inbox, _directory) = effect_parts();
    let prover = address(5);
    let (_place, mut orders) = connected(&parts, prover);
    let work = delivered(&parts, prover).await;
    run(&parts, work).await;
    assert_eq!(completion(&mut orders), None, "the actor has not even seen it");
    let (input, reply) = inbox.next_input().await;
    let Input::IntakeJudged { outcome: IntakeOutcome::Accepted(record), .. } = input else {
        panic!("intake accepts it, got {input:?}");
    };
    assert_eq!(record.prover, prover);
    // The actor answers after its flush.
    give(reply, Ok(Answer::ProofAccepted));
    assert_eq!(completion(&mut orders), Some(CompletionReply::Accepted));
}

#[tokio::test]
async fn a_prover_is_told_what_was_decided_and_not_what_intake_thought() {
    let code = || "record_mismatch".to_owned();
    let rows = [
        (Ok(Answer::Late), Some(CompletionReply::AlreadyDone)),
        (
            Ok(Answer::ProofRefused { code: code(), text: "why".to_owned() }),
            Some(CompletionReply::Refused("record_mismatch: why".to_owned())),
        ),
        (
            Ok(Answer::ProofUnjudged { reason: "killed".to_owned() }),
            Some(CompletionReply::Unjudged("killed".to_owned())),
        ),
        (Err(CoreRefusal::UnknownTask(TaskId::ZERO)), None),
    ];
    for (answer, told) in rows {
        let (parts, mut inbox, _directory) = effect_parts();
        let prover = address(5);
        let (_place, mut orders) = connected(&parts, prover);
        let work = delivered(&parts, prover).await;
        run(&parts, work).await;
        let (_, reply) = inbox.next_input().await;
        give(reply, answer);
        assert_eq!(completion(&mut orders), told);
    }
}
