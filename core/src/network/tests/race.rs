//! Races: rounds, reveals and records in either order, proofs, both verdicts, every end.

use crate::ids::{CertificateId, Nonce};
use crate::job::{JobSpec, Mode};
use crate::network::*;
use crate::race::{PROOFS_GRACE_SECONDS, RACE_COMMITMENTS_MAX, RaceRound, RaceStep};
use crate::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use crate::units::UnixSeconds;

use super::world::*;
use crate::ids::{
    Address, BlobDigest, ChainContract, EpochNumber, JobId, ManifestDigest, PublicValuesDigest,
    StatementDigest,
};
use crate::units::ByteCount;

const COMMIT_UNTIL: u64 = 1_000;
const REVEAL_UNTIL: u64 = 2_000;
const SEGMENTS: u64 = 2;

fn race_spec() -> JobSpec {
    JobSpec { mode: Mode::Race, ..contract_spec(1, 1) }
}

fn round(number: u8) -> RaceRound {
    let later = u64::from(number - 1) * 10_000;
    RaceRound {
        number,
        epoch: EpochNumber::new(1),
        commit_until: UnixSeconds::new(COMMIT_UNTIL + later),
        reveal_until: UnixSeconds::new(REVEAL_UNTIL + later),
        judge_until: UnixSeconds::new(9_000 + later),
    }
}

fn rounds_contract() -> ChainEvent {
    let contract = ChainContract { chain: CHAIN, contract: address(0xbb) };
    ChainEvent { contract, ..event(7) }
}

/// What a prover proved in a round; `salt` makes another statement of it.
fn entry(job: JobId, number: u8, prover: Address, salt: u8) -> OpenedStatement {
    let plan = plan(SEGMENTS);
    let record = |(index, segment): (u32, &PlannedSegment)| SegmentRecord {
        index,
        first: segment.first,
        count: segment.count,
        vk: plan.vk,
        public_values: PublicValuesDigest::from_bytes([4; 32]),
        proof: {
            let mut bytes = [salt; 32];
            bytes[0] = u8::try_from(index).unwrap();
            bytes[1..21].copy_from_slice(prover.as_bytes());
            bytes[21] = number;
            BlobDigest::from_bytes(bytes)
        },
        prover,
        work_units: segment.work_units,
    };
    let records: Vec<SegmentRecord> = (0..).zip(&plan.segments).map(record).collect();
    let attempt = round(number).attempt();
    let statement = Statement::of_job(job, &race_spec(), attempt, plan.manifest, &records).unwrap();
    OpenedStatement { statement, records }
}

impl World {
    /// Verifiers, an oracle and two provers, with a job in its first round.
    fn racing() -> (Self, JobId) {
        let mut world = Self::with(|config| {
            config.prover_bound.insert(program(1));
        });
        world.epoch(1);
        for index in 0..STAKES.len() {
            world.verifier(index);
        }
        world.oracle();
        world.connect(0, 1);
        world.connect(1, 1);
        let job = world.planned(race_spec(), SEGMENTS);
        world.news(job, RaceStep::Opened(round(1)));
        (world, job)
    }

    fn news(&mut self, job: JobId, step: RaceStep) -> Answer {
        self.ok(Input::RaceNews { job, event: rounds_contract(), step })
    }

    fn head(&mut self, time: u64) {
        self.ok(Input::ChainHead { chain: CHAIN, time: UnixSeconds::new(time) });
    }

    fn revealed(&mut self, job: JobId, number: u8, of: &OpenedStatement) {
        let prover = of.records[0].prover;
        let statement = of.statement.digest();
        self.news(job, RaceStep::Revealed { round: number, prover, statement });
    }

    fn enter(&mut self, of: &OpenedStatement) -> Result<Answer, Refusal> {
        self.apply(Input::RaceEntry { prover: of.records[0].prover, opened: of.clone() })
    }

    fn upload(&mut self, of: &OpenedStatement) {
        for record in &of.records {
            self.ok(Input::BlobStored { digest: record.proof, bytes: ByteCount::new(9) });
        }
    }

    fn entry_stage(&self, job: &JobId, number: u8, prover: Address) -> EntryStageKind {
        let book = self.network.state().races.book(job).unwrap();
        book.rounds[&number].entries[&prover].stage.kind()
    }

    /// Reveal, records and proofs of a prover.
    fn hand_in(&mut self, job: JobId, number: u8, of: &OpenedStatement) -> StatementDigest {
        self.head(u64::from(number - 1) * 10_000 + COMMIT_UNTIL);
        self.revealed(job, number, of);
        assert_eq!(self.enter(of), Ok(Answer::EntryTaken { may_upload: true }));
        self.upload(of);
        assert_eq!(self.entry_stage(&job, number, of.records[0].prover), EntryStageKind::Judging);
        of.statement.digest()
    }

    fn certified(&mut self, statements: &[(StatementDigest, Verdict)]) -> CertificateId {
        for (statement, verdict) in statements {
            for index in 0..STAKES.len() {
                self.vote(index, *statement, *verdict);
            }
        }
        let window = self.network.config().batch_window_ms;
        self.pass(window);
        self.attest(&[0, 1, 2, 3]);
        let books = &self.network.state().certificates;
        let held = |id: &&CertificateId| {
            let leaves = &books[*id].certificate.leaves;
            statements.iter().all(|(statement, verdict)| {
                leaves.iter().any(|leaf| (leaf.statement, leaf.verdict) == (*statement, *verdict))
            })
        };
        *books.keys().find(held).expect("one certificate holds them all")
    }
}

#[test]
fn a_race_is_only_run_for_programs_whose_proofs_are_bound_to_their_prover() {
    let mut world = World::staffed();
    let job = race_spec().id();
    let provenance = Provenance::Chain(event(1));
    world.ok(Input::SubmitJob { spec: race_spec(), provenance });
    let JobState::Rejected { reason } = &world.network.state().jobs[&job].state else {
        panic!("a race of an unbound program is run");
    };
    assert!(reason.contains("not bound to their prover"), "{reason}");
    let (mut world, _) = World::racing();
    let ordered = JobSpec { stream: 1, nonce: Nonce::new(2), ..race_spec() };
    let job = ordered.id();
    world.ok(Input::SubmitJob { spec: ordered, provenance });
    assert_eq!(world.state(&job), JobStateKind::Rejected, "a race in a stream");
}

#[test]
fn a_round_is_offered_to_every_prover_of_the_program_and_nothing_is_leased() {
    let (mut world, job) = World::racing();
    assert_eq!(world.state(&job), JobStateKind::Racing);
    let offered = |world: &World| -> Vec<(Address, u8)> {
        let effects = world.effects.iter();
        effects
            .filter_map(|effect| match effect {
                Effect::OfferRace { prover, offer } => Some((prover.address, offer.round)),
                Effect::AssignTask { .. } => panic!("a race is leased"),
                _ => None,
            })
            .collect()
    };
    assert_eq!(offered(&world), [(prover(0), 1), (prover(1), 1)]);
    // Whoever comes back hears of it again, until commitments end.
    world.connect(1, 1);
    assert_eq!(offered(&world), [(prover(1), 1)]);
    let other = ProverCapabilities {
        programs: vec![ProgramOffer { program: program(2), units_per_kilosecond: 1 }],
        ..capabilities(1)
    };
    world.connect_with(2, other, Vec::new());
    assert_eq!(offered(&world), []);
    let input = race_spec().input;
    assert!(world.network.may_race_with(&prover(0), &input));
    assert!(!world.network.may_race_with(&prover(2), &input));
    world.head(COMMIT_UNTIL);
    world.connect(3, 1);
    assert_eq!(offered(&world), []);
}

#[test]
fn a_round_that_opened_before_the_plan_is_offered_with_it() {
    let mut world = World::with(|config| {
        config.prover_bound.insert(program(1));
    });
    world.connect(0, 1);
    let spec = race_spec();
    let (job, digest, bytes) = (spec.id(), spec.input, spec.limits.input_bytes);
    world.ok(Input::SubmitJob { spec, provenance: Provenance::Chain(event(1)) });
    world.news(job, RaceStep::Opened(round(1)));
    let waits = world.network.race(&job).unwrap().waits_for;
    assert!(waits.contains("its input"), "{waits}");
    world.ok(Input::BlobStored { digest, bytes });
    world.ok(Input::JobPlanned { job, plan: plan(SEGMENTS) });
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::OfferRace { .. })));
}

#[test]
fn nothing_is_taken_before_commitments_end_by_the_chains_time() {
    let (mut world, job) = World::racing();
    let of = entry(job, 1, prover(0), 1);
    let early = |world: &mut World| {
        let refusal = world.enter(&of).unwrap_err();
        assert!(matches!(&refusal, Refusal::EntryNotTaken { .. }), "{refusal}");
        assert_eq!(world.network.race_proof_max(&prover(0), &of.records[0].proof), None);
        refusal.to_string()
    };
    assert!(early(&mut world).contains("time is not known"));
    world.head(COMMIT_UNTIL - 1);
    assert!(early(&mut world).contains("takes commitments until"));
    world.head(COMMIT_UNTIL);
    assert_eq!(world.enter(&of), Ok(Answer::EntryTaken { may_upload: false }));
    // Nor any proof before the chain said that it was revealed, or anybody else's.
    assert_eq!(world.network.race_proof_max(&prover(0), &of.records[0].proof), None);
    world.revealed(job, 1, &of);
    let told = |effect: &Effect| matches!(effect, Effect::TakeRaceProofs { prover: peer, .. } if peer.address == prover(0));
    assert!(world.effects.iter().any(told), "{:?}", world.effects);
    let max = Some(race_spec().limits.max_proof_bytes);
    assert_eq!(world.network.race_proof_max(&prover(0), &of.records[0].proof), max);
    assert_eq!(world.network.race_proof_max(&prover(1), &of.records[0].proof), None);
    let stranger = BlobDigest::from_bytes([0x77; 32]);
    assert_eq!(world.network.race_proof_max(&prover(0), &stranger), None);
}

#[test]
fn records_and_reveal_come_in_either_order_and_again() {
    for records_first in [true, false] {
        let (mut world, job) = World::racing();
        world.head(COMMIT_UNTIL);
        let of = entry(job, 1, prover(0), 1);
        if records_first {
            world.enter(&of).unwrap();
            world.revealed(job, 1, &of);
        } else {
            world.revealed(job, 1, &of);
            world.enter(&of).unwrap();
        }
        assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Uploading);
        let facts = world.journal.len();
        world.revealed(job, 1, &of);
        assert_eq!(world.enter(&of), Ok(Answer::EntryTaken { may_upload: true }));
        world.news(job, RaceStep::Opened(round(1)));
        assert_eq!(world.journal.len(), facts, "nothing new was said");
    }
}

#[test]
fn an_early_entry_is_forgotten_with_its_connection_and_may_be_said_again() {
    let (mut world, job) = World::racing();
    world.head(COMMIT_UNTIL);
    let of = entry(job, 1, prover(0), 1);
    world.enter(&of).unwrap();
    world.connect(0, 1);
    world.revealed(job, 1, &of);
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Revealed);
    assert_eq!(world.enter(&of), Ok(Answer::EntryTaken { may_upload: true }));
}

#[test]
fn an_entry_is_the_revealed_statement_over_the_plan_by_its_sender_alone() {
    let (mut world, job) = World::racing();
    world.head(COMMIT_UNTIL);
    let good = entry(job, 1, prover(0), 1);
    world.revealed(job, 1, &good);
    let again = |records: Vec<SegmentRecord>| {
        let attempt = round(1).attempt();
        let manifest = plan(SEGMENTS).manifest;
        let statement = Statement::of_job(job, &race_spec(), attempt, manifest, &records).unwrap();
        OpenedStatement { statement, records }
    };
    let mut foreign = good.records.clone();
    foreign[1].prover = prover(1);
    let mut short = good.records.clone();
    short.pop();
    let mut moved = good.records.clone();
    moved[1].first += 1;
    let mut other_manifest = good.clone();
    other_manifest.statement.manifest = ManifestDigest::from_bytes([1; 32]);
    let mut other_root = good.clone();
    other_root.records[0].proof = BlobDigest::from_bytes([1; 32]);
    let wrong = [
        again(foreign),
        again(short),
        again(moved),
        other_manifest,
        other_root,
        entry(job, 2, prover(0), 1),
    ];
    for opened in wrong {
        let refusal = world.apply(Input::RaceEntry { prover: prover(0), opened }).unwrap_err();
        assert!(matches!(refusal, Refusal::BadEntry(_)), "{refusal}");
    }
    // Everything right, but not what was revealed.
    let refusal = world.enter(&entry(job, 1, prover(0), 2)).unwrap_err();
    assert!(refusal.to_string().contains("revealed was"), "{refusal}");
    assert_eq!(world.enter(&good), Ok(Answer::EntryTaken { may_upload: true }));
}

#[test]
fn both_verdicts_are_certified_and_ordered_to_be_judged_until_the_round_is_over() {
    let (mut world, job) = World::racing();
    let (first, second) = (entry(job, 1, prover(0), 1), entry(job, 1, prover(1), 2));
    let valid = world.hand_in(job, 1, &first);
    let invalid = world.hand_in(job, 1, &second);
    let id = world.certified(&[(valid, Verdict::Valid), (invalid, Verdict::Invalid)]);
    assert_eq!(world.state(&job), JobStateKind::Racing, "the chain decides about the job");
    let orders = |world: &World| {
        let effects = world.effects.iter();
        let mut found: Vec<(Address, Verdict)> = effects
            .filter_map(|effect| match effect {
                Effect::JudgeRaceEntry {
                    prover,
                    verdict,
                    round: 1,
                    leaf_index,
                    path,
                    opened,
                    certificate,
                    ..
                } => {
                    let leaf = certificate.leaves[*leaf_index as usize];
                    assert_eq!(
                        (leaf.statement, leaf.verdict),
                        (opened.statement.digest(), *verdict)
                    );
                    assert_eq!(path.len(), 1);
                    Some((*prover, *verdict))
                }
                Effect::SettleJob { .. } => panic!("a race is not settled by one certificate"),
                _ => None,
            })
            .collect();
        found.sort();
        found
    };
    let both = [(prover(0), Verdict::Valid), (prover(1), Verdict::Invalid)];
    assert_eq!(orders(&world), [], "not before the certificate is in a block");
    world.submission(SubmissionSubject::Certificate(id), SubmissionUpdate::Included(inclusion(1)));
    assert_eq!(orders(&world), both);
    world.submission(SubmissionSubject::Certificate(id), SubmissionUpdate::Final(inclusion(1)));
    // Owed after a restart too.
    world.restart();
    world.oracle();
    assert_eq!(orders(&world), both);
    world.news(job, RaceStep::Closed { round: 1, winners: 1 });
    world.oracle();
    assert_eq!(orders(&world), [], "the round is over");
    let waits = world.network.race(&job).unwrap().waits_for;
    assert!(waits.contains("split the fee"), "{waits}");
    let settled = RaceStep::Settled { statement: valid };
    let wrong = Input::RaceNews { job, event: rounds_contract(), step: settled.clone() };
    assert_eq!(world.apply(wrong), Err(Refusal::WrongContract(job)));
    world.ok(Input::RaceNews { job, event: event(9), step: settled });
    assert_eq!(world.state(&job), JobStateKind::Settled);
    assert_eq!(world.network.job(&job).unwrap().certificate, Some(id));
}

#[test]
fn an_invalid_verdict_of_an_assigned_job_is_still_not_certified() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(contract_spec(1, 1), 1);
    let statement = world.prove_all(&job);
    for index in 0..STAKES.len() {
        world.vote(index, statement, Verdict::Invalid);
    }
    let window = world.network.config().batch_window_ms;
    world.pass(window);
    assert!(world.network.state().open_batches.is_empty());
}

#[test]
fn proofs_that_do_not_come_in_time_close_the_entry_without_a_vote() {
    let (mut world, job) = World::racing();
    world.head(COMMIT_UNTIL);
    let (silent, half) = (entry(job, 1, prover(0), 1), entry(job, 1, prover(1), 2));
    world.revealed(job, 1, &silent);
    world.revealed(job, 1, &half);
    world.enter(&half).unwrap();
    world.ok(Input::BlobStored { digest: half.records[0].proof, bytes: ByteCount::new(9) });
    world.head(REVEAL_UNTIL + PROOFS_GRACE_SECONDS - 1);
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Revealed);
    assert_eq!(world.entry_stage(&job, 1, prover(1)), EntryStageKind::Uploading);
    world.head(REVEAL_UNTIL + PROOFS_GRACE_SECONDS);
    for index in [0, 1] {
        assert_eq!(world.entry_stage(&job, 1, prover(index)), EntryStageKind::Closed);
    }
    assert!(world.network.state().voting.is_empty());
    let job_view = world.network.job(&job).unwrap();
    let said =
        job_view.history.iter().filter(|entry| entry.reason.contains("did not come in time"));
    assert_eq!(said.count(), 2);
    assert!(world.enter(&half).is_err());
    assert_eq!(world.network.race_proof_max(&prover(1), &half.records[1].proof), None);
}

#[test]
fn the_next_round_closes_what_is_open_and_is_offered_again() {
    let (mut world, job) = World::racing();
    let of = entry(job, 1, prover(0), 1);
    let digest = world.hand_in(job, 1, &of);
    world.news(job, RaceStep::Opened(round(2)));
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Closed);
    let withdrawn = |effect: &Effect| matches!(effect, Effect::WithdrawStatement { statement, .. } if *statement == digest);
    assert!(world.effects.iter().any(withdrawn), "{:?}", world.effects);
    let offers =
        |effect: &&Effect| matches!(effect, Effect::OfferRace { offer, .. } if offer.round == 2);
    assert_eq!(world.effects.iter().filter(offers).count(), 2);
    // A statement of the first round is none of the second.
    world.head(10_000 + COMMIT_UNTIL);
    assert!(matches!(world.enter(&of), Err(Refusal::BadEntry(_))));
    let next = world.hand_in(job, 2, &entry(job, 2, prover(0), 1));
    world.certified(&[(next, Verdict::Valid)]);
    assert_eq!(world.entry_stage(&job, 2, prover(0)), EntryStageKind::Certified);
    // What its chain says of the first round now is late.
    assert_eq!(world.news(job, RaceStep::Opened(round(1))), Answer::Late);
}

#[test]
fn a_lost_race_ends_with_its_chains_refund() {
    let (mut world, job) = World::racing();
    let of = entry(job, 1, prover(0), 1);
    world.hand_in(job, 1, &of);
    world.news(job, RaceStep::Closed { round: 1, winners: 0 });
    assert_eq!(world.state(&job), JobStateKind::Racing);
    world.ok(Input::JobExpired { job, provenance: event(3) });
    assert_eq!(world.state(&job), JobStateKind::Expired);
    assert!(world.network.state().voting.is_empty());
    assert_eq!(world.news(job, RaceStep::Opened(round(2))), Answer::Late);
}

#[test]
fn a_race_that_was_decided_elsewhere_ends_without_its_input() {
    let mut world = World::with(|config| {
        config.prover_bound.insert(program(1));
    });
    let job = race_spec().id();
    let provenance = Provenance::Chain(event(1));
    world.ok(Input::SubmitJob { spec: race_spec(), provenance });
    let step = RaceStep::Settled { statement: StatementDigest::from_bytes([1; 32]) };
    world.ok(Input::RaceNews { job, event: event(2), step });
    assert_eq!(world.state(&job), JobStateKind::Settled);
}

#[test]
fn reveals_are_bounded_per_round() {
    let (mut world, job) = World::racing();
    for index in 0..RACE_COMMITMENTS_MAX {
        let of = entry(job, 1, address(0x80 + u8::try_from(index).unwrap()), 1);
        world.revealed(job, 1, &of);
    }
    let statement = StatementDigest::from_bytes([1; 32]);
    let step = RaceStep::Revealed { round: 1, prover: prover(0), statement };
    let input = Input::RaceNews { job, event: rounds_contract(), step };
    assert_eq!(world.apply(input), Err(Refusal::NoRaceRound { job, round: 1 }));
}

#[test]
fn an_epochs_end_and_a_dropped_certificate_have_the_entry_voted_on_again() {
    let (mut world, job) = World::racing();
    let digest = world.hand_in(job, 1, &entry(job, 1, prover(0), 1));
    let id = world.certified(&[(digest, Verdict::Invalid)]);
    world.epoch(2);
    world.submission(
        SubmissionSubject::Certificate(id),
        SubmissionUpdate::Failed(SubmissionFailure::EpochNotAccepted),
    );
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Judging);
    let again = world.certified(&[(digest, Verdict::Invalid)]);
    assert_ne!(again, id);
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Certified);
}

#[test]
fn attestation_that_stays_short_is_tried_again_when_a_verifier_comes_back() {
    let (mut world, job) = World::racing();
    let digest = world.hand_in(job, 1, &entry(job, 1, prover(0), 1));
    for index in 0..STAKES.len() {
        world.vote(index, digest, Verdict::Valid);
    }
    let config = world.network.config();
    let span = (config.batch_window_ms + config.attest_timeout_ms) * 20;
    world.pass(span);
    assert!(world.network.state().open_batches.is_empty(), "it is not tried for ever");
    assert_eq!(world.state(&job), JobStateKind::Racing);
    world.verifier(0);
    let window = world.network.config().batch_window_ms;
    world.pass(window);
    world.attest(&[0, 1, 2, 3]);
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Certified);
}

#[test]
fn a_restart_in_any_step_goes_on_where_it_was() {
    let (mut world, job) = World::racing();
    let of = entry(job, 1, prover(0), 1);
    let again = |world: &mut World| {
        let state = world.network.state().clone();
        world.restart();
        assert_eq!(world.network.state(), &state);
        assert_eq!(State::decode(&state.encode()), Ok(state));
        for index in 0..STAKES.len() {
            world.verifier(index);
        }
        world.oracle();
        world.connect(0, 1);
        world.head(COMMIT_UNTIL);
    };
    again(&mut world);
    world.revealed(job, 1, &of);
    again(&mut world);
    world.enter(&of).unwrap();
    again(&mut world);
    world.upload(&of);
    again(&mut world);
    let digest = of.statement.digest();
    world.certified(&[(digest, Verdict::Valid)]);
    again(&mut world);
    assert_eq!(world.entry_stage(&job, 1, prover(0)), EntryStageKind::Certified);
}

#[test]
fn a_race_says_what_it_waits_for_and_until_when() {
    let (mut world, job) = World::racing();
    let why = |world: &World| world.network.explain(&job).unwrap().why;
    world.head(10);
    assert!(why(&world).contains("round 1: waits for commitments until"), "{}", why(&world));
    world.head(COMMIT_UNTIL);
    assert!(why(&world).contains("reveals until"), "{}", why(&world));
    let of = entry(job, 1, prover(0), 1);
    world.revealed(job, 1, &of);
    world.enter(&of).unwrap();
    world.ok(Input::BlobStored { digest: of.records[0].proof, bytes: ByteCount::new(9) });
    let text = why(&world);
    assert!(
        text.contains("1 commitments revealed") && text.contains("1 of its 2 proofs"),
        "{text}"
    );
    world.ok(Input::BlobStored { digest: of.records[1].proof, bytes: ByteCount::new(9) });
    let digest = of.statement.digest();
    world.certified(&[(digest, Verdict::Invalid)]);
    assert!(why(&world).contains("certified as invalid"), "{}", why(&world));
}

#[test]
fn a_race_and_its_proofs_are_forgotten_like_any_job() {
    let (mut world, job) = World::racing();
    let of = entry(job, 1, prover(0), 1);
    world.hand_in(job, 1, &of);
    world.news(job, RaceStep::Closed { round: 1, winners: 0 });
    world.ok(Input::JobExpired { job, provenance: event(3) });
    let config = world.network.config();
    let span = config.job_retention_ms + config.evidence_retention_ms + 7_200_000;
    world.pass(span);
    let state = world.network.state();
    assert!(state.jobs.is_empty() && state.races == Races::default() && state.blobs.is_empty());
}
