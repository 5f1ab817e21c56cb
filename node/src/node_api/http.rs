//! The listener: five paths, `GET`, HTTP/1.1 in plain text.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use proofgrid_proto::accept::{Acceptor, Connection, ConnectionLimits, Listening};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Health, NodeFacts, SPEC_VERSION, ServiceStatus};

/// Connections at a time: a few scrapers and a person.
const CONNECTIONS_MAX: usize = 64;
/// Of [`CONNECTIONS_MAX`], those of one network: nobody alone keeps everybody else out.
const CONNECTIONS_PER_NETWORK_MAX: usize = 16;
/// Bytes of one request's line and headers (the least that the library takes).
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Time for the line and headers of a request, and between two requests.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// Age at which a connection is closed, whatever it does: a scraper opens another.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(120);
const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The body of `GET /eigen/node`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// What the node calls itself.
    pub node_name: String,
    /// The specification that it follows.
    pub spec_version: String,
    /// The build.
    pub node_version: String,
}

impl NodeInfo {
    /// What this build says.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            node_version: format!("v{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The body of `GET /eigen/node/services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceList {
    /// Every part of the node.
    pub services: Vec<ListedService>,
}

/// One service in a [`ServiceList`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedService {
    /// Its name in paths.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub description: String,
    /// How it is.
    pub status: ServiceStatus,
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

type Answer = Response<Full<Bytes>>;

/// What is served.
#[derive(Debug)]
pub(super) struct App {
    pub(super) info: NodeInfo,
    pub(super) facts: Arc<dyn NodeFacts>,
    pub(super) registry: Registry,
}

impl App {
    fn answer<B: Body>(&self, request: &Request<B>) -> Answer {
        if request.method() != Method::GET {
            let mut answer = message(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return closing(answer);
        }
        if !request.body().is_end_stream() {
            return closing(message(StatusCode::PAYLOAD_TOO_LARGE, "A request has no body"));
        }
        let path = request.uri().path();
        if path == "/metrics" {
            return self.metrics();
        }
        if !knows_version(request.uri().query()) {
            return message(StatusCode::NOT_FOUND, "API version not found");
        }
        match path {
            "/eigen/node" => json(StatusCode::OK, &self.info),
            "/eigen/node/health" => empty(match Health::of(&self.facts.services()) {
                Health::Healthy => StatusCode::OK,
                Health::Partial => StatusCode::PARTIAL_CONTENT,
                Health::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
            }),
            "/eigen/node/services" => json(StatusCode::OK, &self.services()),
            _ => self.service_health(path),
        }
    }

    fn services(&self) -> ServiceList {
        let listed = self.facts.services().into_iter().map(|service| ListedService {
            id: service.id.to_owned(),
            name: service.name.to_owned(),
            description: service.description.to_owned(),
            status: service.status,
        });
        ServiceList { services: listed.collect() }
    }

    fn service_health(&self, path: &str) -> Answer {
        let id = path
            .strip_prefix("/eigen/node/services/")
            .and_then(|rest| rest.strip_suffix("/health"));
        let Some(id) = id else { return message(StatusCode::NOT_FOUND, "Not found") };
        let services = self.facts.services();
        match services.iter().find(|service| service.id == id) {
            Some(service) => empty(match service.status {
                ServiceStatus::Up => StatusCode::OK,
                ServiceStatus::Initializing => StatusCode::PARTIAL_CONTENT,
                ServiceStatus::Down => StatusCode::SERVICE_UNAVAILABLE,
            }),
            None => message(StatusCode::NOT_FOUND, "Service not found"),
        }
    }

    fn metrics(&self) -> Answer {
        let mut page = String::new();
        match text::encode(&mut page, &self.registry) {
            Ok(()) => typed(StatusCode::OK, OPENMETRICS, page.into()),
            Err(error) => failed(&error),
        }
    }
}

/// Without a version the newest is meant, and there is one.
fn knows_version(query: Option<&str>) -> bool {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("version="));
    asked.is_none_or(|version| version.trim_start_matches('v') == &SPEC_VERSION[1..])
}

fn typed(status: StatusCode, content: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => typed(status, JSON, body.into()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Answer {
    tracing::error!(%error, "an answer of the node API cannot be written");
    let body = Bytes::from_static(br#"{"message":"Internal server error"}"#);
    typed(StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
}

fn message(status: StatusCode, message: &'static str) -> Answer {
    json(status, &Message { message })
}

/// What was refused is not read to its end.
fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Accepts and answers until `stop`; connections end with it.
pub(super) async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let limits =
        ConnectionLimits { total: CONNECTIONS_MAX, per_network: CONNECTIONS_PER_NETWORK_MAX };
    let mut acceptor = Acceptor::new(Listening::new(listener), limits);
    // Holds as many as the acceptor admits.
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_ended) = open.join_next() => {}
            Some(Ok(connection)) = acceptor.next() => {
                open.spawn(tokio::time::timeout(
                    CONNECTION_AGE_MAX,
                    converse(connection, Arc::clone(&app)),
                ));
            }
        }
    }
}

async fn converse(connection: Connection<TcpStream>, app: Arc<App>) {
    let answer = service_fn(move |request| {
        let answer = app.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(connection), answer)
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the node API ended early");
    }
}
