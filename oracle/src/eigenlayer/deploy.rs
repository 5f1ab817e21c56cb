//! The restaking core on a development chain.
//!
//! Proxies and implementations name each other. Addresses are known before anything is created, so
//! implementations come first, each proxy is initialised in its creation, and nobody else can
//! initialise one in between.

use alloy::primitives::{Address as EvmAddress, U256, address};
use alloy::sol_types::{SolCall, SolConstructor};
use proofgrid_core::ids::Address;

use super::abi::{
    IAllocationManager, IAvsDirectory, IDelegationManager, IDevStrategy, IEigenPodManager,
    IPauserRegistry, IPermissionController, IRewardsCoordinator, IStrategyManager,
    ITransparentProxy,
};
use super::artifacts::CoreArtifacts;
use crate::contracts::evm;
use crate::creations::{Creations, artifact};
use crate::deploy::DeployError;

/// What the core says of itself where it is asked for a version.
const VERSION: &str = "v1.4.0";
/// Where the beacon chain's contracts would be. Native ETH is not restaked on development chains, so
/// nothing calls them.
const NO_BEACON_CHAIN: EvmAddress = address!("000000000000000000000000000000000000e16e");
const DAY_SECONDS: u32 = 86_400;
/// The day, since 1970, from which rewards may be submitted: in 2022, before any development chain.
const REWARDS_GENESIS_DAY: u32 = 19_000;
/// Contracts behind proxies.
const NUM_PROXIED: u64 = 6;
/// An operator's part of its rewards, in basis points, as on the public networks.
const OPERATOR_SPLIT_BIPS: u16 = 1_000;

/// The times of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreConfig {
    /// Blocks for which stake can be slashed after its operator took it back.
    pub deallocation_delay_blocks: u32,
    /// Blocks between a staker's request and its withdrawal; at least the former.
    pub withdrawal_delay_blocks: u32,
    /// Blocks until an operator's first allocation delay counts.
    pub allocation_configuration_blocks: u32,
}

/// A core on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreContracts {
    /// `DelegationManager`: operators, and who delegates to them.
    pub delegation_manager: Address,
    /// `StrategyManager`: deposits.
    pub strategy_manager: Address,
    /// `AllocationManager`: operator sets, allocations, slashing.
    pub allocation_manager: Address,
    /// `PermissionController`: who may act for an operator or AVS.
    pub permission_controller: Address,
    /// `AVSDirectory`: registrations of the time before operator sets.
    pub avs_directory: Address,
    /// `RewardsCoordinator`: rewards and their claims.
    pub rewards_coordinator: Address,
    /// The one strategy.
    pub strategy: Address,
    /// Its token.
    pub token: Address,
}

/// The contracts that stand behind proxies, in the order of their creation.
#[derive(Debug, Clone, Copy)]
struct Proxied {
    delegation: Address,
    strategies: Address,
    allocation: Address,
    pods: Address,
    directory: Address,
    rewards: Address,
}

impl Proxied {
    /// The addresses of the six creations that follow after `skipped` others.
    async fn after(creations: &mut Creations<'_>, skipped: u64) -> Result<Self, DeployError> {
        Ok(Self {
            delegation: creations.upcoming(skipped).await?,
            strategies: creations.upcoming(skipped + 1).await?,
            allocation: creations.upcoming(skipped + 2).await?,
            pods: creations.upcoming(skipped + 3).await?,
            directory: creations.upcoming(skipped + 4).await?,
            rewards: creations.upcoming(skipped + 5).await?,
        })
    }
}

/// What everything else is told of.
#[derive(Debug, Clone, Copy)]
struct Shared {
    pauser: EvmAddress,
    permission: EvmAddress,
    proxies: Proxied,
}

/// Creates the core with one whitelisted strategy over `token`; the creator owns all of it, and may
/// post reward roots. About 45 million gas.
pub(crate) async fn create_core(
    creations: &mut Creations<'_>,
    artifacts: &CoreArtifacts,
    config: CoreConfig,
    token: Address,
) -> Result<CoreContracts, DeployError> {
    let owner = creations.owner();
    let arguments = IPauserRegistry::constructorCall { pauser_: owner };
    let pauser = creations.create(artifact!("DevPauserRegistry"), arguments).await?;
    let arguments = IPermissionController::constructorCall { version: VERSION.into() };
    let code = artifacts.code("PermissionController");
    let permission = creations.create_from("PermissionController", code, arguments).await?;
    let proxies = Proxied::after(creations, NUM_PROXIED).await?;
    let shared = Shared { pauser: evm(pauser), permission: evm(permission), proxies };
    let implementations = create_implementations(creations, artifacts, config, &shared).await?;
    create_proxies(creations, owner, implementations, &shared).await?;
    let strategy_manager = proxies.strategies;
    let arguments = IDevStrategy::constructorCall {
        strategyManager_: evm(strategy_manager),
        token_: evm(token),
    };
    let strategy = creations.create(artifact!("DevStrategy"), arguments).await?;
    let call =
        IStrategyManager::addStrategiesToDepositWhitelistCall { strategies: vec![evm(strategy)] };
    creations.call(strategy_manager, &call).await?;
    Ok(CoreContracts {
        delegation_manager: proxies.delegation,
        strategy_manager,
        allocation_manager: proxies.allocation,
        permission_controller: permission,
        avs_directory: proxies.directory,
        rewards_coordinator: proxies.rewards,
        strategy,
        token,
    })
}

/// What stands behind the proxies.
async fn create_implementations(
    creations: &mut Creations<'_>,
    artifacts: &CoreArtifacts,
    config: CoreConfig,
    shared: &Shared,
) -> Result<Proxied, DeployError> {
    let Shared { pauser, permission, proxies } = *shared;
    let (delegation_proxy, strategies_proxy) = (evm(proxies.delegation), evm(proxies.strategies));
    let arguments = IDelegationManager::constructorCall {
        strategyManager: strategies_proxy,
        eigenPodManager: evm(proxies.pods),
        allocationManager: evm(proxies.allocation),
        pauserRegistry: pauser,
        permissionController: permission,
        minWithdrawalDelay: config.withdrawal_delay_blocks,
        version: VERSION.into(),
    };
    let mut create = Named { creations, artifacts };
    let delegation = create.create("DelegationManager", arguments).await?;
    let arguments = IStrategyManager::constructorCall {
        delegation: delegation_proxy,
        pauserRegistry: pauser,
        version: VERSION.into(),
    };
    let strategies = create.create("StrategyManager", arguments).await?;
    let arguments = IAllocationManager::constructorCall {
        delegation: delegation_proxy,
        pauserRegistry: pauser,
        permissionController: permission,
        deallocationDelay: config.deallocation_delay_blocks,
        allocationConfigurationDelay: config.allocation_configuration_blocks,
        version: VERSION.into(),
    };
    let allocation = create.create("AllocationManager", arguments).await?;
    let arguments = IEigenPodManager::constructorCall {
        ethPOS: NO_BEACON_CHAIN,
        eigenPodBeacon: NO_BEACON_CHAIN,
        delegationManager: delegation_proxy,
        pauserRegistry: pauser,
        version: VERSION.into(),
    };
    let pods = create.create("EigenPodManager", arguments).await?;
    let arguments = IAvsDirectory::constructorCall {
        delegation: delegation_proxy,
        pauserRegistry: pauser,
        version: VERSION.into(),
    };
    let directory = create.create("AVSDirectory", arguments).await?;
    let arguments = IRewardsCoordinator::constructorCall {
        delegationManager: delegation_proxy,
        strategyManager: strategies_proxy,
        calculationIntervalSeconds: DAY_SECONDS,
        maxRewardsDuration: 70 * DAY_SECONDS,
        maxRetroactiveLength: 84 * DAY_SECONDS,
        maxFutureLength: 30 * DAY_SECONDS,
        genesisRewardsTimestamp: REWARDS_GENESIS_DAY * DAY_SECONDS,
    };
    let rewards = create.create("RewardsCoordinator", arguments).await?;
    Ok(Proxied { delegation, strategies, allocation, pods, directory, rewards })
}

/// Creates the core's contracts by their names.
struct Named<'a, 'b> {
    creations: &'a mut Creations<'b>,
    artifacts: &'a CoreArtifacts,
}

impl Named<'_, '_> {
    async fn create<C: SolConstructor>(
        &mut self,
        name: &'static str,
        arguments: C,
    ) -> Result<Address, DeployError> {
        self.creations.create_from(name, self.artifacts.code(name), arguments).await
    }
}

/// Each proxy in front of its implementation, initialised in its creation; nothing is paused.
async fn create_proxies(
    creations: &mut Creations<'_>,
    owner: EvmAddress,
    behind: Proxied,
    shared: &Shared,
) -> Result<(), DeployError> {
    let paused = U256::ZERO;
    let delegation =
        IDelegationManager::initializeCall { initialOwner: owner, initialPausedStatus: paused };
    let strategies = IStrategyManager::initializeCall {
        initialOwner: owner,
        initialStrategyWhitelister: owner,
        initialPausedStatus: paused,
    };
    let allocation =
        IAllocationManager::initializeCall { initialOwner: owner, initialPausedStatus: paused };
    let pods =
        IEigenPodManager::initializeCall { initialOwner: owner, initialPausedStatus: paused };
    let directory =
        IAvsDirectory::initializeCall { initialOwner: owner, initialPausedStatus: paused };
    let rewards = IRewardsCoordinator::initializeCall {
        initialOwner: owner,
        pauserRegistry: shared.pauser,
        initialPausedStatus: paused,
        rewardsUpdater: owner,
        activationDelay: 0,
        defaultSplitBips: OPERATOR_SPLIT_BIPS,
    };
    for (logic, initialization) in [
        (behind.delegation, delegation.abi_encode()),
        (behind.strategies, strategies.abi_encode()),
        (behind.allocation, allocation.abi_encode()),
        (behind.pods, pods.abi_encode()),
        (behind.directory, directory.abi_encode()),
        (behind.rewards, rewards.abi_encode()),
    ] {
        let arguments = ITransparentProxy::constructorCall {
            logic: evm(logic),
            initialOwner: owner,
            data: initialization.into(),
        };
        creations.create(artifact!("TransparentUpgradeableProxy"), arguments).await?;
    }
    Ok(())
}
