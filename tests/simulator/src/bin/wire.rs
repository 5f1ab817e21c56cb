//! Runs many seeds of the second layer on all cores, each in a process of its own:
//! `proofgrid-simulate-wire SEEDS [FROM] [PLANT]`. One seed runs here.

use std::process::ExitCode;

use proofgrid_simulator::{WirePlant, argument, plant, run_wire, run_wire_alone, sweep};

const USAGE: &str = "SEEDS [FROM] [PLANT]";

fn one(seed: u64, plant: Option<WirePlant>) -> ExitCode {
    match run_wire(seed, plant) {
        Ok(report) => {
            println!("{report:?}\n{}", report.line());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn simulate() -> Result<ExitCode, String> {
    let (seeds, from) = (argument(1, 100, USAGE)?, argument(2, 0, USAGE)?);
    let plant = plant(3, &WirePlant::ALL)?;
    if seeds == 1 {
        return Ok(one(from, plant));
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let swept =
        sweep(from..from.saturating_add(seeds), |seed| run_wire_alone(&program, seed, plant));
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
