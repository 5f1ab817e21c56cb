//! What sealing adds to a vote: from the commitment with which 2/3 of the stake have committed, that is
//! from when open votes would have decided, to the votes that decide. Whole processes on real files and
//! an EVM node; the times are those of the dispatcher's own journal.
//!
//! Twice: every member there, and one member with a tenth of the stake away, so that every commit phase
//! ends with its 300 ms of grace. Mark: median at most a second, both times.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]

use std::collections::BTreeMap;

use proofgrid_benches::is_full;
use proofgrid_benches::pairs::median;
use proofgrid_core::epoch::{EpochKeys, MemberSet};
use proofgrid_core::ids::{EpochNumber, StatementDigest};
use proofgrid_core::network::{Change, Fact};
use proofgrid_core::quorum::is_quorum;
use proofgrid_core::units::UnixMillis;
use proofgrid_store::journal::{Journal, JournalConfig, Sequence};
use proofgrid_tests::{NewJob, Scenario};
use tokio_stream::StreamExt;

/// Reads how long after 2/3 of its stake had committed each statement was decided.
#[derive(Default)]
struct Reading {
    epochs: BTreeMap<EpochNumber, EpochKeys>,
    committed: BTreeMap<(StatementDigest, EpochNumber), MemberSet>,
    ready: BTreeMap<(StatementDigest, EpochNumber), UnixMillis>,
    added_ms: Vec<f64>,
}

impl Reading {
    fn take(&mut self, fact: Fact) {
        match fact.change {
            Change::EpochRecorded { keys } => {
                self.epochs.insert(keys.table().epoch(), keys);
            }
            Change::CommitmentRecorded { sealed } => {
                let table = self.epochs.get(&sealed.epoch).expect("its epoch is known").table();
                let vote = (sealed.statement, sealed.epoch);
                let members = self.committed.entry(vote).or_default();
                members.insert(table.index_of(sealed.operator).expect("a member"));
                if is_quorum(table.stake_of(members), table.total()) {
                    self.ready.entry(vote).or_insert(fact.at);
                }
            }
            Change::QuorumReached { statement, epoch, .. } => {
                let ready = self.ready.get(&(statement, epoch)).expect("2/3 committed before");
                let added = fact.at.get() - ready.get();
                self.added_ms.push(f64::from(u32::try_from(added).expect("less than 49 days")));
            }
            _ => {}
        }
    }
}

/// Milliseconds that sealing added to each of `jobs` statements, one after the other.
fn added(jobs: usize, away: Option<&str>) -> Vec<f64> {
    let mut scenario = Scenario::start(|options| {
        options.not_started.extend(away.map(str::to_owned));
        // Every fact is read.
        options.tuning.snapshot_every_records = 1_000_000_000;
    })
    .expect("a network");
    for _ in 0..jobs {
        let job = scenario.submit(&NewJob::fibonacci(scenario.nonce())).expect("accepted");
        scenario.wait_for_state(job, "settled").expect("settled");
    }
    scenario.terminate("dispatcher").expect("a clean end");
    let journal = scenario.devnet.layout().data("dispatcher").join("journal");
    scenario.block_on(async {
        let journal = Journal::open(&JournalConfig::new(journal)).expect("its journal");
        let mut records = std::pin::pin!(journal.replay(Sequence::FIRST));
        let mut reading = Reading::default();
        while let Some(record) = records.next().await {
            let record = record.expect("an undamaged record");
            reading.take(Fact::decode(&record.payload).expect("a fact"));
        }
        reading.added_ms
    })
}

fn main() {
    let jobs = if is_full() { 200 } else { 1 };
    for (who, away) in [("every member there", None), ("10 % away", Some("verifier-4"))] {
        let mut times = added(jobs, away);
        assert_eq!(times.len(), jobs, "every job was decided once");
        times.sort_by(f64::total_cmp);
        if is_full() {
            let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
            println!(
                "sealed votes, {who}: {:.0} ms added (median of {jobs}), p99 {late:.0} ms; mark < 1 s",
                median(times),
            );
        }
    }
}
