//! Calls of a development node that no library offers, over plain HTTP on the loopback address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls one JSON-RPC method.
///
/// # Errors
/// When the node does not answer or refuses.
pub fn call(url: &str, method: &str, params: &Value) -> anyhow::Result<Value> {
    let host = url.strip_prefix("http://").context("development nodes are plain HTTP")?;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
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
    let mut value: Value = serde_json::from_str(json.trim())?;
    if let Some(error) = value.get("error") {
        bail!("{method}: {error}");
    }
    Ok(value["result"].take())
}
