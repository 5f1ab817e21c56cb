//! Runs many seeds on all cores: `proofgrid-simulate SEEDS [FROM] [PLANT]`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use proofgrid_simulator::{Failure, Plant, Report, run};

fn parse(position: usize, otherwise: u64) -> Result<u64, String> {
    let Some(text) = std::env::args().nth(position) else { return Ok(otherwise) };
    text.parse().map_err(|_| format!("`{text}` is no number; usage: SEEDS [FROM] [PLANT]"))
}

fn plant() -> Result<Option<Plant>, String> {
    let Some(text) = std::env::args().nth(3) else { return Ok(None) };
    let found = Plant::ALL.into_iter().find(|plant| format!("{plant:?}") == text);
    found.map(Some).ok_or_else(|| format!("`{text}` is no plant; one of {:?}", Plant::ALL))
}

/// Every seed of a share; the first failure stops all shares.
fn share(
    next: &AtomicU64,
    end: u64,
    stop: &AtomicBool,
    plant: Option<Plant>,
) -> (Report, Vec<Failure>) {
    let mut sum = Report::default();
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        match run(seed, plant) {
            Ok(report) => add(&mut sum, &report),
            Err(failure) => {
                failures.push(*failure);
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
    (sum, failures)
}

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
    let (seeds, from, plant) = (parse(1, 1_000)?, parse(2, 0)?, plant()?);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let started = Instant::now();
    let mut sum = Report::default();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let work = || share(&next, from.saturating_add(seeds), &stop, plant);
        let shares: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for handle in shares {
            match handle.join() {
                Ok((report, failed)) => {
                    add(&mut sum, &report);
                    failures.extend(failed);
                }
                Err(_) => stop.store(true, Ordering::Relaxed),
            }
        }
    });
    let ran = next.load(Ordering::Relaxed).min(from.saturating_add(seeds)) - from;
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let rate = ran as f64 / minutes;
    println!("{ran} seeds from {from} in {:.1} s: {rate:.0} seeds/minute", minutes * 60.0);
    println!("{sum:?}");
    failures.sort_by_key(|failure| failure.seed);
    let Some(first) = failures.first() else { return Ok(ExitCode::SUCCESS) };
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
