//! The network's own contracts on top of a restaking core.

use std::collections::BTreeMap;

use alloy::primitives::{Address as EvmAddress, B256, aliases::U96};
use proofgrid_core::ids::{Address, BlockNumber, ProgramId};
use proofgrid_core::units::Stake;

use super::DeployError;
use crate::abi::{
    BondParams, CourtParams, EpochParams, FeeSplit, GameParams, IAvsManager, IBonds,
    IChallengeGame, IDevToken, IEpochTable, IFeeVault, IGroth16Verifier, IOperatorRegistrar,
    IProofRegistry, IRaceRounds, ISlashingCourt, ITaskManager, IWrappedCoin, JudgeKind, Parts,
    RaceParams, RegistrarParams, RestakingCore, RewardTimes, StrategyAndMultiplier, TaskParams,
};
use crate::contracts::{ContractAddresses, evm};
use crate::creations::{Creations, artifact};
use crate::eigenlayer::{CoreArtifacts, CoreConfig, CoreContracts, StakeSource, create_core};
use crate::sender::Sender;

const DAY_SECONDS: u64 = 86_400;
/// One, in the contracts' fixed-point numbers.
const WAD: u64 = 1_000_000_000_000_000_000;

/// How a network is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployConfig {
    /// The delays of the restaking core, where that is deployed too.
    pub core: CoreConfig,
    /// Where the network describes itself to stakers.
    pub metadata_uri: String,
    /// Least stake of a verifier and of a prover, in the token's smallest unit; times of ejection.
    pub registrar: RegistrarParams,
    /// Least and greatest age of an epoch, grace, windows and least totals.
    pub epochs: EpochParams,
    /// Times of a job after its deadline.
    pub tasks: TaskParams,
    /// Who gets which part of a fee.
    pub fees: FeeSplit,
    /// In which intervals verifiers are paid.
    pub rewards: RewardTimes,
    /// What a bond loses.
    pub bonds: BondParams,
    /// Steps and bounds of a race.
    pub races: RaceParams,
    /// What a fault costs, and how long it can be vetoed.
    pub court: CourtParams,
    /// Bonds and times of a challenge.
    pub game: GameParams,
    /// The program whose proofs a challenge has verified by `Groth16Verifier`, if any.
    pub groth16_program: Option<ProgramId>,
}

impl DeployConfig {
    /// Short times for a network on one machine: no challenge window, epochs from 30 s to 30 days,
    /// blocks a second apart. Unset addresses become the deployer's.
    #[must_use]
    pub fn development() -> Self {
        let days = |days: u32| days * 86_400;
        Self {
            core: CoreConfig {
                deallocation_delay_blocks: days(90),
                withdrawal_delay_blocks: days(90),
                allocation_configuration_blocks: 0,
            },
            metadata_uri: "https://proofgrid.invalid/avs.json".into(),
            registrar: RegistrarParams {
                minimumVerifierStake: u128::from(WAD),
                minimumProverStake: u128::from(WAD),
                ejectionWindowSeconds: 600,
                ejectionCooldownSeconds: 3_600,
            },
            epochs: EpochParams {
                minEpochSeconds: 30,
                maxEpochAgeSeconds: 30 * DAY_SECONDS,
                graceSeconds: 20,
                challengeSeconds: 0,
                vetoSeconds: 60,
                slackSeconds: 3_600,
                lookaheadBlocks: days(40),
                blockSeconds: 1,
                minTotalStake: 1,
                minMembers: 1,
            },
            tasks: TaskParams {
                verifySeconds: 60,
                graceSeconds: 60,
                holdSecondsMax: 3_600,
                deadlineSecondsMax: 30 * DAY_SECONDS,
            },
            fees: FeeSplit { proverBps: 8_000, verifierBps: 1_900, reserveBps: 100 },
            rewards: RewardTimes { intervalSeconds: days(1), retroactiveSecondsMax: days(84) },
            bonds: BondParams {
                missedBps: 5_000,
                invalidBps: 10_000,
                compensationBps: 2_500,
                flatFee: 0,
            },
            races: RaceParams {
                bond: u128::from(WAD) / 100,
                flatFee: 0,
                commitSeconds: 20,
                revealSeconds: 20,
                judgeSeconds: 60,
                holdSecondsMax: 600,
                lookaheadBlocks: days(40),
                commitmentsMax: 8,
                roundsMax: 4,
            },
            court: CourtParams {
                vetoer: EvmAddress::ZERO,
                vetoSeconds: 2,
                falseValidWad: WAD / 2,
                equivocationWad: WAD / 2,
                // Rewards are coins, of which the development chain has fewer than stake tokens.
                rewardWad: WAD / 1_000,
            },
            game: GameParams {
                bond: u128::from(WAD) / 10,
                demandBond: u128::from(WAD) / 10,
                commitSeconds: 600,
                answerSeconds: 60,
                forfeitTo: EvmAddress::ZERO,
            },
            groth16_program: None,
        }
    }

    /// The least stake of a verifier.
    #[must_use]
    pub const fn minimum_stake(&self) -> Stake {
        Stake::new(self.registrar.minimumVerifierStake)
    }
}

/// A network on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// What oracles, verifiers and requesters need.
    pub contracts: ContractAddresses,
    /// The restaking core below it.
    pub core: CoreContracts,
    /// `AvsManager`: the network as the core knows it.
    pub avs_manager: Address,
    /// `ChallengeGame`.
    pub challenge_game: Address,
    /// `SlashingCourt`.
    pub slashing_court: Address,
    /// `FeeVault`.
    pub fee_vault: Address,
    /// `Bonds`.
    pub bonds: Address,
    /// `RaceRounds`.
    pub race_rounds: Address,
    /// The block of each creation, by contract name; the smallest is the oracle's `start_block`.
    pub blocks: BTreeMap<&'static str, BlockNumber>,
}

impl Deployment {
    /// Where the network meets the core.
    #[must_use]
    pub fn avs(&self) -> StakeSource {
        StakeSource {
            manager: self.avs_manager,
            registrar: self.contracts.operator_registrar,
            allocation_manager: self.core.allocation_manager,
            delegation_manager: self.core.delegation_manager,
            strategies: vec![self.core.strategy],
        }
    }

    /// The first block of the network.
    #[must_use]
    pub fn start_block(&self) -> BlockNumber {
        self.blocks.values().copied().min().unwrap_or(BlockNumber::new(0))
    }
}

/// Creates a token, a restaking core over it, and the network on that; the sender owns everything. About
/// 90 million gas.
///
/// # Errors
/// See [`DeployError`].
pub async fn deploy_development(
    sender: &mut Sender,
    artifacts: &CoreArtifacts,
    config: &DeployConfig,
) -> Result<Deployment, DeployError> {
    let mut creations = Creations::new(sender);
    let arguments = IDevToken::constructorCall { owner_: creations.owner() };
    let token = creations.create(artifact!("DevToken"), arguments).await?;
    let core = create_core(&mut creations, artifacts, config.core, token).await?;
    let stake = create_stake(&mut creations, config, &core).await?;
    let money = create_money(&mut creations, config, &stake).await?;
    let faults = create_faults(&mut creations, config, &stake, money.coin).await?;
    wire(&mut creations, &stake, &money, &faults).await?;
    if let Some(program) = config.groth16_program {
        add_groth16_judge(&mut creations, faults.game, program).await?;
    }
    Ok(Deployment {
        contracts: ContractAddresses {
            operator_registrar: stake.registrar,
            epoch_table: stake.epoch_table,
            task_manager: money.task_manager,
            proof_registry: stake.proof_registry,
        },
        core,
        avs_manager: stake.avs_manager,
        challenge_game: faults.game,
        slashing_court: faults.court,
        fee_vault: money.vault,
        bonds: money.bonds,
        race_rounds: money.races,
        blocks: creations.finish().await?,
    })
}

/// Where stake is read and verdicts are kept.
struct StakeContracts {
    avs_manager: Address,
    registrar: Address,
    epoch_table: Address,
    proof_registry: Address,
}

async fn create_stake(
    creations: &mut Creations<'_>,
    config: &DeployConfig,
    core: &CoreContracts,
) -> Result<StakeContracts, DeployError> {
    let owner = creations.owner();
    let arguments = IAvsManager::constructorCall {
        core: RestakingCore {
            allocationManager: evm(core.allocation_manager),
            delegationManager: evm(core.delegation_manager),
            rewardsCoordinator: evm(core.rewards_coordinator),
        },
        stakes_: vec![StrategyAndMultiplier {
            strategy: evm(core.strategy),
            multiplier: U96::from(WAD),
        }],
        metadataURI: config.metadata_uri.clone(),
        owner_: owner,
    };
    let avs_manager = creations.create(artifact!("AvsManagerV14"), arguments).await?;
    let arguments = IOperatorRegistrar::constructorCall {
        avs_: evm(avs_manager),
        params: config.registrar.clone(),
        owner_: owner,
    };
    let registrar = creations.create(artifact!("OperatorRegistrar"), arguments).await?;
    let arguments = IEpochTable::constructorCall {
        roster_: evm(registrar),
        stakeSource_: evm(avs_manager),
        params_: config.epochs.clone(),
        owner_: owner,
    };
    let epoch_table = creations.create(artifact!("EpochTable"), arguments).await?;
    let arguments =
        IProofRegistry::constructorCall { epochTable_: evm(epoch_table), owner_: owner };
    let proof_registry = creations.create(artifact!("ProofRegistry"), arguments).await?;
    Ok(StakeContracts { avs_manager, registrar, epoch_table, proof_registry })
}

/// Where coins are.
struct Money {
    coin: Address,
    vault: Address,
    bonds: Address,
    races: Address,
    task_manager: Address,
}

async fn create_money(
    creations: &mut Creations<'_>,
    config: &DeployConfig,
    stake: &StakeContracts,
) -> Result<Money, DeployError> {
    let owner = creations.owner();
    let coin =
        creations.create(artifact!("DevWrappedCoin"), IWrappedCoin::constructorCall {}).await?;
    let arguments = IFeeVault::constructorCall {
        epochTable_: evm(stake.epoch_table),
        wrappedCoin_: evm(coin),
        split_: config.fees.clone(),
        times: config.rewards.clone(),
        owner_: owner,
    };
    let vault = creations.create(artifact!("FeeVault"), arguments).await?;
    let arguments =
        IBonds::constructorCall { vault_: evm(vault), params: config.bonds.clone(), owner_: owner };
    let bonds = creations.create(artifact!("Bonds"), arguments).await?;
    let arguments = IRaceRounds::constructorCall {
        registry_: evm(stake.proof_registry),
        bonds_: evm(bonds),
        stakes_: evm(stake.avs_manager),
        p: config.races.clone(),
        owner_: owner,
    };
    let races = creations.create(artifact!("RaceRounds"), arguments).await?;
    let arguments = ITaskManager::constructorCall {
        parts: Parts {
            registry: evm(stake.proof_registry),
            stakeSource: evm(stake.avs_manager),
            vault: evm(vault),
            bonds: evm(bonds),
            races: evm(races),
        },
        params: config.tasks.clone(),
    };
    let task_manager = creations.create(artifact!("TaskManager"), arguments).await?;
    Ok(Money { coin, vault, bonds, races, task_manager })
}

/// Where faults are judged and punished.
struct Faults {
    court: Address,
    game: Address,
}

async fn create_faults(
    creations: &mut Creations<'_>,
    config: &DeployConfig,
    stake: &StakeContracts,
    coin: Address,
) -> Result<Faults, DeployError> {
    let owner = creations.owner();
    let or_owner = |account: EvmAddress| if account.is_zero() { owner } else { account };
    let params = CourtParams { vetoer: or_owner(config.court.vetoer), ..config.court.clone() };
    let arguments = ISlashingCourt::constructorCall {
        avsManager_: evm(stake.avs_manager),
        epochTable_: evm(stake.epoch_table),
        // The vault's reserve arrives as wrapped coins.
        rewardToken_: evm(coin),
        params_: params,
        owner_: owner,
    };
    let court = creations.create(artifact!("SlashingCourt"), arguments).await?;
    let params = GameParams { forfeitTo: or_owner(config.game.forfeitTo), ..config.game.clone() };
    let arguments = IChallengeGame::constructorCall {
        registry_: evm(stake.proof_registry),
        court_: evm(court),
        params_: params,
        owner_: owner,
    };
    let game = creations.create(artifact!("ChallengeGame"), arguments).await?;
    Ok(Faults { court, game })
}

/// Tells the contracts of those that came after them, once and for good.
async fn wire(
    creations: &mut Creations<'_>,
    stake: &StakeContracts,
    money: &Money,
    faults: &Faults,
) -> Result<(), DeployError> {
    let (court, game) = (evm(faults.court), evm(faults.game));
    let task_manager = evm(money.task_manager);
    let call = IAvsManager::wireCall {
        registrar_: evm(stake.registrar),
        court_: court,
        feeVault_: evm(money.vault),
    };
    creations.call(stake.avs_manager, &call).await?;
    let call = IEpochTable::setCourtCall { court_: court };
    creations.call(stake.epoch_table, &call).await?;
    let call = IProofRegistry::setChallengeGameCall { game };
    creations.call(stake.proof_registry, &call).await?;
    let call = ISlashingCourt::setChallengeGameCall { game };
    creations.call(faults.court, &call).await?;
    let call = IFeeVault::wireCall {
        taskManager_: task_manager,
        bonds_: evm(money.bonds),
        avs_: evm(stake.avs_manager),
        court_: court,
    };
    creations.call(money.vault, &call).await?;
    let call = IBonds::wireCall { taskManager_: task_manager, races_: evm(money.races) };
    creations.call(money.bonds, &call).await?;
    let call = IRaceRounds::wireCall { taskManager_: task_manager };
    creations.call(money.races, &call).await
}

/// Creates the judge of a Groth16 program and names it: challenges verify its proofs on-chain.
async fn add_groth16_judge(
    creations: &mut Creations<'_>,
    game: Address,
    program: ProgramId,
) -> Result<(), DeployError> {
    let program = B256::from(*program.as_bytes());
    let arguments = IGroth16Verifier::constructorCall { program_: program };
    let judge = creations.create(artifact!("Groth16Verifier"), arguments).await?;
    let call =
        IChallengeGame::registerJudgeCall { program, kind: JudgeKind::Proof, verifier: evm(judge) };
    creations.call(game, &call).await
}
