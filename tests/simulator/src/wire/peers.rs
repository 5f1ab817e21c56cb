//! Peers whose sessions are real and whose world is not: a requester, and an oracle whose chain takes
//! everything at once.

use std::time::Duration;

use proofgrid_core::certificate::TrustedEpoch;
use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{BlobDigest, BlockHash, BlockNumber, CertificateId, Nonce, TxHash};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::network::{ChainEvent, Inclusion, SubmissionSubject, SubmissionUpdate};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_oracle::key::OracleKey;
use proofgrid_oracle::session::{DialSettings, Link, SessionSender, keep_dialled};
use proofgrid_proto::convert::{ChainNews, OracleMessage, OracleOrder, ReportedEvent};
use proofgrid_proto::v1;
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::job_service_client::JobServiceClient;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::program;
use super::rig::{
    BEGIN_MS, CHAIN, DISPATCHER, End, ORACLE_SECRET, Rig, dialer, endpoint, network, server,
    target, wallet,
};

/// How long a requester waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the oracle says again what was not acknowledged.
const AGAIN: Duration = Duration::from_secs(2);
/// The event that tells of the epoch.
const EPOCH_EVENT: u64 = 1;
/// Two events for each certificate follow: included, final.
const FIRST_POST_EVENT: u64 = 2;

/// A job to be submitted, and when.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Seconds from the start.
    pub after: Duration,
    /// Its nonce.
    pub nonce: u64,
    /// Its input.
    pub input: Vec<u8>,
}

impl Errand {
    /// The job.
    pub fn spec(&self, requester: &WalletKey) -> JobSpec {
        JobSpec {
            origin: Origin::Direct,
            home_chain: CHAIN,
            target: target(),
            requester: requester.address(),
            nonce: Nonce::new(self.nonce),
            program: program::id(),
            input: BlobDigest::from_bytes(keccak256(&self.input)),
            claim: program::claim(&self.input),
            mode: Mode::Assigned,
            deadline: UnixSeconds::new(BEGIN_MS / 1_000 + 3_000),
            fee_cap: Default::default(),
            limits: JobLimits {
                input_bytes: ByteCount::new(self.input.len() as u64),
                max_segments: 4,
                max_proof_bytes: ByteCount::new(1 << 20),
            },
            stream: 0,
            sequence: 0,
        }
    }
}

impl Rig {
    /// Runs a requester: submits each job and uploads its input, again and again until both are
    /// acknowledged.
    pub async fn requester(self, errands: Vec<Errand>) -> End {
        let key = wallet(1);
        let begin = tokio::time::Instant::now();
        for errand in errands {
            tokio::time::sleep_until(begin + errand.after).await;
            let spec = errand.spec(&key);
            while !matches!(timeout(PATIENCE, self.submit(&key, &spec)).await, Ok(true)) {
                sleep(Duration::from_millis(500)).await;
            }
            self.books().submitted(spec.id(), &errand.input);
            while !matches!(timeout(PATIENCE, self.upload(&key, &errand.input)).await, Ok(true)) {
                sleep(Duration::from_millis(500)).await;
            }
            self.books().uploaded(spec.id());
        }
        self.books().errands_done();
        Ok(())
    }

    fn expires(&self) -> UnixSeconds {
        UnixSeconds::new(self.now().as_seconds().get() + 60)
    }

    async fn submit(&self, key: &WalletKey, spec: &JobSpec) -> bool {
        let Ok(channel) = dialer().connect(&endpoint()).await else { return false };
        let expires = self.expires();
        let request = Request::SubmitJob { job: Box::new(spec.clone()), expires };
        let message = WalletMessage::Request { network: network(), request };
        let submit = v1::SubmitJobRequest {
            job: Some(spec.into()),
            expires_unix_s: expires.get(),
            signature: key.sign(&message).to_bytes().to_vec(),
        };
        self.said("submit", JobServiceClient::new(channel).submit_job(submit).await)
    }

    async fn upload(&self, key: &WalletKey, input: &[u8]) -> bool {
        use v1::upload_blob_request::Part;
        let Ok(channel) = dialer().connect(&endpoint()).await else { return false };
        let digest = BlobDigest::from_bytes(keccak256(input));
        let (length, expires) = (ByteCount::new(input.len() as u64), self.expires());
        let request = Request::UploadBlob { digest, length, expires };
        let message = WalletMessage::Request { network: network(), request };
        let authority = v1::BlobAuthority {
            requester: key.address().as_bytes().to_vec(),
            expires_unix_s: expires.get(),
            signature: key.sign(&message).to_bytes().to_vec(),
        };
        let header = v1::UploadHeader {
            digest: digest.as_bytes().to_vec(),
            length_bytes: length.get(),
            offset_bytes: 0,
            authority: Some(authority),
        };
        let parts = [Part::Header(header), Part::Chunk(input.to_vec())];
        let parts = parts.map(|part| v1::UploadBlobRequest { part: Some(part) });
        let uploaded = BlobServiceClient::new(channel).upload_blob(tokio_stream::iter(parts)).await;
        self.said("upload", uploaded)
    }

    /// Whether it worked. What an honest requester is refused for good breaks a rule.
    fn said<T>(&self, what: &str, answer: Result<T, tonic::Status>) -> bool {
        match answer {
            Ok(_) => true,
            Err(status) => {
                let for_good = [Code::InvalidArgument, Code::PermissionDenied, Code::NotFound];
                if for_good.contains(&status.code()) {
                    let text = format!("{what}: {status}");
                    self.books().broken("an honest requester is not refused", text);
                }
                false
            }
        }
    }

    /// Runs an oracle: the real session, and a chain in which what is posted is final after a block.
    pub async fn oracle(self) -> End {
        let settings = DialSettings {
            dialer: dialer(),
            url: format!("http://{DISPATCHER}:7000"),
            ca_file: None,
            server: Some(server()),
            network: network(),
            key: OracleKey::from_bytes(&ORACLE_SECRET)?,
            chain: CHAIN,
        };
        let mut links = keep_dialled(settings, CancellationToken::new());
        let mut session = None;
        let mut again = interval(AGAIN);
        loop {
            tokio::select! {
                biased;
                link = links.recv() => match link {
                    None => return Ok(()),
                    Some(Link::Up(sender)) => {
                        self.tell(&sender).await;
                        session = Some(sender);
                    }
                    Some(Link::Down) => session = None,
                    Some(Link::Order(order)) => self.ordered(*order),
                },
                _ = again.tick() => if let Some(sender) = &session {
                    self.tell(sender).await;
                },
            }
        }
    }

    fn ordered(&self, order: OracleOrder) {
        match order {
            OracleOrder::SubmitCertificate { id, certificate } => {
                let trust = TrustedEpoch::Digest(self.table().table().digest());
                let verified = certificate.verify(self.table().table(), trust);
                if let Err(error) = verified {
                    self.books().broken("a certificate verifies", format!("{id}: {error}"));
                }
                self.books().posted(id);
            }
            OracleOrder::Ack { event_id, refused } => {
                if let Some(refused) = refused {
                    let text = format!("event {event_id}: {}", refused.text);
                    self.books().broken("an honest oracle is not refused", text);
                }
                self.books().heard(event_id);
            }
            _ => {}
        }
    }

    /// Tells what is not acknowledged yet. A session that is gone is told again later.
    async fn tell(&self, sender: &SessionSender) {
        let unheard = self.books().unheard_posts();
        if !self.books().is_heard(EPOCH_EVENT) {
            let event = ChainEvent {
                contract: network().as_contract(),
                block: BlockNumber::new(9),
                block_hash: BlockHash::from_bytes([9; 32]),
                log_index: 0,
            };
            let news = ChainNews::Epoch { event, keys: Box::new(self.table().clone()) };
            say(sender, EPOCH_EVENT, news).await;
        }
        for (event_id, certificate, is_final) in unheard {
            let tx = TxHash::from_bytes(*certificate.as_bytes());
            let inclusion = Inclusion { tx, block: BlockNumber::new(10), gas_used: 1 };
            let update = match is_final {
                true => SubmissionUpdate::Final(inclusion),
                false => SubmissionUpdate::Included(inclusion),
            };
            let subject = SubmissionSubject::Certificate(certificate);
            say(sender, event_id, ChainNews::Submission { subject, update }).await;
        }
    }
}

async fn say(sender: &SessionSender, event_id: u64, news: ChainNews) {
    let event = ReportedEvent { event_id, news: news.into_event(event_id) };
    // The session is gone: said again in the next one.
    let _ = sender.send(OracleMessage::Event(event)).await;
}

/// The numbers of a certificate's two events.
pub const fn events_of(position: u64) -> [u64; 2] {
    [FIRST_POST_EVENT + 2 * position, FIRST_POST_EVENT + 2 * position + 1]
}

/// An event that is not acknowledged: its number, whose it is, and whether it tells of finality.
pub type Unheard = (u64, CertificateId, bool);
