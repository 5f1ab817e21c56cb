//! What a demo run ended with, as a table and as `summary.json`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::balance::Balance;
use super::chain::TOKEN_WEI;
use super::dispute::Dispute;
use super::pay_day::PayDay;
use crate::job_view::{JobView, percent};
use crate::output::{self, millis, short};

/// A millionth of a token or coin, in its smallest unit.
const MICRO: u128 = TOKEN_WEI / 1_000_000;

/// The whole run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The jobs, in the order of their submission.
    pub jobs: Vec<JobSummary>,
    /// The dispute; none on a network whose stakes leave no room for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispute: Option<Dispute>,
    /// What operators were paid.
    pub pay_day: PayDay,
    /// From the first submit to the last check, milliseconds.
    pub total_ms: u64,
}

/// One job.
#[derive(Debug, Serialize)]
pub struct JobSummary {
    /// Job id.
    pub id: String,
    /// `grpc` or `contract`.
    pub source: String,
    /// Name of the program.
    pub program: String,
    /// State in one word.
    pub state: String,
    /// Number of segments.
    pub segments: usize,
    /// Prover of each segment.
    pub provers: Vec<String>,
    /// Proving time of all segments together, milliseconds.
    pub prove_ms: u64,
    /// Slowest verifier's judgement of all segments, milliseconds.
    pub verify_ms: u64,
    /// Stake that signed the certificate, decimal wei.
    pub stake_signed: String,
    /// Stake of the epoch, decimal wei.
    pub stake_total: String,
    /// Certificate id.
    pub certificate: String,
    /// Transaction that brought the certificate on-chain.
    pub tx_hash: String,
    /// Its gas.
    pub gas_used: u64,
    /// Transaction that paid the provers; empty for direct jobs, which are unpaid.
    pub settle_tx_hash: String,
    /// Its gas.
    pub settle_gas_used: u64,
    /// `proofgrid certificate verify` accepted the certificate without a network.
    pub certificate_verified_offline: bool,
    /// The contract says verified, after the challenge window.
    pub verified_on_chain: bool,
    /// From submit to settled, milliseconds.
    pub total_ms: u64,
}

impl JobSummary {
    /// Collects what is known of a job that ended.
    #[must_use]
    pub fn new(job: &JobView, program: &str, checks: Checks, total_ms: u64) -> Self {
        let votes = job.votes.as_ref();
        let certificate = job.submission("certificate");
        let settlement = job.submission("settlement");
        Self {
            id: job.id.clone(),
            source: job.source.into(),
            program: program.into(),
            state: job.state.clone(),
            segments: job.tasks.len(),
            provers: job.provers(),
            prove_ms: job.tasks.iter().map(|task| task.prove_ms).sum(),
            verify_ms: votes.map_or(0, |votes| votes.verify_ms),
            stake_signed: votes.map_or(0, |votes| votes.stake_attested).to_string(),
            stake_total: votes.map_or(0, |votes| votes.stake_total).to_string(),
            certificate: job.certificate.clone(),
            tx_hash: certificate.map(|tx| tx.tx_hash.clone()).unwrap_or_default(),
            gas_used: certificate.map_or(0, |tx| tx.gas_used),
            settle_tx_hash: settlement.map(|tx| tx.tx_hash.clone()).unwrap_or_default(),
            settle_gas_used: settlement.map_or(0, |tx| tx.gas_used),
            certificate_verified_offline: checks.offline,
            verified_on_chain: checks.on_chain,
            total_ms,
        }
    }

    /// Settled, and both checks agree.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.state == "settled" && self.certificate_verified_offline && self.verified_on_chain
    }

    /// What the table says about it, in the order of [`ROWS`].
    fn column(&self) -> [String; ROWS.len()] {
        let parse = |text: &str| text.parse::<u128>().unwrap_or(0);
        let provers: Vec<_> = self.provers.iter().map(|prover| short(prover)).collect();
        let tick = |ok: bool| if ok { "yes" } else { "NO" };
        [
            short(&self.id),
            self.program.clone(),
            self.state.clone(),
            self.segments.to_string(),
            provers.join("\n"),
            millis(self.prove_ms),
            millis(self.verify_ms),
            percent(parse(&self.stake_signed), parse(&self.stake_total)),
            short(&self.certificate),
            short(&self.tx_hash),
            self.gas_used.to_string(),
            tick(self.certificate_verified_offline).into(),
            tick(self.verified_on_chain).into(),
            millis(self.total_ms),
        ]
    }
}

/// Rows of the table; each job is a column, so that it fits an ordinary terminal.
const ROWS: [&str; 14] = [
    "job",
    "program",
    "state",
    "segments",
    "prover of each",
    "prove time, all segments",
    "verify time, slowest",
    "stake signed",
    "certificate",
    "transaction",
    "gas used",
    "certificate verified offline",
    "contract says verified",
    "total time",
];

/// What was checked after a job settled.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// The certificate verifies offline.
    pub offline: bool,
    /// The contract says verified.
    pub on_chain: bool,
}

impl Summary {
    /// Every job settled and checked, and the dispute and the pay day ended as the rules say.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        !self.jobs.is_empty()
            && self.jobs.iter().all(JobSummary::succeeded)
            && self.dispute.as_ref().is_none_or(Dispute::succeeded)
            && self.pay_day.succeeded()
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Prints the table.
    pub fn print(&self) {
        let disputed = self.dispute.as_ref().map(|dispute| dispute.job.as_str());
        let name = |job: &'_ JobSummary| {
            if disputed == Some(job.id.as_str()) {
                "disputed".to_owned()
            } else {
                job.source.clone()
            }
        };
        let names: Vec<String> = self.jobs.iter().map(name).collect();
        let header: Vec<&str> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
        let columns: Vec<_> = self.jobs.iter().map(JobSummary::column).collect();
        let row = |(index, name): (usize, &&str)| {
            let cells = columns.iter().filter_map(|column| column.get(index).cloned());
            [(*name).to_owned()].into_iter().chain(cells).collect()
        };
        let rows = ROWS.iter().enumerate().map(row).collect();
        output::line(&output::table(&header, rows).to_string());
        if let Some(dispute) = &self.dispute {
            print_dispute(dispute);
        }
        let disputed = self.dispute.iter().flat_map(|dispute| &dispute.balances);
        let row = |balance: &Balance| {
            let (before, after) = (tokens(&balance.before), tokens(&balance.after));
            let (whose, account) = (balance.whose.clone(), short(&balance.account));
            vec![whose, account, balance.what.to_owned(), before, after]
        };
        let rows = disputed.chain(&self.pay_day.balances).map(row).collect();
        let header = ["who", "account", "of", "before", "after"];
        output::line(&output::table(&header, rows).to_string());
    }
}

fn print_dispute(dispute: &Dispute) {
    let gas = |gas: u64| format!("{gas} gas");
    let rows = vec![
        vec!["voted valid".to_owned(), short(&dispute.operator)],
        vec!["refused statement".into(), short(&dispute.statement)],
        vec!["challenged by".into(), short(&dispute.challenger)],
        vec!["committed, revealed, upheld".into(), gas(dispute.challenge_gas_used)],
        vec!["slashed by".into(), tokens(&dispute.slashed) + " shares"],
        vec!["slash".into(), gas(dispute.slash_gas_used)],
    ];
    output::line(&output::table(&["the dispute", ""], rows).to_string());
}

/// An amount of 18 decimals, cut after the sixth.
fn tokens(units: &str) -> String {
    let Ok(units) = units.parse::<u128>() else { return units.to_owned() };
    let (whole, part) = (units / TOKEN_WEI, units % TOKEN_WEI / MICRO);
    if part == 0 { whole.to_string() } else { format!("{whole}.{part:06}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(tokens("0"), "0");
        assert_eq!(tokens("500000000000000000000"), "500");
        assert_eq!(tokens("1234567000000000000"), "1.234567");
        assert_eq!(tokens("1900000000000000"), "0.001900");
    }
}
