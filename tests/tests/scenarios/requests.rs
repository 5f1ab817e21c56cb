//! Signed requests that somebody captured, changed or made for another place: each is refused with its
//! reason, and a replay changes nothing.

use std::process::Output;

use anyhow::{Context, ensure};
use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::crypto::keccak256;
use proofgrid_core::crypto::secp::WalletKey;
use proofgrid_core::ids::{BlobDigest, ChainId, NetworkId, Nonce};
use proofgrid_core::job::{JobLimits, JobSpec, Mode, Origin};
use proofgrid_core::units::{ByteCount, UnixSeconds};
use proofgrid_node::client::{Client, unix_seconds};
use proofgrid_proto::v1::blob_service_client::BlobServiceClient;
use proofgrid_proto::v1::{RefusalReason, upload_blob_request::Part};
use proofgrid_proto::{REASON_METADATA, v1};
use proofgrid_tests::{NewJob, Scenario, messages};
use serde_json::Value;
use tonic::{Response, Status};

use crate::common::caught_proving;

/// Exit code of a command that the network refuses.
const REFUSED: i32 = 3;
/// Exit code of a command about a job that ended unsettled.
const JOB_FAILED: i32 = 7;

/// What is changed, and how.
type Change = (&'static str, fn(&mut v1::JobSpec));

/// What a requester has in hand.
struct Hand {
    client: Client,
    wallet: WalletKey,
    spec: JobSpec,
    input: Vec<u8>,
}

fn hand(scenario: &Scenario) -> anyhow::Result<Hand> {
    let network = scenario.devnet.network_args();
    let client = scenario
        .block_on(async { Client::connect(&network).await })
        .map_err(|error| error.error)?;
    let wallet = scenario.requester()?;
    let new = NewJob::fibonacci(scenario.nonce());
    let registry = proofgrid_programs::registry();
    let program = registry.by_name(&new.program).context("the program")?;
    let spec = JobSpec {
        origin: Origin::Direct,
        home_chain: client.network.home_chain,
        target: client.target(None)?,
        requester: wallet.address(),
        nonce: Nonce::new(new.nonce),
        program: program.id(),
        input: BlobDigest::from_bytes(keccak256(&new.input)),
        claim: program.claim(&new.input)?,
        mode: Mode::Assigned,
        deadline: UnixSeconds::new(unix_seconds() + new.deadline_s),
        fee_cap: Default::default(),
        limits: JobLimits {
            input_bytes: ByteCount::new(new.input.len() as u64),
            max_segments: 1,
            max_proof_bytes: ByteCount::new(1 << 20),
        },
        stream: 0,
        sequence: 0,
    };
    Ok(Hand { client, wallet, spec, input: new.input })
}

impl Hand {
    /// A submit, signed for a network and until a second.
    fn submit_for(&self, network: NetworkId, expires: u64) -> v1::SubmitJobRequest {
        let expires = UnixSeconds::new(expires);
        let request = Request::SubmitJob { job: Box::new(self.spec.clone()), expires };
        let message = WalletMessage::Request { network, request };
        v1::SubmitJobRequest {
            job: Some((&self.spec).into()),
            expires_unix_s: expires.get(),
            signature: self.wallet.sign(&message).to_bytes().to_vec(),
        }
    }

    fn submit(&self) -> v1::SubmitJobRequest {
        self.submit_for(self.client.network, unix_seconds() + 600)
    }

    fn send(
        &self,
        scenario: &Scenario,
        request: v1::SubmitJobRequest,
    ) -> Result<v1::SubmitJobResponse, Status> {
        scenario.block_on(self.client.jobs().submit_job(request)).map(Response::into_inner)
    }
}

fn refused<T>(what: &str, answer: Result<T, Status>, reason: RefusalReason) -> anyhow::Result<()> {
    let status = answer.err().with_context(|| format!("{what} was taken"))?;
    let said = status.metadata().get(REASON_METADATA).and_then(|value| value.to_str().ok());
    ensure!(said == Some(reason.as_str_name()), "{what}: {status}");
    ensure!(!status.message().is_empty(), "{what}: the person is told why");
    Ok(())
}

/// Changed on the way, or made for another time or place.
pub fn tampered(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hand = hand(scenario)?;
    let changes: [Change; 4] = [
        ("another deadline", |job| job.deadline_unix_s += 1),
        ("another nonce", |job| job.nonce += 1),
        ("another claim", |job| job.claim = vec![7; 32]),
        ("more segments", |job| {
            job.limits = job.limits.map(|limits| v1::JobLimits { max_segments: 2, ..limits });
        }),
    ];
    for (what, change) in changes {
        let mut request = hand.submit();
        change(request.job.as_mut().context("a job")?);
        refused(what, hand.send(scenario, request), RefusalReason::BadSignature)?;
    }
    let mut longer = hand.submit();
    longer.expires_unix_s += 60;
    refused("a longer life", hand.send(scenario, longer), RefusalReason::BadSignature)?;

    let (own, now) = (hand.client.network, unix_seconds());
    let other = NetworkId { home_chain: ChainId::new(1), ..own };
    let elsewhere = hand.submit_for(other, now + 600);
    refused("another chain's", hand.send(scenario, elsewhere), RefusalReason::BadSignature)?;
    let expired = hand.submit_for(own, now - 1);
    refused("an old one", hand.send(scenario, expired), RefusalReason::Expired)?;
    let eternal = hand.submit_for(own, now + 7_200);
    refused("an eternal one", hand.send(scenario, eternal), RefusalReason::ExpiresTooFar)?;
    hand.spec.home_chain = ChainId::new(1);
    let strange = hand.submit_for(own, now + 600);
    refused("a job of another chain", hand.send(scenario, strange), RefusalReason::WrongNetwork)
}

/// Sent again as it was, also after the dispatcher was killed: the same job, made once. Its nonce is
/// used up for any other.
pub fn replayed(scenario: &mut Scenario) -> anyhow::Result<()> {
    let mut hand = hand(scenario)?;
    let request = hand.submit();
    let first = hand.send(scenario, request.clone())?;
    scenario
        .block_on(hand.client.upload(&hand.wallet, &hand.input))
        .map_err(|error| error.error)?;
    let job = hand.spec.id();
    let again = hand.send(scenario, request.clone())?;
    ensure!(first.created && !again.created && first.job_id == again.job_id, "{again:?}");
    scenario.wait_for_state(job, "settled")?;
    scenario.kill("dispatcher")?;
    scenario.restart("dispatcher")?;
    scenario.wait_for_dispatcher()?;
    let again = hand.send(scenario, request)?;
    ensure!(!again.created && again.job_id == job.as_bytes(), "{again:?}");
    scenario.wait_for_state(job, "settled")?;

    hand.spec.deadline = UnixSeconds::new(hand.spec.deadline.get() + 1);
    let other = hand.submit();
    refused("a used nonce", hand.send(scenario, other), RefusalReason::NonceUsed)
}

/// A signature for one thing is none for another.
pub fn reused(scenario: &mut Scenario) -> anyhow::Result<()> {
    let (job, prover) = caught_proving(scenario)?;
    let hand = hand(scenario)?;
    let submit = hand.submit();
    let stolen = v1::CancelJobRequest {
        job_id: job.as_bytes().to_vec(),
        expires_unix_s: submit.expires_unix_s,
        signature: submit.signature,
    };
    let answer = scenario.block_on(hand.client.jobs().cancel_job(stolen));
    ensure!(answer.is_err(), "a submit's signature withdraws nothing");
    let expires = UnixSeconds::new(unix_seconds() + 600);
    let other = hand.spec.id();
    let stolen = v1::CancelJobRequest {
        job_id: job.as_bytes().to_vec(),
        expires_unix_s: expires.get(),
        signature: hand.client.sign(&hand.wallet, Request::CancelJob { job: other, expires }),
    };
    let answer = scenario.block_on(hand.client.jobs().cancel_job(stolen));
    ensure!(answer.is_err(), "another job's withdrawal withdraws nothing");
    scenario.resume(&prover)?;
    scenario.wait_for_state(job, "settled")?;
    Ok(())
}

/// An input that is not what its signature or its digest says, and then the right one.
pub fn blobs(scenario: &mut Scenario) -> anyhow::Result<()> {
    let hand = hand(scenario)?;
    let submitted = hand.send(scenario, hand.submit())?;
    ensure!(submitted.input_needed, "{submitted:?}");
    let (digest, length) = (hand.spec.input, ByteCount::new(hand.input.len() as u64));
    let expires = UnixSeconds::new(unix_seconds() + 600);
    let request = Request::UploadBlob { digest, length, expires };
    let authority = v1::BlobAuthority {
        requester: hand.wallet.address().as_bytes().to_vec(),
        expires_unix_s: expires.get(),
        signature: hand.client.sign(&hand.wallet, request),
    };
    let url = scenario.devnet.network().dispatcher_url.clone();
    let mut blobs = scenario.block_on(BlobServiceClient::connect(url))?;
    let mut upload = |length_bytes: u64, bytes: &[u8], authority: Option<v1::BlobAuthority>| {
        let digest = digest.as_bytes().to_vec();
        let header = v1::UploadHeader { digest, length_bytes, offset_bytes: 0, authority };
        let parts = [Part::Header(header), Part::Chunk(bytes.to_vec())]
            .map(|part| v1::UploadBlobRequest { part: Some(part) });
        scenario.block_on(blobs.upload_blob(tokio_stream::iter(parts)))
    };
    let (own, input) = (length.get(), hand.input.as_slice());
    let mut other = hand.input.clone();
    other.reverse();
    let wrong = upload(own, &other, Some(authority.clone()));
    refused("other bytes", wrong, RefusalReason::DigestMismatch)?;
    let longer = upload(own + 1, input, Some(authority.clone()));
    refused("another length", longer, RefusalReason::BadSignature)?;
    ensure!(upload(own, &[input, input].concat(), Some(authority.clone())).is_err(), "too much");
    ensure!(upload(own, input, None).is_err(), "nobody's bytes");
    let mut huge = authority.clone();
    let request = Request::UploadBlob { digest, length: ByteCount::new(1 << 40), expires };
    huge.signature = hand.client.sign(&hand.wallet, request);
    refused("a terabyte", upload(1 << 40, input, Some(huge)), RefusalReason::Limit)?;
    let view = scenario.wait_for_state(hand.spec.id(), "awaiting_input")?;
    ensure!(view.tasks.is_empty(), "nothing was taken: {view:#?}");
    upload(own, input, Some(authority))?;
    scenario.wait_for_state(hand.spec.id(), "settled")?;
    Ok(())
}

/// An input that is none of the program's, and a claim that is not the input's: the job is rejected before
/// anybody works on it, and says why.
pub fn rejected(scenario: &mut Scenario) -> anyhow::Result<()> {
    let good = hand(scenario)?;
    let mut false_claim = hand(scenario)?;
    false_claim.spec.claim = good.spec.claim;
    let mut nonsense = hand(scenario)?;
    nonsense.input = b"no numbers at all".to_vec();
    nonsense.spec.input = BlobDigest::from_bytes(keccak256(&nonsense.input));
    nonsense.spec.limits.input_bytes = ByteCount::new(nonsense.input.len() as u64);
    for hand in [nonsense, false_claim] {
        hand.send(scenario, hand.submit())?;
        scenario
            .block_on(hand.client.upload(&hand.wallet, &hand.input))
            .map_err(|error| error.error)?;
        let job = hand.spec.id();
        let view = scenario.wait_for_state(job, "rejected")?;
        ensure!(!view.reason.is_empty() && view.certificate.is_empty(), "it says why: {view:#?}");
        let watch = scenario.cli(&["watch", &job.to_string()])?;
        ensure!(watch.status.code() == Some(JOB_FAILED), "a script can tell: {watch:?}");
        let told = String::from_utf8_lossy(&watch.stderr).into_owned();
        ensure!(told.contains(&view.reason), "so can a person: {told}");
    }
    Ok(())
}

/// An input is executed without being proved: the answer has the claim that its proof would have, and what
/// the proof would take; of an input that is none it has the reason. No job comes of either.
pub fn estimated(scenario: &mut Scenario) -> anyhow::Result<()> {
    let estimate = |name: &str, bytes: &[u8]| -> anyhow::Result<Output> {
        let path = scenario.folder.path().join(name);
        std::fs::write(&path, bytes)?;
        let path = path.display().to_string();
        scenario.cli(&["estimate", "--program", "keccak", "--input", &path, "--output", "json"])
    };
    let jobs = || -> anyhow::Result<Option<usize>> {
        let listed = scenario.cli(&["status", "--limit", "500", "--output", "json"])?;
        Ok(serde_json::from_slice::<Value>(&listed.stdout)?.as_array().map(Vec::len))
    };
    let (good, before) = (messages(3)?, jobs()?);
    let done = estimate("good", &good)?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let view: Value = serde_json::from_slice(&done.stdout)?;
    let registry = proofgrid_programs::registry();
    let program = registry.by_name("keccak").context("a program")?;
    ensure!(view["claim"] == program.claim(&good)?.to_string(), "{view}");
    ensure!(view["segments"] == 1 && view["provers"].as_u64() > Some(0), "{view}");
    ensure!(view["work_units"].as_u64() > Some(0) && view["memory_bytes_max"].as_u64() > Some(0));

    let none = estimate("none", b"0x00\nno hexadecimal\n")?;
    ensure!(none.status.code() == Some(REFUSED), "a script can tell: {none:?}");
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    ensure!(told.contains("line 2"), "so can a person: {told}");
    ensure!(before.is_some() && jobs()? == before, "no job was made of it");
    Ok(())
}

/// A command of the network's administrator that somebody captured.
pub fn admin(scenario: &mut Scenario) -> anyhow::Result<()> {
    let prover = scenario.devnet.new_wallet_if_missing("prover-1")?.address();
    // Once the prover is there.
    scenario.drain(prover, v1::Drain::Stop)?;
    let captured = scenario.drain_request(prover, v1::Drain::Stop)?;
    scenario.send_drain(captured.clone())??;
    let again = scenario.send_drain(captured.clone())?;
    refused("a captured call", again, RefusalReason::NonceUsed)?;
    let mut turned = captured;
    turned.drain = v1::Drain::Start.into();
    ensure!(scenario.send_drain(turned)?.is_err(), "a changed call");
    Ok(())
}
