//! The network, driven by the same inputs as the model, and held against its rows.

use std::collections::BTreeMap;

use crate::ids::{BlobDigest, JobId, SessionId};
use crate::statement::SegmentRecord;
use crate::units::ByteCount;

use super::super::super::world::World;
use super::*;

pub struct LeaseTable {
    pub world: World,
    pub job: JobId,
    pub sessions: BTreeMap<u8, SessionId>,
    pub granted: Vec<(Address, LeaseRef)>,
}

impl LeaseTable {
    /// The lease that somebody names, as far as it was granted, and who names it.
    fn claimed(&self, claimed: &Claimed) -> (Address, LeaseRef) {
        let (task, index) = (task_id(claimed.task), claimed.attempt);
        let attempt = Attempt::new(u32::try_from(index + 1).unwrap());
        let known = self.granted.iter().find(|(_, l)| l.task == task && l.attempt == attempt);
        let unknown = (prover(0), LeaseRef { task, attempt, token: LeaseToken::new(999) });
        let (mut who, mut lease) = known.copied().unwrap_or(unknown);
        if claimed.thief > 0 {
            let holder = (0..PROVERS).find(|index| prover(*index) == who).unwrap();
            who = prover((holder + claimed.thief) % PROVERS);
        }
        if claimed.forged {
            lease.token = LeaseToken::new(lease.token.get() + 1);
        }
        (who, lease)
    }

    /// The current connection of a prover, or one that never was the current one.
    fn session(&self, prover: u8, stale: bool) -> SessionId {
        let known = self.sessions.get(&prover).copied().filter(|_| !stale);
        known.unwrap_or(SessionId::new(10_000))
    }

    fn connect(&mut self, index: u8, remembers: bool) -> Said {
        let session = self.world.session();
        self.sessions.insert(index, session);
        let prover = prover(index);
        // A prover names everything that it was ever given; it is told what to go on with.
        let mine = self.granted.iter().filter(|(holder, _)| remembers && *holder == prover);
        let holding = mine.map(|(_, lease)| *lease).collect();
        let mut capabilities = capabilities(1);
        capabilities.programs[0].units_per_kilosecond = THROUGHPUT;
        self.world.apply(Input::ProverConnected { prover, session, capabilities, holding })
    }

    fn complete(&mut self, claimed: &Claimed, delivery: Delivery) -> Said {
        let (prover, lease) = self.claimed(claimed);
        let other = BlobDigest::from_bytes([0xab; 32]);
        let is_other = delivery == Delivery::Other;
        let proof = if is_other { other } else { proof(&lease.task, lease.attempt) };
        let too_large = delivery == Delivery::TooLarge;
        let bytes = ByteCount::new(if too_large { 1 << 21 } else { 1000 });
        let report = ProofReport { proof, bytes, prove_ms: 500 };
        self.world.apply(Input::TaskCompleted { prover, lease, report })
    }

    fn judge(&mut self, index: usize, attempt: usize, verdict: Verdict) -> Said {
        let claimed = Claimed { task: index, attempt, thief: 0, forged: false };
        let (prover, lease) = self.claimed(&claimed);
        let (task, attempt) = (lease.task, lease.attempt);
        let mut record = self.world.record(&self.job, index, &lease, prover);
        let tries = &self.world.task(&self.job, index).tries;
        let report = tries.iter().find(|one| one.attempt == attempt).and_then(|t| t.at_intake);
        record.proof = report.map_or(record.proof, |report| report.proof);
        let outcome = match verdict {
            Verdict::Accept => IntakeOutcome::Accepted(record),
            Verdict::PaysAnother => {
                let prover = operator(0);
                IntakeOutcome::Accepted(SegmentRecord { prover, ..record })
            }
            Verdict::Refuse => IntakeOutcome::Refused { code: "claim".into(), text: "no".into() },
            Verdict::Unjudged => IntakeOutcome::Unjudged { reason: "killed".into() },
        };
        self.world.apply(Input::IntakeJudged { task, attempt, prover, outcome })
    }

    pub fn advance(&mut self, input: &Do) -> Said {
        let input = match input {
            Do::Connect { prover, remembers } => return self.connect(*prover, *remembers),
            Do::Complete { lease, delivery } => return self.complete(lease, *delivery),
            Do::Judge { task, attempt, verdict } => return self.judge(*task, *attempt, *verdict),
            Do::Pass { ms } => {
                self.world.pass(*ms);
                return Ok(Answer::Done);
            }
            Do::Disconnect { prover, stale } => {
                let session = self.session(*prover, *stale);
                Input::ProverDisconnected { prover: address_of(*prover), session }
            }
            Do::Heartbeat { prover, stale } => {
                let session = self.session(*prover, *stale);
                let free_memory_bytes = ByteCount::new(64 << 30);
                let prover = address_of(*prover);
                Input::ProverHeartbeat { prover, session, free_memory_bytes }
            }
            Do::Drain { prover } => {
                let session = self.session(*prover, false);
                Input::ProverDraining { prover: address_of(*prover), session }
            }
            Do::Progress { prover, lease } => {
                let (session, lease) = (self.session(*prover, false), self.claimed(lease).1);
                let (phase, done_permille) = ("quotient".into(), 500);
                let prover = address_of(*prover);
                Input::ProverProgress { prover, session, lease, phase, done_permille }
            }
            Do::Fail { lease, blamed } => {
                let (prover, lease) = self.claimed(lease);
                let fault = TaskFault::Backend("panicked".into());
                let fault = if *blamed { fault } else { TaskFault::Draining };
                Input::TaskFailed { prover, lease, fault }
            }
            Do::Requeue { task } => Input::RequeueTask { task: task_id(*task) },
        };
        self.world.apply(input)
    }
}

/// What the model says of a try, in the network's words.
fn same_end(model: End, found: &TryOutcome) -> bool {
    match found {
        TryOutcome::Running => model == End::Running,
        TryOutcome::Ended(LeaseEnd::IntakeRefused { .. }) => model == End::Refused,
        TryOutcome::Ended(_) => model == End::Over,
        TryOutcome::Accepted => model == End::Accepted,
        TryOutcome::Superseded => model == End::Superseded,
        TryOutcome::RefusedByQuorum(_) => false,
    }
}

pub fn check_row(row: &Row, task: &Task) {
    let newest = row.tries.len().checked_sub(1);
    match (&task.state, row.place) {
        (TaskState::Queued, Place::Queued)
        | (TaskState::Failed { .. } | TaskState::Cancelled, Place::Over) => {}
        (TaskState::Leased(lease), Place::Leased) => {
            let model = &row.tries[newest.unwrap()];
            let holder = (prover(model.prover), LeaseToken::new(model.token));
            assert_eq!((lease.prover, lease.token), holder);
            assert_eq!(lease.expires_at, at(model.expires_at));
        }
        (TaskState::Accepted { attempt, record, .. }, Place::Accepted) => {
            let index = usize::try_from(attempt.get()).unwrap() - 1;
            assert_eq!(row.tries[index].end, End::Accepted);
            assert_eq!(record.prover, prover(row.tries[index].prover));
        }
        (found, model) => panic!("the task is {found:?}, the model says {model:?}"),
    }
    assert_eq!(task.tries.len(), row.tries.len());
    for (attempt, (one, model)) in (1u32..).zip(task.tries.iter().zip(&row.tries)) {
        assert_eq!(one.attempt, Attempt::new(attempt), "attempts grow by one");
        assert_eq!((one.prover, one.token.get()), (prover(model.prover), model.token));
        assert_eq!(one.at_intake.is_some(), model.at_intake.is_some(), "try {attempt}");
        assert!(same_end(model.end, &one.outcome), "{:?} is not {:?}", one.outcome, model.end);
    }
    assert_eq!((task.faults, task.losses), (row.faults, row.losses));
    let avoid: BTreeSet<Address> = row.avoid.iter().map(|index| prover(*index)).collect();
    assert_eq!(task.avoid, avoid);
}
