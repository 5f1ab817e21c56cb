//! What the faults of verifiers share.

use anyhow::{Context, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_core::statement::Verdict;
use proofgrid_core::vote::Vote;
use proofgrid_node::job_view::{JobView, VotesView};
use proofgrid_proto::convert::StatementOffer;
use proofgrid_tests::Scenario;

/// The vote on an offer.
pub fn vote(offer: &StatementOffer, verdict: Verdict) -> Vote {
    Vote { epoch: offer.epoch, table: offer.table, statement: offer.digest, verdict }
}

/// Part of the stake, in percent.
pub fn percent(part: u128, votes: &VotesView) -> u128 {
    part.saturating_mul(100).checked_div(votes.stake_total).unwrap_or(0)
}

/// Waits until so many percent of the stake committed to a vote.
pub fn committed(scenario: &Scenario, job: JobId, wanted: u128) -> anyhow::Result<VotesView> {
    let reached = |votes: &VotesView| percent(votes.stake_committed, votes) == wanted;
    let view: JobView = scenario.wait_for(job, &format!("committed to by {wanted} %"), |view| {
        view.votes.as_ref().is_some_and(reached)
    })?;
    view.votes.context("it was voted on")
}

/// Members of 40, 30, 20 and 10 % voted valid, each once; whoever came too late was not asked.
pub fn each_once(scenario: &Scenario, job: JobId) -> anyhow::Result<()> {
    let view = scenario.wait_for_state(job, "settled")?;
    let votes = view.votes.context("it was voted on")?;
    let possible: &[u128] = match votes.num_votes {
        4 => &[100],
        3 => &[70, 80, 90],
        2 => &[70],
        _ => &[],
    };
    let found = percent(votes.stake_valid, &votes);
    ensure!(votes.stake_invalid == 0 && possible.contains(&found), "each once: {votes:?}");
    Ok(())
}
