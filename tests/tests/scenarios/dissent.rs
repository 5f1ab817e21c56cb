//! Two disjoint minorities dissent on two statements; both certify.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use proofgrid_node::devnet::network::DevnetOptions;
use proofgrid_tests::hostile::{Lie, is_odd};
use proofgrid_tests::{NewJob, Scenario};

const DISSENTERS: [(&str, Lie); 2] =
    [("verifier-1", Lie::RefuseOdd), ("verifier-2", Lie::RefuseEven)];

/// The network of this fault.
pub fn network(options: &mut DevnetOptions) {
    // Each dissenter holds 30 %: the voters for either statement hold 70 %, those for both 40 %.
    options.stakes = vec![3, 3, 2, 2];
    options.not_started = DISSENTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    // Wide enough that both statements would meet in one batch.
    options.tuning.batch_window_ms = 2_000;
}

/// Neither statement is stopped.
pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    for (name, lie) in DISSENTERS {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_proofgrid-hostile")));
        command.args(["verifier", lie.name(), "--config"]);
        command.arg(scenario.devnet.layout().config(name));
        scenario.devnet.start_role_as(name, command)?;
    }
    let mut found = (None, None);
    for _ in 0..40 {
        let job = scenario.submit(&NewJob::keccak(1, scenario.nonce())?)?;
        let slot = if is_odd(&job) { &mut found.0 } else { &mut found.1 };
        slot.get_or_insert(job);
        if found.0.is_some() && found.1.is_some() {
            break;
        }
    }
    let odd = found.0.context("some job id is odd")?;
    let even = found.1.context("some job id is even")?;
    for job in [odd, even] {
        let view = scenario.wait_for_state(job, "settled")?;
        let votes = view.votes.context("it was voted on")?;
        ensure!(votes.stake_attested * 3 >= votes.stake_total * 2, "{votes:?}");
        ensure!(votes.stake_attested < votes.stake_total, "a dissenter signs nothing: {votes:?}");
    }
    Ok(())
}
