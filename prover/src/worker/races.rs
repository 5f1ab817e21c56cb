//! Races that the worker takes part in: what is proved for them, what is kept, what may be shown.
//!
//! Racing is what the worker does with room that no lease needs: a race task gives way to an
//! assignment and goes on when there is room again. Its proofs stay on disk until their round is over,
//! and travel only when the node beside the worker says that they may ([`RacePort`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proofgrid_core::ids::{Attempt, JobId, LeaseToken, StatementAttempt, StatementDigest, TaskId};
use proofgrid_core::job::TaskKind;
use proofgrid_core::limits::INPUT_BYTES_MAX;
use proofgrid_core::network::{Assignment, Lease, TaskFault};
use proofgrid_core::race::{RaceOffer, is_race};
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement};
use proofgrid_core::units::{ByteCount, Millis, UnixMillis, UnixSeconds};
use proofgrid_proto::convert::{EntryAnswer, EntryReply, ProverMessage};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::{Drain, Link, Worker};
use crate::holdings::HeldProof;
use crate::pipeline::{DeliverError, TaskEnd, memory_needed};
use crate::progress::TaskControl;
use crate::race::{Entry, Race, RacePort, RaceStep};
use crate::status::TaskStatus;

/// Most races that are known at once.
const EFFORTS_MAX: usize = 64;
/// Most failures of tasks of one round before the worker leaves it alone.
const TRIES_MAX: u32 = 3;
/// Most proofs of races that travel at the same time; each is in memory while it does.
const UPLOADS_MAX: usize = 2;
/// How long proofs stay after their round: the next one can use them, and opens at once if at all.
const KEPT_AFTER_ROUND: Duration = Duration::from_secs(600);

/// A segment of a race.
type Part = (JobId, u32);
/// How a race task ended, and which one it was.
pub(super) type RaceProvingEnded = Result<(Id, (Part, Result<HeldProof, TaskEnd>)), JoinError>;
/// How an upload ended, and which one it was.
pub(super) type RaceUploadEnded = Result<(Id, (Part, Result<(), DeliverError>)), JoinError>;

/// How far the dispatcher is with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    No,
    /// Not answered yet, or answered with "later": said again then.
    Until(Instant),
    /// It takes the proofs.
    Taken,
}

/// How far the upload of a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upload {
    From(Instant),
    Running(Id),
    Done,
}

/// One job that is raced for.
#[derive(Debug)]
struct Effort {
    round: u8,
    deadline: UnixSeconds,
    /// What is to be proved; nothing after a restart, until it is offered again.
    offer: Option<RaceOffer>,
    proofs: BTreeMap<u32, HeldProof>,
    entry: Option<OpenedStatement>,
    failures: u32,
    announced: Announced,
    uploads: BTreeMap<u32, Upload>,
    /// When the proofs go, once the round is over.
    gone_at: Option<Instant>,
}

impl Effort {
    const fn new(round: u8, deadline: UnixSeconds) -> Self {
        Self {
            round,
            deadline,
            offer: None,
            proofs: BTreeMap::new(),
            entry: None,
            failures: 0,
            announced: Announced::No,
            uploads: BTreeMap::new(),
            gone_at: None,
        }
    }

    fn statement(&self) -> Option<StatementDigest> {
        self.entry.as_ref().map(|opened| opened.statement.digest())
    }

    /// Another round begins: what is proved already is of the same segments.
    fn begin(&mut self, offer: RaceOffer) {
        let fits = |index: &u32, held: &mut HeldProof| {
            let segment = usize::try_from(*index).ok().and_then(|index| offer.segments.get(index));
            segment.is_some_and(|segment| {
                let record = &held.record;
                (record.first, record.count, record.work_units)
                    == (segment.first, segment.count, segment.work_units)
            })
        };
        self.proofs.retain(fits);
        let proofs = std::mem::take(&mut self.proofs);
        *self = Self { proofs, ..Self::new(offer.round, offer.spec.deadline) };
        self.offer = Some(offer);
    }

    /// The first segment that is not proved and not in work.
    fn next(&self, is_running: impl Fn(u32) -> bool) -> Option<u32> {
        let offer = self.offer.as_ref().filter(|_| self.entry.is_none())?;
        if self.failures >= TRIES_MAX {
            return None;
        }
        let count = u32::try_from(offer.segments.len()).unwrap_or(u32::MAX);
        (0..count).find(|index| !self.proofs.contains_key(index) && !is_running(*index))
    }

    /// The records, once every segment has one.
    fn records(&self) -> Option<Vec<SegmentRecord>> {
        let offer = self.offer.as_ref()?;
        let proofs = (0u32..).zip(&offer.segments).map(|(index, _)| self.proofs.get(&index));
        proofs.map(|held| held.map(|held| held.record.clone())).collect()
    }
}

/// A segment that is being proved for a race.
#[derive(Debug)]
struct Run {
    control: Arc<TaskControl>,
    reserved: ByteCount,
    thread: Id,
}

/// Everything about races.
#[derive(Debug)]
pub(crate) struct Races {
    race: Option<Race>,
    efforts: BTreeMap<JobId, Effort>,
    running: BTreeMap<Part, Run>,
    pub(super) proving: JoinSet<(Part, Result<HeldProof, TaskEnd>)>,
    pub(super) uploads: JoinSet<(Part, Result<(), DeliverError>)>,
    /// The dispatcher's clock, as the last login said.
    clock: Option<(UnixSeconds, Instant)>,
}

impl Races {
    /// What is known from an earlier life.
    pub(crate) fn new(race: Option<Race>, held: Vec<HeldProof>, entries: Vec<Entry>) -> Self {
        let mut efforts: BTreeMap<JobId, Effort> = BTreeMap::new();
        for Entry { round, deadline, opened } in entries {
            let job = opened.job();
            efforts.insert(job, Effort { entry: Some(opened), ..Effort::new(round, deadline) });
        }
        for proof in held {
            let round = u8::try_from(proof.lease.attempt.get()).unwrap_or(u8::MAX);
            let fresh = || Effort::new(round, proof.deadline);
            let effort = efforts.entry(proof.job).or_insert_with(fresh);
            effort.proofs.insert(proof.record.index, proof);
        }
        Self {
            race,
            efforts,
            running: BTreeMap::new(),
            proving: JoinSet::new(),
            uploads: JoinSet::new(),
            clock: None,
        }
    }

    pub(super) fn slots_taken(&self) -> usize {
        self.running.len()
    }

    /// What is being proved, for the status.
    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskStatus> + '_ {
        self.running.iter().map(|((job, index), run)| TaskStatus {
            task: TaskId::derive(job, TaskKind::Segment, *index),
            job: *job,
            progress: run.control.progress(),
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Stops one task for a lease. Whether room is coming.
    pub(super) fn give_way(&self) -> bool {
        let stopping = self.running.values().any(|run| run.control.is_cancelled());
        if let Some((part, run)) = self.running.first_key_value().filter(|_| !stopping) {
            tracing::info!(job = %part.0, segment = part.1, "a race gives way to a lease");
            run.control.cancel();
        }
        !self.running.is_empty()
    }

    pub(super) fn stop_all(&self) {
        for run in self.running.values() {
            run.control.cancel();
        }
    }

    fn stop(&self, job: JobId) {
        for (_, run) in self.running.iter().filter(|((of, _), _)| *of == job) {
            run.control.cancel();
        }
    }

    fn port(&self) -> Option<Arc<dyn RacePort>> {
        self.race.as_ref().map(|race| Arc::clone(&race.port))
    }

    fn now(&self) -> Option<UnixSeconds> {
        let (said, at) = self.clock?;
        Some(UnixSeconds::new(said.get().saturating_add(at.elapsed().as_secs())))
    }
}

impl Worker {
    /// A round that may be entered. The same one may be offered again.
    pub(super) fn on_race_offer(&mut self, offer: RaceOffer) {
        let job = offer.job;
        if let Err(why) = self.check_offer(&offer) {
            tracing::info!(%job, round = offer.round, why, "a race is left to others");
            return;
        }
        let races = &mut self.races;
        if !races.efforts.contains_key(&job) && races.efforts.len() >= EFFORTS_MAX {
            tracing::warn!(%job, "too many races at once; this one is left to others");
            return;
        }
        let fresh = || Effort::new(offer.round, offer.spec.deadline);
        let effort = races.efforts.entry(job).or_insert_with(fresh);
        let unknown = effort.offer.is_none() && effort.entry.is_none();
        if offer.round > effort.round || (offer.round == effort.round && unknown) {
            effort.begin(offer);
        }
    }

    /// Who may lie: the dispatcher about what can be raced, and on whose terms.
    fn check_offer(&self, offer: &RaceOffer) -> Result<(), &'static str> {
        let Some(race) = &self.races.race else {
            return Err("this prover has no [race]");
        };
        if self.drain != Drain::No {
            return Err("this prover drains");
        }
        if offer.task_manager != race.task_manager {
            return Err("it is of another TaskManager than race.task_manager");
        }
        if !is_race(&offer.spec) || offer.spec.target.chain != race.task_manager.chain {
            return Err("only contract jobs of the chain in [race] are raced for");
        }
        if offer.spec.limits.input_bytes.get() > INPUT_BYTES_MAX {
            return Err("its input is longer than any may be");
        }
        if offer.segments.len() > offer.spec.limits.max_segments as usize {
            return Err("its plan has more segments than the job allows");
        }
        match self.workshop.registry.get(&offer.spec.program) {
            None => Err("this worker has no such program"),
            Some(program) if !program.prover_bound() => {
                Err("whoever sees a proof of this program could hand it in as its own")
            }
            Some(_) => Ok(()),
        }
    }

    /// Starts what fits beside the leases, which come first.
    pub(super) fn start_races(&mut self) {
        let Some(port) = self.races.port() else { return };
        if self.drain != Drain::No || !self.pending.is_empty() || !port.can_race() {
            return;
        }
        while self.running.len() + self.races.slots_taken() < self.config.slots as usize {
            let running = &self.races.running;
            let next = self.races.efforts.iter().find_map(|(job, effort)| {
                let index = effort.next(|index| running.contains_key(&(*job, index)))?;
                Some((assignment(effort.offer.as_ref()?, index)?, (*job, index)))
            });
            let Some((assignment, part)) = next else { return };
            let needed = memory_needed(&assignment);
            // Room comes when something else ends; a lease would be refused for it, a race waits.
            if self.gate.admit(needed).is_err() {
                return;
            }
            self.start_race(assignment, part, needed);
        }
    }

    fn start_race(&mut self, assignment: Assignment, part: Part, reserved: ByteCount) {
        let measured = self.bench.of(&assignment.spec.program);
        let expected = measured.and_then(|known| known.expected(assignment.segment.work_units));
        let control = Arc::new(TaskControl::new(expected));
        tracing::info!(job = %part.0, segment = part.1, ?expected, "race task started");
        let workshop = Arc::clone(&self.workshop);
        let proving = workshop.prove(Arc::new(assignment), Arc::clone(&control));
        let proving = async move { (part, Box::pin(proving).await) };
        let thread = self.races.proving.spawn(proving).id();
        self.races.running.insert(part, Run { control, reserved, thread });
    }

    pub(super) async fn on_race_proving_ended(&mut self, ended: RaceProvingEnded) {
        let (part, result) = match ended {
            Ok((_, ended)) => ended,
            Err(error) => {
                let id = error.id();
                let mut running = self.races.running.iter();
                let Some((part, _)) = running.find(|(_, run)| run.thread == id) else { return };
                let fault = TaskFault::Backend(format!("the worker failed: {error}"));
                (*part, Err(TaskEnd::Fault(fault)))
            }
        };
        let Some(run) = self.races.running.remove(&part) else { return };
        self.gate.release(run.reserved);
        let Some(effort) = self.races.efforts.get_mut(&part.0) else { return };
        match result {
            // What is proved is proved, even if it was told to stop: it is on disk.
            Ok(proof) => {
                tracing::info!(job = %part.0, segment = part.1, ms = proof.prove_ms, "race: proved");
                effort.proofs.insert(part.1, proof);
            }
            Err(TaskEnd::Cancelled) => return,
            Err(TaskEnd::Fault(fault)) => {
                tracing::warn!(job = %part.0, segment = part.1, ?fault, "race: a task failed");
                effort.failures = effort.failures.saturating_add(1);
            }
        }
        self.finish_entry(part.0).await;
    }

    /// Makes the entry of a job whose segments are all proved; it is on disk before anybody is told.
    async fn finish_entry(&mut self, job: JobId) {
        let Some(effort) = self.races.efforts.get(&job) else { return };
        let (Some(offer), Some(records), None) = (&effort.offer, effort.records(), &effort.entry)
        else {
            return;
        };
        let spec = &offer.spec;
        let Some(manifest) = self.workshop.registry.manifest_digest(&spec.program) else { return };
        let round = StatementAttempt::new(u32::from(effort.round));
        let Ok(statement) = Statement::of_job(job, spec, round, manifest, &records) else { return };
        let opened = OpenedStatement { statement, records };
        let entry = Entry { round: effort.round, deadline: spec.deadline, opened };
        if let Err(error) = self.workshop.keep_entry(entry.clone()).await {
            tracing::error!(%job, %error, "an entry cannot be kept; it is tried again later");
            return;
        }
        if let Some(effort) = self.races.efforts.get_mut(&job) {
            effort.entry = Some(entry.opened);
        }
        self.tend_race(job).await;
    }

    /// Looks at every race: what its round is at, what may be shown, what is over.
    pub(super) async fn tend_races(&mut self) {
        let jobs: Vec<JobId> = self.races.efforts.keys().copied().collect();
        for job in jobs {
            self.finish_entry(job).await;
            self.tend_race(job).await;
        }
    }

    async fn tend_race(&mut self, job: JobId) {
        let (now, port) = (self.races.now(), self.races.port());
        let Some(effort) = self.races.efforts.get_mut(&job) else { return };
        let Some(port) = port else { return };
        if effort.gone_at.is_some_and(|at| at <= Instant::now()) {
            return self.drop_race(job).await;
        }
        let Some(statement) = effort.statement() else {
            let late = |offer: &RaceOffer| now.is_some_and(|now| now >= offer.reveal_until);
            if effort.offer.as_ref().is_some_and(late) {
                tracing::info!(%job, round = effort.round, "race: not proved in time");
                effort.offer = None;
                self.races.stop(job);
            } else if effort.offer.is_none() && now.is_some_and(|now| now > effort.deadline) {
                self.drop_race(job).await;
            }
            return;
        };
        let round = effort.round;
        match port.standing(job, round) {
            None => port.proved(job, round, statement, effort.deadline),
            Some((other, _)) if other != statement => {
                tracing::error!(%job, round, "another statement was committed to; this one is lost");
                self.end_round(job).await;
            }
            Some((_, RaceStep::Keep)) => {}
            Some((_, RaceStep::Show)) => self.announce(job),
            Some((_, RaceStep::Over)) => {
                port.forget(job, round);
                self.end_round(job).await;
            }
        }
    }

    /// Says that the entry is there, until the dispatcher takes its proofs.
    fn announce(&mut self, job: JobId) {
        let again_at = Instant::now() + self.config.offer_again();
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let Some(effort) = self.races.efforts.get_mut(&job) else { return };
        let waits = match effort.announced {
            Announced::No => false,
            Announced::Until(at) => at > Instant::now(),
            Announced::Taken => true,
        };
        let Some(opened) = effort.entry.clone().filter(|_| !waits) else { return };
        effort.announced = Announced::Until(again_at);
        self.send(ProverMessage::RaceEntry { job, opened: Box::new(opened) });
    }

    pub(super) fn on_entry_answer(&mut self, answer: EntryAnswer) {
        let EntryAnswer { job, statement, reply } = answer;
        let Some(effort) = self.races.efforts.get_mut(&job) else { return };
        let Some(opened) = effort.entry.as_ref().filter(|_| effort.statement() == Some(statement))
        else {
            return;
        };
        match reply {
            EntryReply::Upload => {
                let now = Instant::now();
                for record in &opened.records {
                    effort.uploads.entry(record.index).or_insert(Upload::From(now));
                }
                effort.announced = Announced::Taken;
            }
            EntryReply::Waiting(text) => tracing::info!(%job, text, "race: the entry waits"),
            EntryReply::Refused(text) => tracing::error!(%job, text, "race: the entry is refused"),
        }
    }

    /// A new session: what was taken before may be asked again.
    pub(super) fn race_session(&mut self, now: UnixSeconds) {
        self.races.clock = Some((now, Instant::now()));
        for effort in self.races.efforts.values_mut() {
            effort.announced = Announced::No;
        }
    }

    /// Starts the uploads that are due. Only entries that were taken have any.
    pub(super) fn start_race_uploads(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let now = Instant::now();
        let Races { efforts, uploads, .. } = &mut self.races;
        for (job, effort) in efforts.iter_mut() {
            if effort.announced != Announced::Taken {
                continue;
            }
            for (index, upload) in &mut effort.uploads {
                let Some(held) = effort.proofs.get(index) else { continue };
                let due = matches!(*upload, Upload::From(at) if at <= now);
                if !due || uploads.len() >= UPLOADS_MAX {
                    continue;
                }
                let (part, showing) =
                    ((*job, *index), Arc::clone(&self.workshop).show(held.clone()));
                let spawned = uploads.spawn(async move { (part, Box::pin(showing).await) });
                *upload = Upload::Running(spawned.id());
            }
        }
    }

    pub(super) fn on_race_upload_ended(&mut self, ended: RaceUploadEnded) {
        let (id, result) = match ended {
            Ok((id, (_, result))) => (id, result),
            Err(error) => (error.id(), Err(DeliverError::Stopped)),
        };
        let again_at = Instant::now() + self.config.offer_again();
        let mut uploads = self.races.efforts.values_mut().flat_map(|one| one.uploads.values_mut());
        let Some(upload) = uploads.find(|upload| **upload == Upload::Running(id)) else { return };
        *upload = match result {
            Ok(()) => Upload::Done,
            Err(error) => {
                tracing::warn!(%error, "a proof of a race was not delivered; tried again");
                Upload::From(again_at)
            }
        };
    }

    /// The round is over: its entry goes, its proofs stay for a while.
    async fn end_round(&mut self, job: JobId) {
        self.races.stop(job);
        let Some(effort) = self.races.efforts.get_mut(&job) else { return };
        let proofs = std::mem::take(&mut effort.proofs);
        *effort = Effort {
            proofs,
            gone_at: Some(Instant::now() + KEPT_AFTER_ROUND),
            ..Effort::new(effort.round, effort.deadline)
        };
        self.workshop.drop_entry(job).await;
    }

    async fn drop_race(&mut self, job: JobId) {
        self.races.stop(job);
        let Some(effort) = self.races.efforts.remove(&job) else { return };
        self.workshop.drop_entry(job).await;
        for held in effort.proofs.into_values() {
            self.workshop.forget_raced(held).await;
        }
    }
}

/// The work of a segment, as the pipeline takes it. There is no lease: its attempt is the round.
fn assignment(offer: &RaceOffer, index: u32) -> Option<Assignment> {
    let segment = offer.segments.get(usize::try_from(index).ok()?)?;
    let lease = Lease {
        task: TaskId::derive(&offer.job, TaskKind::Segment, index),
        attempt: Attempt::new(u32::from(offer.round)),
        token: LeaseToken::new(0),
        dead_after: Millis::new(0),
        expires_at: UnixMillis::new(0),
    };
    Some(Assignment {
        lease,
        job: offer.job,
        spec: offer.spec.clone(),
        index,
        segment: *segment,
        num_segments: u32::try_from(offer.segments.len()).ok()?,
    })
}
