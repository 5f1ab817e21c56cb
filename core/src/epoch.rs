//! Epoch tables: who may vote in an epoch, with which key and which weight.
//!
//! The bytes are frozen on-chain as the code of a contract (`docs/protocol.md` section 3) and parsed
//! here so strictly that each table has one encoding. A table says nothing about whether it is the
//! right one: that is its digest's job, which the contract, `--trusted-epoch` or a chain view vouch
//! for. Keys in G2 are not in the table; [`EpochKeys`] adds them and checks each against its G1 key.

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;

use crate::crypto::bls::{BlsError, PublicKeyG1, PublicKeyG2, verify_all_keys_match};
use crate::crypto::hash::keccak256;
use crate::ids::{
    Address, BlockHash, BlockNumber, ChainId, EpochNumber, MemberIndex, NetworkId, TableDigest,
};
use crate::limits::EPOCH_MEMBERS_MAX;
use crate::units::Stake;

/// First bytes of a table.
pub const TABLE_MAGIC: [u8; 4] = *b"PGE1";
/// Bytes before the first member.
pub const TABLE_HEADER_LEN: usize = 162;
/// Bytes of one member.
pub const TABLE_MEMBER_LEN: usize = 100;

/// Why a table was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EpochError {
    /// Too short for a header, or not exactly as long as its number of members asks for.
    #[error("an epoch table of {members} members has {expected} bytes, got {got}")]
    Length {
        /// Members that the header names, 0 if there is no whole header.
        members: u16,
        /// Bytes that such a table has.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// Another format or version.
    #[error("an epoch table starts with \"PGE1\"; this is another file or version")]
    Magic,
    /// Epochs count from 1.
    #[error("an epoch table's number starts at 1, got 0")]
    Number,
    /// No members, or more than fit.
    #[error("an epoch table has 1 to {EPOCH_MEMBERS_MAX} members, got {got}")]
    Members {
        /// Members given.
        got: usize,
    },
    /// Not strictly ascending by operator.
    #[error("member {index} ({operator}) is not above the one before it; order the members")]
    Order {
        /// The member's position.
        index: usize,
        /// Its operator.
        operator: Address,
    },
    /// A member without stake.
    #[error("member {index} has no stake")]
    NoStake {
        /// The member's position.
        index: usize,
    },
    /// A bad key.
    #[error("member {index}: {source}")]
    Key {
        /// The member's position.
        index: usize,
        /// What is wrong with the key.
        source: BlsError,
    },
    /// The stated total is not the sum, or the sum does not fit 128 bits.
    #[error("the table states a total stake of {stated}, its members sum to another value")]
    Total {
        /// The total in the header.
        stated: Stake,
    },
    /// The stated aggregate key is bad or not the sum.
    #[error("the table's aggregate key is not the sum of its members' keys")]
    Aggregate,
}

/// One voter of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its operator address.
    pub operator: Address,
    /// Its key in G1.
    pub key: PublicKeyG1,
    /// Its weight, above zero.
    pub stake: Stake,
}

/// A frozen stake table. Every value of this type satisfies every rule of its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochTable {
    network: NetworkId,
    epoch: EpochNumber,
    snapshot_block: BlockNumber,
    snapshot_hash: BlockHash,
    total: Stake,
    aggregate: PublicKeyG1,
    members: Vec<Member>,
    digest: TableDigest,
}

/// Reads fixed-size fields off the front of a byte string.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

/// What the header says.
struct Header {
    network: NetworkId,
    epoch: EpochNumber,
    snapshot_block: BlockNumber,
    snapshot_hash: BlockHash,
    total: Stake,
    aggregate: [u8; 64],
    num_members: u16,
}

fn read_header(fields: &mut Fields<'_>) -> Option<([u8; 4], Header)> {
    let magic = fields.take::<4>()?;
    let home_chain = ChainId::new(u64::from_be_bytes(fields.take()?));
    let epoch_table = Address::from_bytes(fields.take()?);
    let header = Header {
        network: NetworkId { home_chain, epoch_table },
        epoch: EpochNumber::new(u64::from_be_bytes(fields.take()?)),
        snapshot_block: BlockNumber::new(u64::from_be_bytes(fields.take()?)),
        snapshot_hash: BlockHash::from_bytes(fields.take()?),
        total: Stake::new(u128::from_be_bytes(fields.take()?)),
        aggregate: fields.take()?,
        num_members: u16::from_be_bytes(fields.take()?),
    };
    Some((magic, header))
}

fn read_members(fields: &mut Fields<'_>) -> Result<Vec<Member>, EpochError> {
    let mut members = Vec::new();
    while let (Some(operator), Some(key), Some(stake)) =
        (fields.take(), fields.take::<64>(), fields.take())
    {
        let index = members.len();
        members.push(Member {
            operator: Address::from_bytes(operator),
            key: PublicKeyG1::from_bytes(&key)
                .map_err(|source| EpochError::Key { index, source })?,
            stake: Stake::new(u128::from_be_bytes(stake)),
        });
    }
    Ok(members)
}

/// The members' total stake and aggregate key, with order and weights checked.
fn check_members(members: &[Member]) -> Result<(Option<Stake>, PublicKeyG1), EpochError> {
    if members.is_empty() || members.len() > EPOCH_MEMBERS_MAX {
        return Err(EpochError::Members { got: members.len() });
    }
    let mut total = Some(Stake::ZERO);
    let mut last: Option<Address> = None;
    for (index, member) in members.iter().enumerate() {
        if last.is_some_and(|last| member.operator <= last) {
            return Err(EpochError::Order { index, operator: member.operator });
        }
        if member.stake == Stake::ZERO {
            return Err(EpochError::NoStake { index });
        }
        last = Some(member.operator);
        total = total.and_then(|sum| sum.checked_add(member.stake));
    }
    let aggregate = PublicKeyG1::aggregate(members.iter().map(|member| &member.key))
        .map_err(|_| EpochError::Aggregate)?;
    Ok((total, aggregate))
}

impl EpochTable {
    /// Parses table bytes (without the contract's leading `STOP` byte).
    ///
    /// # Errors
    /// When any rule of section 3 is broken: length, magic, number, order, stake, keys, total,
    /// aggregate key.
    pub fn parse(bytes: &[u8]) -> Result<Self, EpochError> {
        let mut fields = Fields(bytes);
        let Some((magic, header)) = read_header(&mut fields) else {
            let expected = TABLE_HEADER_LEN;
            return Err(EpochError::Length { members: 0, expected, got: bytes.len() });
        };
        if magic != TABLE_MAGIC {
            return Err(EpochError::Magic);
        }
        if header.epoch.get() == 0 {
            return Err(EpochError::Number);
        }
        let num_members = usize::from(header.num_members);
        if num_members == 0 || num_members > EPOCH_MEMBERS_MAX {
            return Err(EpochError::Members { got: num_members });
        }
        let expected = TABLE_HEADER_LEN + num_members * TABLE_MEMBER_LEN;
        if bytes.len() != expected {
            let members = header.num_members;
            return Err(EpochError::Length { members, expected, got: bytes.len() });
        }
        let members = read_members(&mut fields)?;
        let (total, aggregate) = check_members(&members)?;
        if total != Some(header.total) {
            return Err(EpochError::Total { stated: header.total });
        }
        if aggregate.to_bytes() != header.aggregate {
            return Err(EpochError::Aggregate);
        }
        Ok(Self {
            network: header.network,
            epoch: header.epoch,
            snapshot_block: header.snapshot_block,
            snapshot_hash: header.snapshot_hash,
            total: header.total,
            aggregate,
            members,
            digest: TableDigest::from_bytes(keccak256(bytes)),
        })
    }

    /// Builds a table from its members, in any order.
    ///
    /// # Errors
    /// When the epoch is 0, a member stands twice or without stake, there are none or too many, the
    /// total does not fit, or the keys cancel out.
    pub fn build(
        network: NetworkId,
        epoch: EpochNumber,
        snapshot_block: BlockNumber,
        snapshot_hash: BlockHash,
        mut members: Vec<Member>,
    ) -> Result<Self, EpochError> {
        if epoch.get() == 0 {
            return Err(EpochError::Number);
        }
        members.sort_by_key(|member| member.operator);
        let (total, aggregate) = check_members(&members)?;
        let total = total.ok_or(EpochError::Total { stated: Stake::new(u128::MAX) })?;
        let mut table = Self {
            network,
            epoch,
            snapshot_block,
            snapshot_hash,
            total,
            aggregate,
            members,
            digest: TableDigest::ZERO,
        };
        table.digest = TableDigest::from_bytes(keccak256(&table.encode()));
        Ok(table)
    }

    /// The table's bytes; [`Self::parse`] of them gives the table back.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let len = TABLE_HEADER_LEN + self.members.len() * TABLE_MEMBER_LEN;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&TABLE_MAGIC);
        bytes.extend_from_slice(&self.network.home_chain.get().to_be_bytes());
        bytes.extend_from_slice(self.network.epoch_table.as_bytes());
        bytes.extend_from_slice(&self.epoch.get().to_be_bytes());
        bytes.extend_from_slice(&self.snapshot_block.get().to_be_bytes());
        bytes.extend_from_slice(self.snapshot_hash.as_bytes());
        bytes.extend_from_slice(&self.total.get().to_be_bytes());
        bytes.extend_from_slice(&self.aggregate.to_bytes());
        // At most 200 members, so the number always fits.
        let num_members = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&num_members.to_be_bytes());
        for member in &self.members {
            bytes.extend_from_slice(member.operator.as_bytes());
            bytes.extend_from_slice(&member.key.to_bytes());
            bytes.extend_from_slice(&member.stake.get().to_be_bytes());
        }
        bytes
    }

    /// Keccak-256 of the bytes.
    #[must_use]
    pub const fn digest(&self) -> TableDigest {
        self.digest
    }

    /// The network whose stake this is.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The epoch's number, from 1.
    #[must_use]
    pub const fn epoch(&self) -> EpochNumber {
        self.epoch
    }

    /// The parent of the block in which the snapshot ran.
    #[must_use]
    pub const fn snapshot_block(&self) -> BlockNumber {
        self.snapshot_block
    }

    /// That block's hash.
    #[must_use]
    pub const fn snapshot_hash(&self) -> BlockHash {
        self.snapshot_hash
    }

    /// The stake of all members, above zero.
    #[must_use]
    pub const fn total(&self) -> Stake {
        self.total
    }

    /// The sum of all members' keys.
    #[must_use]
    pub const fn aggregate(&self) -> PublicKeyG1 {
        self.aggregate
    }

    /// The members, strictly ascending by operator.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at a position.
    #[must_use]
    pub fn member(&self, index: MemberIndex) -> Option<&Member> {
        self.members.get(index.as_usize())
    }

    /// The position of an operator, if it is a member. O(log members).
    #[must_use]
    pub fn index_of(&self, operator: Address) -> Option<MemberIndex> {
        let found = self.members.binary_search_by_key(&operator, |member| member.operator).ok()?;
        u16::try_from(found).ok().map(MemberIndex::new)
    }

    /// Every member's position.
    pub fn indices(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        let num_members = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        (0..num_members).map(MemberIndex::new)
    }

    /// The stake of a set of members; each counts once, positions outside the table count nothing.
    #[must_use]
    pub fn stake_of(&self, set: &MemberSet) -> Stake {
        set.iter()
            .filter_map(|index| self.member(index))
            .fold(Stake::ZERO, |sum, member| sum.saturating_add(member.stake))
    }

    /// The members outside a set, ascending.
    #[must_use]
    pub fn others(&self, set: &MemberSet) -> Vec<MemberIndex> {
        self.indices().filter(|index| !set.contains(*index)).collect()
    }
}

impl BorshSerialize for EpochTable {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.encode().serialize(writer)
    }
}

impl BorshDeserialize for EpochTable {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = Vec::<u8>::deserialize_reader(reader)?;
        Self::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// A set of members of one table, as a bit per position.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub struct MemberSet([u64; 4]);

impl MemberSet {
    /// Nobody.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds a member; positions that no table has are ignored. Says whether it is new.
    pub fn insert(&mut self, index: MemberIndex) -> bool {
        let Some(word) = self.0.get_mut(index.as_usize() / 64) else { return false };
        let bit = 1u64 << (index.get() % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Removes a member. Says whether it was there.
    pub fn remove(&mut self, index: MemberIndex) -> bool {
        let was_there = self.contains(index);
        if let Some(word) = self.0.get_mut(index.as_usize() / 64) {
            *word &= !(1u64 << (index.get() % 64));
        }
        was_there
    }

    /// Whether a member is in the set.
    #[must_use]
    pub fn contains(&self, index: MemberIndex) -> bool {
        let word = self.0.get(index.as_usize() / 64).copied().unwrap_or(0);
        word & (1u64 << (index.get() % 64)) != 0
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = *self;
        for (word, theirs) in both.0.iter_mut().zip(other.0) {
            *word &= theirs;
        }
        both
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut either = *self;
        for (word, theirs) in either.0.iter_mut().zip(other.0) {
            *word |= theirs;
        }
        either
    }

    /// The members that are not in the other set.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = *self;
        for (word, theirs) in rest.0.iter_mut().zip(other.0) {
            *word &= !theirs;
        }
        rest
    }

    /// The set as the contracts write it: bit `i` of a big-endian word is member `i`.
    #[must_use]
    pub fn to_mask(&self) -> [u8; 32] {
        let mut mask = [0; 32];
        for (bytes, word) in mask.rchunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        mask
    }

    /// Reads what [`Self::to_mask`] wrote. Bits that no table has are kept: they name nobody.
    #[must_use]
    pub fn from_mask(mask: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(mask.rchunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        Self(words)
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether nobody is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        (0..256u16).map(MemberIndex::new).filter(|index| self.contains(*index))
    }
}

impl FromIterator<MemberIndex> for MemberSet {
    fn from_iter<I: IntoIterator<Item = MemberIndex>>(indices: I) -> Self {
        let mut set = Self::EMPTY;
        for index in indices {
            set.insert(index);
        }
        set
    }
}

/// Why a table's G2 keys were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EpochKeysError {
    /// A key for somebody else.
    #[error("{operator} has a G2 key but is no member of the epoch")]
    NotAMember {
        /// Whose key it is.
        operator: Address,
    },
    /// A member without a key.
    #[error("member {operator} has no G2 key; read it from the OperatorRegistrar")]
    Missing {
        /// The member.
        operator: Address,
    },
    /// The key belongs to another secret than the one in the table.
    #[error("the G2 key of member {operator} does not belong to its key in the table")]
    Differs {
        /// The member.
        operator: Address,
    },
}

/// A table with its members' keys in G2, each checked against the table: what votes are verified
/// with.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct EpochKeys {
    table: EpochTable,
    /// By position, one per member.
    keys: Vec<PublicKeyG2>,
}

impl EpochKeys {
    /// Adds the members' keys to a table, in any order. About 0.3 ms per member.
    ///
    /// # Errors
    /// When a key belongs to no member, a member has none, or one does not match the table.
    pub fn new(
        table: EpochTable,
        keys: impl IntoIterator<Item = (Address, PublicKeyG2)>,
    ) -> Result<Self, EpochKeysError> {
        let mut by_index = vec![None; table.members.len()];
        for (operator, key) in keys {
            let index = table.index_of(operator);
            let slot = index.and_then(|index| by_index.get_mut(index.as_usize()));
            *slot.ok_or(EpochKeysError::NotAMember { operator })? = Some(key);
        }
        let mut pairs = Vec::with_capacity(table.members.len());
        for (member, key) in table.members.iter().zip(by_index) {
            let operator = member.operator;
            pairs.push((member.key, key.ok_or(EpochKeysError::Missing { operator })?));
        }
        if let Err(position) = verify_all_keys_match(&pairs) {
            let operator = table.members.get(position).map_or(Address::ZERO, |m| m.operator);
            return Err(EpochKeysError::Differs { operator });
        }
        let keys = pairs.into_iter().map(|(_, key)| key).collect();
        Ok(Self { table, keys })
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &EpochTable {
        &self.table
    }

    /// The G2 key of a member.
    #[must_use]
    pub fn key(&self, index: MemberIndex) -> Option<&PublicKeyG2> {
        self.keys.get(index.as_usize())
    }
}

impl BorshDeserialize for EpochKeys {
    /// Checks every key against the table again, as [`EpochKeys::new`] does.
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let table = EpochTable::deserialize_reader(reader)?;
        let keys = Vec::<PublicKeyG2>::deserialize_reader(reader)?;
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        if keys.len() != table.members.len() {
            return Err(invalid(format!("{} keys, {} members", keys.len(), table.members.len())));
        }
        let operators: Vec<Address> = table.members.iter().map(|m| m.operator).collect();
        Self::new(table, operators.into_iter().zip(keys)).map_err(|e| invalid(e.to_string()))
    }
}

#[cfg(test)]
mod tests;
