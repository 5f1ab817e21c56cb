//! Who gets which task.
//!
//! Fairness picks the requester, deadline and fee pick the task, measured throughput and load pick
//! the prover. Deterministic: equal states decide equally. One decision looks at the lanes that free
//! provers can serve, at a few tasks of one lane and at free provers in order of merit until one has
//! the memory; it never looks at all tasks or all provers, so its cost grows with neither.

use std::collections::BTreeSet;

use crate::ids::{Address, Attempt, LeaseToken, ProgramId, TaskId};
use crate::units::{ByteCount, Millis};

use super::effect::{Assignment, Effect, Lease, Peer};
use super::fact::{Change, Decision};
use super::live::{ProverSession, Timer};
use super::refusal::Refusal;
use super::state::{Job, LaneKey, RunningLease, Task, TaskState, WorkerBook};
use super::workforce::Place;
use super::{Network, Step};

/// A task and the prover that it goes to.
struct Choice {
    task: TaskId,
    prover: Address,
    decision: Decision,
}

impl Network {
    /// Work units per 1000 seconds of a prover on a program: measured here, else what it says.
    #[must_use]
    pub(super) fn throughput(&self, prover: &Address, program: &ProgramId) -> u64 {
        let measured =
            self.state.workers.get(prover).and_then(|book| book.units_per_kilosecond.get(program));
        let offered = || {
            let session = self.live.provers.get(prover)?;
            let offer = session.capabilities.programs.iter().find(|o| o.program == *program)?;
            Some(offer.units_per_kilosecond)
        };
        measured.copied().or_else(offered).unwrap_or(0)
    }

    /// Tasks that a prover works on.
    pub(super) fn load(&self, prover: &Address) -> u32 {
        let tasks = self.state.running.get(prover).map_or(0, BTreeSet::len);
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }

    /// Whether a prover takes no new tasks, by its own or an administrator's wish.
    pub(super) fn is_draining(&self, prover: &Address, session: &ProverSession) -> bool {
        session.draining || self.state.workers.get(prover).is_some_and(WorkerBook::is_drained)
    }

    fn may_take_more(&self, prover: &Address, session: &ProverSession) -> bool {
        !self.is_draining(prover, session) && self.load(prover) < session.capabilities.slots
    }

    /// Puts a prover in its place among the free ones, or takes it out; what is queued is looked at
    /// again.
    pub(super) fn reindex(&mut self, prover: Address) {
        self.live.schedule_due = true;
        self.place(prover);
    }

    /// Puts a prover in its place among the free ones, or takes it out.
    pub(super) fn place(&mut self, prover: Address) {
        self.live.unindex(&prover);
        let Some(session) = self.live.provers.get(&prover) else { return };
        if !self.may_take_more(&prover, session) {
            return;
        }
        let faults = self.state.workers.get(&prover).map_or(0, |book| book.consecutive_faults);
        let share = u64::from(self.load(&prover)) + 1;
        let memory = self.memory_for_more(&prover);
        let place = |program: ProgramId| {
            let score = (self.throughput(&prover, &program) / share) >> faults.min(63);
            (program, Place { score, memory })
        };
        let indexed: Vec<(ProgramId, Place)> = session.programs().into_iter().map(place).collect();
        for (program, place) in &indexed {
            self.live.free.entry(*program).or_default().insert(prover, *place);
        }
        if let Some(session) = self.live.provers.get_mut(&prover) {
            session.indexed = indexed;
        }
    }

    /// Memory that a prover can give to one more task.
    pub(super) fn memory_for_more(&self, prover: &Address) -> ByteCount {
        let Some(session) = self.live.provers.get(prover) else { return ByteCount::ZERO };
        let tasks = self.state.running.get(prover);
        let used = tasks
            .into_iter()
            .flatten()
            .filter_map(|task| self.state.task(task).ok())
            .fold(ByteCount::ZERO, |sum, (_, task)| sum.saturating_add(task.memory_bytes));
        session.capabilities.memory_bytes.saturating_sub(used).min(session.free_memory)
    }

    /// Leases queued tasks to free provers until one of the two runs out.
    pub(super) fn schedule(&mut self, step: &mut Step) -> Result<(), Refusal> {
        if !std::mem::take(&mut self.live.schedule_due) {
            return Ok(());
        }
        let mut exhausted = BTreeSet::new();
        while let Some(choice) = self.choose(&mut exhausted) {
            self.grant(step, choice)?;
        }
        // Granting marks the index as changed; the loop has already taken that into account.
        self.live.schedule_due = false;
        Ok(())
    }

    /// The next task by fairness, with the best prover for it.
    fn choose(&mut self, exhausted: &mut BTreeSet<LaneKey>) -> Option<Choice> {
        loop {
            let lane = self.next_lane(exhausted)?;
            let candidates: Vec<(Address, TaskId)> = self.state.queue.candidates(&lane).collect();
            for (requester, task) in candidates {
                self.live.stats.probes += 1;
                if let Some((prover, decision)) = self.best_prover(&lane, &requester, &task) {
                    return Some(Choice { task, prover, decision });
                }
            }
            exhausted.insert(lane);
        }
    }

    /// The lane whose next requester was served least, among those that a free prover can serve.
    fn next_lane(&mut self, exhausted: &BTreeSet<LaneKey>) -> Option<LaneKey> {
        let mut best: Option<(u64, LaneKey)> = None;
        let mut probes = 0;
        for (program, free) in &self.live.free {
            probes += 1;
            for (lane, served) in self.state.queue.lanes_of(*program, free.memory_most()) {
                probes += 1;
                if !exhausted.contains(&lane) && best.is_none_or(|best| (served, lane) < best) {
                    best = Some((served, lane));
                }
            }
        }
        self.live.stats.probes += probes;
        best.map(|(_, lane)| lane)
    }

    fn best_prover(
        &mut self,
        lane: &LaneKey,
        requester: &Address,
        id: &TaskId,
    ) -> Option<(Address, Decision)> {
        let (_, task) = self.state.task(id).ok()?;
        let free = self.live.free.get(&lane.program)?;
        let mut avoided = 0;
        let mut probes = 0;
        let mut fallback = None;
        let mut chosen = None;
        for (prover, memory) in free.iter() {
            probes += 1;
            if memory < lane.memory() {
                continue;
            }
            if task.avoid.contains(&prover) {
                avoided += 1;
                fallback = fallback.or(Some(prover));
                continue;
            }
            chosen = Some(prover);
            break;
        }
        // Whoever failed it gets it again only while nobody else could ever take it.
        if chosen.is_none() && fallback.is_some() && !self.others_could(lane, task) {
            chosen = fallback;
        }
        let candidates = u32::try_from(free.len()).unwrap_or(u32::MAX);
        self.live.stats.probes += probes;
        let prover = chosen?;
        let decision = Decision {
            candidates,
            units_per_kilosecond: self.throughput(&prover, &lane.program),
            load: self.load(&prover),
            slots: self.live.provers.get(&prover)?.capabilities.slots,
            avoided,
            requester_served_units: self.state.queue.served(requester),
        };
        Some((prover, decision))
    }

    /// Whether a connected prover, busy or not, could take the task and has not failed it.
    fn others_could(&self, lane: &LaneKey, task: &Task) -> bool {
        self.live.provers.iter().any(|(prover, session)| {
            !task.avoid.contains(prover)
                && !self.is_draining(prover, session)
                && session.capabilities.memory_bytes >= lane.memory()
                && session.offers(&lane.program)
        })
    }

    fn grant(&mut self, step: &mut Step, choice: Choice) -> Result<(), Refusal> {
        let (_, task) = self.state.task(&choice.task)?;
        let tries = u32::try_from(task.tries.len()).unwrap_or(u32::MAX);
        let attempt = Attempt::new(tries.saturating_add(1));
        let memory = task.memory_bytes;
        let token = LeaseToken::new(self.state.tokens.saturating_add(1));
        let expires_at = step.now.after(Millis::new(self.config.lease_max_ms));
        let prover = choice.prover;
        if let Some(session) = self.live.provers.get_mut(&prover) {
            session.free_memory = session.free_memory.saturating_sub(memory);
        }
        self.live.stats.leases += 1;
        let task = choice.task;
        let decision = choice.decision;
        self.record(
            step,
            Change::LeaseGranted { task, attempt, token, prover, expires_at, decision },
        )?;
        self.watch_prover(prover, step);
        self.send_assignment(step, &task);
        Ok(())
    }

    /// Makes sure that silence of a prover is noticed.
    pub(super) fn watch_prover(&mut self, prover: Address, step: &Step) {
        if let std::collections::btree_map::Entry::Vacant(unheard) = self.live.heard.entry(prover) {
            unheard.insert(step.now);
            let dead_at = step.now.after(Millis::new(self.config.heartbeat_dead_after_ms));
            self.live.arm(dead_at, Timer::ProverDead(prover));
        }
    }

    /// Sends a running lease to its prover, if that is connected.
    pub(super) fn send_assignment(&self, step: &mut Step, id: &TaskId) {
        let Ok((job, task)) = self.state.task(id) else { return };
        let TaskState::Leased(lease) = &task.state else { return };
        let Some(session) = self.live.provers.get(&lease.prover) else { return };
        let peer = Peer { address: lease.prover, session: session.session };
        if let Some(assignment) = self.assignment(job, task, lease) {
            step.effects
                .push(Effect::AssignTask { prover: peer, assignment: Box::new(assignment) });
        }
    }

    fn assignment(&self, job: &Job, task: &Task, lease: &RunningLease) -> Option<Assignment> {
        let plan = job.plan.as_ref()?;
        Some(Assignment {
            lease: Lease {
                task: task.id,
                attempt: lease.attempt,
                token: lease.token,
                dead_after: Millis::new(self.config.heartbeat_dead_after_ms),
                expires_at: lease.expires_at,
            },
            job: job.id,
            spec: job.spec.clone(),
            index: task.index,
            segment: *plan.segments.get(task.index as usize)?,
            num_segments: u32::try_from(plan.segments.len()).ok()?,
        })
    }
}
