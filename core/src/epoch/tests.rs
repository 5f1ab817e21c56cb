use borsh::BorshDeserialize;
use proptest::prelude::*;

use super::*;
use crate::crypto::bls::SecretKey;
use crate::fixtures::{Epoch, NETWORK};

fn member(byte: u8, stake: u128) -> Member {
    Member {
        operator: Address::from_bytes([byte; 20]),
        key: SecretKey::from_seed(&[byte; 32]).unwrap().public_g1(),
        stake: Stake::new(stake),
    }
}

fn build(members: Vec<Member>) -> Result<EpochTable, EpochError> {
    let (block, hash) = (BlockNumber::new(99), BlockHash::from_bytes([7; 32]));
    EpochTable::build(NETWORK, EpochNumber::new(3), block, hash, members)
}

fn bytes() -> Vec<u8> {
    build(vec![member(2, 20), member(1, 10), member(3, 30)]).unwrap().encode()
}

/// The table's bytes with one field overwritten.
fn with(offset: usize, field: &[u8]) -> Vec<u8> {
    let mut bytes = bytes();
    bytes[offset..offset + field.len()].copy_from_slice(field);
    bytes
}

#[test]
fn a_table_reads_back_as_it_was_built() {
    let table = build(vec![member(2, 20), member(1, 10), member(3, 30)]).unwrap();
    assert_eq!(EpochTable::parse(&table.encode()), Ok(table.clone()));
    assert_eq!(table.encode().len(), 162 + 300);
    assert_eq!(table.total(), Stake::new(60));
    assert_eq!(table.digest().as_bytes(), &keccak256(&table.encode()));
    let index = table.index_of(Address::from_bytes([2; 20])).unwrap();
    assert_eq!(index, MemberIndex::new(1));
    assert_eq!(table.member(index), Some(&member(2, 20)));
    assert_eq!(table.index_of(Address::from_bytes([9; 20])), None);
    assert_eq!(table.member(MemberIndex::new(3)), None);
    let stored = borsh::to_vec(&table).unwrap();
    assert_eq!(EpochTable::try_from_slice(&stored).unwrap(), table);
}

#[test]
fn fields_are_at_their_offsets() {
    let bytes = bytes();
    assert_eq!(&bytes[..4], b"PGE1");
    assert_eq!(&bytes[4..12], &31337u64.to_be_bytes());
    assert_eq!(&bytes[12..32], NETWORK.epoch_table.as_bytes());
    assert_eq!(&bytes[32..40], &3u64.to_be_bytes());
    assert_eq!(&bytes[40..48], &99u64.to_be_bytes());
    assert_eq!(&bytes[48..80], &[7; 32]);
    assert_eq!(&bytes[80..96], &60u128.to_be_bytes());
    assert_eq!(&bytes[160..162], &3u16.to_be_bytes());
    assert_eq!(&bytes[162..182], &[1; 20]);
    assert_eq!(&bytes[182..246], &member(1, 10).key.to_bytes());
    assert_eq!(&bytes[246..262], &10u128.to_be_bytes());
}

#[test]
fn every_broken_rule_has_its_refusal() {
    let parse = |bytes: &[u8]| EpochTable::parse(bytes).unwrap_err();
    assert_eq!(parse(&[]), EpochError::Length { members: 0, expected: 162, got: 0 });
    let short = &bytes()[..461];
    assert_eq!(parse(short), EpochError::Length { members: 3, expected: 462, got: 461 });
    let long = [bytes(), vec![0]].concat();
    assert_eq!(parse(&long), EpochError::Length { members: 3, expected: 462, got: 463 });
    assert_eq!(parse(&with(3, b"2")), EpochError::Magic);
    assert_eq!(parse(&with(32, &[0; 8])), EpochError::Number);
    assert_eq!(parse(&with(160, &[0, 0])), EpochError::Members { got: 0 });
    assert_eq!(parse(&with(160, &[0, 201])), EpochError::Members { got: 201 });
    assert_eq!(
        parse(&with(160, &[0, 2])),
        EpochError::Length { members: 2, expected: 362, got: 462 }
    );
    let operator = Address::from_bytes([1; 20]);
    assert_eq!(parse(&with(262, &[1; 20])), EpochError::Order { index: 1, operator });
    let operator = Address::from_bytes([3; 20]);
    assert_eq!(parse(&with(262, &[4; 20])), EpochError::Order { index: 2, operator });
    assert_eq!(parse(&with(246, &[0; 16])), EpochError::NoStake { index: 0 });
    assert_eq!(
        parse(&with(246, &11u128.to_be_bytes())),
        EpochError::Total { stated: Stake::new(60) }
    );
    assert_eq!(
        parse(&with(80, &61u128.to_be_bytes())),
        EpochError::Total { stated: Stake::new(61) }
    );
    let source = BlsError::Identity { kind: "G1 key" };
    assert_eq!(parse(&with(182, &[0; 64])), EpochError::Key { index: 0, source });
    let source = BlsError::NotCanonical { kind: "G1 key" };
    assert_eq!(parse(&with(282, &[0xff; 64])), EpochError::Key { index: 1, source });
    let other = member(9, 1).key.to_bytes();
    assert_eq!(parse(&with(96, &other)), EpochError::Aggregate);
    assert_eq!(parse(&with(182, &other)), EpochError::Aggregate);
}

#[test]
fn a_total_beyond_128_bits_is_refused() {
    let refused = build(vec![member(1, u128::MAX), member(2, 1)]);
    assert_eq!(refused, Err(EpochError::Total { stated: Stake::new(u128::MAX) }));
    // In bytes: two halves of the range overflow to the stated zero.
    let mut bytes = build(vec![member(1, 1), member(2, 1)]).unwrap().encode();
    bytes[246..262].copy_from_slice(&(1u128 << 127).to_be_bytes());
    bytes[346..362].copy_from_slice(&(1u128 << 127).to_be_bytes());
    bytes[80..96].fill(0);
    assert_eq!(EpochTable::parse(&bytes), Err(EpochError::Total { stated: Stake::ZERO }));
}

#[test]
fn what_cannot_be_built_is_refused() {
    assert_eq!(build(Vec::new()), Err(EpochError::Members { got: 0 }));
    let operator = Address::from_bytes([1; 20]);
    let twice = build(vec![member(1, 1), member(1, 1)]);
    assert_eq!(twice, Err(EpochError::Order { index: 1, operator }));
    assert_eq!(build(vec![member(1, 0)]), Err(EpochError::NoStake { index: 0 }));
    let (block, hash) = (BlockNumber::new(1), BlockHash::ZERO);
    let zero = EpochTable::build(NETWORK, EpochNumber::new(0), block, hash, vec![member(1, 1)]);
    assert_eq!(zero, Err(EpochError::Number));
}

#[test]
fn the_largest_table_fits_a_contract() {
    let members: Vec<_> = (1..=200).map(|byte| member(byte, u128::from(byte))).collect();
    let table = build(members).unwrap();
    // EIP-170: 24 576 bytes of code, one of them the STOP in front.
    assert!(table.encode().len() < 24_576);
    assert_eq!(EpochTable::parse(&table.encode()), Ok(table));
}

#[test]
fn keys_are_checked_against_the_table() {
    let epoch = Epoch::new(1, &[10, 20, 30]);
    let table = epoch.table().clone();
    let key = |member: usize| (epoch.operator(member), epoch.secrets[member].public_g2());
    assert_eq!(EpochKeys::new(table.clone(), [key(2), key(0), key(1)]), Ok(epoch.keys.clone()));

    let operator = epoch.operator(2);
    let missing = EpochKeys::new(table.clone(), [key(0), key(1)]);
    assert_eq!(missing, Err(EpochKeysError::Missing { operator }));
    let swapped = [key(0), (epoch.operator(1), key(2).1), (epoch.operator(2), key(1).1)];
    let operator = epoch.operator(1);
    assert_eq!(EpochKeys::new(table.clone(), swapped), Err(EpochKeysError::Differs { operator }));
    let operator = Address::from_bytes([9; 20]);
    let stranger = [key(0), key(1), key(2), (operator, key(0).1)];
    assert_eq!(EpochKeys::new(table, stranger), Err(EpochKeysError::NotAMember { operator }));

    let stored = borsh::to_vec(&epoch.keys).unwrap();
    assert_eq!(EpochKeys::try_from_slice(&stored).unwrap(), epoch.keys);
    let mut swapped = epoch.keys.clone();
    swapped.keys.swap(0, 1);
    assert!(EpochKeys::try_from_slice(&borsh::to_vec(&swapped).unwrap()).is_err());
}

#[test]
fn sets_hold_positions_once() {
    let at = MemberIndex::new;
    let mut set: MemberSet = [0u16, 63, 64, 199].into_iter().map(at).collect();
    assert_eq!(set.len(), 4);
    assert!(!set.insert(at(63)));
    assert!(set.contains(at(199)) && !set.contains(at(198)) && !set.contains(at(256)));
    assert!(!set.insert(at(256)));
    assert_eq!(set.iter().collect::<Vec<_>>(), [at(0), at(63), at(64), at(199)]);
    assert!(set.remove(at(64)) && !set.remove(at(64)));
    let other = [63u16, 199, 5].into_iter().map(at).collect();
    assert_eq!(set.intersection(&other), [63u16, 199].into_iter().map(at).collect());
    assert!(MemberSet::EMPTY.is_empty() && !set.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each table has one encoding: any flipped bit is refused or gives another digest, and whatever
    /// parses encodes to the same bytes.
    #[test]
    fn a_flipped_bit_never_goes_unseen(bit in 0usize..462 * 8) {
        let original = EpochTable::parse(&bytes()).unwrap();
        let mut flipped = bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(table) = EpochTable::parse(&flipped) {
            prop_assert_ne!(table.digest(), original.digest());
            prop_assert_eq!(table.encode(), flipped);
        }
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(EpochTable::parse(&bytes).is_err());
        let mut with_magic = bytes;
        if let Some(start) = with_magic.get_mut(..4) {
            start.copy_from_slice(b"PGE1");
        }
        prop_assert!(EpochTable::parse(&with_magic).is_err());
    }
}

#[test]
fn a_set_is_a_big_endian_word_with_one_bit_per_member() {
    let set: MemberSet = [0u16, 8, 64, 199].map(MemberIndex::new).into_iter().collect();
    let mut mask = [0; 32];
    (mask[31], mask[30], mask[23], mask[7]) = (1, 1, 1, 0x80);
    assert_eq!(set.to_mask(), mask);
    assert_eq!(MemberSet::from_mask(&mask), set);
    let other: MemberSet = [8u16, 9].map(MemberIndex::new).into_iter().collect();
    assert_eq!(set.union(&other).len(), 5);
    assert_eq!(
        set.union(&other).difference(&set).iter().collect::<Vec<_>>(),
        [MemberIndex::new(9)]
    );
}
