//! The quorum table: whose stake counts for which verdict, and when that decides.
//!
//! The model adds stakes over sets of members and compares three times the sum with twice the
//! total. Membership and stakes change with each epoch; votes of two epochs are never added. Votes
//! are committed to first; those that open nothing of the commit set are kept and never added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::crypto::bls::{PublicKeyG1, PublicKeyG2, SecretKey};
use crate::epoch::{EpochKeys, EpochTable, Member};
use crate::ids::{BlockHash, BlockNumber, EpochNumber, JobId, NetworkId, StatementDigest};
use crate::job::JobSpec;
use crate::limits::SITTINGS_MAX;
use crate::network::*;
use crate::sealed::{SealedVote, commitment_to};
use crate::statement::Verdict;
use crate::units::{Millis, Stake, UnixSeconds};
use crate::vote::{VerifiedVote, Vote};

use super::super::world::*;
use super::{INPUTS_MAX, Said, check_at_the_end, config, visited, weighted};

/// Operators that there are; each epoch has some of them.
const OPERATORS: usize = 5;
const EPOCHS_MAX: u64 = 3;
const SEGMENTS: u32 = 2;
const VOTE_TIMEOUT_MS: u64 = 120_000;
const EPOCH_GRACE_MS: u64 = 60_000;
const COMMIT_LINGER_MS: u64 = 300;
const COMMIT_CAP_MS: u64 = 150_000;
const REVEAL_CAP_MS: u64 = 45_000;

/// Stakes of one epoch by operator; 0 is not a member.
type Stakes = [u128; OPERATORS];

#[derive(Clone, Debug)]
enum Do {
    Epoch {
        stakes: Stakes,
    },
    Commit {
        operator: usize,
        epoch: u64,
        verdict: Verdict,
    },
    /// An invalid vote names `segment`, which may not exist.
    Reveal {
        operator: usize,
        epoch: u64,
        verdict: Verdict,
        segment: u32,
        salt: Hidden,
    },
    Abstain {
        operator: usize,
        epoch: u64,
    },
    /// The home chain takes an operator out of an epoch.
    Exclude {
        operator: usize,
        epoch: u64,
    },
    Pass {
        ms: u64,
    },
}

/// With what a vote is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    Right,
    Wrong,
}

/// Votes of one epoch.
#[derive(Clone, Debug, Default)]
struct Ballots {
    phase: VotePhase,
    /// Verdicts that were committed to, in earlier sittings too.
    committed: BTreeMap<usize, Verdict>,
    /// Who opened a vote in an earlier sitting, and who committed in one and opened none.
    before: BTreeSet<usize>,
    unreliable: BTreeSet<usize>,
    sittings: u32,
    /// First votes that are kept and do not count.
    late: BTreeMap<usize, Verdict>,
    first: BTreeMap<usize, (Verdict, u32)>,
    /// Who voted for both verdicts.
    both: BTreeSet<usize>,
    abstained: BTreeSet<usize>,
    /// Whose word does not count.
    excluded: BTreeSet<usize>,
}

impl Ballots {
    fn voters(&self, verdict: Verdict) -> BTreeSet<usize> {
        let voters = self.first.iter().filter(|(_, (cast, _))| *cast == verdict);
        let voters = voters.map(|(operator, _)| *operator);
        voters.filter(|operator| !self.excluded.contains(operator)).collect()
    }

    fn unable(&self) -> BTreeSet<usize> {
        self.abstained.difference(&self.excluded).copied().collect()
    }

    fn silent(&self) -> BTreeSet<usize> {
        let gone = |operator: &usize| {
            self.first.contains_key(operator)
                || self.abstained.contains(operator)
                || self.excluded.contains(operator)
        };
        (0..OPERATORS).filter(|operator| !gone(operator)).collect()
    }
}

impl Ballots {
    fn unopened(&self) -> BTreeSet<usize> {
        let opened = |operator: &&usize| self.first.contains_key(operator);
        self.committed.keys().filter(|operator| !opened(operator)).copied().collect()
    }

    /// Whether anybody committed in this sitting.
    fn any(&self) -> bool {
        self.committed.keys().any(|operator| !self.before.contains(operator))
    }

    /// Who may still vote.
    fn outstanding(&self) -> BTreeSet<usize> {
        match self.phase {
            VotePhase::Committing => self.silent(),
            VotePhase::Revealing { .. } => {
                self.unopened().difference(&self.excluded).copied().collect()
            }
            VotePhase::Over => BTreeSet::new(),
        }
    }
}

fn sum(stakes: &Stakes, of: &BTreeSet<usize>) -> u128 {
    of.iter().map(|operator| stakes[*operator]).sum()
}

fn is_two_thirds(signed: u128, stakes: &Stakes) -> bool {
    3 * signed >= 2 * stakes.iter().sum::<u128>()
}

/// The reference. Times are in ms since the statement was opened.
#[derive(Clone, Debug)]
struct Quorum {
    now: u64,
    epochs: BTreeMap<u64, Stakes>,
    excluded: BTreeMap<u64, BTreeSet<usize>>,
    /// Epochs whose members were asked.
    rounds: BTreeMap<u64, Ballots>,
    /// The epoch whose votes decide, while nothing is decided.
    voting: Option<u64>,
    opened_at: u64,
    held: bool,
    /// Decisions in order.
    decided: Vec<(u64, Verdict)>,
    /// The segment that a decision for invalid names.
    named: Option<u32>,
    /// When what is open under an older epoch starts over under the newest.
    over_at: Option<u64>,
    /// When a commit phase that has two thirds may close.
    lingers: BTreeSet<(u64, u64)>,
    /// When the open commit phase is looked at, whoever is missing.
    cap_at: u64,
    said: Said,
}

impl Quorum {
    const fn start() -> Self {
        Self {
            now: 0,
            epochs: BTreeMap::new(),
            excluded: BTreeMap::new(),
            rounds: BTreeMap::new(),
            voting: None,
            opened_at: 0,
            held: false,
            decided: Vec::new(),
            named: None,
            over_at: None,
            lingers: BTreeSet::new(),
            cap_at: 0,
            said: Ok(Answer::Done),
        }
    }

    fn newest(&self) -> u64 {
        self.epochs.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }

    fn is_refused(&self) -> bool {
        self.decided.last().is_some_and(|(_, verdict)| *verdict == Verdict::Invalid)
    }

    fn is_undecided(&self) -> bool {
        self.voting.is_some() || self.rounds.is_empty()
    }

    fn member(&self, epoch: u64, operator: usize) -> bool {
        self.epochs.get(&epoch).is_some_and(|stakes| stakes[operator] > 0)
    }

    fn out_of(&self, epoch: u64) -> BTreeSet<usize> {
        self.excluded.get(&epoch).cloned().unwrap_or_default()
    }

    fn open(&mut self, epoch: u64) {
        let excluded = self.out_of(epoch);
        self.rounds.entry(epoch).or_default().excluded = excluded;
        (self.voting, self.opened_at, self.held) = (Some(epoch), self.now, false);
        self.cap_at = self.now + COMMIT_CAP_MS;
        // Without those who were excluded before, nobody may be left to decide anything.
        self.decide();
    }

    fn epoch(&mut self, stakes: &Stakes) {
        let number = self.newest() + 1;
        self.epochs.insert(number, *stakes);
        self.over_at = Some(self.now + EPOCH_GRACE_MS);
        if self.rounds.is_empty() || self.voting.is_some() && self.held {
            self.open(number);
        }
    }

    fn no_round(epoch: u64) -> Refusal {
        Refusal::NoSuchRound { statement: BASE.statement, epoch: EpochNumber::new(epoch) }
    }

    /// Members that are waited for: who left a commitment unopened is not, if the others suffice.
    fn relied_on(&self, epoch: u64) -> BTreeSet<usize> {
        let (stakes, round) = (&self.epochs[&epoch], &self.rounds[&epoch]);
        let all: BTreeSet<usize> = (0..OPERATORS).filter(|o| self.member(epoch, *o)).collect();
        let all = &all - &self.out_of(epoch);
        let reliable = &all - &round.unreliable;
        let stake = sum(stakes, &reliable);
        if stake > 0 && is_two_thirds(stake, stakes) { reliable } else { all }
    }

    /// Whether two thirds of those who are relied on have committed, somebody in this sitting.
    fn committed(&self, epoch: u64) -> bool {
        let (stakes, round) = (&self.epochs[&epoch], &self.rounds[&epoch]);
        let members: BTreeSet<usize> = round.committed.keys().copied().collect();
        let committed = sum(stakes, &(&members & &self.relied_on(epoch)));
        round.any() && committed > 0 && is_two_thirds(committed, stakes)
    }

    fn is_open(&self, epoch: u64) -> bool {
        self.voting == Some(epoch) && self.rounds[&epoch].phase == VotePhase::Committing
    }

    fn close(&mut self, epoch: u64) {
        let (out, since) = (self.out_of(epoch), START.after(Millis::new(self.now)));
        let round = self.rounds.get_mut(&epoch).unwrap();
        let before = round.before.clone();
        round.committed.retain(|o, _| before.contains(o) || !out.contains(o));
        round.phase = VotePhase::Revealing { since };
    }

    fn commit(&mut self, operator: usize, epoch: u64, verdict: Verdict) -> Said {
        let round = self.rounds.get(&epoch).ok_or(Self::no_round(epoch))?;
        match round.committed.get(&operator) {
            Some(known) if *known == verdict => return Ok(Answer::Done),
            Some(_) => {
                let (statement, epoch) = (BASE.statement, EpochNumber::new(epoch));
                return Err(Refusal::CommittedOtherwise { statement, epoch });
            }
            None if !self.is_open(epoch) || self.out_of(epoch).contains(&operator) => {
                return Ok(Answer::Late);
            }
            None => {}
        }
        let before = self.committed(epoch);
        let round = self.rounds.get_mut(&epoch).unwrap();
        round.committed.insert(operator, verdict);
        round.abstained.remove(&operator);
        if !before && self.committed(epoch) {
            self.lingers.insert((self.now + COMMIT_LINGER_MS, epoch));
        }
        self.decide();
        Ok(Answer::Done)
    }

    fn reveal(
        &mut self,
        operator: usize,
        epoch: u64,
        (verdict, segment): (Verdict, u32),
        salt: Hidden,
    ) -> Said {
        if verdict == Verdict::Invalid && segment >= SEGMENTS {
            return Err(Refusal::BadDetail { num_segments: SEGMENTS });
        }
        if !self.rounds.contains_key(&epoch) {
            return Err(Self::no_round(epoch));
        }
        if self.is_open(epoch) {
            let (statement, epoch) = (BASE.statement, EpochNumber::new(epoch));
            return Err(Refusal::StillSealed { statement, epoch });
        }
        let excluded = self.out_of(epoch).contains(&operator);
        // The first word of a key stands in every epoch, one that did not count too.
        let words = self.rounds.values().flat_map(|round| {
            let counted = round.first.get(&operator).map(|(word, _)| word);
            counted.into_iter().chain(round.late.get(&operator))
        });
        let otherwise = words.into_iter().any(|word| *word != verdict);
        let round = self.rounds.get_mut(&epoch).unwrap();
        let repeated = round.first.get(&operator).is_some_and(|(word, _)| *word == verdict);
        if repeated || otherwise && round.both.contains(&operator) {
            return Ok(Answer::Done);
        }
        let opens = round.committed.get(&operator) == Some(&verdict) && salt == Hidden::Right;
        let counts = opens && matches!(round.phase, VotePhase::Revealing { .. });
        if otherwise {
            round.both.insert(operator);
        } else if counts {
            round.first.insert(operator, (verdict, segment));
            round.abstained.remove(&operator);
            if round.unopened().is_empty() {
                round.phase = VotePhase::Over;
            }
        } else {
            round.late.entry(operator).or_insert(verdict);
        }
        self.decide();
        Ok(if counts && !excluded { Answer::Done } else { Answer::Late })
    }

    fn abstain(&mut self, who: usize, epoch: u64) -> Said {
        if !self.rounds.contains_key(&epoch) {
            return Err(Self::no_round(epoch));
        }
        if self.epochs[&epoch][who] == 0 {
            return Err(Refusal::NotInEpoch(operator(who)));
        }
        if !self.is_open(epoch) {
            return Ok(Answer::Late);
        }
        let round = self.rounds.get_mut(&epoch).unwrap();
        if !round.committed.contains_key(&who) {
            round.abstained.insert(who);
        }
        self.decide();
        Ok(Answer::Done)
    }

    /// What is open under a quorum that needs the operator starts over; a refusal stands.
    fn exclude(&mut self, operator: usize, epoch: u64) {
        self.excluded.entry(epoch).or_default().insert(operator);
        let is_refused = self.is_refused();
        let Some(round) = self.rounds.get_mut(&epoch).filter(|_| !is_refused) else { return };
        round.excluded.insert(operator);
        let lost = !is_two_thirds(
            sum(&self.epochs[&epoch], &round.voters(Verdict::Valid)),
            &self.epochs[&epoch],
        );
        if self.voting.is_none() && self.decided.last().is_some_and(|(at, _)| *at == epoch) && lost
        {
            self.open(self.newest());
        }
        self.decide();
    }

    /// Closes a commit phase in which nobody is waited for any more.
    fn close_if_all(&mut self, epoch: u64) {
        let (relied_on, round) = (self.relied_on(epoch), &self.rounds[&epoch]);
        let (mut silent, mut abstained) = (false, false);
        for operator in relied_on.into_iter().filter(|o| !round.committed.contains_key(o)) {
            // Who left a commitment unopened may have been cut off, and has its time again.
            let left = round.unreliable.contains(&operator);
            let unable = round.abstained.contains(&operator) && !left;
            (silent, abstained) = (silent || !unable, abstained || unable);
        }
        let quorum = self.committed(epoch);
        if self.is_open(epoch) && !silent && (quorum || !abstained) && round.any() {
            self.close(epoch);
        }
    }

    /// Takes the decision that the votes of the epoch that is asked allow.
    fn decide(&mut self) {
        let Some(epoch) = self.voting else { return };
        self.close_if_all(epoch);
        let (stakes, round) = (&self.epochs[&epoch], &self.rounds[&epoch]);
        let signed = |verdict| sum(stakes, &round.voters(verdict));
        let silent = sum(stakes, &round.outstanding());
        let has = |verdict: &Verdict| is_two_thirds(signed(*verdict), stakes);
        if let Some(verdict) = Verdict::ALL.into_iter().find(has) {
            self.decided.push((epoch, verdict));
            (self.voting, self.held) = (None, false);
            // Later votes are kept but change nothing, this choice neither.
            self.named = (verdict == Verdict::Invalid).then(|| self.most_named(epoch));
            return;
        }
        if round.phase == VotePhase::Over && round.sittings < SITTINGS_MAX {
            let voted = round.first.keys().copied().collect::<BTreeSet<_>>();
            let all: BTreeSet<usize> = (0..OPERATORS).collect();
            let rest: BTreeSet<usize> = &(&all - &voted) - &round.excluded;
            let rest = sum(stakes, &rest);
            if Verdict::ALL.into_iter().any(|v| is_two_thirds(signed(v) + rest, stakes)) {
                return self.reopen(epoch);
            }
        }
        let could = |verdict: Verdict| is_two_thirds(signed(verdict) + silent, stakes);
        self.held |= !Verdict::ALL.into_iter().any(could);
    }

    /// Another sitting for whoever has no vote yet.
    fn reopen(&mut self, epoch: u64) {
        let round = self.rounds.get_mut(&epoch).unwrap();
        let missing = round.unopened();
        round.committed.retain(|operator, _| !missing.contains(operator));
        round.unreliable.extend(missing);
        round.before = round.committed.keys().copied().collect();
        round.unreliable = &round.unreliable - &round.before;
        round.sittings += 1;
        round.phase = VotePhase::Committing;
        (self.opened_at, self.cap_at) = (self.now, self.now + COMMIT_CAP_MS);
        self.decide();
    }

    /// When a vote's reveal phase ends by itself.
    fn reveals_end(round: &Ballots) -> Option<u64> {
        let VotePhase::Revealing { since } = round.phase else { return None };
        Some(since.get() - START.get() + REVEAL_CAP_MS)
    }

    /// The next time at which something is due, if it is not after `end`.
    fn next_due(&self, end: u64) -> Option<u64> {
        let overdue = self.opened_at + VOTE_TIMEOUT_MS;
        let linger = self.lingers.first().map(|(at, _)| *at);
        let reveals = self.rounds.values().filter_map(Self::reveals_end);
        let cap = self.voting.map(|_| self.cap_at);
        let due = [Some(overdue), linger, cap, self.over_at].into_iter().flatten().chain(reveals);
        due.filter(|at| (self.now + 1..=end).contains(at)).min()
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.next_due(end) {
            self.now = at;
            self.fire();
        }
        self.now = end;
    }

    /// Everything that is due now, in the order of the timers; then what follows from it.
    fn fire(&mut self) {
        if self.is_undecided() && self.opened_at + VOTE_TIMEOUT_MS <= self.now {
            self.held = true;
        }
        while let Some((_, epoch)) = self.lingers.first().copied().filter(|(at, _)| *at <= self.now)
        {
            self.lingers.pop_first();
            if self.is_open(epoch) && self.committed(epoch) && self.rounds[&epoch].any() {
                self.close(epoch);
            }
        }
        if let Some(epoch) = self.voting.filter(|_| self.cap_at <= self.now) {
            self.cap_at += COMMIT_CAP_MS;
            if self.is_open(epoch) && self.rounds[&epoch].any() {
                self.close(epoch);
            }
        }
        for round in self.rounds.values_mut() {
            if Self::reveals_end(round).is_some_and(|at| at <= self.now) {
                round.abstained.extend(round.unopened());
                round.phase = VotePhase::Over;
            }
        }
        if self.over_at.is_some_and(|at| at <= self.now) {
            self.over_at = None;
            let newest = self.newest();
            let asked = self.rounds.last_key_value().map(|(epoch, _)| *epoch);
            if asked < Some(newest) && !self.is_refused() {
                self.open(newest);
            }
        }
        self.decide();
    }

    /// The segment that most stake against the statement names first.
    fn most_named(&self, epoch: u64) -> u32 {
        let mut stakes: BTreeMap<u32, u128> = BTreeMap::new();
        let round = &self.rounds[&epoch];
        for (operator, (cast, segment)) in &round.first {
            if *cast == Verdict::Invalid && !round.excluded.contains(operator) {
                *stakes.entry(*segment).or_default() += self.epochs[&epoch][*operator];
            }
        }
        let most = *stakes.values().max().unwrap();
        stakes.into_iter().find(|(_, stake)| *stake == most).unwrap().0
    }
}

struct QuorumModel;

impl ReferenceStateMachine for QuorumModel {
    type State = Quorum;
    type Transition = Do;

    fn init_state() -> BoxedStrategy<Quorum> {
        Just(Quorum::start()).boxed()
    }

    fn transitions(quorum: &Quorum) -> BoxedStrategy<Do> {
        let ms = select(vec![300, 5_300, 30_000, 60_000, 121_000]);
        let mut kinds = vec![(1, ms.prop_map(|ms| Do::Pass { ms }).boxed())];
        // Small stakes, so that sums often meet 2/3 exactly.
        let stakes = prop::array::uniform5(0u128..7)
            .prop_filter("an epoch has stake", |stakes| stakes.iter().sum::<u128>() > 0);
        if quorum.newest() < EPOCHS_MAX {
            let weight = if quorum.epochs.is_empty() { 6 } else { 1 };
            kinds.push((weight, stakes.prop_map(|stakes| Do::Epoch { stakes }).boxed()));
        }
        let members: Vec<(usize, u64)> = (1..=quorum.newest())
            .flat_map(|epoch| (0..OPERATORS).map(move |operator| (operator, epoch)))
            .filter(|(operator, epoch)| quorum.member(*epoch, *operator))
            .collect();
        if !members.is_empty() {
            let verdict = prop_oneof![Just(Verdict::Valid), Just(Verdict::Invalid)];
            let segment = prop_oneof![8 => 0..SEGMENTS, 1 => Just(SEGMENTS)];
            let excludable = members.clone();
            let commit = |from: Vec<(usize, u64)>| {
                (select(from), verdict.clone()).prop_map(|((operator, epoch), verdict)| {
                    Do::Commit { operator, epoch, verdict }
                })
            };
            // Mostly what moves the vote on.
            let missing: Vec<(usize, u64)> = (members.iter().copied())
                .filter(|(operator, epoch)| {
                    let round = quorum.rounds.get(epoch);
                    let sealed = round.is_some_and(|round| !round.committed.contains_key(operator));
                    sealed && quorum.is_open(*epoch)
                })
                .collect();
            if !missing.is_empty() {
                kinds.push((14, commit(missing).boxed()));
            }
            let anybody = commit(members.clone());
            let committed: Vec<(usize, u64, Verdict)> = (quorum.rounds.iter())
                .flat_map(|(epoch, round)| {
                    let unopened = round.unopened();
                    let set = round.committed.iter().filter(move |(who, _)| unopened.contains(who));
                    let closed = round.phase != VotePhase::Committing;
                    set.filter(move |_| closed).map(|(who, verdict)| (*who, *epoch, *verdict))
                })
                .collect();
            if !committed.is_empty() {
                let salt = prop_oneof![12 => Just(Hidden::Right), 1 => Just(Hidden::Wrong)];
                let open = (select(committed), segment.clone(), salt).prop_map(
                    |((operator, epoch, verdict), segment, salt)| Do::Reveal {
                        operator,
                        epoch,
                        verdict,
                        segment,
                        salt,
                    },
                );
                kinds.push((14, open.boxed()));
            }
            let vote = (select(members), verdict, segment).prop_map(
                |((operator, epoch), verdict, segment)| Do::Reveal {
                    operator,
                    epoch,
                    verdict,
                    segment,
                    salt: Hidden::Right,
                },
            );
            let abstain = (0..OPERATORS, 1..=quorum.newest())
                .prop_map(|(operator, epoch)| Do::Abstain { operator, epoch });
            let exclude =
                select(excludable).prop_map(|(operator, epoch)| Do::Exclude { operator, epoch });
            kinds.push((2, anybody.boxed()));
            kinds.push((2, vote.boxed()));
            kinds.push((1, exclude.boxed()));
            kinds.push((2, abstain.boxed()));
        }
        weighted(kinds)
    }

    fn preconditions(quorum: &Quorum, input: &Do) -> bool {
        match input {
            Do::Commit { operator, epoch, .. }
            | Do::Reveal { operator, epoch, .. }
            | Do::Exclude { operator, epoch } => quorum.member(*epoch, *operator),
            Do::Abstain { epoch, .. } => *epoch <= quorum.newest(),
            Do::Epoch { stakes } => quorum.newest() < EPOCHS_MAX && stakes.iter().sum::<u128>() > 0,
            Do::Pass { .. } => true,
        }
    }

    fn apply(mut quorum: Quorum, input: &Do) -> Quorum {
        quorum.said = Ok(Answer::Done);
        match input {
            Do::Epoch { stakes } => quorum.epoch(stakes),
            Do::Commit { operator, epoch, verdict } => {
                quorum.said = quorum.commit(*operator, *epoch, *verdict);
            }
            Do::Reveal { operator, epoch, verdict, segment, salt } => {
                quorum.said = quorum.reveal(*operator, *epoch, (*verdict, *segment), *salt);
            }
            Do::Abstain { operator, epoch } => quorum.said = quorum.abstain(*operator, *epoch),
            Do::Exclude { operator, epoch } => quorum.exclude(*operator, *epoch),
            Do::Pass { ms } => quorum.pass(*ms),
        }
        quorum
    }
}

/// A network with one proved statement that no epoch was asked about.
struct Base {
    world: World,
    job: JobId,
    statement: StatementDigest,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let mut world = World::with(|config| {
        config.vote_timeout_ms = VOTE_TIMEOUT_MS;
        config.epoch_grace_ms = EPOCH_GRACE_MS;
        config.commit_linger_ms = COMMIT_LINGER_MS;
        config.commit_cap_ms = COMMIT_CAP_MS;
        config.reveal_cap_ms = REVEAL_CAP_MS;
    });
    world.connect(0, 8);
    let deadline = UnixSeconds::new(START.as_seconds().get() + 1_000_000);
    let job = world.planned(JobSpec { deadline, ..spec(1, 1) }, u64::from(SEGMENTS));
    let statement = world.prove_all(&job);
    Base { world, job, statement }
});

static KEYS: LazyLock<Vec<(SecretKey, PublicKeyG1, PublicKeyG2)>> = LazyLock::new(|| {
    let keys = (0..OPERATORS).map(key);
    keys.map(|key| (key.public_g1(), key.public_g2(), key)).map(|(a, b, key)| (key, a, b)).collect()
});

fn keys_of(number: u64, stakes: &Stakes) -> EpochKeys {
    let in_epoch = || (0..OPERATORS).filter(|index| stakes[*index] > 0);
    let members: Vec<Member> = in_epoch()
        .map(|index| Member {
            operator: operator(index),
            key: KEYS[index].1,
            stake: Stake::new(stakes[index]),
        })
        .collect();
    let network = NetworkId { home_chain: CHAIN, epoch_table: address(0xcc) };
    let (block, hash) = (BlockNumber::new(number * 10), BlockHash::from_bytes([7; 32]));
    let table = EpochTable::build(network, EpochNumber::new(number), block, hash, members).unwrap();
    EpochKeys::new(table, in_epoch().map(|index| (operator(index), KEYS[index].2))).unwrap()
}

struct QuorumTable {
    world: World,
    /// Facts that were read, and what they said.
    facts: usize,
    decided: Vec<(u64, Verdict)>,
    rejected: Vec<u32>,
}

impl QuorumTable {
    /// A vote as the edge hands it in, without the cost of checking what was just signed.
    fn signed(&self, index: usize, epoch: u64, verdict: Verdict) -> VerifiedVote {
        let table = self.world.network.state().epochs[&EpochNumber::new(epoch)].table();
        let statement = BASE.statement;
        let vote = Vote { epoch: table.epoch(), table: table.digest(), statement, verdict };
        let signed = vote.sign(table.network(), operator(index), &KEYS[index].0);
        let member = table.index_of(operator(index)).unwrap();
        let stake = table.member(member).unwrap().stake;
        borsh::from_slice(&borsh::to_vec(&(signed, member, stake)).unwrap()).unwrap()
    }

    fn advance(&mut self, input: &Do) -> Said {
        let input = match input {
            Do::Epoch { stakes } => {
                let known = self.world.network.state().newest_epoch();
                let number = known.map_or(1, |epoch| epoch.get() + 1);
                Input::EpochFinal { keys: keys_of(number, stakes) }
            }
            Do::Commit { operator: index, epoch, verdict } => {
                let vote = self.signed(*index, *epoch, *verdict);
                let cast = *vote.vote();
                let epochs = &self.world.network.state().epochs;
                let network = epochs[&cast.epoch].table().network();
                let sealed = SealedVote {
                    operator: operator(*index),
                    epoch: cast.epoch,
                    table: cast.table,
                    statement: BASE.statement,
                    commitment: commitment_to(network, vote.signed(), &salt(*index)),
                };
                Input::CommitReceived { sealed }
            }
            Do::Reveal { operator, epoch, verdict, segment, salt: hidden } => {
                let vote = self.signed(*operator, *epoch, *verdict);
                let reason = "the claim differs".into();
                let detail = InvalidDetail { segment: *segment, reason };
                let detail = (*verdict == Verdict::Invalid).then_some(detail);
                let salt = match hidden {
                    Hidden::Right => salt(*operator),
                    Hidden::Wrong => salt(*operator + 1),
                };
                Input::VoteReceived { vote, detail, salt }
            }
            Do::Abstain { operator: index, epoch } => Input::Abstained {
                operator: operator(*index),
                epoch: EpochNumber::new(*epoch),
                statement: BASE.statement,
                reason: "time-out".into(),
            },
            Do::Exclude { operator: index, epoch } => {
                let epoch = EpochNumber::new(*epoch);
                let table = self.world.network.state().epochs[&epoch].table();
                let members = table.index_of(operator(*index)).into_iter().collect();
                Input::MembersExcluded { epoch, members }
            }
            Do::Pass { ms } => {
                self.world.pass(*ms);
                return Ok(Answer::Done);
            }
        };
        self.world.apply(input)
    }

    /// Reads what the last input wrote down.
    fn read(&mut self) {
        for bytes in &self.world.journal[self.facts..] {
            match Fact::decode(bytes).unwrap().change {
                Change::QuorumReached { epoch, verdict, .. } => {
                    self.decided.push((epoch.get(), verdict));
                }
                Change::SegmentRejected { index, .. } => self.rejected.push(index),
                _ => {}
            }
        }
        self.facts = self.world.journal.len();
    }
}

fn check_round(ballots: &Ballots, stakes: &Stakes, round: &Round) {
    let tally = &round.tally;
    for verdict in Verdict::ALL {
        let signed = sum(stakes, &ballots.voters(verdict));
        assert_eq!(tally.signed(verdict), Stake::new(signed));
        assert_eq!(tally.outcome() == Some(verdict), is_two_thirds(signed, stakes));
    }
    assert_eq!(tally.abstained(), Stake::new(sum(stakes, &ballots.unable())));
    assert_eq!(tally.outstanding(), Stake::new(sum(stakes, &ballots.silent())));
    let evidence: BTreeSet<_> = tally.evidence().map(|known| known.first.operator).collect();
    assert_eq!(evidence, ballots.both.iter().map(|index| operator(*index)).collect());
}

fn check_sealed(ballots: &Ballots, round: Option<&SealedRound>) {
    let round = round.cloned().unwrap_or_default();
    assert_eq!(round.phase, ballots.phase);
    let who =
        |operators: Vec<&usize>| operators.into_iter().map(|o| operator(*o)).collect::<Vec<_>>();
    assert_eq!(
        (round.sittings, round.unreliable.len()),
        (ballots.sittings, ballots.unreliable.len())
    );
    let committed: Vec<_> = round.commitments.keys().copied().collect();
    assert_eq!(committed, who(ballots.committed.keys().collect()));
    let late: Vec<_> = round.late.keys().copied().collect();
    assert_eq!(late, who(ballots.late.keys().collect()));
}

struct QuorumTest;

impl StateMachineTest for QuorumTest {
    type SystemUnderTest = QuorumTable;
    type Reference = QuorumModel;

    fn init_test(_: &Quorum) -> QuorumTable {
        let (world, decided, rejected) = (BASE.world.clone(), Vec::new(), Vec::new());
        QuorumTable { facts: world.journal.len(), world, decided, rejected }
    }

    fn apply(mut table: QuorumTable, quorum: &Quorum, input: Do) -> QuorumTable {
        assert_eq!(table.advance(&input), quorum.said);
        table.read();
        assert_eq!(table.world.now, START.after(Millis::new(quorum.now)));
        table
    }

    fn check_invariants(table: &QuorumTable, quorum: &Quorum) {
        let state = table.world.network.state();
        let book = &state.statements[&BASE.statement];
        let epochs: Vec<u64> = book.rounds.keys().map(|epoch| epoch.get()).collect();
        assert_eq!(epochs, quorum.rounds.keys().copied().collect::<Vec<_>>());
        for (epoch, ballots) in &quorum.rounds {
            let round = &book.rounds[&EpochNumber::new(*epoch)];
            check_round(ballots, &quorum.epochs[epoch], round);
            check_sealed(ballots, state.sealed.round(BASE.statement, EpochNumber::new(*epoch)));
        }
        // A decision is written down once, by the vote that makes it.
        assert_eq!(table.decided, quorum.decided);
        let expected: &[JobStateKind] = match (quorum.voting, quorum.is_refused()) {
            (None, true) => &[JobStateKind::Proving],
            // Nobody attests here, so that what was decided is held in the end.
            (None, false) if !quorum.is_undecided() => {
                &[JobStateKind::Verifying, JobStateKind::Held]
            }
            _ if quorum.held => &[JobStateKind::Held],
            _ => &[JobStateKind::Verifying],
        };
        let found = table.world.state(&BASE.job);
        assert!(expected.contains(&found), "the job is {found}, the model says {expected:?}");
        assert_eq!(table.rejected, quorum.named.into_iter().collect::<Vec<_>>());
    }

    fn teardown(table: QuorumTable, _: Quorum) {
        check_at_the_end(&table.world);
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn two_thirds_of_one_epoch_decide_once(sequential 1..=INPUTS_MAX => QuorumTest);
}

/// Votes that are opened after the roll complete an invalid quorum of the old epoch that names
/// another segment: the prover whom the deciding epoch names is the one to blame.
#[test]
fn the_epoch_that_decides_names_the_segment() {
    let verdict = Verdict::Invalid;
    let commit = |operator, epoch| Do::Commit { operator, epoch, verdict };
    let salt = Hidden::Right;
    let reveal = |operator, epoch, segment| Do::Reveal { operator, epoch, verdict, segment, salt };
    let stakes = [1, 1, 1, 0, 0];
    let inputs = vec![
        Do::Epoch { stakes },
        Do::Epoch { stakes },
        Do::Pass { ms: EPOCH_GRACE_MS - 500 },
        commit(0, 1),
        commit(1, 1),
        Do::Pass { ms: 300 },
        reveal(0, 1, 0),
        Do::Pass { ms: 300 },
        reveal(1, 1, 0),
        commit(0, 2),
        commit(1, 2),
        Do::Pass { ms: 300 },
        reveal(0, 2, 1),
        reveal(1, 2, 1),
    ];
    QuorumTest::test_sequential(config(), Quorum::start(), inputs, None);
}

#[test]
fn the_model_of_quorums_reaches_both_verdicts_ties_holds_and_second_epochs() {
    let states = visited::<QuorumModel>(512);
    let any = |holds: fn(&Quorum) -> bool| states.iter().any(holds);
    assert!(any(|quorum| quorum.is_refused()));
    assert!(any(|quorum| quorum.voting.is_some() && quorum.held));
    assert!(any(|quorum| quorum.decided.len() > 1));
    assert!(any(|quorum| {
        let taken_back = quorum.voting.and_then(|at| quorum.decided.last().map(|(e, _)| (at, *e)));
        taken_back.is_some_and(|(at, decided)| at == decided)
    }));
    assert!(any(|quorum| quorum.rounds.values().any(|round| !round.both.is_empty())));
    let any_round =
        |holds: fn(&Ballots) -> bool| states.iter().any(|quorum| quorum.rounds.values().any(holds));
    assert!(any_round(|round| !round.late.is_empty()));
    assert!(any_round(|round| round.sittings > 0 && !round.unreliable.is_empty()));
    assert!(any(|quorum| {
        let sat_again = |(at, _): &(u64, Verdict)| quorum.rounds[at].sittings > 0;
        quorum.decided.iter().any(sat_again)
    }));
    assert!(any_round(|round| round.phase == VotePhase::Over && round.unopened().is_empty()));
    assert!(any(|quorum| quorum.decided.last().is_some_and(|(epoch, verdict)| {
        let stakes = &quorum.epochs[epoch];
        let signed = sum(stakes, &quorum.rounds[epoch].voters(*verdict));
        3 * signed == 2 * stakes.iter().sum::<u128>()
    })));
}
