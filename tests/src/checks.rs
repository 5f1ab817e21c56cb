//! What must be true after every fault, whatever it was.

use alloy_primitives::keccak256;
use anyhow::{Context, ensure};
use proofgrid_core::certificate::TrustedEpoch;
use proofgrid_core::ids::{EpochNumber, JobId, TableDigest};
use proofgrid_node::cli::certificate::fetch;
use proofgrid_node::client::Client;
use proofgrid_node::job_view::JobView;
use proofgrid_oracle::view::ViewError;

use crate::Scenario;

/// States that a job is in only with a certificate.
const CERTIFIED: [&str; 3] = ["certified", "submitted", "settled"];
/// States that need a reason in words.
const REASONED: [&str; 3] = ["held", "rejected", "failed"];

impl Scenario {
    /// Nothing that was journaled is lost, nothing is paid or settled twice, no certificate is short of
    /// two thirds, and everybody is told.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> anyhow::Result<()> {
        for job in self.jobs() {
            let view = self.known(job)?;
            self.check_told(&view)?;
            if CERTIFIED.contains(&view.state.as_str()) {
                self.check_certified(job, &view)?;
            }
        }
        self.check_chain()
    }

    /// A job that was answered for is known, for ever.
    fn known(&self, job: JobId) -> anyhow::Result<JobView> {
        self.wait_until(&format!("job {job} was accepted and is now lost"), || self.job(job))
    }

    fn check_told(&self, view: &JobView) -> anyhow::Result<()> {
        let text = self.explain(view.id.parse()?)?;
        ensure!(!text.trim().is_empty(), "nothing explains {view:#?}");
        let silent = REASONED.contains(&view.state.as_str()) && view.reason.is_empty();
        ensure!(!silent, "{} without a reason: {view:#?}", view.state);
        Ok(())
    }

    /// The certificate verifies under the table that the chain names, and two thirds signed it.
    fn check_certified(&self, job: JobId, view: &JobView) -> anyhow::Result<()> {
        let votes = view.votes.as_ref().context("a certified job has votes")?;
        ensure!(votes.stake_attested * 3 >= votes.stake_total * 2, "short of 2/3: {votes:?}");
        let finals = |kind| {
            let mut all = view.submissions.iter();
            all.by_ref().filter(|found| found.kind == kind && found.state == "final").count()
        };
        ensure!(finals("certificate") <= 1 && finals("settlement") <= 1, "twice final: {view:#?}");
        ensure!(view.state != "settled" || finals("certificate") == 1, "not final: {view:#?}");
        let network = self.devnet.network_args();
        let (certificate, table) = self
            .block_on(async { fetch(&Client::connect(&network).await?, job).await })
            .map_err(|error| error.error)?;
        let digest = self.final_digest(table.epoch())?;
        certificate
            .verify(&table, TrustedEpoch::Digest(digest))
            .with_context(|| format!("the certificate of {job} does not verify"))?;
        Ok(())
    }

    /// The digest of an epoch's table in the final chain. The networks here go on one block behind the
    /// head, so a quick scenario is over before the chain calls its epoch final.
    fn final_digest(&self, epoch: EpochNumber) -> anyhow::Result<TableDigest> {
        self.wait_until(&format!("epoch {epoch} is final on-chain"), || {
            let asked = self.block_on(self.devnet.chain().epoch_digest(epoch));
            let unknown = |error: &anyhow::Error| {
                matches!(error.downcast_ref(), Some(ViewError::UnknownEpoch(_)))
            };
            match asked {
                Err(error) if unknown(&error) => Ok(None),
                asked => asked.map(Some),
            }
        })
    }

    /// No batch is attested twice, and no job is paid for twice or paid for and refunded.
    fn check_chain(&self) -> anyhow::Result<()> {
        let network = self.devnet.network();
        let ends = [
            topic("JobSettled(bytes32,bytes32,uint128,uint256)"),
            topic("JobRefunded(bytes32,address,uint128)"),
        ];
        let mut jobs: Vec<_> = self
            .events(&network.task_manager)?
            .into_iter()
            .filter(|event| event.first().is_some_and(|kind| ends.contains(kind)))
            .filter_map(|event| event.get(1).cloned())
            .collect();
        let mut batches = self.registry_events()?;
        let counts = (jobs.len(), batches.len());
        jobs.sort();
        jobs.dedup();
        batches.sort();
        batches.dedup();
        ensure!((jobs.len(), batches.len()) == counts, "twice on-chain: {jobs:#?} {batches:#?}");
        Ok(())
    }
}

fn topic(signature: &str) -> String {
    keccak256(signature).to_string()
}
