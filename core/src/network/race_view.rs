//! A race in the words of a requester: its round, what was revealed, what it waits for.

use crate::ids::{Address, CertificateId, JobId, StatementDigest};
use crate::race::{PROOFS_GRACE_SECONDS, RaceRound};
use crate::statement::Verdict;

use super::Network;
use super::state::{EntryStage, JobState, RaceEntry, RoundBook};

/// A race's newest round and everything that was revealed in it and before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaceView {
    /// The newest round.
    pub round: RaceRound,
    /// What it waits for and until when.
    pub waits_for: String,
    /// Revealed commitments of all rounds.
    pub entries: Vec<RaceEntryView>,
}

/// One commitment that was revealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaceEntryView {
    /// Which round.
    pub round: u8,
    /// Whose.
    pub prover: Address,
    /// What was committed to.
    pub statement: StatementDigest,
    /// What became of it, for people.
    pub standing: String,
    /// The certified verdict and its certificate, if there is one.
    pub certified: Option<(Verdict, CertificateId)>,
}

impl Network {
    /// A race as its requester sees it; `None` if there is none, or its chain told of no round.
    #[must_use]
    pub fn race(&self, job: &JobId) -> Option<RaceView> {
        let book = self.state.races.book(job)?;
        let newest = book.newest()?;
        let entries = book.entries().map(|(round, prover, entry)| RaceEntryView {
            round,
            prover,
            statement: entry.statement,
            standing: self.standing(entry),
            certified: match entry.stage {
                EntryStage::Certified { certificate, verdict } => Some((verdict, certificate)),
                _ => None,
            },
        });
        let entries = entries.collect();
        Some(RaceView { round: newest.opened, waits_for: self.waits_for(job, newest), entries })
    }

    fn standing(&self, entry: &RaceEntry) -> String {
        match &entry.stage {
            EntryStage::Revealed => {
                "revealed on-chain; its prover is to hand in its records".into()
            }
            EntryStage::Uploading { .. } => {
                let stored = |proof: &&_| self.state.blobs.contains_key(*proof);
                let here = entry.proofs.iter().filter(stored).count();
                format!("{here} of its {} proofs are here", entry.proofs.len())
            }
            EntryStage::Judging => "before the verifiers".into(),
            EntryStage::Certified { verdict, .. } => {
                format!("certified as {verdict}; to be noted on-chain before its round ends")
            }
            EntryStage::Closed { reason } => format!("closed: {reason}"),
        }
    }

    fn waits_for(&self, job: &JobId, round: &RoundBook) -> String {
        let state = self.state.jobs.get(job).map(|job| &job.state);
        if let Some(JobState::RaceSettled { .. } | JobState::Expired { .. }) = state {
            return "nothing; it is over".into();
        }
        let RaceRound { commit_until, reveal_until, judge_until, .. } = round.opened;
        match round.winners {
            Some(0) => {
                return "the next round, or the refund of its escrow if no round is left".into();
            }
            Some(_) => return "its chain to split the fee among the winners".into(),
            None => {}
        }
        if !matches!(state, Some(JobState::Racing)) {
            return format!(
                "its input, without which nobody can race; the round's commitments end at \
                 {commit_until}"
            );
        }
        let unsettled = round.entries.values().any(|entry| {
            matches!(entry.stage, EntryStage::Revealed | EntryStage::Uploading { .. })
        });
        let time = self.chain_time(job);
        match time {
            None => format!("its chain's time; commitments end at {commit_until}"),
            Some(time) if time < commit_until => {
                format!("commitments until {commit_until}; its chain is at {time}")
            }
            Some(time) if time < reveal_until => {
                format!("reveals until {reveal_until}; its chain is at {time}")
            }
            Some(_) if unsettled => {
                let last = reveal_until.get().saturating_add(PROOFS_GRACE_SECONDS);
                format!("proofs of what was revealed, until {last}; verdicts until {judge_until}")
            }
            Some(_) => format!("verdicts and the round's end, {judge_until} unless it is held"),
        }
    }

    /// Why a race is where it is.
    pub(super) fn explain_race(&self, job: &JobId) -> String {
        let Some(view) = self.race(job) else {
            return "waits for its chain to open a round".into();
        };
        let number = view.round.number;
        let own: Vec<&RaceEntryView> =
            view.entries.iter().filter(|entry| entry.round == number).collect();
        let mut text = format!(
            "round {number}: waits for {}; {} commitments revealed",
            view.waits_for,
            own.len()
        );
        for entry in own {
            text.push_str(&format!("; {}: {}", entry.prover, entry.standing));
        }
        text
    }
}
