//! Values and strategies that several modules' tests share.

use alloy_primitives::U256;
use proptest::prelude::*;

use crate::batch::{Ballot, Candidate, CertifiableStatement};
use crate::crypto::bls::BlsMessage;
use crate::crypto::bls::SecretKey;
use crate::crypto::eip712::{LeaseAcceptance, Request, WalletMessage};
use crate::crypto::tags::Login;
use crate::epoch::{EpochKeys, EpochTable, Member};
use crate::ids::*;
use crate::job::{JobLimits, JobSpec, Mode, Origin};
use crate::quorum::Tally;
use crate::sealed::CommitSet;
use crate::statement::{OpenedStatement, SegmentRecord, Statement, Verdict};
use crate::units::{ByteCount, Stake, UnixSeconds, WorkUnits};
use crate::vote::{Attestation, VerifiedVote, Vote};

/// The network of all fixtures.
pub const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31337), epoch_table: Address::from_bytes([0xe7; 20]) };
/// The target of all fixtures.
pub const TARGET: ChainContract =
    ChainContract { chain: ChainId::new(31338), contract: Address::from_bytes([0xa0; 20]) };

/// A job that differs from others by its nonce.
pub fn job(nonce: u64) -> JobSpec {
    JobSpec {
        origin: Origin::Direct,
        home_chain: NETWORK.home_chain,
        target: TARGET,
        requester: Address::from_bytes([0x11; 20]),
        nonce: Nonce::new(nonce),
        program: ProgramId::from_bytes([0x22; 32]),
        input: BlobDigest::from_bytes([0x33; 32]),
        claim: Claim::from_bytes([0x44; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(1_800_000_000),
        fee_cap: U256::from(10u64).pow(U256::from(18u64)),
        limits: JobLimits {
            input_bytes: ByteCount::new(1 << 20),
            max_segments: 8,
            max_proof_bytes: ByteCount::new(4 << 20),
        },
        stream: 0,
        sequence: 0,
    }
}

/// A record at a position.
pub fn record(index: u32) -> SegmentRecord {
    SegmentRecord {
        index,
        first: u64::from(index) * 100,
        count: 100,
        vk: VkDigest::from_bytes([0x55; 32]),
        public_values: PublicValuesDigest::from_bytes([0x66; 32]),
        proof: BlobDigest::from_bytes([0x77; 32]),
        prover: Address::from_bytes([0x88; 20]),
        work_units: WorkUnits::new(1234),
    }
}

/// The statement of a job over three records.
pub fn opened(spec: &JobSpec) -> OpenedStatement {
    let records: Vec<_> = (0..3).map(record).collect();
    let manifest = ManifestDigest::from_bytes([0x99; 32]);
    let statement = Statement::over(spec, StatementAttempt::new(1), manifest, &records).unwrap();
    OpenedStatement { statement, records }
}

/// An epoch with its secrets: member `i` has operator `[i + 1; 20]` and the `i`-th stake.
pub struct Epoch {
    pub keys: EpochKeys,
    pub secrets: Vec<SecretKey>,
}

impl Epoch {
    pub fn new(number: u64, stakes: &[u128]) -> Self {
        let secrets: Vec<_> =
            (0..stakes.len()).map(|i| SecretKey::from_seed(&[i as u8 + 1; 32]).unwrap()).collect();
        let operator = |i: usize| Address::from_bytes([i as u8 + 1; 20]);
        let members = (0..stakes.len())
            .map(|i| Member {
                operator: operator(i),
                key: secrets[i].public_g1(),
                stake: Stake::new(stakes[i]),
            })
            .collect();
        let table = EpochTable::build(
            NETWORK,
            EpochNumber::new(number),
            BlockNumber::new(1000 + number),
            BlockHash::from_bytes([0xb1; 32]),
            members,
        )
        .unwrap();
        let g2 = secrets.iter().enumerate().map(|(i, secret)| (operator(i), secret.public_g2()));
        Self { keys: EpochKeys::new(table, g2).unwrap(), secrets }
    }

    pub fn table(&self) -> &EpochTable {
        self.keys.table()
    }

    pub fn operator(&self, member: usize) -> Address {
        self.table().members()[member].operator
    }

    pub fn vote(
        &self,
        member: usize,
        statement: StatementDigest,
        verdict: Verdict,
    ) -> VerifiedVote {
        let (epoch, table) = (self.table().epoch(), self.table().digest());
        Vote { epoch, table, statement, verdict }
            .sign(NETWORK, self.operator(member), &self.secrets[member])
            .verify(&self.keys)
            .unwrap()
    }

    /// A candidate that these members have voted for.
    pub fn candidate(&self, spec: &JobSpec, verdict: Verdict, voters: &[usize]) -> Candidate {
        let ballot = Ballot::Job(opened(spec));
        let certifiable = CertifiableStatement::from_ballot(spec, &ballot).unwrap();
        let mut tally = Tally::new(self.table(), certifiable.statement());
        for voter in voters {
            tally.record(self.vote(*voter, certifiable.statement(), verdict)).unwrap();
        }
        Candidate::new(certifiable, tally.quorum().unwrap()).unwrap()
    }
}

fn arb_address() -> impl Strategy<Value = Address> {
    // Few values, so that two messages often agree in every field that they share.
    (0u8..3).prop_map(|byte| Address::from_bytes([byte; 20]))
}

fn arb_word() -> impl Strategy<Value = [u8; 32]> {
    (0u8..3).prop_map(|byte| [byte; 32])
}

fn arb_contract() -> impl Strategy<Value = ChainContract> {
    (0u64..3, arb_address())
        .prop_map(|(chain, contract)| ChainContract { chain: ChainId::new(chain), contract })
}

fn arb_network() -> impl Strategy<Value = NetworkId> {
    arb_contract().prop_map(|c| NetworkId { home_chain: c.chain, epoch_table: c.contract })
}

fn arb_login() -> impl Strategy<Value = Login> {
    let role = prop::sample::select(Role::ALL.to_vec());
    (role, arb_address(), arb_word(), arb_word(), arb_address()).prop_map(
        |(role, server, ours, theirs, operator)| Login {
            role,
            server,
            server_nonce: LoginNonce::from_bytes(ours),
            client_nonce: LoginNonce::from_bytes(theirs),
            operator,
        },
    )
}

/// Any message that a BLS key signs.
pub fn arb_bls_message() -> impl Strategy<Value = BlsMessage> {
    let verdict = prop::sample::select(Verdict::ALL.to_vec());
    prop_oneof![
        (arb_contract(), arb_address(), 0u32..3, 1u8..3).prop_map(
            |(registry, operator, set, k)| {
                let secret = SecretKey::from_seed(&[k; 32]).unwrap();
                let (g1, g2) = (secret.public_g1(), secret.public_g2());
                BlsMessage::Pop { registry, operator, set: OperatorSet::new(set), g1, g2 }
            }
        ),
        (arb_network(), arb_login())
            .prop_map(|(network, login)| BlsMessage::Login { network, login }),
        (arb_network(), 0u64..3, arb_word(), arb_word(), verdict).prop_map(
            |(network, epoch, table, statement, verdict)| BlsMessage::Vote {
                network,
                vote: Vote {
                    epoch: EpochNumber::new(epoch),
                    table: TableDigest::from_bytes(table),
                    statement: StatementDigest::from_bytes(statement),
                    verdict,
                },
            }
        ),
        (arb_contract(), 0u64..3, arb_word(), arb_word(), 0u32..3).prop_map(
            |(target, epoch, table, root, count)| BlsMessage::Attest(Attestation {
                target,
                epoch: EpochNumber::new(epoch),
                table: TableDigest::from_bytes(table),
                root: BatchRoot::from_bytes(root),
                count,
            })
        ),
        (arb_contract(), arb_address(), 0u64..3).prop_map(|(registry, operator, nonce)| {
            BlsMessage::EjectCancel { registry, operator, nonce: Nonce::new(nonce) }
        }),
    ]
}

fn arb_request() -> impl Strategy<Value = Request> {
    let expires = || (0u64..3).prop_map(UnixSeconds::new);
    let digest = || arb_word().prop_map(BlobDigest::from_bytes);
    prop_oneof![
        (0u64..3, expires())
            .prop_map(|(nonce, expires)| Request::SubmitJob { job: Box::new(job(nonce)), expires }),
        (digest(), 0u64..3, expires()).prop_map(|(digest, length, expires)| {
            Request::UploadBlob { digest, length: ByteCount::new(length), expires }
        }),
        (digest(), expires())
            .prop_map(|(digest, expires)| Request::DownloadBlob { digest, expires }),
        (arb_word(), expires())
            .prop_map(|(job, expires)| Request::CancelJob { job: JobId::from_bytes(job), expires }),
        ("[a-c]{0,2}", arb_word(), 0u64..3, expires()).prop_map(
            |(action, subject, nonce, expires)| Request::AdminCall {
                action,
                subject: AdminSubject::from_bytes(subject),
                nonce: Nonce::new(nonce),
                expires,
            }
        ),
    ]
}

/// Any message that a wallet signs.
pub fn arb_wallet_message() -> impl Strategy<Value = WalletMessage> {
    prop_oneof![
        (arb_network(), arb_login())
            .prop_map(|(network, login)| WalletMessage::Login { network, login }),
        (arb_network(), arb_request())
            .prop_map(|(network, request)| WalletMessage::Request { network, request }),
        (arb_contract(), arb_word(), arb_word(), arb_word(), 0u64..3, 0u64..3).prop_map(
            |(task_manager, job, task, input, deadline, amount)| WalletMessage::LeaseAccept {
                task_manager,
                acceptance: LeaseAcceptance {
                    job: JobId::from_bytes(job),
                    task: TaskId::from_bytes(task),
                    input: BlobDigest::from_bytes(input),
                    deadline: UnixSeconds::new(deadline),
                    amount: U256::from(amount),
                },
            }
        ),
        (arb_network(), 0u64..3, arb_word(), arb_word(), arb_word()).prop_map(
            |(network, epoch, table, statement, commitment)| {
                let named = (EpochNumber::new(epoch), TableDigest::from_bytes(table));
                let statement = StatementDigest::from_bytes(statement);
                let held = (Address::from_bytes([1; 20]), Commitment::from_bytes(commitment));
                let set = Box::new(CommitSet::new(named, statement, 1, vec![held]).unwrap());
                WalletMessage::CommitSet { network, set }
            }
        ),
    ]
}
