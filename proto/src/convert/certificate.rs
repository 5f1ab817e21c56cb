//! Certificates. Nothing is verified here beyond shape; `Certificate::verify` is core's.

use proofgrid_core::certificate::Certificate;
use proofgrid_core::ids::{BlockNumber, MemberIndex};
use proofgrid_core::limits::EPOCH_MEMBERS_MAX;

use super::{ConvertError, Problem, bounded, common, id, nested, point};
use crate::v1;

impl TryFrom<v1::Certificate> for Certificate {
    type Error = ConvertError;

    fn try_from(wire: v1::Certificate) -> Result<Self, ConvertError> {
        let leaves = common::leaves("leaves", wire.leaves)?;
        bounded("non_signers", wire.non_signers.len(), EPOCH_MEMBERS_MAX, "entries")?;
        if !wire.non_signers.is_sorted_by(|left, right| left < right) {
            let problem = Problem::Inconsistent("must be strictly ascending");
            return Err(ConvertError::new("non_signers", problem));
        }
        let member = |index: u32| {
            u16::try_from(index).map(MemberIndex::new).map_err(|_| {
                let (got, max) = (u64::from(index), EPOCH_MEMBERS_MAX as u64 - 1);
                ConvertError::new("non_signers", Problem::OutOfRange { got, min: 0, max })
            })
        };
        Ok(Self {
            target: nested("target", wire.target)?,
            epoch: common::epoch("epoch", wire.epoch)?,
            table: id("table_digest", &wire.table_digest)?,
            snapshot_block: BlockNumber::new(wire.snapshot_block),
            snapshot_hash: id("snapshot_hash", &wire.snapshot_hash)?,
            root: id("root", &wire.root)?,
            // `leaves` holds at most 256 entries.
            count: u32::try_from(leaves.len()).unwrap_or(u32::MAX),
            leaves,
            non_signers: wire.non_signers.into_iter().map(member).collect::<Result<_, _>>()?,
            signature: point("signature", &wire.signature)?,
            signer_key: point("signers_g2", &wire.signers_g2)?,
        })
    }
}

impl From<&Certificate> for v1::Certificate {
    fn from(core: &Certificate) -> Self {
        let index = |index: &MemberIndex| u32::from(index.get());
        Self {
            target: Some(core.target.into()),
            epoch: core.epoch.get(),
            table_digest: core.table.as_bytes().to_vec(),
            snapshot_block: core.snapshot_block.get(),
            snapshot_hash: core.snapshot_hash.as_bytes().to_vec(),
            root: core.root.as_bytes().to_vec(),
            leaves: core.leaves.iter().copied().map(Into::into).collect(),
            non_signers: core.non_signers.iter().map(index).collect(),
            signature: core.signature.to_bytes().to_vec(),
            signers_g2: core.signer_key.to_bytes().to_vec(),
        }
    }
}
