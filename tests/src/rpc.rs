//! Calls of a development node that no library offers, over plain HTTP on the loopback address, and a
//! proxy before a node that hangs, hangs up or lies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest request that the proxy reads; a certificate's transaction has a few kilobytes.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Calls one JSON-RPC method.
///
/// # Errors
/// When the node does not answer or refuses.
pub fn call(url: &str, method: &str, params: &Value) -> anyhow::Result<Value> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut value = exchange(url, &request)?;
    if let Some(error) = value.get("error") {
        bail!("{method}: {error}");
    }
    Ok(value["result"].take())
}

/// Posts one JSON document and reads the answer's.
fn exchange(url: &str, request: &Value) -> anyhow::Result<Value> {
    let host = url.strip_prefix("http://").context("development nodes are plain HTTP")?;
    let body = request.to_string();
    let mut stream = TcpStream::connect(host).with_context(|| format!("no node at {url}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let json = answer.split("\r\n\r\n").nth(1).context("the answer has no body")?;
    Ok(serde_json::from_str(json.trim())?)
}

/// Changes an answer: `(method, parameters, result)` to another result.
pub type Lie = fn(&str, &Value, Value) -> Value;

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// Gives what the node answers.
    Honest,
    /// Reads and says nothing, until the mode changes.
    Hang,
    /// Hangs up.
    HangUp,
    /// Gives the node's answer changed.
    Lie(Lie),
}

#[derive(Debug)]
struct Switch {
    mode: Mutex<Mode>,
    changed: Condvar,
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mode, once it is another than [`Mode::Hang`].
    fn answering(&self) -> Mode {
        let hangs = |mode: &mut Mode| matches!(mode, Mode::Hang);
        let waited = self.changed.wait_while(self.lock(), hangs);
        *waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proxy before a node. It lives as long as the test's process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    switch: Arc<Switch>,
}

impl Proxy {
    /// Starts an honest proxy before the node at `url`.
    ///
    /// # Errors
    /// When the system has no port.
    pub fn start(url: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let switch = Arc::new(Switch { mode: Mutex::new(Mode::Honest), changed: Condvar::new() });
        let (shared, node) = (Arc::clone(&switch), url.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (switch, node) = (Arc::clone(&shared), node.clone());
                // A client that hung up is no fault of the proxy.
                std::thread::spawn(move || drop(serve(&stream, &switch, &node)));
            }
        });
        Ok(Self { address, switch })
    }

    /// Its address, as a node's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Behaves otherwise from now on; requests that hang are answered in the new way.
    pub fn set(&self, mode: Mode) {
        *self.switch.lock() = mode;
        self.switch.changed.notify_all();
    }
}

/// Answers one request and closes the connection.
fn serve(stream: &TcpStream, switch: &Switch, node: &str) -> anyhow::Result<()> {
    let request = read_request(stream)?;
    let mode = switch.answering();
    if matches!(mode, Mode::HangUp) {
        return Ok(());
    }
    let mut answer = exchange(node, &request)?;
    if let (Mode::Lie(lie), Some(result)) = (mode, answer.get_mut("result")) {
        let method = request["method"].as_str().unwrap_or_default();
        *result = lie(method, &request["params"], result.take());
    }
    let body = answer.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

fn read_request(stream: &TcpStream) -> anyhow::Result<Value> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the client hung up");
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    ensure!(length <= REQUEST_BYTES_MAX, "a request of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
