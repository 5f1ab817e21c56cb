//! The listener over real connections, and what the roles' facts become.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use hyper::StatusCode;
use proofgrid_core::ids::SessionId;
use proofgrid_oracle::rpc::RpcObserver;
use proofgrid_prover::ProverStatus;
use proofgrid_verifier::status::VerifierStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;

/// Facts that a test sets.
#[derive(Debug)]
struct Told(Mutex<[ServiceStatus; 2]>);

impl NodeFacts for Told {
    fn services(&self) -> Vec<Service> {
        let [vital, partial] = *self.0.lock().expect("not poisoned");
        let description = "a part";
        vec![
            Service { id: "heart", name: "Heart", description, status: vital, need: Need::Vital },
            Service { id: "arm", name: "Arm", description, status: partial, need: Need::Partial },
        ]
    }

    fn performance(&self) -> f64 {
        0.75
    }

    fn samples(&self) -> Vec<Sample> {
        let labels = vec![("kind", "a \"quoted\"\nname".to_owned())];
        vec![
            Sample::gauge("proofgrid_things", "Things", 2.0),
            Sample {
                name: "proofgrid_deeds",
                help: "Deeds",
                value: Value::Counter(vec![(labels, 3)]),
            },
        ]
    }
}

struct Node {
    api: NodeApi,
    told: Arc<Told>,
    meters: Meters,
    stop: CancellationToken,
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let told = Arc::new(Told(Mutex::new([ServiceStatus::Up; 2])));
        let (meters, stop) = (Meters::default(), CancellationToken::new());
        let info = NodeInfo::new("a-node");
        let facts = Arc::clone(&told) as Arc<dyn NodeFacts>;
        let api =
            NodeApi::start(listener, info, facts, Some(&meters), stop.clone()).expect("it starts");
        Self { api, told, meters, stop }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, body) = get(self.api.address(), path).await.expect("an answer");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    fn set(&self, vital: ServiceStatus, partial: ServiceStatus) {
        *self.told.0.lock().expect("not poisoned") = [vital, partial];
    }
}

/// Sends bytes and reads until the server closes.
async fn converse(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // A server that has refused may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_node_api_answers_as_its_specification_says() {
    let node = Node::start().await;
    let version = env!("CARGO_PKG_VERSION");
    let info =
        format!(r#"{{"node_name":"a-node","spec_version":"v0.0.1","node_version":"v{version}"}}"#);
    for path in ["/eigen/node", "/eigen/node?version=v0.0.1", "/eigen/node?a=b&version=0.0.1"] {
        assert_eq!(node.get(path).await, (StatusCode::OK, info.clone()), "{path}");
    }
    let unknown = (StatusCode::NOT_FOUND, r#"{"message":"API version not found"}"#.to_owned());
    for path in ["/eigen/node?version=1.0.0", "/eigen/node/health?version="] {
        assert_eq!(node.get(path).await, unknown, "{path}");
    }
    node.set(ServiceStatus::Up, ServiceStatus::Initializing);
    let services = concat!(
        r#"{"services":[{"id":"heart","name":"Heart","description":"a part","status":"Up"},"#,
        r#"{"id":"arm","name":"Arm","description":"a part","status":"Initializing"}]}"#
    );
    let listed = (StatusCode::OK, services.to_owned());
    assert_eq!(node.get("/eigen/node/services").await, listed);
    for path in ["/", "/eigen", "/eigen/node/", "/eigen/node/services/heart", "/metrics/"] {
        assert_eq!(node.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let asked = b"GET /eigen/node HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = converse(node.api.address(), asked).await;
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
}

#[tokio::test]
async fn health_is_a_status_without_a_body() {
    use ServiceStatus::{Down, Initializing, Up};
    let node = Node::start().await;
    let cases = [
        (Up, Up, [200, 200, 200]),
        (Up, Down, [206, 200, 503]),
        (Initializing, Up, [206, 206, 200]),
        (Down, Up, [503, 503, 200]),
    ];
    for (vital, partial, expected) in cases {
        node.set(vital, partial);
        let paths = ["health", "services/heart/health", "services/arm/health"];
        for (path, expected) in paths.into_iter().zip(expected) {
            let (status, body) = node.get(&format!("/eigen/node/{path}")).await;
            assert_eq!((status.as_u16(), body.as_str()), (expected, ""), "{path} {vital:?}");
        }
    }
    let unknown = node.get("/eigen/node/services/leg/health").await;
    assert_eq!(unknown, (StatusCode::NOT_FOUND, r#"{"message":"Service not found"}"#.into()));
}

#[tokio::test]
async fn metrics_have_the_names_and_labels_of_their_specification() {
    let node = Node::start().await;
    node.meters.rpc.ended("eth_call", "Geth/v1.15.0 \"x\"", Duration::from_millis(20));
    node.meters.rpc.ended("eth_call", "Geth/v1.15.0 \"x\"", Duration::from_millis(20));
    let (status, page) = node.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let labels = r#"method="eth_call",client_version="Geth/v1.15.0x""#;
    for line in [
        "eigen_performance_score 75.0".to_owned(),
        format!("eigen_rpc_request_total{{{labels}}} 2"),
        format!("eigen_rpc_request_duration_seconds_count{{{labels}}} 2"),
        format!(r#"eigen_rpc_request_duration_seconds_bucket{{le="0.025",{labels}}} 2"#),
        "# TYPE eigen_performance_score gauge".to_owned(),
        "# TYPE eigen_rpc_request counter".to_owned(),
        "# TYPE eigen_rpc_request_duration_seconds histogram".to_owned(),
        "proofgrid_things 2.0".to_owned(),
        r#"proofgrid_deeds_total{kind="a \"quoted\"\nname"} 3"#.to_owned(),
        "proofgrid_judged_seconds_count 0".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    node.set(ServiceStatus::Down, ServiceStatus::Up);
    let (_, page) = node.get("/metrics").await;
    assert!(page.contains("eigen_performance_score 0.0\n"), "{page}");
    let asked = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = converse(node.api.address(), asked).await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
}

#[tokio::test]
async fn only_a_get_without_a_body_is_answered() {
    let node = Node::start().await;
    for (request, expected) in [
        ("POST /eigen/node HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "405"),
        ("DELETE /metrics HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
        ("GET /eigen/node HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999\r\n\r\nx", "413"),
        ("GET /metrics HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n", "413"),
        ("this is not HTTP and it goes on for a while\r\n\r\n", "400"),
    ] {
        let answer = converse(node.api.address(), request.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(status, expected, "{request}: {answer}");
    }
}

#[tokio::test]
async fn headers_of_a_scraper_without_end_are_cut_off() {
    let node = Node::start().await;
    let long = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    for request in [long, many] {
        let answer = converse(node.api.address(), request.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(node.get("/eigen/node/health").await.0, StatusCode::OK, "others are served");
}

#[tokio::test]
async fn one_network_does_not_take_every_place_of_the_node_api() {
    let node = Node::start().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(node.api.address()).await.expect("it listens");
        stream.write_all(b"GET /eigen/node HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
        assert_ne!(stream.read(&mut [0; 1]).await.expect("an answer"), 0);
        held.push(stream);
    }
    let mut refused = TcpStream::connect(node.api.address()).await.expect("the system accepts");
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed without an answer");
}

#[tokio::test]
async fn the_listener_ends_with_its_node() {
    let node = Node::start().await;
    let address = node.api.address();
    let mut open = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(node.get("/eigen/node").await.0, StatusCode::OK);
    node.stop.cancel();
    node.api.stopped().await;
    assert_eq!(open.read(&mut [0; 1]).await.unwrap_or(0), 0, "open connections end too");
    assert!(get(address, "/eigen/node").await.is_err());
}

/// A chain that answers what it is told to.
#[derive(Debug)]
struct Answers(Result<u128, String>);

#[async_trait::async_trait]
impl StakeView for Answers {
    async fn stakes(&self) -> Result<Vec<RegisteredStake>, String> {
        let stake = self.0.clone()?;
        Ok(vec![RegisteredStake { quorum_number: 0, quorum_name: "verifiers", stake }])
    }
}

fn status_of(facts: &dyn NodeFacts, id: &str) -> ServiceStatus {
    let services = facts.services();
    services.iter().find(|service| service.id == id).expect("a known service").status
}

fn page(facts: Arc<dyn NodeFacts>, meters: &Meters) -> String {
    let mut page = String::new();
    let registry = metrics::registry(facts, Some(meters));
    prometheus_client::encoding::text::encode(&mut page, &registry).expect("text");
    page
}

#[tokio::test]
async fn a_verifier_tells_its_session_log_judge_chain_and_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sender, status) = watch::channel(VerifierStatus::default());
    let meters = Meters::default();
    let facts = Arc::new(VerifierFacts {
        status,
        data_dir: folder.path().into(),
        judge: Arc::clone(&meters.judge),
        chain: Arc::default(),
        avs_name: "an-avs".into(),
    });
    for (id, expected) in [
        ("session", ServiceStatus::Initializing),
        ("vote-log", ServiceStatus::Up),
        ("judge", ServiceStatus::Initializing),
        ("home-chain", ServiceStatus::Initializing),
    ] {
        assert_eq!(status_of(&*facts, id), expected, "{id}");
    }
    let before = page(facts.clone(), &meters);
    assert!(!before.contains("eigen_registered_stakes{"), "no stake is made up:\n{before}");

    sender.send_modify(|status| {
        status.session = Some(SessionId::new(7));
        status.sessions = 2;
        status.votes_valid = 5;
        status.votes_invalid = 1;
        status.abstentions = 2;
        status.open_statements = 3;
        status.missing_blobs.insert("the dispatcher".into(), 4);
    });
    facts.chain.ask_once(&Answers(Ok(50_000_000_000_000_000_000))).await;
    assert_eq!(status_of(&*facts, "session"), ServiceStatus::Up);
    assert_eq!(status_of(&*facts, "home-chain"), ServiceStatus::Up);
    let told = page(facts.clone(), &meters);
    let stakes =
        r#"{quorum_number="0",quorum_name="verifiers",avs_name="an-avs"} 50000000000000000000.0"#;
    for line in [
        format!("eigen_registered_stakes{stakes}"),
        "eigen_performance_score 75.0".into(),
        r#"proofgrid_votes_total{verdict="valid"} 5"#.into(),
        r#"proofgrid_votes_total{verdict="invalid"} 1"#.into(),
        "proofgrid_abstentions_total 2".into(),
        "proofgrid_statements_open 3.0".into(),
        "proofgrid_sessions_total 2".into(),
        "proofgrid_session_up 1.0".into(),
        r#"proofgrid_blobs_missing_total{source="the dispatcher"} 4"#.into(),
    ] {
        assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
    }

    sender.send_modify(|status| status.session = None);
    facts.chain.ask_once(&Answers(Err("no node answers".into()))).await;
    assert_eq!(status_of(&*facts, "session"), ServiceStatus::Down);
    assert_eq!(status_of(&*facts, "home-chain"), ServiceStatus::Down);
    assert_eq!(Health::of(&facts.services()), Health::Unhealthy);
    let away = page(facts.clone(), &meters);
    assert!(away.contains(stakes), "the stake that was read last stays:\n{away}");
    assert!(away.contains("eigen_performance_score 0.0"), "{away}");

    drop(folder);
    assert_eq!(status_of(&*facts, "vote-log"), ServiceStatus::Down);
}

#[tokio::test]
async fn a_prover_tells_its_session_disk_and_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sender, status) = watch::channel(ProverStatus::default());
    let facts = Arc::new(ProverFacts::new(status, folder.path().into()));
    assert_eq!(status_of(&*facts, "session"), ServiceStatus::Initializing);
    sender.send_modify(|status| {
        status.registered = true;
        status.delivered = 3;
        status.failed = 1;
    });
    assert_eq!(Health::of(&facts.services()), Health::Healthy);
    let told = page(facts.clone(), &Meters::default());
    for line in [
        "eigen_performance_score 75.0",
        "proofgrid_proofs_delivered_total 3",
        "proofgrid_tasks_failed_total 1",
        "proofgrid_session_up 1.0",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
    }
    // The registration was seen although nobody asked in between.
    facts.settled().await;
    sender.send_modify(|status| {
        status.registered = false;
        status.draining = true;
    });
    assert_eq!(status_of(&*facts, "session"), ServiceStatus::Down);
    assert_eq!(status_of(&*facts, "intake"), ServiceStatus::Down);
}
