//! How a finding of the network is brought on-chain, and why that way.
//!
//! Three ways make a statement read as verified: the chain judges its proof itself
//! (`ProofRegistry.verifyDirect`), a certificate of this statement alone, or a certificate that it
//! shares with others. The first is hard at once and needs no quorum, and costs most; a certificate
//! is hard after the challenge window, and its cost does not grow with what it covers. What decides
//! is therefore the job's deadline and the share of the cost: [`choose`] is a pure function of the
//! [`Situation`] and of the gas that our own transactions used lately ([`GasSeen`]). Times and prices
//! are passed in; nothing is asked here.
//!
//! What it refuses to do: pay more gas for a job than the job is worth, and call a way open that the
//! chain does not offer.

use std::collections::VecDeque;
use std::fmt;

use alloy::primitives::U256;
use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::units::UnixSeconds;

/// Gas of `attest` before our own was measured: 64 operators, all sign (contracts/README.md, held
/// by `AttestGas.t.sol`).
pub const ATTEST_GAS_DEFAULT: u64 = 187_716;
/// Gas of `verifyDirect` before our own was measured: Groth16 of one public input
/// (contracts/README.md, held by `DirectGas.t.sol`).
pub const DIRECT_GAS_DEFAULT: u64 = 287_558;
/// Newest transactions of a kind that count. Their median shrugs off a few that were unlucky in the
/// map to the curve.
const SAMPLES_MAX: usize = 15;

/// Gas that the newest transactions of one kind used.
#[derive(Debug, Clone)]
struct Recent {
    default: u64,
    samples: VecDeque<u64>,
}

impl Recent {
    const fn new(default: u64) -> Self {
        Self { default, samples: VecDeque::new() }
    }

    fn note(&mut self, gas: u64) {
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(gas);
    }

    /// The median; the default while there is nothing.
    fn typical(&self) -> u64 {
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(self.default)
    }
}

/// What publishing cost lately, from receipts.
#[derive(Debug, Clone)]
pub struct GasSeen {
    attest: Recent,
    direct: Recent,
}

impl Default for GasSeen {
    fn default() -> Self {
        Self { attest: Recent::new(ATTEST_GAS_DEFAULT), direct: Recent::new(DIRECT_GAS_DEFAULT) }
    }
}

impl GasSeen {
    /// An attestation used so much, whatever it covers.
    pub fn note_attest(&mut self, gas: u64) {
        self.attest.note(gas);
    }

    /// A direct verification used so much.
    pub fn note_direct(&mut self, gas: u64) {
        self.direct.note(gas);
    }

    /// Gas of an attestation.
    #[must_use]
    pub fn attest(&self) -> u64 {
        self.attest.typical()
    }

    /// Gas of a direct verification.
    #[must_use]
    pub fn direct(&self) -> u64 {
        self.direct.typical()
    }
}

/// Whether the chain can judge the statement itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decidable {
    /// One segment, of a program with a judge of proofs, and its proof is at hand.
    Yes,
    /// Anything else.
    No,
}

/// The job of a certificate that is due first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueJob {
    /// The last second at which its requester wants to read the result as hard.
    pub deadline: UnixSeconds,
    /// Whether the chain can judge its statement.
    pub decidable: Decidable,
    /// Its fee: more is not paid to bring it on-chain in time.
    pub fee_wei: U256,
}

/// What is to be published, and when and at what price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Statements that one certificate covers. None is read as one.
    pub num_statements: u32,
    /// The chain's clock.
    pub now: UnixSeconds,
    /// Seconds until the certificate is there, as quorums took lately; 0 once it is.
    pub quorum_seconds: u64,
    /// The registry's challenge window.
    pub window_seconds: u64,
    /// What a unit of gas costs now.
    pub gas_price_wei: u128,
    /// The job that is due first, if any has an escrow.
    pub due: Option<DueJob>,
}

/// A way of publishing. Variants are appended, never reordered: they stand in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Publishing {
    /// The chain judges the proof of one statement.
    Direct,
    /// A certificate of one statement.
    AttestOne,
    /// A certificate of several.
    AttestBatch {
        /// How many.
        num_statements: u32,
    },
}

impl fmt::Display for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => write!(f, "published by direct on-chain verification"),
            Self::AttestOne => write!(f, "published by attestation of one"),
            Self::AttestBatch { num_statements } => {
                write!(f, "published by attestation of a batch of {num_statements}")
            }
        }
    }
}

/// Why a way was chosen. Variants are appended, never reordered: they stand in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Reason {
    /// A certificate would be hard after the job's deadline.
    DeadlineNear {
        /// When a certificate would be hard.
        hard_at: UnixSeconds,
        /// The job's deadline.
        deadline: UnixSeconds,
    },
    /// No other way costs less per proof.
    CheapestPerProof {
        /// Gas per proof, rounded up.
        gas: u64,
    },
    /// Nothing else was ready to share a certificate.
    NothingElseWaits {
        /// Gas of the certificate.
        gas: u64,
    },
    /// It is urgent, but the chain cannot judge the proof.
    NotDecidableOnChain,
    /// It is urgent, but judging the proof on-chain costs more than the job pays.
    NotWorthItsGas {
        /// Gas of a direct verification.
        gas: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeadlineNear { hard_at, deadline } => write!(
                f,
                "deadline near (a certificate is hard at {hard_at}, the deadline is {deadline})"
            ),
            Self::CheapestPerProof { gas } => write!(f, "cheapest per proof ({gas} gas)"),
            Self::NothingElseWaits { gas } => write!(f, "nothing else waits ({gas} gas)"),
            Self::NotDecidableOnChain => write!(f, "urgent, but the chain cannot judge the proof"),
            Self::NotWorthItsGas { gas } => {
                write!(f, "urgent, but {gas} gas for judging it on-chain exceed the job's fee")
            }
        }
    }
}

/// A way and its reason; what is recorded and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Choice {
    /// The way.
    pub way: Publishing,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.way, self.reason)
    }
}

/// What a certificate is, and why it is the way where no job is urgent. A certificate of none is
/// read as one of one.
#[must_use]
pub fn by_certificate(num_statements: u32, gas: &GasSeen) -> Choice {
    let num_statements = num_statements.max(1);
    let gas = share(num_statements, gas);
    match num_statements {
        1 => Choice { way: Publishing::AttestOne, reason: Reason::NothingElseWaits { gas } },
        _ => Choice {
            way: Publishing::AttestBatch { num_statements },
            reason: Reason::CheapestPerProof { gas },
        },
    }
}

/// Chooses. Total: every situation has a way, since a certificate is always one.
#[must_use]
pub fn choose(situation: &Situation, gas: &GasSeen) -> Choice {
    let shared = by_certificate(situation.num_statements, gas);
    let Some(due) = &situation.due else {
        return shared;
    };
    let wait = situation.quorum_seconds.saturating_add(situation.window_seconds);
    let hard_at = UnixSeconds::new(situation.now.get().saturating_add(wait));
    // What is late already is not made less late by paying more.
    if hard_at <= due.deadline || situation.now > due.deadline {
        let direct_is_cheaper = gas.direct() < share(situation.num_statements.max(1), gas);
        if due.decidable == Decidable::Yes && direct_is_cheaper {
            let reason = Reason::CheapestPerProof { gas: gas.direct() };
            return Choice { way: Publishing::Direct, reason };
        }
        return shared;
    }
    if due.decidable == Decidable::No {
        return Choice { reason: Reason::NotDecidableOnChain, ..shared };
    }
    let cost_wei = U256::from(gas.direct()).saturating_mul(U256::from(situation.gas_price_wei));
    if cost_wei > due.fee_wei {
        return Choice { reason: Reason::NotWorthItsGas { gas: gas.direct() }, ..shared };
    }
    let reason = Reason::DeadlineNear { hard_at, deadline: due.deadline };
    Choice { way: Publishing::Direct, reason }
}

/// A proof's share of an attestation, rounded up.
fn share(num_statements: u32, gas: &GasSeen) -> u64 {
    gas.attest().div_ceil(u64::from(num_statements))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;
    const NOW: u64 = 1_000_000;
    const WINDOW: u64 = 600;

    fn situation(num_statements: u32, due: Option<DueJob>) -> Situation {
        Situation {
            num_statements,
            now: UnixSeconds::new(NOW),
            quorum_seconds: 0,
            window_seconds: WINDOW,
            gas_price_wei: GWEI,
            due,
        }
    }

    /// A job whose deadline is so many seconds from now.
    fn due(in_seconds: u64, decidable: Decidable, fee_gwei: u64) -> Option<DueJob> {
        Some(DueJob {
            deadline: UnixSeconds::new(NOW + in_seconds),
            decidable,
            fee_wei: U256::from(fee_gwei) * U256::from(GWEI),
        })
    }

    fn cheap_direct() -> GasSeen {
        let mut gas = GasSeen::default();
        gas.note_attest(200_000);
        gas.note_direct(90_000);
        gas
    }

    #[test]
    fn the_state_table() {
        use Decidable::{No, Yes};
        let (usual, cheap) = (GasSeen::default(), cheap_direct());
        let one = ATTEST_GAS_DEFAULT;
        let near = Reason::DeadlineNear {
            hard_at: UnixSeconds::new(NOW + WINDOW),
            deadline: UnixSeconds::new(NOW + WINDOW - 1),
        };
        let batch = |num_statements| Publishing::AttestBatch { num_statements };
        let late = WINDOW - 1;
        let past =
            Some(DueJob { deadline: UnixSeconds::new(NOW - 1), ..due(0, Yes, 1 << 20).unwrap() });
        let table = [
            (
                "alone, nothing due",
                situation(1, None),
                &usual,
                Publishing::AttestOne,
                Reason::NothingElseWaits { gas: one },
            ),
            (
                "none counts as one",
                situation(0, None),
                &usual,
                Publishing::AttestOne,
                Reason::NothingElseWaits { gas: one },
            ),
            (
                "a batch of 64, nothing due",
                situation(64, None),
                &usual,
                batch(64),
                Reason::CheapestPerProof { gas: 2934 },
            ),
            (
                "a batch, hard in the last second",
                situation(12, due(WINDOW, Yes, 1 << 20)),
                &usual,
                batch(12),
                Reason::CheapestPerProof { gas: 15_643 },
            ),
            (
                "alone, in time",
                situation(1, due(WINDOW, Yes, 1 << 20)),
                &usual,
                Publishing::AttestOne,
                Reason::NothingElseWaits { gas: one },
            ),
            (
                "hard a second too late",
                situation(1, due(late, Yes, 1 << 20)),
                &usual,
                Publishing::Direct,
                near,
            ),
            (
                "late already",
                situation(1, past),
                &usual,
                Publishing::AttestOne,
                Reason::NothingElseWaits { gas: one },
            ),
            (
                "a batch does not save the urgent one",
                situation(12, due(late, Yes, 1 << 20)),
                &usual,
                Publishing::Direct,
                near,
            ),
            (
                "urgent, no judge",
                situation(1, due(late, No, 1 << 20)),
                &usual,
                Publishing::AttestOne,
                Reason::NotDecidableOnChain,
            ),
            (
                "urgent batch, no judge",
                situation(3, due(0, No, 1 << 20)),
                &usual,
                batch(3),
                Reason::NotDecidableOnChain,
            ),
            (
                "urgent, pays exactly its gas",
                situation(1, due(late, Yes, DIRECT_GAS_DEFAULT)),
                &usual,
                Publishing::Direct,
                near,
            ),
            (
                "urgent, pays a unit less",
                situation(1, due(late, Yes, DIRECT_GAS_DEFAULT - 1)),
                &usual,
                Publishing::AttestOne,
                Reason::NotWorthItsGas { gas: DIRECT_GAS_DEFAULT },
            ),
            (
                "direct costs less than alone",
                situation(1, due(9999, Yes, 0)),
                &cheap,
                Publishing::Direct,
                Reason::CheapestPerProof { gas: 90_000 },
            ),
            (
                "and not less than a share of three",
                situation(3, due(9999, Yes, 0)),
                &cheap,
                batch(3),
                Reason::CheapestPerProof { gas: 66_667 },
            ),
            (
                "nor where there is no judge",
                situation(1, due(9999, No, 0)),
                &cheap,
                Publishing::AttestOne,
                Reason::NothingElseWaits { gas: 200_000 },
            ),
        ];
        for (description, situation, gas, way, reason) in table {
            assert_eq!(choose(&situation, gas), Choice { way, reason }, "{description}");
        }
    }

    #[test]
    fn the_time_of_a_quorum_that_is_not_there_yet_counts() {
        let there = situation(1, due(WINDOW + 29, Decidable::Yes, 1 << 20));
        assert_eq!(choose(&there, &GasSeen::default()).way, Publishing::AttestOne);
        let slow = Situation { quorum_seconds: 30, ..there };
        assert_eq!(choose(&slow, &GasSeen::default()).way, Publishing::Direct);
    }

    #[test]
    fn a_dear_chain_makes_an_urgent_job_wait_for_its_certificate() {
        let cheap = situation(1, due(0, Decidable::Yes, 1_000_000));
        assert_eq!(choose(&cheap, &GasSeen::default()).way, Publishing::Direct);
        let dear = Situation { gas_price_wei: 100 * GWEI, ..cheap };
        let choice = choose(&dear, &GasSeen::default());
        assert_eq!(choice.way, Publishing::AttestOne);
        assert_eq!(choice.reason, Reason::NotWorthItsGas { gas: DIRECT_GAS_DEFAULT });
    }

    #[test]
    fn nothing_overflows() {
        let far = DueJob {
            deadline: UnixSeconds::new(u64::MAX),
            decidable: Decidable::Yes,
            fee_wei: U256::MAX,
        };
        let extreme = Situation {
            num_statements: u32::MAX,
            now: UnixSeconds::new(u64::MAX),
            quorum_seconds: u64::MAX,
            window_seconds: u64::MAX,
            gas_price_wei: u128::MAX,
            due: Some(far),
        };
        let mut gas = GasSeen::default();
        gas.note_direct(u64::MAX);
        let batch = Publishing::AttestBatch { num_statements: u32::MAX };
        assert_eq!(choose(&extreme, &gas).way, batch);
        let urgent = Situation { now: UnixSeconds::new(0), window_seconds: u64::MAX, ..extreme };
        let due = Some(DueJob { deadline: UnixSeconds::new(1), ..far });
        assert_eq!(choose(&Situation { due, ..urgent }, &gas).way, Publishing::Direct);
    }

    #[test]
    fn the_median_of_the_newest_counts() {
        let mut gas = GasSeen::default();
        assert_eq!(gas.attest(), ATTEST_GAS_DEFAULT);
        gas.note_attest(1);
        assert_eq!(gas.attest(), 1, "measured, not guessed");
        for _ in 0..SAMPLES_MAX {
            gas.note_attest(190_000);
        }
        gas.note_attest(900_000);
        assert_eq!(gas.attest(), 190_000, "neither the old nor the odd one");
        assert_eq!(gas.direct(), DIRECT_GAS_DEFAULT, "kinds do not mix");
    }

    #[test]
    fn a_choice_is_told_in_one_line() {
        let choice = choose(&situation(64, None), &GasSeen::default());
        assert_eq!(
            choice.to_string(),
            "published by attestation of a batch of 64: cheapest per proof (2934 gas)"
        );
        let choice = choose(&situation(1, due(0, Decidable::Yes, 1 << 20)), &GasSeen::default());
        assert_eq!(
            choice.to_string(),
            "published by direct on-chain verification: deadline near (a certificate is hard at \
             1000600 s, the deadline is 1000000 s)"
        );
    }
}
