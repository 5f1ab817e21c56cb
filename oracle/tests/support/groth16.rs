//! A Groth16 proof of the shared vectors, and a job of it whose certificate has long to go until it
//! is hard.

use alloy::eips::BlockId;
use alloy::primitives::{Bytes, U256, keccak256};
use proofgrid_core::ids::{
    Address, BlobDigest, Claim, ProgramId, PublicValuesDigest, StatementAttempt, VkDigest,
};
use proofgrid_core::job::JobSpec;
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement};
use proofgrid_core::units::WorkUnits;
use proofgrid_oracle::abi::{IProofRegistry, JobState};
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::deploy::{self, DeployConfig};
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::setup;
use proofgrid_proto::convert::SettleOrder;

use super::{MANIFEST, Net, account, hash, mine, rpc, settle_order};

/// What a job pays: more than any gas here.
const FEE_WEI: u64 = 1_000_000_000_000_000_000;
/// The registry's window.
const WINDOW: u32 = 600;
/// The same, in the type of the chain's clock.
pub const CHALLENGE_SECONDS: u64 = WINDOW as u64;
/// So long after its creation, a job's certificate is hard after the deadline.
pub const LATE_SECONDS: u64 = 3300;

/// A proof of snarkjs, and what is said of it.
pub struct Proven {
    program: ProgramId,
    vk: VkDigest,
    values: PublicValuesDigest,
    claim: Claim,
    pub envelope: Vec<u8>,
}

pub fn proven() -> Proven {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/vectors/groth16-mutations.json");
    let text = std::fs::read_to_string(path).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let base = &file["bases"][0];
    let bytes = |key: &str| base[key].as_str().unwrap().parse::<Bytes>().unwrap().to_vec();
    let word = |key: &str| -> [u8; 32] { bytes(key).try_into().unwrap() };
    Proven {
        program: ProgramId::from_bytes(word("program")),
        vk: VkDigest::from_bytes(word("vkDigest")),
        values: PublicValuesDigest::from_bytes(word("publicValuesDigest")),
        claim: Claim::from_bytes(word("claim")),
        envelope: bytes("envelope"),
    }
}

/// A job of that proof with the certificate of its one statement.
pub struct Case {
    pub net: Net,
    pub order: SettleOrder,
    requester: Sender,
}

pub async fn certified(proven: &Proven, envelope: &[u8]) -> Case {
    let mut config = DeployConfig::development();
    config.groth16_program = Some(proven.program);
    config.epochs.challengeSeconds = CHALLENGE_SECONDS;
    config.tasks.graceSeconds = CHALLENGE_SECONDS + 100;
    config.races.judgeSeconds = WINDOW + 1;
    config.races.holdSecondsMax = WINDOW + 1;
    let mut net = Net::start_with(&[], config).await;
    let contracts = net.deployment.contracts;
    let programs = [(proven.program, MANIFEST)];
    setup::register_programs(&mut net.owner, contracts.proof_registry, &programs).await.unwrap();
    let mut requester = Sender::new(net.chain.clone(), account(&net.chain, 90).await);
    let mut job = net.new_job(1).await;
    (job.program, job.claim, job.fee_wei) = (proven.program, proven.claim, U256::from(FEE_WEI));
    let spec = deploy::create_job(&mut requester, &contracts, &job).await.unwrap().spec;
    let opened = opened(&spec, proven, envelope);
    let (batch, certificate) = net.certify(&opened.statement, &[0, 1, 2]).await;
    let order = settle_order(&net, &spec, opened, &batch, certificate);
    Case { net, order, requester }
}

fn opened(spec: &JobSpec, proven: &Proven, envelope: &[u8]) -> OpenedStatement {
    let records = vec![SegmentRecord {
        index: 0,
        first: 0,
        count: 1,
        vk: proven.vk,
        public_values: proven.values,
        proof: BlobDigest::from_bytes(keccak256(envelope).0),
        prover: Address::from_bytes([0x77; 20]),
        work_units: WorkUnits::new(1),
    }];
    let attempt = StatementAttempt::new(1);
    let statement = Statement::over(spec, attempt, MANIFEST, &records).unwrap();
    OpenedStatement { statement, records }
}

impl Case {
    /// Posts the certificate.
    pub async fn attest(&mut self) {
        let registry = self.net.deployment.contracts.proof_registry;
        deploy::attest(&mut self.net.owner, registry, &self.order.certificate).await.unwrap();
    }

    /// Lets the chain's clock go on.
    pub async fn pass(&self, seconds: u64) {
        rpc(&self.net.chain, "evm_increaseTime", serde_json::json!([seconds])).await;
        mine(&self.net.chain, 1).await;
    }

    /// When the chain judged the proof.
    pub async fn proved_at(&self) -> u64 {
        let registry = evm(self.net.deployment.contracts.proof_registry);
        let statement = hash(self.order.opened.statement.digest().as_bytes());
        let call = IProofRegistry::provedAtCall { statement };
        self.net.chain.view(registry, &call, BlockId::latest()).await.unwrap()
    }

    /// What became of the job.
    pub async fn state(&self) -> JobState {
        let manager = self.net.deployment.contracts.task_manager;
        let job = self.order.opened.job();
        deploy::escrow(&self.requester, manager, job).await.unwrap().state
    }
}
