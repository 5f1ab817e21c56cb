//! Many faults one after the other, drawn from a seed: any role is killed or hangs at any moment of a
//! job. For the long run.

use anyhow::{Context, ensure};
use proofgrid_tests::{NewJob, Scenario};

/// Faults, one job each.
const ROUNDS: u64 = 60;
/// Chosen once; a failure names it with the round.
const SEED: u64 = 0x5eed_2027;

/// Knuth's MMIX generator.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

pub fn run(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut state = SEED;
    let roles = scenario.devnet.roles();
    let moments = ["accepted", "proving", "verifying", "certified", "submitted"];
    for round in 0..ROUNDS {
        let pick = |from: usize, drawn: u64| usize::try_from(drawn).map(|drawn| drawn % from);
        let name = &roles[pick(roles.len(), next(&mut state))?];
        let moment = pick(moments.len(), next(&mut state))?;
        let hangs = next(&mut state).is_multiple_of(2);
        let told = || format!("seed {SEED:#x}, round {round}: {name}, {moment}, hangs: {hangs}");
        let job = scenario.submit(&NewJob::fibonacci(scenario.nonce()))?;
        let reached = |found: &str| moments.iter().position(|known| *known == found);
        scenario
            .wait_for(job, "far enough", |view| {
                view.ended() || reached(&view.state) >= Some(moment)
            })
            .with_context(told)?;
        if hangs {
            scenario.pause(name)?;
            scenario.resume(name)?;
        } else {
            scenario.kill(name)?;
            scenario.restart(name)?;
        }
        let view = scenario.wait_for_state(job, "settled").with_context(told)?;
        ensure!(view.id == job.to_string(), "{}", told());
        scenario.check().with_context(told)?;
    }
    Ok(())
}
