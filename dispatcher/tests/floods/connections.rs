//! Below gRPC: connections without end, without a word, and with headers without end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::{CONNECTIONS_MAX, PATIENCE, alone, before_the_flood, is_over, scale, serves};

/// The preface of HTTP/2 and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn connect(address: SocketAddr) -> TcpStream {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
    connected.unwrap().unwrap()
}

/// Reads until the dispatcher has closed the connection.
async fn closed(mut stream: TcpStream) {
    let reading = async {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the dispatcher closes it");
}

/// A multiple of 3 500, so that 30 of them are 10^5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_refused_and_leaves_nothing() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let address = running.handle.address();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = connect(address).await;
        // Those beyond the cap are closed already.
        let _ = stream.write_all(PREFACE).await;
        held.push(stream);
    }
    for attempt in 0..3_500 * scale() {
        drop(connect(address).await);
        if attempt % 500 == 0 {
            serves(&running).await;
        }
    }
    drop(held);
    is_over(before).await;
    // There is room again, as soon as the dispatcher has seen the end of one of them.
    let uri = format!("http://{address}");
    let endpoint = tonic::transport::Channel::from_shared(uri).unwrap();
    let again = async {
        while endpoint.connect().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a newcomer is served after the flood");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_closed() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let address = running.handle.address();
    let mut loris = Vec::new();
    for sent in [&b""[..], &PREFACE[..1], &PREFACE[..23]].into_iter().cycle().take(30) {
        let mut stream = connect(address).await;
        stream.write_all(sent).await.unwrap();
        loris.push(tokio::spawn(closed(stream)));
    }
    serves(&running).await;
    for one in loris {
        one.await.unwrap();
    }
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers whose end never comes: one HEADERS frame, then CONTINUATION after CONTINUATION, each with
/// fields that were never seen before (literal, not indexed).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end_are_cut_off() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let field = [&[0, 4][..], b"name", &[100], &[b'v'; 100]].concat();
    for fields_per_frame in [0, 1, 100] {
        let mut stream = connect(running.handle.address()).await;
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(1, 0, 1, &field)).await.unwrap();
        let more = frame(9, 0, 1, &field.repeat(fields_per_frame));
        let (mut read, mut write) = stream.into_split();
        let sending = async {
            // 100 MB of them would be taken by whoever takes them at all.
            for _ in 0..1_000_000 {
                if write.write_all(&more).await.is_err() {
                    return;
                }
            }
            panic!("a million frames of headers were taken");
        };
        is_closed(sending, &mut read).await;
        serves(&running).await;
    }
    is_over(before).await;
    running.stop().await;
}

/// The dispatcher closes a connection that somebody sends on without an end.
async fn is_closed(sending: impl Future<Output = ()>, read: &mut OwnedReadHalf) {
    let mut buffer = [0; 4096];
    let reading = async { while read.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    let ended = async {
        tokio::select! { () = sending => {}, () = reading => {} }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the dispatcher closes it");
}

/// Streams that are opened and reset at once, over and over ("rapid reset", CVE-2023-44487).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_are_cut_off() {
    let _alone = alone().await;
    let (running, before) = before_the_flood().await;
    let mut stream = connect(running.handle.address()).await;
    stream.write_all(PREFACE).await.unwrap();
    // :method POST, :scheme http, :path /, all from the static table.
    let headers = [0x83, 0x86, 0x84];
    let (mut read, mut write) = stream.into_split();
    let sending = async {
        for id in (1..2_000_000u32).step_by(2) {
            let open = frame(1, 4, id, &headers);
            let reset = frame(3, 0, id, &8u32.to_be_bytes());
            if write.write_all(&[open, reset].concat()).await.is_err() {
                return;
            }
        }
        panic!("a million resets were taken");
    };
    is_closed(sending, &mut read).await;
    serves(&running).await;
    is_over(before).await;
    running.stop().await;
}
