//! What a transaction offers per unit of gas, and how the offer grows while nobody takes it.
//!
//! Offers follow EIP-1559: a cap on the whole fee and a tip within it. The first offer leaves room
//! for the base fee to double; every further one is at least 12.5 % above the last in both parts
//! (nodes ask for 10 % to replace a transaction) and never above the operator's cap. At the cap the
//! ladder ends: the same transaction is broadcast again until the market comes down.

use borsh::{BorshDeserialize, BorshSerialize};

/// An offer, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Offer {
    /// Most that is paid per gas, base fee included.
    pub max_fee_wei: u128,
    /// Most that the block's producer gets per gas.
    pub tip_wei: u128,
}

/// What the market asks at the moment, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Market {
    /// Base fee of the newest block; `None` on a chain without EIP-1559.
    pub base_fee_wei: Option<u64>,
    /// Tip that the node suggests; zero when it has no opinion.
    pub suggested_tip_wei: u128,
}

/// The operator's bounds, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeBounds {
    /// Tip offered where the node suggests less; covers nodes whose fee history is empty.
    pub tip_min_wei: u128,
    /// Most that is ever offered.
    pub max_fee_cap_wei: u128,
}

/// The next step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Replace the transaction with this offer.
    Raise(Offer),
    /// Any acceptable replacement would exceed the cap: broadcast the same one again.
    AtCap,
}

/// The offer of a first broadcast.
#[must_use]
pub fn first_offer(market: Market, bounds: FeeBounds) -> Offer {
    let tip = market.suggested_tip_wei.max(bounds.tip_min_wei);
    let base = u128::from(market.base_fee_wei.unwrap_or(0));
    let max_fee = base.saturating_mul(2).saturating_add(tip).min(bounds.max_fee_cap_wei);
    Offer { max_fee_wei: max_fee, tip_wei: tip.min(max_fee) }
}

/// The offer after `last` was not taken for a while.
#[must_use]
pub fn next_offer(last: Offer, market: Market, bounds: FeeBounds) -> Step {
    let fresh = first_offer(market, bounds);
    let max_fee_wei = raised(last.max_fee_wei).max(fresh.max_fee_wei);
    let tip_wei = raised(last.tip_wei).max(fresh.tip_wei);
    if max_fee_wei > bounds.max_fee_cap_wei {
        return Step::AtCap;
    }
    Step::Raise(Offer { max_fee_wei, tip_wei: tip_wei.min(max_fee_wei) })
}

/// 12.5 % more, rounded up, and at least one more.
const fn raised(wei: u128) -> u128 {
    wei.saturating_add(wei.div_ceil(8)).saturating_add((wei == 0) as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;
    const BOUNDS: FeeBounds = FeeBounds { tip_min_wei: GWEI, max_fee_cap_wei: 100 * GWEI };

    fn market(base_gwei: u64, tip_gwei: u128) -> Market {
        let base_fee_wei = Some(base_gwei * 1_000_000_000);
        Market { base_fee_wei, suggested_tip_wei: tip_gwei * GWEI }
    }

    #[test]
    fn the_first_offer_survives_a_doubled_base_fee_and_respects_both_bounds() {
        let offer = first_offer(market(10, 3), BOUNDS);
        assert_eq!(offer, Offer { max_fee_wei: 23 * GWEI, tip_wei: 3 * GWEI });
        let empty_history = first_offer(market(10, 0), BOUNDS);
        assert_eq!(empty_history.tip_wei, GWEI);
        let capped = first_offer(market(90, 200), BOUNDS);
        assert_eq!(capped, Offer { max_fee_wei: 100 * GWEI, tip_wei: 100 * GWEI });
        let no_base = Market { base_fee_wei: None, suggested_tip_wei: 5 * GWEI };
        assert_eq!(first_offer(no_base, BOUNDS).max_fee_wei, 5 * GWEI);
    }

    #[test]
    fn every_step_is_replaceable_until_the_cap() {
        let mut last = first_offer(market(1, 1), BOUNDS);
        let mut steps = 0;
        while let Step::Raise(next) = next_offer(last, market(1, 1), BOUNDS) {
            // Nodes compare in integers: new * 100 >= old * 110, for both parts.
            assert!(next.max_fee_wei * 100 >= last.max_fee_wei * 110);
            assert!(next.tip_wei * 100 >= last.tip_wei * 110);
            assert!(next.max_fee_wei <= BOUNDS.max_fee_cap_wei);
            assert!(next.tip_wei <= next.max_fee_wei);
            last = next;
            steps += 1;
            assert!(steps < 100, "the ladder ends");
        }
        // 3 gwei * 1.125^n <= 100 gwei holds for n up to 29.
        assert_eq!(steps, 29);
        assert_eq!(next_offer(last, market(1, 1), BOUNDS), Step::AtCap);
    }

    #[test]
    fn a_market_above_the_ladder_is_followed_at_once() {
        let last = first_offer(market(1, 1), BOUNDS);
        let step = next_offer(last, market(30, 5), BOUNDS);
        assert_eq!(step, Step::Raise(Offer { max_fee_wei: 65 * GWEI, tip_wei: 5 * GWEI }));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let bounds = FeeBounds { tip_min_wei: 0, max_fee_cap_wei: u128::MAX };
        let huge = Offer { max_fee_wei: u128::MAX, tip_wei: u128::MAX };
        assert_eq!(next_offer(huge, market(1, 1), bounds), Step::Raise(huge));
        let nothing = Offer { max_fee_wei: 0, tip_wei: 0 };
        let market = Market { base_fee_wei: Some(0), suggested_tip_wei: 0 };
        let step = next_offer(nothing, market, bounds);
        assert_eq!(step, Step::Raise(Offer { max_fee_wei: 1, tip_wei: 1 }));
    }
}
