//! Every digest of section 1 and every wallet message of section 2.

use alloy_primitives::U256;
use proofgrid_core::batch::BatchLeaf;
use proofgrid_core::certificate::{CERTIFICATE_TYPE, certificate_id};
use proofgrid_core::crypto::eip712::{LeaseAcceptance, Request, WalletMessage};
use proofgrid_core::crypto::tags::{Login, Tag};
use proofgrid_core::ids::*;
use proofgrid_core::job::{
    CLAIM_FIBONACCI_TAG, JOB_TYPE, JobSpec, TASK_TYPE, TaskKind, claim_keccak, claim_of,
};
use proofgrid_core::manifest::{
    MANIFEST_TYPE, Manifest, PROGRAM_TYPE, Profile, ProofLimits, program_id,
};
use proofgrid_core::sealed::CommitSet;
use proofgrid_core::statement::{
    SEGMENT_TYPE, STATEMENT_TYPE, SegmentRecord, Verdict, segments_root,
};
use proofgrid_core::units::{ByteCount, Millis, UnixSeconds};
use proofgrid_core::vote::Attestation;
use serde_json::{Value, json};

use crate::hex;
use crate::inputs::*;

fn type_hashes() -> Vec<Value> {
    [
        ("MANIFEST_TYPEHASH", &MANIFEST_TYPE),
        ("PROGRAM_TYPEHASH", &PROGRAM_TYPE),
        ("JOB_TYPEHASH", &JOB_TYPE),
        ("TASK_TYPEHASH", &TASK_TYPE),
        ("SEGMENT_TYPEHASH", &SEGMENT_TYPE),
        ("STATEMENT_TYPEHASH", &STATEMENT_TYPE),
        ("CERTIFICATE_TYPEHASH", &CERTIFICATE_TYPE),
    ]
    .into_iter()
    .map(|(name, text)| json!({"hash": hex(*text.digest()), "name": name, "typeString": text.text()}))
    .collect()
}

fn tags() -> Vec<Value> {
    Tag::ALL
        .into_iter()
        .map(|tag| json!({"preimage": tag.preimage(), "tag": hex(tag.word())}))
        .collect()
}

fn claims_keccak() -> Vec<Value> {
    [0, 1, 2, 5]
        .into_iter()
        .map(|count| {
            let digests: Vec<_> = (0..count).map(|i| bytes32(&format!("message {i}"))).collect();
            json!({
                "claim": hex(claim_keccak(&digests).as_bytes()),
                "digests": digests.iter().map(hex).collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn claims_fibonacci() -> Vec<Value> {
    [24usize, 40]
        .into_iter()
        .map(|len| {
            let values: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let claim = claim_of(CLAIM_FIBONACCI_TAG, &values);
            json!({"claim": hex(claim.as_bytes()), "publicValues": hex(values)})
        })
        .collect()
}

fn manifests() -> Vec<Value> {
    let limits = ProofLimits {
        proof_bytes_max: ByteCount::new(8 << 20),
        public_values_bytes_max: ByteCount::new(1 << 20),
        verify_ms_max: Millis::new(60_000),
        verify_memory_bytes_max: ByteCount::new(1 << 30),
    };
    Profile::ALL
        .into_iter()
        .map(|profile| {
            let manifest = Manifest {
                name: "keccak".into(),
                version: "1.0.0".into(),
                profile,
                hiding: profile == Profile::Fast,
                proven_bits: 100 + u16::from(profile.code()),
                conjectured_bits: 123,
                limits,
            };
            json!({
                "conjecturedBits": manifest.conjectured_bits,
                "digest": hex(manifest.digest().as_bytes()),
                "hiding": manifest.hiding,
                "name": manifest.name,
                "profile": profile.code(),
                "proofBytesMax": limits.proof_bytes_max.get(),
                "provenBits": manifest.proven_bits,
                "publicValuesBytesMax": limits.public_values_bytes_max.get(),
                "verifyMemoryBytesMax": limits.verify_memory_bytes_max.get(),
                "verifyMsMax": limits.verify_ms_max.get(),
                "version": manifest.version,
            })
        })
        .collect()
}

fn programs() -> Vec<Value> {
    ["keccak", "fibonacci"]
        .into_iter()
        .map(|name| {
            let vk = VkDigest::from_bytes(bytes32(&format!("{name} vk")));
            let parameters = bytes32(&format!("{name} parameters"));
            json!({
                "name": name,
                "parametersDigest": hex(parameters),
                "programId": hex(program_id(name, &vk, &parameters).as_bytes()),
                "vkDigest": hex(vk.as_bytes()),
            })
        })
        .collect()
}

pub fn job_json(job: &JobSpec) -> Value {
    json!({
        "claim": hex(job.claim.as_bytes()),
        "deadline": job.deadline.get(),
        "feeCap": hex(job.fee_cap.to_be_bytes::<32>()),
        "homeChain": job.home_chain.get(),
        "inputBytes": job.limits.input_bytes.get(),
        "inputDigest": hex(job.input.as_bytes()),
        "jobId": hex(job.id().as_bytes()),
        "maxProofBytes": job.limits.max_proof_bytes.get(),
        "maxSegments": job.limits.max_segments,
        "mode": job.mode.code(),
        "nonce": job.nonce.get(),
        "origin": job.origin.code(),
        "programId": hex(job.program.as_bytes()),
        "requester": hex(job.requester.as_bytes()),
        "sequence": job.sequence,
        "stream": job.stream,
        "targetChain": job.target.chain.get(),
        "targetContract": hex(job.target.contract.as_bytes()),
    })
}

fn tasks() -> Vec<Value> {
    let job = jobs()[0].id();
    let cases = [(TaskKind::Segment, 0), (TaskKind::Segment, 7), (TaskKind::Fold, 0)];
    cases
        .into_iter()
        .chain([(TaskKind::Wrap, 0), (TaskKind::Segment, u32::MAX)])
        .map(|(kind, index)| {
            json!({
                "index": index,
                "jobId": hex(job.as_bytes()),
                "kind": kind.code(),
                "taskId": hex(TaskId::derive(&job, kind, index).as_bytes()),
            })
        })
        .collect()
}

pub fn record_json(record: &SegmentRecord) -> Value {
    json!({
        "count": record.count,
        "first": record.first,
        "index": record.index,
        "leaf": hex(record.leaf()),
        "proofDigest": hex(record.proof.as_bytes()),
        "prover": hex(record.prover.as_bytes()),
        "publicValuesDigest": hex(record.public_values.as_bytes()),
        "record": hex(record.canonical_bytes().as_bytes()),
        "vkDigest": hex(record.vk.as_bytes()),
        "workUnits": record.work_units.get(),
    })
}

fn segments_roots() -> Vec<Value> {
    [1, 2, 3, 7, 8]
        .into_iter()
        .map(|count| {
            let records = records(count);
            json!({
                "leaves": records.iter().map(|r| hex(r.leaf())).collect::<Vec<_>>(),
                "numSegments": count,
                "segmentsRoot": hex(segments_root(&records).unwrap().as_bytes()),
            })
        })
        .collect()
}

fn statements() -> Vec<Value> {
    jobs()
        .iter()
        .zip([1, 3, 7, 2])
        .map(|(job, segments)| {
            let statement = opened(job, segments).statement;
            json!({
                "claim": hex(statement.claim.as_bytes()),
                "jobId": hex(statement.job.as_bytes()),
                "manifest": hex(statement.manifest.as_bytes()),
                "numSegments": statement.num_segments,
                "programId": hex(statement.program.as_bytes()),
                "segmentsRoot": hex(statement.segments_root.as_bytes()),
                "statementAttempt": statement.attempt.get(),
                "statementDigest": hex(statement.digest().as_bytes()),
            })
        })
        .collect()
}

fn batch_leaves() -> Vec<Value> {
    Verdict::ALL
        .into_iter()
        .map(|verdict| {
            let statement = StatementDigest::from_bytes(bytes32("statement"));
            json!({
                "leaf": hex(BatchLeaf { statement, verdict }.hash()),
                "statementDigest": hex(statement.as_bytes()),
                "verdict": verdict.code(),
            })
        })
        .collect()
}

fn certificate_ids() -> Vec<Value> {
    [1u32, 3, 256]
        .into_iter()
        .map(|count| {
            let attestation = Attestation {
                target: TARGET,
                epoch: EpochNumber::new(u64::from(count)),
                table: TableDigest::from_bytes(bytes32("table")),
                root: BatchRoot::from_bytes(bytes32("root")),
                count,
            };
            json!({
                "certificateId": hex(certificate_id(&attestation).as_bytes()),
                "count": count,
                "epoch": attestation.epoch.get(),
                "root": hex(attestation.root.as_bytes()),
                "tableDigest": hex(attestation.table.as_bytes()),
                "targetChain": CHAIN.get(),
                "targetContract": hex(PROOF_REGISTRY.as_bytes()),
            })
        })
        .collect()
}

/// One message of each wallet type, named by its primary type.
fn wallet_messages() -> Vec<(&'static str, WalletMessage)> {
    let job = jobs().swap_remove(0);
    let digest = BlobDigest::from_bytes(bytes32("blob"));
    let expires = UnixSeconds::new(1_900_000_000);
    let login = Login {
        role: Role::Prover,
        server: address("server"),
        server_nonce: LoginNonce::from_bytes(bytes32("server nonce")),
        client_nonce: LoginNonce::from_bytes(bytes32("client nonce")),
        operator: wallet().address(),
    };
    let acceptance = LeaseAcceptance {
        job: job.id(),
        task: TaskId::derive(&job.id(), TaskKind::Segment, 0),
        input: job.input,
        deadline: job.deadline,
        amount: U256::from(12_345u64),
    };
    let request = |request| WalletMessage::Request { network: NETWORK, request };
    vec![
        ("Login", WalletMessage::Login { network: NETWORK, login }),
        ("CancelJob", request(Request::CancelJob { job: job.id(), expires })),
        ("SubmitJob", request(Request::SubmitJob { job: Box::new(job), expires })),
        (
            "UploadBlob",
            request(Request::UploadBlob { digest, length: ByteCount::new(99), expires }),
        ),
        ("DownloadBlob", request(Request::DownloadBlob { digest, expires })),
        (
            "AdminCall",
            request(Request::AdminCall {
                action: "drain".into(),
                subject: AdminSubject::from_bytes(bytes32("subject")),
                nonce: Nonce::new(4),
                expires,
            }),
        ),
        (
            "LeaseAccept",
            WalletMessage::LeaseAccept { task_manager: on_chain(TASK_MANAGER), acceptance },
        ),
        ("CommitSet", WalletMessage::CommitSet { network: NETWORK, set: Box::new(commit_set()) }),
    ]
}

/// Two members' commitments.
fn commit_set() -> CommitSet {
    let named = (EpochNumber::new(7), TableDigest::from_bytes(bytes32("table")));
    let statement = StatementDigest::from_bytes(bytes32("statement"));
    let of = |operator: u8| {
        let commitment = Commitment::from_bytes([operator; 32]);
        (Address::from_bytes([operator; 20]), commitment)
    };
    CommitSet::new(named, statement, 3, vec![of(1), of(2)]).unwrap()
}

fn wallet_json() -> Vec<Value> {
    let wallet = wallet();
    wallet_messages()
        .into_iter()
        .map(|(primary_type, message)| {
            let signature = wallet.sign(&message);
            assert_eq!(signature.recover(&message), Ok(wallet.address()));
            json!({
                "chainId": message.bound_to().chain.get(),
                "contract": hex(message.bound_to().contract.as_bytes()),
                "digest": hex(message.digest()),
                "domainSeparator": hex(message.domain_separator()),
                "primaryType": primary_type,
                "signature": hex(signature.to_bytes()),
                "signer": hex(wallet.address().as_bytes()),
                "structHash": hex(message.struct_hash()),
                "tag": hex(message.tag().word()),
            })
        })
        .collect()
}

pub fn build() -> Value {
    json!({
        "batchLeaves": batch_leaves(),
        "certificateIds": certificate_ids(),
        "claimsFibonacci": claims_fibonacci(),
        "claimsKeccak": claims_keccak(),
        "jobs": jobs().iter().map(job_json).collect::<Vec<_>>(),
        "manifests": manifests(),
        "programs": programs(),
        "segments": records(4).iter().map(record_json).collect::<Vec<_>>(),
        "segmentsRoots": segments_roots(),
        "statements": statements(),
        "tags": tags(),
        "tasks": tasks(),
        "typeHashes": type_hashes(),
        "wallet": wallet_json(),
    })
}
