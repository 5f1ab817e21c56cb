//! Votes, holds, repairs, batches, epochs.

use crate::ids::{Address, EpochNumber, Nonce, StatementAttempt, StatementDigest};
use crate::job::JobSpec;
use crate::network::*;
use crate::statement::Verdict;

use super::world::*;

use JobStateKind as S;

fn proved(world: &mut World, requester: u8, segments: u64) -> (crate::ids::JobId, StatementDigest) {
    let job = world.planned(spec(requester, 1), segments);
    let statement = world.prove_all(&job);
    (job, statement)
}

fn staffed() -> World {
    let mut world = World::staffed();
    world.connect(0, 8);
    world
}

#[test]
fn two_thirds_of_the_stake_decide_and_not_of_the_heads() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    for index in 1..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    assert!(world.network.state().pending.is_empty(), "60 of 100 is no quorum");
    world.vote(0, statement, Verdict::Valid);
    assert!(world.network.state().pending.contains(&statement));
    assert_eq!(world.state(&job), S::Verifying);
}

#[test]
fn a_third_offline_settles_and_just_over_a_third_is_held_then_refunded() {
    for (offline, certified) in [(1, true), (0, false)] {
        let mut world = staffed();
        let job = world.planned(contract_spec(1, 1), 1);
        let statement = world.prove_all(&job);
        let online: Vec<usize> = (0..4).filter(|index| *index != offline).collect();
        for index in &online {
            world.commit(*index, statement, Verdict::Valid);
        }
        if certified {
            world.pass(300);
            for index in &online {
                world.reveal(*index, statement, Verdict::Valid).unwrap();
            }
            world.pass(250);
            world.attest(&online);
            world.pass(250);
            assert_eq!(world.state(&job), S::Certified);
            continue;
        }
        world.pass(120_000);
        let JobState::Held { reason, .. } = &world.network.state().jobs[&job].state else {
            panic!("the job is not held");
        };
        assert!(matches!(reason, HoldReason::QuorumUnreachable(_)), "{reason}");
        world.pass(8 * 3_600_000);
        assert_eq!(world.state(&job), S::Held, "only its chain expires a contract job");
        world.ok(Input::JobExpired { job, provenance: event(5) });
        assert_eq!(world.state(&job), S::Expired);
    }
}

#[test]
fn a_verifier_that_comes_back_gets_what_is_open_and_its_vote_ends_a_hold() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    for index in 1..4 {
        world.commit(index, statement, Verdict::Valid);
    }
    world.pass(120_000);
    assert_eq!(world.state(&job), S::Held);
    world.verifier(0);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::OpenVoting { verifiers, digest, .. }
            if verifiers.len() == 1 && *digest == statement)));
    world.verifier(1);
    assert!(!world.effects.iter().any(|e| matches!(e, Effect::OpenVoting { .. })));
    for index in 0..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    assert_eq!(world.state(&job), S::Verifying);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    assert_eq!(world.state(&job), S::Certified);
}

fn withdrawn(world: &World) -> Vec<(StatementDigest, Vec<Address>)> {
    let of = |effect: &Effect| match effect {
        Effect::WithdrawStatement { verifiers, statement, .. } => {
            Some((*statement, verifiers.iter().map(|peer| peer.address).collect()))
        }
        _ => None,
    };
    world.effects.iter().filter_map(of).collect()
}

#[test]
fn a_statement_whose_job_ends_is_withdrawn_from_those_who_still_judge_it() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    world.commit(2, statement, Verdict::Valid);
    world.ok(Input::CancelJob { job, requester: address(1) });
    let silent = vec![operator(0), operator(1), operator(3)];
    assert_eq!(withdrawn(&world), [(statement, silent)]);
    // A second cancel ends nothing, and a job without a statement has none to withdraw.
    world.ok(Input::CancelJob { job, requester: address(1) });
    assert_eq!(withdrawn(&world), []);
    let unproved = world.planned(spec(2, 1), 1);
    world.ok(Input::CancelJob { job: unproved, requester: address(2) });
    assert_eq!(withdrawn(&world), []);
}

#[test]
fn a_refused_statement_is_withdrawn_and_a_quorum_for_valid_leaves_the_others_their_vote() {
    let mut world = staffed();
    let (_, statement) = proved(&mut world, 1, 1);
    for index in 0..2 {
        world.commit(index, statement, Verdict::Invalid);
    }
    world.pass(300);
    world.vote(0, statement, Verdict::Invalid);
    assert_eq!(withdrawn(&world), []);
    world.vote(1, statement, Verdict::Invalid);
    assert_eq!(withdrawn(&world), [(statement, vec![operator(2), operator(3)])]);

    let (_, statement) = proved(&mut world, 2, 1);
    world.vote(0, statement, Verdict::Valid);
    world.vote(1, statement, Verdict::Valid);
    assert_eq!(withdrawn(&world), [], "who votes may still attest");
}

#[test]
fn abstentions_that_make_two_thirds_unreachable_hold_the_job_as_unjudgeable() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    let abstain = |index| Input::Abstained {
        operator: operator(index),
        epoch: EpochNumber::new(1),
        statement,
        reason: "time-out".into(),
    };
    world.ok(abstain(1));
    assert_eq!(world.state(&job), S::Verifying);
    world.ok(abstain(3));
    let JobState::Held { reason, .. } = &world.network.state().jobs[&job].state else {
        panic!("the job is not held");
    };
    assert!(matches!(reason, HoldReason::Unjudgeable(_)));
    // An abstention is no vote: whoever can judge after all may still vote.
    for index in 0..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    assert_eq!(world.state(&job), S::Verifying);
}

#[test]
fn an_invalid_quorum_proves_only_the_named_segment_again_elsewhere() {
    let mut world = staffed();
    world.connect(1, 8);
    let (job, first) = proved(&mut world, 1, 3);
    let blamed = match &world.task(&job, 0).state {
        TaskState::Accepted { record, .. } => record.prover,
        other => panic!("{other:?}"),
    };
    for index in 0..2 {
        world.vote(index, first, Verdict::Invalid);
    }
    assert_eq!(world.state(&job), S::Proving);
    let state = world.network.state();
    assert_eq!(state.workers[&blamed].refused_by_quorum, 1);
    assert_eq!(state.jobs[&job].statement_attempt, StatementAttempt::new(2));
    assert_eq!(world.task(&job, 1).state.kind(), TaskStateKind::Accepted);
    assert_ne!(world.lease(&job, 0).0, blamed);
    world.prove(&job, 0);
    let second = world.statement(&job);
    assert_ne!(first, second);
    world.certify(&job);
}

#[test]
fn a_job_whose_statements_are_all_refused_fails() {
    let mut world = staffed();
    world.connect(1, 8);
    let (job, _) = proved(&mut world, 1, 1);
    for _ in 0..3 {
        if world.state(&job) == S::Proving {
            world.prove(&job, 0);
        }
        let statement = world.statement(&job);
        for index in 0..2 {
            world.vote(index, statement, Verdict::Invalid);
        }
    }
    let JobState::Failed { reason } = &world.network.state().jobs[&job].state else {
        panic!("the job goes on");
    };
    assert!(matches!(reason, FailReason::StatementsRefused { attempts: 3, .. }));
}

#[test]
fn a_second_different_vote_is_evidence_and_never_counted() {
    let mut world = staffed();
    let (_, statement) = proved(&mut world, 1, 1);
    world.vote(0, statement, Verdict::Valid);
    world.vote(0, statement, Verdict::Invalid);
    let facts = world.journal.len();
    world.vote(0, statement, Verdict::Invalid);
    world.vote(0, statement, Verdict::Valid);
    assert_eq!(world.journal.len(), facts, "repeated votes are not stored again");
    let round = &world.network.state().statements[&statement].rounds[&EpochNumber::new(1)];
    assert_eq!(round.tally.signed(Verdict::Valid).get(), 40);
    assert_eq!(round.tally.signed(Verdict::Invalid).get(), 0);
    assert_eq!(round.tally.evidence().count(), 1);
}

#[test]
fn a_vote_that_is_opened_after_the_decision_joins_the_voters() {
    let mut world = staffed();
    let (_, statement) = proved(&mut world, 1, 1);
    world.vote(0, statement, Verdict::Valid);
    world.vote(1, statement, Verdict::Valid);
    assert_eq!(world.vote(2, statement, Verdict::Valid), Answer::Done);
    world.pass(250);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::RequestAttestation { verifiers, .. } if verifiers.len() == 3)));
}

#[test]
fn an_invalid_vote_names_a_segment_of_the_statement() {
    let mut world = staffed();
    let (_, statement) = proved(&mut world, 1, 1);
    world.commit_rest(statement, Verdict::Invalid);
    let vote = world.signed_vote(0, statement, 1, Verdict::Invalid);
    let far = Some(InvalidDetail { segment: 1, reason: String::new() });
    for detail in [None, far] {
        let refused = world.apply(Input::VoteReceived { vote, detail, salt: salt(0) });
        assert_eq!(refused, Err(Refusal::BadDetail { num_segments: 1 }));
    }
}

#[test]
fn two_disjoint_minorities_dissent_on_two_statements_and_both_certify() {
    let mut world = staffed();
    let (first, one) = proved(&mut world, 1, 1);
    let (second, two) = proved(&mut world, 2, 1);
    // 30 of 100 dissent on the first, another 30 on the second; common voters hold only 40.
    for (statement, dissenters) in [(one, vec![1]), (two, vec![2, 3])] {
        for index in 0..4 {
            let dissents = dissenters.contains(&index);
            let verdict = if dissents { Verdict::Invalid } else { Verdict::Valid };
            world.vote(index, statement, verdict);
        }
    }
    world.pass(250);
    assert_eq!(world.network.state().open_batches.len(), 2);
    for root in world.network.state().open_batches.clone() {
        let book = &world.network.state().batches[&root];
        let named = *book.tally.attestation();
        let able: Vec<usize> = (0..4)
            .filter(|index| {
                let keys = &world.network.state().epochs[&EpochNumber::new(1)];
                let member = keys.table().index_of(operator(*index)).unwrap();
                book.common.contains(member)
            })
            .collect();
        for index in able {
            let attestation = world.attestation(index, named);
            world.ok(Input::AttestationReceived { attestation });
        }
    }
    assert_eq!((world.state(&first), world.state(&second)), (S::Certified, S::Certified));
    world.network.check_signatures().unwrap();
}

#[test]
fn a_batch_that_stays_short_is_split_down_to_single_statements_and_then_held() {
    let mut world = staffed();
    let mut jobs = Vec::new();
    for requester in 1..=4 {
        let (job, statement) = proved(&mut world, requester, 1);
        for index in 0..4 {
            world.vote(index, statement, Verdict::Valid);
        }
        jobs.push(job);
    }
    world.pass(250);
    assert_eq!(world.network.state().open_batches.len(), 1);
    world.pass(5_000);
    assert_eq!(world.network.state().open_batches.len(), 2);
    world.pass(5_000);
    assert_eq!(world.network.state().open_batches.len(), 4);
    world.pass(60_000);
    for job in &jobs {
        assert!(matches!(
            &world.network.state().jobs[job].state,
            JobState::Held { reason: HoldReason::AttestationShort(_), .. }
        ));
    }
    // One more verifier at the door is reason enough to ask again.
    world.verifier(0);
    world.pass(250);
    world.attest(&[0, 1, 2, 3]);
    assert!(jobs.iter().all(|job| world.state(job) == S::Certified));
}

#[test]
fn a_contested_leaf_never_sinks_the_others() {
    let mut world = staffed();
    let (_, one) = proved(&mut world, 1, 1);
    let (_, two) = proved(&mut world, 2, 1);
    for statement in [one, two] {
        for index in 0..4 {
            world.vote(index, statement, Verdict::Valid);
        }
    }
    world.pass(250);
    let root = *world.network.state().open_batches.first().unwrap();
    let bad = Input::AttestationRefused { operator: operator(0), batch: root, positions: vec![2] };
    assert_eq!(world.apply(bad), Err(Refusal::BadPositions { leaves: 2 }));
    let refuse = |operator| Input::AttestationRefused { operator, batch: root, positions: vec![0] };
    world.ok(refuse(operator(0)));
    assert_eq!(world.network.state().open_batches.len(), 2, "without 40 of 100: split at once");
    world.attest(&[0, 1, 2, 3]);
    assert!(world.network.state().open_batches.is_empty());
}

#[test]
fn a_certificate_waits_a_little_for_the_rest_and_names_who_stayed_away() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    for index in 0..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    world.pass(250);
    world.attest(&[0, 1]);
    assert_eq!(world.state(&job), S::Verifying);
    world.pass(250);
    assert_eq!(world.state(&job), S::Certified);
    let certificate = world.network.state().certificates.values().next().unwrap();
    assert_eq!(certificate.certificate.non_signers.len(), 2);
    world.network.check_signatures().unwrap();
}

#[test]
fn without_an_epoch_a_job_waits_and_starts_with_the_first() {
    let mut world = World::new();
    world.connect(0, 1);
    let (job, statement) = proved(&mut world, 1, 1);
    world.pass(120_000);
    assert!(matches!(
        &world.network.state().jobs[&job].state,
        JobState::Held { reason: HoldReason::NoEpoch, .. }
    ));
    world.epoch(1);
    assert_eq!(world.state(&job), S::Verifying);
    world.verifier(0);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::OpenVoting { digest, .. } if *digest == statement)));
}

#[test]
fn votes_of_two_epochs_are_never_added() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    world.vote(0, statement, Verdict::Valid);
    world.epoch(2);
    world.pass(60_000);
    // Voting starts over under the new epoch; 40 of the old and 30 of the new are no quorum.
    world.vote(1, statement, Verdict::Valid);
    assert!(world.network.state().pending.is_empty());
    let late = world.signed_vote(1, statement, 1, Verdict::Valid);
    let answer = world.ok(Input::VoteReceived { vote: late, detail: None, salt: salt(1) });
    assert_eq!(answer, Answer::Late, "kept as evidence, not counted");
    assert!(world.network.state().pending.is_empty());
    world.vote(0, statement, Verdict::Valid);
    assert!(world.network.state().pending.contains(&statement));
    assert_eq!(world.state(&job), S::Verifying);
}

#[test]
fn a_certificate_whose_epoch_is_over_is_voted_on_again() {
    let mut world = staffed();
    let (job, statement) = proved(&mut world, 1, 1);
    let id = world.certify(&job);
    let subject = SubmissionSubject::Certificate(id);
    let over = || SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted);
    // While there is no newer epoch, trying again later is all that can be done.
    world.submission(subject, over());
    assert_eq!(world.state(&job), S::Certified);
    world.epoch(2);
    world.submission(subject, over());
    assert_eq!(world.state(&job), S::Verifying);
    assert!(world.network.state().voting.contains(&statement));
    let again = world.certify(&job);
    assert_ne!(id, again);
}

#[test]
fn a_login_outside_every_live_epoch_and_a_second_table_are_refused() {
    let mut world = staffed();
    let session = world.session();
    let stranger = Input::VerifierConnected { operator: address(0x77), session };
    assert_eq!(world.apply(stranger), Err(Refusal::NotInEpoch(address(0x77))));
    assert_eq!(world.apply(Input::EpochFinal { keys: epoch_keys(1) }), Ok(Answer::Done));
}

#[test]
fn a_submission_of_another_chain_is_refused() {
    let mut world = staffed();
    let (job, _) = proved(&mut world, 1, 1);
    let subject = SubmissionSubject::Certificate(world.certify(&job));
    let chain = crate::ids::ChainId::new(1);
    let update = SubmissionUpdate::Reorged;
    let refused = world.apply(Input::SubmissionUpdate { chain, subject, update });
    assert_eq!(refused, Err(Refusal::WrongChain { expected: CHAIN, got: chain }));
}

#[test]
fn a_restart_in_the_middle_of_voting_and_attesting_goes_on() {
    let mut world = staffed();
    let job = world.planned(JobSpec { nonce: Nonce::new(4), ..spec(1, 4) }, 2);
    let statement = world.prove_all(&job);
    world.vote(0, statement, Verdict::Valid);
    world.restart();
    for index in 0..4 {
        world.verifier(index);
    }
    for index in 1..4 {
        world.vote(index, statement, Verdict::Valid);
    }
    world.restart();
    world.pass(250);
    for index in 0..4 {
        world.verifier(index);
    }
    world.attest(&[0, 1]);
    world.restart();
    world.pass(5_000);
    assert_eq!(world.state(&job), S::Certified);
    world.oracle();
    assert!(world.effects.iter().any(|e| matches!(e, Effect::SubmitCertificate { .. })));
}
