use proofgrid_core::ids::JobId;

use super::*;
use crate::races::Commitment;

const ME: Address = Address::from_bytes([3; 20]);
const PART: Part = Part { prover: ME, word: [9; 32] };
const STATEMENT: [u8; 32] = [7; 32];
/// Of every sight here.
const COMMIT_UNTIL: u64 = 100;
const REVEAL_UNTIL: u64 = 200;
const DEADLINE: u64 = 1_000;

const KEPT: Kept = Kept {
    id: RoundId { job: JobId::from_bytes([1; 32]), round: 2 },
    statement: StatementDigest::from_bytes(STATEMENT),
    deadline: UnixSeconds::new(DEADLINE),
    phase: Phase::Proved,
};

/// Round 2 at a second, with a commitment of ours in a state.
fn sight(time: u64, own: Option<(CommitmentState, [u8; 32])>) -> Sight {
    let own = own.map(|(state, word)| Commitment { prover: ME, state, stake: 5, word });
    let other = Commitment {
        prover: Address::from_bytes([4; 20]),
        state: CommitmentState::Committed,
        stake: 5,
        word: PART.word,
    };
    Sight {
        time: UnixSeconds::new(time),
        state: RaceState::Open,
        round: 2,
        commit_until: UnixSeconds::new(COMMIT_UNTIL),
        reveal_until: UnixSeconds::new(REVEAL_UNTIL),
        judge_until: UnixSeconds::new(300),
        commitments: std::iter::once(other).chain(own).collect(),
    }
}

const COMMITTED: Option<(CommitmentState, [u8; 32])> =
    Some((CommitmentState::Committed, PART.word));
const REVEALED: Option<(CommitmentState, [u8; 32])> = Some((CommitmentState::Revealed, STATEMENT));

fn due(head: &Sight, last: &Sight) -> Due {
    KEPT.due(PART, head, Some(last))
}

#[test]
fn it_commits_while_the_window_is_open_and_again_when_a_reorg_dropped_it() {
    let none = sight(50, None);
    assert_eq!(KEPT.due(PART, &none, None), Due::Commit, "nothing is final yet");
    assert_eq!(due(&none, &none), Due::Commit);
    assert_eq!(due(&sight(50, COMMITTED), &none), Due::Wait);
    // Whatever the last final block says, the head counts while the window is open.
    assert_eq!(due(&sight(99, None), &sight(50, COMMITTED)), Due::Commit, "dropped");
    assert_eq!(due(&sight(100, None), &none), Due::Wait, "the window is over");
}

#[test]
fn it_reveals_only_what_is_final_and_only_in_its_time() {
    let (before, after) = (sight(99, COMMITTED), sight(100, COMMITTED));
    assert_eq!(due(&before, &before), Due::Wait, "the window is open");
    assert_eq!(due(&after, &sight(50, None)), Due::Wait, "the commitment is not final");
    assert_eq!(KEPT.due(PART, &after, None), Due::Wait, "nothing is final");
    assert_eq!(due(&after, &sight(50, COMMITTED)), Due::Reveal);
    assert_eq!(due(&sight(199, COMMITTED), &after), Due::Reveal);
    assert_eq!(due(&sight(200, COMMITTED), &after), Due::Wait, "too late");
    assert_eq!(due(&sight(150, REVEALED), &after), Due::Wait, "done");
}

#[test]
fn it_gives_up_a_round_whose_commitment_is_gone_without_revealing() {
    for last in [None, COMMITTED] {
        assert_eq!(due(&sight(150, None), &sight(90, last)), Due::Wait);
    }
    // It comes back: then it is judged like any other.
    assert_eq!(due(&sight(150, COMMITTED), &sight(90, COMMITTED)), Due::Reveal);
}

#[test]
fn it_never_reveals_another_round_or_another_statement() {
    let next = Sight { round: 3, ..sight(150, COMMITTED) };
    assert_eq!(due(&next, &sight(90, COMMITTED)), Due::Wait, "round 2 is over at the head");
    assert_eq!(due(&sight(150, COMMITTED), &Sight { round: 1, ..sight(90, COMMITTED) }), Due::Wait);
    let other = Some((CommitmentState::Committed, [8; 32]));
    assert_eq!(due(&sight(150, other), &sight(90, other)), Due::Wait, "another statement");
    assert_eq!(due(&sight(150, COMMITTED), &sight(90, other)), Due::Wait);
}

#[test]
fn no_proof_leaves_before_the_window_is_over_for_good() {
    let may = |head: &Sight, last: &Sight| KEPT.may_show(PART, head, Some(last));
    let revealed = sight(150, REVEALED);
    assert!(!KEPT.may_show(PART, &revealed, None), "nothing is final");
    assert!(!may(&revealed, &sight(99, COMMITTED)), "a reorg could open the window again");
    assert!(!may(&sight(150, COMMITTED), &sight(120, COMMITTED)), "not revealed");
    assert!(!may(&revealed, &sight(120, None)), "no commitment of ours is final");
    assert!(!may(&sight(150, None), &sight(120, REVEALED)), "dropped");
    assert!(!may(&Sight { round: 3, ..revealed.clone() }, &sight(120, COMMITTED)));
    for state in [CommitmentState::Revealed, CommitmentState::Valid, CommitmentState::Invalid] {
        let head = sight(150, Some((state, STATEMENT)));
        assert!(may(&head, &sight(100, COMMITTED)));
        assert!(may(&head, &head));
        assert!(!may(&sight(150, Some((state, [8; 32]))), &sight(100, COMMITTED)));
    }
}

#[test]
fn a_round_is_over_when_its_end_is_final() {
    let head = sight(150, COMMITTED);
    for state in [RaceState::Won, RaceState::Lost] {
        let past = Sight { state, ..sight(250, REVEALED) };
        assert_eq!(due(&past, &head), Due::Wait, "at the head alone");
        assert_eq!(due(&past, &past), Due::Over);
    }
    let next = Sight { round: 3, ..sight(250, None) };
    assert_eq!(due(&next, &next), Due::Over);
    let lost = |time| Sight { state: RaceState::None, round: 0, ..sight(time, None) };
    assert_eq!(due(&lost(DEADLINE), &lost(DEADLINE)), Due::Wait, "the chain may bring it back");
    assert_eq!(due(&lost(DEADLINE + 1), &lost(DEADLINE + 1)), Due::Over);
}
