//! Whole certificates with their tables: what `attest` and `settle` are called with.

use proofgrid_core::batch::plan_batches;
use proofgrid_core::certificate::{Certificate, JobCertificate, JobEvidence, TrustedEpoch};
use proofgrid_core::crypto::bls::BlsMessage;
use proofgrid_core::quorum::AttestationTally;
use proofgrid_core::statement::Verdict;
use serde_json::{Value, json};

use crate::inputs::*;
use crate::{hex, word};

/// What one case adds to the lists.
struct Case {
    certificate: Value,
    files: Value,
    settles: Vec<Value>,
}

fn case(number: usize, stakes: &[u128], verdict: Verdict, absent: &[usize]) -> Case {
    let epoch = Epoch::new(number as u64 + 1, stakes);
    let table = epoch.table();
    let batched: Vec<_> = jobs().into_iter().take(3).zip([1u32, 3, 7]).collect();
    let candidates: Vec<_> =
        batched.iter().map(|(job, segments)| epoch.candidate(job, *segments, verdict)).collect();
    let plan = plan_batches(table, &candidates).remove(0);
    let mut tally = AttestationTally::new(table, plan.attestation()).unwrap();
    for member in (0..stakes.len()).filter(|member| !absent.contains(member)) {
        let signed = plan.attestation().sign(epoch.operator(member), &epoch.secrets[member]);
        tally.record(signed.verify(&epoch.keys).unwrap()).unwrap();
    }
    let certificate = Certificate::assemble(&epoch.keys, plan.batch(), &tally).unwrap();
    let trust = TrustedEpoch::Digest(table.digest());
    let verified = certificate.verify(table, trust).unwrap();
    let signer_keys = verified.signers().iter().map(|index| table.member(index).unwrap().key);
    let signer_keys: Vec<_> = signer_keys.collect();
    let apk = proofgrid_core::crypto::bls::PublicKeyG1::aggregate(&signer_keys).unwrap();

    let mut settles = Vec::new();
    let mut file = None;
    for (job, segments) in &batched {
        let opened = opened(job, *segments);
        let (statement, segments) = (opened.statement, opened.records);
        let evidence = JobEvidence { job: job.clone(), statement, segments };
        let proved = evidence.verify(&verified).unwrap();
        settles.push(json!({
            "certificate": number,
            "count": certificate.count,
            "jobId": hex(proved.job.as_bytes()),
            "leafIndex": proved.leaf_index,
            "path": proved.path.iter().map(hex).collect::<Vec<_>>(),
            "root": hex(certificate.root.as_bytes()),
            "statementDigest": hex(proved.statement.as_bytes()),
            "verdict": proved.verdict.code(),
        }));
        file = Some(JobCertificate { certificate: certificate.clone(), evidence });
    }
    let file = file.unwrap();
    let indices: Vec<_> = certificate.non_signers.iter().map(|index| index.get()).collect();
    Case {
        certificate: json!({
            "apk": hex(apk.to_bytes()),
            "apkG2": hex(certificate.signer_key.to_bytes()),
            "certificateId": hex(certificate.id().as_bytes()),
            "count": certificate.count,
            "digest": hex(BlsMessage::Attest(certificate.attestation()).digest()),
            "epoch": certificate.epoch.get(),
            "nonSigners": indices,
            "root": hex(certificate.root.as_bytes()),
            "signature": hex(certificate.signature.to_bytes()),
            "signedStake": word(verified.signed().get()),
            "table": hex(table.encode()),
            "tableDigest": hex(table.digest().as_bytes()),
            "targetChain": CHAIN.get(),
            "targetContract": hex(PROOF_REGISTRY.as_bytes()),
            "totalStake": word(verified.total().get()),
        }),
        files: json!({"certificate": file.to_json(), "table": table.to_json()}),
        settles,
    }
}

pub fn build() -> Value {
    let four = [40, 30, 20, 10];
    let sixteen = [5; 16];
    // In the order of the table: who holds what follows from the sorted operators.
    let absent_four = absent_below_a_third(&four);
    let cases = [
        case(0, &four, Verdict::Valid, &[]),
        case(1, &four, Verdict::Valid, &absent_four),
        case(2, &four, Verdict::Invalid, &[]),
        case(3, &sixteen, Verdict::Valid, &[0, 3, 7, 11, 15]),
        case(4, &[7], Verdict::Valid, &[]),
    ];
    json!({
        "certificates": cases.iter().map(|case| &case.certificate).collect::<Vec<_>>(),
        "files": cases.iter().map(|case| &case.files).collect::<Vec<_>>(),
        "settles": cases.iter().flat_map(|case| &case.settles).collect::<Vec<_>>(),
    })
}

/// Members, by position in the table, that together hold at most a third, greedily from the first.
fn absent_below_a_third(stakes: &[u128]) -> Vec<usize> {
    let epoch = Epoch::new(1, stakes);
    let mut left = epoch.table().total().get() / 3;
    let mut absent = Vec::new();
    for (position, member) in epoch.table().members().iter().enumerate() {
        if member.stake.get() <= left {
            left -= member.stake.get();
            absent.push(position);
        }
    }
    absent
}
