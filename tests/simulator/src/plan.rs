//! What a seed draws before its run begins: who takes part, how they behave, what breaks when.

use proofgrid_core::ids::EpochNumber;
use proofgrid_core::network::NetworkConfig;

use crate::net::Node;
use crate::plants::Plant;
use crate::queue::Moment;
use crate::random::Random;
use crate::stakes::{self, CHAIN, VERIFIERS, target};

/// How a prover behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProverKind {
    /// As it should.
    Honest,
    /// Delivers proofs that do not hold.
    Wrong,
    /// Delivers proofs that somebody else made.
    Thief,
    /// Takes leases, stays alive and delivers nothing.
    Silent,
    /// Repeats completions, with other bytes and other tokens too, and reports on old leases.
    Noisy,
    /// Delivers proofs that are too long.
    Oversized,
}

/// How a verifier behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierKind {
    /// As it should.
    Honest,
    /// Votes both ways.
    Double,
    /// Votes valid without looking, and attests everything.
    AlwaysValid,
    /// Votes invalid without looking.
    AlwaysInvalid,
    /// Never answers.
    Silent,
    /// Attests what it did not vote on, and votes again under other epochs.
    Eager,
    /// Commits to what another one committed to, and opens what others opened.
    Copycat,
    /// Commits to a vote for valid and opens one for invalid.
    Turncoat,
    /// Opens its commitments with another salt.
    Forgetful,
    /// Commits and opens nothing.
    Withholding,
}

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies at once and comes back later.
    Crash(Node, Moment),
    /// The dispatcher dies in the middle of its next flush.
    CrashMidFlush(Moment),
    /// A peer cannot reach the dispatcher for a while.
    Cut(Node, Moment),
    /// A connection breaks.
    Break(Node),
    /// The dispatcher's clock is set so many milliseconds ahead of the true one, or behind.
    Skew(i64),
    /// The newest blocks are replaced.
    Reorg(u64),
    /// A stake table is frozen.
    Snapshot(EpochNumber),
    /// A member is excluded.
    Exclude(EpochNumber, usize),
    /// The oracle's endpoint misbehaves for a while.
    Endpoint(Endpoint, Moment),
    /// A prover goes away for a while after it has finished what it holds.
    Drain(usize),
    /// An administrator takes the running leases back.
    Requeue,
}

/// How the oracle's endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// It answers.
    Good,
    /// It does not answer.
    Down,
    /// It is some blocks behind.
    Behind(u64),
    /// It names blocks as final that do not exist.
    LyingHead(u64),
    /// It gives events again that it gave before.
    Repeating,
}

/// What the network between peers and dispatcher does.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Messages lost, of 1 000.
    pub loss: u64,
    /// Messages that arrive twice, of 1 000.
    pub twice: u64,
    /// Longest way of a message.
    pub delay_max: Moment,
    /// Whether messages of one connection overtake each other.
    pub reorder: bool,
}

/// Everything that a seed draws beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The planted bug, if one is.
    pub plant: Option<Plant>,
    /// Provers; the first is honest.
    pub provers: Vec<ProverKind>,
    /// Verifiers.
    pub verifiers: Vec<VerifierKind>,
    /// Whether a third of some epoch's stake or more misbehaves.
    pub is_outvoted: bool,
    /// What the network does until it heals.
    pub weather: Weather,
    /// What breaks.
    pub faults: Vec<(Moment, Fault)>,
    /// When faults stop.
    pub heal_at: Moment,
    /// Longest flush of the journal.
    pub flush_max: Moment,
    /// Judges that do not finish, of 1 000.
    pub unjudged: u64,
    /// Tries that an honest prover gives up, of 1 000.
    pub giving_up: u64,
    /// Blocks until one is final.
    pub finality_lag: u64,
    /// Jobs of each of the two requesters.
    pub jobs: [u64; 2],
    /// Whether jobs of a requester have one input.
    pub shared_inputs: bool,
    /// Whether jobs are in an ordered stream.
    pub streams: bool,
    /// Whether requesters repeat and contradict themselves.
    pub rude_requesters: bool,
    /// The network's settings.
    pub config: NetworkConfig,
}

fn config(random: &mut Random) -> NetworkConfig {
    let most = |random: &mut Random, small: u64, usual: usize| {
        if random.chance(250) { usize::try_from(small).expect("small") } else { usual }
    };
    let usual = NetworkConfig::new(CHAIN, target());
    NetworkConfig {
        judge_at_intake: random.chance(700),
        batch_statements_max: most(random, 2, usual.batch_statements_max),
        live_jobs_max: most(random, 3, usual.live_jobs_max),
        live_jobs_per_requester_max: most(random, 2, usual.live_jobs_per_requester_max),
        blob_retention_ms: if random.chance(500) { 3_000 } else { usual.blob_retention_ms },
        heartbeat_dead_after_ms: 6_000,
        lease_max_ms: 15_000,
        input_wait_ms: 30_000,
        deadline_grace_ms: 5_000,
        attest_timeout_ms: 2_000,
        attest_linger_ms: 100,
        vote_timeout_ms: 10_000,
        // Longer than anything is cut off: whoever is honest is back before its phase is over.
        commit_cap_ms: 90_000,
        reveal_cap_ms: 60_000,
        epoch_grace_ms: 8_000,
        submit_retry_ms: 1_000,
        submit_retry_max_ms: 8_000,
        stream_margin_ms: 10_000,
        ..usual
    }
}

impl Plan {
    /// Draws a plan.
    pub fn draw(random: &mut Random, plant: Option<Plant>) -> Self {
        let wildness = random.below(4);
        let heal_at = random.between(15_000, 45_000);
        let (verifiers, is_outvoted) = draw_verifiers(random, wildness);
        let provers = draw_provers(random, wildness);
        let faults = draw_faults(random, wildness, heal_at, provers.len());
        Self {
            plant,
            provers,
            verifiers,
            is_outvoted,
            weather: Weather {
                loss: [0, 3, 15, 50][usize::try_from(wildness).expect("below 4")],
                twice: random.below(1 + wildness * 20),
                delay_max: random.pick(&[5, 50, 400, 2_000]).expect("not empty"),
                reorder: random.chance(300 * wildness.min(2)),
            },
            faults,
            heal_at,
            flush_max: random.pick(&[2, 20, 150]).expect("not empty"),
            unjudged: random.pick(&[0, 0, 30, 150]).expect("not empty"),
            giving_up: random.pick(&[0, 20, 100]).expect("not empty"),
            finality_lag: random.between(2, 6),
            jobs: [random.between(1, 4), random.below(3) * random.below(3)],
            shared_inputs: random.chance(250),
            streams: random.chance(250),
            rude_requesters: random.chance(300),
            config: config(random),
        }
    }
}

fn draw_provers(random: &mut Random, wildness: u64) -> Vec<ProverKind> {
    use ProverKind::{Honest, Noisy, Oversized, Silent, Thief, Wrong};
    let mut provers = vec![Honest];
    for _ in 0..random.between(1, 3) {
        let bad = random.pick(&[Wrong, Thief, Silent, Noisy, Noisy, Oversized]);
        provers.push(bad.filter(|_| random.chance(200 * wildness)).unwrap_or(Honest));
    }
    provers
}

fn draw_verifiers(random: &mut Random, wildness: u64) -> (Vec<VerifierKind>, bool) {
    use VerifierKind::{
        AlwaysInvalid, AlwaysValid, Copycat, Double, Eager, Forgetful, Honest, Silent, Turncoat,
        Withholding,
    };
    let mut verifiers = vec![Honest; VERIFIERS];
    // One seed in eight has a third of the stake or more against it, which may stop it but not lie.
    let outvoted = random.chance(125);
    for _ in 0..wildness {
        let index = random.index(VERIFIERS);
        let kind = random.pick(&[
            Double,
            AlwaysValid,
            AlwaysInvalid,
            Silent,
            Eager,
            Copycat,
            Turncoat,
            Forgetful,
            Withholding,
        ]);
        let before = std::mem::replace(&mut verifiers[index], kind.expect("not empty"));
        let bad = |epoch: u64| -> (u128, u128) {
            let epoch = EpochNumber::new(epoch);
            let stake = |index: &usize| stakes::stake(epoch, *index);
            let all = (0..VERIFIERS).map(|index| stake(&index)).sum();
            let bad = (0..VERIFIERS).filter(|index| verifiers[*index] != Honest);
            (bad.map(|index| stake(&index)).sum(), all)
        };
        let fits = |(bad, all): (u128, u128)| bad * 3 < if outvoted { 2 * all } else { all };
        if !(1..=3).all(|epoch| fits(bad(epoch))) {
            verifiers[index] = before;
        }
    }
    let honest_rule = (1..=3).all(|epoch| {
        let epoch = EpochNumber::new(epoch);
        let stake = |index: usize| stakes::stake(epoch, index);
        let all: u128 = (0..VERIFIERS).map(stake).sum();
        let bad = (0..VERIFIERS).filter(|index| verifiers[*index] != Honest);
        bad.map(stake).sum::<u128>() * 3 < all
    });
    (verifiers, !honest_rule)
}

fn draw_faults(
    random: &mut Random,
    wildness: u64,
    heal_at: Moment,
    provers: usize,
) -> Vec<(Moment, Fault)> {
    let mut faults = Vec::new();
    let node = |random: &mut Random| match random.below(8) {
        0..=2 => Node::Dispatcher,
        3 | 4 => Node::Prover(random.index(provers)),
        5 | 6 => Node::Verifier(random.index(VERIFIERS)),
        _ => Node::Oracle,
    };
    for _ in 0..random.below(1 + wildness * 5) {
        let at = random.below(heal_at);
        let fault = match random.below(15) {
            0 | 1 => Fault::Crash(node(random), random.between(50, 9_000)),
            2..=4 => Fault::CrashMidFlush(random.between(50, 9_000)),
            5 => match node(random) {
                Node::Dispatcher => Fault::Break(Node::Oracle),
                peer => Fault::Cut(peer, random.between(100, 12_000)),
            },
            6 => match node(random) {
                Node::Dispatcher => Fault::Requeue,
                peer => Fault::Break(peer),
            },
            7 => {
                let most = random.pick(&[3_000, 3_000, 30_000]).expect("not empty");
                let ahead = i64::try_from(random.below(most)).expect("small");
                Fault::Skew(if random.chance(500) { ahead } else { -ahead })
            }
            8 | 9 => Fault::Reorg(random.between(1, 5)),
            10 => Fault::Exclude(EpochNumber::new(random.between(1, 3)), random.index(VERIFIERS)),
            11 | 12 => {
                let kind = match random.below(4) {
                    0 => Endpoint::Down,
                    1 => Endpoint::Behind(random.between(1, 6)),
                    2 => Endpoint::LyingHead(random.between(1, 20)),
                    _ => Endpoint::Repeating,
                };
                Fault::Endpoint(kind, random.between(500, 8_000))
            }
            13 => Fault::Drain(random.index(provers)),
            _ => Fault::Requeue,
        };
        faults.push((at, fault));
    }
    for epoch in 2..=random.between(1, 3) {
        let at = random.between(heal_at / 4 * (epoch - 1), heal_at / 2 * (epoch - 1));
        faults.push((at, Fault::Snapshot(EpochNumber::new(epoch))));
    }
    faults
}
