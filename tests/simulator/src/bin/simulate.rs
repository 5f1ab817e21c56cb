//! Runs many seeds on all cores: `proofgrid-simulate SEEDS [FROM] [PLANT]`.

use std::process::ExitCode;

use proofgrid_simulator::{Plant, Report, argument, plant, run, sweep};

const USAGE: &str = "SEEDS [FROM] [PLANT]";

fn add(sum: &mut Report, one: &Report) {
    sum.steps += one.steps;
    sum.jobs += one.jobs;
    sum.settled += one.settled;
    sum.held += one.held;
    sum.restarts += one.restarts;
    sum.reorgs += one.reorgs;
    sum.certificates += one.certificates;
}

fn simulate() -> Result<ExitCode, String> {
    let (seeds, from) = (argument(1, 1_000, USAGE)?, argument(2, 0, USAGE)?);
    let plant = plant(3, &Plant::ALL)?;
    let swept = sweep(from..from.saturating_add(seeds), |seed| run(seed, plant));
    let mut sum = Report::default();
    swept.reports.iter().for_each(|report| add(&mut sum, report));
    println!("{}\n{sum:?}", swept.pace());
    let Some((_, first)) = swept.failures.first() else { return Ok(ExitCode::SUCCESS) };
    println!("{first}");
    Ok(ExitCode::FAILURE)
}

fn main() -> ExitCode {
    match simulate() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
