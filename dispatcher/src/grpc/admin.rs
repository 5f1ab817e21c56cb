//! For the operator of the dispatcher. Every call is signed by a configured administrator; without
//! any, every call is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use proofgrid_core::ids::{Address, AdminSubject, Role, TaskId};
use proofgrid_core::network::{Drain, Input, TaskState};
use proofgrid_proto::convert::{AdminCall, ConvertError, Problem, ProverOrder, SignedRequest};
use proofgrid_proto::v1;
use proofgrid_proto::v1::admin_service_server::AdminService;
use tonic::{Request, Response, Status};

use crate::actor::View;
use crate::auth::signer_of;
use crate::error::EdgeError;
use crate::grpc::unary;
use crate::limits::QUEUE_TASKS_MAX;
use crate::shared::Shared;

/// The administrator's calls.
#[derive(Clone, Debug)]
pub struct AdminGate {
    shared: Arc<Shared>,
}

impl AdminGate {
    /// Steers the dispatcher of `shared`.
    #[must_use]
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn authorise(
        &self,
        authority: Option<v1::AdminAuthority>,
        call: AdminCall,
    ) -> Result<(), EdgeError> {
        let signed = SignedRequest::of_admin(authority, call)?;
        let now = self.shared.clock.now();
        let signer = signer_of(&signed, self.shared.network, now.as_seconds())?;
        let allowed = self.shared.config.administrators.as_ref();
        if !allowed.is_some_and(|allowed| allowed.contains(&signer)) {
            return Err(EdgeError::NotAllowed(format!("{signer} is no administrator here")));
        }
        self.shared.admin_nonces.take(signer, &signed.request, now)?;
        tracing::info!(administrator = %signer, action = call.action(), "administrative call");
        Ok(())
    }

    async fn nodes(&self) -> Result<v1::ListNodesResponse, EdgeError> {
        let look = |view: &View<'_>| {
            let of = |worker: proofgrid_core::network::WorkerView| {
                let leases = u32::try_from(worker.running.len()).unwrap_or(u32::MAX);
                (worker.prover, (leases, worker.draining))
            };
            view.network.workers().into_iter().map(of).collect::<BTreeMap<_, _>>()
        };
        let workers = self.shared.actor.read(look).await?;
        let node = |facts: crate::session::directory::SessionFacts| {
            let is_prover = facts.role == Role::Prover;
            let worker = workers.get(&facts.address).filter(|_| is_prover);
            let (leases, draining) = worker.copied().unwrap_or((0, false));
            let capabilities = facts.capabilities;
            v1::Node {
                role: v1::Role::from(facts.role).into(),
                operator: facts.address.as_bytes().to_vec(),
                session_id: facts.session.get(),
                version: facts.version,
                name: capabilities.as_ref().map(|c| c.name.clone()).unwrap_or_default(),
                slots: capabilities.as_ref().map_or(0, |c| c.slots),
                leases,
                memory_bytes: capabilities.as_ref().map_or(0, |c| c.memory_bytes.get()),
                draining,
                connected_unix_ms: facts.connected_at.get(),
                last_seen_unix_ms: facts.last_seen.get(),
                remote: facts.remote,
            }
        };
        let nodes = self.shared.directory.list().into_iter().map(node).collect();
        Ok(v1::ListNodesResponse { nodes })
    }

    async fn drain(
        &self,
        prover: Address,
        drain: Drain,
    ) -> Result<v1::DrainNodeResponse, EdgeError> {
        let session = self.shared.directory.prover_session(prover);
        let session = session.ok_or(EdgeError::UnknownNode(prover))?;
        self.shared.actor.apply(Input::DrainProver { prover, drain }).await?;
        if drain == Drain::Start {
            let text = "an administrator drains this prover".to_owned();
            self.shared.directory.send_prover(session, ProverOrder::Drain { text });
        }
        let look = move |view: &View<'_>| {
            view.network.state().running.get(&prover).map_or(0, std::collections::BTreeSet::len)
        };
        let leases = self.shared.actor.read(look).await?;
        Ok(v1::DrainNodeResponse { leases: u32::try_from(leases).unwrap_or(u32::MAX) })
    }

    async fn requeue(&self, task: TaskId) -> Result<v1::RequeueTaskResponse, EdgeError> {
        self.shared.actor.apply(Input::RequeueTask { task }).await?;
        let look = move |view: &View<'_>| {
            view.network.state().task(&task).ok().map(|(_, task)| task.state.kind())
        };
        let state = self.shared.actor.read(look).await?.ok_or(EdgeError::UnknownTask(task))?;
        Ok(v1::RequeueTaskResponse { state: v1::TaskState::from(state).into() })
    }

    async fn stats(&self) -> Result<v1::GetStatsResponse, EdgeError> {
        let uptime = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let look = move |view: &View<'_>| {
            let stats = view.network.stats();
            let mut counts = BTreeMap::new();
            for job in view.network.state().jobs.values() {
                *counts.entry(job.state.kind()).or_insert(0u64) += 1;
            }
            let count =
                |(kind, count)| v1::JobCount { state: v1::JobState::from(kind).into(), count };
            let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            v1::GetStatsResponse {
                jobs: counts.into_iter().map(count).collect(),
                provers: number(stats.provers),
                verifiers: number(stats.verifiers),
                oracles: number(stats.oracles),
                epoch: view.network.state().newest_epoch().map_or(0, |epoch| epoch.get()),
                inputs: view.counters.inputs,
                records: view.counters.facts,
                flushes: view.counters.appends,
                uptime_ms: uptime,
            }
        };
        self.shared.actor.read(look).await
    }
}

/// The waiting tasks of live jobs, by arrival of their job.
fn queue(view: &View<'_>) -> v1::GetQueueResponse {
    let network = view.network;
    let mut tasks = Vec::new();
    for id in network.state().by_serial.values() {
        if tasks.len() >= QUEUE_TASKS_MAX {
            break;
        }
        let Some(job) = network.state().jobs.get(id) else { continue };
        let queued = job.tasks.iter().enumerate().filter(|(_, t)| t.state == TaskState::Queued);
        let queued: Vec<_> = queued.collect();
        if queued.is_empty() {
            continue;
        }
        let explained = network.explain(id);
        for (position, task) in queued {
            let why = explained.as_ref().and_then(|all| all.tasks.get(position));
            tasks.push(v1::QueuedTask {
                task_id: task.id.as_bytes().to_vec(),
                job_id: id.as_bytes().to_vec(),
                attempts: u32::try_from(task.tries.len()).unwrap_or(u32::MAX),
                work_units: task.work_units.get(),
                queued_unix_ms: task.since.get(),
                reason: why.map(|why| why.why.clone()).unwrap_or_default(),
            });
        }
    }
    tasks.truncate(QUEUE_TASKS_MAX);
    v1::GetQueueResponse { tasks, total: network.stats().queued_tasks as u64 }
}

#[tonic::async_trait]
impl AdminService for AdminGate {
    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        unary(async {
            self.authorise(request.into_inner().authority, AdminCall::ListNodes)?;
            self.nodes().await
        })
        .await
    }

    async fn get_queue(
        &self,
        request: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::GetQueueResponse>, Status> {
        unary(async {
            self.authorise(request.into_inner().authority, AdminCall::GetQueue)?;
            self.shared.actor.read(queue).await
        })
        .await
    }

    async fn drain_node(
        &self,
        request: Request<v1::DrainNodeRequest>,
    ) -> Result<Response<v1::DrainNodeResponse>, Status> {
        unary(async {
            let wire = request.into_inner();
            let prover = Address::try_from(wire.operator.as_slice())
                .map_err(|error| ConvertError::new("operator", error))?;
            let (call, drain) = match v1::Drain::try_from(wire.drain) {
                Ok(v1::Drain::Start) => (AdminCall::Drain(prover), Drain::Start),
                Ok(v1::Drain::Stop) => (AdminCall::Undrain(prover), Drain::Stop),
                Ok(v1::Drain::Unspecified) => {
                    return Err(ConvertError::new("drain", Problem::Unspecified).into());
                }
                Err(_) => {
                    let problem = Problem::UnknownValue { got: wire.drain };
                    return Err(ConvertError::new("drain", problem).into());
                }
            };
            self.authorise(wire.authority, call)?;
            self.drain(prover, drain).await
        })
        .await
    }

    async fn requeue_task(
        &self,
        request: Request<v1::RequeueTaskRequest>,
    ) -> Result<Response<v1::RequeueTaskResponse>, Status> {
        unary(async {
            let wire = request.into_inner();
            let task = TaskId::try_from(wire.task_id.as_slice())
                .map_err(|error| ConvertError::new("task_id", error))?;
            let subject = AdminSubject::from_bytes(*task.as_bytes());
            self.authorise(wire.authority, AdminCall::Requeue(subject))?;
            self.requeue(task).await
        })
        .await
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        unary(async {
            self.authorise(request.into_inner().authority, AdminCall::GetStats)?;
            self.stats().await
        })
        .await
    }
}
