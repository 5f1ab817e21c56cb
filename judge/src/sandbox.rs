//! The limits that the child puts on itself before it reads a stranger's bytes.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use crate::wire::Header;

/// Descriptors of the child: its three pipes, and room for what a C library opens on its own.
const OPEN_FILES_MAX: u64 = 8;

/// Address space that this process has now, in bytes; the program's image and its start-up are not
/// the proof's fault.
fn address_space_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmSize"))?;
    Ok(kib.saturating_mul(1024))
}

/// Limits this process for the rest of its life.
///
/// The processor limit also ends a child whose parent was killed, so that no orphan keeps running.
pub(crate) fn enter(header: Header) -> io::Result<()> {
    let memory = address_space_bytes()?.saturating_add(header.memory_bytes);
    limit(Resource::RLIMIT_AS, memory, memory)?;
    limit(Resource::RLIMIT_CPU, header.cpu_seconds, header.cpu_seconds.saturating_add(1))?;
    limit(Resource::RLIMIT_CORE, 0, 0)?;
    limit(Resource::RLIMIT_FSIZE, 0, 0)?;
    limit(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    Ok(())
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    setrlimit(resource, soft, hard)
        .map_err(|error| io::Error::other(format!("cannot limit {resource:?}: {error}")))
}
