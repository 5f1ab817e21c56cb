//! What a verifier says about itself.

use std::path::PathBuf;
use std::sync::Arc;

use proofgrid_verifier::status::VerifierStatus;
use tokio::sync::watch;

use super::{
    ChainWatch, JudgeMeter, Labels, Need, NodeFacts, Sample, Service, ServiceStatus, Value, disk,
};

/// The facts of a running verifier.
#[derive(Debug)]
pub struct VerifierFacts {
    /// Its status as it changes.
    pub status: watch::Receiver<VerifierStatus>,
    /// Where its vote log is.
    pub data_dir: PathBuf,
    /// Its judge.
    pub judge: Arc<JudgeMeter>,
    /// Its view of the home chain.
    pub chain: Arc<ChainWatch>,
    /// The label of its stakes.
    pub avs_name: String,
}

impl NodeFacts for VerifierFacts {
    fn services(&self) -> Vec<Service> {
        let session = {
            let status = self.status.borrow();
            match (&status.session, status.sessions, &status.last_error) {
                (Some(_), _, _) => ServiceStatus::Up,
                (None, 0, None) => ServiceStatus::Initializing,
                (None, _, _) => ServiceStatus::Down,
            }
        };
        vec![
            Service {
                id: "session",
                name: "Session",
                description: "Connected to the dispatcher and logged in",
                status: session,
                need: Need::Vital,
            },
            Service {
                id: "vote-log",
                name: "Vote log",
                description: "The write-ahead log of verdicts; nothing is signed without it",
                // A log that failed ends the verifier, and with it this answer.
                status: disk::status(&self.data_dir),
                need: Need::Vital,
            },
            Service {
                id: "judge",
                name: "Judge",
                description: "The sandbox in which every proof is judged",
                status: self.judge.status(),
                need: Need::Vital,
            },
            Service {
                id: "home-chain",
                name: "Home chain",
                description: "The operator's own view of epochs and manifests",
                status: self.chain.status(),
                need: Need::Partial,
            },
        ]
    }

    fn performance(&self) -> f64 {
        let status = self.status.borrow();
        let votes = status.votes_valid.saturating_add(status.votes_invalid);
        share(votes, status.abstentions)
    }

    fn samples(&self) -> Vec<Sample> {
        let status = self.status.borrow().clone();
        let verdict = |name: &str| -> Labels { vec![("verdict", name.to_owned())] };
        let missing = |(source, count): (String, u64)| (vec![("source", source)], count);
        vec![
            self.chain.sample(&self.avs_name),
            Sample {
                name: "proofgrid_votes",
                help: "Signed votes by verdict, repeated ones included",
                value: Value::Counter(vec![
                    (verdict("valid"), status.votes_valid),
                    (verdict("invalid"), status.votes_invalid),
                ]),
            },
            Sample::counter(
                "proofgrid_abstentions",
                "Statements that were abstained from",
                status.abstentions,
            ),
            Sample::counter(
                "proofgrid_attestations",
                "Batches that were attested",
                status.attestations,
            ),
            Sample::counter(
                "proofgrid_attestations_refused",
                "Batches that differed from the vote log",
                status.attestations_refused,
            ),
            Sample::gauge(
                "proofgrid_statements_open",
                "Statements that are worked on",
                figure(status.open_statements),
            ),
            Sample::gauge(
                "proofgrid_verdicts_logged",
                "Statements with a verdict in the vote log",
                figure(status.logged_verdicts),
            ),
            Sample {
                name: "proofgrid_blobs_missing",
                help: "Blobs that a source did not give",
                value: Value::Counter(status.missing_blobs.into_iter().map(missing).collect()),
            },
            Sample::counter(
                "proofgrid_messages_bad",
                "Messages of the dispatcher that made no sense",
                status.bad_messages,
            ),
            Sample::counter("proofgrid_sessions", "Sessions that were opened", status.sessions),
            Sample::flag(
                "proofgrid_session_up",
                "1 while logged in to the dispatcher",
                status.session.is_some(),
            ),
        ]
    }
}

/// The part of the work that was done; all of it before there was any.
pub(super) fn share(done: u64, left: u64) -> f64 {
    let all = done.saturating_add(left);
    if all == 0 { 1.0 } else { figure(done) / figure(all) }
}

/// A count as Prometheus has it; counts stay far below the 2^53 that it can tell apart.
pub(super) fn figure(count: u64) -> f64 {
    count as f64
}
