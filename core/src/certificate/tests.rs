use borsh::BorshDeserialize;
use serde_json::Value;

use super::json::FileError;
use super::*;
use crate::batch::plan_batches;
use crate::fixtures::{Epoch, job, opened};
use crate::ids::Address;

/// An epoch of four unequal members and a batch of three jobs, attested by all but `absent`.
fn certified(verdict: Verdict, absent: &[usize]) -> (Epoch, JobCertificate) {
    let epoch = Epoch::new(3, &[40, 30, 20, 10]);
    let all = [0, 1, 2, 3];
    let candidates: Vec<_> =
        (1..=3).map(|nonce| epoch.candidate(&job(nonce), verdict, &all)).collect();
    let plans = plan_batches(epoch.table(), &candidates);
    let plan = plans.first().unwrap();
    let mut tally = AttestationTally::new(epoch.table(), plan.attestation()).unwrap();
    for member in all.into_iter().filter(|member| !absent.contains(member)) {
        let signed = plan.attestation().sign(epoch.operator(member), &epoch.secrets[member]);
        tally.record(signed.verify(&epoch.keys).unwrap()).unwrap();
    }
    let certificate = Certificate::assemble(&epoch.keys, plan.batch(), &tally).unwrap();
    let spec = job(2);
    let opened = opened(&spec);
    let evidence = JobEvidence { job: spec, statement: opened.statement, segments: opened.records };
    (epoch, JobCertificate { certificate, evidence })
}

#[test]
fn a_certificate_verifies_with_and_without_non_signers() {
    for absent in [vec![], vec![3], vec![2], vec![2, 3], vec![1]] {
        let (epoch, file) = certified(Verdict::Valid, &absent);
        let trust = TrustedEpoch::Digest(epoch.table().digest());
        let (certificate, job) = file.verify(epoch.table(), trust).unwrap();
        assert_eq!(certificate.signers().len() as usize, 4 - absent.len());
        assert_eq!(certificate.trust(), trust);
        assert_eq!(certificate.id(), file.certificate.id());
        assert_eq!(job.verdict, Verdict::Valid);
        assert_eq!(job.job, crate::fixtures::job(2).id());
        assert_eq!(job.path.len(), 2);
    }
}

#[test]
fn an_invalid_verdict_is_certified_too() {
    let (epoch, file) = certified(Verdict::Invalid, &[3]);
    let (_, job) = file.verify(epoch.table(), TrustedEpoch::NotAnchored).unwrap();
    assert_eq!(job.verdict, Verdict::Invalid);
}

#[test]
fn the_reader_learns_whether_the_table_is_anchored() {
    let (epoch, file) = certified(Verdict::Valid, &[]);
    let (certificate, _) = file.verify(epoch.table(), TrustedEpoch::NotAnchored).unwrap();
    assert_eq!(certificate.trust(), TrustedEpoch::NotAnchored);
    let trusted = TableDigest::from_bytes([1; 32]);
    let got = epoch.table().digest();
    let refused = file.verify(epoch.table(), TrustedEpoch::Digest(trusted));
    assert_eq!(refused, Err(CertificateError::Untrusted { trusted, got }));
}

#[test]
fn a_short_tally_makes_no_certificate() {
    let epoch = Epoch::new(1, &[40, 30, 30]);
    let candidate = epoch.candidate(&job(1), Verdict::Valid, &[0, 1, 2]);
    let plan = plan_batches(epoch.table(), &[candidate]).remove(0);
    let mut tally = AttestationTally::new(epoch.table(), plan.attestation()).unwrap();
    for member in [1, 2] {
        let signed = plan.attestation().sign(epoch.operator(member), &epoch.secrets[member]);
        tally.record(signed.verify(&epoch.keys).unwrap()).unwrap();
    }
    let (signed, total) = (Stake::new(60), Stake::new(100));
    let refused = Certificate::assemble(&epoch.keys, plan.batch(), &tally);
    assert_eq!(refused, Err(CertificateError::NoQuorum { signed, total }));
}

/// Signatures of too few members make no certificate, even if everything else is put in order.
#[test]
fn a_minority_cannot_certify() {
    let (epoch, mut file) = certified(Verdict::Valid, &[]);
    let certificate = &mut file.certificate;
    let attestation = certificate.attestation();
    let minority: Vec<_> = [1usize, 2]
        .map(|member| attestation.sign(epoch.operator(member), &epoch.secrets[member]).signature)
        .into();
    certificate.signature = Signature::aggregate(&minority).unwrap();
    let keys = [1usize, 2].map(|member| epoch.secrets[member].public_g2());
    certificate.signer_key = PublicKeyG2::aggregate(&keys).unwrap();
    certificate.non_signers = [0, 3].map(MemberIndex::new).into();
    let (signed, total) = (Stake::new(50), Stake::new(100));
    let refused = file.verify(epoch.table(), TrustedEpoch::NotAnchored);
    assert_eq!(refused, Err(CertificateError::NoQuorum { signed, total }));
    file.certificate.non_signers = [0, 1, 2, 3].map(MemberIndex::new).into();
    let refused = file.verify(epoch.table(), TrustedEpoch::NotAnchored);
    assert_eq!(refused, Err(CertificateError::NoQuorum { signed: Stake::ZERO, total }));
}

#[test]
fn each_field_at_fault_is_named() {
    let (epoch, good) = certified(Verdict::Valid, &[3]);
    let refusal = |change: fn(&mut JobCertificate)| {
        let mut file = good.clone();
        change(&mut file);
        file.verify(epoch.table(), TrustedEpoch::NotAnchored).unwrap_err()
    };
    use CertificateError as E;
    assert!(matches!(refusal(|f| f.certificate.table = TableDigest::ZERO), E::Table { .. }));
    assert!(matches!(refusal(|f| f.certificate.epoch = EpochNumber::new(4)), E::Epoch { .. }));
    let block = |f: &mut JobCertificate| f.certificate.snapshot_block = BlockNumber::new(1);
    assert_eq!(refusal(block), E::Snapshot);
    assert_eq!(refusal(|f| f.certificate.snapshot_hash = BlockHash::ZERO), E::Snapshot);
    assert!(matches!(refusal(|f| f.certificate.leaves.swap(0, 1)), E::Leaves(_)));
    assert!(matches!(refusal(|f| f.certificate.count = 4), E::Count { stated: 4, got: 3 }));
    assert!(matches!(refusal(|f| f.certificate.root = BatchRoot::ZERO), E::Root { .. }));
    let twice = |f: &mut JobCertificate| f.certificate.non_signers.push(MemberIndex::new(3));
    assert_eq!(refusal(twice), E::NonSigners { index: MemberIndex::new(3) });
    let outside = |f: &mut JobCertificate| f.certificate.non_signers.push(MemberIndex::new(4));
    assert_eq!(refusal(outside), E::NonSigners { index: MemberIndex::new(4) });
    let bad = E::Signature(BlsError::BadSignature);
    assert_eq!(refusal(|f| f.certificate.non_signers.clear()), bad);
    assert_eq!(refusal(|f| f.certificate.target.chain = ChainId::new(1)), bad);
    assert_eq!(refusal(|f| f.evidence.job.target.contract = Address::ZERO), E::OtherTarget);
    assert_eq!(refusal(|f| f.evidence.job.home_chain = ChainId::new(1)), E::OtherTarget);
    assert!(matches!(refusal(|f| f.evidence.job.stream = 1), E::OtherJob { .. }));
    assert!(matches!(refusal(|f| f.evidence.statement.num_segments = 2), E::SegmentCount { .. }));
    assert!(matches!(refusal(|f| f.evidence.segments.swap(0, 1)), E::Segments(_)));
    assert_eq!(refusal(|f| f.evidence.segments[1].count = 1), E::SegmentsRoot);
    let manifest = |f: &mut JobCertificate| {
        f.evidence.statement.manifest = crate::ids::ManifestDigest::ZERO;
    };
    assert!(matches!(refusal(manifest), E::NotInBatch { .. }));
}

#[test]
fn files_read_back() {
    let (epoch, file) = certified(Verdict::Valid, &[1]);
    assert_eq!(JobCertificate::from_json(&file.to_json()), Ok(file.clone()));
    let table = epoch.table();
    assert_eq!(EpochTable::from_json(&table.to_json()).as_ref(), Ok(table));
    let stored = borsh::to_vec(&file).unwrap();
    assert_eq!(JobCertificate::try_from_slice(&stored).unwrap(), file);
}

#[test]
fn malformed_files_are_refused_with_the_field() {
    let (_, file) = certified(Verdict::Valid, &[]);
    let text = file.to_json();
    let read = |text: &str| JobCertificate::from_json(text).unwrap_err();
    assert!(matches!(read("{"), FileError::Json { .. }));
    let extra = text.replacen('{', "{\"extra\": 1,", 1);
    assert!(matches!(read(&extra), FileError::Json { .. }));
    let version = text.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(read(&version), FileError::Version { got: 2 });
    let verdict = text.replace("\"valid\"", "\"maybe\"");
    assert!(matches!(read(&verdict), FileError::Field { field: "leaves.verdict", .. }));
    for amount in ["", "0x10", "1_000", "-1", "1e18", &"9".repeat(80)] {
        let fee = text.replace("\"1000000000000000000\"", &format!("\"{amount}\""));
        assert!(matches!(read(&fee), FileError::Field { field: "job.fee_cap", .. }), "{amount}");
    }
    let long = " ".repeat(crate::limits::CERTIFICATE_FILE_BYTES_MAX + 1);
    assert!(matches!(read(&long), FileError::TooLong { .. }));
    let table = EpochTable::from_json("{\"version\":1,\"table\":\"0x00\"}");
    assert!(matches!(table, Err(FileError::Table(_))));
    let table = EpochTable::from_json("{\"version\":1,\"table\":\"0xzz\"}");
    assert!(matches!(table, Err(FileError::Field { field: "table", .. })));
    let table = EpochTable::from_json("{\"version\":7,\"table\":\"0x00\"}");
    assert_eq!(table, Err(FileError::Version { got: 7 }));
}

/// Every way to change one value: a nibble, a number, a word, an amount.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(number) => vec![Value::from(number.as_u64().unwrap() + 1)],
        Value::String(text) if text.starts_with("0x") => [2, text.len() / 2, text.len() - 1]
            .into_iter()
            .map(|position| {
                let mut bytes = text.clone().into_bytes();
                let digit = (bytes[position] as char).to_digit(16).unwrap() ^ 1;
                bytes[position] = char::from_digit(digit, 16).unwrap() as u8;
                Value::from(String::from_utf8(bytes).unwrap())
            })
            .collect(),
        Value::String(text) => {
            let other = match text.as_str() {
                "valid" => "invalid",
                "invalid" => "valid",
                "direct" => "contract",
                "assigned" => "race",
                amount => return vec![Value::from(format!("{amount}0"))],
            };
            vec![Value::from(other)]
        }
        other => panic!("a certificate file has no such value: {other}"),
    }
}

/// The JSON pointers of all values, and of all list elements.
fn pointers(
    value: &Value,
    at: &str,
    values: &mut Vec<String>,
    elements: &mut Vec<(String, usize)>,
) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, &format!("{at}/{name}"), values, elements);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                elements.push((at.to_owned(), index));
                pointers(item, &format!("{at}/{index}"), values, elements);
            }
        }
        _ => values.push(at.to_owned()),
    }
}

fn holds(epoch: &EpochTable, file: &Value) -> bool {
    let trust = TrustedEpoch::Digest(epoch.digest());
    JobCertificate::from_json(&file.to_string()).is_ok_and(|file| file.verify(epoch, trust).is_ok())
}

#[test]
fn every_flipped_field_is_refused() {
    for verdict in Verdict::ALL {
        let (epoch, file) = certified(verdict, &[3]);
        let file: Value = serde_json::from_str(&file.to_json()).unwrap();
        assert!(holds(epoch.table(), &file));
        let (mut values, mut elements) = (Vec::new(), Vec::new());
        pointers(&file, "", &mut values, &mut elements);
        assert!(values.len() > 60 && elements.len() == 3 + 1 + 3);
        for pointer in values {
            let original = file.pointer(&pointer).unwrap();
            for changed in changes(original) {
                let mut other = file.clone();
                *other.pointer_mut(&pointer).unwrap() = changed.clone();
                assert!(!holds(epoch.table(), &other), "{pointer} = {changed} still verifies");
            }
        }
        for (pointer, index) in elements {
            let mut other = file.clone();
            other.pointer_mut(&pointer).unwrap().as_array_mut().unwrap().remove(index);
            assert!(!holds(epoch.table(), &other), "{pointer} without {index} still verifies");
        }
    }
}

#[test]
fn every_flipped_nibble_of_the_table_is_refused() {
    let (epoch, file) = certified(Verdict::Valid, &[3]);
    let trust = TrustedEpoch::Digest(epoch.table().digest());
    let bytes = epoch.table().encode();
    for nibble in 0..2 * bytes.len() {
        let mut other = bytes.clone();
        other[nibble / 2] ^= if nibble % 2 == 0 { 0x10 } else { 0x01 };
        let accepted =
            EpochTable::parse(&other).is_ok_and(|table| file.verify(&table, trust).is_ok());
        assert!(!accepted, "nibble {nibble}");
        // Without an anchor, too: the certificate names the table.
        let accepted = EpochTable::parse(&other)
            .is_ok_and(|table| file.verify(&table, TrustedEpoch::NotAnchored).is_ok());
        assert!(!accepted, "nibble {nibble} without an anchor");
    }
}
