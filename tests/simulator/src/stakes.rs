//! The verifiers' keys and the stake tables of every run; made once per process, since keys and
//! pairings are slow and nothing about them depends on a seed.

use std::sync::LazyLock;

use proofgrid_core::crypto::bls::{SecretKey, Signature};
use proofgrid_core::epoch::{EpochKeys, EpochTable, Member};
use proofgrid_core::ids::{
    Address, BlockHash, BlockNumber, ChainContract, ChainId, EpochNumber, NetworkId,
    StatementDigest, TableDigest,
};
use proofgrid_core::sealed::{Salt, SealedVote, commitment_to};
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Stake;
use proofgrid_core::vote::{Attestation, SignedVote, VerifiedAttestation, VerifiedVote, Vote};

/// The one chain: home of the stake and target of every certificate.
pub const CHAIN: ChainId = ChainId::new(31_337);
/// Verifiers of a run.
pub const VERIFIERS: usize = 6;
/// Stake of each verifier in each epoch, from epoch 1; 0 is no member.
pub const STAKES: [[u128; VERIFIERS]; 3] =
    [[30, 25, 20, 15, 10, 0], [0, 25, 20, 20, 20, 15], [20, 20, 20, 15, 15, 10]];

/// The registry that certificates are for.
pub const fn target() -> ChainContract {
    ChainContract { chain: CHAIN, contract: address(0xee) }
}

/// The contract that holds escrows.
pub const fn task_manager() -> ChainContract {
    ChainContract { chain: CHAIN, contract: address(0xdd) }
}

/// An address of one byte.
pub const fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

/// The operator of a verifier.
pub fn operator(index: usize) -> Address {
    address(0x10 + u8::try_from(index).expect("few verifiers"))
}

/// The verifier of an operator.
pub fn verifier_of(operator: Address) -> Option<usize> {
    (0..VERIFIERS).find(|index| self::operator(*index) == operator)
}

/// Stake of a verifier in an epoch, by the simulator's own book.
pub fn stake(epoch: EpochNumber, verifier: usize) -> u128 {
    let row = usize::try_from(epoch.get()).ok().and_then(|number| number.checked_sub(1));
    row.and_then(|row| STAKES.get(row)).and_then(|row| row.get(verifier)).copied().unwrap_or(0)
}

/// Whether so much of an epoch's stake is two thirds of it; written apart from the core's rule.
pub fn is_two_thirds(epoch: EpochNumber, signed: u128) -> bool {
    let total: u128 = (0..VERIFIERS).map(|index| stake(epoch, index)).sum();
    total > 0 && signed > 0 && signed * 3 >= total * 2
}

static KEYS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let seed = |index: usize| [u8::try_from(index).expect("few verifiers") + 1; 48];
    (0..VERIFIERS).map(|index| SecretKey::from_seed(&seed(index)).expect("a good seed")).collect()
});

static EPOCHS: LazyLock<Vec<EpochKeys>> = LazyLock::new(|| (1..=3).map(build).collect());

/// A signature that is a point of the group. Votes are verified singly at the edge, which here
/// knows who sent what; only attestations are aggregated and verified by the core itself.
static VOTE_SIGNATURE: LazyLock<Signature> = LazyLock::new(|| {
    let attestation = Attestation {
        target: target(),
        epoch: EpochNumber::new(1),
        table: TableDigest::ZERO,
        root: proofgrid_core::ids::BatchRoot::ZERO,
        count: 1,
    };
    attestation.sign(operator(0), &KEYS[0]).signature
});

fn build(number: u64) -> EpochKeys {
    let epoch = EpochNumber::new(number);
    let members = (0..VERIFIERS).filter(|index| stake(epoch, *index) > 0);
    let table = EpochTable::build(
        NetworkId { home_chain: CHAIN, epoch_table: address(0xcc) },
        epoch,
        BlockNumber::new(number * 10),
        BlockHash::from_bytes([7; 32]),
        members
            .clone()
            .map(|index| Member {
                operator: operator(index),
                key: KEYS[index].public_g1(),
                stake: Stake::new(stake(epoch, index)),
            })
            .collect(),
    );
    let keys = members.map(|index| (operator(index), KEYS[index].public_g2()));
    EpochKeys::new(table.expect("a good table"), keys).expect("the members' keys")
}

/// The table of an epoch from 1 to 3.
pub fn epoch_keys(epoch: EpochNumber) -> &'static EpochKeys {
    let row = usize::try_from(epoch.get() - 1).expect("few epochs");
    &EPOCHS[row]
}

/// A vote as the edge hands it on once it has checked who sent it.
pub fn vote(
    verifier: usize,
    epoch: EpochNumber,
    statement: StatementDigest,
    verdict: Verdict,
) -> Option<VerifiedVote> {
    let table = epoch_keys(epoch).table();
    let vote = Vote { epoch, table: table.digest(), statement, verdict };
    let operator = operator(verifier);
    let signed = SignedVote { operator, vote, signature: *VOTE_SIGNATURE };
    Some(made(&(signed, table.index_of(operator)?, Stake::new(stake(epoch, verifier)))))
}

/// What a verifier hides a vote with: the same after every restart, as a vote log keeps it.
pub fn salt(verifier: usize, epoch: EpochNumber, statement: StatementDigest) -> Salt {
    let mut bytes = *statement.as_bytes();
    let (head, tail) = bytes.split_at_mut(8);
    head.copy_from_slice(&epoch.get().to_be_bytes());
    tail[0] ^= u8::try_from(verifier).expect("few verifiers") + 1;
    Salt::from_bytes(bytes)
}

/// The commitment to a vote.
pub fn commitment(vote: &VerifiedVote, salt: &Salt) -> SealedVote {
    let cast = *vote.vote();
    let network = epoch_keys(cast.epoch).table().network();
    SealedVote {
        operator: vote.operator(),
        epoch: cast.epoch,
        table: cast.table,
        statement: cast.statement,
        commitment: commitment_to(network, vote.signed(), salt),
    }
}

/// A signed attestation as the edge hands it on.
pub fn attestation(verifier: usize, named: Attestation) -> Option<VerifiedAttestation> {
    let table = epoch_keys(named.epoch).table();
    let operator = operator(verifier);
    let index = table.index_of(operator)?;
    let signed = named.sign(operator, &KEYS[verifier]);
    Some(made(&(signed, index, Stake::new(stake(named.epoch, verifier)))))
}

/// What verification would make of a signature, through the journal's own encoding.
pub fn made<T: borsh::BorshDeserialize>(parts: &impl borsh::BorshSerialize) -> T {
    let bytes = borsh::to_vec(parts).expect("a Vec takes every write");
    borsh::from_slice(&bytes).expect("the parts of a verified message")
}
