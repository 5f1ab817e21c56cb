//! Runs many seeds of the second layer on all cores: `proofgrid-simulate-wire SEEDS [FROM]`.

use std::process::ExitCode;

use proofgrid_simulator::{argument, run_wire, sweep};

const USAGE: &str = "SEEDS [FROM]";

fn simulate() -> Result<ExitCode, String> {
    let (seeds, from) = (argument(1, 100, USAGE)?, argument(2, 0, USAGE)?);
    let swept = sweep(from..from.saturating_add(seeds), |seed| run_wire(seed, None));
    if let (1, [report]) = (seeds, swept.reports.as_slice()) {
        println!("{report:?}");
    }
    println!("{}", swept.pace());
    let Some((seed, failure)) = swept.failures.first() else { return Ok(ExitCode::SUCCESS) };
    println!("{failure}\nagain: make sim-wire SEEDS=1 FROM={seed}");
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
