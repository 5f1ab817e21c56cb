//! The closed list of type tags: what kind of statement a signature is.
//!
//! Two kinds never share a tag, so a signature made for one can never be shown as another. A new
//! kind is a new tag and an ADR; nothing outside this list is ever signed.

use super::hash::keccak256;
use crate::ids::{Address, LoginNonce, Role};

/// The kind of a signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    /// Proof of possession of a BLS key.
    Pop,
    /// Login of a peer at a dispatcher.
    Login,
    /// A requester's or administrator's request.
    Request,
    /// A prover's acceptance of a lease, which binds its bond.
    LeaseAccept,
    /// A verdict on one statement.
    Vote,
    /// A batch of statements that the signer voted on.
    Attest,
    /// Withdrawal of an announced ejection.
    EjectCancel,
    /// The commitments that a dispatcher closed the commit phase of a vote with.
    CommitSet,
}

impl Tag {
    /// Every tag.
    pub const ALL: [Self; 8] = [
        Self::Pop,
        Self::Login,
        Self::Request,
        Self::LeaseAccept,
        Self::Vote,
        Self::Attest,
        Self::EjectCancel,
        Self::CommitSet,
    ];

    /// The string whose Keccak-256 is the tag.
    #[must_use]
    pub const fn preimage(self) -> &'static str {
        match self {
            Self::Pop => "PROOFGRID_POP_V1",
            Self::Login => "PROOFGRID_LOGIN_V1",
            Self::Request => "PROOFGRID_REQUEST_V1",
            Self::LeaseAccept => "PROOFGRID_LEASE_ACCEPT_V1",
            Self::Vote => "PROOFGRID_VOTE_V1",
            Self::Attest => "PROOFGRID_ATTEST_V1",
            Self::EjectCancel => "PROOFGRID_EJECT_CANCEL_V1",
            Self::CommitSet => "PROOFGRID_COMMIT_SET_V1",
        }
    }

    /// The tag as it stands in a preimage.
    #[must_use]
    pub fn word(self) -> [u8; 32] {
        keccak256(self.preimage().as_bytes())
    }
}

/// What a peer signs to log in: with its BLS key as a verifier, with its wallet otherwise.
///
/// It binds the server's identity and both nonces, so a dispatcher can neither replay a login nor
/// pass one on to another dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the peer logs in as.
    pub role: Role,
    /// The dispatcher's address.
    pub server: Address,
    /// Drawn by the dispatcher for this login.
    pub server_nonce: LoginNonce,
    /// Drawn by the peer for this login.
    pub client_nonce: LoginNonce,
    /// Who logs in: the operator of a verifier, the wallet of a prover or oracle.
    pub operator: Address,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_tags_differ() {
        let words: BTreeSet<_> = Tag::ALL.into_iter().map(Tag::word).collect();
        assert_eq!(words.len(), Tag::ALL.len());
    }
}
