//! The quorum table: whose stake counts for which verdict, and when that decides.
//!
//! The model adds stakes over sets of members and compares three times the sum with twice the
//! total. Membership and stakes change with each epoch; votes of two epochs are never added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::crypto::bls::{PublicKeyG1, PublicKeyG2, SecretKey};
use crate::epoch::{EpochKeys, EpochTable, Member};
use crate::ids::{BlockHash, BlockNumber, EpochNumber, JobId, NetworkId, StatementDigest};
use crate::job::JobSpec;
use crate::network::*;
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

/// Stakes of one epoch by operator; 0 is not a member.
type Stakes = [u128; OPERATORS];

#[derive(Clone, Debug)]
enum Do {
    Epoch {
        stakes: Stakes,
    },
    /// An invalid vote names `segment`, which may not exist.
    Vote {
        operator: usize,
        epoch: u64,
        verdict: Verdict,
        segment: u32,
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

/// Votes of one epoch.
#[derive(Clone, Debug, Default)]
struct Ballots {
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

    fn vote(&mut self, operator: usize, epoch: u64, verdict: Verdict, segment: u32) -> Said {
        if verdict == Verdict::Invalid && segment >= SEGMENTS {
            return Err(Refusal::BadDetail { num_segments: SEGMENTS });
        }
        let counts = self.voting == Some(epoch) && !self.out_of(epoch).contains(&operator);
        // The first word of a key stands in every epoch.
        let mut words = self.rounds.values().filter_map(|round| round.first.get(&operator));
        let otherwise = words.any(|(word, _)| *word != verdict);
        let round = self.rounds.get_mut(&epoch).ok_or(Self::no_round(epoch))?;
        match round.first.get(&operator) {
            Some((first, _)) if *first == verdict => return Ok(Answer::Done),
            _ if otherwise && !round.both.insert(operator) => return Ok(Answer::Done),
            _ if otherwise => {}
            _ => {
                round.first.insert(operator, (verdict, segment));
                round.abstained.remove(&operator);
            }
        }
        self.decide();
        Ok(if counts { Answer::Done } else { Answer::Late })
    }

    fn abstain(&mut self, who: usize, epoch: u64) -> Said {
        let round = self.rounds.get_mut(&epoch).ok_or(Self::no_round(epoch))?;
        if self.epochs[&epoch][who] == 0 {
            return Err(Refusal::NotInEpoch(operator(who)));
        }
        if self.voting != Some(epoch) {
            return Ok(Answer::Late);
        }
        if !round.first.contains_key(&who) {
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

    /// Takes the decision that the votes of the epoch that is asked allow.
    fn decide(&mut self) {
        let Some(epoch) = self.voting else { return };
        let (stakes, round) = (&self.epochs[&epoch], &self.rounds[&epoch]);
        let signed = |verdict| sum(stakes, &round.voters(verdict));
        let silent = sum(stakes, &round.silent());
        let has = |verdict: &Verdict| is_two_thirds(signed(*verdict), stakes);
        if let Some(verdict) = Verdict::ALL.into_iter().find(has) {
            self.decided.push((epoch, verdict));
            (self.voting, self.held) = (None, false);
            // Later votes are kept but change nothing, this choice neither.
            self.named = (verdict == Verdict::Invalid).then(|| self.most_named(epoch));
            return;
        }
        let could = |verdict: Verdict| is_two_thirds(signed(verdict) + silent, stakes);
        self.held |= !Verdict::ALL.into_iter().any(could);
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        let overdue = self.opened_at + VOTE_TIMEOUT_MS;
        if self.is_undecided() && overdue <= end && self.over_at.is_none_or(|at| overdue <= at) {
            self.held = true;
        }
        if let Some(at) = self.over_at.filter(|at| *at <= end) {
            (self.now, self.over_at) = (at, None);
            let newest = self.newest();
            let asked = self.rounds.last_key_value().map(|(epoch, _)| *epoch);
            if asked < Some(newest) && !self.is_refused() {
                self.open(newest);
            }
            self.pass(end - at);
        }
        self.now = end;
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
            let verdict = prop_oneof![2 => Just(Verdict::Valid), 1 => Just(Verdict::Invalid)];
            let segment = prop_oneof![8 => 0..SEGMENTS, 1 => Just(SEGMENTS)];
            let excludable = members.clone();
            let vote = (select(members), verdict, segment).prop_map(
                |((operator, epoch), verdict, segment)| Do::Vote {
                    operator,
                    epoch,
                    verdict,
                    segment,
                },
            );
            let abstain = (0..OPERATORS, 1..=quorum.newest())
                .prop_map(|(operator, epoch)| Do::Abstain { operator, epoch });
            let exclude =
                select(excludable).prop_map(|(operator, epoch)| Do::Exclude { operator, epoch });
            kinds.push((12, vote.boxed()));
            kinds.push((1, exclude.boxed()));
            kinds.push((2, abstain.boxed()));
        }
        weighted(kinds)
    }

    fn preconditions(quorum: &Quorum, input: &Do) -> bool {
        match input {
            Do::Vote { operator, epoch, .. } | Do::Exclude { operator, epoch } => {
                quorum.member(*epoch, *operator)
            }
            Do::Abstain { epoch, .. } => *epoch <= quorum.newest(),
            Do::Epoch { stakes } => quorum.newest() < EPOCHS_MAX && stakes.iter().sum::<u128>() > 0,
            Do::Pass { .. } => true,
        }
    }

    fn apply(mut quorum: Quorum, input: &Do) -> Quorum {
        quorum.said = Ok(Answer::Done);
        match input {
            Do::Epoch { stakes } => quorum.epoch(stakes),
            Do::Vote { operator, epoch, verdict, segment } => {
                quorum.said = quorum.vote(*operator, *epoch, *verdict, *segment);
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
            Do::Vote { operator, epoch, verdict, segment } => {
                let vote = self.signed(*operator, *epoch, *verdict);
                let reason = "the claim differs".into();
                let detail = InvalidDetail { segment: *segment, reason };
                let detail = (*verdict == Verdict::Invalid).then_some(detail);
                Input::VoteReceived { vote, detail }
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

/// Late votes complete an invalid quorum of an old epoch that names another segment: the prover
/// whom the deciding epoch names is the one to blame.
#[test]
fn the_epoch_that_decides_names_the_segment() {
    let invalid =
        |operator, epoch, segment| Do::Vote { operator, epoch, verdict: Verdict::Invalid, segment };
    let stakes = [1, 1, 1, 0, 0];
    let inputs = vec![
        Do::Epoch { stakes },
        Do::Epoch { stakes },
        invalid(0, 1, 0),
        Do::Pass { ms: EPOCH_GRACE_MS },
        invalid(1, 1, 0),
        invalid(0, 2, 1),
        invalid(1, 2, 1),
    ];
    QuorumTest::test_sequential(config(), Quorum::start(), inputs, None);
}

#[test]
fn the_model_of_quorums_reaches_both_verdicts_ties_holds_and_second_epochs() {
    let states = visited::<QuorumModel>(64);
    let any = |holds: fn(&Quorum) -> bool| states.iter().any(holds);
    assert!(any(|quorum| quorum.is_refused()));
    assert!(any(|quorum| quorum.voting.is_some() && quorum.held));
    assert!(any(|quorum| quorum.decided.len() > 1));
    assert!(any(|quorum| {
        let taken_back = quorum.voting.and_then(|at| quorum.decided.last().map(|(e, _)| (at, *e)));
        taken_back.is_some_and(|(at, decided)| at == decided)
    }));
    assert!(any(|quorum| quorum.rounds.values().any(|round| !round.both.is_empty())));
    assert!(any(|quorum| quorum.decided.last().is_some_and(|(epoch, verdict)| {
        let stakes = &quorum.epochs[epoch];
        let signed = sum(stakes, &quorum.rounds[epoch].voters(*verdict));
        3 * signed == 2 * stakes.iter().sum::<u128>()
    })));
}
