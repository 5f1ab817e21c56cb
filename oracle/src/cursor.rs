//! How far a chain has been read, kept over restarts.
//!
//! A position is a block's number **and** hash: when the chain no longer has that hash at that
//! number, what was read there was undone, and the cursor walks back over its remembered
//! checkpoints to the last block that both agree on. The file moves only after the dispatcher has
//! acknowledged every event at or below the new position, so a crash repeats events and never skips
//! one.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use proofgrid_core::ids::{BlockHash, BlockNumber, ChainId};
use thiserror::Error;

use crate::state_file::{StateFile, StateFileError, StateKind};

/// Checkpoints kept for walking back. A reorg deeper than all of them starts over at the first
/// block, which is slow and still correct, because intake is idempotent.
pub const CHECKPOINTS_MAX: usize = 128;

const KIND: StateKind = StateKind {
    magic: *b"PGCURS01",
    remedy: "remove the file to read the chain again from `start_block`: events are idempotent",
};

/// A block by number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct BlockRef {
    /// Height.
    pub number: BlockNumber,
    /// Hash at that height.
    pub hash: BlockHash,
}

/// Why a cursor was refused.
#[derive(Debug, Error)]
pub enum CursorError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] StateFileError),
    /// The file belongs to another chain.
    #[error(
        "{path} is the cursor of chain {got}, this oracle reads chain {expected}; use one data \
         directory per chain"
    )]
    OtherChain {
        /// The file.
        path: String,
        /// The configured chain.
        expected: ChainId,
        /// The chain in the file.
        got: ChainId,
    },
    /// A move that does not go forward.
    #[error(
        "the cursor is at block {at} and cannot advance to block {to}; this is a bug of the oracle"
    )]
    NotForward {
        /// Present position.
        at: BlockNumber,
        /// Asked position.
        to: BlockNumber,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Stored {
    chain: ChainId,
    /// Ascending by number; the last one is the position.
    checkpoints: Vec<BlockRef>,
}

/// The durable position in one chain.
#[derive(Debug)]
pub struct Cursor {
    file: StateFile,
    stored: Stored,
}

impl Cursor {
    /// Opens `<folder>/cursor`, or starts before the first block when there is none.
    ///
    /// # Errors
    /// A torn, damaged or foreign file, each by name.
    pub fn open(folder: &Path, chain: ChainId) -> Result<Self, CursorError> {
        let file = StateFile::new(folder.join("cursor"), KIND);
        let stored = file.load()?.unwrap_or(Stored { chain, checkpoints: Vec::new() });
        if stored.chain != chain {
            let path = file.path().display().to_string();
            return Err(CursorError::OtherChain { path, expected: chain, got: stored.chain });
        }
        Ok(Self { file, stored })
    }

    /// The last block whose events are all acknowledged; `None` before the first.
    #[must_use]
    pub fn position(&self) -> Option<BlockRef> {
        self.stored.checkpoints.last().copied()
    }

    /// The checkpoints below the position, newest first: where a reorg is looked for.
    pub fn earlier(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.stored.checkpoints.iter().rev().skip(1).copied()
    }

    /// The newest checkpoint that does not lie above a block.
    #[must_use]
    pub fn newest_up_to(&self, block: BlockNumber) -> Option<BlockRef> {
        self.stored.checkpoints.iter().rev().find(|point| point.number <= block).copied()
    }

    /// Moves forward to `to` and makes it durable.
    ///
    /// # Errors
    /// [`CursorError::NotForward`] when `to` is not above the position; the file's errors.
    pub async fn advance(&mut self, to: BlockRef) -> Result<(), CursorError> {
        if let Some(at) = self.position()
            && at.number >= to.number
        {
            return Err(CursorError::NotForward { at: at.number, to: to.number });
        }
        let mut next = self.stored.clone();
        next.checkpoints.push(to);
        let surplus = next.checkpoints.len().saturating_sub(CHECKPOINTS_MAX);
        next.checkpoints.drain(..surplus);
        self.replace(next).await
    }

    /// Forgets every checkpoint above `to` (`None`: all of them) and makes that durable.
    ///
    /// # Errors
    /// The file's errors.
    pub async fn walk_back(&mut self, to: Option<BlockRef>) -> Result<(), CursorError> {
        let mut next = self.stored.clone();
        next.checkpoints.retain(|point| to.is_some_and(|to| point.number <= to.number));
        self.replace(next).await
    }

    async fn replace(&mut self, next: Stored) -> Result<(), CursorError> {
        self.file.store_async(next.clone()).await?;
        self.stored = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId::new(31337);

    fn block(number: u64, fork: u8) -> BlockRef {
        let mut hash = [fork; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        BlockRef { number: BlockNumber::new(number), hash: BlockHash::from_bytes(hash) }
    }

    #[tokio::test]
    async fn the_position_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
        assert_eq!(cursor.position(), None);
        cursor.advance(block(4, 0)).await.unwrap();
        cursor.advance(block(9, 0)).await.unwrap();
        let again = Cursor::open(folder.path(), CHAIN).unwrap();
        assert_eq!(again.position(), Some(block(9, 0)));
        assert_eq!(again.earlier().collect::<Vec<_>>(), vec![block(4, 0)]);
    }

    #[tokio::test]
    async fn it_only_advances_upwards_and_walks_back_to_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
        for number in [2, 5, 8] {
            cursor.advance(block(number, 0)).await.unwrap();
        }
        let error = cursor.advance(block(8, 1)).await.unwrap_err();
        assert!(matches!(error, CursorError::NotForward { .. }), "{error}");
        cursor.walk_back(Some(block(5, 0))).await.unwrap();
        cursor.advance(block(8, 1)).await.unwrap();
        let again = Cursor::open(folder.path(), CHAIN).unwrap();
        assert_eq!(again.position(), Some(block(8, 1)));
        cursor.walk_back(None).await.unwrap();
        assert_eq!(Cursor::open(folder.path(), CHAIN).unwrap().position(), None);
    }

    #[tokio::test]
    async fn checkpoints_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
        for number in 1..=(CHECKPOINTS_MAX as u64 + 5) {
            cursor.advance(block(number, 0)).await.unwrap();
        }
        assert_eq!(cursor.earlier().count(), CHECKPOINTS_MAX - 1);
        assert_eq!(cursor.position(), Some(block(CHECKPOINTS_MAX as u64 + 5, 0)));
    }

    #[tokio::test]
    async fn torn_damaged_and_foreign_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::open(folder.path(), CHAIN).unwrap();
        cursor.advance(block(1, 0)).await.unwrap();
        let other = Cursor::open(folder.path(), ChainId::new(1)).unwrap_err();
        assert!(matches!(other, CursorError::OtherChain { .. }), "{other}");

        let path = folder.path().join("cursor");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let torn = Cursor::open(folder.path(), CHAIN).unwrap_err().to_string();
        assert!(torn.contains("cursor is torn") && torn.contains("remove the file"), "{torn}");

        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let damaged = Cursor::open(folder.path(), CHAIN).unwrap_err().to_string();
        assert!(damaged.contains("cursor is damaged: its checksum"), "{damaged}");
    }
}
