//! The power goes: every role is killed with signal 9 at once, one job in the middle of its proof, one
//! in the middle of its vote.

use anyhow::ensure;
use proofgrid_node::job_view::VotesView;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::caught_proving;

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    for name in ["verifier-1", "verifier-2"] {
        scenario.pause(name)?;
    }
    let voting = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for(voting, "committed to by those who run", |view| {
        let committed = |votes: &VotesView| votes.stake_committed * 10 == votes.stake_total * 3;
        view.votes.as_ref().is_some_and(committed)
    })?;
    let (proving, _) = caught_proving(scenario)?;
    let roles = scenario.devnet.roles();
    for name in &roles {
        scenario.kill(name)?;
    }
    ensure!(scenario.job(voting)?.is_none(), "nobody answers");
    for name in &roles {
        scenario.restart(name)?;
    }
    for job in [voting, proving] {
        scenario.wait_for_state(job, "settled")?;
    }
    Ok(())
}
