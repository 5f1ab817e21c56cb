//! The real restaking core on a real chain.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use alloy::primitives::U256;
use proofgrid_core::units::Stake;
use proofgrid_oracle::deploy::{self, DeployConfig};
use proofgrid_oracle::eigenlayer;
use proofgrid_oracle::sender::Sender;

use support::{Anvil, TOKEN, account};

#[tokio::test]
async fn what_is_delegated_to_an_operator_is_its_shares() {
    let anvil = Anvil::start(&[]);
    let chain = anvil.chain();
    let mut owner = Sender::new(chain.clone(), account(&chain, 1).await);
    let core = support::deployed(&mut owner, &DeployConfig::development()).await.core;
    let mut operator = Sender::new(chain.clone(), account(&chain, 2).await);
    let mut staker = Sender::new(chain.clone(), account(&chain, 3).await);
    eigenlayer::register_as_operator(&mut operator, core.delegation_manager, "").await.unwrap();
    let stake = Stake::new(7 * TOKEN);
    deploy::mint(&mut owner, core.token, &[(staker.address(), stake)]).await.unwrap();
    eigenlayer::delegate_stake(&mut staker, &core, operator.address(), stake).await.unwrap();
    let shares = eigenlayer::operator_shares(&owner, &core, operator.address()).await.unwrap();
    assert_eq!(shares, U256::from(stake.get()));
}
