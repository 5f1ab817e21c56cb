//! Epoch tables, tables that must be refused, and the quorum predicate.

use proofgrid_core::epoch::EpochTable;
use proofgrid_core::quorum::is_quorum;
use proofgrid_core::units::Stake;
use serde_json::{Value, json};

use crate::inputs::Epoch;
use crate::{hex, word};

fn epochs() -> Vec<Epoch> {
    let ether = 10u128.pow(18);
    vec![
        Epoch::new(1, &[ether]),
        Epoch::new(2, &[40 * ether, 30 * ether, 20 * ether, 10 * ether]),
        Epoch::new(3, &[1, u128::MAX - 3, 2]),
        Epoch::new(4, &(1..=16).map(|i| i * ether).collect::<Vec<_>>()),
    ]
}

fn table_json(table: &EpochTable) -> Value {
    json!({
        "aggregate": hex(table.aggregate().to_bytes()),
        "epoch": table.epoch().get(),
        "epochTable": hex(table.network().epoch_table.as_bytes()),
        "homeChain": table.network().home_chain.get(),
        "numMembers": table.members().len(),
        "snapshotBlock": table.snapshot_block().get(),
        "snapshotHash": hex(table.snapshot_hash().as_bytes()),
        "table": hex(table.encode()),
        "tableDigest": hex(table.digest().as_bytes()),
        "totalStake": word(table.total().get()),
    })
}

fn members_json(table: &EpochTable) -> Vec<Value> {
    table
        .members()
        .iter()
        .enumerate()
        .map(|(index, member)| {
            json!({
                "epoch": table.epoch().get(),
                "index": index,
                "key": hex(member.key.to_bytes()),
                "operator": hex(member.operator.as_bytes()),
                "stake": word(member.stake.get()),
            })
        })
        .collect()
}

/// A table with some bytes overwritten, which must be refused.
fn refused(problem: &str, offset: usize, bytes: &[u8]) -> Value {
    let mut table = epochs()[1].table().encode();
    table[offset..offset + bytes.len()].copy_from_slice(bytes);
    assert!(EpochTable::parse(&table).is_err(), "{problem}");
    json!({"problem": problem, "table": hex(table)})
}

fn refused_tables() -> Vec<Value> {
    let good = epochs()[1].table().encode();
    let first = good[162..182].to_vec();
    vec![
        refused("magic", 0, b"PGE2"),
        refused("epoch zero", 32, &[0; 8]),
        refused("total", 80, &[0; 16]),
        refused("aggregate key", 96, &good[182..246]),
        refused("too few members", 160, &[0, 3]),
        refused("too many members", 160, &[0, 5]),
        refused("no members", 160, &[0, 0]),
        refused("operator twice", 262, &first),
        refused("member without stake", 246, &[0; 16]),
        refused("identity key", 182, &[0; 64]),
        refused("key off the curve", 245, &[good[245] ^ 1]),
        refused("key not canonical", 182, &[0xff; 32]),
    ]
}

fn quorum_json() -> Vec<Value> {
    let third = u128::MAX / 3;
    [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
        (1, 2),
        (2, 3),
        (66, 99),
        (65, 99),
        (66, 100),
        (67, 100),
        (2 * third, u128::MAX),
        (2 * third - 1, u128::MAX),
        (u128::MAX, u128::MAX),
        (u128::MAX, 1),
    ]
    .into_iter()
    .map(|(signed, total)| {
        json!({
            "quorum": is_quorum(Stake::new(signed), Stake::new(total)),
            "signed": word(signed),
            "total": word(total),
        })
    })
    .collect()
}

pub fn build() -> Value {
    let epochs = epochs();
    json!({
        "members": epochs.iter().flat_map(|e| members_json(e.table())).collect::<Vec<_>>(),
        "quorum": quorum_json(),
        "refused": refused_tables(),
        "tables": epochs.iter().map(|e| table_json(e.table())).collect::<Vec<_>>(),
    })
}
