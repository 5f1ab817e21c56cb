//! A seed in a process of its own, so that nothing of another seed is in it.

use std::path::Path;
use std::process::Command;

use borsh::BorshDeserialize;

use super::{WirePlant, WireReport};

/// What stands before a report that a program reads.
const REPORT: &str = "report ";

/// Runs one seed in a process of its own: `program` is `proofgrid-simulate-wire`, whose last line is
/// the report.
///
/// # Errors
/// What it said, if a rule broke or it did not come to an end.
pub fn run_wire_alone(
    program: &Path,
    seed: u64,
    plant: Option<WirePlant>,
) -> Result<WireReport, String> {
    let mut command = Command::new(program);
    command.args(["1", &seed.to_string()]).args(plant.map(|plant| format!("{plant:?}")));
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let report = said.lines().find_map(|line| line.strip_prefix(REPORT));
    match report.and_then(WireReport::from_text) {
        Some(report) if output.status.success() => Ok(report),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("{said}{errors}seed {seed} ended with {}", output.status))
        }
    }
}

impl WireReport {
    /// The line by which a process tells another.
    #[must_use]
    pub fn line(&self) -> String {
        let bytes = borsh::to_vec(self).expect("a Vec takes every write");
        format!("{REPORT}{}", alloy_primitives::hex::encode(bytes))
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::try_from_slice(&alloy_primitives::hex::decode(text).ok()?).ok()
    }
}
