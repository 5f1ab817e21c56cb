//! Bugs on purpose: each changes one adapter of the simulator, never the core.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The dispatcher answers before the journal is flushed.
    AnswerBeforeFlush,
    /// The dispatcher runs effects before the journal is flushed.
    EffectBeforeFlush,
    /// Facts about delivered proofs are not written.
    DeliveriesNotJournaled,
    /// Facts about votes are not written.
    VotesNotJournaled,
    /// After a restart the journal is replayed, but `resume` is not asked what is owed.
    NoResume,
    /// A completion under a stale token is passed on under the token that runs now.
    FenceForgotten,
    /// A verifier opens its vote as soon as it has judged.
    OpensBeforeTheSet,
    /// The commit sets that votes are opened to are not written.
    CommitSetsNotJournaled,
    /// Intake takes the record from whoever delivered, without looking at the proof.
    IntakeBelievesProver,
    /// A verifier attests whatever it is asked to.
    AttestWithoutLog,
    /// A verifier takes a judge that did not finish for a refusal.
    UnjudgedIsInvalid,
    /// The oracle calls a transaction final as soon as it is in a block.
    FinalWhenIncluded,
    /// The oracle moves its cursor before the dispatcher has acknowledged.
    CursorBeforeAck,
    /// The oracle does not look again at what was in a block once.
    ReorgIgnored,
    /// The contract pays again when `settle` runs again.
    SettlePaysAgain,
    /// The contract refunds what it has paid out.
    RefundAfterSettle,
}

impl Plant {
    /// Every planted bug.
    pub const ALL: [Self; 16] = [
        Self::AnswerBeforeFlush,
        Self::EffectBeforeFlush,
        Self::DeliveriesNotJournaled,
        Self::VotesNotJournaled,
        Self::NoResume,
        Self::FenceForgotten,
        Self::OpensBeforeTheSet,
        Self::CommitSetsNotJournaled,
        Self::IntakeBelievesProver,
        Self::AttestWithoutLog,
        Self::UnjudgedIsInvalid,
        Self::FinalWhenIncluded,
        Self::CursorBeforeAck,
        Self::ReorgIgnored,
        Self::SettlePaysAgain,
        Self::RefundAfterSettle,
    ];
}
