//! Child processes of a development network: started in their own group, logged to a file, ended
//! with the network.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::exit::CliResult;

/// How long a process may take to end after it was asked to, before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Set for the children of a devnet: they end when the devnet dies, even by SIGKILL.
pub const DIE_WITH_PARENT: &str = "PROOFGRID_DIE_WITH_PARENT";

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `folder/name.log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let child = command
            .env(DIE_WITH_PARENT, "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}: {:?}", command.get_program()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Name in the network, such as `prover-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of its log, for an error message.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        format!("{}:\n{}", self.log.display(), all.get(from..).unwrap_or_default().join("\n"))
    }

    /// Whether its log has a text by now.
    #[must_use]
    pub fn has_logged(&self, text: &str) -> bool {
        fs::read_to_string(&self.log).is_ok_and(|log| log.contains(text))
    }

    /// Sends a signal to the process and whatever it started.
    pub fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // The group may be gone already; then there is nothing to signal.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal(Signal::SIGTERM);
        // A paused process would not see it.
        self.signal(Signal::SIGCONT);
        let deadline = Instant::now() + STOP_GRACE;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Becomes another program. What [`follow_parent`] has set outlives the change, so a program that
/// knows nothing of devnets ends with one too.
///
/// # Errors
/// When the program cannot be started; otherwise this does not return.
pub fn exec(command: &[OsString]) -> CliResult {
    let (program, arguments) = command.split_first().context("name a program")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot become {}", program.display()))?
}

/// Ends this process when its parent does, if it was started by a devnet.
pub fn follow_parent() {
    if std::env::var_os(DIE_WITH_PARENT).is_some() {
        // Without it a killed devnet leaves its children running; nothing else depends on it.
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
    }
}
