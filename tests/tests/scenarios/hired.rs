//! A prover of the scenario's own that holds a lease. The network's honest prover runs beside it and is
//! slower, so that work goes to the peer first and to the honest one after a fault.

use anyhow::{Context, bail, ensure};
use proofgrid_core::ids::JobId;
use proofgrid_core::network::{Assignment, LeaseRef};
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_proto::convert::CompletionReply;
use proofgrid_tests::peer::{Prover, lease_of};
use proofgrid_tests::{NewJob, Scenario};

use crate::common::{explained, task};

/// The network of these faults.
pub fn network(options: &mut DevnetOptions) {
    options.provers = 1;
    // A peer that comes back at once is there in time, also on a slow machine.
    options.tuning.dead_after_ms = 5_000;
}

/// A peer with work.
pub struct Hired {
    pub peer: Prover,
    pub job: JobId,
    pub input: Vec<u8>,
    pub work: Box<Assignment>,
}

/// Joins as `name`, submits a job and takes its only task.
pub fn hired(scenario: &Scenario, name: &str) -> anyhow::Result<Hired> {
    let mut peer = Prover::join(scenario, name)?;
    let new = NewJob::fibonacci(scenario.nonce());
    let job = scenario.submit(&new)?;
    let work = peer.assigned()?;
    ensure!(work.job == job, "the peer is the fastest: {work:?}");
    Ok(Hired { peer, job, input: new.input, work })
}

impl Hired {
    pub fn lease(&self) -> LeaseRef {
        lease_of(&self.work)
    }

    pub fn prove(&self) -> anyhow::Result<Vec<u8>> {
        self.peer.prove(&self.work, &self.input)
    }

    /// Delivers bytes that intake must refuse; the honest prover then does the work.
    pub fn must_be_refused(mut self, scenario: &Scenario, lie: &[u8]) -> anyhow::Result<()> {
        let lease = self.lease();
        self.peer.deliver(lease, lie)?;
        match self.peer.reply(lease)? {
            CompletionReply::Refused(text) => ensure!(!text.is_empty(), "it is told why"),
            other => bail!("the lie was answered with {other:?}"),
        }
        let liar = self.peer.address().to_string();
        explained(scenario, self.job, &["intake refused", &liar])?;
        rescued(scenario, self.job)
    }
}

/// The honest prover's proof counts.
pub fn rescued(scenario: &Scenario, job: JobId) -> anyhow::Result<()> {
    let view = scenario.wait_for_state(job, "settled")?;
    paid(scenario, job, &honest(scenario)?)?;
    ensure!(task(&view)?.attempt > 1, "it was tried before: {view:#?}");
    Ok(())
}

/// Address of the honest prover.
pub fn honest(scenario: &Scenario) -> anyhow::Result<String> {
    Ok(scenario.devnet.new_wallet_if_missing("prover-1")?.address().to_string())
}

/// The job settled, and this prover stands in its record.
pub fn paid(scenario: &Scenario, job: JobId, prover: &str) -> anyhow::Result<()> {
    let view = scenario.wait_for_state(job, "settled")?;
    let found = &view.tasks.first().context("a task")?.prover;
    ensure!(found == prover, "{prover} is paid, not {found}");
    Ok(())
}
