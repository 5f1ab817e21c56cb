use std::sync::atomic::Ordering;

use proofgrid_core::batch::BatchLeaf;
use proofgrid_core::crypto::bls::BlsMessage;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{Address, ChainId, Commitment, StatementDigest, VkDigest};
use proofgrid_core::units::WorkUnits;
use proofgrid_core::vote::Vote;
use proofgrid_proto::convert::AbstainReason;

use super::*;
use crate::fetch::BlobKind;
use crate::testing::{
    BAD, EPOCH, GOOD, Job, NETWORK, OPERATOR, SLOW, TARGET, TestView, desk, entry, invalid, key,
    own_table, server, signed, signed_set, table, vote,
};

/// What an answer comes down to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Valid,
    Invalid { segment: u32 },
    Abstained(AbstainReason),
}

/// Checks the signature of a vote as the dispatcher would.
fn answer(message: &VerifierMessage) -> Answer {
    match message {
        VerifierMessage::Reveal { vote, signature, detail, .. } => {
            let message = BlsMessage::Vote { network: NETWORK, vote: *vote };
            key().public_g2().verify(&message, signature).expect("a good signature");
            match (vote.verdict, detail) {
                (Verdict::Valid, None) => Answer::Valid,
                (Verdict::Invalid, Some(detail)) => Answer::Invalid { segment: detail.segment },
                other => panic!("{other:?}"),
            }
        }
        VerifierMessage::Abstain { reason, .. } => Answer::Abstained(*reason),
        other => panic!("{other:?}"),
    }
}

/// One statement on a fresh desk; also how many verdicts were logged.
async fn ask(job: &Job, offer: &StatementOffer, view: TestView) -> (Answer, usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(directory.path(), view);
    let message = vote(&desk, offer, &job.source).await;
    (answer(&message), desk.signer.num_logged())
}

#[tokio::test]
async fn a_good_statement_is_voted_valid_and_judged_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, judge) = desk(directory.path(), TestView::default());
    let job = Job::of(&[&[GOOD, 10], &[GOOD, 20], &[GOOD, 30]]);
    let offer = job.offer();
    let early = SegmentOffer {
        job: job.id(),
        spec: job.spec.clone(),
        record: job.records[1].clone(),
        num_segments: 3,
    };
    desk.segment(&early, &job.source).await;
    assert_eq!((judge.calls.load(Ordering::SeqCst), desk.signer.num_logged()), (1, 0));
    let first = vote(&desk, &offer, &job.source).await;
    assert_eq!(answer(&first), Answer::Valid);
    let VerifierMessage::Reveal { vote: cast, .. } = &first else { panic!("no vote") };
    let (table, verdict) = (own_table().digest(), Verdict::Valid);
    assert_eq!(*cast, Vote { epoch: EPOCH, table, statement: offer.digest, verdict });
    // Offered again, it is answered from the log: even without the proofs.
    job.source.withhold(job.records[0].proof);
    let again = vote(&desk, &offer, &job.source).await;
    assert_eq!(again, first);
    assert_eq!(judge.calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_invalid_vote_names_the_first_bad_segment() {
    let job = Job::of(&[&[GOOD, 1], &[BAD, 2], &[BAD, 3]]);
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Invalid { segment: 1 }, 1));
}

#[tokio::test]
async fn missing_doubled_swapped_and_overlapping_segments_are_invalid() {
    type Change = fn(&mut Job);
    let cases: [(&str, u32, Change); 6] = [
        ("the first is missing", 0, |job| {
            job.records.remove(0);
        }),
        ("one in the middle is missing", 1, |job| {
            job.records.remove(1);
            job.records[1].index = 1;
        }),
        ("one stands twice", 2, |job| {
            let mut twice = job.records[1].clone();
            twice.index = 2;
            job.records.insert(2, twice);
            job.records[3].index = 3;
        }),
        ("two are swapped", 0, |job| job.records.swap(0, 1)),
        ("two overlap", 1, |job| job.records[1].first = 1),
        ("one is empty", 1, |job| job.records[1].count = 0),
    ];
    for (name, segment, change) in cases {
        let mut job = Job::of(&[&[GOOD, 1], &[GOOD, 2], &[GOOD, 3]]);
        change(&mut job);
        let outcome = ask(&job, &job.offer(), TestView::default()).await;
        assert_eq!(outcome, (Answer::Invalid { segment }, 1), "{name}");
    }
}

#[tokio::test]
async fn records_that_lie_about_their_proof_are_invalid() {
    type Change = fn(&mut Job);
    let cases: [(&str, Change); 4] = [
        ("public values", |job| {
            job.records[1].public_values = proofgrid_proofs::digest::public_values_digest(b"x");
        }),
        ("work", |job| job.records[1].work_units = WorkUnits::new(3)),
        ("key", |job| job.records[1].vk = VkDigest::from_bytes([8; 32])),
        ("length", |job| {
            let long = [&[GOOD][..], &[0; 1000]].concat();
            job.records[1].proof = job.source.put(&long);
        }),
    ];
    for (name, change) in cases {
        let mut job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
        change(&mut job);
        let outcome = ask(&job, &job.offer(), TestView::default()).await;
        assert_eq!(outcome, (Answer::Invalid { segment: 1 }, 1), "{name}");
    }
}

#[tokio::test]
async fn a_valid_proof_of_something_else_fails_the_claim_and_the_input_tells_which() {
    let mut job = Job::of(&[&[GOOD, 1], &[GOOD, 2], &[GOOD, 3]]);
    let other = Job::of(&[&[GOOD, 1], &[GOOD, 9]]);
    job.records[1].proof = job.source.put(&[GOOD, 9]);
    job.records[1].public_values = other.records[1].public_values;
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Invalid { segment: 1 }, 1));
    let asked = job.source.asked.lock().expect("free").clone();
    for (digest, kind) in asked {
        let is_input = digest == job.spec.input;
        assert_eq!(kind, if is_input { BlobKind::Input } else { BlobKind::Proof });
    }
    // Without the input the verdict is the same; only the blame is less exact.
    job.source.withhold(job.spec.input);
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Invalid { segment: 0 }, 1));
}

#[tokio::test]
async fn a_statement_that_contradicts_its_job_is_invalid() {
    let job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
    let mut claim = job.offer().opened.statement;
    claim.claim = proofgrid_core::job::claim_of("TEST", b"other");
    let mut count = job.offer().opened.statement;
    count.num_segments = 3;
    for statement in [claim, count] {
        let outcome = ask(&job, &job.offer_of(statement), TestView::default()).await;
        assert_eq!(outcome, (Answer::Invalid { segment: 0 }, 1));
    }
    let mut job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
    job.spec.limits.max_segments = 1;
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Invalid { segment: 1 }, 1));
}

#[tokio::test]
async fn what_could_not_be_judged_is_abstained_from_and_takes_no_slot() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, judge) = desk(directory.path(), TestView::default());
    let job = Job::of(&[&[GOOD, 1], &[SLOW, 2]]);
    for calls in [2, 3] {
        let message = vote(&desk, &job.offer(), &job.source).await;
        assert_eq!(answer(&message), Answer::Abstained(AbstainReason::Timeout));
        assert_eq!(desk.signer.num_logged(), 0);
        // Only the segment without an outcome is judged again.
        assert_eq!(judge.calls.load(Ordering::SeqCst), calls);
    }
    let job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
    job.source.withhold(job.records[1].proof);
    let message = vote(&desk, &job.offer(), &job.source).await;
    assert_eq!(answer(&message), Answer::Abstained(AbstainReason::MissingBlob));
    // Once the blob is there, the vote follows.
    job.source.put(&[GOOD, 2]);
    let message = vote(&desk, &job.offer(), &job.source).await;
    assert_eq!(answer(&message), Answer::Valid);
    assert_eq!(desk.signer.num_logged(), 1);
}

#[tokio::test]
async fn a_refused_segment_decides_even_beside_an_unjudged_one() {
    let job = Job::of(&[&[SLOW, 1], &[BAD, 2]]);
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Invalid { segment: 1 }, 1));
}

#[tokio::test]
async fn records_that_are_not_the_statements_say_nothing_about_it() {
    let job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
    let mut offer = job.offer();
    offer.opened.records[1].work_units = WorkUnits::new(77);
    let outcome = ask(&job, &offer, TestView::default()).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::MissingBlob), 0));
    offer.opened.records.clear();
    let outcome = ask(&job, &offer, TestView::default()).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::MissingBlob), 0));
}

#[tokio::test]
async fn nothing_is_signed_under_an_epoch_that_the_chain_does_not_confirm() {
    let job = Job::of(&[&[GOOD, 1]]);
    let view = |tables| TestView { tables, ..TestView::default() };
    let stranger = Address::from_bytes([0x0b; 20]);
    let other_key = proofgrid_core::crypto::bls::SecretKey::from_seed(&[1; 32]).expect("a seed");
    let cases = [
        ("unknown epoch", view(vec![]), own_table().digest()),
        ("other table", TestView::default(), table(EPOCH, OPERATOR, &other_key).digest()),
        (
            "not a member",
            view(vec![table(EPOCH, stranger, &key())]),
            table(EPOCH, stranger, &key()).digest(),
        ),
        (
            "another key",
            view(vec![table(EPOCH, OPERATOR, &other_key)]),
            table(EPOCH, OPERATOR, &other_key).digest(),
        ),
    ];
    for (name, view, digest) in cases {
        let offer = StatementOffer { table: digest, ..job.offer() };
        let (answer, _) = ask(&job, &offer, view).await;
        assert_eq!(answer, Answer::Abstained(AbstainReason::ChainView), "{name}");
    }
}

#[tokio::test]
async fn the_same_verdict_is_signed_again_under_a_later_epoch_without_judging() {
    let directory = tempfile::tempdir().expect("a directory");
    let next = table(EpochNumber::new(5), OPERATOR, &key());
    let view = TestView { tables: vec![own_table(), next.clone()], ..TestView::default() };
    let job = Job::of(&[&[BAD, 1]]);
    let offer = job.offer();
    {
        let (desk, _) = desk(directory.path(), view.clone());
        vote(&desk, &offer, &job.source).await;
    }
    let (desk, judge) = desk(directory.path(), view);
    job.source.withhold(job.records[0].proof);
    let later = StatementOffer { epoch: next.epoch(), table: next.digest(), ..offer };
    let message = vote(&desk, &later, &job.source).await;
    assert_eq!(answer(&message), Answer::Invalid { segment: 0 });
    assert!(matches!(message, VerifierMessage::Reveal { vote, .. } if vote.epoch == next.epoch()));
    assert_eq!(judge.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_manifest_that_the_build_or_the_chain_does_not_have_is_abstained_from() {
    let job = Job::of(&[&[GOOD, 1]]);
    let mut statement = job.offer().opened.statement;
    statement.manifest = proofgrid_core::ids::ManifestDigest::from_bytes([1; 32]);
    let outcome = ask(&job, &job.offer_of(statement), TestView::default()).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::UnknownManifest), 0));

    let revoked = TestView { program: None, ..TestView::default() };
    let outcome = ask(&job, &job.offer(), revoked).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::ChainView), 0));

    let mut other = TestView::default();
    other.program = other.program.map(|mut view| {
        view.vk = VkDigest::from_bytes([9; 32]);
        view
    });
    let outcome = ask(&job, &job.offer(), other).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::ChainView), 0));
}

#[tokio::test]
async fn a_job_of_another_home_chain_is_abstained_from() {
    let mut job = Job::of(&[&[GOOD, 1]]);
    job.spec.home_chain = ChainId::new(1);
    let outcome = ask(&job, &job.offer(), TestView::default()).await;
    assert_eq!(outcome, (Answer::Abstained(AbstainReason::ChainView), 0));
}

fn leaf(statement: u8, verdict: Verdict) -> BatchLeaf {
    BatchLeaf { statement: StatementDigest::from_bytes([statement; 32]), verdict }
}

fn batch(leaves: &[BatchLeaf]) -> Batch {
    Batch::new(leaves.to_vec()).expect("ascending")
}

#[tokio::test]
async fn a_batch_is_attested_only_if_every_leaf_equals_the_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(directory.path(), TestView::default());
    for logged in [entry(1, Finding::Valid), entry(2, invalid()), entry(3, Finding::Valid)] {
        desk.signer.record(logged).await.expect("the log works");
    }
    let table = own_table().digest();
    let (valid, bad) = (Verdict::Valid, Verdict::Invalid);

    let same = batch(&[leaf(1, valid), leaf(2, bad), leaf(3, valid)]);
    match desk.attest(TARGET, EPOCH, table, &same).await {
        VerifierMessage::Attest { attestation, signature } => {
            assert_eq!((attestation.root, attestation.count), (same.root(), 3));
            assert_eq!((attestation.epoch, attestation.table), (EPOCH, table));
            assert_eq!(attestation.target, TARGET);
            let message = BlsMessage::Attest(attestation);
            key().public_g2().verify(&message, &signature).expect("a good signature");
        }
        other => panic!("{other:?}"),
    }

    let other = ChainContract { chain: ChainId::new(1), ..TARGET };
    let cases = [
        (
            "flipped and unknown",
            TARGET,
            vec![leaf(1, bad), leaf(2, bad), leaf(4, valid)],
            vec![0, 2],
        ),
        ("one flipped", TARGET, vec![leaf(1, valid), leaf(2, valid)], vec![1]),
        ("another target", other, vec![leaf(1, valid), leaf(2, bad)], vec![0, 1]),
    ];
    for (name, target, leaves, wanted) in cases {
        let batch = batch(&leaves);
        match desk.attest(target, EPOCH, table, &batch).await {
            VerifierMessage::AttestRefused { root, positions, .. } => {
                assert_eq!((root, positions), (batch.root(), wanted), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let unknown = desk.attest(TARGET, EpochNumber::new(9), table, &same).await;
    assert!(matches!(
        unknown,
        VerifierMessage::AttestRefused { positions, .. } if positions == [0, 1, 2]
    ));
    let status = desk.status.borrow().clone();
    assert_eq!((status.attestations, status.attestations_refused), (1, 4));
}

#[tokio::test]
async fn the_archive_hears_of_a_verdict_and_of_its_attestation() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(directory.path(), TestView::default());
    let job = Job::of(&[&[GOOD, 1], &[GOOD, 2]]);
    let offer = job.offer();
    let notes = || -> Vec<String> {
        let listed = std::fs::read_dir(directory.path().join("statements")).expect("lists");
        listed.map(|entry| entry.expect("lists").file_name().into_string().expect("text")).collect()
    };
    vote(&desk, &offer, &job.source).await;
    assert_eq!(notes(), [format!("{}.open", offer.digest)]);
    let leaf = BatchLeaf { statement: offer.digest, verdict: Verdict::Valid };
    let batch = Batch::new(vec![leaf]).expect("one leaf");
    desk.attest(TARGET, EPOCH, own_table().digest(), &batch).await;
    assert_eq!(notes(), [format!("{}.attested", offer.digest)]);
}

#[tokio::test]
async fn the_signer_refuses_another_verdict() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(directory.path(), TestView::default());
    let other = entry(1, Finding::Valid);
    desk.signer.record(other.clone()).await.expect("the log works");
    let refused = desk.signer.record(Entry { finding: invalid(), ..other }).await;
    assert!(matches!(refused, Err(VoteLogError::OtherVerdict { .. })));
}

/// What a verifier of one commits to, and the statement.
async fn committed(desk: &Desk, job: &Job) -> (Commitment, StatementDigest) {
    let answer = desk.statement(&job.offer(), &job.source).await.expect("the log works");
    let VerifierMessage::Commit { epoch, table, statement, commitment } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!((epoch, table), (EPOCH, own_table().digest()));
    (commitment, statement)
}

#[tokio::test]
async fn nothing_of_a_verdict_leaves_before_it_is_opened() {
    for proof in [GOOD, BAD] {
        let directory = tempfile::tempdir().expect("a directory");
        let (desk, _) = desk(directory.path(), TestView::default());
        let job = Job::of(&[&[proof, 1]]);
        committed(&desk, &job).await;
        let status = desk.status.borrow().clone();
        assert_eq!((status.votes_valid, status.votes_invalid, status.commitments), (0, 0, 1));
        vote(&desk, &job.offer(), &job.source).await;
        let status = desk.status.borrow().clone();
        assert_eq!(status.votes_valid + status.votes_invalid, 1);
    }
}

#[tokio::test]
async fn a_commitment_hides_its_verdict_and_is_the_same_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::of(&[&[GOOD, 1]]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (desk, _) = desk(directory.path(), TestView::default());
        seen.push(committed(&desk, &job).await);
    }
    assert_eq!(seen[0], seen[1], "never two commitments to one vote");
    // A log that was lost leads to no other commitment, and another key has another secret: nobody
    // finds the verdict by trying both.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(elsewhere.path(), TestView::default());
    assert_eq!(committed(&desk, &job).await, seen[0]);
    let other = proofgrid_core::crypto::bls::SecretKey::from_seed(&[1; 32]).expect("a seed");
    let place = tempfile::tempdir().expect("a directory");
    let log = crate::vote_log::VoteLog::open(&place.path().join("votes.log")).expect("opens");
    let stranger = Signer::new(other, NETWORK, OPERATOR, log);
    assert_ne!(stranger.secret(seen[0].1), desk.signer.secret(seen[0].1));
}

#[tokio::test]
async fn a_vote_is_opened_only_to_a_signed_set_that_holds_its_own_commitment() {
    let directory = tempfile::tempdir().expect("a directory");
    let (desk, _) = desk(directory.path(), TestView::default());
    let job = Job::of(&[&[GOOD, 1]]);
    let (mine, statement) = committed(&desk, &job).await;
    let epoch = (EPOCH, own_table().digest());
    let (other, stranger) = (Address::from_bytes([0x0b; 20]), Commitment::from_bytes([7; 32]));
    let key = server();
    let liar = WalletKey::from_bytes(&[0xd2; 32]).expect("a scalar");
    let unknown = StatementDigest::from_bytes([9; 32]);
    let cases = [
        ("it is not in the set", signed_set(epoch, statement, vec![(other, mine)], &key)),
        ("another commitment", signed_set(epoch, statement, vec![(OPERATOR, stranger)], &key)),
        ("another signer", signed_set(epoch, statement, vec![(OPERATOR, mine)], &liar)),
        ("another statement", signed_set(epoch, unknown, vec![(OPERATOR, mine)], &key)),
        (
            "an epoch that the chain does not show",
            signed_set((EpochNumber::new(9), epoch.1), statement, vec![(OPERATOR, mine)], &key),
        ),
    ];
    for (name, (set, signature)) in cases {
        let opened = desk.reveal(set, signature, key.address()).await.expect("the log works");
        assert_eq!(opened, None, "{name}");
    }
    let (set, _) = signed_set(epoch, statement, vec![(OPERATOR, mine)], &key);
    let (_, of_another) = signed_set(epoch, statement, vec![(other, mine)], &key);
    let opened = desk.reveal(set, of_another, key.address()).await.expect("the log works");
    assert_eq!(opened, None, "the signature of another set");
    let status = desk.status.borrow().clone();
    assert_eq!((status.reveals_refused, status.votes_valid), (6, 0));
    let opened = vote(&desk, &job.offer(), &job.source).await;
    assert_eq!(answer(&opened), Answer::Valid);
}

#[tokio::test]
async fn a_vote_is_opened_to_one_set_restart_or_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::of(&[&[GOOD, 1]]);
    let (epoch, key) = ((EPOCH, own_table().digest()), server());
    let (first, statement) = {
        let (desk, _) = desk(directory.path(), TestView::default());
        let (mine, statement) = committed(&desk, &job).await;
        let (set, signature) = signed_set(epoch, statement, vec![(OPERATOR, mine)], &key);
        let opened = desk.reveal(set.clone(), signature, key.address()).await;
        (opened.expect("the log works").expect("an opened vote"), (mine, statement))
    };
    let (mine, statement) = statement;
    let (desk, judge) = desk(directory.path(), TestView::default());
    let (set, signature) = signed_set(epoch, statement, vec![(OPERATOR, mine)], &key);
    let again = desk.reveal(set, signature, key.address()).await.expect("the log works");
    assert_eq!(again, Some(first), "the same set has the same answer");
    // A second set, with a commitment that was added when this vote was known.
    let copycat = (Address::from_bytes([0x0b; 20]), Commitment::from_bytes([7; 32]));
    let (second, signature) = signed_set(epoch, statement, vec![(OPERATOR, mine), copycat], &key);
    let refused = desk.reveal(second, signature, key.address()).await.expect("the log works");
    assert_eq!(refused, None);
    assert_eq!(desk.status.borrow().reveals_refused, 1);
    // It was not heard and is asked again, in a later sitting; then never again in an earlier one.
    for (sitting, is_opened) in [(2, true), (1, false), (2, true)] {
        let held = vec![(OPERATOR, mine)];
        let set = CommitSet::new(epoch, statement, sitting, held).expect("one commitment");
        let (set, signature) = signed(set, &key);
        let opened = desk.reveal(set, signature, key.address()).await.expect("the log works");
        assert_eq!(opened.is_some(), is_opened, "sitting {sitting}");
    }
    assert_eq!(judge.calls.load(Ordering::SeqCst), 0);
}
