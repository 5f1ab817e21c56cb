//! What a seed draws before its run: settings of the dispatcher, and which peers are hostile.

use crate::random::Random;

use super::rig::{PROVERS, STAKES};

/// How a hostile prover earns its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProverKind {
    /// Delivers an envelope with the right values and no proof in it.
    Hollow,
    /// Delivers bytes that are no envelope.
    Garbage,
    /// Delivers a good proof of other values than the input's.
    OtherValues,
    /// Delivers a proof that is bound to another prover.
    Thief,
    /// Delivers its proof of one segment for the next as well.
    Swap,
    /// Delivers good proofs, under stale and invented tokens, again and again, and lies in between.
    Noisy,
    /// Takes leases, sends heartbeats and delivers nothing.
    Silent,
}

/// How a hostile verifier earns its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierKind {
    /// Votes `valid` on everything.
    AlwaysValid,
    /// Votes `invalid` on everything.
    AlwaysInvalid,
    /// Votes both ways on everything.
    Both,
    /// Never votes and never attests.
    Silent,
    /// Signs something else than it says.
    Forger,
    /// Commits to what it cannot open, as who repeats another one's commitment.
    Copycat,
    /// Opens its commitments with another salt.
    Forgetful,
}

/// What is special about a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Records between two snapshots, if there are any.
    pub snapshots: Option<u64>,
    /// The hostile prover, if there is one.
    pub prover: Option<(usize, ProverKind)>,
    /// The hostile verifier, if there is one.
    pub verifier: Option<(usize, VerifierKind)>,
}

impl Setup {
    /// Draws a seed's.
    pub fn draw(random: &mut Random) -> Self {
        use ProverKind::{Garbage, Hollow, Noisy, OtherValues, Silent, Swap, Thief};
        let snapshots = random.between(3, 40);
        let prover = [Hollow, Garbage, OtherValues, Thief, Swap, Noisy, Noisy, Silent];
        let prover = (random.index(PROVERS), prover[random.index(prover.len())]);
        let verifier = [
            VerifierKind::AlwaysValid,
            VerifierKind::AlwaysInvalid,
            VerifierKind::Both,
            VerifierKind::Silent,
            VerifierKind::Forger,
            VerifierKind::Copycat,
            VerifierKind::Forgetful,
        ];
        let verifier = (random.index(STAKES.len()), verifier[random.index(verifier.len())]);
        Self {
            snapshots: random.chance(600).then_some(snapshots),
            prover: random.chance(400).then_some(prover),
            verifier: random.chance(400).then_some(verifier),
        }
    }
}
