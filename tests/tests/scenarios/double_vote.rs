//! A verifier commits twice and votes twice, the second time for the other verdict: the first word
//! counts, once, and whoever asks about the job or runs the dispatcher is told who it was.

use anyhow::ensure;
use proofgrid_core::network::InvalidDetail;
use proofgrid_core::statement::Verdict;
use proofgrid_proto::convert::VerifierOrder;
use proofgrid_tests::peer::Verifier;
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, settles};
use crate::verifiers::{each_once, vote};

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    scenario.kill("verifier-4")?;
    let mut liar = Verifier::join(scenario, "verifier-4")?;
    // 60 % are no commit set yet, so that nothing closes before the liar has said all it wants.
    scenario.pause("verifier-2")?;
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    let offer = liar.statement()?;
    let first = liar.sign(vote(&offer, Verdict::Valid));
    let second = liar.sign(vote(&offer, Verdict::Invalid));
    let committed = |order| matches!(order, VerifierOrder::CommitRecorded(_)).then_some(());
    for _ in 0..2 {
        liar.commit(&first)?;
        liar.expect("an answer to the commitment", committed)?;
    }
    liar.commit(&second)?;
    let refused = |order| matches!(order, VerifierOrder::Refused(_)).then_some(());
    liar.expect("a refusal of the second commitment", refused)?;
    scenario.resume("verifier-2")?;

    let set = liar.commit_set()?;
    ensure!(set.commitments().len() >= 3, "two thirds committed: {set:?}");
    let recorded = |order| matches!(order, VerifierOrder::VoteRecorded(_)).then_some(());
    for _ in 0..2 {
        liar.open(&first, None)?;
        liar.expect("an answer to the vote", recorded)?;
    }
    let detail = InvalidDetail { segment: 0, reason: "on second thoughts".into() };
    liar.open(&second, Some(detail))?;
    liar.expect("an answer to the second vote", recorded)?;
    let whose = second.operator.to_string();
    let words = [whose.as_str(), "contradicts itself: it voted valid"];
    explained(scenario, job, &words)?;
    let told = |line: &str| line.contains(&whose) && line.contains("contradicts itself");
    ensure!(scenario.log("dispatcher").lines().any(told), "the log of the dispatcher says so");

    each_once(scenario, job)?;
    drop(liar);
    scenario.restart("verifier-4")?;
    settles(scenario)?;
    Ok(())
}
