//! Epochs that the own view of the chain confirmed; nothing is signed under any other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proofgrid_core::crypto::bls::PublicKeyG1;
use proofgrid_core::epoch::EpochTable;
use proofgrid_core::ids::{Address, EpochNumber, NetworkId, TableDigest};
use proofgrid_proto::convert::AbstainReason;

use crate::chain_view::{ChainView, ask};
use crate::limits::EPOCHS_MAX;

/// Why there is no vote: the reason on the wire, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abstention {
    pub(crate) reason: AbstainReason,
    pub(crate) text: String,
}

impl Abstention {
    pub(crate) fn new(reason: AbstainReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// An epoch whose table the chain shows with this digest, with this verifier and its key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmedEpoch {
    number: EpochNumber,
    digest: TableDigest,
}

impl ConfirmedEpoch {
    /// Its number.
    #[must_use]
    pub const fn number(&self) -> EpochNumber {
        self.number
    }

    /// The digest of its table.
    #[must_use]
    pub const fn digest(&self) -> TableDigest {
        self.digest
    }
}

/// Who this verifier is in every table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) network: NetworkId,
    pub(crate) operator: Address,
    pub(crate) key: PublicKeyG1,
}

/// Asks the chain and remembers what it confirmed; a final table never changes.
pub(crate) struct Epochs {
    view: Arc<dyn ChainView>,
    identity: Identity,
    patience: Duration,
    confirmed: Mutex<VecDeque<ConfirmedEpoch>>,
}

impl Epochs {
    pub(crate) fn new(view: Arc<dyn ChainView>, identity: Identity, patience: Duration) -> Self {
        Self { view, identity, patience, confirmed: Mutex::default() }
    }

    /// Confirms what the dispatcher said about an epoch. The own view may be a little behind the
    /// dispatcher's, so an epoch that is not there yet is asked for again until patience ends.
    pub(crate) async fn confirm(
        &self,
        number: EpochNumber,
        digest: TableDigest,
    ) -> Result<ConfirmedEpoch, Abstention> {
        let wanted = ConfirmedEpoch { number, digest };
        if self.remembered().contains(&wanted) {
            return Ok(wanted);
        }
        let table = ask(self.patience, || self.view.epoch(number)).await.map_err(|problem| {
            Abstention::new(AbstainReason::ChainView, format!("epoch {number}: {problem}"))
        })?;
        self.check(&table, wanted)?;
        self.remember(wanted);
        Ok(wanted)
    }

    fn check(&self, table: &EpochTable, wanted: ConfirmedEpoch) -> Result<(), Abstention> {
        let Identity { network, operator, key } = self.identity;
        let differs = |text: String| Err(Abstention::new(AbstainReason::ChainView, text));
        let ConfirmedEpoch { number, digest } = wanted;
        if table.network() != network || table.epoch() != number {
            return differs(format!("the chain's table for epoch {number} is of another network"));
        }
        if table.digest() != digest {
            let shown = table.digest();
            return differs(format!("epoch {number} has the table {shown}, not {digest}"));
        }
        match table.index_of(operator).and_then(|index| table.member(index)) {
            Some(member) if member.key == key => Ok(()),
            Some(_) => differs(format!("epoch {number} lists another key for {operator}")),
            None => differs(format!("epoch {number} does not list {operator}")),
        }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, VecDeque<ConfirmedEpoch>> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, epoch: ConfirmedEpoch) {
        let mut confirmed = self.remembered();
        confirmed.push_back(epoch);
        if confirmed.len() > EPOCHS_MAX {
            confirmed.pop_front();
        }
    }
}
