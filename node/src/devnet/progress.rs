//! Live progress of jobs: bars with an ETA on a terminal, plain lines otherwise.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::job_view::{JobView, percent};
use crate::output;

/// Plain lines repeat a state only when it moved by this much, in thousandths.
const LINE_STEP_PERMILLE: u64 = 100;

/// Where progress goes.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

/// The progress of one job.
#[derive(Debug)]
pub struct JobProgress {
    name: String,
    bar: Option<ProgressBar>,
    last: String,
    last_permille: u64,
}

impl Progress {
    /// Bars if standard output is a terminal, lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self { bars: std::io::stdout().is_terminal().then(MultiProgress::new) }
    }

    /// Adds a job under a short name.
    #[must_use]
    pub fn job(&self, name: &str) -> JobProgress {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(1000));
            bar.set_style(style());
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        JobProgress { name: name.to_owned(), bar, last: String::new(), last_permille: 0 }
    }

    /// Prints a line above the bars.
    pub fn line(&self, text: &str) {
        match &self.bars {
            // A terminal that went away is no reason to stop the network.
            Some(bars) => drop(bars.println(text)),
            None => output::line(text),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl JobProgress {
    /// Shows where the job is now.
    pub fn update(&mut self, job: &JobView) {
        let text = describe(job);
        let permille = overall_permille(job);
        if let Some(bar) = &self.bar {
            bar.set_position(permille);
            bar.set_message(text);
            if job.ended() {
                bar.finish();
            }
            return;
        }
        let moved = permille >= self.last_permille.saturating_add(LINE_STEP_PERMILLE);
        let key = format!("{}{}", job.state, job.submissions.len());
        if key != self.last || moved {
            output::line(&format!("{:<9} {:>3} %  {text}", self.name, permille / 10));
            self.last = key;
            self.last_permille = permille;
        }
    }
}

/// The bar's look; a template that does not parse falls back to the plain bar. The message is cut
/// at the terminal's edge: a bar that wraps leaves a line behind each time it is drawn again.
fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{prefix:9} {bar:32.cyan/blue} {percent:>3} %  {remaining:<8}  {wide_msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .with_key("remaining", write_remaining)
    .progress_chars("━╸─")
}

/// The time left, once there is something to extrapolate from and until there is nothing left.
fn write_remaining(state: &ProgressState, out: &mut dyn Write) {
    let known = state.pos() > 0 && !state.is_finished();
    // The text is padded by the template; a writer that fails has nowhere to say so.
    let _ = if known { write!(out, "ETA {:#}", HumanDuration(state.eta())) } else { Ok(()) };
}

/// Proving is most of the work; what follows is waiting for votes and blocks.
fn overall_permille(job: &JobView) -> u64 {
    match job.state.as_str() {
        "awaiting_input" | "accepted" => 0,
        "proving" => job.progress_permille().saturating_mul(6) / 10,
        "verifying" | "held" => 650,
        "certified" => 750,
        "submitted" => {
            let settling = job.submission("settlement").is_some();
            if settling { 900 } else { 800 }
        }
        _ => 1000,
    }
}

fn describe(job: &JobView) -> String {
    let done = job.tasks.iter().filter(|task| task.state == "accepted").count();
    match job.state.as_str() {
        "proving" => {
            let phases: Vec<_> = job
                .tasks
                .iter()
                .filter(|task| task.state == "leased")
                .map(|task| format!("#{} {}", task.index, task.phase))
                .collect();
            format!("proving, {done}/{} segments done {}", job.tasks.len(), phases.join(", "))
        }
        "verifying" => job.votes.as_ref().map_or_else(
            || "verifying".to_owned(),
            |votes| {
                let share = percent(votes.stake_valid, votes.stake_total);
                format!("verifying, {}/{} votes, {share} valid", votes.num_votes, votes.num_members)
            },
        ),
        "submitted" => job.submissions.last().map_or_else(
            || "submitted".to_owned(),
            |submission| format!("{} {}", submission.kind, submission.state),
        ),
        state if job.reason.is_empty() => state.to_owned(),
        state => format!("{state}: {}", job.reason),
    }
}
