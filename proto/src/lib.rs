//! The wire: `.proto` files, the code generated from them, the only conversions between wire and core
//! types, how every server accepts connections and how every client dials.
//!
//! Wire types are dumb data. Whatever comes from a peer goes through [`convert`] once, at the edge,
//! and is a checked core type from then on; nothing here decides anything. The generated code is
//! committed so that a build needs no `protoc`; `tests/drift.rs` keeps it equal to the files.

pub mod accept;
pub mod convert;
pub mod dial;
pub mod stored;

/// Generated from `proto/proofgrid/v1/*.proto`; documented there.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::unwrap_used,
    clippy::large_futures
)]
pub mod v1 {
    include!("gen/proofgrid.v1.rs");
}

/// The encoded `FileDescriptorSet` of the package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/proofgrid.v1.bin");

/// Metadata entry (binary) that carries a session token on blob calls.
pub const SESSION_TOKEN_METADATA: &str = "proofgrid-session-bin";

/// Metadata entry that carries the name of a [`v1::RefusalReason`] on a refused call.
pub const REASON_METADATA: &str = "proofgrid-reason";

/// Most bytes of one gRPC message, in both directions (4 MiB); larger data goes through blobs.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Most bytes of one chunk of a blob stream (256 KiB): small enough to interleave with other
/// streams, large enough that framing costs nothing.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;
