//! What several faults need.

use std::process::Output;

use anyhow::{Context, bail, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_node::job_view::{JobView, TaskView};
use proofgrid_tests::{NewJob, Scenario};

/// Times that a prover may be faster than the scenario that wants to catch it at work.
const CATCHES_MAX: usize = 5;

/// The only task of a job of one segment.
pub fn task(view: &JobView) -> anyhow::Result<&TaskView> {
    view.tasks.first().with_context(|| format!("the job has a task: {view:#?}"))
}

/// Names of the network's provers.
pub fn provers(scenario: &Scenario) -> Vec<String> {
    scenario.devnet.roles().into_iter().filter(|name| name.starts_with("prover")).collect()
}

/// Submits a job and pauses the prover that works on it, in the middle.
pub fn caught_proving(scenario: &mut Scenario) -> anyhow::Result<(JobId, String)> {
    let (_, job, prover) = caught(scenario, |scenario| Ok(NewJob::slow(scenario.nonce())))?;
    Ok((job, prover))
}

/// The same with a job of one's own, which must take a while.
pub fn caught(
    scenario: &mut Scenario,
    slow: impl Fn(&Scenario) -> anyhow::Result<NewJob>,
) -> anyhow::Result<(NewJob, JobId, String)> {
    for _ in 0..CATCHES_MAX {
        let new = slow(scenario)?;
        let job = scenario.submit(&new)?;
        let view = scenario.wait_for(job, "leased", |view| {
            view.tasks.first().is_some_and(|task| ["leased", "accepted"].contains(&&*task.state))
        })?;
        let address = task(&view)?.prover.clone();
        let name = named(scenario, &address)?;
        scenario.pause(&name)?;
        if holds(scenario, job, &address)? {
            return Ok((new, job, name));
        }
        scenario.resume(&name)?;
    }
    bail!("{CATCHES_MAX} proofs were done before they could be interrupted")
}

/// Whether the paused prover's proof is not done. Its log says so before anybody else can know.
pub fn holds(scenario: &Scenario, job: JobId, prover: &str) -> anyhow::Result<bool> {
    let view = scenario.job(job)?.context("the job is known")?;
    let task = task(&view)?;
    let log = scenario.log(&named(scenario, prover)?);
    if log.lines().any(|line| line.contains(" proved ") && line.contains(&task.id)) {
        return Ok(false);
    }
    let text = scenario.explain(job)?;
    Ok(task.state == "leased" && task.prover == prover && !text.contains("at intake"))
}

/// The role of a prover's wallet.
pub fn named(scenario: &Scenario, address: &str) -> anyhow::Result<String> {
    for name in provers(scenario) {
        if scenario.devnet.new_wallet_if_missing(&name)?.address().to_string() == address {
            return Ok(name);
        }
    }
    bail!("{address} is no prover of this network")
}

/// A job that meets no fault settles: the network is whole again.
pub fn settles(scenario: &Scenario) -> anyhow::Result<JobView> {
    let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
    scenario.wait_for_state(job, "settled")
}

/// What `explain` says must name something.
pub fn explained(scenario: &Scenario, job: JobId, words: &[&str]) -> anyhow::Result<()> {
    let text = scenario.explain(job)?;
    for word in words {
        ensure!(text.contains(word), "{word:?} is not explained:\n{text}");
    }
    Ok(())
}

/// What a command printed, to both of its streams.
pub fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}
