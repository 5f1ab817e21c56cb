//! The lease table: who holds which task under which token, whose proof counts, and who is told
//! that it comes too late.
//!
//! Provers offer what they are measured at, so that only load, faults and avoidance choose between
//! them; with one slot each the model can name the next holder.

mod inputs;
mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proptest_state_machine::{StateMachineTest, prop_state_machine};

use crate::ids::{Address, Attempt, LeaseToken, TaskId};
use crate::job::{JobSpec, TaskKind};
use crate::network::*;
use crate::units::{ByteCount, Millis, UnixMillis, UnixSeconds};

use super::super::world::*;
use super::{INPUTS_MAX, Said, check_at_the_end, config, visited};

use self::inputs::LeaseModel;
use self::table::{LeaseTable, check_row};

const PROVERS: u8 = 3;
const TASKS: usize = 2;
const SILENT_MS: u64 = 30_000;
const LEASE_MS: u64 = 70_000;
const FAULTS_MAX: u32 = 3;
const LOSSES_MAX: u32 = 4;
/// 100 units in 500 ms, which is what [`World::complete`] reports.
const THROUGHPUT: u64 = 200_000;

/// A lease as somebody names it: perhaps never granted, perhaps not theirs.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    task: usize,
    attempt: usize,
    /// Added to the prover that holds it; anything but 0 is somebody else.
    thief: u8,
    forged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Proof,
    /// Other bytes than a proof of the same try before.
    Other,
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Refuse,
    PaysAnother,
    Unjudged,
}

#[derive(Clone, Debug)]
enum Do {
    Connect { prover: u8, remembers: bool },
    Disconnect { prover: u8, stale: bool },
    Heartbeat { prover: u8, stale: bool },
    Drain { prover: u8 },
    Progress { prover: u8, lease: Claimed },
    Complete { lease: Claimed, delivery: Delivery },
    Judge { task: usize, attempt: usize, verdict: Verdict },
    Fail { lease: Claimed, blamed: bool },
    Requeue { task: usize },
    Pass { ms: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Running,
    /// Lost, failed or taken back: a late proof is still welcome.
    Over,
    /// Refused at intake: it is not judged twice.
    Refused,
    Accepted,
    Superseded,
}

#[derive(Clone, Debug)]
struct Try {
    prover: u8,
    token: u64,
    expires_at: u64,
    at_intake: Option<Delivery>,
    /// What was delivered last.
    delivered: Option<Delivery>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    /// The newest try holds it.
    Leased,
    Accepted,
    /// Its job ended.
    Over,
}

#[derive(Clone, Debug)]
struct Row {
    place: Place,
    tries: Vec<Try>,
    faults: u32,
    losses: u32,
    avoid: BTreeSet<u8>,
}

impl Row {
    fn holds(&self, attempt: usize) -> bool {
        self.place == Place::Leased && attempt + 1 == self.tries.len()
    }

    /// Who works on it: a delivered proof frees its prover.
    fn worker(&self) -> Option<u8> {
        let newest = self.tries.last().filter(|newest| newest.at_intake.is_none())?;
        (self.place == Place::Leased).then_some(newest.prover)
    }
}

#[derive(Clone, Debug, Default)]
struct Prover {
    connected: bool,
    draining: bool,
    heard: Option<u64>,
    faults_in_a_row: u32,
    accepted: u64,
}

/// The reference. Times are in ms since the start.
#[derive(Clone, Debug)]
struct Leases {
    now: u64,
    rows: Vec<Row>,
    provers: Vec<Prover>,
    /// Every grant, in order: prover, task, attempt. The position is the token, less one.
    granted: Vec<(u8, usize, usize)>,
    failed: bool,
    said: Said,
}

fn task_id(task: usize) -> TaskId {
    TaskId::derive(&the_spec().id(), TaskKind::Segment, u32::try_from(task).unwrap())
}

fn the_spec() -> JobSpec {
    let deadline = UnixSeconds::new(START.as_seconds().get() + 1_000_000);
    JobSpec { deadline, ..spec(1, 1) }
}

impl Leases {
    fn start() -> Self {
        let row = Row {
            place: Place::Queued,
            tries: Vec::new(),
            faults: 0,
            losses: 0,
            avoid: BTreeSet::new(),
        };
        let (rows, provers) = (vec![row; TASKS], vec![Prover::default(); usize::from(PROVERS)]);
        let (granted, said) = (Vec::new(), Ok(Answer::Done));
        Self { now: 0, rows, provers, granted, failed: false, said }
    }

    /// The try that somebody names, and who names it; `None` if nobody was granted that.
    fn granted(&self, lease: &Claimed) -> Option<&Try> {
        let found = self.rows[lease.task].tries.get(lease.attempt);
        found.filter(|_| lease.thief == 0 && !lease.forged)
    }

    fn is_held(&self, lease: &Claimed) -> bool {
        self.granted(lease).is_some() && self.rows[lease.task].holds(lease.attempt)
    }

    /// Ends a try without a proof; its task goes back to the queue if it was the newest.
    fn end(&mut self, task: usize, attempt: usize, end: End, blamed: Option<bool>) {
        let row = &mut self.rows[task];
        if row.holds(attempt) {
            row.place = Place::Queued;
        }
        let found = &mut row.tries[attempt];
        (found.end, found.at_intake) = (end, None);
        row.avoid.insert(found.prover);
        match blamed {
            Some(true) => {
                row.faults += 1;
                self.provers[usize::from(found.prover)].faults_in_a_row += 1;
            }
            Some(false) => row.losses += 1,
            None => {}
        }
        // The budget is looked at when a try ends, and not while a proof may still come through.
        let waits = row.tries.iter().any(|one| one.at_intake.is_some());
        let used_up = row.faults >= FAULTS_MAX || row.losses >= LOSSES_MAX;
        self.failed |= row.place == Place::Queued && !waits && used_up;
    }

    fn end_newest(&mut self, task: usize, blamed: Option<bool>) {
        let attempt = self.rows[task].tries.len() - 1;
        self.end(task, attempt, End::Over, blamed);
    }

    fn lose_all_of(&mut self, prover: u8) {
        for task in 0..TASKS {
            if self.rows[task].worker() == Some(prover) {
                self.end_newest(task, Some(false));
            }
        }
    }

    fn accept(&mut self, task: usize, attempt: usize) {
        let row = &mut self.rows[task];
        row.place = Place::Accepted;
        for (index, one) in row.tries.iter_mut().enumerate() {
            if index == attempt {
                one.end = End::Accepted;
                let prover = &mut self.provers[usize::from(one.prover)];
                (prover.faults_in_a_row, prover.accepted) = (0, prover.accepted + 1);
            } else if one.end == End::Running || one.at_intake.is_some() {
                one.end = End::Superseded;
            }
            one.at_intake = None;
        }
    }

    /// What follows from the state: a job whose budget is used up ends, free provers get tasks.
    fn settle(&mut self) {
        if self.failed {
            for row in self.rows.iter_mut().filter(|row| row.place != Place::Accepted) {
                row.place = Place::Over;
                for one in &mut row.tries {
                    one.at_intake = None;
                    if one.end == End::Running {
                        one.end = End::Superseded;
                    }
                }
            }
        }
        while let Some((task, prover)) = self.next_grant() {
            let expires_at = self.now + LEASE_MS;
            self.granted.push((prover, task, self.rows[task].tries.len() + 1));
            let row = &mut self.rows[task];
            row.place = Place::Leased;
            let token = u64::try_from(self.granted.len()).unwrap();
            let end = End::Running;
            row.tries.push(Try {
                prover,
                token,
                expires_at,
                at_intake: None,
                delivered: None,
                end,
            });
        }
    }

    fn next_grant(&self) -> Option<(usize, u8)> {
        let queued = |task: &usize| self.rows[*task].place == Place::Queued;
        let fresh = |task: &usize| self.rows[*task].tries.is_empty();
        let again = (0..TASKS).filter(queued).filter(|task| !fresh(task));
        let first = (0..TASKS).filter(queued).find(fresh);
        again.chain(first).find_map(|task| Some((task, self.best_for(task)?)))
    }

    fn best_for(&self, task: usize) -> Option<u8> {
        let avoid = &self.rows[task].avoid;
        let takes_work = |prover: &u8| {
            let found = &self.provers[usize::from(*prover)];
            found.connected && !found.draining
        };
        let busy = |prover: &u8| self.rows.iter().any(|row| row.worker() == Some(*prover));
        let score =
            |prover: &u8| THROUGHPUT >> self.provers[usize::from(*prover)].faults_in_a_row.min(63);
        let mut free: Vec<u8> = (0..PROVERS).filter(takes_work).filter(|p| !busy(p)).collect();
        free.sort_by_key(|prover| (Reverse(score(prover)), *prover));
        let others_could = (0..PROVERS).filter(takes_work).any(|p| !avoid.contains(&p));
        let chosen = free.iter().find(|prover| !avoid.contains(prover));
        let fallback = free.first().filter(|_| !others_could);
        chosen.or(fallback).copied()
    }

    /// Lets time pass: silence and the longest lease end what runs, in order of time.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let silent = self.provers.iter().filter_map(|p| Some(p.heard? + SILENT_MS));
            let overdue = (0..TASKS)
                .filter(|task| self.rows[*task].worker().is_some())
                .filter_map(|task| Some(self.rows[task].tries.last()?.expires_at));
            let Some(at) = silent.chain(overdue).min().filter(|at| *at <= end) else { break };
            self.now = at;
            for prover in 0..PROVERS {
                let found = &mut self.provers[usize::from(prover)];
                if found.heard.is_some_and(|heard| heard + SILENT_MS <= at) {
                    (found.heard, found.connected) = (None, false);
                    self.lose_all_of(prover);
                }
            }
            for task in 0..TASKS {
                let row = &self.rows[task];
                let expires_at = row.tries.last().map_or(u64::MAX, |one| one.expires_at);
                if row.worker().is_some() && expires_at <= at {
                    self.end_newest(task, Some(true));
                }
            }
            self.settle();
        }
        self.now = end;
    }

    fn connect(&mut self, prover: u8, remembers: bool) -> Said {
        let now = self.now;
        let found = &mut self.provers[usize::from(prover)];
        (found.connected, found.draining, found.heard) = (true, false, Some(now));
        let mut resumed = Vec::new();
        for (token, (holder, task, attempt)) in (1..).zip(&self.granted) {
            let running = self.rows[*task].holds(*attempt - 1);
            if remembers && *holder == prover && running {
                let attempt = Attempt::new(u32::try_from(*attempt).unwrap());
                let (task, token) = (task_id(*task), LeaseToken::new(token));
                resumed.push(LeaseRef { task, attempt, token });
            }
        }
        if !remembers {
            self.lose_all_of(prover);
        }
        let dead_at = at(now + SILENT_MS);
        Ok(Answer::Registered { resumed, dead_at })
    }

    /// Notes a sign of life; one of an old connection is refused.
    fn hear(&mut self, prover: u8, stale: bool) -> Result<(), Refusal> {
        let now = self.now;
        let found = &mut self.provers[usize::from(prover)];
        if stale || !found.connected {
            return Err(Refusal::StaleSession(address_of(prover)));
        }
        found.heard = Some(now);
        Ok(())
    }

    fn complete(&mut self, lease: &Claimed, delivery: Delivery) -> Said {
        let task = task_id(lease.task);
        let place = self.rows[lease.task].place;
        let found = self.granted(lease).ok_or(Refusal::UnknownLease(task))?;
        let same = |before: Delivery| {
            before == Delivery::Other && delivery == Delivery::Other
                || before == Delivery::Proof && delivery != Delivery::Other
        };
        if let Some(before) = found.at_intake {
            let same = same(before);
            return Ok(if same { Answer::CompletionReceived } else { Answer::AlreadyDone });
        }
        let unproved = matches!(place, Place::Queued | Place::Leased);
        let open = match found.end {
            End::Running => true,
            // What could not be judged may come again, but not as something else.
            End::Over => found.delivered.is_none_or(same),
            End::Refused | End::Accepted | End::Superseded => false,
        };
        if !unproved || !open {
            return Ok(Answer::AlreadyDone);
        }
        if delivery == Delivery::TooLarge {
            if self.is_held(lease) {
                self.end(lease.task, lease.attempt, End::Refused, Some(true));
            }
            let (max, got) = (ByteCount::new(1 << 20), ByteCount::new(1 << 21));
            return Err(Refusal::ProofTooLarge { max, got });
        }
        let found = &mut self.rows[lease.task].tries[lease.attempt];
        (found.at_intake, found.delivered) = (Some(delivery), Some(delivery));
        Ok(Answer::CompletionReceived)
    }

    fn judge(&mut self, task: usize, attempt: usize, verdict: Verdict) -> Said {
        let found = self.rows[task].tries.get(attempt);
        if found.is_none_or(|found| found.at_intake.is_none()) {
            return Ok(Answer::Late);
        }
        let refused = |code: &str, text: &str| {
            let (code, text) = (code.into(), text.into());
            Answer::ProofRefused { code, text }
        };
        Ok(match verdict {
            Verdict::Accept => {
                self.accept(task, attempt);
                Answer::ProofAccepted
            }
            Verdict::Refuse => {
                self.end(task, attempt, End::Refused, Some(true));
                refused("claim", "no")
            }
            Verdict::PaysAnother => {
                self.end(task, attempt, End::Refused, Some(true));
                refused("record_mismatch", "the record pays another prover")
            }
            Verdict::Unjudged => {
                self.end(task, attempt, End::Over, Some(false));
                Answer::ProofUnjudged { reason: "killed".into() }
            }
        })
    }

    fn advance(&mut self, input: &Do) -> Said {
        match input {
            Do::Connect { prover, remembers } => return self.connect(*prover, *remembers),
            Do::Disconnect { prover, stale } => {
                self.provers[usize::from(*prover)].connected &= stale;
            }
            Do::Heartbeat { prover, stale } => self.hear(*prover, *stale)?,
            Do::Drain { prover } => {
                self.hear(*prover, false)?;
                self.provers[usize::from(*prover)].draining = true;
            }
            Do::Progress { prover, lease } => {
                self.hear(*prover, false)?;
                // Whoever speaks is known by the connection, so the lease alone is judged.
                let lease = Claimed { thief: 0, ..*lease };
                let holder = self.granted(&lease).map(|found| found.prover);
                if !self.is_held(&lease) || holder != Some(*prover) {
                    return Err(Refusal::StaleLease(task_id(lease.task)));
                }
            }
            Do::Complete { lease, delivery } => return self.complete(lease, *delivery),
            Do::Judge { task, attempt, verdict } => return self.judge(*task, *attempt, *verdict),
            Do::Fail { lease, blamed } => {
                let row = &self.rows[lease.task];
                if !self.is_held(lease) || row.worker().is_none() {
                    return Err(Refusal::StaleLease(task_id(lease.task)));
                }
                self.end(lease.task, lease.attempt, End::Over, Some(*blamed));
            }
            Do::Requeue { task } => match self.rows[*task].place {
                Place::Queued => {}
                // The proof is at intake: its verdict decides.
                Place::Leased if self.rows[*task].worker().is_none() => {}
                Place::Leased => self.end_newest(*task, None),
                Place::Accepted | Place::Over => {
                    let state = self.job_state();
                    return Err(Refusal::JobBeyond { job: the_spec().id(), state });
                }
            },
            Do::Pass { ms } => self.pass(*ms),
        }
        Ok(Answer::Done)
    }

    fn job_state(&self) -> JobStateKind {
        if self.failed {
            JobStateKind::Failed
        } else if self.rows.iter().all(|row| row.place == Place::Accepted) {
            JobStateKind::Verifying
        } else if self.granted.is_empty() {
            JobStateKind::Accepted
        } else {
            JobStateKind::Proving
        }
    }

    /// Every try that was granted, current or not.
    fn tries(&self) -> Vec<(usize, usize)> {
        let all = (0..TASKS)
            .flat_map(|task| (0..self.rows[task].tries.len()).map(move |attempt| (task, attempt)));
        all.collect()
    }

    fn at_intake(&self) -> Vec<(usize, usize)> {
        let waits =
            |(task, attempt): &(usize, usize)| self.rows[*task].tries[*attempt].at_intake.is_some();
        self.tries().into_iter().filter(waits).collect()
    }
}

fn address_of(index: u8) -> Address {
    prover(index)
}

fn at(ms: u64) -> UnixMillis {
    START.after(Millis::new(ms))
}

struct LeaseTest;

impl StateMachineTest for LeaseTest {
    type SystemUnderTest = LeaseTable;
    type Reference = LeaseModel;

    fn init_test(_: &Leases) -> LeaseTable {
        let mut world = World::with(|config| {
            config.heartbeat_dead_after_ms = SILENT_MS;
            config.lease_max_ms = LEASE_MS;
            config.task_attempts_max = FAULTS_MAX;
            config.task_losses_max = LOSSES_MAX;
            // Verification is not what this is about.
            config.vote_timeout_ms = 1 << 40;
        });
        let job = world.planned(the_spec(), u64::try_from(TASKS).unwrap());
        LeaseTable { world, job, sessions: BTreeMap::new(), granted: Vec::new() }
    }

    fn apply(mut table: LeaseTable, leases: &Leases, input: Do) -> LeaseTable {
        table.world.effects.clear();
        assert_eq!(table.advance(&input), leases.said);
        for effect in &table.world.effects {
            if let Effect::AssignTask { prover, assignment } = effect {
                let Lease { task, attempt, token, .. } = assignment.lease;
                table.granted.push((prover.address, LeaseRef { task, attempt, token }));
            }
        }
        table
    }

    fn check_invariants(table: &LeaseTable, leases: &Leases) {
        // Provers were told of exactly the grants, once each, under tokens that grow by one.
        let model: Vec<(Address, LeaseRef)> = (1..)
            .zip(&leases.granted)
            .map(|(token, (index, task, attempt))| {
                let attempt = Attempt::new(u32::try_from(*attempt).unwrap());
                let (task, token) = (task_id(*task), LeaseToken::new(token));
                (prover(*index), LeaseRef { task, attempt, token })
            })
            .collect();
        assert_eq!(table.granted, model);
        for (index, row) in leases.rows.iter().enumerate() {
            check_row(row, table.world.task(&table.job, index));
        }
        assert_eq!(table.world.state(&table.job), leases.job_state());
        for (index, model) in (0..PROVERS).zip(&leases.provers) {
            let book = table.world.network.state().workers.get(&prover(index));
            let found = book.map_or((0, 0), |book| (book.accepted, book.consecutive_faults));
            assert_eq!(found, (model.accepted, model.faults_in_a_row));
        }
    }

    fn teardown(table: LeaseTable, _: Leases) {
        check_at_the_end(&table.world);
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn leases_are_held_and_passed_on_as_the_model_says(sequential 1..=INPUTS_MAX => LeaseTest);
}

/// A task is kept from whoever failed it while another prover could take it; once that one is gone
/// the task is handed out at once and does not wait for something else to happen.
#[test]
fn a_disconnect_frees_what_was_kept_for_the_prover_that_left() {
    let inputs = vec![
        Do::Connect { prover: 2, remembers: false },
        Do::Connect { prover: 1, remembers: false },
        Do::Connect { prover: 1, remembers: false },
        Do::Disconnect { prover: 2, stale: false },
    ];
    LeaseTest::test_sequential(config(), Leases::start(), inputs, None);
}

#[test]
fn the_model_of_leases_reaches_late_proofs_and_used_up_budgets() {
    let states = visited::<LeaseModel>(64);
    let any = |holds: fn(&Leases) -> bool| states.iter().any(holds);
    assert!(any(|leases| leases.failed));
    assert!(any(|leases| leases.rows.iter().all(|row| row.place == Place::Accepted)));
    // A proof of an earlier try counted and the running one was called off.
    assert!(any(|leases| leases.rows.iter().any(|row| {
        let newest = row.tries.last().map(|newest| newest.end);
        row.place == Place::Accepted && newest == Some(End::Superseded)
    })));
    assert!(any(|leases| leases
        .rows
        .iter()
        .any(|row| { row.tries.iter().filter(|one| one.at_intake.is_some()).count() > 1 })));
}
