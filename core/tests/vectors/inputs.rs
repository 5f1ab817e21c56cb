//! The fixed inputs of all vectors.

use alloy_primitives::U256;
use proofgrid_core::batch::{Ballot, Candidate, CertifiableStatement};
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member};
use proofgrid_core::ids::*;
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::quorum::Tally;
use proofgrid_core::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{ByteCount, Stake, UnixSeconds, WorkUnits};
use proofgrid_core::vote::Vote;

pub const CHAIN: ChainId = ChainId::new(31337);
pub const OPERATOR_REGISTRY: Address = contract(1);
pub const EPOCH_TABLE: Address = contract(2);
pub const TASK_MANAGER: Address = contract(3);
pub const PROOF_REGISTRY: Address = contract(4);
pub const NETWORK: NetworkId = NetworkId { home_chain: CHAIN, epoch_table: EPOCH_TABLE };
pub const TARGET: ChainContract = on_chain(PROOF_REGISTRY);

const fn contract(number: u8) -> Address {
    let mut bytes = [0xc0; 20];
    bytes[19] = number;
    Address::from_bytes(bytes)
}

pub const fn on_chain(contract: Address) -> ChainContract {
    ChainContract { chain: CHAIN, contract }
}

/// 32 bytes that belong to a label.
pub fn bytes32(label: &str) -> [u8; 32] {
    keccak256(label.as_bytes())
}

/// An address that belongs to a label.
pub fn address(label: &str) -> Address {
    let digest = bytes32(label);
    Address::try_from(&digest[12..]).unwrap()
}

pub fn secret(number: usize) -> SecretKey {
    SecretKey::from_seed(&bytes32(&format!("bls key {number}"))).unwrap()
}

pub fn wallet() -> WalletKey {
    WalletKey::from_bytes(&bytes32("wallet")).unwrap()
}

/// Ordinary jobs, then one with every number at its largest.
pub fn jobs() -> Vec<JobSpec> {
    let job = |number: u64| JobSpec {
        origin: if number.is_multiple_of(2) { Origin::Contract } else { Origin::Direct },
        home_chain: CHAIN,
        target: TARGET,
        requester: address("requester"),
        nonce: Nonce::new(number),
        program: ProgramId::from_bytes(bytes32("program")),
        input: BlobDigest::from_bytes(bytes32(&format!("input {number}"))),
        claim: Claim::from_bytes(bytes32(&format!("claim {number}"))),
        mode: if number == 3 { Mode::Race } else { Mode::Assigned },
        deadline: UnixSeconds::new(1_900_000_000 + number),
        fee_cap: U256::from(10u64).pow(U256::from(18u64)) * U256::from(number),
        limits: JobLimits {
            input_bytes: ByteCount::new(123_456),
            max_segments: 8,
            max_proof_bytes: ByteCount::new(4 << 20),
        },
        stream: number / 3,
        sequence: number / 2,
    };
    let largest = JobSpec {
        home_chain: ChainId::new(u64::MAX),
        target: ChainContract {
            chain: ChainId::new(u64::MAX),
            contract: Address::from_bytes([0xff; 20]),
        },
        nonce: Nonce::new(u64::MAX),
        deadline: UnixSeconds::new(u64::MAX),
        fee_cap: U256::MAX,
        limits: JobLimits {
            input_bytes: ByteCount::new(u64::MAX),
            max_segments: u32::MAX,
            max_proof_bytes: ByteCount::new(u64::MAX),
        },
        stream: u64::MAX,
        sequence: u64::MAX,
        ..job(4)
    };
    vec![job(1), job(2), job(3), largest]
}

pub fn records(count: u32) -> Vec<SegmentRecord> {
    (0..count)
        .map(|index| SegmentRecord {
            index,
            first: u64::from(index) * 330,
            count: 330,
            vk: VkDigest::from_bytes(bytes32("verifying key")),
            public_values: PublicValuesDigest::from_bytes(bytes32(&format!("values {index}"))),
            proof: BlobDigest::from_bytes(bytes32(&format!("proof {index}"))),
            prover: address(&format!("prover {}", index % 2)),
            work_units: WorkUnits::new(1000 + u64::from(index)),
        })
        .collect()
}

pub fn opened(job: &JobSpec, segments: u32) -> OpenedStatement {
    let records = records(segments);
    let manifest = ManifestDigest::from_bytes(bytes32("manifest"));
    let attempt = StatementAttempt::new(1);
    let statement = Statement::over(job, attempt, manifest, &records).unwrap();
    OpenedStatement { statement, records }
}

/// An epoch whose member `i` (in the order of the table) has `secrets[i]`.
pub struct Epoch {
    pub keys: EpochKeys,
    pub secrets: Vec<SecretKey>,
}

impl Epoch {
    pub fn new(number: u64, stakes: &[u128]) -> Self {
        let mut members: Vec<_> = (0..stakes.len())
            .map(|i| (address(&format!("operator {i}")), secret(i), stakes[i]))
            .collect();
        members.sort_by_key(|(operator, ..)| *operator);
        let table = EpochTable::build(
            NETWORK,
            EpochNumber::new(number),
            BlockNumber::new(100 + number),
            BlockHash::from_bytes(bytes32(&format!("block of epoch {number}"))),
            members
                .iter()
                .map(|(operator, secret, stake)| Member {
                    operator: *operator,
                    key: secret.public_g1(),
                    stake: Stake::new(*stake),
                })
                .collect(),
        )
        .unwrap();
        let g2: Vec<_> = members.iter().map(|(op, secret, _)| (*op, secret.public_g2())).collect();
        let keys = EpochKeys::new(table, g2).unwrap();
        Self { keys, secrets: members.into_iter().map(|(_, secret, _)| secret).collect() }
    }

    pub fn table(&self) -> &EpochTable {
        self.keys.table()
    }

    pub fn operator(&self, member: usize) -> Address {
        self.table().members()[member].operator
    }

    /// A candidate for which every member has voted.
    pub fn candidate(&self, job: &JobSpec, segments: u32, verdict: Verdict) -> Candidate {
        let ballot = Ballot::Job(opened(job, segments));
        let certifiable = CertifiableStatement::from_ballot(job, &ballot).unwrap();
        let statement = certifiable.statement();
        let mut tally = Tally::new(self.table(), statement);
        let (epoch, table) = (self.table().epoch(), self.table().digest());
        for member in 0..self.secrets.len() {
            let vote = Vote { epoch, table, statement, verdict };
            let signed = vote.sign(NETWORK, self.operator(member), &self.secrets[member]);
            tally.record(signed.verify(&self.keys).unwrap()).unwrap();
        }
        Candidate::new(certifiable, tally.quorum().unwrap()).unwrap()
    }
}
