//! What can happen to a process of the network, and to its machine.

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use proofgrid_core::crypto::eip712::Request;
use proofgrid_core::ids::{Address, Nonce};
use proofgrid_core::units::UnixSeconds;
use proofgrid_node::client::{Client, request_expiry};
use proofgrid_node::devnet::network::{ADMINISTRATOR, CHAIN};
use proofgrid_proto::convert::AdminCall;
use proofgrid_proto::v1;
use proofgrid_proto::v1::admin_service_client::AdminServiceClient;

use tonic::{Code, Response, Status};

use crate::{Scenario, binary};

/// Milliseconds by which an administrator's call is dated ahead: its nonce must lie above the moment
/// at which the dispatcher started, plus this. As `dispatcher::limits::ADMIN_NONCE_AHEAD_MS_MAX`.
const ADMIN_AHEAD_MS: u64 = 5_000;

impl Scenario {
    /// Stops a process in its tracks, as a machine that hangs does; its connections stay open.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn pause(&mut self, name: &str) -> anyhow::Result<()> {
        self.devnet.process(name)?.signal(Signal::SIGSTOP);
        Ok(())
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn resume(&mut self, name: &str) -> anyhow::Result<()> {
        self.devnet.process(name)?.signal(Signal::SIGCONT);
        Ok(())
    }

    /// Kills a process with signal 9.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.devnet.process(name)?.kill();
        Ok(())
    }

    /// Starts a role again, in its own directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        self.devnet.start_role(name)
    }

    /// Starts a role again with other settings.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart_with(&mut self, name: &str, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut command = self.devnet.role_command(name);
        command.envs(settings.iter().copied());
        self.devnet.start_role_as(name, command)
    }

    /// Starts a role again on a disk on which no file grows beyond so many KiB. The system's signal
    /// about it is ignored, so that writing fails as on a full disk.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart_on_full_disk(&mut self, name: &str, file_kib_max: u32) -> anyhow::Result<()> {
        let role = self.devnet.role_command(name);
        let mut command = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f {file_kib_max}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(role.get_program()).args(role.get_args());
        self.devnet.start_role_as(name, command)
    }

    /// Asks a process to end and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub fn terminate(&mut self, name: &str) -> anyhow::Result<ExitStatus> {
        self.devnet.process(name)?.signal(Signal::SIGTERM);
        self.wait_for_end(name)
    }

    /// Waits until a process has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_end(&mut self, name: &str) -> anyhow::Result<ExitStatus> {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.devnet.process(name)?.ended() {
                return Ok(status);
            }
            ensure!(started.elapsed() < crate::PATIENCE, "{name} does not end\n{}", self.log(name));
            std::thread::sleep(crate::POLL);
        }
    }

    /// Kills every process of the network, the EVM node too: the power is gone.
    pub fn kill_all(&mut self) {
        let mut names = self.devnet.roles();
        names.push(CHAIN.to_owned());
        for name in names {
            // A role that was never started is as dead as the others.
            let _ = self.kill(&name);
        }
    }

    /// Runs a command of the binary on this network, as a person would.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn cli<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Output> {
        self.command(arguments)?.output().context("the binary runs")
    }

    /// Starts a command of the binary on this network and leaves it running; its output is kept.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn spawn<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Child> {
        let mut command = self.command(arguments)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("the binary runs")
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Command> {
        let layout = self.devnet.layout();
        let mut command = Command::new(binary()?);
        command
            .args(arguments)
            .env_clear()
            .env("PROOFGRID_NETWORK", layout.network())
            .env("PROOFGRID_WALLET", layout.key("requester"))
            .env("PROOFGRID_WALLET_PASSWORD_FILE", layout.password());
        Ok(command)
    }

    /// Takes a prover out of the rotation or back in, as the network's administrator, once it is there.
    ///
    /// # Errors
    /// When the dispatcher refuses.
    pub fn drain(&self, prover: Address, drain: v1::Drain) -> anyhow::Result<u32> {
        self.wait_until(&format!("prover {prover} is connected"), || {
            match self.send_drain(self.drain_request(prover, drain)?)? {
                Ok(answer) => Ok(Some(answer.into_inner().leases)),
                Err(status) if status.code() == Code::NotFound => Ok(None),
                Err(status) => Err(status.into()),
            }
        })
    }

    /// The peers that the dispatcher lists.
    ///
    /// # Errors
    /// When it refuses.
    pub fn nodes(&self) -> anyhow::Result<Vec<v1::Node>> {
        let authority = Some(self.authority(AdminCall::ListNodes)?);
        let url = self.devnet.network().dispatcher_url.clone();
        let mut client = self.block_on(AdminServiceClient::connect(url))?;
        let listed = self.block_on(client.list_nodes(v1::ListNodesRequest { authority }))?;
        Ok(listed.into_inner().nodes)
    }

    /// A signed request to drain a prover or to take it back.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn drain_request(
        &self,
        prover: Address,
        drain: v1::Drain,
    ) -> anyhow::Result<v1::DrainNodeRequest> {
        let call = match drain {
            v1::Drain::Start => AdminCall::Drain(prover),
            _ => AdminCall::Undrain(prover),
        };
        let operator = prover.as_bytes().to_vec();
        let authority = Some(self.authority(call)?);
        Ok(v1::DrainNodeRequest { authority, operator, drain: drain.into() })
    }

    /// Sends such a request.
    ///
    /// # Errors
    /// When the dispatcher is away.
    pub fn send_drain(
        &self,
        request: v1::DrainNodeRequest,
    ) -> anyhow::Result<Result<Response<v1::DrainNodeResponse>, Status>> {
        let url = self.devnet.network().dispatcher_url.clone();
        let mut client = self.block_on(AdminServiceClient::connect(url))?;
        Ok(self.block_on(client.drain_node(request)))
    }

    /// Waits until the dispatcher answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_dispatcher(&self) -> anyhow::Result<()> {
        let network = self.devnet.network_args();
        self.wait_until("the dispatcher answers", || {
            Ok(self.block_on(async { Client::connect(&network).await }).ok().map(|_| ()))
        })
    }

    fn authority(&self, call: AdminCall) -> anyhow::Result<v1::AdminAuthority> {
        let key = self.devnet.new_wallet_if_missing(ADMINISTRATOR)?;
        let expires: UnixSeconds = request_expiry();
        let nonce = next_admin_nonce();
        let request = Request::AdminCall {
            action: call.action().to_owned(),
            subject: call.subject(),
            nonce: Nonce::new(nonce),
            expires,
        };
        let network = self.devnet.network_args();
        let client = self
            .block_on(async { Client::connect(&network).await })
            .map_err(|error| error.error)?;
        let signature = client.sign(&key, request);
        Ok(v1::AdminAuthority { nonce, expires_unix_s: expires.get(), signature })
    }
}

/// A nonce above every one before it: as far ahead as a clock may be, and no two in one millisecond.
fn next_admin_nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let nonce = now_ms.saturating_add(ADMIN_AHEAD_MS);
        if LAST.fetch_max(nonce, Ordering::SeqCst) < nonce {
            return nonce;
        }
        std::thread::yield_now();
    }
}
