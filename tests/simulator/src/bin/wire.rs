//! Runs many seeds of the second layer on all cores: `proofgrid-simulate-wire SEEDS [FROM]`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use proofgrid_simulator::run_wire;

fn parse(position: usize, otherwise: u64) -> Result<u64, String> {
    let Some(text) = std::env::args().nth(position) else { return Ok(otherwise) };
    text.parse().map_err(|_| format!("`{text}` is no number; usage: SEEDS [FROM]"))
}

fn simulate() -> Result<ExitCode, String> {
    let (seeds, from) = (parse(1, 100)?, parse(2, 0)?);
    let end = from.saturating_add(seeds);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let begin = Instant::now();
    let share = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match run_wire(seed, None) {
                Ok(report) if seeds == 1 => println!("{report:?}"),
                Ok(_) => {}
                Err(failure) => {
                    stop.store(true, Ordering::Relaxed);
                    println!("{failure}\nagain: make sim-wire SEEDS=1 FROM={seed}");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(share);
        }
    });
    let ran = next.load(Ordering::Relaxed).min(end) - from;
    let seconds = begin.elapsed().as_secs_f64();
    let rate = ran as f64 / seconds * 60.0;
    println!("{ran} seeds from {from} in {seconds:.1} s: {rate:.0} seeds/minute");
    Ok(if stop.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
