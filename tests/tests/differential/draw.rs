//! Random values of the protocol's types, all from one printed seed.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::U256;
use proofgrid_core::crypto::bls::{BlsMessage, SecretKey};
use proofgrid_core::crypto::hash::keccak256_concat;
use proofgrid_core::crypto::tags::Login;
use proofgrid_core::ids::{
    Address, BatchRoot, BlobDigest, ChainContract, ChainId, Claim, EpochNumber, JobId, LoginNonce,
    ManifestDigest, NetworkId, Nonce, OperatorSet, ProgramId, PublicValuesDigest, Role,
    SegmentsRoot, StatementAttempt, StatementDigest, TableDigest, VkDigest,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::manifest::{Manifest, Profile, ProofLimits};
use proofgrid_core::statement::{SegmentRecord, Statement, Verdict};
use proofgrid_core::units::{ByteCount, Millis, UnixSeconds, WorkUnits};
use proofgrid_core::vote::{Attestation, Vote};

/// Draws the same inputs again.
const SEED_VARIABLE: &str = "PROOFGRID_FUZZ_SEED";

/// A stream of random values.
pub struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    /// Starts from a new seed, or the one in the environment, and prints it; the test runner shows
    /// what a failed test has printed.
    pub fn fresh() -> Self {
        let seed = std::env::var(SEED_VARIABLE).ok().map_or_else(
            || {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::from(now.subsec_nanos()) << 32 | now.as_secs() & 0xffff_ffff
            },
            |text| text.parse().expect("the seed is a number of 64 bits"),
        );
        println!("run again with {SEED_VARIABLE}={seed}");
        Self { seed, drawn: 0 }
    }

    /// 32 random bytes.
    pub fn word(&mut self) -> [u8; 32] {
        self.drawn += 1;
        keccak256_concat(&[&self.seed.to_be_bytes(), &self.drawn.to_be_bytes()])
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.word()[..N].try_into().unwrap()
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::from_be_bytes(self.bytes()) % bound
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// One of several.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(u32::try_from(of.len()).unwrap()) as usize].clone()
    }

    /// A number of any length in bits, so that small ones and the ends of the range occur.
    pub fn uint128(&mut self) -> u128 {
        let any = u128::from_be_bytes(self.bytes());
        match self.below(6) {
            0 => 0,
            1 => u128::MAX,
            2 => any,
            _ => any >> self.below(128),
        }
    }

    /// As [`Self::uint128`], of 64 bits.
    pub fn uint64(&mut self) -> u64 {
        (self.uint128() & u128::from(u64::MAX)).try_into().unwrap()
    }

    /// As [`Self::uint128`], of 32 bits.
    pub fn uint32(&mut self) -> u32 {
        (self.uint128() & u128::from(u32::MAX)).try_into().unwrap()
    }

    fn uint16(&mut self) -> u16 {
        (self.uint128() & u128::from(u16::MAX)).try_into().unwrap()
    }

    /// The same with one bit flipped.
    pub fn flipped(&mut self, mut word: [u8; 32]) -> [u8; 32] {
        word[self.below(32) as usize] ^= 1 << self.below(8);
        word
    }

    /// Up to 24 characters, some of more than one byte.
    pub fn text(&mut self) -> String {
        (0..self.below(25)).map(|_| self.pick(&['a', 'Z', '0', '-', '\0', 'é', '証'])).collect()
    }

    fn address(&mut self) -> Address {
        Address::from_bytes(self.bytes())
    }

    fn contract(&mut self) -> ChainContract {
        ChainContract { chain: ChainId::new(self.uint64()), contract: self.address() }
    }

    fn network(&mut self) -> NetworkId {
        let of = self.contract();
        NetworkId { home_chain: of.chain, epoch_table: of.contract }
    }

    fn byte_count(&mut self) -> ByteCount {
        ByteCount::new(self.uint64())
    }

    /// A job.
    pub fn job(&mut self) -> JobSpec {
        JobSpec {
            origin: self.pick(&Origin::ALL),
            home_chain: ChainId::new(self.uint64()),
            target: self.contract(),
            requester: self.address(),
            nonce: Nonce::new(self.uint64()),
            program: ProgramId::from_bytes(self.word()),
            input: BlobDigest::from_bytes(self.word()),
            claim: Claim::from_bytes(self.word()),
            mode: self.pick(&Mode::ALL),
            deadline: UnixSeconds::new(self.uint64()),
            fee_cap: U256::from_be_bytes(self.word()) >> self.below(256),
            limits: JobLimits {
                input_bytes: self.byte_count(),
                max_segments: self.uint32(),
                max_proof_bytes: self.byte_count(),
            },
            stream: self.uint64(),
            sequence: self.uint64(),
        }
    }

    /// A segment record.
    pub fn record(&mut self) -> SegmentRecord {
        SegmentRecord {
            index: self.uint32(),
            first: self.uint64(),
            count: self.uint64(),
            vk: VkDigest::from_bytes(self.word()),
            public_values: PublicValuesDigest::from_bytes(self.word()),
            proof: BlobDigest::from_bytes(self.word()),
            prover: self.address(),
            work_units: WorkUnits::new(self.uint64()),
        }
    }

    /// A statement.
    pub fn statement(&mut self) -> Statement {
        Statement {
            job: JobId::from_bytes(self.word()),
            attempt: StatementAttempt::new(self.uint32()),
            program: ProgramId::from_bytes(self.word()),
            manifest: ManifestDigest::from_bytes(self.word()),
            claim: Claim::from_bytes(self.word()),
            num_segments: self.uint32(),
            segments_root: SegmentsRoot::from_bytes(self.word()),
        }
    }

    /// A manifest.
    pub fn manifest(&mut self) -> Manifest {
        Manifest {
            name: self.text(),
            version: self.text(),
            profile: self.pick(&Profile::ALL),
            hiding: self.coin(),
            proven_bits: self.uint16(),
            conjectured_bits: self.uint16(),
            limits: ProofLimits {
                proof_bytes_max: self.byte_count(),
                public_values_bytes_max: self.byte_count(),
                verify_ms_max: Millis::new(self.uint64()),
                verify_memory_bytes_max: self.byte_count(),
            },
        }
    }

    /// An attestation, which is also all that a certificate's id is made of.
    pub fn attestation(&mut self) -> Attestation {
        Attestation {
            target: self.contract(),
            epoch: EpochNumber::new(self.uint64()),
            table: TableDigest::from_bytes(self.word()),
            root: BatchRoot::from_bytes(self.word()),
            count: self.uint32(),
        }
    }

    /// One message of every kind that a BLS key signs.
    pub fn messages(&mut self) -> [BlsMessage; 5] {
        let owner = SecretKey::from_seed(&self.word()).unwrap();
        let pop = BlsMessage::Pop {
            registry: self.contract(),
            operator: self.address(),
            set: OperatorSet::new(self.uint32()),
            g1: owner.public_g1(),
            g2: owner.public_g2(),
        };
        let login = Login {
            role: self.pick(&Role::ALL),
            server: self.address(),
            server_nonce: LoginNonce::from_bytes(self.word()),
            client_nonce: LoginNonce::from_bytes(self.word()),
            operator: self.address(),
        };
        let vote = Vote {
            epoch: EpochNumber::new(self.uint64()),
            table: TableDigest::from_bytes(self.word()),
            statement: StatementDigest::from_bytes(self.word()),
            verdict: self.pick(&Verdict::ALL),
        };
        let cancel = BlsMessage::EjectCancel {
            registry: self.contract(),
            operator: self.address(),
            nonce: Nonce::new(self.uint64()),
        };
        let login = BlsMessage::Login { network: self.network(), login };
        let vote = BlsMessage::Vote { network: self.network(), vote };
        [pop, login, vote, BlsMessage::Attest(self.attestation()), cancel]
    }
}
