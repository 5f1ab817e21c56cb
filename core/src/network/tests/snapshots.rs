//! The bytes of a snapshot of the state: what one version writes, the next one reads.

use crate::crypto::hash::keccak256;
use crate::job::JobSpec;
use crate::network::*;
use crate::statement::Verdict;

use super::world::*;

/// A state with something in every part.
fn full() -> World {
    let mut world = World::staffed();
    world.connect(0, 2);
    let settled = world.planned(contract_spec(1, 1), 2);
    world.prove_all(&settled);
    let id = world.certify(&settled);
    let update = SubmissionUpdate::Final(inclusion(1));
    world.submission(SubmissionSubject::Certificate(id), update);
    let voted = world.planned(spec(2, 1), 1);
    let statement = world.prove_all(&voted);
    world.vote(0, statement, Verdict::Invalid);
    world.planned(JobSpec { stream: 1, sequence: 1, ..spec(3, 1) }, 4);
    world.ok(Input::DrainProver { prover: prover(3), drain: Drain::Start });
    let cancelled = world.planned(spec(4, 1), 1);
    let requester = address(4);
    world.ok(Input::CancelJob { job: cancelled, requester });
    world
}

#[test]
fn the_state_has_its_golden_bytes() {
    let world = full();
    let bytes = world.network.state().encode();
    assert_eq!(State::decode(&bytes).as_ref(), Ok(world.network.state()));
    // Another digest is another layout: a new version, which reads this one too, because the facts
    // that this state was made of may be gone.
    let digest = hex::encode(keccak256(&bytes));
    let golden = include_str!("state_v3.txt");
    if std::env::var_os("PROOFGRID_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/network/tests/state_v3.txt");
        std::fs::write(path, format!("{digest}\n")).unwrap();
    }
    assert_eq!((bytes[0], golden.trim()), (STATE_VERSION, digest.as_str()), "the layout changed");
}

/// A journal and a snapshot that were written before votes were sealed: `full` as it was then.
#[test]
fn what_was_written_before_votes_were_sealed_is_read() {
    let lines = include_str!("journal_v1.hex").lines().map(|line| hex::decode(line).unwrap());
    let journal: Vec<Vec<u8>> = lines.collect();
    let facts = || journal.iter().map(|bytes| Fact::decode(bytes).unwrap());
    for (fact, bytes) in facts().zip(&journal) {
        assert_eq!(fact.encode(), *bytes, "a fact has the bytes that it had");
    }
    let config = NetworkConfig::new(CHAIN, target());
    let replayed = Network::replay(config, facts()).unwrap();
    let snapshot = hex::decode(include_str!("state_v1.hex").trim()).unwrap();
    assert_eq!(snapshot[0], 1);
    let state = State::decode(&snapshot).unwrap();
    assert_eq!(replayed.state(), &state);
    assert_eq!(State::decode(&state.encode()).as_ref(), Ok(&state));
    // What was being voted on is asked for again, sealed.
    let mut world = World::new();
    world.network = replayed;
    world.network.resume(world.now);
    let statement = *state.voting.first().unwrap();
    world.verifier(1);
    assert!(world.effects.iter().any(|effect| matches!(effect,
        Effect::OpenVoting { digest, .. } if *digest == statement)));
}

/// Races stand behind all the rest: without them the bytes are those of the version before.
#[test]
fn a_snapshot_from_before_there_were_races_is_read() {
    let world = full();
    let mut bytes = world.network.state().encode();
    let races = borsh::to_vec(&Races::default()).unwrap();
    assert!(bytes.ends_with(&races));
    bytes.truncate(bytes.len() - races.len());
    bytes[0] = 2;
    assert_eq!(State::decode(&bytes).as_ref(), Ok(world.network.state()));
}

#[test]
fn a_damaged_state_is_refused_and_never_a_panic() {
    assert_eq!(State::decode(&[]), Err(StateDecodeError::Empty));
    let good = full().network.state().encode();
    let mut other = good.clone();
    other[0] = 9;
    assert_eq!(
        State::decode(&other),
        Err(StateDecodeError::Version { got: 9, expected: STATE_VERSION })
    );
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(State::decode(&longer), Err(StateDecodeError::Malformed { .. })));
    for cut in [1, good.len() / 2, good.len() - 1] {
        assert!(matches!(State::decode(&good[..cut]), Err(StateDecodeError::Malformed { .. })));
    }
}

#[test]
fn a_network_from_a_snapshot_owes_what_the_replayed_one_owes() {
    let world = full();
    let state = State::decode(&world.network.state().encode()).unwrap();
    let mut restored = Network::from_snapshot(world.network.config().clone(), state);
    let mut replayed = world.replayed();
    let effects = |network: &mut Network| format!("{:?}", network.resume(world.now));
    assert_eq!(effects(&mut restored), effects(&mut replayed));
    assert_eq!(restored.next_wakeup(), replayed.next_wakeup());
    restored.check_invariants().unwrap();
}
