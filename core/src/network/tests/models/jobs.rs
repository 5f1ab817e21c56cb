//! The job table: where each input takes each job, and what is answered.

mod table;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::ids::{BlobDigest, JobId};
use crate::job::{JobSpec, Mode, Origin};
use crate::network::*;
use crate::statement::Verdict;
use crate::units::{ByteCount, UnixSeconds};

use super::super::world::*;
use super::{INPUTS_MAX, Said, check_at_the_end, config, visited, weighted};

use self::table::JobTable;

use JobStateKind as S;

const LIVE_MAX: usize = 5;
const LIVE_OF_ONE_MAX: usize = 3;
/// Beyond every case: what these times do is not the job table's.
const NEVER_MS: u64 = 1 << 40;

/// Nonces of each source: a contract keeps its own, apart from those of direct jobs.
const NONCES: u64 = 4;

/// Requester and nonce: a job's name before it is known. From [`NONCES`] up, the nonce counts the
/// contract's; the specification says it modulo [`NONCES`], so that the two sources collide.
type Key = (u8, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Direct,
    Contract,
    /// A contract job in a signed request.
    Forged,
    /// A mode that is not offered, either way.
    DirectRace,
    ContractRace,
}

impl Ask {
    fn is_contract(self) -> bool {
        matches!(self, Self::Contract | Self::ContractRace)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Post {
    Sent,
    Included,
    Final,
    Reorged,
    Failed,
    Settled,
}

#[derive(Clone, Debug)]
enum Do {
    Submit { key: Key, ask: Ask, span_s: u64 },
    Blob { key: Key, short: bool },
    Plan { key: Key, segments: u64 },
    RefusePlan { key: Key },
    Cancel { key: Key, owner: bool },
    Expire { key: Key, creator: bool },
    Connect,
    Prove { key: Key },
    VoteInvalid { key: Key },
    Certify { key: Key },
    Post { key: Key, post: Post },
    Pass { ms: u64 },
}

/// The input that a job names; jobs share it in pairs.
fn input_of((requester, nonce): Key) -> BlobDigest {
    BlobDigest::from_bytes([0x80 | requester << 4 | u8::try_from(nonce % NONCES / 2).unwrap(); 32])
}

fn spec_of(key: Key, ask: Ask, span_s: u64) -> JobSpec {
    let race = matches!(ask, Ask::DirectRace | Ask::ContractRace);
    let direct = matches!(ask, Ask::Direct | Ask::DirectRace);
    JobSpec {
        origin: if direct { Origin::Direct } else { Origin::Contract },
        mode: if race { Mode::Race } else { Mode::Assigned },
        deadline: UnixSeconds::new(START.as_seconds().get() + span_s),
        input: input_of(key),
        ..spec(key.0, key.1 % NONCES)
    }
}

/// How far a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posted {
    Owed,
    Sent,
    Included,
    Final,
}

/// One row of the table. Times are in ms since the start.
#[derive(Clone, Debug)]
struct Row {
    id: JobId,
    is_contract: bool,
    state: S,
    /// Until when a direct job waits for its input, and is of use at all.
    input_until: u64,
    over_at: u64,
    segments: Option<u64>,
    statement: u32,
    vote_due: u64,
    posted: Posted,
}

impl Row {
    fn is_open(&self) -> bool {
        matches!(self.state, S::AwaitingInput | S::Accepted | S::Proving | S::Verifying | S::Held)
    }
}

#[derive(Clone, Debug)]
struct Jobs {
    now: u64,
    connected: bool,
    rows: BTreeMap<Key, Row>,
    blobs: BTreeMap<BlobDigest, bool>,
    /// What the last input is answered.
    said: Said,
}

impl Jobs {
    fn id(&self, key: Key) -> JobId {
        let unknown = || spec_of(key, Ask::Direct, 1).id();
        self.rows.get(&key).map_or_else(unknown, |row| row.id)
    }

    fn live(&self, requester: Option<u8>) -> usize {
        let live = |(key, row): &(&Key, &Row)| {
            !row.state.is_terminal() && requester.is_none_or(|requester| requester == key.0)
        };
        self.rows.iter().filter(live).count()
    }

    fn submit(&mut self, key: Key, ask: Ask, span_s: u64) -> Said {
        let id = spec_of(key, ask, span_s).id();
        if self.rows.values().any(|row| row.id == id) {
            return Ok(Answer::AlreadyKnown(id));
        }
        if let Some(known) = self.rows.get(&key) {
            return Err(Refusal::NonceUsed { existing: known.id });
        }
        let (live, of_one) = (self.live(None), self.live(Some(key.0)));
        // What was paid for finds room whoever else is there.
        let bounded = !ask.is_contract();
        if bounded && live >= LIVE_MAX {
            return Err(Refusal::QueueFull { live, max: LIVE_MAX });
        }
        if bounded && of_one >= LIVE_OF_ONE_MAX {
            return Err(Refusal::RequesterFull { live: of_one, max: LIVE_OF_ONE_MAX });
        }
        let deadline = spec_of(key, ask, span_s).deadline;
        let refused = match ask {
            Ask::Forged => Some(Refusal::WrongOrigin),
            Ask::DirectRace | Ask::ContractRace => Some(Refusal::UnsupportedMode(Mode::Race)),
            _ if span_s <= self.now / 1000 => Some(Refusal::DeadlinePassed { deadline }),
            _ => None,
        };
        if let (Some(refusal), false) = (&refused, ask.is_contract()) {
            return Err(refusal.clone());
        }
        let state = match (refused, self.blobs.get(&input_of(key))) {
            (Some(_), _) | (None, Some(true)) => S::Rejected,
            (None, Some(false)) => S::Accepted,
            (None, None) => S::AwaitingInput,
        };
        let row = Row {
            id,
            is_contract: ask.is_contract(),
            state,
            input_until: (self.now + 600_000).min(span_s * 1000),
            over_at: span_s * 1000 + 60_000,
            segments: None,
            statement: 1,
            vote_due: 0,
            posted: Posted::Owed,
        };
        self.rows.insert(key, row);
        Ok(Answer::JobAccepted(id))
    }

    fn blob(&mut self, key: Key, short: bool) -> Said {
        let digest = input_of(key);
        if let Some(known) = self.blobs.insert(digest, short) {
            self.blobs.insert(digest, known);
            let (known, got) = (length(known), length(short));
            return if known == got {
                Ok(Answer::Done)
            } else {
                Err(Refusal::BlobLength { known, got })
            };
        }
        for (key, row) in &mut self.rows {
            if row.state == S::AwaitingInput && input_of(*key) == digest {
                row.state = if short { S::Rejected } else { S::Accepted };
            }
        }
        Ok(Answer::Done)
    }

    fn plan(&mut self, key: Key, segments: u64) -> Said {
        let (job, connected) = (self.id(key), self.connected);
        let row = self.rows.get_mut(&key).ok_or(Refusal::UnknownJob(job))?;
        if row.segments == Some(segments) {
            return Ok(Answer::Done);
        }
        if row.state != S::Accepted || row.segments.is_some() {
            return Err(Refusal::JobBeyond { job, state: row.state });
        }
        if segments == 0 || segments > 16 {
            row.state = S::Rejected;
            return Ok(Answer::Done);
        }
        row.segments = Some(segments);
        row.state = if connected { S::Proving } else { S::Accepted };
        Ok(Answer::Done)
    }

    fn refuse_plan(&mut self, key: Key) -> Said {
        let job = self.id(key);
        let row = self.rows.get_mut(&key).ok_or(Refusal::UnknownJob(job))?;
        if row.state != S::Accepted || row.segments.is_some() {
            return Err(Refusal::JobBeyond { job, state: row.state });
        }
        row.state = S::Rejected;
        Ok(Answer::Done)
    }

    fn cancel(&mut self, key: Key, owner: bool) -> Said {
        let job = self.id(key);
        let row = self.rows.get_mut(&key).ok_or(Refusal::UnknownJob(job))?;
        match row.state {
            _ if !owner => Err(Refusal::NotYours(job)),
            _ if row.is_contract => Err(Refusal::CancelOnChain(job)),
            state if state != S::Cancelled && !row.is_open() => {
                Err(Refusal::JobBeyond { job, state })
            }
            _ => {
                row.state = S::Cancelled;
                Ok(Answer::Done)
            }
        }
    }

    fn expire(&mut self, key: Key, creator: bool) -> Said {
        let job = self.id(key);
        let row = self.rows.get_mut(&key).ok_or(Refusal::UnknownJob(job))?;
        if !row.is_contract || !creator {
            return Err(Refusal::WrongContract(job));
        }
        if let state @ (S::Settled | S::Cancelled) = row.state {
            return Err(Refusal::JobBeyond { job, state });
        }
        row.state = S::Expired;
        Ok(Answer::Done)
    }

    fn post(&mut self, key: Key, post: Post) -> Said {
        let job = self.id(key);
        let row = self.rows.get_mut(&key).ok_or(Refusal::UnknownJob(job))?;
        if post == Post::Settled {
            if row.state == S::Certified || !row.is_contract {
                return Err(Refusal::NoSettlement(job));
            }
            row.state = S::Settled;
            return Ok(Answer::Done);
        }
        let known = row.posted == Posted::Final
            || post == Post::Sent && row.posted != Posted::Owed
            || post == Post::Reorged && row.posted == Posted::Owed;
        if known {
            return Ok(Answer::Done);
        }
        let (posted, state) = match post {
            Post::Sent => (Posted::Sent, S::Submitted),
            Post::Included => (Posted::Included, S::Submitted),
            Post::Final if row.is_contract => (Posted::Final, S::Submitted),
            Post::Final => (Posted::Final, S::Settled),
            _ => (Posted::Owed, S::Certified),
        };
        row.posted = posted;
        if row.state != S::Settled {
            row.state = state;
        }
        Ok(Answer::Done)
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        for row in self.rows.values_mut() {
            let no_input = row.state == S::AwaitingInput && row.input_until <= now;
            if !row.is_contract && (no_input || row.is_open() && row.over_at <= now) {
                row.state = S::Expired;
            } else if row.state == S::Verifying && row.vote_due <= now {
                row.state = S::Held;
            }
        }
    }

    fn advance(&mut self, input: &Do) -> Said {
        let now = self.now;
        match *input {
            Do::Submit { key, ask, span_s } => return self.submit(key, ask, span_s),
            Do::Blob { key, short } => return self.blob(key, short),
            Do::Plan { key, segments } => return self.plan(key, segments),
            Do::RefusePlan { key } => return self.refuse_plan(key),
            Do::Cancel { key, owner } => return self.cancel(key, owner),
            Do::Expire { key, creator } => return self.expire(key, creator),
            Do::Post { key, post } => return self.post(key, post),
            Do::Connect => {
                self.connected = true;
                for row in self.rows.values_mut() {
                    if row.state == S::Accepted && row.segments.is_some() {
                        row.state = S::Proving;
                    }
                }
            }
            Do::Prove { key } => {
                let row = self.rows.get_mut(&key).unwrap();
                (row.state, row.vote_due) = (S::Verifying, now + 120_000);
            }
            Do::VoteInvalid { key } => {
                let row = self.rows.get_mut(&key).unwrap();
                row.state = if row.statement == 3 { S::Failed } else { S::Proving };
                row.statement += 1;
            }
            Do::Certify { key } => {
                let row = self.rows.get_mut(&key).unwrap();
                (row.state, row.vote_due) = (S::Verifying, u64::MAX);
                self.pass(250);
                let row = self.rows.get_mut(&key).unwrap();
                if row.state == S::Verifying {
                    row.state = S::Certified;
                }
            }
            Do::Pass { ms } => self.pass(ms),
        }
        Ok(Answer::Done)
    }

    fn any(&self, key: Key, states: &[S]) -> bool {
        self.rows.get(&key).is_some_and(|row| states.contains(&row.state))
    }

    fn in_state(&self, states: &[S]) -> Vec<Key> {
        self.rows.keys().copied().filter(|key| self.any(*key, states)).collect()
    }
}

const VOTED_ON: &[S] = &[S::Verifying, S::Held];
const CERTIFIED: &[S] = &[S::Certified, S::Submitted, S::Settled];

fn length(short: bool) -> ByteCount {
    ByteCount::new(100 - u64::from(short))
}

struct JobModel;

impl ReferenceStateMachine for JobModel {
    type State = Jobs;
    type Transition = Do;

    fn init_state() -> BoxedStrategy<Jobs> {
        let (rows, blobs) = (BTreeMap::new(), BTreeMap::new());
        Just(Jobs { now: 0, connected: false, rows, blobs, said: Ok(Answer::Done) }).boxed()
    }

    fn transitions(jobs: &Jobs) -> BoxedStrategy<Do> {
        let key = || (0u8..2, 0u64..2 * NONCES);
        let ask = prop_oneof![
            8 => Just(Ask::Direct),
            8 => Just(Ask::Contract),
            1 => Just(Ask::Forged),
            1 => Just(Ask::DirectRace),
            1 => Just(Ask::ContractRace),
        ];
        let span_s = select(vec![3_600, 900, 300]);
        let ms = select(vec![250, 61_000, 121_000, 601_000]);
        let segments = prop_oneof![12 => 1u64..4, 1 => Just(0), 1 => Just(17)];
        let mut kinds = vec![
            (
                12,
                (key(), ask, span_s)
                    .prop_map(|((requester, nonce), ask, span_s)| {
                        let base = if ask.is_contract() { NONCES } else { 0 };
                        Do::Submit { key: (requester, base + nonce % NONCES), ask, span_s }
                    })
                    .boxed(),
            ),
            (
                8,
                (key(), prop::bool::weighted(0.1))
                    .prop_map(|(key, short)| Do::Blob { key, short })
                    .boxed(),
            ),
            (
                3,
                (key(), segments.clone())
                    .prop_map(|(key, segments)| Do::Plan { key, segments })
                    .boxed(),
            ),
            (1, key().prop_map(|key| Do::RefusePlan { key }).boxed()),
            (1, (key(), any::<bool>()).prop_map(|(key, owner)| Do::Cancel { key, owner }).boxed()),
            (
                1,
                (key(), any::<bool>())
                    .prop_map(|(key, creator)| Do::Expire { key, creator })
                    .boxed(),
            ),
            (4, ms.prop_map(|ms| Do::Pass { ms }).boxed()),
        ];
        if !jobs.connected {
            kinds.push((4, Just(Do::Connect).boxed()));
        }
        let mut on = |weight, states: &[S], then: BoxedStrategy<fn(Key) -> Do>| {
            let keys = jobs.in_state(states);
            if !keys.is_empty() {
                let input = (select(keys), then).prop_map(|(key, then)| then(key)).boxed();
                kinds.push((weight, input));
            }
        };
        on(6, &[S::Accepted], Just((|key| Do::Plan { key, segments: 2 }) as fn(Key) -> Do).boxed());
        on(10, &[S::Proving], Just((|key| Do::Prove { key }) as fn(Key) -> Do).boxed());
        on(4, VOTED_ON, Just((|key| Do::VoteInvalid { key }) as fn(Key) -> Do).boxed());
        on(6, VOTED_ON, Just((|key| Do::Certify { key }) as fn(Key) -> Do).boxed());
        let posts: Vec<fn(Key) -> Do> = vec![
            |key| Do::Post { key, post: Post::Sent },
            |key| Do::Post { key, post: Post::Included },
            |key| Do::Post { key, post: Post::Final },
            |key| Do::Post { key, post: Post::Reorged },
            |key| Do::Post { key, post: Post::Failed },
            |key| Do::Post { key, post: Post::Settled },
            |key| Do::Expire { key, creator: true },
        ];
        on(8, CERTIFIED, select(posts).boxed());
        weighted(kinds)
    }

    fn preconditions(jobs: &Jobs, input: &Do) -> bool {
        match *input {
            Do::Prove { key } => jobs.any(key, &[S::Proving]),
            Do::VoteInvalid { key } | Do::Certify { key } => jobs.any(key, VOTED_ON),
            Do::Post { key, .. } => jobs.any(key, CERTIFIED),
            Do::Connect => !jobs.connected,
            // A contract creates one job under each of its nonces.
            Do::Submit { key, ask, span_s } if ask.is_contract() => {
                let id = spec_of(key, ask, span_s).id();
                jobs.rows.get(&key).is_none_or(|row| row.id == id)
            }
            _ => true,
        }
    }

    fn apply(mut jobs: Jobs, input: &Do) -> Jobs {
        jobs.said = jobs.advance(input);
        jobs
    }
}

struct JobTest;

impl StateMachineTest for JobTest {
    type SystemUnderTest = JobTable;
    type Reference = JobModel;

    fn init_test(_: &Jobs) -> JobTable {
        let mut world = World::with(|config| {
            config.live_jobs_max = LIVE_MAX;
            config.live_jobs_per_requester_max = LIVE_OF_ONE_MAX;
            config.heartbeat_dead_after_ms = NEVER_MS;
            config.lease_max_ms = NEVER_MS;
            config.unclaimed_blob_ms = NEVER_MS;
            config.blob_retention_ms = NEVER_MS;
        });
        world.ok(Input::EpochFinal { keys: EPOCH.clone() });
        world.oracle();
        JobTable { world, ids: BTreeMap::new() }
    }

    fn apply(mut table: JobTable, jobs: &Jobs, input: Do) -> JobTable {
        let said = table.advance(input);
        assert_eq!(said, jobs.said);
        table
    }

    fn check_invariants(table: &JobTable, jobs: &Jobs) {
        let state = table.world.network.state();
        let states: BTreeMap<JobId, S> =
            state.jobs.values().map(|job| (job.id, job.state.kind())).collect();
        let model: BTreeMap<JobId, S> = jobs.rows.values().map(|row| (row.id, row.state)).collect();
        assert_eq!(states, model);
        assert_eq!(state.live_jobs, jobs.live(None));
    }

    fn teardown(table: JobTable, _: Jobs) {
        check_at_the_end(&table.world);
    }
}

static EPOCH: std::sync::LazyLock<crate::epoch::EpochKeys> =
    std::sync::LazyLock::new(|| epoch_keys(1));

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn jobs_go_where_the_table_says(sequential 1..=INPUTS_MAX => JobTest);
}

#[test]
fn the_model_of_jobs_reaches_every_state() {
    let reached: std::collections::BTreeSet<S> = visited::<JobModel>(64)
        .iter()
        .flat_map(|jobs| jobs.rows.values().map(|row| row.state).collect::<Vec<_>>())
        .collect();
    // Races have tests of their own; no program of this model is raced for.
    let all = S::ALL.into_iter().filter(|state| *state != S::Racing);
    assert_eq!(reached, all.collect());
}
