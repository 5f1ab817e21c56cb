//! A hostile verifier: it has a key and a seat, and no log that it holds to.

use std::time::Duration;

use proofgrid_core::crypto::bls::{BlsMessage, SecretKey};
use proofgrid_core::ids::{Address, Commitment, EpochNumber, Role, StatementDigest, TableDigest};
use proofgrid_core::network::InvalidDetail;
use proofgrid_core::sealed::{Salt, commitment_to};
use proofgrid_core::statement::Verdict;
use proofgrid_core::units::Millis;
use proofgrid_core::vote::{Attestation, SignedVote, Vote};
use proofgrid_proto::convert::{Hello, LoginProof, VerifierMessage, VerifierOrder};
use proofgrid_proto::v1;
use proofgrid_proto::v1::verifier_service_client::VerifierServiceClient;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::hostile_prover::NONCE;
use super::rig::{End, Rig, dialer, endpoint, network, operator, verifier_key};
use super::setup::VerifierKind;

/// How long it waits before it dials again.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it says that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// What it hides its votes with.
const SALT: Salt = Salt::from_bytes([0x5a; 32]);

/// What a vote is about.
type Named = (EpochNumber, TableDigest, StatementDigest);
type Outbound = mpsc::Sender<v1::VerifierServiceSessionRequest>;
type Inbound = Streaming<v1::VerifierServiceSessionResponse>;

/// The verifier.
struct Liar {
    kind: VerifierKind,
    key: SecretKey,
    operator: Address,
}

impl Rig {
    /// Runs a hostile verifier.
    pub async fn hostile_verifier(self, index: usize, kind: VerifierKind) -> End {
        let liar = Liar { kind, key: verifier_key(index), operator: operator(index) };
        loop {
            // Whatever ended it, it comes back.
            let _ = liar.session().await;
            sleep(PAUSE).await;
        }
    }
}

impl Liar {
    async fn session(&self) -> Option<()> {
        let (outbound, mut inbound) = self.login().await?;
        let register = VerifierMessage::Register { manifests: Vec::new(), version: "1".into() };
        say(&outbound, register).await?;
        let (mut beats, mut sequence) = (interval(BEAT), 0);
        loop {
            tokio::select! {
                biased;
                order = next(&mut inbound) => self.ordered(&outbound, order?).await?,
                _ = beats.tick() => {
                    sequence += 1;
                    say(&outbound, VerifierMessage::Heartbeat { sequence }).await?;
                }
            }
        }
    }

    async fn login(&self) -> Option<(Outbound, Inbound)> {
        let channel = dialer().connect(&endpoint()).await.ok()?;
        let mut client = VerifierServiceClient::new(channel);
        let (outbound, receiver) = mpsc::channel(64);
        let (role, operator) = (Role::Verifier, self.operator);
        let hello = Hello { role, operator, client_nonce: NONCE, version: "1".into() };
        say(&outbound, VerifierMessage::Hello(hello)).await?;
        let mut inbound = client.session(ReceiverStream::new(receiver)).await.ok()?.into_inner();
        let VerifierOrder::Challenge(challenge) = next(&mut inbound).await? else { return None };
        let login = challenge.login(role, operator, NONCE);
        let signature = self.key.sign(&BlsMessage::Login { network: network(), login });
        say(&outbound, VerifierMessage::Login(LoginProof::Bls(signature))).await?;
        let VerifierOrder::Welcome(_) = next(&mut inbound).await? else { return None };
        Some((outbound, inbound))
    }

    async fn ordered(&self, outbound: &Outbound, order: VerifierOrder) -> Option<()> {
        match order {
            VerifierOrder::Statement(offer) => {
                let named = (offer.epoch, offer.table, offer.digest);
                for verdict in self.verdicts() {
                    say(outbound, self.commit(named, *verdict)).await?;
                    // Nobody asked for it yet: it is refused, and tells nobody anything.
                    if self.kind == VerifierKind::Both {
                        say(outbound, self.open(named, *verdict)).await?;
                    }
                }
            }
            VerifierOrder::Reveal { set, .. } => {
                let named = (set.epoch(), set.table(), set.statement());
                for verdict in self.verdicts() {
                    say(outbound, self.open(named, *verdict)).await?;
                }
            }
            VerifierOrder::Attest { target, epoch, table, batch }
                if self.kind != VerifierKind::Silent =>
            {
                let (root, count) = (batch.root(), batch.count());
                let attestation = Attestation { target, epoch, table, root, count };
                let signature = attestation.sign(self.operator, &self.key).signature;
                say(outbound, VerifierMessage::Attest { attestation, signature }).await?;
            }
            _ => {}
        }
        Some(())
    }

    const fn verdicts(&self) -> &[Verdict] {
        match self.kind {
            VerifierKind::AlwaysValid
            | VerifierKind::Forger
            | VerifierKind::Copycat
            | VerifierKind::Forgetful => &[Verdict::Valid],
            VerifierKind::AlwaysInvalid => &[Verdict::Invalid],
            VerifierKind::Both => &[Verdict::Valid, Verdict::Invalid],
            VerifierKind::Silent => &[],
        }
    }

    fn signed(&self, (epoch, table, statement): Named, verdict: Verdict) -> SignedVote {
        let vote = Vote { epoch, table, statement, verdict };
        let signed = match self.kind {
            VerifierKind::Forger => Vote { verdict: Verdict::Invalid, ..vote },
            _ => vote,
        };
        let signature = signed.sign(network(), self.operator, &self.key).signature;
        SignedVote { operator: self.operator, vote, signature }
    }

    fn commit(&self, named: Named, verdict: Verdict) -> VerifierMessage {
        let (epoch, table, statement) = named;
        let commitment = match self.kind {
            // Whatever another one committed to, as far as anybody can see it.
            VerifierKind::Copycat => Commitment::from_bytes([0xcc; 32]),
            _ => commitment_to(network(), &self.signed(named, verdict), &SALT),
        };
        VerifierMessage::Commit { epoch, table, statement, commitment }
    }

    fn open(&self, named: Named, verdict: Verdict) -> VerifierMessage {
        let SignedVote { vote, signature, .. } = self.signed(named, verdict);
        let is_invalid = verdict == Verdict::Invalid;
        let detail = is_invalid.then(|| InvalidDetail { segment: 0, reason: "bad".into() });
        let salt = match self.kind {
            VerifierKind::Forgetful => Salt::from_bytes([0xff; 32]),
            _ => SALT,
        };
        let judged_in = Millis::new(1);
        VerifierMessage::Reveal { vote, signature, detail, judged_in, salt }
    }
}

async fn say(outbound: &Outbound, message: VerifierMessage) -> Option<()> {
    outbound.send(message.into()).await.ok()
}

async fn next(inbound: &mut Inbound) -> Option<VerifierOrder> {
    VerifierOrder::try_from(inbound.message().await.ok()??).ok()
}
