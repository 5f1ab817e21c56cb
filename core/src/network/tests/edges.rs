//! The tables of legal edges against the documents, and against themselves.

use std::collections::BTreeSet;

use crate::ids::{EpochNumber, StatementDigest};
use crate::network::*;

use super::world::*;

/// Rows `| from | to, to |` of the document under a heading.
fn documented(heading: &str) -> BTreeSet<(String, String)> {
    let text = include_str!("../../../../docs/protocol.md");
    let section = text.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading:?}"));
    section
        .lines()
        .skip(1)
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .flat_map(|line| {
            let cells: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.replace('`', "").trim().to_owned())
                .collect();
            let from = cells[0].clone();
            let to = cells[1].split(',').map(|to| to.trim().to_owned());
            to.filter(|to| to != "-").map(|to| (from.clone(), to)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_document_has_exactly_the_edges_of_a_job() {
    let code: BTreeSet<_> =
        JOB_EDGES.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    assert_eq!(code.len(), JOB_EDGES.len(), "an edge stands twice");
    assert_eq!(documented("### 5.1 Jobs"), code);
}

#[test]
fn the_document_has_exactly_the_edges_of_a_task() {
    let code: BTreeSet<_> =
        TASK_EDGES.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    assert_eq!(code.len(), TASK_EDGES.len(), "an edge stands twice");
    assert_eq!(documented("### 5.2 Tasks"), code);
}

#[test]
fn the_document_has_exactly_the_edges_of_a_vote() {
    let code: BTreeSet<_> =
        VOTE_EDGES.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    assert_eq!(code.len(), VOTE_EDGES.len(), "an edge stands twice");
    assert_eq!(documented("### 5.3 Votes"), code);
}

#[test]
fn the_document_has_exactly_the_edges_of_a_race_entry() {
    let code: BTreeSet<_> =
        ENTRY_EDGES.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
    assert_eq!(code.len(), ENTRY_EDGES.len(), "an edge stands twice");
    assert_eq!(documented("### 7.1 Entries of a race"), code);
}

#[test]
fn ended_jobs_go_nowhere_but_to_their_chains_refund() {
    for (from, to) in JOB_EDGES {
        assert!(!from.is_terminal() || *to == JobStateKind::Expired, "{from} -> {to}");
    }
    for state in JobStateKind::ALL {
        let reached = JOB_EDGES.iter().any(|(_, to)| *to == state);
        assert!(reached || state == JobStateKind::AwaitingInput, "{state} is never reached");
    }
}

#[test]
fn a_fact_off_the_table_is_refused_and_never_a_panic() {
    let mut world = World::staffed();
    world.connect(0, 1);
    let job = world.planned(spec(1, 1), 1);
    let (_, lease) = world.lease(&job, 0);
    let mut state = world.network.state().clone();
    let refuse = |change| state.clone().evolve(&Fact { at: START, change }).unwrap_err();
    assert!(matches!(refuse(Change::InputReady { job }), EvolveError::JobEdge { .. }));
    let reason = FailReason::TaskLost { index: 0, losses: 1 };
    let failed = Change::TaskFailed { task: lease.task, reason };
    assert!(matches!(refuse(failed), EvolveError::TaskEdge { .. }));
    let statement = StatementDigest::ZERO;
    let epoch = EpochNumber::new(1);
    let closed = Change::CommitsClosed { statement, epoch };
    assert_eq!(refuse(closed), EvolveError::UnknownStatement(statement));
    let again = Change::JobPlanned { job, plan: plan(1) };
    assert!(matches!(refuse(again), EvolveError::Repeated { .. }));
    let unknown = crate::ids::JobId::ZERO;
    let ended = Change::JobEnded { job: unknown, end: JobEnd::Cancelled };
    assert_eq!(refuse(ended), EvolveError::UnknownJob(unknown));
    state
        .evolve(&Fact { at: START, change: Change::JobEnded { job, end: JobEnd::Cancelled } })
        .unwrap();
}
