//! The typed messages against an independent implementation of EIP-712, and against each other.

use alloy_primitives::{Address as AlloyAddress, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use proptest::prelude::*;

use super::bls::BlsMessage;
use super::eip712::{Request, WalletMessage};
use super::hash::keccak256;
use super::secp::{SecpError, WalletKey, WalletSignature};
use crate::certificate::{CERTIFICATE_TYPE, certificate_id};
use crate::fixtures::{NETWORK, arb_bls_message, arb_wallet_message, job, opened, record};
use crate::ids::{Address, BatchRoot, Commitment, EpochNumber, JobId, TableDigest, TaskId};
use crate::job::{JOB_TYPE, JobSpec, TASK_TYPE, TaskKind};
use crate::manifest::{MANIFEST_TYPE, PROGRAM_TYPE};
use crate::sealed::{COMMIT_SET_TYPE, COMMITMENT_TYPE};
use crate::statement::{SEGMENT_TYPE, STATEMENT_TYPE};
use crate::units::UnixSeconds;
use crate::vote::Attestation;

sol! {
    struct ProofgridJob {
        uint8 origin;
        uint64 homeChain;
        uint64 targetChain;
        address targetContract;
        address requester;
        uint64 nonce;
        bytes32 programId;
        bytes32 inputDigest;
        bytes32 claim;
        uint8 mode;
        uint64 deadline;
        uint256 feeCap;
        uint64 inputBytes;
        uint32 maxSegments;
        uint64 maxProofBytes;
        uint64 stream;
        uint64 sequence;
    }

    struct Login {
        uint8 role;
        address server;
        bytes32 serverNonce;
        bytes32 clientNonce;
        address operator;
    }

    struct SubmitJob { ProofgridJob job; uint64 expires; }
    struct UploadBlob { bytes32 digest; uint64 length; uint64 expires; }
    struct DownloadBlob { bytes32 digest; uint64 expires; }
    struct CancelJob { bytes32 job; uint64 expires; }
    struct AdminCall { string action; bytes32 subject; uint64 nonce; uint64 expires; }
    struct LeaseAccept {
        bytes32 job;
        bytes32 task;
        bytes32 inputDigest;
        uint64 deadline;
        uint256 amount;
    }
    struct CommitSet {
        uint64 epoch;
        bytes32 tableDigest;
        bytes32 statementDigest;
        uint32 sitting;
        uint32 count;
        bytes32 commitments;
    }
    struct ProofgridCommitment {
        bytes32 vote;
        uint256 signatureX;
        uint256 signatureY;
        address operator;
        bytes32 salt;
    }

    struct ProofgridManifest {
        bytes32 name;
        bytes32 version;
        uint8 profile;
        bool hiding;
        uint16 provenBits;
        uint16 conjecturedBits;
        uint64 proofBytesMax;
        uint64 publicValuesBytesMax;
        uint64 verifyMsMax;
        uint64 verifyMemoryBytesMax;
    }
    struct ProofgridProgram { bytes32 name; bytes32 vkDigest; bytes32 parametersDigest; }
    struct ProofgridSegment {
        uint32 index;
        uint64 first;
        uint64 count;
        bytes32 vkDigest;
        bytes32 publicValuesDigest;
        bytes32 proofDigest;
        address prover;
        uint64 workUnits;
    }
    struct ProofgridStatement {
        bytes32 job;
        uint32 statementAttempt;
        bytes32 programId;
        bytes32 manifest;
        bytes32 claim;
        uint32 numSegments;
        bytes32 segmentsRoot;
    }
    struct ProofgridCertificate {
        uint64 targetChain;
        address targetContract;
        uint64 epoch;
        bytes32 tableDigest;
        bytes32 root;
        uint32 count;
    }

    struct ProofgridTask { bytes32 job; uint8 kind; uint32 index; }
}

fn address(value: &Address) -> AlloyAddress {
    AlloyAddress::from(*value.as_bytes())
}

fn sol_job(job: &JobSpec) -> ProofgridJob {
    ProofgridJob {
        origin: job.origin.code(),
        homeChain: job.home_chain.get(),
        targetChain: job.target.chain.get(),
        targetContract: address(&job.target.contract),
        requester: address(&job.requester),
        nonce: job.nonce.get(),
        programId: B256::from(*job.program.as_bytes()),
        inputDigest: B256::from(*job.input.as_bytes()),
        claim: B256::from(*job.claim.as_bytes()),
        mode: job.mode.code(),
        deadline: job.deadline.get(),
        feeCap: job.fee_cap,
        inputBytes: job.limits.input_bytes.get(),
        maxSegments: job.limits.max_segments,
        maxProofBytes: job.limits.max_proof_bytes.get(),
        stream: job.stream,
        sequence: job.sequence,
    }
}

/// What a wallet that implements EIP-712 would sign.
fn signing_hash(message: &WalletMessage) -> B256 {
    let bound_to = message.bound_to();
    let domain = Eip712Domain::new(
        Some("Proofgrid".into()),
        Some("1".into()),
        Some(U256::from(bound_to.chain.get())),
        Some(address(&bound_to.contract)),
        Some(B256::from(message.tag().word())),
    );
    match message {
        WalletMessage::Login { login, .. } => Login {
            role: login.role.code(),
            server: address(&login.server),
            serverNonce: B256::from(*login.server_nonce.as_bytes()),
            clientNonce: B256::from(*login.client_nonce.as_bytes()),
            operator: address(&login.operator),
        }
        .eip712_signing_hash(&domain),
        WalletMessage::Request { request, .. } => request_hash(request, &domain),
        WalletMessage::LeaseAccept { acceptance, .. } => LeaseAccept {
            job: B256::from(*acceptance.job.as_bytes()),
            task: B256::from(*acceptance.task.as_bytes()),
            inputDigest: B256::from(*acceptance.input.as_bytes()),
            deadline: acceptance.deadline.get(),
            amount: acceptance.amount,
        }
        .eip712_signing_hash(&domain),
        WalletMessage::CommitSet { set, .. } => {
            let words = |(operator, commitment): &(Address, Commitment)| {
                [
                    [&[0; 12], operator.as_bytes().as_slice()].concat(),
                    commitment.as_bytes().to_vec(),
                ]
            };
            let list: Vec<u8> = set.commitments().iter().flat_map(words).flatten().collect();
            CommitSet {
                epoch: set.epoch().get(),
                tableDigest: b256(set.table().as_bytes()),
                statementDigest: b256(set.statement().as_bytes()),
                sitting: set.sitting(),
                count: u32::try_from(set.commitments().len()).unwrap(),
                commitments: B256::from(keccak256(&list)),
            }
            .eip712_signing_hash(&domain)
        }
    }
}

fn request_hash(request: &Request, domain: &Eip712Domain) -> B256 {
    let expires = request.expires().get();
    match request {
        Request::SubmitJob { job, .. } => {
            SubmitJob { job: sol_job(job), expires }.eip712_signing_hash(domain)
        }
        Request::UploadBlob { digest, length, .. } => {
            UploadBlob { digest: B256::from(*digest.as_bytes()), length: length.get(), expires }
                .eip712_signing_hash(domain)
        }
        Request::DownloadBlob { digest, .. } => {
            DownloadBlob { digest: B256::from(*digest.as_bytes()), expires }
                .eip712_signing_hash(domain)
        }
        Request::CancelJob { job, .. } => {
            CancelJob { job: B256::from(*job.as_bytes()), expires }.eip712_signing_hash(domain)
        }
        Request::AdminCall { action, subject, nonce, .. } => AdminCall {
            action: action.clone(),
            subject: B256::from(*subject.as_bytes()),
            nonce: nonce.get(),
            expires,
        }
        .eip712_signing_hash(domain),
    }
}

fn b256(bytes: &[u8; 32]) -> B256 {
    B256::from(*bytes)
}

/// The type strings typed in by hand equal those that another implementation derives.
#[test]
fn type_strings_are_those_of_the_structs() {
    assert_eq!(ProofgridManifest::eip712_root_type(), MANIFEST_TYPE.text());
    assert_eq!(ProofgridProgram::eip712_root_type(), PROGRAM_TYPE.text());
    assert_eq!(ProofgridJob::eip712_root_type(), JOB_TYPE.text());
    assert_eq!(ProofgridTask::eip712_root_type(), TASK_TYPE.text());
    assert_eq!(ProofgridSegment::eip712_root_type(), SEGMENT_TYPE.text());
    assert_eq!(ProofgridStatement::eip712_root_type(), STATEMENT_TYPE.text());
    assert_eq!(ProofgridCertificate::eip712_root_type(), CERTIFICATE_TYPE.text());
    assert_eq!(CommitSet::eip712_root_type(), COMMIT_SET_TYPE.text());
    assert_eq!(ProofgridCommitment::eip712_root_type(), COMMITMENT_TYPE.text());
}

#[test]
fn records_statements_and_certificates_hash_as_structs() {
    let record = record(5);
    let sol_record = ProofgridSegment {
        index: record.index,
        first: record.first,
        count: record.count,
        vkDigest: b256(record.vk.as_bytes()),
        publicValuesDigest: b256(record.public_values.as_bytes()),
        proofDigest: b256(record.proof.as_bytes()),
        prover: address(&record.prover),
        workUnits: record.work_units.get(),
    };
    assert_eq!(sol_record.eip712_hash_struct().0, record.canonical_bytes().digest());

    let statement = opened(&job(1)).statement;
    let sol_statement = ProofgridStatement {
        job: b256(statement.job.as_bytes()),
        statementAttempt: statement.attempt.get(),
        programId: b256(statement.program.as_bytes()),
        manifest: b256(statement.manifest.as_bytes()),
        claim: b256(statement.claim.as_bytes()),
        numSegments: statement.num_segments,
        segmentsRoot: b256(statement.segments_root.as_bytes()),
    };
    assert_eq!(sol_statement.eip712_hash_struct().0, *statement.digest().as_bytes());

    let attestation = Attestation {
        target: NETWORK.as_contract(),
        epoch: EpochNumber::new(9),
        table: TableDigest::from_bytes([1; 32]),
        root: BatchRoot::from_bytes([2; 32]),
        count: 4,
    };
    let sol_certificate = ProofgridCertificate {
        targetChain: attestation.target.chain.get(),
        targetContract: address(&attestation.target.contract),
        epoch: 9,
        tableDigest: b256(&[1; 32]),
        root: b256(&[2; 32]),
        count: 4,
    };
    let id = certificate_id(&attestation);
    assert_eq!(sol_certificate.eip712_hash_struct().0, *id.as_bytes());
}

fn key(byte: u8) -> WalletKey {
    WalletKey::from_bytes(&[byte; 32]).unwrap()
}

fn cancel() -> WalletMessage {
    let request =
        Request::CancelJob { job: JobId::from_bytes([1; 32]), expires: UnixSeconds::new(9) };
    WalletMessage::Request { network: NETWORK, request }
}

#[test]
fn a_job_id_is_the_struct_hash_of_the_job() {
    let spec = job(5);
    assert_eq!(sol_job(&spec).eip712_hash_struct().0, *spec.id().as_bytes());
    assert_eq!(spec.canonical_bytes().as_bytes().len(), 18 * 32);
}

#[test]
fn a_task_id_is_the_struct_hash_of_the_task() {
    let id = job(5).id();
    for kind in TaskKind::ALL {
        let sol_task =
            ProofgridTask { job: B256::from(*id.as_bytes()), kind: kind.code(), index: 7 };
        assert_eq!(
            sol_task.eip712_hash_struct().0,
            *TaskId::derive(&id, kind, 7).as_bytes(),
            "{kind}"
        );
    }
}

#[test]
fn addresses_come_from_keys_as_ethereum_derives_them() {
    // The first account of the usual development mnemonic, as every EVM tool prints it.
    let digits = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let bytes: [u8; 32] = hex::decode(digits).unwrap().try_into().unwrap();
    let key = WalletKey::from_bytes(&bytes).unwrap();
    assert_eq!(key.address().to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    assert!(!format!("{key:?}").contains(&digits[..8]));
    assert_eq!(*key.to_bytes(), bytes);
}

#[test]
fn keys_out_of_range_are_refused() {
    assert_eq!(WalletKey::from_bytes(&[0; 32]).err(), Some(SecpError::BadKey));
    assert_eq!(WalletKey::from_bytes(&[0xff; 32]).err(), Some(SecpError::BadKey));
}

#[test]
fn a_signature_recovers_its_signer_alone() {
    let (alice, bob) = (key(1), key(2));
    let signature = alice.sign(&cancel());
    assert_eq!(signature.recover(&cancel()), Ok(alice.address()));
    signature.verify(&cancel(), alice.address()).unwrap();
    let (expected, got) = (bob.address(), alice.address());
    assert_eq!(
        signature.verify(&cancel(), bob.address()),
        Err(SecpError::WrongSigner { expected, got })
    );
    assert_eq!(signature.to_string().parse(), Ok(signature));
}

#[test]
fn the_high_form_and_other_recovery_bytes_are_refused() {
    let bytes = key(1).sign(&cancel()).to_bytes();
    for v in [0, 1, 26, 29, 30, 255] {
        let mut other = bytes;
        other[64] = v;
        assert_eq!(WalletSignature::from_bytes(&other), Err(SecpError::RecoveryByte { got: v }));
    }
    // n - s with the other v is the same signature in its high form.
    let order = U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    )
    .unwrap();
    let s = U256::from_be_slice(&bytes[32..64]);
    let mut high = bytes;
    high[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high[64] = 55 - bytes[64];
    assert_eq!(WalletSignature::from_bytes(&high), Err(SecpError::HighS));

    for range in [0..32, 32..64] {
        for value in [0u8, 0xff] {
            let mut other = bytes;
            other[range.clone()].fill(value);
            assert_eq!(WalletSignature::from_bytes(&other), Err(SecpError::Range));
        }
    }
    assert_eq!(WalletSignature::try_from(&bytes[..64]), Err(SecpError::Length { got: 64 }));
    assert_eq!("0x12".parse::<WalletSignature>(), Err(SecpError::NotHex));
}

/// The bytes under a signature's hash, whichever curve.
#[derive(Debug, Clone)]
enum AnyMessage {
    Bls(BlsMessage),
    Wallet(WalletMessage),
}

impl AnyMessage {
    fn preimage(&self) -> Vec<u8> {
        match self {
            Self::Bls(message) => message.preimage().as_bytes().to_vec(),
            Self::Wallet(message) => message.preimage().to_vec(),
        }
    }

    /// The message's type; within a tag, the primary type.
    fn kind(&self) -> (u8, u8, u8) {
        match self {
            Self::Bls(message) => (0, message.tag() as u8, 0),
            Self::Wallet(message @ WalletMessage::Request { request, .. }) => {
                let primary = match request {
                    Request::SubmitJob { .. } => 1,
                    Request::UploadBlob { .. } => 2,
                    Request::DownloadBlob { .. } => 3,
                    Request::CancelJob { .. } => 4,
                    Request::AdminCall { .. } => 5,
                };
                (1, message.tag() as u8, primary)
            }
            Self::Wallet(message) => (1, message.tag() as u8, 0),
        }
    }
}

fn arb_message() -> impl Strategy<Value = AnyMessage> {
    prop_oneof![
        arb_bls_message().prop_map(AnyMessage::Bls),
        arb_wallet_message().prop_map(AnyMessage::Wallet),
    ]
}

proptest! {
    #[test]
    fn wallet_messages_hash_as_another_implementation_does(message in arb_wallet_message()) {
        prop_assert_eq!(message.digest(), signing_hash(&message).0);
        let wallet = key(3);
        prop_assert_eq!(wallet.sign(&message).recover(&message), Ok(wallet.address()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No two types yield one preimage, whatever their fields, and equal preimages mean equal
    /// messages within a type.
    #[test]
    fn no_two_messages_share_a_preimage(messages in prop::collection::vec(arb_message(), 2..40)) {
        for (i, a) in messages.iter().enumerate() {
            for b in &messages[i + 1..] {
                let same_bytes = a.preimage() == b.preimage();
                if a.kind() != b.kind() {
                    prop_assert!(!same_bytes, "{a:?} and {b:?} share a preimage");
                }
                if same_bytes {
                    prop_assert_eq!(format!("{:?}", a), format!("{:?}", b));
                }
            }
        }
    }

    /// A BLS preimage starts with its tag; a wallet's starts with 0x1901 and the domain, whose salt
    /// is the tag. So chain, contract and tag are in every one.
    #[test]
    fn every_preimage_starts_with_its_tag(bls in arb_bls_message(), wallet in arb_wallet_message()) {
        let preimage = bls.preimage();
        prop_assert_eq!(&preimage.as_bytes()[..32], &bls.tag().word()[..]);
        prop_assert_eq!(preimage.as_bytes().len() % 32, 0);
        let preimage = wallet.preimage();
        prop_assert_eq!(&preimage[..2], &[0x19, 0x01]);
        prop_assert_eq!(&preimage[2..34], &wallet.domain_separator()[..]);
    }
}

/// Who signed a digest, as the library says that signs.
fn recovered_by_k256(digest: &[u8; 32], signature: &[u8; 65]) -> Option<Address> {
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
    let scalars = Signature::from_slice(&signature[..64]).ok()?;
    let parity = RecoveryId::new(signature[64] == 28, false);
    let key = VerifyingKey::recover_from_prehash(digest, &scalars, parity).ok()?;
    let point = key.to_encoded_point(false);
    Address::try_from(&keccak256(&point.as_bytes()[1..])[12..]).ok()
}

proptest! {
    #[test]
    fn both_libraries_recover_the_same_signer_from_whatever_bytes(
        scalars in any::<[[u8; 32]; 2]>(),
        small in any::<bool>(),
        odd in any::<bool>(),
        message in arb_wallet_message(),
    ) {
        let [mut r, mut s] = scalars;
        // A low s, and now and then an r of which only its last bytes are set.
        s[0] &= 0x3f;
        if small {
            r[..30].fill(0);
        }
        let bytes: [u8; 65] = [&r[..], &s, &[27 + u8::from(odd)]].concat().try_into().unwrap();
        if let Ok(signature) = WalletSignature::from_bytes(&bytes) {
            let expected = recovered_by_k256(&message.digest(), &bytes);
            prop_assert_eq!(signature.recover(&message).ok(), expected);
        }
    }
}
