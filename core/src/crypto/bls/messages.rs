//! The closed list of what a BLS key signs.

use super::{PublicKeyG1, PublicKeyG2};
use crate::crypto::hash::AbiWords;
use crate::crypto::tags::{Login, Tag};
use crate::ids::{Address, ChainContract, NetworkId, Nonce, OperatorSet};
use crate::vote::{Attestation, Vote};

/// A message that a BLS key may sign, with the chain and contract that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlsMessage {
    /// The signer holds the secret of this key, as this operator, in this set.
    Pop {
        /// `OperatorRegistrar` on the home chain.
        registry: ChainContract,
        /// Who registers.
        operator: Address,
        /// In which set.
        set: OperatorSet,
        /// The key in G1.
        g1: PublicKeyG1,
        /// The key in G2.
        g2: PublicKeyG2,
    },
    /// A verifier logs in.
    Login {
        /// The network.
        network: NetworkId,
        /// What the login says.
        login: Login,
    },
    /// A verdict on one statement.
    Vote {
        /// The network.
        network: NetworkId,
        /// The vote.
        vote: Vote,
    },
    /// A batch of statements that the signer voted on; the attestation names its own chain.
    Attest(Attestation),
    /// Withdrawal of an announced ejection.
    EjectCancel {
        /// `OperatorRegistrar` on the home chain.
        registry: ChainContract,
        /// Who stays.
        operator: Address,
        /// The ejection's number.
        nonce: Nonce,
    },
}

fn bound(tag: Tag, to: &ChainContract) -> AbiWords {
    AbiWords::new(&tag.word()).uint(to.chain.get()).address(&to.contract)
}

impl BlsMessage {
    /// The kind of the message.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        match self {
            Self::Pop { .. } => Tag::Pop,
            Self::Login { .. } => Tag::Login,
            Self::Vote { .. } => Tag::Vote,
            Self::Attest(_) => Tag::Attest,
            Self::EjectCancel { .. } => Tag::EjectCancel,
        }
    }

    /// `abi.encode(tag, chainId, contract, fields...)`.
    #[must_use]
    pub fn preimage(&self) -> AbiWords {
        let tag = self.tag();
        match self {
            Self::Pop { registry, operator, set, g1, g2 } => bound(tag, registry)
                .address(operator)
                .uint(u64::from(set.get()))
                .words(&g1.to_bytes())
                .words(&g2.to_bytes()),
            Self::Login { network, login } => bound(tag, &network.as_contract())
                .uint(u64::from(login.role.code()))
                .address(&login.server)
                .word(login.server_nonce.as_bytes())
                .word(login.client_nonce.as_bytes())
                .address(&login.operator),
            Self::Vote { network, vote } => bound(tag, &network.as_contract())
                .uint(vote.epoch.get())
                .word(vote.table.as_bytes())
                .word(vote.statement.as_bytes())
                .uint(u64::from(vote.verdict.code())),
            Self::Attest(attestation) => bound(tag, &attestation.target)
                .uint(attestation.epoch.get())
                .word(attestation.table.as_bytes())
                .word(attestation.root.as_bytes())
                .uint(u64::from(attestation.count)),
            Self::EjectCancel { registry, operator, nonce } => {
                bound(tag, registry).address(operator).uint(nonce.get())
            }
        }
    }

    /// What is mapped to the curve.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.preimage().digest()
    }
}
