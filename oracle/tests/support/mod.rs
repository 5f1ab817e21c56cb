//! A real chain with a real network on it: anvil, our contracts, four operators, one epoch.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod groth16;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use proofgrid_core::batch::{Batch, BatchLeaf};
use proofgrid_core::certificate::Certificate;
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::epoch::EpochKeys;
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, EpochNumber, ManifestDigest, Nonce,
    ProgramId, PublicValuesDigest, StatementAttempt, VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode};
use proofgrid_core::quorum::AttestationTally;
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{ByteCount, Stake, UnixSeconds, WorkUnits};
use proofgrid_core::vote::Attestation;
use proofgrid_oracle::contracts::evm;
use proofgrid_oracle::deploy::{self, DeployConfig, Deployment, NewJob};
use proofgrid_oracle::eigenlayer::{self, CoreArtifacts};
use proofgrid_oracle::finality::FinalityPolicy;
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::posts::Archive;
use proofgrid_oracle::rpc::{Chain, RpcSettings};
use proofgrid_oracle::sender::Sender;
use proofgrid_oracle::setup;
use proofgrid_oracle::submit::fees::FeeBounds;
use proofgrid_oracle::submit::{SubmitSettings, Submitter};
use proofgrid_oracle::view::read_epoch;
use proofgrid_proto::convert::SettleOrder;

pub const CHAIN: ChainId = ChainId::new(31337);
pub const PROGRAM: ProgramId = ProgramId::from_bytes([0x51; 32]);
pub const MANIFEST: ManifestDigest = ManifestDigest::from_bytes([0x52; 32]);
/// Whole tokens of 18 digits.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;

/// An EVM node of this test alone; gone with the value.
pub struct Anvil {
    child: Child,
    pub url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("PROOFGRID_ANVIL") {
        return path.into();
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let modules = root.join("contracts/node_modules");
    // The platform's own package: the launcher in .bin is a script whose child outlives it.
    let packages = std::fs::read_dir(modules.join("@foundry-rs")).into_iter().flatten().flatten();
    let mut binaries = packages.map(|package| package.path().join("bin/anvil"));
    binaries.find(|path| path.is_file()).expect(
        "no anvil: run `npm ci` in contracts/ or set PROOFGRID_ANVIL to the path of an anvil \
         binary",
    )
}

/// Where `make core` puts the restaking core.
pub fn core_artifacts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/eigenlayer/artifacts")
}

impl Anvil {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(["--port", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // Its output goes on; nobody reading it would stop it.
        std::thread::spawn(move || for _ in lines.map_while(Result::ok) {});
        Self { child, url: format!("http://{address}") }
    }

    pub fn chain(&self) -> Chain {
        Chain::new(&rpc_settings(vec![self.url.clone()])).unwrap()
    }
}

pub fn rpc_settings(urls: Vec<String>) -> RpcSettings {
    RpcSettings { chain: CHAIN, urls, request_timeout: Duration::from_secs(20), retries_max: 2 }
}

/// One of anvil's own methods.
pub async fn rpc(
    chain: &Chain,
    method: &'static str,
    params: serde_json::Value,
) -> serde_json::Value {
    chain.development(method, params).await.unwrap()
}

pub async fn mine(chain: &Chain, blocks: u64) {
    rpc(chain, "anvil_mine", serde_json::json!([format!("{blocks:#x}")])).await;
}

pub async fn automine(chain: &Chain, on: bool) {
    rpc(chain, "evm_setAutomine", serde_json::json!([on])).await;
}

/// A funded account.
pub async fn account(chain: &Chain, number: u8) -> OracleKey {
    let key = OracleKey::from_bytes(&[number; 32]).unwrap();
    let params = serde_json::json!([key.address().to_string(), "0x3635c9adc5dea00000"]);
    rpc(chain, "anvil_setBalance", params).await;
    key
}

/// An account that holds nothing.
pub fn penniless(number: u8) -> OracleKey {
    OracleKey::from_bytes(&[number; 32]).unwrap()
}

/// The restaking core with a token of its own, and the network on it.
pub async fn deployed(owner: &mut Sender, config: &DeployConfig) -> Deployment {
    let artifacts = CoreArtifacts::read(&core_artifacts()).unwrap();
    deploy::deploy_development(owner, &artifacts, config).await.unwrap()
}

/// A verifier with what its staker delegates to it.
pub async fn join(
    owner: &mut Sender,
    deployment: &Deployment,
    operator: &mut Sender,
    staker: &mut Sender,
    (key, stake): (&SecretKey, Stake),
) {
    let core = &deployment.core;
    eigenlayer::register_as_operator(operator, core.delegation_manager, "").await.unwrap();
    deploy::mint(owner, core.token, &[(staker.address(), stake)]).await.unwrap();
    eigenlayer::delegate_stake(staker, core, operator.address(), stake).await.unwrap();
    deploy::join_verifiers(operator, deployment, key).await.unwrap();
}

pub struct Operator {
    pub address: Address,
    pub bls: SecretKey,
}

/// A network with one epoch.
pub struct Net {
    pub anvil: Anvil,
    pub chain: Chain,
    pub owner: Sender,
    pub deployment: Deployment,
    pub operators: Vec<Operator>,
    pub epoch: EpochNumber,
}

pub const STAKES: [u128; 4] = [40, 30, 20, 10];

impl Net {
    /// Every transaction is mined at once.
    pub async fn start() -> Self {
        Self::start_with(&[], DeployConfig::development()).await
    }

    pub async fn start_with(arguments: &[&str], config: DeployConfig) -> Self {
        let anvil = Anvil::start(arguments);
        let chain = anvil.chain();
        let mut owner = Sender::new(chain.clone(), account(&chain, 1).await);
        let deployment = deployed(&mut owner, &config).await;
        let mut operators = Vec::new();
        for (number, stake) in (10u8..).zip(STAKES) {
            let mut operator = Sender::new(chain.clone(), account(&chain, number).await);
            let mut staker = Sender::new(chain.clone(), account(&chain, number + 10).await);
            let bls = SecretKey::from_seed(&[number; 32]).unwrap();
            let stake = Stake::new(stake * TOKEN);
            join(&mut owner, &deployment, &mut operator, &mut staker, (&bls, stake)).await;
            operators.push(Operator { address: operator.address(), bls });
        }
        let epoch = deploy::snapshot(&mut owner, &deployment.contracts).await.unwrap();
        let registry = deployment.contracts.proof_registry;
        setup::register_programs(&mut owner, registry, &[(PROGRAM, MANIFEST)]).await.unwrap();
        Self { anvil, chain, owner, deployment, operators, epoch }
    }

    pub fn registry(&self) -> ChainContract {
        ChainContract { chain: CHAIN, contract: self.deployment.contracts.proof_registry }
    }

    pub fn task_manager(&self) -> ChainContract {
        ChainContract { chain: CHAIN, contract: self.deployment.contracts.task_manager }
    }

    pub async fn keys(&self) -> EpochKeys {
        let contracts = &self.deployment.contracts;
        read_epoch(&self.chain, contracts, self.epoch, BlockId::latest()).await.unwrap()
    }

    pub async fn now(&self) -> u64 {
        self.chain.latest().await.unwrap().timestamp
    }

    /// A request of a job that ends in an hour.
    pub async fn new_job(&self, nonce: u64) -> NewJob {
        NewJob {
            nonce: Nonce::new(nonce),
            program: PROGRAM,
            input: BlobDigest::from_bytes([0x61; 32]),
            claim: Claim::from_bytes([0x62; 32]),
            mode: Mode::Assigned,
            deadline: UnixSeconds::new(self.now().await + 3600),
            limits: JobLimits {
                input_bytes: ByteCount::new(1000),
                max_segments: 4,
                max_proof_bytes: ByteCount::new(1 << 20),
            },
            stream: 0,
            sequence: 0,
            fee_wei: U256::from(1_000_000u64),
        }
    }

    /// A certificate over one statement, attested by the operators at these positions.
    pub async fn certify(&self, statement: &Statement, signers: &[usize]) -> (Batch, Certificate) {
        self.certify_as(Verdict::Valid, statement, signers).await
    }

    pub async fn certify_as(
        &self,
        verdict: Verdict,
        statement: &Statement,
        signers: &[usize],
    ) -> (Batch, Certificate) {
        let keys = self.keys().await;
        let leaf = BatchLeaf { statement: statement.digest(), verdict };
        let batch = Batch::new(vec![leaf]).unwrap();
        let attestation = Attestation {
            target: self.registry(),
            epoch: self.epoch,
            table: keys.table().digest(),
            root: batch.root(),
            count: batch.count(),
        };
        let mut tally = AttestationTally::new(keys.table(), attestation).unwrap();
        for operator in signers.iter().map(|position| &self.operators[*position]) {
            let signed = attestation.sign(operator.address, &operator.bls);
            tally.record(signed.verify(&keys).unwrap()).unwrap();
        }
        let certificate = Certificate::assemble(&keys, &batch, &tally).unwrap();
        (batch, certificate)
    }

    pub fn submitter(&self, key: &OracleKey, folder: &std::path::Path) -> Submitter {
        let settings = SubmitSettings {
            archive: Archive { contracts: self.deployment.contracts, scan_blocks_max: 4 },
            finality: "depth=3".parse::<FinalityPolicy>().unwrap(),
            fees: FeeBounds { tip_min_wei: 1_000_000_000, max_fee_cap_wei: 500_000_000_000 },
            raise_after_blocks: 3,
            in_flight_max: 4,
        };
        Submitter::open(self.chain.clone(), key.clone(), settings, folder).unwrap()
    }

    /// Number of transactions of an account that are mined.
    pub async fn sent_by(&self, account: Address) -> u64 {
        self.chain.nonce_at(evm(account), BlockId::latest()).await.unwrap()
    }
}

/// A statement over records of two provers that earn 3 : 1.
pub fn opened(spec: &JobSpec, provers: [Address; 2]) -> OpenedStatement {
    let record = |index: u32, prover: Address, work_units: u64| SegmentRecord {
        index,
        first: u64::from(index) * 10,
        count: 10,
        vk: VkDigest::from_bytes([0x71; 32]),
        public_values: PublicValuesDigest::from_bytes([0x72; 32]),
        proof: BlobDigest::from_bytes([index as u8; 32]),
        prover,
        work_units: WorkUnits::new(work_units),
    };
    let records = vec![record(0, provers[0], 30), record(1, provers[1], 10)];
    let attempt = StatementAttempt::new(1);
    let statement = Statement::over(spec, attempt, MANIFEST, &records).unwrap();
    OpenedStatement { statement, records }
}

/// A statement of nobody's job, for certificates alone.
pub fn lone_statement(tag: u8) -> Statement {
    Statement {
        job: proofgrid_core::ids::JobId::from_bytes([tag; 32]),
        attempt: StatementAttempt::new(1),
        program: PROGRAM,
        manifest: MANIFEST,
        claim: Claim::from_bytes([0x62; 32]),
        num_segments: 1,
        segments_root: proofgrid_core::ids::SegmentsRoot::from_bytes([tag; 32]),
    }
}

pub fn settle_order(
    net: &Net,
    spec: &JobSpec,
    opened: OpenedStatement,
    batch: &Batch,
    certificate: Certificate,
) -> SettleOrder {
    let (leaf_index, _) = batch.find(opened.statement.digest()).unwrap();
    SettleOrder {
        task_manager: net.task_manager(),
        spec: spec.clone(),
        opened,
        certificate,
        leaf_index,
        path: batch.path(leaf_index).unwrap(),
    }
}

pub fn hash(bytes: &[u8; 32]) -> B256 {
    B256::from(*bytes)
}
