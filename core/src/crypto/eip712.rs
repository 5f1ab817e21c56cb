//! Typed wallet messages: what provers, oracles, requesters, administrators and dispatchers sign.
//!
//! EIP-712 with one rule of our own: the domain's salt is the type tag, so the domain separator, the
//! first thing after `0x1901`, carries tag, chain and contract. A wallet shows the user every field.

use std::sync::LazyLock;

use super::hash::{AbiWords, HashedText, keccak256, keccak256_concat};
use super::tags::{Login, Tag};
use crate::ids::{AdminSubject, BlobDigest, ChainContract, JobId, NetworkId, Nonce, TaskId};
use crate::job::{JOB_TYPE, JobSpec};
use crate::sealed::CommitSet;
use crate::units::{ByteCount, UnixSeconds};
use alloy_primitives::U256;

/// Type string of the domain.
pub static DOMAIN_TYPE: HashedText = HashedText::new(
    "EIP712Domain(string name,string version,uint256 chainId,\
address verifyingContract,bytes32 salt)",
);
/// The domain's name.
pub static DOMAIN_NAME: HashedText = HashedText::new("Proofgrid");
/// The domain's version.
pub static DOMAIN_VERSION: HashedText = HashedText::new("1");

/// A nested struct's type follows the primary type's in the encoded type.
static SUBMIT_TYPE_HASH: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let submit = "SubmitJob(ProofgridJob job,uint64 expires)";
    keccak256_concat(&[submit.as_bytes(), JOB_TYPE.text().as_bytes()])
});
static LOGIN_TYPE: HashedText = HashedText::new(
    "Login(uint8 role,address server,bytes32 serverNonce,\
bytes32 clientNonce,address operator)",
);
static UPLOAD_TYPE: HashedText =
    HashedText::new("UploadBlob(bytes32 digest,uint64 length,uint64 expires)");
static DOWNLOAD_TYPE: HashedText = HashedText::new("DownloadBlob(bytes32 digest,uint64 expires)");
static CANCEL_TYPE: HashedText = HashedText::new("CancelJob(bytes32 job,uint64 expires)");
static ADMIN_TYPE: HashedText =
    HashedText::new("AdminCall(string action,bytes32 subject,uint64 nonce,uint64 expires)");
static LEASE_ACCEPT_TYPE: HashedText = HashedText::new(
    "LeaseAccept(bytes32 job,bytes32 task,bytes32 inputDigest,\
uint64 deadline,uint256 amount)",
);

/// A request under a requester's or administrator's wallet; good until `expires`, at most
/// [`REQUEST_EXPIRES_SECONDS_MAX`](crate::limits::REQUEST_EXPIRES_SECONDS_MAX) ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run this job.
    SubmitJob {
        /// The job.
        job: Box<JobSpec>,
        /// When the request ends.
        expires: UnixSeconds,
    },
    /// Take these bytes.
    UploadBlob {
        /// Their digest.
        digest: BlobDigest,
        /// Their exact number.
        length: ByteCount,
        /// When the request ends.
        expires: UnixSeconds,
    },
    /// Give me these bytes.
    DownloadBlob {
        /// Their digest.
        digest: BlobDigest,
        /// When the request ends.
        expires: UnixSeconds,
    },
    /// Cancel this job.
    CancelJob {
        /// The job.
        job: JobId,
        /// When the request ends.
        expires: UnixSeconds,
    },
    /// Do this to the network's running.
    AdminCall {
        /// What to do, e.g. `drain`.
        action: String,
        /// What to do it to.
        subject: AdminSubject,
        /// The administrator's own counter; each is good once.
        nonce: Nonce,
        /// When the request ends.
        expires: UnixSeconds,
    },
}

impl Request {
    /// When the request ends.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        match self {
            Self::SubmitJob { expires, .. }
            | Self::UploadBlob { expires, .. }
            | Self::DownloadBlob { expires, .. }
            | Self::CancelJob { expires, .. }
            | Self::AdminCall { expires, .. } => *expires,
        }
    }

    fn struct_hash(&self) -> [u8; 32] {
        match self {
            Self::SubmitJob { job, expires } => {
                AbiWords::new(&SUBMIT_TYPE_HASH).word(job.id().as_bytes()).uint(expires.get())
            }
            Self::UploadBlob { digest, length, expires } => AbiWords::typed(&UPLOAD_TYPE)
                .word(digest.as_bytes())
                .uint(length.get())
                .uint(expires.get()),
            Self::DownloadBlob { digest, expires } => {
                AbiWords::typed(&DOWNLOAD_TYPE).word(digest.as_bytes()).uint(expires.get())
            }
            Self::CancelJob { job, expires } => {
                AbiWords::typed(&CANCEL_TYPE).word(job.as_bytes()).uint(expires.get())
            }
            Self::AdminCall { action, subject, nonce, expires } => AbiWords::typed(&ADMIN_TYPE)
                .word(&keccak256(action.as_bytes()))
                .word(subject.as_bytes())
                .uint(nonce.get())
                .uint(expires.get()),
        }
        .digest()
    }
}

/// A prover's acceptance of a lease, which binds its bond up to `amount`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAcceptance {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// The input, which the prover has fetched.
    pub input: BlobDigest,
    /// Last second to deliver.
    pub deadline: UnixSeconds,
    /// Bond at stake, in wei of the target chain's coin.
    pub amount: U256,
}

/// Everything that a wallet signs, with the chain and contract that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalletMessage {
    /// A prover or oracle logs in.
    Login {
        /// The network.
        network: NetworkId,
        /// What the login says.
        login: Login,
    },
    /// A requester or administrator asks for something.
    Request {
        /// The network.
        network: NetworkId,
        /// What is asked.
        request: Request,
    },
    /// A prover accepts a lease.
    LeaseAccept {
        /// `TaskManager` on the home chain.
        task_manager: ChainContract,
        /// What it accepts.
        acceptance: LeaseAcceptance,
    },
    /// A dispatcher closes the commit phase of a vote.
    CommitSet {
        /// The network.
        network: NetworkId,
        /// The commitments that it closed with.
        set: Box<CommitSet>,
    },
}

impl WalletMessage {
    /// The kind of the message.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        match self {
            Self::Login { .. } => Tag::Login,
            Self::Request { .. } => Tag::Request,
            Self::LeaseAccept { .. } => Tag::LeaseAccept,
            Self::CommitSet { .. } => Tag::CommitSet,
        }
    }

    /// The chain and contract that the signature is bound to.
    #[must_use]
    pub const fn bound_to(&self) -> ChainContract {
        match self {
            Self::Login { network, .. }
            | Self::Request { network, .. }
            | Self::CommitSet { network, .. } => network.as_contract(),
            Self::LeaseAccept { task_manager, .. } => *task_manager,
        }
    }

    /// The EIP-712 domain separator: name, version, chain, contract and the tag as salt.
    #[must_use]
    pub fn domain_separator(&self) -> [u8; 32] {
        let bound_to = self.bound_to();
        AbiWords::typed(&DOMAIN_TYPE)
            .word(DOMAIN_NAME.digest())
            .word(DOMAIN_VERSION.digest())
            .uint(bound_to.chain.get())
            .address(&bound_to.contract)
            .word(&self.tag().word())
            .digest()
    }

    /// The EIP-712 `hashStruct` of the primary type.
    #[must_use]
    pub fn struct_hash(&self) -> [u8; 32] {
        match self {
            Self::Login { login, .. } => AbiWords::typed(&LOGIN_TYPE)
                .uint(u64::from(login.role.code()))
                .address(&login.server)
                .word(login.server_nonce.as_bytes())
                .word(login.client_nonce.as_bytes())
                .address(&login.operator)
                .digest(),
            Self::Request { request, .. } => request.struct_hash(),
            Self::LeaseAccept { acceptance, .. } => AbiWords::typed(&LEASE_ACCEPT_TYPE)
                .word(acceptance.job.as_bytes())
                .word(acceptance.task.as_bytes())
                .word(acceptance.input.as_bytes())
                .uint(acceptance.deadline.get())
                .u256(&acceptance.amount)
                .digest(),
            Self::CommitSet { set, .. } => *set.digest().as_bytes(),
        }
    }

    /// `0x1901 || domain separator || struct hash`.
    #[must_use]
    pub fn preimage(&self) -> [u8; 66] {
        let mut bytes = [0u8; 66];
        let parts: [&[u8]; 3] = [&[0x19, 0x01], &self.domain_separator(), &self.struct_hash()];
        for (byte, value) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *value;
        }
        bytes
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        keccak256_concat(&[&self.preimage()])
    }
}
