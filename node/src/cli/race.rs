//! The races of a prover that runs in this process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use proofgrid_core::ids::{JobId, StatementDigest};
use proofgrid_core::units::UnixSeconds;
use proofgrid_oracle::racer::{Racer, RacerHandle, RacerSettings, Step};
use proofgrid_oracle::races::{RaceBook, RoundId};
use proofgrid_prover::race::{Race, RacePort, RaceStep};

use super::duties::{Duty, OwnAccount};
use crate::config::RaceSection;

/// The races that a prover may take part in, and its racer, which runs from now on.
///
/// # Errors
/// When the chain cannot be asked, is another one, takes a larger bond than is allowed, or what is on
/// disk is damaged.
pub async fn enter(
    section: &RaceSection,
    account: &mut OwnAccount<'_>,
    data_dir: &Path,
) -> anyhow::Result<(Race, Duty)> {
    let chain = section.chain()?;
    let task_manager = section.task_manager();
    let book = RaceBook::of(chain.clone(), task_manager.contract).await;
    let book = book.context("race.task_manager cannot be read")?;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    let bond_wei_max = u128::from(section.bond_wei_max);
    let settings = RacerSettings { finality: section.finality, bond_wei_max };
    let sender = account.on(chain)?;
    let (racer, handle) = Racer::open(book, sender, account.key(), settings, data_dir).await?;
    let duty = Duty::start("the racer", |stop| racer.run(stop));
    Ok((Race { task_manager, port: Arc::new(Port(handle)) }, duty))
}

#[derive(Debug)]
struct Port(RacerHandle);

impl RacePort for Port {
    fn can_race(&self) -> bool {
        self.0.standings().borrow().can_race
    }

    fn proved(&self, job: JobId, round: u8, statement: StatementDigest, deadline: UnixSeconds) {
        self.0.proved(RoundId { job, round }, statement, deadline);
    }

    fn standing(&self, job: JobId, round: u8) -> Option<(StatementDigest, RaceStep)> {
        let standings = self.0.standings();
        let known = standings.borrow().rounds.get(&RoundId { job, round }).copied();
        known.map(|(statement, step)| {
            let step = match step {
                Step::Keep => RaceStep::Keep,
                Step::Show => RaceStep::Show,
                Step::Over => RaceStep::Over,
            };
            (statement, step)
        })
    }

    fn forget(&self, job: JobId, round: u8) {
        self.0.forget(RoundId { job, round });
    }
}
