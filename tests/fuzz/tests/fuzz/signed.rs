//! Signed requests: whatever is changed, the wallet's owner asked for nothing else.

use alloy_primitives::U256;
use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::secp::{WalletKey, WalletSignature};
use proofgrid_core::ids::{
    Address, BlobDigest, ChainContract, ChainId, Claim, NetworkId, Nonce, ProgramId,
};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_proto::convert::{AdminCall, BlobAccess, ConvertError, SignedRequest};
use proofgrid_proto::v1;
use prost::Message;

use proofgrid_fuzz::{Outcome, Shape, Target};

const NETWORK: NetworkId =
    NetworkId { home_chain: ChainId::new(31_337), epoch_table: Address::from_bytes([0xe0; 20]) };
const EXPIRES: UnixSeconds = UnixSeconds::new(1_900_000_000);
const DIGEST: BlobDigest = BlobDigest::from_bytes([9; 32]);

fn key() -> WalletKey {
    WalletKey::from_bytes(&[1; 32]).expect("a key")
}

fn spec(nonce: u64) -> JobSpec {
    let contract = Address::from_bytes([0xe2; 20]);
    JobSpec {
        origin: Origin::Direct,
        home_chain: NETWORK.home_chain,
        target: ChainContract { chain: NETWORK.home_chain, contract },
        requester: key().address(),
        nonce: Nonce::new(nonce),
        program: ProgramId::from_bytes([6; 32]),
        input: DIGEST,
        claim: Claim::from_bytes([8; 32]),
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(1_900_000_100),
        fee_cap: U256::from(10),
        limits: JobLimits {
            input_bytes: ByteCount::new(11),
            max_segments: 12,
            max_proof_bytes: ByteCount::new(13),
        },
        stream: 1,
        sequence: 2,
    }
}

fn signature(request: &Request) -> Vec<u8> {
    let message = WalletMessage::Request { network: NETWORK, request: request.clone() };
    key().sign(&message).to_bytes().to_vec()
}

/// Reads requests of one kind and recovers their signer. The key signed `genuine` only, so a request
/// that recovers to it says the same as one of them, under the same signature.
fn requests<W: Message + Default>(
    name: &'static str,
    genuine: Vec<(Request, W)>,
    read: impl Fn(W) -> Result<SignedRequest, ConvertError>,
) {
    let owner = key().address();
    let seeds = genuine.iter().map(|(_, wire)| wire.encode_to_vec()).collect();
    let asked: Vec<&Request> = genuine.iter().map(|(request, _)| request).collect();
    Target::new(name, Shape::Proto, 6_000).run(seeds, |input| {
        let wire = match W::decode(input) {
            Ok(wire) => wire,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let signed = match read(wire) {
            Ok(signed) => signed,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let message = WalletMessage::Request { network: NETWORK, request: signed.request.clone() };
        match signed.signature.recover(&message) {
            Ok(signer) if signer == owner => {
                assert!(asked.contains(&&signed.request), "forged: {:?}", signed.request);
                let bytes = signed.signature.to_bytes().to_vec();
                assert_eq!(bytes, signature(&signed.request), "a second signature");
                Outcome::Accepted
            }
            Ok(_) => Outcome::Refused("somebody else".into()),
            Err(error) => Outcome::Refused(error.to_string()),
        }
    });
}

#[test]
fn submits() {
    let one = |nonce: u64| {
        let job = spec(nonce);
        let request = Request::SubmitJob { job: Box::new(job.clone()), expires: EXPIRES };
        let wire = v1::SubmitJobRequest {
            job: Some((&job).into()),
            expires_unix_s: EXPIRES.get(),
            signature: signature(&request),
        };
        (request, wire)
    };
    requests("submit-request", vec![one(1), one(2)], SignedRequest::try_from);
}

#[test]
fn cancels() {
    let one = |nonce: u64| {
        let job = spec(nonce).id();
        let request = Request::CancelJob { job, expires: EXPIRES };
        let wire = v1::CancelJobRequest {
            job_id: job.as_bytes().to_vec(),
            expires_unix_s: EXPIRES.get(),
            signature: signature(&request),
        };
        (request, wire)
    };
    requests("cancel-request", vec![one(1), one(2)], SignedRequest::try_from);
}

#[test]
fn blob_authorities() {
    let one = |request: Request| {
        let wire = v1::BlobAuthority {
            requester: key().address().as_bytes().to_vec(),
            expires_unix_s: EXPIRES.get(),
            signature: signature(&request),
        };
        (request, wire)
    };
    let length = ByteCount::new(7);
    let upload = one(Request::UploadBlob { digest: DIGEST, length, expires: EXPIRES });
    requests("upload-authority", vec![upload], |wire| {
        SignedRequest::over_blob(&wire, DIGEST, BlobAccess::Upload(length))
    });
    let download = one(Request::DownloadBlob { digest: DIGEST, expires: EXPIRES });
    requests("download-authority", vec![download], |wire| {
        SignedRequest::over_blob(&wire, DIGEST, BlobAccess::Download)
    });
}

#[test]
fn administrative_calls() {
    let call = AdminCall::GetStats;
    let one = |nonce: u64| {
        let request = Request::AdminCall {
            action: call.action().to_owned(),
            subject: call.subject(),
            nonce: Nonce::new(nonce),
            expires: EXPIRES,
        };
        let wire = v1::AdminAuthority {
            nonce,
            expires_unix_s: EXPIRES.get(),
            signature: signature(&request),
        };
        (request, wire)
    };
    requests("admin-authority", vec![one(1), one(2)], |wire| {
        SignedRequest::of_admin(Some(wire), call)
    });
}

#[test]
fn wallet_signatures() {
    let job = spec(1).id();
    let request = Request::CancelJob { job, expires: EXPIRES };
    let genuine = signature(&request);
    let message = WalletMessage::Request { network: NETWORK, request };
    // The same signature with the other root and the other `v`: high `s` is refused.
    let mut high = genuine.clone();
    let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
        .expect("digits");
    let s = U256::from_be_slice(&order) - U256::from_be_slice(&genuine[32..64]);
    high[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    high[64] ^= 7;
    let refused = WalletSignature::from_bytes(high.as_slice().try_into().expect("65 bytes"));
    assert!(refused.is_err(), "a second form of one signature is taken");
    Target::new("wallet-signature", Shape::Bytes, 8_000).run(
        vec![genuine.clone(), high],
        |input| {
            let Ok(bytes) = <&[u8; 65]>::try_from(input) else {
                return Outcome::Refused("length".into());
            };
            let recovered = WalletSignature::from_bytes(bytes)
                .and_then(|signature| Ok((signature.to_bytes(), signature.recover(&message)?)));
            if let Ok((again, signer)) = &recovered {
                assert_eq!(again.as_slice(), input, "accepted, but it is not canonical");
                assert!(*signer != key().address() || input == genuine, "a second signature");
            }
            Outcome::from(recovered)
        },
    );
}
