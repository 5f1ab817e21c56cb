//! A verifier votes twice, the second time for the other verdict: the first word counts, once, and
//! whoever asks about the job or runs the dispatcher is told who it was.

use anyhow::ensure;
use proofgrid_core::network::InvalidDetail;
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Millis;
use proofgrid_proto::convert::{VerifierMessage, VerifierOrder};
use proofgrid_tests::peer::Verifier;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, settles};
use crate::verifiers::{each_once, vote, voted_valid};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    // Whether this key's 10 % count once, twice or on the other side decides nothing yet: 30 % and 10 %
    // are all who speak.
    for name in ["verifier-1", "verifier-3"] {
        scenario.pause(name)?;
    }
    scenario.kill("verifier-4")?;
    let mut liar = Verifier::join(scenario, "verifier-4")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let offer = liar.statement()?;
    let first = liar.sign(vote(&offer, Verdict::Valid));
    let recorded = |order| matches!(order, VerifierOrder::VoteRecorded(_)).then_some(());
    for _ in 0..2 {
        liar.vote(&first)?;
        liar.expect("an answer to the vote", recorded)?;
    }
    voted_valid(scenario, job, 40)?;
    let second = liar.sign(vote(&offer, Verdict::Invalid));
    liar.send(VerifierMessage::Vote {
        vote: second.vote,
        signature: second.signature,
        detail: Some(InvalidDetail { segment: 0, reason: "on second thoughts".into() }),
        judged_in: Millis::new(1),
    })?;
    liar.expect("an answer to the second vote", recorded)?;
    let votes = voted_valid(scenario, job, 40)?;
    ensure!((votes.num_votes, votes.stake_invalid) == (2, 0), "once, as at first: {votes:?}");
    let whose = second.operator.to_string();
    let words = [whose.as_str(), "contradicts itself: it voted valid"];
    explained(scenario, job, &words)?;
    let told = |line: &str| line.contains(&whose) && line.contains("contradicts itself");
    ensure!(scenario.log("dispatcher").lines().any(told), "the log of the dispatcher says so");

    for name in ["verifier-1", "verifier-3"] {
        scenario.resume(name)?;
    }
    each_once(scenario, job)?;
    drop(liar);
    scenario.restart("verifier-4")?;
    settles(scenario)?;
    Ok(())
}
