//! Random steps on every engine against a list.

use std::marker::PhantomData;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tokio::runtime::Runtime;

use super::homes::{Home, abandon};
use super::*;

/// What a journal should hold: the lengths of all payloads ever appended, and where it starts.
#[derive(Clone, Debug)]
struct Model {
    first: u64,
    lengths: Vec<usize>,
}

impl Model {
    fn next(&self) -> u64 {
        self.lengths.len() as u64 + 1
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        (self.first..self.next())
            .zip(self.lengths.iter().skip((self.first - 1) as usize))
            .map(|(sequence, length)| payload(sequence, *length))
            .collect()
    }
}

/// A payload that follows from its place and length.
fn payload(sequence: u64, length: usize) -> Vec<u8> {
    sequence.to_be_bytes().into_iter().cycle().take(length).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// One append of records with these lengths.
    Append(Vec<usize>),
    /// Appends that are queued before the first is waited for.
    Group(Vec<usize>),
    /// A replay from this place.
    Replay(u64),
    Truncate(u64),
    /// Close or drop, and open again.
    Reopen {
        is_closed: bool,
    },
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { first: 1, lengths: Vec::new() }).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let length = || prop_oneof![8 => 0..300usize, 1 => Just(RECORD_BYTES_MAX)];
        let place = 1..state.next() + 3;
        prop_oneof![
            4 => proptest::collection::vec(length(), 1..20).prop_map(Step::Append),
            2 => proptest::collection::vec(length(), 1..20).prop_map(Step::Group),
            1 => place.clone().prop_map(Step::Replay),
            2 => place.prop_map(Step::Truncate),
            1 => any::<bool>().prop_map(|is_closed| Step::Reopen { is_closed }),
        ]
        .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match step {
            Step::Append(lengths) | Step::Group(lengths) => state.lengths.extend(lengths),
            Step::Truncate(first) if *first <= state.next() => {
                state.first = state.first.max(*first);
            }
            Step::Truncate(_) | Step::Replay(_) | Step::Reopen { .. } => {}
        }
        state
    }
}

/// The journal under test.
struct Subject {
    runtime: Runtime,
    home: Home,
    journal: Journal,
}

impl Subject {
    fn append(&self, model: &Model, lengths: &[usize], is_one: bool) {
        let first = model.next() - lengths.len() as u64;
        let records: Vec<_> =
            (first..).zip(lengths).map(|(place, length)| payload(place, *length)).collect();
        let appends = match is_one {
            true => vec![records],
            false => records.into_iter().map(|record| vec![record]).collect(),
        };
        self.runtime.block_on(async {
            let mut acks = Vec::new();
            for append in appends {
                acks.push(self.journal.append(append).await.expect("queued"));
            }
            let mut next = Sequence::new(first);
            for ack in acks {
                let committed = ack.await.expect("committed");
                assert_eq!(committed.first, next);
                next = committed.last.next();
            }
            assert_eq!(next, Sequence::new(model.next()));
        });
    }

    fn replay(&self, model: &Model, from: u64) {
        let found = self.runtime.block_on(payloads(&self.journal, Sequence::new(from)));
        let (from, first) = (Sequence::new(from), Sequence::new(model.first));
        if from < first {
            return assert_eq!(found, Err(JournalError::Truncated { from, first }));
        }
        let skipped = (from.get() - first.get()) as usize;
        let expected: Vec<_> = model.kept().into_iter().skip(skipped).collect();
        assert_eq!(found, Ok(expected));
    }

    fn truncate(&self, model: &Model, first: u64) {
        let result = self.runtime.block_on(self.journal.truncate_before(Sequence::new(first)));
        let (first, next) = (Sequence::new(first), Sequence::new(model.next()));
        match first > next {
            true => assert_eq!(result, Err(JournalError::TruncatedAhead { first, next })),
            false => assert_eq!(result, Ok(())),
        }
    }

    fn reopen(self, is_closed: bool) -> Self {
        let Self { runtime, home, journal } = self;
        match is_closed {
            true => runtime.block_on(journal.close()).expect("closes"),
            false => abandon(journal),
        }
        let journal = home.open();
        Self { runtime, home, journal }
    }
}

/// Names an engine in a type.
trait Kind {
    const KIND: EngineKind;
}

struct Memory;
struct Sled;
struct Redb;

impl Kind for Memory {
    const KIND: EngineKind = EngineKind::Memory;
}

impl Kind for Sled {
    const KIND: EngineKind = EngineKind::Sled;
}

impl Kind for Redb {
    const KIND: EngineKind = EngineKind::Redb;
}

struct Against<K>(PhantomData<K>);

impl<K: Kind> StateMachineTest for Against<K> {
    type SystemUnderTest = Subject;
    type Reference = Model;

    fn init_test(_: &Model) -> Subject {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let home = Home::new(K::KIND);
        let journal = home.open();
        Subject { runtime, home, journal }
    }

    fn apply(subject: Subject, model: &Model, step: Step) -> Subject {
        match step {
            Step::Append(lengths) => subject.append(model, &lengths, true),
            Step::Group(lengths) => subject.append(model, &lengths, false),
            Step::Replay(from) => subject.replay(model, from),
            Step::Truncate(first) => subject.truncate(model, first),
            Step::Reopen { is_closed } => {
                let subject = subject.reopen(is_closed);
                subject.replay(model, model.first);
                return subject;
            }
        }
        subject
    }

    fn check_invariants(subject: &Subject, model: &Model) {
        let stats = subject.journal.stats();
        assert_eq!(stats.first_sequence.get(), model.first);
        assert_eq!(stats.last_sequence + 1, model.next());
    }

    fn teardown(subject: Subject, model: Model) {
        subject.replay(&model, model.first);
        subject.runtime.block_on(subject.journal.close()).expect("closes");
    }
}

/// A test of a file costs flushes; the map in memory explores most.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

prop_state_machine! {
    #![proptest_config(config(48))]
    #[test]
    fn memory_does_what_the_list_does(sequential 1..40 => Against<Memory>);
}

prop_state_machine! {
    #![proptest_config(config(12))]
    #[test]
    fn sled_does_what_the_list_does(sequential 1..25 => Against<Sled>);
    #[test]
    fn redb_does_what_the_list_does(sequential 1..25 => Against<Redb>);
}
