//! State machines against models: proptest draws inputs, a small model of one table says what must
//! follow, and the network is held against it after every input. What fails shrinks to a short
//! list of inputs.
//!
//! The models know nothing of facts or indexes. `World::apply` checks every invariant after every
//! input; at the end of each case the journal, replayed, must give the same state.

mod jobs;
mod leases;
mod quorum;

use proptest::prelude::*;
use proptest::strategy::{Strategy, Union, ValueTree};
use proptest::test_runner::TestRunner;
use proptest_state_machine::ReferenceStateMachine;

use crate::network::{Answer, JOB_EDGES, Refusal};

use super::world::World;

/// What the network says to an input.
type Said = Result<Answer, Refusal>;

/// Longest list of inputs of one case.
const INPUTS_MAX: usize = 40;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 64, ..ProptestConfig::default() }
}

/// One of several kinds of input, by weight.
fn weighted<T: std::fmt::Debug + 'static>(kinds: Vec<(u32, BoxedStrategy<T>)>) -> BoxedStrategy<T> {
    Union::new_weighted(kinds).boxed()
}

/// Every job took only legal steps, and the journal gives the same state again.
fn check_at_the_end(world: &World) {
    for job in world.network.state().jobs.values() {
        let states: Vec<_> = job.history.iter().map(|entry| entry.state).collect();
        for pair in states.windows(2) {
            let legal = pair[0] == pair[1] || JOB_EDGES.contains(&(pair[0], pair[1]));
            assert!(legal, "{} went from {} to {}", job.id, pair[0], pair[1]);
        }
    }
    assert_eq!(world.replayed().state(), world.network.state(), "replay differs");
}

/// States that the model alone goes through in `cases` full cases of a fixed seed, so that a test
/// can say that the generator reaches what it is there for.
fn visited<M: ReferenceStateMachine>(cases: usize) -> Vec<M::State> {
    let mut runner = TestRunner::deterministic();
    let mut states = Vec::new();
    for _ in 0..cases {
        let tree = M::sequential_strategy(INPUTS_MAX).new_tree(&mut runner).unwrap();
        let (mut state, inputs, _) = tree.current();
        for input in inputs {
            state = M::apply(state, &input);
            states.push(state.clone());
        }
    }
    states
}
