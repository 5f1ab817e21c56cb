//! Signatures of verifiers: one vote, and the aggregate of an epoch as `attest` checks it.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use proofgrid_benches::is_full;
use proofgrid_core::crypto::bls::{
    BlsMessage, PublicKeyG1, PublicKeyG2, SecretKey, Signature, verify_aggregate,
};
use proofgrid_core::ids::{
    Address, BatchRoot, ChainContract, ChainId, EpochNumber, NetworkId, StatementDigest,
    TableDigest,
};
use proofgrid_core::statement::Verdict;
use proofgrid_core::vote::{Attestation, Vote};

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32]).expect("a seed of 32 bytes")
}

fn single(criterion: &mut Criterion) {
    let network =
        NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([7; 20]) };
    let vote = Vote {
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([1; 32]),
        statement: StatementDigest::from_bytes([2; 32]),
        verdict: Verdict::Valid,
    };
    let message = BlsMessage::Vote { network, vote };
    let key = key(1);
    let public = key.public_g2();
    let signature = key.sign(&message);
    criterion.bench_function("core::bls::sign/message=vote", |bencher| {
        bencher.iter(|| key.sign(&message));
    });
    criterion.bench_function("core::bls::verify/message=vote", |bencher| {
        bencher.iter(|| public.verify(&message, &signature).expect("a good signature"));
    });
}

fn aggregate(criterion: &mut Criterion) {
    let message = BlsMessage::Attest(Attestation {
        target: ChainContract {
            chain: ChainId::new(31_337),
            contract: Address::from_bytes([8; 20]),
        },
        epoch: EpochNumber::new(1),
        table: TableDigest::from_bytes([1; 32]),
        root: BatchRoot::from_bytes([3; 32]),
        count: 4,
    });
    let mut group = criterion.benchmark_group("core::bls::verify_aggregate");
    let sizes: &[u8] = if is_full() { &[4, 64, 200] } else { &[2] };
    for num_signers in sizes {
        let keys: Vec<SecretKey> = (1..=*num_signers).map(key).collect();
        let g1: Vec<PublicKeyG1> = keys.iter().map(SecretKey::public_g1).collect();
        let g2: Vec<PublicKeyG2> = keys.iter().map(SecretKey::public_g2).collect();
        let signatures: Vec<Signature> = keys.iter().map(|key| key.sign(&message)).collect();
        let id = BenchmarkId::from_parameter(format!("signers={num_signers}"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let g1 = PublicKeyG1::aggregate(&g1).expect("keys do not cancel");
                let g2 = PublicKeyG2::aggregate(&g2).expect("keys do not cancel");
                let signature = Signature::aggregate(&signatures).expect("nor do signatures");
                verify_aggregate(&message, &g1, &g2, &signature).expect("a good aggregate");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, single, aggregate);
criterion_main!(benches);
