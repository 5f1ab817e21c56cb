//! One statement's tally in the largest epoch: every member's vote, then the quorum.

#![allow(clippy::expect_used, reason = "a bench that cannot run says why and stops")]
#![allow(missing_docs, reason = "criterion generates public items")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use proofgrid_benches::is_full;
use proofgrid_core::crypto::bls::SecretKey;
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlockHash, BlockNumber, ChainId, EpochNumber, NetworkId, StatementDigest,
};
use proofgrid_core::limits::EPOCH_MEMBERS_MAX;
use proofgrid_core::quorum::Tally;
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Stake;
use proofgrid_core::vote::{VerifiedVote, Vote};

const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([7; 20]) };
const STATEMENT: StatementDigest = StatementDigest::from_bytes([2; 32]);

fn members(count: usize) -> Vec<(Address, SecretKey)> {
    let member = |index: usize| {
        let index = u8::try_from(index + 1).expect("at most 200");
        let key = SecretKey::from_seed(&[index; 32]).expect("a seed of 32 bytes");
        (Address::from_bytes([index; 20]), key)
    };
    (0..count).map(member).collect()
}

fn votes(table: &EpochTable, members: &[(Address, SecretKey)]) -> Vec<VerifiedVote> {
    let keys = members.iter().map(|(operator, key)| (*operator, key.public_g2()));
    let keys = EpochKeys::new(table.clone(), keys).expect("matching keys");
    let vote = Vote {
        epoch: table.epoch(),
        table: table.digest(),
        statement: STATEMENT,
        verdict: Verdict::Valid,
    };
    let sign = |(operator, key): &(Address, SecretKey)| {
        vote.sign(NETWORK, *operator, key).verify(&keys).expect("a member's vote")
    };
    members.iter().map(sign).collect()
}

fn tally(criterion: &mut Criterion) {
    let count = if is_full() { EPOCH_MEMBERS_MAX } else { 3 };
    let members = members(count);
    let rows = members.iter().map(|(operator, key)| Member {
        operator: *operator,
        key: key.public_g1(),
        stake: Stake::new(1 << 70),
    });
    let table = EpochTable::build(
        NETWORK,
        EpochNumber::new(1),
        BlockNumber::new(1),
        BlockHash::from_bytes([4; 32]),
        rows.collect(),
    )
    .expect("a table");
    let votes = votes(&table, &members);
    criterion.bench_function(&format!("core::quorum::tally/members={count}"), |bencher| {
        bencher.iter_batched(
            || (Tally::new(&table, STATEMENT), votes.clone()),
            |(mut tally, votes)| {
                for vote in votes {
                    tally.record(vote).expect("each member once");
                }
                tally.quorum().expect("everybody voted")
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, tally);
criterion_main!(benches);
