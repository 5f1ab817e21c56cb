//! The interfaces written out in `src/abi.rs` against the committed artifacts of the contracts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use alloy::json_abi::{EventParam, InternalType, JsonAbi, Param};
use alloy::sol_types::{SolCall, SolConstructor, SolEvent, SolStruct, SolType};
use proofgrid_oracle::abi::{
    self, BatchStatus, IAvsManager, IBonds, IChallengeGame, IDevToken, IEpochTable, IFeeVault,
    IGroth16Verifier, IOperatorRegistrar, IProofRegistry, IProverStakes, IRaceRounds,
    ISlashingCourt, ITaskManager, JobRecord, Program,
};

fn artifact(name: &str) -> JsonAbi {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/abi");
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(value["abi"].clone()).unwrap()
}

/// The types of a tuple as `sol!` names them: structs by name, the rest by ABI type.
fn types(params: &[Param]) -> String {
    let types = params.iter().map(|param| match param.internal_type() {
        Some(InternalType::Struct { ty, .. }) => ty.clone(),
        _ => param.ty.clone(),
    });
    format!("({})", types.collect::<Vec<_>>().join(","))
}

/// A struct as its fields spell it, from the one output or input that has its name.
fn fields(abi: &JsonAbi, name: &str) -> String {
    let params =
        abi.functions().flat_map(|function| function.inputs.iter().chain(&function.outputs));
    let mut structs = params.filter(|param| {
        matches!(param.internal_type(), Some(InternalType::Struct { ty, .. }) if ty == name)
    });
    let found = structs.next().unwrap_or_else(|| panic!("no function has a {name}"));
    let components = found.components.iter().map(|param| format!("{} {}", param.ty, param.name));
    format!("{name}({})", components.collect::<Vec<_>>().join(","))
}

#[track_caller]
fn check(
    contract: &str,
    functions: &[&'static str],
    events: &[&'static str],
    errors: &[&'static str],
) -> JsonAbi {
    let abi = artifact(contract);
    let have: BTreeSet<_> = abi.functions().map(|function| function.signature()).collect();
    for wanted in functions {
        assert!(have.contains(*wanted), "{contract} has no function {wanted}");
    }
    let have: BTreeSet<_> = abi.events().map(|event| event.signature()).collect();
    for wanted in events {
        assert!(have.contains(*wanted), "{contract} has no event {wanted}");
    }
    let have: BTreeSet<_> = abi.errors().map(|error| error.signature()).collect();
    for wanted in errors {
        assert!(have.contains(*wanted), "{contract} has no error {wanted}");
    }
    abi
}

#[track_caller]
fn check_outputs<C: SolCall>(abi: &JsonAbi) {
    let function = abi.functions().find(|function| function.signature() == C::SIGNATURE).unwrap();
    let ours = <C::ReturnTuple<'_> as SolType>::SOL_NAME;
    assert_eq!(ours, types(&function.outputs), "outputs of {}", C::SIGNATURE);
}

#[track_caller]
fn check_constructor<C: SolConstructor>(abi: &JsonAbi) {
    let ours = <C::Parameters<'_> as SolType>::SOL_NAME;
    let inputs = abi.constructor().map(|constructor| types(&constructor.inputs));
    assert_eq!(Some(ours.to_owned()), inputs, "arguments of the constructor");
}

#[track_caller]
fn check_indexed<E: SolEvent>(abi: &JsonAbi, indexed: &[&str]) {
    let event = abi.events().find(|event| event.signature() == E::SIGNATURE).unwrap();
    let names = event.inputs.iter().filter(|input| input.indexed);
    let names: Vec<_> = names.map(|input: &EventParam| input.name.as_str()).collect();
    assert_eq!(names, indexed, "indexed parameters of {}", E::SIGNATURE);
}

#[test]
fn stake_and_registry_are_as_committed() {
    let token = check("DevToken", IDevToken::IDevTokenCalls::SIGNATURES, &[], &[]);
    check_constructor::<IDevToken::constructorCall>(&token);
    let avs = check(
        "AvsManagerV14",
        IAvsManager::IAvsManagerCalls::SIGNATURES,
        &[],
        IAvsManager::IAvsManagerErrors::SIGNATURES,
    );
    check_constructor::<IAvsManager::constructorCall>(&avs);
    let registry = check(
        "OperatorRegistrar",
        IOperatorRegistrar::IOperatorRegistrarCalls::SIGNATURES,
        &[],
        IOperatorRegistrar::IOperatorRegistrarErrors::SIGNATURES,
    );
    check_constructor::<IOperatorRegistrar::constructorCall>(&registry);
    check_outputs::<IOperatorRegistrar::operatorsCall>(&registry);
    check_outputs::<IOperatorRegistrar::keyOfCall>(&registry);
    check_outputs::<IOperatorRegistrar::key2OfCall>(&registry);
    check_outputs::<IOperatorRegistrar::versionCall>(&registry);
}

#[test]
fn the_epoch_table_is_as_committed() {
    let abi = check(
        "EpochTable",
        IEpochTable::IEpochTableCalls::SIGNATURES,
        IEpochTable::IEpochTableEvents::SIGNATURES,
        IEpochTable::IEpochTableErrors::SIGNATURES,
    );
    check_constructor::<IEpochTable::constructorCall>(&abi);
    check_outputs::<IEpochTable::currentEpochCall>(&abi);
    check_outputs::<IEpochTable::isUsableCall>(&abi);
    check_outputs::<IEpochTable::tableAtCall>(&abi);
    check_outputs::<IEpochTable::tableOfCall>(&abi);
    check_outputs::<IEpochTable::currentRosterCall>(&abi);
    check_outputs::<IEpochTable::originOfCall>(&abi);
    check_outputs::<IEpochTable::paramsCall>(&abi);
    check_indexed::<IEpochTable::EpochCreated>(&abi, &["epoch", "tableDigest"]);
    check_indexed::<IEpochTable::OperatorsExcluded>(&abi, &["epoch"]);
}

#[test]
fn the_proof_registry_is_as_committed() {
    let abi = check(
        "ProofRegistry",
        IProofRegistry::IProofRegistryCalls::SIGNATURES,
        IProofRegistry::IProofRegistryEvents::SIGNATURES,
        IProofRegistry::IProofRegistryErrors::SIGNATURES,
    );
    check_constructor::<IProofRegistry::constructorCall>(&abi);
    check_outputs::<IProofRegistry::isVerifiedCall>(&abi);
    check_outputs::<IProofRegistry::statusOfCall>(&abi);
    check_outputs::<IProofRegistry::provedAtCall>(&abi);
    check_outputs::<IProofRegistry::contestedUntilCall>(&abi);
    check_outputs::<IProofRegistry::challengeGameCall>(&abi);
    check_outputs::<IProofRegistry::programsCall>(&abi);
    check_outputs::<IProofRegistry::isManifestAcceptedCall>(&abi);
    check_outputs::<IProofRegistry::epochTableCall>(&abi);
    assert_eq!(BatchStatus::eip712_root_type(), fields(&abi, "BatchStatus"));
    assert_eq!(Program::eip712_root_type(), fields(&abi, "Program"));
    check_indexed::<IProofRegistry::BatchAttested>(&abi, &["root", "epoch"]);
    check_indexed::<IProofRegistry::StatementProved>(&abi, &["statement", "program"]);
}

#[test]
fn the_task_manager_is_as_committed() {
    let abi = check(
        "TaskManager",
        ITaskManager::ITaskManagerCalls::SIGNATURES,
        ITaskManager::ITaskManagerEvents::SIGNATURES,
        ITaskManager::ITaskManagerErrors::SIGNATURES,
    );
    check_constructor::<ITaskManager::constructorCall>(&abi);
    check_outputs::<ITaskManager::createJobCall>(&abi);
    check_outputs::<ITaskManager::jobsCall>(&abi);
    check_outputs::<ITaskManager::creditsCall>(&abi);
    check_outputs::<ITaskManager::refundableAtCall>(&abi);
    check_outputs::<ITaskManager::bondsCall>(&abi);
    check_outputs::<ITaskManager::racesCall>(&abi);
    check_outputs::<ITaskManager::verifySecondsCall>(&abi);
    check_outputs::<ITaskManager::graceSecondsCall>(&abi);
    check_outputs::<ITaskManager::holdSecondsMaxCall>(&abi);
    assert_eq!(JobRecord::eip712_root_type(), fields(&abi, "JobRecord"));
    check_indexed::<ITaskManager::JobCreated>(&abi, &["jobId", "requester", "programId"]);
    check_indexed::<ITaskManager::JobSettled>(&abi, &["jobId", "statement"]);
    check_indexed::<ITaskManager::JobRefunded>(&abi, &["jobId", "requester"]);
}

#[test]
fn races_are_as_committed() {
    let races = check(
        "RaceRounds",
        IRaceRounds::IRaceRoundsCalls::SIGNATURES,
        IRaceRounds::IRaceRoundsEvents::SIGNATURES,
        IRaceRounds::IRaceRoundsErrors::SIGNATURES,
    );
    check_constructor::<IRaceRounds::constructorCall>(&races);
    check_outputs::<IRaceRounds::racesCall>(&races);
    check_outputs::<IRaceRounds::commitmentsCall>(&races);
    check_outputs::<IRaceRounds::commitmentOfCall>(&races);
    check_outputs::<IRaceRounds::stakeInRoundCall>(&races);
    check_outputs::<IRaceRounds::isProverBoundCall>(&races);
    check_outputs::<IRaceRounds::raceParamsCall>(&races);
    check_outputs::<IRaceRounds::stakesCall>(&races);
    check_outputs::<IRaceRounds::epochTableCall>(&races);
    assert_eq!(abi::Race::eip712_root_type(), fields(&races, "Race"));
    assert_eq!(abi::RaceParams::eip712_root_type(), fields(&races, "RaceParams"));
    let commitment = fields(&races, "Commitment[]").replace("[]", "");
    assert_eq!(abi::Commitment::eip712_root_type(), commitment);
    check_indexed::<IRaceRounds::StakeRecorded>(&races, &["epoch", "prover"]);
    check_indexed::<IRaceRounds::RoundOpened>(&races, &["jobId"]);
    check_indexed::<IRaceRounds::Revealed>(&races, &["jobId", "prover"]);
    check_indexed::<IRaceRounds::RoundClosed>(&races, &["jobId"]);
    let stakes = check("AvsManagerV14", IProverStakes::IProverStakesCalls::SIGNATURES, &[], &[]);
    check_outputs::<IProverStakes::slashableStakesOfCall>(&stakes);
}

#[test]
fn money_and_faults_are_as_committed() {
    let calls = IFeeVault::IFeeVaultCalls::SIGNATURES;
    let events = IFeeVault::IFeeVaultEvents::SIGNATURES;
    let vault = check("FeeVault", calls, events, IFeeVault::IFeeVaultErrors::SIGNATURES);
    check_indexed::<IFeeVault::PotAccrued>(&vault, &["epoch", "nonSigners", "jobId"]);
    check_outputs::<IFeeVault::potOfCall>(&vault);
    check_outputs::<IFeeVault::intervalSecondsCall>(&vault);
    check_constructor::<IFeeVault::constructorCall>(&vault);
    let calls = IBonds::IBondsCalls::SIGNATURES;
    let (events, errors) = (IBonds::IBondsEvents::SIGNATURES, IBonds::IBondsErrors::SIGNATURES);
    let bonds = check("Bonds", calls, events, errors);
    check_constructor::<IBonds::constructorCall>(&bonds);
    check_outputs::<IBonds::accountsCall>(&bonds);
    check_outputs::<IBonds::lockOfCall>(&bonds);
    assert_eq!(abi::Account::eip712_root_type(), fields(&bonds, "Account"));
    check_indexed::<IBonds::LeaseAccepted>(&bonds, &["jobId", "task", "prover"]);
    let calls = ISlashingCourt::ISlashingCourtCalls::SIGNATURES;
    let errors = ISlashingCourt::ISlashingCourtErrors::SIGNATURES;
    let court = check("SlashingCourt", calls, &[], errors);
    check_constructor::<ISlashingCourt::constructorCall>(&court);
    let calls = IChallengeGame::IChallengeGameCalls::SIGNATURES;
    let errors = IChallengeGame::IChallengeGameErrors::SIGNATURES;
    let events = IChallengeGame::IChallengeGameEvents::SIGNATURES;
    let game = check("ChallengeGame", calls, events, errors);
    check_constructor::<IChallengeGame::constructorCall>(&game);
    check_outputs::<IChallengeGame::demandsCall>(&game);
    check_indexed::<IChallengeGame::ProofDemanded>(&game, &["statement", "index"]);
    let judge = check("Groth16Verifier", &[], &[], &[]);
    check_constructor::<IGroth16Verifier::constructorCall>(&judge);
}
