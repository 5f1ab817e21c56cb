//! Keeps epochs rolling: a new table before the newest is too old, and soon after the operator set
//! changed.
//!
//! Rolling is permissionless and costs gas; several oracles may do it, and the contract takes each
//! epoch once. What is due is decided from the contracts' own state, so nothing is kept here. The
//! first epoch is not made here: a person who sets a network up says when it begins.

use alloy::eips::BlockId;
use alloy::sol_types::SolCall;
use proofgrid_core::crypto::bls::PublicKeyG2;
use proofgrid_core::ids::EpochNumber;

use crate::abi::{IEpochTable, IOperatorRegistrar};
use crate::contracts::{ContractAddresses, evm, g2_bytes, g2_key};
use crate::exclusions;
use crate::posts::Standing;
use crate::rpc::{Chain, RpcError};
use crate::submit::record::{Post, Purpose};

/// Part of an epoch's greatest age after which it is replaced although nothing changed, so that a
/// network has the other half to notice that nobody rolls. One half.
const ROLL_AGE_DIVISOR: u64 = 2;

/// What the contracts say of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// The newest; 0 before the first.
    pub newest: u64,
    /// When it was made, Unix seconds.
    pub created_at: u64,
    /// Version of the operator set.
    pub set_version: u64,
    /// Version of the stored roster.
    pub roster_version: u64,
    /// Whether the newest epoch was made from that roster.
    pub from_roster: bool,
    /// Least age before the next.
    pub min_age_seconds: u64,
    /// Greatest age.
    pub max_age_seconds: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// The next epoch.
    Epoch,
    /// The roster of the present set, then the next epoch.
    RosterAndEpoch,
}

impl Epochs {
    /// What is due at a second of the chain's clock.
    #[must_use]
    pub const fn due(&self, now: u64) -> Due {
        let age = now.saturating_sub(self.created_at);
        if self.newest == 0 || age < self.min_age_seconds {
            return Due::Nothing;
        }
        if self.roster_version != self.set_version {
            return Due::RosterAndEpoch;
        }
        if !self.from_roster || age >= self.max_age_seconds / ROLL_AGE_DIVISOR {
            return Due::Epoch;
        }
        Due::Nothing
    }
}

/// What is due, as posts in the order in which they must go out. One look asks for five views, and for
/// more while the operator set is not the newest epoch's.
///
/// # Errors
/// See [`RpcError`]; [`RpcError::Unusable`] when a registered key is no key.
pub(crate) async fn due_posts(
    chain: &Chain,
    contracts: &ContractAddresses,
) -> Result<Vec<Post>, RpcError> {
    let now = chain.latest().await?.timestamp;
    let epochs = look(chain, contracts).await?;
    let mut posts = Vec::new();
    if epochs.set_version != epochs.roster_version || !epochs.from_roster {
        posts = exclusions::due_posts(chain, contracts, epochs.newest).await?;
    }
    let roll = Post {
        purpose: Purpose::Epoch(EpochNumber::new(epochs.newest.saturating_add(1))),
        contract: contracts.epoch_table,
        calldata: IEpochTable::snapshotCall {}.abi_encode(),
    };
    match epochs.due(now) {
        Due::Nothing => {}
        Due::Epoch => posts.push(roll),
        Due::RosterAndEpoch => {
            let call = roster_call(chain, contracts).await?;
            let purpose = Purpose::Roster(epochs.set_version);
            let calldata = call.abi_encode();
            posts.extend([Post { purpose, contract: contracts.epoch_table, calldata }, roll]);
        }
    }
    Ok(posts)
}

/// A roster is due while it is of the present set and nobody has stored it.
pub(crate) async fn roster_standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    version: u64,
) -> Result<Standing, RpcError> {
    let epochs = look(chain, contracts).await?;
    let due = epochs.set_version == version && epochs.roster_version != version;
    Ok(if due {
        Standing::Open
    } else {
        Standing::void("the roster is stored, or the set changed again")
    })
}

/// An epoch is due while it is the next one; it waits for the roster.
pub(crate) async fn epoch_standing(
    chain: &Chain,
    contracts: &ContractAddresses,
    epoch: EpochNumber,
) -> Result<Standing, RpcError> {
    let epochs = look(chain, contracts).await?;
    if epochs.newest.saturating_add(1) != epoch.get() {
        return Ok(Standing::void("the epoch was made by somebody else"));
    }
    let now = chain.latest().await?.timestamp;
    Ok(match epochs.due(now) {
        Due::Epoch => Standing::Open,
        Due::RosterAndEpoch => Standing::Early,
        Due::Nothing => Standing::void("the newest epoch is young, and the set is the same"),
    })
}

/// What the contracts say of epochs, at the head.
///
/// # Errors
/// See [`RpcError`].
pub async fn look(chain: &Chain, contracts: &ContractAddresses) -> Result<Epochs, RpcError> {
    let (table, at) = (evm(contracts.epoch_table), BlockId::latest());
    let newest = chain.view(table, &IEpochTable::currentEpochCall {}, at).await?;
    let roster = chain.view(table, &IEpochTable::currentRosterCall {}, at).await?;
    let params = chain.view(table, &IEpochTable::paramsCall {}, at).await?;
    let registrar = evm(contracts.operator_registrar);
    let set_version = chain.view(registrar, &IOperatorRegistrar::versionCall {}, at).await?;
    let (created_at, from_roster) = if newest == 0 {
        (0, false)
    } else {
        let call = IEpochTable::originOfCall { epoch: newest };
        let origin = chain.view(table, &call, at).await?;
        (origin.createdAt, origin.roster == roster.pointer)
    };
    Ok(Epochs {
        newest,
        created_at,
        set_version,
        roster_version: roster.version,
        from_roster,
        min_age_seconds: params.minEpochSeconds,
        max_age_seconds: params.maxEpochAgeSeconds,
    })
}

/// The call that stores the operator set, if the stored roster is not of the present one.
///
/// # Errors
/// See [`due_posts`].
pub(crate) async fn stale_roster(
    chain: &Chain,
    contracts: &ContractAddresses,
) -> Result<Option<IEpochTable::buildRosterCall>, RpcError> {
    let epochs = look(chain, contracts).await?;
    if epochs.roster_version == epochs.set_version {
        return Ok(None);
    }
    Ok(Some(roster_call(chain, contracts).await?))
}

/// The call that stores the operator set as it is at the head. A set that changes before the call is
/// included makes the call revert, and the next look makes another.
///
/// # Errors
/// See [`due_posts`].
async fn roster_call(
    chain: &Chain,
    contracts: &ContractAddresses,
) -> Result<IEpochTable::buildRosterCall, RpcError> {
    let (registrar, at) = (evm(contracts.operator_registrar), BlockId::latest());
    let mut operators = chain.view(registrar, &IOperatorRegistrar::operatorsCall {}, at).await?;
    operators.sort();
    let mut keys = Vec::with_capacity(operators.len());
    for operator in &operators {
        let call = IOperatorRegistrar::keyOfCall { operator: *operator };
        let key = chain.view(registrar, &call, at).await?.key2;
        keys.push(PublicKeyG2::from_bytes(&g2_bytes(&key)).map_err(|error| unusable(&error))?);
    }
    let aggregate = PublicKeyG2::aggregate(&keys).map_err(|error| unusable(&error))?;
    Ok(IEpochTable::buildRosterCall { operators, aggregateKey2: g2_key(&aggregate) })
}

fn unusable(error: &dyn std::error::Error) -> RpcError {
    RpcError::Unusable { what: "the registered keys", why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Epochs = Epochs {
        newest: 3,
        created_at: 1_000,
        set_version: 7,
        roster_version: 7,
        from_roster: true,
        min_age_seconds: 100,
        max_age_seconds: 1_000,
    };

    #[test]
    fn an_epoch_is_replaced_at_half_its_greatest_age() {
        assert_eq!(QUIET.due(1_499), Due::Nothing);
        assert_eq!(QUIET.due(1_500), Due::Epoch);
    }

    #[test]
    fn a_changed_set_is_taken_in_as_soon_as_an_epoch_may_end() {
        let changed = Epochs { set_version: 8, ..QUIET };
        assert_eq!(changed.due(1_099), Due::Nothing);
        assert_eq!(changed.due(1_100), Due::RosterAndEpoch);
        // Somebody else stored the roster and left it at that.
        let stored = Epochs { from_roster: false, ..QUIET };
        assert_eq!(stored.due(1_100), Due::Epoch);
    }

    #[test]
    fn nobody_begins_a_network_by_the_way() {
        let fresh = Epochs { newest: 0, created_at: 0, roster_version: 0, ..QUIET };
        assert_eq!(fresh.due(u64::MAX), Due::Nothing);
    }
}
