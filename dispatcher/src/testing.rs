//! A dispatcher without its server, for tests that look inside or hold its clock.

use std::path::Path;
use std::sync::Arc;

use proofgrid_core::network::{Answer, Fact, Input, Network, NetworkConfig, Refusal};
use proofgrid_core::units::UnixMillis;
use proofgrid_store::blob::{BlobStore, BlobStoreConfig};
use proofgrid_store::journal::{Journal, JournalConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::actor::{self, Actor, Counters, Feeds, Inbox, Reply, View};
use crate::clock::Clock;
use crate::effects::EffectParts;
use crate::shared::Shared;
use crate::{Assembly, assemble};

#[path = "../tests/support/fixtures.rs"]
#[allow(dead_code, reason = "shared with the tests from outside")]
mod fixtures;

pub(crate) use fixtures::*;

pub(crate) fn machine() -> NetworkConfig {
    crate::state_machine(&config(), &proofgrid_programs::registry()).unwrap()
}

/// What inputs leave behind, each applied at its time: so many milliseconds after this time yesterday.
pub(crate) fn facts_of(inputs: impl IntoIterator<Item = (u64, Input)>) -> Vec<Fact> {
    let mut network = Network::new(machine());
    let yesterday = (now() - 86_400) * 1_000;
    let apply = |(at, input)| network.apply(input, UnixMillis::new(yesterday + at)).facts;
    inputs.into_iter().flat_map(apply).collect()
}

pub(crate) fn store(directory: &Path) -> BlobStore {
    BlobStore::open(&BlobStoreConfig::new(directory)).unwrap()
}

/// A dispatcher after these facts, whose actor does not run yet.
pub(crate) struct Idle {
    pub(crate) actor: Actor,
    pub(crate) shared: Arc<Shared>,
    /// Where its blobs are; gone when dropped.
    pub(crate) directory: TempDir,
}

impl Idle {
    pub(crate) fn after(facts: &[Fact]) -> Self {
        Self::assembled(facts, Feeds::default(), Journal::open(&JournalConfig::memory()).unwrap())
    }

    /// With feeds that are empty yet and a journal that the facts are not written to.
    pub(crate) fn assembled(facts: &[Fact], mut feeds: Feeds, journal: Journal) -> Self {
        let network = Network::replay(machine(), facts.iter().cloned()).unwrap();
        for fact in facts {
            feeds.absorb(fact, network.state());
        }
        let directory = TempDir::new().unwrap();
        let programs = Arc::new(proofgrid_programs::registry());
        let (actor, shared) = assemble(Assembly {
            clock: Clock::default(),
            key: server_key(),
            config: config(),
            network,
            feeds,
            journal,
            compactor: None,
            blobs: store(directory.path()),
            judge: no_judge(Arc::clone(&programs)),
            programs,
            shutdown: CancellationToken::new(),
        });
        Self { actor, shared, directory }
    }

    /// Lets the actor run until the test's runtime ends.
    pub(crate) fn run(self) -> (Arc<Shared>, TempDir) {
        tokio::spawn(self.actor.run(CancellationToken::new()));
        (self.shared, self.directory)
    }
}

/// Answers an input as the actor would, over an empty state.
pub(crate) fn give(reply: Reply, answer: Result<Answer, Refusal>) {
    let (network, feeds) = (Network::new(machine()), Feeds::default());
    let view = View { network: &network, feeds: &feeds, counters: Counters::default() };
    reply(answer, &view);
}

/// What effects need, and the inbox that their results go to.
pub(crate) fn effect_parts() -> (EffectParts, Inbox, TempDir) {
    let (actor, inbox) = actor::inbox();
    let directory = TempDir::new().unwrap();
    let programs = Arc::new(proofgrid_programs::registry());
    let parts = EffectParts {
        actor,
        directory: Arc::default(),
        blobs: store(directory.path()),
        pins: Arc::default(),
        judge: no_judge(Arc::clone(&programs)),
        programs,
        expected: config().expected_workforce(),
        bonds: None,
        key: Arc::new(server_key()),
        network: config().network(),
    };
    (parts, inbox, directory)
}
