//! Jobs, as requesters see them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use proofgrid_core::crypto::eip712::Request as SignedCall;
use proofgrid_core::ids::{Address, BlobDigest, ChainId, JobId, ProgramId};
use proofgrid_core::job::{JobSpec, Origin};
use proofgrid_core::limits::{
    INPUT_BYTES_MAX, PROOF_BYTES_MAX, REQUEST_EXPIRES_SECONDS_MAX, SEGMENTS_MAX,
};
use proofgrid_core::network::{Answer, Input, JobStateKind, Provenance};
use proofgrid_core::units::{ByteCount, WorkUnits};
use proofgrid_proofs::program::Program;
use proofgrid_proto::CHUNK_BYTES_MAX;
use proofgrid_proto::convert::{
    ConvertError, Problem, SignedRequest, explanations, job_state, job_summary,
};
use proofgrid_proto::v1;
use proofgrid_proto::v1::job_service_server::JobService;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::actor::{Feeds, View, remembered};
use crate::auth::signer_of;
use crate::effects::{PlanRefusal, plan_input};
use crate::error::EdgeError;
use crate::grpc::unary;
use crate::limits::{PAGE_JOBS_DEFAULT, PAGE_JOBS_MAX, PAGE_SCAN_MAX};
use crate::shared::Shared;

/// Events of one watched job that may wait for a slow reader.
const WATCH_BUFFER: usize = 64;

/// The job calls.
#[derive(Clone, Debug)]
pub struct JobGate {
    shared: Arc<Shared>,
}

fn job_id(bytes: &[u8]) -> Result<JobId, EdgeError> {
    Ok(JobId::try_from(bytes).map_err(|error| ConvertError::new("job_id", error))?)
}

impl JobGate {
    /// Serves the jobs of `shared`.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn read<T: Send + 'static>(
        &self,
        job: JobId,
        look: impl FnOnce(&View<'_>) -> Option<T> + Send + 'static,
    ) -> Result<T, EdgeError> {
        self.shared.actor.read(look).await?.ok_or(EdgeError::UnknownJob(job))
    }

    /// What needs no signature to be wrong: cheap checks first.
    fn check_spec(&self, spec: &JobSpec) -> Result<(), EdgeError> {
        let expected = self.shared.network.home_chain;
        if spec.home_chain != expected {
            return Err(EdgeError::WrongNetwork { expected, got: spec.home_chain });
        }
        if spec.origin != Origin::Direct {
            let problem = Problem::Inconsistent(
                "must be direct; a contract job is created by its TaskManager",
            );
            return Err(ConvertError::new("job.origin", problem).into());
        }
        let input_bytes = spec.limits.input_bytes.get();
        for (what, got, max) in [
            ("bytes of the input", input_bytes, INPUT_BYTES_MAX),
            ("bytes of a proof", spec.limits.max_proof_bytes.get(), PROOF_BYTES_MAX),
            ("segments", u64::from(spec.limits.max_segments), u64::from(SEGMENTS_MAX)),
        ] {
            if got > max {
                return Err(EdgeError::Limit { what, got, max });
            }
        }
        if self.shared.programs.get(&spec.program).is_none() {
            return Err(EdgeError::UnknownProgram(spec.program));
        }
        Ok(())
    }

    async fn submit(&self, wire: v1::SubmitJobRequest) -> Result<v1::SubmitJobResponse, EdgeError> {
        let signed = SignedRequest::try_from(wire)?;
        let SignedCall::SubmitJob { job, .. } = &signed.request else {
            return Err(EdgeError::Protocol("this is no submit"));
        };
        let spec = job.as_ref().clone();
        self.check_spec(&spec)?;
        signer_of(&signed, self.shared.network, self.shared.clock.now().as_seconds())?;
        let input = Input::SubmitJob { spec, provenance: Provenance::Direct };
        let look = |answer, view: &View<'_>| {
            let (id, created) = match answer {
                Answer::JobAccepted(id) => (id, true),
                Answer::AlreadyKnown(id) => (id, false),
                _ => return Err(EdgeError::Internal("a submit got no job".to_owned())),
            };
            let job = view.network.state().jobs.get(&id).ok_or(EdgeError::UnknownJob(id))?;
            Ok((id, created, job.state.kind()))
        };
        let (id, created, state) = self.shared.actor.apply_and_look(input, look).await??;
        Ok(v1::SubmitJobResponse {
            job_id: id.as_bytes().to_vec(),
            state: v1::JobState::from(state).into(),
            created,
            input_needed: state == JobStateKind::AwaitingInput,
        })
    }

    async fn cancel(&self, wire: v1::CancelJobRequest) -> Result<v1::CancelJobResponse, EdgeError> {
        let signed = SignedRequest::try_from(wire)?;
        let SignedCall::CancelJob { job, .. } = signed.request else {
            return Err(EdgeError::Protocol("this is no cancel"));
        };
        let requester =
            signer_of(&signed, self.shared.network, self.shared.clock.now().as_seconds())?;
        let look = move |_, view: &View<'_>| {
            let found = view.network.state().jobs.get(&job).ok_or(EdgeError::UnknownJob(job))?;
            Ok::<_, EdgeError>(found.state.kind())
        };
        let input = Input::CancelJob { job, requester };
        let state = self.shared.actor.apply_and_look(input, look).await??;
        Ok(v1::CancelJobResponse { state: v1::JobState::from(state).into() })
    }

    async fn list(&self, wire: v1::ListJobsRequest) -> Result<v1::ListJobsResponse, EdgeError> {
        let filter = ListFilter::read(&wire)?;
        self.shared.actor.read(move |view| filter.page(view)).await
    }

    async fn estimate(
        &self,
        wire: v1::EstimateJobRequest,
    ) -> Result<v1::EstimateJobResponse, EdgeError> {
        let program = ProgramId::try_from(wire.program_id.as_slice())
            .map_err(|error| ConvertError::new("program_id", error))?;
        let digest = BlobDigest::try_from(wire.input_digest.as_slice())
            .map_err(|error| ConvertError::new("input_digest", error))?;
        if self.shared.programs.get(&program).is_none() {
            return Err(EdgeError::UnknownProgram(program));
        }
        // Anybody may ask, so the permit comes before the read: it bounds the memory of all inputs.
        let permit = Arc::clone(&self.shared.estimates).try_acquire_owned();
        let permit = permit.map_err(|_| EdgeError::Busy("too many estimates at a time"))?;
        let limit = ByteCount::new(INPUT_BYTES_MAX);
        let input = self.shared.blobs.get(digest, limit).await?;
        let max_segments =
            if wire.max_segments == 0 { SEGMENTS_MAX } else { wire.max_segments.min(SEGMENTS_MAX) };
        let connected =
            self.shared.actor.read(move |view| view.network.workforce(&program)).await?;
        let workforce = connected.unwrap_or_else(|| self.shared.config.expected_workforce());
        let programs = Arc::clone(&self.shared.programs);
        let cut = move || {
            // A caller that goes away ends the wait, not the work; the permit stays with the work.
            let _permit = permit;
            plan_input(&programs, &program, &input, max_segments, &workforce)
                .map_err(|refusal: PlanRefusal| EdgeError::WrongState(refusal.to_string()))
        };
        let cutting = proofgrid_store::blocking::spawn(cut).await;
        let (claim, segments) = cutting
            .map_err(|error| EdgeError::Internal(format!("an estimate failed: {error}")))??;
        let units: u64 = segments.iter().map(|segment| segment.work_units.get()).sum();
        let memory = segments.iter().map(|segment| segment.memory_bytes.get()).max();
        let look = move |view: &View<'_>| {
            let state = view.network.state();
            let is_queued = |task: &&proofgrid_core::network::Task| {
                task.state == proofgrid_core::network::TaskState::Queued
            };
            let live = state.jobs.values().filter(|job| !job.state.kind().is_terminal());
            let queued =
                live.take(PAGE_SCAN_MAX).flat_map(|job| job.tasks.iter().filter(is_queued));
            let queued: u64 = queued.map(|task| task.work_units.get()).sum();
            (view.network.estimate(&program, WorkUnits::new(units)), queued)
        };
        let (estimate, queued_work_units) = self.shared.actor.read(look).await?;
        Ok(v1::EstimateJobResponse {
            segments: u32::try_from(segments.len()).unwrap_or(u32::MAX),
            work_units: units,
            memory_bytes_max: memory.unwrap_or(0),
            prove_ms: estimate.prove_ms.unwrap_or(0),
            queued_work_units,
            workers: estimate.provers,
            claim: claim.as_bytes().to_vec(),
        })
    }

    async fn certificate(&self, job: JobId) -> Result<v1::GetCertificateResponse, EdgeError> {
        let look = move |view: &View<'_>| {
            let found = view.network.job(&job)?;
            Some(certificate_of(view, &found))
        };
        let found = self.read(job, look).await?;
        found.ok_or_else(|| {
            EdgeError::WrongState(format!("job {job} has no certificate yet; watch it"))
        })
    }

    async fn evidence(&self, job: JobId) -> Result<v1::GetEvidenceResponse, EdgeError> {
        let evidence = self.read(job, move |view| view.network.evidence(&job)).await?;
        Ok(v1::GetEvidenceResponse { statements: evidence.iter().map(Into::into).collect() })
    }

    fn network(&self) -> v1::GetNetworkResponse {
        let config = &self.shared.config;
        let target = |target: &crate::config::TargetConfig| v1::TargetChain {
            chain_id: ChainId::new(target.chain_id).get(),
            proof_registry: target.proof_registry.as_bytes().to_vec(),
            task_manager: target.task_manager.as_bytes().to_vec(),
        };
        let newest = self.shared.epochs.borrow().keys().next_back().map_or(0, |epoch| epoch.get());
        v1::GetNetworkResponse {
            server: config.server.as_bytes().to_vec(),
            home_chain_id: config.home.chain_id,
            epoch_table: config.home.epoch_table.as_bytes().to_vec(),
            operator_registrar: config.home.operator_registrar.as_bytes().to_vec(),
            targets: config.targets.iter().map(target).collect(),
            programs: self.shared.programs.iter().map(program_view).collect(),
            limits: Some(v1::NetworkLimits {
                input_bytes_max: INPUT_BYTES_MAX,
                proof_bytes_max: PROOF_BYTES_MAX,
                segments_max: SEGMENTS_MAX,
                chunk_bytes_max: CHUNK_BYTES_MAX as u64,
                expires_s_max: REQUEST_EXPIRES_SECONDS_MAX,
            }),
            epoch: newest,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_unix_ms: self.shared.clock.now().get(),
        }
    }
}

fn program_view(program: &dyn Program) -> v1::Program {
    let manifest = program.manifest();
    v1::Program {
        program_id: program.id().as_bytes().to_vec(),
        name: program.name().to_owned(),
        manifest_digest: manifest.digest().as_bytes().to_vec(),
        version: manifest.version.clone(),
        profile: v1::Profile::from(manifest.profile).into(),
        hiding: manifest.hiding,
        proven_bits: u32::from(manifest.proven_bits),
        conjectured_bits: u32::from(manifest.conjectured_bits),
        proof_bytes_max: manifest.limits.proof_bytes_max.get(),
        vk_digest: program.vk_digest().as_bytes().to_vec(),
    }
}

/// What the certificate of a job says; `None` before there is one.
fn certificate_of(
    view: &View<'_>,
    job: &proofgrid_core::network::JobView,
) -> Option<v1::GetCertificateResponse> {
    let id = job.certificate?;
    let certificate = &view.network.certificate(&id)?.certificate;
    let state = view.network.state();
    let statement = state.jobs.get(&job.id)?.statement?;
    let opened = &state.statements.get(&statement)?.opened;
    let keys = state.epochs.get(&certificate.epoch)?;
    Some(v1::GetCertificateResponse {
        certificate: Some(certificate.into()),
        job: Some((&job.spec).into()),
        opened: Some(opened.into()),
        epoch_table: keys.table().encode(),
        certificate_id: id.as_bytes().to_vec(),
    })
}

/// Which jobs a page shows.
struct ListFilter {
    size: usize,
    before: Option<u64>,
    requester: Option<Address>,
    states: BTreeSet<JobStateKind>,
}

impl ListFilter {
    fn read(wire: &v1::ListJobsRequest) -> Result<Self, EdgeError> {
        let size = match wire.page_size {
            0 => PAGE_JOBS_DEFAULT,
            size if size <= PAGE_JOBS_MAX => size,
            size => {
                let (got, max) = (u64::from(size), u64::from(PAGE_JOBS_MAX));
                return Err(EdgeError::Limit { what: "jobs of a page", got, max });
            }
        };
        let before = match wire.page_token.as_slice() {
            [] => None,
            token => {
                let problem = Problem::Inconsistent("is no token of an earlier page");
                let bytes =
                    token.try_into().map_err(|_| ConvertError::new("page_token", problem))?;
                Some(u64::from_be_bytes(bytes))
            }
        };
        let requester = match wire.requester.as_slice() {
            [] => None,
            bytes => Some(
                Address::try_from(bytes).map_err(|error| ConvertError::new("requester", error))?,
            ),
        };
        let states = wire.states.iter().map(|state| job_state("states", *state));
        Ok(Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            before,
            requester,
            states: states.collect::<Result<_, _>>()?,
        })
    }

    /// A page may be short, even empty, and still have a next one: it looks at a bounded number of
    /// jobs, so that a rare filter cannot hold the actor up.
    fn page(&self, view: &View<'_>) -> v1::ListJobsResponse {
        let state = view.network.state();
        let end = self.before.unwrap_or(u64::MAX);
        let mut jobs = Vec::new();
        let mut last = None;
        let mut left = PAGE_SCAN_MAX;
        for (serial, id) in state.by_serial.range(..end).rev() {
            if jobs.len() == self.size || left == 0 {
                let next_page_token =
                    last.map(|last: u64| last.to_be_bytes().to_vec()).unwrap_or_default();
                return v1::ListJobsResponse { jobs, next_page_token };
            }
            left -= 1;
            last = Some(*serial);
            let Some(job) = state.jobs.get(id) else { continue };
            let fits = self.requester.is_none_or(|wanted| wanted == job.spec.requester)
                && (self.states.is_empty() || self.states.contains(&job.state.kind()));
            if fits {
                jobs.push(job_summary(job));
            }
        }
        v1::ListJobsResponse { jobs, next_page_token: Vec::new() }
    }
}

type Watch = Pin<Box<dyn Stream<Item = Result<v1::WatchJobResponse, Status>> + Send>>;

/// Sends the history, then what comes, until the job is over or the reader is gone.
async fn watch(
    shared: Arc<Shared>,
    job: JobId,
    from: u64,
    sender: tokio::sync::mpsc::Sender<Result<v1::WatchJobResponse, Status>>,
) -> Result<(), EdgeError> {
    let mut watcher = shared.hub.watch(job)?;
    let mut next = from;
    let mut is_first = true;
    loop {
        let now = shared.clock.now();
        let look = move |view: &View<'_>| {
            let found = view.network.state().jobs.get(&job)?;
            let is_over = found.state.kind().is_terminal();
            let (mut events, following) = match view.feeds.since(&job, next) {
                Some(kept) => kept,
                None if is_first || is_over => remembered(found, next),
                None => (Vec::new(), next),
            };
            events.extend(Feeds::running(&job, view.network, now, following));
            Some((events, following, is_over))
        };
        let found = shared.actor.read(look).await?;
        let (events, following, is_over) = found.ok_or(EdgeError::UnknownJob(job))?;
        next = following.max(next);
        is_first = false;
        for event in events {
            let message = v1::WatchJobResponse { event: Some(event) };
            if sender.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        if is_over {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return Err(EdgeError::ShuttingDown),
            () = sender.closed() => return Ok(()),
            () = watcher.woken() => {}
        }
    }
}

#[tonic::async_trait]
impl JobService for JobGate {
    async fn submit_job(
        &self,
        request: Request<v1::SubmitJobRequest>,
    ) -> Result<Response<v1::SubmitJobResponse>, Status> {
        unary(self.submit(request.into_inner())).await
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        unary(async {
            let id = job_id(&request.get_ref().job_id)?;
            let job = self.read(id, move |view| view.feeds.job(view.network, &id)).await?;
            Ok(v1::GetJobResponse { job: Some(job) })
        })
        .await
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        unary(self.list(request.into_inner())).await
    }

    type WatchJobStream = Watch;

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Watch>, Status> {
        let wire = request.into_inner();
        let id = job_id(&wire.job_id)?;
        let exists = move |view: &View<'_>| view.network.state().jobs.get(&id).map(|_| ());
        self.read(id, exists).await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(WATCH_BUFFER);
        let shared = Arc::clone(&self.shared);
        self.shared.tracker.spawn(async move {
            let answers = sender.clone();
            if let Err(error) = watch(shared, id, wire.from_sequence, sender).await {
                // The reader may be gone.
                let _ = answers.try_send(Err(error.into()));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        unary(self.cancel(request.into_inner())).await
    }

    async fn explain_job(
        &self,
        request: Request<v1::ExplainJobRequest>,
    ) -> Result<Response<v1::ExplainJobResponse>, Status> {
        unary(async {
            let id = job_id(&request.get_ref().job_id)?;
            let look = move |view: &View<'_>| {
                let job = view.feeds.job(view.network, &id)?;
                let explained = view.network.explain(&id)?;
                let entries = explanations(view.network.state().jobs.get(&id)?, &explained);
                Some(v1::ExplainJobResponse { job: Some(job), entries })
            };
            self.read(id, look).await
        })
        .await
    }

    async fn estimate_job(
        &self,
        request: Request<v1::EstimateJobRequest>,
    ) -> Result<Response<v1::EstimateJobResponse>, Status> {
        unary(self.estimate(request.into_inner())).await
    }

    async fn get_certificate(
        &self,
        request: Request<v1::GetCertificateRequest>,
    ) -> Result<Response<v1::GetCertificateResponse>, Status> {
        unary(async { self.certificate(job_id(&request.get_ref().job_id)?).await }).await
    }

    async fn get_evidence(
        &self,
        request: Request<v1::GetEvidenceRequest>,
    ) -> Result<Response<v1::GetEvidenceResponse>, Status> {
        unary(async { self.evidence(job_id(&request.get_ref().job_id)?).await }).await
    }

    async fn get_network(
        &self,
        _request: Request<v1::GetNetworkRequest>,
    ) -> Result<Response<v1::GetNetworkResponse>, Status> {
        Ok(Response::new(self.network()))
    }
}
