//! What facts about races say to those who watch.

use proofgrid_core::network::{Change, JobStateKind};

use super::Said;

/// What a fact says; `None` if it is not about a race.
pub(super) fn read(change: &Change) -> Option<Said> {
    Some(match change {
        Change::RaceRoundOpened { job, round } => Said::new(
            *job,
            format!("round {} takes commitments until {}", round.number, round.commit_until),
        ),
        Change::RaceRevealed { job, round, prover, statement } => {
            Said::new(*job, format!("round {round}: {prover} revealed statement {statement}"))
        }
        Change::RaceEntered { job, round, prover, opened } => {
            let proofs = opened.records.len();
            Said::new(*job, format!("round {round}: {prover} is to hand in {proofs} proofs"))
        }
        Change::RaceEntryOpened { job, round, prover } => {
            Said::new(*job, format!("round {round}: the entry of {prover} is before the verifiers"))
        }
        Change::RaceEntryClosed { job, round, prover, reason } => {
            Said::new(*job, format!("round {round}: the entry of {prover} is closed: {reason}"))
        }
        Change::RaceRoundClosed { job, round, winners } => {
            Said::new(*job, format!("round {round} is over; {winners} entries won"))
        }
        Change::RaceSettled { job, event, .. } => {
            let text = format!("settled in block {}; the winners share the fee", event.block);
            Said::new(*job, text).moves_to(JobStateKind::Settled)
        }
        _ => return None,
    })
}
