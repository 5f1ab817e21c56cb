//! What the faults of verifiers share.

use anyhow::Context;
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

/// Waits until so many percent of the stake voted valid.
pub fn voted_valid(scenario: &Scenario, job: JobId, wanted: u128) -> anyhow::Result<VotesView> {
    let reached = |votes: &VotesView| percent(votes.stake_valid, votes) == wanted;
    let view: JobView = scenario.wait_for(job, &format!("voted on by {wanted} %"), |view| {
        view.votes.as_ref().is_some_and(reached)
    })?;
    view.votes.context("it was voted on")
}
