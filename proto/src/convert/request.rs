//! Signed requests: the fields, the typed message that was signed, the signature.
//!
//! Nothing here verifies a signature; that is the edge's work, with the network that it serves.

use proofgrid_core::crypto::eip712::Request;
use proofgrid_core::crypto::secp::WalletSignature;
use proofgrid_core::ids::{Address, AdminSubject, BlobDigest, JobId, Nonce};
use proofgrid_core::job::JobSpec;
use proofgrid_core::units::{ByteCount, UnixSeconds};

use super::{ConvertError, id, nested, present, signature};
use crate::v1;

/// A request with the signature that came with it; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// What is asked.
    pub request: Request,
    /// By whom, as far as the request itself says; else by whoever the signature recovers to.
    pub signer: Option<Address>,
    /// The signature.
    pub signature: WalletSignature,
}

impl TryFrom<v1::SubmitJobRequest> for SignedRequest {
    type Error = ConvertError;

    fn try_from(wire: v1::SubmitJobRequest) -> Result<Self, ConvertError> {
        let job: JobSpec = nested("job", wire.job)?;
        Ok(Self {
            signer: Some(job.requester),
            request: Request::SubmitJob {
                job: Box::new(job),
                expires: UnixSeconds::new(wire.expires_unix_s),
            },
            signature: signature("signature", &wire.signature)?,
        })
    }
}

impl TryFrom<v1::CancelJobRequest> for SignedRequest {
    type Error = ConvertError;

    fn try_from(wire: v1::CancelJobRequest) -> Result<Self, ConvertError> {
        Ok(Self {
            request: Request::CancelJob {
                job: id::<JobId>("job_id", &wire.job_id)?,
                expires: UnixSeconds::new(wire.expires_unix_s),
            },
            signer: None,
            signature: signature("signature", &wire.signature)?,
        })
    }
}

/// What a blob is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobAccess {
    /// To store bytes of this length.
    Upload(ByteCount),
    /// To read them.
    Download,
}

impl SignedRequest {
    /// A requester's authority over one blob.
    ///
    /// # Errors
    /// When requester or signature do not parse.
    pub fn over_blob(
        wire: &v1::BlobAuthority,
        digest: BlobDigest,
        access: BlobAccess,
    ) -> Result<Self, ConvertError> {
        let expires = UnixSeconds::new(wire.expires_unix_s);
        let request = match access {
            BlobAccess::Upload(length) => Request::UploadBlob { digest, length, expires },
            BlobAccess::Download => Request::DownloadBlob { digest, expires },
        };
        Ok(Self {
            request,
            signer: Some(id("authority.requester", &wire.requester)?),
            signature: signature("authority.signature", &wire.signature)?,
        })
    }

    /// An administrator's call.
    ///
    /// # Errors
    /// When the authority is missing or its signature does not parse.
    pub fn of_admin(
        wire: Option<v1::AdminAuthority>,
        call: AdminCall,
    ) -> Result<Self, ConvertError> {
        let wire = present("authority", wire)?;
        Ok(Self {
            request: Request::AdminCall {
                action: call.action().to_owned(),
                subject: call.subject(),
                nonce: Nonce::new(wire.nonce),
                expires: UnixSeconds::new(wire.expires_unix_s),
            },
            signer: None,
            signature: signature("authority.signature", &wire.signature)?,
        })
    }
}

/// Everything that an administrator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminCall {
    /// Connected peers.
    ListNodes,
    /// What waits.
    GetQueue,
    /// Keep a prover from new work.
    Drain(Address),
    /// Take it back.
    Undrain(Address),
    /// Queue a leased task again.
    Requeue(AdminSubject),
    /// Counters.
    GetStats,
}

impl AdminCall {
    /// The action that is signed.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::ListNodes => "list_nodes",
            Self::GetQueue => "get_queue",
            Self::Drain(_) => "drain_node",
            Self::Undrain(_) => "undrain_node",
            Self::Requeue(_) => "requeue_task",
            Self::GetStats => "get_stats",
        }
    }

    /// The subject that is signed; zero for calls without one.
    #[must_use]
    pub fn subject(self) -> AdminSubject {
        match self {
            Self::Drain(address) | Self::Undrain(address) => admin_subject_of(address),
            Self::Requeue(task) => task,
            Self::ListNodes | Self::GetQueue | Self::GetStats => AdminSubject::ZERO,
        }
    }
}

/// An address as the subject of an administrative call: padded with zeros on the left.
#[must_use]
pub fn admin_subject_of(address: Address) -> AdminSubject {
    let mut bytes = [0u8; AdminSubject::LEN];
    for (byte, value) in bytes.iter_mut().skip(12).zip(address.as_bytes()) {
        *byte = *value;
    }
    AdminSubject::from_bytes(bytes)
}
