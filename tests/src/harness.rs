//! Runs the scenarios: several on one running network, one after the other, each under its own name.
//!
//! A network takes seconds to bring up, so scenarios that leave it whole share it. After every
//! scenario [`Scenario::check`] looks at every job that the network ever saw. A failed scenario takes
//! its network with it: the next one of the group gets a new network. When a network ends, its logs are
//! searched for its secrets.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, anyhow};
use proofgrid_node::devnet::network::DevnetOptions;

use crate::Scenario;
use crate::secrets::leaks;

/// Most networks at a time: each is a dozen processes.
const NETWORKS_MAX: usize = 2;

/// When a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// On every push.
    Push,
    /// With `--soak`.
    Soak,
}

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The fault; also the name of its file.
    pub name: &'static str,
    /// When it runs.
    pub tier: Tier,
    /// What happens and what must then be true.
    pub run: fn(&mut Scenario) -> anyhow::Result<()>,
}

/// A scenario of every push.
#[must_use]
pub const fn case(name: &'static str, run: fn(&mut Scenario) -> anyhow::Result<()>) -> Case {
    Case { name, tier: Tier::Push, run }
}

/// A scenario of the long run.
#[must_use]
pub const fn soak(name: &'static str, run: fn(&mut Scenario) -> anyhow::Result<()>) -> Case {
    Case { name, tier: Tier::Soak, run }
}

/// Scenarios that share a network.
#[derive(Clone, Debug)]
pub struct Group {
    /// For people.
    pub name: &'static str,
    /// How the network differs from the usual one.
    pub options: fn(&mut DevnetOptions),
    /// In the order in which they run.
    pub cases: Vec<Case>,
}

/// What the command line asks for; options of the usual harness that mean nothing here are ignored.
#[derive(Debug, Default)]
struct Wanted {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    soak: bool,
}

impl Wanted {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--exact" => wanted.exact = true,
                "--list" => wanted.list = true,
                "--soak" => wanted.soak = true,
                option if option.starts_with('-') => {}
                filter => wanted.filters.push(filter.to_owned()),
            }
        }
        wanted
    }

    fn wants(&self, case: &Case) -> bool {
        let fits = |filter: &String| {
            if self.exact { case.name == filter } else { case.name.contains(filter.as_str()) }
        };
        let named = self.filters.is_empty() || self.filters.iter().any(fits);
        named && (self.soak || case.tier == Tier::Push)
    }
}

/// What became of one scenario.
#[derive(Debug)]
struct Outcome {
    name: String,
    failed: Option<String>,
}

/// Runs what the command line asks for.
pub fn main(groups: Vec<Group>) -> ExitCode {
    let wanted = Wanted::parse(std::env::args().skip(1));
    let mut outcomes = vec![documented(&groups)];
    let mut queue = VecDeque::new();
    for mut group in groups {
        group.cases.retain(|case| wanted.wants(case));
        if !group.cases.is_empty() {
            queue.push_back(group);
        }
    }
    if wanted.list {
        for case in queue.iter().flat_map(|group| &group.cases) {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    outcomes.extend(run_all(queue));
    summary(&outcomes)
}

/// Every scenario stands in `docs/faults.md`.
fn documented(groups: &[Group]) -> Outcome {
    let text = std::fs::read_to_string(crate::root().join("docs/faults.md")).unwrap_or_default();
    let cases = groups.iter().flat_map(|group| &group.cases);
    let missing: Vec<_> =
        cases.map(|case| case.name).filter(|name| !text.contains(&format!("`{name}`"))).collect();
    let failed = (!missing.is_empty()).then(|| format!("docs/faults.md lacks {missing:?}"));
    say("documented", Instant::now(), failed.as_deref());
    Outcome { name: "documented".to_owned(), failed }
}

fn run_all(queue: VecDeque<Group>) -> Vec<Outcome> {
    let workers = NETWORKS_MAX.min(queue.len());
    let queue = Mutex::new(queue);
    let outcomes = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(group) = next() {
                    let done = run_group(&group);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_group(group: &Group) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut network = None;
    for case in &group.cases {
        let started = Instant::now();
        let failed = run_case(group, case, &mut network);
        say(case.name, started, failed.as_deref());
        if failed.is_some() {
            outcomes.extend(end(group, network.take()));
        }
        outcomes.push(Outcome { name: case.name.to_owned(), failed });
    }
    outcomes.extend(end(group, network));
    outcomes
}

fn run_case(group: &Group, case: &Case, network: &mut Option<Scenario>) -> Option<String> {
    let run = || {
        let scenario = match network.take() {
            Some(running) => network.insert(running),
            None => network.insert(Scenario::start(group.options)?),
        };
        (case.run)(scenario)?;
        scenario.check().context("the scenario passed, but what always holds does not")
    };
    let result =
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(anyhow!("it panicked")));
    let error = result.err()?;
    let logs = network.as_ref().map(|scenario| scenario.logs(25)).unwrap_or_default();
    Some(format!("{error:#}\n{logs}"))
}

/// Ends a network and searches what it leaves for its secrets.
fn end(group: &Group, network: Option<Scenario>) -> Option<Outcome> {
    let mut scenario = network?;
    let started = Instant::now();
    scenario.kill_all();
    let name = format!("secrets ({})", group.name);
    let failed = match leaks(scenario.devnet.layout()) {
        Ok(found) if found.is_empty() => None,
        Ok(found) => Some(format!("secrets were written: {found:#?}")),
        Err(error) => Some(format!("{error:#}")),
    };
    say(&name, started, failed.as_deref());
    Some(Outcome { name, failed })
}

fn say(name: &str, started: Instant, failed: Option<&str>) {
    let word = if failed.is_some() { "FAILED" } else { "ok" };
    println!("test {name} ... {word} ({:.1} s)", started.elapsed().as_secs_f32());
    if let Some(text) = failed {
        println!("--- {name}: {text}\n---");
    }
}

fn summary(outcomes: &[Outcome]) -> ExitCode {
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.failed.is_some())
        .map(|found| &found.name)
        .collect();
    println!("\n{} checks, {} failed {failed:?}", outcomes.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(arguments: &[&str]) -> Wanted {
        Wanted::parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn long_scenarios_run_only_when_they_are_asked_for() {
        let (short, long) = (case("kill_prover", |_| Ok(())), soak("kill_all", |_| Ok(())));
        assert!(wanted(&[]).wants(&short) && !wanted(&[]).wants(&long));
        assert!(wanted(&["--soak"]).wants(&long));
        assert!(!wanted(&["--soak", "prover"]).wants(&long));
        assert!(wanted(&["prover", "--test-threads=1"]).wants(&short));
        assert!(!wanted(&["prover", "--exact"]).wants(&short));
    }
}
