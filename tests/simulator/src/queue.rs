//! What is going to happen, in order of time and, at one time, of insertion.

use std::collections::BTreeMap;

/// Milliseconds since the start of a run, by the true clock.
pub type Moment = u64;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    inserted: u64,
    events: BTreeMap<(Moment, u64), E>,
}

impl<E> Queue<E> {
    /// Nothing to come.
    pub const fn new() -> Self {
        Self { inserted: 0, events: BTreeMap::new() }
    }

    /// Adds an event after everything that is there for the same time.
    pub fn push(&mut self, at: Moment, event: E) {
        self.inserted += 1;
        self.events.insert((at, self.inserted), event);
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Moment, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
