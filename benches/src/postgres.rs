//! A PostgreSQL server of the bench's own: made in a temporary folder, gone with its value.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run says why and stops")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Whose folder and processes these are when we are root, which the server refuses to be.
const SYSTEM_USER: &str = "postgres";
/// The database's own name for whoever connects.
const ROLE: &str = "bench";
/// Where Debian keeps the programs of each version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";
/// What the server says when it may be connected to.
const READY: &str = "database system is ready to accept connections";
/// Longest wait for that.
const START_MAX: Duration = Duration::from_secs(60);
/// Settings beside the defaults. What is written is on disk before it is acknowledged, as by default
/// (`fsync`, `synchronous_commit`, `full_page_writes`); memory and write-ahead log are sized so that
/// the server neither reads from disk nor checkpoints in the middle of a round.
const SETTINGS: &[&str] = &[
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum=on",
    "listen_addresses=",
    "max_connections=64",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "wal_level=minimal",
    "max_wal_senders=0",
    "wal_buffers=16MB",
    "jit=off",
    "lc_messages=C",
];

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    directory: TempDir,
}

/// The account that runs the server, if it cannot be ours.
struct Account(Option<User>);

impl Account {
    fn find() -> Result<Self, String> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        match User::from_name(SYSTEM_USER) {
            Ok(Some(user)) => Ok(Self(Some(user))),
            _ => Err(format!("there is no user `{SYSTEM_USER}` and the server refuses root")),
        }
    }

    fn own(&self, directory: &Path) {
        if let Some(user) = &self.0 {
            chown(directory, Some(user.uid), Some(user.gid)).expect("root may give a folder away");
        }
    }

    /// A program that runs as this account, in a folder that the account may look into.
    fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

/// The folder that holds both `initdb` and `postgres`: one of `PATH`, else Debian's newest.
fn programs() -> Result<PathBuf, String> {
    let debian = std::fs::read_dir(DEBIAN_ROOT).into_iter().flatten().flatten();
    let version = |name: &std::ffi::OsStr| name.to_str().and_then(|name| name.parse::<u32>().ok());
    let mut debian: Vec<_> =
        debian.map(|entry| (version(&entry.file_name()), entry.path().join("bin"))).collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let newest_first = debian.into_iter().rev().map(|(_, folder)| folder);
    let mut folders = std::env::split_paths(&path).chain(newest_first);
    let complete =
        |folder: &PathBuf| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
    folders
        .find(complete)
        .ok_or_else(|| format!("no `initdb` and `postgres` in PATH or {DEBIAN_ROOT}/*/bin"))
}

impl Server {
    /// Makes a database in a new temporary folder and starts its server.
    ///
    /// # Errors
    /// In one line, why this machine has no server to start.
    ///
    /// # Panics
    /// When there is one and it does not start.
    pub fn start() -> Result<Self, String> {
        let (programs, account) = (programs()?, Account::find()?);
        let directory = tempfile::tempdir().expect("a directory");
        account.own(directory.path());
        let data = directory.path().join("data");
        let mut initdb = account.command(&programs.join("initdb"), directory.path());
        initdb.arg("--pgdata").arg(&data).args(["--username", ROLE, "--auth", "trust"]);
        initdb.args(["--encoding", "UTF8", "--locale", "C"]);
        let made = initdb.output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = account.command(&programs.join("postgres"), directory.path());
        postgres.arg("-D").arg(&data).arg("-k").arg(directory.path());
        for setting in SETTINGS {
            postgres.args(["-c", setting]);
        }
        let process = postgres.stderr(Stdio::piped()).spawn().expect("postgres starts");
        let mut server = Self { process, directory };
        server.wait_until_ready();
        Ok(server)
    }

    /// Reads what the server says, first until it is ready, then for as long as it lives.
    fn wait_until_ready(&mut self) {
        let said = BufReader::new(self.process.stderr.take().expect("piped"));
        let (ready, wait) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut before = Vec::new();
            let mut ready = Some(ready);
            for line in said.lines().map_while(Result::ok) {
                let Some(waiting) = &ready else { continue };
                if line.contains(READY) {
                    // Nobody waits any more only if the wait took too long.
                    let _late = waiting.send(Ok(()));
                    ready = None;
                } else {
                    before.push(line);
                }
            }
            if let Some(waiting) = ready {
                let _late = waiting.send(Err(before.join("\n")));
            }
        });
        match wait.recv_timeout(START_MAX) {
            Ok(Ok(())) => {}
            Ok(Err(said)) => panic!("postgres ended at its start: {said}"),
            Err(_) => panic!("postgres was not ready in {START_MAX:?}"),
        }
    }

    /// A connection over the server's socket.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn connect(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.directory.path()).user(ROLE).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.expect("a connection");
        tokio::spawn(async move {
            // It ends with its client, or with an error that the client reports.
            let _reported = connection.await;
        });
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once and without tidying up: the folder goes next. A server that has ended by itself
        // is still to be waited for, so its id is nobody else's.
        if let Ok(id) = i32::try_from(self.process.id()) {
            let _gone = kill(Pid::from_raw(id), Signal::SIGQUIT);
        }
        let _status = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_outlive_a_panic() {
        let server = match Server::start() {
            Ok(server) => server,
            Err(reason) => return println!("left out: {reason}"),
        };
        let id = i32::try_from(server.process.id()).unwrap();
        let folder = server.directory.path().to_path_buf();
        assert!(kill(Pid::from_raw(id), None).is_ok());
        let panicked = std::thread::spawn(move || {
            let _server = server;
            panic!("on purpose")
        });
        assert!(panicked.join().is_err());
        assert!(kill(Pid::from_raw(id), None).is_err(), "the server is gone");
        assert!(!folder.exists(), "so is its folder");
    }
}
