//! The demo's pay day: the verifiers' part of the fees goes through the restaking core, and every operator
//! claims what it earned. Who was slashed and excluded gets nothing.

use alloy_primitives::U256;
use anyhow::Context;
use serde::Serialize;

use super::balance::Balance;
use super::commands::run_as;
use super::network::Devnet;
use super::rewards::pay_out;

/// What the pay day came to.
#[derive(Clone, Debug, Serialize)]
pub struct PayDay {
    /// The root over what everybody has earned.
    pub root: String,
    /// The file that claims are proved from.
    pub distribution: String,
    /// What the operators had and have.
    pub balances: Vec<Balance>,
    /// What each should have gained, decimal, in the order of the balances.
    pub earned: Vec<String>,
}

impl PayDay {
    /// Somebody earned something, and everybody has exactly that much more.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let gains = self.balances.iter().map(Balance::gained);
        let earned: Vec<Option<U256>> = self.earned.iter().map(|wei| wei.parse().ok()).collect();
        gains.eq(earned.iter().copied()) && earned.iter().flatten().any(|wei| !wei.is_zero())
    }
}

/// Pays out what is in the pots and has every operator that earned something claim it.
///
/// # Errors
/// When nobody earned anything, the chain cannot be asked, or a claim is refused.
pub async fn settle(devnet: &mut Devnet) -> anyhow::Result<PayDay> {
    let (contracts, folder) = (*devnet.chain().contracts(), devnet.layout().root().to_path_buf());
    let paid = pay_out(devnet.chain_mut().deployer(), &contracts, &folder).await?;
    let (arena, _) = devnet.chain().arena().await?;
    let file = paid.file.to_str().context("the folder's name is no text")?.to_owned();
    let (mut balances, mut earned) = (Vec::new(), Vec::new());
    for (index, operator) in devnet.operators().to_vec().into_iter().enumerate() {
        let chain = devnet.chain().chain().clone();
        let before = arena.reward_tokens_of(&chain, operator).await?;
        let found = paid.earned.iter().find(|(earner, _)| *earner == operator);
        let wei = found.map_or(U256::ZERO, |(_, wei)| *wei);
        let name = format!("verifier-{}", index + 1);
        if !wei.is_zero() {
            let claim = ["operator", "rewards", "claim", "--distribution", &file];
            let _claimed: serde_json::Value =
                run_as(devnet, &format!("{name}-operator"), &claim).await?;
        }
        let after = arena.reward_tokens_of(&chain, operator).await?;
        balances.push(Balance::new(&name, operator, "reward coins", before, after));
        earned.push(wei.to_string());
    }
    Ok(PayDay { root: paid.root.to_string(), distribution: file, balances, earned })
}
